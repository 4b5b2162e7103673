//! What a server says of itself while something is under way, and what CONFIG SET changes at once.
use std::time::Duration;

use crate::client::{Client, encode};
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
    let idle_bytes = figure(&mut observer, "deaf", "tot-mem").unwrap();
    observer.roundtrip(&["SET", "key", &"x".repeat(10_000)], "+OK");
    for _ in 0..2_000 {
        client.command(&["GET", "key"]);
    }
    eventually("waiting replies", || {
        figure(&mut observer, "deaf", "tot-mem").is_some_and(|bytes| bytes > 100_000)
    });
    for _ in 0..2_000 {
        client.reply();
    }
    eventually("nothing left", || figure(&mut observer, "deaf", "tot-mem") == Some(idle_bytes));
}

#[test]
fn reply_buffers_follow_what_is_in_use() {
    for (name, server) in Server::both(&["--enable-debug-command", "yes"]) {
        let (mut observer, mut client) = (server.connect(), server.connect());
        client.roundtrip(&["CLIENT", "SETNAME", "it"], "+OK");
        assert_eq!(figure(&mut observer, "it", "rbs"), Some(16384), "{name}");
        observer.roundtrip(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "100"], "+OK");
        eventually("it is idle", || figure(&mut observer, "it", "rbs") == Some(1024));
        assert_eq!(figure(&mut observer, "it", "rbp"), Some(0), "{name}");
        observer.roundtrip(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "NEVER"], "+OK");
        observer.roundtrip(&["SET", "key", &"x".repeat(32_768)], "+OK");
        eventually("it is busy", || {
            client.ask(&["GET", "key"]);
            figure(&mut observer, "it", "rbs") == Some(16384)
        });
        observer.roundtrip(&["DEBUG", "REPLYBUFFER", "RESIZING", "0"], "+OK");
        observer.roundtrip(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "RESET"], "+OK");
        let changes =
            |field: &str, observer: &mut Client| observer.info(field).parse::<u64>().unwrap();
        assert!(changes("reply_buffer_shrinks", &mut observer) >= 1, "{name}");
        assert!(changes("reply_buffer_expands", &mut observer) >= 4, "{name}");
    }
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

#[test]
fn compaction_shows_as_defragmentation() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.roundtrip(&["DEBUG", "POPULATE", "50000", "key", "150"], "+OK");
    assert_eq!(client.info("active_defrag_hits"), "0");
    // One key in eight stays, in every page.
    let mut requests = Vec::new();
    let gone = (0..50_000).filter(|key| key % 8 != 0);
    gone.clone().for_each(|key| requests.extend(encode(&["DEL", &format!("key:{key}")])));
    client.send(&requests);
    gone.for_each(|_| client.expect(":1"));
    eventually("compaction to end", || {
        let moves: u64 = client.info("active_defrag_hits").parse().unwrap();
        moves > 3000 && client.info("active_defrag_running") == "0"
    });
    assert_eq!(client.info("active_defrag_key_hits"), client.info("active_defrag_hits"));
    assert_eq!(client.ask(&["DBSIZE"]), ":6250");
    client.roundtrip(&["CONFIG", "RESETSTAT"], "+OK");
    assert_eq!(client.info("active_defrag_hits"), "0");
}
