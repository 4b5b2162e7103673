//! What CONFIG SET changes of the network, at once and with an answer.
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::{Registry, Token};

use crate::base::oom_score::{OomScore, Wanted};
use crate::base::sys::{self, Forked, TitleArea};
use crate::engine::config::{Config, Opt};
use crate::engine::config_choice::OomScoreAdj;
use crate::engine::config_value::os_reason;
use crate::engine::host::{Host, HostError, Line, Side};
use crate::engine::listen::{ListenAddress, ListenPlace};
use crate::engine::process_title;
use crate::net::debug_line::{Children, Debugging, SocketLine};
use crate::net::listener::{ListenError, Listener};

/// Token of every listener.
pub const LISTENER_TOKEN: Token = Token(usize::MAX - 1);

/// Descriptors kept for what is not a client: files, listeners, the poll (`CONFIG_MIN_RESERVED_FDS`).
const RESERVED_FILES: u64 = 32;

/// The listening sockets, shared by the loop, which accepts, and by CONFIG SET, which replaces them.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    list: Arc<Mutex<Vec<Listener>>>,
}

impl Listeners {
    /// The list. Nobody waits for the lock: all happens on one thread.
    pub fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener and watches it. All have one token: which of them has arrivals is found by accepting.
    pub fn add(&self, mut listener: Listener, registry: &Registry) -> io::Result<()> {
        listener.register(registry, LISTENER_TOKEN)?;
        self.lock().push(listener);
        Ok(())
    }

    /// Replaces the TCP listeners by those `config` asks for. The old ones are closed before, since an address may
    /// overlap one of the new (`127.0.0.1` and `*`); where a new one fails they are opened again.
    fn replace_tcp(&self, config: &Config, registry: &Registry) -> Result<(), ListenError> {
        let is_replaced = |listener: &Listener| !listener.is_door() && listener.address().is_some();
        let old: Vec<SocketAddr> =
            self.lock().iter().filter(|l| is_replaced(l)).filter_map(Listener::address).collect();
        // Closing takes them out of the poll.
        self.lock().retain(|listener| !is_replaced(listener));
        let add = |listener: Listener| {
            let place = listener.place();
            self.add(listener, registry).map_err(|error| ListenError { place, error })
        };
        let result = listen_tcp(config).and_then(|new| new.into_iter().try_for_each(add));
        if result.is_err() {
            self.lock().retain(|listener| !is_replaced(listener));
            let backlog = config.int(Opt::TcpBacklog) as i32;
            for address in old {
                if let Err(failure) = Listener::tcp(address, backlog).and_then(add) {
                    log::warn!("Failed listening again on {}: {}", failure.place, failure.error);
                }
            }
        }
        result
    }
}

/// The network layer, as commands reach it.
pub struct NetHost {
    listeners: Listeners,
    registry: Registry,
    is_changed: Arc<AtomicBool>,
    oom_score: OomScore,
    debugging: Arc<Debugging>,
    children: Children,
    title: SharedTitle,
}

/// The title of the process, where the program lets it be changed: set at the start and by CONFIG SET.
#[derive(Clone, Debug, Default)]
pub struct SharedTitle {
    shown: Arc<Mutex<Option<ShownTitle>>>,
}

#[derive(Debug)]
struct ShownTitle {
    area: TitleArea,
    program: Vec<u8>,
}

impl SharedTitle {
    /// Lets the title be changed from now on; `program` is the name as which the process was started.
    pub fn begin(&self, area: TitleArea, program: Vec<u8>, config: &Config) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(ShownTitle { area, program });
        self.show(config);
    }

    fn show(&self, config: &Config) {
        if let Some(shown) = &mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner) {
            shown.area.set(&process_title::of(config, &shown.program));
        }
    }
}

impl NetHost {
    /// Replaces `listeners` in the poll of `registry`; sets `is_changed` after any change, for the loop to notice.
    pub fn new(
        listeners: Listeners,
        registry: Registry,
        is_changed: Arc<AtomicBool>,
        debugging: Arc<Debugging>,
        title: SharedTitle,
    ) -> NetHost {
        let (oom_score, children) = (OomScore::default(), Children::default());
        NetHost { listeners, registry, is_changed, oom_score, debugging, children, title }
    }

