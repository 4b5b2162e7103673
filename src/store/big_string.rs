//! APPEND and SETRANGE on a big string, in pieces.
//!
//! ```text
//!   the result     | old ········ | zeros ··· | written ···· | old ········ |
//!                  0       old length or   offset      offset + written    length
//!                        offset, the lesser
//! ```
//!
//! A block that nobody shares and that has room is changed in place. Otherwise (a reply, a copy holds it; it would have
//! to move; the key has none yet) the result is built beside it, from the front, and installed in one step; until then
//! nothing of the key changes. The result is that of `Db::append` and `Db::set_range`, with the same flags, TTL and
//! access clock.
//!
//! The caller holds the key against readers and writers from `new` to the last step: a change in place is half done
//! in between. Should somebody share the block all the same, the rest is built beside it, and what was shared keeps
//! what it had then. Should the key be gone, as when it expired, nothing happens to it.
//!
//! Cost: a step of n units copies n × 8 KiB, about 5 us each where memory is new. A block of 33 MiB and more that has
//! to grow is moved by the system without being copied: 4 us per MiB, at most once per MiB appended.

use super::blocks::Graveyard;
use super::db::Db;
use super::db_string::{GROWTH_BYTES_MAX, NewString, Ttl};
use super::entry::{self, Stored};
use super::heap::Handle;
use super::view::StringRef;
use super::{EditError, OutOfMemory};
use crate::base::block::Block;
use crate::base::hash::Key;
use crate::base::pieces::{Garbage, Progress};
use crate::types::table::Slot;
use std::sync::Arc;

/// Bytes copied per unit.
const BYTES_PER_UNIT: usize = 8 * 1024;
/// A result up to this length is made in one step.
const ONE_STEP_BYTES_MAX: usize = 64 * 1024;
/// From this size on the allocator moves pages and not bytes (glibc: 32 MiB and a header, `M_MMAP_THRESHOLD`'s limit).
const PAGES_MOVE_BYTES_MIN: usize = 33 << 20;

/// An edit of a string in pieces. See the head of the file.
pub struct BigEdit {
    kind: EditKind,
    /// Where the written bytes go.
    offset: usize,
    /// Length of the result.
    length: usize,
    /// Whether there was no key.
    is_new: bool,
    /// Results up to this length are made in one step.
    one_step_max: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EditKind {
    Append,
    SetRange,
}

/// What the next step goes on with.
enum Stage {
    /// To find out how.
    Start,
    /// Changes the block of the key; so many of the written bytes are there.
    InPlace {
        done: usize,
    },
    /// Builds the result beside it.
    Beside {
        text: Vec<u8>,
        old: Old,
    },
    Done,
}

/// What the key had when the result was begun.
enum Old {
    /// Nothing, or a string inside the entry.
    Small(Vec<u8>),
    Block(Block),
}

impl Old {
    fn bytes(&self) -> &[u8] {
        match self {
            Old::Small(bytes) => bytes,
            Old::Block(block) => block,
        }
    }
}

impl BigEdit {
    /// APPEND of `written_len` bytes.
    pub fn append(db: &mut Db, key: Key<'_>, written_len: usize) -> Result<BigEdit, EditError> {
        BigEdit::new(db, key, EditKind::Append, 0, written_len)
    }

    /// SETRANGE of `written_len` bytes at `offset`. With no bytes to write, changes nothing. The caller has checked
    /// the limit of length.
    pub fn set_range(
        db: &mut Db,
        key: Key<'_>,
        offset: usize,
        written_len: usize,
    ) -> Result<BigEdit, EditError> {
        BigEdit::new(db, key, EditKind::SetRange, offset, written_len)
    }

    fn new(
        db: &mut Db,
        key: Key<'_>,
        kind: EditKind,
        offset: usize,
        written_len: usize,
    ) -> Result<BigEdit, EditError> {
        let found = db.peek(key);
        let is_new = found.is_none();
        let old_len = match found {
            Some(entry) => entry.string().ok_or(EditError::WrongType)?.len(),
            None => 0,
        };
        let offset = if kind == EditKind::Append { old_len } else { offset };
        let is_nothing = kind == EditKind::SetRange && written_len == 0;
        let length = if is_nothing { old_len } else { old_len.max(offset + written_len) };
        let (stage, one_step_max) = (Stage::Start, ONE_STEP_BYTES_MAX);
        Ok(BigEdit { kind, offset, length, is_new, one_step_max, stage })
    }

