//! The hashes that have fields with a time to live, by the time of the first of them.
//!
//! A hash is known here by the hash of its key, so nothing has to follow it when its entry moves. It is entered when
//! a change leaves it with such a field and forgotten when it has none or its key goes; RENAME, MOVE, COPY and RESTORE
//! are a key that goes and a value that comes. Commands pass by fields whose time has come; here they are taken out.
//!
//! Promise: a call reclaims no more fields than it was told to; what a job holds stays as it is. Cost: one branch per
//! change of a hash while no field has a time to live; else O(log hashes), and about 50 bytes for each such hash.
use super::blocks::Big;
use super::db::Db;
use super::entry::{self, Kind};
use super::heap::Handle;
use super::owned::OwnedValue;
use super::view::key_bytes;
use crate::base::block::Block;
use crate::base::time::UnixMillis;
use crate::types::hash::Hash;
use crate::types::object::{Aggregate, Object};
use crate::types::table::Slot;

/// A hash that is held by a job, or that there is no memory to change, is tried again after this time.
const RETRY_MS: i64 = 100;
/// Entries freed per item of budget.
pub(super) const ENTRIES_PER_ITEM: usize = 64;

/// What a call of [`Db::reclaim_fields`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReclaimProgress {
    /// Fields it took out.
    pub fields: usize,
    /// Whether more are due.
    pub is_left: bool,
}

impl Db {
    /// Hashes that have fields with a time to live.
    #[must_use]
    pub fn expiring_hashes(&self) -> usize {
        self.field_expiries.as_ref().map_or(0, |expiries| expiries.len())
    }

    /// When the next field expires; `None`: none does, or nothing may expire now.
    pub(super) fn next_field_expiry_ms(&self) -> Option<UnixMillis> {
        let expiries = self.field_expiries.as_ref().filter(|_| !self.keeps_expired)?;
        Some(expiries.first()?.0)
    }

    /// Takes out about `budget` fields whose time has come, and deletes the keys that are left with none.
    pub fn reclaim_fields(&mut self, budget: usize) -> ReclaimProgress {
        let mut progress = ReclaimProgress::default();
        while let Some(due_ms) = self.next_field_expiry_ms()
            && due_ms <= self.now_ms
        {
            if progress.fields >= budget {
                progress.is_left = true;
                break;
            }
            let units = budget - progress.fields;
            // A look at a hash is work, too, even if nothing comes of it.
            progress.fields += self.reclaim_first(units).unwrap_or(0);
        }
        self.stats.expired_fields += progress.fields as u64;
        progress
    }

    /// Takes fields out of the hash that comes first; `None`: it has to wait.
    fn reclaim_first(&mut self, units: usize) -> Option<usize> {
        let (_, hash) = self.field_expiries.as_ref()?.first()?;
        let Some(slot) = self.hash_slot(hash) else {
            self.note_fields(hash, None);
            return None;
        };
        let retry_ms = self.now_ms.saturating_add(RETRY_MS);
        if self.is_held(hash) {
            self.note_fields(hash, Some(retry_ms));
            return None;
        }
        let now_ms = self.now_ms;
        match self.edit_slot(hash, slot, |value: &mut Hash| value.reclaim(now_ms, units)) {
            Ok(fields) => Some(fields),
            Err(_) => {
                self.note_fields(hash, Some(retry_ms));
                None
            }
        }
    }

    /// The entry of a hash, by the hash of its key.
    fn hash_slot(&self, hash: u64) -> Option<Slot> {
        let (heap, blocks, hasher) = (&self.heap, &self.blocks, &self.hasher);
        self.table.find(hash, |handle| {
            let bytes = heap.slot(Handle::from_raw(handle));
            entry::header(bytes) & entry::KIND_MASK == Kind::Hash as u32
                && hasher.hash(key_bytes(blocks, bytes)) == hash
        })
    }

    /// A change has left the hash of a key so: its first field expires at `next`, if any does.
    #[inline]
    pub(super) fn note_fields(&mut self, hash: u64, next: Option<UnixMillis>) {
        if next.is_some() || self.field_expiries.is_some() {
            self.enter_fields(hash, next);
        }
    }

    #[cold]
    fn enter_fields(&mut self, hash: u64, next: Option<UnixMillis>) {
        let expiries = self.field_expiries.get_or_insert_default();
        expiries.set(hash, next);
        if expiries.is_empty() {
            self.field_expiries = None;
        }
    }

    /// An entry is about to go, or to get another value.
    #[inline]
    pub(super) fn forget_fields(&mut self, slot: Slot) {
        if self.field_expiries.is_some() && self.entry(slot.handle).kind() == Kind::Hash {
            self.note_fields(self.hasher.hash(self.entry(slot.handle).key()), None);
        }
    }

    /// Takes over what a change has taken out of a collection.
    pub(super) fn bury_dropped(&mut self, dropped: Vec<Block>) {
        for block in dropped {
            self.graveyard.bury(Big::Block(block));
        }
    }
}

/// When the first field of a value expires; `is_other_form` and `kind` are its entry's.
pub(super) fn next_of(kind: Kind, is_other_form: bool, value: &OwnedValue) -> Option<UnixMillis> {
    match value {
        OwnedValue::Object(object) => match &**object {
            Object::Hash(hash) => hash.next_expiry(),
            Object::List(_) | Object::Set(_) | Object::Zset(_) | Object::Stream(_) => None,
        },
        OwnedValue::Bytes(bytes) if kind == Kind::Hash => {
            Hash::view_packed(is_other_form, bytes).next_expiry()
        }
        OwnedValue::Bytes(_) | OwnedValue::Int(_) | OwnedValue::Block(_) => None,
    }
}

#[cfg(test)]
#[path = "field_expiry_tests.rs"]
mod tests;
