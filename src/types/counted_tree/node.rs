//! The nodes of a counted tree, and the slab they live in.
//!
//! ```text
//!   leaf   [scores: 64 × f64][ids: 64 × u32][len][previous leaf][next leaf]
//!   inner  [first score and id of each child: 64 × (f64, u32)][children: 64 × u32][elements below: 64 × u32][len]
//! ```
//!
//! Links are numbers of slots, so a tree is plain data. A number that is no node reads as an empty one, and nothing
//! here can panic. Scores lie apart from ids, since most comparisons need no more than scores.
use crate::base::memory::allocation_bytes;

/// Elements of a leaf.
pub(super) const LEAF_MAX: usize = 64;
/// Children of an inner node.
pub(super) const INNER_MAX: usize = 64;
/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// Elements in order.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) scores: [f64; LEAF_MAX],
    pub(super) ids: [u32; LEAF_MAX],
    len: u32,
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Leaf {
    pub(super) const EMPTY: Leaf =
        Leaf { scores: [0.0; LEAF_MAX], ids: [0; LEAF_MAX], len: 0, previous: NONE, next: NONE };

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() == LEAF_MAX
    }

    /// An element; a place beyond the last reads as some old one.
    #[inline]
    pub(super) fn get(&self, at: usize) -> (f64, u32) {
        let at = at.min(LEAF_MAX - 1);
        (self.scores[at], self.ids[at])
    }

    /// Puts an element before that at `at`. There must be room.
    pub(super) fn insert(&mut self, at: usize, (score, id): (f64, u32)) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.ids.copy_within(at..len, at + 1);
        self.scores[at] = score;
        self.ids[at] = id;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.ids.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Moves the elements from `from` on to the front of `right`, the node after it.
    pub(super) fn shift_right(&mut self, right: &mut Leaf, from: usize) {
        let (moved, kept) = (self.len() - from, right.len());
        right.scores.copy_within(..kept, moved);
        right.ids.copy_within(..kept, moved);
        right.scores[..moved].copy_from_slice(&self.scores[from..from + moved]);
        right.ids[..moved].copy_from_slice(&self.ids[from..from + moved]);
        right.len += moved as u32;
        self.len = from as u32;
    }

    /// Moves the first `count` elements of `right` to the end.
    pub(super) fn shift_left(&mut self, right: &mut Leaf, count: usize) {
        let (len, kept) = (self.len(), right.len());
        self.scores[len..len + count].copy_from_slice(&right.scores[..count]);
        self.ids[len..len + count].copy_from_slice(&right.ids[..count]);
        right.scores.copy_within(count..kept, 0);
        right.ids.copy_within(count..kept, 0);
        self.len += count as u32;
        right.len -= count as u32;
    }
}

/// Subtrees in order, each with its first element and its number of elements.
#[derive(Clone)]
pub(super) struct Inner {
    pub(super) scores: [f64; INNER_MAX],
    pub(super) ids: [u32; INNER_MAX],
    pub(super) children: [u32; INNER_MAX],
    pub(super) counts: [u32; INNER_MAX],
    len: u32,
}

/// A child of an inner node.
#[derive(Clone, Copy)]
pub(super) struct Child {
    pub(super) first: (f64, u32),
    pub(super) node: u32,
    pub(super) count: u32,
}

impl Inner {
    pub(super) const EMPTY: Inner = Inner {
        scores: [0.0; INNER_MAX],
        ids: [0; INNER_MAX],
        children: [NONE; INNER_MAX],
        counts: [0; INNER_MAX],
        len: 0,
    };

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() == INNER_MAX
    }

    /// First element of the subtree.
    #[inline]
    pub(super) fn first(&self) -> (f64, u32) {
        (self.scores[0], self.ids[0])
    }

    /// Number of elements in the subtree.
    pub(super) fn count(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }

    #[inline]
    pub(super) fn set_first(&mut self, slot: usize, (score, id): (f64, u32)) {
        self.scores[slot] = score;
        self.ids[slot] = id;
    }

    /// Puts a child before that at `slot`. There must be room.
    pub(super) fn insert(&mut self, slot: usize, child: Child) {
        let len = self.len();
        self.scores.copy_within(slot..len, slot + 1);
        self.ids.copy_within(slot..len, slot + 1);
        self.children.copy_within(slot..len, slot + 1);
        self.counts.copy_within(slot..len, slot + 1);
        self.set_first(slot, child.first);
        self.children[slot] = child.node;
        self.counts[slot] = child.count;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, slot: usize) {
        let len = self.len();
        self.scores.copy_within(slot + 1..len, slot);
        self.ids.copy_within(slot + 1..len, slot);
        self.children.copy_within(slot + 1..len, slot);
        self.counts.copy_within(slot + 1..len, slot);
        self.len -= 1;
    }

    /// Moves the children from `from` on to the end of `target`.
    pub(super) fn move_to_end(&mut self, target: &mut Inner, from: usize) {
        let (at, end) = (target.len(), self.len());
        let moved = end - from;
        target.scores[at..at + moved].copy_from_slice(&self.scores[from..end]);
        target.ids[at..at + moved].copy_from_slice(&self.ids[from..end]);
        target.children[at..at + moved].copy_from_slice(&self.children[from..end]);
        target.counts[at..at + moved].copy_from_slice(&self.counts[from..end]);
        target.len += moved as u32;
        self.len = from as u32;
    }
}

/// Nodes by number, the numbers used again.
#[derive(Clone)]
pub(super) struct Slab<T> {
    nodes: Vec<Option<Box<T>>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab { nodes: Vec::new(), free: Vec::new() }
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.nodes.get(at as usize).and_then(Option::as_deref)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.nodes.get_mut(at as usize).and_then(Option::as_deref_mut)
    }

    pub(super) fn add(&mut self, node: T) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = Some(Box::new(node));
            return at;
        }
        self.nodes.push(Some(Box::new(node)));
        self.nodes.len() as u32 - 1
    }

    /// Takes a node out for good, or for a moment: [`Slab::put_back`].
    #[inline]
    pub(super) fn take(&mut self, at: u32) -> Option<Box<T>> {
        self.nodes.get_mut(at as usize).and_then(Option::take)
    }

    #[inline]
    pub(super) fn put_back(&mut self, at: u32, node: Box<T>) {
        if let Some(slot) = self.nodes.get_mut(at as usize) {
            *slot = Some(node);
        }
    }

    pub(super) fn remove(&mut self, at: u32) {
        if self.take(at).is_some() {
            self.free.push(at);
        }
    }

    /// Nodes in use.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Frees up to `units` nodes of a slab nobody will use again; true when none is left.
    pub(super) fn free_slice(&mut self, units: usize) -> bool {
        self.nodes.truncate(self.nodes.len().saturating_sub(units));
        if self.nodes.is_empty() {
            *self = Slab::new();
        }
        self.nodes.is_empty()
    }

    /// Memory it takes. O(1).
    pub(super) fn bytes(&self) -> usize {
        self.len() * allocation_bytes(size_of::<T>())
            + allocation_bytes(self.nodes.capacity() * size_of::<Option<Box<T>>>())
            + allocation_bytes(self.free.capacity() * size_of::<u32>())
    }
}
