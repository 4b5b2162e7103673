//! Sorting any number of texts in slices, as SORT does it.
//!
//! ```text
//!   push  → rows, in runs of 256      weigh → a rank for each row
//!   prepare → each run sorted, and a tournament over the runs: the tree's root is the run with the first row
//!   next  → that row; one comparison per level of the tree finds the next one
//! ```
//!
//! A row's rank is a `u64` that orders as its weight does as far as 64 bits can tell: all of a number, the first eight
//! bytes of a text. So most comparisons look at no text. Only as many rows are merged as somebody takes, so a LIMIT
//! needs nothing of its own.
//!
//! Promise: stable; the rows come in the order of Redis's comparison. Cost: O(n log n) comparisons, 24 bytes per row
//! and the texts once more; no step is longer than the sorting of one run (about 30 us). Long texts are
//! shared, not copied.
use std::cmp::Ordering;

use crate::base::block::Block;
use crate::base::pieces::{Garbage, Progress};
use crate::types::arena::{Arena, Place};

/// Rows of a run.
pub const RUN_ROWS: usize = 256;
/// The longest text that is copied.
const COPY_BYTES_MAX: usize = 16 * 1024;
/// Nodes of the tournament that count as much as the sorting of a run.
const NODES_PER_UNIT: usize = RUN_ROWS;

/// A text to be kept.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Copied if it is short.
    Bytes(&'a [u8]),
    /// Shared.
    Block(&'a Block),
}

impl<'a> Value<'a> {
    /// The text.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Block(block) => block,
        }
    }
}

/// How rows compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// Not at all: they stay as they came.
    None,
    /// By number; those of the same number by their bytes.
    Number,
    /// By text, as C's `strcoll` in the C locale: a NUL ends it.
    Text,
    /// By all bytes of the text.
    Bytes,
}

/// What a row is sorted by.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// A number that is not NaN.
    Number(f64),
    /// The element itself.
    Element,
    /// Another text; nothing comes before any text.
    Text(Option<Value<'a>>),
}

/// Where a kept text is: in the arena, or (`len` is [`SHARED`]) the number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text {
    at: u32,
    len: u32,
}

const SHARED: u32 = u32::MAX;
/// A row sorted by a text that does not exist.
const NOTHING: Text = Text { at: u32::MAX, len: SHARED };

#[derive(Default)]
struct Texts {
    short: Arena,
    shared: Vec<Block>,
}

impl Texts {
    fn keep(&mut self, value: Value<'_>) -> Text {
        let bytes = match value {
            Value::Bytes(bytes) => bytes,
            Value::Block(block) => return self.share(block.clone()),
        };
        if bytes.len() <= COPY_BYTES_MAX
            && let Ok(place) = self.short.add(&[bytes])
        {
            return Text { at: place.raw(), len: bytes.len() as u32 };
        }
        self.share(Block::new(bytes.to_vec()))
    }

    fn share(&mut self, block: Block) -> Text {
        self.shared.push(block);
        Text { at: self.shared.len() as u32 - 1, len: SHARED }
    }

