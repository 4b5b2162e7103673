//! Skeleton.
use crate::dialect::{FrameLimits, Split};
use crate::engine::engine::Engine;
use crate::engine::session::Session;
use crate::proto::reply::Output;

/// Nothing to remember.
#[derive(Debug, Default)]
pub struct State;

/// Finds the end of the request at the start of `unread`.
pub fn split(_state: &mut State, _unread: &[u8], _limits: &FrameLimits) -> Split {
    Split::Incomplete
}

/// Runs one request.
pub fn run(_engine: &mut Engine, _session: &mut Session, _frame: &[u8], _out: &mut Output) {}

/// Whether a whole request may change something.
pub fn may_write(_frame: &[u8]) -> bool {
    true
}

/// Appends an error.
pub fn error(_text: &[u8], _out: &mut Output) {}
