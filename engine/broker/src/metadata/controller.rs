//! The one place where metadata change: on shard 0, one change after the other, each durable before it is seen. It decides
//! nothing itself; a change does.
//!
//! ```text
//!   change ── decide(image) ── records ── journal: append, fdatasync ── replay ── image' ── every shard applies ── answer
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use highwater_log::{DataDir, uuid_text};
use highwater_reactor::local::{Semaphore, oneshot};
use highwater_reactor::{Reactor, ShardId};
use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::config::{Overrides, brokers, warnings};
use crate::errand::{self, Errand};
use crate::metadata::change::{Change, Outcome, Refused};
use crate::metadata::codec::{GROUP_VERSION, METADATA_VERSION};
use crate::metadata::image::{Image, Node};
use crate::metadata::journal::{Error, Journal};
use crate::metadata::record::{Record, Registration, Resource};
use crate::shard::Shard;

/// The shard the controller lives on.
pub const CONTROLLER: ShardId = ShardId::ZERO;

/// What is finalized where it is not yet.
const FEATURES: [(&str, i16); 2] = [
    ("metadata.version", METADATA_VERSION),
    ("group.version", GROUP_VERSION),
];

/// See the module.
#[derive(Debug)]
pub struct Controller {
    reactor: Reactor,
    journal: Journal,
    image: RefCell<Arc<Image>>,
    /// One change at a time.
    line: Semaphore,
    /// Ids of topics that were deleted before this run.
    removed: RefCell<BTreeSet<Uuid>>,
}

/// What a broker is started as.
#[derive(Clone, Debug)]
pub struct Birth {
    /// This broker, its ports already bound.
    pub node: Node,
    /// The settings it was started with.
    pub statics: Overrides,
}

impl Controller {
    /// Replays the metadata log in `data_dir`, and begins this run with its registration.
    pub async fn open(
        reactor: &Reactor,
        data_dir: &DataDir,
        birth: Birth,
    ) -> Result<Rc<Controller>, Error> {
        let identity = data_dir.identity();
        let empty = Image::empty(
            &identity.cluster_id,
            birth.node.clone(),
            identity.directory_id,
            birth.statics,
        );
        let mut draft = empty.draft();
        let mut astray = 0_u64;
        let mut removed = BTreeSet::new();
        let (node_id, mut stranger) = (birth.node.id, None);
        let config = journal_config(&empty);
        let journal = Journal::open(reactor, data_dir, config, &mut |record| {
            if !record.replay(&mut draft) {
                astray += 1;
            }
            if let Record::RemoveTopic { id } = record {
                removed.insert(*id);
            }
            if let Record::Partition { leader, .. } = record
                && *leader != node_id
            {
                stranger = Some(*leader);
            }
        })
        .await?;
        if let Some(found) = stranger {
            return Err(Error::Stranger {
                found,
                expected: node_id,
            });
        }
        if astray > 0 {
            tracing::warn!(
                records = astray,
                "metadata records found nothing to apply to"
            );
        }
        let image = draft.finish(journal.end());
        let controller = Rc::new(Controller {
            reactor: reactor.clone(),
            journal,
            image: RefCell::new(Arc::new(image)),
            line: Semaphore::new(1),
            removed: RefCell::new(removed),
        });
        controller.register().await?;
        Ok(controller)
    }

    /// The metadata as they stand.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    /// The ids of topics that were deleted before this run, for whoever finds what is left of them; once.
    pub fn take_removed(&self) -> BTreeSet<Uuid> {
        self.removed.take()
    }

