//! The reading half of a turn for the dialects that are not RESP: bytes → frames.
//!
//! Beside the RESP parser, in the same buffers: frames are spans of the turn's arena, an unfinished one moves to the
//! connection's own buffer, and its splitter with it, which remembers how far it has looked. A connection gets memory
//! for what it has sent, never for what it announced.
use crate::dialect::{FrameLimits, Split, Splitter};
use crate::net::batch::{Entry, Source};
use crate::net::conn::Partial;
use crate::net::reactor::Reactor;
use crate::net::read::REQUESTS_MAX;
use crate::proto::args::OwnedArgs;
use crate::proto::limits::{FRAME_OVERHEAD_BYTES, FRAME_UNAUTHENTICATED_BYTES_MAX};
use crate::proto::request::Parser;

/// Why splitting stopped.
enum Stop {
    /// At the end of the bytes, or within a request.
    Incomplete,
    /// At the bound of a turn.
    Bound,
    /// At what is no request.
    Fatal(Vec<u8>),
}

/// Splits `bytes` from `at` on, handing each frame to `found`; where and why it stopped.
fn split(
    splitter: &mut Splitter,
    bytes: &[u8],
    mut at: usize,
    limits: &FrameLimits,
    requests_max: usize,
    mut found: impl FnMut(std::ops::Range<u32>),
) -> (usize, Stop) {
    let mut requests = 0;
    while at < bytes.len() {
        if requests == requests_max {
            return (at, Stop::Bound);
        }
        match splitter.split(&bytes[at..], limits) {
            Split::Frame(len) => {
                debug_assert!(0 < len && len <= bytes.len() - at);
                let end = at + len;
                found(at as u32..end as u32);
                at = end;
                requests += 1;
            }
            Split::Incomplete => break,
            Split::Fatal(answer) => return (at, Stop::Fatal(answer)),
        }
    }
    (at, Stop::Incomplete)
}

impl Reactor {
    /// Splits `start..end` of the arena for a connection that has nothing unfinished.
    pub(super) fn split_arena(&mut self, key: usize, start: usize, end: usize) {
        let (limits, requests_max) = self.frame_limits(key);
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut splitter = Splitter::new(conn.dialect);
        let entries = &mut self.batch.entries;
        let push = |bytes| entries.push(Entry::new(key, Source::Frame, bytes, 0..0));
        let arena = &self.arena[..end];
        let (at, stop) = split(&mut splitter, arena, start, &limits, requests_max, push);
        let is_cut_short = match stop {
            Stop::Fatal(answer) => return self.push_fatal(key, &answer),
            Stop::Bound => true,
            Stop::Incomplete => false,
        };
        if at < end {
            let buffer = arena[at..].to_vec();
            let splitter = Some(splitter);
            conn.partial =
                Some(Box::new(Partial { buffer, splitter, is_cut_short, ..Partial::default() }));
            // What the arena held of it is free again.
            self.arena_used = at;
        }
    }

    /// Splits what a connection's own buffer holds.
    pub(super) fn split_own(&mut self, key: usize) {
        let (limits, requests_max) = self.frame_limits(key);
        let query_bytes_max = self.query_bytes_max;
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(partial) = conn.partial.as_mut() else { return };
        let Some(splitter) = partial.splitter.as_mut() else { return };
        let from = partial.parser.position();
        let entries = &mut self.batch.entries;
        let push = |bytes| entries.push(Entry::new(key, Source::OwnFrame, bytes, 0..0));
        let (at, stop) = split(splitter, &partial.buffer, from, &limits, requests_max, push);
        if at > from {
            partial.parser = Parser::at(at);
            partial.finished.bytes = at;
            self.consumed.push(key);
        }
        partial.is_cut_short = matches!(stop, Stop::Bound);
        if let Stop::Fatal(answer) = stop {
            return self.push_fatal(key, &answer);
        }
        if conn.query_bytes() > query_bytes_max {
            self.cut_for_query_buffer(key);
        }
    }

    /// What followed is no request: the answer comes after those of the requests before it.
    fn push_fatal(&mut self, key: usize, answer: &[u8]) {
        let source = Source::Fatal(self.batch.keep(OwnedArgs::from_parts([answer])));
        self.batch.entries.push(Entry::new(key, source, 0..0, 0..0));
        if let Some(conn) = self.conns.get_mut(key) {
            conn.is_broken = true;
        }
    }

    /// Longest frame, and requests of one turn, for a connection.
    fn frame_limits(&self, key: usize) -> (FrameLimits, usize) {
        let limits = self.limits_of(key);
        if !limits.is_authenticated {
            let frame_bytes_max = FRAME_UNAUTHENTICATED_BYTES_MAX;
            return (FrameLimits { frame_bytes_max }, 1);
        }
        let longest = limits.bulk_bytes_max.max(0) as usize + FRAME_OVERHEAD_BYTES;
        let frame_bytes_max = longest.min(self.query_bytes_max);
        (FrameLimits { frame_bytes_max }, REQUESTS_MAX)
    }
}
