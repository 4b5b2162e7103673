//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod execute;
pub mod introspect;
pub mod keys;
pub mod monitor;
pub mod spec;
pub mod syntax;
pub mod table;

use spec::Command;

/// All commands by family. A family not listed here is dead code, which the compiler refuses.
pub(crate) const FAMILIES: &[&[Command]] = &[introspect::COMMANDS];
