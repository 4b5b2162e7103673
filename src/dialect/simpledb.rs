//! The dialect of the miniature Redis in Python: RESP framing whose values have types and nest.
//!
//! A request is an array whose first element names the command, or a line of words. Values keep the type they
//! came with: a scalar is stored as a string that remembers it (`store::Scalar`), a nested one as a document
//! (`types::document`). Other doors read the scalars as strings; what those wrote reads here as bytes (`$`).
//!
//! Answers are values: SET answers 1, a missing key is null, FLUSH answers how many keys went. Where the
//! specification leaves the answer open it is that of the finished Python server: APPEND answers the new value,
//! FLUSHALL and QUIT 1; only EXPIRE, there always null, says here whether there was such a key.
//! The bytes are in `wire`. Cost: O(bytes) of request and answer.
use crate::base::hash::Key;
use crate::base::number::parse_i64;
use crate::base::time::UnixMillis;
use crate::dialect::{FrameLimits, Ran, Reach, Split};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::engine::verbs::Verb;
use crate::proto::reply::Output;
use crate::store::{Hold, NewString, Scalar, Ttl};
use crate::types::document::{Token, float_text};
use wire::{Arg, Arguments, Parts};

mod long;
mod printing;
pub(super) mod wire;
pub use wire::State;

/// One command of this dialect.
struct Command {
    name: &'static str,
    verb: Verb,
    /// Fewest and most arguments after the name.
    arguments: (usize, usize),
    keys: Keys,
    is_write: bool,
    handler: fn(&mut Ctx<'_>, &[Arg<'_>]) -> CmdResult,
}

/// Which arguments of a command are keys.
#[derive(Clone, Copy)]
enum Keys {
    None,
    First,
    Every,
    /// Every second one, or those of a dictionary.
    Pairs,
    /// It is about all keys there are.
    Whole,
}

const MANY: usize = usize::MAX;

const fn command(
    name: &'static str,
    verb: Verb,
    arguments: (usize, usize),
    keys: Keys,
    is_write: bool,
    handler: fn(&mut Ctx<'_>, &[Arg<'_>]) -> CmdResult,
) -> Command {
    Command { name, verb, arguments, keys, is_write, handler }
}

/// All of them, the most frequent first: a search ends soon.
const COMMANDS: &[Command] = &[
    command("GET", Verb::Get, (1, 1), Keys::First, false, get),
    command("SET", Verb::Set, (2, 2), Keys::First, true, set),
    command("DELETE", Verb::Del, (1, 1), Keys::First, true, delete),
    command("MGET", Verb::MGet, (1, MANY), Keys::Every, false, mget),
    command("MSET", Verb::MSet, (1, MANY), Keys::Pairs, true, mset),
    command("EXISTS", Verb::Exists, (1, 1), Keys::First, false, exists),
    command("INCR", Verb::Incr, (1, 1), Keys::First, true, |ctx, args| {
        increment(ctx, args, Sign::Plus)
    }),
    command("INCRBY", Verb::IncrBy, (2, 2), Keys::First, true, |ctx, args| {
        increment(ctx, args, Sign::Plus)
    }),
    command("DECR", Verb::Decr, (1, 1), Keys::First, true, |ctx, args| {
        increment(ctx, args, Sign::Minus)
    }),
    command("DECRBY", Verb::DecrBy, (2, 2), Keys::First, true, |ctx, args| {
        increment(ctx, args, Sign::Minus)
    }),
    command("APPEND", Verb::Append, (2, 2), Keys::First, true, append),
    command("GETSET", Verb::GetSet, (2, 2), Keys::First, true, getset),
    command("SETNX", Verb::SetNx, (2, 2), Keys::First, true, setnx),
    command("SETEX", Verb::SetEx, (3, 3), Keys::First, true, setex),
    command("POP", Verb::GetDel, (1, 1), Keys::First, true, pop),
    command("MPOP", Verb::GetDel, (1, MANY), Keys::Every, true, mpop),
    command("MDELETE", Verb::Del, (1, MANY), Keys::Every, true, mdelete),
    command("EXPIRE", Verb::Expire, (2, 2), Keys::First, true, expire),
    command("LEN", Verb::DbSize, (0, 0), Keys::Whole, false, len),
    command("FLUSH", Verb::FlushDb, (0, 0), Keys::Whole, true, flush),
    command("FLUSHALL", Verb::FlushAll, (0, 0), Keys::Whole, true, flushall),
    command("INFO", Verb::Info, (0, 0), Keys::Whole, false, info),
    command("QUIT", Verb::Quit, (0, 0), Keys::None, false, quit),
];

