//! Sorted sets beside a sorted list, in both forms.
use super::*;
use crate::base::hash::KeyHasher;
use proptest::prelude::*;
use std::cmp::Ordering;

fn limits(entries: usize, value: usize) -> Limits {
    Limits {
        zset_max_listpack_entries: entries,
        zset_max_listpack_value: value,
        ..Limits::new(KeyHasher::new(7))
    }
}

/// What a sorted set must equal.
#[derive(Clone, Debug, Default)]
struct Model(Vec<(Vec<u8>, f64)>);

impl Model {
    fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == member).map(|(_, score)| *score)
    }

    fn insert(&mut self, member: &[u8], score: f64) {
        self.0.retain(|(name, _)| name != member);
        self.0.push((member.to_vec(), score));
        self.sort();
    }

    fn sort(&mut self) {
        self.0.sort_by(|a, b| match a.1.partial_cmp(&b.1) {
            Some(Ordering::Equal) | None => a.0.cmp(&b.0),
            Some(order) => order,
        });
    }
}

fn all(zset: ZsetRef<'_>) -> Vec<(Vec<u8>, f64)> {
    zset.range(0..usize::MAX).map(|(member, score)| (member.to_vec(), score)).collect()
}

fn check(zset: &Zset, model: &Model) {
    let view = zset.view();
    assert_eq!(all(view), model.0);
    assert_eq!((zset.len(), zset.is_empty()), (model.0.len(), model.0.is_empty()));
    let mut reverse: Vec<_> =
        view.range(0..zset.len()).rev().map(|(m, s)| (m.to_vec(), s)).collect();
    reverse.reverse();
    assert_eq!(reverse, model.0);
    for (rank, (member, score)) in model.0.iter().enumerate() {
        assert_eq!(view.rank(member), Some(rank));
        assert_eq!(view.score(member).map(f64::to_bits), Some(score.to_bits()));
        let next: Vec<_> = view.range(rank..rank + 2).map(|(member, _)| member.to_vec()).collect();
        assert_eq!(next.len(), (model.0.len() - rank).min(2));
        assert_eq!(&next[0], member);
    }
    let (mut seen, mut cursor) = (Vec::new(), 0);
    loop {
        cursor = view.scan(cursor, |member, score| seen.push((member.to_vec(), score)));
        if cursor == 0 {
            break;
        }
    }
    let mut seen = Model(seen);
    seen.sort();
    assert_eq!(seen.0, model.0);
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..60i64).prop_map(|n| n.to_string().into_bytes()),
        (0..60u8).prop_map(|n| format!("member:{n}").into_bytes()),
        Just(Vec::new()),
        Just(vec![b'x'; 70]),
        prop::collection::vec(any::<u8>(), 0..3),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3..4i8).prop_map(f64::from),
        prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL,
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1e16),
        Just(0.1),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, f64),
    Decline(Vec<u8>),
    Remove(Vec<u8>),
    RemoveRanks(usize, usize),
    Pop(bool, usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (member(), score()).prop_map(|(member, score)| Op::Insert(member, score)),
        1 => member().prop_map(Op::Decline),
        3 => member().prop_map(Op::Remove),
        1 => (0..40usize, 0..4usize).prop_map(|(from, count)| Op::RemoveRanks(from, count)),
        1 => (any::<bool>(), 0..3usize).prop_map(|(last, count)| Op::Pop(last, count)),
    ]
}

