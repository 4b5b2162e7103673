//! Errors between Rust and Lua.
//!
//! A function of ours that fails returns [`fail`] (a string with the place of the call before it, as `luaL_error`
//! makes one) or [`fail_table`] (a table with the field `err`, as `redis.call` raises). To Lua such an error is a
//! userdata until somebody looks: [`plain`] makes the value of it that Redis would have raised.
use std::fmt;

use mlua::{Error, Lua, LuaString, Result, Table, Value};

/// Chunk name of the sandbox: its frames are no place of a script.
pub const SANDBOX_CHUNK: &str = "=sandbox";

/// What a function of ours raised.
#[derive(Clone, Debug)]
struct Failure {
    text: Vec<u8>,
    is_table: bool,
    is_counted: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Failure {}

/// An error of a function that a script called, as Lua's own functions raise them: the place of the call, then the
/// text. To be returned at once from that function.
pub fn fail(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    let mut whole = Vec::new();
    // Level 0 is the function itself, 1 who called it.
    let place = lua.inspect_stack(1, |debug| {
        let line = debug.current_line()?;
        let source = debug.source();
        Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
    });
    if let Some(Some(place)) = place {
        whole.extend_from_slice(place.as_bytes());
    }
    whole.extend_from_slice(text.as_ref());
    Error::external(Failure { text: whole, is_table: false, is_counted: false })
}

/// As [`fail`], for an argument that is not what it should be: `index` from 1.
pub fn fail_argument(lua: &Lua, index: usize, function: &str, why: &str) -> Error {
    fail(lua, format!("bad argument #{index} to '{function}' ({why})"))
}

/// An error as a table with the field `err`: `text`, code included.
pub fn fail_table(text: &[u8], is_counted: bool) -> Error {
    Error::external(Failure { text: text.to_vec(), is_table: true, is_counted })
}

/// An error as a string without a place.
pub fn fail_bare(text: &str) -> Error {
    Error::external(Failure { text: text.as_bytes().to_vec(), is_table: false, is_counted: false })
}

/// The text of an error that will be a table.
pub fn table_text(error: &Error) -> Option<&[u8]> {
    error.downcast_ref::<Failure>().filter(|failure| failure.is_table).map(|failure| &*failure.text)
}

/// What scripts see of an error: strings and tables stay what they are, errors of ours become one or the other.
pub fn plain(lua: &Lua, value: Value) -> Result<Value> {
    let Value::Error(error) = &value else { return Ok(value) };
    if let Some(failure) = error.downcast_ref::<Failure>() {
        if failure.is_table {
            return Ok(Value::Table(error_table(lua, &failure.text, failure.is_counted)?));
        }
        return Ok(Value::String(lua.create_string(&failure.text)?));
    }
    Ok(Value::String(lua.create_string(innermost(error))?))
}

/// The text of an error that none of our functions worded.
fn innermost(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => innermost(cause),
        Error::RuntimeError(text) | Error::MemoryError(text) => text.clone(),
        Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// What the compiler said.
pub fn compiler_text(error: &Error) -> Vec<u8> {
    innermost(error).into_bytes()
}

/// A table with the field `err`, as Redis raises and returns it.
pub fn error_table(lua: &Lua, text: &[u8], is_counted: bool) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(text)?)?;
    if is_counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

/// What an error reply is to scripts: its code and its text, `ERR` where there is no code.
pub fn with_code(reply: &[u8]) -> Vec<u8> {
    let text = reply.strip_prefix(b"-");
    let (code, rest) = match text {
        None => (&b"ERR"[..], reply),
        Some(text) => match text.iter().position(|&byte| byte == b' ') {
            None => (&b"ERR"[..], text),
            Some(at) => (&text[..at], &text[at + 1..]),
        },
    };
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let from = rest.iter().position(|byte| !is_end(byte)).unwrap_or(rest.len());
    let to = rest.iter().rposition(|byte| !is_end(byte)).map_or(from, |last| last + 1);
    [code, b" ", &rest[from..to]].concat()
}

/// The handler of errors nobody caught: makes a table of what was raised and notes in it where.
pub fn handle(lua: &Lua, value: Value) -> Result<Value> {
    let table = match plain(lua, value)? {
        Value::Table(table) => table,
        other => {
            let text = shown(lua, other)?;
            error_table(lua, &[b"ERR ", text.as_slice()].concat(), false)?
        }
    };
    if let Some((source, line)) = place(lua) {
        table.set("source", lua.create_string(source)?)?;
        table.set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// A value as `tostring` shows it.
fn shown(lua: &Lua, value: Value) -> Result<Vec<u8>> {
    let text: Option<LuaString> = lua.coerce_string(value.clone())?;
    match text {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Ok(value.to_string()?.into_bytes()),
    }
}

/// Chunk name and line of the function that raised the error, or of its caller if it is one of ours.
fn place(lua: &Lua) -> Option<(Vec<u8>, i64)> {
    const LEVELS_MAX: usize = 8;
    for level in 1..LEVELS_MAX {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.as_deref().unwrap_or("").to_owned();
            let is_ours = name == SANDBOX_CHUNK || (level == 1 && source.what == "C");
            let line = debug.current_line().map_or(-1, |line| line as i64);
            (!is_ours).then(|| (name.into_bytes(), line))
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}
