//! An engine's life on its shards: the first opens the directory, replays the metadata, has the others open their
//! partitions, listens, waits for the end, and closes everything in order. The others do what the broker asks of them.
//!
//! ```text
//!   shard 0   listen ─ data dir ─ controller ─ mount ─ broadcast ─ accept ──── Stop ─ close ─ checkpoints ─ marker
//!   shard n   ──────────────────────────────── partitions ─────── serve ────────────── close ───────────────── End
//! ```

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use highwater_broker::metadata::image::{Endpoint, Image, Node};
use highwater_broker::metadata::{Birth, Controller};
use highwater_broker::{Mailbox, Shard, Shared, Storage, checkpoint, write_checkpoints};
use highwater_log::DataDir;
use highwater_reactor::{Exchange, Listener, Post, Reactor, ShardId, Task};
use uuid::Uuid;

use crate::error::{StartError, StopError};
use crate::settings::Settings;
use crate::strays;

/// What the shards of an engine are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// To the first: end the engine in order.
    Stop,
    /// To the others: it is over.
    End,
}

/// What is known once an engine answers requests.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) cluster_id: String,
    pub(crate) node_id: i32,
}

/// A listener of the settings, its names looked up.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The address to bind.
    pub(crate) bound: SocketAddr,
    /// The host clients are told.
    pub(crate) told: Arc<str>,
}

/// What every shard is born with.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) settings: Arc<Settings>,
    /// In the order of the settings.
    pub(crate) listeners: Arc<[Resolved]>,
    pub(crate) mailbox: Mailbox,
    pub(crate) lifecycle: Exchange<Command, ()>,
    pub(crate) shared: Shared,
    pub(crate) ready: mpsc::Sender<Result<Ready, StartError>>,
    pub(crate) ended: mpsc::Sender<Result<(), StopError>>,
}

/// What the first shard holds while the engine runs.
struct Open {
    data_dir: Rc<DataDir>,
    controller: Rc<Controller>,
    accepting: Vec<Task<()>>,
    checkpointing: Task<()>,
}

impl Life {
    /// The life of one shard.
    pub(crate) async fn live(self, reactor: Reactor) {
        let lifecycle = self.lifecycle.clone().bind(&reactor);
        // Nothing is known before the metadata log is read; the first image replaces this one.
        let node = self.node(&[]);
        let image = Image::empty("", node, Uuid::nil(), self.settings.statics.clone());
        let shard = Shard::start(
            &reactor,
            self.mailbox.clone(),
            self.shared.clone(),
            Arc::new(image),
        );
        if reactor.shard() == ShardId::ZERO {
            self.lead(&reactor, &shard, &lifecycle).await;
            for number in 1..reactor.shards() {
                // One that has ended by itself need not be told.
                let _ = lifecycle.call(ShardId::new(number), Command::End).await;
            }
        } else {
            until(&lifecycle, Command::End).await;
        }
    }

