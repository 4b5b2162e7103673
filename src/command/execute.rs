//! What happens around every command: the checklist.
//!
//! lookup → arity → protected → authentication → memory → pause → run → error → statistics → MONITOR → slow log.
//! The order is Redis's (`processCommand`), since clients see which error comes first.
//! The time of a command is read from the processor's counter once: its end is the next one's beginning.
use std::borrow::Cow;

use crate::base::block::Block;
use crate::base::clock::Clock;
use crate::base::probes;
use crate::command::claims;
use crate::command::client_tracking;
use crate::command::pubsub::{is_publishing, may_run_while_listening, refusal_while_listening};
use crate::command::run_jobs::{self, Parked};
use crate::command::script_run;
use crate::command::serve;
use crate::command::spec::{Command, Group, flag};
use crate::command::table::{CommandId, CommandTable, Found};
use crate::command::transaction;
use crate::engine::acl;
use crate::engine::changes::note_gone;
use crate::engine::config::{Config, Opt};
use crate::engine::ctx::{CmdResult, Ctx, OtherDbs};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::{CmdError, NO_REPLICAS};
use crate::engine::evict::Room;
use crate::engine::hotkeys::Usage;
use crate::engine::monitor;
use crate::engine::session::{Address, Nesting, Replies, Session, Waiting, restraint};
use crate::proto::args::{ArgList, Args, HashHint, Span};
use crate::proto::reply::{Mark, Output, Reply};
use crate::store::Db;

/// A request as the network layer hands it over.
#[derive(Clone, Copy)]
pub struct Request<'b> {
    /// What its spans point into.
    pub buffer: &'b [u8],
    /// Its arguments, the name first; at least one.
    pub spans: &'b [Span],
    /// Arguments too big for the buffer.
    pub blocks: &'b [Block],
    /// Its command, where it was looked up already.
    pub command: Option<Found>,
    /// Hash of its first key, where that was computed already.
    pub hint: HashHint,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran or was refused; the reply is written.
    Done,
    /// It has to wait: run it again later, and nothing of this client before it.
    Postponed,
    /// It goes on as a job: its reply comes later, and nothing of this client runs before. The caller gives the job
    /// its request (`Jobs::give_args`).
    Running,
    /// It waits until a key brings something: its reply comes later, and nothing of this client runs before. The caller
    /// gives it its request (`Blocking::give_args`).
    Blocked,
}

impl Engine {
    /// An engine with this configuration and clock; `seed` makes its random choices repeatable.
    pub fn new(config: Config, clock: Clock, seed: Option<u64>) -> Engine {
        Engine::with_table(config, clock, seed, CommandTable::new())
    }

    /// Runs one request of `session`, appending its reply to `out`. `started` is when the time of this command
    /// begins, in ticks; it is moved to its end.
    #[inline(always)]
    pub fn execute(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        out: &mut Output,
        started: &mut u64,
    ) -> Outcome {
        let Request { buffer, spans, blocks, command, hint } = request;
        if self.make_room(session.db) {
            if !self.shared.outbox.pending.is_empty() {
                // A copy of what was just evicted is void before the command says so.
                self.shared.settle_pending(session, out);
            }
            // Not the command's time.
            *started = self.shared.clock.ticks();
        }
        let list = ArgList::new(buffer, spans, blocks, &self.hasher, hint);
        let args = list.args();
        let shared = &mut self.shared;
        let looked_up = command.or_else(|| shared.table.find(args.at(0)));
        let mark = out.mark();
        let resolved = match check(shared, session, args, looked_up) {
            Ok(Verdict::Run(resolved)) => resolved,
            Ok(Verdict::Wait) => {
                claims::unqueue(shared, session);
                return Outcome::Postponed;
            }
            Ok(Verdict::Queue(resolved)) => {
                session.checking = None;
                transaction::queue(shared, session, resolved, args, out);
                *started = shared.clock.ticks();
                return Outcome::Done;
            }
            Err(refusal) => {
                session.checking = None;
                refuse(shared, session, args, refusal, out);
                *started = shared.clock.ticks();
                return Outcome::Done;
            }
        };
        if shared.jobs.is_active() && !claims::claim(&self.dbs, shared, session, resolved, args) {
            return Outcome::Postponed;
        }
        let Found { id, command, .. } = resolved;
        if session.checking.is_some() {
            session.checking = None;
        }
        session.last_command = Some(id);
        let now = shared.clock.unix_ms();
        session.active_ms = now;
        let Some((db, others)) = OtherDbs::around(&mut self.dbs, session.db) else {
            // A client's index is checked when it is set.
            return Outcome::Done;
        };
        db.begin(now, shared.is_lfu);
        db.no_touch = session.is_no_touch;
        let reply = Reply::new(out, session.resp);
        let mut ctx = Ctx { db, others, reply, client: session, engine: shared, now };
        probes::command_begin(|| ctx.engine.table.full_name(id));
        let result = (command.handler)(&mut ctx, args);
        if matches!(result, Err(CmdError::Compound)) {
            if session.is(restraint::TRACKING) {
                client_tracking::note_script(session, command, args);
            }
            let begun = (mark, &mut *started);
            let outcome = self.execute_compound(session, request, resolved, out, begun);
            self.after_command(started);
            return outcome;
        }
        let shared = &mut self.shared;
        let ended = shared.clock.ticks();
        let ticks = ended.saturating_sub(*started);
        probes::command_end(|| shared.table.full_name(id), || shared.clock.nanos(ticks));
        *started = ended;
        let ran = Ran::new(resolved, ticks, result, mark);
        let outcome =
            conclude(&mut self.dbs, shared, session, args, Parked { ran, now, out, places: None });
        if self.shared.listeners != 0 || !self.shared.blocking.is_empty() {
            self.after_command(started);
        }
        outcome
    }

