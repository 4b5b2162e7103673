//! Collections written and read again, in slices of any size, and payloads that are damaged.
use super::*;
use crate::base::crc::crc64;
use crate::base::hash::KeyHasher;
use crate::persist::rdb_format::{Checksum, Compression, check_footer};
use crate::persist::value_writer::ValueWriter;
use crate::store::ValueRef;
use crate::types::hash::{FieldTtl, Hash, NewValue};
use crate::types::list::{Element, End};
use crate::types::object::Aggregate;
use crate::types::stream::{Group, NewId, NodeLimits, Stream, StreamId};
use crate::types::zset::Zset;
use proptest::prelude::*;

fn limits() -> Limits {
    Limits::new(KeyHasher::new(1))
}

fn value_of(object: &Object) -> ValueRef<'_> {
    match object {
        Object::List(list) => ValueRef::List(list.view()),
        Object::Set(set) => ValueRef::Set(Aggregate::view(set)),
        Object::Hash(hash) => ValueRef::Hash(hash.view()),
        Object::Zset(zset) => ValueRef::Zset(zset.view()),
        Object::Stream(stream) => ValueRef::Stream(stream),
    }
}

fn dump(object: &Object, compression: Compression, units: usize) -> Vec<u8> {
    let mut writer = ValueWriter::new(compression, limits().list_packed_threshold);
    while !writer.step(value_of(object), units).is_done() {}
    let (pieces, len) = writer.into_payload();
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
    assert_eq!(bytes.len(), len);
    let (body, sum) = bytes.split_at(bytes.len() - 8);
    assert_eq!(crc64(0, body).to_le_bytes(), sum, "the checksum");
    bytes
}

fn read(body: &[u8], units: usize) -> Result<Object, Unreadable> {
    let limits = limits();
    let (&value_type, body) = body.split_first().ok_or(Unreadable::Corrupt)?;
    let mut reader = ValueReader::new(value_type, &limits).ok_or(Unreadable::Corrupt)?;
    loop {
        match reader.step(body, &limits, units) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return reader.finish(&limits),
            Err(error) => {
                // What there is of it can be freed in slices.
                while !reader.free_slice(1).is_done() {}
                return Err(error);
            }
        }
    }
}

/// Written in slices of any size the bytes are the same; read in slices of any size and written again they are, too.
fn goes_round(object: &Object) -> Vec<u8> {
    let mut kept = Vec::new();
    for compression in [Compression::Off, Compression::Lzf] {
        let payload = dump(object, compression, usize::MAX);
        assert!(dump(object, compression, 1) == payload, "written in other slices");
        let body = &payload[..payload.len() - 10];
        for units in [1, 7, usize::MAX] {
            let again = read(body, units).unwrap();
            assert_eq!(again.kind(), object.kind());
            let written = dump(&again, compression, 3);
            // Members of tables come in any order, but they are as many bytes.
            let is_ordered =
                !matches!(body[0], value_type::SET | value_type::HASH | value_type::HASH_EXPIRY);
            assert!(!is_ordered || written == payload, "read in slices of {units}");
            assert_eq!(written.len(), payload.len());
        }
        kept = payload;
    }
    kept
}

