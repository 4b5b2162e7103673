//! Walks against what the database held when they began.
use super::*;
use crate::base::hash::KeyHasher;
use crate::store::{NewString, Ttl};
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
