//! Commands about whole databases: SELECT, SWAPDB, DBSIZE, FLUSHDB, FLUSHALL.
//!
//! A flush detaches what the database held in O(1); the graveyard frees it in slices between turns. So SYNC
//! and ASYNC are the same here: neither makes anybody wait. Cost: O(1), FLUSHALL and SWAPDB O(databases).
use crate::base::number;
use crate::command::spec::flag::{
    EMPTIES, FAST, LOADING, OTHER_DB, READONLY, READS_ALL, STALE, WRITE,
};
use crate::command::spec::{Command, Doc, Group, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SELECT, SWAPDB, DBSIZE, FLUSHDB, FLUSHALL];

const SELECT: Command = Command {
    flags: LOADING | STALE | FAST,
    doc: doc(
        "1.0.0",
        "O(1)",
        "index:integer",
        "Change the selected database for the current connection",
    ),
    ..command(Group::Connection, "select", 2, select)
};

const SWAPDB: Command = Command {
    flags: WRITE | FAST | OTHER_DB,
    categories: category::DANGEROUS | category::KEYSPACE,
    doc: doc(
        "4.0.0",
        "O(N) where N is the count of clients watching or blocking on keys from both databases.",
        "index1:integer index2:integer",
        "Swaps two Redis databases",
    ),
    ..command(Group::Server, "swapdb", 3, swapdb)
};

const DBSIZE: Command = Command {
    flags: READONLY | FAST | READS_ALL,
    categories: category::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    doc: doc("1.0.0", "O(1)", "", "Return the number of keys in the selected database"),
    ..command(Group::Server, "dbsize", 1, dbsize)
};

const FLUSHDB: Command = Command {
    flags: WRITE | EMPTIES,
    categories: category::DANGEROUS | category::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    doc: Doc {
        history: &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
            "[async(ASYNC@4.0.0|SYNC@6.2.0)]",
            "Remove all keys from the current database",
        )
    },
    ..command(Group::Server, "flushdb", -1, flushdb)
};

const FLUSHALL: Command = Command {
    flags: WRITE | EMPTIES,
    categories: category::DANGEROUS | category::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    doc: Doc {
        history: &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
        ..doc(
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "[async(ASYNC@4.0.0|SYNC@6.2.0)]",
            "Remove all keys from all databases",
        )
    },
    ..command(Group::Server, "flushall", -1, flushall)
};

fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.client.db = ctx.db_named(args.at(1))?;
    ctx.reply.ok();
    Ok(())
}

fn swapdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let first = parse_index(args.at(1), "ERR invalid first DB index")?;
    let second = parse_index(args.at(2), "ERR invalid second DB index")?;
    let count = ctx.db_count();
    let in_range = |index: i32| usize::try_from(index).ok().filter(|&index| index < count);
    let (Some(first), Some(second)) = (in_range(first), in_range(second)) else {
        return Err(CmdError::Text("ERR DB index is out of range"));
    };
    if first == second {
        ctx.engine.stats.dirty += 1;
        ctx.reply.ok();
        return Ok(());
    }
    let is_long = ctx.tell_swap(first, second);
    let mut chosen = ctx
        .dbs()
        .enumerate()
        .filter(|&(index, _)| index == first || index == second)
        .map(|(_, db)| db);
    if let (Some(one), Some(other)) = (chosen.next(), chosen.next()) {
        std::mem::swap(one, other);
    }
    drop(chosen);
    if is_long {
        ctx.tell_swapped(first, second);
    }
    if ctx.engine.jobs.is_active() {
        let Shared { jobs, outbox, .. } = &mut *ctx.engine;
        jobs.swapped(first, second, &mut outbox.wakes);
    }
    if !ctx.engine.blocking.is_empty() {
        // Clients stay where they are, and see other keys there.
        ctx.engine.blocking.note_all(first);
        ctx.engine.blocking.note_all(second);
    }
    ctx.changed(Event::Flush, b"");
    ctx.reply.ok();
    Ok(())
}

fn parse_index(text: &[u8], refusal: &'static str) -> Result<i32, CmdError> {
    number::parse_i64(text)
        .and_then(|index| i32::try_from(index).ok())
        .ok_or(CmdError::Text(refusal))
}

fn dbsize(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.count(ctx.db.len());
    Ok(())
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_flush_mode(args)?;
    ctx.empty(ctx.db_index());
    ctx.reply.ok();
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_flush_mode(args)?;
    ctx.empty_all();
    ctx.reply.ok();
    Ok(())
}

/// SYNC, ASYNC, or nothing.
fn check_flush_mode(args: Args<'_>) -> Result<(), CmdError> {
    let mode = args.at(1);
    match args.len() {
        1 => Ok(()),
        2 if mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async") => Ok(()),
        _ => Err(CmdError::Syntax),
    }
}
