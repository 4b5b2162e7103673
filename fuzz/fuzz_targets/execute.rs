//! Commands: each line of an input is one, run on an engine with a clock that stands still.
//!
//! Promise checked: nothing panics, and each command is answered by exactly one well-formed reply in the
//! protocol version of its client. Now and then time moves and background work runs, as between two turns.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous::base::clock::Clock;
use rufous::base::quote::split_args;
use rufous::command::execute::{Outcome, Request};
use rufous::engine::background::Work;
use rufous::engine::config::Config;
use rufous::engine::engine::Engine;
use rufous::engine::session::{Address, Replies, Session};
use rufous::engine::spec::flag;
use rufous::proto::args::{HashHint, OwnedArgs};
use rufous::proto::reply::{Output, Resp};
use rufous_fuzz::skip_value;

/// The clock of every run begins here: 2023-11-14, in milliseconds.
const START_MS: i64 = 1_700_000_000_000;
/// Time moves this far after every eighth command.
const STEP_MS: i64 = 700;
/// Commands of one run.
const COMMANDS_MAX: usize = 64;

fuzz_target!(|input: &[u8]| {
    let config = Config::new("/".into());
    let mut engine = Engine::new(config, Clock::manual(START_MS), Some(1));
    let mut session = Session::new(Address::InProcess, START_MS);
    engine.shared.admit(&mut session);
    let slot = engine.shared.clients.insert(session);
    // Every second input runs whatever can be a job in slices of one unit.
    engine.shared.jobs.force_units((input.len() % 2 == 1).then_some(1));
    let mut output = Output::default();
    let lines = input.split(|byte| *byte == b'\n').take(COMMANDS_MAX);
    for (index, line) in lines.enumerate() {
        let Some(words) = split_args(line).filter(|words| is_bounded(words)) else { continue };
        if !run(&mut engine, slot, &words, &mut output) {
            return;
        }
        if index % 8 == 7 {
            engine.shared.clock.advance_ms(STEP_MS);
            engine.background(200);
        }
    }
});

/// Runs one command and checks its reply; whether the client is still there.
fn run(engine: &mut Engine, slot: usize, words: &[Vec<u8>], output: &mut Output) -> bool {
    let owned = OwnedArgs::from_parts(words.iter().map(Vec::as_slice));
    let (buffer, spans, blocks) = owned.parts();
    let request = Request { buffer, spans, blocks, command: None, hint: HashHint::default() };
    let Some(mut session) = engine.shared.clients.checkout(slot) else { return false };
    let (had_replies, had_resp) = (session.replies, session.resp);
    // SUBSCRIBE and its like answer with messages, any number of them, and so does EXEC of them.
    let found = engine.shared.table.find(&words[0]);
    let queued = session.transaction.as_ref().map_or(0, |transaction| transaction.flags());
    let flags = found.map_or(0, |found| found.command.flags) | queued;
    // Who listens hears of what he does himself before its reply.
    let is_listening = session.subscriptions.is_any() || session.tracking.is_some();
    let is_pushing = is_listening || flags & flag::MANY_REPLIES != 0;
    output.clear();
    engine.begin_turn();
    let mut started = engine.shared.clock.ticks();
    let outcome = engine.execute(&mut session, request, output, &mut started);
    if outcome == Outcome::Running {
        engine.shared.jobs.give_args(owned.clone());
        engine.shared.clients.checkin(slot, session);
        while engine.run_jobs(0) == Work::Left {}
        assert!(engine.shared.jobs.is_empty(), "a job waits for ever");
        for (_, reply) in std::mem::take(&mut engine.shared.outbox.replies) {
            output.append(reply);
        }
        let Some(back) = engine.shared.clients.checkout(slot) else { return false };
        session = back;
    }
    let is_shutdown = engine.shared.outbox.shutdown.is_some();
    if is_shutdown {
        assert!(output.is_empty(), "SHUTDOWN answers errors only");
    } else if outcome != Outcome::Postponed
        && had_replies == Replies::On
        && session.replies == Replies::On
        && !is_pushing
    {
        let bytes = output.to_bytes();
        // HELLO answers in the version it switches to; an error before that in the old one.
        let is_resp3 = session.resp == Resp::V3 || had_resp == Resp::V3;
        match skip_value(&bytes, is_resp3) {
            Ok([]) => {}
            Ok(rest) => panic!("more than one reply: {}", rest.escape_ascii()),
            Err(why) => panic!("{why} in {}", bytes.escape_ascii()),
        }
    }
    if outcome == Outcome::Postponed {
        assert!(output.is_empty(), "answered and postponed");
        engine.shared.set_pause(None);
    }
    let is_over = session.is_killed
        || session.closes_after_reply
        || is_shutdown
        || engine.shared.outbox.kills.contains(&slot);
    engine.shared.outbox.messages.clear();
    engine.shared.clients.checkin(slot, session);
    !is_over
}

/// Leaves out what is slow or big by its nature: that is what limits and budgets are tested for elsewhere.
fn is_bounded(words: &[Vec<u8>]) -> bool {
    let Some(name) = words.first() else { return false };
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let has_big_number =
        || words.iter().any(|word| word.len() > 4 && word.iter().any(u8::is_ascii_digit));
    // CONFIG SET and REWRITE have a target of their own and may touch files.
    let is_file = is("CONFIG") || is("SAVE") || is("BGSAVE") || is("BGREWRITEAOF");
    // A negative count of these asks for that many replies, as long as the client waits for them.
    let draws = is("SRANDMEMBER") || is("HRANDFIELD") || is("ZRANDMEMBER");
    let grows = is("SETRANGE") || is("SETBIT") || is("BITFIELD");
    let is_big = (grows || draws) && has_big_number();
    // A script may run for ever; what scripts call has targets of its own.
    let is_script = [
        b"eval".as_slice(),
        b"evalsha",
        b"eval_ro",
        b"evalsha_ro",
        b"fcall",
        b"fcall_ro",
        b"function",
    ]
    .iter()
    .any(|other| name.eq_ignore_ascii_case(other));
    let is_config_get = || words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"get"));
    !is_big && !is_script && (!is_file || is_config_get())
}
