//! Nested values as one string of bytes: what a key of type `document` holds.
//!
//! ```text
//!   value    '_'                              null
//!            '+' | '$' | '^' | '@'  length, bytes    simple string, bytes, text, JSON text
//!            ':'  zigzag                      a 64-bit integer
//!            '.'  length, bytes               any other number, as it was written
//!            '*' | '&'  count, values         array, set
//!            '%'  count, key and value each   dictionary
//!   length, count, zigzag                     LEB128: 7 bits a byte, low ones first
//! ```
//!
//! Everything stands in the order in which a wire protocol says it, so a value is answered by walking its
//! [`Token`]s once, without a tree and without recursion. [`Writer`] makes the bytes and keeps the limits;
//! [`check`] proves bytes that came from elsewhere; [`Nested`] is the same as a tree, for programs and tests.
//!
//! Promise: bytes that pass [`check`] have at most [`DEPTH_MAX`] levels and [`ELEMENTS_MAX`] elements, and no
//! claimed length or count is believed before the bytes for it are there. Cost: O(bytes), one allocation.
use std::fmt;

use crate::base::pieces::Progress;

/// Aggregates within aggregates: a value of more levels is refused.
pub const DEPTH_MAX: usize = 128;
/// Values within one value, itself included.
pub const ELEMENTS_MAX: u64 = 1 << 20;
/// Longest number that is no 64-bit integer, in bytes of text.
pub const NUMBER_BYTES_MAX: usize = 1024;

/// Bytes of one token that are as much work as a token more.
const BYTES_PER_UNIT: usize = 1024;

const NULL: u8 = b'_';
const SIMPLE: u8 = b'+';
const BYTES: u8 = b'$';
const TEXT: u8 = b'^';
const JSON: u8 = b'@';
const INT: u8 = b':';
const NUMBER: u8 = b'.';
const ARRAY: u8 = b'*';
const SET: u8 = b'&';
const DICT: u8 = b'%';

/// One step of a walk over a value: a scalar, or the head of an aggregate whose elements follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'b> {
    /// No value.
    Null,
    /// A short string without line ends.
    Simple(&'b [u8]),
    /// Any bytes.
    Bytes(&'b [u8]),
    /// Unicode text, as UTF-8.
    Text(&'b str),
    /// JSON, as UTF-8.
    Json(&'b str),
    /// An integer.
    Int(i64),
    /// A number that is no 64-bit integer, as it was written.
    Number(&'b str),
    /// So many values follow.
    Array(u64),
    /// So many pairs of values follow.
    Dict(u64),
    /// So many values follow, in no particular order.
    Set(u64),
}

impl Token<'_> {
    /// Values that belong to it directly.
    fn members(self) -> u64 {
        match self {
            Token::Array(count) | Token::Set(count) => count,
            Token::Dict(pairs) => pairs.saturating_mul(2),
            _ => 0,
        }
    }

    /// Whether values may follow that belong to it.
    #[must_use]
    pub fn is_aggregate(self) -> bool {
        matches!(self, Token::Array(_) | Token::Dict(_) | Token::Set(_))
    }
}

/// Why a value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// More than [`DEPTH_MAX`] levels.
    TooDeep,
    /// More than [`ELEMENTS_MAX`] elements.
    TooMany,
    /// Memory for it cannot be had.
    OutOfMemory,
    /// The bytes are no value, or more than one, or a number is none.
    Corrupt,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Refused::TooDeep => "value is nested too deep",
            Refused::TooMany => "value has too many elements",
            Refused::OutOfMemory => "out of memory",
            Refused::Corrupt => "not a value",
        })
    }
}

impl std::error::Error for Refused {}

/// Whether text is a number that a client can read back: an integer of any length, or a decimal or binary
/// floating-point one.
#[must_use]
pub fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || text.len() > NUMBER_BYTES_MAX {
        return false;
    }
    let is_integer = digits.iter().all(u8::is_ascii_digit);
    is_integer || fast_float2::parse::<f64, _>(text).is_ok()
}

/// A floating-point number as text that reads back as the same one: shortest digits, no exponent, and a point
/// even where there is no fraction, since the point is what some clients tell it from an integer by.
#[must_use]
pub fn float_text(value: f64) -> String {
    let mut text = value.to_string();
    if value.is_finite() && !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// Counts what is open while tokens pass, and refuses what goes beyond the limits.
#[derive(Clone, Debug, Default)]
struct Shape {
    /// Values still to come, for each level.
    open: Vec<u64>,
    elements: u64,
    is_started: bool,
}

impl Shape {
    fn is_complete(&self) -> bool {
        self.is_started && self.open.is_empty()
    }

    /// Takes one token in.
    fn pass(&mut self, token: Token<'_>) -> Result<(), Refused> {
        if self.is_complete() {
            return Err(Refused::Corrupt);
        }
        self.is_started = true;
        self.elements += 1;
        if self.elements.saturating_add(token.members()) > ELEMENTS_MAX {
            return Err(Refused::TooMany);
        }
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        // An empty aggregate is a level too, or limits would depend on what is inside.
        if token.is_aggregate() && self.open.len() >= DEPTH_MAX {
            return Err(Refused::TooDeep);
        }
        if token.members() > 0 {
            // At most DEPTH_MAX of them.
            self.open.push(token.members());
        } else {
            while self.open.last() == Some(&0) {
                self.open.pop();
            }
        }
        Ok(())
    }
}

/// Makes the bytes of one value from its tokens.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    shape: Shape,
}

