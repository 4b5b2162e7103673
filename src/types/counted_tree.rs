//! The order of a big sorted set: a B+tree of scores and member ids that counts.
//!
//! ```text
//!   inner   ┌ first score, first id, child, elements below ┐ × up to 64      (the root; none where one leaf holds all)
//!   leaf    [scores][ids] ⇄ [scores][ids] ⇄ …                                64 elements each, linked both ways
//! ```
//!
//! Elements are ordered by score, then by the bytes of the member, which the tree does not have: who calls hands it
//! [`Names`], and they are asked only where scores are equal. Inner nodes know how many elements are below each child,
//! so the rank of an element and the element of a rank take as many steps as the tree is high: three for a million.
//!
//! A full leaf gives elements to a neighbour before it is split, and elements that arrive in order at either end leave
//! full leaves behind. So leaves are four fifths full, and an element takes 15 bytes here; a skip list takes 40.
//!
//! Promise: safe Rust, no recursion, no step longer than some nodes' worth of moves (a directory of pointers grows by
//! doubling: 8 bytes per 50 elements). [`Position`]s and ranks stay valid until the next change.
use std::cmp::Ordering;
use std::ops::Range;

use crate::base::pieces::{Garbage, Progress};

mod balance;
mod node;

use node::{Inner, Leaf, NONE, Slab};

/// Levels above the leaves, at most: a node but those at the right edge has at least some 15 children.
const HEIGHT_MAX: usize = 16;

static NO_LEAF: Leaf = Leaf::EMPTY;
static NO_INNER: Inner = Inner::EMPTY;

/// The names of members by their ids, which are the tree's elements.
pub trait Names {
    /// The name of a member that is in the tree. O(1).
    fn name(&self, id: u32) -> &[u8];
}

/// What elements are compared with: a score and a name.
#[derive(Clone, Copy, Debug)]
pub struct Target<'n> {
    /// Not a NaN.
    pub score: f64,
    /// The member.
    pub name: &'n [u8],
}

/// A place in the tree, until its next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    leaf: u32,
    at: u32,
}

/// The way from the root to a place in a leaf.
#[derive(Clone, Copy)]
struct Path {
    steps: [Step; HEIGHT_MAX],
    depth: usize,
    leaf: u32,
    at: usize,
}

#[derive(Clone, Copy)]
struct Step {
    inner: u32,
    slot: usize,
}

impl Path {
    #[inline]
    fn steps(&self) -> &[Step] {
        &self.steps[..self.depth]
    }
}

/// The tree. See the head of the file.
#[derive(Clone)]
pub struct CountedTree {
    leaves: Slab<Leaf>,
    inners: Slab<Inner>,
    /// A leaf where `height` is 0; [`NONE`]: the tree is empty.
    root: u32,
    /// Levels of inner nodes.
    height: usize,
    len: usize,
}

impl Default for CountedTree {
    fn default() -> CountedTree {
        CountedTree::new()
    }
}

impl std::fmt::Debug for CountedTree {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (len, height) = (self.len, self.height);
        out.debug_struct("CountedTree").field("len", &len).field("height", &height).finish()
    }
}

impl CountedTree {
    /// With no element; allocates nothing.
    #[must_use]
    pub const fn new() -> CountedTree {
        CountedTree { leaves: Slab::new(), inners: Slab::new(), root: NONE, height: 0, len: 0 }
    }

