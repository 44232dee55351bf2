//! One shard's broker: what it owns, what it knows, and how it reaches the others.
//!
//! It holds things together and does little itself: partitions are `partitions`', connections `serve`'s, the metadata
//! `metadata`'s. One value per shard, shared by its tasks as an `Rc`; no borrow of it lives across an await.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use highwater_reactor::local::Latch;
use highwater_reactor::{Exchange, Post, Reactor, ShardId};

use crate::errand::{self, Errand, Message, Reply};
use crate::handlers::fetch_session::Sessions;
use crate::metadata::Controller;
use crate::metadata::image::Image;
use crate::seats::Seats;
use crate::serve::{self, Guest};
use crate::stats::Counters;

/// How many errands wait at a shard before those who send them wait themselves.
pub const EXCHANGE_DEPTH: usize = 4096;

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
    controller: OnceCell<Rc<Controller>>,
    sessions: RefCell<Sessions>,
    guests: RefCell<BTreeMap<u64, Rc<Guest>>>,
    guests_welcomed: Cell<u64>,
    closing: Latch,
}

impl Shard {
    /// A shard without partitions that does errands for the others from now on. `image` is where the metadata stand
    /// until the first [`Shard::apply`].
    pub fn start(
        reactor: &Reactor,
        exchange: Exchange<Message, Reply>,
        shared: Shared,
        image: Arc<Image>,
    ) -> Rc<Shard> {
        let slots = image.broker().fetch_sessions_max as usize;
        let shards = reactor.shards();
        let shard = Rc::new(Shard {
            reactor: reactor.clone(),
            post: exchange.bind(reactor),
            shared,
            sessions: RefCell::new(Sessions::new(
                reactor.shard(),
                shards,
                slots.div_ceil(usize::from(shards)),
                SESSION_PARTITIONS_MAX,
            )),
            image: RefCell::new(image),
            controller: OnceCell::new(),
            guests: RefCell::default(),
            guests_welcomed: Cell::new(0),
            closing: Latch::new(),
        });
        reactor.spawn(do_errands(Rc::clone(&shard))).detach();
        reactor.spawn(serve::sweep(Rc::clone(&shard))).detach();
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

    /// The metadata as this shard knows them now.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
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

    /// Takes a new image in: opens, makes, reconfigures and removes the partitions this shard owns, and answers when the
    /// disk agrees.
    pub async fn apply(self: &Rc<Self>, image: Arc<Image>) {
        self.image.replace(image);
    }

    /// Takes a new image in on every shard, this one included; done when every shard has.
    pub async fn broadcast(self: &Rc<Self>, image: &Arc<Image>) {
        let calls: Vec<_> = (0..self.reactor.shards())
            .map(|to| errand::begin(self, ShardId::new(to), Apply(Arc::clone(image))))
            .collect();
        for call in calls {
            // A shard that has gone has no partitions to serve either.
            let _ = call.await;
        }
    }

    /// Whether the broker is stopping.
    pub fn is_closing(&self) -> bool {
        self.closing.is_open()
    }

    /// Ends the shard's connections.
    pub async fn close(self: &Rc<Self>) {
        self.closing.open();
        serve::close_all(self);
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

    pub(crate) fn sessions(&self) -> &RefCell<Sessions> {
        &self.sessions
    }

    pub(crate) fn next_guest_id(&self) -> u64 {
        self.guests_welcomed.replace(self.guests_welcomed.get() + 1)
    }

    pub(crate) fn welcome(&self, guest: Rc<Guest>) {
        self.guests.borrow_mut().insert(guest.id(), guest);
    }

    pub(crate) fn part(&self, guest: &Guest) {
        self.guests.borrow_mut().remove(&guest.id());
    }

    pub(crate) fn guests(&self) -> Vec<Rc<Guest>> {
        self.guests.borrow().values().cloned().collect()
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

/// A new image to take in.
pub struct Apply(Arc<Image>);

impl Errand for Apply {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        let shard = Rc::clone(shard);
        async move { shard.apply(self.0).await }
    }
}
