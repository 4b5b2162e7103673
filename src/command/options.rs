//! Reading what follows a command's fixed arguments: option words in any order and case, and the times that
//! several commands take as EX, PX, EXAT or PXAT.
//!
//! A handler loops over [`Options::next`], compares with [`is`] and takes values with [`Options::value`]. Numbers
//! are read after the loop, since Redis reports a syntax error anywhere before a bad number.
use std::ops::Range;

use crate::base::number::parse_i64;
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// A cursor over option words.
pub(super) struct Options<'b> {
    args: Args<'b>,
    next_index: usize,
}

impl<'b> Options<'b> {
    /// Starts at argument `first`.
    #[inline]
    pub(super) fn new(args: Args<'b>, first: usize) -> Options<'b> {
        Options { args, next_index: first }
    }

    /// The next word; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&'b [u8]> {
        if self.next_index >= self.args.len() {
            return None;
        }
        self.next_index += 1;
        Some(self.args.at(self.next_index - 1))
    }

    /// Argument of the word that comes next.
    pub(super) fn position(&self) -> usize {
        self.next_index
    }

    /// The value of the option just taken; without one, a syntax error.
    #[inline]
    pub(super) fn value(&mut self) -> Result<&'b [u8], CmdError> {
        self.next().ok_or(CmdError::Syntax)
    }
}

/// The elements from `start` to `end`, both included and counted from the end where negative, of so many.
pub(super) fn clip(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let (start, end) = (from_front(start).max(0), from_front(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// Whether `word` is the option `name`, in any case.
#[inline]
pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Reads a signed 64-bit integer.
#[inline]
pub(super) fn integer(text: &[u8]) -> Result<i64, CmdError> {
    parse_i64(text).ok_or(CmdError::NotInteger)
}

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Millis,
    /// EXAT: seconds since 1970.
    AtSeconds,
    /// PXAT: milliseconds since 1970.
    AtMillis,
}

impl TimeForm {
    /// The form an option word stands for.
    fn of(word: &[u8]) -> Option<TimeForm> {
        // Lengths differ, so a word is compared twice at most.
        match word.len() {
            2 if is(word, "ex") => Some(TimeForm::Seconds),
            2 if is(word, "px") => Some(TimeForm::Millis),
            4 if is(word, "exat") => Some(TimeForm::AtSeconds),
            4 if is(word, "pxat") => Some(TimeForm::AtMillis),
            _ => None,
        }
    }

    /// Reads a time which must be positive, as milliseconds since 1970. It may be in the past. `command` is the
    /// full name, for the error.
    pub(super) fn deadline(
        self,
        text: &[u8],
        now: i64,
        command: &'static str,
    ) -> Result<i64, CmdError> {
        let number = integer(text)?;
        let millis = match self {
            TimeForm::Seconds | TimeForm::AtSeconds => number.checked_mul(1000),
            TimeForm::Millis | TimeForm::AtMillis => Some(number),
        };
        let base = match self {
            TimeForm::Seconds | TimeForm::Millis => now,
            TimeForm::AtSeconds | TimeForm::AtMillis => 0,
        };
        millis
            .filter(|millis| *millis > 0)
            .and_then(|millis| millis.checked_add(base))
            .ok_or(CmdError::InvalidExpire(command))
    }
}

/// What options say about a key's time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TtlOption<'b> {
    /// Nothing.
    Absent,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX and its like, with the number as it was sent.
    Deadline(TimeForm, &'b [u8]),
}

/// The option besides EX and its like that a command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TtlWord {
    /// KEEPTTL (SET, MSETEX)
    KeepTtl,
    /// PERSIST (GETEX)
    Persist,
}

impl<'b> TtlOption<'b> {
    /// Takes `word`, and its value from `options`, if it is about the time to live; false if it is not. Two
    /// different ones are a syntax error; of the same one given twice the last counts.
    pub(super) fn take(
        &mut self,
        word: &[u8],
        known: TtlWord,
        options: &mut Options<'b>,
    ) -> Result<bool, CmdError> {
        let taken = if let Some(form) = TimeForm::of(word) {
            TtlOption::Deadline(form, options.value()?)
        } else {
            match known {
                TtlWord::KeepTtl if is(word, "keepttl") => TtlOption::Keep,
                TtlWord::Persist if is(word, "persist") => TtlOption::Persist,
                TtlWord::KeepTtl | TtlWord::Persist => return Ok(false),
            }
        };
        let agrees = match (*self, taken) {
            (TtlOption::Absent, _) => true,
            (TtlOption::Deadline(before, _), TtlOption::Deadline(form, _)) => before == form,
            (before, taken) => before == taken,
        };
        *self = taken;
        if agrees { Ok(true) } else { Err(CmdError::Syntax) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_positive_and_do_not_overflow() {
        let now = 1_000_000;
        let deadline = |form: TimeForm, text: &str| form.deadline(text.as_bytes(), now, "set");
        assert_eq!(deadline(TimeForm::Seconds, "10"), Ok(1_010_000));
        assert_eq!(deadline(TimeForm::Millis, "10"), Ok(1_000_010));
        assert_eq!(deadline(TimeForm::AtSeconds, "10"), Ok(10_000));
        assert_eq!(deadline(TimeForm::AtMillis, "10"), Ok(10));
        assert_eq!(deadline(TimeForm::AtMillis, "9223372036854775807"), Ok(i64::MAX));
        assert_eq!(deadline(TimeForm::Seconds, "ten"), Err(CmdError::NotInteger));
        for form in [TimeForm::Seconds, TimeForm::Millis, TimeForm::AtSeconds, TimeForm::AtMillis] {
            assert_eq!(deadline(form, "0"), Err(CmdError::InvalidExpire("set")));
            assert_eq!(deadline(form, "-1"), Err(CmdError::InvalidExpire("set")));
        }
        let too_many_seconds = Err(CmdError::InvalidExpire("set"));
        assert_eq!(deadline(TimeForm::AtSeconds, "9223372036854776"), too_many_seconds);
        assert_eq!(deadline(TimeForm::Seconds, "9223372036854775"), too_many_seconds);
        assert_eq!(deadline(TimeForm::Millis, "9223372036854775807"), too_many_seconds);
    }
}
