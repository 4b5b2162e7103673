//! LZF compression as Redis applies it to strings in RDB files and DUMP payloads.
//!
//! ```text
//! 000LLLLL  L+1 bytes                  literal run of 1..=32 bytes
//! LLLooooo  oooooooo                   copy L+2 bytes (L in 1..=6) from o+1 bytes back
//! 111ooooo  LLLLLLLL  oooooooo         copy L+9 bytes from o+1 bytes back (1..=8192)
//! ```
//!
//! Promise: `compress` finds the matches liblzf finds in Redis's settings (hash of 2^16 slots,
//! "very fast"), so payloads are equal byte for byte. liblzf starts with an uninitialised table;
//! we act as if it were empty, which makes the output a function of the input.
//! `decompress` is safe against any input.
//!
//! [`Compressor`] and [`Decompressor`] do the same in pieces.
//!
//! Cost: a few hundred MB/s each. `compress` keeps 256 KiB of scratch per thread that uses it, and
//! does not clear it between calls: Redis tries every string over 20 bytes, and clearing would
//! cost more than most of these.

use std::cell::RefCell;
use std::collections::TryReserveError;

use crate::base::pieces::{Garbage, Progress};

const SLOT_BITS: u32 = 16;
const LITERAL_RUN_MAX: usize = 1 << 5;
const OFFSET_MAX: usize = 1 << 13;
const MATCH_MAX: usize = (1 << 8) + (1 << 3);
/// liblzf compares this many bytes without looking at the limits.
const UNROLLED: usize = 16;

thread_local! {
    static SLOTS: RefCell<Slots> = const { RefCell::new(Slots { slots: Vec::new(), base: 0 }) };
}

/// Last place of each hashed byte triple, kept from call to call.
struct Slots {
    /// `base + position` of the last place; less than `base` was written by an earlier call.
    slots: Vec<u32>,
    /// Grows by the input length with each call. Invariant: at least 1 while in use.
    base: u32,
}

impl Slots {
    /// Forgets all places, for an input of `length` bytes.
    fn start(&mut self, length: u32) {
        match self.base.checked_add(length) {
            // Positions of this input will be base..base + length; the next input starts above.
            Some(_) if !self.slots.is_empty() && self.base != 0 => {}
            _ => {
                // Fresh memory is zero and comes page by page as it is used.
                if self.slots.is_empty() {
                    self.slots = vec![0; 1 << SLOT_BITS];
                } else {
                    self.slots.fill(0);
                }
                self.base = 1;
            }
        }
    }

    fn finish(&mut self, length: u32) {
        // Saturated means: start() will find no room and clear.
        self.base = self.base.saturating_add(length);
    }

    /// Notes `position` for the triple at it; returns the place noted before.
    #[inline]
    fn replace(&mut self, input: &[u8], position: usize) -> Option<usize> {
        let triple = u32::from(input[position]) << 16
            | u32::from(input[position + 1]) << 8
            | u32::from(input[position + 2]);
        let hash = (triple >> (24 - SLOT_BITS)).wrapping_sub(triple.wrapping_mul(5));
        let slot = &mut self.slots[hash as usize & ((1 << SLOT_BITS) - 1)];
        // Fits: start() made sure that base + length does.
        let before = std::mem::replace(slot, self.base + position as u32);
        before.checked_sub(self.base).map(|place| place as usize)
    }
}

