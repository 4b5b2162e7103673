//! XGROUP: consumer groups are made, set, and taken away.
//!
//! Cost: O(log n). What was pending in a group or for a consumer is freed, or looked up in its group, in slices.
use crate::command::help;
use crate::command::options::{integer, is};
use crate::command::spec::access::{DELETE, INSERT, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, LOADING, STALE, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, container, doc};
use crate::command::stream_value::{loose_id, no_group, strict_id};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::Args;
use crate::store::OutOfMemory;
use crate::types::stream::{
    ConsumerNumber, ENTRIES_READ_UNKNOWN, Group as ConsumerGroup, Stream, StreamId,
};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XGROUP];

/// A group with less memory than this is freed at once: some hundred microseconds.
const FREED_AT_ONCE_BYTES: usize = 64 * 1024;

const XGROUP: Command = Command {
    doc: doc("5.0.0", "Depends on subcommand.", "", "A container for consumer groups commands"),
    ..container(
        Group::Stream,
        "xgroup",
        &[
            XGROUP_CREATE,
            XGROUP_CREATECONSUMER,
            XGROUP_DELCONSUMER,
            XGROUP_DESTROY,
            XGROUP_HELP,
            XGROUP_SETID,
        ],
    )
};

const XGROUP_CREATE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: Doc {
        history: &[("7.0.0", "Added the `entries_read` named argument.")],
        ..doc(
            "5.0.0",
            "O(1)",
            "key:key groupname:string id(id:string|'$'=new_id) [MKSTREAM] \
            [ENTRIESREAD=entries_read:integer]",
            "Create a consumer group.",
        )
    },
    ..command(Group::Stream, "create", -5, xgroup_create)
};

const XGROUP_CREATECONSUMER: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: doc(
        "6.2.0",
        "O(1)",
        "key:key groupname:string consumername:string",
        "Create a consumer in a consumer group.",
    ),
    ..command(Group::Stream, "createconsumer", 5, xgroup_createconsumer)
};

const XGROUP_DELCONSUMER: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(RW | DELETE, 2, 0, 1)],
    doc: doc(
        "5.0.0",
        "O(1)",
        "key:key groupname:string consumername:string",
        "Delete a consumer from a consumer group.",
    ),
    ..command(Group::Stream, "delconsumer", 5, xgroup_delconsumer)
};

const XGROUP_DESTROY: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(RW | DELETE, 2, 0, 1)],
    doc: doc(
        "5.0.0",
        "O(N) where N is the number of entries in the group's pending entries list (PEL).",
        "key:key groupname:string",
        "Destroy a consumer group.",
    ),
    ..command(Group::Stream, "destroy", 4, xgroup_destroy)
};

const XGROUP_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Stream, "help", 2, xgroup_help)
};

const XGROUP_SETID: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(RW | UPDATE, 2, 0, 1)],
    doc: Doc {
        history: &[("7.0.0", "Added the optional `entries_read` argument.")],
        ..doc(
            "5.0.0",
            "O(1)",
            "key:key groupname:string id(id:string|'$'=new_id) [ENTRIESREAD=entries_read:integer]",
            "Set a consumer group to an arbitrary last delivered ID value.",
        )
    },
    ..command(Group::Stream, "setid", -5, xgroup_setid)
};

const HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];

const NO_STREAM: CmdError = CmdError::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
    the MKSTREAM option to create an empty stream automatically.",
);

fn xgroup_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

/// MKSTREAM and ENTRIESREAD.
struct Options {
    makes_stream: bool,
    entries_read: i64,
}

impl Options {
    fn parse(args: Args<'_>, may_make_stream: bool) -> Result<Options, CmdError> {
        let mut options = Options { makes_stream: false, entries_read: ENTRIES_READ_UNKNOWN };
        let mut index = 5;
        while index < args.len() {
            let word = args.at(index);
            if may_make_stream && is(word, "mkstream") {
                options.makes_stream = true;
                index += 1;
            } else if index + 1 < args.len() && is(word, "entriesread") {
                options.entries_read = integer(args.at(index + 1))?;
                if options.entries_read < ENTRIES_READ_UNKNOWN {
                    return Err(CmdError::Text("ERR value for ENTRIESREAD must be positive or -1"));
                }
                index += 2;
            } else {
                return Err(CmdError::subcommand_syntax("xgroup", args.at(1)));
            }
        }
        Ok(options)
    }
}