    /// A command has ended, and somebody listens to changes: those who can be served are.
    #[cold]
    pub fn after_command(&mut self, started: &mut u64) {
        if self.shared.busy.is_some() {
            // It has not ended.
            return;
        }
        self.note_gone();
        if !self.shared.blocking.is_empty() && self.has_ready_keys() {
            self.serve_after_command();
        }
        // Not the next command's time.
        *started = self.shared.clock.ticks();
    }
}

/// A command that just ran.
pub(super) struct Ran {
    pub(super) id: CommandId,
    pub(super) command: &'static Command,
    /// All its time.
    pub(super) ticks: u64,
    /// That of this turn, as far as the stall ledger has not been told.
    pub(super) turn_ticks: u64,
    pub(super) result: CmdResult,
    /// Where its reply begins.
    pub(super) mark: Mark,
    /// It was counted, and shown to MONITOR, when its client began to wait for keys.
    pub(super) has_waited: bool,
    /// What it has read is remembered already, where that is to be.
    pub(super) is_remembered: bool,
}

impl Ran {
    /// One that took all its time in this turn, and never waited.
    #[inline(always)]
    pub(super) fn new(found: Found, ticks: u64, result: CmdResult, mark: Mark) -> Ran {
        let Found { id, command, .. } = found;
        Ran {
            id,
            command,
            ticks,
            turn_ticks: ticks,
            result,
            mark,
            has_waited: false,
            is_remembered: false,
        }
    }
}

/// Everything after the handler: its error, CLIENT REPLY, statistics, slow log.
#[inline]
pub(super) fn account(
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    ran: Ran,
    out: &mut Output,
) {
    if ran.has_waited {
        shared.count_end_of_wait(ran.id, ran.ticks, ran.turn_ticks);
    } else {
        shared.count_call(ran.id, ran.ticks);
    }
    if let Err(error) = ran.result {
        out.rewind(ran.mark);
        let message = error.message();
        shared.stats.count_failure(ran.id, &message);
        Reply::new(out, session.resp).error(&message);
    }
    if session.replies != Replies::On && session.nesting == Nesting::None {
        session.filter_reply(ran.mark, out);
    }
    if session.is(restraint::TRACKING) {
        let about = (ran.id, ran.command, ran.is_remembered || ran.has_waited);
        client_tracking::after_command(shared, session, about, args);
    }
    // After the command, as in Redis: a SELECT shows the database it chose, a RESET no longer sees itself.
    let is_hidden = ran.command.flags & (flag::SKIP_MONITOR | flag::ADMIN) != 0;
    if !shared.monitors.is_empty() && !is_hidden && !ran.has_waited {
        monitor::feed(shared, session, args);
    }
    if ran.ticks >= shared.thresholds.least_ticks {
        shared.note_culprit(session, ran.id, args, ran.turn_ticks);
        shared.record_slow(session, args, ran.command, ran.ticks);
        // Of a script, its own keys count.
        if shared.hotkeys.is_some() && session.nesting != Nesting::Script {
            let bytes = (args.wire_bytes() + out.len_since(ran.mark)) as u64;
            shared.note_hot_keys(ran.command, args, Usage { ticks: ran.ticks, bytes });
        }
        if !ran.has_waited {
            shared.note_command_spike(ran.command, ran.ticks);
        }
    }
}

/// A command refused before it ran: which one, if known, and why.
struct Refusal {
    id: Option<CommandId>,
    error: CmdError,
}

