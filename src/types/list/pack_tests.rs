//! Packs against lists of texts; the bytes are checked as a listpack after every change.
use super::*;
use crate::types::listpack::Item;
use proptest::prelude::*;

fn check(pack: &Pack, model: &[Vec<u8>]) {
    assert_eq!(ListpackRef::check(pack.as_bytes(), true), Ok(model.len()));
    assert_eq!((pack.len(), pack.total()), (model.len(), pack.as_bytes().len()));
    let texts: Vec<Vec<u8>> = pack.view().iter().map(|item: Item<'_>| item.to_vec()).collect();
    assert_eq!(texts, model);
    assert!(model.is_empty() == (pack.footprint() == 0));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (-100i64..70_000).prop_map(|number| number.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
        (0usize..6000).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_list(ops in prop::collection::vec((0u8..12, any::<u16>(), text()), 1..80)) {
        const FULL: usize = 8192;
        let (mut pack, mut model) = (Pack::default(), Vec::<Vec<u8>>::new());
        for (op, at, text) in ops {
            let index = if model.is_empty() { 0 } else { at as usize % model.len() };
            let item = Encoded::new(&text);
            match op {
                0..3 => {
                    pack.push(End::Back, &item, FULL);
                    model.push(text);
                }
                3..6 => {
                    pack.push(End::Front, &item, FULL);
                    model.insert(0, text);
                }
                6 => {
                    pack.insert(index, &item, FULL);
                    model.insert(index, text);
                }
                7 if !model.is_empty() => {
                    pack.replace(index, &item, FULL);
                    model[index] = text;
                }
                8 => {
                    let end = if at % 2 == 0 { End::Front } else { End::Back };
                    pack.pop(end);
                    if !model.is_empty() {
                        model.remove(if end == End::Front { 0 } else { model.len() - 1 });
                    }
                }
                9 if !model.is_empty() => {
                    let count = text.len() % 4;
                    pack.remove(index, count);
                    model.drain(index..(index + count).min(model.len()));
                }
                10 => {
                    let mut behind = pack.split_off(index);
                    check(&behind, &model[index..]);
                    check(&pack, &model[..index]);
                    if at % 2 == 0 {
                        pack.append(&behind);
                    } else {
                        behind.append(&pack);
                        pack = behind;
                        model.rotate_left(index);
                    }
                }
                11 => {
                    let view = pack.view();
                    let odd = |place: &usize| place % 2 == 1;
                    let positions: Vec<usize> = (0..model.len())
                        .filter(odd)
                        .filter_map(|place| view.seek(place as i64))
                        .collect();
                    pack.remove_all(&positions);
                    let mut place = 0;
                    model.retain(|_| {
                        place += 1;
                        place % 2 == 1
                    });
                }
                _ => {
                    pack.seal();
                    let total = if pack.len() > 0 { pack.total() } else { 0 };
                    prop_assert_eq!(allocation_bytes(total), pack.footprint());
                }
            }
            check(&pack, &model);
        }
    }
}

#[test]
fn a_queue_moves_little_and_keeps_little_room() {
    let mut pack = Pack::default();
    let item = Encoded::new(b"sixteen bytes it");
    for _ in 0..100 {
        pack.push(End::Back, &item, 8192);
    }
    let mut moves = 0;
    for _ in 0..10_000 {
        let start = pack.start;
        pack.push(End::Back, &item, 8192);
        moves += usize::from(pack.start != start);
        pack.pop(End::Front);
    }
    assert!(moves < 10_000 / 5, "{moves}");
    assert!(pack.footprint() < 2 * pack.total(), "{}", pack.footprint());
}

#[test]
fn a_full_node_has_no_room() {
    for end in [End::Front, End::Back] {
        let mut pack = Pack::default();
        while pack.total() + 16 + 8 <= 8192 {
            pack.push(end, &Encoded::new(b"sixteen bytes it"), 8192);
        }
        assert_eq!((pack.len(), pack.total(), pack.footprint()), (454, 8179, 8192));
    }
}
