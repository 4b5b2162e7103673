//! ACL LOG: what was denied, to whom, where. Newest first; what happens again within a minute is counted, not added.
use std::collections::VecDeque;

/// What was denied, or to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// Somebody who gave a wrong password, or no user's name.
    Auth,
}

impl Reason {
    /// As ACL LOG prints it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// What the request was part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Of nothing.
    Toplevel,
    /// Of a transaction, when it was queued or when it was to run.
    Multi,
    /// Of a script or a function.
    Lua,
}

impl Context {
    /// As ACL LOG prints it.
    pub fn name(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// One thing that was denied, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How often.
    pub count: u64,
    /// What.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The full name of the command, the key or the channel; for a wrong password the command as it was sent.
    pub object: Vec<u8>,
    /// The user.
    pub username: Vec<u8>,
    /// The last time, in milliseconds since 1970.
    pub last_ms: i64,
    /// The client it last happened to, as CLIENT LIST shows it.
    pub client: String,
}

impl Entry {
    fn is_same_as(&self, other: &Entry) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && self.last_ms.abs_diff(other.last_ms) <= SAME_WITHIN_MS
            && self.object == other.object
            && self.username == other.username
    }
}

/// How long after the last time the same counts as happening again.
const SAME_WITHIN_MS: u64 = 60_000;
/// How many entries, the newest ones, are compared.
const COMPARED: usize = 10;

/// The log.
#[derive(Clone, Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
}

impl AclLog {
    /// Adds what was denied just now, or counts it with an entry that tells the same, and drops what is over
    /// `entries_max`. O(1), but for an entry that moves to the front: O(10).
    pub fn add(&mut self, entry: Entry, entries_max: usize) {
        let same = self.entries.iter().take(COMPARED).position(|known| known.is_same_as(&entry));
        if let Some(known) = same.and_then(|at| self.entries.remove(at)) {
            self.entries.push_front(Entry { count: known.count + 1, ..entry });
            return;
        }
        self.entries.push_front(entry);
        self.entries.truncate(entries_max);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Drops all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}
