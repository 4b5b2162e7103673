//! The reading half of a turn: sockets → requests.
//!
//! A connection with nothing unfinished reads into the turn's arena and is parsed there. What is left of an
//! unfinished request moves to a buffer of the connection's own, where the next turns go on; a bulk of 32 KiB or
//! more is read straight into the block that will hold the value. Each connection gets a bounded share of the
//! turn; who has more stays in the ready queue, since an edge-triggered poll reminds nobody.
use std::io::{ErrorKind, Read};

use crate::base::block::Block;
use crate::dialect::Dialect;
use crate::engine::session::Waiting;
use crate::net::batch::{Entry, Source};
use crate::net::conn::{Conn, Growing, Partial, Postponed};
use crate::net::reactor::{READ_BYTES_MAX, Reactor};
use crate::proto::args::{HashHint, Span};
use crate::proto::error::ProtocolError;
use crate::proto::limits::BUFFER_BYTES_MAX;
use crate::proto::request::{Limits, Parser, Step, inline_words};

/// Requests of one connection in one turn.
pub(super) const REQUESTS_MAX: usize = 1000;
/// Bytes read for one connection into its own buffer or block in one turn: new memory makes a megabyte take 1 to 2 ms.
const OWN_BYTES_MAX: usize = 256 << 10;
/// Room made at once in a connection's own buffer.
const OWN_CHUNK_BYTES: usize = 16 * 1024;
/// A buffer that holds no more than this while nothing comes has no more room either.
pub(super) const IDLE_BYTES_MAX: usize = 4096;
/// A block starts with this much room and doubles: a client gets memory for what it has sent, not announced.
const BLOCK_START_BYTES: usize = 1 << 20;
/// An argument takes at least this in a request: `$0`, two line ends.
const ARGUMENT_BYTES_MIN: usize = 6;
/// From this size on a list of a request is one that grows by its pages.
const LONG_LIST_BYTES: usize = 512 << 10;
/// Such a list has at least this room, from which on the allocator maps it.
const MAPPED_LIST_BYTES: usize = 8 << 20;
/// A block longer than this gets all its room at once: to move it again would take the system 30 us per megabyte.
const BLOCK_MOVED_BYTES_MAX: usize = 16 << 20;

/// What reading a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Nothing is left in the socket.
    Yes,
    /// There may be more.
    No,
}

impl Reactor {
    /// Reads and parses the first `count` that are ready, as far as the arena reaches, and says how
    /// many those were.
    pub(super) fn read_ready(&mut self, count: usize) -> usize {
        for done in 0..count {
            if self.arena_used + READ_BYTES_MAX > self.arena.len() {
                return done;
            }
            let Some(key) = self.ready.pop_front() else { break };
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.is_ready = false;
            if conn.is_dead || conn.is_closing {
                continue;
            }
            self.read_connection(key);
        }
        count
    }

