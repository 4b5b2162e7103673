//! Sorted sets: ranges of members by rank, by score and by name.
//!
//! Whatever a range is given by, it is a range of ranks once it has been looked up in O(log n); one job replies with
//! the members of some ranks, another copies them to a set of their own.
use std::ops::Range;

use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::zset_value::{Bounds, By, Form, MEMBERS_PER_PIECE, install};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::object::Aggregate;
use crate::types::zset::{End, Zset};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[
    ZRANGE,
    ZRANGESTORE,
    ZREVRANGE,
    ZRANGEBYSCORE,
    ZREVRANGEBYSCORE,
    ZRANGEBYLEX,
    ZREVRANGEBYLEX,
    ZCOUNT,
    ZLEXCOUNT,
];

const ZRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")],
        ..doc(
            "1.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements returned.",
            "key:key start:string stop:string [sortby(BYSCORE|BYLEX)@6.2.0] [REV@6.2.0] \
            [LIMIT=offset_count(offset:integer count:integer)@6.2.0] [WITHSCORES]",
            "Return a range of members in a sorted set",
        )
    },
    ..command(Group::SortedSet, "zrange", -4, zrange)
};

const ZRANGESTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::range(RO | ACCESS, 2, 0, 1)],
    doc: doc(
        "6.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements stored into the destination key.",
        "dst:key src:key#1 min:string max:string [sortby(BYSCORE|BYLEX)] [REV] \
        [LIMIT=offset_count(offset:integer count:integer)]",
        "Store a range of members from sorted set into another key",
    ),
    ..command(Group::SortedSet, "zrangestore", -5, zrangestore)
};

const ZREVRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        ..doc(
            "1.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements returned.",
            "key:key start:integer stop:integer [WITHSCORES]",
            "Return a range of members in a sorted set, by index, with scores ordered from high \
            to low",
        )
    },
    ..command(Group::SortedSet, "zrevrange", -4, zrevrange)
};

const ZRANGEBYSCORE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("2.0.0", "Added the `WITHSCORES` modifier.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        ..doc(
            "1.0.5",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements being returned. If M is constant (e.g. always asking for the first 10 \
            elements with LIMIT), you can consider it O(log(N)).",
            "key:key min:double max:double [WITHSCORES@2.0.0] [LIMIT=offset_count(offset:integer \
            count:integer)]",
            "Return a range of members in a sorted set, by score",
        )
    },
    ..command(Group::SortedSet, "zrangebyscore", -4, zrangebyscore)
};

const ZREVRANGEBYSCORE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("2.1.6", "`min` and `max` can be exclusive.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        ..doc(
            "2.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements being returned. If M is constant (e.g. always asking for the first 10 \
            elements with LIMIT), you can consider it O(log(N)).",
            "key:key max:double min:double [WITHSCORES] [LIMIT=offset_count(offset:integer \
            count:integer)]",
            "Return a range of members in a sorted set, by score, with scores ordered from high \
            to low",
        )
    },
    ..command(Group::SortedSet, "zrevrangebyscore", -4, zrevrangebyscore)
};

const ZRANGEBYLEX: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        ..doc(
            "2.8.9",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements being returned. If M is constant (e.g. always asking for the first 10 \
            elements with LIMIT), you can consider it O(log(N)).",
            "key:key min:string max:string [LIMIT=offset_count(offset:integer count:integer)]",
            "Return a range of members in a sorted set, by lexicographical range",
        )
    },
    ..command(Group::SortedSet, "zrangebylex", -4, zrangebylex)
};

const ZREVRANGEBYLEX: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        ..doc(
            "2.8.9",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number \
            of elements being returned. If M is constant (e.g. always asking for the first 10 \
            elements with LIMIT), you can consider it O(log(N)).",
            "key:key max:string min:string [LIMIT=offset_count(offset:integer count:integer)]",
            "Return a range of members in a sorted set, by lexicographical range, ordered from \
            higher to lower strings.",
        )
    },
    ..command(Group::SortedSet, "zrevrangebylex", -4, zrevrangebylex)
};

