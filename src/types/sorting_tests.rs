//! Against `slice::sort_by` over plain values.
use super::*;
use proptest::prelude::*;

/// A weight of the model.
#[derive(Clone, Debug)]
enum Weighed {
    Number(f64),
    Element,
    Text(Option<Vec<u8>>),
}

fn sorted(
    rows: &[(Vec<u8>, Weighed)],
    collation: Collation,
    is_descending: bool,
    units: usize,
) -> Vec<Vec<u8>> {
    let mut sorting = Sorting::new(collation, is_descending);
    for (element, _) in rows {
        sorting.push(Value::Bytes(element));
    }
    for (index, (element, weight)) in rows.iter().enumerate() {
        assert_eq!(sorting.element(index).bytes(), element);
        sorting.weigh(
            index,
            match weight {
                Weighed::Number(number) => Weight::Number(*number),
                Weighed::Element => Weight::Element,
                Weighed::Text(text) => Weight::Text(text.as_deref().map(Value::Bytes)),
            },
        );
    }
    while !sorting.prepare(units).is_done() {}
    let mut taken = Vec::new();
    while let Some(element) = sorting.take_next() {
        taken.push(element.bytes().to_vec());
    }
    assert!(sorting.take_next().is_none());
    let bytes = sorting.bytes();
    assert!(rows.is_empty() || bytes >= rows.len() * size_of::<Row>());
    while !sorting.free_slice(units).is_done() {}
    assert!(sorting.runs.is_empty() && sorting.texts.short.bytes() == 0);
    taken
}

/// The same with the standard library's stable sort.
fn expected(
    rows: &[(Vec<u8>, Weighed)],
    collation: Collation,
    is_descending: bool,
) -> Vec<Vec<u8>> {
    let text = |(element, weight): &(Vec<u8>, Weighed)| match weight {
        Weighed::Text(text) => text.clone(),
        _ => Some(element.clone()),
    };
    let c_text = |row: &(Vec<u8>, Weighed)| {
        text(row).map(|text| text.split(|&byte| byte == 0).next().unwrap().to_vec())
    };
    let number = |(_, weight): &(Vec<u8>, Weighed)| match weight {
        Weighed::Number(number) => *number,
        _ => 0.0,
    };
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| {
        let order = match collation {
            Collation::None => Ordering::Equal,
            Collation::Number => number(a).partial_cmp(&number(b)).unwrap().then(a.0.cmp(&b.0)),
            Collation::Text => c_text(a).cmp(&c_text(b)),
            Collation::Bytes => text(a).cmp(&text(b)),
        };
        if is_descending { order.reverse() } else { order }
    });
    rows.into_iter().map(|(element, _)| element).collect()
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(
            prop_oneof![Just(0u8), Just(b'a'), Just(b'b'), any::<u8>()],
            0..12
        ),
        "(abcdefgh|abcdefg)[a-c]{0,2}".prop_map(String::into_bytes),
    ]
}

fn rows(collation: Collation) -> BoxedStrategy<Vec<(Vec<u8>, Weighed)>> {
    let numbers = prop_oneof![-3i32..3, any::<i32>(),].prop_map(f64::from);
    let special = prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY)];
    let weight = match collation {
        Collation::None | Collation::Number => {
            prop_oneof![numbers, special, any::<f64>().prop_filter("NaN", |n| !n.is_nan())]
                .prop_map(Weighed::Number)
                .boxed()
        }
        _ => prop_oneof![
            Just(Weighed::Element),
            proptest::option::of(text()).prop_map(Weighed::Text)
        ]
        .boxed(),
    };
    proptest::collection::vec((text(), weight), 0..40).boxed()
}

proptest! {
    #[test]
    fn sorts_as_the_standard_library(
        (collation, rows) in prop_oneof![
            Just(Collation::None),
            Just(Collation::Number),
            Just(Collation::Text),
            Just(Collation::Bytes),
        ].prop_flat_map(|collation| (Just(collation), rows(collation))),
        copies in prop_oneof![Just(1usize), 10usize..40],
        is_descending: bool,
        units in 1usize..5,
    ) {
        // Enough for several runs, with many that are equal.
        let rows: Vec<_> = std::iter::repeat_n(rows, copies).flatten().collect();
        let mut expected = expected(&rows, collation, is_descending);
        if collation == Collation::None {
            expected = rows.iter().map(|(element, _)| element.clone()).collect();
        }
        prop_assert_eq!(sorted(&rows, collation, is_descending, units), expected);
    }
}

#[test]
fn long_texts_are_shared() {
    let block = Block::new(vec![b'x'; 100_000]);
    let mut sorting = Sorting::new(Collation::Bytes, false);
    sorting.push(Value::Block(&block));
    sorting.push(Value::Bytes(&[b'y'; 50_000]));
    sorting.push(Value::Bytes(b"x"));
    (0..3).for_each(|index| sorting.weigh(index, Weight::Element));
    assert_eq!(Block::strong_count(&block), 2);
    while !sorting.prepare(1).is_done() {}
    let lengths: Vec<usize> =
        std::iter::from_fn(|| sorting.take_next().map(|value| value.bytes().len())).collect();
    assert_eq!(lengths, [1, 100_000, 50_000]);
    while !sorting.free_slice(1).is_done() {}
    assert_eq!(Block::strong_count(&block), 1);
}

#[test]
fn ranks_order_as_numbers() {
    let numbers = [f64::NEG_INFINITY, -1e300, -1.5, -5e-324, 0.0, 5e-324, 1.0, 1.5, f64::INFINITY];
    assert!(numbers.is_sorted_by(|a, b| rank_of_number(*a) < rank_of_number(*b)));
    assert_eq!(rank_of_number(0.0), rank_of_number(-0.0));
}
