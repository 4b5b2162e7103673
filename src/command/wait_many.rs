//! Commands that look at very many keys and then wait for them (BLPOP, BZPOPMIN and their like), in slices.
//!
//! The job takes its keys first, and finds their hashes itself: when it ends its request goes on to those who wait, and
//! the keys are still to be let go of.
use std::ops::Range;

use crate::base::pieces::Progress;
use crate::engine::blocking::Wait;
use crate::engine::blocking_many::Queueing;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Parking, Step, Stepped, Task};
use crate::proto::args::Args;
use crate::store::Hold;

/// Looks at the key at one place; whether it had something: then the reply is complete. [`CmdError::Parked`] where that
/// is a job of its own.
pub(super) type Look =
    Box<dyn FnMut(&mut Ctx<'_>, Args<'_>, usize) -> Result<bool, CmdError> + Send>;

/// Whether a command is to look at so many keys, and wait for them, as a job. One key never is, and who is woken looks
/// at one.
pub(super) fn may_be_long(ctx: &Ctx<'_>, keys: usize) -> bool {
    !ctx.is_woken() && ctx.is_long(keys.saturating_sub(1))
}

/// Looks at the keys at these places, which the command may change, until one has something, or waits for them.
pub(super) fn look_or_wait(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    keys: Range<usize>,
    wait: Wait,
    look: Look,
) -> CmdResult {
    let next = keys.start;
    let job =
        WaitMany { keys, next, look, wait: Some(wait), serving: None, queueing: None, found: 0 };
    ctx.run_and_find_keys(args, job, Hold::Write)
}

/// See the head of the file.
struct WaitMany {
    keys: Range<usize>,
    /// The next place to look at.
    next: usize,
    look: Look,
    /// Until it begins to wait.
    wait: Option<Wait>,
    /// What takes from the key that has something.
    serving: Option<Box<dyn Job>>,
    queueing: Option<Queueing>,
    /// Keys whose hashes are found.
    found: usize,
}

/// Finds the hashes of the keys at these places, `found` of which are there already.
pub(super) fn find_keys(
    args: Args<'_>,
    keys: Range<usize>,
    found: &mut usize,
    hashes: &mut Vec<u64>,
    budget: &mut Budget,
) -> Result<Step, CmdError> {
    if *found == 0 {
        hashes.try_reserve_exact(keys.len()).map_err(|_| CmdError::OutOfMemory)?;
    }
    while *found < keys.len() {
        let count = budget.piece(KEYS_PER_PIECE).min(keys.len() - *found);
        let first = keys.start + *found;
        hashes.extend((first..first + count).map(|index| args.key(index).hash));
        *found += count;
        if budget.spend(count as u64) && *found < keys.len() {
            return Ok(Step::More);
        }
    }
    Ok(Step::Done)
}

/// Goes on standing in line; ends with [`CmdError::Blocked`].
pub(super) fn queue_up(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    queueing: &mut Option<Queueing>,
    budget: &mut Budget,
) -> Stepped {
    loop {
        let Some(line) = queueing else { return Ok(Step::Done) };
        let count = budget.piece(KEYS_PER_PIECE);
        if line.step(ctx, args, count) == Progress::Done {
            break;
        }
        if budget.spend(count as u64) {
            return Ok(Step::More);
        }
    }
    match queueing.take() {
        Some(line) => line.finish(ctx).map(|()| Step::Done),
        None => Ok(Step::Done),
    }
}

impl Job for WaitMany {
    fn find_keys(
        &mut self,
        args: Args<'_>,
        hashes: &mut Vec<u64>,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        find_keys(args, self.keys.clone(), &mut self.found, hashes, budget)
    }

    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if let Some(serving) = &mut self.serving {
            return serving.step(ctx, args, budget);
        }
        while self.next < self.keys.end {
            let index = self.next;
            self.next += 1;
            match (self.look)(ctx, args, index) {
                Ok(true) => return Ok(Step::Done),
                Ok(false) => {}
                Err(CmdError::Parked) => {
                    let parking = ctx.engine.jobs.take_parking();
                    if let Some(Parking { task: Task::Job(job), .. }) = parking {
                        self.serving = Some(job);
                    }
                    return Ok(Step::More);
                }
                Err(error) => return Err(error),
            }
            if budget.spend(1) {
                return Ok(Step::More);
            }
        }
        if let Some(wait) = self.wait.take() {
            self.queueing = ctx.begin_queueing(self.keys.clone(), wait);
        }
        queue_up(ctx, args, &mut self.queueing, budget)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(line) = self.queueing.take() {
            line.give_up(ctx);
        }
    }
}
