//! Clients that wait until a key brings something: BLPOP and its like.
//!
//! A handler that finds nothing ends with [`Ctx::block_on_keys`]. Its client is registered here, in the queue of each
//! of its keys, and its request is kept. Whatever changes a key says so ([`Ctx::changed`]); a key somebody waits for is
//! *ready* then, and after the whole command (transaction, script) `command::serve` runs the kept requests again: ready
//! keys in the order in which they became ready, the clients of a key in the order in which they began to wait. A
//! request run again looks at the ready key alone ([`Ctx::looks_at`]); who still finds nothing keeps its place.
//!
//! ```text
//! BLPOP a b 0 ──▶ queue of a ─┬─ order 1: client 7      RPUSH b x ──▶ changed ──▶ ready: b ──▶ serve ──▶ reply
//!                 queue of b ─┴─ order 1: client 7, order 2: client 9
//! ```
//!
//! Serving has bounds: what does not fit into a turn, or finds its keys held by a job, waits in the queues of the jobs
//! ([`Jobs`]), so nobody overtakes it.
//!
//! Cost: nobody blocks: one branch per change and command. Else O(log n) to block, to serve, to time out and to go.
//!
//! [`Jobs`]: crate::engine::jobs::Jobs
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::base::long_double::LongDouble;
use crate::base::number::parse_i64;
use crate::base::shards::Shards;
use crate::base::time::UnixMillis;
use crate::engine::changes::listener;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::jobs::Place;
use crate::engine::session::{Address, Waiting};
use crate::engine::table::Found;
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::{Output, Reply};
use crate::store::{Hold, Kind};

/// The ticket of whoever came without one: after all others.
pub const NO_TICKET: u64 = u64::MAX;

/// Clients told of their timeout in one turn.
const TIMEOUTS_PER_TURN: usize = 1000;

/// What is answered where nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// A null array.
    NullArray,
    /// A null array when the time is over, a null where nobody may wait.
    Null,
    /// The number 0.
    Zero,
}

/// What a command waits for, and how the wait may end.
#[derive(Debug)]
pub struct Wait {
    /// What a key has to hold for the request to be run again.
    kind: Kind,
    /// When it ends; `None`: never.
    until: Option<UnixMillis>,
    /// The error that ends it once a key is gone or holds something else; `None`: it goes on.
    gone: Option<&'static str>,
    /// What is answered where nothing came.
    nothing: Nothing,
    /// The request to be run again, where it is another.
    request: Option<OwnedArgs>,
}

impl Nothing {
    /// The reply once the time is over.
    fn reply(self, reply: &mut Reply<'_>) {
        match self {
            Nothing::NullArray | Nothing::Null => reply.null_array(),
            Nothing::Zero => reply.int(0),
        }
    }
}

impl Wait {
    /// Waits until a key holds `kind`, or until that time.
    pub fn new(kind: Kind, until: Option<UnixMillis>) -> Wait {
        Wait { kind, until, gone: None, nothing: Nothing::NullArray, request: None }
    }

    /// Where nobody may wait (transactions, scripts, in process) the answer is a null, not a null array.
    #[must_use]
    pub fn or_null(mut self) -> Wait {
        self.nothing = Nothing::Null;
        self
    }

    /// Where nothing came the answer is the number 0.
    #[must_use]
    pub fn or_zero(mut self) -> Wait {
        self.nothing = Nothing::Zero;
        self
    }

    /// This error ends the wait once one of the keys is gone, or holds another kind.
    #[must_use]
    pub fn unless_gone(mut self, error: &'static str) -> Wait {
        self.gone = Some(error);
        self
    }

    /// This is what to run again, with the keys at the same places: for what meant "as of now" (XREAD's `$`).
    #[must_use]
    pub fn with_request(mut self, request: OwnedArgs) -> Wait {
        self.request = Some(request);
        self
    }
}

