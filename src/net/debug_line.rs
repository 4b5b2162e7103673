//! The debugger of scripts, as far as sockets and processes go.
//!
//! While a script is debugged its client is talked to by a second descriptor of the connection, waiting: past the poll,
//! which hears of nothing, and past replies that wait to be sent. The processes of forked sessions are kept by number
//! until they have ended. Cost: nothing while nobody debugs; a wait looks twice a second whether the server is to end.
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::base::sys::{self, Ready};
use crate::engine::host::{Heard, Line};
use crate::net::reactor::Reactor;

/// Debugged scripts that may have processes at a time.
const CHILDREN_MAX: usize = 100;
/// Most that is read at once, and so all that one command of the debugger is looked for in.
const READ_BYTES: usize = 1024;
/// How long a client that takes nothing is waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a wait looks whether the server is to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What debugged scripts and the loop know of each other.
#[derive(Debug, Default)]
pub struct Debugging {
    /// The program is ours alone, so that it may be forked.
    pub is_forking_allowed: AtomicBool,
    /// The server is to end.
    pub is_stopping: Arc<AtomicBool>,
}

/// A connection that is waited for.
pub struct SocketLine {
    /// Of any kind: nothing is done to it but sending and receiving.
    socket: TcpStream,
    debugging: Arc<Debugging>,
}

impl SocketLine {
    /// A line to the client of an open descriptor.
    ///
    /// # Errors
    /// It is none, or there are too many.
    pub fn open(fd: i32, debugging: Arc<Debugging>) -> std::io::Result<SocketLine> {
        Ok(SocketLine { socket: TcpStream::from(sys::duplicate(fd)?), debugging })
    }
}

impl Line for SocketLine {
    fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(0) => return,
                Ok(sent) => rest = rest.get(sent..).unwrap_or(&[]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = sys::wait_for(self.socket.as_fd(), Ready::Write, SEND_TIMEOUT);
                    if !ready.unwrap_or(false) {
                        return;
                    }
                }
                // The next look at what it says will find that it has gone.
                Err(_) => return,
            }
        }
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> Heard {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Heard::Gone,
                Ok(got) => {
                    into.extend_from_slice(&buffer[..got]);
                    return Heard::Bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Heard::Gone,
            }
            if self.debugging.is_stopping.load(Ordering::Relaxed) {
                return Heard::Stop;
            }
            if sys::wait_for(self.socket.as_fd(), Ready::Read, LOOK_EVERY).is_err() {
                return Heard::Gone;
            }
        }
    }
}

/// Processes that serve one debugged client each.
#[derive(Debug, Default)]
pub struct Children {
    pids: Vec<i32>,
}

impl Children {
    /// Remembers one.
    pub fn add(&mut self, pid: i32) {
        self.pids.push(pid);
    }

    /// Whether there may be one more: clients that have a process of their own count as clients no longer, so this is
    /// what bounds them.
    pub fn has_room(&self) -> bool {
        self.pids.len() < CHILDREN_MAX
    }

    /// Forgets those that have ended.
    pub fn reap(&mut self) {
        self.pids.retain(|&pid| !sys::has_ended(pid));
    }

    /// Ends all of them.
    pub fn end(&mut self) {
        for pid in self.pids.drain(..) {
            log::warn!("Killing debugging session {pid}");
            sys::kill_child(pid);
        }
    }
}

impl Reactor {
    /// The end of a child, once its client has all that was for him. It never goes back to the poll, which is its
    /// parent's.
    #[cold]
    pub(super) fn take_leave(&mut self, client: usize) -> ! {
        let current = self.current.take();
        let mut conns = self.conns.iter_mut();
        if let Some((key, conn)) = conns.find(|(_, conn)| conn.client == client) {
            if let Some(current) = current.filter(|current| current.conn == key) {
                conn.output = current.output;
            }
            if let Ok(mut line) = SocketLine::open(conn.transport.fd(), self.debugging.clone()) {
                line.send(&conn.output.to_bytes());
            }
        }
        log::warn!("The debugged script is over, its process ends");
        sys::exit_now(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_bounded() {
        let mut children = Children::default();
        for _ in 0..CHILDREN_MAX {
            assert!(children.has_room());
            children.add(0);
        }
        assert!(!children.has_room());
    }
}
