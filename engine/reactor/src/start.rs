//! Starting the production world: a thread with an executor per shard, and the end of all of them. It does not know
//! what the shards do.

mod cores;
mod permission;

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use thiserror::Error;

use crate::bell::Bells;
use crate::glommio::{Parts, Shard};
use crate::pool::Pool;
use crate::reactor::{Reactor, World};
use crate::shard::ShardId;
use crate::sys;
use crate::watchdog::{self, Pulses};
use cores::{Cores, system_error};

/// How [`run`] starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Threads with an executor each; at least one. Default: one less than the cores this process may use, which leaves one to
    /// the blocking pool, the kernel's workers and whoever is at the other end of the connections.
    pub shards: u16,
    /// Whether each shard keeps to a core of its own. Where there are fewer cores than shards, those of other worlds
    /// in this process included, they are not pinned. Default: true.
    pub pin: bool,
    /// The cores to pin to, in turn, whether they suffice or not; empty for those this process may use. Default: empty.
    pub cores: Vec<usize>,
    /// The memory that may be locked (`RLIMIT_MEMLOCK`) is raised to this before the start, as far as the hard limit
    /// goes. Default: 8 MiB.
    pub memlock_bytes: u64,
    /// Threads for blocking work, shared by all shards, started when first needed. Default: 4.
    pub blocking_threads: u16,
    /// Jobs for those threads that may be under way or in line, per shard; more wait on their shard. Default: 256.
    pub blocking_jobs_max: usize,
    /// A shard without a heartbeat for so long is reported. Default: 5 s.
    pub stall_report_after: Duration,
    /// The threads are called `<name>-<shard>`. Default: "shard".
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            shards: shards_for(cores),
            pin: true,
            cores: Vec::new(),
            memlock_bytes: 8 << 20,
            blocking_threads: 4,
            blocking_jobs_max: 256,
            stall_report_after: Duration::from_secs(5),
            name: "shard".to_owned(),
        }
    }
}

/// One is left for those who are not shards.
fn shards_for(cores: usize) -> u16 {
    let shards = cores.saturating_sub(1).max(1);
    u16::try_from(shards).unwrap_or(u16::MAX)
}

