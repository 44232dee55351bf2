//! Many records at once: one lock for a run of records of one partition, one completion for all of
//! them that share a batch.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;

use super::Producer;
use super::choices::Choices;
use super::line::Line;
use super::place::{RUN_RECORDS_MAX, Refusal};
use super::topic::Topic;
use crate::core::producer::delivery::Delivery;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Record, RecordMetadata};

/// Records with indices in a row of one batch.
#[derive(Clone, Debug)]
struct Run {
    delivery: Arc<Delivery>,
    first: u32,
    count: u32,
}

impl Run {
    fn outcomes(&self) -> impl Iterator<Item = Option<Result<RecordMetadata>>> + '_ {
        (self.first..self.first + self.count).map(|index| self.delivery.try_get(index))
    }
}

type Runs = SmallVec<[Run; 2]>;

fn find(runs: &[Run], mut index: usize) -> Option<Option<Result<RecordMetadata>>> {
    for run in runs {
        match u32::try_from(index) {
            Ok(within) if within < run.count => {
                return Some(run.delivery.try_get(run.first + within));
            }
            Ok(_) | Err(_) => index -= usize::try_from(run.count).unwrap_or(usize::MAX),
        }
    }
    None
}

/// The promise of acknowledgements of many records, in their order; a few words for each batch that
/// they went into.
///
/// As a future it waits until what became of each of them is known, and yields where they are, or why
/// the first failed of those that did; [`outcomes`](Self::outcomes) then tells of each. Dropping it
/// does not take the records back. Cancel-safe: it can be polled again after being left alone.
#[derive(Clone, Debug, Default)]
#[must_use = "an acknowledgement that nobody looks at cannot tell that records failed"]
pub struct BatchAck {
    runs: Runs,
    len: usize,
    /// How many runs were found settled when this was polled.
    settled: usize,
}

impl BatchAck {
    pub(super) fn push(&mut self, delivery: &Arc<Delivery>, index: u32) {
        self.len += 1;
        if let Some(run) = self.runs.last_mut()
            && Arc::ptr_eq(&run.delivery, delivery)
            && run.first + run.count == index
        {
            run.count += 1;
            return;
        }
        self.runs.push(Run {
            delivery: Arc::clone(delivery),
            first: index,
            count: 1,
        });
    }

    /// The next `count` records were refused.
    pub(super) fn refuse(&mut self, topic: &str, count: usize, error: Error) {
        let place = error.topic_partition();
        let (topic, partition) = place.map_or_else(
            || (Arc::from(topic), -1),
            |place| (Arc::clone(&place.topic), place.partition),
        );
        let records = u32::try_from(count).unwrap_or(u32::MAX);
        self.len += count;
        self.runs.push(Run {
            delivery: Arc::new(Delivery::refused(topic, partition, records, error)),
            first: 0,
            count: records,
        });
    }

    /// How many records this is about.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is about none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What became of the record `index`, counted from 0 in the order of the call; `None` while that
    /// is open, and for an index beyond the last.
    pub fn get(&self, index: usize) -> Option<Result<RecordMetadata>> {
        find(&self.runs, index).flatten()
    }

    /// What became of each record, in the order of the call; `None` while that is open.
    pub fn outcomes(&self) -> impl Iterator<Item = Option<Result<RecordMetadata>>> + '_ {
        self.runs.iter().flat_map(Run::outcomes)
    }
}

impl Future for BatchAck {
    type Output = Result<BatchMetadata>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        while let Some(run) = this.runs.get(this.settled) {
            ready!(run.delivery.poll_done(context.waker()));
            this.settled += 1;
        }
        let mut failures = this
            .runs
            .iter()
            .filter_map(|run| run.delivery.failure(run.first, run.count));
        Poll::Ready(match failures.next() {
            Some(error) => Err(error),
            None => Ok(BatchMetadata {
                runs: this.runs.clone(),
                len: this.len,
            }),
        })
    }
}

/// Where many acknowledged records are, in their order; a few words for each batch they went into.
#[derive(Clone, Debug)]
pub struct BatchMetadata {
    runs: Runs,
    len: usize,
}

impl BatchMetadata {
    /// How many records this is about.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is about none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the record `index` is, counted from 0 in the order of the call.
    pub fn get(&self, index: usize) -> Option<RecordMetadata> {
        find(&self.runs, index)??.ok()
    }

    /// Where each record is, in the order of the call.
    pub fn iter(&self) -> impl Iterator<Item = RecordMetadata> + '_ {
        let outcomes = self.runs.iter().flat_map(Run::outcomes);
        outcomes.filter_map(|outcome| outcome?.ok())
    }
}

/// What many records are waited for with. It holds the records, not what they came from: an iterator
/// with closures in it would keep the caller's own future from being [`Send`].
pub type Batched<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

impl Producer {
    /// Enqueues records, to `topic` or else to the topic of each; waits for memory and metadata.
    pub(super) async fn enqueue_all(
        &self,
        topic: Option<&Arc<Topic>>,
        records: Vec<Record<'_>>,
    ) -> BatchAck {
        let shared = &self.handle.shared;
        let mut acks = BatchAck::default();
        let mut line = Line::new(shared);
        let mut choices = Choices::default();
        // Topics that were waited for in vain, and partitions: of a topic the least.
        let mut unknown: BTreeMap<&str, Error> = BTreeMap::new();
        let mut absent: BTreeMap<Arc<str>, i32> = BTreeMap::new();
        while let Some(first) = records.get(acks.len()) {
            let rest = &records[acks.len()..];
            let same = |record: &&Record<'_>| topic.is_some() || record.topic == first.topic;
            let run = rest.iter().take(RUN_RECORDS_MAX).take_while(same).count();
            let name = topic.map_or(first.topic, |topic| &topic.name);
            let known = match (topic, unknown.get(name)) {
                (Some(topic), _) => Ok(Arc::clone(topic)),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => line.topic(name).await,
            };
            let known = match known {
                Ok(known) => known,
                Err(error) => {
                    unknown.entry(name).or_insert_with(|| error.clone());
                    acks.refuse(name, run, error);
                    continue;
                }
            };
            let credit = line.credit();
            match shared.place_run(&known, &rest[..run], &mut choices, credit, &mut acks) {
                Ok(()) => {}
                Err(Refusal::Memory(bytes)) => {
                    if let Err(error) = line.wait(bytes).await {
                        // Whoever comes next would wait as long; all have one deadline.
                        acks.refuse(name, records.len() - acks.len(), error);
                    }
                }
                Err(Refusal::Partition(partition, error)) => {
                    let least = absent.get(&known.name);
                    let is_absent = least.is_some_and(|least| partition >= *least);
                    if is_absent {
                        acks.refuse(name, 1, error);
                    } else if !line.has_partition(&known, partition).await {
                        absent.insert(Arc::clone(&known.name), partition);
                        acks.refuse(name, 1, error);
                    }
                }
                Err(Refusal::Error(error)) if *error.kind() == ErrorKind::Closed => {
                    acks.refuse(name, records.len() - acks.len(), error);
                }
                Err(Refusal::Error(error)) => acks.refuse(name, 1, error),
            }
            // However many records there are, others have their turn.
            tokio::task::consume_budget().await;
        }
        acks
    }
}
