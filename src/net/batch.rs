//! The requests of one turn.
//!
//! Everything that was read is parsed before anything runs, so that the cache misses of many requests overlap:
//! for a window of requests the buckets of their first keys are prefetched, then the entries, then they run in
//! order. It works across a pipeline and across connections alike.
use std::ops::Range;
use std::time::Duration;

use crate::base::block::Block;
use crate::command::execute::{Outcome, Request};
use crate::dialect::{self, Dialect, Ran};
use crate::engine::engine::Engine;
use crate::engine::evict::Room;
use crate::engine::session::{Replies, Session, Waiting};
use crate::engine::spec::Group;
use crate::engine::table::Found;
use crate::net::conn::{Conn, Postponed};
use crate::net::reactor::Reactor;
use crate::proto::args::{ArgList, HashHint, OwnedArgs, Span};
use crate::proto::error::ProtocolError;
use crate::proto::reply::{Output, Reply};

/// Requests whose keys are fetched together: enough to hide the latency, few enough to stay in L1.
const WINDOW: usize = 32;

/// Time after which the rest of one connection's pipeline goes on in the next turn, in nanoseconds. So long that
/// only slow commands reach it: a thousand requests, the most of a turn, would have to take 5 us each.
pub(super) const SHARE_NANOS: u64 = 5_000_000;

/// Least time between two lines in the log about HTTP.
const ATTACK_LOG_PAUSE: Duration = Duration::from_secs(60);

/// One request read in this turn.
pub struct Entry {
    /// Key of its connection.
    pub conn: usize,
    /// Where its bytes are.
    pub source: Source,
    /// Its arguments, in the source's list; of a frame its bytes.
    pub spans: Range<u32>,
    /// Its big arguments.
    pub blocks: Range<u32>,
    /// Looked up just before its window runs.
    pub command: Option<Found>,
    /// Hash of its first key, likewise; of a frame under the index 1.
    pub hint: HashHint,
}

/// Where the bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the turn's arena.
    Arena,
    /// In the connection's partial buffer.
    Own,
    /// In the turn's list of requests that had waited.
    Waited(u32),
    /// It is no request.
    Error(ProtocolError),
    /// A frame of another dialect, in the turn's arena.
    Frame,
    /// A frame in the connection's partial buffer.
    OwnFrame,
    /// A frame in the turn's list of requests that had waited.
    WaitedFrame(u32),
    /// It is no request of another dialect; the answer is in that list.
    Fatal(u32),
}

impl Source {
    fn is_frame(self) -> bool {
        matches!(self, Source::Frame | Source::OwnFrame | Source::WaitedFrame(_))
    }
}

/// What the requests of a turn point into.
#[derive(Default)]
pub struct Batch {
    /// The requests, those of one connection in a row.
    pub entries: Vec<Entry>,
    /// Arguments in the arena.
    pub spans: Vec<Span>,
    /// Requests that had waited.
    pub waited: Vec<OwnedArgs>,
}

impl Batch {
    /// Adds a request to those that had waited; its place among them.
    pub fn keep(&mut self, args: OwnedArgs) -> u32 {
        self.waited.push(args);
        self.waited.len() as u32 - 1
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.spans.clear();
        self.waited.clear();
    }
}

/// Buffer, spans and blocks of a request.
#[inline(always)]
fn parts<'b>(
    entry: &Entry,
    arena: &'b [u8],
    batch: &'b Batch,
    conn: &'b Conn,
) -> (&'b [u8], &'b [Span], &'b [Block]) {
    if entry.source == Source::Arena {
        return (arena, &batch.spans[entry.spans.start as usize..entry.spans.end as usize], &[]);
    }
    parts_elsewhere(entry, arena, batch, conn)
}

/// As [`parts`]; a frame is a buffer without spans.
fn parts_elsewhere<'b>(
    entry: &Entry,
    arena: &'b [u8],
    batch: &'b Batch,
    conn: &'b Conn,
) -> (&'b [u8], &'b [Span], &'b [Block]) {
    let bytes = entry.spans.start as usize..entry.spans.end as usize;
    match (entry.source, &conn.partial) {
        (Source::Waited(index), _) => batch.waited[index as usize].parts(),
        (Source::Own, Some(partial)) => partial.request(entry.spans.clone(), entry.blocks.clone()),
        (Source::Frame, _) => (&arena[bytes], &[], &[]),
        (Source::OwnFrame, Some(partial)) => (partial.frame(entry.spans.clone()), &[], &[]),
        (Source::WaitedFrame(index) | Source::Fatal(index), _) => {
            (batch.waited[index as usize].parts().0, &[], &[])
        }
        (Source::Own | Source::OwnFrame | Source::Arena | Source::Error(_), _) => (&[], &[], &[]),
    }
}

