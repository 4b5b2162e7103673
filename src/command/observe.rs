//! What to look at when the server is slow: SLOWLOG, LATENCY, MONITOR.
//!
//! Recording is done around every command (`execute`); these commands read and reset what was recorded. The
//! advice of LATENCY DOCTOR and the picture of LATENCY GRAPH are in `latency_report`.
use crate::base::number;
use crate::command::each::tell_each;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, command, container, doc};
use crate::command::table::CommandEntry;
use crate::command::{distribution, help, latency_report};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::latency::Series;
use crate::engine::session::restraint;
use crate::engine::slowlog;
use crate::proto::args::Args;
use crate::proto::reply::Reply;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SLOWLOG, LATENCY, MONITOR];

const SLOWLOG: Command = Command {
    doc: doc("2.2.12", "Depends on subcommand.", "", "A container for slow log commands"),
    ..container(Group::Server, "slowlog", &[SLOWLOG_GET, SLOWLOG_HELP, SLOWLOG_LEN, SLOWLOG_RESET])
};

const SLOWLOG_GET: Command = Command {
    flags: ADMIN | LOADING | STALE,
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    doc: Doc {
        history: &[("4.0.0", "Added client IP address, port and name to the reply.")],
        ..doc(
            "2.2.12",
            "O(N) where N is the number of entries returned",
            "[count:integer]",
            "Get the slow log's entries",
        )
    },
    ..command(Group::Server, "get", -2, slowlog_get)
};

const SLOWLOG_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("6.2.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, slowlog_help)
};

const SLOWLOG_LEN: Command = Command {
    flags: ADMIN | LOADING | STALE,
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    doc: doc("2.2.12", "O(1)", "", "Get the slow log's length"),
    ..command(Group::Server, "len", 2, slowlog_len)
};

const SLOWLOG_RESET: Command = Command {
    flags: ADMIN | LOADING | STALE,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(
        "2.2.12",
        "O(N) where N is the number of entries in the slowlog",
        "",
        "Clear all entries from the slow log",
    ),
    ..command(Group::Server, "reset", 2, slowlog_reset)
};

const LATENCY: Command = Command {
    doc: doc(
        "2.8.13",
        "Depends on subcommand.",
        "",
        "A container for latency diagnostics commands",
    ),
    ..container(
        Group::Server,
        "latency",
        &[
            LATENCY_DOCTOR,
            LATENCY_GRAPH,
            LATENCY_HELP,
            LATENCY_HISTOGRAM,
            LATENCY_HISTORY,
            LATENCY_LATEST,
            LATENCY_RESET,
        ],
    )
};

const LATENCY_DOCTOR: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc("2.8.13", "O(1)", "", "Return a human readable latency analysis report."),
    ..command(Group::Server, "doctor", 2, latency_doctor)
};

const LATENCY_GRAPH: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc("2.8.13", "O(1)", "event:string", "Return a latency graph for the event."),
    ..command(Group::Server, "graph", 3, latency_graph)
};

const LATENCY_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("2.8.13", "O(1)", "", "Show helpful text about the different subcommands."),
    ..command(Group::Server, "help", 2, latency_help)
};

const LATENCY_HISTOGRAM: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of commands with latency information being retrieved.",
        "[command:string...]",
        "Return the cumulative distribution of latencies of a subset of commands or all.",
    ),
    ..command(Group::Server, "histogram", -2, latency_histogram)
};

const LATENCY_HISTORY: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc("2.8.13", "O(1)", "event:string", "Return timestamp-latency samples for the event."),
    ..command(Group::Server, "history", 3, latency_history)
};

const LATENCY_LATEST: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc("2.8.13", "O(1)", "", "Return the latest latency samples for all events."),
    ..command(Group::Server, "latest", 2, latency_latest)
};

const LATENCY_RESET: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc("2.8.13", "O(1)", "[event:string...]", "Reset latency data for one or more events."),
    ..command(Group::Server, "reset", -2, latency_reset)
};

const MONITOR: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc("1.0.0", "", "", "Listen for all requests received by the server in real time"),
    ..command(Group::Server, "monitor", 1, monitor)
};

/// Entries SLOWLOG GET shows where no number is given.
const SLOWLOG_SHOWN: i64 = 10;

