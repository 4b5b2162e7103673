//! Eviction as commands see it: the limit holds, writers are refused where nothing can go, time is kept.

use super::*;
use crate::base::clock::Clock;
use crate::engine::config::Config;
use crate::engine::session::{Address, Session};
use crate::engine::verbs::Verb;
use crate::proto::reply::Output;
use crate::store::{NewString, Ttl};
use proptest::prelude::*;

const LIMIT: usize = 100_000;

struct Server {
    engine: Engine,
    session: Session,
}

impl Server {
    fn new(settings: &[(&str, &str)]) -> Server {
        let mut config = Config::new("/".into());
        for (name, value) in settings {
            let pairs = [(name.as_bytes(), value.as_bytes())];
            config.set(&pairs, Default::default()).unwrap();
        }
        let clock = Clock::manual(1_700_000_000_000);
        let engine = Engine::new(config, clock, Some(5));
        Server { engine, session: Session::new(Address::InProcess, 0) }
    }

    fn limited(policy: &str) -> Server {
        Server::new(&[("maxmemory", &LIMIT.to_string()), ("maxmemory-policy", policy)])
    }

    /// SET by a front door; false where it was refused for want of memory.
    fn set(&mut self, key: &str, bytes: usize, ttl: Ttl) -> bool {
        let value = vec![b'v'; bytes];
        let mut out = Output::default();
        let result =
            self.engine.perform(&mut self.session, Verb::Set, &[], &mut out, &mut 0, |ctx| {
                let key = ctx.db.key(key.as_bytes());
                ctx.set(key, NewString::Bytes(&value), ttl)
            });
        result.is_ok()
    }

    fn keys(&self) -> usize {
        self.engine.dbs.iter().map(Db::len).sum()
    }

    fn background(&mut self) {
        while self.engine.background(500) == Work::Left {}
    }
}

/// When keys of these tests expire: long after.
const LATER: Ttl = Ttl::At(1_800_000_000_000);

#[test]
fn each_policy_keeps_the_limit() {
    let policies = MaxmemoryPolicy::WORDS.iter().map(|(name, _)| *name);
    for policy in policies.filter(|&policy| policy != "noeviction") {
        let mut server = Server::limited(policy);
        for number in 0..5000 {
            assert!(server.set(&format!("key:{number}"), 50, LATER), "{policy}");
            // One command over, which the next one pays; it may have made the table's first chunk twice as large.
            assert!(server.engine.counted_bytes() <= LIMIT + 20_000, "{policy}");
        }
        assert!(server.keys() > 500, "{policy}: {}", server.keys());
        let evicted = server.engine.shared.stats.evicted_keys;
        assert_eq!(evicted as usize, 5000 - server.keys(), "{policy}");
    }
}

/// Entries of full buckets must be evicted as often as others: else they grow older and their buckets fuller without
/// end, which cost a small cache half of its hits.
#[test]
fn full_buckets_stay_rare_under_random_eviction() {
    let mut server = Server::limited("allkeys-random");
    (0..40_000).for_each(|number| assert!(server.set(&number.to_string(), 50, Ttl::Clear)));
    let db = &server.engine.dbs[0];
    let mut counts = vec![0; db.buckets()];
    for (bucket, count) in counts.iter_mut().enumerate() {
        db.for_each_bucket(bucket..bucket + 1, &mut |_| *count += 1);
    }
    // Nine on average; those not split yet have twice as many as the others.
    assert!(counts.iter().all(|&count| count < 40), "{counts:?}");
}

#[test]
fn without_a_limit_nothing_goes() {
    let mut server = Server::new(&[("maxmemory-policy", "allkeys-lru")]);
    (0..3000).for_each(|number| assert!(server.set(&number.to_string(), 100, Ttl::Clear)));
    server.background();
    assert_eq!((server.keys(), server.engine.shared.eviction.room), (3000, Room::Enough));
}

#[test]
fn writers_are_refused_where_nothing_may_go() {
    for policy in ["noeviction", "volatile-lru", "volatile-ttl", "volatile-random", "volatile-lfu"]
    {
        let mut server = Server::limited(policy);
        let mut stored = 0;
        while server.set(&stored.to_string(), 100, Ttl::Clear) {
            stored += 1;
        }
        assert_eq!(server.keys(), stored, "{policy}");
        assert_eq!(server.engine.shared.eviction.room, Room::Out);
        assert_eq!(server.engine.shared.stats.evicted_keys, 0);
        assert!(!server.set("x", 1, Ttl::Clear));
        // Reading and deleting go on, and deleting makes room again.
        let mut out = Output::default();
        let mut delete = |key: &str| {
            let session = &mut server.session;
            server.engine.perform(session, Verb::Del, &[], &mut out, &mut 0, |ctx| {
                let key = ctx.db.key(key.as_bytes());
                ctx.delete(key);
                Ok(())
            })
        };
        (0..20).for_each(|number| delete(&number.to_string()).unwrap());
        assert!(server.set("x", 1, Ttl::Clear), "{policy}");
    }
}

