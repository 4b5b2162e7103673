//! Who is told that a key has changed: clients blocked on it, transactions that watch it.
//!
//! Every change of a key comes through [`Ctx::changed`] or one of its like; a key that expired or was evicted through
//! the log of its database or [`Shared::deleted`]. They ask one number, [`Shared::listeners`], and come here only if
//! somebody listens.
//!
//! Keys that expire while a command looks at them are noted in their database (`expired_log`) while somebody wants
//! to know, and told before the next change of the same command, at the latest when it ends.
use crate::base::time::UnixMillis;
use crate::engine::ctx::{Ctx, Event};
use crate::engine::engine::{Engine, Shared, restraint};
use crate::engine::session::Nesting;
use crate::engine::watch::Seen;
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
            match event {
                Event::Expired => self.watch.expired(db, key),
                _ => self.watch.touch(db, key),
            }
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

    /// Database `index` is about to lose all its keys: those watched that exist change.
    pub(super) fn tell_flush(&mut self, index: usize) {
        if self.engine.listeners & listener::WATCHED != 0 {
            self.finish_sweeps();
            self.engine.watch.emptied_one(index);
        }
    }

    /// Two databases are about to change places: keys watched in one that exist in either change, and what has expired
    /// has done so where it was. Whether it is to be looked at slice by slice which keys come: [`Ctx::tell_swapped`]
    /// begins that, once they have changed places.
    pub fn tell_swap(&mut self, first: usize, second: usize) -> bool {
        if self.engine.listeners == 0 {
            return false;
        }
        let mut is_long = false;
        if self.engine.listeners & listener::WATCHED != 0 {
            self.finish_sweeps();
            let watch = &self.engine.watch;
            is_long =
                !self.is_alone() && self.is_long(watch.keys_in(first) + watch.keys_in(second));
            for (index, other) in [(first, second), (second, first)] {
                self.engine.watch.emptied_one(index);
                if !is_long {
                    self.sweep_before(index, other);
                }
            }
        }
        for index in [first, second] {
            self.tell_news_of(index);
        }
        self.tell_all_void();
        is_long
    }

    /// Two databases have changed places, and very many keys are watched there.
    pub fn tell_swapped(&mut self, first: usize, second: usize) {
        for index in [first, second] {
            self.engine.watch.begin_sweep(index, self.now);
        }
        self.engine.restrain(restraint::SWEEPING, true);
    }

    /// As [`Watch::sweep_before`], of database `other` that takes the place of `index`.
    ///
    /// [`Watch::sweep_before`]: crate::engine::watch::Watch::sweep_before
    fn sweep_before(&mut self, index: usize, other: usize) {
        let mut watch = std::mem::take(&mut self.engine.watch);
        if let Some(db) = self.db_at(other) {
            watch.sweep_before(index, |key| db.peek(db.key(key)).is_some());
        }
        self.engine.watch = watch;
    }

    /// Looks at all that is still to be looked at where databases have changed places, however long that takes: for
    /// the next such change that cannot wait, being a part of a transaction or a script.
    fn finish_sweeps(&mut self) {
        if !self.engine.watch.is_sweeping() {
            return;
        }
        let mut watch = std::mem::take(&mut self.engine.watch);
        while !watch.sweep(|index, key, since| seen_at(self.db_at(index).as_deref(), key, since)) {}
        self.engine.watch = watch;
        self.engine.end_sweeps();
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
}

/// What a key was at a time, if it has not changed since.
fn seen_at(db: Option<&Db>, key: &[u8], since: UnixMillis) -> Seen {
    let entry = db.and_then(|db| db.peek_stale(db.key(key)));
    match entry.map(|entry| entry.expiry()) {
        None => Seen::Missing,
        Some(Some(until)) if since > until => Seen::Expired,
        Some(until) => Seen::There(until),
    }
}

impl Shared {
    /// It is known again of all keys watched whether they have changed: who waited for that goes on.
    fn end_sweeps(&mut self) {
        self.restrain(restraint::SWEEPING, false);
        self.jobs.wake_kept(&mut self.outbox.wakes);
    }
}

impl Engine {
    /// Looks at some of the keys watched where databases have changed places.
    pub fn sweep_watched(&mut self) {
        let dbs = &self.dbs;
        let look = |index: usize, key: &[u8], since| seen_at(dbs.get(index), key, since);
        let is_over = self.shared.watch.sweep(look);
        if is_over {
            self.shared.end_sweeps();
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
