//! The dialect of the miniature Redis in Python: RESP framing whose values have types and nest.
use crate::dialect::{FrameLimits, Split};
use crate::engine::engine::Engine;
use crate::engine::session::Session;
use crate::proto::reply::Output;

/// Where the splitter stands between two pieces of a request.
#[derive(Debug, Default)]
pub struct State {
    /// No line end is before this place.
    searched_to: usize,
}

/// Finds the end of the request at the start of `unread`.
pub fn split(state: &mut State, unread: &[u8], limits: &FrameLimits) -> Split {
    match memchr::memchr(b'\n', &unread[state.searched_to..]) {
        Some(at) => {
            let end = state.searched_to + at + 1;
            state.searched_to = 0;
            Split::Frame(end)
        }
        None if unread.len() > limits.frame_bytes_max => Split::Fatal(b"-bad request\r\n".to_vec()),
        None => {
            state.searched_to = unread.len();
            Split::Incomplete
        }
    }
}

/// Runs one request.
pub fn run(_engine: &mut Engine, _session: &mut Session, _frame: &[u8], out: &mut Output) {
    error(b"bad request", out);
}

/// Whether a whole request may change something.
pub fn may_write(_frame: &[u8]) -> bool {
    true
}

/// Appends an error.
pub fn error(text: &[u8], out: &mut Output) {
    let bytes = out.bytes_mut();
    bytes.push(b'-');
    bytes.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    bytes.extend_from_slice(b"\r\n");
}
