//! One shard's handle on the world: everything the engine asks of the machine goes through it. It dispatches to one
//! of two worlds and decides nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::bell::Receiving;
use crate::clock::Sleep;
use crate::file::{Backing, Entry, File, OpenOptions, Space};
use crate::file_system::FileSystem;
use crate::local::{Either, Permit, race};
use crate::shard::ShardId;
use crate::socket::{DetachedSocket, Listener, Socket};
use crate::task::Task;
use crate::time::Instant;
use crate::{glommio, sim};

/// A shard's handle on the world. Cheap to clone; bound to its thread.
#[derive(Clone, Debug)]
pub struct Reactor {
    world: World,
}

#[derive(Clone, Debug)]
pub(crate) enum World {
    Glommio(Rc<glommio::Shard>),
    Sim(sim::Shard),
}

macro_rules! ask {
    ($self:expr, $world:ident => $answer:expr) => {
        match &$self.world {
            World::Glommio($world) => $answer,
            World::Sim($world) => $answer,
        }
    };
}

impl Reactor {
    pub(crate) fn new(world: World) -> Self {
        Self { world }
    }

    pub(crate) fn receiving(&self) -> Receiving {
        ask!(self, world => world.receiving())
    }

    /// The shard this is.
    pub fn shard(&self) -> ShardId {
        ask!(self, world => world.id())
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        ask!(self, world => world.shards())
    }

    // Time and chance.

    /// Monotonic time since the start of the world.
    pub fn now(&self) -> Instant {
        ask!(self, world => world.now())
    }

    /// Wall-clock time in milliseconds since 1970. It may jump, in either direction.
    pub fn unix_ms(&self) -> i64 {
        ask!(self, world => world.unix_ms())
    }

    /// A random number, fit for identifiers and secrets.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    /// Fills `bytes` with random bytes, fit for identifiers and secrets.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        ask!(self, world => world.fill_random(bytes));
    }

    /// Waits for `duration`; one too long to count is waited for without end.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        ask!(self, world => world.sleep_until(world.now() + duration))
    }

    /// Waits until `when`; at once if it has passed.
    pub fn sleep_until(&self, when: Instant) -> Sleep {
        ask!(self, world => world.sleep_until(when))
    }

    /// What `future` gives within `duration`, or `None`; it is dropped then.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        match race(future, self.sleep(duration)).await {
            Either::Left(output) => Some(output),
            Either::Right(()) => None,
        }
    }

    // Tasks.

    /// Starts a task on this shard.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        ask!(self, world => world.spawn(future))
    }

    /// Lets everything else on the shard have a turn: other tasks, completed IO, timers. Long loops call it now and
    /// then; nobody polls with it.
    pub async fn yield_now(&self) {
        ask!(self, world => world.yield_now().await);
    }

    /// Runs `work` on the blocking pool and waits for it. There are a bounded number of threads and of jobs in line;
    /// beyond that it waits for its turn. A panic in `work` is resumed here. Dropped, the work is done all the same
    /// (if it had its turn) and what it gives is thrown away.
    pub async fn unblock<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        ask!(self, world => world.unblock(work).await)
    }

    /// The shard's turn for [`Self::unblock_slow`]: one holds it at a time.
    pub(crate) async fn slow_turn(&self) -> Permit {
        ask!(self, world => world.slow_turn().await)
    }

    /// [`Self::unblock`] for work that keeps its thread for long: one such job of all shards is under way at a time, so that
    /// the others have the rest of the threads, and one of each shard is in line.
    pub(crate) async fn unblock_slow<T, F>(&self, _turn: &Permit, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        ask!(self, world => world.unblock_slow(work).await)
    }

    // Files.

    /// What can be done with names, for a job of [`Self::unblock`].
    pub fn file_system(&self) -> FileSystem {
        ask!(self, world => world.file_system())
    }

    /// Opens a file.
    pub fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        self.file_system().open(path, options)
    }

    /// Unlinks a file; whoever has it open keeps it.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.file_system().remove_file(path)
    }

    /// Removes a directory and all it holds.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        ask!(self, world => world.remove_dir_all(path))
    }

    /// Gives a file or directory another name; a file of that name is replaced. Not durable before
    /// [`Self::sync_dir`].
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.file_system().rename(from, to)
    }

    /// Makes a directory.
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        ask!(self, world => world.create_dir(path))
    }

    /// Makes a directory and those above it that are missing.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        ask!(self, world => world.create_dir_all(path))
    }

    /// Whether there is a file or directory of that name.
    pub fn exists(&self, path: &Path) -> io::Result<bool> {
        ask!(self, world => world.exists(path))
    }

    /// The size of the file system that holds `path`, and what is left of it.
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        ask!(self, world => world.space(path))
    }

    /// What is in a directory, sorted by name.
    pub fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.file_system().list(path)
    }

    /// A whole file. One longer than `bytes_max` is an error (`FileTooLarge`).
    pub fn read_all(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::READ)?;
        let len = file.len()?;
        if len > bytes_max as u64 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} has {len} bytes, more than {bytes_max}", path.display()),
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(bytes_max)];
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(done as u64, &mut bytes[done..])? {
                0 => break,
                read => done += read,
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    /// Replaces a file's content so that after a crash it is the old or the new one, whole: a temporary file beside
    /// it (`<name>.tmp`), its data synced, renamed over, the directory synced.
    pub async fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = Path::new(&name);
        let file = self.open(temporary, OpenOptions::TRUNCATE)?;
        file.append_at(0, &[bytes])?;
        self.sync_data(&file).await?;
        drop(file);
        self.rename(temporary, path)?;
        match path.parent() {
            Some(directory) => self.sync_dir(directory).await,
            None => Ok(()),
        }
    }

    /// Makes the names in a directory durable: creations, renames, removals.
    pub async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        ask!(self, world => world.sync_dir(path).await)
    }

    /// Makes what was written to `file` before the call durable (`fdatasync`), without blocking the shard. After an
    /// error nothing is known about any of it: the next success promises nothing about these bytes.
    pub async fn sync_data(&self, file: &File) -> io::Result<()> {
        ask!(self, world => world.sync_data(file).await)
    }

    /// When somebody on this shard last waited for [`Self::sync_data`], which is now while one is under way: whoever can wait gives
    /// way there.
    pub fn last_sync(&self) -> Option<Instant> {
        ask!(self, world => world.last_sync())
    }

    /// [`Self::sync_data`] for what is much and not urgent, by the blocking pool, one after the other: writing back costs the
    /// processor something, and the ring's workers do it on the shard's own core and in its short turns.
    pub async fn sync_much(&self, file: &File) -> io::Result<()> {
        match file.backing() {
            Backing::Machine(_) => {
                let turn = self.slow_turn().await;
                let file = file.clone();
                self.unblock_slow(&turn, move || file.sync_here()).await
            }
            Backing::Sim(_) => self.sync_data(file).await,
        }
    }

    /// Brings a range into the page cache; returns at once when it is there.
    pub async fn prefetch(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        ask!(self, world => world.prefetch(file, position, len).await)
    }

    // Network.

    /// Listens on `address`. A taken port is `AddrInUse`, always: ports are not shared.
    pub fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        ask!(self, world => world.listen(address).map(Listener::new))
    }

    /// Connects to `address`.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let connecting = async { ask!(self, world => world.connect(address).await) };
        pin!(connecting).await.map(Socket::new)
    }

    /// Takes a connection over to this shard.
    pub fn adopt(&self, socket: DetachedSocket) -> io::Result<Socket> {
        ask!(self, world => world.adopt(socket).map(Socket::new))
    }
}
