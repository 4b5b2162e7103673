//! What can go wrong for a program that embeds Rufous or talks to it.
use std::fmt;
use std::io;

use crate::embed::reply::Reply;
use crate::engine::error::CmdError;

/// Why something did not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An option of the configuration was refused.
    Config {
        /// The option.
        option: String,
        /// Why, in the words of a configuration file's error.
        reason: String,
    },
    /// An address to listen at that makes no sense.
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server could not listen.
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The connection or the thread failed.
    Io(io::Error),
    /// The command was refused: the whole line, code first, such as `WRONGTYPE Operation against …`.
    Command(String),
    /// A reply of another type than the command has.
    Unexpected(Reply),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config { option, reason } => write!(out, "option {option}: {reason}"),
            Error::Address { address, reason } => write!(out, "address {address:?}: {reason}"),
            Error::Listen { address, error } => write!(out, "listening on {address}: {error}"),
            Error::Io(error) => error.fmt(out),
            Error::Command(message) => out.write_str(message),
            Error::Unexpected(reply) => write!(out, "unexpected reply: {reply:?}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Listen { error, .. } | Error::Io(error) => Some(error),
            Error::Config { .. }
            | Error::Address { .. }
            | Error::Command(_)
            | Error::Unexpected(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

impl From<CmdError> for Error {
    #[cold]
    fn from(error: CmdError) -> Error {
        Error::Command(String::from_utf8_lossy(&error.message()).into_owned())
    }
}
