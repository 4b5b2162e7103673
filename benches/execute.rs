//! Whole commands in process: parse, look up, run, reply; everything but the sockets.
mod common;

use common::{Client, encode, key};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const KEYS: u64 = 100_000;
const REQUESTS: u64 = 64;

/// A pipeline over keys that lie far apart.
fn pipeline(words: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..REQUESTS {
        let words = words(&key(index * 1567 % KEYS));
        encode(&mut bytes, &words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    bytes
}

fn words(name: &str, rest: &[&[u8]]) -> Vec<Vec<u8>> {
    let name = name.split(' ').map(|word| word.as_bytes().to_vec());
    name.chain(rest.iter().map(|word| word.to_vec())).collect()
}

fn bench(criterion: &mut Criterion) {
    let mut client = Client::new();
    let value = [b'v'; 32];
    for index in 0..KEYS {
        let mut bytes = Vec::new();
        encode(&mut bytes, &[b"SET", &key(index), &value]);
        assert_eq!(client.run(&bytes), 1);
    }
    assert_eq!(client.output.to_bytes(), b"+OK\r\n".repeat(KEYS as usize));
    let bulk = [b"$32\r\n".as_slice(), &value, b"\r\n"].concat();
    let cases: [(&str, Vec<u8>, Vec<u8>); 6] = [
        ("ping", pipeline(|_| words("PING", &[])), b"+PONG\r\n".to_vec()),
        ("get", pipeline(|key| words("GET", &[key])), bulk),
        ("get_missing", pipeline(|key| words("GET", &[&key[1..]])), b"$-1\r\n".to_vec()),
        ("set", pipeline(|key| words("SET", &[key, &value])), b"+OK\r\n".to_vec()),
        ("strlen", pipeline(|key| words("STRLEN", &[key])), b":32\r\n".to_vec()),
        ("wrong_arity", pipeline(|_| words("STRLEN", &[])), arity_error()),
    ];
    let mut group = criterion.benchmark_group("execute");
    group.throughput(Throughput::Elements(REQUESTS));
    for (name, bytes, expected) in cases {
        client.output.clear();
        assert_eq!(client.run(&bytes), REQUESTS as usize);
        assert!(client.output.to_bytes() == expected.repeat(REQUESTS as usize), "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                client.output.clear();
                client.run(black_box(&bytes))
            });
        });
    }
    group.finish();
}

fn arity_error() -> Vec<u8> {
    b"-ERR wrong number of arguments for 'strlen' command\r\n".to_vec()
}

criterion_group!(benches, bench);
criterion_main!(benches);
