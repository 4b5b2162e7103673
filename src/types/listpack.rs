//! Listpack: a list of texts and integers in one buffer, byte for byte as Redis 7.0 writes it, so that files, DUMP
//! payloads and replicas take it as it is.
//!
//! ```text
//! | total bytes: u32 | items: u16 (65535: count them) | item … item | 0xFF |
//! item: | encoding and length: 1–5 | text or integer | back length: 1–5 |
//!   0xxxxxxx  7-bit unsigned     110xxxxx +1  13-bit integer     F1, F2, F3, F4  16-, 24-, 32-, 64-bit integer (LE)
//!   10xxxxxx  text below 64      1110xxxx +1  text below 4096    F0 + u32 (LE)   longer text
//! back length: the bytes of the item before it, 7 bits per byte, readable from its end: walking back needs no index.
//! ```
//! A text that is a canonical integer is kept as the integer. A *position* is the offset of an item's first byte; it
//! is valid until the next change before it.
//!
//! Promise: reading never panics and never leaves the buffer, whatever the bytes are: what is corrupt reads as an end
//! or an empty text. Bytes from outside are to be passed through [`ListpackRef::check`] all the same.
//! Cost: O(1) at both ends, O(n) to find or to seek; a change moves what follows it once.

use std::fmt;

use crate::base::number::canonical_i64;
use crate::types::listpack_item::{
    END, Encoded, back_bytes, decode, encode_back, encoded_bytes, read_back, whole_bytes,
};

pub use crate::types::listpack_item::Item;

const HEADER_BYTES: usize = 6;
/// An empty listpack: the header and the end mark.
const EMPTY: [u8; HEADER_BYTES + 1] = [HEADER_BYTES as u8 + 1, 0, 0, 0, 0, 0, END];
/// As a count of items: unknown, to be counted.
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Redis lets no listpack grow beyond this, far below what the header can say.
pub const LISTPACK_BYTES_MAX: usize = 1 << 30;

/// What came from outside is no valid encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl fmt::Display for Corrupt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("corrupt encoding")
    }
}

impl std::error::Error for Corrupt {}

/// A listpack to be read.
#[derive(Clone, Copy, Debug)]
pub struct ListpackRef<'a> {
    bytes: &'a [u8],
}

impl<'a> ListpackRef<'a> {
    /// Reads trusted bytes: our own, or checked ones.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Checks bytes from outside as Redis does on RESTORE and load: the header and the end mark, and when `deep` every
    /// item and the count. Returns the number of items. O(n) when deep or when the count is not in the header.
    pub fn check(bytes: &[u8], deep: bool) -> Result<usize, Corrupt> {
        let header: &[u8; 4] = bytes.first_chunk().ok_or(Corrupt)?;
        let is_framed = bytes.len() > HEADER_BYTES && bytes.last() == Some(&END);
        if !is_framed || u32::from_le_bytes(*header) as usize != bytes.len() {
            return Err(Corrupt);
        }
        let list = ListpackRef { bytes };
        if !deep {
            return Ok(list.len());
        }
        let (mut at, mut count) = (HEADER_BYTES, 0);
        while list.is_item(at) {
            let item = encoded_bytes(bytes, at).ok_or(Corrupt)?;
            let next = at + item + back_bytes(item);
            if next >= bytes.len() || read_back(bytes, next) != Some(item) {
                return Err(Corrupt);
            }
            (at, count) = (next, count + 1);
        }
        let counted = list.header_count();
        let is_count_right = counted == COUNT_UNKNOWN || usize::from(counted) == count;
        if at == bytes.len() - 1 && is_count_right { Ok(count) } else { Err(Corrupt) }
    }

    /// The item at `at` of bytes from outside whose frame is right ([`ListpackRef::check`]), and where the next one
    /// begins; `None` at the end, which the header has to agree with: `count` items are before it. For checking in
    /// pieces, from [`ListpackRef::FIRST`] on.
    pub fn checked_item(
        bytes: &'a [u8],
        at: usize,
        count: usize,
    ) -> Result<Option<(Item<'a>, usize)>, Corrupt> {
        let list = ListpackRef { bytes };
        if !list.is_item(at) {
            let counted = list.header_count();
            let is_count_right = counted == COUNT_UNKNOWN || usize::from(counted) == count;
            return if at == list.end() && is_count_right { Ok(None) } else { Err(Corrupt) };
        }
        let (item, size) = decode(bytes, at).ok_or(Corrupt)?;
        let next = at + size + back_bytes(size);
        if next >= bytes.len() || read_back(bytes, next) != Some(size) {
            return Err(Corrupt);
        }
        Ok(Some((item, next)))
    }

