//! Layer `base`.

pub mod crc;
pub mod glob;
pub mod number;
