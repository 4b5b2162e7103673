//! Time, as the engine sees it.
//!
//! Wall time is read once per turn of the loop and is the same for every command of that turn; what a single
//! command takes is measured in ticks of the processor's counter. All time of an engine comes from the
//! [`Clock`] it was given, so a test can stop it, move it, or hand in a [`SimulatedTime`] in place of the system's.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::sys;

/// The latest moment a clock is set to by hand: the end of the year 9999.
pub const UNIX_MS_MAX: i64 = 253_402_300_799_999;

/// The time of one engine: that of the system, moved and stopped where a test wants it.
#[derive(Clone, Debug)]
pub struct Clock {
    /// It stands still until it is moved.
    is_frozen: bool,
    /// How far it is ahead of the system's time while it runs.
    shift_us: i64,
    unix_us: i64,
    /// `unix_us` in milliseconds: read for every command, so divided once.
    unix_ms: i64,
    rate: TickRate,
    counter: Counter,
}

/// Time that passes only where a simulation says so, shared by the clock that shows it and the one who moves it.
///
/// Wall time stands still until it is moved. The counter that durations are measured with goes on by a step at each
/// reading, so that work seems to take time and budgets do end; a tick is a nanosecond.
#[derive(Debug)]
pub struct SimulatedTime {
    unix_us: AtomicI64,
    ticks: AtomicU64,
    ticks_per_reading: AtomicU64,
}

/// What durations are measured with, apart from the clock it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// Where it comes from instead of the processor.
    simulated: Option<Arc<SimulatedTime>>,
}

impl Counter {
    /// A point in time for durations, in ticks.
    #[inline]
    pub fn ticks(&self) -> u64 {
        match &self.simulated {
            None => sys::time_stamp(),
            Some(time) => time.read_ticks(),
        }
    }
}

impl SimulatedTime {
    /// Time that begins at `unix_ms`.
    pub fn starting_at(unix_ms: i64) -> Arc<SimulatedTime> {
        Arc::new(SimulatedTime {
            unix_us: AtomicI64::new(unix_ms.saturating_mul(1000)),
            // As if the machine had run for a second: nothing is before the beginning.
            ticks: AtomicU64::new(1_000_000_000),
            ticks_per_reading: AtomicU64::new(0),
        })
    }

    /// Moves wall time and the counter on.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.unix_us.fetch_add(micros, Ordering::Relaxed);
        self.ticks.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }

    /// From now on this many nanoseconds pass between two looks at the counter.
    pub fn set_ticks_per_reading(&self, ticks: u64) {
        self.ticks_per_reading.store(ticks, Ordering::Relaxed);
    }

    #[cold]
    fn read_ticks(&self) -> u64 {
        let step = self.ticks_per_reading.load(Ordering::Relaxed);
        self.ticks.fetch_add(step, Ordering::Relaxed) + step
    }
}

impl Clock {
    /// The system's time.
    pub fn real() -> Clock {
        let rate = TickRate::measured();
        Clock::of(rate, None)
    }

    /// Shows simulated time, which whoever holds the other end moves. No byte of what an engine does with it depends
    /// on the machine it runs on.
    pub fn simulated(time: Arc<SimulatedTime>) -> Clock {
        Clock::of(TickRate { nanos_fixed: 1 << 32 }, Some(time))
    }

    fn of(rate: TickRate, simulated: Option<Arc<SimulatedTime>>) -> Clock {
        let counter = Counter { simulated };
        let mut clock =
            Clock { is_frozen: false, shift_us: 0, unix_us: 0, unix_ms: 0, rate, counter };
        clock.refresh();
        clock
    }

    /// A clock that stands at `unix_ms` until [`Clock::advance_ms`] moves it.
    pub fn manual(unix_ms: i64) -> Clock {
        let mut clock = Clock::real();
        clock.freeze();
        clock.set_ms(unix_ms);
        clock
    }

    /// Reads the system's time; a frozen clock stays. 20–40 ns.
    #[inline]
    pub fn refresh(&mut self) {
        if !self.is_frozen {
            self.show(self.source_us().saturating_add(self.shift_us));
        }
    }

    #[inline]
    fn show(&mut self, unix_us: i64) {
        self.unix_us = unix_us;
        self.unix_ms = unix_us / 1000;
    }

