//! Items of a listpack: what one is, and how it is written and read. [`crate::types::listpack`] draws the layout.
//!
//! Promise: reading never leaves the buffer and never panics. Cost: O(1), and one copy of the text when writing.

use crate::base::number::canonical_i64;

/// Marks the end of a listpack; no item begins with it.
pub(super) const END: u8 = 0xFF;

/// One item, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer; its text is the canonical one.
    Int(i64),
    /// A text, borrowed from the listpack.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// Length of its text in bytes.
    #[inline]
    pub fn text_len(&self) -> usize {
        match self {
            Item::Bytes(text) => text.len(),
            Item::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
                digits + usize::from(*value < 0)
            }
        }
    }

    /// Its text; an integer's is written into `scratch`.
    #[inline]
    pub fn as_bytes<'s>(&'s self, scratch: &'s mut itoa::Buffer) -> &'s [u8] {
        match self {
            Item::Bytes(text) => text,
            Item::Int(value) => scratch.format(*value).as_bytes(),
        }
    }

    /// Whether its text is `text`.
    #[inline]
    pub fn equals(&self, text: &[u8]) -> bool {
        match self {
            Item::Bytes(own) => *own == text,
            Item::Int(value) => canonical_i64(text) == Some(*value),
        }
    }

    /// Its text, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// The integer whose text it is, if there is one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Item::Int(value) => Some(*value),
            Item::Bytes(text) => canonical_i64(text),
        }
    }
}

/// An item ready to be written: what stands before its text, and its text (an integer has none).
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    pub(super) text: &'a [u8],
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(super) fn new(text: &'a [u8]) -> Self {
        match canonical_i64(text) {
            Some(value) => Self::int(value),
            None => Self::text(text),
        }
    }

    #[inline]
    pub(super) fn item(item: Item<'a>) -> Self {
        match item {
            Item::Int(value) => Self::int(value),
            Item::Bytes(text) => Self::new(text),
        }
    }

    #[inline]
    fn text(text: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let head_len = match text.len() {
            length @ 0..64 => {
                head[0] = 0x80 | length as u8;
                1
            }
            length @ 64..4096 => {
                head[0] = 0xE0 | (length >> 8) as u8;
                head[1] = length as u8;
                2
            }
            length => {
                head[0] = 0xF0;
                head[1..5].copy_from_slice(&(length as u32).to_le_bytes());
                5
            }
        };
        Self { head, head_len, text }
    }

    #[inline]
    pub(super) fn int(value: i64) -> Self {
        let mut head = [0; 9];
        let head_len = match value {
            0..128 => {
                head[0] = value as u8;
                1
            }
            -4096..4096 => {
                head[0] = 0xC0 | (value >> 8) as u8 & 0x1F;
                head[1] = value as u8;
                2
            }
            _ => {
                let (lead, width) = match value {
                    -0x8000..0x8000 => (0xF1, 2),
                    -0x80_0000..0x80_0000 => (0xF2, 3),
                    -0x8000_0000..0x8000_0000 => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                head[0] = lead;
                // The bytes behind the width are not part of the item; they need not be cleared.
                head[1..].copy_from_slice(&value.to_le_bytes());
                1 + width
            }
        };
        Self { head, head_len, text: &[] }
    }

    #[inline]
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }

    /// Bytes without the back length.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.head_len + self.text.len()
    }

    /// Bytes with the back length.
    #[inline]
    pub(super) fn whole(&self) -> usize {
        self.size() + back_bytes(self.size())
    }

    /// Writes it into a place of exactly as many bytes as it takes.
    #[inline]
    pub(super) fn write(&self, place: &mut [u8]) {
        let size = self.size();
        let Some((item, behind)) = place.split_at_mut_checked(size) else { return };
        let (head, text) = item.split_at_mut(self.head_len);
        head.copy_from_slice(self.head());
        text.copy_from_slice(self.text);
        if let [only] = behind {
            *only = size as u8;
        } else {
            let (back, count) = encode_back(size);
            behind.copy_from_slice(&back[5 - count..]);
        }
    }
}

