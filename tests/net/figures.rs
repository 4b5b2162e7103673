//! What a server says of itself while something is under way, and what CONFIG SET changes at once.
use std::time::Duration;

use crate::client::Client;
use crate::server::{Server, eventually};

/// A field of CLIENT LIST's line of the client with this name.
pub fn figure(observer: &mut Client, name: &str, field: &str) -> Option<usize> {
    let list = observer.ask(&["CLIENT", "LIST"]);
    let line = list.lines().find(|line| line.contains(&format!(" name={name} ")))?;
    let start = format!("{field}=");
    line.split(' ').find_map(|word| word.strip_prefix(start.as_str()))?.parse().ok()
}

#[test]
fn an_unfinished_request_shows() {
    let server = Server::start(&[]);
    let (mut observer, mut client) = (server.connect(), server.connect());
    client.roundtrip(&["CLIENT", "SETNAME", "slow"], "+OK");
    assert_eq!(figure(&mut observer, "slow", "qbuf"), Some(0));
    client.send(b"*4\r\n$4\r\nMSET\r\n$3\r\nkey\r\n");
    eventually("the small part", || figure(&mut observer, "slow", "qbuf") == Some(23));
    client.send(b"$200000\r\n");
    client.send(&vec![b'x'; 150_000]);
    eventually("the big part", || {
        let qbuf = figure(&mut observer, "slow", "qbuf");
        qbuf.is_some_and(|bytes| (150_000..151_000).contains(&bytes))
    });
    client.send(&[&[b'x'; 50_000][..], b"\r\n$5\r\n"].concat());
    eventually("a finished argument", || {
        figure(&mut observer, "slow", "argv-mem").is_some_and(|bytes| bytes >= 200_000)
    });
    assert!(figure(&mut observer, "slow", "tot-mem").is_some_and(|bytes| bytes >= 200_000));
    // Three words after the name is one too few: refused, and nothing is held any more.
    client.send(b"other\r\n");
    client.expect("-ERR wrong number of arguments for 'mset' command");
    eventually("nothing left", || {
        figure(&mut observer, "slow", "qbuf") == Some(0)
            && figure(&mut observer, "slow", "argv-mem") == Some(0)
    });
}

#[test]
fn replies_that_nobody_reads_show() {
    let server = Server::start(&[]);
    let (mut observer, mut client) = (server.connect(), server.connect());
    client.roundtrip(&["CLIENT", "SETNAME", "deaf"], "+OK");
    assert_eq!(figure(&mut observer, "deaf", "rbs"), Some(0));
    observer.roundtrip(&["SET", "key", &"x".repeat(10_000)], "+OK");
    for _ in 0..2_000 {
        client.command(&["GET", "key"]);
    }
    eventually("waiting replies", || {
        figure(&mut observer, "deaf", "rbs").is_some_and(|bytes| bytes > 100_000)
            && figure(&mut observer, "deaf", "tot-mem").is_some_and(|bytes| bytes > 100_000)
    });
    for _ in 0..2_000 {
        client.reply();
    }
    eventually("nothing left", || figure(&mut observer, "deaf", "rbs") == Some(0));
}

#[test]
fn the_log_level_changes_at_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut provoke = |word: &str| {
        let mut stranger = server.connect();
        stranger.send(format!("*{word}\r\n").as_bytes());
        stranger.expect("-ERR Protocol error: invalid multibulk length");
        client.roundtrip(&["CONFIG", "SET", "loglevel", "verbose"], "+OK");
    };
    provoke("x");
    assert!(!server.log().contains("Protocol error"));
    provoke("y");
    server.expect_log("Protocol error");
}

#[test]
fn nothing_periodic_runs_while_cron_is_paused() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let (mut client, mut idle) = (server.connect(), server.connect());
    client.roundtrip(&["DEBUG", "PAUSE-CRON", "1"], "+OK");
    client.roundtrip(&["CONFIG", "SET", "timeout", "1"], "+OK");
    client.roundtrip(&["SET", "gone", "v", "PX", "1"], "+OK");
    for _ in 0..13 {
        std::thread::sleep(Duration::from_millis(100));
        client.roundtrip(&["DBSIZE"], ":1");
    }
    idle.roundtrip(&["PING"], "+PONG");
    client.roundtrip(&["DEBUG", "PAUSE-CRON", "0"], "+OK");
    eventually("expiry", || client.ask(&["DBSIZE"]) == ":0");
}