/// Whether a command's first key most often holds a collection.
#[inline]
fn is_of_collections(found: &Found) -> bool {
    use Group::{Geo, Hash, List, Set, SortedSet, Stream};
    matches!(found.command.group, Hash | Set | SortedSet | Geo | List | Stream)
}

/// Arguments between the first key and what is most often a member of it: ZADD and ZINCRBY have a score there, GEOADD a
/// place. `None` where elements have no names.
#[inline]
fn words_before_member(found: &Found, words: usize) -> Option<usize> {
    match found.command.group {
        Group::Hash | Group::Set => Some(0),
        Group::SortedSet => Some(usize::from(words > 3)),
        Group::Geo => Some(if words > 4 { 2 } else { 0 }),
        _ => None,
    }
}

impl Reactor {
    /// Runs all requests of the turn.
    pub(super) fn execute_batch(&mut self) {
        if self.batch.entries.is_empty() {
            // Empty lines and empty requests leave something to drop, too.
            self.batch.clear();
            return self.drop_consumed();
        }
        let mut entries = std::mem::take(&mut self.batch.entries);
        let mut started = self.engine.shared.clock.ticks();
        let mut from = 0;
        while from < entries.len() {
            let to = (from + WINDOW).min(entries.len());
            self.prefetch(&mut entries[from..to]);
            self.run_window(&entries[from..to], &mut started);
            from = to;
        }
        self.leave_connection();
        self.drop_consumed();
        for args in self.batch.waited.drain(..).filter(OwnedArgs::is_big) {
            self.engine.shared.graveyard.bury_garbage(Box::new(args));
        }
        self.batch.entries = entries;
        self.batch.clear();
    }

    /// Looks up commands, hashes first keys, and has buckets, then entries, brought into the cache.
    #[inline]
    fn prefetch(&mut self, window: &mut [Entry]) {
        let Reactor { engine, conns, batch, arena, .. } = self;
        for entry in window.iter_mut() {
            let Some(conn) = conns.get(entry.conn) else { continue };
            if entry.source != Source::Arena && entry.source.is_frame() {
                let (frame, _, _) = parts_elsewhere(entry, arena, batch, conn);
                if let Some(key) = dialect::first_key(conn.dialect, frame) {
                    let hash = engine.hasher.hash(key);
                    entry.hint = HashHint { index: 1, hash };
                    engine.dbs[conn.db].prefetch_bucket(hash);
                }
                continue;
            }
            let (buffer, spans, blocks) = parts(entry, arena, batch, conn);
            let list = ArgList::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
            let args = list.args();
            entry.command = engine.shared.table.find(args.at(0));
            let Some(found) = &entry.command else { continue };
            let first_key = usize::from(found.first_key);
            if first_key != 0 && first_key < args.len() {
                let hash = args.key(first_key).hash;
                entry.hint = HashHint { index: first_key as u32, hash };
                engine.dbs[conn.db].prefetch_bucket(hash);
            }
        }
        if window.len() == 1 {
            // Alone there is nothing to overlap with.
            return;
        }
        let mut has_collections = false;
        for entry in window.iter() {
            if entry.hint.index != 0
                && let Some(conn) = conns.get(entry.conn)
            {
                engine.dbs[conn.db].prefetch_entry(entry.hint.hash);
                has_collections |= entry.command.is_some_and(|found| is_of_collections(&found));
            }
        }
        if has_collections {
            self.prefetch_collections(window);
        }
    }

    /// As `prefetch` one level down: what holds big collections, these, and the buckets and entries of their members.
    fn prefetch_collections(&mut self, window: &[Entry]) {
        let Reactor { engine, conns, batch, arena, .. } = self;
        let mut places = [None; WINDOW];
        let mut is_any = false;
        for (entry, place) in window.iter().zip(&mut places) {
            if let (Some(conn), Some(found)) = (conns.get(entry.conn), &entry.command)
                && entry.hint.index != 0
                && is_of_collections(found)
            {
                *place = engine.dbs[conn.db].prefetch_cell(entry.hint.hash);
                is_any |= place.is_some();
            }
        }
        if !is_any {
            return;
        }
        let mut hashes = [0; WINDOW];
        for (entry, place) in window.iter().zip(places) {
            if let (Some(place), Some(conn)) = (place, conns.get(entry.conn)) {
                engine.dbs[conn.db].prefetch_object(place);
            }
        }
        for ((entry, place), member_hash) in window.iter().zip(places).zip(&mut hashes) {
            let (Some(place), Some(conn), Some(found)) =
                (place, conns.get(entry.conn), &entry.command)
            else {
                continue;
            };
            let (buffer, spans, blocks) = parts(entry, arena, batch, conn);
            let Some(skipped) = words_before_member(found, spans.len()) else { continue };
            let list = ArgList::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
            let name = list.args().at(entry.hint.index as usize + 1 + skipped);
            *member_hash = engine.dbs[conn.db].prefetch_member(place, name);
        }
        for ((entry, place), member_hash) in window.iter().zip(places).zip(hashes) {
            if member_hash != 0
                && let (Some(place), Some(conn)) = (place, conns.get(entry.conn))
            {
                engine.dbs[conn.db].prefetch_element(place, member_hash);
            }
        }
    }

