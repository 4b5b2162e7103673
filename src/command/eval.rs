//! EVAL, EVALSHA and their read-only forms.
//!
//! The handler finds the script, or compiles it, and checks how many keys there are; [`ScriptRun`] runs it. For a
//! client that debugs its scripts `script_debug` does all that.
use crate::base::number;
use crate::command::script_debug;
use crate::command::script_run::{Call, ScriptRun, Target};
use crate::command::spec::flag::{
    MAY_REPLICATE, NO_MANDATORY_KEYS, NOSCRIPT, READONLY, SKIP_MONITOR, STALE,
};
use crate::command::spec::{Command, Group, KeySpec, access, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::monitor;
use crate::engine::scripts::{self, Sha};
use crate::proto::args::Args;
use crate::script::shebang::Flags;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[EVAL, EVAL_RO, EVALSHA, EVALSHA_RO];

const COMPLEXITY: &str = "Depends on the script that is executed.";
const NOTES: &str =
    "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
const NOTES_RO: &str =
    "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";
const KEYS: &[KeySpec] = &[KeySpec {
    notes: NOTES,
    ..KeySpec::counted(access::RW | access::ACCESS | access::UPDATE, 2)
}];
const KEYS_RO: &[KeySpec] =
    &[KeySpec { notes: NOTES_RO, ..KeySpec::counted(access::RO | access::ACCESS, 2) }];

const EVAL: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | MAY_REPLICATE | NO_MANDATORY_KEYS | STALE,
    categories: category::SCRIPTING,
    keys: KEYS,
    doc: doc(
        "2.6.0",
        COMPLEXITY,
        "script:string numkeys:integer [key:key...] [arg:string...]",
        "Execute a Lua script server side",
    ),
    ..command(Group::Scripting, "eval", -3, eval)
};

const EVAL_RO: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | READONLY,
    categories: category::SCRIPTING,
    keys: KEYS_RO,
    doc: doc(
        "7.0.0",
        COMPLEXITY,
        "script:string numkeys:integer [key:key...] [arg:string...]",
        "Execute a read-only Lua script server side",
    ),
    ..command(Group::Scripting, "eval_ro", -3, eval_ro)
};

const EVALSHA: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | MAY_REPLICATE | NO_MANDATORY_KEYS | STALE,
    categories: category::SCRIPTING,
    keys: &[KeySpec::counted(access::RW | access::ACCESS | access::UPDATE, 2)],
    doc: doc(
        "2.6.0",
        COMPLEXITY,
        "sha1:string numkeys:integer [key:key...] [arg:string...]",
        "Execute a Lua script server side",
    ),
    ..command(Group::Scripting, "evalsha", -3, evalsha)
};

const EVALSHA_RO: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | READONLY,
    categories: category::SCRIPTING,
    keys: &[KeySpec::counted(access::RO | access::ACCESS, 2)],
    doc: doc(
        "7.0.0",
        COMPLEXITY,
        "sha1:string numkeys:integer [key:key...] [arg:string...]",
        "Execute a read-only Lua script server side",
    ),
    ..command(Group::Scripting, "evalsha_ro", -3, evalsha_ro)
};

fn eval(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    eval_source(ctx, args, false)
}

fn eval_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    eval_source(ctx, args, true)
}

fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    eval_kept(ctx, args, false)
}

fn evalsha_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    eval_kept(ctx, args, true)
}

fn eval_source(ctx: &mut Ctx<'_>, args: Args<'_>, is_read_only: bool) -> CmdResult {
    show(ctx, args);
    let key_count = key_count(args);
    if ctx.client.debugging.is_some() {
        return script_debug::begin(ctx, args, key_count, is_read_only);
    }
    let key_count = key_count?;
    let source = args.at(1);
    let sha = scripts::sha_of(source);
    let flags = ctx.engine.scripts.load(sha, source).map_err(CmdError::Owned)?;
    run(ctx, sha, flags, Call { key_count, is_read_only })
}

fn eval_kept(ctx: &mut Ctx<'_>, args: Args<'_>, is_read_only: bool) -> CmdResult {
    const MISSING: CmdError = CmdError::Text("NOSCRIPT No matching script. Please use EVAL.");
    show(ctx, args);
    if args.at(1).len() != 2 * size_of::<Sha>() {
        return Err(MISSING);
    }
    if ctx.client.debugging.is_some() {
        return Err(CmdError::Text("ERR Please use EVAL instead of EVALSHA for debugging"));
    }
    let key_count = key_count(args)?;
    let sha = scripts::sha_from_hex(args.at(1)).ok_or(MISSING)?;
    let flags = ctx.engine.scripts.flags(&sha).ok_or(MISSING)?;
    run(ctx, sha, flags, Call { key_count, is_read_only })
}

/// To MONITOR, before the commands of the script.
fn show(ctx: &mut Ctx<'_>, args: Args<'_>) {
    if !ctx.engine.monitors.is_empty() {
        monitor::feed(ctx.engine, ctx.client, args);
    }
}

fn key_count(args: Args<'_>) -> Result<usize, CmdError> {
    let count = number::parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
    if count > args.len() as i64 - 3 {
        return Err(CmdError::Text("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CmdError::Text("ERR Number of keys can't be negative"))
}

fn run(ctx: &mut Ctx<'_>, sha: Sha, flags: Flags, call: Call) -> CmdResult {
    let run = ScriptRun::new(ctx, Target::Script(sha), flags, call);
    ctx.run_compound(run)
}
