//! `maxmemory-clients`: when clients hold too much together, the largest are closed.
use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::client::{Client, Dice, encode, encode_bytes};
use crate::figures::figure;
use crate::server::{Server, eventually};

const MIB: usize = 1 << 20;
const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

/// A client with a name, which has sent all but the end of a request with an argument of so many bytes.
fn holding(server: &Server, observer: &mut Client, name: &str, bytes: usize) -> Client {
    let mut client = server.connect();
    client.roundtrip(&["CLIENT", "SETNAME", name], "+OK");
    client.send(&unfinished(bytes));
    eventually("it to be read", || {
        figure(observer, name, "tot-mem").is_some_and(|held| held >= bytes)
    });
    client
}

fn unfinished(bytes: usize) -> Vec<u8> {
    [format!("*2\r\n$4\r\nECHO\r\n${bytes}\r\n").as_bytes(), &vec![b'x'; bytes]].concat()
}

/// A client that is never closed, and sets this limit.
fn observer(server: &Server, limit: &str) -> Client {
    let mut observer = server.connect();
    observer.roundtrip(&["CLIENT", "NO-EVICT", "ON"], "+OK");
    set_limit(&mut observer, limit);
    observer
}

fn set_limit(observer: &mut Client, limit: &str) {
    observer.roundtrip(&["CONFIG", "SET", "maxmemory-clients", limit], "+OK");
}

/// How many clients have a name that begins so.
fn count(observer: &mut Client, name: &str) -> usize {
    observer.ask(&["CLIENT", "LIST"]).matches(&format!(" name={name}")).count()
}

fn total_held(observer: &mut Client) -> usize {
    let list = observer.ask(&["CLIENT", "LIST"]);
    let of = |line: &str| {
        let field = line.split(' ').find_map(|word| word.strip_prefix("tot-mem="));
        field.expect("a field").parse::<usize>().expect("a number")
    };
    list.lines().map(of).sum()
}

#[test]
fn requests_that_are_too_big() {
    for (name, mut server) in Server::both(&[]) {
        let mut observer = observer(&server, "3mb");
        let mut client = server.connect();
        client.send(&encode_bytes(&[b"MSET", b"a", b"1", b"b", &vec![b'x'; MIB]]));
        client.expect("+OK");
        // Complete, and not: the first does not run.
        let complete = encode_bytes(&[b"SET", b"c", &vec![b'x'; 3 * MIB]]);
        for sent in [complete, unfinished(3 * MIB)] {
            let mut client = server.connect();
            let _ = client.stream.write_all(&sent);
            client.expect_closed();
        }
        observer.roundtrip(&["EXISTS", "a", "b", "c"], ":2");
        assert_eq!(observer.info("evicted_clients"), "2", "{name}");
        server.expect_log("Evicting client: id=");
        client.roundtrip(&["PING"], "+PONG");
        observer.roundtrip(&["CONFIG", "RESETSTAT"], "+OK");
        assert_eq!(observer.info("evicted_clients"), "0");
        server.assert_healthy();
    }
}

#[test]
fn what_a_client_watches_counts() {
    for (name, mut server) in Server::both(&[]) {
        let mut observer = observer(&server, "200000");
        let mut client = server.connect();
        client.roundtrip(&["CLIENT", "SETNAME", "watcher"], "+OK");
        let before = figure(&mut observer, "watcher", "tot-mem").expect("a client");
        for key in 0..500 {
            client.roundtrip(&["WATCH", &key.to_string()], "+OK");
        }
        let held = figure(&mut observer, "watcher", "tot-mem").expect("a client");
        assert!(held >= before + 500 * 16, "{name}: {before}, then {held}");
        client.roundtrip(&["UNWATCH"], "+OK");
        let after = figure(&mut observer, "watcher", "tot-mem").expect("a client");
        assert!(after < before + 500, "{name}: {before}, then {after}");
        for key in 0..20_000 {
            client.command(&["WATCH", &key.to_string()]);
            if client.try_reply().is_err() {
                break;
            }
        }
        assert_eq!(figure(&mut observer, "watcher", "tot-mem"), None, "{name}");
        assert_eq!(observer.info("evicted_clients"), "1", "{name}");
        server.assert_healthy();
    }
}

