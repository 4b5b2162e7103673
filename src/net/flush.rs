//! The writing half of a turn: replies → sockets, messages to others, closing.
//!
//! One `write` per connection and turn, or `writev` where values leave by reference. Never retried in place: what
//! the socket does not take stays, and goes on with the next writable event.
use std::io::{ErrorKind, IoSlice, Write};

use crate::engine::session::{IoFigures, Waiting};
use crate::net::conn::{Conn, Partial, Postponed};
use crate::net::reactor::Reactor;
use crate::net::read::IDLE_BYTES_MAX;
use crate::proto::args::Span;
use crate::proto::reply::Output;

/// Parts of one `writev`.
const PARTS_MAX: usize = 64;
/// Bytes sent to one connection in one turn; who reads fast enough for more gets it in the next.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// Buffers kept for the next turn.
const POOL_MAX: usize = 256;
/// A buffer larger than this is not kept.
const POOLED_BYTES_MAX: usize = 64 * 1024;

impl Reactor {
    /// Sends what the turn has written, and closes what is to be closed.
    pub(super) fn flush_dirty(&mut self) {
        for index in 0..self.dirty.len() {
            let key = self.dirty[index];
            self.flush(key);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.is_dirty = false;
            if conn.is_dead || (conn.is_closing && conn.output.is_empty()) {
                self.close(key);
            } else {
                self.note_figures(key);
            }
        }
        // `close` may not have made anything dirty, so the list can be used again.
        self.dirty = dirty;
    }

    fn flush(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.is_dead {
            return;
        }
        if conn.output.is_empty() {
            // Its replies were taken back (CLIENT REPLY): the lent buffer goes home all the same.
            return self.return_output(key);
        }
        conn.reply_size.note(conn.output.len());
        let mut bytes_sent = 0;
        if conn.is_writable {
            let stats = &mut self.engine.shared.stats;
            stats.writes_processed += 1;
            match send(conn) {
                Ok(bytes) => {
                    bytes_sent = bytes;
                    stats.net_output_bytes += bytes as u64;
                }
                Err(ErrorKind::WouldBlock) => conn.is_writable = false,
                Err(ErrorKind::Interrupted) => {}
                Err(_) => return conn.is_dead = true,
            }
        }
        if conn.output.has_spent() {
            self.engine.shared.graveyard.bury_garbage(Box::new(conn.output.take_spent()));
        }
        if conn.output.is_empty() {
            conn.over_soft_limit_ms = 0;
            self.return_output(key);
        } else {
            if conn.is_writable {
                // Cut at the bound of a turn: there is no event to wait for.
                self.unsent.push(key);
            }
            if bytes_sent > 0 {
                self.note_activity(key);
            }
            self.check_output_limit(key);
        }
    }

    /// An empty output's buffer goes back to the pool: an idle connection owns none.
    fn return_output(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let capacity = conn.output.capacity();
        if capacity == 0 {
            return;
        }
        let mut output = std::mem::take(&mut conn.output);
        if self.output_pool.len() < POOL_MAX && capacity <= POOLED_BYTES_MAX {
            output.clear();
            self.output_pool.push(output);
        } else {
            self.engine.shared.graveyard.bury_output(output);
        }
    }

    /// As time passes, output above the soft limit becomes too much.
    pub(super) fn recheck_output_limit(&mut self, key: usize) {
        self.check_output_limit(key);
    }

    /// `client-output-buffer-limit` of its class: cuts a client that does not read.
    pub(super) fn check_output_limit(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let limits = self.engine.shared.config.output_limits();
        let limit = if conn.is_listening { limits.pubsub } else { limits.normal };
        let unsent = conn.output.counted_bytes() as u64;
        let now_ms = self.engine.shared.clock.unix_ms();
        if limit.soft_bytes != 0 && unsent >= limit.soft_bytes {
            if conn.over_soft_limit_ms == 0 {
                conn.over_soft_limit_ms = now_ms;
            }
        } else {
            conn.over_soft_limit_ms = 0;
        }
        let over_ms = now_ms - conn.over_soft_limit_ms;
        let is_over_soft =
            conn.over_soft_limit_ms != 0 && over_ms > i64::from(limit.soft_seconds) * 1000;
        if is_over_soft || (limit.hard_bytes != 0 && unsent >= limit.hard_bytes) {
            conn.is_dead = true;
            // Nobody else is to be closed for what it holds.
            self.engine.shared.clients.memory.remove(conn.client);
            self.engine.shared.note_output_limit_at(conn.client);
        }
    }

