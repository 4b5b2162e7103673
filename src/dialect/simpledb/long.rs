//! Requests of very many keys, or with values so large that storing or printing them takes long, as jobs ([`Job`]).
//!
//! MGET, MSET, MDELETE, MPOP and SET walk over their frame token by token, so neither many arguments nor one
//! huge nested value makes a long step: once to find the keys and everything that is wrong, and once all keys are
//! held, to do the work. The frame is the job's only argument; the job keeps its place in it as an offset. GET, GETSET
//! and POP, and the others with few keys, are jobs where they come upon a huge nested value ([`start_printing`]).
//!
//! Promise: answers and errors are those of the same request run at once. Cost: the frame is decoded twice.
use super::printing::Printing;
use super::wire::{Parts, Walk};
use super::{Command, Keys, NO_PAIRS, Value, error, find, wire};
use crate::base::hash::Key;
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped, UNITS_AT_ONCE};
use crate::engine::session::{Address, Session};
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::Output;
use crate::store::{Hold, Ttl};
use crate::types::document::{Token, Writer};

/// A frame with nested values longer than this is a job: storing them takes about 200 us.
pub(super) const BYTES_AT_ONCE: usize = 64 * 1024;

/// Shorter frames can have no more keys than are handled at once: a letter and a space each.
const BYTES_MIN: usize = 2 * UNITS_AT_ONCE;

/// Tokens looked at for what the slow log shows.
const SHOWN_TOKENS_MAX: usize = 1024;

/// Tokens printed between two looks at the clock: about 15 us.
const TOKENS_PER_PIECE: usize = 256;

/// What is done with the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Get,
    Set,
    Delete,
    Pop,
    /// GETSET.
    Swap,
}

impl Work {
    /// Whether each key is followed by a value.
    fn takes_values(self) -> bool {
        matches!(self, Work::Set | Work::Swap)
    }
}

/// Why a request is to be a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is long, if it is.
    Size,
    /// Whatever can be one is.
    Forced,
    /// It has come upon a nested value that takes long to print.
    Answer,
}

/// Which part of a [`Work::Pop`] is under way, and of all others whether the answer has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Looks whether every value has a form here.
    Check,
    Begin,
    Act,
}

/// One request of many keys. See the head of the file.
pub(super) struct Long {
    command: &'static Command,
    work: Work,
    /// Where the arguments begin.
    start: Walk,
    /// How far it has come.
    walk: Walk,
    /// Where the key of the pair under way is.
    key: Walk,
    is_value_next: bool,
    /// A value on its way out: what comes next waits for that.
    printing: Option<Printing>,
    /// A nested value, as far as it was read.
    writer: Option<Writer>,
    /// Keys found.
    keys: usize,
    /// Arguments found.
    arguments: usize,
    /// The first that was wrong, while the rest may still turn out to be no request at all.
    refusal: Option<CmdError>,
    stage: Stage,
    removed: i64,
    /// Longest value in bytes.
    bytes_max: usize,
}

