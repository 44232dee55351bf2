//! How one thread tells a shard that something lies ready for it: a bell per shard, rung only when the shard may be
//! asleep, and the ports the shard then looks into. It does not know what lies ready.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Poll, Waker};

use crossbeam::utils::CachePadded;

use crate::shard::ShardId;
use crate::sys;
use crate::task::pending;

/// The bells of all shards of a world.
#[derive(Debug)]
pub(crate) struct Bells {
    bells: Box<[CachePadded<Bell>]>,
}

#[derive(Debug)]
struct Bell {
    /// Set by the shard before its last look into its ports, taken by the first who rings: one ring per sleep.
    asleep: AtomicBool,
    stopped: AtomicBool,
    /// An eventfd in the shard's epoll set; `None` in the simulation, whose scheduler reads `asleep`.
    event: Option<OwnedFd>,
}

impl Bells {
    /// Bells that hang in epoll sets.
    pub(crate) fn with_events(shards: u16) -> std::io::Result<Self> {
        let bells = (0..shards)
            .map(|_| Ok(Bell::new(false, Some(sys::eventfd()?))))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { bells })
    }

    /// Bells whose rings are read by a scheduler, with [`Self::take_ring`].
    pub(crate) fn without_events(shards: u16) -> Self {
        Self {
            bells: (0..shards).map(|_| Bell::new(true, None)).collect(),
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.bells.len()
    }

    /// Wakes a shard, if it may be asleep. What it shall find must lie ready before.
    pub(crate) fn ring(&self, to: ShardId) {
        let bell = &self.bells[to.index()];
        // Pairs with the fence in `lie_down`: either the shard sees what lies ready, or we see it asleep.
        fence(Ordering::SeqCst);
        if bell.asleep.load(Ordering::Relaxed)
            && bell.asleep.swap(false, Ordering::AcqRel)
            && let Some(event) = &bell.event
        {
            sys::signal(event);
        }
    }

    pub(crate) fn ring_all(&self) {
        for number in 0..self.bells.len() {
            self.ring(ShardId::new(u16::try_from(number).unwrap_or(u16::MAX)));
        }
    }

    /// The shard says that it may sleep; it must look into its ports once more after this.
    pub(crate) fn lie_down(&self, me: ShardId) {
        self.bells[me.index()].asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard says that it looks into its ports anyway.
    pub(crate) fn get_up(&self, me: ShardId) {
        self.bells[me.index()]
            .asleep
            .store(false, Ordering::Release);
    }

    /// Whether the shard was rung; it lies down again (for worlds without events).
    pub(crate) fn take_ring(&self, me: ShardId) -> bool {
        !self.bells[me.index()].asleep.swap(true, Ordering::AcqRel)
    }

    /// Whether the shard was rung and has not looked yet (for worlds without events).
    pub(crate) fn is_rung(&self, me: ShardId) -> bool {
        !self.bells[me.index()].asleep.load(Ordering::Acquire)
    }

    /// The shard has ended: whoever waits for it shall know.
    pub(crate) fn stop(&self, me: ShardId) {
        self.bells[me.index()].stopped.store(true, Ordering::SeqCst);
        self.ring_all();
    }

    /// Whether the shard has ended.
    pub(crate) fn has_stopped(&self, shard: ShardId) -> bool {
        self.bells
            .get(shard.index())
            .is_none_or(|bell| bell.stopped.load(Ordering::SeqCst))
    }

    /// The eventfd of a shard's bell.
    pub(crate) fn event(&self, me: ShardId) -> Option<BorrowedFd<'_>> {
        self.bells[me.index()].event.as_ref().map(AsFd::as_fd)
    }
}

impl Bell {
    fn new(asleep: bool, event: Option<OwnedFd>) -> CachePadded<Self> {
        CachePadded::new(Self {
            asleep: AtomicBool::new(asleep),
            stopped: AtomicBool::new(false),
            event,
        })
    }
}

/// Where things arrive on a shard from other threads.
pub(crate) trait Port {
    /// Takes what has arrived and wakes who waits for it.
    fn drain(&self);

    /// Whether there is something that [`Self::drain`] would hand to someone. Must be false after a drain, or the
    /// shard would never sleep.
    fn has_arrivals(&self) -> bool;
}

/// The ports of one shard.
#[derive(Default)]
pub(crate) struct Ports {
    ports: RefCell<Vec<Weak<dyn Port>>>,
    /// Tasks that gave their turn away until the shard has come round once.
    yielded: RefCell<Vec<Waker>>,
}

impl Ports {
    pub(crate) fn add(&self, port: Weak<dyn Port>) {
        let mut ports = self.ports.borrow_mut();
        ports.retain(|port| port.strong_count() > 0);
        ports.push(port);
    }

    fn each(&self, mut visit: impl FnMut(&dyn Port)) {
        let mut index = 0;
        loop {
            let port = self.ports.borrow().get(index).map(Weak::upgrade);
            match port {
                None => break,
                Some(None) => {}
                Some(Some(port)) => visit(&*port),
            }
            index += 1;
        }
    }

    /// Lets every port take what has arrived, and those who yielded go on.
    pub(crate) fn drain(&self) {
        self.each(|port| port.drain());
        let yielded = std::mem::take(&mut *self.yielded.borrow_mut());
        for waker in yielded {
            waker.wake();
        }
    }

    pub(crate) fn have_arrivals(&self) -> bool {
        let mut any = !self.yielded.borrow().is_empty();
        self.each(|port| any = any || port.has_arrivals());
        any
    }

    /// Forgets all ports.
    pub(crate) fn clear(&self) {
        self.ports.borrow_mut().clear();
        let yielded = std::mem::take(&mut *self.yielded.borrow_mut());
        drop(yielded);
    }
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// What a world gives to those who receive from other threads.
#[derive(Clone, Debug)]
pub(crate) struct Receiving {
    pub(crate) me: ShardId,
    pub(crate) bells: std::sync::Arc<Bells>,
    pub(crate) ports: Rc<Ports>,
}

impl Receiving {
    /// Lets everything else on the shard have a turn: in production the run queue drains, and completed IO and timers
    /// are seen, before this goes on.
    pub(crate) async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            self.ports
                .yielded
                .borrow_mut()
                .push(context.waker().clone());
            self.bells.ring(self.me);
            pending("its next turn")
        })
        .await;
    }
}
