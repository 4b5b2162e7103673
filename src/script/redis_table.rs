//! The table `redis` of scripts, and what else is a function of ours: each asks the host or answers by itself.
use mlua::{Function, Lua, MultiValue, Result, Scope, Table, Value};

use crate::base::number;
use crate::proto::reply::{Mark, Resp};
use crate::script::exchange::{Answer, Event, Words};
use crate::script::fail::{self, error_table, fail_argument, fail_table, with_code};
use crate::script::guest::{Guest, Kind, Lent};
use crate::script::raise::{self, Body, Raise, Shared, push_error};
use crate::script::reply_to_lua::{error_of, push_reply};
use crate::script::stack::{Stack, View};

/// As scripts see it: that of the Redis whose behaviour this is.
const VERSION: &str = "7.0.15";
const VERSION_NUMBER: u32 = 0x0007_000f;
/// `redis.REPL_AOF` and `redis.REPL_REPLICA`.
const PROPAGATE_AOF: i64 = 1;
const PROPAGATE_REPLICAS: i64 = 2;

const NOT_WORDS: &[u8] = b"ERR Lua redis lib command arguments must be strings or integers";
const NO_WORDS: &[u8] = b"ERR Please specify at least one argument for this redis lib call";

type Args = MultiValue;

/// What scripts find as `redis`.
pub fn redis_table<'scope, 'env>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    guest: &'env Guest<'env>,
    lent: &Shared<Lent>,
    kind: Kind,
) -> Result<Table> {
    let table = lua.create_table()?;
    let set = |name: &str, function: Function| table.raw_set(name, function);
    set("call", raise::function::<Call<true>>(lua, lent)?)?;
    set("pcall", raise::function::<Call<false>>(lua, lent)?)?;
    set("acl_check_cmd", raise::function::<MayRun>(lua, lent)?)?;
    let set_resp = |lua: &Lua, args: Args| guest.note_failure(guest.set_resp(lua, &args));
    set("setresp", scope.create_function(set_resp)?)?;
    let set_repl = |lua: &Lua, args: Args| guest.note_failure(guest.set_repl(lua, &args));
    set("set_repl", scope.create_function(set_repl)?)?;
    if kind != Kind::Functions {
        set("breakpoint", scope.create_function(|_, _: Args| Ok(guest.breakpoint()))?)?;
        set("debug", scope.create_function(|lua, args: Args| guest.debug(lua, args))?)?;
        set("replicate_commands", lua.create_function(|_, _: Args| Ok(true))?)?;
    }
    set("error_reply", scope.create_function(|lua, args: Args| guest.error_reply(lua, args))?)?;
    set("status_reply", scope.create_function(|lua, args: Args| guest.status_reply(lua, args))?)?;
    set("sha1hex", scope.create_function(|lua, args| guest.note_failure(sha1hex(lua, args)))?)?;
    table.raw_set("REPL_NONE", 0)?;
    table.raw_set("REPL_AOF", PROPAGATE_AOF)?;
    table.raw_set("REPL_SLAVE", PROPAGATE_REPLICAS)?;
    table.raw_set("REPL_REPLICA", PROPAGATE_REPLICAS)?;
    table.raw_set("REPL_ALL", PROPAGATE_AOF | PROPAGATE_REPLICAS)?;
    add_log_and_version(lua, &table)?;
    set("log", scope.create_function(|lua, args| guest.note_failure(log(lua, args)))?)?;
    Ok(table)
}

/// What a library finds as `redis` while it is loaded.
pub fn loading_table<'scope, 'env>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    guest: &'env Guest<'env>,
) -> Result<Table> {
    let table = lua.create_table()?;
    let register = scope.create_function(|lua, args: Args| guest.register(lua, &args))?;
    table.raw_set("register_function", register)?;
    add_log_and_version(lua, &table)?;
    Ok(table)
}

fn add_log_and_version(lua: &Lua, table: &Table) -> Result<()> {
    table.raw_set("log", lua.create_function(log)?)?;
    for (level, name) in
        ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate()
    {
        table.raw_set(*name, level)?;
    }
    table.raw_set("REDIS_VERSION", VERSION)?;
    table.raw_set("REDIS_VERSION_NUM", VERSION_NUMBER)
}

/// `redis.call` and `redis.pcall`, which differ in what becomes of an error.
struct Call<const RAISES: bool>;

impl<const RAISES: bool> Body for Call<RAISES> {
    type Lent = Lent;

