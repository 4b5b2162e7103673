//! CLIENT PAUSE: what waits keeps its order, nothing is lost, and waiting costs nothing.
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Dice, encode, encode_bytes};
use crate::server::{Server, eventually};

#[test]
fn pipelines_of_several_clients_keep_their_order() {
    for (_, mut server) in Server::both(&[]) {
        let big = Dice(1).bytes(300_000);
        let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| client.roundtrip(&["PING"], "+PONG"));
        let mut control = server.connect();
        control.roundtrip(&["CLIENT", "PAUSE", "400", "WRITE"], "+OK");
        let started = Instant::now();
        for (index, client) in clients.iter_mut().enumerate() {
            let list = format!("list:{index}");
            let mut sent = b"ECHO before\r\n".to_vec();
            for step in 0..50 {
                sent.extend(encode(&["APPEND", &list, &format!("{step},")]));
            }
            sent.extend(encode_bytes(&[b"SET", b"big", &big]));
            sent.extend(encode(&["GET", "big"]));
            sent.extend(encode(&["GET", &list]));
            sent.extend_from_slice(b"*x\r\nPING\r\n");
            client.send(&sent);
            client.expect("before");
        }
        assert!(started.elapsed() < Duration::from_millis(350));
        control.roundtrip(&["EXISTS", "list:0"], ":0");
        for client in &mut clients {
            let mut text = String::new();
            for step in 0..50 {
                text += &format!("{step},");
                client.expect(&format!(":{}", text.len()));
            }
            client.expect("+OK");
            client.expect_bulk(&big);
            client.expect(&text);
            client.expect("-ERR Protocol error: invalid multibulk length");
            client.expect_closed();
        }
        assert!(started.elapsed() >= Duration::from_millis(390));
        server.assert_healthy();
    }
}

#[test]
fn waiting_costs_nothing() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut control = server.connect();
    control.roundtrip(&["CLIENT", "PAUSE", "100000", "WRITE"], "+OK");
    client.send(b"SET a 1\r\n");
    thread::sleep(Duration::from_millis(20));
    // More of it, whole and in parts, while the first waits.
    client.send(b"SET a 2\r\nGET a\r\nSET b");
    thread::sleep(Duration::from_millis(20));
    client.send(&encode_bytes(&[b"x", &[b'x'; 100_000]]));
    server.assert_idle();
    let mut gone = server.connect();
    gone.send(b"SET gone 1\r\n");
    thread::sleep(Duration::from_millis(20));
    drop(gone);
    server.assert_idle();
    control.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    client.expect("+OK");
    client.expect("+OK");
    client.expect("2");
    // What came last ends in a line that is too long, so the server closes; the replies before that arrive.
    let reply = client.reply().text();
    assert!(reply.starts_with("-ERR"), "{reply}");
    server.assert_healthy();
}

#[test]
fn who_has_gone_while_waiting_asks_for_nothing_any_more() {
    for (_, mut server) in Server::both(&[]) {
        let mut control = server.connect();
        control.roundtrip(&["CLIENT", "PAUSE", "300", "ALL"], "+OK");
        let mut client = server.connect();
        client.send(b"SET a 1\r\n");
        client.send(&encode(&["GET", "a"]));
        client.send(&encode(&["APPEND", "a", &"x".repeat(50_000)]));
        client.shut_write();
        client.expect_closed();
        control.roundtrip(&["EXISTS", "a"], ":0");
        server.assert_healthy();
    }
}

#[test]
fn a_pause_extended_and_killed_in() {
    for (_, mut server) in Server::both(&[]) {
        let mut victim = server.connect();
        let id = victim.ask(&["CLIENT", "ID"]).split_off(1);
        let mut client = server.connect();
        let mut control = server.connect();
        control.roundtrip(&["CLIENT", "PAUSE", "200", "WRITE"], "+OK");
        victim.send(b"SET victim 1\r\n");
        client.send(b"SET client 1\r\nPING\r\n");
        thread::sleep(Duration::from_millis(50));
        control.roundtrip(&["CLIENT", "PAUSE", "400", "WRITE"], "+OK");
        control.roundtrip(&["CLIENT", "KILL", "ID", &id], ":1");
        victim.expect_closed();
        thread::sleep(Duration::from_millis(200));
        control.roundtrip(&["EXISTS", "client"], ":0");
        client.expect("+OK");
        client.expect("+PONG");
        control.roundtrip(&["EXISTS", "victim"], ":0");
        server.assert_healthy();
    }
}

#[test]
fn the_end_of_a_pause_wakes_nobody_who_waits_for_something_else() {
    let mut server = Server::start(&["--enable-debug-command", "yes"]);
    let mut control = server.connect();
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    control.roundtrip(&["CLIENT", "PAUSE", "60000", "WRITE"], "+OK");
    let mut paused = server.connect();
    let id = paused.ask(&["CLIENT", "ID"]);
    paused.command(&["SET", "key", "value"]);
    eventually("it to wait", || control.info("blocked_clients") == "1");
    control.roundtrip(&["CLIENT", "KILL", "ID", &id[1..]], ":1");
    paused.expect_closed();
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    // It takes the place of the one that is gone.
    let mut busy = server.connect();
    busy.command(&["MGET", "a", "b"]);
    eventually("a job", || control.info("jobs_running") == "1");
    control.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    control.roundtrip(&["PING"], "+PONG");
    busy.command(&["PING"]);
    control.roundtrip(&["PING"], "+PONG");
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
    assert_eq!(busy.reply().text(), "Array([Null, Null])");
    busy.expect("+PONG");
    server.assert_healthy();
}
