//! `maxmemory`: what counts, and making room when it is too much.
//!
//! ```text
//!   counted = data of all databases (tables, heap slots in use, large values, garbage not yet freed)
//!           + what else is allocated, without clients and their buffers (measured ten times a second)
//! ```
//!
//! Heap pages with free slots do not count: evicting must bring the count down at once, and compaction returns
//! the pages afterwards. Before each command the count is compared with the limit; above it keys are evicted there
//! and then:
//!
//! - a turn has a time for it (`max-stall-us` at the default tenacity), spent by whichever command comes first;
//! - beyond that time a command evicts what the commands before it have added, twice, for at most 100 us: who
//!   writes pays, so a debt shrinks while clients write, and no turn pays all of it;
//! - what is left is evicted between turns;
//! - commands that may add data wait (their clients do, nobody else) while memory is above its lowest since the limit
//!   was set by more than a sixteenth of the limit. So a fast writer of large values cannot outrun eviction: the
//!   overshoot is a sixteenth of the limit (at least 1 MiB) and one command per turn. A lowered limit makes nobody
//!   wait: memory only has to fall.
//! - where nothing can be evicted, they get the OOM error.
//!
//! Promise: client buffers never evict data; a turn spends no more than its time on eviction, plus what its own
//! commands owe. Cost without a limit: one comparison per command; below it, some additions more.
use crate::engine::background::Work;
use crate::engine::config::Opt;
use crate::engine::config_choice::MaxmemoryPolicy;
use crate::engine::ctx::Event;
use crate::engine::engine::{Engine, Shared, restraint};
use crate::engine::evict_pool::EvictPool;
use crate::store::{Candidate, Db, Evicted, Rank, SAMPLES_MAX, Sampled, Scope};

/// Keys evicted between two looks at the clock.
const EVICTIONS_PER_LOOK: usize = 8;
/// What one command pays beyond the turn's time, in nanoseconds.
const PAID_NANOS_MAX: u64 = 100_000;
/// Least time of a background slice, in microseconds, whatever the turn's commands have spent.
const SLICE_US_MIN: u64 = 100;
/// The overshoot from which writers wait: this part of the limit,
const OVERSHOOT_DIVISOR: usize = 16;
/// and at least so many bytes.
const OVERSHOOT_BYTES_MIN: usize = 1 << 20;
/// Samples under S3-FIFO for one of `maxmemory-samples`.
const FIFO_SAMPLES: usize = 3;
/// Tenacity whose time is `max-stall-us`, as it is 500 us in Redis.
const TENACITY_USUAL: i64 = 10;

/// Whether there is room for more data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Below the limit, or there is none.
    Enough,
    /// Above it, and on the way down.
    Running,
    /// So far above it that who adds data has to wait.
    Wait,
    /// Above it, and nothing can be evicted.
    Out,
}

/// The state of eviction.
#[derive(Debug)]
pub struct Eviction {
    /// Whether there is room, as of the last command.
    pub room: Room,
    /// `maxmemory` in bytes; 0 for no limit.
    limit_bytes: usize,
    /// Which keys go, and in what order; `None` where the policy forbids it.
    rule: Option<(Scope, Rank)>,
    samples: usize,
    /// Time of a turn; `u64::MAX` for as much as it takes.
    turn_ticks: u64,
    /// Of that: used.
    spent_ticks: u64,
    paid_ticks_max: u64,
    /// What counts beside databases.
    base_bytes: usize,
    /// What counts beside database `beside`, as of the turn's beginning or the last look.
    others_bytes: usize,
    beside: usize,
    /// The count after the last eviction, at least the limit.
    last_bytes: usize,
    /// The lowest count since the limit was set, at least the limit.
    low_bytes: usize,
    /// Background slices are wanted.
    is_running: bool,
    /// When the limit was exceeded, in ticks, while it is.
    exceeded_at: Option<u64>,
    pool: EvictPool,
    found: Vec<Candidate>,
    key: Vec<u8>,
}

