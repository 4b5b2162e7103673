//! Jobs and the checklist: how a command becomes a job, and how jobs go on between turns.
//!
//! The order for one command: `claims::claim` (may it run beside the jobs there are?) → handler → `park` (it turned
//! out long) → slices by `Engine::run_jobs` → `finish` (reply, statistics). A parked job holds its keys from the
//! moment its handler returned, so nothing can come between; one with very many keys takes them first, and begins its
//! work only with all of them.
use crate::base::chunks::Chunks;
use crate::base::probes;
use crate::command::claims::{claim_places, places_in, places_to_release, unqueue};
use crate::command::client_tracking;
use crate::command::execute::{self, Ran};
use crate::command::keys::ranges_of;
use crate::command::serve;
use crate::command::spec::flag;
use crate::engine::background::Work;
use crate::engine::blocking::NO_TICKET;
use crate::engine::changes::listener;
use crate::engine::ctx::{CmdResult, Ctx, with_ctx};
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::jobs::{
    Budget, INDEX, Job, KeySource, Parking, Phase, Place, Running, Step, Taking, Task, WHOLE,
    places_of_taker,
};
use crate::engine::session::{Session, Waiting, restraint};
use crate::engine::slowlog::ARGUMENTS_MAX;
use crate::engine::table::Found;
use crate::engine::verbs::Verb;
use crate::proto::args::{Args, OwnedArgs};
use crate::proto::limits::REPLY_NODE_BYTES;
use crate::proto::output::counted_nodes;
use crate::proto::reply::Output;
use crate::store::{Db, Hold};

/// Keys taken or let go of between two looks at the clock.
const KEYS_PER_STEP: usize = 64;

/// What the handler of a command that goes on as a job leaves behind.
pub(super) struct Parked<'o> {
    /// Its first step.
    pub(super) ran: Ran,
    /// Unix time of its beginning in milliseconds.
    pub(super) now: i64,
    /// The client's output; what the command wrote there moves to the job.
    pub(super) out: &'o mut Output,
    /// What it holds, where that is not its own keys.
    pub(super) places: Option<Chunks<(Place, Hold)>>,
}

/// Makes a job of the command whose handler has just returned [`CmdError::Parked`]. The caller of the command gives
/// it the request ([`Jobs::give_args`]).
///
/// [`Jobs::give_args`]: crate::engine::jobs::Jobs::give_args
#[cold]
pub(super) fn park(
    dbs: &mut [Db],
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    Parked { ran, now, out, places }: Parked<'_>,
) {
    let Some(Parking { task, taking }) = shared.jobs.take_parking() else { return };
    shared.note_culprit(session, ran.id, args, ran.turn_ticks);
    let has_places = places.is_some();
    let keys = match (places, taking) {
        (Some(places), _) => KeySource::Places(places),
        (None, Taking::InSlicesAndFurther) => {
            KeySource::Further { ranges: ranges_of(ran.command, args), hashes: Vec::new() }
        }
        (None, Taking::Finding(hold)) => KeySource::Found { hashes: Vec::new(), hold },
        (None, _) => KeySource::Ranges(ranges_of(ran.command, args)),
    };
    let start = Start {
        task,
        found: Found { id: ran.id, command: ran.command, first_key: 0 },
        keys,
        phase: match (has_places, taking) {
            (_, Taking::AtOnce) => Phase::Work,
            (true, _) | (false, Taking::Finding(_)) => Phase::Find,
            (false, _) => Phase::Take(0),
        },
        now,
        ticks: ran.ticks,
        out: out.split_off(ran.mark),
        has_waited: ran.has_waited,
    };
    let mut running = begin(dbs, shared, session, start);
    if let Some((db, hash)) = running.task.elsewhere(args)
        && let Some(other) = dbs.get_mut(db)
        && other.holds.hold(hash, Hold::Write, running.id).is_ok()
    {
        running.elsewhere = Some((db, hash));
    }
    if taking == Taking::AtOnce {
        // Nobody else has run since the claim: all of them are free.
        for (place, how) in places_in(&running.keys, running.db, args, 0) {
            if place.1 == INDEX {
                shared.jobs.note_pass(place.0);
            }
            hold(dbs, running.id, place, how);
        }
        if matches!(running.task, Task::Job(_)) {
            hold_further(dbs, shared, &mut running);
        }
    }
    if let Task::Compound(Some(compound)) = &running.task {
        shared.set_busy(compound.beside(running.id));
    }
    shared.jobs.add(running);
}

