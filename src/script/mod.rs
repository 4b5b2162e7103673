//! Lua, without a word of what its scripts work on: an interpreter that stops where a script needs its host.
//!
//! ```text
//!   host (owns the engine)                    guest (a stack of its own)
//!   Interpreter::begin(Task) ───────────────▶ compile, or run ─┐
//!        ◀─────────────────── Event::Call ─── redis.call(…)    │  args in the exchange
//!   answer(Answer::Reply) ──────────────────▶ reply → Lua      │  reply in the exchange
//!        ◀─────────────────── Event::Tick ─── every 100,000 instructions
//!   answer(Answer::Go | Answer::Kill) ──────▶                  │
//!        ◀─────────────────── Event::Done ─── result → reply ──┘
//! ```
//!
//! The guest is a stackful coroutine, so a call of a script is no call from Lua into the engine but a message to the
//! one who runs it: nobody needs a pointer to the engine, and a script that takes too long stays where it is while
//! the server goes on serving others. Promise: whatever a script does, it changes nothing that another script sees.
//! Cost: a stored script that makes one call takes about 1 us more than the call; a switch about 10 ns.
pub mod arguments;
pub mod basics;
pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod cmsgpack_text;
pub mod debug_guest;
pub mod debug_text;
pub mod debugger;
pub mod exchange;
pub mod fail;
pub mod guest;
pub mod interpreter;
#[cfg(test)]
mod interpreter_tests;
pub mod json_text;
pub mod raise;
pub mod random;
pub mod redis_table;
pub mod register;
pub mod reply_to_lua;
pub mod shebang;
pub mod shelf;
pub mod stack;
pub mod structs;
pub mod to_reply;
