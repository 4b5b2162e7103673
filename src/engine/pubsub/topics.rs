//! What can be listened to: the channels, shard channels or patterns that anybody listens to.
//!
//! ```text
//!   names   hash → id         a linear-hashing table, which grows a bucket at a time
//!   topics  id   → name, listeners
//! ```
//!
//! A topic exists as long as somebody listens to it. Of patterns, the text before the first special character leads to
//! those that can match a channel at all ([`Prefixes`]): with 100,000 patterns such as `user:17:*` publishing looks at
//! a handful.
//!
//! Cost: O(1) per name looked up. Matching: one search per length of prefix that occurs, and one match per pattern
//! whose prefix fits.
use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;

use crate::base::block::Block;
use crate::base::glob::{Case, glob_match};
use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;
use crate::engine::pubsub::readers::Readers;
use crate::types::table::Table;

/// Steps of growth per topic that comes, of shrinking per one that goes: at least as many as are needed.
const RESIZE_STEPS: usize = 2;

/// All topics of one kind.
#[derive(Default)]
pub struct Topics {
    /// Handles are ids plus one.
    names: Table,
    topics: Slab<Topic>,
    /// Only of patterns.
    prefixes: Option<Prefixes>,
}

/// A channel, shard channel or pattern.
pub struct Topic {
    /// Its name.
    pub name: Block,
    /// Who listens to it.
    pub readers: Readers,
    /// Number of the subscription that made it: topics sort by it in the order in which they came.
    pub created: u64,
}

impl Topics {
    /// As the default, for patterns.
    pub fn of_patterns() -> Topics {
        Topics { prefixes: Some(Prefixes::default()), ..Topics::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// The topic with this id.
    pub fn get(&self, id: u32) -> Option<&Topic> {
        self.topics.get(id as usize)
    }

    /// The id of the topic of this name, if anybody listens to it.
    pub fn find(&self, hasher: &KeyHasher, name: &[u8]) -> Option<u32> {
        if self.topics.is_empty() {
            return None;
        }
        let slot = self.names.find(hasher.hash(name), |handle| {
            self.topics.get(handle as usize - 1).is_some_and(|topic| **topic.name == *name)
        });
        slot.map(|slot| slot.handle - 1)
    }

    /// Adds a listener, whose subscription has this number, and the topic if it is the first; its id.
    pub fn add(
        &mut self,
        hasher: &KeyHasher,
        name: &[u8],
        number: u64,
        slot: u32,
    ) -> Result<u32, OutOfMemory> {
        let id = match self.find(hasher, name) {
            Some(id) => id,
            None => self.create(hasher, name, number)?,
        };
        if let Some(topic) = self.topics.get_mut(id as usize) {
            topic.readers.push(number, slot);
        }
        Ok(id)
    }

    fn create(&mut self, hasher: &KeyHasher, name: &[u8], number: u64) -> Result<u32, OutOfMemory> {
        let id = self.topics.vacant_key() as u32;
        self.names.insert(hasher.hash(name), id + 1, false)?;
        let name = Block::new(name.to_vec());
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.add(&name, id);
        }
        self.topics.insert(Topic { name, readers: Readers::default(), created: number });
        for _ in 0..RESIZE_STEPS {
            let topics = &self.topics;
            let name = |handle: u32| topics.get(handle as usize - 1).map(|topic| &topic.name);
            self.names.grow(|_| {}, |handle| name(handle).map_or(0, |name| hasher.hash(name)));
        }
        Ok(id)
    }

    /// Takes a listener away, and the topic if it was the last.
    pub fn remove(&mut self, hasher: &KeyHasher, id: u32, number: u64) {
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        topic.readers.remove(number);
        if !topic.readers.is_empty() {
            return;
        }
        let topic = self.topics.remove(id as usize);
        if let Some(slot) = self.names.find(hasher.hash(&topic.name), |handle| handle == id + 1) {
            self.names.remove(slot);
        }
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.remove(&topic.name, id);
        }
        for _ in 0..RESIZE_STEPS {
            self.names.shrink();
        }
    }

    /// Visits topics from id `from` on, `count` ids; where to go on, or `None` after the last.
    pub fn visit(&self, from: usize, count: usize, mut visit: impl FnMut(&Topic)) -> Option<usize> {
        let end = self.topics.capacity();
        let to = end.min(from + count);
        (from..to).filter_map(|id| self.topics.get(id)).for_each(&mut visit);
        (to < end).then_some(to)
    }

    #[cfg(test)]
    pub fn prefixes_for_test(&self) -> &Prefixes {
        self.prefixes.as_ref().expect("patterns have prefixes")
    }

    /// The ids of the patterns that match a channel, in the order in which they came.
    pub fn matching(&self, channel: &[u8], found: &mut Vec<u32>) {
        let Some(prefixes) = &self.prefixes else { return };
        let from = found.len();
        prefixes.visit(channel, |id| {
            let is_match = |topic: &Topic| glob_match(&topic.name, channel, Case::Sensitive);
            if self.get(id).is_some_and(is_match) {
                found.push(id);
            }
        });
        found[from..].sort_unstable_by_key(|&id| self.get(id).map_or(0, |topic| topic.created));
    }
}

/// Patterns by the text before their first special character.
#[derive(Default)]
pub struct Prefixes {
    patterns: BTreeMap<Box<[u8]>, BTreeSet<u32>>,
    /// How many prefixes have each length.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    fn add(&mut self, pattern: &[u8], id: u32) {
        let prefix = literal_prefix(pattern);
        if let Some(ids) = self.patterns.get_mut(prefix) {
            ids.insert(id);
            return;
        }
        *self.lengths.entry(prefix.len()).or_insert(0) += 1;
        self.patterns.insert(prefix.into(), BTreeSet::from([id]));
    }

    fn remove(&mut self, pattern: &[u8], id: u32) {
        let prefix = literal_prefix(pattern);
        let Some(ids) = self.patterns.get_mut(prefix) else { return };
        ids.remove(&id);
        if !ids.is_empty() {
            return;
        }
        self.patterns.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Visits the patterns whose prefix the channel has.
    pub fn visit(&self, channel: &[u8], mut visit: impl FnMut(u32)) {
        for &len in self.lengths.range(..=channel.len()).map(|(len, _)| len) {
            if let Some(ids) = self.patterns.get(&channel[..len]) {
                ids.iter().for_each(|&id| visit(id));
            }
        }
    }
}

fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let special = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..special.unwrap_or(pattern.len())]
}
