//! Sets: different texts, in the smallest of three forms.
//!
//! | form | while | OBJECT ENCODING |
//! |---|---|---|
//! | intset | all members are integers, up to `set-max-intset-entries` of them | `intset` |
//! | packed: a listpack | at most [`PACKED_ENTRIES_MAX`] members of at most [`PACKED_BYTES_MAX`] bytes | `hashtable` |
//! | table: [`Members`] | otherwise | `hashtable` |
//!
//! Redis 7.0 has no packed sets; they save memory here and are told by nothing else: they go by the name of the form
//! they stand for, and [`SetRef::scan`] shows them piece by piece. As in Redis a set that has left the intset does not
//! come back to it; one that has shrunk to [`PACKED_AGAIN_ENTRIES`] is packed again.
//!
//! Cost: O(1) in a table, O(log n) to find in an intset, O(n) in a listpack (up to 128). Nothing else depends on the
//! number of members, but for the change from intset to table, once, and what takes a count of units.
use super::intset::{Intset, IntsetRef};
use super::limits::Limits;
use super::listpack::{Item, Listpack, ListpackRef};
use super::members::{MemberId, Members, Shape};
use super::object::{Aggregate, Kind, Object};
use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;
use crate::base::number::canonical_i64;
use crate::base::pieces::{Garbage, Progress};
use crate::base::random::Random;

/// Most members of a packed set.
pub const PACKED_ENTRIES_MAX: usize = 128;
/// Longest member of a packed set.
pub const PACKED_BYTES_MAX: usize = 64;
/// A table that shrinks to so many members is packed again: few enough for it to stay so for a while.
pub const PACKED_AGAIN_ENTRIES: usize = 32;
/// Redis's bound on intsets, whatever the option says.
const INTSET_ENTRIES_MAX: usize = 1 << 30;

/// A set of its own.
#[derive(Debug)]
pub enum Set {
    /// Integers only.
    Intset(Intset),
    /// Few and short.
    Packed(Listpack),
    /// Any.
    Table(Box<Members>),
}

/// A set to be read.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers only.
    Intset(IntsetRef<'a>),
    /// Few and short.
    Packed(ListpackRef<'a>),
    /// Any.
    Table(&'a Members),
}

/// Where a walk over a set that does not change meanwhile goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCursor {
    /// Index, position or bucket, by the form of the set; 0: the first.
    at: usize,
}

impl<'a> SetRef<'a> {
    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            SetRef::Intset(set) => set.len(),
            SetRef::Packed(list) => list.len(),
            SetRef::Table(members) => members.len(),
        }
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether a text is a member.
    #[inline]
    #[must_use]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Intset(set) => canonical_i64(member).is_some_and(|value| set.contains(value)),
            SetRef::Packed(list) => list.find(None, member, 0).is_some(),
            SetRef::Table(members) => members.find(member).is_some(),
        }
    }

    /// Whether a member of another set is one of this.
    #[inline]
    #[must_use]
    pub fn contains_item(self, member: Item<'_>) -> bool {
        match (self, member) {
            (SetRef::Intset(set), Item::Int(value)) => set.contains(value),
            _ => self.contains(member.as_bytes(&mut itoa::Buffer::new())),
        }
    }

    /// A member, each equally likely.
    #[must_use]
    pub fn random(self, random: &mut Random) -> Option<Item<'a>> {
        match self {
            SetRef::Intset(set) => set.get(below(random, set.len())).map(Item::Int),
            SetRef::Packed(list) => {
                list.seek(below(random, list.len()) as i64).map(|at| list.get(at))
            }
            SetRef::Table(members) => {
                members.random(random).map(|id| Item::Bytes(members.name(id)))
            }
        }
    }

    /// Goes on visiting all members, about `units` of them in one call; each once, while the set does not change.
    #[inline]
    pub fn walk(
        self,
        cursor: &mut SetCursor,
        units: usize,
        mut visit: impl FnMut(Item<'a>),
    ) -> Progress {
        match self {
            SetRef::Intset(set) => {
                let end = set.len().min(cursor.at.saturating_add(units));
                (cursor.at..end).filter_map(|at| set.get(at)).for_each(|own| visit(Item::Int(own)));
                cursor.at = end;
                progress(end == set.len())
            }
            SetRef::Packed(list) => {
                let Some(first) = list.first() else { return Progress::Done };
                let mut items = list.items_from(cursor.at.max(first));
                items.by_ref().take(units).for_each(visit);
                cursor.at = items.position();
                progress(items.next().is_none())
            }
            SetRef::Table(members) => {
                let mut seen = 0;
                while cursor.at < members.buckets() && seen < units {
                    members.visit_bucket(cursor.at, |id| {
                        seen += 1;
                        visit(Item::Bytes(members.name(id)));
                    });
                    // An empty bucket is work, too.
                    seen += 1;
                    cursor.at += 1;
                }
                progress(cursor.at >= members.buckets())
            }
        }
    }

    /// One step of an iteration that survives any change, with Redis's guarantee: what is in the set from the first
    /// step to the last is visited at least once. Starts and ends at cursor 0. An intset is visited in one step, of a
    /// packed set `count` members and those that share a bucket with the last, of a table a bucket or two.
    ///
    /// `hasher` is the one of the tables, so that a cursor stays good where a set changes its form. Cost: O(1), in
    /// the small forms O(n log n).
    pub fn scan(
        self,
        cursor: u64,
        count: u64,
        hasher: &KeyHasher,
        mut visit: impl FnMut(Item<'a>),
    ) -> u64 {
        match self {
            SetRef::Intset(_) => {
                let _ = self.walk(&mut SetCursor::default(), usize::MAX, visit);
                0
            }
            SetRef::Packed(list) => scan_packed(list, cursor, count, hasher, visit),
            SetRef::Table(members) => {
                members.scan(cursor, |id| visit(Item::Bytes(members.name(id))))
            }
        }
    }

    /// The table of a big set, whose members have ids.
    #[must_use]
    pub fn members(self) -> Option<&'a Members> {
        match self {
            SetRef::Table(members) => Some(members),
            SetRef::Intset(_) | SetRef::Packed(_) => None,
        }
    }

    /// Name of its form, as OBJECT ENCODING tells it.
    #[must_use]
    pub fn encoding(self) -> &'static str {
        match self {
            SetRef::Intset(_) => "intset",
            SetRef::Packed(_) | SetRef::Table(_) => "hashtable",
        }
    }
}

