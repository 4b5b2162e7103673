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
//! Numbers are big-endian. Cost: two or more SHA-1 per key, in slices: of a big value too ([`EntryDigest`]), which
//! stays as it is as long as its key is held. The jobs are in `debug_digest_job`.
use std::fmt;

use sha1_smol::Sha1;

use crate::base::number;
use crate::base::pieces::Progress;
use crate::store::{EntryRef, Kind, ValueRef};
use crate::types::list::{ListRef, Way};
use crate::types::set::SetCursor;
use crate::types::stream::{Stream, StreamId, Walk};

const BYTES: usize = 20;

/// A digest in the making; starts as zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; BYTES]);

impl Digest {
    /// Adds `data` so that its place among others does not matter.
    pub(super) fn combine(&mut self, data: &[u8]) {
        self.combine_hash(&Sha1::from(data));
    }

    fn combine_hash(&mut self, hash: &Sha1) {
        self.merge(Digest(hash.digest().bytes()));
    }

    /// Adds what was added to another one by [`Digest::combine`] alone.
    pub(super) fn merge(&mut self, other: Digest) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds `data` so that its place among others does matter.
    pub(super) fn mix(&mut self, data: &[u8]) {
        self.combine(data);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    /// Of a pair.
    fn of(name: &[u8], value: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.mix(name);
        digest.mix(value);
        digest
    }

    /// As it stands.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes of a string that are a unit of work, as an element is.
const BYTES_PER_UNIT: usize = 256;

/// The digest of a key's value, with its type and whether it has a TTL, in the making.
pub(super) struct EntryDigest {
    digest: Digest,
    place: Place,
}

/// What comes next.
enum Place {
    Start,
    /// A string whose first bytes have this hash.
    Bytes(Box<Sha1>, usize),
    Elements(usize),
    Members(SetCursor),
    Fields(usize),
    Scores(usize),
    Entries(Walk),
    End,
}

impl EntryDigest {
    /// With `digest` as it is before the type is added.
    pub(super) fn new(digest: Digest) -> EntryDigest {
        EntryDigest { digest, place: Place::Start }
    }

    /// The digest of a value in one go. O(its size).
    pub(super) fn whole(digest: Digest, entry: &EntryRef<'_>) -> Digest {
        let mut work = EntryDigest::new(digest);
        while !work.step(entry, usize::MAX).is_done() {}
        work.digest
    }

    /// Goes on by about so many elements, or quarters of a kilobyte; the entry is the same at every step.
    pub(super) fn step(&mut self, entry: &EntryRef<'_>, units: usize) -> Progress {
        let units = match entry.value() {
            ValueRef::String(_) | ValueRef::Document(_) => units,
            value => units_of_size(units, entry.memory_usage(), len_of(value)),
        };
        let EntryDigest { digest, place } = self;
        if matches!(place, Place::Start) {
            digest.mix(&type_number(entry.kind()).to_be_bytes());
            *place = Place::first(entry.value());
        }
        let progress = match (&mut *place, entry.value()) {
            (Place::Bytes(hash, done), ValueRef::String(string)) => {
                let mut digits = itoa::Buffer::new();
                digest.mix_piece(hash, done, string.as_bytes(&mut digits), units)
            }
            (Place::Bytes(hash, done), ValueRef::Document(bytes)) => {
                digest.mix_piece(hash, done, bytes, units)
            }
            (Place::Elements(from), ValueRef::List(list)) => digest.mix_list(list, from, units),
            (Place::Members(cursor), ValueRef::Set(set)) => set.walk(cursor, units, |member| {
                digest.combine(member.as_bytes(&mut itoa::Buffer::new()));
            }),
            (Place::Fields(cursor), ValueRef::Hash(hash)) => hash.visit(cursor, units, |field| {
                let mut digits = itoa::Buffer::new();
                let value = field.found.value.as_bytes(&mut digits);
                digest.combine(Digest::of(&field.name.to_vec(), value).bytes());
            }),
            (Place::Scores(from), ValueRef::Zset(zset)) => {
                let to = from.saturating_add(units).min(zset.len());
                for (member, score) in zset.range(*from..to) {
                    let mut text = Vec::new();
                    number::write_f64_17g(&mut text, score);
                    digest.combine(Digest::of(&member.to_vec(), &text).bytes());
                }
                *from = to;
                if to == zset.len() { Progress::Done } else { Progress::More }
            }
            (Place::Entries(walk), ValueRef::Stream(stream)) => {
                digest.mix_entries(walk, stream, units)
            }
            _ => Progress::Done,
        };
        if progress.is_done() && !matches!(place, Place::End) {
            *place = Place::End;
            if entry.expiry().is_some() {
                digest.combine(b"!!expire!!");
            }
        }
        progress
    }

    /// What it has come to.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

/// As many elements as take the time of so many small ones, by their size in the mean.
fn units_of_size(units: usize, bytes: usize, elements: usize) -> usize {
    let mean_units = bytes / elements.max(1) / BYTES_PER_UNIT;
    (units / mean_units.max(1)).max(1)
}

/// Elements of a value.
pub(super) fn len_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(_) | ValueRef::Document(_) => 1,
        ValueRef::List(list) => list.len(),
        ValueRef::Set(set) => set.len(),
        ValueRef::Hash(hash) => hash.len(),
        ValueRef::Zset(zset) => zset.len(),
        ValueRef::Stream(stream) => stream.len(),
    }
}

impl Place {
    fn first(value: ValueRef<'_>) -> Place {
        match value {
            ValueRef::String(_) | ValueRef::Document(_) => Place::Bytes(Box::default(), 0),
            ValueRef::List(_) => Place::Elements(0),
            ValueRef::Set(_) => Place::Members(SetCursor::default()),
            ValueRef::Hash(_) => Place::Fields(0),
            ValueRef::Zset(_) => Place::Scores(0),
            ValueRef::Stream(_) => Place::Entries(Walk::new(StreamId::MIN, StreamId::MAX)),
        }
    }
}

impl Digest {
    /// [`Digest::mix`] of long data, piece by piece.
    fn mix_piece(
        &mut self,
        hash: &mut Sha1,
        done: &mut usize,
        bytes: &[u8],
        units: usize,
    ) -> Progress {
        let end = done.saturating_add(units.saturating_mul(BYTES_PER_UNIT)).min(bytes.len());
        hash.update(bytes.get(*done..end).unwrap_or(&[]));
        *done = end;
        if end < bytes.len() {
            return Progress::More;
        }
        self.combine_hash(hash);
        self.0 = Sha1::from(self.0).digest().bytes();
        Progress::Done
    }

    fn mix_list(&mut self, list: ListRef<'_>, from: &mut usize, units: usize) -> Progress {
        let mut count = 0;
        list.walk(*from, Way::Forward, units, |element| {
            self.mix(element.as_bytes(&mut itoa::Buffer::new()));
            count += 1;
            true
        });
        *from += count;
        if *from >= list.len() || count == 0 { Progress::Done } else { Progress::More }
    }

    fn mix_entries(&mut self, walk: &mut Walk, stream: &Stream, units: usize) -> Progress {
        walk.step(stream.log(), units, |entry| {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.fields() {
                self.mix(&field.to_vec());
                self.mix(&value.to_vec());
            }
        })
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
