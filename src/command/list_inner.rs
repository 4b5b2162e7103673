//! Lists by index and by value: reading ranges, searching, and changing what lies between the ends.
//!
//! What looks at many elements is a job that remembers an index: nobody else changes a list that a job holds, so an
//! index stays what it was, and finding its node again costs less than the piece of work it begins.
use crate::command::list_value::{
    ELEMENTS_PER_PIECE, Taken, bury, element_at, natural, note_taken, reply_element,
};
use crate::command::options;
use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, DELETE, INSERT, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::types::list::{End, Fill, List, ListRef, RemoveLimits, Side, Spent, Wanted, Way};

/// Elements compared between two looks at the clock: some microseconds.
const LOOKS_PER_PIECE: usize = 512;
/// Nodes cut off between two looks at the clock.
const NODES_PER_PIECE: usize = 8;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[LINDEX, LSET, LINSERT, LRANGE, LREM, LTRIM, LPOS];

const LINDEX: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "1.0.0",
        "O(N) where N is the number of elements to traverse to get to the element at index. This \
        makes asking for the first or the last element of the list O(1).",
        "key:key index:integer",
        "Get an element from a list by its index",
    ),
    ..command(Group::List, "lindex", 3, lindex)
};

const LSET: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "1.0.0",
        "O(N) where N is the length of the list. Setting either the first or the last element of \
        the list is O(1).",
        "key:key index:integer element:string",
        "Set the value of an element in a list by its index",
    ),
    ..command(Group::List, "lset", 4, lset)
};

const LINSERT: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: doc(
        "2.2.0",
        "O(N) where N is the number of elements to traverse before seeing the value pivot. This \
        means that inserting somewhere on the left end on the list (head) can be considered O(1) \
        and inserting somewhere on the right end (tail) is O(N).",
        "key:key where(BEFORE|AFTER) pivot:string element:string",
        "Insert an element before or after another element in a list",
    ),
    ..command(Group::List, "linsert", 5, linsert)
};

const LRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "1.0.0",
        "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest \
        end (HEAD or TAIL) for large lists; and N is the number of elements in the specified \
        range.",
        "key:key start:integer stop:integer",
        "Get a range of elements from a list",
    ),
    ..command(Group::List, "lrange", 4, lrange)
};

const LREM: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "1.0.0",
        "O(N+M) where N is the length of the list and M is the number of elements removed.",
        "key:key count:integer element:string",
        "Remove elements from a list",
    ),
    ..command(Group::List, "lrem", 4, lrem)
};

const LTRIM: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: doc(
        "1.0.0",
        "O(N) where N is the number of elements to be removed by the operation.",
        "key:key start:integer stop:integer",
        "Trim a list to the specified range",
    ),
    ..command(Group::List, "ltrim", 4, ltrim)
};

const LPOS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "6.0.6",
        "O(N) where N is the number of elements in the list, for the average case. When \
        searching for elements near the head or the tail of the list, or when the MAXLEN option \
        is provided, the command may run in constant time.",
        "key:key element:string [RANK=rank:integer] [COUNT=num-matches:integer] \
        [MAXLEN=len:integer]",
        "Return the index of matching elements on a list",
    ),
    ..command(Group::List, "lpos", -3, lpos)
};

fn lindex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(list) = ctx.db.get::<List>(args.key(1))? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = integer(args.at(2))?;
    let reply = &mut ctx.reply;
    let place = list.place_of(index);
    if place.and_then(|place| list.show(place, |item| reply_element(reply, item))).is_none() {
        ctx.reply.null();
    }
    Ok(())
}

fn lset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let fill = Fill::of(&ctx.engine.limits);
    let mut spent = Spent::default();
    let set = |list: &mut List| {
        let index = integer(args.at(2))?;
        let place = view(list).place_of(index);
        match place {
            Some(place) if list.set(place, element_at(args, 3), &fill, &mut spent) => Ok(()),
            _ => Err(CmdError::Text("ERR index out of range")),
        }
    };
    ctx.db.edit(key, set)?.ok_or(CmdError::NoSuchKey)??;
    bury(ctx, spent);
    ctx.reply.ok();
    ctx.changed(Event::LSet, key.bytes);
    Ok(())
}

