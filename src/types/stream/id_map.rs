//! A sorted map from entry ids to something small: what pending entries are kept in.
//!
//! ```text
//!   pages   first id → ▐▐▐▐▐▐▐▐  first id → ▐▐▐▐▐▐     last  ▐▐▐▐░░░░
//! ```
//!
//! Sorted pages of up to [`PAGE_MAX`] ids behind a `BTreeMap`; the last page stands outside of it, so that a small map
//! has no tree at all and ids that come in order are appended without a search. Pages that came about in order are
//! full. In most pages an id takes 8 bytes: milliseconds beyond the page's first, and a short sequence number.
//!
//! Cost: O(log n) for every operation, with one move of less than a page. Memory: 8 bytes and the value per id, twice
//! that where ids come out of order.
use std::collections::BTreeMap;
use std::ops::Bound;

use super::id::StreamId;
use crate::base::pieces::Progress;

/// Ids in one page.
const PAGE_MAX: usize = 128;
/// A page with fewer ids looks for a neighbour to be joined with.
const PAGE_SPARSE: usize = PAGE_MAX / 4;
/// Pages are joined if no more than this comes of it, so that the next insertions do not split them again.
const JOINED_MAX: usize = PAGE_MAX * 3 / 4;
/// Memory of a page in the tree, at the usual fill of its nodes.
const PAGE_OVERHEAD: usize = 90;

/// The map.
#[derive(Debug)]
pub struct IdMap<V> {
    /// By an id no greater than the page's first, and greater than the last of the page before.
    pages: BTreeMap<StreamId, Page<V>>,
    /// Invariant: empty only if all is empty.
    last: Page<V>,
    /// As the key of a page.
    last_from: StreamId,
    len: usize,
    /// Memory of the pages.
    bytes: usize,
}

impl<V: Copy> Default for IdMap<V> {
    fn default() -> IdMap<V> {
        IdMap {
            pages: BTreeMap::new(),
            last: Page::default(),
            last_from: StreamId::MIN,
            len: 0,
            bytes: 0,
        }
    }
}

impl<V: Copy> IdMap<V> {
    /// Number of ids.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory behind it, in bytes. O(1).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The least id with its value.
    pub fn first(&self) -> Option<(StreamId, V)> {
        let page = self.pages.first_key_value().map_or(&self.last, |(_, page)| page);
        page.get(0)
    }

