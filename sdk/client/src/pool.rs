//! Connections by broker, with a pause after failures so that a dead broker is not hammered.
//!
//! One shared connection per broker for short questions; producers and consumers dial their own,
//! because a broker serves one request of a connection at a time and a fetch may wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, sleep_until};

use crate::config::ClientConfig;
use crate::connection::{Connection, Secured};
use crate::core::backoff::{Backoff, Random};
use crate::core::metadata::Broker;
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct Pool {
    config: ClientConfig,
    secured: Secured,
    /// By address: a broker that comes back elsewhere starts without a record.
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    random: Mutex<Random>,
}

#[derive(Debug)]
struct Slot {
    general: tokio::sync::Mutex<Option<Connection>>,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    failures: u32,
    not_before: Instant,
}

impl Pool {
    pub(crate) fn new(config: ClientConfig, secured: Secured, seed: u64) -> Self {
        Self {
            config,
            secured,
            slots: Mutex::default(),
            random: Mutex::new(Random::new(seed)),
        }
    }

    /// The shared connection to a broker, made if there is none.
    ///
    /// Cancel-safe.
    pub(crate) async fn general(&self, broker: &Broker) -> Result<Connection> {
        let slot = self.slot(broker);
        let mut general = slot.general.lock().await;
        if let Some(connection) = general.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(connection.clone());
        }
        let connection = self.dial_slot(&slot, broker).await?;
        *general = Some(connection.clone());
        Ok(connection)
    }

    /// A connection of one's own. Waits out the pause after earlier failures.
    ///
    /// Cancel-safe.
    pub(crate) async fn dial(&self, broker: &Broker) -> Result<Connection> {
        self.dial_slot(&self.slot(broker), broker).await
    }

    async fn dial_slot(&self, slot: &Slot, broker: &Broker) -> Result<Connection> {
        let lock = || slot.record.lock().unwrap_or_else(PoisonError::into_inner);
        let not_before = lock().not_before;
        if not_before > Instant::now() {
            sleep_until(not_before).await;
        }
        let connected =
            Connection::connect(&broker.host, broker.port, &self.config, &self.secured).await;
        let mut record = lock();
        match &connected {
            Ok(_) => record.failures = 0,
            Err(error) => {
                record.failures = record.failures.saturating_add(1);
                let backoff = Backoff {
                    first: self.config.reconnect_backoff,
                    max: self.config.reconnect_backoff_max,
                };
                let random = self
                    .random
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next();
                record.not_before = Instant::now() + backoff.pause(record.failures, random);
                tracing::debug!(host = broker.host, port = broker.port, %error, "no connection");
            }
        }
        connected
    }

    fn slot(&self, broker: &Broker) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .entry(format!("{}:{}", broker.host, broker.port))
            .or_insert_with(|| {
                Arc::new(Slot {
                    general: tokio::sync::Mutex::new(None),
                    record: Mutex::new(Record {
                        failures: 0,
                        not_before: Instant::now(),
                    }),
                })
            });
        Arc::clone(slot)
    }
}
