//! Turns of the loop: nobody starves, nobody spins.
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Dice, encode, encode_bytes};
use crate::server::Server;

/// The longest of `count` PINGs.
fn longest_ping(server: &Server, count: usize) -> Duration {
    let mut client = server.connect();
    let ping = |_| {
        let started = Instant::now();
        client.roundtrip(&["PING"], "+PONG");
        started.elapsed()
    };
    (0..count).map(ping).max().unwrap()
}

/// Sends `request` over and over from several connections, reading all replies, until dropped.
struct Flood {
    is_over: Arc<AtomicBool>,
    streams: Vec<std::net::TcpStream>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Flood {
    fn start(server: &Server, connections: usize, request: &[u8]) -> Flood {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut flood =
            Flood { is_over: is_over.clone(), streams: Vec::new(), threads: Vec::new() };
        for _ in 0..connections {
            let stream = server.connect().stream;
            let (mut writer, mut reader) =
                (stream.try_clone().unwrap(), stream.try_clone().unwrap());
            flood.streams.push(stream);
            let is_over = is_over.clone();
            let piece = request.repeat((256 * 1024 / request.len()).max(1));
            flood.threads.push(thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) && writer.write_all(&piece).is_ok() {}
            }));
            flood.threads.push(thread::spawn(move || {
                let mut replies = vec![0; 1 << 20];
                while reader.read(&mut replies).is_ok_and(|len| len > 0) {}
            }));
        }
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for stream in &self.streams {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn endless_pipelines_starve_nobody() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send(&encode_bytes(&[b"SET", b"big", &Dice(1).bytes(1 << 20)]));
    client.expect("+OK");
    for (connections, request) in [
        (1, encode(&["PING"])),
        (4, encode(&["SET", "key", "value"])),
        (1, encode(&["GET", "big"])),
        (1, encode_bytes(&[b"SET", b"other", &[b'x'; 600_000]])),
    ] {
        let flood = Flood::start(&server, connections, &request);
        thread::sleep(Duration::from_millis(50));
        let longest = longest_ping(&server, 20);
        drop(flood);
        // Generous: the machine may be busy and the build has no optimisation. Starving takes seconds.
        assert!(longest < Duration::from_millis(400), "a PING took {longest:?}");
    }
    server.assert_healthy();
}

#[test]
fn slow_commands_in_a_pipeline_let_others_in() {
    let mut server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.roundtrip(&["SET", "log", ""], "+OK");
    // 300 ms in one write. A turn that ran them all would make the others wait for all.
    let mut sent = Vec::new();
    for index in 0..60 {
        sent.extend(encode(&["DEBUG", "SLEEP", "0.005"]));
        sent.extend(encode(&["APPEND", "log", &format!("{index},")]));
    }
    sent.extend(encode(&["GET", "log"]));
    sent.extend_from_slice(b"*x\r\n");
    client.send(&sent);
    let longest = longest_ping(&server, 5);
    assert!(longest < Duration::from_millis(150), "a PING took {longest:?}");
    let mut log = String::new();
    for index in 0..60 {
        log += &format!("{index},");
        client.expect("+OK");
        client.expect(&format!(":{}", log.len()));
    }
    client.expect(&log);
    client.expect("-ERR Protocol error: invalid multibulk length");
    client.expect_closed();
    server.assert_healthy();
}

#[test]
fn an_idle_server_uses_no_processor_time() {
    let server = Server::start(&[]);
    let clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    thread::sleep(Duration::from_millis(100));
    let before = server.cpu();
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu() - before;
    eprintln!("{used:?} of CPU in a second");
    assert!(used < Duration::from_millis(8), "{used:?}");
    drop(clients);
}
