//! Layer `base`.
