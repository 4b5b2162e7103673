//! The slab heap of small entries.
//!
//! One reserved range of addresses, of which a prefix is committed, is cut into pages of 64 KiB.
//! A page holds slots of one size class (every 8 bytes to 512, then about ×1.125 to 8 KiB, the
//! large ones rounded so that a page has no tail). Slots of a page are handed out in order, freed
//! ones are threaded through their own bytes:
//!
//! ```text
//!   free slot:  [0 0 0 0] [next free slot of the page: u16, in 8-byte units] ...
//!   live slot:  [header, never 0] ...
//! ```
//!
//! Pages of a class that have room form a doubly linked list, so `alloc` and `free` are O(1).
//! An empty page returns to a pool; what the pool holds above a small reserve goes back to the
//! system by `release`. A `Handle` is the slot's distance from the base in units of 8 bytes, plus
//! one: four bytes address 32 GiB.
//!
//! Promise: every access is checked against the committed range, and committed memory is always
//! initialised (zero at first), so a wrong handle is a wrong answer or a panic, never undefined
//! behaviour. Views borrow the heap, hence none outlives a change. Failure to get memory is
//! `OutOfMemory`. Cost beyond the slots: 16 bytes per page, and what rounding to a class wastes
//! (at most 7 bytes below 512).
#![allow(unsafe_code)]

use super::OutOfMemory;
use crate::types::table::prefetch;
use std::ptr;

/// Bytes of a page; every slot lies within one.
const PAGE_BYTES: usize = 64 << 10;
/// Bytes of one handle step.
const UNIT_BYTES: usize = 8;
/// Address space of one heap: what 32-bit handles can reach.
const RESERVE_BYTES: usize = 32 << 30;
/// Bytes made accessible at a time.
const COMMIT_BYTES: usize = 2 << 20;
/// Empty pages kept resident for reuse: one for so many pages, within bounds (2 MiB at most).
const PAGES_PER_SPARE: usize = 128;
const SPARE_PAGES_MIN: usize = 2;
const SPARE_PAGES_MAX: usize = 32;
/// The largest slot.
pub(crate) const SLOT_BYTES_MAX: usize = 8 << 10;
const SMALL_MAX: usize = 512;
const SLOT_BYTES_MIN: usize = 16;
const SMALL_CLASSES: usize = SMALL_MAX / 8 - 1;
const CLASSES: usize = class_count();
const CLASS_BYTES: [u16; CLASSES] = class_sizes();
/// For a size above 512: the class to start looking from, by the size in steps of 64 bytes.
const LARGE_START: [u8; SLOT_BYTES_MAX / 64 + 1] = large_starts();

const NO_PAGE: u32 = u32::MAX;
const NO_UNIT: u16 = u16::MAX;
/// `Page::class` of a page in the pool.
const POOLED: u8 = u8::MAX;

const fn next_large(bytes: usize) -> usize {
    let (least, fewer) = (PAGE_BYTES.div_ceil(bytes + bytes / 8), PAGE_BYTES / bytes - 1);
    let slots = if least < fewer { least } else { fewer };
    (PAGE_BYTES / slots) & !(UNIT_BYTES - 1)
}

const fn class_count() -> usize {
    let (mut bytes, mut count) = (SMALL_MAX, SMALL_CLASSES);
    while bytes < SLOT_BYTES_MAX {
        bytes = next_large(bytes);
        count += 1;
    }
    count
}

const fn class_sizes() -> [u16; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    while class < SMALL_CLASSES {
        sizes[class] = (SLOT_BYTES_MIN + class * 8) as u16;
        class += 1;
    }
    let mut bytes = SMALL_MAX;
    while class < CLASSES {
        bytes = next_large(bytes);
        sizes[class] = bytes as u16;
        class += 1;
    }
    sizes
}

const fn large_starts() -> [u8; SLOT_BYTES_MAX / 64 + 1] {
    let mut starts = [0; SLOT_BYTES_MAX / 64 + 1];
    let mut step = 0;
    while step < starts.len() {
        let mut class = 0;
        while class < CLASSES - 1 && (CLASS_BYTES[class] as usize) <= step * 64 {
            class += 1;
        }
        starts[step] = class as u8;
        step += 1;
    }
    starts
}

