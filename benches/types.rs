//! The types of values, by whole commands in process: what a pipeline of each costs, small and big.
//!
//! A pipeline leaves its value as it found it, so that each round does the same; before it is measured its replies are
//! compared with what a list, a map or a sum of std says they are. Big is [`BIG`] elements: beyond every packed form,
//! within the cache. `cargo bench --bench types -- hash` runs one type.
mod common;

use std::hint::black_box;

use common::{Client, encode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Elements of a big collection.
const BIG: usize = 10_000;
/// Elements of a small one.
const SMALL: usize = 10;
/// Pairs of commands, or single ones, of a pipeline.
const TIMES: usize = 32;
/// Elements that a range takes.
const RANGE: usize = 100;

/// Commands and the replies they have to get.
#[derive(Default)]
struct Case {
    requests: Vec<u8>,
    replies: Vec<u8>,
    count: usize,
}

impl Case {
    /// One more command, its words apart by blanks, and its reply as RESP.
    fn add(&mut self, command: &str, reply: &str) {
        encode(&mut self.requests, &command.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        self.replies.extend_from_slice(reply.as_bytes());
        self.count += 1;
    }
}

/// A case of these pairs, for indexes that lie far apart in a big collection.
fn case(pairs: impl Fn(usize) -> Vec<(String, String)>) -> Case {
    let mut case = Case::default();
    for index in 0..TIMES {
        pairs(index * 1567 % BIG).iter().for_each(|(command, reply)| case.add(command, reply));
    }
    case
}

/// A case of one command, as often.
fn same(command: &str, reply: &str) -> Case {
    case(|_| vec![(command.to_owned(), reply.to_owned())])
}

fn int(number: usize) -> String {
    format!(":{number}\r\n")
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(items: &[String]) -> String {
    format!("*{}\r\n{}", items.len(), items.concat())
}

/// Element number `index`, of 16 bytes.
fn element(index: usize) -> String {
    format!("element:{index:08}")
}

/// Where a permutation of the indexes puts this one.
fn mixed(index: usize) -> usize {
    index * 7919 % BIG
}

/// A client, and the group of measurements of one type.
struct Bench<'c> {
    client: Client,
    group: criterion::BenchmarkGroup<'c, criterion::measurement::WallTime>,
}

impl<'c> Bench<'c> {
    fn new(criterion: &'c mut Criterion, name: &str) -> Bench<'c> {
        Bench { client: Client::new(), group: criterion.benchmark_group(name) }
    }

    /// Runs commands that prepare; `Err`s show.
    fn fill(&mut self, commands: impl IntoIterator<Item = String>) {
        let mut case = Case::default();
        commands.into_iter().for_each(|command| case.add(&command, ""));
        self.client.output.clear();
        assert_eq!(self.client.run(&case.requests), case.count);
        let replies = [b"\n".to_vec(), self.client.output.to_bytes()].concat();
        assert!(!replies.windows(2).any(|pair| pair == b"\n-"), "an error while filling");
    }

    /// The reply to one command.
    fn ask(&mut self, command: &str) -> String {
        let mut case = Case::default();
        case.add(command, "");
        self.client.output.clear();
        assert_eq!(self.client.run(&case.requests), 1);
        String::from_utf8(self.client.output.to_bytes()).expect("text")
    }

    /// Checks a case twice over, so that it leaves what it found, and measures it.
    fn measure(&mut self, name: &str, case: &Case) {
        let Bench { client, group } = self;
        for _ in 0..2 {
            client.output.clear();
            assert_eq!(client.run(&case.requests), case.count);
            let replies = client.output.to_bytes();
            let shown = |bytes: &[u8]| bytes[..bytes.len().min(300)].escape_ascii().to_string();
            assert!(replies == case.replies, "{name}: {}", shown(&replies));
        }
        group.throughput(Throughput::Elements(case.count as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                client.output.clear();
                client.run(black_box(&case.requests))
            });
        });
    }
}

fn lists(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "list");
    bench.fill((0..BIG).map(|index| format!("RPUSH big {}", element(index))));
    bench.fill((0..SMALL).map(|index| format!("RPUSH small {}", element(index))));
    for (key, len) in [("big", BIG), ("small", SMALL)] {
        for side in ['L', 'R'] {
            let pair = |_| {
                let (push, pop) = (format!("{side}PUSH {key} new"), format!("{side}POP {key}"));
                vec![(push, int(len + 1)), (pop, bulk("new"))]
            };
            bench.measure(&format!("{side}PUSH+{side}POP {key}"), &case(pair));
        }
        let index = |index| (format!("LINDEX {key} {}", index % len), bulk(&element(index % len)));
        bench.measure(&format!("LINDEX {key}"), &case(|at| vec![index(at)]));
        let set = |at| {
            let command = format!("LSET {key} {} {}", at % len, element(at % len));
            vec![(command, "+OK\r\n".to_owned())]
        };
        bench.measure(&format!("LSET {key}"), &case(set));
    }
    let items: Vec<String> = (BIG / 2..BIG / 2 + RANGE).map(|at| bulk(&element(at))).collect();
    let range = format!("LRANGE big {} {}", BIG / 2, BIG / 2 + RANGE - 1);
    bench.measure("LRANGE of 100", &same(&range, &array(&items)));
    let position = format!("LPOS big {}", element(1000));
    bench.measure("LPOS at 1000", &same(&position, &int(1000)));
}

