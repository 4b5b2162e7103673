//! The event loop: one thread, one poll, one turn after the other.
//!
//! A turn is a row of phases, each bounded: `Reactor::turn`. Everything a turn reads goes to one arena, is parsed
//! into one batch, runs, and only then are replies sent, one system call per connection.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::base::sys::TitleArea;
use crate::dialect::{self, Dialect};
use crate::engine::background::Work;
use crate::engine::client_line;
use crate::engine::config::Opt;
use crate::engine::config_choice::LogLevel;
use crate::engine::engine::Engine;
use crate::engine::outbox::Shutdown;
use crate::engine::session::{Address, Session};
use crate::engine::stalls::Phase;
use crate::net::batch::{Batch, Current, SHARE_NANOS};
use crate::net::conn::Conn;
use crate::net::debug_line::Debugging;
use crate::net::deliver::Letters;
use crate::net::host::{LISTENER_TOKEN, Listeners, NetHost, SharedTitle};
use crate::net::listener::Listener;
use crate::net::remote::{Connector, REMOTE_TOKEN};
use crate::net::timers::Timers;
use crate::net::transport::{Readiness, Transport};
use crate::proto::limits::BUFFER_BYTES_MAX;
use crate::proto::reply::Output;

/// Room for what one turn reads.
const ARENA_BYTES: usize = 1 << 20;
/// Most that one connection reads into it.
pub(super) const READ_BYTES_MAX: usize = 64 * 1024;
/// Connections read, run and answered together. Measured with 50 clients that wait for each reply.
const SHARE_CONNECTIONS: usize = 8;
/// Events taken from the system at once.
const EVENTS_MAX: usize = 1024;
/// Arrivals accepted in one turn.
const ACCEPTS_MAX: usize = 1000;
/// Pause after the system ran out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Kinds of background work that share a turn's slice.
const BACKGROUND_KINDS: usize = 3;
const SIGNAL_TOKEN: usize = usize::MAX;
const ALARM_TOKEN: usize = usize::MAX - 2;
const STOP_TOKEN: usize = usize::MAX - 3;

/// The event loop and all it owns.
pub struct Reactor {
    pub(super) engine: Engine,
    pub(super) poll: Poll,
    listeners: Listeners,
    pub(super) conns: Slab<Conn>,
    /// Connections that may have something to read, or requests that waited.
    pub(super) ready: VecDeque<usize>,
    /// Connections to flush at the end of the turn.
    pub(super) dirty: Vec<usize>,
    /// Connections whose output was cut at the bound of a turn.
    pub(super) unsent: Vec<usize>,
    /// Connections whose requests wait for a pause to end.
    pub(super) paused: Vec<usize>,
    /// Connections whose partial buffers hold executed requests.
    pub(super) consumed: Vec<usize>,
    /// What the turn has received.
    pub(super) arena: Vec<u8>,
    /// Bytes of the arena in use.
    pub(super) arena_used: usize,
    pub(super) batch: Batch,
    /// Published messages going out.
    pub(super) letters: Letters,
    /// The connection whose requests run.
    pub(super) current: Option<Current>,
    /// Buffers for outputs.
    pub(super) output_pool: Vec<Output>,
    /// Counts connections: tells those with the same key apart.
    generation: u32,
    /// Listeners that may have more arrivals, and whether to wait before asking (EMFILE).
    arrivals: Arrivals,
    pub(super) timers: Timers,
    /// `client-query-buffer-limit`
    pub(super) query_bytes_max: usize,
    /// `proto-max-bulk-len`
    pub(super) bulk_bytes_max: i64,
    busy_poll: Duration,
    slice_us: u64,
    /// When the log last spoke of HTTP, by `Clock::monotonic`.
    pub(super) attack_logged_at: Option<Duration>,
    /// Time of one connection in one turn.
    pub(super) share_ticks: u64,
    background: Work,
    /// Whether keys are due that the last slice of expiry did not come to.
    expiry: Work,
    /// The kind of background work that comes first in the next turn.
    background_first: usize,
    pub(super) shutdown: Option<Shutdown>,
    signals: Option<Signals>,
    /// Carries out `loglevel`, where the program has a logger of its own.
    set_log_level: Option<fn(LogLevel)>,
    title: SharedTitle,
    /// CONFIG SET changed something of the network.
    is_changed: Arc<AtomicBool>,
    pub(super) debugging: Arc<Debugging>,
}

