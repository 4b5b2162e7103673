//! Broadcasting: clients that want to hear of every change of keys with a prefix, read or not.
//!
//! Changed keys are collected with their prefixes, and told once per turn of the loop: each key once, in the order of
//! bytes, however often it changed. With a key stands who changed it last, for clients that do not want to hear of
//! their own changes.
//!
//! ```text
//!   lengths    1 × 2, 5 × 1              how many prefixes have which length
//!   prefixes   "a"     → clients, keys changed in this turn: "a1" by 7, "a2" by nobody (it expired)
//! ```
//!
//! Cost: per change one lookup for each *length* of prefixes, not for each prefix; per turn, what is told.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::notice::Notice;
use super::readers::Reader;

/// Changed keys, and the id of who changed them last; 0: nobody, they expired or were evicted.
type Changed = BTreeMap<Arc<[u8]>, u64>;

/// All prefixes that somebody wants to hear of.
#[derive(Debug, Default)]
pub struct Broadcast {
    prefixes: BTreeMap<Arc<[u8]>, Prefix>,
    /// How many prefixes have which length.
    lengths: BTreeMap<usize, usize>,
    /// Prefixes with changes.
    due: Vec<Arc<[u8]>>,
}

#[derive(Debug, Default)]
struct Prefix {
    /// Who wants to hear of it, and whether not of own changes.
    clients: BTreeMap<Reader, bool>,
    changed: Changed,
}

/// What is to be told to the clients of one prefix.
#[derive(Debug)]
pub struct Round {
    /// Its clients, and whether they do not want to hear of own changes.
    pub clients: Vec<(Reader, bool)>,
    changed: Changed,
    /// Ids of those who made the changes.
    makers: BTreeSet<u64>,
    notice: Option<Arc<Notice>>,
}

impl Broadcast {
    /// Number of prefixes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether nobody wants to hear anything.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether there is something to tell.
    #[inline]
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// A client wants to hear of a prefix, of own changes or not.
    pub fn subscribe(&mut self, prefix: &[u8], client: Reader, is_noloop: bool) {
        if !self.prefixes.contains_key(prefix) {
            *self.lengths.entry(prefix.len()).or_default() += 1;
            self.prefixes.insert(prefix.into(), Prefix::default());
        }
        if let Some(known) = self.prefixes.get_mut(prefix) {
            known.clients.insert(client, is_noloop);
        }
    }

