//! Members of sets by chance: SPOP and SRANDMEMBER. Each member, and each choice of several, is equally likely.
use crate::base::number::parse_i64;
use crate::command::items::reply_item;
use crate::command::options::integer;
use crate::command::set_members::{MEMBERS_PER_PIECE, reply_members};
use crate::command::spec::access::{ACCESS, DELETE, RO, RW};
use crate::command::spec::flag::{FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::distinct::Distinct;
use crate::types::set::{Set, SetCursor};

/// Of a set this many times as big as the number of members wanted, single ones are drawn. Of a smaller one too many
/// draws would hit what was drawn before: there each member is looked at once.
const DRAW_FACTOR: usize = 3;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SPOP, SRANDMEMBER];

const SPOP: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("3.2.0", "Added the `count` argument.")],
        ..doc(
            "1.0.0",
            "Without the count argument O(1), otherwise O(N) where N is the value of the passed \
            count.",
            "key:key [count:integer@3.2.0]",
            "Remove and return one or multiple random members from a set",
        )
    },
    ..command(Group::Set, "spop", -2, spop)
};

const SRANDMEMBER: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("2.6.0", "Added the optional `count` argument.")],
        ..doc(
            "1.0.0",
            "Without the count argument O(1), otherwise O(N) where N is the absolute value of \
            the passed count.",
            "key:key [count:integer@2.6.0]",
            "Get one or multiple random members from a set",
        )
    },
    ..command(Group::Set, "srandmember", -2, srandmember)
};

fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        2 => pop_one(ctx, args),
        3 => pop_many(ctx, args),
        _ => Err(CmdError::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let mark = ctx.reply.output().mark();
    let (random, reply) = (&mut ctx.engine.random, &mut ctx.reply);
    let is_empty = ctx.db.edit(key, |set: &mut Set| {
        set.take_random(random, |member| reply_item(reply, member));
        set.is_empty()
    })?;
    let Some(is_empty) = is_empty else {
        ctx.reply.null();
        return Ok(());
    };
    ctx.changed_before_reply(mark, Event::SPop, key.bytes);
    if is_empty {
        ctx.emptied(key.bytes);
    }
    Ok(())
}

