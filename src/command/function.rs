//! FUNCTION: libraries of functions, loaded, listed, dumped and restored. FCALL runs them.
//!
//! What is loaded is no key of a database: FLUSHALL leaves it, and all databases see it. Loading runs the code of a
//! library, which may take half a second before it is ended.
use crate::base::glob::{Case, glob_match};
use crate::command::help;
use crate::command::spec::flag::{ALLOW_BUSY, DENYOOM, LOADING, NOSCRIPT, STALE, WRITE};
use crate::command::spec::{Command, Group, command, container, doc};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::functions::Policy;
use crate::engine::libraries::{ENGINE, Function, Library};
use crate::engine::scripts::BUSY_SCRIPT;
use crate::persist::function_payload;
use crate::persist::rdb_format::{Checksum, Compression, check_footer};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::script::shebang;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[FUNCTION];

const ALL_SHARDS: &str = "request_policy:all_shards";
const ALL_SUCCEEDED: &str = "response_policy:all_succeeded";

const FUNCTION: Command = Command {
    doc: doc("7.0.0", "Depends on subcommand.", "", "A container for function commands"),
    ..container(
        Group::Scripting,
        "function",
        &[DELETE, DUMP, FLUSH, HELP, KILL, LIST, LOAD, RESTORE, STATS],
    )
};

const DELETE: Command = Command {
    flags: NOSCRIPT | WRITE,
    tips: &[ALL_SHARDS, ALL_SUCCEEDED],
    doc: doc("7.0.0", "O(1)", "library-name:string", "Delete a function by name"),
    ..command(Group::Scripting, "delete", 3, delete)
};

const DUMP: Command = Command {
    flags: NOSCRIPT,
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of functions",
        "",
        "Dump all functions into a serialized binary payload",
    ),
    ..command(Group::Scripting, "dump", 2, dump)
};

const FLUSH: Command = Command {
    flags: NOSCRIPT | WRITE,
    tips: &[ALL_SHARDS, ALL_SUCCEEDED],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of functions deleted",
        "[async(ASYNC|SYNC)]",
        "Deleting all functions",
    ),
    ..command(Group::Scripting, "flush", -2, flush)
};

const HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("7.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Scripting, "help", 2, |ctx, args| help::reply(ctx, args, HELP_LINES))
};

const KILL: Command = Command {
    flags: NOSCRIPT | ALLOW_BUSY,
    tips: &[ALL_SHARDS, "response_policy:one_succeeded"],
    doc: doc("7.0.0", "O(1)", "", "Kill the function currently in execution."),
    ..command(Group::Scripting, "kill", 2, kill)
};

const LIST: Command = Command {
    flags: NOSCRIPT,
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of functions",
        "[LIBRARYNAME=library-name-pattern:string] [WITHCODE]",
        "List information about all the functions",
    ),
    ..command(Group::Scripting, "list", -2, list)
};

const LOAD: Command = Command {
    flags: NOSCRIPT | WRITE | DENYOOM,
    tips: &[ALL_SHARDS, ALL_SUCCEEDED],
    doc: doc(
        "7.0.0",
        "O(1) (considering compilation time is redundant)",
        "[REPLACE] function-code:string",
        "Create a function with the given arguments (name, code, description)",
    ),
    ..command(Group::Scripting, "load", -3, load)
};

const RESTORE: Command = Command {
    flags: NOSCRIPT | WRITE | DENYOOM,
    tips: &[ALL_SHARDS, ALL_SUCCEEDED],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of functions on the payload",
        "serialized-value:string [policy(FLUSH|APPEND|REPLACE)]",
        "Restore all the functions on the given payload",
    ),
    ..command(Group::Scripting, "restore", -3, restore)
};

const STATS: Command = Command {
    flags: NOSCRIPT | ALLOW_BUSY,
    tips: &["nondeterministic_output", ALL_SHARDS, "response_policy:special"],
    doc: doc(
        "7.0.0",
        "O(1)",
        "",
        "Return information about the function currently running (name, description, duration)",
    ),
    ..command(Group::Scripting, "stats", 2, stats)
};

const HELP_LINES: &[&str] = &[
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE \
     command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
];

/// An error with a text that is not ours.
fn refused(text: Vec<u8>) -> CmdError {
    CmdError::owned(&[b"ERR ", &text])
}

fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let code_at = args.len() - 1;
    for index in 2..code_at {
        let option = args.at(index);
        if !option.eq_ignore_ascii_case(b"replace") {
            return Err(CmdError::owned(&[b"ERR Unknown option given: ", option]));
        }
    }
    let shared = &mut *ctx.engine;
    let name =
        shared.functions.load(args.at(code_at), code_at > 2, &mut shared.scripts, &shared.clock);
    let name = name.map_err(refused)?;
    shared.stats.dirty += 1;
    ctx.reply.bulk(&name);
    Ok(())
}

