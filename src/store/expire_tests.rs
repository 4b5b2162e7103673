//! Tests of active expiry: against a model under random operations and time, and the particular cases.

use super::super::db_string::{NewString, Ttl};
use super::*;
use crate::base::hash::KeyHasher;
use proptest::prelude::*;
use std::collections::HashMap;

const NOW_MS: i64 = 1_700_000_000_000;

fn db(now_ms: i64) -> Db {
    let mut db = Db::new(KeyHasher::new(42));
    db.begin(now_ms, false);
    db
}

fn name(key: u32) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn set(db: &mut Db, key: u32, length: usize, expiry: Option<i64>) {
    let ttl = expiry.map_or(Ttl::Clear, Ttl::At);
    let key = name(key);
    let key = db.key(&key);
    db.set_string(key, NewString::Bytes(&vec![b'v'; length]), ttl).unwrap();
}

fn expire(db: &mut Db, key: u32, expiry: Option<i64>) {
    let key = name(key);
    let key = db.key(&key);
    db.set_expiry(key, expiry).unwrap();
}

fn remove(db: &mut Db, key: u32) -> bool {
    let key = name(key);
    let key = db.key(&key);
    db.remove(key)
}

fn refs(db: &Db) -> usize {
    db.wheel.as_ref().map_or(0, |wheel| wheel.refs())
}

/// What a loop does at `now_ms` when it has time for all of it, in small slices.
fn settle(db: &mut Db, now_ms: i64) {
    db.begin(now_ms, false);
    loop {
        let due = db.expire_due(30);
        let swept = db.sweep(7);
        if !due.is_left && !swept.is_left && db.tidy_wheel(2) {
            return;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, usize, Option<i64>),
    Expire(u32, Option<i64>),
    Remove(u32),
    /// Removes or adds many, so that buckets merge and split.
    RemoveMany(u32, u32),
    SetMany(u32, u32, Option<i64>),
    Compact,
    Pass(i64),
    All(i64),
}

const KEYS: u32 = 600;

fn ttl() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        1 => Just(None),
        3 => (-5i64..60).prop_map(Some),
        3 => (0i64..180_000).prop_map(Some),
        1 => (0i64..900_000).prop_map(Some),
        1 => Just(Some(i64::MAX)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        8 => (key.clone(), 0..90usize, ttl()).prop_map(|(k, n, t)| Step::Set(k, n, t)),
        3 => (key.clone(), ttl()).prop_map(|(k, t)| Step::Expire(k, t)),
        3 => key.clone().prop_map(Step::Remove),
        1 => (key.clone(), 0..300u32).prop_map(|(k, n)| Step::RemoveMany(k, n)),
        2 => (key, 0..300u32, ttl()).prop_map(|(k, n, t)| Step::SetMany(k, n, t)),
        1 => Just(Step::Compact),
        4 => (0..30i64).prop_map(Step::Pass),
        3 => (0..2_000i64).prop_map(Step::Pass),
        2 => (-80..150_000i64).prop_map(Step::Pass),
        1 => prop_oneof![Just(7_200_000i64), Just(-7_200_000)].prop_map(Step::Pass),
        1 => (-30_000..90_000i64).prop_map(Step::All),
    ]
}

struct World {
    db: Db,
    /// Expiry by key, of those that are not past it.
    model: HashMap<u32, Option<i64>>,
    now_ms: i64,
    /// The latest time since the clock was set back by much.
    latest_ms: i64,
}

impl World {
    fn at(&self, ttl: Option<i64>) -> Option<i64> {
        ttl.map(|ttl| self.now_ms.saturating_add(ttl))
    }

    fn set(&mut self, key: u32, length: usize, ttl: Option<i64>) {
        let expiry = self.at(ttl);
        set(&mut self.db, key, length, expiry);
        self.model.insert(key, expiry);
    }

    fn apply(&mut self, step: &Step) {
        let now_ms = self.now_ms;
        self.model.retain(|_, expiry| expiry.is_none_or(|expiry| expiry >= now_ms));
        match *step {
            Step::Set(key, length, ttl) => self.set(key, length, ttl),
            Step::Expire(key, ttl) => {
                let expiry = self.at(ttl);
                expire(&mut self.db, key, expiry);
                self.model.entry(key).and_modify(|old| *old = expiry);
            }
            Step::Remove(key) => {
                assert_eq!(remove(&mut self.db, key), self.model.remove(&key).is_some());
            }
            Step::RemoveMany(key, count) => {
                for key in key..key + count {
                    remove(&mut self.db, key);
                    self.model.remove(&key);
                }
            }
            Step::SetMany(key, count, ttl) => {
                (key..key + count).for_each(|key| {
                    self.set(key, 8, ttl.map(|t| t.saturating_add(i64::from(key))))
                });
            }
            Step::Compact => assert!(self.db.compact(50) <= 50),
            Step::Pass(ms) => self.pass(ms),
            Step::All(ms) => {
                self.pass(ms);
                self.db.expire_all();
                assert_eq!(self.db.len(), self.alive_from(self.now_ms));
            }
        }
    }