    /// Tells the engine what this connection's buffers hold, for CLIENT LIST and `maxmemory-clients`.
    #[inline(always)]
    pub(super) fn note_figures(&mut self, key: usize) {
        let Some(conn) = self.conns.get(key) else { return };
        let clients = &mut self.engine.shared.clients;
        if conn.is_dead {
            return clients.memory.remove(conn.client);
        }
        let mut figures = IoFigures::default();
        note_input(conn, &mut figures);
        if !conn.output.is_empty() {
            note_output(&conn.output, &mut figures);
            figures.reply_buffer_bytes = conn.output.capacity();
        }
        clients.note_io(conn.client, figures);
    }

    /// Carries out what a command asked of the network layer.
    #[cold]
    pub(super) fn carry_out(&mut self) {
        let outbox = &mut self.engine.shared.outbox;
        let messages = std::mem::take(&mut outbox.messages);
        let monitor_lines = std::mem::take(&mut outbox.monitor_lines);
        let kills = std::mem::take(&mut outbox.kills);
        let wakes = std::mem::take(&mut outbox.wakes);
        let replies = std::mem::take(&mut outbox.replies);
        if let Some(shutdown) = outbox.shutdown.take() {
            self.shutdown = Some(shutdown);
        }
        for (client, message) in messages {
            self.deliver(client, &message);
        }
        if std::mem::take(&mut self.engine.shared.outbox.has_letters) {
            self.deliver_in_place();
        }
        if !self.engine.shared.outbox.pending.is_empty() {
            // Behind what was told in the middle of the command.
            self.settle_pending();
            for (client, message) in std::mem::take(&mut self.engine.shared.outbox.messages) {
                self.deliver(client, &message);
            }
        }
        for (client, reply) in replies {
            self.catch_up(client);
            self.answer(client, reply);
        }
        for (client, line) in monitor_lines {
            self.deliver(client, &line);
        }
        for client in wakes {
            self.wake(client);
        }
        for client in kills {
            let Some(session) = self.engine.shared.clients.get_mut(client) else { continue };
            session.is_killed = true;
            let key = session.connection;
            // What comes next in this turn is not published to it.
            self.engine.shared.forget_listener(client);
            if let Some(conn) = self.conns.get_mut(key) {
                conn.is_dead = true;
                self.flush_soon_or_later(key);
            }
        }
        if let Some(client) = self.engine.shared.outbox.farewell {
            self.take_leave(client);
        }
    }

    /// Copies that became void while commands ran whose replies are complete now.
    #[cold]
    fn settle_pending(&mut self) {
        let shared = &mut self.engine.shared;
        if let Some(current) = &mut self.current {
            shared.settle_pending(&mut current.session, &mut current.output);
        }
        shared.release_pending();
    }

    /// A job has ended: its reply leaves, and its client goes on.
    fn answer(&mut self, client: usize, reply: Output) {
        let Some(session) = self.engine.shared.clients.get(client) else { return };
        let key = session.connection;
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.output.append(reply);
        conn.is_closing |= session.closes_after_reply;
        conn.is_waiting = false;
        // Very many may have waited for one key.
        self.flush_soon_or_later(key);
        self.make_ready(key);
        self.note_figures(key);
        self.check_output_limit(key);
    }

    /// A client that waited for keys looks again.
    fn wake(&mut self, client: usize) {
        let Some(session) = self.engine.shared.clients.get(client) else { return };
        let key = session.connection;
        match session.waiting {
            Some(Waiting::Keys) => {}
            Some(Waiting::Blocked) => {
                // It began to wait as a job: its end may have been known before.
                if self.conns.get(key).is_some_and(|conn| conn.is_hung_up || conn.is_eof) {
                    self.make_ready(key);
                }
                return;
            }
            _ => return,
        }
        if let Some(conn) = self.conns.get_mut(key) {
            conn.is_waiting = false;
            self.make_ready(key);
        }
    }

    /// Appends a message to another client's output (or to that of the one whose command runs).
    fn deliver(&mut self, client: usize, message: &[u8]) {
        let current = self.current.as_mut();
        if let Some(current) = current.filter(|current| {
            self.conns.get(current.conn).is_some_and(|conn| conn.client == client)
        }) {
            current.output.bytes_mut().extend_from_slice(message);
            return;
        }
        let Some(session) = self.engine.shared.clients.get(client) else { return };
        let key = session.connection;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.is_dead || conn.is_closing {
            return;
        }
        conn.output.bytes_mut().extend_from_slice(message);
        self.flush_soon_or_later(key);
        self.check_output_limit(key);
    }
}

/// What a connection has received and not executed.
#[inline(always)]
pub(super) fn note_input(conn: &Conn, figures: &mut IoFigures) {
    if let Some(partial) = &conn.partial {
        note_partial(partial, figures);
    }
    if !conn.postponed.is_empty() {
        figures.args_bytes += conn.postponed.iter().map(Postponed::memory_bytes).sum::<usize>();
    }
}

