//! Entries taken out of a database or copied: RENAME, MOVE, COPY, RESTORE.

use super::db::Db;
use super::db_string::Replaced;
use super::entry::{self, INLINE_KEY_MAX, INLINE_MAX, Kind, Stored};
use super::heap::Handle;
use super::table::Slot;
use super::{OutOfMemory, view::StringRef};
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::base::time::UnixMillis;
use std::sync::Arc;

/// A value of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedValue {
    /// A canonical integer.
    Int(i64),
    /// A string that fits an entry.
    Bytes(Vec<u8>),
    /// A large string, perhaps shared.
    Block(Block),
}

/// A value with what belongs to it but the key.
#[derive(Clone, Debug)]
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
        Kind::of(self.flags)
    }
}

impl Db {
    /// Takes a key and its value out, with its access clock.
    pub fn take(&mut self, key: Key<'_>) -> Option<OwnedEntry> {
        let slot = self.locate(key)?;
        let owned = self.owned(slot);
        self.remove_slot(slot);
        Some(owned)
    }

    /// A copy of a key's value; a large string is shared, not copied.
    pub fn copy(&mut self, key: Key<'_>) -> Option<OwnedEntry> {
        let slot = self.locate(key)?;
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
        match self.put_value(key, slot, &owned) {
            Ok(()) => Ok(replaced),
            Err(error) => Err((owned, error)),
        }
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
        };
        let key_bytes = if key.bytes.len() <= INLINE_KEY_MAX { key.bytes.len() } else { 4 };
        if key_bytes + 32 + bytes.len() <= INLINE_MAX {
            return self.store(key, slot, header, owned.expiry, Stored::Bytes(bytes));
        }
        let number = match &owned.value {
            OwnedValue::Block(block) => {
                self.blocks.add(Arc::clone(block)).map_err(|(_, error)| error)?
            }
            OwnedValue::Bytes(_) | OwnedValue::Int(_) => self.new_block(bytes, 0)?,
        };
        let stored = self.store(key, slot, header, owned.expiry, Stored::Block(number));
        if stored.is_err() {
            self.bury(number);
        }
        stored
    }

    fn owned(&self, slot: Slot) -> OwnedEntry {
        let entry = self.entry(slot.handle);
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
