//! The tasks of a shard (of all shards, in the simulation): who is there, who was woken, and what each waits for. It
//! does not choose who runs: the worlds do.

use std::cell::RefCell;
use std::fmt::Write;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::bell::Bells;
use crate::shard::ShardId;
use crate::task::{pending, take_waiting_for};

/// All tasks of a shard or a world.
#[derive(Debug)]
pub(crate) struct Tasks {
    slots: RefCell<Slots>,
    woken: Arc<Woken>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Tells a task from those that had its place before it.
    generation: u32,
    task: Option<Task>,
}

struct Task {
    /// Both are out while it runs.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Option<Waker>,
    alarm: Arc<Alarm>,
    cancelled: bool,
    shard: ShardId,
    spawned_at: &'static Location<'static>,
    waiting_for: &'static str,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("spawned_at", &self.spawned_at)
            .finish_non_exhaustive()
    }
}

/// The number of what is woken like a task and is none: the future that a simulated world was asked to run.
pub(crate) const NO_TASK: u64 = u64::MAX;

/// The numbers of the tasks that were woken and have not run since.
#[derive(Debug)]
struct Woken {
    numbers: Mutex<Vec<u64>>,
    /// Rung when somebody is woken: the shard may sleep, where it was another thread that woke him.
    bell: Option<(Arc<Bells>, ShardId)>,
}

impl Woken {
    fn numbers(&self) -> MutexGuard<'_, Vec<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, number: u64) {
        self.numbers().push(number);
        if let Some((bells, me)) = &self.bell {
            bells.ring(*me);
        }
    }
}

/// Wakes one task.
#[derive(Debug)]
pub(crate) struct Alarm {
    number: u64,
    rung: AtomicBool,
    woken: Arc<Woken>,
}

impl Alarm {
    /// The task is about to run: it can be woken again.
    pub(crate) fn reset(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.woken.push(self.number);
        }
    }
}

/// The place and the generation in a task's number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each half of 64 bits has 32"
)]
fn split(number: u64) -> (usize, u32) {
    (number as u32 as usize, (number >> 32) as u32)
}

impl Slots {
    fn task(&mut self, number: u64) -> Option<&mut Task> {
        let (index, generation) = split(number);
        let slot = self.slots.get_mut(index)?;
        if slot.generation == generation {
            slot.task.as_mut()
        } else {
            None
        }
    }

    /// Takes a task out; its place is free again.
    fn remove(&mut self, number: u64) -> Option<Task> {
        let (index, generation) = split(number);
        let slot = self.slots.get_mut(index)?;
        if slot.generation != generation {
            return None;
        }
        let task = slot.task.take()?;
        // The last generation would collide with `NO_TASK`.
        slot.generation = (slot.generation + 1) % u32::MAX;
        self.free
            .push(u32::try_from(index).expect("there are fewer than 2^32 places"));
        Some(task)
    }
}

impl Tasks {
    /// No tasks; `bell` is rung when one is woken.
    pub(crate) fn new(bell: Option<(Arc<Bells>, ShardId)>) -> Rc<Self> {
        let woken = Arc::new(Woken {
            numbers: Mutex::default(),
            bell,
        });
        Rc::new(Self {
            slots: RefCell::default(),
            woken,
        })
    }

    /// An alarm that wakes by [`NO_TASK`].
    pub(crate) fn alarm(&self) -> Arc<Alarm> {
        self.alarm_for(NO_TASK)
    }

    fn alarm_for(&self, number: u64) -> Arc<Alarm> {
        let woken = Arc::clone(&self.woken);
        Arc::new(Alarm {
            number,
            rung: AtomicBool::new(false),
            woken,
        })
    }

