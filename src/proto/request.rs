//! The request parser: resumable, in any pieces, no byte scanned twice.
//!
//! ```text
//!           '*'                    count > 0             length < 32 KiB
//!  Start ────────▶ Count ───────────────────▶ Length ───────────────────▶ Bulk ──┐
//!    │                │ count <= 0: nothing      ▲  │ longer                      │
//!    │ other          ▼                          │  ▼                             │
//!    └────▶ Inline   Start                       │ Block (read by the caller)     │
//!                                                └──┴── until count is used up ◀──┘
//! ```
//!
//! [`Parser::next`] is given a buffer and goes on where it stopped. Finished arguments are pushed as spans of
//! that buffer. The state between two calls is a few words; the caller keeps the bytes of an unfinished
//! request and its spans. As Redis does, the two bytes after a bulk are skipped without a look, and a count of
//! zero or less is no request at all.
use crate::base::number::parse_i64;
use crate::base::quote::split_args;
use crate::proto::args::Span;
use crate::proto::error::ProtocolError;
use crate::proto::limits::{
    ARGUMENTS_MAX, ARGUMENTS_UNAUTHENTICATED_MAX, BULK_BLOCK_BYTES, BULK_UNAUTHENTICATED_BYTES_MAX,
    INLINE_BYTES_MAX,
};

/// What the parser expects next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The first byte of a request.
    #[default]
    Start,
    /// The rest of `*<count>\r\n`.
    Count,
    /// `$<length>\r\n` of the next argument.
    Length,
    /// The bytes of an argument, and the two after it.
    Bulk { len: usize },
    /// The two bytes after an argument that was read into a block.
    BlockEnd,
    /// The rest of an inline request.
    Inline,
}

/// What one call of [`Parser::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole request: its spans have been pushed.
    Request,
    /// A whole inline request of words, which [`inline_words`] splits: it spans `start..end` of the buffer.
    Inline {
        /// First byte of the line.
        start: usize,
        /// One past its last byte, line end not included.
        end: usize,
    },
    /// Nothing to run (`*0`, `*-1`, an empty line); go on.
    Nothing,
    /// The buffer ended inside a request.
    Incomplete,
    /// The next argument has this many bytes and goes to a block: the caller takes what the buffer still holds
    /// of it from the parser's position on, reads the rest, and calls [`Parser::block_done`].
    Block {
        /// Its length in bytes.
        len: usize,
    },
    /// No request; the connection is to be closed.
    Error(ProtocolError),
}

/// Limits that depend on the connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`.
    pub bulk_bytes_max: i64,
    /// Whether the client may send requests of any size.
    pub is_authenticated: bool,
}

/// The state between two pieces of a request.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    state: State,
    /// Arguments still to come; above 0 from Count on.
    arguments_left: i64,
    /// Next byte to look at.
    position: usize,
    /// No line end is between `position` and here. A place, not a count: it needs no reset when the position passes it.
    searched_to: usize,
}

impl Parser {
    /// A parser at the start of a request, at `position` of its buffer.
    pub fn at(position: usize) -> Parser {
        Parser { position, ..Parser::default() }
    }

    /// The next byte it will look at.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether it stands between two requests.
    #[inline]
    pub fn is_at_start(&self) -> bool {
        self.state == State::Start
    }

    /// Whether it has seen all of a block but the two bytes after it.
    #[inline]
    pub fn is_at_block_end(&self) -> bool {
        self.state == State::BlockEnd
    }

    /// Arguments announced and not yet seen.
    pub fn arguments_left(&self) -> i64 {
        self.arguments_left
    }

    /// The bytes before `offset` are gone from the buffer.
    pub fn shift_back(&mut self, offset: usize) {
        self.position -= offset;
        self.searched_to = self.searched_to.saturating_sub(offset);
    }

    /// The argument announced by [`Step::Block`] was read; `taken` bytes of it came from the buffer.
    pub fn block_done(&mut self, taken: usize) {
        self.position += taken;
        self.state = State::BlockEnd;
    }

    /// Looks for the end of the next request in `buffer`, pushing arguments to `spans`.
    #[inline]
    pub fn next(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: Limits) -> Step {
        if self.state == State::Start {
            // Nearly every request has fewer than ten arguments: one digit and the line end.
            if let Some(&[b'*', digit @ b'1'..=b'9', b'\r', _, ..]) = buffer.get(self.position..) {
                self.arguments_left = i64::from(digit - b'0');
                self.position += 4;
                return self.short_arguments(buffer, spans, limits);
            }
            match buffer.get(self.position) {
                None => return Step::Incomplete,
                Some(b'*') => {
                    self.position += 1;
                    self.state = State::Count;
                }
                Some(_) => self.state = State::Inline,
            }
        }
        if self.state == State::Inline {
            return self.inline(buffer);
        }
        if self.state == State::Count {
            match self.count(buffer, limits) {
                Ok(true) => {}
                Ok(false) => return Step::Nothing,
                Err(step) => return step,
            }
        }
        self.arguments(buffer, spans, limits)
    }

    /// `Ok(true)`: arguments follow.
    #[inline]
    fn count(&mut self, buffer: &[u8], limits: Limits) -> Result<bool, Step> {
        let line = self.line(buffer, ProtocolError::CountTooBig)?;
        let count = parse_i64(line).filter(|&count| count <= ARGUMENTS_MAX);
        let count = count.ok_or(Step::Error(ProtocolError::BadCount))?;
        if count > ARGUMENTS_UNAUTHENTICATED_MAX && !limits.is_authenticated {
            return Err(Step::Error(ProtocolError::UnauthenticatedCount));
        }
        if count <= 0 {
            self.state = State::Start;
            return Ok(false);
        }
        self.arguments_left = count;
        self.state = State::Length;
        Ok(true)
    }

