//! What the administrator sees and limits counts for clients of every door alike: one server with all doors, one test
//! per rule, each played at each door besides RESP.
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::{Client, encode};
use crate::limits::own_address;
use crate::server::{PATIENCE, Server, eventually, free_port};

const MIB: usize = 1 << 20;

/// How one dialect says the few things these tests say.
#[derive(Clone, Copy)]
struct Dialect {
    name: &'static str,
    put: fn(&[u8], &[u8]) -> Vec<u8>,
    get: fn(&[u8]) -> Vec<u8>,
    /// The answer of a put of this key.
    stored: fn(&[u8]) -> Vec<u8>,
    /// The answer of a get that found this.
    found: fn(&[u8]) -> Vec<u8>,
    failure: fn(&str) -> Vec<u8>,
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// A MessagePack str in one of its longer forms, which are right for any length.
fn text(bytes: &[u8]) -> Vec<u8> {
    [&[0xdb], &with_length(bytes)[..]].concat()
}

fn shortest(bytes: &[u8]) -> Vec<u8> {
    match bytes.len() {
        0..=31 => [&[0xa0 | bytes.len() as u8], bytes].concat(),
        32..=255 => [&[0xd9, bytes.len() as u8], bytes].concat(),
        256..=65535 => [&[0xda], &(bytes.len() as u16).to_be_bytes()[..], bytes].concat(),
        _ => text(bytes),
    }
}

fn map(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut object = vec![0x80 | fields.len() as u8];
    fields.iter().for_each(|(name, value)| object.extend([text(name), text(value)].concat()));
    with_length(&object)
}

const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "simpledb",
        put: |key, value| crate::client::encode_bytes(&[b"SET", key, value]),
        get: |key| crate::client::encode_bytes(&[b"GET", key]),
        stored: |_| b":1\r\n".to_vec(),
        found: |value| [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        failure: |text| format!("-{text}\r\n").into_bytes(),
    },
    Dialect {
        name: "msgpack",
        put: |key, value| map(&[(b"type", b"Put"), (b"key", key), (b"val", value)]),
        get: |key| map(&[(b"type", b"Get"), (b"key", key)]),
        stored: |_| with_length(b"\xc0"),
        found: |value| with_length(&shortest(value)),
        failure: |text| {
            let head = b"\x82\xa4type\xa5Error\xa7message";
            with_length(&[head, &shortest(text.as_bytes())[..]].concat())
        },
    },
    Dialect {
        name: "kvstore",
        put: |key, value| [b"\0\0\x01", &with_length(key)[..], &with_length(value)].concat(),
        get: |key| [b"\0\0\0", &with_length(key)[..]].concat(),
        stored: |key| [b"\0\0", &with_length(key)[..]].concat(),
        found: |value| [b"\0\0", &with_length(value)[..]].concat(),
        failure: |text| [b"\0\x01", &with_length(text.as_bytes())[..]].concat(),
    },
];

/// A server with all doors.
struct Doors {
    server: Server,
    ports: [u16; 3],
}

impl Doors {
    fn open(options: &[&str]) -> Doors {
        Doors::open_on("127.0.0.1", options)
    }

    fn open_on(host: &str, options: &[&str]) -> Doors {
        let ports = [free_port(), free_port(), free_port()];
        let listen = |at: usize| format!("{}://{host}:{}", DIALECTS[at].name, ports[at]);
        let (one, two, three) = (listen(0), listen(1), listen(2));
        let doors = ["--listen", &one, "--listen", &two, "--listen", &three];
        Doors { server: Server::start(&[&doors, options].concat()), ports }
    }

    /// The doors, one after the other.
    fn each(&self) -> impl Iterator<Item = At> {
        DIALECTS.into_iter().zip(self.ports).map(|(dialect, port)| At { dialect, port })
    }
}

/// Where a door is.
struct At {
    dialect: Dialect,
    port: u16,
}

impl At {
    fn connect(&self) -> Visitor {
        self.connect_from(IpAddr::from([127, 0, 0, 1]))
    }

