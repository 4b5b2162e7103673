//! What nobody can see any more and still has to be freed: databases emptied by FLUSHALL, big values.
//!
//! Freeing a million entries takes a tenth of a second, so it happens in slices between turns.
use std::collections::VecDeque;

use crate::base::pieces::{Garbage, Progress};
use crate::proto::reply::Output;
use crate::store::Detached;

/// Detached databases, oldest first.
#[derive(Default)]
pub struct Graveyard {
    detached: VecDeque<Detached>,
    /// Anything else that may take long to free: replies nobody will read, requests of jobs.
    garbage: Vec<Box<dyn Garbage + Send>>,
    /// Databases' entries freed so far (INFO `lazyfreed_objects`).
    pub freed: u64,
}

impl Graveyard {
    /// Takes over a database that was just emptied.
    pub fn bury(&mut self, detached: Detached) {
        self.detached.push_back(detached);
    }

    /// Takes over a reply whose client is gone. A small one is freed at once.
    pub fn bury_output(&mut self, output: Output) {
        if output.is_big() {
            self.bury_garbage(Box::new(output));
        }
    }

    /// Takes over anything that may take long to free.
    pub fn bury_garbage(&mut self, garbage: Box<dyn Garbage + Send>) {
        self.garbage.push(garbage);
    }

    /// Whether nothing is left to free.
    pub fn is_empty(&self) -> bool {
        self.detached.is_empty() && self.garbage.is_empty()
    }

    /// Whether anything but databases waits, the size of which is not known.
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// Entries still to be freed (INFO `lazyfree_pending_objects`).
    pub fn pending(&self) -> usize {
        self.detached.iter().map(Detached::keys).sum()
    }

    /// Memory they take: what is resident. O(databases waiting).
    pub fn bytes(&self) -> usize {
        self.detached.iter().map(Detached::bytes).sum()
    }

    /// Of that: what the allocator has counted.
    pub fn allocated_bytes(&self) -> usize {
        self.detached.iter().map(Detached::allocated_bytes).sum()
    }

    /// Frees about `items` entries; true once nothing is left.
    pub fn free_slice(&mut self, items: usize) -> bool {
        if let Some(garbage) = self.garbage.last_mut() {
            if garbage.free_slice(items) == Progress::Done {
                self.garbage.pop();
            }
            return self.is_empty();
        }
        if let Some(oldest) = self.detached.front_mut() {
            // Pages are freed, not single entries, so they are counted once all are gone.
            let keys = oldest.keys();
            if oldest.free_slice(items) {
                self.freed += keys as u64;
                self.detached.pop_front();
            }
        }
        self.is_empty()
    }
}
