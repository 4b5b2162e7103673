//! Numbers as text, exactly as Redis 7.0 reads and prints them.
//!
//! Reading is strict: what Redis refuses (spaces, `+`, leading zeros, trailing bytes) is refused
//! here, because "is this an integer?" decides how a value is stored. Printing gives the bytes a
//! Redis client would see. Nothing allocates except the growth of the output vector.
//!
//! Cost: a few nanoseconds for integers; 50–150 ns for fractions.

use std::io::Write as _;

/// Longest text Redis accepts as a signed 64-bit integer (`-9223372036854775808`).
const INTEGER_TEXT_MAX: usize = 20;
/// Longest run of digits in a memory size; Redis copies them into 128 bytes with a NUL.
const MEMORY_DIGITS_MAX: usize = 127;
/// Exponents are clamped here; far outside any format, far inside `i64`.
const EXPONENT_CLAMP: i64 = 1 << 40;

/// Reads a canonical signed integer (Redis `string2ll`): the one text that printing the number
/// gives back. `None` for anything else, including `-0`, `+1`, `01`, spaces and overflow.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let first = *digits.first()?;
    if !(b'1'..=b'9').contains(&first) {
        return if text == b"0" { Some(0) } else { None };
    }
    if digits.len() > INTEGER_TEXT_MAX - 1 {
        return None;
    }
    // At most 19 digits: 9_999_999_999_999_999_999 fits u64, so only the end needs a range check.
    let mut magnitude = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Like [`parse_i64`], asked of every value that is stored: may it be kept as an integer?
/// Refuses most strings by their length and first byte.
#[inline]
pub fn canonical_i64(text: &[u8]) -> Option<i64> {
    if text.len() > INTEGER_TEXT_MAX {
        return None;
    }
    parse_i64(text)
}

/// Reads an unsigned integer as Redis `string2ull` does: canonical text first, else the rules of
/// C `strtoull`, which skips leading blanks, takes a sign (a minus wraps around) and leading zeros.
///
/// A canonical negative number is refused. As the C function sees a C string, a NUL byte ends
/// the text.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    parse_u64_lenient(text)
}

fn parse_u64_lenient(text: &[u8]) -> Option<u64> {
    let text = c_string(text);
    let blanks = text.iter().take_while(|byte| is_c_space(**byte)).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads a size such as `1gb`, `10k`, `5M` or `100` in bytes (Redis `memtoull`): `k`, `m`, `g`
/// are powers of 1000; `kb`, `mb`, `gb` powers of 1024; case does not matter.
///
/// Keeps Redis's corners: no digits at all is 0, digits beyond 64 bits saturate, and the product
/// with the unit wraps.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let text = c_string(text);
    let digit_count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digit_count);
    if digits.len() > MEMORY_DIGITS_MAX {
        return None;
    }
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1000 * 1000,
        b"mb" => 1 << 20,
        b"g" => 1000 * 1000 * 1000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let count = digits.iter().fold(0u64, |sum, digit| {
        // Saturated once means saturated for good: u64::MAX * 10 saturates again.
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    Some(count.wrapping_mul(factor))
}

/// Reads a double as Redis `string2d` (C `strtod` on the whole text): decimal or hexadecimal
/// notation, `inf` and `infinity` in any case. `None` for NaN, blanks, trailing bytes, overflow,
/// and for a non-zero number so small that it would become 0.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // Scores are integers most of the time; up to 15 digits every integer is exact.
    if text.len() <= 15
        && let Some(value) = parse_i64(text)
    {
        return Some(value as f64);
    }
    let scan = scan_float(text)?;
    let magnitude = match scan.body {
        FloatBody::Infinity => f64::INFINITY,
        FloatBody::Decimal(decimal) => {
            let value: f64 = fast_float2::parse(decimal.text).ok()?;
            let is_zero = decimal.is_zero();
            if value.is_infinite() || (value == 0.0 && !is_zero) {
                return None;
            }
            value
        }
        FloatBody::Hex(hex) => hex_to_f64(&hex)?,
    };
    Some(if scan.negative { -magnitude } else { magnitude })
}