    fn connect_from(&self, host: IpAddr) -> Visitor {
        let stream = TcpStream::connect((host, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Visitor { dialect: self.dialect, stream }
    }
}

/// A client of one of the doors.
struct Visitor {
    dialect: Dialect,
    stream: TcpStream,
}

impl Visitor {
    #[track_caller]
    fn expect(&mut self, answer: &[u8]) {
        let mut found = vec![0; answer.len()];
        self.stream.read_exact(&mut found).unwrap();
        let shown = found[..found.len().min(300)].escape_ascii();
        assert!(found == answer, "{}: {shown}", self.dialect.name);
    }

    #[track_caller]
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.stream.write_all(&(self.dialect.put)(key, value)).unwrap();
        self.expect(&(self.dialect.stored)(key));
    }

    #[track_caller]
    fn get(&mut self, key: &[u8], value: &[u8]) {
        self.stream.write_all(&(self.dialect.get)(key)).unwrap();
        self.expect(&(self.dialect.found)(value));
    }

    /// This error, and then the end.
    #[track_caller]
    fn expect_refusal(&mut self, text: &str) {
        self.expect(&(self.dialect.failure)(text));
        self.expect_closed();
    }

    /// Nothing but the end, which may be a reset.
    #[track_caller]
    fn expect_closed(&mut self) {
        match self.stream.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0, "{}: it goes on", self.dialect.name),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "still open"),
        }
    }

    /// The place it comes from, as CLIENT LIST shows it.
    fn address(&self) -> String {
        self.stream.local_addr().unwrap().to_string()
    }
}

/// The line of CLIENT LIST about a client from `address`.
fn client_line(admin: &mut Client, address: &str) -> Option<String> {
    let list = admin.ask(&["CLIENT", "LIST"]);
    let wanted = format!(" addr={address} ");
    list.lines().find(|line| line.contains(&wanted)).map(str::to_owned)
}

#[test]
fn client_list_shows_clients_of_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.put(b"k", b"v");
        let line = client_line(&mut admin, &visitor.address()).unwrap();
        assert!(line.contains(" cmd=set ") && line.contains(" db=0 "), "{line}");
        assert!(line.contains(&format!(" laddr=127.0.0.1:{} ", at.port)), "{line}");
        visitor.get(b"k", b"v");
        let line = client_line(&mut admin, &visitor.address()).unwrap();
        assert!(line.contains(" cmd=get "), "{line}");
    }
}

#[test]
fn client_kill_reaches_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.put(b"k", b"v");
        admin.roundtrip(&["CLIENT", "KILL", "ADDR", &visitor.address()], ":1");
        visitor.expect_closed();
    }
}

#[test]
fn connected_clients_counts_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    let mut visitors: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    visitors.iter_mut().for_each(|visitor| visitor.put(b"k", b"v"));
    assert_eq!(admin.info("connected_clients"), "4");
    assert_eq!(admin.info("total_connections_received"), "4");
    drop(visitors);
    eventually("them to be gone", || admin.info("connected_clients") == "1");
}

#[test]
fn commandstats_count_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    let before: u64 = admin.info("total_commands_processed").parse().unwrap();
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.put(b"k", b"v");
        visitor.get(b"k", b"v");
    }
    assert!(admin.info("cmdstat_set").starts_with("calls=3,"));
    assert!(admin.info("cmdstat_get").starts_with("calls=3,"));
    assert_eq!(admin.info("keyspace_hits"), "3");
    let after: u64 = admin.info("total_commands_processed").parse().unwrap();
    // INFO itself counts: the first one, and the three between.
    assert_eq!(after - before, 6 + 4);
}

