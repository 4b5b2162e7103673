//! Streams read from DUMP payloads and RDB files, in slices.
//!
//! ```text
//!   count, (id: 16 bytes as a string, listpack)…      nodes
//!   length, last id [, first id, greatest deleted id, entries added]        lengths; in brackets: since 7.0
//!   count, groups: name, last id [, entries read],
//!     count, (id: 16 bytes, delivered: u64, count)…   pending
//!     count, consumers: name, seen: u64, count, (id: 16 bytes)…
//! ```
//!
//! `types::stream::StreamBuilder` says what fits together.
use crate::base::pieces::{Garbage, Progress};
use crate::persist::dump_pieces::Unreadable;
use crate::persist::rdb_format::{Corrupt, Text};
use crate::persist::value_reader::Input;
use crate::types::listpack::Corrupt as Unfit;
use crate::types::stream::{Header, Stream, StreamBuilder, StreamId};

const ID_BYTES: u64 = 16;
/// Bytes that one unit stands for.
const BYTES_PER_UNIT: usize = 1024;

/// See the head of the file.
pub struct StreamReader {
    builder: StreamBuilder,
    /// It has what 7.0 added.
    is_new: bool,
    next: Part,
    nodes_left: u64,
    groups_left: u64,
    consumers_left: u64,
    pending_left: u64,
}

/// What comes next.
enum Part {
    Nodes,
    Id,
    Node([u8; 16]),
    Header,
    Group,
    Pending,
    Consumers,
    Consumer,
    Owned,
    End,
}

impl From<Unfit> for Unreadable {
    fn from(_: Unfit) -> Unreadable {
        Unreadable::Corrupt
    }
}

impl StreamReader {
    /// `is_new`: of the form with what 7.0 added.
    pub fn new(is_new: bool) -> StreamReader {
        StreamReader {
            builder: StreamBuilder::default(),
            is_new,
            next: Part::Nodes,
            nodes_left: 0,
            groups_left: 0,
            consumers_left: 0,
            pending_left: 0,
        }
    }

    /// Goes on; how many units that took, `None` at the end.
    pub fn step(
        &mut self,
        input: &mut Input,
        body: &[u8],
        units: usize,
    ) -> Result<Option<usize>, Unreadable> {
        let mut used = 0;
        self.next = match std::mem::replace(&mut self.next, Part::End) {
            Part::Nodes => {
                self.nodes_left = input.length(body)?;
                Part::Id
            }
            Part::Id if self.nodes_left == 0 => Part::Header,
            Part::Id => {
                self.nodes_left -= 1;
                let Some(Text::Bytes(id)) = input.text(body, units)? else {
                    return Err(Unreadable::Corrupt);
                };
                Part::Node((*id).try_into().map_err(|_| Corrupt)?)
            }
            Part::Node(id) => match input.text(body, units)? {
                None => Part::Node(id),
                Some(Text::Int(_)) => return Err(Unreadable::Corrupt),
                Some(Text::Bytes(bytes)) => {
                    used += bytes.len() / BYTES_PER_UNIT;
                    self.builder.add_node(&id, bytes.into_owned())?;
                    Part::Id
                }
            },
            Part::Header => {
                self.read_header(input, body)?;
                self.groups_left = input.length(body)?;
                Part::Group
            }
            Part::Group if self.groups_left == 0 => return Ok(None),
            Part::Group => match input.text(body, units)? {
                None => Part::Group,
                Some(name) => {
                    self.groups_left -= 1;
                    let last_id = read_id(input, body)?;
                    let entries_read = match self.is_new {
                        true => Some(input.length(body)?.cast_signed()),
                        false => None,
                    };
                    self.builder.begin_group(&name.into_bytes(), last_id, entries_read)?;
                    self.pending_left = input.length(body)?;
                    Part::Pending
                }
            },
            Part::Pending => self.read_pending(input, body, units, &mut used)?,
            Part::Consumers => {
                self.consumers_left = input.length(body)?;
                Part::Consumer
            }
            Part::Consumer if self.consumers_left == 0 => Part::Group,
            Part::Consumer => match input.text(body, units)? {
                None => Part::Consumer,
                Some(name) => {
                    self.consumers_left -= 1;
                    let seen_ms = input.millis(body)?;
                    self.builder.begin_consumer(&name.into_bytes(), seen_ms)?;
                    self.pending_left = input.length(body)?;
                    Part::Owned
                }
            },
            Part::Owned => {
                while self.pending_left > 0 && used < units {
                    let id = read_raw_id(input, body)?;
                    self.builder.add_consumer_pending(id)?;
                    self.pending_left -= 1;
                    used += 1;
                }
                if self.pending_left == 0 { Part::Consumer } else { Part::Owned }
            }
            Part::End => return Ok(None),
        };
        Ok(Some(used))
    }

    fn read_header(&mut self, input: &mut Input, body: &[u8]) -> Result<(), Unreadable> {
        let length = input.length(body)?;
        let last_id = read_id(input, body)?;
        if !self.is_new {
            return Ok(self.builder.set_old_header(length, last_id)?);
        }
        let first_id = read_id(input, body)?;
        let max_deleted_id = read_id(input, body)?;
        let entries_added = input.length(body)?;
        let header = Header { length, first_id, last_id, max_deleted_id, entries_added };
        Ok(self.builder.set_header(header)?)
    }

    fn read_pending(
        &mut self,
        input: &mut Input,
        body: &[u8],
        units: usize,
        used: &mut usize,
    ) -> Result<Part, Unreadable> {
        while self.pending_left > 0 && *used < units {
            let id = read_raw_id(input, body)?;
            let delivered_ms = input.millis(body)?;
            let count = input.length(body)?;
            self.builder.add_pending(id, delivered_ms, count)?;
            self.pending_left -= 1;
            *used += 1;
        }
        Ok(if self.pending_left == 0 { Part::Consumers } else { Part::Pending })
    }

    /// The stream, once done.
    pub fn finish(self) -> Result<Stream, Unreadable> {
        Ok(self.builder.finish()?)
    }
}

fn read_id(input: &mut Input, body: &[u8]) -> Result<StreamId, Corrupt> {
    let ms = input.length(body)?;
    Ok(StreamId::new(ms, input.length(body)?))
}

fn read_raw_id(input: &mut Input, body: &[u8]) -> Result<[u8; 16], Corrupt> {
    let bytes = input.read(body, |reader| reader.bytes(ID_BYTES))?;
    bytes.try_into().map_err(|_| Corrupt)
}

impl Garbage for StreamReader {
    fn free_slice(&mut self, units: usize) -> Progress {
        self.builder.free_slice(units)
    }
}
