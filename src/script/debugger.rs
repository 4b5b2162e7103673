//! The debugger of scripts, without Lua: where a script stops, what is shown of its source, what the client says.
//!
//! A session is a conversation beside the protocol: whenever the script stops the client is sent an array of lines,
//! and each request of his, a small array of words, is one command. All texts are Redis's, since `redis-cli --ldb`
//! looks for some of them. Cost: lines of a script are looked up by number; a stop costs what is shown.
use crate::base::c_number::leading_int;
use crate::base::number::{c_string, parse_i64};

/// Most breakpoints.
const BREAKPOINTS_MAX: usize = 64;
/// Values and replies are cut after so many bytes, at first.
const SHOWN_BYTES: usize = 256;
/// Nobody can have them cut shorter.
const SHOWN_BYTES_MIN: i32 = 60;
/// Lines shown before and after the current one.
const CONTEXT_LINES: i32 = 5;
/// Words of one command, and bytes of a word.
const WORDS_MAX: i32 = 1024;

/// What a session knows.
#[derive(Clone, Debug)]
pub struct Debugger {
    source: Vec<Vec<u8>>,
    breakpoints: Vec<i64>,
    /// The script stops at the next line.
    pub is_stepping: bool,
    /// `redis.breakpoint()` was called.
    pub is_asked_to_stop: bool,
    /// The line that runs, from 1.
    pub line: i64,
    /// Replies and values are cut after so many bytes; 0: they are not.
    shown_bytes: usize,
    has_hinted: bool,
    /// Lines not sent yet.
    said: Vec<Vec<u8>>,
    /// What the client has sent and is no whole command yet.
    pub heard: Vec<u8>,
}

/// What [`Debugger::take_command`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A command: at least one word.
    Command(Vec<Vec<u8>>),
    /// Not all of it has come.
    Unfinished,
    /// It is no command.
    Broken,
}

impl Default for Debugger {
    fn default() -> Debugger {
        Debugger {
            source: Vec::new(),
            breakpoints: Vec::new(),
            is_stepping: true,
            is_asked_to_stop: false,
            line: 0,
            shown_bytes: SHOWN_BYTES,
            has_hinted: false,
            said: Vec::new(),
            heard: Vec::new(),
        }
    }
}