#[test]
fn failures_are_counted_at_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    let [simpledb, msgpack, kvstore] = doors.each().collect::<Vec<_>>().try_into().ok().unwrap();
    let mut visitor = simpledb.connect();
    visitor.stream.write_all(b"*3\r\n+SET\r\n+k\r\n*1\r\n:1\r\nINCR k\r\n").unwrap();
    let text = "WRONGTYPE Operation against a key holding the wrong kind of value";
    visitor.expect(&[b":1\r\n", &(simpledb.dialect.failure)(text)[..]].concat());
    for at in [msgpack, kvstore] {
        let mut visitor = at.connect();
        visitor.stream.write_all(&(at.dialect.get)(b"k")).unwrap();
        visitor.expect(&(at.dialect.failure)(text));
    }
    assert_eq!(admin.info("errorstat_WRONGTYPE"), "count=3");
    assert!(admin.info("cmdstat_get").ends_with(",rejected_calls=0,failed_calls=2"));
    assert!(admin.info("cmdstat_incr").ends_with(",rejected_calls=0,failed_calls=1"));
}

#[test]
fn monitor_shows_every_door() {
    let doors = Doors::open(&[]);
    let mut monitor = doors.server.connect();
    monitor.roundtrip(&["MONITOR"], "+OK");
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.put(b"key", b"a value");
        visitor.get(b"key", b"a value");
        let from = format!(" [0 {}] ", visitor.address());
        for shown in [r#""set" "key" "a value""#, r#""get" "key""#] {
            let line = monitor.reply().text();
            assert!(line.ends_with(&format!("{from}{shown}")), "{line}");
        }
    }
}

#[test]
fn the_slow_log_has_every_door() {
    let doors = Doors::open(&["--slowlog-log-slower-than", "0"]);
    for at in doors.each() {
        at.connect().put(at.dialect.name.as_bytes(), b"v");
    }
    let log = format!("{:?}", {
        let mut admin = doors.server.connect();
        admin.command(&["SLOWLOG", "GET"]);
        admin.reply()
    });
    for at in doors.each() {
        assert!(log.contains(&format!("{:?}", at.dialect.name.as_bytes())), "{log}");
    }
}

#[test]
fn a_password_closes_every_door() {
    let doors = Doors::open(&["--requirepass", "secret"]);
    for at in doors.each() {
        let mut visitor = at.connect();
        // Two, of which only the first is answered.
        let requests = [(at.dialect.put)(b"k", b"v"), (at.dialect.get)(b"k")].concat();
        visitor.stream.write_all(&requests).unwrap();
        visitor.expect_refusal("NOAUTH Authentication required.");
    }
    let mut admin = doors.server.connect();
    admin.roundtrip(&["AUTH", "secret"], "+OK");
    admin.roundtrip(&["EXISTS", "k"], ":0");
}

#[test]
fn a_password_set_later_is_for_those_who_come_later() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    let mut visitors: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    visitors.iter_mut().for_each(|visitor| visitor.put(b"k", b"v"));
    admin.roundtrip(&["CONFIG", "SET", "requirepass", "secret"], "+OK");
    // As in Redis: who is logged in stays so.
    visitors.iter_mut().for_each(|visitor| visitor.get(b"k", b"v"));
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.stream.write_all(&(at.dialect.get)(b"k")).unwrap();
        visitor.expect_refusal("NOAUTH Authentication required.");
    }
}

#[test]
fn maxclients_counts_every_door() {
    let doors = Doors::open(&["--maxclients", "3"]);
    let mut places: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    places.iter_mut().for_each(|visitor| visitor.put(b"k", b"v"));
    for at in doors.each() {
        at.connect().expect_refusal("ERR max number of clients reached");
    }
    doors.server.connect().expect("-ERR max number of clients reached");
    drop(places.pop());
    let mut admin = None;
    eventually("a place to be free", || {
        let mut client = doors.server.connect();
        let is_in = client.ask(&["PING"]) == "+PONG";
        admin = is_in.then_some(client);
        is_in
    });
    let rejected: u64 = admin.unwrap().info("rejected_connections").parse().unwrap();
    assert!(rejected >= 4, "{rejected}");
}

