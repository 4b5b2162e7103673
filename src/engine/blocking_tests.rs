//! The registry by itself.
use super::*;
use crate::base::clock::Clock;
use crate::engine::config::Config;
use crate::engine::ctx::Event;
use crate::engine::engine::Engine;

/// A client at slot 7 waits for streams at so many keys.
fn wait_for(shared: &mut Shared, keys: usize) {
    let mut blocked = Blocked {
        order: shared.blocking.new_order(),
        db: 0,
        keys: Vec::new(),
        places: 0..keys,
        args: OwnedArgs::default(),
        found: shared.table.find(b"xread").expect("a command"),
        kind: Kind::Stream,
        gone: None,
        nothing: Nothing::NullArray,
        ticks: 0,
        until: None,
    };
    for number in 0..keys {
        let key = format!("key:{number}");
        shared.blocking.queue_up(7, &mut blocked, key.as_bytes());
    }
    shared.blocking.insert(7, Box::new(blocked));
}

#[test]
fn a_new_group_brings_nothing_to_those_who_wait() {
    let mut engine = Engine::new(Config::new("/".into()), Clock::real(), Some(1));
    wait_for(&mut engine.shared, 3);
    engine.shared.key_changed(0, Event::XGroupCreate, b"key:1");
    assert_eq!(engine.shared.blocking.ready_len(), 0);
    engine.shared.key_changed(0, Event::XAdd, b"key:1");
    assert_eq!(engine.shared.blocking.ready_len(), 1);
}

#[test]
fn very_many_queues_are_left_in_slices() {
    let mut engine = Engine::new(Config::new("/".into()), Clock::real(), Some(1));
    wait_for(&mut engine.shared, 1000);
    let blocking = &mut engine.shared.blocking;
    let order = blocking.get(7).expect("it waits").order;
    let keys = |blocking: &Blocking| blocking.queues[0].len();
    assert_eq!(keys(blocking), 1000);
    assert!(blocking.remove(7).is_some() && blocking.is_empty());
    assert_eq!(keys(blocking), 1000 - KEYS_AT_ONCE, "some now, the others when there is time");
    // Where it still stands nobody is found.
    assert!(blocking.is_leaving() && blocking.get_at(order, 7).is_none());
    assert!(!blocking.leave_queues(900));
    assert!(blocking.leave_queues(900) && !blocking.is_leaving());
    assert_eq!(keys(blocking), 0);
}

#[test]
fn milliseconds_are_read_as_redis_reads_them() {
    assert_eq!(millis_until(1000, b"0"), Ok(None));
    assert_eq!(millis_until(1000, b"1"), Ok(Some(1001)));
    assert_eq!(millis_until(1000, b"9223372036854775807"), Ok(None), "later than all time");
    let message = |text: &[u8]| match millis_until(0, text) {
        Err(error) => String::from_utf8_lossy(&error.message()).into_owned(),
        Ok(until) => format!("{until:?}"),
    };
    assert_eq!(message(b"-1"), "ERR timeout is negative");
    assert_eq!(message(b"1.5"), "ERR timeout is not an integer or out of range");
    assert_eq!(message(b"9223372036854775808"), "ERR timeout is not an integer or out of range");
}
