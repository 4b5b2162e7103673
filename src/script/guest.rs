//! The side of the coroutine: an interpreter with its sandbox, and the loop that does one task after the other.
//!
//! One scope of mlua spans the loop. The functions made in it may refer to this stack, so that `redis.call` can stop
//! right where it is; they die with the scope, before the interpreter. The hook that notices the time has to be
//! `'static` and therefore calls one of them by name.
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use corosensei::Yielder;
use mlua::debug::{Debug, DebugEvent};
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, MultiValue, Result};
use mlua::{StdLib, Table, Thread, Value, VmState};

use crate::base::sys;
use crate::script::debug_guest::Tools;
use crate::script::exchange::{Answer, Done, Event, Exchange, Failed, Registration, Task, Texts};
use crate::script::fail::{self, SANDBOX_CHUNK, fail_table};
use crate::script::random::Lrand48;
use crate::script::redis_table::{loading_table, redis_table};
use crate::script::to_reply::{FieldNames, Writer};
use crate::script::{bit, cjson, cmsgpack, structs};

/// So many instructions pass between two looks at the time.
const TICK_INSTRUCTIONS: u32 = 100_000;
/// After so many tasks the garbage collector makes a step, and the sandbox is swept.
const SWEEP_PERIOD: u32 = 50;
/// Name of the function behind the hook.
const TICK: &str = "rufous.tick";

/// Which scripts an interpreter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those of EVAL.
    Scripts,
    /// One of EVAL, that is debugged.
    Debugged,
    /// Libraries of functions.
    Functions,
}

/// What the functions of one interpreter share.
pub struct Guest<'y> {
    yielder: &'y Yielder<Answer, Event>,
    /// Buffers shared with the host.
    pub exchange: Rc<Exchange>,
    /// The generator behind `math.random`.
    pub random: Lrand48,
    /// Why the running script has to end.
    doom: Rc<Cell<Option<&'static str>>>,
    is_quitting: Cell<bool>,
    is_running: Cell<bool>,
    /// What the debugger works with, where scripts are debugged.
    pub tools: OnceCell<Tools>,
    main: Thread,
    functions: Slots,
    registered: RefCell<Option<Vec<Registration>>>,
}

/// Functions by the number of their slot. They lie in a table of Lua: handles of mlua are few thousands at most.
struct Slots {
    functions: Table,
    len: Cell<usize>,
    free: RefCell<Vec<usize>>,
}

impl Slots {
    fn new(lua: &Lua) -> Result<Slots> {
        Ok(Slots { functions: lua.create_table()?, len: Cell::new(0), free: RefCell::default() })
    }

    fn add(&self, function: Function) -> Result<usize> {
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.len.set(self.len.get() + 1);
            self.len.get()
        });
        self.functions.raw_set(slot, function)?;
        Ok(slot)
    }

    fn get(&self, slot: usize) -> Result<Option<Function>> {
        self.functions.raw_get(slot)
    }

    fn take(&self, slot: usize) -> Result<()> {
        if self.get(slot)?.is_some() {
            self.functions.raw_set(slot, Value::Nil)?;
            self.free.borrow_mut().push(slot);
        }
        Ok(())
    }
}

/// What a sandbox is made of.
struct Sandbox {
    world: Table,
    enter: Function,
    sweep: Function,
    prepare: Function,
    run: Function,
    xpcall: Function,
    handle: Function,
    names: FieldNames,
}

