//! Iterating a database: SCAN, KEYS, RANDOMKEY, sampling for eviction.

use super::db::Db;
use super::view::EntryRef;
use std::ops::Range;

impl Db {
    /// One step of SCAN: starts with cursor 0, goes on with the returned one, ends when that is 0.
    /// Every key that is there from the first to the last step is visited at least once. Keys past
    /// their time are deleted instead. Visits about ten keys.
    pub fn scan(&mut self, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_>)) -> u64 {
        let this = &*self;
        // Allocates only when something is due.
        let mut due = Vec::new();
        let next = this.table.scan(cursor, |handle| {
            let entry = this.entry(handle);
            if this.is_due(&entry) {
                due.push(handle);
            } else {
                visit(entry);
            }
        });
        due.into_iter().for_each(|handle| self.expire_handle(handle));
        next
    }

    /// A random key, each equally likely; `below(n)` gives a random number below n. `None` if there
    /// is none (or nothing but keys past their time was met, some of which are then deleted).
    pub fn random(&mut self, below: &mut impl FnMut(u64) -> u64) -> Option<EntryRef<'_>> {
        let mut found = None;
        for _ in 0..100 {
            let handle = self.table.random(below)?;
            if !self.is_due(&self.entry(handle)) {
                found = Some(handle);
                break;
            }
            self.expire_handle(handle);
        }
        found.map(|handle| self.entry(handle))
    }

    /// Number of buckets; `for_each_bucket` takes numbers below. Changes with any write.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.table.buckets()
    }

    /// Visits the entries of some buckets, without those past their time. For walks that nothing
    /// interrupts: between writes, buckets split and merge.
    pub fn for_each_bucket(&self, buckets: Range<usize>, visit: &mut dyn FnMut(EntryRef<'_>)) {
        for bucket in buckets {
            self.table.visit_bucket(bucket, |handle, _| {
                let entry = self.entry(handle);
                if !self.is_due(&entry) {
                    visit(entry);
                }
            });
        }
    }

    fn is_due(&self, entry: &EntryRef<'_>) -> bool {
        entry.expiry().is_some_and(|expiry| self.now_ms > expiry)
    }
}
