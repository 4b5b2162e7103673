//! A small RESP2/RESP3 decoder and a printer in the manner of `redis-cli` on a terminal.
//!
//! The decoder knows no protocol version: it reads whatever type byte comes. Two things are
//! printed more exactly than `redis-cli` does, because the corpus wants to see them: a null array
//! (`*-1`) is `(nil array)`, and a verbatim string names its format, `(verbatim txt) "…"`.

use super::words::quote;

/// One decoded reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+text`
    Status(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:n`, kept as the text that was sent.
    Integer(String),
    /// `$n`
    Bulk(Vec<u8>),
    /// `$-1` and `_`
    Nil,
    /// `*-1`
    NilArray,
    /// `*n`
    Array(Vec<Reply>),
    /// `~n`
    Set(Vec<Reply>),
    /// `>n`
    Push(Vec<Reply>),
    /// `%n`
    Map(Vec<(Reply, Reply)>),
    /// `,text`
    Double(String),
    /// `#t`, `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(String),
    /// `=n`: format and text
    Verbatim(String, Vec<u8>),
}

/// Why no reply came out of the bytes.
#[derive(Debug, PartialEq)]
pub enum Trouble {
    /// More bytes are needed.
    Incomplete,
    /// These bytes are not RESP.
    Malformed(String),
}

/// Reads one reply from the head of `bytes`; returns it with the number of bytes it took.
pub fn decode(bytes: &[u8]) -> Result<(Reply, usize), Trouble> {
    let mut reader = Reader { bytes, at: 0 };
    let reply = reader.reply()?;
    Ok((reply, reader.at))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn reply(&mut self) -> Result<Reply, Trouble> {
        let kind = *self.bytes.get(self.at).ok_or(Trouble::Incomplete)?;
        self.at += 1;
        let line = self.line()?;
        let text = || String::from_utf8_lossy(line).into_owned();
        Ok(match kind {
            b'+' => Reply::Status(line.to_vec()),
            b'-' => Reply::Error(line.to_vec()),
            b':' => Reply::Integer(text()),
            b',' => Reply::Double(text()),
            b'(' => Reply::BigNumber(text()),
            b'_' => Reply::Nil,
            b'#' => Reply::Boolean(line == b"t"),
            b'$' if line == b"-1" => Reply::Nil,
            b'*' if line == b"-1" => Reply::NilArray,
            b'$' => Reply::Bulk(self.body(line)?.to_vec()),
            b'=' => {
                let body = self.body(line)?;
                if body.len() < 4 || body[3] != b':' {
                    return Err(Trouble::Malformed("verbatim string without format".into()));
                }
                let format = String::from_utf8_lossy(&body[..3]).into_owned();
                Reply::Verbatim(format, body[4..].to_vec())
            }
            b'*' => Reply::Array(self.items(count(line)?)?),
            b'~' => Reply::Set(self.items(count(line)?)?),
            b'>' => Reply::Push(self.items(count(line)?)?),
            b'%' => {
                let flat = self.items(count(line)? * 2)?;
                let mut flat = flat.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                    pairs.push((key, value));
                }
                Reply::Map(pairs)
            }
            other => {
                return Err(Trouble::Malformed(format!(
                    "type byte {:?} at offset {}",
                    char::from(other),
                    self.at - 1
                )));
            }
        })
    }

    fn line(&mut self) -> Result<&'b [u8], Trouble> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Trouble::Incomplete)?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn body(&mut self, length: &[u8]) -> Result<&'b [u8], Trouble> {
        let length = count(length)?;
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Err(Trouble::Incomplete);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Trouble::Malformed("no CRLF after a bulk string".into()));
        }
        self.at += length + 2;
        Ok(&rest[..length])
    }

    fn items(&mut self, count: usize) -> Result<Vec<Reply>, Trouble> {
        (0..count).map(|_| self.reply()).collect()
    }
}

fn count(line: &[u8]) -> Result<usize, Trouble> {
    let text = String::from_utf8_lossy(line);
    text.parse().map_err(|_| Trouble::Malformed(format!("length {text:?}")))
}

/// How the elements of a reply are put in order before it is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// As they came.
    AsSent,
    /// Flat arrays, sets and maps are sorted.
    Sorted,
    /// A flat array is taken as key, value, key, value… and sorted by key; maps are sorted.
    SortedPairs,
}

