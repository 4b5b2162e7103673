//! What a client has queued since MULTI.
//!
//! Commands wait as they came: looked up and checked, their arguments copied out of the turn's buffer (big ones by
//! reference). EXEC runs them in `command::transaction`.
use std::collections::BTreeSet;

use crate::base::chunks::Chunks;
use crate::base::hash::KeyHasher;
use crate::base::pieces::{Garbage, Progress};
use crate::engine::session::{Executing, Session, restraint};
use crate::engine::spec::{Command, flag};
use crate::engine::table::Found;
use crate::proto::args::{Args, OwnedArgs};

/// One command that waits for EXEC.
#[derive(Clone)]
pub struct Queued {
    /// The command, or the subcommand.
    pub found: Found,
    /// Its request.
    pub args: OwnedArgs,
}

/// Requests of megabytes, or very many.
impl Garbage for Chunks<Queued> {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            let Some(queued) = self.last_mut() else { return Progress::Done };
            if !queued.args.is_big() || queued.args.free_slice(1).is_done() {
                self.pop();
            }
        }
        if self.is_empty() { Progress::Done } else { Progress::More }
    }
}

/// The commands between MULTI and EXEC.
#[derive(Clone, Default)]
pub struct Transaction {
    commands: Chunks<Queued>,
    /// The flags of all of them together.
    flags: u32,
    keys: usize,
    /// The databases that its commands select.
    dbs: BTreeSet<usize>,
    bytes: usize,
    /// A command could not be queued, so EXEC will refuse.
    is_aborted: bool,
    /// A command looks at whole databases, or moves them.
    is_about_all: bool,
}

impl Transaction {
    /// Queues a command that names so many keys; `flags` are its command's, or what its script says of itself. After an
    /// error nothing is kept any more: it would not run.
    pub fn push(&mut self, found: Found, flags: u32, args: OwnedArgs, keys: usize) {
        self.flags |= flags;
        let is_swap = found.command.name == "swapdb";
        let is_digest = found.command.name == "debug" && {
            // Nothing of it is looked up.
            let hasher = KeyHasher::new(0);
            looks_into_all(found.command, args.lend(&hasher).args())
        };
        self.is_about_all |=
            is_swap || is_digest || found.command.flags & (flag::READS_ALL | flag::EMPTIES) != 0;
        self.keys += keys;
        self.bytes += args.memory_bytes() + size_of::<Queued>();
        self.commands.push(Queued { found, args });
    }

    /// In the order in which they came.
    pub fn commands(&self) -> &Chunks<Queued> {
        &self.commands
    }

    /// As [`Transaction::commands`], to be taken apart.
    pub fn into_commands(self) -> Chunks<Queued> {
        self.commands
    }

    /// The flags of all commands together, as bits of `spec::flag`.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// How many keys they name together, or, where that is more, how many they are.
    pub fn units(&self) -> usize {
        self.keys.max(self.commands.len())
    }

    /// Whether a command looks at whole databases, or changes where they are.
    pub fn is_about_all(&self) -> bool {
        self.is_about_all
    }

    /// A command selects this database.
    pub fn note_db(&mut self, db: usize) {
        self.dbs.insert(db);
    }

    /// The databases that commands select.
    pub fn dbs(&self) -> &BTreeSet<usize> {
        &self.dbs
    }

    /// Memory they take (CLIENT LIST `multi-mem`).
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// What CLIENT LIST says of it while EXEC runs it.
    pub fn as_executing(&self) -> Executing {
        let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Executing { commands: number(self.commands.len()), bytes: number(self.bytes) }
    }

    /// Whether EXEC will refuse.
    pub fn is_aborted(&self) -> bool {
        self.is_aborted
    }
}

/// Whether a command looks into all values there are, so that nobody may be in the middle of a write: DEBUG DIGEST.
pub fn looks_into_all(command: &Command, args: Args<'_>) -> bool {
    command.name == "debug" && args.len() == 2 && args.at(1).eq_ignore_ascii_case(b"digest")
}

impl Session {
    /// MULTI.
    pub fn begin_transaction(&mut self) {
        self.restrain(restraint::MULTI, true);
        self.transaction = Some(Box::default());
    }

    /// EXEC, DISCARD, RESET: takes what was queued, if MULTI came before.
    pub fn end_transaction(&mut self) -> Option<Box<Transaction>> {
        self.restrain(restraint::MULTI, false);
        self.transaction.take()
    }

    /// A command could not be queued: EXEC will refuse.
    pub fn abort_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_aborted = true;
        }
    }
}
