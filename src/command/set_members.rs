//! What the families of set commands share: showing members.
use crate::base::pieces::Progress;
use crate::proto::reply::Reply;
use crate::types::listpack::Item;
use crate::types::set::{SetCursor, SetRef};

/// Members looked at between two looks at the clock: about 10 us where each is a cache miss.
pub(super) const MEMBERS_PER_PIECE: usize = 64;

/// Replies a member.
#[inline]
pub(super) fn reply_member(reply: &mut Reply<'_>, member: Item<'_>) {
    match member {
        Item::Bytes(text) => reply.bulk(text),
        Item::Int(value) => reply.bulk_int(value),
    }
}

/// Goes on replying all members, about `units` in one call.
#[inline]
pub(super) fn reply_members(
    reply: &mut Reply<'_>,
    set: SetRef<'_>,
    cursor: &mut SetCursor,
    units: usize,
) -> Progress {
    set.walk(cursor, units, |member| reply_member(reply, member))
}
