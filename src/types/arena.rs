//! The bytes of a collection's elements: chunks filled front to back, and emptied again while they are sparse.
//!
//! An element is a run of bytes found by a [`Place`]: the number of its chunk and its distance from the chunk's
//! start in units of 4 bytes, plus one, in 32 bits. Elements are appended to one chunk, the head; what is freed
//! leaves a gap. Once gaps are a fifth of everything, the owner is told to move the elements of a sparse chunk to
//! the head, a few with each write ([`Arena::victim`]); then the chunk is given back whole. An element above 64 KiB
//! has a chunk of its own.
//!
//! Why not the heap of the keyspace: a collection that owns its bytes is freed, copied and moved between databases
//! without looking at its elements, and a sum of 5 bytes is stored in 8, not in a size class. Why not one allocation
//! per element: 16 bytes of header and rounding each.
//!
//! Promise: all of it is safe Rust; a wrong place gives empty bytes. Cost: rounding to 4 bytes, gaps up to a quarter
//! (of sorted sets a half, while they shrink three quarters), and an eighth of room
//! ahead in small collections. No step longer than the growth of one chunk.
use super::table::prefetch;
use crate::base::memory::{OutOfMemory, allocation_bytes};

/// Bytes of a full chunk.
const CHUNK_BYTES: usize = 64 << 10;
const UNIT_BYTES: usize = 4;
const UNITS_PER_CHUNK: usize = CHUNK_BYTES / UNIT_BYTES;
/// What places of 32 bits can number.
const CHUNKS_MAX: usize = (1 << 32) / UNITS_PER_CHUNK - 1;
/// The least room a chunk gets.
const ROOM_BYTES_MIN: usize = 64;
/// Gaps in all below which nothing is moved.
const GAP_BYTES_MIN: usize = 1024;
/// Gaps in all below which nothing is moved while nobody writes.
const IDLE_GAP_BYTES_MIN: usize = CHUNK_BYTES / 2;
/// Gaps are at most one part in so many, roughly, where the owner does not say.
const GAP_PARTS: usize = 5;
/// Chunks looked at when a sparse one is sought.
const CHUNKS_TRIED: usize = 16;

/// Where an element stands; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u32);

impl Place {
    /// The place of this number, which came from [`Place::raw`].
    #[inline]
    #[must_use]
    pub fn from_raw(raw: u32) -> Place {
        Place(raw)
    }

    /// The number to keep it as.
    #[inline]
    #[must_use]
    pub fn raw(self) -> u32 {
        self.0
    }

    #[inline]
    fn at(chunk: usize, offset: usize) -> Place {
        Place((chunk * UNITS_PER_CHUNK + offset / UNIT_BYTES) as u32 + 1)
    }

    #[inline]
    fn chunk(self) -> usize {
        self.0.wrapping_sub(1) as usize / UNITS_PER_CHUNK
    }

    #[inline]
    fn offset(self) -> usize {
        self.0.wrapping_sub(1) as usize % UNITS_PER_CHUNK * UNIT_BYTES
    }
}

/// Bytes an element of `bytes` takes.
#[inline]
#[must_use]
pub fn slot_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(UNIT_BYTES)
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes of elements in use.
    live: usize,
}

/// The chunk being emptied.
#[derive(Clone, Copy, Debug)]
struct Victim {
    chunk: usize,
    offset: usize,
}

/// The bytes of many elements. See the head of the file.
#[derive(Debug)]
pub struct Arena {
    chunks: Vec<Chunk>,
    /// The chunk being filled.
    head: usize,
    /// Chunks that are empty and own nothing.
    free: Vec<u32>,
    victim: Option<Victim>,
    /// Where the search for a sparse chunk goes on.
    next_tried: usize,
    used_bytes: usize,
    live_bytes: usize,
    /// Memory of the chunks.
    memory_bytes: usize,
    /// Gaps are at most one part in so many.
    gap_parts: usize,
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

impl Arena {
    /// With no element; allocates nothing.
    #[must_use]
    pub fn new() -> Arena {
        Arena::with_gaps(GAP_PARTS)
    }

