//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE and their tests. The algorithm and the bytes are `types::hyperloglog`.
//!
//! A HyperLogLog is at most 32 KiB, so one is changed or counted in one go; many elements or many keys are a job.
use crate::base::hash::Key;
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, INSERT, RO, RW};
use crate::command::spec::flag::{ADMIN, DENYOOM, FAST, MAY_REPLICATE, READONLY, SYSCMD, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::store::StringRef;
use crate::types::hyperloglog::{
    self as hll, Corrupt, Encoding, REGISTERS, Refused, Registers, SelfTest,
};

/// Elements added between two looks at the clock: some 50 us where the string is sparse.
const ELEMENTS_PER_PIECE: usize = 32;
/// Keys merged between two looks at the clock: one takes some 10 us.
const KEYS_PER_PIECE: usize = 2;
/// Registers raised between two looks at the clock.
const REGISTERS_PER_PIECE: usize = 128;
/// Keys that are merged as fast as one key is handled elsewhere.
const UNITS_PER_KEY: usize = 16;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST];

const PFADD: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: doc(
        "2.8.9",
        "O(1) to add every element.",
        "key:key [element:string...]",
        "Adds the specified elements to the specified HyperLogLog.",
    ),
    ..command(Group::Hyperloglog, "pfadd", -2, pfadd)
};

const PFCOUNT: Command = Command {
    flags: READONLY | MAY_REPLICATE,
    keys: &[KeySpec {
        notes: "RW because it may change the internal representation of the key, and propagate \
            to replicas",
        ..KeySpec::range(RW | ACCESS, 1, -1, 1)
    }],
    doc: doc(
        "2.8.9",
        "O(1) with a very small average constant time when called with a single key. O(N) with N \
        being the number of keys, and much bigger constant times, when called with multiple keys.",
        "key:key...",
        "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s).",
    ),
    ..command(Group::Hyperloglog, "pfcount", -2, pfcount)
};

const PFDEBUG: Command = Command {
    flags: WRITE | DENYOOM | ADMIN | SYSCMD,
    keys: &[KeySpec::range(RW | ACCESS, 2, 0, 1)],
    doc: doc(
        "2.8.9",
        "N/A",
        "subcommand:string key:key",
        "Internal commands for debugging HyperLogLog values",
    ),
    ..command(Group::Hyperloglog, "pfdebug", 3, pfdebug)
};

const PFMERGE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | ACCESS | INSERT), KeySpec::range(RO | ACCESS, 2, -1, 1)],
    doc: doc(
        "2.8.9",
        "O(N) to merge N HyperLogLogs, but with high constant times.",
        "destkey:key sourcekey:key#1...",
        "Merge N different HyperLogLogs into a single one.",
    ),
    ..command(Group::Hyperloglog, "pfmerge", -2, pfmerge)
};

const PFSELFTEST: Command = Command {
    flags: ADMIN | SYSCMD,
    doc: doc("2.8.9", "N/A", "", "An internal command for testing HyperLogLog values"),
    ..command(Group::Hyperloglog, "pfselftest", 1, pfselftest)
};

impl From<Refused> for CmdError {
    fn from(refused: Refused) -> CmdError {
        match refused {
            Refused::Other => {
                CmdError::Text("WRONGTYPE Key is not a valid HyperLogLog string value.")
            }
            Refused::Corrupt => CmdError::Text("INVALIDOBJ Corrupted HLL object detected"),
        }
    }
}

impl From<Corrupt> for CmdError {
    fn from(corrupt: Corrupt) -> CmdError {
        Refused::from(corrupt).into()
    }
}

/// The string of a key, if it can be a HyperLogLog. An integer never is.
fn checked(string: Option<StringRef<'_>>) -> Result<Option<&[u8]>, CmdError> {
    let text = match string {
        None => return Ok(None),
        Some(StringRef::Int(_)) => return Err(Refused::Other.into()),
        Some(StringRef::Bytes(bytes)) => bytes,
        Some(StringRef::Block(block)) => block.as_slice(),
    };
    hll::check(text)?;
    Ok(Some(text))
}

