//! S3-FIFO without queues: what `allkeys-s3fifo` keeps in the 24 clock bits of an entry, and the ghosts.
//!
//! ```text
//!   clock:  [time of entry: 21 bits][main: 1 bit][hits: 2 bits]
//! ```
//!
//! S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) holds new
//! keys in a small queue and lets most of them go from there unless they are asked for again; those
//! that are move to the main queue, where each hit buys another round. Keys that went from the small
//! queue leave a ghost: who comes back enters the main queue at once. So one pass over many keys
//! (a scan) does not drive out what is in use, and a hit costs at most one write.
//!
//! Queues need links, 8 bytes per key or more. Here an entry knows when it entered its queue,
//! in ticks that pass with insertions, and eviction by sampling looks for the oldest. The small queue
//! is short because its keys age `SMALL_AGES` times as fast. Measured against the algorithm with its
//! queues, on generated traces, hit ratios differ by less than one in a hundred (benches/hit_ratio).
//!
//! A tick is a 16384th of the number of keys, so ages are fractions of a round: comparable between
//! databases, and 128 rounds fit the 21 bits. A ghost is 16 bits of a hash in a table of one place
//! per key or less; a newer ghost takes the place of an older one.
//!
//! Cost: 2 bytes per key, at most 2 MiB; nothing while another policy is in force.

/// How many times as fast a key ages that was never asked for.
const SMALL_AGES: u64 = 20;
/// Ticks in which as many keys come as there are.
const TICKS_PER_ROUND: usize = 1 << 14;
/// Most places for ghosts.
const GHOSTS_MAX: usize = 1 << 20;
const HITS: u32 = 0b11;
const MAIN: u32 = 0b100;
const TIME_SHIFT: u32 = 3;
const TIME_MASK: u32 = (1 << 21) - 1;

/// What becomes of an entry whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes; whether it leaves a ghost.
    Goes(bool),
    /// It stays, with these clock bits.
    Stays(u32),
}

/// The time of a database in ticks, and its ghosts.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    /// Whether this policy is in force.
    pub(super) is_on: bool,
    tick: u32,
    /// Insertions until the next tick.
    until_tick: usize,
    /// Ghosts by some bits of the hash; 0 is none. A power of two of them, or none.
    ghosts: Vec<u16>,
}

impl Fifo {
    /// Puts the policy in force, or out of it: then the ghosts go.
    pub(super) fn set_on(&mut self, is_on: bool) {
        self.is_on = is_on;
        if !is_on {
            self.ghosts = Vec::new();
        }
    }

    /// The clock bits of a key that is stored anew without being new.
    pub(super) fn fresh(&self) -> u32 {
        (self.tick & TIME_MASK) << TIME_SHIFT
    }

    /// The clock bits of a new key; `keys` is how many there are. Time passes.
    pub(super) fn insert(&mut self, hash: u64, keys: usize) -> u32 {
        match self.until_tick.checked_sub(1) {
            Some(left) => self.until_tick = left,
            None => {
                self.tick = self.tick.wrapping_add(1);
                self.until_tick = keys / TICKS_PER_ROUND;
            }
        }
        let (place, mark) = self.ghost_of(hash);
        match self.ghosts.get_mut(place) {
            Some(ghost) if *ghost == mark => {
                *ghost = 0;
                self.fresh() | MAIN
            }
            _ => self.fresh(),
        }
    }

    /// The clock bits after one more hit.
    #[inline]
    pub(super) fn hit(field: u32) -> u32 {
        if field & HITS == HITS { field } else { field + 1 }
    }

    /// How old a key is, in ticks, weighed by its queue: the highest has its turn first.
    pub(super) fn age(&self, field: u32) -> u64 {
        let age = u64::from(self.tick.wrapping_sub(field >> TIME_SHIFT) & TIME_MASK);
        if field & MAIN == 0 { (age + 1) * SMALL_AGES } else { age }
    }

    /// What a key's turn means for it.
    pub(super) fn turn(&self, field: u32) -> Turn {
        match (field & MAIN, field & HITS) {
            (0, 0) => Turn::Goes(true),
            (0, _) => Turn::Stays(self.fresh() | MAIN),
            (_, 0) => Turn::Goes(false),
            (_, hits) => Turn::Stays(self.fresh() | MAIN | (hits - 1)),
        }
    }

    /// Notes that a key has gone; `keys` is how many there are.
    pub(super) fn leave_ghost(&mut self, hash: u64, keys: usize) {
        let wanted = (keys + 1).next_power_of_two().min(GHOSTS_MAX);
        let has = self.ghosts.len();
        if has < wanted / 2 || has > wanted * 4 {
            // Those there were are lost, which costs some misses: sizes change rarely.
            let mut ghosts = Vec::new();
            if ghosts.try_reserve_exact(wanted).is_ok() {
                ghosts.resize(wanted, 0);
            }
            self.ghosts = ghosts;
        }
        let (place, mark) = self.ghost_of(hash);
        if let Some(ghost) = self.ghosts.get_mut(place) {
            *ghost = mark;
        }
    }

    fn ghost_of(&self, hash: u64) -> (usize, u16) {
        let place = (hash >> 8) as usize & self.ghosts.len().wrapping_sub(1);
        (place, (hash >> 40) as u16 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_asked_for_again_moves_to_the_main_queue() {
        let mut fifo = Fifo::default();
        fifo.set_on(true);
        let new = fifo.insert(7 << 40, 1);
        assert_eq!(fifo.turn(new), Turn::Goes(true));
        let Turn::Stays(main) = fifo.turn(Fifo::hit(new)) else { panic!("it was hit") };
        assert_eq!((main & MAIN, main & HITS), (MAIN, 0));
        assert_eq!(fifo.turn(main), Turn::Goes(false));
        let often = (0..9).fold(main, |field, _| Fifo::hit(field));
        let mut rounds = 0;
        let mut field = often;
        while let Turn::Stays(next) = fifo.turn(field) {
            (field, rounds) = (next, rounds + 1);
        }
        assert_eq!(rounds, 3);
    }

    #[test]
    fn who_comes_back_enters_the_main_queue_once() {
        let mut fifo = Fifo::default();
        fifo.set_on(true);
        assert_eq!(fifo.insert(9 << 40, 100) & MAIN, 0);
        fifo.leave_ghost(9 << 40, 100);
        assert_eq!(fifo.insert(9 << 40, 100) & MAIN, MAIN);
        assert_eq!(fifo.insert(9 << 40, 100) & MAIN, 0);
        fifo.set_on(false);
        assert!(fifo.ghosts.is_empty());
    }

    #[test]
    fn ages_grow_with_insertions_and_faster_in_the_small_queue() {
        let mut fifo = Fifo::default();
        fifo.set_on(true);
        let (small, main) = (fifo.fresh(), fifo.fresh() | MAIN);
        let keys = TICKS_PER_ROUND * 4;
        for hash in 0..keys as u64 {
            fifo.insert(hash, keys);
        }
        let round = fifo.age(main);
        assert!((TICKS_PER_ROUND as u64 * 7 / 10..TICKS_PER_ROUND as u64 * 2).contains(&round));
        assert!(fifo.age(small) > round * 19);
    }
}
