//! Starting, listening elsewhere, ending.
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::server::{PATIENCE, Server, command, eventually, free_port, scratch_path};

/// A server that is expected to give up: its exit code and what it said.
fn failing(port: u16, options: &[&str]) -> (Option<i32>, String) {
    let mut server = Server::run(command(), port, options);
    let status = server.wait();
    (status.code(), server.log())
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let path = scratch_path("socket");
        let pid_path = scratch_path("pid");
        let (path_text, pid_text) = (path.display().to_string(), pid_path.display().to_string());
        let mut server = Server::start(&["--unixsocket", &path_text, "--pidfile", &pid_text]);
        let mut client = server.connect();
        client.roundtrip(&["PING"], "+PONG");
        assert!(path.exists() && pid_path.exists());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!path.exists() && !pid_path.exists());
        client.expect_closed();
        assert!(server.log().contains(&format!("Received SIG{signal} scheduling shutdown")));
    }
}

#[test]
fn shutdown_ends_it_cleanly() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send(b"SET a 1\r\nSHUTDOWN NOSAVE\r\nSET a 2\r\n");
    client.expect("+OK");
    client.expect_closed();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_title_shows_where_it_listens() {
    let socket = scratch_path("socket").display().to_string();
    for (name, mut server) in Server::both(&["--unixsocket", &socket]) {
        let shown = |server: &Server| {
            let line = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
            // The end of the old one may stay behind a shorter one.
            let title = line.split(|&byte| byte == 0).next().unwrap();
            String::from_utf8_lossy(title).trim_end().to_owned()
        };
        let program = if name == "rufous" { "rufous" } else { "redis-server" };
        eventually("the title", || shown(&server).ends_with(&format!(" *:{}", server.port)));
        assert!(shown(&server).split(' ').next().unwrap().ends_with(program), "{name}");
        let mut client = server.connect();
        let template = "T {title} {{{listen-addr} {port} {tls-port} {unixsocket}|{config-file}";
        client.roundtrip(&["CONFIG", "SET", "proc-title-template", template], "+OK");
        let title = shown(&server);
        let rest = format!(" {{*:{0} {0} 0 {socket}|-", server.port);
        assert!(title.starts_with("T ") && title.ends_with(&rest), "{name}: {title}");
        client.roundtrip(&["CONFIG", "SET", "proc-title-template", "short"], "+OK");
        assert_eq!(shown(&server), "short", "{name}");
        let long = "x".repeat(200);
        client.roundtrip(&["CONFIG", "SET", "proc-title-template", &long], "+OK");
        assert_eq!(shown(&server), long, "{name}");
        server.assert_healthy();
    }
    let server = Server::start(&["--set-proc-title", "no"]);
    let line = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    assert!(String::from_utf8(line).unwrap().contains("--set-proc-title"));
}

#[test]
fn what_a_signal_asks_for_can_be_prevented() {
    for (_, server) in Server::both(&["--enable-debug-command", "yes"]) {
        let mut client = server.connect();
        client.roundtrip(&["SHUTDOWN", "ABORT"], "-ERR No shutdown in progress.");
        client.roundtrip(&["DEBUG", "PAUSE-CRON", "1"], "+OK");
        server.signal("TERM");
        server.expect_log("Received SIGTERM scheduling shutdown");
        client.roundtrip(&["SHUTDOWN", "ABORT"], "+OK");
        server.expect_log("Shutdown manually aborted.");
        client.roundtrip(&["SHUTDOWN", "ABORT"], "-ERR No shutdown in progress.");
        client.roundtrip(&["DEBUG", "PAUSE-CRON", "0"], "+OK");
        thread::sleep(Duration::from_millis(150));
        client.roundtrip(&["PING"], "+PONG");
    }
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    for (_, mut server) in Server::both(&["--enable-debug-command", "yes"]) {
        let mut client = server.connect();
        client.roundtrip(&["DEBUG", "PAUSE-CRON", "1"], "+OK");
        server.signal("INT");
        server.expect_log("Received SIGINT scheduling shutdown");
        client.roundtrip(&["PING"], "+PONG");
        server.signal("INT");
        server.wait();
        server.expect_log("You insist... exiting now.");
    }
}

#[test]
fn signals_are_heard_by_a_busy_server() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut reader = client.stream.try_clone().unwrap();
    let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let sending = thread::spawn(move || {
        use std::io::Write;
        while client.stream.write_all(&b"PING\r\n".repeat(1000)).is_ok() {}
    });
    thread::sleep(Duration::from_millis(50));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    sending.join().unwrap();
    let _ = reading.join().unwrap();
}

