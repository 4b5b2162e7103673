//! The arithmetic: the hash, and from the registers to a number.
//!
//! The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017,
//! arXiv:1702.01284), as Redis uses it since 4.0, with every operation in the same order: results are equal to the
//! last digit.
use super::{REGISTERS, RUN_BITS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// MurmurHash2, the 64-bit version for 64-bit machines.
pub(super) fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// How many elements there were, from how many registers have each value. Of registers that no elements can have made
/// it may be infinite: the least integer, as Redis prints it.
pub(super) fn cardinality(histogram: &[u32; 64]) -> i64 {
    let registers = REGISTERS as f64;
    let highest = RUN_BITS as usize + 1;
    let share = |count: u32| f64::from(count) / registers;
    let mut sum = registers * tau((registers - f64::from(histogram[highest])) / registers);
    for value in (1..highest).rev() {
        sum += f64::from(histogram[value]);
        sum *= 0.5;
    }
    sum += registers * sigma(share(histogram[0]));
    let estimate = (ALPHA * registers * registers / sum).round();
    if estimate.is_finite() { estimate as i64 } else { i64::MIN }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if before == sum {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        y *= 0.5;
        let rest = 1.0 - x;
        sum -= rest * rest * y;
        if before == sum {
            return sum / 3.0;
        }
    }
}