/// Edits a HyperLogLog that was checked, or makes one.
fn edit<R>(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    edit: impl FnOnce(&mut Vec<u8>) -> R,
) -> Result<Option<R>, CmdError> {
    let edited = ctx.db.edit_text(key, 0, usize::MAX, |text| {
        if text.is_empty() {
            *text = hll::new_text();
        }
        edit(text)
    })?;
    Ok(edited)
}

fn pfadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_new = checked(ctx.db.string_for_write(args.key(1))?)?.is_none();
    let mut job = AddElements { next: 2, changes: u64::from(is_new) };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// PFADD.
struct AddElements {
    /// Argument of the next element.
    next: usize,
    changes: u64,
}

impl Job for AddElements {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        let sparse_bytes_max = ctx.engine.limits.hll_sparse_max_bytes;
        loop {
            let end = (self.next + budget.piece(ELEMENTS_PER_PIECE)).min(args.len());
            let mut changes = 0;
            let edited = edit(ctx, key, |text| {
                for index in self.next..end {
                    changes += u64::from(hll::add(text, args.at(index), sparse_bytes_max)?);
                }
                if self.changes + changes > 0 {
                    hll::invalidate_count(text);
                }
                Ok::<_, Corrupt>(())
            })?;
            edited.unwrap_or(Ok(()))?;
            self.changes += changes;
            let done = end - self.next;
            self.next = end;
            if end == args.len() {
                break;
            }
            if budget.spend(done as u64) {
                return Ok(Step::More);
            }
        }
        if self.changes > 0 {
            ctx.changed_by(Event::PfAdd, key.bytes, self.changes as usize);
        }
        ctx.reply.int((self.changes > 0).into());
        Ok(Step::Done)
    }
}

fn pfcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() == 2 {
        return count_one(ctx, args.key(1));
    }
    let job = CountUnion { registers: Registers::new(), next: 1 };
    run_on_keys(ctx, args, args.len() - 1, job)
}

/// The count of one key is kept in its string until that changes.
fn count_one(ctx: &mut Ctx<'_>, key: Key<'_>) -> CmdResult {
    let Some(text) = checked(ctx.db.string(key)?)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    if let Some(count) = hll::cached_count(text) {
        ctx.reply.int(count);
        return Ok(());
    }
    let count = hll::count(text)?;
    edit(ctx, key, |text| hll::cache_count(text, count))?;
    ctx.changed(Event::PfCount, key.bytes);
    ctx.reply.int(count);
    Ok(())
}

/// Runs a job over so many keys.
fn run_on_keys(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    keys: usize,
    job: impl Job + 'static,
) -> CmdResult {
    if ctx.is_long(keys) { ctx.run_with_many_keys(args, job) } else { ctx.run(args, job) }
}

/// PFCOUNT of several keys.
struct CountUnion {
    registers: Registers,
    /// Argument of the next key.
    next: usize,
}

impl Job for CountUnion {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if !merge_keys(ctx, args, &mut self.registers, &mut self.next, budget, |_| {})? {
            return Ok(Step::More);
        }
        ctx.reply.int(self.registers.count());
        Ok(Step::Done)
    }
}

