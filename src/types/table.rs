//! The table of handles: linear hashing over buckets of one cache line.
//!
//! ```text
//!   bucket (64 bytes):  [12 tags: 1 byte each][overflow link: u32][12 handles: u32 each]
//!   tag:                bit 7 "has a TTL", bits 0..7 the top of the hash, never 0; 0 = no entry
//! ```
//!
//! The low bits of the hash choose a bucket. With n buckets and s the largest power of two ≤ n,
//! buckets below the split point n − s have been split by one bit more than the others. Adding
//! bucket n splits bucket n − s in two; removing the last bucket merges it back. One of either is
//! a few entries of work, so neither growth nor shrinking ever has a big step, and the size follows
//! the number of entries without a sawtooth. An entry that finds its bucket full goes to an
//! overflow bucket chained behind it; chains are dense (only the last bucket has holes, at its
//! end), so a chain ends where a bucket is not full.
//!
//! Buckets live in chunks of 64 KiB behind a small directory; the first chunk grows from one
//! bucket, so a table of three entries costs 64 bytes.
//!
//! `scan` gives Redis's guarantee with Redis's cursor: it counts through bucket numbers with their
//! bits reversed, so that what a split or merge moves is always either behind the cursor in both
//! places or ahead of it in both.
//!
//! Promise: the table never reads a handle's target; who needs hashes or equality passes a closure.
//! Cost: about 8.3 bytes per entry; a lookup touches one cache line per bucket of the chain.
#![allow(unsafe_code)]

use crate::base::memory::OutOfMemory;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr::{self, NonNull};

/// Entries of one bucket.
const SLOTS: usize = 12;
/// Buckets of one chunk.
const CHUNK: usize = 1024;
/// Entries per bucket above which a bucket is split.
const SPLIT_LOAD: usize = 9;
/// Entries per bucket below which the last bucket is merged away.
const MERGE_LOAD: usize = 6;
/// Buckets tried for a random entry before taking the next best.
const RANDOM_TRIES: usize = 1000;
const TTL_BIT: u8 = 0x80;
const ALL_SLOTS: u32 = (1 << SLOTS) - 1;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Bucket {
    tags: [u8; SLOTS],
    /// The overflow bucket behind this one, plus one; 0 for none.
    link: u32,
    handles: [u32; SLOTS],
}

const EMPTY: Bucket = Bucket { tags: [0; SLOTS], link: 0, handles: [0; SLOTS] };

impl Bucket {
    /// A bit for each slot whose tag, apart from the TTL bit, is `tag`.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the bucket is 64 bytes, aligned to 64, and initialised: its first 16 bytes (tags
        // and link) may be read as one vector. SSE2 is part of x86-64.
        unsafe {
            use std::arch::x86_64::{
                _mm_and_si128, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8,
            };
            let line = _mm_load_si128(ptr::from_ref(self).cast());
            let plain = _mm_and_si128(line, _mm_set1_epi8(0x7f));
            let equal = _mm_cmpeq_epi8(plain, _mm_set1_epi8(tag as i8));
            _mm_movemask_epi8(equal) as u32 & ALL_SLOTS
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let mut mask = 0;
            for (slot, other) in self.tags.iter().enumerate() {
                mask |= u32::from(other & !TTL_BIT == tag) << slot;
            }
            mask
        }
    }

    /// Calls `visit` with each handle whose tag is `tag`; whether there was one.
    #[inline(always)]
    fn visit_tagged(&self, tag: u8, mut visit: impl FnMut(u32)) -> bool {
        let mut mask = self.matches(tag);
        let is_any = mask != 0;
        while mask != 0 {
            visit(self.handles[mask.trailing_zeros() as usize]);
            mask &= mask - 1;
        }
        is_any
    }

    /// Number of entries; they fill the first slots.
    #[inline(always)]
    fn count(&self) -> usize {
        (self.matches(0) | 1 << SLOTS).trailing_zeros() as usize
    }
}