    /// The greatest id with its value.
    pub fn last(&self) -> Option<(StreamId, V)> {
        self.last.get(self.last.len().checked_sub(1)?)
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<V> {
        let page = self.page_of(id);
        let at = page.find(id).ok()?;
        page.get(at).map(|(_, value)| value)
    }

    /// The value of an id, to be changed.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let page = if self.is_of_last(id) {
            &mut self.last
        } else {
            self.pages.range_mut(..=id).next_back().map(|(_, page)| page)?
        };
        let at = page.find(id).ok()?;
        page.value_mut(at)
    }

    /// Adds an id; false if it is there already, and nothing changes.
    pub fn insert(&mut self, id: StreamId, value: V) -> bool {
        // A full page is split first, once.
        loop {
            let is_last = self.is_of_last(id);
            if is_last && self.pages.is_empty() {
                self.last_from = self.last_from.min(id);
            }
            let (from, page) = match is_last {
                true => (self.last_from, &mut self.last),
                false => match page_for(&mut self.pages, id) {
                    Some(found) => found,
                    None => return false,
                },
            };
            let Err(at) = page.find(id) else { return false };
            let before = page.bytes();
            if page.len() < PAGE_MAX {
                page.insert(at, id, value);
                self.bytes = self.bytes + page.bytes() - before;
                self.len += 1;
                return true;
            }
            // Ids that come in order leave full pages behind.
            let keep = if is_last && at == PAGE_MAX { PAGE_MAX } else { PAGE_MAX / 2 };
            let upper = page.split_off(keep);
            self.bytes = self.bytes + page.bytes() + upper.bytes() + PAGE_OVERHEAD - before;
            let upper_from = upper.get(0).map_or(id, |(first, _)| first);
            if is_last {
                let lower = std::mem::replace(&mut self.last, upper);
                self.last_from = upper_from;
                self.pages.insert(from, lower);
            } else {
                self.pages.insert(upper_from, upper);
            }
        }
    }

    /// Takes an id out.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let is_last = self.is_of_last(id);
        let (from, page) = match is_last {
            true => (self.last_from, &mut self.last),
            false => self.pages.range_mut(..=id).next_back().map(|(from, page)| (*from, page))?,
        };
        let at = page.find(id).ok()?;
        let before = page.bytes();
        let value = page.remove(at)?;
        let left = page.len();
        self.bytes = self.bytes + page.bytes() - before;
        self.len -= 1;
        if left == 0 {
            self.remove_page(is_last, from);
        } else if left < PAGE_SPARSE && left.is_multiple_of(8) {
            self.join(is_last, from);
        }
        Some(value)
    }

    /// Takes the least id out.
    pub fn pop_first(&mut self) -> Option<(StreamId, V)> {
        let (id, value) = self.first()?;
        self.remove(id);
        Some((id, value))
    }

    /// Ids from `start` on, in order, with their values.
    pub fn iter_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, V)> + '_ {
        let from = self.pages.range(..=start).next_back().map_or(start, |(from, _)| *from);
        let pages = self.pages.range(from..).map(|(_, page)| page);
        pages.chain(std::iter::once(&self.last)).flat_map(move |page| {
            let at = page.find(start).unwrap_or_else(|at| at);
            (at..page.len()).filter_map(|at| page.get(at))
        })
    }

    /// Frees about `units` pages.
    pub fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            match self.pages.pop_first() {
                Some((_, page)) => self.len -= page.len(),
                None => {
                    *self = IdMap::default();
                    return Progress::Done;
                }
            }
        }
        Progress::More
    }

    fn is_of_last(&self, id: StreamId) -> bool {
        id >= self.last_from || self.pages.is_empty()
    }

    fn page_of(&self, id: StreamId) -> &Page<V> {
        if self.is_of_last(id) {
            return &self.last;
        }
        self.pages.range(..=id).next_back().map_or(&self.last, |(_, page)| page)
    }

    /// Drops a page that is empty.
    fn remove_page(&mut self, is_last: bool, from: StreamId) {
        let dropped = if is_last {
            match self.pages.pop_last() {
                Some((from, page)) => {
                    self.last_from = from;
                    Some(std::mem::replace(&mut self.last, page))
                }
                None => {
                    self.last_from = StreamId::MIN;
                    self.bytes -= self.last.bytes();
                    self.last = Page::default();
                    None
                }
            }
        } else {
            self.pages.remove(&from)
        };
        if let Some(page) = dropped {
            self.bytes -= page.bytes() + PAGE_OVERHEAD;
        }
    }

    /// Joins a sparse page with a neighbour, if both make no more than one.
    fn join(&mut self, is_last: bool, from: StreamId) {
        let before = self.pages.range(..from).next_back().map(|(key, _)| *key);
        let this = (!is_last).then_some(from);
        if before.is_some_and(|before| self.join_pair(before, this)) || is_last {
            return;
        }
        let after = self.pages.range((Bound::Excluded(from), Bound::Unbounded)).next();
        let after = after.map(|(after, _)| *after);
        self.join_pair(from, after);
    }

    /// Joins a page with the one that follows (`None`: the last), if both make no more than one.
    fn join_pair(&mut self, lower: StreamId, upper: Option<StreamId>) -> bool {
        let upper_len =
            upper.and_then(|key| self.pages.get(&key)).map_or(self.last.len(), Page::len);
        let lower_len = self.pages.get(&lower).map_or(0, Page::len);
        if lower_len + upper_len > JOINED_MAX {
            return false;
        }
        let Some(mut page) = self.pages.remove(&lower) else { return false };
        let second = match upper {
            Some(key) => self.pages.remove(&key).unwrap_or_default(),
            None => std::mem::take(&mut self.last),
        };
        let before = page.bytes() + second.bytes();
        page.append(second);
        self.bytes = self.bytes + page.bytes() - before - PAGE_OVERHEAD;
        if upper.is_some() {
            self.pages.insert(lower, page);
        } else {
            self.last = page;
            self.last_from = lower;
        }
        true
    }
}

/// The page in the tree where `id` belongs; the first one is made to begin with it where it must.
fn page_for<V>(
    pages: &mut BTreeMap<StreamId, Page<V>>,
    id: StreamId,
) -> Option<(StreamId, &mut Page<V>)> {
    if pages.first_key_value().is_some_and(|(from, _)| id < *from)
        && let Some((_, page)) = pages.pop_first()
    {
        pages.insert(id, page);
    }
    pages.range_mut(..=id).next_back().map(|(from, page)| (*from, page))
}

