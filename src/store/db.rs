//! One database: keys, their values and TTLs.
//!
//! `Db` puts the parts together: `table` finds a key's entry, `heap` holds it, `blocks` holds what
//! is too large for the heap. Every change of an entry passes one private door, `before_write`, and
//! every move of an entry between buckets another, `before_move`: point-in-time iteration hangs
//! there, so no change may bypass them. The other operations stand in files of their own:
//! `db_string`, `ahead`, `scan`, `expire`, `compact`, `owned`, `flush`.
//!
//! Promise: an expired entry is never seen (it is deleted on the way); a failed write changes
//! nothing; time comes from `begin` alone. Cost: a lookup is two cache misses (bucket, entry); one
//! insert splits at most two buckets.

use super::OutOfMemory;
use super::WrongType;
use super::blocks::{Blocks, Graveyard};
use super::compact::TidyRound;
use super::entry::{self, INLINE_KEY_MAX, Stored, StoredKey, TTL};
use super::fifo::Fifo;
use super::heap::{Handle, Heap, same_class};
use super::holds::Holds;
use super::sample::SampleWalk;
use super::view::{Clock, EntryRef, StringRef, key_bytes, key_equals};
use super::walk::Walk;
use super::wheel::Wheel;
use crate::base::hash::{Key, KeyHasher};
use crate::base::time::UnixMillis;
use crate::types::expiries::Expiries;
use crate::types::table::{Slot, Table};
use std::sync::Arc;

/// LFU counter of a new key: high enough not to be evicted at once.
const LFU_INIT: u32 = 5;
/// Buckets one write may split or merge.
const RESIZE_STEPS: usize = 2;

/// What a database notes for those who want to be told, in the order in which it happened.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The next key of `Db::expired_log` has expired.
    Expired,
    /// This key came.
    New(Box<[u8]>),
    /// This key was looked up in vain.
    Missed(Box<[u8]>),
}

/// What a database counts. `hits` and `misses` are reads of commands that look for a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DbStats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys deleted because their time had come.
    pub expired: u64,
    /// Fields of hashes deleted because their time had come.
    pub expired_fields: u64,
    /// Entries written or deleted.
    pub changes: u64,
    /// Collections that were deleted or replaced and freed later, in slices.
    pub freed_later: u64,
}

impl DbStats {
    /// Adds what another database counted.
    pub fn add(&mut self, other: &DbStats) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.expired += other.expired;
        self.expired_fields += other.expired_fields;
        self.changes += other.changes;
        self.freed_later += other.freed_later;
    }
}

/// Where a database's memory is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DbMemory {
    /// Buckets of the table.
    pub table_bytes: usize,
    /// Heap slots in use.
    pub heap_live_bytes: usize,
    /// Heap pages held, with their free slots.
    pub heap_page_bytes: usize,
    /// Large values and keys.
    pub block_bytes: usize,
    /// Large values and keys that are deleted and not yet freed.
    pub garbage_bytes: usize,
}

impl DbMemory {
    /// All of it that data takes (free heap slots do not count).
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.table_bytes + self.heap_live_bytes + self.block_bytes + self.garbage_bytes
    }
}

