//! Listening sockets: where clients come in.
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dialect::Dialect;
use crate::engine::session::Address;
use crate::net::transport::Transport;

/// One listening socket, and what is spoken there.
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    dialect: Dialect,
    /// From a `listen` line; CONFIG SET port and bind leave those alone.
    is_door: bool,
}

#[derive(Debug)]
enum ListenSocket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix domain socket and its path.
    Unix(UnixListener, Arc<str>),
}

/// Why a socket could not listen.
#[derive(Debug)]
pub struct ListenError {
    /// The address or path.
    pub place: String,
    /// What the system said.
    pub error: io::Error,
}

impl Listener {
    /// Listens at a TCP address.
    pub fn tcp(address: SocketAddr, backlog: i32) -> Result<Listener, ListenError> {
        let failed = |error| ListenError { place: address.to_string(), error };
        bind_tcp(address, backlog)
            .map(|listener| Listener::of(ListenSocket::Tcp(TcpListener::from_std(listener))))
            .map_err(failed)
    }

    /// Listens at a path, replacing a socket left there; `permissions` is a mode, 0 leaves the default.
    pub fn unix(path: &Path, permissions: u32) -> Result<Listener, ListenError> {
        let place = path.display().to_string();
        let bind = || -> io::Result<UnixListener> {
            // A socket left by a server that died would refuse the bind; anything else there is not ours to remove.
            if let Ok(found) = std::fs::symlink_metadata(path)
                && std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
            {
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            if permissions != 0 {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
            }
            Ok(listener)
        };
        match bind() {
            Ok(listener) => Ok(Listener::of(ListenSocket::Unix(listener, place.into()))),
            Err(error) => Err(ListenError { place, error }),
        }
    }

    fn of(socket: ListenSocket) -> Listener {
        Listener { socket, dialect: Dialect::Resp, is_door: false }
    }

    /// The same as one of the `listen` lines, for this dialect.
    pub fn door(self, dialect: Dialect) -> Listener {
        Listener { dialect, is_door: true, ..self }
    }

    /// Whether it is one of the `listen` lines.
    pub fn is_door(&self) -> bool {
        self.is_door
    }

    /// What is spoken there.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where it listens, as a `listen` line would say it; port 0 has become a number.
    pub fn url(&self) -> String {
        let kind = if self.path().is_some() { "+unix" } else { "" };
        format!("{}{kind}://{}", self.dialect.name(), self.place())
    }

    /// Where it listens; port 0 has become a number.
    pub fn place(&self) -> String {
        match &self.socket {
            ListenSocket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
            }
            ListenSocket::Unix(_, path) => path.to_string(),
        }
    }

    /// Its TCP address.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListenSocket::Tcp(listener) => listener.local_addr().ok(),
            ListenSocket::Unix(..) => None,
        }
    }

    /// Its path, to be removed at the end.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.socket {
            ListenSocket::Tcp(_) => None,
            ListenSocket::Unix(_, path) => Some(PathBuf::from(&**path)),
        }
    }

    /// Watches for arrivals.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE)
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            ListenSocket::Tcp(listener) => listener,
            ListenSocket::Unix(listener, _) => listener,
        }
    }

    /// The next client.
    pub fn accept(&self, keepalive_seconds: u64) -> io::Result<(Transport, Address)> {
        match &self.socket {
            ListenSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // Errors here mean that the client is gone already; its first read will tell.
                let _ = stream.set_nodelay(true);
                if keepalive_seconds > 0 {
                    let _ = set_keepalive(&stream, keepalive_seconds);
                }
                let local = stream.local_addr().unwrap_or(peer);
                Ok((Transport::Tcp(stream), Address::tcp(peer, local)))
            }
            ListenSocket::Unix(listener, path) => {
                let (stream, _) = listener.accept()?;
                Ok((Transport::Unix(stream), Address::Unix(path.clone())))
            }
        }
    }
}

/// Redis's choice: probes after the interval, then every third of it, and dead after three.
fn set_keepalive(stream: &mio::net::TcpStream, seconds: u64) -> io::Result<()> {
    use std::time::Duration;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds))
        .with_interval(Duration::from_secs((seconds / 3).max(1)))
        .with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.max(1))?;
    Ok(socket.into())
}