    /// Number of elements.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory of all nodes. O(1).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.leaves.bytes() + self.inners.bytes()
    }

    // --- changes ---

    /// Adds an element that is not there yet. O(log n).
    pub fn insert(&mut self, target: Target<'_>, id: u32, names: &impl Names) {
        self.begin();
        loop {
            let path = self.path_to(target, names);
            if self.put(&path, (target.score, id)) {
                return;
            }
            self.make_room(&path);
        }
    }

    /// Adds an element that comes after all others, without comparing. Leaves full leaves behind: for building a tree
    /// in order.
    pub fn push_last(&mut self, score: f64, id: u32) {
        self.begin();
        loop {
            let path = self.path_to_end();
            if self.put(&path, (score, id)) {
                return;
            }
            self.make_room(&path);
        }
    }

    /// Takes an element out; gives its id, `None` where it is not there. O(log n).
    pub fn remove(&mut self, target: Target<'_>, names: &impl Names) -> Option<u32> {
        let (path, id) = self.find(target, names)?;
        self.remove_at(&path);
        Some(id)
    }

    /// Takes the element of a rank out. O(log n), without comparing.
    pub fn remove_rank(&mut self, rank: usize) -> Option<(f64, u32)> {
        let path = self.path_to_rank(rank)?;
        let element = self.leaf(path.leaf).get(path.at);
        self.remove_at(&path);
        Some(element)
    }

    /// Gives an element another score; false where it is not there. Where it stays between its neighbours nothing
    /// moves.
    pub fn update(&mut self, target: Target<'_>, score: f64, names: &impl Names) -> bool {
        let Some((path, id)) = self.find(target, names) else { return false };
        let moved = Target { score, ..target };
        if self.fits(&path, moved, names) {
            if let Some(leaf) = self.leaves.get_mut(path.leaf) {
                leaf.scores[path.at] = score;
            }
            self.refresh_first(&path);
        } else {
            self.remove_at(&path);
            self.insert(moved, id, names);
        }
        true
    }

    /// An element has another id now. `names` must know the member by both.
    pub fn replace_id(&mut self, target: Target<'_>, id: u32, names: &impl Names) -> bool {
        let Some((path, _)) = self.find(target, names) else { return false };
        if let Some(leaf) = self.leaves.get_mut(path.leaf) {
            leaf.ids[path.at] = id;
        }
        self.refresh_first(&path);
        true
    }

    // --- places ---

    /// How many elements come before this one; `None` where it is not there. O(log n).
    #[must_use]
    pub fn rank(&self, target: Target<'_>, names: &impl Names) -> Option<usize> {
        let (path, _) = self.find(target, names)?;
        let before = |step: &Step| {
            let counts = &self.inner(step.inner).counts[..step.slot];
            counts.iter().map(|&count| count as usize).sum::<usize>()
        };
        Some(path.steps().iter().map(before).sum::<usize>() + path.at)
    }

    /// How many elements from the front on `is_before` holds for: from some place on it must not. O(log n) questions.
    pub fn count_while(&self, mut is_before: impl FnMut(f64, u32) -> bool) -> usize {
        let (mut node, mut rank) = (self.root, 0);
        for _ in 0..self.height {
            let inner = self.inner(node);
            let holds = |slot: usize| is_before(inner.scores[slot], inner.ids[slot]);
            let slot = partition(inner.len(), holds).saturating_sub(1);
            rank += inner.counts[..slot].iter().map(|&count| count as usize).sum::<usize>();
            node = inner.children[slot];
        }
        let leaf = self.leaf(node);
        rank + partition(leaf.len(), |at| is_before(leaf.scores[at], leaf.ids[at]))
    }

    /// The place of a rank. O(log n), without comparing.
    #[must_use]
    pub fn select(&self, rank: usize) -> Option<Position> {
        let path = self.path_to_rank(rank)?;
        Some(Position { leaf: path.leaf, at: path.at as u32 })
    }

    /// The element at a place.
    #[inline]
    #[must_use]
    pub fn get(&self, position: Position) -> (f64, u32) {
        self.leaf(position.leaf).get(position.at as usize)
    }

    /// The place after this one. O(1).
    #[inline]
    #[must_use]
    pub fn next(&self, position: Position) -> Option<Position> {
        let leaf = self.leaf(position.leaf);
        if position.at as usize + 1 < leaf.len() {
            return Some(Position { at: position.at + 1, ..position });
        }
        (leaf.next != NONE).then_some(Position { leaf: leaf.next, at: 0 })
    }

    /// The place before this one. O(1).
    #[inline]
    #[must_use]
    pub fn previous(&self, position: Position) -> Option<Position> {
        if position.at > 0 {
            return Some(Position { at: position.at - 1, ..position });
        }
        let leaf = self.leaf(position.leaf).previous;
        let last = self.leaf(leaf).len().checked_sub(1)?;
        Some(Position { leaf, at: last as u32 })
    }

    /// The elements of these ranks in order, from both ends. O(log n) to begin at either end, O(1) each.
    #[must_use]
    pub fn range(&self, ranks: Range<usize>) -> Elements<'_> {
        let ranks = ranks.start..ranks.end.min(self.len);
        let (front, back) = (Place::Rank(ranks.start), Place::Rank(ranks.end.saturating_sub(1)));
        Elements { tree: self, left: ranks.len(), front, back }
    }

    // --- inside ---

    #[inline]
    fn leaf(&self, at: u32) -> &Leaf {
        self.leaves.get(at).unwrap_or(&NO_LEAF)
    }

    #[inline]
    fn inner(&self, at: u32) -> &Inner {
        self.inners.get(at).unwrap_or(&NO_INNER)
    }

    /// Makes sure of a root.
    #[inline]
    fn begin(&mut self) {
        if self.root == NONE {
            self.root = self.leaves.add(Leaf::EMPTY);
        }
    }

    /// Puts an element where a path leads, if the leaf has room.
    #[inline]
    fn put(&mut self, path: &Path, element: (f64, u32)) -> bool {
        let Some(leaf) = self.leaves.get_mut(path.leaf) else { return false };
        if leaf.is_full() {
            return false;
        }
        leaf.insert(path.at, element);
        self.len += 1;
        for step in path.steps() {
            if let Some(inner) = self.inners.get_mut(step.inner) {
                inner.counts[step.slot] += 1;
            }
        }
        self.refresh_first(path);
        true
    }

    /// Tells the inner nodes on a path what is now first in its leaf.
    #[inline]
    fn refresh_first(&mut self, path: &Path) {
        if path.at > 0 {
            return;
        }
        let first = self.leaf(path.leaf).get(0);
        self.refresh_above(path.steps(), first);
    }

    /// Tells the inner nodes on these steps what is now first below the last of them.
    fn refresh_above(&mut self, steps: &[Step], first: (f64, u32)) {
        for step in steps.iter().rev() {
            if let Some(inner) = self.inners.get_mut(step.inner) {
                inner.set_first(step.slot, first);
            }
            if step.slot > 0 {
                return;
            }
        }
    }

    /// The way to the place behind all elements that are not after the target.
    #[inline]
    fn path_to(&self, target: Target<'_>, names: &impl Names) -> Path {
        let mut path = self.empty_path();
        for level in 0..self.height {
            let inner = self.inner(path.leaf);
            let len = inner.len();
            let behind = place(&inner.scores[..len], &inner.ids[..len], target, names);
            let slot = behind.saturating_sub(1);
            path.steps[level] = Step { inner: path.leaf, slot };
            path.leaf = inner.children[slot];
        }
        let leaf = self.leaf(path.leaf);
        let len = leaf.len();
        path.at = place(&leaf.scores[..len], &leaf.ids[..len], target, names);
        path
    }

    /// The way to the place behind all elements.
    fn path_to_end(&self) -> Path {
        let mut path = self.empty_path();
        for level in 0..self.height {
            let inner = self.inner(path.leaf);
            let slot = inner.len().saturating_sub(1);
            path.steps[level] = Step { inner: path.leaf, slot };
            path.leaf = inner.children[slot];
        }
        path.at = self.leaf(path.leaf).len();
        path
    }

    /// The way to the element of a rank.
    fn path_to_rank(&self, rank: usize) -> Option<Path> {
        if rank >= self.len {
            return None;
        }
        let (mut path, mut left) = (self.empty_path(), rank);
        for level in 0..self.height {
            let inner = self.inner(path.leaf);
            let mut slot = 0;
            while slot + 1 < inner.len() && left >= inner.counts[slot] as usize {
                left -= inner.counts[slot] as usize;
                slot += 1;
            }
            path.steps[level] = Step { inner: path.leaf, slot };
            path.leaf = inner.children[slot];
        }
        path.at = left;
        Some(path)
    }

    /// A path that stands at the root.
    #[inline]
    fn empty_path(&self) -> Path {
        let steps = [Step { inner: NONE, slot: 0 }; HEIGHT_MAX];
        Path { steps, depth: self.height, leaf: self.root, at: 0 }
    }

    /// The way to an element, and its id.
    #[inline]
    fn find(&self, target: Target<'_>, names: &impl Names) -> Option<(Path, u32)> {
        let mut path = self.path_to(target, names);
        path.at = path.at.checked_sub(1)?;
        let element = self.leaf(path.leaf).get(path.at);
        (compare(element, target, names) == Ordering::Equal).then_some((path, element.1))
    }

    /// Whether an element with this new score would stay where the path leads.
    fn fits(&self, path: &Path, moved: Target<'_>, names: &impl Names) -> bool {
        let here = Position { leaf: path.leaf, at: path.at as u32 };
        let is = |position: Option<Position>, wanted: Ordering| {
            position.is_none_or(|place| compare(self.get(place), moved, names) == wanted)
        };
        is(self.previous(here), Ordering::Less) && is(self.next(here), Ordering::Greater)
    }
}