impl Default for Eviction {
    fn default() -> Eviction {
        Eviction {
            room: Room::Enough,
            limit_bytes: 0,
            rule: None,
            samples: 0,
            turn_ticks: 0,
            spent_ticks: 0,
            paid_ticks_max: 0,
            base_bytes: 0,
            others_bytes: 0,
            beside: usize::MAX,
            last_bytes: 0,
            low_bytes: usize::MAX,
            is_running: false,
            exceeded_at: None,
            pool: EvictPool::default(),
            found: Vec::new(),
            key: Vec::new(),
        }
    }
}

impl Eviction {
    /// What counts beside the databases, as last measured.
    pub fn base_bytes(&self) -> usize {
        self.base_bytes
    }
}

/// How long a pass of eviction goes on.
struct Quota {
    /// For anything.
    ticks: u64,
    /// Until what is owed is paid.
    owed_bytes: usize,
    owed_ticks: u64,
}

impl Engine {
    /// Makes room before a command on database `db`, and says in `shared.eviction.room` how that went. True if it
    /// took time worth counting.
    #[inline]
    pub fn make_room(&mut self, db: usize) -> bool {
        let eviction = &self.shared.eviction;
        if eviction.limit_bytes == 0 {
            return false;
        }
        if eviction.room == Room::Enough && eviction.beside == db {
            let own = self.dbs.get(db).map_or(0, Db::used_bytes);
            if eviction.others_bytes + own <= eviction.limit_bytes {
                return false;
            }
        }
        self.make_room_slowly(db)
    }

    /// As `make_room`, for callers that cannot wait: while others would have to, it goes on.
    #[inline]
    pub fn make_room_now(&mut self, db: usize) -> bool {
        let mut has_taken_time = self.make_room(db);
        while self.shared.eviction.room == Room::Wait {
            self.shared.eviction.spent_ticks = 0;
            has_taken_time |= self.make_room(db);
        }
        has_taken_time
    }

    /// What counts against `maxmemory` now. O(databases).
    pub fn counted_bytes(&self) -> usize {
        let data: usize = self.dbs.iter().map(Db::used_bytes).sum();
        self.shared.eviction.base_bytes + data + self.shared.graveyard.bytes()
    }

    /// The beginning of a turn: a new time to spend, and a fresh count.
    #[inline]
    pub(super) fn begin_eviction_turn(&mut self) {
        let eviction = &mut self.shared.eviction;
        if eviction.limit_bytes != 0 {
            eviction.spent_ticks = 0;
            eviction.beside = usize::MAX;
        }
    }

    /// Whether keys are to be evicted between turns.
    pub fn is_evicting(&self) -> bool {
        self.shared.eviction.is_running
    }

    /// One slice of eviction between turns, of about `budget_us` less what the turn's commands have spent.
    pub(super) fn evict_slice(&mut self, budget_us: u64) -> Work {
        if !self.shared.eviction.is_running {
            return Work::Done;
        }
        self.measure_base_once();
        let clock = &self.shared.clock;
        let least = clock.ticks_of(SLICE_US_MIN * 1000);
        let budget = clock.ticks_of(budget_us.saturating_mul(1000));
        let eviction = &self.shared.eviction;
        let ticks = match eviction.turn_ticks {
            u64::MAX => u64::MAX,
            _ => budget.saturating_sub(eviction.spent_ticks).max(least),
        };
        self.run_eviction(Quota { ticks, owed_bytes: 0, owed_ticks: 0 });
        if self.shared.eviction.is_running { Work::Left } else { Work::Done }
    }

