//! Counting what the program allocates: `used_memory` without asking the allocator.
//!
//! [`CountingAllocator`] wraps the system's allocator and adds up what each block costs there (its size, an
//! 8-byte header, rounded to 16), which Rust tells at allocation and at release alike. `main.rs` installs it;
//! where the engine is embedded and nobody did, the count stays 0. `unsafe` by name: a global allocator is an
//! unsafe trait.
//!
//! Blocks of 8 KiB to 4 MiB do not go to the system's allocator but to runs of pages of our own (`pages`): glibc gives
//! memory back at the end of its heap only, and by whole pages within, so that a block that stays keeps what is at its
//! edges. The counter then has whole pages too.
#![allow(unsafe_code)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pages::{PAGE_BYTES, Pages};

/// Memory for the operation could not be had; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// Sizes that get pages of their own.
const PAGED_FROM_BYTES: usize = 8 << 10;
const PAGED_BYTES_MAX: usize = 4 << 20;

/// Bytes in use. Relaxed and with plain load and store semantics per thread: a statistic, not a lock.
static USED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The pages of blocks of middling size. Locked for tens of nanoseconds; nobody else wants it where there is one
/// thread.
static PAGES: Mutex<Pages> = Mutex::new(Pages::new());

fn pages() -> MutexGuard<'static, Pages> {
    PAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The system's allocator, counted.
pub struct CountingAllocator;

/// What a block costs: whole pages, or the header and rounding of glibc's malloc.
const fn cost(size: usize) -> usize {
    if is_paged(size) { size.next_multiple_of(PAGE_BYTES) } else { (size + 8 + 15) & !15 }
}

const fn is_paged(size: usize) -> bool {
    PAGED_FROM_BYTES <= size && size <= PAGED_BYTES_MAX
}

/// A block of pages, if the size is one for that and there is memory.
fn alloc_paged(layout: Layout) -> Option<*mut u8> {
    if !is_paged(layout.size()) || layout.align() > PAGE_BYTES {
        return None;
    }
    let block = pages().alloc(layout.size().div_ceil(PAGE_BYTES));
    (!block.is_null()).then_some(block)
}

/// As the counter counts it: what an allocation of `size` bytes takes; 0 for none.
pub const fn allocation_bytes(size: usize) -> usize {
    if size == 0 { 0 } else { cost(size) }
}

// SAFETY: a block comes from `System`, to which every call about it goes unchanged, or from `PAGES`, which gives a run
// of pages to one block at a time; the address tells which. The counter has no influence on the memory returned.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED_BYTES.fetch_add(cost(layout.size()), Ordering::Relaxed);
        if let Some(block) = alloc_paged(layout) {
            return block;
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
        if is_paged(layout.size()) {
            let mut pages = pages();
            if pages.has(block) {
                return pages.free(block, layout.size().div_ceil(PAGE_BYTES));
            }
        }
        // SAFETY: the caller keeps the contract of `dealloc`; `block` came from `System`, for it is none of our pages.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        USED_BYTES.fetch_add(cost(layout.size()), Ordering::Relaxed);
        if let Some(block) = alloc_paged(layout) {
            // SAFETY: the run is at least as long as the layout, and nobody else's.
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let is_ours = is_paged(layout.size()) && pages().has(block);
        // What shrinks stays where it is: it is being freed in pieces.
        if !is_ours && (!is_paged(size) || size < layout.size()) {
            USED_BYTES.fetch_add(cost(size), Ordering::Relaxed);
            USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
            // SAFETY: the caller keeps the contract of `realloc`; `block` came from `System`.
            return unsafe { System.realloc(block, layout, size) };
        }
        let (held, wanted) = (layout.size().div_ceil(PAGE_BYTES), size.div_ceil(PAGE_BYTES));
        if is_ours && is_paged(size) && pages().resize(block, held, wanted) {
            USED_BYTES.fetch_add(cost(size), Ordering::Relaxed);
            USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
            return block;
        }
        // SAFETY: the alignment was valid for `block`, and the caller warrants that `size` is for it.
        let fresh = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller warrants that `size` is not zero; both blocks are valid for what is copied, and distinct.
        // The old one is given up only when there is a new one.
        unsafe {
            let target = self.alloc(fresh);
            if !target.is_null() {
                target.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            target
        }
    }
}

/// Gives pages back to the system that were free since the last call, up to some MiB of them: under a millisecond. To
/// be called some times a second.
pub fn trim_pages() {
    const PAGES_MAX: usize = 1024;
    pages().trim(PAGES_MAX);
}

/// Bytes allocated and not yet freed, as counted, and what keeping account of pages takes; 0 where the allocator is not
/// installed.
pub fn allocated_bytes() -> usize {
    match USED_BYTES.load(Ordering::Relaxed) {
        0 => 0,
        used => used + pages().notes_bytes(),
    }
}

/// Resident set size in bytes from `/proc/self/statm`, or 0 where the system has none. One file read.
pub fn resident_bytes() -> usize {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages = text.split(' ').nth(1).and_then(|field| field.parse::<usize>().ok());
    pages.unwrap_or(0) * crate::base::sys::page_bytes() as usize
}
