//! The latency monitor: spikes per event, as LATENCY LATEST, HISTORY, GRAPH and DOCTOR show them.
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/>
use std::collections::BTreeMap;

use crate::engine::engine::Shared;

/// Spikes kept per event (`LATENCY_TS_LEN`).
pub const SAMPLES_MAX: usize = 160;

/// One spike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub unix_seconds: i64,
    /// How long, in milliseconds.
    pub millis: u64,
}

/// The spikes of one event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Oldest first, at most one per second (the worst of it).
    pub samples: Vec<Sample>,
    /// The worst ever, in milliseconds.
    pub max_ms: u64,
}

/// All events that had spikes.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, Series>,
}

impl LatencyMonitor {
    /// Records a spike; within one second only the worst stays.
    pub fn add(&mut self, event: &'static str, millis: u64, unix_seconds: i64) {
        let series = self.events.entry(event).or_default();
        series.max_ms = series.max_ms.max(millis);
        if let Some(last) = series.samples.last_mut()
            && last.unix_seconds == unix_seconds
        {
            last.millis = last.millis.max(millis);
            return;
        }
        if series.samples.len() == SAMPLES_MAX {
            series.samples.remove(0);
        }
        series.samples.push(Sample { unix_seconds, millis });
    }

    /// The events and their spikes.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(name, series)| (*name, series))
    }

    /// The spikes of one event.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, &Series)> {
        self.events().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Forgets one event; says whether it was known.
    pub fn reset(&mut self, name: &[u8]) -> bool {
        let known = self.event(name).map(|(known, _)| known);
        known.is_some_and(|known| self.events.remove(known).is_some())
    }

    /// Forgets all events; says how many there were.
    pub fn reset_all(&mut self) -> usize {
        let count = self.events.len();
        self.events.clear();
        count
    }
}

impl Shared {
    /// Records how long something took, if it was a spike: at least `latency-monitor-threshold`.
    pub fn note_spike(&mut self, event: &'static str, ticks: u64) {
        if ticks >= self.thresholds.spike_ticks {
            let millis = self.clock.nanos(ticks) / 1_000_000;
            self.latency.add(event, millis, self.clock.unix_ms() / 1000);
        }
    }
}
