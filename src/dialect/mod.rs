//! Layer 5: the front doors besides RESP. Each dialect is one file: bytes → verbs of the engine → bytes.
//!
//! ```text
//! net: unread bytes ──▶ Splitter::split ──▶ one frame ──▶ run ──▶ Engine::perform ──▶ output
//! ```
//!
//! A dialect knows no socket. It cuts requests from a stream ([`Splitter`]) and runs one whole request ([`run`]), which
//! always appends exactly one answer. What is a request but makes no sense is answered with the dialect's error;
//! what cannot be cut any more is [`Split::Fatal`].
pub mod kvstore;
pub mod msgpack;
pub mod simpledb;

use crate::base::hash::Key;
use crate::base::hash::KeyHasher;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::{Engine, Shared};
use crate::engine::jobs::{INDEX, Place, WHOLE, places_of_taker};
use crate::engine::session::{Session, restraint};
pub use crate::proto::dialect::Dialect;
use crate::proto::limits::REPLY_BLOCK_BYTES;
use crate::proto::reply::Output;
use crate::store::{Hold, StringRef};

/// What the connection allows; depth and number of elements are in `proto::limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Longest frame in bytes, all of it counted.
    pub frame_bytes_max: usize,
}

/// What a splitter found at the start of the unconsumed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// A whole request of this many bytes, at least one; the splitter stands at the start of the next.
    Frame(usize),
    /// The bytes end inside a request.
    Incomplete,
    /// Not a request: send this, then close.
    Fatal(Vec<u8>),
}

/// Finds where a request ends. Resumable: it remembers how far it has looked, so no byte is scanned twice.
#[derive(Debug)]
pub struct Splitter {
    state: State,
}

#[derive(Debug)]
enum State {
    Resp,
    Simpledb(simpledb::State),
    Msgpack(msgpack::State),
    Kvstore(kvstore::State),
}

impl Splitter {
    /// One at the start of a request.
    pub fn new(dialect: Dialect) -> Splitter {
        let state = match dialect {
            Dialect::Resp => State::Resp,
            Dialect::Simpledb => State::Simpledb(Default::default()),
            Dialect::Msgpack => State::Msgpack(Default::default()),
            Dialect::Kvstore => State::Kvstore(Default::default()),
        };
        Splitter { state }
    }

