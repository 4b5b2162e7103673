//! A hash map that grows without a big step: beyond a thousand entries it is many small maps.
//!
//! A `HashMap` of a million entries moves all of them when it grows: some 50 ms. Here only one of the small ones does.
//! Cost: as a `HashMap`, and the key is hashed twice.
use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};

/// Small maps, once there are many entries: with a million entries each of them has a thousand.
const SHARDS: usize = 1024;
/// Entries that one map holds alone.
const FEW_MAX: usize = 1024;

/// The map. See the head of the file.
#[derive(Debug)]
pub struct Shards<K, V> {
    /// One, or [`SHARDS`].
    shards: Vec<HashMap<K, V>>,
    hasher: RandomState,
    len: usize,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Shards<K, V> {
        Shards { shards: Vec::new(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        match self.shards.len() {
            0 | 1 => 0,
            count => (self.hasher.hash_one(key) >> 16) as usize % count,
        }
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.place(key))?.get(key)
    }

    /// As [`Shards::get`], to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        self.shards.get_mut(place)?.get_mut(key)
    }

    /// A key as it stands here, with its value.
    pub fn get_key_value<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.place(key))?.get_key_value(key)
    }

    /// The value of a key, made if there is none. Amortised O(1); the one that makes many maps of one moves a thousand
    /// entries.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.shards.is_empty() {
            self.shards.push(HashMap::new());
        } else if self.shards.len() == 1 && self.len >= FEW_MAX {
            self.split();
        }
        let place = self.place(&key);
        let shard = &mut self.shards[place];
        let entry = shard.entry(key);
        self.len += usize::from(matches!(entry, Entry::Vacant(_)));
        entry.or_default()
    }

    /// Takes an entry away.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let removed = self.shards.get_mut(place)?.remove(key)?;
        self.len -= 1;
        Some(removed)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flatten()
    }

    /// How many small maps there are; once there are many they stay.
    #[must_use]
    pub fn maps_len(&self) -> usize {
        self.shards.len()
    }

    /// The entries of one of them.
    pub fn map_mut(&mut self, index: usize) -> impl Iterator<Item = (&K, &mut V)> {
        self.shards.get_mut(index).into_iter().flatten()
    }

    fn split(&mut self) {
        let entries = std::mem::take(&mut self.shards);
        self.shards.resize_with(SHARDS, HashMap::new);
        for (key, value) in entries.into_iter().flatten() {
            let place = self.place(&key);
            self.shards[place].insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_of_small_ones() {
        let (mut shards, mut model) = (Shards::<String, u32>::default(), HashMap::new());
        for round in 0..20_000u32 {
            let key = format!("key:{}", round.wrapping_mul(2_654_435_761) % 5000);
            if round % 3 == 2 {
                assert_eq!(shards.remove(&key), model.remove(&key));
            } else {
                *shards.get_or_default(key.clone()) += round;
                *model.entry(key.clone()).or_default() += round;
            }
            assert_eq!(shards.get(&key), model.get(&key));
            assert_eq!((shards.len(), shards.is_empty()), (model.len(), model.is_empty()));
        }
        let mut entries: Vec<_> = shards.iter().map(|(key, value)| (key.clone(), *value)).collect();
        entries.sort_unstable();
        let mut expected: Vec<_> = model.into_iter().collect();
        expected.sort_unstable();
        assert_eq!(entries, expected);
        let largest = shards.shards.iter().map(HashMap::capacity).max();
        assert!(shards.shards.len() == SHARDS && largest < Some(200), "{largest:?}");
    }
}
