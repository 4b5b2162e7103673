//! The bytes of the simpledb dialect: where a request ends, what is in it, and values on their way out.
//!
//! ```text
//!   '+' text | '-' error | ':' number                       CRLF
//!   '$' length CRLF bytes | '^' … text | '@' … JSON         CRLF       '$' -1 is null
//!   '*' count CRLF values | '&' … a set | '%' pairs CRLF keys and values
//!   any other printable first byte: a line of words, up to LF
//! ```
//!
//! [`split`] counts the values that are still to come and keeps no stack, so depth costs it nothing; the length of
//! a string leads over its bytes without a look at them. Depth and number of elements of a value are limited where it
//! is stored (`types::document`). Nothing is allocated here on the word of a client.
use crate::base::hash::Key;
use crate::base::number::{canonical_i64, parse_i64};
use crate::dialect::{FrameLimits, Split, hashed, push_value};
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::proto::limits::{ELEMENTS_MAX, INLINE_BYTES_MAX};
use crate::proto::reply::Output;
use crate::store::{EntryRef, Kind, Scalar, StringRef};
use crate::types::document::{self, Refused, Token, Writer};

/// Fewest bytes a value takes: its type and a line end, and nothing between (an empty simple string).
const VALUE_BYTES_MIN: usize = 3;

/// Where the splitter stands between two pieces of a request.
#[derive(Debug, Default)]
pub struct State {
    /// The next byte to look at.
    at: usize,
    /// No line end is between `at` and here.
    searched_to: usize,
    /// Values still to come.
    values_left: usize,
    /// Values announced so far.
    elements: usize,
    /// Where the bytes of a string end that has been announced, its line end included.
    body_end: Option<usize>,
}

/// Why a stream cannot be cut any further.
enum Stop {
    Incomplete,
    Bad,
    TooBig,
}

/// Finds the end of the request at the start of `unread`. Amortised O(1) per value and line byte.
pub fn split(state: &mut State, unread: &[u8], limits: &FrameLimits) -> Split {
    match advance(state, unread, limits.frame_bytes_max) {
        Ok(end) => {
            *state = State::default();
            Split::Frame(end)
        }
        Err(Stop::Incomplete) => Split::Incomplete,
        Err(Stop::Bad) => Split::Fatal(b"-bad request\r\n".to_vec()),
        Err(Stop::TooBig) => Split::Fatal(b"-request is too big\r\n".to_vec()),
    }
}

fn advance(state: &mut State, unread: &[u8], bytes_max: usize) -> Result<usize, Stop> {
    if state.at == 0
        && let Some(end) = short_list_end(unread).filter(|&end| end <= bytes_max)
    {
        return Ok(end);
    }
    let first = *unread.first().ok_or(Stop::Incomplete)?;
    if !is_type(first) {
        if !matches!(first, b' '..=b'~') {
            return Err(Stop::Bad);
        }
        next_line(state, unread)?;
        return Ok(state.at);
    }
    if state.elements == 0 {
        (state.values_left, state.elements) = (1, 1);
    }
    while state.values_left > 0 {
        if let Some(end) = state.body_end {
            if unread.len() < end {
                return Err(Stop::Incomplete);
            }
            if unread[end - 2..end] != *b"\r\n" {
                return Err(Stop::Bad);
            }
            (state.at, state.body_end) = (end, None);
            state.values_left -= 1;
            continue;
        }
        // A wrong type is seen before its line is whole.
        if !unread.get(state.at).is_none_or(|&byte| is_type(byte)) {
            return Err(Stop::Bad);
        }
        let head = head_of(next_line(state, unread)?).ok_or(Stop::Bad)?;
        match head {
            Head::Line | Head::Null => state.values_left -= 1,
            Head::Body(length) => {
                let end = length.checked_add(state.at + 2).ok_or(Stop::TooBig)?;
                state.body_end = Some(end);
            }
            Head::Members(count) => {
                state.elements = state.elements.saturating_add(count);
                if state.elements > ELEMENTS_MAX {
                    return Err(Stop::TooBig);
                }
                state.values_left += count;
                state.values_left -= 1;
            }
        }
        // What was announced cannot fit any more: say so now, not when it has all been sent.
        let others = state.values_left - usize::from(state.body_end.is_some());
        let least = state.body_end.unwrap_or(state.at).saturating_add(others * VALUE_BYTES_MIN);
        if least > bytes_max {
            return Err(Stop::TooBig);
        }
    }
    Ok(state.at)
}

