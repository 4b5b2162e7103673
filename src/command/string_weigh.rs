//! Big strings digested and compared in slices: DIGEST, and the conditions of SET and DELEX.
//!
//! A handler that needs to know hands a [`Weigh`] to `Ctx::run`; its last step goes on with the handler's other half.
//! Cost: O(n), 512 KiB between two looks at the clock.
use xxhash_rust::xxh3::Xxh3;

use crate::base::block::Block;
use crate::command::string_value::{Comparison, Digest, digest_text};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, Job, Jobs, Step, Stepped};
use crate::proto::args::Args;
use crate::store::StringRef;

/// Bytes of a unit.
const UNIT_BYTES: usize = 1024;
/// Units between two looks at the clock: about 50 us.
const PIECE_UNITS: usize = 512;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weighed {
    /// The digest of the string.
    Digest(Digest),
    /// Whether it equals the operand.
    Equal(bool),
}

/// The other half of a handler.
pub(super) type GoOn = fn(&mut Ctx<'_>, Args<'_>, Weighed) -> CmdResult;

enum Work {
    Digest(Box<Xxh3>),
    /// With this argument, which is as long.
    Compare(usize),
}

/// A big string being digested or compared. Its key is held, so it stays as it is.
pub(super) struct Weigh {
    text: Block,
    done: usize,
    work: Work,
    go_on: GoOn,
}

impl Weigh {
    /// DIGEST of `value`, if that is long.
    pub(super) fn digest(jobs: &Jobs, value: StringRef<'_>, go_on: GoOn) -> Option<Weigh> {
        let text = long(jobs, value)?;
        Some(Weigh { text, done: 0, work: Work::Digest(Box::default()), go_on })
    }

    /// Comparing `value` with argument `operand`, if that is long.
    pub(super) fn compare(
        jobs: &Jobs,
        comparison: Comparison,
        value: StringRef<'_>,
        (args, operand): (Args<'_>, usize),
        go_on: GoOn,
    ) -> Option<Weigh> {
        if comparison.takes_digest() {
            return Weigh::digest(jobs, value, go_on);
        }
        // Strings of different lengths are known to differ.
        let text = long(jobs, value).filter(|text| text.len() == args.at(operand).len())?;
        Some(Weigh { text, done: 0, work: Work::Compare(operand), go_on })
    }
}

fn long(jobs: &Jobs, value: StringRef<'_>) -> Option<Block> {
    match value {
        StringRef::Block(text) if jobs.is_long(text.len() / UNIT_BYTES) => Some(text.clone()),
        _ => None,
    }
}

impl Job for Weigh {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let units = budget.piece(PIECE_UNITS);
            let end = (self.done + units * UNIT_BYTES).min(self.text.len());
            let piece = &self.text[self.done..end];
            let is_equal = match &mut self.work {
                Work::Digest(state) => {
                    state.update(piece);
                    true
                }
                Work::Compare(operand) => args.at(*operand).get(self.done..end) == Some(piece),
            };
            self.done = end;
            if end == self.text.len() || !is_equal {
                let weighed = match &self.work {
                    Work::Digest(state) => Weighed::Digest(digest_text(state.digest())),
                    Work::Compare(_) => Weighed::Equal(is_equal),
                };
                return (self.go_on)(ctx, args, weighed).map(|()| Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}
