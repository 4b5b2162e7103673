//! The debugger of scripts: whole sessions against their transcripts, and what becomes of everybody else meanwhile.
//!
//! `script_debug.txt` holds what Redis 7.0.15 answers, byte for byte; its head says how it is read. Both servers are
//! to hold all of its sessions.
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rufous::base::quote::split_args;

use crate::client::{Client, encode, encode_bytes};
use crate::server::{PATIENCE, Server, eventually};

const SESSIONS: &str = include_str!("script_debug.txt");
const INCREMENTS: &str =
    "redis.call('incr', 'k')\nredis.call('incr', 'k')\nreturn redis.call('get', 'k')";

/// A connection whose replies are taken as they are.
struct Raw {
    reader: BufReader<TcpStream>,
}

impl Raw {
    fn connect(server: &Server) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Raw { reader: BufReader::new(stream) }
    }

    fn send(&self, bytes: &[u8]) {
        self.reader.get_ref().write_all(bytes).unwrap();
    }

    /// The bytes of one reply, or what came of it.
    fn reply(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut left = 1;
        while left > 0 {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line).unwrap();
            left -= 1;
            let count = || std::str::from_utf8(&line[1..]).unwrap().trim().parse::<i64>().unwrap();
            match line.first() {
                None => return all,
                Some(b'*' | b'~' | b'>') => left += count().max(0),
                Some(b'%') => left += 2 * count(),
                Some(b'$' | b'=') if count() >= 0 => {
                    let mut bulk = vec![0; count() as usize + 2];
                    self.reader.read_exact(&mut bulk).unwrap();
                    line.extend(bulk);
                }
                Some(_) => {}
            }
            all.extend(line);
        }
        all
    }

    /// All until the server closes.
    fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.reader.read_to_end(&mut all) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!("still open: {error}")
            }
            _ => all,
        }
    }
}

/// As the transcript shows it: lines, with what changes from run to run replaced.
fn shown(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let is_ascii = text.is_ascii();
    let mut lines: Vec<String> =
        if is_ascii { text.split("\r\n").map(str::to_owned).collect() } else { vec![text] };
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let escaped = lines.into_iter().map(|line| {
        line.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b' '..=b'~' if byte != b'\\' => out.push(byte as char),
                _ => out += &format!("\\x{byte:02x}"),
            }
            out
        })
    });
    escaped.map(|line| without_numbers(&line)).collect()
}

/// Addresses are other ones in each process.
fn without_numbers(line: &str) -> String {
    let mut parts = line.split("@0x");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        out += "@ADDR";
        out += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out
}

/// Plays one session; what was heard, in the form of the transcript.
fn play(server: &Server, session: &str, mode: &str) -> String {
    let mut control = server.connect();
    control.roundtrip(&["FLUSHALL"], "+OK");
    control.roundtrip(&["SCRIPT", "FLUSH"], "+OK");
    control.roundtrip(&["FUNCTION", "FLUSH"], "+OK");
    control.roundtrip(&["CONFIG", "SET", "busy-reply-threshold", "5000"], "+OK");
    let mut client = Raw::connect(server);
    let mut heard = String::new();
    for line in session.lines() {
        let reply = match line.split_at_checked(2) {
            Some(("> ", words)) => {
                let words = words.replace("debug MODE", &format!("debug {mode}"));
                let words = split_args(words.as_bytes()).unwrap();
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                client.send(&encode_bytes(&words));
                client.reply()
            }
            Some(("! ", bytes)) => {
                client.send(&split_args(bytes.as_bytes()).unwrap()[0]);
                client.reply()
            }
            Some(("| ", "rest")) => client.rest(),
            Some(("| ", "shut")) => {
                client.reader.get_ref().shutdown(Shutdown::Write).unwrap();
                Vec::new()
            }
            Some(("| ", "new")) => {
                client = Raw::connect(server);
                Vec::new()
            }
            _ => continue,
        };
        heard += &format!("{line}\n");
        if line.starts_with("> hello") {
            // It tells the client's number.
            continue;
        }
        shown(&reply).iter().for_each(|line| heard += &format!("{line}\n"));
    }
    heard
}

