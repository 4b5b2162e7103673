//! Tests of `struct`: round trips, texts of errors, limits. What Redis answers was compared by a generator.
use proptest::prelude::*;

use super::*;

fn lua() -> Lua {
    let lua = Lua::new();
    lua.globals().set("struct", register(&lua).unwrap()).unwrap();
    lua
}

fn error(code: &str) -> String {
    match lua().load(code).set_name("@user_script").exec().unwrap_err() {
        Error::CallbackError { cause, .. } => cause.to_string(),
        other => other.to_string(),
    }
}

fn bytes(code: &str) -> Vec<u8> {
    lua().load(code).eval::<mlua::LuaString>().unwrap().as_bytes().to_vec()
}

#[test]
fn values_are_packed() {
    assert_eq!(
        bytes("return struct.pack('>I2<i4B', 258, -2, 255)"),
        [1, 2, 254, 255, 255, 255, 255]
    );
    assert_eq!(bytes("return struct.pack('!4bi', 1, 2)"), [1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(bytes("return struct.pack('sc2xc0', 'ab', 'cde', 'f')"), *b"ab\0cd\0f");
    assert_eq!(
        bytes("return struct.pack('>fd', 1, -2)"),
        [0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0]
    );
}

#[test]
fn values_are_unpacked() {
    let code = "local a, b, c, at = struct.unpack('>Hsbc0', '\\1\\2ab\\0\\2xyz')
        return table.concat({a, b, c, at}, ' ')";
    assert_eq!(bytes(code), b"258 ab xy 9");
    let code = "return tostring(struct.unpack('<i3', '\\255\\255\\255'))";
    assert_eq!(bytes(code), b"-1");
}

#[test]
fn errors_have_their_place_and_words() {
    let cases = [
        ("struct.pack('i33', 1)", "integral size 33 is larger than limit of 32"),
        ("struct.pack('i99999999999', 1)", "integral size overflow"),
        ("struct.pack('!3')", "alignment 3 is not a power of 2"),
        ("struct.pack('z', 1)", "bad argument #1 to 'pack' (invalid format option 'z')"),
        ("struct.pack('c3', 'ab')", "bad argument #3 to 'pack' (string too short)"),
        ("struct.pack('i')", "bad argument #2 to 'pack' (number expected, got nil)"),
        ("struct.unpack('i', 'abc')", "bad argument #2 to 'unpack' (data string too short)"),
        (
            "struct.unpack('i', 'abcd', 0)",
            "bad argument #3 to 'unpack' (offset must be 1 or greater)",
        ),
        ("struct.unpack('i', 'abcd', -1)", "bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('c0', 'abcd')", "format 'c0' needs a previous size"),
        ("struct.unpack('s', 'abcd')", "unfinished string in data"),
        ("struct.size('is')", "bad argument #1 to 'size' (option 's' has no fixed size)"),
        (
            "struct.unpack('bc0', '\\255aaaa')",
            "bad argument #2 to 'unpack' (data string too short)",
        ),
    ];
    for (code, text) in cases {
        assert_eq!(error(code).trim_start_matches("user_script:1: "), text, "{code}");
    }
    assert!(
        error("struct.unpack(string.rep('b', 8000), string.rep('a', 8000))")
            .contains("too many results")
    );
}

proptest! {
    #[test]
    fn integers_come_back(value in any::<i64>(), size in 1usize..=8, is_big in any::<bool>()) {
        let value = value >> (64 - size * 8);
        let mut out = Vec::new();
        write_integer(&mut out, value as u64, size, is_big);
        prop_assert_eq!(out.len(), size);
        prop_assert_eq!(read_integer(&out, true, is_big), value as f64);
        let unsigned = value as u64 & (u64::MAX >> (64 - size * 8));
        prop_assert_eq!(read_integer(&out, false, is_big), unsigned as f64);
    }

    #[test]
    fn any_format_ends(text in "[<>! 0-9xbBhHlLTiIcsfdz]{0,30}") {
        let mut format = Format::new(text.as_bytes());
        let mut position = 0;
        while let Ok(Some(piece)) = format.next_piece(position) {
            prop_assert!(piece.padding < 32);
            position += piece.padding + piece.size;
            if !piece.letter.is_ascii_alphanumeric() && format.control(piece.letter).is_err() {
                break;
            }
        }
    }
}
