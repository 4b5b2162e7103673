//! HELP of commands with subcommands: Redis's frame around each command's own lines.
use crate::engine::ctx::{CmdResult, Ctx};
use crate::proto::args::Args;

/// Replies with `lines` between the header, which names the command as the client wrote it, and the line
/// about HELP itself.
pub(super) fn reply(ctx: &mut Ctx<'_>, args: Args<'_>, lines: &[&str]) -> CmdResult {
    // Names come from the table, or from rename-command: they may hold anything but a line must not end.
    let name = String::from_utf8_lossy(args.at(0)).to_ascii_uppercase().replace(['\r', '\n'], " ");
    ctx.reply.array(lines.len() + 3);
    ctx.reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        ctx.reply.simple(line);
    }
    ctx.reply.simple("HELP");
    ctx.reply.simple("    Prints this help.");
    Ok(())
}