#[inline]
fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes <= SLOT_BYTES_MAX);
    if bytes <= SMALL_MAX {
        return bytes.max(SLOT_BYTES_MIN).div_ceil(8) - 2;
    }
    let mut class = usize::from(LARGE_START[(bytes - 1) / 64]);
    while usize::from(CLASS_BYTES[class]) < bytes {
        class += 1;
    }
    class
}

/// Whether two sizes are served by slots of the same size.
#[inline]
pub(crate) fn same_class(a: usize, b: usize) -> bool {
    a <= SLOT_BYTES_MAX && b <= SLOT_BYTES_MAX && class_of(a) == class_of(b)
}

/// The address of a slot: its distance from the base in units of 8 bytes, plus one. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

impl Handle {
    /// The handle of this number; meaningful for numbers that came from `raw` only.
    #[inline]
    #[must_use]
    pub fn from_raw(raw: u32) -> Handle {
        Handle(raw)
    }

    /// The number to store in a table.
    #[inline]
    #[must_use]
    pub fn raw(self) -> u32 {
        self.0
    }

    #[inline]
    fn offset(self) -> usize {
        self.0.wrapping_sub(1) as usize * UNIT_BYTES
    }

    #[inline]
    fn page(self) -> usize {
        self.offset() / PAGE_BYTES
    }
}

#[derive(Clone, Copy)]
struct Page {
    /// Neighbours in the list of its class's pages with room.
    previous: u32,
    next: u32,
    live: u16,
    /// First freed slot, in units from the start of the page.
    free: u16,
    /// Slots ever handed out since the page got its class.
    used: u16,
    class: u8,
    /// Whether the page is in that list.
    listed: bool,
}

#[derive(Clone, Copy)]
struct Class {
    first: u32,
    pages: u32,
    live: u32,
}

/// The page compaction is emptying, and how far it is.
#[derive(Clone, Copy)]
struct Evacuation {
    page: u32,
    next_slot: u16,
}

/// A heap of small byte slots. See the head of the file.
pub(crate) struct Heap {
    /// Start of the reserved range; null until the first `alloc`.
    base: *mut u8,
    reserved: usize,
    /// Accessible bytes from `base`; a multiple of `PAGE_BYTES`.
    committed: usize,
    pages: Vec<Page>,
    classes: Vec<Class>,
    /// Pages of no class that are (likely) resident, and that are surely not.
    spare: Vec<u32>,
    released: Vec<u32>,
    evacuation: Option<Evacuation>,
    evacuation_class: usize,
    live_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and is reached through it only; nothing in it is
// tied to a thread.
unsafe impl Send for Heap {}

impl Heap {
    pub(crate) fn new() -> Heap {
        Heap {
            base: ptr::null_mut(),
            reserved: 0,
            committed: 0,
            pages: Vec::new(),
            classes: Vec::new(),
            spare: Vec::new(),
            released: Vec::new(),
            evacuation: None,
            evacuation_class: 0,
            live_bytes: 0,
        }
    }

    /// Bytes of slots in use.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes of pages that may be resident.
    pub(crate) fn page_bytes(&self) -> usize {
        (self.pages.len() - self.released.len()) * PAGE_BYTES
    }

    /// Bytes of our mapping that may be resident, in any state.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.committed.saturating_sub(self.released.len() * PAGE_BYTES)
    }

    /// Takes a slot of at least `bytes` (≤ `SLOT_BYTES_MAX`). Its content is arbitrary: the caller
    /// writes a header other than zero before anything else happens to the heap.
    #[inline]
    pub(crate) fn alloc(&mut self, bytes: usize) -> Result<Handle, OutOfMemory> {
        if bytes > SLOT_BYTES_MAX {
            return Err(OutOfMemory);
        }
        let class = class_of(bytes);
        let slot_bytes = usize::from(CLASS_BYTES[class]);
        let page_index = match self.classes.get(class) {
            Some(found) if found.first != NO_PAGE => found.first as usize,
            _ => self.new_page(class)?,
        };
        let page = self.pages[page_index];
        let start = page_index * PAGE_BYTES;
        let offset = if page.free != NO_UNIT {
            let offset = start + usize::from(page.free) * UNIT_BYTES;
            self.pages[page_index].free = self.read_u16(offset + 4);
            offset
        } else {
            self.pages[page_index].used += 1;
            start + usize::from(page.used) * slot_bytes
        };
        let page = &mut self.pages[page_index];
        page.live += 1;
        if usize::from(page.live) == PAGE_BYTES / slot_bytes {
            self.unlist(page_index);
        }
        self.classes[class].live += 1;
        self.live_bytes += slot_bytes;
        Ok(Handle((offset / UNIT_BYTES) as u32 + 1))
    }

