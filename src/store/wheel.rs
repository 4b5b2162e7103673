//! The timing wheel: which entries expire when, for the next two minutes.
//!
//! ```text
//!   slots   one per 4 ms, 32768 of them, in a ring; `base` is the first that has not been taken out
//!   slot    a chain of chunks of 28 handles; nothing moves when it grows, and it is freed chunk by chunk
//!   mark    every entry that expires before `mark_ms` has a handle in the slot of its time
//!           (or in a later one, if its time had passed when it came)
//! ```
//!
//! Entries whose time is set to one before the mark come in at once. The others are found by a slow round over
//! all buckets (`Db::sweep`), which brings those between the mark and `next_mark_ms`; then that is the mark. A
//! round meets each entry once: while it lasts, what is set behind its cursor comes in at once too. As long as no
//! key has a time behind the mark (`has_far`), the mark moves on by itself: where all TTLs are short, nothing needs
//! to be sought.
//!
//! Handles are never taken out early: an entry that was deleted, moved or given another time leaves a stale one
//! behind, told apart when its slot comes (`Db::expire_due`). The owner keeps their number within bounds by
//! `cut`, which forgets everything behind a moment and leaves it to the next round.
//!
//! Why not all keys in a hierarchy of wheels, without rounds: four bytes for every key with a TTL, moved several
//! times, and stale ones that stay for hours. Here a key that lives for long costs nothing until its last two
//! minutes. Why not a heap: O(log n) cache misses per SET; a push here is one compare and one line written.
//!
//! Cost: about 3 ns per push, 5 bytes per handle in full slots; 4 KiB for a database with any TTL, 260 KiB
//! from the first that ends within two minutes. Freeing and taking out are bounded by what the caller asks for.

use std::collections::VecDeque;

/// Milliseconds of one slot, as a power of two. The mean delay of an expiry is half of it.
pub(super) const SLOT_SHIFT: u32 = 2;
/// Number of slots: the wheel spans 131 s.
const SLOTS: usize = 1 << 15;
const WORDS: usize = SLOTS / 64;
/// Handles of one chunk, which fills two cache lines.
pub(super) const CHUNK_HANDLES: usize = 28;
/// Slots the clock may step back before the wheel is built anew: up to that, keys expire late by as much.
const BACK_SLOTS_MAX: i64 = 25;
/// Slots after which a held entry is looked at again: 16 ms.
const RETRY_SLOTS: i64 = 4;
/// No entry is sure to be in the wheel.
const NO_MARK: i64 = i64::MIN;

/// A piece of a slot. Invariant: those behind the first of a chain are full.
#[derive(Debug)]
struct Chunk {
    next: Option<Box<Chunk>>,
    /// Number of chunks behind it.
    behind: u32,
    len: u32,
    handles: [u32; CHUNK_HANDLES],
}

impl Chunk {
    /// Handles in it and behind it.
    fn refs(&self) -> usize {
        self.behind as usize * CHUNK_HANDLES + self.len as usize
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // One after the other: a chain may be too long for recursion.
        let mut next = self.next.take();
        while let Some(mut chunk) = next {
            next = chunk.next.take();
        }
    }
}

/// A slot that was taken out because its time has come.
#[derive(Debug)]
struct Due {
    number: i64,
    chain: Box<Chunk>,
}

