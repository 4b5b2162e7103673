//! XREAD and XREADGROUP: what has come to streams since an id, or since a group last looked.
//!
//! First every stream's id is read, and its group looked up, so that an error comes before any reply; then the streams
//! are served in order. Where none has anything, and BLOCK is given, the client waits, and the request is run again
//! for the one stream that got an entry.
//!
//! Cost: O(log n) for each stream and what is replied; many streams or entries are a job.
use std::collections::VecDeque;

use crate::base::hash::Key;
use crate::base::pieces::Progress;
use crate::command::keys;
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::{BLOCKING, READONLY, WRITE};
use crate::command::spec::{Begin, Command, Find, Group, KeySpec, command, doc};
use crate::command::stream_read_request::{Request, Verb};
use crate::command::stream_read_wait::{Await, push_fixed, wait_of};
use crate::command::stream_value::{
    ENTRIES_PER_PIECE, reply_entry, reply_id, see_consumer, shown, strict_id, work_of,
};
use crate::command::wait_many;
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::{Output, Reply};
use crate::store::{Db, Hold};
use crate::types::stream::{ConsumerNumber, Log, Stream, StreamId, Walk};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XREAD, XREADGROUP];

const XREAD: Command = Command {
    flags: BLOCKING | READONLY,
    keys: &[KeySpec {
        begin: Begin::Keyword("STREAMS", 1),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        ..KeySpec::first(RO | ACCESS)
    }],
    find_keys: Some(keys::xread_keys),
    doc: doc(
        "5.0.0",
        "For each stream mentioned: O(N) with N being the number of elements being returned, it \
        means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is \
        used, XADD will pay O(M) time in order to serve the M clients blocked on the stream \
        getting new data.",
        "[COUNT=count:integer] [BLOCK=milliseconds:integer] STREAMS=streams(key:key... \
        id:string...)",
        "Return never seen elements in multiple streams, with IDs greater than the ones reported \
        by the caller for each stream. Can block.",
    ),
    ..command(Group::Stream, "xread", -4, xread)
};

const XREADGROUP: Command = Command {
    flags: BLOCKING | WRITE,
    keys: &[KeySpec {
        begin: Begin::Keyword("STREAMS", 4),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        ..KeySpec::first(RO | ACCESS)
    }],
    find_keys: Some(keys::xread_keys),
    doc: doc(
        "5.0.0",
        "For each stream mentioned: O(M) with M being the number of elements returned. If M is \
        constant (e.g. always asking for the first 10 elements with COUNT), you can consider it \
        O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to \
        serve the N clients blocked on the stream getting new data.",
        "GROUP=group_consumer(group:string consumer:string) [COUNT=count:integer] \
        [BLOCK=milliseconds:integer] [NOACK] STREAMS=streams(key:key... id:string...)",
        "Return new entries from a stream using a consumer group, or access the history of the \
        pending entries for a given consumer. Can block.",
    ),
    ..command(Group::Stream, "xreadgroup", -7, xreadgroup)
};

fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    read(ctx, args, Verb::Read)
}

fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    read(ctx, args, Verb::ReadGroup)
}

fn read(ctx: &mut Ctx<'_>, args: Args<'_>, verb: Verb) -> CmdResult {
    let request = Request::parse(ctx, args, verb)?;
    let mut job = Read::new(request);
    if request.block.is_none() && ctx.is_long(request.streams) {
        return ctx.run_with_many_keys(args, job);
    }
    if request.block.is_some() && wait_many::may_be_long(ctx, request.streams) {
        let how = if verb == Verb::Read { Hold::Read } else { Hold::Write };
        return ctx.run_and_find_keys(args, job, how);
    }
    let mut work: usize = 0;
    while job.resolved < request.streams {
        work = work.saturating_add(job.resolve(ctx, args)?);
    }
    if ctx.is_long(work) {
        return ctx.run(args, job);
    }
    while job.look_again(ctx, args)? {}
    let open = ctx.reply.array_open();
    let mut served = 0;
    for target in std::mem::take(&mut job.targets) {
        let Some(mut serving) = target.begin(ctx, args, &request)? else { continue };
        served += 1;
        ctx.reply.pair();
        ctx.reply.bulk(args.at(request.first + target.stream));
        let entries = ctx.reply.array_open();
        while !serving.step(ctx.db, &mut ctx.reply, args, &request, request.count)? {}
        ctx.reply.array_close(entries, serving.found);
    }
    if served == 0 {
        return nothing(ctx, args, &request);
    }
    ctx.reply.pairs_close(open, served);
    Ok(())
}

