//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod config;
mod database;
mod dump;
pub mod execute;
mod expire;
mod client;
mod client_list;
mod connection;
mod debug;
mod debug_digest;
mod help;
pub mod introspect;
mod key;
pub mod keys;
mod lcs;
mod monitor;
mod object;
mod options;
mod scan;
mod latency_report;
mod lolwut;
mod memory;
mod observe;
mod server;
pub mod spec;
mod string;
mod string_number;
mod string_range;
mod string_set;
mod string_value;
pub mod syntax;
pub mod table;

use spec::Command;

/// All commands by family. A family not listed here is dead code, which the compiler refuses.
pub(crate) const FAMILIES: &[&[Command]] = &[
    client::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    introspect::COMMANDS,
    lcs::COMMANDS,
    memory::COMMANDS,
    observe::COMMANDS,
    server::COMMANDS,
    string::COMMANDS,
    string_number::COMMANDS,
    string_range::COMMANDS,
    lcs::COMMANDS,
    key::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
    dump::COMMANDS,
    database::COMMANDS,
    config::COMMANDS,
    introspect::COMMANDS,
    string_set::COMMANDS,
];
