//! A hash as one of the things a key can hold.
use super::{Hash, HashRef};
use crate::base::block::Block;
use crate::base::time::UnixMillis;
use crate::types::object::{Aggregate, Kind, Object};

impl Aggregate for Hash {
    const KIND: Kind = Kind::Hash;
    type View<'a> = HashRef<'a>;

    fn new_empty() -> Hash {
        Hash::new_empty()
    }

    #[inline]
    fn from_packed(is_other_form: bool, bytes: Vec<u8>) -> Hash {
        Hash::from_packed(is_other_form, bytes)
    }

    #[inline]
    fn packed(&self) -> Option<(bool, &[u8])> {
        Hash::packed(self)
    }

    #[inline]
    fn into_packed_bytes(self) -> Vec<u8> {
        Hash::into_packed_bytes(self)
    }

    #[inline]
    fn view_packed(is_other_form: bool, bytes: &[u8]) -> HashRef<'_> {
        Hash::view_packed(is_other_form, bytes)
    }

    #[inline]
    fn view(&self) -> HashRef<'_> {
        Hash::view(self)
    }

    #[inline]
    fn is_gone(&self) -> bool {
        self.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes()
    }

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    #[inline]
    fn of(object: &Object) -> Option<&Hash> {
        if let Object::Hash(value) = object { Some(value) } else { None }
    }

    #[inline]
    fn of_mut(object: &mut Object) -> Option<&mut Hash> {
        if let Object::Hash(value) = object { Some(value) } else { None }
    }

    #[inline]
    fn next_expiry(&self) -> Option<UnixMillis> {
        Hash::view(self).next_expiry()
    }

    #[inline]
    fn take_dropped(&mut self) -> Vec<Block> {
        Hash::take_dropped(self)
    }
}
