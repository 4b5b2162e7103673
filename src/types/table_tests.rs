//! Model tests of the table. A handle's hash is a function of the handle, so `rehash` needs no
//! heap; some handles collide on purpose.

use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

fn hash_of(handle: u32) -> u64 {
    // Every eighth handle shares its hash with the seven before: chains and equal tags.
    let seed = u64::from(handle / 8 * 8 + if handle % 64 < 8 { 0 } else { handle % 8 });
    let mixed = (seed ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn insert(table: &mut Table, handle: u32, has_ttl: bool) {
    table.insert(hash_of(handle), handle, has_ttl).unwrap();
    while table.grows().is_some() {
        table.grow(|_| {}, hash_of);
    }
}

fn find(table: &Table, handle: u32) -> Option<Slot> {
    table.find(hash_of(handle), |other| other == handle)
}

fn remove(table: &mut Table, handle: u32) -> bool {
    let Some(slot) = find(table, handle) else { return false };
    table.remove(slot);
    while table.shrinks().is_some() {
        table.shrink();
    }
    true
}

/// Every entry is in the bucket of its hash, under its tag, once; chains are dense.
fn check(table: &Table, model: &HashMap<u32, bool>) {
    assert_eq!(table.len(), model.len());
    let (mut seen, mut overflow) = (HashMap::new(), 0);
    for bucket in 0..table.buckets() {
        let mut node = 0;
        loop {
            let current = table.node(bucket, node);
            let count = current.count();
            assert!(count == SLOTS || current.link == 0, "a hole inside a chain");
            assert!(count > 0 || node == 0, "an empty overflow bucket");
            for slot in 0..SLOTS {
                assert_eq!(current.handles[slot] != 0, slot < count);
            }
            for slot in 0..count {
                assert_eq!(table.bucket_of(hash_of(current.handles[slot])), bucket);
                assert_eq!(current.tags[slot] & !TTL_BIT, tag_of(hash_of(current.handles[slot])));
            }
            node = current.link;
            if node == 0 {
                break;
            }
            overflow += 1;
        }
        table.visit_bucket(bucket, |handle, has_ttl| {
            assert_eq!(seen.insert(handle, has_ttl), None, "visited twice");
        });
    }
    assert_eq!(&seen, model);
    assert_eq!(table.overflow_live, overflow, "overflow buckets leak");
}

#[test]
fn grows_to_thousands_and_back_to_one_bucket() {
    let (mut table, mut model) = (Table::new(), HashMap::new());
    assert_eq!((table.bytes(), table.scan(0, |_| panic!())), (0, 0));
    for handle in 1..=30_000 {
        insert(&mut table, handle, handle % 3 == 0);
        model.insert(handle, handle % 3 == 0);
        if handle % 7001 == 0 || handle < 40 {
            check(&table, &model);
        }
    }
    assert!(table.buckets() >= 30_000 / SPLIT_LOAD);
    for handle in 1..=30_000 {
        assert!(remove(&mut table, handle));
        assert!(!remove(&mut table, handle));
        model.remove(&handle);
        if handle % 7001 == 0 || handle > 29_960 {
            check(&table, &model);
        }
    }
    assert_eq!((table.buckets(), table.overflow_live), (1, 0));
    assert!(table.main.bytes() <= 64 * 64, "{}", table.main.bytes());
}

#[test]
fn bytes_per_entry_stay_flat() {
    let mut table = Table::new();
    let mix = |n: u32| crate::base::hash::KeyHasher::new(3).hash(&n.to_le_bytes());
    for handle in 1..=100_000u32 {
        table.insert(mix(handle), handle, false).unwrap();
        table.grow(|_| {}, mix);
        if handle >= 20_000 && handle % 1000 == 0 {
            let per_entry = table.bytes() as f64 / f64::from(handle);
            assert!((7.0..12.5).contains(&per_entry), "{per_entry} at {handle}");
        }
    }
    assert!((table.bytes() as f64) < 100_000.0 * 9.5, "{}", table.bytes());
}

#[test]
fn one_step_of_growth_or_shrinking_is_small() {
    // The caller takes at most one step per change, and the load must still follow.
    let mut table = Table::new();
    for handle in 1..=20_000 {
        table.insert(hash_of(handle), handle, false).unwrap();
        table.grow(|_| {}, hash_of);
        assert!(table.grows().is_none());
    }
    for handle in 1..=20_000 {
        table.remove(find(&table, handle).unwrap());
        table.shrink();
        table.shrink();
        assert!(table.shrinks().is_none());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, u32),
    Remove(u32, u32),
    Mark(u32, bool),
    Replace(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..5000u32, 1..200u32).prop_map(|(at, count)| Step::Insert(at, count)),
        3 => (1..5000u32, 1..200u32).prop_map(|(at, count)| Step::Remove(at, count)),
        1 => (1..5000u32, any::<bool>()).prop_map(|(handle, mark)| Step::Mark(handle, mark)),
        1 => (1..5000u32).prop_map(Step::Replace),
    ]
}

fn apply(table: &mut Table, model: &mut HashMap<u32, bool>, step: &Step) {
    match *step {
        Step::Insert(at, count) => {
            for handle in at..at + count {
                if let std::collections::hash_map::Entry::Vacant(vacant) = model.entry(handle) {
                    vacant.insert(false);
                    insert(table, handle, false);
                }
            }
        }
        Step::Remove(at, count) => {
            for handle in at..at + count {
                assert_eq!(remove(table, handle), model.remove(&handle).is_some());
            }
        }
        Step::Mark(handle, mark) => {
            if let Some(slot) = find(table, handle) {
                table.set_ttl_bit(slot, mark);
                model.insert(handle, mark);
            }
        }
        Step::Replace(handle) => {
            // The neighbour of equal hash takes the place.
            let other = handle ^ 1;
            let equal = hash_of(other) == hash_of(handle) && other != 0;
            if equal
                && !model.contains_key(&other)
                && let Some(slot) = find(table, handle)
            {
                table.replace(slot, other);
                let mark = model.remove(&handle).unwrap();
                model.insert(other, mark);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn behaves_like_a_set(steps in prop::collection::vec(step(), 1..80)) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for step in &steps {
            apply(&mut table, &mut model, step);
        }
        check(&table, &model);
    }

    #[test]
    fn scan_visits_what_stays(
        before in prop::collection::vec(step(), 1..40),
        between in prop::collection::vec(step(), 1..60),
    ) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for step in &before {
            apply(&mut table, &mut model, step);
        }
        let mut stayed: HashSet<u32> = model.keys().copied().collect();
        let (mut seen, mut cursor) = (HashSet::new(), 0);
        let mut changes = between.iter();
        for steps in 0.. {
            prop_assert!(steps < 5000, "the scan does not end");
            cursor = table.scan(cursor, |handle| {
                seen.insert(handle);
            });
            if cursor == 0 {
                break;
            }
            if let Some(change) = changes.next() {
                // A handle replaced by its equal would count as gone and come.
                if !matches!(change, Step::Replace(_)) {
                    apply(&mut table, &mut model, change);
                    stayed.retain(|handle| model.contains_key(handle));
                }
            }
        }
        prop_assert_eq!(stayed.difference(&seen).count(), 0);
    }
}

/// What the prefetcher is told before a lookup is nearly always what the lookup needs, wherever in a chain that is.
#[test]
fn candidates_are_found_in_both_of_the_first_buckets() {
    let mut table = Table::new();
    let spread = |handle: u32| u64::from(handle).wrapping_mul(0x9e37_79b9_7f4a_7c15).swap_bytes();
    assert!(!table.candidates(1, |_| panic!("the table is empty")));
    table.candidates_behind(1, |_| panic!("the table is empty"));
    // Between two powers of two, where buckets that are not split yet have others behind them.
    for handle in 1..=10_000 {
        table.insert(spread(handle), handle, false).unwrap();
        while table.grows().is_some() {
            table.grow(|_| {}, spread);
        }
    }
    let (mut first, mut behind) = (0, 0);
    for handle in 1..=10_000 {
        let hash = spread(handle);
        let mut is_found = false;
        let mut see = |other| is_found |= other == handle;
        if table.candidates(hash, &mut see) {
            table.candidates_behind(hash, &mut see);
            behind += u32::from(is_found);
        } else {
            first += u32::from(is_found);
        }
    }
    assert!(first + behind > 9_800, "{first} in the first bucket, {behind} behind it");
    assert!(behind > 10, "{behind} behind the first bucket");
}
