//! DUMP and RESTORE: one value as bytes that any Redis of this format reads, and back.
//!
//! The payload is the value as an RDB file holds it, then version and checksum (`persist::rdb_format`). Its
//! checksum is no secret, so a payload is as untrusted as any argument. Cost: O(size of the value).
use crate::base::block::Block;
use crate::base::pieces::Progress;
use crate::base::utf8::Utf8Check;
use crate::command::options::{Options, integer, is};
use crate::command::payload::{
    COLLECTION_UNITS, Choice, MARKED, PIECE_UNITS, Payload, scalar_mark,
};
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{ASKING, DENYOOM, READONLY, SYSCMD, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::engine::session::Nesting;
use crate::persist::dump_pieces::{FooterCheck, StringReader, Unreadable};
use crate::persist::rdb_format::{Checksum, Text, value_type};
use crate::persist::value_reader::ValueReader;
use crate::proto::args::Args;
use crate::store::{NewString, Scalar, Ttl};
use crate::types::document::{self, Check};
use crate::types::limits::Limits;
use crate::types::object::Object;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[DUMP, RESTORE, RESTORE_ASKING];

const DUMP: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "2.6.0",
        "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of \
        Redis objects composing the value and M their average size. For small string values the \
        time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
        "key:key",
        "Return a serialized version of the value stored at the specified key.",
    ),
    ..command(Group::Generic, "dump", 2, dump)
};

const RESTORE: Command = Command {
    flags: WRITE | DENYOOM,
    categories: category::DANGEROUS,
    keys: &[KeySpec::first(OW | UPDATE)],
    doc: Doc {
        history: &[
            ("3.0.0", "Added the `REPLACE` modifier."),
            ("5.0.0", "Added the `ABSTTL` modifier."),
            ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
        ],
        ..doc(
            "2.6.0",
            "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
            value, where N is the number of Redis objects composing the value and M their \
            average size. For small string values the time complexity is thus O(1)+O(1*M) where \
            M is small, so simply O(1). However for sorted set values the complexity is \
            O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
            "key:key ttl:integer serialized-value:string [REPLACE@3.0.0] [ABSTTL@5.0.0] \
            [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]",
            "Create a key using the provided serialized value, previously obtained using DUMP.",
        )
    },
    ..command(Group::Generic, "restore", -4, restore)
};

const RESTORE_ASKING: Command = Command {
    flags: WRITE | DENYOOM | ASKING | SYSCMD,
    categories: category::DANGEROUS | category::KEYSPACE,
    keys: &[KeySpec::first(OW | UPDATE)],
    doc: Doc {
        history: &[
            ("3.0.0", "Added the `REPLACE` modifier."),
            ("5.0.0", "Added the `ABSTTL` modifier."),
            ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
        ],
        ..doc(
            "3.0.0",
            "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
            value, where N is the number of Redis objects composing the value and M their \
            average size. For small string values the time complexity is thus O(1)+O(1*M) where \
            M is small, so simply O(1). However for sorted set values the complexity is \
            O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
            "key:key ttl:integer serialized-value:string [REPLACE@3.0.0] [ABSTTL@5.0.0] \
            [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]",
            "An internal command for migrating keys in a cluster",
        )
    },
    ..command(Group::Server, "restore-asking", -4, restore)
};

/// A value of this size is taken over, not copied.
const BLOCK_BYTES_MIN: usize = 16 * 1024;

const BAD_FORMAT: CmdError = CmdError::Text("ERR Bad data format");

fn dump(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let choice = Choice::of(ctx);
    let Some(entry) = ctx.db.read(args.key(1)) else {
        ctx.reply.null();
        return Ok(());
    };
    let payload = Some(Payload::begin(&entry, choice)?);
    ctx.run(args, Dump { payload })
}

/// See [`DUMP`].
struct Dump {
    /// `None` once it is complete.
    payload: Option<Payload>,
}

impl Job for Dump {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if let Some(payload) = &mut self.payload
            && !payload.step(ctx.db, args.key(1), budget).is_done()
        {
            return Ok(Step::More);
        }
        if let Some(payload) = self.payload.take() {
            payload.write(&mut ctx.reply);
        }
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(payload) = self.payload.take() {
            payload.bury(&mut ctx.engine.graveyard);
        }
    }

    fn reply_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Payload::len)
    }
}

fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let choices = Choices::parse(args)?;
    let key = args.key(1);
    if !choices.is_replace && ctx.db.read_for_write(key).is_some() {
        return Err(CmdError::Text("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = integer(args.at(2))?;
    if ttl_ms < 0 {
        return Err(CmdError::Text("ERR Invalid TTL value, must be >= 0"));
    }
    let is_ignored = ctx.engine.debug.skips_checksums;
    let checksum = if is_ignored { Checksum::Ignored } else { Checksum::Compared };
    let check = FooterCheck::new(args.at(3), checksum).map_err(|_| BAD_CHECKSUM)?;
    ctx.run(args, Restore { choices, ttl_ms, stage: Reading::Check(check) })
}

const BAD_CHECKSUM: CmdError = CmdError::Text("ERR DUMP payload version or checksum are wrong");

/// RESTORE: checks the payload, reads the value, puts it into the keyspace.
struct Restore {
    choices: Choices,
    ttl_ms: i64,
    stage: Reading,
}

/// What the next step goes on with.
enum Reading {
    /// The checksum.
    Check(FooterCheck),
    /// The value, in a payload of this length without version and checksum.
    Value { reader: Box<StringReader>, body_len: usize },
    /// A collection, likewise.
    Collection { reader: Box<ValueReader>, body_len: usize },
    /// The value is read and is now checked.
    Proof { value: Restored, proof: Proof },
    /// Everything is read.
    Finished,
}

impl Job for Restore {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let payload = args.at(3);
        loop {
            let units = budget.piece(PIECE_UNITS);
            match &mut self.stage {
                Reading::Check(check) => {
                    if check.step(payload, units).map_err(|_| BAD_CHECKSUM)?.is_done() {
                        let body_len = check.body_len();
                        let body = payload.get(..body_len).unwrap_or(&[]);
                        self.stage = begin_value(body, &ctx.engine.limits)?;
                    }
                }
                Reading::Collection { reader, body_len } => {
                    let body = payload.get(1..*body_len).unwrap_or(&[]);
                    let units = budget.piece(COLLECTION_UNITS);
                    match reader.step(body, &ctx.engine.limits, units) {
                        Ok(Progress::More) => {}
                        Ok(Progress::Done) => break,
                        Err(error) => return Err(self.refuse(ctx, error)),
                    }
                }
                Reading::Value { reader, body_len } => {
                    let body = payload.get(1..*body_len).unwrap_or(&[]);
                    if reader.step(body, units).map_err(|_| BAD_FORMAT)?.is_done() {
                        let body_len = *body_len;
                        self.begin_proof(payload.get(..body_len).unwrap_or(&[]));
                    }
                }
                Reading::Proof { value, proof } => match proof.step(value.bytes(), units) {
                    Ok(Progress::More) => {}
                    Ok(Progress::Done) => break,
                    Err(Unproven) => return Err(self.refuse(ctx, Unreadable::Corrupt)),
                },
                Reading::Finished => return Ok(Step::Done),
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        let restored = match std::mem::replace(&mut self.stage, Reading::Finished) {
            Reading::Proof { value, .. } => value,
            Reading::Collection { reader, .. } => {
                let object = reader.finish(&ctx.engine.limits).map_err(unreadable)?;
                Restored::Collection(Box::new(object))
            }
            Reading::Check(_) | Reading::Value { .. } | Reading::Finished => {
                return Ok(Step::Done);
            }
        };
        self.put(ctx, args, restored)?;
        Ok(Step::Done)
    }
}

impl Restore {
    /// The value is read: what is to be proven of it. What follows it in the payload is ignored, as in Redis, unless it
    /// is the mark of a scalar.
    ///
    /// DIFFERS: a value that reaches into version and checksum is refused; Redis reads them as part of it.
    fn begin_proof(&mut self, body: &[u8]) {
        let Reading::Value { reader, .. } = std::mem::replace(&mut self.stage, Reading::Finished)
        else {
            return;
        };
        let rest = body.get(1 + reader.input_len()..).unwrap_or(&[]);
        let text = reader.into_text();
        if body.first() == Some(&value_type::DOCUMENT) {
            let value = Restored::Document(text.into_bytes());
            self.stage = Reading::Proof { value, proof: Proof::Document(Check::default()) };
            return;
        }
        let scalar = match *rest {
            [mark] => MARKED.into_iter().find(|&scalar| scalar_mark(scalar) == Some(mark)),
            _ => None,
        };
        let scalar = scalar.unwrap_or_default();
        let proof = match (&text, scalar) {
            (Text::Int(_), _) | (_, Scalar::Bytes) => Proof::None,
            (_, Scalar::Number) => Proof::Number,
            (_, Scalar::Text | Scalar::Json) => Proof::Text(Utf8Check::default()),
            (_, Scalar::Simple) => Proof::Line(0),
        };
        self.stage = Reading::Proof { value: Restored::String(text, scalar), proof };
    }

    /// The error of a value that cannot be read; what there is of it is freed when there is time.
    #[cold]
    fn refuse(&mut self, ctx: &mut Ctx<'_>, error: Unreadable) -> CmdError {
        let graveyard = &mut ctx.engine.graveyard;
        match std::mem::replace(&mut self.stage, Reading::Finished) {
            Reading::Collection { reader, .. } => graveyard.bury_garbage(reader),
            Reading::Proof { value: Restored::Document(bytes), .. } => {
                graveyard.bury_garbage(Box::new(bytes));
            }
            Reading::Proof { value: Restored::String(text, _), .. } => {
                graveyard.bury_garbage(Box::new(text.into_bytes()));
            }
            _ => {}
        }
        unreadable(error)
    }

    /// Puts the value into the keyspace.
    fn put(&self, ctx: &mut Ctx<'_>, args: Args<'_>, restored: Restored) -> CmdResult {
        let Restore { choices, ttl_ms, .. } = self;
        let (key, ttl_ms) = (args.key(1), *ttl_ms);
        // It takes effect now, however long it was read: until now others saw the key as it was. All that a transaction
        // or a script does is of one instant.
        let now = match ctx.client.nesting {
            Nesting::None => ctx.engine.clock.unix_ms(),
            Nesting::Transaction | Nesting::Script => ctx.now,
        };
        let expiry = match ttl_ms {
            0 => None,
            _ if choices.is_absolute => Some(ttl_ms),
            // As in Redis, a sum beyond the end of time is in the past.
            _ => Some(ttl_ms.wrapping_add(now)),
        };
        if expiry.is_some_and(|expiry| expiry <= now) {
            if choices.is_replace && ctx.db.remove(key) {
                ctx.changed(Event::Del, key.bytes);
            }
            ctx.reply.ok();
            return Ok(());
        }
        let ttl = expiry.map_or(Ttl::Clear, Ttl::At);
        match restored {
            Restored::String(Text::Int(value), scalar) => {
                ctx.db.set_scalar(key, NewString::Int(value), scalar, ttl)?
            }
            Restored::String(Text::Bytes(bytes), scalar) if bytes.len() < BLOCK_BYTES_MIN => {
                ctx.db.set_scalar(key, NewString::Bytes(&bytes), scalar, ttl)?
            }
            Restored::String(Text::Bytes(bytes), scalar) => {
                let block = Block::new(bytes.into_owned());
                ctx.db.set_scalar(key, NewString::Block(block), scalar, ttl)?
            }
            Restored::Document(bytes) => ctx.db.set_document(key, bytes, ttl)?,
            Restored::Collection(object) => match *object {
                Object::List(list) => ctx.db.put_aggregate(key, list, ttl)?,
                Object::Set(set) => ctx.db.put_aggregate(key, set, ttl)?,
                Object::Hash(hash) => ctx.db.put_aggregate(key, hash, ttl)?,
                Object::Zset(zset) => ctx.db.put_aggregate(key, zset, ttl)?,
                Object::Stream(stream) => ctx.db.put_aggregate(key, *stream, ttl)?,
            },
        };
        match choices.access {
            Some(Access::Idle(seconds)) if !ctx.engine.is_lfu => ctx.db.set_idle(key, seconds),
            Some(Access::Frequency(counter)) if ctx.engine.is_lfu => {
                ctx.db.set_frequency(key, counter)
            }
            _ => {}
        }
        ctx.db.note_new(key.bytes);
        ctx.changed(Event::Restore, key.bytes);
        ctx.reply.ok();
        Ok(())
    }
}

/// A value read from a payload.
enum Restored {
    /// A string, and as what it came.
    String(Text<'static>, Scalar),
    /// The checked bytes of a nested value.
    Document(Vec<u8>),
    /// A collection.
    Collection(Box<Object>),
}

fn unreadable(error: Unreadable) -> CmdError {
    match error {
        Unreadable::Corrupt => BAD_FORMAT,
        Unreadable::OutOfMemory => CmdError::OutOfMemory,
    }
}

/// Begins to read the value of a payload whose first byte is its type.
fn begin_value(body: &[u8], limits: &Limits) -> Result<Reading, CmdError> {
    let body_len = body.len();
    let (&value_type, text) = body.split_first().ok_or(BAD_FORMAT)?;
    if matches!(value_type, value_type::STRING | value_type::DOCUMENT) {
        let reader = Box::new(StringReader::new(text).map_err(unreadable)?);
        return Ok(Reading::Value { reader, body_len });
    }
    let reader = Box::new(ValueReader::new(value_type, limits).ok_or(BAD_FORMAT)?);
    Ok(Reading::Collection { reader, body_len })
}

/// A value is not what it says it is.
struct Unproven;

/// What is still to be proven of a value that was read: other doors send it as what it says it is.
enum Proof {
    None,
    Number,
    /// It is UTF-8.
    Text(Utf8Check),
    /// There is no line end in it; so many bytes have none.
    Line(usize),
    Document(Check),
}

/// Bytes searched for line ends per unit: 1 us.
const LINE_BYTES_PER_UNIT: usize = 16 * 1024;
/// Tokens of nested values checked per unit: 3 us.
const TOKENS_PER_UNIT: usize = 64;

impl Proof {
    fn step(&mut self, bytes: &[u8], units: usize) -> Result<Progress, Unproven> {
        match self {
            Proof::None => Ok(Progress::Done),
            Proof::Number if document::is_number(bytes) => Ok(Progress::Done),
            Proof::Number => Err(Unproven),
            Proof::Text(check) => check.step(bytes, units).map_err(|_| Unproven),
            Proof::Document(check) => {
                check.step(bytes, units.saturating_mul(TOKENS_PER_UNIT)).map_err(|_| Unproven)
            }
            Proof::Line(done) => {
                let end = done.saturating_add(units * LINE_BYTES_PER_UNIT).min(bytes.len());
                let piece = bytes.get(*done..end).unwrap_or(&[]);
                *done = end;
                match memchr::memchr2(b'\r', b'\n', piece) {
                    Some(_) => Err(Unproven),
                    None if end == bytes.len() => Ok(Progress::Done),
                    None => Ok(Progress::More),
                }
            }
        }
    }
}

impl Restored {
    /// The bytes of which something is to be proven.
    fn bytes(&self) -> &[u8] {
        match self {
            Restored::String(Text::Bytes(bytes), _) => bytes,
            Restored::Document(bytes) => bytes,
            Restored::String(Text::Int(_), _) | Restored::Collection(_) => &[],
        }
    }
}

/// What a restored key tells about its past; only the one that the eviction policy uses is kept.
#[derive(Clone, Copy)]
enum Access {
    /// IDLETIME, in seconds.
    Idle(u64),
    /// FREQ: the LFU counter.
    Frequency(u8),
}

#[derive(Default)]
struct Choices {
    /// REPLACE.
    is_replace: bool,
    /// ABSTTL: the time to live is a point in time.
    is_absolute: bool,
    /// IDLETIME or FREQ, never both.
    access: Option<Access>,
}

impl Choices {
    fn parse(args: Args<'_>) -> Result<Choices, CmdError> {
        let mut choices = Choices::default();
        let mut options = Options::new(args, 4);
        while let Some(option) = options.next() {
            let has_idle = matches!(choices.access, Some(Access::Idle(_)));
            let has_frequency = matches!(choices.access, Some(Access::Frequency(_)));
            if is(option, "replace") {
                choices.is_replace = true;
            } else if is(option, "absttl") {
                choices.is_absolute = true;
            } else if is(option, "idletime") && !has_frequency {
                let seconds = u64::try_from(integer(options.value()?)?)
                    .map_err(|_| CmdError::Text("ERR Invalid IDLETIME value, must be >= 0"))?;
                choices.access = Some(Access::Idle(seconds));
            } else if is(option, "freq") && !has_idle {
                let counter = u8::try_from(integer(options.value()?)?).map_err(|_| {
                    CmdError::Text("ERR Invalid FREQ value, must be >= 0 and <= 255")
                })?;
                choices.access = Some(Access::Frequency(counter));
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(choices)
    }
}
