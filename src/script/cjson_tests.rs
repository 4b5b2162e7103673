//! Tests of `cjson`: round trips, texts of errors, limits. What Redis answers was compared by a generator of scripts.
use mlua::{Lua, Value};
use proptest::prelude::*;

use super::*;

fn lua() -> Lua {
    let lua = Lua::new();
    lua.globals().set("cjson", register(&lua).unwrap()).unwrap();
    lua
}

fn eval(code: &str) -> String {
    lua().load(code).set_name("@user_script").eval().unwrap()
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

#[test]
fn values_are_written() {
    let cases = [
        ("cjson.encode({1, 2.5, 'a/b', true, cjson.null})", r#"[1,2.5,"a\/b",true,null]"#),
        ("cjson.encode({a = {}})", r#"{"a":{}}"#),
        ("cjson.encode({[1] = 1, [3] = 3})", "[1,null,3]"),
        ("cjson.encode({[1.5] = 1})", r#"{"1.5":1}"#),
        ("cjson.encode({0.1, 1e15, -0, 12345678901234567})", "[0.1,1e+15,-0,1.2345678901235e+16]"),
        ("cjson.encode('\\127\\0\\200')", "\"\\u007f\\u0000\u{fffd}\""),
    ];
    for (code, text) in cases {
        let code = format!("return ({code}):gsub('\\200', '\u{fffd}')");
        let found: (String, i64) = lua().load(code).eval().unwrap();
        assert_eq!(found.0, text);
    }
}

#[test]
fn values_are_read() {
    let code = "local v = cjson.decode(' {\"a\": [1, {}, [], \"\\\\u0041\"], \"b\": null, \"a b\": -1e3} ')
        return table.concat({v.a[1], type(v.a[2]), #v.a[3], v.a[4], tostring(v.b == cjson.null), v['a b']}, ' ')";
    assert_eq!(eval(code), "1 table 0 A true -1000");
}

#[test]
fn errors_have_their_place_and_words() {
    let cases = [
        (
            "cjson.decode('{')",
            "user_script:1: Expected object key string but found T_END at character 2",
        ),
        (
            "cjson.decode('[1 2]')",
            "user_script:1: Expected comma or array end but found T_NUMBER at character 4",
        ),
        (
            "cjson.decode('1 x')",
            "user_script:1: Expected the end but found invalid token at character 3",
        ),
        ("cjson.decode()", "user_script:1: bad argument #1 to 'decode' (expected 1 argument)"),
        (
            "return cjson.encode(print)",
            "user_script:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode({[true] = 1})",
            "user_script:1: Cannot serialise boolean: table key must be a number or string",
        ),
        (
            "cjson.encode({1, [30] = 2})",
            "user_script:1: Cannot serialise table: excessively sparse array",
        ),
        ("cjson.encode(1/0)", "user_script:1: Cannot serialise number: must not be NaN or Inf"),
        (
            "cjson.encode_max_depth(0)",
            "user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
        ),
        (
            "cjson.encode_invalid_numbers('some')",
            "user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option 'some')",
        ),
        (
            "cjson.new(1).encode_max_depth(1, 2)",
            "user_script:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
    ];
    for (code, text) in cases {
        let found = error(code);
        assert_eq!(found.trim_start_matches("runtime error: "), text, "{code}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let deep = "local t = {} for _ = 1, 20000 do t = {t} end ";
    let found = error(&format!("{deep} cjson.encode(t)"));
    assert!(found.ends_with("Cannot serialise, excessive nesting (1001)"), "{found}");
    let found = error(&format!("{deep} cjson.encode_max_depth(100000) cjson.encode(t)"));
    assert!(found.contains("excessive nesting (7998)"), "{found}");
    let found = error("cjson.decode(string.rep('[', 20000))");
    assert!(found.ends_with("nested data structures (1001) at character 1001"), "{found}");
    let found = error("cjson.decode_max_depth(100000) cjson.decode(string.rep('[', 20000))");
    assert!(found.contains("nested data structures (7999)"), "{found}");
    assert_eq!(
        eval("return cjson.encode(cjson.decode(string.rep('[', 1000)..string.rep(']', 1000)))")
            .len(),
        2000
    );
}

#[test]
fn settings_belong_to_a_module() {
    let code = "local other = cjson.new()
        other.encode_number_precision(3)
        return other.encode(1/3) .. ' ' .. cjson.encode(1/3)";
    assert_eq!(eval(code), "0.333 0.33333333333333");
}

/// Text of JSON.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i32>().prop_map(|value| value.to_string()),
        "[a-z é𝄞]{0,6}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            ("[a-z]{1,3}", inner).prop_map(|(key, value)| format!("{{\"{key}\":{value}}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn texts_come_back(text in json()) {
        let lua = lua();
        lua.globals().set("text", text.as_str()).unwrap();
        let again: String = lua.load("return cjson.encode(cjson.decode(text))").eval().unwrap();
        prop_assert_eq!(again, text);
    }

    #[test]
    fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..50)) {
        let lua = lua();
        lua.globals().set("text", lua.create_string(&text).unwrap()).unwrap();
        let _ = lua.load("return cjson.decode(text)").eval::<Value>();
    }
}
