//! One node of a stream: some of its entries in a listpack, byte for byte as Redis 7.0 has them.
//!
//! ```text
//!   master entry  | count | deleted | fields n | field_1 … field_n | 0 |
//!   entry         | flags | ms | seq | value_1 … value_n | items |               flags has SAME_FIELDS
//!                 | flags | ms | seq | fields n | field_1 | value_1 | … | items |
//! ```
//!
//! A node's first id is its key in the stream; `ms` and `seq` are differences from it. The master entry names the
//! fields of the first entry; entries with the same fields give their values only. `items` is the number of items of
//! its entry before itself, so that a node is read from its end, too. A deleted entry keeps its place and is marked.
//!
//! Promise: reading never panics, whatever the bytes are. Cost: O(items) to find an entry, O(1) to append one.
use super::id::StreamId;
use crate::types::listpack::{Corrupt, Item, Listpack, ListpackRef};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Items of an entry besides its fields and values: flags, ms, seq.
const FIXED_ITEMS: i64 = 3;
/// Redis keeps nodes below this, whatever the options say.
pub const NODE_BYTES_MAX: usize = 1 << 30;
/// Bytes that an item usually takes besides its text: encoding and back length.
const ITEM_OVERHEAD: usize = 3;
/// Bytes of the items of an entry that are no texts, as a rule.
const ENTRY_OVERHEAD: usize = 24;

/// What the options say about the size of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// A node gets no entry that would bring it to so many bytes; 0: no limit.
    pub bytes: usize,
    /// Entries of a node, deleted ones included; 0: no limit.
    pub entries: usize,
}

/// The fields and values of a new entry, in turn.
pub trait Fields<'a>: Iterator<Item = (&'a [u8], &'a [u8])> + Clone {}
impl<'a, I: Iterator<Item = (&'a [u8], &'a [u8])> + Clone> Fields<'a> for I {}

/// A node of its own.
#[derive(Debug)]
pub(super) struct Node(Listpack);

/// One entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    list: ListpackRef<'a>,
    /// Position of the flags.
    start: usize,
    flags: i64,
    /// Number of fields.
    count: usize,
    /// Position of the fields in the master entry, where they are there.
    names: Option<usize>,
    /// Position of the first value, or of the first field.
    body: usize,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    #[inline]
    pub fn fields_len(&self) -> usize {
        self.count
    }

    /// Position of its first item.
    #[inline]
    pub(super) fn place(&self) -> usize {
        self.start
    }

    /// Whether it was deleted.
    #[inline]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Its fields with their values.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let mut names = self.names.map(|at| self.list.items_from(at));
        let mut body = self.list.items_from(self.body);
        (0..self.count).map_while(move |_| {
            let name = match &mut names {
                Some(names) => names.next(),
                None => body.next(),
            };
            Some((name?, body.next()?))
        })
    }

    /// Position of what follows it.
    fn end(&self) -> usize {
        let items = if self.names.is_some() { self.count } else { 2 * self.count };
        let mut at = self.body;
        for _ in 0..=items {
            match self.list.next(at) {
                Some(next) => at = next,
                None => return self.list.as_bytes().len(),
            }
        }
        at
    }
}

