//! Counting what the program allocates: `used_memory` without asking the allocator.
//!
//! [`CountingAllocator`] wraps the system's allocator and adds up what each block costs there (its size, an
//! 8-byte header, rounded to 16), which Rust tells at allocation and at release alike. `main.rs` installs it;
//! where the engine is embedded and nobody did, the count stays 0. `unsafe` by name: a global allocator is an
//! unsafe trait.
//!
//! It also returns memory to the system, which glibc does at the end of its heap only: what lies between blocks in use
//! stays resident for ever, or until a `malloc_trim` of many milliseconds. Here a block of 16 KiB and more that is
//! freed gives its whole pages back on the way, once more than a reserve is free: below it, freed blocks serve again
//! without page faults. Memory thus comes back at the pace at which it is freed, in small pieces.
#![allow(unsafe_code)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for the operation could not be had; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// Blocks from this size on give their pages back when freed. Below, too few lie whole within the block.
const RETURNED_FROM_BYTES: usize = 16 << 10;
/// Size of a page nearly everywhere; where it is larger, the system refuses and nothing is returned.
const PAGE_BYTES: usize = 4096;
/// Free memory kept resident: so many bytes, and a part of what is in use.
const RESERVE_BYTES: usize = 1 << 20;
const RESERVE_DIVISOR: usize = 64;
/// Bytes at both ends of a block that allocators use for themselves once it is free.
const ALLOCATORS_BYTES: usize = 64;

/// Bytes in use. Relaxed and with plain load and store semantics per thread: a statistic, not a lock.
static USED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// What is in use or free and resident, at most: the highest use, less what was given back since.
static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub struct CountingAllocator;

/// What a block costs in the allocator: header and rounding of glibc's malloc.
const fn cost(size: usize) -> usize {
    (size + 8 + 15) & !15
}

/// As the counter counts it: what an allocation of `size` bytes takes; 0 for none.
pub const fn allocation_bytes(size: usize) -> usize {
    if size == 0 { 0 } else { cost(size) }
}

// SAFETY: every call goes to `System` unchanged; the counter has no influence on the memory returned.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED_BYTES.fetch_add(cost(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let used = USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
        if layout.size() >= RETURNED_FROM_BYTES {
            // SAFETY: the block is allocated, of this size, and its owner gives it up.
            unsafe { return_pages(block, layout.size(), used) };
        }
        // SAFETY: the caller keeps the contract of `dealloc`; `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        USED_BYTES.fetch_add(cost(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        USED_BYTES.fetch_add(cost(size), Ordering::Relaxed);
        USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`; `block` came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Gives the pages within a block back to the system if more than the reserve would be free without that. `used` is
/// what was in use with the block.
///
/// # Safety
/// `block` must be allocated, of at least `size` bytes, and its content of no value any more.
unsafe fn return_pages(block: *mut u8, size: usize, used: usize) {
    let held = HELD_BYTES.load(Ordering::Relaxed).max(used);
    let reserve = RESERVE_BYTES + used / RESERVE_DIVISOR;
    let (page, address) = (PAGE_BYTES, block as usize);
    let first = (address + ALLOCATORS_BYTES).next_multiple_of(page);
    let end = (address + size).saturating_sub(ALLOCATORS_BYTES) / page * page;
    let mut held_then = held;
    if used - size.min(used) + reserve < held && first < end {
        // SAFETY: whole pages within a block that is still ours. They read as zero afterwards, which nobody relies
        // on; where the call fails (pages of another size) they stay as they are.
        let failed = unsafe {
            libc::madvise(block.add(first - address).cast(), end - first, libc::MADV_DONTNEED) != 0
        };
        held_then -= if failed { 0 } else { end - first };
    }
    HELD_BYTES.store(held_then, Ordering::Relaxed);
}

/// Bytes allocated and not yet freed, as counted; 0 where the allocator is not installed.
pub fn allocated_bytes() -> usize {
    USED_BYTES.load(Ordering::Relaxed)
}

/// Resident set size in bytes from `/proc/self/statm`, or 0 where the system has none. One file read.
pub fn resident_bytes() -> usize {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages = text.split(' ').nth(1).and_then(|field| field.parse::<usize>().ok());
    pages.unwrap_or(0) * crate::base::sys::page_bytes() as usize
}
