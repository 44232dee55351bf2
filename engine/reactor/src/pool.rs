//! Threads for work that blocks: a bounded number of them, a bounded line of jobs per shard, and a panic that comes
//! back to the one who asked. It does not know what the work is, only that slow jobs must not keep the others from a thread:
//! one of them is under way at a time, and one of each shard in line.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};

use crossbeam::queue::SegQueue;

use crate::bell::{Port, Receiving};
use crate::local::{Permit, Semaphore};
use crate::sys;
use crate::task::pending;

type Job = Box<dyn FnOnce() + Send>;

/// What a job gave, or its panic.
type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// The threads, shared by all shards. They end when the pool is dropped and its jobs are done.
#[derive(Debug)]
pub(crate) struct Pool {
    line: Arc<Line>,
    threads_max: usize,
    name: String,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

/// How long a job keeps a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// As long as a call that waits for the device once.
    Usual,
    /// A quarter of a second and more.
    Slow,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    slow: VecDeque<Job>,
    /// Whether a thread is at a slow job.
    at_slow: bool,
    /// Whether the last job that was begun was a slow one: the next is not, where another waits. A single thread serves both.
    slow_was_last: bool,
    idle: usize,
    closing: bool,
}

impl State {
    /// How many jobs could be begun now.
    fn ready(&self) -> usize {
        self.jobs.len() + usize::from(!self.at_slow && !self.slow.is_empty())
    }

    /// The job that is to be begun now.
    fn begin(&mut self) -> Option<(Job, Pace)> {
        let passes = self.at_slow || (self.slow_was_last && !self.jobs.is_empty());
        let slow = if passes { None } else { self.slow.pop_front() };
        self.slow_was_last = slow.is_some();
        match slow {
            Some(job) => {
                self.at_slow = true;
                Some((job, Pace::Slow))
            }
            None => self.jobs.pop_front().map(|job| (job, Pace::Usual)),
        }
    }

    fn ended(&mut self, pace: Pace) {
        if pace == Pace::Slow {
            self.at_slow = false;
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs.len())
            .field("slow", &self.slow.len())
            .field("idle", &self.idle)
            .finish()
    }
}

/// A lock that no panic makes useless: what it guards is whole between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(threads_max: u16, name: &str) -> Self {
        Self {
            line: Arc::default(),
            threads_max: usize::from(threads_max.max(1)),
            name: name.to_owned(),
            threads: Mutex::default(),
        }
    }

    /// Puts a job in line. The line is bounded by the permits that the shards give out.
    fn submit(&self, job: Job, pace: Pace) {
        let mut state = lock(&self.line.state);
        match pace {
            Pace::Usual => state.jobs.push_back(job),
            Pace::Slow => state.slow.push_back(job),
        }
        let short_of_threads = state.idle < state.ready();
        drop(state);
        if short_of_threads {
            self.start_a_thread();
        }
        self.line.changed.notify_one();
    }

    fn start_a_thread(&self) {
        let mut threads = lock(&self.threads);
        if threads.len() >= self.threads_max {
            return;
        }
        let line = Arc::clone(&self.line);
        let name = format!("{}-blocking-{}", self.name, threads.len());
        match thread::Builder::new().name(name).spawn(move || {
            sys::take_usual_turns();
            line.serve();
        }) {
            Ok(thread) => threads.push(thread),
            Err(error) if threads.is_empty() => {
                // Nobody would ever do the job: that is worse than doing it here.
                drop(threads);
                tracing::warn!(%error, "no thread for blocking work: it blocks its shard");
                self.line.serve_what_is_there();
            }
            Err(_) => {}
        }
    }
}

