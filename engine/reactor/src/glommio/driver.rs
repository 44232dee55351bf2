//! One edge-triggered epoll set per shard: what is registered in it, what is ready, and who waits for that. It reads
//! and writes nothing.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::bell::Receiving;
use crate::sys::{Epoll, Event};

/// Events taken at once.
const EVENTS_PER_WAIT: usize = 256;

/// The key of what only ends the wait: the shard's bell.
const NOBODY: u64 = u64::MAX;

/// The epoll set and what is registered in it.
#[derive(Debug)]
pub(super) struct Driver {
    epoll: Epoll,
    slots: RefCell<Slots>,
    events: RefCell<Vec<Event>>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Tells a registration from those that had its place before it.
    generation: u32,
    readiness: Option<Rc<Readiness>>,
}

/// Whether a descriptor may be read and written without waiting, as far as is known.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) read: Side,
    pub(super) write: Side,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    ready: Cell<bool>,
    /// The peer has ended this direction, or the connection failed: no further edge need come.
    ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Successes since the last wait: see [`Side::had_its_turn`].
    turns: Cell<u32>,
}

/// Successes in a row before a task lets the others have a turn.
const TURNS_MAX: u32 = 16;

impl Side {
    fn new() -> Self {
        Self {
            ready: Cell::new(true),
            ended: Cell::new(false),
            waker: RefCell::default(),
            turns: Cell::new(0),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.get()
    }

    /// The system said that it would have to wait.
    pub(super) fn exhausted(&self) {
        self.ready.set(false);
    }

    /// Everything there was has been taken, as a short count shows: the next attempt would have to wait. Not so after
    /// the end of the stream, which is told once and read again and again.
    pub(super) fn drained(&self) {
        if !self.ended.get() {
            self.ready.set(false);
        }
    }

    /// Wakes the task of `context` at the next edge.
    pub(super) fn wait(&self, context: &Context<'_>) {
        self.turns.set(0);
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            Some(_) | None => *waker = Some(context.waker().clone()),
        }
    }

    /// Counts a success; true when it is time to yield.
    pub(super) fn had_its_turn(&self) -> bool {
        let turns = self.turns.get() + 1;
        self.turns.set(if turns == TURNS_MAX { 0 } else { turns });
        turns == TURNS_MAX
    }

    fn edge(&self, ended: bool) {
        self.ready.set(true);
        if ended {
            self.ended.set(true);
        }
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A descriptor's place in the epoll set.
#[derive(Debug)]
pub(super) struct Registration {
    key: u64,
    readiness: Rc<Readiness>,
}

impl Registration {
    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }
}

impl Driver {
    pub(super) fn new(receiving: &Receiving) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        if let Some(event) = receiving.bells.event(receiving.me) {
            epoll.add(event, NOBODY)?;
        }
        let events = RefCell::new(vec![Event::NONE; EVENTS_PER_WAIT]);
        Ok(Self {
            epoll,
            slots: RefCell::default(),
            events,
        })
    }

    /// Registers a descriptor; [`Self::deregister`] it before it is closed.
    pub(super) fn register(&self, descriptor: &impl AsFd) -> io::Result<Registration> {
        let readiness = Rc::new(Readiness {
            read: Side::new(),
            write: Side::new(),
        });
        let mut slots = self.slots.borrow_mut();
        let index = match slots.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(slots.slots.len()).map_err(io::Error::other)?;
                slots.slots.push(Slot::default());
                index
            }
        };
        let slot = &mut slots.slots[index as usize];
        let key = (u64::from(slot.generation) << 32) | u64::from(index);
        if let Err(error) = self.epoll.add(descriptor.as_fd(), key) {
            slots.free.push(index);
            return Err(error);
        }
        slot.readiness = Some(Rc::clone(&readiness));
        Ok(Registration { key, readiness })
    }

    /// Gives a place back; events of it that were already taken are not delivered to its next owner.
    pub(super) fn deregister(&self, registration: &Registration, descriptor: &impl AsFd) {
        // Closing removes it too, but not where a copy of the descriptor lives on.
        let _ = self.epoll.remove(descriptor.as_fd());
        let (index, _) = split(registration.key);
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots.slots[index as usize];
        let left = slot.readiness.take();
        // The all-ones generation would collide with the bell's key.
        slot.generation = (slot.generation + 1) % (u32::MAX - 1);
        slots.free.push(index);
        drop(slots);
        drop(left);
    }

    /// Waits for events until `timeout` (`None`: without end) and marks and wakes those they concern, after `awake`.
    pub(super) fn wait(&self, timeout: Option<Duration>, awake: impl FnOnce()) {
        let mut events = self.events.borrow_mut();
        let waited = self.epoll.wait(&mut events, timeout);
        awake();
        let count = match waited {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => panic!("an epoll set of our own cannot fail: {error}"),
        };
        for event in &events[..count] {
            self.deliver(event);
        }
    }

    fn deliver(&self, event: &Event) {
        if event.key() == NOBODY {
            return;
        }
        let (index, generation) = split(event.key());
        let readiness = match self.slots.borrow().slots.get(index as usize) {
            Some(slot) if slot.generation == generation => slot.readiness.clone(),
            Some(_) | None => None,
        };
        if let Some(readiness) = readiness {
            if event.is_readable() {
                readiness.read.edge(event.is_end());
            }
            if event.is_writable() {
                readiness.write.edge(event.is_end());
            }
        }
    }
}

/// The place and the generation of a key.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each half of 64 bits has 32"
)]
fn split(key: u64) -> (u32, u32) {
    (key as u32, (key >> 32) as u32)
}