    async fn lead(&self, reactor: &Reactor, shard: &Rc<Shard>, lifecycle: &Post<Command, ()>) {
        let open = match self.open(reactor, shard).await {
            Ok((ready, open)) => {
                // Nobody waits any more: then nobody will stop it either.
                if self.ready.send(Ok(ready)).is_err() {
                    return;
                }
                open
            }
            Err(error) => {
                let _ = self.ready.send(Err(error));
                return;
            }
        };
        until(lifecycle, Command::Stop).await;
        let outcome = self.close(shard, open).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, "stopped");
        } else {
            tracing::info!("stopped");
        }
        let _ = self.ended.send(outcome);
    }

    async fn open(
        &self,
        reactor: &Reactor,
        shard: &Rc<Shard>,
    ) -> Result<(Ready, Open), StartError> {
        let settings = &self.settings;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        // The directory's lock comes first: it is what tells two engines apart, whatever their ports.
        let data_dir = DataDir::open(reactor, &settings.data_dir, settings.node_id, None).await?;
        let data_dir = Rc::new(data_dir);
        let listeners = self
            .listeners
            .iter()
            .map(|listener| listen(reactor, listener.bound))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<SocketAddr> = listeners.iter().map(Listener::local_addr).collect();
        let birth = Birth {
            node: self.node(&addresses),
            statics: settings.statics.clone(),
        };
        let controller = Controller::open(reactor, &data_dir, birth).await?;
        let image = controller.image();
        strays::move_aside(reactor, &data_dir, &image, &controller.take_removed()).await?;
        shard.set_controller(Rc::clone(&controller));
        shard.mount(&Storage::of(&data_dir)?).await;
        shard.broadcast(&image).await;
        // What deletions left behind is in nobody's way: it goes while the engine works.
        let leftovers = Rc::clone(&data_dir);
        reactor
            .spawn(async move { leftovers.remove_leftovers().await })
            .detach();
        let accepting = listeners
            .into_iter()
            .map(|listener| reactor.spawn(highwater_broker::accept(Rc::clone(shard), listener)))
            .collect();
        let checkpointing = checkpoint(Rc::clone(shard), Rc::clone(&data_dir));
        let identity = data_dir.identity();
        let ready = Ready {
            addresses,
            cluster_id: identity.cluster_id.clone(),
            node_id: identity.node_id,
        };
        tracing::info!(
            addresses = ?ready.addresses,
            told = ?image.node().endpoints().map(|e| format!("{}:{}", e.host, e.port)).collect::<Vec<_>>(),
            cluster = ready.cluster_id,
            node = ready.node_id,
            shards = reactor.shards(),
            topics = image.topics().len(),
            partitions = image.partition_count(),
            "ready"
        );
        let open = Open {
            controller,
            accepting,
            checkpointing: reactor.spawn(checkpointing),
            data_dir,
        };
        Ok((ready, open))
    }

    /// Each step is taken whatever became of the one before it; the marker is written only if all went well.
    async fn close(&self, shard: &Rc<Shard>, open: Open) -> Result<(), StopError> {
        let Open {
            data_dir,
            controller,
            accepting,
            checkpointing,
        } = open;
        drop((accepting, checkpointing));
        let unclean = |fact: String| Err(StopError::Unclean(fact));
        let rows = shard.close().await;
        let epoch = controller.image().broker_epoch();
        let metadata = controller.close().await;
        let Some(rows) = rows else {
            return unclean("a partition could not be closed".to_owned());
        };
        if let Err(error) = metadata {
            return unclean(error.to_string());
        }
        if let Err(error) = write_checkpoints(&data_dir, &rows).await {
            return unclean(error.to_string());
        }
        match data_dir.write_clean_shutdown(epoch).await {
            Ok(()) => Ok(()),
            Err(error) => unclean(error.to_string()),
        }
    }

    /// This node, given where its listeners are bound; before that is known it has no ports.
    fn node(&self, bound: &[SocketAddr]) -> Node {
        let settings = &self.settings;
        let mut endpoints = self
            .listeners
            .iter()
            .zip(&settings.listeners)
            .enumerate()
            .map(|(index, (resolved, listener))| {
                let bound_port = bound.get(index).map_or(0, SocketAddr::port);
                let advertised = listener.advertised.as_ref().map(|address| address.port);
                Endpoint {
                    listener: listener.name.as_str().into(),
                    host: Arc::clone(&resolved.told),
                    port: advertised.filter(|port| *port != 0).unwrap_or(bound_port),
                    bound_port,
                }
            });
        Node {
            id: settings.node_id,
            endpoint: endpoints.next().expect("settings have a listener"),
            others: endpoints.collect(),
            rack: settings.rack.as_deref().map(Into::into),
        }
    }
}

fn listen(reactor: &Reactor, address: SocketAddr) -> Result<Listener, StartError> {
    reactor.listen(address).map_err(|source| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            StartError::PortTaken { address }
        } else {
            StartError::Listen { address, source }
        }
    })
}

/// Waits for a command; the others are answered and have no meaning here.
async fn until(lifecycle: &Post<Command, ()>, awaited: Command) {
    while let Ok(call) = lifecycle.next().await {
        call.reply.send(());
        if call.request == awaited {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
