//! Lists at their ends: pushing, popping, moving from one to another, and how long they are.
//!
//! Adding or taking an element costs a lookup and touches one node; many at once are a job.
use crate::command::list_value::{
    PopOptions, element_at, end_named, move_one, natural, pop_many, pop_one, push_event,
};
use crate::command::spec::access::{ACCESS, DELETE, INSERT, RO, RW};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::list::{End, Fill, List};

/// Elements added between two looks at the clock.
const PUSHES_PER_PIECE: usize = 64;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LMPOP, LMOVE, RPOPLPUSH, LLEN];

const LPUSH: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        ..doc(
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is called \
            with multiple arguments.",
            "key:key element:string...",
            "Prepend one or multiple elements to a list",
        )
    },
    ..command(Group::List, "lpush", -3, lpush)
};

const RPUSH: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: Doc {
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        ..doc(
            "1.0.0",
            "O(1) for each element added, so O(N) to add N elements when the command is called \
            with multiple arguments.",
            "key:key element:string...",
            "Append one or multiple elements to a list",
        )
    },
    ..command(Group::List, "rpush", -3, rpush)
};

const LPUSHX: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: Doc {
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        ..doc(
            "2.2.0",
            "O(1) for each element added, so O(N) to add N elements when the command is called \
            with multiple arguments.",
            "key:key element:string...",
            "Prepend an element to a list, only if the list exists",
        )
    },
    ..command(Group::List, "lpushx", -3, lpushx)
};

const RPUSHX: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: Doc {
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        ..doc(
            "2.2.0",
            "O(1) for each element added, so O(N) to add N elements when the command is called \
            with multiple arguments.",
            "key:key element:string...",
            "Append an element to a list, only if the list exists",
        )
    },
    ..command(Group::List, "rpushx", -3, rpushx)
};

const LPOP: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: Doc {
        history: &[("6.2.0", "Added the `count` argument.")],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "key:key [count:integer@6.2.0]",
            "Remove and get the first elements in a list",
        )
    },
    ..command(Group::List, "lpop", -2, lpop)
};

const RPOP: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: Doc {
        history: &[("6.2.0", "Added the `count` argument.")],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "key:key [count:integer@6.2.0]",
            "Remove and get the last elements in a list",
        )
    },
    ..command(Group::List, "rpop", -2, rpop)
};

const LMPOP: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::counted(RW | ACCESS | DELETE, 1)],
    doc: doc(
        "7.0.0",
        "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        "numkeys:integer key:key... where(LEFT|RIGHT) [COUNT=count:integer]",
        "Pop elements from a list",
    ),
    ..command(Group::List, "lmpop", -4, lmpop)
};

const LMOVE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: doc(
        "6.2.0",
        "O(1)",
        "source:key destination:key#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)",
        "Pop an element from a list, push it to another list and return it",
    ),
    ..command(Group::List, "lmove", 5, lmove)
};

const RPOPLPUSH: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: Doc {
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        ..doc(
            "1.2.0",
            "O(1)",
            "source:key destination:key#1",
            "Remove the last element in a list, prepend it to another list and return it",
        )
    },
    ..command(Group::List, "rpoplpush", 3, rpoplpush)
};

const LLEN: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("1.0.0", "O(1)", "key:key", "Get the length of a list"),
    ..command(Group::List, "llen", 2, llen)
};

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Front, Absent::Create)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Back, Absent::Create)
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Front, Absent::Skip)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, End::Back, Absent::Skip)
}

/// What to do where there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    /// Begin one.
    Create,
    /// Nothing.
    Skip,
}

#[inline]
fn push(ctx: &mut Ctx<'_>, args: Args<'_>, end: End, absent: Absent) -> CmdResult {
    let mut job = Push { next: 2, end, absent };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    let length = job.add(ctx, args, args.len())?;
    job.finish(ctx, args, length);
    Ok(())
}

/// LPUSH and its like.
struct Push {
    /// Argument of the next element.
    next: usize,
    end: End,
    absent: Absent,
}

impl Push {
    /// Adds the elements before argument `until`. Returns the length then; `None`: there is no list, and none is made.
    #[inline]
    fn add(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        until: usize,
    ) -> Result<Option<usize>, CmdError> {
        let fill = Fill::of(&ctx.engine.limits);
        let (key, from, end) = (args.key(1), self.next, self.end);
        let add = |list: &mut List| {
            for index in from..until {
                list.push(end, element_at(args, index), &fill);
            }
            list.len()
        };
        self.next = until;
        Ok(match self.absent {
            Absent::Create => Some(ctx.db.edit_or_new(key, add)?),
            Absent::Skip => ctx.db.edit(key, add)?,
        })
    }

    #[inline]
    fn finish(&self, ctx: &mut Ctx<'_>, args: Args<'_>, length: Option<usize>) {
        ctx.reply.count(length.unwrap_or(0));
        if length.is_some() {
            ctx.changed_by(push_event(self.end), args.at(1), args.len() - 2);
        }
    }
}

impl Job for Push {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let until = (self.next + budget.piece(PUSHES_PER_PIECE)).min(args.len());
            let done = until - self.next;
            let length = self.add(ctx, args, until)?;
            if until == args.len() || length.is_none() {
                self.finish(ctx, args, length);
                return Ok(Step::Done);
            }
            if budget.spend(done as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Front, "lpop")
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Back, "rpop")
}

#[inline]
fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End, name: &'static str) -> CmdResult {
    match args.len() {
        2 => {
            if !pop_one(ctx, args, 1, end, false)? {
                ctx.reply.null();
            }
            Ok(())
        }
        3 => pop_counted(ctx, args, end),
        _ => Err(CmdError::Arity(name)),
    }
}

fn pop_counted(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> CmdResult {
    let count =
        natural(args.at(2)).ok_or(CmdError::Text("ERR value is out of range, must be positive"))?;
    if ctx.db.peek_as::<List>(args.key(1))?.is_none() {
        ctx.reply.null_array();
        return Ok(());
    }
    if count == 0 {
        ctx.reply.array(0);
        return Ok(());
    }
    pop_many(ctx, args, 1, end, count, false)
}

fn lmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = PopOptions::parse(args, 1)?;
    for index in options.first..options.first + options.keys {
        if ctx.db.peek_as::<List>(args.key(index))?.is_some() {
            return pop_many(ctx, args, index, options.end, options.count, true);
        }
    }
    ctx.reply.null_array();
    Ok(())
}

fn lmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (end_named(args.at(3))?, end_named(args.at(4))?);
    if !move_one(ctx, args, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

fn rpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if !move_one(ctx, args, End::Back, End::Front)? {
        ctx.reply.null();
    }
    Ok(())
}

fn llen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let length = ctx.db.get::<List>(args.key(1))?.map_or(0, |list| list.len());
    ctx.reply.count(length);
    Ok(())
}
