//! Writing strings: SET, APPEND, SETRANGE and their like.
//!
//! A string is stored in the smallest of three forms: a canonical integer, bytes inside the entry,
//! or a block. What was edited in place of being set keeps encoding `raw`, as in Redis.

use super::blocks::Blocks;
use super::db::Db;
use super::entry::{self, INLINE_KEY_MAX, INLINE_MAX, Kind, Stored, StoredKey};
use super::heap::Handle;
use super::view::StringRef;
use super::{EditError, OutOfMemory, WrongType};
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::base::time::UnixMillis;
use crate::types::table::Slot;
use std::sync::Arc;

/// Flags of a string of bytes that was set, not edited.
pub(super) const PLAIN: u32 = Kind::String as u32;
/// Longest text that can be a canonical i64.
const INT_TEXT_MAX: usize = 20;
/// A block that grows gets as much room again, up to this.
pub(super) const GROWTH_BYTES_MAX: usize = 1 << 20;

/// A string to be stored.
#[derive(Clone, Debug)]
pub enum NewString<'a> {
    /// Any bytes; a canonical integer is recognised.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
    /// Bytes in a block. Large ones are shared, small ones copied as `Bytes`.
    Block(Block),
    /// Bytes as they are, with encoding `raw`, even if they spell an integer.
    Raw(&'a [u8]),
    /// Bytes as they are, even if they spell an integer, with the encoding their length gives them.
    Text(&'a [u8]),
}

/// What a write does to the TTL of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The key has no TTL afterwards.
    Clear,
    /// It keeps what it has.
    Keep,
    /// It expires at this time.
    At(UnixMillis),
}

/// What a write found in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Nothing: the key is new.
    Nothing,
    /// A value of this kind.
    Value(Kind),
}

impl Replaced {
    /// Whether the key was there before.
    #[must_use]
    pub fn existed(self) -> bool {
        self != Replaced::Nothing
    }
}

