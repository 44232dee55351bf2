//! The scheduler of the simulation: it picks who runs next, lets time pass, and says who waits for what when nobody
//! ever will. What the shards ask of the world is in `shard.rs`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::chance::Chance;
use super::disk::{Crash, Disk};
use super::net::Network;
use super::shard::Shard;
use crate::bell::{Bells, Ports};
use crate::clock::Clock;
use crate::local::Semaphore;
use crate::reactor::{self, Reactor};
use crate::shard::ShardId;
use crate::task::take_waiting_for;
use crate::tasks::{NO_TASK, Tasks};
use crate::time::Instant;

/// What one turn of a task takes.
const TURN: Duration = Duration::from_micros(1);

/// Turns after which a world is taken for one that goes round in circles.
const TURNS_MAX: u64 = 50_000_000;

/// 2026-01-01, so that nobody takes the start of the world for 1970.
const UNIX_MS_AT_START: i64 = 1_767_225_600_000;

/// Every shard, one clock, one disk and one network, in one thread. Clones are the same world.
#[derive(Clone, Debug)]
pub struct World {
    core: Rc<Core>,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) shards: u16,
    pub(super) clock: Rc<Clock>,
    pub(super) tasks: Rc<Tasks>,
    pub(super) chance: RefCell<Chance>,
    pub(super) bells: Arc<Bells>,
    pub(super) ports: Vec<Rc<Ports>>,
    /// For each shard the turn for what is slow.
    pub(super) slow: Vec<Semaphore>,
    /// For each shard when it last began or ended a sync.
    pub(super) last_sync: Vec<Cell<Option<Instant>>>,
    pub(super) disk: Disk,
    pub(super) net: Network,
    /// Wall-clock time at the start of the world.
    pub(super) unix_ms_at_start: Cell<i64>,
    /// Tasks that were woken and wait for their turn.
    runnable: RefCell<Vec<u64>>,
    turns: Cell<u64>,
    trace: Cell<u64>,
    running: Cell<bool>,
}

