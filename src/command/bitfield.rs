//! BITFIELD and BITFIELD_RO: integers of any width inside a string. The arithmetic is `types::bitfield`.
use crate::command::bit_edit::{EditFields, FieldAction, FieldOp, copy_max, field_offset};
use crate::command::keys;
use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE, VARIABLE_FLAGS};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::bitfield::{self, FieldType, Overflow};

/// Fields read between two looks at the clock.
const FIELDS_PER_PIECE: usize = 128;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[BITFIELD, BITFIELD_RO];

const BITFIELD: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec {
        notes: "This command allows both access and modification of the key",
        ..KeySpec::first(RW | UPDATE | ACCESS | VARIABLE_FLAGS)
    }],
    find_keys: Some(keys::bitfield_keys),
    doc: doc(
        "3.2.0",
        "O(1) for each subcommand specified",
        "key:key [operation(GET=encoding_offset(encoding:string offset:integer)|\
        write([OVERFLOW=wrap_sat_fail(WRAP|SAT|FAIL)] \
        write_operation(SET=encoding_offset_value(encoding:string offset:integer value:integer)|\
        INCRBY=encoding_offset_increment(encoding:string offset:integer increment:integer))))...]",
        "Perform arbitrary bitfield integer operations on strings",
    ),
    ..command(Group::Bitmap, "bitfield", -2, bitfield)
};

const BITFIELD_RO: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "6.0.0",
        "O(1) for each subcommand specified",
        "key:key [GET=encoding_offset(encoding:string offset:integer)...+]",
        "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
    ),
    ..command(Group::Bitmap, "bitfield_ro", -2, bitfield_ro)
};

fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let ops = parse(ctx, args)?;
    if ops.iter().any(FieldOp::writes) { edit(ctx, args, ops) } else { read(ctx, args, ops) }
}

fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let ops = parse(ctx, args)?;
    if ops.iter().any(FieldOp::writes) {
        return Err(CmdError::Text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args, ops)
}

fn parse(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Vec<FieldOp>, CmdError> {
    let mut ops = Vec::new();
    let mut overflow = Overflow::default();
    let mut options = Options::new(args, 2);
    let mut follow = args.len() - 2;
    while let Some(word) = options.next() {
        follow -= 1;
        if is(word, "overflow") && follow >= 1 {
            overflow = parse_overflow(options.value()?)?;
            follow -= 1;
            continue;
        }
        // A word without all that belongs to it is none.
        let is_get = is(word, "get") && follow >= 2;
        let is_set = is(word, "set") && follow >= 3;
        let is_increment = is(word, "incrby") && follow >= 3;
        if !(is_get || is_set || is_increment) {
            return Err(CmdError::Syntax);
        }
        let field = parse_type(options.value()?)?;
        let offset = field_offset(ctx, options.value()?, field)?;
        let action = if is_get {
            FieldAction::Get
        } else {
            let number = integer(options.value()?)?;
            if is_set { FieldAction::Set(number) } else { FieldAction::Increment(number) }
        };
        follow -= if is_get { 2 } else { 3 };
        ops.push(FieldOp { action, field, offset, overflow });
    }
    Ok(ops)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, CmdError> {
    match word {
        _ if is(word, "wrap") => Ok(Overflow::Wrap),
        _ if is(word, "sat") => Ok(Overflow::Saturate),
        _ if is(word, "fail") => Ok(Overflow::Fail),
        _ => Err(CmdError::Text("ERR Invalid OVERFLOW type specified")),
    }
}

/// `i8`, `u63`.
fn parse_type(text: &[u8]) -> Result<FieldType, CmdError> {
    const ERROR: CmdError = CmdError::Text(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let is_signed = match text.first() {
        Some(b'i') => true,
        Some(b'u') => false,
        _ => return Err(ERROR),
    };
    // Redis reads it as C does, up to a NUL.
    let digits = text[1..].split(|byte| *byte == 0).next().unwrap_or_default();
    let bits_max = if is_signed { 64 } else { 63 };
    match integer(digits) {
        Ok(bits) if (1..=bits_max).contains(&bits) => {
            Ok(FieldType { is_signed, bits: bits as u32 })
        }
        _ => Err(ERROR),
    }
}

fn edit(ctx: &mut Ctx<'_>, args: Args<'_>, ops: Vec<FieldOp>) -> CmdResult {
    let end_of = |op: &FieldOp| op.offset + u64::from(op.field.bits);
    let end = ops.iter().filter(|op| op.writes()).map(end_of).max().unwrap_or(0);
    let length = end.div_ceil(8) as usize;
    let old_len = ctx.db.string_for_write(args.key(1))?.map(|value| value.len());
    let is_grown = old_len.is_none_or(|old_len| old_len < length);
    let length_after = old_len.unwrap_or(0).max(length);
    let copy_max = copy_max(ctx, length_after);
    let is_long = ctx.is_long(ops.len()) || ctx.is_long(length_after.div_ceil(1024));
    let mut job = EditFields::list(ops, length, is_grown, copy_max);
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

fn read(ctx: &mut Ctx<'_>, args: Args<'_>, ops: Vec<FieldOp>) -> CmdResult {
    ctx.db.string(args.key(1))?;
    ctx.reply.array(ops.len());
    let is_long = ctx.is_long(ops.len());
    let mut job = ReadFields { ops, next: 0 };
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// Nothing but GET.
struct ReadFields {
    ops: Vec<FieldOp>,
    next: usize,
}

impl Job for ReadFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.next < self.ops.len() {
            let end = (self.next + budget.piece(FIELDS_PER_PIECE)).min(self.ops.len());
            let string = ctx.db.peek(args.key(1)).and_then(|entry| entry.string());
            let mut digits = itoa::Buffer::new();
            let text = string.as_ref().map_or(&b""[..], |string| string.as_bytes(&mut digits));
            for op in &self.ops[self.next..end] {
                ctx.reply.int(bitfield::get(text, op.offset, op.field));
            }
            let done = end - self.next;
            self.next = end;
            if budget.spend(done as u64) && end < self.ops.len() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}
