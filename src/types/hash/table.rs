//! A hash of any size: fields found by name in [`Members`], and beside it what only few hashes have.
//!
//! Values of [`BLOCK_BYTES_MIN`] and more are blocks: the member's payload is empty then, and the block is found by the
//! member's id. So is the expiry of a field. Both stand in [`Extras`], which is not there while no field needs it: then
//! it costs one branch where a value is empty and none elsewhere.
//!
//! Cost: what `Members` costs, about 44 bytes for a field and a value of 16 bytes each.
use super::{BLOCK_BYTES_MIN, Field, FieldId, FieldTtl, Found, NewValue, Value};
use crate::base::block::Block;
use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{FREE_PIECE_BYTES, Garbage, Progress};
use crate::base::random::Random;
use crate::base::time::UnixMillis;
use crate::types::expiries::Expiries;
use crate::types::listpack::Item;
use crate::types::members::{MemberId, Members, Shape};
use std::collections::BTreeMap;

/// Entries of ordered maps freed for a unit of freeing.
const ENTRIES_PER_UNIT: usize = 64;
/// Bytes a block takes besides its buffer: reference counts, vector, entry of the map.
const BLOCK_OVERHEAD_BYTES: usize = 64;

/// See the head of the file.
#[derive(Debug)]
pub struct HashTable {
    members: Members,
    /// Invariant: not empty.
    extras: Option<Box<Extras>>,
}

#[derive(Debug, Default)]
struct Extras {
    expiries: Expiries<u32>,
    blocks: BTreeMap<u32, Block>,
    /// Memory of the blocks.
    block_bytes: usize,
    /// Blocks that are gone from their fields and too big to be freed at once.
    dropped: Vec<Block>,
}

impl Extras {
    fn is_empty(&self) -> bool {
        self.expiries.is_empty() && self.blocks.is_empty() && self.dropped.is_empty()
    }

    fn set_block(&mut self, id: u32, block: Block) {
        self.block_bytes += block.capacity() + BLOCK_OVERHEAD_BYTES;
        self.blocks.insert(id, block);
    }

    fn drop_block(&mut self, id: u32) {
        let Some(block) = self.blocks.remove(&id) else { return };
        self.block_bytes -= block.capacity() + BLOCK_OVERHEAD_BYTES;
        if block.capacity() > 2 * FREE_PIECE_BYTES {
            self.dropped.push(block);
        }
    }

    fn rename(&mut self, old: u32, new: u32) {
        if old == new {
            return;
        }
        if let Some(block) = self.blocks.remove(&old) {
            self.blocks.insert(new, block);
        }
        self.expiries.rename(old, new);
    }
}

impl HashTable {
    /// An empty one.
    pub(super) fn new(hasher: &KeyHasher) -> HashTable {
        HashTable { members: Members::new(hasher, Shape::Paired), extras: None }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let extras =
            |extras: &Extras| size_of::<Extras>() + extras.expiries.bytes() + extras.block_bytes;
        size_of::<HashTable>() + self.members.bytes() + self.extras.as_deref().map_or(0, extras)
    }

    /// The fields as members.
    #[inline]
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    #[inline]
    pub(super) fn next_expiry(&self) -> Option<UnixMillis> {
        Some(self.extras.as_ref()?.expiries.first()?.0)
    }

