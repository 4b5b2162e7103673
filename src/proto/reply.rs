//! The encoder: what a command answers, as RESP2 or RESP3 bytes.
//!
//! [`Output`] collects the bytes of one connection; a value of 16 KiB or more is kept in it by reference.
//! [`Reply`] is the writer a handler sees. It never fails: output grows, and the connection checks its limit
//! after each command. Whether the client speaks RESP2 or RESP3 is decided here and nowhere else.
//! Formats: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
use std::collections::VecDeque;

use crate::base::block::Block;
use crate::base::number;
use crate::proto::limits::REPLY_BLOCK_BYTES;

/// Protocol version a connection has chosen by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resp {
    /// RESP2, what a connection starts with.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// Bytes on their way to one client: text, and references to big values between its parts. A queue: replies are
/// appended, and what the socket took is dropped from the front ([`Output::consume`]).
#[derive(Debug, Default)]
pub struct Output {
    /// Everything that was copied.
    bytes: Vec<u8>,
    /// Bytes of it that have left.
    bytes_gone: usize,
    /// Values by reference, each leaving after `bytes[..at]`. Invariant: `at` never falls, and the first one's is
    /// not below `bytes_gone`.
    blocks: VecDeque<Insert>,
    /// Total length of `blocks`.
    block_bytes: usize,
    /// Bytes of the first block that have left.
    block_gone: usize,
}

/// One value by reference.
#[derive(Clone, Debug)]
pub struct Insert {
    /// It follows this many bytes of text.
    pub at: usize,
    /// The value.
    pub block: Block,
}

/// A place to which an [`Output`] can be cut back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    bytes: usize,
    blocks: usize,
}

/// Text at least this long becomes a block ([`Output::seal`]).
const SEALED_BYTES_MIN: usize = 64 * 1024;

/// Text that has left is moved out of the buffer once it is at least this long and half of it.
const GONE_BYTES_MIN: usize = 64 * 1024;

