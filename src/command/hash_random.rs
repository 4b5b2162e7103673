//! HRANDFIELD: random fields of a hash.
//!
//! With a count that is not positive each field is drawn anew, all equally likely. With a positive one no field comes
//! twice and every choice of so many is equally likely: few are drawn until so many different ones are found; where a
//! third or more of the fields is wanted, or the hash is packed, one walk over it takes each with the probability
//! (wanted yet) / (left to look at). All of that is done in pieces, with memory for the few that were drawn at most.
use std::collections::BTreeSet;

use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::command::hash_value::{FIELDS_PER_PIECE, drop_expired, has_due, reply_value, start};
use crate::command::items::reply_item;
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::READONLY;
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply, Resp};
use crate::types::hash::{Field, FieldId, Hash, HashRef};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[HRANDFIELD];

const HRANDFIELD: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "6.2.0",
        "O(N) where N is the number of fields returned",
        "key:key [options(count:integer [WITHVALUES])]",
        "Get one or multiple random fields from a hash",
    ),
    ..command(Group::Hash, "hrandfield", -2, hrandfield)
};

/// A walk is cheaper than drawing where at least one in so many fields is wanted.
const WALK_SHARE: usize = 3;
/// Draws for one field where some that are drawn have expired and are not yet reclaimed.
const DRAWS_MAX: usize = 1000;

fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = match args.len() {
        2 => None,
        _ => Some(parse_count(args)?),
    };
    let key = args.key(1);
    let now = ctx.now;
    if ctx.db.get::<Hash>(key)?.is_some_and(|hash| has_due(hash, now)) {
        drop_expired(ctx, key, None);
    }
    let Some(hash) = ctx.db.peek_as::<Hash>(key)? else {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.array(0),
        }
        return Ok(());
    };
    let Some(count) = count else {
        match draw(hash, None, now, &mut ctx.engine.random) {
            Some(field) => reply_item(&mut ctx.reply, field.name),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let choice = Choice::of(count, hash);
    let work = match choice {
        Choice::Any(_) | Choice::Different { .. } => count.unsigned_abs() as usize,
        Choice::Walk { left, .. } => left,
    };
    let (is_exact, has_values) = (!has_due(hash, now), args.len() == 4);
    let job = RandomFields { choice, has_values, is_exact, found: 0, listed: Output::default() };
    if is_exact {
        job.open(&mut ctx.reply, job.choice.wanted());
    }
    start(ctx, args, work, job)
}

/// Reads the count and WITHVALUES, in Redis's order.
fn parse_count(args: Args<'_>) -> Result<i64, CmdError> {
    let count = parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
    if count == i64::MIN {
        return Err(CmdError::Text(
            "ERR value is out of range, value must between -9223372036854775807 and \
            9223372036854775807",
        ));
    }
    if args.len() > 4 || (args.len() == 4 && !is(args.at(3), "withvalues")) {
        return Err(CmdError::Syntax);
    }
    if args.len() == 4 && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CmdError::Text("ERR value is out of range"));
    }
    Ok(count)
}

/// A random field whose time has not come. Where most have expired and are not yet reclaimed, none may be found.
fn draw<'a>(
    hash: HashRef<'a>,
    index: Option<&[FieldId]>,
    now: i64,
    random: &mut Random,
) -> Option<Field<'a>> {
    (0..DRAWS_MAX).find_map(|_| {
        Some(hash.field(hash.random(index, random)?)).filter(|field| field.is_live(now))
    })
}

/// How fields are chosen.
enum Choice {
    /// So many draws, each for itself.
    Any(usize),
    /// So many different ones, by drawing until they are found.
    Different {
        left: usize,
        drawn: BTreeSet<FieldId>,
        /// Draws that may still fail: where too many have expired fewer fields are found.
        draws_left: usize,
    },
    /// So many different ones, by a walk over all that are `left` to be looked at.
    Walk { wanted: usize, left: usize, cursor: usize },
}

