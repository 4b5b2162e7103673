//! What LATENCY GRAPH draws and LATENCY DOCTOR says about the spikes that were recorded.
//!
//! ```text
//! command - high 500 ms, low 300 ms (all time high 500 ms)
//! --------------------------------------------------------------------------------
//!   #
//!  _|
//!  ||
//! _||          one column per spike, oldest first; below it how long ago it was, top down
//!
//! 432
//! sss
//! ```
//!
//! Cost: O(spikes), of which at most 160 per event are kept.
use std::fmt::Write;

use crate::engine::config::Opt;
use crate::engine::engine::Shared;
use crate::engine::latency::{Sample, Series};

const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// How full the top cell of a column is, in thirds.
const FILL: [u8; 3] = *b"_o#";

/// The spikes of one event as columns.
pub(super) fn graph(event: &str, series: &Series, now_seconds: i64) -> String {
    let millis = || series.samples.iter().map(|sample| sample.millis);
    let (low, high) = (millis().min().unwrap_or(0), millis().max().unwrap_or(0));
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.max_ms,
        "-".repeat(COLUMNS)
    );
    let blocks: Vec<String> = series
        .samples
        .chunks(COLUMNS)
        .map(|samples| columns(samples, low, high, now_seconds))
        .collect();
    text.push_str(&blocks.join("\n"));
    text
}

/// A block of at most [`COLUMNS`] columns with their labels below.
fn columns(samples: &[Sample], low: u64, high: u64, now_seconds: i64) -> String {
    let steps = FILL.len() * ROWS;
    let span = (high - low).max(1);
    let levels: Vec<usize> = samples
        .iter()
        .map(|sample| ((sample.millis - low) * steps as u64 / span).min(steps as u64 - 1) as usize)
        .collect();
    let labels: Vec<String> =
        samples.iter().map(|sample| age(now_seconds - sample.unix_seconds)).collect();
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let line = levels.iter().map(|level| match level.checked_sub(row * FILL.len()) {
            None => ' ',
            Some(fill) => FILL.get(fill).map_or('|', |byte| char::from(*byte)),
        });
        text.extend(line);
        text.push('\n');
    }
    text.extend(std::iter::repeat_n(' ', samples.len()));
    text.push('\n');
    for row in 0..labels.iter().map(String::len).max().unwrap_or(0) {
        let letter = |label: &String| label.as_bytes().get(row).map_or(' ', |b| char::from(*b));
        text.extend(labels.iter().map(letter));
        text.push('\n');
    }
    text
}

/// How long ago, in the largest unit that fits.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Figures of one event.
struct Analysis {
    samples: u64,
    average_ms: u64,
    deviation_ms: u64,
    period_seconds: i64,
}

impl Analysis {
    fn of(series: &Series, now_seconds: i64) -> Analysis {
        let samples = series.samples.len() as u64;
        let millis = || series.samples.iter().map(|sample| sample.millis);
        let mean = |sum: u64| sum / samples.max(1);
        let average_ms = mean(millis().sum());
        let deviation_ms = mean(millis().map(|ms| ms.abs_diff(average_ms)).sum());
        let oldest = series.samples.first().map_or(now_seconds, |sample| sample.unix_seconds);
        Analysis {
            samples,
            average_ms,
            deviation_ms,
            period_seconds: (now_seconds - oldest).max(1),
        }
    }
}

/// What to do about the spikes; in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    EnableSlowLog,
    LowerSlowLogThreshold,
    ReadSlowLog,
    GiveProcessorTime,
    SplitLargeValues,
    AvoidMassExpiry,
}

