//! Bytes on their way to one client.
//!
//! ```text
//!   bytes    ██gone██ text ▼ text   ▼▼ text        ▼ = an insert: a range of a block, sent by reference
//!                          │        ││
//!   blocks                 A        BC
//! ```
//!
//! A queue: replies are appended, and what the socket took is dropped from the front ([`Output::consume`]). Text is
//! copied once, into `bytes`. A long reply would make that one buffer grow, and be moved and freed as a whole; so who
//! writes one in slices calls [`Output::seal`] after each: the text so far becomes blocks of its own, without being
//! copied, and each is freed as soon as it has left.
//!
//! Cost: O(1) per append and per block that leaves; marks, cuts and headers put in later cost O(blocks behind them).
//! What is big and was held by nobody else is not freed here but handed out to be freed in pieces
//! ([`Output::take_spent`], [`Garbage`]).
use std::collections::VecDeque;
use std::ops::Range;

use crate::base::block::Block;
use crate::base::pieces::{FREE_PIECE_BYTES, Garbage, Progress, free_buffer};
use crate::proto::limits::{REPLY_BUFFER_BYTES, REPLY_NODE_BYTES, REPLY_NODE_ROOM};

/// Text that has left is moved out of the buffer once it is at least this long and half of it.
const GONE_BYTES_MIN: usize = 64 * 1024;
/// Text shorter than this is not sealed.
pub const SEAL_BYTES_MIN: usize = 64 * 1024;
/// Text up to this length is copied from one output to another; longer text becomes a block.
const APPEND_COPY_MAX: usize = 16 * 1024;
/// A block of this size is not freed at once when it has left.
const SPENT_BYTES_MIN: usize = 2 * FREE_PIECE_BYTES;
/// So many smaller blocks are freed at once.
const FREED_AT_ONCE_MAX: usize = 16;

/// Bytes on their way to one client: text, and references to big values between its parts.
#[derive(Debug, Default)]
pub struct Output {
    /// What was copied and is not sealed.
    bytes: Vec<u8>,
    /// Bytes of it that have left.
    bytes_gone: usize,
    /// Blocks, each leaving after `bytes[..at]`. Invariants: `at` never falls and is not below `bytes_gone`; no range
    /// is empty.
    blocks: VecDeque<Insert>,
    /// So many of `blocks`, from the front, have no text before them.
    sealed: usize,
    /// Total length of the ranges in `blocks`.
    block_bytes: usize,
    /// Big blocks that have left; boxed since there are none nearly always.
    #[allow(clippy::box_collection)]
    spent: Option<Box<Vec<Block>>>,
}

/// A part of a block, by reference.
#[derive(Clone, Debug)]
pub struct Insert {
    /// It follows this many bytes of text.
    pub at: usize,
    /// The value.
    pub block: Block,
    /// The bytes of it that are still to leave.
    pub range: Range<usize>,
}

impl Insert {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.block.get(self.range.clone()).unwrap_or(&[])
    }
}

/// A place to which an [`Output`] can be cut back. Nothing may leave while one is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    len: usize,
}

/// How many nodes of Redis's list of replies so many waiting bytes would fill.
#[inline]
pub fn counted_nodes(waiting_bytes: usize) -> usize {
    waiting_bytes.saturating_sub(REPLY_BUFFER_BYTES).div_ceil(REPLY_NODE_ROOM)
}

