//! Layer `engine`.