#[test]
fn a_lowered_limit_is_reached_between_turns() {
    let mut server = Server::limited("allkeys-lfu");
    (0..600).for_each(|number| assert!(server.set(&number.to_string(), 50, Ttl::Clear)));
    let before = server.keys();
    let pairs = [(&b"maxmemory"[..], &b"20000"[..])];
    server.engine.shared.config.set(&pairs, Default::default()).unwrap();
    server.engine.shared.config_changed();
    assert!(server.engine.is_evicting());
    server.background();
    assert!(!server.engine.is_evicting() && server.keys() < before);
    assert!(server.engine.counted_bytes() <= 20_000);
}

#[test]
fn a_turn_spends_its_time_and_goes_on_later() {
    let mut server = Server::limited("allkeys-lru");
    server.engine.shared.clock = Clock::real();
    server.engine.begin_turn();
    let pairs = [(&b"maxmemory"[..], &b"0"[..])];
    server.engine.shared.config.set(&pairs, Default::default()).unwrap();
    server.engine.shared.config_changed();
    (0..60_000).for_each(|number| assert!(server.set(&number.to_string(), 50, Ttl::Clear)));
    let pairs = [(&b"maxmemory"[..], &b"100000"[..]), (b"maxmemory-eviction-tenacity", b"1")];
    server.engine.shared.config.set(&pairs, Default::default()).unwrap();
    server.engine.shared.config_changed();
    server.engine.begin_turn();
    server.engine.make_room(0);
    // 50 us are not enough for that much; nobody waits, since memory only has to fall.
    assert_eq!(server.engine.shared.eviction.room, Room::Running);
    let counted = server.engine.counted_bytes();
    assert!(counted > LIMIT);
    assert_eq!(server.engine.evict_slice(500), Work::Left);
    assert!(server.engine.counted_bytes() < counted);
    while server.engine.evict_slice(500) == Work::Left {}
    assert!(server.engine.counted_bytes() <= LIMIT);
    assert!(server.engine.shared.stats.eviction_exceeded_us > 0);
    assert_eq!(server.engine.shared.exceeding_us(), 0);
}

#[test]
fn who_outruns_eviction_has_to_wait() {
    let mut server = Server::new(&[("maxmemory-policy", "allkeys-lru")]);
    (0..100_000).for_each(|number| assert!(server.set(&number.to_string(), 50, Ttl::Clear)));
    let limit = server.engine.counted_bytes();
    let pairs = [(&b"maxmemory"[..], limit.to_string().into_bytes())];
    let pairs = [(pairs[0].0, pairs[0].1.as_slice()), (b"maxmemory-eviction-tenacity", b"0")];
    server.engine.shared.config.set(&pairs, Default::default()).unwrap();
    server.engine.shared.config_changed();
    server.engine.shared.clock = Clock::real();
    server.engine.shared.config_changed();
    server.engine.make_room(0);
    let block = vec![0u8; 8 << 20];
    let key = server.engine.dbs[0].key(b"big");
    server.engine.dbs[0].set_string(key, NewString::Bytes(&block), Ttl::Clear).unwrap();
    server.engine.begin_turn();
    server.engine.make_room(0);
    assert_eq!(server.engine.shared.eviction.room, Room::Wait);
    // In process nobody can wait, so it takes as long as it takes.
    assert!(server.set("after", 1, Ttl::Clear));
    assert!(
        server.engine.counted_bytes() <= limit + limit / OVERSHOOT_DIVISOR + OVERSHOOT_BYTES_MIN
    );
}

#[test]
fn times_follow_tenacity() {
    let times = [0, 1, 10, 11, 20, 99].map(|tenacity| turn_us(tenacity, 500));
    assert_eq!(times, [Some(0), Some(50), Some(500), Some(575), Some(2022), Some(126_205_358)]);
    assert_eq!(turn_us(100, 500), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is written, by whichever policy: keys without a TTL survive under volatile policies, and afterwards
    /// memory is below the limit or the room is out.
    #[test]
    fn the_limit_holds_or_the_room_is_out(
        policy in 0..MaxmemoryPolicy::WORDS.len(),
        writes in prop::collection::vec((0..400u16, 0..12_000usize, any::<bool>()), 1..300),
    ) {
        let name = MaxmemoryPolicy::WORDS[policy].0;
        let mut server = Server::limited(name);
        let mut lasting = std::collections::BTreeSet::new();
        for (number, bytes, is_volatile) in writes {
            let ttl = if is_volatile { LATER } else { Ttl::Clear };
            if server.set(&number.to_string(), bytes, ttl) {
                if is_volatile { lasting.remove(&number); } else { lasting.insert(number); }
            }
            server.engine.make_room_now(0);
            let is_over = server.engine.counted_bytes() > LIMIT;
            prop_assert_eq!(is_over, server.engine.shared.eviction.room == Room::Out);
        }
        if name.starts_with("volatile") || name == "noeviction" {
            for number in lasting {
                let text = number.to_string();
                let key = server.engine.dbs[0].key(text.as_bytes());
                prop_assert!(server.engine.dbs[0].peek(key).is_some());
            }
        }
    }
}