/// When a wait of `text` seconds from now ends, a fraction of a millisecond counting as a whole one; 0: never.
pub fn seconds_until(now: UnixMillis, text: &[u8]) -> Result<Option<UnixMillis>, CmdError> {
    let seconds = LongDouble::parse(text)
        .ok_or(CmdError::Text("ERR timeout is not a float or out of range"))?;
    until(now, seconds.ceil_of_product(1000))
}

/// When a wait of `text` milliseconds from now ends; 0: never.
pub fn millis_until(now: UnixMillis, text: &[u8]) -> Result<Option<UnixMillis>, CmdError> {
    let millis =
        parse_i64(text).ok_or(CmdError::Text("ERR timeout is not an integer or out of range"))?;
    until(now, Some(millis))
}

/// As in Redis, what does not fit into 64 bits counts as negative.
fn until(now: UnixMillis, millis: Option<i64>) -> Result<Option<UnixMillis>, CmdError> {
    match millis {
        None | Some(i64::MIN..0) => Err(CmdError::Text("ERR timeout is negative")),
        Some(0) => Ok(None),
        // Later than all time: never.
        Some(millis) => Ok(now.checked_add(millis)),
    }
}

/// A client that waits.
pub struct Blocked {
    /// Its place among all who wait.
    pub order: u64,
    /// Index of its database.
    pub db: usize,
    /// What it waits for; one named twice stands here twice.
    keys: Vec<Arc<[u8]>>,
    /// Where they stand among the arguments.
    pub places: Range<usize>,
    /// Its request.
    pub args: OwnedArgs,
    /// Its command.
    pub found: Found,
    /// What a key has to hold.
    pub kind: Kind,
    /// The error that ends the wait when a key is gone.
    pub gone: Option<&'static str>,
    nothing: Nothing,
    /// How long the command took when it was run first, in ticks.
    pub ticks: u64,
    until: Option<UnixMillis>,
}

/// Queues that one who waits no longer leaves at once.
const KEYS_AT_ONCE: usize = 64;

/// One who waits no longer, in the queues where he still stands.
struct Leaving {
    db: usize,
    order: u64,
    kind: Kind,
    is_minding: bool,
    keys: Vec<Arc<[u8]>>,
}

impl Leaving {
    fn of(blocked: &mut Blocked) -> Leaving {
        Leaving {
            db: blocked.db,
            order: blocked.order,
            kind: blocked.kind,
            is_minding: blocked.gone.is_some(),
            keys: std::mem::take(&mut blocked.keys),
        }
    }

    /// Leaves up to so many.
    fn step(&mut self, queues: &mut [Shards<Arc<[u8]>, Queue>], count: usize) {
        let Some(queues) = queues.get_mut(self.db) else { return self.keys.clear() };
        for key in self.keys.drain(self.keys.len().saturating_sub(count)..) {
            let Some(queue) = queues.get_mut(&key) else { continue };
            queue.remove(self.order, self.kind, self.is_minding);
            if queue.clients.is_empty() {
                queues.remove(&key);
            }
        }
    }
}

/// Who waits for one key.
#[derive(Debug, Default)]
struct Queue {
    /// Slots of clients, by their order.
    clients: BTreeMap<u64, usize>,
    /// How many of them wait for each kind.
    kinds: [usize; KINDS],
    /// How many of them mind when the key is gone.
    minding: usize,
    /// It stands among those that are ready.
    is_ready: bool,
}

/// Kinds are numbered from 1.
const KINDS: usize = Kind::Document as usize + 1;

impl Queue {
    fn insert(&mut self, client: usize, blocked: &Blocked) {
        if self.clients.insert(blocked.order, client).is_none() {
            self.kinds[blocked.kind as usize] += 1;
            self.minding += usize::from(blocked.gone.is_some());
        }
    }

    fn remove(&mut self, order: u64, kind: Kind, is_minding: bool) {
        if self.clients.remove(&order).is_some() {
            self.kinds[kind as usize] -= 1;
            self.minding -= usize::from(is_minding);
        }
    }

