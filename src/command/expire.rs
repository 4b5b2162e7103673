//! Commands that give a key a time to live, tell it, or take it away.
//!
//! An expiry is kept as a point in time: milliseconds since 1970. One that is not in the future deletes the
//! key at once, as in Redis. Cost: O(1).
use crate::command::options::{integer, is};
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST];

const EXPIRE: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..doc(
            "1.0.0",
            "O(1)",
            "key:key seconds:integer [condition(NX|XX|GT|LT)@7.0.0]",
            "Set a key's time to live in seconds",
        )
    },
    ..command(Group::Generic, "expire", -3, expire)
};

const PEXPIRE: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..doc(
            "2.6.0",
            "O(1)",
            "key:key milliseconds:integer [condition(NX|XX|GT|LT)@7.0.0]",
            "Set a key's time to live in milliseconds",
        )
    },
    ..command(Group::Generic, "pexpire", -3, pexpire)
};

const EXPIREAT: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..doc(
            "1.2.0",
            "O(1)",
            "key:key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]",
            "Set the expiration for a key as a UNIX timestamp",
        )
    },
    ..command(Group::Generic, "expireat", -3, expireat)
};

const PEXPIREAT: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        ..doc(
            "2.6.0",
            "O(1)",
            "key:key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]",
            "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
        )
    },
    ..command(Group::Generic, "pexpireat", -3, pexpireat)
};

const TTL: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("2.8.0", "Added the -2 reply.")],
        ..doc("1.0.0", "O(1)", "key:key", "Get the time to live for a key in seconds")
    },
    ..command(Group::Generic, "ttl", 2, ttl)
};

const PTTL: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("2.8.0", "Added the -2 reply.")],
        ..doc("2.6.0", "O(1)", "key:key", "Get the time to live for a key in milliseconds")
    },
    ..command(Group::Generic, "pttl", 2, pttl)
};

const EXPIRETIME: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc("7.0.0", "O(1)", "key:key", "Get the expiration Unix timestamp for a key"),
    ..command(Group::Generic, "expiretime", 2, expiretime)
};

const PEXPIRETIME: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "7.0.0",
        "O(1)",
        "key:key",
        "Get the expiration Unix timestamp for a key in milliseconds",
    ),
    ..command(Group::Generic, "pexpiretime", 2, pexpiretime)
};

const PERSIST: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc("2.2.0", "O(1)", "key:key", "Remove the expiration from a key"),
    ..command(Group::Generic, "persist", 2, persist)
};

const SECOND_MS: i64 = 1000;
const MILLISECOND_MS: i64 = 1;

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    set_expiry(ctx, args, When { command: "expire", unit_ms: SECOND_MS, since_ms })
}

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    set_expiry(ctx, args, When { command: "pexpire", unit_ms: MILLISECOND_MS, since_ms })
}

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, When { command: "expireat", unit_ms: SECOND_MS, since_ms: 0 })
}

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, When { command: "pexpireat", unit_ms: MILLISECOND_MS, since_ms: 0 })
}

/// How a command tells a time.
#[derive(Clone, Copy)]
struct When {
    /// Its name, for the error.
    command: &'static str,
    /// Milliseconds of one unit of its number.
    unit_ms: i64,
    /// From when on it counts, in milliseconds since 1970.
    since_ms: i64,
}

impl When {
    fn parse(self, text: &[u8]) -> Result<i64, CmdError> {
        integer(text)?
            .checked_mul(self.unit_ms)
            .and_then(|ms| ms.checked_add(self.since_ms))
            .ok_or(CmdError::InvalidExpire(self.command))
    }
}

/// Which keys an EXPIRE concerns, by the expiry they have.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// NX: those that have none.
    is_nx: bool,
    /// XX: those that have one.
    is_xx: bool,
    /// GT: those that would live longer; without an expiry a key lives forever.
    is_gt: bool,
    /// LT: those that would live shorter.
    is_lt: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Condition, CmdError> {
        let mut condition = Condition::default();
        for option in args.from(3) {
            if is(option, "nx") {
                condition.is_nx = true;
            } else if is(option, "xx") {
                condition.is_xx = true;
            } else if is(option, "gt") {
                condition.is_gt = true;
            } else if is(option, "lt") {
                condition.is_lt = true;
            } else {
                // Redis prints it with %s, which ends at a NUL.
                let shown = option.split(|&byte| byte == 0).next().unwrap_or_default();
                return Err(CmdError::owned(&[b"ERR Unsupported option ", shown]));
            }
        }
        if condition.is_nx && (condition.is_xx || condition.is_gt || condition.is_lt) {
            return Err(CmdError::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.is_gt && condition.is_lt {
            return Err(CmdError::Text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    fn allows(self, current: Option<i64>, new: i64) -> bool {
        match current {
            None => !self.is_xx && !self.is_gt,
            Some(current) => {
                !(self.is_nx || (self.is_gt && new <= current) || (self.is_lt && new >= current))
            }
        }
    }
}

fn set_expiry(ctx: &mut Ctx<'_>, args: Args<'_>, when: When) -> CmdResult {
    let condition = Condition::parse(args)?;
    let expiry = when.parse(args.at(2))?;
    let key = args.key(1);
    let is_wanted = match ctx.db.read_for_write(key) {
        Some(entry) => condition.allows(entry.expiry(), expiry),
        None => false,
    };
    if !is_wanted {
        ctx.reply.int(0);
        return Ok(());
    }
    // As in Redis, who hears of his own changes is told of a deletion before the reply, of a new time after it.
    if expiry <= ctx.now {
        ctx.expire_at(key, expiry)?;
        ctx.reply.int(1);
    } else {
        ctx.reply.int(1);
        ctx.expire_at(key, expiry)?;
    }
    Ok(())
}

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let has_expiry = ctx.db.read_for_write(key).is_some_and(|entry| entry.expiry().is_some());
    if has_expiry {
        ctx.db.set_expiry(key, None).map_err(|_| CmdError::OutOfMemory)?;
        ctx.changed(Event::Persist, key.bytes);
    }
    ctx.reply.int(has_expiry.into());
    Ok(())
}

fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    tell_expiry(ctx, args, since_ms, SECOND_MS)
}

fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let since_ms = ctx.now;
    tell_expiry(ctx, args, since_ms, MILLISECOND_MS)
}

fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_expiry(ctx, args, 0, SECOND_MS)
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_expiry(ctx, args, 0, MILLISECOND_MS)
}

/// Answers -2 without the key, -1 without an expiry, else the time from `since_ms` to it.
fn tell_expiry(ctx: &mut Ctx<'_>, args: Args<'_>, since_ms: i64, unit_ms: i64) -> CmdResult {
    let told = match ctx.db.read_no_touch(args.key(1)).map(|entry| entry.expiry()) {
        None => -2,
        Some(None) => -1,
        Some(Some(expiry)) => {
            // Rounded to the nearest unit; unsigned, since the latest expiry plus half a second does not
            // fit otherwise.
            let left_ms = expiry.saturating_sub(since_ms).max(0) as u64;
            ((left_ms + unit_ms as u64 / 2) / unit_ms as u64) as i64
        }
    };
    ctx.reply.int(told);
    Ok(())
}
