//! Big values: those near the sizes where they start to travel by reference, and those far above.
use std::thread;
use std::time::Duration;

use crate::client::{Dice, encode, encode_bytes};
use crate::server::Server;

const MIB: usize = 1 << 20;

#[test]
fn sizes_around_the_thresholds() {
    for (_, server) in Server::both(&[]) {
        let mut client = server.connect();
        let mut dice = Dice(1);
        for threshold in [16 * 1024, 32 * 1024, 64 * 1024, 128 * 1024, 256 * 1024] {
            let mut sent = Vec::new();
            let mut values = Vec::new();
            for len in threshold - 3..=threshold + 3 {
                let value = dice.bytes(len);
                sent.extend(encode_bytes(&[b"SET", b"key", &value]));
                sent.extend(encode(&["GET", "key"]));
                sent.extend(encode(&["ECHO", "small"]));
                sent.extend_from_slice(b"PING\r\n");
                values.push(value);
            }
            let mut writer = client.stream.try_clone().unwrap();
            let sending =
                thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
            for value in &values {
                client.expect("+OK");
                client.expect_bulk(value);
                client.expect("small");
                client.expect("+PONG");
            }
            sending.join().unwrap();
        }
    }
}

#[test]
fn several_big_arguments_in_one_request() {
    for (_, server) in Server::both(&[]) {
        let mut client = server.connect();
        let mut dice = Dice(2);
        for round in 0..4 {
            let sizes = [40 << 10, MIB, 100, 32 << 10, 300 << 10, 0, (32 << 10) - 1];
            let values: Vec<Vec<u8>> = sizes.iter().map(|&len| dice.bytes(len + round)).collect();
            let keys: Vec<String> = (0..values.len()).map(|n| format!("key:{n}")).collect();
            let mut parts: Vec<&[u8]> = vec![b"MSET"];
            for (key, value) in keys.iter().zip(&values) {
                parts.extend([key.as_bytes(), value]);
            }
            let mut sent = encode_bytes(&parts);
            let mut get = vec!["MGET"];
            get.extend(keys.iter().map(String::as_str));
            sent.extend(encode(&get));
            // The same again behind it, small requests in between.
            sent.extend(encode(&["STRLEN", "key:1"]));
            sent.extend(encode_bytes(&parts));
            sent.extend(encode(&["GETRANGE", "key:0", "0", "2"]));
            let mut writer = client.stream.try_clone().unwrap();
            let sending =
                thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
            client.expect("+OK");
            let crate::client::Reply::Array(found) = client.reply() else { panic!("no array") };
            for (reply, value) in found.iter().zip(&values) {
                assert!(reply == &crate::client::Reply::Bulk(value.clone()));
            }
            client.expect(&format!(":{}", MIB + round));
            client.expect("+OK");
            client.expect_bulk(&values[0][..3]);
            sending.join().unwrap();
        }
    }
}

#[test]
fn sixty_four_mib_in_and_out() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.roundtrip(&["PING"], "+PONG");
    let before = server.resident_bytes();
    let value = Dice(3).bytes(64 * MIB);
    client.send(&encode_bytes(&[b"SET", b"big", &value]));
    client.send(b"PING\r\n");
    client.expect("+OK");
    client.expect("+PONG");
    // It came straight into its block: nothing of its size besides.
    let with_value = server.resident_bytes() - before;
    assert!(with_value < 72 * MIB, "{with_value} bytes for a value of 64 MiB");
    client.command(&["GET", "big"]);
    client.command(&["ECHO", "after"]);
    client.expect_bulk(&value);
    client.expect("after");
    client.roundtrip(&["DEL", "big"], ":1");
    server.assert_healthy();
    let after = server.resident_bytes();
    assert!(after < before + 4 * MIB, "{before} bytes before, {after} after");
}

