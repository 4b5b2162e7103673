//! Large values and keys of one database, and the graveyard of those that are gone.
//!
//! An entry that does not fit a heap slot keeps its bytes in a `Block` here, or its collection as an `Object`, and
//! stores the number of that (4 bytes). Ownership is thereby in one plain place: dropping or detaching a database
//! needs no walk over its entries, and no entry holds a pointer. Cells are in chunks, so adding one
//! never moves the others; free cells form a list.

use super::OutOfMemory;
use crate::base::block::Block;
use crate::base::memory::allocation_bytes;
use crate::base::pieces::{Garbage as _, Progress};
use crate::types::object::Object;
use crate::types::table::prefetch;

/// What takes up to so many bytes is freed at once, in some 10 us: its memory serves for the next one.
const FREED_AT_ONCE_BLOCK_BYTES: usize = 1 << 20;
const FREED_AT_ONCE_OBJECT_BYTES: usize = 32 << 10;
/// Cells of one chunk (4 KiB).
const CHUNK: usize = 256;
const NONE: u32 = u32::MAX;

enum Cell {
    Free { next: u32 },
    Full(Block),
    Object(Box<Object>),
}

/// What a number stands for.
pub(crate) enum Big {
    Block(Block),
    Object(Box<Object>),
}

/// Numbered blocks. Numbers are reused.
pub(crate) struct Blocks {
    chunks: Vec<Vec<Cell>>,
    free: u32,
    live: usize,
    bytes: usize,
}

impl Big {
    /// Memory it takes, as the accounts have it.
    fn memory_bytes(&self) -> usize {
        match self {
            Big::Block(block) => block_bytes(block),
            Big::Object(object) => object_bytes(object),
        }
    }

    fn is_object(&self) -> bool {
        matches!(self, Big::Object(_))
    }

    fn into_cell(self) -> Cell {
        match self {
            Big::Block(block) => Cell::Full(block),
            Big::Object(object) => Cell::Object(object),
        }
    }

    fn free_slice(&mut self) -> Progress {
        match self {
            Big::Block(block) => block.free_slice(1),
            Big::Object(object) => object.free_slice(1),
        }
    }
}

/// Memory an object takes.
pub(crate) fn object_bytes(object: &Object) -> usize {
    object.memory_bytes() + allocation_bytes(size_of::<Object>())
}

/// Memory a block takes: its buffer, and what reference counting adds.
pub(crate) fn block_bytes(block: &Block) -> usize {
    let counted = size_of::<Vec<u8>>() + 2 * size_of::<usize>();
    allocation_bytes(block.capacity()) + allocation_bytes(counted)
}

impl Blocks {
    pub(crate) fn new() -> Blocks {
        Blocks { chunks: Vec::new(), free: NONE, live: 0, bytes: 0 }
    }

