//! WATCH: which clients are to be told, by their next EXEC, that a key has changed.
//!
//! Keys are found by database and name, clients by their id. A change marks its clients; what they watch stays until
//! EXEC, DISCARD, UNWATCH or their end.
//!
//! Cost: a change costs one lookup while anybody watches anything; else nothing.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a client that watches a key takes beside the key's name: its place in two tables, and in a list.
const WATCH_BYTES: usize = 2 * size_of::<(usize, Arc<[u8]>)>() + size_of::<Vec<u64>>() + 16;

/// All keys watched, and by whom.
#[derive(Debug, Default)]
pub struct Watch {
    /// Ids of clients by key, by database.
    keys: Vec<HashMap<Arc<[u8]>, Vec<u64>>>,
    /// Those who watch something, by id.
    clients: HashMap<u64, Watching>,
}

/// What one client watches.
#[derive(Debug, Default)]
struct Watching {
    keys: HashSet<(usize, Arc<[u8]>)>,
    /// What they take.
    bytes: usize,
    /// One of them has changed.
    is_dirty: bool,
}

impl Watch {
    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The client watches a key from now on.
    pub fn watch(&mut self, client: u64, db: usize, key: &[u8]) {
        if self.keys.len() <= db {
            self.keys.resize_with(db + 1, HashMap::new);
        }
        let watchers = &mut self.keys[db];
        let key: Arc<[u8]> = match watchers.get_key_value(key) {
            Some((known, _)) => known.clone(),
            None => key.into(),
        };
        let watching = self.clients.entry(client).or_default();
        if watching.keys.insert((db, key.clone())) {
            watching.bytes += WATCH_BYTES + key.len();
            watchers.entry(key).or_default().push(client);
        }
    }

    /// The client watches nothing any more. O(keys it watched, and those who watch them too).
    pub fn forget(&mut self, client: u64) {
        let Some(watching) = self.clients.remove(&client) else { return };
        for (db, key) in watching.keys {
            let Some(watchers) = self.keys.get_mut(db) else { continue };
            if let Some(clients) = watchers.get_mut(&key) {
                clients.retain(|other| *other != client);
                if clients.is_empty() {
                    watchers.remove(&key);
                }
            }
        }
    }

    /// A key has changed.
    pub fn touch(&mut self, db: usize, key: &[u8]) {
        let Some(clients) = self.keys.get(db).and_then(|watchers| watchers.get(key)) else {
            return;
        };
        for client in clients {
            if let Some(watching) = self.clients.get_mut(client) {
                watching.is_dirty = true;
            }
        }
    }

    /// Whether a key that the client watches has changed.
    pub fn is_dirty(&self, client: u64) -> bool {
        self.clients.get(&client).is_some_and(|watching| watching.is_dirty)
    }

    /// How many keys the client watches.
    pub fn count(&self, client: u64) -> usize {
        self.clients.get(&client).map_or(0, |watching| watching.keys.len())
    }

    /// What the client's watching takes, in bytes; keys that others watch too count for each of them. O(1).
    pub fn memory_bytes(&self, client: u64) -> usize {
        self.clients.get(&client).map_or(0, |watching| watching.bytes)
    }

    /// The keys that the client watches, with their databases.
    pub fn keys_of(&self, client: u64) -> Vec<(usize, Arc<[u8]>)> {
        let watching = self.clients.get(&client);
        watching.map_or(Vec::new(), |watching| watching.keys.iter().cloned().collect())
    }

    /// The keys watched in a database.
    pub fn keys_in(&self, db: usize) -> Vec<Arc<[u8]>> {
        self.keys.get(db).map_or(Vec::new(), |watchers| watchers.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_watch_the_key_are_marked() {
        let mut watch = Watch::default();
        watch.watch(1, 0, b"a");
        watch.watch(1, 0, b"a");
        watch.watch(2, 0, b"b");
        watch.watch(2, 3, b"a");
        watch.touch(0, b"a");
        assert_eq!((watch.is_dirty(1), watch.is_dirty(2)), (true, false));
        watch.touch(7, b"a");
        watch.touch(3, b"b");
        assert!(!watch.is_dirty(2));
        watch.touch(3, b"a");
        assert!(watch.is_dirty(2));
        assert_eq!((watch.count(1), watch.count(2)), (1, 2));
        assert_eq!(watch.memory_bytes(1), WATCH_BYTES + 1);
        assert_eq!(watch.memory_bytes(2), 2 * (WATCH_BYTES + 1));
    }

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let mut watch = Watch::default();
        for client in 1..=3 {
            watch.watch(client, 0, b"a");
            watch.watch(client, 1, b"b");
        }
        watch.touch(0, b"a");
        (1..=3).for_each(|client| watch.forget(client));
        assert_eq!(watch.memory_bytes(1), 0);
        assert!(watch.is_empty() && watch.keys.iter().all(HashMap::is_empty));
        watch.watch(1, 0, b"a");
        assert!(!watch.is_dirty(1), "a new watch begins clean");
    }
}