    /// Gives a slot back. The handle is dead afterwards.
    pub(crate) fn free(&mut self, handle: Handle) {
        let (index, offset) = (handle.page(), handle.offset());
        let class = usize::from(self.pages[index].class);
        assert!(self.pages[index].live > 0 && class < CLASSES, "free of a free slot");
        let next = self.pages[index].free;
        let slot = self.slot_mut(handle);
        debug_assert_ne!(slot[..4], [0; 4], "free of a free slot");
        slot[..4].fill(0);
        slot[4..6].copy_from_slice(&next.to_le_bytes());
        let page = &mut self.pages[index];
        page.free = ((offset % PAGE_BYTES) / UNIT_BYTES) as u16;
        page.live -= 1;
        let (empty, listed) = (page.live == 0, page.listed);
        self.classes[class].live -= 1;
        self.live_bytes -= usize::from(CLASS_BYTES[class]);
        let evacuated = self.evacuation.is_some_and(|e| e.page as usize == index);
        if empty {
            if listed {
                self.unlist(index);
            }
            if evacuated {
                self.evacuation = None;
            }
            self.pages[index].class = POOLED;
            self.classes[class].pages -= 1;
            self.spare.push(index as u32);
        } else if !listed && !evacuated {
            self.list(index);
        }
    }

    /// The bytes from a slot's start to the end of its page; the slot is a prefix.
    #[inline]
    pub(crate) fn slot(&self, handle: Handle) -> &[u8] {
        let offset = handle.offset();
        assert!(offset < self.committed);
        let len = PAGE_BYTES - offset % PAGE_BYTES;
        // SAFETY: offset..offset+len ends at a page border, and `committed` is a multiple of the
        // page size, so the range is accessible and initialised; the borrow of self keeps it
        // mapped and unwritten.
        unsafe { std::slice::from_raw_parts(self.base.add(offset), len) }
    }

    /// As `slot`, to write into. Writing beyond the slot's size would damage neighbours' values.
    #[inline]
    pub(crate) fn slot_mut(&mut self, handle: Handle) -> &mut [u8] {
        let offset = handle.offset();
        assert!(offset < self.committed);
        let len = PAGE_BYTES - offset % PAGE_BYTES;
        // SAFETY: as in `slot`, and the exclusive borrow of self excludes every other view.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(offset), len) }
    }

    /// Whether a handle that may be stale, or any number, is that of a slot in use now. True for a slot that was
    /// freed and given out again, and never for a place within a slot.
    #[inline]
    pub(crate) fn is_live_slot(&self, handle: Handle) -> bool {
        if handle.0 == 0 {
            return false;
        }
        let Some(page) = self.pages.get(handle.page()) else { return false };
        let Some(&slot_bytes) = CLASS_BYTES.get(usize::from(page.class)) else { return false };
        let within = (handle.offset() % PAGE_BYTES) as u32;
        let (index, rest) = (within / u32::from(slot_bytes), within % u32::from(slot_bytes));
        rest == 0 && index < u32::from(page.used) && self.slot(handle)[..4] != [0; 4]
    }

    /// Copies `len` bytes between two slots, each from its own distance.
    pub(crate) fn copy(
        &mut self,
        (source, source_at): (Handle, usize),
        (target, target_at): (Handle, usize),
        len: usize,
    ) {
        let from = &self.slot(source)[source_at..source_at + len];
        let from = from.as_ptr();
        let to = self.slot_mut(target)[target_at..target_at + len].as_mut_ptr();
        // SAFETY: both ranges were just checked to be committed; `copy` allows them to overlap.
        unsafe { ptr::copy(from, to, len) };
    }

