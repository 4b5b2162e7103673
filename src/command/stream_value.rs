//! What the families of stream commands share: ids as arguments, entries as replies, errors, and how much is long.
use crate::command::items::reply_item;
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::store::OutOfMemory;
use crate::types::stream::{ConsumerNumber, Entry, Group, Log, NodeLimits, StreamId};

/// Entries looked at between two looks at the clock: some 10 us.
pub(super) const ENTRIES_PER_PIECE: usize = 16;

/// Bytes of an entry that count as one unit of work.
const UNIT_BYTES: usize = 1024;

const INVALID_ID: CmdError =
    CmdError::Text("ERR Invalid stream ID specified as stream command argument");

/// Goes on reading the ids from argument `next` to the end, to see that they are some.
pub(super) fn check_ids(args: Args<'_>, next: &mut usize, budget: &mut Budget) -> Stepped {
    while *next < args.len() {
        let end = (*next + budget.piece(ENTRIES_PER_PIECE)).min(args.len());
        for text in args.from(*next).take(end - *next) {
            strict_id(text, 0)?;
        }
        let done = (end - *next) as u64;
        *next = end;
        if budget.spend(done) {
            return Ok(Step::More);
        }
    }
    Ok(Step::Done)
}

/// Reads an id; without a sequence number that is `missing_seq`.
#[inline]
pub(super) fn strict_id(text: &[u8], missing_seq: u64) -> Result<StreamId, CmdError> {
    StreamId::parse(text, missing_seq).ok_or(INVALID_ID)
}

/// Reads an id, or `-` or `+`.
pub(super) fn loose_id(text: &[u8]) -> Result<StreamId, CmdError> {
    StreamId::parse_bound(text, 0).ok_or(INVALID_ID)
}

/// The error of an id that is none.
pub(super) fn invalid_id() -> CmdError {
    INVALID_ID
}

/// Reads where a range begins: an id, `-`, `+`, or an id after `(`, which is not in it.
pub(super) fn range_start(text: &[u8]) -> Result<StreamId, CmdError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            strict_id(id, 0)?.next().ok_or(CmdError::Text("ERR invalid start ID for the interval"))
        }
        text => StreamId::parse_bound(text, 0).ok_or(INVALID_ID),
    }
}

/// Reads where a range ends, as [`range_start`].
pub(super) fn range_end(text: &[u8]) -> Result<StreamId, CmdError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => strict_id(id, u64::MAX)?
            .previous()
            .ok_or(CmdError::Text("ERR invalid end ID for the interval")),
        text => StreamId::parse_bound(text, u64::MAX).ok_or(INVALID_ID),
    }
}

/// Replies with an id.
#[inline]
pub(super) fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// Replies with an entry: its id, and fields and values in turn.
#[inline]
pub(super) fn reply_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.fields_len());
    for (field, value) in entry.fields() {
        reply_item(reply, field);
        reply_item(reply, value);
    }
}

/// How much work it is to reply with `count` entries, in units of [`Ctx::is_long`].
pub(super) fn work_of(log: &Log, count: usize) -> usize {
    let length = usize::try_from(log.len()).unwrap_or(usize::MAX);
    let average = log.bytes() / length.max(1);
    count.min(length).saturating_mul(1 + average / UNIT_BYTES)
}

/// The sizes of nodes in force.
#[inline]
pub(super) fn node_limits(ctx: &Ctx<'_>) -> NodeLimits {
    NodeLimits {
        bytes: ctx.engine.limits.stream_node_max_bytes,
        entries: ctx.engine.limits.stream_node_max_entries,
    }
}

/// Has nodes that a change took out and that are too big to be freed at once freed in pieces.
#[inline]
pub(super) fn bury(ctx: &mut Ctx<'_>, spent: Vec<Vec<u8>>) {
    for bytes in spent {
        ctx.engine.graveyard.bury_garbage(Box::new(bytes));
    }
}

/// `NOGROUP No such key … or consumer group …`, as most commands have it.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> CmdError {
    CmdError::owned(&[
        b"NOGROUP No such key '",
        shown(key),
        b"' or consumer group '",
        shown(group),
        b"'",
    ])
}

/// `NOGROUP No such consumer group … for key name …`, as XGROUP and XINFO have it.
pub(super) fn no_group(group: &[u8], key: &[u8]) -> CmdError {
    CmdError::owned(&[
        b"NOGROUP No such consumer group '",
        shown(group),
        b"' for key name '",
        shown(key),
        b"'",
    ])
}

/// Redis prints names with `%s`: they end at a NUL.
pub(super) fn shown(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// Adds a consumer of a group where there is none of the name, and notes that it was seen.
pub(super) fn see_consumer(
    group: &mut Group,
    name: &[u8],
    now: i64,
) -> Result<(ConsumerNumber, bool), OutOfMemory> {
    match group.see(name, now) {
        Some(number) => Ok((number, false)),
        None => group.add_consumer(name, now).map(|number| (number, true)).ok_or(OutOfMemory),
    }
}
