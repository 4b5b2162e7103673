//! Layer 4: all that a command may touch; no socket.
pub mod ctx;
pub mod error;
