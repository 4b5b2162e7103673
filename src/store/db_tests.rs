//! Model tests of `Db` against a map, and the particular cases of layout.

use super::super::*;
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn db() -> Db {
    let mut db = Db::new(KeyHasher::new(42));
    db.begin(1_000_000, false);
    db
}

fn set(db: &mut Db, key: &[u8], value: &[u8], ttl: Ttl) -> Replaced {
    let key = db.key(key);
    let hash = KeyHasher::new(42).hash(key.bytes);
    assert_eq!(key.hash, hash);
    db.set_string(key, NewString::Bytes(value), ttl).unwrap()
}

fn get(db: &mut Db, key: &[u8]) -> Option<Vec<u8>> {
    let key = db.key(key);
    let text = |string: StringRef<'_>| string.as_bytes(&mut itoa::Buffer::new()).to_vec();
    db.string(key).unwrap().map(text)
}

fn encoding(db: &mut Db, key: &[u8]) -> &'static str {
    let key = db.key(key);
    db.peek(key).unwrap().encoding()
}

/// Everything but the table's last bucket is given back.
fn assert_empty(db: &mut Db) {
    assert_eq!((db.len(), db.expires_len()), (0, 0));
    let memory = db.memory();
    assert_eq!((memory.heap_live_bytes, memory.block_bytes), (0, 0));
    assert!(memory.table_bytes <= 70_000, "{memory:?}");
    while !db.free_slice(10) {}
    assert!(!db.has_garbage());
}

#[test]
fn set_get_remove() {
    let mut db = db();
    assert_eq!(set(&mut db, b"a", b"one", Ttl::Clear), Replaced::Nothing);
    assert_eq!(set(&mut db, b"a", b"two", Ttl::Clear), Replaced::Value(Kind::String));
    assert_eq!(get(&mut db, b"a").unwrap(), b"two");
    assert_eq!(get(&mut db, b"b"), None);
    assert_eq!((db.stats.hits, db.stats.misses, db.stats.changes), (1, 1, 2));
    let key = db.key(b"a");
    assert!(db.exists(key) && db.remove(key) && !db.remove(key) && !db.exists(key));
    assert_empty(&mut db);
}

#[test]
fn encodings_follow_redis() {
    let mut db = db();
    for (value, name) in [
        ("0", "int"),
        ("-1", "int"),
        ("9223372036854775807", "int"),
        ("-9223372036854775808", "int"),
        ("9223372036854775808", "embstr"),
        ("-0", "embstr"),
        ("007", "embstr"),
        ("+1", "embstr"),
        (" 1", "embstr"),
        ("", "embstr"),
        ("-", "embstr"),
        ("99999999999999999999", "embstr"),
        (&"x".repeat(44), "embstr"),
        (&"x".repeat(45), "raw"),
        (&"1".repeat(45), "raw"),
        (&"x".repeat(9000), "raw"),
    ] {
        set(&mut db, b"k", value.as_bytes(), Ttl::Clear);
        assert_eq!(encoding(&mut db, b"k"), name, "{value:?}");
        assert_eq!(get(&mut db, b"k").unwrap(), value.as_bytes());
    }
    let key = db.key(b"k");
    db.set_string(key, NewString::Raw(b"12"), Ttl::Clear).unwrap();
    assert_eq!(encoding(&mut db, b"k"), "raw");
    set(&mut db, b"k", b"12", Ttl::Clear);
    assert_eq!(encoding(&mut db, b"k"), "int");
    let key = db.key(b"k");
    assert_eq!(db.append(key, b""), Ok(2));
    assert_eq!(encoding(&mut db, b"k"), "raw");
    let key = db.key(b"fresh");
    assert_eq!(db.append(key, b"12"), Ok(2));
    assert_eq!(encoding(&mut db, b"fresh"), "int");
    let key = db.key(b"range");
    assert_eq!(db.set_range(key, 2, b"x"), Ok(3));
    assert_eq!(get(&mut db, b"range").unwrap(), b"\0\0x");
    assert_eq!(encoding(&mut db, b"range"), "raw");
    assert_eq!(db.set_range(db.key(b"none"), 5, b""), Ok(0));
    assert_eq!(db.len(), 3);
}

#[test]
fn integers_of_all_widths_survive() {
    let mut db = db();
    for shift in 0..64 {
        for value in [1i64 << shift, -(1i64 << (shift % 63)), (1i64 << (shift % 63)) - 1] {
            let key = db.key(b"n");
            db.set_string(key, NewString::Int(value), Ttl::Clear).unwrap();
            assert!(matches!(db.string(key), Ok(Some(StringRef::Int(stored))) if stored == value));
            let text = value.to_string();
            assert_eq!(db.string(key).unwrap().unwrap().len(), text.len());
            assert_eq!(entry::canonical_int(text.as_bytes()), Some(value));
        }
    }
}