fn apply(zset: &mut Zset, model: &mut Model, op: Op, limits: &Limits) {
    match op {
        Op::Insert(member, score) => {
            let before = model.score(&member);
            let expected = match before {
                None => Change::Added,
                Some(before) if before == score => Change::Same,
                Some(_) => Change::Updated,
            };
            assert_eq!(zset.insert(&member, score, limits), Ok(expected));
            if expected != Change::Same {
                model.insert(&member, score);
            }
        }
        Op::Decline(member) => {
            let decide = |score: Option<f64>| {
                assert_eq!(score, model.score(&member));
                None
            };
            assert_eq!(zset.change(&member, limits, decide), Ok(Change::Refused));
        }
        Op::Remove(member) => {
            assert_eq!(zset.remove(&member), model.score(&member).is_some());
            model.0.retain(|(name, _)| *name != member);
        }
        Op::RemoveRanks(from, count) => {
            zset.remove_ranks(from..from + count);
            let len = model.0.len();
            model.0.drain(from.min(len)..(from + count).min(len));
        }
        Op::Pop(last, count) => {
            let mut popped = Vec::new();
            let end = if last { End::Last } else { End::First };
            zset.pop(end, count, |member, score| popped.push((member.to_vec(), score)));
            for pair in popped {
                let at = if last { model.0.len() - 1 } else { 0 };
                assert_eq!(model.0.remove(at), pair);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_a_sorted_list(ops in prop::collection::vec(op(), 0..300), entries in 0..80usize) {
        let limits = limits(entries, 64);
        let (mut zset, mut model) = (Zset::new_empty(), Model::default());
        let mut was_tree = false;
        for (step, op) in ops.into_iter().enumerate() {
            apply(&mut zset, &mut model, op, &limits);
            let is_tree = zset.packed().is_none();
            assert!(is_tree || !was_tree, "a tree stays one");
            let is_long = |(member, _): &(Vec<u8>, f64)| member.len() > 64;
            assert!(is_tree || (model.0.len() <= entries && !model.0.iter().any(is_long)));
            was_tree = is_tree;
            if step % 16 == 0 {
                check(&zset, &model);
            }
        }
        check(&zset, &model);
        let mut copy = Zset::empty_like(zset.view(), &limits);
        for (member, score) in zset.view().range(0..usize::MAX) {
            copy.append(&member.to_vec(), score).unwrap();
        }
        prop_assert_eq!(copy.view().encoding(), zset.view().encoding());
        check(&copy, &model);
    }

    #[test]
    fn ranges_are_those_of_a_list(
        members in prop::collection::vec((member(), score()), 0..60),
        (min, max) in (score(), score()),
        excludes in any::<(bool, bool)>(),
        names in (member(), member()),
        kinds in (0..4u8, 0..4u8),
    ) {
        for entries in [128, 0] {
            let limits = limits(entries, 100);
            let (mut zset, mut model) = (Zset::new_empty(), Model::default());
            let (mut tied, mut tied_model) = (Zset::new_empty(), Model::default());
            for (member, score) in &members {
                apply(&mut zset, &mut model, Op::Insert(member.clone(), *score), &limits);
                apply(&mut tied, &mut tied_model, Op::Insert(member.clone(), 1.0), &limits);
            }
            let range = ScoreRange { min, max, excludes_min: excludes.0, excludes_max: excludes.1 };
            let found = zset.view().range(zset.view().ranks_of_scores(&range));
            let found: Vec<_> = found.map(|(member, score)| (member.to_vec(), score)).collect();
            let is_in = |score: f64| range.has_begun(score) && range.has_not_ended(score);
            let inside = model.0.iter().filter(|(_, score)| is_in(*score));
            let expected: Vec<_> = inside.cloned().collect();
            prop_assert_eq!(found, expected);

            let bound = |kind, name| match kind {
                0 => LexBound::Lowest,
                1 => LexBound::Highest,
                2 => LexBound::Inclusive(name),
                _ => LexBound::Exclusive(name),
            };
            let range = LexRange { min: bound(kinds.0, &names.0), max: bound(kinds.1, &names.1) };
            let is_in = |name: &[u8]| range.has_begun(name) && range.has_not_ended(name);
            let inside = tied_model.0.iter().filter(|(name, _)| is_in(name));
            let expected: Vec<_> = inside.cloned().collect();
            for from in [End::First, End::Last] {
                let ranks = tied.view().ranks_of_names(&range, from);
                let found = tied.view().range(ranks);
                let found: Vec<_> = found.map(|(name, score)| (name.to_vec(), score)).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }

    #[test]
    fn gathering_sorts_and_sums(
        members in prop::collection::vec((member(), -5..5i8), 0..200),
        gone in prop::collection::vec(member(), 0..20),
        entries in 0..60usize,
    ) {
        let limits = limits(entries, 64);
        let (mut gathering, mut model) = (Gathering::new(&limits), Model::default());
        for (member, score) in &members {
            let sum = |before: Option<f64>| before.unwrap_or(0.0) + f64::from(*score);
            gathering.merge(member, sum).unwrap();
            model.insert(member, sum(model.score(member)));
        }
        for member in &gone {
            prop_assert_eq!(gathering.remove(member), model.score(member).is_some());
            model.0.retain(|(name, _)| name != member);
        }
        prop_assert_eq!(gathering.len(), model.0.len());
        while gathering.sort(1) == Progress::More {}
        let zset = gathering.finish(&limits).unwrap();
        let is_small = model.0.len() <= entries && model.0.iter().all(|(name, _)| name.len() <= 64);
        prop_assert_eq!(zset.packed().is_some(), is_small);
        check(&zset, &model);
    }
}

#[test]
fn a_big_set_takes_little_memory_and_follows_what_moves() {
    let limits = limits(128, 64);
    let mut zset = Zset::new_empty();
    let count = 100_000u64;
    let name = |n: u64| format!("member:{n:09}");
    let score = |n: u64| (n.wrapping_mul(2_654_435_761) % 1000) as f64;
    for n in 0..count {
        zset.insert(name(n).as_bytes(), score(n), &limits).unwrap();
    }
    let per_element = zset.memory_bytes() as f64 / count as f64;
    assert!(per_element < 60.0, "{per_element} bytes per element of 16");
    // Three of four go: the rest moves together.
    for n in (0..count).filter(|n| n % 4 != 0) {
        assert!(zset.remove(name(n).as_bytes()));
    }
    for n in (0..count).step_by(4) {
        assert_eq!(zset.view().score(name(n).as_bytes()), Some(score(n)));
    }
    // Gaps of up to three quarters while it only shrinks, of up to a half once members come again.
    let per_element = zset.memory_bytes() as f64 / (count / 4) as f64;
    assert!(per_element < 160.0, "{per_element}");
    for n in 0..count {
        zset.insert(b"comes and goes", n as f64, &limits).unwrap();
        zset.remove(b"comes and goes");
    }
    let members = all(zset.view());
    assert_eq!(members.len() as u64, count / 4);
    assert!(zset.memory_bytes() as f64 / ((count / 4) as f64) < 105.0, "{}", zset.memory_bytes());
    let mut sorted = Model(members.clone());
    sorted.sort();
    assert_eq!(sorted.0, members);
    let mut pieces = 0;
    while zset.free_slice(1) == Progress::More {
        pieces += 1;
    }
    assert!(pieces > 20, "{pieces}");
}

#[test]
fn scores_of_packed_sets_are_texts_as_redis_has_them() {
    let mut zset = Zset::new_empty();
    let limits = limits(128, 64);
    let scores = [3.0, 3.5, -0.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 0.1, 17_179_869_184.0];
    for (n, score) in scores.into_iter().enumerate() {
        zset.insert(n.to_string().as_bytes(), score, &limits).unwrap();
    }
    let list = ListpackRef::new(zset.packed().unwrap().1);
    let items: Vec<_> = list.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect();
    assert_eq!(
        items.join(" "),
        "5 -inf 2 0 6 0.10000000000000001 0 3 1 3.5 7 17179869184 3 1.0000000000000001e+300 4 inf"
    );
    // A tree keeps -0.
    assert_eq!(zset.view().score(b"2").map(f64::to_bits), Some(0));
    zset.insert(&[b'x'; 65], -0.0, &limits).unwrap();
    assert_eq!(zset.view().score(&[b'x'; 65]).map(f64::to_bits), Some((-0.0f64).to_bits()));
    // Equal to what it has: it stays as it is.
    assert_eq!(zset.insert(&[b'x'; 65], 0.0, &limits), Ok(Change::Same));
}

#[test]
fn random_members_are_equally_likely() {
    for entries in [128, 0] {
        let limits = limits(entries, 64);
        let mut zset = Zset::new_empty();
        for n in 0..10 {
            zset.insert(n.to_string().as_bytes(), f64::from(n), &limits).unwrap();
        }
        let (mut random, mut hits) = (Random::from_seed(1), [0; 10]);
        for _ in 0..10_000 {
            let (_, score) = zset.view().random(&mut random).unwrap();
            hits[score as usize] += 1;
        }
        assert!(hits.iter().all(|hit| (850..1150).contains(hit)), "{hits:?}");
    }
    assert!(Zset::new_empty().view().random(&mut Random::from_seed(1)).is_none());
}
