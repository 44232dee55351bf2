//! Threads for work that blocks: a bounded number of them, a bounded line of jobs per shard, and a panic that comes
//! back to the one who asked. It does not know what the work is.

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

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    closing: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs.len())
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
    fn submit(&self, job: Job) {
        let mut state = lock(&self.line.state);
        state.jobs.push_back(job);
        let short_of_threads = state.idle < state.jobs.len();
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
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
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
        while let Some(job) = { lock(&self.state).jobs.pop_front() } {
            job();
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
        self.pool.submit(Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            *lock(&place) = Some(result);
            drop(place);
            done.push(number);
            bells.ring(me);
        }));
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
