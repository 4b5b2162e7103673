//! STALLS: which turns of the loop took too long, and what they did meanwhile.
//!
//! The ledger itself, its threshold and what it costs are in `engine::stalls`; these commands read and reset it.
use crate::base::number;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Group, command, container, doc};
use crate::command::{distribution, help};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::stalls::{Phase, Stall};
use crate::proto::args::Args;
use crate::proto::reply::Reply;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[STALLS];

const STALLS: Command = Command {
    doc: doc(
        SINCE,
        "Depends on subcommand.",
        "",
        "A container for commands about stalls of the loop",
    ),
    ..container(
        Group::Server,
        "stalls",
        &[STALLS_GET, STALLS_HELP, STALLS_HISTOGRAM, STALLS_LEN, STALLS_RESET],
    )
};

/// Rufous's own version: Redis has no such command.
const SINCE: &str = "0.1.0";
const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

const STALLS_GET: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    doc: doc(
        SINCE,
        "O(N) where N is the number of entries returned",
        "[count:integer]",
        "Returns the last turns of the loop that took too long",
    ),
    ..command(Group::Server, "get", -2, stalls_get)
};

const STALLS_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc(SINCE, "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, stalls_help)
};

const STALLS_HISTOGRAM: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "nondeterministic_output", "response_policy:special"],
    doc: doc(
        SINCE,
        "O(N) where N is the number of phases",
        "[phase:string...]",
        "Returns the cumulative distribution of the durations of turns and their phases",
    ),
    ..command(Group::Server, "histogram", -2, stalls_histogram)
};

const STALLS_LEN: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    doc: doc(SINCE, "O(1)", "", "Returns how many turns STALLS GET can return"),
    ..command(Group::Server, "len", 2, stalls_len)
};

const STALLS_RESET: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(
        SINCE,
        "O(N) where N is the number of entries",
        "",
        "Forgets all entries and the durations of all turns",
    ),
    ..command(Group::Server, "reset", 2, stalls_reset)
};

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return the last <count> turns of the loop above the threshold (default: 10, -1 means all).",
    "    Of each: id, Unix time in milliseconds, the turn's microseconds, its longest phase and",
    "    that one's microseconds, its longest command, that one's first key, microseconds, client",
    "    address and client name, and how many clients waited when the turn was over.",
    "HISTOGRAM [<phase> ...]",
    "    Return the cumulative distribution of the durations of these phases (default: all), and",
    "    of whole turns, which are called 'turn'.",
    "LEN",
    "    Return how many turns GET can return.",
    "RESET",
    "    Forget all entries and durations.",
];

/// Entries GET shows where no number is given.
const ENTRIES_SHOWN: i64 = 10;
/// The name of whole turns among those of phases.
const WHOLE: &str = "turn";

fn stalls_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = match args.len() {
        2 => ENTRIES_SHOWN,
        3 => match number::parse_i64(args.at(2)) {
            Some(-1) => i64::MAX,
            Some(count) if count >= 0 => count,
            _ => return Err(CmdError::Text("ERR count should be greater than or equal to -1")),
        },
        _ => return Err(CmdError::subcommand_syntax("stalls", args.at(1))),
    };
    let entries = ctx.engine.stalls.entries();
    let shown = entries.len().min(usize::try_from(count).unwrap_or(usize::MAX));
    ctx.reply.array(shown);
    for stall in entries.take(shown) {
        write_stall(&mut ctx.reply, stall);
    }
    Ok(())
}

/// One entry: a map, in RESP2 a flat array of names and values.
fn write_stall(reply: &mut Reply<'_>, stall: &Stall) {
    let (command, key, peer, client_name) = match &stall.culprit {
        Some(culprit) => {
            (culprit.command, &culprit.key[..], &culprit.peer[..], &culprit.client_name[..])
        }
        None => ("", &[][..], "", &[][..]),
    };
    reply.map(11);
    number_field(reply, "id", stall.id as i64);
    number_field(reply, "time-ms", stall.unix_ms);
    number_field(reply, "turn-us", stall.turn_us as i64);
    text_field(reply, "phase", stall.phase.name().as_bytes());
    number_field(reply, "phase-us", stall.phase_us as i64);
    text_field(reply, "command", command.as_bytes());
    text_field(reply, "key", key);
    number_field(reply, "command-us", stall.command_us as i64);
    text_field(reply, "client", peer.as_bytes());
    text_field(reply, "client-name", client_name);
    number_field(reply, "clients-waiting", stall.clients_waiting as i64);
}

fn number_field(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.int(value);
}

fn text_field(reply: &mut Reply<'_>, name: &str, value: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(value);
}

fn stalls_histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (stalls, reply) = (&ctx.engine.stalls, &mut ctx.reply);
    let is_wanted = |name: &str| {
        args.len() == 2 || args.from(2).any(|asked| asked.eq_ignore_ascii_case(name.as_bytes()))
    };
    let phases = Phase::ALL.iter().map(|&phase| (phase.name(), stalls.phase(phase)));
    let all = std::iter::once((WHOLE, stalls.turns())).chain(phases);
    let wanted: Vec<_> = all.filter(|(name, _)| is_wanted(name)).collect();
    reply.map(wanted.len());
    for (name, durations) in wanted {
        reply.bulk(name.as_bytes());
        distribution::reply(reply, "turns", &durations.histogram);
    }
    Ok(())
}

fn stalls_len(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.count(ctx.engine.stalls.entries().len());
    Ok(())
}

fn stalls_reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.engine.stalls.reset();
    ctx.reply.ok();
    Ok(())
}

fn stalls_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}
