//! COPY: a value under another key, in this database or another one.
//!
//! What fits its entry is copied at once, and a big string is shared; a big collection is copied in slices, beside its
//! keys, and put into place with the last one. Cost: O(1), or O(elements) in slices.
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::command::options::{Options, is};
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, OTHER_DB, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Place, Step, Stepped};
use crate::proto::args::Args;
use crate::store::{Ttl, ValueRef};
use crate::types::hash::Hash;
use crate::types::limits::Limits;
use crate::types::list::List;
use crate::types::object::{Aggregate, Object};
use crate::types::set::{Set, SetCursor, SetRef};
use crate::types::stream::StreamCopy;
use crate::types::zset::{Zset, ZsetRef};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[COPY];

const COPY: Command = Command {
    flags: WRITE | DENYOOM | OTHER_DB,
    keys: &[KeySpec::first(RO | ACCESS), KeySpec::range(OW | UPDATE, 2, 0, 1)],
    doc: doc(
        "6.2.0",
        "O(N) worst case for collections, where N is the number of nested items. O(1) for string \
        values.",
        "source:key destination:key#1 [DB=destination-db:integer] [REPLACE]",
        "Copy a key",
    ),
    ..command(Group::Generic, "copy", -3, copy)
};

/// Elements copied between two looks at the clock.
const PIECE_UNITS: usize = 64;

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let own_index = ctx.db_index();
    let (mut db_index, mut is_replace) = (own_index, false);
    let mut options = Options::new(args, 3);
    while let Some(option) = options.next() {
        if is(option, "replace") {
            is_replace = true;
        } else if is(option, "db") {
            db_index = ctx.db_named(options.value()?)?;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let (from, to) = (args.key(1), args.key(2));
    if db_index == own_index && from.bytes == to.bytes {
        return Err(CmdError::Text("ERR source and destination objects are the same"));
    }
    let Some(entry) = ctx.db.read(from) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let (is_object, expiry) = (entry.is_object(), entry.expiry());
    let has_room = match ctx.db_at(db_index) {
        Some(db) => db.read_for_write(to).is_none() || is_replace,
        None => false,
    };
    if !has_room {
        ctx.reply.int(0);
        return Ok(());
    }
    if is_object {
        let flushes = ctx.engine.jobs.flushes(db_index);
        return ctx.run(args, Copy { db_index, own_index, expiry, flushes, copying: None });
    }
    let (Some(entry), Some(db)) = (ctx.db.copy(from), ctx.db_at(db_index)) else {
        ctx.reply.int(0);
        return Ok(());
    };
    db.put(to, entry).map_err(|_| CmdError::OutOfMemory)?;
    db.note_new(to.bytes);
    ctx.changed_in(db_index, Event::CopyTo, to.bytes);
    ctx.reply.int(1);
    Ok(())
}

/// COPY of a big collection.
struct Copy {
    /// Where it goes to.
    db_index: usize,
    /// Where it comes from.
    own_index: usize,
    /// When the value expires.
    expiry: Option<i64>,
    /// How often the database it goes to had been emptied.
    flushes: u64,
    copying: Option<Copying>,
}

impl Job for Copy {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (from, to) = (args.key(1), args.key(2));
        while let Some(entry) = ctx.db.peek(from) {
            let (value, limits) = (entry.value(), &ctx.engine.limits);
            let copying = self.copying.get_or_insert_with(|| Copying::of(value, limits));
            let units = budget.piece(PIECE_UNITS);
            match copying.step(value, limits, units) {
                Ok(Progress::Done) => break,
                Ok(Progress::More) => {}
                Err(OutOfMemory) => {
                    self.give_up(ctx);
                    return Err(CmdError::OutOfMemory);
                }
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        let Some(copying) = self.copying.take() else {
            ctx.reply.int(0);
            return Ok(Step::Done);
        };
        let is_elsewhere = self.db_index != self.own_index;
        let jobs = &ctx.engine.jobs;
        if is_elsewhere && jobs.is_in_limbo() && jobs.flushes(self.db_index) != self.flushes {
            // Both databases were emptied after the command: what it made there is gone, too.
            ctx.engine.graveyard.bury_garbage(Box::new(copying));
            ctx.reply.int(1);
            return Ok(Step::Done);
        }
        let ttl = self.expiry.map_or(Ttl::Clear, Ttl::At);
        let Some(db) = ctx.db_at(self.db_index) else { return Ok(Step::Done) };
        match copying.finish() {
            Object::List(list) => db.put_aggregate(to, list, ttl)?,
            Object::Set(set) => db.put_aggregate(to, set, ttl)?,
            Object::Hash(hash) => db.put_aggregate(to, hash, ttl)?,
            Object::Zset(zset) => db.put_aggregate(to, zset, ttl)?,
            Object::Stream(stream) => db.put_aggregate(to, *stream, ttl)?,
        };
        db.note_new(to.bytes);
        ctx.changed_in(self.db_index, Event::CopyTo, to.bytes);
        ctx.reply.int(1);
        Ok(Step::Done)
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(copying) = self.copying.take() {
            ctx.engine.graveyard.bury_garbage(Box::new(copying));
        }
    }

    fn elsewhere(&self, args: Args<'_>) -> Option<Place> {
        (self.db_index != self.own_index).then(|| (self.db_index, args.key(2).hash))
    }
}

/// A copy so far, and where it goes on.
enum Copying {
    List(List, usize),
    Set(Set, SetCursor),
    Hash(Hash, usize),
    Zset(Zset, usize),
    Stream(Box<StreamCopy>),
}

impl Copying {
    fn of(value: ValueRef<'_>, limits: &Limits) -> Copying {
        match value {
            ValueRef::Set(SetRef::Table(members)) => {
                // Of the same form, whatever its members are.
                Copying::Set(Set::Table(Box::new(members.successor())), SetCursor::default())
            }
            ValueRef::Set(_) => Copying::Set(Set::new(), SetCursor::default()),
            ValueRef::Hash(_) => Copying::Hash(Hash::new_empty(), 0),
            ValueRef::Zset(zset) => Copying::Zset(Zset::empty_like(zset, limits), 0),
            ValueRef::Stream(_) => Copying::Stream(Box::default()),
            // Strings are never copied here.
            ValueRef::List(_) | ValueRef::String(_) | ValueRef::Document(_) => {
                Copying::List(List::default(), 0)
            }
        }
    }

    fn step(
        &mut self,
        value: ValueRef<'_>,
        limits: &Limits,
        units: usize,
    ) -> Result<Progress, OutOfMemory> {
        match (self, value) {
            (Copying::List(list, at), ValueRef::List(source)) => {
                match list.copy_nodes(source, *at, units.div_ceil(16)) {
                    Some(next) => *at = next,
                    None => return Ok(Progress::Done),
                }
                Ok(Progress::More)
            }
            (Copying::Set(set, _), ValueRef::Set(SetRef::Intset(ints))) => {
                *set = Set::from_packed(true, ints.as_bytes().to_vec());
                Ok(Progress::Done)
            }
            (Copying::Set(set, cursor), ValueRef::Set(source)) => {
                set.add_all(source, cursor, units, limits)
            }
            (Copying::Hash(hash, cursor), ValueRef::Hash(source)) => {
                hash.copy_slice(source, cursor, units, limits)
            }
            (Copying::Zset(zset, from), ValueRef::Zset(source)) => {
                copy_zset(zset, from, source, units)
            }
            (Copying::Stream(copy), ValueRef::Stream(source)) => Ok(copy.step(source, units)),
            _ => Ok(Progress::Done),
        }
    }

    fn finish(self) -> Object {
        match self {
            Copying::List(list, _) => Object::List(list),
            Copying::Set(set, _) => Object::Set(set),
            Copying::Hash(hash, _) => Object::Hash(hash),
            Copying::Zset(zset, _) => Object::Zset(zset),
            Copying::Stream(copy) => copy.finish().into_object(),
        }
    }
}

fn copy_zset(
    zset: &mut Zset,
    from: &mut usize,
    source: ZsetRef<'_>,
    units: usize,
) -> Result<Progress, OutOfMemory> {
    let end = source.len().min(*from + units);
    let mut scratch = itoa::Buffer::new();
    for (member, score) in source.range(*from..end) {
        zset.append(member.as_bytes(&mut scratch), score)?;
    }
    *from = end;
    Ok(if end == source.len() { Progress::Done } else { Progress::More })
}

impl Garbage for Copying {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            Copying::List(list, _) => list.free_slice(units),
            Copying::Set(set, _) => set.free_slice(units),
            Copying::Hash(hash, _) => hash.free_slice(units),
            Copying::Zset(zset, _) => zset.free_slice(units),
            Copying::Stream(copy) => copy.free_slice(units),
        }
    }
}
