//! Collections as DUMP and RDB files have them, written in slices.
//!
//! | value | written as |
//! |---|---|
//! | list | type 18: its nodes as listpacks, a huge element as it is |
//! | set | 11: the intset; 2: its members |
//! | hash | 16: the listpack; 4: fields and values; with expiring fields 25 and 24 of Redis 7.4, version 12 |
//! | sorted set | 17: the listpack; 5: members and scores, the highest first |
//! | stream | 19: its nodes, groups, consumers and pending entries |
//!
//! Byte for byte what Redis 7.0 writes, but for the order of members where Redis has none. The value must be the same
//! at each step. A unit is an element, or 1 KiB.
use crate::base::block::Block;
use crate::base::pieces::{Garbage, Progress};
use crate::base::time::UnixMillis;
use crate::persist::payload::Payload;
use crate::persist::rdb_format::{Compression, VERSION, VERSION_FIELD_EXPIRY, value_type};
use crate::store::ValueRef;
use crate::types::hash::{Field, HashRef, Value};
use crate::types::list::{ListRef, NodeRef, frame_of_block};
use crate::types::listpack::Item;
use crate::types::set::{SetCursor, SetRef};
use crate::types::stream::{Group, Stream, StreamId};
use crate::types::zset::ZsetRef;

/// How a node of a list is kept: 1 a plain element, 2 a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;
/// Bytes that one unit stands for, beside being an element.
const BYTES_PER_UNIT: usize = 1024;

/// See the head of the file.
pub struct ValueWriter {
    payload: Payload,
    version: u16,
    /// From how many bytes on Redis keeps an element of a list by itself.
    list_packed_threshold: usize,
    place: Place,
}

/// What comes next.
enum Place {
    Start,
    Nodes(usize),
    Members(SetCursor),
    Fields {
        cursor: usize,
        first_expiry: Option<UnixMillis>,
    },
    /// So many members are left, those with the lowest scores.
    Scores(usize),
    Stream(StreamPlace),
    End,
}

/// What comes next of a stream.
enum StreamPlace {
    /// Nodes from this id on.
    Nodes(StreamId),
    /// What is told of it as a whole.
    Header,
    /// The group after this one.
    Group(Option<Box<[u8]>>),
    /// Pending entries of a group from this id on.
    Pending(Box<[u8]>, StreamId),
    /// The consumer of a group after this one.
    Consumer(Box<[u8]>, Option<Box<[u8]>>),
    /// Pending entries of a group's consumer from this id on.
    Owned(Box<[u8]>, Box<[u8]>, StreamId),
}

impl ValueWriter {
    /// To write a value from its type on.
    pub fn new(compression: Compression, list_packed_threshold: usize) -> ValueWriter {
        ValueWriter {
            payload: Payload::new(compression),
            version: VERSION,
            list_packed_threshold,
            place: Place::Start,
        }
    }

    /// Goes on; when done, [`ValueWriter::into_payload`].
    pub fn step(&mut self, value: ValueRef<'_>, units: usize) -> Progress {
        let mut left = units;
        while left > 0 {
            if !self.payload.step(left).is_done() {
                return Progress::More;
            }
            if matches!(self.place, Place::End) {
                return Progress::Done;
            }
            let before = self.payload.len();
            let used = match value {
                ValueRef::List(list) => self.write_list(list, left),
                ValueRef::Set(set) => self.write_set(set, left),
                ValueRef::Hash(hash) => self.write_hash(hash, left),
                ValueRef::Zset(zset) => self.write_zset(zset, left),
                ValueRef::Stream(stream) => self.write_stream(stream, left),
                // Strings have a writer of their own (`dump_pieces`).
                ValueRef::String(_) | ValueRef::Document(_) => {
                    self.place = Place::End;
                    1
                }
            };
            let bytes = self.payload.len().saturating_sub(before);
            let used = used.max(1).saturating_add(bytes / BYTES_PER_UNIT);
            left = left.saturating_sub(used);
        }
        Progress::More
    }