    /// Measures what counts beside the databases: all that is allocated but data and clients. O(databases):
    /// to be called some times per second.
    pub(super) fn measure_base(&mut self) {
        // While time stands still, what is evicted depends on the commands alone.
        let is_frozen = self.shared.clock.is_frozen();
        let allocated = crate::base::memory::allocated_bytes();
        if self.shared.eviction.limit_bytes == 0 || allocated == 0 || is_frozen {
            return;
        }
        let data: usize =
            self.dbs.iter().map(|db| db.used_bytes() - db.memory().heap_live_bytes).sum();
        let shared = &mut self.shared;
        let clients = shared.clients.memory.total_bytes();
        let known = data + clients + shared.graveyard.allocated_bytes();
        let startup = shared.startup_memory_bytes;
        // What buffers on their way out still hold is not known, and is no reason to evict either: until they are
        // freed the base does not rise.
        let most = match shared.graveyard.has_garbage() {
            true => shared.eviction.base_bytes.max(startup),
            false => usize::MAX,
        };
        shared.eviction.base_bytes = allocated.saturating_sub(known).max(startup).min(most);
    }

    /// Measures what counts beside the databases where that was never done.
    fn measure_base_once(&mut self) {
        if self.shared.eviction.base_bytes == 0 {
            self.measure_base();
        }
    }

    #[cold]
    fn make_room_slowly(&mut self, db: usize) -> bool {
        self.measure_base_once();
        let counted = self.counted_bytes();
        let own = self.dbs.get(db).map_or(0, Db::used_bytes);
        let eviction = &mut self.shared.eviction;
        (eviction.beside, eviction.others_bytes) = (db, counted - own);
        if counted <= eviction.limit_bytes && eviction.room == Room::Enough {
            let limit = eviction.limit_bytes;
            (eviction.last_bytes, eviction.low_bytes) = (limit, limit);
            return false;
        }
        let grown = counted.saturating_sub(eviction.last_bytes.max(eviction.limit_bytes));
        let ticks = match eviction.turn_ticks {
            u64::MAX => u64::MAX,
            ticks => ticks.saturating_sub(eviction.spent_ticks),
        };
        let owed_ticks = eviction.paid_ticks_max;
        let spent = self.run_eviction(Quota { ticks, owed_bytes: grown * 2, owed_ticks });
        let own = self.dbs.get(db).map_or(0, Db::used_bytes);
        let others_bytes = self.counted_bytes() - own;
        let eviction = &mut self.shared.eviction;
        (eviction.beside, eviction.others_bytes) = (db, others_bytes);
        eviction.spent_ticks = eviction.spent_ticks.saturating_add(spent);
        true
    }

    /// Evicts until there is room or the quota is spent, settles `room`, and gives the ticks it took.
    fn run_eviction(&mut self, quota: Quota) -> u64 {
        if self.shared.is_paused(true) || self.shared.busy.is_some() {
            // Nothing changes while CLIENT PAUSE lasts, or a script runs.
            self.shared.set_room(Room::Enough);
            return 0;
        }
        let started = self.shared.clock.ticks();
        let (now, is_lfu) = (self.shared.clock.unix_ms(), self.shared.is_lfu);
        self.dbs.iter_mut().filter(|db| !db.is_empty()).for_each(|db| db.begin(now, is_lfu));
        let quota = match self.shared.clock.is_frozen() {
            true => Quota { ticks: u64::MAX, ..quota },
            false => quota,
        };
        let before = self.counted_bytes();
        let limit = self.shared.eviction.limit_bytes;
        let mut counted = before;
        let room = loop {
            let mut is_out = false;
            for _ in 0..EVICTIONS_PER_LOOK {
                if counted <= limit || is_out {
                    break;
                }
                match self.free_some() {
                    Some(freed) => counted = counted.saturating_add_signed(-freed),
                    None => is_out = true,
                }
            }
            if counted <= limit {
                break Room::Enough;
            }
            if is_out {
                break Room::Out;
            }
            let elapsed = self.shared.clock.ticks() - started;
            let is_paid = before.saturating_sub(counted) >= quota.owed_bytes;
            if elapsed >= quota.ticks && (is_paid || elapsed >= quota.owed_ticks) {
                break Room::Running;
            }
        };
        let elapsed = self.shared.clock.ticks() - started;
        self.shared.settle_eviction(room, counted, elapsed);
        elapsed
    }

