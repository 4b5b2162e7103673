//! Client-side caching (CLIENT TRACKING): clients keep copies of what they read, and are told when a copy is void.
pub mod broadcast;
pub mod mode;
pub mod notice;
pub mod readers;
