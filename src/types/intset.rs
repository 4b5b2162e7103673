//! Intset: a sorted set of integers in one buffer, byte for byte as Redis 7.0 writes it.
//!
//! ```text
//! | width: u32 (2, 4 or 8) | count: u32 | integer … integer |   all little endian, ascending, each `width` bytes
//! ```
//! The width is the smallest that holds every integer ever added: it grows, and does not shrink again.
//!
//! Promise: reading never panics and never leaves the buffer, whatever the bytes are.
//! Cost: a look is O(log n), a change moves what follows it once, a wider integer rewrites all.

use crate::types::listpack::Corrupt;

const HEADER_BYTES: usize = 8;

/// An intset to be read.
#[derive(Clone, Copy, Debug)]
pub struct IntsetRef<'a> {
    bytes: &'a [u8],
}

impl<'a> IntsetRef<'a> {
    /// Reads trusted bytes: our own, or checked ones.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Checks bytes from outside: the header, that it is not empty, and that the integers ascend. Returns their number.
    /// O(n).
    pub fn check(bytes: &[u8]) -> Result<usize, Corrupt> {
        let count = Self::check_header(bytes)?;
        let is_ascending = IntsetRef { bytes }.iter().is_sorted_by(|left, right| left < right);
        if is_ascending { Ok(count) } else { Err(Corrupt) }
    }

    /// Checks what Redis checks without `sanitize-dump-payload`: the header and that it is not empty. O(1).
    pub fn check_header(bytes: &[u8]) -> Result<usize, Corrupt> {
        let list = IntsetRef { bytes };
        let count = list.header_field(4).ok_or(Corrupt)?;
        let width = list.width();
        let is_sound = matches!(width, 2 | 4 | 8) && count > 0;
        if is_sound && count * width + HEADER_BYTES == bytes.len() {
            Ok(count)
        } else {
            Err(Corrupt)
        }
    }

    /// All of it, header included.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of integers.
    #[inline]
    pub fn len(&self) -> usize {
        self.header_field(4).unwrap_or(0)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer with this index, in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let rest = self.bytes.get(HEADER_BYTES + index.checked_mul(width)?..)?;
        Some(match width {
            2 => i64::from(i16::from_le_bytes(*rest.first_chunk()?)),
            4 => i64::from(i32::from_le_bytes(*rest.first_chunk()?)),
            8 => i64::from_le_bytes(*rest.first_chunk()?),
            _ => return None,
        })
    }

    /// Index of an integer.
    #[inline]
    pub fn find(&self, value: i64) -> Option<usize> {
        self.search(value).ok()
    }

    /// Whether it is in.
    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// All integers, ascending.
    #[inline]
    pub fn iter(&self) -> Integers<'a> {
        Integers { set: *self, front: 0, back: self.len() }
    }

    /// The index of an integer, or the one it would have.
    #[inline]
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Appending in order is common: one look tells.
        match high.checked_sub(1).and_then(|last| self.get(last)) {
            Some(last) if value > last => return Err(high),
            Some(_) => {}
            None => return Err(0),
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle) {
                Some(found) if found < value => low = middle + 1,
                Some(found) if found == value => return Ok(middle),
                _ => high = middle,
            }
        }
        Err(low)
    }

    #[inline]
    fn width(&self) -> usize {
        self.header_field(0).unwrap_or(0)
    }

    #[inline]
    fn header_field(&self, at: usize) -> Option<usize> {
        let header: &[u8; HEADER_BYTES] = self.bytes.first_chunk()?;
        let field: &[u8; 4] = header.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*field) as usize)
    }
}

/// Integers of an intset, walked over from both ends.
#[derive(Clone, Debug)]
pub struct Integers<'a> {
    set: IntsetRef<'a>,
    front: usize,
    back: usize,
}

impl Iterator for Integers<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        if self.front >= self.back {
            return None;
        }
        let value = self.set.get(self.front)?;
        self.front += 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.back - self.front))
    }
}

impl DoubleEndedIterator for Integers<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<i64> {
        if self.front >= self.back {
            return None;
        }
        self.back -= 1;
        self.set.get(self.back)
    }
}

/// An intset of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intset(
    /// Invariant: at least the header, with a width of 2, 4 or 8 and the count of what follows.
    Vec<u8>,
);

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Intset {
    /// An empty one.
    pub fn new() -> Self {
        Self(vec![2, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Takes trusted bytes over as they are, with their spare room.
    #[inline]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        if bytes.len() < HEADER_BYTES { Self::new() } else { Self(bytes) }
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
    pub fn view(&self) -> IntsetRef<'_> {
        IntsetRef { bytes: &self.0 }
    }

    /// Number of integers.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Bytes of the encoding.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of memory it owns: the encoding and spare room.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Index of an integer.
    #[inline]
    pub fn find(&self, value: i64) -> Option<usize> {
        self.view().find(value)
    }

    /// The integer with this index, in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        self.view().get(index)
    }

    /// All integers, ascending.
    #[inline]
    pub fn iter(&self) -> Integers<'_> {
        self.view().iter()
    }

    /// Adds an integer; whether it was new.
    #[inline]
    pub fn insert(&mut self, value: i64) -> bool {
        if width_of(value) > self.view().width() {
            self.widen(value);
            return true;
        }
        let Err(index) = self.view().search(value) else {
            return false;
        };
        let width = self.view().width();
        let (at, end) = (HEADER_BYTES + index * width, self.0.len());
        let text = value.to_le_bytes();
        self.0.extend_from_slice(&text[..width]);
        if at < end {
            self.0.copy_within(at..end, at + width);
            self.0[at..at + width].copy_from_slice(&text[..width]);
        }
        self.set_len(self.len() + 1);
        true
    }

    /// Removes an integer; whether it was there.
    #[inline]
    pub fn remove(&mut self, value: i64) -> bool {
        match self.find(value) {
            Some(index) => self.remove_at(index).is_some(),
            None => false,
        }
    }

    /// Removes the integer with this index and returns it.
    pub fn remove_at(&mut self, index: usize) -> Option<i64> {
        let value = self.get(index)?;
        let width = self.view().width();
        let at = HEADER_BYTES + index * width;
        self.0.drain(at..at + width);
        self.set_len(self.len() - 1);
        Some(value)
    }

    /// Adds an integer that needs a greater width: it is below or above all others.
    fn widen(&mut self, value: i64) {
        let (width, count) = (width_of(value), self.len() + 1);
        let mut wide = Vec::with_capacity(HEADER_BYTES + count * width);
        wide.extend_from_slice(&(width as u32).to_le_bytes());
        wide.extend_from_slice(&(count as u32).to_le_bytes());
        let (before, after) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
        for value in before.into_iter().chain(self.iter()).chain(after) {
            wide.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.0 = wide;
    }

    #[inline]
    fn set_len(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    }
}

/// Bytes an integer needs.
#[inline]
fn width_of(value: i64) -> usize {
    match value {
        -0x8000..0x8000 => 2,
        -0x8000_0000..0x8000_0000 => 4,
        _ => 8,
    }
}

#[cfg(test)]
#[path = "intset_tests.rs"]
mod tests;
