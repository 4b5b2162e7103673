//! HOTKEYS, of Redis 8.6: which keys take the most processor time and network, while a session of it is on.
//!
//! What counts, and what it costs, is in `engine::hotkeys`; these commands begin and end a session and show it.
//! DIFFERS: `CALLS` is a third metric, ours; SLOTS is refused, as in a Redis that is no cluster.
use crate::base::number;
use crate::command::help;
use crate::command::keys::keys_of;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Group, KeyUse, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::hotkeys::{HotKeyOptions, HotKeys};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::top_keys::TopKeys;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[HOTKEYS];

const HOTKEYS: Command = Command {
    doc: doc(SINCE, "Depends on subcommand.", "", "A container for hotkeys tracking commands."),
    ..container(
        Group::Server,
        "hotkeys",
        &[HOTKEYS_GET, HOTKEYS_HELP, HOTKEYS_RESET, HOTKEYS_START, HOTKEYS_STOP],
    )
};

const SINCE: &str = "8.6.0";
const FLAGS: u32 = ADMIN | NOSCRIPT;

const HOTKEYS_GET: Command = Command {
    flags: FLAGS,
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    doc: doc(
        SINCE,
        "O(K) where K is the number of hotkeys returned.",
        "",
        "Returns lists of top K hotkeys depending on metrics chosen in HOTKEYS START command.",
    ),
    ..command(Group::Server, "get", 2, hotkeys_get)
};

const HOTKEYS_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc(SINCE, "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, hotkeys_help)
};

const HOTKEYS_RESET: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(SINCE, "O(1)", "", "Release the resources used for hotkey tracking."),
    ..command(Group::Server, "reset", 2, hotkeys_reset)
};

const HOTKEYS_START: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(
        SINCE,
        "O(1)",
        "METRICS=metrics(count:integer [CPU] [NET] [CALLS]) [COUNT=k:integer] \
        [DURATION=seconds:integer] [SAMPLE=ratio:integer] \
        [SLOTS=slots(count:integer slot:integer...)]",
        "Starts hotkeys tracking.",
    ),
    ..command(Group::Server, "start", -2, hotkeys_start)
};

const HOTKEYS_STOP: Command = Command {
    flags: FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(SINCE, "O(1)", "", "Stops hotkeys tracking."),
    ..command(Group::Server, "stop", 2, hotkeys_stop)
};

const HELP: &[&str] = &[
    "START METRICS <count> [CPU] [NET] [CALLS] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>]",
    "    Start to count which keys take the most. Options:",
    "    * METRICS <count> [CPU] [NET] [CALLS]",
    "      How many metrics follow, and which: processor time, bytes received and sent,",
    "      number of commands.",
    "    * COUNT <k>",
    "      Keys shown per metric (default: 10).",
    "    * DURATION <seconds>",
    "      Stop after that time (default: go on until HOTKEYS STOP).",
    "    * SAMPLE <ratio>",
    "      Rank one command in <ratio> (default: 1, each).",
    "STOP",
    "    Stop counting. GET still shows what was counted.",
    "GET",
    "    Return what was counted.",
    "RESET",
    "    Forget what was counted. Counting must have been stopped.",
];

/// Metrics there are.
const METRICS_MAX: i64 = 3;
/// Keys shown where COUNT is not given, and the most it can be.
const SHOWN: usize = 10;
const SHOWN_MAX: i64 = 64;
/// The longest session, in seconds.
const DURATION_SECONDS_MAX: i64 = 1_000_000;
/// Hash slots of a cluster; all of them are ours.
const LAST_SLOT: i64 = 16_383;

/// An integer within bounds, or this error.
fn bounded(text: &[u8], least: i64, most: i64, message: &'static str) -> Result<i64, CmdError> {
    let number = number::parse_i64(text).filter(|number| (least..=most).contains(number));
    number.ok_or(CmdError::Text(message))
}

fn hotkeys_start(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if ctx.engine.counts_hot_keys() {
        return Err(CmdError::Text("ERR hotkey tracking session already in progress"));
    }
    if args.len() < 4 || !args.at(2).eq_ignore_ascii_case(b"metrics") {
        return Err(CmdError::Text("ERR METRICS parameter is required"));
    }
    let options = options(args)?;
    ctx.engine.start_hot_keys(HotKeys::new(options, keys_found, ctx.now));
    ctx.reply.ok();
    Ok(())
}

