//! How much memory each client holds, and which go first when all together hold more than `maxmemory-clients`.
//!
//! ```text
//!   entries (by slot)   bytes │ bucket │ older ◀─▶ younger
//!   buckets             < 32 KiB │ < 64 KiB │ … │ ≥ 4 GiB     each a list of slots: head is the oldest in it
//! ```
//!
//! A client stands in the bucket of its size's power of two, so that the largest are found without sorting, as in
//! Redis; one with CLIENT NO-EVICT stands in none, but counts. Whoever changes what a client holds says so
//! ([`ClientMemory::set`]), so total and buckets are always right and never computed from all clients.
//!
//! The network layer closes the victims, at most [`EVICTIONS_PER_TURN`] each turn; the rest goes in the next.
//!
//! Cost: O(1) per change; 24 bytes per client, whether there is a limit or not. Whether it is exceeded is one
//! comparison, also where there is none.
use crate::engine::config::Opt;
use crate::engine::engine::Shared;

/// The smallest bucket holds clients below two to this power.
const BUCKET_LOG_MIN: u32 = 15;
/// The largest holds those from two to the power before this one on.
const BUCKET_LOG_MAX: u32 = 33;
const BUCKETS: usize = 1 + (BUCKET_LOG_MAX - BUCKET_LOG_MIN) as usize;
/// Limits below this are raised to it, so that there always is room to change the limit.
const LIMIT_BYTES_MIN: usize = 128 * 1024;
/// Clients closed in one turn. Each costs some 15 us: its line in the log and the closing of its socket.
pub const EVICTIONS_PER_TURN: usize = 32;
/// No slot.
const NONE: u32 = u32::MAX;
/// No bucket.
const NO_BUCKET: u8 = u8::MAX;

/// What all clients hold.
#[derive(Debug)]
pub struct ClientMemory {
    /// `usize::MAX` for none.
    limit_bytes: usize,
    /// `maxmemory-clients` is not 0.
    is_limited: bool,
    total_bytes: usize,
    buckets: [Bucket; BUCKETS],
    /// By slot.
    entries: Vec<Entry>,
    /// Clients that may still be closed in this turn.
    left_in_turn: usize,
    /// The last look ended because that was 0.
    is_cut_short: bool,
    /// The log knows that there is nobody left to close.
    is_logged: bool,
}

/// Clients of about the same size.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bytes: usize,
    clients: usize,
    oldest: u32,
    youngest: u32,
}

/// What is known of one slot.
#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: usize,
    bucket: u8,
    older: u32,
    younger: u32,
}

impl Entry {
    const EMPTY: Entry = Entry { bytes: 0, bucket: NO_BUCKET, older: NONE, younger: NONE };
}

/// A bucket as DEBUG CLIENT-EVICTION shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketFigures {
    /// The least a client in it holds.
    pub from_bytes: usize,
    /// The most; `None` in the last, which has no end.
    pub to_bytes: Option<usize>,
    /// What all in it hold.
    pub bytes: usize,
    /// How many there are.
    pub clients: usize,
}

impl Default for ClientMemory {
    fn default() -> ClientMemory {
        let empty = Bucket { bytes: 0, clients: 0, oldest: NONE, youngest: NONE };
        ClientMemory {
            limit_bytes: usize::MAX,
            is_limited: false,
            total_bytes: 0,
            buckets: [empty; BUCKETS],
            entries: Vec::new(),
            left_in_turn: EVICTIONS_PER_TURN,
            is_cut_short: false,
            is_logged: false,
        }
    }
}

