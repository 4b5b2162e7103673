//! Noise: random bytes, and streams that are nearly right. Nothing may end the server or stay in it.
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use crate::client::{Client, Dice, encode, encode_bytes};
use crate::server::{Server, eventually};

/// How many bytes of noise: a few MiB, or 1 GiB with `RUFOUS_LONG=1`.
fn bytes_wanted() -> usize {
    let is_long = std::env::var("RUFOUS_LONG").is_ok_and(|value| value == "1");
    if is_long { 1 << 30 } else { 4 << 20 }
}

/// Sends `bytes` and takes what comes, until either side has enough.
fn throw(mut client: Client, bytes: &[u8]) {
    let mut reader = client.stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut replies = [0; 64 * 1024];
        while reader.read(&mut replies).is_ok_and(|len| len > 0) {}
    });
    let _ = client.stream.write_all(bytes);
    let _ = client.stream.shutdown(Shutdown::Write);
    reading.join().unwrap();
    let _ = client.stream.flush();
}

/// Commands that leave the server as it is: no SHUTDOWN, no CONFIG SET, no CLIENT PAUSE by accident.
const SAFE: &[&str] = &[
    "--rename-command",
    "shutdown",
    "",
    "--rename-command",
    "config",
    "",
    "--rename-command",
    "debug",
    "",
];

fn expect_memory_back(server: &Server, before: usize) {
    let mut client = server.connect();
    client.ask(&["FLUSHALL"]);
    eventually("all to have left", || client.info("connected_clients") == "1");
    client.ask(&["MEMORY", "PURGE"]);
    let bound = before + before / 10 + (1 << 20);
    eventually("memory to be back", || server.resident_bytes() <= bound);
}

#[test]
fn random_bytes() {
    let mut server = Server::start(SAFE);
    let mut dice = Dice(11);
    let mut before = 0;
    let mut thrown = 0;
    let mut round = 0;
    while thrown < bytes_wanted() {
        let mut bytes = match round % 4 {
            0 => 64 * 1024 + dice.below(64 * 1024),
            1 => dice.below(300),
            _ => dice.below(32 * 1024),
        };
        bytes = bytes.max(1);
        let mut noise = dice.bytes(bytes);
        match round % 3 {
            0 => {}
            // Mostly the bytes a parser looks at.
            1 => noise
                .iter_mut()
                .for_each(|byte| *byte = b"*$\r\n0123 -\"'\\xping\r\n"[*byte as usize % 20]),
            _ => noise.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26),
        }
        throw(server.connect(), &noise);
        thrown += bytes;
        round += 1;
        if round == 40 {
            // What the first rounds touched stays.
            server.connect().ask(&["MEMORY", "PURGE"]);
            before = server.resident_bytes();
        }
    }
    expect_memory_back(&server, before);
    server.assert_healthy();
}

/// A stream of commands of all kinds, some big.
fn valid_stream(dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..40 {
        let len = match dice.below(12) {
            0 => 30_000 + dice.below(5000),
            1 => 70_000,
            _ => dice.below(40),
        };
        let value = dice.bytes(len);
        let key = format!("key:{}", dice.below(5));
        match dice.below(9) {
            0 => out.extend(encode(&["GET", &key])),
            1 => out.extend(encode_bytes(&[b"APPEND", key.as_bytes(), &value])),
            2 => out.extend(encode(&["MGET", &key, "key:0", "key:1"])),
            3 => out.extend_from_slice(b"ECHO \"in\\x20line\"\r\n"),
            4 => out.extend(encode(&["SETRANGE", &key, "100", "abc"])),
            5 => out.extend(encode(&["GETRANGE", &key, "1", "-2"])),
            6 => out.extend(encode(&["DEL", &key])),
            7 => out.extend(encode(&["CLIENT", "LIST"])),
            _ => out.extend(encode_bytes(&[b"SET", key.as_bytes(), &value])),
        }
    }
    out
}

#[test]
fn valid_streams_with_faults() {
    let mut server = Server::start(SAFE);
    let mut dice = Dice(12);
    let mut before = 0;
    let mut thrown = 0;
    let mut round = 0;
    while thrown < bytes_wanted() {
        let mut stream = valid_stream(&mut dice);
        for _ in 0..dice.below(4) {
            let at = dice.below(stream.len());
            match dice.below(5) {
                0 => stream[at] = dice.next() as u8,
                1 => stream[at] ^= 1 << dice.below(8),
                2 => stream.truncate(at + 1),
                3 => {
                    let end = (at + dice.below(20)).min(stream.len());
                    stream.drain(at..end);
                }
                _ => {
                    let piece = stream[at..(at + dice.below(50)).min(stream.len())].to_vec();
                    stream.splice(at..at, piece);
                }
            }
            if stream.is_empty() {
                stream.push(b'*');
            }
        }
        throw(server.connect(), &stream);
        thrown += stream.len();
        round += 1;
        if round == 20 {
            server.connect().ask(&["FLUSHALL"]);
            server.connect().ask(&["MEMORY", "PURGE"]);
            before = server.resident_bytes();
        }
    }
    expect_memory_back(&server, before);
    server.assert_healthy();
}

#[test]
fn many_half_requests_at_once() {
    let mut server = Server::start(&[]);
    let mut resident = Vec::new();
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
        for client in &mut clients {
            let stream = valid_stream(&mut dice);
            client.send(&stream[..dice.below(stream.len()).min(100_000)]);
        }
        thread::sleep(Duration::from_millis(50));
        server.connect().roundtrip(&["PING"], "+PONG");
        drop(clients);
        let mut client = server.connect();
        eventually("all to have left", || client.info("connected_clients") == "1");
        client.ask(&["FLUSHALL"]);
        client.ask(&["MEMORY", "PURGE"]);
        resident.push(server.resident_bytes());
    }
    assert!(resident[3] < resident[0] + (2 << 20), "{resident:?}");
    server.assert_healthy();
}