/// What becomes of a command that nothing is wrong with.
enum Verdict {
    /// It runs.
    Run(Found),
    /// It has to wait.
    Wait,
    /// EXEC will run it.
    Queue(Found),
}

/// What becomes of a command whose handler has returned: it goes on as a job, waits for a key, or has ended.
#[inline(always)]
fn conclude(
    dbs: &mut [Db],
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    returned: Parked<'_>,
) -> Outcome {
    match returned.ran.result {
        Err(CmdError::Parked) => {
            run_jobs::park(dbs, shared, session, args, returned);
            Outcome::Running
        }
        Err(CmdError::Blocked) => {
            serve::begin_wait(shared, session, args, &returned.ran, returned.out);
            Outcome::Blocked
        }
        _ => {
            if session.is(restraint::TRACKING) {
                // A key found expired is void before it is remembered as read.
                note_gone(dbs, shared);
            }
            account(shared, session, args, returned.ran, returned.out);
            Outcome::Done
        }
    }
}

/// Everything that can keep a command from running.
#[inline(always)]
fn check(
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    looked_up: Option<Found>,
) -> Result<Verdict, Refusal> {
    let found = resolve(shared, args, looked_up)?;
    let Found { id, command, .. } = found;
    let refuse = |error| Err(Refusal { id: Some(id), error });
    if !is_arity_right(command, args) {
        return refuse(CmdError::owned(&[
            b"ERR wrong number of arguments for '",
            shared.table.full_name(id).as_bytes(),
            b"' command",
        ]));
    }
    if command.flags & flag::PROTECTED != 0
        && let Err(error) = check_protected(shared, session, id)
    {
        return refuse(error);
    }
    if session.restraint | shared.restraint != 0 {
        return check_restraints(shared, session, found, args).or_else(refuse);
    }
    session.waiting = None;
    Ok(Verdict::Run(found))
}

/// Whether a request has as many arguments as its command takes.
#[inline]
pub(super) fn is_arity_right(command: &Command, args: Args<'_>) -> bool {
    let (wanted, given) = (i64::from(command.arity), args.len() as i64);
    !((wanted > 0 && given != wanted) || given < -wanted)
}

/// The long part of the checklist, for a client or at a time that is not like most.
#[inline(never)]
fn check_restraints(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
) -> Result<Verdict, CmdError> {
    let command = found.command;
    let flags = match (&session.transaction, command.name) {
        // It does what they do.
        (Some(transaction), "exec") => command.flags | transaction.flags(),
        _ if command.group == Group::Scripting => script_run::flags_of(shared, command, args),
        _ => command.flags,
    };
    let may_be_anybody = command.flags & flag::NO_AUTH != 0;
    if shared.thresholds.needs_password && !session.is_authenticated() && !may_be_anybody {
        return Err(CmdError::Text("NOAUTH Authentication required."));
    }
    let is_queueing = session.is(restraint::MULTI);
    if is_queueing && command.flags & flag::NO_MULTI != 0 {
        return Err(CmdError::Text("ERR Command not allowed inside a transaction"));
    }
    if session.is(restraint::ACL) && !is_allowed(shared, session, found, args)? {
        session.waiting = None;
        return Ok(Verdict::Wait);
    }
    if shared.eviction.room != Room::Enough {
        // What is queued takes memory, too.
        let is_growing = is_queueing && !transaction::may_end(command);
        if is_growing || flags & flag::DENYOOM != 0 {
            match shared.eviction.room {
                Room::Out => return Err(CmdError::OutOfMemory),
                Room::Wait => {
                    session.waiting = Some(Waiting::Room);
                    return Ok(Verdict::Wait);
                }
                Room::Enough | Room::Running => {}
            }
        }
    }
    if shared.lacks_replicas() && flags & flag::WRITE != 0 {
        return Err(NO_REPLICAS);
    }
    if session.is(restraint::SUBSCRIBED)
        && let full_name = shared.table.full_name(found.id)
        && !may_run_while_listening(full_name)
    {
        return Err(refusal_while_listening(full_name));
    }
    if shared.is_flooded() && is_publishing(command) && !is_queueing {
        session.waiting = Some(Waiting::Room);
        return Ok(Verdict::Wait);
    }
    if let Some(busy) = &shared.busy
        && command.flags & flag::ALLOW_BUSY == 0
    {
        let Some(error) = busy.error else {
            shared.keep_waiting(session);
            return Ok(Verdict::Wait);
        };
        return Err(CmdError::Text(error));
    }
    let touches_keys = command.flags & (flag::WRITE | flag::READONLY | flag::MAY_REPLICATE) != 0;
    if session.is(restraint::MONITOR) && touches_keys {
        return Err(CmdError::Text("ERR Replica can't interact with the keyspace"));
    }
    if shared.is_paused(flags & (flag::WRITE | flag::MAY_REPLICATE) != 0) {
        session.waiting = Some(Waiting::Pause);
        // CLIENT LIST shows what waits.
        session.last_command = Some(found.id);
        return Ok(Verdict::Wait);
    }
    if shared.watch.is_sweeping() && transaction::waits_for_sweep(shared, session, command) {
        shared.keep_waiting(session);
        return Ok(Verdict::Wait);
    }
    session.waiting = None;
    if is_queueing && !transaction::is_control(command) {
        return Ok(Verdict::Queue(found));
    }
    Ok(Verdict::Run(found))
}

