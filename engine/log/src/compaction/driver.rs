//! One cleaning from beginning to end: takes the steps on the log, has the slices done elsewhere, waits for the device.
//!
//! It holds no borrow of the log while it waits, and looks before each step whether the log still wants to be cleaned.

use std::sync::Arc;
use std::time::Duration;

use highwater_reactor::{File, Instant, Reactor, local};
use highwater_record::Offset;
use zerocopy::IntoBytes as _;

use super::dirt::{self, Dirt, Finished};
use super::filter::{LastBatches, Terms};
use super::offset_map::OffsetMap;
use super::output::Output;
use super::swap::Plan;
use super::transactions::Transactions;
use super::workshop::{Source, Workshop};
use crate::error::Error;
use crate::log::Log;

/// Bytes written before a sync: what a cleaning leaves to the device at once. Each sync commits the file system's journal, and
/// whoever appends at that moment waits for it: few large ones disturb less than many small ones.
const SYNC_BYTES: u64 = 64 << 20;

/// A slice where somebody on the shard waits for syncs: their way through the kernel has three threads, and each may have to wait
/// for the core that a slice is at work on. Smaller slices cost more in sum: a hand-over each, and what follows the last whole batch
/// of a slice is read again with the next.
const SLICE_BYTES_BESIDE_SYNCS: usize = 64 << 10;

/// So long after a sync, another is expected. The small ones of the cleaning itself count too: a few slices for each segment.
const SYNC_EXPECTED: Duration = Duration::from_millis(20);

/// It does not rest for longer after one slice, however long that took.
const REST_MAX: Duration = Duration::from_millis(50);

/// The way to a log that others use meanwhile.
pub trait Access {
    /// One step on the log, within which nobody else touches it; `None` once it is not to be cleaned any more: closed,
    /// deleted, fenced, or no longer compacted.
    fn with<R>(&self, step: impl FnOnce(&mut Log) -> R) -> Option<R>;

    /// The last batches of the producers that are known now.
    fn last_batches(&self) -> LastBatches;
}

/// How fast a cleaning may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Bytes read and written per second (`log.cleaner.io.max.bytes.per.second`).
    pub bytes_per_second_max: f64,
    /// The share of the time that it may be at work, of a hundred: after each slice it rests. Where the machine is busy a slice
    /// takes longer, and so does the rest. 1 to 100.
    pub busy_percent_max: u8,
}

impl Default for Pace {
    /// As many bytes as a quarter of the time brings.
    fn default() -> Pace {
        Pace {
            bytes_per_second_max: f64::MAX,
            busy_percent_max: 25,
        }
    }
}

/// What a cleaning has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// From where on the log was dirty.
    pub from: Offset,
    /// Up to where it is clean now.
    pub to: Offset,
    /// Segments read.
    pub segments: usize,
    /// Segments put in their place.
    pub segments_written: usize,
    /// Bytes of batches read while copying.
    pub bytes_read: u64,
    /// Bytes of batches that are left of them.
    pub bytes_kept: u64,
    /// Records read.
    pub records_read: u64,
    /// Records that stay.
    pub records_kept: u64,
    /// Records without a key, which went.
    pub keyless: u64,
    /// Keys in the map.
    pub keys: u64,
    /// Bytes the map took.
    pub map_bytes: u64,
}