fn slowlog_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = match args.len() {
        2 => SLOWLOG_SHOWN,
        3 => match number::parse_i64(args.at(2)) {
            Some(-1) => i64::MAX,
            Some(count) if count >= 0 => count,
            _ => {
                return Err(CmdError::Text("ERR count should be greater than or equal to -1"));
            }
        },
        _ => return Err(CmdError::subcommand_syntax("slowlog", args.at(1))),
    };
    let newest = ctx.engine.slowlog.entries().next();
    let mut before = newest.map_or(0, |newest| newest.id + 1);
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    tell_each(ctx, args, ENTRIES_PER_PIECE, move |ctx, _, reply| {
        let entry = ctx.engine.slowlog.older_than(before).next().filter(|_| left > 0);
        if let Some(entry) = entry {
            (before, left) = (entry.id, left - 1);
            tell_slow(reply, entry);
        }
        entry.is_some()
    })
}

/// Entries told of between two looks at the clock.
const ENTRIES_PER_PIECE: usize = 8;

fn tell_slow(reply: &mut Reply<'_>, entry: &slowlog::Entry) {
    reply.array(6);
    reply.int(entry.id as i64);
    reply.int(entry.unix_seconds);
    reply.int(entry.micros as i64);
    reply.array(entry.arguments.len());
    entry.arguments.iter().for_each(|argument| reply.bulk(argument));
    reply.bulk(entry.peer.as_bytes());
    reply.bulk(&entry.client_name);
}

fn slowlog_len(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.count(ctx.engine.slowlog.entries().len());
    Ok(())
}

fn slowlog_reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let forgotten = ctx.engine.slowlog.reset();
    ctx.engine.graveyard.bury_garbage(Box::new(forgotten));
    ctx.reply.ok();
    Ok(())
}

fn slowlog_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    const LINES: &[&str] = &[
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
    ];
    help::reply(ctx, args, LINES)
}

fn latency_latest(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let events = ctx.engine.latency.events();
    ctx.reply.array(events.len());
    for (name, series) in events {
        let last = series.samples.last().copied().unwrap_or_default();
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.int(last.unix_seconds);
        ctx.reply.int(last.millis as i64);
        ctx.reply.int(series.max_ms as i64);
    }
    Ok(())
}

/// The spikes of the event of exactly this name; only LATENCY RESET takes any case, as in Redis.
fn series_of<'l>(ctx: &'l Ctx<'_>, name: &[u8]) -> Option<(&'static str, &'l Series)> {
    ctx.engine.latency.event(name).filter(|(known, _)| known.as_bytes() == name)
}

fn latency_history(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let samples =
        series_of(ctx, args.at(2)).map(|(_, series)| series.samples.clone()).unwrap_or_default();
    ctx.reply.array(samples.len());
    for sample in samples {
        ctx.reply.array(2);
        ctx.reply.int(sample.unix_seconds);
        ctx.reply.int(sample.millis as i64);
    }
    Ok(())
}

fn latency_graph(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some((name, series)) = series_of(ctx, args.at(2)) else {
        return Err(CmdError::owned(&[b"ERR No samples available for event '", args.at(2), b"'"]));
    };
    let text = latency_report::graph(name, series, ctx.now / 1000);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn latency_doctor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let report = latency_report::doctor(ctx.engine, ctx.now / 1000);
    ctx.reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn latency_reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let latency = &mut ctx.engine.latency;
    let count = match args.len() {
        2 => latency.reset_all(),
        _ => args.from(2).filter(|name| latency.reset(name)).count(),
    };
    ctx.reply.count(count);
    Ok(())
}

/// A command given by name brings its subcommands; a name that is none is passed over.
fn latency_histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (table, stats, reply) = (&ctx.engine.table, &ctx.engine.stats, &mut ctx.reply);
    let open = reply.array_open();
    let mut count = 0;
    let mut write = |entry: &CommandEntry| {
        let stats = stats.commands.get(entry.id.index());
        if let Some(histogram) = stats.and_then(|stats| stats.histogram.as_deref()) {
            reply.bulk(entry.full_name.as_bytes());
            distribution::reply(reply, "calls", histogram);
            count += 1;
        }
    };
    if args.len() == 2 {
        table.commands_and_subcommands().for_each(&mut write);
    }
    for entry in args.from(2).filter_map(|name| table.lookup_full(name)) {
        write(entry);
        table.children(entry).iter().for_each(&mut write);
    }
    ctx.reply.map_close(open, count);
    Ok(())
}

fn latency_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    const LINES: &[&str] = &[
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for \
         the specified command names.",
        "    If no commands are specified then all histograms are replied.",
    ];
    help::reply(ctx, args, LINES)
}

/// A client that monitors already gets no second OK, as in Redis.
fn monitor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.client.restrain(restraint::MONITOR, true) {
        return Ok(());
    }
    // Embedded, a client may be in no registry; nobody could be sent the feed then.
    if let Some(slot) = ctx.engine.clients.slot_of(ctx.client.id) {
        ctx.engine.monitors.push(slot);
    }
    ctx.reply.ok();
    Ok(())
}
