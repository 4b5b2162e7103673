//! Connections that the server opens to others (MIGRATE).
//!
//! Addresses are connected to without waiting. A name has to be looked up first, for which systems offer nothing but
//! waiting (getaddrinfo(3)): that is done by a thread of its own, which touches nothing else and ends with its answer.
//! All have one token in the poll: who can go on is found by trying.
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::base::sys::{self, Ready};
use crate::engine::remote::{Connect, Remote};
use crate::net::flush::unsent_parts;
use crate::proto::reply::Output;

/// Token of every such connection.
pub const REMOTE_TOKEN: Token = Token(usize::MAX - 4);
/// Most that is sent at once: some 20 us.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// Names looked up at a time. Nobody can end a look-up, even when nobody waits for it any more.
const LOOK_UPS_MAX: usize = 16;

/// Opens connections, watched by a poll where there is one.
pub struct Connector {
    registry: Option<Registry>,
    /// Each thread that looks a name up has a copy.
    look_ups: Arc<()>,
}

impl Connector {
    /// Has the poll of `registry` watch the connections; without one, whoever uses them waits for them.
    pub fn new(registry: Option<Registry>) -> Connector {
        Connector { registry, look_ups: Arc::default() }
    }
}

impl Connect for Connector {
    fn open(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Remote>> {
        let registry = self.registry.as_ref().map(Registry::try_clone).transpose()?;
        let mut socket = Socket { registry, state: State::Refused };
        match host.parse::<IpAddr>() {
            Ok(ip) => socket.connect_to(vec![SocketAddr::new(ip, port)])?,
            Err(_) if Arc::strong_count(&self.look_ups) > LOOK_UPS_MAX => {
                return Err(ErrorKind::QuotaExceeded.into());
            }
            Err(_) => socket.look_up(host, port, self.look_ups.clone())?,
        }
        Ok(Box::new(socket))
    }
}

/// One connection.
struct Socket {
    registry: Option<Registry>,
    state: State,
}

enum State {
    /// Its name is being looked up. The stream ends with that, for the poll to hear of it.
    LookingUp {
        answer: Receiver<io::Result<Vec<SocketAddr>>>,
        end: UnixStream,
    },
    /// Underway to the first of the addresses that have not refused; those that may be tried next are behind it.
    Connecting {
        stream: TcpStream,
        next: Vec<SocketAddr>,
    },
    Connected(TcpStream),
    Refused,
}

impl Socket {
    fn look_up(&mut self, host: &str, port: u16, counted: Arc<()>) -> io::Result<()> {
        let (mut end, other_end) = UnixStream::pair()?;
        self.register(&mut end)?;
        let (tell, answer) = channel();
        let host = host.to_owned();
        std::thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            let found = (&*host, port).to_socket_addrs().map(Iterator::collect);
            // Nobody may want it any more.
            let _ = tell.send(found);
            drop((other_end, counted));
        })?;
        self.state = State::LookingUp { answer, end };
        Ok(())
    }

    /// Begins to connect to the first address that does not refuse at once.
    fn connect_to(&mut self, mut addresses: Vec<SocketAddr>) -> io::Result<()> {
        self.state = State::Refused;
        let mut error = io::Error::from(ErrorKind::AddrNotAvailable);
        while !addresses.is_empty() {
            let address = addresses.remove(0);
            match TcpStream::connect(address) {
                Ok(mut stream) => {
                    self.register(&mut stream)?;
                    self.state = State::Connecting { stream, next: addresses };
                    return Ok(());
                }
                Err(refusal) => error = refusal,
            }
        }
        Err(error)
    }

    fn register(&self, source: &mut dyn Source) -> io::Result<()> {
        let Some(registry) = &self.registry else { return Ok(()) };
        source.register(registry, REMOTE_TOKEN, Interest::READABLE | Interest::WRITABLE)
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        match &mut self.state {
            State::Connected(stream) => Ok(stream),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Remote for Socket {
    fn connect(&mut self) -> io::Result<bool> {
        loop {
            match &mut self.state {
                State::Refused => return Err(ErrorKind::ConnectionRefused.into()),
                State::Connected(_) => return Ok(true),
                State::LookingUp { answer, .. } => match answer.try_recv() {
                    Ok(found) => self.connect_to(found.map_err(unknown)?)?,
                    Err(TryRecvError::Empty) => return Ok(false),
                    Err(TryRecvError::Disconnected) => return Err(ErrorKind::NotFound.into()),
                },
                State::Connecting { stream, next } => {
                    let error = match (stream.take_error()?, stream.peer_addr()) {
                        (Some(error), _) => error,
                        (None, Ok(_)) => {
                            let connecting = std::mem::replace(&mut self.state, State::Refused);
                            if let State::Connecting { stream, .. } = connecting {
                                stream.set_nodelay(true)?;
                                self.state = State::Connected(stream);
                            }
                            continue;
                        }
                        (None, Err(error)) if error.kind() == ErrorKind::NotConnected => {
                            return Ok(false);
                        }
                        (None, Err(error)) => error,
                    };
                    let next = std::mem::take(next);
                    if next.is_empty() {
                        return Err(error);
                    }
                    self.connect_to(next)?;
                }
            }
        }
    }

    fn send(&mut self, output: &mut Output) -> io::Result<usize> {
        let parts = unsent_parts(output, SEND_BYTES_MAX);
        let sent = self.stream()?.write_vectored(&parts)?;
        output.consume(sent);
        Ok(sent)
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream()?.read(into)
    }

    fn wait(&mut self, what: Ready, timeout: Duration) {
        // It looks again in any case, and finds out what is wrong.
        let _ = match &self.state {
            State::LookingUp { end, .. } => sys::wait_for(end.as_fd(), Ready::Read, timeout),
            State::Connecting { stream, .. } => {
                sys::wait_for(stream.as_fd(), Ready::Write, timeout)
            }
            State::Connected(stream) => sys::wait_for(stream.as_fd(), what, timeout),
            State::Refused => Ok(true),
        };
    }
}

/// There is no such name, or nobody says.
fn unknown(error: io::Error) -> io::Error {
    io::Error::new(ErrorKind::NotFound, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Opens a connection and waits until it is connected or refused.
    fn open(host: &str, port: u16) -> io::Result<Box<dyn Remote>> {
        let mut remote = Connector::new(None).open(host, port)?;
        while !remote.connect()? {
            remote.wait(Ready::Write, PATIENCE);
        }
        Ok(remote)
    }

    #[test]
    fn names_and_addresses_are_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        for host in ["127.0.0.1", "localhost"] {
            let mut remote = open(host, port).expect("connected");
            let (mut other, _) = listener.accept().expect("accepted");
            let mut output = Output::default();
            output.bytes_mut().extend_from_slice(b"hello");
            assert_eq!(remote.send(&mut output).expect("sent"), 5);
            assert!(output.is_empty());
            let mut heard = [0; 5];
            other.read_exact(&mut heard).expect("heard");
            assert_eq!(&heard, b"hello");
            let nothing = remote.receive(&mut heard).expect_err("nothing has come");
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
            other.write_all(b"you").expect("sent");
            remote.wait(Ready::Read, PATIENCE);
            assert_eq!(remote.receive(&mut heard).expect("heard"), 3);
            drop(other);
            remote.wait(Ready::Read, PATIENCE);
            assert_eq!(remote.receive(&mut heard).expect("its end"), 0);
        }
    }

    #[test]
    fn who_cannot_be_reached_is_an_error() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("its address").port()
        };
        let refused = open("127.0.0.1", port).err().expect("nobody listens there");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let unknown = open("no..name", 1).err().expect("nobody has this name");
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
    }
}