fn hashes(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "hash");
    for (key, len) in [("big", BIG), ("small", SMALL)] {
        bench.fill((0..len).map(|at| format!("HSET {key} {} {at}", element(at))));
        let name = |what: &str| format!("{what} {key}");
        let get =
            |at| (format!("HGET {key} {}", element(at % len)), bulk(&format!("{}", at % len)));
        bench.measure(&name("HGET"), &case(|at| vec![get(at)]));
        let set = |at: usize| {
            let (field, value) = (element(at % len), at % len);
            vec![(format!("HSET {key} {field} {value}"), int(0))]
        };
        bench.measure(&name("HSET of a field"), &case(set));
        let add = |_| {
            let (set, del) = (format!("HSET {key} new value"), format!("HDEL {key} new"));
            vec![(set, int(1)), (del, int(1))]
        };
        bench.measure(&name("HSET+HDEL"), &case(add));
        let count = |at: usize| {
            let (field, value) = (element(at % len), at % len);
            let (up, down) =
                (format!("HINCRBY {key} {field} 1"), format!("HINCRBY {key} {field} -1"));
            vec![(up, int(value + 1)), (down, int(value))]
        };
        bench.measure(&name("HINCRBY"), &case(count));
    }
    let all = (0..SMALL).flat_map(|at| [bulk(&element(at)), bulk(&at.to_string())]);
    bench.measure("HGETALL small", &same("HGETALL small", &array(&all.collect::<Vec<_>>())));
}

fn sets(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "set");
    for (key, len) in [("big", BIG), ("small", SMALL)] {
        bench.fill((0..len).map(|at| format!("SADD {key} {}", element(at))));
        bench.fill((0..len).map(|at| format!("SADD numbers_{key} {}", at * 3)));
        for (key, member) in
            [(key.to_owned(), element as fn(usize) -> String), (format!("numbers_{key}"), triple)]
        {
            let has = |at: usize| {
                let hit = format!("SISMEMBER {key} {}", member(at % len));
                vec![(hit, int(1)), (format!("SISMEMBER {key} none"), int(0))]
            };
            bench.measure(&format!("SISMEMBER {key}"), &case(has));
            let again = |at: usize| {
                let member = member(at % len);
                let (gone, back) = (format!("SREM {key} {member}"), format!("SADD {key} {member}"));
                vec![(gone, int(1)), (back, int(1))]
            };
            bench.measure(&format!("SREM+SADD {key}"), &case(again));
        }
    }
    bench.fill((BIG - RANGE..2 * BIG).map(|at| format!("SADD other {}", element(at))));
    bench.measure("SINTERCARD of 10000", &same("SINTERCARD 2 big other", &int(RANGE)));
}

fn triple(index: usize) -> String {
    (index * 3).to_string()
}

