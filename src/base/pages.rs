//! Runs of memory pages for what is too large for a slab and too small to be mapped: 8 KiB to 4 MiB.
//!
//! One reserved range of addresses, of which a prefix is committed, is cut into pages of 4 KiB. What is allocated is a
//! run of whole pages, so that freeing it frees memory of the system: a general allocator puts blocks side by side,
//! and each block that stays keeps the pages at its edges. Free runs stand in lists by length and are merged with
//! neighbours of their kind at once. What is said of a page stands in an array beside the pages:
//!
//! ```text
//!   first page of a free run:  length, resident pages (all or none), neighbours in the list of its length
//!   last page of a free run:   length, resident pages
//!   edges of a run in use:     length 0
//! ```
//!
//! Freed pages stay resident and serve again first, without page faults. They go back to the system at once where more
//! than a part of the memory is free so, and when they were not needed for a while ([`Pages::trim`]). Runs that take
//! memory and runs that do not are in lists of their own.
//!
//! Promise: no call takes longer than giving one run back (40 us per MiB); none fails but for want of memory.
//! Cost: half a page per block on average, 16 bytes per page, 50 ns per call.
#![allow(unsafe_code)]
use std::ptr;

/// Bytes of a page here. Where the system's are larger, nothing is given back.
pub(super) const PAGE_BYTES: usize = 4096;
/// Address space for pages: the most that can ever be in use.
const RESERVE_BYTES: usize = 256 << 30;
const PAGES_MAX: usize = RESERVE_BYTES / PAGE_BYTES;
/// Bytes made accessible at a time.
const COMMIT_BYTES: usize = 2 << 20;
/// Runs up to this length have a list each; longer ones share, four lists for each power of two.
const EXACT: usize = 64;
const LISTS: usize = 128;
/// With which lists begin the runs that take no memory.
const CLEAN: usize = LISTS;
/// Runs of a shared list looked at before one of a longer list is taken.
const TRIES: usize = 8;
/// Free memory kept resident for a while: so many pages, and a part of those in use.
const KEPT_PAGES: usize = 4096;
const KEPT_DIVISOR: usize = 16;
/// As much of that is kept for good.
const KEPT_FOR_GOOD_PAGES: usize = 64;
const KEPT_FOR_GOOD_DIVISOR: usize = 64;
const NONE: u32 = u32::MAX;

/// What is said of a page. See the head of the file.
#[derive(Clone, Copy)]
#[repr(C)]
struct Note {
    length: u32,
    resident: u32,
    previous: u32,
    next: u32,
}

const IN_USE: Note = Note { length: 0, resident: 0, previous: NONE, next: NONE };

/// The pages of the process. See the head of the file.
pub(super) struct Pages {
    /// Start of the range; null until the first allocation, and where that could not be had.
    base: *mut u8,
    notes: *mut Note,
    /// Pages that can be used, and those of them that were used at some time: the others are a run without a note.
    committed: usize,
    top: usize,
    /// By length, those that take memory first.
    lists: [u32; 2 * LISTS],
    /// One bit per list that is not empty, for either half.
    filled: [u128; 2],
    used_pages: usize,
    /// Free pages that take memory.
    resident_free: usize,
    /// The fewest they were since the last [`Pages::trim`].
    resident_free_min: usize,
    is_refused: bool,
}

// SAFETY: both mappings belong to this value alone and are reached through it only.
unsafe impl Send for Pages {}

/// The list of free runs of this length.
fn list_of(pages: usize) -> usize {
    if pages <= EXACT {
        return pages - 1;
    }
    let power = pages.ilog2() as usize;
    let quarter = (pages >> (power - 2)) & 3;
    (EXACT + (power - 6) * 4 + quarter).min(LISTS - 1)
}

impl Pages {
    pub(super) const fn new() -> Pages {
        Pages {
            base: ptr::null_mut(),
            notes: ptr::null_mut(),
            committed: 0,
            top: 0,
            lists: [NONE; 2 * LISTS],
            filled: [0; 2],
            used_pages: 0,
            resident_free: 0,
            resident_free_min: 0,
            is_refused: false,
        }
    }

    /// Whether an address is one of these pages.
    #[inline]
    pub(super) fn has(&self, block: *const u8) -> bool {
        !self.base.is_null() && (block as usize).wrapping_sub(self.base as usize) < RESERVE_BYTES
    }

    /// A run of so many pages, at least one, with any content; null where there is no memory.
    pub(super) fn alloc(&mut self, pages: usize) -> *mut u8 {
        let found = self.take_free(pages, 0).or_else(|| self.take_free(pages, CLEAN));
        let Some(first) = found.or_else(|| self.extend(pages)) else { return ptr::null_mut() };
        self.use_run(first, pages);
        self.used_pages += pages;
        self.address(first)
    }

