//! Strings as bitmaps: GETBIT, SETBIT, BITCOUNT, BITPOS. What they do to bytes is `types::bits`.
//!
//! A bit of a long string is set where it lies; where the string has to grow by much or is shared, that is a job. So
//! are counts and searches in long ones.
use std::ops::Range;

use crate::command::bit_edit::{EditFields, FieldAction, FieldOp, bit_offset, copy_max};
use crate::command::options::{integer, is};
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::bitfield::{FieldType, Overflow};
use crate::types::bits::{self, Bit};

/// Bytes looked at per unit of a job.
const BYTES_PER_UNIT: u64 = 8 * 1024;
/// Units between two looks at the clock: some 10 us.
const PIECE_UNITS: usize = 16;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[GETBIT, SETBIT, BITCOUNT, BITPOS];

const GETBIT: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.2.0",
        "O(1)",
        "key:key offset:integer",
        "Returns the bit value at offset in the string value stored at key",
    ),
    ..command(Group::Bitmap, "getbit", 3, getbit)
};

const SETBIT: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc(
        "2.2.0",
        "O(1)",
        "key:key offset:integer value:integer",
        "Sets or clears the bit at offset in the string value stored at key",
    ),
    ..command(Group::Bitmap, "setbit", 4, setbit)
};

const BITCOUNT: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        ..doc(
            "2.6.0",
            "O(N)",
            "key:key [index(start:integer end:integer [index_unit(BYTE|BIT)@7.0.0])]",
            "Count set bits in a string",
        )
    },
    ..command(Group::Bitmap, "bitcount", -2, bitcount)
};

const BITPOS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        ..doc(
            "2.8.7",
            "O(N)",
            "key:key bit:integer [index(start:integer [end_index(end:integer [index_unit(BYTE|\
            BIT)@7.0.0])])]",
            "Find first bit set or clear in a string",
        )
    },
    ..command(Group::Bitmap, "bitpos", -3, bitpos)
};

fn getbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let offset = bit_offset(ctx, args.at(2))?;
    let value = ctx.db.string(args.key(1))?;
    let is_set = value
        .is_some_and(|value| bits::get(value.as_bytes(&mut itoa::Buffer::new()), offset).is_one());
    ctx.reply.int(is_set.into());
    Ok(())
}

fn setbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let offset = bit_offset(ctx, args.at(2))?;
    let bit = match integer(args.at(3)) {
        Ok(bit @ (0 | 1)) => Bit::of(bit == 1),
        _ => return Err(CmdError::Text("ERR bit is not an integer or out of range")),
    };
    let key = args.key(1);
    let old_len = ctx.db.string_for_write(key)?.map(|value| value.len());
    let length = offset as usize / 8 + 1;
    let grows = old_len.is_none_or(|old_len| old_len < length);
    let copy_max = copy_max(ctx, old_len.unwrap_or(0).max(length));
    let edited = ctx.db.edit_text(key, length, copy_max, |text| bits::set(text, offset, bit))?;
    let Some(before) = edited else {
        let field = FieldType { is_signed: false, bits: 1 };
        let action = FieldAction::Set(bit.is_one().into());
        let op = FieldOp { action, field, offset, overflow: Overflow::Wrap };
        return ctx.run(args, EditFields::one(op, length, grows));
    };
    if grows || before != bit {
        ctx.changed(Event::SetBit, key.bytes);
    }
    ctx.reply.int(before.is_one().into());
    Ok(())
}

/// In what BITCOUNT and BITPOS count a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(word: &[u8]) -> Result<Unit, CmdError> {
        match word {
            _ if is(word, "bit") => Ok(Unit::Bit),
            _ if is(word, "byte") => Ok(Unit::Byte),
            _ => Err(CmdError::Syntax),
        }
    }

    /// The bits from `start` to `end`, both included and counted from the end where negative, of a string of so many
    /// bytes. Empty ranges begin where they end.
    fn bits(self, start: i64, end: i64, length: usize) -> Range<u64> {
        let bits_each = if self == Unit::Bit { 1 } else { 8 };
        let total = (length * 8 / bits_each as usize) as i64;
        let from_front = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
        let (start, end) = (from_front(start), from_front(end).min(total - 1));
        if start > end {
            return 0..0;
        }
        start as u64 * bits_each..(end as u64 + 1) * bits_each
    }
}

