//! The clients that listen to one channel or pattern, in the order in which they came.
//!
//! ```text
//!   (17, slot 4) (23, slot 9) (31, slot 2) …       sorted by the number of the subscription, which only grows
//! ```
//!
//! A few stand in a plain list, since most channels have one listener; many in a tree, from which any of them leaves in
//! O(log n) and in which a delivery goes on where it was interrupted, whoever came or left meanwhile.
//!
//! Cost: 16 bytes per listener while there are few, about 20 when there are many; no step moves more than
//! [`FEW_MAX`] of them.
use std::collections::BTreeMap;
use std::ops::Range;

/// Listeners in a plain list.
const FEW_MAX: usize = 32;

/// Listeners of one topic.
#[derive(Debug)]
pub enum Readers {
    /// Up to [`FEW_MAX`], sorted.
    Few(Vec<(u64, u32)>),
    /// More than that. Not made small again before it is empty.
    Many(BTreeMap<u64, u32>),
}

impl Default for Readers {
    fn default() -> Readers {
        Readers::Few(Vec::new())
    }
}

impl Readers {
    /// Adds a client's slot under the number of its subscription, which must be above all others.
    pub fn push(&mut self, number: u64, slot: u32) {
        match self {
            Readers::Few(few) if few.len() < FEW_MAX => few.push((number, slot)),
            Readers::Few(few) => {
                let mut many: BTreeMap<u64, u32> = few.drain(..).collect();
                many.insert(number, slot);
                *self = Readers::Many(many);
            }
            Readers::Many(many) => {
                many.insert(number, slot);
            }
        }
    }

    /// Takes a subscription out.
    pub fn remove(&mut self, number: u64) {
        match self {
            Readers::Few(few) => {
                if let Ok(at) = few.binary_search_by_key(&number, |(number, _)| *number) {
                    few.remove(at);
                }
            }
            Readers::Many(many) => {
                many.remove(&number);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Readers::Few(few) => few.len(),
            Readers::Many(many) => many.len(),
        }
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits those whose numbers are in `range`, in order, at most `limit`; the number after the last visited, or
    /// `None` when nothing is left in the range.
    pub fn visit(
        &self,
        range: Range<u64>,
        limit: usize,
        mut visit: impl FnMut(u64, u32),
    ) -> Option<u64> {
        let mut next = None;
        match self {
            Readers::Few(few) => {
                let from = few.partition_point(|(number, _)| *number < range.start);
                let in_range = few[from..].iter().take_while(|(number, _)| *number < range.end);
                for &(number, slot) in in_range.take(limit) {
                    visit(number, slot);
                    next = Some(number + 1);
                }
            }
            Readers::Many(many) => {
                for (&number, &slot) in many.range(range).take(limit) {
                    visit(number, slot);
                    next = Some(number + 1);
                }
            }
        }
        next
    }
}
