//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Between MULTI and EXEC commands are checked and queued (`queue`), not run. EXEC runs them one after the other with
//! nobody in between. A short one runs at once. One that has not ended in its first slice goes on as a job that holds
//! every key its commands name, so others go on beside it and none of them can see it half done; one that names very
//! many keys takes them in slices before it begins.
use std::collections::BTreeSet;

use crate::base::chunks::Chunks;
use crate::base::hash::KeyHasher;
use crate::base::number::parse_i64;
use crate::base::time::UnixMillis;
use crate::command::claims::{self, Around, places_of_db};
use crate::command::keys::ranges_of;
use crate::command::nested::Inner;
use crate::command::script_run;
use crate::command::spec::flag::{
    ALLOW_BUSY, EMPTIES, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE,
};
use crate::command::spec::{Command, Group, KeySpec, access, category, command, doc};
use crate::command::watch_many;
use crate::engine::acl;
use crate::engine::changes::listener;
use crate::engine::compound::Compound;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, INDEX, KeySource, Place, Step, UNITS_AT_ONCE, WHOLE};
use crate::engine::session::{Nesting, Replies, Session, restraint};
use crate::engine::table::Found;
use crate::engine::transaction::{Queued, Transaction};
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::{Output, Reply};
use crate::store::Hold;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[MULTI, EXEC, DISCARD, WATCH, UNWATCH];

const MULTI: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    categories: category::TRANSACTION,
    doc: doc("1.2.0", "O(1)", "", "Mark the start of a transaction block"),
    ..command(Group::Transactions, "multi", 1, multi)
};

const EXEC: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG,
    categories: category::TRANSACTION,
    doc: doc(
        "1.2.0",
        "Depends on commands in the transaction",
        "",
        "Execute all commands issued after MULTI",
    ),
    ..command(Group::Transactions, "exec", 1, exec)
};

const DISCARD: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    categories: category::TRANSACTION,
    doc: doc(
        "2.0.0",
        "O(N), when N is the number of queued commands",
        "",
        "Discard all commands issued after MULTI",
    ),
    ..command(Group::Transactions, "discard", 1, discard)
};

const WATCH: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    categories: category::TRANSACTION,
    keys: &[KeySpec::range(access::RO, 1, -1, 1)],
    doc: doc(
        "2.2.0",
        "O(1) for every key.",
        "key:key...",
        "Watch the given keys to determine execution of the MULTI/EXEC block",
    ),
    ..command(Group::Transactions, "watch", -2, watch)
};

const UNWATCH: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    categories: category::TRANSACTION,
    doc: doc("2.2.0", "O(1)", "", "Forget about all watched keys"),
    ..command(Group::Transactions, "unwatch", 1, unwatch)
};

/// Whether a command is never queued.
pub(super) fn is_control(command: &Command) -> bool {
    let may_begin = matches!(command.name, "multi" | "watch");
    may_end(command) || (may_begin && command.group == Group::Transactions)
}

/// Whether a command may end a transaction: it is not refused for the memory that queueing takes.
pub(super) fn may_end(command: &Command) -> bool {
    let is_own = matches!(command.group, Group::Transactions | Group::Connection);
    is_own && matches!(command.name, "exec" | "discard" | "quit" | "reset")
}

/// Whether a command waits until it is known which keys watched have come with a database: EXEC of one who watches, and
/// what would have to look at all keys watched again.
#[cold]
pub(super) fn waits_for_sweep(shared: &Shared, session: &Session, command: &Command) -> bool {
    match &session.transaction {
        Some(transaction) => {
            command.name == "exec"
                && (shared.watch.is_watching(session.id) || transaction.is_about_all())
        }
        None => command.name == "swapdb" || command.flags & EMPTIES != 0,
    }
}

/// Queues a command that nothing is wrong with.
#[cold]
pub(super) fn queue(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
    out: &mut Output,
) {
    let mark = out.mark();
    let is_dirty = shared.watch.is_dirty(session.id);
    let flags = match found.command.group {
        Group::Scripting => script_run::flags_of(shared, found.command, args),
        _ => found.command.flags,
    };
    if let Some(transaction) = &mut session.transaction
        && !is_dirty
        && !transaction.is_aborted()
    {
        let keys = KeySource::Ranges(ranges_of(found.command, args)).len();
        if let Some(db) = selected_by(&found, args) {
            transaction.note_db(db);
        }
        transaction.push(found, flags, OwnedArgs::copy_of(args), keys);
    }
    session.last_command = Some(found.id);
    session.active_ms = shared.clock.unix_ms();
    Reply::new(out, session.resp).simple("QUEUED");
    if session.replies != Replies::On {
        session.filter_reply(mark, out);
    }
}

