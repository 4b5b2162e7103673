//! `cmsgpack`: MessagePack for scripts, as lua-cmsgpack 0.4.0 in Redis has it.
//!
//! A table whose keys are 1 to n is an array, any other a map; below `NESTING_MAX` tables within tables nil is
//! written. What is open while items are read stands in a `Vec`: no nesting overflows the stack, and it ends where the
//! library would run out of slots of Lua's stack. A count of items costs nothing until the items are there.

use mlua::{Error, Lua, MultiValue, Table, Value};

use super::arguments::{Arguments, STACK_SLOTS_MAX};
use super::cmsgpack_text::{
    Item, Malformed, read, write_array, write_boolean, write_integer, write_map, write_nil,
    write_number, write_string,
};
use super::fail::fail_bare;
use crate::base::c_number::to_int;

/// Tables within tables that are written.
const NESTING_MAX: usize = 16;

/// The module's table, new.
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.raw_set("pack", lua.create_function(pack)?)?;
    let unpack = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        unpack_items(&arguments, 0, 0, arguments.count())
    })?;
    module.raw_set("unpack", unpack)?;
    let unpack_one = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        let offset = arguments.integer_or(2, 0)?;
        unpack_items(&arguments, 1, offset, 1)
    })?;
    module.raw_set("unpack_one", unpack_one)?;
    let unpack_limit = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        let limit = arguments.integer(2)?;
        let offset = arguments.integer_or(3, 0)?;
        unpack_items(&arguments, limit, offset, 1)
    })?;
    module.raw_set("unpack_limit", unpack_limit)?;
    module.raw_set("_NAME", "cmsgpack")?;
    module.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    module.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    module.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(module)
}

fn pack(lua: &Lua, values: MultiValue) -> mlua::Result<Value> {
    let arguments = Arguments::new(lua, values);
    let count = arguments.count();
    arguments.check(count > 0, 0, "MessagePack pack needs input.")?;
    let is_room = count * 2 <= STACK_SLOTS_MAX;
    arguments.check(is_room, 0, "Too many arguments for MessagePack pack.")?;
    let mut out = Vec::new();
    for number in 1..=count {
        write(&mut out, &arguments.value(number), 0)?;
    }
    lua.create_string(&out).map(Value::String)
}

/// Appends `value`, which is within `depth` tables.
fn write(out: &mut Vec<u8>, value: &Value, depth: usize) -> mlua::Result<()> {
    match value {
        Value::String(text) => write_string(out, &text.as_bytes()),
        Value::Boolean(value) => write_boolean(out, *value),
        Value::Integer(value) => write_integer(out, *value),
        Value::Number(value) => write_number(out, *value),
        Value::Table(table) if depth < NESTING_MAX => match entries(table)? {
            Entries::Array(len) => {
                write_array(out, len);
                for index in 1..=len {
                    write(out, &table.raw_get(index)?, depth + 1)?;
                }
            }
            Entries::Map(len) => {
                write_map(out, len);
                table.for_each(|key: Value, value: Value| {
                    write(out, &key, depth + 1)?;
                    write(out, &value, depth + 1)
                })?;
            }
        },
        _ => write_nil(out),
    }
    Ok(())
}

enum Entries {
    Array(usize),
    Map(usize),
}

/// What a table is written as, and how many entries it has. O(entries).
fn entries(table: &Table) -> mlua::Result<Entries> {
    let (mut count, mut max, mut is_array) = (0, 0, true);
    // Of a value this reads no more than whether it is false, which costs nothing.
    table.for_each(|key: Value, _: bool| {
        count += 1;
        if is_array {
            match index(&key) {
                Some(index) => max = max.max(index),
                None => is_array = false,
            }
        }
        Ok(())
    })?;
    Ok(if is_array && max == count { Entries::Array(count) } else { Entries::Map(count) })
}

/// A key that can be an index of an array: a positive integer of 32 bits.
fn index(key: &Value) -> Option<usize> {
    let number = match key {
        Value::Integer(number) => *number as f64,
        Value::Number(number) => *number,
        _ => return None,
    };
    let is_index = number > 0.0 && f64::from(to_int(number)) == number;
    is_index.then_some(number as usize)
}

