//! One coordinator and its partition of `__consumer_offsets`: who asks it, who waits for it, and what may leave.
//!
//! Every call is one synchronous step under one borrow; whoever is answered by it is told after the borrow has ended. It
//! knows no shard and no other partition.
//!
//! ```text
//!   ask ──> call ──> made: answers, this one's or those of requests parked before
//!                      ├── everything appended is safe ──> they leave at once
//!                      └── not yet ──> outbox ──> (release: the partition's promise) ──> they leave in order
//!   not answered in its own call: parked, until another call, a tick or the end answers it
//! ```

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use highwater_coordinator::{Config, Coordinator, ReplayError, Ticket, partition_for};
use highwater_partition::Partition;
use highwater_reactor::Reactor;
use highwater_reactor::local::oneshot;
use highwater_record::Compression;
use highwater_wire::ErrorCode;
use highwater_wire::message::list_groups::ListedGroup;

use super::call::call;
use super::inquiry::{Inquiry, Reply};
use super::offsets_topic;
use super::outbox::{Due, Outbox};
use super::refusal;
use super::surroundings::{Press, Surroundings, now_ms};
use super::topics::ImageTopics;
use crate::answer;
use crate::metadata::image::Image;

/// Requests that wait at one coordinator for something to happen: members of its groups in a rebalance.
const PARKED_MAX: usize = 50_000;

/// A request that its coordinator will answer later.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) inquiry: Inquiry,
    sender: oneshot::Sender<Reply>,
}

/// What comes of asking.
pub(super) enum Asked {
    /// The answer may leave.
    Answered(Reply),
    /// It is made later, or must not leave yet.
    Waiting(oneshot::Receiver<Reply>),
}

/// What a call needs from the shard.
pub(super) struct Means<'a> {
    pub(super) image: Arc<Image>,
    pub(super) press: &'a mut Press,
    pub(super) compression: Compression,
    /// How long an answer may wait until it is safe.
    pub(super) commit_timeout: Duration,
}

/// How far a coordinator has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its log is being read.
    Loading,
    /// It answers.
    Serving,
    /// It answers no more, and never again.
    Closed(ErrorCode),
}

/// See the module.
pub(crate) struct Desk {
    index: i32,
    /// How many partitions the topic has by now.
    partitions: Cell<i32>,
    partition: Partition,
    reactor: Reactor,
    state: RefCell<State>,
    is_releasing: Cell<bool>,
}

struct State {
    standing: Standing,
    coordinator: Coordinator,
    config: Config,
    parked: BTreeMap<Ticket, Parked>,
    outbox: Outbox,
    made: Vec<(Ticket, Reply)>,
    tickets: u64,
}

/// Answers and where they go, to be sent when no borrow is left.
#[must_use = "whoever waits must be told"]
#[derive(Default)]
struct Leaving(Vec<(oneshot::Sender<Reply>, Reply)>);

impl Leaving {
    fn send(self) {
        for (sender, reply) in self.0 {
            // Whoever asked may be gone.
            let _ = sender.send(reply);
        }
    }
}

impl Desk {
    /// A coordinator that knows nothing yet: its log is to be read.
    pub(super) fn new(
        reactor: &Reactor,
        (index, partitions): (i32, i32),
        partition: Partition,
        config: Config,
    ) -> Rc<Desk> {
        Rc::new(Desk {
            index,
            partitions: Cell::new(partitions),
            partition,
            reactor: reactor.clone(),
            state: RefCell::new(State {
                standing: Standing::Loading,
                coordinator: Coordinator::new(config.clone()),
                config,
                parked: BTreeMap::new(),
                outbox: Outbox::default(),
                made: Vec::new(),
                tickets: 0,
            }),
            is_releasing: Cell::new(false),
        })
    }

    /// The partition's index.
    pub(super) fn index(&self) -> i32 {
        self.index
    }

    /// Its log.
    pub(super) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Whether a group belongs to this partition.
    fn is_home_of(&self, group: &str) -> bool {
        partition_for(group, self.partitions.get()) == self.index
    }

