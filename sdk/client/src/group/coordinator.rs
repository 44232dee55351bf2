//! Who coordinates a group, and how long to try when that is nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater_wire::Array;
use highwater_wire::ErrorCode;
use highwater_wire::message::{FindCoordinatorRequest, FindCoordinatorResponse};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::connection::Connection;
use crate::core::metadata::Broker;
use crate::error::{Error, ErrorKind, Result};

/// The first version that asks for many keys at once.
const VERSION_MANY: i16 = 4;

/// A group's coordinator, as far as known.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) client: Client,
    pub(crate) group: Arc<str>,
    known: Mutex<Option<Broker>>,
}

impl Coordinator {
    pub(crate) fn new(client: Client, group: Arc<str>) -> Self {
        Self {
            client,
            group,
            known: Mutex::default(),
        }
    }

    /// Where it is; asked of any broker when it is not known.
    ///
    /// Cancel-safe.
    pub(crate) async fn find(&self) -> Result<Broker> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let connection = self.client.shared.any().await?;
        let version = connection.version::<FindCoordinatorRequest<'_>>(i16::MAX)?;
        let mut request = FindCoordinatorRequest::default();
        if version < VERSION_MANY {
            request.key = &self.group;
        } else {
            request.coordinator_keys = Array::from([&*self.group]);
        }
        let reply = connection
            .send(&request, version, [], true)?
            .answer()
            .await?;
        let answer: FindCoordinatorResponse<'_> = reply.decode()?;
        let (code, message, host, port) = match answer.coordinators.first() {
            Some(it) => (it.error_code, it.error_message, it.host, it.port),
            None => (
                answer.error_code,
                answer.error_message,
                answer.host,
                answer.port,
            ),
        };
        let code = ErrorCode::from_id(code);
        if code.is_error() {
            return Err(Error::broker(code, message));
        }
        let port = u16::try_from(port)
            .map_err(|_| Error::protocol(format!("coordinator's port is {port}")))?;
        let broker = Broker {
            host: host.to_owned(),
            port,
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(broker.clone());
        Ok(broker)
    }

    /// The shared connection to it.
    pub(crate) async fn connection(&self) -> Result<Connection> {
        let broker = self.find().await?;
        self.client.shared.pool.general(&broker).await
    }

    pub(crate) fn known(&self) -> Option<Broker> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// It is not there, or not the coordinator any more.
    pub(crate) fn lost(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Pauses between attempts that a coordinator refused for now, until a deadline.
#[derive(Debug)]
pub(crate) struct Retry {
    deadline: Instant,
    failures: u32,
    /// How many answers made no sense.
    broken: u32,
}

/// Answers that make no sense, of one call: a connection may break so once, and is made anew; a peer that always does so is no
/// coordinator.
const BROKEN_MAX: u32 = 3;

impl Retry {
    pub(crate) fn within(timeout: Duration) -> Self {
        Self::until(Instant::now() + timeout)
    }

    pub(crate) fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            failures: 0,
            broken: 0,
        }
    }

    /// Whether an attempt after this may succeed; [`after`](Self::after) decides.
    pub(crate) fn may_help(error: &Error) -> bool {
        Self::helps(error) || *error.kind() == ErrorKind::Protocol
    }

    /// Whether what failed may succeed without anything being changed.
    pub(crate) fn helps(error: &Error) -> bool {
        // Between a join and its sync nothing can be committed, and that passes; so does an epoch that the coordinator has
        // given out and the member has not heard of yet. A topic that is unknown stays it.
        let code = error.code();
        matches!(
            code,
            Some(ErrorCode::RebalanceInProgress | ErrorCode::StaleMemberEpoch)
        ) || (error.is_retriable() && code != Some(ErrorCode::UnknownTopicOrPartition))
    }

    /// Waits before the next attempt after `error`.
    ///
    /// # Errors
    ///
    /// The error itself, if it will not pass or the time is over.
    pub(crate) async fn after(&mut self, error: Error, coordinator: &Coordinator) -> Result<()> {
        let code = error.code();
        let moved = matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout)
            || matches!(
                code,
                Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
            );
        if moved {
            coordinator.lost();
        }
        self.failures += 1;
        let shared = &coordinator.client.shared;
        let pause = shared.retry_backoff().pause(self.failures, shared.random());
        let is_broken = *error.kind() == ErrorKind::Protocol;
        self.broken += u32::from(is_broken);
        let helps = Self::helps(&error) || (is_broken && self.broken < BROKEN_MAX);
        if !helps || Instant::now() + pause >= self.deadline {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }
}
