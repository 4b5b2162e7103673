//! Long commands, in slices: what a job is, which ones run, and who waits for whom.
//!
//! A command whose work can be large is a [`Job`]: a state machine that does a piece of its work per call. Its
//! handler hands it to [`Ctx::run`], which steps it in place; only when the slice is spent is it boxed and parked,
//! and from then on it holds its keys ([`Holds`]) while everybody else goes on. Commands that conflict with a held
//! key queue behind it, per key, in order; readers pass readers. `command::run_jobs` moves the jobs on.
//!
//! No deadlock: a short command waits without holding anything, and takes all its keys at once. A job with very
//! many keys takes them slice by slice, one such job at a time, oldest first; it never waits for anybody younger.
//!
//! Cost: without a job one branch per command.
//!
//! [`Holds`]: crate::store::Holds
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use crate::base::clock::Clock;
use crate::engine::blocking::NO_TICKET;
pub use crate::engine::budget::Budget;
use crate::engine::compound::Compound;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
pub use crate::engine::job_keys::{INDEX, KeyRange, KeySource, Place, WHOLE, places_of_taker};
pub use crate::engine::running::{Parking, Phase, Running, Taking, Task};
use crate::engine::session::{Address, Nesting, Session, Waiting};
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::reply::Output;
use crate::store::{Db, Hold};

/// Keys (or as much work) that a command handles at once, without a job. About 200 us where every key is a
/// cache miss.
pub const UNITS_AT_ONCE: usize = 1024;

/// Jobs that may pass a SWAPDB that waits: without them it would hold up every short write for as long as one long
/// write lasts, and with more of them it might wait for ever.
const PASSES_MAX: usize = 8;

/// Keys a job handles between two looks at the clock.
pub const KEYS_PER_PIECE: usize = 16;

/// What a step of a job came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The reply is complete.
    Done,
    /// The budget is spent: call again.
    More,
    /// Nothing to do until something comes from outside (a `Remote`), or until this moment of `Clock::monotonic`: call
    /// again then. Never said to a budget without end: a job with one waits itself.
    Until(Duration),
}

impl Step {
    /// Whether it is to be called again.
    pub fn goes_on(self) -> bool {
        self != Step::Done
    }
}

/// What a step came to; an error takes the place of the whole reply.
pub type Stepped = Result<Step, CmdError>;

/// Work in slices. It sees the database as of the moment its command began: its keys are held, and `ctx.now`
/// stands still.
pub trait Job: Send {
    /// Goes on until the work is done or the budget is spent. `args` are the request's, the same at each call; what
    /// it replies goes to `ctx.reply`. An error takes the place of the whole reply.
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped;

    /// Nobody waits for the reply any more. Only jobs that change nothing are given up; what they keep in the
    /// database (a walk) they take away here.
    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        let _ = ctx;
    }

    /// Bytes of reply it keeps to itself until it ends, which count for the client's limit.
    fn reply_bytes(&self) -> usize {
        0
    }

    /// Goes on looking for the keys of a request that is no list of arguments, and appends their hashes; comes before
    /// all else, as often as it says [`Step::More`]. An error refuses the request.
    fn find_keys(
        &mut self,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let _ = (args, hashes, budget);
        Ok(Step::Done)
    }

    /// Looks in the keys held so far for the names of others, and appends their hashes: those are held too, for
    /// reading, before the work begins. Called until it says [`Step::Done`], where the job was begun by
    /// [`Ctx::run_with_further_keys`]. The keys it looks in may expire before the work begins, but not change.
    fn find_further_keys(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Step {
        let _ = (ctx, args, hashes, budget);
        Step::Done
    }

    /// The request as a list of at most `arguments_max` arguments, the last of them saying how many more there are;
    /// `None`: `args` is that list. O(what is shown).
    fn shown(&self, args: Args<'_>, arguments_max: usize) -> Option<OwnedArgs> {
        let _ = (args, arguments_max);
        None
    }

    /// A key of another database, which it holds for writing from its beginning to its end.
    fn elsewhere(&self, args: Args<'_>) -> Option<Place> {
        let _ = args;
        None
    }

    /// How its client is told an error; `None`: as RESP does it.
    fn error_form(&self) -> Option<fn(&[u8], &mut Output)> {
        None
    }
}

/// A database that was emptied while jobs used it: they go on in it.
struct Limbo {
    db: Db,
    users: usize,
}

