//! Sorted sets of any size: members by name, each with its score, and a counted tree of their ids in order.
use std::ops::Range;

use super::{Change, LexRange, ScoreRange};
use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::types::counted_tree::{CountedTree, Elements, Names, Target};
use crate::types::listpack::Item;
use crate::types::members::{MemberId, Members, Shape};

/// Bytes of a score.
const SCORE_BYTES: usize = 8;

impl Names for Members {
    #[inline]
    fn name(&self, id: u32) -> &[u8] {
        Members::name(self, MemberId::from_raw(id))
    }
}

/// Members of which some have just moved: they are known by both ids.
struct Moved<'m> {
    members: &'m Members,
    moves: &'m [(MemberId, MemberId)],
}

impl Names for Moved<'_> {
    fn name(&self, id: u32) -> &[u8] {
        let id = MemberId::from_raw(id);
        let moved = self.moves.iter().find(|(old, _)| *old == id);
        self.members.name(moved.map_or(id, |&(_, new)| new))
    }
}

/// The tree form of a sorted set.
#[derive(Debug)]
pub struct ZsetTree {
    members: Members,
    /// Invariant: each of `members`, by its score there.
    order: CountedTree,
}

impl ZsetTree {
    pub(super) fn new(hasher: &KeyHasher) -> ZsetTree {
        let shape = Shape::Fixed(SCORE_BYTES);
        ZsetTree { members: Members::new(hasher, shape), order: CountedTree::new() }
    }

    /// Of members that have been put into order.
    pub(super) fn of(members: Members, order: CountedTree) -> ZsetTree {
        ZsetTree { members, order }
    }

    /// Its members, by name.
    #[inline]
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.members.bytes() + self.order.bytes()
    }

    #[inline]
    pub(super) fn change(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Result<Change, OutOfMemory> {
        let key = self.members.key(member);
        let Some(id) = self.members.find_key(key) else {
            let Some(score) = decide(None) else { return Ok(Change::Refused) };
            let id = self.members.insert_key(key, &score.to_le_bytes())?;
            self.order.insert(Target { score, name: member }, id.raw(), &self.members);
            self.tidy();
            return Ok(Change::Added);
        };
        let before = score_at(&self.members, id);
        let Some(score) = decide(Some(before)) else { return Ok(Change::Refused) };
        if score == before {
            return Ok(Change::Same);
        }
        self.order.update(Target { score: before, name: member }, score, &self.members);
        self.members.payload_mut(id).copy_from_slice(&score.to_le_bytes());
        Ok(Change::Updated)
    }

    pub(super) fn push_last(&mut self, member: &[u8], score: f64) -> Result<(), OutOfMemory> {
        let id = self.members.insert(member, &score.to_le_bytes())?;
        self.order.push_last(score, id.raw());
        Ok(())
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(id) = self.members.find(member) else { return false };
        let score = score_at(&self.members, id);
        self.order.remove(Target { score, name: member }, &self.members);
        self.members.remove(id);
        self.tidy_late();
        true
    }

    /// Takes the member of a rank out and shows it.
    pub(super) fn take_rank(&mut self, rank: usize, visit: impl FnOnce(&[u8], f64)) {
        let Some((score, id)) = self.order.remove_rank(rank) else { return };
        let id = MemberId::from_raw(id);
        visit(self.members.name(id), score);
        self.members.remove(id);
        self.tidy_late();
    }

    /// Lets the members close gaps, and follows those that move.
    #[inline]
    fn tidy(&mut self) {
        let mut moves = Vec::new();
        self.members.tidy(|old, new| moves.push((old, new)));
        if !moves.is_empty() {
            self.follow(&moves);
        }
    }

    /// As `tidy`, when a member has gone. The others move when members come, or when nearly all have gone: moving at
    /// once made ZPOPMIN take twice as long.
    #[inline]
    fn tidy_late(&mut self) {
        let mut moves = Vec::new();
        self.members.tidy_late(|old, new| moves.push((old, new)));
        if !moves.is_empty() {
            self.follow(&moves);
        }
    }

    /// Closes some gaps while nobody writes; false when there are few left.
    pub(in crate::types) fn tidy_idle(&mut self, steps: usize) -> bool {
        let mut moves = Vec::new();
        let goes_on = self.members.tidy_idle(steps, |old, new| moves.push((old, new)));
        if !moves.is_empty() {
            self.follow(&moves);
        }
        goes_on
    }

    #[cold]
    fn follow(&mut self, moves: &[(MemberId, MemberId)]) {
        let names = Moved { members: &self.members, moves };
        for &(_, new) in moves {
            let (score, name) = (score_at(&self.members, new), self.members.name(new));
            self.order.replace_id(Target { score, name }, new.raw(), &names);
        }
    }

    // --- reading ---

    #[inline]
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(member).map(|id| score_at(&self.members, id))
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        self.order.rank(Target { score, name: member }, &self.members)
    }

    pub(super) fn ranks_of_scores(&self, range: &ScoreRange) -> Range<usize> {
        let start = self.order.count_while(|score, _| !range.has_begun(score));
        let end = self.order.count_while(|score, _| range.has_not_ended(score));
        start..end.max(start)
    }

    pub(super) fn ranks_of_names(&self, range: &LexRange<'_>) -> Range<usize> {
        let name = |id: u32| self.members.name(MemberId::from_raw(id));
        // Redis looks at both ends first, which tells where scores differ.
        let mut all = self.order.range(0..self.len());
        let (first, last) = (all.next(), all.next_back());
        let is_outside = |(_, id): (f64, u32)| !range.has_begun(name(id));
        if first.is_none_or(|(_, id)| !range.has_not_ended(name(id)))
            || last.or(first).is_none_or(is_outside)
        {
            return 0..0;
        }
        let start = self.order.count_while(|_, id| !range.has_begun(name(id)));
        let end = self.order.count_while(|_, id| range.has_not_ended(name(id)));
        start..end.max(start)
    }

    pub(super) fn range(&self, ranks: Range<usize>) -> Ordered<'_> {
        Ordered { members: &self.members, elements: self.order.range(ranks) }
    }

    pub(super) fn scan<'a>(&'a self, cursor: u64, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        let members = &self.members;
        members.scan(cursor, |id| visit(members.name(id), score_at(members, id)))
    }
}

impl Garbage for ZsetTree {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self.members.free_slice(units) {
            Progress::Done => self.order.free_slice(units),
            Progress::More => Progress::More,
        }
    }
}

/// The score of a member.
#[inline]
pub(super) fn score_at(members: &Members, id: MemberId) -> f64 {
    members.payload(id).first_chunk().map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
}

/// Members in order, with their scores.
#[derive(Clone)]
pub struct Ordered<'a> {
    members: &'a Members,
    elements: Elements<'a>,
}

impl<'a> Iterator for Ordered<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, f64)> {
        let (score, id) = self.elements.next()?;
        Some((Item::Bytes(self.members.name(MemberId::from_raw(id))), score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl<'a> DoubleEndedIterator for Ordered<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Item<'a>, f64)> {
        let (score, id) = self.elements.next_back()?;
        Some((Item::Bytes(self.members.name(MemberId::from_raw(id))), score))
    }
}
