//! Compaction on one shard: one cleaning at a time, of the dirtiest log there is; rest when none is dirty enough.
//!
//! Knows which log is next and what may be spent on it; how a log is cleaned, the log knows.
//! (`LogCleaner.java`, `LogCleanerManager.grabFilthiestCompactedLog`)

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use highwater_log::Error;
use highwater_log::compaction::{Dirt, MapLimits, Pace, Workshop};
use highwater_partition::Partition;
use highwater_reactor::ShardId;
use highwater_reactor::local::{Either, race};

use crate::config::CleanerConfig;
use crate::errand;
use crate::lifecycle;
use crate::metadata::image::Topic;
use crate::shard::Shard;

/// Partitions looked at before others have a turn.
const LOOKED_AT_ONCE: usize = 64;

/// How long a checkpoint that was asked for is waited for.
const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(30);

/// A log to be cleaned.
struct Dirtiest {
    topic: Arc<Topic>,
    index: i32,
    partition: Partition,
    dirt: Dirt,
}

/// Cleans one shard's logs for as long as the shard runs.
pub(crate) async fn keep_clean(shard: Rc<Shard>) {
    if !shard.image().broker().cleaner.enable {
        return;
    }
    let mut workshop: Option<Workshop> = None;
    while !shard.is_closing() {
        let config = shard.image().broker().cleaner;
        let done = match dirtiest(&shard).await {
            Some(next) if next.dirt.upper > next.dirt.first_dirty => {
                let slice_bytes = config.io_buffer_bytes as usize / 2;
                let limits = map_limits(&config, shard.reactor().shards());
                let workshop = workshop.get_or_insert_with(|| Workshop::new(slice_bytes, limits));
                workshop.resize(slice_bytes, limits);
                clean(&next, workshop, &config).await
            }
            // Only what the next start will not ask about may be cleaned.
            Some(_) => {
                let asked = errand::begin(&shard, ShardId::new(0), lifecycle::WriteCheckpoints);
                let asked = shard.reactor().timeout(CHECKPOINT_WAIT_MAX, asked);
                let written = race(asked, shard.closing().wait()).await;
                matches!(written, Either::Left(Some(Ok(true))))
            }
            None => {
                workshop = None;
                false
            }
        };
        if !done {
            let backoff = Duration::from_millis(config.backoff_ms.max(100).cast_unsigned());
            race(shard.reactor().sleep(backoff), shard.closing().wait()).await;
        }
    }
}

/// This shard's part of the memory for key maps.
fn map_limits(config: &CleanerConfig, shards: u16) -> MapLimits {
    let bytes = config.dedupe_buffer_bytes / u64::from(shards.max(1));
    MapLimits {
        bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        load_percent: config.load_percent,
    }
}

/// The log with the largest dirty share, of those that are due.
async fn dirtiest(shard: &Rc<Shard>) -> Option<Dirtiest> {
    let partitions = shard.partitions()?.all();
    let mut dirtiest: Option<Dirtiest> = None;
    for (at, (topic, index, partition)) in partitions.into_iter().enumerate() {
        if at % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1 {
            shard.reactor().yield_now().await;
        }
        if !topic.config.cleanup_policy.compact {
            continue;
        }
        let Some(dirt) = partition.dirt().filter(Dirt::is_due) else {
            continue;
        };
        let known = dirtiest.as_ref().map(|known| known.dirt.ratio());
        if known.is_none_or(|known| dirt.ratio() > known) {
            dirtiest = Some(Dirtiest {
                topic,
                index,
                partition,
                dirt,
            });
        }
    }
    dirtiest
}

/// One cleaning; `false` when there is nothing to be gained by going on at once.
async fn clean(next: &Dirtiest, workshop: &mut Workshop, config: &CleanerConfig) -> bool {
    let (topic, partition) = (&next.topic.name, next.index);
    let pace = Pace {
        bytes_per_second_max: config.io_bytes_per_second_max,
        ..Pace::default()
    };
    match next.partition.compact(workshop, &next.dirt, pace).await {
        Ok(Some(cleaned)) => {
            tracing::info!(
                %topic,
                partition,
                from = cleaned.from.get(),
                to = cleaned.to.get(),
                segments = cleaned.segments,
                segments_written = cleaned.segments_written,
                bytes_read = cleaned.bytes_read,
                bytes_kept = cleaned.bytes_kept,
                records_read = cleaned.records_read,
                records_kept = cleaned.records_kept,
                keys = cleaned.keys,
                map_bytes = cleaned.map_bytes,
                "compacted"
            );
            if cleaned.keyless > 0 {
                let keyless = cleaned.keyless;
                tracing::warn!(%topic, partition, keyless, "records without a key went");
            }
            cleaned.to > next.dirt.first_dirty
        }
        Ok(None) => false,
        Err(error @ Error::Full { .. }) => {
            tracing::warn!(%topic, partition, %error, "compaction put off");
            false
        }
        // The partition has said what is wrong with it, and is not asked again.
        Err(error) => {
            tracing::debug!(%topic, partition, %error, "compaction failed");
            false
        }
    }
}