/// No stream has anything: the client waits, or is told so.
fn nothing(ctx: &mut Ctx<'_>, args: Args<'_>, request: &Request) -> CmdResult {
    let Some(mut wait) = wait_of(request) else {
        ctx.reply.null_array();
        return Ok(());
    };
    let ids = request.first + request.streams;
    if request.verb == Verb::Read && !ctx.is_woken() && args.from(ids).any(|id| id == b"$") {
        // What comes from now on.
        let mut fixed = OwnedArgs::default();
        for index in 0..args.len() {
            push_fixed(ctx, args, request, (&mut fixed, index))?;
        }
        wait = wait.with_request(fixed);
    }
    ctx.block_on_keys(args, request.first..ids, wait)
}

/// Where the reading of a stream begins.
#[derive(Clone, Copy)]
enum Start {
    /// After this id.
    After(StreamId),
    /// `>`: after what the group has read.
    New,
    /// After this id, in what is pending for the consumer.
    History(StreamId),
}

/// A stream that has something.
struct Target {
    /// Which one, from 0.
    stream: usize,
    start: Start,
}

impl Target {
    /// Begins to serve it; `None` where there is nothing any more, since it was named twice.
    fn begin(
        &self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        request: &Request,
    ) -> Result<Option<Serving>, CmdError> {
        let key = args.key(request.first + self.stream);
        let walk_after = |id: StreamId| Walk::new(id.next().unwrap_or(id), StreamId::MAX);
        let serving = |place, consumer| Serving { key: self.stream, place, consumer, found: 0 };
        let start = match self.start {
            Start::After(id) => return Ok(Some(serving(Place::Walk(walk_after(id)), 0))),
            Start::New => None,
            Start::History(id) => Some(id),
        };
        let seen = ctx.db.edit(key, |stream: &mut Stream| {
            stream.edit_group(args.at(request.group), |group, log| {
                let place = match start {
                    Some(id) => Place::History(id.next()),
                    None if stream_end(log, request) <= group.last_id => {
                        return Ok(None);
                    }
                    None => Place::Walk(walk_after(group.last_id)),
                };
                let (consumer, is_new) =
                    see_consumer(group, args.at(request.group + 1), request.now)?;
                Ok(Some((serving(place, consumer), is_new)))
            })
        })?;
        let seen: Option<Result<Option<(Serving, bool)>, CmdError>> = seen.flatten();
        let Some((serving, is_new)) = seen.transpose()?.flatten() else { return Ok(None) };
        if is_new {
            ctx.changed(Event::XGroupCreateConsumer, key.bytes);
        }
        ctx.changed(Event::XReadGroup, key.bytes);
        Ok(Some(serving))
    }
}

/// The id up to which a stream has something: that of its last entry, or, as Redis looks at those who waited, the last
/// one it ever had.
fn stream_end(log: &Log, request: &Request) -> StreamId {
    if request.is_woken { log.last_id() } else { log.top_id() }
}

/// Where the serving of a stream stands.
enum Place {
    Walk(Walk),
    /// In what is pending, from this id on.
    History(Option<StreamId>),
}

/// A stream that is being served.
struct Serving {
    /// Which one, from 0.
    key: usize,
    place: Place,
    consumer: ConsumerNumber,
    /// Entries so far.
    found: usize,
}

impl Serving {
    /// Replies with up to `units` more entries; whether there are no more.
    fn step(
        &mut self,
        db: &mut Db,
        reply: &mut Reply<'_>,
        args: Args<'_>,
        request: &Request,
        units: usize,
    ) -> Result<bool, CmdError> {
        let units = units.min(request.count - self.found);
        let key = args.key(request.first + self.key);
        let is_over = match &mut self.place {
            Place::Walk(walk) if request.verb == Verb::Read => {
                let Some(stream) = db.peek_as::<Stream>(key)? else { return Ok(true) };
                let found = &mut self.found;
                let progress = walk.step(stream.log(), units, |entry| {
                    reply_entry(reply, &entry);
                    *found += 1;
                });
                progress.is_done()
            }
            Place::Walk(_) => {
                self.deliver(db, reply, key, (args.at(request.group), request), units)?
            }
            Place::History(_) => {
                self.deliver_again(db, reply, key, (args.at(request.group), request), units)?
            }
        };
        Ok(is_over || self.found >= request.count)
    }

