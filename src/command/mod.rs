//! Layer 5: the commands of Redis, declared and handled. No family imports another.
mod bit_edit;
mod bitfield;
mod bitmap;
mod bitop;
mod client;
mod client_list;
mod clock;
pub mod config;
mod connection;
mod database;
mod debug;
mod debug_digest;
pub mod direct;
mod distribution;
mod dump;
pub mod execute;
mod expire;
mod help;
mod hyperloglog;
pub mod introspect;
mod key;
pub mod keys;
mod latency_report;
mod lcs;
mod lolwut;
mod memory;
mod object;
mod observe;
mod options;
pub mod run_jobs;
mod scan;
mod server;
mod stalls;
mod string;
mod string_number;
mod string_range;
mod string_set;
#[cfg(test)]
mod string_tests;
mod string_value;
pub mod syntax;

use std::sync::LazyLock;

pub use crate::engine::{spec, table};
use spec::Command;
use table::{Catalogue, CommandTable};

/// All commands by family. A family not listed here is dead code, which the compiler refuses.
pub(crate) const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    string_set::COMMANDS,
    string_number::COMMANDS,
    string_range::COMMANDS,
    lcs::COMMANDS,
    bitmap::COMMANDS,
    bitfield::COMMANDS,
    bitop::COMMANDS,
    hyperloglog::COMMANDS,
    key::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
    dump::COMMANDS,
    database::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    observe::COMMANDS,
    stalls::COMMANDS,
    memory::COMMANDS,
    debug::COMMANDS,
    clock::COMMANDS,
    config::COMMANDS,
    introspect::COMMANDS,
];

#[cfg(test)]
mod keyspace_tests;

/// The families' commands, numbered.
pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::of(FAMILIES));

impl Default for CommandTable {
    fn default() -> CommandTable {
        CommandTable::new()
    }
}

impl CommandTable {
    /// All commands under their own names. Some microseconds.
    pub fn new() -> CommandTable {
        CommandTable::over(&CATALOGUE)
    }
}
