//! Layer 4: all that a command may touch; no socket.
pub mod background;
pub mod clients;
pub mod config;
mod config_check;
pub mod config_choice;
pub mod config_docs;
pub mod config_notify;
pub mod config_rewrite;
pub mod config_spec;
pub mod config_table;
pub(crate) mod config_value;
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
