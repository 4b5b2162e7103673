//! Access control: who may run which commands on which keys and channels.
//!
//! ```text
//! rule ──▶ User (Selector, Selector, …) ──▶ describe
//!                 │
//! Acl: name → User          Session::user → Identity ──▶ Acl::user_of ──▶ User::check
//! ```
//!
//! Rules are text that changes a user (`rule`); a user is a few sets of permissions (`selector`) in the form in which
//! they are checked: a bit per command, patterns for keys and channels. `describe` makes rules of a user again.
//! `check` is what the rest of the server asks.
//!
//! Promise: a client whose user may do everything pays nothing: the bit `ACL` of its session is only set for others.
//! Nothing of a password is kept but its hash.
pub mod check;
pub mod commands;
pub mod denials;
mod describe;
pub mod file;
mod manage;
pub mod rule;
pub mod selector;
#[cfg(test)]
mod tests;
pub mod user;
pub mod users;

pub use check::{Checking, check, check_channels, check_slice, may_read_all_keys, may_run};
pub use denials::{AclLog, Context, Reason};
pub use file::FileParser;
pub use user::User;
pub use users::{Accounts, Acl, Identity};
