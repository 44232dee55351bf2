//! A function for each record of a group, with so many workers, in order for each key, with retries and dead letters.
//!
//! ```text
//!  claims (a task each)      workers (a task each)
//!   orders-0  --\  by key   [ | | | ] --> handler --> done
//!   orders-1  ---+--------> [ | | | ] --> handler --> fails --> again --> retry topic, dead letters --> done
//!   retry-0   --/  when due [ | | | ] --> ...
//! ```

mod post;
mod reader;
mod ticket;
mod worker;

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::post::Post;
use self::reader::Reader;
use self::worker::Worker;
use super::GroupBuilder;
use crate::consumer::{Commit, ConsumerRecord};
use crate::core::backoff::Backoff;
use crate::core::handler::course::{self, Course, RetryTopic};
use crate::core::handler::dispatch::Keyless;
use crate::error::{BoxError, Error, Result};

/// Records that wait for one worker.
const QUEUE_RECORDS: usize = 64;
const WORKERS_MAX: usize = 4096;

/// Sets up a function that is called for each record; see [`GroupBuilder::for_each`].
///
/// ```
/// # use std::time::Duration;
/// # use highwater::{Backoff, ConsumerRecord, OffsetReset, Record};
/// # static CHARGED: tokio::sync::Notify = tokio::sync::Notify::const_new();
/// # async fn charge(order: ConsumerRecord) -> Result<(), std::io::Error> {
/// #     assert_eq!(order.value(), Some(&b"paid"[..]));
/// #     CHARGED.notify_one();
/// #     Ok(())
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> highwater::Result<()> {
/// # let cluster = highwater::testing::TestCluster::builder().topic("orders", 3);
/// # let cluster = cluster.topic("orders-retry-1m", 1).topic("orders-retry-10m", 1);
/// # let cluster = cluster.topic("orders.DLT", 1).start().await?;
/// # let client = cluster.client();
/// # client.producer().build().await?.send(Record::to("orders").value("paid")).await?;
/// # let shutdown = CHARGED.notified();
/// let (ms, minute) = (Duration::from_millis(1), Duration::from_secs(60));
/// client
///     .group("billing")
///     .topics(["orders"])
/// #   .consumer(|it| it.offset_reset(OffsetReset::Earliest))
///     .for_each(16, |order| charge(order))
///     .retry(Backoff::exponential(100 * ms..1000 * ms), 3)
///     .retry_topics([("orders-retry-1m", minute), ("orders-retry-10m", 10 * minute)])
///     .dead_letter("orders.DLT")
///     .run_until(shutdown)
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// **Order.** Records with the same key are dealt with one after the other, in the order of their partition, by the worker
/// that their key leads to. Records without a key are dealt with in the order of their partition, or in none:
/// [`keyless`](Self::keyless). A record that goes into a retry topic is overtaken by those after it; one that is tried again in
/// place is not. What has one key should not be in several topics where order matters, but for the retry topics.
///
/// **At least once.** A record is marked when the function has returned `Ok`, or when it is acknowledged in a retry topic or
/// among the dead letters. What is contiguous and marked is committed every so often
/// ([`Commit::Watermark`](crate::Commit)), and before a partition is let go.
///
/// **When a partition goes**, no more of its records are given to workers. What they have is brought to its end, but for records
/// that wait to be tried again in place: those, and what comes after them in that partition, are left to the next member. All
/// that is bounded by the rebalance time-out; then the function is dropped where it waits. Ending the run does the same with
/// all partitions, within [`shutdown_within`](GroupBuilder::shutdown_within).
///
/// **A failure** is an `Err` or a panic. A record that has been through all that is set up here ends the run with the error, if
/// there are no dead letters: it is not marked, and so comes again. So does a record that can not be put aside, because the
/// topic does not take it within the producer's `delivery.timeout.ms`.
#[must_use = "nothing is read before it is run"]
pub struct ForEach<F, E> {
    group: GroupBuilder,
    workers: usize,
    handler: F,
    keyless: Keyless,
    queue_records: usize,
    course: Course,
    may_pass: MayPass<E>,
}

/// Whether an error is of a kind that may pass.
pub(super) type MayPass<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

impl<F, E> fmt::Debug for ForEach<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEach")
            .field("group", &self.group)
            .field("workers", &self.workers)
            .field("keyless", &self.keyless)
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}

