//! DEBUG: what test suites and developers of clients use to look inside, to provoke and to wait.
//!
//! Only what really does something is offered; the rest of Redis's subcommands is answered as unknown, and
//! those of persistence by an error that says so. Digests are in `debug_digest`.
use std::time::Duration;

use crate::base::c_number::leading_int;
use crate::base::glob::{Case, glob_match};
use crate::base::number;
use crate::command::debug_digest_job;
use crate::command::debug_object;
use crate::command::debug_populate;
use crate::command::help;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, PROTECTED, STALE, SYSCMD};
use crate::command::spec::{Command, Group, command, doc};
use crate::engine::config_rewrite::Lines;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::debug_settings::DebugSettings;
use crate::engine::error::CmdError;
use crate::engine::keys::debug_keys;
use crate::engine::session::Session;
use crate::proto::args::Args;
use crate::proto::reply::{Output, Resp};
use crate::store::{Db, StringRef};
use crate::types::limits::LIST_PACKED_THRESHOLD;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[DEBUG];

const DEBUG: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED | SYSCMD,
    looks_at: Some(debug_keys),
    doc: doc("1.0.0", "Depends on subcommand.", "", "A container for debugging commands"),
    ..command(Group::Server, "debug", -2, debug)
};

fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = args.at(1).to_ascii_lowercase();
    match (&*name, args.len()) {
        (b"help", 2) => help::reply(ctx, args, HELP),
        (b"sleep", 3) => sleep(ctx, args),
        (b"set-active-expire", 3) => {
            ctx.engine.is_active_expire_on = leading_int(args.at(2)) != 0;
            done(ctx)
        }
        (b"object", 3) => debug_object::object(ctx, args),
        (b"change-repl-id", 2) => {
            log::warn!("Changing replication IDs after receiving DEBUG change-repl-id");
            ctx.engine.replication_id = ctx.engine.random.hex_id();
            done(ctx)
        }
        (b"log", 3) => {
            log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2)));
            done(ctx)
        }
        (b"protocol", 3) => protocol(ctx, args),
        (b"replybuffer", 4) => reply_buffer(ctx, args),
        (b"pause-cron", 3) => {
            ctx.engine.debug.is_cron_paused = leading_int(args.at(2)) != 0;
            done(ctx)
        }
        (b"set-disable-deny-scripts", 3) => {
            ctx.engine.debug.is_deny_script_off = leading_int(args.at(2)) != 0;
            done(ctx)
        }
        (b"set-skip-checksum-validation", 3) => {
            ctx.engine.debug.skips_checksums = leading_int(args.at(2)) != 0;
            done(ctx)
        }
        (b"quicklist-packed-threshold", 3) => packed_threshold(ctx, args),
        (b"digest", 2) => debug_digest_job::digest(ctx, args),
        (b"digest-value", _) => debug_digest_job::digest_value(ctx, args),
        (b"htstats", 3) => debug_populate::table_stats(ctx, args),
        (b"htstats-key" | b"listpack", 3) | (b"quicklist", 3 | 4) => {
            debug_object::encoding(ctx, args, &name)
        }
        (b"populate", 3..=5) => debug_populate::populate(ctx, args),
        (b"sdslen", 3) => string_sizes(ctx, args),
        (b"client-eviction", 2) => client_eviction(ctx),
        (b"config-rewrite-force-all", 2) => {
            let users = ctx.engine.acl.config_lines();
            let result = ctx.engine.config.rewrite(Some(&users), Lines::All);
            result.map_err(|error| CmdError::Owned(error.to_string().into_bytes()))?;
            done(ctx)
        }
        // Not counted as an error of ours: whoever asks for it gets what he asked for.
        (b"error", 3) => {
            ctx.reply.error(args.at(2));
            Ok(())
        }
        (b"jobs", 4) => jobs(ctx, args),
        (b"structsize", 2) => struct_sizes(ctx),
        (b"stringmatch-test", 2) => match_test(ctx),
        (b"reload" | b"loadaof" | b"aof-flush-sleep", _) => {
            Err(CmdError::Text("ERR persistence is not available yet"))
        }
        _ => Err(CmdError::subcommand_syntax("debug", args.at(1))),
    }
}

