//! Why a command failed, and Redis's exact words for it.
use std::borrow::Cow;

use crate::proto::limits::INLINE_BYTES_MAX;
use crate::store::{EditError, OutOfMemory, WrongType};

/// An error reply. The first word is its code, which `INFO errorstats` counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CmdError {
    /// The key holds another type.
    WrongType,
    /// Options that do not belong together or do not exist.
    Syntax,
    /// Not a 64-bit integer.
    NotInteger,
    /// Not a floating-point number.
    NotFloat,
    /// The key has to exist.
    NoSuchKey,
    /// The heap cannot grow: memory or address space is exhausted.
    OutOfMemory,
    /// An expiry that is no point in time; holds the command's full name.
    InvalidExpire(&'static str),
    /// Wrong number of arguments for this command (full name).
    Arity(&'static str),
    /// No error: the command goes on as a job, and its reply comes later.
    Parked,
    /// No error: the client waits for keys, and its reply comes later.
    Blocked,
    /// No error: the command runs others, which its handler cannot ([`Ctx::run_compound`]).
    ///
    /// [`Ctx::run_compound`]: crate::engine::ctx::Ctx::run_compound
    Compound,
    /// Any other fixed text, code included.
    Text(&'static str),
    /// Any other text, code included.
    Owned(Vec<u8>),
}

/// A write where `min-replicas-to-write` asks for replicas that are not there.
pub const NO_REPLICAS: CmdError = CmdError::Text("NOREPLICAS Not enough good replicas to write.");

impl CmdError {
    /// The whole line, code included, without `-` and line end.
    pub fn message(&self) -> Cow<'_, [u8]> {
        let text = match self {
            CmdError::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            CmdError::Syntax => "ERR syntax error",
            CmdError::NotInteger => "ERR value is not an integer or out of range",
            CmdError::NotFloat => "ERR value is not a valid float",
            CmdError::NoSuchKey => "ERR no such key",
            CmdError::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            CmdError::InvalidExpire(command) => {
                return Cow::Owned(
                    format!("ERR invalid expire time in '{command}' command").into_bytes(),
                );
            }
            CmdError::Arity(command) => {
                return Cow::Owned(
                    format!("ERR wrong number of arguments for '{command}' command").into_bytes(),
                );
            }
            // Never shown: whoever runs a handler takes the job.
            CmdError::Parked => "ERR the command goes on as a job",
            CmdError::Blocked => "ERR the client waits for keys",
            CmdError::Compound => "ERR the command runs others",
            CmdError::Text(text) => text,
            CmdError::Owned(text) => return Cow::Borrowed(text),
        };
        Cow::Borrowed(text.as_bytes())
    }

    /// An error whose text holds something the client sent, in pieces.
    pub fn owned(parts: &[&[u8]]) -> CmdError {
        CmdError::Owned(parts.concat())
    }

    /// `ERR unknown command …`, with as much of the arguments as Redis shows (128 bytes each part).
    pub fn unknown_command<'a>(name: &[u8], arguments: impl Iterator<Item = &'a [u8]>) -> CmdError {
        const SHOWN_BYTES: usize = 128;
        let mut shown = Vec::new();
        for argument in arguments {
            if shown.len() >= SHOWN_BYTES {
                break;
            }
            let room = SHOWN_BYTES - shown.len();
            shown.push(b'\'');
            shown.extend_from_slice(up_to_nul(&argument[..argument.len().min(room)]));
            shown.extend_from_slice(b"' ");
        }
        let name = up_to_nul(&name[..name.len().min(SHOWN_BYTES)]);
        CmdError::owned(&[b"ERR unknown command '", name, b"', with args beginning with: ", &shown])
    }

    /// `ERR unknown subcommand …`, as every container command answers.
    pub fn unknown_subcommand(command: &str, subcommand: &[u8]) -> CmdError {
        let shown = up_to_nul(&subcommand[..subcommand.len().min(128)]);
        let upper = command.to_ascii_uppercase();
        CmdError::owned(&[
            b"ERR unknown subcommand '",
            shown,
            b"'. Try ",
            upper.as_bytes(),
            b" HELP.",
        ])
    }

    /// `ERR Unknown subcommand or wrong number of arguments for …`, in commands that dispatch by themselves.
    pub fn subcommand_syntax(command: &str, subcommand: &[u8]) -> CmdError {
        let shown = up_to_nul(&subcommand[..subcommand.len().min(128)]);
        let upper = command.to_ascii_uppercase();
        CmdError::owned(&[
            b"ERR unknown subcommand or wrong number of arguments for '",
            shown,
            b"'. Try ",
            upper.as_bytes(),
            b" HELP.",
        ])
    }
}

impl From<WrongType> for CmdError {
    fn from(_: WrongType) -> CmdError {
        CmdError::WrongType
    }
}

impl From<OutOfMemory> for CmdError {
    fn from(_: OutOfMemory) -> CmdError {
        CmdError::OutOfMemory
    }
}

impl From<EditError> for CmdError {
    fn from(error: EditError) -> CmdError {
        match error {
            EditError::WrongType => CmdError::WrongType,
            EditError::OutOfMemory => CmdError::OutOfMemory,
        }
    }
}

/// Redis prints what clients sent with `%s`: it ends at a NUL.
fn up_to_nul(bytes: &[u8]) -> &[u8] {
    debug_assert!(bytes.len() <= INLINE_BYTES_MAX);
    bytes.iter().position(|&byte| byte == 0).map_or(bytes, |end| &bytes[..end])
}
