//! A call that can be set up before it is awaited. Knows no API: each is an [`Operation`].

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::Admin;
use super::errand::Errand;
use crate::error::Result;

/// A call with settings of its own: set it up, then `.await` it.
///
/// ```
/// # use std::time::Duration;
/// # use highwater::admin::NewTopic;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> highwater::Result<()> {
/// # let cluster = highwater::testing::TestCluster::start().await?;
/// # let client = cluster.client();
/// let wanted = NewTopic::new("orders").partitions(12);
/// let checked = client
///     .admin()
///     .create_topics([wanted])
///     .validate_only(true)
///     .timeout(Duration::from_secs(5))
///     .await?;
/// assert!(checked["orders"].is_ok());
/// # Ok(())
/// # }
/// ```
///
/// Nothing is asked before it is awaited, and its time runs from then on. Cancel-safe like all of [`Admin`]: what a broker
/// has been asked to do, it may still do.
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<O> {
    pub(super) admin: Admin,
    pub(super) operation: O,
}

/// What a [`Call`] does. The operations of this module are all there are.
pub trait Operation: fmt::Debug + Send + Sized + 'static {
    /// What it answers with.
    type Output: Send;

    #[doc(hidden)]
    fn run(self, errand: Errand) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<O> Call<O> {
    /// How long this call may take with all its parts and retries, instead of
    /// [`Admin::timeout`](super::Admin::timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.admin.timeout = timeout;
        self
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut O)) -> Self {
        change(&mut self.operation);
        self
    }
}

impl<O: Operation> IntoFuture for Call<O> {
    type Output = Result<O::Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.operation.run(self.admin.errand()).await })
    }
}

impl Admin {
    pub(super) fn call<O: Operation>(&self, operation: O) -> Call<O> {
        Call {
            admin: self.clone(),
            operation,
        }
    }
}
