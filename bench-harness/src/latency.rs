//! Latencies in microseconds, kept in HDR histograms: merged, never averaged. Knows nothing of what was waited for.

use hdrhistogram::Histogram;
use serde::Serialize;

/// A minute: what waited longer is counted as this, and says so by its maximum.
const HIGHEST_US: u64 = 60_000_000;

/// The latencies of one kind of wait.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

/// The percentiles that a report shows, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) min_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p99_9_us: u64,
    pub(crate) p99_99_us: u64,
    pub(crate) max_us: u64,
}

impl Latency {
    /// Nothing recorded yet; three significant digits.
    pub(crate) fn new() -> Latency {
        Latency(Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are in order"))
    }

    /// Counts `records` that all waited `ns` nanoseconds.
    pub(crate) fn record(&mut self, ns: u64, records: u64) {
        self.0.saturating_record_n((ns / 1000).max(1), records);
    }

    /// Adds all that another one counted.
    pub(crate) fn merge(&mut self, other: &Latency) {
        self.0
            .add(&other.0)
            .expect("all histograms here have the same bounds");
    }

    /// What a report shows.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            min_us: self.0.min(),
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p99_9_us: self.0.value_at_quantile(0.999),
            p99_99_us: self.0.value_at_quantile(0.9999),
            max_us: self.0.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_histograms_give_the_percentiles_of_all_that_was_counted() {
        let (mut low, mut high) = (Latency::new(), Latency::new());
        low.record(1_000_000, 98);
        high.record(500_000_000, 2);
        low.merge(&high);
        let percentiles = low.percentiles();
        assert_eq!(percentiles.count, 100);
        assert_eq!(percentiles.p90_us, 1000);
        assert!(
            (499_000..=501_000).contains(&percentiles.p99_us),
            "{percentiles:?}"
        );
    }

    #[test]
    fn a_wait_beyond_the_highest_is_counted_as_the_highest() {
        let mut latency = Latency::new();
        latency.record(u64::MAX, 1);
        assert!(latency.percentiles().max_us >= HIGHEST_US);
    }
}