#[test]
fn large_values_are_shared_and_given_back() {
    let mut db = db();
    let block = Arc::new(vec![7u8; 100_000]);
    let key = db.key(b"big");
    db.set_string(key, NewString::Block(Arc::clone(&block)), Ttl::At(2_000_000)).unwrap();
    assert!(db.memory().block_bytes >= 100_000);
    assert!(matches!(db.string(key), Ok(Some(StringRef::Block(own))) if Arc::ptr_eq(own, &block)));
    assert!(db.peek(key).unwrap().memory_usage() >= 100_000);
    // A reply still holds the bytes: the edit works on a copy, and keeps the TTL.
    assert_eq!(db.append(key, b"!"), Ok(100_001));
    assert_eq!((block.len(), db.expiry(key)), (100_000, Some(Some(2_000_000))));
    assert_eq!(get(&mut db, b"big").unwrap().last(), Some(&b'!'));
    assert_eq!(db.set_range(key, 200_000, b"end"), Ok(200_003));
    let copied = db.copy(key).unwrap();
    let other = db.key(b"copy");
    db.put(other, copied).unwrap();
    assert_eq!(get(&mut db, b"copy"), get(&mut db, b"big"));
    assert_eq!(set(&mut db, b"big", b"small", Ttl::Keep), Replaced::Value(Kind::String));
    assert_eq!(db.expiry(key), Some(Some(2_000_000)));
    assert!(db.remove(key) && db.remove(other));
    assert!(!db.has_garbage(), "what is small is freed at once");
    let huge = Arc::new(vec![1; 3 << 20]);
    db.set_string(key, NewString::Block(huge), Ttl::Clear).unwrap();
    assert!(db.remove(key) && db.has_garbage());
    assert_empty(&mut db);
}

#[test]
fn keys_of_all_lengths() {
    let mut db = db();
    let lengths = [0, 1, 252, 253, 254, 255, 256, 4095, 4096, 4097, 70_000];
    for &length in &lengths {
        for value in [&b"v"[..], b"123", &[1; 4000], &[2; 8100], &[3; 20_000]] {
            let key = vec![b'k'; length];
            set(&mut db, &key, value, Ttl::Clear);
            let own = db.key(&key);
            assert!(db.set_expiry(own, Some(i64::MAX)).unwrap());
            assert_eq!(get(&mut db, &key).unwrap(), value, "key of {length}");
            assert_eq!(db.peek(own).unwrap().key(), key);
            assert_eq!(db.expiry(own), Some(Some(i64::MAX)));
        }
    }
    assert_eq!((db.len(), db.expires_len()), (lengths.len(), lengths.len()));
    for &length in &lengths {
        let key = vec![b'k'; length];
        let own = db.key(&key);
        let taken = db.take(own).unwrap();
        db.put(own, taken).unwrap();
        assert!(db.remove(own));
    }
    assert_empty(&mut db);
}

#[test]
fn ttl_added_changed_removed() {
    let mut db = db();
    for length in (0..700).chain([8000, 8180, 8192, 9000]) {
        let value = vec![b'v'; length];
        set(&mut db, b"k", &value, Ttl::Clear);
        let key = db.key(b"k");
        assert_eq!(db.expiry(key), Some(None));
        for expiry in [Some(1_000_001), Some(i64::MAX), None, None, Some(i64::MAX)] {
            assert_eq!(db.set_expiry(key, expiry), Ok(true));
            assert_eq!((db.expiry(key), db.expires_len()), (Some(expiry), expiry.iter().count()));
            assert_eq!(get(&mut db, b"k").unwrap(), value);
        }
        set(&mut db, b"k", b"other", Ttl::Keep);
        assert_eq!(db.expiry(key), Some(Some(i64::MAX)));
        set(&mut db, b"k", b"other", Ttl::Clear);
        assert_eq!((db.expiry(key), db.expires_len()), (Some(None), 0));
    }
    let missing = db.key(b"missing");
    assert_eq!(db.set_expiry(missing, Some(5)), Ok(false));
    assert_eq!(db.expiry(missing), None);
    let key = db.key(b"k");
    db.remove(key);
    assert_empty(&mut db);
}

