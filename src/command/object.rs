//! OBJECT: what a value is stored as, how long it was not used, how often it is.
//!
//! None of it counts as an access. Cost: O(1).
use crate::command::spec::access::RO;
use crate::command::spec::flag::{LOADING, READONLY, STALE};
use crate::command::spec::{Command, Group, KeySpec, command, container, doc};
use crate::engine::config::Opt;
use crate::engine::config_choice::MaxmemoryPolicy;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::proto::args::Args;
use crate::store::StringRef;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[OBJECT];

const OBJECT: Command = Command {
    doc: doc(
        "2.2.3",
        "Depends on subcommand.",
        "",
        "A container for object introspection commands",
    ),
    ..container(
        Group::Generic,
        "object",
        &[OBJECT_ENCODING, OBJECT_FREQ, OBJECT_HELP, OBJECT_IDLETIME, OBJECT_REFCOUNT],
    )
};

const OBJECT_ENCODING: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO, 2, 0, 1)],
    tips: &["nondeterministic_output"],
    doc: doc("2.2.3", "O(1)", "key:key", "Inspect the internal encoding of a Redis object"),
    ..command(Group::Generic, "encoding", 3, object_encoding)
};

const OBJECT_FREQ: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO, 2, 0, 1)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "4.0.0",
        "O(1)",
        "key:key",
        "Get the logarithmic access frequency counter of a Redis object",
    ),
    ..command(Group::Generic, "freq", 3, object_freq)
};

const OBJECT_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("6.2.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Generic, "help", 2, object_help)
};

const OBJECT_IDLETIME: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO, 2, 0, 1)],
    tips: &["nondeterministic_output"],
    doc: doc("2.2.3", "O(1)", "key:key", "Get the time since a Redis object was last accessed"),
    ..command(Group::Generic, "idletime", 3, object_idletime)
};

const OBJECT_REFCOUNT: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO, 2, 0, 1)],
    tips: &["nondeterministic_output"],
    doc: doc("2.2.3", "O(1)", "key:key", "Get the number of references to the value of the key"),
    ..command(Group::Generic, "refcount", 3, object_refcount)
};

/// Integers below this are one shared object each in Redis (`OBJ_SHARED_INTEGERS`).
const SHARED_INTEGERS: i64 = 10_000;
/// What Redis answers as the reference count of a shared object (`OBJ_SHARED_REFCOUNT`).
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

fn object_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}

fn object_encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.db.read_unnoticed(args.key(2)) {
        Some(entry) => ctx.reply.bulk(entry.encoding().as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Values are not shared here; the answer is Redis's, which clients and suites compare with.
fn object_refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.db.read_unnoticed(args.key(2)) {
        Some(entry) => {
            let is_small = matches!(entry.string(), Some(StringRef::Int(0..SHARED_INTEGERS)));
            let is_shared = is_small && has_shared_integers(ctx.engine);
            ctx.reply.int(if is_shared { SHARED_REFCOUNT } else { 1 });
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Whether Redis would share small integers: not when each needs an access clock of its own.
fn has_shared_integers(engine: &Shared) -> bool {
    let needs_clocks = match engine.config.maxmemory_policy() {
        MaxmemoryPolicy::VolatileLru
        | MaxmemoryPolicy::AllkeysLru
        | MaxmemoryPolicy::VolatileLfu
        | MaxmemoryPolicy::AllkeysLfu
        | MaxmemoryPolicy::AllkeysS3Fifo => true,
        MaxmemoryPolicy::VolatileRandom
        | MaxmemoryPolicy::AllkeysRandom
        | MaxmemoryPolicy::VolatileTtl
        | MaxmemoryPolicy::NoEviction => false,
    };
    engine.config.size(Opt::Maxmemory) == 0 || !needs_clocks
}

fn object_idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.db.read_unnoticed(args.key(2)) {
        Some(_) if ctx.engine.is_lfu => {
            return Err(CmdError::Text(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        Some(_) if ctx.engine.config.maxmemory_policy() == MaxmemoryPolicy::AllkeysS3Fifo => {
            return Err(CmdError::Text(
                "ERR An S3-FIFO maxmemory policy is selected, idle time not tracked. Please note that when \
                 switching between policies at runtime data will take some time to adjust.",
            ));
        }
        Some(entry) => ctx.reply.int(entry.idle_seconds() as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.db.read_unnoticed(args.key(2)) {
        Some(_) if !ctx.engine.is_lfu => {
            return Err(CmdError::Text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
                 that when switching between policies at runtime LRU and LFU data will take some time to \
                 adjust.",
            ));
        }
        Some(entry) => ctx.reply.int(entry.lfu_counter().into()),
        None => ctx.reply.null(),
    }
    Ok(())
}
