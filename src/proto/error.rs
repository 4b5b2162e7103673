//! What a client can send that is no request. Each closes the connection after the reply.
use std::fmt;

/// A violation of the protocol, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request longer than 64 KiB without a line end.
    InlineTooBig,
    /// An inline request whose quotes do not match.
    UnbalancedQuotes,
    /// An inline request with a NUL byte: binary data, or another protocol. Redis never sees the end of its line,
    /// so the client hangs; we say so.
    InlineNul,
    /// A count line longer than 64 KiB.
    CountTooBig,
    /// `*` followed by no number or one out of range.
    BadCount,
    /// As before, by a client that has not authenticated.
    UnauthenticatedCount,
    /// A length line longer than 64 KiB.
    LengthTooBig,
    /// Something other than `$` where a bulk string had to begin.
    ExpectedBulk(u8),
    /// `$` followed by no number or one out of range.
    BadLength,
    /// As before, by a client that has not authenticated.
    UnauthenticatedLength,
}

impl ProtocolError {
    /// The reply's text, code included. Bytes, not text: it may show a byte the client sent.
    pub fn message(self) -> Vec<u8> {
        let mut message = b"ERR Protocol error: ".to_vec();
        match self {
            ProtocolError::ExpectedBulk(found) => {
                message.extend_from_slice(b"expected '$', got '");
                message.push(found);
                message.push(b'\'');
            }
            other => message.extend_from_slice(other.words().as_bytes()),
        }
        message
    }

    fn words(self) -> &'static str {
        match self {
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::InlineNul => "NUL byte in inline request",
            ProtocolError::CountTooBig => "too big mbulk count string",
            ProtocolError::BadCount => "invalid multibulk length",
            ProtocolError::UnauthenticatedCount => "unauthenticated multibulk length",
            ProtocolError::LengthTooBig => "too big bulk count string",
            ProtocolError::ExpectedBulk(_) => "expected '$'",
            ProtocolError::BadLength => "invalid bulk length",
            ProtocolError::UnauthenticatedLength => "unauthenticated bulk length",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.words())
    }
}
