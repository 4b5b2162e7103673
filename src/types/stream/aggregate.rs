//! Streams as the keyspace knows collections: never packed, and kept when they are empty.
use super::Stream;
use crate::types::object::{Aggregate, Kind, Object};

static NONE: Stream = Stream::new();

impl Aggregate for Stream {
    const KIND: Kind = Kind::Stream;
    type View<'a> = &'a Stream;

    fn new_empty() -> Stream {
        Stream::new()
    }

    fn from_packed(_is_ints: bool, _bytes: Vec<u8>) -> Stream {
        Stream::new()
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        None
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        Vec::new()
    }

    fn view_packed(_is_ints: bool, _bytes: &[u8]) -> &Stream {
        &NONE
    }

    fn view(&self) -> &Stream {
        self
    }

    fn is_gone(&self) -> bool {
        self.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes()
    }

    fn into_object(self) -> Object {
        Object::Stream(Box::new(self))
    }

    fn of(object: &Object) -> Option<&Stream> {
        if let Object::Stream(stream) = object { Some(stream) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Stream> {
        if let Object::Stream(stream) = object { Some(stream) } else { None }
    }
}
