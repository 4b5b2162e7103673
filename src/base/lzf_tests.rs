//! Golden payloads are the compressed strings in DUMP replies of redis-server 7.0.15.

use proptest::prelude::*;

use super::*;
use crate::base::crc::crc64;

/// As [`compress`], in pieces of about `units` KiB.
fn compressed_in_pieces(input: &[u8], limit: usize, units: usize) -> Option<Vec<u8>> {
    let mut out = b"kept".to_vec();
    let mut work = Compressor::new(input.len(), &mut out, limit)?;
    while work.step(input, &mut out, units) == Progress::More {
        // Others compress meanwhile.
        compress(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &mut Vec::new(), 20);
    }
    let length = work.result(&out);
    assert_eq!(out.len() - 4, length.unwrap_or(0));
    length.map(|_| out.split_off(4))
}

/// As [`decompress`], in pieces.
fn decompressed_in_pieces(input: &[u8], exact_len: usize, units: usize) -> Option<Vec<u8>> {
    let mut work = Decompressor::new(input.len(), exact_len).expect("small").ok()?;
    while work.step(input, units).ok()? == Progress::More {}
    Some(work.into_bytes())
}

/// As Redis calls it: the result must save at least four bytes.
fn compress_as_redis(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"kept".to_vec();
    let length = compress(input, &mut out, input.len().checked_sub(4)?);
    assert_eq!(out.len() - 4, length.unwrap_or(0));
    length.map(|_| out.split_off(4))
}

fn decompressed(input: &[u8], exact_len: usize) -> Option<Vec<u8>> {
    let mut out = b"kept".to_vec();
    let is_whole = decompress(input, &mut out, exact_len);
    assert!(is_whole || out == b"kept");
    is_whole.then(|| out.split_off(4))
}

/// A seed, repeated and cut to a length; what Redis makes of it (`None`: stored as it is). The
/// runs of 21 and 22 `a` reach the place where liblzf runs past its own match limit.
type Golden = (&'static [u8], usize, Option<&'static [u8]>);

#[test]
fn agrees_with_redis_byte_for_byte() {
    for (seed, length, payload) in GOLDEN {
        let input: Vec<u8> = seed.iter().copied().cycle().take(*length).collect();
        assert_eq!(compress_as_redis(&input).as_deref(), *payload, "{seed:?} {length}");
        if let Some(payload) = payload {
            assert_eq!(decompressed(payload, *length), Some(input));
        }
    }
}

/// A large mixed input, by the checksum of its payload: text, binary, long and far matches.
#[test]
fn agrees_with_redis_on_a_large_input() {
    let mut state = 1u32;
    let mut input = Vec::new();
    while input.len() < 60_000 {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let choice = (state >> 16) as usize;
        if choice.is_multiple_of(3) || input.len() < 100 {
            input.extend((0..choice % 50).map(|step| (choice >> 3) as u8 ^ (step * 7) as u8));
        } else {
            let from = choice * 31 % (input.len() - 60);
            input.extend_from_within(from..from + 3 + choice % 57);
        }
    }
    let payload = compress_as_redis(&input).unwrap();
    assert_eq!((payload.len(), crc64(0, &payload)), (28537, 0x1a7e8d9c80327bc5));
    for units in [1, 2, 7] {
        let pieces = compressed_in_pieces(&input, input.len() - 4, units);
        assert_eq!(pieces.as_deref(), Some(&payload[..]));
        assert!(compressed_in_pieces(&input, payload.len() - 1, units).is_none());
        assert!(decompressed_in_pieces(&payload, input.len(), units).as_ref() == Some(&input));
    }
    assert_eq!(decompressed(&payload, input.len()), Some(input));
}

#[test]
fn a_step_ends_where_it_should() {
    let input = vec![b'x'; 1 << 20];
    let mut out = Vec::new();
    let mut work = Compressor::new(input.len(), &mut out, input.len() - 4).expect("long enough");
    let mut steps = 0;
    while work.step(&input, &mut out, 1) == Progress::More {
        steps += 1;
    }
    assert!((800..=1024).contains(&steps), "{steps}");
    let mut work = Decompressor::new(out.len(), input.len()).expect("small").expect("possible");
    let mut steps = 0;
    while work.step(&out, 1) == Ok(Progress::More) {
        steps += 1;
    }
    assert!((800..=1024).contains(&steps), "{steps}");
}

