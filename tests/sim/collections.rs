//! The model's collections: what a key can hold besides a string, and what commands of it may come to.
//!
//! A command that waits has one moment in which it happens, as every other: it takes what is there, or its time is over
//! and nothing is there. One that was told "nothing" although something had lain there all the time is thereby wrong.
//! Who of several that wait comes first is not looked at.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use super::history::{Reply, Words, show};
use super::model::{Expect, Fault, Model, int, null, number, ok};

/// Name and number of an entry of a stream.
type Id = (u64, u64);

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Text(Rc<[u8]>),
    List(Rc<Vec<Vec<u8>>>),
    Set(Rc<BTreeSet<Vec<u8>>>),
    Hash(Rc<BTreeMap<Vec<u8>, Vec<u8>>>),
    /// Scores are whole numbers here.
    Zset(Rc<BTreeMap<Vec<u8>, i64>>),
    Stream(Rc<Stream>),
}

/// A stream: its entries, of one field each, and the last id it has given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stream {
    entries: BTreeMap<Id, Vec<u8>>,
    last: Id,
    /// The last id that each group was given.
    groups: BTreeMap<Vec<u8>, Id>,
}

/// What a call asks.
pub struct Asked<'c> {
    /// The database.
    pub db: usize,
    /// The least that time can have been when it came.
    pub since_ms: i64,
    /// The command.
    pub words: &'c Words,
}

/// A key holds something else.
struct WrongType;

/// The state after a command, and what it answers.
type Outcomes = Vec<(Model, Expect)>;

