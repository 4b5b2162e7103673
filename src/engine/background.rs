//! Work that nobody waits for: freeing, compaction, in slices with a time budget.
//!
//! Promise: one call of [`Engine::background`] ends soon after its budget is spent, so a million dead values
//! cannot hold the loop; and it says whether more waits, so the loop comes back before it sleeps.
use crate::engine::engine::Engine;

/// Pieces of detached databases freed between two looks at the clock: a big value or a megabyte of it, some pages.
const FREED_PER_STEP: usize = 2;
/// Big values, megabytes of them, or empty pages freed between two looks at the clock: a megabyte takes the system
/// up to 0.2 ms.
const BLOCKS_PER_STEP: usize = 2;
/// Subscriptions of clients that are gone ended between two looks at the clock.
const SUBSCRIPTIONS_PER_STEP: usize = 32;
/// Queues of keys that those who wait no longer leave between two looks at the clock.
const QUEUES_PER_STEP: usize = 32;
/// Keys that nobody watches any longer left, or those who watch one marked, between two looks at the clock.
const WATCHED_PER_STEP: usize = 32;
/// Keys that clients have read and that are forgotten between two looks at the clock, if few clients have read each.
const FORGOTTEN_PER_STEP: usize = 32;
/// Elements of big collections looked after between two looks at the clock.
const TIDIED_PER_STEP: usize = 128;
/// Entries moved between two looks at the clock.
const MOVES_PER_STEP: usize = 32;

/// Whether background work is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing to do until the next tick.
    Done,
    /// The budget was spent: come back soon.
    Left,
}

impl Engine {
    /// One slice of background work of at most about `budget_us` microseconds.
    pub fn background(&mut self, budget_us: u64) -> Work {
        if self.shared.busy.is_some() {
            // A script sees the data stand still.
            return Work::Done;
        }
        if self.shared.listeners != 0 {
            self.note_gone();
        }
        let start = self.shared.clock.ticks();
        let budget_ticks = self.shared.clock.ticks_of(budget_us.saturating_mul(1000));
        let is_spent = |engine: &Engine| engine.shared.clock.ticks() - start >= budget_ticks;
        if self.evict_slice(budget_us) == Work::Left {
            return Work::Left;
        }
        while !self.shared.pubsub.free_slice(SUBSCRIPTIONS_PER_STEP) {
            if is_spent(self) {
                return Work::Left;
            }
        }
        while !self.shared.blocking.leave_queues(QUEUES_PER_STEP) {
            if is_spent(self) {
                return Work::Left;
            }
        }
        while !self.shared.scripts.wane() {
            if is_spent(self) {
                return Work::Left;
            }
        }
        while !self.shared.watch.free_slice(WATCHED_PER_STEP) {
            if is_spent(self) {
                return Work::Left;
            }
        }
        while self.shared.tracking.is_over_limit() {
            self.shared.forget_reads(FORGOTTEN_PER_STEP);
            if is_spent(self) {
                return Work::Left;
            }
        }
        while !self.shared.graveyard.free_slice(FREED_PER_STEP) {
            if is_spent(self) {
                return Work::Left;
            }
        }
        for db in 0..self.dbs.len() {
            while !self.dbs[db].free_slice(BLOCKS_PER_STEP) {
                if is_spent(self) {
                    return Work::Left;
                }
            }
            while self.compact_step(db) {
                if is_spent(self) {
                    return Work::Left;
                }
            }
            while self.dbs[db].tidy_collections(TIDIED_PER_STEP) {
                if is_spent(self) {
                    return Work::Left;
                }
            }
        }
        Work::Done
    }

    /// Moves some entries out of sparse pages; true while there is more to move.
    fn compact_step(&mut self, db: usize) -> bool {
        let began = self.shared.clock.ticks();
        let moves = self.dbs[db].compact(MOVES_PER_STEP);
        if moves > 0 {
            self.shared.stats.compaction_moves += moves as u64;
            self.shared.stats.compaction_ticks += self.shared.clock.ticks() - began;
        }
        moves > 0
    }
}
