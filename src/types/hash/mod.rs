//! Hash: values by field, each field with a time to live of its own where somebody gave it one.
//!
//! ```text
//!   Packed     listpack: field value field value …                       small hashes
//!   Expiring   listpack: field value expiry field value expiry …         small ones, once a field had a time to live;
//!              the soonest expiry first, fields without one (0) last: Redis 7.4's `listpackex`, byte for byte
//!   Table      `HashTable`: elements found by field, see `table`
//! ```
//! The first two are plain bytes, so a small hash needs no object of its own. A hash becomes a table when a field or
//! value is longer than `hash-max-listpack-value` or there are more fields than `hash-max-listpack-entries`, and never
//! goes back, as in Redis.
//!
//! This module knows no time: it tells the expiry of what it finds, and the caller passes by what is past it
//! ([`Found::is_live`]). A hash counts such fields until [`Hash::reclaim`] takes them out, as Redis does.
//!
//! Cost: O(1) a field in a table (O(log n) of those with an expiry, where there are any), O(n) in the packed forms,
//! which the limits keep small. Nothing else is O(n): what walks over all fields goes in pieces ([`HashRef::visit`]).
mod object;
mod packed;
mod table;
mod view;

use crate::base::block::Block;
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::base::time::UnixMillis;
use crate::types::limits::Limits;
use crate::types::listpack::{Item, Listpack, ListpackRef};
use packed::Form;
pub use table::HashTable;
pub use view::HashRef;

/// Values of this many bytes are blocks: replies send them by reference.
pub const BLOCK_BYTES_MIN: usize = 16 * 1024;

/// A hash.
#[derive(Debug)]
pub enum Hash {
    /// Fields and values in turn.
    Packed(Listpack),
    /// Fields, values and expiries in turn.
    Expiring(Listpack),
    /// Anything bigger.
    Table(Box<HashTable>),
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A short one, as it is kept.
    Item(Item<'a>),
    /// One of at least [`BLOCK_BYTES_MIN`].
    Block(&'a Block),
}

impl Value<'_> {
    /// Length of its text in bytes.
    pub fn text_len(&self) -> usize {
        match self {
            Value::Item(item) => item.text_len(),
            Value::Block(block) => block.len(),
        }
    }

    /// Its text; an integer's is written into `scratch`.
    #[inline]
    pub fn as_bytes<'s>(&'s self, scratch: &'s mut itoa::Buffer) -> &'s [u8] {
        match self {
            Value::Item(item) => item.as_bytes(scratch),
            Value::Block(block) => block,
        }
    }
}

/// A value to be kept.
#[derive(Clone, Copy, Debug)]
pub enum NewValue<'a> {
    /// Bytes to be copied.
    Bytes(&'a [u8]),
    /// A big one that may be shared.
    Block(&'a Block),
}

impl<'a> NewValue<'a> {
    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            NewValue::Bytes(bytes) => bytes,
            NewValue::Block(block) => block,
        }
    }
}

/// A value that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The value.
    pub value: Value<'a>,
    /// When the field expires.
    pub expiry: Option<UnixMillis>,
}

impl Found<'_> {
    /// Whether its time has not come.
    #[inline]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.expiry.is_none_or(|expiry| expiry > now)
    }
}

/// A field with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value and expiry.
    pub found: Found<'a>,
}

impl Field<'_> {
    /// Whether its time has not come.
    #[inline]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.found.is_live(now)
    }
}

/// Tells a field from others of its hash, until that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldId(u64);

/// What happens to the expiry of a field that is set anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTtl {
    /// It goes.
    Clear,
    /// It stays.
    Keep,
}

/// Which fields get a new expiry, by the one they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All.
    Always,
    /// NX: those that have none.
    IfNone,
    /// XX: those that have one.
    IfAny,
    /// GT: those that would live longer; without an expiry a field lives forever.
    IfLater,
    /// LT: those that would live shorter.
    IfSooner,
}

impl Condition {
    /// Whether `new` may take the place of `old`.
    fn allows(self, old: Option<UnixMillis>, new: UnixMillis) -> bool {
        match (self, old) {
            (Condition::Always, _)
            | (Condition::IfNone | Condition::IfSooner, None)
            | (Condition::IfAny, Some(_)) => true,
            (Condition::IfNone, Some(_)) | (Condition::IfAny | Condition::IfLater, None) => false,
            (Condition::IfLater, Some(old)) => new > old,
            (Condition::IfSooner, Some(old)) => new < old,
        }
    }
}

