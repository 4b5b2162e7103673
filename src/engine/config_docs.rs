//! Text about the options, made from the table: the list of `--help` and docs/config.md.

use super::config::Values;
use super::config_spec::{Effect, IMMUTABLE, Kind, Special, Unit, Words};
use super::config_table::{ALL, Opt};
use super::config_value::show;

fn default_of(opt: Opt) -> String {
    let values = Values::defaults("./".into());
    String::from_utf8_lossy(&show(&values, opt)).into_owned()
}

fn range_of(opt: Opt) -> String {
    match opt.spec().kind {
        Kind::Flag(_) => "yes, no".into(),
        Kind::Number { low, high, unit, .. } => {
            let limit = |value: u64| match value {
                u64::MAX => "2^64-1".to_string(),
                value if value == i64::MAX as u64 => "2^63-1".to_string(),
                value if value == u64::from(u32::MAX) => "2^32-1".to_string(),
                value if value == i32::MAX as u64 => "2^31-1".to_string(),
                value => value.to_string(),
            };
            let low = if low == i64::from(i32::MIN) { "-2^31".into() } else { low.to_string() };
            match unit {
                Unit::Plain => format!("{low} to {}", limit(high)),
                Unit::Memory => format!("{low} to {} bytes", limit(high)),
                Unit::MemoryOrPercent => "bytes, or 0% to 100%".into(),
                Unit::Octal => format!("0 to {high:o}, octal"),
            }
        }
        Kind::Text { .. } => "text".into(),
        Kind::Choice { words, many, .. } => {
            let names = names_of(words);
            if many { format!("some of {names}") } else { names }
        }
        Kind::Special(special) => match special {
            Special::Dir => "directory",
            Special::Save => "pairs of numbers",
            Special::OutputLimits => "groups of class, bytes, bytes, seconds",
            Special::OomScores => "three numbers, -2000 to 2000",
            Special::Notify => "letters of KEg$lshzxetdmnA",
            Special::Bind => "up to 16 addresses",
            Special::Listen => "addresses `<dialect>://host:port` or `<dialect>+unix://path`",
            Special::ReplicaOf => "host and port",
            Special::Percentiles => "numbers, 0 to 100",
        }
        .into(),
    }
}

fn names_of(words: Words) -> String {
    words.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The options by section, as `--help` lists them.
pub fn help() -> String {
    let mut out = String::new();
    let mut section = "";
    for opt in ALL {
        let spec = opt.spec();
        if spec.section != section {
            section = spec.section;
            out.push_str(&format!("\n{section}:\n"));
        }
        out.push_str(&format!("  --{:<38} {}\n", spec.name, spec.doc));
        let default = default_of(opt);
        let default = if default.is_empty() { "none".into() } else { default };
        out.push_str(&format!("    {:<38} {}; default {default}", "", range_of(opt)));
        match spec.effect {
            Effect::Now => out.push('\n'),
            Effect::Stored(what) => out.push_str(&format!("; waits for {what}\n")),
            Effect::Moot(why) => out.push_str(&format!("; no effect: {why}\n")),
        }
    }
    out
}

/// The text of docs/config.md.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut section = "";
    for opt in ALL {
        let spec = opt.spec();
        if spec.section != section {
            section = spec.section;
            out.push_str(&format!("\n## {section}\n\n{HEADING}"));
        }
        let alias = spec.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
        let default = default_of(opt);
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let change = if spec.has(IMMUTABLE) { "no" } else { "yes" };
        let effect = match spec.effect {
            Effect::Now => "yes".to_string(),
            Effect::Stored(what) => format!("waits for {what}"),
            Effect::Moot(why) => format!("none: {why}"),
        };
        out.push_str(&format!(
            "| `{}`{alias} | {} | {default} | {change} | {effect} | {} |\n",
            spec.name,
            range_of(opt),
            spec.doc
        ));
    }
    out
}

const INTRODUCTION: &str = "\
# Configuration

Made from `src/engine/config_table.rs` by `UPDATE_DOCS=1 cargo test`; do not edit.

Every directive of Redis 7.0.15 is known, with the same name, range and default, so that an
existing redis.conf loads. The column \"In effect\" says what the server does with it today; at
start-up one line of the log names the options which were set but have no effect.

Options are set in a file (`rufous rufous.conf`), on the command line (`--port 7000`), or at run
time by `CONFIG SET`, where \"Run time\" says yes. Sizes may be written with a unit: `1k` is 1000
bytes, `1kb` 1024, and likewise `m`, `mb`, `g`, `gb`.

A file may also hold `include <path or pattern>`, `rename-command <command> <new name>`,
`user <name> <rules…>` and `loadmodule <path> <arguments…>`.
";

const HEADING: &str = "\
| Option | Values | Default | Run time | In effect | What it does |
|---|---|---|---|---|---|
";
