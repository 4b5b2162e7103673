//! Intsets against a `BTreeSet`, and the bytes Redis writes.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Bytes that redis-server 7.0.15 keeps for these integers (taken from DUMP).
#[test]
fn bytes_are_those_of_redis() {
    for (integers, hex) in GOLDEN {
        let mut set = Intset::new();
        for integer in *integers {
            assert!(set.insert(*integer));
            assert!(!set.insert(*integer));
        }
        let text: String = set.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, *hex, "{integers:?}");
        assert_eq!(IntsetRef::check(set.as_bytes()), Ok(integers.len()));
    }
}

const BORDERS: &[i64] =
    &[i64::MIN, i64::MAX, -32_769, -32_768, 32_767, 32_768, 1 << 31, -(1 << 31) - 1];

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -40i64..40,
        1 => any::<i16>().prop_map(i64::from),
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
        1 => prop::sample::select(BORDERS),
    ]
}

proptest! {
    #[test]
    fn like_a_sorted_set(steps in prop::collection::vec((0..3u8, integer()), 0..120)) {
        let mut set = Intset::new();
        let mut model = BTreeSet::new();
        for (step, value) in steps {
            match step {
                0 | 1 => prop_assert_eq!(set.insert(value), model.insert(value)),
                _ => prop_assert_eq!(set.remove(value), model.remove(&value)),
            }
            prop_assert_eq!(set.find(value), model.iter().position(|own| *own == value));
            prop_assert_eq!(set.len(), model.len());
            let checked = IntsetRef::check(set.as_bytes());
            prop_assert_eq!(checked, if model.is_empty() { Err(Corrupt) } else { Ok(model.len()) });
        }
        prop_assert!(set.iter().eq(model.iter().copied()));
        prop_assert!(set.iter().rev().eq(model.iter().rev().copied()));
        for (index, value) in model.iter().enumerate() {
            prop_assert_eq!(set.get(index), Some(*value));
        }
        prop_assert_eq!(set.get(model.len()), None);
        while let Some(first) = model.pop_first() {
            prop_assert_eq!(set.remove_at(0), Some(first));
        }
        prop_assert_eq!(set.remove_at(0), None);
    }

    /// Whatever the bytes are, nothing panics, and what is not sorted or not framed is refused.
    #[test]
    fn corrupt_bytes_are_refused(
        bytes in prop::collection::vec(prop_oneof![0..10u8, any::<u8>()], 0..40),
        probe in integer(),
    ) {
        let view = IntsetRef::new(&bytes);
        let _ = (view.find(probe), view.get(3), view.iter().count());
        if let Ok(count) = IntsetRef::check(&bytes) {
            let kept: Vec<i64> = view.iter().collect();
            prop_assert_eq!(kept.len(), count);
            prop_assert!(kept.is_sorted_by(|left, right| left < right));
        }
    }
}

#[test]
fn frames_that_lie_are_refused() {
    let mut set = Intset::new();
    for value in [1, 2, 3] {
        set.insert(value);
    }
    let good = set.into_bytes();
    assert_eq!(IntsetRef::check(&good), Ok(3));
    for (at, byte) in [(0, 3), (0, 4), (4, 2), (4, 4), (8, 2), (8, 3), (7, 255)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(IntsetRef::check(&bad), Err(Corrupt), "{at} {byte}");
    }
    // Out of order passes the look at the header alone.
    let mut unsorted = good.clone();
    unsorted[8] = 9;
    assert_eq!(
        (IntsetRef::check_header(&unsorted), IntsetRef::check(&unsorted)),
        (Ok(3), Err(Corrupt))
    );
    assert_eq!(IntsetRef::check(&good[..13]), Err(Corrupt));
}

const GOLDEN: &[(&[i64], &str)] = &[
    (&[1], "02000000010000000100"),
    (&[3, 1, 2], "0200000003000000010002000300"),
    (&[32767, -32768], "02000000020000000080ff7f"),
    (&[1, 32768], "04000000020000000100000000800000"),
    (&[1, -32769], "0400000002000000ff7fffff01000000"),
    (
        &[5, 6, -7, 2147483648, 70000],
        "0800000005000000f9ffffffffffffff0500000000000000060000000000000070110100000000000000008000000000",
    ),
    (&[-2147483649, 1, 2], "0800000003000000ffffff7fffffffff01000000000000000200000000000000"),
    (
        &[9223372036854775807, -9223372036854775808, 0],
        "080000000300000000000000000000800000000000000000ffffffffffffff7f",
    ),
];