/// What came of giving a field an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireOutcome {
    /// There is no such field; one whose time had come is gone now.
    NoField,
    /// The condition does not hold.
    NotMet,
    /// It has it.
    Set,
    /// The time is not in the future: the field is gone.
    Deleted,
}

/// What came of taking a field's expiry away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistOutcome {
    /// There is no such field, or its time has come.
    NoField,
    /// It has none.
    NoExpiry,
    /// It had one.
    Done,
}

impl Hash {
    /// An empty one.
    pub fn new_empty() -> Hash {
        Hash::Packed(Listpack::new())
    }

    /// From the bytes of a packed form; `is_expiring`: of the one with expiries.
    #[inline]
    pub fn from_packed(is_expiring: bool, bytes: Vec<u8>) -> Hash {
        let list = Listpack::from_bytes(bytes);
        if is_expiring { Hash::Expiring(list) } else { Hash::Packed(list) }
    }

    /// Its bytes, if it is packed, and whether they are of the form with expiries.
    #[inline]
    pub fn packed(&self) -> Option<(bool, &[u8])> {
        match self {
            Hash::Packed(list) => Some((false, list.as_bytes())),
            Hash::Expiring(list) => Some((true, list.as_bytes())),
            Hash::Table(_) => None,
        }
    }

    /// Its bytes, if it is packed; else nothing.
    #[inline]
    pub fn into_packed_bytes(self) -> Vec<u8> {
        match self {
            Hash::Packed(list) | Hash::Expiring(list) => list.into_bytes(),
            Hash::Table(_) => Vec::new(),
        }
    }