#[test]
fn sessions_are_those_of_redis() {
    let mut played = 0;
    for (name, mut server) in Server::both(&[]) {
        for session in SESSIONS.split("\n# ").skip(1) {
            let (title, session) = session.split_once('\n').unwrap();
            let modes: &[&str] = if session.contains("MODE") { &["sync", "yes"] } else { &["yes"] };
            for mode in modes {
                let heard = play(&server, session, mode);
                let session = session.trim_end();
                assert_eq!(heard.trim_end(), session, "{name}: {title}, {mode}");
                played += 1;
            }
        }
        server.assert_healthy();
    }
    assert!(played > 100, "only {played} sessions");
}

/// Begins a session that stops at its first line.
fn begin(server: &Server, mode: &str, script: &str) -> Client {
    let mut client = server.connect();
    client.roundtrip(&["SCRIPT", "DEBUG", mode], "+OK");
    client.command(&["EVAL", script, "0"]);
    assert!(client.reply().text().contains("stop reason = step over"));
    client
}

/// Ends it.
fn go_on(client: &mut Client, result: &str) {
    client.command(&["continue"]);
    assert!(client.reply().text().contains("<endsession>"));
    client.expect(result);
    client.expect_closed();
}

/// Processes that a server has made and that have not been forgotten.
fn children(server: &Server) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_forked_session_changes_nothing_and_holds_nobody() {
    for (name, mut server) in Server::both(&[]) {
        let mut other = server.connect();
        let mut debugged = begin(&server, "YES", INCREMENTS);
        other.roundtrip(&["SET", "k", "10"], "+OK");
        let mut second = begin(&server, "yes", INCREMENTS);
        // Nobody but the processes of the sessions has these clients.
        assert_eq!(other.info("connected_clients"), "1", "{name}");
        assert_eq!(other.info("total_forks"), "2", "{name}");
        assert_ne!(other.info("latest_fork_usec"), "0", "{name}");
        go_on(&mut second, "12");
        debugged.command(&["redis", "dbsize"]);
        assert!(debugged.reply().text().contains("<reply> 0"), "{name}");
        go_on(&mut debugged, "2");
        other.command(&["GET", "k"]);
        other.expect("10");
        eventually("no child to be left", || children(&server).is_empty());
        server.assert_healthy();
    }
}

