//! What a script returns as a reply to its client.
//!
//! Tables with the fields `err`, `ok`, `double`, `big_number`, `verbatim_string`, `map` or `set` (asked for in this
//! order) are what those say, other tables arrays that end at the first nil. Numbers lose their fraction.
//! A table inside itself ends in an error, at the depth where the stack of Redis's Lua does.
use mlua::{Lua, LuaString, Result, Table, Value};

use crate::proto::reply::{Output, Reply, Resp};

/// What nesting may cost, and what an array and a map inside another cost: it is what Redis reaches, whose Lua has
/// 8,000 slots of stack.
const DEPTH_MAX: usize = 7995;
const ARRAY_DEPTH: usize = 1;
const PAIRS_DEPTH: usize = 4;
/// From this depth on the tables around the present one lie in a table of Lua, since mlua's handles are few.
const SHALLOW_MAX: usize = 64;

/// The names of the fields, made once.
pub struct FieldNames {
    err: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim_string: LuaString,
    map: LuaString,
    set: LuaString,
}

impl FieldNames {
    /// Makes them in this interpreter.
    pub fn new(lua: &Lua) -> Result<FieldNames> {
        Ok(FieldNames {
            err: lua.create_string("err")?,
            ok: lua.create_string("ok")?,
            double: lua.create_string("double")?,
            big_number: lua.create_string("big_number")?,
            verbatim_string: lua.create_string("verbatim_string")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
        })
    }
}

/// Writes values as replies.
pub struct Writer<'w> {
    /// The names of the fields.
    pub names: &'w FieldNames,
    /// Protocol of the client.
    pub client: Resp,
    /// Protocol that the script chose: in RESP2 true is 1 and false is null.
    pub script: Resp,
    /// Where to.
    pub out: Output,
    /// The errors in it that nobody has counted yet.
    pub errors: Vec<Vec<u8>>,
    /// Whether there is any.
    pub has_errors: bool,
    /// The tables around the present one, by depth, where they are many.
    pub path: Option<Table>,
}

impl Writer<'_> {
    fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.out, self.client)
    }

    /// Writes one value.
    pub fn write(&mut self, lua: &Lua, value: Value) -> Result<()> {
        self.write_at(lua, value, 0)
    }

    fn write_at(&mut self, lua: &Lua, value: Value, depth: usize) -> Result<()> {
        if depth >= DEPTH_MAX {
            self.has_errors = true;
            self.reply().error(b"ERR reached lua stack limit");
            return Ok(());
        }
        match value {
            Value::String(text) => self.reply().bulk(&text.as_bytes()),
            Value::Boolean(truth) => match (self.script, truth) {
                (Resp::V2, true) => self.reply().int(1),
                (Resp::V2, false) => self.reply().null(),
                (Resp::V3, truth) => self.reply().boolean(truth),
            },
            Value::Integer(number) => self.reply().int(number),
            Value::Number(number) => self.reply().int(truncated(number)),
            Value::Table(table) if !self.special(lua, &table, depth)? => {
                return self.array(lua, table, depth);
            }
            Value::Table(_) => {}
            _ => self.reply().null(),
        }
        Ok(())
    }

    fn array(&mut self, lua: &Lua, table: Table, depth: usize) -> Result<()> {
        let open = self.reply().array_open();
        let mut count = 0;
        let mut table = table;
        loop {
            let value: Value = table.raw_get(count + 1)?;
            if value.is_nil() {
                break;
            }
            if depth < SHALLOW_MAX || !value.is_table() {
                self.write_at(lua, value, depth + ARRAY_DEPTH)?;
            } else {
                let path = match &self.path {
                    Some(path) => path.clone(),
                    None => self.path.insert(lua.create_table()?).clone(),
                };
                path.raw_set(depth, table)?;
                drop(path);
                self.write_at(lua, value, depth + ARRAY_DEPTH)?;
                let Some(path) = &self.path else { break };
                table = path.raw_get(depth)?;
            }
            count += 1;
        }
        self.reply().array_close(open, count);
        Ok(())
    }

    /// Writes a table that is no array; whether it was one.
    fn special(&mut self, lua: &Lua, table: &Table, depth: usize) -> Result<bool> {
        let names = self.names;
        if let Value::String(text) = table.raw_get(&names.err)? {
            let text = text.as_bytes();
            self.reply().error(&text);
            self.has_errors = true;
            if !matches!(table.get("ignore_error_stats_update")?, Value::Boolean(true)) {
                self.errors.push(text.to_vec());
            }
            return Ok(true);
        }
        if let Value::String(text) = table.raw_get(&names.ok)? {
            let line = one_line(&text.as_bytes());
            let mut reply = self.reply();
            reply.raw(b"+");
            // Redis copies it as a C string.
            reply.raw(line.split(|&byte| byte == 0).next().unwrap_or(&[]));
            reply.raw(b"\r\n");
            return Ok(true);
        }
        match table.raw_get(&names.double)? {
            Value::Number(number) => {
                self.reply().double(number);
                return Ok(true);
            }
            Value::Integer(number) => {
                self.reply().double(number as f64);
                return Ok(true);
            }
            _ => {}
        }
        if let Value::String(digits) = table.raw_get(&names.big_number)? {
            let digits = one_line(&digits.as_bytes());
            self.reply().big_number(&String::from_utf8_lossy(&digits));
            return Ok(true);
        }
        if let Value::Table(inner) = table.raw_get(&names.verbatim_string)?
            && self.verbatim(&inner)?
        {
            return Ok(true);
        }
        if let Value::Table(inner) = table.raw_get(&names.map)? {
            self.pairs(lua, &inner, depth, true)?;
            return Ok(true);
        }
        if let Value::Table(inner) = table.raw_get(&names.set)? {
            self.pairs(lua, &inner, depth, false)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether it was one.
    fn verbatim(&mut self, inner: &Table) -> Result<bool> {
        let format: Value = inner.raw_get("format")?;
        let string: Value = inner.raw_get("string")?;
        let (Value::String(format), Value::String(string)) = (format, string) else {
            return Ok(false);
        };
        let mut name = format.to_string_lossy();
        while name.len() < 3 {
            name.push(' ');
        }
        let name: String = name.chars().take(3).collect();
        let format = if name.len() == 3 { name.as_str() } else { "txt" };
        self.reply().verbatim(format, &string.as_bytes());
        Ok(true)
    }

    /// A map, or of a set the keys.
    fn pairs(&mut self, lua: &Lua, inner: &Table, depth: usize, is_map: bool) -> Result<()> {
        let open = self.reply().array_open();
        let mut count = 0;
        inner.for_each(|key: Value, value: Value| {
            self.write_at(lua, key, depth + PAIRS_DEPTH)?;
            if is_map {
                self.write_at(lua, value, depth + PAIRS_DEPTH)?;
            }
            count += 1;
            Ok(())
        })?;
        let mut reply = self.reply();
        if is_map {
            reply.map_close(open, count);
        } else {
            reply.set_close(open, count);
        }
        Ok(())
    }
}

/// As a conversion of the processor does it: what is no 64-bit integer is the smallest one.
fn truncated(number: f64) -> i64 {
    // 2^63 is the first that does not fit; as i64 it would be clipped to the largest.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let space = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
    text.iter().map(space).collect()
}
