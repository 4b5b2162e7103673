//! SCRIPT: the cache of scripts, and the end of one that takes too long.
use crate::command::each::visit_each;
use crate::command::help;
use crate::command::script_debug;
use crate::command::spec::flag::{ALLOW_BUSY, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, category, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::scripts::{self, BUSY_FUNCTION};
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SCRIPT];

const SCRIPT: Command = Command {
    doc: doc(
        "2.6.0",
        "Depends on subcommand.",
        "",
        "A container for Lua scripts management commands",
    ),
    ..container(
        Group::Scripting,
        "script",
        &[SCRIPT_DEBUG, SCRIPT_EXISTS, SCRIPT_FLUSH, SCRIPT_HELP, SCRIPT_KILL, SCRIPT_LOAD],
    )
};

const SCRIPT_DEBUG: Command = Command {
    flags: NOSCRIPT,
    categories: category::SCRIPTING,
    doc: doc("3.2.0", "O(1)", "mode(YES|SYNC|NO)", "Set the debug mode for executed scripts."),
    ..command(Group::Scripting, "debug", 3, debug)
};

const SCRIPT_EXISTS: Command = Command {
    flags: NOSCRIPT,
    categories: category::SCRIPTING,
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    doc: doc(
        "2.6.0",
        "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
        "sha1:string...",
        "Check existence of scripts in the script cache.",
    ),
    ..command(Group::Scripting, "exists", -3, exists)
};

const SCRIPT_FLUSH: Command = Command {
    flags: NOSCRIPT,
    categories: category::SCRIPTING,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: Doc {
        history: &[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")],
        ..doc(
            "2.6.0",
            "O(N) with N being the number of scripts in cache",
            "[async(ASYNC|SYNC)@6.2.0]",
            "Remove all the scripts from the script cache.",
        )
    },
    ..command(Group::Scripting, "flush", -2, flush)
};

const SCRIPT_HELP: Command = Command {
    flags: LOADING | STALE,
    categories: category::SCRIPTING,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Scripting, "help", 2, help)
};

const SCRIPT_KILL: Command = Command {
    flags: NOSCRIPT | ALLOW_BUSY,
    categories: category::SCRIPTING,
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    doc: doc("2.6.0", "O(1)", "", "Kill the script currently in execution."),
    ..command(Group::Scripting, "kill", 2, kill)
};

const SCRIPT_LOAD: Command = Command {
    flags: NOSCRIPT | STALE,
    categories: category::SCRIPTING,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(
        "2.6.0",
        "O(N) with N being the length in bytes of the script body.",
        "script:string",
        "Load the specified Lua script into the script cache.",
    ),
    ..command(Group::Scripting, "load", 3, load)
};

const HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];

fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

/// Digests looked up between two looks at the clock.
const DIGESTS_PER_PIECE: usize = 64;

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.reply.array(args.len() - 2);
    visit_each(ctx, args, 2..args.len(), DIGESTS_PER_PIECE, |ctx, args, index| {
        let sha = scripts::sha_from_hex(args.at(index));
        let is_kept = sha.is_some_and(|sha| ctx.engine.scripts.contains(&sha));
        ctx.reply.int(is_kept.into());
        Ok(())
    })
}

fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let sha = scripts::sha_of(args.at(2));
    ctx.engine.scripts.load(sha, args.at(2)).map_err(CmdError::Owned)?;
    ctx.reply.bulk(scripts::hex_of(&sha).as_bytes());
    Ok(())
}

/// Both ways are one: an interpreter is freed at once, its sources with it.
fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_mode =
        |mode: &[u8]| mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async");
    if args.len() > 3 || (args.len() == 3 && !is_mode(args.at(2))) {
        return Err(CmdError::Text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    let forgotten = ctx.engine.scripts.flush();
    ctx.engine.graveyard.bury_garbage(Box::new(forgotten));
    ctx.reply.ok();
    Ok(())
}

fn kill(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let Some(slow) = &mut ctx.engine.scripts.slow else {
        return Err(CmdError::Text("NOTBUSY No scripts in execution right now."));
    };
    if slow.has_written {
        return Err(CmdError::Text(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait \
             the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    if !slow.is_eval {
        return Err(CmdError::Text(BUSY_FUNCTION));
    }
    slow.is_killed = true;
    ctx.reply.ok();
    Ok(())
}

fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script_debug::switch(ctx, args.at(2))
}
