//! Sets: members one by one. What several sets have in common stands in `set_combine`, chance in `set_random`.
use std::ops::Range;

use crate::base::hash::KeyHasher;
use crate::command::items::reply_item;
use crate::command::scan_options::{Pattern, STEPS_PER_ELEMENT, ScanOptions, parse_cursor};
use crate::command::set_members::{MEMBERS_PER_PIECE, reply_members};
use crate::command::spec::access::{ACCESS, DELETE, INSERT, RO, RW};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::jobs::{Budget, Job, Step, Stepped, UNITS_AT_ONCE};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply, Resp};
use crate::store::{OutOfMemory, WrongType};
use crate::types::limits::Limits;
use crate::types::listpack::Item;
use crate::types::set::{Set, SetCursor, SetRef};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[SADD, SCARD, SISMEMBER, SMEMBERS, SMISMEMBER, SMOVE, SREM, SSCAN];

const SADD: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        ..doc(
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is called \
            with multiple arguments.",
            "key:key member:string...",
            "Add one or more members to a set",
        )
    },
    ..command(Group::Set, "sadd", -3, sadd)
};

const SCARD: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("1.0.0", "O(1)", "key:key", "Get the number of members in a set"),
    ..command(Group::Set, "scard", 2, scard)
};

const SISMEMBER: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc(
        "1.0.0",
        "O(1)",
        "key:key member:string",
        "Determine if a given value is a member of a set",
    ),
    ..command(Group::Set, "sismember", 3, sismember)
};

const SMEMBERS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N) where N is the set cardinality.",
        "key:key",
        "Get all the members in a set",
    ),
    ..command(Group::Set, "smembers", 2, smembers)
};

const SMISMEMBER: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "6.2.0",
        "O(N) where N is the number of elements being checked for membership",
        "key:key member:string...",
        "Returns the membership associated with the given elements for a set",
    ),
    ..command(Group::Set, "smismember", -3, smismember)
};

const SMOVE: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: doc(
        "1.0.0",
        "O(1)",
        "source:key destination:key#1 member:string",
        "Move a member from one set to another",
    ),
    ..command(Group::Set, "smove", 4, smove)
};

const SREM: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of members to be removed.",
            "key:key member:string...",
            "Remove one or more members from a set",
        )
    },
    ..command(Group::Set, "srem", -3, srem)
};

const SSCAN: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for \
        the cursor to return back to 0. N is the number of elements inside the collection..",
        "key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer]",
        "Incrementally iterate Set elements",
    ),
    ..command(Group::Set, "sscan", -3, sscan)
};

fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let job = AddMembers { next: 2, added: 0 };
    run_on_members(ctx, args, job)
}

fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let job = RemoveMembers { next: 2, removed: 0 };
    run_on_members(ctx, args, job)
}

/// Runs a job over the members that arguments from the second on name.
#[inline]
fn run_on_members(ctx: &mut Ctx<'_>, args: Args<'_>, mut job: impl Job + 'static) -> CmdResult {
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// The arguments of the next piece of work.
#[inline]
fn next_piece(next: usize, args: Args<'_>, budget: &Budget) -> Range<usize> {
    next..args.len().min(next + budget.piece(MEMBERS_PER_PIECE))
}

/// SADD.
struct AddMembers {
    /// The argument that is next.
    next: usize,
    added: usize,
}

impl Job for AddMembers {
    #[inline]
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            let piece = next_piece(self.next, args, budget);
            let (limits, added) = (&ctx.engine.limits, &mut self.added);
            let result = ctx.db.edit_or_new(key, |set: &mut Set| {
                add_members(set, args, piece.clone(), limits, added)
            })?;
            self.next = piece.end;
            let is_done = self.next == args.len();
            if (is_done || result.is_err()) && self.added > 0 {
                ctx.changed_by(Event::SAdd, key.bytes, self.added);
            }
            result?;
            if is_done {
                ctx.reply.count(self.added);
                return Ok(Step::Done);
            }
            if budget.spend(piece.len() as u64) {
                return Ok(Step::More);
            }
        }
    }
}

#[inline]
fn add_members(
    set: &mut Set,
    args: Args<'_>,
    piece: Range<usize>,
    limits: &Limits,
    added: &mut usize,
) -> Result<(), OutOfMemory> {
    for index in piece {
        *added += usize::from(set.insert(args.at(index), limits)?);
    }
    Ok(())
}

/// SREM.
struct RemoveMembers {
    /// The argument that is next.
    next: usize,
    removed: usize,
}

