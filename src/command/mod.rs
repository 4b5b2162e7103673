//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod config;
pub mod execute;
pub mod introspect;
pub mod keys;
mod lcs;
mod monitor;
mod options;
pub mod spec;
mod string;
mod string_number;
mod string_range;
mod string_set;
#[cfg(test)]
mod string_tests;
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
    config::COMMANDS,
    introspect::COMMANDS,
];
