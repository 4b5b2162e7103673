//! FCALL and FCALL_RO: functions of loaded libraries.
//!
//! The handler finds the function and checks how many keys there are; [`ScriptRun`] calls it.
use crate::base::number;
use crate::command::script_run::{Call, ScriptRun, Target};
use crate::command::spec::flag::{
    MAY_REPLICATE, NO_MANDATORY_KEYS, NOSCRIPT, READONLY, SKIP_MONITOR, STALE,
};
use crate::command::spec::{Command, Group, KeySpec, access, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::monitor;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[FCALL, FCALL_RO];

const COMPLEXITY: &str = "Depends on the function that is executed.";
const SYNTAX: &str = "function:string numkeys:integer [key:key...] [arg:string...]";

const FCALL: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | MAY_REPLICATE | NO_MANDATORY_KEYS | STALE,
    keys: &[KeySpec {
        notes: "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
        ..KeySpec::counted(access::RW | access::ACCESS | access::UPDATE, 2)
    }],
    doc: doc("7.0.0", COMPLEXITY, SYNTAX, "Invoke a function"),
    ..command(Group::Scripting, "fcall", -3, |ctx, args| call(ctx, args, false))
};

const FCALL_RO: Command = Command {
    flags: NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | READONLY,
    keys: &[KeySpec {
        notes: "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
        ..KeySpec::counted(access::RO | access::ACCESS, 2)
    }],
    doc: doc("7.0.0", COMPLEXITY, SYNTAX, "Invoke a read-only function"),
    ..command(Group::Scripting, "fcall_ro", -3, |ctx, args| call(ctx, args, true))
};

fn call(ctx: &mut Ctx<'_>, args: Args<'_>, is_read_only: bool) -> CmdResult {
    // To MONITOR before the commands of the function.
    if !ctx.engine.monitors.is_empty() {
        monitor::feed(ctx.engine, ctx.client, args);
    }
    let shared = &mut *ctx.engine;
    shared.functions.make_ready(&mut shared.scripts, &shared.clock);
    let Some(function) = shared.functions.libraries.function(args.at(1)) else {
        return Err(CmdError::Text("ERR Function not found"));
    };
    let (target, flags) = (Target::Function(function.name.clone(), function.slot), function.flags);
    let call = Call { key_count: key_count(args)?, is_read_only };
    let run = ScriptRun::new(ctx, target, flags, call);
    ctx.run_compound(run)
}

fn key_count(args: Args<'_>) -> Result<usize, CmdError> {
    let count = number::parse_i64(args.at(2));
    let count = count.ok_or(CmdError::Text("ERR Bad number of keys provided"))?;
    if count > args.len() as i64 - 3 {
        return Err(CmdError::Text("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CmdError::Text("ERR Number of keys can't be negative"))
}
