//! Requests in any pieces: what is parsed must not depend on how it arrives.
use std::thread;
use std::time::Duration;

use crate::client::{Dice, encode, encode_bulk, encode_bytes};
use crate::server::Server;

/// A pipeline of all shapes of requests, and what comes back.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let mut dice = Dice(7);
    let (mut sent, mut replies) = (Vec::new(), Vec::new());
    for (index, len) in [0, 1, 9, 10, 99, 100, 1000, 5000].into_iter().enumerate() {
        let value = dice.bytes(len);
        let key = format!("key:{index}");
        sent.extend(encode_bytes(&[b"SET", key.as_bytes(), &value]));
        replies.extend_from_slice(b"+OK\r\n");
        sent.extend(encode(&["get", &key]));
        replies.extend(encode_bulk(&value));
        sent.extend_from_slice(b"*0\r\n*-1\r\n\r\n\n");
        sent.extend_from_slice(format!("EXISTS  {key} \"no\\x20ne\"\r\n").as_bytes());
        replies.extend_from_slice(b":1\r\n");
        sent.extend_from_slice(b"ping\n");
        replies.extend_from_slice(b"+PONG\r\n");
        sent.extend(encode(&["nonsense", "a"]));
        replies.extend_from_slice(
            b"-ERR unknown command 'nonsense', with args beginning with: 'a' \r\n",
        );
    }
    sent.extend_from_slice(b"QUIT\r\n");
    replies.extend_from_slice(b"+OK\r\n");
    (sent, replies)
}

fn assert_same(name: &str, got: &[u8], expected: &[u8]) {
    if got != expected {
        let at = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
        panic!(
            "{name}: differ at {at} of {} ({}): {} instead of {}",
            expected.len(),
            got.len(),
            got[at..got.len().min(at + 60)].escape_ascii(),
            expected[at..expected.len().min(at + 60)].escape_ascii()
        );
    }
}

#[test]
fn byte_by_byte() {
    for (name, server) in Server::both(&[]) {
        let (sent, replies) = conversation();
        let mut client = server.connect();
        for byte in &sent {
            client.send(std::slice::from_ref(byte));
        }
        assert_same(name, &client.read_all(), &replies);
    }
}

#[test]
fn random_cuts() {
    for (name, server) in Server::both(&[]) {
        let (sent, replies) = conversation();
        for seed in 0..60 {
            let mut dice = Dice(seed);
            let mut client = server.connect();
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let most = if dice.below(2) == 0 { 8 } else { 3000 };
                let (piece, tail) = rest.split_at((1 + dice.below(most)).min(rest.len()));
                client.send(piece);
                rest = tail;
                if dice.below(8) == 0 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
            assert_same(name, &client.read_all(), &replies);
        }
    }
}

#[test]
fn cut_at_every_place() {
    // A pause at the cut, so that the server certainly sees two reads; a small conversation, so that it is quick.
    let server = Server::start(&[]);
    let mut sent = encode(&["SET", "k", "0123456789ab"]);
    sent.extend_from_slice(b"*0\r\nget k\r\n");
    sent.extend(encode(&["GET", "k"]));
    let expected = b"+OK\r\n$12\r\n0123456789ab\r\n$12\r\n0123456789ab\r\n";
    let mut clients: Vec<_> = (0..=sent.len()).map(|_| server.connect()).collect();
    for (cut, client) in clients.iter_mut().enumerate() {
        client.send(&sent[..cut]);
    }
    thread::sleep(Duration::from_millis(50));
    for (cut, client) in clients.iter_mut().enumerate() {
        client.send(&sent[cut..]);
        client.shut_write();
        assert_same(&format!("cut at {cut}"), &client.read_all(), expected);
    }
}

#[test]
fn huge_pipeline_read_late() {
    const COMMANDS: usize = 100_000;
    for (_, mut server) in Server::both(&[]) {
        let mut client = server.connect();
        client.roundtrip(&["SET", "key", "value"], "+OK");
        let mut sent = Vec::new();
        for index in 0..COMMANDS {
            let text = index.to_string();
            match index % 3 {
                0 => sent.extend(encode(&["ECHO", &text])),
                1 => sent.extend(encode(&["GET", "key"])),
                _ => sent.extend_from_slice(format!("echo {text}\r\n").as_bytes()),
            }
        }
        let mut writer = client.stream.try_clone().unwrap();
        let sending = thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
        sending.join().unwrap();
        thread::sleep(Duration::from_millis(100));
        for index in 0..COMMANDS {
            match index % 3 {
                1 => client.expect("value"),
                _ => client.expect(&index.to_string()),
            }
        }
        client.roundtrip(&["PING"], "+PONG");
        server.assert_healthy();
    }
}

#[test]
fn a_nul_in_an_inline_request_is_refused() {
    // Redis looks for the line end with strchr: the NUL hides it, and the client waits for ever.
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send(b"PING\r\nSET key a\0b\r\nPING\r\n");
    client.expect("+PONG");
    client.expect("-ERR Protocol error: NUL byte in inline request");
    client.expect_closed();
    let mut client = server.connect();
    client.send(b"*1\0\r\n");
    client.expect("-ERR Protocol error: invalid multibulk length");
    client.expect_closed();
    server.connect().roundtrip(&["EXISTS", "key"], ":0");
    server.assert_healthy();
}