/// An array of buckets that grows and shrinks at its end without moving, apart from the first chunk
/// while that is small.
struct Buckets {
    chunks: Vec<NonNull<Bucket>>,
    /// Buckets allocated for the first chunk; the others have `CHUNK`.
    first_capacity: usize,
    len: usize,
}

impl Buckets {
    const fn new() -> Buckets {
        Buckets { chunks: Vec::new(), first_capacity: 0, len: 0 }
    }

    fn layout(capacity: usize) -> Layout {
        let Ok(layout) = Layout::array::<Bucket>(capacity) else {
            unreachable!("a chunk is at most 64 KiB");
        };
        layout
    }

    #[inline(always)]
    fn address(&self, index: usize) -> *mut Bucket {
        debug_assert!(index < self.len);
        // SAFETY: callers pass index < len, and `push` made a chunk for every index below len.
        unsafe { self.chunks.get_unchecked(index / CHUNK).as_ptr().add(index % CHUNK) }
    }

    #[inline(always)]
    fn get(&self, index: usize) -> &Bucket {
        assert!(index < self.len);
        // SAFETY: below len buckets are allocated and were written by `push`; the borrow of self
        // keeps them so.
        unsafe { &*self.address(index) }
    }

    #[inline(always)]
    fn get_mut(&mut self, index: usize) -> &mut Bucket {
        assert!(index < self.len);
        // SAFETY: as in `get`, and the borrow of self is exclusive.
        unsafe { &mut *self.address(index) }
    }

    fn push(&mut self) -> Result<(), OutOfMemory> {
        let chunk = self.len / CHUNK;
        if chunk == 0 && self.len == self.first_capacity {
            self.resize_first((self.first_capacity * 2).max(1))?;
        } else if chunk == self.chunks.len() {
            self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
            // SAFETY: the layout has a size above zero.
            let memory = unsafe { alloc(Self::layout(CHUNK)) };
            self.chunks.push(NonNull::new(memory.cast()).ok_or(OutOfMemory)?);
        }
        self.len += 1;
        let address = self.address(self.len - 1);
        // SAFETY: the address lies within an allocated chunk, by the lines above.
        unsafe { address.write(EMPTY) };
        Ok(())
    }

    fn pop(&mut self) {
        self.len -= 1;
        // One chunk is kept in hand, so that a size swinging around a border costs nothing.
        let spare = usize::from(self.len > CHUNK / 2);
        if self.chunks.len() > self.len.div_ceil(CHUNK).max(1) + spare {
            if let Some(chunk) = self.chunks.pop() {
                // SAFETY: the chunk was allocated with this layout and holds no bucket below len.
                unsafe { dealloc(chunk.as_ptr().cast(), Self::layout(CHUNK)) };
            }
        } else if self.chunks.len() == 1 && self.len * 4 <= self.first_capacity && self.len > 0 {
            // Failure to shrink leaves a chunk larger than needed.
            let _ = self.resize_first(self.first_capacity / 2);
        }
    }

    fn resize_first(&mut self, capacity: usize) -> Result<(), OutOfMemory> {
        self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
        // SAFETY: the layout has a size above zero.
        let memory = unsafe { alloc(Self::layout(capacity)) };
        let memory = NonNull::new(memory.cast::<Bucket>()).ok_or(OutOfMemory)?;
        if let Some(old) = self.chunks.first().copied() {
            // SAFETY: both hold at least len buckets (len ≤ CHUNK here), and are different
            // allocations; the old one was allocated with first_capacity and is dropped from the
            // directory at once.
            unsafe {
                ptr::copy_nonoverlapping(old.as_ptr(), memory.as_ptr(), self.len);
                dealloc(old.as_ptr().cast(), Self::layout(self.first_capacity));
            }
            self.chunks[0] = memory;
        } else {
            self.chunks.push(memory);
        }
        self.first_capacity = capacity;
        Ok(())
    }

    fn bytes(&self) -> usize {
        let buckets = self.chunks.len().saturating_sub(1) * CHUNK + self.first_capacity;
        buckets * size_of::<Bucket>() + self.chunks.capacity() * size_of::<NonNull<Bucket>>()
    }