    /// The payload's pieces and how many bytes they are, once done.
    pub fn into_payload(self) -> (Vec<Block>, usize) {
        self.payload.finish(self.version)
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// A value that is one string of these bytes.
    fn write_whole(&mut self, value_type: u8, bytes: &[u8]) -> usize {
        self.payload.bytes(&[value_type]);
        self.payload.string(bytes);
        self.place = Place::End;
        1
    }

    fn write_list(&mut self, list: ListRef<'_>, units: usize) -> usize {
        let Place::Nodes(from) = self.place else {
            self.payload.bytes(&[value_type::LIST_LISTPACKS]);
            self.payload.length(list.node_count() as u64);
            self.place = Place::Nodes(0);
            return 1;
        };
        let (mut at, mut used) = (from, 0);
        while used < units {
            match list.node(at) {
                None => {
                    self.place = Place::End;
                    return used;
                }
                Some(NodeRef::Packed(bytes)) => {
                    self.payload.length(NODE_PACKED);
                    self.payload.string(bytes);
                    used += 1 + bytes.len() / BYTES_PER_UNIT;
                }
                Some(NodeRef::Block(block)) => {
                    self.write_big_element(block);
                    used = units;
                }
                // As Redis: whether strings are compressed or not.
                Some(NodeRef::Squeezed(node)) => {
                    self.payload.length(NODE_PACKED);
                    self.payload.squeezed(node.packed, node.total);
                    used += 1 + node.packed.len() / BYTES_PER_UNIT;
                }
            }
            at += 1;
        }
        self.place = Place::Nodes(at);
        used
    }

    fn write_big_element(&mut self, block: &Block) {
        match frame_of_block(block) {
            Some((head, tail)) if block.len() < self.list_packed_threshold => {
                self.payload.length(NODE_PACKED);
                self.payload.framed(head, block, tail);
            }
            _ => {
                self.payload.length(NODE_PLAIN);
                self.payload.block(block);
            }
        }
    }

    fn write_set(&mut self, set: SetRef<'_>, units: usize) -> usize {
        let Place::Members(cursor) = &mut self.place else {
            if let SetRef::Intset(ints) = set {
                return self.write_whole(value_type::SET_INTSET, ints.as_bytes());
            }
            self.payload.bytes(&[value_type::SET]);
            self.payload.length(set.len() as u64);
            self.place = Place::Members(SetCursor::default());
            return 1;
        };
        let payload = &mut self.payload;
        if set.walk(cursor, units, |member| write_item(payload, member)).is_done() {
            self.place = Place::End;
        }
        units
    }

    fn write_hash(&mut self, hash: HashRef<'_>, units: usize) -> usize {
        let Place::Fields { cursor, first_expiry } = &mut self.place else {
            return self.begin_hash(hash);
        };
        let (payload, first_expiry) = (&mut self.payload, *first_expiry);
        let write = |field: Field<'_>| {
            if let Some(first) = first_expiry {
                // Counted from the first one's, which is 1; 0: none.
                let ttl = field.found.expiry.map_or(0, |expiry| expiry.saturating_sub(first) + 1);
                payload.length(ttl as u64);
            }
            write_item(payload, field.name);
            match field.found.value {
                Value::Item(item) => write_item(payload, item),
                Value::Block(block) => payload.block(block),
            }
        };
        if hash.visit(cursor, units, write).is_done() {
            self.place = Place::End;
        }
        units
    }

    fn begin_hash(&mut self, hash: HashRef<'_>) -> usize {
        let first_expiry = hash.next_expiry();
        match hash {
            HashRef::Packed(list) => {
                return self.write_whole(value_type::HASH_LISTPACK, list.as_bytes());
            }
            HashRef::Expiring(list) => {
                self.version = VERSION_FIELD_EXPIRY;
                self.payload.bytes(&[value_type::HASH_LISTPACK_EXPIRY]);
                self.payload.bytes(&first_expiry.unwrap_or(0).to_le_bytes());
                self.payload.string(list.as_bytes());
                self.place = Place::End;
                return 1;
            }
            HashRef::Table(_) => {}
        }
        match first_expiry {
            None => self.payload.bytes(&[value_type::HASH]),
            Some(first) => {
                self.version = VERSION_FIELD_EXPIRY;
                self.payload.bytes(&[value_type::HASH_EXPIRY]);
                self.payload.bytes(&first.to_le_bytes());
            }
        }
        self.payload.length(hash.len() as u64);
        self.place = Place::Fields { cursor: 0, first_expiry };
        1
    }

    fn write_zset(&mut self, zset: ZsetRef<'_>, units: usize) -> usize {
        let Place::Scores(left) = self.place else {
            if let ZsetRef::Packed(list) = zset {
                return self.write_whole(value_type::ZSET_LISTPACK, list.as_bytes());
            }
            self.payload.bytes(&[value_type::ZSET_BINARY]);
            self.payload.length(zset.len() as u64);
            self.place = Place::Scores(zset.len());
            return 1;
        };
        let next = left.saturating_sub(units);
        for (member, score) in zset.range(next..left).rev() {
            write_item(&mut self.payload, member);
            self.payload.bytes(&score.to_le_bytes());
        }
        self.place = if next == 0 { Place::End } else { Place::Scores(next) };
        units
    }

    // --- streams ---

