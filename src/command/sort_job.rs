//! SORT at work: loads the elements, weighs and sorts them, and gives the results out, all in slices.
use crate::command::sort::{By, Plan, Template, parse_weight};
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::store::{Db, StringRef, Ttl, ValueRef};
use crate::types::hash;
use crate::types::list::{self, Element, Fill, List, ListRef, Way};
use crate::types::listpack::Item;
use crate::types::set::{SetCursor, SetRef};
use crate::types::sorting::{Collation, Sorting, Value, Weight};
use crate::types::zset::ZsetRef;

/// Elements loaded between two looks at the clock: 20 us. To find the place of the first one takes as long as to load
/// some hundred.
const LOADED_PER_PIECE: usize = 1024;
/// Elements weighed or given out between two looks at the clock.
const ELEMENTS_PER_PIECE: usize = 16;
/// More memory than this is freed in pieces.
const FREED_AT_ONCE_BYTES: usize = 256 * 1024;

/// What is sorted.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// In its order.
    List(ListRef<'a>),
    /// In any order.
    Set(SetRef<'a>),
    /// By score.
    Zset(ZsetRef<'a>),
}

impl<'a> Source<'a> {
    /// What a key holds, if anything.
    pub(super) fn of(value: Option<ValueRef<'a>>) -> Result<Option<Source<'a>>, CmdError> {
        Ok(Some(match value {
            None => return Ok(None),
            Some(ValueRef::List(list)) => Source::List(list),
            Some(ValueRef::Set(set)) => Source::Set(set),
            Some(ValueRef::Zset(zset)) => Source::Zset(zset),
            Some(_) => return Err(CmdError::WrongType),
        }))
    }

    /// Elements in it.
    pub(super) fn len(self) -> usize {
        match self {
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::Zset(zset) => zset.len(),
        }
    }

    /// Shows about `count` elements from the place `cursor` says on; backwards, where there is an order.
    fn visit(
        self,
        cursor: &mut Cursor,
        count: usize,
        is_backwards: bool,
        show: &mut impl FnMut(Value<'_>),
    ) {
        let mut digits = itoa::Buffer::new();
        let at = cursor.at;
        match self {
            Source::List(list) => {
                let (from, way) = match is_backwards {
                    true => (list.len() - 1 - at, Way::Backward),
                    false => (at, Way::Forward),
                };
                cursor.at += list.walk(from, way, count, |element| {
                    match element {
                        Element::Block(block) => show(Value::Block(block)),
                        element => show(Value::Bytes(element.as_bytes(&mut digits))),
                    }
                    true
                });
            }
            Source::Set(set) => {
                let show = |item: Item<'_>| show(Value::Bytes(item.as_bytes(&mut digits)));
                let _ = set.walk(&mut cursor.set, count, show);
            }
            Source::Zset(zset) => {
                let mut show = |item: Item<'_>| show(Value::Bytes(item.as_bytes(&mut digits)));
                cursor.at = (at + count).min(zset.len());
                if is_backwards {
                    let ranks = zset.len() - cursor.at..zset.len() - at;
                    zset.range(ranks).rev().for_each(|(item, _)| show(item));
                } else {
                    zset.range(at..cursor.at).for_each(|(item, _)| show(item));
                }
            }
        }
    }
}

/// How far a source is loaded.
#[derive(Default)]
struct Cursor {
    /// Elements of a list or sorted set.
    at: usize,
    set: SetCursor,
}

/// What a pattern has found.
enum Found<'a> {
    String(StringRef<'a>),
    Field(hash::Value<'a>),
}

impl<'a> Found<'a> {
    fn lend<'s>(&'s self, digits: &'s mut itoa::Buffer) -> Value<'s> {
        match self {
            Found::String(StringRef::Block(block)) | Found::Field(hash::Value::Block(block)) => {
                Value::Block(block)
            }
            Found::String(string) => Value::Bytes(string.as_bytes(digits)),
            Found::Field(value) => Value::Bytes(value.as_bytes(digits)),
        }
    }
}

/// Where a SORT stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is done.
    Begin,
    /// Elements are loaded, until there are so many.
    Load { until: usize },
    /// The names of further keys are found, up to this element.
    Name { next: usize },
    /// Elements are weighed.
    Weigh { next: usize },
    /// They are sorted.
    Sort,
    /// The first ones are passed by.
    Skip,
    /// The others are given out.
    Give,
}

/// SORT as a job.
pub(super) struct Sort {
    plan: Plan,
    stage: Stage,
    sorting: Sorting,
    cursor: Cursor,
    /// Elements still to be skipped.
    skip: usize,
    /// Elements still to be given out.
    left: usize,
    /// What STORE makes.
    list: List,
    /// Elements of `list`.
    stored: usize,
    /// Names of keys are built here.
    name: Vec<u8>,
}

impl Sort {
    /// Not begun.
    pub(super) fn new(plan: Plan) -> Sort {
        Sort {
            plan,
            stage: Stage::Begin,
            sorting: Sorting::new(Collation::None, false),
            cursor: Cursor::default(),
            skip: 0,
            left: 0,
            list: List::default(),
            stored: 0,
            name: Vec::new(),
        }
    }

    /// Looks at the source: how many elements are to be loaded, and how they will compare.
    fn begin(&mut self, source: Option<Source<'_>>) {
        let plan = &self.plan;
        let length = source.map_or(0, Source::len);
        self.skip = plan.skip.min(length);
        self.left = plan.wanted.min(length - self.skip);
        let is_set = matches!(source, Some(Source::Set(_)));
        let stays = match plan.by {
            // The order of a set is anybody's guess, and what is stored should not depend on it.
            By::Nothing if is_set && (plan.store.is_some() || plan.orders_sets) => false,
            By::Nothing => true,
            By::Element | By::Pattern(_) => false,
        };
        let collation = match (stays, plan.is_alpha, plan.store.is_some()) {
            (true, ..) => Collation::None,
            (false, false, _) if !matches!(plan.by, By::Nothing) => Collation::Number,
            (false, true, false) => Collation::Text,
            (false, ..) => Collation::Bytes,
        };
        self.sorting = Sorting::new(collation, plan.is_descending);
        // Of what has an order already, only the results are loaded.
        let mut until = length;
        if stays && is_set {
            until = self.skip + self.left;
        } else if stays {
            (self.cursor.at, until) = (self.skip, self.left);
            self.skip = 0;
        }
        self.stage = Stage::Load { until };
    }

    /// Loads elements; true once all are there.
    fn load(&mut self, source: Option<Source<'_>>, budget: &mut Budget) -> bool {
        let Stage::Load { until } = self.stage else { return true };
        let is_backwards = self.sorting.collation() == Collation::None && self.plan.is_descending;
        let mut is_over = false;
        while let Some(source) = source
            && self.sorting.len() < until
            && !is_over
        {
            let count = budget.piece(LOADED_PER_PIECE).min(until - self.sorting.len());
            let sorting = &mut self.sorting;
            source
                .visit(&mut self.cursor, count, is_backwards, &mut |element| sorting.push(element));
            is_over = budget.spend(count as u64);
        }
        self.sorting.len() >= until || source.is_none()
    }

    /// Begins, if that is not done yet, and loads. `None`: the slice is over.
    fn loaded(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        let key = args.key(1);
        let source = match self.stage {
            // The one look that counts as an access.
            Stage::Begin => Source::of(ctx.db.read(key).map(|entry| entry.value()))?,
            _ => Source::of(ctx.db.peek(key).map(|entry| entry.value()))?,
        };
        if self.stage == Stage::Begin {
            self.begin(source);
        }
        Ok(self.load(source, budget))
    }

    /// Looks the weights up; true once all are known.
    fn weigh(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        mut next: usize,
        budget: &mut Budget,
    ) -> Stepped {
        let by = match self.sorting.collation() {
            Collation::None => return Ok(Step::Done),
            // A set that is stored in an order of its own is not sorted by what BY says.
            _ if matches!(self.plan.by, By::Nothing) => By::Element,
            _ => self.plan.by,
        };
        let is_number = self.sorting.collation() == Collation::Number;
        let mut digits = itoa::Buffer::new();
        while next < self.sorting.len() {
            let until = (next + budget.piece(ELEMENTS_PER_PIECE)).min(self.sorting.len());
            let count = until - next;
            for index in next..until {
                let element = self.sorting.element(index);
                let By::Pattern(template) = by else {
                    let weight = match is_number {
                        true => Weight::Number(parse_weight(element.bytes()).ok_or(NO_NUMBER)?),
                        false => Weight::Element,
                    };
                    self.sorting.weigh(index, weight);
                    continue;
                };
                let found =
                    look_up(ctx.db, ctx.now, args, template, element.bytes(), &mut self.name);
                let text = found.as_ref().map(|found| found.lend(&mut digits));
                let weight = match text {
                    Some(text) if is_number => {
                        Weight::Number(parse_weight(text.bytes()).ok_or(NO_NUMBER)?)
                    }
                    None if is_number => Weight::Number(0.0),
                    text => Weight::Text(text),
                };
                self.sorting.weigh(index, weight);
            }
            next = until;
            if budget.spend(count as u64) {
                self.stage = Stage::Weigh { next };
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }

    /// Gives results out until there are no more or the slice is over.
    fn give(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Step {
        let fill = Fill::of(&ctx.engine.limits);
        let units = self.plan.gets.len().max(1);
        while self.left > 0 {
            for _ in 0..budget.piece(ELEMENTS_PER_PIECE) {
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
                let Some(element) = self.sorting.take_next() else { break };
                let mut out = match self.plan.store {
                    None => Results::Reply(&mut ctx.reply),
                    Some(_) => Results::List(&mut self.list, &fill, &mut self.stored),
                };
                if self.plan.gets.is_empty() {
                    out.put(Some(element));
                }
                for &template in &self.plan.gets {
                    if template == Template::Element {
                        out.put(Some(element));
                        continue;
                    }
                    let found =
                        look_up(ctx.db, ctx.now, args, template, element.bytes(), &mut self.name);
                    let mut digits = itoa::Buffer::new();
                    out.put(found.as_ref().map(|found| found.lend(&mut digits)));
                }
            }
            if budget.spend((ELEMENTS_PER_PIECE * units) as u64) && self.left > 0 {
                return Step::More;
            }
        }
        Step::Done
    }

    /// All is given out: STORE puts it where it belongs.
    fn finish(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<(), CmdError> {
        let Some(store) = self.plan.store else { return Ok(()) };
        let key = args.key(store);
        if self.stored > 0 {
            ctx.db.put_aggregate(key, std::mem::take(&mut self.list), Ttl::Clear)?;
            ctx.changed(Event::SortStore, key.bytes);
        } else if ctx.db.remove(key) {
            ctx.changed(Event::Del, key.bytes);
        }
        ctx.reply.count(self.stored);
        Ok(())
    }

    fn work(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            match self.stage {
                Stage::Begin | Stage::Load { .. } => {
                    if !self.loaded(ctx, args, budget)? {
                        return Ok(Step::More);
                    }
                    self.stage = Stage::Weigh { next: 0 };
                }
                Stage::Name { .. } => {
                    // While the further keys were taken, the time of the source may have come.
                    if ctx.db.peek(args.key(1)).is_none() {
                        bury(&mut self.sorting, ctx);
                        (self.skip, self.left) = (0, 0);
                    }
                    self.stage = Stage::Weigh { next: 0 };
                }
                Stage::Weigh { next } => {
                    if self.weigh(ctx, args, next, budget)? == Step::More {
                        return Ok(Step::More);
                    }
                    self.stage = Stage::Sort;
                }
                Stage::Sort => {
                    while !self.sorting.prepare(1).is_done() {
                        if budget.spend(1) {
                            return Ok(Step::More);
                        }
                    }
                    self.stage = Stage::Skip;
                }
                Stage::Skip => {
                    while self.skip > 0 {
                        let count = budget.piece(ELEMENTS_PER_PIECE).min(self.skip);
                        (0..count).for_each(|_| {
                            self.sorting.take_next();
                        });
                        self.skip -= count;
                        if budget.spend(count as u64) && self.skip > 0 {
                            return Ok(Step::More);
                        }
                    }
                    if self.plan.store.is_none() {
                        ctx.reply.array(self.left * self.plan.gets.len().max(1));
                    }
                    self.stage = Stage::Give;
                }
                Stage::Give => {
                    if self.give(ctx, args, budget) == Step::More {
                        return Ok(Step::More);
                    }
                    self.finish(ctx, args)?;
                    return Ok(Step::Done);
                }
            }
        }
    }
}

/// One of the weights.
const NO_NUMBER: CmdError = CmdError::Text("ERR One or more scores can't be converted into double");

/// The value that a pattern names for an element; counts as a read of its key.
fn look_up<'a>(
    db: &'a mut Db,
    now: i64,
    args: Args<'_>,
    template: Template,
    element: &[u8],
    name: &mut Vec<u8>,
) -> Option<Found<'a>> {
    let key = args.hasher().key(template.key(args, element, name)?);
    let entry = db.read(key)?;
    match template.field(args) {
        None => entry.string().map(Found::String),
        Some(field) => {
            let ValueRef::Hash(hash) = entry.value() else { return None };
            hash.get(field)
                .filter(|found| found.is_live(now))
                .map(|found| Found::Field(found.value))
        }
    }
}

/// Where results go.
enum Results<'r, 'o> {
    Reply(&'r mut Reply<'o>),
    List(&'r mut List, &'r Fill, &'r mut usize),
}

impl Results<'_, '_> {
    fn put(&mut self, value: Option<Value<'_>>) {
        match self {
            Results::Reply(reply) => match value {
                None => reply.null(),
                Some(Value::Bytes(bytes)) => reply.bulk(bytes),
                Some(Value::Block(block)) => reply.bulk_block(block),
            },
            Results::List(list, fill, stored) => {
                **stored += 1;
                let element = match value {
                    None => Element::Text(&[]),
                    Some(Value::Bytes(bytes)) => Element::Text(bytes),
                    Some(Value::Block(block)) => Element::Block(block),
                };
                list.push(list::End::Back, element, fill);
            }
        }
    }
}

/// Empties what is sorted; in pieces if it is big.
fn bury(sorting: &mut Sorting, ctx: &mut Ctx<'_>) {
    let sorting = std::mem::replace(sorting, Sorting::new(Collation::None, false));
    if sorting.bytes() > FREED_AT_ONCE_BYTES {
        ctx.engine.graveyard.bury_garbage(Box::new(sorting));
    }
}

impl Job for Sort {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let stepped = self.work(ctx, args, budget);
        if !matches!(stepped, Ok(Step::More)) {
            self.give_up(ctx);
        }
        stepped
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        bury(&mut self.sorting, ctx);
        if !self.list.is_empty() {
            ctx.engine.graveyard.bury_garbage(Box::new(std::mem::take(&mut self.list)));
        }
    }

    fn find_further_keys(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Step {
        if matches!(self.stage, Stage::Begin | Stage::Load { .. }) {
            match self.loaded(ctx, args, budget) {
                Ok(true) => self.stage = Stage::Name { next: 0 },
                Ok(false) => return Step::More,
                // The first step says so again.
                Err(_) => return Step::Done,
            }
        }
        let Stage::Name { mut next } = self.stage else { return Step::Done };
        while next < self.sorting.len() {
            let until = (next + budget.piece(ELEMENTS_PER_PIECE)).min(self.sorting.len());
            let count = until - next;
            for index in next..until {
                for template in self.plan.templates() {
                    let element = self.sorting.element(index).bytes();
                    if let Some(key) = template.key(args, element, &mut self.name) {
                        hashes.push(args.hasher().key(key).hash);
                    }
                }
            }
            next = until;
            self.stage = Stage::Name { next };
            if budget.spend(count as u64) && next < self.sorting.len() {
                return Step::More;
            }
        }
        Step::Done
    }
}