    #[inline]
    pub(super) fn get(&self, field: &[u8]) -> Option<Found<'_>> {
        self.members.find(field).map(|id| self.found(id))
    }

    #[inline]
    fn found(&self, id: MemberId) -> Found<'_> {
        let payload = self.members.payload(id);
        self.found_of(id, payload)
    }

    #[inline]
    fn found_of<'a>(&'a self, id: MemberId, payload: &'a [u8]) -> Found<'a> {
        match &self.extras {
            None => Found { value: Value::Item(Item::Bytes(payload)), expiry: None },
            Some(extras) => self.found_with(extras, id, payload),
        }
    }

    fn found_with<'a>(&'a self, extras: &'a Extras, id: MemberId, payload: &'a [u8]) -> Found<'a> {
        let block = if payload.is_empty() { extras.blocks.get(&id.raw()) } else { None };
        let value = block.map_or(Value::Item(Item::Bytes(payload)), Value::Block);
        Found { value, expiry: extras.expiries.get(id.raw()) }
    }

    fn member(&self, id: MemberId) -> Field<'_> {
        let (name, payload) = self.members.both(id);
        Field { name: Item::Bytes(name), found: self.found_of(id, payload) }
    }

    pub(super) fn field(&self, id: FieldId) -> Field<'_> {
        self.member(MemberId::from_raw(id.0 as u32))
    }

    pub(super) fn random(&self, random: &mut Random) -> Option<FieldId> {
        self.members.random(random).map(|id| FieldId(id.raw().into()))
    }

    /// As [`super::HashRef::visit`]; the cursor is a bucket.
    pub(super) fn visit<'a>(
        &'a self,
        cursor: &mut usize,
        units: usize,
        visit: &mut dyn FnMut(Field<'a>),
    ) -> Progress {
        let mut visited = 0;
        while visited < units && *cursor < self.members.buckets() {
            self.members.visit_bucket(*cursor, |id| {
                visited += 1;
                visit(self.member(id));
            });
            // An empty bucket is work, too.
            visited = visited.max(1);
            *cursor += 1;
        }
        if *cursor < self.members.buckets() { Progress::More } else { Progress::Done }
    }

    pub(super) fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(Field<'a>)) -> u64 {
        self.members.scan(cursor, |id| visit(self.member(id)))
    }

    /// Sets a field; true: it is new.
    pub(super) fn set(
        &mut self,
        field: &[u8],
        value: NewValue<'_>,
        ttl: FieldTtl,
    ) -> Result<bool, OutOfMemory> {
        let key = self.members.key(field);
        let known = self.members.find_key(key);
        let block = match value {
            NewValue::Bytes(bytes) if bytes.len() < BLOCK_BYTES_MIN => None,
            NewValue::Bytes(bytes) => Some(Block::new(bytes.to_vec())),
            NewValue::Block(block) if block.len() < BLOCK_BYTES_MIN => None,
            NewValue::Block(block) => Some(block.clone()),
        };
        let payload = if block.is_some() { &[] } else { value.as_bytes() };
        let id = match known {
            Some(old) => {
                let id = self.members.set_payload(old, payload)?;
                if let Some(extras) = &mut self.extras {
                    extras.drop_block(old.raw());
                    match ttl {
                        FieldTtl::Clear => extras.expiries.set(old.raw(), None),
                        FieldTtl::Keep => extras.rename(old.raw(), id.raw()),
                    }
                }
                id
            }
            None => self.members.insert_key(key, payload)?,
        };
        if let Some(block) = block {
            self.extras_mut().set_block(id.raw(), block);
        }
        self.tidy();
        Ok(known.is_none())
    }

    /// Adds a field that is not there, with its expiry.
    pub(super) fn add(&mut self, field: Field<'_>) -> Result<(), OutOfMemory> {
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        let name = field.name.as_bytes(&mut name);
        let new = match &field.found.value {
            Value::Block(block) => NewValue::Block(block),
            short @ Value::Item(_) => NewValue::Bytes(short.as_bytes(&mut value)),
        };
        self.set(name, new, FieldTtl::Clear)?;
        if field.found.expiry.is_some() {
            self.set_expiry(name, field.found.expiry);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(id) = self.members.find(field) else { return false };
        self.remove_member(id);
        self.tidy();
        true
    }

    fn remove_member(&mut self, id: MemberId) {
        self.members.remove(id);
        if let Some(extras) = &mut self.extras {
            extras.drop_block(id.raw());
            extras.expiries.set(id.raw(), None);
        }
    }

    pub(super) fn set_expiry(&mut self, field: &[u8], expiry: Option<UnixMillis>) {
        let Some(id) = self.members.find(field) else { return };
        self.extras_mut().expiries.set(id.raw(), expiry);
        self.drop_empty_extras();
    }

    pub(super) fn reclaim(&mut self, now: UnixMillis, units: usize) -> usize {
        let mut reclaimed = 0;
        while reclaimed < units
            && let Some(extras) = &self.extras
            && let Some((expiry, id)) = extras.expiries.first()
            && expiry <= now
        {
            self.remove_member(MemberId::from_raw(id));
            self.tidy();
            reclaimed += 1;
        }
        reclaimed
    }

    pub(super) fn take_dropped(&mut self) -> Vec<Block> {
        let Some(extras) = &mut self.extras else { return Vec::new() };
        let dropped = std::mem::take(&mut extras.dropped);
        self.drop_empty_extras();
        dropped
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    fn drop_empty_extras(&mut self) {
        if self.extras.as_ref().is_some_and(|extras| extras.is_empty()) {
            self.extras = None;
        }
    }

    /// Closes some gaps while nobody writes; false when there are few left.
    pub(in crate::types) fn tidy_idle(&mut self, steps: usize) -> bool {
        let Some(extras) = &mut self.extras else {
            return self.members.tidy_idle(steps, |_, _| {});
        };
        self.members.tidy_idle(steps, |old, new| extras.rename(old.raw(), new.raw()))
    }

    /// Ends a write: the members grow, shrink or move by a step.
    fn tidy(&mut self) {
        let Some(extras) = &mut self.extras else { return self.members.tidy(|_, _| {}) };
        self.members.tidy(|old, new| extras.rename(old.raw(), new.raw()));
        self.drop_empty_extras();
    }
}

impl Garbage for HashTable {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            let Some(extras) = &mut self.extras else { return self.members.free_slice(units) };
            if !extras.dropped.free_slice(1).is_done() {
                continue;
            }
            let is_done = match extras.blocks.first_entry() {
                Some(mut first) => {
                    if first.get_mut().free_slice(1).is_done() {
                        first.remove();
                    }
                    false
                }
                None => extras.expiries.free_slice(ENTRIES_PER_UNIT),
            };
            if is_done {
                self.extras = None;
            }
        }
        Progress::More
    }
}
