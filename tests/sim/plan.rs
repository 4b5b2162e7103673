//! What a run is to do, made from a seed alone: a list of steps, each of which makes sense after any others, so that
//! any of them can be left out and the rest played again.
mod collections;

use collections::Kinds;
use rufous::base::random::Random;

use super::history::{Words, show_words, transaction};
use super::wire::Door;

/// One thing the driver does.
#[derive(Clone, Debug)]
pub enum Step {
    /// The client at this place sends a command; it connects first where it is not connected.
    Send(usize, Words),
    /// So many bytes of it arrive.
    Deliver(usize, usize),
    /// A turn of the loop, in which the events of these clients are told (a bit each).
    Turn(u32),
    /// A client receives so many bytes.
    Receive(usize, usize),
    /// A client closes its sending half.
    ShutDown(usize),
    /// A client breaks off.
    Abort(usize),
    /// Time passes, in milliseconds.
    Advance(u64),
    /// Room for bytes towards the server and from it.
    Room(usize, usize, usize),
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it came from.
    pub seed: u64,
    /// What the clients speak.
    pub doors: Vec<Door>,
    /// Nanoseconds between two looks at the counter.
    pub ticks_per_reading: u64,
    /// Units of work in a slice of a job; `None`: as much as time allows.
    pub units: Option<u64>,
    /// It is about collections and commands that wait.
    pub has_collections: bool,
    /// Options of the server.
    pub options: Vec<(&'static str, &'static str)>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// Random choices with names.
struct Dice {
    random: Random,
    /// Makes values unique.
    counter: u64,
    is_big: bool,
    /// Most keys are given a short time to live.
    is_mortal: bool,
    /// Which commands there are, by a hash of their names: few of them meet each other more often.
    allowed: u64,
    /// Which collections there are, if any.
    kinds: Option<Kinds>,
    /// Some commands are sent as transactions.
    has_transactions: bool,
}

impl Plan {
    /// The plan of a seed, with strings only.
    pub fn of(seed: u64) -> Plan {
        Dice::new(seed ^ 0x5eed).plan(seed)
    }

    /// The plan of a seed with collections.
    pub fn of_collections(seed: u64) -> Plan {
        let mut dice = Dice::new(seed ^ 0xc011);
        dice.kinds = Some(dice.kinds());
        dice.plan(seed)
    }

    /// The plan of a seed with transactions.
    pub fn of_transactions(seed: u64) -> Plan {
        let mut dice = Dice::new(seed ^ 0x7a45);
        dice.has_transactions = true;
        dice.plan(seed)
    }

    /// For a report.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "doors {:?}, {} ns per reading, {:?} units, {:?}\n",
            self.doors, self.ticks_per_reading, self.units, self.options
        );
        for step in &self.steps {
            text += &match step {
                Step::Send(client, words) => format!("    Send({client}, {})\n", show_words(words)),
                other => format!("    {other:?}\n"),
            };
        }
        text
    }
}

impl Dice {
    fn new(seed: u64) -> Dice {
        let random = Random::from_seed(seed);
        let (is_big, is_mortal) = (false, false);
        Dice {
            random,
            counter: 0,
            is_big,
            is_mortal,
            allowed: u64::MAX,
            kinds: None,
            has_transactions: false,
        }
    }

