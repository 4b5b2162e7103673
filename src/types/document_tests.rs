//! Round trips of random values, limits, and bytes that are no value.
use proptest::prelude::*;

use super::*;

/// Any value of a few levels.
pub fn any_nested() -> impl Strategy<Value = Nested> {
    let scalar = prop_oneof![
        Just(Nested::Null),
        "[ -~]{0,9}".prop_map(|text| Nested::Simple(text.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Nested::Bytes),
        ".{0,12}".prop_map(Nested::Text),
        "[{}a-z\\[\\]\":]{0,12}".prop_map(Nested::Json),
        any::<i64>().prop_map(Nested::Int),
        (-1000i64..1000).prop_map(Nested::Int),
        any::<f64>().prop_map(Nested::float),
        Just(Nested::Number("123456789012345678901234567890".to_owned())),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        let values = || prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            values().prop_map(Nested::Array),
            values().prop_map(Nested::Set),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Nested::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn pieces_find_what_the_whole_does(
        value in any_nested(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        units in 1usize..9,
    ) {
        let mut bytes = value.encode().unwrap();
        if let Some((index, byte)) = damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let (mut work, mut steps) = (Check::default(), 0);
        let found = loop {
            steps += 1;
            match work.step(&bytes, units) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => break Ok(()),
                Err(refused) => break Err(refused),
            }
        };
        prop_assert_eq!(found, check(&bytes));
        if found.is_ok() {
            prop_assert!(steps >= tokens(&bytes).count() / units);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded(value in any_nested()) {
        let bytes = value.encode().unwrap();
        prop_assert_eq!(Nested::decode(&bytes), Ok(value));
    }

    #[test]
    fn a_part_of_a_value_is_none(value in any_nested(), extra in any::<u8>()) {
        let bytes = value.encode().unwrap();
        for end in 0..bytes.len() {
            prop_assert_eq!(check(&bytes[..end]), Err(Refused::Corrupt));
        }
        let mut longer = bytes;
        longer.push(extra);
        prop_assert!(check(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_a_value_or_refused(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(&b"_+$^@:.*&%\x00\x01\x02"[..])], 0..60)
    ) {
        if let Ok(value) = Nested::decode(&bytes) {
            let again = value.encode().unwrap();
            // A length may be written longer than it has to be.
            prop_assert!(again.len() <= bytes.len());
            prop_assert_eq!(Nested::decode(&again), Ok(value));
        }
    }
}

fn nested_arrays(levels: usize) -> Nested {
    (1..levels).fold(Nested::Array(Vec::new()), |inner, _| Nested::Array(vec![inner]))
}

#[test]
fn depth_is_limited() {
    let deepest = nested_arrays(DEPTH_MAX).encode().unwrap();
    assert!(Nested::decode(&deepest).is_ok());
    assert_eq!(nested_arrays(DEPTH_MAX + 1).encode(), Err(Refused::TooDeep));
    let mut bytes = [ARRAY, 1].repeat(DEPTH_MAX);
    bytes.extend([ARRAY, 0]);
    assert_eq!(check(&bytes), Err(Refused::TooDeep));
    assert_eq!(check(&[ARRAY, 1].repeat(5_000_000)), Err(Refused::TooDeep));
}

#[test]
fn elements_are_limited() {
    let count = ELEMENTS_MAX - 1;
    let array = |count: u64| {
        let mut bytes = vec![ARRAY];
        write_varint(&mut bytes, count);
        bytes.resize(bytes.len() + count as usize, NULL);
        bytes
    };
    assert_eq!(check(&array(count)), Ok(()));
    assert_eq!(check(&array(count + 1)), Err(Refused::TooMany));
    let mut writer = Writer::new();
    assert_eq!(writer.push(Token::Dict(ELEMENTS_MAX / 2)), Err(Refused::TooMany));
    assert_eq!(Writer::new().push(Token::Dict(u64::MAX)), Err(Refused::TooMany));
}

#[test]
fn claims_without_bytes_are_refused() {
    for tag in *b"+$^@.*&%" {
        let mut bytes = vec![tag];
        write_varint(&mut bytes, u64::MAX >> 1);
        bytes.extend_from_slice(b"____");
        assert_eq!(check(&bytes), Err(Refused::Corrupt), "{}", tag as char);
        bytes.truncate(1);
        assert_eq!(check(&bytes), Err(Refused::Corrupt));
    }
    // Eleven bytes of length, one that overflows, bytes that are no text, a number that is none.
    assert_eq!(
        check(&[b'$', 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0]),
        Err(Refused::Corrupt)
    );
    assert_eq!(
        check(&[b':', 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]),
        Err(Refused::Corrupt)
    );
    assert_eq!(check(&[b'^', 1, 0xff]), Err(Refused::Corrupt));
    assert_eq!(check(b".\x031x5"), Err(Refused::Corrupt));
    assert_eq!(check(b"+\x02\r\n"), Err(Refused::Corrupt));
    assert_eq!(check(b""), Err(Refused::Corrupt));
}

#[test]
fn numbers() {
    for text in ["1.5", "-0.25", "1e9", "inf", "-inf", "nan", "99999999999999999999999999", "1."] {
        assert!(is_number(text.as_bytes()), "{text}");
    }
    for text in ["", "-", "x", "1x", "1 ", " 1", "1.5.5", "--1"] {
        assert!(!is_number(text.as_bytes()), "{text}");
    }
    assert!(!is_number(&[b'1'; NUMBER_BYTES_MAX + 1]));
    for value in [0, -1, 1, i64::MAX, i64::MIN] {
        assert_eq!(unzigzag(zigzag(value)), value);
        assert_eq!(Nested::decode(&Nested::Int(value).encode().unwrap()), Ok(Nested::Int(value)));
    }
}

#[test]
fn a_writer_wants_one_whole_value() {
    let mut writer = Writer::new();
    assert!(!writer.is_complete());
    writer.push(Token::Array(2)).unwrap();
    writer.push(Token::Int(1)).unwrap();
    assert_eq!(writer.clone().finish(), Err(Refused::Corrupt));
    writer.push(Token::Set(0)).unwrap();
    assert!(writer.is_complete());
    assert_eq!(writer.clone().finish(), Ok(b"*\x02:\x02&\x00".to_vec()));
    assert_eq!(writer.push(Token::Null), Err(Refused::Corrupt));
}
