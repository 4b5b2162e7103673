//! Sorted sets: members with scores, in order of score and then of name.
//!
//! ```text
//!   Packed   one listpack [member][score] [member][score] … in order, as Redis has it      up to 128 short members
//!   Tree     members by name (types::members, score before name) + their order (types::counted_tree)
//! ```
//!
//! A set begins packed, becomes a tree when it grows beyond its limits, and stays one: Redis's rules, with the names
//! `listpack` and `skiplist`. Ranges by score and by name are ranges of ranks ([`ZsetRef::ranks_of_scores`]), which
//! makes what walks over them the same for all.
//!
//! Cost: packed O(n), n being at most what the limits allow; a tree O(1) by name and O(log n) by rank or score. A
//! tree takes 53 bytes per element of 16 bytes; a rank is valid until the next change.
use std::ops::Range;

use crate::base::memory::{OutOfMemory, allocation_bytes};
use crate::base::pieces::{Garbage, Progress};
use crate::base::random::Random;
use crate::types::limits::Limits;
use crate::types::listpack::{Item, Listpack, ListpackRef};
use crate::types::object::{Aggregate, Kind, Object};

mod gather;
pub mod packed;
mod range;
pub mod tree;

pub use gather::Gathering;
pub use range::{LexBound, LexRange, ScoreRange};
pub use tree::ZsetTree;

/// From which end of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest score.
    First,
    /// The highest score.
    Last,
}

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It is new.
    Added,
    /// It has another score than before.
    Updated,
    /// It was to have the score that it has.
    Same,
    /// The caller wanted no change.
    Refused,
}

/// A sorted set.
#[derive(Debug)]
pub enum Zset {
    /// Few short members.
    Packed(Listpack),
    /// Any.
    Tree(Box<ZsetTree>),
}

impl Zset {
    /// An empty set that is to have so many members: a tree at once where they are too many.
    #[must_use]
    pub fn for_members(count: usize, limits: &Limits) -> Zset {
        if count > limits.zset_max_listpack_entries {
            Zset::Tree(Box::new(ZsetTree::new(&limits.hasher)))
        } else {
            Zset::new_empty()
        }
    }

