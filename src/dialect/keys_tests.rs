//! The keys of a frame as `each_key`, `first_key` and `reach` say them, against what running it changes and sees.
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::dialect::tests_support::{Door, LIMITS};
use crate::dialect::{Dialect, Reach, Split, Splitter, each_key, first_key, may_write, reach};
use crate::store::EntryRef;

const DOORS: [Dialect; 3] = [Dialect::Simpledb, Dialect::Msgpack, Dialect::Kvstore];

/// Keys that exist before each frame runs: texts, a number, a nested value, an empty one.
const KEYS: [&[u8]; 5] = [b"a", b"bb", b"7", b"nested", b""];

fn keys_of(dialect: Dialect, frame: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut found = Vec::new();
    each_key(dialect, frame, &mut |key, is_write| found.push((key.to_vec(), is_write)));
    found
}

fn simpledb(line: &str) -> Vec<(String, bool)> {
    let found = keys_of(Dialect::Simpledb, line.as_bytes());
    found.into_iter().map(|(key, is_write)| (String::from_utf8(key).unwrap(), is_write)).collect()
}

fn pairs(keys: &[&str], is_write: bool) -> Vec<(String, bool)> {
    keys.iter().map(|key| (key.to_string(), is_write)).collect()
}

#[test]
fn keys_of_simpledb_commands() {
    assert_eq!(simpledb("get a\r\n"), pairs(&["a"], false));
    assert_eq!(simpledb("EXISTS a\r\n"), pairs(&["a"], false));
    assert_eq!(simpledb("set a b\r\n"), pairs(&["a"], true));
    assert_eq!(simpledb("SETEX a b 10\r\n"), pairs(&["a"], true));
    assert_eq!(simpledb("MGET a b a\r\n"), pairs(&["a", "b", "a"], false));
    assert_eq!(simpledb("MPOP a b\r\n"), pairs(&["a", "b"], true));
    assert_eq!(simpledb("MDELETE a b c\n"), pairs(&["a", "b", "c"], true));
    assert_eq!(simpledb("MSET a 1 b 2 c 3\r\n"), pairs(&["a", "b", "c"], true));
    assert_eq!(simpledb("MSET a 1 b\r\n"), pairs(&["a", "b"], true), "refused, and has two");
    let dictionary = "*2\r\n+MSET\r\n%2\r\n$1\r\na\r\n*1\r\n:1\r\n:-5\r\n%1\r\n+x\r\n+y\r\n";
    assert_eq!(simpledb(dictionary), pairs(&["a", "-5"], true));
    assert_eq!(simpledb("*2\r\n^3\r\nGeT\r\n:12\n"), pairs(&["12"], false));
    assert_eq!(simpledb("*2\r\n+GET\r\n*0\r\n"), pairs(&[], false), "a list is no key");
    assert_eq!(simpledb("*3\r\n+MGET\r\n+a\r\n!\r\n"), pairs(&["a"], false), "as far as it goes");
    for none in ["LEN\r\n", "FLUSH\r\n", "INFO\r\n", "QUIT\r\n", "NOPE a\r\n", "*0\r\n", "", "\r\n"]
    {
        assert_eq!(simpledb(none), pairs(&[], false), "{none:?}");
    }
}

#[test]
fn frames_about_all_keys() {
    let simpledb = |line: &str| reach(Dialect::Simpledb, line.as_bytes());
    assert_eq!(simpledb("flush\r\n"), Reach::WritesAll);
    assert_eq!(simpledb("*1\r\n$8\r\nFLUSHALL\r\n"), Reach::WritesAll);
    assert_eq!(simpledb("LEN\r\n"), Reach::ReadsAll);
    assert_eq!(simpledb("INFO\r\n"), Reach::ReadsAll);
    assert_eq!(simpledb("MSET a 1\r\n"), Reach::Keys);
    assert_eq!(simpledb("QUIT\r\n"), Reach::Keys);
    assert_eq!(simpledb("FLUSHED\r\n"), Reach::Keys);
}

