//! Work that nobody waits for: active expiry, freeing, compaction, in slices with a time budget.
//!
//! Promise: one call of [`Engine::background`] ends soon after its budget is spent, so a million dead keys
//! cannot hold the loop; and it says whether more waits, so the loop comes back before it sleeps.
use crate::engine::config::Opt;
use crate::engine::engine::Engine;

/// Buckets looked at between two looks at the clock.
const BUCKETS_PER_STEP: usize = 64;
/// Pieces of detached databases freed between two looks at the clock: a big value or a megabyte of it, some pages.
const FREED_PER_STEP: usize = 2;
/// Big values, megabytes of them, or empty pages freed between two looks at the clock: a megabyte takes the system
/// up to 0.2 ms.
const BLOCKS_PER_STEP: usize = 2;
/// Entries moved between two looks at the clock.
const MOVES_PER_STEP: usize = 32;

/// Where the expiry cycle stands.
#[derive(Debug, Default)]
pub struct ExpiryCycle {
    /// The database being swept.
    db: usize,
    /// Share of dead ones among the keys with a TTL seen lately, in per mille (INFO `expired_stale_perc`).
    pub stale_per_mille: u64,
    /// Whether the next slice should come soon: the last one found dead keys.
    is_hot: bool,
}

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
        let start = self.shared.clock.ticks();
        let budget_ticks = self.shared.clock.ticks_of(budget_us.saturating_mul(1000));
        let is_spent = |engine: &Engine| engine.shared.clock.ticks() - start >= budget_ticks;
        if self.evict_slice(budget_us) == Work::Left {
            return Work::Left;
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
            while self.dbs[db].compact(MOVES_PER_STEP) > 0 {
                if is_spent(self) {
                    return Work::Left;
                }
            }
        }
        Work::Done
    }

    /// As [`Engine::expire_slice`], but nothing while the clock stands: no time comes then, and what is left of the
    /// past does not go at a moment that chance chooses.
    pub fn expire_as_time_passes(&mut self, budget_us: u64) -> Work {
        if self.shared.clock.is_frozen() { Work::Done } else { self.expire_slice(budget_us) }
    }

    /// Moves time on, for tests: what is due then has expired when this returns. O(keys with a time to live).
    pub fn advance_ms(&mut self, by_ms: i64) {
        self.shared.clock.advance_ms(by_ms);
        let (now_ms, is_lfu) = (self.shared.clock.unix_ms(), self.shared.is_lfu);
        for db in &mut self.dbs {
            db.begin(now_ms, is_lfu);
            if self.shared.may_expire() {
                db.expire_all();
            }
        }
    }

    /// One slice of active expiry of at most about `budget_us` microseconds. It sweeps all databases in turn
    /// and stops early once a whole round found nothing dead.
    pub fn expire_slice(&mut self, budget_us: u64) -> Work {
        if !self.shared.may_expire() {
            return Work::Done;
        }
        let start = self.shared.clock.ticks();
        let budget_ticks = self.shared.clock.ticks_of(budget_us.saturating_mul(1000));
        let (now, is_lfu) = (self.shared.clock.unix_ms(), self.shared.is_lfu);
        let count = self.dbs.len();
        let mut dbs_done = 0;
        let (mut seen, mut dead) = (0u64, 0u64);
        let mut is_capped = false;
        while dbs_done < count {
            let db = &mut self.dbs[self.expiry.db % count];
            if db.expires_len() == 0 {
                self.expiry.db = (self.expiry.db + 1) % count;
                dbs_done += 1;
                continue;
            }
            db.begin(now, is_lfu);
            let progress = db.expire_cycle(BUCKETS_PER_STEP);
            seen += progress.visited as u64;
            dead += progress.expired as u64;
            if progress.done_round {
                self.expiry.db = (self.expiry.db + 1) % count;
                dbs_done += 1;
            }
            if self.shared.clock.ticks() - start >= budget_ticks {
                is_capped = true;
                break;
            }
        }
        if let Some(now_stale) = (dead * 1000).checked_div(seen) {
            // A running mean, as Redis keeps it: 5 % of the new measurement.
            self.expiry.stale_per_mille = (now_stale + self.expiry.stale_per_mille * 19) / 20;
            self.shared.stats.expired_stale_percent = self.expired_stale_percent();
        }
        let ticks_spent = self.shared.clock.ticks() - start;
        let spent = self.shared.clock.nanos(ticks_spent);
        self.shared.stats.expire_cycle_us += spent / 1000;
        self.shared.stats.expire_cycle_capped += u64::from(is_capped);
        if ticks_spent >= self.shared.watch.spike_ticks {
            let unix_seconds = self.shared.clock.unix_ms() / 1000;
            self.shared.latency.add("expire-cycle", spent / 1_000_000, unix_seconds);
        }
        // Go on at once only while it pays: while of what was seen, more was dead than `active-expire-effort`
        // accepts: a tenth at effort 1, a hundredth at 10 (Redis's shares). The slices stay as short as they are.
        let effort = self.shared.config.int(Opt::ActiveExpireEffort).clamp(1, 10) as u64;
        self.expiry.is_hot = is_capped && dead * 100 > seen * (11 - effort);
        if self.expiry.is_hot { Work::Left } else { Work::Done }
    }

    /// Whether the last slice of expiry found many dead keys and more may wait.
    pub fn is_expiry_hot(&self) -> bool {
        self.expiry.is_hot
    }

    /// Share of dead keys among those with a TTL, in per cent.
    pub fn expired_stale_percent(&self) -> f64 {
        self.expiry.stale_per_mille as f64 / 10.0
    }
}
