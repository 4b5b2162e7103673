//! Beginning to wait for very many keys, in slices.
//!
//! A job that holds all of the keys has its client stand in their queues, some in each step ([`Queueing`]), and ends
//! with [`CmdError::Blocked`]; nothing can come to the keys before it lets go of them. Cost: 0.4 us per key.
use std::ops::Range;

use crate::base::pieces::Progress;
use crate::engine::blocking::{Blocked, Wait};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// A client on its way into the queues. See the head of the file.
pub struct Queueing {
    slot: usize,
    blocked: Box<Blocked>,
    /// The next argument that is a key.
    next: usize,
}

impl Ctx<'_> {
    /// Begins to have the client wait for the keys at these places; `None`: it may not wait, and is told so.
    pub fn begin_queueing(&mut self, keys: Range<usize>, wait: Wait) -> Option<Queueing> {
        let next = keys.start;
        let (slot, blocked) = self.begin_blocked(keys, wait)?;
        Some(Queueing { slot, blocked, next })
    }
}

impl Queueing {
    /// Stands in the queues of up to so many more keys; `args` is the request.
    pub fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, count: usize) -> Progress {
        let end = self.blocked.places.end.min(self.next + count);
        for index in self.next..end {
            ctx.engine.blocking.queue_up(self.slot, &mut self.blocked, args.at(index));
        }
        self.next = end;
        if end == self.blocked.places.end { Progress::Done } else { Progress::More }
    }

    /// It waits. A job ends with it.
    pub fn finish(self, ctx: &mut Ctx<'_>) -> CmdResult {
        let Queueing { slot, blocked, .. } = self;
        let is_there = ctx.engine.clients.slot_of(ctx.client.id) == Some(slot);
        let is_emptied = ctx.engine.jobs.is_in_limbo();
        let blocking = &mut ctx.engine.blocking;
        if !is_there {
            blocking.leave(blocked);
            return Ok(());
        }
        if let Some(error) = blocked.gone.filter(|_| is_emptied) {
            // The keys were there when it came, and went with all others.
            blocking.leave(blocked);
            return Err(CmdError::Text(error));
        }
        let db = blocked.db;
        blocking.insert(slot, blocked);
        if is_emptied {
            // Others may have written to keys of these names already, which nobody holds.
            blocking.note_all(db);
        }
        Err(CmdError::Blocked)
    }

    /// It does not wait after all.
    pub fn give_up(self, ctx: &mut Ctx<'_>) {
        ctx.engine.blocking.leave(self.blocked);
    }
}