/// A report for people.
pub(super) fn doctor(shared: &Shared, now_seconds: i64) -> String {
    let threshold_ms = shared.config.int(Opt::LatencyMonitorThreshold);
    let events = shared.latency.events();
    if events.len() == 0 {
        return if threshold_ms == 0 {
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. \
             You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable \
             it. If we weren't in a deep space mission I'd suggest to take a look at \
             https://redis.io/topics/latency-monitor.\n"
        } else {
            "Dave, no latency spike was observed during the lifetime of this Redis instance, not in \
             the slightest bit. I honestly think you ought to sit down calmly, take a stress pill, and \
             think things over.\n"
        }
        .to_owned();
    }
    let mut report = String::from(
        "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, \
         do you Dave?\n\n",
    );
    let mut advices = Vec::new();
    for (index, (event, series)) in events.enumerate() {
        let figures = Analysis::of(series, now_seconds);
        let _ = writeln!(
            report,
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). \
             Worst all time event {}ms.",
            index + 1,
            figures.samples,
            figures.average_ms,
            figures.deviation_ms,
            figures.period_seconds as f64 / figures.samples.max(1) as f64,
            series.max_ms,
        );
        advices.extend(advices_for(event, shared));
    }
    write_advices(&mut report, &advices, threshold_ms);
    report
}

fn advices_for(event: &str, shared: &Shared) -> Vec<Advice> {
    match event {
        "command" => {
            let slower_than_us = shared.config.int(Opt::SlowlogLogSlowerThan);
            let threshold_ms = shared.config.int(Opt::LatencyMonitorThreshold);
            let first = if slower_than_us < 0 {
                Some(Advice::EnableSlowLog)
            } else {
                (slower_than_us / 1000 > threshold_ms).then_some(Advice::LowerSlowLogThreshold)
            };
            first.into_iter().chain([Advice::ReadSlowLog, Advice::SplitLargeValues]).collect()
        }
        "fast-command" => vec![Advice::GiveProcessorTime],
        "expire-cycle" => vec![Advice::AvoidMassExpiry],
        _ => Vec::new(),
    }
}

fn write_advices(report: &mut String, advices: &[Advice], threshold_ms: i64) {
    if advices.is_empty() {
        report.push_str("\nThere is nothing known that would help against these events.\n");
        return;
    }
    report.push_str("\nI have a few advices for you:\n\n");
    let threshold_us = threshold_ms.saturating_mul(1000);
    for advice in advices {
        let text = match advice {
            Advice::EnableSlowLog => format!(
                "The slow log is off, so nobody knows which commands were slow. Switch it on with \
                 'CONFIG SET slowlog-log-slower-than {threshold_us}'."
            ),
            Advice::LowerSlowLogThreshold => format!(
                "The slow log records only commands slower than those which count as spikes here. Use \
                 'CONFIG SET slowlog-log-slower-than {threshold_us}'."
            ),
            Advice::ReadSlowLog => {
                "Look into the slow log (SLOWLOG GET) for the commands that take long.".to_owned()
            }
            Advice::GiveProcessorTime => {
                "Commands that are never slow were slow: the process did not \
                 get the processor. Lower the load of this machine, look for noisy neighbours, and \
                 measure it with 'redis-cli --intrinsic-latency 100'."
                    .to_owned()
            }
            Advice::SplitLargeValues => {
                "A command takes as long as the value it works on is large. \
                 Split very large values into several smaller ones."
                    .to_owned()
            }
            Advice::AvoidMassExpiry => {
                "Many keys die at the same moment. Spread their TTLs a little.".to_owned()
            }
        };
        let _ = writeln!(report, "- {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(millis: &[u64]) -> Series {
        let samples = millis
            .iter()
            .enumerate()
            .map(|(at, &millis)| Sample { unix_seconds: 100 + at as i64, millis });
        Series { samples: samples.collect(), max_ms: 900 }
    }

    /// The picture was taken from Redis 7.0.15.
    #[test]
    fn a_graph_has_a_column_per_spike() {
        let text = graph("command", &series(&[300, 400, 500]), 104);
        let expected = format!(
            "command - high 500 ms, low 300 ms (all time high 900 ms)\n{}\n  #\n _|\n ||\n_||\n   \n432\nsss\n",
            "-".repeat(80)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn equal_spikes_lie_flat_and_long_series_are_folded() {
        let text = graph("x", &series(&[5; 81]), 200);
        assert_eq!(text.lines().filter(|line| line.contains('_')).count(), 2);
        assert!(text.lines().nth(5).is_some_and(|line| line == "_".repeat(80)));
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!(
            [0, 59, 60, 3599, 3600, 86_400].map(age),
            ["0s", "59s", "1m", "59m", "1h", "1d"]
        );
    }
}
