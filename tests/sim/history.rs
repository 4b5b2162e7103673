//! What happened in one run: calls, when they were asked for and answered, and by what.
//!
//! Times are logical: a counter the driver moves on with everything it does. A call may have taken effect at any moment
//! between its two times; one without an answer at any moment after the first, or never.
use std::fmt;

/// An answer in a form that all dialects share: `:5` of one and `$1\r\n5` of another are the same where both stand
/// for a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// OK and the like.
    Status(String),
    /// A number that is no value.
    Int(i64),
    /// A value, a key, a cursor.
    Bulk(Vec<u8>),
    /// Nothing there.
    Null,
    /// Any error, with its text.
    Error(String),
    /// Several of them.
    Array(Vec<Reply>),
}

/// A command by its Redis name, whatever dialect it was sent in; see `wire` for those without one.
pub type Words = Vec<Vec<u8>>;

/// One request of one connection.
#[derive(Clone, Debug)]
pub struct Call {
    /// Number of its connection; calls of one connection take effect in order.
    pub connection: usize,
    /// The database its connection had selected.
    pub db: usize,
    /// What was asked.
    pub words: Words,
    /// When its last byte arrived at the server; `None`: it never did, so it cannot have happened.
    pub invoked: Option<u64>,
    /// Unix time in milliseconds that it was at least when it arrived.
    pub since_ms: i64,
    /// When the last byte of its answer had left the server.
    pub returned: Option<u64>,
    /// The answer.
    pub reply: Option<Reply>,
}

impl Call {
    /// A call that was sent.
    pub fn new(connection: usize, db: usize, words: Words) -> Call {
        let (invoked, returned, reply) = (None, None, None);
        Call { connection, db, words, invoked, since_ms: 0, returned, reply }
    }
}

impl Call {
    /// Whether it is one that may wait for a key.
    pub fn may_wait(&self) -> bool {
        self.words[0].starts_with(b"B") || self.words.iter().any(|word| word == b"BLOCK")
    }
}

/// Several commands as one call, run by EXEC: `TRANSACTION`, then each with the number of its words before them.
pub fn transaction(parts: &[Words]) -> Words {
    let counted = |part: &Words| {
        let count = part.len().to_string().into_bytes();
        std::iter::once(count).chain(part.iter().cloned()).collect::<Vec<_>>()
    };
    let name = std::iter::once(b"TRANSACTION".to_vec());
    name.chain(parts.iter().flat_map(counted)).collect()
}

/// The commands of a call that is a transaction.
pub fn parts(words: &Words) -> Option<Vec<Words>> {
    let mut rest = words.strip_prefix(&[b"TRANSACTION".to_vec()])?;
    let mut parts = Vec::new();
    while let Some((count, after)) = rest.split_first() {
        let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
        let (part, others) = after.split_at(count);
        parts.push(part.to_vec());
        rest = others;
    }
    Some(parts)
}

/// Words of a text, for calls written down in tests.
pub fn words(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Bytes as text, cut where they are many.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    match bytes.len() {
        0 => "\"\"".to_owned(),
        len if len > SHOWN => format!("{}…({len} bytes)", bytes[..8].escape_ascii()),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// A command as one line.
pub fn show_words(words: &Words) -> String {
    words.iter().map(|word| show(word)).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(text) => write!(out, "{text}"),
            Reply::Int(number) => write!(out, "(integer) {number}"),
            Reply::Bulk(bytes) => write!(out, "\"{}\"", show(bytes)),
            Reply::Null => write!(out, "(nil)"),
            Reply::Error(text) => write!(out, "(error) {text}"),
            Reply::Array(items) => {
                let items: Vec<String> = items.iter().map(Reply::to_string).collect();
                write!(out, "[{}]", items.join(", "))
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<u64>| time.map_or("-".to_owned(), |time| time.to_string());
        let Call { connection, db, words, invoked, returned, reply, .. } = self;
        let reply = reply.as_ref().map_or("(no answer)".to_owned(), Reply::to_string);
        write!(
            out,
            "{:>5}..{:<5} c{connection} db{db}  {} → {reply}",
            time(*invoked),
            time(*returned),
            show_words(words)
        )
    }
}
