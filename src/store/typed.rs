//! Values that some front doors give types: nested ones, and strings that came as numbers or as text.
//!
//! A nested value is a string of bytes of kind `Document` (`types::document` says what is in them), kept in the
//! entry or in a block as other strings are. A scalar stays a string, so that every door reads it; what it came as
//! ([`Scalar`]) is three bits of its header. A write by a command that knows strings only makes it bytes again.

use super::db::Db;
use super::db_string::{NewString, PLAIN, Replaced, Ttl, fits};
use super::entry::{self, EDITED, INT, KIND_MASK, Kind, Stored, TYPED};
use super::heap::Handle;
use super::{OutOfMemory, WrongType};
use crate::base::block::Block;
use crate::base::hash::Key;

/// As what a string came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scalar {
    /// Bytes: everything Redis writes.
    #[default]
    Bytes,
    /// A number.
    Number,
    /// Unicode text.
    Text,
    /// JSON text.
    Json,
    /// A simple string.
    Simple,
}

impl Scalar {
    /// Kind and flags of its entry; see the head of `entry`.
    fn flags(self) -> u32 {
        match self {
            Scalar::Bytes => PLAIN,
            Scalar::Number => TYPED | PLAIN,
            Scalar::Text => TYPED | PLAIN | EDITED,
            Scalar::Json => TYPED,
            Scalar::Simple => TYPED | EDITED,
        }
    }

    #[inline]
    pub(crate) fn of(header: u32) -> Scalar {
        if header & TYPED == 0 {
            return Scalar::Bytes;
        }
        match (header & KIND_MASK == PLAIN, header & EDITED != 0) {
            (true, false) => Scalar::Number,
            (true, true) => Scalar::Text,
            (false, false) => Scalar::Json,
            (false, true) => Scalar::Simple,
        }
    }
}

impl Db {
    /// Sets a key to a string that came as `scalar`, whatever it held.
    pub fn set_scalar(
        &mut self,
        key: Key<'_>,
        value: NewString<'_>,
        scalar: Scalar,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        match value {
            NewString::Int(value) => self.set_stored(key, Stored::Int(value), scalar.flags(), ttl),
            NewString::Bytes(bytes) | NewString::Raw(bytes) | NewString::Text(bytes) => {
                self.set_bytes(key, bytes, scalar.flags(), ttl)
            }
            NewString::Block(block) if fits(key, block.len()) => {
                self.set_bytes(key, &block, scalar.flags(), ttl)
            }
            NewString::Block(block) => self.set_shared(key, block, scalar.flags(), ttl),
        }
    }

    /// Sets a key to a nested value, whatever it held. The caller has made sure that `types::document` reads it.
    pub fn set_document(
        &mut self,
        key: Key<'_>,
        bytes: Vec<u8>,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let flags = Kind::Document as u32;
        if fits(key, bytes.len()) {
            return self.set_stored(key, Stored::Bytes(&bytes), flags, ttl);
        }
        self.set_shared(key, Block::new(bytes), flags, ttl)
    }

    /// The bytes of a key's nested value, read as by `read`.
    pub fn document(&mut self, key: Key<'_>) -> Result<Option<&[u8]>, WrongType> {
        match self.read(key) {
            Some(entry) => entry.document().ok_or(WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// Says as what the string of a key came; nothing where there is none. For edits, which make bytes of it.
    pub fn set_type(&mut self, key: Key<'_>, scalar: Scalar) {
        let Some(slot) = self.locate(key) else { return };
        if self.entry(slot.handle).kind() == Kind::String && scalar != Scalar::Bytes {
            self.before_write(slot.bucket);
            let bytes = self.heap.slot_mut(Handle::from_raw(slot.handle));
            let others = entry::header(bytes) & !(KIND_MASK | EDITED | TYPED);
            entry::set_header(bytes, others | scalar.flags());
        }
    }

    fn set_shared(
        &mut self,
        key: Key<'_>,
        block: Block,
        flags: u32,
        ttl: Ttl,
    ) -> Result<Replaced, OutOfMemory> {
        let number = self.blocks.add(block).map_err(|(_, error)| error)?;
        self.set_block(key, number, flags, ttl)
    }
}

const _: () =
    assert!(PLAIN & 1 == 1 && INT != TYPED, "the lowest bit of the kind tells types apart");
