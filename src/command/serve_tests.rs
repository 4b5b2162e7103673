//! Blocking proven with commands made for it: they take strings, so that nothing but the machinery is under test.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::base::clock::{Clock, SimulatedTime};
use crate::command::FAMILIES;
use crate::command::execute::{Outcome, Request};
use crate::command::spec::flag::WRITE;
use crate::command::spec::{Command, Group, KeySpec, access, command, doc};
use crate::command::table::{Catalogue, CommandTable};
use crate::engine::background::Work;
use crate::engine::blocking::{Wait, seconds_until};
use crate::engine::config::Config;
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::engine::Engine;
use crate::engine::session::{Address, Replies, Session, Waiting};
use crate::proto::args::{Args, HashHint, OwnedArgs};
use crate::proto::reply::{Output, Resp};
use crate::store::{Kind, NewString, Ttl};

/// `take key [key ...] timeout`: BLPOP for strings.
const TAKE: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(access::RW, 1, -2, 1)],
    doc: doc("0", "O(1)", "", ""),
    ..command(Group::Generic, "take", -3, take)
};

/// `shift from to timeout`: BLMOVE for strings.
const SHIFT: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(access::RW, 1, 1, 1)],
    doc: doc("0", "O(1)", "", ""),
    ..command(Group::Generic, "shift", 4, shift)
};

/// `guard key timeout`: waits for a list at a key that has to stay.
const GUARD: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::range(access::RW, 1, 0, 1)],
    doc: doc("0", "O(1)", "", ""),
    ..command(Group::Generic, "guard", 3, guard)
};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let own: &[Command] = &[TAKE, SHIFT, GUARD];
    let families: Vec<&[Command]> = FAMILIES.iter().copied().chain([own]).collect();
    Catalogue::of(Box::leak(families.into_boxed_slice()))
});

/// Takes the string at a key away.
fn taken(ctx: &mut Ctx<'_>, args: Args<'_>, index: usize) -> Option<Vec<u8>> {
    let key = args.key(index);
    let value = ctx.db.string_for_write(key).ok().flatten()?;
    let value = value.as_bytes(&mut itoa::Buffer::new()).to_vec();
    ctx.delete(key);
    Some(value)
}

fn take(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let last = args.len() - 1;
    let until = seconds_until(ctx.now, args.at(last))?;
    for index in 1..last {
        if ctx.looks_at(args.at(index))
            && let Some(value) = taken(ctx, args, index)
        {
            ctx.reply.array(2);
            ctx.reply.bulk(args.at(index));
            ctx.reply.bulk(&value);
            return Ok(());
        }
    }
    ctx.block_on_keys(args, 1..last, Wait::new(Kind::String, until))
}

fn shift(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let until = seconds_until(ctx.now, args.at(3))?;
    match taken(ctx, args, 1) {
        Some(value) => {
            ctx.db.set_string(args.key(2), NewString::Bytes(&value), Ttl::Clear)?;
            ctx.changed(Event::Set, args.at(2));
            ctx.reply.bulk(&value);
            Ok(())
        }
        None => ctx.block_on_keys(args, 1..2, Wait::new(Kind::String, until).or_null()),
    }
}

fn guard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let until = seconds_until(ctx.now, args.at(2))?;
    ctx.block_on_keys(args, 1..2, Wait::new(Kind::List, until).unless_gone("UNBLOCKED gone"))
}

/// An engine with clients, and what the network layer does for them.
struct Net {
    engine: Engine,
    time: Arc<SimulatedTime>,
    clients: Vec<Peer>,
}

#[derive(Default)]
struct Peer {
    slot: usize,
    received: Vec<u8>,
    waiting: VecDeque<OwnedArgs>,
}

impl Net {
    fn new(clients: usize) -> Net {
        let time = SimulatedTime::starting_at(1_000_000);
        let clock = Clock::simulated(time.clone());
        let config = Config::new("/".into());
        let table = CommandTable::over(&CATALOGUE);
        let mut net = Net {
            engine: Engine::with_table(config, clock, Some(1), table),
            time,
            clients: Vec::new(),
        };
        (0..clients).for_each(|_| net.connect());
        net
    }