fn view(list: &List) -> ListRef<'_> {
    crate::types::object::Aggregate::view(list)
}

fn linsert(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let side = match args.at(2) {
        word if is(word, "before") => Side::Before,
        word if is(word, "after") => Side::After,
        _ => return Err(CmdError::Syntax),
    };
    if ctx.db.peek_as::<List>(args.key(1))?.is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    ctx.run(args, Insert { next: 0, side })
}

/// LINSERT.
struct Insert {
    /// Index to go on with.
    next: usize,
    side: Side,
}

impl Job for Insert {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let wanted = Wanted::new(args.at(3));
        let list = ctx.db.peek_as::<List>(key)?;
        let found = loop {
            let Some(list) = list else { break None };
            let mut is_found = false;
            let piece = budget.piece(LOOKS_PER_PIECE);
            let looked = list.walk(self.next, Way::Forward, piece, |element| {
                is_found = wanted.is(element);
                !is_found
            });
            self.next += looked;
            if is_found {
                break Some(self.next - 1);
            }
            if self.next >= list.len() {
                break None;
            }
            if budget.spend(looked as u64) {
                return Ok(Step::More);
            }
        };
        let Some(place) = found else {
            ctx.reply.int(-1);
            return Ok(Step::Done);
        };
        let fill = Fill::of(&ctx.engine.limits);
        let side = self.side;
        let length = ctx.db.edit(key, |list: &mut List| {
            list.insert(place, side, element_at(args, 4), &fill);
            list.len()
        })?;
        ctx.changed(Event::LInsert, key.bytes);
        ctx.reply.count(length.unwrap_or(0));
        Ok(Step::Done)
    }
}

/// The elements from `start` to `stop`, both included and counted from the end where negative, of a list of `len`: the
/// first one and how many.
fn clip(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let range = options::clip(start, stop, len);
    (range.start, range.len())
}

fn lrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let Some(list) = ctx.db.get::<List>(args.key(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (first, count) = clip(start, stop, list.len());
    ctx.reply.array(count);
    if count == 0 {
        return Ok(());
    }
    if count <= ELEMENTS_PER_PIECE && !ctx.engine.jobs.is_forced() {
        reply_range(&mut ctx.reply, list, first, count);
        return Ok(());
    }
    ctx.run(args, ReadRange { next: first, left: count })
}

#[inline]
fn reply_range(reply: &mut Reply<'_>, list: ListRef<'_>, first: usize, count: usize) {
    list.walk(first, Way::Forward, count, |element| {
        reply_element(reply, element);
        true
    });
}

/// LRANGE.
struct ReadRange {
    /// Index to go on with.
    next: usize,
    left: usize,
}

impl Job for ReadRange {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(list) = ctx.db.peek_as::<List>(args.key(1))? else { return Ok(Step::Done) };
        let mut is_spent = false;
        let mut until_look = budget.piece(ELEMENTS_PER_PIECE);
        let reply = &mut ctx.reply;
        // One walk for the whole slice: its node is looked for once.
        let shown = list.walk(self.next, Way::Forward, self.left, |element| {
            reply_element(reply, element);
            until_look -= 1;
            if until_look == 0 {
                is_spent = budget.spend(ELEMENTS_PER_PIECE as u64);
                until_look = budget.piece(ELEMENTS_PER_PIECE);
            }
            !is_spent
        });
        self.next += shown;
        self.left -= shown;
        Ok(if self.left == 0 { Step::Done } else { Step::More })
    }
}

fn lrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = integer(args.at(2))?;
    let Some(list) = ctx.db.peek_as::<List>(args.key(1))? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let (way, next) =
        if count < 0 { (Way::Backward, list.len().saturating_sub(1)) } else { (Way::Forward, 0) };
    let left = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    ctx.run(args, Remove { next, way, left, removed: 0 })
}

/// LREM.
struct Remove {
    /// Index to go on with.
    next: usize,
    way: Way,
    /// How many more to remove.
    left: usize,
    removed: usize,
}

