//! A server process on a free port and a Unix socket, in a temporary directory of its own.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::target::{Address, Link, Received, Target, dial};

const START_PATIENCE: Duration = Duration::from_secs(10);

/// Which server a process is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// The `redis-server` found on `PATH`.
    Redis,
    /// The binary of this crate.
    Rufous,
}

/// A running server; killed and cleaned up when dropped.
pub struct Process {
    kind: Kind,
    child: Child,
    directory: PathBuf,
    address: Address,
    /// So long it may be until it has begun with what was sent to it.
    pub settles_in: Duration,
}

impl Process {
    /// Starts a server and waits until it answers PING. `over_tcp` says how to talk to it.
    pub fn start(kind: Kind, over_tcp: bool) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("it-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let port = free_port()?;
        let socket = directory.join("s");
        let log = File::create(directory.join("log"))?;
        let program = match kind {
            Kind::Redis => PathBuf::from("redis-server"),
            // Another binary can be named to try the runners on it.
            Kind::Rufous => std::env::var_os("RUFOUS_SERVER")
                .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rufous")), PathBuf::from),
        };
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--enable-debug-command", "yes"])
            .arg("--unixsocket")
            .arg(&socket)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                fs::remove_dir_all(&directory)?;
                return Err(error);
            }
        };
        let address = if over_tcp {
            Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
        } else {
            Address::Unix(socket)
        };
        let mut process = Process { kind, child, directory, address, settles_in: Duration::ZERO };
        process.wait_until_ready()?;
        Ok(process)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            if answers_ping(&self.address) {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > START_PATIENCE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                let what = ended.map_or("no answer".to_string(), |status| status.to_string());
                return Err(io::Error::other(format!("server did not start ({what}):\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Is the process still there?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what the server wrote to its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the next run uses another directory.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Target for Process {
    fn server(&self) -> &str {
        match self.kind {
            Kind::Redis => "redis",
            Kind::Rufous => "rufous",
        }
    }

    fn has(&self, need: &str) -> bool {
        self.kind == Kind::Redis || super::play::RUFOUS_HAS.contains(&need) || need == "wire"
    }

    fn connect(&mut self) -> io::Result<Box<dyn Link>> {
        dial(&self.address)
    }

    fn settle(&mut self) {
        std::thread::sleep(self.settles_in);
    }
}

/// Is there a `redis-server` of the version the corpus speaks of?
pub fn redis_is_installed() -> bool {
    let output = Command::new("redis-server").arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("v=7.0."))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn answers_ping(address: &Address) -> bool {
    let Ok(mut link) = dial(address) else { return false };
    let mut answer = Vec::new();
    link.send(b"PING\r\n").is_ok()
        && link.receive(&mut answer, Duration::from_millis(500)).ok() == Some(Received::Bytes)
        && answer == b"+PONG\r\n"
}