/// Why the shards did not start, with the remedy.
#[derive(Debug, Error)]
pub enum StartError {
    /// `shards` was 0.
    #[error("0 shards were asked for; there must be at least one")]
    NoShards,
    /// Too little memory may be locked.
    #[error(
        "only {limit_bytes} bytes of memory may be locked and io_uring needs {needed_bytes}: raise it with \
         `ulimit -l {}`, LimitMEMLOCK= in the systemd unit, or --ulimit memlock={needed_bytes} in Docker",
        needed_bytes / 1024
    )]
    MemlockTooLow {
        /// What may be locked.
        limit_bytes: u64,
        /// What is needed.
        needed_bytes: u64,
    },
    /// The kernel knows io_uring and does not let this process use it.
    #[error("io_uring is forbidden here ({reason}): {remedy}")]
    IoUringForbidden {
        /// Who forbids it.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The system gave no thread, descriptor or memory.
    #[error("a shard could not start: {0}")]
    System(#[source] io::Error),
}

/// A shard ended by a panic.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("shard {shard} panicked: {message}")]
pub struct Panicked {
    /// Which.
    pub shard: ShardId,
    /// What it said.
    pub message: String,
}

/// The shards at work. Dropped, they go on by themselves.
#[derive(Debug)]
pub struct Running {
    shards: Vec<JoinHandle<()>>,
    exits: Receiver<Exit>,
    pulses: Arc<Pulses>,
    watchdog: Thread,
}

#[derive(Debug)]
struct Exit {
    shard: ShardId,
    panic: Option<String>,
}

impl Running {
    /// Waits until `main` has returned on every shard, or one has panicked. After a panic the others are left
    /// running: the process should end.
    pub fn join(self) -> Result<(), Panicked> {
        let Self {
            shards,
            exits,
            pulses,
            watchdog,
        } = self;
        for _ in 0..shards.len() {
            // Every shard's thread reports its exit before it ends, whatever happened.
            let Ok(exit) = exits.recv() else { break };
            if let Some(message) = exit.panic {
                return Err(Panicked {
                    shard: exit.shard,
                    message,
                });
            }
        }
        for shard in shards {
            let _ = shard.join();
        }
        drop(pulses);
        watchdog.unpark();
        Ok(())
    }

    /// How often a shard was found without a heartbeat since the start.
    pub fn stalls(&self) -> u64 {
        self.pulses.stalls()
    }

    /// Whether every shard has ended, one way or the other.
    pub fn is_finished(&self) -> bool {
        self.shards.iter().all(JoinHandle::is_finished)
    }
}

/// Starts a thread with an executor per shard and runs `main` on each of them. A shard ends when its `main` returns;
/// tasks it has left behind are ended then.
pub fn run<M, F>(options: Options, main: M) -> Result<Running, StartError>
where
    M: Fn(Reactor) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + 'static,
{
    if options.shards == 0 {
        return Err(StartError::NoShards);
    }
    permission::memlock(options.memlock_bytes)?;
    permission::descriptors();
    permission::io_uring()?;
    #[expect(clippy::disallowed_methods, reason = "the world's clock starts here")]
    let started = std::time::Instant::now();
    let bells = Arc::new(Bells::with_events(options.shards).map_err(StartError::System)?);
    let pool = Arc::new(Pool::new(options.blocking_threads, &options.name));
    let pulses = Arc::new(Pulses::new(started, options.shards));
    let cores = Cores::take(&options);

    let (exit, exits) = mpsc::channel();
    let (ready, readies) = mpsc::channel();
    let mut gates = Vec::new();
    let mut shards = Vec::new();
    for number in 0..options.shards {
        let id = ShardId::new(number);
        let (gate, opened) = mpsc::channel::<()>();
        gates.push(gate);
        let parts = Parts {
            id,
            shards: options.shards,
            started,
            bells: Arc::clone(&bells),
            pool: Arc::clone(&pool),
            pulses: Arc::clone(&pulses),
            jobs_max: options.blocking_jobs_max,
        };
        let (ready, exit, main) = (ready.clone(), exit.clone(), main.clone());
        let cores = Arc::clone(&cores);
        let thread = thread::Builder::new()
            .name(format!("{}-{number}", options.name))
            .spawn(move || {
                let (bells, pulses) = (Arc::clone(&parts.bells), Arc::clone(&parts.pulses));
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    live(parts, &cores, &ready, &opened, main);
                }));
                drop(ready);
                drop(cores);
                pulses.end(id.index());
                bells.stop(id);
                let panic = outcome.err().map(|panic| message_of(&*panic));
                let _ = exit.send(Exit { shard: id, panic });
            });
        shards.push(thread.map_err(StartError::System)?);
    }
    drop(ready);
    for _ in 0..options.shards {
        // On an error the gates are dropped unopened, and every shard that did start ends at once.
        match readies.recv() {
            Ok(result) => result?,
            Err(_) => {
                return Err(StartError::System(io::Error::other(
                    "a shard died at birth",
                )));
            }
        }
    }
    let watchdog = watchdog::watch(&pulses, options.stall_report_after, &options.name)
        .map_err(StartError::System)?;
    for gate in gates {
        let _ = gate.send(());
    }
    Ok(Running {
        shards,
        exits,
        pulses,
        watchdog,
    })
}

/// The life of a shard's thread.
fn live<M, F>(
    parts: Parts,
    cores: &Cores,
    ready: &Sender<Result<(), StartError>>,
    gate: &Receiver<()>,
    main: M,
) where
    M: Fn(Reactor) -> F,
    F: Future<Output = ()> + 'static,
{
    let executor = match cores.executor(parts.id) {
        Ok(executor) => executor,
        Err(error) => return drop(ready.send(Err(permission::refused(system_error(error))))),
    };
    sys::take_short_turns();
    executor.run(async {
        let shard = match Shard::new(parts) {
            Ok(shard) => shard,
            Err(error) => return drop(ready.send(Err(permission::refused(error)))),
        };
        let _ = ready.send(Ok(()));
        // The executor has nothing else to do yet: its thread may wait here.
        if gate.recv().is_ok() {
            let reactor = Reactor::new(World::Glommio(Rc::clone(&shard)));
            shard.run(main(reactor));
        }
    });
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::shards_for;

    #[test]
    fn a_core_is_left_free_where_there_is_more_than_one() {
        let cores = [1, 2, 3, 8, 100_000];
        assert_eq!(cores.map(shards_for), [1, 1, 2, 7, u16::MAX]);
    }
}