/// DEBUG JOBS UNITS n: everything that can be a job is one, of slices of n units; 0 goes back to time.
/// DEBUG JOBS STOP-AFTER n: jobs stand still after n more slices; -1 lets them run.
fn jobs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let number = leading_int(args.at(3));
    let jobs = &mut ctx.engine.jobs;
    match &*args.at(2).to_ascii_lowercase() {
        b"units" => jobs.force_units(u64::try_from(number).ok().filter(|&units| units > 0)),
        b"stop-after" => jobs.stop_after(u64::try_from(number).ok()),
        _ => return Err(CmdError::Syntax),
    }
    done(ctx)
}

fn done(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.reply.ok();
    Ok(())
}

/// The number a text begins with, as C's `strtod` reads it: what follows (a line end) does not matter.
fn leading_float(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let is_part =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let mut length = text.iter().take_while(|byte| is_part(byte)).count().min(64);
    while length > 0 {
        let number = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok());
        if let Some(number) = number {
            return number;
        }
        length -= 1;
    }
    0.0
}

/// Holds the whole server on purpose; afterwards it is later.
fn sleep(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let micros = leading_float(args.at(2)) * 1e6;
    if micros >= 1.0 {
        // A cast saturates: the longest sleep is half a million years.
        std::thread::sleep(Duration::from_micros(micros as u64));
    }
    ctx.engine.clock.refresh();
    done(ctx)
}