    fn run_window(&mut self, window: &[Entry], started: &mut u64) {
        // Prefetching for all of them is not the first one's time.
        *started = self.engine.shared.clock.ticks();
        for entry in window {
            if self.current.as_ref().is_none_or(|current| current.conn != entry.conn) {
                self.leave_connection();
                self.enter_connection(entry.conn, *started);
            }
            let is_limited = self.engine.shared.clients.memory.is_limited();
            if is_limited {
                self.evict_clients();
            }
            self.run_entry(entry, started);
            if is_limited {
                self.note_current();
            }
            if !self.engine.shared.outbox.is_empty() {
                self.carry_out();
            }
        }
    }

    #[inline(always)]
    fn run_entry(&mut self, entry: &Entry, started: &mut u64) {
        if self.shutdown.is_some() {
            // Nothing runs after SHUTDOWN.
            return;
        }
        let Reactor { engine, conns, batch, arena, current, .. } = self;
        let (Some(current), Some(conn)) = (current.as_mut(), conns.get_mut(entry.conn)) else {
            return;
        };
        if current.session.is_killed || current.session.closes_after_reply || conn.is_dead {
            return;
        }
        if *started >= current.share_until {
            // At least one of it has run: the next turn goes on here.
            current.is_postponing = true;
        }
        if current.is_postponing {
            let kept = keep(engine, entry, arena, batch, conn);
            conn.postponed.push_back(kept);
            return;
        }
        match entry.source {
            Source::Arena | Source::Own | Source::Waited(_) => {}
            Source::Error(error) => return protocol_error(engine, current, error),
            _ => return self.run_frame(entry, started),
        }
        let (buffer, spans, blocks) = parts(entry, arena, batch, conn);
        if entry.command.is_none() && is_http(buffer, spans, blocks, engine) {
            conn.is_dead = true;
            return self.note_attack(entry.conn);
        }
        let request = Request { buffer, spans, blocks, command: entry.command, hint: entry.hint };
        let outcome = engine.execute(&mut current.session, request, &mut current.output, started);
        match outcome {
            Outcome::Done => {}
            Outcome::Postponed => {
                let kept = keep(engine, entry, arena, batch, conn);
                conn.postponed.push_back(kept);
                // Where nothing is waited for it goes on in the next turn.
                (current.is_postponing, current.is_waiting) =
                    (true, current.session.waiting.is_some());
                // Its end is known already: to be looked at once the request is put away.
                current.is_leaving = current.session.waiting == Some(Waiting::Pause)
                    && (conn.is_hung_up || conn.is_eof);
                return;
            }
            Outcome::Running => {
                if let Postponed::Command(args) = keep(engine, entry, arena, batch, conn) {
                    current.session.job_bytes = args.memory_bytes();
                    engine.shared.clients.recount(&current.session);
                    engine.shared.jobs.give_args(args);
                }
                (current.is_postponing, current.is_waiting) = (true, true);
            }
            Outcome::Blocked => {
                if let Postponed::Command(args) = keep(engine, entry, arena, batch, conn) {
                    current.session.job_bytes = engine.shared.blocking.give_args(args);
                    engine.shared.clients.recount(&current.session);
                }
                (current.is_postponing, current.is_waiting) = (true, true);
                if conn.is_hung_up || conn.is_eof {
                    // Its end is known already: to be looked at once the request is put away.
                    current.is_leaving = true;
                }
            }
        }
        cut_above_limit(engine, current, conn);
    }

