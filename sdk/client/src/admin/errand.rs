//! One call of an administrator from its beginning to its deadline: whom it asks, how often, and what is left of its time.
//! All parts of a call share one deadline. Knows no API.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater_wire::ErrorCode;
use tokio::time::{Instant, sleep, timeout_at};

use super::cluster::DescribeCluster;
use super::concurrent::join_all;
use super::{Operation, Results};
use crate::client::{Client, Shared};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::group::{self, Coordinator};

/// The longest time-out there is; a longer one is no different.
const TIMEOUT_MAX: Duration = Duration::from_secs(1 << 32);

/// A call under way. Cloning it gives a part of the same call.
#[derive(Clone, Debug)]
pub struct Errand {
    pub(super) client: Client,
    timeout: Duration,
    pub(super) deadline: Instant,
}

impl Errand {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Self {
            client,
            timeout,
            deadline: Instant::now() + timeout.min(TIMEOUT_MAX),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.client.shared
    }

    /// How long a broker may take, as told to it.
    pub(super) fn timeout_ms(&self) -> i32 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = self.shared().config().request_timeout.min(left);
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// A connection to the controller, or in its absence to any broker: with KRaft each of them
    /// forwards.
    pub(super) async fn controller(&self) -> Result<Connection> {
        match self.shared().cluster().controller {
            Some(controller) => self.broker(controller).await,
            None => self.shared().any().await,
        }
    }

    /// A connection to broker `id`.
    pub(super) async fn broker(&self, id: i32) -> Result<Connection> {
        let shared = self.shared();
        shared.pool.general(&shared.broker(id)?).await
    }

    /// The ids of all brokers: those given, or else those known.
    async fn brokers(&self, given: BTreeSet<i32>) -> Result<BTreeSet<i32>> {
        if !given.is_empty() {
            return Ok(given);
        }
        let described = DescribeCluster::default().run(self.clone()).await?;
        Ok(described.brokers.iter().map(|broker| broker.id).collect())
    }

    /// Asks each of these brokers, or all; a broker that does not answer has that as its result.
    pub(super) async fn of_brokers<T, F: Future<Output = Result<T>>>(
        &self,
        brokers: impl IntoIterator<Item = i32>,
        ask: impl Fn(Connection) -> F,
    ) -> Result<Results<i32, T>> {
        let brokers = self.brokers(brokers.into_iter().collect()).await?;
        let ask = &ask;
        let asked = brokers.into_iter().map(|id| async move {
            let answered = self.retry(|| async { ask(self.broker(id).await?).await });
            (id, answered.await)
        });
        Ok(join_all(asked.collect()).await.into_iter().collect())
    }

    /// Does `call` until it succeeds, fails for good, or the call's time is over.
    //
    // Not an async closure: the compiler would not see that calls can be sent between threads.
    pub(super) async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut retry = Retry::new(self);
        loop {
            match self.within(call()).await {
                Ok(done) => return Ok(done),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Does `call` for all items, and again for those whose refusal asks for that: the controller is
    /// elsewhere, or a quota is exhausted for now. Others stand: they may be the trace of a first
    /// attempt whose answer was lost.
    pub(super) async fn retry_items<
        K: Clone + Ord,
        T,
        F: Future<Output = Result<Results<K, T>>>,
    >(
        &self,
        items: impl IntoIterator<Item = K>,
        call: impl Fn(BTreeSet<K>) -> F,
    ) -> Result<Results<K, T>> {
        let mut left: BTreeSet<K> = items.into_iter().collect();
        let mut results = Results::new();
        let mut retry = Retry::new(self);
        while !left.is_empty() {
            let error = match self.within(call(left.clone())).await {
                Ok(mut found) => {
                    complete(&mut found, &left);
                    results.extend(found);
                    let again = |item: &K| match results.get(item) {
                        Some(Err(error)) if Retry::is_passing(error) => Some(error.clone()),
                        Some(_) | None => None,
                    };
                    let error = left.iter().find_map(again);
                    left.retain(|item| again(item).is_some());
                    match error {
                        Some(error) => error,
                        None => break,
                    }
                }
                Err(error) => error,
            };
            if let Err(error) = retry.after(error).await {
                if results.is_empty() {
                    return Err(error);
                }
                // Some are done: what is left failed as itself, and by what it was refused with.
                for item in left {
                    results.entry(item).or_insert_with(|| Err(error.clone()));
                }
                break;
            }
        }
        Ok(results)
    }

    /// Asks a group's coordinator until it answers for good, or the call's time is over.
    pub(super) async fn of_coordinator<T, F: Future<Output = Result<T>>>(
        &self,
        group: &str,
        ask: impl Fn(Connection) -> F,
    ) -> Result<T> {
        let coordinator = Coordinator::new(self.client.clone(), group.into());
        let mut retry = group::Retry::until(self.deadline);
        let asking = async {
            loop {
                let error = match coordinator.connection().await {
                    Ok(connection) => match ask(connection).await {
                        Ok(answer) => return Ok(answer),
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                retry.after(error, &coordinator).await?;
            }
        };
        self.within(asking).await
    }

    /// Something that is cut off when the call's time is over.
    pub(super) async fn within<T>(&self, attempt: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout_at(self.deadline, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let why = format!("no answer within {:?}", self.timeout);
                Err(Error::timeout(why))
            }
        }
    }
}

/// Gives every item that an answer says nothing of a result that says so.
pub(super) fn complete<'a, K: Clone + Ord + 'a, T>(
    results: &mut Results<K, T>,
    items: impl IntoIterator<Item = &'a K>,
) {
    for item in items {
        if !results.contains_key(item) {
            let untold = Error::protocol("answer does not tell of this");
            results.insert(item.clone(), Err(untold));
        }
    }
}

/// The same failure for each of these.
pub(super) fn all_failed<'a, K: Clone + Ord + 'a, T>(
    items: impl IntoIterator<Item = &'a K>,
    error: &Error,
) -> Results<K, T> {
    let failed = items.into_iter().map(|it| (it.clone(), Err(error.clone())));
    failed.collect()
}

/// Attempts and the pauses between them, until a call's time is over.
#[derive(Debug)]
struct Retry<'a> {
    errand: &'a Errand,
    failures: u32,
}

impl<'a> Retry<'a> {
    fn new(errand: &'a Errand) -> Self {
        Self {
            errand,
            failures: 0,
        }
    }

    /// Whether what was refused is to be asked again though it is no retriable error by itself, or
    /// not for every call.
    fn is_passing(error: &Error) -> bool {
        matches!(
            error.code(),
            Some(ErrorCode::NotController | ErrorCode::ThrottlingQuotaExceeded)
        )
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    ///
    /// The error itself, if it will not pass or the time is over.
    async fn after(&mut self, error: Error) -> Result<()> {
        let shared = self.errand.shared();
        self.failures += 1;
        let pause = shared.retry_backoff().pause(self.failures, shared.random());
        let passes = error.is_retriable() || Self::is_passing(&error);
        if !passes || Instant::now() + pause >= self.errand.deadline {
            return Err(error);
        }
        shared.invalidate_metadata();
        sleep(pause).await;
        Ok(())
    }
}
