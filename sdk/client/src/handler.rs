//! Handlers: what an application does with the records of its group, partition by partition or record by record.
//!
//! # Partition by partition
//!
//! A [`GroupHandler`] is called for each partition that comes (a *claim*), in a task of its own, and reads it until it goes.
//! The shape is that of sarama's `ConsumerGroupHandler`; but claims come and go one by one where the group is cooperative, and
//! those that stay are not disturbed.
//!
//! ```
//! use highwater::Error;
//! use highwater::handler::{Claim, Cleanup, GroupHandler, Session};
//! # use highwater::{OffsetReset, Record};
//! # static READ: tokio::sync::Notify = tokio::sync::Notify::const_new();
//!
//! struct Billing;
//!
//! impl GroupHandler for Billing {
//!     type Error = Error;
//!
//!     async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
//!         while let Some(record) = claim.next().await? {
//!             println!("{} {}: {:?}", claim.partition(), record.offset(), record.value());
//!             session.mark(&record);
//! #           READ.notify_one();
//!         }
//!         Ok(())
//!     }
//!
//!     async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), Error> {
//!         println!("{:?} went: {why:?}", session.claims());
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> highwater::Result<()> {
//! # let cluster = highwater::testing::TestCluster::builder().topic("orders", 3).start().await?;
//! # let client = cluster.client();
//! # client.producer().build().await?.send(Record::to("orders").value("paid")).await?;
//! # let shutdown = READ.notified();
//! client
//!     .group("billing")
//!     .topics(["orders"])
//! #   .consumer(|it| it.offset_reset(OffsetReset::Earliest))
//!     .run_until(Billing, shutdown)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! For each claim, and in this order: `setup` (for all that came together), `consume_claim`, the claim's end, `cleanup` (for
//! all that went together), the commit of what was marked. Only then another member gets it. A claim ends when its partition
//! is being let go or was lost, or the run is stopped: [`Claim::next`] gives `None`, and the handler returns with what it had
//! in hand marked. A handler that does not return within the rebalance time-out (`max.poll.interval.ms`, less two heartbeats),
//! or within three quarters of [`shutdown_within`](GroupBuilder::shutdown_within), is dropped where it waits, so that nothing
//! of a partition reaches the application once another member has it.
//!
//! What is read without being marked is read again, by whoever has the partition next.
//!
//! When a handler fails, panics, or makes no progress for `max.poll.interval.ms` (it neither asks for records nor marks one),
//! the run ends: all claims are ended and cleaned up, the group is left, and the error is returned. With
//! [`OnClaimError::Restart`] the claim is read again from its first record without a mark, and the others go on. A handler
//! that returns before its claim has ended, and without an error, ends the run as well, as in sarama. Errors of `setup` and
//! `cleanup` always end it.
//!
//! # Record by record
//!
//! [`GroupBuilder::for_each`] calls a function for each record, with so many workers at once, in order for each key; it marks
//! records by itself, tries again what failed, and puts aside what fails for good: see [`ForEach`].

mod builder;
mod claim;
mod driver;
mod for_each;
pub(crate) mod letter;
mod pulse;
mod roster;
mod session;
mod unwind;

use std::future::{Future, ready};

pub use self::builder::GroupBuilder;
pub use self::claim::Claim;
pub use self::for_each::ForEach;
pub use self::session::Session;
pub use crate::core::backoff::Backoff;
pub use crate::core::handler::dispatch::Keyless;
use crate::error::BoxError;

/// What an application does with the partitions of its group; see the [module](self).
///
/// One value serves all claims, at the same time.
pub trait GroupHandler: Send + Sync + 'static {
    /// What goes wrong.
    type Error: Into<BoxError> + Send;

    /// These claims are about to be read: [`Session::claims`]. They are not before the future has ended, nor does anything
    /// else in the group change meanwhile; the others go on.
    ///
    /// # Errors
    ///
    /// The application's; the run ends.
    fn setup(&self, session: &Session) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = session;
        ready(Ok(()))
    }

    /// Reads a claim to its end. One task for each.
    ///
    /// # Errors
    ///
    /// The application's; [`OnClaimError`] says what happens.
    fn consume_claim(
        &self,
        session: &Session,
        claim: Claim,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// These claims have been read to their end: [`Session::claims`]. Another member gets them after the future has ended; what
    /// is marked here is committed. Called once for each claim that was set up, unless the run is dropped.
    ///
    /// # Errors
    ///
    /// The application's; the run ends.
    fn cleanup(
        &self,
        session: &Session,
        why: Cleanup,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (session, why);
        ready(Ok(()))
    }
}

/// Why claims went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Another member is to have them.
    Revoked,
    /// Another member may have them already: this one was not heard of in time. Nothing can be committed.
    Lost,
    /// The run ends, for whatever reason.
    Shutdown,
}

/// What happens when a claim's handler fails, panics, or makes no progress.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnClaimError {
    /// The run ends with the error.
    #[default]
    Stop,
    /// The claim is read again from its first record that is not marked, after a pause that grows as long as it fails at the
    /// same place. Its partition stays with this member meanwhile. One that fails after its end is left to the next member as
    /// it is, with a warning.
    Restart(Backoff),
}
