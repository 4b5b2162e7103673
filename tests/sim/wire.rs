//! The dialects from a client's side: a command as bytes, and the bytes of an answer as a [`Reply`].
//!
//! Commands have the names of the model, which are Redis's but for those no Redis has: PAUSE, UNPAUSE, KILL, REPLY and
//! NOTOUCH (of CLIENT), TRANSACTION (from MULTI to EXEC), GARBAGE (no command at all), DBSIZE-EXACT, FLUSH, MPOP, CLEAR and FORGET (of other dialects).
use rufous::proto::dialect::Dialect;

use super::history::{Reply, Words, parts};
use super::payload;

/// How a client talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// RESP as a connection starts.
    Resp2,
    /// RESP after HELLO 3.
    Resp3,
    /// See docs/doors.md.
    Simpledb,
    /// See docs/doors.md.
    Msgpack,
    /// See docs/doors.md.
    Kvstore,
}

impl Door {
    /// All of them.
    pub const ALL: [Door; 5] =
        [Door::Resp2, Door::Resp3, Door::Simpledb, Door::Msgpack, Door::Kvstore];

    /// What the listener speaks.
    pub fn dialect(self) -> Dialect {
        match self {
            Door::Resp2 | Door::Resp3 => Dialect::Resp,
            Door::Simpledb => Dialect::Simpledb,
            Door::Msgpack => Dialect::Msgpack,
            Door::Kvstore => Dialect::Kvstore,
        }
    }

    /// A command as bytes; as a line of words where that is wished and possible.
    pub fn encode(self, words: &Words, is_line: bool) -> Vec<u8> {
        let name = std::str::from_utf8(&words[0]).expect("a name");
        match self {
            Door::Resp2 | Door::Resp3 if name == "TRANSACTION" => {
                let commands = parts(words).expect("a transaction");
                let encoded = commands.iter().map(|command| self.encode(command, false));
                let (begin, end) =
                    (array(&vec![b"MULTI".to_vec()]), array(&vec![b"EXEC".to_vec()]));
                [begin, encoded.collect::<Vec<_>>().concat(), end].concat()
            }
            Door::Resp2 | Door::Resp3 if name == "GARBAGE" => b"*1\r\n:5\r\n".to_vec(),
            Door::Resp2 | Door::Resp3 => {
                let words = resp_words(name, words);
                let is_plain = |word: &Vec<u8>| {
                    !word.is_empty()
                        && word.len() < 1000
                        && word.iter().all(u8::is_ascii_alphanumeric)
                };
                if is_line && words.iter().all(is_plain) { line(&words) } else { array(&words) }
            }
            Door::Simpledb => array(&simpledb_words(name, words)),
            Door::Msgpack => msgpack(name, &words[1..]),
            Door::Kvstore => kvstore(name, &words[1..]),
        }
    }

    /// The first answer in `bytes`, to this command, and how long it is. `None`: it is not all there.
    pub fn decode(self, bytes: &[u8], words: &Words) -> Option<(Reply, usize)> {
        let name = std::str::from_utf8(&words[0]).expect("a name");
        match self {
            Door::Resp2 | Door::Resp3 if name == "TRANSACTION" => transaction(bytes, words),
            Door::Resp2 | Door::Resp3 => {
                let (reply, len) = lines(bytes)?;
                Some((resp_meaning(name, reply), len))
            }
            Door::Simpledb => {
                let (reply, len) = lines(bytes)?;
                Some((simpledb_meaning(name, reply), len))
            }
            Door::Msgpack => {
                let len = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
                let object = bytes.get(4..4 + len)?;
                Some((msgpack_meaning(name, object), 4 + len))
            }
            Door::Kvstore => {
                let len = u32::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize;
                let text = bytes.get(6..6 + len)?;
                Some((kvstore_meaning(name, bytes[1], text), 6 + len))
            }
        }
    }
}

fn array(words: &Words) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
    out
}

fn line(words: &Words) -> Vec<u8> {
    [words.join(&b' '), b"\r\n".to_vec()].concat()
}

fn resp_words(name: &str, words: &Words) -> Words {
    let with = |head: &[&str], from: usize| {
        let head = head.iter().map(|word| word.as_bytes().to_vec());
        head.chain(words[from..].iter().cloned()).collect()
    };
    match name {
        "PAUSE" => with(&["CLIENT", "PAUSE"], 1),
        "UNPAUSE" => with(&["CLIENT", "UNPAUSE"], 1),
        "KILL" => with(&["CLIENT", "KILL", "ADDR"], 1),
        "REPLY" => with(&["CLIENT", "REPLY"], 1),
        "NOTOUCH" => with(&["CLIENT", "NO-TOUCH"], 1),
        "DBSIZE-EXACT" => with(&["DBSIZE"], 1),
        "LCS" => words.iter().cloned().chain([b"LEN".to_vec()]).collect(),
        "RESTORE" => {
            let mut words = words.clone();
            words[3] = payload::of(&words[3]);
            words
        }
        _ => words.clone(),
    }
}

fn simpledb_words(name: &str, words: &Words) -> Words {
    let mut words = words.clone();
    let own_name = match name {
        "DEL" if words.len() > 2 => "MDELETE",
        "DEL" => "DELETE",
        "GETDEL" => "POP",
        "DBSIZE" => "LEN",
        "SETEX" => {
            words.swap(2, 3);
            name
        }
        _ => name,
    };
    words[0] = own_name.as_bytes().to_vec();
    words
}

