//! Layer 4: all that a command may touch; no socket.
pub mod background;
pub mod client_line;
pub mod clients;
pub mod config;
mod config_check;
pub mod config_choice;
pub mod config_docs;
pub mod config_notify;
pub mod config_rewrite;
pub mod config_spec;
pub mod config_table;
#[cfg(test)]
mod config_tests;
pub(crate) mod config_value;
pub mod ctx;
pub mod debug_settings;
#[allow(clippy::module_inception)]
pub mod engine;
pub mod error;
pub mod evict;
mod evict_pool;
pub mod graveyard;
pub mod host;
pub mod info;
mod info_load;
pub mod info_memory;
pub mod latency;
pub mod listen;
pub mod monitor;
pub mod outbox;
pub mod redact;
pub mod session;
pub mod slowlog;
pub mod spec;
pub mod stats;
pub mod table;
mod trim;
pub mod verbs;