#[test]
fn expired_keys_are_never_seen() {
    let mut db = db();
    db.record_expired = true;
    set(&mut db, b"k", b"v", Ttl::At(1_000_000));
    assert_eq!(get(&mut db, b"k").unwrap(), b"v", "due, not past");
    db.begin(1_000_001, false);
    assert_eq!(db.random(&mut |n| n - 1).map(|entry| entry.key().to_vec()), None);
    set(&mut db, b"k", b"v", Ttl::At(1_000_000));
    db.scan(0, &mut |_| panic!("visited a dead key"));
    assert_eq!(db.len(), 0, "met by the scan, deleted by it");
    let key = db.key(b"k");
    assert_eq!(db.append(key, b"w"), Ok(1));
    assert_eq!(db.expiry(key), Some(None));
    assert_eq!((db.stats.expired, db.expired_log.len()), (2, 2));
    assert_eq!(&*db.expired_log[0], b"k");
}

#[test]
fn access_clock_lru() {
    let mut db = db();
    set(&mut db, b"k", b"v", Ttl::Clear);
    let key = db.key(b"k");
    db.begin(1_090_000, false);
    assert_eq!(db.peek(key).unwrap().idle_seconds(), 90);
    assert_eq!(db.read_no_touch(key).unwrap().idle_seconds(), 90);
    db.no_touch = true;
    assert_eq!(db.read(key).unwrap().idle_seconds(), 90);
    db.no_touch = false;
    assert_eq!(db.read(key).unwrap().idle_seconds(), 0);
    db.begin(1_100_000, false);
    let moved = db.take(key).unwrap();
    db.put(key, moved).unwrap();
    assert_eq!(db.peek(key).unwrap().idle_seconds(), 10, "RENAME keeps the clock");
    set(&mut db, b"k", b"w", Ttl::Clear);
    assert_eq!(db.peek(key).unwrap().idle_seconds(), 0);
}

#[test]
fn access_counter_lfu() {
    let mut db = db();
    db.begin(60_000_000, true);
    set(&mut db, b"k", b"v", Ttl::Clear);
    let key = db.key(b"k");
    assert_eq!(db.peek(key).unwrap().lfu_counter(), 5);
    for _ in 0..1000 {
        db.read(key);
    }
    // The documented value for factor 10 after 1000 hits is 18.
    let counter = db.peek(key).unwrap().lfu_counter();
    assert!((12..25).contains(&counter), "{counter}");
    db.begin(60_000_000 + 3 * 60_000, true);
    assert_eq!(db.peek(key).unwrap().lfu_counter(), counter - 3);
    set(&mut db, b"k", b"w", Ttl::Clear);
    assert!(db.peek(key).unwrap().lfu_counter() >= counter - 3, "a set keeps the count");
}

#[test]
fn flush_detaches_and_frees_in_slices() {
    let mut db = db();
    for n in 0..20_000u32 {
        set(&mut db, format!("key:{n}").as_bytes(), &[b'v'; 40], Ttl::At(5_000_000));
    }
    set(&mut db, b"big", &vec![1; 5_000_000], Ttl::Clear);
    let mut old = db.flush();
    assert_eq!((old.keys(), db.len(), db.memory()), (20_001, 0, DbMemory::default()));
    set(&mut db, b"new", b"v", Ttl::Clear);
    let mut slices = 0;
    while !old.free_slice(1) {
        slices += 1;
        assert!(slices < 2000);
    }
    assert!(slices > 20, "{slices}");
    drop(old);
    assert_eq!(get(&mut db, b"new").unwrap(), b"v");
}

#[test]
fn compaction_empties_sparse_pages_and_loses_nothing() {
    let mut db = db();
    let name = |n: u32| format!("key:{n:06}").into_bytes();
    for n in 0..20_000u32 {
        set(&mut db, &name(n), &[n as u8; 60], Ttl::Clear);
    }
    for n in (0..20_000u32).filter(|n| n % 8 != 0) {
        let key = name(n);
        let key = db.key(&key);
        db.remove(key);
    }
    let before = db.memory();
    let mut moves = 0;
    while db.compact(100) > 0 {
        moves += 1;
        assert!(moves < 1000);
    }
    while !db.free_slice(8) {}
    let after = db.memory();
    assert_eq!(before.heap_live_bytes, after.heap_live_bytes);
    assert!(before.heap_page_bytes > after.heap_live_bytes * 3, "{before:?}");
    // What stays above the live bytes is the reserve of spare pages and one page or two.
    assert!(after.heap_page_bytes < after.heap_live_bytes + (36 << 16) + 16_384, "{after:?}");
    for n in 0..20_000u32 {
        let expected = (n % 8 == 0).then(|| vec![n as u8; 60]);
        assert_eq!(get(&mut db, &name(n)), expected, "key {n}");
    }
}

