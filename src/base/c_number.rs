//! Numbers as C programs print, read and cast them: `%.Ng`, `strtod`, and casts of doubles that do not fit.
//!
//! The libraries that scripts use were written in C and their formats are what C's functions do, on the processors
//! that Redis runs on. All here is exact: digits are rounded as IEEE 754 wants, in both directions.
//!
//! Cost: O(length of the text); printing a whole number below 10^N does not touch floating point.

use std::io::Write as _;

/// Digits `%.Ng` may be asked for; 17 tell all doubles apart.
pub const DIGITS_MAX: usize = 17;

/// Appends `value` as C's `%.{digits}g` does: that many significant digits at most, no trailing zeros, an exponent
/// where the number is below 1e-4 or has more whole digits than `digits`. `digits` is 1 to [`DIGITS_MAX`].
pub fn write_general(out: &mut Vec<u8>, value: f64, digits: usize) {
    let digits = digits.clamp(1, DIGITS_MAX);
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
    } else if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.trunc() == value && value.abs() < WHOLE_BOUND[digits] {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        write_digits(out, value, digits);
    }
}

/// 10^N: whole numbers below have N digits at most, which `%.Ng` prints as they are.
const WHOLE_BOUND: [f64; DIGITS_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];

fn write_digits(out: &mut Vec<u8>, value: f64, digits: usize) {
    // "d.ddde-308": std rounds correctly; 40 bytes hold 17 digits and what stands around them.
    let mut scratch = [0u8; 40];
    let mut cursor = std::io::Cursor::new(&mut scratch[..]);
    let _ = write!(cursor, "{:.*e}", digits - 1, value.abs());
    let len = cursor.position() as usize;
    let text = scratch.get(..len).unwrap_or_default();
    let mark = text.iter().position(|byte| *byte == b'e').unwrap_or(len);
    let (mantissa, exponent) = (&text[..mark], text.get(mark + 1..).unwrap_or_default());
    let exponent = std::str::from_utf8(exponent).ok().and_then(|text| text.parse::<i32>().ok());
    let exponent = exponent.unwrap_or(0);
    let mut figures: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    while figures.len() > 1 && figures.last() == Some(&b'0') {
        figures.pop();
    }
    if value < 0.0 {
        out.push(b'-');
    }
    if (-4..0).contains(&exponent) {
        out.extend_from_slice(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
        out.extend_from_slice(&figures);
    } else if exponent >= 0 && (exponent as usize) < digits {
        let whole = exponent as usize + 1;
        out.extend_from_slice(&figures[..whole.min(figures.len())]);
        out.resize(out.len() + whole.saturating_sub(figures.len()), b'0');
        write_fraction(out, figures.get(whole..).unwrap_or_default());
    } else {
        out.push(figures[0]);
        write_fraction(out, &figures[1..]);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

fn write_fraction(out: &mut Vec<u8>, figures: &[u8]) {
    if !figures.is_empty() {
        out.push(b'.');
        out.extend_from_slice(figures);
    }
}

/// The number at the beginning of `text` as `strtod` reads it, and how many bytes it takes: decimal, hexadecimal
/// (`0x1.8p3`), `inf`, `infinity`, `nan` and `nan(word)` in any case. No white space is skipped. `None` if no number
/// begins there.
pub fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let (is_negative, sign_len) = match text.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let body = &text[sign_len..];
    let (value, len) =
        parse_hexadecimal(body).or_else(|| parse_decimal(body)).or_else(|| parse_word(body))?;
    Some((if is_negative { -value } else { value }, sign_len + len))
}

/// How many bytes of `text` are of `class`.
fn run(text: &[u8], class: impl Fn(&u8) -> bool) -> usize {
    text.iter().position(|byte| !class(byte)).unwrap_or(text.len())
}

/// Bytes of an exponent (`letter`, a sign, digits) at the beginning of `text`: 0 where there are no digits.
fn exponent_len(text: &[u8], letter: u8) -> usize {
    if text.first().map(u8::to_ascii_lowercase) != Some(letter) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match run(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn parse_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = run(text, u8::is_ascii_digit);
    let mut len = whole;
    if text.get(whole) == Some(&b'.') {
        let fraction = run(&text[whole + 1..], u8::is_ascii_digit);
        if whole + fraction > 0 {
            len = whole + 1 + fraction;
        }
    }
    if len == 0 {
        return None;
    }
    len += exponent_len(&text[len..], b'e');
    let value = fast_float2::parse::<f64, _>(&text[..len]).ok()?;
    Some((value, len))
}

fn parse_word(text: &[u8]) -> Option<(f64, usize)> {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    if begins(b"infinity") {
        Some((f64::INFINITY, 8))
    } else if begins(b"inf") {
        Some((f64::INFINITY, 3))
    } else if begins(b"nan") {
        let in_brackets = text.get(4..).unwrap_or_default();
        let word = run(in_brackets, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let is_closed = text.get(3) == Some(&b'(') && in_brackets.get(word) == Some(&b')');
        Some((f64::NAN, if is_closed { 5 + word } else { 3 }))
    } else {
        None
    }
}

fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    if !matches!(text, [b'0', b'x' | b'X', ..]) {
        return None;
    }
    let body = &text[2..];
    let whole = run(body, u8::is_ascii_hexdigit);
    let mut len = whole;
    let mut fraction: &[u8] = &[];
    if body.get(whole) == Some(&b'.') {
        fraction = &body[whole + 1..];
        fraction = &fraction[..run(fraction, u8::is_ascii_hexdigit)];
        if whole + fraction.len() > 0 {
            len = whole + 1 + fraction.len();
        }
    }
    if len == 0 {
        return None;
    }
    let exponent_len = exponent_len(&body[len..], b'p');
    let mut exponent = binary_exponent(&body[len..len + exponent_len]);
    let (mut mantissa, mut is_inexact) = (0u64, false);
    let mut take = |digit: u8, weight: i64| {
        let value = u64::from((digit as char).to_digit(16).unwrap_or(0));
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | value;
            exponent = exponent.saturating_sub(weight);
        } else {
            // No room: this digit can only decide how the number is rounded.
            is_inexact |= value != 0;
            exponent = exponent.saturating_add(4 - weight);
        }
    };
    body[..whole].iter().for_each(|digit| take(*digit, 0));
    fraction.iter().for_each(|digit| take(*digit, 4));
    Some((scale(mantissa | u64::from(is_inexact), exponent), 2 + len + exponent_len))
}

/// The number in "p-12", kept within what a text of any length can move.
fn binary_exponent(text: &[u8]) -> i64 {
    let is_negative = text.get(1) == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| {
        (value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))).min(1 << 50)
    });
    if is_negative { -value } else { value }
}