impl Output {
    /// Copied bytes that have not left.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.bytes_gone..]
    }

    /// The buffer itself, for encoders that are not RESP: only to be appended to.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Values by reference that have not left entirely.
    #[inline]
    pub fn blocks(&self) -> &VecDeque<Insert> {
        &self.blocks
    }

    /// Their total length.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Bytes that will leave, blocks included. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.bytes_gone + self.block_bytes - self.block_gone
    }

    /// Whether nothing waits here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.bytes_gone && self.blocks.is_empty()
    }

    /// Bytes of memory its buffer holds.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Remembers the end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), blocks: self.blocks.len() }
    }

    /// Drops what came after `mark`; nothing may have been consumed since.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        while self.blocks.len() > mark.blocks {
            if let Some(insert) = self.blocks.pop_back() {
                self.block_bytes -= insert.block.len();
            }
        }
    }

    /// Whether something came after `mark`.
    #[inline]
    pub fn grew_since(&self, mark: Mark) -> bool {
        self.bytes.len() != mark.bytes
    }

    /// What waits, in order, as slices. O(1) each.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.bytes_gone;
        let mut block_from = self.block_gone;
        let ahead = self.blocks.iter().flat_map(move |insert| {
            let text = &self.bytes[from..insert.at];
            from = insert.at;
            [text, &insert.block[std::mem::take(&mut block_from)..]]
        });
        let last = self.blocks.back().map_or(self.bytes_gone, |insert| insert.at);
        ahead.chain([&self.bytes[last..]]).filter(|part| !part.is_empty())
    }

    /// The first `count` bytes have left: gives up the blocks behind them, and in time the text. Amortized O(1)
    /// per byte ever appended.
    pub fn consume(&mut self, count: usize) {
        let mut left = count.min(self.len());
        while let Some(insert) = self.blocks.front() {
            let text = (insert.at - self.bytes_gone).min(left);
            self.bytes_gone += text;
            left -= text;
            let missing = insert.block.len() - self.block_gone;
            if left < missing || self.bytes_gone < insert.at {
                self.block_gone += left;
                return self.drop_text();
            }
            left -= missing;
            self.block_gone = 0;
            self.block_bytes -= insert.block.len();
            self.blocks.pop_front();
        }
        self.bytes_gone += left;
        self.drop_text();
    }

    /// Moves text that has left out of the buffer, so that a client always a little behind costs no memory.
    fn drop_text(&mut self) {
        let gone = self.bytes_gone;
        if gone == self.bytes.len() && self.blocks.is_empty() {
            self.bytes.clear();
            self.bytes_gone = 0;
        } else if gone >= GONE_BYTES_MIN && gone >= self.bytes.len() / 2 {
            self.bytes.drain(..gone);
            self.bytes_gone = 0;
            self.blocks.iter_mut().for_each(|insert| insert.at -= gone);
            if self.bytes.capacity() > 4 * self.bytes.len().max(GONE_BYTES_MIN) {
                self.bytes.shrink_to(2 * self.bytes.len());
            }
        }
    }

    /// Everything as one string: for embedding and tests. Copies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.parts().for_each(|part| all.extend_from_slice(part));
        all
    }

    /// Empties it, keeping its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
        self.bytes_gone = 0;
        self.block_bytes = 0;
        self.block_gone = 0;
    }

    /// Moves what came after `mark` to an output of its own; nothing may have been consumed since.
    pub fn split_off(&mut self, mark: Mark) -> Output {
        let bytes = self.bytes.split_off(mark.bytes);
        let mut blocks = self.blocks.split_off(mark.blocks);
        blocks.iter_mut().for_each(|insert| insert.at -= mark.bytes);
        let block_bytes = blocks.iter().map(|insert| insert.block.len()).sum();
        self.block_bytes -= block_bytes;
        Output { bytes, blocks, block_bytes, ..Output::default() }
    }

    /// Appends another output, of which nothing has left: big text by reference, too.
    pub fn append(&mut self, mut other: Output) {
        if self.is_empty() && self.capacity() == 0 {
            *self = other;
            return;
        }
        if other.bytes.len() >= SEALED_BYTES_MIN {
            other.seal();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.block_bytes += other.block_bytes;
        self.blocks.extend(
            other.blocks.into_iter().map(|insert| Insert { at: start + insert.at, ..insert }),
        );
    }

    /// Turns the text behind the last block into a block, where it is long: a reply that grows without end is a queue
    /// of pieces, freed one by one as they leave, not one buffer that has to be moved and freed whole.
    pub fn seal(&mut self) {
        let last = self.blocks.back().map_or(self.bytes_gone, |insert| insert.at);
        if self.bytes.len() - last >= SEALED_BYTES_MIN {
            let piece = self.bytes.split_off(last);
            self.push_block(Block::new(piece));
        }
    }

    /// Frees up to `count` blocks of an output nobody will read; true once none is left.
    pub fn free_slice(&mut self, count: usize) -> bool {
        let count = count.min(self.blocks.len());
        for insert in self.blocks.drain(..count) {
            self.block_bytes -= insert.block.len();
        }
        self.block_gone = 0;
        self.blocks.is_empty()
    }

    /// Appends a value by reference.
    pub fn push_block(&mut self, block: Block) {
        if block.is_empty() {
            return;
        }
        self.block_bytes += block.len();
        self.blocks.push_back(Insert { at: self.bytes.len(), block });
    }
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
        self.out.bytes.extend_from_slice(encoded);
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

    /// An error: its code, a space, its text. Line ends become spaces, as in Redis.
    pub fn error(&mut self, text: &[u8]) {
        self.raw(b"-");
        let start = self.out.bytes.len();
        self.raw(text);
        for byte in &mut self.out.bytes[start..] {
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
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let mut line = [0u8; 24];
        line[0] = kind;
        line[1..=digits.len()].copy_from_slice(digits);
        line[digits.len() + 1] = b'\r';
        line[digits.len() + 2] = b'\n';
        self.out.bytes.extend_from_slice(&line[..digits.len() + 3]);
    }

    /// A string, by copy.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        let buffer = &mut self.out.bytes;
        // One reservation for header, bytes and line end: the three pushes after it cannot reallocate.
        buffer.reserve(bytes.len() + 26);
        self.header(b'$', bytes.len() as i64);
        let buffer = &mut self.out.bytes;
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

    fn close(&mut self, open: Mark, kind: u8, count: usize) {
        let end = self.out.bytes.len();
        self.header(kind, count as i64);
        let header_len = self.out.bytes.len() - end;
        self.out.bytes[open.bytes..].rotate_right(header_len);
        for insert in self.out.blocks.range_mut(open.blocks..) {
            insert.at += header_len;
        }
    }
}
