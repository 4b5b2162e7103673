//! Choosing what to evict: a few entries at random, each with a number that says how well it can be
//! spared.
//!
//! There is no list in order of use. A bucket holds entries that have nothing in common but some
//! bits of a keyed hash, so any bucket is a random sample: one cache line names about eight entries,
//! whose headers are fetched at once. Where only keys with a TTL count (the tag has a bit for it),
//! the walk goes on from bucket to bucket until it has met enough of them, and the next call
//! continues where a call that found none has stopped: however rare they are, one of them is found
//! after at most one round. There is no second table of keys with a TTL to pay for.
//!
//! A `Candidate` is kept over later changes and names its entry by hash and handle; `evict` looks
//! again whether that is the same entry, and whether it was used since. Held keys are passed by.
//!
//! Cost: a sample of five is one bucket and five headers, whose misses overlap; an eviction is a
//! lookup and a delete.

use super::db::Db;
use super::entry;
use super::fifo::Turn;
use super::heap::Handle;
use super::view::key_bytes;

/// Most entries one call samples.
pub const SAMPLES_MAX: usize = 64;
/// Buckets looked at in one call of `sample`.
const BUCKETS_PER_CALL: usize = 256;

/// Makes a random number of a hash and a random number.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which entries may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those with a TTL.
    Volatile,
}

/// What makes one entry go before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The time since it was used.
    Idle,
    /// How rarely it is used.
    Rarity,
    /// How soon it expires.
    Deadline,
    /// Whose turn it is by S3-FIFO.
    Fifo,
    /// Nothing.
    Chance,
}

/// An entry that may go. Valid as long as one likes: `evict` looks whether it still is what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Higher goes first; comparable between databases under the same `Rank`.
    pub score: u64,
    hash: u64,
    handle: u32,
}

impl Candidate {
    /// Whether both are the same entry.
    #[must_use]
    pub fn names(&self, other: &Candidate) -> bool {
        (self.hash, self.handle) == (other.hash, other.handle)
    }
}

/// What a call of `sample` met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// Entries within the scope.
    Some,
    /// None so far; the next call looks further.
    NoneYet,
    /// None in a whole round: there is nothing to evict here.
    Nothing,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// It is evicted.
    Yes,
    /// Its time had come: it is deleted, and counted as expired.
    Expired,
    /// It stays, or is gone already: it was used, changed, moved, is held, or has earned another round.
    Stale,
}

/// Where the walk for rare entries stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SampleWalk {
    next: usize,
    /// Buckets since an entry within the scope was met.
    fruitless: usize,
}

