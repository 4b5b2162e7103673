//! Length-prefixed MessagePack: `u32` length (big-endian), then one object; answers alike.
//!
//! ```text
//! {"type":"Get","key":k}           → the value as str, as bin where it is not UTF-8, or nil
//! {"type":"Put","key":k,"val":v}   → nil
//! {"type":"Del","key":k}           → nil
//! anything else                    → {"type":"Error","message":…}, and the connection stays
//! ```
//!
//! Requests are read in place: key and value are slices of the frame, and fields of other names are stepped over
//! without recursion, so depth and announced counts cost nothing. `key` and `val` may be bin as well as str: who
//! got bin can write it back. Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>.
use crate::dialect::{FrameLimits, Split, hashed, is_utf8, push_value};
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::engine::verbs::Verb;
use crate::proto::reply::Output;
use crate::store::{NewString, StringRef, Ttl};

/// Bytes of the length before each object.
const HEAD_BYTES: usize = 4;
const NIL: u8 = 0xc0;

/// Nothing to remember: the end of a frame is known from its first four bytes.
#[derive(Debug, Default)]
pub struct State;

/// Finds the end of the request at the start of `unread`. O(1).
pub fn split(_state: &mut State, unread: &[u8], limits: &FrameLimits) -> Split {
    let Some(head) = unread.first_chunk::<HEAD_BYTES>() else { return Split::Incomplete };
    let len = u32::from_be_bytes(*head) as usize + HEAD_BYTES;
    if len > limits.frame_bytes_max {
        let mut out = Output::default();
        error(b"frame too long", &mut out);
        return Split::Fatal(out.to_bytes());
    }
    if unread.len() < len { Split::Incomplete } else { Split::Frame(len) }
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
    let request = match request_of(frame) {
        Ok(request) => request,
        Err(reason) => {
            engine.shared.stats.count_error(b"ERR");
            *started = engine.shared.clock.ticks();
            return error(reason.as_bytes(), out);
        }
    };
    let result = match request {
        Request::Get { key } => engine.perform(session, Verb::Get, &[key], out, started, |ctx| {
            let value = ctx.db.string(hashed(ctx, key, first_hash))?;
            push_answer(value, ctx.reply.output())
        }),
        Request::Put { key, value } => {
            engine.perform(session, Verb::Set, &[key, value], out, started, |ctx| {
                ctx.set(hashed(ctx, key, first_hash), NewString::Bytes(value), Ttl::Clear)?;
                push_nil(ctx.reply.output());
                Ok(())
            })
        }
        Request::Del { key } => engine.perform(session, Verb::Del, &[key], out, started, |ctx| {
            ctx.delete(hashed(ctx, key, first_hash));
            push_nil(ctx.reply.output());
            Ok(())
        }),
    };
    if let Err(failure) = result {
        error(&failure.message(), out);
    }
}

fn request_of(frame: &[u8]) -> Result<Request<'_>, &'static str> {
    let object = frame.get(HEAD_BYTES..).unwrap_or(&[]);
    usual_request(object).map_or_else(|| parse(object), Ok)
}

/// Whether a whole request may change something.
pub fn may_write(frame: &[u8]) -> bool {
    matches!(request_of(frame), Ok(Request::Put { .. } | Request::Del { .. }))
}

/// What a whole request asks for, if it is one.
pub fn verb(frame: &[u8]) -> Option<Verb> {
    match request_of(frame) {
        Ok(Request::Get { .. }) => Some(Verb::Get),
        Ok(Request::Put { .. }) => Some(Verb::Set),
        Ok(Request::Del { .. }) => Some(Verb::Del),
        Err(_) => None,
    }
}

/// Visits the keys of a whole request, with whether it may change them. O(bytes).
pub fn each_key(frame: &[u8], visit: &mut dyn FnMut(&[u8], bool)) {
    match request_of(frame) {
        Ok(Request::Get { key }) => visit(key, false),
        Ok(Request::Put { key, .. } | Request::Del { key }) => visit(key, true),
        Err(_) => {}
    }
}

/// The key of a request, if it has one. O(1) for one in the usual form.
pub fn first_key(frame: &[u8]) -> Option<&[u8]> {
    let (head, rest) = frame.get(HEAD_BYTES..)?.split_first_chunk()?;
    if matches!(head, USUAL_GET | USUAL_PUT | USUAL_DEL)
        && let Some((key, _)) = short_text(rest)
    {
        return Some(key);
    }
    match request_of(frame).ok()? {
        Request::Get { key } | Request::Put { key, .. } | Request::Del { key } => Some(key),
    }
}