    /// Gives back a run of `pages` pages that begins at `block`.
    pub(super) fn free(&mut self, block: *mut u8, pages: usize) {
        self.used_pages -= pages;
        self.release(self.page_of(block), pages);
    }

    /// Makes a run longer or shorter where it lies; false if there is no room behind it.
    pub(super) fn resize(&mut self, block: *mut u8, pages: usize, wanted: usize) -> bool {
        let first = self.page_of(block);
        if wanted < pages {
            self.used_pages -= pages - wanted;
            self.use_run(first, wanted);
            self.release(first + wanted, pages - wanted);
            return true;
        }
        let (end, more) = (first + pages, wanted - pages);
        if more == 0 {
            return true;
        }
        let free = if end < self.top { self.note(end).length as usize } else { 0 };
        if end == self.top {
            if !self.commit(end + more) {
                return false;
            }
            self.top = end + more;
        } else if free >= more {
            self.unlist(end, free);
            self.split(end, free, more);
        } else {
            return false;
        }
        self.use_run(first, wanted);
        self.used_pages += more;
        true
    }

    /// Gives free pages back to the system that nobody has needed since the last call, about `pages_max` of them.
    pub(super) fn trim(&mut self, pages_max: usize) {
        let kept = KEPT_FOR_GOOD_PAGES + self.used_pages / KEPT_FOR_GOOD_DIVISOR;
        let idle = self.resident_free_min.min(self.resident_free);
        let goal = self.resident_free - idle.saturating_sub(kept).min(pages_max);
        while self.resident_free > goal {
            // The longest: what is needed next is most often short.
            let Some(list) = self.filled[0].checked_ilog2() else { break };
            let first = self.lists[list as usize] as usize;
            let Note { length, resident, .. } = self.note(first);
            self.unlist(first, length as usize);
            let is_returned = self.give_back(first, length as usize);
            if !is_returned {
                self.list(first, length as usize, resident as usize);
                break;
            }
            self.resident_free -= resident as usize;
            self.merge(first, length as usize, false);
        }
        self.resident_free_min = self.resident_free;
    }

    /// Gives the memory of free pages back to the system; false where that fails.
    fn give_back(&mut self, first: usize, pages: usize) -> bool {
        // SAFETY: the pages are committed and nobody's; they read as zero afterwards.
        unsafe {
            libc::madvise(self.address(first).cast(), pages * PAGE_BYTES, libc::MADV_DONTNEED) == 0
        }
    }

    fn page_of(&self, block: *mut u8) -> usize {
        (block as usize - self.base as usize) / PAGE_BYTES
    }

    fn address(&self, page: usize) -> *mut u8 {
        self.base.wrapping_add(page * PAGE_BYTES)
    }

    fn note(&self, page: usize) -> Note {
        assert!(page < self.committed);
        // SAFETY: there is an accessible note, zero at first, for every page below `committed`.
        unsafe { self.notes.add(page).read() }
    }

    fn set_note(&mut self, page: usize, note: Note) {
        assert!(page < self.committed);
        // SAFETY: as in `note`, and the borrow of self is exclusive.
        unsafe { self.notes.add(page).write(note) }
    }

    /// Notes that the edges of a run are in use.
    fn use_run(&mut self, first: usize, pages: usize) {
        self.set_note(first, IN_USE);
        self.set_note(first + pages - 1, IN_USE);
    }

    /// Takes pages from the front of a free run that is long enough, in the lists from `half` on.
    fn take_free(&mut self, pages: usize, half: usize) -> Option<usize> {
        let mut list = list_of(pages);
        loop {
            let longer = self.filled[half / LISTS] >> list;
            if longer == 0 {
                return None;
            }
            list += longer.trailing_zeros() as usize;
            let mut first = self.lists[half + list];
            for _ in 0..TRIES {
                if first == NONE {
                    break;
                }
                let note = self.note(first as usize);
                if note.length as usize >= pages {
                    self.unlist(first as usize, note.length as usize);
                    self.split(first as usize, note.length as usize, pages);
                    return Some(first as usize);
                }
                first = note.next;
            }
            list += 1;
            if list == LISTS {
                return None;
            }
        }
    }

    /// Of a free run that is in no list, takes `pages` pages into use and lists the rest.
    fn split(&mut self, first: usize, length: usize, pages: usize) {
        let resident = self.note(first).resident as usize;
        let taken = resident.min(pages);
        self.resident_free -= taken;
        self.resident_free_min = self.resident_free_min.min(self.resident_free);
        if length > pages {
            self.list(first + pages, length - pages, resident - taken);
        }
    }

    /// Takes pages never used before.
    fn extend(&mut self, pages: usize) -> Option<usize> {
        let first = self.top;
        if !self.commit(first + pages) {
            return None;
        }
        self.top = first + pages;
        Some(first)
    }

