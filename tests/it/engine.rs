//! The corpus against the engine in process: no socket, and a clock that moves when told.
//!
//! `InProcess` makes a `Target` of anything that implements `Execute`; nothing else is needed to
//! play the corpus on it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rufous::base::clock::Clock;
use rufous::command::execute::{Outcome, Request};
use rufous::engine::background::Work;
use rufous::engine::config::{Config, Opt};
use rufous::engine::engine::Engine;
use rufous::engine::session::{self, Address};
use rufous::proto::args::{HashHint, OwnedArgs};
use rufous::proto::reply::Output;

use super::support::play::{Resp, concerns, play};
use super::support::script::load_all;
use super::support::target::{Link, Received, Target};

/// What the corpus needs of an engine.
pub trait Execute {
    /// Opens a session, as a new connection would; returns its number.
    fn open(&mut self) -> usize;

    /// Executes one command; returns the bytes of its reply.
    fn execute(&mut self, session: usize, words: &[&[u8]]) -> Vec<u8>;

    /// Has the session ended (QUIT, CLIENT KILL)?
    fn is_closed(&self, session: usize) -> bool;

    /// The connection is gone.
    fn close(&mut self, session: usize);

    /// Moves the clock.
    fn advance(&mut self, time: Duration);

    /// The clock, in ms since 1970.
    fn now_ms(&self) -> u64;
}

/// An engine as a target. It has no wire: scripts which `needs: wire` are skipped.
pub struct InProcess<E> {
    engine: Rc<RefCell<E>>,
}

impl<E: Execute> InProcess<E> {
    /// Wraps an engine.
    pub fn new(engine: E) -> Self {
        InProcess { engine: Rc::new(RefCell::new(engine)) }
    }
}

impl<E: Execute + 'static> Target for InProcess<E> {
    fn server(&self) -> &str {
        "rufous"
    }

    fn has(&self, need: &str) -> bool {
        super::support::play::RUFOUS_HAS.contains(&need)
    }

    fn connect(&mut self) -> io::Result<Box<dyn Link>> {
        let session = self.engine.borrow_mut().open();
        let engine = Rc::clone(&self.engine);
        Ok(Box::new(Session { engine, session, replies: Vec::new() }))
    }

    fn advance(&mut self, time: Duration) {
        self.engine.borrow_mut().advance(time);
    }

    fn now_ms(&self) -> u64 {
        self.engine.borrow().now_ms()
    }
}

struct Session<E: Execute> {
    engine: Rc<RefCell<E>>,
    session: usize,
    replies: Vec<u8>,
}

impl<E: Execute> Link for Session<E> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let words = words(bytes).ok_or_else(|| io::Error::other("not one whole command"))?;
        let mut engine = self.engine.borrow_mut();
        if !engine.is_closed(self.session) {
            self.replies.extend(engine.execute(self.session, &words));
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>, _patience: Duration) -> io::Result<Received> {
        if !self.replies.is_empty() {
            into.append(&mut self.replies);
            return Ok(Received::Bytes);
        }
        let closed = self.engine.borrow().is_closed(self.session);
        Ok(if closed { Received::Closed } else { Received::Nothing })
    }
}

impl<E: Execute> Drop for Session<E> {
    fn drop(&mut self) {
        self.engine.borrow_mut().close(self.session);
    }
}

/// The words of one encoded command.
fn words(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = header(b'*', bytes)?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, body) = header(b'$', rest)?;
        words.push(body.get(..length)?);
        rest = body.get(length + 2..)?;
    }
    rest.is_empty().then_some(words)
}

/// Reads `*3\r\n` or `$5\r\n`; returns the number and what follows.
fn header(mark: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = bytes[..end].strip_prefix(&[mark])?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, &bytes[end + 2..]))
}

/// An engine of two commands, to test the hook itself.
struct Parrot {
    closed: Vec<bool>,
    now_ms: u64,
}

impl Execute for Parrot {
    fn open(&mut self) -> usize {
        self.closed.push(false);
        self.closed.len() - 1
    }

