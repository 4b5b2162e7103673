//! `cmsgpack`: MessagePack for scripts, as lua-cmsgpack 0.4.0 in Redis has it.
//!
//! A table whose keys are 1 to n is an array, any other a map; below `NESTING_MAX` tables within tables nil is
//! written. What is open while items are read stands in a `Vec` and on Lua's stack: no nesting overflows ours, and it
//! ends where the library runs out of Lua's. A count of items costs nothing until the items are there.

use mlua::{Lua, Table};

use super::cmsgpack_text::{
    Item, Malformed, read, write_array, write_boolean, write_map, write_nil, write_number,
    write_string,
};
use super::raise::{Body, Lend, Raise, Shared, function};
use super::stack::{Stack, View};
use crate::base::c_number::{to_int, to_long};

/// Tables within tables that are written.
const NESTING_MAX: usize = 16;

/// The functions share nothing.
struct Nothing;

impl Lend for Nothing {
    type Data<'a> = ();

    fn shorten<'s, 'l: 's>(data: &'s ()) -> &'s () {
        data
    }
}

/// The module's table, new.
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let nothing = Shared::<Nothing>::keep(lua, ())?;
    module.raw_set("pack", function::<Pack>(lua, &nothing)?)?;
    module.raw_set("unpack", function::<Unpack>(lua, &nothing)?)?;
    module.raw_set("unpack_one", function::<UnpackOne>(lua, &nothing)?)?;
    module.raw_set("unpack_limit", function::<UnpackLimit>(lua, &nothing)?)?;
    module.raw_set("_NAME", "cmsgpack")?;
    module.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    module.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    module.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(module)
}

fn check_stack(stack: &mut Stack<'_>, slots: usize, what: &str) -> Result<(), Raise> {
    if stack.reserve(slots) {
        return Ok(());
    }
    Err(Raise::placed(format!("stack overflow ({what})")))
}

/// `cmsgpack.pack`
struct Pack;

impl Body for Pack {
    type Lent = Nothing;

    fn call(stack: &mut Stack<'_>, _: &()) -> Result<usize, Raise> {
        let count = stack.top();
        if count == 0 {
            return Err(Raise::argument(0, "MessagePack pack needs input."));
        }
        if !stack.reserve(count) {
            return Err(Raise::argument(0, "Too many arguments for MessagePack pack."));
        }
        let mut out = Vec::new();
        for number in 1..=count {
            check_stack(stack, 1, "in function mp_check")?;
            stack.push_copy(number);
            write(stack, &mut out, 0)?;
        }
        stack.set_top(0);
        stack.push_text(&out);
        Ok(1)
    }
}