impl ClientMemory {
    /// Whether `maxmemory-clients` is set: only then is more to be known than at the end of each turn.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether clients are to be closed. Asked before every command.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.total_bytes >= self.limit_bytes
    }

    /// Whether a turn's bound has left some of that for the next one.
    pub fn is_cut_short(&self) -> bool {
        self.is_cut_short && self.is_over()
    }

    /// What all clients hold, those that are never closed for it included.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// The limit in bytes, `None` for none. It takes effect with the next look.
    fn set_limit(&mut self, is_limited: bool, limit_bytes: Option<usize>) {
        self.is_limited = is_limited;
        self.limit_bytes = limit_bytes.map_or(usize::MAX, |bytes| bytes.max(LIMIT_BYTES_MIN));
        self.is_logged = false;
    }

    /// A new turn.
    #[inline]
    pub fn begin_turn(&mut self) {
        self.left_in_turn = EVICTIONS_PER_TURN;
    }

    /// What the client at `slot` holds now, and whether it may be closed for it.
    pub fn set(&mut self, slot: usize, bytes: usize, is_evictable: bool) {
        if slot >= self.entries.len() {
            self.entries.resize(slot + 1, Entry::EMPTY);
        }
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let (bytes_before, bucket_before) = (entry.bytes, entry.bucket);
        entry.bytes = bytes;
        self.total_bytes = self.total_bytes - bytes_before + bytes;
        let bucket = if is_evictable { bucket_of(bytes) } else { NO_BUCKET };
        if let Some(known) = self.buckets.get_mut(usize::from(bucket_before)) {
            known.bytes -= bytes_before;
        }
        if bucket != bucket_before {
            self.unlink(slot);
            self.link(slot, bucket);
        }
        if let Some(known) = self.buckets.get_mut(usize::from(bucket)) {
            known.bytes += bytes;
        }
    }

    /// The client at `slot` is gone, or as good as that: it counts no longer.
    pub fn remove(&mut self, slot: usize) {
        if slot < self.entries.len() {
            self.set(slot, 0, false);
        }
    }

    /// The slot of the next client to close: the first of those in the largest bucket that has any. `None`: what is
    /// left is below the limit, or is not to be closed, or not in this turn.
    pub fn next_victim(&mut self) -> Option<usize> {
        self.is_cut_short = false;
        if !self.is_over() {
            self.is_logged = false;
            return None;
        }
        let Some(bucket) = self.buckets.iter().rev().find(|bucket| bucket.clients > 0) else {
            if !self.is_logged {
                self.is_logged = true;
                log::warn!("Over client maxmemory after evicting all evictable clients");
            }
            return None;
        };
        if self.left_in_turn == 0 {
            self.is_cut_short = true;
            return None;
        }
        self.left_in_turn -= 1;
        Some(bucket.oldest as usize)
    }

    /// All buckets, the smallest first.
    pub fn figures(&self) -> impl Iterator<Item = BucketFigures> {
        self.buckets.iter().zip(BUCKET_LOG_MIN..).map(|(bucket, log)| BucketFigures {
            from_bytes: if log == BUCKET_LOG_MIN { 0 } else { 1 << (log - 1) },
            to_bytes: (log < BUCKET_LOG_MAX).then(|| (1 << log) - 1),
            bytes: bucket.bytes,
            clients: bucket.clients,
        })
    }

    /// Takes a slot out of its bucket's list.
    fn unlink(&mut self, slot: usize) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let Entry { older, younger, bucket, .. } = *entry;
        (entry.bucket, entry.older, entry.younger) = (NO_BUCKET, NONE, NONE);
        let Some(bucket) = self.buckets.get_mut(usize::from(bucket)) else { return };
        bucket.clients -= 1;
        match self.entries.get_mut(older as usize) {
            Some(older) => older.younger = younger,
            None => bucket.oldest = younger,
        }
        match self.entries.get_mut(younger as usize) {
            Some(younger) => younger.older = older,
            None => bucket.youngest = older,
        }
    }

    /// Appends a slot that is in none to the list of a bucket.
    fn link(&mut self, slot: usize, index: u8) {
        let Some(bucket) = self.buckets.get_mut(usize::from(index)) else { return };
        bucket.clients += 1;
        let older = std::mem::replace(&mut bucket.youngest, slot as u32);
        match self.entries.get_mut(older as usize) {
            Some(older) => older.younger = slot as u32,
            None => bucket.oldest = slot as u32,
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            (entry.bucket, entry.older) = (index, older);
        }
    }
}

/// The bucket of clients that hold so much.
fn bucket_of(bytes: usize) -> u8 {
    let log = usize::BITS - bytes.leading_zeros();
    (log.clamp(BUCKET_LOG_MIN, BUCKET_LOG_MAX) - BUCKET_LOG_MIN) as u8
}