    /// Looks at `unread`, which begins where the current request begins and, after [`Split::Incomplete`], with the
    /// bytes it had the last time. RESP has a parser of its own and is never complete here.
    pub fn split(&mut self, unread: &[u8], limits: &FrameLimits) -> Split {
        match &mut self.state {
            State::Resp => Split::Incomplete,
            State::Simpledb(state) => simpledb::split(state, unread, limits),
            State::Msgpack(state) => msgpack::split(state, unread, limits),
            State::Kvstore(state) => kvstore::split(state, unread, limits),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Its answer is written.
    Done,
    /// It goes on as a job: its answer comes later, and nothing of this client runs before. The caller gives the job
    /// the frame as its only argument (`Jobs::give_args`).
    Parked,
}

/// Runs one whole request and appends its answer, or makes a job of it. `started` is when its time begins, in ticks;
/// it is moved to its end. `first_hash` is the engine's hash of what [`first_key`] gave, where
/// the caller has it. Where a password is set the request is refused and the
/// connection closes: these dialects have no way to give one, so no later request could do better.
pub fn run(
    dialect: Dialect,
    engine: &mut Engine,
    session: &mut Session,
    frame: &[u8],
    first_hash: Option<u64>,
    out: &mut Output,
    started: &mut u64,
) -> Ran {
    debug_assert!(
        first_hash.is_none() || {
            first_key(dialect, frame).map(|key| engine.hasher.hash(key)) == first_hash
        }
    );
    if engine.shared.refuses_verbs(session) {
        let text = "NOAUTH Authentication required.";
        engine.shared.stats.count_error(text.as_bytes());
        session.closes_after_reply = true;
        refuse(dialect, text, out);
        return Ran::Done;
    }
    if session.is(restraint::ACL)
        && let Err(refusal) = check_user(dialect, &mut engine.shared, session, frame)
    {
        refuse(dialect, &String::from_utf8_lossy(&refusal.message()), out);
        *started = engine.shared.clock.ticks();
        return Ran::Done;
    }
    match dialect {
        Dialect::Resp => {}
        Dialect::Simpledb => {
            return simpledb::run(engine, session, frame, first_hash, out, started);
        }
        Dialect::Msgpack => msgpack::run(engine, session, frame, first_hash, out, started),
        Dialect::Kvstore => kvstore::run(engine, session, frame, first_hash, out, started),
    }
    Ran::Done
}

/// Whether the user of a client that may not do everything lets it do this. What is no request is told later. O(keys).
#[cold]
fn check_user(
    dialect: Dialect,
    shared: &mut Shared,
    session: &mut Session,
    frame: &[u8],
) -> CmdResult {
    let verb = match dialect {
        Dialect::Resp => None,
        Dialect::Simpledb => simpledb::verb(frame),
        Dialect::Msgpack => msgpack::verb(frame),
        Dialect::Kvstore => kvstore::verb(frame),
    };
    let Some(verb) = verb else { return Ok(()) };
    let mut keys: Vec<Vec<u8>> = Vec::new();
    each_key(dialect, frame, &mut |key, _| keys.push(key.to_vec()));
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    shared.check_verb(session, verb, &keys)
}

/// Whether a whole request may change something, for CLIENT PAUSE WRITE. Only asked while clients are paused.
pub fn may_write(dialect: Dialect, frame: &[u8]) -> bool {
    match dialect {
        Dialect::Resp => true,
        Dialect::Simpledb => simpledb::may_write(frame),
        Dialect::Msgpack => msgpack::may_write(frame),
        Dialect::Kvstore => kvstore::may_write(frame),
    }
}

/// What of the keyspace a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The keys that [`each_key`] visits, and no others; often none.
    Keys,
    /// All keys at once, to look at: their number.
    ReadsAll,
    /// All keys at once, to change: it drops them, of this database or of all.
    WritesAll,
}

/// Whether a whole request is about the whole keyspace. Anything that is no request touches nothing.
pub fn reach(dialect: Dialect, frame: &[u8]) -> Reach {
    match dialect {
        Dialect::Simpledb => simpledb::reach(frame),
        // The others know no such command; RESP frames do not exist.
        Dialect::Resp | Dialect::Msgpack | Dialect::Kvstore => Reach::Keys,
    }
}

/// Visits every key that a whole request reads or writes, in the request's order, with whether it may change it.
/// A key named twice is visited twice. A request that will be refused gives the keys it has, or none. Nothing is
/// allocated; O(bytes of the frame).
pub fn each_key(dialect: Dialect, frame: &[u8], visit: &mut dyn FnMut(&[u8], bool)) {
    match dialect {
        Dialect::Resp => {}
        Dialect::Simpledb => simpledb::each_key(frame, visit),
        Dialect::Msgpack => msgpack::each_key(frame, visit),
        Dialect::Kvstore => kvstore::each_key(frame, visit),
    }
}

/// What a whole request needs of database `db`, and how: nothing of it may be held by a job. Of one that will be a job
/// only the whole: it takes its keys itself. O(bytes of the frame), O(1) for such a one.
pub fn places(dialect: Dialect, frame: &[u8], hasher: &KeyHasher, db: usize) -> Vec<(Place, Hold)> {
    let job_hold = if dialect == Dialect::Simpledb { simpledb::job_hold(frame) } else { None };
    if let Some(hold) = job_hold {
        return places_of_taker(db, hold == Hold::Write).collect();
    }
    let mut places = Vec::new();
    match reach(dialect, frame) {
        Reach::Keys => {}
        Reach::ReadsAll => places.push(((db, WHOLE), Hold::Write)),
        // Who drops everything tells how much that was, and what a job is still to write would count.
        Reach::WritesAll => places.push(((db, INDEX), Hold::Write)),
    }
    each_key(dialect, frame, &mut |key, may_change| {
        let hold = if may_change { Hold::Write } else { Hold::Read };
        places.push(((db, hasher.hash(key)), hold));
    });
    places
}

/// The bytes that are the first key of a whole request if it has one, to be hashed and prefetched: cheap, and a guess
/// where the request has no key (the message of a PING). Where [`run`] uses a first key, it is this one.
#[inline]
pub fn first_key(dialect: Dialect, frame: &[u8]) -> Option<&[u8]> {
    match dialect {
        Dialect::Resp => None,
        Dialect::Simpledb => simpledb::first_key(frame),
        Dialect::Msgpack => msgpack::first_key(frame),
        Dialect::Kvstore => kvstore::first_key(frame),
    }
}

/// Appends an error in the form of a dialect.
pub fn refuse(dialect: Dialect, text: &str, out: &mut Output) {
    let text = text.as_bytes();
    match dialect {
        Dialect::Resp => {
            let resp = crate::proto::reply::Resp::V2;
            crate::proto::reply::Reply::new(out, resp).error(text);
        }
        Dialect::Simpledb => simpledb::error(text, out),
        Dialect::Msgpack => msgpack::error(text, out),
        Dialect::Kvstore => kvstore::error(text, out),
    }
}

/// Appends the bytes of a value, which the caller has as `bytes` already: a big one by reference.
fn push_value(value: StringRef<'_>, bytes: &[u8], out: &mut Output) {
    match value {
        StringRef::Block(block) if block.len() >= REPLY_BLOCK_BYTES => {
            out.push_block(block.clone())
        }
        _ => out.bytes_mut().extend_from_slice(bytes),
    }
}

/// A key of a request with its hash, computed now where nobody has it.
#[inline]
fn hashed<'b>(ctx: &Ctx<'_>, bytes: &'b [u8], hash: Option<u64>) -> Key<'b> {
    match hash {
        Some(hash) => Key { bytes, hash },
        None => ctx.db.key(bytes),
    }
}

/// Whether these bytes are UTF-8; quick for short ASCII, which most are.
#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
#[path = "support_tests.rs"]
mod tests_support;

#[cfg(test)]
#[path = "keys_tests.rs"]
mod keys_tests;