impl Remove {
    /// Looks at some more elements. Returns how many, whether they were the last ones, and whether the list is empty.
    fn look(
        &mut self,
        list: &mut List,
        wanted: &Wanted<'_>,
        looks: usize,
        spent: &mut Spent,
    ) -> Look {
        let limits = RemoveLimits { looks, removals: self.left };
        let (looked, removed) = list.remove_equal(self.next, self.way, wanted, limits, spent);
        self.left -= removed;
        self.removed += removed;
        let is_end = match self.way {
            Way::Forward => {
                self.next += looked - removed;
                self.next >= list.len()
            }
            Way::Backward => {
                let is_end = looked > self.next;
                self.next = self.next.saturating_sub(looked);
                is_end
            }
        };
        Look { looked, is_end: is_end || self.left == 0, is_gone: list.is_empty() }
    }
}

/// What came of looking at some elements.
struct Look {
    looked: usize,
    is_end: bool,
    is_gone: bool,
}

impl Job for Remove {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let wanted = Wanted::new(args.at(3));
        let mut spent = Spent::default();
        let gone = loop {
            let looks = budget.piece(LOOKS_PER_PIECE);
            let look = |list: &mut List| self.look(list, &wanted, looks, &mut spent);
            let Some(look) = ctx.db.edit(key, look)? else { break true };
            if look.is_end {
                break look.is_gone;
            }
            if budget.spend(look.looked as u64) {
                bury(ctx, spent);
                return Ok(Step::More);
            }
        };
        bury(ctx, spent);
        if self.removed > 0 {
            let taken = Taken { count: self.removed, is_gone: gone };
            note_taken(ctx, Event::LRem, key.bytes, taken);
        }
        ctx.reply.count(self.removed);
        Ok(Step::Done)
    }
}

fn ltrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let Some(list) = ctx.db.peek_as::<List>(args.key(1))? else {
        ctx.reply.ok();
        return Ok(());
    };
    let len = list.len();
    let (first, kept) = clip(start, stop, len);
    let front = if kept == 0 { len } else { first };
    ctx.run(args, Trim { front, back: len - front - kept, cut: 0 })
}

/// LTRIM.
struct Trim {
    /// Elements still to be cut off in front.
    front: usize,
    /// Elements still to be cut off at the back.
    back: usize,
    /// Elements cut off so far.
    cut: usize,
}

impl Job for Trim {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let mut spent = Spent::default();
        let mut is_gone = false;
        while self.front + self.back > 0 {
            let nodes = budget.piece(NODES_PER_PIECE);
            let (end, left) = match self.front {
                0 => (End::Back, &mut self.back),
                _ => (End::Front, &mut self.front),
            };
            let cut = |list: &mut List| (list.cut(end, *left, nodes, &mut spent), list.is_empty());
            let Some((cut, is_empty)) = ctx.db.edit(key, cut)? else { break };
            *left -= cut;
            self.cut += cut;
            is_gone = is_empty;
            if self.front + self.back > 0 && budget.spend(nodes as u64) {
                bury(ctx, spent);
                return Ok(Step::More);
            }
        }
        bury(ctx, spent);
        note_taken(ctx, Event::LTrim, key.bytes, Taken { count: self.cut, is_gone });
        ctx.reply.ok();
        Ok(Step::Done)
    }
}

