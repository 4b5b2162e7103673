//! What every front door but RESP does with the keyspace: typed verbs, no reply to be parsed.
//!
//! [`Engine::perform`] puts around a verb what `Engine::execute` puts around a command: statistics under the name
//! of the Redis command it stands for, CLIENT LIST, MONITOR, the slow log and the latency monitor. The verb itself is
//! a closure over [`Ctx`]: it finds its value in the database and encodes it where it lies, so nothing is copied
//! between keyspace and output and no RESP is written. Verbs that change go through [`Ctx::changed`] as commands do.
//! Whoever calls has asked about authentication, the user's rules and CLIENT PAUSE before.
//!
//! Cost above the verb: one read of the processor's counter (its end is the next one's beginning) and some additions.
use crate::base::hash::{Key, KeyHasher};
use crate::base::number::parse_i64;
use crate::base::probes;
use crate::base::time::UnixMillis;
use crate::engine::acl;
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx, Event, OtherDbs};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::{CmdError, NO_REPLICAS};
use crate::engine::evict::Room;
use crate::engine::hotkeys::Usage;
use crate::engine::monitor;
use crate::engine::session::Session;
use crate::engine::spec::flag;
use crate::engine::table::{CommandId, CommandTable};
use crate::proto::args::OwnedArgs;
use crate::proto::reply::{Output, Reply};
use crate::store::{NewString, StringRef, Ttl};

macro_rules! verbs {
    ($($variant:ident $name:literal,)*) => {
        /// What a front door asks for, by the Redis command that does the same.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        /// Their names, by their place in the enum.
        const NAMES: &[&str] = &[$($name,)*];
    };
}

verbs! {
    Get "get", Set "set", Del "del", Exists "exists", Append "append",
    Incr "incr", IncrBy "incrby", Decr "decr", DecrBy "decrby", GetSet "getset",
    SetNx "setnx", SetEx "setex", GetDel "getdel", MGet "mget", MSet "mset",
    Expire "expire", FlushDb "flushdb", FlushAll "flushall", DbSize "dbsize", Info "info",
    Ping "ping", Quit "quit",
}

impl Verb {
    /// Name of its command.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The commands behind the verbs, by their place in the enum.
#[derive(Clone, Debug)]
pub struct VerbIds([Option<CommandId>; NAMES.len()]);

impl VerbIds {
    /// Looks all of them up. One that `rename-command` has taken away or hidden under another name is none here.
    pub fn of(table: &CommandTable) -> VerbIds {
        let id =
            |name: &str| table.lookup(name.as_bytes()).filter(|&id| table.full_name(id) == name);
        VerbIds(std::array::from_fn(|at| id(NAMES[at])))
    }