    /// Whether nobody has to look at the key while it holds this.
    fn ignores(&self, kind: Option<Kind>) -> bool {
        self.minding == 0 && kind.is_none_or(|kind| self.kinds[kind as usize] == 0)
    }
}

/// A key that has changed and that somebody waits for.
#[derive(Debug)]
pub struct ReadyKey {
    /// Tells it from others.
    pub id: u32,
    /// Index of its database.
    pub db: usize,
    /// The key.
    pub key: Arc<[u8]>,
    /// Clients before this order have been looked at.
    pub from: u64,
    /// Place of the command that changed it among those that wait for jobs.
    pub ticket: u64,
    /// Where it waits for jobs.
    pub places: Vec<(Place, Hold)>,
}

/// Everybody who waits for keys to bring something.
#[derive(Default)]
pub struct Blocking {
    /// The queues, by database and key.
    queues: Vec<Shards<Arc<[u8]>, Queue>>,
    /// Those who wait, by slot.
    clients: HashMap<usize, Box<Blocked>>,
    /// Who waits until when: time, order, slot.
    deadlines: BTreeSet<(UnixMillis, u64, usize)>,
    order_last: u64,
    /// Slot of the one who began to wait last, until it is given its request.
    newest: Option<usize>,
    /// Those who mind when a key is gone.
    minding: usize,
    ready: VecDeque<ReadyKey>,
    /// Ready keys that wait for jobs.
    stalled: HashMap<u32, ReadyKey>,
    id_last: u32,
    /// Those who wait no longer and still stand in queues.
    leaving: Vec<Leaving>,
    /// The ticket of the command that runs now, where it waited for jobs or is one.
    maker: Option<u64>,
}

impl Blocking {
    /// Whether nobody waits: asked for every change and command.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many of them have a timeout.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Those whose wait ended before `now`, at most so many. Not who waits for a key that is ready: it became so in
    /// time, and only serving it takes longer.
    fn due_before(&self, now: UnixMillis, most: usize) -> Vec<usize> {
        let due = self.deadlines.iter().take_while(|&&(until, ..)| until < now);
        let clients = due.map(|&(.., client)| client);
        clients.filter(|&client| !self.is_about_to_be_served(client)).take(most).collect()
    }

    fn is_about_to_be_served(&self, client: usize) -> bool {
        if self.ready_len() == 0 {
            return false;
        }
        let Some(blocked) = self.clients.get(&client) else { return false };
        let Some(queues) = self.queues.get(blocked.db) else { return false };
        // Of those that are ready only the first may have been served in part.
        let is_first = |key: &Arc<[u8]>| {
            self.ready.front().is_some_and(|first| {
                first.db == blocked.db && first.from <= blocked.order && first.key == *key
            })
        };
        let mut keys = blocked.keys.iter();
        keys.any(|key| is_first(key) || queues.get(key).is_some_and(|queue| queue.is_ready))
    }

    /// When the next wait is over: the first millisecond in which it is.
    pub fn next_deadline_ms(&self) -> Option<UnixMillis> {
        // Redis's comparison: the clock's milliseconds are cut off, and nobody is to wait too short.
        self.deadlines.first().map(|&(until, _, _)| until.saturating_add(1))
    }

    /// The client at this slot, if it waits.
    pub fn get(&self, client: usize) -> Option<&Blocked> {
        self.clients.get(&client).map(|blocked| &**blocked)
    }

    /// As [`Blocking::get`].
    pub fn get_mut(&mut self, client: usize) -> Option<&mut Blocked> {
        self.clients.get_mut(&client).map(|blocked| &mut **blocked)
    }

    /// The one who began to wait last.
    pub fn newest_mut(&mut self) -> Option<&mut Blocked> {
        let client = self.newest?;
        self.get_mut(client)
    }

