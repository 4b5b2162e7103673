//! Natural numbers of any size, with the few operations that reading and printing binary floating
//! point exactly needs. Schoolbook algorithms: numbers stay below some 35 000 bits.

/// A natural number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wide {
    /// Least significant first. Invariant: the last is not 0; zero is empty.
    limbs: Vec<u64>,
}

/// Decimal digits that fit a limb, and 10 to that power.
const LIMB_DIGITS: usize = 19;
const LIMB_SCALE: u64 = 10_000_000_000_000_000_000;
/// 5^27 is the largest power of 5 in a limb.
const FIVES: usize = 27;

impl From<u128> for Wide {
    fn from(value: u128) -> Self {
        let mut wide = Self { limbs: vec![value as u64, (value >> 64) as u64] };
        wide.trim();
        wide
    }
}

impl Wide {
    /// 5^exponent. O(exponent²).
    pub(super) fn power_of_5(exponent: usize) -> Self {
        let mut power = Self::from(1);
        for _ in 0..exponent / FIVES {
            power.multiply_add(5u64.pow(FIVES as u32), 0);
        }
        power.multiply_add(5u64.pow((exponent % FIVES) as u32), 0);
        power
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Appends decimal digits (ASCII) on the right. O(digits²).
    pub(super) fn push_decimal(&mut self, digits: impl Iterator<Item = u8>) {
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            scale *= 10;
            if scale == LIMB_SCALE {
                self.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        self.multiply_add(scale, chunk);
    }

    /// `self = self · factor + summand`
    fn multiply_add(&mut self, factor: u64, summand: u64) {
        let mut carry = u128::from(summand);
        for limb in &mut self.limbs {
            let sum = u128::from(*limb) * u128::from(factor) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        self.limbs.push(carry as u64);
        self.trim();
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    pub(super) fn shift_left(&mut self, bit_count: usize) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bit_count % 64), 0);
        self.limbs.splice(0..0, std::iter::repeat_n(0, bit_count / 64));
    }

    pub(super) fn product(&self, other: &Self) -> Self {
        let mut limbs = vec![0u64; self.limbs.len() + other.limbs.len()];
        for (at, factor) in self.limbs.iter().enumerate() {
            let mut carry = 0u128;
            for (limb, other_limb) in limbs[at..].iter_mut().zip(&other.limbs) {
                // At most (2^64-1)² + 2·(2^64-1) = 2^128 - 1.
                let sum = u128::from(*factor) * u128::from(*other_limb) + u128::from(*limb) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
            limbs[at + other.limbs.len()] = carry as u64;
        }
        let mut product = Self { limbs };
        product.trim();
        product
    }

    fn bit_count(&self) -> usize {
        self.limbs.last().map_or(0, |top| self.limbs.len() * 64 - top.leading_zeros() as usize)
    }

    /// The number as `mantissa · 2^exponent`, `sticky` if lower bits that are not 0 were cut off;
    /// the mantissa then has over 64 bits.
    pub(super) fn top_bits(&self) -> (u128, i64, bool) {
        let [low @ .., second, first] = self.limbs.as_slice() else {
            return (self.limbs.first().copied().unwrap_or(0).into(), 0, false);
        };
        let mantissa = u128::from(*first) << 64 | u128::from(*second);
        (mantissa, 64 * low.len() as i64, low.iter().any(|limb| *limb != 0))
    }

    /// `self / divisor` as `mantissa · 2^exponent`, `sticky` if there is a remainder. The mantissa
    /// has 66 or 67 bits. Neither number may be 0. O(66 · limbs).
    pub(super) fn quotient_bits(mut self, divisor: &Self) -> (u128, i64, bool) {
        const BITS: i64 = 66;
        let mut divisor = divisor.clone();
        // Bring both to the same number of bits: the quotient is between 1/2 and 2.
        let exponent = self.bit_count() as i64 - divisor.bit_count() as i64;
        let shift = exponent.unsigned_abs() as usize;
        if exponent >= 0 {
            divisor.shift_left(shift);
        } else {
            self.shift_left(shift);
        }
        let mut quotient = 0u128;
        for _ in 0..=BITS {
            quotient <<= 1;
            if self.subtract_if_not_less(&divisor) {
                quotient |= 1;
            }
            self.shift_left(1);
        }
        (quotient, exponent - BITS, !self.is_zero())
    }

    /// `self -= other`, unless that is negative. Both have as many limbs, give or take one.
    fn subtract_if_not_less(&mut self, other: &Self) -> bool {
        let by_size = self.limbs.len().cmp(&other.limbs.len());
        if by_size.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev())).is_lt() {
            return false;
        }
        let mut is_borrowed = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let subtrahend = other.limbs.get(at).copied().unwrap_or(0);
            let (difference, first) = limb.overflowing_sub(subtrahend);
            let (difference, second) = difference.overflowing_sub(u64::from(is_borrowed));
            *limb = difference;
            is_borrowed = first || second;
        }
        self.trim();
        true
    }

    /// Appends the number in decimal, `0` for zero. O(limbs²).
    pub(super) fn write_decimal(mut self, out: &mut Vec<u8>) {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u128;
            for limb in self.limbs.iter_mut().rev() {
                let dividend = rest << 64 | u128::from(*limb);
                *limb = (dividend / u128::from(LIMB_SCALE)) as u64;
                rest = dividend % u128::from(LIMB_SCALE);
            }
            self.trim();
            chunks.push(rest as u64);
        }
        let mut buffer = itoa::Buffer::new();
        out.extend_from_slice(buffer.format(chunks.pop().unwrap_or(0)).as_bytes());
        for chunk in chunks.into_iter().rev() {
            let text = buffer.format(chunk);
            out.extend(std::iter::repeat_n(b'0', LIMB_DIGITS - text.len()));
            out.extend_from_slice(text.as_bytes());
        }
    }
}
