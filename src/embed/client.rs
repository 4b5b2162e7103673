//! A small blocking client: for tests, scripts and examples.
//!
//! It speaks RESP2 and, after [`Client::hello`], RESP3 over TCP and Unix sockets. It has no pool, no reconnecting,
//! no clusters and few typed commands; programs that want more use the [`redis`](https://docs.rs/redis) crate,
//! which works with Rufous as it does with Redis.
use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::embed::address::Address;
use crate::embed::error::Error;
use crate::embed::reply::Reply;

/// A connection to a server of Redis's protocol.
///
/// ```
/// # let server = rufous::Server::builder().spawn()?;
/// # let rufous::Address::Tcp(address) = server.addresses()[0] else { unreachable!() };
/// let mut client = rufous::Client::connect(address)?;
/// assert_eq!(client.command(&["INCRBY", "visits", "41"])?, rufous::Reply::Int(41));
/// let replies = client.pipeline().command(&["INCR", "visits"]).command(&["GET", "visits"]).run()?;
/// assert_eq!(replies[1].as_str(), Some("42"));
/// # Ok::<(), rufous::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Stream>,
    /// Messages that came between replies.
    pushed: VecDeque<Reply>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

impl Client {
    /// Connects over TCP.
    pub fn connect(address: impl ToSocketAddrs) -> Result<Client, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client::over(Stream::Tcp(stream)))
    }

    /// Connects to a Unix socket.
    pub fn connect_unix(path: impl AsRef<Path>) -> Result<Client, Error> {
        Ok(Client::over(Stream::Unix(UnixStream::connect(path)?)))
    }

    /// Connects to an address of a [`Server`](crate::Server).
    pub fn connect_to(address: &Address) -> Result<Client, Error> {
        match address {
            Address::Tcp(address) => Client::connect(address),
            Address::Unix(path) => Client::connect_unix(path),
        }
    }

    fn over(stream: Stream) -> Client {
        Client { stream: BufReader::new(stream), pushed: VecDeque::new() }
    }

    /// How long to wait for a reply before it is an error of kind `WouldBlock`; `None`, for ever, at first. After
    /// that error the connection is of no use: the reply may come later.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        match self.stream.get_ref() {
            Stream::Tcp(stream) => stream.set_read_timeout(timeout)?,
            Stream::Unix(stream) => stream.set_read_timeout(timeout)?,
        }
        Ok(())
    }

    /// Chooses the version of the protocol, 2 or 3; it is 2 at first. The reply tells about the server.
    pub fn hello(&mut self, version: u8) -> Result<Reply, Error> {
        self.command(&["HELLO", &version.to_string()])?.ok()
    }

    /// Sends one command and waits for its reply; an error it answers is a [`Reply::Error`].
    pub fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, Error> {
        self.send(words)?;
        self.receive()
    }

    /// Commands to be sent together.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        Pipeline { client: self, requests: Vec::new(), count: 0 }
    }

    /// Sends a command without waiting for its reply.
    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), Error> {
        let mut request = Vec::new();
        encode(&mut request, words);
        Ok(self.stream.get_mut().write_all(&request)?)
    }

    /// Waits for the next reply. Messages (RESP3 pushes) are put aside for [`Client::next_message`].
    pub fn receive(&mut self) -> Result<Reply, Error> {
        loop {
            match Reply::read(&mut self.stream)? {
                push @ Reply::Push(_) => self.pushed.push_back(push),
                reply => return Ok(reply),
            }
        }
    }

    /// The next message, waiting for one where none has come yet; a reply in its place is an error.
    pub fn next_message(&mut self) -> Result<Reply, Error> {
        if let Some(push) = self.pushed.pop_front() {
            return Ok(push);
        }
        match Reply::read(&mut self.stream)? {
            push @ Reply::Push(_) => Ok(push),
            other => Err(Error::Unexpected(other)),
        }
    }

    /// GET: the value, if there is one.
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        match self.command(&[b"GET", key.as_ref()])?.ok()? {
            Reply::Null => Ok(None),
            Reply::Bulk(value) => Ok(Some(value)),
            other => Err(Error::Unexpected(other)),
        }
    }

    /// SET.
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        match self.command(&[b"SET", key.as_ref(), value.as_ref()])?.ok()? {
            Reply::Simple(_) => Ok(()),
            other => Err(Error::Unexpected(other)),
        }
    }

    /// DEL of one key: whether it was there.
    pub fn del(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        match self.command(&[b"DEL", key.as_ref()])?.ok()? {
            Reply::Int(count) => Ok(count != 0),
            other => Err(Error::Unexpected(other)),
        }
    }

    /// PING: whether the server answers.
    pub fn ping(&mut self) -> Result<(), Error> {
        match self.command(&["PING"])?.ok()? {
            Reply::Simple(_) => Ok(()),
            other => Err(Error::Unexpected(other)),
        }
    }
}

/// Commands to be sent together, which saves a round trip for each; [`Client::pipeline`] begins one.
#[derive(Debug)]
#[must_use = "nothing is sent before `run`"]
pub struct Pipeline<'c> {
    client: &'c mut Client,
    requests: Vec<u8>,
    count: usize,
}

impl Pipeline<'_> {
    /// One more command.
    pub fn command<W: AsRef<[u8]>>(mut self, words: &[W]) -> Self {
        encode(&mut self.requests, words);
        self.count += 1;
        self
    }

    /// Sends all of them, then waits for all replies, in order; errors are [`Reply::Error`] in their place.
    pub fn run(self) -> Result<Vec<Reply>, Error> {
        self.client.stream.get_mut().write_all(&self.requests)?;
        (0..self.count).map(|_| self.client.receive()).collect()
    }
}

/// The words as a request, appended.
fn encode<W: AsRef<[u8]>>(request: &mut Vec<u8>, words: &[W]) {
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
}