#[test]
fn scan_misses_nothing_while_keys_come_and_go() {
    for grow in [true, false] {
        let mut db = db();
        let name = |n: u32| format!("key:{n}").into_bytes();
        let (kept, total) = (500, 8000);
        for n in 0..if grow { kept } else { total } {
            set(&mut db, &name(n), b"v", Ttl::Clear);
        }
        let (mut seen, mut cursor, mut next) = (std::collections::HashSet::new(), 0, kept);
        for steps in 0.. {
            assert!(steps < 3000, "the scan does not end");
            cursor = db.scan(cursor, &mut |entry| {
                seen.insert(entry.key().to_vec());
            });
            if cursor == 0 {
                break;
            }
            for n in next..total.min(next + 90) {
                let key = name(n);
                if grow {
                    set(&mut db, &key, b"v", Ttl::Clear);
                } else {
                    assert!(db.remove(db.key(&key)));
                }
            }
            next = total.min(next + 90);
        }
        assert!((0..kept).all(|n| seen.contains(&name(n))), "grow: {grow}");
    }
}

#[test]
fn every_change_passes_the_door() {
    let mut db = db();
    let changes = |db: &mut Db, write: &mut dyn FnMut(&mut Db)| {
        let before = db.stats.changes;
        write(db);
        db.stats.changes - before
    };
    let (key, other) = (KeyHasher::new(42).key(b"k"), KeyHasher::new(42).key(b"other"));
    let mut one = |write: &mut dyn FnMut(&mut Db)| assert_eq!(changes(&mut db, write), 1);
    one(&mut |db| assert!(db.set_string(key, NewString::Bytes(&[1; 9000]), Ttl::Clear).is_ok()));
    one(&mut |db| assert!(db.append(key, b"more").is_ok()));
    one(&mut |db| assert!(db.set_range(key, 1, b"more").is_ok()));
    one(&mut |db| assert!(db.set_expiry(key, Some(1_000_500)).is_ok()));
    one(&mut |db| assert!(db.set_string(key, NewString::Int(5), Ttl::Keep).is_ok()));
    one(&mut |db| assert!(db.append(key, b"more").is_ok()));
    one(&mut |db| {
        let copied = db.copy(key).unwrap();
        db.put(other, copied).unwrap();
    });
    one(&mut |db| assert!(db.take(other).is_some()));
    one(&mut |db| {
        db.begin(1_000_600, false);
        assert!(!db.exists(key));
    });
    assert_eq!(changes(&mut db, &mut |db| assert!(!db.remove(key))), 0);
}

