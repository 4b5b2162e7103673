//! XTRIM: entries go from the front of a stream, whole nodes first.
//!
//! Cost: O(1) for each node that goes, and O(one node) for the one that is cut.
use super::Log;
use crate::base::pieces::Progress;
use crate::types::stream::id::StreamId;

/// What XTRIM leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// MAXLEN: so many of the newest.
    Newest(u64),
    /// MINID: this id and greater ones.
    From(StreamId),
}

/// A trim under way: entries removed from the front, whole nodes and, if it is exact, some of the next.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    keep: Keep,
    is_exact: bool,
    /// Remove no more than so many; 0: any number.
    limit: u64,
    removed: u64,
}

impl Trim {
    /// One that has not begun.
    pub fn new(keep: Keep, is_exact: bool, limit: u64) -> Trim {
        Trim { keep, is_exact, limit, removed: 0 }
    }

    /// Entries removed so far.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// About how many nodes it has to look at: as if all had the same number of entries. O(1).
    pub fn nodes_ahead(&self, log: &Log) -> usize {
        let nodes = log.nodes_len() as u64;
        let ahead = match self.keep {
            Keep::Newest(count) if log.length <= count => 0,
            Keep::Newest(count) => {
                let share = u128::from(log.length - count) * u128::from(nodes);
                (share / u128::from(log.length.max(1))) as u64 + 1
            }
            Keep::From(id) if log.first_id >= id => 0,
            Keep::From(_) => nodes,
        };
        let ahead = if self.limit == 0 { ahead } else { ahead.min(self.limit) };
        usize::try_from(ahead).unwrap_or(usize::MAX)
    }

    /// Removes about `units` nodes.
    pub fn step(&mut self, log: &mut Log, units: usize) -> Progress {
        for _ in 0..units {
            if !self.remove_one(log) {
                if self.removed > 0 || log.length == 0 {
                    log.find_first();
                }
                return Progress::Done;
            }
        }
        Progress::More
    }

    /// Removes the first node, or some of it; false when nothing more is to be removed.
    fn remove_one(&mut self, log: &mut Log) -> bool {
        let Some(node) = log.node_from(StreamId::MIN) else { return false };
        if matches!(self.keep, Keep::Newest(count) if log.length <= count) {
            return false;
        }
        let (live, _) = node.counts();
        if self.limit > 0 && self.removed.saturating_add(live) > self.limit {
            return false;
        }
        let goes_whole = match self.keep {
            Keep::Newest(count) => log.length.saturating_sub(live) >= count,
            Keep::From(id) => node.last_id().is_none_or(|last| last < id),
        };
        let first = node.first();
        if goes_whole {
            log.remove_node(first);
            log.length = log.length.saturating_sub(live);
            self.removed += live;
            return true;
        }
        if self.is_exact {
            let (length, keep) = (log.length, self.keep);
            let Some(node) = log.node_mut(first) else { return false };
            let before = node.capacity();
            let removed = node.delete_first(first, |id, gone| match keep {
                Keep::Newest(count) => length.saturating_sub(gone) > count,
                Keep::From(least) => id < least,
            });
            let after = node.capacity();
            log.bytes = log.bytes + after - before;
            log.length = log.length.saturating_sub(removed);
            self.removed += removed;
        }
        false
    }
}
