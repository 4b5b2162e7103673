//! Hashes: reading, setting and deleting fields.
//!
//! A command of many fields is a job, which handles them in pieces. Commands that walk over all fields are in
//! `hash_walk`, random ones in `hash_random`, those on the times of fields in `hash_expire` and `hash_timed`.
use crate::base::long_double::LongDouble;
use crate::base::number::parse_i64;
use crate::command::hash_value::{
    FIELDS_PER_PIECE, Lengths, drop_expired, drop_if_due, has_due, new_value, note_emptied,
    note_expired, reply_value, start, work_of,
};
use crate::command::options::integer;
use crate::command::spec::access::{ACCESS, DELETE, INSERT, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::hash::{FieldTtl, Found, Hash, NewValue, Value};
use crate::types::listpack::Item;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[HGET, HMGET, HEXISTS, HSTRLEN, HLEN, HSET, HMSET, HSETNX, HINCRBY, HINCRBYFLOAT, HDEL];

const HGET: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc("2.0.0", "O(1)", "key:key field:string", "Get the value of a hash field"),
    ..command(Group::Hash, "hget", 3, hget)
};

const HMGET: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.0.0",
        "O(N) where N is the number of fields being requested.",
        "key:key field:string...",
        "Get the values of all the given hash fields",
    ),
    ..command(Group::Hash, "hmget", -3, hmget)
};

const HEXISTS: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("2.0.0", "O(1)", "key:key field:string", "Determine if a hash field exists"),
    ..command(Group::Hash, "hexists", 3, hexists)
};

const HSTRLEN: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc(
        "3.2.0",
        "O(1)",
        "key:key field:string",
        "Get the length of the value of a hash field",
    ),
    ..command(Group::Hash, "hstrlen", 3, hstrlen)
};

const HLEN: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("2.0.0", "O(1)", "key:key", "Get the number of fields in a hash"),
    ..command(Group::Hash, "hlen", 2, hlen)
};

const HSET: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("4.0.0", "Accepts multiple `field` and `value` arguments.")],
        ..doc(
            "2.0.0",
            "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the \
            command is called with multiple field/value pairs.",
            "key:key field_value(field:string value:string)...",
            "Set the string value of a hash field",
        )
    },
    ..command(Group::Hash, "hset", -4, hset)
};

const HMSET: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        ..doc(
            "2.0.0",
            "O(N) where N is the number of fields being set.",
            "key:key field_value(field:string value:string)...",
            "Set multiple hash fields to multiple values",
        )
    },
    ..command(Group::Hash, "hmset", -4, hmset)
};

const HSETNX: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: doc(
        "2.0.0",
        "O(1)",
        "key:key field:string value:string",
        "Set the value of a hash field, only if the field does not exist",
    ),
    ..command(Group::Hash, "hsetnx", 4, hsetnx)
};

const HINCRBY: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "2.0.0",
        "O(1)",
        "key:key field:string increment:integer",
        "Increment the integer value of a hash field by the given number",
    ),
    ..command(Group::Hash, "hincrby", 4, hincrby)
};

const HINCRBYFLOAT: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "2.6.0",
        "O(1)",
        "key:key field:string increment:double",
        "Increment the float value of a hash field by the given amount",
    ),
    ..command(Group::Hash, "hincrbyfloat", 4, hincrbyfloat)
};

const HDEL: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple `field` arguments.")],
        ..doc(
            "2.0.0",
            "O(N) where N is the number of fields to be removed.",
            "key:key field:string...",
            "Delete one or more hash fields",
        )
    },
    ..command(Group::Hash, "hdel", -3, hdel)
};

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, field, now) = (args.key(1), args.at(2), ctx.now);
    match ctx.db.get::<Hash>(key)?.and_then(|hash| hash.get(field)) {
        Some(found) if found.is_live(now) => reply_value(&mut ctx.reply, found.value),
        Some(_) => {
            ctx.reply.null();
            drop_expired(ctx, key, Some(field));
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_of_field(ctx, args, |_| 1)
}

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_of_field(ctx, args, |value| value.text_len())
}

