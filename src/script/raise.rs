//! Errors that functions on [`Stack`] raise, and the doors by which Lua comes in to them.
//!
//! A function is a type with a [`Body`]: Lua calls `enter`, which makes a [`Stack`] of its arguments and raises what
//! the body returns as an error, as the very value that Lua's own functions and Redis's raise: a string with the place
//! of the call, or a table. What functions share is one piece of memory of Lua's: [`Shared`].
#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_void};

use mlua::{Function, Lua, Value, ffi};

use crate::script::stack::Stack;

/// An error that is to be raised.
#[derive(Debug)]
pub enum Raise {
    /// A string, the place of the call before it.
    Placed(Vec<u8>),
    /// A string as it is.
    Bare(Vec<u8>),
    /// What Lua says of an argument, by its number, that is not right.
    Argument(usize, Vec<u8>),
    /// A table with the field `err`; and whether a command counted the error.
    Table(Vec<u8>, bool),
}

impl Raise {
    /// [`Raise::Placed`]
    pub fn placed(text: impl Into<Vec<u8>>) -> Raise {
        Raise::Placed(text.into())
    }

    /// [`Raise::Bare`]
    pub fn bare(text: &str) -> Raise {
        Raise::Bare(text.as_bytes().to_vec())
    }

    /// [`Raise::Argument`]
    pub fn argument(number: usize, what: impl Into<Vec<u8>>) -> Raise {
        Raise::Argument(number, what.into())
    }

    /// An argument of another kind than `expected`.
    pub fn wrong_kind(stack: &Stack<'_>, number: usize, expected: &str) -> Raise {
        let found = stack.kind_name(number);
        Raise::argument(number, format!("{expected} expected, got {found}"))
    }

    /// [`Raise::Table`], of an error that nobody has counted yet.
    pub fn table(text: &[u8]) -> Raise {
        Raise::Table(text.to_vec(), false)
    }
}

/// Pushes the table of an error, as Redis has it.
pub fn push_error(stack: &mut Stack<'_>, text: &[u8], is_counted: bool) {
    stack.push_table(0, 2);
    let table = stack.top();
    stack.push_text(text);
    stack.set_named(table, "err");
    if is_counted {
        stack.push_boolean(true);
        stack.set_named(table, "ignore_error_stats_update");
    }
}

/// What functions share, for each lifetime it may have.
pub trait Lend {
    /// The data itself.
    type Data<'a>;
    /// What lives longer may be taken for what lives less long.
    fn shorten<'s, 'l: 's>(data: &'s Self::Data<'l>) -> &'s Self::Data<'s>;
}

/// A function that scripts can call.
pub trait Body: 'static {
    /// What it shares with others.
    type Lent: Lend;
    /// Does its work: arguments are all that is on the stack. Returns how many of the last values are its results.
    fn call<'d>(
        stack: &mut Stack<'_>,
        data: &'d <Self::Lent as Lend>::Data<'d>,
    ) -> Result<usize, Raise>;
}

/// Data that functions share, and Lua keeps.
pub struct Shared<L: Lend> {
    /// A userdata that begins with a pointer to the data, null once there are none.
    userdata: Value,
    lent: PhantomData<L>,
}

impl<L: Lend> Clone for Shared<L> {
    fn clone(&self) -> Self {
        Shared { userdata: self.userdata.clone(), lent: PhantomData }
    }
}

/// Memory of Lua's for data of its own.
#[repr(C)]
struct Kept<T> {
    pointer: *const T,
    data: T,
}

/// Alignment of what Lua allocates, bytes.
const ALIGNMENT: usize = 8;