/// Sorts what `order` asks to be sorted, at every level.
pub fn arrange(reply: Reply, order: Order) -> Reply {
    if order == Order::AsSent {
        return reply;
    }
    match reply {
        Reply::Array(items) => Reply::Array(arrange_items(items, order)),
        Reply::Set(items) => Reply::Set(arrange_items(items, order)),
        Reply::Push(items) => Reply::Push(arrange_items(items, order)),
        Reply::Map(pairs) => {
            let mut pairs: Vec<_> =
                pairs.into_iter().map(|(key, value)| (key, arrange(value, order))).collect();
            pairs.sort_by_cached_key(|(key, _)| lines(key));
            Reply::Map(pairs)
        }
        other => other,
    }
}

fn arrange_items(items: Vec<Reply>, order: Order) -> Vec<Reply> {
    let mut items: Vec<_> = items.into_iter().map(|item| arrange(item, order)).collect();
    let nested = items.iter().any(|item| {
        matches!(item, Reply::Array(_) | Reply::Set(_) | Reply::Map(_) | Reply::Push(_))
    });
    if nested {
        return items;
    }
    if order == Order::SortedPairs {
        let mut pairs: Vec<_> = items.chunks(2).map(<[Reply]>::to_vec).collect();
        pairs.sort_by_cached_key(|pair| lines(&pair[0]));
        return pairs.concat();
    }
    items.sort_by_cached_key(lines);
    items
}

/// The reply as the lines `redis-cli` would print on a terminal.
pub fn lines(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Status(text) => vec![String::from_utf8_lossy(text).into_owned()],
        Reply::Error(text) => vec![format!("(error) {}", String::from_utf8_lossy(text))],
        Reply::Integer(text) => vec![format!("(integer) {text}")],
        Reply::Bulk(text) => vec![quote(text)],
        Reply::Nil => vec!["(nil)".into()],
        Reply::NilArray => vec!["(nil array)".into()],
        Reply::Double(text) => vec![format!("(double) {text}")],
        Reply::Boolean(yes) => vec![format!("({yes})")],
        Reply::BigNumber(text) => vec![format!("(big number) {text}")],
        Reply::Verbatim(format, text) => vec![format!("(verbatim {format}) {}", quote(text))],
        Reply::Array(items) => numbered(items, ')', "(empty array)"),
        Reply::Set(items) => numbered(items, '~', "(empty set)"),
        Reply::Push(items) => numbered(items, '>', "(empty push)"),
        Reply::Map(pairs) => mapped(pairs),
    }
}

fn numbered(items: &[Reply], mark: char, empty: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![empty.into()];
    }
    let width = items.len().to_string().len();
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let head = format!("{:>width$}{mark} ", index + 1);
        push_indented(&mut out, &head, lines(item));
    }
    out
}

fn mapped(pairs: &[(Reply, Reply)]) -> Vec<String> {
    if pairs.is_empty() {
        return vec!["(empty hash)".into()];
    }
    let width = pairs.len().to_string().len();
    let mut out = Vec::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let head = format!("{:>width$}# ", index + 1);
        let mut body = lines(key);
        let mut value = lines(value).into_iter();
        if let (Some(last), Some(first)) = (body.last_mut(), value.next()) {
            last.push_str(" => ");
            last.push_str(&first);
        }
        body.extend(value);
        push_indented(&mut out, &head, body);
    }
    out
}

fn push_indented(out: &mut Vec<String>, head: &str, body: Vec<String>) {
    for (index, line) in body.into_iter().enumerate() {
        if index == 0 {
            out.push(format!("{head}{line}"));
        } else {
            out.push(format!("{:width$}{line}", "", width = head.len()));
        }
    }
}

#[test]
fn nested_replies_print_as_redis_cli_prints_them() {
    let (reply, used) = decode(b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n%1\r\n+k\r\n,1.5\r\n").unwrap();
    assert_eq!(used, 37);
    let expected =
        ["1) (integer) 1", "2) 1) \"a\"", "   2) (empty array)", "3) 1# k => (double) 1.5"];
    assert_eq!(lines(&reply), expected);
}

#[test]
fn every_prefix_of_a_reply_is_incomplete() {
    let whole = b"*4\r\n$3\r\nabc\r\n_\r\n=7\r\ntxt:abc\r\n~1\r\n#t\r\n";
    for end in 0..whole.len() {
        assert_eq!(decode(&whole[..end]), Err(Trouble::Incomplete), "prefix of {end} bytes");
    }
    assert_eq!(decode(whole).unwrap().1, whole.len());
}