impl Node {
    /// One with a master entry for these fields, no entry, and room for entries with so many bytes of texts.
    pub(super) fn new<'a>(count: usize, fields: impl Fields<'a>, room: usize) -> Node {
        let names: usize = fields.clone().map(|(name, _)| Listpack::item_bytes(name)).sum();
        let mut list = Listpack::with_capacity(names + ENTRY_OVERHEAD + entry_bytes(room, count));
        list.push_back_int(0);
        list.push_back_int(0);
        list.push_back_int(count as i64);
        fields.for_each(|(name, _)| list.push_back(name));
        list.push_back_int(0);
        Node(list)
    }

    /// Takes checked bytes over.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Node {
        Node(Listpack::from_bytes(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// For reading; `first` is the node's id.
    #[inline]
    pub(super) fn view(&self, first: StreamId) -> NodeRef<'_> {
        NodeRef::new(first, self.0.view())
    }

    /// Number of entries, and of deleted ones.
    #[inline]
    pub(super) fn counts(&self) -> (u64, u64) {
        counts(self.0.view())
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Memory it owns.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Gives back the room for more entries.
    pub(super) fn close(&mut self) {
        // Not for a few bytes: the allocator would only be left with a hole too small for anything.
        if self.0.capacity() - self.0.bytes_len() >= 64 {
            self.0.shrink();
        }
    }

    /// Whether an entry with so many bytes of fields and values may still be added.
    #[inline]
    pub(super) fn has_room(&self, text_bytes: usize, limits: NodeLimits) -> bool {
        let bytes_max = match limits.bytes {
            0 => NODE_BYTES_MAX,
            bytes => bytes.min(NODE_BYTES_MAX),
        };
        if self.0.bytes_len() + text_bytes >= bytes_max {
            return false;
        }
        let (live, deleted) = self.counts();
        limits.entries == 0 || live.saturating_add(deleted) < limits.entries as u64
    }

    /// Adds an entry at the end. `first` is the node's id; `text_bytes` those of fields and values.
    pub(super) fn append<'a>(
        &mut self,
        first: StreamId,
        id: StreamId,
        count: usize,
        fields: impl Fields<'a>,
        (text_bytes, limits): (usize, NodeLimits),
    ) {
        self.reserve(entry_bytes(text_bytes, count), limits);
        let mut master = self.0.view().iter();
        let live = int(master.next());
        master.next();
        let is_same = int(master.next()) == count as i64
            && fields.clone().all(|(name, _)| master.next().is_some_and(|item| item.equals(name)));
        if let Some(at) = self.0.view().first() {
            self.0.replace_int(at, live.wrapping_add(1));
        }
        self.0.push_back_int(if is_same { SAME_FIELDS } else { 0 });
        self.0.push_back_int(id.ms.wrapping_sub(first.ms) as i64);
        self.0.push_back_int(id.seq.wrapping_sub(first.seq) as i64);
        let mut items = FIXED_ITEMS + count as i64;
        if is_same {
            fields.for_each(|(_, value)| self.0.push_back(value));
        } else {
            items += count as i64 + 1;
            self.0.push_back_int(count as i64);
            for (name, value) in fields {
                self.0.push_back(name);
                self.0.push_back(value);
            }
        }
        self.0.push_back_int(items);
    }

    /// Makes room: twice as much as there was, but not beyond what a node may have.
    fn reserve(&mut self, more: usize, limits: NodeLimits) {
        let (len, room) = (self.0.bytes_len(), self.0.capacity());
        if room - len >= more {
            return;
        }
        let doubled = match limits.bytes {
            0 => 2 * room,
            bytes => (2 * room).min(bytes),
        };
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.reserve_exact(doubled.max(len + more) - len);
        self.0 = Listpack::from_bytes(bytes);
    }

    /// Marks the entry that `entry` was read as as deleted, which it is not yet. Returns how many are left.
    pub(super) fn delete(&mut self, place: usize) -> u64 {
        let list = &mut self.0;
        let flags = list.view().get(place).as_int().unwrap_or(0);
        list.replace_int(place, flags | DELETED);
        let (live, deleted) = self.counts();
        self.set_counts(live.saturating_sub(1), deleted.saturating_add(1));
        live.saturating_sub(1)
    }

    /// Marks entries from the first on as deleted while `goes` says so. Returns how many that were.
    pub(super) fn delete_first(
        &mut self,
        first: StreamId,
        mut goes: impl FnMut(StreamId, u64) -> bool,
    ) -> u64 {
        let mut gone = Vec::new();
        let view = self.view(first);
        let mut at = view.begin();
        while let Some(entry) = view.entry(at) {
            if !goes(entry.id, gone.len() as u64) {
                break;
            }
            if !entry.is_deleted() {
                gone.push((entry.start, entry.flags | DELETED));
            }
            at = entry.end();
        }
        let (live, deleted) = self.counts();
        // Flags are one byte each, so no position changes.
        for &(place, flags) in &gone {
            self.0.replace_int(place, flags);
        }
        let count = gone.len() as u64;
        self.set_counts(live.saturating_sub(count), deleted.saturating_add(count));
        count
    }

    fn set_counts(&mut self, live: u64, deleted: u64) {
        let list = &mut self.0;
        if let Some(at) = list.view().first() {
            list.replace_int(at, live as i64);
            if let Some(at) = list.view().next(at) {
                list.replace_int(at, deleted as i64);
            }
        }
    }
}

/// A node to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeRef<'a> {
    list: ListpackRef<'a>,
    /// The node's id.
    first: StreamId,
    /// Number of fields in the master entry.
    fields: i64,
    /// Position of the first of them.
    names: usize,
}

