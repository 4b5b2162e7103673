//! The longest common subsequence of two strings, as LCS answers it: its length, its bytes, its runs.
//!
//! With `L(i, j)` the length for the first `i` bytes of `a` and the first `j` of `b`, neighbours in a row differ
//! by 0 or 1. So a row is one bit per byte of `b`, and 64 of its cells are computed by four operations
//! (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004):
//!
//! ```text
//! bit j of row i   0 where L(i, j+1) = L(i, j) + 1, else 1;  row 0 is all ones
//! row i            (R + (R & M)) | (R & !M)    with R row i-1, M the places in b of byte i of a
//! ```
//!
//! The bits are also all that finding the subsequence needs. Walking back from the end, Redis goes up where the
//! cell above is larger than the cell to the left: that is so exactly where the row grows at this cell, since a
//! cell of two different bytes is the larger of the two. So ties fall as in Redis and the answer is the same.
//!
//! Cost: |a|·|b|/64 steps; one bit per cell for the bytes or runs (Redis: 32), two rows for the length. Memory
//! that is not there is an error, not an abort. Nothing is cleared ahead: memory comes from the system as the rows
//! are written.
//!
//! [`LcsWork`] does it in pieces, stopping inside a row where need be. [`length`] and [`Lcs`] do all of it at once.
use std::collections::TryReserveError;

use crate::base::block::Block;
use crate::base::pieces::{Garbage, Progress, free_buffer};

const WORD_BITS: usize = 64;
/// Words of a row computed per unit: about a thousand cells.
const WORDS_PER_UNIT: usize = 16;
/// Bytes of text looked at per unit, and steps of the way back.
const BYTES_PER_UNIT: usize = 64;

/// One run of bytes that both strings have, as part of their subsequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it begins in `a`.
    pub a_start: usize,
    /// Where it begins in `b`.
    pub b_start: usize,
    /// How many bytes, at least one.
    pub len: usize,
}

/// What is wanted of the longest common subsequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its length: takes no table, only a row.
    Length,
    /// Its bytes or runs as well.
    Sequence,
}

/// The length of the longest common subsequence.
pub fn length(a: &[u8], b: &[u8]) -> Result<usize, TryReserveError> {
    let mut work = LcsWork::new(Wanted::Length, a, b);
    while work.step(a, b, usize::MAX)? == Progress::More {}
    Ok(work.len())
}

/// The longest common subsequence of two strings: of several, the one Redis finds.
pub struct Lcs<'s> {
    a: &'s [u8],
    b: &'s [u8],
    work: LcsWork,
}

impl<'s> Lcs<'s> {
    /// Computes the table of `a` and `b`.
    pub fn new(a: &'s [u8], b: &'s [u8]) -> Result<Lcs<'s>, TryReserveError> {
        let mut work = LcsWork::new(Wanted::Sequence, a, b);
        while work.step(a, b, usize::MAX)? == Progress::More {}
        Ok(Lcs { a, b, work })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether the strings have no byte in common.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes. O(|a| + |b|).
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.each_run(|run| {
            bytes.extend(self.a[run.a_start..][..run.len].iter().rev());
        });
        bytes.reverse();
        bytes
    }

    /// Its runs, the last one first, as Redis reports them. O(|a| + |b|).
    pub fn each_run(&self, visit: impl FnMut(Run)) {
        let mut walk = Walk::from_the_end(self.a, self.b);
        let _ = self.work.table.walk(&mut walk, self.a, self.b, usize::MAX, visit);
    }
}

/// The longest common subsequence, found in pieces.
///
/// First [`LcsWork::step`] until it is done, then [`LcsWork::len`], and [`LcsWork::step_runs`] or
/// [`LcsWork::step_bytes`] likewise. A unit is about 1000 cells of the table, or 64 bytes of text: some 20 ns, and
/// 200 where the table gets new memory. `a` and `b` are the same at every step. Its memory is [`Garbage`].
pub struct LcsWork {
    stage: Stage,
    /// Whether `a` and `b` change places: for the length alone their order does not matter.
    is_swapped: bool,
    places: Places,
    table: Table,
    len: usize,
    walk: Walk,
    /// The bytes of the subsequence, backwards until all are there.
    bytes: Vec<u8>,
}

/// What the next step goes on with.
enum Stage {
    /// Looks which bytes the strings have in common; so many were looked at, of `a` first.
    Common { done: usize },
    /// Makes room for their bitmaps.
    Room,
    /// Notes where they are in `b`; so many bytes were looked at.
    Places { done: usize },
    /// Computes the rows.
    Rows,
    /// The length is known.
    Walk,
    /// The bytes are turned round; so many pairs were.
    Turn { done: usize },
}