    /// Makes a run free, merges it with its neighbours, and gives its pages back if enough others are free.
    fn release(&mut self, first: usize, pages: usize) {
        let kept = KEPT_PAGES + self.used_pages / KEPT_DIVISOR;
        let mut resident = pages;
        if self.resident_free + pages > kept && self.give_back(first, pages) {
            resident = 0;
        }
        self.resident_free += resident;
        self.merge(first, pages, resident > 0);
    }

    /// Lists a free run with the free runs of its kind beside it. One that takes memory stays apart from one that does
    /// not, or nobody would know which pages of a run to use first.
    fn merge(&mut self, first: usize, pages: usize, is_resident: bool) {
        let (mut start, mut length) = (first, pages);
        let is_kind = |note: Note| note.length > 0 && (note.resident > 0) == is_resident;
        if first > 0 {
            let before = self.note(first - 1);
            if is_kind(before) {
                start = first - before.length as usize;
                self.unlist(start, before.length as usize);
                length += before.length as usize;
            }
        }
        let end = first + pages;
        if end < self.top {
            let behind = self.note(end);
            if is_kind(behind) {
                self.unlist(end, behind.length as usize);
                length += behind.length as usize;
            }
        }
        self.list(start, length, if is_resident { length } else { 0 });
    }

    /// Puts a free run into its list.
    fn list(&mut self, first: usize, length: usize, resident: usize) {
        let half = if resident > 0 { 0 } else { CLEAN };
        let list = half + list_of(length);
        let next = self.lists[list];
        let note = Note { length: length as u32, resident: resident as u32, previous: NONE, next };
        self.set_note(first + length - 1, Note { previous: NONE, next: NONE, ..note });
        self.set_note(first, note);
        if next != NONE {
            let behind = self.note(next as usize);
            self.set_note(next as usize, Note { previous: first as u32, ..behind });
        }
        self.lists[list] = first as u32;
        self.filled[list / LISTS] |= 1 << (list % LISTS);
    }

    /// Takes a free run out of its list.
    fn unlist(&mut self, first: usize, length: usize) {
        let Note { previous, next, resident, .. } = self.note(first);
        let list = list_of(length) + if resident > 0 { 0 } else { CLEAN };
        if next != NONE {
            let behind = self.note(next as usize);
            // A run of one page is both its edges, so only the first page's links count.
            self.set_note(next as usize, Note { previous, ..behind });
        }
        if previous != NONE {
            let before = self.note(previous as usize);
            self.set_note(previous as usize, Note { next, ..before });
        } else {
            self.lists[list] = next;
            if next == NONE {
                self.filled[list / LISTS] &= !(1 << (list % LISTS));
            }
        }
    }

    /// Makes the first `pages` pages accessible, with their notes.
    fn commit(&mut self, pages: usize) -> bool {
        if pages <= self.committed {
            return true;
        }
        if pages > PAGES_MAX || !self.reserve() {
            return false;
        }
        let wanted = (pages * PAGE_BYTES).next_multiple_of(COMMIT_BYTES) / PAGE_BYTES;
        let wanted = wanted.min(PAGES_MAX);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let from = self.committed;
        let notes_from = from * size_of::<Note>() / PAGE_BYTES * PAGE_BYTES;
        let notes_to = (wanted * size_of::<Note>()).next_multiple_of(PAGE_BYTES);
        // SAFETY: both ranges lie within what `reserve` mapped; making them accessible harms nobody.
        let is_done = unsafe {
            let pages = self.base.add(from * PAGE_BYTES).cast();
            let notes = self.notes.cast::<u8>().add(notes_from).cast();
            libc::mprotect(pages, (wanted - from) * PAGE_BYTES, access) == 0
                && libc::mprotect(notes, notes_to - notes_from, access) == 0
        };
        if is_done {
            self.committed = wanted;
        }
        is_done
    }

    fn reserve(&mut self) -> bool {
        if !self.base.is_null() || self.is_refused {
            return !self.is_refused;
        }
        let map = |bytes: usize| {
            // SAFETY: a new private mapping without access, at an address of the system's choice.
            let place = unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0)
            };
            if place == libc::MAP_FAILED {
                return None;
            }
            // SAFETY: advice about our own mapping; a fault of a huge page can hold the loop for milliseconds.
            #[cfg(target_os = "linux")]
            unsafe {
                libc::madvise(place, bytes, libc::MADV_NOHUGEPAGE)
            };
            Some(place)
        };
        // Two mappings, of which one may fail: then everything is left to the system's allocator.
        match (map(RESERVE_BYTES), map(PAGES_MAX * size_of::<Note>())) {
            (Some(pages), Some(notes)) => {
                self.base = pages.cast();
                self.notes = notes.cast();
            }
            _ => self.is_refused = true,
        }
        !self.is_refused
    }

    /// Memory of what is said of pages, at most.
    pub(super) fn notes_bytes(&self) -> usize {
        self.top * size_of::<Note>()
    }

    /// Pages in use.
    #[cfg(test)]
    fn used_pages(&self) -> usize {
        self.used_pages
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
