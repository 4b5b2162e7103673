//! GET in process against GET over the network: the same million keys, the same random order, the same core's work.
//!
//! `cargo bench --bench in_process` prints what one GET costs each way in nanoseconds of processor time, and how many
//! times the network's rate that is. The network's cost is that of the thread of a server in this process, its client
//! not counted; eight connections ask it with 64 requests per write. Processor time is what a busy machine disturbs
//! least; the best pass by the wall clock is printed beside it. All ways are measured in turn, pass by pass, on the
//! same keys. Before, the replies are compared: the network's by length, the engine's by content. `get_many` has as
//! many keys per call as a connection has requests on their way, 64, and as all have, 512.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and may panic")]
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rufous::base::random::Random;
use rufous::base::sys::{CpuOf, cpu_time};
use rufous::{Address, Engine, Server};

const KEYS: u64 = 1_000_000;
const VALUE: [u8; 32] = [b'v'; 32];
/// Length of the reply to one GET.
const REPLY_BYTES: usize = 39;
const PIPELINE: usize = 64;
const CONNECTIONS: usize = 8;
/// Requests per pass: long enough for the kernel's accounting.
const PASS: usize = 1 << 19;
const PASSES: usize = 9;

type KeyBytes = [u8; 16];

fn key(index: u64) -> KeyBytes {
    let mut bytes = *b"key:000000000000";
    let digits = index.to_string();
    bytes[16 - digits.len()..].copy_from_slice(digits.as_bytes());
    bytes
}

/// What the passes of one way took, per request.
#[derive(Default)]
struct Cost {
    cpu_nanos: Vec<f64>,
    wall_nanos: Vec<f64>,
}

impl Cost {
    /// Runs `work`, which makes `PASS` requests; `cpu` reads the processor time of who does them.
    fn measure(&mut self, cpu: impl Fn() -> u64, work: impl FnOnce()) {
        let (cpu_before, started) = (cpu(), Instant::now());
        work();
        self.wall_nanos.push(started.elapsed().as_nanos() as f64 / PASS as f64);
        self.cpu_nanos.push((cpu() - cpu_before) as f64 / PASS as f64);
    }

    /// Median of the processor time.
    fn cpu(&self) -> f64 {
        let mut sorted = self.cpu_nanos.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn wall(&self) -> f64 {
        self.wall_nanos.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Processor time of this thread, in nanoseconds.
fn own_cpu() -> u64 {
    let time = cpu_time(CpuOf::Thread);
    (time.user_us + time.system_us) * 1000
}

/// Where the kernel tells the processor time of the only server's thread.
fn server_schedstat() -> String {
    let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_server = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "rufous\n")
    };
    let found = tasks.find(is_server).expect("the server's thread is called rufous");
    found.join("schedstat").to_str().unwrap().to_owned()
}

fn schedstat_cpu(path: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A server full of keys, and its client.
struct Network {
    connections: Vec<TcpStream>,
    schedstat: String,
}

impl Network {
    fn ask(&mut self, keys: &[KeyBytes], cost: &mut Cost) {
        let encode = |keys: &[KeyBytes]| -> Vec<u8> {
            let request = |key| [b"*2\r\n$3\r\nGET\r\n$16\r\n", key as &[u8], b"\r\n"].concat();
            keys.iter().flat_map(request).collect()
        };
        let pipelines: Vec<Vec<u8>> = keys.chunks(PIPELINE).map(encode).collect();
        let mut replies = vec![0; REPLY_BYTES * PIPELINE];
        let Network { connections, schedstat } = self;
        cost.measure(
            || schedstat_cpu(schedstat),
            || {
                for group in pipelines.chunks(CONNECTIONS) {
                    for (connection, requests) in connections.iter_mut().zip(group) {
                        connection.write_all(requests).unwrap();
                    }
                    for (connection, _) in connections.iter_mut().zip(group) {
                        connection.read_exact(&mut replies).unwrap();
                    }
                }
            },
        );
    }
}

fn many(engine: &mut Engine, keys: &[KeyBytes], at_once: usize) {
    let mut slices: Vec<&[u8]> = Vec::with_capacity(at_once);
    for keys in keys.chunks(at_once) {
        slices.clear();
        slices.extend(keys.iter().map(|key| key as &[u8]));
        let take = |_: usize, value: Option<&[u8]>| {
            black_box(value);
        };
        engine.get_many(&slices, take).unwrap();
    }
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
        assert_eq!(client.get(key).unwrap().as_deref(), Some(&VALUE[..]));
    }
    let Address::Tcp(address) = server.addresses()[0] else { panic!("TCP was asked for") };
    let connect = |_| TcpStream::connect(address).unwrap();
    let mut network = Network {
        connections: (0..CONNECTIONS).map(connect).collect(),
        schedstat: server_schedstat(),
    };
    let mut costs: [Cost; 6] = std::array::from_fn(|_| Cost::default());
    for _ in 0..PASSES {
        let keys: Vec<KeyBytes> = (0..PASS).map(|_| key(random.below(KEYS))).collect();
        let [asked, executed, got, got_with, few, most] = &mut costs;
        network.ask(&keys, asked);
        executed.measure(own_cpu, || {
            for key in &keys {
                black_box(engine.execute(&[b"GET", key]));
            }
        });
        got.measure(own_cpu, || {
            for key in &keys {
                black_box(engine.get(key).unwrap());
            }
        });
        got_with.measure(own_cpu, || {
            for key in &keys {
                black_box(engine.get_with(key, |value| black_box(value).len()).unwrap());
            }
        });
        few.measure(own_cpu, || many(&mut engine, &keys, PIPELINE));
        most.measure(own_cpu, || many(&mut engine, &keys, PIPELINE * CONNECTIONS));
    }
    let names = [
        "network, pipeline of 64",
        "Engine::execute",
        "Engine::get",
        "Engine::get_with",
        "Engine::get_many of 64",
        "Engine::get_many of 512",
    ];
    println!("{:<24} {:>12} {:>8} {:>18}", "GET of 32 bytes", "CPU ns", "", "wall ns (best)");
    let (cpu, wall) = (costs[0].cpu(), costs[0].wall());
    for (name, cost) in names.into_iter().zip(&costs) {
        let (own_cpu, own_wall) = (cost.cpu(), cost.wall());
        println!(
            "{name:<24} {own_cpu:>12.1} {:>6.2} x {own_wall:>10.1} {:>5.2} x",
            cpu / own_cpu,
            wall / own_wall
        );
    }
}
