//! Lua's own functions that look past metatables, and those that take functions, as scripts see them.
//!
//! A protected table is an empty shadow of what is behind it (`sandbox.lua`): `next`, `pairs`, `rawget` and their like
//! have to know. Each does what the shadows ask for and then becomes Lua's function, in the same call: arguments that
//! are wrong are refused by Lua itself, in its words and with the line of the caller, also where that returned the
//! call.
use std::cell::Cell;

use mlua::{Function, Lua, Result, Table};

use crate::script::raise::{Body, Lend, Raise, Shared, function};
use crate::script::stack::{self, Kept, Native, Stack, View};

/// What the functions need: Lua's own, and the tables of the sandbox.
#[derive(Clone, Copy)]
struct Basics {
    next: Native,
    rawget: Native,
    rawset: Native,
    getmetatable: Native,
    setmetatable: Native,
    loadstring: Native,
    xpcall: Native,
    resume: Native,
    /// Lua's `next` as a value, and that of scripts.
    next_value: Kept,
    peek: Kept,
    /// Shadow → what is behind it.
    sources: Kept,
    /// Shadow → the metatable that scripts see.
    metatables: Kept,
    string_metatable: Kept,
    /// Written in Lua: makes a handler that a script cannot misuse; `load`; the error that scripts see.
    guarded: Kept,
    load: Kept,
    plain: Kept,
}

/// The basics, once the sandbox is made.
struct Lent;

impl Lend for Lent {
    type Data<'a> = Cell<Option<Basics>>;

    fn shorten<'s, 'l: 's>(basics: &'s Self::Data<'l>) -> &'s Self::Data<'s> {
        basics
    }
}

type Outcome = std::result::Result<usize, Raise>;

/// A function by its number in this list.
const NAMES: [&str; 9] = [
    "next",
    "pairs",
    "rawget",
    "rawset",
    "getmetatable",
    "setmetatable",
    "loadstring",
    "load",
    "xpcall",
];
const RESUME: usize = NAMES.len();

/// Puts the functions into `world`, and `resume` into its `coroutine`. `parts` are tables and functions of the sandbox.
pub fn register(lua: &Lua, native: &Table, world: &Table, parts: &Table) -> Result<()> {
    let shared = Shared::<Lent>::keep(lua, Cell::new(None))?;
    let set = |index: usize, function: Function| world.raw_set(NAMES[index], function);
    let peek = function::<Basic<0>>(lua, &shared)?;
    set(0, peek.clone())?;
    set(1, function::<Basic<1>>(lua, &shared)?)?;
    set(2, function::<Basic<2>>(lua, &shared)?)?;
    set(3, function::<Basic<3>>(lua, &shared)?)?;
    set(4, function::<Basic<4>>(lua, &shared)?)?;
    set(5, function::<Basic<5>>(lua, &shared)?)?;
    set(6, function::<Basic<6>>(lua, &shared)?)?;
    set(7, function::<Basic<7>>(lua, &shared)?)?;
    set(8, function::<Basic<8>>(lua, &shared)?)?;
    let coroutine: Table = world.raw_get("coroutine")?;
    coroutine.raw_set("resume", function::<Basic<RESUME>>(lua, &shared)?)?;
    let own = |name: &str| -> Result<Native> { stack::native(lua, native.raw_get(name)?) };
    let kept = |name: &str| stack::keep(lua, parts.raw_get::<mlua::Value>(name)?);
    let own_coroutine: Table = native.raw_get("coroutine")?;
    let basics = Basics {
        next: own("next")?,
        rawget: own("rawget")?,
        rawset: own("rawset")?,
        getmetatable: own("getmetatable")?,
        setmetatable: own("setmetatable")?,
        loadstring: own("loadstring")?,
        xpcall: own("xpcall")?,
        resume: stack::native(lua, own_coroutine.raw_get("resume")?)?,
        next_value: stack::keep(lua, native.raw_get::<Function>("next")?)?,
        peek: stack::keep(lua, peek)?,
        sources: kept("sources")?,
        metatables: kept("metatables")?,
        string_metatable: kept("string_metatable")?,
        guarded: kept("guarded")?,
        load: kept("load")?,
        plain: kept("plain")?,
    };
    shared.with(lua, |place| place.set(Some(basics)));
    Ok(())
}

/// One of the functions.
struct Basic<const WHICH: usize>;

impl<const WHICH: usize> Body for Basic<WHICH> {
    type Lent = Lent;

    fn call(stack: &mut Stack<'_>, basics: &Cell<Option<Basics>>) -> Outcome {
        let Some(basics) = basics.get() else { return Ok(0) };
        match WHICH {
            0 => Ok(past_shadow(stack, &basics, basics.next)),
            1 => pairs(stack, &basics),
            2 => Ok(past_shadow(stack, &basics, basics.rawget)),
            3 => rawset(stack, &basics),
            4 => Ok(getmetatable(stack, &basics)),
            5 => setmetatable(stack, &basics),
            6 => Ok(loadstring(stack, &basics)),
            7 => load(stack, &basics),
            8 => Ok(xpcall(stack, &basics)),
            _ => Ok(resume(stack, &basics)),
        }
    }
}