impl Job for RemoveMembers {
    #[inline]
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            let piece = next_piece(self.next, args, budget);
            let removed = &mut self.removed;
            let is_empty = ctx.db.edit(key, |set: &mut Set| {
                for index in piece.clone() {
                    *removed += usize::from(set.remove(args.at(index)));
                }
                set.is_empty()
            })?;
            self.next = piece.end;
            // Without the key, or without members left, nothing more can be removed.
            if is_empty != Some(false) || self.next == args.len() {
                if self.removed > 0 {
                    ctx.changed_by(Event::SRem, key.bytes, self.removed);
                }
                if is_empty == Some(true) {
                    ctx.emptied(key.bytes);
                }
                ctx.reply.count(self.removed);
                return Ok(Step::Done);
            }
            if budget.spend(piece.len() as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.db.get::<Set>(args.key(1))?;
    ctx.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.db.get::<Set>(args.key(1))?;
    ctx.reply.int(set.is_some_and(|set| set.contains(args.at(2))).into());
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.db.get::<Set>(args.key(1))?;
    ctx.reply.array(args.len() - 2);
    run_on_members(ctx, args, FindMembers { next: 2 })
}

/// SMISMEMBER.
struct FindMembers {
    /// The argument that is next.
    next: usize,
}

impl Job for FindMembers {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let set = ctx.db.peek_as::<Set>(args.key(1))?;
        loop {
            let piece = next_piece(self.next, args, budget);
            for index in piece.clone() {
                ctx.reply.int(set.is_some_and(|set| set.contains(args.at(index))).into());
            }
            self.next = piece.end;
            if self.next == args.len() {
                return Ok(Step::Done);
            }
            if budget.spend(piece.len() as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_forced = ctx.is_long(1);
    let Some(set) = ctx.db.get::<Set>(args.key(1))? else {
        ctx.reply.set(0);
        return Ok(());
    };
    let mut cursor = SetCursor::default();
    ctx.reply.set(set.len());
    if is_forced || set.len() > UNITS_AT_ONCE {
        return ctx.run(args, ShowMembers { cursor });
    }
    let _ = reply_members(&mut ctx.reply, set, &mut cursor, usize::MAX);
    Ok(())
}

/// SMEMBERS of a big set.
struct ShowMembers {
    cursor: SetCursor,
}

impl Job for ShowMembers {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(set) = ctx.db.peek_as::<Set>(args.key(1))? else { return Ok(Step::Done) };
        loop {
            let units = budget.piece(MEMBERS_PER_PIECE);
            if reply_members(&mut ctx.reply, set, &mut self.cursor, units).is_done() {
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn smove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (source, target, member) = (args.key(1), args.key(2), args.at(3));
    let Some(from) = ctx.db.peek(source) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let is_member = from.aggregate::<Set>().map(|set| set.contains(member));
    let is_member = is_member.ok_or(WrongType)?;
    ctx.db.peek_as::<Set>(target)?;
    if !is_member || source.bytes == target.bytes {
        ctx.reply.int(is_member.into());
        return Ok(());
    }
    let limits = &ctx.engine.limits;
    // First the half that may fail for want of memory.
    let is_new = ctx.db.edit_or_new(target, |set: &mut Set| set.insert(member, limits))??;
    // What that made is told after what the other half did.
    let news = std::mem::take(&mut ctx.db.news);
    let is_empty = ctx.db.edit(source, |set: &mut Set| {
        set.remove(member);
        set.is_empty()
    })?;
    ctx.changed(Event::SRem, source.bytes);
    if is_empty == Some(true) {
        ctx.emptied(source.bytes);
    }
    ctx.db.news = news;
    if is_new {
        ctx.changed(Event::SAdd, target.bytes);
    }
    ctx.reply.int(1);
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.at(2))?;
    let Some(set) = ctx.db.get::<Set>(args.key(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk_int(0);
        ctx.reply.array(0);
        return Ok(());
    };
    // Of an intset everything is shown at once, whatever COUNT says.
    let small = if matches!(set, SetRef::Intset(_)) { set.len() } else { 0 };
    let options = ScanOptions::of_elements(args, 3)?;
    let steps_left = options.count.saturating_mul(STEPS_PER_ELEMENT);
    let units = usize::try_from(options.count).unwrap_or(usize::MAX).max(small);
    let mut job = ScanMembers { cursor, steps_left, ..ScanMembers::default() };
    if ctx.is_long(units) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// SSCAN.
#[derive(Default)]
struct ScanMembers {
    cursor: u64,
    /// Where it is in an intset, which has no cursor for clients.
    place: SetCursor,
    steps_left: u64,
    /// Members looked at.
    seen: u64,
    found: usize,
    listed: Output,
}

impl ScanMembers {
    /// Goes on by one step, of about `units` members in an intset; true at the end of the call.
    fn advance(
        &mut self,
        set: SetRef<'_>,
        hasher: &KeyHasher,
        options: ScanOptions<'_>,
        resp: Resp,
        units: usize,
    ) -> bool {
        let mut list = Reply::new(&mut self.listed, resp);
        let visit = |member: Item<'_>| {
            self.seen += 1;
            if matches(options.pattern, member) {
                reply_item(&mut list, member);
                self.found += 1;
            }
        };
        if matches!(set, SetRef::Intset(_)) {
            self.cursor = 0;
            return set.walk(&mut self.place, units, visit).is_done();
        }
        self.cursor = set.scan(self.cursor, options.count, hasher, visit);
        let is_over = self.cursor == 0 || self.steps_left == 0 || self.seen >= options.count;
        self.steps_left = self.steps_left.saturating_sub(1);
        is_over
    }
}

impl Job for ScanMembers {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let options = ScanOptions::of_elements(args, 3)?;
        let Some(set) = ctx.db.peek_as::<Set>(args.key(1))? else { return Ok(Step::Done) };
        let hasher = &ctx.engine.limits.hasher;
        while !self.advance(set, hasher, options, ctx.reply.resp(), budget.piece(MEMBERS_PER_PIECE))
        {
            if budget.spend(1) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        ctx.reply.array(2);
        // Redis prints it signed; cursors of a real table never reach that far.
        ctx.reply.bulk_int(self.cursor as i64);
        ctx.reply.array(self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

#[inline]
fn matches(pattern: Pattern<'_>, member: Item<'_>) -> bool {
    match pattern {
        Pattern::All => true,
        _ => pattern.matches(member.as_bytes(&mut itoa::Buffer::new())),
    }
}
