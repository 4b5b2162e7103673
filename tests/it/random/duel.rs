//! Two servers that are sent the same.

use std::fmt;
use std::time::Duration;

use rufous::base::random::Random;

use super::compare::Check;
use super::events::{self, Ear};
use super::grammar::pick;
use super::{Request, Step, last, shown};
use crate::support::play::encode;
use crate::support::process::{Kind, Process};
use crate::support::reply::{Reply, Trouble, decode, lines};
use crate::support::target::{Link, Received, Target};

/// Silence for this long is a server that hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of a reply that are shown.
const LINES_SHOWN: usize = 40;

/// What both servers are told before a history.
#[derive(Clone, Debug)]
pub struct Settings {
    is_resp3: bool,
    /// Our jobs run in slices of one unit.
    is_sliced: bool,
    /// What `notify-keyspace-events` says: every event must be the same, too.
    events: &'static str,
    options: Vec<(&'static str, &'static str)>,
}

/// Limits of the packed forms, and what they may be.
const OPTIONS: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["512", "512", "4", "128"]),
    ("hash-max-listpack-value", &["64", "64", "4"]),
    ("set-max-intset-entries", &["512", "512", "3"]),
    ("zset-max-listpack-entries", &["128", "128", "4"]),
    ("zset-max-listpack-value", &["64", "64", "4"]),
    ("list-max-listpack-size", &["-2", "-2", "-1", "1", "4", "128"]),
    ("list-compress-depth", &["0", "0", "1"]),
    ("stream-node-max-entries", &["100", "100", "3", "0"]),
    ("stream-node-max-bytes", &["4096", "4096", "100", "0"]),
    ("hll-sparse-max-bytes", &["3000", "3000", "50", "0"]),
];

/// What is told of keys.
const EVENTS: &[&str] = &["KEA", ""];

impl Settings {
    /// Any.
    pub fn choose(random: &mut Random) -> Settings {
        let events = *pick(random, EVENTS);
        Settings {
            is_resp3: random.below(2) == 0,
            is_sliced: random.below(2) == 0,
            events,
            options: OPTIONS.iter().map(|(name, values)| (*name, *pick(random, values))).collect(),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "RESP{}", if self.is_resp3 { 3 } else { 2 })?;
        if self.is_sliced {
            writeln!(out, "rufous: DEBUG JOBS UNITS 1")?;
        }
        if !self.events.is_empty() {
            writeln!(out, "CONFIG SET notify-keyspace-events {}", self.events)?;
        }
        for (index, (name, value)) in self.options.iter().enumerate() {
            if *value != OPTIONS[index].1[0] {
                writeln!(out, "CONFIG SET {name} {value}")?;
            }
        }
        Ok(())
    }
}

/// Where and how the servers disagree.
pub struct Mismatch {
    /// Index of the step; beyond the last one, what was there at the end differs.
    pub step: usize,
    /// The name in the request, or what went wrong otherwise.
    pub command: String,
    text: String,
}

