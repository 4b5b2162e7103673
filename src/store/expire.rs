//! Deleting keys whose time has come.
//!
//! Access deletes what it meets (`Db::locate`). The rest is found by the timing wheel (`wheel`), which has the
//! handles of all entries that expire before its mark: `expire_due` works off the slots that have passed, and
//! `sweep` goes round the buckets, once in some 15 s, to bring those that come next. A key whose TTL is short
//! comes into the wheel when it is written; that is all a write does about it.
//!
//! A handle from the wheel is a hint. It is believed if a slot of the heap is in use there, has a TTL and is
//! past it; then it is an entry to delete, whatever brought us to it. One that is not past it has a handle of
//! its own in a later slot, unless this slot is its own (the clock was set back): then it is put back.
//!
//! Promise: a key is deleted within a slot (4 ms) after its time if `expire_due` is called then; a call takes
//! no longer than its budget says. Neither keys that are rewritten nor those that are deleted early make the
//! wheel grow beyond `refs_max`. Time may jump: forward, the slots between are skipped by their bits and the
//! sweep hurries; back, the wheel is built anew.
//!
//! Cost: about 150 ns per deleted key, of 10M; the sweep of 10M keys 1 to 2 % of a core, where
//! any has a TTL of more than two minutes, and nothing else.

use super::db::Db;
use super::heap::Handle;
use super::view::key_equals;
use super::wheel::{CHUNK_HANDLES, Wheel, slot_number};
use super::{entry, view};
use crate::base::hash::Key;
use crate::base::time::UnixMillis;
use crate::store::db::News;
use crate::types::table::Slot;

/// Buckets looked ahead for the processor to fetch.
const LOOKAHEAD: usize = 4;
/// What a round may take: less than half the span of the wheel, so that the mark stays ahead of time.
const ROUND_MS: i64 = 60_000;
/// How long before the mark the round that moves it must be over.
const MARGIN_MS: i64 = 1000;
/// A database of few buckets is gone round this often, for its mean TTL.
const SHORT_ROUND_MS: i64 = 100;
/// Buckets swept in `SHORT_ROUND_MS` at least.
const SHORT_ROUND_BUCKETS: i64 = 64;
/// Handles there may be in a wheel of a small database.
const REFS_MIN: usize = 1 << 16;
/// What is this near stays in a wheel that has grown too large; the second if the first is not enough.
const CUT_AFTER_MS: [i64; 2] = [20_000, 2000];
/// A wheel is given back when the database has had no TTL for so long.
const KEEP_MS: i64 = 10_000;

/// What a call of `expire_due` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Handles it looked at.
    pub visited: usize,
    /// Keys it deleted.
    pub expired: usize,
    /// Whether more is due.
    pub is_left: bool,
}

/// What a call of `sweep` saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepProgress {
    /// Entries with a TTL it looked at.
    pub visited: usize,
    /// How many of them were past their time.
    pub dead: usize,
    /// Whether the sweep is late: more buckets should be visited soon.
    pub is_left: bool,
}

impl Db {
    /// When something will be due, a key or a field; a moment in the past if something is. `None` if no key is known
    /// to expire within the span of the wheel, and no field. O(1), about 10 ns; two loads where nothing has a TTL,
    /// for it is asked of every database in each turn of the loop.
    #[inline]
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<UnixMillis> {
        if self.wheel.is_none() && self.field_expiries.is_none() {
            return None;
        }
        self.next_known_expiry_ms()
    }

    fn next_known_expiry_ms(&self) -> Option<UnixMillis> {
        let wheel = self.wheel.as_ref().filter(|_| !self.keeps_expired);
        let keys_ms = wheel.and_then(|wheel| wheel.next_ms());
        match self.next_field_expiry_ms() {
            Some(fields_ms) => Some(keys_ms.map_or(fields_ms, |keys_ms| keys_ms.min(fields_ms))),
            None => keys_ms,
        }
    }

    /// Number of keys that are past their time and wait to be deleted, at most (some handles may be stale).
    #[must_use]
    pub fn overdue_len(&self) -> usize {
        self.wheel.as_ref().map_or(0, |wheel| wheel.due_refs().min(self.expires))
    }

    /// Deletes keys whose time has come, looking at about `budget` of them. About 150 ns each.
    pub fn expire_due(&mut self, budget: usize) -> ExpireProgress {
        self.expire_due_unless(budget, Db::is_held)
    }

