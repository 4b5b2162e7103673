//! Layer 7: arguments and configuration files → a running server.
pub mod argv;
pub mod config_file;
pub mod error;
pub mod logging;
pub mod start;
#[cfg(test)]
mod tests;
