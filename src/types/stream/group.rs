//! A consumer group: what was delivered to whom and is not acknowledged yet.
//!
//! ```text
//!   pending    id → time, count, consumer's number        one map for the group, in the order of ids
//!   consumers  number → name, seen, { id … }              each with the ids that are its own
//! ```
//!
//! A pending entry is kept once, with the group: 24 bytes. Its consumer keeps the id alone, 8 bytes, and asks the group
//! for the rest. Consumers have numbers so that an entry names its owner in 4 bytes.
//!
//! Invariant: an id is in the map of the consumer that the group's map names, and in no other.
//! Cost: O(log n) for each entry; what touches many takes `units` and goes on where it stopped.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::id::StreamId;
use super::id_map::IdMap;
use super::log::Log;
use crate::base::pieces::{Garbage, Progress};

/// [`Group::entries_read`] where it cannot be known.
pub const ENTRIES_READ_UNKNOWN: i64 = -1;

/// A stored count that says: look into `big_counts`.
const COUNT_BIG: u32 = u32::MAX;
/// The number of no consumer.
const NOBODY: ConsumerNumber = ConsumerNumber::MAX;
/// Memory of a consumer besides its name and ids: two places in trees, at their usual fill.
const CONSUMER_OVERHEAD: usize = 190;
/// Memory of one of `big_counts`.
const BIG_COUNT_BYTES: usize = 40;

/// Number of a consumer within its group. Valid until it is removed.
pub type ConsumerNumber = u32;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerNumber,
    /// When last, as Unix time in milliseconds.
    pub delivered_ms: i64,
    /// How often.
    pub count: u64,
}

/// As it is stored.
#[derive(Clone, Copy, Debug)]
struct Slot {
    delivered_ms: i64,
    consumer: ConsumerNumber,
    count: u32,
}

/// A member of a group.
#[derive(Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for something, as Unix time in milliseconds.
    pub seen_ms: i64,
    pending: IdMap<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries are pending for it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Ids of its pending entries from `start` on, in order.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.iter_from(start).map(|(id, ())| id)
    }

    fn bytes(&self) -> usize {
        CONSUMER_OVERHEAD + self.name.len() + self.pending.bytes()
    }
}

/// A consumer group.
#[derive(Debug)]
pub struct Group {
    /// The last id delivered to any consumer.
    pub last_id: StreamId,
    /// How many entries of the stream were read up to there; [`ENTRIES_READ_UNKNOWN`].
    pub entries_read: i64,
    pending: IdMap<Slot>,
    /// Counts that do not fit a slot.
    big_counts: BTreeMap<StreamId, u64>,
    names: BTreeMap<Arc<[u8]>, ConsumerNumber>,
    /// Boxed: a tree's smallest node has room for eleven.
    consumers: BTreeMap<ConsumerNumber, Box<Consumer>>,
    /// Memory of the consumers.
    consumers_bytes: usize,
}

