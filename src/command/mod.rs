//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod config;
mod database;
mod dump;
pub mod execute;
mod expire;
pub mod introspect;
mod key;
pub mod keys;
mod lcs;
mod monitor;
mod object;
mod options;
mod scan;
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
    string::COMMANDS,
    string_set::COMMANDS,
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
];

#[cfg(test)]
mod keyspace_tests;
