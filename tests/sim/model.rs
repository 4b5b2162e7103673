//! What the server should be: a map from keys to values, in which commands run one after the other.
//!
//! [`Model::outcomes`] says what a call may come to: the state after it and the answers that are right. Written from Redis's documentation, not from our
//! code. Time is part of the state: a key is dead once it is later than its expiry. Dead keys stay in the map until
//! they are written over, since DBSIZE may or may not count them.
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::collections::{Asked, Value};
use super::history::{Call, Reply, Words, parts, show};

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) expiry: Option<i64>,
}

type Db = BTreeMap<Vec<u8>, Entry>;

/// The whole server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Model {
    pub(super) now_ms: i64,
    dbs: Vec<Db>,
    pub(super) fault: Option<Fault>,
}

impl fmt::Display for Model {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at {}", self.now_ms)?;
        for (index, db) in self.dbs.iter().enumerate() {
            write!(out, ", db{index}:")?;
            for (key, entry) in db {
                write!(out, " {}={}", show(key), entry.value)?;
                if let Some(expiry) = entry.expiry {
                    write!(out, " (dies {:+} ms)", expiry - self.now_ms)?;
                }
            }
        }
        Ok(())
    }
}

/// An error made on purpose, to see that the checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// INCR adds two.
    IncrTwice,
    /// SET leaves the time to live as it is.
    SetKeepsTtl,
    /// MSET forgets its last pair.
    MsetTorn,
    /// DEL leaves the last of several keys.
    DelMissesLast,
    /// RENAME copies.
    RenameKeepsSource,
    /// Keys live a millisecond less.
    ExpiresEarly,
    /// COPY leaves the time to live behind.
    CopyForgetsTtl,
    /// APPEND to a missing key does nothing.
    AppendNeedsKey,
    /// SWAPDB does nothing.
    SwapForgotten,
    /// FLUSHALL leaves the second database.
    FlushesOne,
    /// BLPOP and its like take from the other end.
    PopsOtherEnd,
    /// LMOVE and its like push nothing.
    MoveLoses,
    /// ZPOPMIN and its like take the largest.
    PopsLargest,
    /// SINTERSTORE unites.
    InterUnites,
    /// XREAD answers with the entry it was told as well.
    ReadsInclusive,
    /// The last command of a transaction changes nothing.
    ExecForgetsLast,
}

/// The answers that are right.
#[derive(Clone, Debug)]
pub enum Expect {
    /// This one.
    Exactly(Reply),
    /// Some error.
    Error,
    /// Names and values in any order of the pairs, each name once.
    Pairs(Vec<(Vec<u8>, Vec<u8>)>),
    /// A number in this range.
    Between(i64, i64),
    /// One of these.
    OneOf(Vec<Reply>),
    /// These keys in any order, each once.
    Keys(Vec<Vec<u8>>),
    /// A cursor and some of these keys; all of them where the cursor is 0.
    Scan(Vec<Vec<u8>>),
    /// An array of answers, each right in its place.
    All(Vec<Expect>),
    /// Whatever it is.
    Anything,
}

impl fmt::Display for Expect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys =
            |keys: &[Vec<u8>]| keys.iter().map(|key| show(key)).collect::<Vec<_>>().join(" ");
        match self {
            Expect::Exactly(reply) => write!(out, "{reply}"),
            Expect::Error => write!(out, "an error"),
            Expect::Pairs(wanted) => {
                let names: Vec<Vec<u8>> = wanted.iter().map(|(name, _)| name.clone()).collect();
                write!(out, "pairs of these names: {}", keys(&names))
            }
            Expect::Between(least, most) => write!(out, "{least} to {most}"),
            Expect::OneOf(replies) => write!(out, "one of {}", Reply::Array(replies.clone())),
            Expect::Keys(wanted) => write!(out, "these keys: {}", keys(wanted)),
            Expect::Scan(live) => write!(out, "a cursor and keys out of: {}", keys(live)),
            Expect::All(parts) => {
                let parts: Vec<String> = parts.iter().map(Expect::to_string).collect();
                write!(out, "[{}]", parts.join(", "))
            }
            Expect::Anything => write!(out, "anything"),
        }
    }
}

