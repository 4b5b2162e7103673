//! Layer `base`.

pub mod crc;
pub mod glob;
pub mod lzf;
pub mod number;
pub mod quote;
pub mod random;
