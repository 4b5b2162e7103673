//! Layer 0: what could be another project's. Imports std and crates only.
pub mod block;
pub mod clock;
pub mod memory;
pub mod sys;
//! Layer `base`.

pub mod crc;
pub mod glob;
pub mod histogram;
pub mod long_double;
pub mod lzf;
pub mod number;
pub mod quote;
pub mod random;
mod wide;
