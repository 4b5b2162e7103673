//! `maxmemory-clients`: closing the largest clients when all together hold too much.
//!
//! What each holds is noted where it changes: when something of it was read, after each of its commands (while there is
//! a limit), after each slice of its job, and when its replies have left. Before each command and at the end of each
//! turn the total is compared with the limit. As in Redis the client whose command is next may be the one to go.
//!
//! Promise: nothing here looks at all clients, and a turn closes a bounded number. Cost without a limit: a branch per
//! command; with one, some 20 additions more.
use crate::engine::client_line;
use crate::engine::session::IoFigures;
use crate::net::flush::{note_input, note_output};
use crate::net::reactor::Reactor;

impl Reactor {
    /// Closes clients until the others hold less than the limit, there is nobody left to close, or the turn's bound is
    /// reached.
    #[cold]
    pub(super) fn evict_clients(&mut self) {
        while let Some(slot) = self.engine.shared.clients.memory.next_victim() {
            self.evict_client(slot);
        }
        if !self.engine.shared.outbox.is_empty() {
            // Who waited behind one of them goes on.
            self.carry_out();
        }
    }

    fn evict_client(&mut self, slot: usize) {
        let current = self.current.as_ref().and_then(|current| self.conns.get(current.conn));
        if current.is_some_and(|conn| conn.client == slot) {
            self.leave_connection();
        }
        let shared = &mut self.engine.shared;
        // Whatever happens, it is not chosen again.
        shared.clients.memory.remove(slot);
        let Some(session) = shared.clients.get(slot) else { return };
        let line = client_line::log_line(session, shared, shared.clock.unix_ms());
        log::info!("Evicting client: {line}");
        shared.stats.evicted_clients += 1;
        let key = session.connection;
        self.close(key);
    }

    /// What the client whose command has just run holds now. Only while there is a limit; otherwise the end of the turn
    /// is early enough.
    #[cold]
    pub(super) fn note_current(&mut self) {
        let Some(current) = self.current.as_mut() else { return };
        let Some(conn) = self.conns.get(current.conn) else { return };
        let clients = &mut self.engine.shared.clients;
        if conn.is_dead || current.session.is_killed {
            // Its end is certain: nobody else is to be closed for what it holds.
            return clients.memory.remove(conn.client);
        }
        if current.is_postponing {
            // What is postponed grows with each of its requests, and is counted at the end.
            return;
        }
        let mut figures = IoFigures::default();
        note_input(conn, &mut figures);
        note_output(&current.output, &mut figures);
        clients.note_io_of(conn.client, &mut current.session, figures);
    }
}
