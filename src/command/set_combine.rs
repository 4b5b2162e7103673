//! What several sets have in common, together, or one without the others: SINTER, SUNION, SDIFF, their STORE forms and
//! SINTERCARD.
//!
//! One job does all of it, in stages:
//!
//! ```text
//!   Check   every key is a set or nothing; which is smallest
//!   Gather  union: all members of all sets into one; difference of many: all that is to be left out
//!   Pick    intersection, difference: each member of one set is looked for in the others
//!   Show    union: the reply
//! ```
//! What is stored is built aside and takes the key's place at the end, so a source may be the destination as well.
use std::ops::Range;

use crate::base::number::parse_i64;
use crate::command::items::reply_item;
use crate::command::options::{Options, is};
use crate::command::set_members::{MEMBERS_PER_PIECE, reply_members};
use crate::command::spec::access::{ACCESS, OW, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped, UNITS_AT_ONCE};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::store::Ttl;
use crate::types::set::{Set, SetCursor};

/// What it costs to copy a member into a set, in looks for one.
const COPY_COST: usize = 3;
/// Sets that members are looked for in at the same time: each is found anew in every slice.
const SETS_PER_ROUND: usize = 64;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[SDIFF, SDIFFSTORE, SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE];

const SDIFF: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 1, -1, 1)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "key:key...",
        "Subtract multiple sets",
    ),
    ..command(Group::Set, "sdiff", -2, sdiff)
};

const SDIFFSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::range(RO | ACCESS, 2, -1, 1)],
    doc: doc(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "destination:key key:key#1...",
        "Subtract multiple sets and store the resulting set in a key",
    ),
    ..command(Group::Set, "sdiffstore", -3, sdiffstore)
};

const SINTER: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 1, -1, 1)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets.",
        "key:key...",
        "Intersect multiple sets",
    ),
    ..command(Group::Set, "sinter", -2, sinter)
};

const SINTERCARD: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::counted(RO | ACCESS, 1)],
    doc: doc(
        "7.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets.",
        "numkeys:integer key:key... [LIMIT=limit:integer]",
        "Intersect multiple sets and return the cardinality of the result",
    ),
    ..command(Group::Set, "sintercard", -3, sintercard)
};

const SINTERSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | UPDATE), KeySpec::range(RO | ACCESS, 2, -1, 1)],
    doc: doc(
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets.",
        "destination:key key:key#1...",
        "Intersect multiple sets and store the resulting set in a key",
    ),
    ..command(Group::Set, "sinterstore", -3, sinterstore)
};

const SUNION: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 1, -1, 1)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "key:key...",
        "Add multiple sets",
    ),
    ..command(Group::Set, "sunion", -2, sunion)
};

const SUNIONSTORE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE), KeySpec::range(RO | ACCESS, 2, -1, 1)],
    doc: doc(
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "destination:key key:key#1...",
        "Add multiple sets and store the resulting set in a key",
    ),
    ..command(Group::Set, "sunionstore", -3, sunionstore)
};

fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Intersection, Target::Reply, 1..args.len())
}

fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Union, Target::Reply, 1..args.len())
}

fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Difference, Target::Reply, 1..args.len())
}

fn sinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Intersection, Target::Store(Event::SInterStore), 2..args.len())
}

fn sunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Union, Target::Store(Event::SUnionStore), 2..args.len())
}

fn sdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    combine(ctx, args, Kind::Difference, Target::Store(Event::SDiffStore), 2..args.len())
}

