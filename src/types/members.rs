//! Elements found by name: what big hashes, sets and sorted sets keep their elements in.
//!
//! A [`Table`] of places finds an element in an [`Arena`]. Its bytes are, by [`Shape`]:
//!
//! ```text
//!   Bare      [name length: varint][name]
//!   Fixed(n)  [payload: n bytes][name length: varint][name]
//!   Paired    [name length: varint][name][value length: varint][value]
//! ```
//!
//! Promise: no operation takes time in proportion to the number of elements. The table grows and shrinks by a bucket
//! or two per write; gaps are closed a few elements per write by [`Members::tidy`], which tells what it moved. Ids
//! are valid until then. Cost: about 8.3 bytes of table per element, and the bytes above rounded up to 4; a lookup
//! is two cache misses.
use super::arena::{Arena, Place, slot_bytes};
use super::table::{Slot, Table};
use crate::base::hash::{Key, KeyHasher};
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::base::random::Random;

/// Buckets one write may split or merge.
const RESIZE_STEPS: usize = 2;
/// Slots one write may look after while gaps are closed: each makes gaps of at most one slot, and a chunk worth
/// emptying has one slot in four or five unused.
const TIDY_STEPS: usize = 6;
/// Gaps of sorted sets are up to one part in so many. With a fifth, as others have, ZPOPMIN took three times as long.
const ORDERED_GAP_PARTS: usize = 2;
/// Longest varint of a length.
const VARINT_MAX: usize = 5;

/// What an element consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A name.
    Bare,
    /// A name and so many bytes.
    Fixed(usize),
    /// A name and a value of any length.
    Paired,
}

/// An element, until the next [`Members::tidy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberId(u32);

impl MemberId {
    /// The number to keep it as; never 0.
    #[inline]
    #[must_use]
    pub fn raw(self) -> u32 {
        self.0
    }

    /// The id of this number, which came from [`MemberId::raw`].
    #[inline]
    #[must_use]
    pub fn from_raw(raw: u32) -> MemberId {
        MemberId(raw)
    }

    #[inline]
    fn place(self) -> Place {
        Place::from_raw(self.0)
    }
}

/// Where the parts of an element are, from its start.
#[derive(Clone, Copy)]
struct Parts {
    name: (usize, usize),
    payload: (usize, usize),
    end: usize,
}

/// A collection of elements. See the head of the file.
pub struct Members {
    table: Table,
    arena: Arena,
    hasher: KeyHasher,
    shape: Shape,
}

impl std::fmt::Debug for Members {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Members").field("shape", &self.shape).field("len", &self.len()).finish()
    }
}

impl Members {
    /// With no element; allocates nothing.
    #[must_use]
    pub fn new(hasher: &KeyHasher, shape: Shape) -> Members {
        let arena = match shape {
            // Who keeps an order of elements has to look for each that moves.
            Shape::Fixed(_) => Arena::with_gaps(ORDERED_GAP_PARTS),
            Shape::Bare | Shape::Paired => Arena::new(),
        };
        Members { table: Table::new(), arena, hasher: hasher.clone(), shape }
    }

    /// An empty collection of the same shape and hash.
    #[must_use]
    pub fn successor(&self) -> Members {
        Members::new(&self.hasher, self.shape)
    }

