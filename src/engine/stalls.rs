//! The stall ledger: where the time of the loop goes, and who was to blame when a turn took too long.
//!
//! A turn is timed phase by phase, from the moment the poll returns; waiting is no phase. Each phase has a histogram
//! over the turns in which it ran, and so have whole turns (INFO `loop`, STALLS HISTOGRAM). A turn above
//! `stall-log-slower-than-us` gets an entry (STALLS GET): the longest phase, the longest command, and how many
//! clients waited, which is known once the next poll has said who became ready meanwhile.
//!
//! ```text
//! begin_turn ─ end_phase(Events) ─ … ─ end_phase(Flush) ─ end_turn        over the threshold: an open entry
//! begin_turn ─ end_phase(Events) ─ close_stall(clients ready)             the entry is complete, and logged
//! ```
//!
//! Promise: the histogram of turns counts every turn. Cost: a read of the processor's counter per phase and some
//! 3 ns per phase at the end of a turn; nothing per command, for a long one shares the comparison of the slow log.
use std::collections::VecDeque;

use crate::base::clock::Clock;
use crate::base::histogram::Histogram;
use crate::base::probes;
use crate::engine::config::Opt;
use crate::engine::engine::Shared;
use crate::engine::redact::{REDACTED, is_secret};
use crate::engine::session::Session;
use crate::engine::table::CommandId;
use crate::proto::args::Args;

/// Entries kept; older ones go.
const ENTRIES_MAX: usize = 128;
/// Bytes kept of a key.
const KEY_BYTES_MAX: usize = 128;
/// A command is noted from this share of the threshold on: less of a turn would explain little.
const SHARE_OF_CULPRITS: u64 = 4;
/// A turn is worth a line in the log from this many budgets on.
const BUDGETS_OF_WARNING: u64 = 10;
/// Least time between two lines in the log, in nanoseconds.
const LOG_PAUSE_NANOS: u64 = 1_000_000_000;

macro_rules! phases {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What a turn consists of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Phase { $($(#[$doc])* $variant,)* }

        impl Phase {
            /// All, in the order of a turn.
            pub const ALL: &[Phase] = &[$(Phase::$variant,)*];

            /// Its name in replies, INFO and the log.
            pub fn name(self) -> &'static str {
                match self { $(Phase::$variant => $name,)* }
            }
        }
    };
}

phases! {
    /// What the poll has returned is sorted.
    Events "events",
    /// New connections are accepted.
    Accept "accept",
    /// Requests are received and parsed.
    Read "read",
    /// Commands run.
    Execute "execute",
    /// Replies are sent, connections closed.
    Flush "flush",
    /// What is due by the clock.
    Timers "timers",
    /// Long commands go on, a slice at a time.
    Jobs "jobs",
    /// Keys whose time has come are deleted.
    Expiry "expiry",
    /// Freeing and compaction.
    Background "background",
}

const PHASES: usize = Phase::ALL.len();

/// Durations of one phase, or of whole turns.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// How they are distributed; its count is that of the turns.
    pub histogram: Histogram,
    /// All together, in nanoseconds.
    pub nanos_total: u64,
    /// The longest, in nanoseconds.
    pub nanos_max: u64,
}

impl Durations {
    #[inline]
    fn record(&mut self, nanos: u64) {
        self.histogram.record(nanos);
        self.nanos_total += nanos;
        self.nanos_max = self.nanos_max.max(nanos);
    }
}

/// A command that took a good part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// Its full name: `get`, `config|set`.
    pub command: &'static str,
    /// Its first key, shortened; empty where it has none.
    pub key: Vec<u8>,
    /// How long it took, in ticks.
    pub ticks: u64,
    /// Address of its client.
    pub peer: String,
    /// Name of its client.
    pub client_name: Vec<u8>,
}

/// A turn above the threshold.
#[derive(Clone, Debug)]
pub struct Stall {
    /// Counted up, never reused.
    pub id: u64,
    /// Wall time of the beginning of the turn, in milliseconds since 1970.
    pub unix_ms: i64,
    /// How long it took, without waiting.
    pub turn_us: u64,
    /// Its longest phase.
    pub phase: Phase,
    /// How long that took.
    pub phase_us: u64,
    /// Its longest command, if one took a good part of it.
    pub culprit: Option<Culprit>,
    /// How long that took.
    pub command_us: u64,
    /// Connections that had sent something when the turn was over.
    pub clients_waiting: usize,
}

/// The turn that runs, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Stopwatch {
    started: u64,
    /// When the last phase ended.
    lap: u64,
    spent: [u64; PHASES],
}

