//! What the engine knows of one client: no socket, no buffer.
//!
//! An idle client costs little more than this, so what few clients use is behind a box.
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use crate::engine::acl::users::DEFAULT as DEFAULT_USER;
use crate::engine::acl::{Checking, Identity};
use crate::engine::error::CmdError;
use crate::engine::pubsub::Subscriptions;
use crate::engine::table::CommandId;
use crate::engine::tracking::mode::ClientTracking;
use crate::engine::transaction::Transaction;
use crate::proto::limits::REPLY_BUFFER_BYTES;
use crate::proto::reply::{Mark, Output, Resp};
use crate::script::debugger::Debugger;

/// One client.
#[derive(Clone)]
pub struct Session {
    /// Unique for the life of the server, counted from 1.
    pub id: u64,
    /// Index of the selected database.
    pub db: usize,
    /// Protocol version chosen by HELLO.
    pub resp: Resp,
    /// What keeps it from running whatever it asks for, as bits of [`restraint`]: 0 for most clients, for whom the
    /// checklist before a command is short.
    pub restraint: u32,
    /// Its user; `None`: `default`. [`restraint::ACL`] says whether he may do everything.
    pub user: Option<Arc<Identity>>,
    /// Whether the connection closes once what it was sent has left (QUIT, protocol errors).
    pub closes_after_reply: bool,
    /// Whether it is to be closed at once, by CLIENT KILL or a limit; nothing of it runs any more.
    pub is_killed: bool,
    /// CLIENT NO-EVICT.
    pub is_no_evict: bool,
    /// CLIENT NO-TOUCH: its reads do not change LRU and LFU.
    pub is_no_touch: bool,
    /// CLIENT REPLY.
    pub replies: Replies,
    /// Why it waits, if it does.
    pub waiting: Option<Waiting>,
    /// Its place in the order of those who wait for keys; 0: it waits for none.
    pub ticket: u64,
    /// Wall time of its arrival, in milliseconds since 1970.
    pub created_ms: i64,
    /// Wall time of its last command, in milliseconds since 1970.
    pub active_ms: i64,
    /// The last command it sent.
    pub last_command: Option<CommandId>,
    /// CLIENT SETNAME; empty where it has none.
    pub name: Box<[u8]>,
    /// CLIENT SETINFO.
    pub library: Option<Box<Library>>,
    /// Both ends of its connection.
    pub address: Address,
    /// The connection's key in the network layer.
    pub connection: usize,
    /// File descriptor, as CLIENT LIST shows it; -1 in process.
    pub fd: i32,
    /// Its buffers, as the network layer last saw them.
    pub io: IoFigures,
    /// What its replies need, as the network layer last saw it.
    pub reply_use: ReplyUse,
    /// What its job holds, if its command runs as one: the request and the reply so far, in bytes. The request, if it
    /// waits for keys to bring something.
    pub job_bytes: usize,
    /// Its commands run as parts of another one.
    pub nesting: Nesting,
    /// Its command never waits for keys to bring something: it is part of a transaction or a script.
    pub is_blocking_denied: bool,
    /// What MULTI has begun.
    pub transaction: Option<Box<Transaction>>,
    /// What EXEC is running now, for CLIENT LIST.
    pub executing: Option<Executing>,
    /// What the keys it watches take.
    pub watched_bytes: usize,
    /// How much it listens to.
    pub subscriptions: Subscriptions,
    /// Messages to it from its own command, while CLIENT REPLY holds the reply back.
    pub pushed: Vec<u8>,
    /// Its command waited and is run again because this key is ready.
    pub woken_by: Option<Arc<[u8]>>,
    /// CLIENT TRACKING, while it is on.
    pub tracking: Option<Box<ClientTracking>>,
    /// The rules of its user about the request that comes next, as far as that was looked at.
    pub checking: Option<Box<Checking>>,
    /// SCRIPT DEBUG, while it is on.
    pub debugging: Option<Box<Debugging>>,
}

/// How a client's scripts are debugged.
#[derive(Clone, Debug, Default)]
pub struct Debugging {
    /// Here, so that everybody waits and all changes stay, and not in a process of its own.
    pub is_here: bool,
    /// What the last one has left: a transaction may run several.
    pub debugger: Debugger,
}

/// A transaction that EXEC has begun.
#[derive(Clone, Copy, Debug)]
pub struct Executing {
    /// Commands it consists of.
    pub commands: u32,
    /// Memory they take, as far as it can be told.
    pub bytes: u32,
}

