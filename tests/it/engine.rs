//! The corpus against the engine in process: no socket, and a clock that moves when told.
//!
//! `InProcess` makes a `Target` of anything that implements `Execute`; nothing else is needed to
//! play the corpus on it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::support::play::{Resp, play};
use super::support::target::{Link, Received, Target};

/// What the corpus needs of an engine.
pub trait Execute {
    /// Opens a session, as a new connection would; returns its number.
    fn open(&mut self) -> usize;

    /// Executes one command; returns the bytes of its reply.
    fn execute(&mut self, session: usize, words: &[&[u8]]) -> Vec<u8>;

    /// Has the session ended (QUIT, CLIENT KILL)?
    fn is_closed(&self, session: usize) -> bool;

    /// The connection is gone.
    fn close(&mut self, session: usize);

    /// Moves the clock.
    fn advance(&mut self, time: Duration);

    /// The clock, in ms since 1970.
    fn now_ms(&self) -> u64;
}

/// An engine as a target. It has no wire: scripts which `needs: wire` are skipped.
pub struct InProcess<E> {
    engine: Rc<RefCell<E>>,
}

impl<E: Execute> InProcess<E> {
    /// Wraps an engine.
    pub fn new(engine: E) -> Self {
        InProcess { engine: Rc::new(RefCell::new(engine)) }
    }
}

impl<E: Execute + 'static> Target for InProcess<E> {
    fn server(&self) -> &str {
        "rufous"
    }

    fn has(&self, need: &str) -> bool {
        super::support::play::RUFOUS_HAS.contains(&need)
    }

    fn connect(&mut self) -> io::Result<Box<dyn Link>> {
        let session = self.engine.borrow_mut().open();
        let engine = Rc::clone(&self.engine);
        Ok(Box::new(Session { engine, session, replies: Vec::new() }))
    }

    fn advance(&mut self, time: Duration) {
        self.engine.borrow_mut().advance(time);
    }

    fn now_ms(&self) -> u64 {
        self.engine.borrow().now_ms()
    }
}

struct Session<E: Execute> {
    engine: Rc<RefCell<E>>,
    session: usize,
    replies: Vec<u8>,
}

impl<E: Execute> Link for Session<E> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let words = words(bytes).ok_or_else(|| io::Error::other("not one whole command"))?;
        let mut engine = self.engine.borrow_mut();
        if !engine.is_closed(self.session) {
            self.replies.extend(engine.execute(self.session, &words));
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>, _patience: Duration) -> io::Result<Received> {
        if !self.replies.is_empty() {
            into.append(&mut self.replies);
            return Ok(Received::Bytes);
        }
        let closed = self.engine.borrow().is_closed(self.session);
        Ok(if closed { Received::Closed } else { Received::Nothing })
    }
}

impl<E: Execute> Drop for Session<E> {
    fn drop(&mut self) {
        self.engine.borrow_mut().close(self.session);
    }
}

/// The words of one encoded command.
fn words(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = header(b'*', bytes)?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, body) = header(b'$', rest)?;
        words.push(body.get(..length)?);
        rest = body.get(length + 2..)?;
    }
    rest.is_empty().then_some(words)
}

/// Reads `*3\r\n` or `$5\r\n`; returns the number and what follows.
fn header(mark: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = bytes[..end].strip_prefix(&[mark])?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, &bytes[end + 2..]))
}

/// An engine of two commands, to test the hook itself.
struct Parrot {
    closed: Vec<bool>,
    now_ms: u64,
}

impl Execute for Parrot {
    fn open(&mut self) -> usize {
        self.closed.push(false);
        self.closed.len() - 1
    }

    fn execute(&mut self, session: usize, words: &[&[u8]]) -> Vec<u8> {
        match words {
            [b"ECHO", word] => [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat(),
            [b"QUIT"] => {
                self.closed[session] = true;
                b"+OK\r\n".to_vec()
            }
            [b"FLUSHALL"] => b"+OK\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }

    fn is_closed(&self, session: usize) -> bool {
        self.closed[session]
    }

    fn close(&mut self, session: usize) {
        self.closed[session] = true;
    }

    fn advance(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

#[test]
fn a_script_plays_in_process() {
    let text = "> ECHO ${now_ms}\n\"5\"\nadvance 10ms\n> ECHO ${now_ms}\n\"15\"\n\
                > QUIT\nOK\n<\n(closed)\n> NOPE\n(error) ERR unknown command\n\
                @2> ECHO a\n\"b\"\n";
    let script = super::support::script::parse("t", std::path::Path::new("t"), text).unwrap();
    let mut target = InProcess::new(Parrot { closed: Vec::new(), now_ms: 5 });
    let outcome = play(&script, &mut target, Resp::Two);
    assert_eq!(outcome.compared, 6);
    assert_eq!(outcome.failures.len(), 1, "{:?}", outcome.failures);
    assert!(outcome.failures[0].starts_with("t:12: @2> ECHO a"), "{:?}", outcome.failures);
}
