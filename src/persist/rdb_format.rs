//! The byte format of RDB files and DUMP payloads, version 10: lengths, strings, opcodes.
//!
//! ```text
//!   length   00xxxxxx                 6 bits
//!            01xxxxxx xxxxxxxx        14 bits, big-endian
//!            10000000 x*4             32 bits, big-endian
//!            10000001 x*8             64 bits, big-endian
//!            11eeeeee                 no length: a string of encoding e follows
//!   string   length, bytes
//!            11000000 i8 | 11000001 i16 | 11000010 i32    an integer, little-endian
//!            11000011 packed length, length, packed bytes  LZF
//!   payload  type, value, version: u16, crc64 of all before: u64     (DUMP; little-endian)
//! ```
//!
//! Writers append to a buffer and give byte for byte what Redis 7.0 gives. The [`Reader`] checks
//! every step against the bytes that are really there, so no input can make it panic, and nothing is
//! allocated before it is known that the input can fill it. Both are pure functions of their input. Long strings
//! are written and read in pieces by `dump_pieces`.
use std::borrow::Cow;

use crate::base::crc::crc64;
use crate::base::{lzf, number};

/// Version of the format that is written, and the newest one that is read.
pub const VERSION: u16 = 10;
/// Version of payloads of hashes whose fields expire: Redis 7.4's.
pub const VERSION_FIELD_EXPIRY: u16 = 12;
/// Bytes behind the value in a DUMP payload: version and checksum.
pub(super) const FOOTER_BYTES: usize = 10;
/// Longest text that may be a 32-bit integer.
const INTEGER_TEXT_MAX: usize = 11;
/// Strings up to this length are never compressed.
pub(super) const UNCOMPRESSED_MAX: usize = 20;
/// Compression has to save this many bytes.
pub(super) const COMPRESSION_GAIN_MIN: usize = 4;

const LENGTH_14_BIT: u8 = 0b0100_0000;
const LENGTH_32_BIT: u8 = 0x80;
const LENGTH_64_BIT: u8 = 0x81;
pub(super) const ENCODED: u8 = 0b1100_0000;
const LOW_6_BITS: u8 = 0b0011_1111;
const ENCODING_INT8: u8 = 0;
const ENCODING_INT16: u8 = 1;
const ENCODING_INT32: u8 = 2;
pub(super) const ENCODING_LZF: u8 = 3;

/// What stands before a part of an RDB file that is no key.
pub mod opcode {
    /// A library of functions.
    pub const FUNCTION: u8 = 245;
    /// A library of functions, as release candidates of 7.0 wrote it.
    pub const FUNCTION_OLD: u8 = 246;
    /// Data of a module beside its keys.
    pub const MODULE_AUX: u8 = 247;
    /// Idle time of the next key: a length, in seconds.
    pub const IDLE: u8 = 248;
    /// LFU counter of the next key: one byte.
    pub const FREQUENCY: u8 = 249;
    /// A field of the file: two strings.
    pub const AUX: u8 = 250;
    /// Sizes of the database that follows: two lengths.
    pub const RESIZE_DB: u8 = 251;
    /// Expiry of the next key: milliseconds since 1970, 64 bits, little-endian.
    pub const EXPIRE_MS: u8 = 252;
    /// Expiry of the next key: seconds since 1970, 32 bits, little-endian.
    pub const EXPIRE_SECONDS: u8 = 253;
    /// Index of the database the following keys belong to: a length.
    pub const SELECT_DB: u8 = 254;
    /// The end; a checksum follows.
    pub const END: u8 = 255;
}

