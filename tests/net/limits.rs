//! Limits: every client that wants too much is cut, with a line in the log, and its memory comes back.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Dice, encode, encode_bytes};
use crate::figures::figure;
use crate::server::{Server, command, eventually, free_port};

const MIB: usize = 1 << 20;

#[test]
fn query_buffer_limit() {
    for (name, mut server) in Server::both(&["--client-query-buffer-limit", "2mb"]) {
        let mut client = server.connect();
        client.send(&encode_bytes(&[b"SET", b"fits", &vec![b'x'; MIB]]));
        client.expect("+OK");
        // Many small arguments, and one big one that never ends: each above the limit.
        let many = [b"*1000000\r\n".to_vec(), b"$10\r\n0123456789\r\n".repeat(300_000)].concat();
        let one =
            [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\n".to_vec(), vec![b'x'; 4 * MIB]].concat();
        // Redis counts no argument that is complete, so only the second is too much for it.
        let cases = if name == "rufous" { vec![many, one] } else { vec![one] };
        for sent in cases {
            let mut client = server.connect();
            // The server may close before it has all.
            let _ = client.stream.write_all(&sent);
            client.expect_closed();
        }
        if name == "rufous" {
            let lines = || server.log().matches("reached max query buffer length").count();
            eventually("two lines in the log", || lines() == 2);
            let figure = server.connect().info("client_query_buffer_limit_disconnections");
            assert_eq!(figure, "2");
            eventually("the memory to be free again", || server.resident_bytes() < 24 * MIB);
        }
        server.assert_healthy();
    }
}

#[test]
fn hard_output_limit() {
    let limit = "normal 5mb 0 0";
    for (name, mut server) in Server::both(&["--client-output-buffer-limit", limit]) {
        let mut client = server.connect();
        client.send(&encode_bytes(&[b"SET", b"big", &Dice(1).bytes(MIB)]));
        client.send(&encode_bytes(&[b"SET", b"small", &Dice(1).bytes(1000)]));
        client.expect("+OK");
        client.expect("+OK");
        for (key, count) in [("big", 40), ("small", 40_000)] {
            let mut greedy = server.connect();
            // Nothing is read; a reset while sending is what is wanted.
            let _ = greedy.stream.write_all(&encode(&["GET", key]).repeat(count));
            let mut all = Vec::new();
            thread::sleep(Duration::from_millis(50));
            let _ = greedy.stream.read_to_end(&mut all);
            assert!(all.len() < 40 * MIB * 9 / 10, "{name}: {} bytes", all.len());
        }
        server.expect_log("overcoming of output buffer limits");
        if name == "rufous" {
            let figure = server.connect().info("client_output_buffer_limit_disconnections");
            assert_eq!(figure, "2");
            let resident = server.resident_bytes();
            assert!(resident < 32 * MIB, "{resident} bytes");
        }
        // Who reads may have more than the limit in total.
        for _ in 0..10 {
            client.command(&["GET", "big"]);
            client.reply();
        }
        server.assert_healthy();
    }
}

#[test]
fn first_replies_do_not_count_for_the_limit() {
    let limit = "normal 25000 0 0 pubsub 100000 0 0";
    for (name, mut server) in Server::both(&["--client-output-buffer-limit", limit]) {
        let mut client = server.connect();
        let item = "x".repeat(1000);
        for _ in 0..60 {
            client.command(&["RPUSH", "list", &item]);
            client.reply();
        }
        // 30 KB, of which 16 KiB are free.
        client.roundtrip(&["CLIENT", "SETNAME", "reader"], "+OK");
        client.command(&["LRANGE", "list", "0", "29"]);
        client.reply();
        let mut greedy = server.connect();
        greedy.command(&["LRANGE", "list", "0", "-1"]);
        assert!(greedy.read_all().is_empty(), "{name}: nothing of a reply that is too long");
        // One who hears but does not read.
        let mut deaf = server.connect();
        deaf.roundtrip(&["CLIENT", "SETNAME", "deaf"], "+OK");
        deaf.command(&["SUBSCRIBE", "news"]);
        let (mut highest, mut last) = (0, Some(0));
        while let Some(counted) = last {
            assert!(counted < 100_000, "{name}: {counted}");
            highest = highest.max(counted);
            client.command(&["PUBLISH", "news", &item]);
            client.reply();
            last = figure(&mut client, "deaf", "omem");
            if last.is_some_and(|counted| counted > 0) {
                assert_ne!(figure(&mut client, "deaf", "oll"), Some(0), "{name}");
            }
        }
        assert!(highest >= 70_000, "{name}: {highest}");
        server.assert_healthy();
    }
}

#[test]
fn soft_output_limit() {
    let limit = "normal 0 3mb 1";
    for (_, mut server) in Server::both(&["--client-output-buffer-limit", limit]) {
        let mut client = server.connect();
        client.send(&encode_bytes(&[b"SET", b"big", &Dice(1).bytes(MIB)]));
        client.expect("+OK");
        let mut lazy = server.connect();
        lazy.send(&encode(&["GET", "big"]).repeat(30));
        let mut quick = server.connect();
        quick.send(&encode(&["GET", "big"]).repeat(30));
        thread::sleep(Duration::from_millis(300));
        assert!(!server.log().contains("output buffer limits"));
        for _ in 0..30 {
            quick.reply();
        }
        let started = Instant::now();
        server.expect_log("overcoming of output buffer limits");
        assert!(started.elapsed() < Duration::from_secs(4));
        assert!(lazy.read_all().len() < 30 * MIB);
        quick.roundtrip(&["PING"], "+PONG");
        assert_eq!(server.log().matches("output buffer limits").count(), 1);
        server.assert_healthy();
    }
}

#[test]
fn memory_of_one_that_never_reads_returns() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send(&encode_bytes(&[b"SET", b"small", &Dice(1).bytes(1000)]));
    client.expect("+OK");
    let request = encode(&["GET", "small"]).repeat(1000);
    let before = server.resident_bytes();
    let mut greedy = server.connect();
    for _ in 0..60 {
        greedy.send(&request);
    }
    eventually("its output to grow", || server.resident_bytes() > before + 40 * MIB);
    drop(greedy);
    eventually("its memory to return", || server.resident_bytes() < before + 4 * MIB);
    server.assert_healthy();
}

