//! DEBUG OBJECT, LISTPACK, QUICKLIST and HTSTATS-KEY: how one value is kept.
//!
//! Cost: O(size of the value): OBJECT in slices, the others, which write it to the log, in one go; for tests only.
use std::fmt::Write as _;

use crate::base::block::Block;
use crate::base::{lzf, number};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::graveyard::Graveyard;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::persist::dump_pieces::DumpWriter;
use crate::persist::rdb_format::{Compression, value_type};
use crate::persist::value_writer::ValueWriter;
use crate::proto::args::Args;
use crate::store::{EntryRef, StringRef, ValueRef};
use crate::types::hash::HashRef;
use crate::types::limits::Limits;
use crate::types::list::{ListRef, NodeRef, frame_of_block};
use crate::types::listpack::ListpackRef;
use crate::types::set::SetRef;
use crate::types::zset::ZsetRef;

/// Bytes of a payload that are not the value's: its type, version and checksum.
const FRAME_BYTES: usize = 1 + 10;

pub(super) fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let compresses = ctx.engine.config.flag(Opt::Rdbcompression);
    let compression = if compresses { Compression::Lzf } else { Compression::Off };
    let threshold = ctx.engine.limits.list_packed_threshold;
    let entry = ctx.db.peek_stale(args.key(2)).ok_or(CmdError::NoSuchKey)?;
    let saving = match entry.value() {
        ValueRef::String(StringRef::Bytes(bytes)) | ValueRef::Document(bytes)
            if bytes.len() <= BYTES_AT_ONCE =>
        {
            Saving::Done(saved_length(bytes, compresses))
        }
        ValueRef::String(StringRef::Bytes(bytes)) | ValueRef::Document(bytes) => {
            Saving::text(Block::new(bytes.to_vec()), compression)?
        }
        ValueRef::String(StringRef::Block(block)) => Saving::text(block.clone(), compression)?,
        ValueRef::String(StringRef::Int(number)) => {
            Saving::Done(saved_length(number.to_string().as_bytes(), false))
        }
        _ => Saving::Collection(Box::new(ValueWriter::new(compression, threshold))),
    };
    ctx.run(args, Object { saving, nodes: 0, node_bytes: 0 })
}

/// Strings up to this length are compressed at once.
const BYTES_AT_ONCE: usize = 4096;
/// Elements, kilobytes or nodes between two looks at the clock: 25 us.
const UNITS_PER_PIECE: usize = 16;

/// How long a value is in an RDB file, in the making.
enum Saving {
    Text(Box<DumpWriter>, Block),
    Collection(Box<ValueWriter>),
    Done(usize),
}

impl Saving {
    fn text(text: Block, compression: Compression) -> Result<Saving, CmdError> {
        let writer = DumpWriter::new(value_type::STRING, &text, None, compression)?;
        Ok(Saving::Text(Box::new(writer), text))
    }
}

/// DEBUG OBJECT, once the key was found.
struct Object {
    saving: Saving,
    /// Nodes of a list that were looked at, and their bytes.
    nodes: usize,
    node_bytes: usize,
}

impl Job for Object {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            // The key is held, so it is there.
            let Some(entry) = ctx.db.peek_stale(args.key(2)) else {
                return Err(CmdError::NoSuchKey);
            };
            let units = budget.piece(UNITS_PER_PIECE);
            let is_saved = match &mut self.saving {
                Saving::Text(writer, text) => writer.step(text, units).is_done(),
                Saving::Collection(writer) => writer.step(entry.value(), units).is_done(),
                Saving::Done(_) => true,
            };
            if is_saved {
                self.end_saving(&mut ctx.engine.graveyard);
            }
            if is_saved && self.add_nodes(&entry, ctx.engine.limits.list_packed_threshold, units) {
                break;
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        self.answer(ctx, args)?;
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        self.end_saving(&mut ctx.engine.graveyard);
    }
}

impl Object {
    /// Nothing but the length of what was written matters.
    fn end_saving(&mut self, graveyard: &mut Graveyard) {
        match std::mem::replace(&mut self.saving, Saving::Done(0)) {
            Saving::Done(length) => self.saving = Saving::Done(length),
            Saving::Text(writer, text) => {
                let (payload, range) = writer.into_payload();
                self.saving = Saving::Done(range.len().saturating_sub(FRAME_BYTES));
                graveyard.bury_garbage(Box::new(payload));
                graveyard.bury_garbage(Box::new(text));
            }
            Saving::Collection(writer) => {
                let (pieces, length) = writer.into_payload();
                self.saving = Saving::Done(length.saturating_sub(FRAME_BYTES));
                graveyard.bury_garbage(Box::new(pieces));
            }
        }
    }

    /// Looks at so many nodes more, of a list; true: at all.
    fn add_nodes(&mut self, entry: &EntryRef<'_>, threshold: usize, units: usize) -> bool {
        let ValueRef::List(list) = entry.value() else { return true };
        let end = list.node_count().min(self.nodes + units);
        for at in self.nodes..end {
            self.node_bytes += match list.node(at) {
                Some(NodeRef::Packed(bytes)) => bytes.len(),
                Some(NodeRef::Block(block)) if block.len() < threshold => {
                    let (head, tail) = frame_of_block(block).unwrap_or_default();
                    head.len() + block.len() + tail.len()
                }
                Some(NodeRef::Block(block)) => block.len(),
                Some(NodeRef::Squeezed(node)) => node.total,
                None => 0,
            };
        }
        self.nodes = end;
        end == list.node_count()
    }