    /// Position of the first item, where there is one.
    pub const FIRST: usize = HEADER_BYTES;

    /// All of it, header included.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of items. O(1) below 65535, else it counts them.
    #[inline]
    pub fn len(&self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.count_items(),
            count => usize::from(count),
        }
    }

    /// Whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.is_item(HEADER_BYTES)
    }

    /// Position of the first item.
    #[inline]
    pub fn first(&self) -> Option<usize> {
        self.is_item(HEADER_BYTES).then_some(HEADER_BYTES)
    }

    /// Position of the last item.
    #[inline]
    pub fn last(&self) -> Option<usize> {
        self.previous(self.end())
    }

    /// Position of the item after the one at `at`.
    #[inline]
    pub fn next(&self, at: usize) -> Option<usize> {
        let next = at + whole_bytes(self.bytes, at)?;
        self.is_item(next).then_some(next)
    }

    /// Position of the item before the one at `at`.
    #[inline]
    pub fn previous(&self, at: usize) -> Option<usize> {
        if at <= HEADER_BYTES {
            return None;
        }
        let item = read_back(self.bytes, at)?;
        let start = at.checked_sub(item + back_bytes(item))?;
        (start >= HEADER_BYTES).then_some(start)
    }

    /// The item at a position; an empty text where there is none.
    #[inline]
    pub fn get(&self, at: usize) -> Item<'a> {
        decode(self.bytes, at).map_or(Item::Bytes(&[]), |(item, _)| item)
    }

    /// Position of the item with this index, counted from the last one (-1) when negative. Walks from the nearer end.
    pub fn seek(&self, index: i64) -> Option<usize> {
        let mut index = index;
        let counted = self.header_count();
        if counted != COUNT_UNKNOWN {
            let count = i64::from(counted);
            let from_first = if index < 0 { index + count } else { index };
            if from_first < 0 || from_first >= count {
                return None;
            }
            index = if from_first > count / 2 { from_first - count } else { from_first };
        }
        let (mut at, steps) =
            if index >= 0 { (self.first()?, index) } else { (self.last()?, -(index + 1)) };
        for _ in 0..steps {
            at = if index >= 0 { self.next(at)? } else { self.previous(at)? };
        }
        Some(at)
    }

    /// Position of the first item that equals `wanted`, from `from` on (`None`: from the first). Only one in
    /// `skip + 1` items is compared: with 1, the fields of a hash.
    #[inline]
    pub fn find(&self, from: Option<usize>, wanted: &[u8], skip: usize) -> Option<usize> {
        let bytes = self.bytes;
        let wanted_int = canonical_i64(wanted);
        let last_byte = wanted.last();
        let mut at = from.unwrap_or(HEADER_BYTES);
        loop {
            let lead = *bytes.get(at)?;
            if lead & 0xC0 == 0x80 {
                // A text below 64 bytes. Members of one collection differ at their ends rather than at their starts,
                // so the last byte saves most of the calls that compare texts.
                let length = usize::from(lead & 0x3F);
                if length == wanted.len() {
                    let text = bytes.get(at + 1..at + 1 + length)?;
                    if text.last() == last_byte && text == wanted {
                        return Some(at);
                    }
                }
                at += length + 2;
            } else {
                let (item, size) = decode(bytes, at)?;
                let is_equal = match item {
                    Item::Int(value) => wanted_int == Some(value),
                    Item::Bytes(text) => text == wanted,
                };
                if is_equal {
                    return Some(at);
                }
                at += size + back_bytes(size);
            }
            for _ in 0..skip {
                at += whole_bytes(bytes, at)?;
            }
        }
    }

    /// Walks over all items, from both ends.
    #[inline]
    pub fn iter(&self) -> Items<'a> {
        self.items_from(HEADER_BYTES)
    }

    /// Walks over the items from a position to the last one.
    #[inline]
    pub fn items_from(&self, at: usize) -> Items<'a> {
        Items { list: *self, front: at, back: self.end() }
    }

    /// Position of the end mark.
    #[inline]
    fn end(&self) -> usize {
        self.bytes.len().saturating_sub(1)
    }

    #[inline]
    fn is_item(&self, at: usize) -> bool {
        self.bytes.get(at).is_some_and(|lead| *lead != END)
    }

    #[inline]
    fn header_count(&self) -> u16 {
        match self.bytes {
            [_, _, _, _, low, high, ..] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        }
    }

    #[cold]
    fn count_items(&self) -> usize {
        let (mut at, mut count) = (HEADER_BYTES, 0);
        while let Some(size) = whole_bytes(self.bytes, at) {
            (at, count) = (at + size, count + 1);
        }
        count
    }
}