impl LcsWork {
    /// Work on these two. Allocates nothing yet.
    pub fn new(wanted: Wanted, a: &[u8], b: &[u8]) -> LcsWork {
        // Long rows waste fewer bits of their last word.
        let is_swapped = wanted == Wanted::Length && a.len() > b.len();
        let columns = if is_swapped { a.len() } else { b.len() };
        LcsWork {
            stage: Stage::Common { done: 0 },
            is_swapped,
            places: Places::new(columns),
            table: Table::new(columns, wanted),
            len: 0,
            walk: Walk::from_the_end(a, b),
            bytes: Vec::new(),
        }
    }

    /// The length, once `step` is done.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the strings have no byte in common, once `step` is done.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes on with the table. Fails where there is no memory for it.
    pub fn step(&mut self, a: &[u8], b: &[u8], units: usize) -> Result<Progress, TryReserveError> {
        let (rows, text) = if self.is_swapped { (b, a) } else { (a, b) };
        let bytes_max = units.saturating_mul(BYTES_PER_UNIT);
        match &mut self.stage {
            Stage::Common { done } => {
                *done = self.places.find_common(rows, text, *done, bytes_max);
                if *done == rows.len() + text.len() {
                    self.places.number()?;
                    self.stage = Stage::Room;
                }
            }
            Stage::Room => {
                if self.places.make_room(units).is_done() {
                    self.table.reserve(rows.len())?;
                    self.stage = Stage::Places { done: 0 };
                }
            }
            Stage::Places { done } => {
                *done = self.places.note(text, *done, bytes_max);
                if *done == text.len() {
                    self.stage = Stage::Rows;
                }
            }
            Stage::Rows => {
                if self.table.advance(rows, &self.places, units).is_done() {
                    self.len = self.table.steps;
                    self.stage = Stage::Walk;
                }
            }
            Stage::Walk | Stage::Turn { .. } => return Ok(Progress::Done),
        }
        Ok(if matches!(self.stage, Stage::Walk) { Progress::Done } else { Progress::More })
    }

    /// Goes on with the runs, the last one first. Only where the sequence was wanted, after `step` is done.
    pub fn step_runs(
        &mut self,
        a: &[u8],
        b: &[u8],
        units: usize,
        visit: impl FnMut(Run),
    ) -> Progress {
        self.table.walk(&mut self.walk, a, b, units, visit)
    }

    /// Goes on with the bytes. Instead of `step_runs`; when done, [`LcsWork::take_bytes`].
    pub fn step_bytes(
        &mut self,
        a: &[u8],
        b: &[u8],
        units: usize,
    ) -> Result<Progress, TryReserveError> {
        if let Stage::Turn { done } = &mut self.stage {
            let half = self.bytes.len() / 2;
            let to = done.saturating_add(units.saturating_mul(BYTES_PER_UNIT)).min(half);
            let last = self.bytes.len().saturating_sub(1);
            (*done..to).for_each(|at| self.bytes.swap(at, last - at));
            *done = to;
            return Ok(if to == half { Progress::Done } else { Progress::More });
        }
        self.bytes.try_reserve_exact(self.len - self.bytes.len())?;
        let bytes = &mut self.bytes;
        let progress = self.table.walk_bytes(&mut self.walk, a, b, units, bytes);
        if progress.is_done() {
            self.stage = Stage::Turn { done: 0 };
        }
        Ok(Progress::More)
    }

    /// The bytes of the subsequence, once `step_bytes` is done.
    pub fn take_bytes(&mut self) -> Block {
        Block::new(std::mem::take(&mut self.bytes))
    }
}

impl Garbage for LcsWork {
    fn free_slice(&mut self, units: usize) -> Progress {
        let LcsWork { places, table, bytes, .. } = self;
        for _ in 0..units {
            let is_done = free_buffer(&mut table.rows, 1).is_done()
                && free_buffer(&mut table.row, 1).is_done()
                && free_buffer(&mut places.bitmaps, 1).is_done()
                && bytes.free_slice(1).is_done();
            if is_done {
                return Progress::Done;
            }
        }
        Progress::More
    }
}

/// The rows, as far as they are computed and kept.
struct Table {
    wanted: Wanted,
    /// Columns, one per byte of the text.
    columns: usize,
    row_words: usize,
    /// The last row; where a row is unfinished, its front already belongs to the next one.
    row: Vec<u64>,
    /// Rows 1.., where the sequence is wanted.
    rows: Vec<u64>,
    /// Whole rows computed.
    rows_done: usize,
    /// Words of the next one computed.
    words_done: usize,
    carry: bool,
    /// Zero bits of the last row: where it grows.
    steps: usize,
}

