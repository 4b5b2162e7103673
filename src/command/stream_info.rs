//! XINFO: what there is to know of a stream, its groups and its consumers.
//!
//! Each reply is told in parts, and each part knows how long it is before it begins, so that a long one can be told in
//! slices ([`Tell`]). Cost: O(what is told).
use crate::command::help;
use crate::command::options::{integer, is};
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::{LOADING, READONLY, STALE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, container, doc};
use crate::command::stream_value::{no_group, reply_entry, reply_id, work_of};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::stream::{
    Consumer, ENTRIES_READ_UNKNOWN, Entry, Group as ConsumerGroup, Log, Stream, StreamId, Walk,
};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XINFO];

/// Entries and pending entries that FULL tells where COUNT does not say.
const COUNT_DEFAULT: usize = 10;
/// Memory of a consumer, at least: how many there may be.
const CONSUMER_BYTES_MIN: usize = 128;

const XINFO: Command = Command {
    doc: doc(
        "5.0.0",
        "Depends on subcommand.",
        "",
        "A container for stream introspection commands",
    ),
    ..container(Group::Stream, "xinfo", &[XINFO_CONSUMERS, XINFO_GROUPS, XINFO_HELP, XINFO_STREAM])
};

const XINFO_CONSUMERS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 2, 0, 1)],
    tips: &["nondeterministic_output"],
    doc: doc("5.0.0", "O(1)", "key:key groupname:string", "List the consumers in a consumer group"),
    ..command(Group::Stream, "consumers", 4, xinfo_consumers)
};

const XINFO_GROUPS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 2, 0, 1)],
    doc: Doc {
        history: &[("7.0.0", "Added the `entries-read` and `lag` fields")],
        ..doc("5.0.0", "O(1)", "key:key", "List the consumer groups of a stream")
    },
    ..command(Group::Stream, "groups", 3, xinfo_groups)
};

const XINFO_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Stream, "help", 2, xinfo_help)
};

const XINFO_STREAM: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 2, 0, 1)],
    doc: Doc {
        history: &[
            ("6.0.0", "Added the `FULL` modifier."),
            (
                "7.0.0",
                "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
                `entries-read` and `lag` fields",
            ),
        ],
        ..doc(
            "5.0.0",
            "O(1)",
            "key:key [FULL=full([COUNT=count:integer])]",
            "Get information about a stream",
        )
    },
    ..command(Group::Stream, "stream", -3, xinfo_stream)
};

const HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];

fn xinfo_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

fn xinfo_stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(stream) = ctx.db.get::<Stream>(args.key(2))? else { return Err(CmdError::NoSuchKey) };
    if args.len() == 3 {
        tell_stream(&mut ctx.reply, stream);
        return Ok(());
    }
    let wrong = || Err(CmdError::subcommand_syntax("xinfo", args.at(1)));
    let count = match args.len() {
        4 if is(args.at(3), "full") => COUNT_DEFAULT,
        6 if is(args.at(3), "full") && is(args.at(4), "count") => match integer(args.at(5))? {
            0 => usize::MAX,
            count => usize::try_from(count).unwrap_or(COUNT_DEFAULT),
        },
        _ => return wrong(),
    };
    let entries = work_of(stream.log(), count);
    let consumers = stream.groups_bytes() / CONSUMER_BYTES_MIN;
    let work = match count {
        usize::MAX => stream.bytes() / CONSUMER_BYTES_MIN,
        count => count.saturating_mul(stream.groups_len() + consumers),
    };
    run(ctx, args, Full { count, part: Part::Head }, entries.saturating_add(work))
}

fn xinfo_groups(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(stream) = ctx.db.get::<Stream>(args.key(2))? else { return Err(CmdError::NoSuchKey) };
    let groups = stream.groups_len();
    ctx.reply.array(groups);
    run(ctx, args, Names { last: None, tell: tell_groups }, groups)
}

fn xinfo_consumers(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args.key(2), args.at(3));
    let Some(stream) = ctx.db.get::<Stream>(key)? else { return Err(CmdError::NoSuchKey) };
    let Some(group) = stream.group(name) else { return Err(no_group(name, key.bytes)) };
    let consumers = group.consumers_len();
    ctx.reply.array(consumers);
    run(ctx, args, Names { last: None, tell: tell_consumers }, consumers)
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>, mut job: impl Job + 'static, work: usize) -> CmdResult {
    if ctx.is_long(work) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

fn tell_stream(reply: &mut Reply<'_>, stream: &Stream) {
    reply.map(10);
    tell_log(reply, stream.log());
    field(reply, "groups").count(stream.groups_len());
    let mut entry = |name, entry: Option<Entry<'_>>| match entry {
        Some(entry) => reply_entry(field(reply, name), &entry),
        None => field(reply, name).null(),
    };
    entry("first-entry", stream.log().first());
    entry("last-entry", stream.log().last());
}

