//! Sorted sets: removing ranges of members.
use crate::command::spec::access::{DELETE, RW};
use crate::command::spec::flag::WRITE;
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::command::zset_value::{Bounds, By, MEMBERS_PER_PIECE, note_taken};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::zset::{End, Zset};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX];

const ZREMRANGEBYRANK: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "2.0.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "key:key start:integer stop:integer",
        "Remove all members in a sorted set within the given indexes",
    ),
    ..command(Group::SortedSet, "zremrangebyrank", 4, zremrangebyrank)
};

const ZREMRANGEBYSCORE: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "1.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "key:key min:double max:double",
        "Remove all members in a sorted set within the given scores",
    ),
    ..command(Group::SortedSet, "zremrangebyscore", 4, zremrangebyscore)
};

const ZREMRANGEBYLEX: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "2.8.9",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "key:key min:string max:string",
        "Remove all members in a sorted set between the given lexicographical range",
    ),
    ..command(Group::SortedSet, "zremrangebylex", 4, zremrangebylex)
};

fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    remove_range(ctx, args, By::Rank, Event::ZRemByRank)
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    remove_range(ctx, args, By::Score, Event::ZRemByScore)
}

fn zremrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    remove_range(ctx, args, By::Lex, Event::ZRemByLex)
}

fn remove_range(ctx: &mut Ctx<'_>, args: Args<'_>, by: By, event: Event) -> CmdResult {
    let bounds = Bounds::parse(args, 2, 3, by)?;
    let zset = ctx.db.peek_as::<Zset>(args.key(1))?;
    let ranks = zset.map_or(0..0, |zset| bounds.ranks(zset, End::First));
    let is_long = ctx.is_long(ranks.len());
    let mut job = RemoveRanks { start: ranks.start, count: ranks.len(), removed: 0, event };
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// Removes the members of some ranks.
struct RemoveRanks {
    /// Rank of the first of them: what follows moves up.
    start: usize,
    count: usize,
    removed: usize,
    event: Event,
}

impl Job for RemoveRanks {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        while self.removed < self.count {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(self.count - self.removed);
            let left = ctx.db.edit::<Zset, _>(key, |zset| {
                zset.remove_ranks(self.start..self.start + piece);
                zset.len()
            })?;
            self.removed += piece;
            if self.removed == self.count {
                note_taken(ctx, self.event, key, self.count, left.unwrap_or(0));
            } else if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        ctx.reply.count(self.count);
        Ok(Step::Done)
    }
}
