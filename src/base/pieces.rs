//! Work that is done in pieces, and big buffers that are freed in pieces.
//!
//! A piece of work is a struct with `step(&mut self, …, units) -> Progress`: it does about `units` units (each says
//! what one is) and remembers where it stopped. The caller looks at the clock between steps. What a step reads is
//! handed to it each time, so no piece of work borrows anything between two steps; it must be the same each time.
//!
//! Giving 300 MB back to the system at once takes 13 ms (measured with glibc: 43 us per MB). So what may be big
//! is [`Garbage`]: it is freed a megabyte at a time, the last piece when it is dropped.
use crate::base::block::Block;

/// Whether a piece of work is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Call again.
    More,
    /// All is done; further calls change nothing.
    Done,
}

impl Progress {
    /// Whether nothing is left to do.
    pub fn is_done(self) -> bool {
        self == Progress::Done
    }
}

/// Bytes given back per unit of freeing. Less than twice as much is freed at once.
pub const FREE_PIECE_BYTES: usize = 1 << 20;

/// What may take long to free.
pub trait Garbage {
    /// Frees about `units` megabytes or small things; `Done` once what is left may be dropped in no time.
    fn free_slice(&mut self, units: usize) -> Progress;
}

/// [`Garbage::free_slice`] for a buffer of what owns nothing.
pub fn free_buffer<T: Copy>(buffer: &mut Vec<T>, units: usize) -> Progress {
    for _ in 0..units {
        if free_piece(buffer).is_done() {
            return Progress::Done;
        }
    }
    Progress::More
}

impl Garbage for Vec<u8> {
    fn free_slice(&mut self, units: usize) -> Progress {
        free_buffer(self, units)
    }
}

impl Garbage for Vec<u64> {
    fn free_slice(&mut self, units: usize) -> Progress {
        free_buffer(self, units)
    }
}

/// A block that somebody else holds as well is theirs to free.
impl Garbage for Block {
    fn free_slice(&mut self, units: usize) -> Progress {
        match Block::get_mut(self) {
            Some(bytes) => bytes.free_slice(units),
            None => Progress::Done,
        }
    }
}

impl Garbage for Vec<Block> {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            let Some(block) = self.last_mut() else { return Progress::Done };
            if block.free_slice(1).is_done() {
                self.pop();
            }
        }
        if self.is_empty() { Progress::Done } else { Progress::More }
    }
}

/// Frees one piece off the end of a buffer. `Done`: it is empty and owns nothing.
fn free_piece<T: Copy>(buffer: &mut Vec<T>) -> Progress {
    let piece = (FREE_PIECE_BYTES / size_of::<T>().max(1)).max(1);
    let place = buffer.as_ptr();
    if buffer.capacity() > 2 * piece {
        let rest = buffer.capacity() - piece;
        buffer.truncate(rest);
        buffer.shrink_to(rest);
        // An allocator that shrinks by copying (a checking one does) would copy the rest for every piece: there
        // it is freed at once. Make sure of progress either way.
        if buffer.as_ptr() == place && buffer.capacity() <= rest {
            return Progress::More;
        }
    }
    *buffer = Vec::new();
    Progress::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_big_buffer_shrinks_by_a_piece_per_unit() {
        let mut buffer: Vec<u64> = vec![7; 10 * FREE_PIECE_BYTES / 8];
        let mut steps = 0;
        while free_buffer(&mut buffer, 1) == Progress::More {
            steps += 1;
            assert_eq!(buffer.capacity() * 8, (10 - steps) * FREE_PIECE_BYTES);
        }
        assert_eq!((steps, buffer.capacity()), (8, 0));
        // Room that was never used is freed just so.
        let mut buffer: Vec<u8> = Vec::with_capacity(5 * FREE_PIECE_BYTES);
        assert_eq!(buffer.free_slice(3), Progress::More);
        assert_eq!(buffer.capacity(), 2 * FREE_PIECE_BYTES);
        assert_eq!(buffer.free_slice(3), Progress::Done);
    }

    #[test]
    fn shared_blocks_stay() {
        let big = || Arc::new(vec![1u8; 4 * FREE_PIECE_BYTES]);
        let kept = big();
        let mut blocks = vec![big(), Arc::clone(&kept), Arc::new(Vec::new()), big()];
        let mut steps = 0;
        while blocks.free_slice(1) == Progress::More {
            steps += 1;
        }
        // Three pieces for each of the two big ones, one for each of the others; the last step says so.
        assert_eq!(steps, 3 + 1 + 1 + 3 - 1);
        assert_eq!((kept.len(), Arc::strong_count(&kept)), (4 * FREE_PIECE_BYTES, 1));
    }
}