    fn connect(&mut self) {
        let mut session = Session::new(Address::Unix("test".into()), 0);
        session.set_authenticated(true);
        let slot = self.engine.shared.clients.insert(session);
        self.clients.push(Peer { slot, ..Peer::default() });
    }

    fn session(&mut self, client: usize) -> &mut Session {
        let slot = self.clients[client].slot;
        self.engine.shared.clients.get_mut(slot).expect("a client")
    }

    /// Sends commands of which nobody wants to see the replies.
    fn set_up(&mut self, client: usize, lines: &[&str]) {
        lines.iter().for_each(|line| self.send(client, line));
        self.got(client);
    }

    /// Sends a command; what it or anybody is answered arrives at once.
    fn send(&mut self, client: usize, line: &str) {
        let words = line.split(' ').map(str::as_bytes);
        self.clients[client].waiting.push_back(OwnedArgs::from_parts(words));
        self.engine.begin_turn();
        self.go_on(client);
        self.deliver();
    }

    /// Runs what a client has sent, up to what has to wait.
    fn go_on(&mut self, client: usize) {
        let slot = self.clients[client].slot;
        let is_busy = |waiting| matches!(waiting, Some(Waiting::Job | Waiting::Blocked));
        if is_busy(self.session(client).waiting) {
            return;
        }
        while let Some(args) = self.clients[client].waiting.pop_front() {
            let mut session = self.engine.shared.clients.checkout(slot).expect("a client");
            let (buffer, spans, blocks) = args.parts();
            let hint = HashHint::default();
            let request = Request { buffer, spans, blocks, command: None, hint };
            let mut out = Output::default();
            let outcome = self.engine.execute(&mut session, request, &mut out, &mut 0);
            self.engine.shared.clients.checkin(slot, session);
            self.clients[client].received.extend(out.to_bytes());
            match outcome {
                Outcome::Done => continue,
                Outcome::Postponed => self.clients[client].waiting.push_front(args),
                Outcome::Running => self.engine.shared.jobs.give_args(args),
                Outcome::Blocked => {
                    assert!(self.engine.shared.blocking.give_args(args) > 0);
                }
            }
            return;
        }
    }

    /// Carries out what commands asked of the network layer.
    fn deliver(&mut self) {
        loop {
            let outbox = &mut self.engine.shared.outbox;
            let replies = std::mem::take(&mut outbox.replies);
            let wakes = std::mem::take(&mut outbox.wakes);
            if replies.is_empty() && wakes.is_empty() {
                return;
            }
            let of = |slot: usize| self.clients.iter().position(|peer| peer.slot == slot);
            let mut next: Vec<usize> = replies.iter().filter_map(|&(slot, _)| of(slot)).collect();
            next.extend(wakes.into_iter().filter_map(of));
            for (slot, reply) in replies {
                let client = self.clients.iter_mut().find(|peer| peer.slot == slot);
                client.expect("a client").received.extend(reply.to_bytes());
            }
            next.into_iter().for_each(|client| self.go_on(client));
        }
    }

    /// A turn without commands.
    fn turn(&mut self) -> Work {
        self.engine.begin_turn();
        self.engine.shared.end_waits_due();
        let work = self.engine.run_jobs(1000);
        self.deliver();
        work
    }

    fn settle(&mut self) {
        while self.turn() == Work::Left {}
    }

    fn advance(&mut self, millis: u64) {
        self.time.advance(Duration::from_millis(millis));
        self.turn();
    }

    fn close(&mut self, client: usize) {
        let slot = self.clients[client].slot;
        self.engine.forget_client(slot);
        self.engine.shared.clients.remove(slot);
        self.clients[client] = Peer { slot: usize::MAX, ..Peer::default() };
    }

