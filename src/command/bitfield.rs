//! BITFIELD and BITFIELD_RO: integers of any width inside a string. The arithmetic is `types::bitfield`.
use crate::command::bit_edit::{EditFields, FieldAction, FieldOp, copy_max, field_offset};
use crate::command::keys;
use crate::command::options::{integer, is};
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
    ctx.run(args, Fields::new(true))
}

fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.run(args, Fields::new(false))
}

/// BITFIELD: all is read before anything is done. Short ones are over before they look at the clock.
struct Fields {
    may_write: bool,
    /// Argument of the next operation.
    next: usize,
    overflow: Overflow,
    ops: Vec<FieldOp>,
    work: Option<Work>,
}

enum Work {
    Edit(EditFields),
    Read(ReadFields),
}

impl Fields {
    fn new(may_write: bool) -> Fields {
        Fields { may_write, next: 2, overflow: Overflow::default(), ops: Vec::new(), work: None }
    }

    /// Reads one more operation, or what is to happen to values that do not fit.
    fn parse_one(&mut self, ctx: &Ctx<'_>, args: Args<'_>) -> CmdResult {
        let (word, at) = (args.at(self.next), self.next);
        let follow = args.len() - at - 1;
        if is(word, "overflow") && follow >= 1 {
            self.overflow = parse_overflow(args.at(at + 1))?;
            self.next += 2;
            return Ok(());
        }
        // A word without all that belongs to it is none.
        let is_get = is(word, "get") && follow >= 2;
        let is_set = is(word, "set") && follow >= 3;
        let is_increment = is(word, "incrby") && follow >= 3;
        if !(is_get || is_set || is_increment) {
            return Err(CmdError::Syntax);
        }
        let field = parse_type(args.at(at + 1))?;
        let offset = field_offset(ctx, args.at(at + 2), field)?;
        let action = if is_get {
            FieldAction::Get
        } else {
            let number = integer(args.at(at + 3))?;
            if is_set { FieldAction::Set(number) } else { FieldAction::Increment(number) }
        };
        self.next += if is_get { 3 } else { 4 };
        self.ops.push(FieldOp { action, field, offset, overflow: self.overflow });
        Ok(())
    }

    /// What is to be done, once all is read.
    fn plan(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Work, CmdError> {
        let ops = std::mem::take(&mut self.ops);
        let end_of = |op: &FieldOp| op.offset + u64::from(op.field.bits);
        let Some(end) = ops.iter().filter(|op| op.writes()).map(end_of).max() else {
            ctx.db.string(args.key(1))?;
            ctx.reply.array(ops.len());
            return Ok(Work::Read(ReadFields { ops, next: 0 }));
        };
        if !self.may_write {
            return Err(CmdError::Text("ERR BITFIELD_RO only supports the GET subcommand"));
        }
        let length = end.div_ceil(8) as usize;
        let old_len = ctx.db.string_for_write(args.key(1))?.map(|value| value.len());
        let is_grown = old_len.is_none_or(|old_len| old_len < length);
        let copy_max = copy_max(ctx, old_len.unwrap_or(0).max(length));
        Ok(Work::Edit(EditFields::list(ops, length, is_grown, copy_max)))
    }
}

impl Job for Fields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.next < args.len() {
            let piece = budget.piece(FIELDS_PER_PIECE);
            for _ in 0..piece {
                if self.next < args.len() {
                    self.parse_one(ctx, args)?;
                }
            }
            if self.next < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        if self.work.is_none() {
            self.work = Some(self.plan(ctx, args)?);
        }
        match &mut self.work {
            Some(Work::Edit(job)) => job.step(ctx, args, budget),
            Some(Work::Read(job)) => job.step(ctx, args, budget),
            None => Ok(Step::Done),
        }
    }
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
