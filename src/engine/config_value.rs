//! Text to value and back, for every kind of option, with Redis's reasons for refusal.
//!
//! `assign` checks all words of a value before it changes anything, so a refused value leaves the
//! old one, except that CONFIG SET with several pairs has to take back the pairs before it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::config::{OutputLimit, OutputLimits, Primary, SavePoint, Values};
use super::config_choice::{SHUTDOWN_NOSAVE, SHUTDOWN_SAVE};
use super::config_notify as notify;
use super::config_spec::{Kind, Special, Unit, VOLATILE, Words};
use super::config_table::Opt;
use crate::base::memory_limit::memory_limit;
use crate::base::number::{parse_f64, parse_i64, parse_memory};
use crate::engine::listen::ListenAddress;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A file or the arguments, before any `save` line.
    FirstLine,
    /// A file or the arguments, after a `save` line.
    NextLine,
    /// CONFIG SET.
    Runtime,
}

/// How many addresses `bind` takes.
const BIND_LIMIT: usize = 16;
/// What `hz` is brought into, whatever was asked for.
const HZ_RANGE: (i64, i64) = (1, 500);

/// The bytes of the configuration as a path.
pub(super) fn path_of(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text))
}

/// The system's words for an error, without the number that Rust adds.
pub fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// Sets `opt` from the words of its value. `Ok` tells whether it counts as a change.
pub(super) fn assign(
    values: &mut Values,
    opt: Opt,
    words: &[&[u8]],
    source: Source,
) -> Result<bool, String> {
    let spec = opt.spec();
    let first = words.first().copied().unwrap_or_default();
    let int = match spec.kind {
        Kind::Flag(_) => i64::from(parse_flag(first)?),
        Kind::Number { .. } => {
            let value = match share_of_memory(opt, first)? {
                Some(bytes) => bytes,
                None => parse_number(spec.kind, first)?,
            };
            if opt == Opt::Hz { value.clamp(HZ_RANGE.0, HZ_RANGE.1) } else { value }
        }
        Kind::Choice { words: known, many, .. } => parse_choice(known, many, words)?,
        Kind::Text { default, binary, check } => {
            let value = if binary { first } else { c_string(first) };
            check.map_or(Ok(()), |check| check(value))?;
            let new = (default.is_some() || !value.is_empty()).then(|| value.into());
            let slot = &mut values.texts[opt as usize];
            let changed = *slot != new || spec.has(VOLATILE);
            *slot = new;
            return Ok(changed);
        }
        Kind::Special(special) => return assign_special(values, special, words, source),
    };
    let slot = &mut values.ints[opt as usize];
    let changed = *slot != int || spec.has(VOLATILE);
    *slot = int;
    Ok(changed)
}

/// What C sees of a text: it ends at the first zero byte.
pub(super) fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn parse_flag(text: &[u8]) -> Result<bool, String> {
    if text.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".into())
    }
}

/// Choices that Redis 7.0 does not have.
const OUR_CHOICES: &[&str] = &["allkeys-s3fifo"];

fn parse_choice(known: Words, many: bool, words: &[&[u8]]) -> Result<i64, String> {
    let find = |word: &&[u8]| {
        known.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|pair| pair.1)
    };
    let fits = !words.is_empty() && (many || words.len() == 1);
    let values: Option<Vec<i64>> = words.iter().map(find).collect();
    let Some(values) = values.filter(|_| fits) else {
        // In Redis's words, which know nothing of what we add to its choices.
        let names = known.iter().map(|(name, _)| *name).filter(|name| !OUR_CHOICES.contains(name));
        let names: Vec<&str> = names.collect();
        return Err(format!("argument(s) must be one of the following: {}", names.join(", ")));
    };
    let value = values.iter().fold(0, |bits, value| bits | value);
    if many && value & SHUTDOWN_SAVE != 0 && value & SHUTDOWN_NOSAVE != 0 {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(value)
}

/// `maxmemory 75%`: of what this process may take, in bytes, as CONFIG GET and CONFIG REWRITE show it from then on.
fn share_of_memory(opt: Opt, text: &[u8]) -> Result<Option<i64>, String> {
    let Some(digits) = text.strip_suffix(b"%").filter(|_| opt == Opt::Maxmemory) else {
        return Ok(None);
    };
    let percent = parse_i64(digits).filter(|percent| (1..=100).contains(percent));
    let percent = percent.ok_or("percentage argument must be between 1 and 100")?;
    let limit = memory_limit(Path::new("/")).ok_or("the memory of this machine is not known")?;
    Ok(Some((i128::from(limit) * i128::from(percent) / 100) as i64))
}