impl Group {
    /// One without consumers that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: i64) -> Group {
        Group {
            last_id,
            entries_read,
            pending: IdMap::default(),
            big_counts: BTreeMap::new(),
            names: BTreeMap::new(),
            consumers: BTreeMap::new(),
            consumers_bytes: 0,
        }
    }

    /// Memory it owns, in bytes. O(1).
    pub fn bytes(&self) -> usize {
        let big_counts = self.big_counts.len() * BIG_COUNT_BYTES;
        size_of::<Group>() + self.pending.bytes() + big_counts + self.consumers_bytes
    }

    // --- consumers ---

    /// How many consumers there are.
    pub fn consumers_len(&self) -> usize {
        self.consumers.len()
    }

    /// The consumer of a name.
    pub fn consumer(&self, name: &[u8]) -> Option<(ConsumerNumber, &Consumer)> {
        let number = *self.names.get(name)?;
        Some((number, &**self.consumers.get(&number)?))
    }

    /// The consumer of a number.
    pub fn consumer_at(&self, number: ConsumerNumber) -> Option<&Consumer> {
        self.consumers.get(&number).map(|consumer| &**consumer)
    }

    /// Consumers in the order of their names, after the one of a name.
    pub fn consumers_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = &Consumer> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range::<[u8], _>((from, Bound::Unbounded));
        names.filter_map(|(_, number)| self.consumer_at(*number))
    }

    /// Adds a consumer; `None` if there is one of this name.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerNumber> {
        if self.names.contains_key(name) {
            return None;
        }
        let number = self.free_number()?;
        let name: Arc<[u8]> = name.into();
        let consumer = Consumer { name: name.clone(), seen_ms, pending: IdMap::default() };
        self.consumers_bytes += consumer.bytes();
        self.names.insert(name, number);
        self.consumers.insert(number, Box::new(consumer));
        Some(number)
    }

    /// Notes that a consumer was seen; the one of a name, which there may not be.
    pub fn see(&mut self, name: &[u8], now_ms: i64) -> Option<ConsumerNumber> {
        let number = *self.names.get(name)?;
        self.consumers.get_mut(&number)?.seen_ms = now_ms;
        Some(number)
    }

    /// Forgets a consumer: first about `units` of its pending entries per call, in the end itself.
    pub fn remove_consumer(&mut self, number: ConsumerNumber, units: usize) -> Progress {
        let Some(consumer) = self.consumers.get_mut(&number) else { return Progress::Done };
        let before = consumer.bytes();
        for _ in 0..units {
            let Some((id, ())) = consumer.pending.pop_first() else { break };
            self.pending.remove(id);
            self.big_counts.remove(&id);
        }
        let is_empty = consumer.pending.is_empty();
        self.consumers_bytes = self.consumers_bytes + consumer.bytes() - before;
        if !is_empty {
            return Progress::More;
        }
        if let Some(consumer) = self.consumers.remove(&number) {
            self.consumers_bytes -= consumer.bytes();
            self.names.remove(&consumer.name);
        }
        Progress::Done
    }

    /// A number that no consumer has. O(log n) unless four billion were made, the last of which is still there.
    fn free_number(&self) -> Option<ConsumerNumber> {
        let Some((&last, _)) = self.consumers.last_key_value() else { return Some(0) };
        match last + 1 {
            number if number < NOBODY => Some(number),
            _ => (0..NOBODY).find(|number| !self.consumers.contains_key(number)),
        }
    }

    // --- pending entries ---

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The least and the greatest pending id.
    pub fn pending_bounds(&self) -> Option<(StreamId, StreamId)> {
        Some((self.pending.first()?.0, self.pending.last()?.0))
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(id).map(|slot| self.shown(id, slot))
    }

    /// Pending entries from `start` on, in order.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, Pending)> + '_ {
        self.pending.iter_from(start).map(|(id, slot)| (id, self.shown(id, slot)))
    }

    fn shown(&self, id: StreamId, slot: Slot) -> Pending {
        let count = match slot.count {
            COUNT_BIG => self.big_counts.get(&id).copied().unwrap_or(u64::from(COUNT_BIG)),
            count => u64::from(count),
        };
        Pending { consumer: slot.consumer, delivered_ms: slot.delivered_ms, count }
    }

    /// An entry is delivered to a consumer for the first time; or again, taken from whoever had it, where the
    /// group was set back.
    pub fn deliver(&mut self, id: StreamId, consumer: ConsumerNumber, now_ms: i64) {
        let slot = Slot { delivered_ms: now_ms, consumer, count: 1 };
        if self.pending.insert(id, slot) {
            self.give(consumer, id);
        } else {
            self.assign(id, Pending { consumer, delivered_ms: now_ms, count: 1 });
        }
    }

    /// Makes `pending` what is known of an entry, whether it was pending or not: it may go to another consumer.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        let count = u32::try_from(pending.count).unwrap_or(COUNT_BIG);
        let Pending { consumer, delivered_ms, .. } = pending;
        let before = self.pending.get(id);
        match self.pending.get_mut(id) {
            Some(slot) => *slot = Slot { delivered_ms, consumer, count },
            None => {
                self.pending.insert(id, Slot { delivered_ms, consumer, count });
            }
        }
        if count == COUNT_BIG {
            self.big_counts.insert(id, pending.count);
        } else if !self.big_counts.is_empty() {
            self.big_counts.remove(&id);
        }
        match before {
            Some(slot) if slot.consumer == consumer => {}
            before => {
                if let Some(slot) = before {
                    self.take_from(slot.consumer, id);
                }
                self.give(consumer, id);
            }
        }
    }

    /// A consumer has read one of its own pending entries again.
    pub fn redeliver(&mut self, id: StreamId, now_ms: i64) {
        if let Some(pending) = self.pending(id) {
            let count = pending.count.wrapping_add(1);
            self.assign(id, Pending { delivered_ms: now_ms, count, ..pending });
        }
    }

    /// An entry is pending no longer; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(slot) = self.pending.remove(id) else { return false };
        if slot.count == COUNT_BIG {
            self.big_counts.remove(&id);
        }
        self.take_from(slot.consumer, id);
        true
    }

    fn give(&mut self, consumer: ConsumerNumber, id: StreamId) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            let before = consumer.pending.bytes();
            consumer.pending.insert(id, ());
            self.consumers_bytes = self.consumers_bytes + consumer.pending.bytes() - before;
        }
    }

    fn take_from(&mut self, consumer: ConsumerNumber, id: StreamId) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            let before = consumer.pending.bytes();
            consumer.pending.remove(id);
            self.consumers_bytes = self.consumers_bytes + consumer.pending.bytes() - before;
        }
    }

    // --- as it comes out of a dump ---

    /// Adds a pending entry whose consumer is not known yet; false if it is there already.
    pub(super) fn restore_pending(&mut self, id: StreamId, delivered_ms: i64, count: u64) -> bool {
        let stored = u32::try_from(count).unwrap_or(COUNT_BIG);
        if stored == COUNT_BIG {
            self.big_counts.insert(id, count);
        }
        self.pending.insert(id, Slot { delivered_ms, consumer: NOBODY, count: stored })
    }

    /// Says to whom a pending entry was delivered; false if it is not pending or somebody else's.
    pub(super) fn restore_owner(&mut self, id: StreamId, consumer: ConsumerNumber) -> bool {
        match self.pending.get_mut(id) {
            Some(slot) if slot.consumer == NOBODY => slot.consumer = consumer,
            _ => return false,
        }
        self.give(consumer, id);
        true
    }

    /// Whether every pending entry has a consumer. O(consumers).
    pub(super) fn is_whole(&self) -> bool {
        let owned: usize = self.consumers.values().map(|consumer| consumer.pending_len()).sum();
        owned == self.pending.len()
    }

    // --- where it is in the stream ---

    /// An entry is delivered: the group's last id moves on to it, if it was before it, and the count of entries read
    /// with it, or is found again where it was lost.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id <= self.last_id {
            return;
        }
        if self.entries_read != ENTRIES_READ_UNKNOWN && !log.has_tombstones_from(id) {
            self.entries_read = self.entries_read.wrapping_add(1);
        } else if log.entries_added() > 0 {
            self.entries_read = log.entries_up_to(id).unwrap_or(ENTRIES_READ_UNKNOWN);
        }
        self.last_id = id;
    }

    /// How many entries the group has still to read; `None` where that cannot be told because of deleted entries.
    pub fn lag(&self, log: &Log) -> Option<i64> {
        if log.entries_added() == 0 {
            return Some(0);
        }
        let is_counted = self.entries_read != ENTRIES_READ_UNKNOWN;
        let read = match is_counted && !log.has_tombstones_from(self.last_id) {
            true => self.entries_read,
            false => log.entries_up_to(self.last_id)?,
        };
        Some((log.entries_added() as i64).wrapping_sub(read))
    }
}

/// Frees pages of pending ids, then consumers.
impl Garbage for Group {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            if let Some(mut entry) = self.consumers.first_entry() {
                if entry.get_mut().pending.free_slice(1).is_done() {
                    entry.remove();
                }
            } else if self.names.pop_first().is_none()
                && self.big_counts.pop_first().is_none()
                && self.pending.free_slice(1).is_done()
            {
                *self = Group::new(StreamId::MIN, 0);
                return Progress::Done;
            }
        }
        Progress::More
    }
}
