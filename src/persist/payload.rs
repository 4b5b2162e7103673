//! A DUMP payload of many parts, under construction.
//!
//! ```text
//!   sealed: pieces that are summed │ open: what is being written │ queue: big strings, and what was written after them
//! ```
//!
//! What is small goes to the open piece, which is sealed when it is full; a big string is compressed, or taken by
//! reference, in steps, and what is written meanwhile waits behind it. Nothing big is ever moved, so a payload of
//! gigabytes has no long step. A unit is 1 KiB compressed or 8 KiB copied or summed.
use std::collections::VecDeque;

use crate::base::block::Block;
use crate::base::crc::crc64;
use crate::base::lzf::Compressor;
use crate::base::pieces::{Garbage, Progress};
use crate::persist::rdb_format::{
    COMPRESSION_GAIN_MIN, Compression, ENCODED, ENCODING_LZF, write_length, write_string,
};

/// Strings up to this length are written at once.
const SMALL_BYTES_MAX: usize = 16 * 1024;
/// A piece of this length is sealed.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes copied or summed per unit.
const PLAIN_BYTES_PER_UNIT: usize = 8 * 1024;

/// See the head of the file.
pub struct Payload {
    compression: Compression,
    sealed: Vec<Block>,
    /// Bytes in `sealed`.
    sealed_bytes: usize,
    /// Their checksum.
    sum: u64,
    open: Vec<u8>,
    queue: VecDeque<Part>,
}

/// What waits to be written.
enum Part {
    /// As it is.
    Bytes(Vec<u8>),
    /// A string of these bytes.
    Text(Block),
    /// A string of these three together, put together so far.
    Framed { head: Vec<u8>, block: Block, tail: Vec<u8>, text: Vec<u8> },
    /// A string being compressed.
    Packing { text: Block, packed: Vec<u8>, work: Box<Compressor> },
    /// To be taken by reference, summed so far.
    Summing { block: Block, done: usize },
}

impl Payload {
    /// An empty one.
    pub fn new(compression: Compression) -> Payload {
        Payload {
            compression,
            sealed: Vec::new(),
            sealed_bytes: 0,
            sum: 0,
            open: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// Where small things are written now.
    fn end(&mut self) -> &mut Vec<u8> {
        if self.queue.is_empty() {
            return &mut self.open;
        }
        if !matches!(self.queue.back(), Some(Part::Bytes(_))) {
            self.queue.push_back(Part::Bytes(Vec::new()));
        }
        match self.queue.back_mut() {
            Some(Part::Bytes(bytes)) => bytes,
            _ => unreachable!("just pushed"),
        }
    }

    /// Appends a few bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.end().extend_from_slice(bytes);
    }

    /// Appends a length.
    pub fn length(&mut self, length: u64) {
        write_length(self.end(), length);
    }

    /// Appends a string. O(its length): a big one is copied here, and compressed later.
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= SMALL_BYTES_MAX {
            let compression = self.compression;
            write_string(self.end(), text, compression);
        } else {
            self.queue.push_back(Part::Text(Block::new(text.to_vec())));
        }
    }

    /// Appends a string by reference. O(1) for a big one.
    pub fn block(&mut self, text: &Block) {
        if text.len() <= SMALL_BYTES_MAX {
            self.string(text);
        } else {
            self.queue.push_back(Part::Text(text.clone()));
        }
    }

    /// Appends a string of `length` bytes that is compressed already.
    pub fn squeezed(&mut self, packed: &[u8], length: usize) {
        let end = self.end();
        end.push(ENCODED | ENCODING_LZF);
        write_length(end, packed.len() as u64);
        write_length(end, length as u64);
        end.extend_from_slice(packed);
    }

    /// Appends a string that consists of these three.
    pub fn framed(&mut self, head: Vec<u8>, block: &Block, tail: Vec<u8>) {
        let block = block.clone();
        self.queue.push_back(Part::Framed { head, block, tail, text: Vec::new() });
    }

    /// Goes on with what waits; `Done`: nothing does.
    pub fn step(&mut self, units: usize) -> Progress {
        let mut left = units;
        while left > 0 {
            if self.open.len() >= PIECE_BYTES {
                self.seal();
                left = left.saturating_sub(PIECE_BYTES / PLAIN_BYTES_PER_UNIT);
                continue;
            }
            let Some(part) = self.queue.pop_front() else { return Progress::Done };
            if let Some(part) = self.go_on(part, left) {
                self.queue.push_front(part);
                return Progress::More;
            }
            left -= 1;
        }
        let is_done = self.queue.is_empty() && self.open.len() < PIECE_BYTES;
        if is_done { Progress::Done } else { Progress::More }
    }

