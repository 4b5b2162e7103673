//! Strings read whole: GET and its relatives that also delete or change the time to live, and the conditional
//! DELEX with the DIGEST it compares.
//!
//! GET is what a cache does most: one lookup, and the value goes from the keyspace into the reply, a big one
//! by reference.
use crate::command::keys;
use crate::command::options::{Options, TimeForm, TtlOption, TtlWord};
use crate::command::spec::access::{ACCESS, DELETE, RO, RW, UPDATE, VARIABLE_FLAGS};
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::command::string_value::{
    Comparison, ReplyDocument, digest, reply_value, reply_value_or_null,
};
use crate::command::string_weigh::{GoOn, Weigh, Weighed};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[GET, GETEX, GETDEL, MGET, DELEX, DIGEST];

const GET: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc("1.0.0", "O(1)", "key:key", "Get the value of a key"),
    ..command(Group::String, "get", 2, get)
};

const GETEX: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec {
        notes: "RW and UPDATE because it changes the TTL",
        ..KeySpec::first(RW | ACCESS | UPDATE)
    }],
    doc: doc(
        "6.2.0",
        "O(1)",
        "key:key [expiration(EX=seconds:integer|PX=milliseconds:integer|\
        EXAT=unix-time-seconds:unix-time|PXAT=unix-time-milliseconds:unix-time|PERSIST)]",
        "Get the value of a key and optionally set its expiration",
    ),
    ..command(Group::String, "getex", -2, getex)
};

const GETDEL: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: doc("6.2.0", "O(1)", "key:key", "Get the value of a key and delete the key"),
    ..command(Group::String, "getdel", 2, getdel)
};

const MGET: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::range(RO | ACCESS, 1, -1, 1)],
    tips: &["request_policy:multi_shard"],
    doc: doc(
        "1.0.0",
        "O(N) where N is the number of keys to retrieve.",
        "key:key...",
        "Get the values of all the given keys",
    ),
    ..command(Group::String, "mget", -2, mget)
};

const DELEX: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE | VARIABLE_FLAGS)],
    find_keys: Some(keys::delex_keys),
    doc: doc(
        "8.4.0",
        "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
        "key:key [condition(IFEQ=ifeq-value:string|IFNE=ifne-value:string|\
        IFDEQ=ifdeq-digest:string|IFDNE=ifdne-digest:string)]",
        "Conditionally removes the specified key based on value or digest comparison",
    ),
    ..command(Group::String, "delex", -2, delex)
};

const DIGEST: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "8.4.0",
        "O(N) where N is the length of the string value.",
        "key:key",
        "Returns the XXH3 hash of a string value",
    ),
    ..command(Group::String, "digest", 2, digest_of)
};

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    match ctx.db.string(key) {
        Ok(value) => reply_value_or_null(&mut ctx.reply, value),
        // DIFFERS: Redis has no nested values; they come from another front door.
        Err(wrong_type) => match ctx.db.peek(key).and_then(|entry| entry.document()) {
            Some(_) => return ctx.run(args, ReplyDocument::default()),
            None => return Err(wrong_type.into()),
        },
    }
    Ok(())
}

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut ttl = TtlOption::Absent;
    let mut options = Options::new(args, 2);
    while let Some(word) = options.next() {
        if !ttl.take(word, TtlWord::Persist, &mut options)? {
            return Err(CmdError::Syntax);
        }
    }
    let key = args.key(1);
    let Some(value) = ctx.db.string(key)? else {
        // A bad number goes unnoticed where there is no key, as in Redis.
        ctx.reply.null();
        return Ok(());
    };
    let deadline = match ttl {
        TtlOption::Deadline(form, text) => Some((form, form.deadline(text, ctx.now, "getex")?)),
        TtlOption::Absent | TtlOption::Keep | TtlOption::Persist => None,
    };
    // The value leaves before the key may.
    reply_value(&mut ctx.reply, value);
    match deadline {
        Some((TimeForm::AtSeconds | TimeForm::AtMillis, at)) if at <= ctx.now => {
            ctx.db.remove(key);
            ctx.changed(Event::Del, key.bytes);
        }
        Some((_, at)) => {
            ctx.db.set_expiry(key, Some(at))?;
            ctx.changed(Event::Expire, key.bytes);
        }
        None if ttl == TtlOption::Persist && ctx.db.expiry(key).flatten().is_some() => {
            ctx.db.set_expiry(key, None)?;
            ctx.changed(Event::Persist, key.bytes);
        }
        None => {}
    }
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let value = ctx.db.string(key)?;
    reply_value_or_null(&mut ctx.reply, value);
    if ctx.db.remove(key) {
        ctx.changed(Event::Del, key.bytes);
    }
    Ok(())
}

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = args.len() - 1;
    let job = ReadMany { next: 0 };
    if ctx.is_long(count) {
        ctx.run_with_many_keys(args, job)
    } else {
        // Few keys may still be much to copy.
        ctx.run(args, job)
    }
}