/// Somebody who waits for a place.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    ticket: u64,
    hold: Hold,
    who: Who,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A client, by its slot.
    Client(usize),
    /// A job that takes its keys.
    Job(u32),
    /// A ready key whose clients wait to be served.
    Serve(u32),
}

/// All jobs, and all who wait for them.
#[derive(Default)]
pub struct Jobs {
    /// In the order of their next slices.
    running: VecDeque<Box<Running>>,
    /// What [`Ctx::run`] has just parked, until the caller of its handler takes it.
    parking: Option<Parking>,
    /// What [`Ctx::run_compound`] has just left, likewise.
    compound: Option<Box<dyn Compound>>,
    /// What a part of the compound that runs now needs beside what that holds.
    further: Vec<Place>,
    waiters: HashMap<Place, VecDeque<Waiter>>,
    /// The places of each client that waits, by its ticket.
    waiting: HashMap<u64, Vec<(Place, Hold)>>,
    /// Ready keys that wait.
    serves: usize,
    /// Those of them that may look again.
    serves_woken: Vec<u32>,
    /// Jobs that have passed somebody who waits for databases (SWAPDB).
    passes: usize,
    limbo: Slab<Limbo>,
    /// How often each database was emptied.
    flushes: HashMap<usize, u64>,
    /// The job that runs now goes on in a database that was emptied.
    is_in_limbo: bool,
    last_id: u32,
    last_ticket: u64,
    /// Time left in this turn for first steps, in ticks.
    turn_ticks: u64,
    /// In tests: units per slice, whatever the time, and everything that can be a job is one.
    forced_units: Option<u64>,
    /// In tests: slices that may run before jobs stand still; `None`: they never do.
    slices_left: Option<u64>,
    /// The job that goes on alone, if one does.
    pub only: Option<u32>,
    /// Slots of clients whose commands wait for its end.
    kept: Vec<usize>,
    /// Jobs ended so far.
    pub ended: u64,
}

