//! How much a slice of work may do: until a time, or, in tests, so many units.
//!
//! Cost: 10 ns per look at the clock; a job asks after every piece of about 10 us.
use crate::base::clock::{Clock, Counter};

/// How much a slice may do: until a time, or, in tests, a number of units.
#[derive(Clone, Debug)]
pub struct Budget {
    until_ticks: u64,
    units_left: u64,
    counter: Counter,
}

impl Budget {
    /// Ends when the clock's counter reaches `ticks`.
    pub fn until(ticks: u64, clock: &Clock) -> Budget {
        Budget { until_ticks: ticks, units_left: u64::MAX, counter: clock.counter() }
    }

    /// Never ends.
    pub fn unlimited() -> Budget {
        Budget::units(u64::MAX)
    }

    /// Whether it never ends: nobody else is served until the work is done.
    pub fn is_unlimited(&self) -> bool {
        self.until_ticks == u64::MAX && self.units_left > u64::MAX / 2
    }

    /// Ends after this much work, however long it takes.
    pub fn units(units: u64) -> Budget {
        Budget { until_ticks: u64::MAX, units_left: units, counter: Counter::default() }
    }

    /// Counts work done, in units of the job's choice (elements, kilobytes), and says whether the slice is over. To be
    /// asked about every 10 us of work; costs 10 ns.
    #[inline]
    pub fn spend(&mut self, units: u64) -> bool {
        self.units_left = self.units_left.saturating_sub(units);
        self.units_left == 0 || self.counter.ticks() >= self.until_ticks
    }

    /// The most units to do before the next look at the clock: `wanted`, or what is left where that is less.
    #[inline]
    pub fn piece(&self, wanted: usize) -> usize {
        (wanted as u64).min(self.units_left).max(1) as usize
    }
}
