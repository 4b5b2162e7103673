//! Layer 5: the commands of Redis, declared and handled. No family imports another.
mod client;
mod client_list;
mod connection;
mod debug;
mod debug_digest;
pub mod execute;
mod help;
pub mod introspect;
pub mod keys;
mod latency_report;
mod lolwut;
mod memory;
pub mod monitor;
mod observe;
mod server;
pub mod spec;
pub mod syntax;
pub mod table;

use spec::Command;

/// All commands by family. A family not listed here is dead code, which the compiler refuses.
pub(crate) const FAMILIES: &[&[Command]] = &[
    client::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    introspect::COMMANDS,
    memory::COMMANDS,
    observe::COMMANDS,
    server::COMMANDS,
];