/// What is not the same for every job that begins.
struct Start {
    task: Task,
    found: Found,
    keys: KeySource,
    phase: Phase,
    now: i64,
    ticks: u64,
    out: Output,
    has_waited: bool,
}

/// A job of this client, whose request is still to come. It holds what stands for the database, not its keys.
fn begin(dbs: &mut [Db], shared: &mut Shared, session: &mut Session, start: Start) -> Box<Running> {
    let Start { task, found, keys, phase, now, ticks, out, has_waited } = start;
    session.waiting = Some(Waiting::Job);
    let is_taker = phase != Phase::Work;
    let finds_further_keys = matches!(keys, KeySource::Further { .. });
    let is_compound = matches!(task, Task::Compound(_));
    let running = Box::new(Running {
        id: shared.jobs.new_id(),
        // One that takes its keys comes after everybody until it holds anything.
        ticket: if is_taker { NO_TICKET } else { shared.jobs.new_ticket() },
        task,
        args: OwnedArgs::default(),
        args_bytes: 0,
        found,
        session: Box::new(session.clone()),
        client: shared.clients.slot_of(session.id).unwrap_or(usize::MAX),
        // One that runs others is at home in no database: what it holds says where it works.
        db: if is_compound { usize::MAX } else { session.db },
        limbo: None,
        // What is found further is only read.
        is_partial: false,
        holds_index: !is_taker && keys.is_written(),
        keys,
        elsewhere: None,
        finds_further_keys,
        now,
        ticks,
        slice_ticks: 0,
        out,
        phase,
        is_blocked: false,
        away_until: None,
        is_orphan: false,
        has_waited,
        is_remembered: false,
    });
    if running.holds_index {
        shared.jobs.note_pass(running.db);
        hold(dbs, running.id, (running.db, INDEX), Hold::Read);
    }
    running
}

impl Engine {
    /// Makes a job of a request of another front door, for which `verb` stands. It finds its keys itself, to be held
    /// so; its error is counted and for the caller to encode. The caller gives the job the request.
    #[cold]
    pub fn park_verb(
        &mut self,
        session: &mut Session,
        verb: Verb,
        job: Box<dyn Job>,
        how: Hold,
    ) -> CmdResult {
        let (id, now) = self.begin_verb(session, verb)?;
        let start = Start {
            task: Task::Job(job),
            found: self.shared.table.found(id),
            keys: KeySource::Found { hashes: Vec::new(), hold: how },
            phase: Phase::Find,
            now,
            ticks: 0,
            out: Output::default(),
            has_waited: false,
        };
        let running = begin(&mut self.dbs, &mut self.shared, session, start);
        self.shared.jobs.add(running);
        Ok(())
    }

    /// Whether a request that needs these places and is no command may run beside the jobs under way. If not, its
    /// client is queued at all of them: run it again when it is woken.
    #[cold]
    pub fn claim(&mut self, session: &mut Session, places: Vec<(Place, Hold)>) -> bool {
        claim_places(&self.dbs, &mut self.shared, session, places)
    }

    /// A client whose request has to wait for something else waits for no key meanwhile.
    #[cold]
    pub fn unclaim(&mut self, session: &mut Session) {
        unqueue(&mut self.shared, session);
    }

