//! MEMORY: where memory is, and what to do about it.
//!
//! The figures are those of INFO memory (`engine::info_memory`); the size of a key is what its entry really
//! takes, so it needs no samples.
use std::fmt::Write as _;

use crate::base::{number, sys};
use crate::command::help;
use crate::command::spec::access::RO;
use crate::command::spec::flag::{LOADING, READONLY, STALE};
use crate::command::spec::{Command, Group, KeySpec, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::info_memory::{MemoryReport, Ratio};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::store::DbMemory;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[MEMORY];

const MEMORY: Command = Command {
    doc: doc("4.0.0", "Depends on subcommand.", "", "A container for memory diagnostics commands"),
    ..container(
        Group::Server,
        "memory",
        &[
            MEMORY_DOCTOR,
            MEMORY_HELP,
            MEMORY_MALLOC_STATS,
            MEMORY_PURGE,
            MEMORY_STATS,
            MEMORY_USAGE,
        ],
    )
};

const MEMORY_DOCTOR: Command = Command {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    doc: doc("4.0.0", "O(1)", "", "Outputs memory problems report"),
    ..command(Group::Server, "doctor", 2, memory_doctor)
};

const MEMORY_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("4.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, memory_help)
};

const MEMORY_MALLOC_STATS: Command = Command {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    doc: doc(
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "",
        "Show allocator internal stats",
    ),
    ..command(Group::Server, "malloc-stats", 2, memory_malloc_stats)
};

const MEMORY_PURGE: Command = Command {
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    doc: doc(
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "",
        "Ask the allocator to release memory",
    ),
    ..command(Group::Server, "purge", 2, memory_purge)
};

const MEMORY_STATS: Command = Command {
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    doc: doc("4.0.0", "O(1)", "", "Show memory usage details"),
    ..command(Group::Server, "stats", 2, memory_stats)
};

const MEMORY_USAGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO, 2, 0, 1)],
    doc: doc(
        "4.0.0",
        "O(N) where N is the number of samples.",
        "key:key [SAMPLES=count:integer]",
        "Estimate the memory usage of a key",
    ),
    ..command(Group::Server, "usage", -3, memory_usage)
};

/// Below this the figures say nothing about the data.
const ALMOST_EMPTY_BYTES: usize = 5 << 20;
/// Less than this is not worth a word.
const NOTICEABLE_BYTES: i64 = 10 << 20;
/// More than this per client, on average, is much.
const CLIENT_BYTES_LARGE: usize = 200 << 10;

/// SAMPLES is checked and then not needed: nothing is estimated.
fn memory_usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut at = 3;
    while at < args.len() {
        if !args.at(at).eq_ignore_ascii_case(b"samples") || at + 1 == args.len() {
            return Err(CmdError::Syntax);
        }
        if number::parse_i64(args.at(at + 1)).ok_or(CmdError::NotInteger)? < 0 {
            return Err(CmdError::Syntax);
        }
        at += 2;
    }
    match ctx.db.peek(args.key(2)) {
        Some(entry) => ctx.reply.count(entry.memory_usage()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn memory_stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let report = MemoryReport::measure(ctx);
    let reply = &mut ctx.reply;
    reply.map(27 + report.dbs.len());
    let field = |reply: &mut Reply<'_>, name: &str, value: usize| {
        reply.bulk(name.as_bytes());
        reply.count(value);
    };
    field(reply, "peak.allocated", report.peak);
    field(reply, "total.allocated", report.used);
    field(reply, "startup.allocated", report.startup);
    field(reply, "replication.backlog", 0);
    field(reply, "clients.slaves", 0);
    field(reply, "clients.normal", report.clients);
    for absent in ["cluster.links", "aof.buffer", "lua.caches", "functions.caches"] {
        field(reply, absent, 0);
    }
    for db in &report.dbs {
        reply.bulk(format!("db.{}", db.index).as_bytes());
        reply.map(3);
        field(reply, "overhead.hashtable.main", db.table_bytes);
        // Expiry times are in the entries themselves, and there are no slots.
        field(reply, "overhead.hashtable.expires", 0);
        field(reply, "overhead.hashtable.slot-to-keys", 0);
    }
    field(reply, "overhead.total", report.overhead);
    field(reply, "keys.count", report.keys);
    field(reply, "keys.bytes-per-key", report.net().checked_div(report.keys).unwrap_or(0));
    field(reply, "dataset.bytes", report.dataset);
    reply.bulk(b"dataset.percentage");
    reply.double(report.dataset_percent());
    reply.bulk(b"peak.percentage");
    reply.double(report.peak_percent());
    field(reply, "allocator.allocated", report.used);
    field(reply, "allocator.active", report.active);
    field(reply, "allocator.resident", report.resident);
    for (name, ratio_name, ratio) in [
        ("allocator-fragmentation", ".ratio", report.fragmentation()),
        ("allocator-rss", ".ratio", report.allocator_overhead()),
        ("rss-overhead", ".ratio", Ratio::NONE),
        ("fragmentation", "", report.total_fragmentation()),
    ] {
        reply.bulk(format!("{name}{ratio_name}").as_bytes());
        reply.double(ratio.ratio);
        reply.bulk(format!("{name}.bytes").as_bytes());
        reply.int(ratio.bytes);
    }
    Ok(())
}

