//! The side of the coroutine: an interpreter with its sandbox, and the loop that does one task after the other.
//!
//! The guest is lent to functions of scripts while the loop runs, so that `redis.call`, or the hook that notices the
//! time, can stop right where it is. What a task needs often is kept in Lua and worked on by the [`Stack`]; what comes
//! seldom is done by mlua, whose scope spans the loop.
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use corosensei::Yielder;
use mlua::debug::{Debug, DebugEvent};
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, MultiValue, Result, StdLib, Table};
use mlua::{Value, VmState};

use crate::base::sys;
use crate::script::debug_guest::Tools;
use crate::script::exchange::{Answer, Done, Event, Exchange, Failed, Registration, Task, Texts};
use crate::script::fail::{self, SANDBOX_CHUNK, fail_table};
use crate::script::raise::{self, Body, Lend, Raise, Watch};
use crate::script::random::Lrand48;
use crate::script::redis_table::{loading_table, redis_table};
use crate::script::stack::{self, Kept, Stack};
use crate::script::to_reply::{FieldNames, Writer};
use crate::script::{basics, bit, cjson, cmsgpack, structs};

/// So many instructions pass between two looks at the time.
const TICK_INSTRUCTIONS: u32 = 100_000;
/// Name of `redis.call`, for the debugger.
pub const CALL: &str = "rufous.call";
/// Name of the function behind the debugger's hook.
const LOOK: &str = "rufous.look";
const WATCH: Watch = Watch::Now(TICK_INSTRUCTIONS);
/// After so many tasks the garbage collector makes a step, and the sandbox is swept.
const SWEEP_PERIOD: u32 = 50;

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
    functions: Slots,
    /// Collections that have ended since all functions were forgotten.
    sweeps: Cell<u8>,
    registered: RefCell<Option<Vec<Registration>>>,
}

/// The guest as functions of scripts get it.
pub struct Lent;

impl Lend for Lent {
    type Data<'a> = Guest<'a>;

    fn shorten<'s, 'l: 's>(guest: &'s Guest<'l>) -> &'s Guest<'s> {
        guest
    }
}

/// What the hook does.
struct Tick;

impl Body for Tick {
    type Lent = Lent;

    fn call<'d>(stack: &mut Stack<'_>, guest: &'d Guest<'d>) -> std::result::Result<usize, Raise> {
        guest.tick(stack).map(|()| 0)
    }
}

/// Collections that have to end after all is forgotten: what the first one finds may have been marked before, and what
/// holds something else is freed before it.
const SWEEPS_TO_WANE: u8 = 3;
/// Functions forgotten by one task of an interpreter that nobody needs any more.
const FORGOTTEN_PER_TASK: usize = 32;

/// Functions by the number of their slot. They lie in a table of Lua: handles of mlua are few thousands at most.
struct Slots {
    functions: Table,
    kept: Kept,
    len: Cell<usize>,
    free: RefCell<Vec<usize>>,
}

impl Slots {
    fn new(lua: &Lua) -> Result<Slots> {
        let functions = lua.create_table()?;
        let kept = stack::keep(lua, &functions)?;
        Ok(Slots { functions, kept, len: Cell::new(0), free: RefCell::default() })
    }

    fn add(&self, function: Function) -> Result<usize> {
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.len.set(self.len.get() + 1);
            self.len.get()
        });
        self.functions.raw_set(slot, function)?;
        Ok(slot)
    }

    fn take(&self, slot: usize) -> Result<()> {
        if !self.functions.raw_get::<Value>(slot)?.is_nil() {
            self.functions.raw_set(slot, Value::Nil)?;
            self.free.borrow_mut().push(slot);
        }
        Ok(())
    }
}

impl Slots {
    /// Forgets some functions, those kept last first; true: none is left.
    fn forget_some(&self, count: usize) -> Result<bool> {
        for _ in 0..count.min(self.len.get()) {
            self.functions.raw_set(self.len.get(), Value::Nil)?;
            self.len.set(self.len.get() - 1);
        }
        Ok(self.len.get() == 0)
    }
}

