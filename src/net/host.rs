//! What CONFIG SET changes of the network, at once and with an answer.
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use crate::base::sys;
use crate::engine::config::{Config, Opt};
use crate::engine::host::{Host, HostError};
use crate::net::listener::{ListenError, Listener};

/// Descriptors kept for what is not a client: files, listeners, the poll (`CONFIG_MIN_RESERVED_FDS`).
const RESERVED_FILES: u64 = 32;

/// Changes the loop takes over after the command.
#[derive(Default)]
pub struct Changes {
    /// The new TCP listeners; they listen already.
    pub tcp: Option<Vec<Listener>>,
    is_changed: bool,
}

impl Changes {
    /// The changes, if there are any.
    pub fn take(&mut self) -> Option<Changes> {
        self.is_changed.then(|| std::mem::take(self))
    }
}

/// The network layer, as commands reach it.
pub struct NetHost {
    changes: Arc<Mutex<Changes>>,
}

impl NetHost {
    /// Hands changes over through `changes`.
    pub fn new(changes: Arc<Mutex<Changes>>) -> NetHost {
        NetHost { changes }
    }
}

impl Host for NetHost {
    fn apply(&mut self, changed: &[Opt], config: &Config) -> Result<(), HostError> {
        let mut tcp = None;
        if let Some(&option) = changed.iter().find(|opt| matches!(opt, Opt::Port | Opt::Bind)) {
            let reason = if option == Opt::Port {
                "Unable to listen on this port. Check server logs."
            } else {
                "Failed to bind to specified addresses."
            };
            match listen_tcp(config) {
                Ok(listeners) => tcp = Some(listeners),
                Err(failure) => {
                    log::warn!("Failed listening on {}: {}", failure.place, failure.error);
                    return Err(HostError { option, reason: reason.to_owned() });
                }
            }
        }
        if changed.contains(&Opt::MaxClients) {
            let wanted = config.int(Opt::MaxClients).max(0) as u64;
            let possible = raise_open_files(wanted);
            if possible < wanted {
                let reason = format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {possible}"
                );
                return Err(HostError { option: Opt::MaxClients, reason });
            }
        }
        if let Ok(mut changes) = self.changes.lock() {
            changes.is_changed = true;
            if tcp.is_some() {
                changes.tcp = tcp;
            }
        }
        Ok(())
    }
}

/// Raises the limit of open files so that `clients` fit; says how many do.
pub fn raise_open_files(clients: u64) -> u64 {
    let wanted = clients + RESERVED_FILES;
    let Ok((soft, _)) = sys::open_files_limit() else { return clients };
    if soft >= wanted {
        return clients;
    }
    // Where all is refused, as much as possible: by halving the step, as close as 16 descriptors.
    let mut best = soft;
    let mut candidate = wanted;
    while candidate > best + 16 {
        if sys::set_open_files_limit(candidate).is_ok() {
            best = candidate;
            break;
        }
        candidate = best + (candidate - best) / 2;
    }
    best.saturating_sub(RESERVED_FILES).min(clients)
}

/// Listens at every address of `bind` and the port; none for port 0. An address marked as optional, or a kind the
/// system does not have, may fail as long as one listens.
pub fn listen_tcp(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let port = config.int(Opt::Port);
    let backlog = config.int(Opt::TcpBacklog) as i32;
    let mut listeners = Vec::new();
    if port == 0 {
        return Ok(listeners);
    }
    for bind in config.bind() {
        let text = String::from_utf8_lossy(bind.address).into_owned();
        let result =
            resolve(&text, port as u16).and_then(|address| Listener::tcp(address, backlog));
        match result {
            Ok(listener) => listeners.push(listener),
            Err(failure) if bind.optional && is_absent(&failure.error) => {
                log::info!("Not listening on {}: {}", failure.place, failure.error);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(listeners)
}

/// The address does not exist here (and the directive allows for that).
fn is_absent(error: &std::io::Error) -> bool {
    let codes = [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ENOPROTOOPT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn resolve(text: &str, port: u16) -> Result<SocketAddr, ListenError> {
    let unspecified = match text {
        "*" => Some("0.0.0.0"),
        "::*" => Some("::"),
        _ => None,
    };
    let text = unspecified.unwrap_or(text);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |error| ListenError { place: format!("{text}:{port}"), error };
    let mut found = (text, port).to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))
}
