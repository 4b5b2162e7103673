//! Layer `engine`.
pub mod config;
mod config_check;
pub mod config_choice;
pub mod config_docs;
pub mod config_notify;
pub mod config_rewrite;
pub mod config_spec;
pub mod config_table;
#[cfg(test)]
mod config_tests;
pub(crate) mod config_value;
