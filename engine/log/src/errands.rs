//! Work on a log's files that is done on the blocking pool while the log goes on: giving space back, writing snapshots.
//!
//! What is asked for in one turn of the shard is one job of the pool, and a log has one job at a time. The work stops at a line
//! that the log draws when its files change their meaning (it is cut, closed, deleted or dropped): what has not begun by then
//! never does, and what has is waited for. It does not know what the work is.
//!
//! ```text
//!   asked for    trim, write      rename    trim                cut: a line
//!   the pool       |--- job ---|--- job ---|      the trim never begins
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_reactor::local::{Notify, oneshot};
use highwater_reactor::{FileSystem, Reactor};

/// Pieces of work under way or in line, per log.
const UNDER_WAY_MAX: usize = 8;

/// What a log has others do.
#[derive(Debug)]
pub(crate) struct Errands {
    shared: Rc<Shared>,
}

/// Asks for errands, also while nobody can borrow the log. In vain after a line that was drawn since it was made.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    shared: Rc<Shared>,
    /// How many lines had been drawn when it was made.
    drawn: u64,
}

#[derive(Debug)]
struct Shared {
    reactor: Reactor,
    /// How often a line was drawn. Whoever works holds it.
    lines: Arc<Mutex<u64>>,
    /// The same, known without waiting for whoever works.
    drawn: Cell<u64>,
    /// What was asked for and has not been given to the pool.
    waiting: RefCell<Vec<Piece>>,
    is_serving: Cell<bool>,
    under_way: Cell<usize>,
    /// Rings when nothing is under way any more.
    at_rest: Notify,
}

type Work = Box<dyn FnOnce(&FileSystem) + Send>;

/// A piece of work and who is told of its end.
struct Piece {
    work: Work,
    told: Told,
}

struct Told {
    done: oneshot::Sender<()>,
    _counted: Counted,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece").finish_non_exhaustive()
    }
}

/// A lock that no panic makes useless: what it guards is whole between statements.
pub(crate) fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Errands {
    /// Nothing to do yet.
    pub(crate) fn new(reactor: &Reactor) -> Errands {
        let shared = Shared {
            reactor: reactor.clone(),
            lines: Arc::default(),
            drawn: Cell::new(0),
            waiting: RefCell::default(),
            is_serving: Cell::new(false),
            under_way: Cell::new(0),
            at_rest: Notify::new(),
        };
        Errands {
            shared: Rc::new(shared),
        }
    }

    /// Whether there is so much under way that more is better done at once.
    pub(crate) fn are_many(&self) -> bool {
        self.shared.under_way.get() >= UNDER_WAY_MAX
    }

    /// Whoever asks, for one piece of work or for several with waits between them.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            shared: Rc::clone(&self.shared),
            drawn: self.shared.drawn.get(),
        }
    }

    /// Resolves when nothing is under way or in line.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let shared = Rc::clone(&self.shared);
        async move {
            while shared.under_way.get() > 0 {
                shared.at_rest.notified().await;
            }
        }
    }

    /// Draws a line: nothing of what was asked for before touches a file after it.
    pub(crate) fn draw_line(&self) {
        let shared = &self.shared;
        shared.drawn.set(shared.drawn.get() + 1);
        let called_off = shared.waiting.take();
        *lock(&shared.lines) = shared.drawn.get();
        drop(called_off);
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.draw_line();
    }
}

impl Asking {
    /// Has a piece of work done, whether the future is polled or not. `None`: a line was drawn before it began, and nothing
    /// has happened.
    pub(crate) fn run<T: Send + 'static, W: FnOnce(&FileSystem) -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Option<T>> + use<T, W> {
        let outcome: Arc<Mutex<Option<T>>> = Arc::default();
        let place = Arc::clone(&outcome);
        let (done, ended) = oneshot::channel();
        let piece = Piece {
            work: Box::new(move |files| {
                let given = work(files);
                *lock(&place) = Some(given);
            }),
            told: Told {
                done,
                _counted: self.counted(),
            },
        };
        if self.shared.drawn.get() == self.drawn {
            self.shared.waiting.borrow_mut().push(piece);
            Shared::serve(&self.shared);
        } else {
            drop(piece);
        }
        async move {
            // Whoever was called off goes without a word.
            let _ = ended.await;
            lock(&outcome).take()
        }
    }

    /// Counts as work under way for as long as it is held.
    pub(crate) fn counted(&self) -> Counted {
        let under_way = &self.shared.under_way;
        under_way.set(under_way.get() + 1);
        Counted(Rc::clone(&self.shared))
    }
}

impl Shared {
    /// Sees to it that what waits is done.
    fn serve(shared: &Rc<Shared>) {
        if shared.is_serving.replace(true) {
            return;
        }
        let serving = Rc::clone(shared);
        shared.reactor.spawn(serving.jobs()).detach();
    }

    async fn jobs(self: Rc<Shared>) {
        loop {
            let pieces = self.waiting.take();
            if pieces.is_empty() {
                return self.is_serving.set(false);
            }
            let (works, told): (Vec<Work>, Vec<Told>) = pieces
                .into_iter()
                .map(|piece| (piece.work, piece.told))
                .unzip();
            let (lines, drawn) = (Arc::clone(&self.lines), self.drawn.get());
            let files = self.reactor.file_system();
            let job = move || {
                for work in works {
                    // Who draws a line waits for one piece.
                    let lines = lock(&lines);
                    if *lines != drawn {
                        return;
                    }
                    work(&files);
                }
            };
            self.reactor.unblock(job).await;
            for told in told {
                let _ = told.done.send(());
            }
        }
    }
}

/// Work under way.
#[derive(Debug)]
pub(crate) struct Counted(Rc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.under_way.get() - 1;
        self.0.under_way.set(left);
        if left == 0 {
            self.0.at_rest.notify_all();
        }
    }
}