/// Reads a double as C `strtod` does where Redis calls it bare (bounds of score ranges): leading blanks are skipped, no
/// text at all is 0, a NUL ends the text, and what is too large or too small for a double becomes infinite or 0.
/// `None` for NaN and trailing bytes.
pub fn parse_f64_lenient(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_f64(text) {
        return Some(value);
    }
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| is_c_space(**byte)).count();
    let scan = scan_float(&text[blanks..])?;
    let magnitude = match scan.body {
        FloatBody::Infinity => f64::INFINITY,
        FloatBody::Decimal(decimal) => fast_float2::parse(decimal.text).ok()?,
        FloatBody::Hex(hex) => {
            let beyond = if hex.exponent > 0 { f64::INFINITY } else { 0.0 };
            hex_to_f64(&hex).unwrap_or(beyond)
        }
    };
    Some(if scan.negative { -magnitude } else { magnitude })
}

fn hex_to_f64(hex: &HexFloat) -> Option<f64> {
    if hex.mantissa == 0 {
        return Some(0.0);
    }
    let (mantissa, exponent) = round_binary(hex.mantissa, hex.exponent, hex.sticky, 53, -1074);
    if mantissa == 0 || exponent > 1023 - 52 {
        return None;
    }
    // Below 2^52 the number is subnormal and the exponent field is 0.
    let bits = if mantissa < 1 << 52 {
        mantissa
    } else {
        ((exponent + 1075) as u64) << 52 | (mantissa & ((1 << 52) - 1))
    };
    Some(f64::from_bits(bits))
}

/// Rounds `mantissa · 2^exponent` (plus something below the last bit when `sticky`) to
/// `precision` bits, to nearest, ties to even, with no exponent below `exponent_min`. Returns the
/// rounded mantissa (`< 2^precision`) and its exponent; the caller checks for overflow.
///
/// `mantissa` must not be 0; with `sticky` it must have more than `precision` bits or the
/// exponent must be below the minimum, else information below the last bit is lost.
pub(super) fn round_binary(
    mantissa: u128,
    exponent: i64,
    sticky: bool,
    precision: u32,
    exponent_min: i64,
) -> (u64, i64) {
    let bit_count = i64::from(128 - mantissa.leading_zeros());
    let excess = (bit_count - i64::from(precision)).max(exponent_min - exponent);
    if excess <= 0 {
        // Room to spare: normalise upwards as far as the minimum allows; this is exact.
        return ((mantissa << -excess) as u64, exponent + excess);
    }
    if excess > bit_count {
        return (0, exponent_min);
    }
    // excess <= bit_count <= 128; a shift by all 128 bits cannot be written as `>>`.
    let kept = if excess == 128 { 0 } else { mantissa >> excess };
    let half = 1u128 << (excess - 1);
    let dropped = mantissa & (half | (half - 1));
    let round_up = dropped > half || (dropped == half && (sticky || kept & 1 == 1));
    let rounded = kept + u128::from(round_up);
    let exponent = exponent + excess;
    if rounded >> precision != 0 {
        return ((rounded >> 1) as u64, exponent + 1);
    }
    (rounded as u64, exponent)
}

/// A number's text taken apart, sign first.
pub(super) struct FloatScan<'t> {
    pub(super) negative: bool,
    pub(super) body: FloatBody<'t>,
}

/// The three kinds of number C reads; NaN is refused by the scanner.
pub(super) enum FloatBody<'t> {
    Infinity,
    Decimal(DecimalFloat<'t>),
    Hex(HexFloat),
}

/// `whole.fraction × 10^exponent`; `text` is all of it without the sign.
pub(super) struct DecimalFloat<'t> {
    pub(super) text: &'t [u8],
    pub(super) whole: &'t [u8],
    pub(super) fraction: &'t [u8],
    pub(super) exponent: i64,
}