#[test]
fn what_came_in_the_same_turn_counts() {
    let mut server = Server::start(&[]);
    let mut observer = observer(&server, "4mb");
    let _holder = holding(&server, &mut observer, "holder", 4 * MIB - 40_000);
    let mut late = server.connect();
    late.roundtrip(&["CLIENT", "SETNAME", "late"], "+OK");
    assert_eq!(count(&mut observer, "holder"), 1);
    // The observer's request stands right behind one that is too much.
    server.signal("STOP");
    late.send(&unfinished(60_000)[..50_000]);
    thread::sleep(Duration::from_millis(20));
    observer.command(&["CLIENT", "LIST"]);
    thread::sleep(Duration::from_millis(20));
    server.signal("CONT");
    let list = observer.reply().text();
    assert!(list.contains(" name=late ") && !list.contains(" name=holder "), "{list}");
    server.assert_healthy();
}

#[test]
fn replies_that_nobody_reads() {
    for (_, mut server) in Server::both(&[]) {
        let mut observer = observer(&server, "4mb");
        observer.send(&encode_bytes(&[b"SET", b"big", &Dice(1).bytes(MIB / 4)]));
        observer.expect("+OK");
        observer.send(&encode_bytes(&[b"SET", b"small", &Dice(1).bytes(1000)]));
        observer.expect("+OK");
        let mut quick = server.connect();
        for (key, requests) in [("big", 60), ("small", 15_000)] {
            let mut lazy = server.connect();
            lazy.roundtrip(&["CLIENT", "SETNAME", "lazy"], "+OK");
            // A reset while sending is what is wanted.
            let _ = lazy.stream.write_all(&encode(&["GET", key]).repeat(requests));
            eventually("the lazy one to go", || {
                let held = figure(&mut observer, "lazy", "tot-mem");
                assert!(held.is_none_or(|held| held < 4 * MIB), "{held:?}");
                held.is_none()
            });
            // Who reads gets as much.
            quick.send(&encode(&["GET", key]).repeat(10));
            (0..10).for_each(|_| drop(quick.reply()));
        }
        server.assert_healthy();
    }
}

#[test]
fn the_largest_go_first_and_no_more_than_needed() {
    for (name, mut server) in Server::both(&[]) {
        let mut observer = observer(&server, "0");
        let sizes = [("small", MIB / 8), ("middle", MIB), ("large", 3 * MIB)];
        let mut clients = Vec::new();
        for (name, bytes) in sizes {
            for _ in 0..3 {
                clients.push(holding(&server, &mut observer, name, bytes));
            }
        }
        eventually("all to be read", || total_held(&mut observer) >= 12 * MIB + 3 * MIB / 8);
        let limits = [("8mb", [3, 3, 1]), ("5mb", [3, 3, 0]), ("1mb", [3, 0, 0]), ("0", [3, 0, 0])];
        for (limit, left) in limits {
            set_limit(&mut observer, limit);
            let found = sizes.map(|(name, _)| count(&mut observer, name));
            assert_eq!(found, left, "{name} at {limit}");
            let total = total_held(&mut observer);
            let limit_mib: usize = limit.trim_end_matches("mb").parse().expect("a number");
            assert!(limit_mib == 0 || total < limit_mib * MIB, "{total} at {limit}");
        }
        assert_eq!(observer.info("evicted_clients"), "6");
        // The others' requests are as good as before.
        for mut client in clients.drain(..3) {
            client.send(b"\r\n");
            client.expect_bulk(&vec![b'x'; MIB / 8]);
        }
        server.assert_healthy();
    }
}

#[test]
fn some_are_never_closed() {
    for (name, mut server) in Server::both(DEBUG) {
        let mut observer = observer(&server, "1mb");
        let mut exempt = server.connect();
        exempt.roundtrip(&["CLIENT", "SETNAME", "exempt"], "+OK");
        exempt.roundtrip(&["CLIENT", "NO-EVICT", "ON"], "+OK");
        exempt.send(&unfinished(2 * MIB));
        eventually("it to be read", || {
            figure(&mut observer, "exempt", "tot-mem").is_some_and(|held| held > 2 * MIB)
        });
        // Nobody but the exempt is left, and commands still run.
        observer.roundtrip(&["PING"], "+PONG");
        eventually("a line in the log", || {
            observer.roundtrip(&["PING"], "+PONG");
            server.log().contains("Over client maxmemory after evicting all evictable clients")
        });
        exempt.send(b"\r\n");
        exempt.expect_bulk(&vec![b'x'; 2 * MIB]);
        if name != "rufous" {
            // Its buffers shrink later.
            continue;
        }
        // Once, not for every command.
        assert_eq!(server.log().matches("Over client maxmemory").count(), 1);
        eventually("it to hold nothing", || {
            figure(&mut observer, "exempt", "tot-mem").is_some_and(|held| held < MIB / 8)
        });
        let buckets = |observer: &mut Client| {
            let text = observer.ask(&["DEBUG", "CLIENT-EVICTION"]);
            let counts = text.lines().filter_map(|line| line.rsplit_once(": "));
            assert_eq!(text.lines().count(), 19, "{text}");
            counts.map(|(_, count)| count.parse::<usize>().expect("a number")).sum::<usize>()
        };
        assert_eq!(buckets(&mut observer), 0);
        exempt.roundtrip(&["CLIENT", "NO-EVICT", "OFF"], "+OK");
        assert_eq!(buckets(&mut observer), 1);
        let _ = exempt.stream.write_all(&unfinished(2 * MIB));
        exempt.expect_closed();
        set_limit(&mut observer, "0");
        let disabled = observer.ask(&["DEBUG", "CLIENT-EVICTION"]);
        assert_eq!(disabled, "-ERR maxmemory-clients is disabled.");
        server.assert_healthy();
    }
}

