//! The counted tree beside a sorted list: every order, every way to change it, every link and count.
use super::node::LEAF_MAX;
use super::*;
use proptest::prelude::*;

struct Words(Vec<Vec<u8>>);

impl Names for Words {
    fn name(&self, id: u32) -> &[u8] {
        &self.0[id as usize]
    }
}

fn words(count: u32) -> Words {
    // Not in the order of ids.
    Words((0..count).map(|id| format!("{:08x}", id.wrapping_mul(0x9e37_79b1)).into()).collect())
}

/// What the tree must equal: elements in order.
fn sorted(words: &Words, elements: impl IntoIterator<Item = (f64, u32)>) -> Vec<(f64, u32)> {
    let mut all: Vec<_> = elements.into_iter().collect();
    all.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap().then(words.name(a.1).cmp(words.name(b.1))));
    all
}

impl CountedTree {
    /// Every link, count, separator and fill is as it should be.
    fn check(&self) {
        let mut leaves = Vec::new();
        if self.root != NONE {
            let (count, _) = self.check_node(self.root, self.height, &mut leaves);
            assert_eq!(count, self.len);
        }
        for pair in leaves.windows(2) {
            assert_eq!((self.leaf(pair[0]).next, self.leaf(pair[1]).previous), (pair[1], pair[0]));
        }
        if let (Some(&first), Some(&last)) = (leaves.first(), leaves.last()) {
            assert_eq!((self.leaf(first).previous, self.leaf(last).next), (NONE, NONE));
        }
        assert_eq!(leaves.len(), self.leaves.len());
    }

    fn check_node(&self, node: u32, height: usize, leaves: &mut Vec<u32>) -> (usize, (f64, u32)) {
        if height == 0 {
            leaves.push(node);
            assert!(self.leaf(node).len() > 0);
            return (self.leaf(node).len(), self.leaf(node).get(0));
        }
        let inner = self.inner(node);
        assert!(inner.len() > 0);
        for slot in 0..inner.len() {
            let (count, first) = self.check_node(inner.children[slot], height - 1, leaves);
            assert_eq!(count, inner.counts[slot] as usize);
            assert_eq!(first, (inner.scores[slot], inner.ids[slot]));
        }
        (inner.count() as usize, inner.first())
    }

    fn fill(&self) -> f64 {
        self.len as f64 / (self.leaves.len() * LEAF_MAX) as f64
    }
}

/// Inserts and removes in phases, so that the tree grows by several levels and shrinks again.
#[derive(Clone, Debug)]
enum Op {
    Insert(u32, f64),
    Remove(u32),
    RemoveRank(usize),
    Update(u32, f64),
    Push(u32),
}

fn play(ops: impl IntoIterator<Item = Op>, ids: u32) {
    let words = words(ids);
    let mut scores: Vec<Option<f64>> = vec![None; ids as usize];
    let mut tree = CountedTree::new();
    let mut last = 0;
    for (step, op) in ops.into_iter().enumerate() {
        let target = |id: u32, score: f64| Target { score, name: words.name(id) };
        match op {
            Op::Insert(id, score) => {
                let slot = &mut scores[id as usize];
                if slot.is_none() {
                    *slot = Some(score);
                    tree.insert(target(id, score), id, &words);
                } else if let Some(score) = *slot {
                    assert!(tree.rank(target(id, score), &words).is_some());
                }
            }
            Op::Push(id) => {
                let greatest =
                    tree.range(0..tree.len()).next_back().map_or(0.0, |(score, _)| score);
                // Behind infinity there is nothing.
                if scores[id as usize].is_none() && greatest + 1.0 > greatest {
                    scores[id as usize] = Some(greatest + 1.0);
                    tree.push_last(greatest + 1.0, id);
                }
            }
            Op::Remove(id) => match scores[id as usize].take() {
                Some(score) => assert_eq!(tree.remove(target(id, score), &words), Some(id)),
                None => assert_eq!(tree.remove(target(id, 1.0), &words), None),
            },
            Op::RemoveRank(rank) => {
                let rank = rank % (tree.len() + 1);
                if let Some((score, id)) = tree.remove_rank(rank) {
                    assert_eq!(scores[id as usize].take(), Some(score));
                } else {
                    assert_eq!(rank, tree.len());
                }
            }
            Op::Update(id, score) => match scores[id as usize] {
                Some(before) => {
                    assert!(tree.update(target(id, before), score, &words));
                    scores[id as usize] = Some(score);
                }
                None => assert!(!tree.update(target(id, 0.0), score, &words)),
            },
        }
        last = step;
        if step % 97 == 0 {
            tree.check();
        }
    }
    tree.check();
    let model = scores.iter().enumerate().filter_map(|(id, score)| Some(((*score)?, id as u32)));
    let model = sorted(&words, model);
    assert_eq!(tree.range(0..usize::MAX).collect::<Vec<_>>(), model, "after {last}");
    let mut backwards: Vec<_> = tree.range(0..tree.len()).rev().collect();
    backwards.reverse();
    assert_eq!(backwards, model);
    for (rank, &(score, id)) in model.iter().enumerate() {
        let target = Target { score, name: words.name(id) };
        assert_eq!(tree.rank(target, &words), Some(rank));
        assert_eq!(tree.select(rank).map(|at| tree.get(at)), Some((score, id)));
    }
    for bound in [f64::NEG_INFINITY, -1.0, 0.0, 3.0, 7.5, f64::INFINITY] {
        let before = model.iter().take_while(|(score, _)| *score < bound).count();
        assert_eq!(tree.count_while(|score, _| score < bound), before);
    }
    let (from, to) = (model.len() / 3, model.len() / 2);
    assert_eq!(tree.range(from..to).collect::<Vec<_>>(), model[from..to]);
    let mut both = tree.range(from..to);
    let mut met = 0;
    while both.next().is_some() {
        met += 1 + usize::from(both.next_back().is_some());
    }
    assert_eq!(met, to - from);
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0..12u8).prop_map(f64::from),
        -1e6..1e6f64,
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equals_a_sorted_list(
        grow in prop::collection::vec((0..6000u32, score()), 0..6000),
        change in prop::collection::vec((0..5u8, 0..6000u32, score()), 0..3000),
        kept in 0..400usize,
    ) {
        let inserts = grow.into_iter().map(|(id, score)| Op::Insert(id, score));
        let changes = change.into_iter().map(|(kind, id, score)| match kind {
            0 => Op::Insert(id, score),
            1 => Op::Remove(id),
            2 => Op::RemoveRank(id as usize),
            3 => Op::Push(id),
            _ => Op::Update(id, score),
        });
        // Down to little, from anywhere.
        let removals = (0..6000u32).filter(|id| *id as usize >= kept).map(Op::Remove);
        play(inserts.chain(changes).chain(removals), 6000);
    }

    #[test]
    fn equals_a_sorted_list_in_the_middle(
        grow in prop::collection::vec((0..3000u32, score()), 0..4000),
        change in prop::collection::vec((0..5u8, 0..3000u32, score()), 0..4000),
    ) {
        let inserts = grow.into_iter().map(|(id, score)| Op::Insert(id, score));
        let changes = change.into_iter().map(|(kind, id, score)| match kind {
            0 => Op::Insert(id, score),
            1 => Op::Remove(id),
            2 | 3 => Op::RemoveRank(id as usize),
            _ => Op::Update(id, score),
        });
        play(inserts.chain(changes), 3000);
    }
}

