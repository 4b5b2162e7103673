//! Talks to a server that runs already, 127.0.0.1:6379 or the address given: `cargo run --example client`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
use rufous::{Client, Error};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let mut client = Client::connect(address.as_str())?;
    client.ping()?;

    client.set("example:greeting", "hello")?;
    println!("{:?}", client.command(&["GET", "example:greeting"])?.as_str());

    // One round trip for three commands.
    let replies = client
        .pipeline()
        .command(&["INCR", "example:visits"])
        .command(&["INCR", "example:visits"])
        .command(&["INCR", "example:greeting"])
        .run()?;
    println!("{replies:?}");

    // RESP3: a map is a map.
    client.hello(3)?;
    println!("{:?}", client.command(&["CONFIG", "GET", "hz"])?);

    println!("removed: {}", client.del("example:greeting")? && client.del("example:visits")?);
    Ok(())
}
