//! DUMP payloads and the strings in them, written and read in pieces.
//!
//! The same bytes and the same refusals as `rdb_format` gives in one go, whose format it is. A unit is 1 KiB
//! compressed or decompressed, or 8 KiB copied or summed: 1 to 6 us.
//!
//! ```text
//!   payload under construction     | gap ···· type, lengths | value | mark | version, checksum |
//! ```
//!
//! How long the lengths are is known only after the value was compressed, so room is left for them at the front and
//! they are written against the value: the payload is a range of the buffer, which a reply sends by reference.
use std::borrow::Cow;
use std::ops::Range;

use crate::base::block::Block;
use crate::base::crc::crc64;
use crate::base::lzf::{Compressor, Decompressor, Malformed};
use crate::base::pieces::{Garbage, Progress};
use crate::persist::rdb_format::{
    BadFooter, COMPRESSION_GAIN_MIN, Checksum, Compression, Corrupt, ENCODED, ENCODING_LZF,
    FOOTER_BYTES, Length, Reader, Text, UNCOMPRESSED_MAX, VERSION, VERSION_FIELD_EXPIRY,
    value_type, write_length, write_string,
};
use crate::store::OutOfMemory;

/// Type, encoding, two lengths of nine bytes.
const HEAD_BYTES_MAX: usize = 1 + 1 + 9 + 9;
/// Bytes copied or summed per unit.
const PLAIN_BYTES_PER_UNIT: usize = 8 * 1024;

/// A DUMP payload of one string being written.
pub struct DumpWriter {
    buffer: Vec<u8>,
    /// Where the payload begins in it.
    start: usize,
    value_type: u8,
    mark: Option<u8>,
    stage: Writing,
}

/// What the next step goes on with.
enum Writing {
    Packing(Box<Compressor>),
    Copying,
    /// The checksum of so many bytes is this.
    Summing {
        done: usize,
        sum: u64,
    },
    Written,
}

impl DumpWriter {
    /// Work on `text`, which is the same at every step; `mark` is a byte that follows the value. Asks for all the
    /// memory it will need; no more of it is touched than the payload takes.
    pub fn new(
        value_type: u8,
        text: &[u8],
        mark: Option<u8>,
        compression: Compression,
    ) -> Result<DumpWriter, OutOfMemory> {
        let mut buffer = Vec::new();
        let bytes = HEAD_BYTES_MAX + text.len() + 1 + FOOTER_BYTES;
        buffer.try_reserve_exact(bytes).map_err(|_| OutOfMemory)?;
        let stage = Writing::Copying;
        let mut writer = DumpWriter { buffer, start: HEAD_BYTES_MAX, value_type, mark, stage };
        if text.len() <= UNCOMPRESSED_MAX {
            writer.start = 0;
            writer.buffer.push(value_type);
            write_string(&mut writer.buffer, text, compression);
            writer.end_value();
            return Ok(writer);
        }
        writer.buffer.resize(HEAD_BYTES_MAX, 0);
        if compression == Compression::Lzf {
            let limit = text.len() - COMPRESSION_GAIN_MIN;
            if let Some(work) = Compressor::new(text.len(), &mut writer.buffer, limit) {
                writer.stage = Writing::Packing(Box::new(work));
            }
        }
        Ok(writer)
    }

    /// Goes on; when done, [`DumpWriter::into_payload`].
    pub fn step(&mut self, text: &[u8], units: usize) -> Progress {
        let plain_bytes = units.saturating_mul(PLAIN_BYTES_PER_UNIT);
        match &mut self.stage {
            Writing::Packing(work) => {
                if work.step(text, &mut self.buffer, units) == Progress::More {
                    return Progress::More;
                }
                match work.result(&self.buffer) {
                    Some(packed_len) => {
                        self.write_head(&[ENCODED | ENCODING_LZF], &[packed_len, text.len()]);
                        self.end_value();
                    }
                    None => self.stage = Writing::Copying,
                }
            }
            Writing::Copying => {
                let done = self.buffer.len() - HEAD_BYTES_MAX;
                let end = done.saturating_add(plain_bytes).min(text.len());
                self.buffer.extend_from_slice(&text[done..end]);
                if end == text.len() {
                    self.write_head(&[], &[text.len()]);
                    self.end_value();
                }
            }
            Writing::Summing { done, sum } => {
                let end = done.saturating_add(plain_bytes).min(self.buffer.len());
                *sum = crc64(*sum, &self.buffer[*done..end]);
                *done = end;
                if end == self.buffer.len() {
                    let sum = *sum;
                    self.buffer.extend_from_slice(&sum.to_le_bytes());
                    self.stage = Writing::Written;
                }
            }
            Writing::Written => {}
        }
        if matches!(self.stage, Writing::Written) { Progress::Done } else { Progress::More }
    }

