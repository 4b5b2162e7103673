//! The shape of streams.
use super::object::{Aggregate, Kind, Object};
use crate::base::pieces::{Garbage, Progress};

/// Packed bytes.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
}

/// A look at one.
#[derive(Clone, Copy, Debug)]
pub struct StreamRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Aggregate for Stream {
    const KIND: Kind = Kind::Stream;
    type View<'a> = StreamRef<'a>;

    fn new_empty() -> Stream {
        Stream::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> Stream {
        Stream { bytes }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        Some((false, &self.bytes))
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> StreamRef<'_> {
        StreamRef { bytes }
    }

    fn view(&self) -> StreamRef<'_> {
        StreamRef { bytes: &self.bytes }
    }

    fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn into_object(self) -> Object {
        Object::Stream(self)
    }

    fn of(object: &Object) -> Option<&Stream> {
        if let Object::Stream(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Stream> {
        if let Object::Stream(value) = object { Some(value) } else { None }
    }
}

impl Stream {
    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Takes all bytes away.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Garbage for Stream {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.bytes.free_slice(units)
    }
}
