//! What the targets of all dialects share: a stream cut in pieces has to be answered as the whole.
use rufous::base::clock::Clock;
use rufous::dialect::{Dialect, FrameLimits, Ran, Split, Splitter, each_key, first_key, run};
use rufous::engine::background::Work;
use rufous::engine::config::Config;
use rufous::engine::engine::Engine;
use rufous::engine::session::{Address, Session};
use rufous::proto::args::OwnedArgs;
use rufous::proto::reply::Output;

const START_MS: i64 = 1_700_000_000_000;
const LIMITS: FrameLimits = FrameLimits { frame_bytes_max: 1 << 16 };

/// Requests, answered one by one, and what closed the connection. `units`: how much a slice of a job does.
fn answers(dialect: Dialect, pieces: &[&[u8]], units: Option<u64>) -> Vec<u8> {
    let mut engine = Engine::new(Config::new("/".into()), Clock::manual(START_MS), Some(1));
    let mut session = Session::new(Address::InProcess, START_MS);
    session.set_authenticated(true);
    engine.shared.jobs.force_units(units);
    let slot = engine.shared.clients.insert(session);
    let Some(mut session) = engine.shared.clients.checkout(slot) else { return Vec::new() };
    let mut splitter = Splitter::new(dialect);
    let (mut unread, mut output) = (Vec::new(), Output::default());
    for piece in pieces {
        unread.extend_from_slice(piece);
        while !unread.is_empty() {
            match splitter.split(&unread, &LIMITS) {
                Split::Frame(len) => {
                    assert!(0 < len && len <= unread.len(), "a frame of {len} bytes");
                    let frame: Vec<u8> = unread.drain(..len).collect();
                    let before = output.len();
                    each_key(dialect, &frame, &mut |_, _| {});
                    let hash = first_key(dialect, &frame).map(|key| engine.hasher.hash(key));
                    let mut started = engine.shared.clock.ticks();
                    let ran = run(
                        dialect,
                        &mut engine,
                        &mut session,
                        &frame,
                        hash,
                        &mut output,
                        &mut started,
                    );
                    if ran == Ran::Parked {
                        engine.shared.jobs.give_args(OwnedArgs::from_parts([&frame[..]]));
                        engine.shared.clients.checkin(slot, session);
                        while engine.run_jobs(0) == Work::Left {}
                        assert!(engine.shared.jobs.is_empty(), "a job waits for ever");
                        for (_, reply) in std::mem::take(&mut engine.shared.outbox.replies) {
                            output.append(reply);
                        }
                        let Some(back) = engine.shared.clients.checkout(slot) else {
                            return output.to_bytes();
                        };
                        session = back;
                    }
                    // An empty line is no request in simpledb.
                    assert!(output.len() > before || dialect == Dialect::Simpledb, "no answer");
                    if session.closes_after_reply {
                        return output.to_bytes();
                    }
                }
                Split::Incomplete => break,
                Split::Fatal(answer) => {
                    output.bytes_mut().extend_from_slice(&answer);
                    return output.to_bytes();
                }
            }
        }
    }
    output.to_bytes()
}

/// Fails where the pieces that the first byte asks for are not answered as all at once.
pub fn check(dialect: Dialect, input: &[u8]) {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(cut) + 1).collect();
    // In pieces, and with whatever can be a job cut into slices.
    assert_eq!(answers(dialect, &[bytes], None), answers(dialect, &pieces, Some(1)));
}
