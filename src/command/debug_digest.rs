//! Digests of data sets, equal to those of Redis 7.0: the same data gives the same 40 digits on both.
//!
//! ```text
//!   combine(d, data) = d xor SHA1(data)               order does not matter
//!   mix(d, data)     = SHA1(combine(d, data))         order matters
//!
//!   entry  = mix(key), mix(type as u32), mix(value), combine("!!expire!!") where it has a TTL
//!   total  = for each database with keys: mix(index as u32), combine(entry) for each entry
//! ```
//!
//! Numbers are big-endian. Cost: two or more SHA-1 per key, in one go; for tests only.
use std::fmt;

use sha1_smol::Sha1;

use crate::base::number;
use crate::store::{EntryRef, Kind, ValueRef};
use crate::types::list::Way;
use crate::types::set::SetCursor;
use crate::types::stream::{Stream, StreamId, Walk};

const BYTES: usize = 20;

/// A digest in the making; starts as zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; BYTES]);

impl Digest {
    /// Adds `data` so that its place among others does not matter.
    pub(super) fn combine(&mut self, data: &[u8]) {
        let hash = Sha1::from(data).digest().bytes();
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds `data` so that its place among others does matter.
    pub(super) fn mix(&mut self, data: &[u8]) {
        self.combine(data);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    /// Adds type, value and whether there is a TTL, but not the key.
    pub(super) fn mix_entry(&mut self, entry: &EntryRef<'_>) {
        self.mix(&type_number(entry.kind()).to_be_bytes());
        match entry.value() {
            ValueRef::String(string) => self.mix(string.as_bytes(&mut itoa::Buffer::new())),
            ValueRef::Document(bytes) => self.mix(bytes),
            ValueRef::List(list) => {
                list.walk(0, Way::Forward, usize::MAX, |element| {
                    self.mix(element.as_bytes(&mut itoa::Buffer::new()));
                    true
                });
            }
            ValueRef::Set(set) => {
                let _ = set.walk(&mut SetCursor::default(), usize::MAX, |member| {
                    self.combine(member.as_bytes(&mut itoa::Buffer::new()));
                });
            }
            ValueRef::Hash(hash) => {
                let _ = hash.visit(&mut 0, usize::MAX, |field| {
                    let name = field.name.to_vec();
                    let mut digits = itoa::Buffer::new();
                    self.combine(
                        Digest::of(&name, field.found.value.as_bytes(&mut digits)).bytes(),
                    );
                });
            }
            ValueRef::Zset(zset) => {
                for (member, score) in zset.range(0..zset.len()) {
                    let mut text = Vec::new();
                    number::write_f64_17g(&mut text, score);
                    self.combine(Digest::of(&member.to_vec(), &text).bytes());
                }
            }
            ValueRef::Stream(stream) => self.mix_stream(stream),
        }
        if entry.expiry().is_some() {
            self.combine(b"!!expire!!");
        }
    }

    /// Of a pair.
    fn of(name: &[u8], value: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.mix(name);
        digest.mix(value);
        digest
    }

    fn mix_stream(&mut self, stream: &Stream) {
        let mut walk = Walk::new(StreamId::MIN, StreamId::MAX);
        while let Some(entry) = walk.next(stream.log()) {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.fields() {
                self.mix(&field.to_vec());
                self.mix(&value.to_vec());
            }
        }
    }

    /// As it stands.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Redis's numbers of the types.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        // Redis has modules for these.
        Kind::Document => 5,
        Kind::Stream => 6,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DEBUG DIGEST-VALUE` of Redis 7.0.15 for `abc`, `12345`, and `x` with a TTL.
    #[test]
    fn digests_are_those_of_redis() {
        let of = |value: &[u8], has_ttl: bool| {
            let mut digest = Digest::default();
            digest.mix(&0u32.to_be_bytes());
            digest.mix(value);
            if has_ttl {
                digest.combine(b"!!expire!!");
            }
            digest.to_string()
        };
        assert_eq!(of(b"abc", false), "21ffcd2d36aebffca02995acb412bcb827d4c1db");
        assert_eq!(of(b"12345", false), "e1cf90774e995ae03de66e8109dc5cb9d9c2dc83");
        assert_eq!(of(b"x", true), "0745672cb1bf060476eedeb8a28f5ffe1ff5a2be");
        assert_eq!(Digest::default().to_string(), "0".repeat(40));
    }
}