    /// Goes on with one part; what is left of it.
    fn go_on(&mut self, part: Part, units: usize) -> Option<Part> {
        let plain_bytes = units.saturating_mul(PLAIN_BYTES_PER_UNIT);
        match part {
            Part::Bytes(bytes) => {
                if self.open.is_empty() {
                    self.open = bytes;
                } else {
                    self.open.extend_from_slice(&bytes);
                }
                None
            }
            Part::Text(text) => Some(self.begin_text(text)),
            Part::Framed { head, block, tail, mut text } => {
                if text.is_empty() {
                    text.reserve_exact(head.len() + block.len() + tail.len());
                    text.extend_from_slice(&head);
                }
                let done = text.len() - head.len();
                let end = done.saturating_add(plain_bytes).min(block.len());
                text.extend_from_slice(&block[done..end]);
                if end < block.len() {
                    return Some(Part::Framed { head, block, tail, text });
                }
                text.extend_from_slice(&tail);
                Some(Part::Text(Block::new(text)))
            }
            Part::Packing { text, mut packed, mut work } => {
                if !work.step(&text, &mut packed, units).is_done() {
                    return Some(Part::Packing { text, packed, work });
                }
                let Some(packed_len) = work.result(&packed) else {
                    return Some(self.begin_plain(text));
                };
                self.open.push(ENCODED | ENCODING_LZF);
                write_length(&mut self.open, packed_len as u64);
                write_length(&mut self.open, text.len() as u64);
                self.seal();
                Some(Part::Summing { block: Block::new(packed), done: 0 })
            }
            Part::Summing { block, done } => {
                let end = done.saturating_add(plain_bytes).min(block.len());
                self.sum = crc64(self.sum, &block[done..end]);
                if end < block.len() {
                    return Some(Part::Summing { block, done: end });
                }
                self.sealed_bytes += block.len();
                self.sealed.push(block);
                None
            }
        }
    }

    fn begin_text(&mut self, text: Block) -> Part {
        if self.compression == Compression::Lzf {
            // Room for all of it; no more of that is touched than is used.
            let mut packed = Vec::with_capacity(text.len());
            let limit = text.len() - COMPRESSION_GAIN_MIN;
            if let Some(work) = Compressor::new(text.len(), &mut packed, limit) {
                return Part::Packing { text, packed, work: Box::new(work) };
            }
        }
        self.begin_plain(text)
    }

    fn begin_plain(&mut self, text: Block) -> Part {
        write_length(&mut self.open, text.len() as u64);
        self.seal();
        Part::Summing { block: text, done: 0 }
    }

    /// The open piece is complete.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.sum = crc64(self.sum, &self.open);
            self.sealed_bytes += self.open.len();
            self.sealed.push(Block::new(std::mem::take(&mut self.open)));
        }
    }

    /// Appends version and checksum, once nothing waits. Returns the pieces and how many bytes they are.
    pub fn finish(mut self, version: u16) -> (Vec<Block>, usize) {
        self.open.extend_from_slice(&version.to_le_bytes());
        let sum = crc64(self.sum, &self.open);
        self.open.extend_from_slice(&sum.to_le_bytes());
        self.sealed_bytes += self.open.len();
        self.sealed.push(Block::new(std::mem::take(&mut self.open)));
        (self.sealed, self.sealed_bytes)
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.sealed_bytes + self.open.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.queue.is_empty()
    }
}

impl Garbage for Payload {
    fn free_slice(&mut self, units: usize) -> Progress {
        for part in self.queue.drain(..) {
            self.sealed.extend(
                match part {
                    Part::Bytes(bytes) => [Some(Block::new(bytes)), None],
                    Part::Text(text) => [Some(text), None],
                    Part::Framed { block, text, .. } => [Some(block), Some(Block::new(text))],
                    Part::Packing { text, packed, .. } => [Some(text), Some(Block::new(packed))],
                    Part::Summing { block, .. } => [Some(block), None],
                }
                .into_iter()
                .flatten(),
            );
        }
        self.sealed.free_slice(units)
    }
}