/// Cleans a log up to `dirt.upper`, or as far as the map has room for its keys. `Ok(None)`: there was nothing to do, or it
/// was given up because the log is not to be cleaned any more.
///
/// Dropped half-way, it leaves `.cleaned` files, which the next cleaning or the next open removes.
///
/// # Errors
/// [`Error::Full`]: it may go through later. [`Error::Unreadable`], [`Error::Corrupt`], [`Error::TooLarge`]: this log cannot be
/// cleaned. [`Error::Failed`], [`Error::Fenced`]: the directory is fenced. What was swapped in before stays; the rest is as it was.
pub async fn clean(
    reactor: &Reactor,
    log: &impl Access,
    workshop: &mut Workshop,
    dirt: &Dirt,
    pace: Pace,
    now_ms: i64,
) -> Result<Option<Cleaned>, Error> {
    let Some(plan) = log.with(|log| log.plan_cleaning(dirt, now_ms)) else {
        return Ok(None);
    };
    let Some(plan) = plan? else {
        return Ok(None);
    };
    workshop.begin((reactor.random_u64(), reactor.random_u64()));
    let mut cleaning = Cleaning {
        reactor,
        log,
        workshop,
        plan,
        pace,
        done: Cleaned::default(),
        ahead_until: reactor.now(),
        busy: Duration::ZERO,
    };
    let done = cleaning.run().await;
    let Cleaning {
        workshop,
        done: mut tally,
        ..
    } = cleaning;
    tally.records_read = workshop.filter.tally.read;
    tally.records_kept = workshop.filter.tally.kept;
    tally.keyless = workshop.filter.tally.keyless;
    tally.keys = workshop.map.len() as u64;
    tally.map_bytes = workshop.map.bytes() as u64;
    workshop.map = OffsetMap::closed();
    Ok(done?.then_some(tally))
}

/// How the cleaning of a group ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// What is left of it has taken its place.
    Swapped,
    /// There was nothing to clean: it is as it was.
    Kept,
    /// The log is not what it was.
    GivenUp,
}

struct Cleaning<'a, A> {
    reactor: &'a Reactor,
    log: &'a A,
    workshop: &'a mut Workshop,
    plan: Plan,
    pace: Pace,
    done: Cleaned,
    /// The work done so far is allowed to have taken until then.
    ahead_until: Instant,
    /// How long the last slice took.
    busy: Duration,
}

