//! The numbers below n in a random order, without a list of them: for drawing many different elements of something big.
//!
//! A Feistel network with random keys maps the numbers below a power of four one to one onto themselves; what lands
//! outside is mapped again until it is inside. Promise: each number once, no memory, about 30 ns each. Not for
//! secrets.
use crate::base::random::Random;

const ROUNDS: usize = 8;

/// See the head of the file.
#[derive(Clone, Debug)]
pub struct Shuffle {
    count: u64,
    next: u64,
    /// Bits of each half of a number.
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Shuffle {
    /// The numbers below `count`, which must be less than 2^62.
    #[must_use]
    pub fn new(count: u64, random: &mut Random) -> Shuffle {
        let bits = 64 - count.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        Shuffle { count, next: 0, half_bits, keys: std::array::from_fn(|_| random.next_u64()) }
    }

    /// One to one among the numbers of `2 * half_bits` bits.
    fn image(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for key in self.keys {
            let mixed = (right ^ key).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 29 ^ key >> 7).wrapping_mul(0x94d0_49bb_1331_11eb);
            (left, right) = (right, left ^ (mixed >> 32 & mask));
        }
        left << self.half_bits | right
    }
}

impl Iterator for Shuffle {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next >= self.count {
            return None;
        }
        let mut number = self.image(self.next);
        self.next += 1;
        // A number inside maps, after some steps outside, to another one inside: at most four times as many are there.
        while number >= self.count {
            number = self.image(number);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_comes_once() {
        let mut random = Random::from_seed(5);
        for count in [0, 1, 2, 3, 4, 5, 15, 16, 17, 100, 1000, 65_537] {
            let mut all: Vec<u64> = Shuffle::new(count, &mut random).collect();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_number_is_equally_likely_anywhere() {
        let mut random = Random::from_seed(6);
        for count in [2usize, 5, 7, 64, 100] {
            let rounds = 2000 * count;
            let mut hits = vec![vec![0f64; count]; 3];
            for _ in 0..rounds {
                let order: Vec<u64> = Shuffle::new(count as u64, &mut random).collect();
                hits[0][order[0] as usize] += 1.0;
                hits[1][order[1] as usize] += 1.0;
                // Also the second, given the first.
                hits[2][((order[1] + count as u64 - order[0]) % count as u64) as usize] += 1.0;
            }
            for (kind, hits) in hits.iter().enumerate() {
                let (likely, from) = match kind {
                    2 => (rounds as f64 / (count - 1) as f64, 1),
                    _ => (rounds as f64 / count as f64, 0),
                };
                let chi: f64 = hits[from..].iter().map(|hit| (hit - likely).powi(2) / likely).sum();
                let freedom = (hits.len() - from - 1) as f64;
                assert!(chi < freedom + 5.0 * (2.0 * freedom).sqrt() + 8.0, "{count} {kind} {chi}");
            }
        }
    }
}
