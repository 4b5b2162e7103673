//! The corpus against our server over sockets: in RESP2 and RESP3, in RESP2 with the bytes of every command cut in
//! pieces, and with every command that can be a job being one, of slices of one unit.

use std::time::Duration;

use super::support::play::{Outcome, Resp, concerns, play};
use super::support::process::{Kind, Process};
use super::support::script::{Action, Script, load_all};
use super::support::target::{Cut, CutAt, Received, Target};

/// Commands of up to this many bytes are cut at every position.
const CUT_LENGTH_MAX: usize = 48;

/// `PLAY_REDIS=1` plays on a real Redis instead, to prove this runner itself.
fn kind() -> Kind {
    if std::env::var_os("PLAY_REDIS").is_some() { Kind::Redis } else { Kind::Rufous }
}

/// A server that is started again when a script killed it.
struct Running {
    process: Process,
    over_tcp: bool,
    /// What is said to each server that is started.
    order: Option<&'static [u8]>,
    failures: Vec<String>,
    compared: usize,
}

impl Running {
    fn start(over_tcp: bool) -> Self {
        Running::start_with(over_tcp, None)
    }

    fn start_with(over_tcp: bool, order: Option<&'static [u8]>) -> Self {
        let process = start(over_tcp, order);
        Running { process, over_tcp, order, failures: Vec::new(), compared: 0 }
    }

    fn run(&mut self, script: &Script, play: impl FnOnce(&mut dyn Target) -> Outcome) {
        let outcome = play(&mut self.process);
        self.compared += outcome.compared;
        self.failures.extend(outcome.failures);
        if !self.process.is_running() {
            let tail = self.process.log_tail();
            self.failures.push(format!("{}: the server died:\n{tail}", script.name));
            self.process = start(self.over_tcp, self.order);
        }
    }

    fn conclude(self, how: &str) {
        eprintln!("{how}: {} replies compared", self.compared);
        let failures = self.failures;
        assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    }
}

/// A server that has carried out this order, if there is one.
fn start(over_tcp: bool, order: Option<&[u8]>) -> Process {
    let mut process = Process::start(kind(), over_tcp).expect("rufous starts");
    if let Some(order) = order {
        let mut link = process.connect().expect("rufous listens");
        link.send(order).expect("rufous reads");
        let mut answer = Vec::new();
        let received = link.receive(&mut answer, Duration::from_secs(5)).expect("rufous answers");
        assert_eq!((received, &answer[..]), (Received::Bytes, &b"+OK\r\n"[..]));
        // In slices of one unit a command with several keys may have been passed by a later one.
        process.settles_in = Duration::from_millis(5);
    }
    process
}

fn play_all(resp: Resp, how: &str) {
    let mut running = Running::start(true);
    for script in load_all() {
        if concerns(&script, &running.process, resp) {
            running.run(&script, |target| play(&script, target, resp));
        }
    }
    running.conclude(how);
}

/// May the script be played again and again with its bytes cut? Not if it waits for time to pass.
fn may_be_cut(script: &Script, target: &dyn Target) -> bool {
    let waits = script.steps.iter().any(|step| matches!(step.action, Action::Advance(_)));
    !script.marks.uncut && !waits && concerns(script, target, Resp::Two)
}

#[test]
fn our_server_answers_in_resp2() {
    play_all(Resp::Two, "tcp, RESP2");
}

#[test]
fn our_server_answers_in_resp3() {
    play_all(Resp::Three, "tcp, RESP3");
}

#[test]
fn commands_may_run_in_the_smallest_slices() {
    if kind() == Kind::Redis {
        return;
    }
    let mut running = Running::start_with(false, Some(b"DEBUG JOBS UNITS 1\r\n"));
    for script in load_all() {
        if concerns(&script, &running.process, Resp::Two) {
            running.run(&script, |target| play(&script, target, Resp::Two));
        }
    }
    running.conclude("slices of one unit");
}

#[test]
fn commands_may_arrive_byte_by_byte() {
    let mut running = Running::start(false);
    for script in load_all() {
        if may_be_cut(&script, &running.process) {
            running.run(&script, |target| play_cut(&script, target, CutAt::EveryByte));
        }
    }
    running.conclude("byte by byte");
}

#[test]
fn commands_may_arrive_in_two_pieces() {
    let mut running = Running::start(false);
    for script in load_all() {
        if !may_be_cut(&script, &running.process) {
            continue;
        }
        for position in 1..CUT_LENGTH_MAX {
            let failed = running.failures.len();
            running.run(&script, |target| play_cut(&script, target, CutAt::Position(position)));
            if running.failures.len() > failed {
                running.failures.push(format!("{}: cut before byte {position}", script.name));
                break;
            }
        }
    }
    running.conclude("in two pieces");
}

fn play_cut(script: &Script, target: &mut dyn Target, at: CutAt) -> Outcome {
    play(script, &mut Cut::new(target, at), Resp::Two)
}
