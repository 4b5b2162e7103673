//! Test mode: CLOCK moves all time of a server, and a seed makes a trace repeatable to the byte.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rufous::{Address, Client, Reply, Server, ServerBuilder};

const EPOCH: &str = "1700000000000";

fn int(client: &mut Client, words: &[&str]) -> i64 {
    client.command(words).unwrap().ok().unwrap().as_int().unwrap()
}

#[test]
fn clock_is_refused_outside_test_mode() {
    let server = Server::builder().spawn().unwrap();
    let mut client = server.connect().unwrap();
    for words in [&["CLOCK", "FREEZE"][..], &["CLOCK", "SET", "1"], &["CLOCK", "ADVANCE", "1"]] {
        let reply = client.command(words).unwrap();
        assert!(matches!(&reply, Reply::Error(text) if text.contains("--test-mode")), "{reply:?}");
    }
    assert!(client.command(&["CLOCK", "HELP"]).unwrap().as_slice().is_some());
}

#[test]
fn time_stops_moves_and_runs_on() {
    let server = Server::builder().test_mode().spawn().unwrap();
    let mut client = server.connect().unwrap();
    client.command(&["CLOCK", "FREEZE"]).unwrap().ok().unwrap();
    assert_eq!(int(&mut client, &["CLOCK", "SET", EPOCH]), 1_700_000_000_000);
    let time = |client: &mut Client| client.command(&["TIME"]).unwrap();
    let frozen = time(&mut client);
    std::thread::sleep(Duration::from_millis(3));
    assert_eq!(time(&mut client), frozen);
    client.command(&["SET", "k", "v", "PX", "1000"]).unwrap().ok().unwrap();
    client.command(&["SET", "other", "v", "PX", "1000"]).unwrap().ok().unwrap();
    assert_eq!(int(&mut client, &["PTTL", "k"]), 1000);
    assert_eq!(int(&mut client, &["CLOCK", "ADVANCE", "1000"]), 1_700_000_001_000);
    assert_eq!(int(&mut client, &["PTTL", "k"]), 0);
    client.command(&["CLOCK", "ADVANCE", "1"]).unwrap().ok().unwrap();
    // Deleted already, not only hidden.
    assert_eq!(int(&mut client, &["DBSIZE"]), 0);
    client.set("idle", "v").unwrap();
    client.command(&["CLOCK", "ADVANCE", "100000"]).unwrap().ok().unwrap();
    assert_eq!(int(&mut client, &["OBJECT", "IDLETIME", "idle"]), 100);
    client.command(&["CLOCK", "RESUME"]).unwrap().ok().unwrap();
    std::thread::sleep(Duration::from_millis(3));
    let running = int(&mut client, &["CLOCK", "ADVANCE", "0"]);
    assert!((1_700_000_101_003..1_700_000_201_001).contains(&running), "{running}");
    for bad in [&["CLOCK", "SET", "-1"], &["CLOCK", "ADVANCE", "-1"], &["CLOCK", "SET", "x"]] {
        assert!(client.command(bad).unwrap().ok().is_err());
    }
    let far = i64::MAX.to_string();
    assert!(client.command(&["CLOCK", "ADVANCE", &far]).unwrap().ok().is_err());
}

#[test]
fn idle_clients_and_pauses_follow_the_clock() {
    let server = Server::builder().test_mode().config("timeout", "60").spawn().unwrap();
    let (mut mover, mut idle) = (server.connect().unwrap(), server.connect().unwrap());
    idle.set_timeout(Some(Duration::from_secs(10))).unwrap();
    idle.ping().unwrap();
    mover.command(&["CLOCK", "FREEZE"]).unwrap().ok().unwrap();
    mover.command(&["CLOCK", "ADVANCE", "61000"]).unwrap().ok().unwrap();
    // The connection ends, though nobody waited a minute; who moved the clock stays.
    assert!(idle.receive().is_err());
    mover.ping().unwrap();
    let mut paused = server.connect().unwrap();
    mover.command(&["CLIENT", "PAUSE", "3600000", "WRITE"]).unwrap().ok().unwrap();
    paused.send(&["SET", "k", "v"]).unwrap();
    assert_eq!(mover.get("k").unwrap(), None);
    mover.command(&["CLOCK", "ADVANCE", "50000"]).unwrap().ok().unwrap();
    mover.command(&["CLOCK", "ADVANCE", "3600000"]).unwrap();
    assert!(paused.receive().is_ok_and(|reply| reply == Reply::Simple("OK".into())));
}

/// Whatever has chance in it.
fn trace() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |line: String| bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
    add("CLOCK FREEZE".into());
    add(format!("CLOCK SET {EPOCH}"));
    add("CONFIG SET maxmemory-policy allkeys-lfu".into());
    for n in 0..300 {
        add(format!("SET key:{n} {n} PX {}", 1000 + n * 10));
    }
    for n in 0..400 {
        add(format!("GET key:{}", n % 7));
    }
    add("OBJECT FREQ key:1".into());
    add("CLOCK ADVANCE 2000".into());
    add("DBSIZE".into());
    (0..50).for_each(|_| add("RANDOMKEY".into()));
    let mut cursors = vec!["0"];
    cursors.extend(["64", "16", "1", "7"]);
    cursors.iter().for_each(|cursor| add(format!("SCAN {cursor} COUNT 50")));
    add("KEYS *".into());
    // A deadline in the past stays until somebody looks: background work must not decide when.
    add("SET past v PXAT 5".into());
    add("DBSIZE".into());
    add("INFO keyspace".into());
    add("DEBUG CHANGE-REPL-ID".into());
    add("TIME".into());
    add("QUIT".into());
    bytes
}

/// Its replies, and the two ids a server chooses by chance.
fn play(builder: ServerBuilder) -> (Vec<u8>, Vec<String>) {
    let server = builder.test_mode().config("enable-debug-command", "yes").spawn().unwrap();
    let mut client = server.connect().unwrap();
    let info = client.command(&["INFO", "server", "replication"]).unwrap();
    let ids = info.as_str().unwrap().lines();
    let ids = ids.filter(|line| line.starts_with("run_id") || line.starts_with("master_replid:"));
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    let Address::Tcp(address) = server.addresses()[0] else { panic!() };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&trace()).unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    (replies, ids)
}

/// Where two runs part, for the message of a failure.
fn first_difference(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(0);
    let near = |bytes: &[u8]| {
        bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())].escape_ascii().to_string()
    };
    format!("they part at byte {at}:\n{}\n{}", near(one), near(other))
}

#[test]
fn the_same_seed_gives_the_same_replies() {
    let (replies, ids) = play(Server::builder().seed(7));
    assert_eq!(ids.len(), 2);
    assert!(replies.len() > 10_000 && !replies.windows(5).any(|window| window == b"-ERR "));
    for _ in 0..3 {
        let again = play(Server::builder().config("seed", "7"));
        assert!(again.0 == replies, "{}", first_difference(&again.0, &replies));
        assert_eq!(again.1, ids);
    }
    let other = play(Server::builder().seed(8));
    assert!(other.0 != replies && other.1 != ids);
}
