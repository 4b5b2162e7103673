//! Lua's stack as a function of ours sees it: values by their place, no handle for each.
//!
//! ```text
//!    index   1   2   3   …   top            Stack::function: base 0, its arguments are 1 to top
//!           ┌───┬───┬───┬───┬───┐           Stack::with: on top of what is there, which stays
//!   base ─▶ │   │   │   │   │   │ ◀─ top
//!           └───┴───┴───┴───┴───┘ … room    so far is pushed without asking Lua for more
//! ```
//!
//! mlua keeps a handle of each value that Rust touches, which costs more than most values and of which there are some
//! 8,000. Whoever handles values in bulk (codecs, `redis.call`, replies) works here instead, as a library in C would,
//! but checked: an index is one of a value, what is pushed has room, a table is a table.
//!
//! An error of Lua is a jump over all frames between who raises and who catches. Promise: no method here jumps. Access
//! is raw, so no metamethod runs; keys are looked at before they are set; where there is no memory the process ends, as
//! everywhere. An error of ours is a value, [`Raise`], raised by the door that Lua came in by once all else is dropped.
//!
//! Cost: a call into Lua's library per method, and one more where a kind has to be looked at.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_void};

use mlua::{Lua, Value, ffi};

use crate::script::raise::Raise;

/// Slots of the stack that one function may use: a limit of Lua itself.
pub const SLOTS_MAX: usize = 8000;
/// Entries of one table: beyond, Lua has an error of its own, which would be a jump.
const TABLE_LEN_MAX: usize = 1 << 26;
/// More room is asked for by so many slots.
const ROOM_STEP: usize = 40;

/// What a place holds, looked at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'v> {
    /// Nothing; `nil`.
    Nil,
    /// True or false.
    Boolean(bool),
    /// The light userdata that stands for `null`.
    Null,
    /// A number.
    Number(f64),
    /// A string.
    Text(&'v [u8]),
    /// A table.
    Table,
    /// All else.
    Other,
}

/// A value that Lua keeps until the interpreter ends.
#[derive(Clone, Copy, Debug)]
pub struct Kept(c_int);

/// Keeps a value, which [`Stack::push_kept`] brings back. For few values: none is ever given back.
pub fn keep(lua: &Lua, value: impl mlua::IntoLua) -> mlua::Result<Kept> {
    let mut place = 0;
    // SAFETY: the value is alone on the stack of this call, and becomes an entry of the registry.
    unsafe {
        lua.exec_raw::<()>(value, |state| place = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX))?;
    }
    Ok(Kept(place))
}

/// A function of Lua's library.
#[derive(Clone, Copy)]
pub struct Native(ffi::lua_CFunction);

/// The function behind a value; an error if it is written in Lua.
pub fn native(lua: &Lua, function: mlua::Function) -> mlua::Result<Native> {
    let mut found = None;
    // SAFETY: looks at the one value on the stack, and leaves nothing.
    unsafe {
        lua.exec_raw::<()>(function, |state| {
            found = ffi::lua_tocfunction(state, -1);
            ffi::lua_settop(state, -2);
        })?;
    }
    found.map(Native).ok_or(mlua::Error::StackError)
}

/// A part of Lua's stack.
pub struct Stack<'s> {
    state: *mut ffi::lua_State,
    /// What lies below index 1.
    base: usize,
    /// The index of the last value. Invariant: `base + top` is what Lua's own count is.
    top: usize,
    /// Up to this index Lua has room. Invariant: at least `top`.
    room: usize,
    lifetime: PhantomData<&'s mut ()>,
}

