//! How a counted tree makes room and closes gaps.
//!
//! Room: a full leaf shares with a neighbour under the same parent; where both are nearly full too, or elements arrive
//! in order at an end, the lowest node whose parent has room is split, and the insertion starts again from the root.
//! Gaps: a leaf or node that has become small is merged with a neighbour if both fit into one with room to spare.
use super::node::{Child, INNER_MAX, Inner, LEAF_MAX, Leaf, NONE};
use super::{CountedTree, Path, Step};

/// A leaf with at most so many elements takes some from a full neighbour.
const SHARE_MAX: usize = LEAF_MAX - 10;
/// A leaf with fewer elements is merged with a neighbour …
const LEAF_LOW: usize = LEAF_MAX * 2 / 3;
/// … if both have at most so many.
const LEAF_MERGED_MAX: usize = LEAF_MAX - 8;
/// The same for inner nodes.
const INNER_LOW: usize = INNER_MAX / 4;
const INNER_MERGED_MAX: usize = INNER_MAX - 16;

/// Where a node is split.
#[derive(Clone, Copy)]
enum Cut {
    /// All but the last stay: elements arrive in order.
    Last,
    /// The first stays: elements arrive in reverse order.
    First,
    Middle,
}

impl Cut {
    fn kept(self, len: usize) -> usize {
        match self {
            Cut::Last => len - 1,
            Cut::First => 1,
            Cut::Middle => len / 2,
        }
    }
}

impl CountedTree {
    /// Does something towards room in the leaf a path leads to; the path is void afterwards.
    #[cold]
    pub(super) fn make_room(&mut self, path: &Path) {
        let leaf = self.leaf(path.leaf);
        let cut = if path.at == leaf.len() && leaf.next == NONE {
            Cut::Last
        } else if path.at == 0 && leaf.previous == NONE {
            Cut::First
        } else {
            Cut::Middle
        };
        if matches!(cut, Cut::Middle) && self.share(path) {
            return;
        }
        let is_full = |step: &Step| self.inner(step.inner).is_full();
        // The child of this step is split: its parent has room.
        match path.steps().iter().rposition(|step| !is_full(step)) {
            Some(level) if level + 1 == path.depth => self.split_leaf(path.steps[level], cut),
            Some(level) => self.split_inner(path.steps[level], cut),
            None => self.add_root(),
        }
    }

    /// A root above the root.
    fn add_root(&mut self) {
        let first = match self.height {
            0 => self.leaf(self.root).get(0),
            _ => self.inner(self.root).first(),
        };
        let mut root = Inner::EMPTY;
        root.insert(0, Child { first, node: self.root, count: self.len as u32 });
        self.root = self.inners.add(root);
        self.height += 1;
    }

    fn split_leaf(&mut self, Step { inner, slot }: Step, cut: Cut) {
        let at = self.inner(inner).children[slot];
        let Some(leaf) = self.leaves.get_mut(at) else { return };
        let mut right = Leaf::EMPTY;
        leaf.shift_right(&mut right, cut.kept(LEAF_MAX));
        (right.previous, right.next) = (at, leaf.next);
        let (next, first, count) = (leaf.next, right.get(0), right.len() as u32);
        let node = self.leaves.add(right);
        if let Some(leaf) = self.leaves.get_mut(at) {
            leaf.next = node;
        }
        if let Some(leaf) = self.leaves.get_mut(next) {
            leaf.previous = node;
        }
        self.insert_child(inner, slot, Child { first, node, count });
    }

    fn split_inner(&mut self, Step { inner, slot }: Step, cut: Cut) {
        let at = self.inner(inner).children[slot];
        let Some(node) = self.inners.get_mut(at) else { return };
        let mut right = Inner::EMPTY;
        let kept = cut.kept(node.len());
        node.move_to_end(&mut right, kept);
        let (first, count) = (right.first(), right.count());
        let node = self.inners.add(right);
        self.insert_child(inner, slot, Child { first, node, count });
    }

    /// Adds a child behind that at `slot`, which it was split from.
    fn insert_child(&mut self, inner: u32, slot: usize, child: Child) {
        if let Some(parent) = self.inners.get_mut(inner) {
            parent.counts[slot] -= child.count;
            parent.insert(slot + 1, child);
        }
    }

    /// Gives some elements of a full leaf to the emptier one of its neighbours, if that has room.
    fn share(&mut self, path: &Path) -> bool {
        let Some(&Step { inner, slot }) = path.steps().last() else { return false };
        let parent = self.inner(inner);
        let neighbours = [slot.wrapping_sub(1), slot + 1];
        let with_room = neighbours
            .into_iter()
            .filter(|&other| other < parent.len() && parent.counts[other] as usize <= SHARE_MAX);
        let Some(other) = with_room.min_by_key(|&other| parent.counts[other]) else { return false };
        let (left, right) = (slot.min(other), slot.max(other));
        let (left_leaf, right_leaf) = (parent.children[left], parent.children[right]);
        let moved = (LEAF_MAX - parent.counts[other] as usize) / 2;
        let Some(mut taken) = self.leaves.take(right_leaf) else { return false };
        if let Some(leaf) = self.leaves.get_mut(left_leaf) {
            if other == right {
                leaf.shift_right(&mut taken, LEAF_MAX - moved);
            } else {
                leaf.shift_left(&mut taken, moved);
            }
        }
        let first = taken.get(0);
        self.leaves.put_back(right_leaf, taken);
        if let Some(parent) = self.inners.get_mut(inner) {
            parent.counts[other] += moved as u32;
            parent.counts[slot] -= moved as u32;
            parent.set_first(right, first);
        }
        true
    }

