//! Sets against std's, through all their forms.
use super::*;
use crate::base::hash::KeyHasher;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn limits(set_max_intset_entries: usize) -> Limits {
    Limits { set_max_intset_entries, ..Limits::new(KeyHasher::new(7)) }
}

fn texts(set: SetRef<'_>) -> Vec<Vec<u8>> {
    let (mut cursor, mut found) = (SetCursor::default(), Vec::new());
    while !set.walk(&mut cursor, 3, |item| found.push(item.to_vec())).is_done() {}
    found
}

fn assert_same(set: &Set, model: &BTreeSet<Vec<u8>>) {
    let found = texts(set.view());
    assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
    assert_eq!(found.len(), model.len(), "each once");
    assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), model);
    assert!(model.iter().all(|member| set.view().contains(member)));
    for count in [1, 10, 1000] {
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            cursor = scan_on(set, cursor, count, &mut seen);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&seen, model);
    }
    if let Some((is_ints, bytes)) = set.packed() {
        let again = Set::from_packed(is_ints, bytes.to_vec());
        assert_eq!(texts(again.view()), texts(set.view()));
    }
}

/// One call of SSCAN.
fn scan_on(set: &Set, cursor: u64, count: u64, seen: &mut BTreeSet<Vec<u8>>) -> u64 {
    set.view().scan(cursor, count, &KeyHasher::new(7), |item| {
        seen.insert(item.to_vec());
    })
}

fn form(set: &Set) -> &'static str {
    match set {
        Set::Intset(_) => "intset",
        Set::Packed(_) => "packed",
        Set::Table(_) => "table",
    }
}

#[test]
fn forms_change_where_redis_changes_them() {
    let small = limits(4);
    let add = |set: &mut Set, member: &[u8]| set.insert(member, &small);
    // Integers, then a text: packed, and told as a hash table.
    let mut set = Set::new();
    for member in ["3", "1", "2"] {
        assert_eq!(add(&mut set, member.as_bytes()), Ok(true));
    }
    assert_eq!((form(&set), set.view().encoding()), ("intset", "intset"));
    assert_eq!(texts(set.view()), [b"1", b"2", b"3"]);
    assert_eq!(add(&mut set, b"01"), Ok(true));
    assert_eq!((form(&set), set.view().encoding()), ("packed", "hashtable"));
    assert_eq!((add(&mut set, b"2"), add(&mut set, b"01")), (Ok(false), Ok(false)));
    // One integer too many.
    let mut set = Set::new();
    for value in 0..5 {
        assert_eq!(form(&set), "intset");
        assert_eq!(set.insert_item(Item::Int(value), &small), Ok(true));
    }
    assert_eq!(form(&set), "packed");
    // A long member, one member too many.
    assert_eq!(add(&mut set, &[b'x'; PACKED_BYTES_MAX]), Ok(true));
    assert_eq!(form(&set), "packed");
    for value in 6..PACKED_ENTRIES_MAX {
        assert_eq!(set.insert_item(Item::Int(value as i64), &small), Ok(true));
    }
    assert_eq!((form(&set), set.len()), ("packed", PACKED_ENTRIES_MAX));
    assert_eq!(add(&mut set, b"one more"), Ok(true));
    assert_eq!((form(&set), set.view().encoding()), ("table", "hashtable"));
    let mut set = Set::new();
    assert_eq!(add(&mut set, &[b'x'; PACKED_BYTES_MAX + 1]), Ok(true));
    assert_eq!(form(&set), "table");
    // Many integers at once leave for the table.
    let mut set = Set::new();
    for value in 0..=200 {
        assert_eq!(set.insert_item(Item::Int(value), &limits(200)), Ok(true));
    }
    assert_eq!((form(&set), set.len()), ("table", 201));
}

#[test]
fn a_table_that_shrinks_is_packed_again() {
    let (limits, mut random) = (limits(512), Random::from_seed(1));
    for longest in [10, PACKED_BYTES_MAX + 1] {
        let mut set = Set::new();
        set.insert(&vec![b'z'; longest], &limits).unwrap();
        for index in 0..300 {
            set.insert(format!("m{index}").as_bytes(), &limits).unwrap();
        }
        let mut model: BTreeSet<Vec<u8>> = texts(set.view()).into_iter().collect();
        while set.len() > 1 {
            let taken = set.take_random(&mut random, |item| item.to_vec()).unwrap_or_default();
            if taken.len() == longest {
                set.insert(&taken, &limits).unwrap();
                continue;
            }
            assert!(model.remove(&taken));
            let is_packed = set.len() <= PACKED_AGAIN_ENTRIES && longest <= PACKED_BYTES_MAX;
            assert_eq!(form(&set), if is_packed { "packed" } else { "table" });
            assert_same(&set, &model);
        }
    }
}

