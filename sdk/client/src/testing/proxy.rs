//! A proxy in front of any cluster, which makes it misbehave as told. It knows where brokers are named in answers, and puts
//! itself in their place; of what the answers mean it knows nothing.

use std::fmt;

use highwater_wire::ApiKey;

use super::fault::Fault;
use super::route::Routes;
use super::rule::{Rule, Rules};
use crate::error::{Error, Result};

/// A proxy on loopback in front of a cluster without TLS. Clients that start from [`bootstrap`](Self::bootstrap) reach
/// every broker through it. Dropping it closes every connection.
///
/// Its tasks run on the tokio runtime it was started in.
pub struct FaultProxy {
    routes: Routes,
    bootstrap: String,
}

impl FaultProxy {
    /// Starts a proxy in front of the cluster of these brokers: `host:port`, several with commas.
    ///
    /// Cancel-safe: a dropped future closes what it opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) when no port of the loopback can be had.
    pub async fn start(bootstrap: impl AsRef<str>) -> Result<Self> {
        let mut proxy = Self {
            routes: Routes::new(Rules::new()),
            bootstrap: String::new(),
        };
        let mut shown = Vec::new();
        for upstream in bootstrap.as_ref().split(',') {
            let local = proxy.routes.open(None, upstream.trim().to_owned());
            let local = local.map_err(|error| {
                Error::network(format!("no port for a proxy: {error}")).with_source(error)
            })?;
            shown.push(local.to_string());
        }
        proxy.bootstrap = shown.join(",");
        Ok(proxy)
    }

    /// Where clients start: as many addresses as the cluster behind was given with. They stay the same, whatever becomes
    /// of the brokers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The next request of this API meets this fault; see [`Rule`] for more than one. Rules strike in the order they were
    /// made.
    pub fn fail(&self, api: ApiKey, fault: Fault) -> Rule {
        self.routes.rules().add(Some(api), fault)
    }

    /// The next request of any API meets this fault.
    pub fn fail_any(&self, fault: Fault) -> Rule {
        self.routes.rules().add(None, fault)
    }

    /// No rule made so far strikes any more.
    pub fn stop_faults(&self) {
        self.routes.rules().stop();
    }

    /// How many requests of this API came so far, whatever became of them.
    pub fn requests(&self, api: ApiKey) -> usize {
        self.routes.rules().requests(api)
    }

    /// Waits until at least so many requests of this API have come.
    ///
    /// Cancel-safe: it only looks.
    pub async fn requested(&self, api: ApiKey, count: usize) {
        self.routes.rules().wait_requests(api, count).await;
    }

    /// Closes every connection; new ones are taken.
    pub fn cut(&self) {
        self.routes.cut(None);
    }

    /// Every broker is down: connections close, and new ones are refused. Bootstrap addresses are, too.
    ///
    /// Cancel-safe: some brokers may be down already.
    pub async fn down(&self) {
        self.routes.shut(None).await;
    }

    /// Every broker is up again, where it was.
    ///
    /// Cancel-safe: some brokers may be up already.
    pub async fn up(&self) {
        self.routes.reopen(None).await;
    }

    /// Broker `id` is down, once some answer has named it; bootstrap addresses stay up.
    ///
    /// Cancel-safe.
    pub async fn broker_down(&self, id: i32) {
        self.routes.shut(Some(id)).await;
    }

    /// Broker `id` is up again, where it was.
    ///
    /// Cancel-safe.
    pub async fn broker_up(&self, id: i32) {
        self.routes.reopen(Some(id)).await;
    }

    /// Nothing goes through until [`resume`](Self::resume): connections stay open, and silent.
    pub fn pause(&self) {
        self.routes.pause(true);
    }

    /// Everything that was held back goes through.
    pub fn resume(&self) {
        self.routes.pause(false);
    }

    /// Broker `id` is replaced: where it was, nothing answers any more, and whoever asks the bootstrap addresses for
    /// metadata is told of a broker `shown_as` at another address instead. Requests that name a broker by its id, as
    /// those for its configuration do, are not translated.
    ///
    /// Cancel-safe: the old address may still take connections for a moment.
    pub async fn replace_broker(&self, id: i32, shown_as: i32) {
        self.routes.replace(id, shown_as).await;
    }

    /// What was behind the address `old` is behind `new` from now on, for new connections.
    pub fn retarget(&self, old: &str, new: &str) {
        self.routes.retarget(old, new);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.routes.close();
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