#[test]
fn random_reaches_every_key_evenly() {
    let mut db = db();
    for n in 0..50u8 {
        set(&mut db, &[n], b"v", Ttl::Clear);
    }
    let mut state = 1u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % n
    };
    let mut counts = [0u32; 50];
    for _ in 0..10_000 {
        counts[usize::from(db.random(&mut below).unwrap().key()[0])] += 1;
    }
    assert!(counts.iter().all(|count| (130..280).contains(count)), "{counts:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Set(u16, Vec<u8>, Option<i64>),
    Keep(u16, Vec<u8>),
    Append(u16, Vec<u8>),
    Range(u16, usize, Vec<u8>),
    Expire(u16, Option<i64>),
    Remove(u16),
    Rename(u16, u16),
    Copy(u16, u16),
    Pass(i64),
    Cycle,
    Compact,
    Free,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..80),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => (-200i64..200).prop_map(|n| n.to_string().into_bytes()),
        1 => (100usize..9000, any::<u8>()).prop_map(|(n, b)| vec![b; n]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..400u16;
    let expiry = prop::option::of(0..5000i64);
    prop_oneof![
        8 => (key.clone(), value(), expiry.clone()).prop_map(|(k, v, e)| Step::Set(k, v, e)),
        2 => (key.clone(), value()).prop_map(|(k, v)| Step::Keep(k, v)),
        2 => (key.clone(), value()).prop_map(|(k, v)| Step::Append(k, v)),
        1 => (key.clone(), 0..9000usize, value()).prop_map(|(k, o, v)| Step::Range(k, o, v)),
        3 => (key.clone(), expiry).prop_map(|(k, e)| Step::Expire(k, e)),
        4 => key.clone().prop_map(Step::Remove),
        1 => (key.clone(), key.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (key.clone(), key).prop_map(|(a, b)| Step::Copy(a, b)),
        1 => (0..300i64).prop_map(Step::Pass),
        1 => Just(Step::Cycle),
        1 => Just(Step::Compact),
        1 => Just(Step::Free),
    ]
}

/// The naive database: text and expiry by key.
type Model = HashMap<u16, (Vec<u8>, Option<i64>)>;

fn name(key: u16) -> Vec<u8> {
    // Some keys are long, so that every key form occurs.
    match key % 50 {
        0 => vec![key as u8; 4090 + usize::from(key / 50)],
        1 => vec![key as u8; 250 + usize::from(key / 50)],
        _ => format!("key:{key}").into_bytes(),
    }
}

fn apply(db: &mut Db, model: &mut Model, now: &mut i64, step: Step) {
    let present = *now;
    model.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| present <= expiry));
    let hasher = KeyHasher::new(42);
    match step {
        Step::Set(k, v, e) => {
            let ttl = e.map_or(Ttl::Clear, |e| Ttl::At(present + e));
            let existed = set(db, &name(k), &v, ttl).existed();
            assert_eq!(existed, model.insert(k, (v, e.map(|e| present + e))).is_some());
        }
        Step::Keep(k, v) => {
            set(db, &name(k), &v, Ttl::Keep);
            model.entry(k).or_default().0 = v;
        }
        Step::Append(k, v) => {
            let text = &mut model.entry(k).or_default().0;
            text.extend_from_slice(&v);
            assert_eq!(db.append(hasher.key(&name(k)), &v), Ok(text.len()));
        }
        Step::Range(k, offset, v) => {
            let length = model.get(&k).map_or(0, |(text, _)| text.len());
            let end = if v.is_empty() { length } else { length.max(offset + v.len()) };
            assert_eq!(db.set_range(hasher.key(&name(k)), offset, &v), Ok(end));
            if !v.is_empty() {
                let text = &mut model.entry(k).or_default().0;
                text.resize(end, 0);
                text[offset..offset + v.len()].copy_from_slice(&v);
            }
        }
        Step::Expire(k, e) => {
            let expiry = e.map(|e| present + e);
            let done = db.set_expiry(hasher.key(&name(k)), expiry);
            assert_eq!(done, Ok(model.contains_key(&k)));
            model.entry(k).and_modify(|entry| entry.1 = expiry);
        }
        Step::Remove(k) => {
            assert_eq!(db.remove(hasher.key(&name(k))), model.remove(&k).is_some());
        }
        Step::Rename(a, b) => {
            let taken = db.take(hasher.key(&name(a)));
            assert_eq!(taken.is_some(), model.contains_key(&a));
            if let Some(taken) = taken {
                db.put(hasher.key(&name(b)), taken).unwrap();
                let value = model.remove(&a).unwrap();
                model.insert(b, value);
            }
        }
        Step::Copy(a, b) => {
            if let Some(copied) = db.copy(hasher.key(&name(a))) {
                db.put(hasher.key(&name(b)), copied).unwrap();
                let value = model[&a].clone();
                model.insert(b, value);
            }
        }
        Step::Pass(ms) => {
            *now += ms;
            db.begin(*now, false);
        }
        Step::Cycle => {
            assert!(db.expire_due(10).expired <= 400);
            db.sweep(10);
            db.tidy_wheel(1);
        }
        Step::Compact => assert!(db.compact(50) <= 50),
        Step::Free => while !db.free_slice(3) {},
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(step(), 1..700)) {
        let (mut db, mut model, mut now) = (db(), Model::new(), 1_000_000);
        for step in steps {
            apply(&mut db, &mut model, &mut now, step);
        }
        model.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| now <= expiry));
        for key in 0..400 {
            let own = name(key);
            let expected = model.get(&key);
            prop_assert_eq!(get(&mut db, &own), expected.map(|(text, _)| text.clone()));
            let own = db.key(&own);
            prop_assert_eq!(db.expiry(own), expected.map(|(_, expiry)| *expiry));
        }
        prop_assert_eq!(db.len(), model.len());
        let with_ttl = model.values().filter(|(_, expiry)| expiry.is_some()).count();
        prop_assert_eq!(db.expires_len(), with_ttl);
        let mut seen = 0;
        db.for_each_bucket(0..db.buckets(), &mut |_| seen += 1);
        prop_assert_eq!(seen, model.len());
        for key in 0..400 {
            let own = name(key);
            let own = db.key(&own);
            db.remove(own);
        }
        assert_empty(&mut db);
    }
}
