//! What callers see of an entry: borrowed views that decode on demand.

use super::aggregate::ValueRef;
use super::blocks::{Blocks, block_bytes};
use super::entry::{self, Kind, Stored, StoredKey};
use super::heap::{Handle, Heap};
use super::typed::Scalar;
use crate::base::block::Block;
use crate::base::time::UnixMillis;
use crate::types::object::{Aggregate, Object};

/// Bytes of table a key costs on average.
const TABLE_BYTES_PER_KEY: usize = 8;

/// The value of a string key, borrowed from the database.
#[derive(Clone, Copy, Debug)]
pub enum StringRef<'a> {
    /// A canonical integer, stored as such.
    Int(i64),
    /// Bytes inside the entry.
    Bytes(&'a [u8]),
    /// A large value, which a reply may share.
    Block(&'a Block),
}

impl<'a> StringRef<'a> {
    /// Length of the text in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            StringRef::Int(value) => decimal_len(*value),
            StringRef::Bytes(bytes) => bytes.len(),
            StringRef::Block(block) => block.len(),
        }
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text; an integer is printed into `scratch`.
    #[inline]
    pub fn as_bytes<'s>(&self, scratch: &'s mut itoa::Buffer) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            StringRef::Int(value) => scratch.format(value).as_bytes(),
            StringRef::Bytes(bytes) => bytes,
            StringRef::Block(block) => block.as_slice(),
        }
    }
}

fn decimal_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

/// Whether the entry of `handle` has this key.
#[inline(always)]
pub(crate) fn key_equals(heap: &Heap, blocks: &Blocks, handle: u32, key: &[u8]) -> bool {
    let bytes = heap.slot(Handle::from_raw(handle));
    match entry::inline_key_equals(bytes, key) {
        Some(equal) => equal,
        None => key_bytes(blocks, bytes) == key,
    }
}

pub(crate) fn key_bytes<'a>(blocks: &'a Blocks, bytes: &'a [u8]) -> &'a [u8] {
    match entry::key_of(bytes) {
        StoredKey::Inline(key) => key,
        StoredKey::Block(number) => blocks.get(number).as_slice(),
    }
}

/// What decides idle time and frequency: the clock of now and how counters decay.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// 24-bit seconds, or under LFU minutes in the upper 16 bits.
    pub(crate) now: u32,
    pub(crate) lfu: bool,
    pub(crate) lfu_decay_minutes: u32,
}

impl Clock {
    /// The LFU counter of a clock field after the decay it is due.
    pub(crate) fn decayed(self, field: u32) -> u32 {
        let (minutes, counter) = (field >> 8, field & 0xff);
        if self.lfu_decay_minutes == 0 {
            return counter;
        }
        let now = self.now >> 8;
        let elapsed = now.wrapping_sub(minutes) & 0xffff;
        counter.saturating_sub(elapsed / self.lfu_decay_minutes)
    }
}

/// One entry of a database, borrowed.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    pub(crate) heap: &'a Heap,
    pub(crate) blocks: &'a Blocks,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
}

