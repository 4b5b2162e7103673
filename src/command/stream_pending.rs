//! What was delivered and not acknowledged: XACK, XPENDING.
//!
//! Cost: O(log n) for each id, O(1) for each entry told; many of them are a job.
use crate::command::options::{integer, is};
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::stream_value::{
    ENTRIES_PER_PIECE, check_ids, no_key_or_group, range_end, range_start, reply_id,
};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::types::stream::{Group as ConsumerGroup, Pending, Stream, StreamId};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XACK, XPENDING];

const XACK: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "5.0.0",
        "O(1) for each message ID processed.",
        "key:key group:string id:string...",
        "Marks a pending message as correctly processed, effectively removing it from the \
        pending entries list of the consumer group. Return value of the command is the number of \
        messages successfully acknowledged, that is, the IDs we were actually able to resolve in \
        the PEL.",
    ),
    ..command(Group::Stream, "xack", -4, xack)
};

const XPENDING: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")],
        ..doc(
            "5.0.0",
            "O(N) with N being the number of elements returned, so asking for a small fixed \
            number of entries per call is O(1). O(M), where M is the total number of entries \
            scanned when used with the IDLE filter. When the command returns just the summary \
            and the list of consumers is small, it runs in O(1) time; otherwise, an additional \
            O(N) time for iterating every consumer.",
            "key:key group:string [filters([IDLE=min-idle-time:integer@6.2.0] start:string \
            end:string count:integer [consumer:string])]",
            "Return information and entries from a stream consumer group pending entries list, \
            that are messages fetched but never acknowledged.",
        )
    },
    ..command(Group::Stream, "xpending", -3, xpending)
};

fn xack(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let stream = ctx.db.get::<Stream>(args.key(1))?;
    if stream.and_then(|stream| stream.group(args.at(2))).is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    let mut job = Acknowledge { checked: 3, next: 3, acknowledged: 0 };
    if ctx.is_long(args.len() - 3) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XACK: reads all ids before it acknowledges any.
struct Acknowledge {
    /// Argument of the next id to be read.
    checked: usize,
    /// Argument of the next id to be acknowledged.
    next: usize,
    acknowledged: usize,
}

impl Job for Acknowledge {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if check_ids(args, &mut self.checked, budget)? == Step::More {
            return Ok(Step::More);
        }
        let key = args.key(1);
        while self.next < args.len() {
            let end = (self.next + budget.piece(ENTRIES_PER_PIECE)).min(args.len());
            let ids = args.from(self.next).take(end - self.next);
            let acknowledged = ctx.db.edit(key, |stream: &mut Stream| {
                stream.edit_group(args.at(2), |group, _| {
                    let ids = ids.filter_map(|text| StreamId::parse(text, 0));
                    ids.filter(|id| group.acknowledge(*id)).count()
                })
            })?;
            self.acknowledged += acknowledged.flatten().unwrap_or(0);
            let done = (end - self.next) as u64;
            self.next = end;
            if budget.spend(done) && end < args.len() {
                return Ok(Step::More);
            }
        }
        if self.acknowledged > 0 {
            ctx.changed_by(Event::XAck, key.bytes, self.acknowledged);
        }
        ctx.reply.count(self.acknowledged);
        Ok(Step::Done)
    }
}

