//! Layer 0: what could be another project's. Imports std and crates only.
pub mod block;
pub mod clock;
pub mod crc;
pub mod glob;
pub mod hash;
pub mod histogram;
pub mod long_double;
pub mod lzf;
pub mod memory;
pub mod memory_limit;
pub mod number;
pub mod oom_score;
pub mod quote;
pub mod random;
pub mod sys;
pub mod time;
mod wide;
