//! What one command sees while it runs.
//!
//! The fields are separate so that a value borrowed from `db` can go straight into `reply`. A writing handler
//! has one shape: parse all, check all, change, `changed()`, reply; nothing fails after the change.
use crate::base::number;
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::proto::reply::{Mark, Output, Reply};
use crate::store::{Db, Detached, Hold};

/// What a handler returns: its reply is written, or the error takes the reply's place.
pub type CmdResult = Result<(), CmdError>;

/// Everything a handler may touch.
pub struct Ctx<'a> {
    /// The selected database.
    pub db: &'a mut Db,
    /// The other databases.
    pub others: OtherDbs<'a>,
    /// Writes into the connection's output.
    pub reply: Reply<'a>,
    /// The client whose command runs.
    pub client: &'a mut Session,
    /// Everything but databases.
    pub engine: &'a mut Shared,
    /// Unix time in milliseconds, the same for the whole command.
    pub now: i64,
}

/// The databases before and after the selected one.
pub struct OtherDbs<'a> {
    before: &'a mut [Db],
    after: &'a mut [Db],
}

impl<'a> Ctx<'a> {
    /// Says that the command changed something: counted for snapshots; the place where keyspace
    /// notifications, propagation and waiting clients attach.
    #[inline]
    pub fn changed(&mut self, event: Event, key: &[u8]) {
        self.changed_in(self.db_index(), event, key);
    }

    /// As [`Ctx::changed`], for a key of another database.
    #[inline]
    pub fn changed_in(&mut self, db: usize, event: Event, key: &[u8]) {
        // A rename or a move is one change with two events.
        let is_first_half = matches!(event, Event::RenameFrom | Event::MoveFrom);
        self.engine.stats.dirty += u64::from(!is_first_half);
        if self.engine.listeners != 0 || !self.engine.blocking.is_empty() {
            self.tell_change(db, event, key);
        }
    }

    /// As [`Ctx::changed`], for a reply begun at `mark` that comes after what the command tells of: who hears of his
    /// own changes is to hear both in Redis's order.
    pub fn changed_before_reply(&mut self, mark: Mark, event: Event, key: &[u8]) {
        if self.engine.listeners == 0 {
            return self.changed(event, key);
        }
        let reply = self.reply.output().split_off(mark);
        self.changed(event, key);
        self.reply.output().append(reply);
    }

    /// As [`Ctx::changed`], for an event that counts as so many changes: each element added or removed, or none where
    /// another event counted them.
    #[inline]
    pub fn changed_by(&mut self, event: Event, key: &[u8], changes: usize) {
        let before = self.engine.stats.dirty;
        self.changed(event, key);
        self.engine.stats.dirty = before + changes as u64;
    }

    /// Says that the change told last left a key without elements, so that it is gone: an event, but no change of its
    /// own.
    #[inline]
    pub fn emptied(&mut self, key: &[u8]) {
        self.changed_by(Event::Del, key, 0);
    }

    /// Empties a database: each key counts as a change, and the graveyard frees them when there is time. Jobs that use
    /// what it held go on with that. O(1), and O(clients with copies).
    pub fn empty(&mut self, index: usize) {
        self.empty_one(index);
        self.tell_all_void();
    }

    /// As [`Ctx::empty`], all databases.
    pub fn empty_all(&mut self) {
        (0..self.db_count()).for_each(|index| self.empty_one(index));
        self.tell_all_void();
    }

    fn empty_one(&mut self, index: usize) {
        if self.engine.listeners != 0 {
            self.tell_flush(index);
        }
        self.engine.blocking.note_flush(index);
        let held = self.engine.jobs.note_flush(index);
        let is_used = self.engine.jobs.uses(index);
        let Some(db) = self.db_at(index) else { return };
        if !is_used {
            let detached = db.flush();
            return self.flushed(detached);
        }
        let keys = db.len();
        let fresh = db.successor();
        let old = std::mem::replace(db, fresh);
        for (hash, job) in held {
            // Without memory for the record somebody may write there first, as if he came earlier.
            let _ = db.holds.hold(hash, Hold::Write, job);
        }
        self.engine.stats.dirty += keys as u64;
        let Shared { jobs, outbox, .. } = &mut *self.engine;
        jobs.keep_for_jobs(index, old, self.now, &mut outbox.wakes);
    }