impl DecimalFloat<'_> {
    /// True if every digit is 0; O(digits).
    pub(super) fn is_zero(&self) -> bool {
        self.whole.iter().chain(self.fraction).all(|digit| *digit == b'0')
    }
}

/// `mantissa · 2^exponent`, plus something below the last bit when `sticky`. Sticky implies a
/// mantissa of at least 117 bits, more than any precision we round to.
pub(super) struct HexFloat {
    pub(super) mantissa: u128,
    pub(super) exponent: i64,
    pub(super) sticky: bool,
}

/// Takes a whole text apart by the grammar of C `strtod` in the C locale. `None` if C would stop
/// before the end, for NaN, and for leading blanks (which C skips but Redis refuses). O(n).
pub(super) fn scan_float(text: &[u8]) -> Option<FloatScan<'_>> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let body = match unsigned {
        [b'i' | b'I', ..] => {
            let is_infinity =
                unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
            is_infinity.then_some(FloatBody::Infinity)?
        }
        [b'0', b'x' | b'X', digits @ ..] => FloatBody::Hex(scan_hex(digits)?),
        _ => FloatBody::Decimal(scan_decimal(unsigned)?),
    };
    Some(FloatScan { negative, body })
}

fn scan_decimal(text: &[u8]) -> Option<DecimalFloat<'_>> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_digits(rest),
        _ => (&rest[..0], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = scan_exponent(rest, b'e')?;
    Some(DecimalFloat { text, whole, fraction, exponent })
}

fn scan_hex(text: &[u8]) -> Option<HexFloat> {
    let mut hex = HexFloat { mantissa: 0, exponent: 0, sticky: false };
    let (mut has_digit, mut has_point) = (false, false);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        if *byte == b'.' && !has_point {
            has_point = true;
        } else if let Some(digit) = char::from(*byte).to_digit(16) {
            has_digit = true;
            let is_full = hex.mantissa >> 116 != 0;
            if is_full {
                hex.sticky |= digit != 0;
            } else {
                hex.mantissa = hex.mantissa << 4 | u128::from(digit);
            }
            // A digit left of the point that does not fit multiplies; one right of it divides.
            hex.exponent += 4 * (i64::from(is_full) - i64::from(has_point));
        } else {
            break;
        }
        rest = tail;
    }
    if !has_digit {
        return None;
    }
    hex.exponent += scan_exponent(rest, b'p')?;
    Some(hex)
}

