//! One shard's broker: what it owns, what it knows, and how it reaches the others.
//!
//! It holds things together and does little itself: partitions are `partitions`', connections `serve`'s, the metadata
//! `metadata`'s. One value per shard, shared by its tasks as an `Rc`; no borrow of it lives across an await.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use highwater_partition::Partition;
use highwater_reactor::local::Latch;
use highwater_reactor::{Post, Reactor, ShardId};
use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::cleaner;
use crate::coordination::{self, Hall};
use crate::errand::{self, Mailbox, Message, Reply};
use crate::guests::{self, Guests};
use crate::handlers::fetch_session::Sessions;
use crate::handlers::init_producer_id::ProducerIds;
use crate::keeper::{self, Checkpoints};
use crate::lifecycle::{Apply, Close, Drain, Mount};
use crate::memory::Memory;
use crate::metadata::Controller;
use crate::metadata::image::Image;
use crate::parking::Parked;
use crate::partitions::{CheckpointRow, Partitions, Storage};
use crate::seats::Seats;
use crate::stats::Counters;

/// Partitions remembered in fetch sessions, per shard: about 150 bytes each.
const SESSION_PARTITIONS_MAX: usize = 500_000;

/// What all shards of a broker share from the start.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Who may connect, over all shards.
    pub seats: Seats,
    /// One row of counters per shard.
    pub counters: Arc<[Counters]>,
}

impl Shared {
    /// For `shards` shards.
    pub fn new(shards: u16) -> Shared {
        Shared {
            seats: Seats::default(),
            counters: (0..shards).map(|_| Counters::default()).collect(),
        }
    }
}

/// See the module.
pub struct Shard {
    reactor: Reactor,
    post: Post<Message, Reply>,
    shared: Shared,
    image: RefCell<Arc<Image>>,
    partitions: RefCell<Option<Rc<Partitions>>>,
    controller: OnceCell<Rc<Controller>>,
    producer_ids: ProducerIds,
    parked: Parked,
    hall: Hall,
    sessions: RefCell<Sessions>,
    guests: Guests,
    memory: Memory,
    closing: Latch,
    checkpoints: Checkpoints,
}

impl Shard {
    /// A shard without partitions that does errands for the others from now on. `image` is where the metadata stand
    /// until the first one is applied.
    pub fn start(
        reactor: &Reactor,
        mailbox: Mailbox,
        shared: Shared,
        image: Arc<Image>,
    ) -> Rc<Shard> {
        let slots = image.broker().fetch_sessions_max as usize;
        let shards = reactor.shards();
        let shard = Rc::new(Shard {
            reactor: reactor.clone(),
            post: mailbox.0.bind(reactor),
            shared,
            sessions: RefCell::new(Sessions::new(
                reactor.shard(),
                shards,
                slots.div_ceil(usize::from(shards)),
                SESSION_PARTITIONS_MAX,
            )),
            image: RefCell::new(image),
            partitions: RefCell::default(),
            controller: OnceCell::new(),
            producer_ids: ProducerIds::new(),
            parked: Parked::default(),
            hall: Hall::new(),
            guests: Guests::default(),
            memory: Memory::new(),
            closing: Latch::new(),
            checkpoints: Checkpoints::default(),
        });
        reactor.spawn(do_errands(Rc::clone(&shard))).detach();
        reactor.spawn(guests::sweep(Rc::clone(&shard))).detach();
        reactor.spawn(keeper::keep(Rc::clone(&shard))).detach();
        reactor
            .spawn(cleaner::keep_clean(Rc::clone(&shard)))
            .detach();
        reactor
            .spawn(coordination::ring(Rc::clone(&shard)))
            .detach();
        shard
    }

    /// This shard's number.
    pub fn id(&self) -> ShardId {
        self.reactor.shard()
    }

    /// The world.
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// What requests may take of the shard's memory.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The shard's connections.
    pub(crate) fn guests(&self) -> &Guests {
        &self.guests
    }

    /// The metadata as this shard knows them now.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    /// Tells every shard where its partitions lie. Before the first [`Shard::broadcast`].
    pub async fn mount(self: &Rc<Self>, storage: &Storage) {
        self.everywhere(|| Mount(storage.clone())).await;
    }

