//! The 80-bit floating point of x86 (`long double`), as far as INCRBYFLOAT needs it: read, add,
//! print. Redis computes with it, and clients see each of its digits.
//!
//! ```text
//! value = ± mantissa · 2^exponent     mantissa < 2^64, exponent in -16445 ..= 16320
//! ```
//!
//! Promise: every operation is exact and then rounded once, to nearest, ties to even, as glibc
//! and the x87 unit do; the text is Redis's `ld2string` for humans. Texts of 5 KiB and more are
//! refused, so no input costs more than about a millisecond; ordinary numbers take well under a
//! microsecond.

use super::number::{DecimalFloat, FloatBody, HexFloat, round_binary, scan_float};
use super::wide::Wide;

/// Redis copies the text into a buffer of 5 KiB, with a NUL.
const TEXT_MAX: usize = 5 * 1024 - 1;
const PRECISION: u32 = 64;
/// Exponent of the last bit: of subnormal numbers, and of the largest number.
const EXPONENT_MIN: i64 = -16445;
const EXPONENT_MAX: i64 = 16320;
/// A decimal number below 10^-4951 rounds to 0, one of 10^4932.08 or more overflows.
const DECIMAL_MIN: i64 = -4960;
const DECIMAL_MAX: i64 = 4940;
/// Digits after the point that Redis prints (`%.17Lf`), and 10 to that power.
const FRACTION_DIGITS: usize = 17;
const FRACTION_SCALE: u64 = 100_000_000_000_000_000;

/// One number in the x87 80-bit format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// Normalised: the top bit of the mantissa is set, or the exponent is the least; 0 has the
    /// least exponent.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
    Nan,
}

const ZERO: Magnitude = Magnitude::Finite { mantissa: 0, exponent: EXPONENT_MIN };

impl LongDouble {
    /// Reads a number as Redis `string2ld` does (C `strtold` on the whole text): decimal or
    /// hexadecimal, `inf` or `infinity`. `None` for NaN, blanks, trailing bytes, overflow, 5 KiB
    /// and more, and for a non-zero number so small that it would become 0.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let scan = scan_float(text)?;
        let magnitude = match scan.body {
            FloatBody::Infinity => Magnitude::Infinite,
            FloatBody::Decimal(decimal) => from_decimal(&decimal)?,
            FloatBody::Hex(hex) => from_hex(&hex)?,
        };
        Some(Self { negative: scan.negative, magnitude })
    }

    /// The exact value of an integer (each `i64` fits into 64 bits of mantissa).
    pub fn from_i64(value: i64) -> Self {
        let magnitude = match u128::from(value.unsigned_abs()) {
            0 => ZERO,
            absolute => rounded(absolute, 0, false),
        };
        Self { negative: value < 0, magnitude }
    }

    /// The sum, rounded. May be infinite; infinities of both signs give NaN.
    #[expect(clippy::should_implement_trait, reason = "one operation does not make it a number")]
    pub fn add(self, other: Self) -> Self {
        use Magnitude::{Finite, Infinite, Nan};
        match (self.magnitude, other.magnitude) {
            (Nan, _) | (_, Nan) => Self { negative: false, magnitude: Nan },
            (Infinite, Infinite) if self.negative != other.negative => {
                Self { negative: false, magnitude: Nan }
            }
            (Infinite, _) => self,
            (_, Infinite) => other,
            (Finite { .. }, Finite { .. }) => add_finite(self, other),
        }
    }

    /// The least integer not below the product (rounded to the format) with a small positive number. `None` where it
    /// does not fit into 64 bits.
    pub fn ceil_of_product(self, factor: u32) -> Option<i64> {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else { return None };
        let product = rounded(u128::from(mantissa) * u128::from(factor), exponent, false);
        let Magnitude::Finite { mantissa, exponent } = product else { return None };
        let shift = exponent.unsigned_abs();
        let (whole, has_rest) = match exponent {
            _ if mantissa == 0 => (0, false),
            0..64 => (i128::from(mantissa) << shift, false),
            64.. => return None,
            _ if shift > 63 => (0, true),
            _ => (i128::from(mantissa >> shift), mantissa & ((1 << shift) - 1) != 0),
        };
        let ceiling = if self.negative { -whole } else { whole + i128::from(has_rest) };
        i64::try_from(ceiling).ok()
    }

    /// True for "not a number".
    pub fn is_nan(&self) -> bool {
        self.magnitude == Magnitude::Nan
    }

    /// True for both infinities.
    pub fn is_infinite(&self) -> bool {
        self.magnitude == Magnitude::Infinite
    }

    /// The text Redis stores and replies: up to 17 digits after the point, no exponent, no
    /// trailing zeros, never `-0`. At most 4952 bytes.
    pub fn to_human(&self) -> Vec<u8> {
        let (mantissa, exponent) = match self.magnitude {
            Magnitude::Finite { mantissa, exponent } => (mantissa, exponent),
            Magnitude::Infinite if self.negative => return b"-inf".to_vec(),
            Magnitude::Infinite => return b"inf".to_vec(),
            Magnitude::Nan => return b"nan".to_vec(),
        };
        let mut out = Vec::with_capacity(40);
        if self.negative {
            out.push(b'-');
        }
        if exponent >= 0 {
            // At most 16320, checked when the number was made.
            let mut whole = Wide::from(u128::from(mantissa));
            whole.shift_left(exponent as usize);
            whole.write_decimal(&mut out);
        } else {
            write_fraction(&mut out, mantissa, exponent.unsigned_abs());
        }
        if out == b"-0" {
            out.remove(0);
        }
        out
    }
}