impl Db {
    /// Sets a key to a string, whatever it held. Of the same size class, it is written in place.
    #[inline]
    pub fn set_string(
        &mut self,
        key: Key<'_>,
        value: NewString<'_>,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        match value {
            NewString::Int(value) => self.set_stored(key, Stored::Int(value), PLAIN, ttl),
            NewString::Bytes(bytes) => self.set_bytes(key, bytes, PLAIN, ttl),
            NewString::Raw(bytes) if fits(key, bytes.len()) => {
                self.set_stored(key, Stored::Bytes(bytes), PLAIN | entry::EDITED, ttl)
            }
            NewString::Text(bytes) if fits(key, bytes.len()) => {
                self.set_stored(key, Stored::Bytes(bytes), PLAIN, ttl)
            }
            NewString::Raw(bytes) | NewString::Text(bytes) => {
                self.set_large(key, bytes, PLAIN, ttl)
            }
            NewString::Block(block) if fits(key, block.len()) => {
                self.set_bytes(key, &block, PLAIN, ttl)
            }
            NewString::Block(block) => {
                let number = self.blocks.add(block).map_err(|(_, error)| error)?;
                self.set_block(key, number, PLAIN, ttl)
            }
        }
    }

    /// Adds bytes to the end of a string (or sets it, if there is none) and gives its new length.
    /// Amortised O(bytes).
    pub fn append(&mut self, key: Key<'_>, bytes: &[u8]) -> Result<usize, EditError> {
        let Some(slot) = self.locate(key) else {
            self.set_string(key, NewString::Bytes(bytes), Ttl::Clear)?;
            return Ok(bytes.len());
        };
        let length = self.string_length(slot)? + bytes.len();
        self.edit_string(slot, length, |text| text.extend_from_slice(bytes))?;
        Ok(length)
    }

    /// Writes bytes into a string at `offset`, filling up with zeros, and gives its new length. With
    /// no bytes to write, changes nothing. The caller has checked the limit of length.
    pub fn set_range(
        &mut self,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
    ) -> Result<usize, EditError> {
        let slot = self.locate(key);
        let length = match slot {
            Some(slot) => self.string_length(slot)?,
            None => 0,
        };
        if bytes.is_empty() {
            return Ok(length);
        }
        let end = offset + bytes.len();
        let write = |text: &mut Vec<u8>| {
            if text.len() < end {
                text.resize(end, 0);
            }
            text[offset..end].copy_from_slice(bytes);
        };
        match slot {
            Some(slot) => self.edit_string(slot, length.max(end), write)?,
            None => {
                let mut text = Vec::new();
                text.try_reserve_exact(end).map_err(|_| OutOfMemory)?;
                write(&mut text);
                if fits(key, end) {
                    self.set_string(key, NewString::Raw(&text), Ttl::Clear)?;
                } else {
                    self.set_string(key, NewString::Block(Arc::new(text)), Ttl::Clear)?;
                }
            }
        }
        Ok(length.max(end))
    }

    #[inline]
    pub(super) fn set_bytes(
        &mut self,
        key: Key<'_>,
        bytes: &[u8],
        flags: u32,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        if bytes.len() <= INT_TEXT_MAX
            && let Some(value) = entry::canonical_int(bytes)
        {
            return self.set_stored(key, Stored::Int(value), flags, ttl);
        }
        if fits(key, bytes.len()) {
            return self.set_stored(key, Stored::Bytes(bytes), flags, ttl);
        }
        self.set_large(key, bytes, flags, ttl)
    }

    fn set_large(
        &mut self,
        key: Key<'_>,
        bytes: &[u8],
        flags: u32,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let number = self.new_block(bytes, 0)?;
        self.set_block(key, number, flags, ttl)
    }

    /// Sets a key to a block just added; takes it out again on failure.
    pub(super) fn set_block(
        &mut self,
        key: Key<'_>,
        number: u32,
        flags: u32,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let result = self.set_stored(key, Stored::Block(number), flags, ttl);
        if result.is_err() {
            self.bury(number);
        }
        result
    }

    /// `flags`: kind, EDITED and TYPED.
    #[inline]
    pub(super) fn set_stored(
        &mut self,
        key: Key<'_>,
        value: Stored<'_>,
        flags: u32,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let slot = self.locate(key);
        let (replaced, old_expiry, clock) = match slot {
            Some(slot) => {
                // A set counts as an access; under LFU and S3-FIFO what is known of the key survives it.
                self.touch(slot);
                let bytes = self.heap.slot(Handle::from_raw(slot.handle));
                let header = entry::header(bytes);
                let expiry = if ttl == Ttl::Keep { entry::expiry(bytes) } else { None };
                let has_count = self.clock.lfu || self.fifo.is_on;
                let clock = if has_count { entry::clock(header) } else { self.new_clock() };
                (Replaced::Value(Kind::of_number(header & entry::KIND_MASK)), expiry, clock)
            }
            None => (Replaced::Nothing, None, self.new_clock()),
        };
        let expiry = match ttl {
            Ttl::At(expiry) => Some(expiry),
            Ttl::Clear | Ttl::Keep => old_expiry,
        };
        self.store(key, slot, entry::with_clock(flags, clock), expiry, value)?;
        Ok(replaced)
    }

    pub(super) fn string_length(&mut self, slot: Slot) -> Result<usize, WrongType> {
        self.touch(slot);
        self.entry(slot.handle).string().map(|string| string.len()).ok_or(WrongType)
    }

    /// Edits the text of a string, which has `length` bytes afterwards; marks it as edited.
    fn edit_string(
        &mut self,
        slot: Slot,
        length: usize,
        edit: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), OutOfMemory> {
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        let expiry = entry::expiry(bytes);
        // What is edited as bytes is bytes, whatever it came as.
        let others = entry::header(bytes) & !(entry::KIND_MASK | entry::TYPED);
        let header = others | PLAIN | entry::EDITED;
        if let Stored::Block(number) = entry::value(bytes) {
            self.before_write(slot.bucket);
            edit_block(&mut self.blocks, number, length, edit)?;
            entry::set_header(self.heap.slot_mut(Handle::from_raw(slot.handle)), header);
            return Ok(());
        }
        let key_end = entry::key_end(bytes);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if text.try_reserve(length).is_err() {
            return Err(OutOfMemory);
        }
        let mut digits = itoa::Buffer::new();
        if let Some(string) = self.entry(slot.handle).string() {
            text.extend_from_slice(StringRef::as_bytes(&string, &mut digits));
        }
        edit(&mut text);
        let result = if fits_behind(key_end, length) {
            self.rewrite(slot, header, expiry, Stored::Bytes(&text))
        } else {
            self.grow_into_block(slot, header, expiry, &text)
        };
        // A scratch of megabytes would be kept for ever by one large SETRANGE.
        if text.capacity() <= 4 * INLINE_MAX {
            self.scratch = text;
        }
        result
    }

    fn grow_into_block(
        &mut self,
        slot: Slot,
        header: u32,
        expiry: Option<UnixMillis>,
        text: &[u8],
    ) -> Result<(), OutOfMemory> {
        let number = self.new_block(text, text.len().min(GROWTH_BYTES_MAX))?;
        let result = self.rewrite(slot, header, expiry, Stored::Block(number));
        if result.is_err() {
            self.bury(number);
        }
        result
    }
}

/// Whether a string of this length is kept inside the entry of `key`.
#[inline]
pub(super) fn fits(key: Key<'_>, length: usize) -> bool {
    if key.bytes.len() <= INLINE_KEY_MAX {
        fits_behind(entry::key_end_for(StoredKey::Inline(key.bytes)), length)
    } else {
        fits_behind(entry::key_end_for(StoredKey::Block(0)), length)
    }
}

/// As `fits`, with room for a TTL, so that EXPIRE never has to move the value.
#[inline]
pub(super) fn fits_behind(key_end: usize, length: usize) -> bool {
    key_end + 8 + 2 + length <= INLINE_MAX
}

/// Edits a block in place if nobody shares it, else a copy.
pub(super) fn edit_block(
    blocks: &mut Blocks,
    number: u32,
    length: usize,
    edit: impl FnOnce(&mut Vec<u8>),
) -> Result<(), OutOfMemory> {
    blocks.edit(number, |block| {
        let spare = length.min(GROWTH_BYTES_MAX);
        if let Some(text) = Arc::get_mut(block) {
            if text.capacity() < length {
                let more = length + spare - text.len();
                text.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
            }
            edit(text);
        } else {
            let mut text = Vec::new();
            text.try_reserve_exact(length + spare).map_err(|_| OutOfMemory)?;
            text.extend_from_slice(block);
            edit(&mut text);
            *block = Arc::new(text);
        }
        Ok(())
    })
}
