//! The encoder: what a command answers, as RESP2 or RESP3 bytes.
//!
//! [`Output`] collects the bytes of one connection; a value of 16 KiB or more is kept in it by reference.
//! [`Reply`] is the writer a handler sees. It never fails: output grows, and the connection checks its limit
//! after each command. Whether the client speaks RESP2 or RESP3 is decided here and nowhere else.
//! Formats: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
use std::ops::Range;

use crate::base::block::Block;
use crate::base::number;
use crate::proto::limits::{RANGE_COPY_MAX, REPLY_BLOCK_BYTES};
pub use crate::proto::output::{Insert, Mark, Output};

/// Protocol version a connection has chosen by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resp {
    /// RESP2, what a connection starts with.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// Writes replies of one command in the protocol version of its client.
pub struct Reply<'o> {
    out: &'o mut Output,
    resp: Resp,
}

impl<'o> Reply<'o> {
    /// A writer to the end of `out`.
    #[inline]
    pub fn new(out: &'o mut Output, resp: Resp) -> Reply<'o> {
        Reply { out, resp }
    }

    /// Protocol version in force.
    #[inline]
    pub fn resp(&self) -> Resp {
        self.resp
    }

    /// From now on write in this version (HELLO).
    pub fn set_resp(&mut self, resp: Resp) {
        self.resp = resp;
    }

    /// The output written to.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        self.out
    }

    /// Bytes that are a reply already.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.bytes_mut().extend_from_slice(encoded);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string; must hold no line end.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error: its code, a space, its text. Line ends become spaces, and at the end nothing, as in Redis.
    pub fn error(&mut self, text: &[u8]) {
        let last = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let text = &text[..last.map_or(0, |last| last + 1)];
        self.raw(b"-");
        let start = self.out.bytes_mut().len();
        self.raw(text);
        for byte in &mut self.out.bytes_mut()[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.raw(b"\r\n");
    }

    /// No value: `$-1` or `_`.
    #[inline]
    pub fn null(&mut self) {
        match self.resp {
            Resp::V2 => self.raw(b"$-1\r\n"),
            Resp::V3 => self.raw(b"_\r\n"),
        }
    }

    /// No array: `*-1` or `_`.
    #[inline]
    pub fn null_array(&mut self) {
        match self.resp {
            Resp::V2 => self.raw(b"*-1\r\n"),
            Resp::V3 => self.raw(b"_\r\n"),
        }
    }

    /// A number.
    #[inline]
    pub fn int(&mut self, number: i64) {
        // 0 and 1 are most of all integer replies.
        match number {
            0 => return self.raw(b":0\r\n"),
            1 => return self.raw(b":1\r\n"),
            _ => {}
        }
        self.header(b':', number);
    }

    /// A count.
    #[inline]
    pub fn count(&mut self, number: usize) {
        self.int(number as i64);
    }

    #[inline]
    fn header(&mut self, kind: u8, number: i64) {
        let (line, len) = header_line(kind, number);
        self.raw(&line[..len]);
    }

    /// A string, by copy.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        let buffer = self.out.bytes_mut();
        // One reservation for header, bytes and line end: the three pushes after it cannot reallocate.
        buffer.reserve(bytes.len() + 26);
        self.header(b'$', bytes.len() as i64);
        let buffer = self.out.bytes_mut();
        buffer.extend_from_slice(bytes);
        buffer.extend_from_slice(b"\r\n");
    }

    /// A big string: by reference where that is cheaper than a copy.
    pub fn bulk_block(&mut self, block: &Block) {
        if block.len() < REPLY_BLOCK_BYTES {
            return self.bulk(block);
        }
        self.header(b'$', block.len() as i64);
        self.out.push_block(block.clone());
        self.raw(b"\r\n");
    }

    /// Part of a big string: by reference where it is much of it, or so long that a copy takes time. A short part is
    /// copied, since a block that is on its way cannot be edited in place.
    pub fn bulk_range(&mut self, block: &Block, range: Range<usize>) {
        let range = range.start..range.end.min(block.len());
        let is_much = range.len() >= REPLY_BLOCK_BYTES && range.len() >= block.len() / 16;
        if !is_much && range.len() < RANGE_COPY_MAX {
            return self.bulk(block.get(range).unwrap_or(&[]));
        }
        self.header(b'$', range.len() as i64);
        self.out.push_range(block.clone(), range);
        self.raw(b"\r\n");
    }

    /// A string of `len` bytes in several pieces, by reference where they are big.
    pub fn bulk_pieces(&mut self, pieces: &[Block], len: usize) {
        self.header(b'$', len as i64);
        for piece in pieces {
            if piece.len() < REPLY_BLOCK_BYTES {
                self.raw(piece);
            } else {
                self.out.push_block(piece.clone());
            }
        }
        self.raw(b"\r\n");
    }