    /// Takes over what a database held that the command emptied: each key counts as a change, and the
    /// graveyard frees them when there is time.
    pub fn flushed(&mut self, detached: Detached) {
        self.engine.stats.dirty += detached.keys() as u64;
        self.engine.graveyard.bury(detached);
    }

    /// Index of the selected database.
    #[inline]
    pub fn db_index(&self) -> usize {
        self.others.before.len()
    }

    /// How many databases there are.
    #[inline]
    pub fn db_count(&self) -> usize {
        self.others.before.len() + 1 + self.others.after.len()
    }

    /// Database `index`, the selected one included, with its clock set.
    pub fn db_at(&mut self, index: usize) -> Option<&mut Db> {
        let selected = self.others.before.len();
        let now = self.now;
        let lfu = self.engine.is_lfu;
        let db = match index.cmp(&selected) {
            std::cmp::Ordering::Less => &mut self.others.before[index],
            std::cmp::Ordering::Equal => return Some(self.db),
            std::cmp::Ordering::Greater => self.others.after.get_mut(index - selected - 1)?,
        };
        db.begin(now, lfu);
        Some(db)
    }

    /// Index of the database a client names; the errors are those of SELECT, MOVE and COPY.
    pub fn db_named(&self, text: &[u8]) -> Result<usize, CmdError> {
        let index = number::parse_i64(text).ok_or(CmdError::NotInteger)?;
        if i32::try_from(index).is_err() {
            return Err(CmdError::Text(
                "ERR value is out of range, value must between -2147483648 and 2147483647",
            ));
        }
        usize::try_from(index)
            .ok()
            .filter(|&index| index < self.db_count())
            .ok_or(CmdError::Text("ERR DB index is out of range"))
    }

    /// The selected database and another one.
    pub fn db_pair(&mut self, other: usize) -> Option<(&mut Db, &mut Db)> {
        let selected = self.others.before.len();
        let now = self.now;
        let lfu = self.engine.is_lfu;
        let db = match other.cmp(&selected) {
            std::cmp::Ordering::Less => &mut self.others.before[other],
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => self.others.after.get_mut(other - selected - 1)?,
        };
        db.begin(now, lfu);
        Some((self.db, db))
    }

    /// All databases in order.
    pub fn dbs(&mut self) -> impl Iterator<Item = &mut Db> {
        self.others
            .before
            .iter_mut()
            .chain(std::iter::once(&mut *self.db))
            .chain(self.others.after.iter_mut())
    }
}

/// Has `work` see what a handler of this client sees at `now` in database `index`; `None`: there is no such database.
pub fn with_ctx<T>(
    dbs: &mut [Db],
    shared: &mut Shared,
    client: &mut Session,
    index: usize,
    now: i64,
    out: &mut Output,
    work: impl FnOnce(&mut Ctx<'_>) -> T,
) -> Option<T> {
    let (db, others) = OtherDbs::around(dbs, index)?;
    db.begin(now, shared.is_lfu);
    db.no_touch = client.is_no_touch;
    let reply = Reply::new(out, client.resp);
    Some(work(&mut Ctx { db, others, reply, client, engine: shared, now }))
}

impl<'a> OtherDbs<'a> {
    /// Database `index`, unless it is the selected one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Db> {
        match index.checked_sub(self.before.len()) {
            None => self.before.get_mut(index),
            Some(after) => self.after.get_mut(after.checked_sub(1)?),
        }
    }

    /// Splits `dbs` around `selected`.
    #[inline]
    pub fn around(dbs: &'a mut [Db], selected: usize) -> Option<(&'a mut Db, OtherDbs<'a>)> {
        let (before, rest) = dbs.split_at_mut_checked(selected)?;
        let (db, after) = rest.split_first_mut()?;
        Some((db, OtherDbs { before, after }))
    }
}