impl<A: Access> Cleaning<'_, A> {
    /// `Ok(false)`: given up.
    async fn run(&mut self) -> Result<bool, Error> {
        let Some(mapped_end) = self.map().await? else {
            return Ok(false);
        };
        let mut transactions = Transactions::new(std::mem::take(&mut self.plan.aborted));
        let segments: Vec<Finished> = self
            .plan
            .segments
            .iter()
            .take_while(|segment| segment.base < mapped_end)
            .copied()
            .collect();
        let mut rest = &segments[..];
        for count in dirt::groups(rest, self.plan.room) {
            let (group, after) = rest.split_at(count);
            let terms = Terms {
                now_ms: self.plan.now_ms,
                delete_retention_ms: self.plan.delete_retention_ms,
                upper: self.plan.upper,
                mapped_end,
                last_batches: self.log.last_batches(),
            };
            let cleaned = self
                .clean_group(group, Arc::new(terms), &mut transactions)
                .await;
            match cleaned {
                Ok(Group::Swapped | Group::Kept) => {}
                Ok(Group::GivenUp) => return Ok(false),
                Err(error) => return Err(error),
            }
            rest = after;
        }
        let (from, to) = (self.plan.first_dirty, mapped_end);
        (self.done.from, self.done.to) = (from, to);
        Ok(self.log.with(|log| log.cleaned_to(from, to)).is_some())
    }

    /// Maps the keys of the dirty part; returns the offset the map speaks for, `None` when it was given up.
    async fn map(&mut self) -> Result<Option<Offset>, Error> {
        let (from, upper) = (self.plan.first_dirty, self.plan.upper);
        let overlaps = self.plan.aborted.iter();
        let overlaps = overlaps.filter(|one| one.last() >= from && one.first() < upper);
        let mut transactions = Transactions::new(overlaps.copied().collect());
        for at in 0..self.plan.segments.len() {
            let segment = self.plan.segments[at];
            if segment.end <= from {
                continue;
            }
            let Some(source) = self.log.with(|log| log.source(&segment, from)) else {
                return Ok(None);
            };
            let Some(mut source) = source? else {
                return Ok(None);
            };
            while source.has_more() {
                let (position, bytes_max) = (source.position, self.slice_bytes_max());
                let (back, walked) = self
                    .elsewhere(move |workshop| {
                        let met = &mut transactions;
                        let full = workshop.map_slice(&mut source, bytes_max, from, met);
                        ((source, transactions), full)
                    })
                    .await;
                (source, transactions) = back;
                if let Some(full) = walked? {
                    return Ok(Some(full));
                }
                self.keep_pace(source.position - position).await;
                if self.log.with(|_| ()).is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(upper))
    }

    /// Cleans a group of segments into one.
    async fn clean_group(
        &mut self,
        group: &[Finished],
        terms: Arc<Terms>,
        transactions: &mut Transactions,
    ) -> Result<Group, Error> {
        let base = group[0].base;
        let Some(output) = self.log.with(|log| log.begin_output(group)) else {
            return Ok(Group::GivenUp);
        };
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                self.log.with(|log| log.drop_output(base));
                return Err(error);
            }
        };
        // Whoever closes it last, when it has lost its name, gives its space back.
        let held = output.files.log.clone();
        let cleaned = self.clean_into(output, group, terms, transactions).await;
        if !matches!(cleaned, Ok(Group::Swapped)) {
            self.log.with(|log| log.drop_output(base));
            self.reactor.close_large_file(held).await;
        }
        cleaned
    }

    async fn clean_into(
        &mut self,
        mut output: Output,
        group: &[Finished],
        terms: Arc<Terms>,
        transactions: &mut Transactions,
    ) -> Result<Group, Error> {
        for segment in group {
            let Some(source) = self.log.with(|log| log.source(segment, Offset::ZERO)) else {
                return Ok(Group::GivenUp);
            };
            let Some(mut source) = source? else {
                return Ok(Group::GivenUp);
            };
            while source.has_more() {
                let (terms, mut met) = (Arc::clone(&terms), std::mem::take(transactions));
                let bytes_max = self.slice_bytes_max();
                let (back, sliced) = self
                    .elsewhere(move |workshop| {
                        let (from, to) = (&mut source, &mut output);
                        let sliced = workshop.clean_slice(from, bytes_max, &terms, &mut met, to);
                        ((source, met, output), sliced)
                    })
                    .await;
                (source, *transactions, output) = back;
                let mut bytes = sliced?;
                // With the first change, what lay before it is owed.
                while bytes > 0 {
                    self.keep_pace(bytes).await;
                    if output.unsynced_bytes() >= SYNC_BYTES {
                        self.sync(&output.files.log).await?;
                        output.synced();
                    }
                    if self.log.with(|_| ()).is_none() {
                        return Ok(Group::GivenUp);
                    }
                    (source, output, bytes) = self.copy(source, output).await?;
                }
            }
            self.done.segments += 1;
            self.done.bytes_read += segment.bytes;
        }
        self.done.bytes_kept += output.bytes;
        let needed = transactions.take_needed();
        if output.is_the_same() {
            return Ok(Group::Kept);
        }
        let (output, written) = self
            .elsewhere(move |_| {
                let written = output.finish();
                (output, written)
            })
            .await;
        written?;
        let Output { files, base, .. } = &output;
        let mut small = vec![files.index.clone(), files.time_index.clone()];
        if !needed.is_empty() {
            let bytes = needed.as_bytes();
            let Some(written) = self.log.with(|log| log.write_aborted(*base, bytes)) else {
                return Ok(Group::GivenUp);
            };
            small.push(written?);
        }
        // At the same time: they share a commit of the journal.
        let indexes = local::join_all(small.iter().map(|file| self.sync_small(file)));
        let (log, indexes) = local::join(self.sync(&files.log), indexes).await;
        log.and(indexes.into_iter().collect::<Result<(), Error>>())?;
        let swapped = self.log.with(|log| {
            let swapped = log.swap(group, &output);
            swapped.map(|swapped| swapped.then(|| (log.dir.clone(), log.fence.clone())))
        });
        let Some((dir, fence)) = swapped.transpose()?.flatten() else {
            return Ok(Group::GivenUp);
        };
        self.done.segments_written += 1;
        let synced = self.reactor.sync_dir(&dir).await;
        synced.map_err(|source| {
            fence.raise(&format!("cannot sync {}: {source}", dir.display()));
            let (operation, path) = ("sync", dir);
            Error::Failed {
                operation,
                path,
                source,
            }
        })?;
        Ok(Group::Swapped)
    }

    /// Copies a slice of what the output owes; with how many bytes that moved.
    async fn copy(
        &mut self,
        source: Source,
        mut output: Output,
    ) -> Result<(Source, Output, u64), Error> {
        if output.owed(1).is_empty() {
            return Ok((source, output, 0));
        }
        let bytes_max = self.slice_bytes_max();
        let (source, output, copied) = self
            .elsewhere(move |workshop| {
                let copied = workshop.copy_slice(&source, bytes_max, &mut output);
                (source, output, copied)
            })
            .await;
        Ok((source, output, copied?))
    }

    fn slice_bytes_max(&self) -> usize {
        slice_bytes_max(self.reactor.last_sync(), self.reactor.now())
    }

    /// Has a slice of work done on the blocking pool.
    async fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Workshop) -> T + Send + 'static,
    ) -> T {
        let mut workshop = std::mem::replace(self.workshop, Workshop::absent());
        let began = self.reactor.now();
        let (workshop, done) = self
            .reactor
            .unblock(move || {
                let done = work(&mut workshop);
                (workshop, done)
            })
            .await;
        *self.workshop = workshop;
        self.busy = self.reactor.now().duration_since(began);
        done
    }

    async fn sync(&self, log: &File) -> Result<(), Error> {
        self.synced(log, self.reactor.sync_much(log).await)
    }

    async fn sync_small(&self, index: &File) -> Result<(), Error> {
        self.synced(index, self.reactor.sync_data(index).await)
    }

    /// A file that could not be synced fences.
    fn synced(&self, file: &File, outcome: std::io::Result<()>) -> Result<(), Error> {
        outcome.map_err(|source| {
            let reason = format!("cannot sync {}: {source}", file.path().display());
            self.log.with(|log| log.fence.raise(&reason));
            Error::Failed {
                operation: "sync",
                path: file.path().to_owned(),
                source,
            }
        })
    }

    /// Rests after a slice that moved so many bytes, until the next may begin.
    async fn keep_pace(&mut self, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a pace, not a number of bytes")]
        let seconds = bytes as f64 / self.pace.bytes_per_second_max.max(1.0);
        let now = self.reactor.now();
        let took = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.ahead_until = self.ahead_until.max(now) + took;
        let share = u32::from(self.pace.busy_percent_max.clamp(1, 100));
        let rest = (self.busy * (100 - share) / share).min(REST_MAX);
        let mut until = now + rest;
        if self.ahead_until > now + Duration::from_millis(1) {
            until = until.max(self.ahead_until);
        }
        if until > now {
            self.reactor.sleep_until(until).await;
        }
    }
}

/// How much the next slice is to read at most, unless a batch is larger, where the shard last synced then.
fn slice_bytes_max(last_sync: Option<Instant>, now: Instant) -> usize {
    if last_sync.is_some_and(|at| now < at + SYNC_EXPECTED) {
        SLICE_BYTES_BESIDE_SYNCS
    } else {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_small_for_a_while_after_a_sync() {
        let at = Instant::from_start(Duration::from_secs(1));
        let small = SLICE_BYTES_BESIDE_SYNCS;
        assert_eq!(slice_bytes_max(None, at), usize::MAX);
        assert_eq!(slice_bytes_max(Some(at), at), small);
        let later = at + Duration::from_millis(19);
        assert_eq!(slice_bytes_max(Some(at), later), small);
        let after = at + SYNC_EXPECTED;
        assert_eq!(slice_bytes_max(Some(at), after), usize::MAX);
    }
}
