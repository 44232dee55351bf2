//! What is due by time: retention and rolling on every shard, counters, checkpoints of the whole directory on the first.
//!
//! Knows when; what is done is the partitions'.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use highwater_log::{DataDir, Error};
use highwater_reactor::ShardId;
use highwater_reactor::local::{Notify, race};

use crate::errand;
use crate::lifecycle::{Checkpoint, CheckpointsWritten};
use crate::partitions::{self, CheckpointRow};
use crate::shard::Shard;

/// How often counters are brought up to date and offline partitions tried again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(1).cast_unsigned())
}

/// Looks after one shard's partitions for as long as the shard runs.
pub(crate) async fn keep(shard: Rc<Shard>) {
    let mut due = shard.reactor().now() + millis(shard.image().broker().initial_task_delay_ms);
    while !shard.is_closing() {
        shard.reactor().sleep(LOOK_INTERVAL).await;
        let Some(partitions) = shard.partitions() else {
            continue;
        };
        let host = partitions.host();
        shard
            .counters()
            .unsynced(host.unsynced_bytes(), host.oldest_unsynced_ms());
        if partitions.lacks_some() {
            shard.apply(shard.image()).await;
        }
        let now = shard.reactor().now();
        if now >= due {
            partitions.tick().await;
            due = now + millis(shard.image().broker().retention_check_interval_ms);
        }
    }
}

/// Who wants checkpoints written before their time, and who waits for that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    wanted: Notify,
    written: Notify,
    /// Whether the last try went well.
    went_well: Rc<Cell<bool>>,
}

impl Checkpoints {
    /// Asks for a round, and waits for the end of the next; whether it went well.
    pub(crate) fn ask(&self) -> impl Future<Output = bool> + use<> {
        self.wanted.notify_all();
        let (written, went_well) = (self.written.notified(), Rc::clone(&self.went_well));
        async move {
            written.await;
            went_well.get()
        }
    }
}

/// Writes the checkpoints of all shards now and then, and when somebody asks, for as long as the shard runs. For the shard
/// that holds the directory.
pub async fn checkpoint(shard: Rc<Shard>, data_dir: Rc<DataDir>) {
    let checkpoints = shard.checkpoints().clone();
    let mut wanted = checkpoints.wanted.notified();
    while !shard.is_closing() {
        let interval = millis(shard.image().broker().checkpoint_interval_ms);
        race(shard.reactor().sleep(interval), wanted).await;
        wanted = checkpoints.wanted.notified();
        let asked: Vec<_> = (0..shard.reactor().shards())
            .map(|to| errand::begin(&shard, ShardId::new(to), Checkpoint))
            .collect();
        let mut rows = Vec::new();
        for asked in asked {
            let Ok(some) = asked.await else { return };
            rows.extend(some);
        }
        let written = write(&data_dir, &rows).await;
        checkpoints.went_well.set(written.is_ok());
        match written {
            Ok(()) => {
                let told: Vec<_> = (0..shard.reactor().shards())
                    .map(|to| errand::begin(&shard, ShardId::new(to), CheckpointsWritten))
                    .collect();
                for told in told {
                    if told.await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "checkpoints not written"),
        }
        checkpoints.written.notify_all();
    }
}

/// Writes the four checkpoint files.
///
/// # Errors
/// The first that could not be written; the files before it are.
pub async fn write(data_dir: &DataDir, rows: &[CheckpointRow]) -> Result<(), Error> {
    for (name, checkpoint) in partitions::checkpoints(rows) {
        data_dir.write_checkpoint(name, &checkpoint).await?;
    }
    Ok(())
}
