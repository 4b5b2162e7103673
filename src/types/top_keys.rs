//! The heaviest keys of an endless stream of weighted keys, in bounded memory: Space-Saving.
//!
//! There is a fixed number of counters. A key that has one adds its weight to it. One that has none takes over the
//! lightest counter with all that is in it, and remembers how much that was (its excess):
//!
//! ```text
//! key      weight  excess      what it really weighed is between weight - excess and weight
//! user:1     9100       0
//! user:7     4200      40
//! user:912     41      40      came last: it may have weighed 1 only
//! ```
//!
//! Promise: all weights together are the total of what came; a key that weighed more than total / counters has a
//! counter; [`TopKeys::heaviest`] never says more than a key really weighed. Beside Count-Min it needs no second
//! structure to know the names of the keys, and a burst of keys seen once cannot push out a heavy one.
//!
//! Cost: one look-up and O(log counters) per key. Memory: counters times the length of a key, of which at most
//! [`KEY_BYTES_MAX`] bytes are kept. Keys are told apart by their hash of 64 bits and nothing else.
//!
//! Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams (2005).
use std::collections::HashMap;

use crate::base::hash::Key;

/// Bytes kept of a key.
pub const KEY_BYTES_MAX: usize = 1024;

/// The counters.
#[derive(Debug)]
pub struct TopKeys {
    capacity: usize,
    counters: Vec<Counter>,
    /// Indices of `counters`, the lightest first: a binary heap.
    heap: Vec<u32>,
    /// Index of the counter of the key with this hash.
    by_hash: HashMap<u64, u32>,
    total: u64,
}

#[derive(Debug)]
struct Counter {
    hash: u64,
    /// The key, or its beginning.
    key: Vec<u8>,
    /// Bytes of the key that were not kept.
    cut_bytes: usize,
    weight: u64,
    /// Of `weight`: what was in the counter when this key took it over.
    excess: u64,
    /// Where it is in the heap.
    place: usize,
}

impl TopKeys {
    /// No keys yet, and place for so many, at least one.
    pub fn new(capacity: usize) -> TopKeys {
        TopKeys {
            capacity: capacity.clamp(1, u32::MAX as usize),
            counters: Vec::new(),
            heap: Vec::new(),
            by_hash: HashMap::new(),
            total: 0,
        }
    }

    /// All weights that were added. It stays at its greatest value once that is reached.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds `weight` to a key. O(log counters).
    pub fn add(&mut self, key: Key<'_>, weight: u64) {
        self.total = self.total.saturating_add(weight);
        if let Some(&index) = self.by_hash.get(&key.hash) {
            return self.add_to(index, weight);
        }
        let index = if self.counters.len() < self.capacity {
            self.new_counter(key)
        } else {
            self.lightest_for(key)
        };
        self.by_hash.insert(key.hash, index);
        self.add_to(index, weight);
    }

    /// The `count` heaviest keys with what each has weighed at least, the heaviest first; none that may have weighed
    /// nothing. O(counters × log counters).
    pub fn heaviest(&self, count: usize) -> Vec<(Vec<u8>, u64)> {
        let sure = |counter: &Counter| counter.weight - counter.excess;
        let mut ranked: Vec<&Counter> =
            self.counters.iter().filter(|counter| sure(counter) > 0).collect();
        ranked.sort_by(|a, b| sure(b).cmp(&sure(a)).then_with(|| a.key.cmp(&b.key)));
        ranked.iter().take(count).map(|counter| (counter.shown(), sure(counter))).collect()
    }

    /// Memory it takes, in bytes. O(counters).
    pub fn memory_bytes(&self) -> usize {
        let keys: usize = self.counters.iter().map(|counter| counter.key.capacity()).sum();
        keys + self.counters.capacity() * size_of::<Counter>()
            + self.heap.capacity() * size_of::<u32>()
            // A control byte per place, and its key and value.
            + self.by_hash.capacity() * (1 + size_of::<(u64, u32)>())
    }

    fn new_counter(&mut self, key: Key<'_>) -> u32 {
        let index = self.counters.len() as u32;
        let place = self.heap.len();
        let mut counter =
            Counter { hash: key.hash, key: Vec::new(), cut_bytes: 0, weight: 0, excess: 0, place };
        counter.name(key);
        self.counters.push(counter);
        self.heap.push(index);
        self.rise(place);
        index
    }

    /// Gives the lightest counter to another key.
    fn lightest_for(&mut self, key: Key<'_>) -> u32 {
        let index = self.heap.first().copied().unwrap_or(0);
        if let Some(counter) = self.counters.get_mut(index as usize) {
            self.by_hash.remove(&counter.hash);
            counter.excess = counter.weight;
            counter.name(key);
        }
        index
    }

    fn add_to(&mut self, index: u32, weight: u64) {
        if let Some(counter) = self.counters.get_mut(index as usize) {
            counter.weight = counter.weight.saturating_add(weight);
            let place = counter.place;
            self.sink(place);
        }
    }

    fn weight_at(&self, place: usize) -> Option<u64> {
        let index = *self.heap.get(place)?;
        self.counters.get(index as usize).map(|counter| counter.weight)
    }

    /// Exchanges two places of the heap.
    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for place in [a, b] {
            if let Some(&index) = self.heap.get(place)
                && let Some(counter) = self.counters.get_mut(index as usize)
            {
                counter.place = place;
            }
        }
    }

    /// Moves what is lighter than its parent up.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.weight_at(parent) <= self.weight_at(place) {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    /// Moves what is heavier than a child down.
    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let lightest = children
                .into_iter()
                .filter_map(|child| Some((self.weight_at(child)?, child)))
                .min()
                .filter(|(weight, _)| Some(*weight) < self.weight_at(place));
            let Some((_, child)) = lightest else { return };
            self.swap(place, child);
            place = child;
        }
    }
}

