//! The work behind ZUNION, ZINTER, ZDIFF and their like: a job that builds a private sorted set and replies with it,
//! counts it, or puts it into the place of a key.
//!
//! ```text
//!   union   every member of every source, smallest source first ─┐
//!   inter   members of the smallest, looked up in all others     ├─▶ gathered by name ─▶ put into order ─▶ result
//!   diff    members of the first, looked up in all others        ┘
//!           or all of the first, and out with those of the others: whichever is less work
//! ```
//!
//! Two keys cannot be looked at at the same time, so the members of the source walked over are copied, some at a time,
//! and looked up in one other source after the other.
//!
//! Cost: as Redis: O(members of all) or O(members of the walked × sources), and O(log n) per member of the result.
use crate::command::zset_value::{Form, MEMBERS_PER_PIECE, install};
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::store::ValueRef;
use crate::types::limits::Limits;
use crate::types::listpack::Item;
use crate::types::object::Aggregate as _;
use crate::types::set::SetCursor;
use crate::types::zset::{Gathering, Zset};

/// Buckets put into order between two looks at the clock, of about nine members each.
const BUCKETS_PER_PIECE: usize = 2;

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// What is in any.
    Union,
    /// What is in all.
    Inter,
    /// What is in the first only.
    Diff,
}

/// What becomes of several scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    /// They are added.
    Sum,
    /// The lowest counts.
    Min,
    /// The highest counts.
    Max,
}

impl Aggregate {
    #[inline]
    fn combine(self, before: f64, score: f64) -> f64 {
        match self {
            // Both infinities make nothing.
            Aggregate::Sum => number_or_zero(before + score),
            Aggregate::Min => {
                if score < before {
                    score
                } else {
                    before
                }
            }
            Aggregate::Max => {
                if score > before {
                    score
                } else {
                    before
                }
            }
        }
    }
}

#[inline]
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// It is replied.
    Reply(Form),
    /// Its members are counted, up to so many.
    Count(usize),
    /// It goes to the key that is the first argument.
    Store(Event),
}

/// A key that is combined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    argument: usize,
    /// What its scores are multiplied by.
    pub(super) weight: f64,
    len: usize,
}

impl Source {
    /// Looks at the key that is argument `argument`.
    pub(super) fn look(
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        argument: usize,
    ) -> Result<Source, CmdError> {
        let len = match ctx.db.read(args.key(argument)).map(|entry| entry.value()) {
            None => 0,
            Some(ValueRef::Zset(zset)) => zset.len(),
            Some(ValueRef::Set(set)) => set.len(),
            Some(_) => return Err(CmdError::WrongType),
        };
        Ok(Source { argument, weight: 1.0, len })
    }
}

/// Where a walk over a source goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    rank: usize,
    set: SetCursor,
}

impl Cursor {
    /// Visits about `count` more members of a source; true once all were visited.
    fn walk(
        &mut self,
        value: Option<ValueRef<'_>>,
        count: usize,
        mut visit: impl FnMut(Item<'_>, f64),
    ) -> bool {
        match value {
            Some(ValueRef::Zset(zset)) => {
                let end = zset.len().min(self.rank.saturating_add(count));
                zset.range(self.rank..end).for_each(|(member, score)| visit(member, score));
                self.rank = end;
                end == zset.len()
            }
            Some(ValueRef::Set(set)) => {
                set.walk(&mut self.set, count, |member| visit(member, 1.0)).is_done()
            }
            Some(_) | None => true,
        }
    }
}

/// The score of a member of a source.
#[inline]
fn score_in(value: Option<ValueRef<'_>>, member: &[u8]) -> Option<f64> {
    match value? {
        ValueRef::Zset(zset) => zset.score(member),
        ValueRef::Set(set) => set.contains(member).then_some(1.0),
        _ => None,
    }
}

/// Members on their way from source to source.
#[derive(Default)]
struct Batch {
    names: Vec<u8>,
    /// Where each name ends, and its score so far; dropped ones are passed over.
    members: Vec<Member>,
}

struct Member {
    start: usize,
    end: usize,
    score: f64,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All members of this source and those after it are gathered.
    Gather(usize),
    /// Members of the first source are looked up in the others.
    Filter,
    /// Members of this source and those after it are taken out.
    Subtract(usize),
    Sort,
    Show,
}

/// The job. See the head of the file.
pub(super) struct Combine {
    operation: Operation,
    aggregate: Aggregate,
    target: Target,
    /// In the order in which they are gone through; empty: so is the result.
    sources: Vec<Source>,
    stage: Stage,
    cursor: Cursor,
    is_walked: bool,
    batch: Batch,
    /// The source in which the batch is looked up next.
    next_source: usize,
    gathering: Option<Gathering>,
    counted: usize,
    result: Zset,
    /// Rank of the member that is shown next.
    shown: usize,
}

impl Combine {
    /// The sources have been looked at. O(sources × log sources).
    pub(super) fn new(
        operation: Operation,
        aggregate: Aggregate,
        target: Target,
        mut sources: Vec<Source>,
        args: Args<'_>,
        limits: &Limits,
    ) -> Combine {
        let stage = plan(operation, &mut sources, args);
        Combine {
            operation,
            aggregate,
            target,
            sources,
            stage,
            cursor: Cursor::default(),
            is_walked: false,
            batch: Batch::default(),
            next_source: 1,
            gathering: Some(Gathering::new(limits)),
            counted: 0,
            result: Zset::new_empty(),
            shown: 0,
        }
    }