/// What MONITOR and the slow log show of a nested value.
const NESTED_SIGN: &[u8] = b"...";

/// Arguments shown to MONITOR and the slow log without memory of their own.
const SHOWN_FEW: usize = 3;

fn find(name: &[u8]) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Finds the end of the request at the start of `unread`.
pub fn split(state: &mut State, unread: &[u8], limits: &FrameLimits) -> Split {
    wire::split(state, unread, limits)
}

/// Runs one request, or makes a job of it: at once, where that shows in the request, or when a long nested value is to
/// be answered.
pub fn run(
    engine: &mut Engine,
    session: &mut Session,
    frame: &[u8],
    first_hash: Option<u64>,
    out: &mut Output,
    started: &mut u64,
) -> Ran {
    match long::start(engine, session, frame) {
        Some(Ok(())) => return Ran::Parked,
        Some(Err(refused)) => error(&refused.message(), out),
        None => match run_now(engine, session, frame, first_hash, out, started) {
            Ok(Ran::Done) => {}
            Ok(Ran::Parked) => match long::start_printing(engine, session, frame) {
                Ok(()) => return Ran::Parked,
                Err(refused) => error(&refused.message(), out),
            },
            Err(text) => {
                engine.shared.stats.count_error(b"ERR");
                error(&text, out);
                *started = engine.shared.clock.ticks();
            }
        },
    }
    Ran::Done
}

/// Runs one request, unless it turns out to be a job: then it has changed nothing. The error: it is no request.
fn run_now<'b>(
    engine: &mut Engine,
    session: &mut Session,
    frame: &'b [u8],
    first_hash: Option<u64>,
    out: &mut Output,
    started: &mut u64,
) -> Result<Ran, Vec<u8>> {
    if frame.len() > long::BYTES_AT_ONCE {
        // What has no hope is told before a million arguments are read.
        let mut parts = Parts::of(frame)?;
        let name = parts.scalar().and_then(|name| name.text().ok());
        let count = if let Parts::Values { left, .. } = parts { Some(left as usize) } else { None };
        command_named(name, count)?;
    }
    let mut args = Arguments::new();
    args.read(frame)?;
    args.set_first_hash(first_hash);
    let (name, args) = match args.as_slice() {
        [name, args @ ..] => (name.text().ok(), args),
        [] => (None, &[][..]),
    };
    let command = command_named(name, Some(args.len()))?;
    // MONITOR and the slow log show scalars; nested values only by a sign.
    let shown = |arg: &Arg<'b>| arg.text().unwrap_or(NESTED_SIGN);
    let (mut few, many);
    let shown: &[&[u8]] = if args.len() <= SHOWN_FEW {
        few = [b"".as_slice(); SHOWN_FEW];
        few.iter_mut().zip(args).for_each(|(place, arg)| *place = shown(arg));
        &few[..args.len()]
    } else {
        many = args.iter().map(shown).collect::<Vec<_>>();
        &many
    };
    let body = |ctx: &mut Ctx<'_>| (command.handler)(ctx, args);
    match engine.perform(session, command.verb, shown, out, started, body) {
        Ok(()) => {}
        Err(CmdError::Parked) => return Ok(Ran::Parked),
        Err(failure) => error(&failure.message(), out),
    }
    Ok(Ran::Done)
}

/// The command of this name that takes so many arguments; the error says what is wrong.
fn command_named(name: Option<&[u8]>, count: Option<usize>) -> Result<&'static Command, Vec<u8>> {
    let name = name.ok_or("First parameter must be command name.")?;
    let Some(command) = find(name) else {
        return Err([b"Unrecognized command: ".as_slice(), &name.to_ascii_uppercase()].concat());
    };
    let (least, most) = command.arguments;
    if count.is_some_and(|count| count < least || count > most) {
        return Err(format!("Wrong number of arguments for {}", command.name).into_bytes());
    }
    Ok(command)
}