    /// Goes on with the jobs, the one whose turn it is first, for at most about `budget_us` microseconds.
    pub fn run_jobs(&mut self, budget_us: u64) -> Work {
        let clock = &self.shared.clock;
        let until = clock.ticks().saturating_add(clock.ticks_of(budget_us.saturating_mul(1000)));
        loop {
            let is_free = self.shared.busy.is_none() && !self.shared.jobs.is_stopped();
            if is_free && self.has_ready_keys() {
                self.shared.jobs.count_slice();
                let mut budget = self.shared.jobs.budget(until, &self.shared.clock);
                if self.serve(&mut budget) == Work::Left || self.shared.jobs.is_forced() {
                    break;
                }
            }
            if is_free && self.shared.watch.is_sweeping() {
                self.shared.jobs.count_slice();
                self.sweep_watched();
                if self.shared.clock.ticks() >= until || self.shared.jobs.is_forced() {
                    break;
                }
                continue;
            }
            let Some(mut running) = self.shared.jobs.take_next() else { break };
            let started = self.shared.clock.ticks();
            running.slice_ticks = started;
            let mut budget = self.shared.jobs.budget(until, &self.shared.clock);
            self.shared.jobs.exchange(&running, &mut self.dbs);
            self.shared.blocking.set_maker(Some(running.ticket));
            let is_over = self.advance(&mut running, &mut budget);
            self.shared.blocking.set_maker(None);
            self.shared.jobs.exchange(&running, &mut self.dbs);
            let ticks = self.shared.clock.ticks() - started;
            running.ticks += ticks;
            self.note_slice(&running, ticks);
            self.note_memory(&running);
            if is_over {
                self.forget_job(*running);
            } else {
                self.shared.jobs.add(running);
            }
            if self.shared.clock.ticks() >= until || self.shared.jobs.is_forced() {
                break;
            }
        }
        if self.has_work_for_jobs() { Work::Left } else { Work::Done }
    }

    /// Goes on with all jobs until none can go on, however long that takes: for a command that is in the middle of its
    /// work, and finds a key held that it could not name before.
    pub(super) fn finish_jobs(&mut self) {
        self.shared.jobs.wake_away(None);
        while let Some(mut running) = self.shared.jobs.take_next() {
            running.slice_ticks = self.shared.clock.ticks();
            self.shared.jobs.exchange(&running, &mut self.dbs);
            let is_over = self.advance(&mut running, &mut Budget::unlimited());
            self.shared.jobs.exchange(&running, &mut self.dbs);
            match is_over {
                true => self.forget_job(*running),
                false => self.shared.jobs.add(running),
            }
        }
    }

    /// Whether [`Engine::run_jobs`] has something to go on with.
    pub fn has_work_for_jobs(&self) -> bool {
        let has_more = self.has_ready_keys() || self.shared.watch.is_sweeping();
        self.shared.jobs.is_runnable() || (has_more && !self.shared.jobs.is_stopped())
    }

    /// Tells tracers and the stall ledger of a slice.
    fn note_slice(&mut self, running: &Running, ticks: u64) {
        let shared = &mut self.shared;
        let id = running.found.id;
        probes::job_slice(|| shared.table.full_name(id), || shared.clock.nanos(ticks));
        if ticks >= shared.thresholds.culprit_ticks {
            let shown = running.task.shown(running.args.lend(&self.hasher).args(), 2);
            let list = shown.as_ref().unwrap_or(&running.args).lend(&self.hasher);
            shared.note_culprit(&running.session, id, list.args(), ticks);
        }
    }

    /// What a job holds counts as its client's.
    fn note_memory(&mut self, running: &Running) {
        if !running.is_orphan && !matches!(running.phase, Phase::Release(_)) {
            let reply_bytes =
                running.out.capacity() + running.out.block_bytes() + running.task.reply_bytes();
            self.shared.clients.note_job(running.client, running.args_bytes + reply_bytes);
        }
    }

    /// One slice of one job; true once nothing of it is left.
    fn advance(&mut self, running: &mut Running, budget: &mut Budget) -> bool {
        loop {
            match running.phase {
                Phase::Find => match self.find_keys(running, budget) {
                    Ok(Step::More | Step::Until(_)) => return false,
                    Ok(Step::Done) => {
                        running.phase = Phase::Take(0);
                        // Only the oldest of those who take may go on: whether it is is asked again.
                        return false;
                    }
                    Err(error) => {
                        running.keys = KeySource::default();
                        self.release_index(running);
                        self.finish(running, Err(error));
                        running.phase = Phase::Release(0);
                    }
                },
                Phase::Take(from) => {
                    if !self.take_keys(running, from, budget) {
                        return false;
                    }
                    if running.finds_further_keys {
                        if self.find_further_keys(running, budget) == Step::More {
                            return false;
                        }
                        running.finds_further_keys = false;
                        continue;
                    }
                    running.phase = Phase::Work;
                    if running.limbo.is_none() {
                        // While it took them some may have expired, so none may live that would have.
                        running.now = self.shared.clock.unix_ms();
                    }
                    if !running.writes() {
                        self.release_index(running);
                    }
                }
                Phase::Work => {
                    let result = self.work(running, budget);
                    if let Ok(Step::Until(moment)) = result {
                        running.away_until = Some(moment);
                        return false;
                    }
                    let is_done = !matches!(result, Ok(Step::More));
                    if is_done && self.begin_remembering(running, &result) {
                        running.phase = Phase::Remember(0);
                    } else if is_done {
                        self.finish(running, result.map(|_| ()));
                        running.phase = Phase::Release(0);
                    } else if !self.check_reply(running) {
                        running.phase = Phase::Release(0);
                    }
                }
                Phase::Remember(from) => {
                    if !self.remember(running, from, budget) {
                        return false;
                    }
                    running.is_remembered = true;
                    self.finish(running, Ok(()));
                    running.phase = Phase::Release(0);
                }
                Phase::Release(from) => {
                    if self.release_keys(running, from, budget) {
                        return true;
                    }
                }
            }
            if budget.spend(0) {
                return false;
            }
        }
    }