/// The item at `at` and its bytes without the back length. `None`: the end mark, no encoding, or out of the buffer.
#[inline]
pub(super) fn decode(bytes: &[u8], at: usize) -> Option<(Item<'_>, usize)> {
    let rest = bytes.get(at..)?;
    let lead = *rest.first()?;
    if lead & 0xC0 == 0x80 {
        let length = usize::from(lead & 0x3F);
        return Some((Item::Bytes(rest.get(1..1 + length)?), 1 + length));
    }
    if lead < 0x80 {
        return Some((Item::Int(i64::from(lead)), 1));
    }
    decode_long(rest, lead)
}

/// The items whose first byte does not tell everything. Each width is read by itself: one load each.
fn decode_long(rest: &[u8], lead: u8) -> Option<(Item<'_>, usize)> {
    let behind = &rest[1..];
    let item = match lead {
        0xC0..0xE0 => {
            let value = u16::from(lead & 0x1F) << 8 | u16::from(*behind.first()?);
            // 13 bits with a sign: shifted up, the sign comes down again with them.
            (Item::Int(i64::from((value << 3).cast_signed() >> 3)), 2)
        }
        0xE0..0xF0 => {
            let length = usize::from(lead & 0x0F) << 8 | usize::from(*behind.first()?);
            (Item::Bytes(behind.get(1..1 + length)?), 2 + length)
        }
        0xF0 => {
            let length = u32::from_le_bytes(*behind.first_chunk()?) as usize;
            (Item::Bytes(behind.get(4..4 + length)?), 5 + length)
        }
        0xF1 => (Item::Int(i16::from_le_bytes(*behind.first_chunk()?).into()), 3),
        0xF2 => {
            let [low, middle, high] = *behind.first_chunk()?;
            (Item::Int((i32::from_le_bytes([0, low, middle, high]) >> 8).into()), 4)
        }
        0xF3 => (Item::Int(i32::from_le_bytes(*behind.first_chunk()?).into()), 5),
        0xF4 => (Item::Int(i64::from_le_bytes(*behind.first_chunk()?)), 9),
        _ => return None,
    };
    Some(item)
}

/// Bytes of the item at `at` without the back length, from its first bytes alone: its text may reach behind the buffer.
#[inline]
pub(super) fn encoded_bytes(bytes: &[u8], at: usize) -> Option<usize> {
    let lead = *bytes.get(at)?;
    Some(match lead {
        0..0x80 => 1,
        0x80..0xC0 => 1 + usize::from(lead & 0x3F),
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 2 + (usize::from(lead & 0x0F) << 8 | usize::from(*bytes.get(at + 1)?)),
        0xF0 => 5 + u32::from_le_bytes(*bytes.get(at + 1..)?.first_chunk()?) as usize,
        0xF1..=0xF3 => 3 + usize::from(lead - 0xF1),
        0xF4 => 9,
        0xF5..=0xFF => return None,
    })
}

/// Bytes of the item at `at` with the back length.
#[inline]
pub(super) fn whole_bytes(bytes: &[u8], at: usize) -> Option<usize> {
    let size = encoded_bytes(bytes, at)?;
    Some(size + back_bytes(size))
}

/// Bytes of the back length of an item of `size` bytes. Redis's bounds, one short of what 14, 21 and 28 bits hold.
#[inline]
pub(super) fn back_bytes(size: usize) -> usize {
    match size {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// A back length at the end of five bytes, and how many of them it takes.
#[inline]
pub(super) fn encode_back(size: usize) -> ([u8; 5], usize) {
    let count = back_bytes(size);
    let mut back = [0; 5];
    for (index, byte) in back.iter_mut().rev().take(count).enumerate() {
        let is_first = index + 1 == count;
        *byte = (size >> (7 * index)) as u8 & 0x7F | if is_first { 0 } else { 0x80 };
    }
    (back, count)
}

/// The back length that ends before `end`.
#[inline]
pub(super) fn read_back(bytes: &[u8], end: usize) -> Option<usize> {
    let mut value = 0;
    for (index, byte) in bytes.get(..end)?.iter().rev().take(5).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
