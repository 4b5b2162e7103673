//! What several front doors do to one key: the data half of a command, without arguments and without a reply.
//!
//! A handler parses, calls a verb, replies; who embeds the engine calls the verb and has its answer as a value.
//! Each verb says [`Ctx::changed`] itself. Cost: O(1) and the size of the value.
use crate::base::hash::Key;
use crate::base::number::parse_i64;
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::store::{NewString, StringRef, Ttl};

/// Sets a key to a string. A deadline in the past is stored as it is: the key is gone at the next look, as in Redis.
#[inline]
pub(crate) fn set(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    value: NewString<'_>,
    ttl: Ttl,
) -> Result<(), CmdError> {
    ctx.db.set_string(key, value, ttl)?;
    let event = if matches!(ttl, Ttl::At(_)) { Event::SetExpiring } else { Event::Set };
    ctx.changed(event, key.bytes);
    Ok(())
}

/// Deletes a key; whether it was there.
#[inline]
pub(crate) fn delete(ctx: &mut Ctx<'_>, key: Key<'_>) -> bool {
    let is_removed = ctx.db.remove(key);
    if is_removed {
        ctx.changed(Event::Del, key.bytes);
    }
    is_removed
}

/// Adds to the integer at a key, an absent one being 0, and gives the sum. The time to live stays.
#[inline]
pub(crate) fn increment(ctx: &mut Ctx<'_>, key: Key<'_>, by: i64) -> Result<i64, CmdError> {
    let old = match ctx.db.string_for_write(key)? {
        None => 0,
        Some(StringRef::Int(number)) => number,
        // An integer that was edited (APPEND) is kept as bytes.
        Some(StringRef::Bytes(bytes)) => parse_i64(bytes).ok_or(CmdError::NotInteger)?,
        Some(StringRef::Block(_)) => return Err(CmdError::NotInteger),
    };
    let Some(sum) = old.checked_add(by) else {
        return Err(CmdError::Text("ERR increment or decrement would overflow"));
    };
    ctx.db.set_string(key, NewString::Int(sum), Ttl::Keep)?;
    ctx.changed(Event::IncrBy, key.bytes);
    Ok(sum)
}

/// Gives a key that exists an expiry, in milliseconds since 1970; one that is not in the future deletes it.
#[inline]
pub(crate) fn expire_at(ctx: &mut Ctx<'_>, key: Key<'_>, unix_ms: i64) -> Result<(), CmdError> {
    if unix_ms <= ctx.now {
        ctx.db.remove(key);
        ctx.changed(Event::Del, key.bytes);
    } else {
        ctx.db.set_expiry(key, Some(unix_ms)).map_err(|_| CmdError::OutOfMemory)?;
        ctx.changed(Event::Expire, key.bytes);
    }
    Ok(())
}