    /// New entries for a consumer: from now on they are pending, unless it wants none to be.
    fn deliver(
        &mut self,
        db: &mut Db,
        reply: &mut Reply<'_>,
        key: Key<'_>,
        (group, request): (&[u8], &Request),
        units: usize,
    ) -> Result<bool, CmdError> {
        let Serving { place: Place::Walk(walk), consumer, found, .. } = self else {
            return Ok(true);
        };
        let progress = db.edit(key, |stream: &mut Stream| {
            stream.edit_group(group, |group, log| {
                walk.step(log, units, |entry| {
                    group.advance(log, entry.id);
                    reply_entry(reply, &entry);
                    if !request.is_noack {
                        group.deliver(entry.id, *consumer, request.now);
                    }
                    *found += 1;
                })
            })
        })?;
        Ok(progress.flatten().is_none_or(Progress::is_done))
    }

    /// What is pending for a consumer, once more.
    fn deliver_again(
        &mut self,
        db: &mut Db,
        reply: &mut Reply<'_>,
        key: Key<'_>,
        (group, request): (&[u8], &Request),
        units: usize,
    ) -> Result<bool, CmdError> {
        let Serving { place: Place::History(next), consumer, found, .. } = self else {
            return Ok(true);
        };
        let Some(start) = *next else { return Ok(true) };
        let is_over = db.edit(key, |stream: &mut Stream| {
            stream.edit_group(group, |group, log| {
                let own = group.consumer_at(*consumer).map(|consumer| consumer.pending_from(start));
                let ids: Vec<StreamId> = own.into_iter().flatten().take(units).collect();
                for &id in &ids {
                    match log.get(id) {
                        Some(entry) => {
                            reply_entry(reply, &entry);
                            group.redeliver(id, request.now);
                        }
                        None => {
                            reply.array(2);
                            reply_id(reply, id);
                            reply.null_array();
                        }
                    }
                }
                *found += ids.len();
                *next = ids.last().and_then(|last| last.next());
                ids.len() < units
            })
        })?;
        Ok(is_over.flatten().unwrap_or(true))
    }
}

/// XREAD and XREADGROUP, of many streams or much.
struct Read {
    request: Request,
    /// Streams whose ids have been read.
    resolved: usize,
    /// Streams that were looked up a second time.
    looked_again: usize,
    targets: VecDeque<Target>,
    serving: Option<Serving>,
    /// Streams in the reply.
    served: usize,
    /// One of the ids is `$`.
    has_dollar: bool,
    /// Keys whose hashes are found.
    found: usize,
    awaiting: Await,
    listed: Output,
    /// Entries of the stream that is being served.
    entries: Output,
}

impl Read {
    fn new(request: Request) -> Read {
        Read {
            request,
            resolved: 0,
            looked_again: 0,
            targets: VecDeque::new(),
            serving: None,
            served: 0,
            has_dollar: false,
            found: 0,
            awaiting: Await::default(),
            listed: Output::default(),
            entries: Output::default(),
        }
    }