    /// Number of elements.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Memory of all of it. O(1).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.arena.bytes()
    }

    /// A name with its hash, for [`Members::find_key`] and [`Members::insert_key`].
    #[inline]
    #[must_use]
    pub fn key<'n>(&self, name: &'n [u8]) -> Key<'n> {
        self.hasher.key(name)
    }

    /// The element of a name.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<MemberId> {
        self.find_key(self.key(name))
    }

    /// As [`Members::find`], of a name hashed before.
    #[inline]
    #[must_use]
    pub fn find_key(&self, key: Key<'_>) -> Option<MemberId> {
        self.slot_of(key).map(|slot| MemberId(slot.handle))
    }

    /// Asks the processor for the bucket of a name that will be looked up soon, and gives the name's hash.
    #[inline]
    pub fn prefetch_bucket(&self, name: &[u8]) -> u64 {
        let hash = self.hasher.hash(name);
        self.table.prefetch_bucket(hash);
        hash
    }

    /// Asks the processor for the element of a name whose bucket has been prefetched.
    #[inline]
    pub fn prefetch_element(&self, hash: u64) {
        self.table.candidates(hash, |handle| self.arena.prefetch(Place::from_raw(handle)));
    }

    #[inline]
    fn slot_of(&self, key: Key<'_>) -> Option<Slot> {
        self.table.find(key.hash, |handle| self.name(MemberId(handle)) == key.bytes)
    }

    /// The name of an element.
    #[inline]
    #[must_use]
    pub fn name(&self, id: MemberId) -> &[u8] {
        let bytes = self.arena.from(id.place());
        let start = if let Shape::Fixed(payload) = self.shape { payload } else { 0 };
        let (length, at) = varint(bytes, start);
        bytes.get(at..at + length).unwrap_or(&[])
    }

    /// The payload of an element: its bytes of fixed size, or its value.
    #[inline]
    #[must_use]
    pub fn payload(&self, id: MemberId) -> &[u8] {
        let bytes = self.arena.from(id.place());
        let (start, length) = self.parts(bytes).payload;
        bytes.get(start..start + length).unwrap_or(&[])
    }

    /// Name and payload of an element.
    #[inline]
    #[must_use]
    pub fn both(&self, id: MemberId) -> (&[u8], &[u8]) {
        let bytes = self.arena.from(id.place());
        let Parts { name, payload, .. } = self.parts(bytes);
        let cut = |(start, length): (usize, usize)| bytes.get(start..start + length).unwrap_or(&[]);
        (cut(name), cut(payload))
    }

    /// The payload, to be written in place.
    #[inline]
    pub fn payload_mut(&mut self, id: MemberId) -> &mut [u8] {
        let (start, length) = self.parts(self.arena.from(id.place())).payload;
        self.arena.from_mut(id.place()).get_mut(start..start + length).unwrap_or(&mut [])
    }

    /// Adds an element whose name is not there yet.
    pub fn insert(&mut self, name: &[u8], payload: &[u8]) -> Result<MemberId, OutOfMemory> {
        self.insert_key(self.key(name), payload)
    }

    /// As [`Members::insert`], of a name hashed before.
    pub fn insert_key(&mut self, key: Key<'_>, payload: &[u8]) -> Result<MemberId, OutOfMemory> {
        let place = self.add(key.bytes, payload)?;
        if let Err(error) = self.table.insert(key.hash, place.raw(), false) {
            self.arena.remove(place, self.parts(self.arena.from(place)).end);
            return Err(error);
        }
        for _ in 0..RESIZE_STEPS {
            if self.table.grows().is_none() {
                break;
            }
            let (arena, hasher, shape) = (&self.arena, &self.hasher, self.shape);
            self.table.grow(|_| {}, |handle| hasher.hash(name_in(arena, shape, handle)));
        }
        Ok(MemberId(place.raw()))
    }

    /// Gives an element another payload; its id may be another one afterwards.
    pub fn set_payload(&mut self, id: MemberId, payload: &[u8]) -> Result<MemberId, OutOfMemory> {
        let bytes = self.arena.from(id.place());
        let parts = self.parts(bytes);
        let (start, length) = parts.payload;
        let is_fixed = self.shape != Shape::Paired;
        if is_fixed || length == payload.len() {
            self.payload_mut(id).copy_from_slice(payload);
            return Ok(id);
        }
        let name = bytes.get(parts.name.0..parts.name.0 + parts.name.1).unwrap_or(&[]);
        let head = start - varint_len(length);
        let end = head + varint_len(payload.len()) + payload.len();
        if slot_bytes(end) == slot_bytes(parts.end) {
            let mut digits = [0; VARINT_MAX];
            let digits = write_varint(&mut digits, payload.len());
            let target = self.arena.from_mut(id.place());
            target[head..head + digits.len()].copy_from_slice(digits);
            target[end - payload.len()..end].copy_from_slice(payload);
            return Ok(id);
        }
        let hash = self.hasher.hash(name);
        let Some(slot) = self.table.find(hash, |handle| handle == id.0) else { return Ok(id) };
        let name = name.to_vec();
        let place = self.add(&name, payload)?;
        self.table.replace(slot, place.raw());
        self.arena.remove(id.place(), parts.end);
        Ok(MemberId(place.raw()))
    }

    /// Takes an element out.
    pub fn remove(&mut self, id: MemberId) {
        let bytes = self.arena.from(id.place());
        let end = self.parts(bytes).end;
        let hash = self.hasher.hash(self.name(id));
        let Some(slot) = self.table.find(hash, |handle| handle == id.0) else { return };
        self.remove_slot(slot, end);
    }

    /// Takes the element of a name out; false where there is none.
    pub fn remove_name(&mut self, name: &[u8]) -> bool {
        let Some(slot) = self.slot_of(self.key(name)) else { return false };
        let end = self.parts(self.arena.from(Place::from_raw(slot.handle))).end;
        self.remove_slot(slot, end);
        true
    }

    fn remove_slot(&mut self, slot: Slot, end: usize) {
        self.table.remove(slot);
        self.arena.remove(Place::from_raw(slot.handle), end);
        for _ in 0..RESIZE_STEPS {
            if self.table.shrinks().is_none() {
                break;
            }
            self.table.shrink();
        }
    }

    /// Closes gaps, a few elements at a time; to be called once at the end of every write. Tells which elements have
    /// another id now. A write of many elements calls it as often.
    pub fn tidy(&mut self, moved: impl FnMut(MemberId, MemberId)) {
        if self.arena.is_sparse() {
            self.close_gaps(TIDY_STEPS, moved);
        }
    }

    /// Whether there are so many gaps that [`Members::tidy_idle`] should be called.
    #[inline]
    #[must_use]
    pub fn is_gappy(&self) -> bool {
        self.arena.is_worth_tidying()
    }

    /// Bytes filled and bytes in use: others than before wherever elements came or went.
    #[must_use]
    pub fn filling(&self) -> (usize, usize) {
        self.arena.filling()
    }

    /// As [`Members::tidy`], for a collection nobody writes: looks after up to `steps` slots; false when there are few
    /// gaps left.
    pub fn tidy_idle(&mut self, steps: usize, moved: impl FnMut(MemberId, MemberId)) -> bool {
        self.is_gappy() && self.close_gaps(steps, moved)
    }

    /// Looks after some slots; false if there is no memory for that.
    fn close_gaps(&mut self, steps: usize, mut moved: impl FnMut(MemberId, MemberId)) -> bool {
        for _ in 0..steps {
            let Some(place) = self.arena.victim() else { return true };
            let bytes = self.arena.from(place);
            let end = self.parts(bytes).end;
            let hash = self.hasher.hash(name_in(&self.arena, self.shape, place.raw()));
            if let Some(slot) = self.table.find(hash, |handle| handle == place.raw()) {
                let copy = bytes.get(..end).unwrap_or(&[]).to_vec();
                // Without memory the gaps stay.
                let Ok(fresh) = self.arena.add(&[&copy]) else { return false };
                self.table.replace(slot, fresh.raw());
                self.arena.pass(end);
                self.arena.remove(place, end);
                moved(MemberId(place.raw()), MemberId(fresh.raw()));
            } else {
                self.arena.pass(end);
            }
        }
        true
    }

    /// As [`Members::tidy`], after an element was taken out, for who pays much for each that moves: while a
    /// collection only shrinks, gaps are left until they are three quarters of everything.
    pub fn tidy_late(&mut self, moved: impl FnMut(MemberId, MemberId)) {
        if self.arena.is_nearly_empty() {
            self.tidy(moved);
        }
    }

    /// One step of an iteration that survives changes, with Redis's cursor: see [`Table::scan`].
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(MemberId)) -> u64 {
        self.table.scan(cursor, |handle| visit(MemberId(handle)))
    }

    /// An element, each equally likely.
    pub fn random(&self, random: &mut Random) -> Option<MemberId> {
        self.table.random(&mut |n| random.below(n)).map(MemberId)
    }

    /// Number of buckets, for [`Members::visit_bucket`].
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.table.buckets()
    }

    /// Calls `visit` with the elements of a bucket, about nine of them. While nothing is written, going through all
    /// buckets visits each element once.
    #[inline]
    pub fn visit_bucket(&self, bucket: usize, mut visit: impl FnMut(MemberId)) {
        self.table.visit_bucket(bucket, |handle, _| visit(MemberId(handle)));
    }

    fn add(&mut self, name: &[u8], payload: &[u8]) -> Result<Place, OutOfMemory> {
        if name.len().max(payload.len()) > u32::MAX as usize {
            return Err(OutOfMemory);
        }
        let (mut first, mut second) = ([0; VARINT_MAX], [0; VARINT_MAX]);
        let name_len = write_varint(&mut first, name.len());
        match self.shape {
            Shape::Bare => self.arena.add(&[name_len, name]),
            Shape::Fixed(_) => self.arena.add(&[payload, name_len, name]),
            Shape::Paired => {
                let value_len = write_varint(&mut second, payload.len());
                self.arena.add(&[name_len, name, value_len, payload])
            }
        }
    }

    #[inline]
    fn parts(&self, bytes: &[u8]) -> Parts {
        let fixed = if let Shape::Fixed(payload) = self.shape { payload } else { 0 };
        let (length, start) = varint(bytes, fixed);
        let name = (start, length);
        let end = start + length;
        if self.shape != Shape::Paired {
            return Parts { name, payload: (0, fixed), end };
        }
        let (length, start) = varint(bytes, end);
        Parts { name, payload: (start, length), end: start + length }
    }
}