fn sorted_sets(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "zset");
    // Scores are the ranks, in another order than the names.
    for (key, len) in [("big", BIG), ("small", SMALL)] {
        bench.fill((0..len).map(|at| format!("ZADD {key} {} {}", mixed(at) % len, element(at))));
        let score = |at: usize| mixed(at % len) % len;
        let read = |name: &str, reply: fn(usize) -> String| {
            case(|at| {
                let command = format!("{name} {key} {}", element(at % len));
                vec![(command, reply(score(at)))]
            })
        };
        bench.measure(&format!("ZSCORE {key}"), &read("ZSCORE", |at| bulk(&at.to_string())));
        bench.measure(&format!("ZRANK {key}"), &read("ZRANK", int));
        let again = |at: usize| {
            let member = element(at % len);
            let back = format!("ZADD {key} {} {member}", score(at));
            vec![(format!("ZREM {key} {member}"), int(1)), (back, int(1))]
        };
        bench.measure(&format!("ZREM+ZADD {key}"), &case(again));
        let count = |at: usize| {
            let (member, score) = (element(at % len), score(at));
            let (up, down) =
                (format!("ZINCRBY {key} 500 {member}"), format!("ZINCRBY {key} -500 {member}"));
            vec![(up, bulk(&(score + 500).to_string())), (down, bulk(&score.to_string()))]
        };
        bench.measure(&format!("ZINCRBY {key}"), &case(count));
    }
    let mut by_rank: Vec<(usize, String)> = (0..BIG).map(|at| (mixed(at), element(at))).collect();
    by_rank.sort();
    let middle = &by_rank[BIG / 2..BIG / 2 + RANGE];
    let (first, last) = (BIG / 2, BIG / 2 + RANGE - 1);
    let names: Vec<String> = middle.iter().map(|(_, name)| bulk(name)).collect();
    bench.measure("ZRANGE of 100", &same(&format!("ZRANGE big {first} {last}"), &array(&names)));
    let range = format!("ZRANGEBYSCORE big {first} {last}");
    bench.measure("ZRANGEBYSCORE of 100", &same(&range, &array(&names)));
    let pop = |_| {
        let (score, name) = &by_rank[0];
        let popped = array(&[bulk(name), bulk(&score.to_string())]);
        vec![("ZPOPMIN big".to_owned(), popped), (format!("ZADD big {score} {name}"), int(1))]
    };
    bench.measure("ZPOPMIN+ZADD big", &case(pop));
}

fn streams(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "stream");
    bench.fill((0..BIG).map(|at| format!("XADD big {}-1 field {}", at + 1, element(at))));
    bench.fill(["XGROUP CREATE big group 0".to_owned()]);
    bench.fill(
        (0..BIG / RANGE).map(|_| format!("XREADGROUP GROUP group one COUNT {RANGE} STREAMS big >")),
    );
    let entry = |at: usize| {
        let fields = array(&[bulk("field"), bulk(&element(at))]);
        array(&[bulk(&format!("{}-1", at + 1)), fields])
    };
    let entries: Vec<String> = (BIG / 2..BIG / 2 + RANGE).map(entry).collect();
    let range = format!("XRANGE big {}-1 + COUNT {RANGE}", BIG / 2 + 1);
    bench.measure("XRANGE of 100", &same(&range, &array(&entries)));
    let read = format!("XREAD COUNT {RANGE} STREAMS big {}-1", BIG / 2);
    let replies = array(&[array(&[bulk("big"), array(&entries)])]);
    bench.measure("XREAD of 100", &same(&read, &replies));
    let add = |_| {
        let new = format!("{}-1", BIG + 1);
        vec![
            (format!("XADD big {new} field new"), bulk(&new)),
            (format!("XDEL big {new}"), int(1)),
            (format!("XSETID big {BIG}-1"), "+OK\r\n".to_owned()),
        ]
    };
    bench.measure("XADD+XDEL+XSETID", &case(add));
    let claim = |at: usize| {
        let id = format!("{}-1", at + 1);
        vec![(format!("XCLAIM big group two 0 {id} JUSTID"), array(&[bulk(&id)]))]
    };
    bench.measure("XCLAIM", &case(claim));
    let total = array(&[
        int(BIG),
        bulk("1-1"),
        bulk(&format!("{BIG}-1")),
        array(&[
            array(&[bulk("one"), bulk(&(BIG - TIMES).to_string())]),
            array(&[bulk("two"), bulk(&TIMES.to_string())]),
        ]),
    ]);
    bench.measure("XPENDING", &same("XPENDING big group", &total));
}

fn bits(criterion: &mut Criterion) {
    const BYTES: usize = 64 << 10;
    let mut bench = Bench::new(criterion, "bits");
    // Every third bit of the first half.
    bench.fill((0..BYTES * 4).step_by(3).map(|at| format!("SETBIT big {at} 1")));
    bench.fill([format!("SETBIT big {} 0", BYTES * 8 - 1)]);
    let is_set = |at: usize| usize::from(at < BYTES * 4 && at.is_multiple_of(3));
    let get = |at: usize| vec![(format!("GETBIT big {}", at * 50), int(is_set(at * 50)))];
    bench.measure("GETBIT", &case(get));
    let set = |at: usize| {
        let (at, bit) = (at * 50, is_set(at * 50));
        let flip = (format!("SETBIT big {at} {}", 1 - bit), int(bit));
        vec![flip, (format!("SETBIT big {at} {bit}"), int(1 - bit))]
    };
    bench.measure("SETBIT", &case(set));
    let count = (BYTES * 4).div_ceil(3);
    bench.measure("BITCOUNT of 64 KiB", &same("BITCOUNT big", &int(count)));
    let position = format!("BITPOS big 1 {} -1", BYTES / 2);
    bench.measure("BITPOS of 32 KiB", &same(&position, ":-1\r\n"));
    let not = [
        ("BITOP NOT other big".to_owned(), int(BYTES)),
        ("BITCOUNT other".to_owned(), int(BYTES * 8 - count)),
    ];
    bench.measure("BITOP+BITCOUNT", &case(|_| not.to_vec()));
    let field = |at: usize| {
        let sum = array(&[int(5), int(0)]);
        vec![(
            format!("BITFIELD fields INCRBY u16 #{} 5 INCRBY u16 #{} -5", at % 100, at % 100),
            sum,
        )]
    };
    bench.measure("BITFIELD", &case(field));
}