    /// Writes type, encoding and lengths against the value.
    fn write_head(&mut self, encoding: &[u8], lengths: &[usize]) {
        let mut head = vec![self.value_type];
        head.extend_from_slice(encoding);
        lengths.iter().for_each(|&length| write_length(&mut head, length as u64));
        self.start = HEAD_BYTES_MAX - head.len();
        self.buffer[self.start..HEAD_BYTES_MAX].copy_from_slice(&head);
    }

    fn end_value(&mut self) {
        self.buffer.extend(self.mark);
        self.buffer.extend_from_slice(&VERSION.to_le_bytes());
        self.stage = Writing::Summing { done: self.start, sum: 0 };
    }

    /// The payload: a range of a block. Room that was not needed goes back to the system.
    pub fn into_payload(mut self) -> (Block, Range<usize>) {
        self.buffer.shrink_to_fit();
        let range = self.start..self.buffer.len();
        (Block::new(self.buffer), range)
    }
}

impl Garbage for DumpWriter {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.stage = Writing::Written;
        self.buffer.free_slice(units)
    }
}

/// The footer of a DUMP payload being checked.
pub struct FooterCheck {
    body_len: usize,
    /// Bytes under the checksum, the version included.
    summed_len: usize,
    done: usize,
    sum: u64,
    expected: u64,
}

impl FooterCheck {
    /// Work on `payload`, which is the same at every step. O(1): the version is checked here.
    pub fn new(payload: &[u8], checksum: Checksum) -> Result<FooterCheck, BadFooter> {
        let body_len = payload.len().checked_sub(FOOTER_BYTES).ok_or(BadFooter)?;
        let mut footer = Reader::new(payload.get(body_len..).ok_or(BadFooter)?);
        let version = footer.u16_le().map_err(|Corrupt| BadFooter)?;
        let expected = footer.u64_le().map_err(|Corrupt| BadFooter)?;
        let version_max = match payload.first() {
            // What Redis 7.4 writes.
            Some(&(value_type::HASH_EXPIRY | value_type::HASH_LISTPACK_EXPIRY)) => {
                VERSION_FIELD_EXPIRY
            }
            _ => VERSION,
        };
        if version > version_max {
            return Err(BadFooter);
        }
        let summed_len = body_len + 2;
        Ok(match checksum {
            Checksum::Compared => FooterCheck { body_len, summed_len, done: 0, sum: 0, expected },
            Checksum::Ignored => {
                FooterCheck { body_len, summed_len, done: summed_len, sum: expected, expected }
            }
        })
    }

    /// Goes on with the checksum.
    pub fn step(&mut self, payload: &[u8], units: usize) -> Result<Progress, BadFooter> {
        let more = units.saturating_mul(PLAIN_BYTES_PER_UNIT);
        let end = self.done.saturating_add(more).min(self.summed_len);
        self.sum = crc64(self.sum, payload.get(self.done..end).ok_or(BadFooter)?);
        self.done = end;
        if end < self.summed_len {
            return Ok(Progress::More);
        }
        if self.sum == self.expected { Ok(Progress::Done) } else { Err(BadFooter) }
    }

    /// Bytes of type and value, the front of the payload.
    pub fn body_len(&self) -> usize {
        self.body_len
    }
}

/// Why a string cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not what the format allows.
    Corrupt,
    /// No memory for it.
    OutOfMemory,
}

impl From<OutOfMemory> for Unreadable {
    fn from(_: OutOfMemory) -> Unreadable {
        Unreadable::OutOfMemory
    }
}

impl From<Corrupt> for Unreadable {
    fn from(_: Corrupt) -> Unreadable {
        Unreadable::Corrupt
    }
}