impl Jobs {
    /// Whether a job runs or somebody waits: asked for every command.
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty() || self.serves > 0
    }

    /// Jobs under way.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether no job is under way.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Clients that wait for a key.
    pub fn clients_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Has every slice do so many units, however long they take, and has every command that can be a job be one; `None`
    /// goes back to time. For tests: no reply may depend on it.
    pub fn force_units(&mut self, units: Option<u64>) {
        self.forced_units = units;
    }

    /// Has jobs stand still after so many slices; `None` lets them run. For tests.
    pub fn stop_after(&mut self, slices: Option<u64>) {
        self.slices_left = slices;
    }

    /// See [`Ctx::is_long`].
    #[inline]
    pub fn is_long(&self, units: usize) -> bool {
        units > UNITS_AT_ONCE || (self.is_forced() && units > 0)
    }

    /// Whether slices are counted, not timed.
    pub fn is_forced(&self) -> bool {
        self.forced_units.is_some()
    }

    /// A new turn: `ticks` for the first steps of the jobs that begin in it.
    #[inline]
    pub fn begin_turn(&mut self, ticks: u64) {
        self.turn_ticks = ticks;
    }

    /// A slice that ends at `ticks`.
    pub fn budget(&self, until_ticks: u64, clock: &Clock) -> Budget {
        match self.forced_units {
            Some(units) => Budget::units(units),
            None => Budget::until(until_ticks, clock),
        }
    }

    /// The first slice of what a command has begun at `started`, within the time that this turn has left for that.
    pub fn first_budget(&self, started_ticks: u64, clock: &Clock) -> Budget {
        self.budget(started_ticks + self.turn_ticks, clock)
    }

    /// So much of that time is gone.
    pub fn spend_turn(&mut self, ticks: u64) {
        self.turn_ticks = self.turn_ticks.saturating_sub(ticks);
    }

    /// Leaves a compound for the caller of its handler.
    pub fn leave_compound(&mut self, compound: Box<dyn Compound>) {
        self.compound = Some(compound);
    }

    /// What [`Ctx::run_compound`] has just left.
    pub fn take_compound(&mut self) -> Option<Box<dyn Compound>> {
        self.compound.take()
    }

    /// The job that runs now, or a part of the compound, will read this key, which its request does not name. To be
    /// said before its slice ends; of a job whose request names no key at all.
    pub fn need_further(&mut self, place: Place) {
        self.further.push(place);
    }

    /// What parts of the compound that ran just now will read besides.
    pub fn take_further(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.further)
    }

    /// A compound goes on as a job: [`Jobs::take_parking`] is to find it.
    pub fn park_compound(&mut self, compound: Box<dyn Compound>, taking: Taking) {
        self.parking = Some(Parking { task: Task::Compound(Some(compound)), taking });
    }

    /// Takes what [`Ctx::run`] has parked.
    pub fn take_parking(&mut self) -> Option<Parking> {
        self.parking.take()
    }

    /// The next number of a job.
    pub fn new_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// A place in the order of those who wait.
    pub fn new_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Adds a job to those that run.
    pub fn add(&mut self, running: Box<Running>) {
        self.running.push_back(running);
    }

    /// Gives the job parked last the request it came from. Between parking and this, somebody who waited may have been
    /// served and been parked and given his: so of those without a request, the last.
    pub fn give_args(&mut self, args: OwnedArgs) {
        let lacking = |running: &&mut Box<Running>| running.args.parts().1.is_empty();
        if let Some(running) = self.running.iter_mut().rev().find(lacking) {
            running.args_bytes = args.memory_bytes();
            running.args = args;
        }
    }

    /// Whether nothing may go on, for a test.
    pub fn is_stopped(&self) -> bool {
        self.slices_left == Some(0)
    }

    /// A slice is about to run.
    pub fn count_slice(&mut self) {
        if let Some(slices) = &mut self.slices_left {
            *slices = slices.saturating_sub(1);
        }
    }

    /// Takes the next job that can go on.
    pub fn take_next(&mut self) -> Option<Box<Running>> {
        let at = self.next_runnable()?;
        self.count_slice();
        self.running.remove(at)
    }

    /// The command of a client waits for the end of the job that goes on alone.
    fn keep_waiting(&mut self, client: usize) {
        self.kept.push(client);
    }

    /// No job goes on alone any longer: those who waited for that look again.
    pub fn wake_kept(&mut self, wakes: &mut Vec<usize>) {
        wakes.append(&mut self.kept);
    }

    /// Whether a job besides the one that runs now is in the middle of its work, or of letting go of what it held:
    /// its keys are to be found where they were until then.
    pub fn has_workers(&self) -> bool {
        self.running.iter().any(|running| match running.phase {
            Phase::Work | Phase::Remember(_) | Phase::Release(_) => true,
            Phase::Find | Phase::Take(_) => false,
        })
    }

    /// Whether a job works in several databases: it runs other commands, or looks into all of them.
    pub fn has_compound(&self) -> bool {
        self.running.iter().any(|running| {
            matches!(running.task, Task::Compound(_))
                || matches!(running.keys, KeySource::Places(_))
        })
    }

    /// The moment of `Clock::monotonic` at which a job that waits for something outside is to be called at the latest.
    pub fn away_until(&self) -> Option<Duration> {
        self.running.iter().filter_map(|running| running.away_until).min()
    }

    /// Jobs that wait for something outside look again: all of them, or those whose time has come by `now`. Whether
    /// there are any.
    pub fn wake_away(&mut self, now: Option<Duration>) -> bool {
        let mut has_any = false;
        for running in &mut self.running {
            let is_due = |until: Duration| now.is_none_or(|now| until <= now);
            if running.away_until.is_some_and(is_due) {
                running.away_until = None;
                has_any = true;
            }
        }
        has_any
    }

    /// Whether some job can go on.
    pub fn is_runnable(&self) -> bool {
        self.next_runnable().is_some()
    }

    /// Place of the next job that can go on. Only the oldest of those that take their keys slice by slice may.
    fn next_runnable(&self) -> Option<usize> {
        if self.running.is_empty() || self.is_stopped() {
            return None;
        }
        let oldest = self.oldest_taker();
        if let Some(only) = self.only {
            let mut running = self.running.iter();
            return running.position(|running| running.id == only && !running.is_away());
        }
        self.running.iter().position(|running| match running.phase {
            _ if running.is_away() => false,
            Phase::Take(_) if running.holds_anything() => {
                !running.is_blocked && Some(running.ticket) == oldest
            }
            Phase::Take(_) => !running.is_blocked,
            Phase::Find | Phase::Work | Phase::Remember(_) | Phase::Release(_) => true,
        })
    }

    fn oldest_taker(&self) -> Option<u64> {
        let is_taker = |job: &&Running| matches!(job.phase, Phase::Take(_)) && job.holds_anything();
        let takers = self.running.iter().map(|running| &**running).filter(is_taker);
        takers.map(|running| running.ticket).min()
    }

    // --- who waits ---

    /// Whether somebody older than `ticket` waits for a place in a way that conflicts.
    pub fn is_ahead(&self, place: Place, hold: Hold, ticket: u64) -> bool {
        if self.waiters.is_empty() {
            return false;
        }
        let Some(queue) = self.waiters.get(&place) else { return false };
        queue
            .iter()
            .take_while(|waiter| waiter.ticket < ticket)
            .any(|waiter| waiter.hold.conflicts(hold))
    }

    /// A job that writes begins in a database whose place somebody waits for: it passes him.
    pub fn note_pass(&mut self, db: usize) {
        if self.is_ahead((db, INDEX), Hold::Read, NO_TICKET) {
            self.passes += 1;
        }
    }

    /// Whether so many have passed one who waits for databases that writes have to queue behind him.
    pub fn has_passed_enough(&self) -> bool {
        self.passes >= PASSES_MAX
    }

    /// Whether the client of this ticket waits for the places of databases alone.
    pub fn waits_for_index(&self, ticket: u64) -> bool {
        let places = self.waiting.get(&ticket);
        places.is_some_and(|places| {
            places.iter().all(|&((_, hash), how)| hash == INDEX && how == Hold::Read)
        })
    }

    /// Has a client wait for all these places.
    pub fn wait(&mut self, client: usize, ticket: u64, places: Vec<(Place, Hold)>) {
        for &(place, hold) in &places {
            self.enqueue(place, Waiter { ticket, hold, who: Who::Client(client) });
        }
        self.waiting.insert(ticket, places);
    }

    /// Has a job wait for a key it cannot take yet.
    pub fn wait_as_job(&mut self, running: &mut Running, place: Place, hold: Hold) {
        running.is_blocked = true;
        let who = Who::Job(running.id);
        let is_known =
            self.waiters.get(&place).is_some_and(|queue| queue.iter().any(|w| w.who == who));
        if !is_known {
            self.enqueue(place, Waiter { ticket: running.ticket, hold, who });
        }
    }

    /// Has a ready key wait for these places, before its clients are served.
    pub fn wait_as_serve(&mut self, id: u32, ticket: u64, places: &[(Place, Hold)]) {
        for &(place, hold) in places {
            self.enqueue(place, Waiter { ticket, hold, who: Who::Serve(id) });
        }
        self.serves += usize::from(!places.is_empty());
    }

    /// A ready key waits no longer at these places. Those behind it are woken.
    pub fn stop_waiting_as_serve(
        &mut self,
        id: u32,
        places: &[(Place, Hold)],
        wakes: &mut Vec<usize>,
    ) {
        self.serves -= usize::from(!places.is_empty());
        for &(place, _) in places {
            if let Some(queue) = self.waiters.get_mut(&place) {
                queue.retain(|waiter| waiter.who != Who::Serve(id));
            }
            self.wake(place, wakes);
        }
    }

    /// Ready keys that wait and may look again.
    pub fn take_woken_serves(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.serves_woken)
    }

    /// Whether there are such.
    pub fn has_woken_serves(&self) -> bool {
        !self.serves_woken.is_empty()
    }

    /// Queues are in the order of tickets. A client's is nearly always the youngest.
    fn enqueue(&mut self, place: Place, waiter: Waiter) {
        let queue = self.waiters.entry(place).or_default();
        let at = queue.iter().rposition(|other| other.ticket <= waiter.ticket);
        queue.insert(at.map_or(0, |at| at + 1), waiter);
    }

    /// A job has taken the key it waited for.
    pub fn stop_waiting_as_job(&mut self, job: u32, place: Place) {
        if self.waiters.is_empty() {
            return;
        }
        if let Some(queue) = self.waiters.get_mut(&place) {
            queue.retain(|waiter| waiter.who != Who::Job(job));
            if queue.is_empty() {
                self.waiters.remove(&place);
            }
        }
    }

    /// A client waits no longer: it runs, or is gone. Those behind it are woken.
    pub fn stop_waiting(&mut self, ticket: u64, wakes: &mut Vec<usize>) {
        let Some(places) = self.waiting.remove(&ticket) else { return };
        for (place, hold) in places {
            if place.1 == INDEX && hold == Hold::Write {
                self.passes = 0;
            }
            if let Some(queue) = self.waiters.get_mut(&place) {
                queue.retain(|waiter| waiter.ticket != ticket);
            }
            self.wake(place, wakes);
        }
    }

    /// Something about a place has changed: those in front of its queue look again.
    pub fn wake(&mut self, place: Place, wakes: &mut Vec<usize>) {
        let Some(queue) = self.waiters.get(&place) else { return };
        let mut jobs = Vec::new();
        for (index, waiter) in queue.iter().enumerate() {
            if index > 0 && waiter.hold == Hold::Write {
                break;
            }
            match waiter.who {
                Who::Client(client) => wakes.push(client),
                Who::Job(job) => jobs.push(job),
                Who::Serve(id) => self.serves_woken.push(id),
            }
            if waiter.hold == Hold::Write {
                break;
            }
        }
        if queue.is_empty() {
            self.waiters.remove(&place);
        }
        for running in self.running.iter_mut().filter(|running| jobs.contains(&running.id)) {
            running.is_blocked = false;
        }
    }

    /// Everybody who waits for something in these databases looks again.
    fn wake_databases(&mut self, dbs: &[usize], wakes: &mut Vec<usize>) {
        let in_them = |place: &Place| dbs.contains(&place.0);
        let queues = self.waiters.iter().filter(|(place, _)| in_them(place));
        let (mut clients, mut serves) = (Vec::new(), Vec::new());
        for waiter in queues.flat_map(|(_, queue)| queue) {
            match waiter.who {
                Who::Client(client) => clients.push((waiter.ticket, client)),
                Who::Serve(id) => serves.push((waiter.ticket, id)),
                Who::Job(_) => {}
            }
        }
        // In the order in which they came, not that of a hash map.
        clients.sort_unstable();
        clients.dedup();
        serves.sort_unstable();
        serves.dedup();
        self.serves_woken.extend(serves.into_iter().map(|(_, id)| id));
        wakes.extend(clients.into_iter().map(|(_, client)| client));
        self.running.iter_mut().for_each(|running| running.is_blocked = false);
    }

    // --- databases that change under jobs ---

    /// Whether a job uses a database.
    pub fn uses(&self, db: usize) -> bool {
        self.running.iter().any(|running| running.is_in(db))
    }

    /// The database at an index was replaced by an empty one while jobs used it: they go on in the old one.
    pub fn keep_for_jobs(&mut self, index: usize, db: Db, now: i64, wakes: &mut Vec<usize>) {
        let place = self.limbo.insert(Limbo { db, users: 0 });
        for running in &mut self.running {
            if running.is_in(index) {
                running.limbo = Some(place);
                self.limbo[place].users += 1;
                if matches!(running.phase, Phase::Take(_)) {
                    // It has not begun, and what it will see is as it was now.
                    running.now = now;
                }
            }
        }
        self.wake_databases(&[index], wakes);
    }

    /// A database is being emptied: which of its keys jobs of other databases hold, and which jobs.
    pub fn note_flush(&mut self, db: usize) -> Vec<(u64, u32)> {
        *self.flushes.entry(db).or_default() += 1;
        let held = self.running.iter().filter_map(|job| Some((job.elsewhere?, job.id)));
        held.filter(|((of, _), _)| *of == db).map(|((_, hash), id)| (hash, id)).collect()
    }

    /// How often a database was emptied.
    pub fn flushes(&self, db: usize) -> u64 {
        self.flushes.get(&db).copied().unwrap_or(0)
    }

    /// Whether the job that runs now goes on in a database that was emptied.
    pub fn is_in_limbo(&self) -> bool {
        self.is_in_limbo
    }

    /// Two databases have changed places.
    pub fn swapped(&mut self, first: usize, second: usize, wakes: &mut Vec<usize>) {
        let is_there = |running: &&mut Box<Running>| running.is_in(running.db);
        for running in self.running.iter_mut().filter(is_there) {
            if running.db == first {
                running.db = second;
            } else if running.db == second {
                running.db = first;
            }
        }
        self.wake_databases(&[first, second], wakes);
    }

    /// Puts the database a job goes on in into its place, or takes it out again.
    pub fn exchange(&mut self, running: &Running, dbs: &mut [Db]) {
        self.is_in_limbo = running.limbo.is_some();
        if let Some(limbo) = running.limbo.and_then(|place| self.limbo.get_mut(place))
            && let Some(db) = dbs.get_mut(running.db)
        {
            std::mem::swap(&mut limbo.db, db);
        }
    }

    /// A job needs its old database no longer; the last one gives it back.
    pub fn leave_limbo(&mut self, running: &Running) -> Option<Db> {
        let place = running.limbo?;
        let limbo = self.limbo.get_mut(place)?;
        limbo.users -= 1;
        if limbo.users > 0 {
            return None;
        }
        Some(self.limbo.remove(place).db)
    }

    /// A client is gone: the job whose reply it awaited runs on for nobody.
    pub fn orphan(&mut self, client: usize) {
        for running in self.running.iter_mut().filter(|running| running.client == client) {
            running.is_orphan = true;
        }
    }
}