#[test]
fn buckets_look_as_in_redis() {
    let texts: Vec<_> = Server::both(DEBUG)
        .into_iter()
        .map(|(_, server)| {
            let mut observer = observer(&server, "100mb");
            observer.ask(&["DEBUG", "CLIENT-EVICTION"])
        })
        .collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn a_part_of_maxmemory() {
    for (name, mut server) in Server::both(&[]) {
        let mut observer = observer(&server, "7%");
        // Without a whole there is no part.
        let mut one = holding(&server, &mut observer, "one", MIB);
        observer.roundtrip(&["CONFIG", "SET", "maxmemory", "100mb"], "+OK");
        let mut two = holding(&server, &mut observer, "two", 4 * MIB);
        assert_eq!(count(&mut observer, "one"), 1, "{name}");
        observer.roundtrip(&["CONFIG", "SET", "maxmemory", "40mb"], "+OK");
        assert_eq!((count(&mut observer, "one"), count(&mut observer, "two")), (1, 0), "{name}");
        set_limit(&mut observer, "1%");
        assert_eq!(count(&mut observer, "one"), 0, "{name}");
        one.expect_closed();
        two.expect_closed();
        // A limit that would lock everybody out is raised to 128 KiB.
        set_limit(&mut observer, "1");
        let mut small = server.connect();
        small.roundtrip(&["PING"], "+PONG");
        server.assert_healthy();
    }
}

#[test]
fn the_total_is_that_of_the_list() {
    let mut server = Server::start(&[]);
    let mut observer = observer(&server, "0");
    let request = encode(&["CLIENT", "LIST"]).len();
    let mut clients = Vec::new();
    for round in 0..4 {
        let name = format!("c{round}");
        clients.push(holding(&server, &mut observer, &name, MIB * (round + 1) / 2));
        let mut talker = server.connect();
        talker.roundtrip(&["CLIENT", "SETINFO", "LIB-NAME", &"x".repeat(round * 100)], "+OK");
        talker.roundtrip(&["CLIENT", "SETNAME", &"y".repeat(round * 1000)], "+OK");
        clients.push(talker);
        if round == 2 {
            clients.swap_remove(0);
        }
        // Its own request shows in the list, in no total.
        eventually("both to agree", || {
            let total: usize = observer.info("mem_clients_normal").parse().expect("a number");
            total_held(&mut observer) == total + request
        });
    }
    drop(clients);
    eventually("nothing to be left", || {
        observer.info("mem_clients_normal").parse::<usize>().expect("a number") < 2000
    });
    server.assert_healthy();
}

#[test]
fn many_are_closed_without_anybody_asking() {
    let mut server = Server::start(DEBUG);
    let mut observer = observer(&server, "0");
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&unfinished(MIB / 4)));
    eventually("all to be read", || total_held(&mut observer) >= 100 * MIB / 4);
    set_limit(&mut observer, "1mb");
    // No command follows.
    eventually("the log", || server.log().matches("Evicting client").count() >= 97);
    assert_eq!(observer.info("connected_clients"), "4");
    server.assert_healthy();
}

#[test]
fn requests_that_wait_count() {
    let mut server = Server::start(&[]);
    let mut observer = observer(&server, "4mb");
    observer.roundtrip(&["CLIENT", "PAUSE", "60000", "WRITE"], "+OK");
    let mut clients = Vec::new();
    for number in 0..10 {
        let mut client = server.connect();
        client.roundtrip(&["CLIENT", "SETNAME", &format!("waits{number}")], "+OK");
        let _ = client.stream.write_all(&encode_bytes(&[b"SET", b"k", &vec![b'x'; MIB / 2]]));
        clients.push(client);
    }
    eventually("some to be closed", || server.log().contains("Evicting client"));
    eventually("the total to be right", || {
        let left = count(&mut observer, "waits");
        let total = total_held(&mut observer);
        assert!(total < 4 * MIB + MIB / 8, "{total}");
        left == 7 && total > 7 * MIB / 2
    });
    observer.roundtrip(&["CLIENT", "UNPAUSE"], "+OK");
    let answered = clients.iter_mut().filter_map(|client| client.try_reply().ok()).count();
    assert_eq!(answered, 7);
    eventually("nothing held", || total_held(&mut observer) < MIB / 8);
    server.assert_healthy();
}

