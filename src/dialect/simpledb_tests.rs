//! The session of the specification, every type, every cut, and the same data seen through the RESP door.
use std::cell::Cell;

use proptest::prelude::*;

use crate::dialect::tests_support::{Door, answers_survive_cuts};
use crate::dialect::{Dialect, Split, Splitter};
use crate::types::document::{DEPTH_MAX, ELEMENTS_MAX, Nested};

thread_local! {
    /// Units of a slice, where whatever can be a job is to be one.
    static UNITS: Cell<Option<u64>> = const { Cell::new(None) };
}

fn door() -> Door {
    let mut door = Door::new(Dialect::Simpledb);
    if let Some(units) = UNITS.get() {
        door.force(units);
    }
    door
}

/// Not one answer above may be another where requests run in slices.
#[test]
fn all_of_this_holds_in_slices() {
    for units in [1, 3, 1000] {
        UNITS.set(Some(units));
        the_session_of_the_specification();
        commands_answer_values();
        info_is_a_dictionary_and_quit_closes();
        a_dictionary_is_pairs_for_mset();
        scalars_keep_their_type_and_are_strings_elsewhere();
        nested_values_on_the_resp_door();
        big_values_survive();
    }
    // A million elements: not one by one.
    depth_and_elements_are_limited();
}

fn any_key() -> impl Strategy<Value = Nested> {
    prop_oneof![
        8 => proptest::sample::select(vec!["a", "b", "c"]).prop_map(bytes),
        2 => Just(Nested::Int(7)),
        1 => Just(Nested::Null),
        1 => Just(list(&[bytes("a"), list(&[]), Nested::Int(1)])),
    ]
}

/// Requests of every command that can be a job; many of them are wrong in one way or in several.
fn any_long_request() -> impl Strategy<Value = Vec<u8>> {
    let names =
        vec!["MGET", "mset", "MSET", "MDELETE", "MPOP", "SET", "GET", "DELETE", "POP", "GETSET"];
    let pair = || (any_key(), crate::types::document::any_nested());
    let flat = |pairs: Vec<(Nested, Nested)>| pairs.into_iter().flat_map(|(k, v)| [k, v]).collect();
    let args = prop_oneof![
        proptest::collection::vec(any_key(), 0..5),
        proptest::collection::vec(pair(), 0..4).prop_map(flat),
        proptest::collection::vec(pair(), 0..4).prop_map(|pairs| vec![Nested::Dict(pairs)]),
    ];
    let damage = prop_oneof![9 => Just(None), 1 => any::<proptest::sample::Index>().prop_map(Some)];
    (proptest::sample::select(names), args, damage).prop_map(|(name, args, damage)| {
        let mut frame = request(name, &args);
        if let Some(at) = damage {
            let at = at.index(frame.len());
            frame[at] ^= 1;
        }
        frame
    })
}

