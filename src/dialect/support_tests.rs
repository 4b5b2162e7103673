//! What the tests of all dialects share: one engine, and bytes cut at every position.
use crate::base::clock::Clock;
use crate::dialect::{Dialect, FrameLimits, Ran, Split, Splitter, first_key, run};
use crate::engine::background::Work;
use crate::engine::config::{Config, Opt};
use crate::engine::engine::Engine;
use crate::engine::session::{Address, Session};
use crate::proto::args::OwnedArgs;
use crate::proto::reply::{Output, Resp};

/// A limit that tests reach.
pub(crate) const LIMITS: FrameLimits = FrameLimits { frame_bytes_max: 1 << 20 };

/// An engine, and a client of one dialect.
pub(crate) struct Door {
    pub(crate) dialect: Dialect,
    pub(crate) engine: Engine,
    pub(crate) session: Session,
    has_hashed: bool,
    /// Work of a slice, where whatever can be a job is one.
    units: Option<u64>,
    /// Where it is registered.
    slot: Option<usize>,
    /// Slices that its jobs have had.
    pub(crate) slices: usize,
}

impl Door {
    pub(crate) fn new(dialect: Dialect) -> Door {
        let mut config = Config::new("/".into());
        config.load(Opt::EnableDebugCommand, &[b"yes".to_vec()]).expect("an option");
        let engine = Engine::new(config, Clock::real(), Some(1));
        let mut session = Session::new(Address::InProcess, 0);
        session.set_authenticated(true);
        Door { dialect, engine, session, has_hashed: false, units: None, slot: None, slices: 0 }
    }

    /// Sends pieces one after the other, as a connection would; all answers. Ends at what closes it.
    pub(crate) fn send_pieces(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut splitter = Splitter::new(self.dialect);
        let (mut unread, mut out) = (Vec::new(), Output::default());
        for piece in pieces {
            unread.extend_from_slice(piece);
            loop {
                match splitter.split(&unread, &LIMITS) {
                    Split::Frame(len) => {
                        assert!(0 < len && len <= unread.len());
                        let frame: Vec<u8> = unread.drain(..len).collect();
                        let before = out.len();
                        self.run(&frame, &mut out);
                        assert!(out.len() > before, "no answer to {frame:?}");
                        if self.session.closes_after_reply {
                            return out.to_bytes();
                        }
                    }
                    Split::Incomplete => break,
                    Split::Fatal(text) => {
                        out.bytes_mut().extend_from_slice(&text);
                        return out.to_bytes();
                    }
                }
            }
        }
        out.to_bytes()
    }

    /// Runs a frame as `net` does: every second time its first key has been hashed before.
    pub(crate) fn run(&mut self, frame: &[u8], out: &mut Output) {
        self.has_hashed = !self.has_hashed;
        let key = first_key(self.dialect, frame).filter(|_| self.has_hashed);
        let hash = key.map(|key| self.engine.hasher.hash(key));
        let Door { dialect, engine, session, .. } = self;
        let ran = run(*dialect, engine, session, frame, hash, out, &mut 0);
        if ran == Ran::Parked {
            self.finish_job(frame, out);
        }
    }

    /// Has jobs made of all that can be one, of slices of so many units. From now on the client is registered.
    pub(crate) fn force(&mut self, units: u64) {
        let clients = &mut self.engine.shared.clients;
        let slot = clients.insert(self.session.clone());
        self.session = clients.checkout(slot).map(|session| *session).expect("a client");
        (self.slot, self.units) = (Some(slot), Some(units));
        self.engine.shared.jobs.force_units(Some(units));
    }

    /// From now on it is a client of the network, whose slices have no time but for the least piece.
    pub(crate) fn move_out(&mut self) {
        self.force(1);
        self.units = None;
        self.engine.shared.jobs.force_units(None);
        self.session.address = Address::Unix("test".into());
    }

    /// What `net` does with a request that became a job, as if nothing else came meanwhile.
    fn finish_job(&mut self, frame: &[u8], out: &mut Output) {
        let slot = self.slot.expect("only forced ones are jobs here");
        let shared = &mut self.engine.shared;
        shared.jobs.give_args(OwnedArgs::from_parts([frame]));
        shared.clients.checkin(slot, Box::new(self.session.clone()));
        self.slices += 1;
        while self.engine.run_jobs(0) == Work::Left {
            self.slices += 1;
        }
        let shared = &mut self.engine.shared;
        self.session = shared.clients.checkout(slot).map(|session| *session).expect("a client");
        let (client, reply) = shared.outbox.replies.pop().expect("a reply");
        assert_eq!((client, self.session.waiting.is_none()), (slot, true));
        out.bytes_mut().extend_from_slice(&reply.to_bytes());
        assert!(self.engine.dbs.iter().all(|db| db.holds.is_empty()), "keys are held for ever");
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send_pieces(&[bytes])
    }

    /// Runs a command of the RESP door on the same data; the reply's bytes.
    pub(crate) fn resp(&mut self, words: &[&str]) -> Vec<u8> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        self.resp_bytes(&words)
    }

    /// As [`Door::resp`], in RESP3.
    pub(crate) fn resp3(&mut self, words: &[&str]) -> Vec<u8> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        self.execute(&words, Resp::V3)
    }

    /// As [`Door::resp`], with arguments of any bytes.
    pub(crate) fn resp_bytes(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.execute(words, Resp::V2)
    }

    fn execute(&mut self, words: &[&[u8]], resp: Resp) -> Vec<u8> {
        use crate::command::execute::Request;
        let owned = crate::proto::args::OwnedArgs::from_parts(words.iter().copied());
        let (buffer, spans, blocks) = owned.parts();
        let request = Request { buffer, spans, blocks, command: None, hint: Default::default() };
        let mut client = Session::new(Address::InProcess, 0);
        client.set_authenticated(true);
        client.resp = resp;
        let (mut out, mut started) = (Output::default(), 0);
        // Only this door's requests are to be sliced.
        self.engine.shared.jobs.force_units(None);
        let _ = self.engine.execute(&mut client, request, &mut out, &mut started);
        self.engine.shared.jobs.force_units(self.units);
        out.to_bytes()
    }
}

/// Cut at every position, and byte by byte, `stream` is answered as in one piece.
pub(crate) fn answers_survive_cuts(dialect: Dialect, stream: &[u8]) {
    let whole = Door::new(dialect).send(stream);
    for cut in 0..=stream.len() {
        let (one, other) = stream.split_at(cut);
        assert_eq!(Door::new(dialect).send_pieces(&[one, other]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(Door::new(dialect).send_pieces(&bytes), whole, "byte by byte");
}
