//! All clients of an engine.
//!
//! The client whose commands run is taken out of the registry for that long ([`Clients::checkout`]), so a
//! handler can hold it and still look at all others. The network layer knows a client by its slot, users by its id.
use std::collections::BTreeMap;

use slab::Slab;

use crate::engine::client_memory::ClientMemory;
use crate::engine::engine::Shared;
use crate::engine::session::{IoFigures, Session};

/// The registry.
#[derive(Default)]
pub struct Clients {
    /// `None` while checked out.
    slots: Slab<Option<Box<Session>>>,
    /// Slot of each id, in order of arrival.
    by_id: BTreeMap<u64, usize>,
    id_last: u64,
    /// What they hold.
    pub memory: ClientMemory,
}

impl Clients {
    /// Registers a client, gives it its id, and returns its slot.
    pub fn insert(&mut self, mut session: Session) -> usize {
        self.id_last += 1;
        session.id = self.id_last;
        let id = session.id;
        let (bytes, is_evictable) = (session.memory_bytes(), !session.is_no_evict);
        let slot = self.slots.insert(Some(Box::new(session)));
        self.by_id.insert(id, slot);
        self.memory.set(slot, bytes, is_evictable);
        slot
    }

    /// Takes a client out while its commands run. `None` where it is gone or out already.
    #[inline]
    pub fn checkout(&mut self, slot: usize) -> Option<Box<Session>> {
        self.slots.get_mut(slot)?.take()
    }

    /// Puts it back.
    #[inline]
    pub fn checkin(&mut self, slot: usize, session: Box<Session>) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(session);
        }
    }

    /// Forgets a client.
    pub fn remove(&mut self, slot: usize) -> Option<Box<Session>> {
        self.memory.remove(slot);
        let session = self.slots.try_remove(slot)??;
        self.by_id.remove(&session.id);
        Some(session)
    }

    /// What the network layer holds for the client at `slot`, unless it is out.
    #[inline]
    pub fn note_io(&mut self, slot: usize, figures: IoFigures) {
        if let Some(Some(session)) = self.slots.get_mut(slot)
            && session.io != figures
        {
            session.io = figures;
            self.memory.set(slot, session.memory_bytes(), !session.is_no_evict);
        }
    }

    /// As `note_io`, of the client that is out.
    #[inline]
    pub fn note_io_of(&mut self, slot: usize, session: &mut Session, figures: IoFigures) {
        if session.io != figures {
            session.io = figures;
            self.memory.set(slot, session.memory_bytes(), !session.is_no_evict);
        }
    }

    /// What the job of the client at `slot` holds: its request, and the reply so far.
    pub fn note_job(&mut self, slot: usize, bytes: usize) {
        if let Some(Some(session)) = self.slots.get_mut(slot)
            && session.job_bytes != bytes
            && !session.is_killed
        {
            session.job_bytes = bytes;
            self.memory.set(slot, session.memory_bytes(), !session.is_no_evict);
        }
    }

    /// To be called when something else that it holds has changed, or whether it may be closed for that. O(log n).
    pub fn recount(&mut self, session: &Session) {
        if let Some(slot) = self.slot_of(session.id)
            && !session.is_killed
        {
            self.memory.set(slot, session.memory_bytes(), !session.is_no_evict);
        }
    }

    /// How many there are, the one checked out included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The client at `slot`, unless it is out.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    /// The client at `slot`, unless it is out.
    pub fn get(&self, slot: usize) -> Option<&Session> {
        self.slots.get(slot)?.as_deref()
    }

    /// Every client but the one checked out. O(n).
    pub fn each(&mut self) -> impl Iterator<Item = (usize, &mut Session)> {
        self.slots.iter_mut().filter_map(|(slot, session)| Some((slot, session.as_deref_mut()?)))
    }

    /// Whether there is a client at `slot`, and its commands run.
    pub fn is_out(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(Option::is_none)
    }

    /// The first id from this one on that somebody has, even one who is out. O(log n).
    pub fn id_from(&self, id: u64) -> Option<u64> {
        self.by_id.range(id..).next().map(|(&id, _)| id)
    }

    /// The client with this id, unless it is out. O(log n).
    pub fn by_id(&self, id: u64) -> Option<&Session> {
        self.get(self.slot_of(id)?)
    }

    /// Where the client with this id is, even while it is out. O(log n).
    pub fn slot_of(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// All clients but the one checked out, in order of arrival, with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.by_id.values().filter_map(|&slot| Some((slot, self.slots.get(slot)?.as_deref()?)))
    }
}

impl Shared {
    /// Cuts a client that is sent more than `client-output-buffer-limit` allows.
    pub fn cut_for_output(&mut self, slot: usize) {
        self.note_output_limit_at(slot);
        self.kill_client(slot);
    }

    /// As [`Shared::note_output_limit`], for the client at `slot`, unless it is out.
    pub fn note_output_limit_at(&mut self, slot: usize) {
        if let Some(session) = self.clients.checkout(slot) {
            self.note_output_limit(&session);
            self.clients.checkin(slot, session);
        }
    }

    /// The line Redis writes when it cuts a client that does not read.
    pub fn note_output_limit(&mut self, session: &Session) {
        self.stats.output_buffer_disconnections += 1;
        log::warn!(
            "Client id={} addr={} name={} db={} scheduled to be closed ASAP for overcoming of \
             output buffer limits.",
            session.id,
            session.address.peer(),
            session.name.escape_ascii(),
            session.db
        );
    }

    /// Has the network layer close a client at once, as CLIENT KILL does; nothing of it runs any more.
    /// False where it is gone, closing already, or the one whose command runs.
    pub fn kill_client(&mut self, slot: usize) -> bool {
        match self.clients.get_mut(slot) {
            Some(session) if !session.is_killed => {
                session.is_killed = true;
                // As good as gone: nobody else is to be closed for what it holds.
                self.clients.memory.remove(slot);
                self.outbox.kills.push(slot);
                true
            }
            _ => false,
        }
    }
}