    fn answer(&self, ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
        let Saving::Done(length) = self.saving else { return Ok(()) };
        let limits = &ctx.engine.limits;
        let entry = ctx.db.peek_stale(args.key(2)).ok_or(CmdError::NoSuchKey)?;
        let idle_seconds = entry.idle_seconds();
        // Where the value is; of a number kept in the entry, where the entry is.
        let address = match entry.value() {
            ValueRef::String(StringRef::Bytes(bytes)) | ValueRef::Document(bytes) => bytes.as_ptr(),
            ValueRef::String(StringRef::Block(block)) => block.as_ptr(),
            _ => entry.key().as_ptr(),
        };
        let extra = match entry.value() {
            ValueRef::List(list) => self.list_figures(list, limits),
            _ => String::new(),
        };
        let clock = (ctx.now / 1000 - idle_seconds as i64) & 0x00ff_ffff;
        let line = format!(
            "Value at:{address:p} refcount:1 encoding:{} serializedlength:{length} lru:{clock} \
             lru_seconds_idle:{idle_seconds}{extra}",
            entry.encoding(),
        );
        ctx.reply.simple(&line);
        Ok(())
    }

    /// What Redis tells of the nodes of a list.
    fn list_figures(&self, list: ListRef<'_>, limits: &Limits) -> String {
        let Object { nodes, node_bytes, .. } = *self;
        let depth = if nodes == 1 { limits.list_compress_depth } else { list.compress_depth() };
        format!(
            " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} \
             ql_uncompressed_size:{node_bytes}",
            list.len() as f64 / nodes.max(1) as f64,
            limits.list_max_listpack_size,
            u8::from(depth != 0),
        )
    }
}

/// Bytes of a string in an RDB file: as a small number, compressed, or with its length before it.
fn saved_length(bytes: &[u8], compresses: bool) -> usize {
    let length_bytes = |length: usize| match length {
        0..64 => 1,
        64..16_384 => 2,
        16_384..=0xffff_ffff => 5,
        _ => 9,
    };
    if bytes.len() <= 11 {
        match number::canonical_i64(bytes) {
            Some(-0x80..=0x7f) => return 2,
            Some(-0x8000..=0x7fff) => return 3,
            Some(-0x8000_0000..=0x7fff_ffff) => return 5,
            _ => {}
        }
    }
    if compresses
        && bytes.len() > 20
        && let Some(packed) = lzf::compress(bytes, &mut Vec::new(), bytes.len() - 4)
    {
        return 1 + length_bytes(packed) + length_bytes(bytes.len()) + packed;
    }
    length_bytes(bytes.len()) + bytes.len()
}

/// LISTPACK and QUICKLIST: the items, to the log; HTSTATS-KEY: how many elements a table has.
pub(super) fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>, name: &[u8]) -> CmdResult {
    let entry = ctx.db.peek_stale(args.key(2)).ok_or(CmdError::NoSuchKey)?;
    match name {
        b"listpack" => {
            let list =
                listpack_of(&entry).ok_or(CmdError::Text("ERR Not a listpack encoded object."))?;
            log_items(list);
            ctx.reply.simple("Listpack structure printed on stdout");
        }
        b"quicklist" => {
            let ValueRef::List(list) = entry.value() else {
                return Err(CmdError::Text("ERR Not a quicklist encoded object."));
            };
            for at in 0..list.node_count() {
                match list.node(at) {
                    Some(NodeRef::Packed(bytes)) => log_items(ListpackRef::new(bytes)),
                    Some(NodeRef::Block(block)) => {
                        log::warn!("DEBUG: an element of {} bytes", block.len());
                    }
                    Some(NodeRef::Squeezed(node)) => {
                        let (packed, total) = (node.packed.len(), node.total);
                        log::warn!("DEBUG: a listpack of {total} bytes, compressed to {packed}");
                    }
                    None => {}
                }
            }
            ctx.reply.simple("Quicklist structure printed on stdout");
        }
        _ => {
            let count = match entry.value() {
                ValueRef::Set(set @ (SetRef::Packed(_) | SetRef::Table(_))) => Some(set.len()),
                ValueRef::Hash(hash @ HashRef::Table(_)) => Some(hash.len()),
                ValueRef::Zset(zset @ ZsetRef::Tree(_)) => Some(zset.len()),
                _ => None,
            };
            let count = count.ok_or(CmdError::Text(
                "ERR The value stored at the specified key is not represented using an hash table",
            ))?;
            let mut text = "Hash table 0 stats (main hash table):\n".to_owned();
            let _ = writeln!(text, " number of elements: {count}");
            ctx.reply.verbatim("txt", text.as_bytes());
        }
    }
    Ok(())
}

fn listpack_of<'a>(entry: &EntryRef<'a>) -> Option<ListpackRef<'a>> {
    match entry.value() {
        ValueRef::Hash(HashRef::Packed(list) | HashRef::Expiring(list))
        | ValueRef::Zset(ZsetRef::Packed(list)) => Some(list),
        _ => None,
    }
}

fn log_items(list: ListpackRef<'_>) {
    log::warn!("DEBUG: a listpack of {} items, {} bytes", list.len(), list.as_bytes().len());
    for item in list.iter() {
        log::warn!("DEBUG:   {}", item.to_vec().escape_ascii());
    }
}

#[cfg(test)]
mod tests {
    use super::saved_length;

    /// The lengths were taken from DEBUG OBJECT of Redis 7.0.15.
    #[test]
    fn saved_lengths_are_those_of_redis() {
        let length = |text: &str| saved_length(text.as_bytes(), true);
        assert_eq!(length("abc"), 4);
        assert_eq!(
            [length("1"), length("-129"), length("40000"), length("3000000000")],
            [2, 3, 5, 11]
        );
        assert_eq!(length(&"ab".repeat(10)), 21);
        assert_eq!(length(&"x".repeat(100)), 13);
        assert_eq!(saved_length("x".repeat(100).as_bytes(), false), 102);
    }
}
