//! The nodes between the first and the last of a long list: a tree of fixed height with counts.
//!
//! ```text
//!   Sequence      any number of branches            each group knows how many nodes and how many elements
//!     Group         up to 128 leaves                are below it, so the node that holds the element at an
//!       Group         up to 128 nodes               index is found by adding up: at most 128 + 128 + branches
//!         Node          its elements                sums, where a branch is up to 16 384 nodes
//! ```
//!
//! Up to 128 nodes are one group. Beyond, the height is fixed, so it is plain nesting of one type; a node is the
//! lowest level ([`Level`]). What grows is split: at its end where that is where it grew (a list that grows at its
//! ends has full groups), else in the middle. No operation moves more than two groups, so nothing stalls, however
//! long the list is.
use std::collections::VecDeque;

/// Parts of a group at most.
const PARTS_MAX: usize = 128;

/// What a sequence is made of: nodes, and groups of them.
pub trait Level: Sized {
    /// The lowest level.
    type Node;

    /// Nodes in it. O(1).
    fn nodes(&self) -> usize;

    /// Elements in all its nodes. O(1).
    fn elements(&self) -> usize;

    /// A level that holds one node.
    fn of(node: Self::Node) -> Self;

    /// The node at a place.
    fn node(&self, at: usize) -> Option<&Self::Node>;

    /// Place of the node that holds element `index`, and which of its elements that is. `index` is below
    /// [`Level::elements`].
    fn seek(&self, index: usize) -> (usize, usize);

    /// Changes a node, which may change the number of its elements.
    fn change<R>(&mut self, at: usize, edit: impl FnOnce(&mut Self::Node) -> R) -> Option<R>;

    /// Puts a node at a place, those from there on behind it. What overflows is given back: it belongs right behind.
    fn insert(&mut self, at: usize, node: Self::Node) -> Option<Self>;

    /// Takes a node out; there must be others.
    fn remove(&mut self, at: usize) -> Option<Self::Node>;

    /// The node of a level that has one.
    fn into_only(self) -> Option<Self::Node>;

    /// Takes over what follows if both are small; else gives it back.
    fn absorb(&mut self, next: Self) -> Option<Self>;
}

/// Parts one after the other.
#[derive(Debug)]
pub struct Group<T, const MAX: usize = PARTS_MAX> {
    parts: VecDeque<T>,
    nodes: usize,
    elements: usize,
}

/// As many nodes as fit into one group, or a tree of them.
#[derive(Debug)]
pub enum Sequence<N> {
    /// At most one group.
    Flat(Group<N>),
    /// Any number. It stays one.
    Tree(Group<Group<Group<N>>, { usize::MAX }>),
}

impl<T, const MAX: usize> Default for Group<T, MAX> {
    fn default() -> Self {
        Group { parts: VecDeque::new(), nodes: 0, elements: 0 }
    }
}

impl<T: Level, const MAX: usize> Group<T, MAX> {
    /// The part that holds node `at`, and the nodes before that part. Searched from the nearer end.
    fn part_of(&self, at: usize) -> Option<(usize, usize)> {
        if at >= self.nodes {
            return None;
        }
        if at < self.nodes / 2 {
            let mut before = 0;
            for (place, part) in self.parts.iter().enumerate() {
                if at < before + part.nodes() {
                    return Some((place, before));
                }
                before += part.nodes();
            }
            return None;
        }
        let mut before = self.nodes;
        for (place, part) in self.parts.iter().enumerate().rev() {
            before -= part.nodes();
            if at >= before {
                return Some((place, before));
            }
        }
        None
    }

    fn recount(parts: VecDeque<T>) -> Self {
        let nodes = parts.iter().map(T::nodes).sum();
        let elements = parts.iter().map(T::elements).sum();
        Group { parts, nodes, elements }
    }

    /// Puts a part at a place, or splits where there is no room.
    fn insert_part(&mut self, place: usize, part: T) -> Option<Self> {
        if self.parts.len() < MAX {
            self.parts.insert(place, part);
            return None;
        }
        // Who appends or prepends leaves a full group behind.
        let cut = match place {
            place if place >= self.parts.len() => self.parts.len(),
            0 | 1 => 1,
            _ => self.parts.len() / 2,
        };
        let mut behind = self.parts.split_off(cut);
        if place > cut || behind.is_empty() {
            behind.insert(place - cut, part);
        } else {
            self.parts.insert(place, part);
        }
        let behind = Self::recount(behind);
        *self = Self::recount(std::mem::take(&mut self.parts));
        Some(behind)
    }

    /// Joins the part at a place and the one behind it, if they are small.
    fn join(&mut self, place: usize) {
        if place + 1 >= self.parts.len() {
            return;
        }
        let Some(next) = self.parts.remove(place + 1) else { return };
        if let Some(part) = self.parts.get_mut(place)
            && let Some(next) = part.absorb(next)
        {
            self.parts.insert(place + 1, next);
        }
    }

    /// Gives back room that is not needed.
    fn shrink(&mut self) {
        if self.parts.capacity() >= 16 && self.parts.len() < self.parts.capacity() / 4 {
            self.parts.shrink_to(self.parts.capacity() / 2);
        }
    }
}

impl<T: Level, const MAX: usize> Level for Group<T, MAX> {
    type Node = T::Node;

