//! Requests and answers byte by byte, and what closes the connection.
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dialect::tests_support::{Door, LIMITS, answers_survive_cuts};
use crate::dialect::{Dialect, Splitter};

fn request(number: u16, arguments: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(number.to_be_bytes());
    for argument in arguments {
        frame.extend((argument.len() as u32).to_be_bytes());
        frame.extend_from_slice(argument);
    }
    frame
}

fn ok(text: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(text.len() as u32).to_be_bytes(), text].concat()
}

fn failure(text: &str) -> Vec<u8> {
    [&[0, 1][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_session_to_the_byte() {
    let mut door = Door::new(Dialect::Kvstore);
    assert_eq!(request(1, &[b"k", b"vw"]), b"\0\0\x01\0\0\0\x01k\0\0\0\x02vw");
    assert_eq!(door.send(&request(0, &[b"k"])), failure("Key not found"));
    assert_eq!(door.send(&request(1, &[b"k", b"vw"])), b"\0\0\0\0\0\x01k");
    assert_eq!(door.send(&request(0, &[b"k"])), b"\0\0\0\0\0\x02vw");
    assert_eq!(door.resp(&["GET", "k"]), b"$2\r\nvw\r\n");
    assert_eq!(door.send(&request(2, &[b"k"])), ok(b"vw"));
    assert_eq!(door.send(&request(2, &[b"k"])), ok(b""));
    assert_eq!(door.send(&request(3, &[b""])), ok(b"PONG"));
    assert_eq!(door.send(&request(3, &["h\u{e9}".as_bytes()])), ok("h\u{e9}".as_bytes()));
    assert_eq!(door.send(&request(1, &[b"", b""])), ok(b""));
    assert_eq!(door.send(&request(0, &[b""])), ok(b""));
    assert_eq!(door.engine.shared.stats.error_replies, 0, "an absent key is no failure");
}

#[test]
fn values_of_other_doors() {
    let mut door = Door::new(Dialect::Kvstore);
    door.resp(&["SET", "n", "-17"]);
    assert_eq!(door.send(&request(0, &[b"n"])), ok(b"-17"));
    // The second byte of a two-byte character is overwritten.
    door.resp(&["SET", "b", "\u{e9}"]);
    door.resp(&["SETRANGE", "b", "1", "x"]);
    assert_eq!(door.send(&request(0, &[b"b"])), failure("Value is not UTF-8"));
    assert_eq!(door.send(&request(2, &[b"b"])), failure("Value is not UTF-8"));
    assert_eq!(door.resp(&["EXISTS", "b"]), b":1\r\n");
}

#[test]
fn what_is_not_utf8_is_an_error_and_the_connection_stays() {
    let mut door = Door::new(Dialect::Kvstore);
    for frame in [request(0, &[b"\xff"]), request(1, &[b"k", b"\xff"]), request(3, &[b"\xff"])] {
        let stream = [frame, request(3, &[b"x"])].concat();
        assert_eq!(door.send(&stream), [failure("Invalid UTF-8"), ok(b"x")].concat());
    }
}

#[test]
fn what_cannot_be_cut_closes() {
    let fatal = |bytes: &[u8]| Splitter::new(Dialect::Kvstore).split(bytes, &LIMITS);
    let unknown = failure("Unknown command number");
    assert_eq!(fatal(&request(4, &[b"k"])), Split::Fatal(unknown.clone()));
    assert_eq!(fatal(&request(u16::MAX, &[])), Split::Fatal(unknown.clone()));
    assert_eq!(fatal(&[1]), Split::Fatal(failure("Unknown header byte")));
    let room = LIMITS.frame_bytes_max - HEAD_BYTES - LENGTH_BYTES;
    let announced = |len: usize| [&[0, 0, 0][..], &(len as u32).to_be_bytes()].concat();
    assert_eq!(fatal(&announced(room)), Split::Incomplete);
    assert_eq!(fatal(&announced(room + 1)), Split::Fatal(failure("Request too long")));
    // What came before is answered, what follows is not.
    let stream = [request(3, &[b"a"]), request(9, &[]), request(3, &[b"b"])].concat();
    assert_eq!(Door::new(Dialect::Kvstore).send(&stream), [ok(b"a"), unknown].concat());
}

#[test]
fn pieces() {
    let stream = [
        request(1, &[b"key", b"value"]),
        request(0, &[b"key"]),
        request(2, &[b"key"]),
        request(0, &[b"key"]),
        request(3, &[b""]),
        request(7, &[]),
    ];
    answers_survive_cuts(Dialect::Kvstore, &stream.concat());
}

#[test]
fn large_values() {
    let mut door = Door::new(Dialect::Kvstore);
    let value = vec![b'x'; 100_000];
    assert_eq!(door.send(&request(1, &[b"k", &value])), ok(b"k"));
    assert_eq!(door.send(&request(0, &[b"k"])), ok(&value));
    assert_eq!(door.send(&request(2, &[b"k"])), ok(&value));
}

#[test]
fn only_reads_run_while_writes_are_paused() {
    assert!(!may_write(&request(0, &[b"k"])) && !may_write(&request(3, &[b"k"])));
    assert!(may_write(&request(1, &[b"k", b"v"])) && may_write(&request(2, &[b"k"])));
}

proptest! {
    #[test]
    fn anything_may_come(number in 0u16..6, bytes in vec(any::<u8>(), 0..64)) {
        let stream = [&[0][..], &number.to_be_bytes(), &bytes].concat();
        Door::new(Dialect::Kvstore).send(&stream);
    }
}
