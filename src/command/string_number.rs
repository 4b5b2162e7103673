//! Strings as numbers: INCR and its relatives on 64-bit integers, INCRBYFLOAT on the 80-bit floating point
//! Redis computes with. The time to live stays as it is.
use crate::base::long_double::LongDouble;
use crate::command::options::integer;
use crate::command::spec::access::{ACCESS, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::proto::args::Args;
use crate::store::{NewString, StringRef, Ttl};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT];

const INCR: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc("1.0.0", "O(1)", "key:key", "Increment the integer value of a key by one"),
    ..command(Group::String, "incr", 2, incr)
};

const DECR: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc("1.0.0", "O(1)", "key:key", "Decrement the integer value of a key by one"),
    ..command(Group::String, "decr", 2, decr)
};

const INCRBY: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "1.0.0",
        "O(1)",
        "key:key increment:integer",
        "Increment the integer value of a key by the given amount",
    ),
    ..command(Group::String, "incrby", 3, incrby)
};

const DECRBY: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "1.0.0",
        "O(1)",
        "key:key decrement:integer",
        "Decrement the integer value of a key by the given number",
    ),
    ..command(Group::String, "decrby", 3, decrby)
};

const INCRBYFLOAT: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "2.6.0",
        "O(1)",
        "key:key increment:double",
        "Increment the float value of a key by the given amount",
    ),
    ..command(Group::String, "incrbyfloat", 3, incrbyfloat)
};

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, 1)
}

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, integer(args.at(2))?)
}

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let decrement = integer(args.at(2))?;
    // One number has no opposite; Redis has other words for that than for a sum out of range.
    let Some(increment) = decrement.checked_neg() else {
        return Err(CmdError::Text("ERR decrement would overflow"));
    };
    add(ctx, args, increment)
}

/// Adds to the integer at the first key; an absent one is 0.
fn add(ctx: &mut Ctx<'_>, args: Args<'_>, increment: i64) -> CmdResult {
    let sum = ctx.increment(args.key(1), increment)?;
    ctx.reply.int(sum);
    Ok(())
}

fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let old = match ctx.db.string_for_write(key)? {
        None => LongDouble::from_i64(0),
        Some(StringRef::Int(number)) => LongDouble::from_i64(number),
        Some(StringRef::Bytes(bytes)) => LongDouble::parse(bytes).ok_or(CmdError::NotFloat)?,
        Some(StringRef::Block(block)) => LongDouble::parse(block).ok_or(CmdError::NotFloat)?,
    };
    let increment = LongDouble::parse(args.at(2)).ok_or(CmdError::NotFloat)?;
    let sum = old.add(increment);
    if sum.is_nan() || sum.is_infinite() {
        return Err(CmdError::Text("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.to_human();
    // Text even where it spells an integer, as OBJECT ENCODING shows.
    ctx.db.set_string(key, NewString::Text(&text), Ttl::Keep)?;
    ctx.changed(Event::IncrByFloat, key.bytes);
    ctx.reply.bulk(&text);
    Ok(())
}
