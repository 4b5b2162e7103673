//! Which keys take the most: what HOTKEYS counts while a session of it is on.
//! <https://redis.io/docs/latest/commands/hotkeys/>
//!
//! Up to three rankings, each a [`TopKeys`] of its own: processor time, bytes on the wire, and how often a key was
//! named. What a command took is divided among its keys in equal parts. A command without keys counts nowhere. Of a
//! script its own keys count, of a transaction the keys of each command in it.
//!
//! Promise: while no session is on nothing is paid: commands come here only through the branch for those that were
//! slow (`Thresholds::least_ticks`), which a session opens for all. A session is bounded: `COUNTERS_PER_KEY`
//! counters for each key it is to show, at most 64 of these, so less than 3 MB per ranking with the longest keys; 53 KB
//! with ten keys of 15 bytes. Cost while it is on, per key and ranking: 40 ns where the same hundred keys come, 120 ns
//! where each of ten million may (20 million additions, CPU time). `SAMPLE` leaves a part of that out.
use crate::base::sys::{CpuOf, CpuTime, cpu_time};
use crate::engine::engine::Shared;
use crate::engine::spec::{Command, KeyUse};
use crate::proto::args::Args;
use crate::types::top_keys::TopKeys;

/// Counters per key that is shown. A key that takes more than one part in `COUNT` × this of all is found for certain:
/// 0.3 % with 10 keys.
const COUNTERS_PER_KEY: usize = 32;

/// Finds the keys of a request; nothing where it is wrong.
pub type KeysOf = fn(&Command, Args<'_>, &mut Vec<KeyUse>);

/// What a session was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotKeyOptions {
    /// Rank by processor time.
    pub by_cpu: bool,
    /// Rank by bytes received and sent.
    pub by_net: bool,
    /// Rank by the number of commands.
    pub by_calls: bool,
    /// Keys to be shown per ranking.
    pub shown: usize,
    /// It ends by itself after so many milliseconds.
    pub duration_ms: Option<i64>,
    /// One command in so many is ranked; at least 1.
    pub sample_ratio: u64,
}

/// A session, under way or ended.
#[derive(Debug)]
pub struct HotKeys {
    options: HotKeyOptions,
    keys_of: KeysOf,
    started_ms: i64,
    /// When it was stopped, or its time was over.
    ended_ms: Option<i64>,
    cpu_before: CpuTime,
    all_ticks: u64,
    all_bytes: u64,
    /// Weights in ticks of the clock's counter.
    cpu: Option<TopKeys>,
    /// Weights in bytes.
    net: Option<TopKeys>,
    calls: Option<TopKeys>,
    /// The keys of one command; kept for its memory.
    found: Vec<KeyUse>,
}

/// What one command took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Time, in ticks of the clock's counter.
    pub ticks: u64,
    /// Bytes of the request and of its reply.
    pub bytes: u64,
}

impl HotKeys {
    /// A session that begins now.
    pub fn new(options: HotKeyOptions, keys_of: KeysOf, now_ms: i64) -> HotKeys {
        let ranking = |is_wanted: bool| {
            is_wanted.then(|| TopKeys::new(options.shown.max(1) * COUNTERS_PER_KEY))
        };
        HotKeys {
            keys_of,
            started_ms: now_ms,
            ended_ms: None,
            cpu_before: cpu_time(CpuOf::Process),
            all_ticks: 0,
            all_bytes: 0,
            cpu: ranking(options.by_cpu),
            net: ranking(options.by_net),
            calls: ranking(options.by_calls),
            found: Vec::new(),
            options,
        }
    }

    /// What it was asked to do.
    pub fn options(&self) -> &HotKeyOptions {
        &self.options
    }

    /// Whether it still counts at this time; the end of its time ends it.
    pub fn is_active(&mut self, now_ms: i64) -> bool {
        if self.ended_ms.is_none()
            && let Some(duration_ms) = self.options.duration_ms
            && now_ms - self.started_ms >= duration_ms
        {
            self.ended_ms = Some(self.started_ms + duration_ms);
        }
        self.ended_ms.is_none()
    }