/// A database. See the head of the file.
pub struct Db {
    /// What happened so far.
    pub stats: DbStats,
    /// Reads leave LRU and LFU alone (CLIENT NO-TOUCH, OBJECT).
    pub no_touch: bool,
    /// Keys past their time look gone but are not deleted (CLIENT PAUSE: the data must not change).
    pub keeps_expired: bool,
    /// Whether `expired_log` is kept.
    pub record_expired: bool,
    /// Keys that expired since somebody emptied the log.
    pub expired_log: Vec<Box<[u8]>>,
    /// Whether `news` is kept.
    pub record_news: bool,
    /// What else happened since somebody emptied it.
    pub news: Vec<News>,
    /// The keys that jobs hold.
    pub holds: Holds,
    /// Walks under way.
    pub(super) walks: Vec<Walk>,
    /// Walks ever begun.
    pub(super) walk_count: u32,
    pub(super) hasher: KeyHasher,
    pub(super) table: Table,
    pub(super) heap: Heap,
    pub(super) blocks: Blocks,
    pub(super) graveyard: Graveyard,
    pub(super) now_ms: UnixMillis,
    pub(super) clock: Clock,
    pub(super) lfu_log_factor: u32,
    /// State of the generator that decides LFU increments.
    lfu_random: u64,
    /// Keys with a TTL.
    pub(super) expires: usize,
    /// Which of them expire soon; absent while there is no key with a TTL.
    pub(super) wheel: Option<Box<Wheel>>,
    /// When the first field of each hash expires that has such; absent while there is none.
    pub(super) field_expiries: Option<Box<Expiries<u64>>>,
    pub(super) ttl_mean_ms: i64,
    pub(super) sample_walk: SampleWalk,
    pub(super) fifo: Fifo,
    pub(super) scratch: Vec<u8>,
    pub(super) tidy_round: TidyRound,
}

impl Db {
    /// Notes that a key came, though it may have taken the place of one of the same name: as if that had been deleted
    /// first, which is how Redis does it.
    pub fn note_new(&mut self, key: &[u8]) {
        let is_noted = matches!(self.news.last(), Some(News::New(last)) if **last == *key);
        if self.record_news && !is_noted {
            self.news.push(News::New(key.into()));
        }
    }