fn lpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = SearchOptions::parse(args)?;
    let Some(list) = ctx.db.get::<List>(args.key(1))? else {
        match options.count {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let next = match options.way {
        Way::Forward => 0,
        Way::Backward => list.len().saturating_sub(1),
    };
    let left = list.len().min(options.looks_max);
    let matches = Output::default();
    ctx.run(args, Search { options, next, left, passed: 0, found: 0, matches })
}

/// The options of LPOS.
#[derive(Clone, Copy, Debug)]
struct SearchOptions {
    way: Way,
    /// Matches to pass by.
    passed: u64,
    /// COUNT: how many matches; 0: all of them.
    count: Option<usize>,
    /// How many elements to look at.
    looks_max: usize,
}

impl SearchOptions {
    fn parse(args: Args<'_>) -> Result<SearchOptions, CmdError> {
        let mut found =
            SearchOptions { way: Way::Forward, passed: 0, count: None, looks_max: usize::MAX };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if is(word, "rank") {
                let rank = integer(options.value()?)?;
                if rank == 0 {
                    return Err(CmdError::Text(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                        second ... or use negative to start from the end of the list",
                    ));
                }
                found.way = if rank < 0 { Way::Backward } else { Way::Forward };
                found.passed = rank.unsigned_abs() - 1;
            } else if is(word, "count") {
                let count = natural(options.value()?);
                found.count = Some(count.ok_or(CmdError::Text("ERR COUNT can't be negative"))?);
            } else if is(word, "maxlen") {
                let looks = natural(options.value()?);
                let looks = looks.ok_or(CmdError::Text("ERR MAXLEN can't be negative"))?;
                found.looks_max = if looks == 0 { usize::MAX } else { looks };
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(found)
    }
}

/// LPOS.
struct Search {
    options: SearchOptions,
    /// Index to go on with.
    next: usize,
    /// Elements still to be looked at.
    left: usize,
    /// Matches passed by so far.
    passed: u64,
    /// Matches listed so far.
    found: usize,
    /// Their indices, as replies.
    matches: Output,
}

impl Search {
    /// Looks at up to `looks` elements. Returns how many; whether what was wanted is found is in `found`.
    fn look(
        &mut self,
        list: ListRef<'_>,
        wanted: &Wanted<'_>,
        looks: usize,
        reply: Reply<'_>,
    ) -> usize {
        let mut reply = reply;
        let SearchOptions { way, count, passed, .. } = self.options;
        // Without COUNT the first match is all; COUNT 0 wants every one.
        let enough = match count {
            Some(0) => usize::MAX,
            count => count.unwrap_or(1),
        };
        let mut at = self.next;
        let looked = list.walk(self.next, way, looks, |element| {
            let index = at;
            at = if way == Way::Forward { at + 1 } else { at.wrapping_sub(1) };
            if !wanted.is(element) {
                return true;
            }
            if self.passed < passed {
                self.passed += 1;
                return true;
            }
            self.found += 1;
            reply.count(index);
            self.found < enough
        });
        self.next = at;
        let is_enough = self.found >= enough;
        self.left = if is_enough || looked == 0 { 0 } else { self.left - looked };
        looked
    }
}

impl Job for Search {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let wanted = Wanted::new(args.at(2));
        if let Some(list) = ctx.db.peek_as::<List>(args.key(1))? {
            let mut matches = std::mem::take(&mut self.matches);
            while self.left > 0 {
                let looks = budget.piece(LOOKS_PER_PIECE).min(self.left);
                let reply = Reply::new(&mut matches, ctx.reply.resp());
                let looked = self.look(list, &wanted, looks, reply);
                if self.left > 0 && budget.spend(looked as u64) {
                    matches.seal();
                    self.matches = matches;
                    return Ok(Step::More);
                }
            }
            self.matches = matches;
        }
        match self.options.count {
            Some(_) => ctx.reply.array(self.found),
            None if self.found == 0 => ctx.reply.null(),
            None => {}
        }
        ctx.reply.output().append(std::mem::take(&mut self.matches));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.matches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_as_redis_clips_them() {
        let ranges = [
            ((0, -1), (0, 5)),
            ((1, 2), (1, 2)),
            ((-2, 100), (3, 2)),
            ((-100, 0), (0, 1)),
            ((5, 9), (0, 0)),
            ((3, 2), (0, 0)),
            ((0, -6), (0, 0)),
            ((i64::MIN, i64::MAX), (0, 5)),
            ((i64::MAX, i64::MIN), (0, 0)),
        ];
        for ((start, stop), expected) in ranges {
            assert_eq!(clip(start, stop, 5), expected, "{start} {stop}");
        }
        assert_eq!(clip(0, -1, 0), (0, 0));
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_its_list(start: i64, stop: i64, len in 0usize..50) {
            for (start, stop) in [(start, stop), (start % 60, stop % 60)] {
                let (first, count) = clip(start, stop, len);
                prop_assert!(first + count <= len);
            }
        }
    }
}