/// A huge nested value is printed in slices, whoever asks for it, and a short one at once.
#[test]
fn a_huge_value_is_printed_in_slices() {
    let huge = || Nested::Array((0..20_000).map(Nested::Int).collect());
    let small = || Nested::Array((0..100).map(Nested::Int).collect());
    let mut door = Door::new(Dialect::Simpledb);
    let set = |door: &mut Door, key: &str, value: Nested| {
        assert_eq!(door.send(&request("SET", &[bytes(key), value])), b":1\r\n");
    };
    set(&mut door, "small", small());
    ["huge", "again", "last"].iter().for_each(|key| set(&mut door, key, huge()));
    let [of_small, of_huge] =
        ["small", "huge"].map(|key| door.send(&request("GET", &[bytes(key)])));
    assert_eq!(door.slices, 0, "in process nobody waits");
    door.move_out();
    assert_eq!(door.send(&request("GET", &[bytes("small")])), of_small);
    assert_eq!(door.slices, 0);
    let listed =
        |parts: &[&[u8]]| [&[format!("*{}\r\n", parts.len()).as_bytes()], parts].concat().concat();
    let huge_key = || bytes("huge");
    for (name, args, answer) in [
        ("GET", vec![huge_key()], of_huge.clone()),
        ("MGET", vec![bytes("small"), huge_key()], listed(&[&of_small, &of_huge])),
        ("GETSET", vec![huge_key(), bytes("x")], of_huge.clone()),
        ("GET", vec![huge_key()], b"$1\r\nx\r\n".to_vec()),
        ("POP", vec![bytes("again")], of_huge.clone()),
        ("POP", vec![bytes("again")], b"$-1\r\n".to_vec()),
        ("MPOP", vec![bytes("last"), bytes("small")], listed(&[&of_huge, &of_small])),
        ("EXISTS", vec![bytes("small")], b":0\r\n".to_vec()),
    ] {
        let before = door.slices;
        let frame = request(name, &args);
        assert!(door.send(&frame) == answer, "{}", text(&frame));
        let (slices, is_huge) = (door.slices - before, answer.len() >= of_huge.len());
        // 20,001 tokens, 256 in each.
        assert!(if is_huge { slices > 78 } else { slices == 0 }, "{slices} for {}", text(&frame));
    }
}

/// Of several errors in one request the same one is told in slices.
#[test]
fn slices_tell_the_same_error() {
    let deep = (0..DEPTH_MAX + 1).fold(Nested::Null, |inner, _| list(&[inner]));
    let (key, null) = (bytes("a"), Nested::Null);
    let nested = list(&[bytes("a")]);
    for (name, args) in [
        ("SET", vec![null.clone(), deep.clone()]),
        ("SET", vec![nested.clone(), deep.clone()]),
        ("MSET", vec![null.clone(), deep.clone()]),
        ("MSET", vec![key.clone(), deep.clone(), null.clone(), key.clone()]),
        ("MSET", vec![key.clone(), deep.clone(), null.clone()]),
        ("MSET", vec![Nested::Dict(vec![(nested, key.clone()), (key.clone(), deep)])]),
        ("MGET", vec![key, null]),
    ] {
        let [mut whole, mut sliced] = [(); 2].map(|()| Door::new(Dialect::Simpledb));
        sliced.force(1);
        let frame = request(name, &args);
        let answer = text(&whole.send(&frame));
        assert!(answer.starts_with('-'), "{answer}");
        assert_eq!(text(&sliced.send(&frame)), answer, "{}", text(&frame));
        assert_eq!(sliced.send(b"LEN\r\n"), b":0\r\n");
    }
}

proptest! {
    /// A request in slices answers and does what it does at once.
    #[test]
    fn slices_change_no_answer(
        requests in proptest::collection::vec(any_long_request(), 1..8),
        units in 1u64..5,
    ) {
        let [mut whole, mut sliced] = [(); 2].map(|()| Door::new(Dialect::Simpledb));
        sliced.force(units);
        for frame in requests.iter() {
            whole.session.closes_after_reply = false;
            sliced.session.closes_after_reply = false;
            prop_assert_eq!(text(&sliced.send(frame)), text(&whole.send(frame)), "{}", text(frame));
            for key in ["a", "b", "c", "7"] {
                let get = format!("GET {key}\r\n");
                let (one, other) = (sliced.send(get.as_bytes()), whole.send(get.as_bytes()));
                prop_assert_eq!(text(&one), text(&other), "{} after {}", key, text(frame));
            }
        }
        let [one, other] = [&whole, &sliced].map(|door| door.engine.shared.stats.dirty);
        prop_assert_eq!(one, other);
    }
}