    /// Frees at most `budget_chunks` chunks from the end, and the buckets in them; true when none
    /// is left.
    fn dismantle(&mut self, budget_chunks: usize) -> bool {
        for _ in 0..budget_chunks {
            let Some(chunk) = self.chunks.pop() else { break };
            let first = self.chunks.is_empty();
            self.len = self.len.min(self.chunks.len() * CHUNK);
            let capacity = if first { self.first_capacity } else { CHUNK };
            // SAFETY: chunks were allocated with these capacities, and len no longer covers this.
            unsafe { dealloc(chunk.as_ptr().cast(), Self::layout(capacity)) };
            if first {
                self.first_capacity = 0;
            }
        }
        self.chunks.is_empty()
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        self.dismantle(usize::MAX);
    }
}

/// Where an entry was found. Valid until the table's next change.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The bucket the entry's hash chooses.
    pub bucket: usize,
    /// What was stored.
    pub handle: u32,
    /// The overflow bucket it is in, plus one; 0 for the bucket itself.
    node: u32,
    position: u32,
}

/// A set of u32 handles found by hash. See the head of the file.
pub struct Table {
    main: Buckets,
    overflow: Buckets,
    /// First free overflow bucket, plus one, threaded through `link`.
    overflow_free: u32,
    overflow_live: usize,
    len: usize,
    /// Smallest 2^k − 1 that covers every bucket number.
    mask: usize,
}

// SAFETY: buckets belong to this value alone, and nothing in them is tied to a thread.
unsafe impl Send for Table {}

#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 57) as u8).max(1)
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

impl Table {
    /// An empty table; allocates nothing.
    #[must_use]
    pub const fn new() -> Table {
        Table {
            main: Buckets::new(),
            overflow: Buckets::new(),
            overflow_free: 0,
            overflow_live: 0,
            len: 0,
            mask: 0,
        }
    }

