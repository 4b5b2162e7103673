//! The dense form: 16384 registers of six bits, from the lowest bits of the first byte on.
//!
//! ```text
//!   byte 0     byte 1     byte 2
//!   11000000   22221111   33333322      four registers in three bytes
//! ```
use super::REGISTERS;

const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u16 = 63;
/// Length of all registers.
pub(super) const BYTES: usize = REGISTERS * REGISTER_BITS / 8;

/// Where a register begins: its byte, and the bit in it.
fn place_of(index: usize) -> (usize, usize) {
    (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8)
}

/// The byte at `at` and the one after it; the last register does not reach into one.
fn pair(registers: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([registers[at], registers.get(at + 1).copied().unwrap_or(0)])
}

/// The value of a register.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (at, bit) = place_of(index);
    (pair(registers, at) >> bit & REGISTER_MAX) as u8
}

/// Gives a register a value up to 63.
pub(super) fn set(registers: &mut [u8], index: usize, value: u8) {
    let (at, bit) = place_of(index);
    let others = pair(registers, at) & !(REGISTER_MAX << bit);
    let [low, high] = (others | u16::from(value) << bit).to_le_bytes();
    registers[at] = low;
    if let Some(next) = registers.get_mut(at + 1) {
        *next = high;
    }
}

/// Raises a register to `value`; true if it was lower.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let is_lower = get(registers, index) < value;
    if is_lower {
        set(registers, index, value);
    }
    is_lower
}

/// All registers, four at a time.
pub(super) fn fours(registers: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    registers
        .as_chunks::<3>()
        .0
        .iter()
        .map(|[a, b, c]| [a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2])
}

/// Counts how many registers have each value.
pub(super) fn add_to_histogram(registers: &[u8], histogram: &mut [u32; 64]) {
    for four in fours(registers) {
        for value in four {
            histogram[usize::from(value)] += 1;
        }
    }
}
