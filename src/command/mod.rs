//! Layer `command`.
