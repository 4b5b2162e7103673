//! Sampling: it stays within its scope, is fair to full buckets, ends, and evicts what it has named.

use super::super::*;
use super::*;
use crate::base::hash::KeyHasher;
use crate::base::random::Random;

const NOW_MS: i64 = 1_000_000_000;

fn filled(keys: u32, ttl_every: u32) -> Db {
    let mut db = Db::new(KeyHasher::new(7));
    db.begin(NOW_MS, false);
    for number in 0..keys {
        let text = number.to_string();
        let is_volatile = ttl_every != 0 && number % ttl_every == 0;
        let ttl = if is_volatile { Ttl::At(NOW_MS + i64::from(number) + 1) } else { Ttl::Clear };
        let key = db.key(text.as_bytes());
        db.set_string(key, NewString::Bytes(b"value"), ttl).unwrap();
    }
    db
}

/// Evicts one key by sampling, if there is one within the scope.
fn evict_one(db: &mut Db, rule: (Scope, Rank), random: &mut Random) -> Option<Vec<u8>> {
    let (mut found, mut key) = (Vec::new(), Vec::new());
    for _ in 0..100_000 {
        if db.sample(rule, (5, 0), random.next_u64(), &mut found) == Sampled::Nothing {
            return None;
        }
        found.sort_by_key(|candidate| candidate.score);
        if let Some(best) = found.pop()
            && db.evict(&best, rule, &mut key) == Evicted::Yes
        {
            return Some(key);
        }
        found.clear();
    }
    panic!("sampling does not end");
}

#[test]
fn volatile_rules_spare_keys_without_a_ttl() {
    for rank in [Rank::Idle, Rank::Rarity, Rank::Deadline, Rank::Chance] {
        let mut db = filled(5000, 1000);
        let mut random = Random::from_seed(3);
        let mut evicted = Vec::new();
        while let Some(key) = evict_one(&mut db, (Scope::Volatile, rank), &mut random) {
            evicted.push(String::from_utf8(key).unwrap());
        }
        evicted.sort();
        assert_eq!(evicted, ["0", "1000", "2000", "3000", "4000"], "{rank:?}");
        assert_eq!((db.len(), db.expires_len()), (4995, 0));
    }
}

#[test]
fn every_rule_empties_a_database_and_then_says_so() {
    for rank in [Rank::Idle, Rank::Rarity, Rank::Deadline, Rank::Chance, Rank::Fifo] {
        let mut db = filled(700, 3);
        db.set_fifo(rank == Rank::Fifo);
        let mut random = Random::from_seed(4);
        let mut count = 0;
        while evict_one(&mut db, (Scope::All, rank), &mut random).is_some() {
            count += 1;
        }
        assert_eq!((count, db.len()), (700, 0), "{rank:?}");
        assert_eq!(db.memory().heap_live_bytes, 0);
    }
}

#[test]
fn the_deadline_that_comes_first_is_found_first() {
    let mut db = filled(12, 1);
    let mut random = Random::from_seed(5);
    // So few keys are sampled all at once.
    for number in 0..8u32 {
        let (mut found, mut key) = (Vec::new(), Vec::new());
        let rule = (Scope::Volatile, Rank::Deadline);
        assert_eq!(db.sample(rule, (12, 0), random.next_u64(), &mut found), Sampled::Some);
        let best = found.iter().max_by_key(|candidate| candidate.score).unwrap();
        assert_eq!(db.evict(best, rule, &mut key), Evicted::Yes);
        assert_eq!(key, number.to_string().as_bytes());
    }
}

#[test]
fn a_candidate_used_since_or_gone_stays() {
    let mut db = filled(1, 0);
    let rule = (Scope::All, Rank::Idle);
    db.begin(NOW_MS + 100_000, false);
    let (mut found, mut key) = (Vec::new(), Vec::new());
    db.sample(rule, (5, 0), 1, &mut found);
    let candidate = found[0];
    assert_eq!(candidate.score, 100);
    let zero = db.key(b"0");
    assert!(db.read(zero).is_some());
    assert_eq!(db.evict(&candidate, rule, &mut key), Evicted::Stale);
    let volatile = (Scope::Volatile, Rank::Idle);
    db.begin(NOW_MS + 300_000, false);
    assert_eq!(db.evict(&candidate, volatile, &mut key), Evicted::Stale);
    assert_eq!(db.evict(&candidate, rule, &mut key), Evicted::Yes);
    assert_eq!(db.evict(&candidate, rule, &mut key), Evicted::Stale);
}

#[test]
fn what_has_expired_is_not_counted_as_evicted() {
    let mut db = filled(1, 1);
    db.begin(NOW_MS + 5000, false);
    let rule = (Scope::Volatile, Rank::Deadline);
    let (mut found, mut key) = (Vec::new(), Vec::new());
    db.sample(rule, (5, 0), 1, &mut found);
    assert_eq!(db.evict(&found[0], rule, &mut key), Evicted::Expired);
    assert_eq!((db.stats.expired, db.len()), (1, 0));
}
