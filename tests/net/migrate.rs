//! MIGRATE between two servers, one of which may be a redis-server or nobody at all.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::server::{Server, eventually};
use crate::slices::assert_waits;

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];
const PATIENCE: &str = "30000";

/// Has `from` send keys to `port`; the reply.
fn migrate(from: &mut Client, port: u16, key: &str, options: &[&str]) -> String {
    let port = port.to_string();
    from.ask(&[&["MIGRATE", "127.0.0.1", &port, key, "0", PATIENCE], options].concat())
}

/// One value of each kind, some of them big; their keys.
fn fill(client: &mut Client) -> Vec<String> {
    let lines = [
        "SET string hello",
        "SET number 42",
        "SET dying v PX 10000000",
        "RPUSH list a b c",
        "SADD set x y z",
        "SADD numbers 1 2 3",
        "ZADD zset 1 a 2.5 b",
        "HSET hash f v g w",
        "XADD stream 1-1 f v",
    ];
    for line in lines {
        client.ask(&line.split(' ').collect::<Vec<_>>());
    }
    let script = "redis.call('set', 'big', string.rep('x', 3000000)) \
        for i = 1, 20000 do redis.call('rpush', 'long', i) redis.call('hset', 'wide', i, i) end";
    client.ask(&["EVAL", script, "0"]);
    let keys = "string number dying list set numbers zset hash stream big long wide";
    keys.split(' ').map(str::to_owned).collect()
}

fn digests(client: &mut Client, keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| client.ask(&["DEBUG", "DIGEST-VALUE", key])).collect()
}

#[test]
fn values_arrive_as_they_were() {
    for (name, other) in Server::both(DEBUG) {
        let mut ours = Server::start(DEBUG);
        let (mut here, mut there) = (ours.connect(), other.connect());
        let (our_port, other_port) = (ours.port, other.port);
        let keys = fill(&mut here);
        // However small the slices.
        here.ask(&["DEBUG", "JOBS", "UNITS", "50"]);
        let before = digests(&mut here, &keys);
        let list: Vec<&str> = keys.iter().map(String::as_str).collect();
        let all = [&["KEYS", "none"], &list[..]].concat();
        // There, and back.
        assert_eq!(migrate(&mut here, other_port, "", &all), "+OK", "to {name}");
        here.roundtrip(&["DBSIZE"], ":0");
        assert_eq!(digests(&mut there, &keys), before, "on {name}");
        let ttl_ms = there.ask(&["PTTL", "dying"]);
        assert!(ttl_ms.starts_with(":9"), "{ttl_ms}");
        let copy = [&["COPY"], &all[..]].concat();
        assert_eq!(migrate(&mut there, our_port, "", &copy), "+OK", "from {name}");
        assert_eq!(digests(&mut here, &keys), before, "from {name}");
        there.roundtrip(&["DBSIZE"], &format!(":{}", keys.len()));
        // What is there is not overwritten, unless that is wanted.
        here.ask(&["SET", "string", "mine"]);
        let busy =
            "-ERR Target instance replied with error: BUSYKEY Target key name already exists.";
        assert_eq!(migrate(&mut here, other_port, "string", &[]), busy);
        here.roundtrip(&["GET", "string"], "mine");
        assert_eq!(migrate(&mut here, other_port, "string", &["REPLACE"]), "+OK");
        there.roundtrip(&["GET", "string"], "mine");
        here.roundtrip(&["EXISTS", "string"], ":0");
        ours.assert_healthy();
    }
}

#[test]
fn only_what_has_arrived_is_deleted() {
    let (mut ours, other) = (Server::start(&[]), Server::start(&[]));
    let (mut here, mut there) = (ours.connect(), other.connect());
    here.ask(&["MSET", "a", "1", "b", "2", "c", "3"]);
    there.ask(&["SET", "b", "theirs"]);
    let reply = migrate(&mut here, other.port, "", &["KEYS", "a", "b", "c"]);
    assert!(reply.contains("BUSYKEY"), "{reply}");
    here.roundtrip(&["EXISTS", "a", "b", "c"], ":1");
    assert_eq!(there.ask(&["MGET", "a", "b", "c"]), here_text(&["1", "theirs", "3"]));
    // Nor where it would arrive in a database that is none.
    let port = other.port.to_string();
    let reply = here.ask(&["MIGRATE", "127.0.0.1", &port, "b", "99", PATIENCE]);
    assert!(reply.contains("DB index is out of range"), "{reply}");
    here.roundtrip(&["GET", "b"], "2");
    there.ask(&["CONFIG", "SET", "requirepass", "secret"]);
    let reply = here.ask(&["MIGRATE", "127.0.0.1", &port, "b", "5", PATIENCE]);
    assert!(reply.contains("OK"), "the connection is that of before: {reply}");
    ours.assert_healthy();
}

