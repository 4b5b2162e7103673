//! Walking over a hash: HGETALL, HKEYS, HVALS, HSCAN.
//!
//! Each is a job where there is much to walk over: it holds the key, so the place it has reached stays valid.
use crate::command::hash_value::{FIELDS_PER_PIECE, has_due, reply_value, start};
use crate::command::items::reply_item;
use crate::command::scan_options::{STEPS_PER_ELEMENT, ScanOptions, parse_cursor};
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::READONLY;
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::types::hash::{Field, Hash, HashRef};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[HGETALL, HKEYS, HVALS, HSCAN];

const HGETALL: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "2.0.0",
        "O(N) where N is the size of the hash.",
        "key:key",
        "Get all the fields and values in a hash",
    ),
    ..command(Group::Hash, "hgetall", 2, hgetall)
};

const HKEYS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "2.0.0",
        "O(N) where N is the size of the hash.",
        "key:key",
        "Get all the fields in a hash",
    ),
    ..command(Group::Hash, "hkeys", 2, hkeys)
};

const HVALS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "2.0.0",
        "O(N) where N is the size of the hash.",
        "key:key",
        "Get all the values in a hash",
    ),
    ..command(Group::Hash, "hvals", 2, hvals)
};

const HSCAN: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    tips: &["nondeterministic_output"],
    doc: doc(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for \
        the cursor to return back to 0. N is the number of elements inside the collection..",
        "key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer]",
        "Incrementally iterate hash fields and associated values",
    ),
    ..command(Group::Hash, "hscan", -3, hscan)
};

fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    walk(ctx, args, Part::Both)
}

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    walk(ctx, args, Part::Names)
}

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    walk(ctx, args, Part::Values)
}

/// What of each field is replied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Names,
    Values,
    Both,
}

impl Part {
    /// The beginning of a reply with so many fields.
    fn open(self, reply: &mut Reply<'_>, count: usize) {
        match self {
            Part::Both => reply.map(count),
            Part::Names | Part::Values => reply.array(count),
        }
    }

    #[inline]
    fn write(self, reply: &mut Reply<'_>, field: Field<'_>) {
        if self != Part::Values {
            reply_item(reply, field.name);
        }
        if self != Part::Names {
            reply_value(reply, field.found.value);
        }
    }
}

fn walk(ctx: &mut Ctx<'_>, args: Args<'_>, part: Part) -> CmdResult {
    let now = ctx.now;
    let Some(hash) = ctx.db.get::<Hash>(args.key(1))? else {
        part.open(&mut ctx.reply, 0);
        return Ok(());
    };
    let length = hash.len();
    if has_due(hash, now) {
        let (cursor, found, listed) = (0, 0, Output::default());
        return start(ctx, args, length, WalkLive { part, cursor, found, listed });
    }
    part.open(&mut ctx.reply, length);
    start(ctx, args, length, Walk { part, cursor: 0 })
}

/// Replies with all fields of a hash, the number of which has been replied.
struct Walk {
    part: Part,
    cursor: usize,
}

impl Job for Walk {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(hash) = ctx.db.peek_as::<Hash>(args.key(1))? else { return Ok(Step::Done) };
        let (part, reply) = (self.part, &mut ctx.reply);
        loop {
            let piece = budget.piece(FIELDS_PER_PIECE);
            let progress = hash.visit(&mut self.cursor, piece, |field| part.write(reply, field));
            if progress.is_done() {
                return Ok(Step::Done);
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
    }
}

/// As [`Walk`], of a hash with fields whose time has come: how many others there are is known at the end.
struct WalkLive {
    part: Part,
    cursor: usize,
    found: usize,
    listed: Output,
}

impl Job for WalkLive {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let now = ctx.now;
        let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        while let Some(hash) = hash {
            let piece = budget.piece(FIELDS_PER_PIECE);
            let progress = hash.visit(&mut self.cursor, piece, |field| {
                if field.is_live(now) {
                    self.found += 1;
                    self.part.write(&mut list, field);
                }
            });
            if progress.is_done() {
                break;
            }
            if budget.spend(piece as u64) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        self.part.open(&mut ctx.reply, self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.at(2))?;
    let Some(hash) = ctx.db.get::<Hash>(args.key(1))? else {
        reply_scan(&mut ctx.reply, 0, 0, Output::default());
        return Ok(());
    };
    // The options come last: without a key nobody looks at them.
    let options = ScanOptions::of_elements(args, 3)?;
    let length = match hash {
        HashRef::Packed(_) | HashRef::Expiring(_) => hash.len(),
        HashRef::Table(_) => usize::try_from(options.count).unwrap_or(usize::MAX),
    };
    let steps_left = options.count.saturating_mul(STEPS_PER_ELEMENT);
    let job = Scan { cursor, seen: 0, steps_left, found: 0, listed: Output::default() };
    start(ctx, args, length, job)
}

fn reply_scan(reply: &mut Reply<'_>, cursor: u64, found: usize, listed: Output) {
    reply.array(2);
    // Redis prints it signed; cursors of a real table never reach that far.
    reply.bulk_int(cursor as i64);
    reply.array(2 * found);
    reply.output().append(listed);
}

/// HSCAN, with any COUNT.
struct Scan {
    cursor: u64,
    /// Fields looked at.
    seen: u64,
    steps_left: u64,
    found: usize,
    listed: Output,
}

impl Job for Scan {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let ScanOptions { count, pattern, .. } = ScanOptions::of_elements(args, 3)?;
        let now = ctx.now;
        let hash = ctx.db.peek_as::<Hash>(args.key(1))?;
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        while let Some(hash) = hash {
            self.cursor = hash.scan(self.cursor, |field| {
                self.seen += 1;
                let name = field.name;
                if field.is_live(now) && pattern.matches(name.as_bytes(&mut itoa::Buffer::new())) {
                    Part::Both.write(&mut list, field);
                    self.found += 1;
                }
            });
            if self.cursor == 0 || self.steps_left == 0 || self.seen >= count {
                break;
            }
            self.steps_left -= 1;
            if budget.spend(1) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        let listed = std::mem::take(&mut self.listed);
        reply_scan(&mut ctx.reply, self.cursor, self.found, listed);
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}
