//! The fields of one table that expire: when each does, and which is next.
//!
//! Two ordered maps, by field (the number of its member) and by time. B-trees, since they grow and shrink by one node at a time: no change is
//! ever a big step. About 50 bytes a field with an expiry; the other fields cost nothing.
use crate::base::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes one field takes in both maps: its entries, at the usual filling of a B-tree, and their share of the nodes.
const FIELD_BYTES: usize = 50;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    by_member: BTreeMap<u32, UnixMillis>,
    by_time: BTreeSet<(UnixMillis, u32)>,
}

impl Expiries {
    pub(super) fn is_empty(&self) -> bool {
        self.by_member.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.by_member.len() * FIELD_BYTES
    }

    /// When a field expires.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<UnixMillis> {
        self.by_member.get(&id).copied()
    }

    /// The one that expires next.
    #[inline]
    pub(super) fn first(&self) -> Option<(UnixMillis, u32)> {
        self.by_time.first().copied()
    }

    /// Gives a field an expiry, or takes it away.
    pub(super) fn set(&mut self, id: u32, expiry: Option<UnixMillis>) {
        let old = match expiry {
            Some(expiry) => {
                self.by_time.insert((expiry, id));
                self.by_member.insert(id, expiry)
            }
            None => self.by_member.remove(&id),
        };
        if let Some(old) = old.filter(|old| Some(*old) != expiry) {
            self.by_time.remove(&(old, id));
        }
    }

    /// A field has another id now.
    pub(super) fn rename(&mut self, old: u32, new: u32) {
        if let Some(expiry) = self.by_member.remove(&old) {
            self.by_time.remove(&(expiry, old));
            self.set(new, Some(expiry));
        }
    }

    /// Frees about `count` entries; true when none is left.
    pub(super) fn free_slice(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let is_empty = self.by_member.pop_first().is_none();
            if self.by_time.pop_first().is_none() && is_empty {
                return true;
            }
        }
        false
    }
}
