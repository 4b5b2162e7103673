//! Lists against vectors of texts, through all forms.
use super::*;
use proptest::prelude::*;

fn texts(view: ListRef<'_>, way: Way) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    let from = if way == Way::Forward { 0 } else { view.len().saturating_sub(1) };
    let looked = view.walk(from, way, usize::MAX, |element| {
        texts.push(element.as_bytes(&mut itoa::Buffer::new()).to_vec());
        true
    });
    assert_eq!(looked, texts.len());
    texts
}

fn check(list: &List, model: &[Vec<u8>]) {
    let view = list.view();
    assert_eq!((list.len(), view.len()), (model.len(), model.len()));
    assert_eq!(texts(view, Way::Forward), model);
    let mut backward = texts(view, Way::Backward);
    backward.reverse();
    assert_eq!(backward, model);
    let mut nodes = 0;
    for at in 0..view.node_count() {
        nodes += match view.node(at) {
            Some(NodeRef::Packed(bytes)) => ListpackRef::check(bytes, true).expect("a listpack"),
            Some(NodeRef::Squeezed(node)) => {
                let bytes = opened(node);
                ListpackRef::check(&bytes, true).expect("a listpack")
            }
            _ => 1,
        };
    }
    assert_eq!(nodes, model.len());
    if let List::Nodes(nodes) = list {
        nodes.check();
    }
}

fn opened(node: SqueezedRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(crate::base::lzf::decompress(node.packed, &mut bytes, node.total));
    assert!(node.packed.len() + 8 < bytes.len());
    bytes
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0i64..5).prop_map(|number| number.to_string().into_bytes()),
        2 => (0usize..3).prop_map(|length| vec![b'x'; length]),
        1 => (0usize..3000).prop_map(|length| vec![b'y'; length]),
        1 => (16_000usize..17_000).prop_map(|length| vec![b'z'; length]),
    ]
}

fn fill() -> impl Strategy<Value = Fill> {
    let sizes = prop_oneof![Just(-2i64), Just(-5), Just(0), Just(1), Just(2), Just(7)];
    let thresholds = prop_oneof![3 => Just(usize::MAX), 1 => Just(1usize), 1 => Just(2)];
    (sizes, thresholds, prop_oneof![3 => Just(0usize), 3 => Just(1), 1 => Just(3)])
        .prop_map(|(size, threshold, depth)| Fill { depth, ..Fill::new(size, threshold) })
}

#[derive(Clone, Debug)]
enum Op {
    Push(End, Vec<u8>),
    Pop(End),
    Cut(End, usize),
    Insert(u16, Side, Vec<u8>),
    Set(u16, Vec<u8>),
    Remove(u16, Way, Vec<u8>, usize, usize),
    Copy(usize),
    Reload,
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![Just(End::Front), Just(End::Back)];
    let side = prop_oneof![Just(Side::Before), Just(Side::After)];
    let way = prop_oneof![Just(Way::Forward), Just(Way::Backward)];
    prop_oneof![
        6 => (end(), text()).prop_map(|(end, text)| Op::Push(end, text)),
        2 => end().prop_map(Op::Pop),
        1 => (end(), 0usize..12).prop_map(|(end, count)| Op::Cut(end, count)),
        4 => (any::<u16>(), side, text()).prop_map(|(at, side, text)| Op::Insert(at, side, text)),
        3 => (any::<u16>(), text()).prop_map(|(at, text)| Op::Set(at, text)),
        2 => (any::<u16>(), way, text(), 1usize..9, 1usize..4)
            .prop_map(|(at, way, text, looks, most)| Op::Remove(at, way, text, looks, most)),
        1 => (1usize..4).prop_map(Op::Copy),
        1 => Just(Op::Reload),
    ]
}

