//! Layer `boot`.
