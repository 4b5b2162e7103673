//! The commands on keys, expiries and databases, run through the engine. Errors and their order were asked of
//! Redis 7.0.15.
use crate::base::clock::Clock;
use crate::base::crc::crc64;
use crate::base::quote::split_args;
use crate::command::execute::Request;
use crate::engine::config::Config;
use crate::engine::engine::Engine;
use crate::engine::session::{Address, Session};
use crate::proto::args::{HashHint, Span};
use crate::proto::reply::Output;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START_MS: i64 = 1_700_000_000_000;

struct Server {
    engine: Engine,
    session: Session,
}

impl Server {
    fn new() -> Server {
        let engine = Engine::new(Config::new("/".into()), Clock::manual(START_MS), Some(7));
        let mut session = Session::new(Address::InProcess, START_MS);
        session.set_authenticated(true);
        Server { engine, session }
    }

    /// Runs one command; the reply as bytes.
    fn run(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut spans = Vec::new();
        for word in words {
            spans.push(Span::new(buffer.len(), word.len()));
            buffer.extend_from_slice(word);
        }
        let request = Request {
            buffer: &buffer,
            spans: &spans,
            blocks: &[],
            command: None,
            hint: HashHint::default(),
        };
        let mut out = Output::default();
        let mut started = 0;
        self.engine.execute(&mut self.session, request, &mut out, &mut started);
        out.to_bytes()
    }

    /// Runs one line as redis-cli would split it; the reply with ` ` for line ends.
    fn line(&mut self, line: &str) -> String {
        let words = split_args(line.as_bytes()).expect("a line of words");
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let reply = String::from_utf8_lossy(&self.run(&words)).replace("\r\n", " ");
        reply.trim_end().to_owned()
    }

    fn check(&mut self, script: &[(&str, &str)]) {
        for (line, reply) in script {
            assert_eq!(self.line(line), *reply, "{line}");
        }
    }

    fn advance_ms(&mut self, by_ms: i64) {
        self.engine.shared.clock.advance_ms(by_ms);
    }

    fn dirty(&self) -> u64 {
        self.engine.shared.stats.dirty
    }

    /// One call of SCAN: the next cursor and the keys.
    fn scan(&mut self, cursor: &[u8], options: &[&[u8]]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let reply = self.run(&[&[&b"SCAN"[..], cursor], options].concat());
        let mut parts = bulks(&reply);
        (parts.remove(0), parts)
    }
}

/// The bulk strings of a reply, whatever arrays they are in.
fn bulks(mut reply: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(end) = reply.iter().position(|&byte| byte == b'\n') {
        let line = &reply[..end - 1];
        reply = &reply[end + 1..];
        if line[0] == b'$' {
            let length: usize = String::from_utf8_lossy(&line[1..]).parse().expect("a length");
            found.push(reply[..length].to_vec());
            reply = &reply[length + 2..];
        }
    }
    found
}

const SAME: &str = "-ERR source and destination objects are the same";
const NO_DB: &str = "-ERR DB index is out of range";
const NO_INT: &str = "-ERR value is not an integer or out of range";
const NO_I32: &str = "-ERR value is out of range, value must between -2147483648 and 2147483647";

#[test]
fn keys_are_renamed_moved_and_copied_with_their_expiry() {
    let mut server = Server::new();
    server.check(&[
        ("RENAME a b", "-ERR no such key"),
        ("RENAMENX a a", "-ERR no such key"),
        ("SET a 1 PX 5000", "+OK"),
        ("RENAME a a", "+OK"),
        ("RENAMENX a a", ":0"),
        ("SET b 2", "+OK"),
        ("RENAMENX a b", ":0"),
        ("RENAME a b", "+OK"),
        ("EXISTS a b b", ":2"),
        ("PTTL b", ":5000"),
        ("GET b", "$1 1"),
        ("COPY b b", SAME),
        ("COPY missing missing", SAME),
        ("COPY b c DB", "-ERR syntax error"),
        ("COPY b c DB x", NO_INT),
        ("COPY b c DB 16", NO_DB),
        ("COPY b c foo", "-ERR syntax error"),
        ("COPY missing c", ":0"),
        ("COPY b c", ":1"),
        ("COPY b c", ":0"),
        ("COPY b c replace DB 0", ":1"),
        ("PTTL c", ":5000"),
        ("COPY b b DB 1", ":1"),
        ("MOVE b 99999999999", NO_I32),
        ("MOVE b 16", NO_DB),
        ("MOVE b 0", SAME),
        ("MOVE b 1", ":0"),
        ("MOVE missing 1", ":0"),
        ("MOVE c 1", ":1"),
        ("EXISTS c", ":0"),
        ("SELECT 1", "+OK"),
        ("PTTL c", ":5000"),
        ("DBSIZE", ":2"),
    ]);
}