    /// A client does not want to hear of a prefix any more. What nobody wants is forgotten, changes not yet told
    /// included.
    pub fn unsubscribe(&mut self, prefix: &[u8], client: Reader) {
        let Some(known) = self.prefixes.get_mut(prefix) else { return };
        known.clients.remove(&client);
        if !known.clients.is_empty() {
            return;
        }
        self.prefixes.remove(prefix);
        self.due.retain(|due| **due != *prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// A key was changed by the client of this id, or by nobody: 0. O(lengths of prefixes).
    #[cold]
    pub fn note(&mut self, key: &[u8], maker: u64) {
        let mut shared: Option<Arc<[u8]>> = None;
        for &length in self.lengths.keys() {
            let Some(head) = key.get(..length) else { break };
            let Some(prefix) = self.prefixes.get_mut(head) else { continue };
            if prefix.changed.is_empty()
                && let Some((name, _)) = self.prefixes.get_key_value(head)
            {
                self.due.push(name.clone());
            }
            let Some(prefix) = self.prefixes.get_mut(head) else { continue };
            match prefix.changed.get_mut(key) {
                Some(last) => *last = maker,
                None => {
                    let key = shared.get_or_insert_with(|| key.into()).clone();
                    prefix.changed.insert(key, maker);
                }
            }
        }
    }

    /// What has changed since this was asked last, prefix by prefix in the order of bytes.
    #[must_use]
    pub fn take_due(&mut self) -> Vec<Round> {
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        let mut rounds = Vec::with_capacity(due.len());
        for name in due {
            let Some(prefix) = self.prefixes.get_mut(&name) else { continue };
            let changed = std::mem::take(&mut prefix.changed);
            let makers = changed.values().copied().collect();
            let of_client = |(client, is_noloop): (&Reader, &bool)| (*client, *is_noloop);
            let clients = prefix.clients.iter().map(of_client).collect();
            rounds.push(Round { clients, changed, makers, notice: None });
        }
        rounds
    }
}

impl Round {
    /// What a client is told; `None`: nothing. All are told the same, but whoever is not to hear of own changes and
    /// made some.
    pub fn notice_for(&mut self, client: Reader, is_noloop: bool) -> Option<Arc<Notice>> {
        let is_own = |maker: &u64| *maker != 0 && client.has_id(*maker);
        if is_noloop && self.makers.iter().any(is_own) {
            let others = self.changed.iter().filter(|(_, maker)| !is_own(maker));
            let keys: Vec<Arc<[u8]>> = others.map(|(key, _)| key.clone()).collect();
            return (!keys.is_empty()).then(|| Notice::keys(keys));
        }
        let all = || Notice::keys(self.changed.keys().cloned().collect());
        Some(self.notice.get_or_insert_with(all).clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::reply::Resp;

    fn told(round: &mut Round, client: Reader, is_noloop: bool) -> Option<Vec<u8>> {
        round.notice_for(client, is_noloop).map(|notice| notice.encoded(Resp::V3).to_vec())
    }

    fn message(keys: &[&[u8]]) -> Vec<u8> {
        let keys = keys.iter().map(|&key| key.into()).collect();
        Notice::keys(keys).encoded(Resp::V3).to_vec()
    }

    #[test]
    fn each_key_once_and_not_to_its_maker() {
        let (first, second) = (Reader::new(0, 1), Reader::new(1, 2));
        let mut broadcast = Broadcast::default();
        broadcast.subscribe(b"a", first, true);
        broadcast.subscribe(b"a", first, true);
        broadcast.subscribe(b"a", second, false);
        broadcast.note(b"a2", 1);
        broadcast.note(b"a1", 2);
        broadcast.note(b"a2", 2);
        broadcast.note(b"b", 2);
        assert!(broadcast.is_due());
        let mut rounds = broadcast.take_due();
        assert!(!broadcast.is_due() && rounds.len() == 1);
        let round = &mut rounds[0];
        assert_eq!(round.clients, [(first, true), (second, false)]);
        assert_eq!(told(round, first, true), Some(message(&[b"a1", b"a2"])));
        assert_eq!(told(round, second, true), None);
        assert_eq!(told(round, second, false), Some(message(&[b"a1", b"a2"])));
        // Expired after its own change: nobody's.
        broadcast.note(b"a", 2);
        broadcast.note(b"a", 0);
        assert_eq!(told(&mut broadcast.take_due()[0], second, true), Some(message(&[b"a"])));
    }

    #[test]
    fn the_last_one_takes_the_prefix_along() {
        let (first, second) = (Reader::new(0, 1), Reader::new(1, 2));
        let mut broadcast = Broadcast::default();
        broadcast.subscribe(b"", first, false);
        broadcast.subscribe(b"", second, false);
        broadcast.note(b"k", 0);
        broadcast.unsubscribe(b"", first);
        assert_eq!((broadcast.len(), broadcast.is_due()), (1, true));
        broadcast.unsubscribe(b"", second);
        assert_eq!((broadcast.len(), broadcast.is_due(), broadcast.is_empty()), (0, false, true));
        assert!(broadcast.lengths.is_empty());
    }

    proptest! {
        /// Against a look at every prefix.
        #[test]
        fn like_looking_at_all(
            prefixes in proptest::collection::btree_set("[ab]{0,3}", 0..6),
            keys in proptest::collection::vec("[ab]{0,5}", 0..20),
        ) {
            let client = Reader::new(3, 4);
            let mut broadcast = Broadcast::default();
            for prefix in &prefixes {
                broadcast.subscribe(prefix.as_bytes(), client, true);
            }
            keys.iter().for_each(|key| broadcast.note(key.as_bytes(), 0));
            let mut wanted = Vec::new();
            for prefix in &prefixes {
                let own = keys.iter().filter(|key| key.starts_with(prefix));
                let own: BTreeSet<&[u8]> = own.map(|key| key.as_bytes()).collect();
                if !own.is_empty() {
                    wanted.push(message(&own.into_iter().collect::<Vec<_>>()));
                }
            }
            let mut rounds = broadcast.take_due();
            let given: Vec<Vec<u8>> =
                rounds.iter_mut().filter_map(|round| told(round, client, true)).collect();
            prop_assert_eq!(given, wanted);
            for prefix in &prefixes {
                broadcast.unsubscribe(prefix.as_bytes(), client);
            }
            prop_assert!(broadcast.is_empty() && broadcast.lengths.is_empty());
        }
    }
}