fn msgpack(name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    let kind = match name {
        "GET" => "Get",
        "SET" => "Put",
        _ => "Del",
    };
    let mut fields = vec![("type", kind.as_bytes()), ("key", &args[0])];
    if name == "SET" {
        fields.push(("val", &args[1]));
    }
    let mut object = vec![0x80 | fields.len() as u8];
    for (field, value) in fields {
        for text in [field.as_bytes(), value] {
            object.push(0xdb);
            object.extend((text.len() as u32).to_be_bytes());
            object.extend(text);
        }
    }
    [&(object.len() as u32).to_be_bytes()[..], &object].concat()
}

fn kvstore(name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    let number = match name {
        "GET" => 0,
        "SET" => 1,
        "CLEAR" => 2,
        _ => 3,
    };
    let mut out = vec![0, 0, number];
    for arg in args {
        out.extend((arg.len() as u32).to_be_bytes());
        out.extend(arg);
    }
    out
}

/// An answer in lines, as RESP and simpledb have them.
fn lines(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = String::from_utf8_lossy(bytes.get(1..end)?).into_owned();
    let (body, kind) = (end + 2, bytes[0]);
    let count = || text.parse::<i64>().expect("a length");
    Some(match kind {
        b'+' => (Reply::Status(text), body),
        b'-' => (Reply::Error(text), body),
        b':' => (Reply::Int(text.parse().expect("an integer")), body),
        b'_' => (Reply::Null, body),
        b',' => (Reply::Bulk(text.into_bytes()), body),
        b'$' | b'*' if count() < 0 => (Reply::Null, body),
        b'$' | b'^' | b'@' => {
            let stop = body + count() as usize;
            bytes.get(stop..stop + 2)?;
            (Reply::Bulk(bytes[body..stop].to_vec()), stop + 2)
        }
        b'*' | b'%' | b'~' | b'&' => {
            let count = count() * if kind == b'%' { 2 } else { 1 };
            let (mut items, mut at) = (Vec::new(), body);
            for _ in 0..count {
                let (item, len) = lines(&bytes[at..])?;
                items.push(item);
                at += len;
            }
            (Reply::Array(items), at)
        }
        other => panic!("no answer begins with {:?}: {}", other as char, bytes.escape_ascii()),
    })
}

/// The answers to MULTI, to each command that is queued, and to EXEC: what the last one says is all that counts where
/// the others say what they should.
fn transaction(bytes: &[u8], words: &Words) -> Option<(Reply, usize)> {
    let commands = parts(words).expect("a transaction");
    let mut at = 0;
    for index in 0..=commands.len() {
        let (reply, len) = lines(&bytes[at..])?;
        let wanted = if index == 0 { "OK" } else { "QUEUED" };
        if reply != Reply::Status(wanted.to_owned()) {
            return Some((Reply::Error(format!("{wanted} expected, not {reply}")), at + len));
        }
        at += len;
    }
    let (reply, len) = lines(&bytes[at..])?;
    let reply = match reply {
        Reply::Array(items) if items.len() == commands.len() => {
            let named = commands.iter().map(|words| String::from_utf8_lossy(&words[0]));
            let meant = named.zip(items).map(|(name, item)| resp_meaning(&name, item));
            Reply::Array(meant.collect())
        }
        other => other,
    };
    Some((reply, at + len))
}

fn resp_meaning(name: &str, reply: Reply) -> Reply {
    match (name, reply) {
        ("DUMP", Reply::Bulk(bytes)) => Reply::Bulk(payload::value_of(&bytes)),
        // RESP3 has pairs of a member and its score, and a map of the streams.
        ("ZRANGE", Reply::Array(items)) => Reply::Array(items.into_iter().flat_map(flat).collect()),
        ("XREAD" | "XREADGROUP", Reply::Array(items)) if is_flat(&items) => {
            Reply::Array(items.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect())
        }
        (_, reply) => reply,
    }
}

fn flat(item: Reply) -> Vec<Reply> {
    match item {
        Reply::Array(items) => items,
        other => vec![other],
    }
}

fn is_flat(items: &[Reply]) -> bool {
    matches!(items.first(), Some(Reply::Bulk(_)))
}

fn simpledb_meaning(name: &str, reply: Reply) -> Reply {
    let value = |reply| match reply {
        Reply::Int(number) => Reply::Bulk(number.to_string().into_bytes()),
        other => other,
    };
    match (name, reply) {
        (_, Reply::Error(text)) => Reply::Error(text),
        ("SET" | "SETEX" | "MSET" | "FLUSHALL" | "QUIT", Reply::Int(_)) => {
            Reply::Status("OK".to_owned())
        }
        ("MGET" | "MPOP", Reply::Array(items)) => {
            Reply::Array(items.into_iter().map(value).collect())
        }
        ("GET" | "GETSET" | "GETDEL", reply) => value(reply),
        (_, reply) => reply,
    }
}

fn msgpack_meaning(name: &str, object: &[u8]) -> Reply {
    let text = |head: usize| object[head..].to_vec();
    match (name, object[0]) {
        ("SET", 0xc0) => Reply::Status("OK".to_owned()),
        (_, 0xc0) => Reply::Null,
        (_, 0xa0..=0xbf) => Reply::Bulk(text(1)),
        (_, 0xd9 | 0xc4) => Reply::Bulk(text(2)),
        (_, 0xda | 0xc5) => Reply::Bulk(text(3)),
        (_, 0xdb | 0xc6) => Reply::Bulk(text(5)),
        _ => Reply::Error(object.escape_ascii().to_string()),
    }
}

fn kvstore_meaning(name: &str, status: u8, text: &[u8]) -> Reply {
    match (name, status) {
        ("SET", 0) => Reply::Status("OK".to_owned()),
        ("PING", 0) if text == b"PONG" => Reply::Status("PONG".to_owned()),
        (_, 0) => Reply::Bulk(text.to_vec()),
        _ if text == b"Key not found" => Reply::Null,
        _ => Reply::Error(text.escape_ascii().to_string()),
    }
}
