//! The search behind GEOSEARCH and its like: a job that finds places, puts them into order, and shows or stores them.
//!
//! ```text
//!   boxes of scores ─▶ ranges of ranks ─▶ members inside the shape: (distance, rank) ─▶ sorted ─▶ shown or gathered
//! ```
//!
//! Of what is found only distance and rank are kept, 16 bytes; ranks stand while the key is held. What is shown is
//! looked up again by its rank.
//!
//! Cost: some 100 ns per member of the boxes, O(log n) per comparison and per member shown.
use std::cmp::Ordering;
use std::ops::Range;

use crate::base::pieces::{Garbage, Progress, free_buffer};
use crate::command::geo_value::{show_distance, show_position};
use crate::command::items::reply_item;
use crate::command::zset_value::MEMBERS_PER_PIECE;
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::store::Ttl;
use crate::types::geo::{Area, Position};
use crate::types::listpack::Item;
use crate::types::point_sort::PointSort;
use crate::types::zset::{Gathering, ScoreRange, Zset};

/// Comparisons between two looks at the clock.
const COMPARISONS_PER_PIECE: usize = 1024;
/// Comparisons that count as much as a member.
const COMPARISONS_PER_UNIT: usize = 32;
/// Buckets put into order between two looks at the clock, of about nine members each.
const BUCKETS_PER_PIECE: usize = 2;

/// In which order places are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// ASC
    Nearest,
    /// DESC
    Farthest,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// WITHDIST
    pub(super) with_distance: bool,
    /// WITHHASH
    pub(super) with_hash: bool,
    /// WITHCOORD
    pub(super) with_position: bool,
    /// As they are found, unless there is one.
    pub(super) order: Option<Order>,
    /// COUNT: at most so many are shown.
    pub(super) count: Option<usize>,
    /// COUNT ANY: once so many are found the search is over.
    pub(super) limit: Option<usize>,
}

impl Options {
    /// Whether more than names is shown.
    pub(super) fn shows_more(&self) -> bool {
        self.with_distance || self.with_hash || self.with_position
    }

    /// Replies with a place; `distance` is in units.
    fn show(&self, reply: &mut Reply<'_>, member: Item<'_>, distance: f64, score: f64) {
        let more = [self.with_distance, self.with_hash, self.with_position];
        if self.shows_more() {
            reply.array(1 + more.into_iter().filter(|&is_shown| is_shown).count());
        }
        reply_item(reply, member);
        if self.with_distance {
            show_distance(reply, distance);
        }
        if self.with_hash {
            reply.int(score as i64);
        }
        if self.with_position {
            show_position(reply, Position::of_score(score));
        }
    }
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// It is replied.
    Reply,
    /// It becomes a sorted set.
    Store {
        /// Argument of its key.
        key: usize,
        /// Its scores are distances, not places.
        stores_distance: bool,
        /// What is told of it.
        event: Event,
    },
}

/// A place that is inside.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// In metres.
    distance: f64,
    rank: usize,
}

/// Places, of which there may be many.
struct Places(Vec<Found>);

impl Garbage for Places {
    fn free_slice(&mut self, units: usize) -> Progress {
        free_buffer(&mut self.0, units)
    }
}

enum Stage {
    Find,
    Sort(Box<PointSort<Found>>),
    /// The first `count` are shown or gathered.
    Use,
    Order(Box<Gathering>),
    Done,
}

/// The job. See the head of the file.
pub(super) struct Search {
    /// Argument of the key that is searched.
    source: usize,
    area: Area,
    options: Options,
    target: Target,
    /// The ranks still to be looked at, the next ones last.
    ranks: Vec<Range<usize>>,
    candidates: usize,
    found: Vec<Found>,
    stage: Stage,
    /// How many are shown in the end.
    count: usize,
    used: usize,
    gathering: Option<Gathering>,
}

impl Search {
    /// The key is there and holds a sorted set. O(log n).
    pub(super) fn new(
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        source: usize,
        area: Area,
        options: Options,
        target: Target,
    ) -> Result<Search, CmdError> {
        let mut ranks = Vec::new();
        if let Some(zset) = ctx.db.peek_as::<Zset>(args.key(source))? {
            for (min, max) in area.score_ranges().into_iter().rev() {
                let range = ScoreRange { min, max, excludes_min: false, excludes_max: true };
                ranks.push(zset.ranks_of_scores(&range));
            }
        }
        let candidates: usize = ranks.iter().map(Range::len).sum();
        // What is not written to is no memory yet.
        let mut found = Vec::new();
        let room = candidates.min(options.limit.unwrap_or(usize::MAX));
        found.try_reserve_exact(room).map_err(|_| CmdError::OutOfMemory)?;
        Ok(Search {
            source,
            area,
            options,
            target,
            ranks,
            candidates,
            found,
            stage: Stage::Find,
            count: 0,
            used: 0,
            gathering: None,
        })
    }

