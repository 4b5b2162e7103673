//! Hit ratios of eviction policies on generated traces: a cache that is asked for a key and, on a miss, given it.
//!
//! `cargo bench --bench hit_ratio` prints a table per cache size: rows are traces, columns policies. All policies
//! have the same `maxmemory`, chosen so that about so many keys fit; requests come at 10 000 per second by the
//! engine's own clock, so that LRU's seconds and LFU's minutes pass as they would. `lru-exact` and `s3fifo-exact` are
//! the algorithms with their queues, at as many keys as `allkeys-lru` held in the end: what sampling costs.
//! With `REDIS=port` a redis-server on that port of this machine, which gets the same `maxmemory` above what it uses
//! when empty, is asked the same traces (in real time, one pipeline of 64: its LRU sees other seconds).
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and may panic")]
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rufous::Engine;
use rufous::base::clock::Clock;
use rufous::base::random::Random;

const KEYS: usize = 100_000;
const REQUESTS: usize = 1_000_000;
const VALUE: [u8; 100] = [b'v'; 100];
/// Bytes of one key in our heap and table, about.
const BYTES_PER_KEY: usize = 136;
const REQUESTS_PER_MS: usize = 10;
const POLICIES: [&str; 4] = ["allkeys-random", "allkeys-lru", "allkeys-lfu", "allkeys-s3fifo"];
/// How many requests are sent to Redis at once.
const PIPELINE: usize = 64;

/// Draws ranks by Zipf's law.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let mut upto: Vec<f64> = (1..=KEYS)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        upto.iter_mut().for_each(|share| *share /= sum);
        Zipf(upto)
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let at = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        self.0.partition_point(|&upto| upto < at).min(KEYS - 1) as u32
    }
}

fn traces() -> Vec<(&'static str, Vec<u32>)> {
    let mut random = Random::from_seed(7);
    let (mild, usual, steep) = (Zipf::new(0.7), Zipf::new(0.99), Zipf::new(1.2));
    let all = |zipf: &Zipf, random: &mut Random| (0..REQUESTS).map(|_| zipf.draw(random)).collect();
    let mut traces: Vec<(&str, Vec<u32>)> = vec![
        ("zipf 0.7", all(&mild, &mut random)),
        ("zipf 0.99", all(&usual, &mut random)),
        ("zipf 1.2", all(&steep, &mut random)),
    ];
    // Scans over keys that never come again, 20 000 after every 50 000 requests.
    let mut next = 1_000_000..;
    let mut scans = Vec::new();
    while scans.len() < REQUESTS {
        scans.extend((0..50_000).map(|_| usual.draw(&mut random)));
        scans.extend(next.by_ref().take(20_000));
    }
    traces.push(("zipf 0.99 + scans", scans));
    // Every fourth key is asked for once only.
    let once = |at: usize, random: &mut Random| match random.below(4) {
        0 => 10_000_000 + at as u32,
        _ => mild.draw(random),
    };
    traces.push(("zipf 0.7 + one-hit", (0..REQUESTS).map(|at| once(at, &mut random)).collect()));
    // Each quarter of the trace has popular keys of its own.
    let phase =
        |at: usize, random: &mut Random| usual.draw(random) ^ ((at * 4 / REQUESTS) as u32 * 7919);
    traces.push(("zipf 0.99, 4 phases", (0..REQUESTS).map(|at| phase(at, &mut random)).collect()));
    // Popularity moves on by one key every 20 requests.
    let drift = |at: usize, random: &mut Random| usual.draw(random) + at as u32 / 20;
    traces.push(("zipf 0.99, drifting", (0..REQUESTS).map(|at| drift(at, &mut random)).collect()));
    traces.push(("loop of 12 000", (0..REQUESTS).map(|at| (at % 12_000) as u32).collect()));
    traces
}