/// The end of a request that is whole and a list of a few short strings, as nearly all are; `None`: it has to be looked
/// at properly. O(1).
fn short_list_end(unread: &[u8]) -> Option<usize> {
    let (count, mut rest) = short_list(unread)?;
    for _ in 0..count {
        (_, rest) = short_string(rest)?;
    }
    Some(unread.len() - rest.len())
}

/// The number of elements of a list of one to nine, and what follows its head.
#[inline]
fn short_list(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [b'*', count @ b'1'..=b'9', b'\r', b'\n', rest @ ..] => {
            Some((usize::from(count - b'0'), rest))
        }
        _ => None,
    }
}

/// A string of bytes whose head is short and which is all there, and what follows it.
#[inline]
fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first() != Some(&b'$') {
        return None;
    }
    let (length, head_bytes) = short_head(bytes)?;
    let (body, rest) = bytes.get(head_bytes..)?.split_at_checked(length)?;
    Some((body, rest.strip_prefix(b"\r\n")?))
}

/// The number of a head of up to two digits, and the bytes of its line; `None`: it is not of that form.
#[inline]
fn short_head(value: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *value {
        [_, ones @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(ones), 4)),
        [_, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((digit(tens) * 10 + digit(ones), 5))
        }
        _ => None,
    }
}

/// The line at `state.at` without its end; the state then stands behind it.
fn next_line<'b>(state: &mut State, unread: &'b [u8]) -> Result<&'b [u8], Stop> {
    let from = state.searched_to.max(state.at);
    let found = memchr::memchr(b'\n', &unread[from..]).map(|at| from + at);
    // The line end counts from its first byte on, so that a limit does not depend on how the bytes arrive.
    if found.unwrap_or(unread.len()) - state.at > INLINE_BYTES_MAX + 1 {
        return Err(Stop::TooBig);
    }
    let Some(end) = found else {
        state.searched_to = unread.len();
        return Err(Stop::Incomplete);
    };
    let line = &unread[state.at..end];
    state.at = end + 1;
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

fn is_type(byte: u8) -> bool {
    matches!(byte, b'+' | b'-' | b':' | b'$' | b'^' | b'@' | b'*' | b'%' | b'&')
}

/// What the first line of a value says about what follows.
enum Head {
    Line,
    Null,
    Body(usize),
    Members(usize),
}

fn head_of(line: &[u8]) -> Option<Head> {
    let (&kind, rest) = line.split_first()?;
    if matches!(kind, b'+' | b'-' | b':') {
        return Some(Head::Line);
    }
    let number = parse_i64(rest)?;
    if kind == b'$' && number == -1 {
        return Some(Head::Null);
    }
    let number = usize::try_from(number).ok()?;
    Some(match kind {
        b'$' | b'^' | b'@' => Head::Body(number),
        b'%' => Head::Members(number.checked_mul(2)?),
        _ => Head::Members(number),
    })
}

/// Reads values of a frame, front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'b> {
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    /// The next token; `None`: what stands there is no value.
    fn token(&mut self) -> Option<Token<'b>> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let line = self.rest[..end].strip_suffix(b"\r").unwrap_or(&self.rest[..end]);
        self.rest = &self.rest[end + 1..];
        let (&kind, text) = line.split_first()?;
        Some(match kind {
            b'+' if memchr::memchr(b'\r', text).is_none() => Token::Simple(text),
            b':' => match canonical_i64(text) {
                Some(number) => Token::Int(number),
                None if document::is_number(text) => Token::Number(std::str::from_utf8(text).ok()?),
                None => return None,
            },
            b'$' if text == b"-1" => Token::Null,
            b'$' => Token::Bytes(self.body(text)?),
            b'^' => Token::Text(std::str::from_utf8(self.body(text)?).ok()?),
            b'@' => Token::Json(std::str::from_utf8(self.body(text)?).ok()?),
            b'*' => Token::Array(count(text)?),
            b'%' => Token::Dict(count(text)?),
            b'&' => Token::Set(count(text)?),
            // An error is an answer, not a value.
            _ => return None,
        })
    }

    fn body(&mut self, length: &[u8]) -> Option<&'b [u8]> {
        let (body, rest) = self.rest.split_at_checked(usize::try_from(count(length)?).ok()?)?;
        self.rest = rest.strip_prefix(b"\r\n")?;
        Some(body)
    }

    /// The next token as an argument: a scalar, or the head of what is nested.
    fn part(&mut self) -> Option<Arg<'b>> {
        let start = self.rest;
        let token = self.token()?;
        Some(Arg { token, wire: &start[..start.len() - self.rest.len()], hash: None })
    }

    /// The next value, nested or not.
    fn value(&mut self) -> Option<Arg<'b>> {
        let start = self.rest;
        let token = self.token()?;
        let mut left = members(token);
        while left > 0 {
            left = (left - 1).checked_add(members(self.token()?))?;
        }
        Some(Arg { token, wire: &start[..start.len() - self.rest.len()], hash: None })
    }
}

