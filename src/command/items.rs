//! What the families of collections share: replying with an element as packed values have it.
use crate::proto::reply::Reply;
use crate::types::listpack::Item;

/// Replies with an element as a string.
#[inline]
pub(super) fn reply_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Int(number) => reply.bulk_int(number),
    }
}