#[test]
fn keys_of_the_binary_dialects() {
    let key = |key: &str, is_write| vec![(key.as_bytes().to_vec(), is_write)];
    let msgpack = |object: &[u8]| keys_of(Dialect::Msgpack, &length_and(object));
    assert_eq!(msgpack(b"\x82\xa4type\xa3Get\xa3key\xa1k"), key("k", false));
    assert_eq!(msgpack(b"\x82\xa3key\xa1k\xa4type\xa3Del"), key("k", true));
    assert_eq!(msgpack(b"\x83\xa3val\xa1v\xa3key\xa1k\xa4type\xa3Put"), key("k", true));
    assert_eq!(msgpack(b"\x82\xa3key\xa1k\xa4type\xa3Nop"), vec![]);
    assert_eq!(keys_of(Dialect::Msgpack, b"\0\0"), vec![]);
    let kvstore = |frame: &[u8]| keys_of(Dialect::Kvstore, frame);
    assert_eq!(kvstore(b"\0\0\0\0\0\0\x01k"), key("k", false));
    assert_eq!(kvstore(b"\0\0\x01\0\0\0\x01k\0\0\0\x01v"), key("k", true));
    assert_eq!(kvstore(b"\0\0\x02\0\0\0\x01k"), key("k", true));
    assert_eq!(kvstore(b"\0\0\x03\0\0\0\x01k"), vec![], "a message is no key");
    assert_eq!(kvstore(b"\0\0\x00\0\0\0\x01\xff"), vec![], "refused");
    assert_eq!(kvstore(b"\0\0\x00\0\0\0\x09k"), vec![]);
}

fn length_and(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => select(&KEYS[..]).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)]
}

/// A value of simpledb as it comes: scalars that may be keys, and a nested one.
fn simpledb_value() -> impl Strategy<Value = Vec<u8>> {
    let string = |kind: u8, bytes: &[u8]| {
        let head = format!("{}{}\r\n", char::from(kind), bytes.len());
        [head.as_bytes(), bytes, b"\r\n"].concat()
    };
    prop_oneof![
        4 => (key(), select(&b"$^@"[..])).prop_map(move |(key, kind)| string(kind, &key)),
        1 => key().prop_map(|key| [b"+", &key[..], b"\r\n"].concat()),
        2 => select(&[":7\r\n", ":-3\r\n", ":1.5\r\n", "$-1\r\n", "*1\r\n+a\r\n", "&0\r\n", "+10\r\n"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn simpledb_frame() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "GET", "SET", "DELETE", "MGET", "MSET", "EXISTS", "INCR", "INCRBY", "DECR", "DECRBY",
        "APPEND", "GETSET", "SETNX", "SETEX", "POP", "MPOP", "MDELETE", "EXPIRE", "LEN", "FLUSH",
        "FLUSHALL", "INFO", "QUIT", "NOPE",
    ];
    let list = (select(NAMES), vec(simpledb_value(), 0..6)).prop_map(|(name, values)| {
        let head = format!("*{}\r\n${}\r\n{name}\r\n", values.len() + 1, name.len());
        [head.as_bytes(), &values.concat()].concat()
    });
    let dictionary = vec((simpledb_value(), simpledb_value()), 0..4).prop_map(|pairs| {
        let mut frame = format!("*2\r\n+MSET\r\n%{}\r\n", pairs.len()).into_bytes();
        pairs.into_iter().for_each(|(key, value)| frame.extend([key, value].concat()));
        frame
    });
    let line = (select(NAMES), vec(key(), 0..5)).prop_map(|(name, words)| {
        let mut line = name.as_bytes().to_vec();
        words.iter().for_each(|word| line.extend([b" ", &word[..]].concat()));
        line.extend(b"\r\n");
        line
    });
    prop_oneof![6 => list, 1 => dictionary, 2 => line]
}

fn msgpack_frame() -> impl Strategy<Value = Vec<u8>> {
    let text = |bytes: &[u8]| [&[0xa0 | bytes.len() as u8], bytes].concat();
    let kind = select(&["Get", "Put", "Del", "Nop"][..]);
    (kind, key(), key(), any::<Index>()).prop_map(move |(kind, key, value, turn)| {
        let mut fields = [(&b"type"[..], kind.as_bytes().to_vec()), (b"key", key), (b"val", value)];
        fields.rotate_left(turn.index(3));
        let mut object = vec![0x83];
        fields.iter().for_each(|(name, value)| object.extend([text(name), text(value)].concat()));
        length_and(&object)
    })
}

fn kvstore_frame() -> impl Strategy<Value = Vec<u8>> {
    (0u8..4, key(), key()).prop_map(|(number, key, value)| {
        let value = if number == 1 { length_and(&value) } else { Vec::new() };
        [&[0, 0, number][..], &length_and(&key), &value].concat()
    })
}

/// A frame that means something, often with some bytes changed.
fn any_frame() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    let frame = prop_oneof![
        3 => simpledb_frame().prop_map(|frame| (Dialect::Simpledb, frame)),
        1 => msgpack_frame().prop_map(|frame| (Dialect::Msgpack, frame)),
        1 => kvstore_frame().prop_map(|frame| (Dialect::Kvstore, frame)),
    ];
    let changes = vec((any::<Index>(), any::<u8>(), 0..3), 0..3);
    let changes = prop_oneof![2 => Just(Vec::new()), 1 => changes];
    (frame, changes).prop_map(|((dialect, mut frame), changes)| {
        for (place, byte, kind) in changes {
            let at = place.index(frame.len().max(1));
            match kind {
                0 => frame.insert(at, byte),
                1 if at < frame.len() => drop(frame.remove(at)),
                _ => frame.iter_mut().skip(at).take(1).for_each(|place| *place = byte),
            }
        }
        (dialect, frame)
    })
}

/// A door onto the keys for which `has` holds, at a time that stands still.
fn filled(dialect: Dialect, has: impl Fn(&[u8]) -> bool) -> Door {
    let mut door = Door::new(dialect);
    for key in KEYS.into_iter().filter(|key| has(key)) {
        match key {
            b"7" => door.resp_bytes(&[b"SET", key, b"41", b"EX", b"1000"]),
            b"nested" => {
                let mut other = Door::new(Dialect::Simpledb);
                other.send(b"*3\r\n+SET\r\n+nested\r\n%1\r\n+x\r\n*1\r\n:1\r\n");
                let dump = other.resp(&["DUMP", "nested"]);
                let start = dump.iter().position(|&byte| byte == b'\n').unwrap() + 1;
                door.resp_bytes(&[b"RESTORE", key, b"0", &dump[start..dump.len() - 2]])
            }
            _ => door.resp_bytes(&[b"SET", key, b"text"]),
        };
    }
    door
}

/// Everything there is: value and expiry of each key.
fn contents(door: &mut Door) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let (mut keys, mut cursor) = (Vec::new(), 0);
    loop {
        let visit = &mut |entry: EntryRef<'_>| keys.push(entry.key().to_vec());
        cursor = door.engine.dbs[0].scan(cursor, visit);
        if cursor == 0 {
            break;
        }
    }
    for key in keys {
        let dump = door.resp_bytes(&[b"DUMP", &key]);
        let expiry = door.resp_bytes(&[b"PEXPIRETIME", &key]);
        found.insert(key, [dump, expiry].concat());
    }
    found
}

