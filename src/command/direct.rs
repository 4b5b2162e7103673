//! Commands without a request: what who embeds the engine calls for one key, with values in place of RESP.
//!
//! ```text
//! admit (the gate: what can refuse it) ──▶ the keyspace ──▶ settle (counters, MONITOR, slow log)
//! ```
//!
//! A direct command is counted, shown to MONITOR and the slow log, and held back by CLIENT PAUSE like the command it
//! stands for; what it leaves out is arguments, arity, authentication and the reply. Its caller says which calls
//! are timed. Reading the processor's counter makes it wait for every load under way, so two reads per call keep the
//! cache misses of consecutive calls from overlapping: measured, 350 ns instead of 160 per GET of a random one of a
//! million keys. A call that is not timed is counted with the next one that is, at that one's duration: the number of
//! calls is exact, their time an estimate, from a choice of calls that does not depend on what they do.
//!
//! Cost: the lookup and about 10 ns; timed, 30 ns more and the overlap.
use crate::base::hash::Key;
use crate::command::spec::flag;
use crate::command::table::{CommandTable, Found};
use crate::engine::ctx::{Ctx, OtherDbs};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::proto::reply::{Output, Reply};
use crate::store::{Db, Lead, StringRef, WrongType};

/// Keys in work at once: as many as a word has bits, and about what the cache takes.
const BLOCK: usize = 64;

/// The command that a direct one stands for, whatever `rename-command` calls it.
#[derive(Clone, Copy)]
pub struct Direct {
    found: Found,
    /// Calls since the last timed one.
    untimed: u32,
    /// What that one took.
    ticks: u64,
}

impl Direct {
    /// The commands of these names. Some microseconds: to be kept.
    ///
    /// # Panics
    /// On a name that no command has, which the first test that makes an engine finds.
    pub fn named<const N: usize>(names: [&str; N]) -> [Direct; N] {
        let table = CommandTable::new();
        names.map(|name| match table.find(name.as_bytes()) {
            Some(found) => Direct { found, untimed: 0, ticks: 0 },
            None => panic!("no command {name}"),
        })
    }

    /// Counts what has not been: before anybody looks at statistics.
    pub fn count_untimed(&mut self, shared: &mut Shared) {
        let calls = std::mem::take(&mut self.untimed);
        if calls != 0 {
            shared.count_calls(self.found.id, calls, self.ticks);
        }
    }
}

/// One call of a direct command.
pub struct Call<'c> {
    /// Which command.
    pub command: &'c mut Direct,
    /// When it began, in ticks of the engine's clock; `None` for a call that is not timed, which neither MONITOR nor
    /// the slow log see.
    pub started: Option<u64>,
    /// What those show behind its name.
    pub shown: &'c [&'c [u8]],
}

