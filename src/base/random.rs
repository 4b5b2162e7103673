//! A small, fast, seedable random number generator (xoshiro256++), for sampling and tests.
//!
//! Promise: the same seed gives the same sequence on every machine. It is not for secrets; what
//! must differ from run to run is seeded by the operating system ([`os_seed`]).
//! Cost: 32 bytes of state, about 1 ns per number.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;

/// Length of a run id in hexadecimal digits, as Redis shows it.
const HEX_ID_LENGTH: usize = 40;

/// The generator. Clones continue with the same sequence.
#[derive(Clone, Debug)]
pub struct Random {
    /// Invariant: never all zero; the generator would stay there.
    state: [u64; 4],
}

impl Random {
    /// Makes a generator whose sequence depends on `seed` alone; every seed is fine, also 0.
    pub fn from_seed(seed: u64) -> Self {
        // SplitMix64 spreads the seed, as the authors of xoshiro advise. It visits each 64-bit
        // value once, so four outputs in a row cannot all be 0.
        let mut counter = seed;
        let state = std::array::from_fn(|_| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (counter ^ counter >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        });
        Self { state }
    }

    /// The next 64 uniformly distributed bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ b << 17, d.rotate_left(45)];
        result
    }

    /// A number in `0..n`; 0 if `n` is 0. Lemire's multiplication: some values are more likely
    /// than others by at most `n / 2^64`, which nobody can measure.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Fills `bytes` with random bytes. O(n).
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// A run id: 40 random hexadecimal digits in lower case. As hard to guess as the seed.
    pub fn hex_id(&mut self) -> String {
        let mut bytes = [0u8; HEX_ID_LENGTH];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(b"0123456789abcdef"[usize::from(byte & 15)])).collect()
    }
}

/// 64 bits nobody can guess, from the operating system. Costs a system call or three.
pub fn os_seed() -> u64 {
    let mut bytes = [0u8; 8];
    fill_from_os(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// Random bytes nobody can guess, from the operating system.
pub fn fill_from_os(bytes: &mut [u8]) {
    let is_filled = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).is_ok();
    if !is_filled {
        // No /dev (a bare chroot): std keys each RandomState from the system's generator.
        Random::from_seed(RandomState::new().build_hasher().finish()).fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_sequence() {
        // First outputs of the reference C code for the state {1, 2, 3, 4}.
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(first, [41943041, 58720359, 3588806011781223, 3591011842654386]);
    }

    #[test]
    fn seeds_decide_the_sequence() {
        let mut random = Random::from_seed(7);
        assert_eq!(random.next_u64(), Random::from_seed(7).next_u64());
        assert_ne!(Random::from_seed(7).next_u64(), Random::from_seed(8).next_u64());
        assert_ne!(Random::from_seed(0).next_u64(), 0);
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut random = Random::from_seed(1);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn fill_reaches_every_byte() {
        for length in 0..40 {
            let mut seen = vec![0u8; length];
            let mut random = Random::from_seed(3);
            for _ in 0..8 {
                let mut bytes = vec![0u8; length];
                random.fill(&mut bytes);
                seen.iter_mut().zip(&bytes).for_each(|(sum, byte)| *sum |= byte);
            }
            assert!(seen.iter().all(|sum| *sum != 0), "{length}");
        }
    }

    #[test]
    fn run_ids_are_hexadecimal_and_differ() {
        let mut random = Random::from_seed(os_seed());
        let id = random.hex_id();
        assert_eq!(id.len(), 40);
        assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        assert_ne!(id, random.hex_id());
        assert_ne!(os_seed(), os_seed());
    }
}