    /// The size of the slot, at least what was asked for.
    pub(crate) fn slot_bytes(&self, handle: Handle) -> usize {
        CLASS_BYTES
            .get(usize::from(self.pages[handle.page()].class))
            .copied()
            .map_or(0, usize::from)
    }

    /// Asks the processor to fetch the slot's first two lines. Any number is allowed.
    #[inline]
    pub(crate) fn prefetch(&self, handle: Handle) {
        let address = self.base.wrapping_add(handle.offset());
        prefetch(address);
        prefetch(address.wrapping_add(63));
    }

    /// Returns at most `budget_pages` empty pages above the reserve to the system. True when none
    /// is left to return. About 10 us per page.
    pub(crate) fn release(&mut self, budget_pages: usize) -> bool {
        for _ in 0..budget_pages {
            if self.spare.len() <= self.spare_max() {
                return true;
            }
            let Some(page) = self.spare.pop() else { return true };
            // SAFETY: the page is committed and holds no slot in use; its bytes read as zero
            // afterwards, which is initialised memory. Failure leaves it as it was.
            unsafe {
                let address = self.base.add(page as usize * PAGE_BYTES);
                libc::madvise(address.cast(), PAGE_BYTES, libc::MADV_DONTNEED);
            }
            self.released.push(page);
        }
        self.spare.len() <= self.spare_max()
    }

    fn spare_max(&self) -> usize {
        let resident = self.pages.len() - self.released.len();
        (resident / PAGES_PER_SPARE).clamp(SPARE_PAGES_MIN, SPARE_PAGES_MAX)
    }

    /// The next live slot of the page that compaction empties, choosing a sparse page if none is
    /// being emptied. `None` when no class has enough room to be worth it. The caller copies the
    /// slot elsewhere and frees it; one it leaves is passed by.
    pub(crate) fn next_to_move(&mut self) -> Option<Handle> {
        if self.evacuation.is_none() {
            self.evacuation = self.choose_sparse_page();
        }
        let Evacuation { page, next_slot } = self.evacuation?;
        let meta = self.pages[page as usize];
        let slot_bytes = usize::from(CLASS_BYTES[usize::from(meta.class)]);
        for slot in next_slot..meta.used {
            let offset = page as usize * PAGE_BYTES + usize::from(slot) * slot_bytes;
            let handle = Handle((offset / UNIT_BYTES) as u32 + 1);
            if self.slot(handle)[..4] != [0; 4] {
                self.evacuation = Some(Evacuation { page, next_slot: slot + 1 });
                return Some(handle);
            }
        }
        // Something could not be moved: the page serves again.
        self.stop_moving();
        None
    }

    /// Whether a page is being emptied.
    pub(crate) fn is_moving(&self) -> bool {
        self.evacuation.is_some()
    }

    /// Gives up the page being emptied, because its slots could not be moved.
    pub(crate) fn stop_moving(&mut self) {
        if let Some(Evacuation { page, .. }) = self.evacuation.take() {
            self.list(page as usize);
        }
    }

    /// Unmaps about `budget_pages` from the end; true when nothing is left. For a heap whose
    /// entries nobody will read again.
    pub(crate) fn dismantle(&mut self, budget_pages: usize) -> bool {
        (self.pages, self.released) = (Vec::new(), Vec::new());
        let keep = self.committed.saturating_sub(budget_pages * PAGE_BYTES);
        if self.committed > keep {
            // SAFETY: the range is the end of our own mapping's accessible part, and `committed`
            // drops below it at once, so nothing reaches it any more.
            unsafe {
                libc::madvise(
                    self.base.add(keep).cast(),
                    self.committed - keep,
                    libc::MADV_DONTNEED,
                )
            };
            self.committed = keep;
        }
        self.committed == 0
    }

