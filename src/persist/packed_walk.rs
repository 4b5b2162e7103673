//! Packed values from outside, walked over item by item, each checked before it is shown.
//!
//! ```text
//!   listpack   as in types::listpack
//!   ziplist    bytes: u32, offset of the last entry: u32, count: u16, entries, ff
//!              entry: length of the one before (one byte, or fe and four), encoding, text
//!   zipmap     count: u8 (fe: unknown), pairs, ff
//!              pair: length (one byte, or fe and four), name, length, spare: u8, value, spare bytes
//! ```
//!
//! Ziplists and zipmaps are what Redis wrote before 7.0 and before 2.6; nothing writes them any more. All that a header
//! claims has to be so, and every item has to lie within the bytes. Promise: no input makes it panic. Cost: O(1) an
//! item.
use crate::persist::rdb_format::Corrupt;
use crate::types::listpack::{Item, ListpackRef};

/// How a value is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedForm {
    /// Redis 7's.
    Listpack,
    /// That of the versions before.
    Ziplist,
    /// That of hashes before 2.6.
    Zipmap,
}

const ZIPLIST_HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
/// A length of four bytes follows.
const LONG: u8 = 0xfe;
/// The count does not fit its place.
const COUNT_UNKNOWN: usize = 0xffff;

/// Where a walk stands.
#[derive(Clone, Debug)]
pub struct PackedWalk {
    form: PackedForm,
    /// Position of the next item.
    at: usize,
    /// Items so far.
    count: usize,
    /// Position of the item before.
    before: usize,
}

impl PackedWalk {
    /// At the first item, after a look at the frame.
    pub fn new(form: PackedForm, bytes: &[u8]) -> Result<PackedWalk, Corrupt> {
        let at = match form {
            PackedForm::Listpack => {
                ListpackRef::check(bytes, false).map_err(|_| Corrupt)?;
                ListpackRef::FIRST
            }
            PackedForm::Ziplist => {
                let is_whole = bytes.len() > ZIPLIST_HEADER_BYTES && bytes.last() == Some(&END);
                if !is_whole || u32_at(bytes, 0)? as usize != bytes.len() {
                    return Err(Corrupt);
                }
                ZIPLIST_HEADER_BYTES
            }
            PackedForm::Zipmap => {
                if bytes.len() < 2 || bytes.last() != Some(&END) {
                    return Err(Corrupt);
                }
                1
            }
        };
        Ok(PackedWalk { form, at, count: 0, before: at })
    }

    /// The next item; `None` at the end. The bytes must be the same at each call.
    pub fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<Item<'b>>, Corrupt> {
        let found = match self.form {
            PackedForm::Listpack => {
                ListpackRef::checked_item(bytes, self.at, self.count).map_err(|_| Corrupt)?
            }
            PackedForm::Ziplist => self.ziplist_item(bytes)?,
            PackedForm::Zipmap => self.zipmap_item(bytes)?,
        };
        let Some((item, next)) = found else { return Ok(None) };
        self.before = self.at;
        self.at = next;
        self.count += 1;
        Ok(Some(item))
    }

    fn ziplist_item<'b>(&self, bytes: &'b [u8]) -> Result<Option<(Item<'b>, usize)>, Corrupt> {
        let first = *bytes.get(self.at).ok_or(Corrupt)?;
        if first == END {
            let counted = usize::from(u16::from_le_bytes(array(bytes, 8)?));
            let is_count_right = counted == COUNT_UNKNOWN || counted == self.count;
            let is_tail_right = u32_at(bytes, 4)? as usize == self.before;
            let is_end = self.at == bytes.len() - 1;
            return if is_end && is_count_right && is_tail_right { Ok(None) } else { Err(Corrupt) };
        }
        let (before, at) = match first {
            LONG => (u32_at(bytes, self.at + 1)? as usize, self.at + 5),
            short => (usize::from(short), self.at + 1),
        };
        if before != if self.count == 0 { 0 } else { self.at - self.before } {
            return Err(Corrupt);
        }
        let encoding = *bytes.get(at).ok_or(Corrupt)?;
        let (item, next) = match encoding {
            0..0xc0 => {
                let (length, text) = match encoding >> 6 {
                    0 => (usize::from(encoding), at + 1),
                    1 => {
                        let low = *bytes.get(at + 1).ok_or(Corrupt)?;
                        (usize::from(encoding & 0x3f) << 8 | usize::from(low), at + 2)
                    }
                    _ => (u32::from_be_bytes(array(bytes, at + 1)?) as usize, at + 5),
                };
                (Item::Bytes(slice(bytes, text, length)?), text + length)
            }
            _ => {
                let (value, width) = ziplist_integer(bytes, at, encoding)?;
                (Item::Int(value), at + 1 + width)
            }
        };
        // The end mark is behind every item.
        if next < bytes.len() { Ok(Some((item, next))) } else { Err(Corrupt) }
    }

    fn zipmap_item<'b>(&self, bytes: &'b [u8]) -> Result<Option<(Item<'b>, usize)>, Corrupt> {
        let is_value = self.count % 2 == 1;
        let first = *bytes.get(self.at).ok_or(Corrupt)?;
        if first == END {
            let counted = usize::from(bytes[0]);
            let is_count_right = counted >= usize::from(LONG) || 2 * counted == self.count;
            let is_end = self.at == bytes.len() - 1 && !is_value;
            return if is_end && is_count_right { Ok(None) } else { Err(Corrupt) };
        }
        let (length, at) = match first {
            LONG => (u32_at(bytes, self.at + 1)? as usize, self.at + 5),
            short => (usize::from(short), self.at + 1),
        };
        let (text, spare) = match is_value {
            true => (at + 1, usize::from(*bytes.get(at).ok_or(Corrupt)?)),
            false => (at, 0),
        };
        let item = Item::Bytes(slice(bytes, text, length)?);
        let next = text + length + spare;
        if next < bytes.len() { Ok(Some((item, next))) } else { Err(Corrupt) }
    }
}

