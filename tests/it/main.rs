//! The behaviour corpus (`tests/scripts/*.txt`) played against a real Redis, against our server
//! over sockets, and against the engine in process. `tests/scripts/README.md` describes the format.
//!
//! `SCRIPTS=strings,keys` plays only the files whose names contain one of those words;
//! `UPDATE_SCRIPTS=1 cargo test --test it redis::` records what the real Redis answers.

mod engine;
mod random;
mod redis;
mod reports;
mod support;
mod tcp;