/// Appends an error.
pub fn error(text: &[u8], out: &mut Output) {
    // Errors are ours and short; some show what a client sent, which may be anything.
    let text = String::from_utf8_lossy(text);
    const FIELDS: &[u8] = b"\x82\xa4type\xa5Error\xa7message";
    let head = StrHead::of(text.len(), Form::Str);
    let out = out.bytes_mut();
    out.extend_from_slice(&((FIELDS.len() + head.len + text.len()) as u32).to_be_bytes());
    out.extend_from_slice(FIELDS);
    out.extend_from_slice(head.bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_nil(out: &mut Output) {
    out.bytes_mut().extend_from_slice(&[0, 0, 0, 1, NIL]);
}

fn push_answer(value: Option<StringRef<'_>>, out: &mut Output) -> Result<(), CmdError> {
    let Some(value) = value else {
        push_nil(out);
        return Ok(());
    };
    let mut scratch = itoa::Buffer::new();
    let bytes = value.as_bytes(&mut scratch);
    let form = if is_utf8(bytes) { Form::Str } else { Form::Bin };
    let head = StrHead::of(bytes.len(), form);
    let Ok(total) = u32::try_from(head.len + bytes.len()) else {
        return Err(CmdError::Text("ERR the value is too long for this protocol"));
    };
    out.bytes_mut().extend_from_slice(&total.to_be_bytes());
    out.bytes_mut().extend_from_slice(head.bytes());
    push_value(value, bytes, out);
    Ok(())
}

#[derive(Clone, Copy)]
enum Form {
    Str,
    Bin,
}

/// What stands before the bytes of a str or bin: the shortest form there is.
struct StrHead {
    buffer: [u8; 5],
    len: usize,
}

impl StrHead {
    fn of(len: usize, form: Form) -> StrHead {
        let [_, _, high, low] = (len as u32).to_be_bytes();
        let (buffer, head_len) = match (form, len) {
            (Form::Str, 0..=31) => ([0xa0 | low, 0, 0, 0, 0], 1),
            (_, 0..=0xff) => ([form.marker(0), low, 0, 0, 0], 2),
            (_, 0..=0xffff) => ([form.marker(1), high, low, 0, 0], 3),
            _ => {
                let [a, b, c, d] = (len as u32).to_be_bytes();
                ([form.marker(2), a, b, c, d], 5)
            }
        };
        StrHead { buffer, len: head_len }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Form {
    /// The marker of the forms with a length of 1, 2 and 4 bytes.
    fn marker(self, size: u8) -> u8 {
        size + match self {
            Form::Str => 0xd9,
            Form::Bin => 0xc4,
        }
    }
}

/// A request, its parts in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request<'b> {
    Get { key: &'b [u8] },
    Put { key: &'b [u8], value: &'b [u8] },
    Del { key: &'b [u8] },
}

/// How requests begin where the fields stand in the order of the specification and in their shortest form: so nearly
/// all clients write them.
const USUAL_BYTES: usize = 14;
const USUAL_GET: &[u8; USUAL_BYTES] = b"\x82\xa4type\xa3Get\xa3key";
const USUAL_PUT: &[u8; USUAL_BYTES] = b"\x83\xa4type\xa3Put\xa3key";
const USUAL_DEL: &[u8; USUAL_BYTES] = b"\x82\xa4type\xa3Del\xa3key";

/// As [`parse`] for a request in the usual form; `None`: it has to be looked at properly. O(1).
#[inline]
fn usual_request(object: &[u8]) -> Option<Request<'_>> {
    let (head, rest) = object.split_first_chunk()?;
    let (key, rest) = short_text(rest)?;
    let (request, rest) = match head {
        USUAL_GET => (Request::Get { key }, rest),
        USUAL_PUT => {
            let (value, rest) = short_text(rest.strip_prefix(b"\xa3val")?)?;
            (Request::Put { key, value }, rest)
        }
        USUAL_DEL => (Request::Del { key }, rest),
        _ => return None,
    };
    rest.is_empty().then_some(request)
}

/// The bytes of the str or bin that comes, of less than 64 KiB, and what follows it.
#[inline]
fn short_text(object: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match *object {
        [marker @ 0xa0..=0xbf, ref rest @ ..] => (usize::from(marker & 0x1f), rest),
        [0xd9 | 0xc4, len, ref rest @ ..] => (usize::from(len), rest),
        [0xda | 0xc5, high, low, ref rest @ ..] => {
            (usize::from(high) << 8 | usize::from(low), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// One field: not seen yet, of another type than str, or its bytes.
#[derive(Clone, Copy, Default)]
enum Field<'b> {
    #[default]
    Missing,
    WrongType,
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    fn take(
        &mut self,
        reader: &mut Reader<'b>,
        duplicate: &'static str,
    ) -> Result<(), &'static str> {
        if !matches!(self, Field::Missing) {
            return Err(duplicate);
        }
        *self = match reader.text()? {
            Some(bytes) => Field::Bytes(bytes),
            None => Field::WrongType,
        };
        Ok(())
    }

    fn get(
        self,
        missing: &'static str,
        wrong_type: &'static str,
    ) -> Result<&'b [u8], &'static str> {
        match self {
            Field::Missing => Err(missing),
            Field::WrongType => Err(wrong_type),
            Field::Bytes(bytes) => Ok(bytes),
        }
    }
}

/// One whole object as a request. The error is what the client is told. O(bytes), no allocation.
fn parse(object: &[u8]) -> Result<Request<'_>, &'static str> {
    let mut reader = Reader { rest: object };
    let pairs = reader.map()?;
    let (mut kind, mut key, mut value) = (Field::Missing, Field::Missing, Field::Missing);
    for _ in 0..pairs {
        match reader.text()? {
            Some(b"type") => kind.take(&mut reader, "duplicate field `type`")?,
            Some(b"key") => key.take(&mut reader, "duplicate field `key`")?,
            Some(b"val") => value.take(&mut reader, "duplicate field `val`")?,
            _ => reader.skip()?,
        }
    }
    if !reader.rest.is_empty() {
        return Err("trailing bytes after the request");
    }
    let kind = kind.get("missing field `type`", "field `type` is not a string")?;
    if !matches!(kind, b"Get" | b"Put" | b"Del") {
        return Err("unknown type of request");
    }
    let key = key.get("missing field `key`", "field `key` is not a string")?;
    match kind {
        b"Get" => Ok(Request::Get { key }),
        b"Del" => Ok(Request::Del { key }),
        _ => {
            let value = value.get("missing field `val`", "field `val` is not a string")?;
            Ok(Request::Put { key, value })
        }
    }
}

/// Reads an object from its front.
struct Reader<'b> {
    rest: &'b [u8],
}

const TRUNCATED: &str = "the object ends too early";

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (&byte, rest) = self.rest.split_first().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A number of `1 << size` bytes, up to four.
    fn number(&mut self, size: u8) -> Result<usize, &'static str> {
        let bytes = self.take(1 << size)?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// The number of pairs of the map that comes.
    fn map(&mut self) -> Result<usize, &'static str> {
        match self.byte()? {
            marker @ 0x80..=0x8f => Ok(usize::from(marker & 0x0f)),
            marker @ (0xde | 0xdf) => self.number(marker - 0xde + 1),
            _ => Err("the request is not a map"),
        }
    }

    /// The bytes of the str or bin that comes; `None` for anything else, which is stepped over.
    fn text(&mut self) -> Result<Option<&'b [u8]>, &'static str> {
        let &marker = self.rest.first().ok_or(TRUNCATED)?;
        let len = match marker {
            0xa0..=0xbf => {
                self.byte()?;
                usize::from(marker & 0x1f)
            }
            0xd9..=0xdb => {
                self.byte()?;
                self.number(marker - 0xd9)?
            }
            0xc4..=0xc6 => {
                self.byte()?;
                self.number(marker - 0xc4)?
            }
            _ => {
                self.skip()?;
                return Ok(None);
            }
        };
        self.take(len).map(Some)
    }

    /// Steps over one object, nested ones included. Each takes a byte at least, so this ends.
    fn skip(&mut self) -> Result<(), &'static str> {
        let mut left: u64 = 1;
        while left > 0 {
            left -= 1;
            let marker = self.byte()?;
            let (bytes, objects) = match marker {
                0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
                0x90..=0x9f => (0, usize::from(marker & 0x0f)),
                0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
                0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
                0xc1 => return Err("a byte that MessagePack does not use"),
                0xc4..=0xc6 => (self.number(marker - 0xc4)?, 0),
                // An extension has a type before its bytes.
                0xc7..=0xc9 => (self.number(marker - 0xc7)? + 1, 0),
                0xca => (4, 0),
                0xcb => (8, 0),
                0xcc..=0xcf => (1 << (marker - 0xcc), 0),
                0xd0..=0xd3 => (1 << (marker - 0xd0), 0),
                0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
                0xd9..=0xdb => (self.number(marker - 0xd9)?, 0),
                0xdc | 0xdd => (0, self.number(marker - 0xdc + 1)?),
                0xde | 0xdf => (0, 2 * self.number(marker - 0xde + 1)?),
            };
            self.take(bytes)?;
            left += objects as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "msgpack_tests.rs"]
mod tests;
