//! A collection being built from the parts of a payload, one text after the other.
use crate::base::block::Block;
use crate::base::number::parse_f64;
use crate::base::pieces::{Garbage, Progress};
use crate::base::time::UnixMillis;
use crate::persist::dump_pieces::Unreadable;
use crate::persist::rdb_format::Text;
use crate::types::hash::{Condition, FieldTtl, Hash, NewValue};
use crate::types::limits::Limits;
use crate::types::list::{BLOCK_BYTES_MIN, Element, End, Fill, List};
use crate::types::listpack::Item;
use crate::types::object::Object;
use crate::types::set::Set;
use crate::types::zset::Gathering;

/// What is being built, in the form it has by the limits in force. Members and fields that come twice are refused.
pub enum Target {
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash, and what came of the field that is not complete yet.
    Hash(Box<HashTarget>),
    /// A sorted set, and the member whose score comes next.
    Zset(Box<Gathering>, Option<Vec<u8>>),
}

/// See [`Target::Hash`].
pub struct HashTarget {
    hash: Hash,
    field: Option<Vec<u8>>,
    value: Option<NewText>,
    /// When the field that comes next expires.
    expiry: Option<UnixMillis>,
    /// Its expiry comes after each value.
    has_expiries: bool,
}

/// A text that is kept.
enum NewText {
    Bytes(Vec<u8>),
    Block(Block),
}

impl NewText {
    fn of(text: Text<'_>) -> NewText {
        match text.into_bytes() {
            bytes if bytes.len() < BLOCK_BYTES_MIN => NewText::Bytes(bytes),
            bytes => NewText::Block(Block::new(bytes)),
        }
    }

    fn lend(&self) -> NewValue<'_> {
        match self {
            NewText::Bytes(bytes) => NewValue::Bytes(bytes),
            NewText::Block(block) => NewValue::Block(block),
        }
    }
}

impl Target {
    /// An empty hash; `has_expiries`: every third text is an expiry.
    pub fn hash(has_expiries: bool) -> Target {
        let hash = Hash::new_empty();
        Target::Hash(Box::new(HashTarget {
            hash,
            field: None,
            value: None,
            expiry: None,
            has_expiries,
        }))
    }

    /// An empty sorted set.
    pub fn zset(limits: &Limits) -> Target {
        Target::Zset(Box::new(Gathering::new(limits)), None)
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        match self {
            Target::List(list) => list.len(),
            Target::Set(set) => set.len(),
            Target::Hash(target) => target.hash.len(),
            Target::Zset(members, _) => members.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next text.
    pub fn take(&mut self, text: Text<'_>, limits: &Limits) -> Result<(), Unreadable> {
        match self {
            Target::List(list) => {
                let fill = Fill::of(limits);
                match text {
                    Text::Int(value) => list.push(End::Back, Element::Int(value), &fill),
                    Text::Bytes(bytes) if bytes.len() < BLOCK_BYTES_MIN => {
                        list.push(End::Back, Element::Text(&bytes), &fill);
                    }
                    Text::Bytes(bytes) => {
                        let block = Block::new(bytes.into_owned());
                        list.push(End::Back, Element::Block(&block), &fill);
                    }
                }
            }
            Target::Set(set) => {
                let is_new = match text {
                    Text::Int(value) => set.insert_item(Item::Int(value), limits)?,
                    Text::Bytes(bytes) => set.insert(&bytes, limits)?,
                };
                if !is_new {
                    return Err(Unreadable::Corrupt);
                }
            }
            Target::Hash(target) => target.take(text, limits)?,
            Target::Zset(_, member) => match member.take() {
                None => *member = Some(text.into_bytes()),
                Some(name) => {
                    *member = Some(name);
                    let score = match text {
                        Text::Int(value) => Some(value as f64),
                        Text::Bytes(bytes) => parse_f64(&bytes),
                    };
                    self.take_score(score.ok_or(Unreadable::Corrupt)?)?;
                }
            },
        }
        Ok(())
    }

    /// Takes an item of a packed value.
    pub fn take_item(&mut self, item: Item<'_>, limits: &Limits) -> Result<(), Unreadable> {
        let text = match item {
            Item::Int(value) => Text::Int(value),
            Item::Bytes(bytes) => Text::Bytes(bytes.into()),
        };
        self.take(text, limits)
    }

    /// Takes the score of the member that came last.
    pub fn take_score(&mut self, score: f64) -> Result<(), Unreadable> {
        let Target::Zset(members, member) = self else { return Err(Unreadable::Corrupt) };
        let name = member.take().ok_or(Unreadable::Corrupt)?;
        if score.is_nan() {
            return Err(Unreadable::Corrupt);
        }
        let mut is_known = false;
        members.merge(&name, |before| {
            is_known = before.is_some();
            score
        })?;
        if is_known { Err(Unreadable::Corrupt) } else { Ok(()) }
    }

    /// When the field that comes next expires.
    pub fn take_expiry(&mut self, expiry: Option<UnixMillis>) {
        if let Target::Hash(target) = self {
            target.expiry = expiry;
        }
    }

    /// Goes on with what is left once all texts have come: a sorted set is put into order.
    pub fn settle(&mut self, units: usize) -> Progress {
        match self {
            Target::Zset(members, _) => members.sort(units.div_ceil(8)),
            Target::List(_) | Target::Set(_) | Target::Hash(_) => Progress::Done,
        }
    }

    /// The collection. Nothing at all, or half a pair, is none.
    pub fn finish(self, limits: &Limits) -> Result<Object, Unreadable> {
        if self.is_empty() {
            return Err(Unreadable::Corrupt);
        }
        match self {
            Target::List(list) => Ok(Object::List(list)),
            Target::Set(set) => Ok(Object::Set(set)),
            Target::Hash(target) if target.field.is_none() => Ok(Object::Hash(target.hash)),
            Target::Zset(members, None) => Ok(Object::Zset(members.finish(limits)?)),
            Target::Hash(_) | Target::Zset(..) => Err(Unreadable::Corrupt),
        }
    }
}

impl HashTarget {
    fn take(&mut self, text: Text<'_>, limits: &Limits) -> Result<(), Unreadable> {
        let Some(field) = &self.field else {
            self.field = Some(text.into_bytes());
            return Ok(());
        };
        let value = match self.value.take() {
            Some(value) => {
                let expiry = match text {
                    Text::Int(expiry @ 0..) => expiry,
                    Text::Int(_) | Text::Bytes(_) => return Err(Unreadable::Corrupt),
                };
                self.expiry = (expiry != 0).then_some(expiry);
                value
            }
            None => {
                let value = NewText::of(text);
                if self.has_expiries {
                    self.value = Some(value);
                    return Ok(());
                }
                value
            }
        };
        if !self.hash.set(field, value.lend(), FieldTtl::Clear, limits)? {
            return Err(Unreadable::Corrupt);
        }
        if let Some(expiry) = self.expiry.take() {
            // One whose time has come stays until it is reclaimed, as any other.
            self.hash.expire(field, expiry, Condition::Always, UnixMillis::MIN);
        }
        self.field = None;
        Ok(())
    }
}

impl Garbage for Target {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            Target::List(list) => list.free_slice(units),
            Target::Set(set) => set.free_slice(units),
            Target::Hash(target) => target.hash.free_slice(units),
            Target::Zset(members, _) => members.free_slice(units),
        }
    }
}
