//! Reading strings, one by one and many at a time with their cache misses side by side.
//!
//! ```text
//! prefetch_bucket ──▶ prefetch_entry ──▶ (prefetch_entry_behind) ──▶ string_ahead
//!   hash → bucket       tag → entry         the chain's next bucket      key, value
//!                          └──▶ prefetch_cell ──▶ prefetch_object          a big collection
//!                                                   └──▶ prefetch_member ──▶ prefetch_element   of it, one by name
//! ```
//!
//! Most strings are plain (`entry::plain_string`) and the first with their tag in their bucket. Those take a path of
//! their own, without the search's bookkeeping: a third of the instructions less for a single read, more than half
//! per key of a batch (callgrind). All others take the long way, which decides everything again. Promise: both ways
//! give the same and leave the same traces.

use super::WrongType;
use super::db::Db;
use super::entry::{self, Kind, Stored};
use super::heap::Handle;
use super::view::StringRef;
use crate::base::hash::Key;
use crate::types::members::Members;
use crate::types::table::prefetch;

/// Where a big collection probably is, until the database's next write.
#[derive(Clone, Copy, Debug)]
pub struct Number(u32);

/// Where a key probably is: what `prefetch_entry` found out, for `string_ahead`. It may be wrong, but is of use only
/// until the database's next write; that reads delete what has expired does it no harm, since a free slot is no entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lead {
    /// 0 for none.
    handle: u32,
    is_behind: bool,
}

impl Lead {
    /// Whether the key is not in its first bucket (one in fourteen): `prefetch_entry_behind` is to follow.
    #[inline]
    #[must_use]
    pub fn is_behind(self) -> bool {
        self.is_behind
    }
}