/// An integer of a ziplist and its bytes behind the encoding.
fn ziplist_integer(bytes: &[u8], at: usize, encoding: u8) -> Result<(i64, usize), Corrupt> {
    let at = at + 1;
    Ok(match encoding {
        0xc0 => (i16::from_le_bytes(array(bytes, at)?).into(), 2),
        0xd0 => (i32::from_le_bytes(array(bytes, at)?).into(), 4),
        0xe0 => (i64::from_le_bytes(array(bytes, at)?), 8),
        0xf0 => {
            let [low, middle, high] = array(bytes, at)?;
            // Read as the upper bytes, the sign comes down with the shift.
            (i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8), 3)
        }
        0xfe => (i8::from_le_bytes(array(bytes, at)?).into(), 1),
        0xf1..=0xfd => (i64::from(encoding & 0x0f) - 1, 0),
        _ => return Err(Corrupt),
    })
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], Corrupt> {
    bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or(Corrupt)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Corrupt> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Corrupt)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Corrupt> {
    array(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(form: PackedForm, bytes: &[u8]) -> Result<Vec<String>, Corrupt> {
        let mut walk = PackedWalk::new(form, bytes)?;
        let mut items = Vec::new();
        while let Some(item) = walk.next(bytes)? {
            items.push(String::from_utf8_lossy(&item.to_vec()).into_owned());
        }
        Ok(items)
    }

    /// Made by Redis 6.2: RPUSH of "hello", 1024, 12, -1, 70000, 3000000, 5000000000.
    fn ziplist() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 7, 0];
        let entries: [&[u8]; 7] = [
            b"\x00\x05hello",
            b"\x07\xc0\x00\x04",
            b"\x04\xfd",
            b"\x02\xfe\xff",
            b"\x03\xf0\x70\x11\x01",
            b"\x05\xd0\xc0\xc6\x2d\x00",
            b"\x06\xe0\x00\xf2\x05\x2a\x01\x00\x00\x00",
        ];
        entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
        let tail = bytes.len() - entries[6].len();
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
        bytes
    }

    #[test]
    fn old_forms_are_read() {
        let expected = ["hello", "1024", "12", "-1", "70000", "3000000", "5000000000"];
        assert_eq!(walk(PackedForm::Ziplist, &ziplist()).unwrap(), expected);
        let map = b"\x02\x03foo\x03\x02bar..\x05hello\x05\x00world\xff";
        let expected = ["foo", "bar", "hello", "world"];
        assert_eq!(walk(PackedForm::Zipmap, map).unwrap(), expected);
        assert!(walk(PackedForm::Zipmap, b"\x00\xff").unwrap().is_empty());
        assert_eq!(walk(PackedForm::Zipmap, b"\x01\x03foo\xff"), Err(Corrupt), "no value");
    }

    #[test]
    fn every_damage_is_seen_or_harmless() {
        let mut list = crate::types::listpack::Listpack::new();
        for text in ["hello", "12", "-70000", "", "5000000000"] {
            list.push_back(text.as_bytes());
        }
        let map = b"\x02\x03foo\x03\x02bar..\x05hello\x05\x00world\xff".to_vec();
        for (form, bytes) in [
            (PackedForm::Ziplist, ziplist()),
            (PackedForm::Listpack, list.into_bytes()),
            (PackedForm::Zipmap, map),
        ] {
            assert!(walk(form, &bytes).is_ok());
            for at in 0..bytes.len() {
                for value in 0..=255 {
                    let mut damaged = bytes.clone();
                    damaged[at] = value;
                    let _ = walk(form, &damaged);
                }
                assert!(walk(form, &bytes[..at]).is_err(), "cut at {at}");
            }
        }
    }
}
