//! Latency histogram of one command: log-linear counts of nanoseconds.
//!
//! ```text
//! 0 ..< 256 ns    64 buckets of 4 ns          (finer than a clock read can tell)
//! then            32 buckets per power of two, up to 2^30 ns: width <= 1/32 of the value
//! ```
//!
//! So a reported value is at most 1/32 (3 %) above the real one; the middle of a bucket is within
//! 1/64. Redis keeps 24 KiB of 64-bit counters per command; this takes 3 KiB, with 32-bit
//! counters and a list of carries for those which overflow.
//!
//! Promise: [`Histogram::count`] is exact for ever. Cost: about 2 ns to record; reading walks all
//! 768 buckets.

/// Values are clamped into 1 ns ..= 1 s, as in Redis.
const NANOS_MAX: u64 = 1_000_000_000;
/// Nanoseconds per bucket in the linear part, as a power of two.
const UNIT_BITS: u32 = 2;
/// Buckets per power of two, as a power of two.
const STEP_BITS: u32 = 5;
/// Powers of two above the linear part, up to 2^30 ns.
const OCTAVES: usize = (30 - UNIT_BITS - STEP_BITS - 1) as usize;
const BUCKETS: usize = (OCTAVES + 2) << STEP_BITS;

/// First row of LATENCY HISTOGRAM, and the end of the range Redis's histogram covers.
const ROW_FIRST_NANOS: u64 = 1024;
const ROW_END_NANOS: u64 = 1 << 30;

/// Counts of durations. Plain data of about 3 KiB; allocate it when a command is first called.
#[derive(Clone, Debug)]
pub struct Histogram {
    total: u64,
    counts: [u32; BUCKETS],
    /// Bucket index, once per 2^32 events that its counter has lost by wrapping.
    carries: Vec<u16>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { total: 0, counts: [0; BUCKETS], carries: Vec::new() }
    }

    /// Counts one duration, clamped into 1 ns ..= 1 s. O(1).
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.record_many(nanos, 1);
    }

    /// Counts a duration so many times. O(1).
    #[inline]
    pub fn record_many(&mut self, nanos: u64, times: u32) {
        let index = bucket_of(nanos.clamp(1, NANOS_MAX));
        self.total += u64::from(times);
        let (count, is_wrapped) = self.counts[index].overflowing_add(times);
        self.counts[index] = count;
        if is_wrapped {
            self.carry(index);
        }
    }

    #[cold]
    fn carry(&mut self, index: usize) {
        // BUCKETS fits u16.
        self.carries.push(index as u16);
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The duration in nanoseconds which `percent` (0.0 to 100.0) of all durations do not exceed:
    /// the highest value of its bucket (the lowest for 0.0), as `hdr_value_at_percentile` does.
    /// 0 if nothing was recorded. O(buckets).
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((percent.min(100.0) / 100.0 * self.total as f64) + 0.5) as u64;
        let wanted = wanted.clamp(1, self.total.max(1));
        let mut seen = 0;
        for index in 0..BUCKETS {
            seen += self.bucket_count(index);
            if seen >= wanted {
                let start = bucket_start(index);
                return if percent == 0.0 { start } else { bucket_start(index + 1) - 1 };
            }
        }
        0
    }

    /// The rows of LATENCY HISTOGRAM: upper bound in µs, and how many durations do not exceed it.
    /// Bounds grow by powers of two from 1 µs; rows that add nothing are left out, and the last
    /// row covers everything.
    ///
    /// DIFFERS: Redis's buckets are finer, so a duration within 3 % above a bound may be counted
    /// one row earlier than in Redis. The bounds printed are Redis's.
    pub fn cumulative_log2_us(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut bound_nanos = ROW_FIRST_NANOS;
        let mut index = 0;
        let mut seen = 0;
        std::iter::from_fn(move || {
            let before = seen;
            while seen == before && seen < self.total {
                // The bucket which starts at the bound belongs to the row, as in Redis.
                while index < BUCKETS && bucket_start(index) <= bound_nanos {
                    seen += self.bucket_count(index);
                    index += 1;
                }
                bound_nanos *= 2;
            }
            (seen > before).then(|| (row_label_us(bound_nanos / 2), seen))
        })
    }

    fn bucket_count(&self, index: usize) -> u64 {
        let carries = self.carries.iter().filter(|carry| usize::from(**carry) == index).count();
        ((carries as u64) << 32) + u64::from(self.counts[index])
    }
}

/// What Redis prints for the row up to `bound_nanos`: the last nanosecond of its bucket there
/// (it has 128 buckets per power of two), in whole microseconds.
fn row_label_us(bound_nanos: u64) -> u64 {
    let last = if bound_nanos < ROW_END_NANOS {
        bound_nanos + (bound_nanos >> 7) - 1
    } else {
        ROW_END_NANOS - 1
    };
    last / 1000
}

