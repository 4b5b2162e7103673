//! Proof that the simulation can fail: histories that no order explains, models that are wrong, and that a plan
//! played twice is the same run.
use super::checker::{Verdict, check};
use super::history::{Call, Reply, words};
use super::model::Fault;
use super::plan::Plan;
use super::shrink::shrink;
use super::world::run;
use super::{Kind, judge, model, script};

/// Seeds among which each wrong model must be caught.
const SEEDS_PER_FAULT: u64 = 300;

/// An answer in short: `OK`, `nil`, `:5`, or a value.
fn reply(text: &str) -> Reply {
    match text {
        "OK" => Reply::Status("OK".to_owned()),
        "nil" => Reply::Null,
        _ => match text.strip_prefix(':') {
            Some(number) => Reply::Int(number.parse().expect("a number")),
            None => Reply::Bulk(text.as_bytes().to_vec()),
        },
    }
}

/// `connection, asked, answered, command, answer`; an answer `-` never came, `a,b` is an array.
type Line = (usize, u64, u64, &'static str, &'static str);

fn verdict(lines: &[Line]) -> Verdict {
    let call = |&(connection, invoked, returned, command, answer): &Line| {
        let mut call = Call::new(connection, 0, words(command));
        (call.invoked, call.since_ms) = (Some(invoked), super::world::START_MS);
        if answer != "-" {
            call.returned = Some(returned);
            let is_array = answer.contains(',') || command.starts_with("KEYS");
            let items = answer.split(',').filter(|item| !item.is_empty());
            call.reply = Some(match is_array {
                true => Reply::Array(items.map(reply).collect()),
                false => reply(answer),
            });
        }
        call
    };
    let calls: Vec<Call> = lines.iter().map(call).collect();
    check(&calls, &model(None))
}

fn assert_refused(what: &str, lines: &[Line]) {
    assert!(matches!(verdict(lines), Verdict::Violation(_)), "{what} passes");
}

fn assert_accepted(what: &str, lines: &[Line]) {
    assert_eq!(verdict(lines), Verdict::Linearizable, "{what}");
}

#[test]
fn a_read_sees_the_last_write_before_it() {
    let write = (1, 1, 2, "SET k 1", "OK");
    assert_refused("a stale read", &[write, (2, 3, 4, "GET k", "nil")]);
    assert_accepted("a read of it", &[write, (2, 3, 4, "GET k", "1")]);
    let overlapping = (1, 1, 5, "SET k 1", "OK");
    assert_accepted("a read before it", &[overlapping, (2, 3, 4, "GET k", "nil")]);
    assert_refused(
        "a value that comes and goes",
        &[overlapping, (2, 2, 3, "GET k", "1"), (3, 4, 6, "GET k", "nil")],
    );
}

#[test]
fn no_update_is_lost() {
    let both = [(1, 1, 4, "INCR k", ":1"), (2, 2, 3, "INCR k", ":2")];
    assert_accepted("two of them", &both);
    assert_refused("a lost one", &[(1, 1, 4, "INCR k", ":1"), (2, 2, 3, "INCR k", ":1")]);
    assert_refused("seen by a read", &[both[0], both[1], (3, 5, 6, "GET k", "1")]);
}

#[test]
fn writes_of_several_keys_are_one() {
    let pair = (1, 1, 9, "MSET k1 a k2 b", "OK");
    assert_refused("a torn MSET", &[pair, (2, 2, 3, "MGET k1 k2", "a,nil")]);
    assert_refused("half an MSET in KEYS", &[pair, (2, 2, 3, "KEYS *", "k1")]);
    assert_accepted("all of it in KEYS", &[pair, (2, 2, 3, "KEYS *", "k1,k2")]);
    assert_accepted("none of it in KEYS", &[pair, (2, 2, 3, "KEYS *", "")]);
    let reads = [(2, 2, 3, "GET k2", "b"), (2, 4, 5, "GET k1", "nil")];
    assert_refused("its second half first", &[pair, reads[0], reads[1]]);
    assert_refused(
        "two that each won",
        &[(1, 1, 9, "MSETNX k1 a k2 a", ":1"), (2, 2, 8, "MSETNX k2 b k1 b", ":1")],
    );
}

#[test]
fn the_order_of_a_connection_is_kept() {
    let pipeline = [(1, 1, 9, "SET k 1", "OK"), (1, 1, 9, "SET k 2", "OK")];
    assert_accepted("the second last", &[pipeline[0], pipeline[1], (2, 10, 11, "GET k", "2")]);
    assert_refused("the first last", &[pipeline[0], pipeline[1], (2, 10, 11, "GET k", "1")]);
}

#[test]
fn without_an_answer_anything_may_be() {
    let cut = (1, 1, 0, "SET k 1", "-");
    assert_accepted("never", &[cut, (2, 5, 6, "GET k", "nil")]);
    assert_accepted("late", &[cut, (2, 5, 6, "GET k", "nil"), (2, 7, 8, "GET k", "1")]);
    assert_refused("undone", &[cut, (2, 5, 6, "GET k", "1"), (2, 7, 8, "GET k", "nil")]);
    let row = [cut, (1, 1, 0, "SET k 2", "-")];
    assert_refused(
        "out of order",
        &[row[0], row[1], (2, 5, 6, "GET k", "2"), (2, 7, 8, "GET k", "1")],
    );
    // CLIENT REPLY OFF: what follows was answered, so it has happened by then.
    let silent = [cut, (1, 2, 3, "REPLY ON", "OK"), (2, 5, 6, "GET k", "nil")];
    assert_refused("an unanswered call before an answered one that never happened", &silent);
}

