//! Large values and keys of one database, and the graveyard of those that are gone.
//!
//! An entry that does not fit a heap slot keeps its bytes in a `Block` here and stores the block's
//! number (4 bytes). Ownership is thereby in one plain place: dropping or detaching a database
//! needs no walk over its entries, and no entry holds a pointer. Cells are in chunks, so adding one
//! never moves the others; free cells form a list.

use super::OutOfMemory;
use crate::base::block::Block;
use crate::base::memory::allocation_bytes;
use crate::base::pieces::Garbage as _;

/// Cells of one chunk (4 KiB).
const CHUNK: usize = 256;
const NONE: u32 = u32::MAX;

enum Cell {
    Free { next: u32 },
    Full(Block),
}

/// Numbered blocks. Numbers are reused.
pub(crate) struct Blocks {
    chunks: Vec<Vec<Cell>>,
    free: u32,
    live: usize,
    bytes: usize,
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
        let bytes = block_bytes(&block);
        let number = self.add_cell(block)?;
        self.live += 1;
        self.bytes += bytes;
        Ok(number)
    }

    fn add_cell(&mut self, block: Block) -> Result<u32, (Block, OutOfMemory)> {
        if self.free != NONE {
            let number = self.free;
            if let Some(cell) = self.cell_mut(number) {
                let taken = std::mem::replace(cell, Cell::Full(block));
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
                return Err((block, OutOfMemory));
            }
            self.chunks.push(chunk);
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let number = match self.chunks.last_mut() {
            Some(chunk) => {
                chunk.push(Cell::Full(block));
                before + chunk.len() - 1
            }
            None => return Err((block, OutOfMemory)),
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
            Cell::Free { .. } => unreachable!("an entry names a free block"),
        }
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

    /// Takes a block out.
    pub(crate) fn take(&mut self, number: u32) -> Block {
        let next = self.free;
        let cell = &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK];
        let Cell::Full(block) = std::mem::replace(cell, Cell::Free { next }) else {
            unreachable!("an entry names a free block")
        };
        self.free = number;
        self.live -= 1;
        self.bytes -= block_bytes(&block);
        if self.live == 0 {
            (self.chunks, self.free) = (Vec::new(), NONE);
        }
        block
    }

    /// Moves out all blocks of the last chunk, to be freed; false when there was none.
    pub(crate) fn dismantle(&mut self, graveyard: &mut Graveyard) -> bool {
        let Some(chunk) = self.chunks.pop() else { return false };
        for cell in chunk {
            if let Cell::Full(block) = cell {
                graveyard.bury(block);
            }
        }
        (self.live, self.bytes, self.free) = (0, 0, NONE);
        true
    }
}

/// Blocks waiting to be freed a slice at a time: giving 512 MB back to the system at once would
/// hold everybody for a tenth of a second.
pub(crate) struct Graveyard {
    blocks: Vec<Block>,
    /// What they take, as `block_bytes` counts it.
    bytes: usize,
}

impl Graveyard {
    pub(crate) fn new() -> Graveyard {
        Graveyard { blocks: Vec::new(), bytes: 0 }
    }

    pub(crate) fn bury(&mut self, block: Block) {
        self.bytes += block_bytes(&block);
        self.blocks.push(block);
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
            let before_bytes = block_bytes(block);
            if block.free_slice(1).is_done() {
                self.bytes -= before_bytes;
                self.blocks.pop();
            } else {
                self.bytes -= before_bytes - block_bytes(block);
            }
        }
        self.blocks.is_empty()
    }
}