#[test]
fn a_slow_reader_gets_the_value_it_asked_for() {
    for (_, mut server) in Server::both(&[]) {
        let (old, new) = (Dice(4).bytes(8 * MIB), Dice(5).bytes(8 * MIB));
        let mut writer = server.connect();
        writer.send(&encode_bytes(&[b"SET", b"key", &old]));
        writer.expect("+OK");
        let mut reader = server.connect();
        for _ in 0..3 {
            reader.command(&["GET", "key"]);
        }
        reader.command(&["STRLEN", "key"]);
        thread::sleep(Duration::from_millis(50));
        // The replies are under way, most of them still in the server.
        writer.send(&encode_bytes(&[b"SET", b"key", &new]));
        writer.expect("+OK");
        writer.roundtrip(&["SETRANGE", "key", "5", "zzz"], &format!(":{}", 8 * MIB));
        writer.roundtrip(&["APPEND", "key", "x"], &format!(":{}", 8 * MIB + 1));
        writer.roundtrip(&["DEL", "key"], ":1");
        server.assert_idle();
        for _ in 0..3 {
            reader.expect_bulk(&old);
        }
        reader.expect(&format!(":{}", 8 * MIB));
        server.assert_healthy();
    }
}

#[test]
fn values_edited_in_place_while_they_leave() {
    let server = Server::start(&[]);
    let value = Dice(6).bytes(8 * MIB);
    let mut writer = server.connect();
    let mut reader = server.connect();
    for edit in [
        &["SETRANGE", "key", "100", "zzz"][..],
        &["SETBIT", "key", "7", "1"],
        &["APPEND", "key", "tail"],
    ] {
        writer.send(&encode_bytes(&[b"SET", b"key", &value]));
        writer.expect("+OK");
        reader.command(&["GET", "key"]);
        reader.command(&["GET", "key"]);
        thread::sleep(Duration::from_millis(20));
        writer.command(edit);
        writer.reply();
        reader.expect_bulk(&value);
        reader.expect_bulk(&value);
    }
}

#[test]
fn pipelines_of_small_and_big_in_random_pieces() {
    for (_, server) in Server::both(&[]) {
        for seed in 0..4 {
            let mut dice = Dice(100 + seed);
            let mut sent = Vec::new();
            let mut values = Vec::new();
            for _ in 0..120 {
                let len = match dice.below(4) {
                    0 => dice.below(200),
                    1 => dice.below(20_000),
                    2 => 32_000 + dice.below(2_000),
                    _ => dice.below(200_000),
                };
                let value = dice.bytes(len);
                sent.extend(encode_bytes(&[b"SET", b"key", &value]));
                sent.extend(encode(&["GET", "key"]));
                values.push(value);
            }
            let mut client = server.connect();
            let mut writer = client.stream.try_clone().unwrap();
            let sending = thread::spawn(move || {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let most = [10, 3000, 100_000][dice.below(3)];
                    let (piece, tail) = rest.split_at((1 + dice.below(most)).min(rest.len()));
                    std::io::Write::write_all(&mut writer, piece).unwrap();
                    rest = tail;
                    if dice.below(50) == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            for value in &values {
                client.expect("+OK");
                client.expect_bulk(value);
            }
            sending.join().unwrap();
        }
    }
}

#[test]
fn many_big_replies_hold_no_copies() {
    let mut server = Server::start(&[]);
    let value = Dice(8).bytes(MIB);
    let mut client = server.connect();
    client.send(&encode_bytes(&[b"SET", b"key", &value]));
    client.expect("+OK");
    let before = server.resident_bytes();
    for _ in 0..200 {
        client.command(&["GET", "key"]);
    }
    thread::sleep(Duration::from_millis(100));
    let held = server.resident_bytes().saturating_sub(before);
    assert!(held < 8 * MIB, "{held} bytes hold replies of 200 MiB");
    for _ in 0..200 {
        client.expect_bulk(&value);
    }
    server.assert_healthy();
}

#[test]
fn a_reader_always_a_little_behind_costs_nothing() {
    // Never an empty output, but never a long one: what has left must be given up.
    let mut server = Server::start(&[]);
    let small = Dice(9).bytes(10_000);
    let mut client = server.connect();
    client.send(&encode_bytes(&[b"SET", b"key", &small]));
    client.expect("+OK");
    let request = encode(&["GET", "key"]);
    let ahead = 1200;
    client.send(&request.repeat(ahead));
    let before = server.resident_bytes();
    for _ in 0..200 {
        client.send(&request.repeat(100));
        for _ in 0..100 {
            client.expect_bulk(&small);
        }
    }
    let after = server.resident_bytes();
    assert!(after < before + 40 * MIB, "{before} bytes before, {after} after");
    for _ in 0..ahead {
        client.expect_bulk(&small);
    }
    server.assert_healthy();
}