/// Bits of [`Session::restraint`].
pub mod restraint {
    /// It has not given a password, which matters where one is set.
    pub const UNAUTHENTICATED: u32 = 1 << 0;
    /// Its user may not do everything.
    pub const ACL: u32 = 1 << 1;
    /// Its commands are queued for EXEC.
    pub const MULTI: u32 = 1 << 2;
    /// It speaks RESP2 and listens to channels.
    pub const SUBSCRIBED: u32 = 1 << 3;
    /// It sees every command (MONITOR).
    pub const MONITOR: u32 = 1 << 4;
    /// What it reads is remembered (CLIENT TRACKING).
    pub const TRACKING: u32 = 1 << 5;
}

/// What a client's commands are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nesting {
    /// Of nothing: they came as requests.
    #[default]
    None,
    /// Of EXEC, which goes on in slices if it takes long.
    Transaction,
    /// Of a script, which runs whole.
    Script,
}

/// What CLIENT REPLY lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// Every reply.
    #[default]
    On,
    /// None until it is switched on again.
    Off,
    /// Not that of the command running now; then not that of the next one.
    SkipNext,
    /// Not that of this command.
    Skip,
}

/// Why a client's next command does not run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// CLIENT PAUSE holds its command back.
    Pause,
    /// Jobs hold keys that its command needs.
    Keys,
    /// Its command runs as a job.
    Job,
    /// Its command may add data, and memory is too far above `maxmemory`.
    Room,
    /// Its command waits for keys to bring something.
    Blocked,
}

/// What a client says of the library it uses.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// `lib-name`
    pub name: Box<[u8]>,
    /// `lib-ver`
    pub version: Box<[u8]>,
}

/// Both ends of a connection.
#[derive(Clone, Debug)]
pub enum Address {
    /// TCP over IPv4.
    Tcp4 {
        /// The client's end.
        peer: SocketAddrV4,
        /// Our end.
        local: SocketAddrV4,
    },
    /// TCP over IPv6: the client's end and ours. It is seldom, and would take three times the room of all others.
    Tcp6(Box<(SocketAddr, SocketAddr)>),
    /// A Unix socket at this path; its clients have no address.
    Unix(Arc<str>),
    /// The engine is called in process.
    InProcess,
}

impl Address {
    /// Those of a TCP connection: the client's end and ours.
    pub fn tcp(peer: SocketAddr, local: SocketAddr) -> Address {
        match (peer, local) {
            (SocketAddr::V4(peer), SocketAddr::V4(local)) => Address::Tcp4 { peer, local },
            ends => Address::Tcp6(Box::new(ends)),
        }
    }

    /// The client's end, as CLIENT LIST prints it: IPv4-mapped peers as they arrive, IPv6 in brackets, as in Redis.
    pub fn peer(&self) -> String {
        match self {
            Address::Tcp4 { peer, .. } => peer.to_string(),
            Address::Tcp6(ends) => ends.0.to_string(),
            Address::Unix(path) => format!("{path}:0"),
            Address::InProcess => "in-process:0".to_owned(),
        }
    }

    /// Whether the client runs on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp4 { peer, .. } => peer.ip().is_loopback(),
            Address::Tcp6(ends) => ends.0.ip().to_canonical().is_loopback(),
            Address::Unix(_) | Address::InProcess => true,
        }
    }

    /// Our end.
    pub fn local(&self) -> String {
        match self {
            Address::Tcp4 { local, .. } => local.to_string(),
            Address::Tcp6(ends) => ends.1.to_string(),
            Address::Unix(path) => format!("{path}:0"),
            Address::InProcess => "in-process:0".to_owned(),
        }
    }
}

/// Whether CLIENT LIST can show it between spaces: ASCII from `!` to `~`.
pub fn is_printable_word(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// What the network layer holds for a client; all in bytes but where said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoFigures {
    /// Received and not yet executed.
    pub query_bytes: usize,
    /// Allocated for that and not used.
    pub query_free_bytes: usize,
    /// Arguments of a command that is not complete yet, and commands that wait.
    pub args_bytes: usize,
    /// Allocated for replies.
    pub reply_buffer_bytes: usize,
    /// Waiting to be sent, copied.
    pub reply_bytes: usize,
    /// Number of values waiting to be sent by reference.
    pub reply_blocks: usize,
    /// Their bytes.
    pub reply_block_bytes: usize,
}

/// How big a reply buffer the client would need, as of the last look; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyUse {
    /// CLIENT LIST `rbs`.
    pub size: u32,
    /// The most in use at once since the last reset of the peak (CLIENT LIST `rbp`).
    pub peak: u32,
}

