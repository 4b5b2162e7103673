//! WATCH: which clients are to be told, by their next EXEC, that a key has changed.
//!
//! Keys are found by database and name, clients by their id. A change takes those who watch the key out of its entry
//! and marks them: who is marked needs no second mark. What a key was when it was first watched is kept: as long as
//! its client is not marked it is that still. So nobody looks at keys again:
//!
//! - a database that is emptied counts one up, and who watches a key that was in it remembers another count;
//! - a key that was to expire has done so once its time is over ([`Watch::is_past`]).
//!
//! Only a key that was missing may come with a database that takes another's place: then all watched there are looked
//! at, slice by slice (a *sweep*), and until that is over no EXEC of one who watches runs, nor the next such change.
//!
//! Who watches no longer is forgotten at once, since a client that watches again does so under a new number; his old
//! places are left in slices ([`Watch::free_slice`]).
//!
//! Cost: a change costs one lookup while anybody watches anything, and a mark for each of few who watch that key; else
//! nothing. Everything else is O(1), or in slices.
use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::chunks::Chunks;
use crate::base::shards::Shards;
use crate::base::time::UnixMillis;

/// What a client that watches a key takes beside the key's name: its place in a table and in two lists.
const WATCH_BYTES: usize =
    size_of::<(Arc<[u8]>, Vec<Watcher>)>() + size_of::<Watcher>() + size_of::<Place>() + 16;

/// Clients of one key marked at once.
const MARKS_AT_ONCE: usize = 64;

/// What a key was when a client began to watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There was none.
    Missing,
    /// Its time was over, and yet it had not been deleted: that it is deleted is no change.
    Expired,
    /// It was there, and had this time to live until.
    There(Option<UnixMillis>),
}

/// A key that a client watches: its database and name.
type Place = (usize, Arc<[u8]>);

/// One who watches a key.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    /// His number, which grows.
    number: u64,
    client: u64,
    was: Was,
}

/// [`Seen`], as far as it matters later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    Missing,
    Expired,
    There,
}

/// All keys watched, and by whom.
#[derive(Debug, Default)]
pub struct Watch {
    /// Who watches a key, in the order of their numbers; by database.
    keys: Vec<Shards<Arc<[u8]>, Vec<Watcher>>>,
    /// Those who watch something, by id.
    clients: Shards<u64, Watching>,
    number_last: u64,
    /// How often each database has lost its keys, or changed its place.
    emptied: Vec<u64>,
    /// Very many who watched one key that has changed, still to be marked.
    marks: VecDeque<Vec<Watcher>>,
    /// The places of those who watch no longer, by their number.
    leaving: Vec<(u64, Chunks<Place>)>,
    sweeps: Vec<Sweep>,
}

/// A look at all keys watched in a database.
#[derive(Debug)]
struct Sweep {
    db: usize,
    /// The next of the maps in which they are.
    next: usize,
    /// So many of those there were.
    of: usize,
    /// When the database came there.
    since: UnixMillis,
}

/// What one client watches.
#[derive(Debug, Default)]
struct Watching {
    number: u64,
    keys: Chunks<Place>,
    /// What they take.
    bytes: usize,
    /// One of them has changed.
    is_dirty: bool,
    /// The databases where a key of his was, and how often each had lost its keys then.
    there: Vec<(usize, u64)>,
    /// When the first of them that expires does.
    until: Option<UnixMillis>,
}