/// MGET.
struct ReadMany {
    /// Argument of the next key; 0: nothing is replied yet.
    next: usize,
}

impl Job for ReadMany {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if self.next == 0 {
            ctx.reply.array(args.len() - 1);
            self.next = 1;
        }
        loop {
            let end = (self.next + budget.piece(KEYS_PER_PIECE)).min(args.len());
            for index in self.next..end {
                // What is no string is null here, not an error.
                let value = ctx.db.string(args.key(index)).unwrap_or_default();
                reply_value_or_null(&mut ctx.reply, value);
            }
            let done = end - self.next;
            self.next = end;
            if end == args.len() {
                return Ok(Step::Done);
            }
            if budget.spend(done as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn delex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() != 2 && args.len() != 4 {
        return Err(CmdError::Arity("delex"));
    }
    if args.len() == 2 {
        return remove_if(ctx, args, true);
    }
    // An absent key comes before any error in the condition, as in Redis.
    let Some(entry) = ctx.db.read_for_write(args.key(1)) else {
        return remove_if(ctx, args, false);
    };
    let value = entry
        .string()
        .ok_or(CmdError::Text("ERR Key should be of string type if conditions are specified"))?;
    let comparison = Comparison::of(args.at(2))
        .ok_or(CmdError::Text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
    comparison.check(args.at(3))?;
    let go_on: GoOn = |ctx, args, weighed| {
        let holds = |of: Comparison| of.holds_for(weighed, args.at(3));
        remove_if(ctx, args, Comparison::of(args.at(2)).is_some_and(holds))
    };
    match Weigh::compare(&ctx.engine.jobs, comparison, value, (args, 3), go_on) {
        Some(weigh) => ctx.run(args, weigh),
        None => {
            let is_met = comparison.holds(value, args.at(3))?;
            remove_if(ctx, args, is_met)
        }
    }
}

/// The end of DELEX.
fn remove_if(ctx: &mut Ctx<'_>, args: Args<'_>, is_met: bool) -> CmdResult {
    let key = args.key(1);
    let is_removed = is_met && ctx.db.remove(key);
    if is_removed {
        ctx.changed(Event::Del, key.bytes);
    }
    ctx.reply.int(is_removed.into());
    Ok(())
}

fn digest_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(value) = ctx.db.string(args.key(1))? else {
        ctx.reply.null();
        return Ok(());
    };
    let go_on: GoOn = |ctx, _, weighed| {
        if let Weighed::Digest(digest) = weighed {
            ctx.reply.bulk(&digest);
        }
        Ok(())
    };
    match Weigh::digest(&ctx.engine.jobs, value, go_on) {
        Some(weigh) => return ctx.run(args, weigh),
        None => ctx.reply.bulk(&digest(value)),
    }
    Ok(())
}