impl Line {
    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some((job, pace)) = state.begin() {
                drop(state);
                job();
                state = lock(&self.state);
                state.ended(pace);
            } else if state.closing {
                return;
            } else {
                state.idle += 1;
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn serve_what_is_there(&self) {
        while let Some((job, pace)) = { lock(&self.state).begin() } {
            job();
            lock(&self.state).ended(pace);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.line.state).closing = true;
        self.line.changed.notify_all();
        for thread in lock(&self.threads).drain(..) {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// One shard's side of the pool: who waits for which job.
pub(crate) struct Desk {
    pool: Arc<Pool>,
    receiving: Receiving,
    done: Arc<SegQueue<u64>>,
    permits: Semaphore,
    /// One: a shard has one slow job in line.
    slow: Semaphore,
    jobs: RefCell<Jobs>,
}

#[derive(Default)]
struct Jobs {
    next: u64,
    under_way: BTreeMap<u64, UnderWay>,
}

struct UnderWay {
    waker: Option<Waker>,
    _permit: Permit,
}

impl Desk {
    /// A desk for one shard with at most `jobs_max` jobs in the pool at once.
    pub(crate) fn new(pool: Arc<Pool>, receiving: Receiving, jobs_max: usize) -> Rc<Self> {
        let desk = Rc::new(Self {
            pool,
            receiving,
            done: Arc::default(),
            permits: Semaphore::new(jobs_max.max(1)),
            slow: Semaphore::new(1),
            jobs: RefCell::default(),
        });
        let port: Rc<dyn Port> = Rc::clone(&desk) as Rc<dyn Port>;
        desk.receiving.ports.add(Rc::downgrade(&port));
        desk
    }

    /// Runs `work` on the pool; resumes its panic here.
    pub(crate) async fn run<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_at(Pace::Usual, work).await
    }

    /// The shard's turn for [`Self::run_slow`].
    pub(crate) async fn slow_turn(&self) -> Permit {
        self.slow.acquire(1).await
    }

    /// The same for work that keeps a thread for long, from who has the shard's turn.
    pub(crate) async fn run_slow<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_at(Pace::Slow, work).await
    }

    async fn run_at<T, F>(&self, pace: Pace, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let permit = self.permits.acquire(1).await;
        let number = {
            let mut jobs = self.jobs.borrow_mut();
            let number = jobs.next;
            jobs.next += 1;
            jobs.under_way.insert(
                number,
                UnderWay {
                    waker: None,
                    _permit: permit,
                },
            );
            number
        };
        let outcome: Arc<Mutex<Option<Outcome<T>>>> = Arc::default();
        let (place, done) = (Arc::clone(&outcome), Arc::clone(&self.done));
        let (bells, me) = (Arc::clone(&self.receiving.bells), self.receiving.me);
        let job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            *lock(&place) = Some(result);
            drop(place);
            done.push(number);
            bells.ring(me);
        });
        self.pool.submit(job, pace);
        poll_fn(
            |context| match self.jobs.borrow_mut().under_way.get_mut(&number) {
                Some(job) => {
                    job.waker = Some(context.waker().clone());
                    pending("the blocking pool")
                }
                None => Poll::Ready(()),
            },
        )
        .await;
        let result = lock(&outcome)
            .take()
            .expect("a job reports done after it left its outcome");
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Port for Desk {
    fn drain(&self) {
        while let Some(number) = self.done.pop() {
            let job = self.jobs.borrow_mut().under_way.remove(&number);
            if let Some(waker) = job.and_then(|job| job.waker) {
                waker.wake();
            }
        }
    }

    fn has_arrivals(&self) -> bool {
        !self.done.is_empty()
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("free", &self.permits.free())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn slow_jobs_keep_one_thread_and_leave_the_others_to_the_rest() {
        for threads in [2, 4] {
            let pool = Pool::new(threads, "test");
            let (at_work, begun) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let may_go_on = Arc::new(Mutex::new(may_go_on));
            let under_way = Arc::new(AtomicUsize::new(0));
            for _ in 0..8 {
                let (at_work, may_go_on) = (at_work.clone(), Arc::clone(&may_go_on));
                let under_way = Arc::clone(&under_way);
                let slow = move || {
                    let others = under_way.fetch_add(1, Ordering::SeqCst);
                    at_work.send(others).unwrap();
                    lock(&may_go_on).recv().unwrap();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                };
                pool.submit(Box::new(slow), Pace::Slow);
            }
            for _ in 0..8 {
                assert_eq!(begun.recv().unwrap(), 0, "one at a time");
                // While it is at work, whatever else is asked for is done.
                for _ in 0..10 {
                    let (done, is_done) = mpsc::channel();
                    pool.submit(Box::new(move || done.send(()).unwrap()), Pace::Usual);
                    is_done.recv().unwrap();
                }
                go_on.send(()).unwrap();
            }
        }
    }

    #[test]
    fn a_single_thread_serves_slow_jobs_and_the_others_in_turn() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut state = State::default();
        for number in 0..3 {
            for pace in [Pace::Slow, Pace::Usual] {
                let order = Arc::clone(&order);
                let job: Job = Box::new(move || lock(&order).push((number, pace)));
                match pace {
                    Pace::Usual => state.jobs.push_back(job),
                    Pace::Slow => state.slow.push_back(job),
                }
            }
        }
        while let Some((job, pace)) = state.begin() {
            job();
            state.ended(pace);
        }
        let expected: Vec<_> = (0..3)
            .flat_map(|number| [(number, Pace::Slow), (number, Pace::Usual)])
            .collect();
        assert_eq!(*lock(&order), expected);
    }
}
