//! Clients that wait for lists over real sockets: order, timeouts, those who leave, and pauses.
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::server::{Server, eventually};
use crate::slices::assert_waits;

const OPTIONS: &[&str] = &["--enable-debug-command", "yes"];

/// Waits until so many clients wait for keys.
fn expect_blocked(control: &mut Client, count: usize) {
    eventually("clients to wait", || control.info("blocked_clients") == count.to_string());
}

fn pair(key: &str, value: &str) -> String {
    format!("Array([Bulk({:?}), Bulk({:?})])", key.as_bytes(), value.as_bytes())
}

#[test]
fn waiters_are_served_in_order_and_pipelines_go_on() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let mut waiters: Vec<Client> = Vec::new();
    for index in 0..20 {
        let mut waiter = server.connect();
        let mut sent = encode(&["BLPOP", "a", "b", "0"]);
        sent.extend(encode(&["ECHO", &format!("after {index}")]));
        sent.extend(encode(&["BRPOP", "done", "0"]));
        waiter.send(&sent);
        expect_blocked(&mut control, index + 1);
        waiters.push(waiter);
    }
    assert!(control.ask(&["CLIENT", "LIST"]).contains("flags=b "));
    // All at once, in one command and one pipeline.
    let values: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let mut push = vec!["RPUSH", "b"];
    push.extend(values[..10].iter().map(String::as_str));
    let mut sent = encode(&push);
    values[10..].iter().for_each(|value| sent.extend(encode(&["RPUSH", "a", value])));
    control.send(&sent);
    control.expect(":10");
    (0..10).for_each(|_| control.expect(":1"));
    for (index, waiter) in waiters.iter_mut().enumerate() {
        let key = if index < 10 { "b" } else { "a" };
        assert_eq!(waiter.reply().text(), pair(key, &values[index]), "client {index}");
        waiter.expect(&format!("after {index}"));
    }
    expect_blocked(&mut control, 20);
    drop(waiters);
    expect_blocked(&mut control, 0);
    control.roundtrip(&["RPUSH", "done", "1"], ":1");
    control.roundtrip(&["LLEN", "done"], ":1");
    server.assert_healthy();
}

#[test]
fn a_wait_ends_in_time_and_nobody_notices_a_pause() {
    let mut server = Server::start(OPTIONS);
    let (mut client, mut control) = (server.connect(), server.connect());
    for (timeout, millis) in [("0.001", 1), ("0.05", 50), ("0.2", 200)] {
        let started = Instant::now();
        client.command(&["BLPOP", "a", timeout]);
        assert_eq!(client.reply().text(), "Null");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(millis), "{timeout}: {took:?}");
        assert!(took < Duration::from_millis(millis + 150), "{timeout}: {took:?}");
    }
    // As in Redis, a pause holds commands, not the end of a wait.
    client.command(&["BLMOVE", "a", "b", "LEFT", "RIGHT", "0.1"]);
    expect_blocked(&mut control, 1);
    control.roundtrip(&["CLIENT", "PAUSE", "100000", "WRITE"], "+OK");
    assert_eq!(client.reply().text(), "Null");
    client.command(&["BLPOP", "a", "0.001"]);
    assert_waits(&mut client);
    control.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    assert_eq!(client.reply().text(), "Null");
    server.assert_healthy();
}

#[test]
fn who_leaves_takes_nothing() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    // Closed, half closed, half closed before anything ran, and killed.
    let mut closed = server.connect();
    closed.command(&["BLPOP", "a", "0"]);
    expect_blocked(&mut control, 1);
    drop(closed);
    expect_blocked(&mut control, 0);
    let mut half = server.connect();
    half.send(&[encode(&["PING"]), encode(&["BLPOP", "a", "0"]), encode(&["PING"])].concat());
    half.expect("+PONG");
    expect_blocked(&mut control, 1);
    half.stream.shutdown(Shutdown::Write).unwrap();
    half.expect_closed();
    let mut at_once = server.connect();
    at_once.send(&encode(&["BLPOP", "a", "0"]));
    at_once.stream.shutdown(Shutdown::Write).unwrap();
    at_once.expect_closed();
    let mut killed = server.connect();
    killed.command(&["CLIENT", "ID"]);
    let id = killed.reply().text();
    let id: String = id.chars().filter(char::is_ascii_digit).collect();
    killed.command(&["BLPOP", "a", "0"]);
    expect_blocked(&mut control, 1);
    control.roundtrip(&["CLIENT", "KILL", "ID", &id], ":1");
    killed.expect_closed();
    expect_blocked(&mut control, 0);
    control.roundtrip(&["RPUSH", "a", "1"], ":1");
    control.roundtrip(&["LPOP", "a"], "1");
    server.assert_healthy();
}

#[test]
fn a_job_and_those_who_wait_keep_their_order() {
    let mut server = Server::start(OPTIONS);
    let [mut control, mut job, mut waiter, mut popper] = [(); 4].map(|()| server.connect());
    waiter.command(&["BLPOP", "a", "0"]);
    expect_blocked(&mut control, 1);
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    // It holds a, though a is not there yet.
    job.command(&["TOUCH", "a", "x", "y"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "2"], "+OK");
    (0..3).for_each(|_| control.roundtrip(&["PING"], "+PONG"));
    popper.send(&[encode(&["RPUSH", "a", "1"]), encode(&["LPOP", "a"])].concat());
    assert_waits(&mut popper);
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
    job.expect(":0");
    assert_eq!(waiter.reply().text(), pair("a", "1"));
    popper.expect(":1");
    popper.expect("Null");
    server.assert_healthy();
}

#[test]
fn thousands_wait_and_the_loop_goes_on() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let mut waiters: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    for waiter in &mut waiters {
        waiter.command(&["BLPOP", "queue", "30"]);
    }
    expect_blocked(&mut control, 500);
    assert_eq!(control.info("clients_in_timeout_table"), "500");
    // One unit per slice: each is served in a turn of its own, and others go on between them.
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    let values: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    let mut push = vec!["RPUSH", "queue"];
    push.extend(values.iter().map(String::as_str));
    control.roundtrip(&push, ":600");
    control.roundtrip(&["PING"], "+PONG");
    // Nobody gets at the list before those who waited.
    control.roundtrip(&["LLEN", "queue"], ":100");
    let mut seen: Vec<String> = waiters.iter_mut().map(|waiter| waiter.reply().text()).collect();
    let mut expected: Vec<String> =
        values[..500].iter().map(|value| pair("queue", value)).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(control.info("clients_in_timeout_table"), "0");
    thread::sleep(Duration::from_millis(1));
    server.assert_healthy();
}