#[test]
fn a_session_here_holds_everybody_and_its_changes_stay() {
    for (name, mut server) in Server::both(&[]) {
        let mut other = server.connect();
        other.roundtrip(&["PING"], "+PONG");
        let mut debugged = begin(&server, "SYNC", INCREMENTS);
        other.command(&["INCR", "k"]);
        other.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let waited = other.try_reply().expect_err("nobody is served");
        assert!(matches!(waited.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{name}");
        go_on(&mut debugged, "2");
        other.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        other.expect(":3");
        server.assert_healthy();
    }
}

#[test]
fn who_leaves_a_session_leaves_the_script_to_run() {
    for (name, mut server) in Server::both(&[]) {
        let debugged = begin(&server, "sync", INCREMENTS);
        drop(debugged);
        let mut other = server.connect();
        other.roundtrip(&["INCR", "k"], ":3");
        let debugged = begin(&server, "yes", "while true do end");
        other.roundtrip(&["CONFIG", "SET", "busy-reply-threshold", "100"], "+OK");
        drop(debugged);
        // One that never ends by itself is ended, in this process or another.
        let endless = begin(&server, "sync", "local i = 0\nwhile true do i = i + 1 end");
        drop(endless);
        let mut other = server.connect();
        other.roundtrip(&["PING"], "+PONG");
        // The other one was made with a threshold of five seconds.
        children(&server).iter().for_each(|&pid| kill(pid));
        eventually("no child to be left", || children(&server).is_empty());
        assert!(name == "redis" || !server.log().contains("panicked"));
        server.assert_healthy();
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn who_is_closed_meanwhile_hears_of_it() {
    let server = Server::start(&[]);
    let mut idle = server.connect();
    idle.roundtrip(&["CLIENT", "SETNAME", "idle"], "+OK");
    let id = idle.ask(&["CLIENT", "ID"]);
    let mut debugged = begin(&server, "yes", INCREMENTS);
    let mut control = server.connect();
    control.roundtrip(&["CLIENT", "KILL", "ID", id.trim_start_matches(':')], ":1");
    // The other process has the socket no longer.
    let started = Instant::now();
    idle.expect_closed();
    assert!(started.elapsed() < Duration::from_secs(1));
    go_on(&mut debugged, "2");
}

#[test]
fn sessions_end_with_the_server() {
    for (name, mut server) in Server::both(&[]) {
        let mut debugged = begin(&server, "yes", INCREMENTS);
        let pids = children(&server);
        assert_eq!(pids.len(), 1, "{name}");
        // Its own end is for the server to decide.
        let _ = std::process::Command::new("kill").arg(pids[0].to_string()).status();
        debugged.command(&["list"]);
        assert!(debugged.reply().text().contains("incr"), "{name}");
        server.signal("TERM");
        assert!(server.wait().success(), "{name}");
        debugged.expect_closed();
        // Redis leaves it for init to bury.
        let is_gone = !std::path::Path::new(&format!("/proc/{}", pids[0])).exists();
        assert!(is_gone || name == "redis");
    }
}

#[test]
fn a_server_that_is_held_can_be_ended() {
    let mut server = Server::start(&[]);
    let mut debugged = begin(&server, "sync", INCREMENTS);
    server.signal("TERM");
    assert!(debugged.reply().text().contains("<endsession>"));
    assert!(debugged.reply().text().starts_with("-ERR The server is shutting down"));
    debugged.expect_closed();
    assert!(server.wait().success());
}

#[test]
fn debugged_scripts_are_monitored_where_they_run() {
    for (name, server) in Server::both(&[]) {
        for (mode, sees_commands) in [("yes", false), ("sync", true)] {
            let mut monitor = server.connect();
            monitor.roundtrip(&["MONITOR"], "+OK");
            let mut debugged = begin(&server, mode, INCREMENTS);
            go_on(&mut debugged, "2");
            server.connect().roundtrip(&["ECHO", "end"], "end");
            let mut seen = String::new();
            while !seen.contains("\"end\"") {
                seen += &monitor.reply().text();
            }
            assert!(seen.contains("\"EVAL\""), "{name}, {mode}: {seen}");
            assert_eq!(seen.contains("lua] \"incr\""), sees_commands, "{name}, {mode}: {seen}");
            server.connect().roundtrip(&["FLUSHALL"], "+OK");
        }
    }
}

#[test]
fn what_a_session_leaves_unsaid_comes_with_its_end() {
    for (name, server) in Server::both(&[]) {
        for mode in ["yes", "sync"] {
            let mut client = server.connect();
            // The child of Redis has forgotten what waits in big buffers, and sends zeros.
            let len = if name == "redis" && mode == "yes" { 100 } else { 500_000 };
            client.roundtrip(&["SET", "big", &"x".repeat(len)], "+OK");
            let mut sent = encode(&["SCRIPT", "DEBUG", mode]);
            sent.extend(encode(&["GET", "big"]));
            sent.extend(encode(&["EVAL", "return 'over'", "0"]));
            client.send(&sent);
            assert!(client.reply().text().contains("Stopped at 1"), "{name}, {mode}");
            client.command(&["step"]);
            assert!(client.reply().text().contains("<endsession>"), "{name}, {mode}");
            client.expect("+OK");
            client.expect_bulk("x".repeat(len).as_bytes());
            client.expect("over");
            client.expect_closed();
        }
    }
}
