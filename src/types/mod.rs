//! Layer `types`.
pub mod document;
pub mod intset;
pub mod lcs;
pub mod listpack;
mod listpack_item;
