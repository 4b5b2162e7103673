//! Published messages on their way to outputs, in slices.
//!
//! Handing a message to a client costs little; that its socket has to be written to costs some 5 us. So what a turn's
//! commands publish goes out in place as long as that makes few connections dirty ([`IN_PLACE_COST_MAX`]); the rest
//! goes batch by batch at the end of turns, each batch written to its sockets at once, until the slice is spent:
//! others are served between. The order is that of publishing, for every client ([`Pubsub`]).
//!
//! [`Pubsub`]: crate::engine::pubsub::Pubsub
use std::collections::VecDeque;

use crate::engine::pubsub::letter::Letter;
use crate::engine::stalls::Phase;
use crate::net::reactor::Reactor;

/// Clients that get a message between two looks at the clock, and bytes that they get together: the system copies them.
const BATCH: usize = 16;
const BATCH_BYTES: usize = 256 * 1024;
/// What handing a message over costs, where the connection is to be written to anyway and where it is not.
const APPEND_COST: usize = 1;
const WAKE_COST: usize = 32;
/// The same for so many bytes.
const BYTES_PER_COST: usize = 1024;
/// As much as a turn does in place: 64 connections woken, or 2048 messages to those awake.
const IN_PLACE_COST_MAX: usize = 64 * WAKE_COST;

/// Messages going out in this turn.
#[derive(Default)]
pub struct Letters {
    cost: usize,
    slots: Vec<usize>,
    /// Connections with messages in their outputs that are to be written to when there is time.
    late: VecDeque<usize>,
}

impl Reactor {
    /// A new turn.
    #[inline]
    pub(super) fn begin_letters(&mut self) {
        self.letters.cost = 0;
    }

    /// Hands over what was just published, as far as this turn does that in place.
    pub(super) fn deliver_in_place(&mut self) {
        while self.letters.cost < IN_PLACE_COST_MAX && self.deliver_batch() {}
    }

    /// Goes on with what is under way until the slice is spent.
    pub(super) fn deliver_slice(&mut self, slice_us: u64) {
        let clock = &self.engine.shared.clock;
        let until = clock.ticks() + clock.ticks_of(slice_us * 1000);
        while self.deliver_batch() {
            self.flush_dirty();
            if self.engine.shared.clock.ticks() >= until {
                break;
            }
        }
        let shared = &mut self.engine.shared;
        let was_flooded = shared.is_flooded();
        shared.note_flood();
        if was_flooded && !shared.is_flooded() {
            // Those who wait to publish are looked at again.
            self.end_pause();
        }
        self.engine.shared.end_phase(Phase::Flush);
    }

    /// Whether messages are under way, or somebody waits for fewer to be.
    pub(super) fn has_letters(&self) -> bool {
        !self.engine.shared.pubsub.is_idle() || self.engine.shared.is_flooded()
    }

    /// Hands one message to some clients; false: nothing is under way.
    fn deliver_batch(&mut self) -> bool {
        let mut slots = std::mem::take(&mut self.letters.slots);
        let pubsub = &mut self.engine.shared.pubsub;
        let limit = (BATCH_BYTES / pubsub.next_len().max(1)).clamp(1, BATCH);
        let letter = pubsub.next_batch(limit, &mut slots);
        if let Some(letter) = &letter {
            self.letters.cost += slots.len() * (letter.body.size_bytes() / BYTES_PER_COST);
            slots.drain(..).for_each(|slot| self.hand_over(slot, letter));
        }
        self.letters.slots = slots;
        letter.is_some()
    }

    /// Appends a message to a client's output.
    fn hand_over(&mut self, client: usize, letter: &Letter) {
        self.letters.cost += APPEND_COST;
        let Some(session) = self.engine.shared.clients.get(client) else {
            // It is the one whose commands run, if any.
            let current = self.current.as_mut().filter(|current| {
                self.conns.get(current.conn).is_some_and(|conn| conn.client == client)
            });
            if let Some(current) = current {
                letter.write_to(&mut current.output, current.session.resp);
            }
            return;
        };
        let (key, resp) = (session.connection, session.resp);
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.is_dead || conn.is_closing {
            return;
        }
        if conn.output.capacity() == 0
            && conn.output.is_empty()
            && let Some(pooled) = self.output_pool.pop()
        {
            conn.output = pooled;
        }
        letter.write_to(&mut conn.output, resp);
        if !conn.is_dirty {
            self.letters.cost += WAKE_COST;
            self.mark_dirty(key);
        }
        self.check_output_limit(key);
    }

    /// A message, or the reply that it waited for, stands in the output of one of many clients, or it is to be closed.
    /// To write to all of their sockets at once may take long, so beyond what a turn does in place they are written to
    /// in slices, at the end of this turn and the next ones.
    pub(super) fn flush_soon_or_later(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key).filter(|conn| !conn.is_dirty) else { return };
        if self.letters.cost < IN_PLACE_COST_MAX {
            self.letters.cost += WAKE_COST;
            return self.mark_dirty(key);
        }
        if !conn.is_late {
            conn.is_late = true;
            self.letters.late.push_back(key);
        }
    }

    /// Whether some wait to be written to.
    #[inline]
    pub(super) fn has_late(&self) -> bool {
        !self.letters.late.is_empty()
    }

    /// Writes to those who wait for that until the slice is spent.
    pub(super) fn flush_late(&mut self, slice_us: u64) {
        let clock = &self.engine.shared.clock;
        let until = clock.ticks() + clock.ticks_of(slice_us * 1000);
        while self.has_late() {
            let count = self.letters.late.len().min(BATCH);
            let batch: Vec<usize> = self.letters.late.drain(..count).collect();
            for key in batch {
                if let Some(conn) = self.conns.get_mut(key) {
                    conn.is_late = false;
                    self.mark_dirty(key);
                }
            }
            self.flush_dirty();
            if self.engine.shared.clock.ticks() >= until {
                break;
            }
        }
        self.engine.shared.end_phase(Phase::Flush);
    }

    /// Appends all that is under way to a client to its output, before what comes of its own.
    pub(super) fn catch_up(&mut self, client: usize) {
        let shared = &mut self.engine.shared;
        if shared.pubsub.is_idle() {
            return;
        }
        let Some(session) = shared.clients.get(client) else { return };
        let (key, resp) = (session.connection, session.resp);
        if session.subscriptions.is_any()
            && let Some(conn) = self.conns.get_mut(key)
        {
            shared.catch_up(client, resp, &mut conn.output);
        }
    }
}