    /// What a client has received since the last look, with `|` for line ends.
    fn got(&mut self, client: usize) -> String {
        let received = std::mem::take(&mut self.clients[client].received);
        String::from_utf8_lossy(&received).replace("\r\n", "|")
    }

    fn send_and_get(&mut self, client: usize, line: &str) -> String {
        self.send(client, line);
        self.got(client)
    }

    fn assert_idle(&self) {
        let shared = &self.engine.shared;
        assert_eq!((shared.blocking.len(), shared.blocking.ready_len()), (0, 0));
        assert_eq!(shared.blocking.deadlines(), 0);
        assert!(!shared.jobs.is_active() && shared.blocking.is_empty());
        assert!(!self.engine.has_work_for_jobs());
    }
}

fn pair(key: &str, value: &str) -> String {
    format!("*2|${}|{key}|${}|{value}|", key.len(), value.len())
}

#[test]
fn the_first_to_wait_is_served_first_and_the_pipeline_goes_on() {
    let mut net = Net::new(3);
    net.send(0, "take a b 0");
    net.send(0, "ping");
    net.send(1, "take b 0");
    assert_eq!((net.got(0), net.got(1)), (String::new(), String::new()));
    assert_eq!(net.send_and_get(2, "set b 1"), "+OK|");
    assert_eq!(net.got(0), pair("b", "1") + "+PONG|");
    assert_eq!(net.got(1), "");
    assert_eq!(net.send_and_get(2, "set b 2"), "+OK|");
    assert_eq!(net.got(1), pair("b", "2"));
    assert_eq!(net.send_and_get(2, "exists b"), ":0|");
    net.assert_idle();
}

#[test]
fn a_command_of_many_keys_serves_in_the_order_it_sets_them() {
    let mut net = Net::new(4);
    net.send(0, "take a b c 0");
    net.send(1, "take b a 0");
    net.send(2, "take c 0");
    net.send(3, "mset b 1 c 2 a 3");
    assert_eq!(net.got(0), pair("b", "1"));
    assert_eq!(net.got(2), pair("c", "2"));
    assert_eq!(net.got(1), pair("a", "3"));
    net.assert_idle();
}

#[test]
fn a_chain_of_moves_runs_to_its_end() {
    let mut net = Net::new(5);
    for (client, line) in
        ["shift a b 0", "shift b c 0", "shift c a 0", "take a 0"].iter().enumerate()
    {
        net.send(client, line);
    }
    net.send(4, "set a x");
    for client in 0..3 {
        assert_eq!(net.got(client), "$1|x|", "client {client}");
    }
    assert_eq!(net.got(3), pair("a", "x"));
    net.assert_idle();
}

#[test]
fn timeouts_end_in_the_first_millisecond_after() {
    let mut net = Net::new(3);
    net.send(0, "take a 0.01");
    net.send(1, "shift a b 0.0101");
    net.send(2, "take a 0");
    assert_eq!(net.engine.shared.blocking.next_deadline_ms(), Some(1_000_011));
    net.advance(10);
    assert_eq!(net.got(0), "");
    net.advance(1);
    assert_eq!((net.got(0), net.got(1)), ("*-1|".to_owned(), String::new()));
    net.advance(1);
    assert_eq!(net.got(1), "*-1|");
    assert_eq!(net.engine.shared.blocking.next_deadline_ms(), None);
    net.send(0, "set a 1");
    assert_eq!(net.got(2), pair("a", "1"));
    net.assert_idle();
}

