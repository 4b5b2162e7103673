//! Requests and answers byte by byte, and what is no request.
use proptest::prelude::*;

use super::*;
use crate::dialect::tests_support::{Door, LIMITS, answers_survive_cuts};
use crate::dialect::{Dialect, Splitter};

fn frame(object: &[u8]) -> Vec<u8> {
    [&(object.len() as u32).to_be_bytes()[..], object].concat()
}

fn text(bytes: &[u8], form: Form) -> Vec<u8> {
    [StrHead::of(bytes.len(), form).bytes(), bytes].concat()
}

fn map(fields: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let mut object = vec![0x80 | fields.len() as u8];
    for (name, value) in fields {
        object.extend(text(name, Form::Str));
        object.extend_from_slice(value);
    }
    object
}

fn get(key: &[u8]) -> Vec<u8> {
    frame(&map(&[(b"type", text(b"Get", Form::Str)), (b"key", text(key, Form::Str))]))
}

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    frame(&map(&[
        (b"type", text(b"Put", Form::Str)),
        (b"key", text(key, Form::Str)),
        (b"val", text(value, Form::Str)),
    ]))
}

fn del(key: &[u8]) -> Vec<u8> {
    frame(&map(&[(b"key", text(key, Form::Str)), (b"type", text(b"Del", Form::Str))]))
}

fn failure(message: &str) -> Vec<u8> {
    let mut out = Output::default();
    error(message.as_bytes(), &mut out);
    out.to_bytes()
}

const NIL_FRAME: &[u8] = b"\0\0\0\x01\xc0";

#[test]
fn a_session_to_the_byte() {
    let mut door = Door::new(Dialect::Msgpack);
    // Requests as everybody writes them are read at a glance.
    assert_eq!(usual_request(&get(b"k")[4..]), Some(Request::Get { key: b"k" }));
    assert_eq!(usual_request(&put(b"k", b"v")[4..]), Some(Request::Put { key: b"k", value: b"v" }));
    assert_eq!(usual_request(&del(b"k")[4..]), None, "another order");
    // Written out, so that the helpers above are proved too.
    let request = b"\0\0\0\x16\x83\xa4type\xa3Put\xa3key\xa1k\xa3val\xa1v";
    assert_eq!(put(b"k", b"v"), request);
    assert_eq!(door.send(request), NIL_FRAME);
    assert_eq!(door.send(&get(b"k")), b"\0\0\0\x02\xa1v");
    assert_eq!(door.resp(&["GET", "k"]), b"$1\r\nv\r\n");
    assert_eq!(door.send(&del(b"k")), NIL_FRAME);
    assert_eq!(door.send(&del(b"k")), NIL_FRAME);
    assert_eq!(door.send(&get(b"k")), NIL_FRAME);
}

#[test]
fn values_of_other_doors() {
    let mut door = Door::new(Dialect::Msgpack);
    door.resp(&["SET", "number", "-17"]);
    assert_eq!(door.send(&get(b"number")), b"\0\0\0\x04\xa3-17");
    // Not UTF-8: bin, and bin may be written.
    let raw = frame(&map(&[
        (b"type", text(b"Put", Form::Str)),
        (b"key", text(b"b", Form::Str)),
        (b"val", text(b"\xff\0", Form::Bin)),
    ]));
    assert_eq!(door.send(&raw), NIL_FRAME);
    assert_eq!(door.send(&get(b"b")), b"\0\0\0\x04\xc4\x02\xff\0");
}

#[test]
fn every_length_has_its_form() {
    let mut door = Door::new(Dialect::Msgpack);
    for len in [0, 31, 32, 255, 256, 65535, 65536, 100_000] {
        let value = vec![b'x'; len];
        assert_eq!(door.send(&put(b"k", &value)), NIL_FRAME);
        assert_eq!(door.send(&get(b"k")), frame(&text(&value, Form::Str)), "{len}");
    }
}

#[test]
fn what_is_no_request_is_an_error_and_the_connection_stays() {
    let one = |name: &[u8], value: &[u8]| map(&[(name, value.to_vec())]);
    let get = text(b"Get", Form::Str);
    let put = text(b"Put", Form::Str);
    let key = text(b"k", Form::Str);
    let trailing = [map(&[(b"type", get.clone()), (b"key", key.clone())]), vec![0xc0]].concat();
    let cases: [(Vec<u8>, &str); 12] = [
        (vec![], "the object ends too early"),
        (vec![0xc0], "the request is not a map"),
        (vec![0x93, 1, 2, 3], "the request is not a map"),
        (vec![0x80], "missing field `type`"),
        (one(b"type", &text(b"Nope", Form::Str)), "unknown type of request"),
        (one(b"type", &[7]), "field `type` is not a string"),
        (one(b"type", &get), "missing field `key`"),
        (map(&[(b"type", get.clone()), (b"key", vec![1])]), "field `key` is not a string"),
        (map(&[(b"type", put.clone()), (b"key", key.clone())]), "missing field `val`"),
        (
            map(&[(b"type", put), (b"key", key.clone()), (b"val", vec![0x91, 1])]),
            "field `val` is not a string",
        ),
        (map(&[(b"type", get.clone()), (b"type", get)]), "duplicate field `type`"),
        (trailing, "trailing bytes after the request"),
    ];
    let mut door = Door::new(Dialect::Msgpack);
    for (object, message) in cases {
        assert_eq!(door.send(&frame(&object)), failure(message), "{object:?}");
        assert!(!door.session.closes_after_reply);
    }
    assert_eq!(failure("x")[4..], *b"\x82\xa4type\xa5Error\xa7message\xa1x");
    assert!(door.engine.shared.stats.error_replies >= 12);
}

