//! A network in memory, for simulations (`tests/sim`): the loop's own code, without sockets, threads or sleep.
//!
//! ```text
//! SimulatedPeer ── send ──▶ on the way ── deliver ──▶ arrived ──▶ read ┐
//!   (driver)                                                           │ SimulatedSocket, in `Transport`
//!                 ◀── receive ── outgoing, bounded ◀────────── write ──┘
//! ```
//!
//! The driver decides when bytes arrive, when the client reads, when an event is told and when a turn happens. What it
//! cannot do is what a system never does: a read gives all that has arrived, a write takes all there is room for, and
//! events are edges (epoll(7)): bytes or an end that arrived, room after a write found too little.
//!
//! Promise: with a simulated clock and a seed, the same calls have the same results, byte for byte.
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use crate::dialect::Dialect;
use crate::engine::engine::Engine;
use crate::engine::session::Address;
use crate::net::reactor::Reactor;
use crate::net::transport::{Readiness, Transport};

/// Room for bytes that arrived and were not read, and for bytes written and not received, until the driver says other.
const ROOM_BYTES: usize = 64 * 1024;

/// The client's end of a connection, in the driver's hand.
#[derive(Debug)]
pub struct SimulatedPeer {
    pipe: Arc<Mutex<Pipe>>,
}

/// The server's end.
#[derive(Debug)]
pub struct SimulatedSocket {
    pipe: Arc<Mutex<Pipe>>,
}

/// What the client has done with its sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerEnd {
    Open,
    /// It has closed it; the end arrives after the last byte.
    Closing,
    /// The end has arrived.
    Closed,
    /// It broke the connection off.
    Reset,
}