fn tell_log(reply: &mut Reply<'_>, log: &Log) {
    field(reply, "length").int(log.len() as i64);
    field(reply, "radix-tree-keys").count(log.nodes_len());
    field(reply, "radix-tree-nodes").count(log.radix_nodes());
    reply_id(field(reply, "last-generated-id"), log.last_id());
    reply_id(field(reply, "max-deleted-entry-id"), log.max_deleted_id());
    field(reply, "entries-added").int(log.entries_added() as i64);
    reply_id(field(reply, "recorded-first-entry-id"), log.first_id());
}

/// Names the next value of a map.
fn field<'r, 'o>(reply: &'r mut Reply<'o>, name: &str) -> &'r mut Reply<'o> {
    reply.bulk(name.as_bytes());
    reply
}

/// What has been read of a group, and what is left.
fn tell_progress(reply: &mut Reply<'_>, group: &ConsumerGroup, log: &Log) {
    match group.entries_read {
        ENTRIES_READ_UNKNOWN => field(reply, "entries-read").null(),
        count => field(reply, "entries-read").int(count),
    }
    match group.lag(log) {
        Some(lag) => field(reply, "lag").int(lag),
        None => field(reply, "lag").null(),
    }
}

/// XINFO GROUPS and CONSUMERS: a list in the order of names.
struct Names {
    /// The name told last.
    last: Option<Box<[u8]>>,
    tell: TellNames,
}

