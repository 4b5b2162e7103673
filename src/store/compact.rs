//! Defragmentation: moving entries out of sparse heap pages.
//!
//! A heap whose value sizes shift is left with pages that hold a few live slots each. `compact`
//! empties the sparsest page of a class whose free slots make more than a page, entry by entry:
//! copy it to another page, patch its one handle in the table, free the old slot. The emptied page
//! serves any class, or goes back to the system.
//!
//! Big collections close their gaps themselves, as long as they are written. One that nobody writes any more is found
//! by `tidy_collections`, which goes round all of them, and stops while nothing has changed since it last saw all. It
//! waits while jobs or walks are under way: they may know elements by where they stand.

use super::db::Db;
use super::heap::Handle;
use super::{entry, view};

/// Collections looked at in one call: 20 us or so, ten times a second.
const LOOKS_MAX: u32 = 256;

/// How far the round over all collections has come.
#[derive(Debug, Default)]
pub(super) struct TidyRound {
    /// The number looked at next.
    next: u32,
    /// So many in a row had no gaps.
    clean: u32,
    /// Changes of the database when that row began.
    clean_since: u64,
    /// One with gaps, and how it was filled when it was last seen.
    candidate: Option<(u32, (usize, usize))>,
}

impl Db {
    /// Closes gaps in big collections that nobody is writing: looks after up to `budget_steps` elements, some 0.2 us
    /// each. False when there is nothing to do for now: call again after a while.
    pub fn tidy_collections(&mut self, budget_steps: usize) -> bool {
        let (count, changes) = (self.blocks.numbers(), self.stats.changes);
        let mut round = std::mem::take(&mut self.tidy_round);
        let is_clean = round.clean >= count && round.clean_since == changes;
        let mut goes_on = false;
        if !is_clean && self.walks.is_empty() && self.holds.is_empty() {
            goes_on = self.tidy_some(&mut round, budget_steps);
        }
        self.tidy_round = round;
        goes_on
    }

    fn tidy_some(&mut self, round: &mut TidyRound, budget_steps: usize) -> bool {
        let count = self.blocks.numbers();
        for _ in 0..LOOKS_MAX.min(count) {
            if round.clean == 0 || round.clean >= count {
                (round.clean, round.clean_since) = (0, self.stats.changes);
            }
            let number = if round.next < count { round.next } else { 0 };
            round.next = number + 1;
            let gappy = self.blocks.object(number).filter(|object| object.is_gappy());
            let Some(members) = gappy.and_then(|object| object.members()) else {
                round.clean += 1;
                continue;
            };
            let seen = (number, members.filling());
            round.clean = 0;
            if round.candidate.is_none_or(|(number, _)| number != seen.0) {
                // Whether somebody writes it shows when it is next looked at.
                (round.candidate, round.next) = (Some(seen), number);
                return false;
            }
            if round.candidate.take() != Some(seen) {
                continue;
            }
            let tidied = self.blocks.edit_object(number, |object| object.tidy_idle(budget_steps));
            let filling = self.blocks.object(number).and_then(|object| object.members());
            if let (Some(true), Some(members)) = (tidied, filling) {
                (round.candidate, round.next) = (Some((number, members.filling())), number);
                return true;
            }
        }
        false
    }

    /// Moves at most `budget_moves` entries and gives the number moved: less than the budget when
    /// nothing is worth moving. About 1 us per entry. Contents do not change, so no write is
    /// counted.
    pub fn compact(&mut self, budget_moves: usize) -> usize {
        for moved in 0..budget_moves {
            let Some(source) = self.heap.next_to_move() else { return moved };
            let bytes = self.heap.slot(source);
            let (size, hash) =
                (entry::size(bytes), self.hasher.hash(view::key_bytes(&self.blocks, bytes)));
            let slot = self.table.find(hash, |handle| handle == source.raw());
            let (Some(slot), Ok(target)) = (slot, self.heap.alloc(size)) else {
                self.heap.stop_moving();
                return moved;
            };
            self.move_entry(source, target, size);
            self.table.replace(slot, target.raw());
            if let Some(expiry) = entry::expiry(self.heap.slot(target)) {
                self.note_expiry(target.raw(), expiry, slot.bucket);
            }
        }
        budget_moves
    }

    /// Whether a page has been emptied in part.
    pub fn is_compacting(&self) -> bool {
        self.heap.is_moving()
    }

    fn move_entry(&mut self, source: Handle, target: Handle, size: usize) {
        self.heap.copy((source, 0), (target, 0), size);
        self.heap.free(source);
    }
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
