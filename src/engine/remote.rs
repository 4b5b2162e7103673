//! Connections to other servers, as commands see them: MIGRATE.
//!
//! A connection never waits. A job that has nothing to do until something comes says so ([`Step::Until`]), and whoever
//! hears of it wakes all such jobs ([`Jobs::wake_away`]), which look again. Those not in use are kept for a while, by
//! the names under which they were asked for, as Redis keeps them.
//!
//! [`Step::Until`]: crate::engine::jobs::Step::Until
//! [`Jobs::wake_away`]: crate::engine::jobs::Jobs::wake_away
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::base::sys::Ready;
use crate::proto::reply::Output;

/// Connections kept (`MIGRATE_SOCKET_CACHE_ITEMS`).
const KEPT_MAX: usize = 64;
/// How long one is kept that nobody uses (`MIGRATE_SOCKET_CACHE_TTL`).
const KEPT_FOR: Duration = Duration::from_secs(10);

/// A connection to another server.
pub trait Remote: Send {
    /// Goes on connecting: whether it is connected.
    ///
    /// # Errors
    /// It cannot be; `NotFound` where nobody has that name.
    fn connect(&mut self) -> io::Result<bool>;

    /// Sends some of `output` and takes that away from it: how much.
    ///
    /// # Errors
    /// As write(2) says, `WouldBlock` included.
    fn send(&mut self, output: &mut Output) -> io::Result<usize>;

    /// Receives some bytes: how many; none once the other side has closed.
    ///
    /// # Errors
    /// As read(2) says, `WouldBlock` included.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Waits until it can go on, or so long: for those who cannot do anything else.
    fn wait(&mut self, what: Ready, timeout: Duration);
}

/// Who opens connections.
pub trait Connect: Send {
    /// Begins to connect to a host, by name or address.
    ///
    /// # Errors
    /// What the system says at once.
    fn open(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Remote>>;
}

/// A connection with what is known of it.
pub struct Link {
    /// The connection itself.
    pub remote: Box<dyn Remote>,
    /// The database selected there, if that is known.
    pub db: Option<i64>,
}

struct Kept {
    link: Link,
    since: Duration,
}

/// Connections to other servers, and who opens them. Moments are those of `Clock::monotonic`.
#[derive(Default)]
pub struct Remotes {
    /// Absent where there is nobody to open any.
    pub connector: Option<Box<dyn Connect>>,
    kept: BTreeMap<Vec<u8>, Kept>,
}

impl Remotes {
    /// A connection kept under this name, which is nobody else's now.
    pub fn take(&mut self, name: &[u8]) -> Option<Link> {
        self.kept.remove(name).map(|kept| kept.link)
    }

    /// Begins a new connection.
    ///
    /// # Errors
    /// What the system says at once.
    pub fn open(&mut self, host: &str, port: u16) -> io::Result<Link> {
        let connector = self.connector.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Link { remote: connector.open(host, port)?, db: None })
    }

    /// Keeps a connection for others. Where there are too many the one that was used longest ago is closed. O(kept).
    pub fn keep(&mut self, name: &[u8], link: Link, now: Duration) {
        if self.kept.len() >= KEPT_MAX
            && let Some(name) =
                self.kept.iter().min_by_key(|(_, kept)| kept.since).map(|(name, _)| name.clone())
        {
            self.kept.remove(&name);
        }
        self.kept.insert(name.to_vec(), Kept { link, since: now });
    }

    /// Closes those that nobody has used for ten seconds. O(kept).
    pub fn close_idle(&mut self, now: Duration) {
        self.kept.retain(|_, kept| now.saturating_sub(kept.since) <= KEPT_FOR);
    }

    /// Closes all.
    pub fn close_all(&mut self) {
        self.kept.clear();
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dead;

    impl Remote for Dead {
        fn connect(&mut self) -> io::Result<bool> {
            Ok(true)
        }
        fn send(&mut self, _output: &mut Output) -> io::Result<usize> {
            Ok(0)
        }
        fn receive(&mut self, _into: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn wait(&mut self, _what: Ready, _timeout: Duration) {}
    }

    fn link(db: i64) -> Link {
        Link { remote: Box::new(Dead), db: Some(db) }
    }

    #[test]
    fn the_oldest_of_too_many_goes() {
        let mut remotes = Remotes::default();
        for number in 0..=KEPT_MAX as u64 {
            let name = (1000 - number).to_string();
            remotes.keep(name.as_bytes(), link(0), Duration::from_secs(number));
        }
        assert_eq!(remotes.len(), KEPT_MAX);
        assert!(remotes.take(b"1000").is_none());
        assert!(remotes.take(b"999").is_some());
        assert!(remotes.take(b"999").is_none(), "it is taken");
    }

    #[test]
    fn those_not_used_are_closed() {
        let mut remotes = Remotes::default();
        remotes.keep(b"a", link(1), Duration::from_secs(5));
        remotes.keep(b"b", link(2), Duration::from_secs(9));
        remotes.close_idle(Duration::from_secs(15));
        assert_eq!(remotes.len(), 2);
        remotes.close_idle(Duration::from_secs(16));
        assert!(remotes.take(b"a").is_none());
        assert_eq!(remotes.take(b"b").and_then(|link| link.db), Some(2));
        assert!(remotes.is_empty());
    }

    #[test]
    fn nobody_opens_where_nobody_can() {
        let error = Remotes::default().open("127.0.0.1", 1).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::Unsupported));
    }
}
