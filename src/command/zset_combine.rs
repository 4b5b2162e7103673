//! Sorted sets: unions, intersections and differences, of plain sets too. The work is `zset_combine_job`'s.
use crate::base::number::parse_i64;
use crate::command::options::{Options, integer, is};

use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::command::zset_combine_job::{Aggregate, Combine, Operation, Source, Target};
use crate::command::zset_value::{Form, MEMBERS_PER_PIECE, score};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped, UNITS_AT_ONCE};
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[ZUNION, ZINTER, ZDIFF, ZINTERCARD, ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE];

const ZUNION: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::counted(RO | ACCESS, 1)],
    doc: doc(
        "6.2.0",
        "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M \
        being the number of elements in the resulting sorted set.",
        "numkeys:integer key:key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|\
        MAX)] [WITHSCORES]",
        "Add multiple sorted sets",
    ),
    ..command(Group::SortedSet, "zunion", -3, zunion)
};

const ZINTER: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::counted(RO | ACCESS, 1)],
    doc: doc(
        "6.2.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the \
        number of input sorted sets and M being the number of elements in the resulting sorted \
        set.",
        "numkeys:integer key:key... [WEIGHTS=weight:integer...] [AGGREGATE=aggregate(SUM|MIN|\
        MAX)] [WITHSCORES]",
        "Intersect multiple sorted sets",
    ),
    ..command(Group::SortedSet, "zinter", -3, zinter)
};

const ZDIFF: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::counted(RO | ACCESS, 1)],
    doc: doc(
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, \
        N is the size of the first set, and K is the size of the result set.",
        "numkeys:integer key:key... [WITHSCORES]",
        "Subtract multiple sorted sets",
    ),
    ..command(Group::SortedSet, "zdiff", -3, zdiff)
};

const ZINTERCARD: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::counted(RO | ACCESS, 1)],
    doc: doc(
        "7.0.0",
        "O(N*K) worst case with N being the smallest input sorted set, K being the number of \
        input sorted sets.",
        "numkeys:integer key:key... [LIMIT=limit:integer]",
        "Intersect multiple sorted sets and return the cardinality of the result",
    ),
    ..command(Group::SortedSet, "zintercard", -3, zintercard)
};

const ZUNIONSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::counted(RO | ACCESS, 2)],
    doc: doc(
        "2.0.0",
        "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M \
        being the number of elements in the resulting sorted set.",
        "destination:key numkeys:integer key:key#1... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate(SUM|MIN|MAX)]",
        "Add multiple sorted sets and store the resulting sorted set in a new key",
    ),
    ..command(Group::SortedSet, "zunionstore", -4, zunionstore)
};

const ZINTERSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::counted(RO | ACCESS, 2)],
    doc: doc(
        "2.0.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the \
        number of input sorted sets and M being the number of elements in the resulting sorted \
        set.",
        "destination:key numkeys:integer key:key#1... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate(SUM|MIN|MAX)]",
        "Intersect multiple sorted sets and store the resulting sorted set in a new key",
    ),
    ..command(Group::SortedSet, "zinterstore", -4, zinterstore)
};

const ZDIFFSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::counted(RO | ACCESS, 2)],
    doc: doc(
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, \
        N is the size of the first set, and K is the size of the result set.",
        "destination:key numkeys:integer key:key#1...",
        "Subtract multiple sorted sets and store the resulting sorted set in a new key",
    ),
    ..command(Group::SortedSet, "zdiffstore", -4, zdiffstore)
};

fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Union, Purpose::Reply, "zunion")
}

fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Inter, Purpose::Reply, "zinter")
}

fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Diff, Purpose::Reply, "zdiff")
}

fn zintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Inter, Purpose::Count, "zintercard")
}

fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Union, Purpose::Store(Event::ZUnionStore), "zunionstore")
}

fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Inter, Purpose::Store(Event::ZInterStore), "zinterstore")
}

fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Operation::Diff, Purpose::Store(Event::ZDiffStore), "zdiffstore")
}

/// What the result is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Reply,
    Count,
    /// It goes to the key that is the first argument.
    Store(Event),
}