impl World {
    /// A world of one shard, in which all chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_shards(seed, 1)
    }

    /// A world of `shards` shards (at least one), in which all chance comes from `seed`.
    pub fn with_shards(seed: u64, shards: u16) -> Self {
        assert!(shards > 0, "a world needs a shard");
        let mut chance = Chance::new(seed);
        let (disk, net) = (Disk::new(chance.fork()), Network::new(chance.fork()));
        Self {
            core: Rc::new(Core {
                shards,
                clock: Clock::simulated(),
                tasks: Tasks::new(None),
                chance: RefCell::new(chance),
                bells: Arc::new(Bells::without_events(shards)),
                ports: (0..shards).map(|_| Rc::default()).collect(),
                slow: (0..shards).map(|_| Semaphore::new(1)).collect(),
                last_sync: (0..shards).map(|_| Cell::new(None)).collect(),
                disk,
                net,
                unix_ms_at_start: Cell::new(UNIX_MS_AT_START),
                runnable: RefCell::default(),
                turns: Cell::new(0),
                trace: Cell::new(0xCBF2_9CE4_8422_2325),
                running: Cell::new(false),
            }),
        }
    }

    /// A shard's handle on this world.
    pub fn shard(&self, number: u16) -> Reactor {
        assert!(
            number < self.core.shards,
            "there are {} shards",
            self.core.shards
        );
        let shard = Shard::new(Rc::clone(&self.core), ShardId::new(number));
        Reactor::new(reactor::World::Sim(shard))
    }

    /// Runs `future`, and all tasks with it, until it is done; they go on with the next call. The order of turns comes
    /// from the seed, a turn takes a microsecond, and when all sleep time jumps to the next timer.
    ///
    /// Panics where a task panics, and with a list of what everyone waits for when nobody can ever go on.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let core = &self.core;
        assert!(
            !core.running.replace(true),
            "a world can only be run from outside"
        );
        let _running = Running(&core.running);
        let mut future = pin!(future);
        let called_at = Location::caller();
        let alarm = core.tasks.alarm();
        let waker = Waker::from(Arc::clone(&alarm));
        waker.wake_by_ref();
        let mut waiting_for = "";
        loop {
            match core.pick() {
                Some(Pick::Task(NO_TASK)) => {
                    alarm.reset();
                    take_waiting_for();
                    if let Poll::Ready(output) =
                        future.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        return output;
                    }
                    waiting_for = take_waiting_for();
                }
                Some(Pick::Task(number)) => core.tasks.run(number),
                Some(Pick::Bell(shard)) => {
                    core.bells.take_ring(shard);
                    core.ports[shard.index()].drain();
                }
                None if core.clock.jump() => continue,
                None => panic!(
                    "everything sleeps for ever:\n  the future run at {called_at}: {waiting_for}\n{}",
                    core.tasks.list()
                ),
            }
            core.turns.set(core.turns.get() + 1);
            assert!(
                core.turns.get() < TURNS_MAX,
                "after {TURNS_MAX} turns the end is not in sight:\n  the future run at {called_at}: \
                 {waiting_for}\n{}",
                core.tasks.list()
            );
            core.clock.pass(TURN);
        }
    }

    /// The disk.
    pub fn disk(&self) -> Disk {
        self.core.disk.clone()
    }

    /// The network.
    pub fn net(&self) -> Network {
        self.core.net.clone()
    }

    /// Ends every task, connection and listener, as the end of the process would, and crashes the disk: files opened
    /// before can no longer be used. The reactors can: the next process starts with them. Exchanges have to be made
    /// anew.
    pub fn crash(&self, crash: Crash) {
        self.core.disk.crash(crash);
        self.end();
    }

    /// The same for the end of the process alone: what was written is there.
    pub fn restart(&self) {
        self.crash(Crash::KeepAll);
    }

    fn end(&self) {
        let core = &self.core;
        core.tasks.end_all();
        core.runnable.borrow_mut().clear();
        core.clock.clear();
        core.net.end();
        for ports in &core.ports {
            ports.clear();
        }
    }

    /// Sets wall-clock time; monotonic time does not notice.
    pub fn set_unix_ms(&self, now_ms: i64) {
        let since_start = super::shard::millis(self.core.clock.now().since_start());
        self.core
            .unix_ms_at_start
            .set(now_ms.saturating_sub(since_start));
    }

    /// A fingerprint of everything that happened, in order: equal for equal seeds and equal code, or something in
    /// the code depends on more than the seed.
    pub fn trace(&self) -> u64 {
        self.core.trace.get()
    }

    /// Turns taken since the start.
    pub fn turns(&self) -> u64 {
        self.core.turns.get()
    }
}

/// Marks the world as free again, also when a task panics.
struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Who has the next turn.
enum Pick {
    Task(u64),
    Bell(ShardId),
}

impl Core {
    fn pick(&self) -> Option<Pick> {
        let mut runnable = self.runnable.borrow_mut();
        self.tasks.take_woken(&mut runnable);
        let shards = (0..self.shards).map(ShardId::new);
        let rung: Vec<ShardId> = shards.filter(|shard| self.bells.is_rung(*shard)).collect();
        let choices = runnable.len() + rung.len();
        if choices == 0 {
            return None;
        }
        let choice = self.chance.borrow_mut().index(choices);
        let pick = match rung.get(choice) {
            Some(shard) => Pick::Bell(*shard),
            None => Pick::Task(runnable.swap_remove(choice - rung.len())),
        };
        self.note(match pick {
            Pick::Bell(shard) => u64::MAX - u64::from(shard.get()),
            Pick::Task(number) => number,
        });
        let now = self.clock.now().since_start();
        self.note(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        Some(pick)
    }

    /// Adds an event to the fingerprint (FNV-1a).
    fn note(&self, event: u64) {
        let mut trace = self.trace.get();
        for byte in event.to_le_bytes() {
            trace = (trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self.trace.set(trace);
    }

    /// A duration between the two, by chance.
    pub(super) fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.chance.borrow_mut().below(span.saturating_add(1)))
    }
}
