//! Why the server cannot start.
//!
//! `Display` gives the whole text for standard error. Errors of the configuration have Redis's
//! form to the letter, version included: tools look for it. The program then exits with 1.

use std::path::PathBuf;

/// The version of Redis whose behaviour is offered.
pub const REDIS_VERSION: &str = "7.0.15";

/// Why the server cannot start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootError {
    /// A directive was refused.
    Config {
        /// Number (from 1) and text of the line; `None` if no line is to blame.
        line: Option<(usize, Vec<u8>)>,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration file cannot be read. Redis logs this one; standard error stays empty.
    Open {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Sentinel mode was asked for.
    Sentinel,
}

impl std::fmt::Display for BootError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BootError::Config { line, reason } => {
                writeln!(out, "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***")?;
                if let Some((number, text)) = line {
                    writeln!(out, "Reading the configuration file, at line {number}")?;
                    writeln!(out, ">>> '{}'", String::from_utf8_lossy(text))?;
                }
                writeln!(out, "{reason}")
            }
            BootError::Open { path, reason } => {
                writeln!(out, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
            BootError::Sentinel => writeln!(out, "Rufous has no Sentinel mode"),
        }
    }
}

impl std::error::Error for BootError {}
