//! String commands through `Engine::execute`: what the scripts of `tests/scripts` cannot see, such as values
//! that travel by reference, the count of changes, and time to the millisecond.
use crate::base::block::Block;
use crate::base::clock::Clock;
use crate::command::execute::Request;
use crate::engine::config::Config;
use crate::engine::engine::Engine;
use crate::engine::session::{Address, Session};
use crate::proto::args::{HashHint, Span};
use crate::proto::reply::Output;
use crate::store::StringRef;

const NOW_MS: i64 = 1_700_000_000_000;

struct Harness {
    engine: Engine,
    session: Session,
}

impl Harness {
    fn new() -> Harness {
        let config = Config::new("/tmp".into());
        let engine = Engine::new(config, Clock::manual(NOW_MS), Some(1));
        let mut session = Session::new(Address::InProcess, NOW_MS);
        session.set_authenticated(true);
        Harness { engine, session }
    }

    /// Runs one command; words of 32 KiB and more arrive as blocks, as from the wire.
    fn run_blocks(&mut self, words: &[&[u8]], blocks: &[Block]) -> Output {
        let (mut buffer, mut spans) = (Vec::new(), Vec::new());
        for word in words {
            spans.push(Span::new(buffer.len(), word.len()));
            buffer.extend_from_slice(word);
        }
        spans.extend((0..blocks.len()).map(Span::block));
        let request = Request {
            buffer: &buffer,
            spans: &spans,
            blocks,
            command: None,
            hint: HashHint::default(),
        };
        let mut out = Output::default();
        let mut started = self.engine.shared.clock.ticks();
        self.engine.begin_turn();
        self.engine.execute(&mut self.session, request, &mut out, &mut started);
        out
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        String::from_utf8(self.run_blocks(&words, &[]).to_bytes()).expect("ASCII")
    }

    fn dirty(&self) -> u64 {
        self.engine.shared.stats.dirty
    }

    fn expiry(&mut self, key: &str) -> Option<Option<i64>> {
        let db = &mut self.engine.dbs[0];
        let key = db.key(key.as_bytes());
        db.expiry(key)
    }
}

#[test]
fn big_values_come_and_go_by_reference() {
    let mut harness = Harness::new();
    let block = Block::new(vec![b'x'; 100_000]);
    harness.run_blocks(&[b"SET", b"k"], std::slice::from_ref(&block));
    let key = harness.engine.hasher.key(b"k");
    match harness.engine.dbs[0].string(key) {
        Ok(Some(StringRef::Block(stored))) => assert!(Block::ptr_eq(stored, &block)),
        other => panic!("{other:?}"),
    }
    for words in [&[&b"GET"[..], b"k"][..], &[b"GETRANGE", b"k", b"0", b"-1"], &[b"MGET", b"k"]] {
        let out = harness.run_blocks(words, &[]);
        assert_eq!(out.blocks().len(), 1, "{words:?}");
        assert!(Block::ptr_eq(&out.blocks()[0].block, &block));
    }
    // An edit must not reach the reply that is still on its way.
    let reply = harness.run_blocks(&[b"GET", b"k"], &[]);
    assert_eq!(harness.run("SETRANGE k 0 y"), ":100000\r\n");
    assert_eq!(block[0], b'x');
    assert_eq!(reply.to_bytes()[9], b'x');
    assert_eq!(harness.run("GETRANGE k 0 1"), "$2\r\nyx\r\n");
    // So does much of it; a small part is copied.
    let part = harness.run_blocks(&[b"GETRANGE", b"k", b"1", b"-2"], &[]);
    assert_eq!((part.blocks().len(), part.blocks()[0].range.clone()), (1, 1..99_999));
    assert_eq!(part.to_bytes().len(), 8 + 99_998 + 2);
    assert!(harness.run_blocks(&[b"GETRANGE", b"k", b"1", b"9000"], &[]).blocks().is_empty());
    drop(part);
    let deleted = harness.run_blocks(&[b"GETDEL", b"k"], &[]);
    assert_eq!(deleted.to_bytes().len(), 9 + 100_000 + 2);
    assert_eq!(harness.run("GET k"), "$-1\r\n");
}

#[test]
fn each_change_is_counted_once_and_what_changes_nothing_is_not() {
    let mut harness = Harness::new();
    let counts = [
        ("SET k 1", 1),
        ("SET k 2 EX 10", 1),
        ("SET k 3 NX", 0),
        ("SET k 3 IFEQ 1", 0),
        ("SET k 2 GET", 1),
        ("SETEX k 10 v", 1),
        ("GETEX k", 0),
        ("GETEX k PERSIST", 1),
        ("GETEX k PERSIST", 0),
        ("GETEX k EX 10", 1),
        ("GETEX k EXAT 1", 1),
        ("GETDEL k", 0),
        ("MSET a 1 b 2 a 3", 3),
        ("MSETNX a 1 c 2", 0),
        ("MSETEX 2 a 1 c 2 PX 5", 2),
        ("INCR a", 1),
        ("INCR x y", 0),
        ("APPEND b", 0),
        ("APPEND b x", 1),
        ("INCR b", 0),
        ("SETRANGE b 0 z", 1),
        ("SETRANGE nothing 5 ", 0),
        ("DELEX b IFEQ nothing", 0),
        ("DELEX b", 1),
    ];
    for (line, expected) in counts {
        let before = harness.dirty();
        harness.run(line);
        assert_eq!(harness.dirty() - before, expected, "{line}");
    }
}

