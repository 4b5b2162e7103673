//! Why the server cannot start.
//!
//! `message` gives the whole text for standard error. Errors of the configuration have Redis's
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

impl BootError {
    /// The text to print, with what was read as it was read, whatever its encoding.
    pub fn message(&self) -> Vec<u8> {
        match self {
            BootError::Config { line, reason } => {
                let head = "\n*** FATAL CONFIG FILE ERROR (Redis ";
                let mut text = format!("{head}{REDIS_VERSION}) ***\n").into_bytes();
                if let Some((number, line)) = line {
                    let place = format!("Reading the configuration file, at line {number}\n>>> '");
                    text.extend_from_slice(place.as_bytes());
                    text.extend_from_slice(line);
                    text.extend_from_slice(b"'\n");
                }
                text.extend_from_slice(reason.as_bytes());
                text.push(b'\n');
                text
            }
            BootError::Open { path, reason } => {
                let path = path.display();
                format!("Fatal error, can't open config file '{path}': {reason}\n").into_bytes()
            }
            BootError::Sentinel => b"Rufous has no Sentinel mode\n".to_vec(),
        }
    }
}

impl std::fmt::Display for BootError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for BootError {}