#[test]
fn other_fields_are_stepped_over() {
    // One of each form, nested, before the fields that count.
    let other = b"\x9c\x01\xff\xc0\xc2\xca\0\0\0\0\xcb\0\0\0\0\0\0\0\0\xcd\0\0\xd1\0\0\xd4\x01\0\xc7\x01\0\0\x81\xa1a\x92\x01\xd9\x01b\xdd\0\0\0\x01\xc3";
    let request = map(&[
        (b"other", other.to_vec()),
        (b"type", text(b"Get", Form::Str)),
        (b"key", text(b"k", Form::Str)),
    ]);
    assert_eq!(parse(&request), Ok(Request::Get { key: b"k" }));
    // Deeper than any stack.
    let deep = vec![0x91; 1 << 20];
    assert_eq!(parse(&[b"\x81\xa1d", &deep[..]].concat()), Err(TRUNCATED));
}

#[test]
fn a_length_above_the_limit_closes() {
    let mut splitter = Splitter::new(Dialect::Msgpack);
    let at_limit = (LIMITS.frame_bytes_max as u32 - 4).to_be_bytes();
    assert_eq!(splitter.split(&at_limit, &LIMITS), Split::Incomplete);
    let above = (LIMITS.frame_bytes_max as u32 - 3).to_be_bytes();
    assert_eq!(splitter.split(&above, &LIMITS), Split::Fatal(failure("frame too long")));
}

#[test]
fn pieces() {
    let stream =
        [put(b"key", b"value"), get(b"key"), frame(&[0xc1]), del(b"key"), get(b"key")].concat();
    answers_survive_cuts(Dialect::Msgpack, &stream);
}

#[test]
fn only_reads_run_while_writes_are_paused() {
    assert!(!may_write(&get(b"k")));
    assert!(may_write(&put(b"k", b"v")) && may_write(&del(b"k")));
    assert!(!may_write(&frame(b"\xc0")));
}

/// A str or bin in any of its forms that have room for it.
fn any_form(bytes: &[u8], form: u8) -> Vec<u8> {
    let len = bytes.len() as u32;
    let head = match form {
        0 if len < 32 => vec![0xa0 | len as u8],
        0 | 1 if len < 256 => vec![0xd9, len as u8],
        2 if len < 256 => vec![0xc4, len as u8],
        3 => [&[0xda], &(len as u16).to_be_bytes()[..]].concat(),
        4 => [&[0xc5], &(len as u16).to_be_bytes()[..]].concat(),
        5 => [&[0xc6], &len.to_be_bytes()[..]].concat(),
        _ => [&[0xdb], &len.to_be_bytes()[..]].concat(),
    };
    [&head, bytes].concat()
}

proptest! {
    /// What is read at a glance is what a proper look finds, in whatever form and order it is written.
    #[test]
    fn both_readers_agree(
        kind in proptest::sample::select(&["Get", "Put", "Del", "Nop"][..]),
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::collection::vec(any::<u8>(), 0..400),
        forms in proptest::array::uniform3(0u8..7),
        fields in 0usize..4,
        turn in 0usize..2,
        change in (0usize..60, proptest::option::weighted(0.3, any::<u8>())),
    ) {
        let all = [(&b"type"[..], kind.as_bytes()), (b"key", &key), (b"val", &value)];
        let mut texts: Vec<_> = all.iter().zip(forms).take(fields)
            .map(|((name, bytes), form)| (*name, any_form(bytes, form))).collect();
        texts.rotate_left(turn.min(fields));
        let mut object = map(&texts);
        if let ((at, Some(byte)), true) = (change, change.0 < object.len()) {
            object[at] = byte;
        }
        if let Some(found) = usual_request(&object) {
            prop_assert_eq!(parse(&object), Ok(found));
        }
        let whole = frame(&object);
        if let Ok(request) = parse(&object) {
            let (Request::Get { key } | Request::Put { key, .. } | Request::Del { key }) = request;
            prop_assert_eq!(first_key(&whole), Some(key));
        }
    }

    #[test]
    fn anything_is_answered(object in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(!Door::new(Dialect::Msgpack).send(&frame(&object)).is_empty());
    }
}
