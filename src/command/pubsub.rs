//! Publish and subscribe: SUBSCRIBE and its like, PUBLISH, PUBSUB.
//!
//! Who subscribes or unsubscribes is told of each channel by a message of its own, not by a reply. Many of them are
//! done in slices; what was told so far then leaves ahead of the rest, so that a message to a channel never comes
//! before the word that it is listened to.
use crate::base::glob::{Case, glob_match};
use crate::command::help;
use crate::command::spec::access::NOT_KEY;
use crate::command::spec::flag::{
    FAST, LOADING, MANY_REPLIES, MAY_REPLICATE, NOSCRIPT, PUBSUB, STALE,
};
use crate::command::spec::{Command, Group, KeySpec, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::engine::pubsub::Kind;
use crate::engine::pubsub::letter::Payload;
use crate::engine::session::Nesting;
use crate::proto::args::Args;
use crate::proto::reply::{Mark, Output, Reply};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[
    SUBSCRIBE,
    UNSUBSCRIBE,
    PSUBSCRIBE,
    PUNSUBSCRIBE,
    SSUBSCRIBE,
    SUNSUBSCRIBE,
    PUBLISH,
    SPUBLISH,
    PUBSUB_COMMAND,
];

/// Names handled between two looks at the clock.
const NAMES_PER_PIECE: usize = 16;
/// Topics looked at between two looks at the clock.
const TOPICS_PER_PIECE: usize = 64;

const SUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    doc: doc(
        "2.0.0",
        "O(N) where N is the number of channels to subscribe to.",
        "channel:string...",
        "Listen for messages published to the given channels",
    ),
    ..command(Group::Pubsub, "subscribe", -2, subscribe)
};

const UNSUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    doc: doc(
        "2.0.0",
        "O(N) where N is the number of clients already subscribed to a channel.",
        "[channel:string...]",
        "Stop listening for messages posted to the given channels",
    ),
    ..command(Group::Pubsub, "unsubscribe", -1, unsubscribe)
};

const PSUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    doc: doc(
        "2.0.0",
        "O(N) where N is the number of patterns the client is already subscribed to.",
        "pattern(pattern:pattern)...",
        "Listen for messages published to channels matching the given patterns",
    ),
    ..command(Group::Pubsub, "psubscribe", -2, psubscribe)
};

const PUNSUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    doc: doc(
        "2.0.0",
        "O(N+M) where N is the number of patterns the client is already subscribed and M is the \
        number of total patterns subscribed in the system (by any client).",
        "[pattern:pattern...]",
        "Stop listening for messages posted to channels matching the given patterns",
    ),
    ..command(Group::Pubsub, "punsubscribe", -1, punsubscribe)
};

const SSUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    keys: &[KeySpec::range(NOT_KEY, 1, -1, 1)],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of shard channels to subscribe to.",
        "shardchannel:string...",
        "Listen for messages published to the given shard channels",
    ),
    ..command(Group::Pubsub, "ssubscribe", -2, ssubscribe)
};

const SUNSUBSCRIBE: Command = Command {
    flags: PUBSUB | NOSCRIPT | LOADING | STALE | MANY_REPLIES,
    keys: &[KeySpec::range(NOT_KEY, 1, -1, 1)],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of clients already subscribed to a shard channel.",
        "[shardchannel:string...]",
        "Stop listening for messages posted to the given shard channels",
    ),
    ..command(Group::Pubsub, "sunsubscribe", -1, sunsubscribe)
};

const PUBLISH: Command = Command {
    flags: PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
    doc: doc(
        "2.0.0",
        "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the \
        total number of subscribed patterns (by any client).",
        "channel:string message:string",
        "Post a message to a channel",
    ),
    ..command(Group::Pubsub, "publish", 3, publish)
};

const SPUBLISH: Command = Command {
    flags: PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
    keys: &[KeySpec::first(NOT_KEY)],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        "shardchannel:string message:string",
        "Post a message to a shard channel",
    ),
    ..command(Group::Pubsub, "spublish", 3, spublish)
};

const PUBSUB_COMMAND: Command = Command {
    doc: doc("2.8.0", "Depends on subcommand.", "", "A container for Pub/Sub commands"),
    ..container(
        Group::Pubsub,
        "pubsub",
        &[CHANNELS, PUBSUB_HELP, NUMPAT, NUMSUB, SHARDCHANNELS, SHARDNUMSUB],
    )
};

const CHANNELS: Command = Command {
    flags: PUBSUB | LOADING | STALE,
    doc: doc(
        "2.8.0",
        "O(N) where N is the number of active channels, and assuming constant time pattern \
        matching (relatively short channels and patterns)",
        "[pattern:pattern]",
        "List active channels",
    ),
    ..command(Group::Pubsub, "channels", -2, channels)
};

