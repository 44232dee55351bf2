//! Whether a claim makes progress: the sign of life of an application whose partitions are read by tasks of their own.
//!
//! Java takes a consumer out of its group that does not poll; here the member is asked on its own, so each claim is watched:
//! it either waits for records, or has to be done with what it has within `max.poll.interval.ms`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct Pulse(Mutex<Beat>);

#[derive(Debug)]
struct Beat {
    last: Instant,
    /// Whether the claim's task waits for something that is not the application's: records, or the time they are due.
    waiting: bool,
    /// Records that somebody else works on.
    out: usize,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Beat {
            last: Instant::now(),
            waiting: false,
            out: 0,
        }))
    }

    fn beat(&self, change: impl FnOnce(&mut Beat)) {
        let mut beat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beat.last = Instant::now();
        change(&mut beat);
    }

    /// There is progress.
    pub(super) fn touch(&self) {
        self.beat(|_| ());
    }

    /// The claim's task waits from now on, or does not any more.
    pub(super) fn waits(&self, waiting: bool) {
        self.beat(|beat| beat.waiting = waiting);
    }

    /// The claim's task waits until what this returns is dropped.
    pub(super) fn waiting(&self) -> impl Drop + use<'_> {
        struct Waiting<'a>(&'a Pulse);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.waits(false);
            }
        }
        self.waits(true);
        Waiting(self)
    }

    /// A record was given to somebody else.
    pub(super) fn lent(&self) {
        self.beat(|beat| beat.out += 1);
    }

    /// It came back.
    pub(super) fn returned(&self) {
        self.beat(|beat| beat.out -= 1);
    }

    /// Waits until there was no progress for `limit` while there was something to be done.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let until = {
                let beat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if beat.waiting && beat.out == 0 {
                    Instant::now() + limit
                } else {
                    beat.last + limit
                }
            };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);
    const LONG: Duration = Duration::from_secs(3000);

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_waits_is_never_stalled() {
        let pulse = Pulse::new();
        let _waiting = pulse.waiting();
        assert!(timeout(LONG, pulse.stalled(LIMIT)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_stalled_that_long_after_its_last_progress() {
        let pulse = Pulse::new();
        let begun = Instant::now();
        let steps = async {
            for _ in 0..3 {
                sleep(LIMIT / 2).await;
                drop(pulse.waiting());
            }
        };
        tokio::join!(steps, pulse.stalled(LIMIT));
        assert_eq!(begun.elapsed(), LIMIT / 2 * 3 + LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_while_others_work_for_it_is_stalled_when_they_are() {
        let pulse = Pulse::new();
        pulse.lent();
        let _waiting = pulse.waiting();
        let begun = Instant::now();
        pulse.stalled(LIMIT).await;
        assert_eq!(begun.elapsed(), LIMIT);
        pulse.returned();
        assert!(timeout(LONG, pulse.stalled(LIMIT)).await.is_err());
    }
}
