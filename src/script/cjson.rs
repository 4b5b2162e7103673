//! `cjson`: JSON for scripts, as lua-cjson 2.1.0 in Redis has it, with its settings, errors and number format.
//!
//! What is open while a value is read or written stands in a `Vec` and on Lua's stack, where the library has it too, so
//! that no nesting can overflow ours. How deep it may be is a setting, 1000 at first; whatever it is set to, it ends
//! where Lua's stack does.
//!
//! DIFFERS: Lua in Redis hashes strings of 32 bytes and more whole, Lua 5.1 a part of them, so entries with such names
//! may come in another order.
//!
//! Cost: O(text). A value that is read costs what its tables cost, a value that is written its text alone.

use std::cell::Cell;

use mlua::{Lua, MultiValue, Table, Value};

use super::json_text::{Lexer, Token, write_number, write_string};
use super::raise::{Body, Lend, Raise, Shared, function};
use super::stack::{Stack, View};
use crate::base::c_number::{to_int, to_long};

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

/// The settings, as the functions of a module share them.
struct Lent;

impl Lend for Lent {
    type Data<'a> = Cell<Settings>;

    fn shorten<'s, 'l: 's>(settings: &'s Cell<Settings>) -> &'s Cell<Settings> {
        settings
    }
}

/// The module's table, new and with settings of its own.
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let settings = Shared::<Lent>::keep(lua, Cell::new(DEFAULTS))?;
    let table = lua.create_table()?;
    table.raw_set("encode", function::<Encode>(lua, &settings)?)?;
    table.raw_set("decode", function::<Decode>(lua, &settings)?)?;
    add_settings(lua, &table, &settings)?;
    table.raw_set("new", lua.create_function(|lua, _: MultiValue| register(lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// `cjson.encode`
struct Encode;

impl Body for Encode {
    type Lent = Lent;

    fn call(stack: &mut Stack<'_>, settings: &Cell<Settings>) -> Result<usize, Raise> {
        check_count(stack)?;
        let mut encoder =
            Encoder { stack, settings: settings.get(), out: Vec::new(), open: Vec::new() };
        encoder.run()?;
        let out = encoder.out;
        stack.push_text(&out);
        Ok(1)
    }
}

/// `cjson.decode`
struct Decode;

impl Body for Decode {
    type Lent = Lent;

    fn call(stack: &mut Stack<'_>, settings: &Cell<Settings>) -> Result<usize, Raise> {
        check_count(stack)?;
        if stack.text(1).is_none() {
            return Err(Raise::wrong_kind(stack, 1, "string"));
        }
        let settings = settings.get();
        match stack.above_text(1, |text, stack| decode(stack, text, settings)) {
            Some(decoded) => decoded.map(|()| 1),
            None => Ok(0),
        }
    }
}

fn check_count(stack: &Stack<'_>) -> Result<(), Raise> {
    if stack.top() == 1 { Ok(()) } else { Err(Raise::argument(1, "expected 1 argument")) }
}

/// A function that changes a setting by its arguments and returns what it is now. What was set before an argument is
/// refused stays set.
struct Setting<const WHICH: usize>;

const SPARSE_ARRAY: usize = 0;
const ENCODE_DEPTH: usize = 1;
const DECODE_DEPTH: usize = 2;
const PRECISION: usize = 3;
const KEEP_BUFFER: usize = 4;
const ENCODE_INVALID: usize = 5;
const DECODE_INVALID: usize = 6;

fn add_settings(lua: &Lua, module: &Table, settings: &Shared<Lent>) -> mlua::Result<()> {
    let set = |name: &str, function| module.raw_set(name, function);
    set("encode_sparse_array", function::<Setting<SPARSE_ARRAY>>(lua, settings)?)?;
    set("encode_max_depth", function::<Setting<ENCODE_DEPTH>>(lua, settings)?)?;
    set("decode_max_depth", function::<Setting<DECODE_DEPTH>>(lua, settings)?)?;
    set("encode_number_precision", function::<Setting<PRECISION>>(lua, settings)?)?;
    set("encode_keep_buffer", function::<Setting<KEEP_BUFFER>>(lua, settings)?)?;
    set("encode_invalid_numbers", function::<Setting<ENCODE_INVALID>>(lua, settings)?)?;
    set("decode_invalid_numbers", function::<Setting<DECODE_INVALID>>(lua, settings)?)
}

impl<const WHICH: usize> Body for Setting<WHICH> {
    type Lent = Lent;

    fn call(stack: &mut Stack<'_>, settings: &Cell<Settings>) -> Result<usize, Raise> {
        let count = if WHICH == SPARSE_ARRAY { 3 } else { 1 };
        if stack.top() > count {
            return Err(Raise::argument(count + 1, "found too many arguments"));
        }
        let mut changed = settings.get();
        let result = apply(stack, WHICH, &mut changed);
        settings.set(changed);
        result
    }
}

fn apply(stack: &mut Stack<'_>, which: usize, settings: &mut Settings) -> Result<usize, Raise> {
    match which {
        SPARSE_ARRAY => {
            switch(stack, 1, &mut settings.converts_sparse)?;
            integer(stack, 2, &mut settings.sparse_ratio, 0, i32::MAX)?;
            integer(stack, 3, &mut settings.sparse_safe, 0, i32::MAX)?;
            stack.push_boolean(settings.converts_sparse);
            stack.push_number(f64::from(settings.sparse_ratio));
            stack.push_number(f64::from(settings.sparse_safe));
            return Ok(3);
        }
        ENCODE_DEPTH => {
            integer(stack, 1, &mut settings.encode_depth_max, 1, i32::MAX)?;
            stack.push_number(f64::from(settings.encode_depth_max));
        }
        DECODE_DEPTH => {
            integer(stack, 1, &mut settings.decode_depth_max, 1, i32::MAX)?;
            stack.push_number(f64::from(settings.decode_depth_max));
        }
        PRECISION => {
            integer(stack, 1, &mut settings.number_digits, 1, 14)?;
            stack.push_number(f64::from(settings.number_digits));
        }
        // Read back and nothing else: there is no buffer to keep.
        KEEP_BUFFER => {
            switch(stack, 1, &mut settings.keeps_buffer)?;
            stack.push_boolean(settings.keeps_buffer);
        }
        ENCODE_INVALID => {
            let options = &["off", "on", "null"];
            invalid_numbers(stack, options, &mut settings.encode_invalid_numbers)?;
        }
        _ => invalid_numbers(stack, &["off", "on"], &mut settings.decode_invalid_numbers)?,
    }
    Ok(1)
}

fn integer(
    stack: &Stack<'_>,
    number: usize,
    setting: &mut i32,
    min: i32,
    max: i32,
) -> Result<(), Raise> {
    if stack.is_nil(number) {
        return Ok(());
    }
    let Some(value) = stack.number(number) else {
        return Err(Raise::wrong_kind(stack, number, "number"));
    };
    let value = to_long(value) as i32;
    if !(min..=max).contains(&value) {
        // The library names the first argument whichever it is.
        let expected = format!("expected integer between {min} and {max}");
        return Err(Raise::argument(1, expected));
    }
    *setting = value;
    Ok(())
}

fn switch(stack: &mut Stack<'_>, number: usize, setting: &mut bool) -> Result<(), Raise> {
    if let Some(choice) = choice(stack, number, &["off", "on"])? {
        *setting = choice == 1;
    }
    Ok(())
}

fn invalid_numbers(
    stack: &mut Stack<'_>,
    options: &[&str],
    setting: &mut InvalidNumbers,
) -> Result<(), Raise> {
    match choice(stack, 1, options)? {
        Some(0) => *setting = InvalidNumbers::Off,
        Some(1) => *setting = InvalidNumbers::On,
        Some(_) => *setting = InvalidNumbers::Null,
        None => {}
    }
    match setting {
        InvalidNumbers::Null => stack.push_text(b"null"),
        _ => stack.push_boolean(*setting == InvalidNumbers::On),
    }
    Ok(())
}

/// Which of `options` argument `number` names; a boolean names the first or second. `None` if it is nil.
fn choice(stack: &mut Stack<'_>, number: usize, options: &[&str]) -> Result<Option<usize>, Raise> {
    if stack.is_nil(number) {
        return Ok(None);
    }
    if let View::Boolean(is_on) = stack.view(number) {
        return Ok(Some(usize::from(is_on)));
    }
    let Some(text) = stack.text(number) else {
        return Err(Raise::wrong_kind(stack, number, "string"));
    };
    let word = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match options.iter().position(|option| option.as_bytes() == word) {
        Some(found) => Ok(Some(found)),
        None => {
            let text = [b"invalid option '".as_slice(), word, b"'"].concat();
            Err(Raise::argument(number, text))
        }
    }
}

/// A table whose value is being read: it is on the stack, of an object with the key above it.
struct Reading {
    is_object: bool,
    /// Values in it so far.
    len: usize,
}

struct Decoder<'d, 's, 't> {
    stack: &'d mut Stack<'s>,
    lexer: Lexer<'t>,
    depth_max: i32,
    open: Vec<Reading>,
}

/// Pushes the value that `text` is.
fn decode(stack: &mut Stack<'_>, text: &[u8], settings: Settings) -> Result<(), Raise> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Raise::placed("JSON parser does not support UTF-16 or UTF-32"));
    }
    let takes_invalid = settings.decode_invalid_numbers == InvalidNumbers::On;
    let lexer = Lexer::new(text, takes_invalid);
    let depth_max = settings.decode_depth_max;
    Decoder { stack, lexer, depth_max, open: Vec::new() }.run()
}

impl Decoder<'_, '_, '_> {
    fn run(mut self) -> Result<(), Raise> {
        let mut token = self.lexer.next_token();
        loop {
            if let Some(first) = self.begin_value(token)? {
                token = first;
                continue;
            }
            // A whole value: it goes into its table, which may be whole with it, and so on.
            loop {
                if self.open.is_empty() {
                    let token = self.lexer.next_token();
                    let is_over = token == Token::End;
                    return if is_over { Ok(()) } else { Err(self.wrong("the end", &token)) };
                }
                if let Some(next) = self.put()? {
                    token = next;
                    break;
                }
            }
        }
    }

    /// Pushes the value that `token` is; if that opens a table with something in it, the token that begins its first
    /// value.
    fn begin_value(&mut self, token: Token) -> Result<Option<Token>, Raise> {
        match token {
            Token::String => self.stack.push_text(self.lexer.string()),
            Token::Number(value) => self.stack.push_number(value),
            Token::Boolean(value) => self.stack.push_boolean(value),
            Token::Null => self.stack.push_null(),
            Token::ObjectBegin => {
                self.descend(3)?;
                self.stack.push_table(0, 0);
                let token = self.lexer.next_token();
                if token != Token::ObjectEnd {
                    self.read_key(&token)?;
                    self.open.push(Reading { is_object: true, len: 0 });
                    return Ok(Some(self.lexer.next_token()));
                }
            }
            Token::ArrayBegin => {
                self.descend(2)?;
                self.stack.push_table(0, 0);
                let token = self.lexer.next_token();
                if token != Token::ArrayEnd {
                    self.open.push(Reading { is_object: false, len: 0 });
                    return Ok(Some(token));
                }
            }
            _ => return Err(self.wrong("value", &token)),
        }
        Ok(None)
    }

    /// Puts the last value in the table it belongs to: the token that begins the next one, or `None` if the table is
    /// whole now.
    fn put(&mut self) -> Result<Option<Token>, Raise> {
        let Some(reading) = self.open.last_mut() else { return Ok(None) };
        let top = self.stack.top();
        if reading.is_object {
            self.stack.set_field(top - 2, reading.len)?;
            reading.len += 1;
            match self.lexer.next_token() {
                Token::Comma => {
                    let token = self.lexer.next_token();
                    self.read_key(&token)?;
                    return Ok(Some(self.lexer.next_token()));
                }
                Token::ObjectEnd => {}
                token => return Err(self.wrong("comma or object end", &token)),
            }
        } else {
            reading.len += 1;
            self.stack.set_element(top - 1, reading.len)?;
            match self.lexer.next_token() {
                Token::Comma => return Ok(Some(self.lexer.next_token())),
                Token::ArrayEnd => {}
                token => return Err(self.wrong("comma or array end", &token)),
            }
        }
        self.open.pop();
        Ok(None)
    }

    fn read_key(&mut self, token: &Token) -> Result<(), Raise> {
        if *token != Token::String {
            return Err(self.wrong("object key string", token));
        }
        self.stack.push_text(self.lexer.string());
        match self.lexer.next_token() {
            Token::Colon => Ok(()),
            token => Err(self.wrong("colon", &token)),
        }
    }

    /// Asks for the slots that one more table needs, with a key and a value in it.
    fn descend(&mut self, slots: usize) -> Result<(), Raise> {
        let depth = self.open.len() + 1;
        if depth <= self.depth_max as usize && self.stack.reserve(slots) {
            return Ok(());
        }
        let at = self.lexer.position();
        Err(Raise::placed(format!(
            "Found too many nested data structures ({depth}) at character {at}"
        )))
    }

    #[cold]
    fn wrong(&self, expected: &str, found: &Token) -> Raise {
        let (found, at) = (found.name(), self.lexer.token_position() + 1);
        Raise::placed(format!("Expected {expected} but found {found} at character {at}"))
    }
}

