//! Commands without a request: what who embeds the engine calls for one key, with values in place of RESP.
//!
//! A direct command is counted, timed, shown to MONITOR and the slow log, and held back by CLIENT PAUSE like the
//! command it stands for; what it leaves out is arguments, arity, authentication and the reply. Cost: the lookup
//! and about 20 ns.
use crate::base::hash::Key;
use crate::command::spec::flag;
use crate::command::table::{CommandTable, Found};
use crate::engine::ctx::{Ctx, OtherDbs};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::proto::reply::{Output, Reply};
use crate::store::{Db, StringRef};

/// How many keys a bucket is fetched ahead of the entry, and the entry ahead of its use.
const AHEAD: usize = 16;

/// The command that a direct one stands for, whatever `rename-command` calls it.
#[derive(Clone, Copy)]
pub struct Direct {
    found: Found,
}

impl Direct {
    /// The commands of these names. Some microseconds: to be kept.
    ///
    /// # Panics
    /// On a name that no command has, which the first test that makes an engine finds.
    pub fn named<const N: usize>(names: [&str; N]) -> [Direct; N] {
        let table = CommandTable::new();
        names.map(|name| match table.find(name.as_bytes()) {
            Some(found) => Direct { found },
            None => panic!("no command {name}"),
        })
    }
}

/// One call of a direct command.
pub struct Call<'c> {
    /// Which command.
    pub command: Direct,
    /// When it began, in ticks of the engine's clock.
    pub started: u64,
    /// What MONITOR and the slow log show behind its name.
    pub shown: &'c [&'c [u8]],
}

impl Engine {
    /// The string of a key, as GET reads it.
    #[inline]
    pub fn direct_get(
        &mut self,
        session: &mut Session,
        key: &[u8],
        call: &Call<'_>,
    ) -> Result<Option<StringRef<'_>>, CmdError> {
        self.make_room_now(session.db);
        admit(&mut self.shared, session, call)?;
        let key = self.hasher.key(key);
        let db = selected(&mut self.dbs, &self.shared, session)?;
        let result = db.string(key).map_err(CmdError::from);
        settle(&mut self.shared, session, call, result.as_ref().err());
        result
    }

    /// Gives `each` the string of every key in turn, as MGET reads them: absent where there is none or it is none.
    pub fn direct_get_many(
        &mut self,
        session: &mut Session,
        keys: &[&[u8]],
        call: &Call<'_>,
        mut each: impl FnMut(usize, Option<StringRef<'_>>),
    ) -> Result<(), CmdError> {
        self.make_room_now(session.db);
        admit(&mut self.shared, session, call)?;
        let db = selected(&mut self.dbs, &self.shared, session)?;
        // Three keys are in work at once: of one the bucket is fetched, of one the entry, one is read.
        let mut hashes = [0; 2 * AHEAD];
        for step in 0..keys.len() + 2 * AHEAD {
            if let Some(index) = step.checked_sub(2 * AHEAD) {
                let (bytes, hash) = (keys[index], hashes[index % hashes.len()]);
                each(index, db.string(Key { bytes, hash }).unwrap_or(None));
            }
            if let Some(index) = step.checked_sub(AHEAD).filter(|&index| index < keys.len()) {
                db.prefetch_entry(hashes[index % hashes.len()]);
            }
            if let Some(key) = keys.get(step) {
                let hash = self.hasher.hash(key);
                hashes[step % hashes.len()] = hash;
                db.prefetch_bucket(hash);
            }
        }
        settle(&mut self.shared, session, call, None);
        Ok(())
    }

    /// Runs `work` on a key as a handler would run.
    #[inline]
    pub fn direct<T>(
        &mut self,
        session: &mut Session,
        key: &[u8],
        call: &Call<'_>,
        work: impl FnOnce(&mut Ctx<'_>, Key<'_>) -> Result<T, CmdError>,
    ) -> Result<T, CmdError> {
        self.make_room_now(session.db);
        admit(&mut self.shared, session, call)?;
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
        let result = work(&mut ctx, key);
        settle(&mut self.shared, session, call, result.as_ref().err());
        result
    }
}

/// A session's index is checked when it is set.
const NO_DATABASE: CmdError = CmdError::Text("ERR DB index is out of range");

#[inline]
fn selected<'d>(
    dbs: &'d mut [Db],
    shared: &Shared,
    session: &Session,
) -> Result<&'d mut Db, CmdError> {
    let db = dbs.get_mut(session.db).ok_or(NO_DATABASE)?;
    db.begin(shared.clock.unix_ms(), shared.is_lfu);
    db.no_touch = session.is_no_touch;
    Ok(db)
}

/// What can keep a direct command from running.
#[inline]
fn admit(shared: &mut Shared, session: &mut Session, call: &Call<'_>) -> Result<(), CmdError> {
    let Found { id, command, .. } = call.command.found;
    session.last_command = Some(id);
    session.active_ms = shared.clock.unix_ms();
    shared.refuse_without_room(id)?;
    if shared.pause.is_none() {
        return Ok(());
    }
    let may_write = command.flags & (flag::WRITE | flag::MAY_REPLICATE) != 0;
    if shared.is_paused(may_write) { Err(PAUSED) } else { Ok(()) }
}

/// A client of a server waits; a caller in process is told.
pub const PAUSED: CmdError = CmdError::Text("ERR the engine is paused by CLIENT PAUSE");

/// What follows a command: statistics, MONITOR, slow log.
#[inline]
fn settle(shared: &mut Shared, session: &Session, call: &Call<'_>, error: Option<&CmdError>) {
    let ticks = shared.clock.ticks().saturating_sub(call.started);
    let id = call.command.found.id;
    shared.count_call(id, ticks);
    if let Some(error) = error {
        shared.stats.count_failure(id, &error.message());
    }
    if !shared.monitors.is_empty() || ticks >= shared.watch.least_ticks {
        shared.tell(session, id, call.shown, ticks);
    }
}
