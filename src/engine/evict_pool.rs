//! The best candidates for eviction met so far, of all databases.
//!
//! A sample of five is a poor estimate of the oldest key of a million; the best sixteen of many
//! samples are a good one. So what a sample finds and does not evict is kept for the next time, best
//! last. Whether a candidate still is one is asked when its turn comes (`Db::evict`).
//!
//! Cost: some hundred bytes; one insertion moves at most fifteen candidates.
use crate::store::Candidate;

/// Candidates kept, as in Redis (`EVPOOL_SIZE`).
pub const POOL_SIZE: usize = 16;

/// The pool: candidates with the index of their database, by rising score.
#[derive(Debug, Default)]
pub struct EvictPool {
    entries: Vec<(usize, Candidate)>,
}

impl EvictPool {
    /// The least score worth offering.
    pub fn least(&self) -> u64 {
        match self.entries.first() {
            Some((_, worst)) if self.entries.len() >= POOL_SIZE => worst.score.saturating_add(1),
            _ => 0,
        }
    }

    /// Takes a candidate of database `db` in, if it is better than the worst; twice the same is once.
    pub fn offer(&mut self, db: usize, candidate: Candidate) {
        if candidate.score < self.least() {
            return;
        }
        let is_same = |(other, known): &(usize, Candidate)| *other == db && known.names(&candidate);
        if let Some(at) = self.entries.iter().position(is_same) {
            self.entries.remove(at);
        } else if self.entries.len() >= POOL_SIZE {
            self.entries.remove(0);
        }
        let at = self.entries.partition_point(|(_, known)| known.score <= candidate.score);
        self.entries.insert(at, (db, candidate));
    }

    /// Takes the best one out.
    pub fn take_best(&mut self) -> Option<(usize, Candidate)> {
        self.entries.pop()
    }

    /// Forgets all: their scores mean something else now.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