#[test]
fn deadlines_are_exact_and_survive_edits() {
    let mut harness = Harness::new();
    harness.run("SET k 1 EX 10");
    assert_eq!(harness.expiry("k"), Some(Some(NOW_MS + 10_000)));
    for line in ["INCR k", "INCRBYFLOAT k 0.5", "APPEND k 1", "SETRANGE k 0 9", "SET k 1 KEEPTTL"] {
        harness.run(line);
        assert_eq!(harness.expiry("k"), Some(Some(NOW_MS + 10_000)), "{line}");
    }
    for (line, at) in [
        ("PSETEX k 7 v", NOW_MS + 7),
        ("GETEX k PX 9", NOW_MS + 9),
        ("MSETEX 1 k v EX 2", NOW_MS + 2_000),
        ("SET k v EXAT 1800000000", 1_800_000_000_000),
        ("GETEX k PXAT 1800000000001", 1_800_000_000_001),
    ] {
        harness.run(line);
        assert_eq!(harness.expiry("k"), Some(Some(at)), "{line}");
    }
    for line in ["SET k v", "GETSET k v", "MSET k v"] {
        harness.run("GETEX k EX 10");
        harness.run(line);
        assert_eq!(harness.expiry("k"), Some(None), "{line}");
    }
    harness.run("SET k v PX 5");
    harness.engine.shared.clock.advance_ms(5);
    assert_eq!(harness.run("GET k"), "$1\r\nv\r\n");
    harness.engine.shared.clock.advance_ms(1);
    assert_eq!(harness.run("GET k"), "$-1\r\n");
}

#[test]
fn a_refused_set_takes_back_the_old_value_it_had_replied() {
    let mut harness = Harness::new();
    harness.run("SET k v");
    assert_eq!(
        harness.run("SET k w IFDEQ short GET"),
        "-ERR must be exactly 16 hexadecimal characters\r\n"
    );
    assert_eq!(harness.run("GET k"), "$1\r\nv\r\n");
}

/// What is compared and digested in slices says the same as what is done at once.
#[test]
fn big_values_are_weighed_like_small_ones() {
    let mut harness = Harness::new();
    let text = |len: usize| -> Vec<u8> { (0..len).map(|at| ((at * at) >> 7) as u8).collect() };
    let (long, mut other) = (text(3 << 20), text(3 << 20));
    other[(3 << 20) - 1] ^= 1;
    let mut run = |words: &[&[u8]]| {
        let reply = harness.run_blocks(words, &[]).to_bytes();
        String::from_utf8_lossy(&reply).into_owned()
    };
    let hash = super::string_value::digest(StringRef::Bytes(&long));
    let digest = hash.to_ascii_uppercase();
    let ok = "+OK\r\n".to_owned();
    assert_eq!(run(&[b"set", b"k", &long]), ok);
    assert_eq!(run(&[b"digest", b"k"]), format!("$16\r\n{}\r\n", String::from_utf8_lossy(&hash)));
    for (word, operand, is_met) in [
        (&b"ifeq"[..], &long[..], true),
        (b"ifeq", &other, false),
        (b"ifeq", b"short", false),
        (b"ifne", &long, false),
        (b"ifne", &other, true),
        (b"ifdeq", &digest, true),
        (b"ifdeq", b"0123456789abcdef", false),
        (b"ifdne", &digest, false),
        (b"ifdne", b"0123456789abcdef", true),
    ] {
        let name = String::from_utf8_lossy(word).into_owned();
        let expected = if is_met { "+OK\r\n" } else { "$-1\r\n" };
        assert_eq!(run(&[b"set", b"k", b"v", word, operand]), expected, "{name} of SET");
        assert_eq!(run(&[b"get", b"k"]) == "$1\r\nv\r\n", is_met, "{name} of SET");
        assert_eq!(run(&[b"set", b"k", &long]), ok);
        let expected = if is_met { ":1\r\n" } else { ":0\r\n" };
        assert_eq!(run(&[b"delex", b"k", word, operand]), expected, "{name} of DELEX");
        assert_eq!(run(&[b"exists", b"k"]) == ":0\r\n", is_met, "{name} of DELEX");
        assert_eq!(run(&[b"set", b"k", &long]), ok);
    }
    let refused = "-ERR must be exactly 16 hexadecimal characters\r\n";
    assert_eq!(run(&[b"set", b"k", b"v", b"ifdeq", b"0"]), refused);
    let old = run(&[b"set", b"k", b"v", b"ifeq", &long, b"get"]);
    assert!(old.starts_with("$3145728\r\n"), "{}", &old[..20]);
    assert_eq!(run(&[b"get", b"k"]), "$1\r\nv\r\n");
}