#[test]
fn grows_by_several_levels_and_shrinks_from_either_end_and_the_middle() {
    let ids = 40_000u32;
    let grow = |id: u32| Op::Insert(id, f64::from(id.wrapping_mul(2_654_435_761) >> 12));
    play((0..ids).map(grow).chain((0..ids - 10).map(|_| Op::RemoveRank(0))), ids);
    play(
        (0..ids)
            .map(grow)
            .chain((0..ids - 10).map(|left| Op::RemoveRank((ids - left) as usize - 1))),
        ids,
    );
    play(
        (0..ids)
            .map(grow)
            .chain((0..ids - 10).map(|left| Op::RemoveRank((ids - left) as usize / 2))),
        ids,
    );
    play((0..ids).map(|id| Op::Insert(id, f64::from(id))).chain((0..ids).map(Op::Remove)), ids);
    play((0..ids).map(|id| Op::Insert(id, -f64::from(id))).chain((0..ids).map(Op::Remove)), ids);
    play((0..ids).map(Op::Push).chain((0..ids).rev().map(Op::Remove)), ids);
}

#[test]
fn leaves_are_well_filled_whatever_the_order() {
    let count = 50_000u32;
    let words = words(count);
    let built = |score: fn(u32) -> f64| {
        let mut tree = CountedTree::new();
        for id in 0..count {
            tree.insert(Target { score: score(id), name: words.name(id) }, id, &words);
        }
        tree.check();
        tree
    };
    let random = built(|id| f64::from(id.wrapping_mul(2_654_435_761)));
    let tied = built(|_| 0.0);
    let (up, down) = (built(f64::from), built(|id| -f64::from(id)));
    // Ascending, in the middle of what is there already.
    let inside = built(|id| if id < 1000 { f64::from(id % 2) * 1e9 } else { f64::from(id) });
    for (tree, least) in [(random, 0.78), (tied, 0.78), (up, 0.97), (down, 0.97), (inside, 0.66)] {
        assert!(tree.fill() > least, "{} is not {least}", tree.fill());
        assert!(tree.bytes() as f64 / f64::from(count) < 20.0, "{}", tree.bytes());
    }
}

#[test]
fn ids_change_under_the_tree() {
    let words = words(2000);
    let mut tree = CountedTree::new();
    for id in 0..1000 {
        tree.insert(Target { score: f64::from(id % 3), name: words.name(id) }, id, &words);
    }
    // Names that know each of a pair.
    struct Moved<'w>(&'w Words);
    impl Names for Moved<'_> {
        fn name(&self, id: u32) -> &[u8] {
            self.0.name(id % 1000)
        }
    }
    for id in 0..1000 {
        let target = Target { score: f64::from(id % 3), name: words.name(id) };
        assert!(tree.replace_id(target, id + 1000, &Moved(&words)));
    }
    tree.check();
    assert!(tree.range(0..1000).all(|(_, id)| id >= 1000));
    assert!(!tree.replace_id(Target { score: 9.0, name: b"" }, 1, &Moved(&words)));
}

#[test]
fn is_freed_in_pieces_and_counts_its_memory() {
    let words = words(10_000);
    let mut tree = CountedTree::new();
    assert_eq!(tree.bytes(), 0);
    for id in 0..10_000 {
        tree.insert(Target { score: f64::from(id), name: words.name(id) }, id, &words);
    }
    let mut pieces = 0;
    while tree.free_slice(1) == Progress::More {
        pieces += 1;
    }
    assert!((5..50).contains(&pieces), "{pieces}");
    assert_eq!((tree.bytes(), tree.len()), (0, 0));
    tree.push_last(1.0, 1);
    assert_eq!(tree.range(0..9).collect::<Vec<_>>(), [(1.0, 1)]);
}