impl Watch {
    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The client watches a key from now on, which is this now.
    pub fn watch(&mut self, client: u64, db: usize, key: &[u8], seen: Seen) {
        if self.keys.len() <= db {
            self.keys.resize_with(db + 1, Shards::default);
        }
        let count = self.emptied(db);
        let watching = self.clients.get_or_default(client);
        if watching.number == 0 {
            self.number_last += 1;
            watching.number = self.number_last;
        }
        let names = &mut self.keys[db];
        let known = names.get_key_value(key).map(|(known, _)| known.clone());
        let key = known.unwrap_or_else(|| key.into());
        let watchers = names.get_or_default(key.clone());
        let at = watchers.partition_point(|watcher| watcher.number < watching.number);
        if watchers.get(at).is_some_and(|watcher| watcher.number == watching.number) {
            return;
        }
        let was = match seen {
            Seen::Missing => Was::Missing,
            Seen::Expired => Was::Expired,
            Seen::There(until) => {
                if !watching.there.iter().any(|&(other, _)| other == db) {
                    watching.there.push((db, count));
                }
                watching.until = watching.until.into_iter().chain(until).min();
                Was::There
            }
        };
        if watchers.is_empty() {
            // Most keys are watched by one.
            watchers.reserve_exact(1);
        }
        watchers.insert(at, Watcher { number: watching.number, client, was });
        watching.bytes += WATCH_BYTES + key.len();
        watching.keys.push((db, key));
    }

    /// The client watches nothing any more. O(1).
    pub fn forget(&mut self, client: u64) {
        if let Some(watching) = self.clients.remove(&client) {
            self.leaving.push((watching.number, watching.keys));
        }
    }

    /// A key has changed. Very many who watch it are marked when there is time.
    pub fn touch(&mut self, db: usize, key: &[u8]) {
        let Some(names) = self.keys.get_mut(db) else { return };
        if let Some(watchers) = names.remove(key) {
            self.mark(watchers);
        }
    }

    /// A key was deleted because its time was over: no change for those who saw it so.
    pub fn expired(&mut self, db: usize, key: &[u8]) {
        let Some(watchers) = self.keys.get_mut(db).and_then(|names| names.get_mut(key)) else {
            return;
        };
        if watchers.iter().all(|watcher| watcher.was != Was::Expired) {
            return self.touch(db, key);
        }
        let (mut gone, others): (Vec<_>, Vec<_>) =
            watchers.drain(..).partition(|watcher| watcher.was == Was::Expired);
        gone.iter_mut().for_each(|watcher| watcher.was = Was::Missing);
        *watchers = gone;
        self.mark(others);
    }

    /// All keys of a database are gone, or are another's now. O(1).
    pub fn emptied_one(&mut self, db: usize) {
        if self.emptied.len() <= db {
            self.emptied.resize(db + 1, 0);
        }
        self.emptied[db] += 1;
    }

    fn emptied(&self, db: usize) -> u64 {
        self.emptied.get(db).copied().unwrap_or(0)
    }

    fn mark(&mut self, watchers: Vec<Watcher>) {
        if watchers.len() > MARKS_AT_ONCE {
            return self.marks.push_back(watchers);
        }
        watchers.into_iter().for_each(|watcher| self.mark_one(watcher));
    }

    fn mark_one(&mut self, watcher: Watcher) {
        if let Some(watching) = self.clients.get_mut(&watcher.client)
            && watching.number == watcher.number
        {
            watching.is_dirty = true;
        }
    }

    /// Whether a key that the client watches has changed, apart from time ([`Watch::is_past`]).
    pub fn is_dirty(&self, client: u64) -> bool {
        let Some(watching) = self.clients.get(&client) else { return false };
        let is_in = |watchers: &Vec<Watcher>| {
            watchers.binary_search_by_key(&watching.number, |watcher| watcher.number).is_ok()
        };
        watching.is_dirty
            || watching.there.iter().any(|&(db, count)| self.emptied(db) != count)
            || self.marks.iter().any(is_in)
    }

    /// Whether the time of a key that the client watches is over, which it was not when it began to.
    pub fn is_past(&self, client: u64, now: UnixMillis) -> bool {
        let until = self.clients.get(&client).and_then(|watching| watching.until);
        until.is_some_and(|until| now > until)
    }

    /// Whether the client watches anything.
    pub fn is_watching(&self, client: u64) -> bool {
        self.clients.get(&client).is_some()
    }

    /// What the client's watching takes, in bytes; keys that others watch too count for each of them. O(1).
    pub fn memory_bytes(&self, client: u64) -> usize {
        self.clients.get(&client).map_or(0, |watching| watching.bytes)
    }

    /// How many keys are watched in a database; those that nobody watches any longer count until they are left.
    pub fn keys_in(&self, db: usize) -> usize {
        self.keys.get(db).map_or(0, Shards::len)
    }

