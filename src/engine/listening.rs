//! Publish and subscribe as commands and clients see it: who is told, and where in a client's output that stands.
//!
//! What a client is told in the middle of its own command (its own PUBLISH, a change it listens to, SUBSCRIBE's
//! answers) stands in its output at that very place, before the reply that follows, as in Redis; what others are told
//! is queued for the network layer. CLIENT REPLY OFF does not hold such messages back ([`Ctx::push`]).
use std::sync::Arc;

use crate::engine::changes::listener;
use crate::engine::ctx::Ctx;
use crate::engine::engine::{Shared, restraint as shared_restraint};
use crate::engine::pubsub::letter::Payload;
use crate::engine::pubsub::{Kind, Subscriptions};
use crate::engine::session::{Nesting, Session, restraint};
use crate::proto::reply::{Mark, Output, Reply, Resp};

/// Messages under way, by how often they are received, from which on publishing waits.
const BACKLOG_MAX: usize = 64 * 1024;

impl Shared {
    /// Sends a message to all who listen; how many times it is received.
    pub fn publish(&mut self, kind: Kind, channel: &[u8], payload: Payload<'_>) -> usize {
        let receivers = self.pubsub.publish(kind, channel, payload);
        if receivers > 0 {
            self.outbox.has_letters = true;
            self.note_flood();
        }
        receivers
    }

    /// Notes whether so many messages are under way that who wants to publish has to wait until they have gone out:
    /// delivery in slices would lag behind without end.
    pub fn note_flood(&mut self) {
        let is_flooded = self.pubsub.backlog() > BACKLOG_MAX;
        self.restrain(shared_restraint::FLOODED, is_flooded);
    }

    /// As it was when last noted.
    pub fn is_flooded(&self) -> bool {
        self.restraint & shared_restraint::FLOODED != 0
    }

    /// The client at `slot` is gone: it listens to nothing any more.
    pub fn forget_listener(&mut self, slot: usize) {
        self.pubsub.leave(slot);
        self.minded_topics_changed();
    }

    /// Notifications are made only while they are asked for and somebody listens; to be called when either has changed.
    pub fn minded_topics_changed(&mut self) {
        let is_minded = self.config.notify_flags() != 0 && self.pubsub.has_listeners();
        self.listen(listener::NOTIFIED, is_minded);
    }

    /// Puts the messages under way to `session` itself into `out`, if it listens to anything; whether there were any.
    pub fn hear_late(&mut self, session: &mut Session, out: &mut Output) -> bool {
        if !session.subscriptions.is_any() || self.pubsub.is_idle() {
            return false;
        }
        let Some(slot) = self.clients.slot_of(session.id) else { return false };
        let mut heard = Output::default();
        self.catch_up(slot, session.resp, &mut heard);
        if heard.is_empty() {
            return false;
        }
        if session.is_answered() {
            out.append(heard);
        } else {
            session.pushed.extend_from_slice(&heard.to_bytes());
        }
        true
    }

    /// Appends to `out` all messages under way to the client at `slot`, before anything of its own comes there.
    pub fn catch_up(&mut self, slot: usize, resp: Resp, out: &mut Output) {
        self.pubsub.catch_up(slot, |letter| letter.write_to(out, resp));
    }
}

impl Session {
    /// It listens to so much now, or speaks another protocol: one that listens in RESP2 may do little else.
    pub fn set_listening(&mut self, subscriptions: Subscriptions) {
        self.subscriptions = subscriptions;
        let is_confined = subscriptions.is_any() && self.resp == Resp::V2;
        self.restrain(restraint::SUBSCRIBED, is_confined);
    }

    /// Speaks this protocol from now on.
    pub fn set_resp(&mut self, resp: Resp) {
        self.resp = resp;
        self.set_listening(self.subscriptions);
    }
}

impl Ctx<'_> {
    /// The client's slot. O(log n).
    pub fn slot(&self) -> Option<usize> {
        self.engine.clients.slot_of(self.client.id)
    }

    /// Sends a message to all who listen, to the client itself at once; how many times it is received.
    pub fn publish(&mut self, kind: Kind, channel: &[u8], payload: Payload<'_>) -> usize {
        let receivers = self.engine.publish(kind, channel, payload);
        self.hear();
        receivers
    }

    /// Puts the messages under way to the client itself here, if it listens to anything.
    // DIFFERS: what changes by its own command a client of RESP3 is told before the reply, what the command looked up
    // in vain or found expired behind it. In Redis 7.0 that depends on the command, and may be inside of the reply.
    #[inline]
    pub fn hear(&mut self) {
        let is_due = self.client.subscriptions.is_any() && !self.engine.pubsub.is_idle();
        // What a script's command writes goes to the script; its client hears them at its end.
        if is_due && self.client.nesting != Nesting::Script {
            self.hear_all();
        }
    }

    #[cold]
    fn hear_all(&mut self) {
        let Some(slot) = self.slot() else { return };
        let mut heard = Output::default();
        self.engine.catch_up(slot, self.client.resp, &mut heard);
        if !heard.is_empty() {
            self.push(|reply| reply.output().append(heard));
        }
    }

    /// Writes something that is no reply but a message, and so comes through CLIENT REPLY OFF.
    pub fn push(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        if self.client.is_answered() {
            return write(&mut self.reply);
        }
        let mut pushed = Output::default();
        write(&mut Reply::new(&mut pushed, self.client.resp));
        self.client.pushed.extend_from_slice(&pushed.to_bytes());
    }

    /// Sends what was pushed since `mark` ahead of the rest, so that messages that come between slices of a command
    /// stand behind it.
    pub fn send_ahead(&mut self, mark: Mark) {
        let Some(slot) = self.slot() else { return };
        let mut ahead = self.reply.output().split_off(mark).to_bytes();
        ahead.append(&mut self.client.pushed);
        if !ahead.is_empty() {
            self.engine.outbox.messages.push((slot, Arc::from(ahead)));
        }
    }

    /// What the client listens to has changed.
    pub fn listening_changed(&mut self) {
        let Some(slot) = self.slot() else { return };
        let subscriptions = self.engine.pubsub.summary(slot);
        self.client.set_listening(subscriptions);
        // In later slices of a job `client` is a copy.
        if let Some(session) = self.engine.clients.get_mut(slot) {
            session.set_listening(subscriptions);
        }
        self.engine.clients.recount(self.client);
        self.engine.minded_topics_changed();
    }
}