fn sintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = parse_i64(args.at(1)).filter(|count| *count > 0);
    let count = count.ok_or(CmdError::Text("ERR numkeys should be greater than 0"))?;
    let keys_end = usize::try_from(count).ok().and_then(|count| count.checked_add(2));
    let keys_end = keys_end
        .filter(|end| *end <= args.len())
        .ok_or(CmdError::Text("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    let mut options = Options::new(args, keys_end);
    while let Some(word) = options.next() {
        if !is(word, "limit") {
            return Err(CmdError::Syntax);
        }
        limit = parse_i64(options.value()?)
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or(CmdError::Text("ERR LIMIT can't be negative"))?;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    combine(ctx, args, Kind::Intersection, Target::Count(limit), 2..keys_end)
}

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Intersection,
    Union,
    Difference,
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Reply,
    /// Only its members are counted, up to so many.
    Count(usize),
    /// It replaces the key that is the first argument.
    Store(Event),
}

fn combine(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    kind: Kind,
    target: Target,
    keys: Range<usize>,
) -> CmdResult {
    let has_many_keys = keys.len() > UNITS_AT_ONCE;
    let mut job = Combine::new(kind, target, keys);
    if has_many_keys {
        return ctx.run_with_many_keys(args, job);
    }
    // All keys are looked at in any case, and then it is known how much there is to do.
    job.check(ctx, args, &mut Budget::unlimited())?;
    if ctx.is_long(job.work) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// A set that exists: where its key is and how many members it has.
#[derive(Clone, Copy, Debug)]
struct Source {
    argument: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// This argument is next.
    Check(usize),
    /// Of this source members are next.
    Gather(usize),
    /// Members are looked for in the sources from this one on.
    Pick(usize),
    Show,
    Finish,
}

/// The job. See the head of the file.
struct Combine {
    kind: Kind,
    target: Target,
    stage: Stage,
    /// The arguments that are sources.
    keys: Range<usize>,
    /// The sources that exist, the one whose members are picked first.
    sets: Vec<Source>,
    /// About how many members have to be looked at, in all.
    work: usize,
    /// In the set whose members are looked at.
    cursor: SetCursor,
    /// The union, or what a difference leaves out.
    gathered: Set,
    /// What is picked from after the first round: what the rounds before have left.
    picked_from: Set,
    /// What the last round leaves, where it is not replied at once.
    left: Set,
    /// Redis would have built this difference by taking members out of a copy of the first set, and what is stored
    /// keeps the form that copy had.
    is_form_of_first: bool,
    /// The first set has members that are no integers.
    has_texts: bool,
    /// How many members the result has so far.
    found: usize,
    /// They, as they will be replied.
    listed: Output,
}

impl Job for Combine {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let stepped = self.advance(ctx, args, budget);
        match stepped {
            Ok(Step::More | Step::Until(_)) => self.listed.seal(),
            Ok(Step::Done) | Err(_) => self.give_up(ctx),
        }
        stepped
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        for set in [&mut self.gathered, &mut self.picked_from, &mut self.left] {
            bury(ctx, std::mem::take(set));
        }
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

impl Combine {
    fn new(kind: Kind, target: Target, keys: Range<usize>) -> Combine {
        Combine {
            kind,
            target,
            stage: Stage::Check(keys.start),
            keys,
            sets: Vec::new(),
            work: 0,
            cursor: SetCursor::default(),
            gathered: Set::new(),
            picked_from: Set::new(),
            left: Set::new(),
            is_form_of_first: false,
            has_texts: false,
            found: 0,
            listed: Output::default(),
        }
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let is_stage_over = match self.stage {
                Stage::Check(_) => self.check(ctx, args, budget)?,
                Stage::Gather(source) => self.gather(ctx, args, source, budget)?,
                Stage::Pick(first) => self.pick(ctx, args, first, budget)?,
                Stage::Show => self.show(ctx, budget),
                Stage::Finish => return self.finish(ctx, args),
            };
            if !is_stage_over {
                return Ok(Step::More);
            }
        }
    }

    /// Looks at every key, and plans when it has. False: the budget is spent.
    fn check(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        while let Stage::Check(next) = self.stage {
            let end = self.keys.end.min(next + budget.piece(MEMBERS_PER_PIECE));
            for argument in next..end {
                let len = ctx.db.get::<Set>(args.key(argument))?.map_or(0, |set| set.len());
                if len > 0 {
                    self.sets.push(Source { argument, len });
                }
            }
            self.stage = Stage::Check(end);
            if end == self.keys.end {
                self.plan(args);
            } else if budget.spend((end - next) as u64) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decides in which order the sources are looked at, and how. All lengths are known.
    fn plan(&mut self, args: Args<'_>) {
        let is_void = match self.kind {
            Kind::Union => self.sets.is_empty(),
            Kind::Intersection => self.sets.len() < self.keys.len(),
            Kind::Difference => self.is_nothing_left(args),
        };
        if is_void {
            self.stage = Stage::Finish;
            return;
        }
        let total = self.sets.iter().map(|set| set.len).sum();
        self.work = total;
        self.stage = match self.kind {
            Kind::Union => Stage::Gather(0),
            Kind::Intersection => {
                sort_few(&mut self.sets, |set| set.len);
                self.work = self.sets[0].len.saturating_mul(self.sets.len());
                Stage::Pick(1)
            }
            Kind::Difference => {
                let (first, others) = (self.sets[0].len, &mut self.sets[1..]);
                let redis_looks_up = first.saturating_mul(others.len() + 1) / 2 <= total;
                self.is_form_of_first = !redis_looks_up;
                // A set is cheaper to look into than to be copied, by far; but not many of them.
                let looked_up = first.saturating_mul(others.len());
                let gathered = (total - first).saturating_mul(COPY_COST).saturating_add(first);
                self.work = looked_up.min(gathered).max(first);
                if gathered < looked_up {
                    Stage::Gather(1)
                } else {
                    sort_few(others, |set| usize::MAX - set.len);
                    Stage::Pick(1)
                }
            }
        };
    }

    /// Of a difference: the first set does not exist, or is one of those it is to be without.
    fn is_nothing_left(&self, args: Args<'_>) -> bool {
        let first = args.at(self.keys.start);
        let exists = self.sets.first().is_some_and(|set| set.argument == self.keys.start);
        !exists || self.sets[1..].iter().any(|set| args.at(set.argument) == first)
    }

    /// Copies the members of the sources from one on. False: the budget is spent.
    fn gather(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        source: usize,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        let Some(Source { argument, .. }) = self.sets.get(source) else {
            self.stage = match self.kind {
                Kind::Union if self.target == Target::Reply => {
                    ctx.reply.set(self.gathered.len());
                    Stage::Show
                }
                Kind::Union => {
                    self.left = std::mem::take(&mut self.gathered);
                    Stage::Finish
                }
                Kind::Intersection | Kind::Difference => {
                    self.sets.truncate(1);
                    Stage::Pick(1)
                }
            };
            return Ok(true);
        };
        let (key, limits) = (args.key(*argument), &ctx.engine.limits);
        if let Some(set) = ctx.db.view_as::<Set>(key)? {
            loop {
                let units = budget.piece(MEMBERS_PER_PIECE);
                if self.gathered.add_all(set, &mut self.cursor, units, limits)?.is_done() {
                    break;
                }
                if budget.spend(units as u64) {
                    return Ok(false);
                }
            }
        }
        self.cursor = SetCursor::default();
        self.stage = Stage::Gather(source + 1);
        // Many small sets are work, too.
        Ok(!budget.spend(1))
    }

    /// Looks for the members of one set in some others. False: the budget is spent.
    fn pick(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        first: usize,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        let end = self.sets.len().min(first + SETS_PER_ROUND);
        let is_last = end == self.sets.len();
        let view = |set: &Source| ctx.db.view_as::<Set>(args.key(set.argument));
        let mut others = Vec::with_capacity(end - first + 1);
        for set in &self.sets[first..end] {
            others.extend(view(set)?);
        }
        if !self.gathered.is_empty() {
            others.push(self.gathered.view());
        }
        let from = match first {
            1 => view(&self.sets[0])?,
            _ => Some(self.picked_from.view()),
        };
        let wanted = self.kind == Kind::Intersection;
        let is_listed = is_last && self.target == Target::Reply;
        let is_kept = !is_last || matches!(self.target, Target::Store(_));
        let found_max = if let Target::Count(limit) = self.target { limit } else { usize::MAX };
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        let (left, found, limits) = (&mut self.left, &mut self.found, &ctx.engine.limits);
        let mut kept = Ok(false);
        while let Some(from) = from {
            let units = budget.piece(MEMBERS_PER_PIECE.div_ceil(others.len().max(1)));
            let walked = from.walk(&mut self.cursor, units, |member| {
                if self.is_form_of_first && first == 1 {
                    self.has_texts |= member.as_int().is_none();
                }
                if others.iter().any(|set| set.contains_item(member) != wanted) {
                    return;
                }
                *found += usize::from(is_last);
                if is_listed {
                    reply_item(&mut list, member);
                } else if is_kept && kept.is_ok() {
                    kept = left.insert_item(member, limits);
                }
            });
            kept?;
            if walked.is_done() || *found >= found_max {
                break;
            }
            if budget.spend((units * others.len().max(1)) as u64) {
                return Ok(false);
            }
        }
        self.cursor = SetCursor::default();
        if is_last {
            self.found = self.found.min(found_max);
            self.stage = Stage::Finish;
        } else {
            let left = std::mem::take(&mut self.left);
            bury(ctx, std::mem::replace(&mut self.picked_from, left));
            self.stage = Stage::Pick(end);
        }
        Ok(true)
    }

    /// Replies the union. False: the budget is spent.
    fn show(&mut self, ctx: &mut Ctx<'_>, budget: &mut Budget) -> bool {
        loop {
            let units = budget.piece(MEMBERS_PER_PIECE);
            let set = self.gathered.view();
            if reply_members(&mut ctx.reply, set, &mut self.cursor, units).is_done() {
                self.stage = Stage::Finish;
                return true;
            }
            if budget.spend(units as u64) {
                return false;
            }
        }
    }

    /// The result is complete.
    fn finish(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Stepped {
        match self.target {
            // The union is replied already.
            Target::Reply if !self.gathered.is_empty() && self.kind == Kind::Union => {}
            Target::Reply => {
                ctx.reply.set(self.found);
                ctx.reply.output().append(std::mem::take(&mut self.listed));
            }
            Target::Count(_) => ctx.reply.count(self.found),
            Target::Store(event) => {
                let (key, limits) = (args.key(1), &ctx.engine.limits);
                let len = self.left.len();
                let first = self.sets.first().map_or(0, |set| set.len);
                let is_texts = self.has_texts || first > limits.set_max_intset_entries;
                if self.is_form_of_first && is_texts {
                    self.left.leave_intset_form(limits)?;
                }
                if len == 0 {
                    if ctx.db.remove(key) {
                        ctx.changed(Event::Del, key.bytes);
                    }
                } else {
                    ctx.db.put_aggregate(key, std::mem::take(&mut self.left), Ttl::Clear)?;
                    ctx.changed(event, key.bytes);
                }
                ctx.reply.count(len);
            }
        }
        Ok(Step::Done)
    }
}

/// Brings the source with the smallest `order` to the front, and where they are few all others in order behind it.
fn sort_few(sets: &mut [Source], order: impl Fn(&Source) -> usize) {
    if sets.len() <= UNITS_AT_ONCE {
        sets.sort_by_key(order);
    } else if let Some(first) = (0..sets.len()).min_by_key(|at| order(&sets[*at])) {
        sets.swap(0, first);
    }
}

/// Has a set freed, in pieces where it is big.
fn bury(ctx: &mut Ctx<'_>, set: Set) {
    if set.len() > UNITS_AT_ONCE {
        ctx.engine.graveyard.bury_garbage(Box::new(set));
    }
}
