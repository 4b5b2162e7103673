//! Entries of a stream by their ids: XLEN, XRANGE, XREVRANGE, XDEL, XSETID.
//!
//! Cost: O(log n) and what is replied or deleted; much of it is a job.
use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, DELETE, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::stream_value::{
    ENTRIES_PER_PIECE, bury, check_ids, range_end, range_start, reply_entry, strict_id, work_of,
};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::types::stream::{Log, Stream, StreamId, Walk};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XLEN, XRANGE, XREVRANGE, XDEL, XSETID];

const XLEN: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("5.0.0", "O(1)", "key:key", "Return the number of entries in a stream"),
    ..command(Group::Stream, "xlen", 2, xlen)
};

const XRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("6.2.0", "Added exclusive ranges.")],
        ..doc(
            "5.0.0",
            "O(N) with N being the number of elements being returned. If N is constant (e.g. \
            always asking for the first 10 elements with COUNT), you can consider it O(1).",
            "key:key start:string end:string [COUNT=count:integer]",
            "Return a range of elements in a stream, with IDs matching the specified IDs interval",
        )
    },
    ..command(Group::Stream, "xrange", -4, xrange)
};

const XREVRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("6.2.0", "Added exclusive ranges.")],
        ..doc(
            "5.0.0",
            "O(N) with N being the number of elements returned. If N is constant (e.g. always \
            asking for the first 10 elements with COUNT), you can consider it O(1).",
            "key:key end:string start:string [COUNT=count:integer]",
            "Return a range of elements in a stream, with IDs matching the specified IDs \
            interval, in reverse order (from greater to smaller IDs) compared to XRANGE",
        )
    },
    ..command(Group::Stream, "xrevrange", -4, xrevrange)
};

const XDEL: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "5.0.0",
        "O(1) for each single item to delete in the stream, regardless of the stream size.",
        "key:key id:string...",
        "Removes the specified entries from the stream. Returns the number of items actually \
        deleted, that may be different from the number of IDs passed in case certain IDs do not \
        exist.",
    ),
    ..command(Group::Stream, "xdel", -3, xdel)
};

const XSETID: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")],
        ..doc(
            "5.0.0",
            "O(1)",
            "key:key last-id:string [ENTRIESADDED=entries_added:integer@7.0.0] \
            [MAXDELETEDID=max_deleted_entry_id:string@7.0.0]",
            "An internal command for replicating stream values",
        )
    },
    ..command(Group::Stream, "xsetid", -3, xsetid)
};

fn xlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let length = ctx.db.get::<Stream>(args.key(1))?.map_or(0, Stream::len);
    ctx.reply.count(length);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let start = range_start(args.at(2))?;
    let end = range_end(args.at(3))?;
    reply_range(ctx, args, Walk::new(start, end))
}

fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let start = range_start(args.at(3))?;
    let end = range_end(args.at(2))?;
    reply_range(ctx, args, Walk::backwards(start, end))
}