impl Shared {
    /// Takes over `maxmemory-clients`, which may be a part of `maxmemory`.
    pub(super) fn configure_client_memory(&mut self) {
        let limit_bytes = match self.config.int(Opt::MaxmemoryClients) {
            0 => None,
            bytes if bytes > 0 => Some(bytes as usize),
            percent => match self.config.size(Opt::Maxmemory) {
                0 => None,
                whole => {
                    Some((u128::from(whole) * u128::from(percent.unsigned_abs()) / 100) as usize)
                }
            },
        };
        let is_limited = self.config.int(Opt::MaxmemoryClients) != 0;
        self.clients.memory.set_limit(is_limited, limit_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let of = [0, 1, 32_767, 32_768, 65_535, 65_536, (4 << 30) - 1, 4 << 30, usize::MAX];
        assert_eq!(of.map(bucket_of), [0, 0, 0, 1, 1, 2, 17, 18, 18]);
        for (index, figures) in ClientMemory::default().figures().enumerate() {
            assert_eq!(usize::from(bucket_of(figures.from_bytes)), index);
            assert_eq!(figures.to_bytes.map(bucket_of).map_or(18, usize::from), index);
        }
    }

    #[test]
    fn a_turn_closes_so_many() {
        let mut memory = ClientMemory::default();
        memory.set_limit(true, Some(1));
        (0..100).for_each(|slot| memory.set(slot, 1 << 20, true));
        memory.begin_turn();
        let mut closed = 0;
        while let Some(slot) = memory.next_victim() {
            assert_eq!(slot, closed);
            memory.remove(slot);
            closed += 1;
        }
        assert_eq!(closed, EVICTIONS_PER_TURN);
        assert!(memory.is_cut_short());
        memory.begin_turn();
        assert_eq!(memory.next_victim(), Some(EVICTIONS_PER_TURN));
        assert!(!memory.is_cut_short());
    }

    proptest::proptest! {
        /// Against a plain list: totals, buckets, and who goes.
        #[test]
        fn like_a_list(
            steps in proptest::collection::vec((0usize..12, 0u32..40, proptest::bool::ANY), 1..200),
            limit in 1usize..1 << 36,
        ) {
            let mut memory = ClientMemory::default();
            memory.set_limit(true, Some(limit));
            // Slot, bytes, whether it may be closed; those of one bucket in the order in which they came to it.
            let mut model: Vec<(usize, usize, bool)> = Vec::new();
            for (slot, log, is_evictable) in steps {
                let bytes = (1usize << log) + slot;
                memory.set(slot, bytes, is_evictable);
                let same = |known: &(usize, usize, bool)| {
                    (known.2, bucket_of(known.1)) == (is_evictable, bucket_of(bytes))
                };
                match model.iter().position(|known| known.0 == slot) {
                    Some(at) if same(&model[at]) => model[at].1 = bytes,
                    Some(at) => {
                        model.remove(at);
                        model.push((slot, bytes, is_evictable));
                    }
                    None => model.push((slot, bytes, is_evictable)),
                }
                let total: usize = model.iter().map(|known| known.1).sum();
                proptest::prop_assert_eq!(memory.total_bytes(), total);
                for (index, figures) in memory.figures().enumerate() {
                    let own: Vec<_> = model
                        .iter()
                        .filter(|known| known.2 && usize::from(bucket_of(known.1)) == index)
                        .collect();
                    proptest::prop_assert_eq!(figures.clients, own.len());
                    proptest::prop_assert_eq!(
                        figures.bytes, own.iter().map(|known| known.1).sum::<usize>()
                    );
                }
            }
            loop {
                let total: usize = model.iter().map(|known| known.1).sum();
                let evictable = || model.iter().filter(|known| known.2);
                let top = evictable().map(|known| bucket_of(known.1)).max();
                let first = model
                    .iter()
                    .position(|known| known.2 && Some(bucket_of(known.1)) == top);
                let wanted = first.filter(|_| total >= limit.max(LIMIT_BYTES_MIN));
                let victim = memory.next_victim();
                proptest::prop_assert_eq!(victim, wanted.map(|at| model[at].0));
                let (Some(slot), Some(at)) = (victim, wanted) else { break };
                memory.remove(slot);
                model.remove(at);
            }
        }
    }
}
