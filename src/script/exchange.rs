//! What passes between a script and its host: small messages, and buffers that both sides reuse.
//!
//! Messages are small enums that travel with the switch of stacks. What is of any length lies in the [`Exchange`]:
//! arguments and keys, replies, results. Invariant: a buffer is taken out of its cell while it is worked on
//! ([`std::cell::RefCell::take`]) and put back afterwards, never borrowed across a call into Lua, since a finalizer
//! may run there and make a call of its own.
use std::cell::{Cell, RefCell};

use crate::base::block::Block;
use crate::proto::args::Span;
use crate::proto::reply::{Output, Resp};
use crate::script::debugger::Debugger;

/// Arguments of at least this length are blocks of their own, which the keyspace takes over.
const BLOCK_BYTES_MIN: usize = 32 * 1024;
/// Buffers that grew beyond this are not kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// What the host asks for.
#[derive(Clone, Debug)]
pub enum Task {
    /// Compile `Exchange::source`: [`Done::Compiled`].
    Compile,
    /// Run the function in this slot, with the keys and arguments of the exchange as globals.
    Run {
        /// What [`Done::Compiled`] said.
        slot: usize,
    },
    /// Run `Exchange::source` as a library: it may do nothing but register functions.
    Load,
    /// Call a function that a library registered, with the keys and arguments of the exchange.
    Call {
        /// What its registration said.
        slot: usize,
    },
    /// Nothing will be run any more: forget some of what is kept, and free some of it: [`Done::Waning`], or, once
    /// little is left, [`Done::Forgotten`].
    Wane,
    /// Forget what is in this slot.
    Forget {
        /// Where it is kept.
        slot: usize,
    },
}

/// What the guest stops for.
#[derive(Debug)]
pub enum Event {
    /// `redis.call` or `redis.pcall` with `Exchange::args`: [`Answer::Reply`] or [`Answer::Refused`].
    Call,
    /// It has worked for a while: [`Answer::Go`] or [`Answer::Kill`].
    Tick,
    /// `redis.acl_check_cmd` with `Exchange::args`: [`Answer::Truth`], or [`Answer::Refused`] where there is no such
    /// command.
    MayRun,
    /// A script that is debugged has something to say or waits to be told something.
    Debug(DebugEvent),
    /// The task is over.
    Done(Done),
}

/// What the debugger asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugEvent {
    /// Send what `Exchange::debugger` has said: [`Answer::Go`].
    Say,
    /// Wait for the client and add what he says to what `Exchange::debugger` has heard: [`Answer::Truth`], whether he
    /// is there; or [`Answer::Kill`].
    Hear,
    /// It has worked for a while without a stop: [`Answer::Truth`], whether that is too long.
    Tick,
}

/// How a task ended.
#[derive(Debug)]
pub enum Done {
    /// `Exchange::result` holds the reply.
    Replied {
        /// Whether there are errors in it, counted already or not.
        has_errors: bool,
    },
    /// It was compiled, and is kept in this slot.
    Compiled(usize),
    /// It was forgotten.
    Forgotten,
    /// There is more to forget.
    Waning,
    /// It registered these functions.
    Loaded(Vec<Registration>),
    /// There is no such function here (any more).
    Missing,
    /// It failed.
    Failed(Failed),
}

/// Why a task failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// What the client is told, code included; for what was not compiled the words of the compiler.
    pub text: Vec<u8>,
    /// Where: chunk name and line.
    pub place: Option<(Vec<u8>, Vec<u8>)>,
    /// The error came from a command that counted it already.
    pub is_counted: bool,
}

/// A function that a library registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub name: Vec<u8>,
    /// Its description.
    pub description: Option<Vec<u8>>,
    /// Its flags.
    pub flags: u32,
    /// Where the function is kept.
    pub slot: usize,
}

/// What the host says.
#[derive(Debug)]
pub enum Answer {
    /// The next task.
    Task(Task),
    /// `Exchange::reply` holds what the command replied.
    Reply,
    /// The command did not run; the text of the error, code included.
    Refused(Vec<u8>),
    /// Yes or no.
    Truth(bool),
    /// Go on.
    Go,
    /// End, with this error; nothing a script does can stop that.
    Kill(&'static str),
    /// There will be no more tasks.
    Quit,
}

/// Strings in a row: arguments of a command, or keys and arguments of a script.
#[derive(Debug, Default)]
pub struct Words {
    /// The short ones, one after the other.
    pub buffer: Vec<u8>,
    /// Where each is.
    pub spans: Vec<Span>,
    /// The long ones.
    pub blocks: Vec<Block>,
}

impl Words {
    /// Removes all.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
        self.blocks.clear();
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }

    /// Appends one. O(its length).
    pub fn push(&mut self, word: &[u8]) {
        if word.len() >= BLOCK_BYTES_MIN {
            self.spans.push(Span::block(self.blocks.len()));
            self.blocks.push(Block::new(word.to_vec()));
            return;
        }
        self.spans.push(Span::new(self.buffer.len(), word.len()));
        self.buffer.extend_from_slice(word);
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        // The long ones stand in the order in which they came.
        let mut blocks = self.blocks.iter();
        self.spans.iter().map(move |span| match (span.buffer_start(), span.buffer_end()) {
            (Some(start), Some(end)) => self.buffer.get(start..end).unwrap_or(&[]),
            _ => blocks.next().map_or(&[][..], |block| block.as_slice()),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Short strings in a row, that are only read.
#[derive(Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each ends. Invariant: it never falls and is at most `bytes.len()`.
    ends: Vec<usize>,
}

impl Texts {
    /// Removes all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    /// Appends one.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// That of this index; past the end an empty one.
    pub fn at(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(index).copied().unwrap_or(self.bytes.len());
        self.bytes.get(start.unwrap_or(0)..end).unwrap_or(&[])
    }
}

/// The buffers between host and guest.
#[derive(Default)]
pub struct Exchange {
    /// The command that the script calls.
    pub args: RefCell<Words>,
    /// What that command replied.
    pub reply: RefCell<Output>,
    /// Source of what is to be compiled or loaded.
    pub source: RefCell<Vec<u8>>,
    /// Keys of the script, and then its other arguments.
    pub params: RefCell<Texts>,
    /// How many of them are keys.
    pub key_count: Cell<usize>,
    /// The script's reply.
    pub result: RefCell<Output>,
    /// Errors in the script's reply that nobody has counted yet.
    pub errors: RefCell<Vec<Vec<u8>>>,
    /// Protocol of the client that asked for the script: that of `result`.
    pub client_resp: Cell<Resp>,
    /// Protocol in which commands reply to the script (`redis.setresp`).
    pub script_resp: Cell<Resp>,
    /// What the debugger knows, where a script is debugged.
    pub debugger: RefCell<Debugger>,
    /// Bytes of the interpreter, as of the last event.
    pub memory_bytes: Cell<usize>,
}