#[test]
fn a_port_in_use() {
    let first = Server::start(&[]);
    let (code, log) = failing(first.port, &[]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" # ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(&first.port.to_string()), "{log}");
    assert!(lines[0].contains("in use"), "{log}");
    first.connect().roundtrip(&["PING"], "+PONG");
}

#[test]
fn addresses_that_cannot_be_bound() {
    for bind in ["192.0.2.200", "no.such.host.invalid", "300.1.1.1"] {
        let (code, log) = failing(free_port(), &["--bind", bind]);
        assert_eq!(code, Some(1), "{bind}");
        assert!(log.contains(bind), "{log}");
    }
    // Marked as optional it is left out.
    let server = Server::start(&["--bind", "127.0.0.1 -192.0.2.200"]);
    server.connect().roundtrip(&["PING"], "+PONG");
}

#[test]
fn nowhere_to_listen() {
    for options in [&["--bind", ""][..], &["--port", "0"]] {
        let (code, log) = failing(free_port(), options);
        assert_eq!(code, Some(1), "{options:?}");
        assert!(log.contains("Configured to not listen anywhere, exiting."), "{log}");
    }
}

#[test]
fn a_unix_socket_alone() {
    let path = scratch_path("socket");
    let path_text = path.display().to_string();
    let options = ["--port", "0", "--unixsocket", &path_text, "--unixsocketperm", "700"];
    let mut server = Server::start(&options);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let listening = TcpStream::connect(("127.0.0.1", server.port));
    assert!(listening.is_err());
    ping_unix(&path);
    server.signal("KILL");
    server.wait();
    // The socket of one that died is in nobody's way.
    assert!(path.exists());
    let server = Server::start(&options);
    ping_unix(&path);
    drop(server);
    let _ = std::fs::remove_file(&path);
    // Something else at its place is not ours to remove.
    std::fs::write(&path, "precious").unwrap();
    let (code, log) = failing(free_port(), &options);
    assert_eq!(code, Some(1));
    assert!(log.contains(&path_text), "{log}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

fn ping_unix(path: &Path) {
    use std::io::{Read, Write};
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    for (_, server) in Server::both(&["--bind", "::1"]) {
        let mut client = Client::tcp(("::1", server.port));
        client.roundtrip(&["PING"], "+PONG");
        let address = format!("addr=[::1]:{}", client.stream.local_addr().unwrap().port());
        assert!(client.ask(&["CLIENT", "INFO"]).contains(&address));
        assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
    }
    for (_, server) in Server::both(&["--bind", "127.0.0.1 ::1"]) {
        Client::tcp(("::1", server.port)).roundtrip(&["PING"], "+PONG");
        server.connect().roundtrip(&["PING"], "+PONG");
    }
}

#[test]
fn the_port_moves() {
    for (_, server) in Server::both(&["--bind", "127.0.0.1"]) {
        let mut client = server.connect();
        let port = free_port();
        client.roundtrip(&["CONFIG", "SET", "port", &port.to_string()], "+OK");
        Client::tcp(("127.0.0.1", port)).roundtrip(&["PING"], "+PONG");
        assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
        // Who was connected stays; what cannot be had changes nothing.
        client.roundtrip(&["PING"], "+PONG");
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port().to_string();
        let refused = client.ask(&["CONFIG", "SET", "port", &taken_port]);
        assert!(refused.contains("Unable to listen on this port"), "{refused}");
        Client::tcp(("127.0.0.1", port)).roundtrip(&["PING"], "+PONG");
        client.roundtrip(&["CONFIG", "SET", "port", "0"], "+OK");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        let back = server.port.to_string();
        client.roundtrip(&["CONFIG", "SET", "port", &back], "+OK");
        server.connect().roundtrip(&["PING"], "+PONG");
        server.assert_idle();
    }
}

#[test]
fn the_addresses_move() {
    for (_, server) in Server::both(&["--bind", "127.0.0.1", "--protected-mode", "no"]) {
        let mut client = server.connect();
        // Each overlaps the one before.
        for bind in ["127.0.0.1 127.0.0.2", "*", "127.0.0.1", "127.0.0.2 127.0.0.1"] {
            client.roundtrip(&["CONFIG", "SET", "bind", bind], "+OK");
            server.connect().roundtrip(&["PING"], "+PONG");
            let second = TcpStream::connect(("127.0.0.2", server.port));
            assert_eq!(second.is_ok(), bind != "127.0.0.1", "{bind}");
        }
        let refused = client.ask(&["CONFIG", "SET", "bind", "192.0.2.200"]);
        assert!(refused.contains("Failed to bind to specified addresses"), "{refused}");
        eventually("the old address to be back", || {
            TcpStream::connect(("127.0.0.2", server.port)).is_ok()
        });
        server.connect().roundtrip(&["PING"], "+PONG");
        client.command(&["CONFIG", "GET", "bind"]);
        let shown = format!("{:?}", client.reply());
        assert!(shown.contains(&format!("{:?}", b"127.0.0.2 127.0.0.1")), "{shown}");
        server.assert_idle();
    }
}
