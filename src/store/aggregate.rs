//! Collections in the keyspace: lists, sets, hashes, sorted sets, streams.
//!
//! A packed one of up to [`INLINE_BYTES_MAX`] bytes is kept inside its key's entry; a bigger one, or one of another
//! form, is an `Object` behind a number. `edit` hides the difference: a packed one is taken out, changed and put back,
//! which copies a kilobyte at most.
//!
//! Promise: what is left empty is deleted with its key, and what would be created empty is not created. Streams are
//! the exception: they stay. Cost: a lookup and what the type does.
use super::db::Db;
use super::db_string::{Replaced, Ttl};
use super::entry::{self, EDITED, KIND_MASK, Kind, Stored};
use super::heap::Handle;
use super::view::{EntryRef, StringRef};
use super::{EditError, OutOfMemory, WrongType};
use crate::base::hash::Key;
use crate::types::hash::{Hash, HashRef};
use crate::types::list::{List, ListRef};
use crate::types::object::Aggregate;
use crate::types::set::{Set, SetRef};
use crate::types::stream::Stream;
use crate::types::table::Slot;
use crate::types::zset::{Zset, ZsetRef};

/// Packed values up to this size stand in their entries.
const INLINE_BYTES_MAX: usize = 1024;
/// An object that shrinks to this goes back to its entry. Lower than the above, so that one at the border stays.
const INLINE_AGAIN_BYTES_MAX: usize = INLINE_BYTES_MAX / 2;
/// A scratch buffer larger than this is not kept.
const SCRATCH_BYTES_MAX: usize = 32 * 1024;