    fn expire_due_unless(
        &mut self,
        budget: usize,
        is_held: impl Fn(&Db, u64) -> bool,
    ) -> ExpireProgress {
        let mut progress = ExpireProgress::default();
        let mut handles = [0; CHUNK_HANDLES];
        let now_ms = self.now_ms;
        if self.keeps_expired {
            return progress;
        }
        if let Some(wheel) = &mut self.wheel {
            wheel.advance(now_ms);
        }
        while let Some(wheel) = &mut self.wheel {
            progress.is_left = wheel.has_due();
            if progress.visited >= budget {
                break;
            }
            let Some((number, count)) = wheel.take_due(&mut handles) else { break };
            for &handle in wheel.peek_due() {
                self.heap.prefetch(Handle::from_raw(handle));
            }
            progress.visited += count;
            progress.expired += self.expire_some(number, &handles[..count], &is_held);
        }
        progress
    }

    /// Deletes those of a slot's entries that are past their time.
    fn expire_some(
        &mut self,
        number: i64,
        handles: &[u32],
        is_held: &impl Fn(&Db, u64) -> bool,
    ) -> usize {
        let (mut dead, mut dead_count) = ([(0, 0); CHUNK_HANDLES], 0);
        for &raw in handles {
            let handle = Handle::from_raw(raw);
            if !self.heap.is_live_slot(handle) {
                continue;
            }
            let bytes = self.heap.slot(handle);
            match entry::expiry(bytes) {
                Some(expiry) if self.now_ms > expiry => {
                    let hash = self.hasher.hash(view::key_bytes(&self.blocks, bytes));
                    self.table.prefetch_bucket(hash);
                    dead[dead_count] = (raw, hash);
                    dead_count += 1;
                }
                Some(expiry) if slot_number(expiry) <= number => self.put_back(raw, expiry),
                _ => {}
            }
        }
        let mut expired = 0;
        for &(raw, hash) in &dead[..dead_count] {
            if is_held(self, hash) {
                self.wheel.iter_mut().for_each(|wheel| wheel.push_retry(raw));
            } else if let Some(slot) = self.table.find(hash, |handle| handle == raw) {
                self.expire_slot(slot);
                expired += 1;
            }
        }
        expired
    }

    fn put_back(&mut self, handle: u32, expiry: UnixMillis) {
        if let Some(wheel) = &mut self.wheel {
            wheel.push(handle, expiry);
        }
    }

    /// Goes on with the round that brings to the wheel what expires next: as far as it should have come by
    /// now, but no more than `budget_buckets`. About 0.2 us per bucket where all keys have TTLs.
    pub fn sweep(&mut self, budget_buckets: usize) -> SweepProgress {
        let mut progress = SweepProgress::default();
        if self.expires == 0 || self.keeps_expired {
            return progress;
        }
        let (now_ms, buckets) = (self.now_ms, self.table.buckets());
        let Some(wheel) = &mut self.wheel else { return progress };
        wheel.advance(now_ms);
        wheel.extend();
        if wheel.is_sweeping() && wheel.is_outdated() {
            wheel.begin_round(now_ms);
        }
        let since_ms = now_ms.saturating_sub(wheel.round.started_ms);
        if !wheel.is_sweeping() {
            let is_soon = (0..SHORT_ROUND_MS).contains(&since_ms);
            if is_soon && wheel.mark_ms() > now_ms.saturating_add(MARGIN_MS) {
                return progress;
            }
            wheel.begin_round(now_ms);
        }
        let goal = round_goal(wheel, now_ms, buckets);
        let start = wheel.round.cursor;
        let end = goal.max(start).min(start.saturating_add(budget_buckets));
        self.sweep_to(end, &mut progress);
        // A round that was begun before time jumped ends with a mark of that time.
        let is_behind = self.wheel.as_ref().is_some_and(|wheel| wheel.mark_ms() <= now_ms);
        progress.is_left = end < goal || is_behind;
        progress
    }

    /// Visits the buckets from the cursor of the round to `end`, and ends the round behind the last bucket.
    fn sweep_to(&mut self, end: usize, progress: &mut SweepProgress) {
        let Some(wheel) = &self.wheel else { return };
        let start = wheel.round.cursor;
        let mut ttl_sum_ms = 0;
        for bucket in start..end {
            let (table, heap) = (&self.table, &self.heap);
            table.visit_bucket(bucket + LOOKAHEAD, |handle, has_ttl| {
                if has_ttl {
                    heap.prefetch(Handle::from_raw(handle));
                }
            });
            ttl_sum_ms += self.sweep_bucket(bucket, progress);
        }
        let alive = progress.visited - progress.dead;
        if alive > 0 {
            self.note_ttl((ttl_sum_ms / alive as i128) as i64);
        }
        let buckets = self.table.buckets();
        if let Some(wheel) = &mut self.wheel {
            wheel.round.cursor = end;
            if end >= buckets {
                wheel.end_round();
            }
        }
    }