#[derive(Debug)]
struct Pipe {
    on_the_way: VecDeque<u8>,
    arrived: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    /// The last so many of `outgoing` were never looked at.
    unseen: usize,
    /// Most bytes in `arrived`.
    inbound_room: usize,
    /// Most bytes in `outgoing`.
    outbound_room: usize,
    peer: PeerEnd,
    is_server_closed: bool,
    /// A write found too little room: more of it will be an event.
    is_starved: bool,
    /// Something has happened that an event has not told of yet.
    has_edge: bool,
    token: Option<Token>,
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedPeer {
    /// Puts bytes on the way to the server.
    pub fn send(&self, bytes: &[u8]) {
        let mut pipe = lock(&self.pipe);
        if pipe.peer == PeerEnd::Open {
            pipe.on_the_way.extend(bytes);
        }
    }

    /// Lets at most `count` bytes arrive, as far as the server's buffer has room, and the end behind the last of them;
    /// how many bytes arrived.
    pub fn deliver(&self, count: usize) -> usize {
        let mut pipe = lock(&self.pipe);
        let pipe = &mut *pipe;
        let room = pipe.inbound_room.saturating_sub(pipe.arrived.len());
        let count = count.min(room).min(pipe.on_the_way.len());
        if pipe.is_server_closed {
            pipe.on_the_way.clear();
            return 0;
        }
        pipe.arrived.extend(pipe.on_the_way.drain(..count));
        let is_at_end = pipe.peer == PeerEnd::Closing && pipe.on_the_way.is_empty();
        if is_at_end {
            pipe.peer = PeerEnd::Closed;
        }
        pipe.has_edge |= count > 0 || is_at_end;
        count
    }

    /// Bytes that were sent and have not arrived.
    pub fn on_the_way(&self) -> usize {
        lock(&self.pipe).on_the_way.len()
    }

    /// Takes at most `count` bytes of what the server has written.
    pub fn receive(&self, count: usize) -> Vec<u8> {
        let mut pipe = lock(&self.pipe);
        let count = count.min(pipe.outgoing.len());
        let bytes: Vec<u8> = pipe.outgoing.drain(..count).collect();
        pipe.tell_of_room();
        bytes
    }

    /// Bytes the server has written and the client not received.
    pub fn receivable(&self) -> usize {
        lock(&self.pipe).outgoing.len()
    }

    /// What the server has written since the last look, without receiving it.
    pub fn look(&self) -> Vec<u8> {
        let mut pipe = lock(&self.pipe);
        let fresh = std::mem::take(&mut pipe.unseen).min(pipe.outgoing.len());
        pipe.outgoing.range(pipe.outgoing.len() - fresh..).copied().collect()
    }

    /// Whether the server has closed the connection; what it wrote before can still be received.
    pub fn is_closed_by_server(&self) -> bool {
        lock(&self.pipe).is_server_closed
    }

    /// Sets how many bytes may wait unread on either side. What waits already stays.
    pub fn set_room(&self, inbound_bytes: usize, outbound_bytes: usize) {
        let mut pipe = lock(&self.pipe);
        (pipe.inbound_room, pipe.outbound_room) = (inbound_bytes.max(1), outbound_bytes.max(1));
        pipe.tell_of_room();
    }

    /// Closes the sending half: the end arrives behind what is on the way.
    pub fn shut_down(&self) {
        let mut pipe = lock(&self.pipe);
        if pipe.peer == PeerEnd::Open {
            pipe.peer = PeerEnd::Closing;
        }
    }

    /// Breaks the connection off: what is on the way and what waits to be received is lost.
    pub fn abort(&self) {
        let mut pipe = lock(&self.pipe);
        pipe.peer = PeerEnd::Reset;
        pipe.on_the_way.clear();
        pipe.outgoing.clear();
        pipe.has_edge = true;
    }

    /// The event a poll would tell of now, at most once for each edge.
    pub fn take_event(&self) -> Option<SimulatedEvent> {
        let mut pipe = lock(&self.pipe);
        let token = pipe.token?;
        if !std::mem::take(&mut pipe.has_edge) || pipe.is_server_closed {
            return None;
        }
        let is_reset = pipe.peer == PeerEnd::Reset;
        let is_hung_up = is_reset || pipe.peer == PeerEnd::Closed;
        let is_writable = is_reset || pipe.outgoing.len() < pipe.outbound_room;
        let is_readable = is_hung_up || !pipe.arrived.is_empty();
        // Who was told that there is no room is told once there is, as a poll does.
        pipe.is_starved |= !is_writable;
        let readiness = Readiness { is_readable, is_hung_up, is_writable };
        Some(SimulatedEvent { token, readiness })
    }

    /// Whether [`SimulatedPeer::take_event`] has something to tell.
    pub fn has_event(&self) -> bool {
        let pipe = lock(&self.pipe);
        pipe.has_edge && !pipe.is_server_closed
    }
}

impl Pipe {
    /// Room after a write found too little is an edge; of a socket a third of its buffer has to be free.
    fn tell_of_room(&mut self) {
        let free = self.outbound_room.saturating_sub(self.outgoing.len());
        if self.is_starved && free > 0 && free * 3 >= self.outbound_room {
            self.is_starved = false;
            self.has_edge = true;
        }
    }
}

impl SimulatedSocket {
    /// Reads what has arrived, as `read(2)` of a socket that does not block.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut pipe = lock(&self.pipe);
        if pipe.peer == PeerEnd::Reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if pipe.arrived.is_empty() {
            return if pipe.peer == PeerEnd::Closed {
                Ok(0)
            } else {
                Err(ErrorKind::WouldBlock.into())
            };
        }
        let count = into.len().min(pipe.arrived.len());
        for (place, byte) in into.iter_mut().zip(pipe.arrived.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    /// As [`SimulatedSocket::read`], behind the end of `into` and within its capacity.
    pub fn read_to_spare(&self, into: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        let start = into.len();
        let end = start + limit.min(into.capacity() - start);
        into.resize(end, 0);
        let result = self.read(&mut into[start..]);
        into.truncate(start + result.as_ref().unwrap_or(&0));
        result
    }

    /// Writes what there is room for, as `write(2)` of a socket that does not block.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = lock(&self.pipe);
        if pipe.peer == PeerEnd::Reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(pipe.outbound_room.saturating_sub(pipe.outgoing.len()));
        pipe.outgoing.extend(&bytes[..count]);
        pipe.unseen += count;
        if count < bytes.len() {
            pipe.is_starved = true;
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        Ok(count)
    }

    /// As [`SimulatedSocket::write`], of several parts.
    pub fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.write(&all)
    }
}

impl Drop for SimulatedSocket {
    fn drop(&mut self) {
        lock(&self.pipe).is_server_closed = true;
    }
}

impl Source for SimulatedSocket {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        lock(&self.pipe).token = Some(token);
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        lock(&self.pipe).token = Some(token);
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        lock(&self.pipe).token = None;
        Ok(())
    }
}