impl Default for Set {
    fn default() -> Set {
        Set::new()
    }
}

impl Set {
    /// An empty set.
    #[must_use]
    pub fn new() -> Set {
        Set::Intset(Intset::new())
    }

    /// To be read.
    #[inline]
    #[must_use]
    pub fn view(&self) -> SetRef<'_> {
        match self {
            Set::Intset(set) => SetRef::Intset(set.view()),
            Set::Packed(list) => SetRef::Packed(list.view()),
            Set::Table(members) => SetRef::Table(members),
        }
    }

    /// Number of members.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no member.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member; whether it is new.
    #[inline]
    pub fn insert(&mut self, member: &[u8], limits: &Limits) -> Result<bool, OutOfMemory> {
        match self {
            Set::Intset(set) => match canonical_i64(member) {
                Some(value) => self.insert_int(value, limits),
                None => {
                    let count = set.len() + 1;
                    self.leave_intset(count, member.len(), limits)?;
                    self.insert(member, limits)
                }
            },
            Set::Packed(list) => {
                if list.view().find(None, member, 0).is_some() {
                    return Ok(false);
                }
                if list.len() < PACKED_ENTRIES_MAX && member.len() <= PACKED_BYTES_MAX {
                    list.push_back(member);
                    return Ok(true);
                }
                *self = Set::Table(table_of(self.view(), limits)?);
                self.insert(member, limits)
            }
            Set::Table(members) => {
                let key = members.key(member);
                if members.find_key(key).is_some() {
                    return Ok(false);
                }
                members.insert_key(key, &[])?;
                members.tidy(|_, _| {});
                Ok(true)
            }
        }
    }

    /// Adds a member of another set; whether it is new.
    #[inline]
    pub fn insert_item(&mut self, member: Item<'_>, limits: &Limits) -> Result<bool, OutOfMemory> {
        match (&self, member) {
            (Set::Intset(_), Item::Int(value)) => self.insert_int(value, limits),
            _ => self.insert(member.as_bytes(&mut itoa::Buffer::new()), limits),
        }
    }

    fn insert_int(&mut self, value: i64, limits: &Limits) -> Result<bool, OutOfMemory> {
        let Set::Intset(set) = self else { return Ok(false) };
        if !set.insert(value) {
            return Ok(false);
        }
        let count = set.len();
        if count > limits.set_max_intset_entries.min(INTSET_ENTRIES_MAX) {
            self.leave_intset(count, 0, limits)?;
        }
        Ok(true)
    }

    /// Leaves the form of an intset, as a set does that has had other members.
    pub fn leave_intset_form(&mut self, limits: &Limits) -> Result<(), OutOfMemory> {
        self.leave_intset(self.len(), 0, limits)
    }

    /// Makes an intset a set of texts, with room for `count` members of which one has `bytes`.
    fn leave_intset(
        &mut self,
        count: usize,
        bytes: usize,
        limits: &Limits,
    ) -> Result<(), OutOfMemory> {
        let Set::Intset(set) = self else { return Ok(()) };
        if count <= PACKED_ENTRIES_MAX && bytes <= PACKED_BYTES_MAX {
            let mut list = Listpack::new();
            set.iter().for_each(|value| list.push_back_int(value));
            *self = Set::Packed(list);
        } else {
            *self = Set::Table(table_of(self.view(), limits)?);
        }
        Ok(())
    }

    /// Takes a member out; whether it was there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Intset(set) => canonical_i64(member).is_some_and(|value| set.remove(value)),
            Set::Packed(list) => match list.view().find(None, member, 0) {
                Some(at) => {
                    list.remove(at);
                    true
                }
                None => false,
            },
            Set::Table(members) => {
                let was_there = members.remove_name(member);
                if was_there {
                    self.tidy();
                }
                was_there
            }
        }
    }

    /// Takes a member of another set out; whether it was there.
    pub fn remove_item(&mut self, member: Item<'_>) -> bool {
        match (&mut *self, member) {
            (Set::Intset(set), Item::Int(value)) => set.remove(value),
            _ => self.remove(member.as_bytes(&mut itoa::Buffer::new())),
        }
    }

    /// Takes a member out, each equally likely; `taken` sees it.
    #[inline]
    pub fn take_random<R>(
        &mut self,
        random: &mut Random,
        taken: impl FnOnce(Item<'_>) -> R,
    ) -> Option<R> {
        match self {
            Set::Intset(set) => {
                let value = set.remove_at(below(random, set.len()))?;
                Some(taken(Item::Int(value)))
            }
            Set::Packed(list) => {
                let at = list.view().seek(below(random, list.len()) as i64)?;
                let result = taken(list.view().get(at));
                list.remove(at);
                Some(result)
            }
            Set::Table(members) => {
                let id = members.random(random)?;
                let result = taken(Item::Bytes(members.name(id)));
                members.remove(id);
                self.tidy();
                Some(result)
            }
        }
    }

    /// After a member left a table: closes gaps, and packs what has become small.
    fn tidy(&mut self) {
        let Set::Table(members) = self else { return };
        members.tidy(|_, _| {});
        if members.len() == PACKED_AGAIN_ENTRIES
            && let Some(list) = packed_of(members)
        {
            *self = Set::Packed(list);
        }
    }

    /// Begins a copy in the form of another set: all of a small form, nothing yet of a table, whose members
    /// [`Set::add_all`] adds.
    #[must_use]
    pub fn begin_copy(from: SetRef<'_>, limits: &Limits) -> Set {
        match from {
            SetRef::Intset(set) => Set::Intset(Intset::from_bytes(set.as_bytes().to_vec())),
            SetRef::Packed(list) => Set::Packed(Listpack::from_bytes(list.as_bytes().to_vec())),
            SetRef::Table(_) => Set::Table(Box::new(Members::new(&limits.hasher, Shape::Bare))),
        }
    }

    /// Goes on copying `from` into this set, about `units` members in one call.
    pub fn add_all(
        &mut self,
        from: SetRef<'_>,
        cursor: &mut SetCursor,
        units: usize,
        limits: &Limits,
    ) -> Result<Progress, OutOfMemory> {
        let mut result = Ok(());
        let progress = from.walk(cursor, units, |member| {
            if result.is_ok() {
                result = self.insert_item(member, limits).map(|_| ());
            }
        });
        result.map(|()| progress)
    }
}

