//! The sparse form: runs of equal registers.
//!
//! ```text
//!   00llllll            ZERO    1 to 64 registers of 0
//!   01llllll llllllll   XZERO   1 to 16384 registers of 0
//!   1vvvvvll            VAL     1 to 4 registers of a value from 1 to 32
//!   lengths and values are stored less one
//! ```
//!
//! Raising a register splits the run it is in into up to three; runs that have become equal are joined as Redis does
//! it, which is not always: the bytes have to be the same as its.
use std::ops::Range;

use super::{Corrupt, HEADER_BYTES, REGISTERS};

/// All registers 0: one XZERO.
pub(super) const EMPTY: [u8; 2] = [0x7f, 0xff];
const XZERO: u8 = 0x40;
const VAL: u8 = 0x80;
/// Longest ZERO.
const ZERO_LENGTH_MAX: usize = 64;
/// Longest VAL.
const VAL_LENGTH_MAX: usize = 4;
/// Greatest value of a VAL.
const VALUE_MAX: u8 = 32;
/// Runs looked at for joining after a change.
const JOIN_LOOKS: usize = 5;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Value of its registers.
    pub(super) value: u8,
    /// Its first register.
    pub(super) first: usize,
    /// How many registers.
    pub(super) length: usize,
    /// Bytes of its code.
    pub(super) bytes: usize,
    /// Where they are, from the first run.
    at: usize,
}

impl Run {
    /// Its registers.
    pub(super) fn registers(&self) -> Range<usize> {
        self.first..self.first + self.length
    }

    fn read(code: &[u8], at: usize, first: usize) -> Option<Run> {
        let byte = *code.get(at)?;
        let (value, length, bytes) = if byte & VAL != 0 {
            ((byte >> 2 & 0x1f) + 1, usize::from(byte & 3) + 1, 1)
        } else if byte & XZERO != 0 {
            // Cut off: as if a 0 came, since for Redis one does.
            let low = code.get(at + 1).copied().unwrap_or(0);
            (0, (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, 2)
        } else {
            (0, usize::from(byte) + 1, 1)
        };
        Some(Run { value, first, length, bytes, at })
    }
}

/// The runs of a string, however many registers they cover.
pub(super) fn runs(code: &[u8]) -> impl Iterator<Item = Run> + '_ {
    std::iter::successors(Run::read(code, 0, 0), |run| {
        Run::read(code, run.at + run.bytes, run.first + run.length)
    })
}

/// The runs of a string; the last one is an error if they do not cover the registers.
pub(super) fn checked_runs(code: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> + '_ {
    let mut at = 0;
    let mut first = 0;
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let Some(run) = Run::read(code, at, first) else {
            is_over = true;
            return (first != REGISTERS).then_some(Err(Corrupt));
        };
        at += run.bytes;
        first += run.length;
        if first > REGISTERS {
            is_over = true;
            return Some(Err(Corrupt));
        }
        Some(Ok(run))
    })
}

/// What raising a register came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was that high already.
    Not,
    /// It is raised.
    Here,
    /// Nothing is done: the sparse form cannot hold it, or has no room.
    NeedsDense,
}

/// Raises a register of a sparse HyperLogLog (`text` is all of it). A string that grows beyond `bytes_max` needs to be
/// dense.
pub(super) fn raise(
    text: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::NeedsDense);
    }
    let (run, previous_at) = find(&text[HEADER_BYTES..], index).ok_or(Corrupt)?;
    if run.value >= value {
        return Ok(Raised::Not);
    }
    let mut code = [0; 5];
    let code = split(&run, index, value, &mut code);
    let old_end = (HEADER_BYTES + run.at + run.bytes).min(text.len());
    let place = HEADER_BYTES + run.at..old_end;
    if code.len() > run.bytes && text.len() + code.len() - run.bytes > bytes_max {
        return Ok(Raised::NeedsDense);
    }
    let len = text.len() + code.len() - run.bytes;
    if code.len() == place.len() {
        text[place].copy_from_slice(code);
    } else {
        text.splice(place, code.iter().copied());
    }
    // One that was cut off stays so.
    text.truncate(len);
    join(text, HEADER_BYTES + previous_at);
    Ok(Raised::Here)
}

/// Registers of a run of one byte, by that byte; 0 for an XZERO.
const LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        lengths[byte] = match byte {
            0x80.. => (byte as u8 & 3) + 1,
            0x40.. => 0,
            _ => byte as u8 + 1,
        };
        byte += 1;
    }
    lengths
};

/// The run a register is in, and where the one before it is. This is where the time goes: VALs and ZEROs come by turns,
/// in no order a processor could learn, so a table tells their lengths.
fn find(code: &[u8], index: usize) -> Option<(Run, usize)> {
    let (mut at, mut first, mut previous_at) = (0, 0, 0);
    loop {
        let mut length = usize::from(LENGTHS[usize::from(*code.get(at)?)]);
        let mut bytes = 1;
        if length == 0 {
            let run = Run::read(code, at, first)?;
            (length, bytes) = (run.length, run.bytes);
        }
        if index < first + length {
            return Run::read(code, at, first).map(|run| (run, previous_at));
        }
        previous_at = at;
        at += bytes;
        first += length;
    }
}

/// The code of a run one of whose registers has another value.
fn split<'c>(run: &Run, index: usize, value: u8, code: &'c mut [u8; 5]) -> &'c [u8] {
    let mut len = 0;
    let mut push = |byte: u8| {
        code[len] = byte;
        len += 1;
    };
    let mut push_run = |run_value: u8, length: usize| match (run_value, length) {
        (_, 0) => {}
        (0, ..=ZERO_LENGTH_MAX) => push(length as u8 - 1),
        (0, _) => {
            push(XZERO | ((length - 1) >> 8) as u8);
            push((length - 1) as u8);
        }
        _ => push(val(run_value, length)),
    };
    push_run(run.value, index - run.first);
    push_run(value, 1);
    push_run(run.value, run.first + run.length - index - 1);
    &code[..len]
}

fn val(value: u8, length: usize) -> u8 {
    VAL | (value - 1) << 2 | (length - 1) as u8
}

/// Joins neighbouring VALs of one value from `at` on, as far as Redis looks.
fn join(text: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_LOOKS {
        let Some(&byte) = text.get(at) else { return };
        if byte & VAL == 0 {
            at += if byte & XZERO != 0 { 2 } else { 1 };
            continue;
        }
        let next = text.get(at + 1).copied().unwrap_or(0);
        let length = usize::from(byte & 3) + usize::from(next & 3) + 2;
        if next & VAL != 0 && next >> 2 == byte >> 2 && length <= VAL_LENGTH_MAX {
            text[at + 1] = val((byte >> 2 & 0x1f) + 1, length);
            // Looked at again: what came of it may be joined with what follows.
            text.remove(at);
        } else {
            at += 1;
        }
    }
}
