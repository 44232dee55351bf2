//! How long to wait before trying again: doubling, bounded, and spread so that clients that failed
//! together do not come back together.

use std::ops::Range;
use std::time::Duration;

/// A doubling pause between two bounds. Knows neither what failed nor how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// Pauses that begin with `range.start` and double up to `range.end`, each spread by a fifth up or down.
    pub const fn exponential(range: Range<Duration>) -> Self {
        Self {
            first: range.start,
            max: range.end,
        }
    }

    /// Pauses of `pause`, spread by a fifth up or down.
    pub const fn constant(pause: Duration) -> Self {
        Self {
            first: pause,
            max: pause,
        }
    }

    /// The pause before attempt `failures + 1`, where `failures` attempts failed in a row; spread
    /// by `random` over 80 to 120 % (Kafka's jitter). Nothing before the first.
    pub(crate) fn pause(&self, failures: u32, random: u64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let pause = self
            .first
            .saturating_mul(1u32 << doublings.min(20))
            .min(self.max);
        let per_mille = u32::try_from(800 + random % 401).expect("at most 1200");
        pause.saturating_mul(per_mille) / 1000
    }
}

/// A small generator for jitter and for picking partitions; not for anything that must not be
/// guessed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_bound_and_spreads_by_a_fifth() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_millis(1000),
        };
        assert_eq!(backoff.pause(0, 7), Duration::ZERO);
        assert_eq!(backoff.pause(1, 200), Duration::from_millis(100));
        assert_eq!(backoff.pause(2, 200), Duration::from_millis(200));
        assert_eq!(backoff.pause(5, 200), Duration::from_millis(1000));
        assert_eq!(
            backoff.pause(4_000_000_000, 200),
            Duration::from_millis(1000)
        );
        assert_eq!(backoff.pause(1, 0), Duration::from_millis(80));
        assert_eq!(backoff.pause(1, 400), Duration::from_millis(120));
    }
}
