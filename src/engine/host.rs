//! What the network layer does for a command at once, because its reply depends on it.
use crate::engine::config::{Config, Opt};

/// The server around an engine.
pub trait Host: Send {
    /// Carries out changed options that concern sockets and limits (`port`, `bind`, `maxclients`…).
    /// The error is shown to the client, in Redis's words; nothing has changed then.
    fn apply(&mut self, changed: &[Opt], config: &Config) -> Result<(), HostError>;
}

/// Why an option could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The option.
    pub option: Opt,
    /// The reason, in Redis's words.
    pub reason: String,
}