/// What a sandbox is made of.
struct Sandbox {
    world: Kept,
    handler: Kept,
    enter: Function,
    sweep: Function,
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
        functions,
        sweeps: Cell::new(0),
        registered: RefCell::default(),
    };
    let ended = raise::lend::<Lent, _>(&lua, &guest, |lent| {
        lua.scope(|scope| {
            let host = lua.create_table()?;
            let redis = redis_table(&lua, scope, &guest, lent, kind)?;
            lua.set_named_registry_value(CALL, redis.raw_get::<Function>("call")?)?;
            host.raw_set("libraries", libraries_table(&lua, redis)?)?;
            host.raw_set("nursery", loading_table(&lua, scope, &guest)?)?;
            let random = scope.create_function(|lua, args: MultiValue| guest.random(lua, &args))?;
            host.raw_set("random", random)?;
            let seed = scope.create_function(|lua, args: MultiValue| guest.seed(lua, &args))?;
            host.raw_set("randomseed", seed)?;
            let doomed = scope.create_function(|_, ()| Ok(guest.doom.get().is_some()))?;
            host.raw_set("doomed", doomed)?;
            let getlocal = debug_library(&lua, kind)?;
            let (sandbox, world) = sandbox(&lua, &host, kind)?;
            raise::watch::<Tick>(&lua, lent, WATCH)?;
            if let Some(getlocal) = getlocal {
                let look =
                    scope.create_function(|lua, is_count: bool| guest.look(lua, is_count))?;
                lua.set_named_registry_value(LOOK, look)?;
                let tools = Tools::new(&lua, &world, &sandbox.xpcall, getlocal)?;
                let _ = guest.tools.set(tools);
                watch_lines(&lua)?;
            }
            guest.serve(&lua, &sandbox, first);
            Ok(())
        })
    });
    let ended = ended.and_then(|ended| ended);
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

/// The sandbox, and the world in it.
fn sandbox(lua: &Lua, host: &Table, kind: Kind) -> Result<(Sandbox, Table)> {
    host.raw_set("plain", lua.create_function(fail::plain)?)?;
    type Tables = (Table, Table, Table);
    let register =
        |lua: &Lua, (native, world, parts): Tables| basics::register(lua, &native, &world, &parts);
    host.raw_set("basics", lua.create_function(register)?)?;
    host.raw_set("changed", lua.create_function(changed)?)?;
    host.raw_set("missing", lua.create_function(missing)?)?;
    let handle = lua.create_function(fail::handle)?;
    host.raw_set("handle", &handle)?;
    if kind != Kind::Functions {
        host.raw_set("handler", &handle)?;
    }
    let chunk = lua.load(include_str!("sandbox.lua")).set_name(SANDBOX_CHUNK);
    type Parts = (Table, Table, Function, Function, Function);
    let (world, environment, enter, sweep, xpcall): Parts = chunk.call((lua.globals(), host))?;
    lua.set_globals(environment)?;
    let sandbox = Sandbox {
        world: stack::keep(lua, &world)?,
        handler: stack::keep(lua, &handle)?,
        enter,
        sweep,
        xpcall,
        handle,
        names: FieldNames::new(lua)?,
    };
    Ok((sandbox, world))
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

/// Has the debugger look at every line, in this coroutine of Lua and in those it will make.
fn watch_lines(lua: &Lua) -> Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(TICK_INSTRUCTIONS).every_line();
    lua.set_global_hook(triggers, hook)
}

