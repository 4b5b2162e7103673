//! Golden bytes were taken from DUMP of Redis 7.0.15.
use super::*;
use proptest::prelude::*;

fn dumped(text: &[u8], compression: Compression) -> Vec<u8> {
    let mut out = vec![value_type::STRING];
    write_string(&mut out, text, compression);
    write_footer(&mut out);
    out
}

fn restored(payload: &[u8]) -> Option<Vec<u8>> {
    let mut reader = check_footer(payload, Checksum::Compared).ok()?;
    if reader.u8() != Ok(value_type::STRING) {
        return None;
    }
    reader.string().ok().map(Text::into_bytes)
}

/// Runs of few different bytes, so that there is something to compress, and sometimes an integer.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let runs = prop::collection::vec((any::<u8>(), 1usize..40), 0..200)
        .prop_map(|runs| runs.iter().flat_map(|&(byte, n)| std::iter::repeat_n(byte, n)).collect());
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let integer = any::<i64>().prop_flat_map(|number| {
        (0u32..64).prop_map(move |shift| (number >> shift).to_string().into_bytes())
    });
    prop_oneof![runs, noise, integer]
}

#[test]
fn lengths_at_their_limits() {
    for (length, bytes) in [
        (0u64, &b"\x00"[..]),
        (63, b"\x3f"),
        (64, b"\x40\x40"),
        (16383, b"\x7f\xff"),
        (16384, b"\x80\x00\x00\x40\x00"),
        (0xffff_ffff, b"\x80\xff\xff\xff\xff"),
        (0x1_0000_0000, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
        (u64::MAX, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        let mut out = Vec::new();
        write_length(&mut out, length);
        assert_eq!(out, bytes, "{length}");
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.length(), Ok(length));
        assert!(reader.rest().is_empty());
        assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).length(), Err(Corrupt));
    }
    for first in 0x82..=0xbf {
        assert_eq!(Reader::new(&[first; 16]).length_or_encoding(), Err(Corrupt), "{first:#x}");
    }
    assert_eq!(Reader::new(b"\xc3").length_or_encoding(), Ok(Length::Encoded(3)));
    assert_eq!(Reader::new(b"\xc3").length(), Err(Corrupt));
}

#[test]
fn integers_are_stored_small_and_read_back() {
    for (text, bytes) in [
        ("0", &b"\xc0\x00"[..]),
        ("-128", b"\xc0\x80"),
        ("127", b"\xc0\x7f"),
        ("128", b"\xc1\x80\x00"),
        ("-32768", b"\xc1\x00\x80"),
        ("32768", b"\xc2\x00\x80\x00\x00"),
        ("-2147483648", b"\xc2\x00\x00\x00\x80"),
        ("2147483648", b"\x0a2147483648"),
        ("007", b"\x03007"),
        ("-0", b"\x02-0"),
        ("", b"\x00"),
    ] {
        let mut out = Vec::new();
        write_string(&mut out, text.as_bytes(), Compression::Lzf);
        assert_eq!(out, bytes, "{text}");
        let read = Reader::new(bytes).string().map(Text::into_bytes);
        assert_eq!(read, Ok(text.as_bytes().to_vec()), "{text}");
        if let Some(value) = number::parse_i64(text.as_bytes()) {
            out.clear();
            write_int(&mut out, value);
            assert_eq!(out, bytes, "{text} as an integer");
        }
    }
}

#[test]
fn payloads_are_those_of_redis() {
    assert_eq!(dumped(b"1", Compression::Lzf), GOLDEN_ONE);
    assert_eq!(dumped(b"hello", Compression::Lzf), GOLDEN_HELLO);
    assert_eq!(dumped(&[b'a'; 100], Compression::Lzf), GOLDEN_RUN);
    assert_eq!(dumped(&[b'a'; 20], Compression::Lzf).len(), 1 + 1 + 20 + 10);
    assert_eq!(dumped(&[b'a'; 100], Compression::Off).len(), 1 + 2 + 100 + 10);
}

const GOLDEN_ONE: &[u8] = b"\x00\xc0\x01\x0a\x00\x26\x78\xe7\xb6\xd1\x01\x11\xfc";
const GOLDEN_HELLO: &[u8] = b"\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a";
const GOLDEN_RUN: &[u8] = b"\x00\xc3\x09\x40\x64\x01\x61\x61\xe0\x57\x00\x01\x61\x61\x0a\x00\xe8\xa3\xb5\x07\xb0\x6d\xf2\x71";

#[test]
fn footers_are_checked() {
    let payload = dumped(b"hello", Compression::Lzf);
    assert_eq!(restored(&payload).as_deref(), Some(&b"hello"[..]));
    for length in 0..payload.len() {
        assert_eq!(
            check_footer(&payload[..length], Checksum::Ignored).err(),
            Some(BadFooter),
            "{length}"
        );
    }
    let mut damaged = payload;
    damaged[3] ^= 1;
    assert_eq!(check_footer(&damaged, Checksum::Compared).err(), Some(BadFooter));
    assert!(check_footer(&damaged, Checksum::Ignored).is_ok());
    for (version, is_read) in [(6u16, true), (10, true), (11, false), (0xffff, false)] {
        let mut other = b"\x00\x05hello".to_vec();
        other.extend_from_slice(&version.to_le_bytes());
        let sum = crc64(0, &other);
        other.extend_from_slice(&sum.to_le_bytes());
        assert_eq!(check_footer(&other, Checksum::Compared).is_ok(), is_read, "version {version}");
    }
}

#[test]
fn claimed_sizes_allocate_nothing() {
    for claim in [
        &b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xffabc",
        b"\x80\xff\xff\xff\xff",
        // Compressed: huge packed length, then huge real length.
        b"\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x05abc",
        b"\xc3\x04\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02abc",
        b"\xc3\x04\x80\x40\x00\x00\x00\x02abc",
        b"\xc3\xc0\x04",
        b"\xc4abc",
        b"\xff",
    ] {
        assert_eq!(Reader::new(claim).string(), Err(Corrupt), "{claim:x?}");
    }
}

proptest! {
    #[test]
    fn strings_come_back(text in any_text(), is_compressed: bool) {
        let compression = if is_compressed { Compression::Lzf } else { Compression::Off };
        let payload = dumped(&text, compression);
        prop_assert!(payload.len() <= 1 + 9 + text.len().max(5) + FOOTER_BYTES);
        prop_assert_eq!(restored(&payload), Some(text));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(text) = reader.string() {
            prop_assert!(text.into_bytes().len() <= bytes.len() * 264 + 20);
        }
        prop_assert!(reader.rest().len() <= bytes.len());
        let _ = check_footer(&bytes, Checksum::Ignored);
    }

    #[test]
    fn damaged_strings_are_read_without_panic(
        text in any_text(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Vec::new();
        write_string(&mut bytes, &text, Compression::Lzf);
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let mut reader = Reader::new(&bytes);
        let _ = reader.string();
        prop_assert!(reader.rest().len() <= bytes.len());
    }
}
