//! What the families of hash commands share: values from the arguments and to the reply, lists of fields behind
//! FIELDS, times of fields, and what happens to a field whose time has come.
//!
//! Such a field is never replied with. A command that meets one takes it out, unless a job holds the key; the others
//! are reclaimed in the background (`store::field_expiry`). Only HLEN and the commands on keys still count it until
//! then, as in Redis.
use std::ops::Range;

use crate::base::hash::Key;
use crate::base::number::parse_i64;
use crate::command::items::reply_item;
use crate::command::options::{integer, is};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, UNITS_AT_ONCE};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::hash::{Hash, HashRef, NewValue, Value};

/// Fields handled between two looks at the clock: some 5 us, 20 of a packed hash.
pub(super) const FIELDS_PER_PIECE: usize = 32;
/// Expired fields that a command which meets one takes out.
pub(super) const RECLAIM_AT_ONCE: usize = 128;
/// Fields of a packed hash that are searched in the time a table takes to find one.
const PACKED_FIELDS_PER_UNIT: usize = 128;
/// The latest expiry of a field: Redis keeps 46 bits.
const EXPIRY_MAX_MS: i64 = (1 << 46) - 1;

/// Argument `index` as a value to keep: a big one by reference.
#[inline]
pub(super) fn new_value(args: Args<'_>, index: usize) -> NewValue<'_> {
    match args.block(index) {
        Some(block) => NewValue::Block(block),
        None => NewValue::Bytes(args.at(index)),
    }
}

/// Replies with a value: a big one by reference.
#[inline]
pub(super) fn reply_value(reply: &mut Reply<'_>, value: Value<'_>) {
    match value {
        Value::Item(item) => reply_item(reply, item),
        Value::Block(block) => reply.bulk_block(block),
    }
}

/// Units of work that looking up so many fields is.
pub(super) fn work_of(fields: usize, hash: Option<HashRef<'_>>) -> usize {
    match hash {
        Some(HashRef::Packed(_) | HashRef::Expiring(_)) if fields > UNITS_AT_ONCE / 64 => {
            let fields_kept = hash.map_or(0, |hash| hash.len());
            fields.saturating_mul(1 + fields_kept / PACKED_FIELDS_PER_UNIT)
        }
        _ => fields,
    }
}

/// Does so much work at once, or as a job where it is much.
pub(super) fn start(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    work: usize,
    mut job: impl Job + 'static,
) -> CmdResult {
    if ctx.is_long(work) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// Whether a hash has a field whose time has come.
#[inline]
pub(super) fn has_due(hash: HashRef<'_>, now: i64) -> bool {
    hash.next_expiry().is_some_and(|expiry| expiry <= now)
}

/// Takes a field out if its time has come; true: it did.
pub(super) fn drop_if_due(hash: &mut Hash, field: &[u8], now: i64) -> bool {
    let is_due = hash.view().get(field).is_some_and(|found| !found.is_live(now));
    is_due && hash.remove(field)
}

/// A command has read a field whose time has come, or some: they are taken out, unless others read the key as well or
/// nothing may expire now.
#[cold]
pub(super) fn drop_expired(ctx: &mut Ctx<'_>, key: Key<'_>, field: Option<&[u8]>) {
    if ctx.db.keeps_expired || ctx.db.is_held(key.hash) {
        return;
    }
    let now = ctx.now;
    let dropped = ctx.db.edit(key, |hash: &mut Hash| match field {
        Some(field) => usize::from(drop_if_due(hash, field, now)),
        None => hash.reclaim(now, RECLAIM_AT_ONCE),
    });
    // Not to be had: no memory, and then it goes another time.
    if let Ok(Some(dropped)) = dropped {
        note_expired(ctx, key, dropped);
    }
}

/// Arguments whose lengths are looked at between two looks at the clock.
const LENGTHS_PER_PIECE: usize = 1024;
/// As many lengths can be looked at while one field is set.
const LENGTHS_PER_UNIT: usize = 32;

/// Lengths of the fields and values a command brings, which say how a hash will be kept before the first is set.
pub(super) struct Lengths {
    /// The argument that is looked at next.
    next: usize,
    /// Of those looked at: the greatest length, and all together.
    pub(super) longest: usize,
    pub(super) total: usize,
}

impl Lengths {
    /// Of the arguments from `first` on.
    pub(super) fn from(first: usize) -> Lengths {
        Lengths { next: first, longest: 0, total: 0 }
    }

    /// Looks at them as far as the budget reaches; whether all are looked at.
    pub(super) fn measure(&mut self, args: Args<'_>, budget: &mut Budget) -> bool {
        while self.next < args.len() {
            let piece = budget.piece(LENGTHS_PER_PIECE);
            for argument in args.from(self.next).take(piece) {
                self.longest = self.longest.max(argument.len());
                self.total += argument.len();
            }
            self.next += piece;
            if budget.spend(piece.div_ceil(LENGTHS_PER_UNIT) as u64) {
                return false;
            }
        }
        true
    }
}

/// Says that fields of a key expired, and that the key is gone where they were the last.
pub(super) fn note_expired(ctx: &mut Ctx<'_>, key: Key<'_>, count: usize) {
    if count > 0 {
        ctx.db.stats.expired_fields += count as u64;
        ctx.changed_by(Event::HExpired, key.bytes, count);
        note_emptied(ctx, key);
    }
}

/// Says that a key is gone if a change left nothing in it.
pub(super) fn note_emptied(ctx: &mut Ctx<'_>, key: Key<'_>) {
    if ctx.db.peek(key).is_none() {
        ctx.emptied(key.bytes);
    }
}

/// Reads `FIELDS n field …`, where FIELDS is argument `at`: the arguments that are fields. `count_error` is what is
/// said of an n that is no positive number.
pub(super) fn fields_at(
    args: Args<'_>,
    at: usize,
    count_error: &'static str,
) -> Result<Range<usize>, CmdError> {
    if !is(args.at(at), "fields") {
        return Err(CmdError::Text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = parse_i64(args.at(at + 1)).filter(|count| *count > 0);
    let count = count.ok_or(CmdError::Text(count_error))?;
    let first = at + 2;
    if usize::try_from(count).ok() != args.len().checked_sub(first) {
        return Err(CmdError::Text(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(first..args.len())
}

/// How a command tells a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// Milliseconds of one unit of its number.
    pub(super) unit_ms: i64,
    /// From when on it counts, in milliseconds since 1970.
    pub(super) since_ms: i64,
}

impl When {
    /// How the option EX, PX, EXAT or PXAT tells it.
    pub(super) fn of_option(word: &[u8], now: i64) -> Option<When> {
        let when = |unit_ms, since_ms| Some(When { unit_ms, since_ms });
        match word.len() {
            2 if is(word, "ex") => when(1000, now),
            2 if is(word, "px") => when(1, now),
            4 if is(word, "exat") => when(1000, 0),
            4 if is(word, "pxat") => when(1, 0),
            _ => None,
        }
    }

    /// Reads a time, as milliseconds since 1970. `command` is the full name, for the error.
    pub(super) fn read(self, text: &[u8], command: &'static str) -> Result<i64, CmdError> {
        let number = integer(text)?;
        if number < 0 {
            return Err(CmdError::Text("ERR invalid expire time, must be >= 0"));
        }
        number
            .checked_mul(self.unit_ms)
            .filter(|ms| *ms <= EXPIRY_MAX_MS.saturating_sub(self.since_ms))
            .map(|ms| ms + self.since_ms)
            .ok_or(CmdError::InvalidExpire(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_fields_have_46_bits() {
        let now = 1_000_000;
        let read = |word: &str, text: &str| {
            let when = When::of_option(word.as_bytes(), now).expect("an option");
            when.read(text.as_bytes(), "hsetex")
        };
        assert_eq!(read("EX", "10"), Ok(1_010_000));
        assert_eq!(read("px", "0"), Ok(now));
        assert_eq!(read("exat", "10"), Ok(10_000));
        assert_eq!(read("pxat", &EXPIRY_MAX_MS.to_string()), Ok(EXPIRY_MAX_MS));
        let too_late = Err(CmdError::InvalidExpire("hsetex"));
        assert_eq!(read("pxat", &(EXPIRY_MAX_MS + 1).to_string()), too_late);
        assert_eq!(read("px", &(EXPIRY_MAX_MS - now + 1).to_string()), too_late);
        assert_eq!(read("px", &(EXPIRY_MAX_MS - now).to_string()), Ok(EXPIRY_MAX_MS));
        assert_eq!(read("ex", &i64::MAX.to_string()), too_late);
        assert_eq!(read("ex", "x"), Err(CmdError::NotInteger));
        assert!(matches!(read("ex", "-1"), Err(CmdError::Text(_))));
        assert_eq!(When::of_option(b"persist", now), None);
    }
}
