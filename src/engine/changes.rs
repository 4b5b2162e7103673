//! Who is told that a key has changed: clients blocked on it, transactions that watch it.
//!
//! Every change of a key comes through [`Ctx::changed`] or one of its like; a key that expired or was evicted through
//! the log of its database or [`Shared::deleted`]. They ask one number, [`Shared::listeners`], and come here only if
//! somebody listens.
//!
//! Keys that expire while a command looks at them are noted in their database (`expired_log`) while somebody wants
//! to know, and told before the next change of the same command, at the latest when it ends.
use crate::engine::ctx::{Ctx, Event};
use crate::engine::engine::{Engine, Shared};
use crate::engine::session::Nesting;
use crate::store::Db;

/// Bits of [`Shared::listeners`].
pub mod listener {
    /// Some client watches keys.
    pub const WATCHED: u32 = 1 << 0;
    /// Some client is told of keys that it has read (CLIENT TRACKING).
    pub const TRACKED: u32 = 1 << 1;
    /// `notify-keyspace-events` is not empty, and somebody listens to channels.
    pub const NOTIFIED: u32 = 1 << 2;
    /// Databases note which keys expire. Not one who listens: what has to be ended once nobody does.
    pub const RECORDING: u32 = 1 << 31;
}

impl Shared {
    /// Somebody listens, or nobody of this kind any more.
    pub fn listen(&mut self, bit: u32, is_listening: bool) {
        match is_listening {
            true => self.listeners |= bit,
            false => self.listeners &= !bit,
        }
    }

    /// Whether somebody wants to know which keys expire.
    pub fn wants_gone(&self) -> bool {
        self.listeners & !listener::RECORDING != 0 || self.blocking.is_minding()
    }

    /// Tells all who listen that a key has changed.
    #[cold]
    pub fn key_changed(&mut self, db: usize, event: Event, key: &[u8]) {
        if !self.blocking.is_empty() && !event.wakes_nobody() {
            match event.is_end_of_key() {
                true => self.blocking.note_gone(db, key),
                false => self.blocking.note(db, key),
            }
        }
        if self.listeners & listener::WATCHED != 0 && event.modifies() {
            self.watch.touch(db, key);
        }
        if self.listeners & listener::TRACKED != 0 && event.modifies() {
            self.key_is_void(key);
        }
        if self.listeners & listener::NOTIFIED != 0 {
            self.notify(db, event, key);
        }
    }

    /// A key of database `db` went without a command.
    #[inline]
    pub fn deleted(&mut self, event: Event, db: usize, key: &[u8]) {
        if self.listeners != 0 || !self.blocking.is_empty() {
            self.key_changed(db, event, key);
        }
    }
}

impl Ctx<'_> {
    /// Tells all who listen that a key has changed, and before that which keys have expired.
    #[cold]
    pub(super) fn tell_change(&mut self, db: usize, event: Event, key: &[u8]) {
        self.tell_news_of(self.db_index());
        if db != self.db_index() {
            self.tell_news_of(db);
        }
        self.begin_change();
        self.engine.key_changed(db, event, key);
        self.hear();
        self.engine.tracking.end_change();
    }

    /// What is told from here on is a change that this client makes.
    fn begin_change(&mut self) {
        let is_script = self.client.nesting == Nesting::Script;
        self.engine.tracking.begin_change(self.client.id, is_script);
    }

    /// Tells all who listen what database `index` has noted: which keys have expired, which are new or were missed.
    pub fn tell_news_of(&mut self, index: usize) {
        let db = match index == self.db_index() {
            true => Some(&mut *self.db),
            false => self.others.get_mut(index),
        };
        if let Some(db) = db.filter(|db| db.has_news()) {
            self.engine.tell_news(index, db);
        }
    }

    /// Says that a key changed where its event alone does not say so: to those who watch it or keep copies.
    pub fn modified(&mut self, key: &[u8]) {
        if self.engine.listeners & listener::WATCHED != 0 {
            self.engine.watch.touch(self.db_index(), key);
        }
        self.tell_trackers(|engine| engine.key_is_void(key));
    }

    /// Database `index` is about to lose all its keys: those watched that exist change. O(keys watched in it).
    pub(super) fn tell_flush(&mut self, index: usize) {
        if self.engine.listeners & listener::WATCHED != 0 {
            for key in self.engine.watch.keys_in(index) {
                self.touch_if_there(&[index], index, &key);
            }
        }
    }

    /// Two databases are about to change places: keys watched in one that exist in either change, and what has expired
    /// has done so where it was. O(keys watched in them).
    pub fn tell_swap(&mut self, first: usize, second: usize) {
        if self.engine.listeners == 0 {
            return;
        }
        if self.engine.listeners & listener::WATCHED != 0 {
            for index in [first, second] {
                for key in self.engine.watch.keys_in(index) {
                    self.touch_if_there(&[first, second], index, &key);
                }
            }
        }
        for index in [first, second] {
            self.tell_news_of(index);
        }
        self.tell_all_void();
    }

    /// Tells those who keep copies of keys that all are void.
    pub(super) fn tell_all_void(&mut self) {
        self.tell_trackers(Shared::all_is_void);
    }

    /// Tells those who keep copies of keys something that this client made so.
    fn tell_trackers(&mut self, tell: impl FnOnce(&mut Shared)) {
        if self.engine.listeners & listener::TRACKED != 0 {
            self.begin_change();
            tell(self.engine);
            self.engine.tracking.end_change();
        }
    }

    /// Marks those who watch a key of database `watched`, if one of these databases has it.
    fn touch_if_there(&mut self, places: &[usize], watched: usize, key: &[u8]) {
        let is_there = places
            .iter()
            .any(|&place| self.db_at(place).is_some_and(|db| db.peek(db.key(key)).is_some()));
        if is_there {
            self.engine.watch.touch(watched, key);
        }
    }
}

impl Engine {
    /// Tells all who listen which keys have expired, and has databases note that as long as somebody wants to know.
    /// O(databases). To be called where a command, or a slice of expiry, ends.
    #[cold]
    pub fn note_gone(&mut self) {
        note_gone(&mut self.dbs, &mut self.shared);
    }
}

/// As [`Engine::note_gone`], where the engine is lent in parts.
#[cold]
pub fn note_gone(dbs: &mut [Db], shared: &mut Shared) {
    let wants_gone = shared.wants_gone();
    let is_recording = shared.listeners & listener::RECORDING != 0;
    if !wants_gone && !is_recording {
        return;
    }
    let wants_news = shared.wants_news();
    for (index, db) in dbs.iter_mut().enumerate() {
        (db.record_expired, db.record_news) = (wants_gone, wants_news);
        if db.has_news() {
            shared.tell_news(index, db);
        }
    }
    shared.listen(listener::RECORDING, wants_gone);
}
