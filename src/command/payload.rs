//! One value as a DUMP payload, in pieces: what DUMP replies and MIGRATE sends.
//!
//! The payload is the value as an RDB file holds it, then version and checksum (`persist::rdb_format`).
//! Cost: O(size of the value), in memory, too.
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::base::pieces::Progress;
use crate::engine::config::Opt;
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::engine::graveyard::Graveyard;
use crate::engine::jobs::Budget;
use crate::persist::dump_pieces::DumpWriter;
use crate::persist::rdb_format::{self, Compression, value_type};
use crate::persist::value_writer::ValueWriter;
use crate::proto::reply::Reply;
use crate::store::{Db, EntryRef, Kind, Scalar, StringRef};

/// Units of work on a payload between two looks at the clock: 25 us.
pub(super) const PIECE_UNITS: usize = 8;
/// The same of a collection: elements, or KiB.
pub(super) const COLLECTION_UNITS: usize = 32;

/// A payload on its way.
pub(super) enum Payload {
    /// A number takes no time.
    Whole(Vec<u8>),
    /// Of this text.
    String { writer: DumpWriter, text: Block },
    /// Of a collection, which stays where it is.
    Collection(Box<ValueWriter>),
}

/// How payloads are written, by the configuration.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    compression: Compression,
    list_packed_threshold: usize,
}

impl Choice {
    /// As the server is configured now.
    pub(super) fn of(ctx: &Ctx<'_>) -> Choice {
        let is_compressed = ctx.engine.config.flag(Opt::Rdbcompression);
        let compression = if is_compressed { Compression::Lzf } else { Compression::Off };
        Choice { compression, list_packed_threshold: ctx.engine.limits.list_packed_threshold }
    }
}

impl Payload {
    /// Nothing of the value of `entry` is written yet.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn begin(entry: &EntryRef<'_>, choice: Choice) -> Result<Payload, CmdError> {
        let Choice { compression, list_packed_threshold } = choice;
        let value_type = match entry.kind() {
            Kind::Document => value_type::DOCUMENT,
            Kind::String => value_type::STRING,
            Kind::List | Kind::Set | Kind::Hash | Kind::Zset | Kind::Stream => {
                let writer = ValueWriter::new(compression, list_packed_threshold);
                return Ok(Payload::Collection(Box::new(writer)));
            }
        };
        let mark = scalar_mark(entry.scalar());
        let text = match (entry.string(), entry.document()) {
            (Some(StringRef::Int(value)), _) => {
                let mut payload = vec![value_type];
                rdb_format::write_int(&mut payload, value);
                payload.extend(mark);
                rdb_format::write_footer(&mut payload);
                return Ok(Payload::Whole(payload));
            }
            (Some(StringRef::Block(block)), _) => block.clone(),
            (Some(StringRef::Bytes(bytes)), _) | (None, Some(bytes)) => Block::new(bytes.to_vec()),
            // A value is one or the other.
            (None, None) => Block::default(),
        };
        let writer = DumpWriter::new(value_type, &text, mark, compression)?;
        Ok(Payload::String { writer, text })
    }

    /// Goes on until it is complete or the slice is over. `key` is where the value is, as it was at the beginning.
    pub(super) fn step(&mut self, db: &mut Db, key: Key<'_>, budget: &mut Budget) -> Progress {
        loop {
            let (progress, units) = match self {
                Payload::Whole(_) => return Progress::Done,
                Payload::String { writer, text } => {
                    let units = budget.piece(PIECE_UNITS);
                    (writer.step(text, units), units)
                }
                Payload::Collection(writer) => {
                    let Some(entry) = db.peek(key) else { return Progress::Done };
                    let units = budget.piece(COLLECTION_UNITS);
                    (writer.step(entry.value(), units), units)
                }
            };
            if progress.is_done() {
                return Progress::Done;
            }
            if budget.spend(units as u64) {
                return Progress::More;
            }
        }
    }

    /// Writes the complete payload as one string, by reference where it is big.
    pub(super) fn write(self, reply: &mut Reply<'_>) {
        match self {
            Payload::Whole(bytes) => reply.bulk(&bytes),
            Payload::String { writer, .. } => {
                let (payload, range) = writer.into_payload();
                reply.bulk_range(&payload, range);
            }
            Payload::Collection(writer) => {
                let (pieces, len) = writer.into_payload();
                reply.bulk_pieces(&pieces, len);
            }
        }
    }

    /// Nobody wants it any more; it is freed when there is time.
    pub(super) fn bury(self, graveyard: &mut Graveyard) {
        match self {
            Payload::Whole(_) => {}
            Payload::String { writer, .. } => graveyard.bury_garbage(Box::new(writer)),
            Payload::Collection(writer) => graveyard.bury_garbage(writer),
        }
    }

    /// Bytes of a collection's payload so far.
    pub(super) fn len(&self) -> usize {
        match self {
            Payload::Whole(_) | Payload::String { .. } => 0,
            Payload::Collection(writer) => writer.len(),
        }
    }
}

/// Scalars that are no mere bytes.
pub(super) const MARKED: [Scalar; 4] = [Scalar::Number, Scalar::Text, Scalar::Json, Scalar::Simple];

/// The byte after a string that says as what it came. Redis ignores it, so the payload is one for Redis too.
pub(super) fn scalar_mark(scalar: Scalar) -> Option<u8> {
    match scalar {
        Scalar::Bytes => None,
        Scalar::Number => Some(b':'),
        Scalar::Text => Some(b'^'),
        Scalar::Json => Some(b'@'),
        Scalar::Simple => Some(b'+'),
    }
}
