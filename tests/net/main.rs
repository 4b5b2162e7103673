//! The server as a program, over real sockets: what no in-process test can show.
//!
//! Each test starts a server of its own on a free port and talks to it in the worst manner it can think of:
//! requests in pieces, replies not read, sockets closed at the wrong moment. Where Redis 7 behaves in a way worth
//! copying, the same script runs against `redis-server`, if one is installed. `RUFOUS_LONG=1` makes the random
//! ones long.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
mod big;
mod blocking;
mod boot;
mod client;
mod client_eviction;
mod closing;
mod doors;
mod every_door;
mod expiry;
mod figures;
mod frames;
mod in_pieces;
mod jobs;
mod limits;
mod migrate;
mod noise;
mod pause;
mod pieces;
mod pubsub;
mod script_debug;
mod server;
mod slices;
mod sort;
mod stalls;
mod turns;
mod watching;