#[test]
fn a_limit_that_is_set_again_counts_what_came_meanwhile() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.roundtrip(&["CONFIG", "SET", "maxmemory", "100mb"], "+OK");
    client.roundtrip(&["SET", "key", "value"], "+OK");
    client.roundtrip(&["CONFIG", "SET", "maxmemory", "0"], "+OK");
    // Neither data nor a client's buffer.
    client.command(&["SCRIPT", "LOAD", &format!("return '{}'", "x".repeat(MIB))]);
    client.reply();
    client.roundtrip(&["CONFIG", "SET", "maxmemory", "100mb"], "+OK");
    let uncounted: usize = client.info("mem_not_counted_for_evict").parse().unwrap();
    assert!(uncounted < MIB / 2, "{uncounted}");
}

#[test]
fn longest_bulk() {
    for (_, mut server) in Server::both(&["--proto-max-bulk-len", "1mb"]) {
        let mut client = server.connect();
        client.send(&encode_bytes(&[b"SET", b"k", &vec![b'x'; MIB]]));
        client.expect("+OK");
        client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", MIB + 1).as_bytes());
        client.expect("-ERR Protocol error: invalid bulk length");
        client.expect_closed();
        let mut client = server.connect();
        client.roundtrip(&["CONFIG", "SET", "proto-max-bulk-len", "3mb"], "+OK");
        client.send(&encode_bytes(&[b"SET", b"k", &vec![b'x'; 3 * MIB]]));
        client.expect("+OK");
        server.assert_healthy();
    }
}

#[test]
fn strangers_get_little() {
    for (_, mut server) in Server::both(&["--requirepass", "secret"]) {
        let refused = [
            ("*11\r\n", "-ERR Protocol error: unauthenticated multibulk length"),
            ("*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length"),
        ];
        for (sent, message) in refused {
            let mut client = server.connect();
            client.send(sent.as_bytes());
            client.expect(message);
            client.expect_closed();
        }
        let mut client = server.connect();
        client.roundtrip(&["GET", "a"], "-NOAUTH Authentication required.");
        // AUTH counts for what follows it in the same write.
        let big = vec![b'x'; 100_000];
        let sent = [
            b"AUTH wrong\r\nPING\r\n".to_vec(),
            encode(&["AUTH", "secret"]),
            encode_bytes(&[b"SET", b"big", &big]),
            encode(&["DEL", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "big"]),
        ];
        client.send(&sent.concat());
        client.expect("-WRONGPASS invalid username-password pair or user is disabled.");
        client.expect("-NOAUTH Authentication required.");
        client.expect("+OK");
        client.expect("+OK");
        client.expect(":1");
        let mut client = server.connect();
        client.send(&[encode(&["AUTH", "secret"]), b"PING\r\n".repeat(2000)].concat());
        client.expect("+OK");
        for _ in 0..2000 {
            client.expect("+PONG");
        }
        server.run_healthy(&["AUTH", "secret"]);
    }
}

