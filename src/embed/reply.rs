//! Replies as values: the tree that a RESP2 or RESP3 reply is, and its reader.
//!
//! Promise: reading never allocates more than has arrived, however large the sizes announced, and what is nested
//! too deep is refused. Cost: one allocation per string and per aggregate.
use std::io::{self, BufRead, Read};

use crate::embed::error::Error;

/// Aggregates within aggregates, more than which no server sends.
const DEPTH_MAX: usize = 128;
/// Elements reserved before the first of them is there.
const RESERVED_MAX: usize = 1024;
/// Longest line of a reply that is not a bulk string.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// One reply. Errors are replies too: [`Reply::ok`] tells them apart.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// Nothing: RESP3's null, or one of RESP2's two.
    Null,
    /// A status such as `OK`.
    Simple(String),
    /// An error, code first.
    Error(String),
    /// An integer.
    Int(i64),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// A list.
    Array(Vec<Reply>),
    /// Pairs, in the order sent (RESP3).
    Map(Vec<(Reply, Reply)>),
    /// Elements without order (RESP3).
    Set(Vec<Reply>),
    /// A message nobody asked for (RESP3).
    Push(Vec<Reply>),
    /// A floating-point number (RESP3).
    Double(f64),
    /// A truth value (RESP3).
    Bool(bool),
    /// An integer of any size, in decimal digits (RESP3).
    BigNumber(String),
    /// A text that says what it is written in (RESP3).
    Verbatim {
        /// Such as `txt` or `mkd`.
        format: String,
        /// The text.
        text: Vec<u8>,
    },
}

impl Reply {
    /// The reply, or its error as an [`Error`].
    pub fn ok(self) -> Result<Reply, Error> {
        match self {
            Reply::Error(message) => Err(Error::Command(message)),
            reply => Ok(reply),
        }
    }

    /// The number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Reply::Int(number) = self { Some(*number) } else { None }
    }

    /// The bytes, if it is a string of any kind, an error included.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Bulk(bytes) | Reply::Verbatim { text: bytes, .. } => Some(bytes),
            Reply::Simple(text) | Reply::Error(text) | Reply::BigNumber(text) => {
                Some(text.as_bytes())
            }
            _ => None,
        }
    }

    /// The text, if it is a string of any kind in UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The elements, if it is a list, a set or a message.
    pub fn as_slice(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => Some(elements),
            _ => None,
        }
    }

    /// Reads one reply. An error of kind `InvalidData` is no RESP, `UnexpectedEof` an end within the reply.
    pub fn read(from: &mut impl BufRead) -> io::Result<Reply> {
        read(from, DEPTH_MAX)
    }
}

fn read(from: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let line = read_line(from)?;
    let Some((&kind, rest)) = line.split_first() else { return Err(invalid("an empty line")) };
    let text = || String::from_utf8_lossy(rest).into_owned();
    let number = || number(rest);
    match kind {
        b'+' => Ok(Reply::Simple(text())),
        b'-' => Ok(Reply::Error(text())),
        b':' => Ok(Reply::Int(number()?)),
        b'_' => Ok(Reply::Null),
        b'#' => Ok(Reply::Bool(rest == b"t")),
        b'(' => Ok(Reply::BigNumber(text())),
        b',' => Ok(Reply::Double(double(&text())?)),
        b'$' | b'!' | b'=' => match usize::try_from(number()?) {
            Ok(length) => Ok(string(kind, read_bytes(from, length)?)),
            Err(_) => Ok(Reply::Null),
        },
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Ok(count) = usize::try_from(number()?) else { return Ok(Reply::Null) };
            let Some(depth) = depth.checked_sub(1) else { return Err(invalid("too deep")) };
            aggregate(from, kind, count, depth)
        }
        _ => Err(invalid("no reply begins so")),
    }
}

fn string(kind: u8, bytes: Vec<u8>) -> Reply {
    match kind {
        b'!' => Reply::Error(String::from_utf8_lossy(&bytes).into_owned()),
        b'=' => {
            let (format, text) = bytes.split_at(bytes.len().min(4));
            let format = format.strip_suffix(b":").unwrap_or(format);
            let format = String::from_utf8_lossy(format).into_owned();
            Reply::Verbatim { format, text: text.to_vec() }
        }
        _ => Reply::Bulk(bytes),
    }
}

