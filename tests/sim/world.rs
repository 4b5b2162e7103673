//! Plays a plan: the real loop, engine and dialects in a network and a time that the plan moves.
//!
//! ```text
//! plan ── steps ──▶ World ── bytes, events, turns ──▶ Reactor
//!                     └── calls with times and answers ──▶ checker
//! ```
use std::collections::VecDeque;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use rufous::base::clock::{Clock, SimulatedTime};
use rufous::engine::config::{Config, Opt};
use rufous::engine::engine::Engine;
use rufous::net::reactor::Reactor;
use rufous::net::simulated::{Leftovers, SimulatedPeer};

use super::history::{Call, Reply, Words};
use super::plan::{Plan, Step};
use super::wire::Door;

/// When all runs begin.
pub const START_MS: i64 = 1_700_000_000_000;
/// Databases of the server.
pub const DATABASES: usize = 2;
/// Options by which a client may lose its connection.
const CLOSING: &[&str] = &["client-output-buffer-limit", "timeout"];
/// Number of the connection that stands for time in the history.
const TIME: usize = 0;
/// Rounds in which the server must have answered everything once nothing holds it back.
const ROUNDS_MAX: usize = 2_000;
/// Rounds without anything to do that a millisecond may take.
const ROUNDS_PER_MS: usize = 200;
/// Turns in which it must have come to rest once all clients are gone.
const TURNS_MAX: usize = 10_000;

/// One connection.
struct Link {
    /// Its number in the history.
    connection: usize,
    peer: SimulatedPeer,
    port: u16,
    door: Door,
    /// Database its next command will see.
    db: usize,
    /// Bytes sent and bytes that have arrived.
    sent: usize,
    arrived: usize,
    /// Calls whose last byte has not arrived, with where they end.
    undelivered: VecDeque<(usize, usize)>,
    /// Calls without an answer, in order.
    unanswered: VecDeque<usize>,
    /// What the server has written and is no whole answer yet.
    written: Vec<u8>,
    /// It sends nothing more.
    is_shut: bool,
    /// It is over: broken off, or closed by the server.
    is_gone: bool,
    /// The server may close it without an answer: it is to be killed, or quits.
    may_end: bool,
    /// It has sent a command that may wait for a key.
    may_wait: bool,
    replies: Replies,
}

/// What CLIENT REPLY has said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replies {
    On,
    Off,
    SkipOne,
}

/// What came of a run.
pub struct Run {
    /// All calls in the order they were sent.
    pub calls: Vec<Call>,
    /// A promise of the server that was broken, if any.
    pub broken: Option<String>,
    /// Every byte that was received, and when: the same for the same plan.
    pub trace: u64,
    /// What happened in it, for statistics.
    pub turns: u64,
}

impl Link {
    /// Whether a command will be answered, which CLIENT REPLY decides.
    fn is_answered(&mut self, words: &Words) -> bool {
        let before = self.replies;
        if before == Replies::SkipOne {
            self.replies = Replies::On;
        }
        if words[0] != b"REPLY" {
            return before == Replies::On;
        }
        self.replies = match &words[1][..] {
            b"ON" => Replies::On,
            b"SKIP" if before != Replies::Off => Replies::SkipOne,
            _ => Replies::Off,
        };
        words[1] == b"ON"
    }
}

struct World {
    reactor: Reactor,
    time: Arc<SimulatedTime>,
    /// What keys hold at the end is more than strings.
    has_collections: bool,
    /// What time has been at least.
    least_ms: i64,
    /// Some option has the server close clients of its own accord.
    closes_clients: bool,
    /// Somebody has sent a PAUSE, so that any command may wait.
    may_pause: bool,
    doors: Vec<Door>,
    links: Vec<Link>,
    /// The link of each client, if it is connected.
    slots: Vec<Option<usize>>,
    calls: Vec<Call>,
    /// Logical time.
    now: u64,
    trace: DefaultHasher,
    broken: Option<String>,
    turns: u64,
}

/// Plays a plan to its end and looks at what is left.
pub fn run(plan: &Plan) -> Run {
    let mut world = World::new(plan);
    for step in &plan.steps {
        world.step(step);
        if world.broken.is_some() {
            break;
        }
    }
    if world.broken.is_none() {
        world.finish();
    }
    let World { calls, broken, trace, turns, .. } = world;
    Run { calls, broken, trace: trace.finish(), turns }
}

