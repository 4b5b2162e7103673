//! PFSELFTEST: whether registers keep what is written to them, and whether estimates are as near as they should be.
//!
//! A thousand fillings of the dense registers with random values, then ten million elements added to a dense and a
//! sparse HyperLogLog, which at each power of ten have to agree and to be within six standard errors.
//!
//! Cost: a unit is one filling or a thousand elements, 50 to 100 us; 11 000 units.
use super::{Corrupt, Encoding};
use super::{HEADER_BYTES, REGISTERS, add, count, dense, encoding, new_text, to_dense};
use crate::base::pieces::Progress;
use crate::base::random::Random;

const FILLINGS: u64 = 1000;
const ELEMENTS: u64 = 10_000_000;
const ELEMENTS_PER_UNIT: u64 = 1000;
/// Standard errors that are still no failure.
const ERRORS_MAX: f64 = 6.0;

/// The test under way.
pub struct SelfTest {
    random: Random,
    /// Fillings done.
    filled: u64,
    dense: Vec<u8>,
    sparse: Vec<u8>,
    sparse_bytes_max: usize,
    seed: u64,
    /// Elements added.
    added: u64,
    /// The number of elements at which is looked next.
    checkpoint: u64,
}

impl SelfTest {
    /// A test that has not begun. `sparse_bytes_max`: as for [`add`].
    #[must_use]
    pub fn new(seed: u64, sparse_bytes_max: usize) -> SelfTest {
        let mut random = Random::from_seed(seed);
        let mut dense = new_text();
        // An empty one is not corrupt.
        let _ = to_dense(&mut dense);
        let seed = random.next_u64();
        let sparse = new_text();
        SelfTest {
            random,
            filled: 0,
            dense,
            sparse,
            sparse_bytes_max,
            seed,
            added: 0,
            checkpoint: 1,
        }
    }

    /// Goes on; an error says what failed.
    pub fn step(&mut self, units: usize) -> Result<Progress, String> {
        for _ in 0..units {
            if self.filled < FILLINGS {
                self.fill()?;
                self.filled += 1;
            } else if self.added < ELEMENTS {
                self.add_some()?;
            } else {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    fn fill(&mut self) -> Result<(), String> {
        let is_last = self.filled + 1 == FILLINGS;
        let registers = &mut self.dense[HEADER_BYTES..];
        let mut values = [0; REGISTERS];
        self.random.fill(&mut values);
        for (index, value) in values.iter_mut().enumerate() {
            *value &= 63;
            dense::set(registers, index, *value);
        }
        for (index, value) in values.iter().enumerate() {
            let found = dense::get(registers, index);
            if found != *value {
                return Err(format!("Register {index} should be {value} but is {found}"));
            }
        }
        if is_last {
            registers.fill(0);
        }
        Ok(())
    }

    fn add_some(&mut self) -> Result<(), String> {
        let disagree = |_: Corrupt| "dense/sparse disagree".to_owned();
        for _ in 0..ELEMENTS_PER_UNIT {
            self.added += 1;
            let element = (self.added ^ self.seed).to_le_bytes();
            add(&mut self.dense, &element, self.sparse_bytes_max).map_err(disagree)?;
            add(&mut self.sparse, &element, self.sparse_bytes_max).map_err(disagree)?;
            if self.added == self.checkpoint {
                self.check()?;
                self.checkpoint *= 10;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let elements = self.checkpoint;
        let is_sparse = encoding(&self.sparse) == Encoding::Sparse;
        if elements < self.sparse_bytes_max as u64 / 2 && !is_sparse {
            return Err("sparse encoding not used".to_owned());
        }
        let found = count(&self.dense);
        if found != count(&self.sparse) {
            return Err("dense/sparse disagree".to_owned());
        }
        let error = found.map_or(u64::MAX, |found| elements.abs_diff(found as u64));
        let standard_error = 1.04 / (REGISTERS as f64).sqrt();
        // Of ten, two in one register are not so rare.
        let error_max = match elements {
            10 => 1,
            _ => (standard_error * ERRORS_MAX * elements as f64).ceil() as u64,
        };
        if error > error_max {
            return Err(format!("Too big error. card:{elements} abserr:{error}"));
        }
        Ok(())
    }
}
