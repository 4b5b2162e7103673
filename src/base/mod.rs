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
