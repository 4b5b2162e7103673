//! Keyspace notifications: what happens to keys, published to channels that carry their name or that of the event.
//!
//! ```text
//!   __keyspace@0__:user:7   ← set        flag K
//!   __keyevent@0__:set      ← user:7     flag E
//! ```
//!
//! `notify-keyspace-events` chooses the classes. Events are told where the change is ([`Ctx::changed`]), keys that
//! came, expired or were looked up in vain before the next event of the same command, at the latest at its end.
//!
//! Cost: nothing while no class is chosen or nobody listens ([`Shared::minded_topics_changed`]); else two names are put
//! together and looked up per event.
//!
//! [`Ctx::changed`]: crate::engine::ctx::Ctx::changed
use crate::engine::config_notify as class;
use crate::engine::ctx::Event;
use crate::engine::engine::Shared;
use crate::engine::pubsub::Kind;
use crate::engine::pubsub::letter::Payload;
use crate::store::{Db, News};

impl Event {
    /// As Redis publishes it; empty for what it tells nobody.
    pub fn name(self) -> &'static str {
        match self {
            Event::Set | Event::SetExpiring => "set",
            Event::Append => "append",
            Event::SetRange => "setrange",
            Event::IncrBy => "incrby",
            Event::IncrByFloat => "incrbyfloat",
            Event::Expire => "expire",
            Event::Persist => "persist",
            Event::Del => "del",
            Event::RenameFrom => "rename_from",
            Event::RenameTo => "rename_to",
            Event::MoveFrom => "move_from",
            Event::MoveTo => "move_to",
            Event::CopyTo => "copy_to",
            Event::Restore => "restore",
            Event::Evicted => "evicted",
            Event::Expired => "expired",
            Event::LPush => "lpush",
            Event::RPush => "rpush",
            Event::LPop => "lpop",
            Event::RPop => "rpop",
            Event::LInsert => "linsert",
            Event::LSet => "lset",
            Event::LRem => "lrem",
            Event::LTrim => "ltrim",
            Event::HSet => "hset",
            Event::HIncrBy => "hincrby",
            Event::HIncrByFloat => "hincrbyfloat",
            Event::HDel => "hdel",
            Event::HExpire => "hexpire",
            Event::HPersist => "hpersist",
            Event::HExpired => "hexpired",
            Event::SAdd => "sadd",
            Event::SRem => "srem",
            Event::SPop => "spop",
            Event::SUnionStore => "sunionstore",
            Event::SInterStore => "sinterstore",
            Event::SDiffStore => "sdiffstore",
            Event::SortStore => "sortstore",
            Event::SetBit => "setbit",
            Event::PfAdd => "pfadd",
            _ => self.name_of_ordered(),
        }
    }

    /// Of sorted sets and streams.
    fn name_of_ordered(self) -> &'static str {
        match self {
            Event::ZAdd => "zadd",
            Event::ZIncr => "zincr",
            Event::ZRem => "zrem",
            Event::ZRemByScore => "zremrangebyscore",
            Event::ZRemByRank => "zremrangebyrank",
            Event::ZRemByLex => "zremrangebylex",
            Event::ZPopMin => "zpopmin",
            Event::ZPopMax => "zpopmax",
            Event::ZUnionStore => "zunionstore",
            Event::ZInterStore => "zinterstore",
            Event::ZDiffStore => "zdiffstore",
            Event::ZRangeStore => "zrangestore",
            Event::GeoSearchStore => "geosearchstore",
            Event::GeoRadiusStore => "georadiusstore",
            Event::XAdd => "xadd",
            Event::XDel => "xdel",
            Event::XTrim => "xtrim",
            Event::XSetId => "xsetid",
            Event::XGroupCreate => "xgroup-create",
            Event::XGroupCreateConsumer => "xgroup-createconsumer",
            Event::XGroupSetId => "xgroup-setid",
            Event::XGroupDestroy => "xgroup-destroy",
            Event::XGroupDelConsumer => "xgroup-delconsumer",
            _ => "",
        }
    }

    /// Its class, as a bit of `config_notify`; 0 for what nobody is told.
    pub fn class(self) -> u32 {
        let name = self.name();
        match self {
            Event::Evicted => class::EVICTED,
            Event::Expired => class::EXPIRED,
            Event::Expire
            | Event::Persist
            | Event::Del
            | Event::RenameFrom
            | Event::RenameTo
            | Event::MoveFrom
            | Event::MoveTo
            | Event::CopyTo
            | Event::Restore => class::GENERIC,
            Event::LPush
            | Event::RPush
            | Event::LPop
            | Event::RPop
            | Event::LInsert
            | Event::LSet
            | Event::LRem
            | Event::LTrim
            | Event::SortStore => class::LIST,
            Event::SAdd
            | Event::SRem
            | Event::SPop
            | Event::SUnionStore
            | Event::SInterStore
            | Event::SDiffStore => class::SET,
            Event::GeoSearchStore | Event::GeoRadiusStore => class::ZSET,
            _ if name.is_empty() => 0,
            _ => match name.as_bytes()[0] {
                b'h' => class::HASH,
                b'z' => class::ZSET,
                b'x' => class::STREAM,
                _ => class::STRING,
            },
        }
    }
}

impl Shared {
    /// Publishes an event of a key, if its class is chosen.
    pub(super) fn notify(&mut self, db: usize, event: Event, key: &[u8]) {
        self.notify_by_name(db, event.class(), event.name(), key);
        if event == Event::SetExpiring {
            self.notify_by_name(db, class::GENERIC, "expire", key);
        }
    }

    fn notify_by_name(&mut self, db: usize, class: u32, name: &str, key: &[u8]) {
        let chosen = self.config.notify_flags();
        if chosen & class == 0 {
            return;
        }
        if chosen & class::KEYSPACE != 0 {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.publish(Kind::Channel, &channel, Payload::Bytes(name.as_bytes()));
        }
        if chosen & class::KEYEVENT != 0 {
            let channel = format!("__keyevent@{db}__:{name}");
            self.publish(Kind::Channel, channel.as_bytes(), Payload::Bytes(key));
        }
    }

    /// Tells all who listen what a database has noted: keys that came, expired or were looked up in vain.
    #[cold]
    pub(super) fn tell_news(&mut self, index: usize, db: &mut Db) {
        let mut expired = std::mem::take(&mut db.expired_log).into_iter();
        for news in std::mem::take(&mut db.news) {
            match news {
                News::Expired => {
                    if let Some(key) = expired.next() {
                        self.key_changed(index, Event::Expired, &key);
                    }
                }
                News::New(key) => self.notify_by_name(index, class::NEW, "new", &key),
                News::Missed(key) => self.notify_by_name(index, class::KEY_MISS, "keymiss", &key),
            }
        }
        for key in expired {
            self.key_changed(index, Event::Expired, &key);
        }
    }

    /// What databases are to note beside keys that expire.
    pub(super) fn wants_news(&self) -> bool {
        let is_notified = self.listeners & crate::engine::changes::listener::NOTIFIED != 0;
        is_notified && self.config.notify_flags() & (class::NEW | class::KEY_MISS) != 0
    }
}
