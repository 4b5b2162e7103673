//! The bytes of one entry: header, key, TTL and value in one heap slot.
//!
//! ```text
//!   0      4           5+
//!   [header][key length][key ...][expiry: i64 if TTL][value]
//!   header  u32: kind 3 bits | INT | BIG | EDITED | TTL | TYPED | 24-bit LRU or LFU clock
//!   key length   0..=253 in the byte itself; 254: u16 follows; 255: the key is a block, its
//!                number (u32) stands in place of the key
//!   value   INT: length 1, 2, 4 or 8, then a little-endian integer of so many bytes
//!           BIG: the number (u32) of a block
//!           else: length (1 byte below 128, else 2 with the top bit set), then the bytes
//! ```
//!
//! The key stands at a fixed place, so a lookup compares it without decoding anything. A 16-byte
//! key with a 32-byte value takes 54 bytes (slot 56), with a TTL 62 (slot 64). The header is never
//! zero, since kinds start at 1: the heap recognises free slots by that.
//!
//! TYPED marks strings that came as something else than bytes (`scalar`). Which of the four it was is in
//! EDITED and the lowest bit of the kind, which no other string needs: with TYPED, kind 0 is a string too.
//!
//! Functions here read and write slices; a slice that is too short would be a bug in this layer
//! and panics. Nothing here allocates.

pub use crate::types::object::Kind;

/// Entries up to this size live in a heap slot; what is larger keeps its value in a block.
pub(crate) const INLINE_MAX: usize = super::heap::SLOT_BYTES_MAX;
/// Keys above this length live in a block.
pub(crate) const INLINE_KEY_MAX: usize = 4096;
/// Longest string with encoding `embstr`, as in Redis.
pub(crate) const EMBEDDED_MAX: usize = 44;

pub(crate) const KIND_MASK: u32 = 0b111;
pub(crate) const INT: u32 = 1 << 3;
pub(crate) const BIG: u32 = 1 << 4;
pub(crate) const EDITED: u32 = 1 << 5;
pub(crate) const TTL: u32 = 1 << 6;
pub(crate) const TYPED: u32 = 1 << 7;
const CLOCK_SHIFT: u32 = 8;

const KEY_AT: usize = 5;
const KEY_LENGTH_U16: u8 = 254;
const KEY_IN_BLOCK: u8 = 255;

/// A key as an entry stores it.
#[derive(Clone, Copy)]
pub(crate) enum StoredKey<'a> {
    Inline(&'a [u8]),
    Block(u32),
}

/// A value as an entry stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Block(u32),
}

impl Stored<'_> {
    pub(crate) fn flags(self) -> u32 {
        match self {
            Stored::Int(_) => INT,
            Stored::Bytes(_) => 0,
            Stored::Block(_) => BIG,
        }
    }

    /// Bytes of the value in the entry.
    pub(crate) fn size(self) -> usize {
        match self {
            Stored::Int(value) => 1 + int_bytes(value),
            Stored::Bytes(bytes) => bytes.len() + if bytes.len() < 128 { 1 } else { 2 },
            Stored::Block(_) => 4,
        }
    }
}

