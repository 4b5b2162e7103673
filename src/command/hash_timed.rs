//! Fields and their times in one command (Redis 8.0): HGETEX, HSETEX, HGETDEL.
use std::ops::Range;

use crate::base::number::parse_i64;
use crate::command::hash_value::{
    FIELDS_PER_PIECE, Lengths, When, drop_if_due, fields_at, has_due, new_value, note_emptied,
    note_expired, reply_value, start, work_of,
};
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, DELETE, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::hash::{Condition, ExpireOutcome, FieldTtl, Hash, PersistOutcome};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[HGETEX, HSETEX, HGETDEL];

const HGETEX: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec {
        notes: "RW and UPDATE because it changes the TTL",
        ..KeySpec::first(RW | ACCESS | UPDATE)
    }],
    doc: doc(
        "8.0.0",
        "O(N) where N is the number of specified fields",
        "key:key [expiration(EX=seconds:integer|PX=milliseconds:integer|\
        EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|PERSIST)] \
        FIELDS=fields(numfields:integer field:string...)",
        "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
    ),
    ..command(Group::Hash, "hgetex", -5, hgetex)
};

const HSETEX: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "8.0.0",
        "O(N) where N is the number of fields being set.",
        "key:key [condition(FNX|FXX)] [expiration(EX=seconds:integer|PX=milliseconds:integer|\
        EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|KEEPTTL)] \
        FIELDS=fields(numfields:integer data(field:string value:string)...)",
        "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
    ),
    ..command(Group::Hash, "hsetex", -6, hsetex)
};

const HGETDEL: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: doc(
        "8.0.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Returns the value of a field and deletes it from the hash.",
    ),
    ..command(Group::Hash, "hgetdel", -5, hgetdel)
};

/// What is said of a number of fields that is none.
const COUNT_ERROR: &str = "ERR Number of fields must be a positive integer";

fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
    let (then, at) = match When::of_option(args.at(2), ctx.now) {
        Some(when) => (Then::Expire(when.read(args.at(3), "hgetex")?), 4),
        None if is(args.at(2), "persist") => (Then::Persist, 3),
        None => (Then::Nothing, 2),
    };
    let fields = fields_at(args, at, COUNT_ERROR)?;
    let work = work_of(fields.len(), hash);
    ctx.reply.array(fields.len());
    start(ctx, args, work, GetFields { fields, then, done: Done::default() })
}

fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
    let fields = fields_at(args, 2, COUNT_ERROR)?;
    let work = work_of(fields.len(), hash);
    ctx.reply.array(fields.len());
    start(ctx, args, work, GetFields { fields, then: Then::Delete, done: Done::default() })
}

/// What happens to a field that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Expire(i64),
    Persist,
    Delete,
}

/// What a command has done to fields.
#[derive(Clone, Copy, Default)]
struct Done {
    /// Fields with a new expiry, or without one now.
    changed: usize,
    deleted: usize,
    /// Fields gone since their time had come.
    expired: usize,
}

/// HGETEX, HGETDEL.
struct GetFields {
    /// The arguments that are fields, as far as they are not handled.
    fields: Range<usize>,
    then: Then,
    done: Done,
}

impl Then {
    /// Does it to a field that is live.
    fn apply(self, hash: &mut Hash, field: &[u8], now: i64, done: &mut Done) {
        match self {
            Then::Nothing => {}
            Then::Expire(expiry) => match hash.expire(field, expiry, Condition::Always, now) {
                ExpireOutcome::Set => done.changed += 1,
                ExpireOutcome::Deleted => done.deleted += 1,
                ExpireOutcome::NoField | ExpireOutcome::NotMet => {}
            },
            Then::Persist => {
                done.changed += usize::from(hash.persist(field, now) == PersistOutcome::Done);
            }
            Then::Delete => done.deleted += usize::from(hash.remove(field)),
        }
    }
}

impl GetFields {
    /// Handles the fields of some arguments.
    fn handle(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, piece: Range<usize>) -> CmdResult {
        let (now, reply, then, done) = (ctx.now, &mut ctx.reply, self.then, &mut self.done);
        let fields = piece.clone();
        let edited = ctx.db.edit(args.key(1), |hash: &mut Hash| {
            for index in fields {
                let field = args.at(index);
                match hash.view().get(field) {
                    Some(found) if found.is_live(now) => {
                        reply_value(reply, found.value);
                        then.apply(hash, field, now, done);
                    }
                    found => {
                        reply.null();
                        done.expired += usize::from(found.is_some() && hash.remove(field));
                    }
                }
            }
        })?;
        if edited.is_none() {
            piece.for_each(|_| reply.null());
        }
        Ok(())
    }
}

