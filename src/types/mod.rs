//! Layer `types`.
pub mod bitfield;
pub mod bits;
pub mod document;
pub mod hyperloglog;
pub mod lcs;
