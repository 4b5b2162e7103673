//! Deterministic simulation: the loop, the engine and the dialects under a clock, a network and a seed of the test's own.
//!
//! Each seed is a history: some clients send commands in pieces, read slowly, leave, come back, kill each other, while
//! time jumps. Its answers must be explained by some order of the calls (`checker`, `model`), and afterwards nothing may
//! be left: no client without an answer, no connection, no work.
//!
//! A failure prints its seed and a history made as short as it gets. `SIM_SEED=n cargo test --test sim` plays one seed,
//! `SIM_SEEDS=100000 cargo test --test sim` more of them, from `SIM_FROM` on.
mod checker;
mod collections;
mod history;
mod model;
mod payload;
mod plan;
mod proof;
mod regressions;
mod shrink;
mod wire;
mod world;

use checker::{Verdict, check};
use model::{Fault, Model};
use plan::Plan;
use world::{DATABASES, Run, START_MS, run};

/// Seeds of a normal run.
const SEEDS: u64 = 2_000;
/// Seeds with transactions, beside them.
const SEEDS_OF_TRANSACTIONS: u64 = 600;
/// Seeds with collections and commands that wait, beside them.
const SEEDS_OF_COLLECTIONS: u64 = 600;

fn model(fault: Option<Fault>) -> Model {
    Model::new(START_MS, DATABASES, fault)
}

/// What is wrong with a run, if anything.
fn judge(run: &Run) -> Result<bool, String> {
    if let Some(broken) = &run.broken {
        return Err(broken.clone());
    }
    match check(&run.calls, &model(None)) {
        Verdict::Linearizable => Ok(true),
        Verdict::Undecided => Ok(false),
        Verdict::Violation(text) => Err(text),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plans by seed.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Strings,
    Collections,
    Transactions,
}

impl Kind {
    fn plan(self, seed: u64) -> Plan {
        match self {
            Kind::Strings => Plan::of(seed),
            Kind::Collections => Plan::of_collections(seed),
            Kind::Transactions => Plan::of_transactions(seed),
        }
    }
}

/// Plays seeds `from..to`; panics with a short history of the first that fails.
fn play(kind: Kind, from: u64, to: u64) {
    let (mut undecided, mut calls, mut answers, mut turns) = (Vec::new(), 0, 0, 0);
    for seed in from..to {
        let run = run(&kind.plan(seed));
        calls += run.calls.len();
        answers += world::answered(&run).count();
        turns += run.turns;
        match judge(&run) {
            Ok(true) => {}
            Ok(false) => undecided.push(seed),
            Err(text) => fail(kind, seed, &text),
        }
    }
    eprintln!("{kind:?}: seeds {from}..{to}: {calls} calls, {answers} answers, {turns} turns");
    assert!(undecided.len() as u64 * 100 <= to - from, "too many undecided: {undecided:?}");
}

fn fail(kind: Kind, seed: u64, text: &str) -> ! {
    let plan = shrink::shrink(kind.plan(seed), |plan| judge(&run(plan)).is_err());
    let short = run(&plan);
    let mut report =
        format!("seed {seed} of {kind:?} fails: {text}\n\nShortened:\n{}", plan.describe());
    if short.broken.is_some() {
        let shown = short.calls.iter().filter(|call| call.words[0] != b"ADVANCE");
        shown.for_each(|call| report += &format!("    {call}\n"));
    }
    if let Err(text) = judge(&short) {
        report += &format!("  {text}\n");
    }
    panic!("{report}\nReplay: SIM_SEED={seed} cargo test --test sim");
}

/// A part of the seeds; the harness runs the parts side by side.
fn part(kind: Kind, index: u64, parts: u64) {
    if let Some(seed) = number("SIM_SEED") {
        return if index == 0 {
            play(kind, seed, seed + 1)
        };
    }
    let seeds = match kind {
        Kind::Strings => SEEDS,
        Kind::Collections => SEEDS_OF_COLLECTIONS,
        Kind::Transactions => SEEDS_OF_TRANSACTIONS,
    };
    let (from, each) =
        (number("SIM_FROM").unwrap_or(0), number("SIM_SEEDS").unwrap_or(seeds) / parts);
    play(kind, from + index * each, from + (index + 1) * each);
}

/// A plan of one client that sends these, each answered before the next.
fn script(lines: &[&str]) -> Plan {
    let mut plan = Plan::of(0);
    (plan.doors, plan.ticks_per_reading) = (vec![wire::Door::Resp2], 0);
    (plan.units, plan.options) = (None, vec![("test-mode", "yes")]);
    let steps = |line: &&str| {
        let send = plan::Step::Send(0, history::words(line));
        [send, plan::Step::Deliver(0, usize::MAX), plan::Step::Turn(u32::MAX)]
    };
    plan.steps = lines.iter().flat_map(steps).collect();
    plan
}

#[test]
fn histories_are_linearizable_1() {
    part(Kind::Strings, 0, 4);
}

#[test]
fn histories_are_linearizable_2() {
    part(Kind::Strings, 1, 4);
}

#[test]
fn histories_are_linearizable_3() {
    part(Kind::Strings, 2, 4);
}

#[test]
fn histories_are_linearizable_4() {
    part(Kind::Strings, 3, 4);
}

#[test]
fn histories_of_transactions_are_linearizable_1() {
    part(Kind::Transactions, 0, 2);
}

#[test]
fn histories_of_transactions_are_linearizable_2() {
    part(Kind::Transactions, 1, 2);
}

#[test]
fn histories_of_collections_are_linearizable_1() {
    part(Kind::Collections, 0, 2);
}

#[test]
fn histories_of_collections_are_linearizable_2() {
    part(Kind::Collections, 1, 2);
}
