//! The `redis` crate against a server: `apps-redis-rs PORT DATABASE`.
//!
//! Parts are functions; a check that fails is printed and the program goes on, a part that returns an error ends there.
//! `blocking.rs` is the synchronous half, `asynchronous.rs` the other.
mod asynchronous;
mod blocking;

use std::error::Error;
use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a part returns.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

static PASSED: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Counts a check; prints it if `claim` is false.
pub fn is_true(what: &str, claim: bool) {
    if claim {
        PASSED.fetch_add(1, Ordering::Relaxed);
    } else {
        FAILED.fetch_add(1, Ordering::Relaxed);
        println!("redis-rs: FAILED: {what}");
    }
}

/// Counts a check that `got` is `wanted`.
pub fn equal<A: Debug + PartialEq<B>, B: Debug>(what: &str, got: A, wanted: B) {
    is_true(&format!("{what}: got {got:?}, wanted {wanted:?}"), got == wanted);
}

/// Counts a check that a command was refused with a message that contains `text`.
pub fn refused<T: Debug>(what: &str, answer: redis::RedisResult<T>, text: &str) {
    let is_refused = matches!(&answer, Err(error) if error.to_string().contains(text));
    is_true(&format!("{what}: got {answer:?}, wanted the error {text}"), is_refused);
}

/// Asks for two seconds at most until `ask` says `wanted`.
pub fn eventually<T: Debug + PartialEq>(what: &str, wanted: T, mut ask: impl FnMut() -> T) {
    let started = Instant::now();
    let mut got = ask();
    while got != wanted && started.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(10));
        got = ask();
    }
    equal(what, got, wanted);
}

fn run(port: &str, database: &str) -> Outcome {
    let url = |protocol| format!("redis://127.0.0.1:{port}/{database}?protocol={protocol}");
    let clients = [redis::Client::open(url("resp2"))?, redis::Client::open(url("resp3"))?];
    for client in &clients {
        redis::cmd("FLUSHDB").exec(&mut client.get_connection()?)?;
        for (name, part) in blocking::PARTS {
            let outcome = part(client);
            is_true(&format!("{name}: {outcome:?}"), outcome.is_ok());
        }
        redis::cmd("FLUSHDB").exec(&mut client.get_connection()?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(asynchronous::all(client));
        is_true(&format!("asynchronous: {outcome:?}"), outcome.is_ok());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(asynchronous::caching(&clients[1]))?;
    runtime.block_on(asynchronous::pushes(&clients[1]))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, database] = arguments.as_slice() else {
        println!("apps-redis-rs PORT DATABASE");
        return ExitCode::from(2);
    };
    let outcome = run(port, database);
    is_true(&format!("{outcome:?}"), outcome.is_ok());
    let (passed, failed) = (PASSED.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
    let failures = if failed > 0 { format!(", {failed} FAILED") } else { String::new() };
    println!("redis-rs {}: {passed} checks passed{failures}", env!("REDIS_VERSION"));
    ExitCode::from(u8::from(failed > 0))
}
