//! What the engine asks of the network layer, collected while commands run and carried out after each.
use std::sync::Arc;

use crate::engine::tracking::Pending;
use crate::proto::reply::Output;

/// Messages and requests to the network layer.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Bytes for other clients: the client's slot, the encoded message.
    pub messages: Vec<(usize, Arc<[u8]>)>,
    /// Lines of MONITOR, in the same form: a command is shown after all that it tells others.
    pub monitor_lines: Vec<(usize, Arc<[u8]>)>,
    /// Something was published since the last look: `Shared::pubsub` knows what and to whom.
    pub has_letters: bool,
    /// What clients are told of copies of keys once the reply is complete that is being written to them.
    pub pending: Vec<Pending>,
    /// Clients to be closed at once (CLIENT KILL), by slot.
    pub kills: Vec<usize>,
    /// Clients whose command waited for a key and may run now, by slot.
    pub wakes: Vec<usize>,
    /// Replies of commands that ran as jobs, with the slots of their clients.
    pub replies: Vec<(usize, Output)>,
    /// The server is to end.
    pub shutdown: Option<Shutdown>,
    /// A signal asked for that: it ends after this turn, or, while DEBUG PAUSE-CRON lasts, after that. Until then
    /// SHUTDOWN ABORT can prevent it.
    pub scheduled_shutdown: Option<Shutdown>,
    /// This process was made for the client in this slot, whose debugged script is over: it ends, once he has all.
    pub farewell: Option<usize>,
}

/// What SHUTDOWN or a signal asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Leave even where something cannot be saved.
    pub is_forced: bool,
}

impl Outbox {
    /// Whether nothing waits: the usual case, tested after every command.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.monitor_lines.is_empty()
            && !self.has_letters
            && self.pending.is_empty()
            && self.kills.is_empty()
            && self.wakes.is_empty()
            && self.replies.is_empty()
            && self.shutdown.is_none()
            && self.farewell.is_none()
    }
}