    /// Asks the coordinator.
    pub(super) fn ask(self: &Rc<Self>, means: Means<'_>, inquiry: Inquiry) -> Asked {
        let is_mine = |group: &str| self.is_home_of(group);
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        let refused = match state.standing {
            Standing::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Standing::Closed(code) => Some(code),
            Standing::Serving
                if inquiry.question.waits_for_others() && state.parked.len() >= PARKED_MAX =>
            {
                Some(ErrorCode::CoordinatorNotAvailable)
            }
            Standing::Serving => None,
        };
        if let Some(code) = refused {
            return Asked::Answered(refusal::answer(&inquiry, code, &is_mine));
        }
        state.tickets += 1;
        let ticket = Ticket(state.tickets);
        let commit_timeout = means.commit_timeout;
        let (coordinator, mut world) = self.world(state, means, Some((ticket, &inquiry)));
        if let Err(error) = call(coordinator, &mut world, ticket, &inquiry, &is_mine) {
            return Asked::Answered(Err(error.into()));
        }
        let (own, leaving) = self.settle(state, commit_timeout, Some((ticket, inquiry)));
        drop(borrowed);
        leaving.send();
        self.release();
        own.expect("who asked is answered or waits")
    }

    /// Has the coordinator do something that nobody asked for.
    fn act(
        self: &Rc<Self>,
        means: Means<'_>,
        act: impl FnOnce(&mut Coordinator, &mut Surroundings<'_>),
    ) {
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        if state.standing != Standing::Serving {
            return;
        }
        let commit_timeout = means.commit_timeout;
        let (coordinator, mut world) = self.world(state, means, None);
        act(coordinator, &mut world);
        let (_, leaving) = self.settle(state, commit_timeout, None);
        drop(borrowed);
        leaving.send();
        self.release();
    }

    /// The coordinator, and the world as it is for one call.
    fn world<'a>(
        &'a self,
        state: &'a mut State,
        means: Means<'a>,
        asked: Option<(Ticket, &'a Inquiry)>,
    ) -> (&'a mut Coordinator, Surroundings<'a>) {
        let world = Surroundings {
            reactor: &self.reactor,
            partition: &self.partition,
            topics: ImageTopics(means.image),
            press: means.press,
            compression: means.compression,
            asked,
            parked: &state.parked,
            made: &mut state.made,
        };
        (&mut state.coordinator, world)
    }

    /// Sorts what was answered in a call: what leaves at once, what waits until it is safe. `asked` is the request under way.
    fn settle(
        &self,
        state: &mut State,
        commit_timeout: Duration,
        asked: Option<(Ticket, Inquiry)>,
    ) -> (Option<Asked>, Leaving) {
        let end = self.partition.log_end();
        let until = self.reactor.now() + commit_timeout;
        let is_safe = state.outbox.is_empty() && self.partition.is_committed(end);
        let mut leaving = Leaving::default();
        let mut own = None;
        let mut asked = asked;
        let mut made = std::mem::take(&mut state.made);
        for (ticket, reply) in made.drain(..) {
            let (inquiry, sender) = match asked.take_if(|(asked, _)| *asked == ticket) {
                Some(_) if is_safe => {
                    own = Some(Asked::Answered(reply));
                    continue;
                }
                Some((_, inquiry)) => {
                    let (sender, receiver) = oneshot::channel();
                    own = Some(Asked::Waiting(receiver));
                    (inquiry, sender)
                }
                None => match state.parked.remove(&ticket) {
                    Some(Parked { inquiry, sender }) => (inquiry, sender),
                    None => continue,
                },
            };
            if is_safe {
                leaving.0.push((sender, reply));
            } else {
                state.outbox.push(Due {
                    end,
                    reply,
                    inquiry,
                    until,
                    sender,
                });
            }
        }
        state.made = made;
        if let Some((ticket, inquiry)) = asked {
            let (sender, receiver) = oneshot::channel();
            let inquiry = inquiry.hollow();
            state.parked.insert(ticket, Parked { inquiry, sender });
            own = Some(Asked::Waiting(receiver));
        }
        (own, leaving)
    }

    /// Starts the task that lets answers leave, if there is something for it to do.
    fn release(self: &Rc<Self>) {
        if self.is_releasing.get() || self.state.borrow().outbox.is_empty() {
            return;
        }
        self.is_releasing.set(true);
        let desk = Rc::clone(self);
        self.reactor
            .spawn(async move { desk.releases().await })
            .detach();
    }

    async fn releases(&self) {
        loop {
            let Some((end, until)) = self.state.borrow().outbox.first() else {
                break;
            };
            let left = until - self.reactor.now();
            let safe = self.partition.committed(end);
            match self.reactor.timeout(left, safe).await {
                Some(Ok(())) => self.let_leave(),
                Some(Err(lost)) => self.let_down(answer::coordinator_lost(&lost), |_| true),
                None => {
                    let now = self.reactor.now();
                    self.let_down(ErrorCode::CoordinatorNotAvailable, |due| due.until <= now);
                }
            }
        }
        self.is_releasing.set(false);
    }

    /// Sends what is safe by now.
    fn let_leave(&self) {
        let mut state = self.state.borrow_mut();
        let due = state
            .outbox
            .take_while(|due| self.partition.is_committed(due.end));
        drop(state);
        Leaving(due.into_iter().map(|due| (due.sender, due.reply)).collect()).send();
    }

    /// What these wait for will not become safe, or not in time: nobody is told that it is.
    fn let_down(&self, code: ErrorCode, which: impl Fn(&Due) -> bool) {
        let is_mine = |group: &str| self.is_home_of(group);
        let due = self.state.borrow_mut().outbox.take_while(which);
        let refused = due
            .into_iter()
            .map(|due| (due.sender, refusal::answer(&due.inquiry, code, &is_mine)));
        Leaving(refused.collect()).send();
    }

    /// One record of the log, in the log's order.
    ///
    /// # Errors
    /// When it is no record of a coordinator.
    pub(super) fn replay(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), ReplayError> {
        self.state.borrow_mut().coordinator.replay(key, value)
    }

    /// The log was read: it answers from now on.
    pub(super) fn serve(self: &Rc<Self>, means: Means<'_>) {
        {
            let mut state = self.state.borrow_mut();
            if state.standing != Standing::Loading {
                return;
            }
            state.standing = Standing::Serving;
        }
        self.act(means, |coordinator, world| {
            coordinator.loaded(world);
            coordinator.topics_changed(world);
        });
    }

    /// Takes changed settings and topics in.
    pub(super) fn apply(self: &Rc<Self>, means: Means<'_>, config: &Config) {
        if let Some(topic) = means.image.topic(offsets_topic::NAME) {
            self.partitions.set(offsets_topic::partitions(topic));
        }
        {
            let mut state = self.state.borrow_mut();
            if state.config != *config {
                state.config = config.clone();
                state.coordinator.reconfigure(config.clone());
            }
        }
        self.act(means, |coordinator, world| {
            coordinator.topics_changed(world)
        });
    }

    /// When [`Desk::tick`] wants to be called, in milliseconds of the reactor's clock.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let state = self.state.borrow();
        match state.standing {
            Standing::Serving => state.coordinator.due_ms(),
            Standing::Loading | Standing::Closed(_) => None,
        }
    }