impl<F, R, E> ForEach<F, E>
where
    F: Fn(ConsumerRecord) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    pub(super) fn new(group: GroupBuilder, workers: usize, handler: F) -> Self {
        Self {
            group,
            workers,
            handler,
            keyless: Keyless::default(),
            queue_records: QUEUE_RECORDS,
            course: Course::default(),
            may_pass: Arc::new(|_| true),
        }
    }

    /// What is done with records that have no key: in the order of their partition, if nothing is said.
    pub fn keyless(mut self, keyless: Keyless) -> Self {
        self.keyless = keyless;
        self
    }

    /// How many records may wait for one worker, 64 if nothing is said. A worker that has so many holds up the partitions whose
    /// next record is for it.
    pub fn queue_records(mut self, records: usize) -> Self {
        self.queue_records = records;
        self
    }

    /// Tries a record that failed again where it is, up to `times` more, after pauses. Its worker waits meanwhile, so a
    /// pause of `max.poll.interval.ms` or more is none of progress.
    pub fn retry(mut self, backoff: Backoff, times: u32) -> Self {
        self.course.again = Some((backoff, times));
        self
    }

    /// Puts a record that failed for good into the first of these topics, one that fails from there into the second, and so on;
    /// each is read by this group, too, and its records wait there for so long. Nothing else waits for them.
    ///
    /// The headers are Spring's: `retry_topic-attempts`, `retry_topic-backoff-timestamp` (when the record is due),
    /// `retry_topic-original-timestamp`, and `kafka_original-*` and `kafka_exception-*`, which tell where it was first and what
    /// went wrong last. Key, value and other headers stay.
    pub fn retry_topics<N: Into<String>>(
        mut self,
        topics: impl IntoIterator<Item = (N, Duration)>,
    ) -> Self {
        let topics = topics.into_iter().map(|(name, delay)| RetryTopic {
            name: name.into(),
            delay,
        });
        self.course.topics = topics.collect();
        self
    }

    /// Puts a record that failed for good, and from the last retry topic if there are any, into this topic.
    ///
    /// The headers are Spring's (`kafka_dlt-original-*`, `kafka_dlt-exception-*`) and Kafka Connect's (`__connect.errors.*`).
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.course.dead_letter = Some(topic.into());
        self
    }

    /// Leaves a record that failed for good out, with a warning, where there are no dead letters.
    pub fn skip_failed(mut self) -> Self {
        self.course.skips = true;
        self
    }

    /// Tries only records again whose error is of a kind that may pass; others are dead at once. All may, if nothing is said,
    /// and so do panics.
    pub fn retry_if(mut self, may_pass: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.may_pass = Arc::new(may_pass);
        self
    }

    /// Runs until something goes wrong; see [`run_until`](Self::run_until).
    ///
    /// # Errors
    ///
    /// As [`run_until`](Self::run_until).
    pub async fn run(self) -> Result<()> {
        self.run_until(pending()).await
    }

    /// Runs until `shutdown` is ready, then brings what the workers have to its end, commits, and leaves the group.
    ///
    /// Not cancel-safe in that a dropped future drops the workers where they wait and leaves the group in the background; what
    /// was marked before and not committed is read again.
    ///
    /// # Errors
    ///
    /// As [`GroupBuilder::run_until`]; [`Config`](crate::ErrorKind::Config) without workers, or for another commit strategy than
    /// the watermark, or where a topic would be met twice: a retry topic that is named twice or subscribed to, or that of dead
    /// letters among those that are read; and when one of the retry topics or the topic of dead letters does not exist.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let commit = self.group.consumer.group_config().commit;
        if !matches!(commit, Commit::Watermark { .. }) {
            let why = format!("for_each commits by its watermark, and the strategy is {commit:?}");
            return Err(Error::config(why));
        }
        if self.workers == 0 || self.workers > WORKERS_MAX || self.queue_records == 0 {
            let why = format!(
                "for_each has {} workers with {} records each, need 1 to {WORKERS_MAX} with at least 1",
                self.workers, self.queue_records
            );
            return Err(Error::config(why));
        }
        let refused = |error: course::Error| Error::config(error.to_string());
        let read = self.group.consumer.subscription();
        self.course.check(read).map_err(refused)?;
        let course = Arc::new(self.course);
        let post = Post::open(&self.group.client, &self.group.group, Arc::clone(&course)).await?;
        let handler = Arc::new(self.handler);
        let (mut workers, mut queues) = (JoinSet::new(), Vec::new());
        for _ in 0..self.workers {
            let (queue, jobs) = mpsc::channel(self.queue_records);
            let worker = Worker {
                handler: Arc::clone(&handler),
                may_pass: Arc::clone(&self.may_pass),
                client: self.group.client.clone(),
                post: post.clone(),
            };
            workers.spawn(worker.run(jobs));
            queues.push(queue);
        }
        let reader = Reader {
            queues,
            keyless: self.keyless,
            course: Arc::clone(&course),
        };
        let within = self.group.shutdown_within;
        let topics = course.topics.iter().map(|topic| topic.name.as_str());
        let group = self.group.topics(topics);
        let result = group.run_until(reader, shutdown).await;
        // Nothing is left for them: their claims were waited for, or given up.
        workers.shutdown().await;
        post.close(within).await;
        result
    }
}
