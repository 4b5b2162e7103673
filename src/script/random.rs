//! `math.random` of scripts: the generator of Redis, so that a seed gives the same numbers there and here.
//!
//! It is `lrand48` of POSIX: a linear congruential generator of 48 bits, of which the upper 31 are used.
use std::cell::Cell;

/// One past the largest number that [`Lrand48::next`] gives.
const RANGE: f64 = 2_147_483_647.0;
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// What the state is before anybody seeds it.
const STATE_START: u64 = 0x1234_ABCD_330E;

/// The state of the generator.
pub struct Lrand48 {
    state: Cell<u64>,
}

impl Default for Lrand48 {
    fn default() -> Lrand48 {
        Lrand48 { state: Cell::new(STATE_START) }
    }
}

impl Lrand48 {
    /// Starts over from `seed`.
    pub fn seed(&self, seed: i32) {
        self.state.set((u64::from(seed as u32) << 16) + 0x330E);
    }

    /// A number from 0 to less than 1.
    pub fn next(&self) -> f64 {
        let state = self.state.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.state.set(state);
        ((state >> 17) as f64 % RANGE) / RANGE
    }
}

#[cfg(test)]
mod tests {
    use super::Lrand48;

    #[test]
    fn numbers_are_those_of_redis() {
        let random = Lrand48::default();
        random.seed(10);
        let first = random.next();
        assert_eq!(format!("{first:.14}"), "0.87885112309775");
        assert_eq!((random.next() * 100.0).floor() as i64 + 1, 80);
        assert_eq!((random.next() * 6.0).floor() as i64 + 5, 7);
    }
}
