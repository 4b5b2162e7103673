//! What the simulation has found once, as short as it got: each of these failed.
use super::history::words;
use super::plan::{Plan, Step};
use super::wire::Door;
use super::world::run;
use super::{judge, script};

/// Clients of these doors, jobs of so many units, and what happens.
fn plan(doors: &[Door], units: u64, steps: Vec<Step>) -> Plan {
    Plan { doors: doors.to_vec(), units: Some(units), steps, ..script(&[]) }
}

fn send(client: usize, command: &str) -> [Step; 2] {
    [Step::Send(client, words(command)), Step::Deliver(client, usize::MAX)]
}

fn turns(count: usize) -> Vec<Step> {
    vec![Step::Turn(u32::MAX); count]
}

fn assert_right(plan: &Plan) {
    assert_eq!(judge(&run(plan)), Ok(true), "{}", plan.describe());
}

/// Keys used to be kept past their time for ever once CLOCK had ended a pause.
#[test]
fn keys_expire_again_after_a_pause_that_the_clock_ended() {
    assert_right(&script(&["PAUSE 30 WRITE", "CLOCK ADVANCE 100", "SET k1 v PX 5"]));
}

/// A SET of another dialect came between the slices of an UNLINK, which then counted a key twice.
#[test]
fn other_dialects_wait_for_held_keys() {
    for door in [Door::Simpledb, Door::Msgpack, Door::Kvstore] {
        for pause in 1..12 {
            let begin = [send(0, "INCR k1"), send(0, "UNLINK k2 k1 k1 k1")].concat();
            let steps = [begin, turns(pause), send(1, "SET k1 v1").to_vec(), turns(20)];
            assert_right(&plan(&[Door::Resp2, door], 3, steps.concat()));
        }
    }
}

/// SCAN saw what half an MSETNX had written.
#[test]
fn a_scan_sees_all_of_a_write_or_nothing() {
    for pause in 1..40 {
        let begin = send(0, "MSETNX k3 v1 k1 v3 k4 4").to_vec();
        let steps = [begin, turns(pause), send(1, "SCAN 0 COUNT 1000").to_vec(), turns(40)];
        assert_right(&plan(&[Door::Resp2, Door::Resp2], 1, steps.concat()));
    }
}

/// A job that had not got all its keys went with its database, before or after what others had seen; and where it
/// waited for a key, others then waited for ever.
#[test]
fn databases_change_places_between_jobs() {
    for pause in 0..12 {
        let jobs = [send(0, "MGET k3 k2 k2 k4"), send(1, "DEL k3 k1 k1 k4")].concat();
        let swap = [send(2, "SELECT 1"), send(2, "SWAPDB 0 1"), send(2, "GET k4")].concat();
        for late in ["MSET k4 v1 k2 v2 k3 v3 k1 2", "RESTORE k4 100 v4 REPLACE"] {
            let steps =
                [jobs.clone(), send(3, late).to_vec(), turns(pause), swap.clone(), turns(20)];
            assert_right(&plan(&[Door::Resp2; 4], 1, steps.concat()));
        }
        let alone = [send(1, "SELECT 1"), send(1, "RESTORE k4 100 v4")].concat();
        let swap = [send(2, "SWAPDB 0 1"), send(2, "KEYS *")].concat();
        let steps = [alone, turns(pause), swap, turns(20)];
        assert_right(&plan(&[Door::Resp2; 4], 1, steps.concat()));
    }
}

/// A FLUSH that tells how many keys went did not count what a RESTORE before it was still writing.
#[test]
fn a_counted_flush_waits_for_what_is_being_written() {
    for pause in 0..8 {
        let begin = send(0, "RESTORE k3 0 v4").to_vec();
        let steps = [begin, turns(pause), send(1, "FLUSH").to_vec(), turns(20)];
        assert_right(&plan(&[Door::Resp2, Door::Simpledb], 2, steps.concat()));
    }
}

