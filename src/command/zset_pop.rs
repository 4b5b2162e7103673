//! Sorted sets: taking members off their ends, waiting for them if need be.
//!
//! All commands of the family are a search for the first key that holds something, and a job that takes from it.
use std::ops::Range;

use crate::base::number::parse_i64;
use crate::command::options::{Options, is};
use crate::command::spec::access::{ACCESS, DELETE, RW};
use crate::command::spec::flag::{BLOCKING, FAST, NOSCRIPT, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::wait_many::{look_or_wait, may_be_long};
use crate::command::zset_value::{Form, MEMBERS_PER_PIECE, note_taken};
use crate::engine::blocking::{Wait, seconds_until};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped, UNITS_AT_ONCE};
use crate::proto::args::Args;
use crate::store::Kind;
use crate::types::zset::{End, Zset};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[ZPOPMIN, ZPOPMAX, ZMPOP, BZPOPMIN, BZPOPMAX, BZMPOP];

const ZPOPMIN: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: doc(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the \
        number of elements popped.",
        "key:key [count:integer]",
        "Remove and return members with the lowest scores in a sorted set",
    ),
    ..command(Group::SortedSet, "zpopmin", -2, zpopmin)
};

const ZPOPMAX: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE)],
    doc: doc(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the \
        number of elements popped.",
        "key:key [count:integer]",
        "Remove and return members with the highest scores in a sorted set",
    ),
    ..command(Group::SortedSet, "zpopmax", -2, zpopmax)
};

const ZMPOP: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::counted(RW | ACCESS | DELETE, 1)],
    doc: doc(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of \
        elements in the sorted set, and M being the number of elements popped.",
        "numkeys:integer key:key... where(MIN|MAX) [COUNT=count:integer]",
        "Remove and return members with scores in a sorted set",
    ),
    ..command(Group::SortedSet, "zmpop", -4, zmpop)
};

const BZPOPMIN: Command = Command {
    flags: WRITE | NOSCRIPT | FAST | BLOCKING,
    keys: &[KeySpec::range(RW | ACCESS | DELETE, 1, -2, 1)],
    doc: Doc {
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..doc(
            "5.0.0",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "key:key... timeout:double",
            "Remove and return the member with the lowest score from one or more sorted sets, or \
            block until one is available",
        )
    },
    ..command(Group::SortedSet, "bzpopmin", -3, bzpopmin)
};

const BZPOPMAX: Command = Command {
    flags: WRITE | NOSCRIPT | FAST | BLOCKING,
    keys: &[KeySpec::range(RW | ACCESS | DELETE, 1, -2, 1)],
    doc: Doc {
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..doc(
            "5.0.0",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "key:key... timeout:double",
            "Remove and return the member with the highest score from one or more sorted sets, \
            or block until one is available",
        )
    },
    ..command(Group::SortedSet, "bzpopmax", -3, bzpopmax)
};

const BZMPOP: Command = Command {
    flags: WRITE | BLOCKING,
    keys: &[KeySpec::counted(RW | ACCESS | DELETE, 2)],
    doc: doc(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of \
        elements in the sorted set, and M being the number of elements popped.",
        "timeout:double numkeys:integer key:key... where(MIN|MAX) [COUNT=count:integer]",
        "Remove and return members with scores in a sorted set or block until one is available",
    ),
    ..command(Group::SortedSet, "bzmpop", -5, bzmpop)
};

fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::First)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, End::Last)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> CmdResult {
    if args.len() > 3 {
        return Err(CmdError::Syntax);
    }
    let (count, form) = match args.len() {
        2 => (1, Form::Flat),
        _ => {
            let count = parse_i64(args.at(2)).and_then(|count| usize::try_from(count).ok());
            let count =
                count.ok_or(CmdError::Text("ERR value is out of range, must be positive"))?;
            (count, Form::with_scores(&ctx.reply))
        }
    };
    let taking = Taking { end, count, form, has_key: false };
    if count == 0 || !take(ctx, args, 1, taking)? {
        // Also nothing of something has to be of the type.
        ctx.db.peek_as::<Zset>(args.key(1))?;
        ctx.reply.array(0);
    }
    Ok(())
}

/// What is taken, and how it is replied.
#[derive(Clone, Copy)]
struct Taking {
    end: End,
    count: usize,
    form: Form,
    /// The reply begins with the key.
    has_key: bool,
}

/// Takes members from the sorted set at argument `index`; false where there is none.
fn take(ctx: &mut Ctx<'_>, args: Args<'_>, index: usize, taking: Taking) -> Result<bool, CmdError> {
    let key = args.key(index);
    let Some(zset) = ctx.db.peek_as::<Zset>(key)? else { return Ok(false) };
    let count = taking.count.min(zset.len());
    match (taking.has_key, taking.form) {
        (true, Form::Pairs) => {
            ctx.reply.array(2);
            ctx.reply.bulk(key.bytes);
            taking.form.open(&mut ctx.reply, count);
        }
        // One flat list of key, member and score.
        (true, _) => {
            ctx.reply.array(1 + 2 * count);
            ctx.reply.bulk(key.bytes);
        }
        (false, form) => form.open(&mut ctx.reply, count),
    }
    let mut job = Take { key: index, taken: 0, count, taking };
    if ctx.is_long(count) {
        ctx.run(args, job)?;
    } else {
        job.step(ctx, args, &mut Budget::unlimited())?;
    }
    Ok(true)
}

