//! Rufous as a crate: what a program that embeds it relies on, through nothing but the public interface.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
mod clock;
mod doors;
mod engine;
mod server;