    /// Arguments of fewer than a hundred bytes that are all there: what nearly every request is
    /// made of, with the state kept in registers. At the first other one [`Parser::arguments`]
    /// takes over.
    #[inline(always)]
    fn short_arguments(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: Limits) -> Step {
        let (mut position, mut left) = (self.position, self.arguments_left);
        loop {
            let rest = &buffer[position..];
            let (head, len) = match *rest {
                [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
                    (5, usize::from(a - b'0') * 10 + usize::from(b - b'0'))
                }
                [b'$', a @ b'0'..=b'9', b'\r', _, ..] => (4, usize::from(a - b'0')),
                _ => break,
            };
            if rest.len() < head + len + 2 {
                break;
            }
            spans.push(Span::new(position + head, len));
            position += head + len + 2;
            left -= 1;
            if left == 0 {
                // The state still is Start.
                self.position = position;
                self.arguments_left = 0;
                return Step::Request;
            }
        }
        (self.position, self.arguments_left) = (position, left);
        self.state = State::Length;
        self.arguments(buffer, spans, limits)
    }

    fn arguments(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: Limits) -> Step {
        loop {
            let len = match self.state {
                State::Bulk { len } => len,
                State::BlockEnd => {
                    if buffer.len() < self.position + 2 {
                        return Step::Incomplete;
                    }
                    self.position += 2;
                    if self.argument_done() {
                        return Step::Request;
                    }
                    continue;
                }
                _ => match self.length(buffer, limits) {
                    Ok(len) => len,
                    Err(step) => return step,
                },
            };
            if buffer.len() - self.position < len + 2 {
                self.state = State::Bulk { len };
                return Step::Incomplete;
            }
            spans.push(Span::new(self.position, len));
            self.position += len + 2;
            if self.argument_done() {
                return Step::Request;
            }
        }
    }

    /// Counts a finished argument; true if it was the last.
    #[inline]
    fn argument_done(&mut self) -> bool {
        self.arguments_left -= 1;
        let is_last = self.arguments_left == 0;
        self.state = if is_last { State::Start } else { State::Length };
        is_last
    }

    /// Length of the next argument, where it goes to the buffer.
    #[inline]
    fn length(&mut self, buffer: &[u8], limits: Limits) -> Result<usize, Step> {
        // One or two digits: what nearly every argument has.
        match buffer.get(self.position..) {
            Some(&[b'$', a @ b'0'..=b'9', b'\r', _, ..]) => {
                self.position += 4;
                return Ok(usize::from(a - b'0'));
            }
            Some(&[b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..]) => {
                self.position += 5;
                return Ok(usize::from(a - b'0') * 10 + usize::from(b - b'0'));
            }
            _ => {}
        }
        let line = self.line(buffer, ProtocolError::LengthTooBig)?;
        let Some((b'$', digits)) = line.split_first() else {
            // An empty line shows its line end.
            let found = line.first().copied().unwrap_or(b'\r');
            return Err(Step::Error(ProtocolError::ExpectedBulk(found)));
        };
        let len = parse_i64(digits).filter(|len| (0..=limits.bulk_bytes_max).contains(len));
        let len = len.ok_or(Step::Error(ProtocolError::BadLength))?;
        if len > BULK_UNAUTHENTICATED_BYTES_MAX && !limits.is_authenticated {
            return Err(Step::Error(ProtocolError::UnauthenticatedLength));
        }
        let len = len as usize;
        if len >= BULK_BLOCK_BYTES {
            return Err(Step::Block { len });
        }
        Ok(len)
    }

    /// The line from `position` to `\r`, with the position moved behind `\r\n`.
    #[cold]
    fn line<'b>(&mut self, buffer: &'b [u8], too_big: ProtocolError) -> Result<&'b [u8], Step> {
        let start = self.position;
        let from = self.searched_to.max(start);
        match memchr::memchr(b'\r', &buffer[from..]) {
            // The byte after `\r` has to be there too; which one it is nobody looks at.
            Some(at) if from + at + 1 < buffer.len() => {
                let end = from + at;
                self.position = end + 2;
                Ok(&buffer[start..end])
            }
            found => {
                self.searched_to = found.map_or(buffer.len(), |at| from + at);
                if buffer.len() - start > INLINE_BYTES_MAX {
                    return Err(Step::Error(too_big));
                }
                Err(Step::Incomplete)
            }
        }
    }

    #[cold]
    fn inline(&mut self, buffer: &[u8]) -> Step {
        let start = self.position;
        let from = self.searched_to.max(start);
        let Some(at) = memchr::memchr(b'\n', &buffer[from..]) else {
            self.searched_to = buffer.len();
            if buffer.len() - start > INLINE_BYTES_MAX {
                return Step::Error(ProtocolError::InlineTooBig);
            }
            return Step::Incomplete;
        };
        let line_end = from + at;
        let end = line_end - usize::from(line_end > start && buffer[line_end - 1] == b'\r');
        self.position = line_end + 1;
        self.state = State::Start;
        Step::Inline { start, end }
    }
}

/// The words of an inline request, quotes and escapes resolved as `redis-cli` would.
pub fn inline_words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    if memchr::memchr(0, line).is_some() {
        return Err(ProtocolError::InlineNul);
    }
    split_args(line).ok_or(ProtocolError::UnbalancedQuotes)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
