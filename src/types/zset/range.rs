//! Ranges of scores and of names.

/// Scores between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// Lower bound, not a NaN.
    pub min: f64,
    /// Upper bound, not a NaN.
    pub max: f64,
    /// The lower bound itself is outside.
    pub excludes_min: bool,
    /// The upper bound itself is outside.
    pub excludes_max: bool,
}

impl ScoreRange {
    /// Both bounds and what is between them.
    #[must_use]
    pub fn inclusive(min: f64, max: f64) -> ScoreRange {
        ScoreRange { min, max, excludes_min: false, excludes_max: false }
    }

    /// Whether a score is not below the range.
    #[inline]
    #[must_use]
    pub fn has_begun(&self, score: f64) -> bool {
        if self.excludes_min { score > self.min } else { score >= self.min }
    }

    /// Whether a score is not above the range.
    #[inline]
    #[must_use]
    pub fn has_not_ended(&self, score: f64) -> bool {
        if self.excludes_max { score < self.max } else { score <= self.max }
    }

    /// Whether no score can be inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.excludes_min || self.excludes_max))
    }
}

/// A bound of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Below all names.
    Lowest,
    /// Above all names.
    Highest,
    /// This name, which is inside.
    Inclusive(&'a [u8]),
    /// This name, which is outside.
    Exclusive(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// Its order among bounds, whether or not it is inside.
    fn place(self) -> (u8, &'a [u8]) {
        match self {
            LexBound::Lowest => (0, &[]),
            LexBound::Inclusive(name) | LexBound::Exclusive(name) => (1, name),
            LexBound::Highest => (2, &[]),
        }
    }
}

/// Names between two bounds, by their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Lower bound.
    pub min: LexBound<'a>,
    /// Upper bound.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether a name is not below the range.
    #[inline]
    #[must_use]
    pub fn has_begun(&self, name: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(min) => name >= min,
            LexBound::Exclusive(min) => name > min,
        }
    }

    /// Whether a name is not above the range.
    #[inline]
    #[must_use]
    pub fn has_not_ended(&self, name: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(max) => name <= max,
            LexBound::Exclusive(max) => name < max,
        }
    }

    /// Whether no name can be inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_inside = |bound| matches!(bound, LexBound::Inclusive(_));
        let (min, max) = (self.min.place(), self.max.place());
        min > max || (min == max && !(is_inside(self.min) && is_inside(self.max)))
    }
}