    /// Takes a new image in: opens, makes and reconfigures the partitions this shard owns, shows the image to requests,
    /// removes what is gone, and tells the coordinators. What the disk refuses is logged, answered with KAFKA_STORAGE_ERROR and tried again.
    pub(crate) async fn apply(self: &Rc<Self>, image: Arc<Image>) {
        match self.partitions() {
            Some(partitions) => {
                partitions
                    .apply(&image, || drop(self.image.replace(Arc::clone(&image))))
                    .await;
                self.hall.apply(self, &self.image());
            }
            None => drop(self.image.replace(image)),
        }
    }

    /// Takes a new image in on every shard, this one included; done when every shard has.
    pub async fn broadcast(self: &Rc<Self>, image: &Arc<Image>) {
        self.everywhere(|| Apply(Arc::clone(image))).await;
    }

    /// Gives the controller's shard its controller: changes of the metadata are made from now on.
    pub fn set_controller(&self, controller: Rc<Controller>) {
        assert!(
            self.controller.set(controller).is_ok(),
            "a broker has one controller"
        );
    }

    /// The controller, on its shard.
    pub(crate) fn controller(&self) -> Option<Rc<Controller>> {
        self.controller.get().cloned()
    }

    /// Ends the connections, once what they asked for is answered, and closes the partitions of every shard; what the
    /// checkpoints say then, or `None` when a partition could not be closed and the next start must look at the logs.
    pub async fn close(self: &Rc<Self>) -> Option<Vec<CheckpointRow>> {
        // Everywhere first: an answer on one shard may wait for a partition of another.
        self.everywhere(|| Drain).await;
        let mut rows = Some(Vec::new());
        for closed in self.everywhere(|| Close).await {
            match (closed.flatten(), &mut rows) {
                (Some(some), Some(rows)) => rows.extend(some),
                _ => rows = None,
            }
        }
        rows
    }

    async fn everywhere<E: errand::Travels>(
        self: &Rc<Self>,
        errand: impl Fn() -> E,
    ) -> Vec<Option<E::Answer>> {
        let begun: Vec<_> = (0..self.reactor.shards())
            .map(|to| errand::begin(self, ShardId::new(to), errand()))
            .collect();
        let mut answers = Vec::with_capacity(begun.len());
        for begun in begun {
            answers.push(begun.await.ok());
        }
        answers
    }

    /// A partition that this shard owns, if it is open.
    pub fn partition(&self, topic_id: &Uuid, index: i32) -> Option<Partition> {
        self.partitions.borrow().as_ref()?.get(topic_id, index)
    }

    /// A partition that this shard owns, or what to tell who asks for it.
    pub(crate) fn partition_or_error(
        &self,
        topic_id: &Uuid,
        index: i32,
    ) -> Result<Partition, ErrorCode> {
        match &*self.partitions.borrow() {
            Some(partitions) => partitions
                .get(topic_id, index)
                .ok_or_else(|| partitions.absence(topic_id, index)),
            None => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Where this shard's partitions lie, from now on.
    pub(crate) fn set_partitions(&self, partitions: Partitions) {
        *self.partitions.borrow_mut() = Some(Rc::new(partitions));
    }

    pub(crate) fn partitions(&self) -> Option<Rc<Partitions>> {
        self.partitions.borrow().clone()
    }

    /// Opens when the broker stops.
    pub(crate) fn closing(&self) -> &Latch {
        &self.closing
    }

    /// Whether the broker is stopping.
    pub fn is_closing(&self) -> bool {
        self.closing.is_open()
    }

    /// Who wants checkpoints, on the shard that writes them.
    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    pub(crate) fn post(&self) -> &Post<Message, Reply> {
        &self.post
    }

    pub(crate) fn seats(&self) -> &Seats {
        &self.shared.seats
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters[self.id().index()]
    }

    pub(crate) fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }

    pub(crate) fn parked(&self) -> &Parked {
        &self.parked
    }

    /// The coordinators that live here.
    pub(crate) fn hall(&self) -> &Hall {
        &self.hall
    }

    pub(crate) fn sessions(&self) -> &RefCell<Sessions> {
        &self.sessions
    }
}

/// Does what other shards ask, in the order they asked; what waits runs on by itself.
async fn do_errands(shard: Rc<Shard>) {
    while let Ok(call) = shard.post.next().await {
        let rest = call.request.start(&shard);
        let reply = call.reply;
        shard
            .reactor
            .spawn(async move { reply.send(rest.await) })
            .detach();
    }
}
