//! Counting what the program allocates: `used_memory` without asking the allocator.
//!
//! [`CountingAllocator`] wraps the system's allocator and adds up what each block costs there (its size, an
//! 8-byte header, rounded to 16), which Rust tells at allocation and at release alike. `main.rs` installs it;
//! where the engine is embedded and nobody did, the count stays 0. `unsafe` by name: a global allocator is an
//! unsafe trait.
#![allow(unsafe_code)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use. Relaxed and with plain load and store semantics per thread: a statistic, not a lock.
static USED_BYTES: AtomicUsize = AtomicUsize::new(0);

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
        USED_BYTES.fetch_sub(cost(layout.size()), Ordering::Relaxed);
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
