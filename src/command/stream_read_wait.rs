//! How XREAD and XREADGROUP of very many streams begin to wait, in slices.
//!
//! `$` means what is the last id now: so a request with one is kept as another, with ids in their places, which is what
//! runs again once a stream has got an entry.
use crate::command::stream_read_request::{Request, Verb};
use crate::command::wait_many;
use crate::engine::blocking::Wait;
use crate::engine::blocking_many::Queueing;
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::{Args, OwnedArgs};
use crate::store::Kind;
use crate::types::stream::{Stream, StreamId};

/// See the head of the file.
#[derive(Default)]
pub(super) struct Await {
    fixed: OwnedArgs,
    /// Arguments of it that are there.
    done: usize,
    has_begun: bool,
    queueing: Option<Queueing>,
}

/// The wait of a request that found nothing, as far as its options say.
pub(super) fn wait_of(request: &Request) -> Option<Wait> {
    let wait = Wait::new(Kind::Stream, request.block?);
    Some(match request.verb {
        Verb::ReadGroup => wait.unless_gone("UNBLOCKED the stream key no longer exists"),
        Verb::Read => wait,
    })
}

/// Appends argument `index` to a request that is kept, with an id where it is `$`.
pub(super) fn push_fixed(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    request: &Request,
    (fixed, index): (&mut OwnedArgs, usize),
) -> Result<(), CmdError> {
    let is_id = index >= request.first + request.streams;
    if !is_id || args.at(index) != b"$" {
        fixed.push(args.at(index));
        return Ok(());
    }
    let stream = ctx.db.peek_as::<Stream>(args.key(index - request.streams))?;
    let last = stream.map_or(StreamId::MIN, |stream| stream.log().last_id());
    fixed.push(last.text().as_bytes());
    Ok(())
}

impl Await {
    /// Goes on; ends with [`CmdError::Blocked`]. `has_dollar`: one of the ids is `$`.
    pub(super) fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        (request, has_dollar): (&Request, bool),
        budget: &mut Budget,
    ) -> Stepped {
        while has_dollar && self.done < args.len() {
            let count = budget.piece(KEYS_PER_PIECE).min(args.len() - self.done);
            for index in self.done..self.done + count {
                push_fixed(ctx, args, request, (&mut self.fixed, index))?;
            }
            self.done += count;
            if budget.spend(count as u64) {
                return Ok(Step::More);
            }
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            let Some(mut wait) = wait_of(request) else { return Ok(Step::Done) };
            if has_dollar {
                wait = wait.with_request(std::mem::take(&mut self.fixed));
            }
            let keys = request.first..request.first + request.streams;
            self.queueing = ctx.begin_queueing(keys, wait);
        }
        wait_many::queue_up(ctx, args, &mut self.queueing, budget)
    }

    /// It does not wait after all.
    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(line) = self.queueing.take() {
            line.give_up(ctx);
        }
    }
}