impl Table {
    fn new(columns: usize, wanted: Wanted) -> Table {
        Table {
            wanted,
            columns,
            row_words: columns.div_ceil(WORD_BITS),
            row: Vec::new(),
            rows: Vec::new(),
            rows_done: 0,
            words_done: 0,
            carry: false,
            steps: 0,
        }
    }

    fn reserve(&mut self, rows: usize) -> Result<(), TryReserveError> {
        self.row.try_reserve_exact(self.row_words)?;
        if self.wanted == Wanted::Sequence {
            self.rows.try_reserve_exact(self.row_words.saturating_mul(rows))?;
        }
        Ok(())
    }

    /// Computes rows: one per byte of `rows`. First row 0, last the steps of the last one are counted.
    fn advance(&mut self, rows: &[u8], places: &Places, units: usize) -> Progress {
        let mut words_left = units.saturating_mul(WORDS_PER_UNIT);
        while words_left > 0 {
            if self.row.len() < self.row_words {
                let count = words_left.min(self.row_words - self.row.len());
                self.row.resize(self.row.len() + count, u64::MAX);
                words_left -= count;
                continue;
            }
            let range =
                self.words_done..self.row_words.min(self.words_done.saturating_add(words_left));
            let Some(&byte) = rows.get(self.rows_done) else {
                self.steps += zeros(&self.row, range.clone(), self.columns);
                self.words_done = range.end;
                if range.end == self.row_words {
                    return Progress::Done;
                }
                return Progress::More;
            };
            let here = places.of(byte);
            if here.is_none() && self.wanted == Wanted::Length {
                // The row stays as it is.
                self.rows_done += 1;
                words_left -= 1;
                continue;
            }
            if let Some(here) = here {
                self.carry =
                    advance(&mut self.row[range.clone()], &here[range.clone()], self.carry);
            }
            if self.wanted == Wanted::Sequence {
                self.rows.extend_from_slice(&self.row[range.clone()]);
            }
            // A row without words costs, too.
            words_left = words_left.saturating_sub(range.len().max(1));
            self.words_done = range.end;
            if range.end == self.row_words {
                (self.rows_done, self.words_done, self.carry) = (self.rows_done + 1, 0, false);
            }
        }
        Progress::More
    }

    /// Whether `L(i, j) = L(i, j-1) + 1`; both are at least 1.
    fn grows(&self, i: usize, j: usize) -> bool {
        let bit = j - 1;
        let word = self.rows[(i - 1) * self.row_words + bit / WORD_BITS];
        word >> (bit % WORD_BITS) & 1 == 0
    }

    /// Goes on walking back, and reports runs that are complete.
    fn walk(
        &self,
        walk: &mut Walk,
        a: &[u8],
        b: &[u8],
        units: usize,
        mut visit: impl FnMut(Run),
    ) -> Progress {
        for _ in 0..units.saturating_mul(BYTES_PER_UNIT) {
            match self.walk_on(walk, a, b) {
                Found::Byte => {}
                Found::Gap | Found::Start if walk.run_len > 0 => {
                    visit(Run { a_start: walk.run_i, b_start: walk.run_j, len: walk.run_len });
                    walk.run_len = 0;
                }
                Found::Gap => {}
                Found::Start => return Progress::Done,
            }
        }
        Progress::More
    }

    /// As `walk`, adding each byte to `bytes`.
    fn walk_bytes(
        &self,
        walk: &mut Walk,
        a: &[u8],
        b: &[u8],
        units: usize,
        bytes: &mut Vec<u8>,
    ) -> Progress {
        for _ in 0..units.saturating_mul(BYTES_PER_UNIT) {
            match self.walk_on(walk, a, b) {
                Found::Byte => bytes.push(a[walk.i]),
                Found::Gap => {}
                Found::Start => return Progress::Done,
            }
        }
        Progress::More
    }

    /// One step back.
    fn walk_on(&self, walk: &mut Walk, a: &[u8], b: &[u8]) -> Found {
        let Walk { i, j, .. } = *walk;
        if i == 0 || j == 0 {
            return Found::Start;
        }
        if a[i - 1] == b[j - 1] {
            (walk.i, walk.j) = (i - 1, j - 1);
            (walk.run_i, walk.run_j) = (i - 1, j - 1);
            walk.run_len += 1;
            return Found::Byte;
        }
        if self.grows(i, j) {
            walk.i -= 1;
        } else {
            walk.j -= 1;
        }
        Found::Gap
    }
}

/// The way back through the table.
struct Walk {
    /// Bytes of `a` before this place.
    i: usize,
    /// Bytes of `b` before it.
    j: usize,
    /// The run it is in, not reported yet.
    run_len: usize,
    run_i: usize,
    run_j: usize,
}

