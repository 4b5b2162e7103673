//! Defragmentation: moving entries out of sparse heap pages.
//!
//! A heap whose value sizes shift is left with pages that hold a few live slots each. `compact`
//! empties the sparsest page of a class whose free slots make more than a page, entry by entry:
//! copy it to another page, patch its one handle in the table, free the old slot. The emptied page
//! serves any class, or goes back to the system.

use super::db::Db;
use super::heap::Handle;
use super::{entry, view};

impl Db {
    /// Moves at most `budget_moves` entries and gives the number moved: less than the budget when
    /// nothing is worth moving. About 1 us per entry. Contents do not change, so no write is
    /// counted.
    pub fn compact(&mut self, budget_moves: usize) -> usize {
        for moved in 0..budget_moves {
            let Some(source) = self.heap.next_to_move() else { return moved };
            let bytes = self.heap.slot(source);
            let (size, hash) =
                (entry::size(bytes), self.hasher.hash(view::key_bytes(&self.blocks, bytes)));
            let slot = self.table.find(hash, |handle| handle == source.raw());
            let (Some(slot), Ok(target)) = (slot, self.heap.alloc(size)) else {
                self.heap.stop_moving();
                return moved;
            };
            self.move_entry(source, target, size);
            self.table.replace(slot, target.raw());
            if let Some(expiry) = entry::expiry(self.heap.slot(target)) {
                self.note_expiry(target.raw(), expiry, slot.bucket);
            }
        }
        budget_moves
    }

    /// Whether a page has been emptied in part.
    pub fn is_compacting(&self) -> bool {
        self.heap.is_moving()
    }

    fn move_entry(&mut self, source: Handle, target: Handle, size: usize) {
        self.heap.copy((source, 0), (target, 0), size);
        self.heap.free(source);
    }
}