/// A round over all buckets. See `Db::sweep`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Buckets below have been visited.
    pub(super) cursor: usize,
    /// When it began.
    pub(super) started_ms: i64,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The ring. Empty until the first handle comes: where all keys live for long, there is none.
    slots: Vec<Option<Box<Chunk>>>,
    /// A bit for each slot that is not empty.
    filled: [u64; WORDS],
    /// Number (time divided by 4 ms) of the first slot of the ring.
    base: i64,
    /// Handles in slots and in `due`.
    refs: usize,
    /// How many may be there before the owner has to look whether most are stale.
    pub(super) refs_max: usize,
    /// Every entry that expires before is in the wheel. Invariant: within the ring or `NO_MARK`.
    mark_ms: i64,
    /// What the mark will be after the round; the mark itself between rounds.
    next_mark_ms: i64,
    pub(super) round: Round,
    is_sweeping: bool,
    /// Whether there may be entries with a time behind the mark.
    has_far: bool,
    /// Whether one was met, or came, since the round began.
    is_far_seen: bool,
    /// Whether the round is to bring entries; else it only looks.
    is_seeking: bool,
    due: VecDeque<Due>,
    /// Handles in `due`.
    due_refs: usize,
    /// Chains nobody will look at, freed slice by slice.
    // Boxed since they are: a chain is moved here as it is.
    #[allow(clippy::vec_box)]
    garbage: Vec<Box<Chunk>>,
}

/// The number of the slot of a time.
#[inline]
pub(super) fn slot_number(unix_ms: i64) -> i64 {
    unix_ms >> SLOT_SHIFT
}

/// Where a slot begins.
fn slot_ms(number: i64) -> i64 {
    number.saturating_mul(1 << SLOT_SHIFT)
}

#[inline]
fn index_of(number: i64) -> usize {
    (number & (SLOTS as i64 - 1)) as usize
}

impl Wheel {
    /// A wheel for a database without any TTL at this time.
    pub(super) fn new(now_ms: i64) -> Wheel {
        let base = slot_number(now_ms);
        let mark_ms = slot_ms(base.saturating_add(SLOTS as i64));
        Wheel {
            slots: Vec::new(),
            filled: [0; WORDS],
            base,
            refs: 0,
            refs_max: 0,
            mark_ms,
            next_mark_ms: mark_ms,
            round: Round { cursor: 0, started_ms: now_ms },
            is_sweeping: false,
            has_far: false,
            is_far_seen: false,
            is_seeking: false,
            due: VecDeque::new(),
            due_refs: 0,
            garbage: Vec::new(),
        }
    }

    /// Handles in the wheel, stale ones with them.
    pub(super) fn refs(&self) -> usize {
        self.refs
    }

    /// Every entry that expires before this time is in the wheel.
    pub(super) fn mark_ms(&self) -> i64 {
        self.mark_ms
    }

    /// Whether an entry of `bucket` that now gets this time has to come in at once: the round under way, or
    /// the last one, will not bring it.
    #[inline]
    pub(super) fn covers(&self, expiry_ms: i64, bucket: usize) -> bool {
        expiry_ms < self.mark_ms || (expiry_ms < self.next_mark_ms && bucket < self.round.cursor)
    }

    /// Whether the round under way brings entries of this time.
    #[inline]
    pub(super) fn is_sought(&self, expiry_ms: i64) -> bool {
        (self.mark_ms..self.next_mark_ms).contains(&expiry_ms)
    }

    /// Puts a handle in the slot of a time before `next_mark_ms`; a time that has passed goes to the next slot
    /// that will be taken out.
    #[inline]
    pub(super) fn push(&mut self, handle: u32, expiry_ms: i64) {
        self.push_number(handle, slot_number(expiry_ms).max(self.base));
    }

    /// Puts the handle of an entry that cannot be deleted now into a slot a little later.
    pub(super) fn push_retry(&mut self, handle: u32) {
        self.push_number(handle, self.base + RETRY_SLOTS);
    }

    #[inline]
    fn push_number(&mut self, handle: u32, number: i64) {
        debug_assert!((0..SLOTS as i64).contains(&(number - self.base)), "outside the ring");
        let index = index_of(number);
        match self.slots.get_mut(index) {
            Some(Some(chunk)) if (chunk.len as usize) < CHUNK_HANDLES => {
                self.refs += 1;
                chunk.handles[chunk.len as usize] = handle;
                chunk.len += 1;
            }
            Some(slot) => {
                self.refs += 1;
                let mut handles = [0; CHUNK_HANDLES];
                handles[0] = handle;
                let behind = slot.as_ref().map_or(0, |chunk| chunk.behind + 1);
                *slot = Some(Box::new(Chunk { next: slot.take(), behind, len: 1, handles }));
                self.filled[index / 64] |= 1 << (index % 64);
            }
            None => self.push_first(handle, number),
        }
    }

