//! Units of time that cross layers.

/// A point in time: milliseconds since 1970-01-01 UTC, as Redis counts expiry.
pub type UnixMillis = i64;
