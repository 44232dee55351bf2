//! Sets up a run of a handler.

use std::future::pending;
use std::time::Duration;

use super::driver::{Driver, Rules};
use super::for_each::ForEach;
use super::{GroupHandler, OnClaimError};
use crate::client::Client;
use crate::consumer::{ConsumerBuilder, ConsumerRecord};
use crate::error::{BoxError, Result};

/// Sets up a handler's run in a group; see [`handler`](crate::handler).
#[derive(Clone, Debug)]
#[must_use = "nothing is read before it is run"]
pub struct GroupBuilder {
    pub(super) client: Client,
    pub(super) consumer: ConsumerBuilder,
    pub(super) group: String,
    on_error: OnClaimError,
    pub(super) shutdown_within: Duration,
}

/// A claim that ended too late is not committed, and shutting down should not wait for ever.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

impl Client {
    /// Joins a group with a handler, or with a function for each record: see [`handler`](crate::handler).
    pub fn group(&self, id: impl Into<String>) -> GroupBuilder {
        let group = id.into();
        GroupBuilder {
            client: self.clone(),
            consumer: self.consumer().group(&group),
            group,
            on_error: OnClaimError::default(),
            shutdown_within: SHUTDOWN_WITHIN,
        }
    }
}

impl GroupBuilder {
    /// Reads these topics too.
    pub fn topics<T: AsRef<str>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.consumer = self.consumer.subscribe(topics);
        self
    }

    /// Sets up the consumer underneath: assignors, instance id, commit strategy, where to begin. Its listener is the run's own.
    pub fn consumer(mut self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> Self {
        self.consumer = change(self.consumer);
        self
    }

    /// What happens when a claim's handler fails; the run ends if nothing is said.
    pub fn on_claim_error(mut self, on_error: OnClaimError) -> Self {
        self.on_error = on_error;
        self
    }

    /// How long ending the run may take, 30 s if nothing is said: three quarters of it are for the handlers.
    pub fn shutdown_within(mut self, within: Duration) -> Self {
        self.shutdown_within = within;
        self
    }

    /// Runs until something goes wrong; see [`run_until`](Self::run_until).
    ///
    /// # Errors
    ///
    /// As [`run_until`](Self::run_until).
    pub async fn run(self, handler: impl GroupHandler) -> Result<()> {
        self.run_until(handler, pending()).await
    }

    /// Runs until `shutdown` is ready, then ends the claims, cleans up, commits, and leaves the group.
    ///
    /// Not cancel-safe in that a dropped future drops the handler's tasks where they wait, cleans nothing up, and leaves the
    /// group in the background; what was marked before and not committed is read again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Handler`](crate::ErrorKind::Handler) with the handler's error as its source; a time-out when a claim made
    /// no progress, or when the run could not be ended in time; and what keeps the consumer from its group.
    pub async fn run_until(
        self,
        handler: impl GroupHandler,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        let group = self.consumer.group_config();
        let patience = group.release_patience();
        let rules = Rules {
            on_error: self.on_error,
            patience,
            stall: group.poll_interval_max,
            shutdown_within: self.shutdown_within,
            client: self.client,
        };
        Driver::new(handler, rules)
            .run(self.consumer, shutdown)
            .await
    }

    /// Calls `handler` for each record, up to `workers` at once; see [`ForEach`].
    pub fn for_each<F, R, E>(self, workers: usize, handler: F) -> ForEach<F, E>
    where
        F: Fn(ConsumerRecord) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        ForEach::new(self, workers, handler)
    }
}
