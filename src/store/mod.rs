//! Layer `store`: the keyspace.
//!
//! A database (`Db`) is a table of handles (`table`), the heap those handles point into (`heap`),
//! and the large values that do not fit there (`blocks`). `entry` is the byte layout of one key
//! with its value. Everything above this layer sees keys, values and TTLs only.

use std::fmt;

mod access;
mod aggregate;
mod ahead;
mod big_string;
mod blocks;
mod compact;
mod db;
mod db_string;
mod edit_text;
mod entry;
mod expire;
mod field_expiry;
mod fifo;
mod flush;
mod heap;
mod holds;
mod owned;
mod sample;
mod scan;
mod typed;
mod view;
mod walk;
mod wheel;

pub use crate::base::memory::OutOfMemory;
pub use aggregate::ValueRef;
pub use ahead::{Lead, Number};
pub use big_string::BigEdit;
pub use db::{Db, DbMemory, DbStats, News};
pub use db_string::{NewString, Replaced, Ttl};
pub use entry::Kind;
pub use expire::{ExpireProgress, SweepProgress};
pub use field_expiry::ReclaimProgress;
pub use flush::Detached;
pub use heap::Handle;
pub use holds::{Hold, Holds};
pub use owned::{OwnedEntry, OwnedValue};
pub use sample::{Candidate, Evicted, Rank, SAMPLES_MAX, Sampled, Scope};
pub use typed::Scalar;
pub use view::{EntryRef, StringRef};
pub use walk::{Visitor, WalkId};

/// The key holds a value of another kind than the operation wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl fmt::Display for WrongType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("value of another type")
    }
}

impl std::error::Error for WrongType {}

/// Why an edit of a value was refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The key holds another kind of value.
    WrongType,
    /// No memory for the result.
    OutOfMemory,
}

impl From<WrongType> for EditError {
    fn from(_: WrongType) -> EditError {
        EditError::WrongType
    }
}

impl From<OutOfMemory> for EditError {
    fn from(_: OutOfMemory) -> EditError {
        EditError::OutOfMemory
    }
}
