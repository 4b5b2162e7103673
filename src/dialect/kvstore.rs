//! The binary protocol of the tokio series. Numbers are big-endian; `str` is a `u32` length and UTF-8 bytes.
//!
//! ```text
//! request:  0, u16 command, arguments       answer:  0, 0 (Ok) or 1 (Error), str
//!   0 GET   str key               Ok(value), or Error("Key not found")
//!   1 SET   str key, str value    Ok(key)
//!   2 CLEAR str key               Ok(the value removed), or Ok("")
//!   3 PING  str message           Ok(message), or Ok("PONG") where it is empty
//! ```
//!
//! Every length stands before its bytes, so the end of a request is found in at most two steps. Where that is
//! impossible (a header byte that is not 0, an unknown number, a length above the limit) the connection closes after
//! an error; else errors leave it open. No str is taken or given that is not UTF-8: such values of other doors are an
//! error here.
use crate::dialect::{FrameLimits, Split, hashed, is_utf8, push_value};
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::engine::verbs::Verb;
use crate::proto::reply::Output;
use crate::store::{NewString, StringRef, Ttl};

/// Bytes before the first argument.
const HEAD_BYTES: usize = 3;
/// Bytes of a length.
const LENGTH_BYTES: usize = 4;
const GET: u16 = 0;
const SET: u16 = 1;
const CLEAR: u16 = 2;
const PING: u16 = 3;

/// Nothing to remember: lengths lead to the end of a request in two steps.
#[derive(Debug, Default)]
pub struct State;

/// Finds the end of the request at the start of `unread`. O(1).
pub fn split(_state: &mut State, unread: &[u8], limits: &FrameLimits) -> Split {
    let fatal = |text: &str| {
        let mut out = Output::default();
        error(text.as_bytes(), &mut out);
        Split::Fatal(out.to_bytes())
    };
    match unread.first() {
        None => return Split::Incomplete,
        Some(0) => {}
        Some(_) => return fatal("Unknown header byte"),
    }
    let Some(&[_, high, low]) = unread.first_chunk::<HEAD_BYTES>() else {
        return Split::Incomplete;
    };
    let arguments = match u16::from_be_bytes([high, low]) {
        GET | CLEAR | PING => 1,
        SET => 2,
        _ => return fatal("Unknown command number"),
    };
    let mut end = HEAD_BYTES;
    for _ in 0..arguments {
        let Some(length) = unread.get(end..).and_then(|rest| rest.first_chunk()) else {
            return Split::Incomplete;
        };
        // Both are below 2^32 before, so this cannot overflow.
        end += LENGTH_BYTES + u32::from_be_bytes(*length) as usize;
        if end > limits.frame_bytes_max {
            return fatal("Request too long");
        }
    }
    if unread.len() < end { Split::Incomplete } else { Split::Frame(end) }
}

/// Runs one request.
pub fn run(
    engine: &mut Engine,
    session: &mut Session,
    frame: &[u8],
    first_hash: Option<u64>,
    out: &mut Output,
    started: &mut u64,
) {
    let Some((number, first, value)) = parse(frame) else {
        engine.shared.stats.count_error(b"ERR");
        *started = engine.shared.clock.ticks();
        return error(b"Invalid UTF-8", out);
    };
    let result = match number {
        GET => engine.perform(session, Verb::Get, &[first], out, started, |ctx| {
            match ctx.db.string(hashed(ctx, first, first_hash))? {
                Some(value) => push_ok(value, ctx.reply.output()),
                None => {
                    // An answer like others: no failure of the command.
                    error(b"Key not found", ctx.reply.output());
                    Ok(())
                }
            }
        }),
        SET => engine.perform(session, Verb::Set, &[first, value], out, started, |ctx| {
            let key = hashed(ctx, first, first_hash);
            ctx.set(key, NewString::Bytes(value), Ttl::Clear)?;
            push_text(first, ctx.reply.output())
        }),
        CLEAR => engine.perform(session, Verb::GetDel, &[first], out, started, |ctx| {
            let key = hashed(ctx, first, first_hash);
            match ctx.db.string_for_write(key)? {
                Some(value) => push_ok(value, ctx.reply.output())?,
                None => push_text(b"", ctx.reply.output())?,
            }
            ctx.delete(key);
            Ok(())
        }),
        _ => engine.perform(session, Verb::Ping, &[first], out, started, |ctx| {
            let message = if first.is_empty() { b"PONG" } else { first };
            push_text(message, ctx.reply.output())
        }),
    };
    if let Err(failure) = result {
        error(&failure.message(), out);
    }
}

/// Whether a whole request may change something.
pub fn may_write(frame: &[u8]) -> bool {
    matches!(parse(frame), Some((SET | CLEAR, ..)))
}

/// What a whole request asks for, if it is one.
pub fn verb(frame: &[u8]) -> Option<Verb> {
    parse(frame).map(|(number, ..)| match number {
        GET => Verb::Get,
        SET => Verb::Set,
        CLEAR => Verb::GetDel,
        _ => Verb::Ping,
    })
}

/// Visits the keys of a whole request, with whether it may change them. O(bytes).
pub fn each_key(frame: &[u8], visit: &mut dyn FnMut(&[u8], bool)) {
    if let Some((number @ (GET | SET | CLEAR), key, _)) = parse(frame) {
        visit(key, number != GET);
    }
}

/// The first argument of a request, which is its key if it has one. O(1): UTF-8 is not asked for.
pub fn first_key(frame: &[u8]) -> Option<&[u8]> {
    let (length, rest) = frame.get(HEAD_BYTES..)?.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}

/// Appends an error.
pub fn error(text: &[u8], out: &mut Output) {
    // Errors are ours and short; some show what a client sent, which may be anything.
    let text = String::from_utf8_lossy(text);
    let out = out.bytes_mut();
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends an Ok with a value of the keyspace, which may be anything.
fn push_ok(value: StringRef<'_>, out: &mut Output) -> Result<(), CmdError> {
    let mut scratch = itoa::Buffer::new();
    let bytes = value.as_bytes(&mut scratch);
    if !is_utf8(bytes) {
        return Err(CmdError::Text("Value is not UTF-8"));
    }
    push_ok_head(bytes.len(), out)?;
    push_value(value, bytes, out);
    Ok(())
}

/// Appends an Ok with bytes that are known to be UTF-8.
fn push_text(text: &[u8], out: &mut Output) -> Result<(), CmdError> {
    push_ok_head(text.len(), out)?;
    out.bytes_mut().extend_from_slice(text);
    Ok(())
}

#[inline]
fn push_ok_head(length: usize, out: &mut Output) -> Result<(), CmdError> {
    let Ok(length) = u32::try_from(length) else {
        return Err(CmdError::Text("Value is too long for this protocol"));
    };
    let [a, b, c, d] = length.to_be_bytes();
    out.bytes_mut().extend_from_slice(&[0, 0, a, b, c, d]);
    Ok(())
}

/// Number, first and second argument (empty where there is none) of a frame that was split; `None`: not UTF-8.
#[inline]
fn parse(frame: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, mut rest) = frame.split_first_chunk::<HEAD_BYTES>()?;
    let mut argument = || {
        let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (bytes, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        is_utf8(bytes).then_some(bytes)
    };
    let number = u16::from_be_bytes([head[1], head[2]]);
    let first = argument()?;
    let second = if number == SET { argument()? } else { b"" };
    Some((number, first, second))
}

#[cfg(test)]
#[path = "kvstore_tests.rs"]
mod tests;