/// The byte that tells how a value is laid out.
pub mod value_type {
    /// A string.
    pub const STRING: u8 = 0;
    /// A list of strings.
    pub const LIST: u8 = 1;
    /// A set of strings.
    pub const SET: u8 = 2;
    /// A sorted set, scores as text.
    pub const ZSET: u8 = 3;
    /// A hash of strings.
    pub const HASH: u8 = 4;
    /// A sorted set, scores as binary doubles.
    pub const ZSET_BINARY: u8 = 5;
    /// A value of a module, without the marks that let one skip it.
    pub const MODULE_OLD: u8 = 6;
    /// A value of a module.
    pub const MODULE: u8 = 7;
    /// A hash as zipmap.
    pub const HASH_ZIPMAP: u8 = 9;
    /// A list as ziplist.
    pub const LIST_ZIPLIST: u8 = 10;
    /// A set of integers.
    pub const SET_INTSET: u8 = 11;
    /// A sorted set as ziplist.
    pub const ZSET_ZIPLIST: u8 = 12;
    /// A hash as ziplist.
    pub const HASH_ZIPLIST: u8 = 13;
    /// A list of ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream.
    pub const STREAM: u8 = 15;
    /// A hash as listpack.
    pub const HASH_LISTPACK: u8 = 16;
    /// A sorted set as listpack.
    pub const ZSET_LISTPACK: u8 = 17;
    /// A list of listpacks.
    pub const LIST_LISTPACKS: u8 = 18;
    /// A stream, with what 7.0 added.
    pub const STREAM_2: u8 = 19;
    /// A hash, each field after its time to live.
    pub const HASH_EXPIRY: u8 = 24;
    /// A hash as listpack of fields, values and expiries.
    pub const HASH_LISTPACK_EXPIRY: u8 = 25;
    /// A nested value of ours: one string, in the form of `types::document`. Redis has no such type; it counts
    /// its own up from 0 and its opcodes down from 255, so this stands between them.
    pub const DOCUMENT: u8 = 160;
}

/// Whether long strings are compressed (`rdbcompression`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Kept as they are.
    Off,
    /// With LZF, where that saves four bytes or more.
    Lzf,
}

/// The bytes are not what the format allows, or they end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Appends a length. At most nine bytes.
pub fn write_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.push(LENGTH_14_BIT | (length >> 8) as u8);
        out.push(length as u8);
    } else if let Ok(length) = u32::try_from(length) {
        out.push(LENGTH_32_BIT);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(LENGTH_64_BIT);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// Appends a string: as an integer if it spells one of 32 bits, else compressed if that pays, else as
/// it is. O(n), compression about 3 ns a byte.
pub fn write_string(out: &mut Vec<u8>, text: &[u8], compression: Compression) {
    if text.len() <= INTEGER_TEXT_MAX
        && let Some(value) = number::parse_i64(text)
        && write_small_int(out, value)
    {
        return;
    }
    if compression == Compression::Lzf && text.len() > UNCOMPRESSED_MAX && write_lzf(out, text) {
        return;
    }
    write_length(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends the string that spells an integer.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if !write_small_int(out, value) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        write_length(out, digits.len() as u64);
        out.extend_from_slice(digits);
    }
}

/// Appends an integer of up to 32 bits; false, and nothing written, if it is larger.
fn write_small_int(out: &mut Vec<u8>, value: i64) -> bool {
    if let Ok(value) = i8::try_from(value) {
        out.push(ENCODED | ENCODING_INT8);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(ENCODED | ENCODING_INT16);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(ENCODED | ENCODING_INT32);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Appends `text` compressed; false, and nothing written, if that does not pay.
fn write_lzf(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mut packed = Vec::new();
    let limit = text.len() - COMPRESSION_GAIN_MIN;
    let Some(packed_len) = lzf::compress(text, &mut packed, limit) else { return false };
    out.push(ENCODED | ENCODING_LZF);
    write_length(out, packed_len as u64);
    write_length(out, text.len() as u64);
    out.extend_from_slice(&packed);
    true
}

/// Ends a DUMP payload: appends version and checksum to type and value.
pub fn write_footer(payload: &mut Vec<u8>) {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(0, payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

/// Why a DUMP payload is refused before its value is looked at: its version is newer than
/// [`VERSION`], its checksum is wrong, or it is too short to have either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFooter;

/// Whether checksums are compared (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// They are.
    Compared,
    /// They are not: for tests that damage payloads.
    Ignored,
}

/// Type and value of a DUMP payload. O(n) for the checksum.
pub fn check_footer(payload: &[u8], checksum: Checksum) -> Result<Reader<'_>, BadFooter> {
    let body_len = payload.len().checked_sub(FOOTER_BYTES).ok_or(BadFooter)?;
    let (body, footer) = payload.split_at_checked(body_len).ok_or(BadFooter)?;
    let mut footer = Reader::new(footer);
    let version = footer.u16_le().map_err(|Corrupt| BadFooter)?;
    let sum = footer.u64_le().map_err(|Corrupt| BadFooter)?;
    let summed = payload.get(..body_len + 2).ok_or(BadFooter)?;
    let is_intact = checksum == Checksum::Ignored || crc64(0, summed) == sum;
    if version > VERSION || !is_intact {
        return Err(BadFooter);
    }
    Ok(Reader::new(body))
}

/// A length, or the announcement that something else stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes or elements, as claimed: not yet checked against what is there.
    Plain(u64),
    /// A string of this encoding follows.
    Encoded(u8),
}

/// A string as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<'b> {
    /// It spells this integer.
    Int(i64),
    /// Bytes: those of the input, or what came out of compressed ones.
    Bytes(Cow<'b, [u8]>),
}

impl Text<'_> {
    /// The bytes it stands for. Copies unless they are owned.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Text::Int(value) => itoa::Buffer::new().format(value).as_bytes().to_vec(),
            Text::Bytes(bytes) => bytes.into_owned(),
        }
    }
}

