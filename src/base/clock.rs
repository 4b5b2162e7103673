//! Time, as the engine sees it.
//!
//! Wall time is read once per turn of the loop and is the same for every command of that turn; what a single
//! command takes is measured in ticks of the processor's counter. All time of an engine comes from the
//! [`Clock`] it was given, so a test can stop it or move it.
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::sys;

/// Where wall time comes from.
#[derive(Clone, Debug)]
enum Source {
    /// The system.
    Real,
    /// A test: it stands still until it is moved.
    Manual,
}

/// The time of one engine.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    unix_us: i64,
    /// `unix_us` in milliseconds: read for every command, so divided once.
    unix_ms: i64,
    rate: TickRate,
}

impl Clock {
    /// The system's time.
    pub fn real() -> Clock {
        let mut clock =
            Clock { source: Source::Real, unix_us: 0, unix_ms: 0, rate: TickRate::measured() };
        clock.refresh();
        clock
    }

    /// A clock that stands at `unix_ms` until [`Clock::advance_ms`] moves it.
    pub fn manual(unix_ms: i64) -> Clock {
        let (unix_us, rate) = (unix_ms * 1000, TickRate::measured());
        Clock { source: Source::Manual, unix_us, unix_ms, rate }
    }

    /// Reads the system's time; a manual clock stays. 20–40 ns.
    #[inline]
    pub fn refresh(&mut self) {
        if let Source::Real = self.source {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.unix_us = since_epoch.as_micros() as i64;
            self.unix_ms = self.unix_us / 1000;
        }
    }

    /// Moves a manual clock; a real one does not move.
    pub fn advance_ms(&mut self, by_ms: i64) {
        if let Source::Manual = self.source {
            self.unix_us += by_ms * 1000;
            self.unix_ms += by_ms;
        }
    }

    /// Milliseconds since 1970, at the last refresh.
    #[inline]
    pub fn unix_ms(&self) -> i64 {
        self.unix_ms
    }

    /// Microseconds since 1970, at the last refresh.
    #[inline]
    pub fn unix_us(&self) -> i64 {
        self.unix_us
    }

    /// A point in time for durations, in ticks.
    #[inline]
    pub fn ticks(&self) -> u64 {
        sys::time_stamp()
    }

    /// Ticks as nanoseconds.
    #[inline]
    pub fn nanos(&self, ticks: u64) -> u64 {
        self.rate.nanos(ticks)
    }

    /// Nanoseconds as ticks, for thresholds; saturates.
    pub fn ticks_of(&self, nanos: u64) -> u64 {
        self.rate.ticks(nanos)
    }
}

/// How long a tick of the counter is, as a 32.32 fixed-point number of nanoseconds.
#[derive(Clone, Copy, Debug)]
struct TickRate {
    nanos_fixed: u64,
}

impl TickRate {
    /// Measured once per process against the monotonic clock, over 200 us: 0.1 % off at most.
    fn measured() -> TickRate {
        static RATE: OnceLock<TickRate> = OnceLock::new();
        *RATE.get_or_init(|| {
            const MEASURE_NANOS: u64 = 200_000;
            let (nanos_start, ticks_start) = (sys::monotonic_nanos(), sys::time_stamp());
            loop {
                let nanos = sys::monotonic_nanos().saturating_sub(nanos_start);
                let ticks = sys::time_stamp().saturating_sub(ticks_start);
                if nanos >= MEASURE_NANOS {
                    let fixed = (u128::from(nanos) << 32) / u128::from(ticks.max(1));
                    return TickRate {
                        nanos_fixed: u64::try_from(fixed).unwrap_or(1 << 32).max(1),
                    };
                }
            }
        })
    }

    #[inline]
    fn nanos(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.nanos_fixed)) >> 32) as u64
    }

    fn ticks(self, nanos: u64) -> u64 {
        let ticks = (u128::from(nanos) << 32) / u128::from(self.nanos_fixed);
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let mut clock = Clock::manual(1_000);
        clock.refresh();
        assert_eq!(clock.unix_ms(), 1_000);
        clock.advance_ms(5);
        assert_eq!((clock.unix_ms(), clock.unix_us()), (1_005, 1_005_000));
    }

    #[test]
    fn ticks_agree_with_the_monotonic_clock() {
        let clock = Clock::real();
        let (nanos, ticks) = (sys::monotonic_nanos(), clock.ticks());
        while sys::monotonic_nanos() - nanos < 3_000_000 {}
        let (by_clock, by_ticks) =
            (sys::monotonic_nanos() - nanos, clock.nanos(clock.ticks() - ticks));
        assert!(by_ticks.abs_diff(by_clock) < by_clock / 20, "{by_ticks} ticks-ns, {by_clock} ns");
        let there_and_back = clock.nanos(clock.ticks_of(1_000_000));
        assert!(there_and_back.abs_diff(1_000_000) < 10);
    }
}
