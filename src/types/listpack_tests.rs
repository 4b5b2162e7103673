//! Listpacks against a `Vec` of texts, the bytes Redis writes, and bytes nobody should write.
use super::*;
use proptest::prelude::*;

/// A text of the golden table: a piece, repeated.
fn text(piece: &str, times: usize) -> Vec<u8> {
    piece.repeat(times).into_bytes()
}

/// FNV-1a, 64 bits: stands for listpacks too long to be written down here.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Bytes that redis-server 7.0.15 keeps for these items (taken from DUMP of lists, hashes and sorted sets).
#[test]
fn bytes_are_those_of_redis() {
    for (items, length, sum) in GOLDEN {
        let texts: Vec<Vec<u8>> = items.iter().map(|(piece, times)| text(piece, *times)).collect();
        let mut back = Listpack::new();
        let mut front = Listpack::new();
        texts.iter().for_each(|text| back.push_back(text));
        texts.iter().rev().for_each(|text| front.push_front(text));
        assert_eq!((back.bytes_len(), fnv(back.as_bytes())), (*length, *sum), "{items:?}");
        assert_eq!(front, back);
        assert_eq!(ListpackRef::check(back.as_bytes(), true), Ok(items.len()));
    }
}

#[test]
fn short_bytes_are_those_of_redis() {
    for (items, hex) in GOLDEN_SHORT {
        let mut list = Listpack::new();
        items.iter().for_each(|text| list.push_back(text.as_bytes()));
        let bytes: String = list.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, *hex, "{items:?}");
    }
}

const ALMOST_INTEGERS: &[&str] = &[
    "-0",
    "01",
    "+1",
    "-",
    " 1",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
];

/// Around the lengths where encodings and back lengths change.
const BORDER_LENGTHS: &[usize] =
    &[62, 63, 64, 124, 125, 126, 127, 128, 4095, 4096, 16_380, 16_381, 16_382];

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{0,3}".prop_map(String::into_bytes),
        3 => (-5000i64..5000).prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        1 => any::<i32>().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::sample::select(ALMOST_INTEGERS).prop_map(|text| text.as_bytes().to_vec()),
        2 => (prop::sample::select(BORDER_LENGTHS), any::<u8>())
            .prop_map(|(length, byte)| vec![byte; length]),
    ]
}

/// Position of an item by walking.
fn position(list: &Listpack, index: usize) -> usize {
    let mut items = list.view().iter();
    for _ in 0..index {
        items.next();
    }
    items.position()
}

