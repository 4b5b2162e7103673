//! A script that is debugged: EVAL of a client for whom SCRIPT DEBUG is on.
//!
//! ```text
//!   SCRIPT DEBUG YES   fork ─▶ child:  talk to the client until the script is over, answer him, end
//!                          └─▶ parent: forget the client, go on
//!   SCRIPT DEBUG SYNC  talk to the client until the script is over, close; everybody else waits
//! ```
//!
//! The script runs in an interpreter of its own, made for it, and in one step: what it waits for is its client, by a
//! line past the event loop. Whatever happens, the session's last line is `<endsession>`, and the reply comes behind
//! it. Time goes on at every stop. Cost: of the fork, as for a snapshot, the page tables of all data; of a session in
//! this process, that nobody else is served.
use crate::command::script_run::{Call, Guise, ScriptRun, Target, may_run};
use crate::engine::compound::Compound;
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::host::{Heard, Line, Side};
use crate::engine::jobs::{Budget, Step};
use crate::engine::scripts;
use crate::engine::session::{Debugging, Nesting, Session};
use crate::proto::args::Args;
use crate::proto::reply::Output;
use crate::script::debugger::Debugger;
use crate::script::exchange::{Answer, DebugEvent, Done, Event, Task};
use crate::script::guest::Kind;
use crate::script::interpreter::Interpreter;
use crate::script::shebang::{self, Flags};

/// A script without a stop is too long after so many milliseconds, where `busy-reply-threshold` does not say.
const PATIENCE_MS: i64 = 5000;
/// What a script ends with that a server ends under.
const STOPPED: &str = "ERR The server is shutting down";
const NO_MEMORY: CmdError = CmdError::Text("ERR There is no memory for an interpreter");

/// SCRIPT DEBUG YES, SYNC or NO.
pub(super) fn switch(ctx: &mut Ctx<'_>, mode: &[u8]) -> CmdResult {
    if !ctx.reply.output().is_empty() || ctx.client.nesting != Nesting::None {
        return Err(CmdError::Text("ERR SCRIPT DEBUG must be called outside a pipeline"));
    }
    let is_sync = mode.eq_ignore_ascii_case(b"sync");
    if mode.eq_ignore_ascii_case(b"no") {
        ctx.client.debugging = None;
    } else if is_sync || mode.eq_ignore_ascii_case(b"yes") {
        let host = ctx.engine.host.as_ref().filter(|_| ctx.client.fd >= 0);
        let Some(host) = host else {
            return Err(CmdError::Text(
                "ERR SCRIPT DEBUG is only available to clients with a connection of their own",
            ));
        };
        // As in Redis, who was in SYNC mode stays in it until NO.
        let is_here = is_sync || ctx.client.debugging.as_ref().is_some_and(|known| known.is_here);
        if !is_here && !host.may_fork() {
            return Err(CmdError::Text(
                "ERR SCRIPT DEBUG YES needs a process of its own, and this server is part of another program: use \
                 SCRIPT DEBUG SYNC",
            ));
        }
        let debugging = Debugging { is_here, debugger: Debugger::default() };
        ctx.client.debugging = Some(Box::new(debugging));
    } else {
        return Err(CmdError::Text("ERR Use SCRIPT DEBUG YES/SYNC/NO"));
    }
    ctx.reply.ok();
    Ok(())
}

/// Has EVAL go on as a session. What is wrong with the request comes out in it.
pub(super) fn begin(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    key_count: Result<usize, CmdError>,
    is_read_only: bool,
) -> CmdResult {
    let target = Target::Script(scripts::sha_of(args.at(1)));
    let call = Call { key_count: 0, is_read_only };
    let run = ScriptRun::new(ctx, target, Flags::default(), call);
    ctx.run_compound(DebugRun { run, key_count: Some(key_count) })
}

/// A session to be.
struct DebugRun {
    run: ScriptRun,
    key_count: Option<Result<usize, CmdError>>,
}

impl Compound for DebugRun {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        _budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let Some(mut debugging) = session.debugging.take() else { return Ok(Step::Done) };
        let slot = engine.shared.clients.slot_of(session.id);
        if slot.is_none() && !debugging.is_here {
            // Its client left a transaction to run: nothing of it would stay.
            return Ok(Step::Done);
        }
        let is_child = !debugging.is_here;
        if is_child {
            if fork(engine, session)? == Side::Parent {
                return Ok(Step::Done);
            }
            log::warn!("Forked for debugging a script");
        } else {
            log::warn!("A script is debugged, nobody else is served");
        }
        // Not before: a child begins with its client's socket alone.
        let mut line = match slot {
            Some(_) => open_line(engine, session)?,
            None => Box::new(NoLine),
        };
        let debugger = &mut debugging.debugger;
        debugger.set_source(args.at(1));
        let result = self.debug(engine, session, args, out, debugger, &mut *line);
        debugger.say("<endsession>");
        line.send(&debugger.take_said());
        session.closes_after_reply = true;
        if is_child {
            // What a transaction may run besides goes unheard.
            engine.shared.outbox.farewell = slot;
        } else {
            session.debugging = Some(debugging);
            log::warn!("The debugged script is over");
        }
        result.map(|()| Step::Done)
    }
}