impl Choice {
    fn of(count: i64, hash: HashRef<'_>) -> Choice {
        let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count < 0 || count == 1 {
            return Choice::Any(wanted);
        }
        let length = hash.len();
        let is_table = matches!(hash, HashRef::Table(_));
        if is_table && wanted.saturating_mul(WALK_SHARE) <= length {
            let draws_left = wanted.saturating_mul(DRAWS_MAX);
            return Choice::Different { left: wanted, drawn: BTreeSet::new(), draws_left };
        }
        Choice::Walk { wanted: wanted.min(length), left: length, cursor: 0 }
    }

    /// Fields still to be replied.
    fn wanted(&self) -> usize {
        match self {
            Choice::Any(left) | Choice::Different { left, .. } => *left,
            Choice::Walk { wanted, .. } => *wanted,
        }
    }
}

/// HRANDFIELD with a count.
struct RandomFields {
    choice: Choice,
    has_values: bool,
    /// No field has expired: as many as are wanted will be found, and that has been replied.
    is_exact: bool,
    found: usize,
    /// The reply so far, where its length is known at its end only.
    listed: Output,
}

impl RandomFields {
    /// The beginning of a reply with so many fields.
    fn open(&self, reply: &mut Reply<'_>, count: usize) {
        let is_flat = self.has_values && reply.resp() == Resp::V2;
        reply.array(if is_flat { count * 2 } else { count });
    }

    fn write(&mut self, reply: &mut Reply<'_>, field: Field<'_>) {
        let resp = reply.resp();
        let out = if self.is_exact { reply.output() } else { &mut self.listed };
        let target = &mut Reply::new(out, resp);
        if self.has_values && resp == Resp::V3 {
            target.array(2);
        }
        reply_item(target, field.name);
        if self.has_values {
            reply_value(target, field.found.value);
        }
        self.found += 1;
    }

    /// About `piece` units of the work; true once all is done.
    fn advance(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        piece: usize,
    ) -> Result<bool, CmdError> {
        let now = ctx.now;
        let Some(hash) = ctx.db.peek_as::<Hash>(args.key(1))? else { return Ok(true) };
        let (random, reply) = (&mut ctx.engine.random, &mut ctx.reply);
        let mut chosen = Vec::with_capacity(piece.min(FIELDS_PER_PIECE));
        let is_done = match &mut self.choice {
            Choice::Any(left) => {
                let index = hash.index();
                for _ in 0..piece.min(*left) {
                    *left -= 1;
                    chosen.extend(draw(hash, index.as_deref(), now, random));
                }
                *left == 0
            }
            Choice::Different { left, drawn, draws_left } => {
                for _ in 0..piece.min(*draws_left) {
                    let Some(id) = hash.random(None, random).filter(|_| *left > 0) else { break };
                    *draws_left -= 1;
                    let field = hash.field(id);
                    if field.is_live(now) && drawn.insert(id) {
                        chosen.push(field);
                        *left -= 1;
                    }
                }
                *left == 0 || *draws_left == 0
            }
            Choice::Walk { wanted, left, cursor } => {
                let progress = hash.visit(cursor, piece, |field| {
                    let is_chosen = random.below(*left as u64) < *wanted as u64;
                    *left = left.saturating_sub(1);
                    if is_chosen {
                        *wanted -= 1;
                        chosen.push(field);
                    }
                });
                chosen.retain(|field| field.is_live(now));
                progress.is_done() || *wanted == 0
            }
        };
        chosen.into_iter().for_each(|field| self.write(reply, field));
        Ok(is_done)
    }
}

impl Job for RandomFields {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let piece = budget.piece(FIELDS_PER_PIECE);
            if self.choice.wanted() == 0 || self.advance(ctx, args, piece)? {
                break;
            }
            if budget.spend(piece as u64) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        if !self.is_exact {
            self.open(&mut ctx.reply, self.found);
            ctx.reply.output().append(std::mem::take(&mut self.listed));
        }
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}
