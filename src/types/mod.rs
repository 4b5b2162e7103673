//! Layer `types`.
pub mod counted_tree;
pub mod document;
pub mod lcs;