    /// Members that have to be looked at.
    pub(super) fn candidates(&self) -> usize {
        self.candidates
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let step = match &mut self.stage {
                Stage::Find => self.find(ctx, args, budget)?,
                Stage::Sort(_) => self.sort(budget),
                Stage::Use => self.use_found(ctx, args, budget)?,
                Stage::Order(_) => self.order_and_store(ctx, args, budget)?,
                Stage::Done => return Ok(Step::Done),
            };
            if step == Step::More {
                return Ok(Step::More);
            }
        }
    }

    /// Looks at the members of the boxes.
    fn find(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let limit = self.options.limit.unwrap_or(usize::MAX);
        while let Some(ranks) = self.ranks.last_mut() {
            let end = ranks.end.min(ranks.start + budget.piece(MEMBERS_PER_PIECE));
            let piece = ranks.start..end;
            ranks.start = end;
            if ranks.start >= ranks.end {
                self.ranks.pop();
            }
            let units = piece.len();
            if let Some(zset) = ctx.db.peek_as::<Zset>(args.key(self.source))? {
                for (rank, (_, score)) in piece.clone().zip(zset.range(piece)) {
                    if let Some(distance) = self.area.distance_to(&Position::of_score(score)) {
                        self.found.push(Found { distance, rank });
                        if self.found.len() >= limit {
                            self.ranks.clear();
                            break;
                        }
                    }
                }
            }
            if budget.spend(units as u64) && !self.ranks.is_empty() {
                return Ok(Step::More);
            }
        }
        let found = std::mem::take(&mut self.found);
        self.count = found.len().min(self.options.count.unwrap_or(usize::MAX));
        self.stage = match self.options.order {
            Some(_) if self.count == found.len() => Stage::Sort(Box::new(PointSort::all(found)?)),
            Some(_) => Stage::Sort(Box::new(PointSort::first(found, self.count))),
            None => {
                self.found = found;
                Stage::Use
            }
        };
        Ok(Step::Done)
    }

    fn sort(&mut self, budget: &mut Budget) -> Step {
        let is_nearest = self.options.order == Some(Order::Nearest);
        let compare = |a: &Found, b: &Found| {
            let order = by_distance(a.distance, b.distance);
            if is_nearest { order } else { order.reverse() }
        };
        if let Stage::Sort(sort) = &mut self.stage {
            loop {
                let units = budget.piece(COMPARISONS_PER_PIECE / COMPARISONS_PER_UNIT);
                if sort.step(units * COMPARISONS_PER_UNIT, compare).is_done() {
                    break;
                }
                if budget.spend(units as u64) {
                    return Step::More;
                }
            }
        }
        if let Stage::Sort(sort) = std::mem::replace(&mut self.stage, Stage::Use) {
            (self.found, _) = sort.into_items();
        }
        Step::Done
    }

    /// Shows or gathers what was found.
    fn use_found(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if self.used == 0 && matches!(self.target, Target::Reply) {
            ctx.reply.array(self.count);
        }
        while self.used < self.count {
            let end = self.count.min(self.used + budget.piece(MEMBERS_PER_PIECE));
            let Some(zset) = ctx.db.peek_as::<Zset>(args.key(self.source))? else { break };
            for &Found { distance, rank } in &self.found[self.used..end] {
                let Some((member, score)) = zset.range(rank..rank + 1).next() else { continue };
                let distance = distance / self.area.unit_meters;
                if let Target::Store { stores_distance, .. } = self.target {
                    let limits = &ctx.engine.limits;
                    let gathering = self.gathering.get_or_insert_with(|| Gathering::new(limits));
                    let score = if stores_distance { distance } else { score };
                    gathering.merge(member.as_bytes(&mut itoa::Buffer::new()), |_| score)?;
                } else {
                    self.options.show(&mut ctx.reply, member, distance, score);
                }
            }
            let units = end - self.used;
            self.used = end;
            if end < self.count && budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        self.stage = match (self.gathering.take(), self.target) {
            (Some(gathering), _) => Stage::Order(Box::new(gathering)),
            (None, Target::Store { key, .. }) => {
                ctx.delete(args.key(key));
                ctx.reply.int(0);
                Stage::Done
            }
            (None, Target::Reply) => Stage::Done,
        };
        Ok(Step::Done)
    }

    fn order_and_store(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Stepped {
        if let Stage::Order(gathering) = &mut self.stage {
            while !gathering.sort(budget.piece(BUCKETS_PER_PIECE)).is_done() {
                if budget.spend(BUCKETS_PER_PIECE as u64) {
                    return Ok(Step::More);
                }
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        if let (Stage::Order(gathering), Target::Store { key, event, .. }) = (stage, self.target) {
            let result = gathering.finish(&ctx.engine.limits)?;
            let (key, count) = (args.key(key), result.len());
            ctx.db.put_aggregate(key, result, Ttl::Clear)?;
            ctx.changed_by(event, key.bytes, count);
            ctx.reply.count(count);
        }
        Ok(Step::Done)
    }

    /// What it leaves behind may be much to free.
    fn bury(&mut self, ctx: &mut Ctx<'_>) {
        let mut lists = [std::mem::take(&mut self.found), Vec::new(), Vec::new()];
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Sort(sort) => (lists[1], lists[2]) = sort.into_items(),
            Stage::Order(gathering) => ctx.engine.graveyard.bury_garbage(gathering),
            Stage::Find | Stage::Use | Stage::Done => {}
        }
        for list in lists.into_iter().filter(|list| list.capacity() > FREED_AT_ONCE_MAX) {
            ctx.engine.graveyard.bury_garbage(Box::new(Places(list)));
        }
    }
}

/// Places freed without ado.
const FREED_AT_ONCE_MAX: usize = 4096;

/// As Redis compares, also what is no number.
fn by_distance(a: f64, b: f64) -> Ordering {
    match () {
        () if a > b => Ordering::Greater,
        () if a == b => Ordering::Equal,
        () => Ordering::Less,
    }
}

impl Job for Search {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let stepped = self.advance(ctx, args, budget);
        if !matches!(stepped, Ok(Step::More)) {
            self.bury(ctx);
        }
        stepped
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        self.bury(ctx);
    }
}
