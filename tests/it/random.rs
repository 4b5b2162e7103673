//! Random histories of commands on our server and on a real Redis: every reply must be the same.
//!
//! Requests are made from the declarations of the commands (`Doc::syntax`), so whatever is declared is tried, with all
//! its options: `random::grammar`. What stands for an argument is chosen by its name: `random::values`. Each round is
//! one history on empty servers, in RESP2 or RESP3, with small or big limits of the packed forms, and on our side as
//! slices of one unit in every second round. At its end the values themselves are compared, and each server restores
//! what the other one dumped. A history that fails is made as short as it gets before it is shown.
//!
//! `RANDOM_SEED=7 RANDOM_ROUNDS=1` plays one round again, `RANDOM_ROUNDS=100000 RANDOM_SECONDS=600` many,
//! `RANDOM_COMMANDS=sorted-set,sort` only commands of these groups or names, `RANDOM_WITHOUT=dump` none of these;
//! `RANDOM_FAILURES=20` goes on until so many commands have failed; `RUFOUS_SERVER=path` plays on another binary.

mod compare;
mod duel;
mod events;
mod grammar;
mod last;
mod values;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rufous::base::random::Random;

use super::support::process::redis_is_installed;
use super::support::words::quote;
use compare::Check;
use duel::{Duel, Mismatch, Settings};
use grammar::Grammar;

/// A request: its words.
pub type Request = Vec<Vec<u8>>;

/// What is done at once: the request that is compared, and what has to follow it, whose replies are not.
#[derive(Clone, Debug)]
pub struct Step {
    /// The request.
    pub request: Request,
    /// Sent at once behind it: asks what decides about the order of the reply, or ends what differs by chance.
    pub then: Option<Request>,
    /// How the replies are compared.
    pub check: Check,
}

/// Requests of one round.
const STEPS_MIN: u64 = 40;
const STEPS_MAX: u64 = 250;

/// A word that is one byte again and again is shown as such from this length on.
const LONG_WORD: usize = 80;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The words of a setting.
fn list(name: &str) -> Vec<String> {
    let words = std::env::var(name).unwrap_or_default();
    words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn random_histories_are_answered_as_redis_answers_them() {
    if !redis_is_installed() {
        eprintln!("skipped: there is no redis-server 7.0 on PATH to compare with");
        return;
    }
    let seed = setting("RANDOM_SEED", 1);
    let rounds = setting("RANDOM_ROUNDS", 5000);
    let until = Instant::now() + Duration::from_secs(setting("RANDOM_SECONDS", 8));
    let mut duel = Duel::start();
    let grammar = Grammar::new(&duel.common_commands());
    let failures_max = setting("RANDOM_FAILURES", 1) as usize;
    let mut failures = BTreeMap::new();
    let mut compared = 0;
    let mut played = 0;
    for round in seed..seed + rounds {
        if Instant::now() > until || failures.len() == failures_max {
            break;
        }
        let mut random = Random::from_seed(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let settings = Settings::choose(&mut random);
        let count = STEPS_MIN + random.below(STEPS_MAX - STEPS_MIN);
        let history = grammar.history(&mut random, count as usize);
        match duel.play(&settings, &history) {
            Ok(replies) => compared += replies,
            Err(mismatch) if failures.contains_key(&mismatch.command) => {}
            Err(mismatch) => {
                let command = mismatch.command.clone();
                failures.insert(command, describe(&mut duel, round, &settings, history, mismatch));
            }
        }
        played += 1;
    }
    eprintln!("random: {compared} replies compared in {played} rounds from seed {seed}");
    let texts: Vec<String> = failures.into_values().collect();
    assert!(texts.is_empty(), "{} failures\n\n{}", texts.len(), texts.join("\n\n"));
}

/// Says what went wrong, as shortly as possible.
fn describe(
    duel: &mut Duel,
    round: u64,
    settings: &Settings,
    history: Vec<Step>,
    mismatch: Mismatch,
) -> String {
    let (history, mismatch) = shrink(duel, settings, history, mismatch);
    let mut text = format!("RANDOM_SEED={round} RANDOM_ROUNDS=1\n{settings}");
    for step in &history {
        for request in std::iter::once(&step.request).chain(&step.then) {
            text += &format!("    {}\n", shown(request));
        }
    }
    text + &mismatch.to_string()
}

fn shown(request: &Request) -> String {
    let word = |word: &Vec<u8>| {
        if let Some(&first) = word.first()
            && word.len() > LONG_WORD
            && word.iter().all(|byte| *byte == first)
        {
            return format!("<{} times {:?}>", word.len(), char::from(first));
        }
        let is_plain =
            !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
        if is_plain { String::from_utf8_lossy(word).into_owned() } else { quote(word) }
    };
    request.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Takes steps out, many at once and then one by one, as long as it still fails.
fn shrink(
    duel: &mut Duel,
    settings: &Settings,
    history: Vec<Step>,
    mut mismatch: Mismatch,
) -> (Vec<Step>, Mismatch) {
    let mut shortest = history;
    match duel.play(settings, &shortest) {
        Err(again) => mismatch = again,
        Ok(_) => {
            shortest.drain(..mismatch.step.min(shortest.len()));
            shortest.truncate(1);
            mismatch.add("…and the second time all was well: time or chance plays a part");
            return (shortest, mismatch);
        }
    }
    // Nothing behind the step that failed matters.
    shortest.truncate(mismatch.step.saturating_add(1));
    let mut size = shortest.len().div_ceil(2);
    loop {
        let before = shortest.len();
        let mut from = 0;
        while from < shortest.len() {
            let mut shorter = shortest.clone();
            shorter.drain(from..(from + size).min(shortest.len()));
            match duel.play(settings, &shorter) {
                Err(other) => {
                    shorter.truncate(other.step.saturating_add(1));
                    (shortest, mismatch) = (shorter, other);
                }
                Ok(_) => from += size,
            }
        }
        if size == 1 && shortest.len() == before {
            return (shortest, mismatch);
        }
        size = (size / 2).max(1);
    }
}
