//! The line for `buffer.memory`, as one call stands in it, and what else a call waits for: all of it together no longer than
//! `max.block.ms`.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::memory::Credit;
use super::shared::Shared;
use super::topic::Topic;
use crate::error::{Error, Result};

/// What a call has got of the producer's memory, and until when it waits for more.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Arc<Shared>,
    credit: Credit<'a>,
    /// `max.block.ms` from when the call first had to wait.
    deadline: Option<Instant>,
}

impl<'a> Line<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        Self::with(shared, Credit::none(&shared.memory))
    }

    /// With credit that is there already or will be.
    pub(super) fn with(shared: &'a Arc<Shared>, credit: Credit<'a>) -> Self {
        Self {
            shared,
            credit,
            deadline: None,
        }
    }

    pub(super) fn credit(&mut self) -> &mut Credit<'a> {
        &mut self.credit
    }

    pub(super) fn into_credit(self) -> Credit<'a> {
        self.credit
    }

    /// The topic, with its metadata. Cancel-safe.
    ///
    /// # Errors
    ///
    /// An unknown topic, or a time-out at the deadline.
    pub(super) async fn topic(&mut self, name: &str) -> Result<Arc<Topic>> {
        if let Some(known) = self.shared.known_topic(name) {
            return Ok(known);
        }
        let deadline = self.deadline();
        self.shared.topic(name, deadline).await
    }

    /// Whether the topic has this partition, or gets it in time. Cancel-safe.
    pub(super) async fn has_partition(&mut self, topic: &Topic, partition: i32) -> bool {
        let deadline = self.deadline();
        self.shared.has_partition(topic, partition, deadline).await
    }

    fn deadline(&mut self) -> Instant {
        let block_max = self.shared.config.block_max;
        *self
            .deadline
            .get_or_insert_with(|| Instant::now() + block_max)
    }

    /// Waits until the credit is `bytes`. Cancel-safe: what came goes back with the line.
    ///
    /// # Errors
    ///
    /// A time-out at the deadline.
    pub(super) async fn wait(&mut self, bytes: usize) -> Result<()> {
        let (shared, deadline) = (self.shared, self.deadline());
        let filled = self.credit.fill(bytes, || shared.wake_all());
        if timeout_at(deadline, filled).await.is_err() {
            let ms = shared.config.block_max.as_millis();
            let why = format!("buffer.memory is exhausted for {ms} ms (max.block.ms)");
            return Err(Error::timeout(why));
        }
        Ok(())
    }
}
