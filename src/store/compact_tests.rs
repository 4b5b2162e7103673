//! Gaps in big collections that nobody writes any more.
use super::*;
use crate::base::hash::KeyHasher;
use crate::store::Hold;
use crate::types::hash::{FieldTtl, Hash, NewValue};
use crate::types::limits::Limits;
use crate::types::set::Set;
use crate::types::zset::Zset;

const COUNT: usize = 20_000;

fn name(index: usize) -> Vec<u8> {
    format!("element:{index:08}").into_bytes()
}

struct Collections {
    db: Db,
    limits: Limits,
}

impl Collections {
    /// A hash, a set and a sorted set, of which one element in ten is left.
    fn new() -> Collections {
        let hasher = KeyHasher::new(7);
        let mut db = Db::new(hasher.clone());
        let limits = Limits::new(hasher);
        for index in 0..COUNT {
            let name = name(index);
            db.edit_or_new(limits.hasher.key(b"hash"), |hash: &mut Hash| {
                hash.set(&name, NewValue::Bytes(b"value"), FieldTtl::Clear, &limits).expect("room")
            })
            .expect("a hash");
            db.edit_or_new(limits.hasher.key(b"set"), |set: &mut Set| {
                set.insert(&name, &limits).expect("room")
            })
            .expect("a set");
            db.edit_or_new(limits.hasher.key(b"zset"), |zset: &mut Zset| {
                zset.insert(&name, index as f64, &limits).expect("room");
            })
            .expect("a sorted set");
        }
        let mut collections = Collections { db, limits };
        collections.remove(0..COUNT * 9 / 10);
        collections
    }

    fn remove(&mut self, range: std::ops::Range<usize>) {
        let hasher = self.limits.hasher.clone();
        for step in range {
            // In no order.
            let name = name(step * 7919 % COUNT);
            let (key, zset_key) = (hasher.key(b"hash"), hasher.key(b"zset"));
            assert!(self.db.edit(key, |hash: &mut Hash| hash.remove(&name)).expect("it").is_some());
            self.db.edit(hasher.key(b"set"), |set: &mut Set| set.remove(&name)).expect("it");
            self.db.edit(zset_key, |zset: &mut Zset| zset.remove(&name)).expect("it");
        }
    }

    fn bytes(&self) -> usize {
        self.db.memory().block_bytes
    }

    /// Calls it as ticks of the server do; how many elements at most were looked after.
    fn tidy(&mut self) -> usize {
        let mut steps = 0;
        for _ in 0..10 {
            while self.db.tidy_collections(100) {
                steps += 100;
            }
        }
        steps
    }
}

#[test]
fn what_nobody_writes_gives_its_gaps_back() {
    let mut all = Collections::new();
    let before = all.bytes();
    assert!(all.tidy() > 0);
    let after = all.bytes();
    assert!(after < before);
    for number in 0..3 {
        let members = all.db.blocks.object(number).and_then(|object| object.members());
        let (filled, live) = members.expect("of members").filling();
        assert!(filled - live <= (filled / 5).max(32 << 10), "{number}: {filled} {live}");
    }
    assert_eq!((all.tidy(), all.bytes()), (0, after));
    let hasher = all.limits.hasher.clone();
    for step in 0..COUNT {
        let (name, is_left) = (name(step * 7919 % COUNT), step >= COUNT * 9 / 10);
        let hash = all.db.peek_as::<Hash>(hasher.key(b"hash")).expect("it").expect("there");
        assert_eq!(hash.get(&name).is_some(), is_left);
        let set = all.db.peek_as::<Set>(hasher.key(b"set")).expect("it").expect("there");
        assert_eq!(set.contains(&name), is_left);
        let zset = all.db.peek_as::<Zset>(hasher.key(b"zset")).expect("it").expect("there");
        let score = (step * 7919 % COUNT) as f64;
        assert_eq!(zset.score(&name), is_left.then_some(score));
    }
    // Its order has followed.
    let zset = all.db.peek_as::<Zset>(hasher.key(b"zset")).expect("it").expect("there");
    let mut last = -1.0;
    for (_, score) in zset.range(0..zset.len()) {
        assert!(score > last);
        last = score;
    }
}

#[test]
fn what_is_being_written_or_held_is_left_alone() {
    let mut all = Collections::new();
    let before = all.bytes();
    for step in COUNT * 9 / 10..COUNT * 9 / 10 + 50 {
        assert!(!all.db.tidy_collections(100));
        all.remove(step..step + 1);
    }
    assert!(all.bytes() <= before && all.bytes() > before / 2);
    all.db.holds.hold(all.limits.hasher.hash(b"zset"), Hold::Read, 1).expect("room");
    assert_eq!(all.tidy(), 0);
}