    /// Whether something was noted for those who want to be told.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.expired_log.is_empty() || !self.news.is_empty()
    }

    /// An empty database; allocates nothing.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Db {
        Db {
            stats: DbStats::default(),
            no_touch: false,
            keeps_expired: false,
            record_expired: false,
            expired_log: Vec::new(),
            record_news: false,
            news: Vec::new(),
            holds: Holds::default(),
            walks: Vec::new(),
            walk_count: 0,
            lfu_random: hasher.hash(b"lfu") | 1,
            hasher,
            table: Table::new(),
            heap: Heap::new(),
            blocks: Blocks::new(),
            graveyard: Graveyard::new(),
            now_ms: 0,
            clock: Clock { now: 0, lfu: false, lfu_decay_minutes: 1 },
            lfu_log_factor: 10,
            expires: 0,
            wheel: None,
            field_expiries: None,
            ttl_mean_ms: 0,
            sample_walk: SampleWalk::default(),
            fifo: Fifo::default(),
            scratch: Vec::new(),
            tidy_round: TidyRound::default(),
        }
    }

    /// Sets the time for what follows, up to the next `begin`, and whether access is counted
    /// (`lfu`) or dated.
    #[inline]
    pub fn begin(&mut self, now_ms: UnixMillis, lfu: bool) {
        if now_ms == self.now_ms && lfu == self.clock.lfu {
            return;
        }
        self.now_ms = now_ms;
        self.clock.lfu = lfu;
        self.clock.now = if lfu {
            (now_ms.div_euclid(60_000) as u32 & 0xffff) << 8
        } else {
            now_ms.div_euclid(1000) as u32 & 0x00ff_ffff
        };
    }

    /// Sets `lfu-log-factor` and `lfu-decay-time`.
    pub fn set_lfu(&mut self, log_factor: u32, decay_minutes: u32) {
        self.lfu_log_factor = log_factor;
        self.clock.lfu_decay_minutes = decay_minutes;
    }

    /// An empty database with the settings of this one; what happens in it is counted anew.
    #[must_use]
    pub fn successor(&self) -> Db {
        let mut next = Db::new(self.hasher.clone());
        (next.now_ms, next.clock, next.lfu_log_factor) =
            (self.now_ms, self.clock, self.lfu_log_factor);
        (next.keeps_expired, next.record_expired) = (self.keeps_expired, self.record_expired);
        next.record_news = self.record_news;
        next.set_fifo(self.fifo.is_on);
        next
    }

    /// Has entries carry what S3-FIFO needs in place of a time or a count of accesses.
    pub fn set_fifo(&mut self, is_on: bool) {
        self.fifo.set_on(is_on);
    }

    /// A key with its hash.
    #[inline]
    #[must_use]
    pub fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        self.hasher.key(bytes)
    }

    /// Number of keys, with those that are due but not yet deleted.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys with a TTL.
    #[must_use]
    pub fn expires_len(&self) -> usize {
        self.expires
    }

    /// Where the memory is. O(1).
    #[must_use]
    pub fn memory(&self) -> DbMemory {
        DbMemory {
            table_bytes: self.table.bytes(),
            heap_live_bytes: self.heap.live_bytes(),
            heap_page_bytes: self.heap.page_bytes(),
            block_bytes: self.blocks.bytes(),
            garbage_bytes: self.graveyard.waiting_bytes(),
        }
    }

    // --- reads ---

    /// The entry of a key, for a command that reads it: counts a hit or a miss and notes the
    /// access (unless `no_touch`).
    #[inline(always)]
    pub fn read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let slot = self.locate_counted(key)?;
        self.touch(slot);
        Some(self.entry(slot.handle))
    }

    /// As `read_no_touch`, but nobody is told that the key was looked up in vain (OBJECT).
    pub fn read_unnoticed(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let records = std::mem::take(&mut self.record_news);
        let slot = self.locate_counted(key);
        self.record_news = records;
        Some(self.entry(slot?.handle))
    }

    /// As `read`, but leaves the access clock alone (EXISTS, TYPE, TTL).
    pub fn read_no_touch(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let slot = self.locate_counted(key)?;
        Some(self.entry(slot.handle))
    }

    /// The entry of a key, leaving no trace (apart from deleting it if its time has come).
    pub fn peek(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let slot = self.locate(key)?;
        Some(self.entry(slot.handle))
    }

    /// The entry of a key, whether or not its time has come, leaving no trace at all (DEBUG OBJECT).
    pub fn peek_stale(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let (heap, blocks) = (&self.heap, &self.blocks);
        let slot =
            self.table.find(key.hash, |handle| key_equals(heap, blocks, handle, key.bytes))?;
        Some(self.entry(slot.handle))
    }

    /// The entry of a key, for a command that goes on to write it: counts no hit or miss, but notes
    /// the access.
    pub fn read_for_write(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let slot = self.locate(key)?;
        self.touch(slot);
        Some(self.entry(slot.handle))
    }

    /// The string of a key, read as by `read_for_write`.
    #[inline]
    pub fn string_for_write(&mut self, key: Key<'_>) -> Result<Option<StringRef<'_>>, WrongType> {
        let Some(slot) = self.locate(key) else { return Ok(None) };
        self.touch(slot);
        self.entry(slot.handle).string().ok_or(WrongType).map(Some)
    }

    /// Whether the key exists. Counts a hit or a miss, notes no access.
    pub fn exists(&mut self, key: Key<'_>) -> bool {
        self.locate_counted(key).is_some()
    }

    /// When a key expires: `None` if there is no such key, `Some(None)` if it has no TTL. Leaves no
    /// trace, as `peek`.
    pub fn expiry(&mut self, key: Key<'_>) -> Option<Option<UnixMillis>> {
        self.peek(key).map(|entry| entry.expiry())
    }

    // --- writes ---

    /// Deletes a key; false if there was none.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        let Some(slot) = self.locate(key) else { return false };
        self.remove_slot(slot);
        true
    }

    /// Sets, changes or (with `None`) takes away the TTL of a key; false if there is no such key.
    /// A time in the past is stored as it is: the key is gone at the next look.
    pub fn set_expiry(
        &mut self,
        key: Key<'_>,
        expiry: Option<UnixMillis>,
    ) -> Result<bool, OutOfMemory> {
        let Some(slot) = self.locate(key) else { return Ok(false) };
        self.touch(slot);
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        let header = entry::header(bytes);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let value = match entry::value(bytes) {
            Stored::Bytes(bytes) => {
                scratch.extend_from_slice(bytes);
                Stored::Bytes(&scratch)
            }
            Stored::Int(value) => Stored::Int(value),
            Stored::Block(number) => Stored::Block(number),
        };
        let result = self.rewrite(slot, header, expiry, value);
        self.scratch = scratch;
        result.map(|()| true)
    }

    /// Frees at most `budget` large values (or megabytes of them) that were deleted or replaced,
    /// and as many empty pages; true when nothing is left to free.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        let values = self.free_values(budget);
        let pages = self.heap.release(budget);
        let holds = self.holds.free_slice();
        values && pages && holds
    }

    /// Frees at most `budget` deleted large values, or megabytes of them.
    pub fn free_garbage(&mut self, budget: usize) {
        self.free_values(budget);
    }

    /// Collections that `free_slice` has to free.
    #[must_use]
    pub fn garbage_objects(&self) -> usize {
        self.graveyard.waiting_objects()
    }

    fn free_values(&mut self, budget: usize) -> bool {
        let is_done = self.graveyard.free_slice(budget);
        self.stats.freed_later += self.graveyard.take_freed_objects();
        is_done
    }

    /// Whether `free_slice` has large values to free.
    #[must_use]
    pub fn has_garbage(&self) -> bool {
        !self.graveyard.is_empty()
    }

    // --- within the layer ---

    #[inline]
    pub(super) fn entry(&self, handle: u32) -> EntryRef<'_> {
        EntryRef {
            heap: &self.heap,
            blocks: &self.blocks,
            handle: Handle::from_raw(handle),
            clock: self.clock,
        }
    }

    /// The entry of a key that is not past its time; one that is gets deleted here (unless
    /// `keeps_expired`).
    #[inline(always)]
    pub(super) fn locate(&mut self, key: Key<'_>) -> Option<Slot> {
        let (heap, blocks) = (&self.heap, &self.blocks);
        let slot =
            self.table.find(key.hash, |handle| key_equals(heap, blocks, handle, key.bytes))?;
        match entry::expiry(self.heap.slot(Handle::from_raw(slot.handle))) {
            Some(expiry) if self.now_ms > expiry => {
                self.expire_slot(slot);
                None
            }
            _ => Some(slot),
        }
    }

    /// The entry of a key that is not past its time; nothing changes.
    pub(super) fn view_entry(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let (heap, blocks) = (&self.heap, &self.blocks);
        let slot =
            self.table.find(key.hash, |handle| key_equals(heap, blocks, handle, key.bytes))?;
        let entry = self.entry(slot.handle);
        entry.expiry().is_none_or(|expiry| self.now_ms <= expiry).then_some(entry)
    }

    #[inline(always)]
    pub(super) fn locate_counted(&mut self, key: Key<'_>) -> Option<Slot> {
        let slot = self.locate(key);
        match slot {
            Some(_) => self.stats.hits += 1,
            None => {
                self.stats.misses += 1;
                if self.record_news {
                    self.news.push(News::Missed(key.bytes.into()));
                }
            }
        }
        slot
    }

    /// Notes an access: the time of it, or under LFU one more (with a probability that falls as the
    /// count rises).
    #[inline(always)]
    pub(super) fn touch(&mut self, slot: Slot) {
        self.touch_entry(Handle::from_raw(slot.handle));
    }

    /// As `touch`, for one whose place in the table nobody has looked up.
    #[inline(always)]
    pub(super) fn touch_entry(&mut self, handle: Handle) {
        if self.no_touch {
            return;
        }
        let bytes = self.heap.slot_mut(handle);
        let header = entry::header(bytes);
        let field = if self.fifo.is_on {
            Fifo::hit(entry::clock(header))
        } else if self.clock.lfu {
            let counter = self.clock.decayed(entry::clock(header));
            let random = &mut self.lfu_random;
            self.clock.now | lfu_increment(counter, self.lfu_log_factor, random)
        } else {
            self.clock.now
        };
        if entry::clock(header) != field {
            entry::set_header(bytes, entry::with_clock(header, field));
        }
    }

    /// The clock field of a new entry.
    #[inline]
    pub(super) fn new_clock(&self) -> u32 {
        if self.fifo.is_on {
            self.fifo.fresh()
        } else if self.clock.lfu {
            self.clock.now | LFU_INIT
        } else {
            self.clock.now
        }
    }

    /// The door: called before an entry of `bucket` is added, changed or deleted.
    #[inline]
    pub(super) fn before_write(&mut self, bucket: usize) {
        self.stats.changes += 1;
        if !self.walks.is_empty() {
            self.show_to_walks(bucket);
        }
    }

    /// The side door: called before entries leave `bucket` for another one.
    #[inline]
    fn before_move(&mut self, bucket: usize) {
        if !self.walks.is_empty() {
            self.show_to_walks(bucket);
        }
    }

    /// Puts a value in the place of the one in `slot`, or makes a new entry. `header` brings kind,
    /// EDITED and clock. What the old value kept in a block goes to the graveyard, unless the new
    /// one is the same block.
    pub(super) fn store(
        &mut self,
        key: Key<'_>,
        slot: Option<Slot>,
        header: u32,
        expiry: Option<UnixMillis>,
        value: Stored<'_>,
    ) -> Result<(), OutOfMemory> {
        let Some(slot) = slot else { return self.insert(key, header, expiry, value) };
        self.forget_fields(slot);
        let old = match entry::value(self.heap.slot(Handle::from_raw(slot.handle))) {
            Stored::Block(number) => Some(number),
            Stored::Int(_) | Stored::Bytes(_) => None,
        };
        self.rewrite(slot, header, expiry, value)?;
        match old {
            Some(number) if value != Stored::Block(number) => self.bury(number),
            _ => {}
        }
        Ok(())
    }

    /// Writes value and TTL of an existing entry, in place if its size class stays.
    #[inline]
    pub(super) fn rewrite(
        &mut self,
        slot: Slot,
        header: u32,
        expiry: Option<UnixMillis>,
        value: Stored<'_>,
    ) -> Result<(), OutOfMemory> {
        let handle = Handle::from_raw(slot.handle);
        let bytes = self.heap.slot(handle);
        let key_end = entry::key_end(bytes);
        let old_expiry = entry::expiry(bytes);
        let size = entry::size_for(key_end, expiry.is_some(), value);
        if same_class(entry::size(bytes), size) {
            self.before_write(slot.bucket);
            entry::write_value(self.heap.slot_mut(handle), header, key_end, expiry, value);
            if let Some(expiry) = expiry {
                self.note_expiry_again(slot, old_expiry, expiry);
            }
        } else {
            let fresh = self.heap.alloc(size)?;
            self.before_write(slot.bucket);
            self.heap.copy((handle, 0), (fresh, 0), key_end);
            entry::write_value(self.heap.slot_mut(fresh), header, key_end, expiry, value);
            self.heap.free(handle);
            self.table.replace(slot, fresh.raw());
            if let Some(expiry) = expiry {
                self.note_expiry(fresh.raw(), expiry, slot.bucket);
            }
        }
        if old_expiry.is_some() != expiry.is_some() {
            self.table.set_ttl_bit(slot, expiry.is_some());
            self.expires = match expiry {
                Some(_) => self.expires + 1,
                None => self.expires - 1,
            };
        }
        Ok(())
    }

    fn insert(
        &mut self,
        key: Key<'_>,
        header: u32,
        expiry: Option<UnixMillis>,
        value: Stored<'_>,
    ) -> Result<(), OutOfMemory> {
        if self.keeps_expired || !self.holds.is_empty() {
            self.drop_kept(key);
        }
        if self.record_news {
            self.news.push(News::New(key.bytes.into()));
        }
        let stored_key = if key.bytes.len() <= INLINE_KEY_MAX {
            StoredKey::Inline(key.bytes)
        } else {
            StoredKey::Block(self.new_block(key.bytes, 0)?)
        };
        let inserted = self.insert_entry(key.hash, stored_key, header, expiry, value);
        if let (Err(_), StoredKey::Block(number)) = (inserted, stored_key) {
            self.bury(number);
        }
        inserted
    }

    fn insert_entry(
        &mut self,
        hash: u64,
        key: StoredKey<'_>,
        header: u32,
        expiry: Option<UnixMillis>,
        value: Stored<'_>,
    ) -> Result<(), OutOfMemory> {
        let header = match self.fifo.is_on {
            true => entry::with_clock(header, self.fifo.insert(hash, self.table.len())),
            false => header,
        };
        let key_end = entry::key_end_for(key);
        let handle = self.heap.alloc(entry::size_for(key_end, expiry.is_some(), value))?;
        let bytes = self.heap.slot_mut(handle);
        entry::write_key(bytes, key);
        entry::write_value(bytes, header, key_end, expiry, value);
        let bucket = self.table.bucket_of(hash);
        self.before_write(bucket);
        if let Err(error) = self.table.insert(hash, handle.raw(), expiry.is_some()) {
            self.heap.free(handle);
            return Err(error);
        }
        if let Some(expiry) = expiry {
            self.expires += 1;
            self.note_expiry(handle.raw(), expiry, bucket);
        }
        self.grow();
        Ok(())
    }

    /// Splits buckets while there are too few, a bounded number of them.
    #[inline]
    fn grow(&mut self) {
        for _ in 0..RESIZE_STEPS {
            let Some(source) = self.table.grows() else { return };
            self.before_move(source);
            let (heap, blocks, hasher) = (&self.heap, &self.blocks, &self.hasher);
            self.table.grow(
                |handle| heap.prefetch(Handle::from_raw(handle)),
                |handle| hasher.hash(key_bytes(blocks, heap.slot(Handle::from_raw(handle)))),
            );
        }
    }

    /// Deletes the entry in `slot`.
    pub(super) fn remove_slot(&mut self, slot: Slot) {
        self.forget_fields(slot);
        self.before_write(slot.bucket);
        let handle = Handle::from_raw(slot.handle);
        let bytes = self.heap.slot(handle);
        let has_ttl = entry::header(bytes) & TTL != 0;
        let key = entry::key_of(bytes);
        let key_block = if let StoredKey::Block(number) = key { Some(number) } else { None };
        let value = entry::value(bytes);
        let value_block = if let Stored::Block(number) = value { Some(number) } else { None };
        for number in [key_block, value_block].into_iter().flatten() {
            self.bury(number);
        }
        self.heap.free(handle);
        self.table.remove(slot);
        self.expires -= usize::from(has_ttl);
        for _ in 0..RESIZE_STEPS {
            let Some((target, source)) = self.table.shrinks() else { return };
            self.before_move(source);
            self.before_move(target);
            self.before_merge(target, source);
            self.table.shrink();
        }
    }

    /// Makes a block of `bytes` with room for `spare` more.
    pub(super) fn new_block(&mut self, bytes: &[u8], spare: usize) -> Result<u32, OutOfMemory> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len() + spare).map_err(|_| OutOfMemory)?;
        copy.extend_from_slice(bytes);
        self.blocks.add(Arc::new(copy)).map_err(|(_, error)| error)
    }

    /// Takes a block out, to be freed when there is time.
    pub(super) fn bury(&mut self, number: u32) {
        let block = self.blocks.take(number);
        self.graveyard.bury(block);
    }
}

/// A count after one more access: counts above `LFU_INIT` rise with probability
/// 1 / ((count − `LFU_INIT`) × factor + 1).
fn lfu_increment(counter: u32, factor: u32, random: &mut u64) -> u32 {
    if counter >= 255 {
        return 255;
    }
    // Xorshift: eviction needs no better.
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let weight = u64::from(counter.saturating_sub(LFU_INIT)) * u64::from(factor) + 1;
    counter + u32::from((*random).is_multiple_of(weight))
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
