//! The tasks of the simulation: who is there, who was woken, and what each waits for. It does not choose who runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::shard::ShardId;
use crate::task::{pending, take_waiting_for};

/// All tasks of a world.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tasks: RefCell<BTreeMap<u64, Task>>,
    next: std::cell::Cell<u64>,
    woken: Arc<Woken>,
}

/// The numbers of the tasks that were woken and have not run since.
#[derive(Debug, Default)]
struct Woken {
    numbers: Mutex<Vec<u64>>,
}

impl Woken {
    fn push(&self, number: u64) {
        self.numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(number);
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Task {
    /// Out while it runs.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
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

impl Tasks {
    /// A number and an alarm for a future that is kept elsewhere.
    pub(crate) fn alarm(&self) -> (u64, Arc<Alarm>) {
        let number = self.next.get();
        self.next.set(number + 1);
        let woken = Arc::clone(&self.woken);
        (
            number,
            Arc::new(Alarm {
                number,
                rung: AtomicBool::new(false),
                woken,
            }),
        )
    }

    pub(crate) fn spawn<F: Future + 'static>(
        self: &Rc<Self>,
        shard: ShardId,
        spawned_at: &'static Location<'static>,
        future: F,
    ) -> Handle<F::Output> {
        let (number, alarm) = self.alarm();
        let result = Rc::new(RefCell::new(Outcome::Running(None)));
        let place = Rc::clone(&result);
        let task = Task {
            future: Some(Box::pin(async move {
                let output = future.await;
                let before = place.replace(Outcome::Done(output));
                if let Outcome::Running(Some(waker)) = before {
                    waker.wake();
                }
            })),
            alarm: Arc::clone(&alarm),
            cancelled: false,
            shard,
            spawned_at,
            waiting_for: "its first turn",
        };
        self.tasks.borrow_mut().insert(number, task);
        alarm.wake();
        Handle {
            number,
            result,
            tasks: Rc::clone(self),
            detached: false,
        }
    }

    /// Those woken since the last call.
    pub(crate) fn take_woken(&self) -> Vec<u64> {
        self.woken.take()
    }

    /// Gives a task its turn, if it is still there.
    pub(crate) fn run(&self, number: u64) {
        let (future, alarm) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&number) else {
                return;
            };
            if task.cancelled {
                let ended = tasks.remove(&number);
                drop(tasks);
                return drop(ended);
            }
            (task.future.take(), Arc::clone(&task.alarm))
        };
        let Some(mut future) = future else { return };
        alarm.reset();
        let waker = Waker::from(alarm);
        take_waiting_for();
        let done = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let waiting_for = take_waiting_for();
        let mut tasks = self.tasks.borrow_mut();
        if done {
            let ended = tasks.remove(&number);
            drop(tasks);
            drop(ended);
        } else if let Some(task) = tasks.get_mut(&number) {
            task.waiting_for = waiting_for;
            task.future = Some(future);
        }
    }

    /// Ends a task at its next turn.
    fn cancel(&self, number: u64) {
        let alarm = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&number) else {
                return;
            };
            task.cancelled = true;
            Arc::clone(&task.alarm)
        };
        alarm.wake();
    }

    /// Ends all tasks now.
    pub(crate) fn end_all(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.woken.take();
    }

    /// One line per task: where it was spawned, on which shard, and what it waits for.
    pub(crate) fn list(&self) -> String {
        let mut list = String::new();
        for task in self.tasks.borrow().values() {
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

/// A task of the simulation. Dropped, it is cancelled at its next turn.
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