    #[cold]
    fn push_first(&mut self, handle: u32, number: i64) {
        self.slots.resize_with(SLOTS, || None);
        self.push_number(handle, number);
    }

    /// The first slot that is not empty, from `number` to the end of the ring.
    fn first_filled(&self, number: i64) -> Option<i64> {
        let start = index_of(number);
        let mut word = self.filled[start / 64] & (u64::MAX << (start % 64));
        // One word more than there are: the first is looked at again for the slots before `start`.
        for step in 0..=WORDS {
            let at = (start / 64 + step) % WORDS;
            if word != 0 {
                let index = at * 64 + word.trailing_zeros() as usize;
                let distance = (index + SLOTS - start) % SLOTS;
                let found = number + distance as i64;
                return (found < self.base + SLOTS as i64).then_some(found);
            }
            word = self.filled[(at + 1) % WORDS];
        }
        None
    }

    fn take_slot(&mut self, number: i64) -> Option<Box<Chunk>> {
        let index = index_of(number);
        self.filled[index / 64] &= !(1 << (index % 64));
        self.slots.get_mut(index)?.take()
    }

    /// When the next slot is due; the past if one has been taken out and not been worked off. `None` when the
    /// wheel is empty.
    pub(super) fn next_ms(&self) -> Option<i64> {
        if self.refs == 0 {
            return None;
        }
        if let Some(due) = self.due.front() {
            return Some(slot_ms(due.number));
        }
        self.first_filled(self.base).map(|number| slot_ms(number + 1))
    }

    /// Takes out all slots that have passed. O(slots that are not empty), at most 32768; no more when an hour
    /// has passed. A clock that was set back makes the wheel forget all it knows.
    pub(super) fn advance(&mut self, now_ms: i64) {
        let now_number = slot_number(now_ms);
        if now_number <= self.base {
            if now_number < self.base - BACK_SLOTS_MAX {
                self.forget(now_ms);
            }
            return;
        }
        while let Some(number) = self.first_filled(self.base) {
            if number >= now_number {
                break;
            }
            if let Some(chain) = self.take_slot(number) {
                self.push_due(number, chain);
            }
        }
        self.base = now_number;
    }

    /// Takes out the slot of this very moment too, part of which has passed.
    pub(super) fn take_current(&mut self) {
        let number = self.base;
        if let Some(chain) = self.take_slot(number) {
            self.push_due(number, chain);
        }
    }

    fn push_due(&mut self, number: i64, chain: Box<Chunk>) {
        self.due_refs += chain.refs();
        self.due.push_back(Due { number, chain });
    }

    /// Handles taken out that wait to be looked at.
    pub(super) fn due_refs(&self) -> usize {
        self.due_refs
    }

    /// Whether slots that were taken out wait to be worked off.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Some handles of one slot whose time has come, and the number of that slot.
    pub(super) fn take_due(&mut self, handles: &mut [u32; CHUNK_HANDLES]) -> Option<(i64, usize)> {
        let due = self.due.front_mut()?;
        let count = due.chain.len as usize;
        handles[..count].copy_from_slice(&due.chain.handles[..count]);
        let number = due.number;
        match due.chain.next.take() {
            Some(next) => due.chain = next,
            None => drop(self.due.pop_front()),
        }
        self.refs -= count;
        self.due_refs -= count;
        Some((number, count))
    }

    /// What the next `take_due` will give, for the processor to fetch.
    pub(super) fn peek_due(&self) -> &[u32] {
        self.due.front().map_or(&[], |due| &due.chain.handles[..due.chain.len as usize])
    }