    /// Runs a request of another dialect.
    fn run_frame(&mut self, entry: &Entry, started: &mut u64) {
        let Reactor { engine, conns, batch, arena, current, .. } = self;
        let (Some(current), Some(conn)) = (current.as_mut(), conns.get_mut(entry.conn)) else {
            return;
        };
        let (frame, _, _) = parts_elsewhere(entry, arena, batch, conn);
        let session = &mut current.session;
        if matches!(entry.source, Source::Fatal(_)) {
            engine.shared.stats.count_error(b"ERR");
            current.output.bytes_mut().extend_from_slice(frame);
            session.closes_after_reply = true;
            return;
        }
        if engine.make_room(session.db) {
            // Not the request's time.
            *started = engine.shared.clock.ticks();
        }
        session.waiting = frame_waits_for(engine, session, conn.dialect, frame);
        if session.waiting.is_some() {
            let kept = keep(engine, entry, arena, batch, conn);
            conn.postponed.push_back(kept);
            (current.is_postponing, current.is_waiting) = (true, true);
            return;
        }
        let first_hash = (entry.hint.index != 0).then_some(entry.hint.hash);
        let out = &mut current.output;
        let ran = dialect::run(conn.dialect, engine, session, frame, first_hash, out, started);
        if !engine.shared.blocking.is_empty() && engine.has_ready_keys() {
            engine.serve_after_command();
            *started = engine.shared.clock.ticks();
        }
        if ran == Ran::Parked {
            if let Postponed::Frame(frame) = keep(engine, entry, arena, batch, conn) {
                engine.shared.jobs.give_args(frame);
            }
            (current.is_postponing, current.is_waiting) = (true, true);
        }
        cut_above_limit(engine, current, conn);
    }

    /// Says that somebody makes a browser talk to us, at most once a minute.
    #[cold]
    fn note_attack(&mut self, key: usize) {
        let now = self.engine.shared.clock.monotonic();
        if self.attack_logged_at.is_some_and(|at| now < at + ATTACK_LOG_PAUSE) {
            return;
        }
        self.attack_logged_at = Some(now);
        let current = self.current.as_ref().filter(|current| current.conn == key);
        let peer = current.map(|current| current.session.address.peer().to_string());
        log::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: \
             commands to Rufous. This is likely due to an attacker attempting to use Cross Protocol \
             Scripting to compromise your server. Connection from {} aborted.",
            peer.unwrap_or_default()
        );
    }

    /// Takes the client and the output of a connection in hand.
    fn enter_connection(&mut self, key: usize, now_ticks: u64) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(session) = self.engine.shared.clients.checkout(conn.client) else { return };
        let mut output = std::mem::take(&mut conn.output);
        if output.is_empty()
            && let Some(pooled) = self.output_pool.pop()
        {
            output = pooled;
        }
        let limits = self.engine.shared.config.output_limits();
        let limit = if session.subscriptions.is_any() { limits.pubsub } else { limits.normal };
        let hard_limit_bytes = limit.hard_bytes as usize;
        if session.subscriptions.is_any() {
            self.engine.shared.catch_up(conn.client, session.resp, &mut output);
        }
        let share_until = now_ticks + self.share_ticks;
        self.current = Some(Current {
            conn: key,
            session,
            output,
            hard_limit_bytes,
            share_until,
            is_postponing: false,
            is_waiting: false,
            is_leaving: false,
        });
    }

    /// Puts both back.
    pub(super) fn leave_connection(&mut self) {
        let Some(current) = self.current.take() else { return };
        let Some(conn) = self.conns.get_mut(current.conn) else { return };
        conn.output = current.output;
        conn.db = current.session.db;
        conn.is_authenticated = current.session.is_authenticated();
        conn.is_listening = current.session.subscriptions.is_any();
        conn.is_closing |= current.session.closes_after_reply;
        conn.is_dead |= current.session.is_killed;
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(current.conn);
        }
        if current.is_waiting && !conn.is_waiting {
            conn.is_waiting = true;
            if matches!(current.session.waiting, Some(Waiting::Pause | Waiting::Room)) {
                self.paused.push(current.conn);
            }
        }
        self.engine.shared.clients.checkin(conn.client, current.session);
        if (current.is_postponing && !current.is_waiting) || current.is_leaving {
            self.make_ready(current.conn);
        }
    }

    /// Drops from partial buffers what has been executed.
    fn drop_consumed(&mut self) {
        while let Some(key) = self.consumed.pop() {
            if let Some(conn) = self.conns.get_mut(key)
                && let Some(big) = conn.drop_executed()
            {
                self.engine.shared.graveyard.bury_garbage(Box::new(big));
            }
        }
    }
}