    /// The command of a verb; `None`: it is not to be had in this server.
    pub fn id(&self, verb: Verb) -> Option<CommandId> {
        self.0[verb as usize]
    }
}

impl Engine {
    /// Runs `body` as `verb` of this client and counts it. `arguments` is what MONITOR and the slow log show after the
    /// command's name. The body encodes its answer into `ctx.reply.output()`; with an error what it wrote is taken
    /// back, and the caller encodes the error; [`CmdError::Parked`] says that it has changed nothing and is to be a job
    /// ([`Engine::park_verb`]), and is not counted. `started` is when the time of this verb begins, in ticks; it is
    /// moved to its end.
    pub fn perform(
        &mut self,
        session: &mut Session,
        verb: Verb,
        arguments: &[&[u8]],
        out: &mut Output,
        started: &mut u64,
        body: impl FnOnce(&mut Ctx<'_>) -> CmdResult,
    ) -> CmdResult {
        if self.make_room_now(session.db) {
            // Not the verb's time.
            *started = self.shared.clock.ticks();
        }
        let (id, now) = match self.begin_verb(session, verb) {
            Ok(begun) => begun,
            Err(refusal) => {
                *started = self.shared.clock.ticks();
                return Err(refusal);
            }
        };
        let shared = &mut self.shared;
        let Some((db, others)) = OtherDbs::around(&mut self.dbs, session.db) else {
            // A client's index is checked when it is set.
            return Ok(());
        };
        db.begin(now, shared.is_lfu);
        db.no_touch = session.is_no_touch;
        let mark = out.mark();
        let reply = Reply::new(out, session.resp);
        let mut ctx = Ctx { db, others, reply, client: session, engine: shared, now };
        probes::command_begin(|| verb.name());
        let result = body(&mut ctx);
        if matches!(result, Err(CmdError::Parked)) {
            // Whoever makes a job of it has that counted.
            out.rewind(mark);
            return result;
        }
        let clock = &self.shared.clock;
        let ended = clock.ticks();
        let ticks = ended.saturating_sub(*started);
        *started = ended;
        probes::command_end(|| verb.name(), || clock.nanos(ticks));
        if result.is_err() {
            out.rewind(mark);
        }
        let reply_bytes = out.len_since(mark);
        self.account_verb(session, id, arguments, (ticks, reply_bytes), &result);
        result
    }

    /// Everything before the body but its clock: its command, and the time it sees. Refusals are counted.
    #[inline]
    pub fn begin_verb(
        &mut self,
        session: &mut Session,
        verb: Verb,
    ) -> Result<(CommandId, UnixMillis), CmdError> {
        let shared = &mut self.shared;
        let now = shared.clock.unix_ms();
        session.active_ms = now;
        let Some(id) = shared.verbs.id(verb) else {
            let error = CmdError::unknown_command(verb.name().as_bytes(), std::iter::empty());
            shared.stats.count_error(&error.message());
            return Err(error);
        };
        session.last_command = Some(id);
        shared.refuse_writes(id)?;
        Ok((id, now))
    }

    /// Everything after the body, as for commands.
    #[inline]
    fn account_verb(
        &mut self,
        session: &Session,
        id: CommandId,
        arguments: &[&[u8]],
        (ticks, reply_bytes): (u64, usize),
        result: &CmdResult,
    ) {
        let shared = &mut self.shared;
        shared.count_call(id, ticks);
        if let Err(error) = result {
            shared.stats.count_failure(id, &error.message());
        }
        if !shared.monitors.is_empty() || ticks >= shared.thresholds.least_ticks {
            shared.tell(session, id, arguments, ticks, reply_bytes);
        }
    }
}

impl Shared {
    /// Whether the user of this client lets it do that with each of these keys. A refusal is counted, and in the log of
    /// ACL.
    #[cold]
    pub fn check_verb(&mut self, session: &mut Session, verb: Verb, keys: &[&[u8]]) -> CmdResult {
        // That there is none somebody else tells.
        let Some(id) = self.verbs.id(verb) else { return Ok(()) };
        let found = self.table.found(id);
        let name = self.table.full_name(id).as_bytes();
        // In the place of a value, which nobody asks for.
        let has_value = matches!(verb, Verb::Set | Verb::MSet);
        let value: &[&[u8]] = if has_value { &[b""] } else { &[] };
        // Nothing of it is looked up.
        let hasher = KeyHasher::new(0);
        // One by one: a verb may take more keys than the command it stands for.
        for key in keys.chunks(1).chain(keys.is_empty().then_some(keys)) {
            let owned = OwnedArgs::from_parts([&[name], key, value].concat());
            let list = owned.lend(&hasher);
            acl::check(self, session, found, list.args()).inspect_err(|error| {
                if let Some(stats) = self.stats.commands.get_mut(id.index()) {
                    stats.rejected += 1;
                }
                self.stats.count_error(&error.message());
            })?;
        }
        Ok(())
    }

    /// MONITOR, the slow log and HOTKEYS: the only ones that need what ran as a list of arguments.
    #[cold]
    pub fn tell(
        &mut self,
        session: &Session,
        id: CommandId,
        arguments: &[&[u8]],
        ticks: u64,
        reply_bytes: usize,
    ) {
        let command = self.table.command(id);
        let name = self.table.full_name(id).as_bytes();
        let owned = OwnedArgs::from_parts(std::iter::once(name).chain(arguments.iter().copied()));
        // Nothing of it is looked up as a key.
        let hasher = KeyHasher::new(0);
        let list = owned.lend(&hasher);
        let is_hidden = command.flags & (flag::SKIP_MONITOR | flag::ADMIN) != 0;
        if !self.monitors.is_empty() && !is_hidden {
            monitor::feed(self, session, list.args());
        }
        if ticks >= self.thresholds.least_ticks {
            self.note_culprit(session, id, list.args(), ticks);
            self.record_slow(session, list.args(), command, ticks);
            self.note_command_spike(command, ticks);
            let bytes = (list.args().wire_bytes() + reply_bytes) as u64;
            self.note_hot_keys(command, list.args(), Usage { ticks, bytes });
        }
    }