impl Db {
    /// Asks the processor for the bucket of a key that will be looked up soon.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// Asks the processor for the entry of a key whose bucket has been prefetched, or for the bucket behind it.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) -> Lead {
        let mut found = 0;
        let is_behind = self.table.candidates(hash, |handle| self.warm(handle, &mut found));
        Lead { handle: found, is_behind }
    }

    /// Asks the processor for the entry of a key which `prefetch_entry` did not find in the first bucket.
    #[inline]
    pub fn prefetch_entry_behind(&self, hash: u64) -> Lead {
        let mut found = 0;
        self.table.candidates_behind(hash, |handle| self.warm(handle, &mut found));
        Lead { handle: found, is_behind: false }
    }

    /// Asks the processor for the cell of the big collection that the key of this hash probably holds, whose entry has
    /// been prefetched. Gives the collection's number; `None` if there is none.
    #[inline]
    pub fn prefetch_cell(&self, hash: u64) -> Option<Number> {
        let handle = self.table.first_candidate(hash);
        if handle == 0 {
            return None;
        }
        let bytes = self.heap.slot(Handle::from_raw(handle));
        match Kind::of_number(entry::header(bytes) & entry::KIND_MASK) {
            Kind::List | Kind::Hash | Kind::Set | Kind::Zset | Kind::Stream => {}
            Kind::String | Kind::Document => return None,
        }
        let Stored::Block(number) = entry::value(bytes) else { return None };
        self.blocks.prefetch(number);
        Some(Number(number))
    }

    /// Asks the processor for a big collection whose cell has been prefetched.
    #[inline]
    pub fn prefetch_object(&self, number: Number) {
        if let Some(object) = self.blocks.object(number.0) {
            prefetch(std::ptr::from_ref(object).cast());
        }
    }

    /// As `prefetch_bucket` one level down: for the bucket of a member of a big collection that has been prefetched.
    /// Gives the member's hash, for `prefetch_element`; 0 for none.
    #[inline]
    pub fn prefetch_member(&self, number: Number, name: &[u8]) -> u64 {
        self.members_ahead(number).map_or(0, |members| members.prefetch_bucket(name))
    }

    /// Asks the processor for the member of this hash, whose bucket has been prefetched.
    #[inline]
    pub fn prefetch_element(&self, number: Number, member_hash: u64) {
        if let Some(members) = self.members_ahead(number) {
            members.prefetch_element(member_hash);
        }
    }

    fn members_ahead(&self, number: Number) -> Option<&Members> {
        self.blocks.object(number.0)?.members()
    }

    #[inline(always)]
    fn warm(&self, handle: u32, first: &mut u32) {
        self.heap.prefetch(Handle::from_raw(handle));
        if *first == 0 {
            *first = handle;
        }
    }

    /// The string of a key, read as by `read`.
    #[inline(always)]
    pub fn string(&mut self, key: Key<'_>) -> Result<Option<StringRef<'_>>, WrongType> {
        let handle = self.table.first_candidate(key.hash);
        self.string_ahead(key, Lead { handle, is_behind: false })
    }

    /// As `string`, where a lead may save the search.
    #[inline(always)]
    pub fn string_ahead(
        &mut self,
        key: Key<'_>,
        lead: Lead,
    ) -> Result<Option<StringRef<'_>>, WrongType> {
        if lead.handle != 0 {
            let handle = Handle::from_raw(lead.handle);
            if let Some((at, len)) = entry::plain_string(self.heap.slot(handle), key.bytes) {
                self.stats.hits += 1;
                self.touch_entry(handle);
                return Ok(Some(StringRef::Bytes(&self.heap.slot(handle)[at..][..len])));
            }
        }
        self.string_searched(key)
    }

    /// As `string`, by searching the whole chain; expired keys are deleted here.
    #[inline(never)]
    fn string_searched(&mut self, key: Key<'_>) -> Result<Option<StringRef<'_>>, WrongType> {
        let Some(slot) = self.locate_counted(key) else { return Ok(None) };
        self.touch(slot);
        self.entry(slot.handle).string().ok_or(WrongType).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;
    use crate::store::{NewString, Ttl};

    /// Strings of every kind and keys of every length, read both ways.
    #[test]
    fn both_ways_agree() {
        let hasher = KeyHasher::new(3);
        let (mut short, mut long) = (Db::new(hasher.clone()), Db::new(hasher.clone()));
        let keys: Vec<Vec<u8>> = (0..3000usize)
            .map(|n| [n.to_string().into_bytes(), vec![b'k'; n % 301]].concat())
            .collect();
        for db in [&mut short, &mut long] {
            db.begin(1_000_000, false);
            for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 5 != 0) {
                let text = vec![b'v'; n % 200];
                let value = match n % 7 {
                    0 => NewString::Bytes(b"-12345"),
                    1 => NewString::Bytes(&[b'x'; 5000]),
                    _ => NewString::Bytes(&text),
                };
                let ttl = if n % 11 == 0 { Ttl::At(1_000_500) } else { Ttl::Clear };
                db.set_string(hasher.key(key), value, ttl).unwrap();
            }
        }
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        for now in [1_000_000, 1_005_000, 1_005_000] {
            short.begin(now, false);
            long.begin(now, false);
            // Leads from before anything expires: they have to do no harm.
            let leads = keys.iter().map(|key| {
                let lead = short.prefetch_entry(hasher.hash(key));
                if lead.is_behind() { short.prefetch_entry_behind(hasher.hash(key)) } else { lead }
            });
            let leads: Vec<Lead> = leads.collect();
            for (key, lead) in keys.iter().zip(leads) {
                let key = hasher.key(key);
                let found = short.string_ahead(key, lead).unwrap();
                let found = found.map(|value| value.as_bytes(&mut digits.0));
                let expected = long.string_searched(key).unwrap();
                assert_eq!(found, expected.map(|value| value.as_bytes(&mut digits.1)));
                let again = short.string(key).unwrap().map(|value| value.len());
                assert_eq!(again, long.string(key).unwrap().map(|value| value.len()));
                let idle = |db: &mut Db| db.peek(key).map(|entry| entry.idle_seconds());
                assert_eq!(idle(&mut short), idle(&mut long));
            }
            assert_eq!(short.stats, long.stats);
        }
        assert!(short.stats.expired > 100);
    }
}