/// Reads an optional exponent that must end the text; clamped far outside any format.
fn scan_exponent(text: &[u8], mark: u8) -> Option<i64> {
    let [first, rest @ ..] = text else {
        return Some(0);
    };
    if first.to_ascii_lowercase() != mark {
        return None;
    }
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (digits, trailing) = split_digits(digits);
    if digits.is_empty() || !trailing.is_empty() {
        return None;
    }
    let magnitude = digits
        .iter()
        .fold(0, |sum: i64, digit| (sum * 10 + i64::from(digit - b'0')).min(EXPONENT_CLAMP));
    Some(if negative { -magnitude } else { magnitude })
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The part of `bytes` a C function sees: all before the first NUL.
pub fn c_string(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// C `isspace` in the C locale; unlike `is_ascii_whitespace` it includes the vertical tab.
pub fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Appends the decimal text of an integer.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a finite number with 17 digits after the point, less the zeros at their end, as `%.17f` and Redis's "human"
/// form do it.
pub fn write_f64_human(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    match parts_of_human(value) {
        Some((whole, fraction)) => {
            if value < 0.0 {
                out.push(b'-');
            }
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            out.push(b'.');
            // The digit before the point makes that all 17 of them are written.
            let digits_from = out.len();
            let mut digits = itoa::Buffer::new();
            out.extend_from_slice(digits.format(HUMAN_SCALE + fraction).as_bytes());
            out.remove(digits_from);
        }
        None => out.extend_from_slice(format!("{value:.17}").as_bytes()),
    }
    while out.ends_with(b"0") {
        out.pop();
    }
    if out.ends_with(b".") {
        out.pop();
    }
    if &out[start..] == b"-0" {
        out.remove(start);
    }
}

/// 10 to the number of digits after the point.
const HUMAN_SCALE: u64 = 100_000_000_000_000_000;

/// What stands before the point and the 17 digits behind it, exactly rounded (halves to even); `None` for what is too
/// large for 64 bits. All in integers: the fraction times 10^17 is below 2^110.
fn parts_of_human(value: f64) -> Option<(u64, u64)> {
    const MANTISSA_BITS: u32 = 52;
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS & 0x7ff) as u32;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | u64::from(exponent != 0) << MANTISSA_BITS;
    // The value is the mantissa times 2^-shift.
    let shift = (1023 + MANTISSA_BITS).checked_sub(exponent.max(1))?;
    let whole = mantissa.checked_shr(shift).unwrap_or(0);
    let rest = if shift < 64 { mantissa & ((1 << shift) - 1) } else { mantissa };
    let scaled = u128::from(rest) * u128::from(HUMAN_SCALE);
    if shift >= 128 {
        return Some((whole, 0));
    }
    let (digits, left) = ((scaled >> shift) as u64, scaled & ((1 << shift) - 1));
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let is_up = shift != 0 && (left > half || (left == half && digits % 2 == 1));
    match digits + u64::from(is_up) {
        HUMAN_SCALE => Some((whole + 1, 0)),
        digits => Some((whole, digits)),
    }
}

/// Appends a double as replies show it (Redis `addReplyDouble`): C `%.17g`, and `inf`, `-inf`,
/// `nan`. Integers below 1e17 have no exponent or point.
pub fn write_f64_17g(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        write_non_finite(out, value);
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() < 1e17 && value.trunc() == value {
        write_i64(out, value as i64);
    } else {
        write_17_digits(out, value);
    }
}

/// Appends a double as Redis `d2string` does (scores kept as text, RDB and AOF): like
/// [`write_f64_17g`], but every whole number up to 2^62 is printed as an integer.
pub fn write_d2string(out: &mut Vec<u8>, value: f64) {
    const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;
    if value != 0.0 && value.abs() <= WHOLE_MAX && value.trunc() == value {
        write_i64(out, value as i64);
    } else {
        write_f64_17g(out, value);
    }
}

fn write_non_finite(out: &mut Vec<u8>, value: f64) {
    let text: &[u8] = match (value.is_nan(), value.is_sign_negative()) {
        (true, _) => b"nan",
        (false, true) => b"-inf",
        (false, false) => b"inf",
    };
    out.extend_from_slice(text);
}

/// Appends `%.17g` of a finite, non-zero value: 17 significant digits, trailing zeros dropped,
/// plain notation for decimal exponents -4 to 16.
fn write_17_digits(out: &mut Vec<u8>, value: f64) {
    // "d.dddddddddddddddde-308": one digit, point, 16 digits, exponent; correctly rounded by std.
    let mut scratch = [0u8; 32];
    let mut cursor = std::io::Cursor::new(&mut scratch[..]);
    // 32 bytes hold the longest such text (23), so this write cannot fail.
    let _ = write!(cursor, "{:.16e}", value.abs());
    let length = cursor.position() as usize;
    let text = &scratch[..length];

    let mut digits = [b'0'; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let exponent = parse_i64(&text[19..]).unwrap_or(0);
    let digit_count = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);

    if value < 0.0 {
        out.push(b'-');
    }
    match exponent {
        -4..=-1 => {
            out.extend_from_slice(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
            out.extend_from_slice(&digits[..digit_count]);
        }
        0..=16 => {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            out.extend_from_slice(whole);
            push_fraction(out, &fraction[..digit_count.saturating_sub(whole.len())]);
        }
        _ => {
            out.push(digits[0]);
            push_fraction(out, &digits[1..digit_count]);
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            write_i64(out, exponent.abs());
        }
    }
}

fn push_fraction(out: &mut Vec<u8>, digits: &[u8]) {
    if !digits.is_empty() {
        out.push(b'.');
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