fn here_text(values: &[&str]) -> String {
    let bulks: Vec<String> = values.iter().map(|v| format!("Bulk({:?})", v.as_bytes())).collect();
    format!("Array([{}])", bulks.join(", "))
}

#[test]
fn it_says_who_it_is() {
    let (mut ours, other) = (Server::start(&[]), Server::start(&["--requirepass", "secret"]));
    let mut here = ours.connect();
    let mut there = other.connect();
    there.roundtrip(&["AUTH", "secret"], "+OK");
    there.ask(&["ACL", "SETUSER", "mover", "on", ">word", "~*", "+restore", "+select"]);
    here.ask(&["MSET", "a", "1", "b", "2", "c", "3"]);
    for (options, reply) in [
        (&[][..], "NOAUTH"),
        (&["AUTH", "wrong"], "WRONGPASS"),
        (&["AUTH2", "mover", "wrong"], "WRONGPASS"),
    ] {
        let told = migrate(&mut here, other.port, "a", options);
        assert!(told.contains(reply), "{options:?}: {told}");
        here.roundtrip(&["GET", "a"], "1");
    }
    assert_eq!(migrate(&mut here, other.port, "a", &["AUTH", "secret"]), "+OK");
    let options = ["AUTH2", "mover", "word", "KEYS", "b", "c"];
    assert_eq!(migrate(&mut here, other.port, "", &options), "+OK");
    assert_eq!(there.ask(&["MGET", "a", "b", "c"]), here_text(&["1", "2", "3"]));
    ours.assert_healthy();
}

#[test]
fn nobody_waits_for_the_other_server() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let mut ours = Server::start(&[]);
    let [mut here, mut others, mut reader] = [(); 3].map(|()| ours.connect());
    here.ask(&["MSET", "key", "1", "other", "2"]);
    let started = Instant::now();
    here.command(&["MIGRATE", "127.0.0.1", &port, "key", "0", "700"]);
    eventually("it is under way", || others.info("jobs_running") == "1");
    others.roundtrip(&["GET", "other"], "2");
    reader.command(&["GET", "key"]);
    assert_waits(&mut reader);
    ours.assert_idle();
    let reply = here.reply().text();
    assert_eq!(reply, "-IOERR error or timeout reading to target instance");
    let took = started.elapsed();
    assert!((700..3000).contains(&took.as_millis()), "{took:?}");
    reader.expect("1");
    ours.assert_healthy();
}

#[test]
fn a_transaction_waits_and_a_script_has_all_wait() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let mut ours = Server::start(&[]);
    let [mut here, mut others] = [(); 2].map(|()| ours.connect());
    here.ask(&["MSET", "key", "1", "other", "2"]);
    here.roundtrip(&["MULTI"], "+OK");
    here.roundtrip(&["INCR", "other"], "+QUEUED");
    here.roundtrip(&["MIGRATE", "127.0.0.1", &port, "key", "0", "500"], "+QUEUED");
    here.roundtrip(&["INCR", "other"], "+QUEUED");
    here.command(&["EXEC"]);
    eventually("it is under way", || others.info("jobs_running") == "1");
    others.command(&["GET", "other"]);
    assert_waits(&mut others);
    assert_eq!(
        here.reply().text(),
        r#"Array([Line(":3"), Line("-IOERR error or timeout reading to target instance"), Line(":4")])"#
    );
    others.expect("4");
    let script = "return redis.pcall('MIGRATE','127.0.0.1',ARGV[1],KEYS[1],'0','500').err";
    here.command(&["EVAL", script, "1", "key", &port]);
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    others.roundtrip(&["PING"], "+PONG");
    assert!(started.elapsed() > Duration::from_millis(200), "as in Redis");
    here.expect("IOERR error or timeout reading to target instance");
    ours.assert_healthy();
}

