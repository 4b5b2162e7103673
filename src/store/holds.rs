//! The keys that jobs hold: a job's values must not change, nor be seen half changed, until it ends.
//!
//! A key is held by its hash. Two keys of one hash are held together, which costs somebody a wait once in
//! 2^64 pairs and nothing else. The same linear table as the keyspace's finds the records, and those stand in
//! chunks, so that holding a million keys, and letting go of them, has no big step either.
//!
//! Promise: many readers or one writer; a job may hold a key several times. Cost: nothing while nothing is
//! held; else about 30 bytes per held key and 50 ns to hold, ask or let go.
use super::OutOfMemory;
use crate::types::table::Table;

/// Records of one chunk: 96 KiB.
const CHUNK: usize = 4096;
/// Buckets one call may split or merge.
const RESIZE_STEPS: usize = 2;
/// The number of no job: what a command is before it is one.
const NO_JOB: u32 = 0;

/// How a job holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Others may read it too.
    Read,
    /// Nobody else may look at it.
    Write,
}

impl Hold {
    /// Whether the two cannot be held by two jobs at once.
    #[must_use]
    pub fn conflicts(self, other: Hold) -> bool {
        self == Hold::Write || other == Hold::Write
    }
}

/// One held key. Of a free record `hash` is the number of the next free one, plus one.
#[derive(Clone, Copy, Debug)]
struct Record {
    hash: u64,
    readers: u32,
    writers: u32,
    /// The job that holds it for writing, while `writers` is not 0.
    owner: u32,
}

const FREE: Record = Record { hash: 0, readers: 0, writers: 0, owner: 0 };

/// The held keys of one database. See the head of the file.
#[derive(Default)]
pub struct Holds {
    table: Table,
    chunks: Vec<Box<[Record]>>,
    /// Records ever handed out of `chunks`.
    used: usize,
    /// The first free record, plus one; 0: none.
    free: u64,
    /// Chunks nobody needs, to be freed one by one.
    garbage: Vec<Box<[Record]>>,
}

impl Holds {
    /// Whether no key is held.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of held keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    fn record(&self, number: u32) -> &Record {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    fn record_mut(&mut self, number: u32) -> &mut Record {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    /// The record of a hash.
    fn find(&self, hash: u64) -> Option<u32> {
        let slot = self.table.find(hash, |handle| self.record(handle - 1).hash == hash)?;
        Some(slot.handle - 1)
    }

    /// How a key is held, if it is.
    #[inline]
    #[must_use]
    pub fn held(&self, hash: u64) -> Option<Hold> {
        if self.is_empty() {
            return None;
        }
        let record = self.record(self.find(hash)?);
        Some(if record.writers > 0 { Hold::Write } else { Hold::Read })
    }

    /// Whether `job` may hold a key so, with what others hold. What it holds itself for writing does not hinder it.
    #[must_use]
    pub fn is_free_for(&self, hash: u64, hold: Hold, job: u32) -> bool {
        let Some(number) = self.find(hash) else { return true };
        let record = self.record(number);
        match (record.writers > 0, hold) {
            (true, _) => record.owner == job,
            (false, Hold::Read) => true,
            (false, Hold::Write) => false,
        }
    }

    /// As [`Holds::is_free_for`], for somebody who is no job: what any job holds hinders it.
    #[must_use]
    pub fn is_free(&self, hash: u64, hold: Hold) -> bool {
        self.is_free_for(hash, hold, NO_JOB)
    }

    /// Holds a key once more. Whether that is allowed has been asked before.
    pub fn hold(&mut self, hash: u64, hold: Hold, job: u32) -> Result<(), OutOfMemory> {
        let number = match self.find(hash) {
            Some(number) => number,
            None => self.add(hash)?,
        };
        let record = self.record_mut(number);
        match hold {
            Hold::Read => record.readers += 1,
            Hold::Write => {
                record.writers += 1;
                record.owner = job;
            }
        }
        Ok(())
    }

    /// Lets go of a key as often as it was held.
    pub fn release(&mut self, hash: u64, hold: Hold) {
        let table = &self.table;
        let found = table.find(hash, |handle| self.record(handle - 1).hash == hash);
        let Some(slot) = found else { return };
        let record = self.record_mut(slot.handle - 1);
        match hold {
            Hold::Read => record.readers = record.readers.saturating_sub(1),
            Hold::Write => record.writers = record.writers.saturating_sub(1),
        }
        if record.readers > 0 || record.writers > 0 {
            return;
        }
        let next = self.free;
        *self.record_mut(slot.handle - 1) = Record { hash: next, ..FREE };
        self.free = u64::from(slot.handle);
        self.table.remove(slot);
        for _ in 0..RESIZE_STEPS {
            self.table.shrink();
        }
        if self.table.is_empty() {
            self.empty();
        }
    }

