//! A script on its way: answers what it asks, in the words of Redis.
//!
//! ```text
//!   first step:  compile if need be → keys and arguments into the exchange → run
//!   Call   → lookup → arity → noscript → ACL → read-only → memory → nested call → reply into the exchange
//!   Tick   → beyond `busy-reply-threshold`: stay suspended, others are told BUSY; next step goes on
//!   Done   → the reply, or the error with script and line
//! ```
//!
//! The script has a protocol and a database of its own: what it chooses ends with it. Time stands still meanwhile.
use crate::base::time::UnixMillis;
use crate::command::execute;
use crate::command::spec::{Command, flag};
use crate::engine::acl;
use crate::engine::compound::Compound;
use crate::engine::config::Opt;
use crate::engine::ctx::Ctx;
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::{CmdError, NO_REPLICAS};
use crate::engine::evict::Room;
use crate::engine::jobs::{Budget, Step};
use crate::engine::scripts::{self, BUSY_FUNCTION, BUSY_SCRIPT, Sha, Slow};
use crate::engine::session::{Nesting, Session, restraint};
use crate::engine::table::{CommandId, CommandTable, Found};
use crate::proto::args::{ArgList, Args, HashHint};
use crate::proto::reply::{Mark, Output, Reply, Resp};
use crate::script::exchange::{Answer, Done, Event, Exchange, Failed, Task, Words};
use crate::script::interpreter::Interpreter;
use crate::script::shebang::{self, Flags};

/// What a script is told that was ended; a function too.
const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";

/// What is run.
pub(super) enum Target {
    /// A script of EVAL.
    Script(Sha),
    /// A function of a library: its name, and where the interpreter of functions keeps it.
    Function(Vec<u8>, usize),
}

/// How it was asked for.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// So many arguments, from the third, are keys.
    pub(super) key_count: usize,
    /// EVAL_RO and its like: it may not write.
    pub(super) is_read_only: bool,
}

/// A script on its way.
pub(super) struct ScriptRun {
    target: Target,
    flags: Flags,
    call: Call,
    /// EVAL or one of its like.
    command: Option<CommandId>,
    /// All its commands see this instant.
    now: UnixMillis,
    /// The database it works on.
    db: usize,
    /// When it began, in ticks.
    started_ticks: u64,
    has_begun: bool,
    has_written: bool,
    /// Memory was out when it began.
    is_out: bool,
    is_slow: bool,
}

/// Where a step ends.
enum End {
    More,
    Done(Done),
}

impl ScriptRun {
    /// A script that `ctx`'s client asked for.
    pub(super) fn new(ctx: &Ctx<'_>, target: Target, flags: Flags, call: Call) -> ScriptRun {
        ScriptRun {
            target,
            flags,
            call,
            command: ctx.client.last_command,
            now: ctx.now,
            db: ctx.client.db,
            started_ticks: ctx.engine.clock.ticks(),
            has_begun: false,
            has_written: false,
            is_out: false,
            is_slow: false,
        }
    }

    /// What was found out about the script after that.
    pub(super) fn take_on(&mut self, flags: Flags, key_count: usize) {
        self.flags = flags;
        self.call.key_count = key_count;
    }

    /// The database it works on.
    pub(super) fn db(&self) -> usize {
        self.db
    }

