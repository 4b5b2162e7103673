//! Tests of `cmsgpack`: round trips, texts of errors, limits. What Redis answers was compared by a generator.
use proptest::prelude::*;

use super::*;

fn lua() -> Lua {
    let lua = Lua::new();
    lua.globals().set("cmsgpack", register(&lua).unwrap()).unwrap();
    lua
}

/// The error of a script, less what mlua adds to it.
fn error(code: &str) -> String {
    let text = match lua().load(code).set_name("@user_script").exec().unwrap_err() {
        mlua::Error::CallbackError { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let text = text.split("\nstack traceback").next().unwrap_or_default();
    text.trim_start_matches("runtime error: ").to_owned()
}

fn hex(code: &str) -> String {
    let code = format!(
        "return (({code}):gsub('.', function(c) return string.format('%02x', c:byte()) end))"
    );
    lua().load(code).eval().unwrap()
}

#[test]
fn values_are_packed() {
    let cases = [
        ("cmsgpack.pack({1, 2, 3})", "93010203"),
        ("cmsgpack.pack({})", "90"),
        ("cmsgpack.pack({a = 1})", "81a16101"),
        ("cmsgpack.pack({[1] = 1, [3] = 1})", "8201010301"),
        ("cmsgpack.pack(1, 'a', nil, true, 0.5)", "01a161c0c3ca3f000000"),
        ("cmsgpack.pack(print)", "c0"),
    ];
    for (code, bytes) in cases {
        assert_eq!(hex(code), bytes, "{code}");
    }
}

#[test]
fn nesting_is_cut() {
    let code = "local t = {} t[1] = t return cmsgpack.pack(t)";
    let lua = lua();
    let packed: mlua::LuaString = lua.load(code).eval().unwrap();
    assert_eq!(*packed.as_bytes(), [&[0x91; 16][..], &[0xc0]].concat());
}

#[test]
fn errors_have_their_place_and_words() {
    let cases = [
        ("cmsgpack.pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)"),
        ("cmsgpack.unpack('\\193')", "Bad data format in input."),
        ("cmsgpack.unpack('\\161')", "Missing bytes in input."),
        ("cmsgpack.unpack_one('abc', 4)", "Start offset 4 greater than input length 3."),
        (
            "cmsgpack.unpack_limit('abc', -1)",
            "Invalid request to unpack with offset of 0 and limit of 3.",
        ),
        ("cmsgpack.unpack({})", "bad argument #1 to 'unpack' (string expected, got table)"),
        (
            "cmsgpack.unpack(string.rep('\\192', 9000))",
            "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
        ),
    ];
    for (code, text) in cases {
        assert_eq!(error(code).trim_start_matches("user_script:1: "), text, "{code}");
    }
    assert!(error("cmsgpack.unpack('\\129\\192\\1')").contains("table index is nil"));
    let nested = error("cmsgpack.unpack(string.rep('\\145', 100000))");
    assert!(nested.contains("stack overflow"), "{nested}");
    assert!(!error("cmsgpack.unpack('\\221\\255\\255\\255\\255')").is_empty());
}

#[test]
fn parts_are_unpacked() {
    let code = "local at, a = cmsgpack.unpack_one('\\1\\2\\3')
        local next, b, c = cmsgpack.unpack_limit('\\1\\2\\3', 2, at)
        return at * 10000 + a * 1000 + next * 100 + b * 10 + c";
    let found: i64 = lua().load(code).eval().unwrap();
    assert_eq!(found, 10000 + 1000 - 100 + 20 + 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Bytes that can be read are read again to the same bytes after writing, from the second time on.
    #[test]
    fn packing_is_stable(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
        let lua = lua();
        lua.globals().set("bytes", lua.create_string(&bytes).unwrap()).unwrap();
        let code = "local ok, packed = pcall(function() return cmsgpack.pack((cmsgpack.unpack(bytes))) end)
            if not ok then return true end
            local again = cmsgpack.pack((cmsgpack.unpack(packed)))
            return #again == #packed";
        prop_assert!(lua.load(code).eval::<bool>().unwrap());
    }
}