impl Aggregate for Set {
    const KIND: Kind = Kind::Set;
    type View<'a> = SetRef<'a>;

    fn new_empty() -> Set {
        Set::new()
    }

    fn from_packed(is_ints: bool, bytes: Vec<u8>) -> Set {
        match is_ints {
            true => Set::Intset(Intset::from_bytes(bytes)),
            false => Set::Packed(Listpack::from_bytes(bytes)),
        }
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        match self {
            Set::Intset(set) => Some((true, set.as_bytes())),
            Set::Packed(list) => Some((false, list.as_bytes())),
            Set::Table(_) => None,
        }
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        match self {
            Set::Intset(set) => set.into_bytes(),
            Set::Packed(list) => list.into_bytes(),
            Set::Table(_) => Vec::new(),
        }
    }

    fn view_packed(is_ints: bool, bytes: &[u8]) -> SetRef<'_> {
        match is_ints {
            true => SetRef::Intset(IntsetRef::new(bytes)),
            false => SetRef::Packed(ListpackRef::new(bytes)),
        }
    }

    fn view(&self) -> SetRef<'_> {
        Set::view(self)
    }

    fn is_gone(&self) -> bool {
        self.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Set::Intset(set) => set.capacity(),
            Set::Packed(list) => list.capacity(),
            Set::Table(members) => size_of::<Members>() + members.bytes(),
        }
    }

    fn into_object(self) -> Object {
        Object::Set(self)
    }

    fn of(object: &Object) -> Option<&Set> {
        if let Object::Set(value) = object { Some(value) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Set> {
        if let Object::Set(value) = object { Some(value) } else { None }
    }
}

impl Garbage for Set {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            Set::Table(members) => members.free_slice(units),
            Set::Intset(_) | Set::Packed(_) => {
                let mut bytes = std::mem::take(self).into_packed_bytes();
                let progress = bytes.free_slice(units);
                *self = Set::Packed(Listpack::from_bytes(bytes));
                progress
            }
        }
    }
}

