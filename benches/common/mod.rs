//! What the benches share: an engine to run commands on, and requests as clients send them.
use rufous::base::clock::Clock;
use rufous::command::execute::Request;
use rufous::engine::config::Config;
use rufous::engine::engine::Engine;
use rufous::engine::session::{Address, Session};
use rufous::proto::args::{HashHint, Span};
use rufous::proto::reply::Output;
use rufous::proto::request::{Limits, Parser, Step};

/// Limits of a client that may do everything.
pub const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, is_authenticated: true };

/// The words as a RESP request, appended to `bytes`.
pub fn encode(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Key number `index`, of 16 bytes.
#[allow(dead_code, reason = "not every bench that includes this has keys by number")]
pub fn key(index: u64) -> Vec<u8> {
    format!("key:{index:012}").into_bytes()
}

/// An engine, one client of it, and room for its replies.
pub struct Client {
    /// The engine.
    pub engine: Engine,
    session: Session,
    /// What came back since the last `clear`.
    pub output: Output,
    spans: Vec<Span>,
}

impl Client {
    /// A client of an empty engine.
    pub fn new() -> Client {
        let engine = Engine::new(Config::new("/".into()), Clock::real(), Some(1));
        Client {
            engine,
            session: Session::new(Address::InProcess, 0),
            output: Output::default(),
            spans: Vec::new(),
        }
    }

    /// Runs all requests in `bytes`; returns how many there were.
    pub fn run(&mut self, bytes: &[u8]) -> usize {
        let mut parser = Parser::default();
        let mut started = self.engine.shared.clock.ticks();
        let mut count = 0;
        while let Step::Request = parser.next(bytes, &mut self.spans, LIMITS) {
            let request = Request {
                buffer: bytes,
                spans: &self.spans,
                blocks: &[],
                command: None,
                hint: HashHint::default(),
            };
            self.engine.execute(&mut self.session, request, &mut self.output, &mut started);
            self.spans.clear();
            count += 1;
        }
        count
    }
}
