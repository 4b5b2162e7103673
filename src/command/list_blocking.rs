//! Taking elements from lists, and waiting for them where there are none.
//!
//! Each handler does what its plain relative does, and where that finds nothing ends with `block_on_keys`; it is run
//! again when a key it waits for has become a list.
use crate::command::list_value::{PopOptions, end_named, move_one, pop_many, pop_one};
use crate::command::spec::access::{ACCESS, DELETE, INSERT, RW};
use crate::command::spec::flag::{BLOCKING, DENYOOM, NOSCRIPT, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::wait_many::{look_or_wait, may_be_long};
use crate::engine::blocking::{Wait, seconds_until};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::proto::args::Args;
use crate::store::Kind;
use crate::types::list::{End, List};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH];

const BLPOP: Command = Command {
    flags: WRITE | NOSCRIPT | BLOCKING,
    keys: &[KeySpec::range(RW | ACCESS | DELETE, 1, -2, 1)],
    doc: Doc {
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..doc(
            "2.0.0",
            "O(N) where N is the number of provided keys.",
            "key:key... timeout:double",
            "Remove and get the first element in a list, or block until one is available",
        )
    },
    ..command(Group::List, "blpop", -3, blpop)
};

const BRPOP: Command = Command {
    flags: WRITE | NOSCRIPT | BLOCKING,
    keys: &[KeySpec::range(RW | ACCESS | DELETE, 1, -2, 1)],
    doc: Doc {
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..doc(
            "2.0.0",
            "O(N) where N is the number of provided keys.",
            "key:key... timeout:double",
            "Remove and get the last element in a list, or block until one is available",
        )
    },
    ..command(Group::List, "brpop", -3, brpop)
};

const BLMPOP: Command = Command {
    flags: WRITE | BLOCKING,
    keys: &[KeySpec::counted(RW | ACCESS | DELETE, 2)],
    doc: doc(
        "7.0.0",
        "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        "timeout:double numkeys:integer key:key... where(LEFT|RIGHT) [COUNT=count:integer]",
        "Pop elements from a list, or block until one is available",
    ),
    ..command(Group::List, "blmpop", -5, blmpop)
};

const BLMOVE: Command = Command {
    flags: WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: doc(
        "6.2.0",
        "O(1)",
        "source:key destination:key#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double",
        "Pop an element from a list, push it to another list and return it; or block until one \
        is available",
    ),
    ..command(Group::List, "blmove", 6, blmove)
};

const BRPOPLPUSH: Command = Command {
    flags: WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(RW | INSERT, 2, 0, 1)],
    doc: Doc {
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        ..doc(
            "2.2.0",
            "O(1)",
            "source:key destination:key#1 timeout:double",
            "Pop an element from a list, push it to another list and return it; or block until \
            one is available",
        )
    },
    ..command(Group::List, "brpoplpush", 4, brpoplpush)
};

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop_or_wait(ctx, args, End::Front)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop_or_wait(ctx, args, End::Back)
}

fn pop_or_wait(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> CmdResult {
    let last = args.len() - 1;
    let until = seconds_until(ctx.now, args.at(last))?;
    if may_be_long(ctx, last - 1) {
        let look =
            move |ctx: &mut Ctx<'_>, args: Args<'_>, index| pop_one(ctx, args, index, end, true);
        return look_or_wait(ctx, args, 1..last, Wait::new(Kind::List, until), Box::new(look));
    }
    for index in 1..last {
        if ctx.looks_at(args.at(index)) && pop_one(ctx, args, index, end, true)? {
            return Ok(());
        }
    }
    ctx.block_on_keys(args, 1..last, Wait::new(Kind::List, until))
}

fn blmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = PopOptions::parse(args, 2)?;
    let until = seconds_until(ctx.now, args.at(1))?;
    let keys = options.first..options.first + options.keys;
    if may_be_long(ctx, keys.len()) {
        let look = move |ctx: &mut Ctx<'_>, args: Args<'_>, index| match ctx
            .db
            .peek_as::<List>(args.key(index))?
        {
            None => Ok(false),
            Some(_) => pop_many(ctx, args, index, options.end, options.count, true).map(|()| true),
        };
        return look_or_wait(ctx, args, keys, Wait::new(Kind::List, until), Box::new(look));
    }
    for index in keys.clone() {
        if ctx.looks_at(args.at(index)) && ctx.db.peek_as::<List>(args.key(index))?.is_some() {
            return pop_many(ctx, args, index, options.end, options.count, true);
        }
    }
    ctx.block_on_keys(args, keys, Wait::new(Kind::List, until))
}

fn blmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (end_named(args.at(3))?, end_named(args.at(4))?);
    move_or_wait(ctx, args, from, to, 5)
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    move_or_wait(ctx, args, End::Back, End::Front, 3)
}

/// `timeout` is the argument that holds it.
fn move_or_wait(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    from: End,
    to: End,
    timeout: usize,
) -> CmdResult {
    let until = seconds_until(ctx.now, args.at(timeout))?;
    if move_one(ctx, args, from, to)? {
        return Ok(());
    }
    ctx.block_on_keys(args, 1..2, Wait::new(Kind::List, until).or_null())
}
