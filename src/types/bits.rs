//! Strings as rows of bits. Bit 0 is the highest of the first byte, as Redis counts them.
//!
//! Ranges are half-open and in bits, whatever a command was told; a part of a range is a range, so long work is cut
//! by the caller where it likes.
//!
//! Cost: whole words at a time, 5 to 10 GB/s.
use std::ops::Range;

/// One of the two values of a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bit {
    /// Clear.
    Zero,
    /// Set.
    One,
}

impl Bit {
    /// 1 where `is_one`.
    #[must_use]
    pub fn of(is_one: bool) -> Bit {
        if is_one { Bit::One } else { Bit::Zero }
    }

    /// Whether it is 1.
    #[must_use]
    pub fn is_one(self) -> bool {
        self == Bit::One
    }

    /// A byte of eight such bits.
    fn byte(self) -> u8 {
        if self.is_one() { 0xff } else { 0 }
    }
}

/// The bit at `offset`; beyond the end all are 0. O(1).
#[must_use]
pub fn get(bytes: &[u8], offset: u64) -> Bit {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    Bit::of(byte.is_some_and(|byte| byte & mask_of(offset) != 0))
}

/// Sets the bit at `offset`, which is within the string, and tells what it was. O(1).
pub fn set(bytes: &mut [u8], offset: u64, bit: Bit) -> Bit {
    let Some(byte) = bytes.get_mut((offset / 8) as usize) else { return Bit::Zero };
    let mask = mask_of(offset);
    let before = Bit::of(*byte & mask != 0);
    *byte = *byte & !mask | bit.byte() & mask;
    before
}

fn mask_of(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// How many bits of a range are 1; what is beyond the string counts as 0. O(range).
#[must_use]
pub fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    let Some(parts) = Parts::of(bytes, &range) else { return 0 };
    let edges =
        (parts.head & parts.head_mask).count_ones() + (parts.tail & parts.tail_mask).count_ones();
    u64::from(edges) + count_bytes(parts.middle)
}

fn count_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u64 =
        words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Where in a range the first bit of this value is; `None` where there is none. The range ends at the end of the
/// string at the latest. O(range).
#[must_use]
pub fn find(bytes: &[u8], range: Range<u64>, wanted: Bit) -> Option<u64> {
    let parts = Parts::of(bytes, &range)?;
    // With what is wanted as 1, the first is told by the number of leading zeros.
    let flip = wanted.byte() ^ 0xff;
    let in_byte = |byte: u8, mask: u8| {
        let found = (byte ^ flip) & mask;
        (found != 0).then(|| u64::from(found.leading_zeros()))
    };
    let middle_at = range.start / 8 + 1;
    let tail_at = middle_at + parts.middle.len() as u64;
    if let Some(at) = in_byte(parts.head, parts.head_mask) {
        return Some(range.start / 8 * 8 + at);
    }
    if let Some(at) = find_other_byte(parts.middle, flip) {
        let at_bit = in_byte(parts.middle[at], 0xff).unwrap_or(0);
        return Some((middle_at + at as u64) * 8 + at_bit);
    }
    in_byte(parts.tail, parts.tail_mask).map(|at| tail_at * 8 + at)
}

/// Where the first byte is that is not `usual`.
fn find_other_byte(bytes: &[u8], usual: u8) -> Option<usize> {
    // Blocks are compared whole, which is done with wide registers; only one is searched.
    const BLOCK_BYTES: usize = 64;
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    let is_other = |byte: &u8| *byte != usual;
    let differs = |block: &&[u8; BLOCK_BYTES]| {
        block.iter().fold(0, |differences, byte| differences | (byte ^ usual)) != 0
    };
    let same = blocks.iter().position(|block| differs(&block)).unwrap_or(blocks.len());
    let start = same * BLOCK_BYTES;
    let searched = blocks.get(same).map_or(rest, |block| &block[..]);
    searched.iter().position(is_other).map(|at| start + at)
}

/// A range of bits as whole bytes between two edges, of which the masked bits belong to it.
struct Parts<'a> {
    head: u8,
    head_mask: u8,
    middle: &'a [u8],
    tail: u8,
    tail_mask: u8,
}

