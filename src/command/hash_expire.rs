//! The time to live of hash fields: giving, telling and taking away (Redis 7.4).
//!
//! A field's expiry is a point in time, as a key's is; one that is not in the future deletes the field at once. Each
//! reply has one number for each field named. Many fields are a job.
use std::ops::Range;

use crate::command::hash_value::{
    FIELDS_PER_PIECE, When, fields_at, note_emptied, note_expired, start, work_of,
};
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::hash::{Condition, ExpireOutcome, Found, Hash, PersistOutcome};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME, HPERSIST];

const HEXPIRE: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key seconds:integer [condition(NX|XX|GT|LT)] \
        FIELDS=fields(numfields:integer field:string...)",
        "Set expiry for hash field using relative time to expire (seconds)",
    ),
    ..command(Group::Hash, "hexpire", -6, hexpire)
};

const HPEXPIRE: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key milliseconds:integer [condition(NX|XX|GT|LT)] \
        FIELDS=fields(numfields:integer field:string...)",
        "Set expiry for hash field using relative time to expire (milliseconds)",
    ),
    ..command(Group::Hash, "hpexpire", -6, hpexpire)
};

const HEXPIREAT: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)] \
        FIELDS=fields(numfields:integer field:string...)",
        "Set expiry for hash field using an absolute Unix timestamp (seconds)",
    ),
    ..command(Group::Hash, "hexpireat", -6, hexpireat)
};

const HPEXPIREAT: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)] \
        FIELDS=fields(numfields:integer field:string...)",
        "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
    ),
    ..command(Group::Hash, "hpexpireat", -6, hpexpireat)
};

const HTTL: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Returns the TTL in seconds of a hash field.",
    ),
    ..command(Group::Hash, "httl", -5, httl)
};

const HPTTL: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Returns the TTL in milliseconds of a hash field.",
    ),
    ..command(Group::Hash, "hpttl", -5, hpttl)
};

const HEXPIRETIME: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
    ),
    ..command(Group::Hash, "hexpiretime", -5, hexpiretime)
};

const HPEXPIRETIME: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
    ),
    ..command(Group::Hash, "hpexpiretime", -5, hpexpiretime)
};

const HPERSIST: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "7.4.0",
        "O(N) where N is the number of specified fields",
        "key:key FIELDS=fields(numfields:integer field:string...)",
        "Removes the expiration time for each specified field",
    ),
    ..command(Group::Hash, "hpersist", -5, hpersist)
};

/// Replied for a field that is not there.
const NO_FIELD: i64 = -2;
/// Replied for a field without an expiry.
const NO_EXPIRY: i64 = -1;
/// What is said of a number of fields that is none, but for HEXPIRE and its like.
const COUNT_ERROR: &str = "ERR Number of fields must be a positive integer";

const SECOND_MS: i64 = 1000;
const MILLISECOND_MS: i64 = 1;

fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    expire(ctx, args, When { unit_ms: SECOND_MS, since_ms }, "hexpire")
}

fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    expire(ctx, args, When { unit_ms: MILLISECOND_MS, since_ms }, "hpexpire")
}

fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    expire(ctx, args, When { unit_ms: SECOND_MS, since_ms: 0 }, "hexpireat")
}

fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    expire(ctx, args, When { unit_ms: MILLISECOND_MS, since_ms: 0 }, "hpexpireat")
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>, when: When, command: &'static str) -> CmdResult {
    let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
    let expiry = when.read(args.at(2), command)?;
    let condition = match args.at(3) {
        word if is(word, "nx") => Some(Condition::IfNone),
        word if is(word, "xx") => Some(Condition::IfAny),
        word if is(word, "gt") => Some(Condition::IfLater),
        word if is(word, "lt") => Some(Condition::IfSooner),
        _ => None,
    };
    let at = 3 + usize::from(condition.is_some());
    let fields = fields_at(args, at, "ERR Parameter `numFields` should be greater than 0")?;
    let work = work_of(fields.len(), hash);
    ctx.reply.array(fields.len());
    let condition = condition.unwrap_or(Condition::Always);
    start(
        ctx,
        args,
        work,
        ExpireFields { fields, expiry, condition, set: 0, deleted: 0, expired: 0 },
    )
}

/// The next of the arguments that are fields.
fn next_piece(fields: &mut Range<usize>, budget: &Budget) -> Range<usize> {
    let end = (fields.start + budget.piece(FIELDS_PER_PIECE)).min(fields.end);
    let piece = fields.start..end;
    fields.start = end;
    piece
}

/// HEXPIRE and its like.
struct ExpireFields {
    /// The arguments that are fields, as far as they are not handled.
    fields: Range<usize>,
    expiry: i64,
    condition: Condition,
    set: usize,
    /// Fields gone since their new time is past.
    deleted: usize,
    /// Fields gone since their old one was.
    expired: usize,
}