    fn plan(&mut self, seed: u64) -> Plan {
        let dice = self;
        dice.is_big = dice.one_in(20) && dice.kinds.is_none();
        dice.is_mortal = dice.one_in(3);
        if !dice.one_in(3) {
            dice.allowed = dice.random.next_u64() & dice.random.next_u64();
        }
        let clients = 2 + dice.below(4);
        let mixes_doors = dice.one_in(2) && dice.kinds.is_none();
        let doors = (0..clients).map(|_| dice.door(mixes_doors)).collect();
        let ticks_per_reading = dice.pick(&[0, 0, 100, 20_000, 400_000, 3_000_000]);
        let mut options = vec![("hz", dice.pick(&["1", "10", "500"])), ("test-mode", "yes")];
        if dice.one_in(3) {
            options.push(("max-stall-us", dice.pick(&["50", "1000"])));
        }
        if dice.one_in(10) {
            options.push(("client-output-buffer-limit", "normal 2000 500 1"));
        }
        if dice.one_in(10) {
            options.push(("timeout", "1"));
        }
        if dice.one_in(10) {
            options.push(("maxclients", "3"));
        }
        let units = dice.pick(&[None, Some(1), Some(1), Some(2), Some(3), Some(1000)]);
        let (has_collections, steps) = (dice.kinds.is_some(), Vec::new());
        let mut plan =
            Plan { seed, doors, ticks_per_reading, units, has_collections, options, steps };
        let sends = 20 + dice.below(40);
        let eagerness = dice.pick(&[20, 50, 90]);
        for _ in 0..sends {
            let client = dice.below(clients);
            let words = dice.allowed_command(plan.doors[client], clients);
            plan.steps.push(Step::Send(client, words));
            while dice.below(100) < eagerness {
                let step = dice.other_step(clients);
                plan.steps.push(step);
            }
        }
        plan
    }

