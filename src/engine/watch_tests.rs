//! What is watched against a model of whole databases, and that nothing of it is done in one piece.
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[test]
fn only_those_who_watch_the_key_are_marked() {
    let mut watch = Watch::default();
    watch.watch(1, 0, b"a", Seen::Missing);
    watch.watch(1, 0, b"a", Seen::Missing);
    watch.watch(2, 0, b"b", Seen::Missing);
    watch.watch(2, 3, b"a", Seen::Missing);
    assert_eq!(watch.memory_bytes(1), WATCH_BYTES + 1);
    assert_eq!(watch.memory_bytes(2), 2 * (WATCH_BYTES + 1));
    watch.touch(0, b"a");
    assert_eq!((watch.is_dirty(1), watch.is_dirty(2)), (true, false));
    watch.touch(7, b"a");
    watch.touch(3, b"b");
    assert!(!watch.is_dirty(2));
    watch.touch(3, b"a");
    assert!(watch.is_dirty(2));
}

#[test]
fn who_watches_very_much_goes_at_once_and_is_forgotten_in_slices() {
    let mut watch = Watch::default();
    let key = |number: u32| format!("key:{number}").into_bytes();
    for number in 0..10_000 {
        watch.watch(1, 0, &key(number), Seen::There(None));
    }
    watch.watch(2, 0, b"key:5", Seen::There(None));
    assert!(!watch.is_leaving());
    watch.forget(1);
    assert!(!watch.is_dirty(1) && !watch.is_watching(1) && watch.memory_bytes(1) == 0);
    assert_eq!((watch.is_leaving(), watch.keys_in(0)), (true, 10_000));
    let mut slices = 0;
    while !watch.free_slice(100) {
        slices += 1;
        // What is watched at half time takes two steps more.
        let left = 10_000 - slices * 100 + if slices > 50 { 2 } else { 0 };
        assert!(watch.keys_in(0).abs_diff(left) <= 1, "after {slices}: {}", watch.keys_in(0));
        if slices == 50 {
            // What it watches now is another thing.
            watch.watch(1, 0, b"key:6", Seen::There(None));
            watch.touch(0, b"key:7");
            assert!(!watch.is_dirty(1));
            watch.forget(1);
        }
    }
    assert!((99..=101).contains(&slices), "{slices}");
    assert_eq!(watch.keys_in(0), 1);
    watch.touch(0, b"key:5");
    assert!(watch.is_dirty(2));
    watch.forget(2);
    while !watch.free_slice(1) {}
    assert!(watch.is_empty() && watch.keys_in(0) == 0);
}

#[test]
fn very_many_who_watch_one_key_know_at_once_and_are_marked_in_slices() {
    let mut watch = Watch::default();
    (1..=1000).for_each(|client| watch.watch(client, 0, b"a", Seen::Missing));
    watch.touch(0, b"a");
    assert_eq!(watch.marks.front().map(Vec::len), Some(1000));
    assert!((1..=1000).all(|client| watch.is_dirty(client)));
    watch.forget(500);
    watch.watch(500, 0, b"a", Seen::Missing);
    assert!(!watch.is_dirty(500), "a new watch begins clean");
    let mut slices = 0;
    while !watch.free_slice(100) {
        slices += 1;
    }
    assert!(slices >= 9, "{slices}");
    let all = (1..=1000).filter(|&client| watch.is_dirty(client)).count();
    assert_eq!((all, watch.is_dirty(500)), (999, false));
}

#[test]
fn a_key_seen_expired_may_go_and_one_seen_alive_may_not() {
    let mut watch = Watch::default();
    watch.watch(1, 0, b"a", Seen::There(Some(100)));
    watch.watch(2, 0, b"a", Seen::Expired);
    watch.watch(3, 0, b"b", Seen::There(Some(50)));
    watch.watch(3, 0, b"c", Seen::There(None));
    assert_eq!([50, 51, 100, 101].map(|now| watch.is_past(3, now)), [false, true, true, true]);
    assert_eq!([1, 2].map(|client| watch.is_past(client, 101)), [true, false]);
    watch.expired(0, b"a");
    assert_eq!([1, 2].map(|client| watch.is_dirty(client)), [true, false]);
    watch.expired(0, b"b");
    assert!(watch.is_dirty(3));
    watch.touch(0, b"a");
    assert!(watch.is_dirty(2), "it came again");
}

