//! Ids of stream entries: milliseconds and a sequence number, ordered by both.
use crate::base::number::parse_u64;

/// Longest id that is read, in bytes, as in Redis.
const TEXT_MAX: usize = 127;

/// The id of an entry: `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever number the client chose.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

/// An id as XADD takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: the time, or what follows the last id where that is later.
    Auto,
    /// `ms-*`: the next one of this millisecond.
    AutoSeq(u64),
    /// This one.
    Given(StreamId),
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last one there can be.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// From its parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id after this one; `None` after [`StreamId::MAX`].
    #[inline]
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before [`StreamId::MIN`].
    #[inline]
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Whether it is `0-0`.
    pub fn is_zero(self) -> bool {
        self == StreamId::MIN
    }

    /// Reads `ms` or `ms-seq`; a missing sequence number is `missing_seq`. Each number is read as Redis reads it
    /// (`parse_u64`). O(length).
    #[inline]
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(missing_seq), parse_u64)?;
        Some(StreamId { ms: parse_u64(ms)?, seq })
    }

    /// As [`StreamId::parse`], and `-` and `+` for the least and the greatest id.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(StreamId::MIN),
            b"+" => Some(StreamId::MAX),
            text => StreamId::parse(text, missing_seq),
        }
    }

    /// From 16 bytes, big-endian, as in dumps.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let number = u128::from_be_bytes(bytes);
        StreamId { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// As 16 bytes, big-endian: they sort as the ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// Its text, `ms-seq`.
    #[inline]
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; 41], len: 0 };
        let mut digits = itoa::Buffer::new();
        text.push(digits.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(digits.format(self.seq).as_bytes());
        text
    }
}

impl NewId {
    /// Reads an explicit id, or `ms-*`. (`*` is for the caller.)
    pub fn parse(text: &[u8]) -> Option<NewId> {
        let (ms, seq) = split(text)?;
        let ms = parse_u64(ms)?;
        match seq {
            Some(b"*") => Some(NewId::AutoSeq(ms)),
            Some(seq) => Some(NewId::Given(StreamId { ms, seq: parse_u64(seq)? })),
            None => Some(NewId::Given(StreamId { ms, seq: 0 })),
        }
    }
}

/// Both parts of an id. As in Redis a NUL ends the text.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
    match text.iter().position(|&byte| byte == b'-') {
        Some(at) => Some((&text[..at], Some(&text[at + 1..]))),
        None => Some((text, None)),
    }
}

/// The text of an id, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl IdText {
    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours() {
        let id = StreamId::new;
        assert_eq!(id(1, 2).next(), Some(id(1, 3)));
        assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(id(1, 2).previous(), Some(id(1, 1)));
        assert_eq!(id(1, 0).previous(), Some(id(0, u64::MAX)));
        assert_eq!(StreamId::MIN.previous(), None);
    }

    #[test]
    fn text_and_bytes() {
        let id = StreamId::new;
        assert_eq!(StreamId::parse(b"5", 7), Some(id(5, 7)));
        assert_eq!(StreamId::parse(b"5-3", 7), Some(id(5, 3)));
        assert_eq!(StreamId::parse(b"18446744073709551615-0", 0), Some(id(u64::MAX, 0)));
        // As C's strtoull has it, which Redis calls.
        assert_eq!(StreamId::parse(b"05- 3", 7), Some(id(5, 3)));
        assert_eq!(StreamId::parse(b"5\0-x", 7), Some(id(5, 7)));
        for wrong in ["", "-", "+", "-5", "5-", "5-x", "x-5", "5-*", "18446744073709551616", "5--3"]
        {
            assert_eq!(StreamId::parse(wrong.as_bytes(), 7), None, "{wrong}");
        }
        assert_eq!(StreamId::parse(&[b'1'; 128], 0), None);
        assert_eq!(StreamId::parse_bound(b"-", 7), Some(StreamId::MIN));
        assert_eq!(StreamId::parse_bound(b"+", 7), Some(StreamId::MAX));
        assert_eq!(NewId::parse(b"5-*"), Some(NewId::AutoSeq(5)));
        assert_eq!(NewId::parse(b"5"), Some(NewId::Given(id(5, 0))));
        assert_eq!(NewId::parse(b"*"), None);
        assert_eq!(StreamId::MAX.text().as_bytes(), b"18446744073709551615-18446744073709551615");
        assert_eq!(id(12, 0).text().as_bytes(), b"12-0");
        let bytes = id(1, 258).to_bytes();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(StreamId::from_bytes(bytes), id(1, 258));
    }
}
