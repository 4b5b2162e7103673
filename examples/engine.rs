//! The keyspace in process, without a socket: `cargo run --example engine`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
use std::time::Duration;

use rufous::{Engine, Error};

fn main() -> Result<(), Error> {
    let mut engine = Engine::builder().config("databases", "1").build()?;

    // The commonest commands as calls: nothing is encoded, and a value is borrowed.
    engine.set(b"user:1", b"alice", Some(Duration::from_secs(60)))?;
    if let Some(name) = engine.get(b"user:1")? {
        println!("user:1 is {}", String::from_utf8_lossy(&name));
    }
    println!("visits: {}", engine.incr(b"visits", 1)?);

    // Lent, or copied into a buffer that is used again: nothing is allocated.
    println!("its length: {:?}", engine.get_with(b"user:1", <[u8]>::len)?);
    let mut buffer = Vec::new();
    if engine.get_into(b"visits", &mut buffer)? {
        println!("visits, as text: {:?}", String::from_utf8_lossy(&buffer));
    }

    // Many keys at once: their cache misses overlap.
    engine.get_many(&[b"user:1", b"user:2", b"visits"], |place, value| {
        println!("{place}: {:?}", value.map(String::from_utf8_lossy));
    })?;

    // Every other command, with its reply as a tree.
    println!("{:?}", engine.execute(&[b"TTL", b"user:1"]));
    println!("{:?}", engine.execute(&[b"CONFIG", b"GET", b"max*"]));
    println!("{:?}", engine.execute(&[b"INCR", b"user:1"]));
    Ok(())
}