impl<'a> NodeRef<'a> {
    #[inline]
    fn new(first: StreamId, list: ListpackRef<'a>) -> NodeRef<'a> {
        let mut items = list.iter();
        items.next();
        items.next();
        let fields = int(items.next());
        NodeRef { list, first, fields, names: items.position() }
    }

    /// The node's id.
    #[inline]
    pub(super) fn first(self) -> StreamId {
        self.first
    }

    /// Number of entries, and of deleted ones.
    #[inline]
    pub(super) fn counts(self) -> (u64, u64) {
        counts(self.list)
    }

    /// Position of the first entry.
    pub(super) fn begin(self) -> usize {
        let mut items = self.list.items_from(self.names);
        for _ in 0..=self.fields {
            if items.next().is_none() {
                break;
            }
        }
        items.position()
    }

    /// Position behind the last entry.
    #[inline]
    pub(super) fn end(self) -> usize {
        self.list.as_bytes().len().saturating_sub(1)
    }

    /// The entry at a position; `None` at the end.
    #[inline]
    pub(super) fn entry(self, at: usize) -> Option<Entry<'a>> {
        let mut items = self.list.items_from(at);
        let flags = items.next()?.as_int()?;
        let ms = items.next()?.as_int()?;
        let seq = items.next()?.as_int()?;
        let id = StreamId::new(
            self.first.ms.wrapping_add(ms as u64),
            self.first.seq.wrapping_add(seq as u64),
        );
        let (count, names) = if flags & SAME_FIELDS != 0 {
            (self.fields, Some(self.names))
        } else {
            (items.next()?.as_int()?, None)
        };
        let count = usize::try_from(count).ok()?;
        Some(Entry { id, list: self.list, start: at, flags, count, names, body: items.position() })
    }

    /// Position of the entry after this one.
    #[inline]
    pub(super) fn after(self, entry: &Entry<'a>) -> usize {
        entry.end()
    }

    /// The entry that ends at a position, and its own position; `None` at the master entry.
    pub(super) fn entry_before(self, at: usize) -> Option<Entry<'a>> {
        let mut at = self.list.previous(at)?;
        let items = self.list.get(at).as_int().filter(|items| *items > 0)?;
        for _ in 0..items {
            at = self.list.previous(at)?;
        }
        self.entry(at)
    }

    /// The last id, that of a deleted entry included.
    pub(super) fn last_id(self) -> Option<StreamId> {
        self.entry_before(self.end()).map(|entry| entry.id)
    }

    /// Checks bytes from elsewhere: every item and count, and that ids ascend. Those of deleted entries need not:
    /// XSETID may have gone back behind them. Returns how many entries are not deleted, and their last id. O(bytes).
    pub(super) fn check(first: StreamId, bytes: &[u8]) -> Result<(u64, StreamId), Corrupt> {
        let items = ListpackRef::check(bytes, true)?;
        let node = NodeRef::new(first, ListpackRef::new(bytes));
        let mut master = node.list.iter();
        let mut count = || master.next().and_then(|item| item.as_int()).filter(|count| *count >= 0);
        let (live, deleted) = (count().ok_or(Corrupt)?, count().ok_or(Corrupt)?);
        let fields = count().ok_or(Corrupt)?;
        if fields as u64 > items as u64 {
            return Err(Corrupt);
        }
        let ends_in_zero = master.nth(fields as usize).is_some_and(|item| item.as_int() == Some(0));
        if !ends_in_zero {
            return Err(Corrupt);
        }
        let mut at = node.begin();
        let (mut seen_live, mut seen, mut last) = (0u64, 0u64, first);
        while at < node.end() {
            let entry = node.entry(at).ok_or(Corrupt)?;
            let is_live = !entry.is_deleted();
            let ascends = match seen_live {
                0 => entry.id >= first,
                _ => entry.id > last || (!is_live && entry.id >= first),
            };
            at = node.check_entry(&entry, items)?;
            if !ascends {
                return Err(Corrupt);
            }
            seen += 1;
            if is_live {
                seen_live += 1;
                last = entry.id;
            }
        }
        let is_counted =
            seen_live == live as u64 && seen == (live as u64).wrapping_add(deleted as u64);
        if is_counted && seen > 0 { Ok((seen_live, last)) } else { Err(Corrupt) }
    }

    /// Checks that an entry is whole; returns where it ends.
    fn check_entry(self, entry: &Entry<'_>, items_max: usize) -> Result<usize, Corrupt> {
        if entry.count > items_max {
            return Err(Corrupt);
        }
        let count = entry.count as i64;
        let (texts, items) = match entry.names {
            Some(_) => (entry.count, FIXED_ITEMS + count),
            None => (2 * entry.count, FIXED_ITEMS + 2 * count + 1),
        };
        let mut rest = self.list.items_from(entry.body);
        let is_whole = texts == 0 || rest.nth(texts - 1).is_some();
        let is_right = is_whole && rest.next().and_then(|item| item.as_int()) == Some(items);
        if is_right { Ok(rest.position()) } else { Err(Corrupt) }
    }
}

/// About how many bytes an entry takes. Where it is too little, the list grows by itself.
#[inline]
fn entry_bytes(text_bytes: usize, count: usize) -> usize {
    text_bytes + 2 * count * ITEM_OVERHEAD + ENTRY_OVERHEAD
}

#[inline]
fn counts(list: ListpackRef<'_>) -> (u64, u64) {
    let mut items = list.iter();
    let mut count = || u64::try_from(int(items.next())).unwrap_or(0);
    (count(), count())
}

#[inline]
fn int(item: Option<Item<'_>>) -> i64 {
    item.and_then(|item| item.as_int()).unwrap_or(0)
}