    /// Has the job find the next of its keys.
    fn find_keys(&mut self, running: &mut Running, budget: &mut Budget) -> Result<Step, CmdError> {
        if let (Task::Compound(Some(compound)), KeySource::Places(places)) =
            (&mut running.task, &mut running.keys)
        {
            let list = running.args.lend(&self.hasher);
            return Ok(compound.find_places(self, list.args(), places, budget));
        }
        let KeySource::Found { hashes, .. } = &mut running.keys else { return Ok(Step::Done) };
        let list = running.args.lend(&self.hasher);
        let Some(job) = running.task.job() else { return Ok(Step::Done) };
        job.find_keys(list.args(), hashes, budget)
    }

    /// Has the job look for the next of its further keys in those it holds.
    fn find_further_keys(&mut self, running: &mut Running, budget: &mut Budget) -> Step {
        let KeySource::Further { hashes, .. } = &mut running.keys else { return Step::Done };
        let mut hashes = std::mem::take(hashes);
        let step = self.with_ctx(running, |job, ctx, args| {
            job.find_further_keys(ctx, args, &mut hashes, budget)
        });
        if let KeySource::Further { hashes: kept, .. } = &mut running.keys {
            *kept = hashes;
        }
        step.unwrap_or(Step::Done)
    }

    /// Takes what stands for the databases of a job that takes its keys, all of it or nothing. It waits for that behind
    /// everybody, and is the youngest of those who hold anything then: nobody who holds keys waits for it.
    fn take_base(&mut self, running: &mut Running) {
        let is_written = running.keys.is_written() && !running.finds_further_keys;
        let base: Vec<(Place, Hold)> = match &running.keys {
            KeySource::Places(places) => {
                let is_base = |&&((_, hash), _): &&(Place, Hold)| hash == INDEX || hash == WHOLE;
                places.iter().take_while(is_base).copied().collect()
            }
            _ => places_of_taker(running.db, is_written).collect(),
        };
        let Engine { dbs, shared, .. } = self;
        for &((index, hash), how) in &base {
            let Some(db) = dbs.get_mut(index) else { continue };
            let is_first = !shared.jobs.is_ahead((index, hash), how, NO_TICKET);
            if !is_first || !db.holds.is_free_for(hash, how, running.id) {
                shared.jobs.wait_as_job(running, (index, hash), how);
                return;
            }
            shared.jobs.stop_waiting_as_job(running.id, (index, hash));
        }
        base.iter().for_each(|&(place, how)| hold(dbs, running.id, place, how));
        running.ticket = shared.jobs.new_ticket();
        if matches!(running.keys, KeySource::Places(_)) {
            running.phase = Phase::Take(base.len());
        } else {
            (running.holds_index, running.is_partial) = (true, is_written);
        }
    }