/// A table that is being written: it is on the stack, of an object with the key above it whose value is written.
enum Writing {
    Array { len: i32, index: i32 },
    Object { is_first: bool },
}

struct Encoder<'e, 's> {
    stack: &'e mut Stack<'s>,
    settings: Settings,
    out: Vec<u8>,
    open: Vec<Writing>,
}

impl Encoder<'_, '_> {
    /// Writes the last value, which it removes, with all that is in it.
    fn run(&mut self) -> Result<(), Raise> {
        self.begin()?;
        while let Some(writing) = self.open.last_mut() {
            if self.out.len() > TEXT_LEN_MAX {
                return Err(Raise::bare("not enough memory"));
            }
            let top = self.stack.top();
            match writing {
                Writing::Array { len, index } => {
                    if *index == *len {
                        self.out.push(b']');
                        self.stack.pop(1);
                        self.open.pop();
                        continue;
                    }
                    if *index > 0 {
                        self.out.push(b',');
                    }
                    *index += 1;
                    self.stack.get_element(top, *index as usize);
                }
                Writing::Object { is_first } => {
                    if !self.stack.next(top - 1) {
                        self.out.push(b'}');
                        self.stack.pop(1);
                        self.open.pop();
                        continue;
                    }
                    if !std::mem::take(is_first) {
                        self.out.push(b',');
                    }
                    self.write_key(top)?;
                }
            }
            self.begin()?;
        }
        Ok(())
    }

