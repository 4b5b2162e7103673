//! Rufous: a Redis-compatible in-memory cache on one thread.
pub mod base;
pub mod boot;
pub mod command;
pub mod dialect;
pub mod engine;
pub mod net;
pub mod persist;
pub mod proto;
pub mod store;
pub mod types;