/// Items of a listpack, walked over from both ends.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    list: ListpackRef<'a>,
    /// Position of what `next` gives.
    front: usize,
    /// End of what `next_back` gives; nothing is left when `front` has reached it.
    back: usize,
}

impl Items<'_> {
    /// Position of the item that `next` gives; without one, where the walk ended.
    #[inline]
    pub fn position(&self) -> usize {
        self.front
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (item, size) = decode(self.list.bytes, self.front)?;
        self.front += size + back_bytes(size);
        Some(item)
    }
}

impl DoubleEndedIterator for Items<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.list.previous(self.back).unwrap_or(self.front);
        decode(self.list.bytes, self.back).map(|(item, _)| item)
    }
}

/// A listpack of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listpack(
    /// Invariant: at least 7 bytes, the last one the end mark.
    Vec<u8>,
);

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Self {
        Self(EMPTY.to_vec())
    }

    /// An empty one with room for `bytes` in all, header included.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes.max(EMPTY.len()));
        buffer.extend_from_slice(&EMPTY);
        Self(buffer)
    }

    /// Takes trusted bytes over as they are, with their spare room.
    #[inline]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        if bytes.len() < EMPTY.len() { Self::new() } else { Self(bytes) }
    }

    /// Its bytes, for keeping.
    #[inline]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For reading.
    #[inline]
    pub fn view(&self) -> ListpackRef<'_> {
        ListpackRef { bytes: &self.0 }
    }

    /// Number of items. O(1) below 65535, else it counts them.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len() <= EMPTY.len()
    }

    /// Bytes of the encoding, header and end mark included.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of memory it owns: the encoding and spare room.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Gives spare room back.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Whether it may grow by `bytes` more; Redis's bound, which callers with unbounded contents keep.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.0.len().saturating_add(bytes) <= LISTPACK_BYTES_MAX
    }

    /// Bytes an item with this text takes.
    #[inline]
    pub fn item_bytes(text: &[u8]) -> usize {
        Encoded::new(text).whole()
    }

    /// Adds a text at the end.
    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.append(&Encoded::new(text));
    }

    /// Adds an integer at the end.
    #[inline]
    pub fn push_back_int(&mut self, value: i64) {
        self.append(&Encoded::int(value));
    }

    /// Adds an item at the end, as it is kept elsewhere.
    #[inline]
    pub fn push_back_item(&mut self, item: Item<'_>) {
        self.append(&Encoded::item(item));
    }

    /// Adds a text before the first item. Moves all items once.
    #[inline]
    pub fn push_front(&mut self, text: &[u8]) {
        self.insert_before(HEADER_BYTES, text);
    }

    /// Adds an item before the first one, as it is kept elsewhere.
    #[inline]
    pub fn push_front_item(&mut self, item: Item<'_>) {
        self.put(HEADER_BYTES, 0, &Encoded::item(item));
        self.count(1);
    }

    /// Adds a text before the item at `at`; returns its position (that is `at`).
    pub fn insert_before(&mut self, at: usize, text: &[u8]) -> usize {
        let at = self.put(at, 0, &Encoded::new(text));
        self.count(1);
        at
    }

    /// Adds a text after the item at `at`; returns its position.
    pub fn insert_after(&mut self, at: usize, text: &[u8]) -> usize {
        let size = whole_bytes(&self.0, at).unwrap_or(0);
        self.insert_before(at + size, text)
    }

    /// Puts a text in the place of the item at `at`; returns its position (that is `at`).
    pub fn replace(&mut self, at: usize, text: &[u8]) -> usize {
        self.put(at, whole_bytes(&self.0, at).unwrap_or(0), &Encoded::new(text))
    }

    /// Puts an integer in the place of the item at `at`; returns its position (that is `at`).
    pub fn replace_int(&mut self, at: usize, value: i64) -> usize {
        self.put(at, whole_bytes(&self.0, at).unwrap_or(0), &Encoded::int(value))
    }

    /// Removes the item at `at`; returns the position of what follows it.
    #[inline]
    pub fn remove(&mut self, at: usize) -> Option<usize> {
        self.remove_many(at, 1)
    }

    /// Removes up to `count` items from `at` on; returns the position of what follows them.
    pub fn remove_many(&mut self, at: usize, count: usize) -> Option<usize> {
        if at < HEADER_BYTES {
            return None;
        }
        let (mut to, mut removed) = (at, 0);
        while removed < count
            && let Some(size) = whole_bytes(&self.0, to)
        {
            (to, removed) = (to + size, removed + 1);
        }
        if removed > 0 {
            self.0.drain(at..to.min(self.end()));
            self.count(-i64::try_from(removed).unwrap_or(0));
        }
        (at < self.end()).then_some(at)
    }

    /// Adds all items of another one at the end: one copy.
    pub fn append_all(&mut self, other: ListpackRef<'_>) {
        let items = other.bytes.get(HEADER_BYTES..other.end()).unwrap_or(&[]);
        let count = self.len() + other.len();
        let end = self.end();
        self.0.truncate(end);
        self.0.reserve(items.len() + 1);
        self.0.extend_from_slice(items);
        self.0.push(END);
        self.set_header_count(count);
    }

    /// Cuts the items from `at` on off and returns them.
    pub fn split_off(&mut self, at: usize) -> Listpack {
        let end = self.end();
        let at = at.clamp(HEADER_BYTES, end);
        let mut tail = Self::with_capacity(self.0.len() - at + HEADER_BYTES);
        tail.0.truncate(HEADER_BYTES);
        tail.0.extend_from_slice(&self.0[at..]);
        self.0.truncate(at);
        self.0.push(END);
        for half in [self, &mut tail] {
            half.set_header_count(half.view().count_items());
        }
        tail
    }

    #[inline]
    fn end(&self) -> usize {
        self.0.len() - 1
    }

    #[inline]
    fn append(&mut self, item: &Encoded<'_>) {
        // One reservation for all, so that the appends below are plain copies.
        self.0.reserve(item.whole());
        if let [lead] = item.head() {
            let end = self.end();
            self.0[end] = *lead;
        } else {
            self.0.pop();
            self.0.extend_from_slice(item.head());
        }
        self.0.extend_from_slice(item.text);
        let size = item.size();
        if size < 128 {
            self.0.push(size as u8);
        } else {
            let (back, count) = encode_back(size);
            self.0.extend_from_slice(&back[5 - count..]);
        }
        self.0.push(END);
        self.count(1);
    }

    /// Writes an item over `replaced` bytes at `at`; the caller counts. A position behind the end is the end.
    fn put(&mut self, at: usize, replaced: usize, item: &Encoded<'_>) -> usize {
        let at = at.clamp(HEADER_BYTES, self.end());
        let replaced = replaced.min(self.end() - at);
        let (whole, before) = (item.whole(), self.0.len());
        if whole > replaced {
            self.0.resize(before + whole - replaced, 0);
            self.0.copy_within(at + replaced..before, at + whole);
        } else if whole < replaced {
            self.0.copy_within(at + replaced.., at + whole);
            self.0.truncate(before - (replaced - whole));
        }
        item.write(&mut self.0[at..at + whole]);
        self.count(0);
        at
    }

    /// Brings the header up to date after a change by so many items.
    #[inline]
    fn count(&mut self, change: i64) {
        let total = u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(header) = self.0.first_chunk_mut::<HEADER_BYTES>() {
            header[..4].copy_from_slice(&total);
            let count = u16::from_le_bytes([header[4], header[5]]);
            if count != COUNT_UNKNOWN {
                let count = (i64::from(count) + change).clamp(0, i64::from(COUNT_UNKNOWN));
                header[4..].copy_from_slice(&(count as u16).to_le_bytes());
            }
        }
    }

    fn set_header_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN).to_le_bytes();
        self.0[4..HEADER_BYTES].copy_from_slice(&count);
        self.count(0);
    }
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
