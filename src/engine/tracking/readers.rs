//! Who may hold a copy of which key: the tracking table.
//!
//! Keys stand in a [`Members`] by name, since an invalidation has to name them and one that is to be forgotten is
//! chosen at random. A hash in its place would save the name and could say neither. The databases share the table, as
//! in Redis. The value of a key is its readers:
//!
//! ```text
//!   8 × n bytes, n ≤ 16   the readers, unordered: slot and low half of the id, little-endian
//!   4 bytes               more of them: the number of a crowd, a set beside the table
//! ```
//!
//! A client that goes away is not looked for: its entries say nothing any more once its slot is free or another's, and
//! go with their keys. (Only when 2^32 clients later one of the same low half comes to the same slot, it is told of a
//! key that it has not read, which does no harm.)
//!
//! Promise: no step in proportion to the number of keys; the table grows and shrinks by some buckets per write.
//! Cost: about 10 bytes per key, its name, and 8 bytes per reader, 40 in a crowd; some 100 ns to remember a read.
use std::collections::BTreeSet;

use slab::Slab;

use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::base::random::Random;
use crate::types::members::{MemberId, Members, Shape};

/// The most readers of a key that stand with it.
const FEW_MAX: usize = 16;
const READER_BYTES: usize = 8;

/// A client, as far as the table knows it. Ordered by arrival, as long as ids fit into 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reader(u64);

impl Reader {
    /// The client of this slot and id.
    #[must_use]
    pub fn new(slot: usize, id: u64) -> Reader {
        Reader(id << 32 | slot as u64 & 0xffff_ffff)
    }

    /// Its slot, which may be another's by now.
    #[must_use]
    pub fn slot(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    /// Whether this may be the id of the client that was meant.
    #[must_use]
    pub fn has_id(self, id: u64) -> bool {
        self.0 >> 32 == id & 0xffff_ffff
    }
}

/// The table. See the head of the file.
pub struct Readers {
    keys: Members,
    crowds: Slab<BTreeSet<Reader>>,
    items: usize,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Readers").field("keys", &self.len()).field("items", &self.items).finish()
    }
}

impl Readers {
    /// With no key; allocates nothing.
    #[must_use]
    pub fn new(hasher: &KeyHasher) -> Readers {
        let keys = Members::new(hasher, Shape::Paired);
        Readers { keys, crowds: Slab::new(), items: 0 }
    }

    /// Number of keys.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is remembered.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Readers of all keys, those that are gone included.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Remembers that a client has read a key. O(log readers). Without memory nothing is remembered: whoever asked has
    /// to tell the client that its copy is void.
    pub fn remember(&mut self, key: &[u8], reader: Reader) -> Result<(), OutOfMemory> {
        let Some(id) = self.keys.find(key) else {
            self.keys.insert(key, &reader.0.to_le_bytes())?;
            self.items += 1;
            self.keys.tidy(|_, _| {});
            return Ok(());
        };
        let known = self.keys.payload(id);
        if let Some(crowd) = crowd_of(known) {
            let is_new = self.crowds.get_mut(crowd).is_some_and(|crowd| crowd.insert(reader));
            self.items += usize::from(is_new);
            return Ok(());
        }
        if few(known).any(|other| other == reader) {
            return Ok(());
        }
        if known.len() < FEW_MAX * READER_BYTES {
            let mut more = [0; FEW_MAX * READER_BYTES];
            let end = known.len() + READER_BYTES;
            more[..known.len()].copy_from_slice(known);
            more[known.len()..end].copy_from_slice(&reader.0.to_le_bytes());
            self.keys.set_payload(id, &more[..end])?;
        } else {
            let crowd: BTreeSet<Reader> = few(known).chain([reader]).collect();
            self.begin_crowd(id, crowd)?;
        }
        self.items += 1;
        self.keys.tidy(|_, _| {});
        Ok(())
    }

    fn begin_crowd(&mut self, id: MemberId, crowd: BTreeSet<Reader>) -> Result<(), OutOfMemory> {
        let number = self.crowds.insert(crowd);
        let stored = u32::try_from(number).map_err(|_| OutOfMemory);
        let stored = stored.and_then(|stored| self.keys.set_payload(id, &stored.to_le_bytes()));
        if stored.is_err() {
            self.crowds.remove(number);
        }
        stored.map(drop)
    }

    /// Forgets a key and appends its readers to `readers`; false where it is not remembered. O(readers).
    #[inline]
    pub fn take(&mut self, key: &[u8], readers: &mut Vec<Reader>) -> bool {
        let Some(id) = self.keys.find(key) else { return false };
        let known = self.keys.payload(id);
        let before = readers.len();
        match crowd_of(known).and_then(|crowd| self.crowds.try_remove(crowd)) {
            Some(crowd) => readers.extend(crowd),
            None => readers.extend(few(known)),
        }
        self.items -= readers.len() - before;
        self.keys.remove(id);
        self.keys.tidy(|_, _| {});
        true
    }

    /// One of the keys, each equally likely.
    #[must_use]
    pub fn random_key(&self, random: &mut Random) -> Option<Vec<u8>> {
        self.keys.random(random).map(|id| self.keys.name(id).to_vec())
    }

