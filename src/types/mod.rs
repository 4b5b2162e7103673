//! Layer `types`.
pub mod document;
pub mod lcs;
