//! Commands that do the same small thing for each of very many arguments, or tell of each of very many things
//! there are (users, clients, slow commands), in slices.
//!
//! They hold no key: what they ask is not in the keyspace. Each of the things is done at an instant of its own, and
//! what comes or goes meanwhile may be told of or not. Cost: as in one piece.
use std::ops::Range;

use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};

/// What is done for the one at this place.
pub(super) type Visit = dyn FnMut(&mut Ctx<'_>, Args<'_>, usize) -> CmdResult + Send;

/// Visits all these places, `piece` of them between two looks at the clock (about 10 us). A handler ends with it.
pub(super) fn visit_each(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    places: Range<usize>,
    piece: usize,
    visit: impl FnMut(&mut Ctx<'_>, Args<'_>, usize) -> CmdResult + Send + 'static,
) -> CmdResult {
    ctx.run(args, VisitEach { places, piece, visit: Box::new(visit) })
}

/// See the head of the file.
struct VisitEach {
    /// The places that are left.
    places: Range<usize>,
    piece: usize,
    visit: Box<Visit>,
}

impl Job for VisitEach {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while !self.places.is_empty() {
            let piece = budget.piece(self.piece).min(self.places.len());
            for _ in 0..piece {
                (self.visit)(ctx, args, self.places.start)?;
                self.places.start += 1;
            }
            if budget.spend(piece as u64) && !self.places.is_empty() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

/// Tells of one more thing, and remembers where it stopped; false: there was none left.
pub(super) type Tell = dyn FnMut(&Ctx<'_>, Args<'_>, &mut Reply<'_>) -> bool + Send;

/// Answers with an array of all that `tell` tells of, `piece` of them between two looks at the clock (about 10 us). A
/// handler ends with it.
pub(super) fn tell_each(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    piece: usize,
    tell: impl FnMut(&Ctx<'_>, Args<'_>, &mut Reply<'_>) -> bool + Send + 'static,
) -> CmdResult {
    ctx.run(args, TellEach { piece, told: 0, listed: Output::default(), tell: Box::new(tell) })
}

/// See [`tell_each`].
struct TellEach {
    piece: usize,
    told: usize,
    listed: Output,
    tell: Box<Tell>,
}

impl Job for TellEach {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let piece = budget.piece(self.piece);
            for _ in 0..piece {
                let mut reply = Reply::new(&mut self.listed, ctx.reply.resp());
                if !(self.tell)(ctx, args, &mut reply) {
                    ctx.reply.array(self.told);
                    ctx.reply.output().append(std::mem::take(&mut self.listed));
                    return Ok(Step::Done);
                }
                self.told += 1;
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
    }

    fn reply_bytes(&self) -> usize {
        self.listed.capacity() + self.listed.block_bytes()
    }
}
