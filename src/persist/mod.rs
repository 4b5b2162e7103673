//! Layer `persist`.
