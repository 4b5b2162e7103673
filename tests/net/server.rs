//! A server process, its log, and what `/proc` says of it.
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::Client;

/// Longest wait for anything that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Its TCP port, 0 where it has none.
    pub port: u16,
    log: Arc<Mutex<String>>,
}

/// A port nobody listens on (at this moment).
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A fresh path for a socket or file, gone again when the machine cleans up.
pub fn scratch_path(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("rufous-{}-{count}-{name}", std::process::id()))
}

impl Server {
    /// Our server on a free port.
    pub fn start(options: &[&str]) -> Server {
        let port = free_port();
        Server::run(command(), port, options).ready()
    }

    /// Redis on a free port, where it is installed.
    pub fn redis(options: &[&str]) -> Option<Server> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut program = Command::new("redis-server");
        program.args(["--save", "", "--dir", "/tmp"]);
        Some(Server::run(program, free_port(), options).ready())
    }

    /// Ours, and Redis where it is installed: both are to pass the same test.
    pub fn both(options: &[&str]) -> Vec<(&'static str, Server)> {
        let mut servers = vec![("rufous", Server::start(options))];
        servers.extend(Server::redis(options).map(|redis| ("redis", redis)));
        servers
    }

    /// Starts `program`; whether it gets anywhere is for the caller to see.
    pub fn run(mut program: Command, port: u16, options: &[&str]) -> Server {
        let port_text = port.to_string();
        program.args(["--port", &port_text]).args(options);
        let mut child = program
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = Arc::new(Mutex::new(String::new()));
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in outputs.into_iter().flatten() {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        Server { child, port, log }
    }

    fn ready(mut self) -> Server {
        let is_up = |log: &str| log.contains("eady to accept connections");
        eventually("the server to accept", || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            is_up(&self.log())
        });
        self
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for `text` in its log.
    pub fn expect_log(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::tcp(("127.0.0.1", self.port))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // Its last lines are on their way through the pipe.
        std::thread::sleep(Duration::from_millis(20));
        status.unwrap()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    /// Fails unless the server now idles: what it does ten times a second is all it may do.
    pub fn assert_idle(&self) {
        // What was begun may still end, on a busy machine later; a loop that spins never does.
        let mut used = Duration::ZERO;
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(30));
            let before = self.cpu();
            std::thread::sleep(Duration::from_millis(300));
            used = self.cpu() - before;
            if used < Duration::from_millis(10) {
                return;
            }
        }
        panic!("{used:?} of CPU in 300 ms of idling");
    }

    /// Fails unless it answers, does not spin, and takes new clients.
    pub fn assert_healthy(&mut self) {
        self.run_healthy(&["PING"]);
    }
}

impl Server {
    /// As [`Server::assert_healthy`], for a server that wants something else than PING first.
    pub fn run_healthy(&mut self, words: &[&str]) {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
        let reply = self.connect().ask(words);
        assert!(reply.starts_with('+'), "{reply}");
        self.assert_idle();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test.
pub fn command() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rufous"));
    program.env_remove("RUST_LOG");
    program
}

/// Waits until `holds`, at most [`PATIENCE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
