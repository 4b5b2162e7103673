//! The layout of entries: sizes that the memory goals rest on, and numbers.

use super::*;
use proptest::prelude::*;

#[test]
fn common_entries_fit_their_slots() {
    let key = key_end_for(StoredKey::Inline(&[0; 16]));
    assert_eq!(size_for(key, false, Stored::Bytes(&[0; 32])), 54);
    assert_eq!(size_for(key, true, Stored::Bytes(&[0; 32])), 62);
    assert_eq!(size_for(key, false, Stored::Int(7)), 23);
}

proptest! {
    #[test]
    fn written_entries_read_back(
        key in prop::collection::vec(any::<u8>(), 0..600),
        text in prop::collection::vec(any::<u8>(), 0..1000),
        int in any::<i64>(),
        form in 0..3u8,
        expiry in prop::option::of(any::<i64>()),
        access in 0..1u32 << 24,
    ) {
        let value = match form {
            0 => Stored::Int(int),
            1 => Stored::Block(int as u32),
            _ => Stored::Bytes(&text),
        };
        let stored_key = StoredKey::Inline(&key);
        let size = size_for(key_end_for(stored_key), expiry.is_some(), value);
        // Garbage of an earlier tenant must not show.
        let mut slot = vec![0xa5; size];
        write_key(&mut slot, stored_key);
        let head = with_clock(Kind::String as u32 | EDITED, access);
        write_value(&mut slot, head, key_end_for(stored_key), expiry, value);
        prop_assert_eq!(super::size(&slot), size);
        prop_assert_eq!(inline_key_equals(&slot, &key), Some(true));
        let mut longer = key.clone();
        longer.push(0);
        prop_assert_eq!(inline_key_equals(&slot, &longer), Some(false));
        prop_assert_eq!(super::expiry(&slot), expiry);
        prop_assert_eq!(super::value(&slot), value);
        prop_assert_eq!(clock(header(&slot)), access);
        prop_assert_eq!(header(&slot) & EDITED, EDITED);
        prop_assert_eq!(Kind::of_number(header(&slot) & KIND_MASK), Kind::String);
    }

    #[test]
    fn canonical_means_printed_the_same(text in "-?[0-9]{0,20}") {
        let expected = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(canonical_int(text.as_bytes()), expected);
    }
}

#[test]
fn keys_of_any_length_are_compared_to_their_last_byte() {
    for len in 0..70 {
        let key: Vec<u8> = (0..len).map(|n| n as u8).collect();
        assert!(equal(&key, &key.clone()));
        for place in 0..len {
            let mut other = key.clone();
            other[place] ^= 1;
            assert!(!equal(&key, &other), "{len} bytes, differing at {place}");
        }
    }
}
