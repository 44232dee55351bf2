//! The shard's own io_uring, for what waits for a device: syncs under way. A completion is one more ring of the shard's bell, so
//! that the shard waits in its epoll set for this as for everything else. It knows neither tasks nor what is synced.
//!
//! ```text
//!   sync_data ──► in line ──► submit: one call for all of a round ──► kernel's workers
//!   woken     ◄── reap: no call, the queue is memory ◄── bell ◄───────────────┘
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode};

use crate::file::{Backing, File};
use crate::local::oneshot;

/// Syncs that the kernel has at once; more wait in line. Its workers are as many at most.
const UNDER_WAY_MAX: usize = 128;

/// What is under way in the ring of one shard.
pub(super) struct Ring {
    uring: RefCell<IoUring>,
    syncs: RefCell<Syncs>,
    /// There are entries that the kernel has not been given yet.
    to_submit: Cell<bool>,
}

#[derive(Default)]
struct Syncs {
    in_line: VecDeque<Request>,
    /// By the number that the kernel gives back.
    under_way: Vec<Option<Request>>,
    free: Vec<usize>,
}

/// A file to be synced.
struct Request {
    /// Open until the kernel is done with it.
    file: File,
    descriptor: Fd,
    told: oneshot::Sender<io::Result<()>>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("under_way", &self.syncs.borrow().under_way_len())
            .finish_non_exhaustive()
    }
}

impl Syncs {
    fn under_way_len(&self) -> usize {
        self.under_way.len() - self.free.len()
    }

    /// The number under which the next in line is under way, and its descriptor.
    fn begin(&mut self) -> Option<(usize, Fd)> {
        if self.under_way_len() == UNDER_WAY_MAX {
            return None;
        }
        let request = self.in_line.pop_front()?;
        let descriptor = request.descriptor;
        let number = self.free.pop().unwrap_or_else(|| {
            self.under_way.push(None);
            self.under_way.len() - 1
        });
        self.under_way[number] = Some(request);
        Some((number, descriptor))
    }

    /// What is under way as `number` has come to `result`: who is to be told, unless it begins again.
    fn end(&mut self, number: usize, result: i32) -> Option<(Request, io::Result<()>)> {
        let request = self.under_way[number].take();
        let request = request.expect("the kernel completes what is under way, once");
        self.free.push(number);
        match -result {
            libc::EINTR => {
                self.in_line.push_back(request);
                None
            }
            ..=0 => Some((request, Ok(()))),
            error => Some((request, Err(io::Error::from_raw_os_error(error)))),
        }
    }
}

impl Ring {
    /// A ring whose completions signal `bell`, an eventfd.
    pub(super) fn new(bell: BorrowedFd<'_>) -> io::Result<Self> {
        let entries = u32::try_from(UNDER_WAY_MAX).expect("a small number");
        // The queue of completions has twice as many entries: it cannot overflow.
        let mut uring = IoUring::new(entries)?;
        // Whoever allows a ring may still forbid its use: that is found out now.
        // SAFETY: it does nothing, with nothing.
        unsafe { uring.submission().push(&opcode::Nop::new().build()) }.expect("it is empty");
        uring.submit_and_wait(1)?;
        uring.completion().for_each(drop);
        uring.submitter().register_eventfd(bell.as_raw_fd())?;
        Ok(Self {
            uring: RefCell::new(uring),
            syncs: RefCell::default(),
            to_submit: Cell::new(false),
        })
    }

    /// Syncs a file's data: begun with the next [`Self::submit`], whether anybody waits for it or not.
    pub(super) fn sync_data(&self, file: File) -> oneshot::Receiver<io::Result<()>> {
        let (told, receiver) = oneshot::channel();
        let descriptor = match file.backing() {
            Backing::Machine(machine) => Fd(machine.as_raw_fd()),
            Backing::Sim(_) => {
                let error = io::Error::new(io::ErrorKind::Unsupported, "it is of another world");
                let _ = told.send(Err(error));
                return receiver;
            }
        };
        self.syncs.borrow_mut().in_line.push_back(Request {
            file,
            descriptor,
            told,
        });
        self.to_submit.set(true);
        receiver
    }

    /// Whether a sync was asked for that has not come to its end.
    pub(super) fn is_busy(&self) -> bool {
        let syncs = self.syncs.borrow();
        !syncs.in_line.is_empty() || syncs.under_way_len() > 0
    }