/// The value of a key.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A sorted set.
    Zset(ZsetRef<'a>),
    /// A stream.
    Stream(<Stream as Aggregate>::View<'a>),
    /// A nested value.
    Document(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    pub(super) fn of(entry: &EntryRef<'a>) -> ValueRef<'a> {
        let found = match entry.kind() {
            Kind::String => entry.string().map(ValueRef::String),
            Kind::List => entry.aggregate::<List>().map(ValueRef::List),
            Kind::Set => entry.aggregate::<Set>().map(ValueRef::Set),
            Kind::Hash => entry.aggregate::<Hash>().map(ValueRef::Hash),
            Kind::Zset => entry.aggregate::<Zset>().map(ValueRef::Zset),
            Kind::Stream => entry.aggregate::<Stream>().map(ValueRef::Stream),
            Kind::Document => entry.document().map(ValueRef::Document),
        };
        found.unwrap_or(ValueRef::String(StringRef::Bytes(&[])))
    }
}

impl Db {
    /// The collection of a key, for a command that reads it: counts a hit or a miss and notes the access.
    #[inline]
    pub fn get<T: Aggregate>(&mut self, key: Key<'_>) -> Result<Option<T::View<'_>>, WrongType> {
        match self.read(key) {
            Some(entry) => entry.aggregate::<T>().ok_or(WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// The collection of a key, leaving no trace: for later steps of jobs, and before a write.
    #[inline]
    pub fn peek_as<T: Aggregate>(
        &mut self,
        key: Key<'_>,
    ) -> Result<Option<T::View<'_>>, WrongType> {
        match self.peek(key) {
            Some(entry) => entry.aggregate::<T>().ok_or(WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Db::peek_as`], but several can be read side by side. A key past its time is not deleted, only not seen.
    pub fn view_as<T: Aggregate>(&self, key: Key<'_>) -> Result<Option<T::View<'_>>, WrongType> {
        match self.view_entry(key) {
            Some(entry) => entry.aggregate::<T>().ok_or(WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// Changes the collection of a key; `None` where there is no such key. Left empty, the key is deleted.
    pub fn edit<T: Aggregate, R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<Option<R>, EditError> {
        let Some(slot) = self.locate(key) else { return Ok(None) };
        self.touch(slot);
        if self.entry(slot.handle).kind() != T::KIND {
            return Err(EditError::WrongType);
        }
        self.edit_slot(key.hash, slot, change).map(Some)
    }

    /// As [`Db::edit`], of an empty collection where there is no such key, which is created unless left empty.
    pub fn edit_or_new<T: Aggregate, R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, EditError> {
        if let Some(slot) = self.locate(key) {
            self.touch(slot);
            if self.entry(slot.handle).kind() != T::KIND {
                return Err(EditError::WrongType);
            }
            return self.edit_slot(key.hash, slot, change);
        }
        let mut value = T::new_empty();
        let result = change(&mut value);
        if !value.is_gone() {
            self.put_aggregate(key, value, Ttl::Clear)?;
        }
        Ok(result)
    }

    /// Sets a key to a collection, whatever it held.
    pub fn put_aggregate<T: Aggregate>(
        &mut self,
        key: Key<'_>,
        value: T,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let next = value.next_expiry();
        let replaced = match value.packed() {
            Some((is_ints, bytes)) if bytes.len() <= INLINE_BYTES_MAX => {
                self.set_stored(key, Stored::Bytes(bytes), flags::<T>(is_ints), ttl)?
            }
            _ => {
                let object = Box::new(value.into_object());
                let number = self.blocks.add_object(object).map_err(|(_, error)| error)?;
                self.set_block(key, number, flags::<T>(false), ttl)?
            }
        };
        self.note_fields(key.hash, next);
        Ok(replaced)
    }

    /// Changes the collection of an entry, which is of type `T`; `hash` is that of its key.
    pub(super) fn edit_slot<T: Aggregate, R>(
        &mut self,
        hash: u64,
        slot: Slot,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, EditError> {
        let (mut next, mut dropped) = (None, Vec::new());
        let change = |value: &mut T| {
            let result = change(value);
            (next, dropped) = (value.next_expiry(), value.take_dropped());
            result
        };
        let result = match entry::value(self.heap.slot(Handle::from_raw(slot.handle))) {
            Stored::Block(number) => self.edit_object::<T, R>(slot, number, change),
            Stored::Bytes(_) | Stored::Int(_) => self.edit_packed(slot, change),
        };
        self.bury_dropped(dropped);
        if T::KIND == Kind::Hash && result.is_ok() {
            self.note_fields(hash, next);
        }
        result
    }

    fn edit_object<T: Aggregate, R>(
        &mut self,
        slot: Slot,
        number: u32,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, EditError> {
        self.before_write(slot.bucket);
        let edited = self.blocks.edit_object(number, |object| {
            let value = T::of_mut(object)?;
            let result = change(value);
            let packed_bytes = value.packed().map_or(usize::MAX, |(_, bytes)| bytes.len());
            Some((result, value.is_gone(), packed_bytes <= INLINE_AGAIN_BYTES_MAX))
        });
        let Some((result, is_gone, is_small)) = edited.flatten() else {
            return Err(EditError::WrongType);
        };
        if is_gone {
            self.remove_slot(slot);
        } else if is_small {
            self.move_inline::<T>(slot, number);
        }
        Ok(result)
    }

    /// Puts a packed object back into its entry. Without memory for that it stays where it is.
    fn move_inline<T: Aggregate>(&mut self, slot: Slot, number: u32) {
        let Some(value) = self.blocks.object(number).and_then(T::of) else { return };
        let Some((is_ints, bytes)) = value.packed() else { return };
        let copy = bytes.to_vec();
        let entry = self.heap.slot(Handle::from_raw(slot.handle));
        let (header, expiry) = (entry::header(entry), entry::expiry(entry));
        let header = header & !(KIND_MASK | EDITED) | flags::<T>(is_ints);
        if self.rewrite(slot, header, expiry, Stored::Bytes(&copy)).is_ok() {
            self.bury(number);
        }
    }

    fn edit_packed<T: Aggregate, R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, EditError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let entry = self.heap.slot(Handle::from_raw(slot.handle));
        let (header, expiry) = (entry::header(entry), entry::expiry(entry));
        let Stored::Bytes(bytes) = entry::value(entry) else { return Err(EditError::WrongType) };
        scratch.extend_from_slice(bytes);
        let mut value = T::from_packed(header & EDITED != 0, scratch);
        let result = change(&mut value);
        if value.is_gone() {
            self.remove_slot(slot);
            self.keep_scratch(value.into_packed_bytes());
            return Ok(result);
        }
        let others = header & !(KIND_MASK | EDITED);
        let packed = value.packed();
        if let Some((is_ints, bytes)) = packed
            && bytes.len() <= INLINE_BYTES_MAX
        {
            let header = others | flags::<T>(is_ints);
            let old = entry::value(self.heap.slot(Handle::from_raw(slot.handle)));
            let is_same = old == Stored::Bytes(bytes);
            if !is_same {
                self.rewrite(slot, header, expiry, Stored::Bytes(bytes))?;
            }
            self.keep_scratch(value.into_packed_bytes());
            return Ok(result);
        }
        let object = Box::new(value.into_object());
        let number = self.blocks.add_object(object).map_err(|(_, error)| error)?;
        let header = others | flags::<T>(false);
        if let Err(error) = self.rewrite(slot, header, expiry, Stored::Block(number)) {
            self.bury(number);
            return Err(error.into());
        }
        Ok(result)
    }

    pub(super) fn keep_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_BYTES_MAX {
            self.scratch = scratch;
        }
    }
}

/// Kind and form as an entry's header has them.
fn flags<T: Aggregate>(is_ints: bool) -> u32 {
    T::KIND as u32 | if is_ints { EDITED } else { 0 }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