fn text(number: usize) -> Vec<u8> {
    match number % 5 {
        0 => number.to_string().into_bytes(),
        1 => format!("member:{number}").into_bytes(),
        2 => vec![b'x'; number % 300],
        3 => (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().to_vec(),
        _ => format!("-{}", number * 1_000_003).into_bytes(),
    }
}

fn list_of(count: usize, big: usize) -> Object {
    let (mut list, fill) = (List::default(), Fill::of(&limits()));
    for number in 0..count {
        list.push(End::Back, Element::Text(&text(number)), &fill);
        if big > 0 && number % 10 == 3 {
            let bytes: Vec<u8> = (0..big).map(|at| (at * number % 251) as u8).collect();
            list.push(End::Back, Element::Text(&bytes), &fill);
        }
    }
    Object::List(list)
}

fn hash_of(count: usize, big: usize, expiring: bool) -> Object {
    let (mut hash, limits) = (Hash::new_empty(), limits());
    for number in 0..count {
        let value = if number % 10 == 3 { vec![b'v'; big] } else { text(number + 1) };
        let field = format!("field:{number}").into_bytes();
        hash.set(&field, NewValue::Bytes(&value), FieldTtl::Clear, &limits).unwrap();
        if expiring && number % 3 == 0 {
            let when = 1_800_000_000_000 + number as i64;
            hash.expire(&field, when, crate::types::hash::Condition::Always, 0);
        }
    }
    Object::Hash(hash)
}

fn set_of(texts: impl Iterator<Item = Vec<u8>>) -> Object {
    let (mut set, limits) = (Set::new(), limits());
    texts.for_each(|text| {
        set.insert(&text, &limits).unwrap();
    });
    Object::Set(set)
}

fn zset_of(count: usize) -> Object {
    let (mut zset, limits) = (Zset::new_empty(), limits());
    for number in 0..count {
        let score = match number % 7 {
            0 => f64::NEG_INFINITY,
            1 => f64::INFINITY,
            2 => number as f64 / 3.0,
            _ => number as f64,
        };
        zset.insert(format!("member:{number}").as_bytes(), score, &limits).unwrap();
    }
    Object::Zset(zset)
}

fn stream_of(entries: u64, groups: usize) -> Object {
    let mut stream = Stream::new();
    stream.create();
    let node_limits = NodeLimits { bytes: 4096, entries: 10 };
    for number in 0..entries {
        let id = NewId::parse(format!("{}-1", number + 5).as_bytes()).unwrap();
        let value = number.to_string();
        let fields: [(&[u8], &[u8]); 2] = [(b"field", value.as_bytes()), (b"other", b"same")];
        stream.append(id, 1, fields.iter().copied(), node_limits).unwrap();
    }
    for group in 0..groups {
        let name = format!("group:{group}");
        stream.add_group(name.as_bytes(), Group::new(StreamId::new(entries, 0), group as i64 - 1));
        stream.edit_group(name.as_bytes(), |group, _| {
            for consumer in 0..3 {
                let number = group.add_consumer(format!("c{consumer}").as_bytes(), 77).unwrap();
                for entry in (5..entries + 5).skip(consumer).step_by(3) {
                    group.deliver(StreamId::new(entry, 1), number, 1000 + entry as i64);
                }
            }
        });
    }
    Object::Stream(Box::new(stream))
}

#[test]
fn lists_go_round() {
    assert_eq!(goes_round(&list_of(3, 0))[0], value_type::LIST_LISTPACKS);
    goes_round(&list_of(5000, 0));
    goes_round(&list_of(30, 20_000));
    goes_round(&list_of(4, 300_000));
}

#[test]
fn sets_go_round() {
    let ints = |count: usize| set_of((0..count).map(|n| (n * 77_777).to_string().into_bytes()));
    assert_eq!(goes_round(&ints(400))[0], value_type::SET_INTSET);
    assert_eq!(goes_round(&ints(4000))[0], value_type::SET);
    let texts = |count: usize| set_of((0..count).map(|n| format!("m{n}").into_bytes()));
    goes_round(&texts(20));
    goes_round(&texts(3000));
    goes_round(&set_of([vec![1; 100_000], vec![2; 70_000], b"a".to_vec()].into_iter()));
}

#[test]
fn hashes_go_round() {
    assert_eq!(goes_round(&hash_of(20, 10, false))[0], value_type::HASH_LISTPACK);
    assert_eq!(goes_round(&hash_of(2000, 10, false))[0], value_type::HASH);
    goes_round(&hash_of(40, 100_000, false));
    let payload = goes_round(&hash_of(20, 10, true));
    assert_eq!((payload[0], payload[payload.len() - 10]), (value_type::HASH_LISTPACK_EXPIRY, 12));
    let payload = goes_round(&hash_of(2000, 10, true));
    assert_eq!((payload[0], payload[payload.len() - 10]), (value_type::HASH_EXPIRY, 12));
}

#[test]
fn sorted_sets_and_streams_go_round() {
    assert_eq!(goes_round(&zset_of(100))[0], value_type::ZSET_LISTPACK);
    assert_eq!(goes_round(&zset_of(3000))[0], value_type::ZSET_BINARY);
    assert_eq!(goes_round(&stream_of(0, 0))[0], value_type::STREAM_2);
    goes_round(&stream_of(0, 2));
    goes_round(&stream_of(500, 3));
}

#[test]
fn a_step_is_short_whatever_comes() {
    let list = list_of(4, 3_000_000);
    let mut writer = ValueWriter::new(Compression::Off, 1 << 30);
    let mut steps = 0;
    while !writer.step(value_of(&list), 8).is_done() {
        steps += 1;
    }
    // 3 MB gathered and summed, 64 KiB a step each.
    assert!((80..130).contains(&steps), "{steps}");
}

#[test]
fn what_makes_no_value_is_refused() {
    for body in [
        &b"\x01\x00"[..],                     // no element
        b"\x02\x02\x01a\x01a",                // a member twice
        b"\x04\x02\x01a\x01b\x01a\x01c",      // a field twice
        b"\x04\x01\x01a",                     // no value
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f", // NaN
        b"\x03\x01\x01a\xfd",                 // NaN as text
        b"\x02\xc0\x01",                      // a number for a count
        b"\x12\x01\x03\x00",                  // no such form of node
        b"\x12\x00",                          // no node
        b"\x10\x07\x07\0\0\0\0\0\xff",        // an empty hash
        b"\x06\x00",
        b"\x07\x00",
        b"\xff",
        b"\x17\x00",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(read(body, 1).err(), Some(Unreadable::Corrupt), "{body:?}");
    }
    assert!(read(b"\x03\x01\x01a\x03-.5", 1).is_ok(), "a score as text");
}

fn any_object() -> impl Strategy<Value = Object> {
    (0usize..7, 1usize..60).prop_map(|(kind, count)| match kind {
        0 => list_of(count, 0),
        1 => list_of(count, 17_000),
        2 => hash_of(count, 70, count % 2 == 0),
        3 => set_of((0..count).map(text)),
        4 => zset_of(3 * count),
        5 => stream_of(count as u64, count % 3),
        _ => set_of((0..count).map(|n| n.to_string().into_bytes())),
    })
}

proptest! {
    #[test]
    fn damage_is_refused_or_harmless(
        object in any_object(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        units in 1usize..50,
    ) {
        let mut payload = dump(&object, Compression::Off, 100);
        for (index, byte) in damage {
            let at = index.index(payload.len());
            payload[at] = byte;
        }
        let _ = check_footer(&payload, Checksum::Compared);
        if let Ok(object) = read(&payload[..payload.len() - 10], units) {
            // What was taken for a value is one: it can be written and read again.
            let again = dump(&object, Compression::Off, 10);
            prop_assert!(read(&again[..again.len() - 10], 10).is_ok());
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..26) {
        let mut body = vec![kind];
        body.extend(bytes);
        let _ = read(&body, 1);
    }
}