    /// Takes keys, those it changes first, until all are held, one is not free, or the slice is over; true: all are.
    fn take_keys(&mut self, running: &mut Running, from: usize, budget: &mut Budget) -> bool {
        if from == 0 && !running.holds_index {
            // Only the oldest of those who hold anything may go on: whether it is is asked again.
            self.take_base(running);
            return false;
        }
        // The list lives as long as the loop, and the job's fields change meanwhile.
        let args = std::mem::take(&mut running.args);
        let keys = std::mem::take(&mut running.keys);
        let lent = args.lend(&self.hasher);
        let jobs = &mut self.shared.jobs;
        let (mut taken, piece) = (from, budget.piece(KEYS_PER_STEP));
        let mut is_complete = true;
        for (place, how) in places_in(&keys, running.db, lent.args(), from) {
            let Some(db) = self.dbs.get_mut(place.0) else { continue };
            let hash = place.1;
            // Of a database emptied since then, nobody but jobs of the same time wants anything.
            let is_first = running.limbo.is_some() || !jobs.is_ahead(place, how, running.ticket);
            let is_free = is_first && db.holds.is_free_for(hash, how, running.id);
            if !is_free {
                jobs.wait_as_job(running, place, how);
                is_complete = false;
                break;
            }
            jobs.stop_waiting_as_job(running.id, place);
            // Without memory for the record nobody would be kept away: better to wait a moment.
            if db.holds.hold(hash, how, running.id).is_err() {
                is_complete = false;
                break;
            }
            taken += 1;
            if taken.is_multiple_of(piece) && budget.spend(piece as u64) {
                is_complete = false;
                break;
            }
        }
        running.phase = Phase::Take(taken);
        (running.args, running.keys) = (args, keys);
        is_complete
    }

    /// One step of the work itself.
    fn work(&mut self, running: &mut Running, budget: &mut Budget) -> Result<Step, CmdError> {
        if matches!(running.task, Task::Compound(_)) {
            return self.step_compound(running, budget);
        }
        if running.is_orphan && running.found.command.flags & flag::WRITE == 0 {
            self.with_ctx(running, |job, ctx, _| job.give_up(ctx));
            return Ok(Step::Done);
        }
        let result = self.with_ctx(running, |job, ctx, args| job.step(ctx, args, budget));
        hold_further(&mut self.dbs, &mut self.shared, running);
        result.unwrap_or(Ok(Step::Done))
    }

    /// Has `work` see what a handler sees, as of the job's beginning.
    fn with_ctx<T>(
        &mut self,
        running: &mut Running,
        work: impl FnOnce(&mut dyn Job, &mut Ctx<'_>, Args<'_>) -> T,
    ) -> Option<T> {
        let Running { db, now, args, session, out, task, .. } = running;
        let (job, list) = (task.job()?, args.lend(&self.hasher));
        let Engine { dbs, shared, .. } = self;
        with_ctx(dbs, shared, session, *db, *now, out, |ctx| work(job, ctx, list.args()))
    }

    /// `client-output-buffer-limit` while the reply grows: false where the client is cut and nothing else needs the
    /// job.
    fn check_reply(&mut self, running: &mut Running) -> bool {
        running.out.seal();
        let limit_bytes = self.shared.config.output_limits().normal.hard_bytes as usize;
        let reply_bytes = running.out.len() + running.task.reply_bytes();
        let counted_bytes = counted_nodes(reply_bytes) * REPLY_NODE_BYTES;
        if running.is_orphan || limit_bytes == 0 || counted_bytes < limit_bytes {
            return true;
        }
        self.shared.cut_for_output(running.client);
        running.is_orphan = true;
        let is_compound = matches!(running.task, Task::Compound(_));
        if is_compound || running.found.command.flags & flag::WRITE != 0 {
            return true;
        }
        self.with_ctx(running, |job, ctx, _| job.give_up(ctx));
        false
    }