impl Job for GetFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while !self.fields.is_empty() {
            let end = (self.fields.start + budget.piece(FIELDS_PER_PIECE)).min(self.fields.end);
            let piece = self.fields.start..end;
            self.fields.start = end;
            let length = piece.len() as u64;
            self.handle(ctx, args, piece)?;
            if budget.spend(length) && !self.fields.is_empty() {
                return Ok(Step::More);
            }
        }
        let (key, Done { changed, deleted, expired }) = (args.key(1), self.done);
        if changed + deleted > 0 {
            let event = match self.then {
                Then::Persist => Event::HPersist,
                Then::Expire(_) if changed > 0 => Event::HExpire,
                Then::Expire(_) | Then::Delete | Then::Nothing => Event::HDel,
            };
            ctx.changed_by(event, key.bytes, changed + deleted);
        }
        if expired > 0 {
            note_expired(ctx, key, expired);
        } else if deleted > 0 {
            note_emptied(ctx, key);
        }
        if matches!(self.then, Then::Expire(_)) {
            ctx.db.stats.expired_fields += deleted as u64;
        }
        Ok(Step::Done)
    }
}

fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = SetOptions::parse(args, ctx.now)?;
    let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
    if hash.is_none() && options.condition == FieldCondition::Present {
        ctx.reply.int(0);
        return Ok(());
    }
    let work = work_of((args.len() - options.first) / 2, hash);
    let (checked, next, done) = (options.first, options.first, Done::default());
    let lengths = Lengths::from(options.first);
    start(ctx, args, work, SetFields { options, checked, lengths, next, done })
}

/// What must be true of every field before any is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldCondition {
    Always,
    /// FNX
    Absent,
    /// FXX
    Present,
}

/// What HSETEX does with the times of the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NewTtl {
    Clear,
    Keep,
    At(i64),
}

/// The options of HSETEX.
#[derive(Clone, Copy)]
struct SetOptions {
    condition: FieldCondition,
    ttl: NewTtl,
    /// The argument that is the first field.
    first: usize,
}