/// The database that a command selects, if it is SELECT and there may be one of that index.
fn selected_by(found: &Found, args: Args<'_>) -> Option<usize> {
    let is_select = found.command.name == "select" && found.command.group == Group::Connection;
    parse_i64(is_select.then(|| args.at(1))?).and_then(|index| usize::try_from(index).ok())
}

fn multi(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.client.transaction.is_some() {
        return Err(CmdError::Text("ERR MULTI calls can not be nested"));
    }
    ctx.client.begin_transaction();
    ctx.reply.ok();
    Ok(())
}

fn discard(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.client.transaction.is_none() {
        return Err(CmdError::Text("ERR DISCARD without MULTI"));
    }
    bury(ctx.engine, ctx.client.end_transaction());
    ctx.engine.unwatch(ctx.client);
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if ctx.client.transaction.is_some() {
        return Err(CmdError::Text("ERR WATCH inside MULTI is not allowed"));
    }
    // Keys that change later change nothing about a transaction that is lost already.
    if !ctx.engine.watch.is_dirty(ctx.client.id) {
        if ctx.is_long(args.len() - 2) {
            return ctx.run_compound(watch_many::WatchMany::new(ctx, args.len()));
        }
        watch_many::watch_some(ctx, args, 1..args.len());
    }
    ctx.reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.engine.unwatch(ctx.client);
    ctx.reply.ok();
    Ok(())
}

impl Shared {
    /// A client watches nothing any more.
    pub fn unwatch(&mut self, client: &mut Session) {
        self.watch.forget(client.id);
        self.listen(listener::WATCHED, !self.watch.is_empty());
        if std::mem::take(&mut client.watched_bytes) != 0 {
            self.clients.recount(client);
        }
    }
}

