//! What a command needs for itself while jobs are under way: keys, or whole databases; and whether it may have it.
//!
//! Asked for every command while there is a job, and for none else. A client that has to wait is queued at all it needs
//! and holds nothing.
use crate::command::keys::ranges_of;
use crate::command::spec::{Group, flag};
use crate::command::transaction;
use crate::engine::blocking::NO_TICKET;
use crate::engine::engine::{Engine, Shared};
use crate::engine::jobs::{INDEX, KeyRange, KeySource, Place, UNITS_AT_ONCE, WHOLE};
use crate::engine::session::{Session, Waiting};
use crate::engine::table::Found;
use crate::engine::transaction::looks_into_all;
use crate::proto::args::Args;
use crate::store::{Db, Hold};

/// Whether a command may run beside the jobs under way. If not, its client is queued at everything it needs.
#[cold]
pub(super) fn claim(
    dbs: &[Db],
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
) -> bool {
    let around = Around::of(dbs, shared);
    if session.ticket != 0 && shared.jobs.waits_for_index(session.ticket) {
        // For what it waits now is asked from the beginning.
        unqueue(shared, session);
    }
    if shared.jobs.has_passed_enough() && !claim_turn(dbs, shared, session, found) {
        return false;
    }
    let places = match (found.command.name, &session.transaction) {
        ("exec", Some(transaction)) if transaction.is_about_all() => {
            return claim_databases(dbs, shared, session, args);
        }
        ("exec", Some(transaction)) => {
            transaction::places_of_exec(around, session.db, transaction, args.hasher())
        }
        _ => places_of(around, session.db, found, args),
    };
    claim_places(dbs, shared, session, places)
}

/// As [`claim`], where enough jobs have passed one who waits for databases: a command that may become one more waits
/// for those alone until he has had his turn, and only then for its keys.
fn claim_turn(dbs: &[Db], shared: &mut Shared, session: &mut Session, found: Found) -> bool {
    let is_compound = found.command.name == "exec" || found.command.group == Group::Scripting;
    if found.command.flags & flag::WRITE == 0 && !is_compound {
        return true;
    }
    let transaction = session.transaction.as_deref();
    let selected = transaction.into_iter().flat_map(|transaction| transaction.dbs().iter());
    let places = std::iter::once(&session.db).chain(selected);
    let places = places.map(|&db| ((db, INDEX), Hold::Read)).collect::<Vec<_>>();
    let ticket = ticket_of(session);
    let has_turn = places.iter().all(|&(place, hold)| !shared.jobs.is_ahead(place, hold, ticket));
    has_turn || claim_places(dbs, shared, session, places)
}

/// As [`claim`], for EXEC of commands that look at whole databases: it waits for those, and then until what holds its
/// keys has ended, not in their queues.
fn claim_databases(dbs: &[Db], shared: &mut Shared, session: &mut Session, args: Args<'_>) -> bool {
    let whole = (0..dbs.len()).flat_map(places_of_db).map(|(place, _)| (place, Hold::Write));
    let whole: Vec<(Place, Hold)> = whole.collect();
    let around = Around::of(dbs, shared);
    let keys = session.transaction.as_deref().map(|transaction| {
        transaction::places_of_exec(around, session.db, transaction, args.hasher())
    });
    let are_free =
        |places: &[(Place, Hold)]| places.iter().all(|&(place, hold)| is_free(dbs, place, hold));
    if keys.is_none_or(|keys| are_free(&keys)) || !are_free(&whole) {
        return claim_places(dbs, shared, session, whole);
    }
    shared.keep_waiting(session);
    false
}

/// What keeps a database from changing places, and from being looked at as a whole while things are half done.
pub(super) fn places_of_db(db: usize) -> [(Place, Hold); 2] {
    [((db, INDEX), Hold::Read), ((db, WHOLE), Hold::Read)]
}

/// What the places of a command depend on besides itself.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// How many databases there are.
    pub(super) db_count: usize,
    /// A transaction is on its way.
    has_compound: bool,
}

impl Around {
    /// As it is now.
    pub(super) fn of(dbs: &[Db], shared: &Shared) -> Around {
        Around { db_count: dbs.len(), has_compound: shared.jobs.has_compound() }
    }
}

/// As [`claim`], for what needs these places.
pub(super) fn claim_places(
    dbs: &[Db],
    shared: &mut Shared,
    session: &mut Session,
    places: Vec<(Place, Hold)>,
) -> bool {
    let ticket = ticket_of(session);
    let are_free = places.iter().all(|&(place, hold)| {
        is_free(dbs, place, hold) && !shared.jobs.is_ahead(place, hold, ticket)
    });
    if are_free {
        // Whom its changes serve comes after the same as it did.
        shared.blocking.set_maker((session.ticket != 0).then_some(session.ticket));
        unqueue(shared, session);
        return true;
    }
    if session.ticket == 0 {
        session.ticket = shared.jobs.new_ticket();
        let slot = shared.clients.slot_of(session.id);
        shared.jobs.wait(slot.unwrap_or(usize::MAX), session.ticket, places);
    }
    session.waiting = Some(Waiting::Keys);
    false
}

/// The client waits for no key any longer; those behind it look again.
pub fn unqueue(shared: &mut Shared, session: &mut Session) {
    if session.ticket != 0 {
        let Shared { jobs, outbox, .. } = shared;
        jobs.stop_waiting(std::mem::take(&mut session.ticket), &mut outbox.wakes);
    }
}

