//! Layer `engine`.
pub mod config;
mod config_check;
pub mod config_choice;
pub mod config_docs;
pub mod config_notify;
pub mod config_rewrite;
pub mod config_spec;
pub mod config_table;
pub(crate) mod config_value;
