//! Emptying a database in O(1), and freeing what it held slice by slice.

use super::blocks::{Blocks, Graveyard};
use super::db::Db;
use super::field_expiry::ENTRIES_PER_ITEM;
use super::heap::Heap;
use super::wheel::Wheel;
use crate::types::expiries::Expiries;
use crate::types::table::Table;
use std::mem;

/// Chunks of the wheel freed per item of budget (about 3 us).
const CHUNKS_PER_ITEM: usize = 64;
/// Heap pages given back per item of budget (about 10 us).
const PAGES_PER_ITEM: usize = 1;

/// What a flushed database held. Dropping it frees everything at once.
pub struct Detached {
    table: Table,
    heap: Heap,
    blocks: Blocks,
    graveyard: Graveyard,
    wheel: Option<Box<Wheel>>,
    field_expiries: Option<Box<Expiries<u64>>>,
    keys: usize,
}

impl Db {
    /// Empties the database. O(1): the caller frees the returned rest in slices.
    pub fn flush(&mut self) -> Detached {
        let keys = self.len();
        self.stats.changes += keys as u64;
        (self.expires, self.ttl_mean_ms) = (0, 0);
        Detached {
            table: mem::take(&mut self.table),
            heap: mem::replace(&mut self.heap, Heap::new()),
            blocks: mem::replace(&mut self.blocks, Blocks::new()),
            graveyard: mem::replace(&mut self.graveyard, Graveyard::new()),
            wheel: self.wheel.take(),
            field_expiries: self.field_expiries.take(),
            keys,
        }
    }
}

impl Detached {
    /// Number of keys it held.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Memory it still takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.allocated_bytes() + self.heap.resident_bytes()
    }

    /// Of that: what came from the allocator.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.table.bytes() + self.blocks.bytes() + self.graveyard.waiting_bytes()
    }

    /// Frees about `budget_items` pages of 64 KiB or large values; true when nothing is left.
    pub fn free_slice(&mut self, budget_items: usize) -> bool {
        for _ in 0..budget_items {
            let wheel = self.wheel.as_mut();
            if !wheel.is_none_or(|wheel| wheel.dismantle(CHUNKS_PER_ITEM)) {
                continue;
            }
            self.wheel = None;
            let expiries = self.field_expiries.as_mut();
            if !expiries.is_none_or(|expiries| expiries.free_slice(ENTRIES_PER_ITEM)) {
                continue;
            }
            self.field_expiries = None;
            let done = self.graveyard.free_slice(1)
                && !self.blocks.dismantle(&mut self.graveyard)
                && self.heap.dismantle(PAGES_PER_ITEM)
                && self.table.dismantle(1);
            if done {
                return true;
            }
        }
        false
    }
}
