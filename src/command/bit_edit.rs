//! What SETBIT and BITFIELD share: offsets of bits, and fields that are read and written in slices.
//!
//! An edit has two parts. First the string is made as long as the fields need and the key's own, which for a long one
//! is [`BigEdit`]'s work; then the fields are written where they lie, O(1) each.
use crate::base::hash::Key;
use crate::base::number::parse_i64;
use crate::engine::config::Opt;
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Mark, Reply};
use crate::store::{BigEdit, Db, EditError};
use crate::types::bitfield::{self, FieldType, Overflow};

/// Fields between two looks at the clock.
const FIELDS_PER_PIECE: usize = 128;
/// Units of 8 KiB copied between two looks at the clock: 30 us.
const COPY_UNITS: usize = 8;
/// Bytes that may be copied at once for the sake of one command.
const COPY_AT_ONCE_MAX: usize = 64 * 1024;

/// Reads the offset of a bit.
#[inline]
pub(super) fn bit_offset(ctx: &Ctx<'_>, text: &[u8]) -> Result<u64, CmdError> {
    let offset = parse_i64(text).ok_or(OFFSET_ERROR)?;
    check_offset(ctx, offset)
}

/// Reads the offset of a field: `#n` is that of the nth field of this width.
pub(super) fn field_offset(ctx: &Ctx<'_>, text: &[u8], field: FieldType) -> Result<u64, CmdError> {
    let Some(number) = text.strip_prefix(b"#") else { return bit_offset(ctx, text) };
    let number = parse_i64(number).ok_or(OFFSET_ERROR)?;
    // Redis multiplies without a look, and then checks what has come of it.
    check_offset(ctx, number.wrapping_mul(field.bits.into()))
}

const OFFSET_ERROR: CmdError = CmdError::Text("ERR bit offset is not an integer or out of range");

#[inline]
fn check_offset(ctx: &Ctx<'_>, offset: i64) -> Result<u64, CmdError> {
    let bytes_max = ctx.engine.config.int(Opt::ProtoMaxBulkLen);
    if offset < 0 || offset / 8 >= bytes_max {
        return Err(OFFSET_ERROR);
    }
    Ok(offset as u64)
}

/// How many bytes may be copied at once to edit a string that has or gets this length.
#[inline]
pub(super) fn copy_max(ctx: &Ctx<'_>, length: usize) -> usize {
    match ctx.is_long(length.div_ceil(1024)) {
        false => usize::MAX,
        true if ctx.engine.jobs.is_forced() => 0,
        true => COPY_AT_ONCE_MAX,
    }
}

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldAction {
    Get,
    Set(i64),
    Increment(i64),
}

/// One of BITFIELD's operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldOp {
    pub(super) action: FieldAction,
    pub(super) field: FieldType,
    /// In bits.
    pub(super) offset: u64,
    pub(super) overflow: Overflow,
}

impl FieldOp {
    pub(super) fn writes(&self) -> bool {
        self.action != FieldAction::Get
    }

    /// Does it, replies, and tells whether it changed the field. `is_grown`: the string was lengthened for it, which
    /// makes every write a change.
    fn perform(&self, text: &mut [u8], is_grown: bool, reply: &mut Reply<'_>) -> bool {
        let FieldOp { action, field, offset, overflow } = *self;
        let written = match action {
            FieldAction::Get => {
                reply.int(bitfield::get(text, offset, field));
                return false;
            }
            FieldAction::Set(value) => bitfield::set(text, offset, field, value, overflow),
            FieldAction::Increment(by) => bitfield::increment(text, offset, field, by, overflow),
        };
        let Some(after) = written.after else {
            reply.null();
            return false;
        };
        let is_set = matches!(action, FieldAction::Set(_));
        reply.int(if is_set { written.before } else { after });
        is_grown || written.before != after
    }
}

/// The fields of one string, some of them written.
pub(super) struct EditFields {
    ops: Vec<FieldOp>,
    /// Whether the reply is an array.
    is_list: bool,
    /// Bytes the string has to have.
    length: usize,
    /// It had fewer.
    is_grown: bool,
    copy_max: usize,
    /// The next operation.
    next: usize,
    changes: u64,
    /// The string is made long enough.
    room: Option<Room>,
}

impl EditFields {
    /// A field of its own, whose string is long.
    pub(super) fn one(op: FieldOp, length: usize, is_grown: bool) -> EditFields {
        EditFields { is_list: false, ..EditFields::list(vec![op], length, is_grown, 0) }
    }

    /// Several; with at most `copy_max` bytes copied at once.
    pub(super) fn list(
        ops: Vec<FieldOp>,
        length: usize,
        is_grown: bool,
        copy_max: usize,
    ) -> EditFields {
        EditFields {
            ops,
            is_list: true,
            length,
            is_grown,
            copy_max,
            next: 0,
            changes: 0,
            room: None,
        }
    }

    /// Tells of the change: after the reply where that is a list, and before the only reply, which begins at `mark`.
    fn finish(&self, ctx: &mut Ctx<'_>, key: Key<'_>, mark: Mark) {
        match self.changes as usize {
            0 => {}
            changes if self.is_list => ctx.changed_by(Event::SetBit, key.bytes, changes),
            _ => ctx.changed_before_reply(mark, Event::SetBit, key.bytes),
        }
    }
}

impl Job for EditFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            if let Some(room) = &mut self.room {
                let units = budget.piece(COPY_UNITS);
                if room.step(ctx.db, key, units)? {
                    self.room = None;
                }
                if budget.spend(units as u64) {
                    return Ok(Step::More);
                }
                continue;
            }
            let end = (self.next + budget.piece(FIELDS_PER_PIECE)).min(self.ops.len());
            let piece = &self.ops[self.next..end];
            let mark = ctx.reply.output().mark();
            let (reply, changes) = (&mut ctx.reply, &mut self.changes);
            let opens = self.is_list && self.next == 0;
            let (count, is_grown) = (self.ops.len(), self.is_grown);
            let edited = ctx.db.edit_text(key, self.length, self.copy_max, |text| {
                if opens {
                    reply.array(count);
                }
                for op in piece {
                    *changes += u64::from(op.perform(text, is_grown, reply));
                }
            })?;
            if edited.is_none() {
                self.room = Some(Room::new(ctx.db, key, self.length)?);
                continue;
            }
            self.next = end;
            if end == self.ops.len() {
                self.finish(ctx, key, mark);
                return Ok(Step::Done);
            }
            if budget.spend(piece.len() as u64) {
                return Ok(Step::More);
            }
        }
    }
}

/// Makes a string so long and its key's own: its last byte is written as it is.
struct Room {
    edit: BigEdit,
    last: [u8; 1],
}

impl Room {
    fn new(db: &mut Db, key: Key<'_>, length: usize) -> Result<Room, EditError> {
        let string = db.peek(key).and_then(|entry| entry.string());
        let mut digits = itoa::Buffer::new();
        let text = string.as_ref().map_or(&b""[..], |string| string.as_bytes(&mut digits));
        let at = text.len().max(length).saturating_sub(1);
        let last = [text.get(at).copied().unwrap_or(0)];
        Ok(Room { edit: BigEdit::set_range(db, key, at, 1)?, last })
    }

    /// Goes on; true once it is done.
    fn step(&mut self, db: &mut Db, key: Key<'_>, units: usize) -> Result<bool, EditError> {
        Ok(self.edit.step(db, key, &self.last, units)?.is_done())
    }
}