    /// The reply is complete: statistics, MONITOR, the slow log, and off it goes.
    fn finish(&mut self, running: &mut Running, result: Result<(), CmdError>) {
        self.shared.jobs.ended += 1;
        let id = running.found.id;
        let mut out = std::mem::take(&mut running.out);
        let mark = Output::default().mark();
        // The ledger is told slice by slice.
        let ticks = running.ticks + self.shared.clock.ticks().saturating_sub(running.slice_ticks);
        let Running { has_waited, is_remembered, .. } = *running;
        let new = Ran::new(running.found, ticks, result, mark);
        let mut ran = Ran { turn_ticks: 0, has_waited, is_remembered, ..new };
        if running.session.is(restraint::TRACKING) {
            self.note_gone();
        }
        let shared = &mut self.shared;
        if matches!(ran.result, Err(CmdError::Blocked)) {
            return self.end_as_blocked(running, ran, out);
        }
        if let (Err(error), Some(encode)) = (&ran.result, running.task.error_form()) {
            let message = error.message();
            out = Output::default();
            encode(&message, &mut out);
            shared.stats.count_failure(id, &message);
            ran.result = Ok(());
        }
        // MONITOR shows all of a request, the slow log little.
        let arguments_max = if shared.monitors.is_empty() { ARGUMENTS_MAX } else { usize::MAX };
        let shown = running.task.shown(running.args.lend(&self.hasher).args(), arguments_max);
        let list = shown.as_ref().unwrap_or(&running.args).lend(&self.hasher);
        let present =
            if running.is_orphan { None } else { shared.clients.checkout(running.client) };
        match present {
            Some(mut session) => {
                session.waiting = None;
                session.job_bytes = 0;
                shared.clients.recount(&session);
                execute::account(shared, &mut session, list.args(), ran, &mut out);
                if !shared.outbox.pending.is_empty() {
                    shared.settle_pending(&mut session, &mut out);
                }
                shared.clients.checkin(running.client, session);
                shared.outbox.replies.push((running.client, out));
            }
            None => {
                let mut session = running.session.clone();
                execute::account(shared, &mut session, list.args(), ran, &mut out);
                shared.graveyard.bury_output(out);
            }
        }
    }

    /// The job has its client wait for keys, which it still holds.
    fn end_as_blocked(&mut self, running: &mut Running, mut ran: Ran, mut out: Output) {
        ran.turn_ticks = 0;
        let shared = &mut self.shared;
        let present =
            if running.is_orphan { None } else { shared.clients.checkout(running.client) };
        let Some(mut session) = present else { return };
        let list = running.args.lend(&self.hasher);
        serve::begin_wait(shared, &mut session, list.args(), &ran, &mut out);
        let args = match running.keys {
            KeySource::Found { .. } | KeySource::Places(_) => {
                // It must not look like one that still waits for its request.
                std::mem::replace(&mut running.args, OwnedArgs::from_parts([&[][..]]))
            }
            // It is needed to let go of them.
            KeySource::Ranges(_) | KeySource::Further { .. } => running.args.clone(),
        };
        session.waiting = Some(Waiting::Blocked);
        session.job_bytes = shared.blocking.give_args(args);
        shared.clients.recount(&session);
        shared.clients.checkin(running.client, session);
        // It may have closed its side meanwhile.
        shared.outbox.wakes.push(running.client);
    }

    /// Whether a job that has ended so has read so many keys for a tracked client that those are remembered in slices,
    /// while it still holds them.
    fn begin_remembering(&mut self, running: &Running, result: &Result<Step, CmdError>) -> bool {
        let is_one = result.is_ok()
            && running.session.is(restraint::TRACKING)
            && matches!(running.keys, KeySource::Ranges(_))
            && self.shared.jobs.is_long(running.keys.len())
            && !running.has_waited
            && client_tracking::remembers(&running.session, running.found.command);
        if is_one {
            // A key found expired is void before it is remembered as read.
            self.note_gone();
        }
        is_one
    }

    /// Remembers more of the keys it has read, from one on; true: all are.
    fn remember(&mut self, running: &mut Running, from: usize, budget: &mut Budget) -> bool {
        let list = running.args.lend(&self.hasher);
        let mut done = from;
        loop {
            let count = budget.piece(KEYS_PER_STEP);
            let (session, command) = (&running.session, running.found.command);
            let shared = &mut self.shared;
            let some = client_tracking::remember_some(
                shared,
                session,
                command,
                list.args(),
                (done, count),
            );
            done += some;
            if some < count {
                return true;
            }
            if budget.spend(count as u64) {
                running.phase = Phase::Remember(done);
                return false;
            }
        }
    }

