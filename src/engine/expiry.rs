//! Active expiry: deleting keys, and fields of hashes, whose time has come although nobody asks for them.
//!
//! Which keys are due is known to each database's timing wheel (`store::expire`), which fields to its register of
//! hashes that have such (`store::field_expiry`). The loop sleeps no longer than until
//! [`Engine::next_expiry_ms`] and then calls [`Engine::expire_as_time_passes`], which also moves on the slow sweep
//! that feeds the wheels. Nothing is done, and nobody woken, where no key has a time to live.
//!
//! Promise: one call ends soon after its budget is spent, so a million keys that expire at once cannot hold the
//! loop; and it says whether more waits. While more is due than one call can do and clients are busy, expiry takes
//! no more than a share of the time: 25 % at `active-expire-effort` 1, 2 % more with each further step, as much
//! as Redis gives to its cycle. An idle loop goes on at once. `hz` decides how often the sweep is moved on, and
//! nothing else: keys expire on time at any `hz`.
use crate::engine::background::Work;
use crate::engine::config::Opt;
use crate::engine::engine::Engine;

/// Handles looked at between two looks at the clock: about 10 us.
const HANDLES_PER_STEP: usize = 64;
/// Fields of hashes taken out between two looks at the clock: about 10 us.
const FIELDS_PER_STEP: usize = 64;
/// Buckets swept between two looks at the clock: about 10 us.
const BUCKETS_PER_STEP: usize = 64;
/// Chunks of a wheel freed between two looks at the clock.
const CHUNKS_PER_STEP: usize = 64;
/// Time between two updates of `expired_stale_perc`.
const STALE_EVERY_MS: i64 = 100;

/// Where active expiry stands.
#[derive(Debug, Default)]
pub struct ExpiryCycle {
    /// The database to begin with: the one behind that at which the budget was spent.
    db: usize,
    /// The millisecond for which it was asked whether anything is due.
    asked_ms: i64,
    /// Commands run before the last slice.
    commands_seen: u64,
    /// While clients are busy, the next slice comes no earlier; 0 when nothing was left.
    resume_ticks: u64,
    /// What is missing to a full microsecond of `expire_cycle_us`.
    nanos_rest: u64,
    /// When `expired_stale_perc` was updated.
    stale_ms: i64,
    /// Entries with a TTL that the sweep has seen since, and how many of them were past it.
    seen: u64,
    dead: u64,
}

impl Engine {
    /// When a key will be due: in the past if one is. `None` if nothing is known to expire in the next two
    /// minutes, or if nothing may expire now. O(databases).
    pub fn next_expiry_ms(&self) -> Option<i64> {
        let shared = &self.shared;
        if shared.clock.is_frozen() || shared.debug.is_cron_paused || !shared.may_expire() {
            return None;
        }
        self.dbs.iter().filter_map(|db| db.next_expiry_ms()).min()
    }

