//! The ledger, driven by hand: turns of made-up durations.
use proptest::prelude::*;

use super::*;
use crate::engine::config::{Config, Origin};
use crate::engine::engine::Engine;
use crate::proto::args::OwnedArgs;

const BUDGET_US: u64 = 500;

fn engine() -> Engine {
    Engine::new(Config::new("/".into()), Clock::manual(1_000_000), Some(1))
}

/// Plays one turn; each phase took this many microseconds.
fn turn(shared: &mut Shared, phases: &[(Phase, u64)]) {
    let mut now = 1_000_000;
    shared.stalls.watch = Stopwatch::begin(now);
    for &(phase, micros) in phases {
        now += shared.clock.ticks_of(micros * 1000 + 500);
        shared.stalls.watch.end(phase, now);
    }
    shared.end_turn();
}

/// Says that a command took so long.
fn long_command(engine: &mut Engine, line: &str, micros: u64) {
    let session = Session::new(crate::engine::session::Address::InProcess, 0);
    let owned = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
    let list = owned.lend(&engine.hasher);
    let entry = engine.shared.table.resolve(list.args());
    let id = entry.map(|entry| entry.id).expect("a command");
    let ticks = engine.shared.clock.ticks_of(micros * 1000 + 500);
    engine.shared.note_culprit(&session, id, list.args(), ticks);
}

fn newest(shared: &Shared) -> &Stall {
    shared.stalls.entries().next().expect("an entry")
}

#[test]
fn a_turn_above_the_threshold_is_kept_with_its_longest_phase_and_command() {
    let mut engine = engine();
    long_command(&mut engine, "SET small v", 200);
    long_command(&mut engine, "GET big", 4000);
    long_command(&mut engine, "MGET other", 300);
    turn(&mut engine.shared, &[(Phase::Read, 40), (Phase::Execute, 5000), (Phase::Flush, 60)]);
    assert!(engine.shared.stalls.is_open());
    engine.shared.close_stall(7);
    let stall = newest(&engine.shared);
    assert_eq!((stall.id, stall.phase, stall.phase_us), (0, Phase::Execute, 5000));
    assert!((5100..5103).contains(&stall.turn_us), "{stall:?}");
    assert_eq!((stall.command_us, stall.clients_waiting), (4000, 7));
    let culprit = stall.culprit.as_ref().expect("a command");
    assert_eq!((culprit.command, &culprit.key[..]), ("get", &b"big"[..]));
    // The next turn has a ledger of its own.
    turn(&mut engine.shared, &[(Phase::Expiry, 900)]);
    let stall = newest(&engine.shared);
    assert_eq!((stall.id, stall.phase, &stall.culprit), (1, Phase::Expiry, &None));
}

#[test]
fn turns_and_commands_below_their_thresholds_leave_nothing() {
    let mut engine = engine();
    long_command(&mut engine, "GET key", BUDGET_US / SHARE_OF_CULPRITS - 1);
    assert_eq!(engine.shared.stalls.culprit, None);
    turn(&mut engine.shared, &[(Phase::Execute, BUDGET_US - 1)]);
    assert_eq!(engine.shared.stalls.entries().len(), 0);
    assert!(!engine.shared.stalls.is_open());
    long_command(&mut engine, "GET key", BUDGET_US / SHARE_OF_CULPRITS);
    turn(&mut engine.shared, &[(Phase::Execute, BUDGET_US)]);
    assert_eq!(newest(&engine.shared).culprit.as_ref().map(|by| by.command), Some("get"));
}

#[test]
fn the_threshold_is_an_option_and_follows_the_budget() {
    let mut engine = engine();
    let mut set = |name: &str, value: &str| {
        let pairs = [(name.as_bytes(), value.as_bytes())];
        assert!(engine.shared.config.set(&pairs, Origin::default()).is_ok());
        engine.shared.config_changed();
        let thresholds = engine.shared.thresholds;
        (engine.shared.clock.nanos(thresholds.stall_ticks) + 500) / 1_000_000
    };
    assert_eq!(set("max-stall-us", "2000"), 2);
    assert_eq!(set("stall-log-slower-than-us", "9000"), 9);
    assert_eq!(set("max-stall-us", "3000"), 9);
    assert_eq!(set("stall-log-slower-than-us", "0"), 3);
}