#[test]
fn timeouts_are_read_as_redis_reads_them() {
    let mut net = Net::new(2);
    let negative = "-ERR timeout is negative|";
    let no_float = "-ERR timeout is not a float or out of range|";
    for (text, reply) in [
        ("9223372036854776", negative),
        ("1e18", negative),
        ("inf", negative),
        ("-inf", negative),
        ("-1", negative),
        ("0x7FFFFFFFFFFFFFFF", negative),
        ("1e308", negative),
        ("abc", no_float),
        ("nan", no_float),
        ("", no_float),
        ("0.01x", no_float),
    ] {
        assert_eq!(net.send_and_get(0, &format!("take a {text}")), reply, "{text}");
    }
    // Rounded up to a millisecond, which makes nothing of what is above -1 ms; later than all time is never.
    for (text, until) in [
        ("-0.0001", None),
        ("9223372036854775", None),
        ("0.0001", Some(1_000_002)),
        ("2", Some(1_002_001)),
    ] {
        net.send(0, &format!("take a {text}"));
        assert_eq!(net.engine.shared.blocking.next_deadline_ms(), until, "{text}");
        net.send(1, "set a 1");
        assert_eq!(net.got(0), pair("a", "1"));
    }
    net.assert_idle();
}

#[test]
fn client_unblock_ends_a_wait() {
    let mut net = Net::new(2);
    net.send(0, "take a 0");
    assert!(net.send_and_get(1, "client list").contains("flags=bU "));
    assert!(net.send_and_get(1, "info clients").contains("blocked_clients:1|"));
    assert_eq!(net.send_and_get(1, "client unblock 1"), ":1|");
    assert_eq!(net.got(0), "*-1|");
    assert_eq!(net.send_and_get(1, "client unblock 1 timeout"), ":0|");
    net.send(0, "take a 0");
    assert_eq!(net.send_and_get(1, "client unblock 1 error"), ":1|");
    assert_eq!(net.got(0), "-UNBLOCKED client unblocked via CLIENT UNBLOCK|");
    assert_eq!(net.send_and_get(1, "client unblock 7 error"), ":0|");
    assert!(net.send_and_get(1, "info commandstats").contains("cmdstat_take:calls=2,"));
    assert!(net.send_and_get(1, "info errorstats").contains("errorstat_UNBLOCKED:count=1|"));
    net.assert_idle();
}

#[test]
fn who_leaves_is_not_served() {
    let mut net = Net::new(3);
    net.send(0, "take a b 5");
    net.send(1, "take b 0");
    net.close(0);
    net.set_up(2, &["set b 1"]);
    assert_eq!(net.got(1), pair("b", "1"));
    net.send(1, "take b 0");
    net.session(1).is_killed = true;
    assert_eq!(net.send_and_get(2, "set b 2"), "+OK|");
    assert_eq!(net.send_and_get(2, "get b"), "$1|2|");
    net.close(1);
    net.assert_idle();
}

#[test]
fn another_kind_wakes_nobody_and_errors_end_the_wait() {
    let mut net = Net::new(2);
    net.send(0, "guard a 0");
    // A string where a list is awaited.
    net.set_up(1, &["set a 1"]);
    assert_eq!(net.got(0), "-UNBLOCKED gone|");
    net.send(0, "guard a 0");
    assert_eq!(net.send_and_get(1, "del a"), ":1|");
    assert_eq!(net.got(0), "-UNBLOCKED gone|");
    for gone in ["flushall", "swapdb 0 1", "rename a b"] {
        net.send(1, "set a 1");
        net.send(0, "guard a 0");
        net.send(1, gone);
        assert_eq!(net.got(0), "-UNBLOCKED gone|", "{gone}");
    }
    assert!(!net.engine.shared.blocking.is_minding());
    net.assert_idle();
}

#[test]
fn a_key_that_expires_is_gone() {
    let mut net = Net::new(3);
    net.set_up(1, &["set a 1 px 100"]);
    net.send(0, "guard a 0");
    net.send(2, "take b 0");
    net.advance(101);
    // Whoever looks first deletes it.
    assert_eq!(net.send_and_get(1, "get a"), "$-1|");
    assert_eq!(net.got(0), "-UNBLOCKED gone|");
    net.send(1, "set b 2");
    assert_eq!(net.got(2), pair("b", "2"));
    assert!(!net.engine.dbs[0].record_expired, "nobody minds any longer");
    net.assert_idle();
}