#[test]
fn idle_clients_of_every_door_are_closed() {
    let doors = Doors::open(&["--timeout", "1"]);
    let started = Instant::now();
    let mut visitors: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    for visitor in &mut visitors {
        visitor.put(b"k", b"v");
    }
    // Half a request is idling, too.
    let mut unfinished: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    for visitor in &mut unfinished {
        let request = (visitor.dialect.get)(b"k");
        visitor.stream.write_all(&request[..2]).unwrap();
    }
    visitors.iter_mut().chain(&mut unfinished).for_each(Visitor::expect_closed);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn output_limits_cut_at_every_door() {
    let mut doors = Doors::open(&["--client-output-buffer-limit", "normal 5mb 0 0"]);
    for at in doors.each() {
        let mut greedy = at.connect();
        greedy.put(b"big", &vec![b'x'; MIB]);
        let address = greedy.address();
        // Nothing is read; a reset while sending is what is wanted.
        let _ = greedy.stream.write_all(&(at.dialect.get)(b"big").repeat(1000));
        let mut admin = doors.server.connect();
        eventually("it to be cut", || client_line(&mut admin, &address).is_none());
    }
    let cuts = doors.server.log().matches("overcoming of output buffer limits").count();
    assert_eq!(cuts, 3);
    assert_eq!(doors.server.connect().info("client_output_buffer_limit_disconnections"), "3");
    doors.server.assert_healthy();
}

#[test]
fn requests_above_the_query_buffer_limit_are_refused_at_every_door() {
    let mut doors = Doors::open(&["--client-query-buffer-limit", "1mb"]);
    let errors = ["request is too big", "frame too long", "Request too long"];
    for (at, error) in doors.each().zip(errors) {
        at.connect().put(b"k", &vec![b'x'; MIB / 2]);
        let mut visitor = at.connect();
        // What it begins with is enough, long before the limit has come.
        visitor.stream.write_all(&(at.dialect.put)(b"k", &vec![b'x'; MIB])[..100]).unwrap();
        visitor.expect_refusal(error);
    }
    doors.server.assert_healthy();
}

#[test]
fn who_waits_is_not_read_from_at_any_door() {
    let mut doors = Doors::open(&["--client-query-buffer-limit", "1mb"]);
    let mut admin = doors.server.connect();
    admin.roundtrip(&["CLIENT", "PAUSE", "60000", "WRITE"], "+OK");
    let before = doors.server.resident_bytes();
    for at in doors.each() {
        let mut visitor = at.connect();
        visitor.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        // Each of them fits, but they are not run.
        let requests = (at.dialect.put)(b"k", &vec![b'x'; MIB / 8]).repeat(200);
        assert!(visitor.stream.write_all(&requests).is_err(), "{}: all taken", at.dialect.name);
    }
    assert!(doors.server.resident_bytes() < before + 8 * MIB);
    admin.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    doors.server.assert_healthy();
}

#[test]
fn protected_mode_is_for_every_door() {
    let Some(address) = own_address() else { return };
    let doors = Doors::open_on("0.0.0.0", &[]);
    let mut admin = doors.server.connect();
    for at in doors.each() {
        let mut stranger = at.connect_from(address);
        let mut answer = Vec::new();
        let _ = stranger.stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("DENIED Redis is running in protected mode"), "{answer}");
        at.connect().put(b"k", b"v");
    }
    admin.roundtrip(&["CONFIG", "SET", "protected-mode", "no"], "+OK");
    for at in doors.each() {
        at.connect_from(address).get(b"k", b"v");
    }
}

#[test]
fn a_pause_holds_every_door() {
    let doors = Doors::open(&[]);
    let mut admin = doors.server.connect();
    admin.send(&encode(&["SET", "k", "old"]));
    admin.expect("+OK");
    admin.roundtrip(&["CLIENT", "PAUSE", "60000", "WRITE"], "+OK");
    let mut visitors: Vec<Visitor> = doors.each().map(|at| at.connect()).collect();
    for visitor in &mut visitors {
        visitor.get(b"k", b"old");
        visitor.stream.write_all(&(visitor.dialect.put)(b"k", b"new")).unwrap();
        // Its blocked client is seen when the write has been read.
        visitor.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let waited = visitor.stream.read(&mut [0]).unwrap_err().kind();
        assert!(matches!(waited, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waited}");
        visitor.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    admin.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    visitors.iter_mut().for_each(|visitor| visitor.expect(&(visitor.dialect.stored)(b"k")));
}
