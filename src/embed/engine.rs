//! The engine in process: commands without sockets, and the commonest of them without RESP.
//!
//! [`Engine::execute`] runs any command as one client's and gives its reply as a tree. `get`, `set` and their like
//! go to the keyspace directly, with the same effects, statistics and errors. Background work (expiry, freeing,
//! compaction) is done in slices by the calls themselves, at most every millisecond; [`Engine::tick`] does it where
//! nobody calls. Time is read at every `execute`, and at least once per millisecond by the others.
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::hash::Key;
use crate::command::direct::{Call, Direct, PAUSED};
use crate::command::execute::{Outcome, Request};
use crate::embed::error::Error;
use crate::embed::reply::Reply;
use crate::embed::settings::Settings;
use crate::engine::background::Work;
use crate::engine::config::{Config, Opt};
use crate::engine::ctx::Ctx;
use crate::engine::engine::Engine as Inner;
use crate::engine::error::CmdError;
use crate::engine::session::{Address, Session};
use crate::proto::args::{HashHint, OwnedArgs};
use crate::proto::reply::{Output, Resp};
use crate::store::{NewString, StringRef, Ttl};

/// How old the time of a direct call may be.
const REFRESH_NANOS: u64 = 500_000;
/// Time between slices of background work, while there may be more and otherwise.
const UPKEEP_BUSY_NANOS: u64 = 1_000_000;
const UPKEEP_NANOS: u64 = 10_000_000;
/// Messages kept for [`Engine::messages`]; the oldest go first.
const MESSAGES_MAX: usize = 10_000;

/// Databases and commands, without a server around them.
///
/// ```
/// let mut engine = rufous::Engine::new();
/// engine.set(b"greeting", b"hello", None)?;
/// assert_eq!(engine.get(b"greeting")?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(engine.incr(b"visits", 1)?, 1);
/// let reply = engine.execute(&[b"APPEND", b"greeting", b", world"]);
/// assert_eq!(reply, rufous::Reply::Int(12));
/// # Ok::<(), rufous::Error>(())
/// ```
pub struct Engine {
    inner: Inner,
    slot: usize,
    session: Box<Session>,
    verbs: Verbs,
    /// When to read the time next, in ticks.
    refresh_at: u64,
    refresh_ticks: u64,
    /// When to do background work next, in ticks.
    upkeep_at: u64,
    messages: VecDeque<Arc<[u8]>>,
    args: OwnedArgs,
    output: Output,
}

/// What the direct calls are counted as.
struct Verbs {
    get: Direct,
    mget: Direct,
    set: Direct,
    del: Direct,
    incrby: Direct,
    pexpire: Direct,
}

/// What an engine is to be; [`Engine::builder`] makes one.
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    settings: Settings,
}