impl Stack<'_> {
    /// That of the function that Lua is just calling.
    ///
    /// # Safety
    /// `state` is what Lua gave to a C function which has not returned, and this is the only stack made of it.
    pub(super) unsafe fn function<'s>(state: *mut ffi::lua_State) -> Stack<'s> {
        // SAFETY: the state is one of a running function, says the caller.
        let top = unsafe { ffi::lua_gettop(state) } as usize;
        let room = top + ffi::LUA_MINSTACK as usize;
        Stack { state, base: 0, top, room, lifetime: PhantomData }
    }

    /// That of a hook: empty, above what the interrupted function has.
    ///
    /// # Safety
    /// As for [`Stack::function`], for a hook.
    pub(super) unsafe fn hook<'s>(state: *mut ffi::lua_State) -> Stack<'s> {
        // SAFETY: the state is that of a running hook, says the caller, for which Lua makes this room.
        let base = unsafe { ffi::lua_gettop(state) } as usize;
        Stack { state, base, top: 0, room: ffi::LUA_MINSTACK as usize, lifetime: PhantomData }
    }

    /// Works above what is on the interpreter's stack now, and removes what it leaves there. `None` if the stack is
    /// full.
    pub fn with<R>(lua: &Lua, work: impl FnOnce(&mut Stack<'_>) -> R) -> Option<R> {
        lua.exec_raw_lua(|raw| {
            let state = raw.state();
            // SAFETY: the state of an interpreter that is alive; what it has on its stack is left alone.
            let base = unsafe { ffi::lua_gettop(state) } as usize;
            let mut stack = Stack { state, base, top: 0, room: 0, lifetime: PhantomData };
            if !stack.reserve(ffi::LUA_MINSTACK as usize) {
                return None;
            }
            let result = work(&mut stack);
            stack.set_top(0);
            Some(result)
        })
    }

    /// The state itself, for the doors of Lua.
    pub(super) fn state(&self) -> *mut ffi::lua_State {
        self.state
    }

    /// How many values there are, which is the index of the last.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Makes room for `slots` more values; false if Lua allows no more. Without asking there are 20.
    pub fn reserve(&mut self, slots: usize) -> bool {
        let wanted = self.top + slots;
        if self.base + wanted > SLOTS_MAX {
            return false;
        }
        if wanted > self.room {
            let more = (slots + ROOM_STEP).min(SLOTS_MAX - self.base - self.top);
            // SAFETY: asks for memory only; a failure is returned and changes nothing.
            if unsafe { ffi::lua_checkstack(self.state, more as c_int) } == 0 {
                return false;
            }
            self.room = self.top + more;
        }
        true
    }

    /// Lua's index of a value of this stack.
    fn at(&self, index: usize) -> c_int {
        assert!(index > 0 && index <= self.top, "no value of this stack");
        (self.base + index) as c_int
    }

    /// Counts a value that is about to be pushed.
    fn count_pushed(&mut self) {
        assert!(self.top < self.room, "no room was made");
        self.top += 1;
    }

    fn kind(&self, index: usize) -> c_int {
        // SAFETY: the index is one of a value.
        unsafe { ffi::lua_type(self.state, self.at(index)) }
    }

    fn check_table(&self, index: usize) -> c_int {
        assert!(self.kind(index) == ffi::LUA_TTABLE, "no table");
        self.at(index)
    }

    /// Whether this is a table.
    pub fn is_table(&self, index: usize) -> bool {
        self.kind(index) == ffi::LUA_TTABLE
    }

    /// Whether this is nil, or there is nothing.
    pub fn is_nil(&self, index: usize) -> bool {
        index > self.top || self.kind(index) == ffi::LUA_TNIL
    }

    /// Lua's name of the kind of this value; past the last one `no value`.
    pub fn kind_name(&self, index: usize) -> &'static str {
        if index > self.top {
            return "no value";
        }
        match self.kind(index) {
            ffi::LUA_TNIL => "nil",
            ffi::LUA_TBOOLEAN => "boolean",
            ffi::LUA_TNUMBER => "number",
            ffi::LUA_TSTRING => "string",
            ffi::LUA_TTABLE => "table",
            ffi::LUA_TFUNCTION => "function",
            ffi::LUA_TTHREAD => "thread",
            _ => "userdata",
        }
    }

    /// What this is.
    pub fn view(&self, index: usize) -> View<'_> {
        let at = self.at(index);
        // SAFETY: the index is one of a value, and each of these reads the kind it was just found to be.
        unsafe {
            match ffi::lua_type(self.state, at) {
                ffi::LUA_TNIL => View::Nil,
                ffi::LUA_TNUMBER => View::Number(ffi::lua_tonumber(self.state, at)),
                ffi::LUA_TSTRING => View::Text(self.text_at(at)),
                ffi::LUA_TTABLE => View::Table,
                ffi::LUA_TBOOLEAN => View::Boolean(ffi::lua_toboolean(self.state, at) != 0),
                ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(self.state, at).is_null() => {
                    View::Null
                }
                _ => View::Other,
            }
        }
    }

    /// The bytes of a string, which stay where they are as long as the stack is not changed.
    ///
    /// # Safety
    /// There is a string, or a number which may become one.
    unsafe fn text_at(&self, at: c_int) -> &[u8] {
        let mut len = 0;
        // SAFETY: of a string this returns its bytes, which Lua moves never and frees once nothing refers to it.
        unsafe {
            let bytes = ffi::lua_tolstring(self.state, at, &mut len);
            std::slice::from_raw_parts(bytes.cast::<u8>(), len)
        }
    }

    /// A string, or a number, which becomes one here.
    pub fn text(&mut self, index: usize) -> Option<&[u8]> {
        if index > self.top || !matches!(self.kind(index), ffi::LUA_TSTRING | ffi::LUA_TNUMBER) {
            return None;
        }
        // SAFETY: it is one of the two.
        Some(unsafe { self.text_at(self.at(index)) })
    }

    /// A number, or a string that reads as one.
    pub fn number(&self, index: usize) -> Option<f64> {
        if index > self.top {
            return None;
        }
        let at = self.at(index);
        // SAFETY: the index is one of a value; neither changes it.
        unsafe {
            let is_number = ffi::lua_isnumber(self.state, at) != 0;
            is_number.then(|| ffi::lua_tonumber(self.state, at))
        }
    }

    /// Pushes nil.
    pub fn push_nil(&mut self) {
        self.count_pushed();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) }
    }

    /// Pushes what stands for `null`.
    pub fn push_null(&mut self) {
        self.count_pushed();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.state, std::ptr::null_mut()) }
    }

    /// Pushes a boolean.
    pub fn push_boolean(&mut self, value: bool) {
        self.count_pushed();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) }
    }

    /// Pushes a number.
    pub fn push_number(&mut self, value: f64) {
        self.count_pushed();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, value) }
    }

    /// Pushes a string. O(its length).
    pub fn push_text(&mut self, text: &[u8]) {
        self.count_pushed();
        // SAFETY: there is room; Lua copies the bytes.
        unsafe {
            ffi::lua_pushlstring_(self.state, text.as_ptr().cast::<c_char>(), text.len());
        }
    }

    /// Pushes a new table with room for so many elements and fields.
    pub fn push_table(&mut self, elements: usize, fields: usize) {
        self.count_pushed();
        let most = |count: usize| count.min(TABLE_LEN_MAX) as c_int;
        // SAFETY: there is room on the stack, and Lua can make a table of this size.
        unsafe { ffi::lua_createtable(self.state, most(elements), most(fields)) }
    }

    /// Pushes a value once more.
    pub fn push_copy(&mut self, index: usize) {
        let at = self.at(index);
        self.count_pushed();
        // SAFETY: there is room, and the index is one of a value.
        unsafe { ffi::lua_pushvalue(self.state, at) }
    }

    /// Pushes what was kept.
    pub fn push_kept(&mut self, kept: Kept) {
        self.count_pushed();
        // SAFETY: there is room; the registry is a table.
        unsafe { ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, kept.0) }
    }

    /// Removes what is above this index.
    pub fn set_top(&mut self, top: usize) {
        assert!(top <= self.top, "no values to add");
        self.top = top;
        // SAFETY: it only removes, and only what is of this stack.
        unsafe { ffi::lua_settop(self.state, (self.base + top) as c_int) }
    }

    /// Removes the last values.
    pub fn pop(&mut self, count: usize) {
        self.set_top(self.top.saturating_sub(count));
    }

    /// Pushes element `number` of a table.
    pub fn get_element(&mut self, table: usize, number: usize) {
        let at = self.check_table(table);
        self.count_pushed();
        // SAFETY: a table, and room.
        unsafe { ffi::lua_rawgeti_(self.state, at, number as c_int) }
    }

    /// Makes the last value, which it removes, element `number` of a table.
    pub fn set_element(&mut self, table: usize, number: usize) -> Result<(), Raise> {
        let at = self.check_table(table);
        assert!(self.top > table, "no value");
        if number > TABLE_LEN_MAX {
            return Err(Raise::bare("table overflow"));
        }
        // SAFETY: a table, and a value above it.
        unsafe { ffi::lua_rawseti_(self.state, at, number as c_int) }
        self.top -= 1;
        Ok(())
    }

    /// Replaces the last value, a key, by what a table has under it.
    pub fn get_field(&mut self, table: usize) {
        let at = self.check_table(table);
        assert!(self.top > table, "no key");
        // SAFETY: a table, and a key above it.
        unsafe { ffi::lua_rawget_(self.state, at) }
    }

    /// Makes the last value a field of a table under the one before it; both are removed. `len` is how many fields were
    /// set before.
    pub fn set_field(&mut self, table: usize, len: usize) -> Result<(), Raise> {
        let at = self.check_table(table);
        assert!(self.top > table + 1, "no key and value");
        match self.kind(self.top - 1) {
            ffi::LUA_TSTRING => {}
            ffi::LUA_TNIL => return Err(Raise::bare("table index is nil")),
            ffi::LUA_TNUMBER if self.number(self.top - 1).is_some_and(f64::is_nan) => {
                return Err(Raise::bare("table index is NaN"));
            }
            _ => {}
        }
        if len >= TABLE_LEN_MAX {
            return Err(Raise::bare("table overflow"));
        }
        // SAFETY: a table, and above it a key that can be one with a value.
        unsafe { ffi::lua_rawset(self.state, at) }
        self.top -= 2;
        Ok(())
    }

    /// Sets a field to the last value, which it removes.
    pub fn set_named(&mut self, table: usize, name: &str) {
        let at = self.check_table(table);
        assert!(self.top > table, "no value");
        self.push_text(name.as_bytes());
        // SAFETY: a table, and above it a value with a string as its key, in the order that is asked for.
        unsafe {
            ffi::lua_insert(self.state, -2);
            ffi::lua_rawset(self.state, at);
        }
        self.top -= 2;
    }

    /// Replaces the last value, a key of `table` that this gave or nil, by the next key and its value. False, and the
    /// key is removed, where there is none. Between two calls no field may be added to the table.
    pub fn next(&mut self, table: usize) -> bool {
        let at = self.check_table(table);
        assert!(self.top > table && self.top < self.room, "no key, or no room");
        // SAFETY: a table, a key above it, and room for one value more than that.
        if unsafe { ffi::lua_next(self.state, at) } == 0 {
            self.top -= 1;
            return false;
        }
        self.top += 1;
        true
    }

    /// Whether the metatable of this value has a field `name`; what it is was pushed then.
    pub fn push_meta(&mut self, index: usize, name: &str) -> bool {
        let at = self.at(index);
        assert!(self.top + 2 <= self.room, "no room was made");
        // SAFETY: the index is one of a value; there is room for a metatable and a name.
        unsafe {
            if ffi::lua_getmetatable(self.state, at) == 0 {
                return false;
            }
            ffi::lua_pushlstring_(self.state, name.as_ptr().cast::<c_char>(), name.len());
            ffi::lua_rawget_(self.state, -2);
            ffi::lua_remove(self.state, -2);
        }
        self.top += 1;
        true
    }

    /// Moves the last value to this index, and what is from there on up by one.
    pub fn insert(&mut self, index: usize) {
        let at = self.at(index);
        // SAFETY: the index is one of a value.
        unsafe { ffi::lua_insert(self.state, at) }
    }

    /// Works above all values with the bytes of the string at `index`, which nobody can remove meanwhile. What is left
    /// there stays; nothing is done and `None` returned where no string is.
    pub fn above_text<R>(
        &mut self,
        index: usize,
        work: impl FnOnce(&[u8], &mut Stack<'_>) -> R,
    ) -> Option<R> {
        if index > self.top || self.kind(index) != ffi::LUA_TSTRING {
            return None;
        }
        let (top, room) = (self.top, self.room);
        let state = self.state;
        let mut above =
            Stack { state, base: self.base + top, top: 0, room: room - top, lifetime: PhantomData };
        // SAFETY: a string. It stays on the stack, since the one above does not reach it and this one is borrowed.
        let text = unsafe { self.text_at(self.at(index)) };
        let result = work(text, &mut above);
        let (more, room) = (above.top, above.room);
        self.top += more;
        self.room = top + room;
        Some(result)
    }

    /// Moves the last value to this index, in place of what is there.
    pub fn replace(&mut self, index: usize) {
        let at = self.at(index);
        // SAFETY: the index is one of a value, and there is a last one.
        unsafe { ffi::lua_replace(self.state, at) }
        self.top -= 1;
    }

    /// Lua's own function in place of the one that runs, with its arguments; how many of the last values are its
    /// results. Its errors are the one exception to what is promised above: they jump, so nothing of the caller's may
    /// need to be dropped. To be called on the stack of a function only.
    pub fn become_native(&mut self, native: Native) -> usize {
        assert!(self.base == 0, "no function's stack");
        // SAFETY: a function of Lua's library gets a state as Lua would give it: its arguments and, since at most they
        // were replaced, the room of a call. Those used here have no upvalues.
        unsafe {
            let count = (native.0)(self.state) as usize;
            self.top = ffi::lua_gettop(self.state) as usize;
            self.room = self.room.max(self.top);
            count
        }
    }

    /// Calls the function below the last `arguments` values, all of which its `results` results replace; errors go to
    /// the function at `handler`. False if it raised: then there is one value, the error or what the handler made of
    /// it.
    pub fn call(&mut self, arguments: usize, results: usize, handler: Option<usize>) -> bool {
        let handler = handler.map_or(0, |index| self.at(index));
        assert!(self.top > arguments && self.room >= self.top + results, "no function, or no room");
        // SAFETY: function and arguments are on the stack, with room for the results; errors end here.
        let status =
            unsafe { ffi::lua_pcall(self.state, arguments as c_int, results as c_int, handler) };
        let is_ok = status == ffi::LUA_OK;
        self.top = self.top - 1 - arguments + if is_ok { results } else { 1 };
        is_ok
    }

    /// The last value, which it removes, as a handle. Only where no function runs, on [`Stack::with`].
    pub fn pop_value(&mut self, lua: &Lua) -> mlua::Result<Value> {
        assert!(self.top > 0, "no value");
        self.top -= 1;
        lua.exec_raw_lua(|raw| {
            assert!(raw.state() == self.state, "another stack");
            // SAFETY: there is a value, and it is the last of the stack that the handle is made from.
            unsafe { raw.pop::<Value>() }
        })
    }

    /// Where a light userdata or a userdata points to.
    pub(super) fn pointer(&self, index: c_int) -> *mut c_void {
        // SAFETY: an index that is none of a value gives null.
        unsafe { ffi::lua_touserdata(self.state, index) }
    }
}
