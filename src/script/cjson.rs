//! `cjson`: JSON for scripts, as lua-cjson 2.1.0 in Redis has it, with its settings, errors and number format.
//!
//! What is open while a value is read or written stands in a `Vec`, so that no nesting can overflow the stack; only the
//! outer tables of a value are written by recursion, which is faster. How deep it may be is a setting, 1000 at first;
//! whatever it is set to, what would need more than [`STACK_SLOTS_MAX`] slots of Lua's stack in Redis is refused with
//! the same error here.
//!
//! DIFFERS: Lua in Redis hashes strings of 32 bytes and more whole, Lua 5.1 a part of them, so entries with such names
//! may come in another order.
//!
//! Cost: O(text). A value that is read costs what its tables cost, a value that is written its text alone.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Error, Function, Lua, LuaString, MultiValue, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX, type_name};
use super::fail::fail;
use super::json_text::{Lexer, Token, write_number, write_string};
use crate::base::c_number::to_int;

/// What a script can set. It belongs to one module table; `cjson.new()` makes another one.
#[derive(Clone, Copy)]
struct Settings {
    converts_sparse: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    decode_depth_max: i32,
    encode_invalid_numbers: InvalidNumbers,
    decode_invalid_numbers: InvalidNumbers,
    keeps_buffer: bool,
    number_digits: i32,
}

/// What becomes of infinities and NaN.
#[derive(Clone, Copy, PartialEq)]
enum InvalidNumbers {
    Off,
    On,
    Null,
}

const DEFAULTS: Settings = Settings {
    converts_sparse: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_depth_max: 1000,
    decode_depth_max: 1000,
    encode_invalid_numbers: InvalidNumbers::Off,
    decode_invalid_numbers: InvalidNumbers::On,
    keeps_buffer: true,
    number_digits: 14,
};

/// Longest text a value is written as: the longest string a client may store. DIFFERS: Redis goes on until memory is
/// used up, which a sparse array with two entries can do once its setting allows that.
const TEXT_LEN_MAX: usize = 512 << 20;

type Shared = Rc<Cell<Settings>>;

/// The module's table, new and with settings of its own.
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let next: Function = lua.globals().raw_get("next")?;
    module(lua, next)
}

/// A module that walks tables with `next`: Lua's own, which scripts may not see under that name.
fn module(lua: &Lua, next: Function) -> mlua::Result<Table> {
    let settings: Shared = Rc::new(Cell::new(DEFAULTS));
    let for_new = next.clone();
    let table = lua.create_table()?;
    let shared = Rc::clone(&settings);
    let encode = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        arguments.check(arguments.count() == 1, 1, "expected 1 argument")?;
        let mut encoder = Encoder::new(lua, &next, shared.get());
        encoder.run(&arguments.value(1))?;
        lua.create_string(&encoder.out)
    })?;
    table.raw_set("encode", encode)?;
    let shared = Rc::clone(&settings);
    let decode = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        arguments.check(arguments.count() == 1, 1, "expected 1 argument")?;
        decode(lua, &arguments.string(1)?, shared.get())
    })?;
    table.raw_set("decode", decode)?;
    add_settings(lua, &table, &settings)?;
    table.raw_set(
        "new",
        lua.create_function(move |lua, _: MultiValue| module(lua, for_new.clone()))?,
    )?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn add_settings(lua: &Lua, module: &Table, settings: &Shared) -> mlua::Result<()> {
    add_setting(lua, module, settings, "encode_sparse_array", 3, |settings, arguments| {
        let converts = switch(arguments, 1, &mut settings.converts_sparse)?;
        let ratio = integer(arguments, 2, &mut settings.sparse_ratio, 0, i32::MAX)?;
        let safe = integer(arguments, 3, &mut settings.sparse_safe, 0, i32::MAX)?;
        Ok(MultiValue::from(vec![converts, ratio, safe]))
    })?;
    add_setting(lua, module, settings, "encode_max_depth", 1, |settings, arguments| {
        one(integer(arguments, 1, &mut settings.encode_depth_max, 1, i32::MAX))
    })?;
    add_setting(lua, module, settings, "decode_max_depth", 1, |settings, arguments| {
        one(integer(arguments, 1, &mut settings.decode_depth_max, 1, i32::MAX))
    })?;
    add_setting(lua, module, settings, "encode_number_precision", 1, |settings, arguments| {
        one(integer(arguments, 1, &mut settings.number_digits, 1, 14))
    })?;
    // Read back and nothing else: there is no buffer to keep.
    add_setting(lua, module, settings, "encode_keep_buffer", 1, |settings, arguments| {
        one(switch(arguments, 1, &mut settings.keeps_buffer))
    })?;
    add_setting(lua, module, settings, "encode_invalid_numbers", 1, |settings, arguments| {
        let options = &["off", "on", "null"];
        one(invalid_numbers(arguments, options, &mut settings.encode_invalid_numbers))
    })?;
    add_setting(lua, module, settings, "decode_invalid_numbers", 1, |settings, arguments| {
        one(invalid_numbers(arguments, &["off", "on"], &mut settings.decode_invalid_numbers))
    })
}