fn pop_many(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = parse_i64(args.at(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CmdError::Text("ERR value is out of range, must be positive"))?;
    let size = ctx.db.peek_as::<Set>(args.key(1))?.map_or(0, |set| set.len());
    let count = count.min(size);
    if count == 0 {
        ctx.reply.set(0);
        return Ok(());
    }
    // Nothing fails from here on; Redis tells of it before the reply.
    ctx.changed_by(Event::SPop, args.at(1), count);
    ctx.reply.set(count);
    if count == size {
        // Redis reads it as SMEMBERS does: a hit.
        ctx.db.read(args.key(1));
        return run(ctx, args, count, PopAll { cursor: SetCursor::default() });
    }
    run(ctx, args, count, PopMany { left: count })
}

/// Runs a job over so many members.
fn run(ctx: &mut Ctx<'_>, args: Args<'_>, count: usize, mut job: impl Job + 'static) -> CmdResult {
    if ctx.is_long(count) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// SPOP of all members: they are shown, and the key is deleted.
struct PopAll {
    cursor: SetCursor,
}

impl Job for PopAll {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let Some(set) = ctx.db.peek_as::<Set>(key)? else { return Ok(Step::Done) };
        loop {
            let units = budget.piece(MEMBERS_PER_PIECE);
            if reply_members(&mut ctx.reply, set, &mut self.cursor, units).is_done() {
                break;
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        ctx.db.remove(key);
        ctx.emptied(key.bytes);
        Ok(Step::Done)
    }
}

/// SPOP of fewer members than there are.
struct PopMany {
    left: usize,
}

impl Job for PopMany {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            let units = self.left.min(budget.piece(MEMBERS_PER_PIECE));
            let (random, reply) = (&mut ctx.engine.random, &mut ctx.reply);
            ctx.db.edit(key, |set: &mut Set| {
                for _ in 0..units {
                    set.take_random(random, |member| reply_item(reply, member));
                }
            })?;
            self.left -= units;
            if self.left == 0 {
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        2 => show_one(ctx, args),
        3 => show_many(ctx, args),
        _ => Err(CmdError::Syntax),
    }
}

fn show_one(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.db.get::<Set>(args.key(1))?;
    match set.and_then(|set| set.random(&mut ctx.engine.random)) {
        Some(member) => reply_item(&mut ctx.reply, member),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn show_many(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = integer(args.at(2))?;
    if count == i64::MIN {
        return Err(CmdError::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let set = ctx.db.get::<Set>(args.key(1))?;
    let (size, is_table) = set.map_or((0, false), |set| (set.len(), set.members().is_some()));
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size == 0 || wanted == 0 {
        ctx.reply.array(0);
        return Ok(());
    }
    // A negative count: the same member may come again.
    if count < 0 {
        ctx.reply.array(wanted);
        return run(ctx, args, wanted, DrawAny { left: wanted });
    }
    let wanted = wanted.min(size);
    ctx.reply.array(wanted);
    if is_table && size / DRAW_FACTOR >= wanted {
        let chosen = Distinct::default();
        return run(ctx, args, wanted, DrawDifferent { left: wanted, chosen });
    }
    let cursor = SetCursor::default();
    run(ctx, args, size, ChooseWhileWalking { cursor, wanted, ahead: size })
}

/// SRANDMEMBER with a negative count: members drawn one after the other.
struct DrawAny {
    left: usize,
}

impl Job for DrawAny {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(set) = ctx.db.peek_as::<Set>(args.key(1))? else { return Ok(Step::Done) };
        loop {
            let units = self.left.min(budget.piece(MEMBERS_PER_PIECE));
            for _ in 0..units {
                if let Some(member) = set.random(&mut ctx.engine.random) {
                    reply_item(&mut ctx.reply, member);
                }
            }
            self.left -= units;
            if self.left == 0 {
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

/// SRANDMEMBER of few members of a table: drawn until enough different ones have come.
struct DrawDifferent {
    left: usize,
    chosen: Distinct,
}

impl Job for DrawDifferent {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let set = ctx.db.peek_as::<Set>(args.key(1))?;
        let Some(members) = set.and_then(|set| set.members()) else { return Ok(Step::Done) };
        loop {
            let units = self.left.min(budget.piece(MEMBERS_PER_PIECE));
            for _ in 0..units {
                let Some(id) = members.random(&mut ctx.engine.random) else { break };
                if self.chosen.insert(id.raw())? {
                    ctx.reply.bulk(members.name(id));
                    self.left -= 1;
                }
            }
            if self.left == 0 {
                self.give_up(ctx);
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.is_long(self.chosen.len()) {
            ctx.engine.graveyard.bury_garbage(Box::new(std::mem::take(&mut self.chosen)));
        }
    }
}

/// SRANDMEMBER of many members: each is looked at once, and taken with the probability that is left for it (Knuth's
/// selection sampling, algorithm S).
struct ChooseWhileWalking {
    cursor: SetCursor,
    wanted: usize,
    /// Members not looked at yet.
    ahead: usize,
}

impl Job for ChooseWhileWalking {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(set) = ctx.db.peek_as::<Set>(args.key(1))? else { return Ok(Step::Done) };
        loop {
            let units = budget.piece(MEMBERS_PER_PIECE);
            let walked = set.walk(&mut self.cursor, units, |member| {
                let drawn = ctx.engine.random.below(self.ahead as u64);
                self.ahead -= 1;
                if drawn < self.wanted as u64 {
                    self.wanted -= 1;
                    reply_item(&mut ctx.reply, member);
                }
            });
            if walked.is_done() {
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}