impl<L: Lend> Shared<L>
where
    L::Data<'static>: 'static,
{
    /// Data that live as long as a function that shares them. They are not dropped, so they must not need it.
    pub fn keep(lua: &Lua, data: L::Data<'static>) -> mlua::Result<Shared<L>> {
        const { assert!(!std::mem::needs_drop::<L::Data<'static>>()) };
        const { assert!(align_of::<L::Data<'static>>() <= ALIGNMENT) };
        // SAFETY: the memory is of the size and at least of the alignment of `Kept`, and Lua never moves it.
        let userdata = unsafe {
            lua.exec_raw::<Value>((), |state| {
                let place = ffi::lua_newuserdata(state, size_of::<Kept<L::Data<'static>>>());
                let place = place.cast::<Kept<L::Data<'static>>>();
                place.write(Kept { pointer: std::ptr::null(), data });
                (*place).pointer = &raw const (*place).data;
            })?
        };
        Ok(Shared { userdata, lent: PhantomData })
    }
}

impl<L: Lend> Shared<L> {
    /// Looks at the data from outside of the functions. `None` if they are lent no more.
    pub fn with<R>(&self, lua: &Lua, look: impl for<'d> FnOnce(&'d L::Data<'d>) -> R) -> Option<R> {
        let mut place = std::ptr::null_mut();
        // SAFETY: only looks where the userdata is, which the handle keeps.
        let pushed = unsafe {
            lua.exec_raw::<()>(self.userdata.clone(), |state| {
                place = ffi::lua_touserdata(state, -1);
                ffi::lua_settop(state, -2);
            })
        };
        pushed.ok()?;
        data_at::<L>(place).map(look)
    }
}

/// Takes back what was lent.
struct TakeBack<'p>(&'p Cell<*mut *const c_void>);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        if !self.0.get().is_null() {
            // SAFETY: the userdata is alive: `lend` holds a handle of it, and the interpreter outlives that.
            unsafe { self.0.get().write(std::ptr::null()) }
        }
    }
}

/// Lends data to functions for as long as `during` takes; called afterwards they fail.
pub fn lend<L: Lend, R>(
    lua: &Lua,
    data: &L::Data<'_>,
    during: impl FnOnce(&Shared<L>) -> R,
) -> mlua::Result<R> {
    let place = Cell::new(std::ptr::null_mut::<*const c_void>());
    let pointer = (&raw const *data).cast::<c_void>();
    // SAFETY: the memory is that of one pointer; Lua aligns it for that and never moves it.
    let userdata = unsafe {
        lua.exec_raw::<Value>((), |state| {
            let memory = ffi::lua_newuserdata(state, size_of::<*const c_void>());
            place.set(memory.cast::<*const c_void>());
            place.get().write(pointer);
        })?
    };
    let shared = Shared { userdata, lent: PhantomData };
    let _taking_back = TakeBack(&place);
    Ok(during(&shared))
}

/// Makes a function of a body.
pub fn function<B: Body>(lua: &Lua, shared: &Shared<B::Lent>) -> mlua::Result<Function> {
    // SAFETY: the one value on the stack becomes that of the function, which is what `enter` relies on.
    unsafe {
        lua.exec_raw::<Function>(shared.userdata.clone(), |state| {
            ffi::lua_pushcclosure(state, enter::<B>, 1);
        })
    }
}

/// What a body shares, by the userdata that [`function`] or [`watch`] put where it is looked for.
fn data_at<'d, L: Lend>(userdata: *mut c_void) -> Option<&'d L::Data<'d>> {
    let userdata = userdata.cast::<*const L::Data<'d>>();
    if userdata.is_null() {
        return None;
    }
    // SAFETY: it is the userdata of a `Shared` of this type, which begins with a pointer that is null or points to data
    // that are alive: kept by that very userdata, or lent by a caller further up the stack. What lifetime they had
    // nobody looks at but `shorten`, which is the same for all.
    let data = unsafe { (*userdata).as_ref() }?;
    Some(L::shorten(data))
}

/// Where Lua comes in.
///
/// # Safety
/// For Lua alone, which calls it as the function that [`function`] made.
unsafe extern "C-unwind" fn enter<B: Body>(state: *mut ffi::lua_State) -> c_int {
    let outcome = {
        // SAFETY: this is the C function that Lua calls with this state.
        let mut stack = unsafe { Stack::function(state) };
        match data_at::<B::Lent>(stack.pointer(ffi::lua_upvalueindex(1))) {
            None => Err(Raise::bare("the function has ended")),
            Some(data) => B::call(&mut stack, data),
        }
    };
    match outcome {
        Ok(count) => count as c_int,
        // SAFETY: a function that fails needs its arguments no more; what is pushed has room then. When the error is
        // on the stack nothing is left here that would have to be dropped.
        Err(raise) => unsafe {
            ffi::lua_settop(state, 0);
            let argument = push(state, raise);
            throw(state, argument)
        },
    }
}

/// Where Lua comes in while a script runs.
///
/// # Safety
/// For Lua alone, which calls it as the hook that [`watch`] set.
unsafe extern "C-unwind" fn interrupt<B: Body>(state: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    let outcome = {
        // SAFETY: this is the hook that Lua calls with this state.
        let mut stack = unsafe { Stack::hook(state) };
        match data_of_watch::<B>(state) {
            None => Ok(0),
            Some(data) => B::call(&mut stack, data),
        }
    };
    if let Err(raise) = outcome {
        // SAFETY: there is room as at the beginning of the hook; when the error is on the stack nothing is left here
        // that would have to be dropped.
        unsafe {
            let argument = push(state, raise);
            throw(state, argument)
        }
    }
}

/// How often a script is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// After so many instructions.
    Now(u32),
    /// At every line and every instruction.
    Always,
}

