//! A set of numbers that never stalls: what was chosen before, when members are drawn at random without repetition.
//!
//! For elements that have ids in no order, as those of a set; where they have ranks, as in a sorted set, `shuffle`
//! needs no memory.
//!
//! Cost: O(1) per number; a set of std would grow by moving everything at once.
use super::table::Table;
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};

/// Different numbers above 0.
#[derive(Default)]
pub struct Distinct {
    table: Table,
}

impl Distinct {
    /// Adds a number above 0; whether it is new.
    pub fn insert(&mut self, number: u32) -> Result<bool, OutOfMemory> {
        let hash = spread(number);
        if self.table.find(hash, |other| other == number).is_some() {
            return Ok(false);
        }
        self.table.insert(hash, number, false)?;
        self.table.grow(|_| {}, spread);
        Ok(true)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl Garbage for Distinct {
    fn free_slice(&mut self, units: usize) -> Progress {
        if self.table.dismantle(units) { Progress::Done } else { Progress::More }
    }
}

/// The numbers are no secret and nobody chooses them, so any mixture of their bits does.
fn spread(number: u32) -> u64 {
    let product = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_new() {
        let mut chosen = Distinct::default();
        for round in 0..2 {
            for number in 1..5000u32 {
                assert_eq!(chosen.insert(number.wrapping_mul(16) | 1), Ok(round == 0), "{number}");
            }
        }
        assert_eq!((chosen.len(), chosen.is_empty()), (4999, false));
        while !chosen.free_slice(1).is_done() {}
        assert!(chosen.is_empty());
    }
}
