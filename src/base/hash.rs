//! The hash of keys.
//!
//! One engine has one seed, so every database, the prefetcher and the held-key table agree on a
//! key's hash and it is computed once per request. The function is foldhash `quality`: 3 ns for
//! 16 bytes, and good enough in both its low bits (they choose the bucket) and its top bits (they
//! are the tag). It resists flooding by strangers who do not see hashes or iteration order; a
//! flood that succeeds makes chains longer, never anything worse.

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::fmt;
use std::hash::Hasher;

/// A seeded hash function for keys. Cloning it is cheap (56 bytes) and keeps the seed.
#[derive(Clone)]
pub struct KeyHasher {
    own_seed: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    /// The hasher of this seed; equal seeds give equal hashes in every process.
    #[must_use]
    pub fn new(seed: u64) -> KeyHasher {
        let own_seed = seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15;
        KeyHasher { own_seed, shared: SharedSeed::from_u64(seed) }
    }

    /// The hash of `bytes`.
    #[inline]
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = FoldHasher::with_seed(self.own_seed, &self.shared);
        state.write(bytes);
        state.finish()
    }

    /// `bytes` together with their hash.
    #[inline]
    #[must_use]
    pub fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        Key { bytes, hash: self.hash(bytes) }
    }
}

impl fmt::Debug for KeyHasher {
    /// Leaves the seed out: logs must not help anybody to collide keys.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyHasher")
    }
}

/// A key and its hash, so that no layer hashes it a second time.
#[derive(Clone, Copy, Debug)]
pub struct Key<'b> {
    /// The key itself.
    pub bytes: &'b [u8],
    /// `KeyHasher::hash` of `bytes` under the engine's seed.
    pub hash: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_agree_and_different_seeds_differ() {
        let (a, b, c) = (KeyHasher::new(7), KeyHasher::new(7), KeyHasher::new(8));
        assert_eq!(a.hash(b"key"), b.hash(b"key"));
        assert_ne!(a.hash(b"key"), c.hash(b"key"));
        assert_ne!(a.hash(b"key"), a.hash(b"kez"));
        assert_eq!(a.key(b"x").hash, a.hash(b"x"));
    }

    #[test]
    fn low_bits_and_top_bits_spread() {
        let hasher = KeyHasher::new(1);
        let (mut low, mut top) = ([0u32; 64], [0u32; 64]);
        for n in 0..64_000u32 {
            let hash = hasher.hash(format!("user:{n:08}").as_bytes());
            low[(hash & 63) as usize] += 1;
            top[(hash >> 58) as usize] += 1;
        }
        for count in low.iter().chain(&top) {
            assert!((800..1200).contains(count), "{count} of 1000 expected");
        }
    }
}