/// What follows METRICS. Names of metrics that are not known are passed over, as long as one is, so that later ones
/// can be asked for.
fn options(args: Args<'_>) -> Result<HotKeyOptions, CmdError> {
    const TOO_MANY: &str = "ERR METRICS count must be > 0 and <= 3";
    let count = bounded(args.at(3), 1, METRICS_MAX, TOO_MANY)? as usize;
    let mut options = HotKeyOptions { shown: SHOWN, sample_ratio: 1, ..HotKeyOptions::default() };
    let after_metrics = 4 + count;
    for word in args.from(4).take(count) {
        add_metric(&mut options, word)?;
    }
    if args.len() < after_metrics {
        return Err(CmdError::Text(
            "ERR METRICS count does not match number of metric types provided",
        ));
    }
    if !(options.by_cpu || options.by_net || options.by_calls) {
        return Err(CmdError::Text(
            "ERR METRICS no valid metrics passed. Supported: CPU|NET|CALLS",
        ));
    }
    let mut at = after_metrics;
    while at < args.len() {
        if at + 1 == args.len() {
            return Err(CmdError::Syntax);
        }
        let value = args.at(at + 1);
        match &*args.at(at).to_ascii_lowercase() {
            b"count" => {
                const WRONG: &str = "ERR COUNT must be between 1 and 64";
                options.shown = bounded(value, 1, SHOWN_MAX, WRONG)? as usize;
            }
            b"duration" => {
                const WRONG: &str = "ERR DURATION must be between 1 and 1000000";
                let seconds = bounded(value, 1, DURATION_SECONDS_MAX, WRONG)?;
                options.duration_ms = Some(seconds * 1000);
            }
            b"sample" => {
                const WRONG: &str = "ERR SAMPLE ratio must be positive";
                options.sample_ratio = bounded(value, 1, i32::MAX.into(), WRONG)? as u64;
            }
            b"slots" => {
                return Err(CmdError::Text(
                    "ERR SLOTS parameter cannot be used in non-cluster mode",
                ));
            }
            _ => return Err(CmdError::Syntax),
        }
        at += 2;
    }
    Ok(options)
}

fn add_metric(options: &mut HotKeyOptions, word: &[u8]) -> CmdResult {
    let (wanted, twice) = match &*word.to_ascii_lowercase() {
        b"cpu" => (&mut options.by_cpu, "ERR METRICS CPU defined more than once!"),
        b"net" => (&mut options.by_net, "ERR METRICS NET defined more than once!"),
        b"calls" => (&mut options.by_calls, "ERR METRICS CALLS defined more than once!"),
        _ => return Ok(()),
    };
    match std::mem::replace(wanted, true) {
        true => Err(CmdError::Text(twice)),
        false => Ok(()),
    }
}

/// The keys of a request, none where they are unclear.
fn keys_found(command: &Command, args: Args<'_>, found: &mut Vec<KeyUse>) {
    if keys_of(command, args, found).is_err() {
        found.clear();
    }
}

fn hotkeys_stop(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.engine.counts_hot_keys() {
        ctx.engine.stop_hot_keys();
        ctx.reply.ok();
    } else {
        ctx.reply.null();
    }
    Ok(())
}

fn hotkeys_reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.engine.counts_hot_keys() {
        return Err(CmdError::Text("ERR hotkey tracking session in progress, stop tracking first"));
    }
    ctx.engine.hotkeys = None;
    ctx.reply.ok();
    Ok(())
}

/// An array of one map, so that the answers of several servers can be put together.
fn hotkeys_get(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let is_active = ctx.engine.counts_hot_keys();
    let (reply, clock) = (&mut ctx.reply, &ctx.engine.clock);
    let Some(session) = ctx.engine.hotkeys.as_deref() else {
        reply.null();
        return Ok(());
    };
    let micros = |ticks: u64| (clock.nanos(ticks) / 1000) as i64;
    let pairs = [(session.cpu(), 3), (session.net(), 2), (session.calls(), 2)];
    reply.array(1);
    reply.map(7 + pairs.iter().filter(|(top, _)| top.is_some()).map(|(_, n)| n).sum::<usize>());
    number(reply, "tracking-active", is_active.into());
    number(reply, "sample-ratio", session.options().sample_ratio as i64);
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.int(0);
    reply.int(LAST_SLOT);
    number(reply, "all-commands-all-slots-us", micros(session.all().ticks));
    number(reply, "net-bytes-all-commands-all-slots", session.all().bytes as i64);
    number(reply, "collection-start-time-unix-ms", session.started_ms());
    number(reply, "collection-duration-ms", session.duration_ms(ctx.now));
    if session.cpu().is_some() {
        let used = session.cpu_since();
        number(reply, "total-cpu-time-user-ms", (used.user_us / 1000) as i64);
        number(reply, "total-cpu-time-sys-ms", (used.system_us / 1000) as i64);
    }
    for (name, top) in [("total-net-bytes", session.net()), ("total-calls", session.calls())] {
        if let Some(top) = top {
            number(reply, name, top.total() as i64);
        }
    }
    let shown = session.options().shown;
    ranking(reply, "by-cpu-time-us", session.cpu(), shown, micros);
    ranking(reply, "by-net-bytes", session.net(), shown, |bytes| bytes as i64);
    ranking(reply, "by-calls", session.calls(), shown, |calls| calls as i64);
    Ok(())
}

fn number(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.int(value);
}

/// Keys and their weights, the heaviest first, in one array; nothing where it was not asked for.
fn ranking(
    reply: &mut Reply<'_>,
    name: &str,
    top: Option<&TopKeys>,
    shown: usize,
    value: impl Fn(u64) -> i64,
) {
    let Some(top) = top else { return };
    let keys = top.heaviest(shown);
    reply.bulk(name.as_bytes());
    reply.array(2 * keys.len());
    for (key, weight) in keys {
        reply.bulk(&key);
        reply.int(value(weight));
    }
}

fn hotkeys_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}