    fn call<'d>(stack: &mut Stack<'_>, guest: &'d Guest<'d>) -> std::result::Result<usize, Raise> {
        if !guest.is_running() {
            let text = b"ERR redis.call/pcall can only be called inside a script invocation";
            return Err(Raise::table(text));
        }
        let handed_over = guest.hand_over(stack);
        stack.set_top(0);
        if let Err(text) = handed_over {
            return Self::error(stack, guest, text, false);
        }
        guest.note_command();
        if let Answer::Refused(text) = guest.ask(stack, Event::Call)? {
            return Self::error(stack, guest, &text, true);
        }
        let mut reply = guest.exchange.reply.take();
        let whole;
        let encoded = if reply.blocks().is_empty() {
            reply.bytes()
        } else {
            whole = reply.to_bytes();
            &whole
        };
        let failed = error_of(encoded);
        if guest.is_debugged() {
            failed.inspect(|line| guest.note_error(line, true));
            guest.note_reply(encoded);
        }
        let result = match failed.filter(|_| RAISES) {
            Some(line) => Err(Raise::Table(with_code(&[b"-", line].concat()), true)),
            None => push_reply(stack, encoded, guest.exchange.script_resp.get()).map(|()| 1),
        };
        reply.rewind(Mark::default());
        guest.exchange.reply.replace(reply);
        result
    }
}

impl<const RAISES: bool> Call<RAISES> {
    #[cold]
    fn error(
        stack: &mut Stack<'_>,
        guest: &Guest<'_>,
        text: &[u8],
        is_counted: bool,
    ) -> std::result::Result<usize, Raise> {
        guest.note_error(text, false);
        if RAISES {
            return Err(Raise::Table(text.to_vec(), is_counted));
        }
        push_error(stack, text, is_counted);
        Ok(1)
    }
}

/// `redis.acl_check_cmd`
struct MayRun;

impl Body for MayRun {
    type Lent = Lent;

    fn call<'d>(stack: &mut Stack<'_>, guest: &'d Guest<'d>) -> std::result::Result<usize, Raise> {
        let fail = |text: &[u8]| {
            guest.note_error(text, false);
            Err(Raise::table(text))
        };
        if !guest.is_running() {
            return fail(b"ERR redis.acl_check_cmd can only be called inside a script invocation");
        }
        let handed_over = guest.hand_over(stack);
        stack.set_top(0);
        if let Err(text) = handed_over {
            return fail(text);
        }
        let may_run = match guest.ask(stack, Event::MayRun)? {
            Answer::Truth(truth) => truth,
            Answer::Refused(text) => return fail(&text),
            _ => false,
        };
        stack.push_boolean(may_run);
        Ok(1)
    }
}

impl Guest<'_> {
    /// Puts the words of a command into the exchange.
    fn hand_over(&self, stack: &Stack<'_>) -> std::result::Result<(), &'static [u8]> {
        if stack.top() == 0 {
            return Err(NO_WORDS);
        }
        let mut words = self.exchange.args.take();
        words.clear();
        let are_words = (1..=stack.top()).all(|index| push_word(&mut words, stack.view(index)));
        self.exchange.args.replace(words);
        if are_words { Ok(()) } else { Err(NOT_WORDS) }
    }

    fn error_reply(&self, lua: &Lua, args: Args) -> Result<Table> {
        let Some(Value::String(text)) = args.front().filter(|_| args.len() == 1) else {
            return self.refuse_reply(lua);
        };
        let text = text.as_bytes();
        self.note_error(text.strip_prefix(b"-").unwrap_or(&text), true);
        let dash: &[u8] = if text.starts_with(b"-") { b"" } else { b"-" };
        error_table(lua, &with_code(&[dash, &text].concat()), false)
    }

    fn status_reply(&self, lua: &Lua, args: Args) -> Result<Table> {
        let Some(Value::String(text)) = args.front().filter(|_| args.len() == 1) else {
            return self.refuse_reply(lua);
        };
        let table = lua.create_table_with_capacity(0, 1)?;
        table.raw_set("ok", text)?;
        Ok(table)
    }

    fn refuse_reply(&self, lua: &Lua) -> Result<Table> {
        const WRONG: &[u8] = b"ERR wrong number or type of arguments";
        self.note_error(WRONG, false);
        error_table(lua, WRONG, false)
    }

    fn set_resp(&self, lua: &Lua, args: &Args) -> Result<()> {
        if !self.is_running() {
            let text = b"ERR redis.setresp can only be called inside a script invocation";
            return Err(fail_table(text, false));
        }
        if args.len() != 1 {
            return Err(fail_table(b"ERR redis.setresp() requires one argument.", false));
        }
        let resp = match number_of(lua, args, 0)? as i64 {
            2 => Resp::V2,
            3 => Resp::V3,
            _ => return Err(fail_table(b"ERR RESP version must be 2 or 3.", false)),
        };
        self.exchange.script_resp.set(resp);
        Ok(())
    }

    /// What scripts may choose here is kept by nobody: commands go to no file and to no replica.
    fn set_repl(&self, lua: &Lua, args: &Args) -> Result<()> {
        if !self.is_running() {
            let text = b"ERR redis.set_repl can only be called inside a script invocation";
            return Err(fail_table(text, false));
        }
        if args.len() != 1 {
            return Err(fail_table(b"ERR redis.set_repl() requires two arguments.", false));
        }
        let flags = number_of(lua, args, 0)? as i64;
        if flags & !(PROPAGATE_AOF | PROPAGATE_REPLICAS) != 0 {
            let text = b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
            return Err(fail_table(text, false));
        }
        Ok(())
    }

    /// `math.random`
    pub fn random(&self, lua: &Lua, args: &Args) -> Result<f64> {
        if !self.is_running() {
            let text = "math.random can only be called inside a script invocation";
            return Err(fail::fail(lua, text));
        }
        let fraction = self.random.next();
        match args.len() {
            0 => Ok(fraction),
            1 => {
                let upper = integer_of(lua, args, 0, "random")?;
                if upper < 1 {
                    return Err(fail_argument(lua, 1, "random", "interval is empty"));
                }
                Ok((fraction * f64::from(upper)).floor() + 1.0)
            }
            2 => {
                let lower = integer_of(lua, args, 0, "random")?;
                let upper = integer_of(lua, args, 1, "random")?;
                if lower > upper {
                    return Err(fail_argument(lua, 2, "random", "interval is empty"));
                }
                let width = upper.wrapping_sub(lower).wrapping_add(1);
                Ok((fraction * f64::from(width)).floor() + f64::from(lower))
            }
            _ => Err(fail::fail(lua, "wrong number of arguments")),
        }
    }

    /// `math.randomseed`
    pub fn seed(&self, lua: &Lua, args: &Args) -> Result<()> {
        if !self.is_running() {
            let text = "math.randomseed can only be called inside a script invocation";
            return Err(fail::fail(lua, text));
        }
        self.random.seed(integer_of(lua, args, 0, "randomseed")?);
        Ok(())
    }
}