    /// Takes out the element a path leads to; the path is void afterwards.
    pub(super) fn remove_at(&mut self, path: &Path) {
        let Some(leaf) = self.leaves.get_mut(path.leaf) else { return };
        leaf.remove(path.at);
        let left = leaf.len();
        self.len -= 1;
        for step in path.steps() {
            if let Some(inner) = self.inners.get_mut(step.inner) {
                inner.counts[step.slot] -= 1;
            }
        }
        if left > 0 {
            self.refresh_first(path);
        }
        if left < LEAF_LOW {
            self.close_gaps(path, left);
        }
    }

    /// A leaf has become small.
    fn close_gaps(&mut self, path: &Path, left: usize) {
        if self.len == 0 {
            *self = CountedTree::new();
            return;
        }
        let Some(&Step { inner, slot }) = path.steps().last() else { return };
        let parent = self.inner(inner);
        let fits = |other: usize| {
            let is_there = other < parent.len();
            is_there && (left == 0 || parent.counts[other] as usize + left <= LEAF_MERGED_MAX)
        };
        if fits(slot + 1) {
            self.merge_leaves(inner, slot);
            if path.at == 0 || left == 0 {
                let first = self.leaf(path.leaf).get(0);
                self.refresh_above(path.steps(), first);
            }
        } else if slot > 0 && fits(slot - 1) {
            self.merge_leaves(inner, slot - 1);
        } else if left == 0 {
            self.unlink(path.leaf);
            self.remove_child(path.steps(), slot);
            return;
        } else {
            return;
        }
        self.close_inner_gaps(path.steps());
    }

    /// Moves what is in the leaf behind the one at `slot` into that one.
    fn merge_leaves(&mut self, inner: u32, slot: usize) {
        let parent = self.inner(inner);
        let (left, right) = (parent.children[slot], parent.children[slot + 1]);
        let Some(mut gone) = self.leaves.take(right) else { return };
        if let Some(leaf) = self.leaves.get_mut(left) {
            let count = gone.len();
            leaf.shift_left(&mut gone, count);
        }
        self.leaves.put_back(right, gone);
        self.unlink(right);
        if let Some(parent) = self.inners.get_mut(inner) {
            parent.counts[slot] += parent.counts[slot + 1];
            parent.remove(slot + 1);
        }
    }

    /// Takes an empty leaf out of its row.
    fn unlink(&mut self, at: u32) {
        let (previous, next) = (self.leaf(at).previous, self.leaf(at).next);
        if let Some(leaf) = self.leaves.get_mut(previous) {
            leaf.next = next;
        }
        if let Some(leaf) = self.leaves.get_mut(next) {
            leaf.previous = previous;
        }
        self.leaves.remove(at);
    }

    /// The last node of these steps loses a child that holds nothing any more; one without children goes itself.
    fn remove_child(&mut self, steps: &[Step], slot: usize) {
        let (mut steps, mut slot) = (steps, slot);
        while let Some((&Step { inner, .. }, above)) = steps.split_last() {
            let Some(node) = self.inners.get_mut(inner) else { return };
            node.remove(slot);
            if node.len() > 0 {
                if slot == 0 {
                    let first = node.first();
                    self.refresh_above(above, first);
                }
                break;
            }
            self.inners.remove(inner);
            slot = above.last().map_or(0, |step| step.slot);
            steps = above;
        }
        self.close_inner_gaps(steps);
    }

    /// The last node of these steps has lost a child: it may be merged with a neighbour, and so on upwards.
    fn close_inner_gaps(&mut self, steps: &[Step]) {
        let mut steps = steps;
        while let Some((&Step { inner: at, .. }, above)) = steps.split_last() {
            let len = self.inner(at).len();
            let Some(&Step { inner, slot }) = above.last() else { break };
            if len >= INNER_LOW {
                return;
            }
            let parent = self.inner(inner);
            let fits = |other: usize| {
                other < parent.len()
                    && self.inner(parent.children[other]).len() + len <= INNER_MERGED_MAX
            };
            if fits(slot + 1) {
                self.merge_inners(inner, slot);
            } else if slot > 0 && fits(slot - 1) {
                self.merge_inners(inner, slot - 1);
            } else {
                return;
            }
            steps = above;
        }
        self.lower();
    }

    fn merge_inners(&mut self, inner: u32, slot: usize) {
        let parent = self.inner(inner);
        let (left, right) = (parent.children[slot], parent.children[slot + 1]);
        let Some(mut gone) = self.inners.take(right) else { return };
        if let Some(node) = self.inners.get_mut(left) {
            gone.move_to_end(node, 0);
        }
        self.inners.put_back(right, gone);
        self.inners.remove(right);
        if let Some(parent) = self.inners.get_mut(inner) {
            parent.counts[slot] += parent.counts[slot + 1];
            parent.remove(slot + 1);
        }
    }

    /// A root with a single child goes.
    fn lower(&mut self) {
        while self.height > 0 && self.inner(self.root).len() == 1 {
            let child = self.inner(self.root).children[0];
            self.inners.remove(self.root);
            self.root = child;
            self.height -= 1;
        }
        if self.height == 0 {
            self.shrink_to_leaf();
        }
    }

    /// One leaf holds all: what was kept for many goes.
    fn shrink_to_leaf(&mut self) {
        let Some(leaf) = self.leaves.take(self.root) else { return };
        let len = self.len;
        *self = CountedTree::new();
        self.root = self.leaves.add(*leaf);
        self.len = len;
    }
}