    /// The error for a command that may add data where nothing can be evicted, or that writes where replicas are
    /// missing; counted as a refusal.
    #[inline]
    pub fn refuse_writes(&mut self, id: CommandId) -> CmdResult {
        let flags = self.table.command(id).flags;
        let error = if self.eviction.room == Room::Out && flags & flag::DENYOOM != 0 {
            CmdError::OutOfMemory
        } else if self.lacks_replicas() && flags & flag::WRITE != 0 {
            NO_REPLICAS
        } else {
            return Ok(());
        };
        if let Some(stats) = self.stats.commands.get_mut(id.index()) {
            stats.rejected += 1;
        }
        self.stats.count_error(&error.message());
        Err(error)
    }

    /// Why this client may not run verbs now, if so: a password is set, and these doors have no way to give it.
    #[inline]
    pub fn refuses_verbs(&self, session: &Session) -> bool {
        self.thresholds.needs_password && !session.is_authenticated()
    }
}

/// The data half of commands, shared by handlers, front doors and programs that embed the engine: no arguments,
/// no reply. Each says [`Ctx::changed`] itself.
impl Ctx<'_> {
    /// Sets a key to a string; what it held before and its TTL are gone.
    #[inline]
    pub fn set(&mut self, key: Key<'_>, value: NewString<'_>, ttl: Ttl) -> CmdResult {
        self.db.set_string(key, value, ttl)?;
        let event = if matches!(ttl, Ttl::At(_)) { Event::SetExpiring } else { Event::Set };
        self.changed(event, key.bytes);
        Ok(())
    }

    /// Removes a key; whether there was one.
    #[inline]
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        let is_removed = self.db.remove(key);
        if is_removed {
            self.changed(Event::Del, key.bytes);
        }
        is_removed
    }

    /// Adds to the integer at a key, an absent one being 0; the sum. The errors are those of INCRBY.
    pub fn increment(&mut self, key: Key<'_>, increment: i64) -> Result<i64, CmdError> {
        let old = match self.db.string_for_write(key)? {
            None => 0,
            Some(StringRef::Int(number)) => number,
            Some(StringRef::Bytes(bytes)) => parse_i64(bytes).ok_or(CmdError::NotInteger)?,
            Some(StringRef::Block(_)) => return Err(CmdError::NotInteger),
        };
        let Some(sum) = old.checked_add(increment) else {
            return Err(CmdError::Text("ERR increment or decrement would overflow"));
        };
        self.db.set_string(key, NewString::Int(sum), Ttl::Keep)?;
        self.changed(Event::IncrBy, key.bytes);
        Ok(sum)
    }

    /// Adds bytes to the end of a string; its new length. Refused above `proto-max-bulk-len`.
    pub fn append(&mut self, key: Key<'_>, bytes: &[u8]) -> Result<usize, CmdError> {
        let before = self.db.string_for_write(key)?.map_or(0, |value| value.len());
        let length_max = self.engine.config.int(Opt::ProtoMaxBulkLen).max(0) as usize;
        if before.checked_add(bytes.len()).is_none_or(|length| length > length_max) {
            return Err(CmdError::Text(
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            ));
        }
        let length = self.db.append(key, bytes)?;
        self.changed(Event::Append, key.bytes);
        Ok(length)
    }

    /// Has a key expire at `at` (now or before: at once); whether there is such a key.
    pub fn expire(&mut self, key: Key<'_>, at: UnixMillis) -> Result<bool, CmdError> {
        if self.db.read_for_write(key).is_none() {
            return Ok(false);
        }
        self.expire_at(key, at)?;
        Ok(true)
    }

    /// Gives a key that exists an expiry; one that is not in the future deletes it.
    #[inline]
    pub fn expire_at(&mut self, key: Key<'_>, at: UnixMillis) -> CmdResult {
        if at <= self.now {
            self.delete(key);
            return Ok(());
        }
        self.db.set_expiry(key, Some(at)).map_err(|_| CmdError::OutOfMemory)?;
        self.changed(Event::Expire, key.bytes);
        Ok(())
    }
}
