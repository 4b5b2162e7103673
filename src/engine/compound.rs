//! Commands that run other commands: EXEC, scripts.
//!
//! A handler sees one database and cannot run another handler. So the handler of such a command only checks its
//! request and leaves a [`Compound`] behind ([`Ctx::run_compound`]); whoever called it steps that with the whole
//! engine. One that does not end in its first step goes on as a job, and holds the keys it names then.
use crate::base::chunks::Chunks;
use crate::engine::budget::Budget;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::{Busy, Engine};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Place, Step};
use crate::engine::session::Session;
use crate::proto::args::Args;
use crate::proto::reply::Output;
use crate::store::Hold;

/// A command that runs others.
pub trait Compound: Send {
    /// Goes on until it is over or the budget is spent. What it answers goes to `out`.
    ///
    /// # Errors
    /// Take the place of all that was written to `out`.
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Result<Step, CmdError>;

    /// Adds what nobody else may change, or see, between its steps. Called until it says [`Step::Done`]: when the first
    /// step has not ended it, or, where there is much of it, before that.
    fn find_places(
        &mut self,
        engine: &Engine,
        args: Args<'_>,
        places: &mut Chunks<(Place, Hold)>,
        budget: &mut Budget,
    ) -> Step {
        let _ = (engine, args, places, budget);
        Step::Done
    }

    /// What other clients are told between its steps, if their commands are refused meanwhile.
    fn busy(&self) -> Option<&'static str> {
        None
    }

    /// Whether the commands of others wait between its steps, whatever they are about.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// What is so between its steps, as job `job`.
    fn beside(&self, job: u32) -> Option<Busy> {
        let error = self.busy();
        (error.is_some() || self.is_exclusive()).then_some(Busy { job, error })
    }

    /// How much there is to look through for these places. Where it is much the compound finds and takes them in
    /// slices, and has its first step once it holds them all.
    fn places_len(&self) -> usize {
        0
    }
}

impl Ctx<'_> {
    /// Has the command go on as one that runs others. A handler ends with it.
    pub fn run_compound(&mut self, compound: impl Compound + 'static) -> CmdResult {
        self.engine.jobs.leave_compound(Box::new(compound));
        Err(CmdError::Compound)
    }
}
