//! The engine in process: direct calls do what commands do, and are counted as they are.
use std::borrow::Cow;
use std::time::Duration;

use rufous::{Address, Clock, Engine, Reply, Server};

const PAUSED: &str = "ERR the engine is paused by CLIENT PAUSE";
const NOW_MS: i64 = 1_700_000_000_000;

fn engine() -> Engine {
    Engine::builder().clock(Clock::manual(NOW_MS)).seed(1).build().unwrap()
}

fn ask(engine: &mut Engine, line: &str) -> Reply {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    engine.execute(&words)
}

fn text(engine: &mut Engine, line: &str) -> String {
    ask(engine, line).as_str().unwrap_or_default().to_owned()
}

#[test]
fn replies_are_typed() {
    let mut engine = engine();
    assert_eq!(ask(&mut engine, "SET k v"), Reply::Simple("OK".into()));
    assert_eq!(ask(&mut engine, "GET k"), Reply::Bulk(b"v".to_vec()));
    assert_eq!(ask(&mut engine, "GET none"), Reply::Null);
    assert!(matches!(ask(&mut engine, "CONFIG GET hz"), Reply::Map(_)));
    assert!(matches!(ask(&mut engine, "LOLWUT"), Reply::Verbatim { .. }));
    assert!(matches!(ask(&mut engine, "NONSENSE"), Reply::Error(text) if text.starts_with("ERR")));
    assert!(matches!(engine.execute(&[]), Reply::Error(_)));
    assert_eq!(ask(&mut engine, "CLIENT REPLY OFF"), Reply::Null);
    assert_eq!(ask(&mut engine, "PING"), Reply::Null);
    assert_eq!(ask(&mut engine, "CLIENT REPLY ON"), Reply::Simple("OK".into()));
    let big = vec![b'x'; 1 << 20];
    engine.execute(&[b"SET", b"big", &big]);
    assert!(engine.execute(&[b"GET", b"big"]).as_bytes() == Some(&big[..]));
}