fn memory_doctor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let report = MemoryReport::measure(ctx);
    let clients = ctx.engine.clients.len().max(1);
    let text = diagnosis(&report, clients);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn diagnosis(report: &MemoryReport, clients: usize) -> String {
    if report.used < ALMOST_EMPTY_BYTES {
        return "Hi Sam, this instance is empty or is using very little memory, my issues detector \
                can't be used in these conditions. Please, leave for your mission on Earth and fill it \
                with some data. The new Sam and I will be back to our programming as soon as I finished \
                rebooting.\n"
            .to_owned();
    }
    let is_high = |ratio: Ratio, limit| ratio.ratio > limit && ratio.bytes > NOTICEABLE_BYTES;
    let findings = [
        (
            report.peak as f64 / report.used as f64 > 1.5,
            "Peak memory: once more than 150% of what is used now was in use. What was freed since may \
             not have gone back to the system yet; it will be used again. MEMORY PURGE gives back what \
             can be given back.",
        ),
        (
            is_high(report.total_fragmentation(), 1.4),
            "High total RSS: the process holds more than 140% of the memory that is in use.",
        ),
        (
            is_high(report.fragmentation(), 1.1),
            "Fragmentation: more than a tenth of the keyspace's pages is free slots. They are compacted \
             in the background and filled by new keys.",
        ),
        (
            is_high(report.allocator_overhead(), 1.1),
            "High allocator overhead: the allocator holds more than 110% of what it was asked for. Try \
             MEMORY PURGE.",
        ),
        (
            report.clients / clients > CLIENT_BYTES_LARGE,
            "Big client buffers: clients hold more than 200K each on average. CLIENT LIST shows whose \
             they are.",
        ),
    ];
    let found: String = findings
        .iter()
        .filter(|(is_found, _)| *is_found)
        .map(|(_, text)| format!(" * {text}\n\n"))
        .collect();
    if found.is_empty() {
        return "Hi Sam, I can't find any memory issue in your instance. I can only account for what \
                occurs on this base.\n"
            .to_owned();
    }
    format!(
        "Sam, I detected a few issues in this Redis instance memory implants:\n\n{found}\
         I'm here to keep you safe, Sam. I want to help you.\n"
    )
}

fn memory_purge(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    sys::trim_malloc();
    ctx.reply.ok();
    Ok(())
}

/// Where the allocator's memory is; all in bytes. Redis has this text from jemalloc, so nobody parses it.
fn memory_malloc_stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let report = MemoryReport::measure(ctx);
    let mut text = format!(
        "___ Begin rufous memory statistics ___\n\
         Allocated: {}, active: {}, resident: {}, peak: {}\n",
        report.used, report.active, report.resident, report.peak,
    );
    let _ = writeln!(text, "Database: table, heap in use, heap pages, large values, to be freed");
    for (index, db) in ctx.dbs().enumerate() {
        let memory = db.memory();
        if memory != DbMemory::default() {
            let _ = writeln!(
                text,
                "{index:>8}: {}, {}, {}, {}, {}",
                memory.table_bytes,
                memory.heap_live_bytes,
                memory.heap_page_bytes,
                memory.block_bytes,
                memory.garbage_bytes,
            );
        }
    }
    let emptied = &ctx.engine.graveyard;
    let _ = writeln!(text, "Emptied databases: {}, {} keys", emptied.bytes(), emptied.pending());
    text.push_str("--- End rufous memory statistics ---\n");
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn memory_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    const LINES: &[&str] = &[
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
    ];
    help::reply(ctx, args, LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(used: usize, peak: usize, resident: usize) -> MemoryReport {
        MemoryReport {
            used,
            peak,
            startup: 0,
            resident,
            active: used,
            counted: used,
            clients: 0,
            overhead: 0,
            dataset: used,
            keys: 1,
            dbs: Vec::new(),
        }
    }

    #[test]
    fn the_doctor_finds_what_is_there() {
        const MIB: usize = 1 << 20;
        assert!(diagnosis(&report(MIB, MIB, MIB), 1).contains("very little memory"));
        let healthy = diagnosis(&report(100 * MIB, 101 * MIB, 105 * MIB), 1);
        assert!(healthy.starts_with("Hi Sam, I can't find any memory issue"), "{healthy}");
        let peak = diagnosis(&report(100 * MIB, 151 * MIB, 105 * MIB), 1);
        assert!(peak.contains(" * Peak memory") && !peak.contains("High total RSS"), "{peak}");
        let swollen = diagnosis(&report(100 * MIB, 100 * MIB, 200 * MIB), 1);
        assert!(swollen.contains(" * High total RSS") && !swollen.contains("Peak"), "{swollen}");
    }
}
