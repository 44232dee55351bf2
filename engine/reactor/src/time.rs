//! A point in monotonic time. It knows no calendar: wall-clock time is `Reactor::unix_ms`.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// Monotonic time, counted from the start of its world. It never goes back, and instants of two worlds
/// cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The start of the world.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The instant `since` after the start of the world.
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the start of the world this is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant and `more`, or `None` where that cannot be counted any more.
    pub fn checked_add(self, more: Duration) -> Option<Self> {
        self.0.checked_add(more).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of countable time, so that `now + Duration::MAX` means "never".
    fn add(self, more: Duration) -> Self {
        Self(self.0.saturating_add(more))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, more: Duration) {
        *self = *self + more;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, less: Duration) -> Self {
        Self(self.0.saturating_sub(less))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}