    fn choose_sparse_page(&mut self) -> Option<Evacuation> {
        for _ in 0..self.classes.len() {
            self.evacuation_class = (self.evacuation_class + 1) % self.classes.len();
            let class = self.classes[self.evacuation_class];
            let per_page = (PAGE_BYTES / usize::from(CLASS_BYTES[self.evacuation_class])) as u32;
            let slots = class.pages * per_page;
            let free = slots - class.live;
            if class.pages < 2 || free < per_page + slots / 64 {
                continue;
            }
            let (mut best, mut candidate) = (class.first, class.first);
            for _ in 0..16 {
                if candidate == NO_PAGE {
                    break;
                }
                if self.pages[candidate as usize].live < self.pages[best as usize].live {
                    best = candidate;
                }
                candidate = self.pages[candidate as usize].next;
            }
            if best != NO_PAGE {
                self.unlist(best as usize);
                return Some(Evacuation { page: best, next_slot: 0 });
            }
        }
        None
    }

    #[inline]
    fn read_u16(&self, offset: usize) -> u16 {
        let bytes = self.slot(Handle((offset / UNIT_BYTES) as u32 + 1));
        let at = offset % UNIT_BYTES;
        u16::from_le_bytes([bytes[at], bytes[at + 1]])
    }

    fn list(&mut self, index: usize) {
        let class = usize::from(self.pages[index].class);
        let first = self.classes[class].first;
        if first != NO_PAGE {
            self.pages[first as usize].previous = index as u32;
        }
        let page = &mut self.pages[index];
        (page.previous, page.next, page.listed) = (NO_PAGE, first, true);
        self.classes[class].first = index as u32;
    }

    fn unlist(&mut self, index: usize) {
        let Page { previous, next, class, .. } = self.pages[index];
        if previous == NO_PAGE {
            self.classes[usize::from(class)].first = next;
        } else {
            self.pages[previous as usize].next = next;
        }
        if next != NO_PAGE {
            self.pages[next as usize].previous = previous;
        }
        self.pages[index].listed = false;
    }

    #[cold]
    fn new_page(&mut self, class: usize) -> Result<usize, OutOfMemory> {
        if self.classes.is_empty() {
            self.classes = vec![Class { first: NO_PAGE, pages: 0, live: 0 }; CLASSES];
        }
        let fresh = Page {
            previous: NO_PAGE,
            next: NO_PAGE,
            live: 0,
            free: NO_UNIT,
            used: 0,
            class: class as u8,
            listed: false,
        };
        let index = match self.spare.pop().or_else(|| self.released.pop()) {
            Some(index) => {
                self.pages[index as usize] = fresh;
                index as usize
            }
            None => {
                self.pages.try_reserve(1).map_err(|_| OutOfMemory)?;
                if (self.pages.len() + 1) * PAGE_BYTES > self.committed {
                    self.commit()?;
                }
                self.pages.push(fresh);
                self.pages.len() - 1
            }
        };
        self.classes[class].pages += 1;
        self.list(index);
        Ok(index)
    }

    fn commit(&mut self) -> Result<(), OutOfMemory> {
        if self.base.is_null() {
            self.reserve()?;
        }
        let step = COMMIT_BYTES.min(self.reserved - self.committed);
        // SAFETY: the range lies within our reservation, right behind its accessible part.
        let failed = step == 0
            || unsafe {
                let address = self.base.add(self.committed);
                libc::mprotect(address.cast(), step, libc::PROT_READ | libc::PROT_WRITE) != 0
            };
        if failed {
            return Err(OutOfMemory);
        }
        self.committed += step;
        Ok(())
    }

    fn reserve(&mut self) -> Result<(), OutOfMemory> {
        let mut bytes = RESERVE_BYTES;
        while bytes >= COMMIT_BYTES {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a new private mapping at an address of the system's choice touches nothing
            // that exists.
            let base = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
            if base != libc::MAP_FAILED {
                // A huge-page fault zeroes 2 MiB at once: milliseconds in the middle of a SET.
                #[cfg(target_os = "linux")]
                // SAFETY: the range is the mapping just made; refusal changes nothing.
                unsafe {
                    libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE)
                };
                self.base = base.cast();
                self.reserved = bytes;
                return Ok(());
            }
            bytes /= 2;
        }
        Err(OutOfMemory)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if !self.base.is_null() {
            // SAFETY: base and reserved are those of our one mapping, and every view of it
            // borrowed self, so none is left.
            unsafe { libc::munmap(self.base.cast(), self.reserved) };
        }
    }
}

#[cfg(test)]
#[path = "heap_tests.rs"]
mod tests;