impl Writer {
    /// With no value yet; allocates nothing.
    #[must_use]
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Appends a token. After an error the writer is of no use any more.
    pub fn push(&mut self, token: Token<'_>) -> Result<(), Refused> {
        self.shape.pass(token)?;
        match token {
            Token::Null => self.head(NULL, None),
            Token::Simple(text) => self.text(SIMPLE, text),
            Token::Bytes(bytes) => self.text(BYTES, bytes),
            Token::Text(text) => self.text(TEXT, text.as_bytes()),
            Token::Json(text) => self.text(JSON, text.as_bytes()),
            Token::Int(value) => self.head(INT, Some(zigzag(value))),
            Token::Number(text) if is_number(text.as_bytes()) => self.text(NUMBER, text.as_bytes()),
            Token::Number(_) => Err(Refused::Corrupt),
            Token::Array(count) => self.head(ARRAY, Some(count)),
            Token::Dict(pairs) => self.head(DICT, Some(pairs)),
            Token::Set(count) => self.head(SET, Some(count)),
        }
    }

    /// Whether the value is whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shape.is_complete()
    }

    /// The bytes of the value; an error where it is not whole.
    pub fn finish(self) -> Result<Vec<u8>, Refused> {
        if self.is_complete() { Ok(self.bytes) } else { Err(Refused::Corrupt) }
    }

    fn head(&mut self, tag: u8, number: Option<u64>) -> Result<(), Refused> {
        self.bytes.try_reserve(11).map_err(|_| Refused::OutOfMemory)?;
        self.bytes.push(tag);
        if let Some(number) = number {
            write_varint(&mut self.bytes, number);
        }
        Ok(())
    }

    fn text(&mut self, tag: u8, text: &[u8]) -> Result<(), Refused> {
        self.bytes.try_reserve(11 + text.len()).map_err(|_| Refused::OutOfMemory)?;
        self.head(tag, Some(text.len() as u64))?;
        self.bytes.extend_from_slice(text);
        Ok(())
    }
}

/// Walks over the tokens of bytes, front to back; after an error it ends.
#[derive(Clone, Debug)]
pub struct Tokens<'b> {
    rest: &'b [u8],
}

/// The tokens of bytes; they need not have passed [`check`].
#[must_use]
pub fn tokens(bytes: &[u8]) -> Tokens<'_> {
    Tokens { rest: bytes }
}

impl<'b> Tokens<'b> {
    /// Bytes not walked over yet: what follows the last token begins so far from the end.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self) -> Option<Token<'b>> {
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        if tag == NULL {
            return Some(Token::Null);
        }
        let number = self.varint()?;
        Some(match tag {
            INT => Token::Int(unzigzag(number)),
            ARRAY => Token::Array(self.believable(number, 1)?),
            DICT => Token::Dict(self.believable(number, 2)?),
            SET => Token::Set(self.believable(number, 1)?),
            SIMPLE => Token::Simple(self.bytes(number)?),
            BYTES => Token::Bytes(self.bytes(number)?),
            TEXT => Token::Text(self.utf8(number)?),
            JSON => Token::Json(self.utf8(number)?),
            NUMBER => Token::Number(self.utf8(number)?),
            _ => return None,
        })
    }

    /// A count for which there can be enough: each value takes at least one byte.
    fn believable(&self, count: u64, values_each: u64) -> Option<u64> {
        (count.checked_mul(values_each)? <= self.rest.len() as u64).then_some(count)
    }

    fn bytes(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn utf8(&mut self, length: u64) -> Option<&'b str> {
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let low = u64::from(byte & 0x7f);
            if low << shift >> shift != low {
                return None;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'b> Iterator for Tokens<'b> {
    type Item = Result<Token<'b>, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let token = self.take();
        if token.is_none() {
            self.rest = &[];
        }
        Some(token.ok_or(Refused::Corrupt))
    }
}

/// Whether bytes are one whole value within the limits. O(bytes), memory for the levels only.
pub fn check(bytes: &[u8]) -> Result<(), Refused> {
    let mut check = Check::default();
    while !check.step(bytes, usize::MAX)?.is_done() {}
    Ok(())
}

/// [`check`] in pieces.
#[derive(Clone, Debug, Default)]
pub struct Check {
    shape: Shape,
    /// Bytes checked.
    done: usize,
}

impl Check {
    /// Goes on over `bytes`, which are the same at every step, by about so many tokens or kilobytes.
    pub fn step(&mut self, bytes: &[u8], units: usize) -> Result<Progress, Refused> {
        let mut tokens = tokens(bytes.get(self.done..).unwrap_or(&[]));
        let mut left = units;
        while left > 0 {
            let before = tokens.left();
            let Some(token) = tokens.next() else {
                let is_complete = self.shape.is_complete();
                return if is_complete { Ok(Progress::Done) } else { Err(Refused::Corrupt) };
            };
            let token = token?;
            self.shape.pass(token)?;
            match token {
                Token::Number(text) if !is_number(text.as_bytes()) => return Err(Refused::Corrupt),
                Token::Simple(text) if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
                    return Err(Refused::Corrupt);
                }
                _ => {}
            }
            left = left.saturating_sub(1 + (before - tokens.left()) / BYTES_PER_UNIT);
        }
        self.done = bytes.len() - tokens.left();
        Ok(Progress::More)
    }
}

