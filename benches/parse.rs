//! The request parser: requests of a pipeline, whole and cut in the middle.
#[allow(dead_code, reason = "every bench uses another part of it")]
mod common;

use common::{LIMITS, encode, key};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rufous::proto::request::{Parser, Step};
use std::hint::black_box;

const REQUESTS: usize = 64;

fn pipeline(words: impl Fn(u64) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..REQUESTS as u64 {
        let words = words(index);
        encode(&mut bytes, &words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    bytes
}

/// Parses all of `bytes`; requests and arguments found.
fn parse(bytes: &[u8], pieces: usize) -> (usize, usize) {
    let (mut parser, mut spans) = (Parser::default(), Vec::with_capacity(8));
    let (mut requests, mut arguments) = (0, 0);
    for piece in 1..=pieces {
        // The buffer grows as the pieces of it arrive.
        let arrived = &bytes[..bytes.len() * piece / pieces];
        while let Step::Request = parser.next(black_box(arrived), &mut spans, LIMITS) {
            requests += 1;
            arguments += spans.len();
            spans.clear();
        }
    }
    (requests, arguments)
}

fn bench(criterion: &mut Criterion) {
    let get = pipeline(|index| vec![b"GET".to_vec(), key(index)]);
    let set = pipeline(|index| vec![b"SET".to_vec(), key(index), vec![b'v'; 32]]);
    let wide = pipeline(|_| (0..100).map(key).collect());
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    for (name, bytes, arguments) in [("get", &get, 2), ("set", &set, 3), ("wide", &wide, 100)] {
        for (shape, pieces) in [("whole", 1), ("cut", 7)] {
            assert_eq!(parse(bytes, pieces), (REQUESTS, REQUESTS * arguments));
            group.bench_function(format!("{name}/{shape}"), |bencher| {
                bencher.iter(|| parse(bytes, pieces));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