fn bitcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // Before anything is made of the range: of nothing everything is 0.
    let Some(value) = ctx.db.string(args.key(1))? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let range = match args.len() {
        2 => 0..value.len() as u64 * 8,
        4 | 5 => {
            let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
            if start < 0 && end < 0 && start > end {
                ctx.reply.int(0);
                return Ok(());
            }
            let unit = if args.len() == 5 { Unit::parse(args.at(4))? } else { Unit::Byte };
            unit.bits(start, end, value.len())
        }
        _ => return Err(CmdError::Syntax),
    };
    let kilobytes = (range.end - range.start).div_ceil(8 * 1024);
    let mut job = CountBits { rest: range, count: 0 };
    if ctx.is_long(kilobytes as usize) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// The next part of a range that is worked on in pieces.
fn next_part(rest: &Range<u64>, budget: &Budget) -> (Range<u64>, usize) {
    let units = budget.piece(PIECE_UNITS);
    let end = (rest.start / 8 + units as u64 * BYTES_PER_UNIT) * 8;
    (rest.start..end.min(rest.end), units)
}

/// BITCOUNT.
struct CountBits {
    rest: Range<u64>,
    count: u64,
}

impl Job for CountBits {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let (part, units) = next_part(&self.rest, budget);
            self.rest.start = part.end;
            // Its reading was noted before.
            let string = ctx.db.peek(args.key(1)).and_then(|entry| entry.string());
            self.count += string
                .map_or(0, |string| bits::count(string.as_bytes(&mut itoa::Buffer::new()), part));
            if self.rest.is_empty() {
                ctx.reply.int(self.count as i64);
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn bitpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let wanted = match integer(args.at(2))? {
        0 => Bit::Zero,
        1 => Bit::One,
        _ => return Err(CmdError::Text("ERR The bit argument must be 1 or 0.")),
    };
    let Some(value) = ctx.db.string(args.key(1))? else {
        ctx.reply.int(if wanted.is_one() { -1 } else { 0 });
        return Ok(());
    };
    let length = value.len();
    let range = match args.len() {
        3 => 0..length as u64 * 8,
        4..=6 => {
            let start = integer(args.at(3))?;
            let unit = if args.len() == 6 { Unit::parse(args.at(5))? } else { Unit::Byte };
            let end = if args.len() >= 5 { integer(args.at(4))? } else { -1 };
            unit.bits(start, end, length)
        }
        _ => return Err(CmdError::Syntax),
    };
    // Beyond a string come zeros, unless the range was given an end.
    let is_open = args.len() < 5 && wanted == Bit::Zero && !range.is_empty();
    let beyond = if is_open { length as i64 * 8 } else { -1 };
    let kilobytes = (range.end - range.start).div_ceil(8 * 1024);
    let mut job = FindBit { rest: range, wanted, beyond };
    if ctx.is_long(kilobytes as usize) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// BITPOS.
struct FindBit {
    rest: Range<u64>,
    wanted: Bit,
    /// The reply where there is no such bit.
    beyond: i64,
}

impl Job for FindBit {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let (part, units) = next_part(&self.rest, budget);
            self.rest.start = part.end;
            let string = ctx.db.peek(args.key(1)).and_then(|entry| entry.string());
            let found = string.and_then(|string| {
                bits::find(string.as_bytes(&mut itoa::Buffer::new()), part, self.wanted)
            });
            if found.is_some() || self.rest.is_empty() {
                ctx.reply.int(found.map_or(self.beyond, |at| at as i64));
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}