    /// An empty set of the same form as another, to copy that into with [`Zset::append`].
    #[must_use]
    pub fn empty_like(other: ZsetRef<'_>, limits: &Limits) -> Zset {
        match other {
            ZsetRef::Packed(_) => Zset::new_empty(),
            ZsetRef::Tree(_) => Zset::Tree(Box::new(ZsetTree::new(&limits.hasher))),
        }
    }

    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it has no member.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_gone()
    }

    /// Gives a member the score that `decide` answers to its present one (`None`: it is not there). The answer `None`
    /// leaves it as it is. The score must not be a NaN. One lookup; O(log n) where something changes.
    #[inline]
    pub fn change(
        &mut self,
        member: &[u8],
        limits: &Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Result<Change, OutOfMemory> {
        let list = match self {
            Zset::Packed(list) => list,
            Zset::Tree(tree) => return tree.change(member, decide),
        };
        let found = packed::find(list.view(), member);
        let Some(score) = decide(found.map(|(_, score)| score)) else {
            return Ok(Change::Refused);
        };
        match found {
            // Also -0 for 0: it stays as it is.
            Some((_, before)) if before == score => Ok(Change::Same),
            Some((at, _)) => {
                list.remove_many(at, 2);
                packed::insert(list, member, score);
                Ok(Change::Updated)
            }
            None if packed::has_room(list, member, limits) => {
                packed::insert(list, member, score);
                Ok(Change::Added)
            }
            None => self.become_tree(limits)?.change(member, |_| Some(score)),
        }
    }

    /// Adds a member, or gives it another score.
    pub fn insert(
        &mut self,
        member: &[u8],
        score: f64,
        limits: &Limits,
    ) -> Result<Change, OutOfMemory> {
        self.change(member, limits, |_| Some(score))
    }

    /// Adds a member that is not there and comes after all others, for building a set in order. O(1), but for the
    /// conversion of what was packed.
    pub fn push_last(
        &mut self,
        member: &[u8],
        score: f64,
        limits: &Limits,
    ) -> Result<(), OutOfMemory> {
        if let Zset::Packed(list) = self
            && !packed::has_room(list, member, limits)
        {
            self.become_tree(limits)?;
        }
        self.append(member, score)
    }

    /// As [`Zset::push_last`], in the form it has.
    pub fn append(&mut self, member: &[u8], score: f64) -> Result<(), OutOfMemory> {
        match self {
            Zset::Packed(list) => packed::push_last(list, member, score),
            Zset::Tree(tree) => tree.push_last(member, score)?,
        }
        Ok(())
    }

    /// Takes a member out; false where it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Zset::Packed(list) => {
                let Some((at, _)) = packed::find(list.view(), member) else { return false };
                list.remove_many(at, 2);
                true
            }
            Zset::Tree(tree) => tree.remove(member),
        }
    }

    /// Takes the members of these ranks out. O(log n) each.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self {
            Zset::Packed(list) => packed::remove_ranks(list, ranks),
            Zset::Tree(tree) => {
                for _ in 0..ranks.end.min(tree.len()).saturating_sub(ranks.start) {
                    tree.take_rank(ranks.start, |_, _| ());
                }
            }
        }
    }

    /// Takes up to `count` members out at one end and shows each, the outermost first. O(log n) each.
    pub fn pop(&mut self, end: End, count: usize, mut visit: impl FnMut(Item<'_>, f64)) {
        match self {
            Zset::Packed(list) => {
                let len = list.len() / 2;
                let count = count.min(len);
                let ranks = match end {
                    End::First => 0..count,
                    End::Last => len - count..len,
                };
                let popped = ZsetRef::Packed(list.view()).range(ranks.clone());
                match end {
                    End::First => popped.for_each(|(member, score)| visit(member, score)),
                    End::Last => popped.rev().for_each(|(member, score)| visit(member, score)),
                }
                packed::remove_ranks(list, ranks);
            }
            Zset::Tree(tree) => {
                for _ in 0..count.min(tree.len()) {
                    let rank = if end == End::First { 0 } else { tree.len() - 1 };
                    tree.take_rank(rank, |name, score| visit(Item::Bytes(name), score));
                }
            }
        }
    }

    /// O(n), n being what was packed.
    fn become_tree(&mut self, limits: &Limits) -> Result<&mut ZsetTree, OutOfMemory> {
        if let Zset::Packed(list) = self {
            let mut tree = ZsetTree::new(&limits.hasher);
            let mut scratch = itoa::Buffer::new();
            for (member, score) in ZsetRef::Packed(list.view()).range(0..usize::MAX) {
                tree.push_last(member.as_bytes(&mut scratch), score)?;
            }
            *self = Zset::Tree(Box::new(tree));
        }
        match self {
            Zset::Tree(tree) => Ok(tree),
            Zset::Packed(_) => Err(OutOfMemory),
        }
    }
}

impl Aggregate for Zset {
    const KIND: Kind = Kind::Zset;
    type View<'a> = ZsetRef<'a>;

    #[inline]
    fn new_empty() -> Zset {
        Zset::Packed(Listpack::new())
    }

    #[inline]
    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> Zset {
        Zset::Packed(Listpack::from_bytes(bytes))
    }

    #[inline]
    fn packed(&self) -> Option<(bool, &[u8])> {
        match self {
            Zset::Packed(list) => Some((false, list.as_bytes())),
            Zset::Tree(_) => None,
        }
    }

    #[inline]
    fn into_packed_bytes(self) -> Vec<u8> {
        match self {
            Zset::Packed(list) => list.into_bytes(),
            Zset::Tree(_) => Vec::new(),
        }
    }

    #[inline]
    fn view_packed(_is_ints: bool, bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef::Packed(ListpackRef::new(bytes))
    }

    #[inline]
    fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(list) => ZsetRef::Packed(list.view()),
            Zset::Tree(tree) => ZsetRef::Tree(tree),
        }
    }

    #[inline]
    fn is_gone(&self) -> bool {
        match self {
            Zset::Packed(list) => list.is_empty(),
            Zset::Tree(tree) => tree.is_empty(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Zset::Packed(list) => allocation_bytes(list.capacity()),
            Zset::Tree(tree) => allocation_bytes(size_of::<ZsetTree>()) + tree.bytes(),
        }
    }

    fn into_object(self) -> Object {
        Object::Zset(self)
    }

    fn of(object: &Object) -> Option<&Zset> {
        if let Object::Zset(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Zset> {
        if let Object::Zset(value) = object { Some(value) } else { None }
    }
}

impl Garbage for Zset {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            // A listpack is never that big.
            Zset::Packed(list) => {
                *list = Listpack::new();
                Progress::Done
            }
            Zset::Tree(tree) => tree.free_slice(units),
        }
    }
}

