//! One connection: its socket and the bytes that wait on either side.
//!
//! An idle connection owns no buffer: requests are read into the turn's arena, and only an unfinished one moves
//! to a [`Partial`]; replies go to a buffer lent from a pool until they have left.
use std::collections::VecDeque;

use crate::base::block::Block;
use crate::dialect::{Dialect, Splitter};
use crate::net::transport::Transport;
use crate::proto::args::{OwnedArgs, Span};
use crate::proto::error::ProtocolError;
use crate::proto::reply::Output;
use crate::proto::request::Parser;

/// A connection.
pub struct Conn {
    /// Its socket.
    pub transport: Transport,
    /// Tells it from an earlier connection with the same key.
    pub generation: u32,
    /// Its client's slot in the engine.
    pub client: usize,
    /// What it speaks.
    pub dialect: Dialect,
    /// An unfinished request.
    pub partial: Option<Box<Partial>>,
    /// Requests that were read and had to wait; nothing is read before they have run.
    pub postponed: VecDeque<Postponed>,
    /// Replies not sent yet.
    pub output: Output,
    /// When its output first was above the soft limit, in milliseconds since 1970; 0: it is not.
    pub over_soft_limit_ms: i64,
    /// Database of its client, as of its last request: where keys are prefetched.
    pub db: usize,
    /// Whether its client has authenticated, as of its last request.
    pub is_authenticated: bool,
    /// The socket may hold more than was read.
    pub is_readable: bool,
    /// The socket may take more than was written.
    pub is_writable: bool,
    /// It stands in the ready queue.
    pub is_ready: bool,
    /// Its command waits, or runs as a job: nothing of it is read or run meanwhile.
    pub is_waiting: bool,
    /// It stands in the list of those to flush.
    pub is_dirty: bool,
    /// The poll has told that the peer closed its side: read until that end shows.
    pub is_hung_up: bool,
    /// It sent what is no request: nothing more is read, and it closes once that is answered.
    pub is_broken: bool,
    /// The peer has closed its side: close once all is executed.
    pub is_eof: bool,
    /// To be closed once its output has left.
    pub is_closing: bool,
    /// To be closed now.
    pub is_dead: bool,
}

/// An unfinished request, in a buffer of its own.
#[derive(Default)]
pub struct Partial {
    /// What was received.
    pub buffer: Vec<u8>,
    /// Finished arguments.
    pub spans: Vec<Span>,
    /// Finished big arguments.
    pub blocks: Vec<Block>,
    /// Where the parser stands.
    pub parser: Parser,
    /// In place of the parser, for dialects that are not RESP; of the parser only the position is used then.
    pub splitter: Option<Splitter>,
    /// The bound of a turn was reached before all of the buffer was split.
    pub is_cut_short: bool,
    /// A big argument being read.
    pub growing: Option<Growing>,
    /// What belongs to finished requests, which run in this turn.
    pub finished: Finished,
}

/// How much of a [`Partial`] belongs to finished requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished {
    /// Bytes of the buffer.
    pub bytes: usize,
    /// Spans.
    pub spans: usize,
    /// Blocks.
    pub blocks: usize,
}

/// A big argument being read straight into the block that will hold it.
pub struct Growing {
    /// What has come.
    pub bytes: Vec<u8>,
    /// Its announced length.
    pub len: usize,
}

/// A request that waits.
pub enum Postponed {
    /// A command.
    Command(OwnedArgs),
    /// What followed was no request.
    Error(ProtocolError),
    /// A request of another dialect, as its only part.
    Frame(OwnedArgs),
    /// What followed was no request of another dialect: the answer, as its only part.
    Fatal(OwnedArgs),
}

impl Conn {
    /// A connection that has just been accepted.
    pub fn new(transport: Transport, generation: u32, client: usize, dialect: Dialect) -> Conn {
        Conn {
            transport,
            generation,
            client,
            dialect,
            partial: None,
            postponed: VecDeque::new(),
            output: Output::default(),
            over_soft_limit_ms: 0,
            db: 0,
            is_authenticated: false,
            is_readable: true,
            is_writable: true,
            is_ready: false,
            is_waiting: false,
            is_dirty: false,
            is_hung_up: false,
            is_broken: false,
            is_eof: false,
            is_closing: false,
            is_dead: false,
        }
    }

    /// Bytes received and not executed.
    pub fn query_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes())
    }

    /// Its finished requests have run: what is left stays, and no buffer stays for nothing.
    pub fn drop_executed(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.drop_finished();
            if partial.is_empty() {
                self.partial = None;
            }
        }
    }
}

impl Partial {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.len()).sum();
        let growing = self.growing.as_ref().map_or(0, |growing| growing.bytes.len());
        self.buffer.len() + blocks + growing
    }

    /// Drops what belongs to finished requests.
    pub fn drop_finished(&mut self) {
        let Finished { bytes, spans, blocks } = std::mem::take(&mut self.finished);
        self.buffer.drain(..bytes);
        self.spans.drain(..spans);
        self.blocks.drain(..blocks);
        for span in &mut self.spans {
            *span = span.shifted_back(bytes, blocks);
        }
        self.parser.shift_back(bytes);
    }

    /// Whether nothing is left in it.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.growing.is_none() && self.parser.is_at_start()
    }
}
