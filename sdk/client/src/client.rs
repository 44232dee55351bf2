//! The connection to a cluster that producers, consumers and admins share.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::Admin;
use crate::config::{ClientConfig, Properties};
use crate::consumer::ConsumerBuilder;
use crate::error::Result;
use crate::producer::ProducerBuilder;

/// A cluster's metadata and connections. Cloning shares them; the last clone's drop closes them.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Properties>,
}

impl Client {
    /// Starts a client for the cluster of these brokers: `host:port`, several with commas.
    pub fn builder(bootstrap: impl AsRef<str>) -> ClientBuilder {
        let mut properties = Properties::default();
        properties.client.bootstrap = bootstrap
            .as_ref()
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(str::to_owned)
            .collect();
        ClientBuilder { properties }
    }

    /// Starts a client from Kafka's property names, producer's and consumer's included: those
    /// become the defaults of [`producer`](Self::producer) and [`consumer`](Self::consumer).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a key that is unknown (the nearest known
    /// one is named) or a value that is unusable.
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ClientBuilder> {
        let mut builder = ClientBuilder {
            properties: Properties::default(),
        };
        for (key, value) in properties {
            builder = builder.property(key.as_ref(), value.as_ref())?;
        }
        Ok(builder)
    }

    /// Starts a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), self.shared.producer.clone())
    }

    /// Starts a consumer of given partitions, outside of any group.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone(), self.shared.consumer.clone())
    }

    /// The administrator's calls.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// How many partitions `topic` has. Waits for metadata for up to `default.api.timeout.ms`.
    ///
    /// Cancel-safe: nothing is lost by dropping the future.
    ///
    /// # Errors
    ///
    /// The broker's code when the topic does not exist (and is not created), or a time-out.
    pub async fn partition_count(&self, topic: &str) -> Result<i32> {
        let _ = topic;
        todo!()
    }
}

/// Sets up a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    properties: Properties,
}

impl ClientBuilder {
    /// Sets one property by Kafka's name for it.
    ///
    /// # Errors
    ///
    /// As [`Client::from_properties`].
    pub fn property(mut self, key: &str, value: &str) -> Result<Self> {
        self.properties.set(key, value)?;
        Ok(self)
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        change(&mut self.properties.client);
        self
    }

    /// `client.id`: names this client in the broker's logs and quotas.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.properties.client.client_id = client_id.into();
        self
    }

    /// `request.timeout.ms`: how long an answer may take.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.properties.client.request_timeout = timeout;
        self
    }

    /// `default.api.timeout.ms`: how long a call may take with its retries.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.properties.client.api_timeout = timeout;
        self
    }

    /// Connects to a bootstrap broker and learns the cluster's brokers from it.
    ///
    /// Cancel-safe: a dropped future closes what it opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for unusable settings, or the last failure
    /// when no bootstrap broker answers within `default.api.timeout.ms`.
    pub async fn connect(self) -> Result<Client> {
        self.properties.client.check()?;
        Ok(Client {
            shared: Arc::new(self.properties),
        })
    }
}
