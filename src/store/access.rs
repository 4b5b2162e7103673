//! Setting when, or how often, a key was used: RESTORE, and files that keep it.

use super::db::Db;
use super::entry;
use super::heap::Handle;
use crate::base::hash::Key;

/// Bits of an entry's clock.
const CLOCK_MASK: u64 = 0x00ff_ffff;

impl Db {
    /// Makes a key look as if it was last used so many seconds ago; nothing without the key or under LFU,
    /// which does not keep that. The clock has 24 bits: beyond 194 days it wraps, as in Redis.
    pub fn set_idle(&mut self, key: Key<'_>, seconds: u64) {
        if !self.clock.lfu && !self.fifo.is_on {
            let field = u64::from(self.clock.now).wrapping_sub(seconds) & CLOCK_MASK;
            self.set_clock(key, field as u32);
        }
    }

    /// Sets the access counter of a key, as of now; nothing without the key or without LFU.
    pub fn set_frequency(&mut self, key: Key<'_>, counter: u8) {
        if self.clock.lfu {
            self.set_clock(key, self.clock.now | u32::from(counter));
        }
    }

    fn set_clock(&mut self, key: Key<'_>, field: u32) {
        if let Some(slot) = self.locate(key) {
            let bytes = self.heap.slot_mut(Handle::from_raw(slot.handle));
            let header = entry::header(bytes);
            entry::set_header(bytes, entry::with_clock(header, field));
        }
    }
}
