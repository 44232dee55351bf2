//! The shard's loop: the tasks that were woken have their turns, then the shard looks at its timers, its ring, its bell and its
//! epoll set, and sleeps there when nobody has anything to do. It is the one task of the glommio executor: see
//! `docs/decisions/0001-glommio-behind-a-seam.md` for what that buys.
//!
//! ```text
//!   ┌─► turns of the woken tasks (some 64) ──► timers due, syncs submitted ──► sleep in epoll, or only look ──┐
//!   └────────────────────────────── syncs that ended, ports of other threads ◄────────────────────────────────┘
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::driver::Driver;
use super::ring::Ring;
use crate::bell::Receiving;
use crate::clock::Clock;
use crate::tasks::Tasks;

/// Turns after which the shard looks at the world outside, whether or not more tasks wait for theirs.
const TURNS_PER_LOOK: usize = 64;

/// How long a shard sleeps at most that could not submit its syncs.
const RETRY: Duration = Duration::from_millis(1);

/// A shard's loop and what it looks at.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) driver: Rc<Driver>,
    pub(super) tasks: Rc<Tasks>,
    pub(super) clock: Rc<Clock>,
    pub(super) ring: Ring,
    pub(super) receiving: Receiving,
}

impl Rounds {
    /// Runs until `done` is set by a task.
    pub(super) fn run(&self, done: &Cell<bool>) {
        let mut woken = Vec::new();
        loop {
            let mut turns = 0;
            while turns < TURNS_PER_LOOK {
                self.tasks.take_woken(&mut woken);
                if woken.is_empty() {
                    break;
                }
                turns += woken.len();
                for number in woken.drain(..) {
                    self.tasks.run(number);
                }
                if done.get() {
                    return;
                }
            }
            self.clock.wake_the_due();
            if self.ring.has_to_submit() {
                self.ring.submit();
            }
            self.sleep();
            self.ring.reap();
            self.receiving.ports.drain();
        }
    }

    /// Lets syncs that are under way come to their end, so that nothing is left in the ring.
    pub(super) fn end(&self) {
        while self.ring.is_busy() {
            self.ring.submit();
            let timeout = self.ring.has_to_submit().then_some(RETRY);
            self.driver.wait(timeout, || {});
            self.ring.reap();
        }
    }

    /// Whether there is nothing to do; the bell will ring for what comes from now on.
    fn lie_down(&self) -> bool {
        let Receiving { me, bells, ports } = &self.receiving;
        bells.lie_down(*me);
        !ports.have_arrivals() && !self.tasks.any_woken() && !self.ring.has_completions()
    }

    /// Looks into the epoll set, and sleeps there until something happens where there is nothing to do.
    fn sleep(&self) {
        let idle = self.lie_down();
        let timeout = if idle {
            let next = self.clock.next_deadline();
            let next = next.map(|when| when - self.clock.now());
            let retry = self.ring.has_to_submit().then_some(RETRY);
            next.into_iter().chain(retry).min()
        } else {
            Some(Duration::ZERO)
        };
        let Receiving { me, bells, .. } = &self.receiving;
        self.driver.wait(timeout, || bells.get_up(*me));
    }
}
