//! One connection: its socket and the bytes that wait on either side.
//!
//! An idle connection owns no buffer: requests are read into the turn's arena, and only an unfinished one moves
//! to a [`Partial`]; replies go to a buffer lent from a pool until they have left.
use std::collections::VecDeque;
use std::ops::Range;

use crate::base::block::Block;
use crate::dialect::{Dialect, Splitter};
use crate::net::reply_use::ReplySize;
use crate::net::transport::Transport;
use crate::proto::args::{BIG_BYTES, OwnedArgs, Span};
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
    /// How much of a reply buffer its replies need.
    pub reply_size: ReplySize,
    /// When its output first was above the soft limit, in milliseconds since 1970; 0: it is not.
    pub over_soft_limit_ms: i64,
    /// Database of its client, as of its last request: where keys are prefetched.
    pub db: usize,
    /// Whether its client has authenticated, as of its last request.
    pub is_authenticated: bool,
    /// Whether its client listens to channels, as of its last request: another class of output limits.
    pub is_listening: bool,
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
    /// It is in the list of those to flush when there is time.
    pub is_late: bool,
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
    /// What was taken out from the front since the requests of this turn were noted, which therefore are so much
    /// nearer to it now.
    pub taken: Finished,
}

/// The front of a [`Partial`], such as what belongs to finished requests.
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
            reply_size: ReplySize::default(),
            over_soft_limit_ms: 0,
            db: 0,
            is_authenticated: false,
            is_listening: false,
            is_readable: true,
            is_writable: true,
            is_ready: false,
            is_waiting: false,
            is_dirty: false,
            is_late: false,
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

    /// Its finished requests have run: what is left stays, and no buffer stays for nothing. What is big is returned,
    /// to be freed in pieces.
    pub fn drop_executed(&mut self) -> Option<OwnedArgs> {
        let partial = self.partial.as_mut()?;
        let big = partial.drop_finished();
        if partial.is_empty() {
            self.partial = None;
        }
        big
    }

    /// What a connection that closes leaves behind: received and not executed, or not sent. To be freed in pieces
    /// where it is big.
    pub fn into_remains(mut self) -> (Vec<OwnedArgs>, Output) {
        let mut requests = self.drop_postponed();
        let unfinished = self.partial.map(|partial| partial.into_args());
        requests.extend(unfinished.filter(OwnedArgs::is_big));
        (requests, self.output)
    }

    /// Requests that wait are not to run. Those that are big are returned, to be freed in pieces.
    pub fn drop_postponed(&mut self) -> Vec<OwnedArgs> {
        let requests = self.postponed.drain(..).filter_map(Postponed::into_args);
        requests.filter(OwnedArgs::is_big).collect()
    }
}

impl Postponed {
    /// Memory it holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Postponed::Command(args) | Postponed::Frame(args) | Postponed::Fatal(args) => {
                args.memory_bytes()
            }
            Postponed::Error(_) => 0,
        }
    }

    fn into_args(self) -> Option<OwnedArgs> {
        match self {
            Postponed::Command(args) | Postponed::Frame(args) | Postponed::Fatal(args) => {
                Some(args)
            }
            Postponed::Error(_) => None,
        }
    }
}

/// A request shorter than this is rather copied than taken out of its buffer.
const TAKEN_BYTES_MIN: usize = 64 * 1024;