/// The same steps by calls on one engine and by commands on another.
#[test]
fn calls_do_what_commands_do() {
    let (mut by_call, mut by_command) = (engine(), engine());
    let values = |engine: &mut Engine| {
        let keys = ["s", "n", "t", "gone", "big"];
        keys.map(|key| {
            let about = ["GET", "PTTL", "OBJECT ENCODING", "OBJECT IDLETIME"];
            about.map(|about| format!("{:?}", ask(engine, &format!("{about} {key}"))))
        })
    };
    let big = "x".repeat(5000);
    by_call.set(b"s", b"value", None).unwrap();
    by_call.set(b"n", b"41", None).unwrap();
    assert_eq!(by_call.incr(b"n", 1).unwrap(), 42);
    assert_eq!(by_call.incr(b"new", -3).unwrap(), -3);
    by_call.set(b"t", b"1", Some(Duration::from_millis(1500))).unwrap();
    assert!(by_call.expire(b"s", Duration::from_secs(9)).unwrap());
    assert!(!by_call.expire(b"none", Duration::from_secs(9)).unwrap());
    by_call.set(b"gone", b"1", None).unwrap();
    assert!(by_call.delete(b"gone").unwrap());
    assert!(!by_call.delete(b"gone").unwrap());
    by_call.set(b"big", big.as_bytes(), None).unwrap();
    assert_eq!(by_call.get(b"n").unwrap().as_deref(), Some(&b"42"[..]));
    assert_eq!(by_call.get(b"none").unwrap(), None);
    assert!(by_call.get(b"big").unwrap().as_deref() == Some(big.as_bytes()));
    let mut seen = Vec::new();
    by_call
        .get_many(&[b"n", b"none", b"s"], |at, value| seen.push((at, value.map(<[u8]>::to_vec))))
        .unwrap();
    assert_eq!(seen, [(0, Some(b"42".to_vec())), (1, None), (2, Some(b"value".to_vec()))]);
    let not_integer = by_call.incr(b"big", 1).unwrap_err().to_string();
    assert_eq!(not_integer, "ERR value is not an integer or out of range");
    assert!(by_call.set(b"s", b"x", Some(Duration::ZERO)).is_err());
    let commands = [
        "SET s value",
        "SET n 41",
        "INCRBY n 1",
        "INCRBY new -3",
        "SET t 1 PX 1500",
        "PEXPIRE s 9000",
        "PEXPIRE none 9000",
        "SET gone 1",
        "DEL gone",
        "DEL gone",
        &format!("SET big {big}"),
        "GET n",
        "GET none",
        "GET big",
        "MGET n none s",
        "INCRBY big 1",
        "SET s x PX 0",
    ];
    for command in commands {
        ask(&mut by_command, command);
    }
    for section in ["commandstats", "stats", "errorstats", "keyspace", "persistence"] {
        let figures = |engine: &mut Engine| {
            let info = text(engine, &format!("INFO {section}"));
            let is_steady =
                |line: &&str| !line.contains("expire_cycle") && !line.contains("instantaneous");
            let lines = info.lines().filter(is_steady);
            // What a call took differs from run to run.
            lines
                .map(|line| {
                    let fields = line.split(',').filter(|field| !field.starts_with("usec"));
                    fields.collect::<Vec<_>>().join(",")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(figures(&mut by_call), figures(&mut by_command), "{section}");
    }
    assert_eq!(values(&mut by_call), values(&mut by_command));
    for engine in [&mut by_call, &mut by_command] {
        engine.advance(Duration::from_millis(1501));
    }
    assert_eq!(by_call.get(b"t").unwrap(), None);
    assert_eq!(values(&mut by_call), values(&mut by_command));
}

#[test]
fn a_value_is_borrowed_where_it_can_be() {
    let mut engine = engine();
    engine.set(b"s", b"abc", None).unwrap();
    assert!(matches!(engine.get(b"s").unwrap(), Some(Cow::Borrowed(b"abc"))));
}

#[test]
fn a_value_can_be_looked_at_and_copied() {
    let mut engine = engine();
    let big = vec![b'x'; 100_000];
    engine.set(b"s", b"abc", None).unwrap();
    engine.set(b"n", b"-42", None).unwrap();
    engine.set(b"big", &big, None).unwrap();
    let mut buffer = b"what was there".to_vec();
    for (key, value) in [(b"s".as_slice(), b"abc".as_slice()), (b"n", b"-42"), (b"big", &big)] {
        assert_eq!(engine.get_with(key, <[u8]>::to_vec).unwrap().unwrap(), value);
        assert!(engine.get_into(key, &mut buffer).unwrap());
        assert!(buffer == value);
    }
    assert_eq!(engine.get_with(b"none", <[u8]>::len).unwrap(), None);
    assert!(!engine.get_into(b"none", &mut buffer).unwrap());
    assert!(buffer.is_empty());
}

/// Most calls in quick succession are not timed; all of them are counted.
#[test]
fn every_call_is_counted_and_some_are_timed() {
    let mut engine = Engine::new();
    let field = |engine: &mut Engine, command: &str, name: &str| -> u64 {
        let info = text(engine, "INFO commandstats");
        let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
        let mut fields = line.unwrap_or_default().split([':', ',']);
        let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.map_or(0, |number| number.parse().unwrap())
    };
    ask(&mut engine, "INCR no:integer");
    ask(&mut engine, "APPEND no:integer x");
    let mut gets = 0;
    // Counted however far a streak has come when somebody looks.
    for calls in [1, 2, 3, 7, 8, 9, 15, 16, 17, 30, 31, 100, 1000, 30_000] {
        for n in 0..calls {
            engine.get(format!("key:{n}").as_bytes()).unwrap();
            engine.set(b"k", b"v", None).unwrap();
        }
        gets += calls;
        assert_eq!(field(&mut engine, "get", "calls"), gets);
        assert_eq!(field(&mut engine, "set", "calls"), gets);
    }
    for _ in 0..50 {
        assert!(engine.incr(b"no:integer", 1).is_err());
    }
    assert_eq!(field(&mut engine, "incrby", "calls"), 50);
    assert_eq!(field(&mut engine, "incrby", "failed_calls"), 50);
    let usec = field(&mut engine, "get", "usec");
    assert!(usec > 0, "no time was noted for {gets} calls");
    let all = text(&mut engine, "INFO stats");
    let misses = format!("keyspace_misses:{gets}\r\n");
    assert!(all.contains(&misses), "{all}");
    let histogram = ask(&mut engine, "LATENCY HISTOGRAM get");
    let shown = format!("{histogram:?}");
    assert!(shown.contains(&format!("Int({gets})")), "{shown}");
    // What was not counted before is not counted after either.
    (0..20).for_each(|_| drop(engine.get(b"k").unwrap()));
    ask(&mut engine, "CONFIG RESETSTAT");
    assert_eq!(field(&mut engine, "get", "calls"), 0);
}

/// Who looks at short durations, or at every command, sees every call.
#[test]
fn every_call_is_timed_where_somebody_watches() {
    let mut engine = Engine::builder()
        .config("slowlog-log-slower-than", "0")
        .config("slowlog-max-len", "1000")
        .build()
        .unwrap();
    for n in 0..100u32 {
        engine.get(&n.to_be_bytes()).unwrap();
    }
    assert_eq!(ask(&mut engine, "SLOWLOG LEN"), Reply::Int(100));
    ask(&mut engine, "CONFIG SET slowlog-log-slower-than 10000");
    for n in 0..100u32 {
        engine.get(&n.to_be_bytes()).unwrap();
    }
    ask(&mut engine, "CONFIG SET slowlog-log-slower-than 0");
    let before = ask(&mut engine, "SLOWLOG LEN").as_int().unwrap();
    for n in 0..100u32 {
        engine.get(&n.to_be_bytes()).unwrap();
    }
    assert!(ask(&mut engine, "SLOWLOG LEN").as_int().unwrap() >= before + 100);
    let mut engine = Engine::new();
    (0..100).for_each(|_| drop(engine.get(b"k").unwrap()));
    ask(&mut engine, "MONITOR");
    (0..100).for_each(|_| drop(engine.get(b"k").unwrap()));
    assert_eq!(engine.messages().len(), 100);
}

/// A caller who pauses in the midst of many calls does not read a key that is long dead.
#[test]
fn time_goes_on_between_calls() {
    let mut engine = Engine::new();
    for round in 0..20u32 {
        engine.set(b"k", b"v", Some(Duration::from_millis(20))).unwrap();
        for _ in 0..100 + round {
            engine.get(b"none").unwrap();
        }
        std::thread::sleep(Duration::from_millis(35));
        assert_eq!(engine.get(b"k").unwrap(), None, "round {round}");
    }
}

#[test]
fn many_keys_are_read_in_order() {
    let mut engine = engine();
    // Enough for buckets with others behind them.
    let keys: Vec<Vec<u8>> = (0..5003u32).map(|n| format!("key:{n}").into_bytes()).collect();
    for key in keys.iter().step_by(2) {
        engine.set(key, key, None).unwrap();
    }
    let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let mut next = 0;
    engine
        .get_many(&asked, |index, value| {
            assert_eq!(index, next);
            assert_eq!(value, (index % 2 == 0).then_some(asked[index]));
            next += 1;
        })
        .unwrap();
    assert_eq!(next, 5003);
    let stats = text(&mut engine, "INFO stats");
    assert!(stats.contains("keyspace_hits:2502\r\nkeyspace_misses:2501"), "{stats}");
    engine.get_many(&[], |_, _| panic!("nobody asked")).unwrap();
}

#[test]
fn observers_see_calls() {
    let mut engine = Engine::builder().config("slowlog-log-slower-than", "0").build().unwrap();
    engine.set(b"k", b"v", None).unwrap();
    let log = ask(&mut engine, "SLOWLOG GET 1");
    let shown = format!("{:?}", log.as_slice().unwrap()[0].as_slice().unwrap()[3]);
    assert!(shown.contains("115, 101, 116"), "no `set` in {shown}");
    ask(&mut engine, "MONITOR");
    // Who monitors may not touch keys, in process as elsewhere.
    ask(&mut engine, "PING");
    let lines = engine.messages();
    assert!(matches!(&lines[..], [Reply::Simple(line)] if line.ends_with("\"PING\"")), "{lines:?}");
    ask(&mut engine, "QUIT");
    assert_eq!(engine.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn what_would_wait_is_refused() {
    let mut engine = engine();
    ask(&mut engine, "CLIENT PAUSE 1000 WRITE");
    assert!(matches!(ask(&mut engine, "SET k v"), Reply::Error(text) if text.contains("paused")));
    assert!(engine.set(b"k", b"v", None).is_err());
    assert_eq!(engine.get(b"k").unwrap(), None);
    engine.advance(Duration::from_millis(1001));
    engine.set(b"k", b"v", None).unwrap();
    assert!(matches!(ask(&mut engine, "SHUTDOWN"), Reply::Error(_)));
}

/// No typed call goes around the gate, however it is timed.
#[test]
fn every_typed_call_passes_the_gate() {
    let mut engine = Engine::new();
    for n in 0..50i64 {
        engine.set(b"k", b"1", None).unwrap();
        assert_eq!(engine.incr(b"n", 1).unwrap(), n + 1);
    }
    ask(&mut engine, "CLIENT PAUSE 100000 ALL");
    let ttl = Duration::from_secs(1);
    for _ in 0..50 {
        let refused = [
            engine.get(b"k").map(drop).unwrap_err(),
            engine.get_with(b"k", |_| ()).unwrap_err(),
            engine.get_into(b"k", &mut Vec::new()).unwrap_err(),
            engine.get_many(&[b"k"], |_, _| panic!("it is paused")).unwrap_err(),
            engine.set(b"k", b"v", None).unwrap_err(),
            engine.set(b"k", b"v", Some(ttl)).unwrap_err(),
            engine.delete(b"k").unwrap_err(),
            engine.incr(b"n", 1).unwrap_err(),
            engine.expire(b"k", ttl).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.to_string().contains("CLIENT PAUSE")));
    }
    assert_eq!(ask(&mut engine, "CLIENT UNPAUSE"), Reply::Error(PAUSED.to_owned()));
    engine.advance(Duration::from_secs(101));
    assert_eq!(engine.get(b"k").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(engine.incr(b"n", 1).unwrap(), 51);
    assert!(text(&mut engine, "INFO commandstats").contains("cmdstat_get:calls=1,"));
}

#[test]
fn dead_keys_and_large_values_go_without_being_asked_for() {
    let mut engine = Engine::new();
    let big = vec![0; 1 << 20];
    for n in 0..200 {
        engine.set(b"big", &big, None).unwrap();
        engine.set(format!("t{n}").as_bytes(), b"x", Some(Duration::from_millis(1))).unwrap();
    }
    std::thread::sleep(Duration::from_millis(5));
    // A table that shrinks under the sweep hides some keys from it until the next one.
    let is_clean = |engine: &mut Engine| {
        engine.tick(Duration::from_millis(1));
        ask(engine, "DBSIZE") == Reply::Int(1)
    };
    assert!((0..1000).any(|_| is_clean(&mut engine)));
    assert!(text(&mut engine, "INFO stats").contains("expired_keys:200"));
}

#[test]
fn keys_move_from_an_engine_to_a_server() {
    let server = Server::builder().spawn().unwrap();
    let Address::Tcp(address) = &server.addresses()[0] else { panic!("no port") };
    let port = address.port();
    let mut engine = engine();
    engine.set(b"key", b"value", None).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let line = format!("MIGRATE {host} {port} key 0 10000 COPY REPLACE");
        assert_eq!(text(&mut engine, &line), "OK");
    }
    assert_eq!(text(&mut engine, &format!("MIGRATE 127.0.0.1 {port} key 0 10000 REPLACE")), "OK");
    assert_eq!(engine.get(b"key").unwrap(), None);
    assert_eq!(text(&mut engine, "MIGRATE 127.0.0.1 1 key 0 1000"), "NOKEY");
    engine.set(b"key", b"other", None).unwrap();
    let refused = Reply::Error("IOERR error or timeout writing to target instance".to_owned());
    assert_eq!(ask(&mut engine, "MIGRATE 127.0.0.1 1 key 0 1000"), refused);
    assert_eq!(server.connect().unwrap().get("key").unwrap(), Some(b"value".to_vec()));
}
