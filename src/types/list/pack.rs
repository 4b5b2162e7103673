//! A listpack with room at both ends: the node of a list that costs O(1) at either end.
//!
//! ```text
//!   buffer  | room | total: u32 | items: u16 | item … item | 0xFF | room |
//!                  ^ start
//! ```
//!
//! The bytes between the rooms are a listpack as Redis writes it, ready to be read and dumped; LPUSH and LPOP move its
//! six header bytes and nothing else. A change in the middle moves the shorter side. Room is an eighth of the
//! content and less near the size where a node is full; a node that is no end of its list has none.
use crate::base::memory::allocation_bytes;
use crate::types::list::End;
use crate::types::listpack::ListpackRef;
use crate::types::listpack_item::Encoded;

/// Bytes before the first item.
const HEADER_BYTES: usize = 6;
/// A listpack without items.
pub(super) const EMPTY: [u8; HEADER_BYTES + 1] = [HEADER_BYTES as u8 + 1, 0, 0, 0, 0, 0, 0xFF];

/// A listpack that grows and shrinks at both ends.
#[derive(Debug, Default)]
pub struct Pack {
    /// Empty: there are no items, and no memory.
    buffer: Box<[u8]>,
    /// Where the listpack begins.
    start: u32,
    /// How many items. Also in the header, where that can say it.
    count: u32,
}

impl Pack {
    /// A copy of a listpack, without room.
    pub fn of(view: ListpackRef<'_>) -> Pack {
        let count = view.len() as u32;
        if count == 0 {
            return Pack::default();
        }
        Pack { buffer: view.as_bytes().into(), start: 0, count }
    }

    /// The bytes of a listpack of so many items, at least one.
    pub fn from_bytes(bytes: Vec<u8>, items: u32) -> Pack {
        Pack { buffer: bytes.into_boxed_slice(), start: 0, count: items }
    }

    /// How many items.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Length of the listpack in bytes.
    #[inline]
    pub fn total(&self) -> usize {
        match self.buffer.get(self.start as usize..) {
            Some([a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
            _ => EMPTY.len(),
        }
    }

    #[inline]
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.total()
    }

    /// The listpack.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.range()).unwrap_or(&EMPTY)
    }