    #[inline]
    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline]
    fn elements(&self) -> usize {
        self.elements
    }

    fn of(node: T::Node) -> Self {
        let mut parts = VecDeque::with_capacity(1);
        parts.push_back(T::of(node));
        Self::recount(parts)
    }

    fn node(&self, at: usize) -> Option<&T::Node> {
        let (place, before) = self.part_of(at)?;
        self.parts.get(place)?.node(at - before)
    }

    fn seek(&self, index: usize) -> (usize, usize) {
        debug_assert!(index < self.elements);
        if index < self.elements / 2 {
            let (mut nodes, mut elements) = (0, 0);
            for part in &self.parts {
                if index < elements + part.elements() {
                    let (node, rest) = part.seek(index - elements);
                    return (nodes + node, rest);
                }
                nodes += part.nodes();
                elements += part.elements();
            }
            return (nodes, 0);
        }
        let (mut nodes, mut elements) = (self.nodes, self.elements);
        for part in self.parts.iter().rev() {
            nodes -= part.nodes();
            elements -= part.elements();
            if index >= elements {
                let (node, rest) = part.seek(index - elements);
                return (nodes + node, rest);
            }
        }
        (0, 0)
    }

    fn change<R>(&mut self, at: usize, edit: impl FnOnce(&mut T::Node) -> R) -> Option<R> {
        let (place, before) = self.part_of(at)?;
        let part = self.parts.get_mut(place)?;
        let elements = part.elements();
        let result = part.change(at - before, edit);
        self.elements = self.elements - elements + part.elements();
        result
    }

    fn insert(&mut self, at: usize, node: T::Node) -> Option<Self> {
        // Between two parts the node goes to the end of the first one.
        let Some((place, before)) = self.part_of(at.saturating_sub(1)) else {
            debug_assert!(self.parts.is_empty());
            *self = Self::of(node);
            return None;
        };
        let part = self.parts.get_mut(place)?;
        let elements = part.elements();
        let overflow = part.insert(at - before, node);
        let grown = part.elements() + overflow.as_ref().map_or(0, T::elements);
        self.nodes += 1;
        self.elements = self.elements - elements + grown;
        self.insert_part(place + 1, overflow?)
    }

    fn remove(&mut self, at: usize) -> Option<T::Node> {
        let (place, before) = self.part_of(at)?;
        let part = self.parts.get_mut(place)?;
        let elements = part.elements();
        let removed = if part.nodes() == 1 {
            let node = self.parts.remove(place)?.into_only();
            self.elements -= elements;
            node
        } else {
            let node = part.remove(at - before);
            self.elements = self.elements - elements + part.elements();
            self.join(place);
            node
        };
        self.nodes -= 1;
        self.shrink();
        removed
    }

    fn into_only(mut self) -> Option<T::Node> {
        self.parts.pop_front().and_then(T::into_only)
    }

    fn absorb(&mut self, next: Self) -> Option<Self> {
        if self.parts.len() + next.parts.len() > MAX / 2 {
            return Some(next);
        }
        self.nodes += next.nodes;
        self.elements += next.elements;
        self.parts.extend(next.parts);
        None
    }
}

impl<N> Default for Sequence<N> {
    fn default() -> Self {
        Sequence::Flat(Group::default())
    }
}

impl<N: Level<Node = N>> Sequence<N> {
    /// Nodes in it. O(1).
    #[inline]
    pub fn nodes(&self) -> usize {
        match self {
            Sequence::Flat(group) => group.nodes,
            Sequence::Tree(tree) => tree.nodes,
        }
    }

    /// Elements in all its nodes. O(1).
    #[inline]
    pub fn elements(&self) -> usize {
        match self {
            Sequence::Flat(group) => group.elements,
            Sequence::Tree(tree) => tree.elements,
        }
    }

    /// Memory its groups take beyond the nodes themselves, in bytes; roughly, for a tree. O(1).
    pub fn bytes(&self) -> usize {
        match self {
            Sequence::Flat(group) => group.parts.capacity() * size_of::<N>(),
            Sequence::Tree(tree) => {
                let leaves = tree.nodes.div_ceil(PARTS_MAX / 2);
                tree.nodes * size_of::<N>() + leaves * size_of::<Group<N>>()
            }
        }
    }

    /// The node at a place.
    pub fn node(&self, at: usize) -> Option<&N> {
        match self {
            Sequence::Flat(group) => group.node(at),
            Sequence::Tree(tree) => tree.node(at),
        }
    }

    /// Place of the node that holds element `index`, and which of its elements that is. `index` is below
    /// [`Sequence::elements`].
    pub fn seek(&self, index: usize) -> (usize, usize) {
        match self {
            Sequence::Flat(group) => group.seek(index),
            Sequence::Tree(tree) => tree.seek(index),
        }
    }

    /// Changes a node, which may change the number of its elements.
    pub fn change<R>(&mut self, at: usize, edit: impl FnOnce(&mut N) -> R) -> Option<R> {
        match self {
            Sequence::Flat(group) => group.change(at, edit),
            Sequence::Tree(tree) => tree.change(at, edit),
        }
    }

    /// Puts a node at a place.
    pub fn put(&mut self, at: usize, node: N) {
        let at = at.min(self.nodes());
        match self {
            Sequence::Flat(group) => {
                if let Some(behind) = group.insert(at, node) {
                    let leaves = VecDeque::from([std::mem::take(group), behind]);
                    let branches = VecDeque::from([Group::recount(leaves)]);
                    *self = Sequence::Tree(Group::recount(branches));
                }
            }
            Sequence::Tree(tree) => {
                let overflow = tree.insert(at, node);
                debug_assert!(overflow.is_none(), "the top takes any number");
            }
        }
    }

    /// Takes the node at a place.
    pub fn take(&mut self, at: usize) -> Option<N> {
        match self {
            Sequence::Flat(group) => group.remove(at),
            Sequence::Tree(tree) => tree.remove(at),
        }
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