#[test]
fn too_many_clients() {
    for (_, server) in Server::both(&["--maxclients", "10"]) {
        let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| client.roundtrip(&["PING"], "+PONG"));
        for _ in 0..3 {
            let mut refused = server.connect();
            refused.expect("-ERR max number of clients reached");
            refused.expect_closed();
        }
        assert_eq!(clients[0].info("rejected_connections"), "3");
        clients.pop();
        eventually("a place to be free", || server.connect().ask(&["PING"]) == "+PONG");
        clients[0].roundtrip(&["CONFIG", "SET", "maxclients", "12"], "+OK");
        let mut more: Vec<Client> = (0..3).map(|_| server.connect()).collect();
        more.iter_mut().for_each(|client| client.roundtrip(&["PING"], "+PONG"));
        server.assert_idle();
    }
}

/// An address of this machine that is not a loopback one.
pub fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: connecting a datagram socket only asks for the route.
    socket.connect("192.0.2.77:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn protected_mode() {
    let Some(address) = own_address() else { return };
    for (_, server) in Server::both(&["--bind", "0.0.0.0"]) {
        let mut stranger = Client::tcp((address, server.port));
        let refusal = stranger.reply().text();
        assert!(refusal.starts_with("-DENIED Redis is running in protected mode"), "{refusal}");
        stranger.expect_closed();
        let mut local = server.connect();
        local.roundtrip(&["PING"], "+PONG");
        local.roundtrip(&["CONFIG", "SET", "protected-mode", "no"], "+OK");
        Client::tcp((address, server.port)).roundtrip(&["PING"], "+PONG");
        local.roundtrip(&["CONFIG", "SET", "protected-mode", "yes", "requirepass", "x"], "+OK");
        let mut known = Client::tcp((address, server.port));
        known.roundtrip(&["AUTH", "x"], "+OK");
    }
}

#[test]
fn too_few_files_lower_maxclients() {
    // Root may raise its hard limit; who may not is told how many clients are possible.
    let mut program = Command::new("setpriv");
    program.args(["--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"]);
    program.args(["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(command().get_program());
    program.process_group(0);
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|out| out.status.success()) {
        return;
    }
    let server = Server::run(program, free_port(), &[]);
    server.expect_log("maxclients has been reduced from 10000 to 32");
    server.expect_log("eady to accept connections");
    let mut client = server.connect();
    client.command(&["CONFIG", "GET", "maxclients"]);
    let shown = client.reply();
    assert!(format!("{shown:?}").contains(&format!("{:?}", b"32")), "{shown:?}");
    let others: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    client.roundtrip(&["PING"], "+PONG");
    let refused = client.ask(&["CONFIG", "SET", "maxclients", "20000"]);
    assert!(refused.contains("The operating system is not able to handle"), "{refused}");
    drop(others);
    eventually("a place to be free", || server.connect().ask(&["PING"]) == "+PONG");
    server.assert_idle();
}

#[test]
fn out_of_files() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.roundtrip(&["PING"], "+PONG");
    let pid = server.pid().to_string();
    let lowered = Command::new("prlimit").args(["--pid", &pid, "--nofile=30:30"]).status();
    if !lowered.is_ok_and(|status| status.success()) {
        return;
    }
    let others: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    server.expect_log("Error accepting a client connection");
    client.roundtrip(&["PING"], "+PONG");
    server.assert_idle();
    assert_eq!(server.log().matches("Error accepting").count(), 1);
    drop(others);
    eventually("new clients to be accepted", || {
        let mut probe = server.connect();
        probe.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        probe.command(&["PING"]);
        probe.try_reply().is_ok()
    });
    server.assert_healthy();
}

#[test]
fn monitors_that_do_not_read() {
    let limit = "normal 5mb 0 0";
    for (name, mut server) in Server::both(&["--client-output-buffer-limit", limit]) {
        let mut monitor = server.connect();
        monitor.roundtrip(&["MONITOR"], "+OK");
        let mut gone = server.connect();
        gone.roundtrip(&["MONITOR"], "+OK");
        drop(gone);
        let mut client = server.connect();
        let sent = encode(&["ECHO", &"x".repeat(20_000)]);
        // The socket takes some MiB before anything waits in the server.
        for _ in 0..1500 {
            client.send(&sent);
            client.reply();
        }
        server.expect_log("overcoming of output buffer limits");
        eventually("the monitor to be gone", || client.info("connected_clients") == "1");
        assert!(monitor.read_all().len() < 1500 * 20_000, "{name}");
        server.assert_healthy();
    }
}
