//! A message on its way to those who listen: encoded once for all of them, whatever they speak and listen to.
//!
//! ```text
//!   *3\r\n$7\r\nmessage\r\n                       $4\r\nnews\r\n$5\r\nhello\r\n        by channel
//!   *3\r\n$8\r\nsmessage\r\n                      $4\r\nnews\r\n$5\r\nhello\r\n        by shard channel
//!   *4\r\n$8\r\npmessage\r\n$5\r\nnew*\r\n        $4\r\nnews\r\n$5\r\nhello\r\n        by pattern
//!   └ `>` in RESP3     head                       └───────────── body ───────┘
//! ```
//!
//! The body is the same for all, so it is one block. Short bodies are copied to each client's output, which costs less
//! than a reference and a part of its own in the system call; longer ones leave by reference.
use crate::base::block::Block;
use crate::proto::limits::REPLY_BLOCK_BYTES;
use crate::proto::reply::{Output, Reply, Resp};

/// Bodies from this length on go by reference: a copy of it takes as long as the bookkeeping of a reference.
pub const REFERENCE_BYTES_MIN: usize = 2048;

/// What is the same for everybody.
#[derive(Clone, Debug)]
pub struct Body {
    /// Channel and payload, or the channel and how long the payload is.
    text: Block,
    /// A big payload as it was received; a line end follows it.
    payload: Option<Block>,
}

/// What came to be told: bytes, or a big argument as it was received.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// To be copied.
    Bytes(&'a [u8]),
    /// To be shared.
    Block(&'a Block),
}

impl Body {
    /// Encodes a message.
    pub fn new(channel: &[u8], payload: Payload<'_>) -> Body {
        let (bytes, shared) = match payload {
            Payload::Bytes(bytes) => (bytes, None),
            Payload::Block(block) if block.len() < REPLY_BLOCK_BYTES => (block.as_slice(), None),
            Payload::Block(block) => (block.as_slice(), Some(block.clone())),
        };
        let copied = if shared.is_some() { 0 } else { bytes.len() };
        let mut text = Vec::with_capacity(channel.len() + copied + 64);
        push_header(&mut text, channel.len());
        text.extend_from_slice(channel);
        text.extend_from_slice(b"\r\n");
        push_header(&mut text, bytes.len());
        if shared.is_none() {
            text.extend_from_slice(bytes);
            text.extend_from_slice(b"\r\n");
        }
        Body { text: Block::new(text), payload: shared }
    }

    /// Bytes it holds.
    pub fn len(&self) -> usize {
        self.text.len() + self.payload.as_ref().map_or(0, |payload| payload.len())
    }
}

/// One message to those who listen to one topic. Cloned by reference.
#[derive(Clone, Debug)]
pub struct Letter {
    /// How they listen.
    pub by: By,
    /// What they are told.
    pub body: Body,
}

/// What a message comes by.
#[derive(Clone, Debug)]
pub enum By {
    /// The channel itself.
    Channel,
    /// The shard channel.
    Shard,
    /// This pattern.
    Pattern(Block),
}

impl Letter {
    /// Appends it to a client's output. O(1) for long messages.
    pub fn write_to(&self, out: &mut Output, resp: Resp) {
        let bytes = out.bytes_mut();
        bytes.reserve(32 + self.body.text.len().min(REFERENCE_BYTES_MIN));
        bytes.push(if resp == Resp::V2 { b'*' } else { b'>' });
        match &self.by {
            By::Channel => bytes.extend_from_slice(b"3\r\n$7\r\nmessage\r\n"),
            By::Shard => bytes.extend_from_slice(b"3\r\n$8\r\nsmessage\r\n"),
            By::Pattern(pattern) => {
                bytes.extend_from_slice(b"4\r\n$8\r\npmessage\r\n");
                Reply::new(out, resp).bulk_block(pattern);
            }
        }
        match self.body.text.len() {
            ..REFERENCE_BYTES_MIN => out.bytes_mut().extend_from_slice(&self.body.text),
            _ => out.push_block(self.body.text.clone()),
        }
        if let Some(payload) = &self.body.payload {
            out.push_block(payload.clone());
            out.bytes_mut().extend_from_slice(b"\r\n");
        }
    }
}

fn push_header(text: &mut Vec<u8>, len: usize) {
    let mut digits = itoa::Buffer::new();
    text.push(b'$');
    text.extend_from_slice(digits.format(len).as_bytes());
    text.extend_from_slice(b"\r\n");
}
