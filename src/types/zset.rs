//! The shape of sorted sets.
use super::object::{Aggregate, Kind, Object};
use crate::base::pieces::{Garbage, Progress};

/// Packed bytes.
#[derive(Debug, Default)]
pub struct Zset {
    bytes: Vec<u8>,
}

/// A look at one.
#[derive(Clone, Copy, Debug)]
pub struct ZsetRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Aggregate for Zset {
    const KIND: Kind = Kind::Zset;
    type View<'a> = ZsetRef<'a>;

    fn new_empty() -> Zset {
        Zset::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> Zset {
        Zset { bytes }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        Some((false, &self.bytes))
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef { bytes }
    }

    fn view(&self) -> ZsetRef<'_> {
        ZsetRef { bytes: &self.bytes }
    }

    fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn into_object(self) -> Object {
        Object::Zset(self)
    }

    fn of(object: &Object) -> Option<&Zset> {
        if let Object::Zset(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Zset> {
        if let Object::Zset(value) = object { Some(value) } else { None }
    }
}

impl Zset {
    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Takes all bytes away.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Garbage for Zset {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.bytes.free_slice(units)
    }
}
