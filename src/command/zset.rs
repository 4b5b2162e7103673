//! Sorted sets: adding and removing members, their scores and ranks.
//!
//! A command with very many members is a job. Its scores are checked before anything changes, and read again when they
//! are used: that costs less than to keep them.
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, DELETE, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::zset_value::{MEMBERS_PER_PIECE, note_taken, score};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::limits::Limits;
use crate::types::zset::{Change, End, Zset};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[ZADD, ZINCRBY, ZREM, ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK];

const ZADD: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ],
        ..doc(
            "1.2.0",
            "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
            "key:key [condition(NX|XX)@3.0.2] [comparison(GT|LT)@6.2.0] [CH=change@3.0.2] \
            [INCR=increment@3.0.2] score_member(score:double member:string)...",
            "Add one or more members to a sorted set, or update its score if it already exists",
        )
    },
    ..command(Group::SortedSet, "zadd", -4, zadd)
};

const ZINCRBY: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "1.2.0",
        "O(log(N)) where N is the number of elements in the sorted set.",
        "key:key increment:integer member:string",
        "Increment the score of a member in a sorted set",
    ),
    ..command(Group::SortedSet, "zincrby", 4, zincrby)
};

const ZREM: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple elements.")],
        ..doc(
            "1.2.0",
            "O(M*log(N)) with N being the number of elements in the sorted set and M the number \
            of elements to be removed.",
            "key:key member:string...",
            "Remove one or more members from a sorted set",
        )
    },
    ..command(Group::SortedSet, "zrem", -3, zrem)
};

const ZCARD: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("1.2.0", "O(1)", "key:key", "Get the number of members in a sorted set"),
    ..command(Group::SortedSet, "zcard", 2, zcard)
};

const ZSCORE: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "1.2.0",
        "O(1)",
        "key:key member:string",
        "Get the score associated with the given member in a sorted set",
    ),
    ..command(Group::SortedSet, "zscore", 3, zscore)
};

const ZMSCORE: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "6.2.0",
        "O(N) where N is the number of members being requested.",
        "key:key member:string...",
        "Get the score associated with the given members in a sorted set",
    ),
    ..command(Group::SortedSet, "zmscore", -3, zmscore)
};

const ZRANK: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.0.0",
        "O(log(N))",
        "key:key member:string",
        "Determine the index of a member in a sorted set",
    ),
    ..command(Group::SortedSet, "zrank", 3, zrank)
};

const ZREVRANK: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.0.0",
        "O(log(N))",
        "key:key member:string",
        "Determine the index of a member in a sorted set, with scores ordered from high to low",
    ),
    ..command(Group::SortedSet, "zrevrank", 3, zrevrank)
};

fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, false)
}

fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // Redis reads options here too: an increment `nx` is a syntax error.
    add(ctx, args, true)
}

/// What ZADD is told besides members.
#[derive(Clone, Copy, Debug, Default)]
struct AddOptions {
    /// NX: only new members.
    is_new_only: bool,
    /// XX: only members that are there.
    is_old_only: bool,
    /// GT: only to higher scores.
    is_up_only: bool,
    /// LT: only to lower scores.
    is_down_only: bool,
    /// CH: replies with the number of changes.
    counts_changes: bool,
    /// INCR: the score is an increment.
    is_increment: bool,
}

