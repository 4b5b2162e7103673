//! Playing a script against a target and comparing the replies with what the script expects.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;

use super::pattern;
use super::reply::{self, Reply, Trouble, arrange, decode};
use super::script::{Action, Script, Step};
use super::target::{Link, Received, Target};
use super::words::{Names, quote};

/// The features our server has by now beyond strings: the words a script may `needs:`.
pub const RUFOUS_HAS: &[&str] = &["lists"];

const REPLY_PATIENCE: Duration = Duration::from_secs(5);
const RAW_PATIENCE: Duration = Duration::from_secs(2);
/// Silence for this long is `(nothing)`, and when recording the end of raw bytes.
const RAW_SILENCE: Duration = Duration::from_millis(80);

/// Which protocol version a script is played in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resp {
    /// As a connection starts.
    Two,
    /// Every connection begins with HELLO 3.
    Three,
}

/// What came of playing one script.
#[derive(Default)]
pub struct Outcome {
    /// How many replies were compared.
    pub compared: usize,
    /// A description of each difference.
    pub failures: Vec<String>,
    /// The lines each step produced, by index of the step.
    pub actual: BTreeMap<usize, Vec<String>>,
}

/// Does this script concern this target?
pub fn concerns(script: &Script, target: &dyn Target, resp: Resp) -> bool {
    let marks = &script.marks;
    let version = if resp == Resp::Two { 2 } else { 3 };
    marks.server.as_deref().is_none_or(|server| server == target.server())
        && marks.needs.iter().all(|need| target.has(need))
        && marks.resp.is_none_or(|only| only == version)
}

/// Plays `script` from an empty server.
pub fn play(script: &Script, target: &mut dyn Target, resp: Resp) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = clean(target).and_then(|()| target.cleaned()) {
        outcome.failures.push(format!("{}: cannot clean the server: {error}", script.name));
        return outcome;
    }
    let mut player = Player {
        target,
        resp,
        lines: HashMap::new(),
        saved: HashMap::new(),
        last: None,
        control: None,
        settings: Vec::new(),
    };
    for (index, step) in script.steps.iter().enumerate() {
        let actual = match player.step(step) {
            Ok(None) => continue,
            Ok(Some(actual)) => actual,
            Err(message) => {
                let place = format!("{}:{}: {}", script.name, step.line, step.text);
                outcome.failures.push(format!("{place}\n    {message}"));
                if player.target.connect().is_err() {
                    break;
                }
                continue;
            }
        };
        outcome.compared += 1;
        if let Err(difference) = player.compare(step, &actual) {
            outcome.failures.push(format!("{}:{}: {difference}", script.name, step.line));
        }
        outcome.actual.insert(index, actual);
    }
    if let Err(message) = player.finish() {
        outcome.failures.push(format!("{}: at the end: {message}", script.name));
    }
    outcome
}

/// Makes the server as if it had just started, as far as scripts can tell.
fn clean(target: &mut dyn Target) -> io::Result<()> {
    let mut line = Line::new(target.connect()?);
    let commands: [&[&[u8]]; 8] = [
        &[b"CLIENT", b"UNPAUSE"],
        &[b"CLIENT", b"KILL", b"TYPE", b"normal"],
        &[b"FLUSHALL"],
        &[b"FUNCTION", b"FLUSH"],
        &[b"SCRIPT", b"FLUSH"],
        &[b"CONFIG", b"RESETSTAT"],
        &[b"SLOWLOG", b"RESET"],
        &[b"LATENCY", b"RESET"],
    ];
    for command in commands {
        line.link.send(&encode(command))?;
        let reply = line.reply(REPLY_PATIENCE)?;
        if command == [b"FLUSHALL"] && reply != Some(Reply::Status(b"OK".to_vec())) {
            return Err(io::Error::other(format!("FLUSHALL: {reply:?}")));
        }
    }
    Ok(())
}

/// A command as an array of bulk strings.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
    out
}

/// A connection with what has arrived on it and was not decoded yet.
struct Line {
    link: Box<dyn Link>,
    arrived: Vec<u8>,
}

impl Line {
    fn new(link: Box<dyn Link>) -> Self {
        Line { link, arrived: Vec::new() }
    }