/// `mantissa` × 2^`exponent`, rounded to even once.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let (mantissa, exponent) = (mantissa << shift, exponent.saturating_sub(i64::from(shift)));
    // The value is 1.xxx × 2^(exponent + 63).
    let power = exponent.saturating_add(63);
    if power > 1023 {
        return f64::INFINITY;
    }
    // Bits that are kept: 53, fewer for subnormal numbers.
    let kept = if power < -1022 { 53 + (power + 1022).max(-54) } else { 53 };
    if kept < 0 {
        return 0.0;
    }
    let dropped = (64 - kept) as u32;
    let (high, low) =
        if dropped >= 64 { (0, mantissa) } else { (mantissa >> dropped, mantissa << kept) };
    // `low` is what is dropped, moved to the top: one half is 2^63.
    let rounds_up = low > 1 << 63 || (low == 1 << 63 && high & 1 == 1);
    let rounded = high + u64::from(rounds_up);
    if power < -1022 {
        f64::from_bits(rounded)
    } else {
        // A mantissa that became 2^53 carries into the exponent, which is the right number (or infinity).
        f64::from_bits((((power + 1022) as u64) << 52) + rounded)
    }
}

/// The number a text begins with, as C's `atoi` reads it before it makes an int of it: 0 where there is none.
pub fn leading_int(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let is_negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(matches!(text.first(), Some(b'+' | b'-')))..];
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0i64, |number, byte| {
        let digit = i64::from(byte - b'0');
        let tens = number.saturating_mul(10);
        if is_negative { tens.saturating_sub(digit) } else { tens.saturating_add(digit) }
    })
}

/// `(long)value` as x86-64 has it: towards zero, and the smallest integer for all that does not fit.
pub fn to_long(value: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&value) { value as i64 } else { i64::MIN }
}

/// `(unsigned long)value` as compilers for x86-64 have it: towards zero; a negative number wraps round.
pub fn to_unsigned_long(value: f64) -> u64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if value >= BOUND { (to_long(value - BOUND) as u64) ^ 1 << 63 } else { to_long(value) as u64 }
}

