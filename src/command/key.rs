//! Commands that do not care what a key holds: DEL, EXISTS, TYPE, TOUCH, RENAME, MOVE, RANDOMKEY.
//!
//! Nothing is freed here: what a command deletes or replaces goes to the database's graveyard, so DEL and
//! UNLINK are the same. A value that moves is taken out whole, with expiry and access clock.
//! Cost: O(1) for each key named; very many keys are a job.
use crate::base::hash::Key;
use crate::command::spec::access::{ACCESS, DELETE, INSERT, OW, RM, RO, RW, UPDATE};
use crate::command::spec::flag::{
    FAST, OTHER_DB, READONLY, READS_ALL, TOUCHES_ARBITRARY_KEYS, WRITE,
};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::Args;
use crate::store::Db;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] =
    &[DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, MOVE, RANDOMKEY];

const DEL: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(RM | DELETE, 1, -1, 1)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    doc: doc(
        "1.0.0",
        "O(N) where N is the number of keys that will be removed. When a key to remove holds a \
        value other than a string, the individual complexity for this key is O(M) where M is the \
        number of elements in the list, set, sorted set or hash. Removing a single key that \
        holds a string value is O(1).",
        "key:key...",
        "Delete a key",
    ),
    ..command(Group::Generic, "del", -2, del)
};

const UNLINK: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::range(RM | DELETE, 1, -1, 1)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    doc: doc(
        "4.0.0",
        "O(1) for each key removed regardless of its size. Then the command does O(N) work in a \
        different thread in order to reclaim memory, where N is the number of allocations the \
        deleted objects where composed of.",
        "key:key...",
        "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non \
        blocking.",
    ),
    ..command(Group::Generic, "unlink", -2, unlink)
};

const EXISTS: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::range(RO, 1, -1, 1)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    doc: Doc {
        history: &[("3.0.3", "Accepts multiple `key` arguments.")],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of keys to check.",
            "key:key...",
            "Determine if a key exists",
        )
    },
    ..command(Group::Generic, "exists", -2, exists)
};

const TOUCH: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::range(RO, 1, -1, 1)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    doc: doc(
        "3.2.1",
        "O(N) where N is the number of keys that will be touched.",
        "key:key...",
        "Alters the last access time of a key(s). Returns the number of existing keys specified.",
    ),
    ..command(Group::Generic, "touch", -2, touch)
};

const TYPE: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("1.0.0", "O(1)", "key:key", "Determine the type stored at key"),
    ..command(Group::Generic, "type", 2, type_of)
};

const RENAME: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(OW | UPDATE, 2, 0, 1)],
    doc: doc("1.0.0", "O(1)", "key:key newkey:key#1", "Rename a key"),
    ..command(Group::Generic, "rename", 3, rename)
};

const RENAMENX: Command = Command {
    flags: WRITE | FAST,
    keys: &[KeySpec::first(RW | ACCESS | DELETE), KeySpec::range(OW | INSERT, 2, 0, 1)],
    doc: Doc {
        history: &[(
            "3.2.0",
            "The command no longer returns an error when source and destination names are \
                the same.",
        )],
        ..doc(
            "1.0.0",
            "O(1)",
            "key:key newkey:key#1",
            "Rename a key, only if the new key does not exist",
        )
    },
    ..command(Group::Generic, "renamenx", 3, renamenx)
};

const MOVE: Command = Command {
    flags: WRITE | FAST | OTHER_DB,
    keys: &[KeySpec::first(RW | ACCESS | UPDATE)],
    doc: doc("1.0.0", "O(1)", "key:key db:integer", "Move a key to another database"),
    ..command(Group::Generic, "move", 3, move_key)
};

const RANDOMKEY: Command = Command {
    flags: READONLY | TOUCHES_ARBITRARY_KEYS | READS_ALL,
    tips: &["request_policy:all_shards", "nondeterministic_output"],
    doc: doc("1.0.0", "O(1)", "", "Return a random key from the keyspace"),
    ..command(Group::Generic, "randomkey", 1, randomkey)
};

const SAME_OBJECT: CmdError = CmdError::Text("ERR source and destination objects are the same");

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_keys(ctx, args, |ctx, key| ctx.delete(key))
}

fn unlink(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    del(ctx, args)
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_keys(ctx, args, |ctx, key| ctx.db.exists(key))
}

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_keys(ctx, args, |ctx, key| ctx.db.read(key).is_some())
}