/// A function that changes settings by its arguments, `count` at most, and returns what they are now. What was set
/// before an argument is refused stays set.
fn add_setting(
    lua: &Lua,
    module: &Table,
    settings: &Shared,
    name: &str,
    count: usize,
    apply: fn(&mut Settings, &Arguments<'_>) -> mlua::Result<MultiValue>,
) -> mlua::Result<()> {
    let shared = Rc::clone(settings);
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        arguments.check(arguments.count() <= count, count + 1, "found too many arguments")?;
        let mut settings = shared.get();
        let result = apply(&mut settings, &arguments);
        shared.set(settings);
        result
    })?;
    module.raw_set(name, function)
}

fn one(value: mlua::Result<Value>) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from(vec![value?]))
}

fn integer(
    arguments: &Arguments<'_>,
    number: usize,
    setting: &mut i32,
    min: i32,
    max: i32,
) -> mlua::Result<Value> {
    if !arguments.is_none_or_nil(number) {
        let value = arguments.integer(number)? as i32;
        // The library names the first argument whichever it is.
        let expected = format!("expected integer between {min} and {max}");
        arguments.check((min..=max).contains(&value), 1, &expected)?;
        *setting = value;
    }
    Ok(Value::Number(f64::from(*setting)))
}

fn switch(arguments: &Arguments<'_>, number: usize, setting: &mut bool) -> mlua::Result<Value> {
    if let Some(choice) = choice(arguments, number, &["off", "on"])? {
        *setting = choice == 1;
    }
    Ok(Value::Boolean(*setting))
}

fn invalid_numbers(
    arguments: &Arguments<'_>,
    options: &[&str],
    setting: &mut InvalidNumbers,
) -> mlua::Result<Value> {
    match choice(arguments, 1, options)? {
        Some(0) => *setting = InvalidNumbers::Off,
        Some(1) => *setting = InvalidNumbers::On,
        Some(_) => *setting = InvalidNumbers::Null,
        None => {}
    }
    match setting {
        InvalidNumbers::Null => Ok(Value::String(arguments.lua().create_string("null")?)),
        _ => Ok(Value::Boolean(*setting == InvalidNumbers::On)),
    }
}

/// Which of `options` argument `number` names; a boolean names the first or second. `None` if it is nil.
fn choice(
    arguments: &Arguments<'_>,
    number: usize,
    options: &[&str],
) -> mlua::Result<Option<usize>> {
    match arguments.value(number) {
        Value::Nil => Ok(None),
        Value::Boolean(is_on) => Ok(Some(usize::from(is_on))),
        _ => {
            let text = arguments.string(number)?;
            let text = text.as_bytes();
            let word = text.split(|byte| *byte == 0).next().unwrap_or_default();
            let found = options.iter().position(|option| option.as_bytes() == word);
            let unknown = || format!("invalid option '{}'", String::from_utf8_lossy(word));
            found.map(Some).ok_or_else(|| arguments.refuse(number, &unknown()))
        }
    }
}

/// A table whose value is being read.
enum Reading {
    Array { table: Table, index: i64 },
    Object { table: Table, key: LuaString },
}

impl Reading {
    /// Slots of Lua's stack it has in the library: the table, and the key.
    fn slots(&self) -> usize {
        match self {
            Reading::Array { .. } => 1,
            Reading::Object { .. } => 2,
        }
    }
}

