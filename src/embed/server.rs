//! A server inside another program: on a thread of its own, ended by dropping its handle.
//!
//! ```text
//! Server::builder() ── listen, config, clock, seed ──▶ spawn() ──▶ Server ── drop ──▶ stopped and joined
//! ```
//!
//! Promise: no signal handler, no logger, no change of the working directory or of the process's limits, nothing
//! shared between servers: a hundred of them live in one process. Addresses are bound when `spawn` returns, so a
//! client may connect at once. Cost: start and stop take well under 5 ms, the arena of the loop 1 MiB of address
//! space, a thread.
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use mio::Waker;

use crate::base::clock::Clock;
use crate::embed::client::Client;
use crate::embed::error::Error;
use crate::embed::settings::Settings;
use crate::engine::config::{Config, Opt};
use crate::net::listener::{ListenError, Listener};
use crate::net::reactor::Reactor;

/// Where a server listens by itself: a free port of this machine only.
const ADDRESS_DEFAULT: &str = "127.0.0.1:0";

/// Where a server listens or a client connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => path.display().fmt(out),
        }
    }
}

/// A running server; dropping it stops it and waits for its thread.
///
/// ```
/// let server = rufous::Server::builder().listen("127.0.0.1:0").spawn()?;
/// let mut client = server.connect()?;
/// client.set("greeting", "hello")?;
/// assert_eq!(client.get("greeting")?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), rufous::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    addresses: Vec<Address>,
    stopper: Waker,
    /// `None` once joined.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What a server is to be; [`Server::builder`] makes one.
#[derive(Clone, Debug, Default)]
pub struct ServerBuilder {
    addresses: Vec<String>,
    settings: Settings,
}

impl ServerBuilder {
    /// Listens here too: `host:port`, where port 0 is any free one, or the path of a Unix socket, recognised by its
    /// `/`. Without any call, a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> ServerBuilder {
        self.addresses.push(address.into());
        self
    }

    /// Sets an option as a line of a configuration file would, such as `("maxmemory", "100mb")`. All of them are in
    /// docs/config.md; `port`, `bind` and `unixsocket` are for [`ServerBuilder::listen`] to decide.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl AsRef<[u8]>) -> ServerBuilder {
        self.settings.set(name, value.as_ref());
        self
    }

    /// All time comes from this clock instead of the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> ServerBuilder {
        self.settings.clock = Some(clock);
        self
    }

    /// All random choices follow from this number: the same trace has the same replies.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> ServerBuilder {
        self.settings.seed = Some(seed);
        self
    }

    /// Allows CLOCK, which stops and moves the server's time.
    #[must_use]
    pub fn test_mode(self) -> ServerBuilder {
        self.config("test-mode", "yes")
    }

    /// Binds all addresses and starts the server's thread. On error nothing is left behind.
    pub fn spawn(mut self) -> Result<Server, Error> {
        let mut config = self.settings.config()?;
        if self.addresses.is_empty() {
            self.addresses.push(ADDRESS_DEFAULT.to_owned());
        }
        let mut bound = Bound { listeners: Vec::new() };
        for address in &self.addresses {
            let listener = listen(address, &config).map_err(|failure| Error::Listen {
                address: failure.place,
                error: failure.error,
            })?;
            bound.listeners.push(listener);
        }
        let addresses: Vec<Address> = bound.listeners.iter().filter_map(address_of).collect();
        tell_config(&mut config, &addresses)?;
        let engine = self.settings.engine(config);
        let mut reactor = Reactor::new(engine, std::mem::take(&mut bound.listeners))?;
        let stopper = reactor.stopper()?;
        let thread = std::thread::Builder::new().name("rufous".to_owned());
        let thread = thread.spawn(move || reactor.run())?;
        Ok(Server { addresses, stopper, thread: Some(thread) })
    }
}

/// Listeners of a start that may still fail.
struct Bound {
    listeners: Vec<Listener>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        for path in self.listeners.iter().filter_map(Listener::path) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Server {
    /// A server to be.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Where it listens, in the order asked for; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Connects to the first of its addresses.
    pub fn connect(&self) -> Result<Client, Error> {
        match self.addresses.first() {
            Some(address) => Client::connect_to(address),
            None => Err(Error::Io(io::ErrorKind::AddrNotAvailable.into())),
        }
    }

    /// Whether its thread runs; SHUTDOWN ends it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops it and waits until its sockets are closed and its memory is free: as dropping it does, but tells what
    /// went wrong while it ran.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Waits until somebody sends SHUTDOWN.
    pub fn wait(mut self) -> Result<(), Error> {
        join(self.thread.take())
    }

    fn end(&mut self) -> Result<(), Error> {
        let thread = self.thread.take();
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            // Where it cannot be woken it cannot be waited for either.
            self.stopper.wake()?;
        }
        join(thread)
    }
}

fn join(thread: Option<JoinHandle<io::Result<()>>>) -> Result<(), Error> {
    let Some(thread) = thread else { return Ok(()) };
    match thread.join() {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Io(io::Error::other("the server's thread panicked"))),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn listen(address: &str, config: &Config) -> Result<Listener, ListenError> {
    if address.contains('/') {
        let path = Path::new(address.strip_prefix("unix:").unwrap_or(address));
        return Listener::unix(path, config.int(Opt::UnixSocketPerm).max(0) as u32);
    }
    let failed = |error| ListenError { place: address.to_owned(), error };
    let mut found = address.to_socket_addrs().map_err(failed)?;
    let found = found.next().ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
    Listener::tcp(found, config.int(Opt::TcpBacklog) as i32)
}

fn address_of(listener: &Listener) -> Option<Address> {
    let tcp = listener.address().map(Address::Tcp);
    tcp.or_else(|| listener.path().map(Address::Unix))
}

/// CONFIG GET, INFO and CONFIG SET speak of where the server really listens.
fn tell_config(config: &mut Config, addresses: &[Address]) -> Result<(), Error> {
    let mut set = |opt: Opt, value: String| {
        let failed = |reason| Error::Config { option: opt.name().to_owned(), reason };
        config.load(opt, &[value.into_bytes()]).map_err(failed)
    };
    let mut tcp = addresses.iter().filter_map(|address| match address {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    });
    match tcp.next() {
        Some(address) => {
            set(Opt::Port, address.port().to_string())?;
            set(Opt::Bind, address.ip().to_string())?;
        }
        None => set(Opt::Port, "0".to_owned())?,
    }
    let path = addresses.iter().find_map(|address| match address {
        Address::Unix(path) => Some(path.display().to_string()),
        Address::Tcp(_) => None,
    });
    path.map_or(Ok(()), |path| set(Opt::UnixSocket, path))
}
