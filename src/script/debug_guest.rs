//! The debugger of scripts, as far as it needs Lua: the look at each line, and the commands that show a script's state.
//!
//! A debugged script has an interpreter of its own ([`Kind::Debugged`]), whose hook comes here before every line and
//! every 100,000 instructions; no hook runs while one does, so what the client evaluates is not debugged itself.
//! Levels of the stack are counted from the line that runs; below it stands our hook, and what stands above it of the
//! sandbox is no part of the script. Cost: a call of the hook per line.
//!
//! [`Kind::Debugged`]: crate::script::guest::Kind::Debugged
use std::cell::Cell;

use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};

use crate::base::number::c_string;
use crate::script::debug_text::{Shower, show_reply};
use crate::script::debugger::{Debugger, Found};
use crate::script::exchange::{Answer, DebugEvent, Event};
use crate::script::fail::{self, SANDBOX_CHUNK, fail_table};
use crate::script::guest::{CALL, Guest};

/// What the client may send for one command.
const HEARD_BYTES_MAX: usize = 1 << 20;
/// Words of a command of the script that are shown.
const WORDS_SHOWN: usize = 10;
/// So the chunk is called that the client evaluates.
const EVAL_CHUNK: &str = "@ldb_eval";
/// What Lua calls the values that have no name.
const TEMPORARY: &[u8] = b"(*temporary)";

/// Functions of Lua the debugger works with.
pub struct Tools {
    getlocal: Function,
    xpcall: Function,
    plain: Function,
    shower: Shower,
    world: Table,
}

/// What stands at a level of the stack.
struct Frame {
    /// Function that was called, where Lua knows a name for it.
    name: Option<String>,
    line: i64,
    /// It is of the script, and not of another chunk.
    is_script: bool,
    /// It is of the sandbox, and no part of the script.
    is_ours: bool,
}

impl Tools {
    /// What is found in a sandbox, and `getlocal` of the library that it has not.
    pub fn new(lua: &Lua, world: &Table, xpcall: &Function, getlocal: Function) -> Result<Tools> {
        Ok(Tools {
            getlocal,
            xpcall: xpcall.clone(),
            plain: lua.create_function(fail::plain)?,
            shower: Shower { next: world.raw_get("next")?, bytes_max: Cell::new(usize::MAX) },
            world: world.clone(),
        })
    }
}

/// What stands `level` levels above the line that runs, seen from the function behind the hook.
fn frame(lua: &Lua, level: usize) -> Option<Frame> {
    lua.inspect_stack(level + 1, |debug| {
        let source = debug.source();
        let short = source.short_src.as_deref().unwrap_or("");
        Frame {
            is_script: short.contains("user_script"),
            is_ours: source.source.as_deref() == Some(SANDBOX_CHUNK),
            line: debug.current_line().map_or(-1, |line| line as i64),
            name: debug.names().name.map(|name| name.into_owned()),
        }
    })
}