fn exec(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.client.transaction.is_none() {
        return Err(CmdError::Text("ERR EXEC without MULTI"));
    }
    let is_lost = is_lost(ctx.engine, ctx.client, ctx.now);
    let is_aborted = ctx.client.transaction.as_ref().is_some_and(|queued| queued.is_aborted());
    if is_lost || is_aborted {
        ctx.engine.unwatch(ctx.client);
        bury(ctx.engine, ctx.client.end_transaction());
        if is_aborted {
            return Err(CmdError::Text(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        ctx.reply.null_array();
        return Ok(());
    }
    let Some(transaction) = ctx.client.end_transaction() else { return Ok(()) };
    let (now, db) = (ctx.now, ctx.db_index());
    let (next, looked_at, looks_for) = (0, 0, Hold::Write);
    ctx.run_compound(Exec {
        transaction,
        next,
        inner: None,
        looked_at,
        looks_for,
        home: db,
        db,
        now,
    })
}

/// Whether a key that the client watches has changed, or its time is over.
fn is_lost(shared: &Shared, client: &Session, now: UnixMillis) -> bool {
    shared.listeners & listener::WATCHED != 0
        && (shared.watch.is_dirty(client.id) || shared.watch.is_past(client.id, now))
}

fn bury(shared: &mut Shared, transaction: Option<Box<Transaction>>) {
    if let Some(transaction) = transaction {
        shared.graveyard.bury_garbage(Box::new(transaction.into_commands()));
    }
}

/// The keys that EXEC needs before it begins; nothing where they are very many, as it takes them itself then.
pub(super) fn places_of_exec(
    around: Around,
    selected: usize,
    transaction: &Transaction,
    hasher: &KeyHasher,
) -> Vec<(Place, Hold)> {
    if transaction.units() > UNITS_AT_ONCE {
        return Vec::new();
    }
    let mut places = Vec::new();
    let mut db = selected;
    for queued in transaction.commands().iter() {
        db = add_keys(around, db, queued, hasher, &mut places);
    }
    places
}

/// Adds the keys a queued command names in database `db`, without what stands for databases; in which database the next
/// one works.
fn add_keys(
    around: Around,
    db: usize,
    Queued { found, args }: &Queued,
    hasher: &KeyHasher,
    places: &mut impl Extend<(Place, Hold)>,
) -> usize {
    let list = args.lend(hasher);
    let db = selected_by(found, list.args()).filter(|&db| db < around.db_count).unwrap_or(db);
    let needed = claims::all_places_of(around, db, *found, list.args()).into_iter();
    places.extend(needed.filter(|((_, hash), _)| *hash != INDEX && *hash != WHOLE));
    db
}

/// EXEC on its way.
struct Exec {
    transaction: Box<Transaction>,
    /// The first command that has not begun.
    next: usize,
    /// The one that has not ended.
    inner: Option<Box<Inner>>,
    /// So many of them have been asked for their keys.
    looked_at: usize,
    /// For which of them: what is both read and written is taken for writing first, since nobody who reads, the
    /// transaction itself neither, is made to let go of a key.
    looks_for: Hold,
    /// The database that the first of them works in.
    home: usize,
    /// The database that the next of those works in.
    db: usize,
    /// All of them see this instant.
    now: UnixMillis,
}

impl Compound for Exec {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        _args: Args<'_>,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        if self.next == 0 && self.transaction.is_about_all() && engine.shared.jobs.has_workers() {
            // What reads keys now holds these, and no database: the next slice looks again.
            budget.spend(u64::MAX);
            return Ok(Step::More);
        }
        if self.next == 0 {
            // It may have waited for its keys, and what it sets is to live from when it is set.
            self.now = engine.shared.clock.unix_ms();
            // While it waited keys that its client watches may have changed, too.
            let is_lost = is_lost(&engine.shared, session, self.now);
            if !engine.shared.watch.is_empty() {
                engine.shared.unwatch(session);
            }
            if is_lost {
                bury(&mut engine.shared, Some(std::mem::take(&mut self.transaction)));
                Reply::new(out, session.resp).null_array();
                return Ok(Step::Done);
            }
            Reply::new(out, session.resp).array(self.transaction.commands().len());
        }
        let before = std::mem::replace(&mut session.nesting, Nesting::Transaction);
        session.is_blocking_denied = true;
        session.executing = Some(self.transaction.as_executing());
        let step = self.run(engine, session, out, budget);
        session.is_blocking_denied = false;
        session.executing = None;
        session.nesting = before;
        if step == Step::Done {
            bury(&mut engine.shared, Some(std::mem::take(&mut self.transaction)));
        }
        Ok(step)
    }

    fn find_places(
        &mut self,
        engine: &Engine,
        _args: Args<'_>,
        places: &mut Chunks<(Place, Hold)>,
        budget: &mut Budget,
    ) -> Step {
        let around = Around::of(&engine.dbs, &engine.shared);
        if self.transaction.is_about_all() {
            // Nobody else goes on once it has begun; until then, if it takes long to, it holds all databases.
            let base = (0..around.db_count).flat_map(places_of_db);
            places.extend(base.map(|(place, _)| (place, Hold::Write)));
            return Step::Done;
        }
        if self.looked_at == 0 && self.looks_for == Hold::Write {
            let dbs = std::iter::once(self.db).chain(self.transaction.dbs().iter().copied());
            let dbs: BTreeSet<usize> = dbs.filter(|&db| db < around.db_count).collect();
            places.extend(dbs.into_iter().flat_map(places_of_db));
        }
        loop {
            while let Some(queued) = self.transaction.commands().get(self.looked_at) {
                self.looked_at += 1;
                let mut found = Vec::new();
                self.db = add_keys(around, self.db, queued, &engine.hasher, &mut found);
                let count = found.len().max(1) as u64;
                places.extend(found.into_iter().filter(|&(_, hold)| hold == self.looks_for));
                if budget.spend(count) {
                    return Step::More;
                }
            }
            if self.looks_for == Hold::Read {
                return Step::Done;
            }
            (self.looks_for, self.looked_at, self.db) = (Hold::Read, 0, self.home);
        }
    }

    fn busy(&self) -> Option<&'static str> {
        self.inner.as_ref().and_then(|inner| inner.busy())
    }

    fn is_exclusive(&self) -> bool {
        self.transaction.is_about_all() && self.next > 0
    }

    fn places_len(&self) -> usize {
        self.transaction.units()
    }
}

impl Exec {
    fn run(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Step {
        let hasher = engine.hasher.clone();
        loop {
            // Who is to be closed hears no more replies, and what is left runs at once: nobody may wait for it.
            let is_leaving = session.closes_after_reply;
            if let Some(mut inner) = self.inner.take() {
                let mut unlimited = Budget::unlimited();
                let budget = if is_leaving { &mut unlimited } else { &mut *budget };
                let step = engine.step_inner(session, &mut inner, budget);
                if step.goes_on() {
                    self.inner = Some(inner);
                    if is_leaving {
                        continue;
                    }
                    return step;
                }
                if !is_leaving {
                    out.append(inner.out);
                }
                continue;
            }
            let mark = out.mark();
            let Some(Queued { found, args }) = self.transaction.commands().get(self.next) else {
                return Step::Done;
            };
            self.next += 1;
            let list = args.lend(&hasher);
            // Rules may have changed since it was queued.
            let denial = match session.is(restraint::ACL) {
                true => acl::check(&mut engine.shared, session, *found, list.args()).err(),
                false => None,
            };
            if let Some(error) = denial {
                let message = error.message();
                engine.shared.stats.count_error(&message);
                Reply::new(out, session.resp).error(&message);
                continue;
            }
            self.inner = engine.call_nested(session, *found, list.args(), self.now, out);
            if is_leaving {
                out.rewind(mark);
                continue;
            }
            let is_last = self.inner.is_none() && self.next == self.transaction.commands().len();
            if budget.spend(1) && !is_last {
                return Step::More;
            }
        }
    }
}
