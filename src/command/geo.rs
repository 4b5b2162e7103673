//! Places in a sorted set: GEOADD, GEODIST, GEOHASH, GEOPOS. The arithmetic is `types::geo`; scores are places.
use crate::command::geo_value::{position_at, show_distance, show_position, unit_meters};
use crate::command::options::is;
use crate::command::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::zset_value::MEMBERS_PER_PIECE;
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::geo::Position;
use crate::types::limits::Limits;
use crate::types::zset::{Change, Zset};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[GEOADD, GEODIST, GEOHASH, GEOPOS];

const GEOADD: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: Doc {
        history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
        ..doc(
            "3.2.0",
            "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
            "key:key [condition(NX|XX)@6.2.0] [CH=change@6.2.0] \
            longitude_latitude_member(longitude:double latitude:double member:string)...",
            "Add one or more geospatial items in the geospatial index represented using a sorted \
            set",
        )
    },
    ..command(Group::Geo, "geoadd", -5, geoadd)
};

const GEODIST: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "3.2.0",
        "O(log(N))",
        "key:key member1:string member2:string [unit(M|KM|FT|MI)]",
        "Returns the distance between two members of a geospatial index",
    ),
    ..command(Group::Geo, "geodist", -4, geodist)
};

const GEOHASH: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "3.2.0",
        "O(log(N)) for each member requested, where N is the number of elements in the sorted \
        set.",
        "key:key member:string...",
        "Returns members of a geospatial index as standard geohash strings",
    ),
    ..command(Group::Geo, "geohash", -2, geohash)
};

const GEOPOS: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "3.2.0",
        "O(N) where N is the number of members requested.",
        "key:key member:string...",
        "Returns longitude and latitude of members of a geospatial index",
    ),
    ..command(Group::Geo, "geopos", -2, geopos)
};

fn geoadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut job = AddPlaces::parse(args)?;
    if ctx.is_long((args.len() - job.next) / 3) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// GEOADD: ZADD of places.
struct AddPlaces {
    /// NX: only new members.
    is_new_only: bool,
    /// XX: only members that are there.
    is_old_only: bool,
    /// CH: replies with the number of changes.
    counts_changes: bool,
    /// Argument of the longitude that is checked next.
    checked: usize,
    /// Argument of the longitude that is added next.
    next: usize,
    added: usize,
    updated: usize,
}

impl AddPlaces {
    fn parse(args: Args<'_>) -> Result<AddPlaces, CmdError> {
        let (mut is_new_only, mut is_old_only, mut counts_changes) = (false, false, false);
        let mut first = 2;
        while first < args.len() {
            match args.at(first) {
                word if is(word, "nx") => is_new_only = true,
                word if is(word, "xx") => is_old_only = true,
                word if is(word, "ch") => counts_changes = true,
                _ => break,
            }
            first += 1;
        }
        let count = args.len() - first;
        if count == 0 || !count.is_multiple_of(3) || (is_new_only && is_old_only) {
            return Err(CmdError::Syntax);
        }
        Ok(AddPlaces {
            is_new_only,
            is_old_only,
            counts_changes,
            checked: first,
            next: first,
            added: 0,
            updated: 0,
        })
    }

    /// Adds the next places, which have been checked.
    fn add_some(
        &mut self,
        zset: &mut Zset,
        args: Args<'_>,
        count: usize,
        limits: &Limits,
    ) -> CmdResult {
        for _ in 0..count.min((args.len() - self.next) / 3) {
            let score = position_at(args, self.next)?.score();
            let change = zset.change(args.at(self.next + 2), limits, |before| {
                let is_refused = match before {
                    Some(_) => self.is_new_only,
                    None => self.is_old_only,
                };
                (!is_refused).then_some(score)
            })?;
            self.added += usize::from(change == Change::Added);
            self.updated += usize::from(change == Change::Updated);
            self.next += 3;
        }
        Ok(())
    }
}

impl Job for AddPlaces {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.checked < args.len() {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            for _ in 0..piece.min((args.len() - self.checked) / 3) {
                position_at(args, self.checked)?;
                self.checked += 3;
            }
            if self.checked < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        let key = args.key(1);
        while self.next < args.len() {
            let piece = budget.piece(MEMBERS_PER_PIECE);
            let limits = &ctx.engine.limits;
            if self.is_old_only {
                let change = |zset: &mut Zset| self.add_some(zset, args, piece, limits);
                match ctx.db.edit::<Zset, _>(key, change)? {
                    Some(result) => result?,
                    None => self.next = args.len(),
                }
            } else {
                let change = |zset: &mut Zset| self.add_some(zset, args, piece, limits);
                ctx.db.edit_or_new::<Zset, _>(key, change)??;
            }
            if self.next < args.len() && budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
        let changes = self.added + self.updated;
        ctx.reply.count(if self.counts_changes { changes } else { self.added });
        if changes > 0 {
            ctx.changed_by(Event::ZAdd, key.bytes, changes);
        }
        Ok(Step::Done)
    }
}

fn geodist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let meters = match args.len() {
        4 => 1.0,
        5 => unit_meters(args.at(4))?,
        _ => return Err(CmdError::Syntax),
    };
    let zset = ctx.db.get::<Zset>(args.key(1))?;
    let place = |index: usize| {
        let score = zset.and_then(|zset| zset.score(args.at(index)));
        score.map(Position::of_score)
    };
    match (place(2), place(3)) {
        (Some(from), Some(to)) => show_distance(&mut ctx.reply, from.distance_to(&to) / meters),
        _ => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show_each(ctx, args, |reply, place| match place {
        Some(place) => reply.bulk(&place.standard_hash()),
        None => reply.null(),
    })
}

fn geopos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    show_each(ctx, args, |reply, place| match place {
        Some(place) => show_position(reply, place),
        None => reply.null_array(),
    })
}

/// Replies with something for each member named.
fn show_each(ctx: &mut Ctx<'_>, args: Args<'_>, show: ShowPlace) -> CmdResult {
    ctx.db.get::<Zset>(args.key(1))?;
    ctx.reply.array(args.len() - 2);
    let mut job = ShowEach { show, next: 2 };
    if ctx.is_long(args.len() - 2) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

type ShowPlace = fn(&mut Reply<'_>, Option<Position>);

/// GEOHASH and GEOPOS.
struct ShowEach {
    show: ShowPlace,
    /// Argument of the next member.
    next: usize,
}

impl Job for ShowEach {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        while self.next < args.len() {
            let end = (self.next + budget.piece(MEMBERS_PER_PIECE)).min(args.len());
            let zset = ctx.db.peek_as::<Zset>(args.key(1))?;
            for index in self.next..end {
                let score = zset.and_then(|zset| zset.score(args.at(index)));
                (self.show)(&mut ctx.reply, score.map(Position::of_score));
            }
            let done = end - self.next;
            self.next = end;
            if end < args.len() && budget.spend(done as u64) {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }
}