#[test]
fn each_change_counts_once() {
    let mut server = Server::new();
    server.check(&[("SET a 1", "+OK"), ("SET b 1", "+OK"), ("SET c 1", "+OK")]);
    for (line, changes) in [
        ("RENAME a d", 1),
        ("RENAME d d", 0),
        ("MOVE d 1", 1),
        ("COPY b e", 1),
        ("EXPIRE e 10", 1),
        ("EXPIRE e 10 NX", 0),
        ("PERSIST e", 1),
        ("PERSIST e", 0),
        ("EXPIRE e -1", 1),
        ("DEL b missing b", 1),
        ("TOUCH c", 0),
        ("SWAPDB 0 1", 1),
        ("FLUSHALL", 2),
        ("FLUSHDB", 0),
    ] {
        let before = server.dirty();
        server.line(line);
        assert_eq!(server.dirty() - before, changes, "{line}");
    }
}

#[test]
fn expiries_are_set_told_and_removed() {
    let mut server = Server::new();
    server.check(&[
        ("EXPIRE k 10 foo", "-ERR Unsupported option foo"),
        ("EXPIRE k x foo", "-ERR Unsupported option foo"),
        (
            "EXPIRE k x NX LT GT",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("EXPIRE k x GT lt", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k x XX GT", NO_INT),
        ("EXPIRE k 9223372036854776", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE k -9223372036854776", "-ERR invalid expire time in 'expire' command"),
        ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("EXPIREAT k 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
        ("PEXPIREAT k 9223372036854775807", ":0"),
        ("SET k v", "+OK"),
        ("TTL k", ":-1"),
        ("TTL missing", ":-2"),
        ("PERSIST k", ":0"),
        ("PEXPIREAT k 9223372036854775807", ":1"),
        ("EXPIRETIME k", ":9223372036854776"),
        ("PEXPIRE k 1499", ":1"),
        ("TTL k", ":1"),
        ("PEXPIRE k 1500", ":1"),
        ("TTL k", ":2"),
        ("PEXPIRETIME k", ":1700000001500"),
        ("EXPIRETIME k", ":1700000002"),
        ("PERSIST k", ":1"),
        ("PTTL k", ":-1"),
        ("PEXPIRE k 10", ":1"),
    ]);
    server.advance_ms(10);
    // The key lives through the millisecond of its expiry.
    server.check(&[("PTTL k", ":0"), ("EXISTS k", ":1")]);
    server.advance_ms(1);
    server.check(&[
        ("EXISTS k", ":0"),
        ("SET k v", "+OK"),
        ("PEXPIRE k 0", ":1"),
        ("EXISTS k", ":0"),
    ]);
}

proptest! {
    /// Against the definition: without an expiry a key lives forever.
    #[test]
    fn conditions_compare_with_the_expiry_there_is(
        current in prop::option::of(1i64..5),
        new in 1i64..5,
        words in prop::sample::subsequence(vec!["NX", "XX", "GT", "LT"], 0..=4),
    ) {
        let mut server = Server::new();
        server.line("SET k v");
        if let Some(current) = current {
            server.line(&format!("EXPIRE k {current}"));
        }
        let reply = server.line(&format!("EXPIRE k {new} {}", words.join(" ")));
        let (has, lives) = (|word| words.contains(&word), current.unwrap_or(i64::MAX));
        let is_error = (has("NX") && words.len() > 1) || (has("GT") && has("LT"));
        let is_set = (!has("NX") || current.is_none())
            && (!has("XX") || current.is_some())
            && (!has("GT") || new > lives)
            && (!has("LT") || new < lives);
        prop_assert_eq!(reply.starts_with('-'), is_error);
        let ttl = if !is_error && is_set { Some(new) } else { current };
        prop_assert_eq!(server.line("TTL k"), format!(":{}", ttl.unwrap_or(-1)));
    }
}

#[test]
fn scan_refuses_what_redis_refuses() {
    let mut server = Server::new();
    server.check(&[
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN x foo", "-ERR invalid cursor"),
        ("SCAN 0 foo", "-ERR syntax error"),
        ("SCAN 0 COUNT", "-ERR syntax error"),
        ("SCAN 0 COUNT 0", "-ERR syntax error"),
        ("SCAN 0 COUNT x foo", NO_INT),
        ("SCAN 0 MATCH", "-ERR syntax error"),
        ("SCAN \"\" TYPE list", "*2 $1 0 *0"),
        ("SET \"\" v", "+OK"),
        ("SET a v", "+OK"),
        ("SCAN 5 MATCH a", "*2 $1 0 *1 $1 a"),
        ("SCAN 0 MATCH \"\"", "*2 $1 0 *1 $0"),
        ("SCAN 0 MATCH b", "*2 $1 0 *0"),
        ("SCAN 0 MATCH a TYPE list", "*2 $1 0 *0"),
        ("SCAN 0 MATCH ? TYPE STRING", "*2 $1 0 *1 $1 a"),
        ("KEYS a", "*1 $1 a"),
        ("KEYS b", "*0"),
        ("KEYS **", "*1 $1 a"),
    ]);
    let all: BTreeSet<_> = bulks(&server.run(&[b"KEYS", b"*"])).into_iter().collect();
    assert_eq!(all, BTreeSet::from([b"".to_vec(), b"a".to_vec()]));
}

#[test]
fn scan_finds_what_stays_and_deletes_what_is_due() {
    let mut server = Server::new();
    for n in 0..3000 {
        server.line(&format!("SET stays:{n} v"));
        server.line(&format!("SET due:{n} v PX 5"));
    }
    server.advance_ms(6);
    assert_eq!(server.line("DBSIZE"), ":6000");
    let (mut cursor, mut found, mut calls) = (b"0".to_vec(), BTreeSet::new(), 0);
    loop {
        let (next, keys) = server.scan(&cursor, &[b"COUNT", b"20", b"MATCH", b"stays:*"]);
        assert!(keys.len() < 100, "{} keys at once", keys.len());
        found.extend(keys);
        // The table grows and shrinks meanwhile.
        for n in 0..40 {
            server.line(&format!("SET other:{calls}:{n} v"));
            server.line(&format!("DEL other:{}:{n}", calls - 30));
        }
        calls += 1;
        cursor = next;
        if cursor == b"0" {
            break;
        }
    }
    let stays: BTreeSet<_> = (0..3000).map(|n| format!("stays:{n}").into_bytes()).collect();
    assert!(found.is_superset(&stays));
    assert_eq!(server.line("EXISTS due:0 due:1 due:2999"), ":0");
    let keys = bulks(&server.run(&[b"KEYS", b"*"])).len();
    assert_eq!(server.line("DBSIZE"), format!(":{keys}"), "due keys are gone");
}

#[test]
fn a_sparse_table_does_not_hold_scan() {
    let mut server = Server::new();
    for n in 0..2000 {
        server.line(&format!("SET {n} v"));
    }
    let (cursor, keys) = server.scan(b"0", &[b"MATCH", b"nothing*", b"COUNT", b"1"]);
    assert_ne!(cursor, b"0");
    assert!(keys.is_empty());
}

#[test]
fn randomkey_ends_while_a_pause_keeps_dead_keys() {
    let mut server = Server::new();
    for n in 0..200 {
        server.line(&format!("SET due:{n} v PX 5"));
    }
    server.line("CLIENT PAUSE 100000 WRITE");
    server.advance_ms(6);
    assert_eq!(server.line("RANDOMKEY"), "$-1");
    server.line("CLIENT UNPAUSE");
    server.line("SET lives v");
    server.line("SET due v PX 5");
    server.line("CLIENT PAUSE 100000 WRITE");
    server.advance_ms(6);
    for _ in 0..20 {
        assert_eq!(server.line("RANDOMKEY"), "$5 lives");
    }
}

#[test]
fn randomkey_finds_the_one_that_lives() {
    let mut server = Server::new();
    for n in 0..2000 {
        server.line(&format!("SET due:{n} v PX 5"));
    }
    server.line("SET lives v");
    server.advance_ms(6);
    assert_eq!(server.line("RANDOMKEY"), "$5 lives");
    server.line("DEL lives");
    assert_eq!(server.line("RANDOMKEY"), "$-1");
    server.check(&[("SET a 1", "+OK"), ("SET b 1", "+OK")]);
    let mut drawn = BTreeMap::new();
    for _ in 0..400 {
        *drawn.entry(server.line("RANDOMKEY")).or_insert(0) += 1;
    }
    assert!(drawn.len() == 2 && drawn.values().all(|&count| count > 120), "{drawn:?}");
}

#[test]
fn databases_are_selected_swapped_and_flushed() {
    let mut server = Server::new();
    server.check(&[
        ("SELECT x", NO_INT),
        ("SELECT 99999999999", NO_I32),
        ("SELECT 16", NO_DB),
        ("SELECT -1", NO_DB),
        ("SWAPDB x y", "-ERR invalid first DB index"),
        ("SWAPDB 0 99999999999", "-ERR invalid second DB index"),
        ("SWAPDB 0 16", NO_DB),
        ("SWAPDB -1 0", NO_DB),
        ("SET a 0", "+OK"),
        ("SELECT 15", "+OK"),
        ("SWAPDB 15 0", "+OK"),
        ("GET a", "$1 0"),
        ("SWAPDB 15 15", "+OK"),
        ("SWAPDB 3 2", "+OK"),
        ("DBSIZE", ":1"),
        ("SET b 0", "+OK"),
        ("SELECT 0", "+OK"),
        ("DBSIZE", ":0"),
        ("FLUSHDB later", "-ERR syntax error"),
        ("FLUSHALL sync async", "-ERR syntax error"),
        ("FLUSHDB ASYNC", "+OK"),
        ("FLUSHALL sync", "+OK"),
        ("SELECT 15", "+OK"),
        ("DBSIZE", ":0"),
        ("EXISTS a", ":0"),
        ("SET a 1", "+OK"),
        ("KEYS *", "*1 $1 a"),
    ]);
    let graveyard = &mut server.engine.shared.graveyard;
    assert_eq!(graveyard.pending(), 2);
    while !graveyard.free_slice(10) {}
    assert_eq!((graveyard.pending(), graveyard.freed), (0, 2));
}

#[test]
fn object_tells_encodings_and_counts() {
    let mut server = Server::new();
    server.check(&[
        ("OBJECT ENCODING k", "$-1"),
        ("OBJECT FREQ k", "$-1"),
        ("SET k 9999", "+OK"),
        ("OBJECT REFCOUNT k", ":2147483647"),
        ("OBJECT ENCODING k", "$3 int"),
        ("SET k 10000", "+OK"),
        ("OBJECT REFCOUNT k", ":1"),
        ("SET k -1", "+OK"),
        ("OBJECT REFCOUNT k", ":1"),
        ("SET k text", "+OK"),
        ("OBJECT ENCODING k", "$6 embstr"),
    ]);
    server.advance_ms(7000);
    server.check(&[
        ("OBJECT IDLETIME k", ":7"),
        ("TTL k", ":-1"),
        ("EXISTS k", ":1"),
        ("TYPE k", "+string"),
        ("OBJECT IDLETIME k", ":7"),
        ("TOUCH k", ":1"),
        ("OBJECT IDLETIME k", ":0"),
    ]);
    assert!(
        server.line("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected")
    );
    assert!(server.line("OBJECT HELP").starts_with("*15 +OBJECT <subcommand> [<arg> [value]"));
    server.line("SET k 5");
    server.line("CONFIG SET maxmemory-policy allkeys-lfu maxmemory 1gb");
    assert!(server.line("OBJECT IDLETIME k").starts_with("-ERR An LFU maxmemory policy is sel"));
    server.check(&[("OBJECT REFCOUNT k", ":1"), ("TYPE missing", "+none")]);
}

/// A DUMP payload of this body with a good checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut payload = [body, &10u16.to_le_bytes()].concat();
    let sum = crc64(0, &payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

#[test]
fn restore_checks_in_the_order_of_redis() {
    let mut server = Server::new();
    let good = sealed(b"\x00\x05hello");
    let mut bad = good.clone();
    bad[3] ^= 1;
    let list = sealed(b"\x01\x00");
    let cut = sealed(b"\x00\x3fhello");
    let footer = "-ERR DUMP payload version or checksum are wrong";
    let format = "-ERR Bad data format";
    let busy = "-BUSYKEY Target key name already exists.";
    server.line("SET there v");
    for (key, ttl, payload, options, reply) in [
        ("there", "x", &bad, "FOO", "-ERR syntax error"),
        ("there", "x", &bad, "IDLETIME", "-ERR syntax error"),
        ("there", "x", &bad, "IDLETIME 1 FREQ 1", "-ERR syntax error"),
        ("there", "x", &bad, "FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("there", "x", &bad, "IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
        ("there", "x", &bad, "IDLETIME 1.5", NO_INT),
        ("there", "x", &bad, "", busy),
        ("there", "x", &bad, "REPLACE", NO_INT),
        ("k", "-1", &bad, "", "-ERR Invalid TTL value, must be >= 0"),
        ("k", "0", &bad, "", footer),
        ("k", "0", &list, "", format),
        ("k", "0", &cut, "", format),
        ("k", "0", &good, "", "+OK"),
        ("k", "5", &good, "absttl", busy),
        // In the past: nothing comes, and what was there goes.
        ("k", "5", &good, "absttl replace", "+OK"),
        ("k", "5", &good, "absttl", "+OK"),
        ("new", "700", &good, "idletime 9", "+OK"),
        ("there", "0", &good, "FREQ 9 replace", "+OK"),
    ] {
        let mut words = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
        words.extend(options.split_whitespace().map(str::as_bytes));
        let got = server.run(&words);
        assert_eq!(String::from_utf8_lossy(&got).trim_end(), reply, "{key} {ttl} {options}");
    }
    server.check(&[
        ("EXISTS k", ":0"),
        ("PTTL new", ":700"),
        ("OBJECT IDLETIME new", ":9"),
        ("GET there", "$5 hello"),
        ("DUMP missing", "$-1"),
    ]);
    assert_eq!(bulks(&server.run(&[b"DUMP", b"there"])), [good]);
    server.line("CONFIG SET maxmemory-policy allkeys-lfu");
    server.run(&[b"RESTORE", b"lfu", b"0", &sealed(b"\x00\xc0\x07"), b"FREQ", b"99"]);
    server.check(&[("OBJECT FREQ lfu", ":99"), ("OBJECT ENCODING lfu", "$3 int")]);
}

proptest! {
    #[test]
    fn dumped_strings_are_restored(text in prop::collection::vec(0u8..4, 0..20_000)) {
        let mut server = Server::new();
        server.run(&[b"SET", b"k", &text]);
        let mut payload_lens = Vec::new();
        for compression in ["yes", "no"] {
            server.line(&format!("CONFIG SET rdbcompression {compression}"));
            let payload = bulks(&server.run(&[b"DUMP", b"k"])).remove(0);
            payload_lens.push(payload.len());
            let reply = server.run(&[b"RESTORE", compression.as_bytes(), b"0", &payload]);
            prop_assert_eq!(&reply, b"+OK\r\n");
            let back = bulks(&server.run(&[b"GET", compression.as_bytes()])).remove(0);
            prop_assert!(back == text);
        }
        prop_assert!(payload_lens[0] <= payload_lens[1]);
        // Two bits of information per byte: from some length on it always shrinks.
        prop_assert!(text.len() < 1000 || payload_lens[0] < payload_lens[1]);
    }

    #[test]
    fn no_payload_makes_restore_panic(
        body in prop::collection::vec(any::<u8>(), 0..40),
        is_string: bool,
    ) {
        let mut server = Server::new();
        let body = if is_string { [&b"\x00"[..], &body].concat() } else { body };
        let reply = server.run(&[b"RESTORE", b"k", b"0", &sealed(&body)]);
        let is_restored = reply == b"+OK\r\n";
        prop_assert!(is_restored || reply == b"-ERR Bad data format\r\n");
        prop_assert_eq!(server.line("EXISTS k"), if is_restored { ":1" } else { ":0" });
        server.run(&[b"RESTORE", b"raw", b"0", &body]);
    }
}