    /// Number of entries.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of buckets, without overflow buckets.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.main.len
    }

    /// Memory of all buckets.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.main.bytes() + self.overflow.bytes()
    }

    /// The bucket of a hash; meaningless in a table without buckets.
    #[inline(always)]
    #[must_use]
    pub fn bucket_of(&self, hash: u64) -> usize {
        let wide = hash as usize & self.mask;
        if wide < self.main.len { wide } else { wide & (self.mask >> 1) }
    }

    #[inline(always)]
    fn node(&self, bucket: usize, node: u32) -> &Bucket {
        if node == 0 { self.main.get(bucket) } else { self.overflow.get(node as usize - 1) }
    }

    #[inline(always)]
    fn node_mut(&mut self, bucket: usize, node: u32) -> &mut Bucket {
        if node == 0 { self.main.get_mut(bucket) } else { self.overflow.get_mut(node as usize - 1) }
    }

    /// The entry of this hash for which `equal` holds. `equal` is called for about one entry in
    /// 128 that is not the one sought.
    #[inline]
    pub fn find(&self, hash: u64, mut equal: impl FnMut(u32) -> bool) -> Option<Slot> {
        if self.main.len == 0 {
            return None;
        }
        let (bucket, tag) = (self.bucket_of(hash), tag_of(hash));
        let (mut node, mut current) = (0, self.main.get(bucket));
        loop {
            let mut mask = current.matches(tag);
            while mask != 0 {
                let position = mask.trailing_zeros();
                let handle = current.handles[position as usize];
                if equal(handle) {
                    return Some(Slot { bucket, handle, node, position });
                }
                mask &= mask - 1;
            }
            node = current.link;
            if node == 0 {
                return None;
            }
            current = self.overflow.get(node as usize - 1);
        }
    }

    /// Adds a handle, other than 0, which must not be there yet. Does not split: see `grow`.
    pub fn insert(&mut self, hash: u64, handle: u32, has_ttl: bool) -> Result<(), OutOfMemory> {
        debug_assert_ne!(handle, 0);
        if self.main.len == 0 {
            self.main.push()?;
            self.mask = 0;
        }
        let tag = tag_of(hash) | if has_ttl { TTL_BIT } else { 0 };
        self.append(self.bucket_of(hash), tag, handle)?;
        self.len += 1;
        Ok(())
    }

    /// Takes an entry out. Does not merge: see `shrink`.
    pub fn remove(&mut self, slot: Slot) {
        let (mut before, mut last) = (0, 0);
        loop {
            let link = self.node(slot.bucket, last).link;
            if link == 0 {
                break;
            }
            (before, last) = (last, link);
        }
        let tail = self.node_mut(slot.bucket, last);
        let end = tail.count() - 1;
        let (tag, handle) = (tail.tags[end], tail.handles[end]);
        (tail.tags[end], tail.handles[end]) = (0, 0);
        if (last, end) != (slot.node, slot.position as usize) {
            let hole = self.node_mut(slot.bucket, slot.node);
            hole.tags[slot.position as usize] = tag;
            hole.handles[slot.position as usize] = handle;
        }
        if end == 0 && last != 0 {
            self.node_mut(slot.bucket, before).link = 0;
            self.free_overflow(last);
        }
        self.len -= 1;
    }

    /// Puts another handle of an equal hash in the place of an entry.
    #[inline]
    pub fn replace(&mut self, slot: Slot, handle: u32) {
        debug_assert_ne!(handle, 0);
        self.node_mut(slot.bucket, slot.node).handles[slot.position as usize] = handle;
    }

    /// Marks whether an entry has a TTL.
    #[inline]
    pub fn set_ttl_bit(&mut self, slot: Slot, has_ttl: bool) {
        let tag = &mut self.node_mut(slot.bucket, slot.node).tags[slot.position as usize];
        *tag = *tag & !TTL_BIT | if has_ttl { TTL_BIT } else { 0 };
    }

    /// The bucket the next `grow` splits, or `None` if the table is large enough.
    #[inline]
    #[must_use]
    pub fn grows(&self) -> Option<usize> {
        let n = self.main.len;
        (self.len > n * SPLIT_LOAD).then(|| n - (1 << n.ilog2()))
    }

    /// Splits one bucket if there are too many entries for the buckets. Prefetches what `rehash`
    /// will look at through `warm`. Without memory it does nothing: chains get longer.
    pub fn grow(&mut self, mut warm: impl FnMut(u32), mut rehash: impl FnMut(u32) -> u64) {
        let Some(source) = self.grows() else { return };
        let mut chain = 0;
        let mut node = 0;
        loop {
            let current = self.node(source, node);
            for &handle in &current.handles[..current.count()] {
                warm(handle);
            }
            node = current.link;
            if node == 0 {
                break;
            }
            chain += 1;
        }
        if self.reserve_overflow(chain).is_err() || self.main.push().is_err() {
            return;
        }
        let target = self.main.len - 1;
        self.mask = self.main.len.next_power_of_two() - 1;
        self.divide(source, target, |handle| rehash(handle) as usize);
    }

    /// Moves the entries of `source` that belong there to `target`, and closes the gaps.
    fn divide(&mut self, source: usize, target: usize, mut rehash: impl FnMut(u32) -> usize) {
        let (mut read_node, mut kept_node, mut kept) = (0, 0, 0);
        loop {
            let current = *self.node(source, read_node);
            let (tags, handles, count) = (current.tags, current.handles, current.count());
            for (&tag, &handle) in tags.iter().zip(&handles).take(count) {
                if rehash(handle) & self.mask == target {
                    // Cannot fail: `grow` has reserved what this chain can need.
                    let _ = self.append(target, tag, handle);
                    continue;
                }
                if kept == SLOTS {
                    (kept_node, kept) = (self.node(source, kept_node).link, 0);
                }
                let place = self.node_mut(source, kept_node);
                (place.tags[kept], place.handles[kept]) = (tag, handle);
                kept += 1;
            }
            read_node = current.link;
            if read_node == 0 {
                break;
            }
        }
        self.truncate(source, kept_node, kept);
    }

    /// Ends the chain of a bucket behind the first `kept` slots of `node`.
    fn truncate(&mut self, bucket: usize, node: u32, kept: usize) {
        let last = self.node_mut(bucket, node);
        last.tags[kept..].fill(0);
        last.handles[kept..].fill(0);
        let mut rest = std::mem::take(&mut last.link);
        while rest != 0 {
            let next = self.overflow.get(rest as usize - 1).link;
            self.free_overflow(rest);
            rest = next;
        }
    }

    /// The two buckets the next `shrink` makes one (the kept one first), or `None` if the table is
    /// not too large.
    #[inline]
    #[must_use]
    pub fn shrinks(&self) -> Option<(usize, usize)> {
        let n = self.main.len;
        if n <= 1 || self.len >= n * MERGE_LOAD {
            return None;
        }
        let last = n - 1;
        Some((last - (1 << last.ilog2()), last))
    }

    /// Merges the last bucket into the one it was split from, if there are too few entries.
    pub fn shrink(&mut self) {
        let Some((target, source)) = self.shrinks() else { return };
        let (mut node, mut chain) = (0, 1);
        while self.node(source, node).link != 0 {
            node = self.node(source, node).link;
            chain += 1;
        }
        if self.reserve_overflow(chain).is_err() {
            return;
        }
        node = 0;
        loop {
            let current = *self.node(source, node);
            for slot in 0..current.count() {
                // Cannot fail: reserved above.
                let _ = self.append(target, current.tags[slot], current.handles[slot]);
            }
            if node != 0 {
                self.free_overflow(node);
            }
            node = current.link;
            if node == 0 {
                break;
            }
        }
        self.main.pop();
        self.mask = self.main.len.next_power_of_two() - 1;
    }

    fn append(&mut self, bucket: usize, tag: u8, handle: u32) -> Result<(), OutOfMemory> {
        let mut node = 0;
        let (place, position) = loop {
            let current = self.node(bucket, node);
            let (link, count) = (current.link, current.count());
            if link != 0 {
                node = link;
            } else if count < SLOTS {
                break (node, count);
            } else {
                let fresh = self.take_overflow()?;
                self.node_mut(bucket, node).link = fresh;
                break (fresh, 0);
            }
        };
        let target = self.node_mut(bucket, place);
        (target.tags[position], target.handles[position]) = (tag, handle);
        Ok(())
    }

    /// Makes sure the next `count` calls of `take_overflow` succeed.
    fn reserve_overflow(&mut self, count: usize) -> Result<(), OutOfMemory> {
        while self.overflow.len - self.overflow_live < count {
            self.overflow.push()?;
            let fresh = self.overflow.len;
            self.overflow.get_mut(fresh - 1).link = self.overflow_free;
            self.overflow_free = fresh as u32;
        }
        Ok(())
    }

    fn take_overflow(&mut self) -> Result<u32, OutOfMemory> {
        self.reserve_overflow(1)?;
        let node = self.overflow_free;
        let bucket = self.overflow.get_mut(node as usize - 1);
        self.overflow_free = bucket.link;
        *bucket = EMPTY;
        self.overflow_live += 1;
        Ok(node)
    }

    fn free_overflow(&mut self, node: u32) {
        let free = self.overflow_free;
        *self.overflow.get_mut(node as usize - 1) = Bucket { link: free, ..EMPTY };
        self.overflow_free = node;
        self.overflow_live -= 1;
        if self.overflow_live == 0 && self.overflow.len > CHUNK {
            self.overflow.dismantle(usize::MAX);
            self.overflow_free = 0;
        }
    }

    /// Calls `visit` with each handle of a bucket and whether it has a TTL.
    #[inline]
    pub fn visit_bucket(&self, bucket: usize, mut visit: impl FnMut(u32, bool)) {
        if bucket >= self.main.len {
            return;
        }
        let mut current = self.main.get(bucket);
        loop {
            for slot in 0..current.count() {
                visit(current.handles[slot], current.tags[slot] & TTL_BIT != 0);
            }
            match current.link {
                0 => return,
                link => current = self.overflow.get(link as usize - 1),
            }
        }
    }

    /// One step of an iteration that survives growth and shrinking: starts at cursor 0, is given
    /// the returned cursor next time, and is over when that is 0. What is there from the first to
    /// the last step is visited at least once. Visits one or two buckets.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(u32)) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let n = self.main.len;
        let small = 1usize << n.ilog2();
        let small_mask = small as u64 - 1;
        let bucket = (cursor & small_mask) as usize;
        self.visit_bucket(bucket, |handle, _| visit(handle));
        if bucket < n - small {
            self.visit_bucket(bucket + small, |handle, _| visit(handle));
        }
        (cursor | !small_mask).reverse_bits().wrapping_add(1).reverse_bits()
    }

    /// A handle, each with the same probability (unless a chain is longer than two buckets);
    /// `below(n)` gives a random number below n. Looks at two or three buckets on average.
    pub fn random(&self, below: &mut impl FnMut(u64) -> u64) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        for tries in 0.. {
            // A generator that never hits would hold us: after some tries look at each in turn.
            let bucket = match tries {
                0..RANDOM_TRIES => below(self.main.len as u64) as usize,
                _ => (tries - RANDOM_TRIES) % self.main.len,
            };
            let mut count = 0;
            self.visit_bucket(bucket, |_, _| count += 1);
            // Taking a bucket in proportion to its entries makes each entry equally likely.
            if count == 0 || tries < RANDOM_TRIES && below(2 * SLOTS as u64) >= count {
                continue;
            }
            let (chosen, mut at, mut found) = (below(count), 0, None);
            self.visit_bucket(bucket, |handle, _| {
                if at == chosen {
                    found = Some(handle);
                }
                at += 1;
            });
            return found;
        }
        None
    }

    /// Asks the processor to fetch the bucket of a hash.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if self.main.len != 0 {
            prefetch(self.main.address(self.bucket_of(hash)).cast());
        }
    }

    /// The first handle in the first bucket of a hash that carries its tag; 0 for none. Most often the one sought.
    #[inline(always)]
    pub fn first_candidate(&self, hash: u64) -> u32 {
        if self.main.len == 0 {
            return 0;
        }
        let bucket = self.main.get(self.bucket_of(hash));
        let position = (bucket.matches(tag_of(hash)) | 1 << SLOTS).trailing_zeros() as usize;
        bucket.handles.get(position).copied().unwrap_or(0)
    }

    /// Calls `warm` with the handles in the first bucket of a hash that carry its tag. Where none does and the chain
    /// goes on, asks the processor to fetch the next bucket and says true: `candidates_behind` goes on there.
    #[inline]
    pub fn candidates(&self, hash: u64, warm: impl FnMut(u32)) -> bool {
        if self.main.len == 0 {
            return false;
        }
        let bucket = self.main.get(self.bucket_of(hash));
        if bucket.visit_tagged(tag_of(hash), warm) || bucket.link == 0 {
            return false;
        }
        prefetch(self.overflow.address(bucket.link as usize - 1).cast());
        true
    }

    /// Calls `warm` with the handles in the second bucket of a hash's chain that carry its tag.
    #[inline]
    pub fn candidates_behind(&self, hash: u64, warm: impl FnMut(u32)) {
        if self.main.len == 0 {
            return;
        }
        let link = self.main.get(self.bucket_of(hash)).link;
        if link != 0 {
            self.overflow.get(link as usize - 1).visit_tagged(tag_of(hash), warm);
        }
    }

    /// Frees at most `budget_chunks` chunks of 64 KiB of a table nobody will read again; true when
    /// nothing is left.
    pub(crate) fn dismantle(&mut self, budget_chunks: usize) -> bool {
        (self.len, self.overflow_live, self.overflow_free) = (0, 0, 0);
        let chunks = self.overflow.chunks.len();
        self.overflow.dismantle(budget_chunks)
            && self.main.dismantle(budget_chunks.saturating_sub(chunks))
    }
}

/// Asks the processor to fetch the cache line of `address`, which need not be valid.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