    pub(crate) fn spawn<F: Future + 'static>(
        self: &Rc<Self>,
        shard: ShardId,
        spawned_at: &'static Location<'static>,
        future: F,
    ) -> Handle<F::Output> {
        let result = Rc::new(RefCell::new(Outcome::Running(None)));
        let place = Rc::clone(&result);
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            let output = future.await;
            let before = place.replace(Outcome::Done(output));
            if let Outcome::Running(Some(waker)) = before {
                waker.wake();
            }
        });
        let mut slots = self.slots.borrow_mut();
        let index = slots.free.pop().unwrap_or_else(|| {
            slots.slots.push(Slot::default());
            u32::try_from(slots.slots.len() - 1).expect("there are fewer than 2^32 places")
        });
        let slot = &mut slots.slots[index as usize];
        let number = (u64::from(slot.generation) << 32) | u64::from(index);
        let alarm = self.alarm_for(number);
        let waker = Waker::from(Arc::clone(&alarm));
        waker.wake_by_ref();
        slot.task = Some(Task {
            future: Some(future),
            waker: Some(waker),
            alarm,
            cancelled: false,
            shard,
            spawned_at,
            waiting_for: "its first turn",
        });
        drop(slots);
        Handle {
            number,
            result,
            tasks: Rc::clone(self),
            detached: false,
        }
    }

    /// Whether anybody was woken and has not run since.
    pub(crate) fn any_woken(&self) -> bool {
        !self.woken.numbers().is_empty()
    }

    /// Appends those woken since the last call to `into`, in order.
    pub(crate) fn take_woken(&self, into: &mut Vec<u64>) {
        let mut numbers = self.woken.numbers();
        if into.is_empty() {
            std::mem::swap(&mut *numbers, into);
        } else {
            into.append(&mut numbers);
        }
    }

    /// Gives a task its turn, if it is still there.
    pub(crate) fn run(&self, number: u64) {
        let (future, waker) = {
            let mut slots = self.slots.borrow_mut();
            let Some(task) = slots.task(number) else {
                return;
            };
            if task.cancelled {
                let ended = slots.remove(number);
                drop(slots);
                return drop(ended);
            }
            task.alarm.reset();
            (task.future.take(), task.waker.take())
        };
        let (Some(mut future), Some(waker)) = (future, waker) else {
            return;
        };
        take_waiting_for();
        let done = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let waiting_for = take_waiting_for();
        let mut slots = self.slots.borrow_mut();
        if done {
            let ended = slots.remove(number);
            drop(slots);
            drop((future, ended));
        } else if let Some(task) = slots.task(number) {
            task.waiting_for = waiting_for;
            (task.future, task.waker) = (Some(future), Some(waker));
        }
    }

    /// Ends a task at its next turn.
    fn cancel(&self, number: u64) {
        let alarm = {
            let mut slots = self.slots.borrow_mut();
            let Some(task) = slots.task(number) else {
                return;
            };
            task.cancelled = true;
            Arc::clone(&task.alarm)
        };
        alarm.wake();
    }

    /// Ends all tasks now, those that they spawn while they end included.
    pub(crate) fn end_all(&self) {
        loop {
            let ended: Vec<Task> = {
                let mut slots = self.slots.borrow_mut();
                let numbers: Vec<u64> = (0_u64..)
                    .zip(&slots.slots)
                    .filter(|(_, slot)| slot.task.is_some())
                    .map(|(index, slot)| (u64::from(slot.generation) << 32) | index)
                    .collect();
                numbers
                    .into_iter()
                    .filter_map(|number| slots.remove(number))
                    .collect()
            };
            if ended.is_empty() {
                break;
            }
        }
        self.woken.numbers().clear();
    }

    /// One line per task: where it was spawned, on which shard, and what it waits for.
    pub(crate) fn list(&self) -> String {
        let mut list = String::new();
        for task in self
            .slots
            .borrow()
            .slots
            .iter()
            .filter_map(|slot| slot.task.as_ref())
        {
            let Task {
                shard,
                spawned_at,
                waiting_for,
                ..
            } = task;
            let what = if waiting_for.is_empty() {
                "something"
            } else {
                waiting_for
            };
            let _ = writeln!(
                list,
                "  the task spawned at {spawned_at} on shard {shard}: {what}"
            );
        }
        list
    }
}

#[derive(Debug)]
enum Outcome<T> {
    Running(Option<Waker>),
    Done(T),
    Taken,
}

/// A spawned task, for the one who waits for it. Dropped, it is cancelled at its next turn.
#[derive(Debug)]
pub(crate) struct Handle<T> {
    number: u64,
    result: Rc<RefCell<Outcome<T>>>,
    tasks: Rc<Tasks>,
    detached: bool,
}

impl<T> Unpin for Handle<T> {}

impl<T> Handle<T> {
    pub(crate) fn detach(mut self) {
        self.detached = true;
    }
}

impl<T> Future for Handle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut result = self.result.borrow_mut();
        match std::mem::replace(&mut *result, Outcome::Taken) {
            Outcome::Done(output) => Poll::Ready(output),
            Outcome::Running(_) => {
                *result = Outcome::Running(Some(context.waker().clone()));
                pending("a task")
            }
            Outcome::Taken => panic!("a task was awaited after it had given its output"),
        }
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if !self.detached {
            self.tasks.cancel(self.number);
        }
    }
}
