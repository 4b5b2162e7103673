//! Layer `types`.
pub mod lcs;