/// Tells so many after a name; returns the last name, `None` at the end.
type TellNames = fn(&mut Reply<'_>, &Stream, &[u8], &Names, (i64, usize)) -> Option<Box<[u8]>>;

impl Job for Names {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let now = ctx.now;
        loop {
            let units = budget.piece(KEYS_PER_PIECE);
            let Some(stream) = ctx.db.peek_as::<Stream>(args.key(2))? else { break };
            let last = (self.tell)(&mut ctx.reply, stream, args.at(3), self, (now, units));
            if last.is_none() {
                break;
            }
            self.last = last;
            if budget.spend(units as u64) {
                ctx.reply.output().seal();
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn tell_groups(
    reply: &mut Reply<'_>,
    stream: &Stream,
    _group: &[u8],
    names: &Names,
    (_, units): (i64, usize),
) -> Option<Box<[u8]>> {
    let (mut last, mut told) = (None, 0);
    for (name, group) in stream.groups_after(names.last.as_deref()).take(units) {
        reply.map(6);
        field(reply, "name").bulk(name);
        field(reply, "consumers").count(group.consumers_len());
        field(reply, "pending").count(group.pending_len());
        reply_id(field(reply, "last-delivered-id"), group.last_id);
        tell_progress(reply, group, stream.log());
        last = Some(name);
        told += 1;
    }
    last.filter(|_| told == units).map(Box::from)
}

fn tell_consumers(
    reply: &mut Reply<'_>,
    stream: &Stream,
    group: &[u8],
    names: &Names,
    (now, units): (i64, usize),
) -> Option<Box<[u8]>> {
    let (mut last, mut told) = (None, 0);
    for consumer in stream.group(group)?.consumers_after(names.last.as_deref()).take(units) {
        reply.map(3);
        field(reply, "name").bulk(consumer.name());
        field(reply, "pending").count(consumer.pending_len());
        field(reply, "idle").int(now.wrapping_sub(consumer.seen_ms).max(0));
        last = Some(consumer.name());
        told += 1;
    }
    last.filter(|_| told == units).map(Box::from)
}

/// XINFO STREAM FULL.
struct Full {
    /// Entries, pending entries of each group and of each consumer at most.
    count: usize,
    part: Part,
}

/// What comes next.
enum Part {
    /// The stream itself.
    Head,
    /// So many entries.
    Entries(Walk, usize),
    /// The group after this one.
    Group(Option<Box<[u8]>>),
    /// So many pending entries of a group, from an id on.
    Pending(Box<[u8]>, StreamId, usize),
    /// The consumer of a group after this one.
    Consumer(Box<[u8]>, Option<Box<[u8]>>),
    /// So many pending entries of a consumer of a group, from an id on.
    Own(Box<[u8]>, Box<[u8]>, StreamId, usize),
    /// Nothing.
    Over,
}

impl Job for Full {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while !matches!(self.part, Part::Over) {
            let Some(stream) = ctx.db.peek_as::<Stream>(args.key(2))? else { break };
            let units = budget.piece(KEYS_PER_PIECE);
            let part = std::mem::replace(&mut self.part, Part::Over);
            self.part = self.tell(&mut ctx.reply, stream, part, units);
            if budget.spend(units as u64) {
                ctx.reply.output().seal();
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

impl Full {
    /// Tells up to `units` things of a part; returns what is left, or the next one.
    fn tell(&self, reply: &mut Reply<'_>, stream: &Stream, part: Part, units: usize) -> Part {
        match part {
            Part::Head => {
                reply.map(9);
                tell_log(reply, stream.log());
                let count = self.count.min(stream.len());
                field(reply, "entries").array(count);
                Part::Entries(Walk::new(StreamId::MIN, StreamId::MAX), count)
            }
            Part::Entries(mut walk, mut left) => {
                let units = units.min(left);
                let progress = walk.step(stream.log(), units, |entry| {
                    reply_entry(reply, &entry);
                    left -= 1;
                });
                if left > 0 && !progress.is_done() {
                    return Part::Entries(walk, left);
                }
                field(reply, "groups").array(stream.groups_len());
                Part::Group(None)
            }
            Part::Group(after) => match stream.groups_after(after.as_deref()).next() {
                Some((name, group)) => self.tell_group(reply, stream, name, group),
                None => Part::Over,
            },
            Part::Pending(name, start, left) => {
                let Some(group) = stream.group(&name) else { return Part::Over };
                let (told, next) = tell_pending(reply, group, start, units.min(left));
                match next.filter(|_| told < left) {
                    Some(next) => Part::Pending(name, next, left - told),
                    None => {
                        field(reply, "consumers").array(group.consumers_len());
                        Part::Consumer(name, None)
                    }
                }
            }
            Part::Consumer(name, after) => {
                let Some(group) = stream.group(&name) else { return Part::Over };
                match group.consumers_after(after.as_deref()).next() {
                    Some(consumer) => self.tell_consumer(reply, name, consumer),
                    None => Part::Group(Some(name)),
                }
            }
            Part::Own(name, owner, start, left) => {
                let Some(group) = stream.group(&name) else { return Part::Over };
                let (told, next) = tell_own(reply, group, &owner, start, units.min(left));
                match next.filter(|_| told < left) {
                    Some(next) => Part::Own(name, owner, next, left - told),
                    None => Part::Consumer(name, Some(owner)),
                }
            }
            Part::Over => Part::Over,
        }
    }

    fn tell_group(
        &self,
        reply: &mut Reply<'_>,
        stream: &Stream,
        name: &[u8],
        group: &ConsumerGroup,
    ) -> Part {
        reply.map(7);
        field(reply, "name").bulk(name);
        reply_id(field(reply, "last-delivered-id"), group.last_id);
        tell_progress(reply, group, stream.log());
        field(reply, "pel-count").count(group.pending_len());
        let count = self.count.min(group.pending_len());
        field(reply, "pending").array(count);
        Part::Pending(name.into(), StreamId::MIN, count)
    }

    fn tell_consumer(&self, reply: &mut Reply<'_>, group: Box<[u8]>, consumer: &Consumer) -> Part {
        reply.map(4);
        field(reply, "name").bulk(consumer.name());
        field(reply, "seen-time").int(consumer.seen_ms);
        field(reply, "pel-count").count(consumer.pending_len());
        let count = self.count.min(consumer.pending_len());
        field(reply, "pending").array(count);
        Part::Own(group, consumer.name().into(), StreamId::MIN, count)
    }
}

/// Tells pending entries of a group; returns how many, and the id to go on from.
fn tell_pending(
    reply: &mut Reply<'_>,
    group: &ConsumerGroup,
    start: StreamId,
    units: usize,
) -> (usize, Option<StreamId>) {
    let (mut told, mut last) = (0, None);
    for (id, pending) in group.pending_from(start).take(units) {
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(group.consumer_at(pending.consumer).map_or(&[], Consumer::name));
        reply.int(pending.delivered_ms);
        reply.int(pending.count as i64);
        told += 1;
        last = Some(id);
    }
    (told, last.and_then(StreamId::next))
}

/// As [`tell_pending`], of a consumer.
fn tell_own(
    reply: &mut Reply<'_>,
    group: &ConsumerGroup,
    owner: &[u8],
    start: StreamId,
    units: usize,
) -> (usize, Option<StreamId>) {
    let (mut told, mut last) = (0, None);
    let own = group.consumer(owner).map(|(_, consumer)| consumer.pending_from(start).take(units));
    for id in own.into_iter().flatten() {
        let Some(pending) = group.pending(id) else { continue };
        reply.array(3);
        reply_id(reply, id);
        reply.int(pending.delivered_ms);
        reply.int(pending.count as i64);
        told += 1;
        last = Some(id);
    }
    (told, last.and_then(StreamId::next))
}