#[test]
fn hostile_payloads_are_refused() {
    let cases: &[(&[u8], usize)] = &[
        (b"", 1),
        (b"\x00", 1),
        (b"\x05ab", 6),
        (b"\x00a", 2),
        (b"\x01ab", 1),
        (b"\x20", 3),
        (b"\x20\x00", 3),
        (b"\x00a\x20", 4),
        (b"\x00a\x20\x01", 4),
        (b"\x00a\xe0", 10),
        (b"\x00a\xe0\x00", 10),
        (b"\x00a\x20\x00", 3),
        (b"\x00a\x20\x00", 5),
        (b"\x00a\x20\x00", usize::MAX),
    ];
    for (input, exact_len) in cases {
        assert_eq!(decompressed(input, *exact_len), None, "{input:?}");
        assert_eq!(decompressed_in_pieces(input, *exact_len, 1), None, "{input:?}");
    }
    assert_eq!(decompressed(b"", 0), Some(vec![]));
    assert_eq!(decompressed(b"\x00a\x20\x00", 4), Some(b"aaaa".to_vec()));
}

#[test]
fn a_copy_does_not_reach_what_stood_in_the_output_before() {
    assert_eq!(decompressed(b"\x20\x03", 3), None);
}

#[test]
fn the_table_is_cleared_when_positions_run_out() {
    let input = b"abcabcabcabcabcabcabcabcabc";
    let fresh = compress_as_redis(input);
    assert!(fresh.is_some());
    for base in [0, u32::MAX - 40, u32::MAX - 20, u32::MAX] {
        SLOTS.with_borrow_mut(|slots| slots.base = base);
        assert_eq!(compress_as_redis(input), fresh);
        assert_eq!(compress_as_redis(input), fresh);
    }
}

proptest! {
    #[test]
    fn what_is_compressed_comes_back(
        words in prop::collection::vec(prop::collection::vec(0u8..3, 1..12), 0..200),
        limit_cut in 0usize..30,
    ) {
        let input = words.concat();
        let mut out = Vec::new();
        let limit = input.len().saturating_sub(limit_cut);
        // Of nothing there is nothing to compress.
        let is_some = compress(&input, &mut Vec::new(), limit).is_some();
        prop_assert_eq!(compressed_in_pieces(&input, limit, 1).is_some(), is_some);
        if let Some(length) = compress(&input, &mut out, limit) {
            prop_assert!(length <= limit && length == out.len());
            prop_assert_eq!(compressed_in_pieces(&input, limit, 1), Some(out.clone()));
            prop_assert_eq!(decompressed(&out, input.len()), Some(input.clone()));
            prop_assert_eq!(decompressed_in_pieces(&out, input.len(), 1), Some(input.clone()));
        }
    }

    #[test]
    fn hostile_input_never_panics(
        input in prop::collection::vec(any::<u8>(), 0..60),
        exact_len in 0usize..2000,
    ) {
        let in_pieces = decompressed_in_pieces(&input, exact_len, 1);
        prop_assert_eq!(&in_pieces, &decompressed(&input, exact_len));
        if let Some(out) = in_pieces {
            prop_assert_eq!(out.len(), exact_len);
        }
    }
}