fn assert_same(list: &Listpack, model: &[Vec<u8>]) {
    let view = list.view();
    assert_eq!(ListpackRef::check(list.as_bytes(), true), Ok(model.len()));
    assert_eq!((view.len(), view.is_empty()), (model.len(), model.is_empty()));
    assert!(view.iter().map(|item| item.to_vec()).eq(model.iter().cloned()));
    assert!(view.iter().rev().map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
    // Texts that are integers are always integers, and every item says its own length.
    for item in view.iter() {
        assert_eq!(item.text_len(), item.to_vec().len());
        assert_eq!(matches!(item, Item::Int(_)), canonical_i64(&item.to_vec()).is_some());
    }
    let mut whole = HEADER_BYTES + 1;
    for (index, text) in model.iter().enumerate() {
        whole += Listpack::item_bytes(text);
        let at = position(list, index);
        assert_eq!(view.seek(index as i64), Some(at));
        assert_eq!(view.seek(index as i64 - model.len() as i64), Some(at));
        assert_eq!(view.next(at).is_none(), index + 1 == model.len());
        assert_eq!(view.previous(at).is_none(), index == 0);
        assert!(view.get(at).equals(text));
    }
    assert_eq!(whole, list.bytes_len());
    assert_eq!(view.seek(model.len() as i64), None);
    assert_eq!(view.seek(-(model.len() as i64) - 1), None);
    assert_eq!(view.last(), model.len().checked_sub(1).map(|last| position(list, last)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn like_a_vec_of_texts(
        steps in prop::collection::vec((0..12u8, any::<prop::sample::Index>(), any_text()), 0..40),
    ) {
        let mut list = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for (step, index, text) in steps {
            let index = if model.is_empty() { 0 } else { index.index(model.len()) };
            let at = position(&list, index);
            let integer = canonical_i64(&text).unwrap_or(text.len() as i64 * 77);
            match step {
                _ if model.is_empty() => { list.push_back(&text); model.push(text); }
                0 | 1 => { list.push_back(&text); model.push(text); }
                2 => { list.push_front(&text); model.insert(0, text); }
                3 => {
                    prop_assert_eq!(list.insert_before(at, &text), at);
                    model.insert(index, text);
                }
                4 => {
                    let new = list.insert_after(at, &text);
                    model.insert(index + 1, text);
                    prop_assert_eq!(new, position(&list, index + 1));
                }
                5 => { prop_assert_eq!(list.replace(at, &text), at); model[index] = text; }
                6 => {
                    prop_assert_eq!(list.replace_int(at, integer), at);
                    model[index] = integer.to_string().into_bytes();
                }
                7 => {
                    model.remove(index);
                    prop_assert_eq!(list.remove(at), (index < model.len()).then_some(at));
                }
                8 => {
                    let count = text.len().min(5);
                    model.drain(index..(index + count).min(model.len()));
                    let follows = (index < model.len()).then_some(at);
                    prop_assert_eq!(list.remove_many(at, count), follows);
                }
                9 => { list.push_back_int(integer); model.push(integer.to_string().into_bytes()); }
                10 => {
                    let tail = list.split_off(at);
                    assert_same(&tail, &model[index..]);
                    assert_same(&list, &model[..index]);
                    if text.len() % 2 == 0 {
                        list.append_all(tail.view());
                    } else {
                        model.truncate(index);
                    }
                }
                _ => {
                    let item = list.view().get(at);
                    let mut copy = Listpack::with_capacity(100);
                    copy.push_back_item(item);
                    copy.push_front_item(item);
                    assert_same(&copy, &[model[index].clone(), model[index].clone()]);
                }
            }
        }
        assert_same(&list, &model);
        assert_same(&Listpack::from_bytes(list.clone().into_bytes()), &model);
    }

    #[test]
    fn finds_what_a_vec_finds(
        texts in prop::collection::vec(any_text(), 0..20),
        wanted in any_text(),
        skip in 0usize..3,
        from in any::<prop::sample::Index>(),
    ) {
        let mut list = Listpack::new();
        texts.iter().for_each(|text| list.push_back(text));
        let found = |wanted: &[u8], from: usize| {
            let index = (from..texts.len()).step_by(skip + 1).find(|index| texts[*index] == wanted);
            index.map(|index| position(&list, index))
        };
        prop_assert_eq!(list.view().find(None, &wanted, skip), found(&wanted, 0));
        if !texts.is_empty() {
            let from = from.index(texts.len());
            let at = Some(position(&list, from));
            let there = &texts[texts.len() / 2];
            prop_assert_eq!(list.view().find(at, there, skip), found(there, from));
            prop_assert_eq!(list.view().find(at, &wanted, skip), found(&wanted, from));
        }
    }

    /// Whatever the bytes are, nothing panics; what passes the check reads the same from both ends.
    #[test]
    fn corrupt_bytes_never_panic(
        texts in prop::collection::vec(any_text(), 0..6),
        harm in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0usize..3,
        is_framed in any::<bool>(),
    ) {
        let mut list = Listpack::new();
        texts.iter().for_each(|text| list.push_back(text));
        let mut bytes = list.into_bytes();
        for (index, byte) in harm {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        if is_framed && bytes.len() > HEADER_BYTES {
            let total = bytes.len() as u32;
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            *bytes.last_mut().unwrap_or(&mut 0) = END;
        }
        let view = ListpackRef::new(&bytes);
        let forward: Vec<Vec<u8>> = view.iter().map(|item| item.to_vec()).collect();
        let mut backward: Vec<Vec<u8>> = view.iter().rev().map(|item| item.to_vec()).collect();
        let _ = (view.len(), view.seek(3), view.seek(-2));
        let _ = (view.find(None, b"zz", 0), view.find(None, b"7", 1));
        for at in 0..bytes.len() + 2 {
            let _ = (view.next(at), view.previous(at), view.get(at));
        }
        if let Ok(count) = ListpackRef::check(&bytes, true) {
            backward.reverse();
            prop_assert_eq!(forward.len(), count);
            prop_assert_eq!(&forward, &backward);
        }
        let _ = ListpackRef::check(&bytes, false);
        let mut owned = Listpack::from_bytes(bytes.clone());
        owned.replace(HEADER_BYTES, b"x");
        owned.remove(bytes.len() / 2);
        owned.insert_after(bytes.len() / 3, b"12345");
        owned.push_front(b"x");
        owned.push_back(b"x");
    }
}

#[test]
fn frames_that_lie_are_refused() {
    let mut list = Listpack::new();
    for text in ["abc", "5", "1000", "x"] {
        list.push_back(text.as_bytes());
    }
    let good = list.into_bytes();
    let check = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        (ListpackRef::check(&bad, false), ListpackRef::check(&bad, true))
    };
    assert_eq!(check(0, good[0]), (Ok(4), Ok(4)));
    // The total, the end mark: seen at once. The count, an encoding, a length, a back length: only when deep.
    assert_eq!(check(0, 9), (Err(Corrupt), Err(Corrupt)));
    assert_eq!(check(good.len() - 1, 1), (Err(Corrupt), Err(Corrupt)));
    assert_eq!(check(4, 5), (Ok(5), Err(Corrupt)));
    assert_eq!(check(6, 0xF6), (Ok(4), Err(Corrupt)));
    assert_eq!(check(6, 0x84), (Ok(4), Err(Corrupt)));
    assert_eq!(check(10, 5), (Ok(4), Err(Corrupt)));
    assert_eq!(check(6, END), (Ok(4), Err(Corrupt)));
    // An unknown count is counted.
    let mut unknown = good.clone();
    unknown[4..6].copy_from_slice(&[255, 255]);
    assert_eq!(ListpackRef::check(&unknown, true), Ok(4));
    assert_eq!(ListpackRef::check(&good[..6], true), Err(Corrupt));
}

#[test]
fn more_items_than_the_header_counts() {
    let mut list = Listpack::new();
    for value in 0..65_534 {
        list.push_back_int(value % 100);
    }
    assert_eq!((list.len(), &list.as_bytes()[4..6]), (65_534, &[0xFE, 0xFF][..]));
    list.push_back(b"x");
    list.push_back(b"y");
    assert_eq!((list.len(), &list.as_bytes()[4..6]), (65_536, &[0xFF, 0xFF][..]));
    assert_eq!(list.view().seek(-1), list.view().last());
    assert_eq!(list.view().seek(65_535), list.view().last());
    assert_eq!((list.view().seek(65_536), list.view().seek(-65_537)), (None, None));
    // As in Redis, what was unknown once stays so.
    list.remove_many(HEADER_BYTES, 60_000);
    assert_eq!((list.len(), &list.as_bytes()[4..6]), (5_536, &[0xFF, 0xFF][..]));
    assert_eq!(ListpackRef::check(list.as_bytes(), true), Ok(5_536));
}

/// Pieces and how often, bytes, FNV-1a of the bytes.
type Golden = (&'static [(&'static str, usize)], usize, u64);

const GOLDEN: &[Golden] = &[
    (&[("a", 1)], 10, 0x2d8d09f05d57ad07),
    (&[("0", 1)], 9, 0xfa983ff3b21947cf),
    (
        &[
            ("0", 1),
            ("1", 1),
            ("63", 1),
            ("64", 1),
            ("127", 1),
            ("128", 1),
            ("-1", 1),
            ("-2", 1),
            ("4095", 1),
            ("4096", 1),
            ("-4096", 1),
            ("-4097", 1),
            ("32767", 1),
            ("32768", 1),
            ("-32768", 1),
            ("-32769", 1),
            ("8388607", 1),
            ("8388608", 1),
            ("-8388608", 1),
            ("-8388609", 1),
            ("2147483647", 1),
            ("2147483648", 1),
            ("-2147483648", 1),
            ("-2147483649", 1),
            ("9223372036854775807", 1),
            ("-9223372036854775808", 1),
            ("9223372036854775808", 1),
            ("-9223372036854775809", 1),
        ],
        175,
        0xcf199774cfa5c7b6,
    ),
    (
        &[
            ("a", 1),
            ("a", 62),
            ("a", 63),
            ("a", 64),
            ("a", 65),
            ("a", 124),
            ("a", 125),
            ("a", 126),
            ("a", 127),
            ("a", 128),
            ("a", 129),
        ],
        1055,
        0x65fd6dbee067c689,
    ),
    (&[("xy", 2047), ("q", 4095), ("q", 4096), ("q", 4097)], 16411, 0x7a074e230639b7aa),
    (&[("b", 16379)], 16394, 0x0dd9bc48e749a7d6),
    (&[("b", 16380)], 16395, 0xddd1b97710ab7201),
    (&[("b", 16381)], 16396, 0xc8d0cab4878590b0),
    (&[("b", 16382)], 16397, 0xd974cc6935795587),
    (&[("c", 16377), ("c", 16378), ("c", 16376)], 49160, 0x3529f48c535c4f5d),
    (
        &[("", 1), ("-0", 1), ("01", 1), ("+1", 1), (" 1", 1), ("1 ", 1), ("1.5", 1), ("", 1)],
        36,
        0x4e87c167cf5ff638,
    ),
    (&[("d", 2000), ("-7", 1), ("d", 128), ("123456789012", 1)], 2156, 0xaea3fc38189a3c65),
    (
        &[
            ("field", 1),
            ("value", 1),
            ("f2", 1),
            ("12", 1),
            ("77", 1),
            ("", 1),
            ("big", 1),
            ("v", 300000),
        ],
        300044,
        0xa30a822c8ec1cd96,
    ),
    (
        &[("f", 1), ("v", 2097145), ("g", 1), ("v", 2097146), ("h", 1), ("w", 2097144)],
        6291476,
        0xa9a17ae30b989f89,
    ),
    (
        &[("m1", 1), ("1", 1), ("m2", 1), ("2.5", 1), ("300", 1), ("70000", 1)],
        30,
        0x1e7466de2bb66834,
    ),
];

/// (texts, bytes as hexadecimal digits)
const GOLDEN_SHORT: &[(&[&str], &str)] = &[
    (&["a"], "0a0000000100816102ff"),
    (&["0"], "0900000001000001ff"),
    (
        &["", "-0", "01", "+1", " 1", "1 ", "1.5", ""],
        "2400000008008001822d300382303103822b3103822031038231200383312e35048001ff",
    ),
    (
        &["m1", "1", "m2", "2.5", "300", "70000"],
        "1e0000000600826d31030101826d320383322e3504c12c02f270110104ff",
    ),
];
