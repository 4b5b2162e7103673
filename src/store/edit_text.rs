//! Editing the bytes of a string where they lie: bits, bit fields, HyperLogLogs.
//!
//! What the edit sees is a buffer, whatever the form the string is stored in. A string inside the entry is copied there
//! and back, at most a kilobyte; a block that nobody shares is handed over itself. Where that is not so simple (it has
//! to grow by much, or somebody shares it) the edit costs a copy of the string, and the caller says how long a copy it
//! can bear: beyond that nothing happens, and [`BigEdit`] makes a string of its own and that long, in pieces.
//!
//! [`BigEdit`]: super::BigEdit

use super::db::Db;
use super::db_string::{GROWTH_BYTES_MAX, NewString, PLAIN, Ttl, edit_block, fits, fits_behind};
use super::entry::{self, INLINE_MAX, KIND_MASK, Stored, TYPED};
use super::heap::Handle;
use super::view::StringRef;
use super::{EditError, OutOfMemory, WrongType};
use crate::base::hash::Key;
use crate::types::table::Slot;
use std::sync::Arc;

/// An edit that did not happen for want of time, or what it came to.
type Edited<R> = Result<Option<R>, EditError>;

impl Db {
    /// Has `edit` change the string of a key, which is lengthened with zeros to `length` bytes first where it is
    /// shorter (with room to grow again), and made where there is none. TTL and access clock stay as they are.
    ///
    /// `None`, and nothing done: more than `copy_max` bytes would have to be copied or cleared for it. A string that is
    /// long enough and that nobody shares never needs that.
    pub fn edit_text<R>(
        &mut self,
        key: Key<'_>,
        length: usize,
        copy_max: usize,
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Edited<R> {
        let Some(slot) = self.locate(key) else {
            return if length <= copy_max { self.new_text(key, length, edit) } else { Ok(None) };
        };
        let old_len = self.entry(slot.handle).string().ok_or(WrongType)?.len();
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        if let Stored::Block(number) = entry::value(bytes) {
            let copied = self.blocks.edit(number, |block| match Arc::get_mut(block) {
                Some(text) if text.capacity() >= length => length.saturating_sub(text.len()),
                _ => length.max(old_len),
            });
            if copied > copy_max {
                return Ok(None);
            }
            return self.edit_block_text(slot, number, length, edit);
        }
        if length > old_len.max(copy_max) {
            return Ok(None);
        }
        self.edit_inline_text(slot, length, edit)
    }

    fn new_text<R>(
        &mut self,
        key: Key<'_>,
        length: usize,
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Edited<R> {
        let mut text = Vec::new();
        text.try_reserve_exact(length).map_err(|_| OutOfMemory)?;
        text.resize(length, 0);
        let result = edit(&mut text);
        if fits(key, text.len()) {
            self.set_string(key, NewString::Raw(&text), Ttl::Clear)?;
        } else {
            self.set_string(key, NewString::Block(Arc::new(text)), Ttl::Clear)?;
        }
        Ok(Some(result))
    }

    fn edit_block_text<R>(
        &mut self,
        slot: Slot,
        number: u32,
        length: usize,
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Edited<R> {
        self.before_write(slot.bucket);
        let mut result = None;
        edit_block(&mut self.blocks, number, length, |text| {
            if text.len() < length {
                text.resize(length, 0);
            }
            result = Some(edit(text));
        })?;
        let header = self.header_of_edited(slot);
        entry::set_header(self.heap.slot_mut(Handle::from_raw(slot.handle)), header);
        Ok(result)
    }

    fn edit_inline_text<R>(
        &mut self,
        slot: Slot,
        length: usize,
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Edited<R> {
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        let (key_end, expiry) = (entry::key_end(bytes), entry::expiry(bytes));
        let header = self.header_of_edited(slot);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if text.try_reserve(length).is_err() {
            return Err(EditError::OutOfMemory);
        }
        let mut digits = itoa::Buffer::new();
        if let Some(string) = self.entry(slot.handle).string() {
            text.extend_from_slice(StringRef::as_bytes(&string, &mut digits));
        }
        // One that grows byte by byte will go on with that; one that is made anew may have its last length.
        let is_growing = text.len() < length;
        if is_growing {
            text.resize(length, 0);
        }
        let result = edit(&mut text);
        if fits_behind(key_end, text.len()) {
            self.rewrite(slot, header, expiry, Stored::Bytes(&text))?;
        } else {
            let spare = if is_growing { text.len().min(GROWTH_BYTES_MAX) } else { 0 };
            let number = self.new_block(&text, spare)?;
            if let Err(error) = self.rewrite(slot, header, expiry, Stored::Block(number)) {
                self.bury(number);
                return Err(error.into());
            }
        }
        // A scratch of megabytes would be kept for ever by one large edit.
        if text.capacity() <= 4 * INLINE_MAX {
            self.scratch = text;
        }
        Ok(Some(result))
    }

    /// The header of a string once it is edited: bytes, whatever it came as.
    pub(super) fn header_of_edited(&self, slot: Slot) -> u32 {
        let header = entry::header(self.heap.slot(Handle::from_raw(slot.handle)));
        header & !(KIND_MASK | TYPED) | PLAIN | entry::EDITED
    }
}
