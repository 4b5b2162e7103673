//! A server inside a program, and time in the hand of a test: `cargo run --example embed`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
use rufous::{Dialect, Error, Server};

fn main() -> Result<(), Error> {
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .listen("msgpack://127.0.0.1:0")
        .config("maxclients", "100")
        .test_mode()
        .seed(7)
        .spawn()?;
    println!("any client of Redis can connect to {}", server.addresses()[0]);

    if let Some(address) = server.address_of(Dialect::Msgpack) {
        println!("clients of MessagePack to {address}, for the same data");
    }

    let mut client = server.connect()?;
    client.command(&["SET", "session", "alice", "EX", "3600"])?.ok()?;
    println!("session: {:?}", client.command(&["GET", "session"])?.as_str());

    // An hour later, without waiting for it.
    client.command(&["CLOCK", "ADVANCE", "3600001"])?.ok()?;
    println!("an hour later: {:?}", client.command(&["GET", "session"])?.as_str());

    // Dropping the handle would do the same, but could not tell what went wrong.
    server.stop()
}
