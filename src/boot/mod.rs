//! Layer `boot`.
pub mod argv;
pub mod config_file;
pub mod error;