#[test]
fn the_oldest_entries_go() {
    let mut engine = engine();
    for _ in 0..ENTRIES_MAX + 3 {
        turn(&mut engine.shared, &[(Phase::Execute, 1000)]);
    }
    let ids: Vec<u64> = engine.shared.stalls.entries().map(|stall| stall.id).collect();
    assert_eq!((ids.len(), ids[0]), (ENTRIES_MAX, ENTRIES_MAX as u64 + 2));
    assert!(ids.is_sorted_by(|newer, older| *newer == older + 1));
    assert_eq!(engine.shared.stalls.count(), ENTRIES_MAX as u64 + 3);
    engine.shared.stalls.reset();
    assert_eq!((engine.shared.stalls.entries().len(), engine.shared.stalls.count()), (0, 0));
    turn(&mut engine.shared, &[(Phase::Execute, 1000)]);
    assert_eq!(newest(&engine.shared).id, ENTRIES_MAX as u64 + 3);
}

#[test]
fn keys_are_shortened() {
    let mut engine = engine();
    long_command(&mut engine, &format!("GET {}", "k".repeat(1000)), 600);
    let culprit = engine.shared.stalls.culprit.as_ref().expect("it was long");
    assert_eq!(culprit.key, [b'k'; KEY_BYTES_MAX]);
    long_command(&mut engine, "KEYS *", 700);
    let culprit = engine.shared.stalls.culprit.as_ref().expect("it was long");
    assert_eq!((culprit.command, &culprit.key[..]), ("keys", &b""[..]));
}

#[test]
fn the_line_in_the_log_tells_no_key() {
    let mut engine = engine();
    long_command(&mut engine, "GET secret", 52_000);
    turn(&mut engine.shared, &[(Phase::Execute, 52_400)]);
    engine.shared.close_stall(2);
    assert_eq!(
        describe(newest(&engine.shared), 500, 3),
        "A turn of the loop took 52.4 ms (the budget is 500 us), execute 52.4 ms of it; its longest \
         command was get with 52.0 ms; clients waiting: 2. See STALLS GET. As long since the last \
         such line: 3."
    );
}

proptest! {
    /// The histogram of turns counts every turn, that of a phase each in which it ran, and no time is lost.
    #[test]
    fn histograms_count_turns(
        turns in prop::collection::vec(
            prop::collection::vec((0..PHASES, 0u64..2000), 0..12), 1..20,
        ),
    ) {
        let mut engine = engine();
        let shared = &mut engine.shared;
        for phases in &turns {
            let phases: Vec<_> =
                phases.iter().map(|&(index, micros)| (Phase::ALL[index], micros)).collect();
            turn(shared, &phases);
        }
        let stalls = &shared.stalls;
        prop_assert_eq!(stalls.turns().histogram.count(), turns.len() as u64);
        let mut nanos = 0;
        for (index, &phase) in Phase::ALL.iter().enumerate() {
            let ran = turns.iter().filter(|turn| turn.iter().any(|&(other, _)| other == index));
            prop_assert_eq!(stalls.phase(phase).histogram.count(), ran.count() as u64);
            nanos += stalls.phase(phase).nanos_total;
        }
        // Each conversion from ticks rounds by less than a nanosecond.
        let steps = (turns.len() * (PHASES + 1)) as u64;
        prop_assert!(stalls.turns().nanos_total.abs_diff(nanos) <= steps);
        let over = |turn: &&Vec<(usize, u64)>| {
            turn.iter().map(|&(_, micros)| micros * 1000 + 500).sum::<u64>() > BUDGET_US * 1000
        };
        prop_assert_eq!(stalls.count(), turns.iter().filter(over).count() as u64);
    }
}