/// Reads `limit` items of the first argument from `offset` on, or all if both are 0. Where there was a limit, the
/// first result is where to go on, -1 at the end. `slots` is what stands on Lua's stack before the results.
fn unpack_items(
    arguments: &Arguments<'_>,
    limit: i64,
    offset: i64,
    slots: usize,
) -> mlua::Result<MultiValue> {
    let is_all = limit == 0 && offset == 0;
    let text = arguments.string(1)?;
    let text = text.as_bytes();
    let len = text.len();
    if offset < 0 || limit < 0 {
        // It is the length that the library names as the limit.
        let (offset, limit) = (offset as i32, len as i32);
        return Err(arguments.raise(&format!(
            "Invalid request to unpack with offset of {offset} and limit of {limit}."
        )));
    }
    let Some(rest) = text.get(offset as usize..) else {
        let (offset, len) = (offset as i32, len as i32);
        return Err(
            arguments.raise(&format!("Start offset {offset} greater than input length {len}."))
        );
    };
    let limit = if is_all { i32::MAX as usize } else { limit as usize };
    let mut reader = Reader { arguments, bytes: rest, open: Vec::new(), slots };
    let mut results = MultiValue::new();
    while !reader.bytes.is_empty() && results.len() < limit {
        results.push_back(reader.value()?);
        reader.slots += 1;
    }
    if !is_all {
        arguments.check_stack(reader.slots + 1, "in function mp_unpack_full")?;
        let left = reader.bytes.len();
        let next = if left == 0 { -1 } else { (len - left) as i64 };
        results.push_front(Value::Integer(next));
    }
    Ok(results)
}

/// A table whose items are being read.
enum Reading {
    Array { table: Table, index: usize, len: usize },
    Map { table: Table, left: usize, key: Option<Value> },
}

impl Reading {
    /// Slots of Lua's stack it has in the library while one of its items is read.
    fn slots(&self) -> usize {
        match self {
            Reading::Array { .. } => 2,
            Reading::Map { key, .. } => 1 + usize::from(key.is_some()),
        }
    }
}

struct Reader<'a, 'l, 'b> {
    arguments: &'a Arguments<'l>,
    bytes: &'b [u8],
    open: Vec<Reading>,
    slots: usize,
}

impl Reader<'_, '_, '_> {
    /// The next value, with all that is in it.
    fn value(&mut self) -> mlua::Result<Value> {
        loop {
            let Some(mut value) = self.begin_value()? else { continue };
            loop {
                let Some(reading) = self.open.pop() else { return Ok(value) };
                self.slots -= reading.slots();
                match self.put(reading, value)? {
                    Some(whole) => value = whole,
                    None => break,
                }
            }
        }
    }

    /// The value that the next item is, or `None` if it opens a table with something in it.
    fn begin_value(&mut self) -> mlua::Result<Option<Value>> {
        const TOO_MANY: &str =
            "too many return values at once; use unpack_one or unpack_limit instead.";
        if self.bytes.is_empty() {
            return Err(self.malformed(Malformed::Missing));
        }
        self.arguments.check_stack(self.slots + 1, TOO_MANY)?;
        let lua = self.arguments.lua();
        let value = match read(&mut self.bytes).map_err(|what| self.malformed(what))? {
            Item::Nil => Value::Nil,
            Item::Boolean(value) => Value::Boolean(value),
            Item::Integer(value) => Value::Integer(value),
            Item::Double(value) => Value::Number(value),
            Item::String(text) => Value::String(lua.create_string(text)?),
            Item::Array(len) => {
                self.arguments.check_stack(self.slots + 2, "in function mp_decode_to_lua_array")?;
                let table = lua.create_table()?;
                if len > 0 {
                    self.push(Reading::Array { table, index: 1, len });
                    return Ok(None);
                }
                Value::Table(table)
            }
            Item::Map(left) => {
                let table = lua.create_table()?;
                if left > 0 {
                    self.push(Reading::Map { table, left, key: None });
                    return Ok(None);
                }
                Value::Table(table)
            }
        };
        Ok(Some(value))
    }

    /// Puts `value` in the table it belongs to. That table if it is whole now, `None` if it goes on.
    fn put(&mut self, reading: Reading, value: Value) -> mlua::Result<Option<Value>> {
        let next = match reading {
            Reading::Array { table, index, len } => {
                table.raw_set(index, value)?;
                if index == len {
                    return Ok(Some(Value::Table(table)));
                }
                Reading::Array { table, index: index + 1, len }
            }
            Reading::Map { table, left, key: None } => {
                Reading::Map { table, left, key: Some(value) }
            }
            Reading::Map { table, left, key: Some(key) } => {
                self.set_entry(&table, key, value)?;
                if left == 1 {
                    return Ok(Some(Value::Table(table)));
                }
                Reading::Map { table, left: left - 1, key: None }
            }
        };
        self.push(next);
        Ok(None)
    }

    fn set_entry(&self, table: &Table, key: Value, value: Value) -> mlua::Result<()> {
        // Lua's own error of a function that is no Lua code has no place before it.
        match key {
            Value::Nil => Err(fail_bare("table index is nil")),
            Value::Number(key) if key.is_nan() => Err(fail_bare("table index is NaN")),
            key => table.raw_set(key, value),
        }
    }

    fn push(&mut self, reading: Reading) {
        self.slots += reading.slots();
        self.open.push(reading);
    }

    fn malformed(&self, what: Malformed) -> Error {
        self.arguments.raise(match what {
            Malformed::Missing => "Missing bytes in input.",
            Malformed::Unknown => "Bad data format in input.",
        })
    }
}

#[cfg(test)]
#[path = "cmsgpack_tests.rs"]
mod tests;
