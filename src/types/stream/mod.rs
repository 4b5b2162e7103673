//! Streams: entries with ids in order ([`Log`]), and consumer groups ([`Group`]).
//!
//! Entries are kept in Redis's own node format, so dumps copy them as they are. A stream that was created stays, even
//! without entries. Ids are made and compared here; times are handed in.
//!
//! Cost: O(1) to append, O(log n + one node) to find an entry, O(log n) for each pending entry. Whatever touches many
//! entries is a [`Walk`], a [`Trim`], a [`StreamCopy`] or takes units, and goes on where it stopped.
mod aggregate;
mod copy;
mod group;
mod id;
mod id_map;
mod log;
mod node;
mod restore;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::ops::Bound;

pub use copy::StreamCopy;
pub use group::{Consumer, ConsumerNumber, ENTRIES_READ_UNKNOWN, Group, Pending};
pub use id::{IdText, NewId, StreamId};
pub use log::{AppendError, Header, Keep, Log, Trim};
pub use node::{Entry, Fields, NodeLimits};
pub use restore::StreamBuilder;
pub use walk::Walk;

use crate::base::pieces::{Garbage, Progress};

/// Memory of a group's place in the tree besides its name, at the usual fill.
const GROUP_OVERHEAD: usize = 60;

/// A stream.
#[derive(Debug, Default)]
pub struct Stream {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Box<Group>>,
    /// Memory of the groups.
    groups_bytes: usize,
    /// Something was done to it: it is to be kept, even when it is empty.
    is_born: bool,
}

impl Stream {
    /// One that nothing was done to yet.
    pub const fn new() -> Stream {
        Stream { log: Log::new(), groups: BTreeMap::new(), groups_bytes: 0, is_born: false }
    }

    /// Whether nothing was ever done to it. An empty stream is a value; this is none.
    pub fn is_empty(&self) -> bool {
        !self.is_born
    }

    /// Says that it is a value, though there is nothing in it.
    pub fn create(&mut self) {
        self.is_born = true;
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        usize::try_from(self.log.len()).unwrap_or(usize::MAX)
    }

    /// Memory it owns, in bytes. O(1).
    pub fn bytes(&self) -> usize {
        self.log.bytes() + self.groups_bytes
    }

    /// Of that: the groups. O(1).
    pub fn groups_bytes(&self) -> usize {
        self.groups_bytes
    }

    /// How it is kept, in Redis's words.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Its entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its entries, to be deleted or trimmed.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Adds an entry; returns its id. O(its bytes).
    pub fn append<'a>(
        &mut self,
        new: NewId,
        now_ms: u64,
        fields: impl Fields<'a>,
        limits: NodeLimits,
    ) -> Result<StreamId, AppendError> {
        let id = self.log.append(new, now_ms, fields, limits)?;
        self.is_born = true;
        Ok(id)
    }

    // --- groups ---

    /// How many groups there are.
    pub fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// The group of a name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// Groups with their names, in the order of these, after one of them.
    pub fn groups_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = (&[u8], &Group)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let groups = self.groups.range::<[u8], _>((from, Bound::Unbounded));
        groups.map(|(name, group)| (&**name, &**group))
    }

    /// Adds a group; false if there is one of this name. The stream is one from now on.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.is_born = true;
        self.groups_bytes += GROUP_OVERHEAD + name.len() + group.bytes();
        self.groups.insert(name.into(), Box::new(group));
        true
    }

    /// Takes a group out.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Box<Group>> {
        let group = self.groups.remove(name)?;
        self.groups_bytes -= GROUP_OVERHEAD + name.len() + group.bytes();
        Some(group)
    }

    /// Changes a group, with a look at the entries. `None`: no such group.
    pub fn edit_group<R>(
        &mut self,
        name: &[u8],
        edit: impl FnOnce(&mut Group, &Log) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group.bytes();
        let result = edit(group, &self.log);
        self.groups_bytes = self.groups_bytes + group.bytes() - before;
        Some(result)
    }
}

/// Frees nodes, then groups.
impl Garbage for Stream {
    fn free_slice(&mut self, units: usize) -> Progress {
        if self.log.nodes_len() > 0 {
            // Groups come next time.
            let _ = self.log.free_slice(units);
            return Progress::More;
        }
        if let Some(mut group) = self.groups.first_entry() {
            if group.get_mut().free_slice(units).is_done() {
                group.remove();
            }
            return Progress::More;
        }
        let is_done = self.log.free_slice(units).is_done();
        self.groups_bytes = 0;
        if is_done { Progress::Done } else { Progress::More }
    }
}