    /// Does what is due by now.
    pub(super) fn tick(self: &Rc<Self>, means: Means<'_>) {
        if self
            .due_ms()
            .is_some_and(|due| due <= now_ms(&self.reactor))
        {
            self.act(means, |coordinator, world| coordinator.tick(world));
        }
    }

    /// Answers nobody any more: who is parked hears `code`, who is told of something appended is told when it is safe.
    pub(super) fn close(&self, code: ErrorCode) {
        let is_mine = |group: &str| self.is_home_of(group);
        let mut state = self.state.borrow_mut();
        state.standing = Standing::Closed(code);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        let refused = parked.into_values().map(|parked| {
            (
                parked.sender,
                refusal::answer(&parked.inquiry, code, &is_mine),
            )
        });
        Leaving(refused.collect()).send();
    }

    /// A look at what it knows.
    pub(super) fn look(&self) -> Look<'_> {
        Look(self.state.borrow())
    }
}

/// See [`Desk::look`].
pub(super) struct Look<'a>(Ref<'a, State>);

impl Look<'_> {
    /// Its groups.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS while its log is being read.
    pub(super) fn list(
        &self,
        states: &[&str],
        types: &[&str],
    ) -> Result<Vec<ListedGroup<'_>>, ErrorCode> {
        match self.0.standing {
            Standing::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            // As in Kafka: what is not coordinated here is not listed here.
            Standing::Closed(_) => Ok(Vec::new()),
            Standing::Serving => Ok(self.0.coordinator.list_groups(states, types)),
        }
    }
}