/// What is to be true of [`Watch`], of whole databases and without any haste.
#[derive(Default)]
struct Model {
    dbs: [BTreeSet<u8>; 2],
    /// The keys of each client, and whether one has changed.
    clients: BTreeMap<u64, (BTreeSet<(usize, u8)>, bool)>,
}

impl Model {
    fn mark(&mut self, is_meant: impl Fn(&(usize, u8)) -> bool) {
        for (keys, is_dirty) in self.clients.values_mut() {
            *is_dirty |= keys.iter().any(&is_meant);
        }
    }
}

/// Many keys, so that there are many small maps, and yet one in four commands meets another.
const KEYS: u8 = 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn it_is_what_redis_does_at_once(
        crowd in any::<bool>(),
        steps in
            proptest::collection::vec((0u8..12, 1u64..5, 0usize..2, 0..KEYS, 0usize..9), 0..150),
    ) {
        let (mut watch, mut model) = (Watch::default(), Model::default());
        if crowd {
            // So that there are many small maps in one database.
            for number in 0..1500u32 {
                watch.watch(99, 0, &number.to_be_bytes(), Seen::Missing);
            }
        }
        for (what, client, db, key, count) in steps {
            let look = |dbs: &[BTreeSet<u8>; 2], db: usize, key: &[u8]| {
                let is_there = key.len() == 1 && dbs[db].contains(&key[0]);
                if is_there { Seen::There(None) } else { Seen::Missing }
            };
            let is_there = |seen: Seen| matches!(seen, Seen::There(_));
            match what {
                0..=3 => {
                    let watched = model.clients.entry(client).or_default();
                    if !watched.1 {
                        watched.0.insert((db, key));
                        watch.watch(client, db, &[key], look(&model.dbs, db, &[key]));
                    }
                }
                4 => {
                    model.clients.remove(&client);
                    watch.forget(client);
                }
                5 | 6 => {
                    if !model.dbs[db].remove(&key) {
                        model.dbs[db].insert(key);
                    }
                    model.mark(|&place| place == (db, key));
                    watch.touch(db, &[key]);
                }
                7 => {
                    while !watch.sweep(|db, key, _| look(&model.dbs, db, key)) {}
                    let gone = std::mem::take(&mut model.dbs[db]);
                    model.mark(|place| place.0 == db && gone.contains(&place.1));
                    watch.emptied_one(db);
                }
                8 => {
                    while !watch.sweep(|db, key, _| look(&model.dbs, db, key)) {}
                    let dbs = model.dbs.clone();
                    model.mark(|place| dbs.iter().any(|keys| keys.contains(&place.1)));
                    (0..2).for_each(|db| watch.emptied_one(db));
                    if count % 2 == 0 {
                        for db in 0..2 {
                            watch.sweep_before(db, |key| is_there(look(&dbs, 1 - db, key)));
                        }
                    } else {
                        (0..2).for_each(|db| watch.begin_sweep(db, 0));
                    }
                    model.dbs.swap(0, 1);
                }
                9 => {
                    (0..count).for_each(|_| {
                        watch.sweep(|db, key, _| look(&model.dbs, db, key));
                    });
                }
                10 => {
                    watch.free_slice(count);
                }
                _ => {
                    while !watch.sweep(|db, key, _| look(&model.dbs, db, key)) {}
                    for client in 1..5 {
                        let is_dirty = model.clients.get(&client).is_some_and(|watched| watched.1);
                        prop_assert_eq!(watch.is_dirty(client), is_dirty, "client {}", client);
                        let keys = model.clients.get(&client).map_or(0, |watched| watched.0.len());
                        prop_assert_eq!(watch.memory_bytes(client), keys * (WATCH_BYTES + 1));
                    }
                }
            }
        }
        (1..100).for_each(|client| watch.forget(client));
        while !watch.free_slice(7) {}
        prop_assert!(watch.is_empty() && (0..2).all(|db| watch.keys_in(db) == 0));
    }
}