    /// Brings to the wheel what the round seeks of one bucket; the sum of the TTLs it sees.
    fn sweep_bucket(&mut self, bucket: usize, progress: &mut SweepProgress) -> i128 {
        let Some(wheel) = &mut self.wheel else { return 0 };
        let (heap, now_ms) = (&self.heap, self.now_ms);
        let mut ttl_sum_ms = 0;
        self.table.visit_bucket(bucket, |handle, has_ttl| {
            if !has_ttl {
                return;
            }
            let Some(expiry) = entry::expiry(heap.slot(Handle::from_raw(handle))) else { return };
            progress.visited += 1;
            if now_ms > expiry {
                progress.dead += 1;
            } else {
                ttl_sum_ms += i128::from(expiry) - i128::from(now_ms);
            }
            if wheel.is_sought(expiry) {
                wheel.push(handle, expiry);
            } else if wheel.is_far(expiry) {
                wheel.note_far();
            }
        });
        ttl_sum_ms
    }

    /// Before the entries of `source` join those of `target`: where the round has passed that but not yet come
    /// here, it would miss them.
    #[inline]
    pub(super) fn before_merge(&mut self, target: usize, source: usize) {
        if let Some(wheel) = &self.wheel
            && target < wheel.round.cursor
            && wheel.round.cursor <= source
        {
            self.sweep_bucket(source, &mut SweepProgress::default());
        }
    }

    /// Frees about `budget_chunks` chunks of what the wheel has forgotten, and the wheel when no key has a TTL
    /// any more; true when nothing is left to free.
    pub fn tidy_wheel(&mut self, budget_chunks: usize) -> bool {
        let now_ms = self.now_ms;
        let Some(wheel) = &mut self.wheel else { return true };
        let is_kept = (0..KEEP_MS).contains(&now_ms.saturating_sub(wheel.round.started_ms));
        if self.expires > 0 || is_kept && wheel.refs() < REFS_MIN {
            return wheel.free_slice(budget_chunks);
        }
        if wheel.refs() > 0 {
            wheel.forget(now_ms);
            // No key has a TTL: a round would find nothing.
            wheel.begin_round(now_ms);
            wheel.end_round();
        }
        let is_done = wheel.free_slice(budget_chunks);
        if is_done {
            self.wheel = None;
        }
        is_done
    }

    /// Deletes every key whose time has come, for tests that move time. O(keys due), and O(buckets) when time
    /// has moved on by more than some seconds.
    pub fn expire_all(&mut self) {
        let now_ms = self.now_ms;
        while let Some(wheel) = &mut self.wheel
            && !self.keeps_expired
        {
            wheel.advance(now_ms);
            // Part of the present slot has passed as well.
            wheel.take_current();
            wheel.extend();
            while self.expire_due(usize::MAX).is_left {}
            let Some(wheel) = &mut self.wheel else { return };
            if wheel.mark_ms() > now_ms {
                return;
            }
            if !wheel.is_sweeping() || wheel.is_outdated() {
                wheel.begin_round(now_ms);
            }
            // Deleting comes afterwards, so no bucket leaves meanwhile.
            self.sweep_to(self.table.buckets(), &mut SweepProgress::default());
        }
    }

    /// The mean TTL of keys that have one, estimated from what `sweep` saw lately.
    #[must_use]
    pub fn avg_ttl_ms(&self) -> i64 {
        if self.expires == 0 { 0 } else { self.ttl_mean_ms }
    }

    fn note_ttl(&mut self, sample_ms: i64) {
        // A running mean with a weight of 2 %, as Redis keeps it.
        self.ttl_mean_ms = match self.ttl_mean_ms {
            0 => sample_ms,
            mean => mean / 50 * 49 + sample_ms / 50,
        };
    }

    /// An entry has come to this handle, with this TTL.
    #[inline]
    pub(super) fn note_expiry(&mut self, handle: u32, expiry: UnixMillis, bucket: usize) {
        let Some(wheel) = &mut self.wheel else { return self.note_first_expiry(handle, expiry) };
        if wheel.covers(expiry, bucket) {
            if wheel.refs() >= wheel.refs_max {
                return self.note_expiry_at_limit(handle, expiry, bucket);
            }
            wheel.push(handle, expiry);
        } else {
            wheel.note_far();
        }
    }