/// Appends the compressed form of `input` to `out` if it takes at most `limit` bytes, and returns
/// its length; else `None` and `out` as it was. Redis passes `input.len() - 4` as the limit.
///
/// Inputs of 4 GiB and more are not compressed.
pub fn compress(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Option<usize> {
    let length = packable(input.len(), limit)?;
    let start = out.len();
    SLOTS.with_borrow_mut(|slots| {
        slots.start(length);
        let mut packer = Packer { start, limit, position: 0, literal_count: 0 };
        packer.open_run(out);
        let packed = packer.pack(input, slots, out, input.len());
        slots.finish(length);
        let compressed = match packed {
            Packed::Whole => Some(packer.used(out)),
            Packed::Part | Packed::TooLong => None,
        };
        if compressed.is_none() {
            out.truncate(start);
        }
        compressed
    })
}

/// The length of an input that can be compressed at all.
fn packable(length: usize, limit: usize) -> Option<u32> {
    let length = u32::try_from(length).ok().filter(|length| *length < u32::MAX)?;
    (length != 0 && limit != 0).then_some(length)
}

/// Bytes of input one unit stands for: 1.5 us of text, 6 us of noise.
const BYTES_PER_UNIT: usize = 1024;

/// [`compress`] in pieces: gives the same bytes. Has a table of its own (256 KiB).
pub struct Compressor {
    slots: Slots,
    packer: Packer,
    packed: Packed,
}

impl Compressor {
    /// Work on an input of `length` bytes, to be appended to `out`, which is the same at every step and has room
    /// for `limit` more bytes. `None`: such an input is not compressed.
    pub fn new(length: usize, out: &mut Vec<u8>, limit: usize) -> Option<Compressor> {
        let length = packable(length, limit)?;
        let mut slots = Slots { slots: Vec::new(), base: 0 };
        slots.start(length);
        let mut packer = Packer { start: out.len(), limit, position: 0, literal_count: 0 };
        packer.open_run(out);
        Some(Compressor { slots, packer, packed: Packed::Part })
    }

    /// Goes on over about `units` KiB of the input; [`Compressor::result`] when done.
    pub fn step(&mut self, input: &[u8], out: &mut Vec<u8>, units: usize) -> Progress {
        if self.packed == Packed::Part {
            let more = units.saturating_mul(BYTES_PER_UNIT);
            let pause = self.packer.position.saturating_add(more).min(input.len());
            self.packed = self.packer.pack(input, &mut self.slots, out, pause);
            if self.packed == Packed::TooLong {
                out.truncate(self.packer.start);
            }
        }
        if self.packed == Packed::Part { Progress::More } else { Progress::Done }
    }

    /// Once done: bytes that were appended, or `None` where that would have been more than the limit, and `out` is
    /// as it was.
    pub fn result(&self, out: &[u8]) -> Option<usize> {
        (self.packed == Packed::Whole).then(|| self.packer.used(out))
    }
}

/// How far the input is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packed {
    /// Up to where it was to pause.
    Part,
    /// To its end.
    Whole,
    /// It takes more than the limit.
    TooLong,
}

/// The output side. A literal run is open all the time: its length byte is reserved first and
/// filled in (or taken back, if the run stayed empty) when the run ends.
struct Packer {
    /// Where the packed bytes begin in the output.
    start: usize,
    limit: usize,
    /// Next byte of the input.
    position: usize,
    literal_count: usize,
}

impl Packer {
    fn used(&self, out: &[u8]) -> usize {
        out.len() - self.start
    }

    /// Goes on until `pause` or a little behind it.
    fn pack(&mut self, input: &[u8], slots: &mut Slots, out: &mut Vec<u8>, pause: usize) -> Packed {
        let end = input.len();
        let mut position = self.position;
        while position + 2 < end {
            if position >= pause {
                self.position = position;
                return Packed::Part;
            }
            let place = slots.replace(input, position);
            let Some((place, offset)) = usable_match(input, place, position) else {
                if self.used(out) >= self.limit {
                    return Packed::TooLong;
                }
                self.literal(out, input[position]);
                position += 1;
                continue;
            };
            // The reserved length byte does not count if its run is empty.
            let reserved = usize::from(self.literal_count == 0);
            if self.used(out) - reserved + 3 + 1 >= self.limit {
                return Packed::TooLong;
            }
            self.close_run(out);
            let length = match_length(input, place, position);
            push_copy(out, offset, length);
            self.open_run(out);
            position += length;
            if position + 2 >= end {
                break;
            }
            // "Very fast": of the places inside the match only the last two are noted.
            slots.replace(input, position - 2);
            slots.replace(input, position - 1);
        }
        // At most two bytes are left, and perhaps the length byte of a new run.
        if self.used(out) + 3 > self.limit {
            return Packed::TooLong;
        }
        for byte in &input[position..] {
            self.literal(out, *byte);
        }
        self.close_run(out);
        Packed::Whole
    }

    fn open_run(&mut self, out: &mut Vec<u8>) {
        self.literal_count = 0;
        out.push(0);
    }

    fn close_run(&mut self, out: &mut Vec<u8>) {
        if self.literal_count == 0 {
            out.pop();
        } else {
            let length_at = out.len() - self.literal_count - 1;
            out[length_at] = (self.literal_count - 1) as u8;
        }
    }

    fn literal(&mut self, out: &mut Vec<u8>, byte: u8) {
        out.push(byte);
        self.literal_count += 1;
        if self.literal_count == LITERAL_RUN_MAX {
            self.close_run(out);
            self.open_run(out);
        }
    }
}

/// `offset` is one less than the distance; `length` counts bytes, 3 or more.
fn push_copy(out: &mut Vec<u8>, offset: usize, length: usize) {
    let code = length - 2;
    if code < 7 {
        out.push((offset >> 8) as u8 | (code as u8) << 5);
    } else {
        out.push((offset >> 8) as u8 | 7 << 5);
        out.push((code - 7) as u8);
    }
    out.push(offset as u8);
}

/// The earlier place and its offset, if it is near enough and has the same three bytes. Position
/// 0 is never used: liblzf takes its address for "nothing noted".
fn usable_match(input: &[u8], place: Option<usize>, position: usize) -> Option<(usize, usize)> {
    let place = place.filter(|place| *place > 0)?;
    let offset = position - place - 1;
    let is_equal = input[place..place + 3] == input[position..position + 3];
    (offset < OFFSET_MAX && is_equal).then_some((place, offset))
}