    /// Sets the process's score as `oom-score-adj` and `oom-score-adj-values` say.
    pub fn apply_oom_score(&mut self, config: &Config) -> Result<(), HostError> {
        let [score, ..] = config.oom_scores();
        self.set_oom_score(config, score)
    }

    fn set_oom_score(&mut self, config: &Config, score: i32) -> Result<(), HostError> {
        let wanted = match config.oom_score_adj() {
            OomScoreAdj::No => Wanted::Untouched,
            OomScoreAdj::Relative => Wanted::Relative(score),
            OomScoreAdj::Absolute => Wanted::Absolute(score),
        };
        self.oom_score.set(wanted).map_err(|error| {
            log::warn!("Unable to write oom_score_adj: {error}");
            HostError {
                option: Opt::OomScoreAdj,
                reason: "Failed to apply new oom_score_adj configuration, check server logs."
                    .to_owned(),
            }
        })
    }
}

impl Host for NetHost {
    fn apply(&mut self, changed: &[Opt], config: &Config) -> Result<(), HostError> {
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
        if let Some(&option) =
            changed.iter().find(|opt| matches!(opt, Opt::OomScoreAdj | Opt::OomScoreAdjValues))
        {
            let result = self.apply_oom_score(config);
            result.map_err(|error| HostError { option, ..error })?;
        }
        if let Some(&option) = changed.iter().find(|opt| matches!(opt, Opt::Port | Opt::Bind)) {
            let reason = if option == Opt::Port {
                "Unable to listen on this port. Check server logs."
            } else {
                "Failed to bind to specified addresses."
            };
            if let Err(failure) = self.listeners.replace_tcp(config, &self.registry) {
                log::warn!("Failed listening on {}: {}", failure.place, failure.error);
                return Err(HostError { option, reason: reason.to_owned() });
            }
        }
        if changed.iter().any(|option| process_title::SHOWN.contains(option)) {
            self.title.show(config);
        }
        self.is_changed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn may_fork(&self) -> bool {
        self.debugging.is_forking_allowed.load(Ordering::Relaxed)
    }

    fn fork(&mut self, client_fd: i32, config: &Config) -> Result<Side, String> {
        if !self.children.has_room() {
            return Err("too many scripts are debugged".into());
        }
        match sys::fork() {
            Err(error) => Err(os_reason(&error)),
            Ok(Forked::Parent(pid)) => {
                self.children.add(pid);
                Ok(Side::Parent)
            }
            Ok(Forked::Child) => {
                sys::ignore_end_signals();
                // The siblings are the parent's to end.
                self.children = Children::default();
                sys::close_sockets_but(client_fd);
                let [.., score] = config.oom_scores();
                let _ = self.set_oom_score(config, score);
                Ok(Side::Child)
            }
        }
    }

    fn reap(&mut self) {
        self.children.reap();
    }

    fn end_children(&mut self) {
        self.children.end();
    }

    fn open_line(&self, client_fd: i32) -> Result<Box<dyn Line>, String> {
        let line = SocketLine::open(client_fd, self.debugging.clone());
        line.map(|line| Box::new(line) as _).map_err(|error| os_reason(&error))
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

/// Opens the `listen` lines, all or none.
pub fn listen_doors(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let open =
        |address: ListenAddress| Ok(listen_at(&address.place, config)?.door(address.dialect));
    config.listen().map(open).collect()
}

/// Listens for clients of RESP at one place, with the options that sockets of its kind have.
pub fn listen_at(place: &ListenPlace, config: &Config) -> Result<Listener, ListenError> {
    match place {
        ListenPlace::Tcp { host, port } => {
            Listener::tcp(resolve(host, *port)?, config.int(Opt::TcpBacklog) as i32)
        }
        ListenPlace::Unix(path) => {
            Listener::unix(path, config.int(Opt::UnixSocketPerm).max(0) as u32)
        }
    }
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