/// Merges the keys from argument `next` on; false: the budget is spent. `see` is shown each string.
fn merge_keys(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    registers: &mut Registers,
    next: &mut usize,
    budget: &mut Budget,
    mut see: impl FnMut(&[u8]),
) -> Result<bool, CmdError> {
    while *next < args.len() {
        let end = (*next + budget.piece(KEYS_PER_PIECE)).min(args.len());
        for index in *next..end {
            if let Some(text) = checked(ctx.db.string(args.key(index))?)? {
                registers.merge(text)?;
                see(text);
            }
        }
        let done = end - *next;
        *next = end;
        if budget.spend((done * UNITS_PER_KEY) as u64) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn pfmerge(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let job = Merge {
        registers: Registers::new(),
        next: 1,
        has_dense: false,
        result: Vec::new(),
        raised: 0,
    };
    run_on_keys(ctx, args, args.len() - 1, job)
}

/// PFMERGE: all keys, the destination too, are merged, and then the destination's registers raised in a copy.
struct Merge {
    registers: Registers,
    /// Argument of the next key.
    next: usize,
    has_dense: bool,
    /// The destination's new string, once all are merged.
    result: Vec<u8>,
    /// Its registers that are done.
    raised: usize,
}

impl Merge {
    /// The destination as it is, in the form it will have.
    fn begin_result(&mut self, ctx: &mut Ctx<'_>, key: Key<'_>) -> CmdResult {
        let old = checked(ctx.db.string_for_write(key)?)?;
        self.result = old.map_or_else(hll::new_text, <[u8]>::to_vec);
        if self.has_dense {
            hll::to_dense(&mut self.result)?;
        }
        Ok(())
    }
}

impl Job for Merge {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let has_dense = &mut self.has_dense;
        let see = |text: &[u8]| *has_dense |= hll::encoding(text) == Encoding::Dense;
        if !merge_keys(ctx, args, &mut self.registers, &mut self.next, budget, see)? {
            return Ok(Step::More);
        }
        let key = args.key(1);
        if self.result.is_empty() {
            self.begin_result(ctx, key)?;
        }
        let sparse_bytes_max = ctx.engine.limits.hll_sparse_max_bytes;
        while self.raised < REGISTERS {
            let end = self.raised + budget.piece(REGISTERS_PER_PIECE);
            self.registers.raise_in(&mut self.result, self.raised..end, sparse_bytes_max);
            let done = end - self.raised;
            self.raised = end;
            if budget.spend(done as u64) && end < REGISTERS {
                return Ok(Step::More);
            }
        }
        hll::invalidate_count(&mut self.result);
        let result = std::mem::take(&mut self.result);
        edit(ctx, key, |text| *text = result)?;
        ctx.changed(Event::PfAdd, key.bytes);
        ctx.reply.ok();
        Ok(Step::Done)
    }
}

fn pfdebug(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(2);
    let Some(text) = checked(ctx.db.string_for_write(key)?)? else {
        return Err(CmdError::Text("ERR The specified key does not exist"));
    };
    match args.at(1) {
        word if is(word, "getreg") => {
            to_dense(ctx, key)?;
            let text = checked(ctx.db.string_for_write(key)?)?.unwrap_or_default();
            let registers = hll::values(text)?;
            ctx.reply.array(REGISTERS);
            for value in registers.values() {
                ctx.reply.int((*value).into());
            }
        }
        word if is(word, "decode") => {
            if hll::encoding(text) != Encoding::Sparse {
                return Err(CmdError::Text("ERR HLL encoding is not sparse"));
            }
            let decoded = hll::decoded(text);
            ctx.reply.bulk(&decoded);
        }
        word if is(word, "encoding") => ctx.reply.simple(match hll::encoding(text) {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }),
        word if is(word, "todense") => {
            let is_changed = to_dense(ctx, key)?;
            ctx.reply.int(is_changed.into());
        }
        word => {
            let shown = word.split(|byte| *byte == 0).next().unwrap_or_default();
            return Err(CmdError::owned(&[b"ERR Unknown PFDEBUG subcommand '", shown, b"'"]));
        }
    }
    Ok(())
}

/// Makes a HyperLogLog dense; true if it was sparse.
fn to_dense(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, CmdError> {
    let is_changed = edit(ctx, key, hll::to_dense)?.unwrap_or(Ok(false))?;
    // Redis counts it as a change, but tells nobody.
    ctx.engine.stats.dirty += u64::from(is_changed);
    Ok(is_changed)
}

fn pfselftest(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let seed = ctx.engine.random.next_u64();
    let test = SelfTest::new(seed, ctx.engine.limits.hll_sparse_max_bytes);
    ctx.run(args, TestItself { test })
}

/// PFSELFTEST.
struct TestItself {
    test: SelfTest,
}

impl Job for TestItself {
    fn step(&mut self, ctx: &mut Ctx<'_>, _args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let progress = self.test.step(1);
            let failed = |text: String| CmdError::owned(&[b"TESTFAILED ", text.as_bytes()]);
            if progress.map_err(failed)?.is_done() {
                ctx.reply.ok();
                return Ok(Step::Done);
            }
            if budget.spend(1) {
                return Ok(Step::More);
            }
        }
    }
}
