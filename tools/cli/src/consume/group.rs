//! `highwater consume --group`: reads what the group gives us, and commits what was printed. Knows when to commit, not how
//! partitions are shared out.

use std::io::{BufWriter, Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater::admin::OffsetSpec;
use highwater::{Client, Consumer, OffsetReset, Rebalance};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::{FLUSH_AFTER, at, offsets, print};
use crate::Result;
use crate::arguments::Consume;
use crate::format::Format;

/// What was printed is committed so often.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(15);

type Out = Arc<Mutex<BufWriter<Stdout>>>;

/// Consumes as a member of `group` until the count or the end is reached, or a signal comes.
pub(super) async fn consume(flags: &Consume, group: &str, client: &Client) -> Result<()> {
    let format = Format::parse(&flags.format)?;
    let out: Out = Arc::new(Mutex::new(BufWriter::with_capacity(
        1 << 18,
        std::io::stdout(),
    )));
    let listens = Arc::clone(&out);
    let mut builder = client
        .consumer()
        .group(group)
        .subscribe([&flags.topic])
        .auto_commit(None)
        .on_rebalance(move |rebalance, group| {
            let out = Arc::clone(&listens);
            async move {
                tell(&rebalance, &group);
                if let Rebalance::Revoked(positions) = rebalance {
                    // Only what has left this process counts as read.
                    let flushed = lock(&out).flush();
                    let read = positions
                        .into_iter()
                        .filter_map(|(place, at)| Some((place, at?)));
                    let committed = match flushed {
                        Ok(()) => group.commit(read).await.map_err(|error| error.to_string()),
                        Err(error) => Err(error.to_string()),
                    };
                    if let Err(error) = committed {
                        tracing::warn!(error, "positions were not committed");
                    }
                }
            }
        });
    // Otherwise it is as the settings say, under whichever name.
    if flags.from_beginning {
        builder = builder.offset_reset(OffsetReset::Earliest);
    }
    let partitions = 0..client.partition_count(&flags.topic).await?;
    let places: Vec<_> = partitions
        .map(|it| highwater::TopicPartition::new(flags.topic.as_str(), it))
        .collect();
    let ends = offsets(&client.admin(), &places, OffsetSpec::Latest).await?;
    let mut consumer = builder.build().await?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut left = flags.count.unwrap_or(u64::MAX);
    let mut commit_at = Instant::now() + COMMIT_EVERY;
    let outcome = loop {
        if left == 0 || (flags.exit && is_done(&consumer, &ends)) {
            break Ok(());
        }
        let next = tokio::select! {
            next = timeout(FLUSH_AFTER, consumer.next()) => next,
            _ = terminated.recv() => break Ok(()),
            _ = interrupted.recv() => break Ok(()),
        };
        match next {
            Ok(Ok(Some(record))) => {
                left -= 1;
                let mut out = lock(&out);
                let printed = print(
                    &mut *out,
                    &format,
                    flags.json,
                    record.topic(),
                    record.partition(),
                    &record.lend(),
                );
                if let Err(error) = printed {
                    break Err(error);
                }
            }
            Ok(Ok(None)) => break Ok(()),
            Ok(Err(error)) => break Err(error.into()),
            Err(_) => lock(&out).flush()?,
        }
        if Instant::now() >= commit_at {
            lock(&out).flush()?;
            drop(consumer.enqueue_commit()?);
            commit_at = Instant::now() + COMMIT_EVERY;
        }
    };
    if outcome.is_ok() {
        lock(&out).flush()?;
    }
    // The listener commits what was printed, if it could be.
    consumer.shutdown(LEAVE_WITHIN).await?;
    outcome
}

fn lock(out: &Out) -> std::sync::MutexGuard<'_, BufWriter<Stdout>> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether all that we have is read up to where it ended when the command began.
fn is_done(consumer: &Consumer, ends: &std::collections::BTreeMap<i32, i64>) -> bool {
    let assignment = consumer.assignment();
    !assignment.is_empty()
        && assignment.iter().all(|place| {
            consumer
                .position(place)
                .is_some_and(|position| position >= at(ends, place))
        })
}

/// One line of what changes, on standard error.
fn tell(rebalance: &Rebalance, group: &highwater::Group) {
    let (verb, partitions) = match rebalance {
        Rebalance::Assigned(places) => {
            ("assigned", places.iter().map(ToString::to_string).collect())
        }
        Rebalance::Revoked(places) => ("revoked", places.keys().map(ToString::to_string).collect()),
        Rebalance::Lost(places) => (
            "lost",
            places.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ),
    };
    let group = group.metadata();
    let partitions = if partitions.is_empty() {
        "nothing".to_owned()
    } else {
        partitions.join(" ")
    };
    eprintln!(
        "highwater: {} (generation {}): {verb} {partitions}",
        group.group_id, group.generation
    );
}
