//! The encoder: the replies there are most of, in both protocol versions.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rufous::proto::reply::{Output, Reply, Resp};
use std::hint::black_box;

const REPLIES: usize = 64;

type Write = fn(&mut Reply<'_>);

const KINDS: &[(&str, Write, &[u8], &[u8])] = &[
    ("ok", |reply| reply.ok(), b"+OK\r\n", b"+OK\r\n"),
    ("null", |reply| reply.null(), b"$-1\r\n", b"_\r\n"),
    ("int", |reply| reply.int(black_box(123_456)), b":123456\r\n", b":123456\r\n"),
    (
        "bulk",
        |reply| reply.bulk(black_box(b"0123456789")),
        b"$10\r\n0123456789\r\n",
        b"$10\r\n0123456789\r\n",
    ),
    ("bulk_int", |reply| reply.bulk_int(black_box(-42)), b"$3\r\n-42\r\n", b"$3\r\n-42\r\n"),
    (
        "double",
        |reply| reply.double(black_box(0.1)),
        b"$19\r\n0.10000000000000001\r\n",
        b",0.10000000000000001\r\n",
    ),
];

fn write(output: &mut Output, resp: Resp, kind: Write) {
    output.clear();
    for _ in 0..REPLIES {
        kind(&mut Reply::new(output, resp));
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(REPLIES as u64));
    let mut output = Output::default();
    for (name, kind, in_resp2, in_resp3) in KINDS {
        for (version, resp, expected) in [(2, Resp::V2, in_resp2), (3, Resp::V3, in_resp3)] {
            write(&mut output, resp, *kind);
            assert!(output.to_bytes() == expected.repeat(REPLIES), "{name} in RESP{version}");
            group.bench_function(format!("{name}/resp{version}"), |bencher| {
                bencher.iter(|| {
                    write(&mut output, resp, *kind);
                    black_box(output.bytes().len())
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