impl Stopwatch {
    #[inline]
    fn begin(now: u64) -> Stopwatch {
        Stopwatch { started: now, lap: now, spent: [0; PHASES] }
    }

    /// Since the last phase ended it was `phase`; how long, in ticks.
    #[inline]
    fn end(&mut self, phase: Phase, now: u64) -> u64 {
        // The counters of two processors may differ by a little.
        let ticks = now.saturating_sub(self.lap);
        self.lap = now;
        self.spent[phase as usize] += ticks;
        ticks
    }
}

/// What is known about the turns of the loop.
#[derive(Debug)]
pub struct Stalls {
    watch: Stopwatch,
    /// Of the turn that runs.
    culprit: Option<Culprit>,
    /// Newest first.
    entries: VecDeque<Stall>,
    id_next: u64,
    /// Turns above the threshold, since the last reset.
    count: u64,
    /// The newest entry does not know yet who waited.
    is_open: bool,
    /// Of each phase; 3 KiB each, so they are apart.
    phases: Vec<Durations>,
    turns: Box<Durations>,
    /// When the log last spoke of a turn, in ticks.
    logged_at: Option<u64>,
    /// Turns it was silent about since.
    unlogged: u64,
}

impl Default for Stalls {
    fn default() -> Stalls {
        Stalls {
            watch: Stopwatch::default(),
            culprit: None,
            entries: VecDeque::new(),
            id_next: 0,
            count: 0,
            is_open: false,
            phases: vec![Durations::default(); PHASES],
            turns: Box::default(),
            logged_at: None,
            unlogged: 0,
        }
    }
}

impl Stalls {
    /// A turn begins at `now`, in ticks.
    #[inline]
    pub fn begin_turn(&mut self, now: u64) {
        self.watch = Stopwatch::begin(now);
        probes::turn_begin();
    }

    /// All since the last phase ended was `phase`. A phase may end several times in a turn.
    #[inline]
    pub fn end_phase(&mut self, phase: Phase, clock: &Clock) {
        let ticks = self.watch.end(phase, clock.ticks());
        probes::phase_end(phase as usize, || clock.nanos(ticks));
    }

    /// The turn is over: it ended with its last phase. Says how long it took, in ticks.
    #[inline]
    fn count_turn(&mut self, clock: &Clock) -> u64 {
        for (durations, &ticks) in self.phases.iter_mut().zip(&self.watch.spent) {
            if ticks != 0 {
                durations.record(clock.nanos(ticks));
            }
        }
        let ticks = self.watch.lap.saturating_sub(self.watch.started);
        let nanos = clock.nanos(ticks);
        self.turns.record(nanos);
        probes::turn_end(nanos);
        ticks
    }

    /// Whether the last turn was above the threshold, and is not complete before the next poll.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Stall> {
        self.entries.iter()
    }

    /// Turns above the threshold.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whole turns.
    pub fn turns(&self) -> &Durations {
        &self.turns
    }

    /// A phase, over the turns in which it ran.
    pub fn phase(&self, phase: Phase) -> &Durations {
        &self.phases[phase as usize]
    }

    /// STALLS RESET: forgets entries and durations.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.is_open = false;
        self.reset_durations();
    }

    /// CONFIG RESETSTAT: forgets durations.
    pub fn reset_durations(&mut self) {
        self.count = 0;
        self.phases.fill(Durations::default());
        *self.turns = Durations::default();
    }

    fn longest_phase(&self) -> (Phase, u64) {
        let spent = Phase::ALL.iter().copied().zip(self.watch.spent);
        spent.max_by_key(|&(_, ticks)| ticks).unwrap_or((Phase::Execute, 0))
    }
}

/// Ticks from which on turns are recorded and commands noted, of a threshold in microseconds.
pub(super) fn thresholds(clock: &Clock, threshold_us: u64) -> (u64, u64) {
    let nanos = threshold_us.saturating_mul(1000);
    (clock.ticks_of(nanos), clock.ticks_of(nanos / SHARE_OF_CULPRITS))
}

impl Shared {
    /// A phase of the turn is over.
    #[inline]
    pub fn end_phase(&mut self, phase: Phase) {
        self.stalls.end_phase(phase, &self.clock);
    }

    /// The turn is over; the last phase has just ended.
    #[inline]
    pub fn end_turn(&mut self) {
        let ticks = self.stalls.count_turn(&self.clock);
        if ticks > self.thresholds.stall_ticks {
            self.open_stall(ticks);
        }
        if self.stalls.culprit.is_some() {
            self.stalls.culprit = None;
        }
    }

