//! Starting the production world: a thread with an executor per shard, and the end of all of them. It does not know
//! what the shards do.

use std::future::Future;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::reactor::Reactor;
use crate::shard::ShardId;

/// How [`run`] starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Threads with an executor each; at least one. Default: the cores this process may use.
    pub shards: u16,
    /// Whether each shard keeps to a core of its own. Where there are fewer cores than shards they are not pinned.
    /// Default: true.
    pub pin: bool,
    /// How long a pinned shard spins before it parks. It saves the wake-up of a neighbour, and burns what others on
    /// its core could use; 0 when shards are not pinned. Default: 30 us.
    pub spin_before_park: Duration,
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
            shards: u16::try_from(cores).unwrap_or(u16::MAX),
            pin: true,
            spin_before_park: Duration::from_micros(30),
            memlock_bytes: 8 << 20,
            blocking_threads: 4,
            blocking_jobs_max: 256,
            stall_report_after: Duration::from_secs(5),
            name: "shard".to_owned(),
        }
    }
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

/// The shards at work.
#[derive(Debug)]
pub struct Running {}

impl Running {
    /// Waits until `main` has returned on every shard, or one has panicked. After a panic the others are left
    /// running: the process should end.
    pub fn join(self) -> Result<(), Panicked> {
        Ok(())
    }

    /// How often a shard was found without a heartbeat since the start.
    pub fn stalls(&self) -> u64 {
        0
    }
}

/// Starts a thread with an executor per shard and runs `main` on each of them. A shard ends when its `main` returns;
/// tasks it has left behind are dropped then.
pub fn run<M, F>(options: Options, main: M) -> Result<Running, StartError>
where
    M: Fn(Reactor) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + 'static,
{
    let _ = (options, main);
    Err(StartError::NoShards)
}
