//! A job under way: what it does, what it holds and where it stands.
use std::time::Duration;

use crate::engine::compound::Compound;
use crate::engine::jobs::{Job, KeySource, Place};
use crate::engine::session::Session;
use crate::engine::table::Found;
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::Output;
use crate::store::Hold;

/// What a job does.
pub enum Task {
    /// A long command.
    Job(Box<dyn Job>),
    /// A command that runs others; `None` while it does.
    Compound(Option<Box<dyn Compound>>),
}

impl Task {
    /// The job of a long command.
    pub fn job(&mut self) -> Option<&mut dyn Job> {
        match self {
            Task::Job(job) => Some(&mut **job),
            Task::Compound(_) => None,
        }
    }

    /// As [`Job::reply_bytes`].
    pub fn reply_bytes(&self) -> usize {
        match self {
            Task::Job(job) => job.reply_bytes(),
            Task::Compound(_) => 0,
        }
    }

    /// As [`Job::shown`].
    pub fn shown(&self, args: Args<'_>, arguments_max: usize) -> Option<OwnedArgs> {
        match self {
            Task::Job(job) => job.shown(args, arguments_max),
            Task::Compound(_) => None,
        }
    }

    /// As [`Job::elsewhere`].
    pub fn elsewhere(&self, args: Args<'_>) -> Option<Place> {
        match self {
            Task::Job(job) => job.elsewhere(args),
            Task::Compound(_) => None,
        }
    }

    /// As [`Job::error_form`].
    pub fn error_form(&self) -> Option<fn(&[u8], &mut Output)> {
        match self {
            Task::Job(job) => job.error_form(),
            Task::Compound(_) => None,
        }
    }
}

/// A job on its way from its handler to those that run.
pub struct Parking {
    /// What it does.
    pub task: Task,
    /// How it comes to its keys.
    pub taking: Taking,
}

/// How a job comes to its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All at once: it has begun.
    AtOnce,
    /// They are too many for that, so it takes them in slices before it begins.
    InSlices,
    /// So too, and it finds their hashes before ([`Job::find_keys`]), to be held so.
    Finding(Hold),
    /// In slices, too, and then those that it finds in them.
    InSlicesAndFurther,
}

/// Where a running job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It looks for its keys ([`Job::find_keys`]), and holds none.
    Find,
    /// It takes its keys, this many of them held so far, and looks for further ones in them.
    Take(usize),
    /// It works.
    Work,
    /// It has worked; so many of the keys it has read are remembered for its client's tracking.
    Remember(usize),
    /// It lets go of its keys, of which this many were held.
    Release(usize),
}

/// A job under way, with all that its steps need.
pub struct Running {
    /// Tells it from other jobs.
    pub id: u32,
    /// When its command came, or its keys were found, among those that wait.
    pub ticket: u64,
    /// What it does.
    pub task: Task,
    /// The request.
    pub args: OwnedArgs,
    /// Memory it holds.
    pub args_bytes: usize,
    /// Its command.
    pub found: Found,
    /// The client as it was when the command began: a job outlives its client.
    pub session: Box<Session>,
    /// Where the client is registered.
    pub client: usize,
    /// Index of its database.
    pub db: usize,
    /// The database was emptied since: the old one.
    pub limbo: Option<usize>,
    /// Its keys.
    pub keys: KeySource,
    /// What it holds in another database ([`Job::elsewhere`]).
    pub elsewhere: Option<Place>,
    /// It is to be asked for further keys.
    pub finds_further_keys: bool,
    /// Whether others could see it half done.
    pub is_partial: bool,
    /// Whether it holds what stands for its database's place.
    pub holds_index: bool,
    /// Unix time in milliseconds as of which it sees its keys: when it held them all.
    pub now: i64,
    /// Time spent on it so far, in ticks.
    pub ticks: u64,
    /// When its slice began, in ticks.
    pub slice_ticks: u64,
    /// The reply so far.
    pub out: Output,
    /// Where it stands.
    pub phase: Phase,
    /// It waits for a key.
    pub is_blocked: bool,
    /// It waits for something outside, until this moment at the latest.
    pub away_until: Option<Duration>,
    /// Nobody waits for its reply.
    pub is_orphan: bool,
    /// Its command was counted, and shown to MONITOR, when its client began to wait for keys.
    pub has_waited: bool,
    /// What it has read is remembered, where that is to be.
    pub is_remembered: bool,
}

impl Running {
    /// Whether it works, or is about to, in what is database `index` now: not before it holds anything.
    pub(super) fn is_in(&self, index: usize) -> bool {
        self.db == index && self.limbo.is_none() && self.holds_anything()
    }

    pub(super) fn holds_anything(&self) -> bool {
        match self.phase {
            Phase::Find => false,
            Phase::Take(taken) => taken > 0 || self.holds_index,
            Phase::Work | Phase::Remember(_) | Phase::Release(_) => true,
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away_until.is_some()
    }

    /// Whether it changes any of its keys.
    pub fn writes(&self) -> bool {
        self.keys.is_written()
    }
}

#[cfg(doc)]
use crate::engine::ctx::Ctx;