    /// As [`Arena::new`], with gaps of up to one part in `parts`: for an owner to whom moving elements is dear. While
    /// elements go in no order, each that goes has about `parts - 1` others moved.
    #[must_use]
    pub fn with_gaps(parts: usize) -> Arena {
        Arena {
            chunks: Vec::new(),
            head: 0,
            free: Vec::new(),
            victim: None,
            next_tried: 0,
            used_bytes: 0,
            live_bytes: 0,
            memory_bytes: 0,
            gap_parts: parts.max(1),
        }
    }

    /// Memory of everything. O(1).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let directory = allocation_bytes(self.chunks.capacity() * size_of::<Chunk>());
        self.memory_bytes + directory + allocation_bytes(self.free.capacity() * size_of::<u32>())
    }

    /// The bytes from an element's start to the end of what its chunk holds; the element is a prefix.
    #[inline]
    #[must_use]
    pub fn from(&self, place: Place) -> &[u8] {
        let chunk = self.chunks.get(place.chunk());
        chunk.and_then(|chunk| chunk.bytes.get(place.offset()..)).unwrap_or(&[])
    }

    /// Asks the processor for the beginning of an element.
    #[inline]
    pub fn prefetch(&self, place: Place) {
        let address = self.from(place).as_ptr();
        prefetch(address);
        prefetch(address.wrapping_add(32));
    }

    /// As [`Arena::from`], to write into.
    #[inline]
    pub fn from_mut(&mut self, place: Place) -> &mut [u8] {
        let chunk = self.chunks.get_mut(place.chunk());
        chunk.and_then(|chunk| chunk.bytes.get_mut(place.offset()..)).unwrap_or(&mut [])
    }

    /// Adds an element of so many bytes, made of these parts in a row.
    #[inline]
    pub fn add(&mut self, parts: &[&[u8]]) -> Result<Place, OutOfMemory> {
        let size = slot_bytes(parts.iter().map(|part| part.len()).sum());
        let at = self.room(size)?;
        let chunk = &mut self.chunks[at];
        let offset = chunk.bytes.len();
        for part in parts {
            chunk.bytes.extend_from_slice(part);
        }
        chunk.bytes.resize(offset + size, 0);
        chunk.live += size;
        self.used_bytes += size;
        self.live_bytes += size;
        Ok(Place::at(at, offset))
    }

    /// Gives up an element that takes so many bytes. Its bytes stay readable until the owner next adds or moves one.
    pub fn remove(&mut self, place: Place, bytes: usize) {
        let (at, size) = (place.chunk(), slot_bytes(bytes));
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        chunk.live -= size;
        self.live_bytes -= size;
        let is_victim = self.victim.is_some_and(|victim| victim.chunk == at);
        if chunk.live == 0 && !is_victim {
            self.empty(at);
        }
    }