/// How a request that will be a job holds its keys, which it takes itself; `None`: it runs at once. O(1).
pub fn job_hold(frame: &[u8]) -> Option<Hold> {
    long::hold_of(frame)
}

/// The command of a request, and its arguments; `None`: it names none.
fn command_of(frame: &[u8]) -> Option<(&'static Command, Parts<'_>)> {
    let mut parts = Parts::of(frame).ok()?;
    let name = parts.scalar()?.text().ok()?;
    Some((find(name)?, parts))
}

/// What a whole request asks for, if it is one.
pub fn verb(frame: &[u8]) -> Option<Verb> {
    command_of(frame).map(|(command, _)| command.verb)
}

/// Whether a whole request may change something.
pub fn may_write(frame: &[u8]) -> bool {
    command_of(frame).is_some_and(|(command, _)| command.is_write)
}

/// Visits the keys of a whole request in their order, with whether it may change them. O(bytes), no allocation.
pub fn each_key(frame: &[u8], visit: &mut dyn FnMut(&[u8], bool)) {
    let Some((command, mut parts)) = command_of(frame) else { return };
    let is_pairs = match command.keys {
        Keys::None | Keys::Whole => return,
        Keys::First | Keys::Every => false,
        Keys::Pairs => true,
    };
    let mut first = parts;
    if is_pairs
        && let Ok(Some(first)) = first.next()
        && let Some(pairs) = first.pairs()
    {
        parts = pairs;
    }
    while let Ok(Some(arg)) = parts.next() {
        if let Ok(key) = arg.text() {
            visit(key, command.is_write);
        }
        if matches!(command.keys, Keys::First) || is_pairs && parts.next().is_err() {
            return;
        }
    }
}

/// The first key of a request, if it has one. Does not look at which command it is: an unknown one may have one, too.
pub fn first_key(frame: &[u8]) -> Option<&[u8]> {
    if let Some(text) = wire::first_short(frame) {
        return Some(text);
    }
    let mut parts = Parts::of(frame).ok()?;
    parts.scalar()?;
    parts.scalar()?.text().ok()
}

/// What of the keyspace a whole request is about.
pub fn reach(frame: &[u8]) -> Reach {
    match command_of(frame) {
        Some((Command { keys: Keys::Whole, is_write: true, .. }, _)) => Reach::WritesAll,
        Some((Command { keys: Keys::Whole, is_write: false, .. }, _)) => Reach::ReadsAll,
        _ => Reach::Keys,
    }
}

/// Appends an error.
pub fn error(text: &[u8], out: &mut Output) {
    let bytes = out.bytes_mut();
    bytes.push(b'-');
    bytes.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    bytes.extend_from_slice(b"\r\n");
}

/// A value in the form in which it is stored.
enum Value<'b> {
    Scalar(NewString<'b>, Scalar),
    Document(Vec<u8>),
}

impl<'b> Value<'b> {
    fn of(ctx: &Ctx<'_>, arg: &Arg<'b>) -> Result<Value<'b>, CmdError> {
        Value::within(ctx.engine.config.int(Opt::ProtoMaxBulkLen).max(0) as usize, arg)
    }

    /// As `of`, for values of at most so many bytes.
    fn within(bytes_max: usize, arg: &Arg<'b>) -> Result<Value<'b>, CmdError> {
        let (value, length) = match arg.token {
            Token::Int(number) => (Value::Scalar(NewString::Int(number), Scalar::Number), 0),
            Token::Simple(bytes) => Value::string(bytes, Scalar::Simple),
            Token::Bytes(bytes) => Value::string(bytes, Scalar::Bytes),
            Token::Text(text) => Value::string(text.as_bytes(), Scalar::Text),
            Token::Json(text) => Value::string(text.as_bytes(), Scalar::Json),
            Token::Number(text) => Value::string(text.as_bytes(), Scalar::Number),
            Token::Null | Token::Array(_) | Token::Dict(_) | Token::Set(_) => {
                return Value::document(bytes_max, arg.document()?);
            }
        };
        if length > bytes_max { Err(TOO_LONG) } else { Ok(value) }
    }

    /// A nested value of at most so many bytes.
    fn document(bytes_max: usize, bytes: Vec<u8>) -> Result<Value<'b>, CmdError> {
        if bytes.len() > bytes_max { Err(TOO_LONG) } else { Ok(Value::Document(bytes)) }
    }

    fn string(bytes: &[u8], scalar: Scalar) -> (Value<'_>, usize) {
        (Value::Scalar(NewString::Bytes(bytes), scalar), bytes.len())
    }

    fn store(self, ctx: &mut Ctx<'_>, key: Key<'_>, ttl: Ttl) -> CmdResult {
        match self {
            Value::Scalar(string, scalar) => ctx.db.set_scalar(key, string, scalar, ttl)?,
            Value::Document(bytes) => ctx.db.set_document(key, bytes, ttl)?,
        };
        let event = if matches!(ttl, Ttl::At(_)) { Event::SetExpiring } else { Event::Set };
        ctx.changed(event, key.bytes);
        Ok(())
    }
}