fn aggregate(from: &mut impl BufRead, kind: u8, count: usize, depth: usize) -> io::Result<Reply> {
    if matches!(kind, b'%' | b'|') {
        let mut pairs = Vec::with_capacity(count.min(RESERVED_MAX));
        for _ in 0..count {
            pairs.push((read(from, depth)?, read(from, depth)?));
        }
        // An attribute says something of the reply behind it, which is the one asked for.
        return if kind == b'|' { read(from, depth) } else { Ok(Reply::Map(pairs)) };
    }
    let mut elements = Vec::with_capacity(count.min(RESERVED_MAX));
    for _ in 0..count {
        elements.push(read(from, depth)?);
    }
    Ok(match kind {
        b'~' => Reply::Set(elements),
        b'>' => Reply::Push(elements),
        _ => Reply::Array(elements),
    })
}

/// A line without its end.
fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\r\n") {
        line.truncate(line.len() - 2);
        return Ok(line);
    }
    if (line.len() as u64) < LINE_BYTES_MAX && !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Err(invalid("a line without an end"))
}

/// So many bytes and the line end behind them. Memory grows with what arrives.
fn read_bytes(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    let mut end = [0; 2];
    from.read_exact(&mut end)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if end == *b"\r\n" { Ok(bytes) } else { Err(invalid("a string of another length")) }
}

fn number(text: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| invalid("not a number"))
}

fn double(text: &str) -> io::Result<f64> {
    text.parse().map_err(|_| invalid("not a floating-point number"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a RESP reply: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Reply {
        let mut rest = text.as_bytes();
        let reply = Reply::read(&mut rest).unwrap();
        assert!(rest.is_empty(), "{text:?} leaves {rest:?}");
        reply
    }

    #[test]
    fn every_type_is_read() {
        let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        assert_eq!(whole("+OK\r\n"), Reply::Simple("OK".into()));
        assert_eq!(whole("-ERR no\r\n"), Reply::Error("ERR no".into()));
        assert_eq!(whole("!6\r\nERR no\r\n"), Reply::Error("ERR no".into()));
        assert_eq!(whole(":-7\r\n"), Reply::Int(-7));
        for null in ["_\r\n", "$-1\r\n", "*-1\r\n"] {
            assert_eq!(whole(null), Reply::Null);
        }
        assert_eq!(whole("$4\r\na\r\nb\r\n"), bulk("a\r\nb"));
        assert_eq!(whole("$0\r\n\r\n"), bulk(""));
        assert_eq!(whole("#t\r\n"), Reply::Bool(true));
        assert_eq!(whole(",-inf\r\n"), Reply::Double(f64::NEG_INFINITY));
        assert_eq!(whole(",1.5\r\n"), Reply::Double(1.5));
        assert_eq!(whole("(123\r\n"), Reply::BigNumber("123".into()));
        let verbatim = Reply::Verbatim { format: "txt".into(), text: b"x".to_vec() };
        assert_eq!(whole("=5\r\ntxt:x\r\n"), verbatim);
        assert_eq!(
            whole("*2\r\n:1\r\n*0\r\n"),
            Reply::Array(vec![Reply::Int(1), Reply::Array(vec![])])
        );
        assert_eq!(whole("~1\r\n:1\r\n"), Reply::Set(vec![Reply::Int(1)]));
        assert_eq!(whole(">1\r\n:1\r\n"), Reply::Push(vec![Reply::Int(1)]));
        assert_eq!(
            whole("%1\r\n+a\r\n:1\r\n"),
            Reply::Map(vec![(Reply::Simple("a".into()), Reply::Int(1))])
        );
        assert_eq!(whole("|1\r\n+ttl\r\n:9\r\n$1\r\nx\r\n"), bulk("x"));
    }

    #[test]
    fn a_reply_cut_anywhere_is_an_early_end() {
        let text = b"%2\r\n+a\r\n*2\r\n:1\r\n$3\r\nxyz\r\n$1\r\nb\r\n=5\r\ntxt:x\r\n";
        for end in 0..text.len() {
            let error = Reply::read(&mut &text[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = "*1\r\n".repeat(DEPTH_MAX + 1);
        for text in ["\r\n", "x\r\n", ":a\r\n", "$1\r\nxyz", ",z\r\n", "+a\n", &deep] {
            let error = Reply::read(&mut text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
        // Announced, but never sent: refused at the end of what was, without memory for it.
        for text in ["$999999999999\r\nx", "*999999999999\r\n:1\r\n"] {
            let error = Reply::read(&mut text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{text:?}");
        }
    }
}