/// Writes `mantissa / 2^shift`, `shift >= 1`, with 17 digits after the point, zeros trimmed.
fn write_fraction(out: &mut Vec<u8>, mantissa: u64, shift: u64) {
    let (whole, part) = match shift {
        64.. => (0, mantissa),
        _ => (mantissa >> shift, mantissa & ((1 << shift) - 1)),
    };
    // Below 2^121, so a shift of 122 and more leaves less than half a unit.
    let scaled = u128::from(part) * u128::from(FRACTION_SCALE);
    let digits = if shift > 121 {
        0
    } else {
        let half = 1u128 << (shift - 1);
        let (quotient, rest) = (scaled >> shift, scaled & (half | (half - 1)));
        let round_up = rest > half || (rest == half && quotient & 1 == 1);
        // A part below 1 gives a quotient up to 10^17, which fits.
        quotient as u64 + u64::from(round_up)
    };
    let (whole, digits) =
        if digits == FRACTION_SCALE { (u128::from(whole) + 1, 0) } else { (whole.into(), digits) };
    Wide::from(whole).write_decimal(out);
    if digits != 0 {
        let mut text = [b'0'; FRACTION_DIGITS];
        let mut rest = digits;
        for digit in text.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let length = text.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&text[..length]);
    }
}

/// Rounds a non-zero number to the format; too large becomes infinite.
fn rounded(mantissa: u128, exponent: i64, sticky: bool) -> Magnitude {
    let (mantissa, exponent) = round_binary(mantissa, exponent, sticky, PRECISION, EXPONENT_MIN);
    match exponent {
        _ if mantissa == 0 => ZERO,
        ..=EXPONENT_MAX => Magnitude::Finite { mantissa, exponent },
        _ => Magnitude::Infinite,
    }
}

/// What C calls a range error (a non-zero text becomes 0 or infinite) is no number for Redis.
fn in_range(magnitude: Magnitude) -> Option<Magnitude> {
    (magnitude != ZERO && magnitude != Magnitude::Infinite).then_some(magnitude)
}

fn from_hex(hex: &HexFloat) -> Option<Magnitude> {
    if hex.mantissa == 0 {
        return Some(ZERO);
    }
    in_range(rounded(hex.mantissa, hex.exponent, hex.sticky))
}

fn from_decimal(decimal: &DecimalFloat<'_>) -> Option<Magnitude> {
    let mut digits = Wide::default();
    digits.push_decimal(trim_zeros_left(decimal.whole, decimal.fraction));
    if digits.is_zero() {
        return Some(ZERO);
    }
    // value = digits · 10^scale
    let scale = decimal.exponent - decimal.fraction.len() as i64;
    let top = significant_count(decimal.whole, decimal.fraction) as i64 + scale;
    if !(DECIMAL_MIN..=DECIMAL_MAX).contains(&top) {
        return None;
    }
    // 10^scale = 5^scale · 2^scale. The digits number at most TEXT_MAX, so scale is bounded now.
    let power = Wide::power_of_5(scale.unsigned_abs() as usize);
    let (mantissa, exponent, sticky) =
        if scale >= 0 { digits.product(&power).top_bits() } else { digits.quotient_bits(&power) };
    in_range(rounded(mantissa, exponent + scale, sticky))
}

/// The digits of a number from the first that is not 0, as (whole, fraction).
fn trim_zeros_left<'d>(whole: &'d [u8], fraction: &'d [u8]) -> impl Iterator<Item = u8> + 'd {
    whole.iter().chain(fraction).copied().skip_while(|digit| *digit == b'0')
}

fn significant_count(whole: &[u8], fraction: &[u8]) -> usize {
    trim_zeros_left(whole, fraction).count()
}

fn add_finite(left: LongDouble, right: LongDouble) -> LongDouble {
    let parts = |number: LongDouble| match number.magnitude {
        Magnitude::Finite { mantissa, exponent } => (exponent, mantissa),
        Magnitude::Infinite | Magnitude::Nan => (EXPONENT_MIN, 0),
    };
    // Normalised numbers order by exponent, then mantissa.
    let (large, small) = if parts(left) >= parts(right) { (left, right) } else { (right, left) };
    let ((large_exponent, large_mantissa), (small_exponent, small_mantissa)) =
        (parts(large), parts(small));

    // 62 guard bits below the larger one, and a bit above it for the carry. What falls below the
    // guard bits is only remembered as "sticky"; then the result keeps over 64 bits, so the exact
    // place of the lost part does not matter.
    const GUARD: u32 = 62;
    let distance = large_exponent - small_exponent;
    let wide_small = u128::from(small_mantissa) << GUARD;
    let (aligned, sticky) = match u32::try_from(distance) {
        Ok(distance) if distance < 128 => {
            let aligned = wide_small >> distance;
            (aligned, aligned << distance != wide_small)
        }
        _ => (0, small_mantissa != 0),
    };
    let wide_large = u128::from(large_mantissa) << GUARD;
    let is_difference = large.negative != small.negative;
    let sum = if is_difference {
        // large - (aligned + a bit) = (large - aligned - 1) + (1 - a bit)
        wide_large - aligned - u128::from(sticky)
    } else {
        wide_large + aligned
    };
    if sum == 0 {
        // Rounding to nearest gives +0 for x - x; -0 + -0 stays.
        return LongDouble { negative: left.negative && right.negative, magnitude: ZERO };
    }
    let magnitude = rounded(sum, large_exponent - i64::from(GUARD), sticky);
    LongDouble { negative: large.negative, magnitude }
}

#[cfg(test)]
#[path = "long_double_tests.rs"]
mod tests;