/// Does something with every key and replies for how many it was true.
fn count_keys(ctx: &mut Ctx<'_>, args: Args<'_>, act: KeyAction) -> CmdResult {
    if ctx.is_long(args.len() - 1) {
        return ctx.run_with_many_keys(args, CountKeys { act, next: 1, count: 0 });
    }
    let mut count = 0;
    for index in 1..args.len() {
        count += usize::from(act(ctx, args.key(index)));
    }
    ctx.reply.count(count);
    Ok(())
}

type KeyAction = fn(&mut Ctx<'_>, Key<'_>) -> bool;

/// [`count_keys`] of very many.
struct CountKeys {
    act: KeyAction,
    /// Argument of the next key.
    next: usize,
    count: usize,
}

impl Job for CountKeys {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.next < args.len() {
            let end = (self.next + budget.piece(KEYS_PER_PIECE)).min(args.len());
            for index in self.next..end {
                self.count += usize::from((self.act)(ctx, args.key(index)));
            }
            let done = end - self.next;
            self.next = end;
            if budget.spend(done as u64) && end < args.len() {
                return Ok(Step::More);
            }
        }
        ctx.reply.count(self.count);
        Ok(Step::Done)
    }
}

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = ctx.db.read_no_touch(args.key(1)).map_or("none", |entry| entry.kind().name());
    ctx.reply.simple(name);
    Ok(())
}

fn randomkey(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let random = &mut ctx.engine.random;
    // A try that meets only keys past their time deletes them, so this ends; it goes on because a key
    // that lives must be found.
    while !ctx.db.is_empty() {
        if let Some(entry) = ctx.db.random(&mut |below| random.below(below)) {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
        if ctx.db.keeps_expired || !ctx.db.holds.is_empty() {
            // CLIENT PAUSE, or jobs hold them: nothing is deleted, and trying again might never end.
            match first_alive(ctx.db) {
                Some(key) => ctx.reply.bulk(&key),
                None => ctx.reply.null(),
            }
            return Ok(());
        }
    }
    ctx.reply.null();
    Ok(())
}

/// Some key that is not past its time. O(keys).
fn first_alive(db: &Db) -> Option<Vec<u8>> {
    let mut found = None;
    db.for_each_bucket(0..db.buckets(), &mut |entry| {
        found.get_or_insert_with(|| entry.key().to_vec());
    });
    found
}

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    rename_to(ctx, args, Target::Any)?;
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_renamed = rename_to(ctx, args, Target::Absent)?;
    ctx.reply.int(is_renamed.into());
    Ok(())
}

/// What may be at the place a value goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Anything: it is replaced.
    Any,
    /// Nothing: else the command does nothing.
    Absent,
}

/// Moves a value from the first key to the second; says whether it did.
fn rename_to(ctx: &mut Ctx<'_>, args: Args<'_>, target: Target) -> Result<bool, CmdError> {
    let (from, to) = (args.key(1), args.key(2));
    if ctx.db.read_for_write(from).is_none() {
        return Err(CmdError::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(false);
    }
    if target == Target::Absent && ctx.db.read_for_write(to).is_some() {
        return Ok(false);
    }
    let Some(entry) = ctx.db.take(from) else { return Err(CmdError::NoSuchKey) };
    if let Err((entry, _)) = ctx.db.put(to, entry) {
        // The memory it had a moment ago is still there.
        let _ = ctx.db.put(from, entry);
        return Err(CmdError::OutOfMemory);
    }
    ctx.db.note_new(to.bytes);
    ctx.changed(Event::RenameFrom, from.bytes);
    ctx.changed(Event::RenameTo, to.bytes);
    Ok(true)
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let target_index = ctx.db_named(args.at(2))?;
    let key = args.key(1);
    let Some((source, target)) = ctx.db_pair(target_index) else { return Err(SAME_OBJECT) };
    if source.read_for_write(key).is_none() || target.read_for_write(key).is_some() {
        ctx.reply.int(0);
        return Ok(());
    }
    if let Some(entry) = source.take(key)
        && let Err((entry, _)) = target.put(key, entry)
    {
        // As in RENAME: the memory it had is still there.
        let _ = source.put(key, entry);
        return Err(CmdError::OutOfMemory);
    }
    // It is new there before it leaves here.
    ctx.tell_news_of(target_index);
    ctx.changed(Event::MoveFrom, key.bytes);
    ctx.changed_in(target_index, Event::MoveTo, key.bytes);
    ctx.reply.int(1);
    Ok(())
}