impl AddOptions {
    /// Reads the options, and where the first score is.
    fn parse(args: Args<'_>, is_increment: bool) -> Result<(AddOptions, usize), CmdError> {
        let mut options = AddOptions { is_increment, ..AddOptions::default() };
        let mut first = 2;
        while first < args.len() {
            match args.at(first) {
                // Most scores are told from options by their first byte.
                [byte, ..] if !byte.is_ascii_alphabetic() => break,
                word if is(word, "nx") => options.is_new_only = true,
                word if is(word, "xx") => options.is_old_only = true,
                word if is(word, "ch") => options.counts_changes = true,
                word if is(word, "incr") => options.is_increment = true,
                word if is(word, "gt") => options.is_up_only = true,
                word if is(word, "lt") => options.is_down_only = true,
                _ => break,
            }
            first += 1;
        }
        let members = args.len() - first;
        if members == 0 || !members.is_multiple_of(2) {
            return Err(CmdError::Syntax);
        }
        let AddOptions { is_new_only, is_up_only, is_down_only, .. } = options;
        if is_new_only && options.is_old_only {
            return Err(CmdError::Text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if [is_new_only, is_up_only, is_down_only].into_iter().filter(|&set| set).count() > 1 {
            return Err(CmdError::Text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if options.is_increment && members > 2 {
            return Err(CmdError::Text("ERR INCR option supports a single increment-element pair"));
        }
        Ok((options, first))
    }

    /// The score of a member that has `before`, given this one; `None`: it is to stay as it is.
    #[inline]
    fn decide(&self, before: Option<f64>, given: f64) -> Option<f64> {
        let Some(before) = before else { return (!self.is_old_only).then_some(given) };
        if self.is_new_only {
            return None;
        }
        let score = if self.is_increment { before + given } else { given };
        let is_refused =
            (self.is_down_only && score >= before) || (self.is_up_only && score <= before);
        (!is_refused).then_some(score)
    }
}

fn add(ctx: &mut Ctx<'_>, args: Args<'_>, is_increment: bool) -> CmdResult {
    let (options, first) = AddOptions::parse(args, is_increment)?;
    let mut job = Add { options, checked: first, next: first, added: 0, updated: 0, score: None };
    if ctx.is_long((args.len() - first) / 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// ZADD and ZINCRBY.
struct Add {
    options: AddOptions,
    /// Argument of the score that is checked next.
    checked: usize,
    /// Argument of the score that is set next.
    next: usize,
    added: usize,
    updated: usize,
    /// INCR: the new score, unless the member stays as it is.
    score: Option<f64>,
}

impl Job for Add {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.checked < args.len() {
            let piece = budget.piece(MEMBERS_PER_PIECE * 4);
            for _ in 0..piece.min((args.len() - self.checked) / 2) {
                score(args.at(self.checked))?;
                self.checked += 2;
            }
            if self.checked < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        let key = args.key(1);
        while self.next < args.len() {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let limits = &ctx.engine.limits;
            if self.options.is_old_only {
                let change = |zset: &mut Zset| self.set_some(zset, args, piece, limits);
                match ctx.db.edit::<Zset, _>(key, change)? {
                    Some(result) => result?,
                    None => self.next = args.len(),
                }
            } else {
                let change = |zset: &mut Zset| self.set_some(zset, args, piece, limits);
                ctx.db.edit_or_new::<Zset, _>(key, change)??;
            }
            if self.next < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        let changes = self.added + self.updated;
        match self.score {
            Some(score) => ctx.reply.double(score),
            None if self.options.is_increment => ctx.reply.null(),
            None => ctx.reply.count(if self.options.counts_changes { changes } else { self.added }),
        }
        if changes > 0 {
            let event = if self.options.is_increment { Event::ZIncr } else { Event::ZAdd };
            ctx.changed_by(event, key.bytes, changes);
        }
        Ok(Step::Done)
    }
}

impl Add {
    /// Sets the next scores.
    fn set_some(
        &mut self,
        zset: &mut Zset,
        args: Args<'_>,
        count: usize,
        limits: &Limits,
    ) -> CmdResult {
        for _ in 0..count.min((args.len() - self.next) / 2) {
            let given = score(args.at(self.next))?;
            let options = self.options;
            let mut new_score = None;
            let change = zset.change(args.at(self.next + 1), limits, |before| {
                new_score = options.decide(before, given);
                new_score.filter(|score| !score.is_nan())
            })?;
            if new_score.is_some_and(f64::is_nan) {
                return Err(CmdError::Text("ERR resulting score is not a number (NaN)"));
            }
            self.added += usize::from(change == Change::Added);
            self.updated += usize::from(change == Change::Updated);
            if options.is_increment {
                self.score = new_score;
            }
            self.next += 2;
        }
        Ok(())
    }
}

fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut job = Remove { next: 2, removed: 0, left: usize::MAX };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// ZREM.
struct Remove {
    /// Argument of the member that is removed next.
    next: usize,
    removed: usize,
    /// Members that are left.
    left: usize,
}

impl Job for Remove {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        while self.next < args.len() && self.left > 0 {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let end = args.len().min(self.next + piece);
            let removed = ctx.db.edit::<Zset, _>(key, |zset| {
                let members = (self.next..end).map(|index| args.at(index));
                let removed = members.filter(|member| zset.remove(member)).count();
                (removed, zset.len())
            })?;
            let Some((removed, left)) = removed else { break };
            (self.removed, self.left) = (self.removed + removed, left);
            self.next = end;
            if self.next < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        if self.removed > 0 {
            note_taken(ctx, Event::ZRem, key, self.removed, self.left);
        }
        ctx.reply.count(self.removed);
        Ok(Step::Done)
    }
}

fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.db.get::<Zset>(args.key(1))?;
    ctx.reply.count(zset.map_or(0, |zset| zset.len()));
    Ok(())
}

fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.db.get::<Zset>(args.key(1))?;
    match zset.and_then(|zset| zset.score(args.at(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // The look that counts; those of the job's steps leave no trace.
    ctx.db.get::<Zset>(args.key(1))?;
    ctx.reply.array(args.len() - 2);
    let mut job = Scores { next: 2 };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// ZMSCORE.
struct Scores {
    /// Argument of the member that is looked up next.
    next: usize,
}

impl Job for Scores {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let zset = ctx.db.peek_as::<Zset>(args.key(1))?;
        while self.next < args.len() {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let end = args.len().min(self.next + piece);
            for index in self.next..end {
                match zset.and_then(|zset| zset.score(args.at(index))) {
                    Some(score) => ctx.reply.double(score),
                    None => ctx.reply.null(),
                }
            }
            self.next = end;
            if self.next < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, End::First)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, End::Last)
}

fn rank(ctx: &mut Ctx<'_>, args: Args<'_>, from: End) -> CmdResult {
    let zset = ctx.db.get::<Zset>(args.key(1))?;
    match zset.and_then(|zset| Some((zset.rank(args.at(2))?, zset.len()))) {
        Some((rank, _)) if from == End::First => ctx.reply.count(rank),
        Some((rank, len)) => ctx.reply.count(len - 1 - rank),
        None => ctx.reply.null(),
    }
    Ok(())
}
