//! What the network layer does for a command at once, because its reply depends on it.
use crate::engine::config::{Config, Opt};

/// The server around an engine.
pub trait Host: Send {
    /// Carries out changed options that concern sockets and limits (`port`, `bind`, `maxclients`…).
    /// The error is shown to the client, in Redis's words; nothing has changed then.
    fn apply(&mut self, changed: &[Opt], config: &Config) -> Result<(), HostError>;

    /// Whether [`Host::fork`] may be asked at all: not where the server is a part of another program.
    fn may_fork(&self) -> bool;

    /// Makes a process with a copy of all, which serves the client of this descriptor and nobody else. The one that
    /// called forgets that client.
    ///
    /// # Errors
    /// What the system says.
    fn fork(&mut self, client_fd: i32, config: &Config) -> Result<Side, String>;

    /// Forgets such processes that have ended.
    fn reap(&mut self);

    /// Ends such processes, and waits until they have ended.
    fn end_children(&mut self);

    /// A way to talk to the client of this descriptor while its command runs, past what waits to be sent to it.
    ///
    /// # Errors
    /// What the system says.
    fn open_line(&self, client_fd: i32) -> Result<Box<dyn Line>, String>;
}

/// Which of two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was.
    Parent,
    /// The new one.
    Child,
}

/// A conversation with one client, for which everything else waits.
pub trait Line {
    /// Sends all of it, or as much as the client takes within five seconds.
    fn send(&mut self, bytes: &[u8]);

    /// Waits for something from the client and appends it.
    fn receive(&mut self, into: &mut Vec<u8>) -> Heard;
}

/// What [`Line::receive`] has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something, 1024 bytes at most.
    Bytes,
    /// The client has gone.
    Gone,
    /// The server is to end.
    Stop,
}

/// Why an option could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The option.
    pub option: Opt,
    /// The reason, in Redis's words.
    pub reason: String,
}