#[test]
fn who_needs_all_databases_sleeps_until_it_has_ended() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let mut ours = Server::start(&[]);
    let [mut here, mut all, mut others] = [(); 3].map(|()| ours.connect());
    here.ask(&["SET", "key", "1"]);
    here.command(&["MIGRATE", "127.0.0.1", &port, "key", "0", "1500"]);
    eventually("it is under way", || others.info("jobs_running") == "1");
    all.roundtrip(&["MULTI"], "+OK");
    all.roundtrip(&["DBSIZE"], "+QUEUED");
    all.roundtrip(&["FLUSHALL"], "+QUEUED");
    all.command(&["EXEC"]);
    assert_waits(&mut all);
    ours.assert_idle();
    here.expect("-IOERR error or timeout reading to target instance");
    assert_eq!(all.reply().text(), r#"Array([Line(":1"), Line("+OK")])"#);
    ours.assert_healthy();
}

/// Serves one connection after the other as `serve` says.
fn pretend(serve: impl Fn(usize, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            serve(index, stream.unwrap());
        }
    });
    port
}

#[test]
fn a_broken_connection_is_opened_once_more() {
    // The first one is closed at once, the second takes all.
    let port = pretend(|index, mut stream| {
        if index > 0 {
            let mut heard = [0; 1000];
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(b"+OK\r\n");
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(b"+OK\r\n");
        }
    });
    let mut ours = Server::start(&[]);
    let mut here = ours.connect();
    here.ask(&["SET", "key", "1"]);
    assert_eq!(migrate(&mut here, port, "key", &[]), "+OK");
    here.roundtrip(&["EXISTS", "key"], ":0");
    // Always closed: twice is enough.
    let port = pretend(|index, _| assert!(index < 2, "tried again and again"));
    here.ask(&["SET", "key", "1"]);
    let reply = migrate(&mut here, port, "key", &[]);
    assert!(reply.contains("IOERR error or timeout"), "{reply}");
    here.roundtrip(&["GET", "key"], "1");
    // After the first answer nothing is sent twice.
    let port = pretend(|index, mut stream| {
        assert!(index < 1, "tried again");
        let mut heard = [0; 1000];
        let _ = stream.read(&mut heard);
        let _ = stream.write_all(b"+OK\r\n");
        let _ = stream.read(&mut heard);
        let _ = stream.write_all(b"+OK\r\n");
    });
    here.ask(&["MSET", "a", "1", "b", "2"]);
    let reply = migrate(&mut here, port, "", &["KEYS", "a", "b"]);
    assert!(reply.contains("IOERR error or timeout"), "{reply}");
    here.roundtrip(&["EXISTS", "a", "b", "key"], ":2");
    ours.assert_healthy();
}

#[test]
fn the_client_may_go_and_so_may_all_data() {
    let port = pretend(|_, mut stream| {
        let mut heard = [0; 1000];
        let _ = stream.read(&mut heard);
        let _ = stream.write_all(b"+OK\r\n");
        let _ = stream.read(&mut heard);
        thread::sleep(Duration::from_millis(300));
        let _ = stream.write_all(b"+OK\r\n");
    });
    let mut ours = Server::start(&[]);
    let [mut here, mut others] = [(); 2].map(|()| ours.connect());
    for flushes in [false, true] {
        others.ask(&["SET", "key", "1"]);
        here = ours.connect();
        let words = ["MIGRATE", "127.0.0.1", &port.to_string(), "key", "0", PATIENCE];
        here.send(&encode(&words));
        eventually("it is under way", || others.info("jobs_running") == "1");
        if flushes {
            others.roundtrip(&["FLUSHALL"], "+OK");
            others.roundtrip(&["SET", "key", "new"], "+OK");
        }
        drop(here);
        eventually("it has ended", || others.info("jobs_running") == "0");
        others.roundtrip(&["EXISTS", "key"], if flushes { ":1" } else { ":0" });
        here = ours.connect();
    }
    drop(here);
    ours.assert_healthy();
}

#[test]
fn connections_are_kept_for_ten_seconds() {
    let (mut ours, other) = (Server::start(&[]), Server::start(&[]));
    let (mut here, mut there) = (ours.connect(), other.connect());
    for key in ["a", "b", "c"] {
        here.ask(&["SET", key, "1"]);
        assert_eq!(migrate(&mut here, other.port, key, &[]), "+OK");
    }
    assert_eq!(here.info("migrate_cached_sockets"), "1");
    // This client's and that one.
    assert_eq!(there.info("connected_clients"), "2");
    there.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    here.ask(&["SET", "d", "1"]);
    assert_eq!(migrate(&mut here, other.port, "d", &[]), "+OK");
    thread::sleep(Duration::from_secs(9));
    eventually("it is closed", || here.info("migrate_cached_sockets") == "0");
    eventually("there, too", || there.info("connected_clients") == "1");
    ours.assert_healthy();
}
