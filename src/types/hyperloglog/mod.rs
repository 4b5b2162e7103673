//! HyperLogLog: how many different elements were added, within 0.81 %, in at most 12 KiB.
//!
//! A HyperLogLog is a string, and its bytes are Redis's:
//!
//! ```text
//!   0      4          5         8                 16
//!   | HYLL | encoding | 0 0 0   | cached count    | registers …
//!   encoding       0 dense, 1 sparse
//!   cached count   64 bits, little-endian; the highest bit set: not valid
//!   dense          16384 registers of 6 bits, the lowest bits of each byte first: 12288 bytes
//!   sparse         runs of equal registers, 1 or 2 bytes each: see `sparse`
//! ```
//!
//! An element's hash names a register by its low 14 bits; the register keeps the longest run of zeros seen above them.
//! A sparse string becomes dense when it would outgrow `hll-sparse-max-bytes` or needs a register above 32.
//!
//! A string of the right head can still be corrupt: whoever finds that reports [`Corrupt`].
//!
//! Cost: an element O(1) when dense, O(bytes) when sparse; a count or merge O(registers), some 10 us. No string is
//! looked at beyond 32 KiB, whatever a client has put there.

mod dense;
mod estimate;
mod registers;
mod self_test;
mod sparse;
#[cfg(test)]
mod tests;

pub use registers::Registers;
pub use self_test::SelfTest;

/// Registers of a HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that name a register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are left.
const RUN_BITS: u32 = 64 - INDEX_BITS;
/// Bytes before the registers.
const HEADER_BYTES: usize = 16;
/// Length of a dense string.
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
/// Longest sparse string that can be valid: two bytes for each register.
const SPARSE_BYTES_MAX: usize = HEADER_BYTES + 2 * REGISTERS;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
/// Set in the last byte of a cached count that is not valid.
const COUNT_IS_STALE: u8 = 0x80;
/// Redis's seed of the hash.
const HASH_SEED: u64 = 0xadc8_3b19;

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

/// The runs of a sparse HyperLogLog do not cover the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Why a string is not taken for a HyperLogLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not begin or is not as long as one.
    Other,
    /// It is longer than any valid one.
    Corrupt,
}

impl From<Corrupt> for Refused {
    fn from(_: Corrupt) -> Refused {
        Refused::Corrupt
    }
}

/// A new, empty HyperLogLog. Its count, 0, is cached.
#[must_use]
pub fn new_text() -> Vec<u8> {
    let mut text = vec![0; HEADER_BYTES];
    text[..MAGIC.len()].copy_from_slice(MAGIC);
    text[ENCODING_AT] = 1;
    text.extend_from_slice(&sparse::EMPTY);
    text
}

/// Looks at the head and the length of a string; all functions here expect one that passed. O(1).
pub fn check(text: &[u8]) -> Result<Encoding, Refused> {
    if text.len() < HEADER_BYTES || !text.starts_with(MAGIC) {
        return Err(Refused::Other);
    }
    match text[ENCODING_AT] {
        0 if text.len() == DENSE_BYTES => Ok(Encoding::Dense),
        // DIFFERS: Redis goes through all of it before it says so, if the command ever comes to the end.
        1 if text.len() > SPARSE_BYTES_MAX => Err(Refused::Corrupt),
        1 => Ok(Encoding::Sparse),
        _ => Err(Refused::Other),
    }
}

/// How the registers of a string that passed [`check`] are stored.
#[must_use]
pub fn encoding(text: &[u8]) -> Encoding {
    if text.get(ENCODING_AT) == Some(&0) { Encoding::Dense } else { Encoding::Sparse }
}

/// Adds an element; true if a register changed, and then the cached count is no longer valid in a sparse string.
pub fn add(text: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let (index, value) = place_of(element);
    raise(text, index, value, sparse_bytes_max)
}

