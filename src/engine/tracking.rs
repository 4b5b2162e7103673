//! Client-side caching (CLIENT TRACKING): clients keep copies of what they read, and are told when a copy is void.
//!
//! ```text
//!   GET k by client 7  ──▶ readers: k → 7                 (after the command, by the keys it declares)
//!   SET k by anybody   ──▶ key_changed ──▶ take k's readers ──▶ 7: >2 invalidate [k]
//!                                     └──▶ broadcast: prefixes of k ──▶ at the end of the turn, to their clients
//! ```
//!
//! A key is forgotten when its readers are told: who still keeps a copy has to read again. All get the same bytes. The
//! client whose own command makes its copy void hears of it after the reply to that command, never within
//! (`Outbox::pending`): while its commands run it is out of the registry, and what it is told waits until whoever runs
//! them hands it over.
//!
//! Above `tracking-table-max-keys` random keys are forgotten, and their readers told: of each key remembered at once,
//! of a limit that was lowered in slices between turns.
//!
//! DIFFERS: where a key expired, was evicted or is forgotten while a client with NOLOOP runs a command, Redis 7.0.15
//! keeps that from it as if it had changed the key itself; ours tells, as its copy is void. After SWAPDB Redis tells
//! nobody although every copy may be void; ours tells all, as after FLUSHALL. When the last tracked client has gone the
//! table is dropped; Redis keeps it until its keys change.
//!
//! Cost: nothing while nobody is tracked but a bit tested per change. Else see `readers` and `broadcast`; some 100 ns
//! for each client told.
pub mod broadcast;
pub mod mode;
pub mod notice;
pub mod readers;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::broadcast::Broadcast;
use self::mode::{ClientTracking, Mode, Request};
use self::notice::{Notice, broken_redirect};
use self::readers::{Reader, Readers};
use crate::base::hash::KeyHasher;
use crate::engine::changes::listener;
use crate::engine::engine::Shared;
use crate::engine::session::{Session, Waiting, restraint};
use crate::proto::reply::{Output, Resp};

/// Keys forgotten beyond those just remembered while there are too many.
const FORGOTTEN_EXTRA: usize = 4;
/// The list of readers keeps its memory up to so many.
const SCRATCH_MAX: usize = 1024;

/// Who is told of what.
pub struct Tracking {
    readers: Readers,
    broadcast: Broadcast,
    /// All tracked clients.
    clients: BTreeSet<Reader>,
    /// `tracking-table-max-keys`; 0: no limit.
    keys_max: usize,
    /// Id of the client whose change is being told; 0: nobody's.
    maker: u64,
    /// The same for those who hear of prefixes: as in Redis what a script changes is nobody's own change.
    prefix_maker: u64,
    scratch: Vec<Reader>,
}

/// What a client is to be told that is out of the registry, or whose job has not been answered.
#[derive(Debug)]
pub struct Pending {
    to: To,
    notice: Arc<Notice>,
}

#[derive(Clone, Copy, Debug)]
enum To {
    /// One that is tracked.
    Tracked { client: Reader, cause: Cause, is_own: bool },
    /// One that others redirect to: its id.
    Target(u64),
}

/// Why copies are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A key has changed that was read.
    Changed,
    /// A key that was read is remembered no longer.
    Forgotten,
    /// Keys of a prefix have changed.
    Broadcast,
    /// All keys are gone.
    Emptied,
}

impl Cause {
    /// Whether a client tracked like this is told.
    fn concerns(self, tracking: &ClientTracking, is_own: bool) -> bool {
        let is_broadcast = tracking.mode == Mode::Broadcast;
        match self {
            // What it read before it changed to prefixes it does not hear of.
            Cause::Changed => !(is_broadcast || is_own && tracking.is_noloop),
            Cause::Forgotten => !is_broadcast,
            Cause::Broadcast => is_broadcast,
            Cause::Emptied => true,
        }
    }
}

