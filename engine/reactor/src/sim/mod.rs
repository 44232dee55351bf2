//! The simulated world.
#![allow(
    dead_code,
    unused_variables,
    clippy::unused_async,
    clippy::unimplemented
)]
pub(crate) mod clock {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll},
    };
    #[derive(Debug)]
    pub(crate) struct Sleep;
    impl Future for Sleep {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            unimplemented!()
        }
    }
}
pub(crate) mod task {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll},
    };
    #[derive(Debug)]
    pub(crate) struct Handle<T>(std::marker::PhantomData<T>);
    impl<T> Unpin for Handle<T> {}
    impl<T> Handle<T> {
        pub(crate) fn detach(self) {}
    }
    impl<T> Future for Handle<T> {
        type Output = T;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
            unimplemented!()
        }
    }
}
pub(crate) mod disk;
pub(crate) mod net;
use crate::file::{Entry, File, OpenOptions};
use crate::shard::ShardId;
use crate::socket::{ListenerWorld, SocketWorld};
use crate::task::{Sleep, Task};
use crate::time::Instant;
pub use disk::{Crash, Disk, Operation};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Every shard, one clock, one disk and one network, in one thread.
#[derive(Clone, Debug)]
pub struct World;

impl World {
    /// A world of one shard in which all chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_shards(seed, 1)
    }
    /// A world of `shards` shards.
    pub fn with_shards(seed: u64, shards: u16) -> Self {
        unimplemented!()
    }
    /// A shard's handle.
    pub fn shard(&self, id: ShardId) -> crate::Reactor {
        unimplemented!()
    }
    /// Runs `future` and everything spawned until it is done; panics, with a list of what everyone waits for, when
    /// everything is asleep for ever.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        unimplemented!()
    }
    /// The disk.
    pub fn disk(&self) -> Disk {
        unimplemented!()
    }
    /// Ends every task and connection, as the end of the process would; the disk keeps what it has.
    pub fn restart(&self) {
        unimplemented!()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Shard;

impl Shard {
    pub(crate) fn receiving(&self) -> crate::bell::Receiving {
        unimplemented!()
    }
    pub(crate) fn id(&self) -> ShardId {
        unimplemented!()
    }
    pub(crate) fn shards(&self) -> u16 {
        unimplemented!()
    }
    pub(crate) fn now(&self) -> Instant {
        unimplemented!()
    }
    pub(crate) fn unix_ms(&self) -> i64 {
        unimplemented!()
    }
    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        unimplemented!()
    }
    pub(crate) fn sleep_until(&self, when: Instant) -> Sleep {
        unimplemented!()
    }
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        unimplemented!()
    }
    pub(crate) async fn yield_now(&self) {
        unimplemented!()
    }
    pub(crate) async fn unblock<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> T {
        unimplemented!()
    }
    pub(crate) fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        unimplemented!()
    }
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        unimplemented!()
    }
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        unimplemented!()
    }
    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn sync_data(&self, file: &File) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn prefetch(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<ListenerWorld> {
        unimplemented!()
    }
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<SocketWorld> {
        unimplemented!()
    }
    pub(crate) fn adopt(&self, socket: crate::DetachedSocket) -> io::Result<SocketWorld> {
        unimplemented!()
    }
}
