//! DEBUG OBJECT, LISTPACK, QUICKLIST and HTSTATS-KEY: how one value is kept.
//!
//! Cost: O(size of the value), in one go; for tests only.
use std::fmt::Write as _;

use crate::base::{lzf, number};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::persist::rdb_format::Compression;
use crate::persist::value_writer::ValueWriter;
use crate::proto::args::Args;
use crate::store::{EntryRef, StringRef, ValueRef};
use crate::types::hash::HashRef;
use crate::types::list::{ListRef, NodeRef};
use crate::types::listpack::ListpackRef;
use crate::types::set::SetRef;
use crate::types::zset::ZsetRef;

/// Bytes of a payload that are not the value's: its type, version and checksum.
const FRAME_BYTES: usize = 1 + 10;

pub(super) fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let compresses = ctx.engine.config.flag(Opt::Rdbcompression);
    let limits = &ctx.engine.limits;
    let entry = ctx.db.peek_stale(args.key(2)).ok_or(CmdError::NoSuchKey)?;
    let idle_seconds = entry.idle_seconds();
    // Where the value is; of a number kept in the entry, where the entry is.
    let (address, length) = match entry.value() {
        ValueRef::String(StringRef::Bytes(bytes)) | ValueRef::Document(bytes) => {
            (bytes.as_ptr(), saved_length(bytes, compresses))
        }
        ValueRef::String(StringRef::Block(block)) => {
            (block.as_ptr(), saved_length(block, compresses))
        }
        ValueRef::String(StringRef::Int(number)) => {
            (entry.key().as_ptr(), saved_length(number.to_string().as_bytes(), false))
        }
        value => {
            let compression = if compresses { Compression::Lzf } else { Compression::Off };
            let mut writer = ValueWriter::new(compression, limits.list_packed_threshold);
            while !writer.step(value, 1 << 20).is_done() {}
            (entry.key().as_ptr(), writer.into_payload().1 - FRAME_BYTES)
        }
    };
    let extra = match entry.value() {
        ValueRef::List(list) => list_figures(list, limits.list_max_listpack_size),
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

/// What Redis tells of the nodes of a list. None of ours is compressed.
fn list_figures(list: ListRef<'_>, fill: i64) -> String {
    let nodes = list.node_count();
    let bytes: usize = (0..nodes)
        .filter_map(|at| list.node(at))
        .map(|node| match node {
            NodeRef::Packed(bytes) => bytes.len(),
            NodeRef::Block(block) => block.len(),
        })
        .sum();
    format!(
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{fill} ql_compressed:0 \
         ql_uncompressed_size:{bytes}",
        list.len() as f64 / nodes.max(1) as f64,
    )
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