/// Its place among those who wait: behind all while it has none.
fn ticket_of(session: &Session) -> u64 {
    if session.ticket == 0 { NO_TICKET } else { session.ticket }
}

/// Whether no job keeps this place from being held so.
pub(super) fn is_free(dbs: &[Db], (db, hash): Place, hold: Hold) -> bool {
    dbs.get(db).is_none_or(|db| db.holds.is_free(hash, hold))
}

/// Whether no job holds what a command needs.
pub(super) fn are_free(engine: &Engine, session: &Session, found: Found, args: Args<'_>) -> bool {
    let around = Around::of(&engine.dbs, &engine.shared);
    let mut places = all_places_of(around, session.db, found, args).into_iter();
    places.all(|(place, hold)| is_free(&engine.dbs, place, hold))
}

/// As [`places_of`], of very many keys all.
pub(super) fn all_places_of(
    around: Around,
    selected: usize,
    found: Found,
    args: Args<'_>,
) -> Vec<(Place, Hold)> {
    let keys = KeySource::Ranges(ranges_of(found.command, args));
    let mut places = places_of(around, selected, found, args);
    if keys.len() > UNITS_AT_ONCE {
        places.extend(places_in(&keys, selected, args, 0));
    }
    places
}

/// What a command needs, and how, in database `selected`; nothing of one with very many keys, which takes them
/// itself, as a job. So a client waits either for keys or for whole databases, never for both: those who hold a
/// database would otherwise wait for a key behind somebody who waits for them.
pub(super) fn places_of(
    around: Around,
    selected: usize,
    Found { command, .. }: Found,
    args: Args<'_>,
) -> Vec<(Place, Hold)> {
    let db_count = around.db_count;
    let mut places = Vec::new();
    if command.flags & flag::EMPTIES != 0 && around.has_compound {
        // A database that a transaction works in is emptied before it or after it.
        places.extend((0..db_count).map(|db| ((db, INDEX), Hold::Write)));
    }
    if command.flags & flag::READS_ALL != 0 {
        // Against what is half done, which holds the whole as a reader among its like.
        places.push(((selected, WHOLE), Hold::Write));
    }
    let keys = KeySource::Ranges(ranges_of(command, args));
    let count = keys.len();
    if looks_into_all(command, args) || count == 0 && command.flags & flag::OTHER_DB != 0 {
        // DEBUG DIGEST, SWAPDB.
        places.extend((0..db_count).map(|db| ((db, INDEX), Hold::Write)));
    }
    if count > UNITS_AT_ONCE {
        // It takes them itself, and before that what stands for the database.
        return places;
    }
    let reaches_others = command.flags & flag::OTHER_DB != 0;
    for (place, hold) in places_in(&keys, selected, args, 0) {
        if reaches_others {
            places.extend((0..db_count).map(|db| ((db, place.1), hold)));
        } else {
            places.push((place, hold));
        }
    }
    places
}

/// The arguments that are keys, those to be written first, from one on: what is skipped costs nothing.
fn keys_in(ranges: &[KeyRange], from: usize) -> impl Iterator<Item = (usize, Hold)> + '_ {
    let of = |hold: Hold| ranges.iter().filter(move |range| range.hold == hold);
    let mut left = from;
    of(Hold::Write).chain(of(Hold::Read)).flat_map(move |range| {
        let skipped = left.min(range.count);
        left -= skipped;
        (skipped..range.count).map(|nth| (range.at(nth), range.hold))
    })
}

/// The places of a job's keys from one on, and how they are held; `args` is its request, and `db` its database.
pub(super) fn places_in<'a>(
    keys: &'a KeySource,
    db: usize,
    args: Args<'a>,
    from: usize,
) -> impl Iterator<Item = (Place, Hold)> + 'a {
    let (ranges, hashes, hold, places) = match keys {
        KeySource::Ranges(ranges) => (&ranges[..], &[][..], Hold::Read, None),
        KeySource::Further { ranges, hashes } => (&ranges[..], &hashes[..], Hold::Read, None),
        KeySource::Found { hashes, hold } => (&[][..], &hashes[..], *hold, None),
        KeySource::Places(places) => (&[][..], &[][..], Hold::Read, Some(places)),
    };
    let named_count: usize = ranges.iter().map(|range| range.count).sum();
    let found = hashes.get(from.saturating_sub(named_count)..).unwrap_or(&[]);
    let named = keys_in(ranges, from).map(move |(index, hold)| (args.key(index).hash, hold));
    let hashed = named.chain(found.iter().map(move |&hash| (hash, hold)));
    let elsewhere = places.into_iter().flat_map(move |places| places.iter_from(from)).copied();
    hashed.map(move |(hash, hold)| ((db, hash), hold)).chain(elsewhere)
}

/// As [`places_in`], in the order in which they are let go of: what stands for databases comes last, since until then
/// its keys are where they were.
pub(super) fn places_to_release<'a>(
    keys: &'a KeySource,
    db: usize,
    args: Args<'a>,
    from: usize,
) -> impl Iterator<Item = (Place, Hold)> + 'a {
    let (named, places) = match keys {
        KeySource::Places(places) => (None, Some(places)),
        _ => (Some(places_in(keys, db, args, from)), None),
    };
    let backwards = places.into_iter().flat_map(move |places| {
        let left = places.len().saturating_sub(from);
        (0..left).rev().filter_map(|index| places.get(index).copied())
    });
    named.into_iter().flatten().chain(backwards)
}