    // --- databases that change places ---

    /// A database has come to this place: what was missing there may have come with it. `since` is the time.
    pub fn begin_sweep(&mut self, db: usize, since: UnixMillis) {
        let of = self.keys.get(db).map_or(0, Shards::maps_len);
        self.sweeps.push(Sweep { db, next: 0, of, since });
    }

    /// Whether it is not known yet what has come.
    pub fn is_sweeping(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// Looks at some more of the keys watched where a database has come: at one small map of many. `look` says what a
    /// key is at a time. True: no sweep is left.
    pub fn sweep(&mut self, mut look: impl FnMut(usize, &[u8], UnixMillis) -> Seen) -> bool {
        let Some(sweep) = self.sweeps.last_mut() else { return true };
        let (db, since) = (sweep.db, sweep.since);
        let Some(names) = self.keys.get_mut(db) else {
            self.sweeps.pop();
            return self.sweeps.is_empty();
        };
        if names.maps_len() != sweep.of {
            // It has grown into many.
            (sweep.next, sweep.of) = (0, names.maps_len());
        }
        let (mut come, mut left) = (Vec::new(), Vec::new());
        for (key, watchers) in names.map_mut(sweep.next) {
            if watchers.iter().all(|watcher| watcher.was == Was::There) {
                continue;
            }
            match look(db, key, since) {
                Seen::Missing => {}
                Seen::Expired => {
                    let missing = watchers.iter_mut().filter(|one| one.was == Was::Missing);
                    missing.for_each(|watcher| watcher.was = Was::Expired);
                }
                Seen::There(_) => {
                    // Not who began to watch it since, and saw it here.
                    come.extend(watchers.iter().filter(|one| one.was != Was::There).copied());
                    watchers.retain(|watcher| watcher.was == Was::There);
                    left.extend(watchers.is_empty().then(|| key.clone()));
                }
            }
        }
        left.iter().for_each(|key: &Arc<[u8]>| drop(names.remove(key)));
        sweep.next += 1;
        if sweep.next >= sweep.of {
            self.sweeps.pop();
        }
        come.into_iter().for_each(|watcher| self.mark_one(watcher));
        self.sweeps.is_empty()
    }

    /// Marks those who watch one of the keys of database `db` that were missing and are in another one now, which is
    /// about to take its place. O(keys watched in it).
    pub fn sweep_before(&mut self, db: usize, mut is_there: impl FnMut(&[u8]) -> bool) {
        let Some(names) = self.keys.get(db) else { return };
        let missing = names
            .iter()
            .filter(|(_, watchers)| watchers.iter().any(|watcher| watcher.was != Was::There));
        let come = missing.map(|(key, _)| key.clone()).filter(|key| is_there(key));
        come.collect::<Vec<_>>().iter().for_each(|key| self.touch(db, key));
    }

    // --- what is left to do ---

    /// Whether there is something to do in [`Watch::free_slice`].
    pub fn is_leaving(&self) -> bool {
        !(self.leaving.is_empty() && self.marks.is_empty())
    }

    /// Marks, or has leave their places, up to so many; true once nothing is left.
    pub fn free_slice(&mut self, count: usize) -> bool {
        for _ in 0..count {
            if let Some(watchers) = self.marks.front_mut() {
                match watchers.pop() {
                    Some(watcher) => self.mark_one(watcher),
                    None => drop(self.marks.pop_front()),
                }
            } else if let Some((number, places)) = self.leaving.last_mut() {
                let number = *number;
                match places.pop() {
                    Some(place) => self.leave(number, place),
                    None => drop(self.leaving.pop()),
                }
            } else {
                return true;
            }
        }
        !self.is_leaving()
    }

    fn leave(&mut self, number: u64, (db, key): Place) {
        let Some(names) = self.keys.get_mut(db) else { return };
        let Some(watchers) = names.get_mut(&key) else { return };
        if let Ok(at) = watchers.binary_search_by_key(&number, |watcher| watcher.number) {
            watchers.remove(at);
            if watchers.is_empty() {
                names.remove(&key);
            }
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
