//! What DUMP says of a value, by an engine of its own: histories then show values, not payloads.
use std::cell::RefCell;

use rufous::{Clock, Engine, Reply};

thread_local! {
    static SCRATCH: RefCell<Engine> = RefCell::new(
        Engine::builder().clock(Clock::manual(1)).seed(1).build().expect("an engine"),
    );
}

fn ask(words: &[&[u8]]) -> Reply {
    SCRATCH.with_borrow_mut(|engine| engine.execute(words))
}

/// The payload of a string.
pub fn of(value: &[u8]) -> Vec<u8> {
    ask(&[b"SET", b"key", value]);
    match ask(&[b"DUMP", b"key"]) {
        Reply::Bulk(payload) => payload,
        other => panic!("DUMP: {other:?}"),
    }
}

/// The string of a payload.
pub fn value_of(payload: &[u8]) -> Vec<u8> {
    let restored = ask(&[b"RESTORE", b"key", b"0", payload, b"REPLACE"]);
    match ask(&[b"GET", b"key"]) {
        Reply::Bulk(value) => value,
        other => panic!("RESTORE: {restored:?}, GET: {other:?}"),
    }
}
