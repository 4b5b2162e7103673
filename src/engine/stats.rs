//! Counters: what INFO, LATENCY HISTOGRAM and CONFIG RESETSTAT read and reset.
use std::collections::BTreeMap;

use crate::base::histogram::Histogram;
use crate::engine::table::CommandId;

/// Counters of one command.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Ticks of the clock's counter it took in all.
    pub ticks: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
    /// Durations; made at its first call while `latency-tracking` is on.
    pub histogram: Option<Box<Histogram>>,
}

/// Most kinds of errors counted apart; beyond them only the total grows, so clients cannot fill memory.
const ERROR_KINDS_MAX: usize = 128;
/// Measurements from which the rates per second are taken (`STATS_METRIC_SAMPLES`).
const RATE_SAMPLES: usize = 16;

/// Counters of the engine.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused at `maxclients`.
    pub connections_rejected: u64,
    /// Commands that ran.
    pub commands_processed: u64,
    /// Bytes received.
    pub net_input_bytes: u64,
    /// Bytes sent.
    pub net_output_bytes: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Error replies by code.
    pub errors: BTreeMap<Box<[u8]>, u64>,
    /// Replies to commands that were executed (INFO `total_reads_processed`): reads from sockets.
    pub reads_processed: u64,
    /// Writes to sockets.
    pub writes_processed: u64,
    /// How often the reply buffer that a client would need became smaller.
    pub reply_buffer_shrinks: u64,
    /// And how often larger.
    pub reply_buffer_expands: u64,
    /// Clients closed for a query buffer above its limit.
    pub query_buffer_disconnections: u64,
    /// Clients closed for an output buffer above its limit.
    pub output_buffer_disconnections: u64,
    /// Changes since the start (`rdb_changes_since_last_save` until snapshots exist).
    pub dirty: u64,
    /// Times the expiry cycle stopped because its budget was spent.
    pub expire_cycle_capped: u64,
    /// CPU time the expiry cycle took, in microseconds.
    pub expire_cycle_us: u64,
    /// Share of dead ones among the keys with a TTL that the expiry cycle saw lately, in per cent.
    pub expired_stale_percent: f64,
    /// Keys evicted because memory was above `maxmemory`.
    pub evicted_keys: u64,
    /// Clients closed because all together held more than `maxmemory-clients`.
    pub evicted_clients: u64,
    /// How long it was above in all, in microseconds, without the time it still is.
    pub eviction_exceeded_us: u64,
    /// Entries moved out of sparse pages of the keyspace.
    pub compaction_moves: u64,
    /// How long that took, in ticks.
    pub compaction_ticks: u64,
    /// Highest `used_memory` seen, in bytes.
    pub peak_memory_bytes: usize,
    /// Processes made for debugged scripts.
    pub forks: u64,
    /// How long making the last of them took, in microseconds.
    pub last_fork_us: u64,
    /// By command id.
    pub commands: Vec<CommandStats>,
    rates: [Rate; 3],
    rate_index: usize,
    rate_time_ms: i64,
}

/// What is measured per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Commands.
    Commands = 0,
    /// Bytes received.
    NetInput = 1,
    /// Bytes sent.
    NetOutput = 2,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    last: u64,
    per_second: [u64; RATE_SAMPLES],
}

impl Stats {
    /// Counters for `commands` commands.
    pub fn new(commands: usize) -> Stats {
        let mut stats = Stats::default();
        stats.commands.resize_with(commands, CommandStats::default);
        stats
    }

    /// Counts a command that ran: `nanos` is how long, where durations are kept.
    #[inline]
    pub fn count_call(&mut self, id: CommandId, ticks: u64, nanos: Option<u64>) {
        self.commands_processed += 1;
        let Some(command) = self.commands.get_mut(id.index()) else { return };
        command.calls += 1;
        command.ticks += ticks;
        if let Some(nanos) = nanos {
            command.histogram.get_or_insert_with(Box::<Histogram>::default).record(nanos);
        }
    }

    /// Counts `calls` runs of a command at once, each of which took `ticks`, or `nanos` where durations are kept.
    #[inline]
    pub fn count_calls(&mut self, id: CommandId, calls: u32, ticks: u64, nanos: Option<u64>) {
        self.commands_processed += u64::from(calls);
        let Some(command) = self.commands.get_mut(id.index()) else { return };
        command.calls += u64::from(calls);
        command.ticks += ticks * u64::from(calls);
        if let Some(nanos) = nanos {
            let histogram = command.histogram.get_or_insert_with(Box::<Histogram>::default);
            histogram.record_many(nanos, calls);
        }
    }

    /// A command that was counted when its client began to wait has ended: `ticks` and `nanos` in all.
    pub fn count_end_of_wait(&mut self, id: CommandId, ticks: u64, nanos: Option<u64>) {
        let Some(command) = self.commands.get_mut(id.index()) else { return };
        command.ticks += ticks;
        if let Some(nanos) = nanos {
            command.histogram.get_or_insert_with(Box::<Histogram>::default).record(nanos);
        }
    }

    /// Counts that a command failed, without an error reply.
    pub fn count_failed(&mut self, id: CommandId) {
        if let Some(command) = self.commands.get_mut(id.index()) {
            command.failed += 1;
        }
    }

    /// Counts that a command which ran answered an error.
    pub fn count_failure(&mut self, id: CommandId, message: &[u8]) {
        self.count_failed(id);
        self.count_error(message);
    }

    /// Counts an error reply by its first word.
    pub fn count_error(&mut self, message: &[u8]) {
        self.error_replies += 1;
        let end = message.iter().position(|&byte| byte == b' ').unwrap_or(message.len());
        let code = &message[..end];
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_KINDS_MAX {
            self.errors.insert(code.into(), 1);
        }
    }

    /// CONFIG RESETSTAT: everything but what describes the present.
    pub fn reset(&mut self) {
        let mut fresh = Stats::new(self.commands.len());
        fresh.dirty = self.dirty;
        fresh.peak_memory_bytes = self.peak_memory_bytes;
        fresh.rate_time_ms = self.rate_time_ms;
        *self = fresh;
    }

    /// Takes a measurement for the rates; to be called about every 100 ms.
    pub fn sample_rates(&mut self, now_ms: i64) {
        let elapsed_ms = (now_ms - self.rate_time_ms).max(1) as u64;
        let is_first = self.rate_time_ms == 0;
        self.rate_time_ms = now_ms;
        let totals = [self.commands_processed, self.net_input_bytes, self.net_output_bytes];
        for (rate, total) in self.rates.iter_mut().zip(totals) {
            let grown = total.saturating_sub(rate.last);
            rate.last = total;
            if !is_first {
                rate.per_second[self.rate_index] = grown * 1000 / elapsed_ms;
            }
        }
        self.rate_index = (self.rate_index + 1) % RATE_SAMPLES;
    }

    /// Mean rate per second over the last 1.6 seconds.
    pub fn rate(&self, metric: Metric) -> u64 {
        self.rates[metric as usize].per_second.iter().sum::<u64>() / RATE_SAMPLES as u64
    }
}