// 3.141 is Redis's test value, not an attempt at pi.
#[allow(clippy::approx_constant)]
fn protocol(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let reply = &mut ctx.reply;
    let is_resp3 = reply.resp() == Resp::V3;
    match &*args.at(2).to_ascii_lowercase() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3.141),
        b"bignum" if is_resp3 => reply.raw(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => {
            return Err(CmdError::Text("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        _ => {
            return Err(CmdError::Text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn reply_buffer(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (what, value) = (args.at(2), args.at(3));
    let debug = &mut ctx.engine.debug;
    if what.eq_ignore_ascii_case(b"resizing") {
        debug.is_reply_resizing_on = leading_int(value) != 0;
    } else if !what.eq_ignore_ascii_case(b"peak-reset-time") {
        return Err(CmdError::subcommand_syntax("debug", args.at(1)));
    } else if value.eq_ignore_ascii_case(b"never") {
        debug.reply_peak_reset_ms = None;
    } else if value.eq_ignore_ascii_case(b"reset") {
        debug.reply_peak_reset_ms = DebugSettings::default().reply_peak_reset_ms;
    } else {
        let millis = number::parse_i64(value).ok_or(CmdError::NotInteger)?;
        // A negative time is how Redis stores `never`.
        debug.reply_peak_reset_ms = (millis >= 0).then_some(millis);
    }
    done(ctx)
}

/// Stored for lists; 0 is the default.
fn packed_threshold(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // A little below 4 GiB: what is larger does not fit a list node's length.
    const BYTES_MAX: u64 = (1 << 32) - (1 << 20);
    let bytes = number::parse_memory(args.at(2)).filter(|bytes| *bytes <= BYTES_MAX);
    let bytes = bytes.ok_or(CmdError::Text(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    ctx.engine.limits.list_packed_threshold =
        if bytes == 0 { LIST_PACKED_THRESHOLD } else { bytes as usize };
    done(ctx)
}

/// What a key and its string take. DIFFERS: nothing is kept in reserve, and key and short value share one slot,
/// which is counted as the value's.
fn string_sizes(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let entry = ctx.db.peek(args.key(2)).ok_or(CmdError::NoSuchKey)?;
    let value_bytes = match entry.string() {
        Some(StringRef::Bytes(bytes)) => bytes.len(),
        Some(StringRef::Block(block)) => block.len(),
        Some(StringRef::Int(_)) | None => {
            return Err(CmdError::Text("ERR Not an sds encoded string."));
        }
    };
    let key_bytes = entry.key().len();
    let line = format!(
        "key_sds_len:{key_bytes}, key_sds_avail:0, key_zmalloc: {key_bytes}, \
         val_sds_len:{value_bytes}, val_sds_avail:0, val_zmalloc: {}",
        entry.memory_usage().saturating_sub(key_bytes),
    );
    ctx.reply.simple(&line);
    Ok(())
}

/// The clients by the memory they take, where `maxmemory-clients` bounds it.
fn client_eviction(ctx: &mut Ctx<'_>) -> CmdResult {
    let memory = &ctx.engine.clients.memory;
    if !memory.is_limited() {
        return Err(CmdError::Text("ERR maxmemory-clients is disabled."));
    }
    let mut text = String::new();
    for bucket in memory.figures() {
        let to = bucket.to_bytes.map_or("+            ".into(), |bytes| format!(" - {bytes:10}"));
        text += &format!(
            "bucket {:10}{to}: tot-mem: {:10}, clients: {}\n",
            bucket.from_bytes, bucket.bytes, bucket.clients
        );
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Sizes of our structures; only `bits` means the same as in Redis.
fn struct_sizes(ctx: &mut Ctx<'_>) -> CmdResult {
    let text = format!(
        "bits:{} session:{} command:{} reply_output:{} database:{} ",
        usize::BITS,
        size_of::<Session>(),
        size_of::<Command>(),
        size_of::<Output>(),
        size_of::<Db>(),
    );
    ctx.reply.bulk(text.as_bytes());
    Ok(())
}

/// Matches random patterns against random texts, for a few milliseconds.
fn match_test(ctx: &mut Ctx<'_>) -> CmdResult {
    const LETTERS: &[u8] = b"ab*?[]^-\\";
    let random = &mut ctx.engine.random;
    let mut word = |length: u64| -> Vec<u8> {
        let length = random.below(length);
        (0..length).map(|_| LETTERS[random.below(LETTERS.len() as u64) as usize]).collect()
    };
    for _ in 0..10_000 {
        std::hint::black_box(glob_match(&word(16), &word(16), Case::Sensitive));
    }
    ctx.reply.simple("Apparently Redis did not crash: test passed");
    Ok(())
}

/// DIFFERS: without the subcommands that do not exist here, and those that crash the server.
const HELP: &[&str] = &[
    "CHANGE-REPL-ID",
    "    Change the replication IDs of the instance.",
    "    Dangerous: should be used only for testing the replication subsystem.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE but writes all configuration options, including",
    "    keywords not listed in original configuration file or default values.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "HTSTATS <dbid>",
    "    Return hash table statistics of the specified Redis database.",
    "HTSTATS-KEY <key>",
    "    Like HTSTATS but for the hash table stored at <key>'s value.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>. If <prefix> is specified then",
    "    it is used instead of the 'key' prefix. These are not propagated to",
    "    replicas. Cluster slots are not respected so keys not belonging to the",
    "    current node can be created in cluster mode.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
    "    default.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Lets scripts call what is denied to them.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Sets the threshold for elements to be inserted as plain vs packed nodes",
    "    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Enables or disables checksum checks for RDB files and RESTORE's payload.",
    "SDSLEN <key>",
    "    Show low level SDS string info representing `key` and value.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "STRINGMATCH-TEST",
    "    Run a fuzz tester against the stringmatchlen() function.",
    "STRUCTSIZE",
    "    Return the size of different core structures.",
    "LISTPACK <key>",
    "    Show low level info about the listpack encoding of <key>.",
    "QUICKLIST <key> [<0|1>]",
    "    Show low level info about the quicklist encoding of <key>.",
    "    The optional argument (0 by default) sets the level of detail",
    "CLIENT-EVICTION",
    "    Show low level client eviction pools info (maxmemory-clients).",
    "PAUSE-CRON <0|1>",
    "    Stop periodic cron job processing.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>",
    "    Sets the time (in milliseconds) to wait between client reply buffer peak resets.",
    "    In case NEVER is provided the last observed peak will never be reset",
    "    In case RESET is provided the peak reset time will be restored to the default value",
    "REPLYBUFFER RESIZING <0|1>",
    "    Enable or disable the reply buffer resize cron job",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let texts: [&[u8]; 7] = [b"1", b"-12x", b"", b"x1", b" 7\r\n", b"+3", b"-"];
        assert_eq!(texts.map(leading_int), [1, -12, 0, 0, 7, 3, 0]);
        let texts: [&[u8]; 7] = [b"0.25\r\n", b".5", b"1e-2", b"1e", b"-1", b"abc", b"1.5.2"];
        assert_eq!(texts.map(leading_float), [0.25, 0.5, 0.01, 1.0, -1.0, 0.0, 1.5]);
    }
}
