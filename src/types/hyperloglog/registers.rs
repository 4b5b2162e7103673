//! The registers of several HyperLogLogs merged, a byte each: what PFCOUNT of several keys and PFMERGE work on.
use std::ops::Range;

use super::{Corrupt, Encoding, HEADER_BYTES, REGISTERS, dense, encoding, estimate, raise, sparse};

/// The greatest value seen of each register.
pub struct Registers {
    values: Vec<u8>,
}

impl Default for Registers {
    fn default() -> Registers {
        Registers::new()
    }
}

impl Registers {
    /// All 0. 16 KiB.
    #[must_use]
    pub fn new() -> Registers {
        Registers { values: vec![0; REGISTERS] }
    }

    /// Raises each register to that of `text`. After an error some are raised. O(registers).
    pub fn merge(&mut self, text: &[u8]) -> Result<(), Corrupt> {
        let registers = &text[HEADER_BYTES..];
        match encoding(text) {
            Encoding::Dense => {
                let (fours, _) = self.values.as_chunks_mut::<4>();
                for (own, other) in fours.iter_mut().zip(dense::fours(registers)) {
                    for (value, other) in own.iter_mut().zip(other) {
                        *value = (*value).max(other);
                    }
                }
            }
            Encoding::Sparse => {
                for run in sparse::checked_runs(registers) {
                    let run = run?;
                    if run.value > 0 {
                        for value in &mut self.values[run.registers()] {
                            *value = (*value).max(run.value);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts the elements. O(registers).
    #[must_use]
    pub fn count(&self) -> i64 {
        let mut histogram = [0; 64];
        for value in &self.values {
            histogram[usize::from(value & 63)] += 1;
        }
        estimate::cardinality(&histogram)
    }

    /// Raises some registers of `text` to these. As Redis does it a register that cannot be raised is left out: after
    /// a merge of the same text there is none. O(range), and as much again for each byte of a sparse string.
    pub fn raise_in(&self, text: &mut Vec<u8>, range: Range<usize>, sparse_bytes_max: usize) {
        let end = range.end.min(REGISTERS);
        for index in range.start..end {
            let value = self.values[index];
            if value > 0 {
                let _ = raise(text, index, value, sparse_bytes_max);
            }
        }
    }

    /// The values, in order.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        &self.values
    }
}
