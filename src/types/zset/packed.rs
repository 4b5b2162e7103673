//! Sorted sets in a listpack: members and scores in turns, in order. Everything here is O(n) in its few elements.
use std::cmp::Ordering;
use std::ops::Range;

use super::{End, LexRange, ScoreRange};
use crate::base::number::{parse_f64, write_d2string};
use crate::types::limits::Limits;
use crate::types::listpack::{Item, Listpack, ListpackRef};

/// Longest text of a score.
const SCORE_TEXT_MAX: usize = 32;

/// A score as it is kept.
#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(number) => number as f64,
        // Ours are always numbers; of others' bytes this is the best there is.
        Item::Bytes(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// A score as it is to be kept: integers where they are, so that -0 becomes 0, as in Redis.
#[inline]
fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(SCORE_TEXT_MAX);
    write_d2string(&mut text, score + 0.0);
    text
}

/// The position of a member, and its score.
#[inline]
pub(super) fn find(list: ListpackRef<'_>, member: &[u8]) -> Option<(usize, f64)> {
    let at = list.find(list.first(), member, 1)?;
    Some((at, score_of(list.get(list.next(at)?))))
}

/// How many members come before this one.
pub(super) fn rank(list: ListpackRef<'_>, member: &[u8]) -> Option<usize> {
    let mut items = list.iter();
    let mut rank = 0;
    while let Some(item) = items.next() {
        if item.equals(member) {
            return Some(rank);
        }
        items.next();
        rank += 1;
    }
    None
}

/// Whether the set may stay packed with this member added.
pub(super) fn has_room(list: &Listpack, member: &[u8], limits: &Limits) -> bool {
    list.len() / 2 < limits.zset_max_listpack_entries
        && member.len() <= limits.zset_max_listpack_value
        && list.has_room(member.len())
}

/// Adds a member that is not there.
pub(super) fn insert(list: &mut Listpack, member: &[u8], score: f64) {
    let view = list.view();
    let mut next = view.first();
    while let Some(at) = next {
        let Some(score_at) = view.next(at) else { break };
        let order = score_of(view.get(score_at)).partial_cmp(&score);
        let is_after = match order {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => view.get(at).as_bytes(&mut itoa::Buffer::new()) > member,
            Some(Ordering::Less) | None => false,
        };
        if is_after {
            let at = list.insert_before(at, member);
            list.insert_after(at, &score_text(score));
            return;
        }
        next = view.next(score_at);
    }
    push_last(list, member, score);
}

/// Adds a member behind all others.
pub(super) fn push_last(list: &mut Listpack, member: &[u8], score: f64) {
    list.push_back(member);
    list.push_back(&score_text(score));
}

/// Takes the members of these ranks out.
pub(super) fn remove_ranks(list: &mut Listpack, ranks: Range<usize>) {
    if let Some(at) = list.view().seek(2 * ranks.start as i64) {
        list.remove_many(at, 2 * ranks.len());
    }
}

/// See [`super::ZsetRef::ranks_of_scores`].
pub(super) fn ranks_of_scores(list: ListpackRef<'_>, range: &ScoreRange) -> Range<usize> {
    let scores = Pairs::new(list, 0..usize::MAX).map(|(_, score)| score);
    let mut ranks = 0..0;
    for score in scores {
        if !range.has_not_ended(score) {
            break;
        }
        ranks.end += 1;
        ranks.start += usize::from(!range.has_begun(score));
    }
    ranks
}

/// See [`super::ZsetRef::ranks_of_names`].
pub(super) fn ranks_of_names(
    list: ListpackRef<'_>,
    range: &LexRange<'_>,
    from: End,
) -> Range<usize> {
    let len = list.len() / 2;
    let all = Pairs::new(list, 0..len);
    let has_begun =
        |(item, _): (Item<'_>, f64)| range.has_begun(item.as_bytes(&mut itoa::Buffer::new()));
    let has_not_ended =
        |(item, _): (Item<'_>, f64)| range.has_not_ended(item.as_bytes(&mut itoa::Buffer::new()));
    // Redis looks at both ends first, which tells where scores differ.
    let (first, last) = (all.clone().next(), all.clone().next_back());
    if !first.is_some_and(has_not_ended) || !last.is_some_and(has_begun) {
        return 0..0;
    }
    match from {
        End::First => {
            let start = all.clone().take_while(|&pair| !has_begun(pair)).count();
            let inside = Pairs::new(list, start..len).take_while(|&pair| has_not_ended(pair));
            start..start + inside.count()
        }
        End::Last => {
            let end = len - all.rev().take_while(|&pair| !has_not_ended(pair)).count();
            let inside = Pairs::new(list, 0..end).rev().take_while(|&pair| has_begun(pair));
            end - inside.count()..end
        }
    }
}

/// Members of some ranks with their scores, from both ends.
#[derive(Clone)]
pub struct Pairs<'a> {
    list: ListpackRef<'a>,
    /// The member that `next` gives.
    front: Option<usize>,
    /// The score that `next_back` gives.
    back: Option<usize>,
    left: usize,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(list: ListpackRef<'a>, ranks: Range<usize>) -> Pairs<'a> {
        let len = list.len() / 2;
        let ranks = ranks.start..ranks.end.min(len);
        let left = ranks.len();
        if left == 0 {
            return Pairs { list, front: None, back: None, left };
        }
        // Where it is all, both ends are known.
        let front = if ranks.start == 0 { list.first() } else { list.seek(2 * ranks.start as i64) };
        let back = if ranks.end == len { list.last() } else { list.seek(2 * ranks.end as i64 - 1) };
        Pairs { list, front, back, left }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, f64)> {
        self.left = self.left.checked_sub(1)?;
        let member = self.front?;
        let score = self.list.next(member)?;
        self.front = self.list.next(score);
        Some((self.list.get(member), score_of(self.list.get(score))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> DoubleEndedIterator for Pairs<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Item<'a>, f64)> {
        self.left = self.left.checked_sub(1)?;
        let score = self.back?;
        let member = self.list.previous(score)?;
        self.back = self.list.previous(member);
        Some((self.list.get(member), score_of(self.list.get(score))))
    }
}
