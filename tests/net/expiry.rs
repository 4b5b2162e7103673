//! Keys expire on time though nobody asks for them, at little cost, and a server without TTLs sleeps.
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::{Client, encode};
use crate::server::{Server, eventually};

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn keys(client: &mut Client) -> usize {
    client.ask(&["DBSIZE"]).trim_start_matches(':').parse().unwrap()
}

fn expired(client: &mut Client) -> u64 {
    client.info("expired_keys").parse().unwrap()
}

/// Sets keys `from..to`, each to expire at `expiry_ms(key)`.
fn fill(client: &mut Client, from: u64, to: u64, expiry_ms: impl Fn(u64) -> u64) {
    for start in (from..to).step_by(500) {
        let batch = start..to.min(start + 500);
        let set = |key: u64| {
            encode(&["SET", &format!("key:{key}"), "value", "PXAT", &expiry_ms(key).to_string()])
        };
        client.send(&batch.clone().flat_map(set).collect::<Vec<u8>>());
        batch.for_each(|_| client.expect("+OK"));
    }
}

#[test]
fn debug_object_shows_a_key_past_its_time() {
    for (name, server) in Server::both(&["--enable-debug-command", "yes"]) {
        let mut client = server.connect();
        client.roundtrip(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"], "+OK");
        client.roundtrip(&["SET", "gone", "v", "PX", "1"], "+OK");
        thread::sleep(Duration::from_millis(5));
        let shown = client.ask(&["DEBUG", "OBJECT", "gone"]);
        assert!(shown.starts_with("+Value at:"), "{name}: {shown}");
        client.roundtrip(&["EXISTS", "gone"], ":0");
        client.roundtrip(&["DEBUG", "OBJECT", "gone"], "-ERR no such key");
    }
}

#[test]
fn keys_go_within_milliseconds() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let start_ms = unix_ms() + 1500;
    // One each millisecond, in an order that has nothing to do with where they lie.
    fill(&mut client, 0, 2000, |key| start_ms + key * 7 % 2000);
    assert_eq!(keys(&mut client), 2000);
    let mut lags_ms = Vec::new();
    while unix_ms() < start_ms + 2100 {
        // Samples a machine's own hiccups fall into are no samples: the time around each is bounded.
        let before_ms = unix_ms();
        let left = keys(&mut client) as u64;
        if unix_ms() <= before_ms + 2 && before_ms > start_ms {
            let due = (before_ms - start_ms).min(2000);
            lags_ms.push(due.saturating_sub(2000 - left));
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(keys(&mut client), 0);
    lags_ms.sort_unstable();
    let (median, late) = (lags_ms[lags_ms.len() / 2], lags_ms[lags_ms.len() * 9 / 10]);
    eprintln!("{} samples: median {median} ms, p90 {late} ms late", lags_ms.len());
    assert!(median <= 10 && late <= 60, "median {median} ms, p90 {late} ms");
}

#[test]
fn an_idle_server_wakes_for_a_key_that_is_due() {
    let server = Server::start(&["--hz", "1"]);
    let mut client = server.connect();
    // With one tick a second, only an alarm of its own can be on time. Other databases count too.
    let mut best = Duration::MAX;
    for database in ["0", "9", "15", "3"] {
        client.roundtrip(&["SELECT", database], "+OK");
        client.roundtrip(&["SET", "key", "value", "PX", "50"], "+OK");
        let began = Instant::now();
        thread::sleep(Duration::from_millis(48));
        while keys(&mut client) > 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "it stays");
            thread::sleep(Duration::from_millis(1));
        }
        best = best.min(began.elapsed());
    }
    assert!(best < Duration::from_millis(200), "{best:?}");
    // A far key, and one taken back, wake nobody.
    client.roundtrip(&["SET", "key", "value", "EX", "1000"], "+OK");
    client.roundtrip(&["SET", "other", "value", "PX", "400"], "+OK");
    client.roundtrip(&["PERSIST", "other"], ":1");
    server.assert_idle();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(keys(&mut client), 2);
}