    /// Length of the result.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the result is an empty string.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Goes on; `written` is the same at every step. On failure nothing has changed.
    pub fn step(
        &mut self,
        db: &mut Db,
        key: Key<'_>,
        written: &[u8],
        units: usize,
    ) -> Result<Progress, EditError> {
        self.step_bytes(db, key, written, units.saturating_mul(BYTES_PER_UNIT))
    }

    fn step_bytes(
        &mut self,
        db: &mut Db,
        key: Key<'_>,
        written: &[u8],
        bytes_max: usize,
    ) -> Result<Progress, EditError> {
        match &mut self.stage {
            Stage::Start => self.start(db, key, written)?,
            Stage::InPlace { done } => {
                let mut done = *done;
                let offset = self.offset;
                let edited = db.edit_unshared(key, self.length, |text| {
                    write_piece(text, offset, written, &mut done, bytes_max);
                });
                self.stage = match edited {
                    Some(()) if done == written.len() => Stage::Done,
                    Some(()) => Stage::InPlace { done },
                    // Somebody shares it, or it is gone.
                    None => Stage::Start,
                };
            }
            Stage::Beside { text, old } => {
                build_piece(text, old.bytes(), self.offset, written, self.length, bytes_max);
                if text.len() == self.length {
                    self.install(db, key)?;
                }
            }
            Stage::Done => {}
        }
        Ok(if matches!(self.stage, Stage::Done) { Progress::Done } else { Progress::More })
    }

    /// Decides how it is done, and gets the memory.
    fn start(&mut self, db: &mut Db, key: Key<'_>, written: &[u8]) -> Result<(), EditError> {
        let slot = db.locate(key);
        if slot.is_none() && !self.is_new {
            self.stage = Stage::Done;
            return Ok(());
        }
        if self.length <= self.one_step_max || self.is_without_effect(written) {
            match self.kind {
                EditKind::Append => db.append(key, written)?,
                EditKind::SetRange => db.set_range(key, self.offset, written)?,
            };
            self.stage = Stage::Done;
            return Ok(());
        }
        let old = match slot {
            Some(slot) => {
                db.string_length(slot)?;
                if db.has_room(slot, self.length)? {
                    db.mark_edited(slot);
                    self.stage = Stage::InPlace { done: 0 };
                    return Ok(());
                }
                db.old(slot)
            }
            None => Old::Small(Vec::new()),
        };
        // Room to grow, as an edit in one go leaves it; a new key gets none.
        let spare = if self.is_new { 0 } else { self.length.min(GROWTH_BYTES_MAX) };
        let mut text = Vec::new();
        text.try_reserve_exact(self.length + spare).map_err(|_| OutOfMemory)?;
        self.stage = Stage::Beside { text, old };
        Ok(())
    }

    fn is_without_effect(&self, written: &[u8]) -> bool {
        self.kind == EditKind::SetRange && written.is_empty()
    }