/// `(int)value` as x86-64 has it: towards zero, and the smallest integer for all that does not fit.
pub fn to_int(value: f64) -> i32 {
    i32::try_from(to_long(value)).unwrap_or(i32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn general(value: f64, digits: usize) -> String {
        let mut out = Vec::new();
        write_general(&mut out, value, digits);
        String::from_utf8(out).unwrap()
    }

    /// What printf of a C library says.
    #[test]
    fn prints_as_printf() {
        let cases: [(f64, usize, &str); 20] = [
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1e14, 14, "1e+14"),
            (99999999999999.0, 14, "99999999999999"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (123456789012355.0, 14, "1.2345678901236e+14"),
            (1e-4, 14, "0.0001"),
            (1e-5, 14, "1e-05"),
            (-1.5e-10, 14, "-1.5e-10"),
            (f64::MAX, 14, "1.7976931348623e+308"),
            (5e-324, 14, "4.9406564584125e-324"),
            (9.999999999999999, 14, "10"),
            (99.5, 2, "1e+02"),
            (99.4, 2, "99"),
            (1234.0, 3, "1.23e+03"),
            (0.00099996, 4, "0.001"),
            (100.0, 3, "100"),
            (1000.0, 3, "1e+03"),
            (-0.0, 14, "-0"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ];
        for (value, digits, text) in cases {
            assert_eq!(general(value, digits), text, "{value:e} with {digits} digits");
        }
    }

    #[test]
    fn reads_as_strtod() {
        let cases: [(&str, f64, usize); 18] = [
            ("1", 1.0, 1),
            ("-12.5e1x", -125.0, 7),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1.", 1.0, 2),
            (".5", 0.5, 2),
            ("0x", 0.0, 1),
            ("0xg", 0.0, 1),
            ("0x.g", 0.0, 1),
            ("0x10", 16.0, 4),
            ("-0X1.8p1z", -3.0, 8),
            ("0x1p-1074", f64::from_bits(1), 9),
            ("0x1p-1075", 0.0, 9),
            ("0x1.8p-1075", f64::from_bits(1), 11),
            ("0x1.fffffffffffff8p1023", f64::INFINITY, 23),
            ("infinit", f64::INFINITY, 3),
            ("-Infinity", f64::NEG_INFINITY, 9),
            ("00012", 12.0, 5),
        ];
        for (text, value, len) in cases {
            assert_eq!(parse_prefix(text.as_bytes()), Some((value, len)), "{text}");
        }
        for text in ["", "-", "+", ".", "-.", "x", "e1", "in", " 1", "--1", "p"] {
            assert_eq!(parse_prefix(text.as_bytes()), None, "{text}");
        }
        let lens =
            ["nan", "nan(", "nan(a_9)", "nan(a-)"].map(|t| parse_prefix(t.as_bytes()).unwrap().1);
        assert_eq!(lens, [3, 3, 8, 3]);
    }

    #[test]
    fn casts_as_c() {
        assert_eq!(to_long(f64::NAN), i64::MIN);
        assert_eq!(to_long(1e19), i64::MIN);
        assert_eq!(to_long(-1.9), -1);
        assert_eq!(to_unsigned_long(-1.0), u64::MAX);
        assert_eq!(to_unsigned_long(18446744073709549568.0), 18446744073709549568);
        assert_eq!(to_unsigned_long(1e20), 0);
        assert_eq!(to_int(2147483648.0), i32::MIN);
    }

    proptest! {
        #[test]
        fn seventeen_digits_come_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = general(value, 17);
            prop_assert_eq!(parse_prefix(text.as_bytes()), Some((value, text.len())));
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }

        #[test]
        fn few_digits_are_the_nearest(bits in any::<u64>(), digits in 1usize..=17) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let expected: f64 = format!("{:.*e}", digits - 1, value).parse().unwrap();
            prop_assert_eq!(general(value, digits).parse::<f64>().unwrap(), expected);
        }

        #[test]
        fn hexadecimal_is_exact(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let (mantissa, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i64);
            let text = if exponent == 0 {
                format!("0x0.{mantissa:013x}p-1022")
            } else {
                format!("0x1.{mantissa:013x}p{}", exponent - 1023)
            };
            prop_assert_eq!(parse_prefix(text.as_bytes()), Some((value.abs(), text.len())));
        }

        /// Long digit strings round as their exact value does, which u128 can hold.
        #[test]
        fn long_hexadecimal_rounds_once(whole in any::<u128>()) {
            let text = format!("0x{whole:x}");
            prop_assert_eq!(parse_prefix(text.as_bytes()), Some((whole as f64, text.len())));
        }

        #[test]
        fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some((_, len)) = parse_prefix(&text) {
                prop_assert!(len <= text.len());
            }
        }
    }
}