    /// Memory of all blocks and the cells that hold them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.chunks.len() * CHUNK * size_of::<Cell>()
    }

    /// Takes a block in and gives its number; hands it back if there is no memory for a cell.
    pub(crate) fn add(&mut self, block: Block) -> Result<u32, (Block, OutOfMemory)> {
        self.add_big(Big::Block(block)).map_err(|(big, error)| match big {
            Big::Block(block) => (block, error),
            Big::Object(_) => unreachable!("a block comes back"),
        })
    }

    /// As `add`, of an object.
    pub(crate) fn add_object(
        &mut self,
        object: Box<Object>,
    ) -> Result<u32, (Box<Object>, OutOfMemory)> {
        self.add_big(Big::Object(object)).map_err(|(big, error)| match big {
            Big::Object(object) => (object, error),
            Big::Block(_) => unreachable!("an object comes back"),
        })
    }

    fn add_big(&mut self, big: Big) -> Result<u32, (Big, OutOfMemory)> {
        let bytes = big.memory_bytes();
        let number = self.add_cell(big)?;
        self.live += 1;
        self.bytes += bytes;
        Ok(number)
    }

    fn add_cell(&mut self, big: Big) -> Result<u32, (Big, OutOfMemory)> {
        if self.free != NONE {
            let number = self.free;
            if let Some(cell) = self.cell_mut(number) {
                let taken = std::mem::replace(cell, big.into_cell());
                if let Cell::Free { next } = taken {
                    self.free = next;
                }
            }
            return Ok(number);
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let mut chunk = Vec::new();
            let room = self.chunks.try_reserve(1).and_then(|()| chunk.try_reserve_exact(CHUNK));
            if room.is_err() {
                return Err((big, OutOfMemory));
            }
            self.chunks.push(chunk);
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let number = match self.chunks.last_mut() {
            Some(chunk) => {
                chunk.push(big.into_cell());
                before + chunk.len() - 1
            }
            None => return Err((big, OutOfMemory)),
        };
        Ok(number as u32)
    }

    fn cell_mut(&mut self, number: u32) -> Option<&mut Cell> {
        self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)
    }

    /// The block of a number, which must be one in use.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> &Block {
        match &self.chunks[number as usize / CHUNK][number as usize % CHUNK] {
            Cell::Full(block) => block,
            _ => unreachable!("an entry names a free block"),
        }
    }

    /// The object of a number; `None` where it is a block.
    #[inline]
    pub(crate) fn object(&self, number: u32) -> Option<&Object> {
        match self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)? {
            Cell::Object(object) => Some(object),
            Cell::Free { .. } | Cell::Full(_) => None,
        }
    }

    /// Asks the processor for the cell of a number.
    #[inline]
    pub(crate) fn prefetch(&self, number: u32) {
        let chunk = self.chunks.get(number as usize / CHUNK);
        if let Some(cell) = chunk.and_then(|chunk| chunk.get(number as usize % CHUNK)) {
            prefetch(std::ptr::from_ref(cell).cast());
        }
    }

    /// Changes an object in place, keeping the account of its memory; nothing where the number is that of a block.
    pub(crate) fn edit_object<R>(
        &mut self,
        number: u32,
        edit: impl FnOnce(&mut Object) -> R,
    ) -> Option<R> {
        let Some(Cell::Object(object)) = self.cell_mut(number) else { return None };
        let before = object_bytes(object);
        let result = edit(object);
        let after = object_bytes(object);
        self.bytes = self.bytes + after - before;
        Some(result)
    }

    /// How many numbers were ever given out, in use or not.
    pub(crate) fn numbers(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        (full + self.chunks.last().map_or(0, Vec::len)) as u32
    }

    /// Takes an object out and leaves an empty block in its place.
    pub(crate) fn take_object(&mut self, number: u32) -> Option<Box<Object>> {
        let cell = self.cell_mut(number)?;
        if !matches!(cell, Cell::Object(_)) {
            return None;
        }
        let empty = Block::default();
        let empty_bytes = block_bytes(&empty);
        let Cell::Object(object) = std::mem::replace(cell, Cell::Full(empty)) else { return None };
        self.bytes = self.bytes + empty_bytes - object_bytes(&object);
        Some(object)
    }

    /// Memory that the block or object of a number takes.
    pub(crate) fn bytes_of(&self, number: u32) -> usize {
        self.object(number).map_or_else(|| block_bytes(self.get(number)), object_bytes)
    }

    /// Edits a block in place, keeping the account of its memory.
    pub(crate) fn edit<R>(&mut self, number: u32, edit: impl FnOnce(&mut Block) -> R) -> R {
        let cell = &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK];
        let Cell::Full(block) = cell else { unreachable!("an entry names a free block") };
        self.bytes -= block_bytes(block);
        let result = edit(block);
        self.bytes += block_bytes(block);
        result
    }

    /// Takes a block or object out.
    pub(crate) fn take(&mut self, number: u32) -> Big {
        let next = self.free;
        let cell = &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK];
        let big = match std::mem::replace(cell, Cell::Free { next }) {
            Cell::Full(block) => Big::Block(block),
            Cell::Object(object) => Big::Object(object),
            Cell::Free { .. } => unreachable!("an entry names a free block"),
        };
        self.free = number;
        self.live -= 1;
        self.bytes -= big.memory_bytes();
        if self.live == 0 {
            (self.chunks, self.free) = (Vec::new(), NONE);
        }
        big
    }

    /// Moves out all blocks of the last chunk, to be freed; false when there was none.
    pub(crate) fn dismantle(&mut self, graveyard: &mut Graveyard) -> bool {
        let Some(chunk) = self.chunks.pop() else { return false };
        for cell in chunk {
            match cell {
                Cell::Full(block) => graveyard.bury_for_later(Big::Block(block)),
                Cell::Object(object) => graveyard.bury_for_later(Big::Object(object)),
                Cell::Free { .. } => {}
            }
        }
        (self.live, self.bytes, self.free) = (0, 0, NONE);
        true
    }
}

/// Blocks and objects waiting to be freed a slice at a time: giving 512 MB back to the system at once would
/// hold everybody for a tenth of a second.
pub(crate) struct Graveyard {
    blocks: Vec<Big>,
    /// What they take, as the accounts have it.
    bytes: usize,
    /// Objects among them.
    objects: usize,
    /// Objects freed from here since somebody asked.
    freed_objects: u64,
}

impl Graveyard {
    pub(crate) fn new() -> Graveyard {
        Graveyard { blocks: Vec::new(), bytes: 0, objects: 0, freed_objects: 0 }
    }

    pub(crate) fn bury_block(&mut self, block: Block) {
        self.bury(Big::Block(block));
    }

    /// Frees what is small now, and keeps the rest for later.
    pub(crate) fn bury(&mut self, big: Big) {
        let is_small = match &big {
            Big::Block(block) => block.capacity() <= FREED_AT_ONCE_BLOCK_BYTES,
            Big::Object(object) => object.memory_bytes() <= FREED_AT_ONCE_OBJECT_BYTES,
        };
        if !is_small {
            self.bury_for_later(big);
        }
    }

    fn bury_for_later(&mut self, big: Big) {
        self.bytes += big.memory_bytes();
        self.objects += usize::from(big.is_object());
        self.blocks.push(big);
    }

    /// Objects that wait.
    pub(crate) fn waiting_objects(&self) -> usize {
        self.objects
    }

    /// Objects freed since this was asked last.
    pub(crate) fn take_freed_objects(&mut self) -> u64 {
        std::mem::take(&mut self.freed_objects)
    }

    /// Memory of what waits.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Frees at most `budget` blocks or megabytes; true when nothing waits any more. What a reply
    /// still holds is freed by the reply.
    pub(crate) fn free_slice(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(block) = self.blocks.last_mut() else { return true };
            let before_bytes = block.memory_bytes();
            if block.free_slice().is_done() {
                self.bytes -= before_bytes;
                if self.blocks.pop().is_some_and(|big| big.is_object()) {
                    self.objects -= 1;
                    self.freed_objects += 1;
                }
            } else {
                self.bytes = self.bytes - before_bytes + block.memory_bytes();
            }
        }
        self.blocks.is_empty()
    }
}