    /// Gives the key its new block.
    fn install(&mut self, db: &mut Db, key: Key<'_>) -> Result<(), OutOfMemory> {
        let Stage::Beside { text, old } = std::mem::replace(&mut self.stage, Stage::Done) else {
            return Ok(());
        };
        let block = Arc::new(text);
        // Before the key gives its own up: who is last to hold it has to free it, and that is the graveyard.
        drop_or_bury(old, &mut db.graveyard);
        match db.locate(key) {
            Some(slot) if !self.is_new => db.replace_text(slot, block),
            None if !self.is_new => {
                db.graveyard.bury_block(block);
                Ok(())
            }
            _ => db.set_string(key, NewString::Block(block), Ttl::Clear).map(|_| ()),
        }
    }
}

/// What was read from is still the key's, unless that is gone.
fn drop_or_bury(old: Old, graveyard: &mut Graveyard) {
    if let Old::Block(block) = old
        && Arc::strong_count(&block) == 1
    {
        graveyard.bury_block(block);
    }
}

/// Goes on in a text that has room: zeros up to the offset, then the written bytes.
fn write_piece(
    text: &mut Vec<u8>,
    offset: usize,
    written: &[u8],
    done: &mut usize,
    bytes_max: usize,
) {
    if text.len() < offset {
        let len = text.len().saturating_add(bytes_max).min(offset);
        return text.resize(len, 0);
    }
    let end = done.saturating_add(bytes_max).min(written.len());
    let piece = &written[*done..end];
    let at = offset + *done;
    let over = piece.len().min(text.len() - at);
    text[at..at + over].copy_from_slice(&piece[..over]);
    text.extend_from_slice(&piece[over..]);
    *done = end;
}

/// Goes on with the result; see the drawing at the head.
fn build_piece(
    text: &mut Vec<u8>,
    old: &[u8],
    offset: usize,
    written: &[u8],
    length: usize,
    bytes_max: usize,
) {
    let end = text.len().saturating_add(bytes_max).min(length);
    let written_end = offset + written.len();
    while text.len() < end {
        let at = text.len();
        if at < offset.min(old.len()) {
            text.extend_from_slice(&old[at..end.min(offset).min(old.len())]);
        } else if at < offset {
            text.resize(end.min(offset), 0);
        } else if at < written_end {
            text.extend_from_slice(&written[at - offset..end.min(written_end) - offset]);
        } else {
            text.extend_from_slice(&old[at..end]);
        }
    }
}

impl Db {
    /// Whether the string in `slot` is a block nobody shares, with room for `length` bytes; gets the room where that
    /// moves no bytes.
    fn has_room(&mut self, slot: Slot, length: usize) -> Result<bool, OutOfMemory> {
        let stored = entry::value(self.heap.slot(Handle::from_raw(slot.handle)));
        let Stored::Block(number) = stored else { return Ok(false) };
        self.blocks.edit(number, |block| {
            let Some(text) = Arc::get_mut(block) else { return Ok(false) };
            if text.capacity() < length {
                if text.capacity() < PAGES_MOVE_BYTES_MIN {
                    return Ok(false);
                }
                let more = length + GROWTH_BYTES_MAX - text.len();
                text.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
            }
            Ok(true)
        })
    }

    /// Edits the block of a key in place; `None`, and nothing done, where that is shared, too short or gone.
    fn edit_unshared(
        &mut self,
        key: Key<'_>,
        length: usize,
        edit: impl FnOnce(&mut Vec<u8>),
    ) -> Option<()> {
        let slot = self.locate(key)?;
        let stored = entry::value(self.heap.slot(Handle::from_raw(slot.handle)));
        let Stored::Block(number) = stored else { return None };
        self.blocks.edit(number, |block| {
            let text = Arc::get_mut(block).filter(|text| text.capacity() >= length)?;
            edit(text);
            Some(())
        })
    }

    /// The string in `slot`: a block by reference.
    fn old(&self, slot: Slot) -> Old {
        match self.entry(slot.handle).string() {
            Some(StringRef::Block(block)) => Old::Block(Arc::clone(block)),
            Some(small) => Old::Small(small.as_bytes(&mut itoa::Buffer::new()).to_vec()),
            None => Old::Small(Vec::new()),
        }
    }

    fn mark_edited(&mut self, slot: Slot) {
        let header = self.header_of_edited(slot);
        self.before_write(slot.bucket);
        entry::set_header(self.heap.slot_mut(Handle::from_raw(slot.handle)), header);
    }

    /// Gives the string in `slot` another text, which is too long for an entry.
    fn replace_text(&mut self, slot: Slot, text: Block) -> Result<(), OutOfMemory> {
        let bytes = self.heap.slot(Handle::from_raw(slot.handle));
        let (stored, expiry) = (entry::value(bytes), entry::expiry(bytes));
        if let Stored::Block(number) = stored {
            self.mark_edited(slot);
            let old = self.blocks.edit(number, |block| std::mem::replace(block, text));
            self.graveyard.bury_block(old);
            return Ok(());
        }
        let header = self.header_of_edited(slot);
        let number = self.blocks.add(text).map_err(|(_, error)| error)?;
        let result = self.rewrite(slot, header, expiry, Stored::Block(number));
        if result.is_err() {
            self.bury(number);
        }
        result
    }
}

/// For a job that is given up before its end.
impl Garbage for BigEdit {
    fn free_slice(&mut self, units: usize) -> Progress {
        match &mut self.stage {
            Stage::Beside { text, old: Old::Block(block) } => {
                for _ in 0..units {
                    if text.free_slice(1).is_done() && block.free_slice(1).is_done() {
                        return Progress::Done;
                    }
                }
                Progress::More
            }
            Stage::Beside { text, old: Old::Small(_) } => text.free_slice(units),
            Stage::Start | Stage::InPlace { .. } | Stage::Done => Progress::Done,
        }
    }
}

#[cfg(test)]
#[path = "big_string_tests.rs"]
mod tests;