/// A value as a client writes it, written apart from `wire`.
fn wire(value: &Nested) -> Vec<u8> {
    let string = |kind: char, bytes: &[u8]| {
        let mut out = format!("{kind}{}\r\n", bytes.len()).into_bytes();
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
        out
    };
    let line = |kind: char, text: &[u8]| [&[kind as u8], text, b"\r\n"].concat();
    let many = |kind: char, count: usize, values: Vec<&Nested>| {
        let mut out = format!("{kind}{count}\r\n").into_bytes();
        values.into_iter().for_each(|value| out.extend(wire(value)));
        out
    };
    match value {
        Nested::Null => b"$-1\r\n".to_vec(),
        Nested::Simple(text) => line('+', text),
        Nested::Bytes(bytes) => string('$', bytes),
        Nested::Text(text) => string('^', text.as_bytes()),
        Nested::Json(text) => string('@', text.as_bytes()),
        Nested::Int(number) => line(':', number.to_string().as_bytes()),
        Nested::Number(text) => line(':', text.as_bytes()),
        Nested::Array(values) => many('*', values.len(), values.iter().collect()),
        Nested::Set(values) => many('&', values.len(), values.iter().collect()),
        Nested::Dict(pairs) => {
            many('%', pairs.len(), pairs.iter().flat_map(|(key, value)| [key, value]).collect())
        }
    }
}

fn bytes(text: &str) -> Nested {
    Nested::Bytes(text.as_bytes().to_vec())
}

/// A request as the client of the specification encodes it.
fn request(name: &str, args: &[Nested]) -> Vec<u8> {
    let all = std::iter::once(bytes(name)).chain(args.iter().cloned()).collect();
    wire(&Nested::Array(all))
}

fn text(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).into_owned()
}

/// Sends lines of words and compares each answer.
fn session(door: &mut Door, steps: &[(&str, &str)]) {
    for (line, expected) in steps {
        assert_eq!(text(&door.send(format!("{line}\r\n").as_bytes())), *expected, "{line}");
    }
}

fn list(values: &[Nested]) -> Nested {
    Nested::Array(values.to_vec())
}

fn nested_example() -> Nested {
    let inner = Nested::Dict(vec![
        (bytes("vy"), Nested::Int(0)),
        (bytes("vz"), list(&[Nested::Int(1), Nested::Int(2), Nested::Int(3)])),
    ]);
    Nested::Dict(vec![(bytes("vx"), inner)])
}

#[test]
fn the_session_of_the_specification() {
    let mut door = door();
    let mut ask = |name: &str, args: &[Nested]| door.send(&request(name, args));
    let number = |number: i64| wire(&Nested::Int(number));
    let k2 = list(&[bytes("v2-0"), Nested::Int(1), bytes("v2-2")]);
    let pairs = [bytes("k1"), bytes("v1"), bytes("k2"), k2.clone(), bytes("k3"), bytes("v3")];
    assert_eq!(ask("MSET", &pairs), number(3));
    assert_eq!(ask("GET", &[bytes("k2")]), wire(&k2));
    let both = list(&[bytes("v3"), bytes("v1")]);
    assert_eq!(ask("MGET", &[bytes("k3"), bytes("k1")]), wire(&both));
    assert_eq!(ask("DELETE", &[bytes("k1")]), number(1));
    assert_eq!(ask("GET", &[bytes("k1")]), wire(&Nested::Null));
    assert_eq!(ask("DELETE", &[bytes("k1")]), number(0));
    assert_eq!(ask("SET", &[bytes("kx"), nested_example()]), number(1));
    assert_eq!(ask("GET", &[bytes("kx")]), wire(&nested_example()));
    assert_eq!(ask("FLUSH", &[]), number(3));
    assert_eq!(text(&ask("nosuch", &[])), "-Unrecognized command: NOSUCH\r\n");
    assert_eq!(text(&door.send(b"*0\r\n")), "-Missing command\r\n");
    assert_eq!(text(&door.send(b"\x01GET\r\n")), "-bad request\r\n");
}

