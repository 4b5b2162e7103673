//! The shape of sets.
use super::object::{Aggregate, Kind, Object};
use crate::base::pieces::{Garbage, Progress};

/// Packed bytes.
#[derive(Debug, Default)]
pub struct Set {
    bytes: Vec<u8>,
}

/// A look at one.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Aggregate for Set {
    const KIND: Kind = Kind::Set;
    type View<'a> = SetRef<'a>;

    fn new_empty() -> Set {
        Set::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> Set {
        Set { bytes }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        Some((false, &self.bytes))
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> SetRef<'_> {
        SetRef { bytes }
    }

    fn view(&self) -> SetRef<'_> {
        SetRef { bytes: &self.bytes }
    }

    fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn into_object(self) -> Object {
        Object::Set(self)
    }

    fn of(object: &Object) -> Option<&Set> {
        if let Object::Set(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Set> {
        if let Object::Set(value) = object { Some(value) } else { None }
    }
}

impl Set {
    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Takes all bytes away.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Garbage for Set {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.bytes.free_slice(units)
    }
}
