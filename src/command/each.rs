//! Commands that do the same small thing for each of very many arguments, in slices.
//!
//! They hold no key: what they ask is not in the keyspace. Each of the things is done at an instant of its own.
//! Cost: as in one piece.
use std::ops::Range;

use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;

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