fn xgroup_create(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(args, true)?;
    let (key, name) = (args.key(2), args.at(3));
    let stream = ctx.db.peek_as::<Stream>(key)?;
    if stream.is_none() && !options.makes_stream {
        return Err(NO_STREAM);
    }
    if args.len() > 8 {
        return Err(CmdError::subcommand_syntax("xgroup", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.log().last_id()),
        text => strict_id(text, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        return Err(CmdError::Text("BUSYGROUP Consumer Group name already exists"));
    }
    let is_new = stream.is_none();
    ctx.db.edit_or_new(key, |stream: &mut Stream| {
        stream.add_group(name, ConsumerGroup::new(id, options.entries_read))
    })?;
    ctx.reply.ok();
    ctx.changed(Event::XGroupCreate, key.bytes);
    if is_new {
        ctx.modified(key.bytes);
    }
    Ok(())
}

fn xgroup_setid(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(args, false)?;
    let stream = stream_with_group(ctx, args)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(CmdError::subcommand_syntax("xgroup", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => stream.log().last_id(),
        text => loose_id(text)?,
    };
    let key = args.key(2);
    ctx.db.edit(key, |stream: &mut Stream| {
        stream.edit_group(args.at(3), |group, _| {
            group.last_id = id;
            group.entries_read = options.entries_read;
        })
    })?;
    ctx.reply.ok();
    ctx.changed(Event::XGroupSetId, key.bytes);
    Ok(())
}

/// The stream at the key, if it has the group named.
fn stream_with_group<'d>(ctx: &'d mut Ctx<'_>, args: Args<'_>) -> Result<&'d Stream, CmdError> {
    let (key, name) = (args.key(2), args.at(3));
    let stream = ctx.db.peek_as::<Stream>(key)?.ok_or(NO_STREAM)?;
    if stream.group(name).is_none() {
        return Err(no_group(name, key.bytes));
    }
    Ok(stream)
}

fn xgroup_destroy(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args.key(2), args.at(3));
    let stream = ctx.db.peek_as::<Stream>(key)?.ok_or(NO_STREAM)?;
    if stream.group(name).is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    let removed = ctx.db.edit(key, |stream: &mut Stream| stream.remove_group(name))?;
    if let Some(group) = removed.flatten()
        && group.bytes() > FREED_AT_ONCE_BYTES
    {
        ctx.engine.graveyard.bury_garbage(group);
    }
    ctx.reply.int(1);
    // Those who wait for the group are told that it is gone.
    ctx.changed(Event::XGroupDestroy, key.bytes);
    Ok(())
}

fn xgroup_createconsumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let stream = stream_with_group(ctx, args)?;
    let (key, name) = (args.key(2), args.at(4));
    let is_known = stream.group(args.at(3)).is_some_and(|group| group.consumer(name).is_some());
    if is_known {
        ctx.reply.int(0);
        return Ok(());
    }
    let now = ctx.now;
    let added = ctx.db.edit(key, |stream: &mut Stream| {
        stream.edit_group(args.at(3), |group, _| group.add_consumer(name, now))
    })?;
    added.flatten().flatten().ok_or(OutOfMemory)?;
    ctx.changed(Event::XGroupCreateConsumer, key.bytes);
    ctx.reply.int(1);
    Ok(())
}

fn xgroup_delconsumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let stream = stream_with_group(ctx, args)?;
    let consumer = stream.group(args.at(3)).and_then(|group| group.consumer(args.at(4)));
    let Some((number, consumer)) = consumer else {
        ctx.reply.int(0);
        return Ok(());
    };
    let pending = consumer.pending_len();
    let mut job = RemoveConsumer { number, pending };
    // The consumer itself is one unit.
    if ctx.is_long(pending + 1) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XGROUP DELCONSUMER: what is pending for it goes first.
struct RemoveConsumer {
    number: ConsumerNumber,
    pending: usize,
}

impl Job for RemoveConsumer {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(2);
        loop {
            let units = budget.piece(KEYS_PER_PIECE);
            let progress = ctx.db.edit(key, |stream: &mut Stream| {
                let remove = |group: &mut ConsumerGroup| group.remove_consumer(self.number, units);
                stream.edit_group(args.at(3), |group, _| remove(group))
            })?;
            if progress.flatten().is_none_or(|progress| progress.is_done()) {
                break;
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        ctx.changed(Event::XGroupDelConsumer, key.bytes);
        ctx.reply.count(self.pending);
        Ok(Step::Done)
    }
}