#[test]
fn keys_come_from_everywhere() {
    let mut net = Net::new(2);
    let ways: &[(&[&str], &str)] = &[
        (&["set x 1", "rename x a"], "a"),
        (&["set x 1", "copy x a"], "a"),
        (&["select 1", "set a 1", "move a 0"], "a"),
        (&["select 1", "set x 1", "copy x a db 0"], "a"),
        (&["select 1", "set a 1", "swapdb 0 1"], "a"),
        (&["setrange a 0 1"], "a"),
        (&["incr a"], "a"),
    ];
    for (lines, key) in ways {
        net.send(0, "take a 0");
        lines.iter().for_each(|line| net.send(1, line));
        assert_eq!(net.got(0), pair(key, "1"), "{lines:?}");
        net.send(1, "select 0");
        net.send(1, "flushall");
    }
    net.assert_idle();
}

#[test]
fn replies_off_stay_off_and_nobody_waits_where_it_is_denied() {
    let mut net = Net::new(2);
    net.session(0).replies = Replies::Off;
    net.send(0, "take a 0");
    net.send(1, "set a 1");
    assert_eq!(net.got(0), "");
    net.session(0).replies = Replies::On;
    net.session(0).is_blocking_denied = true;
    assert_eq!(net.send_and_get(0, "take a 0"), "*-1|");
    assert_eq!(net.send_and_get(0, "shift a b 0"), "$-1|");
    net.session(0).resp = Resp::V3;
    assert_eq!(net.send_and_get(0, "take a 0"), "_|");
    net.assert_idle();
}

#[test]
fn what_does_not_fit_into_a_turn_goes_on_and_nobody_overtakes() {
    let mut net = Net::new(4);
    net.engine.shared.jobs.force_units(Some(1));
    net.send(0, "shift a b 0");
    net.send(1, "shift b c 0");
    net.send(2, "take c 0");
    // One is served at once, the others in slices.
    net.engine.shared.jobs.stop_after(Some(0));
    assert_eq!(net.send_and_get(3, "append a x"), ":1|");
    assert_eq!((net.got(0), net.got(1)), ("$1|x|".to_owned(), String::new()));
    // b waits for its turn, and is not there for others before.
    net.send(3, "getdel b");
    net.settle();
    assert_eq!((net.got(1), net.got(3)), (String::new(), String::new()));
    net.engine.shared.jobs.stop_after(None);
    net.settle();
    assert_eq!((net.got(1), net.got(2)), ("$1|x|".to_owned(), pair("c", "x")));
    assert_eq!(net.got(3), "$-1|");
    net.assert_idle();
}

#[test]
fn a_held_key_is_served_once_it_is_free() {
    let mut net = Net::new(5);
    net.send(0, "shift a b 0");
    net.send(1, "set b old");
    net.engine.shared.jobs.force_units(Some(1));
    net.engine.shared.jobs.stop_after(Some(0));
    // It holds b and c.
    net.send(2, "mget b c");
    net.engine.shared.jobs.stop_after(Some(2));
    net.settle();
    net.engine.shared.jobs.force_units(None);
    net.send(1, "append a new");
    assert_eq!((net.got(0), net.got(2)), (String::new(), String::new()));
    // Behind the one who has waited longer.
    net.send(3, "getdel a");
    net.send(4, "get other");
    assert_eq!((net.got(3), net.got(4)), (String::new(), "$-1|".to_owned()));
    net.engine.shared.jobs.stop_after(None);
    net.settle();
    assert_eq!(net.got(2), "*2|$3|old|$-1|");
    assert_eq!((net.got(0), net.got(3)), ("$3|new|".to_owned(), "$-1|".to_owned()));
    assert_eq!(net.send_and_get(1, "get b"), "+OK|:3|$3|new|");
    net.assert_idle();
}

/// What a few clients may do to a few keys, naively.
#[derive(Default)]
struct Model {
    strings: BTreeMap<String, String>,
    /// Client, keys, and where to move what it takes.
    waiters: Vec<(usize, Vec<String>, Option<String>)>,
    replies: BTreeMap<usize, String>,
}

