//! A connection that listens to all that happens to keys.
use std::time::Duration;

use crate::support::play::encode;
use crate::support::reply::{Reply, Trouble, decode};
use crate::support::target::{Link, Received};

/// A message here ends what one request has caused.
pub const MARK: &str = "mark";

/// Silence for this long is a server that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of RESP2 that listens.
pub struct Ear {
    link: Box<dyn Link>,
    received: Vec<u8>,
    used: usize,
}

impl Ear {
    /// Listens from now on.
    pub fn open(mut link: Box<dyn Link>) -> Ear {
        let words = ["PSUBSCRIBE", "__key*", MARK].map(|word| word.as_bytes().to_vec());
        link.send(&encode(&words)).expect("a server takes a request");
        let mut ear = Ear { link, received: Vec::new(), used: 0 };
        for _ in 1..words.len() {
            ear.message().expect("a server takes a subscription");
        }
        ear
    }

    /// Channel and message of each event up to the next mark. That keys have expired comes when it comes, and is left
    /// out.
    pub fn hear(&mut self) -> Result<Vec<Vec<u8>>, String> {
        let mut events = Vec::new();
        loop {
            let message = self.message()?;
            let [channel, text] = message.last_chunk().ok_or("a message is short")?;
            if channel == MARK.as_bytes() {
                return Ok(events);
            }
            if !channel.ends_with(b":expired") && text != b"expired" {
                events.push([channel, &b" <- "[..], text].concat());
            }
        }
    }

    fn message(&mut self) -> Result<Vec<Vec<u8>>, String> {
        loop {
            match decode(&self.received[self.used..]) {
                Ok((Reply::Array(parts), length)) => {
                    self.used += length;
                    let text = |part| match part {
                        Reply::Bulk(text) => text,
                        other => format!("{other:?}").into_bytes(),
                    };
                    return Ok(parts.into_iter().map(text).collect());
                }
                Ok((other, _)) => return Err(format!("{other:?} instead of a message")),
                Err(Trouble::Malformed(what)) => return Err(what),
                Err(Trouble::Incomplete) => {
                    self.received.drain(..std::mem::take(&mut self.used));
                    match self.link.receive(&mut self.received, PATIENCE) {
                        Ok(Received::Bytes) => {}
                        outcome => return Err(format!("{outcome:?} instead of an event")),
                    }
                }
            }
        }
    }
}