#[inline]
fn progress(is_done: bool) -> Progress {
    if is_done { Progress::Done } else { Progress::More }
}

#[inline]
fn below(random: &mut Random, count: usize) -> usize {
    random.below(count as u64) as usize
}

/// [`SetRef::scan`] of a packed set, as if its members were in a table of as many buckets as Redis would give it:
/// visited are whole buckets, in the order of their numbers' bits reversed, as tables are.
fn scan_packed<'a>(
    list: ListpackRef<'a>,
    cursor: u64,
    count: u64,
    hasher: &KeyHasher,
    mut visit: impl FnMut(Item<'a>),
) -> u64 {
    let Some(first) = list.first() else { return 0 };
    let mask = list.len().next_power_of_two() as u64 - 1;
    let from = (cursor & mask).reverse_bits();
    let turn_of = |item: Item<'_>| {
        (hasher.hash(item.as_bytes(&mut itoa::Buffer::new())) & mask).reverse_bits()
    };
    let mut members: Vec<(u64, Item<'a>)> =
        list.items_from(first).map(|item| (turn_of(item), item)).collect();
    members.retain(|&(turn, _)| turn >= from);
    members.sort_by_key(|&(turn, _)| turn);
    let (mut seen, mut last) = (0, None);
    for (turn, item) in members {
        if seen >= count && last != Some(turn) {
            return turn.reverse_bits();
        }
        visit(item);
        (seen, last) = (seen + 1, Some(turn));
    }
    0
}

/// A table of the members of a small set. O(n).
fn table_of(set: SetRef<'_>, limits: &Limits) -> Result<Box<Members>, OutOfMemory> {
    let mut members = Box::new(Members::new(&limits.hasher, Shape::Bare));
    let mut result = Ok(());
    let _ = set.walk(&mut SetCursor::default(), usize::MAX, |member| {
        if result.is_ok() {
            let mut digits = itoa::Buffer::new();
            result = members.insert(member.as_bytes(&mut digits), &[]).map(|_| ());
        }
    });
    result.map(|()| members)
}

/// The few members of a table as a listpack, if they are short enough.
fn packed_of(members: &Members) -> Option<Listpack> {
    let mut list = Listpack::new();
    let mut is_short = true;
    for bucket in 0..members.buckets() {
        members.visit_bucket(bucket, |id: MemberId| {
            let name = members.name(id);
            is_short &= name.len() <= PACKED_BYTES_MAX;
            if is_short {
                list.push_back(name);
            }
        });
    }
    is_short.then_some(list)
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