impl Shared {
    /// The command of a client waits until a job has ended, in no queue.
    #[cold]
    pub fn keep_waiting(&mut self, session: &mut Session) {
        session.waiting = Some(Waiting::Keys);
        if let Some(slot) = self.clients.slot_of(session.id) {
            self.jobs.keep_waiting(slot);
        }
    }

    /// Whether nobody else is there to be served while a long command of this client runs.
    pub fn is_alone(&self, client: &Session) -> bool {
        matches!(client.address, Address::InProcess) && !self.jobs.is_forced()
    }
}

impl Ctx<'_> {
    /// Whether a command with this much to do (keys, elements, kilobytes) is to be a job.
    #[inline]
    pub fn is_long(&self, units: usize) -> bool {
        self.engine.jobs.is_long(units)
    }

    /// Whether nobody else is there to be served meanwhile.
    pub(super) fn is_alone(&self) -> bool {
        match self.client.nesting {
            Nesting::Script => true,
            _ => self.engine.is_alone(self.client),
        }
    }

    /// Runs a job: in place, as far as this turn's time for that reaches, and then in slices between turns. A handler
    /// ends with it.
    pub fn run(&mut self, args: Args<'_>, mut job: impl Job + 'static) -> CmdResult {
        let clock = &self.engine.clock;
        let started = clock.ticks();
        let jobs = &self.engine.jobs;
        let mut budget = match self.is_alone() {
            true => Budget::unlimited(),
            false => jobs.first_budget(started, clock),
        };
        let step = job.step(self, args, &mut budget)?;
        let ticks = self.engine.clock.ticks().saturating_sub(started);
        let jobs = &mut self.engine.jobs;
        jobs.spend_turn(ticks);
        match step {
            Step::Done => Ok(()),
            Step::More | Step::Until(_) => {
                let task = Task::Job(Box::new(job));
                jobs.parking = Some(Parking { task, taking: Taking::AtOnce });
                Err(CmdError::Parked)
            }
        }
    }

    /// Runs a job whose keys are too many to be taken at once ([`Ctx::is_long`]): it begins once it holds them all.
    pub fn run_with_many_keys(&mut self, args: Args<'_>, job: impl Job + 'static) -> CmdResult {
        self.run_after(args, job, Taking::InSlices)
    }

    /// As [`Ctx::run_with_many_keys`], for a job that finds its keys itself ([`Job::find_keys`]), to be held so: it
    /// does not need the request to let go of them.
    pub fn run_and_find_keys(
        &mut self,
        args: Args<'_>,
        job: impl Job + 'static,
        how: Hold,
    ) -> CmdResult {
        self.run_after(args, job, Taking::Finding(how))
    }

    /// Runs a job that reads more keys than the request names, whose names are data of those
    /// ([`Job::find_further_keys`]): it begins once it holds them all.
    pub fn run_with_further_keys(&mut self, args: Args<'_>, job: impl Job + 'static) -> CmdResult {
        self.run_after(args, job, Taking::InSlicesAndFurther)
    }

    fn run_after(
        &mut self,
        args: Args<'_>,
        mut job: impl Job + 'static,
        taking: Taking,
    ) -> CmdResult {
        if self.is_alone() {
            job.step(self, args, &mut Budget::unlimited())?;
            return Ok(());
        }
        self.engine.jobs.parking = Some(Parking { task: Task::Job(Box::new(job)), taking });
        Err(CmdError::Parked)
    }
}