    fn alive_from(&self, time_ms: i64) -> usize {
        let is_alive = |expiry: &&Option<i64>| expiry.is_none_or(|expiry| expiry >= time_ms);
        self.model.values().filter(is_alive).count()
    }

    /// Time passes, and after it one slot more: what was due before that slot is gone, nothing else is.
    fn pass(&mut self, ms: i64) {
        if ms < 0 {
            // What is past its time now but still there would come to life again.
            self.db.expire_all();
        }
        if ms < -100 {
            self.latest_ms = i64::MIN;
        }
        for step_ms in [ms, 4] {
            self.now_ms += step_ms;
            settle(&mut self.db, self.now_ms);
        }
        let least = self.alive_from(self.now_ms);
        let slot_began_ms = self.now_ms.div_euclid(4) * 4 - 4;
        let most = self.alive_from(slot_began_ms);
        let len = self.db.len();
        assert!(len >= least, "{len} keys, {least} are alive");
        if self.now_ms > self.latest_ms.saturating_add(4) {
            assert!(len <= most, "{len} keys at {}, {most} should be there", self.now_ms);
            self.latest_ms = self.now_ms;
        }
        let next_ms = self.db.next_expiry_ms();
        assert!(next_ms.is_none_or(|next_ms| next_ms > self.now_ms), "would wake at once again");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn exactly_the_dead_go_and_soon(
        start_ms in prop_oneof![Just(NOW_MS), Just(0), Just(-9_000_001), Just(8_000)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let model = HashMap::new();
        let mut world = World { db: db(start_ms), model, now_ms: start_ms, latest_ms: i64::MIN };
        for step in &steps {
            world.apply(step);
        }
        world.apply(&Step::All(0));
        for key in 0..KEYS + 300 {
            let own = name(key);
            let own = world.db.key(&own);
            let expected = world.model.get(&key).filter(|e| e.is_none_or(|e| e >= world.now_ms));
            prop_assert_eq!(world.db.expiry(own), expected.copied());
        }
    }
}

#[test]
fn keys_of_later_times_are_found_while_buckets_split_and_merge() {
    let mut db = db(NOW_MS);
    for key in 0..40_000 {
        set(&mut db, key, 10, (key % 20 == 0).then_some(NOW_MS + 134_000 + i64::from(key)));
    }
    let mut next = 0;
    for now_ms in (NOW_MS..NOW_MS + 176_000).step_by(50) {
        settle(&mut db, now_ms);
        // The table shrinks to a tenth, grows to its half, shrinks again, all while rounds go over it.
        for _ in 0..40 {
            next += 1;
            match next / 30_000 {
                0 | 2 => drop(next % 20 != 0 && remove(&mut db, next % 30_000)),
                1 => set(&mut db, 100_000 + next, 10, None),
                _ => drop(remove(&mut db, 100_000 + 30_000 + next % 30_000)),
            }
        }
        let passed = (now_ms / 4 * 4 - NOW_MS - 134_000).max(0) as usize;
        assert!(db.expires_len() <= 2000 - (passed / 20).min(2000), "{passed} ms");
    }
    assert_eq!((db.expires_len(), db.stats.expired), (0, 2000));
    settle(&mut db, NOW_MS + 200_000);
    assert!(db.wheel.is_none(), "a database without TTLs keeps no wheel");
}

#[test]
fn a_million_at_once_go_in_small_slices() {
    let mut db = db(NOW_MS);
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    for key in 0..count {
        set(&mut db, key, 10, Some(NOW_MS + 1000));
    }
    assert_eq!(db.next_expiry_ms(), Some(NOW_MS + 1004));
    db.begin(NOW_MS + 1004, false);
    let mut calls = 0;
    loop {
        let progress = db.expire_due(64);
        assert!(progress.visited < 64 + CHUNK_HANDLES);
        calls += 1;
        if !progress.is_left {
            break;
        }
    }
    assert!(calls > count / 100, "{calls}");
    assert_eq!((db.len(), db.stats.expired), (0, u64::from(count)));
    assert_eq!(db.next_expiry_ms(), None);
}

#[test]
fn rewriting_and_deleting_do_not_make_it_grow() {
    let mut db = db(NOW_MS);
    (0..1000).for_each(|key| set(&mut db, key, 10, Some(NOW_MS + 20_000)));
    let refs_max = REFS_MIN + 2 * 1100 + 1100 / 2;
    let count = i64::from(300_000);
    for n in 0..count {
        let key = (n % 100) as u32;
        match n / 100 % 3 {
            // The clock stands: none of it can be worked off.
            0 => set(&mut db, key, 10, Some(NOW_MS + 60 + n % 30_000)),
            1 => expire(&mut db, key, Some(NOW_MS + 30_000 - n % 29_000)),
            _ => drop(remove(&mut db, key)),
        }
        assert!(refs(&db) <= refs_max, "{} after {n}", refs(&db));
    }
    (0..1100).for_each(|key| set(&mut db, key, 10, Some(NOW_MS + 1000 + i64::from(key))));
    for ms in (1000..3000).step_by(4) {
        settle(&mut db, NOW_MS + ms);
        let passed = (ms - 1004).clamp(0, 1100) as usize;
        assert!(db.len() <= 1100 - passed, "{} keys after {ms} ms", db.len());
    }
    assert_eq!(db.len(), 0);
}

#[test]
fn a_key_written_again_and_again_needs_one_handle() {
    let mut db = db(NOW_MS);
    for _ in 0..10_000 {
        set(&mut db, 1, 10, Some(NOW_MS + 100));
    }
    assert_eq!(refs(&db), 1);
    set(&mut db, 2, 10, None);
    set(&mut db, 3, 10, Some(NOW_MS + 3_600_000));
    assert_eq!(refs(&db), 1, "no TTL, or a far one");
}

#[test]
fn held_keys_are_looked_at_again() {
    let mut db = db(NOW_MS);
    set(&mut db, 1, 10, Some(NOW_MS + 5));
    set(&mut db, 2, 10, Some(NOW_MS + 5));
    let held = db.hasher.hash(&name(1));
    for ms in [8, 28, 48] {
        db.begin(NOW_MS + ms, false);
        let progress = db.expire_due_unless(100, |_, hash| hash == held);
        assert_eq!((progress.is_left, db.len()), (false, 1));
        let next_ms = db.next_expiry_ms().unwrap() - NOW_MS;
        assert!((ms + 12..ms + 24).contains(&next_ms), "{next_ms} at {ms}");
    }
    db.begin(NOW_MS + 70, false);
    assert_eq!((db.expire_due(100).expired, db.len(), refs(&db)), (1, 0, 0));
}

#[test]
fn nothing_goes_while_expired_keys_are_kept() {
    let mut db = db(NOW_MS);
    (0..100).for_each(|key| set(&mut db, key, 10, Some(NOW_MS + i64::from(key))));
    db.keeps_expired = true;
    db.begin(NOW_MS + 60_000, false);
    db.expire_all();
    assert_eq!((db.expire_due(1000), db.next_expiry_ms()), (ExpireProgress::default(), None));
    assert_eq!((db.sweep(1000), db.len()), (SweepProgress::default(), 100));
    db.keeps_expired = false;
    settle(&mut db, NOW_MS + 60_004);
    assert_eq!(db.len(), 0);
}

#[test]
fn a_flush_takes_the_wheel_along() {
    let mut db = db(NOW_MS);
    (0..5000).for_each(|key| set(&mut db, key, 10, Some(NOW_MS + 100)));
    let mut old = db.flush();
    assert!(db.wheel.is_none());
    set(&mut db, 1, 10, Some(NOW_MS + 50));
    settle(&mut db, NOW_MS + 56);
    assert_eq!((db.len(), db.stats.expired), (0, 1));
    while !old.free_slice(1) {}
}

#[test]
fn the_mean_ttl_is_that_of_the_living() {
    let mut db = db(NOW_MS);
    for key in 0..3000 {
        let ttl_ms = if key % 2 == 0 { 500 } else { 8_000_000 };
        set(&mut db, key, 10, (key % 3 != 0).then_some(NOW_MS + ttl_ms));
    }
    settle(&mut db, NOW_MS + 1_000_000);
    settle(&mut db, NOW_MS + 1_000_004);
    assert_eq!((db.len(), db.expires_len()), (2000, 1000));
    assert!((6_900_000..=7_000_000).contains(&db.avg_ttl_ms()), "{}", db.avg_ttl_ms());
}
