//! Collections read from DUMP payloads and RDB files, in slices: every form any Redis up to 7.0 wrote.
//!
//! ```text
//!   Input (texts, numbers) ──▶ texts ────────────────▶ Target      lists, sets, hashes, sorted sets
//!                          └─▶ packed ──▶ PackedWalk ─┘             in one string, or a string per node of a list
//!                          └─▶ StreamReader                         streams
//! ```
//!
//! Nothing is trusted: what is not as a Redis writes it is refused, whatever `sanitize-dump-payload` says, and the form
//! a value gets is that of the limits in force. A listpack that is a node of a list stays one, once it is checked.
//! The input must be the same at each step. A unit is an element, or 1 KiB.
use crate::base::pieces::{Garbage, Progress};
use crate::base::time::UnixMillis;
use crate::persist::dump_pieces::{StringReader, Unreadable};
use crate::persist::packed_walk::{PackedForm, PackedWalk};
use crate::persist::rdb_format::{Corrupt, ENCODING_LZF, Length, Reader, Text, value_type};
use crate::persist::stream_reader::StreamReader;
use crate::persist::value_target::Target;
use crate::types::intset::{Intset, IntsetRef};
use crate::types::limits::Limits;
use crate::types::list::{Fill, List};
use crate::types::listpack::{Listpack, ListpackRef};
use crate::types::object::Object;
use crate::types::set::Set;

/// Texts of more bytes are read in pieces.
const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// Nodes of lists up to this size are taken over as they are.
const NODE_BYTES_MAX: usize = 128 * 1024;
/// Bytes that one unit stands for, beside being an element.
const BYTES_PER_UNIT: usize = 1024;
/// How a node of a list is kept: 1 a plain element, 2 a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;
/// The byte of a score in text that is none: not a number, and both infinities.
const SCORE_NAN: u8 = 253;
const SCORE_INFINITE: u8 = 254;
const SCORE_NEGATIVE_INFINITE: u8 = 255;

/// Where the reading of a payload stands.
#[derive(Default)]
pub struct Input {
    at: usize,
    /// A big text, of which not all is there yet.
    text: Option<Box<StringReader>>,
}

impl Input {
    fn reader<'b>(&self, body: &'b [u8]) -> Result<Reader<'b>, Corrupt> {
        body.get(self.at..).map(Reader::new).ok_or(Corrupt)
    }

    /// Reads with `read` what is short.
    pub fn read<'b, T>(
        &mut self,
        body: &'b [u8],
        read: impl FnOnce(&mut Reader<'b>) -> Result<T, Corrupt>,
    ) -> Result<T, Corrupt> {
        let mut reader = self.reader(body)?;
        let result = read(&mut reader)?;
        self.at = body.len() - reader.rest().len();
        Ok(result)
    }

    /// A length.
    pub fn length(&mut self, body: &[u8]) -> Result<u64, Corrupt> {
        self.read(body, Reader::length)
    }

    /// A point in time.
    pub fn millis(&mut self, body: &[u8]) -> Result<UnixMillis, Corrupt> {
        self.read(body, |reader| reader.u64_le().map(u64::cast_signed))
    }

    /// The next text; `None`: it takes more steps.
    pub fn text<'b>(
        &mut self,
        body: &'b [u8],
        units: usize,
    ) -> Result<Option<Text<'b>>, Unreadable> {
        if let Some(text) = &mut self.text {
            let rest = body.get(self.at..).ok_or(Corrupt)?;
            if !text.step(rest, units)?.is_done() {
                return Ok(None);
            }
            self.at += text.input_len();
            return Ok(self.text.take().map(|text| text.into_text()));
        }
        let mut ahead = self.reader(body)?;
        let length = match ahead.length_or_encoding()? {
            Length::Plain(length) => length,
            // The second length is that of the text.
            Length::Encoded(ENCODING_LZF) => {
                ahead.length()?;
                ahead.length()?
            }
            // A number.
            Length::Encoded(_) => 0,
        };
        if length <= SMALL_BYTES_MAX {
            return Ok(Some(self.read(body, Reader::string)?));
        }
        let rest = body.get(self.at..).ok_or(Corrupt)?;
        self.text = Some(Box::new(StringReader::new(rest)?));
        Ok(None)
    }
}

