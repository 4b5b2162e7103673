//! What FUNCTION DUMP gives and FUNCTION RESTORE takes: the codes of libraries, as an RDB file has them.
//!
//! ```text
//!   f5 string   f5 string   …   version: u16   CRC-64
//! ```
//!
//! The same bytes as Redis 7.0 writes, which can restore them. The release candidates of 7.0 wrote opcode f6 with name
//! and engine apart from the code; that is read too.
use crate::persist::rdb_format::{Compression, Reader, Text, write_footer, write_string};

/// A library, with its name and engine in its code.
const FUNCTION_2: u8 = 245;
/// A library as the release candidates wrote it.
const FUNCTION_CANDIDATE: u8 = 246;

/// The payload of these codes. O(their length).
pub fn write<'c>(codes: impl Iterator<Item = &'c [u8]>, compression: Compression) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.push(FUNCTION_2);
        write_string(&mut payload, code, compression);
    }
    write_footer(&mut payload);
    payload
}

/// The next code; `None` after the last one. An error is what the sender is told, without a code.
///
/// DIFFERS: Redis reads a string that claims more bytes than there are on into version and checksum.
pub fn read(reader: &mut Reader<'_>) -> Option<Result<Vec<u8>, &'static str>> {
    let kind = reader.u8().ok()?;
    let mut string = |what| reader.string().map(Text::into_bytes).map_err(|_| what);
    Some(match kind {
        FUNCTION_2 => string("Failed loading library payload"),
        FUNCTION_CANDIDATE => read_candidate(reader),
        _ => Err("given type is not a function"),
    })
}

fn read_candidate(reader: &mut Reader<'_>) -> Result<Vec<u8>, &'static str> {
    let string =
        |reader: &mut Reader<'_>, what| reader.string().map(Text::into_bytes).map_err(|_| what);
    let name = string(reader, "Failed loading library name")?;
    let engine = string(reader, "Failed loading engine name")?;
    let described = reader.length().map_err(|_| "Failed loading library description indicator")?;
    if described != 0 {
        string(reader, "Failed loading library description")?;
    }
    let code = string(reader, "Failed loading library blob")?;
    Ok([b"#!", engine.as_slice(), b" name=", &name, b"\n", &code].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::rdb_format::{Checksum, check_footer};
    use proptest::prelude::*;

    #[test]
    fn candidates_are_read() {
        let body = b"\xf6\x03lib\x03LUA\x01\x04what\x06return";
        let mut reader = Reader::new(body);
        assert_eq!(read(&mut reader), Some(Ok(b"#!LUA name=lib\nreturn".to_vec())));
        assert_eq!(read(&mut reader), None);
    }

    proptest! {
        #[test]
        fn codes_come_back(codes in proptest::collection::vec("[a-c\n]{0,60}", 0..5)) {
            let each = codes.iter().map(String::as_bytes);
            let payload = write(each, Compression::Lzf);
            let mut reader = check_footer(&payload, Checksum::Compared).unwrap();
            for code in &codes {
                prop_assert_eq!(read(&mut reader), Some(Ok(code.as_bytes().to_vec())));
            }
            prop_assert_eq!(read(&mut reader), None);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader::new(&bytes);
            while let Some(Ok(_)) = read(&mut reader) {}
        }
    }
}