    /// The listpack, for reading.
    #[inline]
    pub fn view(&self) -> ListpackRef<'_> {
        ListpackRef::new(self.as_bytes())
    }

    /// Memory it owns.
    #[inline]
    pub fn footprint(&self) -> usize {
        allocation_bytes(self.buffer.len())
    }

    /// Adds an item at one end. `full` is the size in bytes at which no more are added.
    #[inline]
    pub fn push(&mut self, end: End, item: &Encoded<'_>, full: usize) {
        let at = match end {
            End::Front => HEADER_BYTES,
            End::Back => self.total() - 1,
        };
        self.splice(at, 0, Some(item), full);
        self.count(1);
    }

    /// Removes the item at one end.
    #[inline]
    pub fn pop(&mut self, end: End) {
        let view = self.view();
        let at = match end {
            End::Front => view.first(),
            End::Back => view.last(),
        };
        if let Some(at) = at {
            self.remove_span(at, self.end_of(at), 1);
        }
    }

    /// Puts an item before the one at `index`, or behind the last one. O(n).
    pub fn insert(&mut self, index: usize, item: &Encoded<'_>, full: usize) {
        self.splice(self.position(index), 0, Some(item), full);
        self.count(1);
    }

    /// Puts an item in the place of the one at `index`. O(n).
    pub fn replace(&mut self, index: usize, item: &Encoded<'_>, full: usize) {
        let at = self.position(index);
        self.splice(at, self.end_of(at) - at, Some(item), full);
        self.count(0);
    }

    /// Removes up to `count` items from `index` on. O(n).
    pub fn remove(&mut self, index: usize, count: usize) {
        let count = count.min(self.len().saturating_sub(index));
        self.remove_span(self.position(index), self.position(index + count), count);
    }

    /// Removes items by where each begins, in ascending order: one pass over what follows.
    pub fn remove_all(&mut self, positions: &[usize]) {
        let (Some(&first), total) = (positions.first(), self.total()) else { return };
        let start = self.start as usize;
        let mut to = first;
        for (index, &at) in positions.iter().enumerate() {
            let from = self.end_of(at);
            let until = positions.get(index + 1).copied().unwrap_or(total);
            self.buffer.copy_within(start + from..start + until, start + to);
            to += until - from;
        }
        self.set_total(to);
        self.count(-(positions.len() as i64));
        self.tidy();
    }

    /// Cuts the items from `index` on off. O(n).
    pub fn split_off(&mut self, index: usize) -> Pack {
        let at = self.position(index);
        let items = self.as_bytes().get(at..self.total() - 1).unwrap_or(&[]);
        let count = self.len().saturating_sub(index);
        let behind = Pack::of_items(&[items], count);
        self.remove_span(at, self.total() - 1, count);
        self.seal();
        behind
    }

    /// Takes over all items of the one that follows. O(n).
    pub fn append(&mut self, next: &Pack) {
        let inner = |pack: &Pack| HEADER_BYTES..pack.total() - 1;
        let (own, other) = (&self.as_bytes()[inner(self)], &next.as_bytes()[inner(next)]);
        *self = Pack::of_items(&[own, other], self.len() + next.len());
    }

    /// Gives all room back. At most one move.
    pub fn seal(&mut self) {
        if allocation_bytes(self.buffer.len()) > allocation_bytes(self.total()) {
            let range = self.range();
            let length = range.len();
            let mut bytes = std::mem::take(&mut self.buffer).into_vec();
            bytes.copy_within(range, 0);
            bytes.truncate(length);
            self.start = 0;
            self.buffer = bytes.into_boxed_slice();
        }
    }

    fn of_items(parts: &[&[u8]], count: usize) -> Pack {
        if count == 0 {
            return Pack::default();
        }
        let length = EMPTY.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let mut buffer = Vec::with_capacity(length);
        buffer.extend_from_slice(&EMPTY[..HEADER_BYTES]);
        parts.iter().for_each(|part| buffer.extend_from_slice(part));
        buffer.push(0xFF);
        let mut pack = Pack { buffer: buffer.into_boxed_slice(), start: 0, count: 0 };
        pack.set_total(length);
        pack.count(count as i64);
        pack
    }

    /// Where the item at `index` begins; behind the last one, the end mark.
    fn position(&self, index: usize) -> usize {
        self.view().seek(index as i64).unwrap_or(self.total() - 1)
    }

    /// Where the item that begins at `at` ends.
    #[inline]
    fn end_of(&self, at: usize) -> usize {
        self.view().next(at).unwrap_or(self.total() - 1)
    }

    fn remove_span(&mut self, from: usize, to: usize, count: usize) {
        if count == 0 {
            return;
        }
        self.splice(from, to - from, None, 0);
        self.count(-(count as i64));
        self.tidy();
    }

    /// After a removal: no items, no memory; few items in much memory, less of it.
    #[inline]
    fn tidy(&mut self) {
        if self.count == 0 {
            *self = Pack::default();
        } else if self.buffer.len() > 256 && self.total() < self.buffer.len() / 2 {
            self.seal();
        }
    }

    /// Puts an item over `removed` bytes at `at`. The caller counts.
    fn splice(&mut self, at: usize, removed: usize, item: Option<&Encoded<'_>>, full: usize) {
        let inserted = item.map_or(0, Encoded::whole);
        let total = self.total();
        let behind = total - at - removed;
        if inserted <= removed {
            let less = removed - inserted;
            let start = self.start as usize;
            if at <= behind {
                self.buffer.copy_within(start..start + at, start + less);
                self.start += less as u32;
            } else {
                let from = start + at + removed;
                self.buffer.copy_within(from..from + behind, start + at + inserted);
            }
        } else {
            let more = inserted - removed;
            self.make_room(at <= behind, more, full);
            let start = self.start as usize;
            if at <= behind {
                self.buffer.copy_within(start..start + at, start - more);
                self.start -= more as u32;
            } else {
                let from = start + at + removed;
                self.buffer.copy_within(from..from + behind, from + more);
            }
        }
        self.set_total(total - removed + inserted);
        let place = self.start as usize + at;
        if let (Some(item), Some(place)) = (item, self.buffer.get_mut(place..place + inserted)) {
            item.write(place);
        }
    }

    /// Sees to it that there are `more` bytes of room before the listpack, or behind it.
    #[inline]
    fn make_room(&mut self, is_before: bool, more: usize, full: usize) {
        let before = self.start as usize;
        let behind = self.buffer.len().saturating_sub(before + self.total());
        if more > if is_before { before } else { behind } {
            self.shift(is_before, more, full);
        }
    }

    #[cold]
    fn shift(&mut self, is_before: bool, more: usize, full: usize) {
        let total = self.total();
        let wanted = total + more;
        let spare = self.buffer.len().saturating_sub(total);
        if spare >= more && spare >= total / 8 && !self.buffer.is_empty() {
            // There is room at the other end: half of it comes over, so that the next such move is far.
            let start = if is_before { (more + spare).div_ceil(2) } else { (spare - more) / 2 };
            self.buffer.copy_within(self.range(), start);
            self.start = start as u32;
            return;
        }
        let room = room_for(wanted, full);
        let bytes = if is_before || self.buffer.is_empty() {
            let mut bytes = vec![0; room];
            let start = if is_before { room - total } else { 0 };
            bytes[start..start + total].copy_from_slice(self.as_bytes());
            self.start = start as u32;
            bytes
        } else {
            let range = self.range();
            let mut bytes = std::mem::take(&mut self.buffer).into_vec();
            if range.start > 0 {
                bytes.copy_within(range, 0);
                self.start = 0;
            }
            bytes.truncate(total);
            bytes.reserve_exact(room - total);
            bytes.resize(room, 0);
            bytes
        };
        self.buffer = bytes.into_boxed_slice();
    }

    #[inline]
    fn set_total(&mut self, total: usize) {
        let start = self.start as usize;
        if let Some(place) = self.buffer.get_mut(start..start + 4) {
            place.copy_from_slice(&(total as u32).to_le_bytes());
        }
    }

    #[inline]
    fn count(&mut self, change: i64) {
        self.count = (i64::from(self.count) + change) as u32;
        let start = self.start as usize;
        if let Some(place) = self.buffer.get_mut(start + 4..start + HEADER_BYTES) {
            let shown = u16::try_from(self.count).unwrap_or(u16::MAX);
            place.copy_from_slice(&shown.to_le_bytes());
        }
    }
}

/// Bytes to allocate for so many in use: an eighth more, but not beyond the size of a full node, and what the
/// allocator rounds up to.
fn room_for(wanted: usize, full: usize) -> usize {
    // A block of n bytes costs n + 8, rounded up to a multiple of 16.
    let rounded = |bytes: usize| ((bytes + 7) & !15) + 8;
    let room = rounded((wanted + (wanted / 8).max(48)).min(full).max(wanted));
    // A full node is whole pages, which leave memory when it does.
    if room + 16 > full { full.max(wanted) } else { room }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