impl EngineBuilder {
    /// Sets an option as a line of a configuration file would.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl AsRef<[u8]>) -> EngineBuilder {
        self.settings.set(name, value.as_ref());
        self
    }

    /// All time comes from this clock instead of the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> EngineBuilder {
        self.settings.clock = Some(clock);
        self
    }

    /// All random choices follow from this number.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> EngineBuilder {
        self.settings.seed = Some(seed);
        self
    }

    /// Makes the engine; the error is an option that was refused.
    pub fn build(self) -> Result<Engine, Error> {
        let config = self.settings.config()?;
        Ok(Engine::over(self.settings.engine(config)))
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An empty engine of the default configuration.
    #[must_use]
    pub fn new() -> Engine {
        let config = Config::new("/".into());
        Engine::over(Settings::default().engine(config))
    }

    /// An engine to be.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    fn over(mut inner: Inner) -> Engine {
        let (slot, session) = open_session(&mut inner);
        let refresh_ticks = inner.shared.clock.ticks_of(REFRESH_NANOS);
        Engine {
            inner,
            slot,
            session,
            verbs: Verbs::new(),
            refresh_at: 0,
            refresh_ticks,
            upkeep_at: 0,
            messages: VecDeque::new(),
            args: OwnedArgs::default(),
            output: Output::default(),
        }
    }

    /// Runs a command, its name first, as the one client of this engine, who speaks RESP3 and has every right.
    ///
    /// The first reply is given back; without one (CLIENT REPLY OFF) it is null. QUIT begins a new session,
    /// SHUTDOWN is refused. While CLIENT PAUSE lasts, what would wait is refused.
    pub fn execute(&mut self, words: &[&[u8]]) -> Reply {
        let Engine { inner, session, args, output, .. } = self;
        if words.is_empty() {
            return Reply::Error("ERR no command".to_owned());
        }
        inner.begin_turn();
        args.clear();
        words.iter().for_each(|word| args.push(word));
        let (buffer, spans, blocks) = args.parts();
        let hint = HashHint::default();
        let request = Request { buffer, spans, blocks, command: None, hint };
        output.clear();
        inner.make_room_now(session.db);
        let mut started = inner.shared.clock.ticks();
        let outcome = inner.execute(session, request, output, &mut started);
        let reply = match outcome {
            Outcome::Done if output.is_empty() => Reply::Null,
            Outcome::Done => read_reply(output),
            Outcome::Running => {
                inner.shared.jobs.give_args(args.clone());
                // Only where slices are forced: alone, every job runs to its end at once.
                while inner.run_jobs(0) == Work::Left {}
                session.waiting = None;
                let reply = inner.shared.outbox.replies.pop().map(|(_, reply)| reply);
                match reply {
                    Some(reply) if !reply.is_empty() => read_reply(&reply),
                    _ => Reply::Null,
                }
            }
            Outcome::Postponed => {
                session.waiting = None;
                Reply::Error(String::from_utf8_lossy(&PAUSED.message()).into_owned())
            }
        };
        let is_refused = self.carry_out();
        self.upkeep(started);
        if is_refused { Reply::Error(NO_SHUTDOWN.to_owned()) } else { reply }
    }

    /// GET: the value, if there is one, borrowed where it is not stored as a number.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Error> {
        let started = self.begin();
        let call = Call { command: self.verbs.get, started, shown: &[key] };
        match self.inner.direct_get(&mut self.session, key, &call) {
            Ok(None) => Ok(None),
            Ok(Some(StringRef::Bytes(bytes))) => Ok(Some(Cow::Borrowed(bytes))),
            Ok(Some(StringRef::Block(block))) => Ok(Some(Cow::Borrowed(block.as_slice()))),
            Ok(Some(StringRef::Int(number))) => Ok(Some(Cow::Owned(number.to_string().into()))),
            Err(error) => Err(error.into()),
        }
    }

    /// MGET: calls `each` with the place and value of every key in order; a key that holds no string has none.
    /// Memory latency of many keys overlaps, so this is the fastest way to read them.
    pub fn get_many(
        &mut self,
        keys: &[&[u8]],
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), Error> {
        let started = self.begin();
        let call = Call { command: self.verbs.mget, started, shown: keys };
        let mut digits = itoa::Buffer::new();
        let each = |index: usize, value: Option<StringRef<'_>>| match value {
            Some(value) => each(index, Some(value.as_bytes(&mut digits))),
            None => each(index, None),
        };
        Ok(self.inner.direct_get_many(&mut self.session, keys, &call, each)?)
    }

    /// SET, with PX where a time to live is given. One below a millisecond is refused, as a command's would be.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
        let started = self.begin();
        let call = Call { command: self.verbs.set, started, shown: &[key, value] };
        let work = |ctx: &mut Ctx<'_>, key: Key<'_>| {
            let ttl = match ttl {
                None => Ttl::Clear,
                Some(ttl) => Ttl::At(deadline(ctx.now, ttl, "set")?),
            };
            ctx.set(key, NewString::Bytes(value), ttl)
        };
        Ok(self.inner.direct(&mut self.session, key, &call, work)?)
    }

    /// DEL of one key: whether it was there.
    #[inline]
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, Error> {
        let started = self.begin();
        let call = Call { command: self.verbs.del, started, shown: &[key] };
        let session = &mut self.session;
        Ok(self.inner.direct(session, key, &call, |ctx, key| Ok(ctx.delete(key)))?)
    }

    /// INCRBY: the sum. A key that is not there counts as 0.
    #[inline]
    pub fn incr(&mut self, key: &[u8], by: i64) -> Result<i64, Error> {
        let started = self.begin();
        let mut digits = itoa::Buffer::new();
        let shown = [key, digits.format(by).as_bytes()];
        let call = Call { command: self.verbs.incrby, started, shown: &shown };
        let session = &mut self.session;
        Ok(self.inner.direct(session, key, &call, |ctx, key| ctx.increment(key, by))?)
    }

    /// PEXPIRE: whether the key is there. A time of zero deletes it.
    pub fn expire(&mut self, key: &[u8], ttl: Duration) -> Result<bool, Error> {
        let started = self.begin();
        let mut digits = itoa::Buffer::new();
        let shown = [key, digits.format(ttl.as_millis()).as_bytes()];
        let call = Call { command: self.verbs.pexpire, started, shown: &shown };
        let work = |ctx: &mut Ctx<'_>, key: Key<'_>| {
            let at = i64::try_from(ttl.as_millis()).ok().and_then(|ms| ctx.now.checked_add(ms));
            let at = at.ok_or(CmdError::InvalidExpire("pexpire"))?;
            if ctx.db.read_for_write(key).is_none() {
                return Ok(false);
            }
            ctx.expire_at(key, at).map(|()| true)
        };
        Ok(self.inner.direct(&mut self.session, key, &call, work)?)
    }

    /// Messages to this client since the last call, such as those of MONITOR; of more than ten thousand the latest.
    pub fn messages(&mut self) -> Vec<Reply> {
        let read = |message: Arc<[u8]>| Reply::read(&mut &message[..]).unwrap_or(Reply::Null);
        self.messages.drain(..).map(read).collect()
    }

    /// Background work for about `budget`; whether more is left. To be called now and then where nothing else is.
    pub fn tick(&mut self, budget: Duration) -> bool {
        self.inner.begin_turn();
        self.work(u64::try_from(budget.as_micros()).unwrap_or(u64::MAX)) == Work::Left
    }

    /// The engine's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.shared.clock
    }

    /// Moves time on, for tests: what is due then has expired when this returns. O(keys with a time to live).
    pub fn advance(&mut self, by: Duration) {
        self.inner.advance_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// The beginning of a direct call, in ticks; reads the time where it is too old.
    #[inline]
    fn begin(&mut self) -> u64 {
        let ticks = self.inner.shared.clock.ticks();
        if ticks >= self.refresh_at {
            self.refresh(ticks);
        }
        ticks
    }

    #[cold]
    fn refresh(&mut self, ticks: u64) {
        self.refresh_at = ticks.saturating_add(self.refresh_ticks);
        self.inner.begin_turn();
        self.carry_out();
        self.upkeep(ticks);
    }

    /// A slice of background work, if it is time for one.
    fn upkeep(&mut self, ticks: u64) {
        if ticks < self.upkeep_at {
            return;
        }
        let slice_us = self.inner.shared.config.size(Opt::MaxStallUs);
        let nanos = match self.work(slice_us) {
            Work::Left => UPKEEP_BUSY_NANOS,
            Work::Done => UPKEEP_NANOS,
        };
        let clock = &self.inner.shared.clock;
        self.upkeep_at = clock.ticks().saturating_add(clock.ticks_of(nanos));
    }

    fn work(&mut self, budget_us: u64) -> Work {
        let expiry = self.inner.expire_as_time_passes(budget_us);
        let rest = self.inner.background(budget_us);
        self.inner.note_peak_memory();
        if expiry == Work::Left || rest == Work::Left { Work::Left } else { Work::Done }
    }

    /// What commands asked of a network layer; whether it was the end of the server.
    fn carry_out(&mut self) -> bool {
        let shared = &mut self.inner.shared;
        for (slot, message) in shared.outbox.messages.drain(..) {
            if slot == self.slot {
                self.messages.push_back(message);
            }
        }
        let excess = self.messages.len().saturating_sub(MESSAGES_MAX);
        self.messages.drain(..excess);
        shared.outbox.kills.clear();
        let has_ended = shared.outbox.shutdown.take().is_some();
        if self.session.closes_after_reply || self.session.is_killed {
            shared.monitors.retain(|&slot| slot != self.slot);
            shared.clients.checkin(self.slot, self.session.clone());
            shared.clients.remove(self.slot);
            (self.slot, self.session) = open_session(&mut self.inner);
        }
        has_ended
    }
}