/// Does the same to a vector; returns what is then wrong.
fn play(list: &mut List, model: &mut Vec<Vec<u8>>, op: Op, fill: &Fill) {
    let spent = &mut Spent::default();
    let index = |at: u16, model: &Vec<Vec<u8>>| at as usize % model.len().max(1);
    match op {
        Op::Push(end, text) => {
            let block = Block::new(text.clone());
            let by_block = text.len().is_multiple_of(2);
            let element = if by_block { Element::Block(&block) } else { Element::Text(&text) };
            list.push(end, element, fill);
            model.insert(if end == End::Front { 0 } else { model.len() }, text);
        }
        Op::Pop(end) => {
            let popped = list.pop(end, |element| OwnedElement::from(element));
            let expected = match end {
                End::Front if !model.is_empty() => Some(model.remove(0)),
                End::Front => None,
                End::Back => model.pop(),
            };
            let popped = popped.map(|own| own.lend().as_bytes(&mut itoa::Buffer::new()).to_vec());
            assert_eq!(popped, expected);
        }
        Op::Cut(end, count) => {
            let cut = list.cut(end, count, 2, spent);
            assert!(cut <= count && (cut > 0 || count == 0 || model.is_empty()));
            let kept = model.len() - cut;
            if end == End::Front { drop(model.drain(..cut)) } else { model.truncate(kept) }
        }
        Op::Insert(at, side, text) if !model.is_empty() => {
            let at = index(at, model);
            list.insert(at, side, Element::Text(&text), fill);
            model.insert(at + usize::from(side == Side::After), text);
        }
        Op::Set(at, text) if !model.is_empty() => {
            let at = index(at, model);
            assert!(list.set(at, Element::Text(&text), fill, spent));
            assert!(!list.set(model.len(), Element::Text(&text), fill, spent));
            model[at] = text;
            let kept = list.view().show(at, |element| OwnedElement::from(element)).expect("there");
            assert!(Wanted::new(&model[at]).is(kept.lend()));
        }
        Op::Remove(at, way, text, looks, removals) if !model.is_empty() => {
            let at = index(at, model);
            let limits = RemoveLimits { looks, removals };
            let (looked, removed) = list.remove_equal(at, way, &Wanted::new(&text), limits, spent);
            assert!((1..=looks).contains(&looked) && removed <= removals);
            let range = match way {
                Way::Forward => at..at + looked,
                Way::Backward => at + 1 - looked..at + 1,
            };
            let mut place = 0;
            let before = model.len();
            model.retain(|other| {
                place += 1;
                !(range.contains(&(place - 1)) && *other == text)
            });
            assert_eq!(before - model.len(), removed);
        }
        Op::Copy(units) => {
            let mut copy = List::default();
            let mut from = Some(0);
            while let Some(at) = from {
                from = copy.copy_nodes(list.view(), at, units);
            }
            *list = copy;
        }
        Op::Reload => reload(list, fill),
        Op::Insert(..) | Op::Set(..) | Op::Remove(..) => {}
    }
}

/// As the keyspace and DUMP keep it, and back.
fn reload(list: &mut List, fill: &Fill) {
    if let Some((is_ints, bytes)) = list.packed() {
        let bytes = bytes.to_vec();
        *list = List::from_packed(is_ints, bytes);
        return;
    }
    let mut copy = List::default();
    let view = list.view();
    for at in 0..view.node_count() {
        match view.node(at).expect("a node") {
            NodeRef::Packed(bytes) => copy.append_packed(ListpackRef::new(bytes), fill),
            NodeRef::Squeezed(node) => {
                copy.append_packed(ListpackRef::new(&opened(node)), fill);
            }
            NodeRef::Block(block) => {
                let Some((mut framed, behind)) = frame_of_block(block) else {
                    copy.push(End::Back, Element::Block(block), fill);
                    continue;
                };
                framed.extend_from_slice(block);
                framed.extend_from_slice(&behind);
                assert_eq!(ListpackRef::check(&framed, true), Ok(1));
                copy.append_packed(ListpackRef::new(&framed), fill);
            }
        }
    }
    *list = copy;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_vector(
        fills in prop::collection::vec(fill(), 1..3),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let (mut list, mut model) = (List::default(), Vec::new());
        for (at, op) in ops.into_iter().enumerate() {
            let fill = fills[at / 40 % fills.len()];
            play(&mut list, &mut model, op, &fill);
            check(&list, &model);
        }
        while list.free_slice(1) == Progress::More {}
    }
}

#[test]
fn a_long_list_is_found_by_index_and_freed_in_pieces() {
    let fill = Fill::new(2, usize::MAX);
    let mut list = List::default();
    for number in 0..100_000 {
        list.push(End::Back, Element::Int(number), &fill);
    }
    let view = list.view();
    assert_eq!((view.node_count(), view.encoding()), (50_000, "quicklist"));
    for index in (0..100_000).step_by(377) {
        let found = view.show(index, |element| OwnedElement::from(element));
        assert!(matches!(found, Some(OwnedElement::Int(number)) if number == index as i64));
    }
    assert_eq!((view.place_of(-1), view.place_of(-100_001)), (Some(99_999), None));
    assert!(view.show(100_000, |_| ()).is_none() && view.place_of(i64::MIN).is_none());
    let mut slices = 0;
    while list.free_slice(100) == Progress::More {
        slices += 1;
    }
    assert!(slices >= 499, "{slices}");
}

#[test]
fn nodes_are_filled_as_redis_does() {
    let counts = |list: &List| -> Vec<usize> {
        let view = list.view();
        let count = |at| match view.node(at) {
            Some(NodeRef::Packed(bytes)) => ListpackRef::new(bytes).len(),
            _ => 1,
        };
        (0..view.node_count()).map(count).collect()
    };
    let fill = Fill::new(-2, usize::MAX);
    let mut list = List::default();
    for _ in 0..1000 {
        list.push(End::Back, Element::Text(b"sixteen bytes it"), &fill);
    }
    assert_eq!(counts(&list), [454, 454, 92]);
    // In the middle of a full node: split there, and the halves stay, since no two fit into one.
    list.insert(100, Side::Before, Element::Text(&[b'-'; 40]), &fill);
    assert_eq!(counts(&list), [101, 354, 454, 92]);
    let mut list = List::default();
    let five = Fill::new(5, usize::MAX);
    (0..12).for_each(|number| list.push(End::Front, Element::Int(number), &five));
    assert_eq!(counts(&list), [2, 5, 5]);
    let bytes = list.memory_bytes();
    assert!(bytes < 320, "{bytes}");
}