/// Reads a number of a `Kind::Number` and checks its range.
fn parse_number(kind: Kind, text: &[u8]) -> Result<i64, String> {
    let Kind::Number { low, high, unit, unsigned, .. } = kind else { return Ok(0) };
    let memory = || parse_memory(text).map(|bytes| bytes as i64);
    let percent = || {
        let digits = text.strip_suffix(b"%")?;
        parse_i64(digits).filter(|&percent| percent >= 0).map(|percent| -percent)
    };
    let value = match unit {
        Unit::Plain => parse_i64(text).ok_or("argument couldn't be parsed into an integer")?,
        Unit::Memory => memory().ok_or("argument must be a memory value")?,
        Unit::MemoryOrPercent => {
            memory().or_else(percent).ok_or("argument must be a memory or percent value")?
        }
        Unit::Octal => parse_octal(text).ok_or("argument couldn't be parsed as an octal number")?,
    };
    let inside = match unsigned {
        true => (low as u64..=high).contains(&(value as u64)),
        false if unit == Unit::MemoryOrPercent && value < 0 => {
            if value < low {
                return Err(format!("percentage argument must be less or equal to {}", -low));
            }
            true
        }
        false => (low..=high as i64).contains(&value),
    };
    if inside {
        Ok(value)
    } else if unit == Unit::Octal {
        Err(format!("argument must be between {low:o} and {high:o} inclusive"))
    } else {
        Err(format!("argument must be between {low} and {high} inclusive"))
    }
}

/// C `strtoll` in base 8, on the whole text.
fn parse_octal(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok() }
}

/// C `strtoll` in base 10 on the whole text: blanks in front and a sign are allowed, the empty
/// text is 0, too large numbers saturate.
fn parse_loose(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    if text.is_empty() {
        return Some(0);
    }
    match text.parse::<i128>() {
        Ok(value) => Some(value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64),
        Err(_) => None,
    }
}

fn assign_special(
    values: &mut Values,
    special: Special,
    words: &[&[u8]],
    source: Source,
) -> Result<bool, String> {
    match special {
        Special::Dir => values.dir = parse_dir(&values.dir, one(words)?)?,
        Special::Save => {
            let points = parse_save(words)?;
            let clear = words == [b""] || source != Source::NextLine;
            if clear {
                values.save.clear();
            }
            values.save.extend(points);
        }
        Special::OutputLimits => values.limits = parse_limits(values.limits, words)?,
        Special::OomScores => {
            let scores = parse_scores(words)?;
            let changed = values.oom_scores != scores;
            values.oom_scores = scores;
            return Ok(changed);
        }
        Special::Notify => {
            let bits = notify::parse(one(words)?)
                .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
            values.ints[Opt::NotifyKeyspaceEvents as usize] = i64::from(bits);
        }
        Special::Bind => {
            if words.len() > BIND_LIMIT {
                return Err("Too many bind addresses specified.".into());
            }
            let words = if words == [b""] { &[] } else { words };
            values.bind = words.iter().map(|word| c_string(word).into()).collect();
        }
        Special::Listen => {
            // Each line adds to those before; nothing else sets it.
            let words = if words == [b""] { &[] } else { words };
            for word in words {
                let text = std::str::from_utf8(word).map_err(|_| "Invalid listen address")?;
                ListenAddress::parse(text)?;
            }
            values.listen.extend(words.iter().map(|word| Box::from(*word)));
        }
        Special::ReplicaOf => values.primary = parse_primary(words)?,
        Special::Percentiles => values.percentiles = parse_percentiles(words)?,
    }
    Ok(true)
}

fn one<'a>(words: &[&'a [u8]]) -> Result<&'a [u8], String> {
    match words {
        [only] => Ok(only),
        _ => Err("wrong number of arguments".into()),
    }
}

/// The directory `text` as seen from `dir`, absolute; it has to exist and be enterable.
fn parse_dir(dir: &Path, text: &[u8]) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("No such file or directory".into());
    }
    let check = || {
        let path = dir.join(path_of(text)).canonicalize()?;
        std::fs::metadata(path.join("."))?;
        Ok(path)
    };
    check().map_err(|error| os_reason(&error))
}

fn parse_save(words: &[&[u8]]) -> Result<Vec<SavePoint>, String> {
    let words = if words == [b""] { &[] } else { words };
    let (pairs, rest) = words.as_chunks::<2>();
    let point = |pair: &[&[u8]; 2]| {
        let seconds = parse_loose(pair[0]).filter(|&seconds| seconds >= 1)?;
        let changes = parse_loose(pair[1]).filter(|&changes| changes >= 0)?;
        // DIFFERS: Redis wraps a count beyond 31 bits to a negative one, which it would refuse to read.
        Some(SavePoint { seconds, changes: i32::try_from(changes).unwrap_or(i32::MAX) })
    };
    let points: Option<Vec<SavePoint>> = pairs.iter().map(point).collect();
    points.filter(|_| rest.is_empty()).ok_or_else(|| "Invalid save parameters".into())
}

