//! Layer 0: what could be another project's. Imports std and crates only.
pub mod block;
pub mod clock;
pub mod memory;
pub mod sys;