fn key(index: u32) -> [u8; 12] {
    let mut key = *b"key:00000000";
    let mut rest = index;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Hit ratio, and keys held at the end.
fn ours(policy: &str, bytes: usize, trace: &[u32]) -> (f64, usize) {
    let mut engine = Engine::builder()
        .config("maxmemory", bytes.to_string())
        .config("maxmemory-policy", policy)
        .clock(Clock::manual(1_700_000_000_000))
        .seed(1)
        .build()
        .unwrap();
    let mut hits = 0;
    for (at, &index) in trace.iter().enumerate() {
        if at % (REQUESTS_PER_MS * 100) == 0 {
            engine.advance(Duration::from_millis(100));
            engine.tick(Duration::ZERO);
        }
        let key = key(index);
        if engine.get(&key).unwrap().is_some() {
            hits += 1;
        } else {
            engine.set(&key, &VALUE, None).unwrap();
        }
    }
    let keys = match engine.execute(&[b"DBSIZE"]) {
        rufous::Reply::Int(keys) => keys as usize,
        reply => panic!("{reply:?}"),
    };
    (hits as f64 / trace.len() as f64, keys)
}

fn exact_lru(keys: usize, trace: &[u32]) -> f64 {
    let (mut last, mut order, mut hits) = (HashMap::new(), VecDeque::new(), 0);
    for (at, &key) in trace.iter().enumerate() {
        order.push_back((key, at));
        if last.insert(key, at).is_some() {
            hits += 1;
            continue;
        }
        while last.len() > keys {
            let (old, when) = order.pop_front().unwrap();
            if last.get(&old) == Some(&when) {
                last.remove(&old);
            }
        }
    }
    hits as f64 / trace.len() as f64
}

fn exact_s3fifo(keys: usize, trace: &[u32]) -> f64 {
    let small_max = keys / 10;
    let (mut small, mut main, mut ghosts) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
    let (mut counts, mut known, mut hits) = (HashMap::<u32, u8>::new(), HashSet::new(), 0);
    for &key in trace {
        if let Some(count) = counts.get_mut(&key) {
            *count = (*count + 1).min(3);
            hits += 1;
            continue;
        }
        while small.len() + main.len() >= keys {
            let from_small = small.len() >= small_max || main.is_empty();
            let old: u32 = if from_small { &mut small } else { &mut main }.pop_front().unwrap();
            let count = counts[&old];
            if from_small && count > 1 {
                counts.insert(old, 0);
                main.push_back(old);
            } else if !from_small && count > 0 {
                counts.insert(old, count - 1);
                main.push_back(old);
            } else {
                counts.remove(&old);
                if from_small && known.insert(old) {
                    ghosts.push_back(old);
                    if ghosts.len() > keys - small_max {
                        known.remove(&ghosts.pop_front().unwrap());
                    }
                }
            }
        }
        counts.insert(key, 0);
        if known.remove(&key) { &mut main } else { &mut small }.push_back(key);
    }
    hits as f64 / trace.len() as f64
}

/// A Redis, asked in pipelines.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn send(&mut self, commands: &[Vec<&[u8]>]) -> Vec<Option<Vec<u8>>> {
        let mut out = Vec::new();
        for words in commands {
            write!(out, "*{}\r\n", words.len()).unwrap();
            for word in words {
                write!(out, "${}\r\n", word.len()).unwrap();
                out.extend_from_slice(word);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.0.get_mut().write_all(&out).unwrap();
        commands.iter().map(|_| self.reply()).collect()
    }

    /// The text of a reply; `None` for null.
    fn reply(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let text = line.trim_end();
        if !text.starts_with('$') {
            return Some(text[1..].into());
        }
        let length = text[1..].parse::<usize>().ok()?;
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        Some(bytes)
    }

    fn one(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.send(&[words.to_vec()]).pop().flatten().unwrap_or_default()
    }

    fn run(&mut self, policy: &str, bytes: usize, trace: &[u32]) -> (f64, usize) {
        self.one(&[b"FLUSHALL"]);
        self.one(&[b"CONFIG", b"SET", b"maxmemory", b"0"]);
        self.one(&[b"CONFIG", b"SET", b"maxmemory-policy", policy.as_bytes()]);
        let info = String::from_utf8(self.one(&[b"INFO", b"memory"])).unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        let limit = (used.parse::<usize>().unwrap() + bytes).to_string();
        self.one(&[b"CONFIG", b"SET", b"maxmemory", limit.as_bytes()]);
        let mut hits = 0;
        for part in trace.chunks(PIPELINE) {
            let keys: Vec<[u8; 12]> = part.iter().map(|&index| key(index)).collect();
            let gets: Vec<Vec<&[u8]>> = keys.iter().map(|key| vec![&b"GET"[..], key]).collect();
            let found = self.send(&gets);
            let missed = keys.iter().zip(&found).filter(|(_, value)| value.is_none());
            let sets: Vec<Vec<&[u8]>> =
                missed.map(|(key, _)| vec![&b"SET"[..], key, &VALUE]).collect();
            hits += part.len() - sets.len();
            self.send(&sets);
        }
        let keys = String::from_utf8(self.one(&[b"DBSIZE"])).unwrap().parse().unwrap();
        (hits as f64 / trace.len() as f64, keys)
    }
}

fn main() {
    let redis = std::env::var("REDIS").ok().map(|port| format!("127.0.0.1:{port}"));
    let mut redis = redis.map(|at| Redis(BufReader::new(TcpStream::connect(at).unwrap())));
    let traces = traces();
    for keys in [10_000, 1_000] {
        let bytes = keys * BYTES_PER_KEY;
        println!("\nmaxmemory {bytes}: about {keys} keys of 12 bytes with values of 100");
        print!("{:<20}", "");
        POLICIES.iter().for_each(|policy| print!("{policy:>16}"));
        print!("{:>14}{:>14}", "lru-exact", "s3fifo-exact");
        if redis.is_some() {
            POLICIES[..3].iter().for_each(|policy| print!("{:>22}", format!("redis {policy}")));
        }
        println!();
        for (name, trace) in &traces {
            print!("{name:<20}");
            let mut held = 0;
            for policy in POLICIES {
                let (ratio, keys) = ours(policy, bytes, trace);
                held = if policy == "allkeys-lru" { keys } else { held };
                print!("{ratio:>16.4}");
            }
            print!("{:>14.4}{:>14.4}", exact_lru(held, trace), exact_s3fifo(held, trace));
            if let Some(redis) = &mut redis {
                for policy in &POLICIES[..3] {
                    let (ratio, keys) = redis.run(policy, bytes, trace);
                    print!("{:>22}", format!("{ratio:.4} ({keys})"));
                }
            }
            println!("   ({held} keys)");
        }
    }
}
