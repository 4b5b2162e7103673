//! Tests of HyperLogLogs: the bytes, the registers against an array, estimates, corrupt strings.

use super::*;
use crate::base::pieces::Progress;
use proptest::prelude::*;

const SPARSE_BYTES_MAX: usize = 3000;

fn of(elements: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut text = new_text();
    for element in elements {
        add(&mut text, element.to_string().as_bytes(), SPARSE_BYTES_MAX).expect("not corrupt");
    }
    text
}

#[test]
fn hashes_as_redis_has_them() {
    // What PFDEBUG GETREG of a Redis 7.0.15 shows after PFADD of each.
    let known: [(&[u8], (usize, u8)); 4] = [
        (b"", (5938, 2)),
        (b"a", (12711, 2)),
        (b"abcdefgh", (1383, 1)),
        (b"Hello, HyperLogLog!", (16263, 3)),
    ];
    for (element, place) in known {
        assert_eq!(place_of(element), place);
    }
}

#[test]
fn a_new_one_is_empty() {
    let text = new_text();
    assert_eq!(text, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(
        (check(&text), cached_count(&text), count(&text)),
        (Ok(Encoding::Sparse), Some(0), Ok(0))
    );
    assert_eq!(decoded(&text), b"Z:16384");
}

#[test]
fn what_is_no_hyperloglog() {
    let dense = {
        let mut text = new_text();
        assert_eq!(to_dense(&mut text), Ok(true));
        text
    };
    assert_eq!(check(&dense), Ok(Encoding::Dense));
    assert_eq!(check(&dense[..dense.len() - 1]), Err(Refused::Other));
    assert_eq!(check(&[dense.clone(), vec![0]].concat()), Err(Refused::Other));
    assert_eq!(check(b"HYLL"), Err(Refused::Other));
    assert_eq!(check(b"HYLX\x01...........\x7f\xff"), Err(Refused::Other));
    assert_eq!(check(b"HYLL\x02...........\x7f\xff"), Err(Refused::Other));
    let mut long = new_text();
    long.resize(SPARSE_BYTES_MAX + 1, 0);
    assert_eq!(check(&long), Ok(Encoding::Sparse));
    long.resize(super::SPARSE_BYTES_MAX + 1, 0);
    assert_eq!(check(&long), Err(Refused::Corrupt));
}

#[test]
fn corrupt_runs_are_found() {
    for runs in
        [&b""[..], b"\x7f\xfe", b"\x7f\xff\0", b"\x7f", b"\x7f\xff\x80", b"\x7e\xff\xff\xff"]
    {
        let mut text = new_text();
        text.truncate(HEADER_BYTES);
        text.extend_from_slice(runs);
        assert_eq!(count(&text), Err(Corrupt), "{runs:?}");
        assert_eq!(Registers::new().merge(&text), Err(Corrupt));
        assert_eq!(to_dense(&mut text), Err(Corrupt));
        assert_eq!(encoding(&text), Encoding::Sparse);
    }
}

#[test]
fn estimates_are_near_and_both_forms_agree() {
    let mut text = new_text();
    let mut dense = text.clone();
    assert_eq!(to_dense(&mut dense), Ok(true));
    for element in 1..=20_000u32 {
        let name = element.to_string();
        assert_eq!(
            add(&mut text, name.as_bytes(), SPARSE_BYTES_MAX),
            add(&mut dense, name.as_bytes(), SPARSE_BYTES_MAX)
        );
        if element % 500 == 0 {
            let counted = count(&text);
            assert_eq!(counted, count(&dense));
            let error = (counted.unwrap_or(0) - i64::from(element)).unsigned_abs();
            assert!(error <= u64::from(element) / 25, "{counted:?} of {element}");
        }
    }
    assert_eq!(encoding(&text), Encoding::Dense);
    assert_eq!(
        values(&text).map(|all| all.values().to_vec()),
        values(&dense).map(|all| all.values().to_vec())
    );
}

#[test]
fn a_register_above_32_needs_the_dense_form() {
    let mut text = of(0..10);
    assert_eq!(raise(&mut text, 7, 32, SPARSE_BYTES_MAX), Ok(true));
    assert_eq!(encoding(&text), Encoding::Sparse);
    assert_eq!(raise(&mut text, 7, 33, SPARSE_BYTES_MAX), Ok(true));
    assert_eq!(encoding(&text), Encoding::Dense);
    assert_eq!(raise(&mut text, 7, 33, SPARSE_BYTES_MAX), Ok(false));
}

#[test]
fn registers_nobody_can_have_made() {
    let mut text = new_text();
    assert_eq!(to_dense(&mut text), Ok(true));
    for index in 0..REGISTERS {
        raise(&mut text, index, 51, 0).expect("dense");
    }
    assert_eq!(count(&text), Ok(i64::MIN));
}

#[test]
fn the_self_test_passes() {
    let mut test = SelfTest::new(1, SPARSE_BYTES_MAX);
    // The fillings and the first 100 000 elements; the rest takes seconds without optimisation.
    for _ in 0..1100 {
        assert_eq!(test.step(1), Ok(Progress::More));
    }
}

proptest! {
    #[test]
    fn registers_as_in_an_array(
        changes in prop::collection::vec((0usize..200, 1u8..40), 1..300),
        bytes_max in 20usize..400,
    ) {
        let mut text = new_text();
        let mut model = vec![0u8; REGISTERS];
        for (index, value) in changes {
            // Some beside each other, some far away.
            let index = if index < 100 { index } else { index * 81 };
            let is_raised = model[index] < value;
            prop_assert_eq!(raise(&mut text, index, value, bytes_max), Ok(is_raised));
            model[index] = model[index].max(value);
            prop_assert!(encoding(&text) == Encoding::Dense || text.len() <= bytes_max.max(22));
        }
        let merged = values(&text).map(|all| all.values().to_vec());
        prop_assert_eq!(merged.as_deref(), Ok(&model[..]));
        let before = count(&text);
        to_dense(&mut text).expect("valid");
        prop_assert_eq!(count(&text), before);
        let merged = values(&text).map(|all| all.values().to_vec());
        prop_assert_eq!(merged.as_deref(), Ok(&model[..]));
    }

    #[test]
    fn a_merge_counts_the_union(first in 0u32..2000, second in 0u32..2000) {
        let (a, b) = (of(0..first), of(500..500 + second));
        let union = of((0..first).chain(500..500 + second));
        let mut merged = Registers::new();
        merged.merge(&a).expect("valid");
        merged.merge(&b).expect("valid");
        prop_assert_eq!(Ok(merged.count()), count(&union));
        let mut text = a.clone();
        merged.raise_in(&mut text, 0..REGISTERS, SPARSE_BYTES_MAX);
        prop_assert_eq!(count(&text), count(&union));
    }

    #[test]
    fn any_string_of_that_head_is_safe(
            tail in prop::collection::vec(any::<u8>(), 0..40),
            element: u32,
        ) {
        let mut text = new_text();
        text.truncate(HEADER_BYTES);
        text.extend_from_slice(&tail);
        let _ = (count(&text), decoded(&text), Registers::new().merge(&text));
        let _ = add(&mut text, &element.to_le_bytes(), SPARSE_BYTES_MAX);
        let _ = to_dense(&mut text);
    }
}
