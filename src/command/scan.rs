//! KEYS and SCAN: finding keys by pattern.
//!
//! SCAN steps through the buckets of the table with a cursor that outlives growth and shrinking
//! (`types::table::Table::scan`): a key that is there from the first call to the last is found at least once. A
//! pattern without special characters names one key, so both commands look it up instead of walking.
//! Cost: KEYS O(keys); SCAN about COUNT keys, and never more than ten times COUNT steps.
use crate::base::glob::{Case, glob_match};
use crate::command::scan_options::{Pattern, STEPS_PER_ELEMENT, ScanOptions, parse_cursor};
use crate::command::spec::flag::{READONLY, READS_ALL, TOUCHES_ARBITRARY_KEYS};
use crate::command::spec::{Command, Doc, Group, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply, Resp};
use crate::store::{EntryRef, Visitor, WalkId};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[KEYS, SCAN];

const KEYS: Command = Command {
    flags: READONLY | READS_ALL,
    categories: category::DANGEROUS,
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N) with N being the number of keys in the database, under the assumption that the key \
        names in the database and the given pattern have limited length.",
        "pattern:pattern",
        "Find all keys matching the given pattern",
    ),
    ..command(Group::Generic, "keys", 2, keys)
};

const SCAN: Command = Command {
    flags: READONLY | TOUCHES_ARBITRARY_KEYS | READS_ALL,
    tips: &["nondeterministic_output", "request_policy:special"],
    doc: Doc {
        history: &[("6.0.0", "Added the `TYPE` subcommand.")],
        ..doc(
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls \
            for the cursor to return back to 0. N is the number of elements inside the \
            collection.",
            "cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer] \
            [TYPE=type:string@6.0.0]",
            "Incrementally iterate the keys space",
        )
    },
    ..command(Group::Generic, "scan", -2, scan)
};

/// Buckets that KEYS visits between two looks at the clock: about ten keys each.
const BUCKETS_PER_PIECE: usize = 4;

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pattern = Pattern::parse(args.at(1));
    if let Pattern::Exact(name) = pattern {
        match ctx.db.peek(args.hasher().key(name)) {
            Some(entry) => {
                ctx.reply.array(1);
                ctx.reply.bulk(entry.key());
            }
            None => ctx.reply.array(0),
        }
        return Ok(());
    }
    if ctx.is_long(ctx.db.len()) {
        return ctx.run(args, ListKeys { walk: None, listed_bytes: 0 });
    }
    let mut list = KeyList::new(args.at(1), ctx.reply.resp());
    ctx.db.for_each_bucket(0..ctx.db.buckets(), &mut |entry| list.visit(entry));
    list.reply(ctx);
    Ok(())
}

/// The keys that match a pattern, as they are found.
struct KeyList {
    pattern: Box<[u8]>,
    resp: Resp,
    found: usize,
    listed: Output,
}

impl KeyList {
    fn new(pattern: &[u8], resp: Resp) -> KeyList {
        KeyList { pattern: pattern.into(), resp, found: 0, listed: Output::default() }
    }

    fn reply(self, ctx: &mut Ctx<'_>) {
        ctx.reply.array(self.found);
        ctx.reply.output().append(self.listed);
    }
}

impl Visitor for KeyList {
    fn visit(&mut self, entry: EntryRef<'_>) {
        let key = entry.key();
        if *self.pattern == *b"*" || glob_match(&self.pattern, key, Case::Sensitive) {
            self.found += 1;
            Reply::new(&mut self.listed, self.resp).bulk(key);
            self.listed.seal();
        }
    }
}

/// KEYS of a large database: the keys that exist when it begins, whatever happens to them meanwhile.
struct ListKeys {
    walk: Option<WalkId>,
    listed_bytes: usize,
}

impl Job for ListKeys {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let list = || Box::new(KeyList::new(args.at(1), ctx.client.resp));
        let walk = *self.walk.get_or_insert_with(|| ctx.db.begin_walk(list()));
        loop {
            let count = budget.piece(BUCKETS_PER_PIECE);
            if ctx.db.step_walk(walk, count) {
                break;
            }
            if budget.spend(count as u64) {
                let list = ctx.db.visitor(walk).and_then(|list| list.downcast_mut::<KeyList>());
                self.listed_bytes = list.map_or(0, |list| list.listed.len());
                return Ok(Step::More);
            }
        }
        if let Some(Ok(list)) = ctx.db.end_walk(walk).map(|list| list.downcast::<KeyList>()) {
            list.reply(ctx);
        }
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        let list = self.walk.take().and_then(|walk| ctx.db.end_walk(walk));
        if let Some(Ok(list)) = list.map(|list| list.downcast::<KeyList>()) {
            ctx.engine.graveyard.bury_output(list.listed);
        }
    }

    fn reply_bytes(&self) -> usize {
        self.listed_bytes
    }
}

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.at(1))?;
    let options = ScanOptions::of_keys(args, 2)?;
    if let Pattern::Exact(name) = options.pattern {
        let entry = ctx.db.peek(args.hasher().key(name)).filter(|entry| accepts(&options, entry));
        ctx.reply.array(2);
        ctx.reply.bulk_int(0);
        ctx.reply.array(usize::from(entry.is_some()));
        if let Some(entry) = entry {
            ctx.reply.bulk(entry.key());
        }
        return Ok(());
    }
    let count = options.count;
    let steps_left = count.saturating_mul(STEPS_PER_ELEMENT);
    let mut job = Scan { cursor, seen: 0, steps_left, found: 0, listed: Output::default() };
    if ctx.is_long(usize::try_from(count).unwrap_or(usize::MAX)) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// SCAN, with any COUNT.
struct Scan {
    cursor: u64,
    /// Keys looked at.
    seen: u64,
    steps_left: u64,
    found: usize,
    listed: Output,
}

impl Job for Scan {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let options = ScanOptions::of_keys(args, 2)?;
        let mut list = Reply::new(&mut self.listed, ctx.reply.resp());
        loop {
            self.cursor = ctx.db.scan(self.cursor, &mut |entry| {
                self.seen += 1;
                if accepts(&options, &entry) {
                    list.bulk(entry.key());
                    self.found += 1;
                }
            });
            if self.cursor == 0 || self.steps_left == 0 || self.seen >= options.count {
                break;
            }
            self.steps_left -= 1;
            if budget.spend(1) {
                self.listed.seal();
                return Ok(Step::More);
            }
        }
        ctx.reply.array(2);
        // Redis prints it signed; cursors of a real table never reach that far.
        ctx.reply.bulk_int(self.cursor as i64);
        ctx.reply.array(self.found);
        ctx.reply.output().append(std::mem::take(&mut self.listed));
        Ok(Step::Done)
    }

    fn reply_bytes(&self) -> usize {
        self.listed.len()
    }
}

/// Whether SCAN reports a key.
#[inline]
fn accepts(options: &ScanOptions<'_>, entry: &EntryRef<'_>) -> bool {
    let is_type = |name: &[u8]| name.eq_ignore_ascii_case(entry.kind().name().as_bytes());
    options.pattern.matches(entry.key()) && options.type_name.is_none_or(is_type)
}