/// A string being read: copied or decompressed.
pub struct StringReader {
    /// Bytes of the input it takes, its lengths included.
    len: usize,
    stage: Reading,
}

enum Reading {
    Int(i64),
    Copying { from: Range<usize>, bytes: Vec<u8> },
    Unpacking { from: Range<usize>, work: Decompressor },
}

impl StringReader {
    /// Work on the string at the start of `input`, which is the same at every step. O(1). Asks for the memory of the
    /// string; no more than the input can fill.
    pub fn new(input: &[u8]) -> Result<StringReader, Unreadable> {
        let mut reader = Reader::new(input);
        let mut ahead = reader.clone();
        let stage = match ahead.length_or_encoding()? {
            Length::Plain(length) => {
                let from = input.len() - ahead.rest().len();
                let length = ahead.bytes(length)?.len();
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(length).map_err(|_| Unreadable::OutOfMemory)?;
                Reading::Copying { from: from..from + length, bytes }
            }
            Length::Encoded(ENCODING_LZF) => {
                let packed_len = ahead.length()?;
                let length = usize::try_from(ahead.length()?).map_err(|_| Corrupt)?;
                let from = input.len() - ahead.rest().len();
                let packed_len = ahead.bytes(packed_len)?.len();
                let work = Decompressor::new(packed_len, length)
                    .map_err(|_| Unreadable::OutOfMemory)?
                    .map_err(|Malformed| Corrupt)?;
                Reading::Unpacking { from: from..from + packed_len, work }
            }
            Length::Encoded(_) => match reader.string()? {
                Text::Int(value) => {
                    ahead = reader;
                    Reading::Int(value)
                }
                Text::Bytes(_) => return Err(Unreadable::Corrupt),
            },
        };
        Ok(StringReader { len: input.len() - ahead.rest().len(), stage })
    }

    /// Goes on; when done, [`StringReader::into_text`].
    pub fn step(&mut self, input: &[u8], units: usize) -> Result<Progress, Corrupt> {
        match &mut self.stage {
            Reading::Int(_) => Ok(Progress::Done),
            Reading::Copying { from, bytes } => {
                let whole = input.get(from.clone()).ok_or(Corrupt)?;
                let more = units.saturating_mul(PLAIN_BYTES_PER_UNIT);
                let end = bytes.len().saturating_add(more).min(whole.len());
                bytes.extend_from_slice(&whole[bytes.len()..end]);
                Ok(if end == whole.len() { Progress::Done } else { Progress::More })
            }
            Reading::Unpacking { from, work } => {
                let packed = input.get(from.clone()).ok_or(Corrupt)?;
                work.step(packed, units).map_err(|Malformed| Corrupt)
            }
        }
    }

    /// Bytes of the input the string takes: what follows it begins there. Known from the start.
    pub fn input_len(&self) -> usize {
        self.len
    }

    /// The string, once done.
    pub fn into_text(self) -> Text<'static> {
        match self.stage {
            Reading::Int(value) => Text::Int(value),
            Reading::Copying { bytes, .. } => Text::Bytes(Cow::Owned(bytes)),
            Reading::Unpacking { work, .. } => Text::Bytes(Cow::Owned(work.into_bytes())),
        }
    }
}