    /// Remembers the longest of the long commands of a turn, or slices of jobs. Free to be called for short ones.
    #[cold]
    pub fn note_culprit(&mut self, client: &Session, id: CommandId, args: Args<'_>, ticks: u64) {
        let is_known = |culprit: &Culprit| culprit.ticks >= ticks;
        if ticks < self.thresholds.culprit_ticks
            || self.stalls.culprit.as_ref().is_some_and(is_known)
        {
            return;
        }
        self.stalls.culprit = Some(Culprit {
            command: self.table.full_name(id),
            key: self.shown_key(id, args),
            ticks,
            peer: client.address.peer(),
            client_name: client.name.to_vec(),
        });
    }

    /// The first key of a request, as the ledger shows it.
    fn shown_key(&self, id: CommandId, args: Args<'_>) -> Vec<u8> {
        let found = self.table.found(id);
        let mut index = usize::from(found.first_key);
        if let (0, Some(find)) = (index, found.command.find_keys) {
            find(args, &mut |keys| {
                if index == 0 && !keys.indices.is_empty() {
                    index = keys.indices.start;
                }
            });
        }
        if index == 0 {
            return Vec::new();
        }
        if is_secret(self.table.full_name(id), args, index) {
            return REDACTED.to_vec();
        }
        let key = args.at(index);
        key[..key.len().min(KEY_BYTES_MAX)].to_vec()
    }

    #[cold]
    fn open_stall(&mut self, ticks: u64) {
        let (phase, phase_ticks) = self.stalls.longest_phase();
        let micros = |ticks: u64| self.clock.nanos(ticks) / 1000;
        let culprit = self.stalls.culprit.take();
        let stall = Stall {
            id: self.stalls.id_next,
            unix_ms: self.clock.unix_ms(),
            turn_us: micros(ticks),
            phase,
            phase_us: micros(phase_ticks),
            command_us: culprit.as_ref().map_or(0, |culprit| micros(culprit.ticks)),
            culprit,
            clients_waiting: 0,
        };
        let stalls = &mut self.stalls;
        stalls.id_next += 1;
        stalls.count += 1;
        stalls.entries.truncate(ENTRIES_MAX - 1);
        stalls.entries.push_front(stall);
        stalls.is_open = true;
    }

    /// Completes the entry of the last turn: when it was over, this many connections had sent something.
    #[cold]
    pub fn close_stall(&mut self, clients_waiting: usize) {
        self.stalls.is_open = false;
        let Some(stall) = self.stalls.entries.front_mut() else { return };
        stall.clients_waiting = clients_waiting;
        probes::stall(stall.phase as usize, stall.turn_us, clients_waiting);
        self.log_stall();
    }

    /// A line for the worst turns, at most one per second.
    fn log_stall(&mut self) {
        let Some(stall) = self.stalls.entries.front() else { return };
        let budget_us = self.config.size(Opt::MaxStallUs);
        if stall.turn_us <= budget_us.saturating_mul(BUDGETS_OF_WARNING) {
            return;
        }
        let now = self.clock.ticks();
        let pause = self.clock.ticks_of(LOG_PAUSE_NANOS);
        if self.stalls.logged_at.is_some_and(|at| now.saturating_sub(at) < pause) {
            self.stalls.unlogged += 1;
            return;
        }
        let line = describe(stall, budget_us, self.stalls.unlogged);
        log::warn!("{line}");
        self.stalls.logged_at = Some(now);
        self.stalls.unlogged = 0;
    }
}

/// The line in the log. It tells no key: logs are read by more people than STALLS.
fn describe(stall: &Stall, budget_us: u64, unlogged: u64) -> String {
    use std::fmt::Write;
    let millis = |us: u64| us as f64 / 1000.0;
    let mut line = format!(
        "A turn of the loop took {:.1} ms (the budget is {budget_us} us), {} {:.1} ms of it",
        millis(stall.turn_us),
        stall.phase.name(),
        millis(stall.phase_us),
    );
    if let Some(culprit) = &stall.culprit {
        let took = millis(stall.command_us);
        let _ = write!(line, "; its longest command was {} with {took:.1} ms", culprit.command);
    }
    let _ = write!(line, "; clients waiting: {}. See STALLS GET.", stall.clients_waiting);
    if unlogged > 0 {
        let _ = write!(line, " As long since the last such line: {unlogged}.");
    }
    line
}

#[cfg(test)]
#[path = "stalls_tests.rs"]
mod tests;