impl Counter {
    /// Makes it the counter of `key`, whose buffer is used again.
    fn name(&mut self, key: Key<'_>) {
        let kept = &key.bytes[..key.bytes.len().min(KEY_BYTES_MAX)];
        self.hash = key.hash;
        self.cut_bytes = key.bytes.len() - kept.len();
        self.key.clear();
        self.key.extend_from_slice(kept);
    }

    /// The key, or its beginning and how much more there is.
    fn shown(&self) -> Vec<u8> {
        let mut shown = self.key.clone();
        if self.cut_bytes > 0 {
            shown.extend_from_slice(format!("... ({} more bytes)", self.cut_bytes).as_bytes());
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::hash::KeyHasher;

    fn names(top: &TopKeys, count: usize) -> Vec<(String, u64)> {
        let text = |key: Vec<u8>| String::from_utf8(key).unwrap();
        top.heaviest(count).into_iter().map(|(key, weight)| (text(key), weight)).collect()
    }

    fn check_heap(top: &TopKeys) {
        for place in 1..top.heap.len() {
            assert!(top.weight_at((place - 1) / 2) <= top.weight_at(place), "place {place}");
        }
        for (index, counter) in top.counters.iter().enumerate() {
            assert_eq!(top.heap[counter.place] as usize, index);
            assert_eq!(top.by_hash[&counter.hash] as usize, index);
        }
        assert_eq!(top.by_hash.len(), top.counters.len());
    }

    #[test]
    fn long_keys_are_cut_and_told_apart() {
        let hasher = KeyHasher::new(1);
        let mut top = TopKeys::new(4);
        let long = vec![b'x'; KEY_BYTES_MAX + 10];
        let longer = vec![b'x'; KEY_BYTES_MAX + 11];
        top.add(hasher.key(&long), 1);
        top.add(hasher.key(&longer), 2);
        let start = "x".repeat(KEY_BYTES_MAX);
        assert_eq!(
            names(&top, 2),
            [
                (format!("{start}... (11 more bytes)"), 2),
                (format!("{start}... (10 more bytes)"), 1)
            ]
        );
    }

    /// Ten keys take half of what comes, a million others come once each.
    #[test]
    fn a_flood_of_cold_keys_does_not_hide_hot_ones() {
        let hasher = KeyHasher::new(2);
        let mut top = TopKeys::new(160);
        for round in 0..50_000u32 {
            top.add(hasher.key(format!("hot:{}", round % 10).as_bytes()), 10);
            for cold in 0..4 {
                top.add(hasher.key(format!("cold:{round}:{cold}").as_bytes()), 2);
            }
        }
        let mut hot = names(&top, 10);
        hot.sort();
        let bound = top.total() / 160;
        for (number, (key, weight)) in hot.iter().enumerate() {
            assert_eq!(*key, format!("hot:{number}"));
            assert!((50_000 - bound..=50_000).contains(weight), "{key} {weight}");
        }
        assert!(top.memory_bytes() < 160 * 256, "{}", top.memory_bytes());
    }

    #[test]
    fn what_weighs_nothing_is_not_shown_and_sums_do_not_overflow() {
        let hasher = KeyHasher::new(3);
        let mut top = TopKeys::new(0);
        assert_eq!(names(&top, 3), []);
        top.add(hasher.key(b"a"), 0);
        assert_eq!(names(&top, 3), []);
        top.add(hasher.key(b"a"), u64::MAX);
        top.add(hasher.key(b"a"), 7);
        assert_eq!(names(&top, 3), [("a".to_owned(), u64::MAX)]);
        top.add(hasher.key(b"b"), 7);
        assert_eq!((names(&top, 3), top.total()), (Vec::new(), u64::MAX));
    }

    proptest! {
        /// Against exact counts: the bounds of the algorithm, and that nothing is lost.
        #[test]
        fn within_the_bounds_of_space_saving(
            stream in prop::collection::vec((0u8..40, 0u64..100), 0..400),
            capacity in 1usize..48,
        ) {
            let hasher = KeyHasher::new(4);
            let mut top = TopKeys::new(capacity);
            let mut exact: BTreeMap<String, u64> = BTreeMap::new();
            for (key, weight) in &stream {
                // Few keys come often.
                let key = format!("k{}", u32::from(*key) * u32::from(*key) / 40);
                top.add(hasher.key(key.as_bytes()), *weight);
                *exact.entry(key).or_default() += weight;
            }
            check_heap(&top);
            let total: u64 = exact.values().sum();
            prop_assert_eq!(top.total(), total);
            prop_assert_eq!(top.counters.iter().map(|counter| counter.weight).sum::<u64>(), total);
            prop_assert_eq!(top.counters.len(), exact.len().min(capacity));
            for counter in &top.counters {
                let real = exact[std::str::from_utf8(&counter.key).unwrap()];
                prop_assert!(counter.weight - counter.excess <= real && real <= counter.weight);
            }
            for (key, real) in &exact {
                let is_there = top.by_hash.contains_key(&hasher.hash(key.as_bytes()));
                prop_assert!(is_there || real * capacity as u64 <= total, "{key} {real}");
            }
            if exact.len() <= capacity {
                let mut all: Vec<(String, u64)> =
                    exact.into_iter().filter(|(_, weight)| *weight > 0).collect();
                all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                prop_assert_eq!(names(&top, capacity), all);
            }
        }
    }
}