impl Output {
    /// Copied bytes that have not left and are not sealed.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.bytes_gone..]
    }

    /// The buffer itself, for encoders that are not RESP: only to be appended to.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What leaves by reference.
    #[inline]
    pub fn blocks(&self) -> &VecDeque<Insert> {
        &self.blocks
    }

    /// Its total length.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Bytes that will leave, blocks included. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.bytes_gone + self.block_bytes
    }

    /// What of that counts for `client-output-buffer-limit`. O(1).
    #[inline]
    pub fn counted_bytes(&self) -> usize {
        counted_nodes(self.len()) * REPLY_NODE_BYTES
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

    /// Everything as one string: for embedding and tests. Copies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.parts().for_each(|part| all.extend_from_slice(part));
        all
    }

    /// What waits, in order, as slices. O(1) each.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.bytes_gone;
        let ahead = self.blocks.iter().flat_map(move |insert| {
            let text = &self.bytes[from..insert.at];
            from = insert.at;
            [text, insert.bytes()]
        });
        ahead.chain([&self.bytes[self.last_text_start()..]]).filter(|part| !part.is_empty())
    }

    /// Where the text behind the last block begins.
    fn last_text_start(&self) -> usize {
        self.blocks.back().map_or(self.bytes_gone, |insert| insert.at)
    }

    // --- appending ---

    /// Appends a value by reference.
    pub fn push_block(&mut self, block: Block) {
        let range = 0..block.len();
        self.push_range(block, range);
    }

    /// Appends a part of a value by reference; of a range beyond its end, what there is.
    pub fn push_range(&mut self, block: Block, range: Range<usize>) {
        let range = range.start..range.end.min(block.len());
        if range.is_empty() {
            return;
        }
        self.block_bytes += range.len();
        self.blocks.push_back(Insert { at: self.bytes.len(), block, range });
    }

    /// Turns the text so far into blocks if it is long enough ([`SEAL_BYTES_MIN`]). To be called after each slice of
    /// a long reply: then the buffer never holds more than one slice. Copies nothing; O(blocks since the last seal).
    pub fn seal(&mut self) {
        if self.bytes.len() - self.bytes_gone >= SEAL_BYTES_MIN {
            self.seal_all();
            // The next slice follows: let it not begin with the smallest of buffers.
            self.bytes.reserve(SEAL_BYTES_MIN);
        }
    }

    /// As `seal`, however short the text is.
    fn seal_all(&mut self) {
        if self.bytes.len() == self.bytes_gone {
            return;
        }
        let mut text = std::mem::take(&mut self.bytes);
        let mut from = std::mem::take(&mut self.bytes_gone);
        // A buffer that grew by doubling may be half empty.
        if text.capacity() - text.len() > text.len() / 4 {
            text.shrink_to_fit();
        }
        let text = Block::new(text);
        let unsealed = self.blocks.split_off(self.sealed);
        for insert in unsealed {
            let at = insert.at;
            self.push_sealed(&text, from..at);
            self.blocks.push_back(Insert { at: 0, ..insert });
            from = at;
        }
        self.push_sealed(&text, from..text.len());
        self.sealed = self.blocks.len();
    }

    fn push_sealed(&mut self, text: &Block, range: Range<usize>) {
        if !range.is_empty() {
            self.block_bytes += range.len();
            self.blocks.push_back(Insert { at: 0, block: text.clone(), range });
        }
    }

    /// Appends all of another output, of which nothing has left. Long text goes by reference. O(its blocks).
    pub fn append(&mut self, mut other: Output) {
        if self.is_empty() && self.spent.is_none() && other.len() > APPEND_COPY_MAX {
            *self = other;
            return;
        }
        if other.bytes.len() - other.bytes_gone > APPEND_COPY_MAX {
            other.seal_all();
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(other.bytes());
        self.block_bytes += other.block_bytes;
        let gone = other.bytes_gone;
        let moved = other.blocks.drain(..);
        self.blocks.extend(moved.map(|insert| Insert { at: at + insert.at - gone, ..insert }));
        if let Some(spent) = other.spent.take() {
            self.spent.get_or_insert_default().extend(*spent);
        }
    }

    // --- marks ---

    /// Remembers the end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { len: self.len() }
    }

    /// Whether something came after `mark`.
    #[inline]
    pub fn grew_since(&self, mark: Mark) -> bool {
        self.len() != mark.len
    }

    /// Bytes that came after `mark`.
    pub fn len_since(&self, mark: Mark) -> usize {
        self.len().saturating_sub(mark.len)
    }

    /// Drops what came after `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        let mut excess = self.len().saturating_sub(mark.len);
        while excess > 0 {
            let text = (self.bytes.len() - self.last_text_start()).min(excess);
            self.bytes.truncate(self.bytes.len() - text);
            excess -= text;
            if excess == 0 {
                break;
            }
            let Some(insert) = self.pop_at_most(excess) else { break };
            excess -= insert.range.len();
        }
    }

    /// Takes the end of the last block off, `len` bytes of it or all it has.
    fn pop_at_most(&mut self, len: usize) -> Option<Insert> {
        let last = self.blocks.back_mut()?;
        let cut = last.range.end - last.range.len().min(len);
        let taken = Insert { range: cut..last.range.end, ..last.clone() };
        last.range.end = cut;
        self.block_bytes -= taken.range.len();
        if last.range.is_empty() {
            self.blocks.pop_back();
            self.sealed = self.sealed.min(self.blocks.len());
        }
        Some(taken)
    }

    /// Takes out what came after `mark`. Long text becomes a block and is not copied.
    pub fn split_off(&mut self, mark: Mark) -> Output {
        let mut excess = self.len().saturating_sub(mark.len);
        let mut tail = Output::default();
        let text = self.bytes.len() - self.last_text_start();
        if excess <= text && excess <= APPEND_COPY_MAX {
            tail.bytes = self.bytes.split_off(self.bytes.len() - excess);
            return tail;
        }
        self.seal_all();
        while excess > 0 {
            let Some(insert) = self.pop_at_most(excess) else { break };
            excess -= insert.range.len();
            tail.block_bytes += insert.range.len();
            tail.blocks.push_front(insert);
        }
        tail.sealed = tail.blocks.len();
        tail
    }

    /// Puts a short `header` (of an array whose length was not known) before what came after `mark`. One memmove of
    /// the text that is not sealed.
    pub fn insert(&mut self, mark: Mark, header: &[u8]) {
        let mut excess = self.len().saturating_sub(mark.len);
        let (mut index, mut end) = (self.blocks.len(), self.bytes.len());
        // Walks back to the mark: through the text before `end`, then through the block it follows.
        let at = loop {
            let before = index.checked_sub(1).and_then(|before| self.blocks.get(before));
            let from = before.map_or(self.bytes_gone, |insert| insert.at);
            if excess <= end - from {
                break end - excess;
            }
            excess -= end - from;
            let Some(insert) = before else { break from };
            let len = insert.range.len();
            end = insert.at;
            if excess < len {
                self.split_insert(index - 1, len - excess);
                break end;
            }
            index -= 1;
            excess -= len;
        };
        self.bytes.extend_from_slice(header);
        self.bytes[at..].rotate_right(header.len());
        for insert in self.blocks.range_mut(index..) {
            insert.at += header.len();
        }
        self.sealed = self.sealed.min(index);
    }

    /// Makes two of the block at `index`, the first one of `len` bytes.
    fn split_insert(&mut self, index: usize, len: usize) {
        let Some(first) = self.blocks.get_mut(index) else { return };
        let cut = first.range.start + len;
        let second = Insert { range: cut..first.range.end, ..first.clone() };
        first.range.end = cut;
        self.blocks.insert(index + 1, second);
    }

    // --- leaving ---

    /// The first `count` bytes have left: gives up the blocks behind them, and in time the text. Amortized O(1)
    /// per byte ever appended.
    pub fn consume(&mut self, count: usize) {
        let mut left = count.min(self.len());
        while let Some(insert) = self.blocks.front_mut() {
            let text = (insert.at - self.bytes_gone).min(left);
            self.bytes_gone += text;
            left -= text;
            let taken = if self.bytes_gone < insert.at { 0 } else { left.min(insert.range.len()) };
            insert.range.start += taken;
            self.block_bytes -= taken;
            left -= taken;
            if !insert.range.is_empty() {
                return self.drop_text();
            }
            if let Some(insert) = self.blocks.pop_front() {
                self.sealed = self.sealed.saturating_sub(1);
                self.give_up(insert.block);
            }
        }
        self.bytes_gone += left;
        self.drop_text();
    }

    /// A block that has left. A big one that was deleted or changed meanwhile is ours to free, and that takes long.
    fn give_up(&mut self, block: Block) {
        if block.capacity() >= SPENT_BYTES_MIN && Block::strong_count(&block) == 1 {
            self.spent.get_or_insert_default().push(block);
        }
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

    /// Big blocks that have left and that nobody else holds, to be freed in pieces. Empty nearly always.
    pub fn take_spent(&mut self) -> Vec<Block> {
        self.spent.take().map_or_else(Vec::new, |spent| *spent)
    }

    /// Whether [`Output::take_spent`] has something to give.
    #[inline]
    pub fn has_spent(&self) -> bool {
        self.spent.is_some()
    }

    /// Whether it is to be freed in pieces. Many small blocks are, too: each may be the last reference.
    pub fn is_big(&self) -> bool {
        let is_big = |insert: &Insert| insert.block.capacity() >= SPENT_BYTES_MIN;
        self.bytes.capacity() >= SPENT_BYTES_MIN
            || self.spent.is_some()
            || self.blocks.len() > FREED_AT_ONCE_MAX
            || self.blocks.iter().any(is_big)
    }

    /// Empties it, keeping its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
        self.bytes_gone = 0;
        self.block_bytes = 0;
        self.sealed = 0;
    }
}

/// Frees what it holds from the end. What it would have sent is lost.
impl Garbage for Output {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            if let Some(insert) = self.blocks.back_mut() {
                // Its range may lie beyond the end now; nobody reads it any more.
                if insert.block.free_slice(1).is_done() {
                    self.blocks.pop_back();
                }
            } else if let Some(spent) = &mut self.spent {
                if spent.free_slice(1).is_done() {
                    self.spent = None;
                }
            } else if free_buffer(&mut self.bytes, 1).is_done() {
                *self = Output::default();
                return Progress::Done;
            }
        }
        Progress::More
    }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