    /// Whether there are so many gaps that elements should be moved.
    #[inline]
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        let gaps = self.used_bytes - self.live_bytes;
        self.victim.is_some() || gaps > GAP_BYTES_MIN && gaps > self.used_bytes / self.gap_parts
    }

    /// Bytes filled, and those of them in use: what every change of elements changes.
    #[inline]
    #[must_use]
    pub fn filling(&self) -> (usize, usize) {
        (self.used_bytes, self.live_bytes)
    }

    /// As [`Arena::is_sparse`], for who has time: by the least gaps any owner asks for, and beyond half a chunk of them
    /// in all, so that memory comes back.
    #[inline]
    #[must_use]
    pub fn is_worth_tidying(&self) -> bool {
        let gaps = self.used_bytes - self.live_bytes;
        gaps > IDLE_GAP_BYTES_MIN && gaps > self.used_bytes / GAP_PARTS
    }

    /// Whether less than a quarter of what was filled is in use.
    #[inline]
    #[must_use]
    pub fn is_nearly_empty(&self) -> bool {
        self.used_bytes > GAP_BYTES_MIN && self.live_bytes < self.used_bytes / 4
    }

    /// The next slot, in use or not, of the chunk that is being emptied, choosing one where none is. The owner moves
    /// the element, if it is in use, and goes on with [`Arena::pass`]. `None`: there is nothing to move now.
    pub fn victim(&mut self) -> Option<Place> {
        if self.victim.is_none() {
            self.victim = Some(Victim { chunk: self.choose_sparse()?, offset: 0 });
        }
        let Victim { chunk, offset } = self.victim?;
        if offset < self.chunks[chunk].bytes.len() && self.chunks[chunk].live > 0 {
            return Some(Place::at(chunk, offset));
        }
        self.victim = None;
        if self.chunks[chunk].live == 0 {
            self.empty(chunk);
        }
        None
    }

    /// The slot that [`Arena::victim`] named takes so many bytes and has been looked after.
    pub fn pass(&mut self, bytes: usize) {
        if let Some(victim) = &mut self.victim {
            victim.offset += slot_bytes(bytes).max(UNIT_BYTES);
        }
    }

    /// Gives back up to `units` chunks of an arena nobody will use again; true when none is left.
    pub fn free_slice(&mut self, units: usize) -> bool {
        for _ in 0..units {
            if self.chunks.pop().is_none() {
                break;
            }
        }
        if self.chunks.is_empty() {
            *self = Arena::with_gaps(self.gap_parts);
        }
        self.chunks.is_empty()
    }

    /// A chunk with room for `size` more bytes.
    #[inline]
    fn room(&mut self, size: usize) -> Result<usize, OutOfMemory> {
        if let Some(chunk) = self.chunks.get(self.head) {
            let end = chunk.bytes.len() + size;
            let is_victim = self.victim.is_some_and(|victim| victim.chunk == self.head);
            if end <= chunk.bytes.capacity() && end <= CHUNK_BYTES && !is_victim {
                return Ok(self.head);
            }
            if end <= CHUNK_BYTES && !is_victim {
                self.grow(self.head, end)?;
                return Ok(self.head);
            }
        }
        let fresh = self.take_chunk()?;
        if let Err(error) = self.grow(fresh, size) {
            self.free.push(fresh as u32);
            return Err(error);
        }
        if size <= CHUNK_BYTES {
            self.head = fresh;
        }
        Ok(fresh)
    }

    /// Room for `end` bytes in a chunk, and an eighth of all that is there in advance.
    fn grow(&mut self, at: usize, end: usize) -> Result<(), OutOfMemory> {
        let chunk = &mut self.chunks[at];
        let before = chunk.bytes.capacity();
        let ahead = (before + before / 2).max(self.used_bytes / 8).max(ROOM_BYTES_MIN);
        let wanted = ahead.clamp(end, CHUNK_BYTES.max(end));
        let more = wanted - chunk.bytes.len();
        chunk.bytes.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
        self.memory_bytes += allocation_bytes(chunk.bytes.capacity());
        self.memory_bytes -= allocation_bytes(before);
        Ok(())
    }

    fn take_chunk(&mut self) -> Result<usize, OutOfMemory> {
        if let Some(number) = self.free.pop() {
            return Ok(number as usize);
        }
        if self.chunks.len() >= CHUNKS_MAX || self.chunks.try_reserve(1).is_err() {
            return Err(OutOfMemory);
        }
        self.chunks.push(Chunk::default());
        Ok(self.chunks.len() - 1)
    }

    /// Takes a chunk without elements out of use. The head keeps its room.
    fn empty(&mut self, at: usize) {
        let is_only = self.chunks.len() == 1;
        let chunk = &mut self.chunks[at];
        self.used_bytes -= chunk.bytes.len();
        if is_only {
            chunk.bytes.clear();
            return;
        }
        self.memory_bytes -= allocation_bytes(chunk.bytes.capacity());
        chunk.bytes = Vec::new();
        if at != self.head {
            self.free.push(at as u32);
        }
    }

    /// The sparsest of some chunks, if moving its elements pays.
    fn choose_sparse(&mut self) -> Option<usize> {
        let gaps = |chunk: &Chunk| chunk.bytes.len() - chunk.live;
        let count = self.chunks.len();
        let tried = (0..count.min(CHUNKS_TRIED)).map(|step| (self.next_tried + step) % count);
        let best = tried.max_by_key(|&at| gaps(&self.chunks[at]))?;
        self.next_tried = (self.next_tried + CHUNKS_TRIED) % count;
        let chunk = &self.chunks[best];
        (gaps(chunk) * 2 * self.gap_parts > chunk.bytes.len()).then_some(best)
    }
}