fn count(text: &[u8]) -> Option<u64> {
    u64::try_from(parse_i64(text)?).ok()
}

fn members(token: Token<'_>) -> u64 {
    match token {
        Token::Array(count) | Token::Set(count) => count,
        Token::Dict(pairs) => pairs.saturating_mul(2),
        _ => 0,
    }
}

/// One argument of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg<'b> {
    /// What it is; of an aggregate the head.
    pub(super) token: Token<'b>,
    /// All its bytes, as they came.
    wire: &'b [u8],
    /// Hash of its text, where it has been computed.
    hash: Option<u64>,
}

/// What a frame is told that the splitter let pass and that is no request all the same.
pub(super) const BAD_REQUEST: &str = "bad request";
const MISSING_COMMAND: &str = "Missing command";

/// The words or values of a request one after the other, the command's name first, without a list of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts<'b> {
    Words(&'b [u8]),
    Values { cursor: Cursor<'b>, left: u64 },
}

impl<'b> Parts<'b> {
    /// Those of a frame; the error is what the client is told.
    pub(super) fn of(frame: &'b [u8]) -> Result<Parts<'b>, &'static str> {
        if frame.first().is_some_and(|&byte| !is_type(byte)) {
            return Ok(Parts::Words(frame));
        }
        let mut cursor = Cursor { rest: frame };
        let line = match cursor.token().ok_or(BAD_REQUEST)? {
            Token::Array(0) => return Err(MISSING_COMMAND),
            Token::Array(left) => return Ok(Parts::Values { cursor, left }),
            Token::Simple(line) | Token::Bytes(line) => line,
            Token::Text(line) => line.as_bytes(),
            _ => return Err("Request must be list or simple string."),
        };
        if cursor.rest.is_empty() { Ok(Parts::Words(line)) } else { Err(BAD_REQUEST) }
    }

    /// The next one; `None` at the end, an error where the rest is no value.
    pub(super) fn next(&mut self) -> Result<Option<Arg<'b>>, &'static str> {
        match self {
            Parts::Words(line) => {
                let from = line.trim_ascii_start();
                let end = from.iter().position(u8::is_ascii_whitespace).unwrap_or(from.len());
                let (word, rest) = from.split_at(end);
                *line = rest;
                Ok((end > 0).then_some(Arg { token: Token::Bytes(word), wire: word, hash: None }))
            }
            Parts::Values { cursor, left: 0 } => {
                if cursor.rest.is_empty() {
                    Ok(None)
                } else {
                    Err(BAD_REQUEST)
                }
            }
            Parts::Values { cursor, left } => {
                *left -= 1;
                cursor.value().map(Some).ok_or(BAD_REQUEST)
            }
        }
    }
}

impl<'b> Parts<'b> {
    /// The next one where it is a scalar; what is nested is not stepped over. O(its bytes).
    pub(super) fn scalar(&mut self) -> Option<Arg<'b>> {
        if let Parts::Values { cursor, left } = self {
            *left = left.checked_sub(1)?;
            return cursor.part().filter(|arg| !arg.token.is_aggregate());
        }
        self.next().ok()?
    }

    /// The first token of the next one.
    pub(super) fn head(&self) -> Option<Token<'b>> {
        match *self {
            Parts::Words(_) => None,
            Parts::Values { mut cursor, .. } => cursor.token(),
        }
    }

    /// Keys and values of the next one in turn where it is a dictionary.
    pub(super) fn enter_dict(&self) -> Option<Parts<'b>> {
        let Parts::Values { mut cursor, .. } = *self else { return None };
        match cursor.token()? {
            head @ Token::Dict(_) => Some(Parts::Values { cursor, left: members(head) }),
            _ => None,
        }
    }
}

/// A place between two tokens of a request's arguments, kept without the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// The rest of the arguments in the frame.
    at: usize,
    end: usize,
    /// Arguments still to come; `None`: words up to the end.
    left: Option<u64>,
    /// Values still to come of the nested one it is in.
    inside: u64,
}

/// One token of the arguments.
pub(super) struct Part<'b> {
    /// A scalar, or the head of what is nested.
    pub(super) arg: Arg<'b>,
    /// An argument begins with it.
    pub(super) is_start: bool,
}

