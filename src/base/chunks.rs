//! A list that grows without a big step: its elements stand in chunks that never move.
//!
//! A `Vec` of millions of elements is copied to a place twice as big now and then, and given back to the system in one
//! go: some milliseconds each. Here a push copies no more than one small chunk, and what is left is freed chunk by
//! chunk ([`Garbage`]).
//!
//! Cost: as a `Vec`, with a division by a constant per access; a list of few elements takes what a `Vec` of them takes.
use crate::base::pieces::{Garbage, Progress};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// The list. See the head of the file.
#[derive(Clone, Debug)]
pub struct Chunks<T> {
    /// All full but the last, which is not empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Chunks<T> {
        Chunks { chunks: Vec::new() }
    }
}

impl<T> Chunks<T> {
    /// Elements of a full chunk.
    const FULL: usize = if size_of::<T>() > CHUNK_BYTES / 16 {
        16
    } else if size_of::<T>() == 0 {
        CHUNK_BYTES
    } else {
        CHUNK_BYTES / size_of::<T>()
    };

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * Self::FULL + last
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Appends an element. O(1), but for one small chunk that grows.
    pub fn push(&mut self, element: T) {
        match self.chunks.last_mut().filter(|last| last.len() < Self::FULL) {
            Some(last) => last.push(element),
            None => {
                let is_first = self.chunks.is_empty();
                let mut fresh = Vec::with_capacity(if is_first { 0 } else { Self::FULL });
                fresh.push(element);
                self.chunks.push(fresh);
            }
        }
    }

    /// Takes the last element away.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.chunks.last_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        element
    }

    /// The element at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / Self::FULL)?.get(index % Self::FULL)
    }

    /// The last element.
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.last_mut()?.last_mut()
    }

    /// The elements from an index on; what is skipped costs nothing.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        let first = index / Self::FULL;
        let chunks = self.chunks.get(first..).unwrap_or(&[]).iter();
        chunks.enumerate().flat_map(move |(number, chunk)| {
            let skipped = if number == 0 { index % Self::FULL } else { 0 };
            chunk.get(skipped..).unwrap_or(&[])
        })
    }

    /// All elements.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(0)
    }
}

impl<T> Extend<T> for Chunks<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        elements.into_iter().for_each(|element| self.push(element));
    }
}

impl<T> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Chunks<T> {
        let mut chunks = Chunks::default();
        chunks.extend(elements);
        chunks
    }
}

/// Of elements that own nothing: a unit is a chunk.
impl<T: Copy> Garbage for Chunks<T> {
    fn free_slice(&mut self, units: usize) -> Progress {
        let left = self.chunks.len().saturating_sub(units);
        self.chunks.truncate(left);
        if left == 0 { Progress::Done } else { Progress::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_moves_and_no_chunk_is_larger_than_another() {
        let full = Chunks::<u64>::FULL;
        let mut list: Chunks<u64> = (0..full as u64).collect();
        let place = list.get(0).map(std::ptr::from_ref);
        list.extend(0..3 * full as u64);
        assert_eq!(list.get(0).map(std::ptr::from_ref), place);
        let bytes = list.chunks.iter().map(|chunk| chunk.capacity() * 8).max();
        assert_eq!(bytes, Some(CHUNK_BYTES));
        // Four chunks, two at a time.
        assert_eq!(list.free_slice(2), Progress::More);
        assert_eq!(list.len(), 2 * full);
        assert_eq!(list.free_slice(2), Progress::Done);
        assert!(list.is_empty() && list.chunks.capacity() < 16);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_a_vec(steps in proptest::collection::vec((0u8..4, 0usize..50), 0..200)) {
            // 16 to a chunk.
            type Wide = [u64; CHUNK_BYTES / 8 / 16];
            let wide = |number: usize| -> Wide { [number as u64; CHUNK_BYTES / 8 / 16] };
            let (mut list, mut model) = (Chunks::<Wide>::default(), Vec::new());
            for (what, number) in steps {
                match what {
                    0 => prop_assert_eq!(list.pop().map(|wide| wide[0] as usize), model.pop()),
                    _ => {
                        list.push(wide(number));
                        model.push(number);
                    }
                }
                prop_assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
                let at = |index: usize| list.get(index).map(|wide| wide[0] as usize);
                prop_assert_eq!(at(number), model.get(number).copied());
                let rest = list.iter_from(number).map(|wide| wide[0] as usize);
                let rest: Vec<usize> = rest.collect();
                prop_assert_eq!(&rest[..], model.get(number..).unwrap_or(&[]));
            }
        }
    }
}