/// How many bytes at `place` and `position` are equal, knowing that three are.
///
/// Stops two bytes before the end of the input, except that the unrolled part of liblzf runs past
/// its own limit when 17 or 18 bytes are left; equal output needs the same step.
fn match_length(input: &[u8], place: usize, position: usize) -> usize {
    let is_equal = |at: usize| input[place + at] == input[position + at];
    let limit = (input.len() - position - 2).min(MATCH_MAX);
    let mut length = 2;
    if limit > UNROLLED {
        for _ in 0..UNROLLED {
            length += 1;
            if !is_equal(length) {
                return length;
            }
        }
    }
    length += 1;
    while length < limit && is_equal(length) {
        length += 1;
    }
    length
}

/// Appends the original of a compressed `input` to `out`. True if it is well formed and gives
/// exactly `exact_len` bytes; else false and `out` as it was. Allocates only what the input can
/// really fill.
pub fn decompress(input: &[u8], out: &mut Vec<u8>, exact_len: usize) -> bool {
    if !is_possible(input.len(), exact_len) {
        return false;
    }
    let start = out.len();
    out.reserve(exact_len);
    let unpacked = unpack(input, out, start, exact_len, usize::MAX);
    let is_whole = unpacked == Some(input.len()) && out.len() - start == exact_len;
    if !is_whole {
        out.truncate(start);
    }
    is_whole
}

/// Three bytes make at most 264: a length beyond that is a lie, found before allocating.
fn is_possible(input_len: usize, exact_len: usize) -> bool {
    exact_len / MATCH_MAX <= input_len
}

/// A compressed input was not well formed, or has another length than was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// [`decompress`] in pieces: gives the same bytes and refuses the same.
pub struct Decompressor {
    out: Vec<u8>,
    exact_len: usize,
    /// Bytes of the input that were unpacked.
    position: usize,
}

impl Decompressor {
    /// Work on an input of `input_len` bytes that says it gives `exact_len`. `Err` where there is no memory for
    /// these; nothing is asked for that the input cannot fill.
    pub fn new(
        input_len: usize,
        exact_len: usize,
    ) -> Result<Result<Decompressor, Malformed>, TryReserveError> {
        if !is_possible(input_len, exact_len) {
            return Ok(Err(Malformed));
        }
        let mut out = Vec::new();
        out.try_reserve_exact(exact_len)?;
        Ok(Ok(Decompressor { out, exact_len, position: 0 }))
    }

    /// Goes on until about `units` KiB more of the original are there.
    pub fn step(&mut self, input: &[u8], units: usize) -> Result<Progress, Malformed> {
        let more = units.saturating_mul(BYTES_PER_UNIT);
        let pause = self.out.len().saturating_add(more);
        let rest = input.get(self.position..).ok_or(Malformed)?;
        let used = unpack(rest, &mut self.out, 0, self.exact_len, pause).ok_or(Malformed)?;
        self.position += used;
        if self.position < input.len() {
            return Ok(Progress::More);
        }
        if self.out.len() == self.exact_len { Ok(Progress::Done) } else { Err(Malformed) }
    }

    /// The original, once done.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

impl Garbage for Decompressor {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.out.free_slice(units)
    }
}

/// Unpacks to behind `start` of `out` until that is `pause` bytes long; how much of `input` that took.
fn unpack(
    input: &[u8],
    out: &mut Vec<u8>,
    start: usize,
    exact_len: usize,
    pause: usize,
) -> Option<usize> {
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        if out.len() >= pause {
            break;
        }
        let room = exact_len - (out.len() - start);
        let code = usize::from(control >> 5);
        if code == 0 {
            let count = usize::from(*control) + 1;
            if count > room {
                return None;
            }
            let (literals, tail) = tail.split_at_checked(count)?;
            out.extend_from_slice(literals);
            rest = tail;
            continue;
        }
        let (length, tail) = match tail {
            [more, tail @ ..] if code == 7 => (code + usize::from(*more) + 2, tail),
            _ => (code + 2, tail),
        };
        let (low, tail) = tail.split_first()?;
        let distance = (usize::from(control & 0x1f) << 8 | usize::from(*low)) + 1;
        if length > room || distance > out.len() - start {
            return None;
        }
        copy_back(out, distance, length);
        rest = tail;
    }
    Some(input.len() - rest.len())
}

/// Appends `length` bytes from `distance` back; the copy may run into what it writes.
fn copy_back(out: &mut Vec<u8>, distance: usize, length: usize) {
    let from = out.len() - distance;
    let mut copied = 0;
    while copied < length {
        // What is there doubles with every round when the distance is short.
        let step = (length - copied).min(out.len() - from - copied);
        out.extend_from_within(from + copied..from + copied + step);
        copied += step;
    }
}

#[cfg(test)]
#[path = "lzf_tests.rs"]
mod tests;