impl Engine {
    /// The string of a key, as GET reads it.
    #[inline(always)]
    pub fn direct_get(
        &mut self,
        session: &mut Session,
        key: &[u8],
        mut call: Call<'_>,
    ) -> Result<Option<StringRef<'_>>, CmdError> {
        self.admit(session, call.command)?;
        let key = self.hasher.key(key);
        let Some(db) = selected(&mut self.dbs, &self.shared, session) else {
            return Err(NO_DATABASE);
        };
        let found = db.string(key);
        match found {
            Ok(found) => {
                settle(&mut self.shared, session, &mut call);
                Ok(found)
            }
            Err(WrongType) => Err(fail(&mut self.shared, session, &mut call, WrongType.into())),
        }
    }

    /// Gives `each` the string of every key in turn, as MGET reads them: absent where there is none or it is none.
    pub fn direct_get_many(
        &mut self,
        session: &mut Session,
        keys: &[&[u8]],
        mut call: Call<'_>,
        mut each: impl FnMut(usize, Option<StringRef<'_>>),
    ) -> Result<(), CmdError> {
        self.admit(session, call.command)?;
        let Some(db) = selected(&mut self.dbs, &self.shared, session) else {
            return Err(NO_DATABASE);
        };
        // Pass by pass, so that the misses of a block overlap: buckets, entries, entries that are not in the first
        // bucket of their chain, values.
        let mut ahead = [(0, Lead::default()); BLOCK];
        for (number, block) in keys.chunks(BLOCK).enumerate() {
            for (key, (hash, _)) in block.iter().zip(&mut ahead) {
                *hash = self.hasher.hash(key);
                db.prefetch_bucket(*hash);
            }
            let mut behind = 0u64;
            for (index, (hash, lead)) in ahead[..block.len()].iter_mut().enumerate() {
                *lead = db.prefetch_entry(*hash);
                behind |= u64::from(lead.is_behind()) << index;
            }
            while behind != 0 {
                let (hash, lead) = &mut ahead[behind.trailing_zeros() as usize % BLOCK];
                *lead = db.prefetch_entry_behind(*hash);
                behind &= behind - 1;
            }
            for ((index, bytes), &(hash, lead)) in (number * BLOCK..).zip(block).zip(&ahead) {
                each(index, db.string_ahead(Key { bytes, hash }, lead).unwrap_or(None));
            }
        }
        settle(&mut self.shared, session, &mut call);
        Ok(())
    }

    /// Runs `work` on a key as a handler would run.
    #[inline]
    pub fn direct<T>(
        &mut self,
        session: &mut Session,
        key: &[u8],
        mut call: Call<'_>,
        work: impl FnOnce(&mut Ctx<'_>, Key<'_>) -> Result<T, CmdError>,
    ) -> Result<T, CmdError> {
        self.admit(session, call.command)?;
        let key = self.hasher.key(key);
        let shared = &mut self.shared;
        let now = shared.clock.unix_ms();
        let Some((db, others)) = OtherDbs::around(&mut self.dbs, session.db) else {
            return Err(NO_DATABASE);
        };
        db.begin(now, shared.is_lfu);
        db.no_touch = session.is_no_touch;
        let mut unused = Output::default();
        let reply = Reply::new(&mut unused, session.resp);
        let mut ctx = Ctx { db, others, reply, client: session, engine: shared, now };
        match work(&mut ctx, key) {
            Ok(done) => {
                settle(&mut self.shared, session, &mut call);
                Ok(done)
            }
            Err(error) => Err(fail(&mut self.shared, session, &mut call, error)),
        }
    }
}

/// A session's index is checked when it is set.
const NO_DATABASE: CmdError = CmdError::Text("ERR DB index is out of range");

#[inline]
fn selected<'d>(dbs: &'d mut [Db], shared: &Shared, session: &Session) -> Option<&'d mut Db> {
    let db = dbs.get_mut(session.db)?;
    db.begin(shared.clock.unix_ms(), shared.is_lfu);
    db.no_touch = session.is_no_touch;
    Some(db)
}

impl Engine {
    /// The gate: all that can keep a direct command from running is asked here and nowhere else, in the order of
    /// `execute`: the limit of memory, then CLIENT PAUSE. A command refused here is not counted as one that ran.
    #[inline]
    fn admit(&mut self, session: &mut Session, command: &Direct) -> Result<(), CmdError> {
        let Found { id, command, .. } = command.found;
        self.make_room_now(session.db);
        let shared = &mut self.shared;
        session.last_command = Some(id);
        session.active_ms = shared.clock.unix_ms();
        shared.refuse_writes(id)?;
        if shared.pause.is_some() {
            let may_write = command.flags & (flag::WRITE | flag::MAY_REPLICATE) != 0;
            if shared.is_paused(may_write) {
                return Err(PAUSED);
            }
        }
        Ok(())
    }
}

/// A client of a server waits; a caller in process is told.
pub const PAUSED: CmdError = CmdError::Text("ERR the engine is paused by CLIENT PAUSE");

/// What follows a command that failed.
#[cold]
fn fail(shared: &mut Shared, session: &Session, call: &mut Call<'_>, error: CmdError) -> CmdError {
    shared.stats.count_failure(call.command.found.id, &error.message());
    settle(shared, session, call);
    error
}

/// What follows a command: statistics, MONITOR, slow log.
#[inline(always)]
fn settle(shared: &mut Shared, session: &Session, call: &mut Call<'_>) {
    match call.started {
        None => call.command.untimed += 1,
        Some(started) => settle_timed(shared, session, call, started),
    }
}

#[inline(never)]
fn settle_timed(shared: &mut Shared, session: &Session, call: &mut Call<'_>, started: u64) {
    let id = call.command.found.id;
    let ticks = shared.clock.ticks().saturating_sub(started);
    let calls = std::mem::take(&mut call.command.untimed) + 1;
    call.command.ticks = ticks;
    shared.count_calls(id, calls, ticks);
    if !shared.monitors.is_empty() || ticks >= shared.thresholds.least_ticks {
        // Nothing of it went over a network.
        shared.tell(session, id, call.shown, ticks, 0);
    }
}