#[test]
fn nothing_is_deleted_while_it_is_off_and_nothing_spins() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.roundtrip(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"], "+OK");
    let now_ms = unix_ms();
    fill(&mut client, 0, 1000, |_| now_ms + 100);
    thread::sleep(Duration::from_millis(150));
    server.assert_idle();
    assert_eq!((keys(&mut client), expired(&mut client)), (1000, 0));
    client.roundtrip(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"], "+OK");
    eventually("them to go", || keys(&mut client) == 0);
    assert_eq!(expired(&mut client), 1000);
    server.assert_idle();
}

/// As Redis 8.0's suite has it: the condition of HSETEX lets go of what it finds expired, also where it does not hold.
#[test]
fn fields_that_a_condition_finds_expired_go() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.roundtrip(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"], "+OK");
    for limit in ["512", "0"] {
        client.roundtrip(&["CONFIG", "SET", "hash-max-listpack-entries", limit], "+OK");
        client.roundtrip(&["HSETEX", "h", "PX", "10", "FIELDS", "1", "f", "v"], ":1");
        client.roundtrip(&["HSETEX", "g", "PX", "10", "FIELDS", "2", "a", "1", "b", "2"], ":1");
        client.roundtrip(&["HSET", "g", "c", "3"], ":1");
        thread::sleep(Duration::from_millis(30));
        client.roundtrip(&["HSETEX", "h", "FXX", "FIELDS", "1", "f", "w"], ":0");
        client.roundtrip(&["EXISTS", "h"], ":0");
        client.roundtrip(&["HSETEX", "g", "FNX", "FIELDS", "2", "a", "7", "c", "7"], ":0");
        client.roundtrip(&["HLEN", "g"], ":2");
        client.roundtrip(&["DEL", "g"], ":1");
    }
}

#[test]
fn they_go_soon_after_a_pause_and_after_time_has_jumped() {
    let server = Server::start(&["--test-mode", "yes"]);
    let mut client = server.connect();
    let now_ms = unix_ms();
    fill(&mut client, 0, 500, |_| now_ms + 150);
    client.roundtrip(&["CLIENT", "PAUSE", "500", "WRITE"], "+OK");
    thread::sleep(Duration::from_millis(200));
    assert_eq!((keys(&mut client), expired(&mut client)), (500, 0));
    eventually("the end of the pause", || keys(&mut client) == 0);
    fill(&mut client, 0, 500, |key| now_ms + 3_600_000 + key * 100);
    client.ask(&["CLOCK", "ADVANCE", "3600000"]);
    assert!(keys(&mut client) > 400);
    // The clock runs: what comes next expires by itself.
    let left = keys(&mut client);
    eventually("time to pass there", || keys(&mut client) < left);
    client.ask(&["CLOCK", "SET", &now_ms.to_string()]);
    fill(&mut client, 1000, 1100, |_| now_ms + 600);
    eventually("the clock set back", || expired(&mut client) >= 600 && keys(&mut client) <= 500);
    client.ask(&["CLOCK", "ADVANCE", "7200000"]);
    assert_eq!(keys(&mut client), 0);
    server.assert_idle();
}

#[test]
fn a_burst_leaves_room_for_others() {
    let server = Server::start(&[]);
    let (mut client, mut probe) = (server.connect(), server.connect());
    let due_ms = unix_ms() + 2500;
    fill(&mut client, 0, 60_000, |_| due_ms);
    assert_eq!(keys(&mut client), 60_000, "the machine is too slow for this test");
    let mut pings = 0;
    while unix_ms() < due_ms + 1 || keys(&mut client) > 0 {
        probe.roundtrip(&["PING"], "+PONG");
        pings += 1;
        assert!(unix_ms() < due_ms + 20_000, "they stay");
    }
    assert!(pings > 10);
    assert_eq!(expired(&mut client), 60_000);
    let capped: u64 = client.info("expired_time_cap_reached_count").parse().unwrap();
    assert!(capped > 1, "in one piece");
    server.assert_idle();
}

#[test]
fn keys_that_live_for_long_need_little_memory() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let used = |client: &mut Client| client.info("used_memory").parse::<usize>().unwrap();
    client.roundtrip(&["SET", "first", "x"], "+OK");
    let before = used(&mut client);
    client.roundtrip(&["SETEX", "second", "10000", "x"], "+OK");
    let far = used(&mut client) - before;
    assert!(far < 64 << 10, "{far}");
    client.roundtrip(&["SETEX", "third", "100", "x"], "+OK");
    let near = used(&mut client) - before;
    assert!((256 << 10..400 << 10).contains(&near), "{near}");
}