    /// Gives the one who began to wait last its request, unless it brought one. Returns the memory it holds.
    pub fn give_args(&mut self, args: OwnedArgs) -> usize {
        let Some(blocked) = self.newest.take().and_then(|client| self.get_mut(client)) else {
            return 0;
        };
        if blocked.args.parts().1.is_empty() {
            blocked.args = args;
        }
        let names: usize = blocked.keys.iter().map(|key| key.len() + size_of::<Arc<[u8]>>()).sum();
        blocked.args.memory_bytes() + names + size_of::<Blocked>()
    }

    /// The place of whoever begins to wait next.
    fn new_order(&mut self) -> u64 {
        self.order_last += 1;
        self.order_last
    }

    /// Has a client that is about to wait stand in the queue of one more of its keys.
    pub(super) fn queue_up(&mut self, client: usize, blocked: &mut Blocked, key: &[u8]) {
        if self.queues.len() <= blocked.db {
            self.queues.resize_with(blocked.db + 1, Shards::default);
        }
        let queues = &mut self.queues[blocked.db];
        // One name for all who wait for it.
        let known = queues.get_key_value(key).map(|(known, _)| known.clone());
        let name = known.unwrap_or_else(|| key.into());
        queues.get_or_default(name.clone()).insert(client, blocked);
        blocked.keys.push(name);
    }

    /// A client that stands in all its queues waits.
    pub(super) fn insert(&mut self, client: usize, blocked: Box<Blocked>) {
        self.minding += usize::from(blocked.gone.is_some());
        if let Some(until) = blocked.until {
            self.deadlines.insert((until, blocked.order, client));
        }
        self.newest = Some(client);
        self.clients.insert(client, blocked);
    }

    /// A client waits no longer. Of very many queues it leaves some now and the others when there is time
    /// ([`Blocking::leave_queues`]): until then it stands there under an order that nobody has.
    pub fn remove(&mut self, client: usize) -> Option<Box<Blocked>> {
        let mut blocked = self.clients.remove(&client)?;
        let mut left = Leaving::of(&mut blocked);
        left.step(&mut self.queues, KEYS_AT_ONCE);
        if !left.keys.is_empty() {
            self.leaving.push(left);
        }
        self.minding -= usize::from(blocked.gone.is_some());
        if let Some(until) = blocked.until {
            self.deadlines.remove(&(until, blocked.order, client));
        }
        Some(blocked)
    }

    /// One who was about to wait does not.
    pub(super) fn leave(&mut self, mut blocked: Box<Blocked>) {
        self.leaving.push(Leaving::of(&mut blocked));
    }

    /// Whether somebody who waits no longer still stands in queues.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Has those who wait no longer leave some of the queues that they still stand in; true once they stand in none.
    pub fn leave_queues(&mut self, count: usize) -> bool {
        let Some(left) = self.leaving.last_mut() else { return true };
        left.step(&mut self.queues, count);
        if left.keys.is_empty() {
            self.leaving.pop();
        }
        self.leaving.is_empty()
    }

    // --- ready keys ---

    /// The command that runs now has this ticket; `None`: it has none.
    pub fn set_maker(&mut self, ticket: Option<u64>) {
        self.maker = ticket;
    }

    /// A key has changed.
    #[cold]
    pub fn note(&mut self, db: usize, key: &[u8]) {
        let Some(queues) = self.queues.get_mut(db) else { return };
        let Some((key, _)) = queues.get_key_value(key) else { return };
        let key = key.clone();
        if let Some(queue) = queues.get_mut(&key)
            && !queue.is_ready
        {
            queue.is_ready = true;
            self.id_last = self.id_last.wrapping_add(1);
            let ticket = self.maker.unwrap_or(NO_TICKET);
            let (id, places) = (self.id_last, Vec::new());
            self.ready.push_back(ReadyKey { id, db, key, from: 0, ticket, places });
        }
    }

    /// A key is gone: that makes it ready for those who mind, and for nobody else.
    #[cold]
    pub fn note_gone(&mut self, db: usize, key: &[u8]) {
        let queue = self.queues.get(db).and_then(|queues| queues.get(key));
        if queue.is_some_and(|queue| queue.minding > 0) {
            self.note(db, key);
        }
    }