/// `nanos` must be below 2^30.
#[inline]
fn bucket_of(nanos: u64) -> usize {
    let units = nanos >> UNIT_BITS;
    // The linear part reaches to 2^(STEP_BITS + 1); each further bit halves the resolution.
    let octave = (u64::BITS - (units >> (STEP_BITS + 1)).leading_zeros()) as usize;
    (octave << STEP_BITS) + (units >> octave) as usize
}

/// The lowest duration in nanoseconds of a bucket; for `BUCKETS` the end of all.
fn bucket_start(index: usize) -> u64 {
    let octave = (index >> STEP_BITS).saturating_sub(1);
    ((index - (octave << STEP_BITS)) as u64) << octave << UNIT_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|nanos| histogram.record(*nanos));
        histogram
    }

    fn rows(values: &[u64]) -> Vec<(u64, u64)> {
        filled(values).cumulative_log2_us().collect()
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<Histogram>() <= 3200, "{}", size_of::<Histogram>());
    }

    #[test]
    fn buckets_are_narrow_and_leave_no_gap() {
        for index in 0..BUCKETS {
            let (start, end) = (bucket_start(index), bucket_start(index + 1));
            assert_eq!(bucket_of(start), index);
            assert_eq!(bucket_of(end - 1), index);
            assert!(end - start == 4 || (end - start) * 32 <= start, "{index}: {start}..{end}");
        }
        assert_eq!(bucket_start(BUCKETS), ROW_END_NANOS);
    }

    #[test]
    fn empty_and_clamped() {
        assert_eq!(rows(&[]), []);
        assert_eq!(filled(&[]).percentile(50.0), 0);
        let histogram = filled(&[0, u64::MAX]);
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.percentile(0.0), 0);
        assert_eq!(histogram.percentile(50.0), 3);
        assert!(histogram.percentile(100.0) >= NANOS_MAX);
    }

    #[test]
    fn rows_are_those_of_redis() {
        assert_eq!(rows(&[100, 900, 1024]), [(1, 3)]);
        assert_eq!(rows(&[1100, 3000, 3000, 5_000_000]), [(2, 1), (4, 3), (8454, 4)]);
        assert_eq!(rows(&[20_000, 60_000]), [(33, 1), (66, 2)]);
        assert_eq!(rows(&[NANOS_MAX]), [(1_073_741, 1)]);
        let all: Vec<u64> = (10..30).map(|power| (1 << power) - 1).collect();
        let labels: Vec<u64> = rows(&all).iter().map(|row| row.0).collect();
        assert_eq!(
            labels,
            [
                1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816, 67633,
                135266, 270532, 541065
            ]
        );
    }

    #[test]
    fn counters_that_wrap_are_carried() {
        let mut histogram = filled(&[5000]);
        let index = bucket_of(5000);
        histogram.counts[index] = u32::MAX;
        histogram.total = u64::from(u32::MAX);
        histogram.record(5000);
        histogram.record(9000);
        assert_eq!(histogram.bucket_count(index), 1 << 32);
        let rows: Vec<_> = histogram.cumulative_log2_us().collect();
        assert_eq!(rows, [(8, 1 << 32), (16, (1 << 32) + 1)]);
    }

    proptest! {
        #[test]
        fn percentiles_are_near_the_sorted_list(
            mut values in prop::collection::vec(1u64..NANOS_MAX, 1..200),
            shift in 0u32..28,
            percent in 0.1f64..100.0,
        ) {
            values.iter_mut().for_each(|value| *value = (*value >> shift).max(1));
            let found = filled(&values).percentile(percent);
            values.sort_unstable();
            let wanted = (percent / 100.0 * values.len() as f64 + 0.5) as usize;
            let exact = values[wanted.clamp(1, values.len()) - 1];
            prop_assert!(found >= exact && found <= exact + exact / 32 + 3, "{found} {exact}");
        }

        #[test]
        fn rows_count_everything(values in prop::collection::vec(any::<u32>(), 1..200)) {
            let values: Vec<u64> = values.into_iter().map(u64::from).collect();
            let rows = rows(&values);
            prop_assert!(rows.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
            prop_assert_eq!(rows.last().map(|row| row.1), Some(values.len() as u64));
            for (label_us, count) in rows {
                // Nothing above the bucket at the bound is counted, all below the bound is.
                let above = label_us * 1000 + label_us * 32 + 2000;
                let within = values.iter().filter(|nanos| **nanos <= above).count() as u64;
                prop_assert!(count <= within || label_us == 1_073_741);
                let below = values.iter().filter(|nanos| **nanos < label_us * 992).count() as u64;
                prop_assert!(count >= below);
            }
        }
    }
}