/// See the head of the file.
pub struct ValueReader {
    value_type: u8,
    input: Input,
    stage: Stage,
    target: Target,
    /// The soonest expiry of a hash's fields, from which theirs are counted.
    first_expiry: UnixMillis,
    /// The time to live of the field that comes next was read.
    has_ttl: bool,
    /// Nodes that have not been begun.
    nodes_left: u64,
}

/// What comes next.
enum Stage {
    /// How many elements or nodes there are.
    Count,
    /// So many texts; of a sorted set members with their scores.
    Texts(u64),
    /// The next of the nodes.
    Node,
    /// A string that is packed.
    Packed(PackedForm),
    /// A string that is a plain element of a list.
    Plain,
    /// A string that is an intset.
    Ints,
    /// The items of a packed string.
    Walk(Vec<u8>, PackedWalk),
    /// The integers of an intset too big to stay one, from this one on.
    Spread(Vec<u8>, usize),
    /// What the collection does in the end.
    Settle,
    Stream(Box<StreamReader>),
    End,
}

impl ValueReader {
    /// Work on a value of this type, whose bytes follow. `None`: there is no such type.
    pub fn new(value_type: u8, limits: &Limits) -> Option<ValueReader> {
        use value_type::*;
        let target = match value_type {
            LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_LISTPACKS => Target::List(List::default()),
            SET | SET_INTSET => Target::Set(Set::new()),
            HASH | HASH_ZIPMAP | HASH_ZIPLIST | HASH_LISTPACK | HASH_EXPIRY => Target::hash(false),
            HASH_LISTPACK_EXPIRY => Target::hash(true),
            ZSET | ZSET_BINARY | ZSET_ZIPLIST | ZSET_LISTPACK => Target::zset(limits),
            STREAM | STREAM_2 => Target::Set(Set::new()),
            _ => return None,
        };
        let stage = match value_type {
            LIST_ZIPLIST | HASH_ZIPLIST | ZSET_ZIPLIST => Stage::Packed(PackedForm::Ziplist),
            HASH_ZIPMAP => Stage::Packed(PackedForm::Zipmap),
            HASH_LISTPACK | ZSET_LISTPACK => Stage::Packed(PackedForm::Listpack),
            SET_INTSET => Stage::Ints,
            STREAM | STREAM_2 => Stage::Stream(Box::new(StreamReader::new(value_type == STREAM_2))),
            _ => Stage::Count,
        };
        Some(ValueReader {
            value_type,
            input: Input::default(),
            stage,
            target,
            first_expiry: 0,
            has_ttl: false,
            nodes_left: 0,
        })
    }

    /// Goes on; when done, [`ValueReader::finish`]. `body` is what follows the type.
    pub fn step(
        &mut self,
        body: &[u8],
        limits: &Limits,
        units: usize,
    ) -> Result<Progress, Unreadable> {
        let mut left = units;
        while left > 0 {
            let before = self.input.at;
            let used = match std::mem::replace(&mut self.stage, Stage::End) {
                Stage::End => return Ok(Progress::Done),
                Stage::Stream(mut stream) => {
                    let used = stream.step(&mut self.input, body, left)?;
                    self.stage = Stage::Stream(stream);
                    match used {
                        Some(used) => used,
                        None => return Ok(Progress::Done),
                    }
                }
                Stage::Settle => {
                    if self.target.settle(left).is_done() {
                        return Ok(Progress::Done);
                    }
                    self.stage = Stage::Settle;
                    left
                }
                stage => self.go_on(stage, body, limits, left)?,
            };
            let bytes = self.input.at.saturating_sub(before);
            let used = used.max(1).saturating_add(bytes / BYTES_PER_UNIT);
            left = left.saturating_sub(used);
        }
        Ok(Progress::More)
    }