/// Appends the last value, which is within `depth` tables, and removes it.
fn write(stack: &mut Stack<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Raise> {
    let top = stack.top();
    match stack.view(top) {
        View::Text(text) => write_string(out, text),
        View::Number(value) => write_number(out, value),
        View::Boolean(value) => write_boolean(out, value),
        View::Table if depth < NESTING_MAX => write_table(stack, out, depth)?,
        _ => write_nil(out),
    }
    stack.pop(1);
    Ok(())
}

fn write_table(stack: &mut Stack<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Raise> {
    let table = stack.top();
    check_stack(stack, 3, "in function table_is_an_array")?;
    match entries(stack) {
        Entries::Array(len) => {
            write_array(out, len);
            for index in 1..=len {
                stack.get_element(table, index);
                write(stack, out, depth + 1)?;
            }
        }
        Entries::Map(len) => {
            write_map(out, len);
            stack.push_nil();
            while stack.next(table) {
                // Key and value; the key once more, for the next one.
                stack.push_copy(table + 1);
                write(stack, out, depth + 1)?;
                write(stack, out, depth + 1)?;
            }
        }
    }
    Ok(())
}

enum Entries {
    Array(usize),
    Map(usize),
}

/// What the last value, a table, is written as, and how many entries it has. O(entries).
fn entries(stack: &mut Stack<'_>) -> Entries {
    let (mut count, mut max, mut is_array) = (0, 0, true);
    let table = stack.top();
    stack.push_nil();
    while stack.next(table) {
        count += 1;
        if is_array {
            match stack.view(table + 1) {
                // A key that can be an index of an array: a positive integer of 32 bits.
                View::Number(number) if number > 0.0 && f64::from(to_int(number)) == number => {
                    max = max.max(number as usize);
                }
                _ => is_array = false,
            }
        }
        stack.pop(1);
    }
    if is_array && max == count { Entries::Array(count) } else { Entries::Map(count) }
}

/// `cmsgpack.unpack`
struct Unpack;

impl Body for Unpack {
    type Lent = Nothing;

    fn call(stack: &mut Stack<'_>, _: &()) -> Result<usize, Raise> {
        unpack_items(stack, 0, 0)
    }
}

/// `cmsgpack.unpack_one`
struct UnpackOne;

impl Body for UnpackOne {
    type Lent = Nothing;

    fn call(stack: &mut Stack<'_>, _: &()) -> Result<usize, Raise> {
        let offset = integer_or(stack, 2, 0)?;
        unpack_items(stack, 1, offset)
    }
}

/// `cmsgpack.unpack_limit`
struct UnpackLimit;

impl Body for UnpackLimit {
    type Lent = Nothing;

    fn call(stack: &mut Stack<'_>, _: &()) -> Result<usize, Raise> {
        let limit = integer(stack, 2)?;
        let offset = integer_or(stack, 3, 0)?;
        unpack_items(stack, limit, offset)
    }
}

fn integer(stack: &Stack<'_>, number: usize) -> Result<i64, Raise> {
    match stack.number(number) {
        Some(value) => Ok(to_long(value)),
        None => Err(Raise::wrong_kind(stack, number, "number")),
    }
}

fn integer_or(stack: &Stack<'_>, number: usize, default: i64) -> Result<i64, Raise> {
    if stack.is_nil(number) { Ok(default) } else { integer(stack, number) }
}

/// Reads `limit` items of the first argument from `offset` on, or all if both are 0. Where there was a limit, the
/// first result is where to go on, -1 at the end.
fn unpack_items(stack: &mut Stack<'_>, limit: i64, offset: i64) -> Result<usize, Raise> {
    let is_all = limit == 0 && offset == 0;
    if !is_all && stack.top() > 1 {
        stack.set_top(1);
    }
    if stack.text(1).is_none() {
        return Err(Raise::wrong_kind(stack, 1, "string"));
    }
    let unpacked = stack.above_text(1, |text, stack| {
        let (rest, limit) = part(text, limit, offset, is_all)?;
        let mut reader = Reader { stack, bytes: rest, open: Vec::new(), arrays: 0 };
        let mut count = 0;
        while !reader.bytes.is_empty() && count < limit {
            reader.value()?;
            count += 1;
        }
        if !is_all {
            let left = reader.bytes.len();
            check_stack(reader.stack, 1, "in function mp_unpack_full")?;
            let next = if left == 0 { -1.0 } else { (text.len() - left) as f64 };
            reader.stack.push_number(next);
            reader.stack.insert(1);
            count += 1;
        }
        Ok(count)
    });
    unpacked.unwrap_or(Ok(0))
}

/// The bytes to be read, and how many items of them.
fn part(text: &[u8], limit: i64, offset: i64, is_all: bool) -> Result<(&[u8], usize), Raise> {
    let len = text.len() as i32;
    if offset < 0 || limit < 0 {
        // It is the length that the library names as the limit.
        let offset = offset as i32;
        return Err(Raise::placed(format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    }
    let Some(rest) = text.get(offset as usize..) else {
        let offset = offset as i32;
        let text = format!("Start offset {offset} greater than input length {len}.");
        return Err(Raise::placed(text));
    };
    Ok((rest, if is_all { i32::MAX as usize } else { limit as usize }))
}

/// A table whose items are being read: it is on the stack, of a map with the key above it once that was read.
enum Reading {
    Array { index: usize, len: usize },
    Map { done: usize, len: usize, has_key: bool },
}

struct Reader<'a, 's, 'b> {
    stack: &'a mut Stack<'s>,
    bytes: &'b [u8],
    open: Vec<Reading>,
    /// Arrays that are open: the library has an index on the stack for each.
    arrays: usize,
}

impl Reader<'_, '_, '_> {
    /// Pushes the next value, with all that is in it.
    fn value(&mut self) -> Result<(), Raise> {
        loop {
            if !self.begin_value()? {
                continue;
            }
            loop {
                if self.open.is_empty() {
                    return Ok(());
                }
                if !self.put()? {
                    break;
                }
            }
        }
    }

    fn check(&mut self, slots: usize, what: &str) -> Result<(), Raise> {
        check_stack(self.stack, slots + self.arrays, what)
    }

    /// Pushes the value that the next item is, tables without room made beforehand: it would change the order of what
    /// is in them; false if it is a table with something in it.
    fn begin_value(&mut self) -> Result<bool, Raise> {
        const TOO_MANY: &str =
            "too many return values at once; use unpack_one or unpack_limit instead.";
        if self.bytes.is_empty() {
            return Err(malformed(Malformed::Missing));
        }
        self.check(1, TOO_MANY)?;
        match read(&mut self.bytes).map_err(malformed)? {
            Item::Nil => self.stack.push_nil(),
            Item::Boolean(value) => self.stack.push_boolean(value),
            Item::Integer(value) => self.stack.push_number(value as f64),
            Item::Double(value) => self.stack.push_number(value),
            Item::String(text) => self.stack.push_text(text),
            Item::Array(len) => {
                self.check(2, "in function mp_decode_to_lua_array")?;
                self.stack.push_table(0, 0);
                if len > 0 {
                    self.arrays += 1;
                    self.open.push(Reading::Array { index: 1, len });
                    return Ok(false);
                }
            }
            Item::Map(len) => {
                self.stack.push_table(0, 0);
                if len > 0 {
                    self.open.push(Reading::Map { done: 0, len, has_key: false });
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Puts the last value in the table it belongs to; whether that is whole now.
    fn put(&mut self) -> Result<bool, Raise> {
        let top = self.stack.top();
        let is_whole = match self.open.last_mut() {
            None => true,
            Some(Reading::Array { index, len }) => {
                self.stack.set_element(top - 1, *index)?;
                *index += 1;
                *index > *len
            }
            Some(Reading::Map { has_key: has_key @ false, .. }) => {
                *has_key = true;
                false
            }
            Some(Reading::Map { done, len, has_key }) => {
                self.stack.set_field(top - 2, *done)?;
                *has_key = false;
                *done += 1;
                done == len
            }
        };
        if is_whole && let Some(Reading::Array { .. }) = self.open.pop() {
            self.arrays -= 1;
        }
        Ok(is_whole)
    }
}

fn malformed(what: Malformed) -> Raise {
    Raise::placed(match what {
        Malformed::Missing => "Missing bytes in input.",
        Malformed::Unknown => "Bad data format in input.",
    })
}

#[cfg(test)]
#[path = "cmsgpack_tests.rs"]
mod tests;