    fn add(&mut self, hash: u64) -> Result<u32, OutOfMemory> {
        let number = match self.free {
            0 => {
                if self.used == self.chunks.len() * CHUNK {
                    self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
                    self.chunks.push(vec![FREE; CHUNK].into_boxed_slice());
                }
                self.used += 1;
                self.used as u32 - 1
            }
            first => {
                let number = first as u32 - 1;
                self.free = self.record(number).hash;
                number
            }
        };
        *self.record_mut(number) = Record { hash, ..FREE };
        if let Err(error) = self.table.insert(hash, number + 1, false) {
            *self.record_mut(number) = Record { hash: self.free, ..FREE };
            self.free = u64::from(number) + 1;
            return Err(error);
        }
        for _ in 0..RESIZE_STEPS {
            let chunks = &self.chunks;
            let hash_of = |handle: u32| {
                let number = handle as usize - 1;
                chunks[number / CHUNK][number % CHUNK].hash
            };
            self.table.grow(|_| {}, hash_of);
        }
        Ok(number)
    }

    /// Nothing is held: one chunk stays, the others are freed when there is time.
    fn empty(&mut self) {
        (self.used, self.free) = (0, 0);
        if self.chunks.len() > 1 {
            self.garbage.append(&mut self.chunks.split_off(1));
        }
    }

    /// Frees a chunk that is not needed; true when there is none.
    pub(super) fn free_slice(&mut self) -> bool {
        self.garbage.pop();
        self.garbage.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let mut holds = Holds::default();
        assert!(holds.is_empty() && holds.is_free_for(7, Hold::Write, 1));
        holds.hold(7, Hold::Read, 1).unwrap();
        assert!(holds.is_free_for(7, Hold::Read, 2));
        assert!(!holds.is_free_for(7, Hold::Write, 2));
        assert_eq!(holds.held(7), Some(Hold::Read));
        holds.release(7, Hold::Read);
        assert_eq!(holds.held(7), None);
        holds.hold(7, Hold::Write, 1).unwrap();
        assert!(!holds.is_free_for(7, Hold::Read, 2));
        assert!(holds.is_free_for(7, Hold::Read, 1), "its own");
        holds.hold(7, Hold::Write, 1).unwrap();
        holds.release(7, Hold::Write);
        assert_eq!(holds.held(7), Some(Hold::Write), "held twice");
        holds.release(7, Hold::Write);
        assert!(holds.is_empty());
    }

    #[test]
    fn very_many_come_and_go() {
        let mut holds = Holds::default();
        let count = 3 * CHUNK as u64 + 5;
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..count).for_each(|number| holds.hold(hash(number), Hold::Read, 1).unwrap());
        assert_eq!(holds.len(), count as usize);
        assert!((0..count).all(|number| holds.held(hash(number)) == Some(Hold::Read)));
        (0..count).for_each(|number| holds.release(hash(number), Hold::Read));
        assert!(holds.is_empty());
        let mut freed = 0;
        while !holds.free_slice() {
            freed += 1;
        }
        assert_eq!((freed, holds.chunks.len()), (2, 1));
    }

    proptest::proptest! {
        #[test]
        fn holds_agree_with_a_map(steps in proptest::collection::vec((0u64..40, 0u8..4), 0..400)) {
            let (mut holds, mut model) = (Holds::default(), HashMap::<u64, (u32, u32)>::new());
            for (hash, what) in steps {
                let (readers, writers) = model.entry(hash).or_default();
                match what {
                    0 if *writers == 0 => {
                        holds.hold(hash, Hold::Read, 1).unwrap();
                        *readers += 1;
                    }
                    1 if *readers == 0 => {
                        holds.hold(hash, Hold::Write, 1).unwrap();
                        *writers += 1;
                    }
                    2 if *readers > 0 => {
                        holds.release(hash, Hold::Read);
                        *readers -= 1;
                    }
                    3 if *writers > 0 => {
                        holds.release(hash, Hold::Write);
                        *writers -= 1;
                    }
                    _ => {}
                }
                for (&hash, &(readers, writers)) in &model {
                    let expected = match (readers, writers) {
                        (0, 0) => None,
                        (_, 0) => Some(Hold::Read),
                        _ => Some(Hold::Write),
                    };
                    proptest::prop_assert_eq!(holds.held(hash), expected);
                }
            }
        }
    }
}
