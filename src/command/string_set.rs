//! Setting strings: SET with all its options, its older relatives, and MSET, MSETNX, MSETEX.
//!
//! SET without options is the short path: one call into the keyspace, which overwrites in place where it can.
use crate::command::keys;
use crate::command::options::{Options, TimeForm, TtlOption, TtlWord, integer, is};
use crate::command::spec::access::{ACCESS, INSERT, OW, RW, UPDATE, VARIABLE_FLAGS};
use crate::command::spec::flag::{DENYOOM, FAST, WRITE};
use crate::command::spec::{Begin, Command, Doc, Find, Group, KeySpec, command, doc};
use crate::command::string_value::{Comparison, reply_value_or_null, value_at};
use crate::command::string_weigh::{GoOn, Weigh, Weighed};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped, UNITS_AT_ONCE};
use crate::proto::args::Args;
use crate::store::Ttl;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SET, GETSET, SETEX, PSETEX, SETNX, MSET, MSETNX, MSETEX];

const SET: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec {
        notes: "RW and ACCESS due to the optional `GET` argument",
        ..KeySpec::first(RW | ACCESS | UPDATE | VARIABLE_FLAGS)
    }],
    find_keys: Some(keys::set_keys),
    doc: Doc {
        history: &[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
            ("8.4.0", "Added the `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` options."),
        ],
        ..doc(
            "1.0.0",
            "O(1)",
            "key:key value:string [condition(NX|XX|IFEQ=ifeq-value:string@8.4.0|\
            IFNE=ifne-value:string@8.4.0|IFDEQ=ifdeq-digest:string@8.4.0|\
            IFDNE=ifdne-digest:string@8.4.0)@2.6.12] [GET@6.2.0] \
            [expiration(EX=seconds:integer@2.6.12|PX=milliseconds:integer@2.6.12|\
            EXAT=unix-time-seconds:unix-time@6.2.0|PXAT=unix-time-milliseconds:unix-time@6.2.0|\
            KEEPTTL@6.0.0)]",
            "Set the string value of a key",
        )
    },
    ..command(Group::String, "set", -3, set)
};

const GETSET: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: Doc {
        deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
        ..doc(
            "1.0.0",
            "O(1)",
            "key:key value:string",
            "Set the string value of a key and return its old value",
        )
    },
    ..command(Group::String, "getset", 3, getset)
};

const SETEX: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE)],
    doc: doc(
        "2.0.0",
        "O(1)",
        "key:key seconds:integer value:string",
        "Set the value and expiration of a key",
    ),
    ..command(Group::String, "setex", 4, setex)
};

const PSETEX: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(OW | UPDATE)],
    doc: doc(
        "2.6.0",
        "O(1)",
        "key:key milliseconds:integer value:string",
        "Set the value and expiration in milliseconds of a key",
    ),
    ..command(Group::String, "psetex", 4, psetex)
};

const SETNX: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(OW | INSERT)],
    doc: doc(
        "1.0.0",
        "O(1)",
        "key:key value:string",
        "Set the value of a key, only if the key does not exist",
    ),
    ..command(Group::String, "setnx", 3, setnx)
};

const MSET: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::range(OW | UPDATE, 1, -1, 2)],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    doc: doc(
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        "key_value(key:key value:string)...",
        "Set multiple keys to multiple values",
    ),
    ..command(Group::String, "mset", -3, mset)
};

const MSETNX: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::range(OW | INSERT, 1, -1, 2)],
    tips: &["request_policy:multi_shard", "response_policy:agg_min"],
    doc: doc(
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        "key_value(key:key value:string)...",
        "Set multiple keys to multiple values, only if none of the keys exist",
    ),
    ..command(Group::String, "msetnx", -3, msetnx)
};

const MSETEX: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec {
        access: OW | UPDATE,
        begin: Begin::Index(1),
        find: Find::Number { at: 0, first: 1, step: 2 },
        notes: "",
    }],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    doc: doc(
        "8.4.0",
        "O(N) where N is the number of keys to set.",
        "numkeys:integer data(key:key value:string)... [condition(NX|XX)] \
        [expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|\
        PXAT=unix-time-milliseconds:unix-time|KEEPTTL)]",
        "Atomically sets multiple string keys with an optional shared expiration",
    ),
    ..command(Group::String, "msetex", -4, msetex)
};

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() != 3 {
        return set_with_options(ctx, args);
    }
    ctx.db.set_string(args.key(1), value_at(args, 2), Ttl::Clear)?;
    ctx.changed(Event::Set, args.at(1));
    ctx.reply.ok();
    Ok(())
}

/// What has to be so for SET and MSETEX to go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition<'b> {
    /// Nothing.
    Always,
    /// NX: there is no such key.
    Absent,
    /// XX: there is one.
    Present,
    /// IFEQ and its like, with what to compare.
    Compares(Comparison, &'b [u8]),
}