impl SetOptions {
    /// Reads all up to the fields: options in any order, then FIELDS.
    fn parse(args: Args<'_>, now: i64) -> Result<SetOptions, CmdError> {
        let mut options =
            SetOptions { condition: FieldCondition::Always, ttl: NewTtl::Clear, first: 0 };
        let mut at = 2;
        while at < args.len() {
            let word = args.at(at);
            if is(word, "fields") {
                options.first = first_field(args, at)?;
                return Ok(options);
            }
            let condition = match word {
                _ if is(word, "fnx") => Some(FieldCondition::Absent),
                _ if is(word, "fxx") => Some(FieldCondition::Present),
                _ => None,
            };
            if let Some(condition) = condition {
                if options.condition != FieldCondition::Always {
                    return Err(CmdError::Text(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                options.condition = condition;
                at += 1;
                continue;
            }
            at += options.take_ttl(args, at, now)?;
        }
        // Not to be reached: so few options do not make a request long enough.
        Err(CmdError::Arity("hsetex"))
    }

    /// Takes the option on the time to live at argument `at`; returns how many arguments it is.
    fn take_ttl(&mut self, args: Args<'_>, at: usize, now: i64) -> Result<usize, CmdError> {
        let word = args.at(at);
        let when = When::of_option(word, now);
        if when.is_none() && !is(word, "keepttl") {
            // Redis prints it with %s, which ends at a NUL.
            let shown = word.split(|&byte| byte == 0).next().unwrap_or_default();
            return Err(CmdError::owned(&[b"ERR unknown argument: ", shown]));
        }
        if self.ttl != NewTtl::Clear {
            return Err(CmdError::Text(
                "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
            ));
        }
        let Some(when) = when else {
            self.ttl = NewTtl::Keep;
            return Ok(1);
        };
        if at + 1 >= args.len() {
            return Err(CmdError::Text("ERR missing expire time"));
        }
        self.ttl = NewTtl::At(when.read(args.at(at + 1), "hsetex")?);
        Ok(2)
    }
}

/// Reads the number behind FIELDS, argument `at`, and compares it with what follows.
fn first_field(args: Args<'_>, at: usize) -> Result<usize, CmdError> {
    const COUNT_MAX: i64 = i32::MAX as i64;
    if at + 3 >= args.len() {
        return Err(CmdError::Arity("hsetex"));
    }
    let count = parse_i64(args.at(at + 1));
    let count = count.filter(|count| (1..=COUNT_MAX).contains(count));
    let count = count.ok_or(CmdError::Text("ERR invalid number of fields"))?;
    if args.len() - at - 2 != 2 * count as usize {
        return Err(CmdError::Arity("hsetex"));
    }
    Ok(at + 2)
}

/// HSETEX: looks whether the condition holds for all fields, at all lengths, then sets all fields.
struct SetFields {
    options: SetOptions,
    /// The field that is looked at next for the condition.
    checked: usize,
    lengths: Lengths,
    /// The field that is set next.
    next: usize,
    done: Done,
}

impl SetFields {
    /// Whether the condition holds for the fields up to argument `end`.
    fn is_met(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, end: usize) -> Result<bool, CmdError> {
        let now = ctx.now;
        let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
        let is_wanted = self.options.condition == FieldCondition::Present;
        let is_live = |index: usize| {
            let found = hash.and_then(|hash| hash.get(args.at(index)));
            found.is_some_and(|found| found.is_live(now))
        };
        let is_met = (self.checked..end).step_by(2).all(|index| is_live(index) == is_wanted);
        self.checked = end;
        Ok(is_met)
    }

    /// Sets the fields up to argument `end`.
    fn set_until(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, end: usize) -> CmdResult {
        let (limits, now) = (&ctx.engine.limits, ctx.now);
        let SetFields { options, lengths, next, done, .. } = self;
        let ttl = if options.ttl == NewTtl::Clear { FieldTtl::Clear } else { FieldTtl::Keep };
        ctx.db.edit_or_new(args.key(1), |hash: &mut Hash| -> CmdResult {
            if *next == options.first {
                hash.prepare(lengths.longest, lengths.total, limits)?;
            }
            let has_due = has_due(hash.view(), now);
            while *next < end {
                let field = args.at(*next);
                if has_due && drop_if_due(hash, field, now) {
                    done.expired += 1;
                }
                hash.set(field, new_value(args, *next + 1), ttl, limits)?;
                if let NewTtl::At(expiry) = options.ttl {
                    Then::Expire(expiry).apply(hash, field, now, done);
                }
                *next += 2;
            }
            Ok(())
        })?
    }

    /// All is set: says so.
    fn finish(&self, ctx: &mut Ctx<'_>, args: Args<'_>) {
        let (key, Done { changed, deleted, expired }) = (args.key(1), self.done);
        let fields = (args.len() - self.options.first) / 2;
        if expired > 0 {
            note_expired(ctx, key, expired);
        }
        ctx.changed_by(Event::HSet, key.bytes, fields);
        if changed + deleted > 0 {
            // One change of two names.
            let event = if deleted > 0 { Event::HDel } else { Event::HExpire };
            ctx.changed_by(event, key.bytes, 0);
        }
        if deleted > 0 {
            ctx.db.stats.expired_fields += deleted as u64;
            note_emptied(ctx, key);
        }
        ctx.reply.int(1);
    }
}

impl Job for SetFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.checked < args.len() && self.options.condition != FieldCondition::Always {
            let piece = budget.piece(FIELDS_PER_PIECE);
            if !self.is_met(ctx, args, (self.checked + 2 * piece).min(args.len()))? {
                ctx.reply.int(0);
                return Ok(Step::Done);
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        if !self.lengths.measure(args, budget) {
            return Ok(Step::More);
        }
        while self.next < args.len() {
            let piece = budget.piece(FIELDS_PER_PIECE);
            self.set_until(ctx, args, (self.next + 2 * piece).min(args.len()))?;
            if budget.spend(piece as u64) && self.next < args.len() {
                return Ok(Step::More);
            }
        }
        self.finish(ctx, args);
        Ok(Step::Done)
    }
}
