//! A histogram of durations as a reply: what LATENCY HISTOGRAM and STALLS HISTOGRAM say of each name.
use crate::base::histogram::Histogram;
use crate::proto::reply::Reply;

/// A map of two: how many durations there were, under the name `counted`, and for bounds in microseconds that grow by
/// powers of two how many were not longer. O(buckets of a histogram).
pub(super) fn reply(reply: &mut Reply<'_>, counted: &str, histogram: &Histogram) {
    reply.map(2);
    reply.bulk(counted.as_bytes());
    reply.int(histogram.count() as i64);
    reply.bulk(b"histogram_usec");
    let open = reply.array_open();
    let mut rows = 0;
    for (micros, count) in histogram.cumulative_log2_us() {
        reply.int(micros as i64);
        reply.int(count as i64);
        rows += 1;
    }
    reply.map_close(open, rows);
}