impl<'b> Condition<'b> {
    /// Takes over the condition `taken`. Two are a syntax error, but for NX or XX given again.
    fn take(&mut self, taken: Condition<'b>) -> Result<(), CmdError> {
        let is_repeated = *self == taken && !matches!(taken, Condition::Compares(..));
        if *self != Condition::Always && !is_repeated {
            return Err(CmdError::Syntax);
        }
        *self = taken;
        Ok(())
    }

    /// Whether it is met for argument `index`, a key.
    fn is_met(self, ctx: &mut Ctx<'_>, args: Args<'_>, index: usize) -> Result<bool, CmdError> {
        let key = args.key(index);
        match self {
            Condition::Always => Ok(true),
            Condition::Absent => Ok(ctx.db.read_for_write(key).is_none()),
            Condition::Present => Ok(ctx.db.read_for_write(key).is_some()),
            Condition::Compares(comparison, operand) => match ctx.db.string_for_write(key)? {
                Some(value) => comparison.holds(value, operand),
                None => Ok(comparison.holds_for_nothing()),
            },
        }
    }
}

fn set_with_options(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_knowing(ctx, args, None)
}

/// SET with options; `weighed`: what is known of the value that a condition compares.
fn set_knowing(ctx: &mut Ctx<'_>, args: Args<'_>, weighed: Option<Weighed>) -> CmdResult {
    let (mut ttl, mut condition) = (TtlOption::Absent, Condition::Always);
    let (mut returns_old, mut operand) = (false, 0);
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        if ttl.take(word, TtlWord::KeepTtl, &mut options)? {
            continue;
        }
        match word {
            _ if is(word, "nx") => condition.take(Condition::Absent)?,
            _ if is(word, "xx") => condition.take(Condition::Present)?,
            _ if is(word, "get") => returns_old = true,
            _ => {
                let comparison = Comparison::of(word).ok_or(CmdError::Syntax)?;
                condition.take(Condition::Compares(comparison, options.value()?))?;
                operand = options.position() - 1;
            }
        }
    }
    let ttl = ttl_of(ctx, ttl, "set")?;
    if let (Condition::Compares(comparison, text), None) = (condition, weighed)
        && comparison.check(text).is_ok()
        && let Some(value) = ctx.db.peek(args.key(1)).and_then(|entry| entry.string())
    {
        let go_on: GoOn = |ctx, args, weighed| set_knowing(ctx, args, Some(weighed));
        let weigh = Weigh::compare(&ctx.engine.jobs, comparison, value, (args, operand), go_on);
        if let Some(weigh) = weigh {
            return ctx.run(args, weigh);
        }
    }
    if returns_old {
        let old = ctx.db.string(args.key(1))?;
        reply_value_or_null(&mut ctx.reply, old);
    }
    let is_met = match (condition, weighed) {
        (Condition::Compares(comparison, text), Some(weighed)) => {
            comparison.holds_for(weighed, text)
        }
        _ => condition.is_met(ctx, args, 1)?,
    };
    if is_met {
        store(ctx, args, 1, 2, ttl)?;
    }
    match (returns_old, is_met) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Ok(())
}

/// What to do with the time to live, its number read.
fn ttl_of(ctx: &Ctx<'_>, option: TtlOption<'_>, command: &'static str) -> Result<Ttl, CmdError> {
    match option {
        TtlOption::Deadline(form, text) => Ok(Ttl::At(form.deadline(text, ctx.now, command)?)),
        TtlOption::Keep => Ok(Ttl::Keep),
        TtlOption::Absent | TtlOption::Persist => Ok(Ttl::Clear),
    }
}

/// Sets the key at argument `key` to the value at argument `value`.
fn store(ctx: &mut Ctx<'_>, args: Args<'_>, key: usize, value: usize, ttl: Ttl) -> CmdResult {
    ctx.set(args.key(key), value_at(args, value), ttl)
}

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let old = ctx.db.string(args.key(1))?;
    reply_value_or_null(&mut ctx.reply, old);
    store(ctx, args, 1, 2, Ttl::Clear)
}

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_until(ctx, args, TimeForm::Seconds, "setex")
}

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_until(ctx, args, TimeForm::Millis, "psetex")
}

fn set_until(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    form: TimeForm,
    command: &'static str,
) -> CmdResult {
    let deadline = form.deadline(args.at(2), ctx.now, command)?;
    store(ctx, args, 1, 3, Ttl::At(deadline))?;
    ctx.reply.ok();
    Ok(())
}

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_met = Condition::Absent.is_met(ctx, args, 1)?;
    if is_met {
        store(ctx, args, 1, 2, Ttl::Clear)?;
    }
    ctx.reply.int(is_met.into());
    Ok(())
}

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len().is_multiple_of(2) {
        return Err(CmdError::Arity("mset"));
    }
    let pairs = Pairs { first: 1, count: args.len() / 2 };
    SetPairs::new(pairs, Ttl::Clear, None).start(ctx, args)
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len().is_multiple_of(2) {
        return Err(CmdError::Arity("msetnx"));
    }
    let pairs = Pairs { first: 1, count: args.len() / 2 };
    SetPairs::new(pairs, Ttl::Clear, Some(PairCondition::Absent)).start(ctx, args)
}

