//! What nobody can see any more and still has to be freed: databases emptied by FLUSHALL, big replies and requests.
//!
//! Freeing a million entries takes a tenth of a second, so it happens in slices between turns.
use std::collections::VecDeque;

use crate::base::pieces::Garbage;
use crate::proto::reply::Output;
use crate::store::Detached;

/// Detached databases, oldest first.
#[derive(Default)]
pub struct Graveyard {
    detached: VecDeque<Detached>,
    /// Big buffers: replies nobody will read, requests that have run.
    buffers: Vec<Box<dyn Garbage + Send>>,
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
            self.bury_buffers(output);
        }
    }

    /// Takes over what is big.
    pub fn bury_buffers(&mut self, buffers: impl Garbage + Send + 'static) {
        self.buffers.push(Box::new(buffers));
    }

    /// Whether nothing is left to free.
    pub fn is_empty(&self) -> bool {
        self.detached.is_empty() && self.buffers.is_empty()
    }

    /// Entries still to be freed (INFO `lazyfree_pending_objects`).
    pub fn pending(&self) -> usize {
        self.detached.iter().map(Detached::keys).sum()
    }

    /// Frees about `items` pages, blocks or megabytes; true once nothing is left.
    pub fn free_slice(&mut self, items: usize) -> bool {
        if let Some(buffers) = self.buffers.last_mut() {
            if buffers.free_slice(items).is_done() {
                self.buffers.pop();
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
