//! Clients that wait for keys, served: their requests run again when a key they wait for has changed.
//!
//! `engine::blocking` knows who waits for what, and which keys are ready. The order: the command that made keys ready
//! ends → `serve_after_command`, before anybody else's next command → what the turn has no time left for goes on in
//! slices ([`Engine::run_jobs`]). While a ready key waits for its slice, or for a job that holds it, it stands in the
//! queues of those who wait for jobs, so no command that comes later gets at the key before.
//!
//! No deadlock: like a short command a ready key holds nothing while it waits. One that finds more keys taken than its
//! own (where BLMOVE moves to) goes to the end of the line with all of them, behind whoever has taken those.
use std::sync::Arc;

use crate::command::claims;
use crate::command::client_tracking;
use crate::command::execute::{self, Ran};
use crate::command::keys::ranges_of;
use crate::command::run_jobs::{self, Parked};
use crate::command::spec::flag;
use crate::engine::background::Work;
use crate::engine::blocking::{NO_TICKET, ReadyKey, WaitEnd};
use crate::engine::ctx::with_ctx;
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Place};
use crate::engine::monitor;
use crate::engine::session::{Session, restraint};
use crate::proto::args::Args;
use crate::proto::reply::Output;
use crate::store::{Hold, Kind};

/// What serving one key came to.
enum Served {
    /// All its clients have been looked at.
    All,
    /// The slice is over.
    Cut,
    /// It needs these places, and one of them is taken.
    Stalled(Vec<(Place, Hold)>),
}

/// The handler has just registered the client as one that waits: what else there is to do.
#[cold]
pub(super) fn begin_wait(
    shared: &mut Shared,
    session: &mut Session,
    args: Args<'_>,
    ran: &Ran,
    out: &mut Output,
) {
    out.rewind(ran.mark);
    // Its duration is known once it ends.
    shared.stats.count_call(ran.id, ran.ticks, None);
    if let Some(blocked) = shared.blocking.newest_mut() {
        blocked.ticks = ran.ticks;
    }
    if session.is(restraint::TRACKING) {
        // What it waits for it has read: not again when it is served.
        client_tracking::after_command(shared, session, (ran.id, ran.command, false), args);
    }
    let is_hidden = ran.command.flags & (flag::SKIP_MONITOR | flag::ADMIN) != 0;
    if !shared.monitors.is_empty() && !is_hidden {
        monitor::feed(shared, session, args);
    }
    if ran.ticks >= shared.thresholds.least_ticks {
        shared.note_culprit(session, ran.id, args, ran.turn_ticks);
        shared.note_command_spike(ran.command, ran.ticks);
    }
}

impl Engine {
    /// Whether there are clients to look at because a key they wait for has changed. O(databases) while somebody minds
    /// that keys go, else O(1).
    pub fn has_ready_keys(&self) -> bool {
        let blocking = &self.shared.blocking;
        blocking.has_ready()
            || self.shared.jobs.has_woken_serves()
            || (blocking.is_minding() && self.dbs.iter().any(|db| !db.expired_log.is_empty()))
    }

    /// Serves whom the command that has just ended can serve, as far as the time for that in this turn reaches; at
    /// least one. To be called when a whole command, transaction or script has ended.
    #[cold]
    pub fn serve_after_command(&mut self) {
        let Shared { jobs, clock, .. } = &mut self.shared;
        let started = clock.ticks();
        let mut budget = jobs.first_budget(started, clock);
        self.serve(&mut budget);
        let shared = &mut self.shared;
        shared.jobs.spend_turn(shared.clock.ticks().saturating_sub(started));
    }

    /// Serves ready keys until none is left that can be, or the budget is spent.
    pub(super) fn serve(&mut self, budget: &mut Budget) -> Work {
        self.note_gone();
        let mut is_spent = false;
        loop {
            for id in self.shared.jobs.take_woken_serves() {
                self.shared.blocking.resume(id);
            }
            let Some(mut ready) = self.shared.blocking.take_ready() else { break };
            match self.serve_key(&mut ready, budget, &mut is_spent) {
                Served::All => self.strike(&ready),
                Served::Cut => {
                    self.shared.blocking.put_back(ready);
                    self.line_up();
                    self.shared.blocking.set_maker(None);
                    return Work::Left;
                }
                Served::Stalled(places) => self.stall(ready, places),
            }
        }
        self.shared.blocking.set_maker(None);
        Work::Done
    }

    /// Looks at the clients of one ready key, unless the slice is over before it comes to one.
    fn serve_key(
        &mut self,
        ready: &mut ReadyKey,
        budget: &mut Budget,
        is_spent: &mut bool,
    ) -> Served {
        let hash = self.hasher.hash(&ready.key);
        // Whom serving this makes ready comes after the same.
        self.shared.blocking.set_maker((ready.ticket != NO_TICKET).then_some(ready.ticket));
        let now = self.shared.clock.unix_ms();
        loop {
            let shared = &mut self.shared;
            let Some(db) = self.dbs.get_mut(ready.db) else { return Served::All };
            if !shared.blocking.has_clients(ready) {
                return Served::All;
            }
            let own = ((ready.db, hash), Hold::Write);
            if !db.holds.is_free(hash, Hold::Write)
                || shared.jobs.is_ahead(own.0, own.1, ready.ticket)
            {
                return Served::Stalled(vec![own]);
            }
            db.begin(now, shared.is_lfu);
            let kind = db.peek(self.hasher.key(&ready.key)).map(|entry| entry.kind());
            let Some((order, client)) = shared.blocking.next_client(ready, kind) else {
                return Served::All;
            };
            if *is_spent {
                return Served::Cut;
            }
            if self.shared.blocking.get_at(order, client).is_none() {
                // It waits no longer, and is about to leave the queue.
                ready.from = order + 1;
                *is_spent = budget.spend(1);
                continue;
            }
            if let Some(places) = self.lacks(ready, client, own) {
                return Served::Stalled(places);
            }
            ready.from = order + 1;
            self.look(ready, client, kind);
            *is_spent = budget.spend(1);
        }
    }

