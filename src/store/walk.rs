//! Visiting every entry as of one instant, in slices, while the database goes on changing.
//!
//! A walk goes through the buckets in order. Whatever is about to change a bucket it has not reached lets the
//! walk visit that bucket first: every change of an entry, and every move of entries between buckets, passes one
//! of two doors (`Db::before_write`, `Db::before_move`), and the walks stand there. Buckets that come into being
//! by a split hold only entries of buckets already visited. So each entry that existed when the walk began is
//! visited once, as it was then, and none that came later.
//!
//! Cost: one branch per write while there is no walk; else one bit per bucket, and each bucket's visit is done by
//! whoever comes first.
use std::any::Any;

use super::db::Db;
use super::view::EntryRef;
use crate::base::time::UnixMillis;
use crate::types::table::Table;

/// Sees the entries of a walk.
pub trait Visitor: Any + Send {
    /// One entry, as it was when the walk began. Those past their time then are left out.
    fn visit(&mut self, entry: EntryRef<'_>);
}

/// A walk of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkId(u32);

/// A walk under way.
pub(super) struct Walk {
    id: WalkId,
    /// The time it shows.
    now_ms: UnixMillis,
    /// Buckets when it began.
    buckets: usize,
    /// The next bucket to visit.
    next: usize,
    /// One bit per bucket: visited before its turn.
    early: Vec<u64>,
    visitor: Box<dyn Visitor>,
}

impl Walk {
    fn is_visited(&self, bucket: usize) -> bool {
        bucket < self.next
            || bucket >= self.buckets
            || self.early[bucket / 64] >> (bucket % 64) & 1 == 1
    }
}

impl Db {
    /// Begins a walk over what is in the database now. O(1), and a bit per bucket.
    pub fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> WalkId {
        self.walk_count += 1;
        let (id, buckets) = (WalkId(self.walk_count), self.table.buckets());
        let early = vec![0; buckets.div_ceil(64)];
        self.walks.push(Walk { id, now_ms: self.now_ms, buckets, next: 0, early, visitor });
        id
    }

    /// Visits up to `count` more buckets; true once all are visited.
    pub fn step_walk(&mut self, id: WalkId, count: usize) -> bool {
        let Some(at) = self.walks.iter().position(|walk| walk.id == id) else { return true };
        let mut walk = self.walks.swap_remove(at);
        let end = (walk.next + count).min(walk.buckets);
        while walk.next < end {
            let bucket = walk.next;
            if !walk.is_visited(bucket) {
                self.visit(&mut walk, bucket);
            }
            walk.next += 1;
        }
        let is_over = walk.next == walk.buckets;
        self.walks.push(walk);
        is_over
    }

    /// The visitor of a walk.
    pub fn visitor(&mut self, id: WalkId) -> Option<&mut dyn Any> {
        let walk = self.walks.iter_mut().find(|walk| walk.id == id)?;
        let visitor: &mut dyn Visitor = &mut *walk.visitor;
        Some(visitor)
    }

    /// Ends a walk, finished or not, and gives back what has seen it.
    pub fn end_walk(&mut self, id: WalkId) -> Option<Box<dyn Any>> {
        let at = self.walks.iter().position(|walk| walk.id == id)?;
        Some(self.walks.swap_remove(at).visitor)
    }

    /// Whether a walk is under way.
    pub fn has_walks(&self) -> bool {
        !self.walks.is_empty()
    }

    /// Lets the walks see a bucket before it changes.
    #[cold]
    pub(super) fn show_to_walks(&mut self, bucket: usize) {
        let mut walks = std::mem::take(&mut self.walks);
        for walk in walks.iter_mut().filter(|walk| !walk.is_visited(bucket)) {
            walk.early[bucket / 64] |= 1 << (bucket % 64);
            self.visit(walk, bucket);
        }
        self.walks = walks;
    }

    fn visit(&self, walk: &mut Walk, bucket: usize) {
        let table: &Table = &self.table;
        table.visit_bucket(bucket, |handle, _| {
            let entry = self.entry(handle);
            if entry.expiry().is_none_or(|expiry| walk.now_ms <= expiry) {
                walk.visitor.visit(entry);
            }
        });
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
