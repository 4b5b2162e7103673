//! Long commands as jobs: others run meanwhile, those that conflict wait in order, and nothing is seen half done.
//!
//! DEBUG JOBS makes a job of whatever can be one and lets it do a counted number of slices, so each test stops a
//! command exactly where it wants to look.
use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::server::{Server, eventually};
use crate::slices::{assert_waits, run, step, stop_after};

const OPTIONS: &[&str] = &["--enable-debug-command", "yes"];

/// A server whose jobs stand still, and a client to control it.
fn stopped(slices: &str) -> (Server, Client) {
    let server = Server::start(OPTIONS);
    let mut control = server.connect();
    stop_after(&mut control, slices);
    (server, control)
}

#[test]
fn others_run_and_those_that_conflict_wait() {
    let (mut server, mut control) = stopped("-1");
    control.roundtrip(&["SET", "a", "1"], "+OK");
    control.roundtrip(&["SET", "b", "2"], "+OK");
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    let [mut job, mut reader, mut writer, mut late] = [(); 4].map(|()| server.connect());
    job.command(&["MGET", "a", "b"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // It takes its two keys.
    step(&mut control, 2);
    reader.roundtrip(&["GET", "a"], "1");
    reader.roundtrip(&["SET", "other", "x"], "+OK");
    writer.command(&["SET", "a", "new"]);
    assert_waits(&mut writer);
    // Behind the writer, although it would only read: nobody is passed for ever.
    late.command(&["GET", "a"]);
    assert_waits(&mut late);
    assert_eq!(control.info("clients_waiting_for_keys"), "2");
    assert_eq!(control.info("blocked_clients"), "2");
    run(&mut control);
    assert_eq!(job.reply().text(), r#"Array([Bulk([49]), Bulk([50])])"#);
    writer.expect("+OK");
    late.expect("new");
    assert_eq!(control.info("clients_waiting_for_keys"), "0");
    assert_eq!(control.info("jobs_running"), "0");
    server.assert_healthy();
}

#[test]
fn a_write_is_never_seen_half_done() {
    let (mut server, mut control) = stopped("0");
    let [mut job, mut reader, mut counter] = [(); 3].map(|()| server.connect());
    job.command(&["MSET", "a", "1", "b", "2", "c", "3"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // Three keys taken, three looked at, one of them set.
    step(&mut control, 7);
    reader.command(&["MGET", "a", "c"]);
    counter.command(&["DBSIZE"]);
    assert_waits(&mut reader);
    assert_waits(&mut counter);
    run(&mut control);
    job.expect("+OK");
    assert_eq!(reader.reply().text(), r#"Array([Bulk([49]), Bulk([51])])"#);
    counter.expect(":3");
    server.assert_healthy();
}

#[test]
fn a_pipeline_keeps_its_order() {
    let (mut server, mut control) = stopped("0");
    let mut client = server.connect();
    let mut sent = Vec::new();
    sent.extend(encode(&["SET", "a", "1"]));
    sent.extend(encode(&["MSET", "a", "2", "b", "2"]));
    sent.extend(encode(&["GET", "a"]));
    sent.extend(encode(&["DEL", "a", "b"]));
    sent.extend(encode(&["EXISTS", "a", "b"]));
    sent.extend(encode(&["KEYS", "*"]));
    sent.extend(b"PING\r\n");
    client.send(&sent);
    client.expect("+OK");
    assert_waits(&mut client);
    run(&mut control);
    client.expect("+OK");
    client.expect("2");
    client.expect(":2");
    client.expect(":0");
    assert_eq!(client.reply().text(), "Array([])");
    client.expect("+PONG");
    server.assert_healthy();
}

#[test]
fn keys_shows_one_instant() {
    let (mut server, mut control) = stopped("-1");
    let keys: Vec<String> = (0..200).map(|number| format!("key:{number}")).collect();
    keys.iter().for_each(|key| control.roundtrip(&["SET", key, "v"], "+OK"));
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    let mut lister = server.connect();
    lister.command(&["KEYS", "*"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    step(&mut control, 3);
    // Half of them go, others come, and one database after the other is thrown away.
    keys.iter().step_by(2).for_each(|key| control.roundtrip(&["SET", key, "changed"], "+OK"));
    (0..500).for_each(|n| control.roundtrip(&["SET", &format!("new:{n}"), "v"], "+OK"));
    step(&mut control, 3);
    control.roundtrip(&["FLUSHALL"], "+OK");
    control.roundtrip(&["SET", "after", "v"], "+OK");
    control.roundtrip(&["SWAPDB", "0", "1"], "+OK");
    run(&mut control);
    let crate::client::Reply::Array(listed) = lister.reply() else { panic!("no array") };
    let mut listed: Vec<String> = listed.iter().map(crate::client::Reply::text).collect();
    listed.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(listed, expected);
    control.roundtrip(&["DBSIZE"], ":0");
    server.assert_healthy();
}

#[test]
fn a_database_may_go_while_a_job_writes_to_it() {
    let (mut server, mut control) = stopped("0");
    let [mut job, mut waiting] = [(); 2].map(|()| server.connect());
    job.command(&["MSET", "a", "1", "b", "2"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    step(&mut control, 3);
    waiting.command(&["GET", "a"]);
    assert_waits(&mut waiting);
    control.roundtrip(&["FLUSHDB"], "+OK");
    // As if all of the job had come before: nothing of it is left, and nobody need wait for it.
    assert_eq!(waiting.reply().text(), "Null");
    control.roundtrip(&["SET", "b", "mine"], "+OK");
    run(&mut control);
    job.expect("+OK");
    control.roundtrip(&["GET", "b"], "mine");
    control.roundtrip(&["GET", "a"], "Null");
    server.assert_healthy();
}

#[test]
fn who_leaves_is_forgotten() {
    let (mut server, mut control) = stopped("0");
    let [mut job, mut first, mut second] = [(); 3].map(|()| server.connect());
    job.command(&["MSET", "a", "1", "b", "2"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    step(&mut control, 3);
    first.command(&["SET", "a", "first"]);
    eventually("one waits", || control.info("clients_waiting_for_keys") == "1");
    second.command(&["GET", "a"]);
    eventually("two wait", || control.info("clients_waiting_for_keys") == "2");
    let id = first_waiting(&mut control);
    control.roundtrip(&["CLIENT", "KILL", "ID", &id], ":1");
    first.expect_closed();
    assert_eq!(control.info("clients_waiting_for_keys"), "1");
    // The job's own client leaves: what it began is done all the same.
    drop(job);
    run(&mut control);
    second.expect("1");
    control.roundtrip(&["GET", "b"], "2");
    server.assert_healthy();
}

/// Id of the waiting client that came first.
fn first_waiting(control: &mut Client) -> String {
    let list = control.ask(&["CLIENT", "LIST"]);
    let line = list.lines().find(|line| line.contains(" flags=b ")).expect("somebody waits");
    line.split([' ', '=']).nth(1).expect("an id").to_owned()
}

#[test]
fn an_unread_reply_is_cut_while_it_grows() {
    let mut server = Server::start(&[
        "--client-output-buffer-limit",
        "normal 200000 0 0",
        "--enable-debug-command",
        "yes",
    ]);
    let mut control = server.connect();
    control.roundtrip(&["DEBUG", "POPULATE", "50000", "some-quite-long-key-name"], "+OK");
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "50"], "+OK");
    let mut greedy = server.connect();
    greedy.command(&["KEYS", "*"]);
    greedy.expect_closed();
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "0"], "+OK");
    eventually("the job is gone", || control.info("jobs_running") == "0");
    server.expect_log("overcoming of output buffer limits");
    server.assert_healthy();
}

#[test]
fn big_commands_of_all_kinds_end() {
    let mut server = Server::start(OPTIONS);
    let mut client = server.connect();
    let count = 30_000;
    let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
    let mut mset = vec!["MSET"];
    keys.iter().for_each(|key| mset.extend([key.as_str(), "value"]));
    client.roundtrip(&mset, "+OK");
    let with = |name: &'static str| {
        let mut words = vec![name];
        words.extend(keys.iter().map(String::as_str));
        words
    };
    client.roundtrip(&with("EXISTS"), &format!(":{count}"));
    client.roundtrip(&with("TOUCH"), &format!(":{count}"));
    client.command(&with("MGET"));
    let crate::client::Reply::Array(values) = client.reply() else { panic!("no array") };
    assert_eq!(values.len(), count);
    assert!(values.iter().all(|value| value.text() == "value"));
    client.command(&["KEYS", "k1*"]);
    let crate::client::Reply::Array(found) = client.reply() else { panic!("no array") };
    assert_eq!(found.len(), 11_111);
    client.roundtrip(&mset_with(&mset, "MSETNX"), ":0");
    client.roundtrip(&with("DEL"), &format!(":{count}"));
    client.roundtrip(&mset_with(&mset, "MSETNX"), ":1");
    client.roundtrip(&with("UNLINK"), &format!(":{count}"));
    client.roundtrip(&["DBSIZE"], ":0");
    server.assert_healthy();
    server.assert_idle();
}

fn mset_with<'w>(mset: &[&'w str], name: &'w str) -> Vec<&'w str> {
    [&[name], &mset[1..]].concat()
}

#[test]
fn clients_of_other_doors_wait_too() {
    let port = crate::server::free_port();
    let listen = format!("simpledb://127.0.0.1:{port}");
    let mut server = Server::start(&["--enable-debug-command", "yes", "--listen", &listen]);
    let mut control = server.connect();
    stop_after(&mut control, "0");
    let mut job = server.connect();
    job.command(&["MSET", "a", "1", "b", "2"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    step(&mut control, 3);
    let mut other = Client::tcp(("127.0.0.1", port));
    other.command(&["GET", "c"]);
    assert_eq!(other.reply().text(), "Null");
    other.command(&["GET", "a"]);
    assert_waits(&mut other);
    let mut counter = Client::tcp(("127.0.0.1", port));
    counter.command(&["LEN"]);
    assert_waits(&mut counter);
    run(&mut control);
    other.expect("1");
    counter.expect(":2");
    job.expect("+OK");
    server.assert_healthy();
}

#[test]
fn big_values_are_edited_and_dumped_in_slices() {
    let mut server = Server::start(OPTIONS);
    let mut client = server.connect();
    let piece = "0123456789abcdef".repeat(1 << 17);
    client.roundtrip(&["SET", "big", &piece], "+OK");
    client.roundtrip(&["APPEND", "big", &piece], ":4194304");
    client.roundtrip(&["COPY", "big", "copy"], ":1");
    client.roundtrip(&["APPEND", "big", "tail"], ":4194308");
    client.roundtrip(&["SETRANGE", "copy", "5000000", "end"], ":5000003");
    client.roundtrip(&["STRLEN", "big"], ":4194308");
    client.roundtrip(&["GETRANGE", "big", "4194300", "-1"], "cdeftail");
    client.roundtrip(&["GETRANGE", "copy", "4194300", "4194305"], "cdef\0\0");
    client.command(&["DUMP", "big"]);
    let crate::client::Reply::Bulk(payload) = client.reply() else { panic!("no bulk") };
    let words = [&b"RESTORE"[..], b"again", b"0", &payload];
    client.send(&crate::client::encode_bytes(&words));
    client.expect("+OK");
    client.command(&["GET", "big"]);
    let whole = client.reply();
    client.command(&["GET", "again"]);
    assert_eq!(client.reply(), whole);
    server.assert_healthy();
}

/// Two clients hammer the same many keys; no reply mixes the two.
#[test]
fn big_reads_and_writes_are_whole() {
    let server = Server::start(OPTIONS);
    let mut control = server.connect();
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "40"], "+OK");
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let until = Instant::now() + Duration::from_millis(700);
    std::thread::scope(|scope| {
        for value in ["one", "two", "six"] {
            let (keys, mut client) = (&keys, server.connect());
            scope.spawn(move || {
                let mut mset = vec!["MSET"];
                keys.iter().for_each(|key| mset.extend([key.as_str(), value]));
                while Instant::now() < until {
                    client.roundtrip(&mset, "+OK");
                }
            });
        }
        for _ in 0..2 {
            let (keys, mut client) = (&keys, server.connect());
            scope.spawn(move || {
                let mut words = vec!["MGET"];
                words.extend(keys.iter().rev().map(String::as_str));
                let mut seen = 0;
                while Instant::now() < until {
                    client.command(&words);
                    let crate::client::Reply::Array(values) = client.reply() else { panic!() };
                    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
                    seen += 1;
                }
                assert!(seen > 3, "only {seen} replies");
            });
        }
    });
}
