//! Large strings, shared by reference count.
//!
//! A value above a few KiB lives in a block of its own, so a reply can leave by reference while
//! the key is overwritten, and COPY and SET of a large argument move a pointer, not bytes. Whoever
//! edits a block must own it alone (`Arc::get_mut`) or copy it first.

use std::sync::Arc;

/// A reference-counted large string. Cloning is one counter increment.
pub type Block = Arc<Vec<u8>>;