impl World {
    fn new(plan: &Plan) -> World {
        let time = SimulatedTime::starting_at(START_MS);
        let mut config = Config::new("/".into());
        let databases = DATABASES.to_string();
        let own = [("databases", databases.as_str())];
        for (name, value) in own.into_iter().chain(plan.options.iter().copied()) {
            let (option, _) = Opt::find(name.as_bytes()).expect("an option");
            config.load(option, &super::history::words(value)).expect("a value");
        }
        let mut engine = Engine::new(config, Clock::simulated(time.clone()), Some(plan.seed));
        engine.shared.jobs.force_units(plan.units);
        let reactor = Reactor::new(engine, Vec::new()).expect("a loop");
        time.set_ticks_per_reading(plan.ticks_per_reading);
        World {
            reactor,
            time,
            has_collections: plan.has_collections,
            least_ms: START_MS,
            may_pause: false,
            closes_clients: plan.options.iter().any(|(name, _)| CLOSING.contains(name)),
            doors: plan.doors.clone(),
            links: Vec::new(),
            slots: vec![None; plan.doors.len()],
            calls: Vec::new(),
            now: 0,
            trace: DefaultHasher::new(),
            broken: None,
            turns: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn fail(&mut self, text: String) {
        self.broken.get_or_insert(text);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(slot, words) => self.send(*slot, words.clone()),
            Step::Deliver(slot, count) => self.at_slot(*slot, |world, link| {
                world.deliver(link, *count);
            }),
            Step::Turn(mask) => self.turn(*mask),
            Step::Receive(slot, count) => self.at_slot(*slot, |world, link| {
                world.receive(link, *count);
            }),
            Step::ShutDown(slot) => self.at_slot(*slot, |world, link| {
                world.links[link].peer.shut_down();
                world.links[link].is_shut = true;
            }),
            Step::Abort(slot) => self.at_slot(*slot, |world, link| world.abort(link)),
            Step::Advance(ms) => self.advance(Duration::from_millis(*ms)),
            Step::Room(slot, inbound, outbound) => self.at_slot(*slot, |world, link| {
                world.links[link].peer.set_room(*inbound, *outbound);
            }),
        }
    }

    fn at_slot(&mut self, slot: usize, act: impl FnOnce(&mut World, usize)) {
        if let Some(link) = self.slots[slot].filter(|&link| !self.links[link].is_gone) {
            act(self, link);
        }
    }

    fn connect(&mut self, door: Door) -> usize {
        let index = self.links.len();
        let port = 10_000 + index as u16;
        let peer = self.reactor.connect_simulated(door.dialect(), port);
        self.links.push(Link {
            connection: index + 1,
            peer,
            port,
            door,
            db: 0,
            sent: 0,
            arrived: 0,
            undelivered: VecDeque::new(),
            unanswered: VecDeque::new(),
            written: Vec::new(),
            is_shut: false,
            is_gone: false,
            may_end: self.closes_clients,
            may_wait: false,
            replies: Replies::On,
        });
        if self.links[index].peer.is_closed_by_server() {
            // Refused, which is told it in its own way.
            self.links[index].is_gone = true;
            if self.links[index].peer.receivable() == 0 {
                self.fail("a client was refused without a word".to_owned());
            }
        } else if door == Door::Resp3 {
            self.call(index, vec![b"HELLO".to_vec(), b"3".to_vec()]);
        }
        index
    }

    fn send(&mut self, slot: usize, words: Words) {
        let usable = self.slots[slot].filter(|&link| {
            let link = &self.links[link];
            !link.is_gone && !link.is_shut
        });
        let link = usable.unwrap_or_else(|| self.connect(self.doors[slot]));
        self.slots[slot] = Some(link);
        let Some(words) = self.aim(words) else { return };
        self.call(link, words);
    }

    /// KILL names a client by its place; who is not connected cannot be killed.
    fn aim(&mut self, mut words: Words) -> Option<Words> {
        if words[0] == b"KILL" {
            let place: usize = std::str::from_utf8(&words[1][1..]).ok()?.parse().ok()?;
            let target = self.slots[place]?;
            self.links[target].may_end = true;
            words[1] = format!("127.0.0.1:{}", self.links[target].port).into_bytes();
        }
        Some(words)
    }

    /// Sends a command.
    fn call(&mut self, link: usize, words: Words) {
        let index = self.calls.len();
        let link = &mut self.links[link];
        let bytes = link.door.encode(&words, index.is_multiple_of(5));
        link.peer.send(&bytes);
        link.sent += bytes.len();
        link.undelivered.push_back((index, link.sent));
        if link.is_answered(&words) {
            link.unanswered.push_back(index);
        }
        let is_last = words[0] == b"QUIT" || words[0] == b"GARBAGE";
        link.may_end |= is_last;
        self.may_pause |= words[0] == b"PAUSE";
        let db = link.db;
        if words[0] == b"SELECT" {
            link.db = if words[1] == b"1" { 1 } else { 0 };
        }
        let call = Call::new(link.connection, db, words);
        link.may_wait |= call.may_wait();
        self.calls.push(call);
    }

    fn deliver(&mut self, link: usize, count: usize) -> usize {
        let now = self.tick();
        let link = &mut self.links[link];
        let count = link.peer.deliver(count);
        link.arrived += count;
        while let Some(&(index, end)) = link.undelivered.front()
            && end <= link.arrived
        {
            link.undelivered.pop_front();
            self.calls[index].invoked = Some(now);
            self.calls[index].since_ms = self.least_ms;
        }
        count
    }

    fn turn(&mut self, mask: u32) {
        self.tick();
        self.turns += 1;
        let told =
            self.links.iter().enumerate().filter(|(index, _)| mask & (1 << (index % 32)) != 0);
        let events: Vec<_> = told.filter_map(|(_, link)| link.peer.take_event()).collect();
        self.reactor.simulate_turn(&events);
        for link in 0..self.links.len() {
            if !self.links[link].is_gone {
                self.look(link);
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        let now = self.tick();
        let ms = by.as_millis() as u64;
        self.time.advance(Duration::from_millis(ms));
        self.least_ms += ms as i64;
        let words = vec![b"ADVANCE".to_vec(), ms.to_string().into_bytes()];
        let mut call = Call::new(TIME, 0, words);
        (call.invoked, call.returned) = (Some(now), Some(now + 1));
        call.reply = Some(Reply::Status("OK".to_owned()));
        self.calls.push(call);
        self.tick();
    }

    fn abort(&mut self, link: usize) {
        self.links[link].peer.abort();
        self.links[link].is_gone = true;
    }

    fn receive(&mut self, link: usize, count: usize) -> usize {
        let now = self.tick();
        let bytes = self.links[link].peer.receive(count);
        (now, link, &bytes).hash(&mut self.trace);
        bytes.len()
    }

    /// Reads the answers the server has just written: whoever asks from now on comes after them, received or not.
    fn look(&mut self, index: usize) {
        let now = self.now;
        let link = &mut self.links[index];
        link.written.extend(link.peer.look());
        while !link.written.is_empty() {
            let Some(&call) = link.unanswered.front() else {
                let text = link.written.escape_ascii().to_string();
                return self.fail(format!("an answer to nothing on c{}: {text}", index + 1));
            };
            let call = &mut self.calls[call];
            let Some((reply, len)) = link.door.decode(&link.written, &call.words) else { break };
            link.written.drain(..len);
            link.unanswered.pop_front();
            if let (b"CLOCK", Reply::Int(now_ms)) = (&call.words[0][..], &reply) {
                self.least_ms = self.least_ms.max(*now_ms);
            }
            (call.returned, call.reply) = (Some(now), Some(reply));
            if call.invoked.is_none() {
                let text = format!("an answer before the request had arrived: {call}");
                return self.fail(text);
            }
        }
        if link.peer.is_closed_by_server() {
            link.is_gone = true;
            // As in Redis: who waits and sends nothing more is gone.
            let may_wait = link.may_wait || self.may_pause;
            let may_end = link.may_end || (link.is_shut && may_wait);
            let is_cut_short = !link.unanswered.is_empty() && !may_end;
            if is_cut_short {
                self.fail(format!("the server has closed c{} for no reason", index + 1));
            }
        }
    }

    /// Lets everything arrive and be answered.
    fn drain(&mut self) {
        for round in 1..ROUNDS_MAX {
            let mut has_moved = false;
            for link in 0..self.links.len() {
                if !self.links[link].is_gone {
                    self.links[link].peer.set_room(1 << 20, 1 << 20);
                    has_moved |= self.deliver(link, usize::MAX) > 0;
                }
            }
            has_moved |= self.links.iter().any(|link| link.peer.has_event());
            self.turn(u32::MAX);
            for link in 0..self.links.len() {
                if !self.links[link].is_gone {
                    has_moved |= self.receive(link, usize::MAX) > 0;
                }
            }
            if self.broken.is_some() {
                return;
            }
            let wait = self.reactor.simulated_wait();
            // A key may be due in a millisecond that was looked at already: the loop goes round until it is over.
            let is_stuck = round.is_multiple_of(ROUNDS_PER_MS);
            if has_moved || (wait.is_zero() && !is_stuck) {
                continue;
            }
            if self.links.iter().all(|link| link.is_gone || link.unanswered.is_empty()) {
                return;
            }
            // Only time can help now: a pause has to end, or a row of waits.
            let least_ms = if self.has_collections { 100 } else { 1 };
            self.advance(wait.max(Duration::from_millis(least_ms)));
        }
        let mut text = "these were never answered:\n".to_owned();
        for link in self.links.iter().filter(|link| !link.is_gone) {
            for &call in &link.unanswered {
                let _ = writeln!(text, "    {}", self.calls[call]);
            }
        }
        self.fail(text + &format!("  {:?}", self.reactor.leftovers()));
    }

    /// Everything is answered, the last state is read, all clients leave, the loop comes to rest with nothing left.
    fn finish(&mut self) {
        // Where every look at the counter takes longer than a tick is apart, no loop ever rests.
        self.time.set_ticks_per_reading(0);
        self.drain();
        if self.broken.is_some() {
            return;
        }
        self.read_all("DBSIZE");
        // Whatever is dead by now goes within some ticks.
        for _ in 0..4 {
            self.advance(Duration::from_millis(1_100));
            self.rest();
        }
        self.read_all("DBSIZE-EXACT");
        if self.broken.is_some() {
            return;
        }
        for link in 0..self.links.len() {
            match (self.links[link].is_gone, link % 2) {
                (true, _) => {}
                (false, 0) => self.abort(link),
                (false, _) => self.links[link].peer.shut_down(),
            }
            self.links[link].peer.deliver(usize::MAX);
        }
        self.turn(u32::MAX);
        self.rest();
        let leftovers = self.reactor.leftovers();
        if leftovers != Leftovers::default() {
            self.fail(format!("something is left of clients that are gone: {leftovers:?}"));
        }
    }

    /// Reads all there is, by a client of its own.
    fn read_all(&mut self, size: &str) {
        let mut reader = self.connect(Door::Resp2);
        let mut others = 0..reader;
        while self.links[reader].is_gone
            && let Some(link) = others.next()
        {
            // All places were taken.
            self.abort(link);
            self.rest();
            reader = self.connect(Door::Resp2);
        }
        let words = |line: &str| super::history::words(line);
        for db in 0..DATABASES {
            self.call(reader, words(&format!("SELECT {db}")));
            self.call(reader, words(size));
            self.call(reader, words("MGET k1 k2 k3 k4"));
            self.call(reader, words("KEYS *"));
            for key in 1..=4 {
                self.call(reader, words(&format!("PEXPIRETIME k{key}")));
                if self.has_collections {
                    self.call(reader, words(&format!("LRANGE k{key} 0 -1")));
                    self.call(reader, words(&format!("SMEMBERS k{key}")));
                    self.call(reader, words(&format!("HGETALL k{key}")));
                    self.call(reader, words(&format!("ZRANGE k{key} 0 -1 WITHSCORES")));
                    self.call(reader, words(&format!("XRANGE k{key} - +")));
                }
            }
        }
        self.drain();
    }

    /// Turns until the loop would wait.
    fn rest(&mut self) {
        for _ in 0..TURNS_MAX {
            self.turn(u32::MAX);
            if !self.reactor.simulated_wait().is_zero() {
                return;
            }
        }
        self.fail(format!("the loop never rests: {:?}", self.reactor.leftovers()));
    }
}

/// The answer of a call, for tests of the driver.
pub fn answered(run: &Run) -> impl Iterator<Item = &Reply> {
    run.calls.iter().filter_map(|call| call.reply.as_ref())
}
