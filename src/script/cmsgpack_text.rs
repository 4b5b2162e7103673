//! MessagePack as bytes, without Lua: items written and read one by one.
//!
//! What the library lua-cmsgpack 0.4 writes and reads: integers in their shortest form, doubles as floats where that
//! loses nothing, strings of the kinds called raw. Extensions and binary strings are no items.
//!
//! | first byte | item |
//! |---|---|
//! | 00-7f, e0-ff | the integer itself, signed |
//! | 80-8f, de, df | map; entries in the low bits, in 2 or 4 bytes |
//! | 90-9f, dc, dd | array; elements likewise |
//! | a0-bf, d9, da, db | string; bytes in the low bits, in 1, 2 or 4 bytes |
//! | c0, c2, c3 | nil, false, true |
//! | ca, cb | float, double |
//! | cc-cf, d0-d3 | unsigned and signed integers of 1, 2, 4, 8 bytes |

/// One item. Of an array or map only its size: what is in it follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'b> {
    /// Nothing.
    Nil,
    /// True or false.
    Boolean(bool),
    /// An integer; of 8 bytes unsigned those above `i64::MAX` come out negative, as in the library.
    Integer(i64),
    /// A float or double.
    Double(f64),
    /// A string.
    String(&'b [u8]),
    /// That many items follow.
    Array(usize),
    /// That many pairs of items follow.
    Map(usize),
}

/// Why there is no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end within it.
    Missing,
    /// No item begins with this byte.
    Unknown,
}

/// Reads the item at the beginning of `bytes`, which becomes what is after it. O(1).
pub fn read<'b>(bytes: &mut &'b [u8]) -> Result<Item<'b>, Malformed> {
    let [kind] = take(bytes)?;
    Ok(match kind {
        0..=0x7f => Item::Integer(i64::from(kind)),
        0xe0..=0xff => Item::Integer(i64::from(kind as i8)),
        0x80..=0x8f => Item::Map(usize::from(kind & 15)),
        0xde => Item::Map(usize::from(u16::from_be_bytes(take(bytes)?))),
        0xdf => Item::Map(u32::from_be_bytes(take(bytes)?) as usize),
        0x90..=0x9f => Item::Array(usize::from(kind & 15)),
        0xdc => Item::Array(usize::from(u16::from_be_bytes(take(bytes)?))),
        0xdd => Item::Array(u32::from_be_bytes(take(bytes)?) as usize),
        0xa0..=0xbf => read_string(bytes, usize::from(kind & 31))?,
        0xd9 => {
            let [len] = take(bytes)?;
            read_string(bytes, usize::from(len))?
        }
        0xda => {
            let len = u16::from_be_bytes(take(bytes)?);
            read_string(bytes, usize::from(len))?
        }
        0xdb => {
            let len = u32::from_be_bytes(take(bytes)?);
            read_string(bytes, len as usize)?
        }
        0xc0 => Item::Nil,
        0xc2 => Item::Boolean(false),
        0xc3 => Item::Boolean(true),
        0xca => Item::Double(f64::from(f32::from_be_bytes(take(bytes)?))),
        0xcb => Item::Double(f64::from_be_bytes(take(bytes)?)),
        0xcc => Item::Integer(i64::from(u8::from_be_bytes(take(bytes)?))),
        0xcd => Item::Integer(i64::from(u16::from_be_bytes(take(bytes)?))),
        0xce => Item::Integer(i64::from(u32::from_be_bytes(take(bytes)?))),
        0xcf | 0xd3 => Item::Integer(i64::from_be_bytes(take(bytes)?)),
        0xd0 => Item::Integer(i64::from(i8::from_be_bytes(take(bytes)?))),
        0xd1 => Item::Integer(i64::from(i16::from_be_bytes(take(bytes)?))),
        0xd2 => Item::Integer(i64::from(i32::from_be_bytes(take(bytes)?))),
        _ => return Err(Malformed::Unknown),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(Malformed::Missing)?;
    *bytes = rest;
    Ok(*head)
}

fn read_string<'b>(bytes: &mut &'b [u8], len: usize) -> Result<Item<'b>, Malformed> {
    let (text, rest) = bytes.split_at_checked(len).ok_or(Malformed::Missing)?;
    *bytes = rest;
    Ok(Item::String(text))
}

/// Appends nil.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends a boolean.
pub fn write_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends a number: as an integer if it is one that 64 bits hold, as a float if that is exact, else as a double.
pub fn write_number(out: &mut Vec<u8>, value: f64) {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&value) && value.trunc() == value {
        write_integer(out, value as i64);
    } else if f64::from(value as f32) == value {
        put(out, 0xca, &(value as f32).to_be_bytes());
    } else {
        put(out, 0xcb, &value.to_be_bytes());
    }
}