    /// Time has gone on, for its next commands.
    pub(super) fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }

    fn is_eval(&self) -> bool {
        matches!(self.target, Target::Script(_))
    }

    /// SHA1 of the script, or name of the function.
    fn name(&self) -> Vec<u8> {
        match &self.target {
            Target::Script(sha) => scripts::hex_of(sha).into_bytes(),
            Target::Function(name, _) => name.clone(),
        }
    }

    fn is_compatible(&self) -> bool {
        self.flags.has(Flags::COMPATIBLE)
    }

    /// Whether its commands may not write.
    fn is_read_only(&self) -> bool {
        self.call.is_read_only || self.flags.has(Flags::NO_WRITES)
    }

    /// What keeps the whole script from running.
    pub(super) fn check(&mut self, engine: &mut Engine) -> Result<(), CmdError> {
        if engine.shared.eviction.room == Room::Wait {
            engine.make_room_now(self.db);
        }
        self.is_out = engine.shared.eviction.room == Room::Out;
        if self.is_compatible() {
            return Ok(());
        }
        let may_write = !self.flags.has(Flags::NO_WRITES);
        if may_write && self.call.is_read_only {
            return Err(CmdError::Text(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        if may_write && engine.shared.lacks_replicas() {
            return Err(NO_REPLICAS);
        }
        if self.is_out && may_write && !self.flags.has(Flags::ALLOW_OOM) {
            return Err(CmdError::Text(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
        Ok(())
    }

    /// Has an interpreter run what it keeps in this slot.
    pub(super) fn begin(
        &mut self,
        interpreter: &mut Interpreter,
        slot: usize,
        args: Args<'_>,
        client: Resp,
    ) -> Event {
        let exchange = &interpreter.exchange;
        let mut params = exchange.params.take();
        params.clear();
        args.from(3).for_each(|word| params.push(word));
        exchange.params.replace(params);
        exchange.key_count.set(self.call.key_count);
        exchange.client_resp.set(client);
        exchange.script_resp.set(Resp::V2);
        interpreter.begin(match self.target {
            Target::Script(_) => Task::Run { slot },
            Target::Function(..) => Task::Call { slot },
        })
    }

    fn serve(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        interpreter: &mut Interpreter,
        first: Event,
    ) -> End {
        let mut event = first;
        loop {
            let answer = match event {
                Event::Done(done) => return End::Done(done),
                Event::Call => self.run_command(engine, session, &interpreter.exchange),
                Event::MayRun => may_run(engine, session, &interpreter.exchange),
                // None of these interpreters is one for debugged scripts.
                Event::Debug(_) => Answer::Go,
                Event::Tick if self.is_late(engine) => return End::More,
                Event::Tick => Answer::Go,
            };
            event = interpreter.answer(answer);
        }
    }

    /// Whether it takes so long that others are to be answered meanwhile.
    fn is_late(&mut self, engine: &Engine) -> bool {
        let shared = &engine.shared;
        let threshold_ms = shared.config.int(Opt::BusyReplyThreshold);
        let elapsed = shared.clock.ticks().saturating_sub(self.started_ticks);
        let elapsed_ms = (shared.clock.nanos(elapsed) / 1_000_000) as i64;
        if self.is_slow || threshold_ms == 0 || elapsed_ms < threshold_ms {
            return self.is_slow;
        }
        self.is_slow = true;
        let command = if self.is_eval() { "SCRIPT KILL" } else { "FUNCTION KILL" };
        let name = self.name();
        let name = String::from_utf8_lossy(&name);
        log::warn!(
            "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the script \
             using the {command} command. Script name is: {name}."
        );
        true
    }

    /// Tells SCRIPT KILL and others of it while it is suspended.
    fn show(&self, engine: &mut Engine, args: Args<'_>) {
        if let Some(slow) = &mut engine.shared.scripts.slow {
            slow.has_written = self.has_written;
            return;
        }
        engine.shared.scripts.slow = Some(Slow {
            is_eval: self.is_eval(),
            name: self.name(),
            command: args.from(0).map(<[u8]>::to_vec).collect(),
            started_ticks: self.started_ticks,
            has_written: self.has_written,
            is_killed: false,
        });
    }

    /// A command of the script.
    pub(super) fn run_command(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        exchange: &Exchange,
    ) -> Answer {
        let words = exchange.args.take();
        let hasher = engine.hasher.clone();
        let Words { buffer, spans, blocks } = &words;
        let list = ArgList::new(buffer, spans, blocks, &hasher, HashHint::default());
        let args = list.args();
        let found = find(&engine.shared.table, args);
        let answer = match self.refusal(engine, session, found, args) {
            Ok(found) => {
                self.has_written |= found.command.flags & flag::WRITE != 0;
                session.resp = exchange.script_resp.get();
                let mut reply = exchange.reply.take();
                let inner = engine.call_nested(session, found, args, self.now, &mut reply);
                if let Some(mut inner) = inner {
                    let mut budget = Budget::unlimited();
                    while engine.step_inner(session, &mut inner, &mut budget).goes_on() {}
                    reply.append(inner.out);
                }
                exchange.reply.replace(reply);
                Answer::Reply
            }
            Err(error) => {
                let message = error.message().into_owned();
                let stats = &mut engine.shared.stats;
                if let Some(counts) =
                    found.and_then(|found| stats.commands.get_mut(found.id.index()))
                {
                    counts.rejected += 1;
                }
                stats.count_error(&message);
                Answer::Refused(message)
            }
        };
        exchange.args.replace(words);
        answer
    }

    /// Why a command may not run in this script.
    fn refusal(
        &self,
        engine: &mut Engine,
        session: &mut Session,
        found: Option<Found>,
        args: Args<'_>,
    ) -> Result<Found, CmdError> {
        let refuse = |text| Err(CmdError::Text(text));
        let Some(found) = found else {
            return refuse("ERR Unknown Redis command called from script");
        };
        let flags = found.command.flags;
        if !execute::is_arity_right(found.command, args) {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        if flags & flag::NOSCRIPT != 0 && !engine.shared.debug.is_deny_script_off {
            return refuse("ERR This Redis command is not allowed from script");
        }
        if session.is(restraint::ACL) {
            acl::check(&mut engine.shared, session, found, args)?;
        }
        if self.is_read_only() && flags & (flag::WRITE | flag::MAY_REPLICATE) != 0 {
            return refuse("ERR Write commands are not allowed from read-only scripts.");
        }
        // What has begun to write is not stopped half-way.
        if flags & flag::WRITE != 0 && !self.has_written && engine.shared.lacks_replicas() {
            return Err(NO_REPLICAS);
        }
        let may_exceed =
            self.has_written || (!self.is_compatible() && self.flags.has(Flags::ALLOW_OOM));
        if self.is_out && !may_exceed && flags & flag::DENYOOM != 0 {
            return Err(CmdError::OutOfMemory);
        }
        Ok(found)
    }

    /// The end of the script as a reply.
    pub(super) fn finish(
        &self,
        engine: &mut Engine,
        session: &Session,
        exchange: &Exchange,
        done: Done,
        out: &mut Output,
    ) -> Result<(), CmdError> {
        match done {
            Done::Replied { has_errors } => {
                let mut result = exchange.result.take();
                if result.len() <= KEPT_BYTES_MAX {
                    out.bytes_mut().extend_from_slice(result.bytes());
                    result.rewind(Mark::default());
                    exchange.result.replace(result);
                } else {
                    out.append(result);
                }
                let stats = &mut engine.shared.stats;
                if has_errors && let Some(id) = self.command {
                    stats.count_failed(id);
                }
                exchange.errors.take().iter().for_each(|text| stats.count_error(text));
                Ok(())
            }
            Done::Failed(Failed { text, place, is_counted }) => {
                let mut whole = text;
                if let Some((source, line)) = place {
                    let name = self.name();
                    let parts: [&[u8]; 7] =
                        [b" script: ", &name, b", on ", &source, b":", &line, b"."];
                    whole.extend(parts.concat());
                }
                if !is_counted {
                    return Err(CmdError::Owned(whole));
                }
                if let Some(id) = self.command {
                    engine.shared.stats.count_failed(id);
                }
                Reply::new(out, session.resp).error(&whole);
                Ok(())
            }
            _ => Err(CmdError::Text("ERR There is no memory for an interpreter")),
        }
    }
}

/// A longer reply is moved, not copied.
const KEPT_BYTES_MAX: usize = 16 * 1024;

impl Compound for ScriptRun {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        _budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let slot = match &self.target {
            Target::Function(_, slot) => *slot,
            Target::Script(sha) if !self.has_begun => {
                engine.shared.scripts.slot(sha).map_err(CmdError::Owned)?
            }
            Target::Script(_) => 0,
        };
        if !self.has_begun {
            self.check(engine)?;
        }
        let Some(mut interpreter) = shelf(engine, self.is_eval()).take() else {
            return Err(CmdError::Text("ERR There is no memory for an interpreter"));
        };
        let caller = Guise::put_on(session, self.db);
        let first = if !self.has_begun {
            // Another script may have been left behind, when its client was.
            interpreter.end("ERR Script was left");
            self.has_begun = true;
            self.begin(&mut interpreter, slot, args, caller.resp)
        } else if interpreter.is_idle() {
            // Its thread is another one now.
            Event::Done(Done::Missing)
        } else if engine.shared.scripts.slow.as_ref().is_some_and(|slow| slow.is_killed) {
            log::warn!("Lua script killed by user with SCRIPT KILL.");
            interpreter.answer(Answer::Kill(KILLED))
        } else {
            interpreter.answer(Answer::Go)
        };
        let end = self.serve(engine, session, &mut interpreter, first);
        self.db = session.db;
        caller.take_back(session);
        let result = match end {
            End::More => {
                self.show(engine, args);
                Ok(Step::More)
            }
            End::Done(done) => {
                if self.is_slow {
                    engine.shared.scripts.slow = None;
                }
                self.finish(engine, session, &interpreter.exchange, done, out).map(|()| Step::Done)
            }
        };
        let bytes = interpreter.exchange.memory_bytes.get();
        let scripts = &mut engine.shared.scripts;
        if self.is_eval() {
            scripts.interpreter_bytes = bytes;
        } else {
            scripts.functions_bytes = bytes;
        }
        shelf(engine, self.is_eval()).put(interpreter);
        result
    }

    fn busy(&self) -> Option<&'static str> {
        match (self.is_slow, self.is_eval()) {
            (false, _) => None,
            (true, true) => Some(BUSY_SCRIPT),
            (true, false) => Some(BUSY_FUNCTION),
        }
    }
}

fn shelf(engine: &mut Engine, is_eval: bool) -> &mut crate::script::shelf::Shelved {
    let scripts = &mut engine.shared.scripts;
    if is_eval { &mut scripts.interpreter } else { &mut scripts.functions }
}

/// What of a client is the script's while it runs, as it was before.
pub(super) struct Guise {
    nesting: Nesting,
    resp: Resp,
    db: usize,
    is_blocking_denied: bool,
}

impl Guise {
    /// The script's, in place of the client's.
    pub(super) fn put_on(session: &mut Session, db: usize) -> Guise {
        Guise {
            nesting: std::mem::replace(&mut session.nesting, Nesting::Script),
            resp: session.resp,
            db: std::mem::replace(&mut session.db, db),
            is_blocking_denied: std::mem::replace(&mut session.is_blocking_denied, true),
        }
    }

    /// The protocol of the client.
    pub(super) fn resp(&self) -> Resp {
        self.resp
    }

    /// The client's again.
    pub(super) fn take_back(self, session: &mut Session) {
        session.nesting = self.nesting;
        session.resp = self.resp;
        session.db = self.db;
        session.is_blocking_denied = self.is_blocking_denied;
    }
}

/// The flags of a command that runs a script, by what the script says of itself.
pub(super) fn flags_of(shared: &Shared, command: &Command, args: Args<'_>) -> u32 {
    let said = match command.name {
        "eval" | "eval_ro" => {
            let source = args.at(1);
            if !source.starts_with(b"#!") {
                return command.flags;
            }
            shebang::read(source).ok().map(|(flags, _)| flags)
        }
        "evalsha" | "evalsha_ro" => {
            scripts::sha_from_hex(args.at(1)).and_then(|sha| shared.scripts.flags(&sha))
        }
        "fcall" | "fcall_ro" => {
            shared.functions.libraries.function(args.at(1)).map(|function| function.flags)
        }
        _ => None,
    };
    let Some(said) = said.filter(|said| !said.has(Flags::COMPATIBLE)) else {
        return command.flags;
    };
    let replaced = flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE;
    let mut flags = command.flags & !replaced;
    if !said.has(Flags::NO_WRITES) {
        flags |= flag::WRITE;
        flags |= if said.has(Flags::ALLOW_OOM) { 0 } else { flag::DENYOOM };
    }
    flags | if said.has(Flags::ALLOW_STALE) { flag::STALE } else { 0 }
}

/// The command or subcommand that is meant.
fn find(table: &CommandTable, args: Args<'_>) -> Option<Found> {
    let found = table.find(args.at(0))?;
    if found.command.subcommands.is_empty() || args.len() < 2 {
        return Some(found);
    }
    table.subcommand(found.id, args.at(1)).map(|id| table.found(id))
}

/// `redis.acl_check_cmd`
pub(super) fn may_run(engine: &Engine, session: &Session, exchange: &Exchange) -> Answer {
    let words = exchange.args.take();
    let hasher = engine.hasher.clone();
    let Words { buffer, spans, blocks } = &words;
    let list = ArgList::new(buffer, spans, blocks, &hasher, HashHint::default());
    let answer = match find(&engine.shared.table, list.args()) {
        None => Answer::Refused(b"ERR Invalid command passed to redis.acl_check_cmd()".to_vec()),
        Some(found) => {
            let shared = &engine.shared;
            Answer::Truth(acl::may_run(shared, session, found, list.args()).is_ok())
        }
    };
    exchange.args.replace(words);
    answer
}