    /// Members that have to be looked at, about.
    pub(super) fn members(&self) -> usize {
        match self.stage {
            Stage::Filter => {
                let first = self.sources.first().map_or(0, |source| source.len);
                first.saturating_mul(self.sources.len())
            }
            _ => self.sources.iter().map(|source| source.len).sum(),
        }
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let step = match self.stage {
                Stage::Gather(source) => self.gather(ctx, args, source, budget)?,
                Stage::Subtract(source) => self.subtract(ctx, args, source, budget)?,
                Stage::Filter => self.filter(ctx, args, budget)?,
                Stage::Sort => self.sort(ctx, args, budget)?,
                Stage::Show => return Ok(self.show(ctx, budget)),
            };
            if step == Step::More {
                return Ok(Step::More);
            }
            if self.stage == Stage::Sort
                && let Target::Count(limit) = self.target
            {
                ctx.reply.count(self.counted.min(limit));
                return Ok(Step::Done);
            }
            if self.stage == Stage::Show && matches!(self.target, Target::Store(_)) {
                return Ok(Step::Done);
            }
        }
    }

    /// Adds the members of a source. Done: there is another stage.
    fn gather(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        index: usize,
        budget: &mut Budget,
    ) -> Stepped {
        let (Some(source), Some(gathering)) = (self.sources.get(index), &mut self.gathering) else {
            self.stage = Stage::Sort;
            return Ok(Step::Done);
        };
        let (weight, aggregate) = (source.weight, self.aggregate);
        let mut failed = Ok(());
        let mut scratch = itoa::Buffer::new();
        loop {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let value = ctx.db.peek(args.key(source.argument)).map(|entry| entry.value());
            let is_done = self.cursor.walk(value, piece, |member, score| {
                let score = number_or_zero(weight * score);
                let merged = gathering.merge(member.as_bytes(&mut scratch), |before| {
                    before.map_or(score, |before| aggregate.combine(before, score))
                });
                if let Err(error) = merged {
                    failed = Err(error);
                }
            });
            failed?;
            if is_done {
                self.cursor = Cursor::default();
                // Of a difference only the first source is gathered.
                self.stage = match self.operation {
                    Operation::Diff => Stage::Subtract(1),
                    Operation::Union | Operation::Inter => Stage::Gather(index + 1),
                };
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
            if is_done {
                return Ok(Step::Done);
            }
        }
    }

    /// Takes the members of a source out.
    fn subtract(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        index: usize,
        budget: &mut Budget,
    ) -> Stepped {
        let gathering = self.gathering.as_mut().filter(|gathering| !gathering.is_empty());
        let (Some(source), Some(gathering)) = (self.sources.get(index), gathering) else {
            self.stage = Stage::Sort;
            return Ok(Step::Done);
        };
        let mut scratch = itoa::Buffer::new();
        loop {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let value = ctx.db.peek(args.key(source.argument)).map(|entry| entry.value());
            let is_done = self.cursor.walk(value, piece, |member, _| {
                gathering.remove(member.as_bytes(&mut scratch));
            });
            if is_done {
                self.cursor = Cursor::default();
                self.stage = Stage::Subtract(index + 1);
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
            if is_done {
                return Ok(Step::Done);
            }
        }
    }

    /// Looks members of the first source up in the others.
    fn filter(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            if self.batch.members.is_empty() {
                if self.is_walked || self.is_enough() {
                    self.stage = Stage::Sort;
                    return Ok(Step::Done);
                }
                self.fill(ctx, args, budget.piece(MEMBERS_PER_PIECE));
            }
            let looked_up = self.batch.members.len() as u64;
            if self.next_source < self.sources.len() {
                self.look_up(ctx, args);
                self.next_source += 1;
            }
            if self.next_source >= self.sources.len() {
                self.take_batch()?;
            }
            if budget.spend(looked_up.max(1)) {
                return Ok(Step::More);
            }
        }
    }

    /// Whether as many have been counted as are wanted.
    fn is_enough(&self) -> bool {
        matches!(self.target, Target::Count(limit) if self.counted >= limit)
    }

    /// Copies some members of the first source.
    fn fill(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, count: usize) {
        let Some(first) = self.sources.first() else {
            self.is_walked = true;
            return;
        };
        let Batch { names, members } = &mut self.batch;
        names.clear();
        let mut scratch = itoa::Buffer::new();
        let value = ctx.db.peek(args.key(first.argument)).map(|entry| entry.value());
        self.is_walked = self.cursor.walk(value, count, |member, score| {
            let start = names.len();
            names.extend_from_slice(member.as_bytes(&mut scratch));
            let score = match self.operation {
                Operation::Diff => score,
                Operation::Inter | Operation::Union => number_or_zero(first.weight * score),
            };
            members.push(Member { start, end: names.len(), score });
        });
        self.next_source = 1;
    }

    /// Keeps those of the batch that are, or for a difference are not, in the next source.
    fn look_up(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) {
        let Some(source) = self.sources.get(self.next_source) else { return };
        let value = ctx.db.peek(args.key(source.argument)).map(|entry| entry.value());
        let (operation, aggregate) = (self.operation, self.aggregate);
        let Batch { names, members } = &mut self.batch;
        members.retain_mut(|member| {
            let found = score_in(value, &names[member.start..member.end]);
            match (operation, found) {
                (Operation::Diff, found) => found.is_none(),
                (_, None) => false,
                (_, Some(score)) => {
                    member.score = aggregate.combine(member.score, score * source.weight);
                    true
                }
            }
        });
        if members.is_empty() {
            self.next_source = self.sources.len();
        }
    }

    /// Those of the batch that are left belong to the result.
    fn take_batch(&mut self) -> Result<(), CmdError> {
        let Batch { names, members } = &mut self.batch;
        self.counted += members.len();
        if let (Some(gathering), false) =
            (&mut self.gathering, matches!(self.target, Target::Count(_)))
        {
            for member in members.iter() {
                gathering.merge(&names[member.start..member.end], |_| member.score)?;
            }
        }
        members.clear();
        Ok(())
    }

    fn sort(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while let Some(gathering) = &mut self.gathering {
            let piece = budget.piece(BUCKETS_PER_PIECE);
            if gathering.sort(piece).is_done() {
                break;
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        let Some(gathering) = self.gathering.take() else { return Ok(Step::Done) };
        self.stage = Stage::Show;
        match self.target {
            Target::Store(event) => {
                install(ctx, args.key(1), gathering.finish(&ctx.engine.limits)?, event)?;
            }
            Target::Reply(form) => {
                self.result = gathering.into_tree();
                form.open(&mut ctx.reply, self.result.len());
            }
            Target::Count(_) => {}
        }
        Ok(Step::Done)
    }

    fn show(&mut self, ctx: &mut Ctx<'_>, budget: &mut Budget) -> Step {
        let Target::Reply(form) = self.target else { return Step::Done };
        let len = self.result.len();
        let mut members = self.result.view().range(self.shown..len);
        while self.shown < len {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(len - self.shown);
            for (member, score) in members.by_ref().take(piece) {
                form.show(&mut ctx.reply, member, score);
            }
            self.shown += piece;
            if self.shown < len && budget.spend(piece as u64) {
                return Step::More;
            }
        }
        Step::Done
    }
}

/// Puts the sources into the order in which they are gone through, and says how.
fn plan(operation: Operation, sources: &mut Vec<Source>, args: Args<'_>) -> Stage {
    match operation {
        Operation::Union => {
            sources.retain(|source| source.len > 0);
            // Also because the order of additions shows in their result.
            sources.sort_by_key(|source| source.len);
            Stage::Gather(0)
        }
        Operation::Inter => {
            sources.sort_by_key(|source| source.len);
            if sources.first().is_some_and(|smallest| smallest.len == 0) {
                sources.clear();
            }
            Stage::Filter
        }
        Operation::Diff => {
            let Some((&first, others)) = sources.split_first() else { return Stage::Filter };
            let is_first = |source: &Source| args.at(source.argument) == args.at(first.argument);
            if first.len == 0 || others.iter().any(is_first) {
                sources.clear();
                return Stage::Filter;
            }
            let look_ups = first.len.saturating_mul(sources.len()) / 2;
            let all = sources.iter().map(|source| source.len).sum();
            sources.retain(|source| source.len > 0);
            if look_ups > all {
                return Stage::Gather(0);
            }
            // What is in another set is soonest found in the biggest.
            sources[1..].sort_by_key(|source| std::cmp::Reverse(source.len));
            Stage::Filter
        }
    }
}

impl Job for Combine {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let stepped = self.advance(ctx, args, budget);
        if !matches!(stepped, Ok(Step::More)) {
            self.give_up(ctx);
        }
        stepped
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        // Small ones are freed at once.
        if let Some(gathering) = self.gathering.take()
            && ctx.is_long(gathering.len())
        {
            ctx.engine.graveyard.bury_garbage(Box::new(gathering));
        }
        let result = std::mem::replace(&mut self.result, Zset::new_empty());
        if ctx.is_long(result.len()) {
            ctx.engine.graveyard.bury_garbage(Box::new(result));
        }
    }
}
