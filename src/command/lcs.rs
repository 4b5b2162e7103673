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
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::store::StringRef;
use crate::types::lcs::{self, Lcs};

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
    let (first, second) = (take(ctx, args.key(1))?, take(ctx, args.key(2))?);
    let wishes = parse(args)?;
    let (a, b) = (first.as_bytes(), second.as_bytes());
    check_size(ctx, a, b)?;
    let failed =
        |_| CmdError::Text("ERR Insufficient memory, failed allocating transient memory for LCS");
    if wishes.length {
        ctx.reply.count(lcs::length(a, b).map_err(failed)?);
        return Ok(());
    }
    let common = Lcs::new(a, b).map_err(failed)?;
    if wishes.runs {
        reply_runs(&mut ctx.reply, &common, &wishes);
    } else {
        ctx.reply.bulk(&common.bytes());
    }
    Ok(())
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

/// IDX: the runs with their places in both strings, the last one first, then the length of all.
fn reply_runs(reply: &mut Reply<'_>, common: &Lcs<'_>, wishes: &Wishes) {
    reply.map(2);
    reply.bulk(b"matches");
    let open = reply.array_open();
    let mut count = 0;
    common.each_run(|run| {
        if (run.len as i64) < wishes.run_length_min {
            return;
        }
        count += 1;
        reply.array(if wishes.run_lengths { 3 } else { 2 });
        for start in [run.a_start, run.b_start] {
            reply.array(2);
            reply.count(start);
            reply.count(start + run.len - 1);
        }
        if wishes.run_lengths {
            reply.count(run.len);
        }
    });
    reply.array_close(open, count);
    reply.bulk(b"len");
    reply.count(common.len());
}