/// What one step of the way back found.
enum Found {
    /// A byte of the subsequence, at the place now reached.
    Byte,
    /// None.
    Gap,
    /// The start of a string.
    Start,
}

impl Walk {
    fn from_the_end(a: &[u8], b: &[u8]) -> Walk {
        Walk { i: a.len(), j: b.len(), run_len: 0, run_i: 0, run_j: 0 }
    }
}

/// For each byte that two strings have in common, the places of one of them where it is.
struct Places {
    /// Whether the strings have the byte: bit 0 the rows' string, bit 1 the text.
    has: [u8; 256],
    /// Number of the bitmap of each byte, or [`Places::NOWHERE`].
    numbers: [u16; 256],
    bitmaps: Vec<u64>,
    /// Words all bitmaps together have in the end.
    bitmap_words: usize,
    words: usize,
}

impl Places {
    const NOWHERE: u16 = u16::MAX;
    const IN_BOTH: u8 = 3;

    /// For a text of this length. In the end at most 256 bits per byte of it, and no more than the other string is
    /// long.
    fn new(text_len: usize) -> Places {
        let numbers = [Places::NOWHERE; 256];
        let words = text_len.div_ceil(WORD_BITS);
        Places { has: [0; 256], numbers, bitmaps: Vec::new(), bitmap_words: 0, words }
    }

    /// Looks at up to `bytes_max` bytes of `rows`, then `text`; how many were looked at in all.
    fn find_common(&mut self, rows: &[u8], text: &[u8], done: usize, bytes_max: usize) -> usize {
        let (part, bit) = match rows.get(done..) {
            Some(rest) if !rest.is_empty() => (rest, 1),
            _ => (text.get(done - rows.len()..).unwrap_or(&[]), 2),
        };
        let part = &part[..part.len().min(bytes_max)];
        part.iter().for_each(|&byte| self.has[usize::from(byte)] |= bit);
        done + part.len()
    }

    /// Numbers the bitmaps.
    fn number(&mut self) -> Result<(), TryReserveError> {
        let mut count = 0;
        for (number, has) in self.numbers.iter_mut().zip(self.has) {
            if has == Places::IN_BOTH {
                *number = count;
                count += 1;
            }
        }
        self.bitmap_words = self.words.saturating_mul(count.into());
        self.bitmaps.try_reserve_exact(self.bitmap_words)
    }

    fn make_room(&mut self, units: usize) -> Progress {
        let more = units.saturating_mul(WORDS_PER_UNIT);
        let len = self.bitmaps.len().saturating_add(more).min(self.bitmap_words);
        self.bitmaps.resize(len, 0);
        if len == self.bitmap_words { Progress::Done } else { Progress::More }
    }

    /// Notes up to `bytes_max` bytes of `text`; how many were noted in all.
    fn note(&mut self, text: &[u8], done: usize, bytes_max: usize) -> usize {
        let end = done.saturating_add(bytes_max).min(text.len());
        for (at, &byte) in text[done..end].iter().enumerate() {
            let number = self.numbers[usize::from(byte)];
            if number != Places::NOWHERE {
                let at = done + at;
                let word = usize::from(number) * self.words + at / WORD_BITS;
                self.bitmaps[word] |= 1 << (at % WORD_BITS);
            }
        }
        end
    }

    /// The bitmap of `byte`, if it has one.
    fn of(&self, byte: u8) -> Option<&[u64]> {
        let number = self.numbers[usize::from(byte)];
        if number == Places::NOWHERE {
            return None;
        }
        Some(&self.bitmaps[usize::from(number) * self.words..][..self.words])
    }
}

/// Words of one row to those of the next, with the carry of the words before; the carry to the words behind. Bits
/// behind the end of the text change too; nobody looks at them, and they cannot reach back, since an addition
/// carries upwards only.
fn advance(row: &mut [u64], places: &[u64], mut carry: bool) -> bool {
    for (cells, &here) in row.iter_mut().zip(places) {
        let (sum, first) = cells.overflowing_add(*cells & here);
        let (sum, second) = sum.overflowing_add(carry.into());
        carry = first | second;
        *cells = sum | (*cells & !here);
    }
    carry
}

/// Zero bits in a range of words of a row that has `bits` bits.
fn zeros(row: &[u64], words: std::ops::Range<usize>, bits: usize) -> usize {
    let mut count = 0;
    for (at, word) in words.clone().zip(&row[words]) {
        let behind = ((at + 1) * WORD_BITS).saturating_sub(bits);
        // Bits behind the end count as ones.
        let ones_behind = !u64::MAX.checked_shr(behind as u32).unwrap_or(0);
        count += (word | ones_behind).count_zeros() as usize;
    }
    count
}

#[cfg(test)]
#[path = "lcs_tests.rs"]
mod tests;