    fn write_key(&mut self, index: usize) -> Result<(), Raise> {
        match self.stack.view(index) {
            View::Text(text) => write_string(&mut self.out, text),
            View::Number(number) => {
                self.out.push(b'"');
                self.write_number(number)?;
                self.out.push(b'"');
            }
            _ => return Err(self.refuse(index, "table key must be a number or string")),
        }
        self.out.push(b':');
        Ok(())
    }

    /// Writes the last value and removes it, or opens the table it is.
    fn begin(&mut self) -> Result<(), Raise> {
        let top = self.stack.top();
        match self.stack.view(top) {
            View::Text(text) => write_string(&mut self.out, text),
            View::Number(number) => self.write_number(number)?,
            View::Table => return self.begin_table(),
            View::Boolean(true) => self.out.extend_from_slice(b"true"),
            View::Boolean(false) => self.out.extend_from_slice(b"false"),
            View::Nil | View::Null => self.out.extend_from_slice(b"null"),
            View::Other => return Err(self.refuse(top, "type not supported")),
        }
        self.stack.pop(1);
        Ok(())
    }

    fn begin_table(&mut self) -> Result<(), Raise> {
        let depth = self.open.len() + 1;
        if depth > self.settings.encode_depth_max as usize || !self.stack.reserve(3) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(Raise::placed(text));
        }
        let len = self.array_len()?;
        if len > 0 {
            self.out.push(b'[');
            self.open.push(Writing::Array { len, index: 0 });
        } else {
            self.out.push(b'{');
            self.stack.push_nil();
            self.open.push(Writing::Object { is_first: true });
        }
        Ok(())
    }

    fn write_number(&mut self, number: f64) -> Result<(), Raise> {
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers {
                InvalidNumbers::Off => {
                    return Err(Raise::placed("Cannot serialise number: must not be NaN or Inf"));
                }
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

    /// How many elements the last value, a table, has as an array: the greatest index. 0 or less: it is an object.
    fn array_len(&mut self) -> Result<i32, Raise> {
        let (mut max, mut count) = (0i32, 0i32);
        let table = self.stack.top();
        self.stack.push_nil();
        while self.stack.next(table) {
            let index = match self.stack.view(table + 1) {
                View::Number(index) => index,
                _ => 0.0,
            };
            if index < 1.0 || index.floor() != index {
                self.stack.pop(2);
                return Ok(-1);
            }
            if index > f64::from(max) {
                // Beyond an int it becomes negative, and the table an object: so it is in Redis.
                max = to_int(index);
            }
            count = count.wrapping_add(1);
            self.stack.pop(1);
        }
        let Settings { sparse_ratio: ratio, sparse_safe: safe, .. } = self.settings;
        if ratio > 0 && max > count.wrapping_mul(ratio) && max > safe {
            if !self.settings.converts_sparse {
                return Err(self.refuse(table, "excessively sparse array"));
            }
            return Ok(-1);
        }
        Ok(max)
    }

    #[cold]
    fn refuse(&self, index: usize, what: &str) -> Raise {
        let kind = self.stack.kind_name(index);
        Raise::placed(format!("Cannot serialise {kind}: {what}"))
    }
}

#[cfg(test)]
#[path = "cjson_tests.rs"]
mod tests;
