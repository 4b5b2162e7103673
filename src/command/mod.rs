//! Layer 5: the commands of Redis, declared and handled. No family imports another.
pub mod spec;
