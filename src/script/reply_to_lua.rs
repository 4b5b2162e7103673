//! A command's reply as a value of Lua.
//!
//! | reply | Lua |
//! |---|---|
//! | integer | number |
//! | string | string |
//! | null | false; nil in RESP3 |
//! | status, error | table with `ok` or `err` |
//! | array | table |
//! | map, set, double, big number, verbatim string | table with a field of that name |
//!
//! The reply is ours, so it is not checked; should it be cut short all the same, what is missing is nil.
//! Cost: one allocation of Lua per string and table.
use mlua::{Lua, Result, Value};

use crate::script::fail::{error_table, with_code};

/// Reads one reply.
pub fn reply_to_lua(lua: &Lua, encoded: &[u8]) -> Result<Value> {
    Reader { rest: encoded }.value(lua)
}

/// The text of an error reply, without `-` and line end; `None` if it is none.
pub fn error_of(encoded: &[u8]) -> Option<&[u8]> {
    let line = encoded.strip_prefix(b"-")?;
    let end = memchr::memchr(b'\r', line).unwrap_or(line.len());
    line.get(..end)
}

struct Reader<'r> {
    rest: &'r [u8],
}

impl<'r> Reader<'r> {
    fn line(&mut self) -> &'r [u8] {
        let end = memchr::memchr(b'\r', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(2..).unwrap_or(&[]);
        line
    }

    fn number(&mut self) -> i64 {
        let line = self.line();
        std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()).ok()
    }

    fn bytes(&mut self, len: usize) -> &'r [u8] {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or(&[]);
        bytes
    }

    fn value(&mut self, lua: &Lua) -> Result<Value> {
        let Some((kind, rest)) = self.rest.split_first() else { return Ok(Value::Nil) };
        self.rest = rest;
        match kind {
            b':' => Ok(Value::Number(self.number() as f64)),
            b'$' => match self.count() {
                Some(len) => Ok(Value::String(lua.create_string(self.bytes(len))?)),
                None => Ok(Value::Boolean(false)),
            },
            b'+' => {
                let text = lua.create_string(self.line())?;
                let table = lua.create_table_with_capacity(0, 1)?;
                table.raw_set("ok", text)?;
                Ok(Value::Table(table))
            }
            b'-' => {
                let text = with_code(&[b"-", self.line()].concat());
                Ok(Value::Table(error_table(lua, &text, true)?))
            }
            b'*' | b'>' => match self.count() {
                Some(count) => self.array(lua, count),
                None => Ok(Value::Boolean(false)),
            },
            b'_' => {
                self.line();
                Ok(Value::Nil)
            }
            b'#' => Ok(Value::Boolean(self.line() == b"t")),
            _ => self.resp3(lua, *kind),
        }
    }

    fn array(&mut self, lua: &Lua, count: usize) -> Result<Value> {
        let table = lua.create_table_with_capacity(count.min(self.rest.len()), 0)?;
        for index in 1..=count {
            let value = self.value(lua)?;
            if !value.is_nil() {
                table.raw_set(index, value)?;
            }
        }
        Ok(Value::Table(table))
    }

    /// Types that have a table with one field of their name.
    fn resp3(&mut self, lua: &Lua, kind: u8) -> Result<Value> {
        let outer = lua.create_table_with_capacity(0, 1)?;
        match kind {
            b'%' => {
                let pairs = self.count().unwrap_or(0);
                let inner = lua.create_table_with_capacity(0, pairs.min(self.rest.len()))?;
                for _ in 0..pairs {
                    let key = self.value(lua)?;
                    let value = self.value(lua)?;
                    if !key.is_nil() {
                        inner.raw_set(key, value)?;
                    }
                }
                outer.raw_set("map", inner)?;
            }
            b'~' => {
                let count = self.count().unwrap_or(0);
                let inner = lua.create_table_with_capacity(0, count.min(self.rest.len()))?;
                for _ in 0..count {
                    let member = self.value(lua)?;
                    if !member.is_nil() {
                        inner.raw_set(member, true)?;
                    }
                }
                outer.raw_set("set", inner)?;
            }
            b',' => {
                let text = std::str::from_utf8(self.line()).unwrap_or("");
                outer.raw_set("double", text.parse::<f64>().unwrap_or(f64::NAN))?;
            }
            b'(' => outer.raw_set("big_number", lua.create_string(self.line())?)?,
            b'=' => {
                let len = self.count().unwrap_or(0);
                let whole = self.bytes(len);
                let inner = lua.create_table_with_capacity(0, 2)?;
                inner.raw_set("string", lua.create_string(whole.get(4..).unwrap_or(&[]))?)?;
                inner.raw_set("format", lua.create_string(whole.get(..3).unwrap_or(&[]))?)?;
                outer.raw_set("verbatim_string", inner)?;
            }
            // Attributes, which scripts do not see, stand before what they belong to.
            b'|' => {
                let pairs = self.count().unwrap_or(0);
                for _ in 0..pairs * 2 {
                    self.value(lua)?;
                }
                return self.value(lua);
            }
            _ => return Ok(Value::Nil),
        }
        Ok(Value::Table(outer))
    }
}
