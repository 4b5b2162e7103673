//! The longest common subsequence of two strings, as LCS answers it: its length, its bytes, its runs.
//!
//! With `L(i, j)` the length for the first `i` bytes of `a` and the first `j` of `b`, neighbours in a row differ
//! by 0 or 1. So a row is one bit per byte of `b`, and 64 of its cells are computed by four operations
//! (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004):
//!
//! ```text
//! bit j of row i   0 where L(i, j+1) = L(i, j) + 1, else 1;  row 0 is all ones
//! row i            (R + (R & M)) | (R & !M)    with R row i-1, M the places in b of byte i of a
//! ```
//!
//! The bits are also all that finding the subsequence needs. Walking back from the end, Redis goes up where the
//! cell above is larger than the cell to the left: that is so exactly where the row grows at this cell, since a
//! cell of two different bytes is the larger of the two. So ties fall as in Redis and the answer is the same.
//!
//! Cost: |a|·|b|/64 steps; one bit per cell for the bytes or runs (Redis: 32), two rows for the length. Memory
//! that is not there is an error, not an abort.
use std::collections::TryReserveError;

const WORD_BITS: usize = 64;

/// One run of bytes that both strings have, as part of their subsequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it begins in `a`.
    pub a_start: usize,
    /// Where it begins in `b`.
    pub b_start: usize,
    /// How many bytes, at least one.
    pub len: usize,
}

/// The length of the longest common subsequence.
pub fn length(a: &[u8], b: &[u8]) -> Result<usize, TryReserveError> {
    // The length does not depend on the order, and long rows waste fewer bits of their last word.
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let places = Places::new(short, long)?;
    let mut row = all_ones(long.len().div_ceil(WORD_BITS))?;
    for &byte in short {
        if let Some(places) = places.of(byte) {
            advance(&mut row, places);
        }
    }
    Ok(zeros(&row, long.len()))
}

/// The longest common subsequence of two strings: of several, the one Redis finds.
pub struct Lcs<'s> {
    a: &'s [u8],
    b: &'s [u8],
    /// Rows 1..=|a|, each of `row_words` words.
    rows: Vec<u64>,
    row_words: usize,
    len: usize,
}

impl<'s> Lcs<'s> {
    /// Computes the table of `a` and `b`.
    pub fn new(a: &'s [u8], b: &'s [u8]) -> Result<Lcs<'s>, TryReserveError> {
        let row_words = b.len().div_ceil(WORD_BITS);
        let places = Places::new(a, b)?;
        let mut row = all_ones(row_words)?;
        let mut rows = Vec::new();
        rows.try_reserve_exact(row_words.saturating_mul(a.len()))?;
        for &byte in a {
            if let Some(places) = places.of(byte) {
                advance(&mut row, places);
            }
            rows.extend_from_slice(&row);
        }
        let len = zeros(&row, b.len());
        Ok(Lcs { a, b, rows, row_words, len })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the strings have no byte in common.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes. O(|a| + |b|).
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        self.each_run(|run| {
            bytes.extend(self.a[run.a_start..][..run.len].iter().rev());
        });
        bytes.reverse();
        bytes
    }

    /// Its runs, the last one first, as Redis reports them. O(|a| + |b|).
    pub fn each_run(&self, mut visit: impl FnMut(Run)) {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        while i > 0 && j > 0 {
            let mut len = 0;
            while i > 0 && j > 0 && self.a[i - 1] == self.b[j - 1] {
                (i, j, len) = (i - 1, j - 1, len + 1);
            }
            if len > 0 {
                visit(Run { a_start: i, b_start: j, len });
                continue;
            }
            if self.grows(i, j) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }

    /// Whether `L(i, j) = L(i, j-1) + 1`; both are at least 1.
    fn grows(&self, i: usize, j: usize) -> bool {
        let bit = j - 1;
        let word = self.rows[(i - 1) * self.row_words + bit / WORD_BITS];
        word >> (bit % WORD_BITS) & 1 == 0
    }
}

/// For each byte that two strings have in common, the places of one of them where it is.
struct Places {
    /// Number of the bitmap of each byte, or [`Places::NOWHERE`].
    numbers: [u16; 256],
    bitmaps: Vec<u64>,
    words: usize,
}

impl Places {
    const NOWHERE: u16 = u16::MAX;

