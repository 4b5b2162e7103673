//! What SCAN, HSCAN, SSCAN and ZSCAN take: a cursor, COUNT and MATCH.
use crate::base::glob::{Case, glob_match, is_literal};
use crate::command::options::{Options, integer, is};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// Elements one call looks at where COUNT does not say.
const COUNT_DEFAULT: i64 = 10;
/// Steps of the cursor for each element wanted, so a sparse table cannot hold the loop.
pub(super) const STEPS_PER_ELEMENT: u64 = 10;

/// The options behind the cursor.
#[derive(Clone, Copy)]
pub(super) struct ScanOptions<'b> {
    /// COUNT: about so many elements are looked at.
    pub(super) count: u64,
    /// MATCH.
    pub(super) pattern: Pattern<'b>,
    /// TYPE, of SCAN alone: only those of the type with this name.
    pub(super) type_name: Option<&'b [u8]>,
}

impl<'b> ScanOptions<'b> {
    /// Reads the options of SCAN, which are arguments from `first` on.
    pub(super) fn of_keys(args: Args<'b>, first: usize) -> Result<ScanOptions<'b>, CmdError> {
        ScanOptions::parse(args, first, true)
    }

    /// Reads the options of HSCAN, SSCAN or ZSCAN, which know no TYPE.
    pub(super) fn of_elements(args: Args<'b>, first: usize) -> Result<ScanOptions<'b>, CmdError> {
        ScanOptions::parse(args, first, false)
    }

    fn parse(args: Args<'b>, first: usize, has_type: bool) -> Result<ScanOptions<'b>, CmdError> {
        let mut count = COUNT_DEFAULT;
        let (mut pattern, mut type_name) = (Pattern::All, None);
        let mut options = Options::new(args, first);
        while let Some(option) = options.next() {
            if is(option, "count") {
                count = integer(options.value()?)?;
                if count < 1 {
                    return Err(CmdError::Syntax);
                }
            } else if is(option, "match") {
                pattern = Pattern::parse(options.value()?);
            } else if has_type && is(option, "type") {
                type_name = Some(options.value()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(ScanOptions { count: count.unsigned_abs(), pattern, type_name })
    }
}

/// A glob pattern, the cheap cases told apart.
#[derive(Clone, Copy)]
pub(super) enum Pattern<'b> {
    /// `*`: everything, the empty string included, which no other pattern with a star matches.
    All,
    /// No special character: this name alone.
    Exact(&'b [u8]),
    /// Anything else.
    Glob(&'b [u8]),
}

impl<'b> Pattern<'b> {
    /// Tells what kind of pattern it is.
    pub(super) fn parse(text: &'b [u8]) -> Pattern<'b> {
        match text {
            b"*" => Pattern::All,
            _ if is_literal(text) => Pattern::Exact(text),
            _ => Pattern::Glob(text),
        }
    }

    /// Whether it matches.
    #[inline]
    pub(super) fn matches(self, name: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Exact(own) => own == name,
            Pattern::Glob(pattern) => glob_match(pattern, name, Case::Sensitive),
        }
    }
}

/// Reads a cursor as C's `strtoul` does: a sign is allowed and a negative number wraps, nothing at all is 0,
/// and a NUL ends the text. Redis's client libraries only ever send back what they were given.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, CmdError> {
    cursor_value(text).ok_or(CmdError::Text("ERR invalid cursor"))
}

fn cursor_value(text: &[u8]) -> Option<u64> {
    let text = text.split(|&byte| byte == 0).next()?;
    let (is_negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(if is_negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::cursor_value;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        // Each was asked of Redis 7.0.15: error or not; the values are strtoul's.
        for (text, value) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+5", Some(5)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-18446744073709551616", None),
            ("+", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
            ("x", None),
            ("+-1", None),
            ("1\0x", Some(1)),
            ("\0", Some(0)),
        ] {
            assert_eq!(cursor_value(text.as_bytes()), value, "{text:?}");
        }
    }
}
