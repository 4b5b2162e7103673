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
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::Waker;

use crate::base::clock::Clock;
use crate::base::quote::quote_into;
use crate::embed::address::{Address, Endpoint, Request, Wanted};
use crate::embed::client::Client;
use crate::embed::error::Error;
use crate::embed::settings::Settings;
use crate::engine::config::{Config, Opt};
use crate::engine::listen::{ListenAddress, ListenPlace};
use crate::net::host::listen_at;
use crate::net::listener::Listener;
use crate::net::reactor::Reactor;
use crate::proto::dialect::Dialect;

/// Where a server listens by itself: a free port of this machine only.
const ADDRESS_DEFAULT: &str = "127.0.0.1:0";

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
    endpoints: Vec<Endpoint>,
    /// Those of the endpoints.
    addresses: Vec<Address>,
    stopper: Waker,
    is_stopping: Arc<AtomicBool>,
    /// `None` once joined.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What a server is to be; [`Server::builder`] makes one.
#[derive(Clone, Debug, Default)]
pub struct ServerBuilder {
    addresses: Vec<Wanted>,
    settings: Settings,
}

impl ServerBuilder {
    /// Listens here too. `host:port`, where port 0 is any free one, or the path of a Unix socket, recognised by its
    /// `/`, is for clients of Redis. The other dialects, and more addresses for clients of Redis, are named as in a
    /// `listen` line of a configuration file. Without any call, a free port of 127.0.0.1. What is malformed is the
    /// error of [`ServerBuilder::spawn`].
    ///
    /// ```
    /// use rufous::{Dialect, Error, Server};
    ///
    /// let server = Server::builder()
    ///     .listen("127.0.0.1:0")
    ///     .listen("msgpack://127.0.0.1:0")
    ///     .listen("simpledb://[::1]:0")
    ///     .spawn();
    /// # let server = match server {
    /// #     Err(Error::Listen { .. }) => Server::builder().listen("msgpack://127.0.0.1:0").spawn(),
    /// #     other => other,
    /// # };
    /// println!("msgpack: {}", server?.address_of(Dialect::Msgpack).unwrap());
    /// let refused = Server::builder().listen("msgpack://127.0.0.1").spawn().unwrap_err();
    /// assert_eq!(refused.to_string(), r#"address "msgpack://127.0.0.1": the port is missing"#);
    /// # Ok::<(), rufous::Error>(())
    /// ```
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> ServerBuilder {
        self.addresses.push(Wanted::Text(address.into()));
        self
    }

    /// As [`ServerBuilder::listen`], without text between: a `SocketAddr`, a path, or either as an [`Address`].
    ///
    /// ```
    /// use rufous::{Dialect, Server};
    ///
    /// let path = std::env::temp_dir().join(format!("rufous-doc-{}.sock", std::process::id()));
    /// let server = Server::builder().listen_for(Dialect::Kvstore, path.as_path()).spawn()?;
    /// assert_eq!(server.endpoints()[0].to_string(), format!("kvstore+unix://{}", path.display()));
    /// # Ok::<(), rufous::Error>(())
    /// ```
    #[must_use]
    pub fn listen_for(mut self, dialect: Dialect, address: impl Into<Address>) -> ServerBuilder {
        self.addresses.push(Wanted::Typed(Endpoint { dialect, address: address.into() }));
        self
    }

    /// Sets an option as a line of a configuration file would, such as `("maxmemory", "100mb")`. All of them are in
    /// docs/config.md; `port`, `bind`, `unixsocket` and `listen` are for [`ServerBuilder::listen`] to decide.
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
            self.addresses.push(Wanted::Text(ADDRESS_DEFAULT.to_owned()));
        }
        let mut left = Paths::default();
        let doors = listen_all(&self.addresses, &config, &mut left)?;
        tell_config(&mut config, &doors)?;
        let endpoints: Vec<Endpoint> = doors.iter().map(|door| door.endpoint.clone()).collect();
        let addresses = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
        let listeners = doors.into_iter().map(|door| door.listener).collect();
        let engine = self.settings.engine(config)?;
        let mut reactor = Reactor::new(engine, listeners)?;
        let (stopper, is_stopping) = (reactor.stopper()?, reactor.stop_flag());
        let thread = std::thread::Builder::new().name("rufous".to_owned());
        let thread = thread.spawn(move || reactor.run())?;
        // From here on the loop removes them.
        left.0.clear();
        Ok(Server { endpoints, addresses, stopper, is_stopping, thread: Some(thread) })
    }
}