impl Model {
    fn reply(&mut self, client: usize, text: &str) {
        self.replies.entry(client).or_default().push_str(text);
    }

    fn give(
        &mut self,
        client: usize,
        key: &str,
        target: Option<&str>,
        ready: &mut VecDeque<String>,
    ) {
        let Some(value) = self.strings.remove(key) else { return };
        match target {
            None => self.reply(client, &pair(key, &value)),
            Some(target) => {
                self.reply(client, &format!("${}|{value}|", value.len()));
                self.strings.insert(target.to_owned(), value);
                ready.push_back(target.to_owned());
            }
        }
    }

    fn wait(&mut self, client: usize, keys: &[&str], target: Option<&str>) {
        let mut ready = VecDeque::new();
        match keys.iter().find(|key| self.strings.contains_key(**key)) {
            Some(key) => self.give(client, key, target, &mut ready),
            None => {
                let keys = keys.iter().map(|&key| key.to_owned()).collect();
                self.waiters.push((client, keys, target.map(str::to_owned)));
            }
        }
        self.serve(ready);
    }

    fn serve(&mut self, mut ready: VecDeque<String>) {
        while let Some(key) = ready.pop_front() {
            let mut from = 0;
            while self.strings.contains_key(&key) {
                let waits =
                    |(_, keys, _): &(usize, Vec<String>, Option<String>)| keys.contains(&key);
                let Some(at) = self.waiters.iter().skip(from).position(waits) else { break };
                from += at;
                let (client, _, target) = self.waiters.remove(from);
                self.give(client, &key, target.as_deref(), &mut ready);
            }
        }
    }

    fn is_waiting(&self, client: usize) -> bool {
        self.waiters.iter().any(|waiter| waiter.0 == client)
    }

    /// One command of a client that does not wait.
    fn run(&mut self, client: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["take", ref keys @ .., _] => self.wait(client, keys, None),
            ["shift", from, to, _] => self.wait(client, &[from], Some(to)),
            ["mset", a, x, b, y] => {
                self.strings.insert(a.to_owned(), x.to_owned());
                self.strings.insert(b.to_owned(), y.to_owned());
                self.reply(client, "+OK|");
                self.serve([a.to_owned(), b.to_owned()].into());
            }
            ["rename", from, to] => match self.strings.remove(from) {
                None => self.reply(client, "-ERR no such key|"),
                Some(value) => {
                    self.strings.insert(to.to_owned(), value);
                    self.reply(client, "+OK|");
                    self.serve([to.to_owned()].into());
                }
            },
            ["getdel", key] => {
                let value = self.strings.remove(key);
                let text = value.map_or("$-1|".to_owned(), |v| format!("${}|{v}|", v.len()));
                self.reply(client, &text);
            }
            ["client", "unblock", id] => {
                let target = id.parse::<usize>().unwrap() - 1;
                let is_waiting = self.is_waiting(target);
                if is_waiting {
                    self.waiters.retain(|waiter| waiter.0 != target);
                    self.reply(target, "*-1|");
                }
                self.reply(client, if is_waiting { ":1|" } else { ":0|" });
            }
            _ => panic!("{line}"),
        }
    }
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const CLIENTS: usize = 6;

fn line_of(what: u8, one: usize, other: usize, number: usize) -> String {
    let (a, b) = (KEYS[one % 4], KEYS[other % 4]);
    match what {
        0 | 1 => format!("take {a} {b} 0"),
        2 | 3 => format!("shift {a} {b} 0"),
        4 | 5 => format!("mset {a} {number} {b} {number}x"),
        6 => format!("rename {a} {b}"),
        7 => format!("getdel {a}"),
        _ => format!("client unblock {}", other % CLIENTS + 1),
    }
}

