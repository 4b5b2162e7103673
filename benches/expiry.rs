//! Active expiry in a running server: how long dead keys stay, and what deleting them costs.
//!
//! Keeps a number of keys alive whose TTLs are spread over 1 to 60 s: each that expires is replaced by a new one,
//! under another name, so that no access deletes what expiry should. Every key is set with `PXAT`, and server and
//! client share a clock; so the client knows at any moment how many keys are past their time, and DBSIZE says how
//! many are still there. `KEYS=10000000 SECONDS=60 cargo bench --bench expiry`; a million keys and 20 s without.
//!
//! Printed: the share of keys that are past their time but resident; the age (time since it was due) of the oldest
//! of them, at samples some ms apart, which bounds every key's delay; the CPU of expiry and of the whole server.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rufous::base::hash::KeyHasher;
use rufous::store::{Db, NewString, Ttl};

/// Most keys set between two samples.
const BATCH: usize = 4000;
const TTL_MS: std::ops::Range<u64> = 1000..60_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Milliseconds since 1970.
fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

struct Server {
    child: Child,
    stream: BufReader<TcpStream>,
}

impl Server {
    fn start() -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_rufous"))
            .args(["--port", &port.to_string(), "--save", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) if began.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_nodelay(true).unwrap();
        Server { child, stream: BufReader::with_capacity(1 << 16, stream) }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    fn keys(&mut self) -> u64 {
        self.send(b"DBSIZE\r\n");
        self.line().trim_start_matches(':').trim().parse().unwrap()
    }

    /// A number of INFO.
    fn info(&mut self, field: &str) -> f64 {
        self.send(b"INFO\r\n");
        let length: usize = self.line().trim_start_matches('$').trim().parse().unwrap();
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap().parse().unwrap()
    }

    /// CPU time of the process, in seconds.
    fn cpu(&self) -> f64 {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many keys were set, and when they are due.
struct Schedule {
    first_ms: u64,
    /// Keys whose expiry is in this millisecond, and in all before `summed`.
    due: Vec<u64>,
    /// Keys due before `at`.
    passed: u64,
    at: usize,
    sets: u64,
    random: u64,
}

impl Schedule {
    fn new(seconds: u64) -> Schedule {
        let length = (seconds * 1000 + TTL_MS.end) as usize;
        Schedule {
            first_ms: unix_ms() as u64,
            due: vec![0; length],
            passed: 0,
            at: 0,
            sets: 0,
            random: 1,
        }
    }

    /// Appends the request that sets one more key.
    fn add(&mut self, now_ms: u64, request: &mut Vec<u8>) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let ttl_ms = TTL_MS.start + (self.random >> 33) % (TTL_MS.end - TTL_MS.start);
        let expiry_ms = now_ms + ttl_ms;
        self.due[(expiry_ms - self.first_ms) as usize] += 1;
        let number = self.sets;
        self.sets += 1;
        // 16 bytes of key, 32 of value.
        write!(
            request,
            "*5\r\n$3\r\nSET\r\n$16\r\nkey:{number:012}\r\n$32\r\n{number:032}\r\n\
             $4\r\nPXAT\r\n$13\r\n{expiry_ms:013}\r\n"
        )
        .unwrap();
    }

    /// Keys past their time (which is over when the next millisecond begins).
    fn dead(&mut self, now_ms: f64) -> u64 {
        let until = (now_ms as u64 - self.first_ms) as usize;
        while self.at < until {
            self.passed += self.due[self.at];
            self.at += 1;
        }
        self.passed
    }

    /// For how long the key that is next to be deleted has been due, when `deleted` are gone.
    fn oldest_age_ms(&self, now_ms: f64, deleted: u64) -> f64 {
        let (mut before, mut at) = (self.passed, self.at);
        while at > 0 && before > deleted {
            at -= 1;
            before -= self.due[at];
        }
        if at == self.at { 0.0 } else { now_ms - (self.first_ms + at as u64 + 1) as f64 }
    }
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

/// Nanoseconds of one SET of an existing key in process, with TTLs of `ttl_ms` and more: the best of some passes.
fn set_nanos(ttl_ms: i64) -> f64 {
    const KEYS: i64 = 20_000;
    let mut db = Db::new(KeyHasher::new(1));
    let names: Vec<_> = (0..KEYS).map(|key| format!("key:{key:012}").into_bytes()).collect();
    let mut best = f64::MAX;
    for pass in 0..200 {
        db.begin(1_000_000 + pass * 50, false);
        while db.expire_due(1000).is_left || db.sweep(1000).is_left {}
        db.tidy_wheel(usize::MAX);
        let began = Instant::now();
        for (number, name) in (0..KEYS).zip(&names) {
            // Each has another time than before, and a slot that has nothing to do with its neighbours'.
            let ttl = Ttl::At(1_000_000 + pass * 50 + ttl_ms + number * 7919 % 25_000);
            let key = db.key(name);
            assert!(db.set_string(key, NewString::Bytes(&[b'v'; 32]), ttl).is_ok());
        }
        best = best.min(began.elapsed().as_nanos() as f64 / KEYS as f64);
    }
    best
}

/// What deleting a key and sweeping an entry take in a database of so many keys, in nanoseconds of processor time.
fn part_nanos(keys: u64) -> (f64, f64) {
    let mut db = Db::new(KeyHasher::new(1));
    db.begin(0, false);
    for number in 0..keys {
        let name = format!("key:{number:012}").into_bytes();
        let ttl = Ttl::At((number * 7919 % 600_000) as i64);
        let key = db.key(&name);
        assert!(db.set_string(key, NewString::Bytes(&[b'v'; 32]), ttl).is_ok());
    }
    // The mark is so near that the round is made at once.
    db.begin(130_900, false);
    let (began, mut swept) = (Instant::now(), 0);
    loop {
        let progress = db.sweep(64);
        swept += progress.visited;
        if !progress.is_left {
            break;
        }
    }
    let sweep = began.elapsed().as_nanos() as f64 / swept as f64;
    let (began, mut expired) = (Instant::now(), 0);
    loop {
        let progress = db.expire_due(64);
        expired += progress.expired;
        if !progress.is_left {
            break;
        }
    }
    (began.elapsed().as_nanos() as f64 / expired as f64, sweep)
}

fn main() {
    let (delete, sweep) = part_nanos(setting("KEYS", 1_000_000));
    println!("deleting a key takes {delete:.0} ns in process, sweeping an entry {sweep:.1} ns");
    let (far, near) = (set_nanos(3_600_000), set_nanos(5_000));
    println!("a write with a far TTL takes {far:.1} ns in process, with a near one {near:.1} ns");
    let (keys, seconds) = (setting("KEYS", 1_000_000), setting("SECONDS", 20));
    let mut server = Server::start();
    let mut schedule = Schedule::new(seconds + 60 + keys / 100_000);
    let (mut ages, mut shares) = (Vec::new(), Vec::new());
    let mut request = Vec::new();
    let mut began: Option<(Instant, f64, f64, f64)> = None;
    loop {
        let now_ms = unix_ms();
        let alive = schedule.sets - schedule.dead(now_ms);
        let missing = (keys.saturating_sub(alive) as usize).min(BATCH);
        request.clear();
        (0..missing).for_each(|_| schedule.add(now_ms as u64, &mut request));
        server.send(&request);
        for _ in 0..missing {
            assert_eq!(server.line(), "+OK\r\n");
        }
        if began.is_none() && missing == BATCH {
            continue;
        }
        let asked_ms = unix_ms();
        let resident = server.keys();
        let deleted = schedule.sets - resident;
        let dead = schedule.dead(asked_ms);
        if let Some((since, ..)) = began {
            // The server may have deleted more by the time it answered: then nothing is overdue.
            shares.push(dead.saturating_sub(deleted) as f64 * 100.0 / resident as f64);
            ages.push(schedule.oldest_age_ms(asked_ms, deleted));
            if since.elapsed() > Duration::from_secs(seconds) {
                break;
            }
        } else {
            let spent_ms = server.info("expire_cycle_cpu_milliseconds");
            began = Some((Instant::now(), server.cpu(), spent_ms, server.info("expired_keys")));
        }
        std::thread::sleep(Duration::from_micros(1300));
    }
    let (since, cpu, spent_ms, expired) = began.unwrap();
    let elapsed = since.elapsed().as_secs_f64();
    let cpu = (server.cpu() - cpu) * 100.0 / elapsed;
    let spent_ms = server.info("expire_cycle_cpu_milliseconds") - spent_ms;
    let expired = server.info("expired_keys") - expired;
    ages.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!(
        "{keys} keys, {:.0} expired per second, {elapsed:.1} s, {} samples",
        expired / elapsed,
        ages.len()
    );
    println!(
        "expired but resident: mean {mean:.4} %, p99 {:.4} %, worst {:.4} %; the server says {:.2} %",
        percentile(&shares, 0.99),
        percentile(&shares, 1.0),
        server.info("expired_stale_perc"),
    );
    println!(
        "oldest of them due since: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        percentile(&ages, 0.5),
        percentile(&ages, 0.99),
        percentile(&ages, 1.0),
    );
    println!(
        "CPU: expiry {:.2} % of a core ({:.0} ns per key), the server {cpu:.0} %",
        spent_ms / 10.0 / elapsed,
        spent_ms * 1e6 / expired,
    );
    assert!(mean < 1.0, "dead keys stay");
}