fn msetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    const COUNT_MAX: i64 = i32::MAX as i64;
    let count = match integer(args.at(1)) {
        Ok(count @ 1..=COUNT_MAX) => count as usize,
        _ => return Err(CmdError::Text("ERR invalid numkeys value")),
    };
    // No overflow: the count has 31 bits.
    let end = 2 + 2 * count;
    if end > args.len() {
        return Err(CmdError::Text("ERR wrong number of key-value pairs"));
    }
    let (mut ttl, mut condition) = (TtlOption::Absent, Condition::Always);
    let mut options = Options::new(args, end);
    while let Some(word) = options.next() {
        if ttl.take(word, TtlWord::KeepTtl, &mut options)? {
            continue;
        }
        match word {
            _ if is(word, "nx") => condition.take(Condition::Absent)?,
            _ if is(word, "xx") => condition.take(Condition::Present)?,
            _ => return Err(CmdError::Syntax),
        }
    }
    let ttl = ttl_of(ctx, ttl, "msetex")?;
    let condition = match condition {
        Condition::Absent => PairCondition::Absent,
        Condition::Present => PairCondition::Present,
        Condition::Always | Condition::Compares(..) => PairCondition::Always,
    };
    SetPairs::new(Pairs { first: 2, count }, ttl, Some(condition)).start(ctx, args)
}

/// Keys and values in turn among the arguments.
#[derive(Clone, Copy)]
struct Pairs {
    /// Index of the first key.
    first: usize,
    /// How many pairs.
    count: usize,
}

/// What must be true of every key before any is set.
#[derive(Clone, Copy)]
enum PairCondition {
    Always,
    Absent,
    Present,
}

/// MSET and its like: looks at all keys, then sets all. Each counts as one change.
struct SetPairs {
    pairs: Pairs,
    ttl: Ttl,
    /// `None`: it is not asked for, and the reply is OK instead of 0 or 1.
    condition: Option<PairCondition>,
    /// Pairs looked at.
    checked: usize,
    /// Pairs set.
    set: usize,
}

impl SetPairs {
    fn new(pairs: Pairs, ttl: Ttl, condition: Option<PairCondition>) -> SetPairs {
        SetPairs { pairs, ttl, condition, checked: 0, set: 0 }
    }

    /// Sets few pairs at once, many or big ones as a job.
    fn start(mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
        const FEW: usize = 16;
        // To add up the lengths of very many would itself take long.
        let is_between = (FEW..UNITS_AT_ONCE).contains(&self.pairs.count);
        let kilobytes = if is_between { args.bytes_total() / 1024 } else { 0 };
        if ctx.is_long(self.pairs.count + kilobytes) {
            return ctx.run_with_many_keys(args, self);
        }
        self.step(ctx, args, &mut Budget::unlimited())?;
        Ok(())
    }

    /// Whether a key is as the condition wants it.
    fn is_met(&self, ctx: &mut Ctx<'_>, args: Args<'_>, index: usize) -> Result<bool, CmdError> {
        let condition = match self.condition {
            None | Some(PairCondition::Always) => return Ok(true),
            Some(PairCondition::Absent) => Condition::Absent,
            Some(PairCondition::Present) => Condition::Present,
        };
        condition.is_met(ctx, args, index)
    }
}

impl Job for SetPairs {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key_of = |pair: usize, pairs: Pairs| pairs.first + 2 * pair;
        while self.checked < self.pairs.count {
            if !self.is_met(ctx, args, key_of(self.checked, self.pairs))? {
                ctx.reply.int(0);
                return Ok(Step::Done);
            }
            self.checked += 1;
            if self.checked.is_multiple_of(budget.piece(KEYS_PER_PIECE))
                && budget.spend(KEYS_PER_PIECE as u64)
            {
                return Ok(Step::More);
            }
        }
        while self.set < self.pairs.count {
            let key = key_of(self.set, self.pairs);
            store(ctx, args, key, key + 1, self.ttl)?;
            self.set += 1;
            if self.set.is_multiple_of(budget.piece(KEYS_PER_PIECE))
                && budget.spend(KEYS_PER_PIECE as u64)
                && self.set < self.pairs.count
            {
                return Ok(Step::More);
            }
        }
        match self.condition {
            None => ctx.reply.ok(),
            Some(_) => ctx.reply.int(1),
        }
        Ok(Step::Done)
    }
}
