//! Layer `types`.