impl<'a> Parts<'a> {
    /// `None`: no bit of the string is in the range.
    fn of(bytes: &'a [u8], range: &Range<u64>) -> Option<Parts<'a>> {
        let end = range.end.min(bytes.len() as u64 * 8);
        if range.start >= end {
            return None;
        }
        let (first, last) = ((range.start / 8) as usize, ((end - 1) / 8) as usize);
        let from_start = 0xff >> (range.start % 8);
        let to_end = 0xff << (7 - (end - 1) % 8);
        if first == last {
            let head_mask = from_start & to_end;
            return Some(Parts {
                head: bytes[first],
                head_mask,
                middle: &[],
                tail: 0,
                tail_mask: 0,
            });
        }
        Some(Parts {
            head: bytes[first],
            head_mask: from_start,
            middle: &bytes[first + 1..last],
            tail: bytes[last],
            tail_mask: to_end,
        })
    }
}

/// What BITOP does to several strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits that are 1 in all.
    And,
    /// Bits that are 1 in any.
    Or,
    /// Bits that are 1 in an odd number of them.
    Xor,
    /// Of one string: the opposite.
    Not,
}

/// Combines the next operand into `result`. The shorter of the two ends in zeros; `result` keeps its length. For
/// `Not`, `operand` takes its opposite's place. O(result).
pub fn combine(operation: Operation, result: &mut [u8], operand: &[u8]) {
    let common = result.len().min(operand.len());
    let (result, beyond) = result.split_at_mut(common);
    let pairs = result.iter_mut().zip(operand);
    match operation {
        Operation::And => {
            pairs.for_each(|(byte, other)| *byte &= other);
            beyond.fill(0);
        }
        Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
        Operation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
        Operation::Not => pairs.for_each(|(byte, other)| *byte = !other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every bit for itself.
    fn naive(bytes: &[u8]) -> Vec<bool> {
        let bits = |byte: &u8| {
            let byte = *byte;
            (0..8).map(move |at| byte >> (7 - at) & 1 == 1)
        };
        bytes.iter().flat_map(bits).collect()
    }

    /// Bytes that are mostly all ones or all zeros, as bitmaps are.
    fn bitmap() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![8 => Just(0u8), 8 => Just(0xff), 1 => any::<u8>()];
        let runs = (byte, 1usize..200).prop_map(|(byte, length)| vec![byte; length]);
        prop::collection::vec(runs, 0..8).prop_map(|runs| runs.concat())
    }

    #[test]
    fn bits_are_counted_from_the_highest() {
        let mut text = *b"\x01\x80";
        assert_eq!(
            [6, 7, 8, 9, 16].map(|at| get(&text, at).is_one()),
            [false, true, true, false, false]
        );
        assert_eq!(set(&mut text, 7, Bit::Zero), Bit::One);
        assert_eq!(set(&mut text, 15, Bit::One), Bit::Zero);
        assert_eq!(text, [0, 0x81]);
        assert_eq!(get(&text, u64::MAX), Bit::Zero);
    }

    proptest! {
        #[test]
        fn ranges_as_bit_by_bit(bytes in bitmap(), start in 0u64..3000, length in 0u64..9000) {
            let range = start..start + length;
            let bits = naive(&bytes);
            let within = || bits.iter().enumerate().take(range.end as usize).skip(start as usize);
            let ones = within().filter(|(_, bit)| **bit).count();
            prop_assert_eq!(count(&bytes, range.clone()), ones as u64);
            for wanted in [Bit::Zero, Bit::One] {
                let expected = within().find(|(_, bit)| **bit == wanted.is_one());
                let found = find(&bytes, range.clone(), wanted);
                prop_assert_eq!(found, expected.map(|(at, _)| at as u64));
            }
        }

        #[test]
        fn combinations_as_bit_by_bit(first in bitmap(), second in bitmap()) {
            let length = first.len().max(second.len());
            for operation in [Operation::And, Operation::Or, Operation::Xor] {
                let mut result = first.clone();
                result.resize(length, 0);
                combine(operation, &mut result, &second);
                let at = |bytes: &[u8], index| bytes.get(index).copied().unwrap_or(0);
                let expected = (0..length).map(|index| {
                    let (a, b) = (at(&first, index), at(&second, index));
                    match operation {
                        Operation::And => a & b,
                        Operation::Or => a | b,
                        Operation::Xor | Operation::Not => a ^ b,
                    }
                });
                prop_assert_eq!(result, expected.collect::<Vec<_>>());
            }
            let mut result = vec![0; first.len()];
            combine(Operation::Not, &mut result, &first);
            prop_assert!(result.iter().zip(&first).all(|(not, byte)| *not == !byte));
        }
    }
}