impl Tracking {
    /// Of nobody.
    #[must_use]
    pub fn new(hasher: &KeyHasher) -> Tracking {
        Tracking {
            readers: Readers::new(hasher),
            broadcast: Broadcast::default(),
            clients: BTreeSet::new(),
            keys_max: 0,
            maker: 0,
            prefix_maker: 0,
            scratch: Vec::new(),
        }
    }

    /// Clients that are tracked.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Keys remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.readers.len()
    }

    /// Readers of these keys.
    #[must_use]
    pub fn items(&self) -> usize {
        self.readers.items()
    }

    /// Prefixes that somebody wants to hear of.
    #[must_use]
    pub fn prefixes(&self) -> usize {
        self.broadcast.len()
    }

    /// Whether somebody is to be told of prefixes at the end of the turn.
    #[inline]
    #[must_use]
    pub fn is_broadcast_due(&self) -> bool {
        self.broadcast.is_due()
    }

    /// What is told from here on is a change that this client makes, by a script of its or not.
    pub fn begin_change(&mut self, client: u64, is_script: bool) {
        self.maker = client;
        self.prefix_maker = if is_script { 0 } else { client };
    }

    /// What is told from here on nobody makes.
    pub fn end_change(&mut self) {
        (self.maker, self.prefix_maker) = (0, 0);
    }

    /// Takes over `tracking-table-max-keys`.
    pub fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = keys_max;
    }

    /// Whether more keys are remembered than the limit allows.
    #[inline]
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        self.keys_max != 0 && self.readers.len() > self.keys_max
    }
}

impl Shared {
    // --- who is tracked ---

    /// CLIENT TRACKING on, whose options were checked. A client that is in no registry cannot be tracked.
    pub fn begin_tracking(&mut self, session: &mut Session, request: &Request<'_>) {
        let Some(slot) = self.clients.slot_of(session.id) else { return };
        let reader = Reader::new(slot, session.id);
        self.tracking.clients.insert(reader);
        self.listen(listener::TRACKED | listener::RECORDING, true);
        let fresh = || Box::new(ClientTracking::new(reader));
        let tracking = session.tracking.get_or_insert_with(fresh);
        tracking.mode = request.mode();
        tracking.redirect = request.redirect;
        tracking.is_noloop = request.is_noloop;
        tracking.is_broken = false;
        if tracking.mode == Mode::Broadcast {
            let whole: [&[u8]; 1] = [b""];
            let prefixes = if request.prefixes.is_empty() { &whole } else { &request.prefixes[..] };
            prefixes.iter().for_each(|prefix| tracking.add_prefix(prefix));
            for prefix in &tracking.prefixes {
                self.tracking.broadcast.subscribe(prefix, reader, tracking.is_noloop);
            }
        }
        session.restrain(restraint::TRACKING, true);
        self.clients.recount(session);
    }

    /// CLIENT TRACKING off, RESET, or the client has gone. What it has read stays in the table, and is told to nobody.
    pub fn end_tracking(&mut self, session: &mut Session) {
        session.restrain(restraint::TRACKING, false);
        let Some(tracking) = session.tracking.take() else { return };
        for prefix in &tracking.prefixes {
            self.tracking.broadcast.unsubscribe(prefix, tracking.reader);
        }
        self.tracking.clients.remove(&tracking.reader);
        if self.tracking.clients.is_empty() {
            self.listen(listener::TRACKED, false);
            self.drop_readers();
        }
        self.clients.recount(session);
    }

    /// A client has gone.
    pub fn forget_tracked(&mut self, slot: usize) {
        let Some(mut session) = self.clients.checkout(slot) else { return };
        if session.tracking.is_some() {
            self.end_tracking(&mut session);
        }
        if !self.outbox.pending.is_empty() {
            let id = session.id;
            self.outbox.pending.retain(|pending| !pending.is_for(id));
        }
        self.clients.checkin(slot, session);
    }

    fn drop_readers(&mut self) {
        if !self.tracking.readers.is_empty() {
            let remains = self.tracking.readers.clear();
            self.graveyard.bury_garbage(Box::new(remains));
        }
    }

    // --- what is read ---