/// What the poll would have told of one connection.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedEvent {
    token: Token,
    readiness: Readiness,
}

/// What a loop holds beside its data: all zero once all clients are gone and all work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Open connections.
    pub connections: usize,
    /// Clients the engine knows.
    pub clients: usize,
    /// Connections in a queue of the loop, and requests in its batch.
    pub queued: usize,
    /// Connections that wait for a pause to end.
    pub waiting: usize,
    /// Jobs under way, and clients that wait for a key.
    pub jobs: usize,
    /// Clients that wait for keys to bring something, and keys that have.
    pub blocked: usize,
    /// Keys that somebody holds.
    pub held: usize,
    /// Bytes received and not run, or answered and not sent.
    pub buffered_bytes: usize,
}

impl Reactor {
    /// A client connects from this port. It may be refused: then its end of the stream says so.
    pub fn connect_simulated(&mut self, dialect: Dialect, port: u16) -> SimulatedPeer {
        let pipe = Arc::new(Mutex::new(Pipe {
            on_the_way: VecDeque::new(),
            arrived: VecDeque::new(),
            outgoing: VecDeque::new(),
            unseen: 0,
            inbound_room: ROOM_BYTES,
            outbound_room: ROOM_BYTES,
            peer: PeerEnd::Open,
            is_server_closed: false,
            is_starved: false,
            has_edge: false,
            token: None,
        }));
        let socket = SimulatedSocket { pipe: pipe.clone() };
        let end = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let address = Address::tcp(end(port), end(0));
        self.arrive(Transport::Simulated(socket), address, dialect);
        SimulatedPeer { pipe }
    }

    /// One turn in which the poll has told of these events.
    pub fn simulate_turn(&mut self, events: &[SimulatedEvent]) {
        self.serve(|reactor| {
            for event in events {
                reactor.take_event(event.token.0, event.readiness);
            }
        });
    }

    /// How long the loop would wait now if nothing happened: not at all while it has work.
    pub fn simulated_wait(&self) -> Duration {
        if self.has_work() {
            return Duration::ZERO;
        }
        let clock = &self.engine.shared.clock;
        let until_expiry = self.next_due_ms().map(|due_ms| {
            Duration::from_millis(due_ms.saturating_sub(clock.unix_ms()).max(0) as u64)
        });
        let until_tick = self.timers.until_next(clock);
        until_expiry.map_or(until_tick, |until_expiry| until_expiry.min(until_tick))
    }

    /// Whether SHUTDOWN has ended the loop.
    pub fn is_shut_down(&self) -> bool {
        self.shutdown.is_some()
    }

    /// The engine, to look at between turns.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What it holds beside its data.
    pub fn leftovers(&self) -> Leftovers {
        let buffered = |(_, conn): (_, &super::conn::Conn)| conn.query_bytes() + conn.output.len();
        Leftovers {
            connections: self.conns.len(),
            clients: self.engine.shared.clients.len(),
            queued: self.ready.len()
                + self.dirty.len()
                + self.unsent.len()
                + self.consumed.len()
                + self.batch.entries.len()
                + self.batch.waited.len(),
            waiting: self.paused.len(),
            jobs: self.engine.shared.jobs.len() + self.engine.shared.jobs.clients_waiting(),
            blocked: self.engine.shared.blocking.len() + self.engine.shared.blocking.ready_len(),
            held: self.engine.dbs.iter().map(|db| db.holds.len()).sum(),
            buffered_bytes: self.conns.iter().map(buffered).sum(),
        }
    }
}