impl Partial {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.len()).sum();
        let growing = self.growing.as_ref().map_or(0, |growing| growing.bytes.len());
        self.buffer.len() + blocks + growing
    }

    /// The bytes, spans and blocks of a finished request of this turn, by the places it was noted with. Nothing, if it
    /// was taken out.
    pub fn request(&self, spans: Range<u32>, blocks: Range<u32>) -> (&[u8], &[Span], &[Block]) {
        let spans = shifted(&spans, self.taken.spans).and_then(|spans| self.spans.get(spans));
        let blocks = shifted(&blocks, self.taken.blocks);
        // Spans name blocks by their place in the whole list.
        let blocks = blocks.and_then(|blocks| self.blocks.get(..blocks.end));
        (&self.buffer, spans.unwrap_or(&[]), blocks.unwrap_or(&[]))
    }

    /// As [`Partial::request`], of a dialect that is not RESP.
    pub fn frame(&self, bytes: Range<u32>) -> &[u8] {
        let bytes = shifted(&bytes, self.taken.bytes);
        bytes.and_then(|bytes| self.buffer.get(bytes)).unwrap_or(&[])
    }

    /// Takes a big finished request out with its buffers; what follows it is copied to new ones. `None`: it is not
    /// so big, or what follows is longer; then copy it. The requests before it must have run.
    pub fn take_request(&mut self, spans: Range<u32>, blocks: Range<u32>) -> Option<OwnedArgs> {
        let spans = shifted(&spans, self.taken.spans)?;
        let blocks = shifted(&blocks, self.taken.blocks)?;
        let own = self.spans.get(spans.clone())?;
        // Blocks stand nowhere in the buffer: the last argument that is none ends what has to stay with it.
        let end = own.iter().rev().find_map(|span| span.buffer_end())?;
        let start = own.iter().find_map(|span| span.buffer_start())?;
        let size = end - start + size_of_val(own);
        if size < TAKEN_BYTES_MIN || self.buffer.len() - end > size.max(BIG_BYTES) {
            return None;
        }
        let front = Finished { bytes: end, spans: spans.end, blocks: blocks.end };
        Some(self.take_front(front).without_first(spans.start, blocks.start))
    }

    /// As [`Partial::take_request`], of a dialect that is not RESP: the frame as the only argument, which must be
    /// the first in the buffer.
    pub fn take_frame(&mut self, bytes: Range<u32>) -> Option<OwnedArgs> {
        let bytes = shifted(&bytes, self.taken.bytes)?;
        let is_worth_it = bytes.len() >= TAKEN_BYTES_MIN
            && self.buffer.len().saturating_sub(bytes.end) <= bytes.len().max(BIG_BYTES);
        if bytes.start != 0 || !is_worth_it {
            return None;
        }
        let front = Finished { bytes: bytes.end, ..Finished::default() };
        let (mut buffer, spans, blocks) = self.cut(front);
        buffer.truncate(bytes.end);
        drop((spans, blocks));
        Some(OwnedArgs::from_buffer(buffer, vec![Span::new(0, bytes.end)], Vec::new()))
    }

    fn take_front(&mut self, front: Finished) -> OwnedArgs {
        let (buffer, spans, blocks) = self.cut(front);
        OwnedArgs::from_buffer(buffer, spans, blocks)
    }

    /// Cuts the front off, and remembers how much that was.
    fn cut(&mut self, front: Finished) -> (Vec<u8>, Vec<Span>, Vec<Block>) {
        let rest = self.buffer[front.bytes..].to_vec();
        let buffer = std::mem::replace(&mut self.buffer, rest);
        let rest = self.spans[front.spans..].iter();
        let rest = rest.map(|span| span.shifted_back(front.bytes, front.blocks)).collect();
        let mut spans = std::mem::replace(&mut self.spans, rest);
        spans.truncate(front.spans);
        let rest = self.blocks.split_off(front.blocks);
        let blocks = std::mem::replace(&mut self.blocks, rest);
        self.parser.shift_back(front.bytes);
        for (part, sign) in [(&mut self.finished, -1isize), (&mut self.taken, 1)] {
            part.bytes = part.bytes.saturating_add_signed(sign * front.bytes as isize);
            part.spans = part.spans.saturating_add_signed(sign * front.spans as isize);
            part.blocks = part.blocks.saturating_add_signed(sign * front.blocks as isize);
        }
        (buffer, spans, blocks)
    }

    /// Drops what belongs to finished requests; what is big of it is returned.
    pub fn drop_finished(&mut self) -> Option<OwnedArgs> {
        let finished = std::mem::take(&mut self.finished);
        self.taken = Finished::default();
        let blocks = self.blocks.get(..finished.blocks).unwrap_or(&[]);
        let is_big = finished.bytes > BIG_BYTES
            || finished.spans * size_of::<Span>() > BIG_BYTES
            || blocks.iter().any(|block| block.capacity() > BIG_BYTES);
        if is_big {
            let big = self.take_front(finished);
            self.taken = Finished::default();
            return Some(big).filter(OwnedArgs::is_big);
        }
        let Finished { bytes, spans, blocks } = finished;
        self.buffer.drain(..bytes);
        self.spans.drain(..spans);
        self.blocks.drain(..blocks);
        for span in &mut self.spans {
            *span = span.shifted_back(bytes, blocks);
        }
        self.parser.shift_back(bytes);
        None
    }

    /// What it holds, not as arguments but to be freed.
    fn into_args(self) -> OwnedArgs {
        let Partial { buffer, spans, mut blocks, growing, .. } = self;
        blocks.extend(growing.map(|growing| Block::new(growing.bytes)));
        OwnedArgs::from_buffer(buffer, spans, blocks)
    }

    /// Whether nothing is left in it.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.growing.is_none() && self.parser.is_at_start()
    }
}

/// A range of places after so many were taken out from the front; `None` if it was among them.
fn shifted(range: &Range<u32>, taken: usize) -> Option<Range<usize>> {
    Some((range.start as usize).checked_sub(taken)?..(range.end as usize).checked_sub(taken)?)
}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