proptest::proptest! {
    /// Everybody gets what a naive server would give.
    #[test]
    fn serving_agrees_with_a_model(
        steps in proptest::collection::vec((0u8..9, 0..CLIENTS, 0usize..4, 0usize..6), 0..120),
    ) {
        let (mut net, mut model) = (Net::new(CLIENTS), Model::default());
        for (number, (what, client, one, other)) in steps.into_iter().enumerate() {
            let line = line_of(what, one, other, number);
            if model.is_waiting(client) || (what == 6 && one % 4 == other % 4) {
                continue;
            }
            model.run(client, &line);
            net.send(client, &line);
            for peer in 0..CLIENTS {
                let expected = model.replies.remove(&peer).unwrap_or_default();
                let got = net.got(peer);
                proptest::prop_assert_eq!(got, expected, "client {} after {}", peer, &line);
            }
        }
        proptest::prop_assert_eq!(net.engine.shared.blocking.len(), model.waiters.len());
    }

    /// With slices of one unit, and commands that wait for each other: every value that was put is taken once or still
    /// there, and nobody waits for ever.
    #[test]
    fn nothing_is_lost_between_slices(
        steps in proptest::collection::vec(
            (0u8..9, 0..CLIENTS, 0usize..4, 0usize..6, 0u8..4),
            0..120,
        ),
    ) {
        let mut net = Net::new(CLIENTS + 1);
        net.engine.shared.jobs.force_units(Some(1));
        // What each client has asked for: the values it puts, if it puts any.
        let mut asked: Vec<VecDeque<Vec<String>>> = vec![VecDeque::new(); CLIENTS];
        for (number, (what, client, one, other, turns)) in steps.into_iter().enumerate() {
            let (a, b) = (KEYS[one % 4], KEYS[other % 4]);
            let (line, values) = match what {
                0 | 1 => (format!("take {a} {b}b 0"), vec![]),
                2 => (format!("touch {a} {b}b {a}"), vec![]),
                3..=5 => {
                    let values = vec![format!("v{number}"), format!("v{number}b")];
                    (format!("msetnx {a} {} {b}b {}", values[0], values[1]), values)
                }
                6 => (format!("getdel {a}"), vec![]),
                7 => (format!("take {b}b {a} 0"), vec![]),
                _ => (format!("getdel {b}b"), vec![]),
            };
            asked[client].push_back(values);
            net.send(client, &line);
            for _ in 0..turns {
                net.turn();
            }
        }
        net.settle();
        net.engine.shared.jobs.force_units(None);
        // Whoever still waits goes.
        while !net.engine.shared.blocking.is_empty() {
            for client in 0..CLIENTS {
                net.send(CLIENTS, &format!("client unblock {}", client + 1));
            }
            net.settle();
        }
        let waits = |&at: &usize| net.session(at).waiting.is_some();
        let waiting: Vec<_> = (0..CLIENTS).filter(waits).collect();
        proptest::prop_assert!(waiting.is_empty(), "waiting for ever: {:?}", waiting);
        net.assert_idle();
        let (mut put, mut seen) = (Vec::new(), Vec::new());
        for (client, asked) in asked.into_iter().enumerate() {
            let text = net.got(client);
            let mut words = text.split('|');
            for values in asked {
                match words.next().unwrap() {
                    ":1" | ":2" | ":3" => put.extend(values),
                    ":0" | "*-1" | "$-1" => {}
                    "*2" => seen.extend(words.by_ref().nth(3).map(str::to_owned)),
                    _ => seen.extend(words.next().map(str::to_owned)),
                }
            }
            proptest::prop_assert_eq!(words.next(), Some(""), "client {} got more", client);
        }
        for key in KEYS.iter().flat_map(|key| [key.to_string(), format!("{key}b")]) {
            let text = net.send_and_get(CLIENTS, &format!("get {key}"));
            seen.extend(text.split('|').filter(|word| word.starts_with('v')).map(str::to_owned));
        }
        put.sort();
        seen.sort();
        proptest::prop_assert_eq!(put, seen);
    }
}