/// The connection whose requests run now.
pub struct Current {
    /// Its key.
    pub conn: usize,
    /// Its client, taken out of the registry.
    pub session: Box<Session>,
    /// Its output, taken out of the connection.
    pub output: Output,
    /// Bytes of output at which it is cut; 0: never.
    pub hard_limit_bytes: usize,
    /// When it has had its share of the turn, in ticks.
    pub share_until: u64,
    /// A request of it had to wait, so the rest waits too.
    pub is_postponing: bool,
    /// Its command waits for a pause to end or for keys, or runs as a job: `Session::waiting` says which.
    pub is_waiting: bool,
    /// Its client waits for keys to bring something, and has closed its side already.
    pub is_leaving: bool,
}

/// What keeps a request of another dialect from running now, if anything: the same that keeps commands.
fn frame_waits_for(
    engine: &mut Engine,
    session: &mut Session,
    dialect: Dialect,
    frame: &[u8],
) -> Option<Waiting> {
    if engine.shared.busy.is_some() {
        engine.unclaim(session);
        engine.shared.keep_waiting(session);
        return session.waiting;
    }
    let shared = &engine.shared;
    let is_paused = shared.pause.is_some() && shared.is_paused(dialect::may_write(dialect, frame));
    let lacks_room = shared.eviction.room == Room::Wait && dialect::may_write(dialect, frame);
    if is_paused || lacks_room {
        engine.unclaim(session);
        return Some(if is_paused { Waiting::Pause } else { Waiting::Room });
    }
    if engine.shared.jobs.is_active() {
        let places = dialect::places(dialect, frame, &engine.hasher, session.db);
        if !engine.claim(session, places) {
            return Some(Waiting::Keys);
        }
    }
    None
}

/// Whether an unknown command is a line of HTTP: a web page can make a browser on this machine send requests
/// here, and commands in their body. Redis closes such connections, before the body is reached.
#[cold]
fn is_http(buffer: &[u8], spans: &[Span], blocks: &[Block], engine: &Engine) -> bool {
    let list = ArgList::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
    let name = list.args().at(0);
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// `client-output-buffer-limit`, checked after each request: a client whose output is above the hard one is cut.
#[inline(always)]
fn cut_above_limit(engine: &mut Engine, current: &Current, conn: &mut Conn) {
    let limit_bytes = current.hard_limit_bytes;
    if limit_bytes != 0 && current.output.counted_bytes() >= limit_bytes {
        conn.is_dead = true;
        engine.shared.note_output_limit(&current.session);
    }
}

/// A request as something that outlives the turn. A big one, or one that waits again, is moved out of where it is;
/// others are copied.
#[cold]
fn keep(
    engine: &Engine,
    entry: &Entry,
    arena: &[u8],
    batch: &mut Batch,
    conn: &mut Conn,
) -> Postponed {
    let waited = &mut batch.waited;
    let mut take =
        |index: u32| waited.get_mut(index as usize).map(std::mem::take).unwrap_or_default();
    match (entry.source, &mut conn.partial) {
        (Source::Error(error), _) => return Postponed::Error(error),
        (Source::Waited(index), _) => return Postponed::Command(take(index)),
        (Source::WaitedFrame(index), _) => return Postponed::Frame(take(index)),
        (Source::Fatal(index), _) => return Postponed::Fatal(take(index)),
        (Source::Own, Some(partial)) => {
            if let Some(args) = partial.take_request(entry.spans.clone(), entry.blocks.clone()) {
                return Postponed::Command(args);
            }
        }
        (Source::OwnFrame, Some(partial)) => {
            if let Some(frame) = partial.take_frame(entry.spans.clone()) {
                return Postponed::Frame(frame);
            }
        }
        (Source::Arena | Source::Frame | Source::Own | Source::OwnFrame, _) => {}
    }
    let (buffer, spans, blocks) = parts(entry, arena, batch, conn);
    if matches!(entry.source, Source::Frame | Source::OwnFrame) {
        return Postponed::Frame(OwnedArgs::from_parts([buffer]));
    }
    let list = ArgList::new(buffer, spans, blocks, &engine.hasher, HashHint::default());
    Postponed::Command(OwnedArgs::copy_of(list.args()))
}

/// Answers what is no request, and has the connection closed.
#[cold]
fn protocol_error(engine: &mut Engine, current: &mut Current, error: ProtocolError) {
    let message = error.message();
    engine.shared.stats.count_error(&message);
    log::debug!(
        "Protocol error ({error}) from client: id={} addr={}",
        current.session.id,
        current.session.address.peer()
    );
    if current.session.replies == Replies::On {
        Reply::new(&mut current.output, current.session.resp).error(&message);
    }
    current.session.closes_after_reply = true;
}