/// One listening socket of a server to be.
struct Door {
    listener: Listener,
    endpoint: Endpoint,
}

/// Unix sockets of a start that may still fail.
#[derive(Default)]
struct Paths(Vec<PathBuf>);

impl Drop for Paths {
    fn drop(&mut self) {
        for path in &self.0 {
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

    /// Where it listens and what is spoken there, in the order asked for; port 0 has become a number.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Where it listens, whatever is spoken there, in the order asked for.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The first address where this dialect is spoken.
    #[must_use]
    pub fn address_of(&self, dialect: Dialect) -> Option<&Address> {
        self.endpoints.iter().find(|door| door.dialect == dialect).map(|door| &door.address)
    }

    /// Connects to the first of its addresses that is for clients of Redis.
    pub fn connect(&self) -> Result<Client, Error> {
        match self.address_of(Dialect::Resp) {
            Some(address) => Client::connect_to(address),
            None => Err(Error::Io(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the server has no address where RESP is spoken",
            ))),
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
            self.is_stopping.store(true, Ordering::Relaxed);
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

/// Opens all addresses or none; `left` learns of each Unix socket made.
fn listen_all(wanted: &[Wanted], config: &Config, left: &mut Paths) -> Result<Vec<Door>, Error> {
    // All are read before the first is opened: a mistake in one has to leave no trace of another.
    let requests = wanted.iter().map(|wanted| wanted.read(config.dir()));
    let requests = requests.collect::<Result<Vec<_>, Error>>()?;
    let mut doors: Vec<Door> = Vec::new();
    for Request { address: ListenAddress { dialect, place }, is_main } in requests {
        let failed = |place, error| Error::Listen { address: place, error };
        let listener =
            listen_at(&place, config).map_err(|failure| failed(failure.place, failure.error))?;
        left.0.extend(listener.path());
        let is_tcp = matches!(place, ListenPlace::Tcp { .. });
        let is_second = |door: &Door| {
            !door.listener.is_door() && matches!(door.endpoint.address, Address::Tcp(_)) == is_tcp
        };
        // `port` and `unixsocket` are one each; what is more is a `listen` line, which CONFIG SET port leaves alone.
        let is_main = is_main && !doors.iter().any(is_second);
        let listener = if is_main { listener } else { listener.door(dialect) };
        let address = listener.address().map(Address::Tcp);
        let address = address.or_else(|| listener.path().map(Address::Unix));
        let address = address
            .ok_or_else(|| failed(listener.place(), io::ErrorKind::AddrNotAvailable.into()))?;
        doors.push(Door { listener, endpoint: Endpoint { dialect, address } });
    }
    Ok(doors)
}

/// CONFIG GET, INFO and CONFIG SET speak of where the server really listens.
fn tell_config(config: &mut Config, doors: &[Door]) -> Result<(), Error> {
    let mut set = |opt: Opt, value: Vec<u8>| {
        let failed = |reason| Error::Config { option: opt.name().to_owned(), reason };
        config.load(opt, &[value]).map_err(failed)
    };
    set(Opt::Port, b"0".to_vec())?;
    for Door { listener, endpoint } in doors {
        match &endpoint.address {
            _ if listener.is_door() => {
                let mut quoted = Vec::new();
                quote_into(&mut quoted, endpoint.to_string().as_bytes());
                set(Opt::Listen, quoted)?;
            }
            Address::Tcp(address) => {
                set(Opt::Port, address.port().to_string().into_bytes())?;
                set(Opt::Bind, address.ip().to_string().into_bytes())?;
            }
            Address::Unix(path) => {
                set(Opt::UnixSocket, path.display().to_string().into_bytes())?;
            }
        }
    }
    Ok(())
}
