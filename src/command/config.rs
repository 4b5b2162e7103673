//! CONFIG: reads, changes and saves the options of the running server.
//!
//! The options and every rule about them are in `engine::config`; here are only the replies, and
//! the order in which a change takes effect: the values first, then what the network layer does
//! at once (ports, limits), which can fail and then takes everything back.
use crate::command::each::visit_each;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, command, container, doc};
use crate::engine::config::{Opt, Origin, SetError};
use crate::engine::config_rewrite::Lines;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::host::HostError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[CONFIG];

const CONFIG: Command = Command {
    doc: doc(
        "2.0.0",
        "Depends on subcommand.",
        "",
        "A container for server configuration commands",
    ),
    ..container(
        Group::Server,
        "config",
        &[CONFIG_GET, CONFIG_HELP, CONFIG_RESETSTAT, CONFIG_REWRITE, CONFIG_SET],
    )
};

const CONFIG_GET: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: Doc {
        history: &[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")],
        ..doc(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "parameter(parameter:string)...",
            "Get the values of configuration parameters",
        )
    },
    ..command(Group::Server, "get", -3, config_get)
};

const CONFIG_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, config_help)
};

const CONFIG_RESETSTAT: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc("2.0.0", "O(1)", "", "Reset the stats returned by INFO"),
    ..command(Group::Server, "resetstat", 2, config_resetstat)
};

const CONFIG_REWRITE: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "2.8.0",
        "O(1)",
        "",
        "Rewrite the configuration file with the in memory configuration",
    ),
    ..command(Group::Server, "rewrite", 2, config_rewrite)
};

const CONFIG_SET: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: Doc {
        history: &[("7.0.0", "Added the ability to set multiple parameters in one call.")],
        ..doc(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "parameter_value(parameter:string value:string)...",
            "Set configuration parameters to the given values",
        )
    },
    ..command(Group::Server, "set", -4, config_set)
};

fn config_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut found = Vec::new();
    visit_each(ctx, args, 2..args.len(), PATTERNS_PER_PIECE, move |ctx, args, index| {
        ctx.engine.config.find(args.at(index), &mut found);
        if index + 1 == args.len() {
            ctx.reply.map(found.len());
            for (name, value) in &found {
                ctx.reply.bulk(name);
                ctx.reply.bulk(value);
            }
        }
        Ok(())
    })
}

/// Patterns compared with all options between two looks at the clock.
const PATTERNS_PER_PIECE: usize = 4;

fn config_set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if !args.len().is_multiple_of(2) {
        return Err(CmdError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|index| (args.at(index), args.at(index + 1))).collect();
    let origin = Origin { local: ctx.client.is_local(), loading: false };
    let shared = &mut *ctx.engine;
    let before = shared.config.snapshot();
    let refused = |error: SetError| CmdError::Owned(error.message());
    let mut changed = shared.config.set(&pairs, origin).map_err(refused)?;
    if let Some(host) = &mut shared.host
        && let Err(HostError { option, reason }) = host.apply(&changed, &shared.config)
    {
        log::warn!(
            "Failed applying new configuration. Possibly related to new {} setting. \
             Restoring previous settings.",
            option.name()
        );
        shared.config.restore(before);
        // What was applied before the failure goes back as well.
        changed.retain(|&applied| applied != option);
        if let Err(HostError { option, reason }) = host.apply(&changed, &shared.config) {
            log::warn!("Failed restoring {}: {reason}", option.name());
        }
        return Err(refused(SetError::applying(option, reason)));
    }
    if changed.contains(&Opt::RequirePass) {
        shared.take_over_password();
    }
    shared.config_changed();
    let (log_factor, decay_minutes) = shared.lfu_settings();
    let is_fifo = shared.is_fifo();
    for db in ctx.dbs() {
        db.set_lfu(log_factor, decay_minutes);
        db.set_fifo(is_fifo);
    }
    ctx.reply.ok();
    Ok(())
}

/// Waits for the disk, as Redis does: the file is small, and the client wants to know.
fn config_rewrite(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let users = ctx.engine.acl.config_lines();
    match ctx.engine.config.rewrite(Some(&users), Lines::Changed) {
        Ok(()) => {
            log::warn!("CONFIG REWRITE executed with success.");
            ctx.reply.ok();
            Ok(())
        }
        Err(error) => {
            log::warn!("CONFIG REWRITE failed: {error}");
            Err(CmdError::Owned(error.to_string().into_bytes()))
        }
    }
}

fn config_resetstat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.engine.stats.reset();
    ctx.engine.stalls.reset_durations();
    ctx.engine.graveyard.freed = 0;
    for db in ctx.dbs() {
        db.stats = Default::default();
    }
    ctx.reply.ok();
    Ok(())
}

fn config_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    for line in HELP {
        ctx.reply.simple(line);
    }
    Ok(())
}

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

#[cfg(test)]
mod tests;