const TOO_LONG: CmdError =
    CmdError::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

/// Answers 1 or 0.
fn answer(ctx: &mut Ctx<'_>, truth: bool) -> CmdResult {
    wire::int(truth.into(), ctx.reply.output());
    Ok(())
}

/// Answers the value of a key, or null; [`CmdError::Parked`]: it takes too long for that, so the request is to be a
/// job, which asks before it changes anything.
fn answer_value(ctx: &mut Ctx<'_>, key: Key<'_>) -> CmdResult {
    let is_alone = ctx.engine.is_alone(ctx.client);
    let is_forced = ctx.engine.jobs.is_forced();
    match ctx.db.read(key) {
        Some(entry) if !is_alone && printing::is_long(&entry, is_forced) => {
            // The job reads it, and is counted for that.
            ctx.db.stats.hits -= 1;
            Err(CmdError::Parked)
        }
        Some(entry) => wire::entry(&entry, ctx.reply.output()),
        None => {
            wire::null(ctx.reply.output());
            Ok(())
        }
    }
}

fn get(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    answer_value(ctx, args[0].key(ctx)?)
}

fn mget(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    wire::token(Token::Array(args.len() as u64), ctx.reply.output());
    args.iter().try_for_each(|key| answer_value(ctx, key.key(ctx)?))
}

fn exists(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let key = args[0].key(ctx)?;
    let exists = ctx.db.exists(key);
    answer(ctx, exists)
}

fn set(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    Value::of(ctx, &args[1])?.store(ctx, args[0].key(ctx)?, Ttl::Clear)?;
    answer(ctx, true)
}

fn setnx(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let key = args[0].key(ctx)?;
    let value = Value::of(ctx, &args[1])?;
    let is_absent = ctx.db.read_for_write(key).is_none();
    if is_absent {
        value.store(ctx, key, Ttl::Clear)?;
    }
    answer(ctx, is_absent)
}

fn setex(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let at = deadline(ctx, &args[2], "setex")?;
    if at <= ctx.now {
        return Err(CmdError::InvalidExpire("setex"));
    }
    Value::of(ctx, &args[1])?.store(ctx, args[0].key(ctx)?, Ttl::At(at))?;
    answer(ctx, true)
}

fn getset(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let key = args[0].key(ctx)?;
    let value = Value::of(ctx, &args[1])?;
    answer_value(ctx, key)?;
    value.store(ctx, key, Ttl::Clear)
}

const NO_PAIRS: CmdError = CmdError::Text("Wrong number of arguments for MSET");

/// Flat pairs, or one dictionary.
fn mset(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let mut parsed = Vec::with_capacity(args.len() / 2);
    match args {
        [dictionary] => {
            let mut pairs = dictionary.pairs().ok_or(NO_PAIRS)?;
            // The request was whole, so is the dictionary.
            while let (Ok(Some(key)), Ok(Some(value))) = (pairs.next(), pairs.next()) {
                parsed.push((key.key(ctx)?, Value::of(ctx, &value)?));
            }
        }
        _ if args.len().is_multiple_of(2) => {
            for pair in args.chunks_exact(2) {
                parsed.push((pair[0].key(ctx)?, Value::of(ctx, &pair[1])?));
            }
        }
        _ => return Err(NO_PAIRS),
    }
    let count = parsed.len() as i64;
    parsed.into_iter().try_for_each(|(key, value)| value.store(ctx, key, Ttl::Clear))?;
    wire::int(count, ctx.reply.output());
    Ok(())
}