#[test]
fn the_reply_of_a_job_counts() {
    let mut server = Server::start(DEBUG);
    let mut observer = observer(&server, "0");
    let keys: Vec<String> = (0..40).map(|number| format!("key{number}")).collect();
    for key in &keys {
        observer.roundtrip(&["SET", key, &"x".repeat(100_000)], "+OK");
    }
    observer.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    observer.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    let words: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    let mut greedy = server.connect();
    greedy.roundtrip(&["CLIENT", "SETNAME", "greedy"], "+OK");
    greedy.command(&words);
    eventually("a job", || observer.info("jobs_running") == "1");
    let first = figure(&mut observer, "greedy", "tot-mem").expect("a client");
    // It takes its keys, then replies value by value.
    observer.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "60"], "+OK");
    eventually("some of the reply", || {
        figure(&mut observer, "greedy", "tot-mem").is_some_and(|held| held > first + MIB)
    });
    set_limit(&mut observer, "1mb");
    assert_eq!(figure(&mut observer, "greedy", "tot-mem"), None);
    observer.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
    eventually("the job to end", || observer.info("jobs_running") == "0");
    greedy.expect_closed();
    // One that is not closed holds nothing of it afterwards.
    set_limit(&mut observer, "0");
    let mut modest = server.connect();
    modest.roundtrip(&["CLIENT", "SETNAME", "modest"], "+OK");
    modest.command(&words);
    assert!(modest.reply().text().len() > 4_000_000);
    eventually("nothing held", || {
        figure(&mut observer, "modest", "tot-mem").is_some_and(|held| held < 1000)
    });
    // Nor one that wants no reply.
    observer.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
    modest.command(&["CLIENT", "REPLY", "OFF"]);
    modest.command(&words);
    eventually("a job", || observer.info("jobs_running") == "1");
    observer.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
    eventually("the job to end", || observer.info("jobs_running") == "0");
    eventually("nothing counted", || {
        observer.info("mem_clients_normal").parse::<usize>().expect("a number") < 2000
    });
    server.assert_healthy();
}

#[test]
fn who_is_cut_for_its_output_takes_nobody_along() {
    let limits = ["--client-output-buffer-limit", "normal 3mb 0 0"];
    let mut server = Server::start(&limits);
    let mut observer = observer(&server, "10mb");
    observer.send(&encode_bytes(&[b"SET", b"big", &Dice(1).bytes(4 * MIB)]));
    observer.expect("+OK");
    let mut holder = holding(&server, &mut observer, "holder", 6 * MIB);
    let mut greedy: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    // All in one turn.
    server.signal("STOP");
    greedy.iter_mut().for_each(|client| client.command(&["GET", "big"]));
    thread::sleep(Duration::from_millis(50));
    server.signal("CONT");
    greedy.iter_mut().for_each(|client| drop(client.read_all()));
    assert_eq!(observer.info("evicted_clients"), "0");
    holder.send(b"\r\n");
    // Its reply is as far above the limit as theirs.
    let _ = holder.read_all();
    eventually("the log", || server.log().matches("output buffer limits").count() == 5);
    server.assert_healthy();
}

#[test]
fn buffers_of_clients_evict_no_data() {
    let options = ["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"];
    let mut server = Server::start(&options);
    let mut observer = observer(&server, "0");
    for number in 0..1000 {
        observer.roundtrip(&["SET", &format!("key{number}"), &"x".repeat(10_000)], "+OK");
    }
    let clients: Vec<Client> = (0..8)
        .map(|number| holding(&server, &mut observer, &format!("c{number}"), 5 * MIB))
        .collect();
    // What counts beside the data is measured ten times a second.
    thread::sleep(Duration::from_millis(300));
    observer.roundtrip(&["SET", "one-more", "x"], "+OK");
    observer.roundtrip(&["DBSIZE"], ":1001");
    assert_eq!(observer.info("evicted_keys"), "0");
    set_limit(&mut observer, "10mb");
    eventually("the buffers to go", || total_held(&mut observer) < 10 * MIB);
    assert_eq!(observer.info("evicted_keys"), "0");
    drop(clients);
    server.assert_healthy();
}