/// Reads from a slice, front to back. After an error its place is unspecified, but within the slice.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// A reader at the first of these bytes.
    pub fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: u64) -> Result<&'b [u8], Corrupt> {
        let count = usize::try_from(count).map_err(|_| Corrupt)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Corrupt)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Corrupt)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte: an opcode, a type.
    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        self.array().map(u8::from_le_bytes)
    }

    /// A 16-bit number, little-endian.
    pub fn u16_le(&mut self) -> Result<u16, Corrupt> {
        self.array().map(u16::from_le_bytes)
    }

    /// A 32-bit number, little-endian.
    pub fn u32_le(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number, little-endian.
    pub fn u64_le(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length, or what stands in its place.
    pub fn length_or_encoding(&mut self) -> Result<Length, Corrupt> {
        let first = self.u8()?;
        let low = first & LOW_6_BITS;
        Ok(match first & !LOW_6_BITS {
            0 => Length::Plain(low.into()),
            LENGTH_14_BIT => Length::Plain(u64::from(low) << 8 | u64::from(self.u8()?)),
            ENCODED => Length::Encoded(low),
            _ if first == LENGTH_32_BIT => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            _ if first == LENGTH_64_BIT => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(Corrupt),
        })
    }

    /// A length; that of bytes or elements is only a claim, never a reason to allocate.
    pub fn length(&mut self) -> Result<u64, Corrupt> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(Corrupt),
        }
    }

    /// A string. Borrows what is not compressed; a compressed one takes at most 264 times what is
    /// left of the input.
    pub fn string(&mut self) -> Result<Text<'b>, Corrupt> {
        Ok(match self.length_or_encoding()? {
            Length::Plain(length) => Text::Bytes(Cow::Borrowed(self.bytes(length)?)),
            Length::Encoded(ENCODING_INT8) => Text::Int(i8::from_le_bytes(self.array()?).into()),
            Length::Encoded(ENCODING_INT16) => Text::Int(i16::from_le_bytes(self.array()?).into()),
            Length::Encoded(ENCODING_INT32) => Text::Int(i32::from_le_bytes(self.array()?).into()),
            Length::Encoded(ENCODING_LZF) => Text::Bytes(Cow::Owned(self.lzf()?)),
            Length::Encoded(_) => return Err(Corrupt),
        })
    }

    /// DIFFERS: where a compressed string claims length 0, Redis gives an empty string whatever follows.
    fn lzf(&mut self) -> Result<Vec<u8>, Corrupt> {
        let packed_len = self.length()?;
        let length = usize::try_from(self.length()?).map_err(|_| Corrupt)?;
        let packed = self.bytes(packed_len)?;
        let mut text = Vec::new();
        if lzf::decompress(packed, &mut text, length) { Ok(text) } else { Err(Corrupt) }
    }
}

#[cfg(test)]
#[path = "rdb_format_tests.rs"]
mod tests;
