//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod execute;
pub mod config;
pub mod introspect;
pub mod keys;
mod monitor;
mod lcs;
mod options;
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
    config::COMMANDS,
    introspect::COMMANDS,
];
