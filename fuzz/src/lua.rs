//! An interpreter with the libraries of scripts, for targets that fuzz these.
use std::cell::RefCell;

use mlua::{Lua, Value};
use rufous::script::{bit, cjson, cmsgpack, structs};

thread_local! {
    static LUA: RefCell<Option<Lua>> = const { RefCell::new(None) };
}

/// Runs `code` with `input` as its argument `...` and returns what it returned; panics if it raised anything.
pub fn run(code: &str, arguments: &[&[u8]]) -> Value {
    LUA.with_borrow_mut(|lua| {
        let lua = lua.get_or_insert_with(make);
        let strings = arguments.iter().map(|bytes| lua.create_string(bytes).expect("memory"));
        let strings: mlua::Variadic<_> = strings.collect();
        lua.load(code).call(strings).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn make() -> Lua {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set("bit", bit::register(&lua).expect("bit")).expect("globals");
    globals.set("cjson", cjson::register(&lua).expect("cjson")).expect("globals");
    globals.set("cmsgpack", cmsgpack::register(&lua).expect("cmsgpack")).expect("globals");
    globals.set("struct", structs::register(&lua).expect("struct")).expect("globals");
    lua
}
