//! RESTORE of any bytes: a value of a type, or refused; what was taken for a value goes round through DUMP.
//!
//! The first byte chooses the size of slices, the second the type; what follows is the value.
#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rufous::base::hash::KeyHasher;
use rufous::base::pieces::{Garbage, Progress};
use rufous::persist::rdb_format::Compression;
use rufous::persist::value_reader::ValueReader;
use rufous::persist::value_writer::ValueWriter;
use rufous::store::ValueRef;
use rufous::types::limits::Limits;
use rufous::types::object::{Aggregate, Object};

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits::new(KeyHasher::new(1)));

fuzz_target!(|input: &[u8]| {
    let [units, value_type, body @ ..] = input else { return };
    let units = usize::from(*units) + 1;
    let Some(object) = read(value_type % 26, body, units) else { return };
    let dumped = dump(&object, units);
    let again = read(dumped[0], &dumped[1..], units).expect("what was written can be read");
    assert_eq!(again.kind(), object.kind());
    assert_eq!(dump(&again, 1000).len(), dumped.len());
});

fn read(value_type: u8, body: &[u8], units: usize) -> Option<Object> {
    let mut reader = ValueReader::new(value_type, &LIMITS)?;
    loop {
        match reader.step(body, &LIMITS, units) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return reader.finish(&LIMITS).ok(),
            Err(_) => {
                while !reader.free_slice(units).is_done() {}
                return None;
            }
        }
    }
}

/// Type and value, without version and checksum.
fn dump(object: &Object, units: usize) -> Vec<u8> {
    let mut writer = ValueWriter::new(Compression::Off, LIMITS.list_packed_threshold);
    let value = match object {
        Object::List(list) => ValueRef::List(list.view()),
        Object::Set(set) => ValueRef::Set(Aggregate::view(set)),
        Object::Hash(hash) => ValueRef::Hash(hash.view()),
        Object::Zset(zset) => ValueRef::Zset(zset.view()),
        Object::Stream(stream) => ValueRef::Stream(stream),
    };
    while !writer.step(value, units).is_done() {}
    let (pieces, len) = writer.into_payload();
    let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
    bytes.truncate(len - 10);
    bytes
}