#[derive(Default)]
struct Arrivals {
    is_pending: bool,
    /// By `Clock::monotonic`.
    resume_at: Option<Duration>,
    is_logged: bool,
}

impl Reactor {
    /// A loop for this engine, listening at these places.
    pub fn new(engine: Engine, listeners: Vec<Listener>) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let is_changed = Arc::new(AtomicBool::new(false));
        let mut reactor = Reactor {
            engine,
            poll,
            listeners: Listeners::default(),
            conns: Slab::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            unsent: Vec::new(),
            paused: Vec::new(),
            consumed: Vec::new(),
            arena: vec![0; ARENA_BYTES],
            arena_used: 0,
            batch: Batch::default(),
            letters: Letters::default(),
            current: None,
            output_pool: Vec::new(),
            generation: 0,
            arrivals: Arrivals::default(),
            timers: Timers::default(),
            query_bytes_max: 0,
            bulk_bytes_max: 0,
            busy_poll: Duration::ZERO,
            slice_us: 0,
            share_ticks: 0,
            attack_logged_at: None,
            background: Work::Done,
            expiry: Work::Done,
            background_first: 0,
            shutdown: None,
            signals: None,
            set_log_level: None,
            title: SharedTitle::default(),
            is_changed: is_changed.clone(),
            debugging: Arc::default(),
        };
        let registry = reactor.poll.registry().try_clone()?;
        for listener in listeners {
            reactor.listeners.add(listener, &registry)?;
        }
        let connector = Connector::new(Some(registry.try_clone()?));
        reactor.engine.shared.remotes.connector = Some(Box::new(connector));
        let mut host = NetHost::new(
            reactor.listeners.clone(),
            registry,
            is_changed,
            reactor.debugging.clone(),
            reactor.title.clone(),
        );
        // Not worth refusing to start: the reason is logged.
        let _ = host.apply_oom_score(&reactor.engine.shared.config);
        reactor.engine.shared.host = Some(Box::new(host));
        reactor.timers.register(reactor.poll.registry(), Token(ALARM_TOKEN))?;
        reactor.read_config();
        // What the loop itself takes belongs to the server, not to the data.
        reactor.engine.shared.startup_memory_bytes = reactor.engine.used_memory();
        reactor.share_ticks = reactor.engine.shared.clock.ticks_of(SHARE_NANOS);
        Ok(reactor)
    }

    /// Ends the loop cleanly on SIGINT and SIGTERM.
    pub fn handle_signals(&mut self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let interest = mio::Interest::READABLE;
        self.poll.registry().register(&mut signals, Token(SIGNAL_TOKEN), interest)?;
        self.signals = Some(signals);
        for signal in [SIGINT, SIGTERM] {
            // A debugged script, for which the loop stands still, hears of it, too.
            signal_hook::flag::register(signal, self.debugging.is_stopping.clone())?;
        }
        Ok(())
    }

    /// Lets debugged scripts run in processes of their own: the program is the server and nothing else.
    pub fn allow_forks(&self) {
        self.debugging.is_forking_allowed.store(true, Ordering::Relaxed);
    }

    /// What to set before the loop is told to end by [`Reactor::stopper`]: a debugged script may hold it.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.debugging.is_stopping.clone()
    }

    /// Ends the loop from another thread, once it is woken. To be called once.
    pub fn stopper(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), Token(STOP_TOKEN))
    }

    /// Has `set` carry out CONFIG SET loglevel.
    pub fn on_log_level(&mut self, set: fn(LogLevel)) {
        self.set_log_level = Some(set);
    }

    /// Has the process shown under a title that follows the configuration; `program` is the name as which it was
    /// started.
    pub fn show_title(&mut self, area: TitleArea, program: Vec<u8>) {
        self.title.begin(area, program, &self.engine.shared.config);
    }

    /// Where the server listens.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Runs until SHUTDOWN or a signal.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while self.shutdown.is_none() {
            self.turn(&mut events)?;
        }
        self.leave();
        Ok(())
    }

    /// One turn: wait, then each phase once.
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        self.wait(events)?;
        self.serve(|reactor| reactor.take_events(events));
        self.carry_out_signals();
        Ok(())
    }

    /// The phases of a turn after the wait; `take_events` says what the wait has brought. Those which find nothing to
    /// do most of the time (accept, background work) end themselves where they did something.
    pub(super) fn serve(&mut self, take_events: impl FnOnce(&mut Reactor)) {
        self.engine.begin_turn();
        self.begin_letters();
        take_events(self);
        for key in std::mem::take(&mut self.unsent) {
            self.mark_dirty(key);
        }
        self.count_waiting();
        self.end_phase(Phase::Events);
        self.accept_pending();
        // Those ready now, a share at a time: while the later ones run, the first replies are on their
        // way and their clients at work. Who becomes ready meanwhile waits for the next turn.
        let mut left = self.ready.len();
        while left > 0 {
            left -= self.read_ready(left.min(SHARE_CONNECTIONS));
            self.end_phase(Phase::Read);
            self.execute_batch();
            self.arena_used = 0;
            self.end_phase(Phase::Execute);
            self.flush_dirty();
            self.end_phase(Phase::Flush);
        }
        self.end_waits();
        self.run_timers();
        self.end_phase(Phase::Timers);
        self.run_background();
        if self.engine.shared.tracking.is_broadcast_due() {
            self.engine.shared.broadcast();
            self.carry_out();
        }
        if self.has_letters() {
            self.deliver_slice(self.slice_us);
        }
        if self.has_late() {
            self.flush_late(self.slice_us);
        }
        // What timers have closed or cut, and what goes on where the last turn's bound stopped it.
        if !self.dirty.is_empty() {
            self.flush_dirty();
            self.end_phase(Phase::Flush);
        }
        if self.engine.shared.clients.memory.is_over() {
            self.evict_clients();
            self.end_phase(Phase::Flush);
        }
        self.engine.shared.end_turn();
    }

    /// Whether something is left that no event will tell of, so that the next turn must not wait.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.unsent.is_empty()
            || self.has_letters()
            || self.has_late()
            || self.background == Work::Left
            || self.expiry == Work::Left
            || self.engine.has_work_for_jobs()
            || self.engine.shared.is_wait_due()
            || self.engine.shared.clients.memory.is_cut_short()
            || (self.arrivals.is_pending && self.arrivals.resume_at.is_none())
    }

    /// Waits for events, at most until the next timer.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        // After a turn that took too long, only those who sent something meanwhile are counted as waiting.
        if self.has_work() || self.engine.shared.stalls.is_open() {
            return self.poll_once(events, Some(Duration::ZERO));
        }
        let clock = &self.engine.shared.clock;
        self.timers.expect_expiry(self.next_due_ms(), clock);
        let timeout = self.timers.poll_timeout(clock);
        if !self.busy_poll.is_zero() {
            let until = self.engine.shared.clock.monotonic() + self.busy_poll;
            loop {
                self.poll_once(events, Some(Duration::ZERO))?;
                if !events.is_empty() || self.engine.shared.clock.monotonic() >= until {
                    break;
                }
            }
            if !events.is_empty() {
                return Ok(());
            }
        }
        self.poll_once(events, timeout)
    }

    /// When a key expires or a client's wait is over, whichever comes first, in milliseconds since 1970.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        let expiry = self.engine.next_expiry_ms();
        let deadline = self.engine.shared.blocking.next_deadline_ms();
        expiry.into_iter().chain(deadline).min()
    }

    fn poll_once(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn take_events(&mut self, events: &Events) {
        for event in events.iter() {
            let token = event.token().0;
            match token {
                SIGNAL_TOKEN => {
                    self.take_signals();
                    continue;
                }
                STOP_TOKEN => {
                    self.shutdown = Some(Shutdown { is_forced: true });
                    continue;
                }
                ALARM_TOKEN => {
                    self.timers.ring();
                    continue;
                }
                _ => {}
            }
            if token == REMOTE_TOKEN.0 {
                self.engine.shared.jobs.wake_away(None);
                continue;
            }
            if token == LISTENER_TOKEN.0 {
                self.arrivals.is_pending = true;
                continue;
            }
            self.take_event(
                token,
                Readiness {
                    is_readable: event.is_readable(),
                    is_hung_up: event.is_read_closed() || event.is_error(),
                    is_writable: event.is_writable(),
                },
            );
        }
    }

    /// The poll tells of a connection.
    #[inline]
    pub(super) fn take_event(&mut self, token: usize, readiness: Readiness) {
        let (key, generation) = (token & 0xffff_ffff, (token >> 32) as u32);
        // An event of a connection closed earlier in this turn must not reach its successor.
        let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.generation == generation)
        else {
            return;
        };
        if readiness.is_readable || readiness.is_hung_up {
            conn.is_readable = true;
            conn.is_hung_up |= readiness.is_hung_up;
            if !conn.is_ready {
                conn.is_ready = true;
                self.ready.push_back(key);
            }
        }
        if readiness.is_writable && !conn.is_writable {
            conn.is_writable = true;
            self.mark_dirty(key);
        }
    }

    fn take_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        for signal in signals.pending() {
            let (name, option) = match signal {
                SIGINT => ("SIGINT", Opt::ShutdownOnSigint),
                _ => ("SIGTERM", Opt::ShutdownOnSigterm),
            };
            let is_scheduled = self.engine.shared.outbox.scheduled_shutdown.is_some();
            if is_scheduled && signal == SIGINT {
                log::warn!("You insist... exiting now.");
                self.shutdown = Some(Shutdown { is_forced: true });
                return;
            }
            log::warn!("Received {name} scheduling shutdown...");
            let is_forced =
                self.engine.shared.config.show(option).windows(5).any(|w| w == b"force");
            self.engine.shared.outbox.scheduled_shutdown = Some(Shutdown { is_forced });
        }
    }

    /// Ends the loop if a signal has asked for it and nobody has prevented it.
    fn carry_out_signals(&mut self) {
        let shared = &mut self.engine.shared;
        if shared.outbox.scheduled_shutdown.is_some() && !shared.debug.is_cron_paused {
            self.shutdown = self.shutdown.or(shared.outbox.scheduled_shutdown.take());
        }
    }

    fn accept_pending(&mut self) {
        if !self.arrivals.is_pending {
            return;
        }
        if let Some(resume_at) = self.arrivals.resume_at {
            if self.engine.shared.clock.monotonic() < resume_at {
                return;
            }
            self.arrivals.resume_at = None;
        }
        self.arrivals.is_pending = false;
        self.accept_arrivals();
        self.end_phase(Phase::Accept);
    }

    fn accept_arrivals(&mut self) {
        let keepalive = self.engine.shared.config.int(Opt::TcpKeepalive).max(0) as u64;
        let mut accepted = 0;
        let listeners = self.listeners.clone();
        for listener in listeners.lock().iter() {
            loop {
                if accepted == ACCEPTS_MAX {
                    self.arrivals.is_pending = true;
                    return;
                }
                match listener.accept(keepalive) {
                    Ok((transport, address)) => {
                        accepted += 1;
                        self.arrivals.is_logged = false;
                        self.arrive(transport, address, listener.dialect());
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The client gave up before it was accepted.
                    Err(error) if is_client_gone(&error) => {}
                    Err(error) => return self.pause_accepting(&error),
                }
            }
        }
    }

    /// Out of file descriptors or memory, most likely: try again later, and say so once.
    fn pause_accepting(&mut self, error: &io::Error) {
        if !self.arrivals.is_logged {
            log::warn!("Error accepting a client connection: {error}");
            self.arrivals.is_logged = true;
        }
        self.arrivals.is_pending = true;
        let clock = &self.engine.shared.clock;
        self.arrivals.resume_at = Some(clock.monotonic() + ACCEPT_PAUSE);
        self.timers.no_later_than(ACCEPT_PAUSE, clock);
    }

    /// A new client, unless a limit refuses it.
    pub(super) fn arrive(&mut self, mut transport: Transport, address: Address, dialect: Dialect) {
        let shared = &mut self.engine.shared;
        if let Some(refusal) = refusal(shared, &address) {
            use std::io::Write;
            // Best effort, as in Redis: whoever does not get the line sees the connection close.
            let mut output = Output::default();
            dialect::refuse(dialect, refusal, &mut output);
            let _ = transport.write(&output.to_bytes());
            shared.stats.connections_rejected += 1;
            return;
        }
        shared.stats.connections_received += 1;
        match &address {
            Address::Tcp4 { .. } | Address::Tcp6(_) => log::debug!("Accepted {}", address.peer()),
            Address::Unix(path) => log::debug!("Accepted connection to {path}"),
            Address::InProcess => {}
        }
        let mut session = Session::new(address, shared.clock.unix_ms());
        session.fd = transport.fd();
        shared.admit(&mut session);
        let is_authenticated = session.is_authenticated();
        let place = self.conns.vacant_entry();
        let key = place.key();
        session.connection = key;
        let client = shared.clients.insert(session);
        self.generation = self.generation.wrapping_add(1) & 0x7fff_ffff;
        let mut conn = Conn::new(transport, self.generation, client, dialect);
        conn.is_authenticated = is_authenticated;
        let token = Token(key | (self.generation as usize) << 32);
        if let Err(error) = conn.transport.register(self.poll.registry(), token) {
            log::warn!("Error registering a client connection: {error}");
            shared.clients.remove(client);
            return;
        }
        place.insert(conn);
        // It may have sent its first request already; reading is cheaper than waiting for the event.
        self.make_ready(key);
    }

    /// Closes a connection and forgets its client.
    pub(super) fn close(&mut self, key: usize) {
        let Some(mut conn) = self.conns.try_remove(key) else { return };
        let _ = conn.transport.deregister(self.poll.registry());
        self.engine.forget_client(conn.client);
        let shared = &mut self.engine.shared;
        if log::log_enabled!(log::Level::Debug)
            && let Some(session) = shared.clients.get(conn.client)
        {
            let line = client_line::log_line(session, shared, shared.clock.unix_ms());
            let action = if conn.is_eof { "Client closed connection" } else { "Closed connection" };
            log::debug!("{action} {line}");
        }
        shared.clients.remove(conn.client);
        shared.monitors.retain(|&client| client != conn.client);
        shared.forget_listener(conn.client);
        let (requests, output) = conn.into_remains();
        requests.into_iter().for_each(|args| shared.graveyard.bury_garbage(Box::new(args)));
        shared.graveyard.bury_output(output);
    }

    /// Puts a connection in the queue of those to read.
    pub(super) fn make_ready(&mut self, key: usize) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.is_ready
        {
            conn.is_ready = true;
            self.ready.push_back(key);
        }
    }

    /// Puts a connection in the list of those to flush or close.
    pub(super) fn mark_dirty(&mut self, key: usize) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.is_dirty
        {
            conn.is_dirty = true;
            self.dirty.push(key);
        }
    }

    /// Takes over what the loop needs of the configuration.
    pub(super) fn read_config(&mut self) {
        let config = &self.engine.shared.config;
        let limit = config.size(Opt::ClientQueryBufferLimit) as usize;
        self.query_bytes_max = limit.min(BUFFER_BYTES_MAX - (1 << 20));
        self.bulk_bytes_max = config.int(Opt::ProtoMaxBulkLen);
        self.busy_poll = Duration::from_micros(config.size(Opt::BusyPollUs));
        self.slice_us = config.size(Opt::MaxStallUs);
        self.timers.set_hz(config.int(Opt::Hz));
    }

    /// Answers those whose wait for keys has lasted long enough.
    fn end_waits(&mut self) {
        if self.engine.shared.is_wait_due() {
            self.engine.shared.end_waits_due();
            self.carry_out();
        }
    }

    /// Work that no single request waits for, in one slice for all kinds of it: first come the jobs, then expiry, then
    /// what is to be freed, and who was first is last the next time.
    fn run_background(&mut self) {
        let is_tick = self.timers.take_background_due();
        let has_due = is_tick || self.expiry == Work::Left || self.engine.is_expiry_due();
        let shared = &self.engine.shared;
        let has_jobs = !shared.jobs.is_empty() || self.engine.has_work_for_jobs();
        let has_dead = is_tick
            || self.background == Work::Left
            || !shared.graveyard.is_empty()
            || shared.pubsub.is_leaving()
            || shared.blocking.is_leaving()
            || shared.watch.is_leaving()
            || shared.scripts.is_waning()
            || self.engine.shared.tracking.is_over_limit()
            || self.engine.is_evicting();
        if !(has_jobs || has_due || has_dead) {
            return;
        }
        let started = shared.clock.ticks();
        for turn in 0..BACKGROUND_KINDS {
            let clock = &self.engine.shared.clock;
            let spent_us = clock.nanos(clock.ticks().saturating_sub(started)) / 1000;
            let left_us = self.slice_us.saturating_sub(spent_us);
            let has_time = turn == 0 || left_us > 0;
            match (self.background_first + turn) % BACKGROUND_KINDS {
                0 if has_jobs => {
                    if has_time {
                        self.engine.run_jobs(left_us);
                        self.expect_remotes();
                    }
                    self.end_phase(Phase::Jobs);
                }
                1 if has_due => {
                    self.expiry = match has_time {
                        true => self.engine.expire_as_time_passes(left_us),
                        false => Work::Left,
                    };
                    self.end_phase(Phase::Expiry);
                }
                2 if has_dead => {
                    self.background = match has_time {
                        true => self.engine.background(left_us),
                        false => Work::Left,
                    };
                    self.end_phase(Phase::Background);
                }
                _ => {}
            }
        }
        self.background_first = (self.background_first + 1) % BACKGROUND_KINDS;
        if !self.engine.shared.outbox.is_empty() {
            self.carry_out();
        }
    }

    /// All since the last phase ended was `phase`.
    #[inline]
    fn end_phase(&mut self, phase: Phase) {
        self.engine.shared.end_phase(phase);
    }

    /// After a turn that took too long: who had sent something when it was over.
    fn count_waiting(&mut self) {
        if self.engine.shared.stalls.is_open() {
            self.engine.shared.close_stall(self.ready.len());
        }
    }

    /// Takes over what CONFIG SET changed.
    pub(super) fn take_changes(&mut self) {
        if self.is_changed.swap(false, Ordering::Relaxed) {
            self.read_config();
            if let Some(set_log_level) = self.set_log_level {
                set_log_level(self.engine.shared.config.log_level());
            }
        }
    }

    /// The end: replies leave, sockets close.
    fn leave(&mut self) {
        self.flush_dirty();
        if let Some(host) = &mut self.engine.shared.host {
            host.end_children();
        }
        for listener in self.listeners.lock().iter() {
            if let Some(path) = listener.path() {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Whether an arrival failed for a reason of its own (accept(2)), so that the next may succeed at once.
fn is_client_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    let is_protocol = error.raw_os_error() == Some(libc::EPROTO);
    is_protocol || matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Why a new client is refused, in Redis's words.
fn refusal(shared: &crate::engine::engine::Shared, address: &Address) -> Option<&'static str> {
    if shared.clients.len() as i64 >= shared.config.int(Opt::MaxClients) {
        return Some("ERR max number of clients reached");
    }
    let has_password = !shared.acl.default_user().needs_no_password;
    let is_protected = shared.config.flag(Opt::ProtectedMode) && !has_password;
    if is_protected && !address.is_local() {
        return Some(PROTECTED_MODE);
    }
    None
}

const PROTECTED_MODE: &str = "DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. If you want to connect from external computers to Redis you may adopt \
one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
protected-mode no' from the loopback interface by connecting to Redis from the same host the server \
is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use \
CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected \
mode by editing the Redis configuration file, and setting the protected mode option to 'no', and \
then restarting the server. 3) If you started the server manually just for testing, restart it with \
the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: \
You only need to do one of the above things in order for the server to start accepting connections \
from the outside.";
