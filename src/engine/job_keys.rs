//! What jobs hold: the places that can be held, and where a job has its keys from.
use crate::base::chunks::Chunks;
use crate::store::Hold;

/// What can be waited for: a key of a database, by its hash.
pub type Place = (usize, u64);

/// Stands for all keys of a database: what a job does to many keys must not be seen half done by a command that
/// looks at all.
pub const WHOLE: u64 = 0x5eed_0fa1_17ee_a5a5;

/// Held by every job that still takes its keys or will write: until then it is meant for the database at its client's
/// index, whichever that is, so databases do not change places meanwhile.
pub const INDEX: u64 = 0x5eed_7a4e_0b5e_55ed;

/// What a job that takes its keys itself needs before it begins; `writes`: it changes some.
pub fn places_of_taker(db: usize, writes: bool) -> impl Iterator<Item = (Place, Hold)> + Clone {
    let whole = writes.then_some(((db, WHOLE), Hold::Read));
    std::iter::once(((db, INDEX), Hold::Read)).chain(whole)
}

/// Keys of a request, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Argument of the first.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Arguments from one to the next.
    pub step: usize,
    /// Whether they are only read.
    pub hold: Hold,
}

impl KeyRange {
    /// The argument of the nth of them, from 0.
    pub fn at(&self, nth: usize) -> usize {
        self.first + nth * self.step
    }
}

/// The keys of a job.
#[derive(Debug)]
pub enum KeySource {
    /// They are arguments.
    Ranges(Vec<KeyRange>),
    /// They are arguments, and those whose hashes [`Job::find_further_keys`] has found, which are only read.
    Further {
        /// The arguments.
        ranges: Vec<KeyRange>,
        /// One for each name found.
        hashes: Vec<u64>,
    },
    /// [`Job::find_keys`] has found these hashes.
    Found {
        /// One for each key named, in the request's order.
        hashes: Vec<u64>,
        /// What all of them are held for.
        hold: Hold,
    },
    /// These, wherever they are: the job is none of a single database.
    Places(Chunks<(Place, Hold)>),
}

impl KeySource {
    /// How many, one named twice counted twice.
    pub fn len(&self) -> usize {
        match self {
            KeySource::Ranges(ranges) => count_of(ranges),
            KeySource::Further { ranges, hashes } => count_of(ranges) + hashes.len(),
            KeySource::Found { hashes, .. } => hashes.len(),
            KeySource::Places(places) => places.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of them is changed.
    pub fn is_written(&self) -> bool {
        match self {
            KeySource::Ranges(ranges) | KeySource::Further { ranges, .. } => {
                ranges.iter().any(|range| range.hold == Hold::Write)
            }
            KeySource::Found { hold, .. } => *hold == Hold::Write,
            // What stands for the databases is among them.
            KeySource::Places(_) => false,
        }
    }
}

fn count_of(ranges: &[KeyRange]) -> usize {
    ranges.iter().map(|range| range.count).sum()
}

impl Default for KeySource {
    fn default() -> KeySource {
        KeySource::Ranges(Vec::new())
    }
}

#[cfg(doc)]
use crate::engine::jobs::Job;
