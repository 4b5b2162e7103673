//! What clients are told: that copies of keys are void.
//!
//! ```text
//!   RESP3   >2 invalidate [key, …]                                or >2 invalidate null: all keys
//!   RESP2   *3 message __redis__:invalidate [key, …]              to a client that others redirect to
//! ```
//!
//! Promise: a notice is encoded once for each protocol, when its first receiver of that protocol is met, however many
//! there are.
use std::sync::{Arc, OnceLock};

use crate::proto::reply::{Output, Reply, Resp};

/// The channel whose messages they are in RESP2.
pub const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Which copies are void.
#[derive(Debug)]
enum Void {
    /// Of these keys.
    Keys(Vec<Arc<[u8]>>),
    /// Of all keys.
    All,
}

/// A message that may have many receivers.
#[derive(Debug)]
pub struct Notice {
    void: Void,
    resp2: OnceLock<Arc<[u8]>>,
    resp3: OnceLock<Arc<[u8]>>,
}

impl Notice {
    /// Copies of these keys are void.
    #[must_use]
    pub fn keys(keys: Vec<Arc<[u8]>>) -> Arc<Notice> {
        Notice::of(Void::Keys(keys))
    }

    /// All copies are void.
    #[must_use]
    pub fn all() -> Arc<Notice> {
        Notice::of(Void::All)
    }

    fn of(void: Void) -> Arc<Notice> {
        Arc::new(Notice { void, resp2: OnceLock::new(), resp3: OnceLock::new() })
    }

    /// The message as a client of this protocol gets it.
    pub fn encoded(&self, resp: Resp) -> Arc<[u8]> {
        let encoded = match resp {
            Resp::V2 => &self.resp2,
            Resp::V3 => &self.resp3,
        };
        encoded.get_or_init(|| self.encode(resp)).clone()
    }

    fn encode(&self, resp: Resp) -> Arc<[u8]> {
        written(resp, |reply| {
            match resp {
                Resp::V2 => {
                    reply.array(3);
                    reply.bulk(b"message");
                    reply.bulk(CHANNEL);
                }
                Resp::V3 => {
                    reply.push(2);
                    reply.bulk(b"invalidate");
                }
            }
            match &self.void {
                Void::All => reply.null(),
                Void::Keys(keys) => {
                    reply.array(keys.len());
                    keys.iter().for_each(|key| reply.bulk(key));
                }
            }
        })
    }
}

/// Tells a client that what it should hear went to a client that is gone: its id. RESP3 only.
#[must_use]
pub fn broken_redirect(id: u64) -> Arc<[u8]> {
    written(Resp::V3, |reply| {
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.int(id as i64);
    })
}

fn written(resp: Resp, write: impl FnOnce(&mut Reply<'_>)) -> Arc<[u8]> {
    let mut out = Output::default();
    write(&mut Reply::new(&mut out, resp));
    out.to_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_writes_them() {
        let notice = Notice::keys(vec![b"a".as_slice().into(), b"".as_slice().into()]);
        assert_eq!(
            &*notice.encoded(Resp::V3),
            b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n"
        );
        assert_eq!(
            &*notice.encoded(Resp::V2),
            b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n"
        );
        assert_eq!(&*Notice::all().encoded(Resp::V3), b">2\r\n$10\r\ninvalidate\r\n_\r\n");
        assert!(Notice::all().encoded(Resp::V2).ends_with(b"invalidate\r\n$-1\r\n"));
        assert_eq!(&*broken_redirect(12), b">2\r\n$21\r\ntracking-redir-broken\r\n:12\r\n");
    }

    #[test]
    fn is_encoded_once() {
        let notice = Notice::keys(vec![b"k".as_slice().into()]);
        assert!(Arc::ptr_eq(&notice.encoded(Resp::V3), &notice.encoded(Resp::V3)));
    }
}