impl Value {
    /// The string, if it is one.
    pub fn text(&self) -> Option<Rc<[u8]>> {
        match self {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// What TYPE says.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Hash(_) => "hash",
            Value::Zset(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }

    /// Nothing in it, so the key goes. A stream stays.
    fn is_empty(&self) -> bool {
        match self {
            Value::List(items) => items.is_empty(),
            Value::Set(members) => members.is_empty(),
            Value::Hash(fields) => fields.is_empty(),
            Value::Zset(scores) => scores.is_empty(),
            Value::Text(_) | Value::Stream(_) => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::new();
        match self {
            Value::Text(text) => return write!(out, "{}", show(text)),
            Value::List(items) => texts.extend(items.iter().map(|item| show(item))),
            Value::Set(members) => texts.extend(members.iter().map(|item| show(item))),
            Value::Hash(fields) => {
                let pairs = fields.iter().map(|(name, value)| show(name) + "=" + &show(value));
                texts.extend(pairs);
            }
            Value::Zset(scores) => {
                texts.extend(scores.iter().map(|(name, score)| format!("{}={score}", show(name))));
            }
            Value::Stream(stream) => {
                let entries = stream.entries.iter();
                texts.extend(entries.map(|(id, value)| shown_id(*id) + "=" + &show(value)));
            }
        }
        write!(out, "{}({})", self.kind(), texts.join(" "))
    }
}

fn bulk(text: &[u8]) -> Reply {
    Reply::Bulk(text.to_vec())
}

fn bulks<'t>(texts: impl IntoIterator<Item = &'t Vec<u8>>) -> Reply {
    Reply::Array(texts.into_iter().map(|text| bulk(text)).collect())
}

fn exactly(reply: Reply) -> Expect {
    Expect::Exactly(reply)
}

fn array(items: Vec<Reply>) -> Expect {
    Expect::Exactly(Reply::Array(items))
}

fn shown_id((ms, sequence): Id) -> String {
    format!("{ms}-{sequence}")
}

fn shown_number(number: i64) -> Reply {
    Reply::Bulk(number.to_string().into_bytes())
}

/// `7-1`, or `7`, which is the first of that millisecond.
fn id_of(text: &[u8]) -> Id {
    let text = std::str::from_utf8(text).expect("an id");
    let (ms, sequence) = text.split_once('-').unwrap_or((text, "0"));
    (ms.parse().expect("a number"), sequence.parse().expect("a number"))
}

fn reply_of_entries(entries: Vec<(&Id, &Vec<u8>)>) -> Reply {
    let entry = |(id, value): (&Id, &Vec<u8>)| {
        let fields = Reply::Array(vec![bulk(b"f"), bulk(value)]);
        Reply::Array(vec![bulk(shown_id(*id).as_bytes()), fields])
    };
    Reply::Array(entries.into_iter().map(entry).collect())
}

/// Whether a reply of XREAD names a stream and no entry of it.
fn has_no_entries(reply: &Reply) -> bool {
    let Reply::Array(streams) = reply else { return false };
    let is_empty = |stream: &Reply| match stream {
        Reply::Array(parts) => {
            matches!(&parts[..], [_, Reply::Array(entries)] if entries.is_empty())
        }
        _ => false,
    };
    streams.len() == 1 && streams.iter().all(is_empty)
}

/// The places from `first` to `last`, negative ones from the end.
fn places(len: usize, first: &[u8], last: &[u8]) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_start = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (first, last) = (from_start(number(first)), from_start(number(last)).min(len - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

macro_rules! typed {
    ($get:ident, $put:ident, $kind:ident, $held:ty) => {
        fn $get(&self, db: usize, key: &[u8]) -> Result<$held, WrongType> {
            match self.get(db, key).map(|entry| &entry.value) {
                None => Ok(Default::default()),
                Some(Value::$kind(held)) => Ok((**held).clone()),
                Some(_) => Err(WrongType),
            }
        }

        /// Keeps the time to live; what is empty goes.
        fn $put(&mut self, db: usize, key: &[u8], held: $held) {
            let expiry = self.get(db, key).and_then(|entry| entry.expiry);
            let value = Value::$kind(Rc::new(held));
            self.take(db, key);
            if !value.is_empty() {
                self.put_value(db, key, value, expiry);
            }
        }
    };
}

impl Model {
    typed!(list, put_list, List, Vec<Vec<u8>>);
    typed!(members, put_set, Set, BTreeSet<Vec<u8>>);
    typed!(hash, put_hash, Hash, BTreeMap<Vec<u8>, Vec<u8>>);
    typed!(zset, put_zset, Zset, BTreeMap<Vec<u8>, i64>);
    typed!(stream, put_stream, Stream, Stream);

    /// What a command of collections may come to; `None`: it is none.
    pub fn outcomes_of_collections(&self, asked: &Asked<'_>) -> Option<Outcomes> {
        let name = String::from_utf8_lossy(&asked.words[0]).into_owned();
        let args: Vec<&[u8]> = asked.words[1..].iter().map(Vec::as_slice).collect();
        if let Some(outcomes) = self.waiting(&name, &args, asked) {
            return Some(outcomes);
        }
        if name == "SPOP" {
            return Some(self.popped_members(asked.db, args[0]));
        }
        let mut after = self.clone();
        let db = asked.db;
        let done = after.apply_list(db, &name, &args);
        let done = done.or_else(|| after.apply_set(db, &name, &args));
        let done = done.or_else(|| after.apply_hash(db, &name, &args));
        let done = done.or_else(|| after.apply_zset(db, &name, &args));
        let done = done.or_else(|| after.apply_stream(db, &name, &args));
        Some(match done? {
            Ok(expect) => vec![(after, expect)],
            Err(WrongType) => vec![(self.clone(), Expect::Error)],
        })
    }

    /// Commands that wait for a key, or for one of several.
    fn waiting(&self, name: &str, args: &[&[u8]], asked: &Asked<'_>) -> Option<Outcomes> {
        let seconds = |text: &[u8]| {
            let text = std::str::from_utf8(text).expect("a number");
            (text.parse::<f64>().expect("a number") * 1000.0).ceil() as i64
        };
        let db = asked.db;
        let (outcomes, timeout_ms) = match (name, args) {
            ("BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX", [keys @ .., timeout]) => {
                (self.popped_of_first(db, name, keys), seconds(timeout))
            }
            ("BLMOVE" | "BRPOPLPUSH", [.., timeout]) => {
                let mut after = self.clone();
                let moved = after.apply_list(db, &name[1..], &args[..args.len() - 1])?;
                let outcomes = match moved {
                    Ok(Expect::Exactly(Reply::Null)) => Vec::new(),
                    Ok(expect) => vec![(after, expect)],
                    Err(WrongType) => vec![(self.clone(), Expect::Error)],
                };
                (outcomes, seconds(timeout))
            }
            ("XREAD", [b"BLOCK", timeout, b"STREAMS", key, id]) => {
                (self.read_stream(db, key, id_of(id)), number(timeout))
            }
            ("XREADGROUP", [b"GROUP", group, _, b"NOACK", b"BLOCK", timeout, _, key, b">"]) => {
                (self.read_group(db, key, group), number(timeout))
            }
            _ => return None,
        };
        Some(self.or_nothing(outcomes, asked, timeout_ms))
    }

    /// Where nothing is there and the time is over, that is one more outcome. What has come to hold another type while
    /// one waits is nothing, too.
    fn or_nothing(&self, mut outcomes: Outcomes, asked: &Asked<'_>, timeout_ms: i64) -> Outcomes {
        let is_nothing = |(_, expect): &(Model, Expect)| match expect {
            Expect::Error => true,
            Expect::Exactly(reply) => has_no_entries(reply),
            _ => false,
        };
        if outcomes.iter().all(is_nothing) && self.now_ms > asked.since_ms + timeout_ms {
            outcomes.push((self.clone(), null()));
        }
        outcomes
    }

    /// BLPOP and its like: the first key that has something. A key of another type ends the command where it comes
    /// first; who waits already passes it by.
    fn popped_of_first(&self, db: usize, name: &str, keys: &[&[u8]]) -> Outcomes {
        let mut outcomes = Vec::new();
        for key in keys {
            let mut after = self.clone();
            let popped = match name.starts_with("BZ") {
                true => after.apply_zset(db, &name[1..], &[key]),
                false => after.apply_list(db, &name[1..], &[key]),
            };
            match popped {
                Some(Ok(Expect::Exactly(Reply::Array(items)))) if !items.is_empty() => {
                    let items = [vec![bulk(key)], items].concat();
                    outcomes.push((after, array(items)));
                    return outcomes;
                }
                Some(Ok(Expect::Exactly(Reply::Bulk(item)))) => {
                    outcomes.push((after, array(vec![bulk(key), Reply::Bulk(item)])));
                    return outcomes;
                }
                Some(Err(WrongType)) => outcomes.push((self.clone(), Expect::Error)),
                _ => {}
            }
        }
        outcomes
    }

    fn popped_members(&self, db: usize, key: &[u8]) -> Outcomes {
        let Ok(members) = self.members(db, key) else { return vec![(self.clone(), Expect::Error)] };
        if members.is_empty() {
            return vec![(self.clone(), null())];
        }
        let without = |member: &Vec<u8>| {
            let (mut after, mut left) = (self.clone(), members.clone());
            left.remove(member);
            after.put_set(db, key, left);
            (after, exactly(bulk(member)))
        };
        members.iter().map(without).collect()
    }

    fn read_stream(&self, db: usize, key: &[u8], after: Id) -> Outcomes {
        let Ok(stream) = self.stream(db, key) else { return vec![(self.clone(), Expect::Error)] };
        let is_wanted = |id: &Id| match self.fault {
            Some(Fault::ReadsInclusive) => *id >= after,
            _ => *id > after,
        };
        let new: Vec<_> = stream.entries.iter().filter(|(id, _)| is_wanted(id)).collect();
        if new.is_empty() && stream.last <= after {
            return Vec::new();
        }
        // As in Redis: who waits may be woken and told of no entries, where the last of them have gone.
        let replies = Reply::Array(vec![bulk(key), reply_of_entries(new)]);
        vec![(self.clone(), array(vec![replies]))]
    }

    fn read_group(&self, db: usize, key: &[u8], group: &[u8]) -> Outcomes {
        let mut stream = match self.stream(db, key) {
            Ok(stream) if stream.groups.contains_key(group) => stream,
            _ => return vec![(self.clone(), Expect::Error)],
        };
        let outcomes = self.read_stream(db, key, stream.groups[group]);
        let delivered = stream.entries.last_key_value().map_or(stream.last, |(id, _)| *id);
        let moved = |(mut after, expect): (Model, Expect)| {
            stream.groups.insert(group.to_vec(), delivered);
            after.put_stream(db, key, stream.clone());
            (after, expect)
        };
        outcomes.into_iter().map(moved).collect()
    }

    fn apply_list(
        &mut self,
        db: usize,
        name: &str,
        args: &[&[u8]],
    ) -> Option<Result<Expect, WrongType>> {
        let name = match name {
            "LPUSH" | "RPUSH" | "LPOP" | "RPOP" | "LLEN" | "LRANGE" | "LREM" | "LTRIM"
            | "LINSERT" | "LMOVE" => name,
            "RPOPLPUSH" => {
                return self.apply_list(db, "LMOVE", &[args[0], args[1], b"RIGHT", b"LEFT"]);
            }
            _ => return None,
        };
        let mut items = match self.list(db, args[0]) {
            Ok(items) => items,
            Err(wrong) => return Some(Err(wrong)),
        };
        let is_other_end = self.fault == Some(Fault::PopsOtherEnd);
        let expect = match (name, args) {
            ("LPUSH" | "RPUSH", [_, new @ ..]) => {
                for item in new {
                    let at = if name == "LPUSH" { 0 } else { items.len() };
                    items.insert(at, item.to_vec());
                }
                int(items.len())
            }
            ("LPOP" | "RPOP", [_]) if items.is_empty() => null(),
            ("LPOP" | "RPOP", [_]) => {
                let is_left = (name == "LPOP") != is_other_end;
                let at = if is_left { 0 } else { items.len() - 1 };
                exactly(Reply::Bulk(items.remove(at)))
            }
            ("LLEN", _) => int(items.len()),
            ("LRANGE", [_, first, last]) => {
                exactly(bulks(&items[places(items.len(), first, last)]))
            }
            ("LTRIM", [_, first, last]) => {
                items = items[places(items.len(), first, last)].to_vec();
                ok()
            }
            ("LREM", [_, _, wanted]) => {
                let before = items.len();
                items.retain(|item| item != wanted);
                int(before - items.len())
            }
            ("LINSERT", [_, _, pivot, new]) => match items.iter().position(|item| item == pivot) {
                Some(at) => {
                    items.insert(at, new.to_vec());
                    int(items.len())
                }
                None if items.is_empty() => int(0),
                None => exactly(Reply::Int(-1)),
            },
            ("LMOVE", [from, to, out, into]) => {
                return Some(self.move_item(db, items, (from, to), (out, into)));
            }
            _ => return None,
        };
        self.put_list(db, args[0], items);
        Some(Ok(expect))
    }

    fn move_item(
        &mut self,
        db: usize,
        mut items: Vec<Vec<u8>>,
        (from, to): (&[u8], &[u8]),
        (out, into): (&[u8], &[u8]),
    ) -> Result<Expect, WrongType> {
        if items.is_empty() {
            return Ok(null());
        }
        self.list(db, to)?;
        let item = items.remove(if out == b"LEFT" { 0 } else { items.len() - 1 });
        // A list that is moved within keeps its time to live.
        let expiry = self.get(db, from).and_then(|entry| entry.expiry);
        self.put_list(db, from, items);
        if self.fault != Some(Fault::MoveLoses) {
            let mut target = self.list(db, to)?;
            let is_new = target.is_empty();
            target.insert(if into == b"LEFT" { 0 } else { target.len() }, item.clone());
            self.put_list(db, to, target.clone());
            if from == to && is_new {
                self.put_value(db, to, Value::List(Rc::new(target)), expiry);
            }
        }
        Ok(exactly(Reply::Bulk(item)))
    }

    fn apply_set(
        &mut self,
        db: usize,
        name: &str,
        args: &[&[u8]],
    ) -> Option<Result<Expect, WrongType>> {
        if let "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" | "SINTER" = name {
            return Some(self.combine(db, name, args));
        }
        let (Some("SADD" | "SREM" | "SMEMBERS" | "SCARD" | "SMOVE"), [key, ..]) =
            (Some(name), args)
        else {
            return None;
        };
        let mut members = match self.members(db, key) {
            Ok(members) => members,
            Err(wrong) => return Some(Err(wrong)),
        };
        let before = members.len();
        Some(Ok(match (name, args) {
            ("SADD", [_, new @ ..]) => {
                members.extend(new.iter().map(|member| member.to_vec()));
                let added = members.len() - before;
                self.put_set(db, key, members);
                int(added)
            }
            ("SREM", [_, gone @ ..]) => {
                members.retain(|member| !gone.contains(&member.as_slice()));
                let removed = before - members.len();
                self.put_set(db, key, members);
                int(removed)
            }
            ("SMEMBERS", _) => Expect::Keys(members.into_iter().collect()),
            ("SMOVE", [_, to, member]) => {
                if before == 0 {
                    return Some(Ok(int(0)));
                }
                if self.members(db, to).is_err() {
                    return Some(Err(WrongType));
                }
                if key == to {
                    return Some(Ok(int(members.contains(*member).into())));
                }
                let was_there = members.remove(*member);
                if was_there {
                    self.put_set(db, key, members);
                    let mut target = self.members(db, to).unwrap_or_default();
                    target.insert(member.to_vec());
                    self.put_set(db, to, target);
                }
                int(was_there.into())
            }
            _ => int(before),
        }))
    }

    fn combine(&mut self, db: usize, name: &str, args: &[&[u8]]) -> Result<Expect, WrongType> {
        let stores = name.ends_with("STORE");
        let keys = if stores { &args[1..] } else { args };
        let mut sets = Vec::new();
        for key in keys {
            sets.push(self.members(db, key)?);
        }
        let is_united = name == "SUNIONSTORE"
            || (name.starts_with("SINTER") && self.fault == Some(Fault::InterUnites));
        let mut result = sets.remove(0);
        for other in sets {
            match is_united {
                true => result.extend(other),
                false => result.retain(|member| other.contains(member) == name.starts_with("SI")),
            }
        }
        if !stores {
            return Ok(Expect::Keys(result.into_iter().collect()));
        }
        let count = result.len();
        self.take(db, args[0]);
        self.put_set(db, args[0], result);
        Ok(int(count))
    }

    fn apply_hash(
        &mut self,
        db: usize,
        name: &str,
        args: &[&[u8]],
    ) -> Option<Result<Expect, WrongType>> {
        let (Some("HSET" | "HDEL" | "HGET" | "HGETALL" | "HINCRBY" | "HLEN"), [key, ..]) =
            (Some(name), args)
        else {
            return None;
        };
        let mut fields = match self.hash(db, key) {
            Ok(fields) => fields,
            Err(wrong) => return Some(Err(wrong)),
        };
        let before = fields.len();
        let expect = match (name, args) {
            ("HSET", [_, pairs @ ..]) => {
                for pair in pairs.chunks(2) {
                    fields.insert(pair[0].to_vec(), pair[1].to_vec());
                }
                int(fields.len() - before)
            }
            ("HDEL", [_, gone @ ..]) => {
                fields.retain(|name, _| !gone.contains(&name.as_slice()));
                int(before - fields.len())
            }
            ("HINCRBY", [_, field, by]) => {
                let old = fields.get(*field).map_or(Some(0), |text| {
                    std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok())
                });
                let Some(old) = old else { return Some(Ok(Expect::Error)) };
                let sum = old + number(by);
                fields.insert(field.to_vec(), sum.to_string().into_bytes());
                exactly(Reply::Int(sum))
            }
            ("HGET", [_, field]) => {
                exactly(fields.get(*field).map_or(Reply::Null, |text| bulk(text)))
            }
            ("HGETALL", _) => Expect::Pairs(fields.clone().into_iter().collect()),
            _ => int(before),
        };
        self.put_hash(db, key, fields);
        Some(Ok(expect))
    }

    fn apply_zset(
        &mut self,
        db: usize,
        name: &str,
        args: &[&[u8]],
    ) -> Option<Result<Expect, WrongType>> {
        if name == "ZUNIONSTORE" {
            return Some(self.unite(db, args));
        }
        let (
            Some("ZADD" | "ZINCRBY" | "ZREM" | "ZRANGE" | "ZCARD" | "ZPOPMIN" | "ZPOPMAX"),
            [key, ..],
        ) = (Some(name), args)
        else {
            return None;
        };
        let mut scores = match self.zset(db, key) {
            Ok(scores) => scores,
            Err(wrong) => return Some(Err(wrong)),
        };
        let before = scores.len();
        let mut order: Vec<(i64, Vec<u8>)> =
            scores.iter().map(|(member, &score)| (score, member.clone())).collect();
        order.sort();
        let expect = match (name, args) {
            ("ZADD", [_, pairs @ ..]) => {
                for pair in pairs.chunks(2) {
                    scores.insert(pair[1].to_vec(), number(pair[0]));
                }
                int(scores.len() - before)
            }
            ("ZINCRBY", [_, by, member]) => {
                let score = scores.entry(member.to_vec()).or_default();
                *score += number(by);
                exactly(shown_number(*score))
            }
            ("ZREM", [_, gone @ ..]) => {
                scores.retain(|member, _| !gone.contains(&member.as_slice()));
                int(before - scores.len())
            }
            ("ZRANGE", _) => {
                let pair = |(score, member): &(i64, Vec<u8>)| [bulk(member), shown_number(*score)];
                array(order.iter().flat_map(pair).collect())
            }
            ("ZPOPMIN" | "ZPOPMAX", _) => {
                let is_least = (name == "ZPOPMIN") != (self.fault == Some(Fault::PopsLargest));
                let popped = if is_least { order.first() } else { order.last() };
                let popped = popped.cloned();
                if let Some((_, member)) = &popped {
                    scores.remove(member);
                }
                let pair =
                    popped.iter().flat_map(|(score, member)| [bulk(member), shown_number(*score)]);
                array(pair.collect())
            }
            _ => int(before),
        };
        self.put_zset(db, key, scores);
        Some(Ok(expect))
    }

    /// ZUNIONSTORE of sets and sorted sets; a member of a set counts as 1.
    fn unite(&mut self, db: usize, args: &[&[u8]]) -> Result<Expect, WrongType> {
        let mut sums: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for key in &args[2..] {
            let scores = match self.members(db, key) {
                Ok(members) => members.into_iter().map(|member| (member, 1)).collect(),
                Err(WrongType) => self.zset(db, key)?,
            };
            for (member, score) in scores {
                *sums.entry(member).or_default() += score;
            }
        }
        let count = sums.len();
        self.take(db, args[0]);
        self.put_zset(db, args[0], sums);
        Ok(int(count))
    }

    fn apply_stream(
        &mut self,
        db: usize,
        name: &str,
        args: &[&[u8]],
    ) -> Option<Result<Expect, WrongType>> {
        if let ("SORT", [key, _, _, target]) = (name, args) {
            return Some(self.sort(db, key, target));
        }
        let key = match (name, args) {
            ("XADD" | "XDEL" | "XLEN" | "XRANGE" | "XTRIM", [key, ..]) => *key,
            ("XGROUP", [_, key, ..]) => *key,
            _ => return None,
        };
        let mut stream = match self.stream(db, key) {
            Ok(stream) => stream,
            Err(wrong) => return Some(Err(wrong)),
        };
        let is_there = self.get(db, key).is_some();
        let before = stream.entries.len();
        Some(Ok(match (name, args) {
            ("XADD", [_, ms, _, value]) => {
                let (ms, _) = id_of(&ms[..ms.len() - 2]);
                if ms < stream.last.0 {
                    return Some(Ok(Expect::Error));
                }
                let sequence = if ms == stream.last.0 { stream.last.1 + 1 } else { 0 };
                stream.last = (ms, sequence);
                stream.entries.insert(stream.last, value.to_vec());
                let id = shown_id(stream.last);
                self.put_stream(db, key, stream);
                exactly(bulk(id.as_bytes()))
            }
            ("XDEL", [_, ids @ ..]) => {
                ids.iter().for_each(|id| drop(stream.entries.remove(&id_of(id))));
                let removed = before - stream.entries.len();
                if is_there {
                    self.put_stream(db, key, stream);
                }
                int(removed)
            }
            ("XTRIM", [_, _, most]) => {
                let removed = before.saturating_sub(number(most) as usize);
                (0..removed).for_each(|_| drop(stream.entries.pop_first()));
                if is_there {
                    self.put_stream(db, key, stream);
                }
                int(removed)
            }
            ("XRANGE", _) => exactly(reply_of_entries(stream.entries.iter().collect())),
            ("XGROUP", [_, _, group, id, _]) => {
                if stream.groups.contains_key(*group) {
                    return Some(Ok(Expect::Error));
                }
                let id = if *id == b"$" { stream.last } else { id_of(id) };
                stream.groups.insert(group.to_vec(), id);
                self.put_stream(db, key, stream);
                ok()
            }
            _ => int(before),
        }))
    }

    /// SORT … ALPHA STORE.
    fn sort(&mut self, db: usize, key: &[u8], target: &[u8]) -> Result<Expect, WrongType> {
        let mut items = match self.get(db, key).map(|entry| entry.value.clone()) {
            None => Vec::new(),
            Some(Value::List(items)) => (*items).clone(),
            Some(Value::Set(members)) => members.iter().cloned().collect(),
            Some(Value::Zset(scores)) => scores.keys().cloned().collect(),
            Some(_) => return Err(WrongType),
        };
        items.sort();
        let count = items.len();
        self.take(db, target);
        self.put_list(db, target, items);
        Ok(int(count))
    }
}