/// What comes next in a frame.
enum Item<'b> {
    End,
    /// A piece of something nested that is not complete.
    Piece,
    Key(Result<&'b [u8], CmdError>),
    Value(Result<Value<'b>, CmdError>),
}

/// Makes a job of a request that is long, or of any that can be one where slices are forced; `None`: it is to be
/// run at once. A refusal has been counted; it is for the caller to encode.
pub(super) fn start(
    engine: &mut Engine,
    session: &mut Session,
    frame: &[u8],
) -> Option<Result<(), CmdError>> {
    let is_forced = engine.shared.jobs.is_forced();
    if frame.len() <= BYTES_MIN && !is_forced {
        return None;
    }
    let is_alone = matches!(session.address, Address::InProcess);
    let why = if is_forced { Why::Forced } else { Why::Size };
    let recognized = recognize(frame, why).filter(|_| is_forced || !is_alone)?;
    Some(park(engine, session, recognized))
}

/// Makes a job of a request that has turned out to answer a huge nested value. The error is as for [`start`].
#[cold]
pub(super) fn start_printing(
    engine: &mut Engine,
    session: &mut Session,
    frame: &[u8],
) -> Result<(), CmdError> {
    let recognized = recognize(frame, Why::Answer).ok_or(CmdError::Text(wire::BAD_REQUEST))?;
    park(engine, session, recognized)
}

fn park(
    engine: &mut Engine,
    session: &mut Session,
    (command, work, walk): (&'static Command, Work, Walk),
) -> Result<(), CmdError> {
    let job = Long {
        command,
        work,
        start: walk,
        walk,
        key: walk,
        is_value_next: false,
        printing: None,
        writer: None,
        keys: 0,
        arguments: 0,
        refusal: None,
        stage: if work == Work::Pop { Stage::Check } else { Stage::Begin },
        removed: 0,
        bytes_max: engine.shared.config.int(Opt::ProtoMaxBulkLen).max(0) as usize,
    };
    engine.park_verb(session, command.verb, Box::new(job), job_hold(command))
}

fn job_hold(command: &Command) -> Hold {
    if command.is_write { Hold::Write } else { Hold::Read }
}

/// How a request that is a job by its size holds its keys; `None`: it is none. O(1).
pub(super) fn hold_of(frame: &[u8]) -> Option<Hold> {
    if frame.len() <= BYTES_MIN {
        return None;
    }
    recognize(frame, Why::Size).map(|(command, ..)| job_hold(command))
}

/// What a request does and where its keys begin, if it can be a job and there is a reason for that. O(1) by its size.
fn recognize(frame: &[u8], why: Why) -> Option<(&'static Command, Work, Walk)> {
    let mut parts = Parts::of(frame).ok()?;
    let command = find(parts.scalar()?.text().ok()?)?;
    let work = match command.name {
        "MGET" => Work::Get,
        "MSET" | "SET" => Work::Set,
        "MDELETE" => Work::Delete,
        "MPOP" => Work::Pop,
        "GET" if why == Why::Answer => Work::Get,
        "POP" if why == Why::Answer => Work::Pop,
        "GETSET" if why == Why::Answer => Work::Swap,
        _ => return None,
    };
    if command.arguments.1 < 3 && command.name != "SET" && count_of(parts) != command.arguments.1 {
        // What is wrong with it is told elsewhere.
        return None;
    }
    let (parts, keys) = match parts {
        Parts::Words(line) => {
            let line = line.trim_ascii_start();
            // Those of a SET are no nested value.
            let keys = if command.name == "SET" { 0 } else { line.len().div_ceil(2) };
            (Parts::Words(line), keys)
        }
        Parts::Values { left, .. } if command.name == "SET" => {
            let mut value = parts;
            let has_key = left == 2 && value.scalar().is_some();
            let is_nested = has_key && value.head().is_some_and(Token::is_aggregate);
            (parts, usize::from(is_nested))
        }
        Parts::Values { left: 1, .. } if work == Work::Set => match parts.enter_dict() {
            Some(Parts::Values { cursor, left }) => {
                (Parts::Values { cursor, left }, (left / 2).max(1) as usize)
            }
            _ => (parts, 1),
        },
        Parts::Values { left, .. } => (parts, left as usize),
    };
    let is_long_by_size = work == Work::Set && frame.len() > BYTES_AT_ONCE;
    let is_long = keys > 0 && (why != Why::Size || is_long_by_size || keys > UNITS_AT_ONCE);
    is_long.then(|| (command, work, Walk::of(frame, parts)))
}

/// How many arguments there are.
fn count_of(parts: Parts<'_>) -> usize {
    match parts {
        Parts::Values { left, .. } => left as usize,
        Parts::Words(line) => {
            line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count()
        }
    }
}

impl Long {
    /// What comes next; the error: the frame is no request.
    fn next<'b>(&mut self, frame: &'b [u8]) -> Result<Item<'b>, CmdError> {
        let before = self.walk;
        let Some(part) = self.walk.next(frame)? else { return Ok(Item::End) };
        if part.is_start && !self.is_value_next {
            self.key = before;
            self.is_value_next = self.work.takes_values();
            return Ok(Item::Key(part.arg.text()));
        }
        if part.is_start {
            self.is_value_next = false;
            if !part.arg.token.is_aggregate() && part.arg.token != Token::Null {
                return Ok(Item::Value(Value::within(self.bytes_max, &part.arg)));
            }
            self.writer = Some(Writer::new());
        }
        let Some(writer) = &mut self.writer else { return Ok(Item::Piece) };
        if let Err(refused) = writer.push(part.arg.token) {
            // The rest of it is stepped over.
            self.writer = None;
            return Ok(Item::Value(Err(wire::refusal(refused))));
        }
        if !writer.is_complete() {
            return Ok(Item::Piece);
        }
        let bytes = self.writer.take().unwrap_or_default().finish();
        let value = bytes.map_err(wire::refusal);
        Ok(Item::Value(value.and_then(|bytes| Value::document(self.bytes_max, bytes))))
    }

    /// Begins with the arguments again.
    fn rewind(&mut self) {
        (self.walk, self.is_value_next, self.writer) = (self.start, false, None);
    }

    /// Remembers what is wrong: the first there is, except that SET looks at its value before its key.
    fn note(&mut self, failure: CmdError) {
        if self.refusal.is_none() || self.command.name == "SET" {
            self.refusal = Some(failure);
        }
    }

    /// Does with one key, or with the value of the last one, what the command is for.
    fn act(&mut self, ctx: &mut Ctx<'_>, frame: &[u8], item: Item<'_>) -> Result<(), CmdError> {
        match item {
            Item::End | Item::Piece => {}
            Item::Value(value) => {
                let mut at = self.key;
                if let Some(part) = at.next(frame)? {
                    let key = part.arg.key(ctx)?;
                    if self.work == Work::Swap {
                        self.answer(ctx, key)?;
                    }
                    value?.store(ctx, key, Ttl::Clear)?;
                }
            }
            Item::Key(_) if self.work.takes_values() => {}
            Item::Key(text) => {
                let key = ctx.db.key(text?);
                if self.stage == Stage::Check {
                    return super::check_form(ctx, key);
                }
                if self.work != Work::Delete {
                    self.answer(ctx, key)?;
                }
                if self.work != Work::Get {
                    self.removed += i64::from(ctx.delete(key));
                }
            }
        }
        Ok(())
    }

    /// Answers the value of a key, or null: a long one is printed in the next steps.
    fn answer(&mut self, ctx: &mut Ctx<'_>, key: Key<'_>) -> CmdResult {
        let is_forced = ctx.engine.jobs.is_forced();
        match ctx.db.read(key) {
            Some(entry) => match Printing::of(&entry, is_forced) {
                Some(printing) => self.printing = Some(printing),
                None => wire::entry(&entry, ctx.reply.output())?,
            },
            None => wire::null(ctx.reply.output()),
        }
        Ok(())
    }

    /// Goes on with the value on its way out; how many units that was.
    fn print(&mut self, ctx: &mut Ctx<'_>, budget: &Budget) -> Option<usize> {
        let units = budget.piece(TOKENS_PER_PIECE);
        if self.printing.as_mut()?.step(ctx.reply.output(), units).is_done() {
            self.end_printing(ctx);
        }
        Some(units)
    }

    fn end_printing(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(printing) = self.printing.take() {
            ctx.engine.graveyard.bury_garbage(Box::new(printing.into_block()));
        }
    }

    /// What stands before the values of an answer.
    fn begin(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.work, Work::Get | Work::Pop) && matches!(self.command.keys, Keys::Every) {
            wire::token(Token::Array(self.keys as u64), ctx.reply.output());
        }
    }

    fn end(&mut self, ctx: &mut Ctx<'_>) {
        match self.work {
            Work::Get | Work::Pop | Work::Swap => {}
            Work::Set => wire::int(self.keys as i64, ctx.reply.output()),
            Work::Delete => wire::int(self.removed, ctx.reply.output()),
        }
    }
}

