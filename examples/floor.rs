//! The floor: what a RESP server on this loop costs before it does anything.
//!
//! It finds where each request ends, looks at nothing in it, keeps nothing, and answers `+OK`. No server on
//! mio can be faster at the same work on the same machine, so `scripts/compare` divides by it: a ratio says more
//! about a server than nanoseconds, which say as much about the machine and the kernel.
//!
//! Usage: `cargo run --release --example floor -- 7777`.
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
/// One read takes this much at most; all connections share the buffer.
const READ_BYTES: usize = 1 << 20;
const REPLY: &[u8] = b"+OK\r\n";

/// A connection.
struct Conn {
    socket: TcpStream,
    /// A request that is not complete yet. Empty nearly always.
    partial: Vec<u8>,
    /// Replies the socket did not take.
    unsent: Vec<u8>,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut conns: Slab<Conn> = Slab::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    let mut replies = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept_all(&listener, poll.registry(), &mut conns)?;
                continue;
            }
            let key = event.token().0;
            let Some(conn) = conns.get_mut(key) else { continue };
            let served = conn.flush().and_then(|()| {
                if event.is_readable() { conn.serve(&mut buffer, &mut replies) } else { Ok(()) }
            });
            if served.is_err() {
                let mut conn = conns.remove(key);
                poll.registry().deregister(&mut conn.socket)?;
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    registry: &Registry,
    conns: &mut Slab<Conn>,
) -> io::Result<()> {
    loop {
        let mut socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        socket.set_nodelay(true)?;
        let entry = conns.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut socket, Token(entry.key()), interest)?;
        entry.insert(Conn { socket, partial: Vec::new(), unsent: Vec::new() });
    }
}

impl Conn {
    /// Reads what is there and answers all requests in it. An error means the connection is over.
    fn serve(&mut self, buffer: &mut [u8], replies: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            replies.clear();
            if self.partial.is_empty() {
                let consumed = answer(&buffer[..count], replies);
                self.partial.extend_from_slice(&buffer[consumed..count]);
            } else {
                self.partial.extend_from_slice(&buffer[..count]);
                let consumed = answer(&self.partial, replies);
                self.partial.drain(..consumed);
            }
            self.send(replies)?;
            // A short read leaves nothing behind; later bytes bring a new event.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends `replies`, keeping what the socket does not take.
    fn send(&mut self, replies: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { write(&mut self.socket, replies)? } else { 0 };
        self.unsent.extend_from_slice(&replies[sent..]);
        Ok(())
    }

    /// Sends what was kept.
    fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let sent = write(&mut self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }
}

/// Writes until all is gone or the socket is full; returns how much went.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Adds a reply for each whole request of `bytes`; returns how many bytes those were.
fn answer(bytes: &[u8], replies: &mut Vec<u8>) -> usize {
    let mut consumed = 0;
    while let Some(len) = request_len(&bytes[consumed..]) {
        consumed += len;
        replies.extend_from_slice(REPLY);
    }
    consumed
}

/// Length of the first request, with its line ends; `None` where it is not complete.
fn request_len(bytes: &[u8]) -> Option<usize> {
    if *bytes.first()? != b'*' {
        return memchr::memchr(b'\n', bytes).map(|at| at + 1);
    }
    let (count, mut at) = header(bytes, 0)?;
    for _ in 0..count {
        let (len, from) = header(bytes, at)?;
        at = from + len + 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// The number of `*<number>\r\n` or `$<number>\r\n` at `at`, and where what follows begins.
#[inline]
fn header(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut number = 0usize;
    for (index, &byte) in bytes.get(at + 1..)?.iter().enumerate() {
        if byte == b'\r' {
            return Some((number, at + index + 3));
        }
        number = number.wrapping_mul(10).wrapping_add(usize::from(byte.wrapping_sub(b'0')));
    }
    None
}

#[test]
fn requests_end_where_they_end() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n$4\r\nPI";
    let mut replies = Vec::new();
    assert_eq!(answer(bytes, &mut replies), 26);
    assert_eq!(replies, b"+OK\r\n+OK\r\n");
    assert_eq!(request_len(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r"), None);
}