const GOLDEN: &[Golden] = &[
    (b"a", 21, Some(b"\x01aa\xe0\x0a\x00")),
    (b"a", 22, Some(b"\x01aa\xe0\x0a\x00\x00a")),
    (b"a", 23, Some(b"\x01aa\xe0\x0a\x00\x01aa")),
    (b"a", 24, Some(b"\x01aa\xe0\x0b\x00\x01aa")),
    (b"a", 270, Some(b"\x01aa\xe0\xff\x00 \x00\x00a")),
    (b"a", 300, Some(b"\x01aa\xe0\xff\x00\xe0\x17\x00\x01aa")),
    (b"ab", 21, Some(b"\x02aba\xe0\x07\x01\x01ba")),
    (b"ab", 25, Some(b"\x02aba\xe0\x0b\x01\x01ba")),
    (b"ab", 40, Some(b"\x02aba\xe0\x1a\x01\x01ab")),
    (b"ab", 100, Some(b"\x02aba\xe0V\x01\x01ab")),
    (b"ab", 321, Some(b"\x02aba\xe0\xff\x01\xe0+\x01\x01ba")),
    (b"abc", 21, Some(b"\x03abca\xe0\x06\x02\x01bc")),
    (b"abc", 25, Some(b"\x03abca\xe0\x0a\x02\x01ca")),
    (b"abc", 40, Some(b"\x03abca\xe0\x19\x02\x01ca")),
    (b"abc", 100, Some(b"\x03abca\xe0U\x02\x01ca")),
    (b"abc", 321, Some(b"\x03abca\xe0\xff\x02\xe1*\x07\x01bc")),
    (b"the cat sat on the mat, the cat sat; ", 21, None),
    (b"the cat sat on the mat, the cat sat; ", 25, None),
    (b"the cat sat on the mat, the cat sat; ", 40, Some(b"\x08the cat s \x03\x03on t \x0e\x03mat,`\x08\xa0\x17\x00; \x0c\x00e")),
    (b"the cat sat on the mat, the cat sat; ", 100, Some(b"\x08the cat s \x03\x03on t \x0e\x03mat,`\x08\xa0\x17\x00;\xe0\x03\x0c\xe0)$\x01th")),
    (b"the cat sat on the mat, the cat sat; ", 321, Some(b"\x08the cat s \x03\x03on t \x0e\x03mat,`\x08\xa0\x17\x00;\xe0\x03\x0c\xe0\xff$\xa1'\x01 t")),
    (b"{\x22id\x22:1,\x22v\x22:2},", 21, None),
    (b"{\x22id\x22:1,\x22v\x22:2},", 25, None),
    (b"{\x22id\x22:1,\x22v\x22:2},", 40, Some(b"\x0f{\x22id\x22:1,\x22v\x22:2},{\xe0\x0d\x0e\x01\x22v")),
    (b"{\x22id\x22:1,\x22v\x22:2},", 100, Some(b"\x0f{\x22id\x22:1,\x22v\x22:2},{\xe0I\x0e\x01\x22v")),
    (b"{\x22id\x22:1,\x22v\x22:2},", 321, Some(b"\x0f{\x22id\x22:1,\x22v\x22:2},{\xe0\xff\x0e\xe1\x1e\x0d\x01\x22:")),
    (b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 21, None),
    (b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 25, None),
    (b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 40, None),
    (b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 100, Some(b"\x1fabcdefghijklmnopqrstuvwxyz012345\x1e6789ABCDEFGHIJKLMNOPQRSTUVWXYZa\xe0\x1a=\x01AB")),
    (b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 321, Some(b"\x1fabcdefghijklmnopqrstuvwxyz012345\x1e6789ABCDEFGHIJKLMNOPQRSTUVWXYZa\xe0\xf7=\x01jk")),
    (b"\x00\xff", 21, Some(b"\x02\x00\xff\x00\xe0\x07\x01\x01\xff\x00")),
    (b"\x00\xff", 25, Some(b"\x02\x00\xff\x00\xe0\x0b\x01\x01\xff\x00")),
    (b"\x00\xff", 40, Some(b"\x02\x00\xff\x00\xe0\x1a\x01\x01\x00\xff")),
    (b"\x00\xff", 100, Some(b"\x02\x00\xff\x00\xe0V\x01\x01\x00\xff")),
    (b"\x00\xff", 321, Some(b"\x02\x00\xff\x00\xe0\xff\x01\xe0+\x01\x01\xff\x00")),
    (b"xyzzyxyzxy", 21, None),
    (b"xyzzyxyzxy", 25, Some(b"\x08xyzzyxyzx@\x04\xe0\x01\x09\x01zy")),
    (b"xyzzyxyzxy", 40, Some(b"\x08xyzzyxyzx@\x04\xe0\x10\x09\x01xy")),
    (b"xyzzyxyzxy", 100, Some(b"\x08xyzzyxyzx@\x04\xe0L\x09\x01xy")),
    (b"xyzzyxyzxy", 321, Some(b"\x08xyzzyxyzx@\x04\xe0\xff\x09\xe1!\x0d\x01yx")),
];
