//! A stream made from the parts of a dump, each of them checked.
//!
//! The order is that of the dump: nodes, header, and then for each group itself, its pending entries, and its consumers
//! each with the ids that are theirs. What Redis 7.0.15 refuses is refused, and also what it takes and would later
//! stumble over: ids that do not ascend, counts that are not those of the entries.
//!
//! Cost: O(bytes) for each part; what is not finished is garbage to be freed in slices.
use super::Stream;
use super::group::{ConsumerNumber, ENTRIES_READ_UNKNOWN, Group};
use super::id::StreamId;
use super::log::Header;
use super::node::NodeRef;
use crate::base::pieces::{Garbage, Progress};
use crate::types::listpack::Corrupt;

/// A stream under way.
#[derive(Debug, Default)]
pub struct StreamBuilder {
    stream: Stream,
    /// Entries in the nodes so far.
    pub(super) entries: u64,
    /// The greatest id in the nodes, without deleted ones.
    top_id: StreamId,
    /// The group whose parts come.
    group: Option<(Box<[u8]>, Group)>,
    /// The consumer whose ids come.
    consumer: Option<ConsumerNumber>,
}

impl StreamBuilder {
    /// Adds a node: the 16 bytes of its id, and its listpack. O(bytes).
    pub fn add_node(&mut self, id: &[u8], listpack: Vec<u8>) -> Result<(), Corrupt> {
        let first = StreamId::from_bytes(id.try_into().map_err(|_| Corrupt)?);
        let (live, last) = NodeRef::check(first, &listpack)?;
        // The first entry of a node has the node's id, unless Redis has never written it.
        if self.stream.log.nodes_len() > 0 && first <= self.top_id {
            return Err(Corrupt);
        }
        self.stream.log.push_node(first, listpack);
        self.entries += live;
        self.top_id = last;
        Ok(())
    }

    /// What a dump of Redis 7 (type 19) says after the nodes.
    pub fn set_header(&mut self, header: Header) -> Result<(), Corrupt> {
        self.check_header(header.length, header.last_id)?;
        self.stream.log.set_header(header);
        Ok(())
    }

    /// What a dump of earlier versions (type 15) says after the nodes.
    pub fn set_old_header(&mut self, length: u64, last_id: StreamId) -> Result<(), Corrupt> {
        self.check_header(length, last_id)?;
        let header = Header { length, last_id, entries_added: length, ..Header::default() };
        self.stream.log.set_header(header);
        if length == 0 {
            // As Redis has it: the edge of nothing.
            self.stream.log.set_header(Header { first_id: StreamId::MAX, ..header });
        } else {
            self.stream.log.find_first();
        }
        Ok(())
    }

    fn check_header(&self, length: u64, last_id: StreamId) -> Result<(), Corrupt> {
        let is_right = length == self.entries && last_id >= self.top_id;
        if is_right { Ok(()) } else { Err(Corrupt) }
    }

    /// Begins a group. `entries_read` is missing in dumps of earlier versions.
    pub fn begin_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<i64>,
    ) -> Result<(), Corrupt> {
        self.end_group()?;
        if self.stream.group(name).is_some() {
            return Err(Corrupt);
        }
        let estimate = || self.stream.log.entries_up_to(last_id).unwrap_or(ENTRIES_READ_UNKNOWN);
        let entries_read = entries_read.unwrap_or_else(estimate);
        self.group = Some((name.into(), Group::new(last_id, entries_read)));
        Ok(())
    }

    /// Adds a pending entry of the group: the 16 bytes of its id, when it was delivered last, and how often.
    pub fn add_pending(
        &mut self,
        id: [u8; 16],
        delivered_ms: i64,
        count: u64,
    ) -> Result<(), Corrupt> {
        let (_, group) = self.group.as_mut().ok_or(Corrupt)?;
        let is_new = group.restore_pending(StreamId::from_bytes(id), delivered_ms, count);
        if is_new { Ok(()) } else { Err(Corrupt) }
    }

    /// Begins a consumer of the group.
    pub fn begin_consumer(&mut self, name: &[u8], seen_ms: i64) -> Result<(), Corrupt> {
        let (_, group) = self.group.as_mut().ok_or(Corrupt)?;
        self.consumer = group.add_consumer(name, seen_ms);
        if self.consumer.is_some() { Ok(()) } else { Err(Corrupt) }
    }

    /// Gives one of the group's pending entries to the consumer.
    pub fn add_consumer_pending(&mut self, id: [u8; 16]) -> Result<(), Corrupt> {
        let (_, group) = self.group.as_mut().ok_or(Corrupt)?;
        let consumer = self.consumer.ok_or(Corrupt)?;
        let is_free = group.restore_owner(StreamId::from_bytes(id), consumer);
        if is_free { Ok(()) } else { Err(Corrupt) }
    }

    fn end_group(&mut self) -> Result<(), Corrupt> {
        self.consumer = None;
        let Some((name, group)) = self.group.take() else { return Ok(()) };
        let is_whole = group.is_whole();
        self.stream.add_group(&name, group);
        if is_whole { Ok(()) } else { Err(Corrupt) }
    }

    /// The stream, which is whole now.
    pub fn finish(mut self) -> Result<Stream, Corrupt> {
        self.end_group()?;
        self.stream.create();
        Ok(self.stream)
    }
}

/// What is not finished, to be freed in slices.
impl Garbage for StreamBuilder {
    fn free_slice(&mut self, units: usize) -> Progress {
        if let Some((name, group)) = self.group.take() {
            self.stream.add_group(&name, group);
        }
        self.stream.free_slice(units)
    }
}