/// The body of the coroutine. Ends when it is told to quit, or at once if there is no memory for an interpreter.
pub fn run(yielder: &Yielder<Answer, Event>, kind: Kind, exchange: Rc<Exchange>, first: Answer) {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = match kind {
        Kind::Debugged => Ok(sys::lua_with_debug(libraries)),
        Kind::Scripts | Kind::Functions => Lua::new_with(libraries, LuaOptions::new()),
    };
    let lua = match lua {
        Ok(lua) => lua,
        Err(error) => return log::warn!("No interpreter for scripts: {error}"),
    };
    let functions = match Slots::new(&lua) {
        Ok(functions) => functions,
        Err(error) => return log::warn!("No interpreter for scripts: {error}"),
    };
    let guest = Guest {
        yielder,
        exchange,
        random: Lrand48::default(),
        doom: Rc::default(),
        is_quitting: Cell::new(false),
        is_running: Cell::new(false),
        tools: OnceCell::new(),
        main: lua.current_thread(),
        functions,
        registered: RefCell::default(),
    };
    let ended = lua.scope(|scope| {
        let tick = scope.create_function(|lua, is_count| match kind {
            Kind::Debugged => guest.look(lua, is_count),
            Kind::Scripts | Kind::Functions => guest.tick(lua),
        })?;
        lua.set_named_registry_value(TICK, tick)?;
        let host = lua.create_table()?;
        host.raw_set("libraries", libraries_table(&lua, redis_table(&lua, scope, &guest, kind)?)?)?;
        host.raw_set("nursery", loading_table(&lua, scope, &guest)?)?;
        host.raw_set(
            "random",
            scope.create_function(|lua, args: MultiValue| guest.random(lua, &args))?,
        )?;
        host.raw_set(
            "randomseed",
            scope.create_function(|lua, args: MultiValue| guest.seed(lua, &args))?,
        )?;
        host.raw_set("doomed", scope.create_function(|_, ()| Ok(guest.doom.get().is_some()))?)?;
        host.raw_set("functions", &guest.functions.functions)?;
        let getlocal = debug_library(&lua, kind)?;
        let sandbox = sandbox(&lua, &host, kind)?;
        if let Some(getlocal) = getlocal {
            let tools = Tools::new(&lua, &sandbox.world, &sandbox.xpcall, getlocal)?;
            let _ = guest.tools.set(tools);
        }
        guest.set_hook(&lua, false)?;
        guest.serve(&lua, &sandbox, first);
        Ok(())
    });
    if let Err(error) = ended {
        log::warn!("The interpreter of scripts ended: {error}");
    }
}

/// Takes what the debugger needs of Lua's library of that name, and the library away.
fn debug_library(lua: &Lua, kind: Kind) -> Result<Option<Function>> {
    if kind != Kind::Debugged {
        return Ok(None);
    }
    let getlocal = lua.globals().get::<Table>("debug")?.get("getlocal")?;
    lua.globals().raw_remove("debug")?;
    Ok(Some(getlocal))
}

/// The libraries that are not Lua's own.
fn libraries_table(lua: &Lua, redis: Table) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("redis", redis)?;
    table.raw_set("bit", bit::register(lua)?)?;
    table.raw_set("cjson", cjson::register(lua)?)?;
    table.raw_set("cmsgpack", cmsgpack::register(lua)?)?;
    table.raw_set("struct", structs::register(lua)?)?;
    Ok(table)
}

fn sandbox(lua: &Lua, host: &Table, kind: Kind) -> Result<Sandbox> {
    host.raw_set("plain", lua.create_function(fail::plain)?)?;
    host.raw_set("changed", lua.create_function(changed)?)?;
    host.raw_set("missing", lua.create_function(missing)?)?;
    let handle = lua.create_function(fail::handle)?;
    host.raw_set("handle", &handle)?;
    if kind != Kind::Functions {
        host.raw_set("handler", &handle)?;
    }
    let chunk = lua.load(include_str!("sandbox.lua")).set_name(SANDBOX_CHUNK);
    type Parts = (Table, Table, Function, Function, Function, Function, Function);
    let (world, environment, enter, sweep, prepare, run, xpcall): Parts =
        chunk.call((lua.globals(), host))?;
    lua.set_globals(environment)?;
    let names = FieldNames::new(lua)?;
    Ok(Sandbox { world, enter, sweep, prepare, run, xpcall, handle, names })
}

fn changed(lua: &Lua, _: MultiValue) -> Result<()> {
    Err(fail::fail(lua, "Attempt to modify a readonly table"))
}

fn missing(lua: &Lua, args: MultiValue) -> Result<()> {
    let Some(name) = args.get(1).and_then(|name| lua.coerce_string(name.clone()).ok().flatten())
    else {
        let text = "Second argument to luaProtectedTableError must be a string or number";
        return Err(fail::fail(lua, text));
    };
    let before = b"Script attempted to access nonexistent global variable '";
    Err(fail::fail(lua, [before.as_slice(), &name.as_bytes(), b"'"].concat()))
}

fn hook(lua: &Lua, debug: &Debug) -> Result<VmState> {
    let tick: Function = lua.named_registry_value(TICK)?;
    tick.call::<()>(debug.event() == DebugEvent::Count)?;
    Ok(VmState::Continue)
}

