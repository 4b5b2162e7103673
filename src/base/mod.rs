//! Layer `base`.

pub mod glob;
pub mod number;