    /// Whether [`Self::submit`] has something to do.
    pub(super) fn has_to_submit(&self) -> bool {
        self.to_submit.get()
    }

    /// Whether [`Self::reap`] has something to do.
    pub(super) fn has_completions(&self) -> bool {
        !self.uring.borrow_mut().completion().is_empty()
    }

    /// Gives the kernel what is in line. Where it has no memory for that, [`Self::has_to_submit`] stays true.
    pub(super) fn submit(&self) {
        let mut uring = self.uring.borrow_mut();
        let mut syncs = self.syncs.borrow_mut();
        let mut queue = uring.submission();
        while !queue.is_full()
            && let Some((number, descriptor)) = syncs.begin()
        {
            let sync = opcode::Fsync::new(descriptor).flags(FsyncFlags::DATASYNC);
            let entry = sync.build().user_data(number as u64);
            // SAFETY: the descriptor stays open until the completion, because the file lies in `under_way` until then; there are
            // no buffers.
            unsafe { queue.push(&entry) }.expect("it is not full");
        }
        drop(queue);
        loop {
            match uring.submit() {
                Ok(_) => break self.to_submit.set(!uring.submission().is_empty()),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {
                        break tracing::debug!(%error, "syncs are put off");
                    }
                    _ => panic!("a ring of our own cannot fail: {error}"),
                },
            }
        }
    }

    /// Tells those whose syncs have ended.
    pub(super) fn reap(&self) {
        while let Some(completion) = self.next_completion() {
            let number = usize::try_from(completion.user_data()).expect("it was one");
            let ended = self.syncs.borrow_mut().end(number, completion.result());
            if let Some((Request { file, told, .. }, result)) = ended {
                drop(file);
                let _ = told.send(result);
            }
            if !self.syncs.borrow().in_line.is_empty() {
                // There is a place for the next.
                self.to_submit.set(true);
            }
        }
    }

    fn next_completion(&self) -> Option<io_uring::cqueue::Entry> {
        self.uring.borrow_mut().completion().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_line(syncs: &mut Syncs) -> oneshot::Receiver<io::Result<()>> {
        let machine = std::fs::File::open("/dev/null").expect("every machine has it");
        let descriptor = Fd(machine.as_raw_fd());
        let file = File::new("/dev/null".into(), Backing::Machine(machine));
        let (told, receiver) = oneshot::channel();
        syncs.in_line.push_back(Request {
            file,
            descriptor,
            told,
        });
        receiver
    }

    #[test]
    fn an_interrupted_sync_gets_in_line_again_and_the_others_are_told() {
        let mut syncs = Syncs::default();
        let _receivers = [(); 3].map(|()| in_line(&mut syncs));
        let numbers = [(); 3].map(|()| syncs.begin().expect("one in line").0);
        assert_eq!((numbers, syncs.begin().is_none()), ([0, 1, 2], true));

        assert!(syncs.end(1, -libc::EINTR).is_none());
        assert_eq!((syncs.in_line.len(), syncs.under_way_len()), (1, 2));
        let (_, result) = syncs.end(0, 0).expect("told");
        assert!(result.is_ok());
        let (_, result) = syncs.end(2, -libc::EIO).expect("told");
        let number = result.expect_err("it failed").raw_os_error();
        assert_eq!(number, Some(libc::EIO));
        let again = syncs.begin().expect("the interrupted one").0;
        assert!(
            syncs
                .end(again, 0)
                .is_some_and(|(_, result)| result.is_ok())
        );
        assert_eq!((syncs.in_line.len(), syncs.under_way_len()), (0, 0));
    }

    #[test]
    fn no_more_are_under_way_than_the_ring_takes() {
        let mut syncs = Syncs::default();
        let _receivers: Vec<_> = (0..=UNDER_WAY_MAX).map(|_| in_line(&mut syncs)).collect();
        for expected in 0..UNDER_WAY_MAX {
            assert_eq!(syncs.begin().map(|(number, _)| number), Some(expected));
        }
        assert!(syncs.begin().is_none());
        assert!(syncs.end(7, 0).is_some());
        assert_eq!(syncs.begin().map(|(number, _)| number), Some(7));
    }
}