/// What happened to a key, by the names of Redis's keyspace notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `set`
    Set,
    /// `set`, then `expire`: one change of two names
    SetExpiring,
    /// `append`
    Append,
    /// `setrange`
    SetRange,
    /// PFCOUNT has kept what it counted: no event, but a change.
    PfCount,
    /// `incrby`
    IncrBy,
    /// `incrbyfloat`
    IncrByFloat,
    /// `expire`
    Expire,
    /// `persist`
    Persist,
    /// `del`
    Del,
    /// `rename_from`
    RenameFrom,
    /// `rename_to`
    RenameTo,
    /// `move_from`
    MoveFrom,
    /// `move_to`
    MoveTo,
    /// `copy_to`
    CopyTo,
    /// `restore`
    Restore,
    /// `evicted`
    Evicted,
    /// `expired`
    Expired,
    /// `lpush`
    LPush,
    /// `rpush`
    RPush,
    /// `lpop`
    LPop,
    /// `rpop`
    RPop,
    /// `linsert`
    LInsert,
    /// `lset`
    LSet,
    /// `lrem`
    LRem,
    /// `ltrim`
    LTrim,
    /// `hset`
    HSet,
    /// `hincrby`
    HIncrBy,
    /// `hincrbyfloat`
    HIncrByFloat,
    /// `hdel`
    HDel,
    /// `hexpire`
    HExpire,
    /// `hpersist`
    HPersist,
    /// `hexpired`
    HExpired,
    /// `sadd`
    SAdd,
    /// `srem`
    SRem,
    /// `spop`
    SPop,
    /// `sunionstore`
    SUnionStore,
    /// `sinterstore`
    SInterStore,
    /// `sdiffstore`
    SDiffStore,
    /// `zadd`
    ZAdd,
    /// `zincr`
    ZIncr,
    /// `zrem`
    ZRem,
    /// `zremrangebyscore`
    ZRemByScore,
    /// `zremrangebyrank`
    ZRemByRank,
    /// `zremrangebylex`
    ZRemByLex,
    /// `zpopmin`
    ZPopMin,
    /// `zpopmax`
    ZPopMax,
    /// `zunionstore`
    ZUnionStore,
    /// `zinterstore`
    ZInterStore,
    /// `zdiffstore`
    ZDiffStore,
    /// `zrangestore`
    ZRangeStore,
    /// `geosearchstore`
    GeoSearchStore,
    /// `georadiusstore`
    GeoRadiusStore,
    /// `sortstore`
    SortStore,
    /// `xadd`
    XAdd,
    /// `xdel`
    XDel,
    /// `xtrim`
    XTrim,
    /// `xsetid`
    XSetId,
    /// `xgroup-create`
    XGroupCreate,
    /// `xgroup-createconsumer`
    XGroupCreateConsumer,
    /// `xgroup-setid`
    XGroupSetId,
    /// `xgroup-destroy`
    XGroupDestroy,
    /// `xgroup-delconsumer`
    XGroupDelConsumer,
    /// XACK changed who has what: counted, but no notification in Redis
    XAck,
    /// XCLAIM changed who has what: counted, but no notification in Redis
    XClaim,
    /// XAUTOCLAIM changed who has what: counted, but no notification in Redis
    XAutoClaim,
    /// XREADGROUP changed who has what: counted, but no notification in Redis
    XReadGroup,
    /// `setbit`
    SetBit,
    /// `pfadd`
    PfAdd,
    /// A database was emptied or swapped: no key event, but a change.
    Flush,
}

impl Event {
    /// Whether it makes EXEC refuse where the key is watched: what happens to the groups
    /// of a stream does not.
    pub(super) fn modifies(self) -> bool {
        !matches!(
            self,
            Event::XAck
                | Event::XClaim
                | Event::XAutoClaim
                | Event::XReadGroup
                | Event::XGroupCreate
                | Event::XGroupCreateConsumer
                | Event::XGroupSetId
                | Event::XGroupDelConsumer
                | Event::XGroupDestroy
                | Event::XSetId
        )
    }

    /// Whether the key is gone.
    pub(super) fn is_end_of_key(self) -> bool {
        matches!(
            self,
            Event::Del | Event::RenameFrom | Event::MoveFrom | Event::Expired | Event::Evicted
        )
    }

    /// Whether those who wait for the key are not to look at it: it has got nothing new, or is gone, which is an event
    /// of its own. Redis does not have them look, and they would find what they must not (a group that was set back).
    pub(super) fn wakes_nobody(self) -> bool {
        matches!(
            self,
            Event::LPop
                | Event::RPop
                | Event::LRem
                | Event::LTrim
                | Event::SRem
                | Event::SPop
                | Event::HDel
                | Event::ZRem
                | Event::ZRemByScore
                | Event::ZRemByRank
                | Event::ZRemByLex
                | Event::ZPopMin
                | Event::ZPopMax
                | Event::XDel
                | Event::XTrim
                | Event::XSetId
                | Event::XGroupCreate
                | Event::XGroupCreateConsumer
                | Event::XGroupSetId
                | Event::XGroupDelConsumer
                | Event::XAck
                | Event::XClaim
                | Event::XAutoClaim
                | Event::XReadGroup
        )
    }
}
