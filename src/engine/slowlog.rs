//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.
//! <https://redis.io/docs/latest/commands/slowlog/>
use std::collections::VecDeque;

use crate::base::pieces::{Garbage, Progress};
use crate::engine::config::Opt;
use crate::engine::engine::{Shared, Thresholds};
use crate::engine::redact::{REDACTED, is_secret};
use crate::engine::session::{Nesting, Session};
use crate::engine::spec::{Command, flag};
use crate::proto::args::Args;

/// Arguments kept of one command (`SLOWLOG_ENTRY_MAX_ARGC`).
pub const ARGUMENTS_MAX: usize = 32;
/// Bytes kept of one argument (`SLOWLOG_ENTRY_MAX_STRING`).
const ARGUMENT_BYTES_MAX: usize = 128;

/// The address of the client of a script.
const NO_PEER: &str = "?:0";

/// One slow command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counted up, never reused.
    pub id: u64,
    /// When it ran, in seconds since 1970.
    pub unix_seconds: i64,
    /// How long it took.
    pub micros: u64,
    /// Its arguments, shortened.
    pub arguments: Vec<Vec<u8>>,
    /// Address of its client.
    pub peer: String,
    /// Name of its client.
    pub client_name: Vec<u8>,
}

/// The log; newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    id_next: u64,
}

impl SlowLog {
    /// Adds a command (`full_name` as it is declared) and drops what is over `entries_max`.
    pub fn add(
        &mut self,
        full_name: &str,
        args: Args<'_>,
        client: &Session,
        unix_seconds: i64,
        micros: u64,
        entries_max: usize,
    ) {
        // A script's commands are nobody's, as in Redis.
        let is_scripted = client.nesting == Nesting::Script;
        self.entries.push_front(Entry {
            id: self.id_next,
            unix_seconds,
            micros,
            arguments: shortened(full_name, args),
            peer: if is_scripted { NO_PEER.to_owned() } else { client.address.peer() },
            client_name: if is_scripted { Vec::new() } else { client.name.to_vec() },
        });
        self.id_next += 1;
        self.entries.truncate(entries_max);
    }

    /// The newest entries of those older than this one, newest first. O(log n), and O(1) each.
    pub fn older_than(&self, id: u64) -> impl Iterator<Item = &Entry> {
        let newer = self.entries.partition_point(|entry| entry.id >= id);
        self.entries.range(newer..)
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Drops all entries; they are returned to be freed.
    pub fn reset(&mut self) -> Forgotten {
        Forgotten(std::mem::take(&mut self.entries))
    }

    /// Drops what is over `entries_max`.
    pub fn shorten(&mut self, entries_max: usize) {
        self.entries.truncate(entries_max);
    }
}

/// Entries nobody sees any more.
pub struct Forgotten(VecDeque<Entry>);

/// Entries that are as long to free as a megabyte.
const ENTRIES_PER_UNIT: usize = 64;

impl Garbage for Forgotten {
    fn free_slice(&mut self, units: usize) -> Progress {
        let left = self.0.len().saturating_sub(units * ENTRIES_PER_UNIT);
        self.0.truncate(left);
        if left == 0 { Progress::Done } else { Progress::More }
    }
}

impl Shared {
    /// The slow log, for a command that took `ticks`; and time has moved on within the turn, if that was long.
    #[cold]
    pub fn record_slow(
        &mut self,
        session: &Session,
        args: Args<'_>,
        command: &Command,
        ticks: u64,
    ) {
        let Thresholds { slow_ticks, spike_ticks, culprit_ticks, .. } = self.thresholds;
        if ticks < slow_ticks.min(spike_ticks).min(culprit_ticks) {
            return;
        }
        self.clock.refresh();
        let nanos = self.clock.nanos(ticks);
        let unix_seconds = self.clock.unix_ms() / 1000;
        if ticks >= self.thresholds.slow_ticks && command.flags & flag::SKIP_SLOWLOG == 0 {
            let entries_max = self.config.int(Opt::SlowlogMaxLen).max(0) as usize;
            let name = session.last_command.map_or("", |id| self.table.full_name(id));
            self.slowlog.add(name, args, session, unix_seconds, nanos / 1000, entries_max);
        }
    }

    /// The latency monitor, for a command that took `ticks`.
    #[cold]
    pub fn note_command_spike(&mut self, command: &Command, ticks: u64) {
        let is_fast = command.flags & flag::FAST != 0;
        self.note_spike(if is_fast { "fast-command" } else { "command" }, ticks);
    }
}

fn shortened(full_name: &str, args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let show = |index: usize| {
        let argument = args.at(index);
        if is_secret(full_name, args, index) {
            return REDACTED.to_vec();
        }
        match argument.len().checked_sub(ARGUMENT_BYTES_MAX) {
            None | Some(0) => argument.to_vec(),
            Some(more) => {
                let mut text = argument[..ARGUMENT_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text
            }
        }
    };
    let mut list: Vec<Vec<u8>> = (0..kept).map(show).collect();
    if kept < args.len() {
        list.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    list
}
