//! Big strings, shared by reference.
//!
//! A value above the heap's largest class lives in a `Block`: the keyspace, a request that carried it in
//! and a reply that carries it out hold references to the same bytes, so a big value is never copied
//! between socket and keyspace. A writer edits it in place while nobody else looks, and copies otherwise
//! (`Arc::make_mut`).
use std::sync::Arc;

/// A refcounted string. `Arc`, not `Rc`, so that an engine may be moved to another thread.
pub type Block = Arc<Vec<u8>>;