    fn write_stream(&mut self, stream: &Stream, units: usize) -> usize {
        let place = match std::mem::replace(&mut self.place, Place::End) {
            Place::Stream(place) => place,
            _ => {
                self.payload.bytes(&[value_type::STREAM_2]);
                self.payload.length(stream.log().nodes_len() as u64);
                self.place = Place::Stream(StreamPlace::Nodes(StreamId::MIN));
                return 1;
            }
        };
        let mut used = 0;
        let next = match place {
            StreamPlace::Nodes(start) => Some(self.write_nodes(stream, start, units, &mut used)),
            StreamPlace::Header => {
                self.write_header(stream);
                Some(StreamPlace::Group(None))
            }
            StreamPlace::Group(after) => self.write_group(stream, after.as_deref()),
            StreamPlace::Pending(name, start) => stream
                .group(&name)
                .map(|group| self.write_pending(group, name, start, units, &mut used)),
            StreamPlace::Consumer(name, after) => {
                stream.group(&name).map(|group| self.write_consumer(group, name, after.as_deref()))
            }
            StreamPlace::Owned(name, owner, start) => stream
                .group(&name)
                .map(|group| self.write_owned(group, (name, owner), start, units, &mut used)),
        };
        self.place = next.map_or(Place::End, Place::Stream);
        used
    }

    fn write_nodes(
        &mut self,
        stream: &Stream,
        start: StreamId,
        units: usize,
        used: &mut usize,
    ) -> StreamPlace {
        for (first, bytes) in stream.log().nodes_from(start) {
            if *used >= units {
                return StreamPlace::Nodes(first);
            }
            self.payload.string(&first.to_bytes());
            self.payload.string(bytes);
            *used += 1 + bytes.len() / BYTES_PER_UNIT;
        }
        StreamPlace::Header
    }

    fn write_header(&mut self, stream: &Stream) {
        let header = stream.log().header();
        self.payload.length(header.length);
        for id in [header.last_id, header.first_id, header.max_deleted_id] {
            self.write_id(id);
        }
        self.payload.length(header.entries_added);
        self.payload.length(stream.groups_len() as u64);
    }

    fn write_id(&mut self, id: StreamId) {
        self.payload.length(id.ms);
        self.payload.length(id.seq);
    }

    fn write_group(&mut self, stream: &Stream, after: Option<&[u8]>) -> Option<StreamPlace> {
        let (name, group) = stream.groups_after(after).next()?;
        self.payload.string(name);
        self.write_id(group.last_id);
        self.payload.length(group.entries_read as u64);
        self.payload.length(group.pending_len() as u64);
        Some(StreamPlace::Pending(name.into(), StreamId::MIN))
    }

    fn write_pending(
        &mut self,
        group: &Group,
        name: Box<[u8]>,
        start: StreamId,
        units: usize,
        used: &mut usize,
    ) -> StreamPlace {
        for (id, pending) in group.pending_from(start) {
            if *used >= units {
                return StreamPlace::Pending(name, id);
            }
            self.payload.bytes(&id.to_bytes());
            self.payload.bytes(&pending.delivered_ms.to_le_bytes());
            self.payload.length(pending.count);
            *used += 1;
        }
        self.payload.length(group.consumers_len() as u64);
        StreamPlace::Consumer(name, None)
    }

    fn write_consumer(
        &mut self,
        group: &Group,
        name: Box<[u8]>,
        after: Option<&[u8]>,
    ) -> StreamPlace {
        let Some(consumer) = group.consumers_after(after).next() else {
            return StreamPlace::Group(Some(name));
        };
        self.payload.string(consumer.name());
        self.payload.bytes(&consumer.seen_ms.to_le_bytes());
        self.payload.length(consumer.pending_len() as u64);
        StreamPlace::Owned(name, consumer.name().into(), StreamId::MIN)
    }

    fn write_owned(
        &mut self,
        group: &Group,
        (name, owner): (Box<[u8]>, Box<[u8]>),
        start: StreamId,
        units: usize,
        used: &mut usize,
    ) -> StreamPlace {
        if let Some((_, consumer)) = group.consumer(&owner) {
            for id in consumer.pending_from(start) {
                if *used >= units {
                    return StreamPlace::Owned(name, owner, id);
                }
                self.payload.bytes(&id.to_bytes());
                *used += 1;
            }
        }
        StreamPlace::Consumer(name, Some(owner))
    }
}

fn write_item(payload: &mut Payload, item: Item<'_>) {
    payload.string(item.as_bytes(&mut itoa::Buffer::new()));
}

impl Garbage for ValueWriter {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.payload.free_slice(units)
    }
}
