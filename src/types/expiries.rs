//! Things that expire: when each does, and which is next.
//!
//! Two ordered maps, by thing and by time. B-trees, since they grow and shrink by one node at a time: no change is
//! ever a big step. About 50 bytes for each thing; every operation is O(log n).
use crate::base::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes one thing takes in both maps: its entries, at the usual filling of a B-tree, and their share of the nodes.
const THING_BYTES: usize = 50;

/// When each of many things expires; a thing is known by a number.
#[derive(Debug)]
pub struct Expiries<Id> {
    by_id: BTreeMap<Id, UnixMillis>,
    by_time: BTreeSet<(UnixMillis, Id)>,
}

impl<Id> Default for Expiries<Id> {
    fn default() -> Expiries<Id> {
        Expiries { by_id: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<Id: Copy + Ord> Expiries<Id> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Memory it takes, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.by_id.len() * THING_BYTES
    }

    /// When one expires.
    #[inline]
    #[must_use]
    pub fn get(&self, id: Id) -> Option<UnixMillis> {
        self.by_id.get(&id).copied()
    }

    /// The one that expires next.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<(UnixMillis, Id)> {
        self.by_time.first().copied()
    }

    /// Gives one an expiry, or takes it away.
    pub fn set(&mut self, id: Id, expiry: Option<UnixMillis>) {
        let old = match expiry {
            Some(expiry) => self.by_id.insert(id, expiry),
            None => self.by_id.remove(&id),
        };
        if old == expiry {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, id));
        }
        if let Some(expiry) = expiry {
            self.by_time.insert((expiry, id));
        }
    }

    /// One is known by another number now.
    pub fn rename(&mut self, old: Id, new: Id) {
        if let Some(expiry) = self.get(old) {
            self.set(old, None);
            self.set(new, Some(expiry));
        }
    }

    /// Frees about `count` entries; true when none is left.
    pub fn free_slice(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let is_empty = self.by_id.pop_first().is_none();
            if self.by_time.pop_first().is_none() && is_empty {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(
            steps in prop::collection::vec((0u32..20, 0i64..9, 0u32..3), 0..200),
        ) {
            let (mut expiries, mut model) = (Expiries::default(), [None; 20]);
            for (id, time, what) in steps {
                let at = id as usize;
                match what {
                    0 => {
                        expiries.set(id, None);
                        model[at] = None;
                    }
                    1 => {
                        expiries.set(id, Some(time));
                        model[at] = Some(time);
                    }
                    _ if at > 0 => {
                        expiries.rename(id, 0);
                        model[0] = model[at].take().or(model[0]);
                    }
                    _ => {}
                }
                let timed = model.iter().zip(0..).filter_map(|(time, id)| Some(((*time)?, id)));
                let first = timed.min();
                prop_assert_eq!(expiries.first(), first);
                prop_assert_eq!(expiries.get(id), model[at]);
                prop_assert_eq!(expiries.len(), model.iter().flatten().count());
                prop_assert_eq!(expiries.by_time.len(), expiries.len());
            }
            while !expiries.free_slice(3) {}
            prop_assert!(expiries.is_empty() && expiries.first().is_none());
        }
    }
}
