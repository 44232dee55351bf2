//! A shard of the production world: what it has, and how each request to the reactor is met.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::driver::Driver;
use super::prefetch;
use super::ring::Ring;
use super::rounds::Rounds;
use super::socket::{Listener, Socket};
use crate::bell::{Bells, Ports, Receiving};
use crate::clock::{Clock, Sleep};
use crate::file::{Backing, File, Space};
use crate::file_system::FileSystem;
use crate::local::{Permit, oneshot};
use crate::pool::{Desk, Pool};
use crate::shard::ShardId;
use crate::socket::{DetachedSocket, DetachedWorld, ListenerWorld, SocketWorld};
use crate::sys;
use crate::task::Task;
use crate::tasks::Tasks;
use crate::time::Instant;
use crate::watchdog::{BEAT_EVERY, Pulses};

/// Random bytes fetched from the kernel at once.
const RANDOM_BYTES: usize = 256;

/// One shard of the production world.
#[derive(Debug)]
pub(crate) struct Shard {
    id: ShardId,
    shards: u16,
    rounds: Rounds,
    desk: Rc<Desk>,
    pulses: Arc<Pulses>,
    random: RefCell<Random>,
    last_sync: Cell<Option<Instant>>,
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
        let tasks = Tasks::new(Some((Arc::clone(&bells), id)));
        let receiving = Receiving {
            me: id,
            bells,
            ports: Rc::new(Ports::default()),
        };
        let desk = Desk::new(pool, receiving.clone(), jobs_max);
        let driver = Rc::new(Driver::new(&receiving)?);
        let bell = receiving.bells.event(id);
        let ring = Ring::new(bell.expect("bells of this world hang in epoll sets"))?;
        let rounds = Rounds {
            driver,
            tasks,
            clock: Clock::real(started),
            ring,
            receiving,
        };
        let random = RefCell::new(Random {
            bytes: [0; RANDOM_BYTES],
            used: RANDOM_BYTES,
        });
        Ok(Rc::new(Self {
            id,
            shards,
            rounds,
            desk,
            pulses,
            random,
            last_sync: Cell::new(None),
        }))
    }

    /// Runs `main` and the shard's tasks until `main` returns; ends all tasks then.
    pub(crate) fn run(self: Rc<Self>, main: impl Future<Output = ()> + 'static) {
        let done = Rc::new(Cell::new(false));
        let returned = Rc::clone(&done);
        self.spawn(async move {
            main.await;
            returned.set(true);
        })
        .detach();
        self.spawn(Rc::clone(&self).beat()).detach();
        self.rounds.run(&done);
        self.rounds.tasks.end_all();
        self.rounds.end();
        self.rounds.clock.clear();
        self.rounds.receiving.ports.clear();
    }

    async fn beat(self: Rc<Self>) {
        loop {
            self.pulses.beat(self.id.index());
            self.sleep_until(self.now() + BEAT_EVERY).await;
        }
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.rounds.driver
    }

    pub(crate) fn receiving(&self) -> Receiving {
        self.rounds.receiving.clone()
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn shards(&self) -> u16 {
        self.shards
    }

    pub(crate) fn now(&self) -> Instant {
        self.rounds.clock.now()
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
        self.rounds.clock.sleep_until(when)
    }

    #[track_caller]
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        Task::new(self.rounds.tasks.spawn(self.id, Location::caller(), future))
    }

    pub(crate) async fn yield_now(&self) {
        self.rounds.receiving.yield_now().await;
    }

    pub(crate) async fn unblock<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.desk.run(work).await
    }

    pub(crate) async fn slow_turn(&self) -> Permit {
        self.desk.slow_turn().await
    }

    pub(crate) async fn unblock_slow<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.desk.run_slow(work).await
    }

    #[expect(clippy::unused_self, reason = "a simulated world has one of its own")]
    pub(crate) fn file_system(&self) -> FileSystem {
        FileSystem::of_machine()
    }

    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
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

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.desk
            .run(move || fs::File::open(path)?.sync_all())
            .await
    }

    pub(crate) async fn sync_data(&self, file: &File) -> io::Result<()> {
        let synced = self.rounds.ring.sync_data(file.clone()).await;
        self.last_sync.set(Some(self.now()));
        synced.unwrap_or_else(|oneshot::Closed| Err(io::ErrorKind::Interrupted.into()))
    }

    pub(crate) fn last_sync(&self) -> Option<Instant> {
        if self.rounds.ring.is_busy() {
            return Some(self.now());
        }
        self.last_sync.get()
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

fn of_another_world() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "it is of another world")
}
