//! Deterministic simulation: the loop, the engine and the dialects under a clock, a network and a seed of the test's own.
//!
//! Each seed is a history: some clients send commands in pieces, read slowly, leave, come back, kill each other, while
//! time jumps. Its answers must be explained by some order of the calls (`checker`, `model`), and afterwards nothing may
//! be left: no client without an answer, no connection, no work.
//!
//! A failure prints its seed and a history made as short as it gets. `SIM_SEED=n cargo test --test sim` plays one seed,
//! `SIM_SEEDS=100000 cargo test --test sim` more of them, from `SIM_FROM` on.
mod checker;
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

/// Plays seeds `from..to`; panics with a short history of the first that fails.
fn play(from: u64, to: u64) {
    let (mut undecided, mut calls, mut answers, mut turns) = (Vec::new(), 0, 0, 0);
    for seed in from..to {
        let run = run(&Plan::of(seed));
        calls += run.calls.len();
        answers += world::answered(&run).count();
        turns += run.turns;
        match judge(&run) {
            Ok(true) => {}
            Ok(false) => undecided.push(seed),
            Err(text) => fail(seed, &text),
        }
    }
    eprintln!("seeds {from}..{to}: {calls} calls, {answers} answers, {turns} turns");
    assert!(undecided.len() as u64 * 100 <= to - from, "too many undecided: {undecided:?}");
}

fn fail(seed: u64, text: &str) -> ! {
    let plan = shrink::shrink(Plan::of(seed), |plan| judge(&run(plan)).is_err());
    let short = run(&plan);
    let mut report = format!("seed {seed} fails: {text}\n\nShortened:\n{}", plan.describe());
    if short.broken.is_some() {
        let shown = short.calls.iter().filter(|call| call.words[0] != b"ADVANCE");
        shown.for_each(|call| report += &format!("    {call}\n"));
    }
    if let Err(text) = judge(&short) {
        report += &format!("  {text}\n");
    }
    panic!("{report}\nReplay: SIM_SEED={seed} cargo test --test sim");
}

/// A quarter of the seeds; the harness runs the quarters side by side.
fn quarter(index: u64) {
    if let Some(seed) = number("SIM_SEED") {
        return if index == 0 {
            play(seed, seed + 1)
        };
    }
    let (from, each) = (number("SIM_FROM").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS) / 4);
    play(from + index * each, from + (index + 1) * each);
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
    quarter(0);
}

#[test]
fn histories_are_linearizable_2() {
    quarter(1);
}

#[test]
fn histories_are_linearizable_3() {
    quarter(2);
}

#[test]
fn histories_are_linearizable_4() {
    quarter(3);
}
