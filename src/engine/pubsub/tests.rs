//! Topics against a naive model, and deliveries in slices.
use proptest::prelude::*;

use super::*;
use crate::base::glob::{Case, glob_match};
use crate::proto::reply::{Output, Resp};

fn pubsub() -> Pubsub {
    Pubsub::new(KeyHasher::new(1))
}

fn text(letter: &Letter, resp: Resp) -> String {
    let mut out = Output::default();
    letter.write_to(&mut out, resp);
    String::from_utf8_lossy(&out.to_bytes()).into_owned()
}

#[test]
fn letters_differ_by_protocol_in_their_first_byte() {
    let body = Body::new(b"news", Payload::Bytes(b"hello"));
    let by_channel = Letter { by: By::Channel, body: body.clone() };
    let wanted = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
    assert_eq!(text(&by_channel, Resp::V2), wanted);
    assert_eq!(text(&by_channel, Resp::V3), wanted.replace('*', ">"));
    let by_pattern = Letter { by: By::Pattern(Block::new(b"n*".to_vec())), body };
    assert_eq!(
        text(&by_pattern, Resp::V3),
        ">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
    );
}

#[test]
fn long_letters_are_shared() {
    for (len, is_received_as_block) in [(100, false), (100_000, false), (100_000, true)] {
        let payload = Block::new(vec![b'x'; len]);
        let body = match is_received_as_block {
            true => Body::new(b"c", Payload::Block(&payload)),
            false => Body::new(b"c", Payload::Bytes(&payload)),
        };
        let letter = Letter { by: By::Channel, body };
        let mut outs: Vec<Output> = (0..10).map(|_| Output::default()).collect();
        outs.iter_mut().for_each(|out| letter.write_to(out, Resp::V2));
        let copied: usize = outs.iter().map(|out| out.bytes().len()).sum();
        let wanted = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${len}\r\n{}\r\n", "x".repeat(len));
        assert!(outs.iter().all(|out| out.to_bytes() == wanted.as_bytes()));
        assert!(copied <= 10 * 500, "{len}: {copied} bytes were copied");
    }
}

#[test]
fn many_leave_in_slices_and_reach_nobody() {
    let mut pubsub = pubsub();
    for index in 0..1000u32 {
        let name = index.to_string();
        assert!(pubsub.subscribe(3, Kind::Channel, name.as_bytes()).unwrap());
    }
    pubsub.subscribe(5, Kind::Channel, b"7").unwrap();
    pubsub.leave(3);
    assert!(pubsub.is_leaving());
    // The slot's next client gets nothing that was meant for the one before.
    pubsub.subscribe(3, Kind::Channel, b"other").unwrap();
    pubsub.publish(Kind::Channel, b"7", Payload::Bytes(b"m"));
    let mut slots = Vec::new();
    while pubsub.next_batch(1, &mut slots).is_some() {}
    assert_eq!(slots, [5]);
    let mut slices = 0;
    while !pubsub.free_slice(100) {
        slices += 1;
    }
    assert!((9..=11).contains(&slices), "{slices}");
    assert_eq!(pubsub.topics(Kind::Channel), 2);
}

#[test]
fn a_prefix_leads_to_the_patterns_that_can_match() {
    let mut pubsub = pubsub();
    for index in 0..10_000 {
        let pattern = format!("user:{index}:*");
        pubsub.subscribe(1, Kind::Pattern, pattern.as_bytes()).unwrap();
    }
    for pattern in ["*", "user:77*", "[u]ser*", "user:77:x", "\\user:77:x"] {
        pubsub.subscribe(1, Kind::Pattern, pattern.as_bytes()).unwrap();
    }
    let mut visited = 0;
    let prefixes = pubsub.topics[Kind::Pattern as usize].prefixes_for_test();
    prefixes.visit(b"user:77:x", |_| visited += 1);
    assert_eq!(visited, 6);
    assert_eq!(pubsub.publish(Kind::Channel, b"user:77:x", Payload::Bytes(b"m")), 6);
}

const CLIENTS: usize = 4;
const NAMES: [&str; 6] = ["a", "ab", "abc", "b", "ba", ""];
const PATTERNS: [&str; 6] = ["*", "a*", "a?", "[ab]", "ab", "?b*"];

/// Everything at once, and everything in lists.
#[derive(Default)]
struct Model {
    listens: Vec<(usize, Kind, String)>,
    patterns: Vec<String>,
    got: [Vec<String>; CLIENTS],
}

impl Model {
    fn publish(&mut self, kind: Kind, channel: &str, payload: usize) -> usize {
        let by_name =
            self.listens.iter().filter(|(_, other, name)| (*other, &**name) == (kind, channel));
        let mut got: Vec<(usize, String)> = by_name
            .map(|(client, ..)| (*client, format!("{kind:?} {channel} {payload}")))
            .collect();
        for pattern in self.patterns.iter().filter(|_| kind == Kind::Channel) {
            if glob_match(pattern.as_bytes(), channel.as_bytes(), Case::Sensitive) {
                let of_pattern = self
                    .listens
                    .iter()
                    .filter(|(_, other, name)| (*other, name) == (Kind::Pattern, pattern));
                got.extend(
                    of_pattern
                        .map(|(client, ..)| (*client, format!("{pattern} {channel} {payload}"))),
                );
            }
        }
        let count = got.len();
        got.into_iter().for_each(|(client, message)| self.got[client].push(message));
        count
    }

