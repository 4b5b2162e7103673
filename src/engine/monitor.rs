//! The feed of MONITOR: a line for every command, to every client that asked for it.
//!
//! ```text
//! +1700000000.123456 [0 127.0.0.1:51326] "set" "key" "value"
//! ```
//!
//! In the place of the client stands `unix:PATH` for one of a Unix socket, and `lua` for what a script calls. The
//! line is encoded once and shared. Promise: secrets are not in it. Cost: nothing while nobody monitors; else the
//! size of the command, so a monitored server is a slower one.
use std::io::Write;
use std::sync::Arc;

use crate::base::quote::quote_into;
use crate::engine::engine::Shared;
use crate::engine::redact::{REDACTED, is_secret};
use crate::engine::session::{Address, Nesting, Replies, Session};
use crate::proto::args::Args;

/// Sends the command that `session` has just run to all monitoring clients.
pub fn feed(shared: &mut Shared, session: &Session, args: Args<'_>) {
    let full_name = session.last_command.map_or("", |id| shared.table.entry(id).full_name);
    let message: Arc<[u8]> = line(full_name, session, args, shared.clock.unix_us()).into();
    let Shared { outbox, monitors, clients, .. } = shared;
    // One that leaves hears nothing any more, not even that it does; and these lines are replies to CLIENT REPLY.
    let own_slot = clients.slot_of(session.id);
    let hears = |slot: usize| match own_slot == Some(slot) {
        true => !session.closes_after_reply && matches!(session.replies, Replies::On),
        false => clients.get(slot).is_none_or(|other| matches!(other.replies, Replies::On)),
    };
    let hearers = monitors.iter().filter(|slot| hears(**slot));
    outbox.monitor_lines.extend(hearers.map(|slot| (*slot, Arc::clone(&message))));
}

fn line(full_name: &str, session: &Session, args: Args<'_>, unix_us: i64) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + args.bytes_total());
    let (seconds, micros) = (unix_us / 1_000_000, unix_us % 1_000_000);
    let source = match &session.address {
        // What a script calls is shown as the script's, whoever called that.
        _ if session.nesting == Nesting::Script => "lua".to_owned(),
        Address::Unix(path) => format!("unix:{path}"),
        address => address.peer(),
    };
    // A Vec takes every write.
    let _ = write!(line, "+{seconds}.{micros:06} [{} {source}]", session.db);
    for index in 0..args.len() {
        line.push(b' ');
        let shown = if is_secret(full_name, args, index) { REDACTED } else { args.at(index) };
        quote_into(&mut line, shown);
    }
    line.extend_from_slice(b"\r\n");
    line
}
