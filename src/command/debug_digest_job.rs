//! DEBUG DIGEST and DEBUG DIGEST-VALUE, in slices.
//!
//! DIGEST begins when nobody is in the middle of a write, and walks over all databases as they are then
//! (`store::walk`): what others are about to change it sees before. A big value it comes to is held for reading from
//! then on and done in pieces; one that somebody is about to change before that is done in one go, at his cost.
//! FLUSHALL and SWAPDB wait.
//!
//! Cost: `debug_digest`. For tests, as all of DEBUG.
use crate::command::debug_digest::{Digest, EntryDigest, len_of};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::jobs::{Budget, INDEX, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::store::{Db, EntryRef, Hold, Visitor, WalkId};

/// Elements between two looks at the clock: about 20 us.
const ELEMENTS_PER_PIECE: usize = 32;
/// Values of more elements, or bytes, are done in pieces.
const ELEMENTS_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 32 * 1024;

pub(super) fn digest(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.run(args, DigestAll::default())
}

pub(super) fn digest_value(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let job = DigestValues { next: FIRST_KEY, work: None };
    match ctx.is_long(args.len() - FIRST_KEY) {
        true => ctx.run_with_many_keys(args, job),
        false => ctx.run(args, job),
    }
}

/// Where DEBUG DIGEST-VALUE has its keys.
const FIRST_KEY: usize = 2;

/// DEBUG DIGEST-VALUE.
struct DigestValues {
    /// The next argument.
    next: usize,
    /// That key, as far as it was done.
    work: Option<EntryDigest>,
}

impl Job for DigestValues {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if self.next == FIRST_KEY && self.work.is_none() {
            ctx.reply.array(args.len() - FIRST_KEY);
        }
        while self.next < args.len() {
            let work = self.work.get_or_insert_with(|| EntryDigest::new(Digest::default()));
            let units = budget.piece(ELEMENTS_PER_PIECE);
            let is_done = match ctx.db.peek(args.key(self.next)) {
                Some(entry) => work.step(&entry, units).is_done(),
                // Of a key that is not there: zeros.
                None => true,
            };
            if is_done {
                ctx.reply.simple(&work.digest().to_string());
                (self.next, self.work) = (self.next + 1, None);
            }
            // Where nothing is done yet, the reply has not begun.
            if budget.spend(units as u64) {
                self.work.get_or_insert_with(|| EntryDigest::new(Digest::default()));
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}

/// DEBUG DIGEST.
#[derive(Default)]
struct DigestAll {
    /// The databases with keys, and their walks.
    walks: Vec<(usize, WalkId)>,
    has_begun: bool,
    /// The one under way.
    at: usize,
    total: Digest,
    /// Big values of it that are held, or about to be.
    big: Vec<Box<[u8]>>,
    /// The last of them, as far as it was done.
    work: Option<EntryDigest>,
    /// So many of them are held.
    big_held: usize,
    /// It holds the databases.
    is_held: bool,
}

/// Digests what it sees, but for big values while it is told to leave those to the job.
#[derive(Default)]
struct Sum {
    sum: Digest,
    leaves_big: bool,
    big: Vec<Box<[u8]>>,
}

impl Visitor for Sum {
    fn visit(&mut self, entry: EntryRef<'_>) {
        if self.leaves_big && is_big(&entry) {
            return self.big.push(entry.key().into());
        }
        self.sum.combine(EntryDigest::whole(keyed(entry.key()), &entry).bytes());
    }
}

/// A digest that has its key.
fn keyed(key: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.mix(key);
    digest
}

fn is_big(entry: &EntryRef<'_>) -> bool {
    len_of(entry.value()) > ELEMENTS_AT_ONCE || entry.memory_usage() > BYTES_AT_ONCE
}

impl Job for DigestAll {
    fn step(&mut self, ctx: &mut Ctx<'_>, _args: Args<'_>, budget: &mut Budget) -> Stepped {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(ctx);
        }
        while let Some(&(index, walk)) = self.walks.get(self.at) {
            let units = budget.piece(ELEMENTS_PER_PIECE);
            if !self.big.is_empty() {
                self.step_big(ctx, index, walk, units);
            } else if self.step_walk(ctx, index, walk) {
                self.end_walk(ctx, index, walk);
            }
            if budget.spend(units as u64) {
                self.hold(ctx, index);
                return Ok(Step::More);
            }
        }
        ctx.reply.simple(&self.total.to_string());
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        for &(index, walk) in self.walks.iter().skip(self.at) {
            if let Some(db) = ctx.db_at(index) {
                db.end_walk(walk);
            }
        }
    }
}

impl DigestAll {
    fn begin(&mut self, ctx: &mut Ctx<'_>) {
        for index in 0..ctx.db_count() {
            if let Some(db) = ctx.db_at(index).filter(|db| !db.is_empty()) {
                self.walks.push((index, db.begin_walk(Box::<Sum>::default())));
            }
        }
    }

    /// The next bucket of a database; true: it was the last.
    fn step_walk(&mut self, ctx: &mut Ctx<'_>, index: usize, walk: WalkId) -> bool {
        let Some(db) = ctx.db_at(index) else { return true };
        let leave = |db: &mut Db, leaves_big: bool| {
            let sum = sum_of(db, walk)?;
            sum.leaves_big = leaves_big;
            Some(std::mem::take(&mut sum.big))
        };
        leave(db, true);
        let is_over = db.step_walk(walk, 1);
        let big = leave(db, false).unwrap_or_default();
        for key in big {
            let hash = db.key(&key).hash;
            match db.holds.is_free(hash, Hold::Read) {
                true => self.big.push(key),
                // It cannot be kept as it is.
                false => add(db, walk, &key),
            }
        }
        is_over && self.big.is_empty()
    }

    fn step_big(&mut self, ctx: &mut Ctx<'_>, index: usize, walk: WalkId, units: usize) {
        let (Some(db), Some(key)) = (ctx.db_at(index), self.big.last()) else { return };
        let work = self.work.get_or_insert_with(|| EntryDigest::new(keyed(key)));
        let found = db.key(key);
        if let Some(entry) = db.peek(found)
            && !work.step(&entry, units).is_done()
        {
            return;
        }
        let digest = work.digest();
        (self.work, _) = (None, self.big.pop());
        self.big_held = self.big_held.min(self.big.len());
        if let Some(sum) = sum_of(db, walk) {
            sum.sum.combine(digest.bytes());
        }
    }

    /// What must not change until the next slice.
    fn hold(&mut self, ctx: &mut Ctx<'_>, index: usize) {
        if !std::mem::replace(&mut self.is_held, true) {
            (0..ctx.db_count()).for_each(|db| ctx.engine.jobs.need_further((db, INDEX)));
        }
        for key in self.big.iter().skip(self.big_held) {
            let hash = ctx.db.key(key).hash;
            ctx.engine.jobs.need_further((index, hash));
        }
        self.big_held = self.big.len();
    }

    fn end_walk(&mut self, ctx: &mut Ctx<'_>, index: usize, walk: WalkId) {
        self.at += 1;
        let ended = ctx.db_at(index).and_then(|db| db.end_walk(walk));
        if let Some(sum) = ended.and_then(|visitor| visitor.downcast::<Sum>().ok()) {
            self.total.mix(&(index as u32).to_be_bytes());
            self.total.merge(sum.sum);
        }
    }
}

/// What the walk of a database has come to.
fn sum_of(db: &mut Db, walk: WalkId) -> Option<&mut Sum> {
    db.visitor(walk).and_then(|visitor| visitor.downcast_mut())
}

/// Digests a value in one go.
fn add(db: &mut Db, walk: WalkId, key: &[u8]) {
    let found = db.key(key);
    let digest = db.peek(found).map(|entry| EntryDigest::whole(keyed(key), &entry));
    if let (Some(digest), Some(sum)) = (digest, sum_of(db, walk)) {
        sum.sum.combine(digest.bytes());
    }
}
