//! A connected socket of any kind.
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::base::sys;
use crate::net::simulated::SimulatedSocket;

/// A connection's socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
    /// A pipe in memory, of a simulation.
    Simulated(SimulatedSocket),
}

/// What an event says of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read.
    pub is_readable: bool,
    /// The peer has closed its side, or the connection is broken.
    pub is_hung_up: bool,
    /// There is room to write.
    pub is_writable: bool,
}

impl Transport {
    /// Registers for both directions, once and for all: events are edge-triggered.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Takes the socket out of the poll.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Transport::Tcp(stream) => stream,
            Transport::Unix(stream) => stream,
            Transport::Simulated(socket) => socket,
        }
    }

    /// Reads at most `limit` bytes into the spare room of `into`.
    pub fn read_to_spare(&mut self, into: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        let file = match &*self {
            Transport::Tcp(stream) => stream.as_fd(),
            Transport::Unix(stream) => stream.as_fd(),
            Transport::Simulated(socket) => return socket.read_to_spare(into, limit),
        };
        sys::read_to_spare(file, into, limit)
    }

    /// File descriptor, as CLIENT LIST shows it; -1 where there is none.
    pub fn fd(&self) -> RawFd {
        match self {
            Transport::Tcp(stream) => stream.as_raw_fd(),
            Transport::Unix(stream) => stream.as_raw_fd(),
            Transport::Simulated(_) => -1,
        }
    }
}

impl Read for Transport {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.read(into),
            Transport::Unix(stream) => stream.read(into),
            Transport::Simulated(socket) => socket.read(into),
        }
    }
}

impl Write for Transport {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.write(bytes),
            Transport::Unix(stream) => stream.write(bytes),
            Transport::Simulated(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.write_vectored(parts),
            Transport::Unix(stream) => stream.write_vectored(parts),
            Transport::Simulated(socket) => socket.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