    /// A number as a string.
    #[inline]
    pub fn bulk_int(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        self.bulk(digits.as_bytes());
    }

    /// A floating-point number: `,1.5` or a string, with `%.17g` digits as Redis 7.0 prints them.
    pub fn double(&mut self, number: f64) {
        let mut text = Vec::with_capacity(32);
        number::write_f64_17g(&mut text, number);
        match self.resp {
            Resp::V2 => self.bulk(&text),
            Resp::V3 => {
                self.raw(b",");
                self.raw(&text);
                self.raw(b"\r\n");
            }
        }
    }

    /// As [`Reply::double`], with up to 17 digits after the point and no exponent.
    pub fn human_double(&mut self, number: f64) {
        let mut text = Vec::with_capacity(32);
        number::write_f64_human(&mut text, number);
        match self.resp {
            Resp::V2 => self.bulk(&text),
            Resp::V3 => {
                self.raw(b",");
                self.raw(&text);
                self.raw(b"\r\n");
            }
        }
    }

    /// An integer of any length: `(123` or a string. `digits` are its digits, after a sign where there is one.
    pub fn big_number(&mut self, digits: &str) {
        match self.resp {
            Resp::V2 => self.bulk(digits.as_bytes()),
            Resp::V3 => {
                self.raw(b"(");
                self.raw(digits.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    /// True or false: `#t` or `:1`.
    pub fn boolean(&mut self, truth: bool) {
        match self.resp {
            Resp::V2 => self.int(truth.into()),
            Resp::V3 => self.raw(if truth { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// Opens an array of `count` elements.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// Opens a map of `count` pairs: in RESP2 an array of twice as many.
    pub fn map(&mut self, count: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', 2 * count as i64),
            Resp::V3 => self.header(b'%', count as i64),
        }
    }

    /// Opens a map of `count` [pairs](Reply::pair), which is an array of arrays of two in RESP2.
    pub fn pairs(&mut self, count: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', count as i64),
            Resp::V3 => self.header(b'%', count as i64),
        }
    }

    /// Opens a key and its value in a map of [pairs](Reply::pairs).
    pub fn pair(&mut self) {
        match self.resp {
            Resp::V2 => self.header(b'*', 2),
            Resp::V3 => {}
        }
    }

    /// Opens a set of `count` elements: in RESP2 an array.
    pub fn set(&mut self, count: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', count as i64),
            Resp::V3 => self.header(b'~', count as i64),
        }
    }

    /// Opens an out-of-band message of `count` elements: in RESP2 an array.
    pub fn push(&mut self, count: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', count as i64),
            Resp::V3 => self.header(b'>', count as i64),
        }
    }

    /// Text of a format (`txt`, `mkd`): a verbatim string, in RESP2 a plain one.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        match self.resp {
            Resp::V2 => self.bulk(text),
            Resp::V3 => {
                debug_assert_eq!(format.len(), 3);
                self.header(b'=', text.len() as i64 + 4);
                self.raw(format.as_bytes());
                self.raw(b":");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// Where an array of yet unknown length begins; see [`Reply::array_close`].
    #[inline]
    pub fn array_open(&mut self) -> Mark {
        self.out.mark()
    }

    /// Puts the header of an array of `count` elements before what was written since `open`. One memmove.
    pub fn array_close(&mut self, open: Mark, count: usize) {
        self.close(open, b'*', count);
    }

    /// As [`Reply::array_close`], for a map of `count` pairs.
    pub fn map_close(&mut self, open: Mark, count: usize) {
        match self.resp {
            Resp::V2 => self.close(open, b'*', count * 2),
            Resp::V3 => self.close(open, b'%', count),
        }
    }

    /// As [`Reply::array_close`], for a map of `count` [pairs](Reply::pair).
    pub fn pairs_close(&mut self, open: Mark, count: usize) {
        match self.resp {
            Resp::V2 => self.close(open, b'*', count),
            Resp::V3 => self.close(open, b'%', count),
        }
    }

    /// As [`Reply::array_close`], for a set of `count` elements.
    pub fn set_close(&mut self, open: Mark, count: usize) {
        match self.resp {
            Resp::V2 => self.close(open, b'*', count),
            Resp::V3 => self.close(open, b'~', count),
        }
    }

    fn close(&mut self, open: Mark, kind: u8, count: usize) {
        let (line, len) = header_line(kind, count as i64);
        self.out.insert(open, &line[..len]);
    }
}

/// The line that begins a reply, and how long it is.
#[inline]
fn header_line(kind: u8, number: i64) -> ([u8; 24], usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    let mut line = [0u8; 24];
    line[0] = kind;
    line[1..=digits.len()].copy_from_slice(digits);
    line[digits.len() + 1] = b'\r';
    line[digits.len() + 2] = b'\n';
    (line, digits.len() + 3)
}
