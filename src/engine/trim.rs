//! Returning what malloc holds free to the system.
//!
//! Blocks of 8 KiB and more are pages, which go back when they are freed (`base::memory`). What is left between smaller
//! blocks in use only `malloc_trim` returns, which takes as long as there is to return and cannot be cut in slices. So
//! it is called early, while there is little, and less often the longer it takes.
//!
//! Cost: one file read per call of [`Engine::trim`], ten times a second; trimming takes at most 1 % of the time, and a
//! call that took two milliseconds is followed by ten seconds without.
use crate::base::{memory, sys};
use crate::engine::engine::Engine;

/// Free memory left alone: so many bytes, and this part of what is in use.
const LEFT_BYTES: usize = 512 << 10;
const LEFT_DIVISOR: usize = 64;
/// Time between calls for the time one took.
const PAUSE_FACTOR: u64 = 100;
/// A call that took longer would be noticed.
const LONG_NANOS: u64 = 2_000_000;
const LONG_PAUSE_FACTOR: u64 = 5000;

/// What is known of earlier calls.
#[derive(Debug, Default)]
pub struct Trim {
    /// Resident beside all that was asked for, at the start: the program itself.
    program_bytes: Option<usize>,
    /// In ticks.
    not_before: u64,
}

impl Engine {
    /// Trims malloc if that is worth it and not too soon.
    pub(super) fn trim(&mut self) {
        memory::trim_pages();
        let allocated = memory::allocated_bytes();
        let now = self.shared.clock.ticks();
        if allocated == 0 || now < self.trim.not_before {
            return;
        }
        let pages: usize = self.dbs.iter().map(|db| db.memory().heap_page_bytes).sum();
        let dying = self.shared.graveyard.bytes() - self.shared.graveyard.allocated_bytes();
        let held = allocated + pages + dying;
        let beside = memory::resident_bytes().saturating_sub(held);
        let program = *self.trim.program_bytes.get_or_insert(beside);
        let left = LEFT_BYTES + held / LEFT_DIVISOR;
        if beside.saturating_sub(program) <= left {
            return;
        }
        sys::trim_malloc();
        let clock = &self.shared.clock;
        let nanos = clock.nanos(clock.ticks().saturating_sub(now));
        let rest = memory::resident_bytes().saturating_sub(held).saturating_sub(program);
        // What is not malloc's (the program's own pages, page tables) does not come back.
        if rest > left {
            self.trim.program_bytes = Some(program + rest - left / 2);
        }
        let factor = if nanos < LONG_NANOS { PAUSE_FACTOR } else { LONG_PAUSE_FACTOR };
        self.trim.not_before = now + clock.ticks_of(nanos * factor);
    }
}