    fn forget(&mut self) {
        let listens = &self.listens;
        let has = |name: &String| {
            listens.iter().any(|(_, kind, other)| *kind == Kind::Pattern && other == name)
        };
        self.patterns.retain(has);
    }
}

/// What a letter says, in the model's words.
fn words(letter: &Letter) -> String {
    let text = text(letter, Resp::V2);
    let parts: Vec<&str> = text.split("\r\n").collect();
    match &letter.by {
        By::Channel => format!("Channel {} {}", parts[4], parts[6]),
        By::Shard => format!("Shard {} {}", parts[4], parts[6]),
        By::Pattern(_) => format!("{} {} {}", parts[4], parts[6], parts[8]),
    }
}

proptest! {
    /// Whatever is delivered when, each client gets what it would have got at once, in that order.
    #[test]
    fn slices_cannot_be_told_from_at_once(
        steps in proptest::collection::vec((0u8..8, 0..CLIENTS, 0usize..18, 1usize..4), 1..120),
    ) {
        let mut pubsub = pubsub();
        let mut model = Model::default();
        let mut got: [Vec<String>; CLIENTS] = Default::default();
        for (index, (what, client, which, limit)) in steps.into_iter().enumerate() {
            let kind = KINDS[which % 3];
            let name = if kind == Kind::Pattern { PATTERNS[which / 3] } else { NAMES[which / 3] };
            let known = (client, kind, name.to_owned());
            if what <= 3 {
                // Something of its own runs.
                pubsub.catch_up(client, |letter| got[client].push(words(letter)));
                prop_assert_eq!(&got[client], &model.got[client]);
            }
            match what {
                0 | 1 => {
                    let is_new = !model.listens.contains(&known);
                    let told = pubsub.subscribe(client, kind, name.as_bytes()).unwrap();
                    prop_assert_eq!(told, is_new);
                    if is_new {
                        model.listens.push(known);
                        let is_known = model.patterns.iter().any(|other| other == name);
                        if kind == Kind::Pattern && !is_known {
                            model.patterns.push(name.to_owned());
                        }
                    }
                }
                2 => {
                    let was = model.listens.len();
                    model.listens.retain(|other| *other != known);
                    let told = pubsub.unsubscribe(client, kind, name.as_bytes());
                    prop_assert_eq!(told, model.listens.len() < was);
                    model.forget();
                }
                3 => {
                    pubsub.leave(client);
                    model.listens.retain(|(other, ..)| *other != client);
                    model.forget();
                }
                4 | 5 => {
                    let kind = if kind == Kind::Shard { kind } else { Kind::Channel };
                    let channel = NAMES[which / 3];
                    let text = index.to_string();
                    let payload = Payload::Bytes(text.as_bytes());
                    let count = pubsub.publish(kind, channel.as_bytes(), payload);
                    prop_assert_eq!(count, model.publish(kind, channel, index));
                }
                _ => {
                    let mut slots = Vec::new();
                    if let Some(letter) = pubsub.next_batch(limit, &mut slots) {
                        prop_assert!((1..=limit).contains(&slots.len()));
                        slots.iter().for_each(|&slot| got[slot].push(words(&letter)));
                    }
                }
            }
            for (client, mine) in got.iter().enumerate() {
                prop_assert!(model.got[client].starts_with(mine));
                let of = |kind| {
                    let listens = model.listens.iter();
                    listens.filter(move |other| (other.0, other.1) == (client, kind))
                };
                for kind in KINDS {
                    let names: Vec<&[u8]> =
                        pubsub.names_of(client, kind).map(|name| name.as_slice()).collect();
                    let wanted: Vec<&[u8]> = of(kind).map(|other| other.2.as_bytes()).collect();
                    prop_assert_eq!(names, wanted);
                    prop_assert_eq!(pubsub.summary(client).count(kind) as usize, of(kind).count());
                }
            }
        }
        let mut slots = Vec::new();
        while let Some(letter) = pubsub.next_batch(2, &mut slots) {
            slots.drain(..).for_each(|slot| got[slot].push(words(&letter)));
        }
        prop_assert_eq!(got, model.got);
        prop_assert_eq!(pubsub.backlog(), 0);
        for kind in KINDS {
            let topics: std::collections::BTreeSet<&String> = model
                .listens
                .iter()
                .filter_map(|(_, other, name)| (*other == kind).then_some(name))
                .collect();
            prop_assert_eq!(pubsub.topics(kind), topics.len());
        }
    }
}