    /// Ends it; what was counted stays.
    pub fn stop(&mut self, now_ms: i64) {
        if self.is_active(now_ms) {
            self.ended_ms = Some(now_ms);
        }
    }

    /// When it began, in milliseconds since 1970.
    pub fn started_ms(&self) -> i64 {
        self.started_ms
    }

    /// How long it has counted, in milliseconds.
    pub fn duration_ms(&self, now_ms: i64) -> i64 {
        (self.ended_ms.unwrap_or(now_ms) - self.started_ms).max(0)
    }

    /// Processor time of the process since it began.
    pub fn cpu_since(&self) -> CpuTime {
        let now = cpu_time(CpuOf::Process);
        CpuTime {
            user_us: now.user_us.saturating_sub(self.cpu_before.user_us),
            system_us: now.system_us.saturating_sub(self.cpu_before.system_us),
        }
    }

    /// What all commands with keys took together, ranked or not.
    pub fn all(&self) -> Usage {
        Usage { ticks: self.all_ticks, bytes: self.all_bytes }
    }

    /// The ranking by processor time, in ticks.
    pub fn cpu(&self) -> Option<&TopKeys> {
        self.cpu.as_ref()
    }

    /// The ranking by bytes.
    pub fn net(&self) -> Option<&TopKeys> {
        self.net.as_ref()
    }

    /// The ranking by number of commands.
    pub fn calls(&self) -> Option<&TopKeys> {
        self.calls.as_ref()
    }
}

impl Shared {
    /// Begins a session in the place of one that has ended.
    pub fn start_hot_keys(&mut self, session: HotKeys) {
        self.hotkeys = Some(Box::new(session));
        self.set_least_ticks();
    }

    /// Whether a session of HOTKEYS counts now.
    pub fn counts_hot_keys(&mut self) -> bool {
        let now_ms = self.clock.unix_ms();
        self.hotkeys.as_deref_mut().is_some_and(|session| session.is_active(now_ms))
    }

    /// Ends the session, which keeps what it has counted.
    pub fn stop_hot_keys(&mut self) {
        let now_ms = self.clock.unix_ms();
        if let Some(session) = self.hotkeys.as_deref_mut() {
            session.stop(now_ms);
        }
        self.set_least_ticks();
    }

    /// Counts a command that ran, if a session is on. Finding its keys is O(keys).
    #[cold]
    pub fn note_hot_keys(&mut self, command: &Command, args: Args<'_>, usage: Usage) {
        let Shared { hotkeys: Some(session), clock, random, limits, .. } = self else { return };
        if !session.is_active(clock.unix_ms()) {
            return self.set_least_ticks();
        }
        session.found.clear();
        (session.keys_of)(command, args, &mut session.found);
        let keys = session.found.len() as u64;
        if keys == 0 {
            return;
        }
        session.all_ticks += usage.ticks;
        session.all_bytes += usage.bytes;
        let ratio = session.options.sample_ratio;
        if ratio > 1 && random.below(ratio) != 0 {
            return;
        }
        for found in &session.found {
            let key = limits.hasher.key(args.at(found.index));
            let rankings = [
                (&mut session.cpu, usage.ticks / keys),
                (&mut session.net, usage.bytes / keys),
                (&mut session.calls, 1),
            ];
            for (ranking, weight) in rankings {
                if let Some(ranking) = ranking {
                    ranking.add(key, weight);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &Command, _: Args<'_>, _: &mut Vec<KeyUse>) {}

    #[test]
    fn a_session_ends_when_its_time_is_over_or_it_is_stopped() {
        let options = HotKeyOptions { duration_ms: Some(500), ..HotKeyOptions::default() };
        let mut timed = HotKeys::new(options, none, 1_000);
        assert!(timed.is_active(1_499));
        assert_eq!(timed.duration_ms(1_499), 499);
        assert!(!timed.is_active(1_700));
        timed.stop(1_800);
        assert_eq!(timed.duration_ms(2_000), 500);
        let mut endless = HotKeys::new(HotKeyOptions::default(), none, 1_000);
        assert!(endless.is_active(i64::MAX));
        endless.stop(1_300);
        assert!(!endless.is_active(1_300));
        assert_eq!(endless.duration_ms(9_000), 300);
    }
}
