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
//! Cost: a few hundred MB/s each. `compress` keeps 256 KiB of scratch per thread that uses it, and
//! does not clear it between calls: Redis tries every string over 20 bytes, and clearing would
//! cost more than most of these.

use std::cell::RefCell;

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
                self.slots.clear();
                self.slots.resize(1 << SLOT_BITS, 0);
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
    let length = u32::try_from(input.len()).ok().filter(|length| *length < u32::MAX)?;
    if length == 0 || limit == 0 {
        return None;
    }
    let start = out.len();
    SLOTS.with_borrow_mut(|slots| {
        slots.start(length);
        let mut packer = Packer { out, start, limit, literal_count: 0 };
        packer.open_run();
        let compressed = packer.pack(input, slots);
        slots.finish(length);
        if compressed.is_none() {
            out.truncate(start);
        }
        compressed
    })
}

/// The output side. A literal run is open all the time: its length byte is reserved first and
/// filled in (or taken back, if the run stayed empty) when the run ends.
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
    literal_count: usize,
}

impl Packer<'_> {
    fn used(&self) -> usize {
        self.out.len() - self.start
    }

    fn pack(&mut self, input: &[u8], slots: &mut Slots) -> Option<usize> {
        let end = input.len();
        let mut position = 0;
        while position + 2 < end {
            let place = slots.replace(input, position);
            let Some((place, offset)) = usable_match(input, place, position) else {
                if self.used() >= self.limit {
                    return None;
                }
                self.literal(input[position]);
                position += 1;
                continue;
            };
            // The reserved length byte does not count if its run is empty.
            let reserved = usize::from(self.literal_count == 0);
            if self.used() - reserved + 3 + 1 >= self.limit {
                return None;
            }
            self.close_run();
            let length = match_length(input, place, position);
            self.copy(offset, length);
            self.open_run();
            position += length;
            if position + 2 >= end {
                break;
            }
            // "Very fast": of the places inside the match only the last two are noted.
            slots.replace(input, position - 2);
            slots.replace(input, position - 1);
        }
        // At most two bytes are left, and perhaps the length byte of a new run.
        if self.used() + 3 > self.limit {
            return None;
        }
        for byte in &input[position..] {
            self.literal(*byte);
        }
        self.close_run();
        Some(self.used())
    }

    fn open_run(&mut self) {
        self.literal_count = 0;
        self.out.push(0);
    }

    fn close_run(&mut self) {
        if self.literal_count == 0 {
            self.out.pop();
        } else {
            let length_at = self.out.len() - self.literal_count - 1;
            self.out[length_at] = (self.literal_count - 1) as u8;
        }
    }

    fn literal(&mut self, byte: u8) {
        self.out.push(byte);
        self.literal_count += 1;
        if self.literal_count == LITERAL_RUN_MAX {
            self.close_run();
            self.open_run();
        }
    }

    /// `offset` is one less than the distance; `length` counts bytes, 3 or more.
    fn copy(&mut self, offset: usize, length: usize) {
        let code = length - 2;
        if code < 7 {
            self.out.push((offset >> 8) as u8 | (code as u8) << 5);
        } else {
            self.out.push((offset >> 8) as u8 | 7 << 5);
            self.out.push((code - 7) as u8);
        }
        self.out.push(offset as u8);
    }
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
    // Three bytes make at most 264: a length beyond that is a lie, found before allocating.
    if exact_len / MATCH_MAX > input.len() {
        return false;
    }
    let start = out.len();
    out.reserve(exact_len);
    let is_whole = unpack(input, out, start, exact_len).is_some();
    if !is_whole {
        out.truncate(start);
    }
    is_whole
}

fn unpack(input: &[u8], out: &mut Vec<u8>, start: usize, exact_len: usize) -> Option<()> {
    let mut rest = input;
    while let [control, tail @ ..] = rest {
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
    (out.len() - start == exact_len).then_some(())
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
