//! Entries taken out of a database or copied: RENAME, MOVE, COPY, RESTORE.

use super::db::Db;
use super::db_string::Replaced;
use super::entry::{self, INLINE_KEY_MAX, INLINE_MAX, Kind, Stored};
use super::field_expiry::next_of;
use super::heap::Handle;
use super::{OutOfMemory, view::StringRef};
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::base::time::UnixMillis;
use crate::types::object::Object;
use crate::types::table::Slot;
use std::sync::Arc;

/// A value of its own.
#[derive(Debug)]
pub enum OwnedValue {
    /// A canonical integer.
    Int(i64),
    /// A string that fits an entry.
    Bytes(Vec<u8>),
    /// A large string, perhaps shared.
    Block(Block),
    /// A collection too big for its entry.
    Object(Box<Object>),
}

/// A value with what belongs to it but the key.
#[derive(Debug)]
pub struct OwnedEntry {
    /// The value.
    pub value: OwnedValue,
    /// When it expires.
    pub expiry: Option<UnixMillis>,
    /// Kind and encoding flags, as in the entry's header.
    flags: u32,
    /// Its access clock, if it moves with it; else it counts as accessed when it is put.
    clock: Option<u32>,
}

impl OwnedEntry {
    /// A string, as SET makes it, never accessed before.
    #[must_use]
    pub fn string(value: OwnedValue, expiry: Option<UnixMillis>) -> OwnedEntry {
        OwnedEntry { value, expiry, flags: Kind::String as u32, clock: None }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of_number(self.flags & entry::KIND_MASK)
    }
}

impl Db {
    /// Takes a key and its value out, with its access clock.
    pub fn take(&mut self, key: Key<'_>) -> Option<OwnedEntry> {
        let slot = self.locate(key)?;
        let mut owned = self.owned(slot);
        if let Some(object) = self.take_object(slot) {
            owned.value = OwnedValue::Object(object);
        }
        self.remove_slot(slot);
        Some(owned)
    }

    /// Takes a big collection out of its entry, which keeps nothing and is to be removed.
    fn take_object(&mut self, slot: Slot) -> Option<Box<Object>> {
        match entry::value(self.heap.slot(Handle::from_raw(slot.handle))) {
            Stored::Block(number) => self.blocks.take_object(number),
            Stored::Int(_) | Stored::Bytes(_) => None,
        }
    }

    /// A copy of a key's value; a large string is shared, not copied. `None` also for a collection too big for its
    /// entry ([`EntryRef::is_object`](super::EntryRef::is_object)), which is copied in slices.
    pub fn copy(&mut self, key: Key<'_>) -> Option<OwnedEntry> {
        let slot = self.locate(key)?;
        if self.entry(slot.handle).is_object() {
            return None;
        }
        Some(OwnedEntry { clock: None, ..self.owned(slot) })
    }

    /// Puts a value under a key, whatever that held. On failure nothing changes and the value comes
    /// back.
    pub fn put(
        &mut self,
        key: Key<'_>,
        owned: OwnedEntry,
    ) -> Result<Replaced, (OwnedEntry, OutOfMemory)> {
        let slot = self.locate(key);
        let replaced = match slot {
            Some(slot) => Replaced::Value(self.entry(slot.handle).kind()),
            None => Replaced::Nothing,
        };
        let next = next_of(owned.kind(), owned.flags & entry::EDITED != 0, &owned.value);
        let result = match owned.value {
            OwnedValue::Object(object) => {
                let header =
                    entry::with_clock(owned.flags, owned.clock.unwrap_or_else(|| self.new_clock()));
                self.put_object(key, slot, header, owned.expiry, object).map_err(
                    |(object, error)| {
                        (OwnedEntry { value: OwnedValue::Object(object), ..owned }, error)
                    },
                )
            }
            _ => self.put_value(key, slot, &owned).map_err(|error| (owned, error)),
        };
        if result.is_ok() {
            self.note_fields(key.hash, next);
        }
        result.map(|()| replaced)
    }

    fn put_value(
        &mut self,
        key: Key<'_>,
        slot: Option<Slot>,
        owned: &OwnedEntry,
    ) -> Result<(), OutOfMemory> {
        let clock = owned.clock.unwrap_or_else(|| self.new_clock());
        let header = entry::with_clock(owned.flags, clock);
        let bytes = match &owned.value {
            OwnedValue::Int(value) => {
                return self.store(key, slot, header, owned.expiry, Stored::Int(*value));
            }
            OwnedValue::Bytes(bytes) => bytes,
            OwnedValue::Block(block) => &**block,
            OwnedValue::Object(_) => return Err(OutOfMemory),
        };
        let key_bytes = if key.bytes.len() <= INLINE_KEY_MAX { key.bytes.len() } else { 4 };
        if key_bytes + 32 + bytes.len() <= INLINE_MAX {
            return self.store(key, slot, header, owned.expiry, Stored::Bytes(bytes));
        }
        let number = match &owned.value {
            OwnedValue::Block(block) => {
                self.blocks.add(Arc::clone(block)).map_err(|(_, error)| error)?
            }
            _ => self.new_block(bytes, 0)?,
        };
        let stored = self.store(key, slot, header, owned.expiry, Stored::Block(number));
        if stored.is_err() {
            self.bury(number);
        }
        stored
    }

    /// Puts a big collection into an entry; it comes back where there is no memory for that.
    pub(super) fn put_object(
        &mut self,
        key: Key<'_>,
        slot: Option<Slot>,
        header: u32,
        expiry: Option<UnixMillis>,
        object: Box<Object>,
    ) -> Result<(), (Box<Object>, OutOfMemory)> {
        let number = self.blocks.add_object(object)?;
        self.store(key, slot, header, expiry, Stored::Block(number)).map_err(|error| {
            let object = self.blocks.take_object(number);
            self.bury(number);
            match object {
                Some(object) => (object, error),
                None => unreachable!("it was added as an object"),
            }
        })
    }

    /// The value of an entry, with an empty block in place of a big collection.
    fn owned(&self, slot: Slot) -> OwnedEntry {
        let entry = self.entry(slot.handle);
        if entry.is_object() {
            let header = entry::header(self.heap.slot(Handle::from_raw(slot.handle)));
            let value = OwnedValue::Block(Block::default());
            let clock = Some(entry::clock(header));
            let flags = header & (entry::KIND_MASK | entry::EDITED);
            return OwnedEntry { value, expiry: entry.expiry(), flags, clock };
        }
        let value = match entry.stored() {
            StringRef::Int(value) => OwnedValue::Int(value),
            StringRef::Bytes(bytes) => OwnedValue::Bytes(bytes.to_vec()),
            StringRef::Block(block) => OwnedValue::Block(Arc::clone(block)),
        };
        let header = entry::header(self.heap.slot(Handle::from_raw(slot.handle)));
        let flags = header & (entry::KIND_MASK | entry::EDITED | entry::TYPED);
        let clock = Some(entry::clock(header));
        OwnedEntry { value, expiry: entry.expiry(), flags, clock }
    }
}