    /// Forgets all keys; what it gives is to be freed in slices. O(1).
    #[must_use]
    pub fn clear(&mut self) -> Remains {
        let fresh = self.keys.successor();
        self.items = 0;
        let crowds = std::mem::take(&mut self.crowds);
        Remains { keys: std::mem::replace(&mut self.keys, fresh), crowds, next_crowd: 0 }
    }
}

/// A table that nobody looks at any more.
pub struct Remains {
    keys: Members,
    crowds: Slab<BTreeSet<Reader>>,
    next_crowd: usize,
}

impl Garbage for Remains {
    /// A unit is 64 KiB of the table, or a crowd.
    fn free_slice(&mut self, units: usize) -> Progress {
        if !self.keys.free_slice(units).is_done() {
            return Progress::More;
        }
        for _ in 0..units {
            if self.crowds.is_empty() {
                return Progress::Done;
            }
            self.crowds.try_remove(self.next_crowd);
            self.next_crowd += 1;
        }
        Progress::More
    }
}

/// The number of the crowd that a value names.
#[inline]
fn crowd_of(value: &[u8]) -> Option<usize> {
    let number: [u8; 4] = value.try_into().ok()?;
    Some(u32::from_le_bytes(number) as usize)
}

/// The readers that a value holds.
fn few(value: &[u8]) -> impl Iterator<Item = Reader> + '_ {
    value.as_chunks::<READER_BYTES>().0.iter().map(|bytes| Reader(u64::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn table() -> Readers {
        Readers::new(&KeyHasher::new(7))
    }

    #[test]
    fn a_reader_is_its_slot_and_its_id() {
        let reader = Reader::new(5, 0x1_0000_0003);
        assert_eq!(reader.slot(), 5);
        assert!(reader.has_id(0x1_0000_0003) && reader.has_id(3) && !reader.has_id(4));
        assert!(Reader::new(9, 3) < Reader::new(1, 4));
    }

    #[test]
    fn many_readers_of_a_key() {
        let mut table = table();
        for id in 1..=10_000u64 {
            table.remember(b"k", Reader::new(id as usize, id)).unwrap();
            table.remember(b"k", Reader::new(id as usize, id)).unwrap();
        }
        assert_eq!((table.len(), table.items()), (1, 10_000));
        let mut readers = Vec::new();
        assert!(table.take(b"k", &mut readers));
        assert_eq!(readers.len(), 10_000);
        assert_eq!((table.len(), table.items(), table.crowds.len()), (0, 0, 0));
        assert!(!table.take(b"k", &mut readers));
    }

    #[test]
    fn what_is_cleared_is_freed_in_slices() {
        let mut table = table();
        for number in 0..20_000u32 {
            let key = number.to_be_bytes();
            let readers = if number < 100 { 20 } else { 1 };
            (0..readers).for_each(|id| table.remember(&key, Reader::new(1, id)).unwrap());
        }
        let mut remains = table.clear();
        assert_eq!((table.len(), table.items()), (0, 0));
        let mut slices = 0;
        while !remains.free_slice(2).is_done() {
            slices += 1;
        }
        assert!(slices > 50, "{slices}");
        table.remember(b"k", Reader::new(0, 1)).unwrap();
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn every_key_may_be_chosen() {
        let mut table = table();
        assert_eq!(table.random_key(&mut Random::from_seed(1)), None);
        (0..20u8).for_each(|key| table.remember(&[key], Reader::new(1, 1)).unwrap());
        let mut random = Random::from_seed(1);
        let chosen: BTreeSet<Vec<u8>> =
            (0..1000).filter_map(|_| table.random_key(&mut random)).collect();
        assert_eq!(chosen.len(), 20);
    }

    proptest! {
        /// Against plain sets.
        #[test]
        fn like_sets(steps in proptest::collection::vec((0u8..4, 0u8..12, 0u64..40), 1..400)) {
            let mut table = table();
            let mut model: BTreeMap<Vec<u8>, BTreeSet<Reader>> = BTreeMap::new();
            for (what, key, id) in steps {
                let key = vec![key; usize::from(key) * 20];
                match what {
                    0 => {
                        let mut readers = Vec::new();
                        let known = model.remove(&key);
                        prop_assert_eq!(table.take(&key, &mut readers), known.is_some());
                        let taken: BTreeSet<Reader> = readers.iter().copied().collect();
                        prop_assert_eq!(taken.len(), readers.len());
                        prop_assert_eq!(taken, known.unwrap_or_default());
                    }
                    1 if id == 0 => {
                        model.clear();
                        let _ = table.clear();
                    }
                    _ => {
                        let reader = Reader::new(id as usize, id);
                        table.remember(&key, reader).unwrap();
                        model.entry(key).or_default().insert(reader);
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.is_empty(), model.is_empty());
                prop_assert_eq!(table.items(), model.values().map(BTreeSet::len).sum::<usize>());
                let random = table.random_key(&mut Random::from_seed(id));
                prop_assert_eq!(random.is_some(), !model.is_empty());
                prop_assert!(random.is_none_or(|key| model.contains_key(&key)));
            }
        }
    }
}
