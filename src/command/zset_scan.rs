//! Sorted sets: walking over them with a cursor, and drawing members at random.
use crate::base::number::{write_d2string, write_f64_17g};
use crate::command::items::reply_item;
use crate::command::options::{integer, is};
use crate::command::scan_options::{STEPS_PER_ELEMENT, ScanOptions, parse_cursor};
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::READONLY;
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::command::zset_value::{Form, MEMBERS_PER_PIECE};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::types::shuffle::Shuffle;
use crate::types::zset::{Zset, ZsetRef};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[ZSCAN, ZRANDMEMBER];

const ZSCAN: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for \
        the cursor to return back to 0. N is the number of elements inside the collection..",
        "key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer]",
        "Incrementally iterate sorted sets elements and associated scores",
    ),
    ..command(Group::SortedSet, "zscan", -3, zscan)
};

const ZRANDMEMBER: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "6.2.0",
        "O(N) where N is the number of elements returned",
        "key:key [options(count:integer [WITHSCORES])]",
        "Get one or multiple random elements from a sorted set",
    ),
    ..command(Group::SortedSet, "zrandmember", -2, zrandmember)
};

fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.at(2))?;
    let Some(zset) = ctx.db.get::<Zset>(args.key(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk_int(0);
        ctx.reply.array(0);
        return Ok(());
    };
    let wanted = match zset {
        // All of it in one step.
        ZsetRef::Packed(_) => 1,
        ZsetRef::Tree(tree) => tree.len() as u64,
    };
    let count = ScanOptions::of_elements(args, 3)?.count;
    let steps_left = count.saturating_mul(STEPS_PER_ELEMENT);
    let mut job = Scan { cursor, seen: 0, steps_left, found: 0, listed: Output::default() };
    if ctx.is_long(count.min(wanted) as usize) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// ZSCAN, with any COUNT.
struct Scan {
    cursor: u64,
    /// Members looked at.
    seen: u64,
    steps_left: u64,
    found: usize,
    listed: Output,
}

impl Job for Scan {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let options = ScanOptions::of_elements(args, 3)?;
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        let (mut scratch, mut text) = (itoa::Buffer::new(), Vec::new());
        while let Some(zset) = ctx.db.peek_as::<Zset>(args.key(1))? {
            self.cursor = zset.scan(self.cursor, |member, score| {
                self.seen += 1;
                if !options.pattern.matches(member.as_bytes(&mut scratch)) {
                    return;
                }
                self.found += 1;
                reply_item(&mut list, member);
                text.clear();
                // As Redis prints them here: as they are kept, or with 17 digits.
                match zset {
                    ZsetRef::Packed(_) => write_d2string(&mut text, score),
                    ZsetRef::Tree(_) => write_f64_17g(&mut text, score),
                }
                list.bulk(&text);
            });
            if self.cursor == 0 || self.steps_left == 0 || self.seen >= options.count {
                break;
            }
            self.steps_left -= 1;
            if budget.spend(1) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        ctx.reply.array(2);
        ctx.reply.bulk_int(self.cursor as i64);
        ctx.reply.array(2 * self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

fn zrandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() < 3 {
        match ctx.db.get::<Zset>(args.key(1))?.and_then(|zset| zset.random(&mut ctx.engine.random))
        {
            Some((member, _)) => reply_item(&mut ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let count = integer(args.at(2))?;
    if count == i64::MIN {
        return Err(CmdError::Text(
            "ERR value is out of range, value must between -9223372036854775807 and \
            9223372036854775807",
        ));
    }
    let has_scores = args.len() > 3;
    if args.len() > 4 || (has_scores && !is(args.at(3), "withscores")) {
        return Err(CmdError::Syntax);
    }
    if has_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CmdError::Text("ERR value is out of range"));
    }
    let len = ctx.db.get::<Zset>(args.key(1))?.map_or(0, |zset| zset.len());
    let form = if has_scores { Form::with_scores(&ctx.reply) } else { Form::Names };
    // What is drawn again and again, one by one; or each member once: all of them, or some in random order.
    let (left, draw) = match usize::try_from(count) {
        _ if len == 0 => (0, Draw::Again),
        Err(_) => (count.unsigned_abs() as usize, Draw::Again),
        Ok(count) if count >= len => (len, Draw::All),
        Ok(count) => (count, Draw::Once(Shuffle::new(len as u64, &mut ctx.engine.random))),
    };
    form.open(&mut ctx.reply, left);
    let mut job = Sample { left, draw, form };
    if ctx.is_long(left) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// How members are drawn.
enum Draw {
    /// Any, each time anew.
    Again,
    /// Each once, in order.
    All,
    /// Each once, in random order: the ranks to come.
    Once(Shuffle),
}

/// ZRANDMEMBER with a count.
struct Sample {
    left: usize,
    draw: Draw,
    form: Form,
}

impl Job for Sample {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(zset) = ctx.db.peek_as::<Zset>(args.key(1))? else { return Ok(Step::Done) };
        let mut in_order = zset.range(zset.len().saturating_sub(self.left)..zset.len());
        while self.left > 0 {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(self.left);
            for _ in 0..piece {
                let drawn = match &mut self.draw {
                    Draw::Again => zset.random(&mut ctx.engine.random),
                    Draw::All => in_order.next(),
                    Draw::Once(ranks) => {
                        let rank = ranks.next().unwrap_or(0) as usize;
                        zset.range(rank..rank + 1).next()
                    }
                };
                let Some((member, score)) = drawn else { return Ok(Step::Done) };
                self.form.show(&mut ctx.reply, member, score);
            }
            self.left -= piece;
            if self.left > 0 && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}