    /// Frees garbage or else evicts a key, and gives the bytes this brought (a key may cost more than it brings:
    /// a table that shrinks). `None`: nothing can be evicted.
    fn free_some(&mut self) -> Option<isize> {
        let waiting = self.shared.graveyard.bytes();
        if waiting > 0 {
            self.shared.graveyard.free_slice(1);
            return Some(waiting as isize - self.shared.graveyard.bytes() as isize);
        }
        if let Some(db) = self.dbs.iter_mut().find(|db| db.has_garbage()) {
            let before = db.used_bytes();
            db.free_garbage(1);
            return Some(before as isize - db.used_bytes() as isize);
        }
        let rule = self.shared.eviction.rule?;
        self.evict_best(rule)
    }

    /// Evicts the best candidate of all databases.
    fn evict_best(&mut self, rule: (Scope, Rank)) -> Option<isize> {
        let Engine { dbs, shared, .. } = self;
        let mut can_evict = false;
        for (index, db) in dbs.iter_mut().enumerate() {
            if db.is_empty() {
                continue;
            }
            let Shared { eviction, random, .. } = &mut *shared;
            let wanted = (eviction.samples, eviction.pool.least());
            can_evict |=
                db.sample(rule, wanted, random.next_u64(), &mut eviction.found) != Sampled::Nothing;
            let pool = &mut eviction.pool;
            eviction.found.drain(..).for_each(|candidate| pool.offer(index, candidate));
        }
        while let Some((index, candidate)) = self.shared.eviction.pool.take_best() {
            if let Some(freed) = self.evict(index, &candidate, rule) {
                return Some(freed);
            }
        }
        can_evict.then_some(0)
    }

    /// Evicts one candidate and gives the bytes it brought; `None` if it is none any more.
    fn evict(&mut self, index: usize, candidate: &Candidate, rule: (Scope, Rank)) -> Option<isize> {
        let shared = &mut self.shared;
        let db = self.dbs.get_mut(index)?;
        let is_timed = shared.thresholds.spike_ticks != u64::MAX;
        let started = if is_timed { shared.clock.ticks() } else { 0 };
        let before = db.used_bytes();
        let mut key = std::mem::take(&mut shared.eviction.key);
        let outcome = db.evict(candidate, rule, &mut key);
        if is_timed {
            let ticks = shared.clock.ticks() - started;
            shared.note_spike("eviction-del", ticks);
        }
        if outcome == Evicted::Yes {
            shared.stats.evicted_keys += 1;
            shared.deleted(Event::Evicted, index, &key);
        }
        shared.eviction.key = key;
        (outcome != Evicted::Stale).then(|| before as isize - db.used_bytes() as isize)
    }
}

impl Shared {
    /// Takes over what the configuration says about memory; to be called after each change of it.
    pub(super) fn configure_eviction(&mut self) {
        let config = &self.config;
        let limit_bytes = usize::try_from(config.size(Opt::Maxmemory)).unwrap_or(usize::MAX);
        let rule = rule_of(config.maxmemory_policy());
        let stall_us = config.size(Opt::MaxStallUs);
        let turn_us = turn_us(config.int(Opt::MaxmemoryEvictionTenacity), stall_us);
        let eviction = &mut self.eviction;
        let samples = config.int(Opt::MaxmemorySamples).clamp(1, SAMPLES_MAX as i64) as usize;
        // The small queue of S3-FIFO holds a twentieth of the keys: to find them takes more samples.
        let is_fifo = rule.is_some_and(|(_, rank)| rank == Rank::Fifo);
        eviction.samples = if is_fifo { samples * FIFO_SAMPLES } else { samples };
        eviction.turn_ticks =
            turn_us.map_or(u64::MAX, |us| self.clock.ticks_of(us.saturating_mul(1000)));
        eviction.paid_ticks_max = self.clock.ticks_of(PAID_NANOS_MAX);
        if rule != eviction.rule {
            eviction.pool.clear();
        }
        if (limit_bytes, rule) != (eviction.limit_bytes, eviction.rule) {
            (eviction.limit_bytes, eviction.rule) = (limit_bytes, rule);
            (eviction.last_bytes, eviction.low_bytes) = (0, usize::MAX);
            eviction.beside = usize::MAX;
            // The first slice finds out whether there is anything to do.
            eviction.is_running = limit_bytes != 0;
            self.set_room(Room::Enough);
            if limit_bytes == 0 {
                // It is measured no more, and would be old when there is a limit again.
                self.eviction.base_bytes = 0;
                self.end_exceeding();
            }
        }
    }

