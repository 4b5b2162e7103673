//! Layer 1: bytes and their meaning. No socket, no keyspace, no clock.
pub mod args;
pub mod dialect;
pub mod error;
pub mod limits;
pub mod output;
pub mod reply;
pub mod request;