/// A nested value as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nested {
    /// No value.
    Null,
    /// A short string without line ends.
    Simple(Vec<u8>),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// Unicode text.
    Text(String),
    /// JSON, not looked into.
    Json(String),
    /// An integer.
    Int(i64),
    /// A number that is no 64-bit integer, as it was written.
    Number(String),
    /// Values in order.
    Array(Vec<Nested>),
    /// Keys with values, in order of arrival.
    Dict(Vec<(Nested, Nested)>),
    /// Values, in order of arrival.
    Set(Vec<Nested>),
}

impl Nested {
    /// A floating-point number, as [`float_text`] writes it.
    #[must_use]
    pub fn float(value: f64) -> Nested {
        Nested::Number(float_text(value))
    }

    /// The bytes of this value.
    pub fn encode(&self) -> Result<Vec<u8>, Refused> {
        let mut writer = Writer::new();
        self.write(&mut writer)?;
        writer.finish()
    }

    /// Recurses, but the writer refuses what is deeper than [`DEPTH_MAX`].
    fn write(&self, writer: &mut Writer) -> Result<(), Refused> {
        match self {
            Nested::Null => writer.push(Token::Null),
            Nested::Simple(text) => writer.push(Token::Simple(text)),
            Nested::Bytes(bytes) => writer.push(Token::Bytes(bytes)),
            Nested::Text(text) => writer.push(Token::Text(text)),
            Nested::Json(text) => writer.push(Token::Json(text)),
            Nested::Int(value) => writer.push(Token::Int(*value)),
            Nested::Number(text) => writer.push(Token::Number(text)),
            Nested::Array(values) => {
                writer.push(Token::Array(values.len() as u64))?;
                values.iter().try_for_each(|value| value.write(writer))
            }
            Nested::Set(values) => {
                writer.push(Token::Set(values.len() as u64))?;
                values.iter().try_for_each(|value| value.write(writer))
            }
            Nested::Dict(pairs) => {
                writer.push(Token::Dict(pairs.len() as u64))?;
                pairs.iter().try_for_each(|(key, value)| {
                    key.write(writer)?;
                    value.write(writer)
                })
            }
        }
    }

    /// The tree of bytes, which are checked first. Allocates in proportion to them.
    pub fn decode(bytes: &[u8]) -> Result<Nested, Refused> {
        check(bytes)?;
        Nested::read(&mut tokens(bytes))
    }

    /// Recurses as deep as `check` has seen.
    fn read(tokens: &mut Tokens<'_>) -> Result<Nested, Refused> {
        let token = tokens.next().ok_or(Refused::Corrupt)??;
        let mut values = |count: u64| -> Result<Vec<Nested>, Refused> {
            (0..count).map(|_| Nested::read(tokens)).collect()
        };
        Ok(match token {
            Token::Null => Nested::Null,
            Token::Simple(text) => Nested::Simple(text.to_vec()),
            Token::Bytes(bytes) => Nested::Bytes(bytes.to_vec()),
            Token::Text(text) => Nested::Text(text.to_owned()),
            Token::Json(text) => Nested::Json(text.to_owned()),
            Token::Int(value) => Nested::Int(value),
            Token::Number(text) => Nested::Number(text.to_owned()),
            Token::Array(count) => Nested::Array(values(count)?),
            Token::Set(count) => Nested::Set(values(count)?),
            Token::Dict(pairs) => {
                let pair = |_| Ok((Nested::read(tokens)?, Nested::read(tokens)?));
                Nested::Dict((0..pairs).map(pair).collect::<Result<_, Refused>>()?)
            }
        })
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign become small ones without sign.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::any_nested;