const NUMSUB: Command = Command {
    flags: PUBSUB | LOADING | STALE,
    doc: doc(
        "2.8.0",
        "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        "[channel:string...]",
        "Get the count of subscribers for channels",
    ),
    ..command(Group::Pubsub, "numsub", -2, numsub)
};

const NUMPAT: Command = Command {
    flags: PUBSUB | LOADING | STALE,
    doc: doc("2.8.0", "O(1)", "", "Get the count of unique patterns pattern subscriptions"),
    ..command(Group::Pubsub, "numpat", 2, numpat)
};

const SHARDCHANNELS: Command = Command {
    flags: PUBSUB | LOADING | STALE,
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of active shard channels, and assuming constant time pattern \
        matching (relatively short shard channels).",
        "[pattern:pattern]",
        "List active shard channels",
    ),
    ..command(Group::Pubsub, "shardchannels", -2, shardchannels)
};

const SHARDNUMSUB: Command = Command {
    flags: PUBSUB | LOADING | STALE,
    doc: doc(
        "7.0.0",
        "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        "[shardchannel:string...]",
        "Get the count of subscribers for shard channels",
    ),
    ..command(Group::Pubsub, "shardnumsub", -2, shardnumsub)
};

const PUBSUB_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("6.2.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Pubsub, "help", 2, pubsub_help)
};

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    begin(ctx, args, Kind::Channel, "SUBSCRIBE")
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    begin(ctx, args, Kind::Pattern, "PSUBSCRIBE")
}

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    begin(ctx, args, Kind::Shard, "SSUBSCRIBE")
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.run(args, Unsubscribe { kind: Kind::Channel, done: 0 })
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.run(args, Unsubscribe { kind: Kind::Pattern, done: 0 })
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.run(args, Unsubscribe { kind: Kind::Shard, done: 0 })
}

/// Who expects one reply per request cannot subscribe; in a transaction it could always be done, but not to shards.
fn begin(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind, name: &str) -> CmdResult {
    let is_tolerated = ctx.client.nesting == Nesting::Transaction && kind != Kind::Shard;
    if ctx.client.is_blocking_denied && !is_tolerated {
        return Err(CmdError::owned(&[
            b"ERR ",
            name.as_bytes(),
            b" isn't allowed for a DENY BLOCKING client",
        ]));
    }
    ctx.run(args, Subscribe { kind, at: 1 })
}

/// Tells the client what became of one name.
fn tell(ctx: &mut Ctx<'_>, kind: Kind, word: [&str; 3], name: Option<&[u8]>, slot: usize) {
    let count = ctx.engine.pubsub.summary(slot).told(kind);
    ctx.push(|reply| {
        reply.push(3);
        reply.bulk(word[kind as usize].as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.int(count.into());
    });
}

/// Whether a client that listens in RESP2 may run it: what it gets is messages, and only these are answered by such.
/// By its full name: SLOWLOG RESET is no RESET.
pub(super) fn may_run_while_listening(full_name: &str) -> bool {
    matches!(
        full_name,
        "ping"
            | "subscribe"
            | "ssubscribe"
            | "psubscribe"
            | "unsubscribe"
            | "sunsubscribe"
            | "punsubscribe"
            | "quit"
            | "reset"
    )
}

/// What it is told of others.
pub(super) fn refusal_while_listening(full_name: &str) -> CmdError {
    CmdError::owned(&[
        b"ERR Can't execute '",
        full_name.as_bytes(),
        b"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    ])
}

/// Whether it sends messages, and so waits while too many are under way.
pub(super) fn is_publishing(command: &Command) -> bool {
    matches!(command.name, "publish" | "spublish")
}

const SUBSCRIBED: [&str; 3] = ["subscribe", "psubscribe", "ssubscribe"];
const UNSUBSCRIBED: [&str; 3] = ["unsubscribe", "punsubscribe", "sunsubscribe"];

struct Subscribe {
    kind: Kind,
    /// The argument that comes next.
    at: usize,
}

impl Job for Subscribe {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let mark = ctx.reply.output().mark();
        let is_first = self.at == 1;
        let Some(slot) = ctx.slot() else { return Ok(Step::Done) };
        ctx.hear();
        let mut step = Step::Done;
        while self.at < args.len() {
            let name = args.at(self.at);
            ctx.engine
                .pubsub
                .subscribe(slot, self.kind, name)
                .map_err(|_| CmdError::OutOfMemory)?;
            tell(ctx, self.kind, SUBSCRIBED, Some(name), slot);
            self.at += 1;
            if self.at < args.len() && is_slice_over(ctx, budget, self.at) {
                step = Step::More;
                break;
            }
        }
        end_slice(ctx, mark, is_first && step == Step::Done);
        Ok(step)
    }
}

struct Unsubscribe {
    kind: Kind,
    /// Names handled.
    done: usize,
}

impl Job for Unsubscribe {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let mark = ctx.reply.output().mark();
        let is_first = self.done == 0;
        let Some(slot) = ctx.slot() else { return Ok(Step::Done) };
        ctx.hear();
        let step = loop {
            let named = args.len() > 1;
            let oldest = ctx.engine.pubsub.oldest(slot, self.kind).filter(|_| !named).cloned();
            let name = match &oldest {
                Some(name) => Some(name.as_slice()),
                None => Some(args.at(1 + self.done)).filter(|_| 1 + self.done < args.len()),
            };
            let Some(name) = name else {
                if self.done == 0 {
                    tell(ctx, self.kind, UNSUBSCRIBED, None, slot);
                }
                break Step::Done;
            };
            ctx.engine.pubsub.unsubscribe(slot, self.kind, name);
            tell(ctx, self.kind, UNSUBSCRIBED, Some(name), slot);
            self.done += 1;
            if is_slice_over(ctx, budget, self.done) {
                break Step::More;
            }
        };
        end_slice(ctx, mark, is_first && step == Step::Done);
        Ok(step)
    }
}

/// Whether to go on in the next slice. As a part of another command it is done at once: its answers are parts of that
/// one's.
fn is_slice_over(ctx: &Ctx<'_>, budget: &mut Budget, done: usize) -> bool {
    done.is_multiple_of(budget.piece(NAMES_PER_PIECE))
        && ctx.client.nesting == Nesting::None
        && budget.spend(NAMES_PER_PIECE as u64)
}

fn end_slice(ctx: &mut Ctx<'_>, mark: Mark, is_whole: bool) {
    ctx.listening_changed();
    if !is_whole {
        ctx.send_ahead(mark);
    }
}

fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    send(ctx, args, Kind::Channel)
}

fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    send(ctx, args, Kind::Shard)
}

fn send(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> CmdResult {
    let payload = match args.block(2) {
        Some(block) => Payload::Block(block),
        None => Payload::Bytes(args.at(2)),
    };
    let receivers = ctx.publish(kind, args.at(1), payload);
    ctx.reply.count(receivers);
    Ok(())
}

fn channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    list(ctx, args, Kind::Channel)
}

fn shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    list(ctx, args, Kind::Shard)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> CmdResult {
    if args.len() > 3 {
        return Err(CmdError::subcommand_syntax("pubsub", args.at(1)));
    }
    ctx.run(args, ListTopics { kind, from: 0, found: 0, listed: Output::default() })
}

/// PUBSUB CHANNELS: those that exist all the while are listed, others may be.
struct ListTopics {
    kind: Kind,
    from: usize,
    found: usize,
    listed: Output,
}

impl Job for ListTopics {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let pattern = Some(args.at(2)).filter(|_| args.len() > 2);
        loop {
            let ListTopics { found, listed, .. } = self;
            let mut reply = Reply::new(listed, ctx.client.resp);
            let count = budget.piece(TOPICS_PER_PIECE);
            let next = ctx.engine.pubsub.visit_topics(self.kind, self.from, count, |name| {
                if pattern.is_none_or(|pattern| glob_match(pattern, name, Case::Sensitive)) {
                    *found += 1;
                    reply.bulk_block(name);
                }
            });
            listed.seal();
            match next {
                None => break,
                Some(next) => self.from = next,
            }
            if budget.spend(count as u64) {
                return Ok(Step::More);
            }
        }
        ctx.reply.array(self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        ctx.engine.graveyard.bury_output(std::mem::take(&mut self.listed));
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

fn numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.reply.array(2 * (args.len() - 2));
    ctx.run(args, CountListeners { kind: Kind::Channel, at: 2 })
}

fn shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.reply.array(2 * (args.len() - 2));
    ctx.run(args, CountListeners { kind: Kind::Shard, at: 2 })
}

struct CountListeners {
    kind: Kind,
    at: usize,
}

impl Job for CountListeners {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.at < args.len() {
            let name = args.at(self.at);
            ctx.reply.bulk(name);
            ctx.reply.count(ctx.engine.pubsub.listeners(self.kind, name));
            self.at += 1;
            let is_piece = self.at.is_multiple_of(budget.piece(NAMES_PER_PIECE));
            if is_piece && self.at < args.len() && budget.spend(NAMES_PER_PIECE as u64) {
                ctx.reply.output().seal();
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

fn numpat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.count(ctx.engine.pubsub.topics(Kind::Pattern));
    Ok(())
}

fn pubsub_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(
        ctx,
        args,
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    )
}
