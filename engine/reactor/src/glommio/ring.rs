//! The shard's door to io_uring, which is glommio's: syncs under way, and a park in the ring for as long as there are
//! any. It knows neither tasks nor what is synced.
//!
//! While nothing is under way the shard waits in its epoll set alone: a wait through the ring costs four more system
//! calls. While something is, it parks in the ring, with a poll of the epoll set armed there; whichever comes first ends
//! the park.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use ::glommio::GlommioError;
use ::glommio::io::BufferedFile;
use ::glommio::net::TcpStream;
use futures_io::AsyncRead;

use crate::file::{Backing, File};
use crate::local::oneshot;

/// What is under way in the ring of one shard.
#[derive(Default)]
pub(super) struct Ring {
    under_way: Cell<usize>,
    /// Something was begun that the kernel has not been given yet.
    to_submit: Cell<bool>,
    /// The poll of the epoll set, armed once and kept until it fires.
    armed: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    parked: RefCell<Option<Waker>>,
    ended: Cell<bool>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("under_way", &self.under_way.get())
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Whether anything is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.get() > 0
    }

    /// Whether something was begun since the last [`Self::park`].
    pub(super) fn has_to_submit(&self) -> bool {
        self.to_submit.get()
    }

    /// Syncs a file's data. It is begun at the call and goes on when the future is dropped; `before_waking` runs when it
    /// is done, before whoever waits is woken.
    pub(super) fn sync_data(
        self: &Rc<Self>,
        file: File,
        before_waking: impl FnOnce() + 'static,
    ) -> oneshot::Receiver<io::Result<()>> {
        let (sender, receiver) = oneshot::channel();
        self.under_way.set(self.under_way.get() + 1);
        self.to_submit.set(true);
        let ring = Rc::clone(self);
        let syncing = async move {
            let result = fdatasync(&file).await;
            drop(file);
            ring.under_way.set(ring.under_way.get() - 1);
            before_waking();
            let _ = sender.send(result);
            ring.unpark();
        };
        ::glommio::spawn_local(syncing).detach();
        receiver
    }

    /// Gives the kernel what was begun, and waits in the ring until something is done there or `epoll` is readable.
    pub(super) async fn park(&self, epoll: BorrowedFd<'_>) {
        self.to_submit.set(false);
        self.ended.set(false);
        let epoll = epoll.as_raw_fd();
        let mut parked = false;
        poll_fn(|context| {
            if self.ended.get() {
                return Poll::Ready(());
            }
            let mut armed = self.armed.borrow_mut();
            if let Some(poll) = &mut *armed
                && poll.as_mut().poll(context).is_ready()
            {
                *armed = None;
                if parked {
                    return Poll::Ready(());
                }
                // It fired before this park, for what has been seen since.
            }
            if armed.is_none() {
                let mut poll: Pin<Box<dyn Future<Output = ()>>> = Box::pin(readable(epoll));
                // Never ready at once: it has yet to go through the ring.
                let _ = poll.as_mut().poll(context);
                *armed = Some(poll);
            }
            parked = true;
            *self.parked.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        self.parked.borrow_mut().take();
    }

    fn unpark(&self) {
        self.ended.set(true);
        let parked = self.parked.borrow_mut().take();
        if let Some(waker) = parked {
            waker.wake();
        }
    }
}

async fn fdatasync(file: &File) -> io::Result<()> {
    let Backing::Machine(machine) = file.backing() else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is of another world",
        ));
    };
    // SAFETY: the descriptor stays open, because `file` outlives this future, and it stays ours: glommio's handle is
    // never dropped.
    let handle = ManuallyDrop::new(unsafe { BufferedFile::from_raw_fd(machine.as_raw_fd()) });
    loop {
        match handle.fdatasync().await.map_err(system_error) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// glommio's error with the system's number in it, where there is one: its own conversion drops that.
pub(crate) fn system_error(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::from(error),
    }
}

/// Waits until an epoll descriptor is readable, through glommio's public door alone: a stream made from a raw
/// descriptor arms a poll, and a read of it stays pending until that fires. The read itself then fails, because an
/// epoll set is no socket. A stream serves once: the next read would fail without waiting.
async fn readable(epoll: RawFd) {
    // SAFETY: the descriptor is open, and the stream does not own it: it is never dropped, whether the wait ends or
    // is cut off (a cut-off one leaves a few hundred bytes behind, once per shard).
    let mut stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(epoll) });
    let _ = poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut [0])).await;
}
