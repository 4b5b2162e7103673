//! A copy of a stream, made in slices (COPY).
use super::group::{Group, Pending};
use super::id::StreamId;
use super::{Log, Stream};
use crate::base::pieces::{Garbage, Progress};

/// Bytes of nodes that are copied for one unit.
const UNIT_BYTES: usize = 4096;

/// A copy under way. The source must be the same at each step.
#[derive(Debug, Default)]
pub struct StreamCopy {
    copy: Stream,
    place: Place,
}

/// What is copied next.
#[derive(Debug)]
enum Place {
    /// Nodes from this id on.
    Nodes(StreamId),
    /// The group after the one of this name.
    Group(Option<Box<[u8]>>),
    /// Consumers of a group after the one of this name; their numbers become those of the copy.
    Consumers(Box<[u8]>, Option<Box<[u8]>>),
    /// Pending entries of a group from this id on.
    Pending(Box<[u8]>, StreamId),
    /// Nothing.
    Over,
}

impl Default for Place {
    fn default() -> Place {
        Place::Nodes(StreamId::MIN)
    }
}

impl StreamCopy {
    /// Copies about `units` nodes, consumers or pending entries.
    pub fn step(&mut self, source: &Stream, units: usize) -> Progress {
        let mut left = units;
        while left > 0 {
            let (place, used) = match std::mem::replace(&mut self.place, Place::Over) {
                Place::Nodes(start) => self.copy_nodes(source, start, left),
                Place::Group(after) => (self.copy_group(source, after.as_deref()), 1),
                Place::Consumers(group, after) => self.copy_consumers(source, group, after, left),
                Place::Pending(group, start) => self.copy_pending(source, group, start, left),
                Place::Over => return Progress::Done,
            };
            self.place = place;
            left = left.saturating_sub(used);
        }
        Progress::More
    }

    /// The copy, once [`StreamCopy::step`] says that it is done; what there is of it before that.
    pub fn finish(self) -> Stream {
        self.copy
    }

    fn copy_nodes(&mut self, source: &Stream, start: StreamId, units: usize) -> (Place, usize) {
        let mut used = 0;
        for (first, bytes) in source.log().nodes_from(start) {
            if used >= units {
                return (Place::Nodes(first), used);
            }
            self.copy.log.push_node(first, bytes.to_vec());
            used += 1 + bytes.len() / UNIT_BYTES;
        }
        self.copy.log.set_header(source.log().header());
        self.copy.is_born = source.is_born;
        (Place::Group(None), used)
    }

    fn copy_group(&mut self, source: &Stream, after: Option<&[u8]>) -> Place {
        let Some((name, group)) = source.groups_after(after).next() else { return Place::Over };
        self.copy.add_group(name, Group::new(group.last_id, group.entries_read));
        Place::Consumers(name.into(), None)
    }

    fn copy_consumers(
        &mut self,
        source: &Stream,
        name: Box<[u8]>,
        after: Option<Box<[u8]>>,
        units: usize,
    ) -> (Place, usize) {
        let Some(group) = source.group(&name) else { return (Place::Over, 1) };
        let (mut used, mut last) = (0, None);
        self.copy.edit_group(&name, |copy, _: &Log| {
            for consumer in group.consumers_after(after.as_deref()).take(units) {
                copy.add_consumer(consumer.name(), consumer.seen_ms);
                last = Some(consumer.name().into());
                used += 1;
            }
        });
        match last {
            Some(last) => (Place::Consumers(name, Some(last)), used),
            None => (Place::Pending(name, StreamId::MIN), 1),
        }
    }

    fn copy_pending(
        &mut self,
        source: &Stream,
        name: Box<[u8]>,
        start: StreamId,
        units: usize,
    ) -> (Place, usize) {
        let Some(group) = source.group(&name) else { return (Place::Over, 1) };
        let (mut used, mut last) = (0, None);
        self.copy.edit_group(&name, |copy, _: &Log| {
            for (id, pending) in group.pending_from(start).take(units) {
                let owner = group.consumer_at(pending.consumer).map(|consumer| consumer.name());
                let owner = owner.and_then(|name| copy.consumer(name)).map(|(number, _)| number);
                if let Some(consumer) = owner {
                    copy.assign(id, Pending { consumer, ..pending });
                }
                last = Some(id);
                used += 1;
            }
        });
        match last.and_then(StreamId::next) {
            Some(next) => (Place::Pending(name, next), used),
            None => (Place::Group(Some(name)), 1),
        }
    }
}

/// What is not finished, to be freed in slices.
impl Garbage for StreamCopy {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.copy.free_slice(units)
    }
}
