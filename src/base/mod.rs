//! Layer `base`.

pub mod number;