/// Ids in order, with their values.
#[derive(Debug)]
enum Page<V> {
    /// Milliseconds beyond `base_ms` and sequence number both fit 32 bits.
    Narrow { base_ms: u64, slots: Vec<(u32, u32, V)> },
    /// Some do not.
    Wide(Vec<(StreamId, V)>),
}

impl<V> Default for Page<V> {
    fn default() -> Page<V> {
        Page::Narrow { base_ms: 0, slots: Vec::new() }
    }
}

impl<V: Copy> Page<V> {
    /// The narrow page of these, if they fit one.
    fn of(slots: Vec<(StreamId, V)>) -> Page<V> {
        let base_ms = slots.first().map_or(0, |(id, _)| id.ms);
        let mut narrow = Vec::with_capacity(slots.len());
        for &(id, value) in &slots {
            match narrowed(base_ms, id) {
                Some((ms, seq)) => narrow.push((ms, seq, value)),
                None => return Page::Wide(slots),
            }
        }
        Page::Narrow { base_ms, slots: narrow }
    }

    fn into_wide(self) -> Vec<(StreamId, V)> {
        match self {
            Page::Narrow { base_ms, slots } => slots
                .into_iter()
                .map(|(ms, seq, value)| (widened(base_ms, ms, seq), value))
                .collect(),
            Page::Wide(slots) => slots,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Page::Narrow { slots, .. } => slots.len(),
            Page::Wide(slots) => slots.len(),
        }
    }