/// Appends a value as a word of a command; false if it is neither a string nor a number.
fn push_word(words: &mut Words, value: View<'_>) -> bool {
    match value {
        View::Text(text) => words.push(text),
        View::Number(number) => push_number(words, number),
        _ => return false,
    }
    true
}

/// As C prints it with 17 digits.
fn push_number(words: &mut Words, number: f64) {
    /// Integers from here on are printed with an exponent.
    const PLAIN_MAX: f64 = 1e17;
    let is_plain = number.trunc() == number && number.abs() < PLAIN_MAX;
    if is_plain && (number != 0.0 || number.is_sign_positive()) {
        let mut digits = itoa::Buffer::new();
        words.push(digits.format(number as i64).as_bytes());
        return;
    }
    let mut text = Vec::with_capacity(32);
    number::write_f64_17g(&mut text, number);
    words.push(&text);
}

/// As `lua_tonumber`: what is no number is 0.
fn number_of(lua: &Lua, args: &Args, index: usize) -> Result<f64> {
    let value = args.get(index).cloned().unwrap_or(Value::Nil);
    Ok(lua.coerce_number(value)?.unwrap_or(0.0))
}

/// As `luaL_checkint`.
fn integer_of(lua: &Lua, args: &Args, index: usize, function: &str) -> Result<i32> {
    let value = args.get(index);
    let number = match value {
        Some(value) => lua.coerce_number(value.clone())?,
        None => None,
    };
    let Some(number) = number else {
        let given = value.map_or("no value", Value::type_name);
        let why = format!("number expected, got {given}");
        return Err(fail_argument(lua, index + 1, function, &why));
    };
    Ok(number as i64 as i32)
}

fn sha1hex(lua: &Lua, args: Args) -> Result<String> {
    let Some(value) = args.front().filter(|_| args.len() == 1) else {
        return Err(fail_table(b"ERR wrong number of arguments", false));
    };
    let text = lua.coerce_string(value.clone())?;
    let digest = |bytes: &[u8]| sha1_smol::Sha1::from(bytes).digest().to_string();
    Ok(text.map_or_else(|| digest(b""), |text| digest(&text.as_bytes())))
}

fn log(lua: &Lua, args: Args) -> Result<()> {
    if args.len() < 2 {
        let text = b"ERR redis.log() requires two arguments or more.";
        return Err(fail_table(text, false));
    }
    let first = args.front().cloned().unwrap_or(Value::Nil);
    let Some(level) = lua.coerce_number(first)? else {
        return Err(fail_table(b"ERR First argument must be a number (log level).", false));
    };
    let level = match level as i64 {
        0 => log::Level::Trace,
        1 => log::Level::Debug,
        2 => log::Level::Info,
        3 => log::Level::Warn,
        _ => return Err(fail_table(b"ERR Invalid debug level.", false)),
    };
    if !log::log_enabled!(level) {
        return Ok(());
    }
    let mut line = Vec::new();
    for (index, value) in args.iter().skip(1).enumerate() {
        if let Some(text) = lua.coerce_string(value.clone())? {
            if index > 0 {
                line.push(b' ');
            }
            line.extend_from_slice(&text.as_bytes());
        }
    }
    log::log!(level, "{}", String::from_utf8_lossy(&line));
    Ok(())
}
