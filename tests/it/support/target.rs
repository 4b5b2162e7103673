//! What a script is played against: anything that gives connections carrying bytes.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server, or an engine that stands for one.
pub trait Target {
    /// `redis` or `rufous`: compared with the `server:` mark of a script.
    fn server(&self) -> &str;

    /// Does it have what a script `needs:`? A real Redis has everything.
    fn has(&self, need: &str) -> bool;

    /// Opens a connection.
    fn connect(&mut self) -> io::Result<Box<dyn Link>>;

    /// The server was cleaned and every connection to it ended: open those that are still needed.
    fn cleaned(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Something was sent whose reply nobody awaits now: lets the server begin with it, where that takes it turns.
    fn settle(&mut self) {}

    /// Lets this much time pass on the clock of the server.
    fn advance(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    /// The clock of the server, in ms since 1970.
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One connection.
pub trait Link {
    /// Sends all of `bytes`.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends what arrives within `patience` to `into`; returns as soon as anything did.
    fn receive(&mut self, into: &mut Vec<u8>, patience: Duration) -> io::Result<Received>;
}

/// What `Link::receive` found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Received {
    /// At least one byte.
    Bytes,
    /// Nothing within the time given.
    Nothing,
    /// The other side closed the connection.
    Closed,
}

/// Where a server process listens.
#[derive(Clone)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// Opens a socket.
pub fn dial(address: &Address) -> io::Result<Box<dyn Link>> {
    Ok(match address {
        Address::Unix(path) => Box::new(Socket::Unix(UnixStream::connect(path)?)),
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Box::new(Socket::Tcp(stream))
        }
    })
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Link for Socket {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.write_all(bytes)
            }
            Socket::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.write_all(bytes)
            }
        }
    }

    fn receive(&mut self, into: &mut Vec<u8>, patience: Duration) -> io::Result<Received> {
        let mut buffer = [0; 16 * 1024];
        // A read timeout is at least a clock tick, so a mere look must not block at all.
        let look = patience.is_zero();
        let result = match self {
            Socket::Unix(stream) => {
                stream.set_nonblocking(look)?;
                if !look {
                    stream.set_read_timeout(Some(patience))?;
                }
                stream.read(&mut buffer)
            }
            Socket::Tcp(stream) => {
                stream.set_nonblocking(look)?;
                if !look {
                    stream.set_read_timeout(Some(patience))?;
                }
                stream.read(&mut buffer)
            }
        };
        match result {
            Ok(0) => Ok(Received::Closed),
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                Ok(Received::Bytes)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Received::Nothing),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Received::Closed),
                _ => Err(error),
            },
        }
    }
}

/// Longer sends are not cut further: nothing new happens inside a long argument.
const SINGLE_BYTES_MAX: usize = 400;

/// Where `Cut` cuts what is sent.
#[derive(Clone, Copy)]
pub enum CutAt {
    /// Once, before this byte of each send; shorter sends stay whole.
    Position(usize),
    /// Between all bytes, up to the `SINGLE_BYTES_MAX`th; the rest follows whole.
    EveryByte,
}

/// A target whose connections send in pieces. Between two pieces another connection makes a round
/// trip, so that the server has read the first piece before the second is sent.
pub struct Cut<'t> {
    inner: &'t mut dyn Target,
    at: CutAt,
    barrier: Barrier,
}

/// The connection for the round trips, once it is open.
type Barrier = Rc<RefCell<Option<Box<dyn Link>>>>;

impl<'t> Cut<'t> {
    /// Wraps `inner`.
    pub fn new(inner: &'t mut dyn Target, at: CutAt) -> Self {
        Cut { inner, at, barrier: Barrier::default() }
    }
}

impl Target for Cut<'_> {
    fn server(&self) -> &str {
        self.inner.server()
    }

    fn has(&self, need: &str) -> bool {
        self.inner.has(need)
    }

    fn connect(&mut self) -> io::Result<Box<dyn Link>> {
        let (at, barrier) = (self.at, Rc::clone(&self.barrier));
        let link = self.inner.connect()?;
        Ok(Box::new(CutLink { link, at, barrier, early: Vec::new(), closed: false }))
    }

    fn cleaned(&mut self) -> io::Result<()> {
        let link = self.inner.connect()?;
        *self.barrier.borrow_mut() = Some(link);
        Ok(())
    }

    fn advance(&mut self, time: Duration) {
        self.inner.advance(time);
    }

    fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }
}

struct CutLink {
    link: Box<dyn Link>,
    at: CutAt,
    barrier: Barrier,
    early: Vec<u8>,
    closed: bool,
}

impl CutLink {
    /// One round trip elsewhere; then takes what has come here, in case the server is done with us.
    fn wait(&mut self) -> io::Result<()> {
        let mut answer = Vec::new();
        let mut barrier = self.barrier.borrow_mut();
        let Some(barrier) = barrier.as_mut() else { return Ok(()) };
        barrier.send(b"*1\r\n$4\r\nPING\r\n")?;
        while answer.len() < b"+PONG\r\n".len() {
            if barrier.receive(&mut answer, Duration::from_secs(5))? != Received::Bytes {
                return Err(io::Error::other("no answer to the PING between two pieces"));
            }
        }
        Ok(())
    }
}

impl Link for CutLink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let ends: Vec<usize> = match self.at {
            CutAt::Position(at) if at < bytes.len() => vec![at, bytes.len()],
            CutAt::Position(_) => vec![bytes.len()],
            CutAt::EveryByte => {
                (1..bytes.len().min(SINGLE_BYTES_MAX)).chain([bytes.len()]).collect()
            }
        };
        let mut sent = 0;
        for end in ends {
            if sent > 0 {
                self.wait()?;
                let come = self.link.receive(&mut self.early, Duration::ZERO)?;
                self.closed |= come == Received::Closed;
            }
            if self.closed {
                return Ok(());
            }
            match self.link.send(&bytes[sent..end]) {
                // The server may close after a piece that is wrong already; what it said before
                // is still to be read.
                Err(error) if sent > 0 && error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                result => result?,
            }
            sent = end;
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>, patience: Duration) -> io::Result<Received> {
        if !self.early.is_empty() {
            into.append(&mut self.early);
            return Ok(Received::Bytes);
        }
        if self.closed {
            return Ok(Received::Closed);
        }
        self.link.receive(into, patience)
    }
}