    /// Whether it stands.
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Stops it where it is; nothing happens where it stands already.
    pub fn freeze(&mut self) {
        self.refresh();
        self.is_frozen = true;
    }

    /// Lets it run on from where it stands. It does not jump to the system's time.
    pub fn resume(&mut self) {
        if self.is_frozen {
            self.is_frozen = false;
            self.shift_us = self.unix_us.saturating_sub(self.source_us());
        }
    }

    /// Sets it, whether it stands or runs; limited to 0 and [`UNIX_MS_MAX`].
    pub fn set_ms(&mut self, unix_ms: i64) {
        let unix_us = unix_ms.clamp(0, UNIX_MS_MAX) * 1000;
        self.shift_us = unix_us.saturating_sub(self.source_us());
        self.show(unix_us);
    }

    /// Moves it on, whether it stands or runs; limited as [`Clock::set_ms`].
    pub fn advance_ms(&mut self, by_ms: i64) {
        self.refresh();
        let micros = self.unix_us % 1000;
        self.set_ms(self.unix_ms.saturating_add(by_ms));
        self.shift_us += micros;
        self.show(self.unix_us + micros);
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
        self.counter.ticks()
    }

    /// The counter alone, for what has its own end in time.
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// A point in time for timers, counted from some moment in the past: it passes however the clock is set, stopped
    /// or moved. 20–40 ns.
    pub fn monotonic(&self) -> Duration {
        Duration::from_nanos(match &self.counter.simulated {
            None => sys::monotonic_nanos(),
            Some(time) => time.ticks.load(Ordering::Relaxed),
        })
    }

    /// Microseconds since 1970, by what the clock is set after.
    fn source_us(&self) -> i64 {
        match &self.counter.simulated {
            None => system_us(),
            Some(time) => time.unix_us.load(Ordering::Relaxed),
        }
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

/// Microseconds since 1970 by the system.
#[inline]
fn system_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_micros() as i64
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
    fn a_clock_is_stopped_moved_and_let_go() {
        let mut clock = Clock::real();
        let near = |clock: &mut Clock, unix_ms: i64| {
            clock.refresh();
            assert!((0..5_000).contains(&(clock.unix_ms() - unix_ms)), "{clock:?}, {unix_ms}");
        };
        let now_ms = clock.unix_ms();
        clock.advance_ms(3_600_000);
        near(&mut clock, now_ms + 3_600_000);
        clock.set_ms(5_000);
        near(&mut clock, 5_000);
        clock.freeze();
        clock.set_ms(7_000);
        clock.refresh();
        assert_eq!(clock.unix_us(), 7_000_000);
        clock.resume();
        near(&mut clock, 7_000);
        clock.freeze();
        clock.advance_ms(i64::MAX);
        assert_eq!(clock.unix_ms(), UNIX_MS_MAX);
        clock.set_ms(i64::MIN);
        assert_eq!(clock.unix_ms(), 0);
    }

    #[test]
    fn simulated_time_passes_only_by_hand() {
        let time = SimulatedTime::starting_at(5_000);
        let mut clock = Clock::simulated(time.clone());
        let (ticks, began) = (clock.ticks(), clock.monotonic());
        assert_eq!((clock.unix_ms(), clock.ticks()), (5_000, ticks));
        time.set_ticks_per_reading(7);
        assert_eq!((clock.ticks(), clock.ticks()), (ticks + 7, ticks + 14));
        assert_eq!(clock.ticks_of(clock.nanos(1 << 40)), 1 << 40);
        time.advance(Duration::from_micros(2_500));
        assert_eq!(clock.unix_ms(), 5_000, "not before it is refreshed");
        clock.refresh();
        assert_eq!(clock.unix_us(), 5_002_500);
        assert_eq!((clock.monotonic() - began).as_nanos(), 2_500_014);
        // It can be stopped and moved like any other.
        clock.freeze();
        clock.advance_ms(10);
        time.advance(Duration::from_millis(1));
        clock.refresh();
        assert_eq!(clock.unix_us(), 5_012_500);
        clock.resume();
        time.advance(Duration::from_millis(1));
        clock.refresh();
        assert_eq!(clock.unix_us(), 5_013_500);
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
