//! The entries of a stream, in nodes.
//!
//! ```text
//!   older   first id → node, first id → node, …      tail   first id → node        new entries go to the tail
//! ```
//!
//! The tail stands outside of the tree: a small stream has no tree at all, and XADD needs no search. What Redis keeps
//! besides the entries is here, too: how many there are and ever were, the first, the last and the greatest deleted id.
//!
//! Cost: O(1) to append, O(log nodes + one node) to find. Trimming and walking take `units` and go on later.
mod trim;

use std::collections::BTreeMap;

pub use trim::{Keep, Trim};

use super::id::{NewId, StreamId};
use super::node::{Entry, Fields, NODE_BYTES_MAX, Node, NodeLimits, NodeRef};
use super::walk::Walk;
use crate::base::pieces::{FREE_PIECE_BYTES, Garbage, Progress};

/// Memory of a node besides its bytes: its place in the tree at the usual fill, and the allocator's header.
const NODE_OVERHEAD: usize = 90;

/// Nodes that are counted one by one for [`Log::radix_nodes`].
const COUNTED_MAX: usize = 1024;

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// There is no id after the last one.
    Exhausted,
    /// Its id is not greater than the last one.
    NotGreater,
    /// `ms-*`, and that millisecond has no sequence number left.
    NoSequence,
    /// It has more than a gigabyte.
    TooLarge,
}

/// The entries.
#[derive(Debug, Default)]
pub struct Log {
    /// All nodes but the last one.
    older: BTreeMap<StreamId, Node>,
    /// The last node and its id. Invariant: `None` only if there is no node.
    tail: Option<(StreamId, Node)>,
    /// Entries, those deleted not counted.
    length: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    /// Memory of the nodes.
    bytes: usize,
    /// Nodes that were removed and are too big to be freed at once.
    spent: Vec<Vec<u8>>,
}

impl Log {
    /// One without entries.
    pub const fn new() -> Log {
        Log {
            older: BTreeMap::new(),
            tail: None,
            length: 0,
            first_id: StreamId::MIN,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
            entries_added: 0,
            bytes: 0,
            spent: Vec::new(),
        }
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Number of nodes.
    pub fn nodes_len(&self) -> usize {
        self.older.len() + usize::from(self.tail.is_some())
    }

    /// Memory of the nodes, in bytes. O(1).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The id that the next one must be greater than.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The first entry's id; `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that XDEL has deleted.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Sets what XSETID can set. The caller has compared it with the entries.
    pub fn set_ids(&mut self, last: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        self.last_id = last;
        self.entries_added = added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted.unwrap_or(self.max_deleted_id);
    }

    // --- adding ---

    /// Adds an entry; returns its id. O(its bytes).
    pub fn append<'a>(
        &mut self,
        new: NewId,
        now_ms: u64,
        fields: impl Fields<'a>,
        limits: NodeLimits,
    ) -> Result<StreamId, AppendError> {
        let id = self.new_id(new, now_ms)?;
        let (mut count, mut text_bytes) = (0, 0usize);
        for (name, value) in fields.clone() {
            count += 1;
            text_bytes = text_bytes.saturating_add(name.len() + value.len());
        }
        if text_bytes > NODE_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let (first, node) = match self.tail.take() {
            Some((first, node)) if node.has_room(text_bytes, limits) => (first, node),
            full => {
                // The next node will grow as large as this one, as a rule: at once, without holes left behind.
                let mut room = text_bytes;
                if let Some((first, mut node)) = full {
                    room = room.max(node.as_bytes().len().min(limits.bytes));
                    self.bytes -= node.capacity();
                    node.close();
                    self.bytes += node.capacity();
                    self.older.insert(first, node);
                }
                let node = Node::new(count, fields.clone(), room);
                self.bytes += node.capacity() + NODE_OVERHEAD;
                (id, node)
            }
        };
        let (_, node) = self.tail.insert((first, node));
        let before = node.capacity();
        node.append(first, id, count, fields, (text_bytes, limits));
        self.bytes = self.bytes + node.capacity() - before;
        self.length += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        Ok(id)
    }

    fn new_id(&self, new: NewId, now_ms: u64) -> Result<StreamId, AppendError> {
        if self.last_id == StreamId::MAX {
            return Err(AppendError::Exhausted);
        }
        let id = match new {
            NewId::Auto if now_ms > self.last_id.ms => StreamId::new(now_ms, 0),
            NewId::Auto => self.last_id.next().ok_or(AppendError::Exhausted)?,
            NewId::AutoSeq(ms) if ms == self.last_id.ms => {
                let seq = self.last_id.seq.checked_add(1).ok_or(AppendError::NoSequence)?;
                StreamId::new(ms, seq)
            }
            NewId::AutoSeq(ms) => StreamId::new(ms, 0),
            NewId::Given(id) => id,
        };
        if id > self.last_id { Ok(id) } else { Err(AppendError::NotGreater) }
    }

