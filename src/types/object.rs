//! What a key can hold, and what the types that are more than a string have in common.
//!
//! An [`Aggregate`] is packed while it is small: a run of bytes (a listpack, an intset) that the keyspace keeps inside
//! the key's entry. A bigger one is an [`Object`] of its own. Whoever reads sees a view, which is the same for both.
use super::hash::Hash;
use super::list::List;
use super::members::Members;
use super::set::Set;
use super::stream::Stream;
use super::zset::Zset;
use crate::base::block::Block;
use crate::base::pieces::{Garbage, Progress};
use crate::base::time::UnixMillis;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string.
    String = 1,
    /// A list.
    List = 2,
    /// A set.
    Set = 3,
    /// A hash.
    Hash = 4,
    /// A sorted set.
    Zset = 5,
    /// A stream.
    Stream = 6,
    /// A nested value: [`super::document`].
    Document = 7,
}

impl Kind {
    /// The name TYPE replies with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
            Kind::Zset => "zset",
            Kind::Stream => "stream",
            Kind::Document => "document",
        }
    }

    /// The kind of this number; what numbers none is a string.
    #[inline]
    #[must_use]
    pub fn of_number(number: u32) -> Kind {
        match number {
            2 => Kind::List,
            3 => Kind::Set,
            4 => Kind::Hash,
            5 => Kind::Zset,
            6 => Kind::Stream,
            7 => Kind::Document,
            _ => Kind::String,
        }
    }
}

/// A value that consists of elements.
///
/// `is_ints` tells the two packed forms of sets apart: an intset or a listpack; of hashes it says that the listpack has
/// expiries. For the others it is false.
pub trait Aggregate: Sized + 'static {
    /// What it is.
    const KIND: Kind;
    /// It, to be read.
    type View<'a>: Copy;

    /// One without elements.
    fn new_empty() -> Self;
    /// The packed one of these bytes, which [`Aggregate::packed`] gave.
    fn from_packed(is_ints: bool, bytes: Vec<u8>) -> Self;
    /// The form and bytes of a packed one.
    fn packed(&self) -> Option<(bool, &[u8])>;
    /// The bytes of a packed one; of another one, none.
    fn into_packed_bytes(self) -> Vec<u8>;
    /// To read packed bytes where they lie.
    fn view_packed(is_ints: bool, bytes: &[u8]) -> Self::View<'_>;
    /// To read it.
    fn view(&self) -> Self::View<'_>;
    /// Whether it has no element. Keys never hold such a one, but for streams.
    fn is_gone(&self) -> bool;
    /// Memory it owns. O(1).
    fn memory_bytes(&self) -> usize;
    /// As what the keyspace keeps.
    fn into_object(self) -> Object;
    /// Of this type, if it is.
    fn of(object: &Object) -> Option<&Self>;
    /// As [`Aggregate::of`], to change it.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    /// When the first of its parts expires: only fields of hashes do. O(1).
    #[inline]
    fn next_expiry(&self) -> Option<UnixMillis> {
        None
    }

    /// Big values that the last changes took out, to be freed in pieces.
    #[inline]
    fn take_dropped(&mut self) -> Vec<Block> {
        Vec::new()
    }
}

/// An aggregate that is not packed into its entry.
#[derive(Debug)]
pub enum Object {
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream; boxed, since it would make all others larger.
    Stream(Box<Stream>),
}

impl Object {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Object::List(_) => Kind::List,
            Object::Set(_) => Kind::Set,
            Object::Hash(_) => Kind::Hash,
            Object::Zset(_) => Kind::Zset,
            Object::Stream(_) => Kind::Stream,
        }
    }

    /// Its elements, if they are found by name.
    #[inline]
    #[must_use]
    pub fn members(&self) -> Option<&Members> {
        match self {
            Object::Hash(Hash::Table(table)) => Some(table.members()),
            Object::Set(Set::Table(members)) => Some(members),
            Object::Zset(Zset::Tree(tree)) => Some(tree.members()),
            Object::Hash(_) | Object::Set(_) | Object::Zset(_) => None,
            Object::List(_) | Object::Stream(_) => None,
        }
    }

    /// Whether so many elements have gone from it that [`Object::tidy_idle`] should be called. O(1).
    #[inline]
    #[must_use]
    pub fn is_gappy(&self) -> bool {
        self.members().is_some_and(Members::is_gappy)
    }

    /// Closes gaps between elements while nobody writes: looks after up to `steps` of them, some 0.2 us each; false
    /// when few are left. Order and SCAN cursors stay; ids of elements do not.
    pub fn tidy_idle(&mut self, steps: usize) -> bool {
        match self {
            Object::Hash(Hash::Table(table)) => table.tidy_idle(steps),
            Object::Set(Set::Table(members)) => members.tidy_idle(steps, |_, _| {}),
            Object::Zset(Zset::Tree(tree)) => tree.tidy_idle(steps),
            Object::Hash(_) | Object::Set(_) | Object::Zset(_) => false,
            Object::List(_) | Object::Stream(_) => false,
        }
    }

    /// Memory it owns, without this handle. O(1).
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Object::List(list) => list.memory_bytes(),
            Object::Set(set) => set.memory_bytes(),
            Object::Hash(hash) => hash.memory_bytes(),
            Object::Zset(zset) => zset.memory_bytes(),
            Object::Stream(stream) => stream.memory_bytes(),
        }
    }
}

impl Garbage for Object {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            Object::List(list) => list.free_slice(units),
            Object::Set(set) => set.free_slice(units),
            Object::Hash(hash) => hash.free_slice(units),
            Object::Zset(zset) => zset.free_slice(units),
            Object::Stream(stream) => stream.free_slice(units),
        }
    }
}