    /// Lets go of keys, and wakes who waits for them; true once none is held.
    fn release_keys(&mut self, running: &mut Running, from: usize, budget: &mut Budget) -> bool {
        let list = running.args.lend(&self.hasher);
        let Shared { jobs, outbox, .. } = &mut self.shared;
        let (mut released, piece) = (from, budget.piece(KEYS_PER_STEP));
        for (place, how) in places_to_release(&running.keys, running.db, list.args(), from) {
            if let Some(db) = self.dbs.get_mut(place.0) {
                db.holds.release(place.1, how);
            }
            jobs.wake(place, &mut outbox.wakes);
            released += 1;
            if released.is_multiple_of(piece) && budget.spend(piece as u64) {
                running.phase = Phase::Release(released);
                return false;
            }
        }
        if let Some(place) = running.elsewhere.take()
            && let Some(other) = self.dbs.get_mut(place.0)
        {
            other.holds.release(place.1, Hold::Write);
            jobs.wake(place, &mut outbox.wakes);
        }
        let Some(db) = self.dbs.get_mut(running.db) else { return true };
        if running.is_partial {
            db.holds.release(WHOLE, Hold::Read);
            jobs.wake((running.db, WHOLE), &mut outbox.wakes);
        }
        self.release_index(running);
        true
    }

    /// A job no longer minds where its database stands.
    fn release_index(&mut self, running: &mut Running) {
        if !std::mem::take(&mut running.holds_index) {
            return;
        }
        let Some(db) = self.dbs.get_mut(running.db) else { return };
        db.holds.release(INDEX, Hold::Read);
        let Shared { jobs, outbox, .. } = &mut self.shared;
        jobs.wake((running.db, INDEX), &mut outbox.wakes);
    }

    /// What a job leaves behind.
    fn forget_job(&mut self, running: Running) {
        let Shared { jobs, outbox, .. } = &mut self.shared;
        jobs.wake_kept(&mut outbox.wakes);
        if let Some(mut old) = self.shared.jobs.leave_limbo(&running) {
            self.shared.graveyard.bury(old.flush());
            if let Some(db) = self.dbs.get_mut(running.db) {
                db.stats.add(&old.stats);
            }
        }
        // A request of a million arguments takes milliseconds to free.
        self.shared.graveyard.bury_garbage(Box::new(running.args));
        match running.keys {
            KeySource::Ranges(_) => {}
            KeySource::Found { hashes, .. } | KeySource::Further { hashes, .. } => {
                self.shared.graveyard.bury_garbage(Box::new(hashes));
            }
            KeySource::Places(places) => self.shared.graveyard.bury_garbage(Box::new(places)),
        }
    }

    /// A client is gone: it waits for nothing, and nobody waits for its reply.
    pub fn forget_client(&mut self, slot: usize) {
        if let Some(blocked) = self.shared.blocking.remove(slot) {
            self.shared.bury_args(blocked.args);
        }
        if let Some(session) = self.shared.clients.get_mut(slot)
            && let Some(transaction) = session.end_transaction()
        {
            self.shared.graveyard.bury_garbage(Box::new(transaction.into_commands()));
        }
        if !self.shared.watch.is_empty()
            && let Some(mut session) = self.shared.clients.checkout(slot)
        {
            self.shared.unwatch(&mut session);
            self.shared.clients.checkin(slot, session);
        }
        if self.shared.listeners & listener::TRACKED != 0 {
            self.shared.forget_tracked(slot);
        }
        if !self.shared.jobs.is_active() {
            return;
        }
        self.shared.jobs.orphan(slot);
        if let Some(mut session) = self.shared.clients.checkout(slot) {
            unqueue(&mut self.shared, &mut session);
            self.shared.clients.checkin(slot, session);
        }
    }
}

/// Holds for a job what it, or a part of it, has just found that it will read.
pub(super) fn hold_further(dbs: &mut [Db], shared: &mut Shared, running: &mut Running) {
    for place in shared.jobs.take_further() {
        if running.keys.is_empty() && !matches!(running.keys, KeySource::Places(_)) {
            // It names none, and what it finds may be anywhere.
            running.keys = KeySource::Places(Chunks::default());
        }
        hold(dbs, running.id, place, Hold::Read);
        if let KeySource::Places(places) = &mut running.keys {
            places.push((place, Hold::Read));
        }
    }
}

/// Holds one place for a job. Where there is no memory for that, others are not kept away; the process is about to end
/// then anyway.
fn hold(dbs: &mut [Db], job: u32, (db, hash): Place, how: Hold) {
    if let Some(db) = dbs.get_mut(db)
        && db.holds.hold(hash, how, job).is_err()
    {
        log::warn!("No memory to hold a key");
    }
}