fn parse_limits(mut limits: OutputLimits, words: &[&[u8]]) -> Result<OutputLimits, String> {
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for [class, hard, soft, seconds] in groups {
        let slot = match class.to_ascii_lowercase().as_slice() {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => {
                return Err("Invalid client class specified in buffer limit configuration.".into());
            }
        };
        let seconds = parse_loose(seconds).map(|seconds| seconds as i32).filter(|&s| s >= 0);
        let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) =
            (parse_memory(hard), parse_memory(soft), seconds)
        else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit \
                        configuration."
                .into());
        };
        *slot = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
    }
    Ok(limits)
}

fn parse_scores(words: &[&[u8]]) -> Result<[i32; 3], String> {
    let Ok(words) = <[&[u8]; 3]>::try_from(words) else {
        return Err("wrong number of arguments".into());
    };
    let mut scores = [0; 3];
    for (score, word) in scores.iter_mut().zip(words) {
        let value = parse_loose(word).filter(|value| (-2000..=2000).contains(value));
        *score = value
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?
            as i32;
    }
    Ok(scores)
}

fn parse_primary(words: &[&[u8]]) -> Result<Option<Primary>, String> {
    let [host, port] = words else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(None);
    }
    let port = parse_loose(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or("Invalid master port")?;
    Ok(Some(Primary { host: (*host).into(), port }))
}

fn parse_percentiles(words: &[&[u8]]) -> Result<Vec<f64>, String> {
    let words = if words == [b""] { &[] } else { words };
    let parse = |word: &&[u8]| match parse_f64(word) {
        None => Err("Invalid latency-tracking-info-percentiles parameters".into()),
        Some(value) if (0.0..=100.0).contains(&value) => Ok(value),
        Some(_) => Err("latency-tracking-info-percentiles parameters should sit between \
                        [0.0,100.0]"
            .into()),
    };
    words.iter().map(parse).collect()
}

/// The value of `opt` as CONFIG GET shows it.
pub(super) fn show(values: &Values, opt: Opt) -> Vec<u8> {
    let int = values.ints[opt as usize];
    match opt.spec().kind {
        Kind::Flag(_) => if int != 0 { "yes" } else { "no" }.into(),
        Kind::Number { unit: Unit::MemoryOrPercent, .. } if int < 0 => {
            format!("{}%", int.unsigned_abs()).into()
        }
        Kind::Number { unit: Unit::Memory | Unit::MemoryOrPercent, .. } => {
            (int as u64).to_string().into()
        }
        Kind::Number { unit: Unit::Octal, .. } => format!("{int:o}").into(),
        Kind::Number { unit: Unit::Plain, .. } => int.to_string().into(),
        Kind::Choice { words, many, .. } => choice_name(words, many, int).into(),
        Kind::Text { .. } => values.texts[opt as usize].as_deref().unwrap_or_default().to_vec(),
        Kind::Special(special) => show_special(values, special),
    }
}

/// The words of the value of a choice.
fn choice_name(words: Words, many: bool, value: i64) -> String {
    if let Some((name, _)) = words.iter().find(|(_, other)| *other == value) {
        return (*name).to_string();
    }
    let set = words.iter().filter(|(_, bit)| many && *bit != 0 && value & bit != 0);
    set.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

fn show_special(values: &Values, special: Special) -> Vec<u8> {
    match special {
        Special::Dir => values.dir.as_os_str().as_bytes().to_vec(),
        Special::Save => {
            let pair = |point: &SavePoint| format!("{} {}", point.seconds, point.changes);
            values.save.iter().map(pair).collect::<Vec<_>>().join(" ").into()
        }
        Special::OutputLimits => {
            let class = |name: &str, limit: OutputLimit| {
                let OutputLimit { hard_bytes, soft_bytes, soft_seconds } = limit;
                format!("{name} {hard_bytes} {soft_bytes} {soft_seconds}")
            };
            let OutputLimits { normal, replica, pubsub } = values.limits;
            [class("normal", normal), class("slave", replica), class("pubsub", pubsub)]
                .join(" ")
                .into()
        }
        Special::OomScores => values.oom_scores.map(|score| score.to_string()).join(" ").into(),
        Special::Notify => notify::print(values.ints[Opt::NotifyKeyspaceEvents as usize] as u32),
        Special::Bind => values.bind.join(&b' '),
        Special::Listen => values.listen.join(&b' '),
        Special::ReplicaOf => match &values.primary {
            Some(Primary { host, port }) => [&**host, format!(" {port}").as_bytes()].concat(),
            None => Vec::new(),
        },
        Special::Percentiles => values
            .percentiles
            .iter()
            .map(|&value| print_percentile(value))
            .collect::<Vec<_>>()
            .join(" ")
            .into(),
    }
}

/// Six decimals, without zeros at the end.
pub(super) fn print_percentile(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Whether `opt` has the same value in both.
pub(super) fn same(left: &Values, right: &Values, opt: Opt) -> bool {
    left.ints[opt as usize] == right.ints[opt as usize]
        && left.texts[opt as usize] == right.texts[opt as usize]
        && (!matches!(opt.spec().kind, Kind::Special(_)) || show(left, opt) == show(right, opt))
}
