//! Values and replies as the debugger shows them, in Redis's words.
use std::cell::Cell;

use mlua::{Function, Result, Value};

use crate::base::c_number::write_general;
use crate::base::number::parse_i64;
use crate::base::quote::quote_into;
use crate::script::fail;

/// Tables in tables are shown so deep.
const DEPTH_MAX: usize = 10;

/// Shows values of Lua.
pub struct Shower {
    /// `next`, which looks behind what protects tables.
    pub next: Function,
    /// Beyond so many bytes nothing needs to be shown. Tables that hold each other are shown many times over.
    pub bytes_max: Cell<usize>,
}

impl Shower {
    /// Appends a value, as far as `bytes_max` reaches: a table as a list where its keys are 1, 2, 3 in the order Lua
    /// has them in, and as pairs otherwise. Cost: what is shown, which for tables in tables is all of it.
    pub fn show(&self, lua: &mlua::Lua, out: &mut Vec<u8>, value: Value) -> Result<()> {
        self.show_at(lua, out, value, 0)
    }

    fn show_at(
        &self,
        lua: &mlua::Lua,
        out: &mut Vec<u8>,
        value: Value,
        depth: usize,
    ) -> Result<()> {
        if out.len() > self.bytes_max.get() {
            return Ok(());
        }
        if depth == DEPTH_MAX {
            out.extend_from_slice(b"<max recursion level reached! Nested table?>");
            return Ok(());
        }
        let value = fail::plain(lua, value)?;
        match &value {
            Value::Nil => out.extend_from_slice(b"nil"),
            Value::Boolean(truth) => {
                out.extend_from_slice(if *truth { b"true" } else { b"false" });
            }
            Value::Integer(number) => write_general(out, *number as f64, 6),
            Value::Number(number) => write_general(out, *number, 6),
            Value::String(text) => quote_into(out, &text.as_bytes()),
            Value::Table(_) => self.show_table(lua, out, &value, depth + 1)?,
            Value::Function(_) => show_address(out, "function", &value),
            Value::Thread(_) => show_address(out, "thread", &value),
            Value::LightUserData(_) => show_address(out, "light-userdata", &value),
            Value::UserData(_) => show_address(out, "userdata", &value),
            _ => out.extend_from_slice(b"\"<unknown-lua-type>\""),
        }
        Ok(())
    }

    fn show_table(
        &self,
        lua: &mlua::Lua,
        out: &mut Vec<u8>,
        table: &Value,
        depth: usize,
    ) -> Result<()> {
        let is_list = self.is_list(table)?;
        out.push(b'{');
        let mut is_first = true;
        let mut key = Value::Nil;
        loop {
            let (next, value): (Value, Value) = self.next.call((table, key))?;
            if next.is_nil() || out.len() > self.bytes_max.get() {
                break;
            }
            if !std::mem::take(&mut is_first) {
                out.extend_from_slice(b"; ");
            }
            if !is_list {
                out.push(b'[');
                self.show_at(lua, out, next.clone(), depth)?;
                out.extend_from_slice(b"]=");
            }
            self.show_at(lua, out, value, depth)?;
            key = next;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether its keys are 1, 2, 3 as they come.
    fn is_list(&self, table: &Value) -> Result<bool> {
        let mut key = Value::Nil;
        let mut expected = 1.0;
        loop {
            let (next, _): (Value, Value) = self.next.call((table, key))?;
            let number = match &next {
                Value::Nil => return Ok(true),
                Value::Integer(number) => *number as f64,
                Value::Number(number) => *number,
                _ => return Ok(false),
            };
            if number != expected {
                return Ok(false);
            }
            expected += 1.0;
            key = next;
        }
    }
}

fn show_address(out: &mut Vec<u8>, kind: &str, value: &Value) {
    let address = value.to_pointer();
    let shown =
        if address.is_null() { "(nil)".to_owned() } else { format!("{:#x}", address.addr()) };
    out.extend_from_slice(format!("\"{kind}@{shown}\"").as_bytes());
}

/// Appends the reply that `encoded` begins with, and returns what follows it. Of a kind it does not know nothing is
/// shown or passed by.
pub fn show_reply<'r>(out: &mut Vec<u8>, encoded: &'r [u8]) -> &'r [u8] {
    let Some((&kind, rest)) = encoded.split_first() else { return encoded };
    if !b":$+-*~%_#,".contains(&kind) {
        return encoded;
    }
    let len = rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(rest.len());
    let (line, rest) = (&rest[..len], rest.get(len + 2..).unwrap_or(&[]));
    let count = parse_i64(line).unwrap_or(0);
    match kind {
        b':' => out.extend_from_slice(line),
        b'+' | b'-' => quote_into(out, &encoded[..len + 1]),
        b'_' => out.extend_from_slice(b"(null)"),
        b'#' => out.extend_from_slice(if line == b"t" { b"#true" } else { b"#false" }),
        b',' => {
            out.extend_from_slice(b"(double) ");
            out.extend_from_slice(line);
        }
        b'$' | b'*' if count == -1 => out.extend_from_slice(b"NULL"),
        b'$' => {
            let len = usize::try_from(count).unwrap_or(0).min(rest.len());
            quote_into(out, &rest[..len]);
            return rest.get(len + 2..).unwrap_or(&[]);
        }
        b'*' => return show_all(out, rest, count, ["[", "]"], None),
        b'~' => return show_all(out, rest, count, ["~(", ")"], None),
        _ => return show_all(out, rest, count, ["{", "}"], Some(b" => ")),
    }
    rest
}

/// Appends so many replies between brackets; pairs of them where something stands between the two.
fn show_all<'r>(
    out: &mut Vec<u8>,
    encoded: &'r [u8],
    count: i64,
    [open, close]: [&str; 2],
    between: Option<&[u8]>,
) -> &'r [u8] {
    let mut rest = encoded;
    out.extend_from_slice(open.as_bytes());
    for index in 0..count {
        if index > 0 {
            out.push(b',');
        }
        rest = show_reply(out, rest);
        if let Some(between) = between {
            out.extend_from_slice(between);
            rest = show_reply(out, rest);
        }
    }
    out.extend_from_slice(close.as_bytes());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_shown_whole() {
        let cases: &[(&[u8], &str)] = &[
            (b":12\r\n", "12"),
            (b"+OK\r\n", "\"+OK\""),
            (b"-ERR no\r\n", "\"-ERR no\""),
            (b"$-1\r\n", "NULL"),
            (b"$3\r\na\nb\r\n", "\"a\\nb\""),
            (b"*-1\r\n", "NULL"),
            (b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n", "[1,[\"\"]]"),
            (b"~2\r\n:1\r\n#t\r\n", "~(1,#true)"),
            (b"%1\r\n$1\r\na\r\n,1.5\r\n", "{\"a\" => (double) 1.5}"),
            (b"*2\r\n_\r\n#f\r\n", "[(null),#false]"),
            (b"*2\r\n=7\r\ntxt:abc\r\n:1\r\n", "[,]"),
        ];
        for (encoded, expected) in cases {
            let mut out = Vec::new();
            show_reply(&mut out, encoded);
            assert_eq!(String::from_utf8_lossy(&out), *expected);
        }
    }
}
