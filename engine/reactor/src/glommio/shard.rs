//! A shard of the production world: what it has, and how each request to the reactor is met.

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::driver::Driver;
use ::glommio::GlommioError;

use super::prefetch;
use super::socket::{Listener, Socket};
use super::tasks::Tasks;
use crate::bell::{Bells, Ports, Receiving};
use crate::file::{Backing, Entry, File, OpenOptions, Space};
use crate::pool::{Desk, Pool};
use crate::shard::ShardId;
use crate::socket::{DetachedSocket, DetachedWorld, ListenerWorld, SocketWorld};
use crate::sys;
use crate::task::{Sleep, Task};
use crate::time::Instant;
use crate::watchdog::{BEAT_EVERY, Pulses};

/// Random bytes fetched from the kernel at once.
const RANDOM_BYTES: usize = 256;

/// Rounds that the tasks left behind get to end in.
const ENDING_ROUNDS_MAX: u32 = 1000;

/// One shard of the production world.
#[derive(Debug)]
pub(crate) struct Shard {
    id: ShardId,
    shards: u16,
    started: std::time::Instant,
    driver: Rc<Driver>,
    tasks: Rc<Tasks>,
    desk: Rc<Desk>,
    pulses: Arc<Pulses>,
    random: RefCell<Random>,
}

/// What a shard is given by the thread that starts it.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) shards: u16,
    pub(crate) started: std::time::Instant,
    pub(crate) bells: Arc<Bells>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pulses: Arc<Pulses>,
    pub(crate) jobs_max: usize,
}

#[derive(Debug)]
struct Random {
    bytes: [u8; RANDOM_BYTES],
    used: usize,
}

impl Shard {
    /// Makes the shard, on its thread and inside its executor.
    pub(crate) fn new(parts: Parts) -> io::Result<Rc<Self>> {
        let Parts {
            id,
            shards,
            started,
            bells,
            pool,
            pulses,
            jobs_max,
        } = parts;
        let receiving = Receiving {
            me: id,
            bells,
            ports: Rc::new(Ports::default()),
        };
        let desk = Desk::new(pool, receiving.clone(), jobs_max);
        Ok(Rc::new(Self {
            id,
            shards,
            started,
            driver: Rc::new(Driver::new(receiving)?),
            tasks: Rc::default(),
            desk,
            pulses,
            random: RefCell::new(Random {
                bytes: [0; RANDOM_BYTES],
                used: RANDOM_BYTES,
            }),
        }))
    }

    /// Runs `main` and the shard's driver until `main` returns; ends all tasks then.
    pub(crate) async fn run(self: Rc<Self>, main: impl Future<Output = ()>) {
        let driver = ::glommio::spawn_local(Rc::clone(&self.driver).run());
        let heart = ::glommio::spawn_local(Rc::clone(&self).beat());
        main.await;
        heart.cancel().await;
        self.tasks.end_all();
        for _ in 0..ENDING_ROUNDS_MAX {
            if self.tasks.count() == 0 {
                break;
            }
            ::glommio::executor().yield_now().await;
        }
        let left = self.tasks.count();
        if left > 0 {
            tracing::warn!(shard = %self.id, left, "tasks did not end with their shard");
        }
        driver.cancel().await;
        self.driver.receiving().ports.clear();
    }

    async fn beat(self: Rc<Self>) {
        loop {
            self.pulses.beat(self.id.index());
            ::glommio::timer::Timer::new(BEAT_EVERY).await;
        }
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) fn receiving(&self) -> Receiving {
        self.driver.receiving().clone()
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn shards(&self) -> u16 {
        self.shards
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_start(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the clock lives")]
    pub(crate) fn unix_ms(&self) -> i64 {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        if bytes.len() > RANDOM_BYTES {
            return sys::random(bytes);
        }
        let mut random = self.random.borrow_mut();
        if RANDOM_BYTES - random.used < bytes.len() {
            sys::random(&mut random.bytes);
            random.used = 0;
        }
        let used = random.used;
        let fresh = &mut random.bytes[used..used + bytes.len()];
        bytes.copy_from_slice(fresh);
        // What was given out is not kept: it may be a secret.
        fresh.fill(0);
        random.used += bytes.len();
    }

    pub(crate) fn sleep_until(&self, when: Instant) -> Sleep {
        let left = when - self.now();
        // A timer of the far future is one that never fires; its deadline could not even be computed.
        if left > Duration::from_secs(u64::from(u32::MAX)) {
            return Sleep::never();
        }
        Sleep::glommio(::glommio::timer::Timer::new(left))
    }

    pub(crate) fn spawn<F: Future + 'static>(self: &Rc<Self>, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        Task::glommio(::glommio::spawn_local(self.tasks.track(future)))
    }

    pub(crate) async fn yield_now(&self) {
        self.driver.receiving().yield_now().await;
    }

    pub(crate) async fn unblock<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.desk.run(work).await
    }

    pub(crate) fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        let file = fs::OpenOptions::new()
            .read(options.read)
            .write(options.write)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate)
            .open(path)?;
        Ok(File::new(path.to_owned(), Backing::Machine(file)))
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    pub(crate) fn space(&self, path: &Path) -> io::Result<Space> {
        sys::space(path)
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                let metadata = entry.metadata()?;
                let is_dir = metadata.is_dir();
                let len = if is_dir { 0 } else { metadata.len() };
                Ok(Entry {
                    name: entry.file_name(),
                    is_dir,
                    len,
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.desk
            .run(move || fs::File::open(path)?.sync_all())
            .await
    }

    pub(crate) async fn sync_data(&self, file: &File) -> io::Result<()> {
        let Backing::Machine(machine) = file.backing() else {
            return Err(of_another_world());
        };
        // SAFETY: the descriptor stays open, because `file` outlives this future, and it stays ours: glommio's
        // handle is never dropped.
        let handle = ManuallyDrop::new(unsafe {
            ::glommio::io::BufferedFile::from_raw_fd(machine.as_raw_fd())
        });
        loop {
            match handle.fdatasync().await.map_err(system_error) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    pub(crate) async fn prefetch(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        let Backing::Machine(machine) = file.backing() else {
            return Err(of_another_world());
        };
        if prefetch::is_cached(machine, position, len)? {
            return Ok(());
        }
        let file = file.clone();
        self.desk
            .run(move || match file.backing() {
                Backing::Machine(machine) => prefetch::read_ahead(machine, position, len),
                Backing::Sim(_) => Err(of_another_world()),
            })
            .await
    }

    pub(crate) fn listen(self: &Rc<Self>, address: SocketAddr) -> io::Result<ListenerWorld> {
        Listener::bind(self, address).map(ListenerWorld::Glommio)
    }

    pub(crate) async fn connect(self: &Rc<Self>, address: SocketAddr) -> io::Result<SocketWorld> {
        Socket::connect(self, address)
            .await
            .map(Rc::new)
            .map(SocketWorld::Glommio)
    }

    pub(crate) fn adopt(self: &Rc<Self>, socket: DetachedSocket) -> io::Result<SocketWorld> {
        let DetachedWorld::Glommio(socket) = socket.inner else {
            return Err(of_another_world());
        };
        Socket::adopt(self, socket)
            .map(Rc::new)
            .map(SocketWorld::Glommio)
    }
}

/// glommio's error with the system's number in it, where there is one: its own conversion drops that.
pub(crate) fn system_error(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::from(error),
    }
}

fn of_another_world() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "it is of another world")
}
