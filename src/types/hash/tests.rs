//! A hash against a map, in all its forms.
use super::*;
use crate::base::hash::KeyHasher;
use crate::base::random::Random;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn limits(entries: usize) -> Limits {
    Limits { hash_max_listpack_entries: entries, ..Limits::new(KeyHasher::new(7)) }
}

fn text(value: &Value<'_>) -> Vec<u8> {
    value.as_bytes(&mut itoa::Buffer::new()).to_vec()
}

/// All that a hash holds, walked over in pieces.
fn contents(hash: &Hash, units: usize) -> Model {
    let (mut model, mut cursor, mut seen) = (Model::new(), 0, 0);
    loop {
        let progress = hash.view().visit(&mut cursor, units, |field| {
            model.insert(field.name.to_vec(), (text(&field.found.value), field.found.expiry));
            seen += 1;
        });
        if progress.is_done() {
            break;
        }
    }
    assert_eq!((model.len(), hash.len()), (seen, seen), "a field came twice or not at all");
    model
}

#[derive(Clone, Debug)]
enum Op {
    Set(u16, usize, FieldTtl),
    Remove(u16),
    Expire(u16, i64, Condition),
    Persist(u16),
    Reclaim(i64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let field = 0u16..60;
    let ttl = prop_oneof![Just(FieldTtl::Clear), Just(FieldTtl::Keep)];
    let condition = prop_oneof![
        3 => Just(Condition::Always),
        1 => Just(Condition::IfNone),
        1 => Just(Condition::IfAny),
        1 => Just(Condition::IfLater),
        1 => Just(Condition::IfSooner),
    ];
    let length = prop_oneof![10 => 0usize..70, 1 => Just(BLOCK_BYTES_MIN), 1 => Just(200usize)];
    prop_oneof![
        6 => (field.clone(), length, ttl)
            .prop_map(|(field, value, ttl)| Op::Set(field, value, ttl)),
        2 => field.clone().prop_map(Op::Remove),
        4 => (field.clone(), 0i64..200, condition)
            .prop_map(|(field, when, condition)| Op::Expire(field, when, condition)),
        1 => field.prop_map(Op::Persist),
        1 => (0i64..200, 0usize..9).prop_map(|(now, units)| Op::Reclaim(now, units)),
    ]
}

fn name(number: u16) -> Vec<u8> {
    match number % 3 {
        0 => number.to_string().into_bytes(),
        1 => format!("field:{number}").into_bytes(),
        _ => format!("{number:0>70}").into_bytes(),
    }
}

const NOW: i64 = 50;

fn apply(hash: &mut Hash, model: &mut Model, op: &Op, limits: &Limits) {
    match op {
        Op::Set(field, length, ttl) => {
            let (field, value) = (name(*field), vec![b'x'; *length]);
            let is_new = hash.set(&field, NewValue::Bytes(&value), *ttl, limits).unwrap();
            let old = model.remove(&field);
            assert_eq!(is_new, old.is_none());
            let kept =
                if *ttl == FieldTtl::Keep { old.and_then(|(_, expiry)| expiry) } else { None };
            model.insert(field, (value, kept));
        }
        Op::Remove(field) => {
            let field = name(*field);
            assert_eq!(hash.remove(&field), model.remove(&field).is_some());
        }
        Op::Expire(field, when, condition) => {
            let field = name(*field);
            let outcome = hash.expire(&field, *when, *condition, NOW);
            let old = model.get(&field).map(|(_, expiry)| *expiry);
            let expected = match old {
                None => ExpireOutcome::NoField,
                Some(Some(old)) if old <= NOW => ExpireOutcome::NoField,
                Some(old) if !condition.allows(old, *when) => ExpireOutcome::NotMet,
                Some(_) if *when <= NOW => ExpireOutcome::Deleted,
                Some(_) => ExpireOutcome::Set,
            };
            assert_eq!(outcome, expected);
            match outcome {
                ExpireOutcome::Set => model.get_mut(&field).unwrap().1 = Some(*when),
                ExpireOutcome::NotMet => {}
                ExpireOutcome::Deleted | ExpireOutcome::NoField => _ = model.remove(&field),
            }
        }
        Op::Persist(field) => {
            let field = name(*field);
            let expected = match model.get(&field) {
                Some((_, Some(expiry))) if *expiry > NOW => PersistOutcome::Done,
                Some((_, None)) => PersistOutcome::NoExpiry,
                _ => PersistOutcome::NoField,
            };
            assert_eq!(hash.persist(&field, NOW), expected);
            if expected == PersistOutcome::Done {
                model.get_mut(&field).unwrap().1 = None;
            }
        }
        Op::Reclaim(now, units) => {
            let mut due: Vec<_> = model
                .iter()
                .filter_map(|(name, (_, expiry))| Some(((*expiry)?, name.clone())))
                .filter(|(expiry, _)| expiry <= now)
                .collect();
            due.sort();
            let count = hash.reclaim(*now, *units);
            assert_eq!(count, due.len().min(*units));
            // Among those of one time any may go first.
            let left = contents(hash, 100);
            for (expiry, name) in &due {
                let is_gone = !left.contains_key(name);
                if count > 0 && *expiry < due[count - 1].0 {
                    assert!(is_gone);
                }
                if is_gone {
                    model.remove(name);
                }
            }
            assert_eq!(left.len(), model.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn agrees_with_a_map(
        ops in proptest::collection::vec(op(), 0..150),
        entries in prop_oneof![Just(0usize), Just(10), Just(1000)],
        longest in prop_oneof![Just(64usize), Just(1000)],
        units in 1usize..20,
    ) {
        let limits = Limits { hash_max_listpack_value: longest, ..limits(entries) };
        let (mut hash, mut model) = (Hash::new_empty(), Model::new());
        for op in &ops {
            apply(&mut hash, &mut model, op, &limits);
            let first = model.values().filter_map(|(_, expiry)| *expiry).min();
            prop_assert_eq!(hash.view().next_expiry(), first);
            prop_assert_eq!(hash.is_empty(), model.is_empty());
        }
        prop_assert_eq!(&contents(&hash, units), &model);
        for (name, (value, expiry)) in &model {
            let found = hash.view().get(name).unwrap();
            prop_assert_eq!((text(&found.value), found.expiry), (value.clone(), *expiry));
        }
        let (mut copy, mut cursor) = (Hash::new_empty(), 0);
        while !copy.copy_slice(hash.view(), &mut cursor, units, &limits).unwrap().is_done() {}
        prop_assert_eq!(&contents(&copy, units), &model);
        prop_assert_eq!(copy.view().encoding(), hash.view().encoding());
        prop_assert_eq!(copy.view().next_expiry(), hash.view().next_expiry());
        if let Some((form, bytes)) = hash.packed() {
            prop_assert!(ListpackRef::check(bytes, true).is_ok());
            let again = Hash::from_packed(form, bytes.to_vec());
            prop_assert_eq!(&contents(&again, units), &model);
        }
    }
}

#[test]
fn converts_where_redis_does() {
    let limits = limits(3);
    let set = |hash: &mut Hash, field: &[u8], value: &[u8]| {
        hash.set(field, NewValue::Bytes(value), FieldTtl::Clear, &limits).unwrap()
    };
    let mut hash = Hash::new_empty();
    for field in [b"a", b"b", b"c"] {
        assert!(set(&mut hash, field, &[b'x'; 64]));
        assert_eq!(hash.view().encoding(), "listpack");
    }
    assert!(!set(&mut hash, b"a", b"1"));
    assert_eq!(hash.view().encoding(), "listpack");
    assert!(set(&mut hash, b"d", b""));
    assert_eq!(hash.view().encoding(), "hashtable");
    let mut hash = Hash::new_empty();
    set(&mut hash, b"a", &[b'x'; 65]);
    assert_eq!(hash.view().encoding(), "hashtable");
    // All arguments are looked at first, also those of a field that is set to something short again.
    let mut hash = Hash::new_empty();
    hash.prepare(64, 200, &limits).unwrap();
    assert_eq!(hash.view().encoding(), "listpack");
    hash.prepare(65, 200, &limits).unwrap();
    assert_eq!(hash.view().encoding(), "hashtable");
}

#[test]
fn triples_are_sorted_as_redis_sorts_them() {
    let limits = limits(10);
    let mut hash = Hash::new_empty();
    for field in [b"a", b"b", b"c", b"d"] {
        hash.set(field, NewValue::Bytes(b"v"), FieldTtl::Clear, &limits).unwrap();
    }
    let order = |hash: &Hash| -> Vec<u8> {
        let mut names = Vec::new();
        let _ = hash.view().visit(&mut 0, 10, |field| names.extend(field.name.to_vec()));
        names
    };
    let expire = |hash: &mut Hash, field: &[u8], when| {
        assert_eq!(hash.expire(field, when, Condition::Always, 0), ExpireOutcome::Set);
    };
    expire(&mut hash, b"c", 300);
    assert_eq!(order(&hash), b"cabd");
    expire(&mut hash, b"d", 200);
    expire(&mut hash, b"b", 300);
    assert_eq!(order(&hash), b"dbca", "before its equals");
    hash.set(b"d", NewValue::Bytes(b"w"), FieldTtl::Keep, &limits).unwrap();
    assert_eq!(order(&hash), b"dbca");
    hash.set(b"d", NewValue::Bytes(b"w"), FieldTtl::Clear, &limits).unwrap();
    assert_eq!(order(&hash), b"bcad");
    assert_eq!(hash.view().encoding(), "listpackex");
}

#[test]
fn random_fields_are_evenly_spread() {
    for entries in [0, 100] {
        let limits = limits(entries);
        let mut hash = Hash::new_empty();
        for number in 0..50u16 {
            let field = number.to_string().into_bytes();
            hash.set(&field, NewValue::Bytes(&field), FieldTtl::Clear, &limits).unwrap();
        }
        let (mut random, mut counts) = (Random::from_seed(1), BTreeMap::<Vec<u8>, u32>::new());
        let index = hash.view().index();
        assert_eq!(index.as_ref().map(Vec::len), (entries > 0).then_some(50));
        for round in 0..50_000 {
            let index = if round % 2 == 0 { index.as_deref() } else { None };
            let id = hash.view().random(index, &mut random).unwrap();
            *counts.entry(hash.view().field(id).name.to_vec()).or_default() += 1;
        }
        assert_eq!(counts.len(), 50);
        assert!(counts.values().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}

#[test]
fn a_big_one_costs_less_than_fifty_bytes_a_field() {
    let limits = limits(512);
    let mut hash = Hash::new_empty();
    let count = 100_000;
    for number in 0..count {
        let (field, value) = (format!("field:{number:010}"), format!("value:{number:010}"));
        let value = NewValue::Bytes(value.as_bytes());
        hash.set(field.as_bytes(), value, FieldTtl::Clear, &limits).unwrap();
    }
    assert!(hash.bytes() < count * 50, "{}", hash.bytes() / count);
    let mut slices = 0;
    while !hash.free_slice(1).is_done() {
        slices += 1;
    }
    assert!(slices > 20, "{slices}");
}

#[test]
fn big_values_are_shared_with_who_gave_them() {
    let limits = limits(512);
    let mut hash = Hash::new_empty();
    let block = Block::new(vec![7; BLOCK_BYTES_MIN]);
    let set = |hash: &mut Hash, value| hash.set(b"f", value, FieldTtl::Clear, &limits).unwrap();
    assert!(set(&mut hash, NewValue::Block(&block)));
    assert_eq!(Block::strong_count(&block), 2);
    let before = hash.bytes();
    assert!(before > BLOCK_BYTES_MIN);
    let found = hash.view().get(b"f").unwrap();
    assert!(matches!(found.value, Value::Block(kept) if Block::ptr_eq(kept, &block)));
    assert!(!set(&mut hash, NewValue::Bytes(b"")));
    assert_eq!(hash.view().get(b"f").unwrap().value.text_len(), 0);
    assert_eq!(Block::strong_count(&block), 1);
    assert!(hash.bytes() < before - BLOCK_BYTES_MIN);
}