/// Whether the rules of its user let a client run this; false: not known before the next turn.
fn is_allowed(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
) -> Result<bool, CmdError> {
    let is_in_process = matches!(session.address, Address::InProcess);
    if is_in_process || !shared.jobs.is_long(args.len() - 1) {
        return acl::check(shared, session, found, args).map(|()| true);
    }
    let started = shared.clock.ticks();
    let mut budget = shared.jobs.first_budget(started, &shared.clock);
    let is_done = acl::check_slice(shared, session, found, args, &mut budget);
    shared.jobs.spend_turn(shared.clock.ticks().saturating_sub(started));
    is_done
}

/// The command or, for a container, the subcommand that is meant.
#[inline(always)]
fn resolve(shared: &Shared, args: Args<'_>, looked_up: Option<Found>) -> Result<Found, Refusal> {
    match looked_up {
        Some(found) if found.command.subcommands.is_empty() || args.len() < 2 => Ok(found),
        Some(container) => resolve_subcommand(shared, args, container),
        None => {
            let error = CmdError::unknown_command(args.at(0), args.from(1));
            Err(Refusal { id: None, error })
        }
    }
}

fn resolve_subcommand(shared: &Shared, args: Args<'_>, container: Found) -> Result<Found, Refusal> {
    match shared.table.subcommand(container.id, args.at(1)) {
        Some(id) => Ok(shared.table.found(id)),
        None => {
            let error = CmdError::unknown_subcommand(container.command.name, args.at(1));
            Err(Refusal { id: None, error })
        }
    }
}

/// DEBUG is allowed by `enable-debug-command`, MODULE by `enable-module-command`: yes, no, or for local clients.
#[cold]
fn check_protected(shared: &Shared, session: &Session, id: CommandId) -> Result<(), CmdError> {
    let (opt, name, option) = match shared.table.full_name(id).starts_with("module") {
        true => (Opt::EnableModuleCommand, "MODULE", "enable-module-command"),
        false => (Opt::EnableDebugCommand, "DEBUG", "enable-debug-command"),
    };
    if shared.config.allows_protected(opt, session.is_local()) {
        return Ok(());
    }
    Err(CmdError::owned(&[
        format!("ERR {name} command not allowed. If the {option} option is set to ").as_bytes(),
        b"\"local\", you can run it from a local connection, otherwise you need to set this option in the \
          configuration file, and then restart the server.",
    ]))
}

#[cold]
fn refuse(
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    refusal: Refusal,
    out: &mut Output,
) {
    let mark = out.mark();
    // CLIENT LIST shows what was asked for, as in Redis: of what is unknown `NULL`.
    session.last_command = refusal.id;
    if let Some(stats) = refusal.id.and_then(|id| shared.stats.commands.get_mut(id.index())) {
        stats.rejected += 1;
    }
    let mut message = refusal.error.message();
    session.abort_transaction();
    let is_exec = refusal.id.is_some_and(|id| shared.table.command(id).name == "exec");
    if is_exec {
        session.end_transaction();
        shared.unwatch(session);
        let reason = message.strip_prefix(b"ERR ").unwrap_or(&message);
        let reason = [b"EXECABORT Transaction discarded because of: ", reason].concat();
        message = Cow::Owned(reason);
        // It has ended the transaction whose beginning MONITOR has shown.
        if !shared.monitors.is_empty() {
            monitor::feed(shared, session, args);
        }
    }
    if session.is(restraint::TRACKING) {
        let name = refusal.id.map_or("", |id| shared.table.full_name(id));
        client_tracking::end_caching(session, name.starts_with("client"));
    }
    shared.stats.count_error(&message);
    Reply::new(out, session.resp).error(&message);
    session.active_ms = shared.clock.unix_ms();
    if session.replies != Replies::On {
        session.filter_reply(mark, out);
    }
}