#[test]
fn a_million_elements_take_little_more_than_their_bytes() {
    let fill = Fill::new(-2, usize::MAX);
    let mut list = List::default();
    for _ in 0..100_000 {
        list.push(End::Back, Element::Text(b"sixteen bytes it"), &fill);
    }
    let per_element = list.memory_bytes() as f64 / 100_000.0;
    assert!(per_element < 18.15, "{per_element}");
}

#[test]
fn big_elements_are_shared_and_handed_out_when_they_go() {
    let fill = Fill::new(-2, usize::MAX);
    let block = Block::new(vec![b'x'; 4 << 20]);
    let mut list = List::default();
    list.push(End::Back, Element::Int(1), &fill);
    list.push(End::Back, Element::Block(&block), &fill);
    assert_eq!(Block::strong_count(&block), 2);
    let mut spent = Spent::default();
    assert!(list.set(1, Element::Text(b"small"), &fill, &mut spent));
    assert_eq!((Block::strong_count(&block), spent.0.len(), list.len()), (2, 1, 2));
    assert!(spent.into_garbage().is_some() && Spent::default().into_garbage().is_none());
    assert_eq!(Block::strong_count(&block), 1);
}

/// Which nodes are compressed.
fn squeezed(list: &List) -> String {
    let view = list.view();
    let mark = |at| if matches!(view.node(at), Some(NodeRef::Squeezed(_))) { '#' } else { '-' };
    (0..view.node_count()).map(mark).collect()
}

#[test]
fn what_is_far_from_both_ends_is_compressed() {
    let fill = Fill { depth: 2, ..Fill::new(4, usize::MAX) };
    let text = [b'x'; 40];
    let mut list = List::default();
    (0..26).for_each(|_| list.push(End::Back, Element::Text(&text), &fill));
    (0..14).for_each(|_| list.push(End::Front, Element::Text(&text), &fill));
    assert_eq!(squeezed(&list), "--#######--");
    let bytes = list.memory_bytes();
    // A change within one, and a text that gains nothing.
    assert!(list.set(18, Element::Text(b"another"), &fill, &mut Spent::default()));
    assert_eq!(squeezed(&list), "--#######--");
    // The text is alone in its half then, and gains nothing.
    list.insert(18, Side::After, Element::Text(&text), &fill);
    assert_eq!(squeezed(&list), "--###-####--");
    assert!(list.memory_bytes() > bytes);
    // Ends that go have others opened.
    assert_eq!(list.cut(End::Front, 17, 100, &mut Spent::default()), 17);
    assert_eq!(squeezed(&list), "--####--");
    for _ in 0..10 {
        list.pop(End::Back, |_| ());
    }
    assert_eq!(squeezed(&list), "--#--");
    // Depth stays what it was when the list got its nodes.
    let plain = Fill { depth: 0, ..fill };
    (0..8).for_each(|_| list.push(End::Back, Element::Text(&text), &plain));
    assert_eq!(squeezed(&list), "--###--");
    let mut copy = List::default();
    assert_eq!(copy.copy_nodes(list.view(), 0, 100), None);
    assert_eq!(squeezed(&copy), "--###--");
}

#[test]
fn big_elements_are_compressed_up_to_a_size() {
    let fill = Fill { depth: 1, ..Fill::new(-2, usize::MAX) };
    let mut list = List::default();
    for length in [9, 20_000, 120_000, 140_000, 9] {
        list.push(End::Back, Element::Text(&vec![b'x'; length]), &fill);
    }
    assert_eq!(squeezed(&list), "-##--");
    assert!(list.memory_bytes() < 146_000, "{}", list.memory_bytes());
    let length = |index| list.view().show(index, |element| element.len());
    assert_eq!((length(1), length(2), length(3)), (Some(20_000), Some(120_000), Some(140_000)));
}

#[test]
fn a_node_takes_what_is_put_in_the_place_of_another_element() {
    let fill = Fill::new(-2, usize::MAX);
    let mut list = List::default();
    (0..1000).for_each(|_| list.push(End::Back, Element::Text(b"sixteen bytes it"), &fill));
    assert_eq!(list.view().node_count(), 3);
    let spent = &mut Spent::default();
    assert!(list.set(100, Element::Text(&[b'-'; 9000]), &fill, spent));
    assert!(list.set(101, Element::Text(&[b'-'; 60_000]), &fill, spent));
    assert_eq!(list.view().node_count(), 3);
    // Not without a limit.
    assert!(list.set(102, Element::Text(&[b'-'; 60_000]), &fill, spent));
    assert_eq!(list.view().node_count(), 4);
}