const ZCOUNT: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "key:key min:double max:double",
        "Count the members in a sorted set with scores within the given values",
    ),
    ..command(Group::SortedSet, "zcount", 4, zcount)
};

const ZLEXCOUNT: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.8.9",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "key:key min:string max:string",
        "Count the number of members in a sorted set between a given lexicographical range",
    ),
    ..command(Group::SortedSet, "zlexcount", 4, zlexcount)
};

/// A range, as the commands of this family are given it.
struct Wanted<'b> {
    bounds: Bounds<'b>,
    from: End,
    has_scores: bool,
    /// LIMIT: members to pass over, and how many to take; negative: none of them, and all of them.
    offset: i64,
    limit: i64,
}

/// What a command knows before it reads its options.
#[derive(Clone, Copy)]
struct Syntax {
    /// Argument of the source.
    source: usize,
    /// What the range is given by, where the name of the command says so.
    by: Option<By>,
    /// From which end, where it says so.
    from: Option<End>,
}

impl Syntax {
    /// ZRANGE and ZRANGESTORE, whose options say all.
    const fn open(source: usize) -> Syntax {
        Syntax { source, by: None, from: None }
    }

    const fn of(by: By, from: End) -> Syntax {
        Syntax { source: 1, by: Some(by), from: Some(from) }
    }

    fn parse<'b>(self, args: Args<'b>) -> Result<Wanted<'b>, CmdError> {
        let Syntax { source, mut by, mut from } = self;
        let (mut has_scores, mut offset, mut limit) = (false, 0, -1);
        let is_store = source > 1;
        let first = source + 3;
        let mut options = Options::new(args, first);
        let mut left = args.len().saturating_sub(first);
        while let Some(word) = options.next() {
            left -= 1;
            match word {
                _ if !is_store && is(word, "withscores") => has_scores = true,
                // Read at once: here a bad number comes before a later syntax error.
                _ if is(word, "limit") && left >= 2 => {
                    offset = integer(options.value()?)?;
                    limit = integer(options.value()?)?;
                    left -= 2;
                }
                _ if from.is_none() && is(word, "rev") => from = Some(End::Last),
                _ if by.is_none() && is(word, "bylex") => by = Some(By::Lex),
                _ if by.is_none() && is(word, "byscore") => by = Some(By::Score),
                _ => return Err(CmdError::Syntax),
            }
        }
        let (by, from) = (by.unwrap_or(By::Rank), from.unwrap_or(End::First));
        if limit != -1 && by == By::Rank {
            return Err(CmdError::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                BYLEX",
            ));
        }
        if has_scores && by == By::Lex {
            return Err(CmdError::Text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        if by == By::Rank {
            offset = 0;
        }
        // From the last end the upper bound comes first, but not of ranks.
        let (min, max) = match from {
            End::Last if by != By::Rank => (source + 2, source + 1),
            End::First | End::Last => (source + 1, source + 2),
        };
        let bounds = Bounds::parse(args, min, max, by)?;
        Ok(Wanted { bounds, from, has_scores, offset, limit })
    }
}

impl Wanted<'_> {
    /// The ranks of the members wanted at a key, counted from `from`, and how many members there are.
    fn find(
        &self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        key: usize,
    ) -> Result<Range<usize>, CmdError> {
        let Some(zset) = ctx.db.get::<Zset>(args.key(key))? else { return Ok(0..0) };
        let ranks = self.bounds.ranks(zset, self.from);
        let Ok(offset) = usize::try_from(self.offset) else { return Ok(0..0) };
        let start = ranks.start.saturating_add(offset).min(ranks.end);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Ok(start..ranks.end.min(start.saturating_add(limit)))
    }
}

fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::open(1))
}

fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::of(By::Rank, End::Last))
}

fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::of(By::Score, End::First))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::of(By::Score, End::Last))
}

fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::of(By::Lex, End::First))
}

fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show(ctx, args, Syntax::of(By::Lex, End::Last))
}

fn show(ctx: &mut Ctx<'_>, args: Args<'_>, syntax: Syntax) -> CmdResult {
    let wanted = syntax.parse(args)?;
    let ranks = wanted.find(ctx, args, 1)?;
    let form = if wanted.has_scores { Form::with_scores(&ctx.reply) } else { Form::Names };
    form.open(&mut ctx.reply, ranks.len());
    let is_long = ctx.is_long(ranks.len());
    let mut job = Show { ranks, from: wanted.from, form };
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// Replies with the members of some ranks.
struct Show {
    /// Ranks left, counted from `from`.
    ranks: Range<usize>,
    from: End,
    form: Form,
}

impl Job for Show {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(zset) = ctx.db.peek_as::<Zset>(args.key(1))? else { return Ok(Step::Done) };
        let len = zset.len();
        // One walk per slice: finding a rank costs as much as some members.
        let Range { start, end } = self.ranks;
        let mut members = match self.from {
            End::First => zset.range(start..end),
            End::Last => zset.range(len - end..len - start),
        };
        while !self.ranks.is_empty() {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(self.ranks.len());
            for _ in 0..piece {
                let next = match self.from {
                    End::First => members.next(),
                    End::Last => members.next_back(),
                };
                let Some((member, score)) = next else { return Ok(Step::Done) };
                self.form.show(&mut ctx.reply, member, score);
            }
            self.ranks.start += piece;
            if budget.spend(piece as u64) && !self.ranks.is_empty() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn zrangestore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let wanted = Syntax::open(2).parse(args)?;
    let ranks = wanted.find(ctx, args, 2)?;
    let len = ctx.db.peek_as::<Zset>(args.key(2))?.map_or(0, |zset| zset.len());
    // The result is in order whichever end was counted from.
    let ranks = match wanted.from {
        End::First => ranks,
        End::Last if ranks.is_empty() => 0..0,
        End::Last => len - ranks.end..len - ranks.start,
    };
    let is_long = ctx.is_long(ranks.len());
    // As Redis, which knows the length of a range of ranks only. It shows where a score is -0: trees keep that.
    let result = match wanted.bounds {
        Bounds::Ranks(..) => Zset::for_members(ranks.len(), &ctx.engine.limits),
        Bounds::Scores(_) | Bounds::Names(_) => Zset::new_empty(),
    };
    let mut job = Store { ranks, result };
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// ZRANGESTORE: copies the members of some ranks.
struct Store {
    /// Ranks left.
    ranks: Range<usize>,
    result: Zset,
}

impl Job for Store {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if self.copy(ctx, args, budget)? == Step::More {
            return Ok(Step::More);
        }
        let result = std::mem::replace(&mut self.result, Zset::new_empty());
        install(ctx, args.key(1), result, Event::ZRangeStore)?;
        Ok(Step::Done)
    }
}

impl Store {
    fn copy(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(zset) = ctx.db.peek_as::<Zset>(args.key(2))? else { return Ok(Step::Done) };
        let mut members = zset.range(self.ranks.clone());
        let mut scratch = itoa::Buffer::new();
        while !self.ranks.is_empty() {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(self.ranks.len());
            for (member, score) in members.by_ref().take(piece) {
                let name = member.as_bytes(&mut scratch);
                self.result.push_last(name, score, &ctx.engine.limits)?;
            }
            self.ranks.start += piece;
            if budget.spend(piece as u64) && !self.ranks.is_empty() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count(ctx, args, By::Score)
}

fn zlexcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count(ctx, args, By::Lex)
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, by: By) -> CmdResult {
    let bounds = Bounds::parse(args, 2, 3, by)?;
    let zset = ctx.db.get::<Zset>(args.key(1))?;
    ctx.reply.count(zset.map_or(0, |zset| bounds.ranks(zset, End::First).len()));
    Ok(())
}