impl Guest<'_> {
    /// Whether a script is running, and not a library being loaded.
    pub fn is_running(&self) -> bool {
        self.is_running.get()
    }

    /// Whether the script that runs is debugged.
    pub fn is_debugged(&self) -> bool {
        self.tools.get().is_some()
    }

    /// The error that ends the script, if it is to end.
    pub fn doom_error(&self, lua: &Lua) -> Option<Error> {
        self.doom.get().map(|_| self.doomed(lua))
    }

    /// Stops until the host answers. An error if the script is to end.
    pub fn ask(&self, lua: &Lua, event: Event) -> Result<Answer> {
        if self.doom.get().is_some() {
            return Err(self.doomed(lua));
        }
        match self.yielder.suspend(event) {
            Answer::Kill(text) => {
                self.doom.set(Some(text));
                Err(self.doomed(lua))
            }
            Answer::Quit => {
                self.is_quitting.set(true);
                self.doom.set(Some("ERR the server ends"));
                Err(self.doomed(lua))
            }
            answer => Ok(answer),
        }
    }

    /// The error that ends a script; from now on it comes at every line, so that nothing can catch it.
    fn doomed(&self, lua: &Lua) -> Error {
        let text = self.doom.get().unwrap_or_default();
        if let Err(error) = self.set_hook(lua, true) {
            return error;
        }
        fail_table(text.as_bytes(), false)
    }

    fn tick(&self, lua: &Lua) -> Result<()> {
        if self.doom.get().is_some() {
            return Err(self.doomed(lua));
        }
        if self.is_running() || self.registered.try_borrow().is_ok_and(|list| list.is_some()) {
            self.ask(lua, Event::Tick)?;
        }
        Ok(())
    }

    /// Looks at the time now and then, or ends what runs at once: in this coroutine of Lua and in the main one.
    fn set_hook(&self, lua: &Lua, is_at_once: bool) -> Result<()> {
        let triggers = if is_at_once {
            HookTriggers::new().every_line().every_nth_instruction(1)
        } else {
            let every = HookTriggers::new().every_nth_instruction(TICK_INSTRUCTIONS);
            if self.is_debugged() { every.every_line() } else { every }
        };
        lua.set_global_hook(triggers, hook)?;
        if is_at_once {
            self.main.set_hook(triggers, hook)?;
        }
        Ok(())
    }

    fn serve(&self, lua: &Lua, sandbox: &Sandbox, first: Answer) {
        let mut answer = first;
        let mut until_sweep = SWEEP_PERIOD;
        while let Answer::Task(task) = answer {
            let done = match self.work(lua, sandbox, task) {
                Ok(done) => done,
                Err(error) => Done::Failed(Failed {
                    text: [b"ERR ".as_slice(), &fail::compiler_text(&error)].concat(),
                    ..Failed::default()
                }),
            };
            if self.doom.take().is_some() {
                let _ = self.set_hook(lua, false);
            }
            if self.is_quitting.get() {
                break;
            }
            until_sweep -= 1;
            if until_sweep == 0 {
                until_sweep = SWEEP_PERIOD;
                let _ = sandbox.sweep.call::<()>(());
                let _ = lua.gc_step();
            }
            self.exchange.memory_bytes.set(lua.used_memory());
            answer = self.yielder.suspend(Event::Done(done));
        }
    }

    fn work(&self, lua: &Lua, sandbox: &Sandbox, task: Task) -> Result<Done> {
        match task {
            Task::Compile => self.compile(lua),
            Task::Run { slot } | Task::Call { slot } => self.run_slot(lua, sandbox, slot),
            Task::Load => self.load(lua, sandbox),
            Task::Forget { slot } => {
                self.functions.take(slot)?;
                Ok(Done::Forgotten)
            }
        }
    }

    /// Compiles `Exchange::source`; the words of the compiler if that fails.
    pub fn compiled(&self, lua: &Lua, name: &str) -> std::result::Result<Function, Vec<u8>> {
        let source = self.exchange.source.take();
        let chunk =
            lua.load(source.as_slice()).set_name(name).set_mode(mlua::chunk::ChunkMode::Text);
        chunk.into_function().map_err(|error| fail::compiler_text(&error))
    }

    fn compile(&self, lua: &Lua) -> Result<Done> {
        match self.compiled(lua, "@user_script") {
            Ok(function) => Ok(Done::Compiled(self.keep(function)?)),
            Err(text) => Ok(Done::Failed(Failed { text, ..Failed::default() })),
        }
    }

    /// Runs a script, or a function that a library registered.
    fn run_slot(&self, lua: &Lua, sandbox: &Sandbox, slot: usize) -> Result<Done> {
        let (keys, argv) = self.params(lua)?;
        if !sandbox.prepare.call((slot, keys, argv))? {
            return Ok(Done::Missing);
        }
        self.is_running.set(true);
        let ended = sandbox.xpcall.call((&sandbox.run, &sandbox.handle));
        self.is_running.set(false);
        self.finish(lua, sandbox, ended)
    }

    /// The keys and the other arguments as tables.
    fn params(&self, lua: &Lua) -> Result<(Table, Table)> {
        let params: Texts = self.exchange.params.take();
        let key_count = self.exchange.key_count.get().min(params.len());
        let table = |range: std::ops::Range<usize>| -> Result<Table> {
            let table = lua.create_table_with_capacity(range.len(), 0)?;
            let first = range.start;
            for index in range {
                // What is UTF-8 goes to Lua without a handle of its own.
                match std::str::from_utf8(params.at(index)) {
                    Ok(text) => table.raw_set(index - first + 1, text)?,
                    Err(_) => {
                        table.raw_set(index - first + 1, lua.create_string(params.at(index))?)?;
                    }
                }
            }
            Ok(table)
        };
        let tables = (table(0..key_count)?, table(key_count..params.len())?);
        self.exchange.params.replace(params);
        Ok(tables)
    }

    /// Turns what a script returned or raised into its reply.
    fn finish(&self, lua: &Lua, sandbox: &Sandbox, ended: Result<(bool, Value)>) -> Result<Done> {
        let (is_ok, value) = ended?;
        if !is_ok {
            return Ok(Done::Failed(failed(lua, value)?));
        }
        let exchange = &self.exchange;
        let mut writer = Writer {
            names: &sandbox.names,
            client: exchange.client_resp.get(),
            script: exchange.script_resp.get(),
            out: exchange.result.take(),
            errors: Vec::new(),
            has_errors: false,
            path: None,
        };
        let written = writer.write(lua, value);
        exchange.result.replace(writer.out);
        exchange.errors.replace(writer.errors);
        written?;
        Ok(Done::Replied { has_errors: writer.has_errors })
    }

    /// Runs a library, which registers its functions.
    fn load(&self, lua: &Lua, sandbox: &Sandbox) -> Result<Done> {
        let function = match self.compiled(lua, "@user_function") {
            Ok(function) => function,
            Err(text) => {
                let text = [b"Error compiling function: ".as_slice(), &text].concat();
                return Ok(Done::Failed(Failed { text, ..Failed::default() }));
            }
        };
        sandbox.enter.call::<()>(true)?;
        self.registered.replace(Some(Vec::new()));
        let ended: Result<(bool, Value)> = sandbox.xpcall.call((function, &sandbox.handle));
        let registered = self.registered.take().unwrap_or_default();
        // One that was ended has ended: the hook that did it would also end what follows.
        if self.doom.take().is_some() {
            self.set_hook(lua, false)?;
        }
        sandbox.enter.call::<()>(false)?;
        let (is_ok, value) = ended?;
        if is_ok {
            return Ok(Done::Loaded(registered));
        }
        for registration in registered {
            self.functions.take(registration.slot)?;
        }
        let failed = failed(lua, value)?;
        let text = [b"Error registering functions: ".as_slice(), &failed.text].concat();
        Ok(Done::Failed(Failed { text, ..failed }))
    }

    /// Keeps a function that a library registers.
    pub fn keep(&self, function: Function) -> Result<usize> {
        self.functions.add(function)
    }

    /// What the library being loaded has registered so far; `None` while none is loaded.
    pub fn registered(&self) -> &RefCell<Option<Vec<Registration>>> {
        &self.registered
    }
}

/// What the handler made of an error.
fn failed(lua: &Lua, value: Value) -> Result<Failed> {
    let Value::Table(table) = fail::plain(lua, value.clone())? else {
        let text = lua.coerce_string(value)?;
        let shown =
            text.map_or_else(|| b"execution failure".to_vec(), |text| text.as_bytes().to_vec());
        return Ok(Failed { text: [b"ERR ".as_slice(), &shown].concat(), ..Failed::default() });
    };
    let field = |name: &str| -> Result<Option<Vec<u8>>> {
        let text = lua.coerce_string(table.get::<Value>(name)?)?;
        Ok(text.map(|text| text.as_bytes().to_vec()))
    };
    let text = field("err")?.unwrap_or_else(|| b"ERR unknown error".to_vec());
    let place = match (field("source")?, field("line")?) {
        (Some(source), Some(line)) => Some((source, line)),
        _ => None,
    };
    let is_counted = matches!(table.get("ignore_error_stats_update")?, Value::Boolean(true));
    Ok(Failed { text, place, is_counted })
}