/// As in Redis, what is complete of a request counts as its arguments once a big one follows it; that counts as
/// received bytes until its line end has come.
#[cold]
fn note_partial(partial: &Partial, figures: &mut IoFigures) {
    let blocks_bytes: usize = partial.blocks.iter().map(|block| block.len()).sum();
    let buffer_bytes = partial.buffer.len();
    let spans_bytes = match partial.spans.capacity() * size_of::<Span>() {
        // As with other small things: what a client holds is to depend on what it has sent alone.
        ..=IDLE_BYTES_MAX => 0,
        bytes => bytes,
    };
    figures.query_free_bytes = partial.buffer.capacity() - buffer_bytes + spans_bytes;
    let last_block = partial.blocks.last().filter(|_| partial.parser.is_at_block_end());
    match (&partial.growing, last_block) {
        (Some(growing), _) => {
            figures.query_bytes = growing.bytes.len();
            figures.query_free_bytes += growing.bytes.capacity() - growing.bytes.len();
            figures.args_bytes = blocks_bytes + buffer_bytes;
        }
        (None, Some(block)) => {
            figures.query_bytes = block.len();
            figures.args_bytes = blocks_bytes - block.len() + buffer_bytes;
        }
        (None, None) => {
            figures.query_bytes = buffer_bytes;
            figures.args_bytes = blocks_bytes;
        }
    }
}

/// What waits to be sent. The buffer itself may be lent, and counts once it is kept beyond the turn.
#[inline(always)]
pub(super) fn note_output(output: &Output, figures: &mut IoFigures) {
    figures.reply_bytes = output.bytes().len();
    figures.reply_blocks = output.blocks().len();
    figures.reply_block_bytes = output.block_bytes();
}

/// Sends what the socket takes, up to the bound of a turn.
fn send(conn: &mut Conn) -> Result<usize, ErrorKind> {
    let (wanted, result) = if conn.output.blocks().is_empty() {
        // The usual case, without a list.
        let unsent = conn.output.bytes();
        let piece = &unsent[..unsent.len().min(WRITE_BYTES_MAX)];
        (piece.len(), conn.transport.write(piece))
    } else {
        let parts = unsent_parts(&conn.output, WRITE_BYTES_MAX);
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        (wanted, conn.transport.write_vectored(&parts))
    };
    let written = result.map_err(|error| error.kind())?;
    conn.output.consume(written);
    if written < wanted {
        // The socket is full; the next edge tells when it is not.
        conn.is_writable = false;
    }
    Ok(written)
}

/// What one call is given: up to `PARTS_MAX` parts of so many bytes.
pub(super) fn unsent_parts(output: &Output, bytes_max: usize) -> Vec<IoSlice<'_>> {
    let mut room = bytes_max;
    let bounded = output.parts().take(PARTS_MAX).map_while(|part| {
        let taken = part.len().min(room);
        room -= taken;
        (taken > 0).then(|| IoSlice::new(&part[..taken]))
    });
    bounded.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parts_start_anywhere() {
        for step in 1..20 {
            let mut output = Output::default();
            output.bytes_mut().extend_from_slice(b"head");
            output.push_block(Arc::new(b"BLOCK".to_vec()));
            output.push_block(Arc::new(b"SECOND".to_vec()));
            output.bytes_mut().extend_from_slice(b"tail");
            let all = output.to_bytes();
            assert_eq!(all, b"headBLOCKSECONDtail");
            let mut sent = 0;
            while !output.is_empty() {
                let parts = unsent_parts(&output, WRITE_BYTES_MAX);
                let joined: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
                assert_eq!(joined, &all[sent..], "after {sent}");
                assert_eq!(output.len(), all.len() - sent);
                output.consume(step);
                sent = (sent + step).min(all.len());
            }
            assert_eq!(sent, all.len());
        }
    }

    proptest::proptest! {
        /// Against a plain string, with sizes that make text move out of the buffer.
        #[test]
        fn output_is_a_queue(steps in proptest::collection::vec((0u8..4, 0usize..90_000), 1..60)) {
            let (mut output, mut model) = (Output::default(), Vec::new());
            for (index, (what, len)) in steps.into_iter().enumerate() {
                let piece = vec![index as u8; len];
                match what {
                    0 => {
                        output.bytes_mut().extend_from_slice(&piece);
                        model.extend(piece);
                    }
                    1 => {
                        output.push_block(Arc::new(piece.clone()));
                        model.extend(piece);
                    }
                    2 => {
                        let mark = output.mark();
                        output.push_block(Arc::new(piece.clone()));
                        output.bytes_mut().extend_from_slice(&piece);
                        output.rewind(mark);
                    }
                    _ => {
                        let sent = (2 * len).min(output.len());
                        output.consume(sent);
                        model.drain(..sent);
                    }
                }
                proptest::prop_assert_eq!(output.len(), model.len());
                proptest::prop_assert_eq!(output.is_empty(), model.is_empty());
                proptest::prop_assert!(output.to_bytes() == model);
            }
        }
    }
}