impl Garbage for StringReader {
    fn free_slice(&mut self, units: usize) -> Progress {
        match &mut self.stage {
            Reading::Int(_) => Progress::Done,
            Reading::Copying { bytes, .. } => bytes.free_slice(units),
            Reading::Unpacking { work, .. } => work.free_slice(units),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::rdb_format::{check_footer, write_footer};
    use proptest::prelude::*;

    /// As DUMP does it in one go.
    fn dumped(text: &[u8], mark: Option<u8>, compression: Compression) -> Vec<u8> {
        let mut out = vec![7];
        write_string(&mut out, text, compression);
        out.extend(mark);
        write_footer(&mut out);
        out
    }

    fn dumped_in_pieces(
        text: &[u8],
        mark: Option<u8>,
        compression: Compression,
        units: usize,
    ) -> (Vec<u8>, usize) {
        let mut writer = DumpWriter::new(7, text, mark, compression).expect("small");
        let capacity = writer.buffer.capacity();
        let mut steps = 1;
        while writer.step(text, units) == Progress::More {
            steps += 1;
        }
        assert_eq!(writer.buffer.capacity(), capacity, "a big buffer must never move");
        let (block, range) = writer.into_payload();
        (block[range].to_vec(), steps)
    }

    fn checked_in_pieces(payload: &[u8], units: usize) -> Result<usize, BadFooter> {
        let mut check = FooterCheck::new(payload, Checksum::Compared)?;
        while check.step(payload, units)? == Progress::More {}
        Ok(check.body_len())
    }

    fn read_in_pieces(input: &[u8], units: usize) -> Result<(Text<'static>, usize), Unreadable> {
        let mut reader = StringReader::new(input)?;
        while reader.step(input, units)? == Progress::More {}
        Ok((reader.input_len(), reader)).map(|(len, reader)| (reader.into_text(), len))
    }

    fn agree(text: &[u8], mark: Option<u8>, units: usize) {
        for compression in [Compression::Off, Compression::Lzf] {
            let payload = dumped(text, mark, compression);
            assert!(dumped_in_pieces(text, mark, compression, units).0 == payload);
            let body_len = checked_in_pieces(&payload, units).expect("intact");
            assert_eq!(body_len, payload.len() - FOOTER_BYTES);
            let body = &payload[1..body_len];
            let (read, len) = read_in_pieces(body, units).expect("intact");
            assert_eq!(len, body.len() - usize::from(mark.is_some()));
            assert!(Reader::new(body).string() == Ok(read));
        }
    }

    /// Text that compresses, text that does not, and one that only begins as if it did.
    fn texts(len: usize) -> [Vec<u8>; 3] {
        let noise: Vec<u8> = (0..len as u64).map(|n| (crc64(n, b"noise") >> 20) as u8).collect();
        let runs: Vec<u8> =
            noise.iter().enumerate().map(|(at, n)| if at % 97 > 9 { 1 } else { *n }).collect();
        let mut mixed = noise.clone();
        mixed[..len / 3].copy_from_slice(&runs[..len / 3]);
        [noise, runs, mixed]
    }

    #[test]
    fn any_length_in_any_pieces() {
        for len in [0, 1, 11, 12, 20, 21, 22, 63, 64, 70, 16_383, 16_384, 100_000] {
            for text in texts(len) {
                for (units, mark) in [(1, None), (3, Some(b'^')), (usize::MAX, None)] {
                    agree(&text, mark, units);
                }
            }
        }
        for number in ["0", "-128", "32768", "2147483647", "2147483648", "007"] {
            agree(number.as_bytes(), None, 1);
        }
    }

    #[test]
    fn a_step_is_short() {
        let [noise, runs, _] = texts(1 << 20);
        // Compressed to no avail, copied, summed; compressed well; only copied.
        assert!((1000..1400).contains(&dumped_in_pieces(&noise, None, Compression::Lzf, 1).1));
        assert!((900..1200).contains(&dumped_in_pieces(&runs, None, Compression::Lzf, 1).1));
        assert_eq!(dumped_in_pieces(&runs, None, Compression::Off, 1).1, 128 + 129);
    }

    proptest! {
        #[test]
        fn damaged_payloads_are_refused_alike(
            text in prop::collection::vec(0u8..3, 0..400),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            units in 1usize..3,
        ) {
            let mut payload = dumped(&text, None, Compression::Lzf);
            for (index, byte) in damage {
                let at = index.index(payload.len());
                payload[at] = byte;
            }
            let whole = check_footer(&payload, Checksum::Compared);
            let pieces = checked_in_pieces(&payload, units);
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
            let body = &payload[1..payload.len() - FOOTER_BYTES];
            let whole = Reader::new(body).string().map_err(Unreadable::from);
            prop_assert_eq!(whole, read_in_pieces(body, units).map(|(text, _)| text));
        }

        #[test]
        fn any_bytes_are_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let whole = Reader::new(&bytes).string().map_err(Unreadable::from);
            prop_assert_eq!(whole, read_in_pieces(&bytes, 1).map(|(text, _)| text));
            let _ = checked_in_pieces(&bytes, 1);
        }
    }
}
