//! The requests of one turn.
//!
//! Everything that was read is parsed before anything runs, so that the cache misses of many requests overlap:
//! for a window of requests the buckets of their first keys are prefetched, then the entries, then they run in
//! order. It works across a pipeline and across connections alike. Measured with 10 million keys: 2.4 → 17.7
//! million lookups a second.
use std::ops::Range;

use crate::base::block::Block;
use crate::command::execute::{Outcome, Request};
use crate::command::table::CommandId;
use crate::engine::engine::Engine;
use crate::engine::session::{Replies, Session};
use crate::net::conn::{Conn, Postponed};
use crate::net::reactor::Reactor;
use crate::proto::args::{Args, HashHint, OwnedArgs, Span};
use crate::proto::error::ProtocolError;
use crate::proto::reply::{Output, Reply};

/// Requests whose keys are fetched together: enough to hide the latency, few enough to stay in L1.
const WINDOW: usize = 32;

/// One request read in this turn.
pub struct Entry {
    /// Key of its connection.
    pub conn: usize,
    /// Where its bytes are.
    pub source: Source,
    /// Its arguments, in the source's list.
    pub spans: Range<u32>,
    /// Its big arguments.
    pub blocks: Range<u32>,
    /// Looked up just before its window runs.
    pub command: Option<CommandId>,
    /// Hash of its first key, likewise.
    pub hint: HashHint,
}

/// Where the bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the turn's arena.
    Arena,
    /// In the connection's partial buffer.
    Own,
    /// In the turn's list of requests that had waited.
    Waited(u32),
    /// It is no request.
    Error(ProtocolError),
}

/// What the requests of a turn point into.
#[derive(Default)]
pub struct Batch {
    /// The requests, those of one connection in a row.
    pub entries: Vec<Entry>,
    /// Arguments in the arena.
    pub spans: Vec<Span>,
    /// Requests that had waited.
    pub waited: Vec<OwnedArgs>,
}

impl Batch {
    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.spans.clear();
        self.waited.clear();
    }
}

/// Buffer, spans and blocks of a request.
#[inline]
fn parts<'b>(
    entry: &Entry,
    arena: &'b [u8],
    spans: &'b [Span],
    waited: &'b [OwnedArgs],
    conn: &'b Conn,
) -> (&'b [u8], &'b [Span], &'b [Block]) {
    let range = entry.spans.start as usize..entry.spans.end as usize;
    match entry.source {
        Source::Arena => (arena, &spans[range], &[]),
        Source::Own => match &conn.partial {
            Some(partial) => {
                let blocks = entry.blocks.start as usize..entry.blocks.end as usize;
                // Spans name blocks by their place in the whole list.
                (&partial.buffer, &partial.spans[range], &partial.blocks[..blocks.end])
            }
            None => (&[], &[], &[]),
        },
        Source::Waited(index) => waited[index as usize].parts(),
        Source::Error(_) => (&[], &[], &[]),
    }
}

impl Reactor {
    /// Runs all requests of the turn.
    pub(super) fn execute_batch(&mut self) {
        if self.batch.entries.is_empty() {
            // Empty lines and empty requests leave something to drop, too.
            self.batch.clear();
            return self.drop_consumed();
        }
        let mut entries = std::mem::take(&mut self.batch.entries);
        let mut started = self.engine.shared.clock.ticks();
        let mut from = 0;
        while from < entries.len() {
            let to = (from + WINDOW).min(entries.len());
            self.prefetch(&mut entries[from..to]);
            self.run_window(&entries[from..to], &mut started);
            from = to;
        }
        self.leave_connection();
        self.drop_consumed();
        self.batch.entries = entries;
        self.batch.clear();
    }

    /// Looks up commands, hashes first keys, and has buckets, then entries, brought into the cache.
    #[inline]
    fn prefetch(&mut self, window: &mut [Entry]) {
        let Reactor { engine, conns, batch, arena, .. } = self;
        for entry in window.iter_mut() {
            let Some(conn) = conns.get(entry.conn) else { continue };
            let (buffer, spans, blocks) = parts(entry, arena, &batch.spans, &batch.waited, conn);
            let args = Args::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
            entry.command = engine.shared.table.lookup(args.at(0));
            let Some(id) = entry.command else { continue };
            let first_key = engine.shared.table.first_key(id);
            if first_key != 0 && first_key < args.len() {
                let hash = args.key(first_key).hash;
                entry.hint = HashHint { index: first_key as u32, hash };
                engine.dbs[conn.db].prefetch_bucket(hash);
            }
        }
        if window.len() == 1 {
            // Alone there is nothing to overlap with.
            return;
        }
        for entry in window.iter() {
            if entry.hint.index != 0
                && let Some(conn) = conns.get(entry.conn)
            {
                engine.dbs[conn.db].prefetch_entry(entry.hint.hash);
            }
        }
    }