    /// Goes on with one stage, and says how many elements that were.
    fn go_on(
        &mut self,
        stage: Stage,
        body: &[u8],
        limits: &Limits,
        units: usize,
    ) -> Result<usize, Unreadable> {
        let mut used = 1;
        self.stage = match stage {
            Stage::Count => self.begin(body)?,
            Stage::Texts(left) => self.read_texts(left, body, limits, units, &mut used)?,
            Stage::Node => self.begin_node(body)?,
            Stage::Packed(form) => match self.input.text(body, units)? {
                None => Stage::Packed(form),
                Some(text) => self.take_packed(form, text, limits)?,
            },
            Stage::Plain => match self.input.text(body, units)? {
                None => Stage::Plain,
                Some(Text::Bytes(bytes)) if bytes.is_empty() => return Err(Unreadable::Corrupt),
                Some(text) => {
                    self.target.take(text, limits)?;
                    Stage::Node
                }
            },
            Stage::Ints => match self.input.text(body, units)? {
                None => Stage::Ints,
                Some(text) => self.take_ints(text.into_bytes(), limits)?,
            },
            Stage::Walk(bytes, mut walk) => {
                used = 0;
                loop {
                    match walk.next(&bytes)? {
                        None => break Stage::Node,
                        Some(item) => self.target.take_item(item, limits)?,
                    }
                    used += 1;
                    if used >= units {
                        break Stage::Walk(bytes, walk);
                    }
                }
            }
            Stage::Spread(bytes, from) => {
                used = units;
                self.spread(bytes, from, limits, units)?
            }
            other @ (Stage::Settle | Stage::Stream(_) | Stage::End) => other,
        };
        Ok(used)
    }

    fn begin(&mut self, body: &[u8]) -> Result<Stage, Corrupt> {
        if self.value_type == value_type::HASH_EXPIRY {
            self.first_expiry = self.input.millis(body)?;
        }
        if self.value_type == value_type::HASH_LISTPACK_EXPIRY {
            // Each field has its own expiry in full; this is only the soonest of them.
            self.input.millis(body)?;
            return Ok(Stage::Packed(PackedForm::Listpack));
        }
        let count = self.input.length(body)?;
        Ok(match self.value_type {
            value_type::LIST_QUICKLIST | value_type::LIST_LISTPACKS => {
                self.nodes_left = count;
                Stage::Node
            }
            value_type::HASH | value_type::HASH_EXPIRY => {
                Stage::Texts(count.checked_mul(2).ok_or(Corrupt)?)
            }
            _ => Stage::Texts(count),
        })
    }

    fn read_texts(
        &mut self,
        mut left: u64,
        body: &[u8],
        limits: &Limits,
        units: usize,
        used: &mut usize,
    ) -> Result<Stage, Unreadable> {
        let from = self.input.at;
        while left > 0 {
            if *used + (self.input.at - from) / BYTES_PER_UNIT > units {
                return Ok(Stage::Texts(left));
            }
            let is_field = left.is_multiple_of(2);
            if self.value_type == value_type::HASH_EXPIRY && is_field && !self.has_ttl {
                self.read_ttl(body)?;
            }
            let Some(text) = self.input.text(body, units)? else { return Ok(Stage::Texts(left)) };
            self.has_ttl = false;
            self.target.take(text, limits)?;
            match self.value_type {
                value_type::ZSET => {
                    let score = self.input.read(body, read_score)?;
                    self.target.take_score(score)?;
                }
                value_type::ZSET_BINARY => {
                    let bits = self.input.read(body, Reader::u64_le)?;
                    self.target.take_score(f64::from_bits(bits))?;
                }
                _ => {}
            }
            left -= 1;
            *used += 1;
        }
        Ok(Stage::Settle)
    }

    fn read_ttl(&mut self, body: &[u8]) -> Result<(), Corrupt> {
        let expiry = match self.input.length(body)? {
            0 => None,
            ttl => {
                let since = i64::try_from(ttl - 1).map_err(|_| Corrupt)?;
                Some(self.first_expiry.checked_add(since).filter(|&at| at > 0).ok_or(Corrupt)?)
            }
        };
        self.target.take_expiry(expiry);
        self.has_ttl = true;
        Ok(())
    }