fn hook(lua: &Lua, debug: &Debug) -> Result<VmState> {
    let look: Function = lua.named_registry_value(LOOK)?;
    look.call::<()>(debug.event() == DebugEvent::Count)?;
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
        let text = self.doom.get()?;
        Stack::with(lua, |stack| self.doomed(stack));
        Some(fail_table(text.as_bytes(), false))
    }

    /// Stops until the host answers. An error if the script is to end.
    pub fn ask(&self, stack: &Stack<'_>, event: Event) -> std::result::Result<Answer, Raise> {
        if self.doom.get().is_some() {
            return Err(self.doomed(stack));
        }
        match self.yielder.suspend(event) {
            Answer::Kill(text) => {
                self.doom.set(Some(text));
                Err(self.doomed(stack))
            }
            Answer::Quit => {
                self.is_quitting.set(true);
                self.doom.set(Some("ERR the server ends"));
                Err(self.doomed(stack))
            }
            answer => Ok(answer),
        }
    }

    /// As [`Guest::ask`], where mlua runs us.
    pub fn ask_by(&self, lua: &Lua, event: Event) -> Result<Answer> {
        let answer = Stack::with(lua, |stack| self.ask(stack, event));
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(Raise::Table(text, is_counted))) => Err(fail_table(&text, is_counted)),
            _ => Err(Error::StackError),
        }
    }

    /// The error that ends a script; from now on it comes at every line, so that nothing can catch it.
    fn doomed(&self, stack: &Stack<'_>) -> Raise {
        raise::watch_from_now::<Tick>(stack, Watch::Always);
        Raise::table(self.doom.get().unwrap_or_default().as_bytes())
    }

    fn tick(&self, stack: &Stack<'_>) -> std::result::Result<(), Raise> {
        if self.doom.get().is_some() {
            return Err(self.doomed(stack));
        }
        if self.is_running() || self.registered.try_borrow().is_ok_and(|list| list.is_some()) {
            self.ask(stack, Event::Tick)?;
        }
        Ok(())
    }

    /// What ran was ended, and has; the next one is watched as usual.
    fn forget_doom(&self, lua: &Lua) {
        if self.doom.take().is_some() {
            Stack::with(lua, |stack| raise::watch_from_now::<Tick>(stack, WATCH));
            if self.is_debugged()
                && let Err(error) = watch_lines(lua)
            {
                log::warn!("Lines of scripts are not looked at any more: {error}");
            }
        }
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
            self.forget_doom(lua);
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
            Task::Run { slot } => self.run(lua, sandbox, slot, Kind::Scripts),
            Task::Load => self.load(lua, sandbox),
            Task::Call { slot } => self.run(lua, sandbox, slot, Kind::Functions),
            Task::Forget { slot } => {
                self.functions.take(slot)?;
                Ok(Done::Forgotten)
            }
            Task::Wane => {
                let is_empty = self.functions.forget_some(FORGOTTEN_PER_TASK)?;
                let is_swept = lua.gc_step()?;
                self.sweeps.set(self.sweeps.get() + u8::from(is_empty && is_swept));
                let is_over = self.sweeps.get() == SWEEPS_TO_WANE;
                Ok(if is_over { Done::Forgotten } else { Done::Waning })
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

    fn run(&self, lua: &Lua, sandbox: &Sandbox, slot: usize, kind: Kind) -> Result<Done> {
        let done = Stack::with(lua, |stack| {
            stack.push_kept(sandbox.handler);
            stack.push_kept(self.functions.kept);
            stack.get_element(2, slot);
            if stack.is_nil(3) {
                return Ok(Done::Missing);
            }
            let arguments = self.push_params(stack, sandbox, kind)?;
            self.is_running.set(true);
            let is_ok = stack.call(arguments, 1, Some(1));
            self.is_running.set(false);
            if !is_ok {
                let value = stack.pop_value(lua)?;
                return Ok(Done::Failed(failed(lua, value)?));
            }
            stack.insert(1);
            stack.set_top(1);
            Ok(self.finish(stack, sandbox))
        });
        done.unwrap_or(Err(Error::StackError))
    }

    /// The keys and the other arguments as tables: globals of a script, arguments of a function. How many of the
    /// latter.
    fn push_params(&self, stack: &mut Stack<'_>, sandbox: &Sandbox, kind: Kind) -> Result<usize> {
        let params: Texts = self.exchange.params.take();
        let key_count = self.exchange.key_count.get().min(params.len());
        let parts = [(0..key_count, "KEYS"), (key_count..params.len(), "ARGV")];
        if kind == Kind::Scripts {
            stack.push_kept(sandbox.world);
        }
        let world = stack.top();
        for (range, name) in parts {
            stack.push_table(range.len(), 0);
            let (table, first) = (stack.top(), range.start);
            for index in range {
                stack.push_text(params.at(index));
                stack.set_element(table, index - first + 1).map_err(|_| Error::StackError)?;
            }
            if kind == Kind::Scripts {
                stack.set_named(world, name);
            }
        }
        self.exchange.params.replace(params);
        if kind == Kind::Functions {
            return Ok(2);
        }
        stack.pop(1);
        Ok(0)
    }

    /// Turns what a script returned into its reply.
    fn finish(&self, stack: &mut Stack<'_>, sandbox: &Sandbox) -> Done {
        let exchange = &self.exchange;
        let mut writer = Writer {
            stack,
            names: &sandbox.names,
            client: exchange.client_resp.get(),
            script: exchange.script_resp.get(),
            out: exchange.result.take(),
            errors: Vec::new(),
            has_errors: false,
        };
        writer.write();
        exchange.result.replace(writer.out);
        exchange.errors.replace(writer.errors);
        Done::Replied { has_errors: writer.has_errors }
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
        self.forget_doom(lua);
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