/// Takes members off one end.
struct Take {
    /// Argument of the key.
    key: usize,
    taken: usize,
    count: usize,
    taking: Taking,
}

impl Job for Take {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(self.key);
        let Taking { end, form, .. } = self.taking;
        loop {
            let piece = budget.piece(MEMBERS_PER_PIECE).min(self.count - self.taken);
            let left = ctx.db.edit::<Zset, _>(key, |zset| {
                zset.pop(end, piece, |member, score| form.show(&mut ctx.reply, member, score));
                zset.len()
            })?;
            self.taken += piece;
            if self.taken >= self.count {
                let event = if end == End::First { Event::ZPopMin } else { Event::ZPopMax };
                note_taken(ctx, event, key, self.count, left.unwrap_or(0));
                return Ok(Step::Done);
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
    }
}

/// What ZMPOP and BZMPOP are told.
struct Many {
    /// Arguments of the keys.
    keys: Range<usize>,
    taking: Taking,
}

impl Many {
    /// Reads all that follows the argument `numkeys`, that included.
    fn parse(args: Args<'_>, numkeys: usize) -> Result<Many, CmdError> {
        let at_least_1 = |text: &[u8], error: &'static str| {
            let number = parse_i64(text).and_then(|number| usize::try_from(number).ok());
            number.filter(|number| *number > 0).ok_or(CmdError::Text(error))
        };
        let keys = at_least_1(args.at(numkeys), "ERR numkeys should be greater than 0")?;
        let end = numkeys.saturating_add(keys).saturating_add(1);
        if end >= args.len() {
            return Err(CmdError::Syntax);
        }
        let mut options = Options::new(args, end);
        let which = match options.next() {
            Some(word) if is(word, "min") => End::First,
            Some(word) if is(word, "max") => End::Last,
            _ => return Err(CmdError::Syntax),
        };
        let mut count = None;
        while let Some(word) = options.next() {
            if count.is_some() || !is(word, "count") {
                return Err(CmdError::Syntax);
            }
            count = Some(at_least_1(options.value()?, "ERR count should be greater than 0")?);
        }
        let count = count.unwrap_or(1);
        let taking = Taking { end: which, count, form: Form::Pairs, has_key: true };
        Ok(Many { keys: numkeys + 1..end, taking })
    }
}

fn zmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Many { keys, taking } = Many::parse(args, 1)?;
    if keys.len() > UNITS_AT_ONCE {
        return ctx.run_with_many_keys(args, Search { keys, taking, found: None });
    }
    for index in keys {
        if take(ctx, args, index, taking)? {
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}

/// ZMPOP with very many keys.
struct Search {
    /// Arguments of the keys that have not been looked at.
    keys: Range<usize>,
    taking: Taking,
    /// What takes from the key that was found.
    found: Option<Take>,
}

impl Job for Search {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.found.is_none() {
            let Some(key) = self.keys.next() else {
                ctx.reply.null_array();
                return Ok(Step::Done);
            };
            if let Some(zset) = ctx.db.peek_as::<Zset>(args.key(key))? {
                let count = self.taking.count.min(zset.len());
                ctx.reply.array(2);
                ctx.reply.bulk(args.at(key));
                self.taking.form.open(&mut ctx.reply, count);
                self.found = Some(Take { key, taken: 0, count, taking: self.taking });
            } else if budget.spend(1) {
                return Ok(Step::More);
            }
        }
        match &mut self.found {
            Some(take) => take.step(ctx, args, budget),
            None => Ok(Step::Done),
        }
    }
}

fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let taking = Taking { end: End::First, count: 1, form: Form::Flat, has_key: true };
    take_or_wait(ctx, args, 1..args.len() - 1, args.len() - 1, taking)
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let taking = Taking { end: End::Last, count: 1, form: Form::Flat, has_key: true };
    take_or_wait(ctx, args, 1..args.len() - 1, args.len() - 1, taking)
}

fn bzmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Many { keys, taking } = Many::parse(args, 2)?;
    take_or_wait(ctx, args, keys, 1, taking)
}

fn take_or_wait(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    keys: Range<usize>,
    timeout: usize,
    taking: Taking,
) -> CmdResult {
    let until = seconds_until(ctx.now, args.at(timeout))?;
    if may_be_long(ctx, keys.len()) {
        let look = move |ctx: &mut Ctx<'_>, args: Args<'_>, index| take(ctx, args, index, taking);
        return look_or_wait(ctx, args, keys, Wait::new(Kind::Zset, until), Box::new(look));
    }
    for index in keys.clone() {
        if ctx.looks_at(args.at(index)) && take(ctx, args, index, taking)? {
            return Ok(());
        }
    }
    ctx.block_on_keys(args, keys, Wait::new(Kind::Zset, until))
}
