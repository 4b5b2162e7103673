//! Log lines, in the form that tools which read Redis's logs know:
//!
//! ```text
//! 4711:M 20 Nov 2026 10:52:57.123 * Ready to accept connections
//! ```
//!
//! Levels are Redis's: `debug`, `verbose`, `notice`, `warning`, shown as `.`, `-`, `*` and `#`. They are the
//! `log` crate's debug (and trace), debug, info and warn. Other crates' messages
//! are left out. `RUST_LOG`, where it is set, overrules all of this, and then CONFIG SET loglevel has no effect.
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use crate::base::sys;
use crate::engine::config_choice::LogLevel;

/// Starts logging to `file`, or to standard output where it is `None`. Does nothing if a logger is set already
/// (an embedding program has its own).
pub fn start(level: LogLevel, file: Option<&Path>) -> std::io::Result<()> {
    let mut builder = Builder::new();
    let directives = std::env::var("RUST_LOG").ok();
    match &directives {
        Some(directives) => {
            builder.filter_module("rufous", filter(level)).parse_filters(directives)
        }
        // Lets all of ours through: what is really logged is the process-wide level, which `set_level` changes.
        None => builder.filter_module("rufous", LevelFilter::Trace),
    };
    match file {
        None => builder.target(Target::Stdout),
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path)?;
            builder.target(Target::Pipe(Box::new(opened)))
        }
    };
    let pid = std::process::id();
    builder.format(move |out, record| {
        // A child, which serves a debugged script, signs with its own number.
        let own = std::process::id();
        let role = if own == pid { 'M' } else { 'C' };
        writeln!(out, "{own}:{role} {} {} {}", timestamp(), sign(record.level()), record.args())
    });
    // Fails only where there is a logger, whose level is not ours to change.
    if builder.try_init().is_ok() {
        set_level(level);
    }
    Ok(())
}

/// Changes the level at run time (CONFIG SET loglevel). `RUST_LOG`, where it is set, stays in force.
pub fn set_level(level: LogLevel) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
    }
}

fn sign(level: Level) -> char {
    match level {
        Level::Trace => '.',
        Level::Debug => '-',
        Level::Info => '*',
        Level::Warn | Level::Error => '#',
    }
}

/// `20 Nov 2026 10:52:57.123`, local time.
fn timestamp() -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = std::time::SystemTime::now();
    let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let local = sys::local_time(since_epoch.as_secs() as i64);
    let month = MONTHS.get(local.month as usize).unwrap_or(&"???");
    format!(
        "{:02} {month} {} {:02}:{:02}:{:02}.{:03}",
        local.day,
        local.year,
        local.hour,
        local.minute,
        local.second,
        since_epoch.subsec_millis()
    )
}