fn delete(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    mdelete(ctx, args)
}

fn mdelete(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let keys = keys(ctx, args)?;
    let removed = keys.into_iter().filter(|&key| ctx.delete(key)).count();
    wire::int(removed as i64, ctx.reply.output());
    Ok(())
}

fn keys<'b>(ctx: &Ctx<'_>, args: &[Arg<'b>]) -> Result<Vec<Key<'b>>, CmdError> {
    args.iter().map(|arg| arg.key(ctx)).collect()
}

fn pop(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let key = args[0].key(ctx)?;
    answer_value(ctx, key)?;
    ctx.delete(key);
    Ok(())
}

/// An error where a value has no form here.
fn check_form(ctx: &mut Ctx<'_>, key: Key<'_>) -> CmdResult {
    if let Some(entry) = ctx.db.peek(key) {
        let has_form = entry.string().is_some() || entry.document().is_some();
        has_form.then_some(()).ok_or(CmdError::WrongType)?;
    }
    Ok(())
}

/// Nothing is removed where one of the values has no form here.
fn mpop(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let keys = keys(ctx, args)?;
    keys.iter().try_for_each(|&key| check_form(ctx, key))?;
    let is_forced = ctx.engine.jobs.is_forced();
    let mut is_long =
        |key: Key<'_>| ctx.db.peek(key).is_some_and(|entry| printing::is_long(&entry, is_forced));
    if keys.iter().any(|&key| is_long(key)) && !ctx.engine.is_alone(ctx.client) {
        return Err(CmdError::Parked);
    }
    wire::token(Token::Array(keys.len() as u64), ctx.reply.output());
    // One at a time: of a key named twice the second answer is null.
    for &key in &keys {
        answer_value(ctx, key)?;
        ctx.delete(key);
    }
    Ok(())
}

/// A number of this dialect: integers stay such as long as they can.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

const NO_NUMBER: CmdError = CmdError::Text("ERR value is not a number");

impl Number {
    fn parse(text: &[u8]) -> Result<Number, CmdError> {
        match parse_i64(text) {
            Some(number) => Ok(Number::Int(number)),
            None => fast_float2::parse(text).map(Number::Float).map_err(|_| NO_NUMBER),
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    fn plus(self, sign: Sign, other: Number) -> Result<Number, CmdError> {
        const OVERFLOW: CmdError = CmdError::Text("ERR increment or decrement would overflow");
        if let (Number::Int(left), Number::Int(right)) = (self, other) {
            let sum = match sign {
                Sign::Plus => left.checked_add(right),
                Sign::Minus => left.checked_sub(right),
            };
            return sum.map(Number::Int).ok_or(OVERFLOW);
        }
        let sum = match sign {
            Sign::Plus => self.float() + other.float(),
            Sign::Minus => self.float() - other.float(),
        };
        if sum.is_finite() { Ok(Number::Float(sum)) } else { Err(OVERFLOW) }
    }
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

/// INCR, INCRBY, DECR, DECRBY: an absent key is 0, the TTL stays, the result is a number.
fn increment(ctx: &mut Ctx<'_>, args: &[Arg<'_>], sign: Sign) -> CmdResult {
    let key = args[0].key(ctx)?;
    let by = match args.get(1) {
        Some(arg) => Number::parse(arg.text().map_err(|_| NO_NUMBER)?)?,
        None => Number::Int(1),
    };
    let old = match ctx.db.string_for_write(key)? {
        Some(string) => Number::parse(string.as_bytes(&mut itoa::Buffer::new()))?,
        None => Number::Int(0),
    };
    match old.plus(sign, by)? {
        Number::Int(sum) => {
            ctx.db.set_scalar(key, NewString::Int(sum), Scalar::Number, Ttl::Keep)?;
            wire::int(sum, ctx.reply.output());
        }
        Number::Float(sum) => {
            let text = float_text(sum);
            let value = NewString::Bytes(text.as_bytes());
            ctx.db.set_scalar(key, value, Scalar::Number, Ttl::Keep)?;
            wire::token(Token::Number(&text), ctx.reply.output());
        }
    }
    ctx.changed(Event::IncrBy, key.bytes);
    Ok(())
}

/// Answers the new value, which keeps the type of the old one. Only strings can be appended to one another.
fn append(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    const INCOMPATIBLE: CmdError = CmdError::Text("Incompatible data-types");
    let key = args[0].key(ctx)?;
    let Some(entry) = ctx.db.read_for_write(key) else {
        Value::of(ctx, &args[1])?.store(ctx, key, Ttl::Clear)?;
        return answer_value(ctx, key);
    };
    let scalar = entry.scalar();
    if entry.document().is_some() || scalar == Scalar::Number {
        return Err(INCOMPATIBLE);
    }
    let added = match args[1].token {
        Token::Simple(bytes) | Token::Bytes(bytes) => bytes,
        Token::Text(text) | Token::Json(text) => text.as_bytes(),
        _ => return Err(INCOMPATIBLE),
    };
    // What is said to be text stays UTF-8, and a line one line.
    let is_compatible = match scalar {
        Scalar::Bytes | Scalar::Number => true,
        Scalar::Text | Scalar::Json => std::str::from_utf8(added).is_ok(),
        Scalar::Simple => !added.iter().any(|byte| matches!(byte, b'\r' | b'\n')),
    };
    if !is_compatible {
        return Err(INCOMPATIBLE);
    }
    ctx.append(key, added)?;
    ctx.db.set_type(key, scalar);
    answer_value(ctx, key)
}

/// When something ends that lasts so many seconds, in milliseconds since 1970.
fn deadline(ctx: &Ctx<'_>, arg: &Arg<'_>, name: &'static str) -> Result<UnixMillis, CmdError> {
    let invalid = CmdError::InvalidExpire(name);
    let millis = match Number::parse(arg.text().map_err(|_| NO_NUMBER)?)? {
        Number::Int(seconds) => seconds.checked_mul(1000),
        Number::Float(seconds) => {
            let millis = (seconds * 1000.0).ceil();
            (millis.abs() < i64::MAX as f64).then_some(millis as i64)
        }
    };
    millis.and_then(|millis| millis.checked_add(ctx.now)).ok_or(invalid)
}

fn expire(ctx: &mut Ctx<'_>, args: &[Arg<'_>]) -> CmdResult {
    let key = args[0].key(ctx)?;
    let at = deadline(ctx, &args[1], "expire")?;
    let is_set = ctx.expire(key, at)?;
    answer(ctx, is_set)
}

fn len(ctx: &mut Ctx<'_>, _args: &[Arg<'_>]) -> CmdResult {
    wire::int(ctx.db.len() as i64, ctx.reply.output());
    Ok(())
}

fn flush(ctx: &mut Ctx<'_>, _args: &[Arg<'_>]) -> CmdResult {
    let dropped = ctx.db.len() as i64;
    ctx.empty(ctx.db_index());
    wire::int(dropped, ctx.reply.output());
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, _args: &[Arg<'_>]) -> CmdResult {
    ctx.empty_all();
    answer(ctx, true)
}

fn info(ctx: &mut Ctx<'_>, _args: &[Arg<'_>]) -> CmdResult {
    let stats = &ctx.engine.stats;
    let counts = [
        ("active_connections", ctx.engine.clients.len() as u64),
        ("commands_processed", stats.commands_processed),
        ("command_errors", stats.error_replies),
        ("connections", stats.connections_received),
        ("keys", ctx.db.len() as u64),
    ];
    let out = ctx.reply.output();
    wire::token(Token::Dict(counts.len() as u64 + 1), out);
    for (name, count) in counts {
        wire::token(Token::Bytes(name.as_bytes()), out);
        wire::int(count as i64, out);
    }
    wire::token(Token::Bytes(b"timestamp"), out);
    wire::token(Token::Number(&float_text(ctx.now as f64 / 1000.0)), out);
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _args: &[Arg<'_>]) -> CmdResult {
    ctx.client.closes_after_reply = true;
    answer(ctx, true)
}

#[cfg(test)]
#[path = "simpledb_tests.rs"]
mod tests;
