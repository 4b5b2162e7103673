//! The shape of lists.
use super::object::{Aggregate, Kind, Object};
use crate::base::pieces::{Garbage, Progress};

/// Packed bytes.
#[derive(Debug, Default)]
pub struct List {
    bytes: Vec<u8>,
}

/// A look at one.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Aggregate for List {
    const KIND: Kind = Kind::List;
    type View<'a> = ListRef<'a>;

    fn new_empty() -> List {
        List::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> List {
        List { bytes }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        Some((false, &self.bytes))
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> ListRef<'_> {
        ListRef { bytes }
    }

    fn view(&self) -> ListRef<'_> {
        ListRef { bytes: &self.bytes }
    }

    fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn into_object(self) -> Object {
        Object::List(self)
    }

    fn of(object: &Object) -> Option<&List> {
        if let Object::List(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut List> {
        if let Object::List(value) = object { Some(value) } else { None }
    }
}

impl List {
    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Takes all bytes away.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Garbage for List {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.bytes.free_slice(units)
    }
}