fn int_bytes(value: i64) -> usize {
    match value {
        -0x80..=0x7f => 1,
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

fn u16_at(entry: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([entry[at], entry[at + 1]])
}

fn u32_at(entry: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&entry[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn i64_at(entry: &[u8], at: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&entry[at..at + 8]);
    i64::from_le_bytes(bytes)
}

#[inline(always)]
pub(crate) fn header(entry: &[u8]) -> u32 {
    u32_at(entry, 0)
}

#[inline]
pub(crate) fn set_header(entry: &mut [u8], header: u32) {
    entry[..4].copy_from_slice(&header.to_le_bytes());
}

/// The 24-bit LRU or LFU clock.
#[inline]
pub(crate) fn clock(header: u32) -> u32 {
    header >> CLOCK_SHIFT
}

#[inline]
pub(crate) fn with_clock(header: u32, clock: u32) -> u32 {
    header & 0xff | clock << CLOCK_SHIFT
}

/// The key, if it is inline and equal: the hot comparison. `None` when it is in a block.
#[inline(always)]
pub(crate) fn inline_key_equals(entry: &[u8], key: &[u8]) -> Option<bool> {
    let length = entry[4];
    if length < KEY_LENGTH_U16 {
        let length = usize::from(length);
        return Some(length == key.len() && equal(&entry[KEY_AT..KEY_AT + length], key));
    }
    match key_of(entry) {
        StoredKey::Inline(own) => Some(own == key),
        StoredKey::Block(_) => None,
    }
}

/// Where the text stands in the entry of a plain string, which is most of what caches hold: short key, no TTL, short
/// value that is bytes. `None` for any other entry, one of another key, and a free slot.
#[inline(always)]
pub(crate) fn plain_string(entry: &[u8], key: &[u8]) -> Option<(usize, usize)> {
    let (head, rest) = entry.split_first_chunk::<KEY_AT>()?;
    let is_plain = header(head) & (KIND_MASK | INT | BIG | TTL | TYPED) == Kind::String as u32;
    if !is_plain || head[4] >= KEY_LENGTH_U16 || usize::from(head[4]) != key.len() {
        return None;
    }
    let (own_key, rest) = rest.split_at_checked(key.len())?;
    if !equal(own_key, key) {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let at = KEY_AT + key.len() + 1;
    if first < 128 {
        return Some((at, usize::from(first)));
    }
    Some((at + 1, usize::from(first & 0x7f) << 8 | usize::from(*rest.first()?)))
}

/// Whether two slices of one length are equal; those of 4 to 32 bytes, which most keys are, without a call of
/// `memcmp`: by two words that overlap.
#[inline(always)]
fn equal(a: &[u8], b: &[u8]) -> bool {
    match a.len() {
        4..8 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        17..=32 => {
            a.first_chunk::<16>() == b.first_chunk() && a.last_chunk::<16>() == b.last_chunk()
        }
        _ => a == b,
    }
}

pub(crate) fn key_of(entry: &[u8]) -> StoredKey<'_> {
    match entry[4] {
        KEY_IN_BLOCK => StoredKey::Block(u32_at(entry, KEY_AT)),
        KEY_LENGTH_U16 => {
            let length = usize::from(u16_at(entry, KEY_AT));
            StoredKey::Inline(&entry[KEY_AT + 2..KEY_AT + 2 + length])
        }
        length => StoredKey::Inline(&entry[KEY_AT..KEY_AT + usize::from(length)]),
    }
}

/// Where the key ends.
#[inline(always)]
pub(crate) fn key_end(entry: &[u8]) -> usize {
    match entry[4] {
        KEY_IN_BLOCK => KEY_AT + 4,
        KEY_LENGTH_U16 => KEY_AT + 2 + usize::from(u16_at(entry, KEY_AT)),
        length => KEY_AT + usize::from(length),
    }
}

/// As `key_end`, for a key not stored yet.
pub(crate) fn key_end_for(key: StoredKey<'_>) -> usize {
    match key {
        StoredKey::Inline(bytes) if bytes.len() < usize::from(KEY_LENGTH_U16) => {
            KEY_AT + bytes.len()
        }
        StoredKey::Inline(bytes) => KEY_AT + 2 + bytes.len(),
        StoredKey::Block(_) => KEY_AT + 4,
    }
}

/// When the entry expires, in Unix milliseconds.
#[inline(always)]
pub(crate) fn expiry(entry: &[u8]) -> Option<i64> {
    if header(entry) & TTL == 0 {
        return None;
    }
    Some(i64_at(entry, key_end(entry)))
}

#[inline(always)]
pub(crate) fn value_start(entry: &[u8]) -> usize {
    key_end(entry) + if header(entry) & TTL == 0 { 0 } else { 8 }
}

/// The value of an entry.
#[inline(always)]
pub(crate) fn value(entry: &[u8]) -> Stored<'_> {
    let (flags, at) = (header(entry), value_start(entry));
    if flags & INT != 0 {
        let wide = |low: &[u8]| {
            let fill = if low[low.len() - 1] & 0x80 == 0 { 0 } else { 0xff };
            let mut bytes = [fill; 8];
            bytes[..low.len()].copy_from_slice(low);
            i64::from_le_bytes(bytes)
        };
        return Stored::Int(wide(&entry[at + 1..at + 1 + usize::from(entry[at])]));
    }
    if flags & BIG != 0 {
        return Stored::Block(u32_at(entry, at));
    }
    let first = entry[at];
    if first < 128 {
        return Stored::Bytes(&entry[at + 1..at + 1 + usize::from(first)]);
    }
    let length = usize::from(first & 0x7f) << 8 | usize::from(entry[at + 1]);
    Stored::Bytes(&entry[at + 2..at + 2 + length])
}

/// Bytes of the whole entry.
pub(crate) fn size(entry: &[u8]) -> usize {
    value_start(entry) + value(entry).size()
}

/// Bytes of an entry before it is written.
#[inline]
pub(crate) fn size_for(key_end: usize, has_ttl: bool, value: Stored<'_>) -> usize {
    key_end + if has_ttl { 8 } else { 0 } + value.size()
}

/// Writes header, TTL and value; the key, which ends at `key_end`, stands already. `header` brings
/// kind, EDITED and clock, and gets the other flags here.
#[inline]
pub(crate) fn write_value(
    entry: &mut [u8],
    header: u32,
    key_end: usize,
    expiry: Option<i64>,
    value: Stored<'_>,
) {
    let ttl = if expiry.is_some() { TTL } else { 0 };
    set_header(entry, header & !(INT | BIG | TTL) | ttl | value.flags());
    let mut at = key_end;
    if let Some(expiry) = expiry {
        entry[at..at + 8].copy_from_slice(&expiry.to_le_bytes());
        at += 8;
    }
    match value {
        Stored::Int(value) => {
            let length = int_bytes(value);
            entry[at] = length as u8;
            entry[at + 1..at + 1 + length].copy_from_slice(&value.to_le_bytes()[..length]);
        }
        Stored::Block(number) => entry[at..at + 4].copy_from_slice(&number.to_le_bytes()),
        Stored::Bytes(bytes) => {
            if bytes.len() < 128 {
                entry[at] = bytes.len() as u8;
                at += 1;
            } else {
                entry[at] = (bytes.len() >> 8) as u8 | 0x80;
                entry[at + 1] = bytes.len() as u8;
                at += 2;
            }
            entry[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// Writes the key of a new entry.
#[inline]
pub(crate) fn write_key(entry: &mut [u8], key: StoredKey<'_>) {
    match key {
        StoredKey::Inline(bytes) if bytes.len() < usize::from(KEY_LENGTH_U16) => {
            entry[4] = bytes.len() as u8;
            entry[KEY_AT..KEY_AT + bytes.len()].copy_from_slice(bytes);
        }
        StoredKey::Inline(bytes) => {
            entry[4] = KEY_LENGTH_U16;
            entry[KEY_AT..KEY_AT + 2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
            entry[KEY_AT + 2..KEY_AT + 2 + bytes.len()].copy_from_slice(bytes);
        }
        StoredKey::Block(number) => {
            entry[4] = KEY_IN_BLOCK;
            entry[KEY_AT..KEY_AT + 4].copy_from_slice(&number.to_le_bytes());
        }
    }
}

/// The integer a string spells, if it spells it exactly as Redis would print it: no plus sign, no
/// leading zero, no blank, within i64.
#[must_use]
pub(crate) fn canonical_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // 19 digits stay below 10^19 < 2^64.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