    fn run_window(&mut self, window: &[Entry], started: &mut u64) {
        for entry in window {
            if self.current.as_ref().is_none_or(|current| current.conn != entry.conn) {
                self.leave_connection();
                self.enter_connection(entry.conn);
            }
            self.run_entry(entry, started);
            if !self.engine.shared.outbox.is_empty() {
                self.carry_out();
            }
        }
    }

    #[inline]
    fn run_entry(&mut self, entry: &Entry, started: &mut u64) {
        if self.shutdown.is_some() {
            // Nothing runs after SHUTDOWN.
            return;
        }
        let Reactor { engine, conns, batch, arena, current, .. } = self;
        let (Some(current), Some(conn)) = (current.as_mut(), conns.get_mut(entry.conn)) else {
            return;
        };
        if current.session.is_killed || current.session.closes_after_reply || conn.is_dead {
            return;
        }
        if current.is_postponing {
            let (buffer, spans, blocks) = parts(entry, arena, &batch.spans, &batch.waited, conn);
            let kept = keep(engine, entry.source, buffer, spans, blocks);
            conn.postponed.push_back(kept);
            return;
        }
        if let Source::Error(error) = entry.source {
            return protocol_error(engine, current, error);
        }
        let (buffer, spans, blocks) = parts(entry, arena, &batch.spans, &batch.waited, conn);
        let request = Request { buffer, spans, blocks, command: entry.command, hint: entry.hint };
        let outcome = engine.execute(&mut current.session, request, &mut current.output, started);
        if outcome == Outcome::Postponed {
            let kept = keep(engine, entry.source, buffer, spans, blocks);
            conn.postponed.push_back(kept);
            current.is_postponing = true;
            return;
        }
        if current.hard_limit_bytes != 0 && current.output.len() > current.hard_limit_bytes {
            conn.is_dead = true;
            super::flush::log_output_limit(engine, &current.session);
        }
    }

    /// Takes the client and the output of a connection in hand.
    fn enter_connection(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(session) = self.engine.shared.clients.checkout(conn.client) else { return };
        let mut output = std::mem::take(&mut conn.output);
        if output.is_empty()
            && let Some(pooled) = self.output_pool.pop()
        {
            output = pooled;
        }
        let hard_limit_bytes = self.engine.shared.config.output_limits().normal.hard_bytes as usize;
        let is_postponing = false;
        self.current =
            Some(Current { conn: key, session, output, hard_limit_bytes, is_postponing });
    }

    /// Puts both back.
    pub(super) fn leave_connection(&mut self) {
        let Some(current) = self.current.take() else { return };
        let Some(conn) = self.conns.get_mut(current.conn) else { return };
        conn.output = current.output;
        conn.db = current.session.db;
        conn.is_authenticated = current.session.is_authenticated;
        conn.is_closing |= current.session.closes_after_reply;
        conn.is_dead |= current.session.is_killed;
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(current.conn);
        }
        if current.is_postponing && !conn.is_waiting {
            conn.is_waiting = true;
            self.waiting.push(current.conn);
        }
        self.engine.shared.clients.checkin(conn.client, current.session);
    }

    /// Drops from partial buffers what has been executed.
    fn drop_consumed(&mut self) {
        while let Some(key) = self.consumed.pop() {
            if let Some(conn) = self.conns.get_mut(key) {
                conn.drop_executed();
            }
        }
    }
}

/// The connection whose requests run now.
pub struct Current {
    /// Its key.
    pub conn: usize,
    /// Its client, taken out of the registry.
    pub session: Box<Session>,
    /// Its output, taken out of the connection.
    pub output: Output,
    /// Bytes of output at which it is cut; 0: never.
    pub hard_limit_bytes: usize,
    /// A request of it had to wait, so the rest waits too.
    pub is_postponing: bool,
}

/// A request as something that outlives the turn.
#[cold]
fn keep(
    engine: &Engine,
    source: Source,
    buffer: &[u8],
    spans: &[Span],
    blocks: &[Block],
) -> Postponed {
    if let Source::Error(error) = source {
        return Postponed::Error(error);
    }
    let args = Args::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
    Postponed::Command(OwnedArgs::copy_of(args))
}

/// Answers what is no request, and has the connection closed.
#[cold]
fn protocol_error(engine: &mut Engine, current: &mut Current, error: ProtocolError) {
    let message = error.message();
    engine.shared.stats.count_error(&message);
    log::debug!(
        "Protocol error ({error}) from client: id={} addr={}",
        current.session.id,
        current.session.address.peer()
    );
    if current.session.replies == Replies::On {
        Reply::new(&mut current.output, current.session.resp).error(&message);
    }
    current.session.closes_after_reply = true;
}