    /// All keys of a database may have changed: its clients are looked at in the order in which they began to wait.
    /// O(keys waited for).
    pub fn note_all(&mut self, db: usize) {
        self.note_some(db, |_| true);
    }

    /// All keys of a database are gone.
    pub fn note_flush(&mut self, db: usize) {
        if self.minding > 0 {
            self.note_some(db, |queue| queue.minding > 0);
        }
    }

    fn note_some(&mut self, db: usize, is_meant: impl Fn(&Queue) -> bool) {
        let Some(queues) = self.queues.get(db) else { return };
        let meant = queues.iter().filter(|(_, queue)| is_meant(queue));
        let mut keys: Vec<(u64, Arc<[u8]>)> = meant
            .filter_map(|(key, queue)| Some((*queue.clients.first_key_value()?.0, key.clone())))
            .collect();
        keys.sort_unstable();
        keys.iter().for_each(|(_, key)| self.note(db, key));
    }

    /// Whether somebody minds when a key is gone.
    pub fn is_minding(&self) -> bool {
        self.minding > 0
    }

    /// Whether a key is ready whose clients can be looked at now.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Ready keys, those that wait for jobs included.
    pub fn ready_len(&self) -> usize {
        self.ready.len() + self.stalled.len()
    }

    /// Takes the next ready key.
    pub fn take_ready(&mut self) -> Option<ReadyKey> {
        self.ready.pop_front()
    }

    /// A ready key that was not finished with is the next one again.
    pub fn put_back(&mut self, ready: ReadyKey) {
        self.ready.push_front(ready);
    }

    /// The client of this order at this slot, if it still waits.
    pub fn get_at(&self, order: u64, client: usize) -> Option<&Blocked> {
        self.get(client).filter(|blocked| blocked.order == order)
    }

    /// All keys that are ready.
    pub fn ready_mut(&mut self) -> impl Iterator<Item = &mut ReadyKey> {
        self.ready.iter_mut()
    }

    /// A ready key waits for a job.
    pub fn stall(&mut self, ready: ReadyKey) {
        self.stalled.insert(ready.id, ready);
    }

    /// A ready key may go on.
    pub fn resume(&mut self, id: u32) {
        if let Some(ready) = self.stalled.remove(&id) {
            self.ready.push_back(ready);
        }
    }

    /// Whether somebody still waits for a ready key.
    pub fn has_clients(&self, ready: &ReadyKey) -> bool {
        self.queues.get(ready.db).is_some_and(|queues| queues.get(&ready.key).is_some())
    }

    /// The next client to look at for a ready key: its order and slot. `kind` is what the key holds now.
    pub fn next_client(&mut self, ready: &ReadyKey, kind: Option<Kind>) -> Option<(u64, usize)> {
        let queue = self.queues.get_mut(ready.db)?.get_mut(&ready.key)?;
        if ready.from == 0 {
            // From here on it may become ready again.
            queue.is_ready = false;
        }
        if queue.ignores(kind) {
            return None;
        }
        queue.clients.range(ready.from..).next().map(|(&order, &client)| (order, client))
    }
}

/// What ends a wait besides a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// Its time is over.
    TimedOut,
    /// CLIENT UNBLOCK: as if its time were over.
    Unblocked,
    /// This error.
    Error(&'static str),
}

impl Shared {
    /// Ends the wait of the client at a slot; false where it does not wait. O(log n) per key.
    pub fn end_wait(&mut self, client: usize, end: WaitEnd) -> bool {
        let Some(blocked) = self.blocking.remove(client) else { return false };
        let Some(mut session) = self.clients.checkout(client) else { return false };
        let mut out = Output::default();
        let mark = out.mark();
        let mut reply = Reply::new(&mut out, session.resp);
        match end {
            WaitEnd::TimedOut => blocked.nothing.reply(&mut reply),
            WaitEnd::Unblocked => {
                blocked.nothing.reply(&mut reply);
                self.stats.count_failed(blocked.found.id);
            }
            WaitEnd::Error(text) => {
                reply.error(text.as_bytes());
                self.stats.count_failure(blocked.found.id, text.as_bytes());
            }
        }
        session.filter_reply(mark, &mut out);
        session.waiting = None;
        session.job_bytes = 0;
        self.clients.recount(&session);
        self.clients.checkin(client, session);
        self.outbox.replies.push((client, out));
        self.bury_args(blocked.args);
        true
    }

