//! What the families of set commands share: showing members.
use crate::base::pieces::Progress;
use crate::command::items::reply_item;
use crate::proto::reply::Reply;
use crate::types::set::{SetCursor, SetRef};

/// Members looked at between two looks at the clock: about 10 us where each is a cache miss.
pub(super) const MEMBERS_PER_PIECE: usize = 64;

/// Goes on replying all members, about `units` in one call.
#[inline]
pub(super) fn reply_members(
    reply: &mut Reply<'_>,
    set: SetRef<'_>,
    cursor: &mut SetCursor,
    units: usize,
) -> Progress {
    set.walk(cursor, units, |member| reply_item(reply, member))
}