    /// What follows from a pass of eviction.
    fn settle_eviction(&mut self, room: Room, counted: usize, ticks: u64) {
        let now = self.clock.ticks();
        let eviction = &mut self.eviction;
        let limit = eviction.limit_bytes;
        eviction.last_bytes = counted.max(limit);
        eviction.low_bytes = eviction.low_bytes.min(counted).max(limit);
        let overshoot_max = (limit / OVERSHOOT_DIVISOR).max(OVERSHOOT_BYTES_MIN);
        let how = match room {
            Room::Running if counted - eviction.low_bytes > overshoot_max => Room::Wait,
            room => room,
        };
        eviction.is_running = room == Room::Running;
        self.set_room(how);
        let eviction = &mut self.eviction;
        if room == Room::Enough {
            self.end_exceeding();
        } else {
            eviction.exceeded_at.get_or_insert(now);
        }
        self.note_spike("eviction-cycle", ticks);
    }

    fn set_room(&mut self, room: Room) {
        self.eviction.room = room;
        self.restrain(restraint::NO_ROOM, room != Room::Enough);
    }

    fn end_exceeding(&mut self) {
        if let Some(since) = self.eviction.exceeded_at.take() {
            let ticks = self.clock.ticks().saturating_sub(since);
            self.stats.eviction_exceeded_us += self.clock.nanos(ticks) / 1000;
        }
    }

    /// For how long memory has been above the limit, in microseconds; 0 while it is not.
    pub fn exceeding_us(&self) -> u64 {
        let ticks = self.eviction.exceeded_at.map(|since| self.clock.ticks().saturating_sub(since));
        ticks.map_or(0, |ticks| self.clock.nanos(ticks) / 1000)
    }
}

/// Which keys a policy evicts, and in what order.
fn rule_of(policy: MaxmemoryPolicy) -> Option<(Scope, Rank)> {
    match policy {
        MaxmemoryPolicy::VolatileLru => Some((Scope::Volatile, Rank::Idle)),
        MaxmemoryPolicy::VolatileLfu => Some((Scope::Volatile, Rank::Rarity)),
        MaxmemoryPolicy::VolatileRandom => Some((Scope::Volatile, Rank::Chance)),
        MaxmemoryPolicy::VolatileTtl => Some((Scope::Volatile, Rank::Deadline)),
        MaxmemoryPolicy::AllkeysLru => Some((Scope::All, Rank::Idle)),
        MaxmemoryPolicy::AllkeysLfu => Some((Scope::All, Rank::Rarity)),
        MaxmemoryPolicy::AllkeysRandom => Some((Scope::All, Rank::Chance)),
        MaxmemoryPolicy::AllkeysS3Fifo => Some((Scope::All, Rank::Fifo)),
        MaxmemoryPolicy::NoEviction => None,
    }
}

/// The time of a turn in microseconds: up to 10 in proportion, then 15 % more each, at 100 without end (`None`). At
/// the usual stall of 500 us these are Redis's times.
fn turn_us(tenacity: i64, stall_us: u64) -> Option<u64> {
    match tenacity {
        100.. => None,
        ..=TENACITY_USUAL => Some(stall_us * tenacity.max(0) as u64 / TENACITY_USUAL as u64),
        _ => Some((stall_us as f64 * 1.15f64.powf((tenacity - TENACITY_USUAL) as f64)) as u64),
    }
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;