/// Replies with a number that a field's value gives, or with 0 where there is none.
fn count_of_field(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    count: impl Fn(Value<'_>) -> usize,
) -> CmdResult {
    let (key, field, now) = (args.key(1), args.at(2), ctx.now);
    match ctx.db.get::<Hash>(key)?.and_then(|hash| hash.get(field)) {
        Some(found) if found.is_live(now) => ctx.reply.count(count(found.value)),
        Some(_) => {
            ctx.reply.int(0);
            drop_expired(ctx, key, Some(field));
        }
        None => ctx.reply.int(0),
    }
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = ctx.db.get::<Hash>(args.key(1))?.map_or(0, |hash| hash.len());
    ctx.reply.count(count);
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.db.get::<Hash>(args.key(1))?;
    let work = work_of(args.len() - 2, hash);
    ctx.reply.array(args.len() - 2);
    start(ctx, args, work, ReadFields { next: 2, has_met_expired: false })
}

/// HMGET.
struct ReadFields {
    /// The argument that is looked up next.
    next: usize,
    has_met_expired: bool,
}

impl Job for ReadFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (key, now) = (args.key(1), ctx.now);
        let hash = ctx.db.peek_as::<Hash>(key)?;
        while self.next < args.len() {
            let from = self.next;
            self.next = (from + budget.piece(FIELDS_PER_PIECE)).min(args.len());
            for index in from..self.next {
                match hash.and_then(|hash| hash.get(args.at(index))) {
                    Some(found) if found.is_live(now) => reply_value(&mut ctx.reply, found.value),
                    found => {
                        ctx.reply.null();
                        self.has_met_expired |= found.is_some();
                    }
                }
            }
            if budget.spend((self.next - from) as u64) && self.next < args.len() {
                return Ok(Step::More);
            }
        }
        if self.has_met_expired {
            drop_expired(ctx, key, None);
        }
        Ok(Step::Done)
    }
}

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_fields(ctx, args, SetReply::Created, "hset")
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_fields(ctx, args, SetReply::Ok, "hmset")
}

fn set_fields(ctx: &mut Ctx<'_>, args: Args<'_>, reply: SetReply, name: &'static str) -> CmdResult {
    if !args.len().is_multiple_of(2) {
        return Err(CmdError::Arity(name));
    }
    let work = match args.len() {
        4 => 1,
        count => work_of(count / 2, ctx.db.peek_as::<Hash>(args.key(1))?),
    };
    start(
        ctx,
        args,
        work,
        SetFields { reply, lengths: Lengths::from(2), next: 2, created: 0, expired: 0 },
    )
}

/// What a command that sets fields replies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetReply {
    /// How many of them are new.
    Created,
    /// OK.
    Ok,
}

/// HSET, HMSET: looks at all lengths, then sets all fields.
struct SetFields {
    reply: SetReply,
    lengths: Lengths,
    /// The field that is set next.
    next: usize,
    created: usize,
    /// Fields among them whose time had come.
    expired: usize,
}

impl SetFields {
    /// Sets the fields up to argument `end`.
    fn set_until(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, end: usize) -> CmdResult {
        let (limits, now) = (&ctx.engine.limits, ctx.now);
        let job = self;
        ctx.db.edit_or_new(args.key(1), |hash: &mut Hash| -> CmdResult {
            if job.next == 2 {
                hash.prepare(job.lengths.longest, job.lengths.total, limits)?;
            }
            let has_due = has_due(hash.view(), now);
            while job.next < end {
                let field = args.at(job.next);
                if has_due && drop_if_due(hash, field, now) {
                    job.expired += 1;
                }
                let value = new_value(args, job.next + 1);
                job.created += usize::from(hash.set(field, value, FieldTtl::Clear, limits)?);
                job.next += 2;
            }
            Ok(())
        })?
    }
}

impl Job for SetFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if !self.lengths.measure(args, budget) {
            return Ok(Step::More);
        }
        while self.next < args.len() {
            let piece = budget.piece(FIELDS_PER_PIECE);
            let end = (self.next + 2 * piece).min(args.len());
            self.set_until(ctx, args, end)?;
            if budget.spend(piece as u64) && self.next < args.len() {
                return Ok(Step::More);
            }
        }
        let key = args.key(1);
        if self.expired > 0 {
            note_expired(ctx, key, self.expired);
        }
        match self.reply {
            SetReply::Created => ctx.reply.count(self.created),
            SetReply::Ok => ctx.reply.ok(),
        }
        ctx.changed_by(Event::HSet, key.bytes, args.len() / 2 - 1);
        Ok(Step::Done)
    }
}

fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, field, value) = (args.key(1), args.at(2), new_value(args, 3));
    let (limits, now) = (&ctx.engine.limits, ctx.now);
    let mut is_expired = false;
    let is_set = ctx.db.edit_or_new(key, |hash: &mut Hash| -> Result<bool, CmdError> {
        match hash.view().get(field) {
            Some(found) if found.is_live(now) => return Ok(false),
            Some(_) => is_expired = hash.remove(field),
            None => {}
        }
        Ok(hash.set(field, value, FieldTtl::Clear, limits)?)
    })??;
    note_expired(ctx, key, is_expired.into());
    ctx.reply.int(is_set.into());
    if is_set {
        ctx.changed(Event::HSet, key.bytes);
    }
    Ok(())
}

fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let increment = integer(args.at(3))?;
    replace_number(
        ctx,
        args,
        Event::HIncrBy,
        |reply, sum| reply.int(sum),
        |old| {
            let old = match old {
                None => 0,
                Some(Value::Item(Item::Int(number))) => number,
                Some(value) => parse_i64(value.as_bytes(&mut itoa::Buffer::new()))
                    .ok_or(CmdError::Text("ERR hash value is not an integer"))?,
            };
            let sum = old.checked_add(increment);
            let sum = sum.ok_or(CmdError::Text("ERR increment or decrement would overflow"))?;
            Ok((sum, itoa::Buffer::new().format(sum).as_bytes().to_vec()))
        },
    )
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let increment = LongDouble::parse(args.at(3)).ok_or(CmdError::NotFloat)?;
    if increment.is_nan() || increment.is_infinite() {
        return Err(CmdError::Text("ERR value is NaN or Infinity"));
    }
    replace_number(
        ctx,
        args,
        Event::HIncrByFloat,
        |reply, text: Vec<u8>| reply.bulk(&text),
        |old| {
            let old = match old {
                None => LongDouble::from_i64(0),
                Some(Value::Item(Item::Int(number))) => LongDouble::from_i64(number),
                Some(value) => LongDouble::parse(value.as_bytes(&mut itoa::Buffer::new()))
                    .ok_or(CmdError::Text("ERR hash value is not a float"))?,
            };
            let sum = old.add(increment);
            if sum.is_nan() || sum.is_infinite() {
                return Err(CmdError::Text("ERR increment would produce NaN or Infinity"));
            }
            let text = sum.to_human();
            Ok((text.clone(), text))
        },
    )
}

/// Puts what `change` makes of a field's value in its place; the field's time to live stays. `change` returns what to
/// `tell`, and the text to keep.
fn replace_number<R>(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    event: Event,
    tell: impl FnOnce(&mut Reply<'_>, R),
    change: impl FnOnce(Option<Value<'_>>) -> Result<(R, Vec<u8>), CmdError>,
) -> CmdResult {
    let (key, field) = (args.key(1), args.at(2));
    let (limits, now) = (&ctx.engine.limits, ctx.now);
    let mut is_expired = false;
    let replaced = ctx.db.edit_or_new(key, |hash: &mut Hash| -> Result<R, CmdError> {
        let found = hash.view().get(field);
        is_expired = found.is_some_and(|found| !found.is_live(now));
        let live = found.filter(|_| !is_expired);
        let (result, text) = change(live.map(|Found { value, .. }| value))?;
        let ttl = if is_expired { FieldTtl::Clear } else { FieldTtl::Keep };
        hash.set(field, NewValue::Bytes(&text), ttl, limits)?;
        Ok(result)
    })??;
    note_expired(ctx, key, is_expired.into());
    tell(&mut ctx.reply, replaced);
    ctx.changed(event, key.bytes);
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let work = match args.len() {
        3 => 1,
        count => work_of(count - 2, ctx.db.peek_as::<Hash>(args.key(1))?),
    };
    start(ctx, args, work, DeleteFields { next: 2, deleted: 0 })
}

/// HDEL. A field whose time has come is still there for it, as in Redis.
struct DeleteFields {
    /// The argument that is deleted next.
    next: usize,
    deleted: usize,
}

impl Job for DeleteFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        while self.next < args.len() {
            let from = self.next;
            self.next = (from + budget.piece(FIELDS_PER_PIECE)).min(args.len());
            let deleted = ctx.db.edit(key, |hash: &mut Hash| {
                (from..self.next).filter(|index| hash.remove(args.at(*index))).count()
            })?;
            let Some(deleted) = deleted else { break };
            self.deleted += deleted;
            if budget.spend((self.next - from) as u64) && self.next < args.len() {
                return Ok(Step::More);
            }
        }
        if self.deleted > 0 {
            ctx.changed_by(Event::HDel, key.bytes, self.deleted);
            note_emptied(ctx, key);
        }
        ctx.reply.count(self.deleted);
        Ok(Step::Done)
    }
}