    /// What a client's request needs beside its ready key, if not all of that can be had now: everything it needs. Keys
    /// it would look at if they were ready it does not need.
    fn lacks(
        &self,
        ready: &ReadyKey,
        client: usize,
        own: (Place, Hold),
    ) -> Option<Vec<(Place, Hold)>> {
        let shared = &self.shared;
        if !shared.jobs.is_active() {
            return None;
        }
        let blocked = shared.blocking.get(client)?;
        let lent = blocked.args.lend(&self.hasher);
        let args = lent.args();
        let mut places = vec![own];
        for range in ranges_of(blocked.found.command, args) {
            for nth in 0..range.count {
                let index = range.at(nth);
                if !blocked.places.contains(&index) {
                    places.push(((ready.db, args.key(index).hash), range.hold));
                }
            }
        }
        let is_free = places.iter().skip(1).all(|&(place, hold)| {
            claims::is_free(&self.dbs, place, hold)
                && !shared.jobs.is_ahead(place, hold, ready.ticket)
        });
        (!is_free).then_some(places)
    }

    /// One client of a ready key that holds `kind` now.
    fn look(&mut self, ready: &ReadyKey, client: usize, kind: Option<Kind>) {
        let Some(blocked) = self.shared.blocking.get(client) else { return };
        if kind == Some(blocked.kind) {
            self.run_again(client, ready.key.clone());
        } else if let Some(error) = blocked.gone {
            self.shared.end_wait(client, WaitEnd::Error(error));
        }
    }

    /// Runs the request of a client that waits again. It waits on where it still finds nothing.
    fn run_again(&mut self, client: usize, key: Arc<[u8]>) {
        let Some(mut session) = self.shared.clients.checkout(client) else { return };
        let Some(blocked) = self.shared.blocking.get_mut(client).filter(|_| !session.is_killed)
        else {
            return self.shared.clients.checkin(client, session);
        };
        let (found, first_ticks) = (blocked.found, blocked.ticks);
        let args = std::mem::take(&mut blocked.args);
        let lent = args.lend(&self.hasher);
        let shared = &mut self.shared;
        let (started, now) = (shared.clock.ticks(), shared.clock.unix_ms());
        let mut out = Output::default();
        let mark = out.mark();
        session.woken_by = Some(key);
        let (dbs, db) = (&mut self.dbs, session.db);
        let result = with_ctx(dbs, shared, &mut session, db, now, &mut out, |ctx| {
            (found.command.handler)(ctx, lent.args())
        });
        let result = result.unwrap_or(Ok(()));
        session.woken_by = None;
        let turn_ticks = shared.clock.ticks().saturating_sub(started);
        let ticks = first_ticks + turn_ticks;
        if matches!(result, Err(CmdError::Blocked)) {
            if let Some(blocked) = shared.blocking.get_mut(client) {
                blocked.args = args;
            }
            return shared.clients.checkin(client, session);
        }
        shared.blocking.remove(client);
        session.active_ms = now;
        let new = Ran::new(found, ticks, result, mark);
        let ran = Ran { turn_ticks, has_waited: true, ..new };
        if matches!(ran.result, Err(CmdError::Parked)) {
            let parked = Parked { ran, now, out: &mut out, places: None };
            run_jobs::park(&mut self.dbs, shared, &mut session, lent.args(), parked);
            shared.clients.checkin(client, session);
            return shared.jobs.give_args(args);
        }
        execute::account(shared, &mut session, lent.args(), ran, &mut out);
        if !shared.outbox.pending.is_empty() {
            shared.settle_pending(&mut session, &mut out);
        }
        session.waiting = None;
        session.job_bytes = 0;
        shared.clients.recount(&session);
        shared.clients.checkin(client, session);
        shared.outbox.replies.push((client, out));
        shared.bury_args(args);
    }

    // --- the line of those who wait for jobs ---

    /// Nothing is left to serve at a key: those behind it go on.
    fn strike(&mut self, ready: &ReadyKey) {
        let Shared { jobs, outbox, .. } = &mut self.shared;
        jobs.stop_waiting_as_serve(ready.id, &ready.places, &mut outbox.wakes);
    }

    /// Has a ready key wait for these places.
    fn stall(&mut self, mut ready: ReadyKey, places: Vec<(Place, Hold)>) {
        if ready.places != places {
            self.strike(&ready);
            if ready.ticket == NO_TICKET || places.len() > 1 {
                ready.ticket = self.shared.jobs.new_ticket();
            }
            self.shared.jobs.wait_as_serve(ready.id, ready.ticket, &places);
            ready.places = places;
        }
        self.shared.blocking.stall(ready);
    }

    /// What has to wait for the next slice keeps later commands from its keys.
    fn line_up(&mut self) {
        let Shared { blocking, jobs, .. } = &mut self.shared;
        for ready in blocking.ready_mut().filter(|ready| ready.places.is_empty()) {
            if ready.ticket == NO_TICKET {
                ready.ticket = jobs.new_ticket();
            }
            ready.places = vec![((ready.db, self.hasher.hash(&ready.key)), Hold::Write)];
            jobs.wait_as_serve(ready.id, ready.ticket, &ready.places);
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