fn reply_range(ctx: &mut Ctx<'_>, args: Args<'_>, mut walk: Walk) -> CmdResult {
    let mut count = usize::MAX;
    let mut options = Options::new(args, 4);
    while let Some(option) = options.next() {
        if !is(option, "count") {
            return Err(CmdError::Syntax);
        }
        let number = integer(options.value()?)?;
        count = usize::try_from(number).unwrap_or(0);
    }
    let Some(stream) = ctx.db.get::<Stream>(args.key(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == 0 {
        ctx.reply.null_array();
        return Ok(());
    }
    let work = work_of(stream.log(), count);
    if ctx.is_long(work) {
        return ctx.run(args, Range { walk, left: count, found: 0, listed: Output::default() });
    }
    // The database is borrowed anew: `is_long` looks at the engine.
    let Some(stream) = ctx.db.peek_as::<Stream>(args.key(1))? else { return Ok(()) };
    let open = ctx.reply.array_open();
    let mut found = 0;
    while found < count {
        let units = count - found;
        if show(&mut ctx.reply, stream.log(), &mut walk, &mut found, units) {
            break;
        }
    }
    ctx.reply.array_close(open, found);
    Ok(())
}

/// Replies with up to `units` more entries, and counts them; whether there are no more.
#[inline]
fn show(
    reply: &mut Reply<'_>,
    log: &Log,
    walk: &mut Walk,
    found: &mut usize,
    units: usize,
) -> bool {
    let mut shown = 0;
    let progress = walk.step(log, units, |entry| {
        reply_entry(reply, &entry);
        shown += 1;
    });
    *found += shown;
    progress.is_done()
}

/// XRANGE and XREVRANGE of much.
struct Range {
    walk: Walk,
    /// Entries still to be shown.
    left: usize,
    found: usize,
    listed: Output,
}

impl Job for Range {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        while self.left > 0 {
            let Some(stream) = ctx.db.peek_as::<Stream>(args.key(1))? else { break };
            let units = budget.piece(ENTRIES_PER_PIECE).min(self.left);
            let before = self.found;
            let is_over = show(&mut list, stream.log(), &mut self.walk, &mut self.found, units);
            self.left -= self.found - before;
            if is_over {
                break;
            }
            if budget.spend(units as u64) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        ctx.reply.array(self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        ctx.engine.graveyard.bury_output(std::mem::take(&mut self.listed));
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

fn xdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if ctx.db.peek_as::<Stream>(args.key(1))?.is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    let mut job = Delete { checked: 2, next: 2, deleted: 0 };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XDEL: reads all ids before it deletes any.
struct Delete {
    /// Argument of the next id to be read.
    checked: usize,
    /// Argument of the next id to be deleted.
    next: usize,
    deleted: usize,
}

impl Job for Delete {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if check_ids(args, &mut self.checked, budget)? == Step::More {
            return Ok(Step::More);
        }
        let key = args.key(1);
        while self.next < args.len() {
            let end = (self.next + budget.piece(ENTRIES_PER_PIECE)).min(args.len());
            let ids = args.from(self.next).take(end - self.next);
            let changed = ctx.db.edit(key, |stream: &mut Stream| {
                let log = stream.log_mut();
                let ids = ids.filter_map(|text| StreamId::parse(text, 0));
                let deleted = ids.filter(|id| log.delete(*id)).count();
                if deleted > 0 {
                    log.find_first();
                }
                (deleted, log.take_spent())
            })?;
            if let Some((deleted, spent)) = changed {
                self.deleted += deleted;
                bury(ctx, spent);
            }
            let done = (end - self.next) as u64;
            self.next = end;
            if budget.spend(done) && end < args.len() {
                return Ok(Step::More);
            }
        }
        if self.deleted > 0 {
            ctx.changed_by(Event::XDel, key.bytes, self.deleted);
        }
        ctx.reply.count(self.deleted);
        Ok(Step::Done)
    }
}

fn xsetid(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let last = strict_id(args.at(2), 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut options = Options::new(args, 3);
    while let Some(option) = options.next() {
        if is(option, "entriesadded") {
            let number = integer(options.value()?)?;
            let number = u64::try_from(number)
                .map_err(|_| CmdError::Text("ERR entries_added must be positive"))?;
            added = Some(number);
        } else if is(option, "maxdeletedid") {
            max_deleted = strict_id(options.value()?, 0)?;
            if last < max_deleted {
                return Err(CmdError::Text(
                    "ERR The ID specified in XSETID is smaller than the provided \
                    max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let key = args.key(1);
    let Some(stream) = ctx.db.peek_as::<Stream>(key)? else { return Err(CmdError::NoSuchKey) };
    let log = stream.log();
    if !log.is_empty() {
        if last < log.top_id() {
            return Err(CmdError::Text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| added < log.len()) {
            return Err(CmdError::Text(
                "ERR The entries_added specified in XSETID is smaller than the target stream \
                length",
            ));
        }
    }
    let max_deleted = Some(max_deleted).filter(|id| !id.is_zero());
    ctx.db.edit(key, |stream: &mut Stream| stream.log_mut().set_ids(last, added, max_deleted))?;
    ctx.reply.ok();
    ctx.changed(Event::XSetId, key.bytes);
    Ok(())
}
