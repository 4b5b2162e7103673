//! Arguments of a function that scripts call, checked and refused as Lua's own library functions do it.
//!
//! Scripts see the texts of errors, so they are those of `luaL_checkinteger` and its siblings, with the place in the
//! script before them: `user_script:1: bad argument #1 to 'decode' (expected 1 argument)`. The name is how the caller
//! named the function; the place is left out where the caller is no Lua code (`pcall(cjson.decode)`).

use mlua::{Error, Lua, LuaString, MultiValue, Value};

use crate::base::c_number::to_long;
use crate::script::fail::fail;

/// Slots of Lua's stack a function may use: deeper nesting and more results fail.
///
/// DIFFERS: Lua 5.1 in Redis has 8000. Here, in `struct`, each string is a reference of mlua's, which has as many of
/// them altogether; some are kept for whoever runs the script.
pub const STACK_SLOTS_MAX: usize = 7800;

/// The arguments of one call, numbered from 1.
pub struct Arguments<'l> {
    lua: &'l Lua,
    values: MultiValue,
}

impl<'l> Arguments<'l> {
    /// What a function was called with. To be made within that function: errors name it.
    pub fn new(lua: &'l Lua, values: MultiValue) -> Self {
        Arguments { lua, values }
    }

    /// The interpreter of the call.
    pub fn lua(&self) -> &'l Lua {
        self.lua
    }

    /// How many were given, trailing nils included.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Argument `number`, nil if it was not given.
    pub fn value(&self, number: usize) -> Value {
        self.values.get(number.wrapping_sub(1)).cloned().unwrap_or(Value::Nil)
    }

    /// Whether argument `number` is missing or nil.
    pub fn is_none_or_nil(&self, number: usize) -> bool {
        matches!(self.value(number), Value::Nil)
    }

    /// A string, or a number as text; an error for all else.
    pub fn string(&self, number: usize) -> mlua::Result<LuaString> {
        let value = self.value(number);
        match self.lua.coerce_string(value)? {
            Some(text) => Ok(text),
            None => Err(self.wrong_type(number, "string")),
        }
    }

    /// A number, or text that reads as one; an error for all else.
    pub fn number(&self, number: usize) -> mlua::Result<f64> {
        match self.lua.coerce_number(self.value(number))? {
            Some(value) => Ok(value),
            None => Err(self.wrong_type(number, "number")),
        }
    }

    /// [`Arguments::number`] cut to an integer as C casts it.
    pub fn integer(&self, number: usize) -> mlua::Result<i64> {
        self.number(number).map(to_long)
    }

    /// [`Arguments::integer`], or `default` if the argument is missing or nil.
    pub fn integer_or(&self, number: usize, default: i64) -> mlua::Result<i64> {
        if self.is_none_or_nil(number) { Ok(default) } else { self.integer(number) }
    }

    /// Refuses argument `number` with `what` if `is_right` is false.
    pub fn check(&self, is_right: bool, number: usize, what: &str) -> mlua::Result<()> {
        if is_right { Ok(()) } else { Err(self.refuse(number, what)) }
    }

    /// The error that says argument `number` is of another type than `expected`.
    pub fn wrong_type(&self, number: usize, expected: &str) -> Error {
        let found = match self.values.get(number.wrapping_sub(1)) {
            Some(value) => type_name(value),
            None => "no value",
        };
        self.refuse(number, &format!("{expected} expected, got {found}"))
    }

    /// The error that names argument `number` and says `what` is wrong with it.
    pub fn refuse(&self, number: usize, what: &str) -> Error {
        let (name, is_method) = called_as(self.lua);
        let number = if is_method { number.saturating_sub(1) } else { number };
        if is_method && number == 0 {
            return self.raise(&format!("calling '{name}' on bad self ({what})"));
        }
        self.raise(&format!("bad argument #{number} to '{name}' ({what})"))
    }

    /// The error `text`, at the place of the call.
    pub fn raise(&self, text: &str) -> Error {
        fail(self.lua, text)
    }

    /// Fails where a C function would use more than [`STACK_SLOTS_MAX`] slots.
    pub fn check_stack(&self, slots: usize, what: &str) -> mlua::Result<()> {
        if slots <= STACK_SLOTS_MAX {
            return Ok(());
        }
        Err(self.raise(&format!("stack overflow ({what})")))
    }
}

/// Lua's name of a value's type. mlua tells light userdata apart, which Lua does not.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) | Value::Error(_) => "userdata",
        Value::Integer(_) => "number",
        other => other.type_name(),
    }
}

/// How the caller named the running function, and whether it called it as a method.
fn called_as(lua: &Lua) -> (String, bool) {
    let name = lua.inspect_stack(0, |function| {
        let names = function.names();
        let name = names.name.map(std::borrow::Cow::into_owned);
        (name, names.name_what == Some("method"))
    });
    let (name, is_method) = name.unwrap_or((None, false));
    (name.unwrap_or_else(|| "?".to_owned()), is_method)
}
