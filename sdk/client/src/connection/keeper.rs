//! What a connection needs while nobody asks anything: to say again who we are before the broker forgets (KIP-368), and to be
//! closed when it has been idle for long (`connections.max.idle.ms`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_wire::Request;
use tokio::time::{Instant, sleep_until, timeout};

use super::authenticate::{Ask, authenticate};
use super::{Line, Secured, Shared};
use crate::error::{Error, Result};
use crate::security::Sasl;

/// As late as this part of a session, in percent, it is begun anew. Java takes 85 to 95.
const SESSION_PERCENT: u32 = 85;
/// As good as never, and no clock runs over.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Looks after one connection.
pub(super) struct Keeper {
    session: Option<(Sasl, Duration)>,
}

impl Keeper {
    pub(super) fn new(secured: &Secured, session: Option<Duration>) -> Self {
        Self {
            session: secured.sasl().cloned().zip(session),
        }
    }

    /// Until the connection fails or its last handle goes.
    pub(super) async fn keep(mut self, shared: Arc<Shared>) {
        let idle_max = match shared.config.idle_max {
            Duration::ZERO => FOR_EVER,
            idle_max => idle_max.min(FOR_EVER),
        };
        let mut begun = Instant::now();
        loop {
            let anew_at = self.session.as_ref().map(|(_, lifetime)| {
                begun + (lifetime.min(&FOR_EVER).saturating_mul(SESSION_PERCENT)) / 100
            });
            let mut idle_at = shared.lock().used_at + idle_max;
            if idle_at <= Instant::now() {
                // Something asked long ago still waits for its answer.
                idle_at = Instant::now() + idle_max;
            }
            sleep_until(anew_at.map_or(idle_at, |at| at.min(idle_at))).await;
            let now = Instant::now();
            if let (Some((sasl, _)), true) = (&self.session, anew_at.is_some_and(|at| at <= now)) {
                if !shared.hold().await {
                    return;
                }
                begun = Instant::now();
                match shared.authenticate_again(sasl).await {
                    Ok(lifetime) => self.session = lifetime.map(|l| (sasl.clone(), l)),
                    Err(error) => {
                        tracing::warn!(peer = shared.peer, %error, "not believed again");
                        shared.fail(error);
                        return;
                    }
                }
            } else if shared.is_idle(now, idle_max) {
                let why = format!("connection to {} was idle for long", shared.peer);
                shared.fail(Error::network(why));
                return;
            }
        }
    }
}

impl Shared {
    fn is_idle(&self, now: Instant, idle_max: Duration) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.outgoing.is_empty() && state.used_at + idle_max <= now
    }

    /// Holds requests from now on, and waits until those before are answered: one of them may wait
    /// for as long as a rebalance takes, longer than the answers of an authentication are waited for.
    /// Returns whether the connection is still there.
    async fn hold(&self) -> bool {
        loop {
            {
                let mut state = self.lock();
                if state.failed.is_some() {
                    return false;
                }
                state.held.get_or_insert_with(VecDeque::new);
                if state.waiting.is_empty() {
                    return true;
                }
            }
            self.drained.notified().await;
        }
    }

    /// While requests are held: in between, a broker takes nothing else. Lets them go then.
    async fn authenticate_again(&self, sasl: &Sasl) -> Result<Option<Duration>> {
        let again = authenticate(&mut Live(self), sasl, &self.versions).await;
        let mut state = self.lock();
        if again.is_ok() {
            for asked in state.held.take().into_iter().flatten() {
                state.put_in_line(asked);
            }
            drop(state);
            self.to_write.notify_one();
        }
        again
    }
}

/// A connection with its tasks.
struct Live<'a>(&'a Shared);

impl Ask for Live<'_> {
    fn peer(&self) -> &str {
        &self.0.peer
    }

    async fn ask<R: Request + Sync>(&mut self, request: &R, version: i16) -> Result<Bytes> {
        let answer = self.0.ask(request, version, [], true, Line::Passes)?;
        let ms = self.0.config.request_timeout;
        match timeout(ms, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::closed("connection")),
            Err(_) => Err(Error::timeout(format!(
                "no answer to {} from {} within {} ms",
                R::NAME,
                self.0.peer,
                ms.as_millis()
            ))),
        }
    }
}