impl Garbage for Members {
    /// A unit is 64 KiB of table or elements.
    fn free_slice(&mut self, units: usize) -> Progress {
        if self.arena.free_slice(units) && self.table.dismantle(units) {
            Progress::Done
        } else {
            Progress::More
        }
    }
}

#[inline]
fn name_in(arena: &Arena, shape: Shape, handle: u32) -> &[u8] {
    let bytes = arena.from(Place::from_raw(handle));
    let start = if let Shape::Fixed(payload) = shape { payload } else { 0 };
    let (length, at) = varint(bytes, start);
    bytes.get(at..at + length).unwrap_or(&[])
}

/// The number at `at`, seven bits a byte, lowest first, and where it ends.
#[inline]
fn varint(bytes: &[u8], at: usize) -> (usize, usize) {
    let first = bytes.get(at).copied().unwrap_or(0);
    if first < 128 {
        return (usize::from(first), at + 1);
    }
    let (mut value, mut end) = (usize::from(first & 0x7f), at + 1);
    for shift in (7..35).step_by(7) {
        let byte = bytes.get(end).copied().unwrap_or(0);
        value |= usize::from(byte & 0x7f) << shift;
        end += 1;
        if byte < 128 {
            break;
        }
    }
    (value, end)
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[inline]
fn write_varint(buffer: &mut [u8; VARINT_MAX], mut value: usize) -> &[u8] {
    let mut length = 0;
    while value >= 128 && length < VARINT_MAX - 1 {
        buffer[length] = value as u8 | 128;
        value >>= 7;
        length += 1;
    }
    buffer[length] = value as u8;
    &buffer[..=length]
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
