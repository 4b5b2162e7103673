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
use super::table::Table;
use super::view::EntryRef;
use crate::base::time::UnixMillis;

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
mod tests {
    use super::super::{NewString, Ttl};
    use super::*;
    use crate::base::hash::KeyHasher;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Collects what it sees, in order.
    #[derive(Default)]
    struct Seen(Vec<(Vec<u8>, Vec<u8>)>);

    impl Visitor for Seen {
        fn visit(&mut self, entry: EntryRef<'_>) {
            let mut digits = itoa::Buffer::new();
            let value = entry.string().unwrap().as_bytes(&mut digits).to_vec();
            self.0.push((entry.key().to_vec(), value));
        }
    }

    fn set(db: &mut Db, number: u32, value: u32, ttl: Ttl) {
        let (key, value) = (format!("key:{number}"), format!("v{value}"));
        let hasher = db.hasher.clone();
        db.set_string(hasher.key(key.as_bytes()), NewString::Bytes(value.as_bytes()), ttl).unwrap();
    }

    fn remove(db: &mut Db, number: u32) {
        let key = format!("key:{number}");
        let hasher = db.hasher.clone();
        db.remove(hasher.key(key.as_bytes()));
    }

    fn contents(db: &Db) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut seen = Seen::default();
        db.for_each_bucket(0..db.buckets(), &mut |entry| seen.visit(entry));
        seen.0.into_iter().collect()
    }

    proptest! {
        /// Whatever happens between its slices, a walk sees what was there when it began.
        #[test]
        fn a_walk_sees_one_instant(
            before in prop::collection::vec((0u32..300, 0u32..100), 0..400),
            changes in prop::collection::vec((0u32..600, 0u32..100, 0u8..8), 0..600),
            pace in 1usize..20,
        ) {
            let mut db = Db::new(KeyHasher::new(1));
            db.begin(1_000, false);
            for (number, value) in before {
                let ttl = if value % 7 == 0 { Ttl::At(1_000 + i64::from(value)) } else { Ttl::Clear };
                set(&mut db, number, value, ttl);
            }
            let expected = contents(&db);
            let first = db.begin_walk(Box::new(Seen::default()));
            let mut second = None;
            for (step, (number, value, what)) in changes.into_iter().enumerate() {
                match what {
                    0..=3 => set(&mut db, number, value, Ttl::Clear),
                    4..=5 => remove(&mut db, number),
                    6 => db.begin(1_000 + step as i64, false),
                    _ => { db.compact(10); }
                }
                if step % pace == 0 {
                    db.step_walk(first, 1);
                }
                if step == 50 {
                    second = Some((contents(&db), db.begin_walk(Box::new(Seen::default()))));
                }
            }
            for (expected, id) in second.into_iter().chain([(expected, first)]) {
                while !db.step_walk(id, 3) {}
                let seen = db.end_walk(id).unwrap().downcast::<Seen>().unwrap();
                prop_assert_eq!(seen.0.len(), expected.len(), "each once");
                prop_assert_eq!(seen.0.into_iter().collect::<BTreeMap<_, _>>(), expected);
            }
            prop_assert!(!db.has_walks());
        }
    }
}
