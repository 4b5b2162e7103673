//! Layer 4: all that a command may touch; no socket.
pub mod background;
pub mod clients;
pub mod ctx;
#[allow(clippy::module_inception)]
pub mod engine;
pub mod error;
pub mod graveyard;
pub mod host;
pub mod latency;
pub mod outbox;
pub mod session;
pub mod slowlog;
pub mod stats;
