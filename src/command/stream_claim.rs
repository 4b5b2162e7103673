//! Pending entries taken over from others: XCLAIM by their ids, XAUTOCLAIM whatever waited long enough.
//!
//! Cost: O(log n + one node) for each entry; many of them are a job.
use crate::base::number::parse_i64;
use crate::command::options::{Options, is};
use crate::command::spec::access::{DELETE, RW, UPDATE};
use crate::command::spec::flag::{FAST, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::stream_value::{
    ENTRIES_PER_PIECE, no_key_or_group, range_start, reply_entry, reply_id, see_consumer, shown,
    strict_id,
};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply, Resp};
use crate::store::OutOfMemory;
use crate::types::stream::{
    ConsumerNumber, Group as ConsumerGroup, Log, Pending, Stream, StreamId,
};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XCLAIM, XAUTOCLAIM];

/// Entries that XAUTOCLAIM takes where COUNT does not say.
const COUNT_DEFAULT: i64 = 100;
/// Redis's bound on COUNT: so many ids would fit into memory.
const COUNT_MAX: i64 = i64::MAX / 16;
/// Entries that XAUTOCLAIM looks at for each one it may take.
const LOOKS_PER_ENTRY: u64 = 10;

const XCLAIM: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "5.0.0",
        "O(log N) with N being the number of messages in the PEL of the consumer group.",
        "key:key group:string consumer:string min-idle-time:string id:string... \
        [IDLE=ms:integer] [TIME=unix-time-milliseconds:unix-time] [RETRYCOUNT=count:integer] \
        [FORCE] [JUSTID] [LASTID=id:string]",
        "Changes (or acquires) ownership of a message in a consumer group, as if the message was \
        delivered to the specified consumer.",
    ),
    ..command(Group::Stream, "xclaim", -6, xclaim)
};

const XAUTOCLAIM: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | DELETE)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[(
            "7.0.0",
            "Added an element to the reply array, containing deleted entries the command \
                cleared from the PEL",
        )],
        ..doc(
            "6.2.0",
            "O(1) if COUNT is small.",
            "key:key group:string consumer:string min-idle-time:string start:string \
            [COUNT=count:integer] [JUSTID]",
            "Changes (or acquires) ownership of messages in a consumer group, as if the messages \
            were delivered to the specified consumer.",
        )
    },
    ..command(Group::Stream, "xautoclaim", -6, xautoclaim)
};

/// How entries are claimed.
#[derive(Clone, Copy)]
struct Claim {
    /// Only what was not delivered for so long.
    idle_ms: i64,
    /// When it counts as delivered.
    delivered_ms: i64,
    /// RETRYCOUNT: how often it counts as delivered.
    count: Option<u64>,
    /// FORCE: also what is not pending.
    is_forced: bool,
    /// JUSTID.
    is_id_only: bool,
    now: i64,
}

/// What came of one entry.
enum Claimed {
    /// It was not for the taking.
    No,
    /// It is pending for the consumer now.
    Yes,
    /// It is no longer in the stream, and no longer pending.
    Gone,
}

impl Claim {
    /// Claims one entry for the consumer of this name, which is made for the first one; replies with it.
    fn take(
        &self,
        (group, log): (&mut ConsumerGroup, &Log),
        (name, consumer): (&[u8], &mut Option<(ConsumerNumber, bool)>),
        id: StreamId,
        list: &mut Reply<'_>,
    ) -> Result<Claimed, OutOfMemory> {
        let before = group.pending(id);
        let Some(entry) = log.get(id) else {
            let was_pending = group.acknowledge(id);
            return Ok(if was_pending { Claimed::Gone } else { Claimed::No });
        };
        let is_due = match before {
            Some(pending) => {
                self.idle_ms == 0 || self.now.wrapping_sub(pending.delivered_ms) >= self.idle_ms
            }
            None => self.is_forced,
        };
        if !is_due {
            return Ok(Claimed::No);
        }
        let (number, _) = match *consumer {
            Some(known) => known,
            None => *consumer.insert(see_consumer(group, name, self.now)?),
        };
        let count = before.map_or(1, |pending| pending.count);
        let count = match self.count {
            Some(count) => count,
            None => count.wrapping_add(u64::from(!self.is_id_only)),
        };
        group.assign(id, Pending { consumer: number, delivered_ms: self.delivered_ms, count });
        if self.is_id_only {
            reply_id(list, id);
        } else {
            reply_entry(list, &entry);
        }
        Ok(Claimed::Yes)
    }
}

fn xclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    find_group(ctx, args)?;
    let idle_ms = parse_i64(args.at(4))
        .ok_or(CmdError::Text("ERR Invalid min-idle-time argument for XCLAIM"))?;
    let mut job = ClaimIds {
        claim: Claim {
            idle_ms: idle_ms.max(0),
            delivered_ms: ctx.now,
            count: None,
            is_forced: false,
            is_id_only: false,
            now: ctx.now,
        },
        ids_end: 5,
        is_parsed: false,
        next: 5,
        taking: Taking::default(),
    };
    if ctx.is_long(args.len() - 5) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// The key holds a stream with the group that is named.