/// Raises a register to `value`, 1 to 63; true if it was lower.
fn raise(
    text: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: usize,
) -> Result<bool, Corrupt> {
    match encoding(text) {
        Encoding::Dense => Ok(dense::raise(&mut text[HEADER_BYTES..], index, value)),
        Encoding::Sparse => match sparse::raise(text, index, value, sparse_bytes_max)? {
            sparse::Raised::Not => Ok(false),
            sparse::Raised::Here => {
                invalidate_count(text);
                Ok(true)
            }
            sparse::Raised::NeedsDense => {
                to_dense(text)?;
                Ok(dense::raise(&mut text[HEADER_BYTES..], index, value))
            }
        },
    }
}

/// The register an element belongs to, and what it raises it to.
fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = estimate::murmur_hash_64a(element, HASH_SEED);
    let index = hash as usize & (REGISTERS - 1);
    // One more bit than there is, so that the run of zeros ends.
    let run = (hash >> INDEX_BITS | 1 << RUN_BITS).trailing_zeros();
    (index, run as u8 + 1)
}

/// Makes a sparse string dense; true if it was sparse.
pub fn to_dense(text: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if encoding(text) == Encoding::Dense {
        return Ok(false);
    }
    let mut dense = Vec::with_capacity(DENSE_BYTES);
    dense.extend_from_slice(&text[..HEADER_BYTES]);
    dense[ENCODING_AT] = 0;
    dense.resize(DENSE_BYTES, 0);
    for run in sparse::checked_runs(&text[HEADER_BYTES..]) {
        let run = run?;
        if run.value > 0 {
            for index in run.registers() {
                dense::raise(&mut dense[HEADER_BYTES..], index, run.value);
            }
        }
    }
    *text = dense;
    Ok(true)
}

/// The cached count, if it is valid. O(1).
#[must_use]
pub fn cached_count(text: &[u8]) -> Option<i64> {
    let bytes = text.get(COUNT_AT..)?.first_chunk::<8>()?;
    if bytes[7] & COUNT_IS_STALE != 0 {
        return None;
    }
    Some(i64::from_le_bytes(*bytes))
}

/// Caches what was counted. O(1).
pub fn cache_count(text: &mut [u8], count: i64) {
    if let Some(place) = text.get_mut(COUNT_AT..HEADER_BYTES) {
        place.copy_from_slice(&count.to_le_bytes());
    }
}

/// The cached count is no longer that of the registers. O(1).
pub fn invalidate_count(text: &mut [u8]) {
    if let Some(last) = text.get_mut(HEADER_BYTES - 1) {
        *last |= COUNT_IS_STALE;
    }
}

/// Counts the elements from the registers, whatever is cached. O(registers).
pub fn count(text: &[u8]) -> Result<i64, Corrupt> {
    let registers = &text[HEADER_BYTES..];
    let mut histogram = [0u32; 64];
    match encoding(text) {
        Encoding::Dense => dense::add_to_histogram(registers, &mut histogram),
        Encoding::Sparse => {
            for run in sparse::checked_runs(registers) {
                let run = run?;
                histogram[usize::from(run.value)] += run.length as u32;
            }
        }
    }
    Ok(estimate::cardinality(&histogram))
}

/// The value of each register, in order. O(registers).
pub fn values(text: &[u8]) -> Result<Registers, Corrupt> {
    let mut registers = Registers::new();
    registers.merge(text)?;
    Ok(registers)
}

/// The runs of a sparse string in words, as PFDEBUG DECODE shows them: `Z:16383 v:3,1`. O(bytes).
#[must_use]
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in sparse::runs(&text[HEADER_BYTES..]) {
        let words = match (run.value, run.bytes) {
            (0, 1) => format!("z:{} ", run.length),
            (0, _) => format!("Z:{} ", run.length),
            (value, _) => format!("v:{value},{} ", run.length),
        };
        out.extend_from_slice(words.as_bytes());
    }
    out.pop();
    out
}