impl Guest<'_> {
    /// Works on what the debugger knows. Nothing of Lua may run meanwhile.
    fn with_debugger<T>(&self, work: impl FnOnce(&mut Debugger) -> T) -> T {
        work(&mut self.exchange.debugger.borrow_mut())
    }

    /// Whether the script's commands are shown now.
    fn shows_commands(&self) -> bool {
        self.is_debugged() && self.with_debugger(|debugger| debugger.is_stepping)
    }

    /// `redis.breakpoint`
    pub fn breakpoint(&self) -> bool {
        if !self.is_debugged() {
            return false;
        }
        self.with_debugger(|debugger| debugger.is_asked_to_stop = true);
        true
    }

    /// `redis.debug`
    pub fn debug(&self, lua: &Lua, args: MultiValue) -> Result<()> {
        let Some(tools) = self.tools.get() else { return Ok(()) };
        let line = self.with_debugger(|debugger| debugger.line);
        let mut text = format!("<debug> line {line}: ").into_bytes();
        for (index, value) in args.into_iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(b", ");
            }
            tools.shower.show(lua, &mut text, value)?;
        }
        self.with_debugger(|debugger| debugger.say(text));
        Ok(())
    }

    /// A command of the script is about to run; its words are in the exchange.
    pub fn note_command(&self) {
        if !self.shows_commands() {
            return;
        }
        let words = self.exchange.args.take();
        let mut text = b"<redis>".to_vec();
        for (index, word) in words.iter().enumerate() {
            if index == WORDS_SHOWN {
                let more = words.len() - index - 1;
                text.extend_from_slice(format!(" ... ({more} more)").as_bytes());
                break;
            }
            text.push(b' ');
            text.extend_from_slice(word);
        }
        self.exchange.args.replace(words);
        self.with_debugger(|debugger| debugger.say(text));
    }

    /// A command of the script has replied.
    pub fn note_reply(&self, encoded: &[u8]) {
        if self.shows_commands() {
            let mut text = b"<reply> ".to_vec();
            show_reply(&mut text, encoded);
            self.with_debugger(|debugger| debugger.say_cut(text));
        }
    }

    /// An error that the script has made or was given, its code included: shown as Redis has it before it finds the
    /// code, which is with a dash where it came with one.
    pub fn note_error(&self, text: &[u8], is_dashed: bool) {
        if !self.shows_commands() {
            return;
        }
        let shown: Vec<u8> = match text.strip_prefix(b"ERR ") {
            Some(rest) if !is_dashed => rest.to_vec(),
            _ if is_dashed => [b"-", text].concat(),
            // A refusal that Redis has as a whole line.
            _ => [b"-", text, b"\r\n"].concat(),
        };
        let shown = [b"<error> ", c_string(&shown)].concat();
        self.with_debugger(|debugger| debugger.say(shown));
    }

    /// As [`Guest::note_error`], for an error that ends a function of ours.
    pub fn note_failure<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && self.is_debugged()
            && let Some(text) = fail::table_text(error)
        {
            self.note_error(text, false);
        }
        result
    }

    /// Before a line, or after many instructions: stops where it is to stop.
    pub fn look(&self, lua: &Lua, is_count: bool) -> Result<()> {
        if let Some(error) = self.doom_error(lua) {
            return Err(error);
        }
        if !self.is_running() {
            return Ok(());
        }
        let Some(frame) = frame(lua, 0).filter(|frame| !frame.is_ours) else { return Ok(()) };
        let (is_stepping, is_asked, is_marked) = self.with_debugger(|debugger| {
            debugger.line = frame.line;
            let is_marked = debugger.is_breakpoint(frame.line);
            (debugger.is_stepping, debugger.is_asked_to_stop, is_marked)
        });
        if !frame.is_script {
            return Ok(());
        }
        let mut is_late = false;
        if !is_stepping && !is_asked && !is_marked {
            is_late = is_count
                && matches!(self.ask_by(lua, Event::Debug(DebugEvent::Tick))?, Answer::Truth(true));
            if !is_late {
                return Ok(());
            }
        }
        let reason = match (is_asked, is_marked, is_late) {
            (true, _, _) => "redis.breakpoint() called",
            (false, true, _) => "break point",
            (false, false, true) => "timeout reached, infinite loop?",
            (false, false, false) => "step over",
        };
        self.with_debugger(|debugger| {
            (debugger.is_stepping, debugger.is_asked_to_stop) = (false, false);
            debugger.say(format!("* Stopped at {}, stop reason = {reason}", frame.line));
            debugger.say_source(frame.line);
        });
        self.say(lua)?;
        let is_there = self.converse(lua)?;
        if !is_there && is_late {
            // Nobody is left who could end it.
            let text = b"ERR timeout during Lua debugging with client closing connection";
            return Err(fail_table(text, false));
        }
        Ok(())
    }

    /// Sends what was said.
    fn say(&self, lua: &Lua) -> Result<()> {
        self.ask_by(lua, Event::Debug(DebugEvent::Say)).map(drop)
    }

    /// Does what the client says until the script is to go on; whether he is there still.
    fn converse(&self, lua: &Lua) -> Result<bool> {
        loop {
            let Some(words) = self.hear(lua)? else {
                self.with_debugger(Debugger::let_go);
                return Ok(false);
            };
            let name = words.first().map_or(&b""[..], |word| c_string(word)).to_ascii_lowercase();
            match name.as_slice() {
                b"s" | b"step" | b"n" | b"next" => {
                    self.with_debugger(|debugger| debugger.is_stepping = true);
                    return Ok(true);
                }
                b"c" | b"continue" => return Ok(true),
                b"a" | b"abort" => {
                    return Err(fail_table(b"ERR script aborted for user request", false));
                }
                b"h" | b"help" => self.with_debugger(Debugger::help),
                b"t" | b"trace" => self.trace(lua),
                b"m" | b"maxlen" => self.with_debugger(|debugger| debugger.set_shown_bytes(&words)),
                b"b" | b"break" => self.with_debugger(|debugger| debugger.set_breakpoints(&words)),
                b"e" | b"eval" => self.evaluate(lua, &words)?,
                b"r" | b"redis" if words.len() > 1 => self.run_redis(lua, &words)?,
                b"p" | b"print" => self.print(lua, &words)?,
                b"l" | b"list" => self.with_debugger(|debugger| debugger.list(&words)),
                b"w" | b"whole" => {
                    self.with_debugger(|debugger| debugger.list_around(1, 1_000_000));
                }
                _ => self.with_debugger(|debugger| {
                    debugger.say(
                        "<error> Unknown Redis Lua debugger command or wrong number of arguments.",
                    );
                }),
            }
            self.say(lua)?;
        }
    }

    /// The next command of the client; `None` if he has gone.
    fn hear(&self, lua: &Lua) -> Result<Option<Vec<Vec<u8>>>> {
        loop {
            match self.with_debugger(Debugger::take_command) {
                Found::Command(words) => return Ok(Some(words)),
                Found::Broken => return Err(fail_table(b"ERR protocol error", false)),
                Found::Unfinished => {}
            }
            if !matches!(self.ask_by(lua, Event::Debug(DebugEvent::Hear))?, Answer::Truth(true)) {
                return Ok(None);
            }
            let is_too_much = self.with_debugger(|debugger| {
                let is_too_much = debugger.heard.len() > HEARD_BYTES_MAX;
                if is_too_much {
                    debugger.heard.clear();
                }
                is_too_much
            });
            if is_too_much {
                return Err(fail_table(b"ERR max client buffer reached", false));
            }
        }
    }

    /// `trace`
    fn trace(&self, lua: &Lua) {
        for level in 0.. {
            let Some(frame) = frame(lua, level) else { break };
            if frame.is_script {
                let before = if level == 0 { "In" } else { "From" };
                let name = frame.name.as_deref().unwrap_or("top level");
                self.with_debugger(|debugger| {
                    debugger.say(format!("{before} {name}:"));
                    debugger.say_source(frame.line);
                });
            }
        }
    }

    /// `print`, `print <variable>`
    fn print(&self, lua: &Lua, words: &[Vec<u8>]) -> Result<()> {
        match words {
            [_, name] => self.print_one(lua, c_string(name)),
            _ => self.print_all(lua),
        }
    }

    fn print_one(&self, lua: &Lua, wanted: &[u8]) -> Result<()> {
        let Some(tools) = self.tools.get() else { return Ok(()) };
        for level in 0.. {
            let Some(frame) = frame(lua, level) else { break };
            if frame.is_ours {
                continue;
            }
            let mut index = 0;
            while let Some((name, value)) = tools.local(level, &mut index)? {
                if name == wanted {
                    return self.say_value(lua, b"<value> ", value);
                }
            }
        }
        if matches!(wanted, b"KEYS" | b"ARGV") {
            let value = tools.world.raw_get(lua.create_string(wanted)?)?;
            return self.say_value(lua, b"<value> ", value);
        }
        self.with_debugger(|debugger| debugger.say("No such variable."));
        Ok(())
    }

    fn print_all(&self, lua: &Lua) -> Result<()> {
        let Some(tools) = self.tools.get() else { return Ok(()) };
        let (mut index, mut has_any) = (0, false);
        while let Some((name, value)) = tools.local(0, &mut index)? {
            if name != TEMPORARY {
                has_any = true;
                self.say_value(lua, &[b"<value> ", name.as_slice(), b" = "].concat(), value)?;
            }
        }
        if !has_any {
            let text = "No local variables in the current context.";
            self.with_debugger(|debugger| debugger.say(text));
        }
        Ok(())
    }

    fn say_value(&self, lua: &Lua, before: &[u8], value: Value) -> Result<()> {
        let Some(tools) = self.tools.get() else { return Ok(()) };
        let mut text = before.to_vec();
        tools.shower.bytes_max.set(self.with_debugger(|debugger| debugger.shown_bytes_max()));
        let shown = tools.shower.show(lua, &mut text, value);
        tools.shower.bytes_max.set(usize::MAX);
        shown?;
        self.with_debugger(|debugger| debugger.say_cut(text));
        Ok(())
    }

    /// `eval`: as an expression, and if it is none as statements.
    fn evaluate(&self, lua: &Lua, words: &[Vec<u8>]) -> Result<()> {
        let Some(tools) = self.tools.get() else { return Ok(()) };
        let code = words.get(1..).unwrap_or(&[]).join(&b' ');
        self.exchange.source.replace([b"return ", code.as_slice()].concat());
        let compiled = self.compiled(lua, EVAL_CHUNK).or_else(|_| {
            self.exchange.source.replace(code);
            self.compiled(lua, EVAL_CHUNK)
        });
        let function = match compiled {
            Ok(function) => function,
            Err(text) => {
                let text = [b"<error> ", c_string(&text)].concat();
                self.with_debugger(|debugger| debugger.say(text));
                return Ok(());
            }
        };
        let (is_ok, value): (bool, Value) = tools.xpcall.call((function, &tools.plain))?;
        if is_ok {
            return self.say_value(lua, b"<retval> ", value);
        }
        // Redis takes a string for granted here, and falls over one that is a table.
        let value = match &value {
            Value::Table(table) => table.raw_get("err")?,
            _ => value,
        };
        let text = lua.coerce_string(value)?;
        let text = text.map_or_else(Vec::new, |text| text.as_bytes().to_vec());
        let text = [b"<error> ", c_string(&text)].concat();
        self.with_debugger(|debugger| debugger.say(text));
        Ok(())
    }

    /// `redis`: a call of the script, with all it shows.
    fn run_redis(&self, lua: &Lua, words: &[Vec<u8>]) -> Result<()> {
        let words = words.iter().skip(1).map(|word| Ok(Value::String(lua.create_string(word)?)));
        let args = words.collect::<Result<MultiValue>>()?;
        self.with_debugger(|debugger| debugger.is_stepping = true);
        let call: Function = lua.named_registry_value(CALL)?;
        let result = call.call::<Value>(args);
        self.with_debugger(|debugger| debugger.is_stepping = false);
        match (result, self.doom_error(lua)) {
            (Err(_), Some(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Tools {
    /// The next local variable at a level, with `index` counting them; `None` after the last.
    fn local(&self, level: usize, index: &mut usize) -> Result<Option<(Vec<u8>, Value)>> {
        *index += 1;
        // `getlocal` counts itself and the function behind the hook.
        let found = self.getlocal.call::<(Option<mlua::LuaString>, Value)>((level + 2, *index));
        match found {
            Ok((Some(name), value)) => Ok(Some((name.as_bytes().to_vec(), value))),
            Ok((None, _)) | Err(Error::RuntimeError(_) | Error::CallbackError { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