impl Job for ExpireFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (key, now, condition) = (args.key(1), ctx.now, self.condition);
        while !self.fields.is_empty() {
            let piece = next_piece(&mut self.fields, budget);
            let length = piece.len();
            let reply = &mut ctx.reply;
            let left = piece.clone();
            let edited = ctx.db.edit(key, |hash: &mut Hash| {
                for index in left {
                    let before = hash.len();
                    let outcome = hash.expire(args.at(index), self.expiry, condition, now);
                    let told = match outcome {
                        ExpireOutcome::NoField => {
                            self.expired += before - hash.len();
                            NO_FIELD
                        }
                        ExpireOutcome::NotMet => 0,
                        ExpireOutcome::Set => {
                            self.set += 1;
                            1
                        }
                        ExpireOutcome::Deleted => {
                            self.deleted += 1;
                            2
                        }
                    };
                    reply.int(told);
                }
            })?;
            if edited.is_none() {
                piece.for_each(|_| reply.int(NO_FIELD));
            }
            if budget.spend(length as u64) && !self.fields.is_empty() {
                return Ok(Step::More);
            }
        }
        let event = if self.deleted > 0 { Event::HDel } else { Event::HExpire };
        if self.set + self.deleted > 0 {
            ctx.changed_by(event, key.bytes, self.set + self.deleted);
        }
        if self.expired > 0 {
            note_expired(ctx, key, self.expired);
        } else if self.deleted > 0 {
            note_emptied(ctx, key);
        }
        ctx.db.stats.expired_fields += self.deleted as u64;
        Ok(Step::Done)
    }
}

fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    tell_expiry(ctx, args, When { unit_ms: SECOND_MS, since_ms })
}

fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    tell_expiry(ctx, args, When { unit_ms: MILLISECOND_MS, since_ms })
}

fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_expiry(ctx, args, When { unit_ms: SECOND_MS, since_ms: 0 })
}

fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_expiry(ctx, args, When { unit_ms: MILLISECOND_MS, since_ms: 0 })
}

fn tell_expiry(ctx: &mut Ctx<'_>, args: Args<'_>, when: When) -> CmdResult {
    let hash = ctx.db.get::<Hash>(args.key(1))?;
    let fields = fields_at(args, 2, COUNT_ERROR)?;
    let work = work_of(fields.len(), hash);
    ctx.reply.array(fields.len());
    start(ctx, args, work, TellExpiry { fields, when })
}

/// HTTL and its like.
struct TellExpiry {
    /// The arguments that are fields, as far as they are not handled.
    fields: Range<usize>,
    when: When,
}

impl Job for TellExpiry {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (now, When { unit_ms, since_ms }) = (ctx.now, self.when);
        let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
        while !self.fields.is_empty() {
            let piece = next_piece(&mut self.fields, budget);
            let length = piece.len();
            for index in piece {
                let found = hash.and_then(|hash| hash.get(args.at(index)));
                let told = match found.filter(|found| found.is_live(now)) {
                    None => NO_FIELD,
                    Some(Found { expiry: None, .. }) => NO_EXPIRY,
                    // Rounded up, so that a field that is there has at least one unit left.
                    Some(Found { expiry: Some(expiry), .. }) => {
                        (expiry - since_ms + unit_ms - 1) / unit_ms
                    }
                };
                ctx.reply.int(told);
            }
            if budget.spend(length as u64) && !self.fields.is_empty() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn hpersist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
    let fields = fields_at(args, 2, COUNT_ERROR)?;
    let work = work_of(fields.len(), hash);
    ctx.reply.array(fields.len());
    start(ctx, args, work, PersistFields { fields, is_changed: false })
}

/// HPERSIST.
struct PersistFields {
    /// The arguments that are fields, as far as they are not handled.
    fields: Range<usize>,
    is_changed: bool,
}

impl Job for PersistFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (key, now) = (args.key(1), ctx.now);
        while !self.fields.is_empty() {
            let piece = next_piece(&mut self.fields, budget);
            let length = piece.len();
            let reply = &mut ctx.reply;
            let left = piece.clone();
            let edited = ctx.db.edit(key, |hash: &mut Hash| {
                for index in left {
                    let told = match hash.persist(args.at(index), now) {
                        PersistOutcome::NoField => NO_FIELD,
                        PersistOutcome::NoExpiry => NO_EXPIRY,
                        PersistOutcome::Done => {
                            self.is_changed = true;
                            1
                        }
                    };
                    reply.int(told);
                }
            })?;
            if edited.is_none() {
                piece.for_each(|_| reply.int(NO_FIELD));
            }
            if budget.spend(length as u64) && !self.fields.is_empty() {
                return Ok(Step::More);
            }
        }
        if self.is_changed {
            ctx.changed(Event::HPersist, key.bytes);
        }
        Ok(Step::Done)
    }
}
