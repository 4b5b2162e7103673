//! `redis.register_function`: what a library says of its functions while it is loaded.
use mlua::{Function, Lua, MultiValue, Result, Table, Value};

use crate::script::exchange::Registration;
use crate::script::fail::fail_table;
use crate::script::guest::Guest;
use crate::script::shebang::Flags;

/// What is wrong with a registration.
type Wrong = &'static str;

impl Guest<'_> {
    /// Registers one function: by position (name, callback) or by a table of named arguments.
    pub fn register(&self, lua: &Lua, args: &MultiValue) -> Result<()> {
        let wrong = |text: &str| Err(fail_table(&[b"ERR ", text.as_bytes()].concat(), false));
        if self.registered().borrow().is_none() {
            return wrong("redis.register_function can only be called on FUNCTION LOAD command");
        }
        let given = match args.len() {
            1 => by_name(lua, args)?,
            2 => by_position(lua, args)?,
            _ => Err("wrong number of arguments to redis.register_function"),
        };
        let given = match given {
            Ok(given) => given,
            Err(text) => return wrong(text),
        };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if given.name.is_empty() || !given.name.iter().all(is_name) {
            return wrong(
                "Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                 character long",
            );
        }
        let mut list = self.registered().borrow_mut();
        let list = list.get_or_insert_default();
        if list.iter().any(|known| known.name == given.name) {
            return wrong("Function already exists in the library");
        }
        let slot = self.keep(given.callback)?;
        let Given { name, description, flags, .. } = given;
        list.push(Registration { name, description, flags: flags.0, slot });
        Ok(())
    }
}

struct Given {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: Flags,
    callback: Function,
}

fn text(lua: &Lua, value: Value) -> Result<Option<Vec<u8>>> {
    Ok(lua.coerce_string(value)?.map(|text| text.as_bytes().to_vec()))
}

fn by_position(lua: &Lua, args: &MultiValue) -> Result<std::result::Result<Given, Wrong>> {
    let first = args.front().cloned().unwrap_or(Value::Nil);
    let Some(name) = text(lua, first)? else {
        return Ok(Err("first argument to redis.register_function must be a string"));
    };
    let Some(Value::Function(callback)) = args.get(1).cloned() else {
        return Ok(Err("second argument to redis.register_function must be a function"));
    };
    Ok(Ok(Given { name, description: None, flags: Flags::default(), callback }))
}

fn by_name(lua: &Lua, args: &MultiValue) -> Result<std::result::Result<Given, Wrong>> {
    let Some(Value::Table(table)) = args.front() else {
        return Ok(Err(
            "calling redis.register_function with a single argument is only applicable to Lua table \
             (representing named arguments).",
        ));
    };
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = Flags::default();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(lua, key)? else {
            return Ok(Err("named argument key given to redis.register_function is not a string"));
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => {
                name = text(lua, value)?;
                if name.is_none() {
                    return Ok(Err(
                        "function_name argument given to redis.register_function must be a string",
                    ));
                }
            }
            b"description" => {
                description = text(lua, value)?;
                if description.is_none() {
                    return Ok(Err(
                        "description argument given to redis.register_function must be a string",
                    ));
                }
            }
            b"callback" => {
                let Value::Function(function) = value else {
                    return Ok(Err(
                        "callback argument given to redis.register_function must be a function",
                    ));
                };
                callback = Some(function);
            }
            b"flags" => {
                let Value::Table(list) = value else {
                    return Ok(Err(
                        "flags argument to redis.register_function must be a table representing function flags",
                    ));
                };
                match flags_of(lua, &list)? {
                    Some(read) => flags = read,
                    None => return Ok(Err("unknown flag given")),
                }
            }
            _ => return Ok(Err("unknown argument given to redis.register_function")),
        }
    }
    let Some(name) = name else {
        return Ok(Err("redis.register_function must get a function name argument"));
    };
    let Some(callback) = callback else {
        return Ok(Err("redis.register_function must get a callback argument"));
    };
    Ok(Ok(Given { name, description, flags, callback }))
}

/// The flags in a list of their names; `None` where one is no flag.
fn flags_of(lua: &Lua, list: &Table) -> Result<Option<Flags>> {
    let mut flags = Flags::default();
    for index in 1.. {
        let value: Value = list.get(index)?;
        if value.is_nil() {
            break;
        }
        let Some(name) = text(lua, value)? else { return Ok(None) };
        let Some(flag) = Flags::named(&name.to_ascii_lowercase()) else { return Ok(None) };
        flags.0 |= flag.0;
    }
    Ok(Some(flags))
}