#[test]
fn a_scan_shows_pieces_and_misses_nobody_while_the_form_changes() {
    let limits = limits(512);
    let stay = |index: usize| format!("stays{index}").into_bytes();
    let mut set = Set::new();
    (0..30).for_each(|index| assert_eq!(set.insert(&stay(index), &limits), Ok(true)));
    // 30 members in 32 buckets: a piece of 10 is not much more than 10.
    let mut seen = BTreeSet::new();
    assert_ne!(scan_on(&set, 0, 10, &mut seen), 0);
    assert!((10..20).contains(&seen.len()), "{}", seen.len());
    // Packed, a table, packed again; the cursor is taken along.
    for pieces in 1..8 {
        let (mut cursor, mut seen, mut calls) = (0, BTreeSet::new(), 0);
        let mut forms = BTreeSet::new();
        loop {
            forms.insert(form(&set));
            cursor = scan_on(&set, cursor, 1, &mut seen);
            calls += 1;
            if cursor == 0 {
                break;
            }
            let names = (0..200).map(|index| format!("comes{index}").into_bytes());
            match calls / pieces % 2 {
                0 => names.for_each(|name| assert!(set.insert(&name, &limits).is_ok())),
                _ => names.for_each(|name| assert!(set.remove(&name) || !set.is_empty())),
            }
        }
        assert!((0..30).all(|index| seen.contains(&stay(index))), "{pieces}");
        assert_eq!(forms.len(), 2, "{forms:?}");
        (0..200).for_each(|index| _ = set.remove(format!("comes{index}").as_bytes()));
        assert_eq!(form(&set), "packed");
    }
}

#[test]
fn draws_are_even() {
    let mut random = Random::from_seed(3);
    for (count, prefix) in [(10, ""), (10, "m"), (300, "m")] {
        let limits = limits(512);
        let mut set = Set::new();
        for index in 0..count {
            set.insert(format!("{prefix}{index}").as_bytes(), &limits).unwrap();
        }
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..count * 1000 {
            let item = set.view().random(&mut random).map(|item| item.to_vec());
            *counts.entry(item.unwrap_or_default()).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), count);
        // 1000 expected each, deviation 32: five of them are beyond chance.
        assert!(counts.values().all(|drawn| (820..1180).contains(drawn)), "{prefix} {counts:?}");
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..300i64).prop_map(|value| value.to_string().into_bytes()),
        2 => (0..300i64).prop_map(|value| format!("member:{value}").into_bytes()),
        1 => (0..20usize).prop_map(|extra| vec![b'x'; 55 + extra]),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn like_a_set_of_std(
        steps in prop::collection::vec((0..10u8, member()), 0..700),
        intset_max in prop::sample::select(vec![0usize, 4, 50, 512]),
        is_growing in any::<bool>(),
    ) {
        let (limits, mut random) = (limits(intset_max), Random::from_seed(9));
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        for (index, (step, member)) in steps.into_iter().enumerate() {
            match step {
                0..6 => prop_assert_eq!(set.insert(&member, &limits), Ok(model.insert(member))),
                6 => {
                    let item = canonical_i64(&member).map_or(Item::Bytes(&member), Item::Int);
                    prop_assert_eq!(set.remove_item(item), model.remove(&member));
                }
                7 => prop_assert_eq!(set.view().contains(&member), model.contains(&member)),
                _ if is_growing => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                _ => {
                    let taken = set.take_random(&mut random, |item| item.to_vec());
                    prop_assert_eq!(taken.is_some(), !model.is_empty());
                    prop_assert!(taken.is_none_or(|taken| model.remove(&taken)));
                }
            }
            if index % 64 == 0 {
                assert_same(&set, &model);
            }
        }
        assert_same(&set, &model);
        let (mut copy, mut cursor) = (Set::new(), SetCursor::default());
        while !copy.add_all(set.view(), &mut cursor, 5, &limits).unwrap().is_done() {}
        assert_same(&copy, &model);
        prop_assert!(texts(copy.view()).iter().all(|text| set.view().contains(text)));
        while !copy.free_slice(1).is_done() {}
        let (mut copy, mut cursor) = (Set::begin_copy(set.view(), &limits), SetCursor::default());
        while !copy.add_all(set.view(), &mut cursor, 5, &limits).unwrap().is_done() {}
        assert_same(&copy, &model);
        prop_assert_eq!(form(&copy), form(&set));
    }
}
