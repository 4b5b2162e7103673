//! The shape of hashes.
use super::object::{Aggregate, Kind, Object};
use crate::base::pieces::{Garbage, Progress};

/// Packed bytes.
#[derive(Debug, Default)]
pub struct Hash {
    bytes: Vec<u8>,
}

/// A look at one.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Aggregate for Hash {
    const KIND: Kind = Kind::Hash;
    type View<'a> = HashRef<'a>;

    fn new_empty() -> Hash {
        Hash::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> Hash {
        Hash { bytes }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        Some((false, &self.bytes))
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> HashRef<'_> {
        HashRef { bytes }
    }

    fn view(&self) -> HashRef<'_> {
        HashRef { bytes: &self.bytes }
    }

    fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    fn of(object: &Object) -> Option<&Hash> {
        if let Object::Hash(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Hash> {
        if let Object::Hash(value) = object { Some(value) } else { None }
    }
}

impl Hash {
    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Takes all bytes away.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Garbage for Hash {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.bytes.free_slice(units)
    }
}
