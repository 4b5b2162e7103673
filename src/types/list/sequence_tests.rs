//! Sequences against plain vectors.
use super::*;
use proptest::prelude::*;

/// A node of so many elements.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count(usize);

impl Level for Count {
    type Node = Count;
    fn nodes(&self) -> usize {
        1
    }
    fn elements(&self) -> usize {
        self.0
    }
    fn of(node: Count) -> Count {
        node
    }
    fn node(&self, _at: usize) -> Option<&Count> {
        Some(self)
    }
    fn seek(&self, index: usize) -> (usize, usize) {
        (0, index)
    }
    fn change<R>(&mut self, _at: usize, edit: impl FnOnce(&mut Count) -> R) -> Option<R> {
        Some(edit(self))
    }
    fn insert(&mut self, at: usize, node: Count) -> Option<Count> {
        Some(if at == 0 { std::mem::replace(self, node) } else { node })
    }
    fn remove(&mut self, _at: usize) -> Option<Count> {
        None
    }
    fn into_only(self) -> Option<Count> {
        Some(self)
    }
    fn absorb(&mut self, next: Count) -> Option<Count> {
        Some(next)
    }
}

fn check(sequence: &Sequence<Count>, model: &[usize]) {
    assert_eq!(sequence.nodes(), model.len());
    assert_eq!(sequence.elements(), model.iter().sum::<usize>());
    let mut index = 0;
    for (at, &count) in model.iter().enumerate() {
        assert_eq!(sequence.node(at), Some(&Count(count)));
        for inner in [0, count / 2, count - 1] {
            assert_eq!(sequence.seek(index + inner), (at, inner));
        }
        index += count;
    }
    assert_eq!(sequence.node(model.len()), None);
}

#[test]
fn grows_at_its_ends_into_full_groups() {
    let (mut back, mut front) = (Sequence::default(), Sequence::default());
    let nodes = 3 * PARTS_MAX * PARTS_MAX;
    for count in 1..=nodes {
        back.put(back.nodes(), Count(count));
        front.put(0, Count(count));
    }
    let branches = |sequence: &Sequence<Count>| match sequence {
        Sequence::Flat(_) => 0,
        Sequence::Tree(tree) => tree.parts.len(),
    };
    assert_eq!(branches(&back), 3);
    assert!((3..=4).contains(&branches(&front)));
    let model: Vec<usize> = (1..=nodes).collect();
    for at in (0..nodes).step_by(97) {
        assert_eq!(back.node(at), Some(&Count(model[at])));
        assert_eq!(front.node(at), Some(&Count(model[nodes - 1 - at])));
        let index = model[..at].iter().sum::<usize>();
        assert_eq!(back.seek(index), (at, 0));
    }
    for (at, &count) in model.iter().enumerate() {
        assert_eq!(back.take(0), Some(Count(count)));
        assert_eq!(front.take(nodes - 1 - at), Some(Count(count)));
    }
    assert!(back.nodes() + front.nodes() == 0);
    assert_eq!((back.elements(), back.take(0)), (0, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_vector(
        start in 0usize..600,
        ops in prop::collection::vec((0u8..5, any::<u16>(), 1usize..50), 0..400),
    ) {
        let mut model: Vec<usize> = (0..start).map(|at| at % 7 + 1).collect();
        let mut sequence = Sequence::default();
        model.iter().for_each(|&count| sequence.put(sequence.nodes(), Count(count)));
        let shrinks = ops.len() % 2 == 0;
        for (op, at, count) in ops {
            let place = at as usize % (model.len() + 1);
            match op {
                0 | 1 if !shrinks => {
                    sequence.put(place, Count(count));
                    model.insert(place, count);
                }
                2 if place < model.len() => {
                    sequence.change(place, |node| node.0 = count);
                    model[place] = count;
                }
                _ if place < model.len() => {
                    prop_assert_eq!(sequence.take(place), Some(Count(model.remove(place))));
                }
                _ => {
                    sequence.put(place, Count(count));
                    model.insert(place, count);
                }
            }
        }
        check(&sequence, &model);
    }
}