impl Garbage for CountedTree {
    /// A unit is 16 nodes.
    fn free_slice(&mut self, units: usize) -> Progress {
        (self.root, self.height, self.len) = (NONE, 0, 0);
        let units = units.saturating_mul(16);
        if self.leaves.free_slice(units) && self.inners.free_slice(units) {
            Progress::Done
        } else {
            Progress::More
        }
    }
}

/// Where an element stands to a target.
#[inline]
fn compare((score, id): (f64, u32), target: Target<'_>, names: &impl Names) -> Ordering {
    // -0 and 0 are equal, and there is no NaN.
    match score.partial_cmp(&target.score) {
        Some(Ordering::Equal) | None => names.name(id).cmp(target.name),
        Some(order) => order,
    }
}

/// How many elements are not after the target.
#[inline]
fn place(scores: &[f64], ids: &[u32], target: Target<'_>, names: &impl Names) -> usize {
    let low = scores.partition_point(|&score| score < target.score);
    if scores.get(low).is_none_or(|&score| score > target.score) {
        return low;
    }
    let ties = scores[low..].partition_point(|&score| score <= target.score);
    low + ids[low..low + ties].partition_point(|&id| names.name(id) <= target.name)
}

/// How many of `0..len` `holds` holds for, from the first on.
#[inline]
fn partition(len: usize, mut holds: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = (low + high) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Elements in order. See [`CountedTree::range`].
#[derive(Clone)]
pub struct Elements<'t> {
    tree: &'t CountedTree,
    left: usize,
    front: Place,
    back: Place,
}

/// Where a walk goes on: it looks for its place when it begins.
#[derive(Clone, Copy)]
enum Place {
    Rank(usize),
    At(Option<Position>),
}

impl Elements<'_> {
    #[inline]
    fn place(&self, place: Place) -> Option<Position> {
        match place {
            Place::At(position) => position,
            Place::Rank(rank) => self.tree.select(rank),
        }
    }
}

impl Iterator for Elements<'_> {
    type Item = (f64, u32);

    #[inline]
    fn next(&mut self) -> Option<(f64, u32)> {
        self.left = self.left.checked_sub(1)?;
        let position = self.place(self.front)?;
        if self.left > 0 {
            self.front = Place::At(self.tree.next(position));
        }
        Some(self.tree.get(position))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Elements<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<(f64, u32)> {
        self.left = self.left.checked_sub(1)?;
        let position = self.place(self.back)?;
        if self.left > 0 {
            self.back = Place::At(self.tree.previous(position));
        }
        Some(self.tree.get(position))
    }
}

impl ExactSizeIterator for Elements<'_> {}

#[cfg(test)]
mod tests;