#[test]
fn time_is_part_of_the_order() {
    let set = (1, 1, 2, "SET k 1 PX 5", "OK");
    let (five, six) = ((0, 3, 4, "ADVANCE 5", "-"), (0, 3, 4, "ADVANCE 6", "-"));
    // Time has passed for certain once a call has been answered after it.
    let passed = |line: Line| (line.0, line.1, line.2, line.3, "OK");
    assert_accepted("alive to the last moment", &[set, passed(five), (2, 5, 6, "GET k", "1")]);
    assert_refused("alive after it", &[set, passed(six), (2, 5, 6, "GET k", "1")]);
    assert_refused("dead too early", &[set, passed(five), (2, 5, 6, "GET k", "nil")]);
    assert_accepted("meanwhile it may be either", &[set, passed(six), (2, 3, 6, "GET k", "1")]);
}

#[test]
fn who_waits_gets_what_comes() {
    // Time is part of it: an answer of nothing is right once the wait is over and nothing is there.
    let wait = |answered, answer| (1, 1, answered, "BLPOP k 0.005", answer);
    let push = (2, 3, 4, "RPUSH k a", ":1");
    let passed = (0, 5, 6, "ADVANCE 6", "OK");
    assert_accepted("what was pushed", &[wait(9, "k,a"), push, passed]);
    assert_accepted("nothing, and nothing came", &[wait(9, "nil"), passed]);
    assert_refused("nothing, though it came", &[wait(9, "nil"), push, passed]);
    assert_refused("nothing, too early", &[wait(9, "nil"), (0, 5, 6, "ADVANCE 5", "OK")]);
    assert_refused("what was pushed later", &[wait(2, "k,a"), push]);
    let rival = (3, 2, 8, "LPOP k", "a");
    assert_accepted("nothing, as another took it", &[wait(9, "nil"), push, rival, passed]);
    assert_refused("what another took", &[wait(9, "k,a"), push, rival]);
    assert_refused(
        "what was pushed half",
        &[(1, 1, 9, "BLPOP k 1", "k,a"), (2, 2, 3, "RPUSH k b a", ":2")],
    );
    let moved = (1, 1, 9, "BLMOVE k l LEFT RIGHT 1", "a");
    assert_refused("lost on its way", &[moved, push, (3, 10, 11, "LLEN l", ":0")]);
    assert_accepted("moved", &[moved, push, (3, 10, 11, "LLEN l", ":1")]);
    let typed = (2, 3, 4, "SET k a", "OK");
    assert_accepted("another type is passed by", &[wait(9, "nil"), typed, passed]);
}

/// Plays seeds against a model with this fault until one of them is caught.
fn assert_caught(kind: Kind, fault: Fault) {
    for seed in 0..SEEDS_PER_FAULT {
        let run = run(&kind.plan(seed));
        if matches!(check(&run.calls, &model(Some(fault))), Verdict::Violation(_)) {
            eprintln!("{fault:?}: caught by seed {seed}");
            return;
        }
    }
    panic!("{SEEDS_PER_FAULT} seeds do not catch {fault:?}");
}

#[test]
fn wrong_models_of_values_are_caught() {
    for fault in [
        Fault::IncrTwice,
        Fault::SetKeepsTtl,
        Fault::MsetTorn,
        Fault::DelMissesLast,
        Fault::AppendNeedsKey,
    ] {
        assert_caught(Kind::Strings, fault);
    }
}

#[test]
fn wrong_models_of_the_keyspace_are_caught() {
    for fault in [
        Fault::RenameKeepsSource,
        Fault::ExpiresEarly,
        Fault::CopyForgetsTtl,
        Fault::SwapForgotten,
        Fault::FlushesOne,
    ] {
        assert_caught(Kind::Strings, fault);
    }
}

#[test]
fn wrong_models_of_collections_are_caught() {
    for fault in [
        Fault::PopsOtherEnd,
        Fault::MoveLoses,
        Fault::PopsLargest,
        Fault::InterUnites,
        Fault::ReadsInclusive,
    ] {
        assert_caught(Kind::Collections, fault);
    }
}

#[test]
fn a_wrong_model_of_transactions_is_caught() {
    assert_caught(Kind::Transactions, Fault::ExecForgetsLast);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..200 {
        let plan = || if seed % 2 == 0 { Plan::of(seed) } else { Plan::of_collections(seed) };
        let (first, second) = (run(&plan()), run(&plan()));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        let calls = |run: &super::world::Run| format!("{:?}", run.calls);
        assert_eq!(calls(&first), calls(&second), "seed {seed}");
    }
}

#[test]
fn plans_are_made_short() {
    let mut lines = vec!["GET k1"; 40];
    (lines[11], lines[29]) = ("SET k1 a", "APPEND k1 b");
    let ends_with_both = |plan: &Plan| {
        let calls = run(plan).calls;
        calls.iter().any(|call| call.reply == Some(Reply::Int(2)) && call.words[0] == b"APPEND")
    };
    let short = shrink(script(&lines), ends_with_both);
    assert!(short.steps.len() <= 2, "{}", short.describe());
    assert!(ends_with_both(&short) && judge(&run(&short)) == Ok(true));
}