/// A sorted set to be read.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// Few short members.
    Packed(ListpackRef<'a>),
    /// Any.
    Tree(&'a ZsetTree),
}

impl<'a> ZsetRef<'a> {
    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            ZsetRef::Packed(list) => list.len() / 2,
            ZsetRef::Tree(tree) => tree.len(),
        }
    }

    /// Whether it has no member.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Redis's name of the form.
    #[must_use]
    pub fn encoding(self) -> &'static str {
        match self {
            ZsetRef::Packed(_) => "listpack",
            ZsetRef::Tree(_) => "skiplist",
        }
    }

    /// The score of a member.
    #[inline]
    #[must_use]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Packed(list) => packed::find(list, member).map(|(_, score)| score),
            ZsetRef::Tree(tree) => tree.score(member),
        }
    }

    /// How many members come before this one.
    #[must_use]
    pub fn rank(self, member: &[u8]) -> Option<usize> {
        match self {
            ZsetRef::Packed(list) => packed::rank(list, member),
            ZsetRef::Tree(tree) => tree.rank(member),
        }
    }

    /// The ranks of the members whose scores are in a range.
    #[must_use]
    pub fn ranks_of_scores(self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self {
            ZsetRef::Packed(list) => packed::ranks_of_scores(list, range),
            ZsetRef::Tree(tree) => tree.ranks_of_scores(range),
        }
    }

    /// The ranks of the members whose names are in a range, which needs equal scores. Where they are not equal the
    /// answer is some range of ranks; for packed sets it is the one Redis finds, looking from this end.
    #[must_use]
    pub fn ranks_of_names(self, range: &LexRange<'_>, from: End) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self {
            ZsetRef::Packed(list) => packed::ranks_of_names(list, range, from),
            ZsetRef::Tree(tree) => tree.ranks_of_names(range),
        }
    }

    /// The members of these ranks with their scores, in order, from both ends.
    #[must_use]
    pub fn range(self, ranks: Range<usize>) -> Members<'a> {
        match self {
            ZsetRef::Packed(list) => Members::Packed(packed::Pairs::new(list, ranks)),
            ZsetRef::Tree(tree) => Members::Tree(tree.range(ranks)),
        }
    }

    /// A member, each equally likely.
    #[must_use]
    pub fn random(self, random: &mut Random) -> Option<(Item<'a>, f64)> {
        let rank = random.below(self.len() as u64) as usize;
        self.range(rank..rank + 1).next()
    }

    /// One step of an iteration with Redis's cursor: 0 begins and ends it. A packed set is shown at once.
    pub fn scan(self, cursor: u64, mut visit: impl FnMut(Item<'a>, f64)) -> u64 {
        match self {
            ZsetRef::Packed(_) => {
                self.range(0..usize::MAX).for_each(|(member, score)| visit(member, score));
                0
            }
            ZsetRef::Tree(tree) => tree.scan(cursor, |name, score| visit(Item::Bytes(name), score)),
        }
    }
}

/// Members in order, with their scores. See [`ZsetRef::range`].
#[derive(Clone)]
pub enum Members<'a> {
    /// Of a packed set.
    Packed(packed::Pairs<'a>),
    /// Of a tree.
    Tree(tree::Ordered<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, f64)> {
        match self {
            Members::Packed(pairs) => pairs.next(),
            Members::Tree(ordered) => ordered.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Members::Packed(pairs) => pairs.size_hint(),
            Members::Tree(ordered) => ordered.size_hint(),
        }
    }
}

impl<'a> DoubleEndedIterator for Members<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Item<'a>, f64)> {
        match self {
            Members::Packed(pairs) => pairs.next_back(),
            Members::Tree(ordered) => ordered.next_back(),
        }
    }
}

#[cfg(test)]
mod tests;