fn find_group(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<usize, CmdError> {
    let stream = ctx.db.get::<Stream>(args.key(1))?;
    let group = stream.and_then(|stream| stream.group(args.at(2)));
    group.map(ConsumerGroup::pending_len).ok_or_else(|| no_key_or_group(args.at(1), args.at(2)))
}

/// What was claimed so far.
#[derive(Default)]
struct Taking {
    /// Whom it is for, and whether this is a new consumer.
    consumer: Option<(ConsumerNumber, bool)>,
    listed: Output,
    taken: usize,
    /// Ids of entries that were no longer in the stream, those not yet in `gone_listed`.
    gone: Vec<StreamId>,
    gone_listed: Output,
    gone_len: usize,
}

impl Taking {
    /// Lists the ids that are gone.
    fn list_gone(&mut self, resp: Resp) {
        let mut list = Reply::new(&mut self.gone_listed, resp);
        self.gone_len += self.gone.len();
        self.gone.drain(..).for_each(|id| reply_id(&mut list, id));
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len() + self.gone_listed.len()
    }

    /// Tells what changed, which is done at the end.
    fn tell(&self, ctx: &mut Ctx<'_>, key: &[u8], event: Event) {
        if matches!(self.consumer, Some((_, true))) {
            ctx.changed(Event::XGroupCreateConsumer, key);
        }
        let changes = self.taken + self.gone_len;
        if changes > 0 {
            ctx.changed_by(event, key, changes);
        }
    }
}

/// XCLAIM: reads all ids and options before it claims any.
struct ClaimIds {
    claim: Claim,
    /// Argument after the last id read; in the end, that of the first option.
    ids_end: usize,
    is_parsed: bool,
    /// Argument of the next id to be claimed.
    next: usize,
    taking: Taking,
}

impl ClaimIds {
    /// Reads the options after the ids.
    fn parse_options(&mut self, args: Args<'_>) -> Result<StreamId, CmdError> {
        let (mut delivered, mut last_id) = (-1, StreamId::MIN);
        let claim = &mut self.claim;
        let mut index = self.ids_end;
        while index < args.len() {
            let word = args.at(index);
            let has_value = index + 1 < args.len();
            let value = args.at(index + 1);
            let number = |error| parse_i64(value).ok_or(CmdError::Text(error));
            index += 1;
            if is(word, "force") {
                claim.is_forced = true;
                continue;
            } else if is(word, "justid") {
                claim.is_id_only = true;
                continue;
            } else if has_value && is(word, "idle") {
                let idle = number("ERR Invalid IDLE option argument for XCLAIM")?;
                delivered = claim.now.wrapping_sub(idle);
            } else if has_value && is(word, "time") {
                delivered = number("ERR Invalid TIME option argument for XCLAIM")?;
            } else if has_value && is(word, "retrycount") {
                let count = number("ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.count = u64::try_from(count).ok();
            } else if has_value && is(word, "lastid") {
                last_id = strict_id(value, 0)?;
            } else {
                let word = shown(word);
                return Err(CmdError::owned(&[b"ERR Unrecognized XCLAIM option '", word, b"'"]));
            }
            index += 1;
        }
        // What lies before 1970 or in the future is the client's clock being wrong.
        if (0..=claim.now).contains(&delivered) {
            claim.delivered_ms = delivered;
        }
        Ok(last_id)
    }

    /// Reads ids and then options; whether all is read.
    fn parse(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        while StreamId::parse(args.at(self.ids_end), 0).is_some() {
            self.ids_end += 1;
            if budget.spend(1) {
                return Ok(false);
            }
        }
        let last_id = self.parse_options(args)?;
        self.is_parsed = true;
        let is_moved = ctx.db.edit(args.key(1), |stream: &mut Stream| {
            stream.edit_group(args.at(2), |group, _| {
                let is_later = last_id > group.last_id;
                group.last_id = group.last_id.max(last_id);
                is_later
            })
        })?;
        if is_moved.flatten() == Some(true) {
            ctx.changed(Event::XClaim, args.at(1));
        }
        Ok(true)
    }
}

impl Job for ClaimIds {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if !self.is_parsed && !self.parse(ctx, args, budget)? {
            return Ok(Step::More);
        }
        let key = args.key(1);
        let resp = ctx.reply.resp();
        while self.next < self.ids_end {
            let end = (self.next + budget.piece(ENTRIES_PER_PIECE)).min(self.ids_end);
            let claim = self.claim;
            let Taking { consumer, listed, taken, gone, .. } = &mut self.taking;
            let mut list = Reply::new(listed, resp);
            let ids = args.from(self.next).take(end - self.next);
            let done = ctx.db.edit(key, |stream: &mut Stream| {
                stream.edit_group(args.at(2), |group, log| {
                    for id in ids.filter_map(|text| StreamId::parse(text, 0)) {
                        match claim.take((group, log), (args.at(3), consumer), id, &mut list)? {
                            Claimed::Yes => *taken += 1,
                            Claimed::Gone => gone.push(id),
                            Claimed::No => {}
                        }
                    }
                    Ok::<(), OutOfMemory>(())
                })
            })?;
            done.flatten().transpose()?;
            self.taking.list_gone(resp);
            let units = (end - self.next) as u64;
            self.next = end;
            if budget.spend(units) && end < self.ids_end {
                self.taking.listed.seal();
                return Ok(Step::More);
            }
        }
        self.taking.tell(ctx, key.bytes, Event::XClaim);
        ctx.reply.array(self.taking.taken);
        ctx.reply.output().append(std::mem::take(&mut self.taking.listed));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.taking.reply_bytes()
    }
}

fn xautoclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // The key is looked up before the arguments are read, as the event `keymiss` shows, and found wrong after.
    let group = find_group(ctx, args);
    let idle_ms = parse_i64(args.at(4))
        .ok_or(CmdError::Text("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = range_start(args.at(5))?;
    let (mut count, mut is_id_only) = (COUNT_DEFAULT, false);
    let mut options = Options::new(args, 6);
    while let Some(option) = options.next() {
        if is(option, "count") {
            count = parse_i64(options.value()?)
                .filter(|count| (1..=COUNT_MAX).contains(count))
                .ok_or(CmdError::Text("ERR COUNT must be > 0"))?;
        } else if is(option, "justid") {
            is_id_only = true;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let pending = group?;
    let mut job = ClaimIdle {
        claim: Claim {
            idle_ms: idle_ms.max(0),
            delivered_ms: ctx.now,
            count: None,
            is_forced: false,
            is_id_only,
            now: ctx.now,
        },
        next: Some(start),
        left: count.unsigned_abs(),
        looks_left: count.unsigned_abs().saturating_mul(LOOKS_PER_ENTRY),
        taking: Taking::default(),
    };
    if ctx.is_long(pending.min(usize::try_from(job.looks_left).unwrap_or(usize::MAX))) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XAUTOCLAIM.
struct ClaimIdle {
    claim: Claim,
    /// The id to go on from; `None`: there is none.
    next: Option<StreamId>,
    /// Entries that may still be replied with.
    left: u64,
    /// Entries that may still be looked at.
    looks_left: u64,
    taking: Taking,
}

impl ClaimIdle {
    /// Looks at up to `units` entries.
    fn look(
        &mut self,
        (group, log): (&mut ConsumerGroup, &Log),
        name: &[u8],
        list: &mut Reply<'_>,
        units: usize,
    ) -> Result<(), OutOfMemory> {
        for _ in 0..units {
            let Some((id, _)) = self.next.and_then(|start| group.pending_from(start).next()) else {
                self.next = None;
                return Ok(());
            };
            if self.left == 0 || self.looks_left == 0 {
                return Ok(());
            }
            self.looks_left -= 1;
            self.next = id.next();
            let taking = &mut self.taking;
            match self.claim.take((group, log), (name, &mut taking.consumer), id, list)? {
                Claimed::Yes => taking.taken += 1,
                Claimed::Gone => taking.gone.push(id),
                Claimed::No => continue,
            }
            self.left -= 1;
        }
        Ok(())
    }
}

impl Job for ClaimIdle {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let resp = ctx.reply.resp();
        let mut is_over = false;
        while !is_over {
            let units = budget.piece(ENTRIES_PER_PIECE);
            let mut listed = std::mem::take(&mut self.taking.listed);
            let mut list = Reply::new(&mut listed, resp);
            let done = ctx.db.edit(key, |stream: &mut Stream| {
                stream.edit_group(args.at(2), |group, log| {
                    self.look((group, log), args.at(3), &mut list, units)
                })
            })?;
            self.taking.listed = listed;
            done.flatten().transpose()?;
            self.taking.list_gone(resp);
            is_over = self.next.is_none() || self.left == 0 || self.looks_left == 0;
            if budget.spend(units as u64) && !is_over {
                self.taking.listed.seal();
                self.taking.gone_listed.seal();
                return Ok(Step::More);
            }
        }
        let next = self.next.and_then(|start| {
            let stream = ctx.db.peek_as::<Stream>(key).ok().flatten()?;
            stream.group(args.at(2))?.pending_from(start).next()
        });
        self.taking.tell(ctx, key.bytes, Event::XAutoClaim);
        let Taking { listed, taken, gone_listed, gone_len, .. } = std::mem::take(&mut self.taking);
        ctx.reply.array(3);
        reply_id(&mut ctx.reply, next.map_or(StreamId::MIN, |(id, _)| id));
        ctx.reply.array(taken);
        ctx.reply.output().append(listed);
        ctx.reply.array(gone_len);
        ctx.reply.output().append(gone_listed);
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.taking.reply_bytes()
    }
}