/// Appends an integer in its shortest form; what is not negative is unsigned.
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    let bytes = value.to_be_bytes();
    match value {
        -32..=127 => out.push(value as u8),
        128..=0xff => put(out, 0xcc, &bytes[7..]),
        0x100..=0xffff => put(out, 0xcd, &bytes[6..]),
        0x1_0000..=0xffff_ffff => put(out, 0xce, &bytes[4..]),
        0x1_0000_0000.. => put(out, 0xcf, &bytes),
        -128..=-33 => put(out, 0xd0, &bytes[7..]),
        -32768..=-129 => put(out, 0xd1, &bytes[6..]),
        -2_147_483_648..=-32769 => put(out, 0xd2, &bytes[4..]),
        _ => put(out, 0xd3, &bytes),
    }
}

/// Appends a string; of one beyond 4 GiB, which Lua cannot have, the length is cut.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len @ 32..0x100 => put(out, 0xd9, &[len as u8]),
        len @ 0x100..0x1_0000 => put(out, 0xda, &(len as u16).to_be_bytes()),
        len => put(out, 0xdb, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text);
}

/// Appends the head of an array of `len` items.
pub fn write_array(out: &mut Vec<u8>, len: usize) {
    match len {
        0..16 => out.push(0x90 | len as u8),
        16..0x1_0000 => put(out, 0xdc, &(len as u16).to_be_bytes()),
        _ => put(out, 0xdd, &(len as u32).to_be_bytes()),
    }
}

/// Appends the head of a map of `len` entries.
pub fn write_map(out: &mut Vec<u8>, len: usize) {
    match len {
        0..16 => out.push(0x80 | len as u8),
        16..0x1_0000 => put(out, 0xde, &(len as u16).to_be_bytes()),
        _ => put(out, 0xdf, &(len as u32).to_be_bytes()),
    }
}

fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn integers_at_their_bounds() {
        let cases: [(i64, usize); 14] = [
            (127, 1),
            (128, 2),
            (255, 2),
            (256, 3),
            (65535, 3),
            (65536, 5),
            (0xffff_ffff, 5),
            (0x1_0000_0000, 9),
            (-32, 1),
            (-33, 2),
            (-129, 3),
            (-32769, 5),
            (-2147483649, 9),
            (i64::MIN, 9),
        ];
        for (value, len) in cases {
            assert_eq!(written(|out| write_integer(out, value)).len(), len, "{value}");
        }
    }

    #[test]
    fn doubles_are_floats_where_exact() {
        let kinds = [0.5, 0.1, f64::NAN, f64::INFINITY, 1e300, 9.3e18, -0.0]
            .map(|value| written(|out| write_number(out, value))[0]);
        assert_eq!(kinds, [0xca, 0xcb, 0xcb, 0xca, 0xcb, 0xcb, 0]);
    }

    proptest! {
        #[test]
        fn numbers_come_back(bits in any::<u64>(), whole in any::<i64>(), shift in 0u32..64) {
            let value = f64::from_bits(bits);
            let bytes = written(|out| write_number(out, value));
            match read(&mut &bytes[..]) {
                Ok(Item::Double(again)) => prop_assert!(again == value || value.is_nan()),
                Ok(Item::Integer(again)) => prop_assert_eq!(again as f64, value),
                other => prop_assert!(false, "{other:?}"),
            }
            let bytes = written(|out| write_integer(out, whole >> shift));
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Ok(Item::Integer(whole >> shift)));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn sizes_come_back(len in 0usize..=u32::MAX as usize, small in 0usize..70_000) {
            for len in [len, small] {
                let bytes = written(|out| write_array(out, len));
                prop_assert_eq!(read(&mut &bytes[..]), Ok(Item::Array(len)));
                let bytes = written(|out| write_map(out, len));
                prop_assert_eq!(read(&mut &bytes[..]), Ok(Item::Map(len)));
            }
            let text = vec![7u8; small];
            let bytes = written(|out| write_string(out, &text));
            prop_assert_eq!(read(&mut &bytes[..]), Ok(Item::String(&text[..])));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut rest = &bytes[..];
            while let Ok(item) = read(&mut rest) {
                if let Item::String(text) = item {
                    prop_assert!(text.len() <= bytes.len());
                }
            }
            prop_assert!(rest.len() <= bytes.len());
        }
    }
}