impl Job for Long {
    fn find_keys(
        &mut self,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let frame = args.at(0);
        if hashes.capacity() == 0 && hashes.try_reserve(self.start.parts_max()).is_err() {
            return Err(CmdError::OutOfMemory);
        }
        let mut units = 0;
        loop {
            let from = self.walk;
            match self.next(frame)? {
                Item::End => break,
                Item::Piece => {}
                Item::Key(key) => {
                    (self.keys, self.arguments) = (self.keys + 1, self.arguments + 1);
                    match key {
                        Ok(key) => hashes.push(args.hasher().hash(key)),
                        Err(failure) => self.note(failure),
                    }
                }
                Item::Value(value) => {
                    self.arguments += 1;
                    if let Err(failure) = value {
                        self.note(failure);
                    }
                }
            }
            units += self.walk.units_since(from);
            if units >= budget.piece(KEYS_PER_PIECE) {
                if budget.spend(units as u64) {
                    return Ok(Step::More);
                }
                units = 0;
            }
        }
        if self.is_value_next {
            return Err(NO_PAIRS);
        }
        self.rewind();
        self.refusal.take().map_or(Ok(Step::Done), Err)
    }

    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let frame = args.at(0);
        let mut units = 0;
        loop {
            if let Some(units) = self.print(ctx, budget) {
                if budget.spend(units as u64) {
                    return Ok(Step::More);
                }
                continue;
            }
            if self.stage == Stage::Begin {
                self.begin(ctx);
                self.stage = Stage::Act;
            }
            let from = self.walk;
            match self.next(frame)? {
                Item::End if self.stage == Stage::Check => {
                    self.rewind();
                    self.stage = Stage::Begin;
                    continue;
                }
                Item::End => break,
                item => self.act(ctx, frame, item)?,
            }
            units += self.walk.units_since(from);
            if units >= budget.piece(KEYS_PER_PIECE) {
                if budget.spend(units as u64) {
                    return Ok(Step::More);
                }
                units = 0;
            }
        }
        self.end(ctx);
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        self.end_printing(ctx);
    }

    fn shown(&self, args: Args<'_>, arguments_max: usize) -> Option<OwnedArgs> {
        let (frame, mut walk) = (args.at(0), self.start);
        let mut shown = OwnedArgs::from_parts([self.command.verb.name().as_bytes()]);
        let is_whole = self.arguments < arguments_max;
        let most = if is_whole { self.arguments } else { arguments_max.saturating_sub(2).max(1) };
        let tokens_max = if arguments_max == usize::MAX { usize::MAX } else { SHOWN_TOKENS_MAX };
        let (mut count, mut tokens) = (0, 0);
        while count < most && tokens < tokens_max {
            let Ok(Some(part)) = walk.next(frame) else { break };
            tokens += 1;
            if part.is_start {
                shown.push(part.arg.text().unwrap_or(super::NESTED_SIGN));
                count += 1;
            }
        }
        if count < self.arguments {
            let more = format!("... ({} more arguments)", self.arguments - count);
            shown.push(more.as_bytes());
        }
        Some(shown)
    }

    fn error_form(&self) -> Option<fn(&[u8], &mut Output)> {
        Some(error)
    }
}
