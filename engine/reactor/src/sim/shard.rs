//! A shard of the simulated world: how each request to the reactor is met.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::net::Socket;
use super::world::Core;
use crate::bell::Receiving;
use crate::clock::{Clock, Sleep};
use crate::file::{Backing, File, Space};
use crate::file_system::FileSystem;
use crate::local::Permit;
use crate::shard::ShardId;
use crate::socket::{DetachedSocket, DetachedWorld, ListenerWorld, SocketWorld};
use crate::task::Task;
use crate::time::Instant;

/// One shard of a simulated world.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    core: Rc<Core>,
    id: ShardId,
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Shard {
    pub(super) fn new(core: Rc<Core>, id: ShardId) -> Self {
        Self { core, id }
    }

    pub(crate) fn receiving(&self) -> Receiving {
        Receiving {
            me: self.id,
            bells: Arc::clone(&self.core.bells),
            ports: Rc::clone(&self.core.ports[self.id.index()]),
        }
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn shards(&self) -> u16 {
        self.core.shards
    }

    fn clock(&self) -> &Rc<Clock> {
        &self.core.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn unix_ms(&self) -> i64 {
        self.core
            .unix_ms_at_start
            .get()
            .saturating_add(millis(self.now().since_start()))
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        self.core.chance.borrow_mut().fill(bytes);
    }

    pub(crate) fn sleep_until(&self, when: Instant) -> Sleep {
        self.clock().sleep_until(when)
    }

    #[track_caller]
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        Task::new(self.core.tasks.spawn(self.id, Location::caller(), future))
    }

    pub(crate) async fn yield_now(&self) {
        self.receiving().yield_now().await;
    }

    pub(crate) async fn unblock<T, F>(&self, work: F) -> T
    where
        F: FnOnce() -> T,
    {
        self.wait(Duration::from_micros(10), Duration::from_micros(500))
            .await;
        work()
    }

    pub(crate) async fn slow_turn(&self) -> Permit {
        self.core.slow[self.id.index()].acquire(1).await
    }

    /// The same: there are threads enough.
    pub(crate) async fn unblock_slow<T, F>(&self, work: F) -> T
    where
        F: FnOnce() -> T,
    {
        self.unblock(work).await
    }

    /// Waits for a time between the two, by chance.
    async fn wait(&self, least: Duration, most: Duration) {
        let duration = self.core.between(least, most);
        self.clock().sleep(duration).await;
    }

    async fn wait_for_the_disk(&self) {
        let (least, most) = self.core.disk.sync_time();
        self.wait(least, most).await;
    }

    pub(crate) fn file_system(&self) -> FileSystem {
        FileSystem::of_sim(self.core.disk.clone())
    }

    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.core.disk.remove_dir_all(path)
    }

    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.core.disk.create_dir(path)
    }

    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.core.disk.create_dir_all(path)
    }

    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.core.disk.exists(path))
    }

    pub(crate) fn space(&self, path: &Path) -> io::Result<Space> {
        self.core.disk.space(path)
    }

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let begun = self.core.disk.begin_sync_dir(path)?;
        self.wait_for_the_disk().await;
        self.core.disk.finish_sync_dir(begun)
    }

    pub(crate) fn last_sync(&self) -> Option<Instant> {
        self.core.last_sync[self.id.index()].get()
    }

    pub(crate) async fn sync_data(&self, file: &File) -> io::Result<()> {
        let Backing::Sim(handle) = file.backing() else {
            return Err(of_another_world());
        };
        let begun = handle.begin_sync()?;
        let last = &self.core.last_sync[self.id.index()];
        last.set(Some(self.now()));
        self.wait_for_the_disk().await;
        last.set(Some(self.now()));
        handle.finish_sync(begun)
    }

    pub(crate) async fn prefetch(&self, file: &File, _: u64, _: u64) -> io::Result<()> {
        let Backing::Sim(handle) = file.backing() else {
            return Err(of_another_world());
        };
        handle.len()?;
        if self.core.chance.borrow_mut().percent(25) {
            self.wait(Duration::from_micros(10), Duration::from_micros(500))
                .await;
        }
        Ok(())
    }

    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<ListenerWorld> {
        self.core.net.listen(address).map(ListenerWorld::Sim)
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<SocketWorld> {
        self.yield_now().await;
        let end = self.core.net.connect(address)?;
        Ok(SocketWorld::Sim(Rc::new(Socket::adopt(end))))
    }

    pub(crate) fn adopt(&self, socket: DetachedSocket) -> io::Result<SocketWorld> {
        let DetachedWorld::Sim(end) = socket.inner else {
            return Err(of_another_world());
        };
        Ok(SocketWorld::Sim(Rc::new(Socket::adopt(end))))
    }
}

fn of_another_world() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "it is of another world")
}
