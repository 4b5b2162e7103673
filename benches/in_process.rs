//! GET in process against GET over the network: the same million keys, the same random order, the same core's work.
//!
//! `cargo bench --bench in_process` prints requests per second for each, and the ratio. The network's is that of a
//! server in this process, asked by one thread over eight connections with 64 requests per write; its replies are
//! compared by length, those of the engine by content, before anything is timed. `get_many` has as many keys per
//! call as the network has requests on their way, 512.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and may panic")]
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rufous::base::random::Random;
use rufous::{Address, Engine, Server};

const KEYS: u64 = 1_000_000;
const VALUE: [u8; 32] = [b'v'; 32];
/// Length of the reply to one GET.
const REPLY_BYTES: usize = 39;
const PIPELINE: usize = 64;
const CONNECTIONS: usize = 8;
/// Requests whose keys are made before the clock runs.
const BATCH: usize = 1 << 16;
const ROUNDS: usize = 5;

fn key(index: u64) -> Vec<u8> {
    format!("key:{index:012}").into_bytes()
}

fn random_keys(random: &mut Random) -> Vec<Vec<u8>> {
    (0..BATCH).map(|_| key(random.below(KEYS))).collect()
}

/// The best of some rounds, in requests per second; `work` does `BATCH` requests.
fn best(mut work: impl FnMut() -> Duration) -> f64 {
    let fastest = (0..ROUNDS * 8).map(|_| work()).min().unwrap();
    BATCH as f64 / fastest.as_secs_f64()
}

fn one_by_one(engine: &mut Engine, random: &mut Random) -> f64 {
    best(|| {
        let keys = random_keys(random);
        let started = Instant::now();
        for key in &keys {
            black_box(engine.get(key).unwrap());
        }
        started.elapsed()
    })
}

fn many(engine: &mut Engine, random: &mut Random) -> f64 {
    best(|| {
        let keys = random_keys(random);
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let started = Instant::now();
        for keys in keys.chunks(PIPELINE * CONNECTIONS) {
            let take = |_: usize, value: Option<&[u8]>| {
                black_box(value);
            };
            engine.get_many(keys, take).unwrap();
        }
        started.elapsed()
    })
}

fn executed(engine: &mut Engine, random: &mut Random) -> f64 {
    best(|| {
        let keys = random_keys(random);
        let started = Instant::now();
        for key in &keys {
            black_box(engine.execute(&[b"GET", key]));
        }
        started.elapsed()
    })
}

fn over_network(address: &Address, random: &mut Random) -> f64 {
    let Address::Tcp(address) = address else { panic!("a TCP address was asked for") };
    let mut connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut replies = vec![0; REPLY_BYTES * PIPELINE];
    best(|| {
        let keys = random_keys(random);
        let mut pipelines = Vec::new();
        for keys in keys.chunks(PIPELINE) {
            let mut requests = Vec::new();
            for key in keys {
                requests.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                requests.extend_from_slice(key);
                requests.extend_from_slice(b"\r\n");
            }
            pipelines.push(requests);
        }
        let started = Instant::now();
        for group in pipelines.chunks(CONNECTIONS) {
            for (connection, requests) in connections.iter_mut().zip(group) {
                connection.write_all(requests).unwrap();
            }
            for (connection, _) in connections.iter_mut().zip(group) {
                connection.read_exact(&mut replies).unwrap();
            }
        }
        started.elapsed()
    })
}

fn main() {
    let mut random = Random::from_seed(1);
    let mut engine = Engine::new();
    let server = Server::builder().spawn().unwrap();
    let mut client = server.connect().unwrap();
    for start in (0..KEYS).step_by(1000) {
        let mut pipeline = client.pipeline();
        for index in start..start + 1000 {
            engine.set(&key(index), &VALUE, None).unwrap();
            pipeline = pipeline.command(&[b"SET".as_slice(), &key(index), &VALUE]);
        }
        assert_eq!(pipeline.run().unwrap().len(), 1000);
    }
    for _ in 0..1000 {
        let key = key(random.below(KEYS));
        assert_eq!(engine.get(&key).unwrap().as_deref(), Some(&VALUE[..]));
        assert_eq!(client.get(&key).unwrap().as_deref(), Some(&VALUE[..]));
    }
    let network = over_network(&server.addresses()[0], &mut random);
    println!("network, pipeline of {PIPELINE}: {network:>12.0} GET/s");
    for (name, rate) in [
        ("Engine::execute", executed(&mut engine, &mut random)),
        ("Engine::get", one_by_one(&mut engine, &mut random)),
        ("Engine::get_many", many(&mut engine, &mut random)),
    ] {
        println!("{name:<16}        : {rate:>12.0} GET/s, {:.1} x", rate / network);
    }
}
