//! A walk over entries in a range of ids, forwards or backwards, which can stop and go on.
//!
//! It keeps the node's id and a position, borrows nothing, and stays valid as long as the entries do not change.
//! Cost: O(log nodes + one node) to begin, O(items) for each entry.
use super::id::StreamId;
use super::log::Log;
use super::node::{Entry, NodeRef};
use crate::base::pieces::Progress;

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere yet.
    Before,
    /// In the node of this id, at a position: of the next entry, or, backwards, of its end.
    In(StreamId, usize),
    /// Nothing is left.
    Over,
}

/// A walk.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    start: StreamId,
    end: StreamId,
    is_backwards: bool,
    place: Place,
}

impl Walk {
    /// From `start` to `end`, both included.
    pub fn new(start: StreamId, end: StreamId) -> Walk {
        Walk { start, end, is_backwards: false, place: Place::Before }
    }

    /// From `end` back to `start`, both included.
    pub fn backwards(start: StreamId, end: StreamId) -> Walk {
        Walk { is_backwards: true, ..Walk::new(start, end) }
    }

    /// The next entry.
    pub fn next<'a>(&mut self, log: &'a Log) -> Option<Entry<'a>> {
        let mut found = None;
        while found.is_none() && !self.step(log, 1, |entry| found = Some(entry)).is_done() {}
        found
    }

    /// Looks at up to `units` entries and shows those that are in range and not deleted.
    pub fn step<'a>(
        &mut self,
        log: &'a Log,
        units: usize,
        mut show: impl FnMut(Entry<'a>),
    ) -> Progress {
        let mut left = units;
        while left > 0 {
            let (node, at) = match self.place {
                Place::Over => return Progress::Done,
                Place::Before => match self.enter_first(log) {
                    Some(found) => found,
                    None => return self.finish(),
                },
                Place::In(first, at) => match log.node_until(first) {
                    Some(node) => (node, at),
                    None => return self.finish(),
                },
            };
            if self.is_over(node, at, &mut left, &mut show) {
                return self.finish();
            }
            if left > 0 {
                // The node has come to its end.
                match self.enter_next(log, node.first()) {
                    Some((node, at)) => self.place = Place::In(node.first(), at),
                    None => return self.finish(),
                }
            }
        }
        if self.place == Place::Over { Progress::Done } else { Progress::More }
    }

    /// Walks on in one node; whether the walk is over.
    fn is_over<'a>(
        &mut self,
        node: NodeRef<'a>,
        mut at: usize,
        left: &mut usize,
        show: &mut impl FnMut(Entry<'a>),
    ) -> bool {
        while *left > 0 {
            let entry = if self.is_backwards { node.entry_before(at) } else { node.entry(at) };
            let Some(entry) = entry else { return false };
            *left -= 1;
            at = if self.is_backwards { entry.place() } else { node.after(&entry) };
            self.place = Place::In(node.first(), at);
            let is_past =
                if self.is_backwards { entry.id < self.start } else { entry.id > self.end };
            if is_past {
                return true;
            }
            if !entry.is_deleted() && (self.start..=self.end).contains(&entry.id) {
                show(entry);
            }
        }
        false
    }

    fn finish(&mut self) -> Progress {
        self.place = Place::Over;
        Progress::Done
    }

    fn enter_first<'a>(&self, log: &'a Log) -> Option<(NodeRef<'a>, usize)> {
        if self.is_backwards {
            return log.node_until(self.end).map(|node| (node, node.end()));
        }
        let node = log.node_until(self.start).or_else(|| log.node_from(StreamId::MIN))?;
        Some((node, node.begin()))
    }

    fn enter_next<'a>(&self, log: &'a Log, from: StreamId) -> Option<(NodeRef<'a>, usize)> {
        if self.is_backwards {
            return log.node_until(from.previous()?).map(|node| (node, node.end()));
        }
        log.node_from(from.next()?).map(|node| (node, node.begin()))
    }
}