impl Mismatch {
    /// Says more about it.
    pub fn add(&mut self, text: &str) {
        self.text += text;
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// One server and the connection to it.
struct Side {
    kind: Kind,
    process: Process,
    link: Box<dyn Link>,
    /// Listens to all events.
    ear: Ear,
}

impl Side {
    fn start(kind: Kind) -> Side {
        let mut process = Process::start(kind, false).expect("a server starts");
        let link = process.connect().expect("a server accepts connections");
        let ear = Ear::open(process.connect().expect("a server accepts connections"));
        Side { kind, process, link, ear }
    }

    /// Sends all, and reads a reply for each.
    fn ask(&mut self, requests: &[&Request]) -> Result<Vec<Reply>, String> {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        self.link.send(&bytes).map_err(|error| error.to_string())?;
        let (mut received, mut used) = (Vec::new(), 0);
        let mut replies = Vec::with_capacity(requests.len());
        while replies.len() < requests.len() {
            match decode(&received[used..]) {
                Ok((reply, length)) => {
                    used += length;
                    replies.push(reply);
                }
                Err(Trouble::Malformed(what)) => return Err(what),
                Err(Trouble::Incomplete) => match self.link.receive(&mut received, PATIENCE) {
                    Ok(Received::Bytes) => {}
                    outcome => {
                        let asked = shown(requests[replies.len()]);
                        return Err(format!("{outcome:?} instead of a reply to {asked}"));
                    }
                },
            }
        }
        Ok(replies)
    }

    /// Empty, and as the settings want it.
    fn prepare(&mut self, settings: &Settings) -> Result<(), String> {
        let protocol = if settings.is_resp3 { "3" } else { "2" };
        let units = if settings.is_sliced { "1" } else { "0" };
        let mut requests =
            vec![request(&["HELLO", protocol]), request(&["FLUSHALL"]), request(&["SELECT", "0"])];
        if self.kind == Kind::Rufous {
            requests.push(request(&["DEBUG", "JOBS", "UNITS", units]));
        }
        requests.push(request(&["CONFIG", "SET", "notify-keyspace-events", settings.events]));
        let options = settings.options.iter();
        requests.extend(options.map(|(name, value)| request(&["CONFIG", "SET", name, value])));
        let requests: Vec<&Request> = requests.iter().collect();
        let replies = self.ask(&requests)?;
        match replies.iter().position(|reply| matches!(reply, Reply::Error(_))) {
            Some(at) => Err(format!("{}: {:?}", shown(requests[at]), replies[at])),
            None => {
                // A new one: the last history may have ended before its last mark.
                let link = self.process.connect().map_err(|error| error.to_string())?;
                self.ear = Ear::open(link);
                Ok(())
            }
        }
    }
}

/// A request of these words.
pub fn request(words: &[&str]) -> Request {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Redis and our server.
pub struct Duel {
    redis: Side,
    rufous: Side,
}

impl Duel {
    /// Starts both.
    pub fn start() -> Duel {
        Duel { redis: Side::start(Kind::Redis), rufous: Side::start(Kind::Rufous) }
    }

    /// Full names of the commands that both have, in lower case.
    pub fn common_commands(&mut self) -> Vec<String> {
        let [theirs, ours] = [&mut self.redis, &mut self.rufous].map(|side| {
            let replies = side.ask(&[&request(&["COMMAND"])]).expect("a list of commands");
            let mut names = Vec::new();
            collect_names(&replies[0], &mut names);
            names
        });
        theirs.into_iter().filter(|name| ours.contains(name)).collect()
    }

    /// Plays a history; how many replies were the same, or the first difference.
    pub fn play(&mut self, settings: &Settings, history: &[Step]) -> Result<usize, Mismatch> {
        let outcome = self.try_play(settings, history);
        if let Err(mismatch) = &outcome
            && mismatch.step == usize::MAX
        {
            // One of them is gone or talks nonsense.
            *self = Duel::start();
        }
        outcome
    }

    fn try_play(&mut self, settings: &Settings, history: &[Step]) -> Result<usize, Mismatch> {
        self.redis.prepare(settings).expect("Redis is ready");
        self.rufous.prepare(settings).map_err(|what| self.broken(what))?;
        let mark = request(&["PUBLISH", events::MARK, "step"]);
        let is_heard = !settings.events.is_empty();
        let requests: Vec<&Request> = history
            .iter()
            .flat_map(|step| std::iter::once(&step.request).chain(&step.then))
            .flat_map(|request| std::iter::once(request).chain(is_heard.then_some(&mark)))
            .collect();
        let (mut theirs, mut ours) = self.ask_both(&requests)?;
        if is_heard {
            for replies in [&mut theirs, &mut ours] {
                *replies = std::mem::take(replies).into_iter().step_by(2).collect();
            }
        }
        let mut compared = 0;
        for (index, step) in history.iter().enumerate() {
            let then = step.then.is_some().then(|| &theirs[compared + 1]);
            if !step.check.agrees(&step.request, &theirs[compared], &ours[compared], then) {
                let (theirs, ours) = (&theirs[compared], &ours[compared]);
                return Err(mismatch(index, &step.request, theirs, ours));
            }
            compared += 1 + usize::from(step.then.is_some());
        }
        if is_heard {
            self.compare_events(history)?;
        }
        compared += last::compare(self, history.len())?;
        Ok(compared)
    }

    /// What has been told of keys, step by step.
    fn compare_events(&mut self, history: &[Step]) -> Result<(), Mismatch> {
        for (index, step) in history.iter().enumerate() {
            for request in std::iter::once(&step.request).chain(&step.then) {
                let theirs = self.redis.ear.hear().expect("Redis tells");
                let ours = self.rufous.ear.hear().map_err(|what| self.broken(what))?;
                // What is deleted by names that mean nothing, and so what is left for DEL, is another thing on each.
                if theirs != ours && !matches!(step.check, Check::Open) {
                    let [theirs, ours] = [theirs, ours]
                        .map(|events| Reply::Array(events.into_iter().map(Reply::Bulk).collect()));
                    return Err(mismatch(index, request, &theirs, &ours));
                }
            }
        }
        Ok(())
    }

    /// What both reply.
    pub fn ask_both(
        &mut self,
        requests: &[&Request],
    ) -> Result<(Vec<Reply>, Vec<Reply>), Mismatch> {
        let theirs = self.redis.ask(requests).expect("Redis replies");
        let ours = self.rufous.ask(requests).map_err(|what| self.broken(what))?;
        Ok((theirs, ours))
    }

    /// What each replies to what it alone is asked.
    pub fn ask_each(
        &mut self,
        redis: &[&Request],
        rufous: &[&Request],
    ) -> Result<(Vec<Reply>, Vec<Reply>), Mismatch> {
        let theirs = self.redis.ask(redis).expect("Redis replies");
        let ours = self.rufous.ask(rufous).map_err(|what| self.broken(what))?;
        Ok((theirs, ours))
    }

    fn broken(&mut self, what: String) -> Mismatch {
        let log = self.rufous.process.log_tail();
        let text = format!("rufous: {what}\n{log}\n");
        Mismatch { step: usize::MAX, command: "(broken)".into(), text }
    }
}

/// A difference in the replies to a request.
pub fn mismatch(step: usize, request: &Request, theirs: &Reply, ours: &Reply) -> Mismatch {
    let show = |reply: &Reply| {
        let lines = lines(reply);
        let mut text: String =
            lines.iter().take(LINES_SHOWN).map(|line| format!("    {line}\n")).collect();
        if lines.len() > LINES_SHOWN {
            text += &format!("    … {} lines\n", lines.len());
        }
        text
    };
    let (theirs, ours): (String, String) = (show(theirs), show(ours));
    let text = format!("{}\n  redis:\n{theirs}  rufous:\n{ours}", shown(request));
    let command = String::from_utf8_lossy(&request[0]).to_ascii_lowercase();
    Mismatch { step, command, text }
}

/// The names in a list of commands, with those of the subcommands.
fn collect_names(commands: &Reply, names: &mut Vec<String>) {
    let Reply::Array(commands) = commands else { return };
    for command in commands {
        let Reply::Array(fields) = command else { continue };
        if let Some(Reply::Bulk(name)) = fields.first() {
            names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
        }
        if let Some(children) = fields.get(9) {
            collect_names(children, names);
        }
    }
}