impl Db {
    /// Bytes of memory that the data takes, with what is deleted and not yet freed. A few additions.
    #[inline]
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.table.bytes()
            + self.heap.live_bytes()
            + self.blocks.bytes()
            + self.graveyard.waiting_bytes()
    }

    /// Looks at `wanted` entries within `scope` or some more (at most `SAMPLES_MAX`), beginning at
    /// the bucket that `random` chooses, and adds those with a score of `least` or more to `found`.
    pub fn sample(
        &mut self,
        (scope, rank): (Scope, Rank),
        (wanted, least): (usize, u64),
        random: u64,
        found: &mut Vec<Candidate>,
    ) -> Sampled {
        let buckets = self.table.buckets();
        if self.is_empty() || scope == Scope::Volatile && self.expires == 0 {
            self.sample_walk = SampleWalk::default();
            return Sampled::Nothing;
        }
        // Whole buckets: were so many taken of each, entries of full ones would live longer than
        // others, and those ever fuller.
        let wanted = wanted.clamp(1, SAMPLES_MAX);
        let mut bucket = match self.sample_walk.fruitless {
            0 => ((u128::from(random) * buckets as u128) >> 64) as usize,
            _ => self.sample_walk.next % buckets,
        };
        let (mut handles, mut walked) = (Handles::new(), 0);
        while handles.count < wanted && walked < BUCKETS_PER_CALL.min(buckets) {
            self.table.visit_bucket(bucket, |handle, has_ttl| {
                if has_ttl || scope == Scope::All {
                    self.heap.prefetch(Handle::from_raw(handle));
                    handles.push(handle);
                }
            });
            bucket = (bucket + 1) % buckets;
            walked += 1;
        }
        let mut met = 0;
        for &handle in handles.all() {
            let hash = self.hash_of(handle);
            let score = match rank {
                Rank::Chance => (hash ^ random).wrapping_mul(SPREAD),
                _ => self.score(handle, rank),
            };
            if self.is_held(hash) {
                continue;
            }
            met += 1;
            if score >= least {
                found.push(Candidate { score, hash, handle });
            }
        }
        self.sample_walk.next = bucket;
        self.sample_walk.fruitless = if met == 0 { self.sample_walk.fruitless + walked } else { 0 };
        if met > 0 {
            Sampled::Some
        } else if self.sample_walk.fruitless > buckets {
            self.sample_walk = SampleWalk::default();
            Sampled::Nothing
        } else {
            Sampled::NoneYet
        }
    }

    /// Deletes a candidate found under the same `scope` and `rank`, if it still is one. Its key is
    /// written to `key`.
    pub fn evict(
        &mut self,
        candidate: &Candidate,
        (scope, rank): (Scope, Rank),
        key: &mut Vec<u8>,
    ) -> Evicted {
        let found = self.table.find(candidate.hash, |handle| handle == candidate.handle);
        let Some(slot) = found else { return Evicted::Stale };
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        let expiry = entry::expiry(bytes);
        if scope == Scope::Volatile && expiry.is_none()
            || self.is_held(candidate.hash)
            || rank != Rank::Chance && self.score(slot.handle, rank) < candidate.score
        {
            return Evicted::Stale;
        }
        key.clear();
        key.extend_from_slice(key_bytes(&self.blocks, bytes));
        if expiry.is_some_and(|expiry| self.now_ms > expiry) && !self.keeps_expired {
            self.expire_slot(slot);
            return Evicted::Expired;
        }
        if rank == Rank::Fifo {
            let header = entry::header(bytes);
            match self.fifo.turn(entry::clock(header)) {
                Turn::Stays(clock) => {
                    let bytes = self.heap.slot_mut(Handle::from_raw(slot.handle));
                    entry::set_header(bytes, entry::with_clock(header, clock));
                    return Evicted::Stale;
                }
                Turn::Goes(true) => self.fifo.leave_ghost(candidate.hash, self.table.len()),
                Turn::Goes(false) => {}
            }
        }
        self.remove_slot(slot);
        Evicted::Yes
    }

    fn hash_of(&self, handle: u32) -> u64 {
        self.hasher.hash(key_bytes(&self.blocks, self.heap.slot(Handle::from_raw(handle))))
    }

    fn score(&self, handle: u32, rank: Rank) -> u64 {
        let entry = self.entry(handle);
        match rank {
            Rank::Idle => entry.idle_seconds(),
            Rank::Rarity => 255 - u64::from(entry.lfu_counter()),
            // What expires first has the highest; times before 1970 are as good as 1970.
            Rank::Deadline => u64::MAX - entry.expiry().map_or(u64::MAX, |ms| ms.max(0) as u64),
            Rank::Fifo => self.fifo.age(entry::clock(entry::header(entry.bytes()))),
            Rank::Chance => 0,
        }
    }
}

/// Some handles on the stack.
struct Handles {
    handles: [u32; SAMPLES_MAX],
    count: usize,
}

impl Handles {
    fn new() -> Handles {
        Handles { handles: [0; SAMPLES_MAX], count: 0 }
    }

    fn push(&mut self, handle: u32) {
        if self.count < SAMPLES_MAX {
            self.handles[self.count] = handle;
            self.count += 1;
        }
    }

    fn all(&self) -> &[u32] {
        &self.handles[..self.count]
    }
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
