//! Files that were renamed away, until the delay is over after which their bytes go.
//!
//! They go one after the other, beside what the log does: of a retention that takes a thousand segments one file is held open
//! at a time. It does not know what the files were.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use highwater_reactor::{Instant, Reactor};

use crate::error::{Error, Fence};

/// Files that wait. What is in it when the log is dropped goes with the log's directory, or when that is opened next.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: RefCell<VecDeque<(Instant, PathBuf)>>,
    /// Whether files are being removed.
    is_emptied: Cell<bool>,
}

impl Graveyard {
    /// Takes a file, which goes at `due`.
    pub(crate) fn bury(&self, due: Instant, path: PathBuf) {
        self.shared.files.borrow_mut().push_back((due, path));
    }

    /// Begins to remove the files whose delay is over. A failure fences.
    pub(crate) fn empty(&self, reactor: &Reactor, fence: &Fence) {
        let shared = Rc::clone(&self.shared);
        if shared.next_due(reactor.now()).is_none() || shared.is_emptied.replace(true) {
            return;
        }
        let (removing, fence) = (reactor.clone(), fence.clone());
        let emptied = async move {
            if let Err(error) = shared.remove_due(&removing, &fence).await {
                tracing::warn!(%error, "a file that was deleted remains for now");
            }
            shared.is_emptied.set(false);
        };
        reactor.spawn(emptied).detach();
    }
}

impl Drop for Graveyard {
    fn drop(&mut self) {
        self.shared.files.take();
    }
}

impl Shared {
    fn next_due(&self, now: Instant) -> Option<PathBuf> {
        let files = self.files.borrow();
        let (due, path) = files.front()?;
        (*due <= now).then(|| path.clone())
    }

    async fn remove_due(&self, reactor: &Reactor, fence: &Fence) -> Result<(), Error> {
        while let Some(path) = self.next_due(reactor.now()) {
            fence.check()?;
            match reactor.remove_large_file(&path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::write(fence, "remove", &path, error));
                }
                Ok(()) | Err(_) => {}
            }
            self.files.borrow_mut().pop_front();
        }
        Ok(())
    }
}
