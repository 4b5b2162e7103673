//! Commands that run as parts of another one: of EXEC, of a script.
//!
//! A nested command is counted, timed and shown to MONITOR like any other, but nothing is asked before: whether it may
//! run its caller has found out, in its own words. It never waits for keys to bring something. One that turns out long
//! comes back as an [`Inner`], which a transaction steps in slices and a script runs to its end.
//!
//! Jobs of other clients may be under way. What a transaction names it has for itself before it begins. What it cannot
//! name (keys found by SORT's patterns, keys a script does not declare) may be held by one of them: such jobs are run
//! to their end first, which takes as long as it takes.
use crate::base::chunks::Chunks;
use crate::base::time::UnixMillis;
use crate::command::claims;
use crate::command::client_tracking;
use crate::command::execute::{self, Outcome, Ran, Request};
use crate::command::run_jobs::{self, Parked};
use crate::command::spec::Begin;
use crate::engine::ctx::with_ctx;
use crate::engine::engine::Engine;
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Parking, Running, Step, Taking, Task, UNITS_AT_ONCE};
use crate::engine::session::{Nesting, Session, restraint};
use crate::engine::table::Found;
use crate::proto::args::{ArgList, Args, OwnedArgs};
use crate::proto::reply::{Mark, Output};
use crate::store::Hold;

/// A nested command that has not ended yet.
pub struct Inner {
    task: Task,
    found: Found,
    args: OwnedArgs,
    /// Its reply.
    pub out: Output,
    ticks: u64,
    now: UnixMillis,
    /// It has to find keys that it does not name before it may begin.
    is_finding: bool,
}

impl Inner {
    /// What others are told while it runs, if they are to wait for it.
    pub fn busy(&self) -> Option<&'static str> {
        match &self.task {
            Task::Compound(Some(compound)) => compound.busy(),
            _ => None,
        }
    }
}

impl Engine {
    /// Runs one command as a part of what `session.nesting` says, as of `now`. Its reply, or its error, goes to `out`;
    /// that of a command that goes on to `Inner::out`.
    pub fn call_nested(
        &mut self,
        session: &mut Session,
        found: Found,
        args: Args<'_>,
        now: UnixMillis,
        out: &mut Output,
    ) -> Option<Box<Inner>> {
        if self.shared.jobs.is_active() {
            self.clear_the_way(session, found, args);
        }
        let Found { id, command, .. } = found;
        let started = self.shared.clock.ticks();
        let mark = out.mark();
        session.last_command = Some(id);
        let (dbs, db) = (&mut self.dbs, session.db);
        let result = with_ctx(dbs, &mut self.shared, session, db, now, out, |ctx| {
            (command.handler)(ctx, args)
        })?;
        let ticks = self.shared.clock.ticks().saturating_sub(started);
        if session.is(restraint::TRACKING) && matches!(result, Err(CmdError::Compound)) {
            client_tracking::note_script(session, command, args);
        }
        let jobs = &mut self.shared.jobs;
        let going_on = match &result {
            Err(CmdError::Compound) => {
                jobs.take_compound().map(|compound| (Task::Compound(Some(compound)), false))
            }
            Err(CmdError::Parked) => jobs
                .take_parking()
                .map(|Parking { task, taking }| (task, taking == Taking::InSlicesAndFurther)),
            _ => None,
        };
        if let Some((task, is_finding)) = going_on {
            let (args, out) = (OwnedArgs::copy_of(args), out.split_off(mark));
            return Some(Box::new(Inner { task, found, args, out, ticks, now, is_finding }));
        }
        if session.is(restraint::TRACKING) {
            self.note_gone();
        }
        let ran = Ran::new(found, ticks, result, mark);
        execute::account(&mut self.shared, session, args, ran, out);
        None
    }

    /// Goes on with a nested command; once that is [`Step::Done`] its whole reply is in `Inner::out`.
    pub fn step_inner(
        &mut self,
        session: &mut Session,
        inner: &mut Inner,
        budget: &mut Budget,
    ) -> Step {
        let started = self.shared.clock.ticks();
        let hasher = self.hasher.clone();
        let owned = std::mem::take(&mut inner.args);
        let list = owned.lend(&hasher);
        let args = list.args();
        let result = match &mut inner.task {
            Task::Job(job) => {
                let (dbs, db) = (&mut self.dbs, session.db);
                let mut hashes = Vec::new();
                let is_finding = &mut inner.is_finding;
                let out = &mut inner.out;
                let stepped = with_ctx(dbs, &mut self.shared, session, db, inner.now, out, |ctx| {
                    if !*is_finding {
                        return job.step(ctx, args, budget);
                    }
                    let step = job.find_further_keys(ctx, args, &mut hashes, budget);
                    *is_finding = step == Step::More;
                    Ok(Step::More)
                });
                self.need_further(db, &hashes);
                let Some(result) = stepped else { return Step::Done };
                result
            }
            Task::Compound(place) => match place.take() {
                None => Ok(Step::Done),
                Some(mut compound) => {
                    let result = compound.step(self, session, args, &mut inner.out, budget);
                    *place = Some(compound);
                    result
                }
            },
        };
        let turn_ticks = self.shared.clock.ticks().saturating_sub(started);
        inner.ticks += turn_ticks;
        if let Ok(step @ (Step::More | Step::Until(_))) = result {
            inner.args = owned;
            return step;
        }
        let (ticks, result) = (inner.ticks, result.map(|_| ()));
        let mark = Output::default().mark();
        let ran = Ran { turn_ticks, ..Ran::new(inner.found, ticks, result, mark) };
        execute::account(&mut self.shared, session, args, ran, &mut inner.out);
        Step::Done
    }