    /// The next reply; `None` when the connection was closed instead.
    fn reply(&mut self, patience: Duration) -> io::Result<Option<Reply>> {
        loop {
            match decode(&self.arrived) {
                Ok((reply, used)) => {
                    self.arrived.drain(..used);
                    return Ok(Some(reply));
                }
                Err(Trouble::Malformed(what)) => {
                    let seen = quote(&self.arrived);
                    self.arrived.clear();
                    return Err(io::Error::other(format!("not RESP ({what}): {seen}")));
                }
                Err(Trouble::Incomplete) => {}
            }
            match self.link.receive(&mut self.arrived, patience)? {
                Received::Bytes => {}
                Received::Closed => return Ok(None),
                Received::Nothing => {
                    let seen = quote(&self.arrived);
                    return Err(io::Error::other(format!("no reply; so far {seen}")));
                }
            }
        }
    }
}

struct Player<'t> {
    target: &'t mut dyn Target,
    resp: Resp,
    lines: HashMap<u32, Line>,
    saved: HashMap<String, Vec<u8>>,
    last: Option<Reply>,
    /// Where `config` runs: opened before the first setting changes, so that a password set by a
    /// script does not lock it out.
    control: Option<Line>,
    settings: Vec<(String, Vec<u8>)>,
}

impl Player<'_> {
    /// Does one step; returns the lines it produced, if it is one that answers.
    fn step(&mut self, step: &Step) -> Result<Option<Vec<String>>, String> {
        let result = self.try_step(step);
        if result.is_err() {
            self.lines.remove(&step.link);
        }
        result
    }

    fn try_step(&mut self, step: &Step) -> Result<Option<Vec<String>>, String> {
        match &step.action {
            Action::Command(words) => {
                self.send(step.link, words)?;
                self.receive(step).map(Some)
            }
            Action::SendOnly(words) => {
                self.send(step.link, words)?;
                self.target.settle();
                Ok(None)
            }
            Action::Receive => self.receive(step).map(Some),
            Action::Raw(bytes) => self.raw(step, bytes).map(Some),
            Action::Close => {
                self.lines.remove(&step.link);
                Ok(None)
            }
            Action::Advance(time) => {
                self.target.advance(*time);
                Ok(None)
            }
            Action::Config(name, value) => self.configure(name, value).map(|()| None),
            Action::Save(name) => self.save(name).map(|()| None),
        }
    }

    fn line(&mut self, number: u32) -> Result<&mut Line, String> {
        if !self.lines.contains_key(&number) {
            let mut line = Line::new(self.target.connect().map_err(|error| error.to_string())?);
            if self.resp == Resp::Three {
                exchange(&mut line, &["HELLO", "3"])?;
            }
            self.lines.insert(number, line);
        }
        self.lines.get_mut(&number).ok_or_else(|| "no such connection".to_string())
    }

    fn send(&mut self, number: u32, words: &[Vec<u8>]) -> Result<(), String> {
        let names = self.names();
        let words: Result<Vec<_>, _> = words.iter().map(|word| names.substitute(word)).collect();
        let bytes = encode(&words?);
        let line = self.line(number)?;
        line.link.send(&bytes).map_err(|error| error.to_string())
    }

    fn receive(&mut self, step: &Step) -> Result<Vec<String>, String> {
        let reply = self.line(step.link)?.reply(REPLY_PATIENCE);
        let reply = reply.map_err(|error| error.to_string())?;
        match reply.clone() {
            Some(reply) => {
                self.last = Some(reply.clone());
                Ok(reply::lines(&arrange(reply, step.expected.order)))
            }
            None => {
                self.lines.remove(&step.link);
                Ok(vec!["(closed)".into()])
            }
        }
    }

    fn raw(&mut self, step: &Step, bytes: &[u8]) -> Result<Vec<String>, String> {
        let expected = self.expected(step);
        let wants_end = expected.last().is_some_and(|line| line == "(closed)");
        let listens = expected.is_empty() || expected == ["(nothing)"];
        let wanted: usize = expected
            .iter()
            .filter(|line| !line.starts_with('('))
            .filter_map(|line| super::words::split(line).ok())
            .map(|words| words.concat().len())
            .sum();
        let patience = if listens { RAW_SILENCE } else { RAW_PATIENCE };
        let bytes = self.names().substitute(bytes)?;
        let line = self.line(step.link)?;
        line.link.send(&bytes).map_err(|error| error.to_string())?;
        let mut closed = false;
        while line.arrived.len() < wanted || wants_end || listens {
            match line.link.receive(&mut line.arrived, patience) {
                Ok(Received::Bytes) => {}
                Ok(Received::Nothing) => break,
                Ok(Received::Closed) => {
                    closed = true;
                    break;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut lines: Vec<String> =
            line.arrived.split_inclusive(|&byte| byte == b'\n').map(quote).collect();
        line.arrived.clear();
        if closed {
            self.lines.remove(&step.link);
            lines.push("(closed)".into());
        }
        if lines.is_empty() {
            lines.push("(nothing)".into());
        }
        Ok(lines)
    }

    fn configure(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let value = self.names().substitute(value)?;
        if self.control.is_none() {
            let link = self.target.connect().map_err(|error| error.to_string())?;
            self.control = Some(Line::new(link));
        }
        let line = self.control.as_mut().ok_or("no connection for settings")?;
        let old = exchange(line, &["CONFIG", "GET", name])?;
        let Reply::Array(old) = old else { return Err(format!("CONFIG GET {name}: {old:?}")) };
        let Some(Reply::Bulk(old)) = old.into_iter().nth(1) else {
            return Err(format!("there is no setting {name}"));
        };
        self.settings.push((name.to_string(), old));
        set(line, name, &value)
    }

    fn save(&mut self, name: &str) -> Result<(), String> {
        let value = match self.last.clone().ok_or("there is no reply to save")? {
            Reply::Status(text) | Reply::Error(text) | Reply::Bulk(text) => text,
            Reply::Integer(text) | Reply::Double(text) => text.into_bytes(),
            Reply::Verbatim(_, text) => text,
            other => return Err(format!("cannot save {other:?}")),
        };
        self.saved.insert(name.to_string(), value);
        Ok(())
    }

    fn names(&self) -> Names {
        Names { saved: self.saved.clone(), now_ms: self.target.now_ms() }
    }

    fn expected(&self, step: &Step) -> Vec<String> {
        match (&step.expected.resp3, self.resp) {
            (Some(lines), Resp::Three) => lines.clone(),
            _ => step.expected.lines.clone(),
        }
    }

    fn compare(&self, step: &Step, actual: &[String]) -> Result<(), String> {
        let mut expected = self.expected(step);
        let names = self.names();
        for line in &mut expected {
            if line.contains("${") {
                let bytes = names.substitute(line.as_bytes())?;
                *line = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if !expected.is_empty() && pattern::matches(&expected, actual) {
            return Ok(());
        }
        let (expected, actual) = (expected.join("\n        "), actual.join("\n        "));
        let text = &step.text;
        Err(format!("{text}\n    expected:\n        {expected}\n    got:\n        {actual}"))
    }

    /// Restores settings and proves that no connection has an answer too many.
    fn finish(&mut self) -> Result<(), String> {
        if let Some(mut line) = self.control.take() {
            for (name, value) in std::mem::take(&mut self.settings).into_iter().rev() {
                set(&mut line, &name, &value)?;
            }
        }
        let mut numbers: Vec<u32> = self.lines.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let line = self.line(number)?;
            match exchange(line, &["ECHO", "the end"])? {
                Reply::Bulk(text) if text == b"the end" => {}
                other => return Err(format!("connection {number} had one more reply: {other:?}")),
            }
        }
        Ok(())
    }
}

fn set(line: &mut Line, name: &str, value: &[u8]) -> Result<(), String> {
    match exchange(line, &[&b"CONFIG"[..], b"SET", name.as_bytes(), value])? {
        Reply::Status(text) if text == b"OK" => Ok(()),
        other => Err(format!("CONFIG SET {name}: {other:?}")),
    }
}

fn exchange<W: AsRef<[u8]>>(line: &mut Line, words: &[W]) -> Result<Reply, String> {
    line.link.send(&encode(words)).map_err(|error| error.to_string())?;
    let reply = line.reply(REPLY_PATIENCE).map_err(|error| error.to_string())?;
    reply.ok_or_else(|| "the connection was closed".to_string())
}