#[test]
fn commands_answer_values() {
    session(
        &mut door(),
        &[
            ("SET k v", ":1\r\n"),
            ("get k", "$1\r\nv\r\n"),
            ("EXISTS k", ":1\r\n"),
            ("EXISTS j", ":0\r\n"),
            ("APPEND k w", "$2\r\nvw\r\n"),
            ("APPEND j w", "$1\r\nw\r\n"),
            ("MSET a 1 b 2", ":2\r\n"),
            ("MGET a none b", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"),
            ("MSET a 1 b", "-Wrong number of arguments for MSET\r\n"),
            ("INCR n", ":1\r\n"),
            ("INCRBY n 41", ":42\r\n"),
            ("DECR n", ":41\r\n"),
            ("DECRBY n 40", ":1\r\n"),
            ("INCRBY n 0.5", ":1.5\r\n"),
            ("GET n", ":1.5\r\n"),
            ("INCR k", "-ERR value is not a number\r\n"),
            ("INCRBY n x", "-ERR value is not a number\r\n"),
            ("APPEND n x", "-Incompatible data-types\r\n"),
            ("SET n 9223372036854775807", ":1\r\n"),
            ("INCR n", "-ERR increment or decrement would overflow\r\n"),
            ("DECRBY z -9223372036854775808", "-ERR increment or decrement would overflow\r\n"),
            ("GETSET k new", "$2\r\nvw\r\n"),
            ("GETSET fresh new", "$-1\r\n"),
            ("SETNX k x", ":0\r\n"),
            ("SETNX l x", ":1\r\n"),
            ("SETEX e v 100", ":1\r\n"),
            ("SETEX e v 0", "-ERR invalid expire time in 'setex' command\r\n"),
            ("EXPIRE k 100", ":1\r\n"),
            ("EXPIRE none 100", ":0\r\n"),
            ("EXPIRE k 0", ":1\r\n"),
            ("EXISTS k", ":0\r\n"),
            ("POP l", "$1\r\nx\r\n"),
            ("POP l", "$-1\r\n"),
            ("MPOP a b a", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n"),
            ("MDELETE e n none", ":2\r\n"),
            ("LEN", ":2\r\n"),
            ("FLUSH", ":2\r\n"),
            ("SET k v w", "-Wrong number of arguments for SET\r\n"),
            ("LPUSH k v", "-Unrecognized command: LPUSH\r\n"),
            ("   ", "-Missing command\r\n"),
            ("FLUSHALL", ":1\r\n"),
        ],
    );
}

#[test]
fn info_is_a_dictionary_and_quit_closes() {
    let mut door = door();
    let info = text(&door.send(b"INFO\r\n"));
    assert!(info.starts_with("%6\r\n$18\r\nactive_connections\r\n:"), "{info}");
    let timestamp = info.split("timestamp\r\n:").nth(1).unwrap();
    assert!(timestamp.contains('.'), "{info}");
    assert_eq!(text(&door.send(b"QUIT\r\nGET k\r\n")), ":1\r\n");
    assert!(door.session.closes_after_reply);
}

#[test]
fn a_dictionary_is_pairs_for_mset() {
    let mut door = door();
    let pairs = Nested::Dict(vec![(bytes("a"), nested_example()), (Nested::Int(7), bytes("x"))]);
    assert_eq!(text(&door.send(&request("MSET", &[pairs]))), ":2\r\n");
    assert_eq!(door.send(&request("GET", &[bytes("a")])), wire(&nested_example()));
    assert_eq!(text(&door.send(b"GET 7\r\n")), "$1\r\nx\r\n");
    let odd = request("MSET", &[bytes("a")]);
    assert_eq!(text(&door.send(&odd)), "-Wrong number of arguments for MSET\r\n");
    // Nothing is set where one of the pairs is wrong.
    let key = Nested::Array(vec![]);
    let wrong = request("MSET", &[bytes("b"), bytes("x"), key, bytes("x")]);
    assert_eq!(text(&door.send(&wrong)), "-ERR key must be a string or a number\r\n");
    assert_eq!(text(&door.send(b"EXISTS b\r\n")), ":0\r\n");
}

/// What has a type keeps it, and is a string for Redis clients.
#[test]
fn scalars_keep_their_type_and_are_strings_elsewhere() {
    let mut door = door();
    let long = "é".repeat(20_000);
    let scalars = [
        (bytes("12"), "12"),
        (Nested::Int(-5), "-5"),
        (Nested::Number("1.5".into()), "1.5"),
        (Nested::Number("00012345678901234567890123".into()), "00012345678901234567890123"),
        (Nested::Text("12".into()), "12"),
        (Nested::Text("hé".into()), "hé"),
        (Nested::Text(long.clone()), &long),
        (Nested::Json("{}".into()), "{}"),
        (Nested::Simple(b"a b".to_vec()), "a b"),
        (Nested::Simple(b"12".to_vec()), "12"),
    ];
    for (value, plain) in scalars {
        assert_eq!(text(&door.send(&request("SET", &[bytes("k"), value.clone()]))), ":1\r\n");
        assert_eq!(door.send(&request("GET", &[bytes("k")])), wire(&value));
        let expected = format!("${}\r\n{plain}\r\n", plain.len());
        assert_eq!(text(&door.resp(&["GET", "k"])), expected);
        assert_eq!(text(&door.resp(&["TYPE", "k"])), "+string\r\n");
        for copy in [["COPY", "k", "c"], ["RENAME", "c", "r"], ["PEXPIRE", "r", "100000"]] {
            assert!(!text(&door.resp(&copy)).starts_with('-'));
        }
        assert_eq!(door.send(&request("GET", &[bytes("r")])), wire(&value));
        // An edit by a command that knows bytes only makes bytes of it.
        door.resp(&["APPEND", "r", ""]);
        assert_eq!(door.resp(&["GET", "r"]), door.send(&request("GET", &[bytes("r")])));
        door.resp(&["DEL", "r"]);
    }
    door.resp(&["SET", "k", "5"]);
    assert_eq!(text(&door.send(b"GET k\r\n")), "$1\r\n5\r\n");
    assert_eq!(text(&door.resp(&["OBJECT", "ENCODING", "k"])), "$3\r\nint\r\n");
    door.send(&request("SET", &[bytes("k"), Nested::Text("abc".into())]));
    assert_eq!(text(&door.resp(&["OBJECT", "ENCODING", "k"])), "$6\r\nembstr\r\n");
    let appended = door.send(&request("APPEND", &[bytes("k"), Nested::Text("d".into())]));
    assert_eq!(text(&appended), "^4\r\nabcd\r\n");
    assert_eq!(
        text(&door.send(&request("APPEND", &[bytes("k"), Nested::Bytes(vec![255])]))),
        "-Incompatible data-types\r\n"
    );
}

#[test]
fn nested_values_on_the_resp_door() {
    let mut door = door();
    let value = Nested::Dict(vec![
        (bytes("a"), list(&[Nested::Int(1), Nested::Number("1.5".into()), Nested::Null])),
        (Nested::Text("s".into()), Nested::Set(vec![Nested::Json("{}".into())])),
        (Nested::Simple(b"big".to_vec()), Nested::Number("123456789012345678901".into())),
    ]);
    door.send(&request("SET", &[bytes("k"), value.clone()]));
    assert_eq!(text(&door.resp(&["TYPE", "k"])), "+document\r\n");
    assert_eq!(text(&door.resp(&["OBJECT", "ENCODING", "k"])), "$6\r\nnested\r\n");
    assert_eq!(
        text(&door.resp(&["GET", "k"])),
        "*6\r\n$1\r\na\r\n*3\r\n:1\r\n$3\r\n1.5\r\n$-1\r\n$1\r\ns\r\n*1\r\n$2\r\n{}\r\n\
         $3\r\nbig\r\n$21\r\n123456789012345678901\r\n"
    );
    assert_eq!(
        text(&door.resp3(&["GET", "k"])),
        "%3\r\n$1\r\na\r\n*3\r\n:1\r\n,1.5\r\n_\r\n$1\r\ns\r\n~1\r\n$2\r\n{}\r\n\
         $3\r\nbig\r\n(123456789012345678901\r\n"
    );
    for words in [
        &["APPEND", "k", "x"][..],
        &["STRLEN", "k"],
        &["INCR", "k"],
        &["GETEX", "k"],
        &["GETDEL", "k"],
        &["GETRANGE", "k", "0", "1"],
        &["SETRANGE", "k", "0", "x"],
    ] {
        let reply = text(&door.resp(words));
        assert!(reply.starts_with("-WRONGTYPE "), "{words:?}: {reply}");
    }
    for line in ["INCR k", "APPEND k x"] {
        assert!(door.send(format!("{line}\r\n").as_bytes()).starts_with(b"-"), "{line}");
    }
    assert_eq!(text(&door.resp(&["MGET", "k"])), "*1\r\n$-1\r\n");
    assert!(text(&door.resp(&["MEMORY", "USAGE", "k"])).starts_with(':'));
    assert_eq!(text(&door.resp(&["SET", "k", "v"])), "+OK\r\n");
    assert_eq!(text(&door.send(b"GET k\r\n")), "$1\r\nv\r\n");
}

/// DUMP's payload, as an argument of RESTORE.
fn dumped(door: &mut Door, key: &str) -> Vec<u8> {
    let reply = door.resp(&["DUMP", key]);
    let start = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    reply[start..reply.len() - 2].to_vec()
}

fn survives(door: &mut Door, value: &Nested) {
    let key = bytes("k");
    assert_eq!(text(&door.send(&request("SET", &[key.clone(), value.clone()]))), ":1\r\n");
    let sent = wire(value);
    let payload = dumped(door, "k");
    assert_eq!(door.resp_bytes(&[b"RESTORE", b"r", b"0", &payload, b"REPLACE"]), b"+OK\r\n");
    for words in [
        &["EXPIRE", "k", "100"][..],
        &["COPY", "k", "c", "REPLACE"],
        &["RENAME", "c", "n"],
        &["MOVE", "n", "1"],
        &["SWAPDB", "0", "1"],
        &["COPY", "n", "n2", "DB", "1", "REPLACE"],
        &["SWAPDB", "0", "1"],
        &["RENAME", "n2", "n"],
    ] {
        let reply = text(&door.resp(words));
        assert!(matches!(&*reply, ":1\r\n" | "+OK\r\n"), "{words:?}: {reply}");
    }
    for key in ["k", "r", "n"] {
        assert_eq!(door.send(&request("GET", &[bytes(key)])), sent, "{key} of {value:?}");
    }
    assert_eq!(door.resp(&["TTL", "n"]), b":100\r\n");
    let same = door.resp(&["DEBUG", "DIGEST-VALUE", "k", "n"]);
    let digests: Vec<_> = text(&same).lines().skip(1).map(str::to_owned).collect();
    assert_eq!((digests.len(), &digests[0]), (2, &digests[1]), "{}", text(&same));
    assert!(door.resp(&["DEBUG", "OBJECT", "k"]).starts_with(b"+Value at:"));
    assert_eq!(text(&door.send(b"FLUSHALL\r\n")), ":1\r\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn values_survive(value in crate::types::document::any_nested()) {
        let mut door = door();
        door.resp(&["CONFIG", "SET", "rdbcompression", "yes"]);
        survives(&mut door, &value);
        survives(&mut door, &Nested::Array(vec![value]));
    }

    #[test]
    fn any_bytes_are_answered_or_refused(stream in prop::collection::vec(
        prop_oneof![
            Just(b"\r\n".to_vec()),
            prop::sample::select(&b"*%&$^@:+-123 SGET"[..]).prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| vec![byte]),
            Just(b"*2\r\n$3\r\nGET\r\n".to_vec()),
            Just(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n".to_vec()),
        ], 0..30)
    ) {
        let stream = stream.concat();
        let whole = door().send(&stream);
        let halves = stream.split_at(stream.len() / 2);
        prop_assert_eq!(door().send_pieces(&[halves.0, halves.1]), whole);
    }
}

#[test]
fn big_values_survive() {
    let mut door = door();
    let big = Nested::Array(vec![Nested::Bytes(vec![7; 300_000]), nested_example()]);
    survives(&mut door, &big);
    let many = Nested::Array((0..2000).map(Nested::Int).collect());
    survives(&mut door, &many);
}

#[test]
fn hostile_payloads_are_refused() {
    use crate::persist::rdb_format::{Compression, value_type, write_footer, write_string};
    let mut door = door();
    let deep = [b'*', 1].repeat(DEPTH_MAX + 1);
    for value in [&b""[..], b"*\x01", b"?", b"*\xff\xff\xff\x7f", b"_ _", &deep] {
        let mut payload = vec![value_type::DOCUMENT];
        write_string(&mut payload, value, Compression::Lzf);
        write_footer(&mut payload);
        let reply = door.resp_bytes(&[b"RESTORE", b"k", b"0", &payload]);
        assert_eq!(text(&reply), "-ERR Bad data format\r\n", "{value:?}");
    }
    // A string that says it is a number and is none.
    let mut payload = vec![value_type::STRING];
    write_string(&mut payload, b"abc", Compression::Off);
    payload.push(b':');
    write_footer(&mut payload);
    let reply = door.resp_bytes(&[b"RESTORE", b"k", b"0", &payload]);
    assert_eq!(text(&reply), "-ERR Bad data format\r\n");
}

#[test]
fn requests_survive_every_cut() {
    let stream = [
        request("MSET", &[bytes("a"), nested_example(), bytes("b"), Nested::Text("é".into())]),
        b"GET a\r\nget b\n+GET a\r\n$5\r\nGET b\r\n*0\r\nnosuch \x7f\r\n".to_vec(),
        request("SET", &[Nested::Int(1), Nested::Set(vec![Nested::Null, Nested::float(0.5)])]),
        request("SET", &[bytes("e"), list(&[])]),
        request("MGET", &[Nested::Int(1), bytes("e")]),
        request("SET", &[bytes("x"), Nested::Simple(vec![])]),
        b"*2\r\n$3\r\nGET\r\n-oops\r\n%1\r\n:1\r\n:2\r\n*2\r\n*0\r\n:1\r\n*1\r\n:x\r\n".to_vec(),
        b"*1\r\n?\r\nGET a\r\n".to_vec(),
    ]
    .concat();
    answers_survive_cuts(Dialect::Simpledb, &stream);
    let answers = text(&door().send(&stream));
    assert!(
        answers.ends_with(
            "-bad request\r\n-Request must be list or simple string.\r\n\
         -First parameter must be command name.\r\n-bad request\r\n-bad request\r\n"
        ),
        "{answers}"
    );
}

#[test]
fn what_cannot_be_a_request_closes() {
    for (stream, answer) in [
        (&b"\xffGET\r\n"[..], "-bad request\r\n"),
        (b"\r\n", "-bad request\r\n"),
        (b"*x\r\n", "-bad request\r\n"),
        (b"*-1\r\n", "-bad request\r\n"),
        (b"$-2\r\n", "-bad request\r\n"),
        (b"^-1\r\n", "-bad request\r\n"),
        (b"*1\r\n$3\r\nGETxx", "-bad request\r\n"),
        (b"*99999999\r\n", "-request is too big\r\n"),
        (b"%9223372036854775807\r\n", "-request is too big\r\n"),
        (b"*1000000\r\n", "-request is too big\r\n"),
        (b"$1048577\r\n", "-request is too big\r\n"),
        (b"$9223372036854775807\r\n", "-request is too big\r\n"),
        (b"*2\r\n$3\r\nSET\r\n$1048570\r\n", "-request is too big\r\n"),
    ] {
        assert_eq!(text(&door().send(stream)), answer, "{}", text(stream));
    }
    let line = |length: usize| [&vec![b'a'; length][..], b"\r\n"].concat();
    answers_survive_cuts(Dialect::Simpledb, b"+\n:1\n");
    for (length, answer) in [(65_536, "-Unrec"), (65_537, "-request is too big\r\n")] {
        let line = line(length);
        assert!(text(&door().send(&line)).starts_with(answer), "{length}");
        for cut in [length - 1, length, length + 1] {
            let pieces = line.split_at(cut);
            let answers = text(&door().send_pieces(&[pieces.0, pieces.1]));
            assert!(answers.starts_with(answer), "{length} cut at {cut}");
        }
    }
    assert_eq!(text(&door().send(&[b'a'; 70_000])), "-request is too big\r\n");
    // A string that just fits, and one that just does not.
    let set = |length: usize| {
        [format!("*2\r\n$3\r\nGET\r\n${length}\r\n").as_bytes(), &vec![b'k'; length], b"\r\n"]
            .concat()
    };
    let overhead = set(1 << 20).len() - (1 << 20);
    assert_eq!(text(&door().send(&set((1 << 20) - overhead))), "$-1\r\n");
    assert_eq!(text(&door().send(&set((1 << 20) - overhead + 1))), "-request is too big\r\n");
}

#[test]
fn depth_and_elements_are_limited() {
    let mut door = door();
    let nested = |levels: usize| {
        let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n".to_vec();
        request.extend(b"*1\r\n".repeat(levels));
        request.extend(b":1\r\n");
        request
    };
    assert_eq!(text(&door.send(&nested(DEPTH_MAX))), ":1\r\n");
    assert_eq!(text(&door.send(&nested(DEPTH_MAX + 1))), "-ERR value is nested too deep\r\n");
    assert_eq!(text(&door.send(&nested(200_000))), "-ERR value is nested too deep\r\n");
    let limits = crate::dialect::FrameLimits { frame_bytes_max: 1 << 30 };
    let announced = |count: usize| {
        let head = format!("*{count}\r\n");
        Splitter::new(Dialect::Simpledb).split(head.as_bytes(), &limits)
    };
    let frame_max = crate::proto::limits::ELEMENTS_MAX;
    assert_eq!(announced(frame_max - 1), Split::Incomplete);
    assert_eq!(announced(frame_max), Split::Fatal(b"-request is too big\r\n".to_vec()));
    let mut splitter = Splitter::new(Dialect::Simpledb);
    let count = ELEMENTS_MAX;
    let mut many = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n*{count}\r\n").into_bytes();
    many.extend(b":1\r\n".repeat(count as usize));
    assert_eq!(splitter.split(&many, &limits), Split::Frame(many.len()));
    let mut out = crate::proto::reply::Output::default();
    door.run(&many, &mut out);
    assert_eq!(text(&out.to_bytes()), "-ERR value has too many elements\r\n");
}

#[test]
fn values_of_other_types_are_an_error() {
    // There is no other type in the keyspace yet; a command that would find one says WRONGTYPE.
    let message = crate::engine::error::CmdError::WrongType.message().into_owned();
    let mut out = crate::proto::reply::Output::default();
    super::error(&message, &mut out);
    assert!(out.to_bytes().starts_with(b"-WRONGTYPE "));
}

#[test]
fn only_what_writes_may_write() {
    for (line, may_write) in [
        ("GET k\r\n", false),
        ("set k v\r\n", true),
        ("INFO\r\n", false),
        ("*1\r\n$5\r\nFLUSH\r\n", true),
        ("*0\r\n", false),
        ("nosuch\r\n", false),
    ] {
        assert_eq!(super::may_write(line.as_bytes()), may_write, "{line}");
    }
}
