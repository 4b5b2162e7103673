//! How willing the system is to end this process when memory runs out: `/proc/self/oom_score_adj`.
//!
//! The score found at the first change is kept, so that later scores can be relative to it and switching the
//! feature off restores it. Linux only; elsewhere there is no such file, and every change fails. Cost: one or two
//! small files per change.
use std::io;

/// Where the system keeps the score.
const PATH: &str = "/proc/self/oom_score_adj";
/// The scores the system takes.
const SCORES: std::ops::RangeInclusive<i64> = -1000..=1000;

/// What the score is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What it was before we changed it.
    Untouched,
    /// What it was, plus this much.
    Relative(i32),
    /// This.
    Absolute(i32),
}

/// Sets the score, and remembers what it was.
#[derive(Debug, Default)]
pub struct OomScore {
    /// The score found, while ours is in force.
    found: Option<i64>,
}

impl OomScore {
    /// Sets the score; out of range it is cut. Lowering it takes a privilege most processes lack.
    pub fn set(&mut self, wanted: Wanted) -> io::Result<()> {
        let (score, found_after) = match (wanted, self.found) {
            (Wanted::Untouched, None) => return Ok(()),
            (Wanted::Untouched, Some(found)) => (found, None),
            (Wanted::Relative(_) | Wanted::Absolute(_), found) => {
                let found = match found {
                    Some(found) => found,
                    None => read()?,
                };
                (score(wanted, found), Some(found))
            }
        };
        std::fs::write(PATH, score.to_string())?;
        self.found = found_after;
        Ok(())
    }
}

fn read() -> io::Result<i64> {
    let text = std::fs::read_to_string(PATH)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn score(wanted: Wanted, found: i64) -> i64 {
    let score = match wanted {
        Wanted::Untouched => found,
        Wanted::Relative(by) => found + i64::from(by),
        Wanted::Absolute(score) => i64::from(score),
    };
    score.clamp(*SCORES.start(), *SCORES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_in_range() {
        assert_eq!(score(Wanted::Relative(9), 22), 31);
        assert_eq!(score(Wanted::Relative(1000), 22), 1000);
        assert_eq!(score(Wanted::Absolute(-2000), 22), -1000);
        assert_eq!(score(Wanted::Untouched, 22), 22);
    }

    #[test]
    fn nothing_is_written_while_it_is_off() {
        let mut score = OomScore::default();
        score.set(Wanted::Untouched).unwrap();
        assert_eq!(score.found, None);
    }
}
