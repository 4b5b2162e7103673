//! MODULE: there are no modules. LIST says so, LOAD fails as for a file that is no module.
//!
//! Modules of Redis are shared libraries for its own structures in memory, which are not ours.
use crate::command::help;
use crate::command::spec::flag::{ADMIN, LOADING, NO_ASYNC_LOADING, NOSCRIPT, PROTECTED, STALE};
use crate::command::spec::{Command, Group, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[MODULE];

const MODULE: Command = Command {
    doc: doc("4.0.0", "Depends on subcommand.", "", "A container for module commands"),
    ..container(
        Group::Server,
        "module",
        &[MODULE_HELP, MODULE_LIST, MODULE_LOAD, MODULE_LOADEX, MODULE_UNLOAD],
    )
};

const MODULE_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, module_help)
};

const MODULE_LIST: Command = Command {
    flags: ADMIN | NOSCRIPT,
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "4.0.0",
        "O(N) where N is the number of loaded modules.",
        "",
        "List all modules loaded by the server",
    ),
    ..command(Group::Server, "list", 2, module_list)
};

/// Of those that change which modules there are.
const CHANGES: u32 = NO_ASYNC_LOADING | ADMIN | NOSCRIPT | PROTECTED;

const MODULE_LOAD: Command = Command {
    flags: CHANGES,
    doc: doc("4.0.0", "O(1)", "path:string [arg:string...]", "Load a module"),
    ..command(Group::Server, "load", -3, module_load)
};

const MODULE_LOADEX: Command = Command {
    flags: CHANGES,
    doc: doc(
        "7.0.0",
        "O(1)",
        "path:string [CONFIG=configs(name:string value:string)...+] [ARGS=args(arg:string)...]",
        "Load a module with extended parameters",
    ),
    ..command(Group::Server, "loadex", -3, module_load)
};

const MODULE_UNLOAD: Command = Command {
    flags: CHANGES,
    doc: doc("4.0.0", "O(1)", "name:string", "Unload a module"),
    ..command(Group::Server, "unload", 3, module_unload)
};

fn module_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.array(0);
    Ok(())
}

fn module_load(_ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let path = String::from_utf8_lossy(args.at(2)).escape_default().to_string();
    log::warn!("Module {path} failed to load: modules of Redis cannot be used here");
    Err(CmdError::Text("ERR Error loading the extension. Please check the server logs."))
}

fn module_unload(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(CmdError::Text("ERR Error unloading module: no such module with that name"))
}

fn module_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    const LINES: &[&str] = &[
        "LIST",
        "    Return a list of loaded modules.",
        "LOAD <path> [<arg> ...]",
        "    Load a module library from <path>, passing to it any optional arguments.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Load a module library from <path>, while passing it module configurations and optional arguments.",
        "UNLOAD <name>",
        "    Unload a module.",
    ];
    help::reply(ctx, args, LINES)
}