const NO_SHUTDOWN: &str = "ERR an engine in process ends by being dropped, not by SHUTDOWN";

/// The one client of an engine. It stays checked out.
fn open_session(inner: &mut Inner) -> (usize, Box<Session>) {
    let mut session = Session::new(Address::InProcess, inner.shared.clock.unix_ms());
    session.is_authenticated = true;
    session.resp = Resp::V3;
    let spare = session.clone();
    let slot = inner.shared.clients.insert(session);
    let session = inner.shared.clients.checkout(slot);
    (slot, session.unwrap_or_else(|| Box::new(spare)))
}

impl Verbs {
    fn new() -> Verbs {
        let [get, mget, set, del, incrby, pexpire] =
            Direct::named(["get", "mget", "set", "del", "incrby", "pexpire"]);
        Verbs { get, mget, set, del, incrby, pexpire }
    }
}

fn read_reply(output: &Output) -> Reply {
    let bytes = output.to_bytes();
    let reply = Reply::read(&mut &bytes[..]);
    // Everything we encode can be read.
    reply.unwrap_or_else(|error| Reply::Error(format!("ERR {error}")))
}

/// When a time to live from now on ends, in milliseconds since 1970.
fn deadline(now_ms: i64, ttl: Duration, command: &'static str) -> Result<i64, CmdError> {
    let ttl_ms = i64::try_from(ttl.as_millis()).ok().filter(|&ms| ms > 0);
    ttl_ms.and_then(|ms| now_ms.checked_add(ms)).ok_or(CmdError::InvalidExpire(command))
}