fn xpending(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let filter = match args.len() {
        3 => None,
        6..=9 => Some(Filter::parse(args)?),
        _ => return Err(CmdError::Syntax),
    };
    let (key, name) = (args.key(1), args.at(2));
    let stream = ctx.db.get::<Stream>(key)?;
    let Some(group) = stream.and_then(|stream| stream.group(name)) else {
        return Err(no_key_or_group(key.bytes, name));
    };
    let Some(filter) = filter else {
        let consumers = group.consumers_len();
        let mut job = Summary { last: None, found: 0, listed: Output::default() };
        if ctx.is_long(consumers) {
            return ctx.run(args, job);
        }
        job.step(ctx, args, &mut Budget::unlimited())?;
        return Ok(());
    };
    let pending = match filter.consumer.map(|name| group.consumer(name)) {
        None => group.pending_len(),
        Some(Some((_, consumer))) => consumer.pending_len(),
        Some(None) => 0,
    };
    // With IDLE all may have to be looked at.
    let looked_at = if filter.idle_ms == 0 { filter.count.min(pending) } else { pending };
    let next = Some(filter.start);
    let mut job = List { next, left: filter.count, found: 0, listed: Output::default() };
    if ctx.is_long(looked_at) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XPENDING without a range: how much is pending, from where to where, and for whom.
struct Summary {
    /// The consumer told last.
    last: Option<Box<[u8]>>,
    found: usize,
    listed: Output,
}

impl Job for Summary {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let resp = ctx.reply.resp();
        let stream = ctx.db.peek_as::<Stream>(args.key(1))?;
        let Some(group) = stream.and_then(|stream| stream.group(args.at(2))) else {
            return Err(no_key_or_group(args.at(1), args.at(2)));
        };
        let bounds = group.pending_bounds();
        if bounds.is_some() {
            let mut list = Reply::new(&mut self.listed, resp);
            let mut last = None;
            let mut is_spent = false;
            for consumer in group.consumers_after(self.last.as_deref()) {
                if is_spent {
                    break;
                }
                if consumer.pending_len() > 0 {
                    list.array(2);
                    list.bulk(consumer.name());
                    list.bulk_int(consumer.pending_len() as i64);
                    self.found += 1;
                }
                last = Some(consumer.name());
                is_spent = budget.spend(1);
            }
            if is_spent {
                self.last = last.map(Box::from);
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        let reply = &mut ctx.reply;
        reply.array(4);
        reply.count(group.pending_len());
        match bounds {
            Some((first, last)) => {
                reply_id(reply, first);
                reply_id(reply, last);
                reply.array(self.found);
                reply.output().append(std::mem::take(&mut self.listed));
            }
            None => {
                reply.null();
                reply.null();
                reply.null_array();
            }
        }
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        ctx.engine.graveyard.bury_output(std::mem::take(&mut self.listed));
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

/// Which entries XPENDING tells.
struct Filter<'b> {
    /// IDLE: at least so long not delivered.
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'b [u8]>,
}

impl<'b> Filter<'b> {
    fn parse(args: Args<'b>) -> Result<Filter<'b>, CmdError> {
        let (mut idle_ms, mut at) = (0, 3);
        if is(args.at(3), "idle") {
            idle_ms = integer(args.at(4))?;
            if args.len() < 8 {
                return Err(CmdError::Syntax);
            }
            at += 2;
        }
        let count = usize::try_from(integer(args.at(at + 2))?).unwrap_or(0);
        let start = range_start(args.at(at))?;
        let end = range_end(args.at(at + 1))?;
        let consumer = (at + 3 < args.len()).then(|| args.at(at + 3));
        Ok(Filter { idle_ms, start, end, count, consumer })
    }

    fn accepts(&self, pending: &Pending, now: i64) -> bool {
        self.idle_ms == 0 || now.wrapping_sub(pending.delivered_ms) >= self.idle_ms
    }
}

/// XPENDING with a range.
struct List {
    /// The id to go on from.
    next: Option<StreamId>,
    /// Entries still to be told.
    left: usize,
    found: usize,
    listed: Output,
}

impl Job for List {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let filter = Filter::parse(args)?;
        let now = ctx.now;
        let resp = ctx.reply.resp();
        let stream = ctx.db.peek_as::<Stream>(args.key(1))?;
        if let Some(group) = stream.and_then(|stream| stream.group(args.at(2))) {
            let mut list = Reply::new(&mut self.listed, resp);
            while let Some(start) = self.next.filter(|_| self.left > 0) {
                let units = budget.piece(ENTRIES_PER_PIECE);
                let mut told = 0;
                let next = look(group, &filter, start, units, |id, pending| {
                    if told == self.left || !filter.accepts(&pending, now) {
                        return;
                    }
                    told += 1;
                    tell(&mut list, group, now, (id, pending));
                });
                self.next = next;
                self.found += told;
                self.left -= told;
                if budget.spend(units as u64) && self.next.is_some() {
                    self.listed.seal();
                    return Ok(Step::More);
                }
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

/// Looks at up to `units` pending entries in the range; returns where to go on.
fn look(
    group: &ConsumerGroup,
    filter: &Filter<'_>,
    start: StreamId,
    units: usize,
    mut see: impl FnMut(StreamId, Pending),
) -> Option<StreamId> {
    let (mut seen, mut last) = (0, None);
    let mut visit = |id: StreamId, pending: Pending| {
        seen += 1;
        last = Some(id);
        see(id, pending);
    };
    match filter.consumer {
        None => {
            let all = group.pending_from(start).take(units);
            all.take_while(|(id, _)| *id <= filter.end).for_each(|(id, entry)| visit(id, entry));
        }
        Some(name) => {
            let (_, consumer) = group.consumer(name)?;
            let own = consumer.pending_from(start).take(units);
            for id in own.take_while(|id| *id <= filter.end) {
                if let Some(pending) = group.pending(id) {
                    visit(id, pending);
                }
            }
        }
    }
    if seen < units { None } else { last.and_then(StreamId::next) }
}

/// Replies with a pending entry: id, consumer, time since it was delivered, how often it was.
fn tell(list: &mut Reply<'_>, group: &ConsumerGroup, now: i64, (id, pending): (StreamId, Pending)) {
    list.array(4);
    reply_id(list, id);
    list.bulk(group.consumer_at(pending.consumer).map_or(&[], |consumer| consumer.name()));
    list.int(now.wrapping_sub(pending.delivered_ms).max(0));
    list.int(pending.count as i64);
}
