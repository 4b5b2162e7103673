//! Rufous: a Redis-compatible in-memory cache on one thread, as a crate.
//!
//! | you want | you use |
//! |---|---|
//! | a server inside your program or test, for any Redis client | [`Server`] |
//! | the keyspace itself, without a socket between | [`Engine`] |
//! | to talk to a server from a test or script | [`Client`] |
//! | the server as a program | `cargo install rufous` |
//!
//! # A server
//!
//! It runs on a thread of its own and ends when its handle is dropped. It installs no signal handler and no logger,
//! changes no working directory and shares nothing with other servers, so every test can have one of its own: start
//! and stop together take about a millisecond.
//!
//! ```
//! use rufous::Server;
//!
//! let server = Server::builder()
//!     .listen("127.0.0.1:0")
//!     .config("maxclients", "100")
//!     .spawn()?;
//! println!("connect any client of Redis to {}", server.addresses()[0]);
//! let mut client = server.connect()?;
//! client.set("greeting", "hello")?;
//! assert_eq!(client.get("greeting")?, Some(b"hello".to_vec()));
//! # Ok::<(), rufous::Error>(())
//! ```
//!
//! Clients of other protocols are served beside it, on the same data: [`ServerBuilder::listen`] takes an address for
//! each [`Dialect`], and [`Server::endpoints`] tells where they are.
//!
//! ```
//! use rufous::{Dialect, Server};
//!
//! let server = Server::builder().listen("127.0.0.1:0").listen("msgpack://127.0.0.1:0").spawn()?;
//! let Some(address) = server.address_of(Dialect::Msgpack) else { unreachable!() };
//! println!("clients of MessagePack connect to {address}");
//! # Ok::<(), rufous::Error>(())
//! ```
//!
//! # An engine
//!
//! All commands through [`Engine::execute`]; the commonest also as methods that never make or read RESP. To read one
//! key, [`Engine::get_with`] lends the value and [`Engine::get_into`] fills a buffer of yours; many keys at once are
//! read three to five times faster by [`Engine::get_many`], because their cache misses overlap.
//!
//! ```
//! use rufous::{Engine, Reply};
//! use std::time::Duration;
//!
//! let mut engine = Engine::new();
//! engine.set(b"session:1", b"{}", Some(Duration::from_secs(60)))?;
//! assert_eq!(engine.execute(&[b"TTL", b"session:1"]), Reply::Int(60));
//! engine.advance(Duration::from_secs(61));
//! assert_eq!(engine.get(b"session:1")?, None);
//! # Ok::<(), rufous::Error>(())
//! ```
//!
//! # Errors
//!
//! Whatever can fail gives an [`Error`]: a wrong option or address by [`ServerBuilder::spawn`], before anything is left
//! behind; a command that was refused as [`Error::Command`] with the whole line, code first, from the typed methods.
//! [`Engine::execute`] and [`Client::command`] give every reply as it came, [`Reply::Error`] too; [`Reply::ok`] turns
//! that into an `Error`.
//!
//! # Tests of what depends on time or chance
//!
//! In test mode CLOCK stops and moves a server's time, and a seed makes every random choice repeatable: the same trace
//! of commands then has the same replies, byte for byte.
//!
//! ```
//! let server = rufous::Server::builder().test_mode().seed(7).spawn()?;
//! let mut client = server.connect()?;
//! client.command(&["CLOCK", "FREEZE"])?.ok()?;
//! client.command(&["SET", "code", "1234", "EX", "30"])?.ok()?;
//! client.command(&["CLOCK", "ADVANCE", "30001"])?.ok()?;
//! assert_eq!(client.get("code")?, None);
//! # Ok::<(), rufous::Error>(())
//! ```
//!
//! # Memory figures
//!
//! `used_memory` of INFO counts what [`base::memory::CountingAllocator`] sees; a program that wants the figure
//! installs it as its global allocator. It counts the whole process. Otherwise only the keyspace's heaps are counted.
//!
//! # Stability
//!
//! What is re-exported here is the crate's interface. The modules below are its inside, layer by layer from the
//! lowest, public for the program, the tests and the fuzzers: they change without notice.
pub mod base;
pub mod proto;
pub mod types;

pub mod store;

pub mod persist;

pub mod script;

pub mod engine;

pub mod command;

pub mod dialect;

pub mod net;

pub mod boot;

pub mod embed;

pub use base::clock::Clock;
pub use embed::{
    Address, Client, Endpoint, Engine, EngineBuilder, Error, Pipeline, Reply, Server, ServerBuilder,
};
pub use proto::dialect::Dialect;
