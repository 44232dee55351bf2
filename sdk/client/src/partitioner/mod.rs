//! Which partition a record goes to: the rules of Kafka's clients by type and by name, ranges of keys, and one's own.
//!
//! A rule decides by what the record says. Where the record leaves it open, the rule names a [`Spread`], and the topic's state
//! (who has batches waiting, where the last one went) is looked at under the topic's own lock, outside of here.

mod chosen;
mod hash;
mod range;
mod rule;

use std::fmt;

use crate::record::Record;

pub(crate) use chosen::Chosen;
pub use range::{KeyOrder, NullKey, RangeMap, RangeMapError, RangePartitioner};
pub use rule::{Rule, UnknownPartitioner};

/// Chooses partitions. Called by many threads at once, once for each record that names no partition itself.
///
/// ```
/// use highwater::partitioner::{Choice, Partitioner, Spread, TopicView};
/// use highwater::Record;
///
/// /// Large records to partition 0, whatever their key.
/// #[derive(Debug)]
/// struct LargeApart;
///
/// impl Partitioner for LargeApart {
///     fn choose(&self, record: &Record<'_>, _: &TopicView<'_>) -> Choice {
///         if record.value_bytes().is_some_and(|value| value.len() > 100_000) {
///             Choice::Fixed(0)
///         } else {
///             Choice::Any(Spread::Adaptive)
///         }
///     }
/// }
///
/// let large = vec![0; 200_000];
/// let view = TopicView::new("t", 3);
/// assert_eq!(LargeApart.choose(&Record::to("t").value(&large), &view), Choice::Fixed(0));
/// ```
pub trait Partitioner: fmt::Debug + Send + Sync {
    /// Where `record` goes. A record that waits for memory is asked about once; it is asked about again when the topic got
    /// another number of partitions meanwhile, and when [`try_enqueue`](crate::Producer::try_enqueue) is given it again.
    fn choose(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Choice;
}

/// What a partitioner says of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To this partition. One that the topic does not have is a configuration error.
    Fixed(i32),
    /// Anywhere; how is said.
    Any(Spread),
    /// Nowhere: the record is refused with a configuration error that says this.
    Refused(String),
}

/// How records are spread that may go anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Stay for a batch's worth of bytes, then pick another, those with fewer batches waiting more likely (KIP-794).
    Adaptive,
    /// Stay until the batch is full or has left, then pick any other (KIP-480).
    Batch,
    /// Stay until the batch is full or has left, then pick one with the fewest batches waiting.
    LeastBackup,
    /// Each record to a partition of its own, at random.
    Random,
    /// Each record to the next partition in turn.
    InTurn,
}

/// What a partitioner may know of a topic. Partitions without a leader count, but [`Spread`] avoids them.
#[derive(Clone, Copy, Debug)]
pub struct TopicView<'a> {
    name: &'a str,
    partitions: i32,
}

impl<'a> TopicView<'a> {
    /// A topic of so many partitions: to test a partitioner with.
    #[must_use]
    pub const fn new(name: &'a str, partitions: i32) -> Self {
        Self { name, partitions }
    }

    /// The topic's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// How many partitions there are, at least 1; they are numbered from 0.
    #[must_use]
    pub const fn partitions(&self) -> i32 {
        self.partitions
    }
}