fn combine(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    operation: Operation,
    purpose: Purpose,
    name: &str,
) -> CmdResult {
    let numkeys = if matches!(purpose, Purpose::Store(_)) { 2 } else { 1 };
    let count = integer(args.at(numkeys))?;
    let Some(count) = usize::try_from(count).ok().filter(|&count| count > 0) else {
        let parts = [b"ERR at least 1 input key is needed for '", name.as_bytes(), b"' command"];
        return Err(CmdError::owned(&parts));
    };
    if count > args.len() - (numkeys + 1) {
        return Err(CmdError::Syntax);
    }
    let keys = numkeys + 1..numkeys + 1 + count;
    let (is_many, next) = (count > UNITS_AT_ONCE, keys.start);
    let look = Look { operation, purpose, keys_end: keys.end, next, sources: Vec::new() };
    if is_many {
        return ctx.run_with_many_keys(args, Looking { look, work: None });
    }
    // Redis looks at the keys before it reads the options, and so the first error is that of a key.
    let mut look = look;
    look.step(ctx, args, usize::MAX)?;
    let mut job = look.finish(ctx, args)?;
    if ctx.is_long(job.members()) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// Looks at the keys one after the other.
struct Look {
    operation: Operation,
    purpose: Purpose,
    /// One behind the last argument that is a key.
    keys_end: usize,
    /// The argument that is looked at next.
    next: usize,
    sources: Vec<Source>,
}

impl Look {
    /// Looks at up to `count` keys; true once all have been.
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, count: usize) -> Result<bool, CmdError> {
        let end = self.keys_end.min(self.next.saturating_add(count));
        for argument in self.next..end {
            self.sources.push(Source::look(ctx, args, argument)?);
        }
        self.next = end;
        Ok(end == self.keys_end)
    }

    /// Reads what follows the keys.
    fn finish(&mut self, ctx: &Ctx<'_>, args: Args<'_>) -> Result<Combine, CmdError> {
        let is_count = self.purpose == Purpose::Count;
        let has_weights = self.operation != Operation::Diff && !is_count;
        let (mut aggregate, mut has_scores, mut limit) = (Aggregate::Sum, false, usize::MAX);
        let mut options = Options::new(args, self.keys_end);
        let mut left = args.len() - self.keys_end;
        while let Some(word) = options.next() {
            match word {
                _ if has_weights && left > self.sources.len() && is(word, "weights") => {
                    for source in &mut self.sources {
                        source.weight = score(options.value()?)
                            .map_err(|_| CmdError::Text("ERR weight value is not a float"))?;
                    }
                    left -= self.sources.len();
                }
                _ if has_weights && left >= 2 && is(word, "aggregate") => {
                    aggregate = match options.value()? {
                        word if is(word, "sum") => Aggregate::Sum,
                        word if is(word, "min") => Aggregate::Min,
                        word if is(word, "max") => Aggregate::Max,
                        _ => return Err(CmdError::Syntax),
                    };
                    left -= 1;
                }
                _ if self.purpose == Purpose::Reply && is(word, "withscores") => has_scores = true,
                _ if is_count && left >= 2 && is(word, "limit") => {
                    let number = parse_i64(options.value()?);
                    limit = number
                        .and_then(|limit| usize::try_from(limit).ok())
                        .ok_or(CmdError::Text("ERR LIMIT can't be negative"))?;
                    left -= 1;
                }
                _ => return Err(CmdError::Syntax),
            }
            left -= 1;
        }
        let target = match self.purpose {
            Purpose::Reply if has_scores => Target::Reply(Form::with_scores(&ctx.reply)),
            Purpose::Reply => Target::Reply(Form::Names),
            // 0 is no limit.
            Purpose::Count => Target::Count(if limit == 0 { usize::MAX } else { limit }),
            Purpose::Store(event) => Target::Store(event),
        };
        let sources = std::mem::take(&mut self.sources);
        Ok(Combine::new(self.operation, aggregate, target, sources, args, &ctx.engine.limits))
    }
}

/// A combination of very many keys: it looks at them once it holds them all.
struct Looking {
    look: Look,
    work: Option<Combine>,
}

impl Job for Looking {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            if let Some(work) = &mut self.work {
                return work.step(ctx, args, budget);
            }
            let piece = budget.piece(MEMBERS_PER_PIECE);
            if self.look.step(ctx, args, piece)? {
                self.work = Some(self.look.finish(ctx, args)?);
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(work) = &mut self.work {
            work.give_up(ctx);
        }
    }
}
