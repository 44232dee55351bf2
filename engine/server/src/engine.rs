//! An engine from outside: where it listens, what it has done, and how it is ended. What runs inside is `life`'s.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use highwater_broker::{Counters, Mailbox, Shared, Stats};
use highwater_reactor::{Exchange, Options, Outside, Running, ShardId};

use crate::address;
use crate::error::{StartError, StopError};
use crate::life::{Command, Life, Ready, Resolved};
use crate::settings::Settings;

/// A running engine: its shards are threads of this process. Dropped, it is shut down.
#[derive(Debug)]
pub struct Engine {
    ready: Ready,
    counters: Arc<[Counters]>,
    stopper: Stopper,
    ended: mpsc::Receiver<Result<(), StopError>>,
    running: Option<Running>,
}

/// Asks an engine to stop, from any thread: a signal's, say.
#[derive(Clone, Debug)]
pub struct Stopper(Outside<Command>);

impl Engine {
    /// Starts an engine and returns when it answers requests.
    ///
    /// # Errors
    /// [`StartError`], one sentence with the remedy; nothing is left running.
    pub fn start(settings: Settings) -> Result<Engine, StartError> {
        let listeners = settings
            .listeners
            .iter()
            .map(|listener| {
                let address = &listener.address;
                let bound = address::bound(address).map_err(|source| StartError::Host {
                    host: address.to_string(),
                    source,
                })?;
                Ok(Resolved {
                    bound,
                    told: address::told(address, listener.advertised.as_ref()).into(),
                })
            })
            .collect::<Result<Vec<_>, StartError>>()?;
        let options = options(&settings);
        let shards = options.shards;
        let lifecycle = Exchange::new(shards, 16);
        let stopper = Stopper(lifecycle.outside());
        let shared = Shared::new(shards);
        let counters = Arc::clone(&shared.counters);
        let (ready, readies) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let life = Life {
            settings: Arc::new(settings),
            listeners: listeners.into(),
            mailbox: Mailbox::new(shards),
            lifecycle,
            shared,
            ready,
            ended,
        };
        let running = highwater_reactor::run(options, move |reactor| life.clone().live(reactor))?;
        let mut engine = Engine {
            // Until it is known; an engine that did not start is not handed out.
            ready: Ready {
                addresses: Vec::new(),
                cluster_id: String::new(),
                node_id: 0,
            },
            counters,
            stopper,
            ended: ends,
            running: Some(running),
        };
        match readies.recv() {
            Ok(Ok(ready)) => {
                engine.ready = ready;
                Ok(engine)
            }
            Ok(Err(error)) => {
                engine.join()?;
                Err(error)
            }
            // The first shard ended without a word: it panicked.
            Err(mpsc::RecvError) => {
                engine.join()?;
                Err(StartError::Shards(highwater_reactor::StartError::System(
                    std::io::Error::other("the first shard ended at its start"),
                )))
            }
        }
    }

    /// Where its first listener is, with the port the system chose where 0 was set.
    pub fn local_addr(&self) -> SocketAddr {
        *self.ready.addresses.first().expect("an engine listens")
    }

    /// Where its listeners are, in the order of the settings.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.ready.addresses
    }

    /// The cluster's id, from `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        &self.ready.cluster_id
    }

    /// `node.id`.
    pub fn node_id(&self) -> i32 {
        self.ready.node_id
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.counters.len()
    }

    /// What all shards have done since the start.
    pub fn stats(&self) -> Stats {
        self.counters
            .iter()
            .fold(Stats::default(), |sum, counters| sum.and(counters.stats()))
    }

    /// A handle that asks for the end from another thread, while this one is in [`Engine::wait`].
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Ends it in order and waits for that: no more connections, requests under way answered, logs flushed and closed,
    /// checkpoints written, the directory released.
    ///
    /// # Errors
    /// [`StopError`]; it has ended all the same.
    pub fn shutdown(mut self) -> Result<(), StopError> {
        self.stopper.stop();
        self.end()
    }

    /// Waits until it has ended, because a [`Stopper`] said so or because a shard panicked.
    ///
    /// # Errors
    /// [`StopError`]; after a panic the process should end.
    pub fn wait(mut self) -> Result<(), StopError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), StopError> {
        self.join()?;
        self.ended.try_recv().unwrap_or(Ok(()))
    }

    fn join(&mut self) -> Result<(), highwater_reactor::Panicked> {
        self.running.take().map_or(Ok(()), Running::join)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stopper.stop();
            if let Err(error) = self.end() {
                tracing::error!(%error, "an engine did not end well");
            }
        }
    }
}

impl Stopper {
    /// Asks for an orderly end; more than once is as once.
    pub fn stop(&self) {
        // Gone: it has ended. Full: it was asked before and is at it.
        let _ = self.0.post(ShardId::ZERO, Command::Stop);
    }
}

fn options(settings: &Settings) -> Options {
    let defaults = Options::default();
    let shards = settings.shards.unwrap_or(defaults.shards).max(1);
    Options {
        shards,
        pin: settings.pin,
        name: "highwater".to_owned(),
        ..defaults
    }
}
