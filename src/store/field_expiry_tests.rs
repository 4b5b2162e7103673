//! Fields that expire, and the register that follows their hashes.
use super::*;
use crate::base::hash::{Key, KeyHasher};
use crate::store::{Hold, NewString, Ttl};
use crate::types::hash::{Condition, ExpireOutcome, FieldTtl, NewValue};
use crate::types::limits::Limits;

struct Fixture {
    db: Db,
    hasher: KeyHasher,
    limits: Limits,
}

impl Fixture {
    fn new(entries_max: usize) -> Fixture {
        let hasher = KeyHasher::new(3);
        let limits =
            Limits { hash_max_listpack_entries: entries_max, ..Limits::new(hasher.clone()) };
        let mut db = Db::new(hasher.clone());
        db.begin(1000, false);
        Fixture { db, hasher, limits }
    }

    fn key<'k>(&self, key: &'k str) -> Key<'k> {
        self.hasher.key(key.as_bytes())
    }

    /// Sets fields `0..count`, each to expire so many milliseconds after the one before, from `first` on.
    fn fill(&mut self, key: &str, count: u32, first: i64, step: i64) {
        let (key, limits) = (self.key(key), &self.limits);
        let fill = |hash: &mut Hash| {
            for number in 0..count {
                let field = number.to_string();
                let value = NewValue::Bytes(b"v");
                hash.set(field.as_bytes(), value, FieldTtl::Clear, limits).expect("memory");
                let when = first + i64::from(number) * step;
                let outcome = hash.expire(field.as_bytes(), when, Condition::Always, 1000);
                assert_eq!(outcome, ExpireOutcome::Set);
            }
        };
        self.db.edit_or_new(key, fill).expect("a hash");
    }

    fn len(&mut self, key: &str) -> usize {
        let key = self.key(key);
        self.db.peek_as::<Hash>(key).expect("a hash").map_or(0, |hash| hash.len())
    }

    fn at(&mut self, now_ms: i64) -> &mut Db {
        self.db.begin(now_ms, false);
        &mut self.db
    }
}

#[test]
fn what_is_due_goes_in_pieces_and_the_key_with_the_last() {
    for entries_max in [0, 1000] {
        let mut fixture = Fixture::new(entries_max);
        fixture.fill("a", 200, 2000, 1);
        fixture.fill("b", 100, 2100, 1);
        assert_eq!(fixture.db.expiring_hashes(), 2);
        assert_eq!(fixture.db.next_expiry_ms(), Some(2000));
        assert_eq!(fixture.db.reclaim_fields(100), ReclaimProgress::default());
        let progress = fixture.at(2049).reclaim_fields(30);
        assert_eq!(progress, ReclaimProgress { fields: 30, is_left: true });
        let progress = fixture.db.reclaim_fields(30);
        assert_eq!(progress, ReclaimProgress { fields: 20, is_left: false });
        assert_eq!((fixture.len("a"), fixture.len("b")), (150, 100));
        assert_eq!(fixture.db.next_expiry_ms(), Some(2050));
        while fixture.at(2199).reclaim_fields(7).is_left {}
        assert_eq!((fixture.db.len(), fixture.db.expiring_hashes()), (0, 0));
        assert_eq!(fixture.db.stats.expired_fields, 300);
        assert!(fixture.db.field_expiries.is_none());
    }
}

#[test]
fn the_register_follows_keys_and_values() {
    for entries_max in [0, 1000] {
        let mut fixture = Fixture::new(entries_max);
        fixture.fill("a", 5, 2000, 100);
        // RENAME
        let (a, b) = (fixture.key("a"), fixture.key("b"));
        let taken = fixture.db.take(a).expect("there");
        assert_eq!(fixture.db.expiring_hashes(), 0);
        fixture.db.put(b, taken).expect("memory");
        assert_eq!(fixture.db.next_expiry_ms(), Some(2000));
        fixture.at(2000).reclaim_fields(10);
        assert_eq!((fixture.len("b"), fixture.db.next_expiry_ms()), (4, Some(2100)));
        // What overwrites it has no fields.
        fixture.db.set_string(b, NewString::Bytes(b"x"), Ttl::Clear).expect("memory");
        assert_eq!(fixture.db.expiring_hashes(), 0);
        // HDEL, DEL, FLUSHALL
        fixture.fill("c", 2, 3000, 0);
        let c = fixture.key("c");
        let remove = |hash: &mut Hash| hash.remove(b"0") && hash.remove(b"1");
        assert_eq!(fixture.db.edit(c, remove), Ok(Some(true)));
        assert_eq!(fixture.db.expiring_hashes(), 0);
        fixture.fill("c", 2, 3000, 0);
        assert!(fixture.db.remove(c));
        assert_eq!(fixture.db.expiring_hashes(), 0);
        fixture.fill("c", 2000, 3000, 0);
        let mut detached = fixture.db.flush();
        assert_eq!(fixture.db.expiring_hashes(), 0);
        while !detached.free_slice(1) {}
        // STORE over it
        fixture.fill("c", 2, 3000, 0);
        fixture.db.put_aggregate(c, Hash::new_empty(), Ttl::Clear).expect("memory");
        assert_eq!(fixture.db.expiring_hashes(), 0);
    }
}

#[test]
fn what_a_job_holds_waits() {
    let mut fixture = Fixture::new(0);
    fixture.fill("a", 3, 2000, 0);
    let hash = fixture.key("a").hash;
    fixture.db.holds.hold(hash, Hold::Read, 1).expect("memory");
    assert_eq!(fixture.at(2000).reclaim_fields(9), ReclaimProgress::default());
    assert_eq!((fixture.len("a"), fixture.db.next_expiry_ms()), (3, Some(2000 + RETRY_MS)));
    fixture.db.holds.release(hash, Hold::Read);
    assert_eq!(fixture.at(2000 + RETRY_MS).reclaim_fields(9).fields, 3);
    assert_eq!(fixture.db.len(), 0);
}

#[test]
fn nothing_goes_while_clients_are_paused() {
    let mut fixture = Fixture::new(0);
    fixture.fill("a", 3, 2000, 0);
    fixture.db.keeps_expired = true;
    assert_eq!(fixture.at(5000).reclaim_fields(9), ReclaimProgress::default());
    assert_eq!((fixture.len("a"), fixture.db.next_expiry_ms()), (3, None));
}