struct Decoder<'l, 't> {
    lua: &'l Lua,
    lexer: Lexer<'t>,
    depth_max: i32,
    open: Vec<Reading>,
    slots: usize,
}

fn decode(lua: &Lua, text: &LuaString, settings: Settings) -> mlua::Result<Value> {
    let text = text.as_bytes();
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(fail(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let takes_invalid = settings.decode_invalid_numbers == InvalidNumbers::On;
    let lexer = Lexer::new(&text, takes_invalid);
    let depth_max = settings.decode_depth_max;
    Decoder { lua, lexer, depth_max, open: Vec::new(), slots: 1 }.run()
}

impl Decoder<'_, '_> {
    fn run(mut self) -> mlua::Result<Value> {
        loop {
            let token = self.lexer.next_token();
            let mut value = match self.begin_value(token)? {
                Some(value) => value,
                None => continue,
            };
            // A whole value: it goes into its table, which may be whole with it, and so on.
            loop {
                match self.open.pop() {
                    None => {
                        let token = self.lexer.next_token();
                        let is_over = token == Token::End;
                        return if is_over {
                            Ok(value)
                        } else {
                            Err(self.wrong("the end", &token))
                        };
                    }
                    Some(reading) => match self.put(reading, value)? {
                        Some(whole) => value = whole,
                        None => break,
                    },
                }
            }
        }
    }

    /// The value that `token` is, or `None` if it opens a table with something in it.
    fn begin_value(&mut self, mut token: Token) -> mlua::Result<Option<Value>> {
        loop {
            match token {
                Token::String => {
                    return Ok(Some(Value::String(self.lua.create_string(self.lexer.string())?)));
                }
                Token::Number(value) => return Ok(Some(Value::Number(value))),
                Token::Boolean(value) => return Ok(Some(Value::Boolean(value))),
                Token::Null => return Ok(Some(Value::NULL)),
                Token::ObjectBegin => {
                    self.check_depth(3)?;
                    let table = self.lua.create_table()?;
                    token = self.lexer.next_token();
                    if token == Token::ObjectEnd {
                        return Ok(Some(Value::Table(table)));
                    }
                    let key = self.read_key(&token)?;
                    self.push(Reading::Object { table, key });
                    return Ok(None);
                }
                Token::ArrayBegin => {
                    self.check_depth(2)?;
                    let table = self.lua.create_table()?;
                    token = self.lexer.next_token();
                    if token == Token::ArrayEnd {
                        return Ok(Some(Value::Table(table)));
                    }
                    // The token after the bracket is the first value's.
                    self.push(Reading::Array { table, index: 1 });
                }
                _ => return Err(self.wrong("value", &token)),
            }
        }
    }

    /// Puts `value` in the table it belongs to. That table if it is whole now, `None` if it goes on.
    fn put(&mut self, reading: Reading, value: Value) -> mlua::Result<Option<Value>> {
        self.slots -= reading.slots();
        match reading {
            Reading::Array { table, index } => {
                table.raw_set(index, value)?;
                match self.lexer.next_token() {
                    Token::ArrayEnd => Ok(Some(Value::Table(table))),
                    Token::Comma => {
                        self.push(Reading::Array { table, index: index + 1 });
                        Ok(None)
                    }
                    token => Err(self.wrong("comma or array end", &token)),
                }
            }
            Reading::Object { table, key } => {
                table.raw_set(key, value)?;
                match self.lexer.next_token() {
                    Token::ObjectEnd => Ok(Some(Value::Table(table))),
                    Token::Comma => {
                        let token = self.lexer.next_token();
                        let key = self.read_key(&token)?;
                        self.push(Reading::Object { table, key });
                        Ok(None)
                    }
                    token => Err(self.wrong("comma or object end", &token)),
                }
            }
        }
    }

    fn push(&mut self, reading: Reading) {
        self.slots += reading.slots();
        self.open.push(reading);
    }

    fn read_key(&mut self, token: &Token) -> mlua::Result<LuaString> {
        if *token != Token::String {
            return Err(self.wrong("object key string", token));
        }
        let key = self.lua.create_string(self.lexer.string())?;
        match self.lexer.next_token() {
            Token::Colon => Ok(key),
            token => Err(self.wrong("colon", &token)),
        }
    }

    fn check_depth(&self, slots: usize) -> mlua::Result<()> {
        let depth = self.open.len() + 1;
        if depth <= self.depth_max as usize && self.slots + slots <= STACK_SLOTS_MAX {
            return Ok(());
        }
        let at = self.lexer.position();
        let text = format!("Found too many nested data structures ({depth}) at character {at}");
        Err(fail(self.lua, &text))
    }

    fn wrong(&self, expected: &str, found: &Token) -> Error {
        let (found, at) = (found.name(), self.lexer.token_position() + 1);
        fail(self.lua, format!("Expected {expected} but found {found} at character {at}"))
    }
}

/// A table that is being written.
enum Writing {
    Array { table: Table, index: i32, len: i32 },
    Object { table: Table, key: Value },
}

/// So many tables within tables are written by recursion. Each takes one of the 200 calls that Lua allows C.
const RECURSION_MAX: usize = 16;

struct Encoder<'l> {
    lua: &'l Lua,
    next: &'l Function,
    settings: Settings,
    out: Vec<u8>,
    /// Tables being written by recursion.
    depth: usize,
    /// Tables within those being written without.
    open: Vec<Writing>,
    /// What is wrong. It becomes an error where the place in the script can be told, which is outside of all walks.
    failure: Option<String>,
}

impl<'l> Encoder<'l> {
    fn new(lua: &'l Lua, next: &'l Function, settings: Settings) -> Encoder<'l> {
        let (out, open) = (Vec::new(), Vec::new());
        Encoder { lua, next, settings, out, depth: 0, open, failure: None }
    }

    fn run(&mut self, value: &Value) -> mlua::Result<()> {
        self.write(value).map_err(|error| match self.failure.take() {
            Some(text) => fail(self.lua, text),
            None => error,
        })
    }

    /// Writes a value, with all that is in it.
    fn write(&mut self, value: &Value) -> mlua::Result<()> {
        let Value::Table(table) = value else { return self.write_scalar(value) };
        if self.depth == RECURSION_MAX {
            self.begin_table(table)?;
            return self.write_open();
        }
        self.check_size()?;
        self.check_depth()?;
        let len = self.array_len(table)?;
        self.depth += 1;
        if len > 0 {
            self.write_array(table, len)?
        } else {
            self.write_object(table)?
        }
        self.depth -= 1;
        Ok(())
    }

    fn write_array(&mut self, table: &Table, len: i32) -> mlua::Result<()> {
        self.out.push(b'[');
        for index in 1..=len {
            if index > 1 {
                self.out.push(b',');
                self.check_size()?;
            }
            self.write(&table.raw_get(index)?)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn write_object(&mut self, table: &Table) -> mlua::Result<()> {
        let mut is_first = true;
        self.out.push(b'{');
        table.for_each(|key: Value, value: Value| {
            self.write_key(&key, std::mem::take(&mut is_first))?;
            self.write(&value)
        })?;
        self.out.push(b'}');
        Ok(())
    }

    /// Writes what is open to its end.
    fn write_open(&mut self) -> mlua::Result<()> {
        while let Some(writing) = self.open.pop() {
            self.check_size()?;
            match writing {
                Writing::Array { index, len, .. } if index >= len => self.out.push(b']'),
                Writing::Array { table, index, len } => {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    let value = table.raw_get(index + 1)?;
                    self.open.push(Writing::Array { table, index: index + 1, len });
                    self.begin(&value)?;
                }
                Writing::Object { table, key } => self.write_entry(table, key)?,
            }
        }
        Ok(())
    }

    /// The entry of `table` after that with `key`, or the end of the object.
    fn write_entry(&mut self, table: Table, key: Value) -> mlua::Result<()> {
        let is_first = matches!(key, Value::Nil);
        let (key, value) = self.next.call::<(Value, Value)>((&table, key))?;
        if matches!(key, Value::Nil) {
            self.out.push(b'}');
            return Ok(());
        }
        self.write_key(&key, is_first)?;
        self.open.push(Writing::Object { table, key });
        self.begin(&value)
    }

    fn write_key(&mut self, key: &Value, is_first: bool) -> mlua::Result<()> {
        if !is_first {
            self.out.push(b',');
        }
        match key {
            Value::String(text) => write_string(&mut self.out, &text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                self.out.push(b'"');
                self.write_number(key)?;
                self.out.push(b'"');
            }
            _ => return Err(self.refuse(key, "table key must be a number or string")),
        }
        self.out.push(b':');
        Ok(())
    }

    /// Writes a value, or opens the table it is.
    fn begin(&mut self, value: &Value) -> mlua::Result<()> {
        match value {
            Value::Table(table) => self.begin_table(table),
            scalar => self.write_scalar(scalar),
        }
    }

    fn begin_table(&mut self, table: &Table) -> mlua::Result<()> {
        self.check_depth()?;
        let len = self.array_len(table)?;
        let table = table.clone();
        if len > 0 {
            self.out.push(b'[');
            self.open.push(Writing::Array { table, index: 0, len });
        } else {
            self.out.push(b'{');
            self.open.push(Writing::Object { table, key: Value::Nil });
        }
        Ok(())
    }

    fn write_scalar(&mut self, value: &Value) -> mlua::Result<()> {
        match value {
            Value::String(text) => write_string(&mut self.out, &text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => self.write_number(value)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            other => return Err(self.refuse(other, "type not supported")),
        }
        Ok(())
    }

    fn write_number(&mut self, value: &Value) -> mlua::Result<()> {
        let number = match value {
            Value::Integer(number) => *number as f64,
            Value::Number(number) => *number,
            _ => return Ok(()),
        };
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers {
                InvalidNumbers::Off => return Err(self.refuse(value, "must not be NaN or Inf")),
                InvalidNumbers::On => {}
                InvalidNumbers::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        write_number(&mut self.out, number, self.settings.number_digits as usize);
        Ok(())
    }

    /// How many elements a table has as an array: the greatest index. 0 or less: it is an object.
    fn array_len(&mut self, table: &Table) -> mlua::Result<i32> {
        let (mut max, mut count, mut is_object) = (0i32, 0i32, false);
        // Of a value this reads no more than whether it is false, which costs nothing.
        let walked = table.for_each(|key: Value, _: bool| {
            let index = match key {
                Value::Integer(index) => index as f64,
                Value::Number(index) => index,
                _ => 0.0,
            };
            if index < 1.0 || index.floor() != index {
                is_object = true;
                // Any error ends the walk; this one allocates nothing.
                return Err(Error::StackError);
            }
            if index > f64::from(max) {
                // Beyond an int it becomes negative, and the table an object: so it is in Redis.
                max = to_int(index);
            }
            count = count.wrapping_add(1);
            Ok(())
        });
        if is_object {
            return Ok(-1);
        }
        walked?;
        let Settings { sparse_ratio: ratio, sparse_safe: safe, .. } = self.settings;
        if ratio > 0 && max > count.wrapping_mul(ratio) && max > safe {
            if !self.settings.converts_sparse {
                return Err(
                    self.fail("Cannot serialise table: excessively sparse array".to_owned())
                );
            }
            return Ok(-1);
        }
        Ok(max)
    }

    fn check_size(&self) -> mlua::Result<()> {
        if self.out.len() <= TEXT_LEN_MAX {
            return Ok(());
        }
        Err(Error::MemoryError("not enough memory".to_owned()))
    }

    fn check_depth(&mut self) -> mlua::Result<()> {
        let depth = self.depth + self.open.len() + 1;
        let slots = |writing: &Writing| match writing {
            Writing::Array { .. } => 1,
            Writing::Object { .. } => 2,
        };
        // The count of slots can only be too many where the depth is more than half of them.
        let is_near = depth * 2 + 4 > STACK_SLOTS_MAX;
        let open = || self.depth * 2 + self.open.iter().map(slots).sum::<usize>();
        let is_over = is_near && open() + 4 > STACK_SLOTS_MAX;
        if depth <= self.settings.encode_depth_max as usize && !is_over {
            return Ok(());
        }
        Err(self.fail(format!("Cannot serialise, excessive nesting ({depth})")))
    }

    fn refuse(&mut self, value: &Value, what: &str) -> Error {
        self.fail(format!("Cannot serialise {}: {what}", type_name(value)))
    }

    /// Ends it all with this text.
    fn fail(&mut self, text: String) -> Error {
        self.failure = Some(text);
        Error::StackError
    }
}

#[cfg(test)]
#[path = "cjson_tests.rs"]
mod tests;
