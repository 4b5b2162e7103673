//! One client as a line of text, for CLIENT LIST and the log. Fields as in Redis 7.0.15, then `lib-name`
//! and `lib-ver` as in 7.2:
//!
//! ```text
//! id=3 addr=127.0.0.1:51326 laddr=127.0.0.1:6379 fd=8 name= age=9 idle=0 flags=N db=0 … resp=2 lib-name= lib-ver=
//! ```
//!
//! Buffers are as the network layer last saw them. `omem` and `oll` are what counts for
//! `client-output-buffer-limit`: all but the first 16 KiB of what waits to be sent, which are `obl`, in the nodes in
//! which Redis would hold it.
use std::fmt::Write;

use crate::engine::engine::Shared;
use crate::engine::pubsub::Kind;
use crate::engine::session::{Address, Nesting, Session, Waiting, restraint};
use crate::engine::tracking::mode::Mode;
use crate::proto::limits::{REPLY_BUFFER_BYTES, REPLY_NODE_BYTES};
use crate::proto::output::counted_nodes;
use crate::proto::reply::Resp;

/// A client as CLIENT LIST shows it, without line end: for the log.
pub fn log_line(session: &Session, shared: &Shared, now_ms: i64) -> String {
    let mut text = String::new();
    line(session, session.io.args_bytes, shared, now_ms, &mut text);
    text.truncate(text.trim_end().len());
    text
}

/// One client; ends with a line feed. Writing to a `String` cannot fail, hence the `let _`.
pub fn line(session: &Session, args_bytes: usize, shared: &Shared, now_ms: i64, text: &mut String) {
    let io = &session.io;
    let seconds_since = |ms: i64| (now_ms / 1000 - ms / 1000).max(0);
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={}",
        session.id,
        session.address.peer(),
        session.address.local(),
        session.fd,
        String::from_utf8_lossy(&session.name),
        seconds_since(session.created_ms),
        seconds_since(session.active_ms),
        flags(session, shared),
        session.db,
    );
    let queued = session.transaction.as_deref();
    let queued = queued.map(|queued| (queued.commands().len() as i64, queued.memory_bytes()));
    let (commands, commands_bytes) = match (queued, session.executing) {
        (Some(queued), _) => queued,
        (None, Some(running)) => (i64::from(running.commands), running.bytes as usize),
        (None, None) => (-1, 0),
    };
    let unsent_bytes = io.reply_bytes + io.reply_block_bytes;
    let nodes = counted_nodes(unsent_bytes);
    let _ = write!(
        text,
        " sub={} psub={} ssub={} multi={} qbuf={} qbuf-free={} argv-mem={args_bytes} multi-mem={} \
         rbs={} rbp={} obl={} oll={} omem={} tot-mem={}",
        session.subscriptions.count(Kind::Channel),
        session.subscriptions.count(Kind::Pattern),
        session.subscriptions.count(Kind::Shard),
        commands,
        io.query_bytes,
        io.query_free_bytes,
        commands_bytes,
        session.reply_use.size,
        session.reply_use.peak,
        unsent_bytes.min(REPLY_BUFFER_BYTES),
        nodes,
        nodes * REPLY_NODE_BYTES,
        session.memory_bytes(),
    );
    let is_sending = unsent_bytes > 0;
    let command = match session.executing {
        // The commands of a transaction are not what the client has sent last.
        Some(_) => "exec",
        None => session.last_command.map_or("NULL", |id| shared.table.full_name(id)),
    };
    let library = session.library.as_deref();
    let redirect = session.tracking.as_ref().map_or(-1, |tracking| tracking.redirect as i64);
    let _ = writeln!(
        text,
        " events={} cmd={command} user={} redir={redirect} resp={} lib-name={} lib-ver={}",
        if is_sending { "rw" } else { "r" },
        String::from_utf8_lossy(session.user_name()),
        match session.resp {
            Resp::V2 => 2,
            Resp::V3 => 3,
        },
        library.map_or("".into(), |library| String::from_utf8_lossy(&library.name)),
        library.map_or("".into(), |library| String::from_utf8_lossy(&library.version)),
    );
}

/// Whether its command waits for anything but its own work.
fn is_blocked(session: &Session) -> bool {
    use Waiting::{Blocked, Keys, Pause, Room};
    matches!(session.waiting, Some(Pause | Keys | Room | Blocked))
}

/// One letter per property, `N` where there is none.
fn flags(session: &Session, shared: &Shared) -> String {
    let properties = [
        ('O', session.is(restraint::MONITOR)),
        ('P', session.subscriptions.is_any()),
        ('x', session.transaction.is_some() || session.nesting == Nesting::Transaction),
        ('b', is_blocked(session)),
        ('t', session.tracking.is_some()),
        ('R', session.tracking.as_ref().is_some_and(|tracking| tracking.is_broken)),
        ('B', session.tracking.as_ref().is_some_and(|tracking| tracking.mode == Mode::Broadcast)),
        ('d', shared.watch.is_dirty(session.id)),
        ('c', session.closes_after_reply),
        ('A', session.is_killed),
        ('U', matches!(session.address, Address::Unix(_))),
        ('e', session.is_no_evict),
        ('T', session.is_no_touch),
    ];
    let letters: String = properties.iter().filter(|(_, is_set)| *is_set).map(|(c, _)| c).collect();
    if letters.is_empty() { "N".to_owned() } else { letters }
}
