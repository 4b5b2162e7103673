//! Where a server listens: addresses, what is spoken there, and how a program writes them.
//!
//! ```text
//! 127.0.0.1:0                RESP over TCP            msgpack://127.0.0.1:0        another dialect
//! /run/app.sock              RESP over a Unix socket  kvstore+unix:///run/kv.sock  the same
//! ```
//!
//! With `://` it is what a `listen` line of a configuration file says; without, it is the server's main address for
//! clients of Redis, as `port` and `unixsocket` are. Promise: what is malformed is refused before anything listens.
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::embed::error::Error;
use crate::engine::listen::{ListenAddress, ListenPlace};
use crate::proto::dialect::Dialect;

/// Where a server listens or a client connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => path.display().fmt(out),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Unix(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Address {
        Address::Unix(path.to_owned())
    }
}

/// An address and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What is spoken.
    pub dialect: Dialect,
    /// Where.
    pub address: Address,
}

impl fmt::Display for Endpoint {
    /// As a `listen` line says it: `msgpack://127.0.0.1:8888`, `resp+unix:///run/rufous.sock`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.address {
            Address::Tcp(_) => "",
            Address::Unix(_) => "+unix",
        };
        write!(out, "{}{kind}://{}", self.dialect.name(), self.address)
    }
}

/// An address to listen at, as the builder was given it.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Text(String),
    Typed(Endpoint),
}

/// An address to listen at, read.
pub(super) struct Request {
    pub(super) address: ListenAddress,
    /// It is one of the main addresses: no dialect was named, or RESP by type.
    pub(super) is_main: bool,
}

impl Wanted {
    /// Reads it; relative paths start from `dir`.
    pub(super) fn read(&self, dir: &Path) -> Result<Request, Error> {
        let (mut address, is_main) = match self {
            Wanted::Typed(Endpoint { dialect, address }) => {
                let place = match address {
                    Address::Tcp(address) => {
                        ListenPlace::Tcp { host: address.ip().to_string(), port: address.port() }
                    }
                    Address::Unix(path) => ListenPlace::Unix(path.clone()),
                };
                (ListenAddress { dialect: *dialect, place }, *dialect == Dialect::Resp)
            }
            Wanted::Text(text) => {
                let refused =
                    |reason: &'static str| Error::Address { address: text.clone(), reason };
                read_text(text).map_err(refused)?
            }
        };
        if let ListenPlace::Unix(path) = &mut address.place {
            if path.to_str().is_none() {
                let address = path.display().to_string();
                return Err(Error::Address { address, reason: "the path is not UTF-8" });
            }
            *path = dir.join(&*path);
        }
        Ok(Request { address, is_main })
    }
}

fn read_text(text: &str) -> Result<(ListenAddress, bool), &'static str> {
    if text.contains("://") {
        return ListenAddress::read(text).map(|address| (address, false));
    }
    let place = if text.contains('/') {
        ListenPlace::Unix(text.strip_prefix("unix:").unwrap_or(text).into())
    } else {
        ListenPlace::tcp(text)?
    };
    Ok((ListenAddress { dialect: Dialect::Resp, place }, true))
}
