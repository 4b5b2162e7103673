//! Rufous: a Redis-compatible in-memory cache on one thread.
pub mod base;
pub mod proto;
pub mod types;
pub mod store;
pub mod persist;
pub mod engine;
pub mod command;
pub mod net;
pub mod boot;
