//! Messages to many: in slices, and yet for each client in the order of publishing.
use std::thread;

use crate::client::{Client, Reply, encode};
use crate::server::{Server, eventually};

const LISTENERS: usize = 400;
const MESSAGES: usize = 120;

/// The words of the next message or word about a subscription.
fn message(client: &mut Client) -> Vec<String> {
    match client.reply() {
        Reply::Array(parts) => parts.iter().map(Reply::text).collect(),
        other => vec![other.text()],
    }
}

fn subscribed(server: &Server, channel: &str) -> Client {
    let mut client = server.connect();
    client.command(&["SUBSCRIBE", channel]);
    assert_eq!(message(&mut client), ["subscribe", channel, ":1"]);
    client
}

#[test]
fn slices_keep_the_order() {
    let mut server = Server::start(&[]);
    let listeners: Vec<Client> = (0..LISTENERS).map(|_| subscribed(&server, "a")).collect();
    let mut publisher = server.connect();
    let (early, late) = publish(MESSAGES);
    publisher.send(&early);
    // Some stop listening in the middle of it: after the word about that, they get nothing more.
    let readers: Vec<_> = listeners
        .into_iter()
        .enumerate()
        .map(|(index, mut listener)| {
            if index % 10 == 0 {
                listener.command(&["UNSUBSCRIBE", "a"]);
                listener.command(&["PING"]);
            }
            thread::spawn(move || {
                let mut next = 0;
                loop {
                    let words = message(&mut listener);
                    if words[0] != "message" {
                        assert_eq!(words, ["unsubscribe", "a", ":0"]);
                        listener.expect("+PONG");
                        return next;
                    }
                    assert_eq!(words[2], next.to_string(), "of listener {index}");
                    next += 1;
                    if next == MESSAGES {
                        return next;
                    }
                }
            })
        })
        .collect();
    publisher.send(&late);
    for _ in 0..MESSAGES {
        let count: usize = publisher.reply().text()[1..].parse().unwrap();
        assert!((LISTENERS * 9 / 10..=LISTENERS).contains(&count), "{count}");
    }
    let mut complete = 0;
    for reader in readers {
        complete += usize::from(reader.join().expect("a listener is content") == MESSAGES);
    }
    assert!(complete >= LISTENERS * 9 / 10, "{complete}");
    server.assert_healthy();
}

/// So many messages, numbered, in two halves.
fn publish(count: usize) -> (Vec<u8>, Vec<u8>) {
    let half = |range: std::ops::Range<usize>| {
        range.flat_map(|number| encode(&["PUBLISH", "a", &number.to_string()])).collect()
    };
    (half(0..count / 2), half(count / 2..count))
}

#[test]
fn others_are_served_while_a_message_goes_out() {
    let mut server = Server::start(&[]);
    let mut listeners: Vec<Client> = (0..1000).map(|_| subscribed(&server, "a")).collect();
    let mut publisher = server.connect();
    let mut other = server.connect();
    // Nobody reads yet, so that what has gone out can be counted.
    let before = other.info("total_writes_processed").parse::<usize>().unwrap();
    // More than may be under way at once: who publishes waits for some of it.
    publisher.send(&publish(200).0);
    publisher.send(&encode(&["PING"]));
    (0..100).for_each(|_| publisher.expect(":1000"));
    publisher.expect("+PONG");
    let after = other.info("total_writes_processed").parse::<usize>().unwrap();
    assert!(after - before < 90_000, "all was written before anybody else was served");
    for number in 0..100 {
        for listener in &mut listeners {
            assert_eq!(message(listener), ["message", "a", &number.to_string()]);
        }
    }
    server.assert_healthy();
}

#[test]
fn who_does_not_read_is_cut_by_the_limit_of_its_class() {
    for (name, mut server) in Server::both(&[]) {
        let mut client = server.connect();
        let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 100kb 0 0"];
        client.roundtrip(&limit, "+OK");
        let deaf = subscribed(&server, "a");
        let text = "x".repeat(50_000);
        eventually("it to be cut", || {
            client.ask(&["PUBLISH", "a", &text]);
            client.ask(&["PUBSUB", "NUMSUB", "a"]).contains("\":0\"")
        });
        if name == "rufous" {
            // Redis counts them from 7.2 on.
            assert_eq!(client.info("client_output_buffer_limit_disconnections"), "1");
        }
        drop(deaf);
        // The same is no limit for replies.
        client.roundtrip(&["SET", "k", &"x".repeat(200_000)], "+OK");
        assert_eq!(client.ask(&["GET", "k"]).len(), 200_000);
        server.assert_healthy();
    }
}

#[test]
fn many_subscriptions_end_when_their_client_leaves() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut listener = server.connect();
    let names: Vec<String> = (0..30_000).map(|number| format!("channel-{number}")).collect();
    for command in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
        let words: Vec<&str> =
            [command].into_iter().chain(names.iter().map(String::as_str)).collect();
        listener.command(&words);
        for name in &names {
            assert_eq!(message(&mut listener)[1], *name);
        }
    }
    assert_eq!(client.info("pubsub_channels"), "30000");
    assert_eq!(client.info("pubsub_patterns"), "30000");
    assert_eq!(client.info("pubsubshard_channels"), "30000");
    let list = client.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert!(list.contains(" sub=30000 psub=30000 ssub=30000 "), "{list}");
    drop(listener);
    eventually("they end", || client.info("pubsub_channels") == "0");
    eventually("they end", || client.info("pubsub_patterns") == "0");
    eventually("they end", || client.info("pubsubshard_channels") == "0");
    server.assert_healthy();
}