    /// Whether a key is due; says so once for each millisecond.
    #[inline]
    pub fn is_expiry_due(&mut self) -> bool {
        let now_ms = self.shared.clock.unix_ms();
        if now_ms == self.expiry.asked_ms {
            return false;
        }
        self.expiry.asked_ms = now_ms;
        self.next_expiry_ms().is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// One slice of active expiry of at most about `budget_us` microseconds; none while its share of the time is
    /// used up. Nothing happens while the clock stands: no time comes then, and what is left of the past does not
    /// go at a moment that chance chooses.
    pub fn expire_as_time_passes(&mut self, budget_us: u64) -> Work {
        let shared = &mut self.shared;
        if shared.clock.is_frozen() || !shared.may_expire() {
            return Work::Done;
        }
        let start = shared.clock.ticks();
        let is_busy = shared.stats.commands_processed != self.expiry.commands_seen;
        if is_busy && start < self.expiry.resume_ticks {
            return Work::Left;
        }
        self.expiry.commands_seen = shared.stats.commands_processed;
        let budget_ticks = shared.clock.ticks_of(budget_us.saturating_mul(1000));
        let work = self.expire_until(start.saturating_add(budget_ticks));
        self.note_stale();
        let spent_ticks = self.shared.clock.ticks().saturating_sub(start);
        self.expiry.resume_ticks = match work {
            Work::Done => 0,
            Work::Left => {
                let effort = self.shared.config.int(Opt::ActiveExpireEffort).clamp(1, 10) as u64;
                let share = 25 + 2 * (effort - 1);
                start + spent_ticks * 100 / share
            }
        };
        self.count_expiry(work, spent_ticks);
        work
    }

    /// Moves time on, for tests: what is due then has expired when this returns. O(keys due), and O(keys with a
    /// time to live) for a move by more than some seconds.
    pub fn advance_ms(&mut self, by_ms: i64) {
        self.shared.clock.advance_ms(by_ms);
        let (now_ms, is_lfu) = (self.shared.clock.unix_ms(), self.shared.is_lfu);
        for db in &mut self.dbs {
            db.begin(now_ms, is_lfu);
            if self.shared.may_expire() {
                db.expire_all();
                let reclaimed = db.reclaim_fields(usize::MAX);
                self.shared.stats.dirty += reclaimed.fields as u64;
            }
        }
    }

    /// All databases in turn: keys and fields of hashes that are due, then the sweep, then what its wheel has to free.
    fn expire_until(&mut self, end_ticks: u64) -> Work {
        let (now_ms, is_lfu) = (self.shared.clock.unix_ms(), self.shared.is_lfu);
        let count = self.dbs.len();
        for step in 0..count {
            let index = (self.expiry.db + step) % count;
            let db = &mut self.dbs[index];
            db.begin(now_ms, is_lfu);
            let mut is_left = true;
            while is_left {
                let due = db.expire_due(HANDLES_PER_STEP);
                let fields = db.reclaim_fields(FIELDS_PER_STEP);
                self.shared.stats.dirty += fields.fields as u64;
                is_left = due.is_left || fields.is_left;
                if !is_left {
                    let swept = db.sweep(BUCKETS_PER_STEP);
                    self.expiry.seen += swept.visited as u64;
                    self.expiry.dead += swept.dead as u64;
                    is_left = swept.is_left || !db.tidy_wheel(CHUNKS_PER_STEP);
                }
                if is_left && self.shared.clock.ticks() >= end_ticks {
                    self.expiry.db = (index + 1) % count;
                    return Work::Left;
                }
            }
        }
        Work::Done
    }

    /// `expired_stale_perc`: the larger of what the sweep met and of what is known to be due, as a running mean
    /// with a weight of 5 %, as Redis keeps it.
    fn note_stale(&mut self) {
        let now_ms = self.shared.clock.unix_ms();
        if (0..STALE_EVERY_MS).contains(&now_ms.saturating_sub(self.expiry.stale_ms)) {
            return;
        }
        self.expiry.stale_ms = now_ms;
        let seen = std::mem::take(&mut self.expiry.seen);
        let dead = std::mem::take(&mut self.expiry.dead);
        let count = |of: fn(&crate::store::Db) -> usize| -> u64 {
            self.dbs.iter().map(of).sum::<usize>() as u64
        };
        let (overdue, keys) = (count(|db| db.overdue_len()), count(|db| db.expires_len()));
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let present = percent(dead, seen).max(percent(overdue, keys));
        let stale = &mut self.shared.stats.expired_stale_percent;
        *stale = present * 0.05 + *stale * 0.95;
    }

    fn count_expiry(&mut self, work: Work, spent_ticks: u64) {
        let shared = &mut self.shared;
        let spent = shared.clock.nanos(spent_ticks);
        self.expiry.nanos_rest += spent;
        shared.stats.expire_cycle_us += self.expiry.nanos_rest / 1000;
        self.expiry.nanos_rest %= 1000;
        shared.stats.expire_cycle_capped += u64::from(work == Work::Left);
        shared.note_spike("expire-cycle", spent_ticks);
    }
}