fn delete(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let shared = &mut *ctx.engine;
    if !shared.functions.delete(args.at(2), &mut shared.scripts, &shared.clock) {
        return Err(CmdError::Text("ERR Library not found"));
    }
    shared.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

/// ASYNC or SYNC: an interpreter is dropped at once in either case.
fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mode = args.at(2);
    if args.len() > 3 {
        return Err(CmdError::subcommand_syntax("function", args.at(1)));
    }
    let is_mode = mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async");
    if args.len() == 3 && !is_mode {
        return Err(CmdError::Text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    let shared = &mut *ctx.engine;
    shared.functions.flush(&mut shared.scripts);
    shared.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn dump(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let is_compressed = ctx.engine.config.flag(Opt::Rdbcompression);
    let compression = if is_compressed { Compression::Lzf } else { Compression::Off };
    let libraries = &ctx.engine.functions.libraries;
    let codes = libraries.iter().map(|library| library.code.as_slice());
    ctx.reply.bulk(&function_payload::write(codes, compression));
    Ok(())
}

fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() > 4 {
        return Err(CmdError::subcommand_syntax("function", args.at(1)));
    }
    let policy = match args.at(3).to_ascii_lowercase().as_slice() {
        _ if args.len() == 3 => Policy::Append,
        b"append" => Policy::Append,
        b"replace" => Policy::Replace,
        b"flush" => Policy::Flush,
        _ => {
            return Err(CmdError::Text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let shared = &mut *ctx.engine;
    let checksum = match shared.debug.skips_checksums {
        true => Checksum::Ignored,
        false => Checksum::Compared,
    };
    let reader = check_footer(args.at(2), checksum)
        .map_err(|_| CmdError::Text("ERR DUMP payload version or checksum are wrong"))?;
    shared
        .functions
        .restore(reader, policy, &mut shared.scripts, &shared.clock)
        .map_err(refused)?;
    shared.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (mut pattern, mut has_code) = (None, false);
    let mut index = 2;
    while index < args.len() {
        let word = args.at(index);
        if !has_code && word.eq_ignore_ascii_case(b"withcode") {
            has_code = true;
        } else if pattern.is_none() && word.eq_ignore_ascii_case(b"libraryname") {
            index += 1;
            if index >= args.len() {
                return Err(CmdError::Text("ERR library name argument was not given"));
            }
            pattern = Some(args.at(index));
        } else {
            return Err(CmdError::owned(&[b"ERR Unknown argument ", word]));
        }
        index += 1;
    }
    let is_listed = |library: &&Library| {
        pattern.is_none_or(|pattern| glob_match(pattern, &library.name, Case::Insensitive))
    };
    let listed: Vec<&Library> = ctx.engine.functions.libraries.iter().filter(is_listed).collect();
    ctx.reply.array(listed.len());
    listed.iter().for_each(|library| describe(&mut ctx.reply, library, has_code));
    Ok(())
}

fn describe(reply: &mut Reply<'_>, library: &Library, has_code: bool) {
    reply.map(if has_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(ENGINE.as_bytes());
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    library.functions.iter().for_each(|function| describe_function(reply, function));
    if has_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn describe_function(reply: &mut Reply<'_>, function: &Function) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    match &function.description {
        Some(description) => reply.bulk(description),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    let is_set = |(_, flag): &&(&str, shebang::Flags)| function.flags.has(*flag);
    reply.set(shebang::NAMES.iter().filter(is_set).count());
    shebang::NAMES.iter().filter(is_set).for_each(|(name, _)| reply.simple(name));
}

fn kill(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let Some(slow) = &mut ctx.engine.scripts.slow else {
        return Err(CmdError::Text("NOTBUSY No scripts in execution right now."));
    };
    if slow.has_written {
        return Err(CmdError::Text(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
             script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    if slow.is_eval {
        return Err(CmdError::Text(BUSY_SCRIPT));
    }
    slow.is_killed = true;
    ctx.reply.ok();
    Ok(())
}

/// Only a function that was set aside can be seen running.
fn stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let shared = &*ctx.engine;
    if shared.scripts.slow.as_ref().is_some_and(|slow| slow.is_eval) {
        return Err(CmdError::Text(BUSY_SCRIPT));
    }
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match &shared.scripts.slow {
        None => reply.null(),
        Some(slow) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&slow.name);
            reply.bulk(b"command");
            reply.array(slow.command.len());
            slow.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            let ticks = shared.clock.ticks().saturating_sub(slow.started_ticks);
            reply.int((shared.clock.nanos(ticks) / 1_000_000) as i64);
        }
    }
    let libraries = &shared.functions.libraries;
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(libraries.len());
    reply.bulk(b"functions_count");
    reply.count(libraries.function_count());
    Ok(())
}