impl Walk {
    /// Before the first of `parts`, which are those of `frame`.
    pub(super) fn of(frame: &[u8], parts: Parts<'_>) -> Walk {
        let (rest, left) = match parts {
            Parts::Words(line) => (line, None),
            Parts::Values { cursor, left } => (cursor.rest, Some(left)),
        };
        let at = (rest.as_ptr() as usize).saturating_sub(frame.as_ptr() as usize);
        Walk { at, end: at + rest.len(), left, inside: 0 }
    }

    /// The next token; `None` at the end, an error where the rest is no value.
    pub(super) fn next<'b>(&mut self, frame: &'b [u8]) -> Result<Option<Part<'b>>, CmdError> {
        const BAD: CmdError = CmdError::Text(BAD_REQUEST);
        let rest = frame.get(self.at..self.end).ok_or(BAD)?;
        let Some(left) = &mut self.left else {
            let mut words = Parts::Words(rest);
            let word = words.next().map_err(CmdError::Text)?;
            if let Parts::Words(rest) = words {
                self.at = self.end - rest.len();
            }
            return Ok(word.map(|arg| Part { arg, is_start: true }));
        };
        let is_start = self.inside == 0;
        if is_start && *left == 0 {
            return if rest.is_empty() { Ok(None) } else { Err(BAD) };
        }
        let mut cursor = Cursor { rest };
        let arg = cursor.part().ok_or(BAD)?;
        self.at = self.end - cursor.rest.len();
        *(if is_start { left } else { &mut self.inside }) -= 1;
        self.inside = self.inside.checked_add(members(arg.token)).ok_or(BAD)?;
        Ok(Some(Part { arg, is_start }))
    }

    /// More parts than this are not to come: none takes less than two bytes.
    pub(super) fn parts_max(self) -> usize {
        let bytes = (self.end - self.at) / 2 + 1;
        self.left.map_or(bytes, |left| bytes.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// The work of a step from `from` to here: one, and one for each kilobyte.
    pub(super) fn units_since(self, from: Walk) -> usize {
        1 + (self.at - from.at) / 1024
    }
}

/// Arguments that are kept without memory of their own: all that the scalar commands take, name included.
const FEW: usize = 4;

/// The text of the first argument of a list that begins with two short strings; `None`: it has to be looked for.
pub(super) fn first_short(frame: &[u8]) -> Option<&[u8]> {
    let (2.., rest) = short_list(frame)? else { return None };
    let (_, rest) = short_string(rest)?;
    short_string(rest).map(|(body, _)| body)
}

/// The words or values of a request as a list. Allocates for long ones only, in proportion to what has arrived.
pub(super) struct Arguments<'b> {
    few: [Arg<'b>; FEW],
    /// All of them, once they are more than a few.
    many: Vec<Arg<'b>>,
    count: usize,
}

impl<'b> Arguments<'b> {
    /// None yet.
    #[inline]
    pub(super) fn new() -> Arguments<'b> {
        let none = Arg { token: Token::Null, wire: &[], hash: None };
        Arguments { few: [none; FEW], many: Vec::new(), count: 0 }
    }

    /// Those of a frame, at least one; the error is what the client is told.
    pub(super) fn read(&mut self, frame: &'b [u8]) -> Result<(), &'static str> {
        if self.read_short(frame).is_some() {
            return Ok(());
        }
        let mut parts = Parts::of(frame)?;
        self.count = 0;
        while let Some(arg) = parts.next()? {
            self.push(arg);
        }
        if self.count == 0 { Err(MISSING_COMMAND) } else { Ok(()) }
    }

    /// As `read` for a list of a few short strings; `None`: it is something else.
    #[inline]
    fn read_short(&mut self, frame: &'b [u8]) -> Option<()> {
        let (count, mut rest) = short_list(frame)?;
        for place in self.few.get_mut(..count)? {
            let (body, after) = short_string(rest)?;
            let wire = &rest[..rest.len() - after.len()];
            *place = Arg { token: Token::Bytes(body), wire, hash: None };
            rest = after;
        }
        self.count = count;
        rest.is_empty().then_some(())
    }

    /// Says the hash of the text of the first one after the name.
    pub(super) fn set_first_hash(&mut self, hash: Option<u64>) {
        let first = if self.many.is_empty() { self.few.get_mut(1) } else { self.many.get_mut(1) };
        if let Some(first) = first {
            first.hash = hash;
        }
    }

    fn push(&mut self, arg: Arg<'b>) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = arg;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(arg);
        }
        self.count += 1;
    }

    /// All of them, the command's name first.
    pub(super) fn as_slice(&self) -> &[Arg<'b>] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

impl<'b> Arg<'b> {
    /// It as a key or a name: the text of any scalar.
    pub(super) fn text(&self) -> Result<&'b [u8], CmdError> {
        Ok(match self.token {
            Token::Simple(bytes) | Token::Bytes(bytes) => bytes,
            Token::Text(text) | Token::Json(text) | Token::Number(text) => text.as_bytes(),
            // Integers are canonical, so their text is the one that came: a type, digits, a line end.
            Token::Int(_) => self.wire.get(1..).unwrap_or(&[]).trim_ascii_end(),
            _ => return Err(CmdError::Text("ERR key must be a string or a number")),
        })
    }

    /// It as a key.
    pub(super) fn key(&self, ctx: &Ctx<'_>) -> Result<Key<'b>, CmdError> {
        Ok(hashed(ctx, self.text()?, self.hash))
    }

    /// The bytes under which a nested value is stored.
    pub(super) fn document(&self) -> Result<Vec<u8>, CmdError> {
        let (mut cursor, mut writer) = (Cursor { rest: self.wire }, Writer::new());
        while !writer.is_complete() {
            let token = cursor.token().ok_or(CmdError::Text(BAD_REQUEST))?;
            writer.push(token).map_err(refusal)?;
        }
        writer.finish().map_err(refusal)
    }

    /// Keys and values of a dictionary in turn; `None` for anything else.
    pub(super) fn pairs(&self) -> Option<Parts<'b>> {
        let mut cursor = Cursor { rest: self.wire };
        match cursor.token()? {
            head @ Token::Dict(_) => Some(Parts::Values { cursor, left: members(head) }),
            _ => None,
        }
    }
}

/// What a client is told whose value cannot be stored.
pub(super) fn refusal(refused: Refused) -> CmdError {
    match refused {
        Refused::TooDeep => CmdError::Text("ERR value is nested too deep"),
        Refused::TooMany => CmdError::Text("ERR value has too many elements"),
        Refused::OutOfMemory => CmdError::OutOfMemory,
        Refused::Corrupt => CmdError::Text(BAD_REQUEST),
    }
}

/// Appends a number.
pub(super) fn int(number: i64, out: &mut Output) {
    token(Token::Int(number), out);
}

/// Appends null.
pub(super) fn null(out: &mut Output) {
    out.bytes_mut().extend_from_slice(b"$-1\r\n");
}

/// Appends what a token says; of an aggregate the head.
pub(super) fn token(token: Token<'_>, out: &mut Output) {
    match token {
        Token::Null => null(out),
        Token::Simple(text) => line(b'+', text, out),
        Token::Bytes(bytes) => string(b'$', bytes, out),
        Token::Text(text) => string(b'^', text.as_bytes(), out),
        Token::Json(text) => string(b'@', text.as_bytes(), out),
        Token::Int(number) => line(b':', itoa::Buffer::new().format(number).as_bytes(), out),
        Token::Number(text) => line(b':', text.as_bytes(), out),
        Token::Array(count) => head(b'*', count, out),
        Token::Dict(pairs) => head(b'%', pairs, out),
        Token::Set(count) => head(b'&', count, out),
    }
}

/// Appends the value of a key with the type it came with: what Redis wrote is bytes. Values of other types than
/// string and document have no form here.
pub(super) fn entry(entry: &EntryRef<'_>, out: &mut Output) -> Result<(), CmdError> {
    if let Some(string) = entry.string() {
        scalar(entry.scalar(), string, out);
        return Ok(());
    }
    debug_assert_ne!(entry.kind(), Kind::String);
    let bytes = entry.document().ok_or(CmdError::WrongType)?;
    // It was checked when it was stored.
    document::tokens(bytes).flatten().for_each(|part| token(part, out));
    Ok(())
}

fn scalar(scalar: Scalar, value: StringRef<'_>, out: &mut Output) {
    let mut digits = itoa::Buffer::new();
    let bytes = value.as_bytes(&mut digits);
    let kind = match scalar {
        Scalar::Number => return line(b':', bytes, out),
        Scalar::Simple => return line(b'+', bytes, out),
        Scalar::Bytes => b'$',
        Scalar::Text => b'^',
        Scalar::Json => b'@',
    };
    head(kind, bytes.len() as u64, out);
    push_value(value, bytes, out);
    out.bytes_mut().extend_from_slice(b"\r\n");
}

fn head(kind: u8, number: u64, out: &mut Output) {
    line(kind, itoa::Buffer::new().format(number).as_bytes(), out);
}

fn line(kind: u8, text: &[u8], out: &mut Output) {
    let out = out.bytes_mut();
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn string(kind: u8, bytes: &[u8], out: &mut Output) {
    head(kind, bytes.len() as u64, out);
    let out = out.bytes_mut();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