    /// To read the bytes of a packed form.
    #[inline]
    pub fn view_packed(is_expiring: bool, bytes: &[u8]) -> HashRef<'_> {
        let list = ListpackRef::new(bytes);
        if is_expiring { HashRef::Expiring(list) } else { HashRef::Packed(list) }
    }

    /// For reading.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Packed(list) => HashRef::Packed(list.view()),
            Hash::Expiring(list) => HashRef::Expiring(list.view()),
            Hash::Table(table) => HashRef::Table(table),
        }
    }

    /// Number of fields; see [`HashRef::len`].
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(list) | Hash::Expiring(list) => list.is_empty(),
            Hash::Table(table) => table.len() == 0,
        }
    }

    /// Memory it owns, in bytes. O(1).
    pub fn bytes(&self) -> usize {
        match self {
            Hash::Packed(list) | Hash::Expiring(list) => list.capacity(),
            Hash::Table(table) => table.bytes(),
        }
    }

    /// Makes a table of a packed hash that is to take texts of which one is `longest` bytes long, or which are
    /// `total` bytes together, where that is too much. Redis looks at all arguments of a command before it sets any.
    pub fn prepare(
        &mut self,
        longest: usize,
        total: usize,
        limits: &Limits,
    ) -> Result<(), OutOfMemory> {
        let fits = match self {
            Hash::Packed(list) | Hash::Expiring(list) => {
                longest <= limits.hash_max_listpack_value && list.has_room(total)
            }
            Hash::Table(_) => true,
        };
        if fits { Ok(()) } else { self.make_table(limits).map(|_| ()) }
    }

    /// Sets a field; true: it is new. Without memory nothing is changed.
    pub fn set(
        &mut self,
        field: &[u8],
        value: NewValue<'_>,
        ttl: FieldTtl,
        limits: &Limits,
    ) -> Result<bool, OutOfMemory> {
        let bytes = value.as_bytes();
        self.prepare(field.len().max(bytes.len()), field.len() + bytes.len(), limits)?;
        let is_new = match self {
            Hash::Packed(list) => packed::set_pair(list, field, bytes),
            Hash::Expiring(list) => packed::set_triple(list, field, bytes, ttl),
            Hash::Table(table) => return table.set(field, value, ttl),
        };
        if is_new && self.len() > limits.hash_max_listpack_entries {
            // Without memory it stays packed, and the next new field tries again.
            let _ = self.make_table(limits);
        }
        Ok(is_new)
    }

    /// Adds a field that is not there, with its expiry: for copies and for what is loaded.
    pub fn add(
        &mut self,
        field: &[u8],
        value: NewValue<'_>,
        expiry: Option<UnixMillis>,
        limits: &Limits,
    ) -> Result<(), OutOfMemory> {
        self.set(field, value, FieldTtl::Clear, limits)?;
        if let Some(expiry) = expiry {
            self.expire(field, expiry, Condition::Always, UnixMillis::MIN);
        }
        Ok(())
    }

    /// Takes a field out; false: there was none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(list) => packed::remove(list, Form::Pairs, field),
            Hash::Expiring(list) => packed::remove(list, Form::Triples, field),
            Hash::Table(table) => table.remove(field),
        }
    }

    /// Has a field expire at `when`, or at once if that is not after `now`.
    pub fn expire(
        &mut self,
        field: &[u8],
        when: UnixMillis,
        condition: Condition,
        now: UnixMillis,
    ) -> ExpireOutcome {
        let Some(found) = self.view().get(field) else { return ExpireOutcome::NoField };
        if !found.is_live(now) {
            self.remove(field);
            return ExpireOutcome::NoField;
        }
        if !condition.allows(found.expiry, when) {
            return ExpireOutcome::NotMet;
        }
        if when <= now {
            self.remove(field);
            return ExpireOutcome::Deleted;
        }
        if let Hash::Packed(list) = self {
            *self = Hash::Expiring(packed::with_expiries(list.view()));
        }
        match self {
            Hash::Packed(_) => {}
            Hash::Expiring(list) => packed::set_expiry(list, field, Some(when)),
            Hash::Table(table) => table.set_expiry(field, Some(when)),
        }
        ExpireOutcome::Set
    }

    /// Takes a field's expiry away.
    pub fn persist(&mut self, field: &[u8], now: UnixMillis) -> PersistOutcome {
        match self.view().get(field) {
            Some(found) if found.is_live(now) && found.expiry.is_none() => {
                return PersistOutcome::NoExpiry;
            }
            Some(found) if found.is_live(now) => {}
            Some(_) | None => return PersistOutcome::NoField,
        }
        match self {
            Hash::Packed(_) => {}
            Hash::Expiring(list) => packed::set_expiry(list, field, None),
            Hash::Table(table) => table.set_expiry(field, None),
        }
        PersistOutcome::Done
    }

    /// Takes out at most `units` fields whose time has come, the longest overdue first; returns how many.
    pub fn reclaim(&mut self, now: UnixMillis, units: usize) -> usize {
        match self {
            Hash::Packed(_) => 0,
            Hash::Expiring(list) => packed::reclaim(list, now, units),
            Hash::Table(table) => table.reclaim(now, units),
        }
    }

    /// Big values that the last changes took out, to be freed in pieces.
    pub fn take_dropped(&mut self) -> Vec<Block> {
        match self {
            Hash::Packed(_) | Hash::Expiring(_) => Vec::new(),
            Hash::Table(table) => table.take_dropped(),
        }
    }

    /// Copies about `units` fields of another hash into this one, from the place `cursor` says (0 at the beginning)
    /// on. The other one must not change between two calls; this one is for nobody else until it is done.
    pub fn copy_slice(
        &mut self,
        source: HashRef<'_>,
        cursor: &mut usize,
        units: usize,
        limits: &Limits,
    ) -> Result<Progress, OutOfMemory> {
        let table = match source {
            HashRef::Packed(list) => {
                *self = Hash::from_packed(false, list.as_bytes().to_vec());
                return Ok(Progress::Done);
            }
            HashRef::Expiring(list) => {
                *self = Hash::from_packed(true, list.as_bytes().to_vec());
                return Ok(Progress::Done);
            }
            HashRef::Table(table) => table,
        };
        let target = self.make_table(limits)?;
        let mut result = Ok(());
        let progress = table.visit(cursor, units, &mut |field: Field<'_>| {
            if result.is_ok() {
                result = target.add(field);
            }
        });
        result.map(|()| progress)
    }

    /// Makes a table of it, whatever it was. O(fields) of a packed form.
    fn make_table(&mut self, limits: &Limits) -> Result<&mut HashTable, OutOfMemory> {
        if !matches!(self, Hash::Table(_)) {
            let mut table = Box::new(HashTable::new(&limits.hasher));
            let mut result = Ok(());
            let _ = self.view().visit(&mut 0, usize::MAX, |field| {
                if result.is_ok() {
                    result = table.add(field);
                }
            });
            result?;
            *self = Hash::Table(table);
        }
        match self {
            Hash::Table(table) => Ok(table),
            Hash::Packed(_) | Hash::Expiring(_) => Err(OutOfMemory),
        }
    }
}

impl Garbage for Hash {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            // Freed at once when it is dropped: limits keep it small.
            Hash::Packed(_) | Hash::Expiring(_) => Progress::Done,
            Hash::Table(table) => table.free_slice(units),
        }
    }
}

#[cfg(test)]
mod tests;