    /// A client has read these keys.
    pub fn remember_reads<'k>(&mut self, reader: Reader, keys: impl Iterator<Item = &'k [u8]>) {
        let before = self.tracking.readers.len();
        for key in keys {
            if self.tracking.readers.remember(key, reader).is_err() {
                // Nobody would tell of a change, so its copy is void from the beginning.
                self.tell_tracked(reader, &Notice::keys(vec![key.into()]), Cause::Forgotten);
            }
        }
        if self.tracking.is_over_limit() {
            let fresh = self.tracking.readers.len().saturating_sub(before);
            self.forget_reads(fresh + FORGOTTEN_EXTRA);
        }
    }

    /// Forgets up to so many keys, chosen at random, while there are more than the limit allows.
    pub fn forget_reads(&mut self, count: usize) {
        for _ in 0..count {
            if !self.tracking.is_over_limit() {
                return;
            }
            let Some(key) = self.tracking.readers.random_key(&mut self.random) else { return };
            self.tell_readers(&key, Cause::Forgotten);
        }
    }

    // --- what is void ---

    /// A key has changed: those who have read it are told, and those who want to hear of its prefixes will be.
    #[cold]
    pub fn key_is_void(&mut self, key: &[u8]) {
        if !self.tracking.broadcast.is_empty() {
            let maker = self.tracking.prefix_maker;
            self.tracking.broadcast.note(key, maker);
        }
        if !self.tracking.readers.is_empty() {
            self.tell_readers(key, Cause::Changed);
        }
    }

    fn tell_readers(&mut self, key: &[u8], cause: Cause) {
        let mut readers = std::mem::take(&mut self.tracking.scratch);
        if self.tracking.readers.take(key, &mut readers) {
            let notice = Notice::keys(vec![key.into()]);
            readers.iter().for_each(|&reader| self.tell_tracked(reader, &notice, cause));
            readers.clear();
            readers.shrink_to(SCRATCH_MAX);
        }
        self.tracking.scratch = readers;
    }

    /// Databases were emptied or have changed places: all copies are void, and all who are tracked are told. O(tracked
    /// clients).
    #[cold]
    pub fn all_is_void(&mut self) {
        self.drop_readers();
        let notice = Notice::all();
        let clients: Vec<Reader> = self.tracking.clients.iter().copied().collect();
        clients.into_iter().for_each(|client| self.tell_tracked(client, &notice, Cause::Emptied));
    }

    /// Tells of the prefixes whose keys have changed since the last call; to be called once per turn.
    #[cold]
    pub fn broadcast(&mut self) {
        for mut round in self.tracking.broadcast.take_due() {
            for (client, is_noloop) in std::mem::take(&mut round.clients) {
                if let Some(notice) = round.notice_for(client, is_noloop) {
                    self.tell_tracked(client, &notice, Cause::Broadcast);
                }
            }
        }
    }

    /// Tells a tracked client, or the one it redirects to.
    fn tell_tracked(&mut self, client: Reader, notice: &Arc<Notice>, cause: Cause) {
        let maker = self.tracking.maker;
        let mut wait = |is_own| {
            let to = To::Tracked { client, cause, is_own };
            self.outbox.pending.push(Pending { to, notice: notice.clone() });
        };
        let Some(session) = self.clients.get(client.slot()) else {
            if self.clients.is_out(client.slot()) {
                wait(maker != 0 && client.has_id(maker));
            }
            return;
        };
        let is_own = session.id == maker;
        let Some(tracking) = session.tracking.as_ref().filter(|_| client.has_id(session.id)) else {
            return;
        };
        if !cause.concerns(tracking, is_own) {
            return;
        }
        if is_own {
            // Its job goes on, or has not been answered.
            return wait(true);
        }
        let (redirect, resp) = (tracking.redirect, session.resp);
        if redirect == 0 {
            if resp == Resp::V3 {
                self.outbox.messages.push((client.slot(), notice.encoded(resp)));
            }
        } else if !self.tell_target(redirect, notice) {
            if resp == Resp::V3 {
                self.outbox.messages.push((client.slot(), broken_redirect(redirect)));
            }
            let session = self.clients.get_mut(client.slot());
            if let Some(tracking) = session.and_then(|session| session.tracking.as_mut()) {
                tracking.is_broken = true;
            }
        }
    }

    /// Tells the client of this id, which others redirect to; false where it is gone.
    fn tell_target(&mut self, id: u64, notice: &Arc<Notice>) -> bool {
        let Some(slot) = self.clients.slot_of(id) else { return false };
        match self.clients.get(slot) {
            Some(session) => {
                if let Some(message) = as_target(session, notice) {
                    self.outbox.messages.push((slot, message));
                }
            }
            None => {
                self.outbox.pending.push(Pending { to: To::Target(id), notice: notice.clone() });
            }
        }
        true
    }

    /// Writes what waits for a client to the end of its output: to be called where its reply is complete, before it
    /// goes back to the registry.
    #[cold]
    pub fn settle_pending(&mut self, session: &mut Session, out: &mut Output) {
        if session.waiting == Some(Waiting::Job) {
            // Its reply is still to come.
            return;
        }
        let mut own = Vec::new();
        for pending in std::mem::take(&mut self.outbox.pending) {
            match pending.is_for(session.id) {
                true => own.push(pending),
                false => self.outbox.pending.push(pending),
            }
        }
        for Pending { to, notice } in own {
            let message = match to {
                To::Target(_) => as_target(session, &notice),
                To::Tracked { cause, is_own, .. } => {
                    self.own_message(session, &notice, cause, is_own)
                }
            };
            if let Some(message) = message {
                out.bytes_mut().extend_from_slice(&message);
            }
        }
    }

    /// What a tracked client is told itself.
    fn own_message(
        &mut self,
        session: &mut Session,
        notice: &Arc<Notice>,
        cause: Cause,
        is_own: bool,
    ) -> Option<Arc<[u8]>> {
        let tracking = session.tracking.as_ref()?;
        if !cause.concerns(tracking, is_own) {
            return None;
        }
        let redirect = tracking.redirect;
        if redirect == session.id {
            return as_target(session, notice);
        }
        let is_sent = redirect != 0 && self.tell_target(redirect, notice);
        if let Some(tracking) = session.tracking.as_mut()
            && redirect != 0
            && !is_sent
        {
            tracking.is_broken = true;
        }
        match redirect {
            _ if is_sent || session.resp == Resp::V2 => None,
            0 => Some(notice.encoded(Resp::V3)),
            gone => Some(broken_redirect(gone)),
        }
    }

    /// Tells those for whom something waits although they are back in the registry and no job of theirs goes on: a
    /// client that waits for keys, and found on the way that one had expired.
    #[cold]
    pub fn release_pending(&mut self) {
        for pending in std::mem::take(&mut self.outbox.pending) {
            let slot = match pending.to {
                To::Tracked { client, .. } => Some(client.slot()),
                To::Target(id) => self.clients.slot_of(id),
            };
            let session = slot.and_then(|slot| self.clients.get(slot));
            match (session.map(|session| session.waiting), pending.to) {
                (None | Some(Some(Waiting::Job)), _) => self.outbox.pending.push(pending),
                (_, To::Tracked { client, cause, .. }) => {
                    self.tell_tracked(client, &pending.notice, cause)
                }
                (_, To::Target(id)) => {
                    self.tell_target(id, &pending.notice);
                }
            }
        }
    }
}

impl Pending {
    fn is_for(&self, id: u64) -> bool {
        match self.to {
            To::Tracked { client, .. } => client.has_id(id),
            To::Target(target) => target == id,
        }
    }
}

/// The message as a client gets it that others redirect to: in RESP2 only where it listens to channels.
fn as_target(session: &Session, notice: &Arc<Notice>) -> Option<Arc<[u8]>> {
    let is_listening = session.resp == Resp::V3 || session.is(restraint::SUBSCRIBED);
    is_listening.then(|| notice.encoded(session.resp))
}
