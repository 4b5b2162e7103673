//! What a script returns as a reply to its client.
//!
//! Tables with the fields `err`, `ok`, `double`, `big_number`, `verbatim_string`, `map` or `set` (asked for in this
//! order) are what those say, other tables arrays that end at the first nil. Numbers lose their fraction.
//! A table inside itself ends in an error, at the depth where the stack of Redis's Lua does.
use mlua::{Lua, Result};

use crate::proto::reply::{Output, Reply, Resp};
use crate::script::stack::{self, Kept, Stack, View};

/// What nesting may cost, and what an array and a map inside another cost: it is what Redis reaches, whose Lua has
/// 8,000 slots of stack.
const DEPTH_MAX: usize = 7995;
const ARRAY_DEPTH: usize = 1;
const KEY_DEPTH: usize = 4;
const VALUE_DEPTH: usize = 3;
/// What a table needs besides itself: a table in it, its key and value, and a copy of the key.
const TABLE_SLOTS: usize = 4;

/// The names of the fields, made once.
pub struct FieldNames {
    err: Kept,
    ok: Kept,
    double: Kept,
    big_number: Kept,
    verbatim_string: Kept,
    map: Kept,
    set: Kept,
}

impl FieldNames {
    /// Makes them in this interpreter.
    pub fn new(lua: &Lua) -> Result<FieldNames> {
        Ok(FieldNames {
            err: stack::keep(lua, "err")?,
            ok: stack::keep(lua, "ok")?,
            double: stack::keep(lua, "double")?,
            big_number: stack::keep(lua, "big_number")?,
            verbatim_string: stack::keep(lua, "verbatim_string")?,
            map: stack::keep(lua, "map")?,
            set: stack::keep(lua, "set")?,
        })
    }
}

/// Writes values as replies.
pub struct Writer<'w, 's> {
    /// Where the value is: the last one.
    pub stack: &'w mut Stack<'s>,
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
}

impl Writer<'_, '_> {
    /// Writes the last value and removes it.
    pub fn write(&mut self) {
        self.write_at(0);
    }

    fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.out, self.client)
    }

    fn write_at(&mut self, depth: usize) {
        let top = self.stack.top();
        let is_full = self.stack.is_table(top) && !self.stack.reserve(TABLE_SLOTS);
        let mut reply = Reply::new(&mut self.out, self.client);
        if depth >= DEPTH_MAX || is_full {
            reply.error(b"ERR reached lua stack limit");
            self.has_errors = true;
            return self.stack.pop(1);
        }
        match self.stack.view(top) {
            View::Text(text) => reply.bulk(text),
            View::Boolean(truth) => match (self.script, truth) {
                (Resp::V2, true) => reply.int(1),
                (Resp::V2, false) => reply.null(),
                (Resp::V3, truth) => reply.boolean(truth),
            },
            View::Number(number) => reply.int(truncated(number)),
            View::Table => {
                if !self.special(top, depth) {
                    self.array(top, depth);
                }
            }
            _ => reply.null(),
        }
        self.stack.pop(1);
    }

    fn array(&mut self, table: usize, depth: usize) {
        let open = self.reply().array_open();
        let mut count = 0;
        loop {
            self.stack.get_element(table, count + 1);
            if self.stack.is_nil(table + 1) {
                self.stack.pop(1);
                break;
            }
            self.write_at(depth + ARRAY_DEPTH);
            count += 1;
        }
        self.reply().array_close(open, count);
    }

    /// Pushes a field of a table.
    fn push_field(&mut self, table: usize, name: Kept) -> View<'_> {
        self.stack.push_kept(name);
        self.stack.get_field(table);
        self.stack.view(self.stack.top())
    }

    /// Writes a table that is no array; whether it was one. What it pushes it removes.
    fn special(&mut self, table: usize, depth: usize) -> bool {
        let is_special = self.error(table)
            || self.status(table)
            || self.double(table)
            || self.big_number(table)
            || self.verbatim(table)
            || self.pairs(table, self.names.map, depth, true)
            || self.pairs(table, self.names.set, depth, false);
        self.stack.set_top(table);
        is_special
    }

    fn error(&mut self, table: usize) -> bool {
        let name = self.names.err;
        let View::Text(text) = self.push_field(table, name) else {
            self.stack.pop(1);
            return false;
        };
        let text = text.to_vec();
        self.reply().error(&text);
        self.has_errors = true;
        self.stack.push_text(b"ignore_error_stats_update");
        self.stack.get_field(table);
        if self.stack.view(self.stack.top()) != View::Boolean(true) {
            self.errors.push(text);
        }
        true
    }

    fn status(&mut self, table: usize) -> bool {
        let name = self.names.ok;
        let View::Text(text) = self.push_field(table, name) else {
            self.stack.pop(1);
            return false;
        };
        let line = one_line(text);
        let mut reply = self.reply();
        reply.raw(b"+");
        // Redis copies it as a C string.
        reply.raw(line.split(|&byte| byte == 0).next().unwrap_or(&[]));
        reply.raw(b"\r\n");
        true
    }

    fn double(&mut self, table: usize) -> bool {
        let name = self.names.double;
        let View::Number(number) = self.push_field(table, name) else {
            self.stack.pop(1);
            return false;
        };
        self.reply().double(number);
        true
    }

    fn big_number(&mut self, table: usize) -> bool {
        let name = self.names.big_number;
        let View::Text(digits) = self.push_field(table, name) else {
            self.stack.pop(1);
            return false;
        };
        let digits = one_line(digits);
        self.reply().big_number(&String::from_utf8_lossy(&digits));
        true
    }

    fn verbatim(&mut self, table: usize) -> bool {
        let name = self.names.verbatim_string;
        if self.push_field(table, name) != View::Table {
            self.stack.pop(1);
            return false;
        }
        for name in ["format", "string"] {
            self.stack.push_text(name.as_bytes());
            self.stack.get_field(table + 1);
        }
        let (View::Text(format), View::Text(string)) =
            (self.stack.view(table + 2), self.stack.view(table + 3))
        else {
            self.stack.set_top(table);
            return false;
        };
        let mut name = String::from_utf8_lossy(format).into_owned();
        while name.len() < 3 {
            name.push(' ');
        }
        let name: String = name.chars().take(3).collect();
        let format = if name.len() == 3 { name.as_str() } else { "txt" };
        Reply::new(&mut self.out, self.client).verbatim(format, string);
        true
    }

    /// A map, or of a set the keys.
    fn pairs(&mut self, table: usize, name: Kept, depth: usize, is_map: bool) -> bool {
        if self.push_field(table, name) != View::Table {
            self.stack.pop(1);
            return false;
        }
        let inner = table + 1;
        let open = self.reply().array_open();
        let mut count = 0;
        self.stack.push_nil();
        while self.stack.next(inner) {
            self.stack.push_copy(inner + 1);
            self.write_at(depth + KEY_DEPTH);
            if is_map {
                self.write_at(depth + VALUE_DEPTH);
            } else {
                self.stack.pop(1);
            }
            count += 1;
        }
        let mut reply = self.reply();
        if is_map {
            reply.map_close(open, count);
        } else {
            reply.set_close(open, count);
        }
        true
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