    /// As `note_expiry`, for an entry that stays where it was and had (perhaps) another TTL.
    #[inline]
    pub(super) fn note_expiry_again(
        &mut self,
        slot: Slot,
        old: Option<UnixMillis>,
        expiry: UnixMillis,
    ) {
        // Its handle is in that slot already, or will be.
        if old.is_none_or(|old| slot_number(old) != slot_number(expiry)) {
            self.note_expiry(slot.handle, expiry, slot.bucket);
        }
    }

    #[cold]
    fn note_first_expiry(&mut self, handle: u32, expiry: UnixMillis) {
        let mut wheel = Box::new(Wheel::new(self.now_ms));
        wheel.refs_max = REFS_MIN;
        if wheel.covers(expiry, 0) {
            wheel.push(handle, expiry);
        } else {
            wheel.note_far();
        }
        self.wheel = Some(wheel);
    }

    /// The wheel is as large as was thought enough. Either there are more keys now, or most of its handles are
    /// stale: then it forgets those of later times, which costs a round.
    #[cold]
    fn note_expiry_at_limit(&mut self, handle: u32, expiry: UnixMillis, bucket: usize) {
        // Half the keys, so that a round costs little for each stale handle that made it necessary.
        let refs_max = REFS_MIN + 2 * self.expires + self.table.len() / 2;
        let now_ms = self.now_ms;
        let Some(wheel) = &mut self.wheel else { return };
        wheel.refs_max = refs_max;
        if wheel.refs() >= refs_max {
            for after_ms in CUT_AFTER_MS {
                if wheel.refs() >= refs_max / 2 {
                    wheel.cut(now_ms.saturating_add(after_ms));
                }
            }
            // Nothing expires now (the clock stands, or clients are paused), or keys live very short lives.
            if wheel.refs() >= refs_max / 2 {
                wheel.forget(now_ms);
            }
        }
        if wheel.covers(expiry, bucket) {
            wheel.push(handle, expiry);
        }
    }

    /// Deletes an entry known by its handle, because its time has come.
    pub(super) fn expire_handle(&mut self, handle: u32) {
        let bytes = self.heap.slot(Handle::from_raw(handle));
        let hash = self.hasher.hash(view::key_bytes(&self.blocks, bytes));
        if let Some(slot) = self.table.find(hash, |other| other == handle) {
            self.expire_slot(slot);
        }
    }

    /// Before an entry is added while dead ones are kept: the key's own dead entry must go, or there
    /// would be two.
    #[cold]
    pub(super) fn drop_kept(&mut self, key: Key<'_>) {
        let (heap, blocks) = (&self.heap, &self.blocks);
        let found = self.table.find(key.hash, |handle| key_equals(heap, blocks, handle, key.bytes));
        if let Some(slot) = found {
            self.remove_slot(slot);
        }
    }

    /// Whether a job holds the key of this hash: it stays as it is, whatever its time.
    #[inline]
    pub fn is_held(&self, hash: u64) -> bool {
        self.holds.held(hash).is_some()
    }

    fn is_slot_held(&self, slot: Slot) -> bool {
        !self.holds.is_empty() && self.is_held(self.hasher.hash(self.entry(slot.handle).key()))
    }

    #[cold]
    pub(super) fn expire_slot(&mut self, slot: Slot) {
        if self.keeps_expired || self.is_slot_held(slot) {
            return;
        }
        self.stats.expired += 1;
        if self.record_expired {
            self.expired_log.push(self.entry(slot.handle).key().into());
            if self.record_news {
                self.news.push(News::Expired);
            }
        }
        self.remove_slot(slot);
    }
}

/// The bucket a round should have reached by now: all when the mark is near.
fn round_goal(wheel: &Wheel, now_ms: UnixMillis, buckets: usize) -> usize {
    let started_ms = wheel.round.started_ms;
    if wheel.is_seeking() && wheel.mark_ms() <= now_ms.saturating_add(MARGIN_MS) {
        return buckets;
    }
    let margin_ms = wheel.mark_ms().saturating_sub(started_ms).saturating_sub(MARGIN_MS);
    let round_ms = i128::from(margin_ms.clamp(1, ROUND_MS));
    let elapsed_ms = i128::from(now_ms.saturating_sub(started_ms).max(0));
    let even =
        i128::from(wheel.is_seeking()) * (buckets as i128).saturating_mul(elapsed_ms) / round_ms;
    let least = elapsed_ms * i128::from(SHORT_ROUND_BUCKETS) / i128::from(SHORT_ROUND_MS);
    let least = least + i128::from(SHORT_ROUND_BUCKETS);
    usize::try_from(even.max(least)).unwrap_or(usize::MAX).min(buckets)
}

#[cfg(test)]
#[path = "expire_tests.rs"]
mod tests;
