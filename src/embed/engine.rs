//! The engine in process: commands without sockets, and the commonest of them without RESP.
//!
//! [`Engine::execute`] runs any command as one client's and gives its reply as a tree. `get`, `set` and their like
//! go to the keyspace directly, with the same effects, statistics and errors. Background work (expiry, freeing,
//! compaction) is done in slices by the calls themselves, at most every millisecond; [`Engine::tick`] does it where
//! nobody calls.
//!
//! Time is read at every `execute`, where a direct call sets a time to live, and otherwise when it may be half a
//! millisecond old; a caller who pauses in the midst of many calls finds it one tick of the kernel's timer old at
//! most (1 to 10 ms). Of direct calls in quick succession one in 32 to 95, by chance, is timed (`command::direct` says
//! why); all are while somebody monitors or the slow log or the latency monitor look at less than a millisecond.
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::hash::Key;
use crate::base::sys;
use crate::command::direct::{Call, Direct, PAUSED};
use crate::command::execute::{Outcome, Request};
use crate::embed::error::Error;
use crate::embed::reply::Reply;
use crate::embed::settings::Settings;
use crate::engine::background::Work;
use crate::engine::config::{Config, Opt};
use crate::engine::ctx::Ctx;
use crate::engine::engine::{Engine as Inner, Shared};
use crate::engine::error::CmdError;
use crate::engine::session::{Address, Session};
use crate::net::remote::Connector;
use crate::proto::args::{HashHint, OwnedArgs};
use crate::proto::reply::{Output, Resp};
use crate::store::{NewString, StringRef, Ttl};

/// How old the time of a direct call may be.
const REFRESH_NANOS: u64 = 500_000;
/// Direct calls are in quick succession when a streak of them takes less than this; then `STREAK` of them, and up to
/// `STREAK_MORE` more, are not timed. Measured: a timed call costs 200 ns more where every call misses the cache.
const QUICK_NANOS: u64 = 500_000;
const STREAK: u32 = 31;
const STREAK_MORE: u32 = 63;
/// Every call is timed when somebody looks at durations below this.
const WATCHED_NANOS: u64 = 1_000_000;
/// Values up to this length are written in a time not worth measuring each.
const SHORT_BYTES: usize = 4096;
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
    pace: Pace,
    /// When to read the time next, in ticks.
    refresh_at: u64,
    refresh_ticks: u64,
    /// When to do background work next, in ticks.
    upkeep_at: u64,
    messages: VecDeque<Arc<[u8]>>,
    args: OwnedArgs,
    output: Output,
}