    /// Reads the id of the next stream, and remembers the stream if it has something. Returns how much work that is.
    fn resolve(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<usize, CmdError> {
        let request = &self.request;
        let at = self.resolved;
        self.resolved += 1;
        let is_looked_at = ctx.looks_at(args.at(request.first + at));
        if request.is_woken && (!is_looked_at || !self.targets.is_empty()) {
            return Ok(0);
        }
        let key = args.key(request.first + at);
        let stream = ctx.db.get::<Stream>(key)?;
        let group = match request.verb {
            Verb::Read => None,
            Verb::ReadGroup => {
                let group = args.at(request.group);
                let found = stream.and_then(|stream| stream.group(group));
                Some(found.ok_or_else(|| no_group(request, key.bytes, group))?)
            }
        };
        let start = match (args.at(request.first + request.streams + at), group) {
            (b"$", Some(_)) => return Err(DOLLAR_IN_GROUP),
            (b"$", None) => {
                self.has_dollar = true;
                Start::After(stream.map_or(StreamId::MIN, |stream| stream.log().last_id()))
            }
            (b">", Some(_)) => Start::New,
            (b">", None) => return Err(NEW_WITHOUT_GROUP),
            (text, group) => match (strict_id(text, 0)?, group) {
                (id, None) => Start::After(id),
                (StreamId::MAX, Some(_)) => Start::New,
                (id, Some(_)) => Start::History(id),
            },
        };
        let Some(stream) = stream else { return Ok(0) };
        let log = stream.log();
        let after = match (start, group) {
            (Start::After(id), _) => id,
            (_, Some(group)) if matches!(start, Start::New) => group.last_id,
            (_, group) => {
                let consumer = group.and_then(|group| group.consumer(args.at(request.group + 1)));
                let pending = consumer.map_or(0, |(_, consumer)| consumer.pending_len());
                self.targets.push_back(Target { stream: at, start });
                return Ok(work_of(log, request.count.min(pending)) + 1);
            }
        };
        if stream_end(log, request) <= after {
            return Ok(0);
        }
        let count = usize::try_from(log.newer_than(after)).unwrap_or(usize::MAX);
        let work = work_of(log, request.count.min(count)) + 1;
        self.targets.push_back(Target { stream: at, start });
        Ok(work)
    }
}

impl Read {
    /// Looks up the next stream as Redis does when it serves them, after it has looked up all for their ids: clients
    /// see that in `keyspace_hits`, `keyspace_misses` and `keymiss`. Whether there are more.
    fn look_again(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<bool, CmdError> {
        if self.request.is_woken || self.looked_again >= self.request.streams {
            return Ok(false);
        }
        let _ = ctx.db.get::<Stream>(args.key(self.request.first + self.looked_again))?;
        self.looked_again += 1;
        Ok(true)
    }
}

const DOLLAR_IN_GROUP: CmdError = CmdError::Text(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
    this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would \
    just return an empty result set.",
);
const NEW_WITHOUT_GROUP: CmdError = CmdError::Text(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
    option.",
);

fn no_group(request: &Request, key: &[u8], group: &[u8]) -> CmdError {
    if request.is_woken {
        return CmdError::Text(
            "NOGROUP the consumer group this client was blocked on no longer exists",
        );
    }
    CmdError::owned(&[
        b"NOGROUP No such key '",
        shown(key),
        b"' or consumer group '",
        shown(group),
        b"' in XREADGROUP with GROUP option",
    ])
}

impl Job for Read {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let streams = self.request.streams;
        while self.resolved < streams {
            let count = budget.piece(KEYS_PER_PIECE).min(streams - self.resolved);
            for _ in 0..count {
                self.resolve(ctx, args)?;
            }
            if budget.spend(count as u64) {
                return Ok(Step::More);
            }
        }
        while self.look_again(ctx, args)? {
            if budget.spend(1) {
                return Ok(Step::More);
            }
        }
        while self.serving.is_some() || !self.targets.is_empty() {
            let units = budget.piece(ENTRIES_PER_PIECE);
            self.serve(ctx, args, units)?;
            if budget.spend(units as u64) {
                self.listed.seal();
                self.entries.seal();
                return Ok(Step::More);
            }
        }
        if self.served == 0 && self.request.block.is_some() {
            let Read { request, has_dollar, awaiting, .. } = self;
            return awaiting.step(ctx, args, (request, *has_dollar), budget);
        }
        if self.served == 0 {
            ctx.reply.null_array();
        } else {
            ctx.reply.pairs(self.served);
            ctx.reply.output().append(std::mem::take(&mut self.listed));
        }
        Ok(Step::Done)
    }

    fn find_keys(
        &mut self,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let keys = self.request.first..self.request.first + self.request.streams;
        wait_many::find_keys(args, keys, &mut self.found, hashes, budget)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        self.awaiting.give_up(ctx);
        ctx.engine.graveyard.bury_output(std::mem::take(&mut self.listed));
        ctx.engine.graveyard.bury_output(std::mem::take(&mut self.entries));
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len() + self.entries.len()
    }
}

impl Read {
    /// Goes on with the stream that is being served, or with the next one.
    fn serve(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, units: usize) -> Result<(), CmdError> {
        let mut serving = match self.serving.take() {
            Some(serving) => serving,
            None => {
                let Some(target) = self.targets.pop_front() else { return Ok(()) };
                match target.begin(ctx, args, &self.request)? {
                    Some(serving) => serving,
                    None => return Ok(()),
                }
            }
        };
        let resp = ctx.reply.resp();
        let mut reply = Reply::new(&mut self.entries, resp);
        if !serving.step(ctx.db, &mut reply, args, &self.request, units)? {
            self.serving = Some(serving);
            return Ok(());
        }
        self.served += 1;
        let mut listed = Reply::new(&mut self.listed, resp);
        listed.pair();
        listed.bulk(args.at(self.request.first + serving.key));
        listed.array(serving.found);
        listed.output().append(std::mem::take(&mut self.entries));
        Ok(())
    }
}