fn hyperloglogs(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "hyperloglog");
    bench.fill((0..BIG).map(|at| format!("PFADD dense {}", element(at))));
    bench.fill((0..RANGE).map(|at| format!("PFADD sparse {}", element(at))));
    for (key, len) in [("dense", BIG), ("sparse", RANGE)] {
        let add = |at: usize| vec![(format!("PFADD {key} {}", element(at % len)), int(0))];
        bench.measure(&format!("PFADD {key}"), &case(add));
    }
    // The estimate is within its error, and the same each time.
    let reply = bench.ask("PFCOUNT dense sparse");
    let estimate: f64 = reply[1..].trim().parse().expect("a number");
    assert!((estimate / BIG as f64 - 1.0).abs() < 0.03, "{estimate} of {BIG}");
    bench.measure("PFCOUNT of two", &same("PFCOUNT dense sparse", &reply));
    bench.measure("PFMERGE", &same("PFMERGE into dense sparse", "+OK\r\n"));
}

fn geo(criterion: &mut Criterion) {
    let mut bench = Bench::new(criterion, "geo");
    // A grid of a hundredth of a degree, some 1.1 km at the equator.
    let (rows, columns) = (100, BIG / 100);
    let place = |at: usize| {
        let (row, column) = (at / columns, at % columns);
        format!("{}.{:02} 0.{row:02}", 10 + column / 100, column % 100)
    };
    bench.fill((0..rows * columns).map(|at| format!("GEOADD grid {} {}", place(at), element(at))));
    let again = |at: usize| vec![(format!("GEOADD grid {} {}", place(at), element(at)), int(0))];
    bench.measure("GEOADD of a member", &case(again));
    // Who is less than 5 km away from the middle, and how far the next in a row is.
    let middle = 50 * columns + 50;
    let search = format!("GEOSEARCH grid FROMMEMBER {} BYRADIUS 5 km ASC", element(middle));
    let reply = bench.ask(&search);
    let near = |at: &usize| {
        let (row, column) = ((at / columns) as f64 - 50.0, (at % columns) as f64 - 50.0);
        row.hypot(column) * 1.1122 < 5.0
    };
    let mut expected: Vec<String> = (0..rows * columns).filter(near).map(element).collect();
    let mut found: Vec<String> =
        reply.lines().filter(|line| line.starts_with("element")).map(str::to_owned).collect();
    assert_eq!(found.first(), Some(&element(middle)));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    bench.measure("GEOSEARCH of 5 km", &same(&search, &reply));
    let distance = format!("GEODIST grid {} {}", element(middle), element(middle + columns));
    let reply = bench.ask(&distance);
    let metres: f64 = reply.lines().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    assert!((metres - 1112.2).abs() < 0.5, "{metres}");
    bench.measure("GEODIST", &same(&distance, &reply));
}

fn sorting(criterion: &mut Criterion) {
    const SORTED: usize = 1000;
    let mut bench = Bench::new(criterion, "sort");
    bench.fill((0..SORTED).map(|at| format!("RPUSH numbers {}", at * 7919 % SORTED)));
    bench.fill((0..SORTED).map(|at| format!("RPUSH words {}", element(at * 7919 % SORTED))));
    bench.fill((0..SORTED).map(|at| format!("SET weight:{at} {}", SORTED - at)));
    let texts = |made: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..SORTED).map(|at| bulk(&made(at))).collect()
    };
    let numbers = texts(&|at| at.to_string());
    bench.measure("SORT of 1000", &same("SORT numbers", &array(&numbers)));
    let words = array(&texts(&element)[..SMALL]);
    bench.measure("SORT ALPHA LIMIT", &same("SORT words ALPHA LIMIT 0 10", &words));
    let backwards: Vec<String> = numbers.iter().rev().take(SMALL).cloned().collect();
    let by = "SORT numbers BY weight:* LIMIT 0 10";
    bench.measure("SORT BY LIMIT", &same(by, &array(&backwards)));
}

criterion_group!(
    benches,
    lists,
    hashes,
    sets,
    sorted_sets,
    streams,
    bits,
    hyperloglogs,
    geo,
    sorting
);
criterion_main!(benches);