/// Which direct calls are timed.
struct Pace {
    /// Calls that still need not be.
    untimed_left: u32,
    /// The coarse time of the last timed call: they have to be within one tick of it.
    coarse: u64,
    /// When that was, in ticks.
    timed_at: u64,
    quick_ticks: u64,
    watched_ticks: u64,
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
        Ok(Engine::over(self.settings.engine(config)?))
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
        Engine::over(Inner::new(config, Clock::real(), None))
    }

    /// An engine to be.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    fn over(mut inner: Inner) -> Engine {
        let (slot, session) = open_session(&mut inner);
        inner.shared.remotes.connector = Some(Box::new(Connector::new(None)));
        let clock = &inner.shared.clock;
        let refresh_ticks = clock.ticks_of(REFRESH_NANOS);
        let pace = Pace {
            untimed_left: 0,
            coarse: 0,
            timed_at: 0,
            quick_ticks: clock.ticks_of(QUICK_NANOS),
            watched_ticks: clock.ticks_of(WATCHED_NANOS),
        };
        Engine {
            inner,
            slot,
            session,
            verbs: Verbs::new(),
            pace,
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
        // The command may look at statistics, or begin to look at durations.
        self.verbs.count_untimed(&mut self.inner.shared);
        self.pace.untimed_left = 0;
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
                while inner.run_jobs(0) == Work::Left || inner.shared.jobs.wake_away(None) {}
                session.waiting = None;
                let reply = inner.shared.outbox.replies.pop().map(|(_, reply)| reply);
                match reply {
                    Some(reply) if !reply.is_empty() => read_reply(&reply),
                    _ => Reply::Null,
                }
            }
            // Nobody waits in process; `Postponed` is what CLIENT PAUSE holds back.
            Outcome::Postponed | Outcome::Blocked => {
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
        match self.read(key)? {
            None => Ok(None),
            Some(StringRef::Bytes(bytes)) => Ok(Some(Cow::Borrowed(bytes))),
            Some(StringRef::Block(block)) => Ok(Some(Cow::Borrowed(block.as_slice()))),
            Some(StringRef::Int(number)) => Ok(Some(Cow::Owned(number.to_string().into()))),
        }
    }

    /// GET: what `take` makes of the value, if there is one. Nothing is copied or allocated, whatever is stored.
    ///
    /// ```
    /// let mut engine = rufous::Engine::new();
    /// engine.set(b"visits", b"41", None)?;
    /// assert_eq!(engine.get_with(b"visits", |value| value.len())?, Some(2));
    /// assert_eq!(engine.get_with(b"none", |value| value.len())?, None);
    /// # Ok::<(), rufous::Error>(())
    /// ```
    #[inline]
    pub fn get_with<T>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        Ok(self.read(key)?.map(|value| take(value.as_bytes(&mut itoa::Buffer::new()))))
    }

    /// GET into a buffer of the caller's, replacing what is in it: whether there is a value. Without one it is empty.
    #[inline]
    pub fn get_into(&mut self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, Error> {
        into.clear();
        Ok(self.get_with(key, |value| into.extend_from_slice(value))?.is_some())
    }

    #[inline(always)]
    fn read(&mut self, key: &[u8]) -> Result<Option<StringRef<'_>>, Error> {
        let started = self.begin();
        let call = Call { command: &mut self.verbs.get, started, shown: &[key] };
        Ok(self.inner.direct_get(&mut self.session, key, call)?)
    }

    /// MGET: calls `each` with the place and value of every key in order; a key that holds no string has none.
    /// Memory latency of many keys overlaps, so this is the fastest way to read them: give it 50 or more at once.
    pub fn get_many(
        &mut self,
        keys: &[&[u8]],
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), Error> {
        let started = Some(self.begin_timed());
        let call = Call { command: &mut self.verbs.mget, started, shown: keys };
        let mut digits = itoa::Buffer::new();
        let each = |index: usize, value: Option<StringRef<'_>>| match value {
            Some(value) => each(index, Some(value.as_bytes(&mut digits))),
            None => each(index, None),
        };
        Ok(self.inner.direct_get_many(&mut self.session, keys, call, each)?)
    }

    /// SET, with PX where a time to live is given. One below a millisecond is refused, as a command's would be.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
        let is_short = ttl.is_none() && value.len() <= SHORT_BYTES;
        let started = if is_short { self.begin() } else { Some(self.begin_timed()) };
        let call = Call { command: &mut self.verbs.set, started, shown: &[key, value] };
        let work = |ctx: &mut Ctx<'_>, key: Key<'_>| {
            let ttl = match ttl {
                None => Ttl::Clear,
                Some(ttl) => Ttl::At(deadline(ctx.now, ttl, "set")?),
            };
            ctx.set(key, NewString::Bytes(value), ttl)
        };
        Ok(self.inner.direct(&mut self.session, key, call, work)?)
    }

    /// DEL of one key: whether it was there.
    #[inline]
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, Error> {
        let started = self.begin();
        let call = Call { command: &mut self.verbs.del, started, shown: &[key] };
        let session = &mut self.session;
        Ok(self.inner.direct(session, key, call, |ctx, key| Ok(ctx.delete(key)))?)
    }

    /// INCRBY: the sum. A key that is not there counts as 0.
    #[inline]
    pub fn incr(&mut self, key: &[u8], by: i64) -> Result<i64, Error> {
        let started = self.begin();
        let mut digits = itoa::Buffer::new();
        let shown = [key, digits.format(by).as_bytes()];
        let call = Call { command: &mut self.verbs.incrby, started, shown: &shown };
        let session = &mut self.session;
        Ok(self.inner.direct(session, key, call, |ctx, key| ctx.increment(key, by))?)
    }

    /// PEXPIRE: whether the key is there. A time of zero deletes it.
    pub fn expire(&mut self, key: &[u8], ttl: Duration) -> Result<bool, Error> {
        let started = Some(self.begin_timed());
        let mut digits = itoa::Buffer::new();
        let shown = [key, digits.format(ttl.as_millis()).as_bytes()];
        let call = Call { command: &mut self.verbs.pexpire, started, shown: &shown };
        let work = |ctx: &mut Ctx<'_>, key: Key<'_>| {
            let at = i64::try_from(ttl.as_millis()).ok().and_then(|ms| ctx.now.checked_add(ms));
            let at = at.ok_or(CmdError::InvalidExpire("pexpire"))?;
            if ctx.db.read_for_write(key).is_none() {
                return Ok(false);
            }
            ctx.expire_at(key, at).map(|()| true)
        };
        Ok(self.inner.direct(&mut self.session, key, call, work)?)
    }

    /// Messages to this client since the last call, such as those of MONITOR; of more than ten thousand the latest.
    pub fn messages(&mut self) -> Vec<Reply> {
        self.carry_out();
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

    /// The beginning of a direct call, in ticks; `None` where it need not be timed.
    #[inline]
    fn begin(&mut self) -> Option<u64> {
        let pace = &mut self.pace;
        if pace.untimed_left != 0 && sys::coarse_time() == pace.coarse {
            pace.untimed_left -= 1;
            return None;
        }
        Some(self.begin_timed())
    }

    /// The beginning of a direct call, in ticks; reads the time where it is too old.
    #[inline(never)]
    fn begin_timed(&mut self) -> u64 {
        let mut ticks = self.inner.shared.clock.ticks();
        if ticks >= self.refresh_at {
            self.refresh(ticks);
            // Background work is not the call's.
            ticks = self.inner.shared.clock.ticks();
        }
        let (pace, shared) = (&mut self.pace, &self.inner.shared);
        let is_watched =
            shared.thresholds.least_ticks < pace.watched_ticks || !shared.monitors.is_empty();
        let is_quick = ticks.saturating_sub(pace.timed_at) < pace.quick_ticks;
        pace.untimed_left = match is_quick && !is_watched {
            // The low bits of the counter have nothing to do with the keys, so no pattern of calls can hide in them.
            true => STREAK + (ticks as u32 & STREAK_MORE),
            false => 0,
        };
        pace.coarse = sys::coarse_time();
        pace.timed_at = ticks;
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
        if shared.tracking.is_broadcast_due() {
            shared.broadcast();
        }
        if !shared.outbox.pending.is_empty() {
            let mut told = Output::default();
            shared.settle_pending(&mut self.session, &mut told);
            shared.outbox.messages.push((self.slot, told.to_bytes().into()));
        }
        let outbox = &mut shared.outbox;
        for (slot, message) in outbox.messages.drain(..).chain(outbox.monitor_lines.drain(..)) {
            if slot == self.slot {
                self.messages.push_back(message);
            }
        }
        shared.outbox.has_letters = false;
        let mut slots = Vec::new();
        while let Some(letter) = shared.pubsub.next_batch(1, &mut slots) {
            if slots.drain(..).any(|slot| slot == self.slot) {
                let mut bytes = Output::default();
                letter.write_to(&mut bytes, self.session.resp);
                self.messages.push_back(bytes.to_bytes().into());
            }
        }
        let excess = self.messages.len().saturating_sub(MESSAGES_MAX);
        self.messages.drain(..excess);
        shared.outbox.kills.clear();
        let has_ended = shared.outbox.shutdown.take().is_some();
        if self.session.closes_after_reply || self.session.is_killed {
            shared.monitors.retain(|&slot| slot != self.slot);
            shared.forget_listener(self.slot);
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
    inner.shared.admit(&mut session);
    session.set_authenticated(true);
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

    fn count_untimed(&mut self, shared: &mut Shared) {
        let Verbs { get, mget, set, del, incrby, pexpire } = self;
        for verb in [get, mget, set, del, incrby, pexpire] {
            verb.count_untimed(shared);
        }
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