/// Entries of the registry, by these addresses: the data of hooks, and the main coroutine.
static WATCH_KEYS: [u8; 2] = [0; 2];

fn key(index: usize) -> *mut c_void {
    (&raw const WATCH_KEYS[index]).cast_mut().cast::<c_void>()
}

/// Has the body called now and then whatever runs, in the coroutine that runs and in those it will make.
pub fn watch<B: Body>(lua: &Lua, shared: &Shared<B::Lent>, watch: Watch) -> mlua::Result<()> {
    // SAFETY: the one value on the stack goes to the registry, under an address that nobody else has.
    unsafe {
        lua.exec_raw::<()>(shared.userdata.clone(), |state| {
            ffi::lua_pushlightuserdata(state, key(0));
            ffi::lua_insert(state, -2);
            ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_pushlightuserdata(state, key(1));
            ffi::lua_pushlightuserdata(state, state.cast::<c_void>());
            ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
        })?;
    }
    Stack::with(lua, |stack| set_hook::<B>(stack.state(), watch));
    Ok(())
}

/// From now on the watch is another one: in the running coroutine and in that which [`watch`] began with.
pub fn watch_from_now<B: Body>(stack: &Stack<'_>, watch: Watch) {
    set_hook::<B>(stack.state(), watch);
    let main = registered(stack.state(), key(1)).cast::<ffi::lua_State>();
    if !main.is_null() {
        set_hook::<B>(main, watch);
    }
}

fn set_hook<B: Body>(state: *mut ffi::lua_State, watch: Watch) {
    let (mask, count) = match watch {
        Watch::Now(instructions) => (ffi::LUA_MASKCOUNT, instructions as c_int),
        Watch::Always => (ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, 1),
    };
    // SAFETY: the state is that of a stack, or the main one, which lives as long as the interpreter.
    unsafe {
        ffi::lua_sethook(state, Some(interrupt::<B>), mask, count);
    }
}

/// Where the userdata in the registry under this key points to, or null.
fn registered(state: *mut ffi::lua_State, key: *mut c_void) -> *mut c_void {
    // SAFETY: functions and hooks have room for more than one value, which is removed again. What it points to is not
    // looked at here.
    unsafe {
        ffi::lua_pushlightuserdata(state, key);
        ffi::lua_rawget_(state, ffi::LUA_REGISTRYINDEX);
        let place = ffi::lua_touserdata(state, -1);
        ffi::lua_settop(state, -2);
        place
    }
}

fn data_of_watch<'d, B: Body>(
    state: *mut ffi::lua_State,
) -> Option<&'d <B::Lent as Lend>::Data<'d>> {
    data_at::<B::Lent>(registered(state, key(0)))
}

/// Pushes an error; the number of the argument it is about.
///
/// # Safety
/// There is room for some values on the stack of this state.
#[cold]
unsafe fn push(state: *mut ffi::lua_State, raise: Raise) -> Option<c_int> {
    // SAFETY: there is room, says the caller.
    unsafe {
        let text = |text: &[u8]| {
            ffi::lua_pushlstring_(state, text.as_ptr().cast::<c_char>(), text.len());
        };
        match raise {
            Raise::Placed(message) => {
                ffi::luaL_where(state, 1);
                text(&message);
                ffi::lua_concat(state, 2);
            }
            Raise::Bare(message) => text(&message),
            Raise::Argument(number, message) => {
                text(&message);
                return Some(number as c_int);
            }
            Raise::Table(message, is_counted) => {
                let mut stack = Stack::hook(state);
                push_error(&mut stack, &message, is_counted);
            }
        }
    }
    None
}

/// Raises what is on top.
///
/// # Safety
/// There is a value, and nothing on the way to whoever catches it has to be dropped. For an argument it is a string.
unsafe fn throw(state: *mut ffi::lua_State, argument: Option<c_int>) -> ! {
    // SAFETY: says the caller.
    unsafe {
        if let Some(argument) = argument {
            let mut len = 0;
            ffi::luaL_argerror(state, argument, ffi::lua_tolstring(state, -1, &mut len));
        }
        ffi::lua_error(state)
    }
}