impl Expect {
    /// Whether this answer is right.
    pub fn accepts(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Expect::Anything, _) | (Expect::Error, Reply::Error(_)) => true,
            (Expect::Exactly(wanted), reply) => wanted == reply,
            (Expect::Between(least, most), Reply::Int(number)) => (least..=most).contains(&number),
            (Expect::OneOf(wanted), reply) => wanted.contains(reply),
            (Expect::All(wanted), Reply::Array(items)) => {
                let is_right = |(expect, item): (&Expect, &Reply)| expect.accepts(item);
                wanted.len() == items.len() && wanted.iter().zip(items).all(is_right)
            }
            (Expect::Keys(wanted), Reply::Array(keys)) => {
                let keys = sorted(keys);
                keys.as_ref() == Some(wanted)
            }
            (Expect::Pairs(wanted), Reply::Array(items)) => {
                let pairs = items.chunks(2).map(|pair| match pair {
                    [Reply::Bulk(name), Reply::Bulk(value)] => Some((name.clone(), value.clone())),
                    _ => None,
                });
                let mut pairs: Option<Vec<(Vec<u8>, Vec<u8>)>> = pairs.collect();
                pairs.iter_mut().for_each(|pairs| pairs.sort());
                pairs.as_ref() == Some(wanted)
            }
            (Expect::Scan(live), Reply::Array(parts)) => match &parts[..] {
                [Reply::Bulk(cursor), Reply::Array(keys)] => sorted(keys).is_some_and(|keys| {
                    keys.iter().all(|key| live.contains(key))
                        && (cursor != b"0" || keys.len() == live.len())
                }),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Distinct keys in order.
fn sorted(keys: &[Reply]) -> Option<Vec<Vec<u8>>> {
    let bytes = |key: &Reply| match key {
        Reply::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let mut keys: Vec<Vec<u8>> = keys.iter().map(bytes).collect::<Option<_>>()?;
    keys.sort();
    Some(keys)
}

pub(super) fn int(number: usize) -> Expect {
    Expect::Exactly(Reply::Int(number as i64))
}

pub(super) fn ok() -> Expect {
    Expect::Exactly(Reply::Status("OK".to_owned()))
}

pub(super) fn null() -> Expect {
    Expect::Exactly(Reply::Null)
}

fn bulk(value: Option<Rc<[u8]>>) -> Reply {
    value.map_or(Reply::Null, |value| Reply::Bulk(value.to_vec()))
}

pub(super) fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number")
}

/// An integer as INCR takes it: only in its shortest form.
fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

/// Commands that have no use for a key that holds something else than a string.
const READS_STRING: &[&str] = &[
    "GET", "STRLEN", "GETSET", "GETDEL", "APPEND", "INCR", "DECR", "INCRBY", "DECRBY", "SETRANGE",
    "GETRANGE",
];

impl Model {
    /// Empty databases at this time.
    pub fn new(now_ms: i64, dbs: usize, fault: Option<Fault>) -> Model {
        Model { now_ms, dbs: vec![Db::new(); dbs], fault }
    }

    fn is_live(&self, entry: &Entry) -> bool {
        let early = i64::from(self.fault == Some(Fault::ExpiresEarly));
        entry.expiry.is_none_or(|expiry| self.now_ms + early <= expiry)
    }

    pub(super) fn get(&self, db: usize, key: &[u8]) -> Option<&Entry> {
        self.dbs[db].get(key).filter(|entry| self.is_live(entry))
    }

    fn value(&self, db: usize, key: &[u8]) -> Option<Rc<[u8]>> {
        self.get(db, key).and_then(|entry| entry.value.text())
    }

    fn put(&mut self, db: usize, key: &[u8], value: impl Into<Rc<[u8]>>, expiry: Option<i64>) {
        self.put_value(db, key, Value::Text(value.into()), expiry);
    }

    pub(super) fn put_value(&mut self, db: usize, key: &[u8], value: Value, expiry: Option<i64>) {
        self.dbs[db].insert(key.to_vec(), Entry { value, expiry });
    }

    /// Takes a key out; dead ones are not there.
    pub(super) fn take(&mut self, db: usize, key: &[u8]) -> Option<Entry> {
        self.get(db, key)?;
        self.dbs[db].remove(key)
    }

    fn live_keys(&self, db: usize) -> Vec<Vec<u8>> {
        let live = self.dbs[db].iter().filter(|(_, entry)| self.is_live(entry));
        live.map(|(key, _)| key.clone()).collect()
    }

    /// What a call may come to, run in this state.
    pub fn outcomes(&self, call: &Call) -> Vec<(Model, Expect)> {
        match parts(&call.words) {
            Some(parts) => self.outcomes_of_transaction(call, &parts),
            None => self.outcomes_of(call, &call.words),
        }
    }

    /// What a command of a call may come to.
    fn outcomes_of(&self, call: &Call, words: &Words) -> Vec<(Model, Expect)> {
        let asked = Asked { db: call.db, since_ms: call.since_ms, words };
        self.outcomes_of_collections(&asked).unwrap_or_else(|| {
            let mut after = self.clone();
            let expect = after.apply(call.db, words);
            vec![(after, expect)]
        })
    }

    /// What commands may come to with nobody in between.
    fn outcomes_of_transaction(&self, call: &Call, parts: &[Words]) -> Vec<(Model, Expect)> {
        let mut ways: Vec<(Model, Vec<Expect>)> = vec![(self.clone(), Vec::new())];
        for (index, words) in parts.iter().enumerate() {
            let is_forgotten =
                self.fault == Some(Fault::ExecForgetsLast) && index + 1 == parts.len();
            let on = |(model, expects): (Model, Vec<Expect>)| {
                let outcomes = model.outcomes_of(call, words).into_iter();
                let further = move |(after, expect)| {
                    let mut expects = expects.clone();
                    expects.push(expect);
                    (if is_forgotten { model.clone() } else { after }, expects)
                };
                outcomes.map(further).collect::<Vec<_>>()
            };
            ways = ways.into_iter().flat_map(on).collect();
        }
        ways.into_iter().map(|(after, expects)| (after, Expect::All(expects))).collect()
    }

    /// Runs a command that can come to one thing only: which answers are right.
    fn apply(&mut self, db: usize, words: &Words) -> Expect {
        let name = String::from_utf8_lossy(&words[0]).into_owned();
        let args: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
        let expect = self.apply_string(db, &name, &args);
        let expect = expect.or_else(|| self.apply_many(db, &name, &args));
        let expect = expect.or_else(|| self.apply_time(db, &name, &args));
        let expect = expect.or_else(|| self.apply_keyspace(db, &name, &args));
        expect.unwrap_or_else(|| panic!("the model does not know {name}"))
    }

    fn apply_string(&mut self, db: usize, name: &str, args: &[&[u8]]) -> Option<Expect> {
        let key = *args.first().unwrap_or(&&b""[..]);
        let old = self.get(db, key).cloned();
        let old_expiry = old.as_ref().and_then(|entry| entry.expiry);
        let value = old.as_ref().and_then(|entry| entry.value.text());
        let is_other = old.is_some() && value.is_none();
        if is_other && READS_STRING.contains(&name) {
            return Some(Expect::Error);
        }
        let len = value.as_ref().map_or(0, |value| value.len());
        Some(match (name, args) {
            ("GET", _) => Expect::Exactly(bulk(value)),
            ("STRLEN", _) => int(len),
            ("SET", [_, new, options @ ..]) => self.set(db, key, new, options),
            ("GETSET", [_, new]) => {
                self.put(db, key, *new, None);
                Expect::Exactly(bulk(value))
            }
            ("GETDEL", _) => {
                self.take(db, key);
                Expect::Exactly(bulk(value))
            }
            // As GETDEL, where the answer cannot tell an empty value from none.
            ("CLEAR", _) => {
                self.take(db, key);
                Expect::Exactly(Reply::Bulk(value.map_or(Vec::new(), |value| value.to_vec())))
            }
            ("SETNX", [_, new]) => {
                if old.is_none() {
                    self.put(db, key, *new, None);
                }
                int(old.is_none().into())
            }
            ("SETEX" | "PSETEX", [_, ttl, new]) => {
                let unit = if name == "SETEX" { 1000 } else { 1 };
                self.put(db, key, *new, Some(self.now_ms + number(ttl) * unit));
                ok()
            }
            ("APPEND", [_, more]) => {
                if old.is_none() && self.fault == Some(Fault::AppendNeedsKey) {
                    return Some(int(more.len()));
                }
                let joined = [value.as_deref().unwrap_or(&[]), more].concat();
                let len = joined.len();
                self.put(db, key, joined, old_expiry);
                int(len)
            }
            ("INCR" | "DECR" | "INCRBY" | "DECRBY", _) => {
                let by = args.get(1).map_or(1, |by| number(by));
                let by = if name.starts_with("DECR") { -by } else { by };
                let by = if self.fault == Some(Fault::IncrTwice) { 2 * by } else { by };
                let Some(old) = value.as_deref().map_or(Some(0), integer) else {
                    return Some(Expect::Error);
                };
                self.put(db, key, (old + by).to_string().into_bytes(), old_expiry);
                Expect::Exactly(Reply::Int(old + by))
            }
            ("SETRANGE", [_, offset, piece]) => {
                if piece.is_empty() {
                    return Some(int(len));
                }
                let at = number(offset) as usize;
                let mut bytes = value.map_or(Vec::new(), |value| value.to_vec());
                bytes.resize(bytes.len().max(at + piece.len()), 0);
                bytes[at..at + piece.len()].copy_from_slice(piece);
                let len = bytes.len();
                self.put(db, key, bytes, old_expiry);
                int(len)
            }
            ("GETRANGE", [_, first, last]) => {
                let value = value.unwrap_or_else(|| Rc::from(&b""[..]));
                Expect::Exactly(Reply::Bulk(range(&value, number(first), number(last)).to_vec()))
            }
            ("DUMP", _) => Expect::Exactly(bulk(value)),
            // The payload is that of a value, which is what stands here.
            ("RESTORE", [_, ttl, new, options @ ..]) => {
                if old.is_some() && !options.contains(&&b"REPLACE"[..]) {
                    return Some(Expect::Error);
                }
                let ttl = number(ttl);
                self.put(db, key, *new, (ttl > 0).then_some(self.now_ms + ttl));
                ok()
            }
            _ => return None,
        })
    }

    fn set(&mut self, db: usize, key: &[u8], new: &[u8], options: &[&[u8]]) -> Expect {
        let old = self.get(db, key).cloned();
        let is_other = old.as_ref().is_some_and(|entry| entry.value.text().is_none());
        if is_other && options.contains(&&b"GET"[..]) {
            return Expect::Error;
        }
        let (mut expiry, mut is_refused, mut wants_old) = (None, false, false);
        if self.fault == Some(Fault::SetKeepsTtl) {
            expiry = old.as_ref().and_then(|entry| entry.expiry);
        }
        let mut options = options.iter();
        while let Some(&option) = options.next() {
            match option {
                b"NX" => is_refused = old.is_some(),
                b"XX" => is_refused = old.is_none(),
                b"GET" => wants_old = true,
                b"KEEPTTL" => expiry = old.as_ref().and_then(|entry| entry.expiry),
                b"EX" | b"PX" => {
                    let ttl = number(options.next().expect("a time"));
                    expiry = Some(self.now_ms + if option == b"EX" { ttl * 1000 } else { ttl });
                }
                other => panic!("SET … {}", other.escape_ascii()),
            }
        }
        if !is_refused {
            self.put(db, key, new, expiry);
        }
        match (wants_old, is_refused) {
            (true, _) => Expect::Exactly(bulk(old.and_then(|entry| entry.value.text()))),
            (false, true) => null(),
            (false, false) => ok(),
        }
    }

    fn apply_many(&mut self, db: usize, name: &str, args: &[&[u8]]) -> Option<Expect> {
        let is_there =
            |model: &Model| args.iter().filter(|key| model.get(db, key).is_some()).count();
        Some(match name {
            "MGET" => {
                let values = args.iter().map(|key| bulk(self.value(db, key)));
                Expect::Exactly(Reply::Array(values.collect()))
            }
            "MSET" => {
                let torn = usize::from(self.fault == Some(Fault::MsetTorn) && args.len() > 2);
                for pair in args[..args.len() - 2 * torn].chunks(2) {
                    self.put(db, pair[0], pair[1], None);
                }
                ok()
            }
            "MSETNX" => {
                let is_free = args.chunks(2).all(|pair| self.get(db, pair[0]).is_none());
                if is_free {
                    args.chunks(2).for_each(|pair| self.put(db, pair[0], pair[1], None));
                }
                int(is_free.into())
            }
            "EXISTS" | "TOUCH" => int(is_there(self)),
            "DEL" | "UNLINK" => {
                let misses = args.len() > 1 && self.fault == Some(Fault::DelMissesLast);
                let there = args.iter().filter(|key| self.take(db, key).is_some()).count();
                if misses && let Some(last) = args.last() {
                    self.put(db, last, &b"left"[..], None);
                }
                int(there)
            }
            // The DEL of a dialect that does not say whether there was anything.
            "FORGET" => {
                self.take(db, args[0]);
                null()
            }
            "MPOP" => {
                let values: Vec<Reply> = args
                    .iter()
                    .map(|key| bulk(self.take(db, key).and_then(|entry| entry.value.text())))
                    .collect();
                Expect::Exactly(Reply::Array(values))
            }
            "LCS" => {
                let empty = || Rc::from(&b""[..]);
                let value = |key| self.value(db, key).unwrap_or_else(empty);
                int(common(&value(args[0]), &value(args[1])))
            }
            _ => return None,
        })
    }

    fn apply_time(&mut self, db: usize, name: &str, args: &[&[u8]]) -> Option<Expect> {
        let key = *args.first().unwrap_or(&&b""[..]);
        let expiry = self.get(db, key).map(|entry| entry.expiry);
        let seconds = |ms: i64| (ms + 500) / 1000;
        let when = |time: &dyn Fn(i64) -> i64| {
            Expect::Exactly(Reply::Int(match expiry {
                None => -2,
                Some(None) => -1,
                Some(Some(at)) => time(at),
            }))
        };
        let now_ms = self.now_ms;
        Some(match name {
            "TTL" => when(&|at| seconds(at - now_ms)),
            "PTTL" => when(&|at| at - now_ms),
            "EXPIRETIME" => when(&seconds),
            "PEXPIRETIME" => when(&|at| at),
            "EXPIRE" | "PEXPIRE" => {
                let unit = if name == "EXPIRE" { 1000 } else { 1 };
                let at = now_ms + number(args[1]) * unit;
                self.expire(db, key, at, args.get(2).copied())
            }
            "PERSIST" => {
                let entry = self.get(db, key).cloned().filter(|entry| entry.expiry.is_some());
                let has_expiry = entry.is_some();
                if let Some(entry) = entry {
                    self.put_value(db, key, entry.value, None);
                }
                int(has_expiry.into())
            }
            "GETEX" => {
                let value = self.value(db, key);
                if value.is_none() && self.get(db, key).is_some() {
                    return Some(Expect::Error);
                }
                if let Some(value) = value.clone() {
                    let at = match args[1] {
                        b"PERSIST" => None,
                        b"EX" => Some(now_ms + 1000 * number(args[2])),
                        _ => Some(now_ms + number(args[2])),
                    };
                    self.put(db, key, value, at);
                }
                Expect::Exactly(bulk(value))
            }
            "CLOCK" => {
                self.now_ms += number(args[1]);
                Expect::Exactly(Reply::Int(self.now_ms))
            }
            // Not a command: the simulation moves the clock.
            "ADVANCE" => {
                self.now_ms += number(args[0]);
                ok()
            }
            _ => return None,
        })
    }

    fn expire(&mut self, db: usize, key: &[u8], at: i64, condition: Option<&[u8]>) -> Expect {
        let Some(entry) = self.get(db, key).cloned() else { return int(0) };
        let is_met = match (condition, entry.expiry) {
            (None, _) => true,
            (Some(b"NX"), old) => old.is_none(),
            (Some(b"XX"), old) => old.is_some(),
            (Some(b"GT"), old) => old.is_some_and(|old| at > old),
            (Some(_), old) => old.is_none_or(|old| at < old),
        };
        if !is_met {
            return int(0);
        }
        if at <= self.now_ms {
            self.take(db, key);
        } else {
            self.put_value(db, key, entry.value, Some(at));
        }
        int(1)
    }

    fn apply_keyspace(&mut self, db: usize, name: &str, args: &[&[u8]]) -> Option<Expect> {
        let live = self.live_keys(db);
        let (least, most) = (live.len() as i64, self.dbs[db].len() as i64);
        Some(match (name, args) {
            ("DBSIZE", []) => Expect::Between(least, most),
            // Not a command: DBSIZE once nothing dead can be left.
            ("DBSIZE-EXACT", []) => int(live.len()),
            ("KEYS", [pattern]) => {
                let is_wanted = |key: &Vec<u8>| match *pattern {
                    b"*" => true,
                    b"k[1-2]" => key == b"k1" || key == b"k2",
                    other => panic!("KEYS {}", other.escape_ascii()),
                };
                Expect::Keys(live.into_iter().filter(is_wanted).collect())
            }
            ("SCAN", _) => Expect::Scan(live),
            ("RANDOMKEY", []) if live.is_empty() => null(),
            ("RANDOMKEY", []) => Expect::OneOf(live.into_iter().map(Reply::Bulk).collect()),
            ("FLUSHALL", _) => {
                let count = if self.fault == Some(Fault::FlushesOne) { 1 } else { self.dbs.len() };
                self.dbs[..count].iter_mut().for_each(Db::clear);
                ok()
            }
            ("FLUSHDB", _) => {
                self.dbs[db].clear();
                ok()
            }
            // FLUSHDB that answers how many keys went.
            ("FLUSH", []) => {
                self.dbs[db].clear();
                Expect::Between(least, most)
            }
            ("SWAPDB", [first, second]) => {
                if self.fault != Some(Fault::SwapForgotten) {
                    self.dbs.swap(number(first) as usize, number(second) as usize);
                }
                ok()
            }
            ("RENAME" | "RENAMENX", [from, to]) => self.rename(db, name, from, to),
            ("COPY", [from, to, options @ ..]) => self.copy(db, from, to, options),
            ("MOVE", [key, to]) => {
                let to = number(to) as usize;
                if to == db {
                    return Some(Expect::Error);
                }
                let is_free = self.get(to, key).is_none();
                match self.get(db, key).cloned().filter(|_| is_free) {
                    Some(entry) => {
                        self.dbs[db].remove(*key);
                        self.dbs[to].insert(key.to_vec(), entry);
                        int(1)
                    }
                    None => int(0),
                }
            }
            ("TYPE", [key]) => {
                let kind = self.get(db, key).map_or("none", |entry| entry.value.kind());
                Expect::Exactly(Reply::Status(kind.to_owned()))
            }
            ("PING", []) => Expect::Exactly(Reply::Status("PONG".to_owned())),
            ("PING" | "ECHO", [text]) => Expect::Exactly(Reply::Bulk(text.to_vec())),
            ("SELECT" | "PAUSE" | "UNPAUSE" | "QUIT" | "NOTOUCH" | "REPLY", _) => ok(),
            ("GARBAGE", []) => Expect::Error,
            ("KILL", _) => Expect::Between(0, 1),
            ("HELLO", _) => Expect::Anything,
            _ => return None,
        })
    }

    fn rename(&mut self, db: usize, name: &str, from: &[u8], to: &[u8]) -> Expect {
        let Some(entry) = self.get(db, from).cloned() else { return Expect::Error };
        if name == "RENAMENX" {
            if self.get(db, to).is_some() {
                return int(0);
            }
        } else if from == to {
            return ok();
        }
        if self.fault != Some(Fault::RenameKeepsSource) {
            self.dbs[db].remove(from);
        }
        self.dbs[db].insert(to.to_vec(), entry);
        if name == "RENAMENX" { int(1) } else { ok() }
    }

    fn copy(&mut self, db: usize, from: &[u8], to: &[u8], options: &[&[u8]]) -> Expect {
        let target = options.iter().position(|option| *option == b"DB");
        let target = target.map_or(db, |at| number(options[at + 1]) as usize);
        if target == db && from == to {
            return Expect::Error;
        }
        let replaces = options.contains(&&b"REPLACE"[..]);
        let is_free = self.get(target, to).is_none() || replaces;
        let Some(mut entry) = self.get(db, from).cloned().filter(|_| is_free) else {
            return int(0);
        };
        if self.fault == Some(Fault::CopyForgetsTtl) {
            entry.expiry = None;
        }
        self.dbs[target].insert(to.to_vec(), entry);
        int(1)
    }
}

/// The bytes from `first` to `last`, both counted from the end where negative. One beyond the front is the front, but
/// for two of them in the wrong order.
fn range(value: &[u8], first: i64, last: i64) -> &[u8] {
    let len = value.len() as i64;
    if first < 0 && last < first {
        return &[];
    }
    let from_start = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (first, last) = (from_start(first), from_start(last).min(len - 1));
    if first > last { &[] } else { &value[first as usize..=last as usize] }
}

/// Length of the longest common subsequence, row by row.
fn common(left: &[u8], right: &[u8]) -> usize {
    let mut row = vec![0; right.len() + 1];
    for &byte in left {
        let mut diagonal = 0;
        for (at, &other) in right.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if byte == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[right.len()]
}
