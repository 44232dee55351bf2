//! The shard's loop: the tasks that were woken have their turns, then the shard looks at its timers, its bell and its
//! epoll set, and sleeps there when nobody has anything to do. It is one glommio task, and the only one that lasts: see
//! `docs/decisions/0001-glommio-behind-a-seam.md` for what that buys.
//!
//! ```text
//!   ┌─► turns of the woken tasks (some 64) ──► look: timers, ports, sockets ──┐
//!   └──────────────── sleep in epoll, or in the ring while it is busy ◄───────┘
//! ```

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::driver::Driver;
use super::ring::Ring;
use crate::bell::Receiving;
use crate::clock::Clock;
use crate::sys::AlarmClock;
use crate::tasks::Tasks;
use crate::time::Instant;

/// Turns after which the shard looks at the world outside, whether or not more tasks wait for theirs.
const TURNS_PER_LOOK: usize = 64;

/// Looks of a shard that never sleeps after which it visits a busy ring: completions are only seen there.
const LOOKS_PER_VISIT: u32 = 8;

/// Pauses of the processor between two looks of a shard that spins.
const PAUSES_PER_SPIN: u32 = 32;

/// A shard's loop and what it looks at.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) driver: Rc<Driver>,
    pub(super) tasks: Rc<Tasks>,
    pub(super) clock: Rc<Clock>,
    pub(super) ring: Rc<Ring>,
    pub(super) receiving: Receiving,
    pub(super) spin: Duration,
    /// Ends a park in the ring when a timer is due.
    alarm: AlarmClock,
    alarm_set_to: Cell<Option<Instant>>,
}

impl Rounds {
    pub(super) fn new(
        receiving: Receiving,
        driver: Rc<Driver>,
        tasks: Rc<Tasks>,
        clock: Rc<Clock>,
        spin: Duration,
    ) -> io::Result<Self> {
        let alarm = AlarmClock::new()?;
        driver.add_alarm(&alarm)?;
        let alarm_set_to = Cell::new(None);
        let ring = Rc::default();
        Ok(Self {
            driver,
            tasks,
            clock,
            ring,
            receiving,
            spin,
            alarm,
            alarm_set_to,
        })
    }

    /// Runs until `done` is set by a task.
    pub(super) async fn run(&self, done: &Cell<bool>) {
        let mut woken = Vec::new();
        let mut looks_since_visit = 0;
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
            if self.ring.is_busy() {
                looks_since_visit += 1;
                let idle = self.lie_down();
                if idle {
                    self.set_the_alarm();
                }
                if idle || self.ring.has_to_submit() || looks_since_visit == LOOKS_PER_VISIT {
                    looks_since_visit = 0;
                    self.visit(idle).await;
                }
                self.receiving.bells.get_up(self.receiving.me);
                self.driver.look();
            } else {
                self.sleep();
            }
            self.receiving.ports.drain();
        }
    }

    /// Lets syncs that are under way come to their end, so that nothing is left in the ring.
    pub(super) async fn end(&self) {
        while self.ring.is_busy() {
            self.ring.park(self.driver.epoll()).await;
            self.driver.look();
        }
    }

    /// Whether there is nothing to do; the bell will ring for what comes from now on.
    fn lie_down(&self) -> bool {
        let Receiving { me, bells, ports } = &self.receiving;
        bells.lie_down(*me);
        !ports.have_arrivals() && !self.tasks.any_woken()
    }

    /// Looks into the epoll set, and sleeps there until something happens where there is nothing to do.
    fn sleep(&self) {
        if self.spin > Duration::ZERO && self.spin_for_a_while() {
            return;
        }
        let idle = self.lie_down();
        let timeout = if idle {
            self.clock
                .next_deadline()
                .map(|when| when - self.clock.now())
        } else {
            Some(Duration::ZERO)
        };
        let Receiving { me, bells, .. } = &self.receiving;
        self.driver.wait(timeout, || bells.get_up(*me));
    }

    /// Looks again and again for a while, awake: a neighbour's message then costs nobody a system call. True as soon as
    /// there is something to do.
    fn spin_for_a_while(&self) -> bool {
        let began = self.clock.now();
        let until = self
            .clock
            .next_deadline()
            .unwrap_or(Instant::from_start(Duration::MAX));
        loop {
            if self.tasks.any_woken() || self.receiving.ports.have_arrivals() {
                self.driver.look();
                return true;
            }
            if self.driver.look() > 0 {
                return true;
            }
            let now = self.clock.now();
            if now - began > self.spin || now >= until {
                return false;
            }
            for _ in 0..PAUSES_PER_SPIN {
                std::hint::spin_loop();
            }
        }
    }

    /// Goes through glommio's loop once, which submits and reaps; where there is nothing else to do, stays there until
    /// something happens.
    async fn visit(&self, idle: bool) {
        if !idle {
            // Makes the epoll set readable, so that the park ends by itself.
            self.receiving.bells.ring(self.receiving.me);
        }
        self.ring.park(self.driver.epoll()).await;
    }

    fn set_the_alarm(&self) {
        let deadline = self.clock.next_deadline();
        if let Some(when) = deadline
            && self.alarm_set_to.get() != deadline
        {
            let after = when - self.clock.now();
            self.alarm
                .set(after)
                .expect("an alarm clock of our own can be set");
            self.alarm_set_to.set(deadline);
        }
    }
}