    /// Tells those whose time is over, as many as fit into a turn.
    pub fn end_waits_due(&mut self) {
        for client in self.blocking.due_before(self.clock.unix_ms(), TIMEOUTS_PER_TURN) {
            self.end_wait(client, WaitEnd::TimedOut);
        }
    }

    /// Whether somebody's time is over.
    #[inline]
    pub fn is_wait_due(&self) -> bool {
        !self.blocking.deadlines.is_empty()
            && self.blocking.next_deadline_ms().is_some_and(|due| due <= self.clock.unix_ms())
    }

    /// Frees a request, a big one when there is time.
    pub fn bury_args(&mut self, args: OwnedArgs) {
        if args.is_big() {
            self.graveyard.bury_garbage(Box::new(args));
        }
    }
}

impl Ctx<'_> {
    /// Whether a command that may wait is to look at this key: when it is run again, at the one that is ready alone.
    #[inline]
    pub fn looks_at(&self, key: &[u8]) -> bool {
        self.client.woken_by.as_ref().is_none_or(|ready| **ready == *key)
    }

    /// Whether the command waited, and is run again because a key is ready.
    #[inline]
    pub fn is_woken(&self) -> bool {
        self.client.woken_by.is_some()
    }

    /// Whether commands of this client never wait: they answer at once as if their time were over.
    fn may_not_block(&self) -> bool {
        self.client.is_blocking_denied || matches!(self.client.address, Address::InProcess)
    }

    /// Has the client wait until one of the keys at these places brings something. A handler ends with it: nothing of
    /// it may be replied before.
    #[cold]
    pub fn block_on_keys(&mut self, args: Args<'_>, keys: Range<usize>, wait: Wait) -> CmdResult {
        if self.is_woken() {
            return Err(CmdError::Blocked);
        }
        let places = keys.clone();
        let Some((slot, mut blocked)) = self.begin_blocked(keys, wait) else { return Ok(()) };
        let blocking = &mut self.engine.blocking;
        places.for_each(|index| blocking.queue_up(slot, &mut blocked, args.at(index)));
        blocking.insert(slot, blocked);
        Err(CmdError::Blocked)
    }

    /// The client at this slot is about to wait for the keys at these places; `None`: it may not, and is told so.
    pub(super) fn begin_blocked(
        &mut self,
        keys: Range<usize>,
        wait: Wait,
    ) -> Option<(usize, Box<Blocked>)> {
        let slot = self.engine.clients.slot_of(self.client.id);
        let (false, Some(slot), Some(id)) = (self.may_not_block(), slot, self.client.last_command)
        else {
            match wait.nothing {
                Nothing::Null => self.reply.null(),
                nothing => nothing.reply(&mut self.reply),
            }
            return None;
        };
        self.client.waiting = Some(Waiting::Blocked);
        if wait.gone.is_some() {
            self.db.record_expired = true;
            self.engine.listen(listener::RECORDING, true);
        }
        let blocked = Blocked {
            order: self.engine.blocking.new_order(),
            db: self.db_index(),
            keys: Vec::with_capacity(keys.len()),
            places: keys,
            args: wait.request.unwrap_or_default(),
            found: self.engine.table.found(id),
            kind: wait.kind,
            gone: wait.gone,
            nothing: wait.nothing,
            ticks: 0,
            until: wait.until,
        };
        Some((slot, Box::new(blocked)))
    }
}

#[cfg(test)]
#[path = "blocking_tests.rs"]
mod tests;
