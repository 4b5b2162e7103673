//! A client that can misbehave: raw bytes out, replies in, no library in between.
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};

use crate::server::PATIENCE;

/// A reply, RESP2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+…`, `-…` or `:…`, with its first byte.
    Line(String),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`.
    Null,
    /// An array.
    Array(Vec<Reply>),
}

impl Reply {
    /// Its text, whatever it is.
    pub fn text(&self) -> String {
        match self {
            Reply::Line(line) => line.clone(),
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// A connection to a server.
pub struct Client {
    /// The socket, for what this type does not offer.
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn tcp(address: impl ToSocketAddrs) -> Client {
        Client::over(TcpStream::connect(address).expect("to connect"))
    }

    /// Takes over a connected socket.
    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::with_capacity(256 * 1024, stream.try_clone().unwrap());
        Client { stream, reader }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("to send");
    }

    /// Sends one command.
    pub fn command(&mut self, words: &[&str]) {
        self.send(&encode(words));
    }

    /// Shuts down the sending half.
    pub fn shut_write(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next reply; an error where the connection ends before.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).unwrap_or(("", ""));
        let count = || rest.parse::<i64>().map_err(io::Error::other);
        match kind {
            "+" | "-" | ":" => Ok(Reply::Line(line)),
            "$" | "*" if rest == "-1" => Ok(Reply::Null),
            "$" => {
                let mut bytes = vec![0; count()? as usize + 2];
                self.reader.read_exact(&mut bytes)?;
                assert_eq!(&bytes[bytes.len() - 2..], b"\r\n");
                bytes.truncate(bytes.len() - 2);
                Ok(Reply::Bulk(bytes))
            }
            "*" => {
                (0..count()?).map(|_| self.try_reply()).collect::<io::Result<_>>().map(Reply::Array)
            }
            _ => Err(io::Error::other(format!("no reply: {line:?}"))),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        io::BufRead::read_until(&mut self.reader, b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(io::Error::other(format!("cut line: {}", line.escape_ascii()))),
        }
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("a reply")
    }

    /// Expects this line next.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.reply().text(), line);
    }

    /// Expects this bulk string next, saying little where it is not.
    pub fn expect_bulk(&mut self, expected: &[u8]) {
        match self.reply() {
            Reply::Bulk(bytes) => assert!(
                bytes == expected,
                "a bulk of {} bytes instead of {}",
                bytes.len(),
                expected.len()
            ),
            other => panic!("{other:?} instead of a bulk of {} bytes", expected.len()),
        }
    }

    /// Sends a command and expects a line.
    pub fn roundtrip(&mut self, words: &[&str], line: &str) {
        self.command(words);
        assert_eq!(self.reply().text(), line, "{words:?}");
    }

    /// Sends a command and returns its reply's text.
    pub fn ask(&mut self, words: &[&str]) -> String {
        self.command(words);
        self.reply().text()
    }

    /// Expects the server to have closed the connection, with nothing more to read.
    pub fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "more to read: {}", rest.escape_ascii()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "still open");
            }
        }
    }

    /// Everything up to the server's closing.
    pub fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.reader.read_to_end(&mut all) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "still open"),
        }
        all
    }

    /// The field of INFO, such as `connected_clients`.
    pub fn info(&mut self, field: &str) -> String {
        let text = self.ask(&["INFO", "everything"]);
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
    }
}

/// A command of words.
pub fn encode(words: &[&str]) -> Vec<u8> {
    let parts: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    encode_bytes(&parts)
}

/// A command of any bytes.
pub fn encode_bytes(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A bulk string as it is on the wire.
pub fn encode_bulk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("${}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

/// Numbers that look random and are the same in every run (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Bytes of a value: no two places alike, so that a shifted copy is noticed.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}