/// Whether the value at `index` is a shadow; what is behind it was pushed then.
fn push_source(stack: &mut Stack<'_>, basics: &Basics, index: usize) -> bool {
    if index > stack.top() || !stack.is_table(index) || !stack.reserve(3) {
        return false;
    }
    stack.push_kept(basics.sources);
    let sources = stack.top();
    stack.push_copy(index);
    stack.get_field(sources);
    if stack.is_nil(sources + 1) {
        stack.pop(2);
        return false;
    }
    stack.insert(sources);
    stack.pop(1);
    true
}

/// Lua's function on what is behind its first argument.
fn past_shadow(stack: &mut Stack<'_>, basics: &Basics, native: Native) -> usize {
    if push_source(stack, basics, 1) {
        stack.replace(1);
    }
    stack.become_native(native)
}

fn pairs(stack: &mut Stack<'_>, basics: &Basics) -> Outcome {
    if stack.top() == 0 || !stack.is_table(1) {
        return Err(Raise::wrong_kind(stack, 1, "table"));
    }
    let is_shadow = push_source(stack, basics, 1);
    stack.set_top(1);
    stack.push_kept(if is_shadow { basics.peek } else { basics.next_value });
    stack.push_copy(1);
    stack.push_nil();
    Ok(3)
}

fn readonly() -> Raise {
    Raise::bare("Attempt to modify a readonly table")
}

fn rawset(stack: &mut Stack<'_>, basics: &Basics) -> Outcome {
    if stack.top() >= 3 && push_source(stack, basics, 1) {
        return Err(readonly());
    }
    Ok(stack.become_native(basics.rawset))
}

fn getmetatable(stack: &mut Stack<'_>, basics: &Basics) -> usize {
    if stack.top() > 0 && matches!(stack.view(1), View::Text(_)) {
        stack.set_top(1);
        stack.push_kept(basics.string_metatable);
        return 1;
    }
    if push_source(stack, basics, 1) {
        stack.set_top(1);
        stack.push_kept(basics.metatables);
        stack.push_copy(1);
        stack.get_field(2);
        return 1;
    }
    stack.become_native(basics.getmetatable)
}

fn setmetatable(stack: &mut Stack<'_>, basics: &Basics) -> Outcome {
    if stack.top() >= 2 && (stack.is_nil(2) || stack.is_table(2)) {
        if push_source(stack, basics, 1) {
            return Err(readonly());
        }
        // A shadow as a metatable works as what is behind it would, which its holder cannot reach by it.
        if push_source(stack, basics, 2) {
            stack.replace(2);
        }
    }
    Ok(stack.become_native(basics.setmetatable))
}

/// Compiled code can do anything to the process: only text is taken.
fn loadstring(stack: &mut Stack<'_>, basics: &Basics) -> usize {
    const SIGNATURE: u8 = 27;
    if stack.text(1).is_some_and(|text| text.first() == Some(&SIGNATURE)) {
        stack.set_top(1);
        stack.push_nil();
        stack.push_text(b"bad header in precompiled chunk");
        return 2;
    }
    stack.become_native(basics.loadstring)
}

fn load(stack: &mut Stack<'_>, basics: &Basics) -> Outcome {
    if stack.kind_name(1) != "function" {
        return Err(Raise::wrong_kind(stack, 1, "function"));
    }
    if stack.top() > 2 {
        stack.set_top(2);
    }
    let count = stack.top();
    stack.push_kept(basics.load);
    stack.insert(1);
    let is_ok = stack.call(count, 2, None);
    // What failed here was ended, and is ended again as soon as Lua goes on.
    if !is_ok || stack.is_nil(2) {
        stack.set_top(1);
    }
    Ok(stack.top())
}

fn xpcall(stack: &mut Stack<'_>, basics: &Basics) -> usize {
    if stack.top() >= 2 && stack.reserve(3) {
        stack.push_kept(basics.guarded);
        stack.push_copy(2);
        if stack.call(1, 1, None) {
            stack.replace(2);
        }
    }
    stack.become_native(basics.xpcall)
}

fn resume(stack: &mut Stack<'_>, basics: &Basics) -> usize {
    let count = stack.become_native(basics.resume);
    let first = stack.top() + 1 - count;
    // An error of ours is a value of mlua's until somebody looks.
    let has_failed = count == 2 && stack.view(first) == View::Boolean(false);
    if has_failed && stack.kind_name(first + 1) == "userdata" && stack.reserve(3) {
        stack.push_kept(basics.plain);
        stack.insert(first + 1);
        stack.call(1, 1, None);
    }
    count
}