    /// Makes a change: decided, durable and taken in by every shard when this returns. Dropped, it is made all the same.
    pub async fn change(
        self: &Rc<Self>,
        shard: &Rc<Shard>,
        change: Change,
        validate_only: bool,
    ) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        let (this, shard) = (Rc::clone(self), Rc::clone(shard));
        let gone = change.refuse_all(&Refused::code(ErrorCode::BrokerNotAvailable));
        self.reactor
            .spawn(async move {
                // Whoever asked may be gone: the change is made all the same.
                let _ = sender.send(this.make(&shard, change, validate_only).await);
            })
            .detach();
        receiver.await.unwrap_or(gone)
    }

    /// Waits for the change under way, ends this run's registration, and closes the metadata log; no change is made any
    /// more.
    pub async fn close(&self) -> Result<(), Error> {
        let permit = self.line.acquire(1).await;
        // Kept for good: whoever still waits in line is not let in.
        std::mem::forget(permit);
        let image = self.image();
        // Whoever takes the directory over need not wait for this broker to be missed.
        let fence = Record::FenceBroker {
            id: image.node().id,
            epoch: image.broker_epoch(),
        };
        self.write(&[fence]).await?;
        self.journal.close().await
    }

    async fn make(&self, shard: &Rc<Shard>, change: Change, validate_only: bool) -> Outcome {
        let _turn = self.line.acquire(1).await;
        let decision = change.decide(&self.image(), &mut || {
            uuid_text::random(|bytes| self.reactor.fill_random(bytes))
        });
        if validate_only || decision.records.is_empty() {
            return decision.outcome;
        }
        match self.write(&decision.records).await {
            Ok(image) => {
                for record in &decision.records {
                    announce(record);
                }
                shard.broadcast(&image).await;
                decision.outcome
            }
            Err(error @ Error::TooLarge { .. }) => change.refuse_all(&Refused::new(
                ErrorCode::PolicyViolation,
                format!("Unable to perform excessively large batch operation: {error}"),
            )),
            Err(error) => {
                tracing::error!(%error, "a change of the metadata was not made");
                change.refuse_all(&Refused::new(
                    ErrorCode::KafkaStorageError,
                    format!("the metadata log: {error}"),
                ))
            }
        }
    }

    /// Durable first, then seen.
    async fn write(&self, records: &[Record]) -> Result<Arc<Image>, Error> {
        let end = self.journal.append(self.reactor.unix_ms(), records).await?;
        let mut draft = self.image().draft();
        for record in records {
            let found = record.replay(&mut draft);
            assert!(found, "a decision was made for another image: {record:?}");
        }
        let image = Arc::new(draft.finish(end));
        self.image.replace(Arc::clone(&image));
        Ok(image)
    }

    async fn register(&self) -> Result<(), Error> {
        let image = self.image();
        let node = image.node();
        self.journal.begin(self.reactor.unix_ms(), node.id)?;
        let mut records = Vec::new();
        for (name, level) in FEATURES {
            if !image.features().contains_key(name) {
                records.push(Record::Feature {
                    name: name.to_owned(),
                    level,
                });
            }
        }
        let before = i64::try_from(records.len()).expect("one for each feature");
        records.push(Record::RegisterBroker(Registration {
            id: node.id,
            incarnation: uuid_text::random(|bytes| self.reactor.fill_random(bytes)),
            epoch: self.journal.end().get() + before,
            endpoints: node
                .endpoints()
                .map(|e| (e.listener.to_string(), e.host.to_string(), e.port))
                .collect(),
            rack: node.rack.as_ref().map(ToString::to_string),
            directory: image.directory(),
        }));
        self.write(&records).await?;
        Ok(())
    }
}

/// Segments of the metadata log follow the broker's settings; nothing of it is ever dropped.
fn journal_config(image: &Image) -> highwater_log::Config {
    let number = |name| {
        brokers::find(name)
            .and_then(|entry| image.layers().get(entry))
            .and_then(|found| found.value.parse::<i64>().ok())
    };
    let defaults = highwater_log::Config::default();
    highwater_log::Config {
        segment_bytes: number("metadata.log.segment.bytes")
            .and_then(|bytes| u32::try_from(bytes).ok())
            .unwrap_or(defaults.segment_bytes),
        segment_ms: number("metadata.log.segment.ms").unwrap_or(defaults.segment_ms),
        retention_ms: -1,
        retention_bytes: -1,
        delete: false,
        ..defaults
    }
}

/// What the log should say of a change.
fn announce(record: &Record) {
    match record {
        Record::Topic { name, id } => {
            tracing::info!(topic = name, id = uuid_text::encode(id), "topic created");
        }
        Record::RemoveTopic { id } => {
            tracing::info!(id = uuid_text::encode(id), "topic deleted");
        }
        Record::Config {
            resource,
            name,
            value,
        } => {
            tracing::info!(?resource, setting = name, ?value, "setting changed");
            if let (Resource::Topic(topic), Some(value)) = (resource, value) {
                for warning in warnings(&Overrides::from([(name.clone(), value.clone())])) {
                    tracing::warn!(topic, "{warning}");
                }
            }
        }
        Record::Feature { .. }
        | Record::RegisterBroker(_)
        | Record::FenceBroker { .. }
        | Record::Partition { .. }
        | Record::PartitionChange { .. }
        | Record::ProducerIds { .. }
        | Record::NoOp => {}
    }
}

/// A change on its way to the controller.
pub struct Control {
    change: Change,
    validate_only: bool,
}

impl Errand for Control {
    type Answer = Outcome;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Outcome> + use<> {
        let shard = Rc::clone(shard);
        async move {
            match shard.controller() {
                Some(controller) => {
                    controller
                        .change(&shard, self.change, self.validate_only)
                        .await
                }
                None => self
                    .change
                    .refuse_all(&Refused::code(ErrorCode::BrokerNotAvailable)),
            }
        }
    }
}

/// Has the controller make a change, from whatever shard.
pub(crate) async fn request(shard: &Rc<Shard>, change: Change, validate_only: bool) -> Outcome {
    let gone = change.refuse_all(&Refused::code(ErrorCode::BrokerNotAvailable));
    let errand = Control {
        change,
        validate_only,
    };
    errand::begin(shard, CONTROLLER, errand)
        .await
        .unwrap_or(gone)
}