    fn below(&mut self, n: usize) -> usize {
        self.random.below(n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn door(&mut self, mixes: bool) -> Door {
        if mixes { self.pick(&Door::ALL) } else { self.pick(&[Door::Resp2, Door::Resp3]) }
    }

    fn other_step(&mut self, clients: usize) -> Step {
        let client = self.below(clients);
        if self.is_mortal && self.one_in(8) {
            return Step::Advance(self.pick(&[1, 4, 6, 20]));
        }
        match self.below(100) {
            0..30 => Step::Deliver(client, self.size()),
            30..62 => Step::Turn(self.random.next_u64() as u32 | self.pick(&[0, 0, u32::MAX])),
            62..85 => Step::Receive(client, self.size()),
            85..94 => Step::Advance(self.pick(&[0, 1, 1, 4, 5, 20, 100, 1000])),
            94..97 => {
                let mut room = || self.pick(&[1, 16, 100, 65_536]);
                Step::Room(client, room(), room())
            }
            97..98 => Step::ShutDown(client),
            _ if self.one_in(2) => Step::Abort(client),
            _ => Step::Turn(u32::MAX),
        }
    }

    fn size(&mut self) -> usize {
        match self.below(4) {
            0 => 1 + self.below(8),
            1 => 1 + self.below(60),
            _ => usize::MAX,
        }
    }

    fn key(&mut self) -> String {
        format!("k{}", 1 + self.below(4))
    }

    /// Unique, or a small number so that INCR has something to do.
    fn value(&mut self) -> String {
        self.counter += 1;
        match self.below(10) {
            0..3 => self.below(20).to_string(),
            3 if self.is_big => format!("v{}{}", self.counter, "w".repeat(33_000)),
            _ => format!("v{}", self.counter),
        }
    }

    fn ttl_ms(&mut self) -> i64 {
        self.pick(&[1, 4, 5, 20, 25, 100, 1500])
    }

    fn allowed_command(&mut self, door: Door, clients: usize) -> Words {
        const TRIES: usize = 30;
        for _ in 0..TRIES {
            let words = self.command(door, clients);
            let hash = words[0].iter().fold(7u32, |hash, &byte| hash * 31 % 1009 + u32::from(byte));
            if self.allowed >> (hash % 64) & 1 == 1 {
                return words;
            }
        }
        self.command(door, clients)
    }

    fn command(&mut self, door: Door, clients: usize) -> Words {
        let line = match door {
            Door::Resp2 | Door::Resp3 if self.has_transactions && self.one_in(3) => {
                return self.transaction();
            }
            Door::Resp2 | Door::Resp3 if self.kinds.is_some() => self.with_collections(clients),
            Door::Resp2 | Door::Resp3 => match self.below(20) {
                0..9 => self.simple(),
                9..13 => self.of_many(),
                13..17 => self.of_keyspace(),
                _ => self.of_connection(clients),
            },
            Door::Simpledb => self.simpledb(),
            Door::Msgpack => match self.below(5) {
                0..2 => vec!["GET".into(), self.key()],
                2..4 => vec!["SET".into(), self.key(), self.value()],
                _ => vec!["FORGET".into(), self.key()],
            },
            Door::Kvstore => match self.below(6) {
                0..2 => vec!["GET".into(), self.key()],
                2..4 => vec!["SET".into(), self.key(), self.value()],
                4 => vec!["CLEAR".into(), self.key()],
                _ => vec!["PING".into(), "text".into()],
            },
        };
        line.into_iter().map(String::into_bytes).collect()
    }

    /// Commands that do not concern the connection itself, run by EXEC.
    fn transaction(&mut self) -> Words {
        let count = 1 + self.below(4);
        let parts: Vec<Words> = (0..count)
            .map(|_| {
                let line = match self.below(9) {
                    0..4 => self.simple(),
                    4..7 => self.of_many(),
                    _ => self.of_keyspace(),
                };
                line.into_iter().map(String::into_bytes).collect()
            })
            .collect();
        transaction(&parts)
    }

    /// A command of one key.
    fn simple(&mut self) -> Vec<String> {
        let key = self.key();
        let small = |dice: &mut Dice| (dice.below(16) as i64 - 5).to_string();
        let (name, args): (&str, Vec<String>) = match self.below(26) {
            0..4 => ("GET", vec![]),
            4..7 => ("SET", self.set_options()),
            7 => ("APPEND", vec![format!("w{}", self.counter)]),
            8..11 => ("INCR", vec![]),
            11 => ("DECRBY", vec!["3".into()]),
            12 => ("GETDEL", vec![]),
            13 => ("GETSET", vec![self.value()]),
            14 => ("SETNX", vec![self.value()]),
            15 => ("PSETEX", vec![self.ttl_ms().to_string(), self.value()]),
            16 => {
                let mut args = vec![(self.ttl_ms() - 1).to_string()];
                if self.one_in(2) {
                    args.push(self.pick(&["NX", "XX", "GT", "LT"]).to_owned());
                }
                ("PEXPIRE", args)
            }
            17 => ("EXPIRE", vec![self.pick(&["0", "1", "2"]).to_owned()]),
            18 => ("PERSIST", vec![]),
            19 => (self.pick(&["TTL", "PTTL", "PTTL", "PEXPIRETIME", "EXPIRETIME"]), vec![]),
            20 => ("GETRANGE", vec![small(self), small(self)]),
            21 => ("SETRANGE", vec![self.below(6).to_string(), self.pick(&["", "x", "yz"]).into()]),
            22 => (self.pick(&["STRLEN", "TYPE"]), vec![]),
            23 => ("DUMP", vec![]),
            24 => {
                let mut args = vec![self.pick(&["0", "0", "5", "100"]).to_owned(), self.value()];
                if self.one_in(2) {
                    args.push("REPLACE".into());
                }
                ("RESTORE", args)
            }
            _ => ("GETEX", vec!["PX".into(), self.ttl_ms().to_string()]),
        };
        [name.to_owned(), key].into_iter().chain(args).collect()
    }

    fn set_options(&mut self) -> Vec<String> {
        let mut args = vec![self.value()];
        if self.is_mortal && !self.one_in(4) {
            args.extend(["PX".into(), self.pick(&["5", "5", "20"]).to_owned()]);
            return args;
        }
        if self.one_in(4) {
            args.push(self.pick(&["NX", "XX"]).to_owned());
        }
        if self.one_in(5) {
            args.push("GET".into());
        }
        match self.below(6) {
            0 => args.extend(["PX".into(), self.ttl_ms().to_string()]),
            1 => args.push("KEEPTTL".into()),
            _ => {}
        }
        args
    }

    /// A command of several keys.
    fn of_many(&mut self) -> Vec<String> {
        let name = self.pick(&[
            "MGET", "MGET", "MSET", "MSET", "MSETNX", "DEL", "EXISTS", "UNLINK", "TOUCH", "RENAME",
            "RENAMENX", "COPY", "MOVE", "LCS",
        ]);
        let mut line = vec![name.to_owned(), self.key()];
        match name {
            "MSET" | "MSETNX" => {
                line.push(self.value());
                for _ in 0..1 + self.below(3) {
                    line.extend([self.key(), self.value()]);
                }
            }
            "RENAME" | "RENAMENX" => line.push(self.key()),
            "LCS" if self.is_big => line = vec!["GET".into(), self.key()],
            "LCS" => line.push(self.key()),
            "MOVE" => line.push(self.pick(&["0", "1"]).to_owned()),
            "COPY" => {
                line.push(self.key());
                if self.one_in(2) {
                    line.extend(["DB".into(), self.pick(&["0", "1"]).to_owned()]);
                }
                if self.one_in(2) {
                    line.push("REPLACE".into());
                }
            }
            _ => line.extend((0..self.below(4)).map(|_| self.key()).collect::<Vec<_>>()),
        }
        line
    }

    /// A command that concerns all keys.
    fn of_keyspace(&mut self) -> Vec<String> {
        let line: &[&str] = match self.below(16) {
            0..4 => &["KEYS", "*"],
            4 => &["KEYS", "k[1-2]"],
            5..8 => &["DBSIZE"],
            8 => &["FLUSHALL"],
            9 => &["FLUSHDB", "ASYNC"],
            10 => &["SWAPDB", "0", "1"],
            11..13 => &["RANDOMKEY"],
            13..15 => &["SCAN", "0", "COUNT", "1000"],
            _ => &["SCAN", "0", "COUNT", "1"],
        };
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    /// A command that concerns clients.
    fn of_connection(&mut self, clients: usize) -> Vec<String> {
        let line: Vec<&str> = match self.below(17) {
            0..4 => vec!["SELECT", self.pick(&["0", "0", "1"])],
            4 => vec!["PING"],
            5 => vec!["ECHO", "text"],
            6..8 => vec!["PAUSE", self.pick(&["0", "3", "30"]), self.pick(&["ALL", "WRITE"])],
            8 => vec!["UNPAUSE"],
            9 => return vec!["KILL".into(), format!("@{}", self.below(clients))],
            10 => vec!["NOTOUCH", self.pick(&["on", "off"])],
            11..14 => vec!["REPLY", self.pick(&["ON", "ON", "OFF", "SKIP"])],
            14..16 => vec!["CLOCK", "ADVANCE", self.pick(&["0", "1", "5", "100"])],
            16 if self.one_in(2) => vec!["GARBAGE"],
            _ => vec!["QUIT"],
        };
        line.into_iter().map(str::to_owned).collect()
    }

    fn simpledb(&mut self) -> Vec<String> {
        let key = self.key();
        let (name, args): (&str, Vec<String>) = match self.below(20) {
            0..3 => ("GET", vec![key]),
            3..6 => ("SET", vec![key, self.value()]),
            6 => ("DEL", vec![key]),
            7 => ("DEL", vec![key, self.key()]),
            8..10 => ("MGET", vec![key, self.key(), self.key()]),
            10..12 => ("MSET", vec![key, self.value(), self.key(), self.value()]),
            12 => ("EXISTS", vec![key]),
            13 => ("INCR", vec![key]),
            14 => ("GETSET", vec![key, self.value()]),
            15 => ("SETNX", vec![key, self.value()]),
            16 => ("SETEX", vec![key, "1".into(), self.value()]),
            17 => ("GETDEL", vec![key]),
            18 => ("MPOP", vec![key, self.key()]),
            _ => match self.below(4) {
                0 => ("EXPIRE", vec![key, "1".into()]),
                1 => ("DBSIZE", vec![]),
                2 => ("FLUSH", vec![]),
                _ => ("FLUSHALL", vec![]),
            },
        };
        [name.to_owned()].into_iter().chain(args).collect()
    }
}
