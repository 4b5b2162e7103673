//! CLOCK: stops and moves the server's time, for tests of whatever depends on it.
//!
//! Allowed in test mode only (`--test-mode`). All time of an engine comes from its clock, so a moved clock is a
//! later moment for time to live, idle times and pauses alike. What is due after a move has expired when the
//! reply leaves: on a frozen clock nothing depends on when background work runs, and with `--seed` a trace of
//! commands has the same replies every time. Cost: O(1), a move O(N) with N keys that have a time to live.
use crate::base::clock::UNIX_MS_MAX;
use crate::command::help;
use crate::command::options::integer;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Group, command, container, doc};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[CLOCK];

const CLOCK: Command = Command {
    doc: doc(SINCE, "Depends on subcommand.", "", "A container for commands about test time"),
    ..container(
        Group::Server,
        "clock",
        &[CLOCK_ADVANCE, CLOCK_FREEZE, CLOCK_HELP, CLOCK_RESUME, CLOCK_SET],
    )
};

/// Rufous's own version: Redis has no such command.
const SINCE: &str = "0.1.0";
const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;
const MOVE_COST: &str = "O(N) where N is the number of keys with an expiration";

const CLOCK_ADVANCE: Command = Command {
    flags: FLAGS,
    doc: doc(SINCE, MOVE_COST, "milliseconds:integer", "Moves the server's time on"),
    ..command(Group::Server, "advance", 3, clock_advance)
};

const CLOCK_FREEZE: Command = Command {
    flags: FLAGS,
    doc: doc(SINCE, "O(1)", "", "Stops the server's time"),
    ..command(Group::Server, "freeze", 2, clock_freeze)
};

const CLOCK_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc(SINCE, "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, clock_help)
};

const CLOCK_RESUME: Command = Command {
    flags: FLAGS,
    doc: doc(SINCE, "O(1)", "", "Lets the server's time run on from where it stands"),
    ..command(Group::Server, "resume", 2, clock_resume)
};

const CLOCK_SET: Command = Command {
    flags: FLAGS,
    doc: doc(SINCE, MOVE_COST, "unix-time-milliseconds:unix-time", "Sets the server's time"),
    ..command(Group::Server, "set", 3, clock_set)
};

const HELP: &[&str] = &[
    "FREEZE",
    "    Stop the server's time.",
    "RESUME",
    "    Let it run on from where it stands.",
    "SET <ms>",
    "    Set it to <ms> milliseconds since 1970. Replies with the new time.",
    "ADVANCE <ms>",
    "    Move it on by <ms> milliseconds. Replies with the new time.",
];

/// Why CLOCK is refused, and what to do about it.
const NOT_IN_TEST_MODE: CmdError = CmdError::Text(
    "ERR CLOCK works in test mode only: start the server with --test-mode, or with `test-mode yes` \
     in its configuration file",
);
const OUT_OF_RANGE: CmdError =
    CmdError::Text("ERR time is out of range, it must be between 1970 and the end of 9999");

fn clock_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

fn clock_freeze(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    check_mode(ctx)?;
    ctx.engine.clock.freeze();
    ctx.reply.ok();
    Ok(())
}

fn clock_resume(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    check_mode(ctx)?;
    ctx.engine.clock.resume();
    ctx.reply.ok();
    Ok(())
}

fn clock_set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_mode(ctx)?;
    let unix_ms = integer(args.at(2))?;
    if !(0..=UNIX_MS_MAX).contains(&unix_ms) {
        return Err(OUT_OF_RANGE);
    }
    ctx.engine.clock.set_ms(unix_ms);
    moved(ctx);
    answer(ctx)
}

fn clock_advance(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_mode(ctx)?;
    let by_ms = integer(args.at(2))?;
    let clock = &mut ctx.engine.clock;
    clock.refresh();
    if by_ms < 0 || by_ms > UNIX_MS_MAX - clock.unix_ms() {
        return Err(OUT_OF_RANGE);
    }
    clock.advance_ms(by_ms);
    moved(ctx);
    answer(ctx)
}

fn check_mode(ctx: &Ctx<'_>) -> CmdResult {
    if ctx.engine.config.flag(Opt::TestMode) { Ok(()) } else { Err(NOT_IN_TEST_MODE) }
}

/// What follows from a move: keys expire, and the one who asked has not been idle meanwhile.
fn moved(ctx: &mut Ctx<'_>) {
    let now_ms = ctx.engine.clock.unix_ms();
    ctx.client.active_ms = now_ms;
    ctx.now = now_ms;
    let (is_lfu, may_expire) = (ctx.engine.is_lfu, ctx.engine.may_expire());
    for db in ctx.dbs() {
        db.begin(now_ms, is_lfu);
        if may_expire {
            db.expire_all();
        }
    }
}

fn answer(ctx: &mut Ctx<'_>) -> CmdResult {
    let unix_ms = ctx.engine.clock.unix_ms();
    ctx.reply.int(unix_ms);
    Ok(())
}