    // --- nodes ---

    /// Nodes whose first id is `start` or greater: that id, and the node's bytes as Redis has them.
    pub fn nodes_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, &[u8])> {
        let tail = self.tail.iter().filter(move |(first, _)| *first >= start);
        let older = self.older.range(start..).map(|(first, node)| (*first, node));
        older
            .chain(tail.map(|(first, node)| (*first, node)))
            .map(|(first, node)| (first, node.as_bytes()))
    }

    /// How many nodes Redis's radix tree of these nodes has (XINFO tells it). O(nodes), up to `COUNTED_MAX` of them;
    /// the others count as many as those.
    // DIFFERS: of long streams it is an estimate: the number means nothing here.
    pub fn radix_nodes(&self) -> usize {
        let nodes = self.nodes_len();
        if nodes == 0 {
            return 1;
        }
        let ids = self.nodes_from(StreamId::MIN).take(COUNTED_MAX).map(|(id, _)| id.to_bytes());
        let counted = radix_nodes(ids);
        counted + counted * (nodes - nodes.min(COUNTED_MAX)) / COUNTED_MAX
    }

    /// The last node that begins at `id` or before.
    pub(super) fn node_until(&self, id: StreamId) -> Option<NodeRef<'_>> {
        if let Some((first, node)) = &self.tail
            && *first <= id
        {
            return Some(node.view(*first));
        }
        self.older.range(..=id).next_back().map(|(first, node)| node.view(*first))
    }

    /// The first node that begins at `id` or after.
    pub(super) fn node_from(&self, id: StreamId) -> Option<NodeRef<'_>> {
        if let Some((first, node)) = self.older.range(id..).next() {
            return Some(node.view(*first));
        }
        self.tail.as_ref().filter(|(first, _)| *first >= id).map(|(first, node)| node.view(*first))
    }

    fn node_mut(&mut self, first: StreamId) -> Option<&mut Node> {
        match &mut self.tail {
            Some((tail_first, node)) if *tail_first == first => Some(node),
            _ => self.older.get_mut(&first),
        }
    }

    /// Takes a node out and frees it, or keeps it to be freed in pieces.
    fn remove_node(&mut self, first: StreamId) {
        let node = match self.tail.take() {
            Some((tail_first, node)) if tail_first == first => {
                self.tail = self.older.pop_last();
                Some(node)
            }
            tail => {
                self.tail = tail;
                self.older.remove(&first)
            }
        };
        let Some(node) = node else { return };
        self.bytes -= node.capacity() + NODE_OVERHEAD;
        if node.capacity() > 2 * FREE_PIECE_BYTES {
            self.spent.push(node.into_bytes());
        }
    }

    /// Adds a node whose bytes were checked; nodes come in the order of ids.
    pub(super) fn push_node(&mut self, first: StreamId, bytes: Vec<u8>) {
        let node = Node::from_bytes(bytes);
        self.bytes += node.capacity() + NODE_OVERHEAD;
        if let Some((before, node)) = self.tail.replace((first, node)) {
            self.older.insert(before, node);
        }
    }

    /// What is known of the entries besides themselves: length, first, last and greatest deleted id, entries added.
    pub(super) fn set_header(&mut self, header: Header) {
        self.length = header.length;
        self.first_id = header.first_id;
        self.last_id = header.last_id;
        self.max_deleted_id = header.max_deleted_id;
        self.entries_added = header.entries_added;
    }

    /// All but the nodes.
    pub fn header(&self) -> Header {
        Header {
            length: self.length,
            first_id: self.first_id,
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
        }
    }

    /// Big nodes that were removed, to be freed in pieces. Empty nearly always.
    pub fn take_spent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.spent)
    }

    // --- reading ---

    /// The entry of an id, unless it was deleted.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let node = self.node_until(id)?;
        let mut at = node.begin();
        loop {
            let entry = node.entry(at)?;
            if entry.id >= id {
                return (entry.id == id && !entry.is_deleted()).then_some(entry);
            }
            at = node.after(&entry);
        }
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        Walk::new(StreamId::MIN, StreamId::MAX).next(self)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        Walk::backwards(StreamId::MIN, StreamId::MAX).next(self)
    }

    /// The last entry's id; `0-0` if there is none.
    pub fn top_id(&self) -> StreamId {
        match self.length {
            0 => StreamId::MIN,
            // The last id is nearly always that of an entry.
            _ => self.last().map_or(StreamId::MIN, |entry| entry.id),
        }
    }

    /// No more entries than so many are greater than an id. O(1): exact only for what is empty.
    pub fn newer_than(&self, id: StreamId) -> u64 {
        match &self.tail {
            _ if id >= self.last_id => 0,
            Some((first, node)) if *first <= id => node.counts().0,
            _ => self.length,
        }
    }

    // --- deleting ---

    /// Marks an entry as deleted; false if there is none. A node goes with its last entry. After the last of a
    /// row of deletions call [`Log::delete`].
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(place) = self.get(id).map(|entry| entry.place()) else { return false };
        let Some(first) = self.node_until(id).map(NodeRef::first) else { return false };
        let Some(node) = self.node_mut(first) else { return false };
        let is_last = node.counts().0 <= 1;
        let (before, after) = if is_last {
            (0, 0)
        } else {
            let before = node.capacity();
            node.delete(place);
            (before, node.capacity())
        };
        self.bytes = self.bytes + after - before;
        if is_last {
            self.remove_node(first);
        }
        self.length = self.length.saturating_sub(1);
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Entries were deleted, perhaps the first one: finds the first id again. O(log nodes + one node).
    pub fn find_first(&mut self) {
        self.first_id = match self.length {
            0 => StreamId::MIN,
            _ => self.first().map_or(StreamId::MAX, |entry| entry.id),
        };
    }

    // --- what groups ask ---

    /// Whether an entry from `start` on was deleted by XDEL, as far as can be told.
    pub fn has_tombstones_from(&self, start: StreamId) -> bool {
        self.length > 0
            && !self.max_deleted_id.is_zero()
            && self.first_id <= self.max_deleted_id
            && start <= self.max_deleted_id
    }

    /// How many entries were ever added up to `id`; `None` where that cannot be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<i64> {
        let (added, length) = (self.entries_added as i64, self.length as i64);
        if added == 0 {
            return Some(0);
        }
        if (self.length == 0 && id <= self.last_id) || id == self.last_id {
            return Some(added);
        }
        if id > self.last_id {
            return None;
        }
        let has_gaps = !self.max_deleted_id.is_zero() && self.max_deleted_id >= self.first_id;
        match id.cmp(&self.first_id) {
            _ if has_gaps => None,
            std::cmp::Ordering::Less => Some(added.wrapping_sub(length)),
            std::cmp::Ordering::Equal => Some(added.wrapping_sub(length).wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// Nodes of a compressed radix tree of these sorted keys: one for each key, one for each place where keys part, and one
/// for each run of bytes between those.
fn radix_nodes(keys: impl Iterator<Item = [u8; 16]>) -> usize {
    // A node at `depth` below the place `above` where keys part (or below the root), with the bytes in between.
    let nodes = |above: Option<usize>, depth: usize| {
        1 + usize::from(above.map_or(0, |above| above + 1) < depth)
    };
    // The depths where the last key parts from earlier ones, ascending.
    let mut parted: Vec<usize> = Vec::new();
    let (mut count, mut before): (usize, Option<[u8; 16]>) = (0, None);
    for key in keys {
        if let Some(before) = before {
            let common = key.iter().zip(&before).take_while(|(a, b)| a == b).count();
            let mut below = 16;
            while let Some(&depth) = parted.last()
                && depth > common
            {
                count += nodes(Some(depth), below);
                parted.pop();
                below = depth;
            }
            count += nodes(Some(common), below);
            if parted.last() != Some(&common) {
                parted.push(common);
            }
        }
        before = Some(key);
    }
    let mut below = 16;
    while let Some(depth) = parted.pop() {
        count += nodes(Some(depth), below);
        below = depth;
    }
    count + nodes(None, below)
}

/// [`Log`] without its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Entries.
    pub length: u64,
    /// The first entry's id; `0-0` if there is none.
    pub first_id: StreamId,
    /// The id that the next one must be greater than.
    pub last_id: StreamId,
    /// The greatest id that XDEL has deleted.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// Frees nodes from the front, big ones in pieces.
impl Garbage for Log {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            if let Some(bytes) = self.spent.last_mut() {
                if bytes.free_slice(1).is_done() {
                    self.spent.pop();
                }
            } else if let Some(first) = self.node_from(StreamId::MIN).map(NodeRef::first) {
                self.remove_node(first);
            } else {
                *self = Log::default();
                return Progress::Done;
            }
        }
        Progress::More
    }
}
