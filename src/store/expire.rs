//! Deleting keys whose time has come.
//!
//! Access deletes what it meets (`Db::locate`); the rest is found by a cursor that goes round the
//! buckets and looks only at entries whose tag says they have a TTL. There is no second index: a
//! TTL costs its eight bytes in the entry. The engine calls `expire_cycle` between turns, more of
//! it while much of what it finds is dead.

use super::db::Db;
use super::heap::Handle;
use super::table::Slot;
use super::view::key_equals;
use super::{entry, view};
use crate::base::hash::Key;

/// Buckets looked ahead for the processor to fetch.
const LOOKAHEAD: usize = 4;

/// What a call of `expire_cycle` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Entries with a TTL it looked at.
    pub visited: usize,
    /// How many of them it deleted.
    pub expired: usize,
    /// Whether it reached the last bucket; the next call starts at the first.
    pub done_round: bool,
}

impl Db {
    /// Looks at up to `budget_buckets` more buckets and deletes the keys in them whose time has
    /// come. About 1 us per bucket where all keys have TTLs.
    pub fn expire_cycle(&mut self, budget_buckets: usize) -> ExpireProgress {
        let mut progress = ExpireProgress::default();
        if self.expires == 0 {
            self.expire_cursor = 0;
            progress.done_round = true;
            return progress;
        }
        let (mut ttl_sum_ms, mut alive, mut dead) = (0i128, 0usize, Vec::new());
        for _ in 0..budget_buckets {
            if self.expire_cursor >= self.table.buckets() {
                self.expire_cursor = 0;
                progress.done_round = true;
                break;
            }
            self.table.visit_bucket(self.expire_cursor + LOOKAHEAD, |handle, has_ttl| {
                if has_ttl {
                    self.heap.prefetch(Handle::from_raw(handle));
                }
            });
            self.table.visit_bucket(self.expire_cursor, |handle, has_ttl| {
                if !has_ttl {
                    return;
                }
                progress.visited += 1;
                match entry::expiry(self.heap.slot(Handle::from_raw(handle))) {
                    Some(expiry) if self.now_ms > expiry => dead.push(handle),
                    Some(expiry) => {
                        ttl_sum_ms += i128::from(expiry) - i128::from(self.now_ms);
                        alive += 1;
                    }
                    None => {}
                }
            });
            self.expire_cursor += 1;
            progress.expired += dead.len();
            for handle in dead.drain(..) {
                self.expire_handle(handle);
            }
        }
        if alive > 0 {
            self.note_ttl((ttl_sum_ms / alive as i128) as i64);
        }
        progress
    }

    /// Deletes every key whose time has come, in O(buckets): for tests that move time.
    pub fn expire_all(&mut self) {
        loop {
            let before = self.expires;
            self.expire_cursor = 0;
            while !self.expire_cycle(usize::MAX).done_round {}
            // A bucket merged behind the cursor was not looked at, so once more.
            if self.expires == before {
                return;
            }
        }
    }

    /// The mean TTL of keys that have one, estimated from what `expire_cycle` saw lately.
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

    /// Whether a job holds the key of an entry: it stays as it is, whatever its time.
    pub(super) fn is_held(&self, slot: Slot) -> bool {
        if self.holds.is_empty() {
            return false;
        }
        let key = self.entry(slot.handle).key();
        self.holds.held(self.hasher.hash(key)).is_some()
    }

    #[cold]
    pub(super) fn expire_slot(&mut self, slot: Slot) {
        if self.keeps_expired || self.is_held(slot) {
            return;
        }
        self.stats.expired += 1;
        if self.record_expired {
            self.expired_log.push(self.entry(slot.handle).key().into());
        }
        self.remove_slot(slot);
    }
}