impl<'a> EntryRef<'a> {
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.heap.slot(self.handle)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        key_bytes(self.blocks, self.bytes())
    }

    /// What the key holds.
    #[inline(always)]
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of_number(entry::header(self.bytes()) & entry::KIND_MASK)
    }

    /// The value, if it is a string.
    #[inline(always)]
    #[must_use]
    pub fn string(&self) -> Option<StringRef<'a>> {
        if self.kind() != Kind::String {
            return None;
        }
        Some(self.stored())
    }

    /// The value as it is stored, of a string or nested value.
    #[inline]
    pub(crate) fn stored(&self) -> StringRef<'a> {
        match entry::value(self.bytes()) {
            Stored::Int(value) => StringRef::Int(value),
            Stored::Bytes(bytes) => StringRef::Bytes(bytes),
            Stored::Block(number) => StringRef::Block(self.blocks.get(number)),
        }
    }

    /// The bytes of the nested value, if it is one: what `types::document` reads.
    #[must_use]
    pub fn document(&self) -> Option<&'a [u8]> {
        if self.kind() != Kind::Document {
            return None;
        }
        match self.stored() {
            StringRef::Bytes(bytes) => Some(bytes),
            StringRef::Block(block) => Some(block.as_slice()),
            StringRef::Int(_) => None,
        }
    }

    /// The bytes of the nested value as a block: its own, where it is large, else a copy.
    #[must_use]
    pub fn document_block(&self) -> Option<Block> {
        match self.stored() {
            StringRef::Block(block) if self.kind() == Kind::Document => Some(block.clone()),
            _ => self.document().map(|bytes| Block::new(bytes.to_vec())),
        }
    }

    /// The value as a collection of type `T`, if it is one.
    #[inline]
    #[must_use]
    pub fn aggregate<T: Aggregate + 'a>(&self) -> Option<T::View<'a>> {
        let header = entry::header(self.bytes());
        if header & entry::KIND_MASK != T::KIND as u32 {
            return None;
        }
        match entry::value(self.bytes()) {
            Stored::Bytes(bytes) => Some(T::view_packed(header & entry::EDITED != 0, bytes)),
            Stored::Block(number) => T::of(self.blocks.object(number)?).map(T::view),
            Stored::Int(_) => None,
        }
    }

    /// The value, whatever it is.
    #[must_use]
    pub fn value(&self) -> ValueRef<'a> {
        ValueRef::of(self)
    }

    /// Whether the value is a collection too big for its entry.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.object().is_some()
    }

    /// The collection, where it is too big for its entry.
    pub(crate) fn object(&self) -> Option<&'a Object> {
        match entry::value(self.bytes()) {
            Stored::Block(number) => self.blocks.object(number),
            Stored::Int(_) | Stored::Bytes(_) => None,
        }
    }

    /// As what a string came; [`Scalar::Bytes`] for what is no string.
    #[inline]
    #[must_use]
    pub fn scalar(&self) -> Scalar {
        Scalar::of(entry::header(self.bytes()))
    }

    /// The name OBJECT ENCODING replies with.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        if self.kind() == Kind::Document {
            return "nested";
        }
        match self.value() {
            ValueRef::List(list) => return list.encoding(),
            ValueRef::Set(set) => return set.encoding(),
            ValueRef::Hash(hash) => return hash.encoding(),
            ValueRef::Zset(zset) => return zset.encoding(),
            ValueRef::Stream(stream) => return stream.encoding(),
            ValueRef::String(_) | ValueRef::Document(_) => {}
        }
        let header = entry::header(self.bytes());
        if header & entry::INT != 0 {
            return "int";
        }
        let short = matches!(self.string(), Some(string) if string.len() <= entry::EMBEDDED_MAX);
        let is_edited = header & (entry::EDITED | entry::TYPED) == entry::EDITED;
        if short && !is_edited { "embstr" } else { "raw" }
    }

    /// When the key expires, in Unix milliseconds.
    #[inline]
    #[must_use]
    pub fn expiry(&self) -> Option<UnixMillis> {
        entry::expiry(self.bytes())
    }

    /// Seconds since the last access (0 under LFU, which does not keep it).
    #[must_use]
    pub fn idle_seconds(&self) -> u64 {
        if self.clock.lfu {
            return 0;
        }
        let last = entry::clock(entry::header(self.bytes()));
        u64::from(self.clock.now.wrapping_sub(last) & 0x00ff_ffff)
    }

    /// The logarithmic access counter, decayed to now (meaningful under LFU only).
    #[must_use]
    pub fn lfu_counter(&self) -> u8 {
        self.clock.decayed(entry::clock(entry::header(self.bytes()))) as u8
    }

    /// Bytes of memory the key and its value take, with their share of the table.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let mut total = self.heap.slot_bytes(self.handle) + TABLE_BYTES_PER_KEY;
        if let StoredKey::Block(number) = entry::key_of(self.bytes()) {
            total += block_bytes(self.blocks.get(number));
        }
        if let Stored::Block(number) = entry::value(self.bytes()) {
            total += self.blocks.bytes_of(number);
        }
        total
    }
}