impl Default for ReplyUse {
    /// The largest, until more is known.
    fn default() -> ReplyUse {
        let all = REPLY_BUFFER_BYTES as u32;
        ReplyUse { size: all, peak: all }
    }
}

impl IoFigures {
    /// All memory the connection holds.
    pub fn total_bytes(&self) -> usize {
        self.query_bytes
            + self.query_free_bytes
            + self.args_bytes
            + self.reply_buffer_bytes.max(self.reply_bytes)
            + self.reply_block_bytes
    }
}

impl Session {
    /// A client that has just come, with its id still 0: [`Clients::insert`] gives it one.
    ///
    /// [`Clients::insert`]: crate::engine::clients::Clients::insert
    pub fn new(address: Address, now_ms: i64) -> Session {
        Session {
            id: 0,
            db: 0,
            resp: Resp::V2,
            restraint: restraint::UNAUTHENTICATED,
            user: None,
            closes_after_reply: false,
            is_killed: false,
            is_no_evict: false,
            is_no_touch: false,
            replies: Replies::On,
            waiting: None,
            ticket: 0,
            created_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            name: Box::default(),
            library: None,
            address,
            connection: usize::MAX,
            fd: -1,
            io: IoFigures::default(),
            reply_use: ReplyUse::default(),
            job_bytes: 0,
            nesting: Nesting::None,
            executing: None,
            is_blocking_denied: false,
            transaction: None,
            watched_bytes: 0,
            subscriptions: Subscriptions::default(),
            pushed: Vec::new(),
            woken_by: None,
            tracking: None,
            debugging: None,
            checking: None,
        }
    }

    /// Whether it may run commands where a password is set.
    #[inline]
    pub fn is_authenticated(&self) -> bool {
        !self.is(restraint::UNAUTHENTICATED)
    }

    /// It gave the password, or lost what it gave.
    pub fn set_authenticated(&mut self, is_authenticated: bool) {
        self.restrain(restraint::UNAUTHENTICATED, !is_authenticated);
    }

    /// The name of its user.
    pub fn user_name(&self) -> &[u8] {
        self.user.as_ref().map_or(DEFAULT_USER, |identity| identity.name())
    }

    /// Whether a bit of [`restraint`] is set.
    #[inline]
    pub fn is(&self, bit: u32) -> bool {
        self.restraint & bit != 0
    }

    /// Sets or clears a bit of [`restraint`]; whether it was set.
    pub fn restrain(&mut self, bit: u32, is_restrained: bool) -> bool {
        let was_restrained = self.is(bit);
        match is_restrained {
            true => self.restraint |= bit,
            false => self.restraint &= !bit,
        }
        was_restrained
    }

    /// CLIENT SETNAME: an empty name takes it away. The error is Redis's.
    pub fn set_name(&mut self, name: &[u8]) -> Result<(), CmdError> {
        if !is_printable_word(name) {
            return Err(CmdError::Text(
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ));
        }
        self.name = name.into();
        Ok(())
    }

    /// Memory it takes, as the network layer last saw its buffers.
    pub fn memory_bytes(&self) -> usize {
        let library = self.library.as_ref().map_or(0, |library| {
            std::mem::size_of::<Library>() + library.name.len() + library.version.len()
        });
        std::mem::size_of::<Session>()
            + self.name.len()
            + library
            + self.io.total_bytes()
            + self.job_bytes
            + self.watched_bytes
            + self.subscriptions.bytes
            + self.transaction.as_ref().map_or(0, |transaction| transaction.memory_bytes())
            + self.tracking.as_ref().map_or(0, |tracking| tracking.memory_bytes())
    }

    /// Whether it runs on this machine, for what is allowed to local clients only.
    pub fn is_local(&self) -> bool {
        self.address.is_local()
    }

    /// CLIENT REPLY OFF and SKIP: takes the reply of the command that just ran back. Messages stay.
    #[cold]
    pub fn filter_reply(&mut self, mark: Mark, out: &mut Output) {
        match self.replies {
            Replies::On => {}
            Replies::Off => out.rewind(mark),
            Replies::SkipNext => self.replies = Replies::Skip,
            Replies::Skip => {
                out.rewind(mark);
                self.replies = Replies::On;
            }
        }
        out.bytes_mut().append(&mut self.pushed);
    }

    /// Whether what it runs now is answered.
    #[inline]
    pub fn is_answered(&self) -> bool {
        matches!(self.replies, Replies::On | Replies::SkipNext)
    }
}
