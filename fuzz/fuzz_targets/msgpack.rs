//! The msgpack door: any bytes in any pieces are answered as in one piece, and nothing panics.
//!
//! The first byte of an input says how the rest is cut.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous::dialect::Dialect;
use rufous_fuzz::door::check;

fuzz_target!(|input: &[u8]| check(Dialect::Msgpack, input));