    /// The next node, or what comes after all of them.
    fn begin_node(&mut self, body: &[u8]) -> Result<Stage, Corrupt> {
        if self.nodes_left == 0 {
            return Ok(Stage::Settle);
        }
        self.nodes_left -= 1;
        if self.value_type == value_type::LIST_QUICKLIST {
            return Ok(Stage::Packed(PackedForm::Ziplist));
        }
        match self.input.length(body)? {
            NODE_PLAIN => Ok(Stage::Plain),
            NODE_PACKED => Ok(Stage::Packed(PackedForm::Listpack)),
            _ => Err(Corrupt),
        }
    }

    /// A packed string has come: a node of a list stays one, of anything else the items are taken.
    fn take_packed(
        &mut self,
        form: PackedForm,
        text: Text<'_>,
        limits: &Limits,
    ) -> Result<Stage, Unreadable> {
        let bytes = text.into_bytes();
        let mut walk = PackedWalk::new(form, &bytes)?;
        let is_node =
            matches!(self.value_type, value_type::LIST_QUICKLIST | value_type::LIST_LISTPACKS);
        let Target::List(list) = &mut self.target else { return Ok(Stage::Walk(bytes, walk)) };
        if !is_node || bytes.len() > NODE_BYTES_MAX {
            return Ok(Stage::Walk(bytes, walk));
        }
        let fill = Fill::of(limits);
        if form == PackedForm::Listpack {
            ListpackRef::check(&bytes, true).map_err(|_| Corrupt)?;
            list.append_packed(ListpackRef::new(&bytes), &fill);
            return Ok(Stage::Node);
        }
        let mut node = Listpack::with_capacity(bytes.len());
        while let Some(item) = walk.next(&bytes)? {
            node.push_back_item(item);
        }
        list.append_packed(node.view(), &fill);
        Ok(Stage::Node)
    }

    fn take_ints(&mut self, bytes: Vec<u8>, limits: &Limits) -> Result<Stage, Unreadable> {
        let count = IntsetRef::check_header(&bytes).map_err(|_| Corrupt)?;
        if count > limits.set_max_intset_entries {
            return Ok(Stage::Spread(bytes, 0));
        }
        IntsetRef::check(&bytes).map_err(|_| Corrupt)?;
        self.target = Target::Set(Set::Intset(Intset::from_bytes(bytes)));
        Ok(Stage::Settle)
    }

    fn spread(
        &mut self,
        bytes: Vec<u8>,
        from: usize,
        limits: &Limits,
        units: usize,
    ) -> Result<Stage, Unreadable> {
        let ints = IntsetRef::new(&bytes);
        let end = ints.len().min(from.saturating_add(units));
        for at in from..end {
            let value = ints.get(at).ok_or(Corrupt)?;
            if at > 0 && ints.get(at - 1).is_none_or(|before| before >= value) {
                return Err(Unreadable::Corrupt);
            }
            self.target.take(Text::Int(value), limits)?;
        }
        let is_end = end == ints.len();
        Ok(if is_end { Stage::Settle } else { Stage::Spread(bytes, end) })
    }

    /// The value, once done. O(what is packed of it).
    pub fn finish(self, limits: &Limits) -> Result<Object, Unreadable> {
        match self.stage {
            Stage::Stream(stream) => Ok(Object::Stream(Box::new(stream.finish()?))),
            _ => self.target.finish(limits),
        }
    }
}

/// A score as text, whose length is one byte.
fn read_score(reader: &mut Reader<'_>) -> Result<f64, Corrupt> {
    match reader.u8()? {
        SCORE_NAN => Ok(f64::NAN),
        SCORE_INFINITE => Ok(f64::INFINITY),
        SCORE_NEGATIVE_INFINITE => Ok(f64::NEG_INFINITY),
        length => {
            let text = reader.bytes(length.into())?;
            crate::base::number::parse_f64(text).ok_or(Corrupt)
        }
    }
}

impl Garbage for ValueReader {
    fn free_slice(&mut self, units: usize) -> Progress {
        if let Some(text) = &mut self.input.text
            && !text.free_slice(units).is_done()
        {
            return Progress::More;
        }
        match &mut self.stage {
            Stage::Walk(bytes, _) | Stage::Spread(bytes, _) if !bytes.is_empty() => {
                let _ = bytes.free_slice(units);
                Progress::More
            }
            Stage::Stream(stream) => stream.free_slice(units),
            _ => self.target.free_slice(units),
        }
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
