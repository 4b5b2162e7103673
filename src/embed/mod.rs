//! Layer 7: Rufous inside another program: a server on a thread of its own, an engine without sockets, a client.
//!
//! What is here is what the crate promises to programs: [`Server`], [`Engine`], [`Client`], [`Reply`], [`Error`].
//! None of it installs signal handlers or a logger, changes the working directory or keeps global state.
pub mod address;
pub mod client;
pub mod engine;
pub mod error;
pub mod reply;
pub mod server;
mod settings;

pub use address::{Address, Endpoint};
pub use client::{Client, Pipeline};
pub use engine::{Engine, EngineBuilder};
pub use error::Error;
pub use reply::Reply;
pub use server::{Server, ServerBuilder};