    #[inline]
    fn bytes(&self) -> usize {
        match self {
            Page::Narrow { slots, .. } => slots.capacity() * size_of::<(u32, u32, V)>(),
            Page::Wide(slots) => slots.capacity() * size_of::<(StreamId, V)>(),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Option<(StreamId, V)> {
        match self {
            Page::Narrow { base_ms, slots } => {
                slots.get(at).map(|&(ms, seq, value)| (widened(*base_ms, ms, seq), value))
            }
            Page::Wide(slots) => slots.get(at).copied(),
        }
    }

    #[inline]
    fn value_mut(&mut self, at: usize) -> Option<&mut V> {
        match self {
            Page::Narrow { slots, .. } => slots.get_mut(at).map(|(_, _, value)| value),
            Page::Wide(slots) => slots.get_mut(at).map(|(_, value)| value),
        }
    }

    /// Where an id is, or would be.
    #[inline]
    fn find(&self, id: StreamId) -> Result<usize, usize> {
        match self {
            Page::Narrow { base_ms, slots } => {
                let at = |&(ms, seq, _): &(u32, u32, V)| widened(*base_ms, ms, seq);
                // Nearly all insertions are at the end.
                match slots.last() {
                    Some(last) if at(last) < id => Err(slots.len()),
                    _ => slots.binary_search_by(|slot| at(slot).cmp(&id)),
                }
            }
            Page::Wide(slots) => slots.binary_search_by(|(other, _)| other.cmp(&id)),
        }
    }

    fn insert(&mut self, at: usize, id: StreamId, value: V) {
        match self {
            Page::Narrow { base_ms, slots } => {
                if slots.is_empty() {
                    *base_ms = id.ms;
                }
                if let Some((ms, seq)) = narrowed(*base_ms, id) {
                    return slots.insert(at, (ms, seq, value));
                }
            }
            Page::Wide(slots) => return slots.insert(at, (id, value)),
        }
        // It does not fit this base: perhaps it does another one.
        let mut slots = std::mem::take(self).into_wide();
        slots.insert(at, (id, value));
        *self = Page::of(slots);
    }

    fn remove(&mut self, at: usize) -> Option<V> {
        fn take<T>(slots: &mut Vec<T>, at: usize) -> Option<T> {
            if at >= slots.len() {
                return None;
            }
            let taken = slots.remove(at);
            if slots.capacity() > 8 && slots.capacity() > 4 * slots.len() {
                slots.shrink_to(2 * slots.len());
            }
            Some(taken)
        }
        match self {
            Page::Narrow { slots, .. } => take(slots, at).map(|(_, _, value)| value),
            Page::Wide(slots) => take(slots, at).map(|(_, value)| value),
        }
    }

    fn split_off(&mut self, at: usize) -> Page<V> {
        match self {
            Page::Narrow { base_ms, slots } => {
                let upper = slots.split_off(at);
                slots.shrink_to_fit();
                let base = *base_ms;
                let wide = |(ms, seq, value)| (widened(base, ms, seq), value);
                Page::of(upper.into_iter().map(wide).collect())
            }
            Page::Wide(slots) => {
                let upper = slots.split_off(at);
                slots.shrink_to_fit();
                Page::of(upper)
            }
        }
    }

    /// Adds the ids of the page that follows.
    fn append(&mut self, other: Page<V>) {
        let mut slots = std::mem::take(self).into_wide();
        slots.extend(other.into_wide());
        *self = Page::of(slots);
    }
}

#[inline]
fn narrowed(base_ms: u64, id: StreamId) -> Option<(u32, u32)> {
    let ms = u32::try_from(id.ms.checked_sub(base_ms)?).ok()?;
    Some((ms, u32::try_from(id.seq).ok()?))
}

#[inline]
fn widened(base_ms: u64, ms: u32, seq: u32) -> StreamId {
    // Every slot was made from an id, so the sum is one.
    StreamId::new(base_ms.wrapping_add(u64::from(ms)), u64::from(seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(map: &IdMap<u32>, model: &BTreeMap<StreamId, u32>) {
        assert_eq!(map.len(), model.len());
        assert!(map.iter_from(StreamId::MIN).eq(model.iter().map(|(id, value)| (*id, *value))));
        assert_eq!(map.first(), model.first_key_value().map(|(id, value)| (*id, *value)));
        assert_eq!(map.last(), model.last_key_value().map(|(id, value)| (*id, *value)));
        let pages: usize = map.pages.values().map(Page::bytes).sum();
        assert_eq!(map.bytes(), pages + map.last.bytes() + map.pages.len() * PAGE_OVERHEAD);
    }

    /// Ids that are near each other, and some that are far.
    fn ids() -> impl Strategy<Value = StreamId> {
        let near = (0..40u64, 0..40u64).prop_map(|(ms, seq)| StreamId::new(1000 + ms, seq));
        let far = (any::<u64>(), any::<u64>()).prop_map(|(ms, seq)| StreamId::new(ms, seq));
        prop_oneof![9 => near, 1 => far]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn as_a_btree_map(
            operations in prop::collection::vec((ids(), 0..10u32), 0..1500),
            adds in 2..9u32,
        ) {
            let (mut map, mut model) = (IdMap::default(), BTreeMap::new());
            for (index, (id, choice)) in operations.into_iter().enumerate() {
                let value = index as u32;
                if choice < adds {
                    let is_new = !model.contains_key(&id);
                    prop_assert_eq!(map.insert(id, value), is_new);
                    model.entry(id).or_insert(value);
                } else if choice == 9 {
                    prop_assert_eq!(map.pop_first(), model.pop_first());
                } else {
                    prop_assert_eq!(map.remove(id), model.remove(&id));
                }
                prop_assert_eq!(map.get(id), model.get(&id).copied());
                prop_assert_eq!(map.get_mut(id).copied(), model.get(&id).copied());
                if index.is_multiple_of(50) {
                    check(&map, &model);
                    let mut rest = map.iter_from(id);
                    prop_assert_eq!(rest.next(), model.range(id..).next().map(|(k, v)| (*k, *v)));
                }
            }
            check(&map, &model);
            for id in model.keys() {
                prop_assert!(map.remove(*id).is_some());
            }
            prop_assert_eq!((map.len(), map.bytes()), (0, 0));
        }
    }

    #[test]
    fn in_order_pages_are_full_and_small() {
        let mut map = IdMap::default();
        for index in 0..128_000u64 {
            assert!(map.insert(StreamId::new(1_700_000_000_000 + index / 3, index % 3), ()));
        }
        assert!(map.bytes() < 9 * 128_000, "{}", map.bytes());
        // Acknowledged at random, what is left stays small.
        let mut left = map.len();
        for index in 0..128_000u64 {
            if index % 16 != 0 {
                assert!(
                    map.remove(StreamId::new(1_700_000_000_000 + index / 3, index % 3)).is_some()
                );
                left -= 1;
            }
        }
        assert_eq!(map.len(), left);
        assert!(map.bytes() < 30 * left, "{} for {left}", map.bytes());
        // Front to back, it ends empty.
        assert_eq!(std::iter::from_fn(|| map.pop_first()).count(), left);
        assert_eq!(map.bytes(), 0);
    }

    #[test]
    fn freed_in_slices() {
        let mut map = IdMap::default();
        (0..10_000u64).for_each(|index| assert!(map.insert(StreamId::new(index, 0), index)));
        let mut slices = 1;
        while !map.free_slice(1).is_done() {
            slices += 1;
        }
        assert_eq!((slices, map.len(), map.bytes()), (10_000 / PAGE_MAX + 1, 0, 0));
    }
}