    fn get(&self, text: Text) -> Value<'_> {
        match self.shared.get(text.at as usize) {
            Some(block) if text.len == SHARED => Value::Block(block),
            _ => {
                let bytes = self.short.from(Place::from_raw(text.at));
                Value::Bytes(bytes.get(..text.len as usize).unwrap_or(&[]))
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Row {
    rank: u64,
    element: Text,
    /// The text it is sorted by, where that is not the element.
    weight: Text,
}

/// Rows being sorted. See the head of the file.
pub struct Sorting {
    collation: Collation,
    is_descending: bool,
    texts: Texts,
    runs: Vec<Vec<Row>>,
    len: usize,
    /// Runs sorted so far.
    sorted: usize,
    /// The tournament: node `n` is won by the better of `2n` and `2n + 1`; node `runs + r` stands for run `r`.
    winners: Vec<u32>,
    /// Nodes from here on are known.
    known_from: usize,
    /// The next row of each run.
    heads: Vec<u16>,
    /// Rows taken so far.
    taken: usize,
}

impl Sorting {
    /// Nothing yet.
    pub fn new(collation: Collation, is_descending: bool) -> Sorting {
        Sorting {
            collation,
            is_descending,
            texts: Texts::default(),
            runs: Vec::new(),
            len: 0,
            sorted: 0,
            winners: Vec::new(),
            known_from: 0,
            heads: Vec::new(),
            taken: 0,
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How rows compare.
    pub fn collation(&self) -> Collation {
        self.collation
    }

    /// Memory it holds, without what it shares. O(1).
    pub fn bytes(&self) -> usize {
        self.texts.short.bytes() + self.runs.len() * RUN_ROWS * size_of::<Row>()
    }

    /// Appends a row. O(its length).
    pub fn push(&mut self, element: Value<'_>) {
        let element = self.texts.keep(element);
        if self.len.is_multiple_of(RUN_ROWS) {
            self.runs.push(Vec::with_capacity(RUN_ROWS));
        }
        if let Some(run) = self.runs.last_mut() {
            run.push(Row { rank: 0, element, weight: element });
            self.len += 1;
        }
    }

    /// The element pushed as number `index`, until [`Sorting::prepare`] has begun.
    pub fn element(&self, index: usize) -> Value<'_> {
        self.texts.get(self.runs[index / RUN_ROWS][index % RUN_ROWS].element)
    }

    /// Says what the row pushed as number `index` is sorted by, before [`Sorting::prepare`] begins.
    pub fn weigh(&mut self, index: usize, weight: Weight<'_>) {
        let row = &mut self.runs[index / RUN_ROWS][index % RUN_ROWS];
        match weight {
            Weight::Number(number) => row.rank = rank_of_number(number),
            Weight::Element => {
                row.rank = rank_of_text(self.collation, self.texts.get(row.element).bytes());
            }
            Weight::Text(None) => row.weight = NOTHING,
            Weight::Text(Some(text)) => {
                row.rank = rank_of_text(self.collation, text.bytes());
                row.weight = self.texts.keep(text);
            }
        }
    }

    /// Sorts about `units` runs; to be called until it is done.
    pub fn prepare(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            if self.sorted < self.runs.len() {
                self.sort_run();
            } else if self.winners.len() < 2 * self.runs.len() {
                // The leaves; the room for all nodes is four bytes for each 128 rows.
                self.winners.resize(2 * self.runs.len(), 0);
                self.heads.resize(self.runs.len(), 0);
                self.known_from = 2 * self.runs.len();
            } else if self.known_from > 1 {
                self.play(NODES_PER_UNIT);
            } else {
                return Progress::Done;
            }
        }
        if self.known_from == 1 || self.runs.is_empty() { Progress::Done } else { Progress::More }
    }

    fn sort_run(&mut self) {
        if self.collation != Collation::None {
            let mut rows = std::mem::take(&mut self.runs[self.sorted]);
            rows.sort_by(|a, b| self.compare(a, b));
            self.runs[self.sorted] = rows;
        }
        self.sorted += 1;
    }

    /// Decides so many more nodes of the tournament.
    fn play(&mut self, nodes: usize) {
        let runs = self.runs.len();
        let until = self.known_from.saturating_sub(nodes).max(1);
        for node in (until..self.known_from).rev() {
            self.winners[node] = match node.checked_sub(runs) {
                Some(run) => run as u32,
                None => self.better(self.winners[2 * node], self.winners[2 * node + 1]),
            };
        }
        self.known_from = until;
    }

    /// The element that comes next; `None` at the end. O(log n) comparisons.
    pub fn take_next(&mut self) -> Option<Value<'_>> {
        if self.taken == self.len {
            return None;
        }
        let runs = self.runs.len();
        let run = *self.winners.get(1)? as usize;
        let element = self.runs[run][usize::from(self.heads[run])].element;
        self.heads[run] += 1;
        self.taken += 1;
        let mut node = (runs + run) / 2;
        while node > 0 {
            self.winners[node] = self.better(self.winners[2 * node], self.winners[2 * node + 1]);
            node /= 2;
        }
        Some(self.texts.get(element))
    }

    /// Of two runs the one with the earlier row; of equal ones the first, for the sake of stability.
    fn better(&self, first: u32, second: u32) -> u32 {
        let head = |run: u32| self.runs[run as usize].get(usize::from(self.heads[run as usize]));
        let order = match (head(first), head(second)) {
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
            (Some(a), Some(b)) => self.compare(a, b),
        };
        match order.then(first.cmp(&second)) {
            Ordering::Less => first,
            _ => second,
        }
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let order = match self.collation {
            Collation::None => return Ordering::Equal,
            _ => a.rank.cmp(&b.rank).then_with(|| self.compare_texts(a, b)),
        };
        if self.is_descending { order.reverse() } else { order }
    }

    /// Rows of the same rank.
    fn compare_texts(&self, a: &Row, b: &Row) -> Ordering {
        let bytes = |text: Text| self.texts.get(text).bytes();
        match self.collation {
            Collation::None => Ordering::Equal,
            Collation::Number => bytes(a.element).cmp(bytes(b.element)),
            _ => match (a.weight == NOTHING, b.weight == NOTHING) {
                (false, false) if self.collation == Collation::Text => {
                    c_text(bytes(a.weight)).cmp(c_text(bytes(b.weight)))
                }
                (false, false) => bytes(a.weight).cmp(bytes(b.weight)),
                (is_nothing, is_other_nothing) => is_other_nothing.cmp(&is_nothing),
            },
        }
    }
}

/// A `u64` that orders as the numbers do; 0 and -0 are equal.
fn rank_of_number(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The first eight bytes.
fn rank_of_text(collation: Collation, text: &[u8]) -> u64 {
    if collation == Collation::Number {
        return 0;
    }
    let mut first = [0; 8];
    let length = text.len().min(8);
    first[..length].copy_from_slice(&text[..length]);
    if collation == Collation::Text {
        let length = c_text(&first).len();
        first[length..].fill(0);
    }
    u64::from_be_bytes(first)
}

/// What C sees of a text.
fn c_text(text: &[u8]) -> &[u8] {
    match text.iter().position(|&byte| byte == 0) {
        Some(end) => &text[..end],
        None => text,
    }
}

impl Garbage for Sorting {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            if !self.texts.shared.is_empty() {
                let _ = self.texts.shared.free_slice(1);
            } else if self.texts.short.free_slice(1) && self.runs.pop().is_none() {
                return Progress::Done;
            }
        }
        Progress::More
    }
}

#[cfg(test)]
#[path = "sorting_tests.rs"]
mod tests;
