//! LCS: what two strings have in common. The algorithm is `types::lcs`.
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, RO};
use crate::command::spec::flag::READONLY;
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::store::StringRef;
use crate::types::lcs::{LcsWork, Run, Wanted};

/// Units of some 1000 cells computed between two looks at the clock.
const PIECE_UNITS: usize = 8;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[LCS];

const LCS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::range(RO | ACCESS, 1, 1, 1)],
    doc: doc(
        "7.0.0",
        "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        "key1:key key2:key [LEN] [IDX] [MINMATCHLEN=len:integer] [WITHMATCHLEN]",
        "Find longest common substring",
    ),
    ..command(Group::String, "lcs", -3, lcs)
};

/// A value taken out of the keyspace, since two cannot be borrowed from it at once: a big one by reference.
enum Taken {
    Bytes(Vec<u8>),
    Block(Block),
}

impl Taken {
    fn from(value: Option<StringRef<'_>>) -> Taken {
        match value {
            None => Taken::Bytes(Vec::new()),
            Some(StringRef::Block(block)) => Taken::Block(block.clone()),
            Some(value) => Taken::Bytes(value.as_bytes(&mut itoa::Buffer::new()).to_vec()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Taken::Bytes(bytes) => bytes,
            Taken::Block(block) => block,
        }
    }
}

/// What LCS is asked for.
#[derive(Default)]
struct Wishes {
    /// LEN: only the length.
    length: bool,
    /// IDX: the runs.
    runs: bool,
    /// WITHMATCHLEN: the length of each run.
    run_lengths: bool,
    /// MINMATCHLEN: no shorter runs than this.
    run_length_min: i64,
}

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // Both are looked up, whatever the first one is: INFO counts it.
    let (first, second) = (take(ctx, args.key(1)), take(ctx, args.key(2)));
    let (first, second) = (first?, second?);
    let wishes = parse(args)?;
    let (a, b) = (first.as_bytes(), second.as_bytes());
    check_size(ctx, a, b)?;
    let wanted = if wishes.length { Wanted::Length } else { Wanted::Sequence };
    let work = LcsWork::new(wanted, a, b);
    let (runs, count) = (Output::default(), 0);
    ctx.run(
        args,
        FindCommon { wishes, first, second, work: Some(work), is_known: false, runs, count },
    )
}

/// LCS: O(N × M), so every one may turn out long.
struct FindCommon {
    wishes: Wishes,
    first: Taken,
    second: Taken,
    /// `None` once it is given up to be freed.
    work: Option<LcsWork>,
    /// The length is known: what is left are the bytes or the runs.
    is_known: bool,
    /// IDX: the runs found so far, as they will be replied.
    runs: Output,
    count: usize,
}

impl FindCommon {
    fn advance(
        &mut self,
        ctx: &mut Ctx<'_>,
        work: &mut LcsWork,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let failed = |_| {
            CmdError::Text("ERR Insufficient memory, failed allocating transient memory for LCS")
        };
        let (a, b) = (self.first.as_bytes(), self.second.as_bytes());
        loop {
            let units = budget.piece(PIECE_UNITS);
            if !self.is_known {
                self.is_known = work.step(a, b, units).map_err(failed)?.is_done();
                if self.is_known && self.wishes.length {
                    ctx.reply.count(work.len());
                    return Ok(Step::Done);
                }
            } else if self.wishes.runs {
                let mut list = Reply::new(&mut self.runs, ctx.client.resp);
                let (wishes, count) = (&self.wishes, &mut self.count);
                let found = |run: Run| *count += usize::from(reply_run(&mut list, &run, wishes));
                if work.step_runs(a, b, units, found).is_done() {
                    ctx.reply.map(2);
                    ctx.reply.bulk(b"matches");
                    ctx.reply.array(self.count);
                    ctx.reply.output().append(std::mem::take(&mut self.runs));
                    ctx.reply.bulk(b"len");
                    ctx.reply.count(work.len());
                    return Ok(Step::Done);
                }
                self.runs.seal();
            } else if work.step_bytes(a, b, units).map_err(failed)?.is_done() {
                ctx.reply.bulk_block(&work.take_bytes());
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

impl Job for FindCommon {
    fn step(&mut self, ctx: &mut Ctx<'_>, _args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(mut work) = self.work.take() else { return Ok(Step::Done) };
        let result = self.advance(ctx, &mut work, budget);
        if matches!(result, Ok(Step::More)) {
            self.work = Some(work);
        } else {
            // Its table may have hundreds of megabytes.
            ctx.engine.graveyard.bury_garbage(Box::new(work));
        }
        result
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(work) = self.work.take() {
            ctx.engine.graveyard.bury_garbage(Box::new(work));
        }
    }

    fn reply_bytes(&self) -> usize {
        self.runs.len()
    }
}

/// The string at a key; nothing is an empty one.
fn take(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<Taken, CmdError> {
    match ctx.db.string(key) {
        Ok(value) => Ok(Taken::from(value)),
        Err(_) => Err(CmdError::Text("ERR The specified keys must contain string values")),
    }
}

fn parse(args: Args<'_>) -> Result<Wishes, CmdError> {
    let mut wishes = Wishes::default();
    let mut options = Options::new(args, 3);
    while let Some(word) = options.next() {
        match word {
            _ if is(word, "idx") => wishes.runs = true,
            _ if is(word, "len") => wishes.length = true,
            _ if is(word, "withmatchlen") => wishes.run_lengths = true,
            // Read at once: here a bad number comes before a later syntax error.
            _ if is(word, "minmatchlen") => wishes.run_length_min = integer(options.value()?)?,
            _ => return Err(CmdError::Syntax),
        }
    }
    if wishes.length && wishes.runs {
        return Err(CmdError::Text(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(wishes)
}

/// Refuses what Redis refuses, which keeps a number of four bytes per pair of bytes. We keep a bit, but a
/// client must find the same limits.
fn check_size(ctx: &Ctx<'_>, a: &[u8], b: &[u8]) -> CmdResult {
    const CELL_BYTES: u128 = 4;
    const LENGTH_LIMIT: usize = u32::MAX as usize - 1;
    if a.len() >= LENGTH_LIMIT || b.len() >= LENGTH_LIMIT {
        return Err(CmdError::Text("ERR String too long for LCS"));
    }
    let table_bytes = (a.len() as u128 + 1) * (b.len() as u128 + 1) * CELL_BYTES;
    if table_bytes > ctx.engine.config.int(Opt::ProtoMaxBulkLen).max(0) as u128 {
        return Err(CmdError::Text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(())
}

/// One run with its places in both strings; false where it is too short to be told.
fn reply_run(list: &mut Reply<'_>, run: &Run, wishes: &Wishes) -> bool {
    if (run.len as i64) < wishes.run_length_min {
        return false;
    }
    list.array(if wishes.run_lengths { 3 } else { 2 });
    for start in [run.a_start, run.b_start] {
        list.array(2);
        list.count(start);
        list.count(start + run.len - 1);
    }
    if wishes.run_lengths {
        list.count(run.len);
    }
    true
}