impl Debugger {
    /// The script is this one. What was set for another one stays.
    pub fn set_source(&mut self, source: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let len = source.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1);
        let source = &source[..len];
        self.source = match source {
            [] => Vec::new(),
            _ => source.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect(),
        };
    }

    /// Whether a breakpoint is set at this line.
    pub fn is_breakpoint(&self, line: i64) -> bool {
        self.breakpoints.contains(&line)
    }

    /// The client has gone: the script runs to its end.
    pub fn let_go(&mut self) {
        self.is_stepping = false;
        self.breakpoints.clear();
    }

    /// Has the client told something, with what is sent next.
    pub fn say(&mut self, line: impl Into<Vec<u8>>) {
        self.said.push(line.into());
    }

    /// As [`Debugger::say`], cut to what the client wants to see.
    pub fn say_cut(&mut self, mut line: Vec<u8>) {
        let is_cut = self.shown_bytes != 0 && line.len() > self.shown_bytes;
        if is_cut {
            line.truncate(self.shown_bytes);
            line.extend_from_slice(b" ...");
        }
        self.say(line);
        if is_cut && !self.has_hinted {
            self.has_hinted = true;
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// What is longer than this is cut by [`Debugger::say_cut`].
    pub fn shown_bytes_max(&self) -> usize {
        if self.shown_bytes == 0 { usize::MAX } else { self.shown_bytes }
    }

    /// What was said, as it is sent: an array of simple strings, on one line each.
    pub fn take_said(&mut self) -> Vec<u8> {
        let mut out = format!("*{}\r\n", self.said.len()).into_bytes();
        for line in self.said.drain(..) {
            out.push(b'+');
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            out.extend(line.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// Says a line of the source, marked where it is the current one or has a breakpoint.
    pub fn say_source(&mut self, line: i64) {
        let index = usize::try_from(line - 1).ok();
        let text = index.and_then(|index| self.source.get(index));
        let text = text.map_or(&b"<out of range source code line>"[..], |text| c_string(text));
        let mark = match (self.line == line, self.is_breakpoint(line)) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let mut shown = format!("{mark}{line:<3} ").into_bytes();
        shown.extend_from_slice(text);
        self.say(shown);
    }

    /// `list`, `list <line>`, `list <line> <context>`
    pub fn list(&mut self, words: &[Vec<u8>]) {
        let number = |at: usize| words.get(at).map(|word| leading_int(word) as i32);
        let around = match number(1) {
            Some(line) if line > 0 => i64::from(line),
            _ => self.line,
        };
        self.list_around(around, i64::from(number(2).unwrap_or(CONTEXT_LINES)));
    }

    /// Says the lines that are at most `context` away from one.
    pub fn list_around(&mut self, around: i64, context: i64) {
        for line in 1..=self.source.len() as i64 {
            if around == 0 || (around - line).abs() <= context {
                self.say_source(line);
            }
        }
    }

    /// `break`, `break <line>...`
    pub fn set_breakpoints(&mut self, words: &[Vec<u8>]) {
        if words.len() > 1 {
            return words.iter().skip(1).for_each(|word| self.set_breakpoint(word));
        }
        if self.breakpoints.is_empty() {
            return self.say("No breakpoints set. Use 'b <line>' to add one.");
        }
        self.say(format!("{} breakpoints set:", self.breakpoints.len()));
        for line in self.breakpoints.clone() {
            self.say_source(line);
        }
    }

    fn set_breakpoint(&mut self, word: &[u8]) {
        let Some(line) = parse_i64(word) else {
            return self.say([b"Invalid argument:'".as_slice(), c_string(word), b"'"].concat());
        };
        if line == 0 {
            self.breakpoints.clear();
            return self.say("All breakpoints removed.");
        }
        if line < 0 {
            // DIFFERS: Redis, moving bytes where it means numbers, damages those behind it.
            let before = self.breakpoints.len();
            self.breakpoints.retain(|&known| Some(known) != line.checked_neg());
            return self.say(match self.breakpoints.len() < before {
                true => "Breakpoint removed.",
                false => "No breakpoint in the specified line.",
            });
        }
        if self.breakpoints.len() == BREAKPOINTS_MAX {
            self.say("Too many breakpoints set.");
        } else if line > self.source.len() as i64 || self.is_breakpoint(line) {
            self.say("Wrong line number.");
        } else {
            self.breakpoints.push(line);
            self.list_around(line, 1);
        }
    }

    /// `maxlen`, `maxlen <bytes>`
    pub fn set_shown_bytes(&mut self, words: &[Vec<u8>]) {
        if let [_, word] = words {
            // Who says so knows.
            self.has_hinted = true;
            self.shown_bytes = match leading_int(word) as i32 {
                0 => 0,
                bytes => bytes.max(SHOWN_BYTES_MIN) as usize,
            };
        }
        self.say(match self.shown_bytes {
            0 => "<value> replies are unlimited.".to_owned(),
            bytes => format!("<value> replies are truncated at {bytes} bytes."),
        });
    }

    /// `help`
    pub fn help(&mut self) {
        HELP.iter().for_each(|line| self.say(*line));
    }

    /// The command that what was heard begins with. What follows it is forgotten with it: the client waits for an
    /// answer before he says more.
    pub fn take_command(&mut self) -> Found {
        let found = parse(&self.heard);
        if matches!(found, Found::Command(_)) {
            self.heard.clear();
        }
        found
    }
}

/// Reads a command as loosely as Redis does: what stands before the first asterisk is passed by, and a NUL ends the
/// text for whoever looks for the end of a line.
fn parse(heard: &[u8]) -> Found {
    if heard.is_empty() {
        return Found::Unfinished;
    }
    let Some(start) = c_string(heard).iter().position(|&byte| byte == b'*') else {
        return Found::Broken;
    };
    let Some((count, mut at)) = number_line(heard, start + 1) else { return Found::Unfinished };
    if !(1..=WORDS_MAX).contains(&count) {
        return Found::Broken;
    }
    let mut words = Vec::new();
    while words.len() < count as usize {
        match heard.get(at) {
            None | Some(0) => return Found::Unfinished,
            Some(b'$') => {}
            Some(_) => return Found::Broken,
        }
        let Some((len, from)) = number_line(heard, at + 1) else { return Found::Unfinished };
        if !(1..=WORDS_MAX).contains(&len) {
            return Found::Broken;
        }
        let end = from + len as usize;
        let (Some(word), Some(after)) = (heard.get(from..end), heard.get(end..end + 2)) else {
            return Found::Unfinished;
        };
        if after != b"\r\n" {
            return Found::Broken;
        }
        words.push(word.to_vec());
        at = end + 2;
    }
    Found::Command(words)
}

/// The number of a line that begins here, and where the next one begins.
fn number_line(heard: &[u8], from: usize) -> Option<(i32, usize)> {
    let line = c_string(heard.get(from..)?);
    let len = line.windows(2).position(|pair| pair == b"\r\n")?;
    Some((leading_int(&line[..len]) as i32, from + len + 2))
}

const HELP: &[&str] = &[
    "Redis Lua debugger help:",
    "[h]elp               Show this help.",
    "[s]tep               Run current line and stop again.",
    "[n]ext               Alias for step.",
    "[c]ontinue           Run till next breakpoint.",
    "[l]ist               List source code around current line.",
    "[l]ist [line]        List source code around [line].",
    "                     line = 0 means: current position.",
    "[l]ist [line] [ctx]  In this form [ctx] specifies how many lines",
    "                     to show before/after [line].",
    "[w]hole              List all source code. Alias for 'list 1 1000000'.",
    "[p]rint              Show all the local variables.",
    "[p]rint <var>        Show the value of the specified variable.",
    "                     Can also show global vars KEYS and ARGV.",
    "[b]reak              Show all breakpoints.",
    "[b]reak <line>       Add a breakpoint to the specified line.",
    "[b]reak -<line>      Remove breakpoint from the specified line.",
    "[b]reak 0            Remove all breakpoints.",
    "[t]race              Show a backtrace.",
    "[e]val <code>        Execute some Lua code (in a different callframe).",
    "[r]edis <cmd>        Execute a Redis command.",
    "[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.",
    "                     Specifying zero as <len> means unlimited.",
    "[a]bort              Stop the execution of the script. In sync",
    "                     mode dataset changes will be retained.",
    "",
    "Debugger functions you can call from Lua scripts:",
    "redis.debug()        Produce logs in the debugger console.",
    "redis.breakpoint()   Stop execution like if there was a breakpoint in the",
    "                     next line of code.",
];

#[cfg(test)]
#[path = "debugger_tests.rs"]
mod tests;
