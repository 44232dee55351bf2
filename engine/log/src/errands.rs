//! Work on a log's files that is done on the blocking pool while the log goes on: giving space back, writing snapshots.
//!
//! One piece of a log's work runs at a time. It stops at a line that the log draws when its files change their meaning (it is
//! cut, closed, deleted or dropped): what has not begun by then never does, and what has is waited for. It does not know what
//! the work is.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_reactor::{FileSystem, Reactor};

/// Pieces of work under way or in line, per log.
const UNDER_WAY_MAX: usize = 8;

/// What a log has others do.
#[derive(Debug)]
pub(crate) struct Errands {
    reactor: Reactor,
    /// How often a line was drawn. Whoever works holds it.
    lines: Arc<Mutex<u64>>,
    /// The same, known without waiting for whoever works.
    drawn: Cell<u64>,
    under_way: Rc<Cell<usize>>,
}

/// A lock that no panic makes useless: what it guards is a number.
fn lock(lines: &Mutex<u64>) -> MutexGuard<'_, u64> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Errands {
    /// Nothing to do yet.
    pub(crate) fn new(reactor: &Reactor) -> Errands {
        Errands {
            reactor: reactor.clone(),
            lines: Arc::default(),
            drawn: Cell::new(0),
            under_way: Rc::default(),
        }
    }

    /// Whether there is so much under way that more is better done at once.
    pub(crate) fn are_many(&self) -> bool {
        self.under_way.get() >= UNDER_WAY_MAX
    }

    /// Pieces that are not done yet.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Has a piece of work done. `None`: a line was drawn before it began, and nothing has happened. Begun when it is first
    /// polled; dropped later, it is done all the same.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FileSystem) -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        let (reactor, lines) = (self.reactor.clone(), Arc::clone(&self.lines));
        let files = reactor.file_system();
        let asked = self.drawn.get();
        let counted = Counted::one(&self.under_way);
        async move {
            let _counted = counted;
            let guarded = move || {
                let lines = lock(&lines);
                (*lines == asked).then(|| work(&files))
            };
            reactor.unblock(guarded).await
        }
    }

    /// Draws a line: nothing of what was asked for before touches a file after it.
    pub(crate) fn draw_line(&self) {
        self.drawn.set(self.drawn.get() + 1);
        *lock(&self.lines) = self.drawn.get();
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.draw_line();
    }
}

/// One piece, counted for as long as it is held.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn one(count: &Rc<Cell<usize>>) -> Counted {
        count.set(count.get() + 1);
        Counted(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
