//! Layer `base`.
pub mod block;
pub mod hash;
pub mod time;