    fn read_connection(&mut self, key: usize) {
        if self.queue_waited(key) {
            return;
        }
        let requests_before = self.batch.entries.len();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let has_unparsed = conn.partial.as_ref().is_some_and(|partial| partial.is_unparsed());
        if has_unparsed {
            self.parse_own(key);
        } else if conn.is_readable && !conn.is_eof {
            match conn.partial {
                None => self.read_to_arena(key),
                Some(_) => self.read_to_own(key),
            }
        }
        if self.engine.shared.clients.memory.is_limited() {
            // Before anything runs: what came may be too much.
            self.note_figures(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        let is_unparsed = conn.partial.as_ref().is_some_and(|partial| partial.is_unparsed());
        if conn.is_dead {
            self.mark_dirty(key);
        } else if conn.is_broken {
            // The error is in the batch.
        } else if is_unparsed || (conn.is_readable && !conn.is_eof) {
            let has_partial = conn.partial.is_some();
            self.make_ready(key);
            if has_partial {
                self.mark_dirty(key);
            }
        } else if conn.is_eof && self.batch.entries.len() == requests_before {
            // Only the peer's sending half is known to be closed: it still gets its replies.
            conn.is_closing = true;
            self.mark_dirty(key);
        } else if conn.is_eof {
            // Looked at again once these have run, since some may have to wait.
            self.make_ready(key);
        } else if conn.partial.is_some() {
            // So that CLIENT LIST shows what has come.
            self.mark_dirty(key);
        }
    }

    /// Requests that had to wait come before anything new. True: there are some, so nothing is read.
    fn queue_waited(&mut self, key: usize) -> bool {
        let Some(conn) = self.conns.get_mut(key) else { return true };
        if conn.is_waiting {
            // The end of the pause makes it ready; until then nothing can run.
            if conn.is_hung_up || conn.is_eof {
                self.leave_wait(key);
            }
            return true;
        }
        if conn.postponed.is_empty() {
            return false;
        }
        for postponed in std::mem::take(&mut conn.postponed) {
            let source = match postponed {
                Postponed::Error(error) => Source::Error(error),
                Postponed::Command(args) => Source::Waited(self.batch.keep(args)),
                Postponed::Frame(frame) => Source::WaitedFrame(self.batch.keep(frame)),
                Postponed::Fatal(answer) => Source::Fatal(self.batch.keep(answer)),
            };
            self.batch.entries.push(Entry::new(key, source, 0..0, 0..0));
        }
        // It goes on reading in the next turn.
        self.make_ready(key);
        true
    }

    /// The client has closed its side while it may be waiting for keys to bring something, or for a pause to end: then
    /// nothing is done for it any more, as in Redis.
    #[cold]
    fn leave_wait(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let session = self.engine.shared.clients.get(conn.client);
        let waiting = session.and_then(|session| session.waiting);
        if !matches!(waiting, Some(Waiting::Blocked | Waiting::Pause)) {
            return;
        }
        let requests = conn.drop_postponed();
        (conn.is_eof, conn.is_closing) = (true, true);
        let graveyard = &mut self.engine.shared.graveyard;
        requests.into_iter().for_each(|args| graveyard.bury_garbage(Box::new(args)));
        self.engine.forget_client(conn.client);
        self.mark_dirty(key);
    }

    fn read_to_arena(&mut self, key: usize) {
        let Reactor { conns, arena, arena_used, engine, .. } = self;
        let Some(conn) = conns.get_mut(key) else { return };
        let start = *arena_used;
        let window = &mut arena[start..start + READ_BYTES_MAX];
        let len = match conn.transport.read(window) {
            Ok(0) => return conn.is_eof = true,
            Ok(len) => len,
            Err(error) => return read_failed(conn, error.kind()),
        };
        engine.shared.stats.reads_processed += 1;
        engine.shared.stats.net_input_bytes += len as u64;
        // A short read ends the drain (epoll(7): later bytes bring a new edge), unless the event said that the
        // peer has closed: that end brings no edge of its own.
        if len < READ_BYTES_MAX && !conn.is_hung_up {
            conn.is_readable = false;
        }
        *arena_used = start + len;
        if conn.dialect != Dialect::Resp {
            return self.split_arena(key, start, start + len);
        }
        self.parse_arena(key, start, start + len);
    }

    /// Parses `start..end` of the arena for a connection that has nothing unfinished.
    fn parse_arena(&mut self, key: usize, start: usize, end: usize) {
        let limits = self.limits_of(key);
        let requests_max = if limits.is_authenticated { REQUESTS_MAX } else { 1 };
        let mut parser = Parser::at(start);
        let mut request_start = start;
        let mut spans_start = self.batch.spans.len() as u32;
        let mut requests = 0;
        let mut block = None;
        loop {
            if requests == requests_max {
                break;
            }
            // A fresh borrow per step: an inline request may extend the arena.
            match parser.next(&self.arena[..end], &mut self.batch.spans, limits) {
                Step::Request => {
                    let spans_end = self.batch.spans.len() as u32;
                    let spans = spans_start..spans_end;
                    self.batch.entries.push(Entry::new(key, Source::Arena, spans, 0..0));
                    spans_start = spans_end;
                    requests += 1;
                }
                Step::Inline { start, end } => {
                    let line = self.arena[start..end].to_vec();
                    if !self.push_inline(key, &line) {
                        return;
                    }
                    spans_start = self.batch.spans.len() as u32;
                    requests += 1;
                }
                Step::Nothing => {}
                Step::Incomplete => break,
                Step::Block { len } => {
                    block = Some(len);
                    break;
                }
                Step::Error(error) => return self.push_error(key, error),
            }
            request_start = parser.position();
        }
        if request_start < end {
            self.keep_unfinished(key, parser, request_start, end, spans_start, block);
        }
    }

    /// Moves an unfinished request from the arena to the connection.
    fn keep_unfinished(
        &mut self,
        key: usize,
        mut parser: Parser,
        request_start: usize,
        end: usize,
        spans_start: u32,
        block: Option<usize>,
    ) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut partial = Box::<Partial>::default();
        partial.buffer = self.arena[request_start..end].to_vec();
        let spans = self.batch.spans.drain(spans_start as usize..);
        partial.spans = spans.map(|span| span.shifted_back(request_start, 0)).collect();
        parser.shift_back(request_start);
        partial.parser = parser;
        if let Some(len) = block {
            partial.begin_block(len);
        }
        conn.partial = Some(partial);
        // What the arena held of it is free again.
        self.arena_used = request_start;
        if block.is_some() {
            // It may have come whole, with more behind it.
            self.parse_own(key);
        }
    }

    /// Goes on with an unfinished request.
    fn read_to_own(&mut self, key: usize) {
        let mut budget = OWN_BYTES_MAX;
        while budget > 0 {
            let Some(conn) = self.conns.get_mut(key) else { return };
            let Some(partial) = conn.partial.as_mut() else { return };
            let wanted = partial.make_room().min(budget);
            if wanted == 0 {
                return;
            }
            let target = match &mut partial.growing {
                Some(growing) => &mut growing.bytes,
                None => &mut partial.buffer,
            };
            let result = conn.transport.read_to_spare(target, wanted);
            let got = *result.as_ref().unwrap_or(&0);
            let stats = &mut self.engine.shared.stats;
            stats.reads_processed += 1;
            stats.net_input_bytes += got as u64;
            budget -= got;
            let drained = match result {
                Ok(0) => {
                    conn.is_eof = true;
                    Drained::Yes
                }
                Ok(_) if got < wanted && !conn.is_hung_up => {
                    conn.is_readable = false;
                    Drained::Yes
                }
                Ok(_) => Drained::No,
                Err(error) => {
                    partial.shrink_idle();
                    read_failed(conn, error.kind());
                    Drained::Yes
                }
            };
            self.note_activity(key);
            self.parse_own(key);
            let Some(conn) = self.conns.get(key) else { return };
            if drained == Drained::Yes || conn.partial.is_none() || conn.is_dead || conn.is_broken {
                return;
            }
            // One finished request is enough for a turn: it runs before more is read.
            if conn.partial.as_ref().is_some_and(|partial| partial.finished.bytes > 0) {
                return;
            }
        }
    }

    /// Parses what a connection's own buffer holds.
    fn parse_own(&mut self, key: usize) {
        if self.conns.get(key).is_some_and(|conn| conn.dialect != Dialect::Resp) {
            return self.split_own(key);
        }
        let limits = self.limits_of(key);
        let requests_max = if limits.is_authenticated { REQUESTS_MAX } else { 1 };
        let query_bytes_max = self.query_bytes_max;
        let mut requests = 0;
        let mut has_finished = false;
        loop {
            let Some(conn) = self.conns.get_mut(key) else { return };
            let Some(partial) = conn.partial.as_mut() else { return };
            if partial.finish_block().is_none() || requests == requests_max {
                break;
            }
            let Partial { buffer, spans, parser, .. } = &mut **partial;
            match parser.next(buffer, spans, limits) {
                Step::Request => {
                    let spans = partial.finished.spans as u32..partial.spans.len() as u32;
                    let blocks = partial.finished.blocks as u32..partial.blocks.len() as u32;
                    self.batch.entries.push(Entry::new(key, Source::Own, spans, blocks));
                    requests += 1;
                }
                Step::Inline { start, end } => {
                    let line = partial.buffer[start..end].to_vec();
                    if !self.push_inline(key, &line) {
                        return;
                    }
                    requests += 1;
                }
                Step::Nothing => {}
                Step::Incomplete => break,
                Step::Block { len } => {
                    partial.begin_block(len);
                    continue;
                }
                Step::Error(error) => return self.push_error(key, error),
            }
            if let Some(partial) = self.conns.get_mut(key).and_then(|conn| conn.partial.as_mut()) {
                partial.mark_finished();
                has_finished = true;
            }
        }
        if has_finished {
            self.consumed.push(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.query_bytes() > query_bytes_max {
            self.cut_for_query_buffer(key);
        }
    }

    /// An inline request: its words, unescaped, go to the arena. False: it was none, and an error is queued.
    fn push_inline(&mut self, key: usize, line: &[u8]) -> bool {
        let words = match inline_words(line) {
            Ok(words) => words,
            Err(error) => {
                self.push_error(key, error);
                return false;
            }
        };
        if words.is_empty() {
            return true;
        }
        let owned =
            crate::proto::args::OwnedArgs::from_parts(words.iter().map(|word| word.as_slice()));
        let source = Source::Waited(self.batch.keep(owned));
        self.batch.entries.push(Entry::new(key, source, 0..0, 0..0));
        true
    }

    /// What followed is no request: the error is answered after the replies of those before it.
    fn push_error(&mut self, key: usize, error: ProtocolError) {
        self.batch.entries.push(Entry::new(key, Source::Error(error), 0..0, 0..0));
        if let Some(conn) = self.conns.get_mut(key) {
            conn.is_broken = true;
        }
    }

    /// `client-query-buffer-limit`: the client is closed.
    #[cold]
    pub(super) fn cut_for_query_buffer(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.is_dead = true;
        let shared = &mut self.engine.shared;
        shared.stats.query_buffer_disconnections += 1;
        if let Some(session) = shared.clients.get(conn.client) {
            let first = conn
                .partial
                .as_ref()
                .map_or(&[][..], |partial| &partial.buffer[..partial.buffer.len().min(64)]);
            log::warn!(
                "Closing client that reached max query buffer length: id={} addr={} name={} \
                 qbuf={} (qbuf initial bytes: \"{}\")",
                session.id,
                session.address.peer(),
                session.name.escape_ascii(),
                conn.query_bytes(),
                first.escape_ascii()
            );
        }
        self.mark_dirty(key);
    }

    /// Who sends or takes part of something big is not idle.
    pub(super) fn note_activity(&mut self, key: usize) {
        let shared = &mut self.engine.shared;
        if let Some(conn) = self.conns.get(key)
            && let Some(session) = shared.clients.get_mut(conn.client)
        {
            session.active_ms = shared.clock.unix_ms();
        }
    }

    pub(super) fn limits_of(&self, key: usize) -> Limits {
        // The password may have been taken away since the client came.
        let is_authenticated = !self.engine.shared.thresholds.needs_password
            || self.conns.get(key).is_some_and(|conn| conn.is_authenticated);
        Limits { bulk_bytes_max: self.bulk_bytes_max, is_authenticated }
    }
}

impl Entry {
    pub(super) fn new(
        conn: usize,
        source: Source,
        spans: std::ops::Range<u32>,
        blocks: std::ops::Range<u32>,
    ) -> Entry {
        Entry { conn, source, spans, blocks, command: None, hint: HashHint::default() }
    }
}

impl Partial {
    /// Whether it holds bytes the parser has not seen: a turn ended at its bound.
    pub fn is_unparsed(&self) -> bool {
        if self.splitter.is_some() {
            return self.is_cut_short;
        }
        self.growing.is_none()
            && self.parser.is_at_start()
            && self.parser.position() < self.buffer.len()
    }

    /// The request up to the parser's position is finished and runs in this turn.
    fn mark_finished(&mut self) {
        self.finished.bytes = self.parser.position();
        self.finished.spans = self.spans.len();
        self.finished.blocks = self.blocks.len();
    }

    /// A big argument follows: takes over what the buffer holds of it.
    fn begin_block(&mut self, len: usize) {
        let from = self.parser.position();
        let from_buffer = len.min(self.buffer.len() - from);
        let mut bytes = Vec::with_capacity(len.min(BLOCK_START_BYTES.max(from_buffer)));
        bytes.extend_from_slice(&self.buffer[from..from + from_buffer]);
        // Those bytes live in the block now; what follows them moves up.
        self.buffer.drain(from..from + from_buffer);
        self.shrink_idle();
        self.growing = Some(Growing { bytes, len });
    }

    /// Gives back room that was made for what did not come, so that what a client holds depends on what it has sent
    /// and not on how that was cut. Long buffers stay: they would be copied again and again.
    fn shrink_idle(&mut self) {
        if self.buffer.len() <= IDLE_BYTES_MAX {
            self.buffer.shrink_to_fit();
            self.spans.shrink_to_fit();
        }
    }

    /// Makes room for the next read and says how many bytes are wanted.
    fn make_room(&mut self) -> usize {
        match &mut self.growing {
            Some(growing) => {
                let missing = growing.len - growing.bytes.len();
                if growing.bytes.capacity() == growing.bytes.len() {
                    let more = growing.bytes.len().max(BLOCK_START_BYTES).min(missing);
                    // Room not written to yet is address space only.
                    let all =
                        if growing.bytes.len() < BLOCK_MOVED_BYTES_MAX { more } else { missing };
                    if growing.bytes.try_reserve_exact(all).is_err() {
                        growing.bytes.reserve_exact(more);
                    }
                }
                (growing.bytes.capacity() - growing.bytes.len()).min(missing)
            }
            None => {
                if self.buffer.len() + OWN_BYTES_MAX >= BUFFER_BYTES_MAX {
                    return 0;
                }
                // A frame has no blocks: one that became long is read in longer pieces, never more than it has sent.
                let is_frame = self.splitter.is_some();
                let len = if is_frame { self.buffer.len() } else { 0 };
                let chunk = len.clamp(OWN_CHUNK_BYTES, OWN_BYTES_MAX);
                reserve(&mut self.buffer, chunk);
                // A request of so many bytes has no more arguments.
                reserve(&mut self.spans, chunk / ARGUMENT_BYTES_MIN);
                chunk
            }
        }
    }

    /// Ends a big argument that is complete. `None`: it is not, so there is nothing to parse.
    fn finish_block(&mut self) -> Option<()> {
        let Some(growing) = &self.growing else { return Some(()) };
        if growing.bytes.len() < growing.len {
            return None;
        }
        let growing = self.growing.take()?;
        self.spans.push(Span::block(self.blocks.len()));
        self.blocks.push(Block::new(growing.bytes));
        self.parser.block_done(0);
        Some(())
    }
}

/// A read that gave no bytes.
fn read_failed(conn: &mut Conn, kind: ErrorKind) {
    match kind {
        ErrorKind::WouldBlock => conn.is_readable = false,
        ErrorKind::Interrupted => {}
        _ => {
            conn.is_readable = false;
            conn.is_dead = true;
        }
    }
}

/// Makes room for `count` more. A list that has become long gets so much that from then on the allocator moves its
/// pages and not its bytes: to copy megabytes takes milliseconds. Room not written to yet is address space only.
fn reserve<T>(list: &mut Vec<T>, count: usize) {
    if list.capacity() - list.len() >= count {
        return;
    }
    let is_long = list.len() * size_of::<T>() >= LONG_LIST_BYTES;
    let mapped = if is_long { MAPPED_LIST_BYTES / size_of::<T>() } else { 0 };
    list.reserve(count.max(mapped));
}