const PIECES: &[&str] = &["*2\r\n", "%9\r\n", "$3\r\n", "MSET", "\r\n", ":1", "&", "-1", "\n"];

proptest! {
    /// Where a frame is whole, running it changes no key but those visited as written, and its answer depends on
    /// no key but those visited.
    #[test]
    fn the_keys_are_those_that_run_uses((dialect, bytes) in any_frame()) {
        let Split::Frame(len) = Splitter::new(dialect).split(&bytes, &LIMITS) else {
            keys_of(dialect, &bytes);
            return Ok(());
        };
        let frame = &bytes[..len];
        let (visited, reach) = (keys_of(dialect, frame), reach(dialect, frame));
        let mut door = filled(dialect, |_| true);
        let before = contents(&mut door);
        let answer = door.send(frame);
        let after = contents(&mut door);
        if before != after {
            prop_assert!(may_write(dialect, frame));
        }
        if reach != Reach::Keys {
            prop_assert!(visited.is_empty());
            prop_assert!(reach == Reach::WritesAll || before == after);
            return Ok(());
        }
        for key in before.keys().chain(after.keys()) {
            if before.get(key) != after.get(key) {
                prop_assert!(visited.contains(&(key.clone(), true)), "{:?} in {:?}", key, visited);
            }
        }
        let is_visited = |key: &[u8]| visited.iter().any(|(visited, _)| visited == key);
        prop_assert_eq!(filled(dialect, is_visited).send(frame), answer);
        // What was prefetched is what is used.
        if let Some((key, _)) = visited.first() && let Some(first) = first_key(dialect, frame) {
            prop_assert_eq!(first, &key[..]);
        }
    }

    #[test]
    fn any_bytes_are_looked_at_without_panic(bytes in vec(any::<u8>(), 0..64)) {
        for dialect in DOORS {
            keys_of(dialect, &bytes);
            first_key(dialect, &bytes);
            reach(dialect, &bytes);
        }
    }

    /// The same with bytes that look more like requests.
    #[test]
    fn any_pieces_are_looked_at_without_panic(
        pieces in vec(select(PIECES), 0..12),
    ) {
        keys_of(Dialect::Simpledb, pieces.concat().as_bytes());
        first_key(Dialect::Simpledb, pieces.concat().as_bytes());
    }
}
