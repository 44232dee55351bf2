//! A thread that looks whether every shard still has a pulse. It only reports: a shard that stands still is a bug or
//! a starved machine, and neither is cured from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

/// How often a shard says that it lives.
pub(crate) const BEAT_EVERY: Duration = Duration::from_millis(500);

/// The pulses of all shards.
#[derive(Debug)]
pub(crate) struct Pulses {
    started: Instant,
    pulses: Box<[CachePadded<Pulse>]>,
}

#[derive(Debug, Default)]
struct Pulse {
    /// When it was felt last, in milliseconds since the start.
    felt_ms: AtomicU64,
    ended: AtomicBool,
    stalls: AtomicU64,
}

impl Pulses {
    pub(crate) fn new(started: Instant, shards: u16) -> Self {
        let pulses = (0..shards).map(|_| CachePadded::default()).collect();
        Self { started, pulses }
    }

    /// The shard lives.
    pub(crate) fn beat(&self, shard: usize) {
        self.pulses[shard]
            .felt_ms
            .store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// The shard has ended: its silence is no stall.
    pub(crate) fn end(&self, shard: usize) {
        self.pulses[shard].ended.store(true, Ordering::Relaxed);
    }

    /// How often a shard was found silent.
    pub(crate) fn stalls(&self) -> u64 {
        self.pulses
            .iter()
            .map(|pulse| pulse.stalls.load(Ordering::Relaxed))
            .sum()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Starts the thread; it ends by itself when the pulses are gone. Unpark it to make that quick.
pub(crate) fn watch(
    pulses: &Arc<Pulses>,
    silence_max: Duration,
    name: &str,
) -> std::io::Result<Thread> {
    let watched = Arc::downgrade(pulses);
    let watching = thread::Builder::new()
        .name(format!("{name}-watchdog"))
        .spawn(move || look_again_and_again(&watched, silence_max))?;
    Ok(watching.thread().clone())
}

fn look_again_and_again(watched: &Weak<Pulses>, silence_max: Duration) {
    let every = (silence_max / 4).clamp(Duration::from_millis(100), Duration::from_secs(1));
    let mut watch = Watch::new(silence_max, every);
    loop {
        thread::park_timeout(every);
        let Some(pulses) = watched.upgrade() else {
            return;
        };
        watch.look(&pulses, pulses.elapsed_ms());
    }
}

/// What the watchdog remembers from one look to the next.
#[derive(Debug)]
struct Watch {
    silence_ms_max: u64,
    late_ms: u64,
    looked_ms: u64,
    /// No stall is reported before this: the whole process had stood still.
    spared_until_ms: u64,
    silent: Vec<bool>,
}

impl Watch {
    fn new(silence_max: Duration, every: Duration) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            silence_ms_max: ms(silence_max),
            late_ms: ms(every).saturating_mul(2).saturating_add(1000),
            looked_ms: 0,
            spared_until_ms: 0,
            silent: Vec::new(),
        }
    }

    fn look(&mut self, pulses: &Pulses, now_ms: u64) {
        if now_ms.saturating_sub(self.looked_ms) > self.late_ms {
            // We were late ourselves: the machine or the process paused, and the shards are no worse than we are.
            self.spared_until_ms = now_ms.saturating_add(self.silence_ms_max);
        }
        self.looked_ms = now_ms;
        self.silent.resize(pulses.pulses.len(), false);
        for (shard, (pulse, silent)) in pulses.pulses.iter().zip(&mut self.silent).enumerate() {
            let silence_ms = now_ms.saturating_sub(pulse.felt_ms.load(Ordering::Relaxed));
            let stalled = silence_ms > self.silence_ms_max && !pulse.ended.load(Ordering::Relaxed);
            if stalled && !*silent {
                if now_ms < self.spared_until_ms {
                    continue;
                }
                pulse.stalls.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(shard, silence_ms, "a shard stands still");
            }
            if *silent && !stalled {
                tracing::warn!(shard, "the shard goes on");
            }
            *silent = stalled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulses() -> Pulses {
        #[expect(
            clippy::disallowed_methods,
            reason = "the pulses count from some point in time"
        )]
        Pulses::new(Instant::now(), 2)
    }

    fn felt(pulses: &Pulses, shard: usize, at_ms: u64) {
        pulses.pulses[shard].felt_ms.store(at_ms, Ordering::Relaxed);
    }

    #[test]
    fn a_silent_shard_is_counted_once_per_silence() {
        let pulses = pulses();
        let mut watch = Watch::new(Duration::from_secs(5), Duration::from_secs(1));
        for now_ms in (0..=12_000).step_by(1000) {
            felt(&pulses, 0, now_ms);
            watch.look(&pulses, now_ms);
        }
        assert_eq!(
            pulses.stalls(),
            1,
            "shard 1 has been silent since the start"
        );
        felt(&pulses, 1, 12_500);
        watch.look(&pulses, 13_000);
        for now_ms in (13_000..=20_000).step_by(1000) {
            felt(&pulses, 0, now_ms);
            watch.look(&pulses, now_ms);
        }
        assert_eq!(pulses.stalls(), 2);
    }

    #[test]
    fn a_pause_of_the_whole_process_is_no_stall() {
        let pulses = pulses();
        let mut watch = Watch::new(Duration::from_secs(5), Duration::from_secs(1));
        watch.look(&pulses, 1_000);
        watch.look(&pulses, 60_000);
        felt(&pulses, 0, 60_500);
        felt(&pulses, 1, 60_500);
        watch.look(&pulses, 61_000);
        assert_eq!(pulses.stalls(), 0);
    }

    #[test]
    fn a_shard_that_ended_may_be_silent() {
        let pulses = pulses();
        let mut watch = Watch::new(Duration::from_secs(5), Duration::from_secs(1));
        pulses.end(0);
        pulses.end(1);
        for now_ms in (0..=12_000).step_by(1000) {
            watch.look(&pulses, now_ms);
        }
        assert_eq!(pulses.stalls(), 0);
    }
}