    fn execute(&mut self, session: usize, words: &[&[u8]]) -> Vec<u8> {
        match words {
            [b"ECHO", word] => [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat(),
            [b"QUIT"] => {
                self.closed[session] = true;
                b"+OK\r\n".to_vec()
            }
            [b"FLUSHALL"] => b"+OK\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }

    fn is_closed(&self, session: usize) -> bool {
        self.closed[session]
    }

    fn close(&mut self, session: usize) {
        self.closed[session] = true;
    }

    fn advance(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

#[test]
fn a_script_plays_in_process() {
    let text = "> ECHO ${now_ms}\n\"5\"\nadvance 10ms\n> ECHO ${now_ms}\n\"15\"\n\
                > QUIT\nOK\n<\n(closed)\n> NOPE\n(error) ERR unknown command\n\
                @2> ECHO a\n\"b\"\n";
    let script = super::support::script::parse("t", std::path::Path::new("t"), text).unwrap();
    let mut target = InProcess::new(Parrot { closed: Vec::new(), now_ms: 5 });
    let outcome = play(&script, &mut target, Resp::Two);
    assert_eq!(outcome.compared, 6);
    assert_eq!(outcome.failures.len(), 1, "{:?}", outcome.failures);
    assert!(outcome.failures[0].starts_with("t:12: @2> ECHO a"), "{:?}", outcome.failures);
}

/// Our engine, without the network layer around it.
struct Rufous {
    engine: Engine,
    /// Commands that ran as jobs.
    jobs: usize,
}

impl Rufous {
    fn start(scratch: &std::path::Path) -> Self {
        let mut config = Config::new(scratch.to_path_buf());
        for (option, value) in [(Opt::EnableDebugCommand, "yes"), (Opt::Save, "")] {
            config.load(option, &[value.as_bytes().to_vec()]).expect("a valid option");
        }
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let clock = Clock::manual(i64::try_from(unix_ms).expect("before the year 200,000,000"));
        Rufous { engine: Engine::new(config, clock, Some(1)), jobs: 0 }
    }

    /// Closes those that CLIENT KILL named.
    fn carry_out_kills(&mut self) {
        for slot in std::mem::take(&mut self.engine.shared.outbox.kills) {
            if let Some(session) = self.engine.shared.clients.get_mut(slot) {
                session.is_killed = true;
            }
        }
    }
}

impl Execute for Rufous {
    fn open(&mut self) -> usize {
        let now_ms = self.engine.shared.clock.unix_ms();
        let mut session = session::Session::new(Address::InProcess, now_ms);
        session.set_authenticated(!self.engine.shared.thresholds.needs_password);
        self.engine.shared.clients.insert(session)
    }

    fn execute(&mut self, slot: usize, words: &[&[u8]]) -> Vec<u8> {
        let Some(mut session) = self.engine.shared.clients.checkout(slot) else {
            return Vec::new();
        };
        let args = OwnedArgs::from_parts(words.iter().copied());
        let (buffer, spans, blocks) = args.parts();
        let hint = HashHint::default();
        let request = Request { buffer, spans, blocks, command: None, hint };
        let mut output = Output::default();
        let mut started = self.engine.shared.clock.ticks();
        let outcome = self.engine.execute(&mut session, request, &mut output, &mut started);
        session.is_killed |= session.closes_after_reply;
        self.engine.shared.clients.checkin(slot, session);
        if outcome == Outcome::Running {
            self.jobs += 1;
            self.engine.shared.jobs.give_args(args.clone());
            // To its very end: it lets go of its keys after the reply.
            while self.engine.run_jobs(0) == Work::Left {}
            assert!(self.engine.shared.jobs.is_empty(), "a job waits for ever");
            for (client, reply) in std::mem::take(&mut self.engine.shared.outbox.replies) {
                assert_eq!(client, slot);
                output.append(reply);
            }
        }
        // What databases that have changed places have brought is looked at.
        while self.engine.run_jobs(0) == Work::Left {}
        assert!(self.engine.dbs.iter().all(|db| db.holds.is_empty() && !db.has_walks()));
        self.carry_out_kills();
        output.to_bytes()
    }

    fn is_closed(&self, slot: usize) -> bool {
        self.engine.shared.clients.get(slot).is_none_or(|session| session.is_killed)
    }

    fn close(&mut self, slot: usize) {
        self.engine.shared.clients.remove(slot);
    }

    fn advance(&mut self, time: Duration) {
        let by_ms = i64::try_from(time.as_millis()).expect("a short time");
        self.engine.advance_ms(by_ms);
    }

    fn now_ms(&self) -> u64 {
        self.engine.shared.clock.unix_ms().unsigned_abs()
    }
}

/// Plays the corpus on an engine whose jobs do `units` per slice; how many commands ran as jobs.
fn play_all(units: Option<u64>) -> usize {
    let scratch = std::env::temp_dir();
    let (mut compared, mut jobs, mut failures) = (0, 0, Vec::new());
    for resp in [Resp::Two, Resp::Three] {
        for script in load_all() {
            let mut rufous = Rufous::start(&scratch);
            rufous.engine.shared.jobs.force_units(units);
            let mut target = InProcess::new(rufous);
            if concerns(&script, &target, resp) {
                let outcome = play(&script, &mut target, resp);
                compared += outcome.compared;
                failures.extend(outcome.failures);
            }
            jobs += target.engine.borrow().jobs;
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(compared > 2000, "only {compared} replies compared");
    jobs
}

#[test]
fn our_engine_answers_in_process() {
    assert_eq!(play_all(None), 0, "alone, everything runs at once");
}

/// Forced slicing: whatever can be a job is one, with a slice per unit of work, and no reply changes.
#[test]
fn our_engine_answers_in_slices() {
    let jobs = play_all(Some(1));
    assert!(jobs > 400, "only {jobs} jobs");
    play_all(Some(3));
}
