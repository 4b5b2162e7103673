//! Requests of many keys at another front door as jobs: they hold their keys against all doors, keep their
//! connection's order, and are told errors in the words of their own door.
use std::time::{Duration, Instant};

use crate::client::{Client, Reply, encode, encode_bytes};
use crate::server::{Server, eventually};
use crate::slices::{assert_waits, run, step, stop_after};

/// A server with a simpledb door, and its port.
fn with_door() -> (Server, u16) {
    let port = crate::server::free_port();
    let listen = format!("simpledb://127.0.0.1:{port}");
    (Server::start(&["--enable-debug-command", "yes", "--listen", &listen]), port)
}

/// Jobs of one unit per slice, which stand still.
fn stopped() -> (Server, u16, Client) {
    let (server, port) = with_door();
    let mut control = server.connect();
    stop_after(&mut control, "0");
    (server, port, control)
}

fn visitor(port: u16) -> Client {
    Client::tcp(("127.0.0.1", port))
}

#[test]
fn a_long_write_is_never_seen_half_done() {
    let (mut server, port, mut control) = stopped();
    let [mut reader, mut counter] = [(); 2].map(|()| server.connect());
    let mut job = visitor(port);
    job.command(&["MSET", "a", "1", "b", "2", "c", "3"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // Six arguments read and their end seen, three keys taken, one pair set.
    step(&mut control, 7 + 3 + 2);
    reader.command(&["MGET", "a", "c"]);
    counter.command(&["DBSIZE"]);
    assert_waits(&mut reader);
    assert_waits(&mut counter);
    run(&mut control);
    job.expect(":3");
    assert_eq!(reader.reply().text(), "Array([Bulk([49]), Bulk([51])])");
    counter.expect(":3");
    server.assert_healthy();
}

#[test]
fn a_pipeline_keeps_its_order() {
    let (mut server, port, mut control) = stopped();
    let mut client = visitor(port);
    let mut sent = Vec::new();
    for words in [
        &["SET", "a", "1"][..],
        &["MSET", "a", "2", "b", "2"],
        &["GET", "a"],
        &["MGET", "b", "a"],
        &["MPOP", "a", "b", "a"],
        &["MSET", "a", "x", "b"],
        &["MDELETE", "a", "b"],
        &["EXISTS", "a"],
    ] {
        sent.extend(encode(words));
    }
    sent.extend(b"mset a 1 b 2\r\nLEN\r\nQUIT\r\n");
    client.send(&sent);
    client.expect(":1");
    assert_waits(&mut client);
    run(&mut control);
    client.expect(":2");
    client.expect("2");
    assert_eq!(client.reply().text(), "Array([Bulk([50]), Bulk([50])])");
    assert_eq!(client.reply().text(), "Array([Bulk([50]), Bulk([50]), Null])");
    client.expect("-Wrong number of arguments for MSET");
    client.expect(":0");
    client.expect(":0");
    client.expect(":2");
    client.expect(":2");
    client.expect(":1");
    client.expect_closed();
    server.assert_healthy();
}

#[test]
fn who_leaves_changes_nothing_halfway() {
    let (mut server, port, mut control) = stopped();
    let mut job = visitor(port);
    job.command(&["MSET", "a", "1", "b", "2"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // Four arguments read and their end seen, two keys taken, one pair set.
    step(&mut control, 5 + 2 + 2);
    let mut reader = visitor(port);
    reader.command(&["MGET", "c", "d"]);
    eventually("two jobs run", || control.info("jobs_running") == "2");
    let mut waiting = server.connect();
    waiting.command(&["GET", "b"]);
    assert_waits(&mut waiting);
    let clients = control.ask(&["CLIENT", "LIST"]);
    let killed = clients.lines().find(|line| line.contains("cmd=mset")).expect("it is listed");
    let id = killed.split([' ', '=']).nth(1).expect("an id").to_owned();
    control.roundtrip(&["CLIENT", "KILL", "ID", &id], ":1");
    drop(reader);
    run(&mut control);
    waiting.expect("2");
    control.roundtrip(&["GET", "a"], "1");
    eventually("all is over", || control.info("jobs_running") == "0");
    drop(job);
    server.assert_healthy();
}

#[test]
fn statistics_and_monitor_know_them() {
    let (mut server, port) = with_door();
    let mut control = server.connect();
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    control.roundtrip(&["CONFIG", "SET", "slowlog-log-slower-than", "0"], "+OK");
    let mut monitor = server.connect();
    monitor.roundtrip(&["MONITOR"], "+OK");
    let mut client = visitor(port);
    client.roundtrip(&["MSET", "a", "1", "b", "2"], ":2");
    client.roundtrip(&["MSET", "a", "1", "b"], "-Wrong number of arguments for MSET");
    let seen = [monitor.reply().text(), monitor.reply().text()];
    assert!(seen[0].ends_with(r#""mset" "a" "1" "b" "2""#), "{}", seen[0]);
    assert!(seen[1].ends_with(r#""mset" "a" "1" "b""#), "{}", seen[1]);
    let stats = control.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_mset:")).expect("counted");
    assert!(line.contains("calls=2,") && line.ends_with("failed_calls=1"), "{line}");
    monitor.shut_write();
    drop(monitor);
    let many: Vec<String> = (0..2000).map(|number| format!("k{number}")).collect();
    let mut words = vec!["MGET"];
    words.extend(many.iter().map(String::as_str));
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "100"], "+OK");
    eventually("nobody monitors", || !control.ask(&["CLIENT", "LIST"]).contains("flags=O"));
    control.roundtrip(&["SLOWLOG", "RESET"], "+OK");
    client.command(&words);
    let Reply::Array(values) = client.reply() else { panic!("no array") };
    assert_eq!(values.len(), 2000);
    control.command(&["SLOWLOG", "GET"]);
    let log = format!("{:?}", control.reply());
    let shown = format!("{:?}", b"... (1970 more arguments)".to_vec());
    assert!(log.contains(shown.trim_matches(['[', ']'])), "{log}");
    server.assert_healthy();
}

#[test]
fn frames_of_very_many_keys_and_nested_values_end() {
    let (mut server, port) = with_door();
    let (mut client, mut control) = (visitor(port), server.connect());
    let count = 30_000;
    let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
    let with = |name: &'static str| {
        let mut words = vec![name];
        words.extend(keys.iter().map(String::as_str));
        words
    };
    let mut mset = vec!["MSET"];
    keys.iter().for_each(|key| mset.extend([key.as_str(), "value"]));
    let before: usize = control.info("jobs_ended").parse().unwrap();
    client.roundtrip(&mset, &format!(":{count}"));
    client.command(&with("MGET"));
    let Reply::Array(values) = client.reply() else { panic!("no array") };
    assert_eq!(values, vec![Reply::Bulk(b"value".to_vec()); count]);
    client.roundtrip(&with("MDELETE"), &format!(":{count}"));
    client.send(&encode_bytes(&[b"LEN"]));
    client.expect(":0");
    // A dictionary, and a nested value, each of 60,000 elements.
    let mut dictionary = format!("*2\r\n$4\r\nMSET\r\n%{count}\r\n").into_bytes();
    let mut nested = format!("*3\r\n$3\r\nSET\r\n$4\r\nlist\r\n*{count}\r\n").into_bytes();
    for key in &keys {
        dictionary.extend(format!("${}\r\n{key}\r\n:7\r\n", key.len()).bytes());
        nested.extend(format!("*1\r\n+{key}\r\n").bytes());
    }
    client.send(&dictionary);
    client.expect(&format!(":{count}"));
    client.send(&nested);
    client.expect(":1");
    client.command(&with("MPOP"));
    let Reply::Array(values) = client.reply() else { panic!("no array") };
    assert_eq!(values, vec![Reply::Line(":7".to_owned()); count]);
    client.command(&["GET", "list"]);
    let Reply::Array(values) = client.reply() else { panic!("no array") };
    assert_eq!(values.len(), count);
    // The last, too: printing so long a value takes longer than a slice.
    let after: usize = control.info("jobs_ended").parse().unwrap();
    assert_eq!(after - before, 7);
    server.assert_healthy();
    server.assert_idle();
}

/// Two clients of each door hammer the same keys; no reply mixes two writes.
#[test]
fn reads_and_writes_of_two_doors_are_whole() {
    let (server, port) = with_door();
    let mut control = server.connect();
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "40"], "+OK");
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let until = Instant::now() + Duration::from_millis(600);
    std::thread::scope(|scope| {
        for (value, is_resp) in [("one", true), ("two", false), ("six", false)] {
            let keys = &keys;
            let mut client = if is_resp { server.connect() } else { visitor(port) };
            scope.spawn(move || {
                let mut mset = vec!["MSET"];
                keys.iter().for_each(|key| mset.extend([key.as_str(), value]));
                while Instant::now() < until {
                    client.roundtrip(&mset, if is_resp { "+OK" } else { ":300" });
                }
            });
        }
        for mut client in [server.connect(), visitor(port)] {
            let keys = &keys;
            scope.spawn(move || {
                let mut words = vec!["MGET"];
                words.extend(keys.iter().rev().map(String::as_str));
                let mut seen = 0;
                while Instant::now() < until {
                    client.command(&words);
                    let Reply::Array(values) = client.reply() else { panic!("no array") };
                    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
                    seen += 1;
                }
                assert!(seen > 3, "only {seen} replies");
            });
        }
    });
}