/// A TOUCH that took its keys one by one found the first alive, as of when it came, and the last expired.
#[test]
fn the_keys_of_a_job_are_of_one_moment() {
    for pause in 1..20 {
        let begin = [send(0, "PSETEX k2 5 v1"), send(0, "PSETEX k4 5 v2")].concat();
        let touch = send(0, "TOUCH k2 k3 k4 k4").to_vec();
        let steps = [begin, touch, turns(pause), vec![Step::Advance(6)], turns(60)];
        assert_right(&plan(&[Door::Resp2], 1, steps.concat()));
    }
}

/// Who waited was served between a long command and the handing over of its request, and as a job of its own got that:
/// it answered for an empty key, and held its own for ever.
#[test]
fn a_job_keeps_its_request_when_another_is_served() {
    let sends = [
        (0, "XREAD BLOCK 1000 STREAMS k4 0-2"),
        (0, "XDEL k2 2-2"),
        (3, "XREAD BLOCK 1 STREAMS k3 2-1"),
        (3, "XADD k4 2-* f e20"),
        (1, "XREAD BLOCK 1000 STREAMS k4 1-1"),
        (4, "XGROUP CREATE k2 h $ MKSTREAM"),
    ];
    let steps = sends.iter().map(|&(client, line)| Step::Send(client, words(line))).collect();
    let doors = [Door::Resp3, Door::Resp3, Door::Resp3, Door::Resp3, Door::Resp2];
    let plan = plan(&doors, 1, steps);
    assert_right(&Plan { ticks_per_reading: 400_000, has_collections: true, ..plan });
}

/// Who waited for a key that had got an element in time, but was not served yet, was told that its time was over.
#[test]
fn a_wait_does_not_end_while_its_key_is_ready() {
    for turns_before in 0..4 {
        let steps = [
            vec![Step::Send(0, words("BLPOP k3 0.02")), Step::Send(1, words("RPUSH k3 e28 a"))],
            vec![Step::Deliver(0, usize::MAX), Step::Deliver(1, usize::MAX)],
            turns(turns_before + 1),
            vec![Step::Advance(100)],
            turns(20),
        ];
        assert_right(&plan(&[Door::Resp2, Door::Resp2], 1, steps.concat()));
    }
}

/// RESTORE in a transaction that time passed in counted its TTL from its own end, all else from EXEC's instant.
#[test]
fn all_of_a_transaction_counts_time_from_its_beginning() {
    let line = "TRANSACTION 4 PSETEX k1 5000 v1 5 RESTORE k2 5000 v2 REPLACE 4 PSETEX k3 5000 v3";
    for pause in 0..20 {
        let steps =
            [send(0, line).to_vec(), turns(pause), vec![Step::Advance(7)], turns(30)].concat();
        assert_right(&plan(&[Door::Resp2], 1, steps));
    }
}

/// SWAPDB in EXEC took a database away from jobs that were letting go of their keys: those were held for ever.
#[test]
fn a_swap_in_a_transaction_waits_for_jobs_that_let_go() {
    let sends = [
        (3, "TOUCH k3"),
        (3, "TRANSACTION 3 MGET k4 k4 7 MSET k1 v10 k1 5 k3 2"),
        (1, "EXISTS k2 k3"),
        (1, "LCS k2 k1"),
        (2, "MGET k3 k1 k4 k3"),
        (3, "FLUSHDB ASYNC"),
        (2, "TRANSACTION 3 RENAME k3 k3 2 INCR k2 3 UNLINK k2 k1"),
        (3, "TRANSACTION 3 SWAPDB 0 1"),
    ];
    let steps = sends.iter().map(|&(client, line)| Step::Send(client, words(line))).collect();
    let plan = plan(&[Door::Resp3; 5], 2, steps);
    assert_right(&Plan { ticks_per_reading: 400_000, ..plan });
}