/// To a client that has gone, whose descriptor may be another's by now.
struct NoLine;

impl Line for NoLine {
    fn send(&mut self, _bytes: &[u8]) {}

    fn receive(&mut self, _into: &mut Vec<u8>) -> Heard {
        Heard::Gone
    }
}

fn open_line(engine: &Engine, session: &Session) -> Result<Box<dyn Line>, CmdError> {
    let host = engine.shared.host.as_ref();
    let line = host.map_or_else(|| Err("no host".to_owned()), |host| host.open_line(session.fd));
    line.map_err(|reason| {
        CmdError::owned(&[b"ERR There is no line to the client: ", reason.as_bytes()])
    })
}

/// Makes a process for the session. This one forgets its client, who is the child's from here on.
fn fork(engine: &mut Engine, session: &mut Session) -> Result<Side, CmdError> {
    let shared = &mut engine.shared;
    let Some(host) = &mut shared.host else { return Ok(Side::Parent) };
    let started = shared.clock.ticks();
    // Neither of two processes can use a connection that both have.
    shared.remotes.close_all();
    let side = host.fork(session.fd, &shared.config).map_err(|reason| {
        let before = b"ERR Fork() failed: can't run EVAL in debugging mode: ";
        CmdError::owned(&[before, reason.as_bytes()])
    })?;
    if side == Side::Parent {
        let ticks = shared.clock.ticks().saturating_sub(started);
        shared.stats.forks += 1;
        shared.stats.last_fork_us = shared.clock.nanos(ticks) / 1000;
        shared.note_spike("fork", ticks);
        session.is_killed = true;
        shared.outbox.kills.extend(shared.clients.slot_of(session.id));
    }
    Ok(side)
}

impl DebugRun {
    /// Runs the script, as EVAL would, in an interpreter that looks at each line.
    fn debug(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        debugger: &mut Debugger,
        line: &mut dyn Line,
    ) -> Result<(), CmdError> {
        let source = args.at(1);
        let key_count = self.key_count.take().unwrap_or(Ok(0))?;
        let sha = scripts::sha_of(source);
        let flags = engine.shared.scripts.load(sha, source).map_err(CmdError::Owned)?;
        self.run.take_on(flags, key_count);
        self.run.check(engine)?;
        let mut interpreter = Interpreter::new(Kind::Debugged).ok_or(NO_MEMORY)?;
        let skipped = shebang::read(source).map_err(CmdError::Owned)?.1;
        interpreter.exchange.source.replace(source.get(skipped..).unwrap_or(&[]).to_vec());
        let Event::Done(Done::Compiled(slot)) = interpreter.begin(Task::Compile) else {
            return Err(NO_MEMORY);
        };
        interpreter.exchange.debugger.replace(std::mem::take(debugger));
        let caller = Guise::put_on(session, self.run.db());
        let first = self.run.begin(&mut interpreter, slot, args, caller.resp());
        let done = self.serve(engine, session, &mut interpreter, first, line);
        caller.take_back(session);
        *debugger = interpreter.exchange.debugger.take();
        self.run.finish(engine, session, &interpreter.exchange, done, out)
    }

    fn serve(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        interpreter: &mut Interpreter,
        first: Event,
        line: &mut dyn Line,
    ) -> Done {
        let mut event = first;
        let mut since_ticks = engine.shared.clock.ticks();
        loop {
            let exchange = &interpreter.exchange;
            let answer = match event {
                Event::Done(done) => return done,
                Event::Call => self.run.run_command(engine, session, exchange),
                Event::MayRun => may_run(engine, session, exchange),
                Event::Tick => Answer::Go,
                Event::Debug(DebugEvent::Say) => {
                    line.send(&exchange.debugger.borrow_mut().take_said());
                    Answer::Go
                }
                Event::Debug(DebugEvent::Hear) => {
                    let heard = line.receive(&mut exchange.debugger.borrow_mut().heard);
                    engine.shared.clock.refresh();
                    self.run.set_now(engine.shared.clock.unix_ms());
                    since_ticks = engine.shared.clock.ticks();
                    match heard {
                        Heard::Bytes => Answer::Truth(true),
                        Heard::Gone => Answer::Truth(false),
                        Heard::Stop => Answer::Kill(STOPPED),
                    }
                }
                Event::Debug(DebugEvent::Tick) => Answer::Truth(is_late(engine, since_ticks)),
            };
            event = interpreter.answer(answer);
        }
    }
}

/// Whether a script has worked too long since its last stop.
fn is_late(engine: &Engine, since_ticks: u64) -> bool {
    let shared = &engine.shared;
    let threshold_ms = match shared.config.int(Opt::BusyReplyThreshold) {
        0 => PATIENCE_MS,
        threshold_ms => threshold_ms,
    };
    let elapsed = shared.clock.ticks().saturating_sub(since_ticks);
    (shared.clock.nanos(elapsed) / 1_000_000) as i64 >= threshold_ms
}