    /// An entry has come, or was met, that expires behind the mark and is not in the wheel.
    pub(super) fn note_far(&mut self) {
        (self.has_far, self.is_far_seen) = (true, true);
    }

    /// Whether an entry that a round meets will need another one.
    #[inline]
    pub(super) fn is_far(&self, expiry_ms: i64) -> bool {
        expiry_ms >= self.next_mark_ms
    }

    /// Moves the mark to the end of the ring if no entry can lie between.
    pub(super) fn extend(&mut self) {
        if !self.has_far {
            self.mark_ms = slot_ms(self.base.saturating_add(SLOTS as i64)).max(self.mark_ms);
            self.next_mark_ms = self.mark_ms;
        }
    }

    /// Begins a round: it is to bring what expires before the end of the ring, if there may be anything.
    pub(super) fn begin_round(&mut self, now_ms: i64) {
        self.next_mark_ms = slot_ms(self.base.saturating_add(SLOTS as i64)).max(self.mark_ms);
        self.round = Round { cursor: 0, started_ms: now_ms };
        (self.is_sweeping, self.is_far_seen, self.is_seeking) = (true, false, self.has_far);
    }

    /// Whether the round is to bring entries; one that began before the first far entry came is not.
    pub(super) fn is_seeking(&self) -> bool {
        self.is_seeking
    }

    /// Whether the round under way would not bring what it should by now.
    pub(super) fn is_outdated(&self) -> bool {
        self.has_far && !self.is_seeking
    }

    /// The round has visited all buckets.
    pub(super) fn end_round(&mut self) {
        self.mark_ms = self.next_mark_ms;
        self.round.cursor = 0;
        self.is_sweeping = false;
        if self.is_seeking {
            self.has_far = self.is_far_seen;
        }
    }

    /// Whether a round is under way.
    #[inline]
    pub(super) fn is_sweeping(&self) -> bool {
        self.is_sweeping
    }

    /// Forgets all handles of slots from `from_ms` on, and ends a round before its time: the next one has to
    /// bring what expires from then on. O(slots).
    pub(super) fn cut(&mut self, from_ms: i64) {
        let mut number = slot_number(from_ms).max(self.base);
        while let Some(found) = self.first_filled(number) {
            if let Some(chain) = self.take_slot(found) {
                self.discard(chain);
            }
            number = found;
        }
        self.mark_ms = self.mark_ms.min(slot_ms(slot_number(from_ms)));
        self.next_mark_ms = self.mark_ms;
        self.round.cursor = 0;
        self.is_sweeping = false;
        self.note_far();
    }

    /// Forgets everything: each entry has to be found by the next round.
    pub(super) fn forget(&mut self, now_ms: i64) {
        self.cut(slot_ms(self.base));
        while let Some(due) = self.due.pop_front() {
            self.discard(due.chain);
        }
        self.due_refs = 0;
        debug_assert_eq!(self.refs, 0);
        self.base = slot_number(now_ms);
        (self.mark_ms, self.next_mark_ms) = (NO_MARK, NO_MARK);
    }

    fn discard(&mut self, chain: Box<Chunk>) {
        self.refs -= chain.refs();
        self.garbage.push(chain);
    }

    /// Frees at most `budget_chunks` chunks of what was forgotten; true when nothing is left of it.
    pub(super) fn free_slice(&mut self, budget_chunks: usize) -> bool {
        for _ in 0..budget_chunks {
            let Some(mut chunk) = self.garbage.pop() else { return true };
            if let Some(next) = chunk.next.take() {
                self.garbage.push(next);
            }
        }
        self.garbage.is_empty()
    }

    /// As `free_slice`, of a wheel nobody will use again.
    pub(super) fn dismantle(&mut self, budget_chunks: usize) -> bool {
        if self.refs > 0 {
            self.forget(0);
        }
        self.free_slice(budget_chunks)
    }
}