    /// The places in `text` of those bytes that `wanted` has too. At most 256 bits per byte of `text`, and no
    /// more than |wanted|.
    fn new(wanted: &[u8], text: &[u8]) -> Result<Places, TryReserveError> {
        let words = text.len().div_ceil(WORD_BITS);
        let mut numbers = [Places::NOWHERE; 256];
        let (mut is_wanted, mut is_there) = ([false; 256], [false; 256]);
        wanted.iter().for_each(|&byte| is_wanted[usize::from(byte)] = true);
        text.iter().for_each(|&byte| is_there[usize::from(byte)] = true);
        let mut count = 0;
        for byte in 0..256 {
            if is_wanted[byte] && is_there[byte] {
                numbers[byte] = count;
                count += 1;
            }
        }
        let mut bitmaps = Vec::new();
        let size = words.saturating_mul(count.into());
        bitmaps.try_reserve_exact(size)?;
        bitmaps.resize(size, 0u64);
        for (at, &byte) in text.iter().enumerate() {
            let number = numbers[usize::from(byte)];
            if number != Places::NOWHERE {
                bitmaps[usize::from(number) * words + at / WORD_BITS] |= 1 << (at % WORD_BITS);
            }
        }
        Ok(Places { numbers, bitmaps, words })
    }

    /// The bitmap of `byte`, if it has one.
    fn of(&self, byte: u8) -> Option<&[u64]> {
        let number = self.numbers[usize::from(byte)];
        if number == Places::NOWHERE {
            return None;
        }
        Some(&self.bitmaps[usize::from(number) * self.words..][..self.words])
    }
}

/// From one row to the next. Bits behind the end of the text change too; nobody looks at them, and they cannot
/// reach back, since an addition carries upwards only.
fn advance(row: &mut [u64], places: &[u64]) {
    let mut carry = false;
    for (cells, &here) in row.iter_mut().zip(places) {
        let (sum, first) = cells.overflowing_add(*cells & here);
        let (sum, second) = sum.overflowing_add(carry.into());
        carry = first | second;
        *cells = sum | (*cells & !here);
    }
}

fn all_ones(words: usize) -> Result<Vec<u64>, TryReserveError> {
    let mut row = Vec::new();
    row.try_reserve_exact(words)?;
    row.resize(words, u64::MAX);
    Ok(row)
}

/// Zero bits among the first `bits` of a row: the sum of its steps.
fn zeros(row: &[u64], bits: usize) -> usize {
    let count: u32 = row.iter().map(|word| word.count_zeros()).sum();
    let behind = row.len() * WORD_BITS - bits;
    let last = row.last().copied().unwrap_or(u64::MAX);
    let zeros_behind = (!last).checked_shr((WORD_BITS - behind) as u32).unwrap_or(0).count_ones();
    (count - zeros_behind) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table of numbers and the walk as the textbook has them, with Redis's choice among equals.
    fn naive(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Run>) {
        let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j) = (a.len(), b.len());
        let (mut bytes, mut runs) = (Vec::new(), Vec::<Run>::new());
        let mut is_run_open = false;
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                bytes.insert(0, a[i]);
                match runs.last_mut() {
                    Some(run) if is_run_open => {
                        *run = Run { a_start: i, b_start: j, len: run.len + 1 };
                    }
                    _ => runs.push(Run { a_start: i, b_start: j, len: 1 }),
                }
                is_run_open = true;
            } else {
                is_run_open = false;
                if table[i - 1][j] > table[i][j - 1] {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
        }
        assert_eq!(bytes.len(), table[a.len()][b.len()]);
        (bytes, runs)
    }

    fn agree(a: &[u8], b: &[u8]) {
        let (bytes, runs) = naive(a, b);
        let lcs = Lcs::new(a, b).expect("small");
        let mut found = Vec::new();
        lcs.each_run(|run| found.push(run));
        assert_eq!(lcs.bytes(), bytes, "{a:?} {b:?}");
        assert_eq!(found, runs, "{a:?} {b:?}");
        assert_eq!(lcs.len(), bytes.len());
        assert_eq!(lcs.is_empty(), bytes.is_empty());
        assert_eq!(length(a, b).expect("small"), bytes.len());
        assert_eq!(length(b, a).expect("small"), bytes.len());
    }

    #[test]
    fn answers_the_examples_of_the_documentation() {
        let lcs = Lcs::new(b"ohmytext", b"mynewtext").expect("small");
        assert_eq!(lcs.bytes(), b"mytext");
        let mut runs = Vec::new();
        lcs.each_run(|run| runs.push((run.a_start, run.b_start, run.len)));
        assert_eq!(runs, [(4, 5, 4), (2, 0, 2)]);
    }

    #[test]
    fn empty_strings_and_word_boundaries() {
        let text: Vec<u8> = (0..200u32).map(|n| (n * n % 7) as u8).collect();
        for a_len in [0, 1, 2, 63, 64, 65, 127, 128, 129] {
            for b_len in [0, 1, 63, 64, 65, 128, 129, 192] {
                agree(&text[..a_len], &text[200 - b_len..]);
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_textbook(
            letters in 1u8..6,
            a in prop::collection::vec(any::<u8>(), 0..150),
            b in prop::collection::vec(any::<u8>(), 0..150),
        ) {
            let few = |text: &[u8]| text.iter().map(|byte| byte % letters).collect::<Vec<u8>>();
            agree(&few(&a), &few(&b));
            agree(&a, &b);
        }
    }
}