    /// Runs jobs of others to their end, if they hold what a command of a script may look at.
    #[cold]
    fn clear_the_way(&mut self, session: &Session, found: Found, args: Args<'_>) {
        let finds_further_keys =
            found.command.keys.iter().any(|spec| matches!(spec.begin, Begin::Unknown));
        if session.nesting == Nesting::Script
            && (finds_further_keys || !claims::are_free(self, session, found, args))
        {
            self.finish_jobs();
        }
    }

    /// A command of a transaction will read these keys, which its request does not name. Jobs that change one are run
    /// to their end; those that still take their keys wait for the transaction, once it holds these, too.
    fn need_further(&mut self, db: usize, hashes: &[u64]) {
        for &hash in hashes {
            let place = (db, hash);
            if self.shared.jobs.is_active() && !claims::is_free(&self.dbs, place, Hold::Read) {
                self.finish_jobs();
            }
            self.shared.jobs.need_further(place);
        }
    }

    /// The handler of a command that runs others has just left it behind: its first step, and what follows.
    #[cold]
    pub(super) fn execute_compound(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        found: Found,
        out: &mut Output,
        (mark, started): (Mark, &mut u64),
    ) -> Outcome {
        let Some(mut compound) = self.shared.jobs.take_compound() else { return Outcome::Done };
        let hasher = self.hasher.clone();
        let Request { buffer, spans, blocks, hint, .. } = request;
        let list = ArgList::new(buffer, spans, blocks, &hasher, hint);
        let args = list.args();
        let now = self.shared.clock.unix_ms();
        let is_alone = self.shared.is_alone(session);
        let (step, taking) = if !is_alone && compound.places_len() > UNITS_AT_ONCE {
            (Ok(Step::More), Taking::InSlices)
        } else {
            let shared = &self.shared;
            let mut budget = match is_alone {
                true => Budget::unlimited(),
                false => shared.jobs.first_budget(shared.clock.ticks(), &shared.clock),
            };
            (compound.step(self, session, args, out, &mut budget), Taking::AtOnce)
        };
        let ended = self.shared.clock.ticks();
        let ticks = ended.saturating_sub(*started);
        *started = ended;
        self.shared.jobs.spend_turn(ticks);
        session.last_command = Some(found.id);
        let is_over = !matches!(step, Ok(step) if step.goes_on());
        let result = step.map(|_| ());
        let ran = Ran::new(found, ticks, result, mark);
        if is_over {
            self.shared.jobs.take_further();
            execute::account(&mut self.shared, session, args, ran, out);
            return Outcome::Done;
        }
        let mut places = Chunks::default();
        if taking == Taking::AtOnce {
            let mut unlimited = Budget::unlimited();
            while compound.find_places(self, args, &mut places, &mut unlimited) == Step::More {}
            let further = self.shared.jobs.take_further();
            places.extend(further.into_iter().map(|place| (place, Hold::Read)));
        }
        let places = Some(places);
        self.shared.jobs.park_compound(compound, taking);
        let parked = Parked { ran, now, out, places };
        run_jobs::park(&mut self.dbs, &mut self.shared, session, args, parked);
        Outcome::Running
    }

    /// One slice of a job that runs other commands, for its client as it is now; for one that has gone as it was.
    pub(super) fn step_compound(
        &mut self,
        running: &mut Running,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let Task::Compound(place) = &mut running.task else { return Ok(Step::Done) };
        let Some(mut compound) = place.take() else { return Ok(Step::Done) };
        let slot = running.client;
        let present = if running.is_orphan { None } else { self.shared.clients.checkout(slot) };
        let is_present = present.is_some();
        let mut session = present.unwrap_or_else(|| running.session.clone());
        let hasher = self.hasher.clone();
        let list = running.args.lend(&hasher);
        let result = compound.step(self, &mut session, list.args(), &mut running.out, budget);
        let is_over = !matches!(result, Ok(step) if step.goes_on());
        let busy = if is_over { None } else { compound.beside(running.id) };
        if busy.as_ref().is_some_and(|busy| busy.error.is_some()) {
            // A script counts no units: the slice is over when it says so.
            budget.spend(u64::MAX);
        }
        self.shared.set_busy(busy);
        session.last_command = Some(running.found.id);
        match is_present {
            true => self.shared.clients.checkin(slot, session),
            false => running.session = session,
        }
        running.task = Task::Compound(Some(compound));
        run_jobs::hold_further(&mut self.dbs, &mut self.shared, running);
        result
    }
}
