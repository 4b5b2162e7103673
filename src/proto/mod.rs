//! Layer `proto`.
