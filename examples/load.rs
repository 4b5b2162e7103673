//! Keeps a server busy with requests made beforehand, and counts: the client of `scripts/doors-speed`.
//!
//! ```text
//! load host:port file connections seconds
//! file:  pieces, each  u32 length, requests,  u32 length, the answers they must get   (little-endian)
//! ```
//!
//! Every connection sends a piece, waits for all its answers, compares them, and sends the next one. One thread serves
//! the connections in turn with blocking calls: two system calls per piece and no poll, so that this costs less than
//! any server it measures. It knows no protocol. Prints pieces and nanoseconds; ends with an error where an
//! answer is another one. The first rounds are not counted.
#![allow(clippy::print_stdout, reason = "its result")]
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is sent, and what has to come back.
struct Piece {
    requests: Vec<u8>,
    answers: Vec<u8>,
}

fn pieces(mut file: &[u8]) -> Option<Vec<Piece>> {
    let mut part = || {
        let (length, rest) = file.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        file = rest;
        Some(bytes.to_vec())
    };
    let mut found = Vec::new();
    while let Some(requests) = part() {
        found.push(Piece { requests, answers: part()? });
    }
    Some(found)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, file, connections, seconds] = &args[..] else {
        return Err("load host:port file connections seconds".into());
    };
    let pieces = pieces(&std::fs::read(file)?).filter(|pieces| !pieces.is_empty());
    let pieces = pieces.ok_or("the file is cut short")?;
    let count: usize = connections.parse()?;
    let mut connections = Vec::new();
    for turn in 0..count {
        let mut connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(&pieces[turn % pieces.len()].requests)?;
        connections.push(connection);
    }
    let mut buffer = vec![0; pieces.iter().map(|piece| piece.answers.len()).max().unwrap_or(0)];
    let (mut next, mut done) = (0, 0u64);
    let length = Duration::from_secs_f64(seconds.parse()?);
    let mut started = Instant::now();
    let mut is_warm = false;
    while !is_warm || started.elapsed() < length {
        for connection in &mut connections {
            let expected = &pieces[next % pieces.len()].answers;
            let found = &mut buffer[..expected.len()];
            connection.read_exact(found)?;
            if found != expected {
                return Err(format!("a wrong answer: {}", found.escape_ascii()).into());
            }
            // The one this connection is sent now is the one it is asked for in its next turn.
            connection.write_all(&pieces[(next + count) % pieces.len()].requests)?;
            next += 1;
            done += 1;
        }
        if !is_warm && started.elapsed() > length / 5 {
            (is_warm, started, done) = (true, Instant::now(), 0);
            println!("started");
        }
    }
    println!("{done} {}", started.elapsed().as_nanos());
    Ok(())
}
